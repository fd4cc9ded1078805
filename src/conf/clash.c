/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What contradicts what.  Whatever only one may have is claimed (claim.h).  The order is that of the text, tenants before
 * nodes before ports.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "conf/build.h"
#include "conf/claim.h"
#include "lib/cleanup.h"

/* Who is in a tenant with one address family only: the first such node with isthmusd, the first foreign one. */
struct lonely {
	const struct config_node *node;
	const struct yaml_node *reason; /* what brought it into the tenant */
};

struct clash {
	struct build *b;
	struct claims claims;
	struct lonely (*lonely)[2][2]; /* by tenant, [IPv6 only], [foreign] */
	struct crowd crowd;
};

/* ---- tenants and networks ---- */

static void claim_vni(struct clash *x, const struct yaml_node *map, uint32_t vni)
{
	const struct yaml_node *n = yaml_get(map, "vni");
	char text[24];

	if (!n || vni == 0)
		return;
	snprintf(text, sizeof(text), "VNI %u", vni);
	claim_value(&x->claims, CLAIM_VNI, NULL, &vni, sizeof(vni), text, n);
}

static void describe_subnets(const struct config_network *n, char *out, size_t size)
{
	char buffer[PREFIX_TEXT_SIZE];
	size_t used = 0;

	out[0] = '\0';
	for (size_t i = 0; i < n->n_subnets && i < 4 && used < size; i++)
		used += (size_t)snprintf(out + used, size - used, "%s%s", joint(i, n->n_subnets),
					 prefix_format(&n->subnets[i], buffer));
	if (n->n_subnets > 4 && used < size)
		snprintf(out + used, size - used, ", ...");
}

static const char *reserved_name(const struct prefix *p, const struct addr *a)
{
	if (!addr_is_v4(a))
		return "subnet-router anycast"; /* RFC 4291 2.6.1 */
	return addr_equal(a, &p->addr) ? "network" : "broadcast";
}

/* Is it a host address of the network's subnets?  `network` is its entry in the tree. */
static void check_inside(struct clash *x, const struct config_network *network, const struct addr *a,
			 const struct yaml_node *n)
{
	char subnets[4 * (PREFIX_TEXT_SIZE + 4) + 8], subnet[PREFIX_TEXT_SIZE], way_out[128];

	build_way_out(x->b, n, NULL, way_out, sizeof(way_out));
	for (size_t i = 0; i < network->n_subnets; i++) {
		const struct prefix *p = &network->subnets[i];

		if (!prefix_contains(p, a))
			continue;
		if (prefix_reserves(p, a))
			report_value(x->b->report, n, CONF_RESERVED_ADDRESS,
				     "%s is the %s address of %s, a subnet of %s (line %u); expected a host address in "
				     "it%s",
				     n->text, reserved_name(p, a), prefix_format(p, subnet), network->full_name,
				     network->place.line, way_out);
		return;
	}
	describe_subnets(network, subnets, sizeof(subnets));
	report_value(x->b->report, n, CONF_OUTSIDE_SUBNETS,
		     "%s is outside the subnets of %s (line %u); expected an address in %s%s", n->text,
		     network->full_name, network->place.line, subnets, way_out);
}

static void check_families(struct clash *x, const struct yaml_node *list, const char *what)
{
	const struct yaml_node *first[2] = {};
	struct addr a;

	for (const struct yaml_node *i = yaml_item_first(list); i; i = yaml_item_next(list, i)) {
		const struct yaml_node **f;

		addr_parse(i->text, &a);
		f = &first[addr_is_v4(&a)];
		if (*f)
			report_value(
				x->b->report, i, CONF_FAMILY_TWICE,
				"a second IPv%c %s address beside %s (line %u); expected at most one of each family",
				addr_is_v4(&a) ? '4' : '6', what, (*f)->text, (*f)->place.line);
		else
			*f = i;
	}
}

static void check_gateways(struct clash *x, const struct yaml_node *map, const struct config_network *network)
{
	const struct yaml_node *list = yaml_get(map, "gateway");
	char text[ADDR_TEXT_SIZE];
	struct addr a;

	check_families(x, list, "gateway");
	for (const struct yaml_node *i = yaml_item_first(list); i; i = yaml_item_next(list, i)) {
		addr_parse(i->text, &a);
		claim_value(&x->claims, CLAIM_ADDRESS, network->tenant, &a, sizeof(a), addr_format(&a, text), i);
		if (network->n_subnets > 0) {
			check_inside(x, network, &a, i);
		} else if (build_is_whole(map, "subnets") && network->mode == CONFIG_MODE_L2) {
			report_value(
				x->b->report, i, CONF_OUTSIDE_SUBNETS,
				"%s has no subnet to be in: %s (line %u) has none; expected subnets beside the gateway",
				i->text, network->full_name, network->place.line);
		}
	}
}

struct subnet_at {
	struct prefix prefix;
	const struct yaml_node *node;
};

static int subnet_compare(const void *a, const void *b)
{
	const struct subnet_at *x = a, *y = b;
	int order = addr_compare(&x->prefix.addr, &y->prefix.addr);

	if (order == 0)
		order = (int)x->prefix.length - (int)y->prefix.length;
	if (order == 0)
		order = x->node->place.line < y->node->place.line ? -1 : x->node->place.line > y->node->place.line;
	return order ? order : (x->node->place.column < y->node->place.column ? -1 : 1);
}

static void report_overlap(struct clash *x, const struct subnet_at *a, const struct subnet_at *b)
{
	const struct subnet_at *first = claim_is_later(a->node, b->node) ? b : a, *second = first == a ? b : a;
	_cleanup_(free) char *path = report_owner(x->b->report, first->node);
	char text[2][PREFIX_TEXT_SIZE];

	report_value(x->b->report, second->node, CONF_SUBNETS_OVERLAP,
		     "%s overlaps %s, which is %s (line %u); expected a subnet apart from the others of the tenant",
		     prefix_format(&second->prefix, text[0]), prefix_format(&first->prefix, text[1]),
		     path ? path : "another", first->node->place.line);
}

/* In order of address and length, an overlap is always with the last one that is not itself inside another. */
static int check_subnets(struct clash *x, const struct yaml_node *tenant)
{
	_cleanup_(free) struct subnet_at *all = NULL;
	const struct subnet_at *cover = NULL;
	size_t n = 0, i = 0;

	for (const struct yaml_node *m = build_entries(tenant, "networks"); m; m = m->next)
		if (m->object)
			n += ((const struct config_network *)m->object)->n_subnets;
	if (n < 2)
		return 0;
	all = calloc(n, sizeof(*all));
	if (!all)
		return -ENOMEM;
	for (const struct yaml_node *m = build_entries(tenant, "networks"); m; m = m->next) {
		const struct config_network *network = m->object;
		const struct yaml_node *list;
		size_t k = 0;

		if (!network || network->n_subnets == 0)
			continue;
		list = yaml_get(m, "subnets");
		for (const struct yaml_node *s = yaml_item_first(list); s; s = yaml_item_next(list, s))
			all[i++] = (struct subnet_at){network->subnets[k++], s};
	}
	qsort(all, n, sizeof(*all), subnet_compare);
	for (i = 0; i < n; i++) {
		if (cover && prefix_overlaps(&cover->prefix, &all[i].prefix))
			report_overlap(x, cover, &all[i]);
		else
			cover = &all[i];
	}
	return 0;
}

static int check_tenants(struct clash *x)
{
	for (const struct yaml_node *t = build_entries(&x->b->yamls[0]->root, "tenants"); t; t = t->next) {
		const struct config_tenant *tenant = t->object;
		int r;

		if (!tenant)
			continue;
		claim_vni(x, t, tenant->vni);
		clash_targets(&x->claims, t);
		for (const struct yaml_node *m = build_entries(t, "networks"); m; m = m->next) {
			const struct config_network *network = m->object;

			if (!network)
				continue;
			claim_vni(x, m, network->vni);
			clash_targets(&x->claims, m);
			check_gateways(x, m, network);
		}
		r = check_subnets(x, t);
		if (r < 0)
			return r;
	}
	return 0;
}

/* ---- who is in which tenant and network ---- */

/* Two nodes of a tenant send to each other as soon as a workload wants to: routes in the tenant may lead anywhere. */
static void check_reach(struct clash *x, const struct config_node *node, const struct config_tenant *tenant,
			const struct yaml_node *reason)
{
	struct lonely(*lonely)[2] = x->lonely[tenant - x->b->config->tenants];
	_cleanup_(free) char *path = NULL;
	const struct lonely *other;
	char where[512], way_out[128];
	bool v4 = false, v6 = false;

	for (size_t i = 0; i < node->n_underlay; i++) {
		v4 |= addr_is_v4(&node->underlay[i]);
		v6 |= !addr_is_v4(&node->underlay[i]);
	}
	if (v4 == v6)
		return; /* both, or none because it was wrong */
	if (!lonely[v6][node->foreign].node)
		lonely[v6][node->foreign] = (struct lonely){node, reason};
	other = &lonely[!v6][0];
	if (!other->node && !node->foreign)
		other = &lonely[!v6][1]; /* two foreign nodes are none of our business */
	if (!other->node)
		return;
	path = report_owner(x->b->report, other->reason);
	report_value(
		x->b->report, reason, CONF_NO_COMMON_FAMILY,
		"node %s (line %u) has only IPv%c underlay addresses, and node %s (line %u), in tenant %s too by %s "
		"(%s), only IPv%c ones; expected one family that both have%s",
		node->name, node->place.line, v4 ? '4' : '6', other->node->name, other->node->place.line, tenant->name,
		path ? path : "a port", report_where(x->b->report, reason, other->reason, where, sizeof(where)),
		v4 ? '6' : '4', build_way_out(x->b, reason, other->reason, way_out, sizeof(way_out)));
}

/* `reason` made the node a member of the network. */
static void join(struct clash *x, const struct config_node *node, const struct config_network *network,
		 const struct yaml_node *reason)
{
	uint64_t id = (uintptr_t)node;
	const struct claim *c = claim_take(&x->claims, CLAIM_SEEN_TENANT, network->tenant, &id, sizeof(id), reason);

	if (c && c->count == 1)
		check_reach(x, node, network->tenant, reason);
	if (c && c->count == 1 && !node->foreign)
		clash_crowd_join(&x->crowd, &x->claims, node, network, reason);
	if (network->mode != CONFIG_MODE_L2)
		return; /* nothing is replicated */
	c = claim_take(&x->claims, CLAIM_SEEN_NETWORK, network, &id, sizeof(id), reason);
	if (!c || c->count > 1)
		return;
	if (node->foreign)
		clash_crowd_join(&x->crowd, &x->claims, node, network, reason);
	c = claim_take(&x->claims, CLAIM_COUNT_NODES, network, &id, 0, reason);
	if (c && c->count == CONFIG_MAX_FLOOD + 1)
		report_value(
			x->b->report, reason, CONF_TOO_MANY_MEMBERS,
			"more than %u nodes in %s (line %u); expected at most so many: each gets a copy of a broadcast",
			CONFIG_MAX_FLOOD, network->full_name, network->place.line);
}

/* ---- nodes ---- */

static void check_router_mac(struct clash *x, const struct yaml_node *map, const struct config_node *node)
{
	const struct yaml_node *n = yaml_get(map, "underlay");
	char text[MAC_TEXT_SIZE], what[32 + MAC_TEXT_SIZE];
	struct mac mac;

	if (!n || node->n_underlay == 0 || !build_is_whole(map, "underlay"))
		return;
	config_router_mac(node, &mac);
	snprintf(what, sizeof(what), "the router MAC %s made from it", mac_format(&mac, text));
	if (mac_equal(&mac, &x->b->config->gateway_mac))
		report_value(x->b->report, n, CONF_ROUTER_MAC_TWICE,
			     "%s is fabric.gateway_mac; expected another gateway_mac, or another underlay address",
			     what);
	claim_value(&x->claims, CLAIM_ROUTER_MAC, NULL, &mac, sizeof(mac), what, n);
}

static void check_nodes(struct clash *x)
{
	for (const struct yaml_node *n = build_entries(&x->b->yamls[0]->root, "nodes"); n; n = n->next) {
		const struct config_node *node = n->object;
		const struct yaml_node *list;
		char text[ADDR_TEXT_SIZE];
		bool shared = false;
		size_t k = 0;

		if (!node)
			continue;
		list = yaml_get(n, "underlay");
		check_families(x, list, "underlay");
		for (const struct yaml_node *i = yaml_item_first(list); i; i = yaml_item_next(list, i)) {
			size_t errors = x->b->report->total;

			claim_value(&x->claims, CLAIM_UNDERLAY, NULL, &node->underlay[k], sizeof(node->underlay[k]),
				    addr_format(&node->underlay[k], text), i);
			shared |= x->b->report->total > errors;
			k++;
		}
		if (!shared) { /* else the MACs and router ids are equal too, and that was said */
			check_router_mac(x, n, node);
			clash_router_id(&x->claims, n, node);
		}
		list = yaml_get(n, "interfaces");
		for (const struct yaml_node *i = yaml_item_first(list); i; i = yaml_item_next(list, i))
			claim_value(&x->claims, CLAIM_INTERFACE, node, i->text, strlen(i->text), i->text, i);
		list = yaml_get(n, "networks");
		for (const struct yaml_node *i = yaml_item_first(list); i; i = yaml_item_next(list, i)) {
			const struct config_network *network = config_network(x->b->config, i->text);
			uint64_t id = (uintptr_t)network;

			if (!network)
				continue;
			claim_value(&x->claims, CLAIM_MEMBERSHIP, node, &id, sizeof(id), i->text, i);
			if (node->foreign)
				join(x, node, network, i);
		}
	}
}

/* ---- ports ---- */

static void check_port_addresses(struct clash *x, const struct yaml_node *map, const struct config_port *p)
{
	const struct yaml_node *list = yaml_get(map, "addresses");
	char text[ADDR_TEXT_SIZE];
	struct addr a;

	for (const struct yaml_node *i = yaml_item_first(list); i; i = yaml_item_next(list, i)) {
		addr_parse(i->text, &a);
		claim_value(&x->claims, CLAIM_ADDRESS, p->network->tenant, &a, sizeof(a), addr_format(&a, text), i);
		if (p->network->n_subnets > 0 && (addr_is_v4(&a) || !addr_is_link_local(&a)))
			check_inside(x, p->network, &a, i);
	}
}

static void check_port_mac(struct clash *x, const struct yaml_node *map, const struct config_port *p)
{
	const struct yaml_node *n = yaml_get(map, p->peer ? "public_key" : "mac");
	bool l2 = p->network->mode == CONFIG_MODE_L2;
	char text[MAC_TEXT_SIZE], what[32 + MAC_TEXT_SIZE], way_out[128];
	const struct claim *first;

	if (!n)
		return;
	mac_format(&p->mac, text);
	if (mac_equal(&p->mac, &x->b->config->gateway_mac))
		report_value(x->b->report, n, CONF_MAC_TWICE,
			     "%s is fabric.gateway_mac, the MAC of every gateway; expected the workload's own%s", text,
			     build_way_out(x->b, n, NULL, way_out, sizeof(way_out)));
	first = p->peer ? claim_find(&x->claims, CLAIM_MAC_L3, p->network->tenant, &p->mac, sizeof(p->mac)) : NULL;
	if (first && strcmp(first->owner->text, n->text) == 0)
		return; /* one key for two: that is said of it */
	if (p->peer)
		snprintf(what, sizeof(what), "the MAC %s made from it", text);
	claim_value(&x->claims, l2 ? CLAIM_MAC_L2 : CLAIM_MAC_L3, l2 ? (void *)p->network : p->network->tenant, &p->mac,
		    sizeof(p->mac), p->peer ? what : text, n);
}

static void count_port(struct clash *x, const struct yaml_node *map, const struct config_port *p)
{
	uint64_t id = (uintptr_t)p->node;
	const struct claim *c;

	if (p->network->mode != CONFIG_MODE_L2 || p->node->foreign)
		return;
	c = claim_take(&x->claims, CLAIM_COUNT_PORTS, p->network, &id, sizeof(id), map);
	if (c && c->count == CONFIG_MAX_FLOOD + 1)
		report_key(x->b->report, map, CONF_TOO_MANY_MEMBERS,
			   "more than %u ports of %s (line %u) on node %s (line %u); expected at most so many: each "
			   "gets a copy of a broadcast",
			   CONFIG_MAX_FLOOD, p->network->full_name, p->network->place.line, p->node->name,
			   p->node->place.line);
}

static void check_port(struct clash *x, const struct yaml_node *map, const struct config_port *p)
{
	const struct yaml_node *list = yaml_get(map, "allow"), *interface = yaml_get(map, "interface");

	if (p->node && interface)
		claim_value(&x->claims, CLAIM_INTERFACE, p->node, p->interface, strlen(p->interface), p->interface,
			    interface);
	for (const struct yaml_node *i = yaml_item_first(list); i; i = yaml_item_next(list, i)) {
		uint32_t bit = schema_word_value(schema_find(&schema_port, "allow")->type, i->text);

		claim_value(&x->claims, CLAIM_WORD, p, &bit, sizeof(bit), i->text, i);
	}
	if (!p->network)
		return;
	check_port_mac(x, map, p);
	check_port_addresses(x, map, p);
	if (!p->node)
		return;
	join(x, p->node, p->network, yaml_get(map, "node"));
	count_port(x, map, p);
}

/* A peer is a port; its interface stands nowhere in the text. */
static void check_peer(struct clash *x, const struct yaml_node *map, const struct config_port *p)
{
	char what[32 + CONFIG_INTERFACE_SIZE];

	snprintf(what, sizeof(what), "its interface %s", p->interface);
	if (p->node)
		claim_value(&x->claims, CLAIM_INTERFACE, p->node, p->interface, strlen(p->interface), what, map);
	if (!p->network || p->network->mode != CONFIG_MODE_L3)
		return; /* the latter is wrong, and that was said */
	check_port_mac(x, map, p);
	check_port_addresses(x, map, p);
	if (p->node)
		join(x, p->node, p->network, yaml_get(map, "node"));
}

int clash_check(struct build *b)
{
	struct clash x = {.b = b, .claims = claims_init(b)};
	int r = clash_crowd_init(&x.crowd, b->config);

	x.lonely = calloc(b->config->n_tenants + 1, sizeof(*x.lonely));
	if (!x.lonely)
		r = -ENOMEM;
	if (r >= 0)
		r = check_tenants(&x);
	if (r >= 0) {
		check_nodes(&x);
		r = clash_bgp(&x.claims);
		for (const struct yaml_node *n = build_entries(&b->yamls[0]->root, "peers"); n; n = n->next)
			if (n->object)
				check_peer(&x, n, n->object);
		for (size_t i = 0; i < b->n_yamls; i++)
			for (const struct yaml_node *n = build_entries(&b->yamls[i]->root, "ports"); n; n = n->next)
				if (n->object)
					check_port(&x, n, n->object);
	}
	if (r >= 0)
		r = clash_native(b);
	if (r >= 0)
		r = clash_encryption(b, &x.crowd);
	claims_fini(&x.claims);
	clash_crowd_fini(&x.crowd);
	free(x.lonely);
	return r;
}
