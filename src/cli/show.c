/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/show.h"

#include <libsmartcols.h>
#include <stdlib.h>
#include <string.h>

#include "lib/cleanup.h"

#define BATCH 2000
#define COLUMNS 24

static const struct column site_columns[] = {{"NAME", "name"}, {"NODES", "nodes"}, {0}};
static const struct column node_columns[] = {
	{"NAME", "name"},
	{"SITE", "site"},
	{"UNDERLAY", "underlay"},
	{"STATE", "state"},
	{"PORTS", "ports", false, true},
	{"FOREIGN", "foreign", true},
	{"ENCRYPTED", "encrypted", true},
	{"INTERFACE", "path.interface", true},
	{"MTU", "path.mtu", true, true},
	{"NETWORKS", "networks", true},
	{0},
};
static const struct column tunnel_columns[] = {
	{"NODE", "name"},
	{"PLAIN", "plain", true},
	{"STATE", "state"},
	{"ENDPOINT", "endpoint"},
	{"VIA", "relay"},
	{"HANDSHAKE", "lastHandshakeSeconds", false, true},
	{"MTU", "mtu", false, true},
	{"LOSS", "lossPpm", false, true, "%", 10000},
	{"RTT", "rttMicroseconds", false, true, "ms", 1000},
	{"RX-BYTES", "rxBytes", false, true},
	{"TX-BYTES", "txBytes", false, true},
	{"SESSIONS", "handshakes", false, true},
	{"DROPS", "drops", false, true},
	{"REASON", "reason"},
	{"SITE", "site", true},
	{"ENCRYPTED", "encrypted", true},
	{"RX-PACKETS", "rxPackets", true, true},
	{"TX-PACKETS", "txPackets", true, true},
	{"PATH-MTU", "pathMtu", true, true},
	{"RX-LOSS", "rxLossPpm", true, true, "%", 10000},
	{"TX-LOSS", "txLossPpm", true, true, "%", 10000},
	{"SUITE", "suite", true},
	{"PUBLIC-KEY", "publicKey", true},
	{0},
};
static const struct column tenant_columns[] = {
	{"NAME", "name"}, {"VNI", "vni", false, true}, {"NETWORKS", "networks"}, {"PORTS", "ports", false, true}, {0},
};
static const struct column network_columns[] = {
	{"NAME", "name"},
	{"MODE", "mode"},
	{"VNI", "vni", false, true},
	{"SUBNETS", "subnets"},
	{"GATEWAY", "gateway"},
	{"ENCAP", "encap"},
	{"PORTS", "ports", false, true},
	{"LOCAL", "localPorts", true, true},
	{"ENCRYPTION", "encryption", true},
	{"FLOOD", "flood", true},
	{"STORM-LIMIT", "stormLimit", true, true},
	{0},
};
static const struct column port_columns[] = {
	{"NAME", "name"},
	{"NODE", "node"},
	{"INTERFACE", "interface"},
	{"NETWORK", "network"},
	{"MAC", "mac"},
	{"ADDRESSES", "addresses"},
	{"STATE", "state"},
	{"SOURCE", "source", true},
	{"SECURITY", "security", true},
	{"ALLOW", "allow", true},
	{"STORM-LIMIT", "stormLimit", true, true},
	{"MTU", "mtu", true, true},
	{"RX-PACKETS", "rxPackets", true, true},
	{"TX-PACKETS", "txPackets", true, true},
	{"REASON", "reason", true},
	{0},
};
static const struct column mac_columns[] = {
	{"NETWORK", "network"},
	{"MAC", "mac"},
	{"PORT", "port"},
	{"VIA", "via"},
	{"VNI", "vni", true, true},
	{"SOURCE", "source", true},
	{"INSTALLED", "installed", true},
	{0},
};
static const struct column host_columns[] = {
	{"TENANT", "tenant"},
	{"ADDRESS", "address"},
	{"MAC", "mac"},
	{"NETWORK", "network"},
	{"VIA", "via"},
	{"PORT", "port", true},
	{"SOURCE", "source", true},
	{"INSTALLED", "installed", true},
	{0},
};
static const struct column route_columns[] = {
	{"TENANT", "tenant"},
	{"PREFIX", "prefix"},
	{"TYPE", "type"},
	{"VIA", "via"},
	{"VTEP", "vtep"},
	{"ENCAP", "encap"},
	{"VNI", "vni", false, true},
	{"SOURCE", "source"},
	{"NETWORK", "network", true},
	{"MTU", "mtu", true, true},
	{"INSTALLED", "installed", true},
	{0},
};
static const struct column drop_columns[] = {
	{"NAME", "name"}, {"PACKETS", "packets", false, true}, {"MEANING", "meaning"}, {0}};

const struct kind kinds[] = {
	{"sites", "site", "", site_columns},
	{"nodes", "node", "no", node_columns},
	{"tunnels", "tunnel", "", tunnel_columns},
	{"tenants", "tenant", "vrf vrfs", tenant_columns},
	{"networks", "network", "net nets", network_columns},
	{"ports", "port", "po", port_columns},
	{"macs", "mac", "fdb", mac_columns},
	{"hosts", "host", "endpoint endpoints ep neigh", host_columns},
	{"routes", "route", "ro", route_columns},
	{"drops", "drop", "", drop_columns},
	{"all", "all", "", NULL},
	{0},
};

static bool word_in(const char *words, const char *word)
{
	size_t n = strlen(word);

	for (const char *p = words; *p; p += strcspn(p, " "), p += strspn(p, " "))
		if (strcspn(p, " ") == n && memcmp(p, word, n) == 0)
			return true;
	return false;
}

const struct kind *kind_by_word(const char *word, bool quiet)
{
	const struct kind *found = NULL;
	const char *names[32];
	char hint[160];
	size_t n = 0, matches = 0;

	for (const struct kind *k = kinds; k->plural; k++) {
		names[n++] = k->plural;
		names[n++] = k->singular;
		if (strcmp(k->plural, word) == 0 || strcmp(k->singular, word) == 0 || word_in(k->aliases, word))
			return k;
		if (*word && strncmp(k->plural, word, strlen(word)) == 0) {
			found = k;
			matches++;
		}
	}
	if (matches == 1 || quiet)
		return matches == 1 ? found : NULL;

	const char *near = nearest(word, names, n);

	if (near && !matches)
		snprintf(hint, sizeof(hint), "did you mean \"%s\"?", near);
	else
		snprintf(hint, sizeof(hint),
			 "kinds: sites, nodes, tunnels, tenants, networks, ports, macs, hosts, routes, drops, all");
	fail(ERROR_ARGUMENT, hint, matches ? "\"%s\" could be several kinds" : "unknown kind \"%s\"", word);
	return NULL;
}

/* ---- values ---- */

static const json_t *member(const json_t *object, const char *key)
{
	const char *dot = strchr(key, '.');

	if (!dot)
		return json_object_get(object, key);
	return json_object_get(json_object_getn(object, key, (size_t)(dot - key)), dot + 1);
}

static char *text_of(const json_t *v)
{
	char *out = NULL;
	int r;

	if (!v || json_is_null(v))
		r = asprintf(&out, "-");
	else if (json_is_string(v))
		r = asprintf(&out, "%s", *json_string_value(v) ? json_string_value(v) : "-");
	else if (json_is_boolean(v))
		r = asprintf(&out, "%s", json_is_true(v) ? "yes" : "no");
	else if (json_is_integer(v))
		r = asprintf(&out, "%lld", (long long)json_integer_value(v));
	else
		r = (out = json_dumps(v, JSON_ENCODE_ANY | JSON_COMPACT)) ? 0 : -1;
	if (r < 0)
		exit(fail(ERROR_MEMORY, NULL, "out of memory"));
	for (char *p = out; *p; p++) /* nothing that comes from a file may speak to the terminal */
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			*p = '?';
	return out;
}

char *show_value(const json_t *object, const char *key)
{
	const json_t *v = member(object, key), *item;
	size_t i, size = 0;
	char *out = NULL;
	FILE *f;

	if (!json_is_array(v) || !json_array_size(v))
		return text_of(json_is_array(v) ? NULL : v);
	f = open_memstream(&out, &size);
	if (!f)
		exit(fail(ERROR_MEMORY, NULL, "out of memory"));
	json_array_foreach((json_t *)v, i, item) {
		_cleanup_(free) char *text = text_of(item);

		fprintf(f, "%s%s", i ? "," : "", text);
	}
	fclose(f);
	return out;
}

/* ---- tables ---- */

struct show {
	const struct column *columns[COLUMNS];
	size_t width[COLUMNS]; /* of the batches so far */
	size_t n;
	bool color, printed;
	struct libscols_table *table;
	size_t rows;
};

static void no_memory(bool failed)
{
	if (failed)
		exit(fail(ERROR_MEMORY, NULL, "out of memory"));
}

static void table_begin(struct show *s)
{
	s->table = scols_new_table();
	no_memory(!s->table);
	scols_table_enable_noheadings(s->table, s->printed);
	scols_table_enable_colors(s->table, s->color);
	scols_table_set_column_separator(s->table, "  ");
	/* Never cut to the terminal: a cut address is a wrong address. */
	scols_table_set_termforce(s->table, SCOLS_TERMFORCE_NEVER);
	for (size_t i = 0; i < s->n; i++) {
		struct libscols_column *c = scols_table_new_column(s->table, s->columns[i]->title, 0,
								   s->columns[i]->right ? SCOLS_FL_RIGHT : 0);

		no_memory(!c);
		if (s->printed)
			scols_column_set_whint(c, (double)s->width[i]);
	}
	s->rows = 0;
}

static void table_print(struct show *s)
{
	/* Without rows nothing is printed, headings neither: an empty list is empty. */
	if (s->rows)
		scols_print_table(s->table);
	scols_unref_table(s->table);
	s->printed = s->printed || s->rows;
	s->table = NULL;
}

struct show *show_new(const struct column *columns, bool wide, bool color)
{
	struct show *s = calloc(1, sizeof(*s));

	no_memory(!s);
	s->color = color;
	for (const struct column *c = columns; c->title; c++)
		if (wide || !c->wide) {
			s->width[s->n] = strlen(c->title);
			s->columns[s->n++] = c;
		}
	table_begin(s);
	return s;
}

static const char *color_of(const char *text)
{
	static const struct {
		const char *text, *color;
	} colors[] = {
		{"up", "green"},       {"ok", "green"},    {"reachable", "green"},      {"self", "green"},
		{"idle", "green"},     {"waiting", "yellow"}, {"warn", "yellow"}, {"no-route", "red"},         {"down", "red"},
		{"failed", "red"},     {"fail", "red"},    {"no-common-family", "red"},
	};

	for (size_t i = 0; i < sizeof(colors) / sizeof(colors[0]); i++)
		if (strcmp(colors[i].text, text) == 0)
			return colors[i].color;
	return NULL;
}

static char *cell(const json_t *object, const struct column *c)
{
	const json_t *v = member(object, c->key);
	char *out = NULL;

	if (!c->unit || !json_is_integer(v))
		return show_value(object, c->key);
	no_memory(asprintf(&out, "%.2f%s", (double)json_integer_value(v) / c->per, c->unit) < 0);
	return out;
}

void show_row(struct show *s, const json_t *object)
{
	struct libscols_line *line = scols_table_new_line(s->table, NULL);

	no_memory(!line);
	for (size_t i = 0; i < s->n; i++) {
		char *text = cell(object, s->columns[i]);

		if (strlen(text) > s->width[i])
			s->width[i] = strlen(text);
		if (s->color && strcmp(s->columns[i]->key, "state") == 0 && color_of(text))
			scols_cell_set_color(scols_line_get_cell(line, i), color_of(text));
		no_memory(scols_line_refer_data(line, i, text) < 0);
	}
	if (++s->rows < BATCH)
		return;
	table_print(s);
	table_begin(s);
}

void show_free(struct show *s)
{
	table_print(s);
	free(s);
}

/* ---- one object ---- */

/* Of a list of objects, a line for each with its values. */
static void items(const json_t *list, int indent, FILE *f)
{
	const char *key;
	json_t *item, *v;
	size_t i;

	json_array_foreach((json_t *)list, i, item) {
		const char *joint = "";

		fprintf(f, "%*s", indent, "");
		json_object_foreach(item, key, v) {
			_cleanup_(free) char *text = show_value(item, key);

			fprintf(f, "%s%s", joint, text);
			joint = "  ";
		}
		fputc('\n', f);
	}
}

static void fields(const json_t *object, int indent, FILE *f)
{
	int width = 0;
	const char *key;
	json_t *v;

	json_object_foreach((json_t *)object, key, v) {
		if (!json_is_object(v) && (int)strlen(key) > width)
			width = (int)strlen(key);
	}
	json_object_foreach((json_t *)object, key, v) {
		if (strcmp(key, "apiVersion") == 0 || strcmp(key, "kind") == 0)
			continue;
		if (json_is_object(v)) {
			fprintf(f, "%*s%s:\n", indent, "", key);
			fields(v, indent + 2, f);
			continue;
		}
		if (json_is_object(json_array_get(v, 0))) {
			fprintf(f, "%*s%s:\n", indent, "", key);
			items(v, indent + 2, f);
			continue;
		}
		_cleanup_(free) char *text = show_value(object, key);

		fprintf(f, "%*s%s:%*s %s\n", indent, "", key, width - (int)strlen(key) + 1, "", text);
	}
}

void show_fields(const json_t *object, FILE *f)
{
	fields(object, 0, f);
}

void show_object(const struct call *call, const json_t *object)
{
	const char *name = json_string_value(json_object_get(object, "name"));

	switch (call->output) {
	case OUTPUT_JSON:
		json_dumpf(object, stdout, JSON_INDENT(2));
		putchar('\n');
		break;
	case OUTPUT_JSONL:
		json_dumpf(object, stdout, JSON_COMPACT);
		putchar('\n');
		break;
	case OUTPUT_YAML:
		yaml_emit(object, 0, stdout);
		break;
	case OUTPUT_NAME:
		puts(name ? name : "-");
		break;
	default:
		show_fields(object, stdout);
	}
}
