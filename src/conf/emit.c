/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "conf/conf.h"
#include "conf/schema.h"
#include "conf/yaml.h"
#include "lib/cleanup.h"
#include "lib/text.h"

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
	fputs("}\n", f);
}

static void emit_node(FILE *f, const struct config_node *n)
{
	bool first = true;

	emit_entry(f, 2, n->name);
	fputs(" {", f);
	emit_key(f, &first, "site");
	emit_text(f, n->site->name);
	emit_addresses(f, &first, "underlay", n->underlay, n->n_underlay);
	for (size_t i = 0; i < n->n_interfaces; i++) {
		if (i == 0)
			emit_key(f, &first, "interfaces");
		fputs(i == 0 ? "[" : ", ", f);
		emit_text(f, n->interfaces[i]);
		fputs(i + 1 == n->n_interfaces ? "]" : "", f);
	}
	if (n->mtu > 0) {
		emit_key(f, &first, "mtu");
		fprintf(f, "%u", n->mtu);
	}
	if (n->foreign) {
		emit_key(f, &first, "foreign");
		fputs("true", f);
	}
	for (size_t i = 0; i < n->n_networks; i++) {
		if (i == 0)
			emit_key(f, &first, "networks");
		fputs(i == 0 ? "[" : ", ", f);
		emit_text(f, n->networks[i]->full_name);
		fputs(i + 1 == n->n_networks ? "]" : "", f);
	}
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
	if (n->encryption != c->encryption) {
		emit_key(f, &first, "encryption");
		fputs(config_encryption_name(n->encryption), f);
	}
	if (n->flood) {
		emit_key(f, &first, "flood");
		fputs("true", f);
	}
	if (n->mode == CONFIG_MODE_L2 && n->storm_limit != c->storm_limit)
		emit_limit(f, &first, "storm_limit", n->storm_limit);
	fputs("}\n", f);
}

static void emit_tenant(FILE *f, const struct config *c, const struct config_tenant *t)
{
	emit_entry(f, 2, t->name);
	fprintf(f, "\n    vni: %u\n", t->vni);
	if (t->n_networks == 0)
		return;
	fputs("    networks:\n", f);
	for (size_t i = 0; i < t->n_networks; i++)
		emit_network(f, c, &t->networks[i]);
}

static void emit_allow(FILE *f, bool *first, uint32_t allow)
{
	const struct schema_word *w = schema_find(&schema_port, "allow")->type->words;
	const char *joint = "[";

	if (allow == 0)
		return;
	emit_key(f, first, "allow");
	for (; w->word; w++) {
		if (!(allow & w->value))
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
	emit_allow(f, &first, p->allow);
	if (p->storm_limit != p->network->storm_limit)
		emit_limit(f, &first, "storm_limit", p->storm_limit);
	fputs("}\n", f);
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
	const struct config_port *p = config_walk(c, &w);

	fputs(p ? "ports:\n" : "ports: {}\n", f);
	for (; p; p = config_walk(c, &w))
		emit_port(f, p);
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
		fputs(c->n_nodes > 0 ? "nodes:\n" : "nodes: {}\n", f);
		for (size_t i = 0; i < c->n_nodes; i++)
			emit_node(f, &c->nodes[i]);
		fputs(c->n_tenants > 0 ? "tenants:\n" : "tenants: {}\n", f);
		for (size_t i = 0; i < c->n_tenants; i++)
			emit_tenant(f, c, &c->tenants[i]);
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
