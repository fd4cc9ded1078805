/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "conf/conf.h"
#include "conf/schema.h"
#include "conf/yaml.h"
#include "lib/base64.h"
#include "lib/cleanup.h"
#include "lib/text.h"
#include "model/extended.h"

/*
 * Plain only where every YAML reader sees the same text: not `no`, `1e3`, `0755` or `null`, and nothing with a ":". The
 * rest is quoted; names and values hold nothing that needs an escape (interface names may hold `"` and `\`).
 */
static void emit_text(FILE *f, const char *text)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
	static const char safe[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./";
	static const char *const words[] = {"null", "true", "false", "yes", "no", "on", "off", "y", "n"};
	bool plain = strchr(letters, text[0]) && text[strspn(text, safe)] == '\0';

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]) && plain; i++)
		plain = strcasecmp(text, words[i]) != 0;
	if (plain) {
		fputs(text, f);
		return;
	}
	fputc('"', f);
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			fputc('\\', f);
		fputc(*text, f);
	}
	fputc('"', f);
}

/* Keys inside { }: a comma before each but the first. */
static void emit_key(FILE *f, bool *first, const char *key)
{
	fprintf(f, "%s%s: ", *first ? "" : ", ", key);
	*first = false;
}

static void emit_entry(FILE *f, unsigned indent, const char *name)
{
	fprintf(f, "%*s", (int)indent, "");
	emit_text(f, name);
	fputs(":", f);
}

static void emit_address(FILE *f, const struct addr *a)
{
	char text[ADDR_TEXT_SIZE];

	fprintf(f, addr_is_v4(a) ? "%s" : "\"%s\"", addr_format(a, text));
}

static void emit_addresses(FILE *f, bool *first, const char *key, const struct addr *a, size_t length)
{
	if (length == 0)
		return;
	emit_key(f, first, key);
	for (size_t i = 0; i < length; i++) {
		fputs(i == 0 ? "[" : ", ", f);
		emit_address(f, &a[i]);
	}
	fputc(']', f);
}

static void emit_mac(FILE *f, bool *first, const char *key, const struct mac *m)
{
	char text[MAC_TEXT_SIZE];

	emit_key(f, first, key);
	fprintf(f, "\"%s\"", mac_format(m, text));
}

static void emit_limit(FILE *f, bool *first, const char *key, uint32_t limit)
{
	emit_key(f, first, key);
	fprintf(f, limit ? "%u" : "none", limit);
}

/* Only where it is not the default: what this writes may be read by an earlier version. */
static void emit_fabric_limit(FILE *f, bool *first, const char *key, uint32_t limit)
{
	if (limit != (uint32_t)strtoul(schema_find(&schema_fabric, key)->fallback, NULL, 10))
		emit_limit(f, first, key, limit);
}

static void emit_item(FILE *f, bool *first, const char *key, size_t i, const char *text)
{
	if (i == 0)
		emit_key(f, first, key);
	fputs(i == 0 ? "[" : ", ", f);
	emit_text(f, text);
}

static void emit_end(FILE *f, size_t length)
{
	fputs(length > 0 ? "]" : "", f);
}

static void emit_number(FILE *f, bool *first, const char *key, uint32_t number)
{
	emit_key(f, first, key);
	fprintf(f, "%u", number);
}

static void emit_true(FILE *f, bool *first, const char *key, bool value)
{
	if (!value)
		return;
	emit_key(f, first, key);
	fputs("true", f);
}

static void emit_optional(FILE *f, bool *first, const char *key, const char *text)
{
	if (!text)
		return;
	emit_key(f, first, key);
	emit_text(f, text);
}

static void emit_target_list(FILE *f, bool *first, const char *key, const struct config_targets *t)
{
	char text[EXTENDED_TEXT_SIZE];

	if (t->length == 0)
		return;
	emit_key(f, first, key);
	for (size_t i = 0; i < t->length; i++)
		fprintf(f, "%s\"%s\"", i == 0 ? "[" : ", ", extended_format(t->items[i], text) + strlen("rt:"));
	fputc(']', f);
}

static void emit_targets(FILE *f, const struct config_targets *import, const struct config_targets *export)
{
	bool first = true;

	fputc('{', f);
	emit_target_list(f, &first, "import", import);
	emit_target_list(f, &first, "export", export);
	fputc('}', f);
}

static void emit_fabric(FILE *f, const struct config *c)
{
	bool first = true;

	fputs("fabric: {", f);
	emit_key(f, &first, "encryption");
	fputs(config_encryption_name(c->encryption), f);
	emit_key(f, &first, "encap");
	fputs(config_encap_name(c->encap), f);
	emit_key(f, &first, "vxlan_port");
	fprintf(f, "%u", c->vxlan_port);
	emit_mac(f, &first, "gateway_mac", &c->gateway_mac);
	emit_fabric_limit(f, &first, "storm_limit", c->storm_limit);
	emit_fabric_limit(f, &first, "icmp_limit", c->icmp_limit);
	emit_fabric_limit(f, &first, "wireguard_port", c->wireguard_port);
	emit_optional(f, &first, "preshared_key_file", c->preshared_key_file);
	fputs("}\n", f);
}

static void emit_pair(FILE *f, const struct config_pair *p)
{
	bool first = true;

	emit_entry(f, 2, p->name);
	fputs(" {", f);
	emit_item(f, &first, "sites", 0, p->sites[0]->name);
	if (p->sites[1] != p->sites[0])
		emit_item(f, &first, "sites", 1, p->sites[1]->name);
	emit_end(f, 1);
	emit_key(f, &first, "encryption");
	fputs(p->encrypts ? "always" : "never", f);
	emit_optional(f, &first, "preshared_key_file", p->preshared_key_file);
	fputs("}\n", f);
}

static void emit_public_key(FILE *f, bool *first, const struct config_key *key)
{
	char text[BASE64_LENGTH(sizeof(key->bytes)) + 1];

	if (!config_key_is_set(key))
		return;
	base64_encode(key->bytes, sizeof(key->bytes), text);
	emit_key(f, first, "public_key");
	fprintf(f, "\"%s\"", text);
}

static void emit_node(FILE *f, const struct config_node *n)
{
	bool first = true;

	emit_entry(f, 2, n->name);
	fputs(" {", f);
	emit_key(f, &first, "site");
	emit_text(f, n->site->name);
	emit_addresses(f, &first, "underlay", n->underlay, n->n_underlay);
	for (size_t i = 0; i < n->n_interfaces; i++)
		emit_item(f, &first, "interfaces", i, n->interfaces[i]);
	emit_end(f, n->n_interfaces);
	if (n->mtu > 0) {
		emit_key(f, &first, "mtu");
		fprintf(f, "%u", n->mtu);
	}
	emit_true(f, &first, "foreign", n->foreign);
	emit_public_key(f, &first, &n->public_key);
	emit_true(f, &first, "nat", n->nat);
	emit_true(f, &first, "relay", n->relay);
	if (!n->foreign && n->router_id != config_default_router_id(n)) {
		struct addr a = addr_from_v4_number(n->router_id);

		emit_key(f, &first, "router_id");
		emit_address(f, &a);
	}
	for (size_t i = 0; i < n->n_networks; i++)
		emit_item(f, &first, "networks", i, n->networks[i]->full_name);
	emit_end(f, n->n_networks);
	fputs("}\n", f);
}

static void emit_network(FILE *f, const struct config *c, const struct config_network *n)
{
	char text[PREFIX_TEXT_SIZE];
	bool first = true;

	emit_entry(f, 6, n->name);
	fputs(" {", f);
	emit_key(f, &first, "mode");
	fputs(config_mode_name(n->mode), f);
	if (n->mode == CONFIG_MODE_L2) {
		emit_key(f, &first, "vni");
		fprintf(f, "%u", n->vni);
	}
	for (size_t i = 0; i < n->n_subnets; i++) {
		if (i == 0)
			emit_key(f, &first, "subnets");
		fputs(i == 0 ? "[" : ", ", f);
		fprintf(f, addr_is_v4(&n->subnets[i].addr) ? "%s" : "\"%s\"", prefix_format(&n->subnets[i], text));
		fputs(i + 1 == n->n_subnets ? "]" : "", f);
	}
	emit_addresses(f, &first, "gateway", n->gateways, n->n_gateways);
	if (n->encap != c->encap) {
		emit_key(f, &first, "encap");
		fputs(config_encap_name(n->encap), f);
	}
	if (n->encryption_own) {
		emit_key(f, &first, "encryption");
		fputs(config_encryption_name(n->encryption), f);
	}
	emit_true(f, &first, "flood", n->flood);
	if (n->mode == CONFIG_MODE_L2 && n->storm_limit != c->storm_limit)
		emit_limit(f, &first, "storm_limit", n->storm_limit);
	if (n->import.length > 0 || n->export.length > 0) {
		emit_key(f, &first, "route_targets");
		emit_targets(f, &n->import, &n->export);
	}
	fputs("}\n", f);
}

static void emit_tenant(FILE *f, const struct config *c, const struct config_tenant *t)
{
	emit_entry(f, 2, t->name);
	fprintf(f, "\n    vni: %u\n", t->vni);
	if (t->import.length > 0 || t->export.length > 0) {
		fputs("    route_targets: ", f);
		emit_targets(f, &t->import, &t->export);
		fputc('\n', f);
	}
	if (t->n_networks == 0)
		return;
	fputs("    networks:\n", f);
	for (size_t i = 0; i < t->n_networks; i++)
		emit_network(f, c, &t->networks[i]);
}

static void emit_words(FILE *f, bool *first, const char *key, uint32_t bits, const struct schema_word *w)
{
	const char *joint = "[";

	emit_key(f, first, key);
	for (; w->word; w++) {
		if (!(bits & w->value))
			continue;
		fprintf(f, "%s%s", joint, w->word);
		joint = ", ";
	}
	fputc(']', f);
}

static void emit_port(FILE *f, const struct config_port *p)
{
	bool first = true;

	emit_entry(f, 2, p->name);
	fputs(" {", f);
	emit_key(f, &first, "node");
	emit_text(f, p->node->name);
	if (p->interface) {
		emit_key(f, &first, "interface");
		emit_text(f, p->interface);
	}
	emit_key(f, &first, "network");
	emit_text(f, p->network->full_name);
	emit_mac(f, &first, "mac", &p->mac);
	emit_addresses(f, &first, "addresses", p->addresses, p->n_addresses);
	if (!p->security) {
		emit_key(f, &first, "port_security");
		fputs("false", f);
	}
	if (p->allow != 0)
		emit_words(f, &first, "allow", p->allow, schema_find(&schema_port, "allow")->type->words);
	if (p->storm_limit != p->network->storm_limit)
		emit_limit(f, &first, "storm_limit", p->storm_limit);
	fputs("}\n", f);
}

static void emit_peer(FILE *f, const struct config_port *p)
{
	const struct config_peer *peer = p->peer;
	char text[ADDR_TEXT_SIZE];
	bool first = true;

	emit_entry(f, 2, p->name);
	fputs(" {", f);
	emit_key(f, &first, "node");
	emit_text(f, p->node->name);
	emit_key(f, &first, "network");
	emit_text(f, p->network->full_name);
	emit_public_key(f, &first, &peer->public_key);
	emit_addresses(f, &first, "addresses", p->addresses, p->n_addresses);
	emit_optional(f, &first, "preshared_key_file", peer->preshared_key_file);
	if (peer->endpoint_port) {
		emit_key(f, &first, "endpoint");
		fprintf(f, addr_is_v4(&peer->endpoint) ? "\"%s:%u\"" : "\"[%s]:%u\"", addr_format(&peer->endpoint, text),
			peer->endpoint_port);
	}
	if (peer->keepalive_s)
		emit_number(f, &first, "keepalive", peer->keepalive_s);
	fputs("}\n", f);
}

static void emit_peers(FILE *f, const struct config *c)
{
	bool any = false;

	for (size_t i = 0; i < c->n_ports; i++) {
		if (!c->ports[i].peer)
			continue;
		fputs(any ? "" : "peers:\n", f);
		emit_peer(f, &c->ports[i]);
		any = true;
	}
}

/* What the parser counts in that line: the map, each value, and each list with its items. */
static size_t port_values(const struct config_port *p)
{
	size_t n = 4 + (p->interface != NULL) + !p->security;

	if (p->n_addresses > 0)
		n += 1 + p->n_addresses;
	if (p->allow != 0)
		n += 1 + (size_t)__builtin_popcount(p->allow);
	return n + (p->storm_limit != p->network->storm_limit);
}

static void emit_ports(FILE *f, const struct config *c, bool runtime_only)
{
	struct config_walk w = {.at = runtime_only ? c->n_ports : 0};
	const struct config_port *p;
	bool any = false;

	while ((p = config_walk(c, &w))) {
		if (p->peer)
			continue;
		fputs(any ? "" : "ports:\n", f);
		emit_port(f, p);
		any = true;
	}
	fputs(any ? "" : "ports: {}\n", f);
}

static void emit_grant(FILE *f, bool *first, const char *key, const struct config_grant *g, bool internal)
{
	for (size_t i = 0; i < g->n_tenants; i++)
		emit_item(f, first, key, i, g->tenants[i]->name);
	emit_end(f, g->n_tenants);
	if (g->n_tenants > 0 || g->all == internal)
		return;
	emit_key(f, first, key);
	fputs(g->all ? "all" : "none", f);
}

static void emit_neighbor(FILE *f, const struct config_bgp *b, const struct config_neighbor *n)
{
	bool first = true, internal = n->remote_as == b->as;

	emit_entry(f, 4, n->name);
	fputs(" {", f);
	emit_key(f, &first, "address");
	emit_address(f, &n->address);
	emit_number(f, &first, "remote_as", n->remote_as);
	if (n->families != config_default_families(b, n->remote_as))
		emit_words(f, &first, "families", n->families, schema_find(&schema_neighbor, "families")->type->words);
	for (size_t i = 0; i < n->n_nodes; i++)
		emit_item(f, &first, "nodes", i, n->nodes[i]->name);
	emit_end(f, n->n_nodes);
	emit_optional(f, &first, "password_file", n->password_file);
	if (n->ttl_hops > 0)
		emit_number(f, &first, "ttl_security", n->ttl_hops);
	if (n->max_prefix > 0)
		emit_number(f, &first, "maximum_prefix", n->max_prefix);
	emit_grant(f, &first, "import", &n->import, internal);
	emit_grant(f, &first, "export", &n->export, internal);
	if (n->hold_s != b->hold_s)
		emit_number(f, &first, "hold_time", n->hold_s);
	if (n->restart_s != b->restart_s)
		emit_number(f, &first, "restart_time", n->restart_s);
	emit_true(f, &first, "disable_family", n->disable_family);
	emit_true(f, &first, "passive", n->passive);
	emit_true(f, &first, "shutdown", n->shutdown);
	emit_optional(f, &first, "description", n->description);
	fputs("}\n", f);
}

static void emit_bgp(FILE *f, const struct config_bgp *b)
{
	bool first = true;

	fprintf(f, "bgp:\n  as: %u\n  mesh: %s\n", b->as, config_mesh_name(b->mesh));
	if (b->n_reflectors > 0) {
		fputs("  ", f);
		emit_addresses(f, &first, "reflectors", b->reflectors, b->n_reflectors);
		fputc('\n', f);
	}
	fprintf(f, "  hold_time: %u\n  restart_time: %u\n  port: %u\n", b->hold_s, b->restart_s, b->port);
	if (b->password_file) {
		fputs("  password_file: ", f);
		emit_text(f, b->password_file);
		fputc('\n', f);
	}
	if (b->n_neighbors > 0)
		fputs("  neighbors:\n", f);
	for (size_t i = 0; i < b->n_neighbors; i++)
		emit_neighbor(f, b, &b->neighbors[i]);
}

int conf_emit(const struct config *c, bool runtime_only, FILE *f)
{
	if (!runtime_only) {
		fputs("version: 1\n", f);
		emit_fabric(f, c);
		fputs(c->n_sites > 0 ? "sites:\n" : "sites: {}\n", f);
		for (size_t i = 0; i < c->n_sites; i++) {
			emit_entry(f, 2, c->sites[i].name);
			fputs(" {}\n", f);
		}
		fputs(c->n_pairs > 0 ? "site_pairs:\n" : "", f);
		for (size_t i = 0; i < c->n_pairs; i++)
			emit_pair(f, &c->pairs[i]);
		fputs(c->n_nodes > 0 ? "nodes:\n" : "nodes: {}\n", f);
		for (size_t i = 0; i < c->n_nodes; i++)
			emit_node(f, &c->nodes[i]);
		fputs(c->n_tenants > 0 ? "tenants:\n" : "tenants: {}\n", f);
		for (size_t i = 0; i < c->n_tenants; i++)
			emit_tenant(f, c, &c->tenants[i]);
		emit_peers(f, c);
		if (c->bgp)
			emit_bgp(f, c->bgp);
	}
	emit_ports(f, c, runtime_only);
	return ferror(f) ? -EIO : 0;
}

/* ---- how much that is ---- */

size_t conf_runtime_values(const struct config *c)
{
	size_t n = 2; /* the text's map and that of `ports` */

	for (size_t i = 0; i < c->n_runtime; i++)
		n += port_values(c->runtime[i]);
	return n;
}

int conf_runtime_extent(const struct config *c, struct conf_extent *out)
{
	_cleanup_(free) char *text = NULL;
	size_t size = 0;
	FILE *f = text_stream(&text, &size);
	int r;

	if (!f)
		return -ENOMEM;
	r = conf_emit(c, true, f);
	if (fclose(f) != 0)
		r = -ENOMEM;
	if (r < 0)
		return r;
	*out = (struct conf_extent){.size = size, .values = conf_runtime_values(c)};
	return 0;
}

bool conf_extent_fits(const struct conf_extent *e, size_t size_max)
{
	if (size_max == 0)
		size_max = CONF_TEXT_MAX;
	return e->size <= size_max && e->values <= yaml_nodes_max(size_max);
}
