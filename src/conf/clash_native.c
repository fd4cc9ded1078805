/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Without encapsulation a tenant lives in the underlay's own address space.  There is one of that, so it is one tenant's,
 * all of it, and apart from what the nodes themselves have.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "conf/build.h"
#include "lib/cleanup.h"

struct held {
	struct prefix prefix;
	const struct yaml_node *node;
};

static bool is_native(const struct config_network *n)
{
	return n->encap == CONFIG_ENCAP_NONE;
}

/* Where the network says how it is encapsulated, or what it is where the fabric says it for all. */
static const struct yaml_node *place_of(const struct yaml_node *map)
{
	const struct yaml_node *encap = yaml_get(map, "encap");

	return encap ? encap : yaml_get(map, "mode");
}

/* The first in the order of the text; `tenant` is where it stands. */
static const struct config_network *find_native(struct build *b, const struct yaml_node **tenant)
{
	for (const struct yaml_node *t = build_entries(&b->yamls[0]->root, "tenants"); t; t = t->next)
		for (const struct yaml_node *m = build_entries(t, "networks"); t->object && m; m = m->next)
			if (m->object && is_native(m->object)) {
				*tenant = t;
				return m->object;
			}
	return NULL;
}

static void check_network(struct build *b, const struct yaml_node *map, const struct config_network *n,
			  const struct config_network *first)
{
	const struct yaml_node *at = place_of(map);

	if (!at)
		return;
	if (is_native(n) && n->mode == CONFIG_MODE_L2)
		report_value(b->report, at, CONF_NATIVE,
			     "an l2 network without encapsulation could not leave its node; expected encap: vxlan, or "
			     "mode: l3");
	else if (is_native(n) && n->tenant != first->tenant)
		report_value(b->report, at, CONF_NATIVE,
			     "%s (line %u) has no encapsulation, and two tenants cannot share the underlay's addresses; "
			     "expected encap: vxlan in all tenants but one",
			     first->full_name, first->place.line);
	else if (!is_native(n) && n->tenant == first->tenant)
		report_value(b->report, at, CONF_NATIVE,
			     "%s (line %u) has no encapsulation; expected encap: none in all networks of its tenant, or in "
			     "none of them",
			     first->full_name, first->place.line);
}

/* Packets as they are are in clear text: that has to be what was written. */
static void check_encryption(struct build *b, const struct yaml_node *map, const struct config_network *n)
{
	const struct yaml_node *at = yaml_get(map, "encryption") ? yaml_get(map, "encryption") : place_of(map);
	const struct config *c = b->config;
	const char *who = n->encryption_own ? "its own word" : "fabric.encryption";
	bool asks = n->encryption != CONFIG_ENCRYPTION_NEVER;
	char pair[CONFIG_NAME_MAX + 16];

	for (size_t i = 0; i < c->n_pairs && !asks && !n->encryption_own; i++) {
		asks = c->pairs[i].encrypts;
		snprintf(pair, sizeof(pair), "site_pairs.%s", c->pairs[i].name);
		who = pair;
	}
	if (asks && at && is_native(n))
		report_value(b->report, at, CONF_NOT_ENCRYPTABLE,
			     "%s has no encapsulation, and what has none cannot be encrypted, which %s asks for; expected "
			     "encap: vxlan, or encryption: never",
			     n->full_name, who);
}

static int held_compare(const void *a, const void *b)
{
	const struct held *x = a, *y = b;

	return addr_compare(&x->prefix.addr, &y->prefix.addr);
}

/* Those of the tenant, in order; they do not overlap, or that was said. */
static int collect(const struct yaml_node *tenant, struct held **out, size_t *length)
{
	size_t n = 0, i = 0;

	for (const struct yaml_node *m = build_entries(tenant, "networks"); m; m = m->next)
		if (m->object)
			n += ((const struct config_network *)m->object)->n_subnets;
	*out = calloc(n + 1, sizeof(**out));
	if (!*out)
		return -ENOMEM;
	for (const struct yaml_node *m = build_entries(tenant, "networks"); m; m = m->next) {
		const struct config_network *network = m->object;
		const struct yaml_node *list = yaml_get(m, "subnets");
		size_t k = 0;

		if (!network || network->n_subnets == 0)
			continue;
		for (const struct yaml_node *s = yaml_item_first(list); s; s = yaml_item_next(list, s))
			(*out)[i++] = (struct held){network->subnets[k++], s};
	}
	qsort(*out, n, sizeof(**out), held_compare);
	*length = n;
	return 0;
}

static const struct held *find_held(const struct held *all, size_t n, const struct addr *a)
{
	size_t low = 0, high = n;

	while (low < high) { /* the last that does not begin behind it */
		size_t middle = (low + high) / 2;

		if (addr_compare(&all[middle].prefix.addr, a) <= 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low > 0 && prefix_contains(&all[low - 1].prefix, a) ? &all[low - 1] : NULL;
}

static void check_underlay(struct build *b, const struct held *all, size_t n)
{
	for (size_t i = 0; i < b->config->n_nodes; i++) {
		const struct config_node *node = &b->config->nodes[i];

		for (size_t k = 0; k < node->n_underlay; k++) {
			const struct held *held = find_held(all, n, &node->underlay[k]);
			char subnet[PREFIX_TEXT_SIZE], address[ADDR_TEXT_SIZE];

			if (held)
				report_value(b->report, held->node, CONF_NATIVE,
					     "%s holds %s, an underlay address of node %s (line %u); expected a subnet "
					     "apart from the underlay, as its network has no encapsulation",
					     prefix_format(&held->prefix, subnet), addr_format(&node->underlay[k], address),
					     node->name, node->place.line);
		}
	}
}

static void check_peer(struct build *b, const struct held *all, size_t n, const struct yaml_node *at)
{
	char subnet[PREFIX_TEXT_SIZE];
	const struct held *held;
	struct addr a;

	if (!at || addr_parse(at->text, &a) < 0)
		return;
	held = find_held(all, n, &a);
	if (held)
		report_value(b->report, at, CONF_NATIVE,
			     "%s lies in %s (line %u), whose network has no encapsulation: packets to it would be its "
			     "ports'; expected an address of the underlay",
			     at->text, prefix_format(&held->prefix, subnet), held->node->place.line);
}

/* Sessions run over the underlay, too. */
static void check_peers(struct build *b, const struct held *all, size_t n)
{
	const struct yaml_node *bgp = yaml_get(&b->yamls[0]->root, "bgp");
	const struct yaml_node *list = bgp ? yaml_get(bgp, "reflectors") : NULL;

	if (!bgp)
		return;
	for (const struct yaml_node *i = yaml_item_first(list); i; i = yaml_item_next(list, i))
		check_peer(b, all, n, i);
	for (const struct yaml_node *m = build_entries(bgp, "neighbors"); m; m = m->next)
		check_peer(b, all, n, yaml_get(m, "address"));
}

static bool has_ipv6(const struct config_node *node)
{
	for (size_t i = 0; i < node->n_underlay; i++)
		if (!addr_is_v4(&node->underlay[i]))
			return true;
	return false;
}

/* The kernel routes IPv4 over IPv6 next hops (RFC 8950), not the other way round. */
static void check_port(struct build *b, const struct yaml_node *map, const struct config_port *p)
{
	const struct yaml_node *list = yaml_get(map, "addresses");
	char way_out[128];
	struct addr a;

	if (!p->network || !p->node || !is_native(p->network) || p->node->n_underlay == 0 || has_ipv6(p->node))
		return;
	for (const struct yaml_node *i = yaml_item_first(list); i; i = yaml_item_next(list, i)) {
		if (addr_parse(i->text, &a) < 0 || addr_is_v4(&a))
			continue;
		report_value(b->report, i, CONF_NATIVE,
			     "%s has no encapsulation, and node %s (line %u) no IPv6 underlay address over which others "
			     "could route to %s; expected one beside its IPv4 address, or encap: vxlan%s",
			     p->network->full_name, p->node->name, p->node->place.line, i->text,
			     build_way_out(b, i, NULL, way_out, sizeof(way_out)));
	}
}

int clash_native(struct build *b)
{
	_cleanup_(free) struct held *all = NULL;
	const struct yaml_node *tenant = NULL;
	const struct config_network *first = find_native(b, &tenant);
	size_t n;
	int r;

	if (!first)
		return 0;
	for (const struct yaml_node *t = build_entries(&b->yamls[0]->root, "tenants"); t; t = t->next)
		for (const struct yaml_node *m = build_entries(t, "networks"); t->object && m; m = m->next)
			if (m->object) {
				check_network(b, m, m->object, first);
				check_encryption(b, m, m->object);
			}
	r = collect(tenant, &all, &n);
	if (r < 0)
		return r;
	check_underlay(b, all, n);
	check_peers(b, all, n);
	for (size_t i = 0; i < b->n_yamls; i++)
		for (const struct yaml_node *p = build_entries(&b->yamls[i]->root, "ports"); p; p = p->next)
			if (p->object)
				check_port(b, p, p->object);
	for (const struct yaml_node *p = build_entries(&b->yamls[0]->root, "peers"); p; p = p->next)
		if (p->object)
			check_port(b, p, p->object);
	return 0;
}
