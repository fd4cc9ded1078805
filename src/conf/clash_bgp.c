/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What of BGP contradicts what: router ids, who peers with whom twice, values twice in a list.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "conf/build.h"
#include "conf/claim.h"
#include "conf/schema.h"
#include "conf/value.h"
#include "lib/cleanup.h"
#include "model/extended.h"

/* ---- values twice in a list ---- */

struct item {
	uint64_t id; /* what it means */
	size_t index;
	const struct yaml_node *node;
};

static int item_compare(const void *a, const void *b)
{
	const struct item *x = a, *y = b;

	if (x->id != y->id)
		return x->id < y->id ? -1 : 1;
	return x->index < y->index ? -1 : 1;
}

/* Sorted and not claimed: lists may be long, and what is in them matters in them alone.  id 0: not to be looked at. */
static void check_once(struct claims *all, const struct yaml_node *list,
		       uint64_t (*id_of)(const struct config *c, const char *text))
{
	size_t n = value_count(list), i = 0;
	_cleanup_(free) struct item *items = NULL;
	const struct item *first;

	if (n < 2)
		return;
	items = calloc(n, sizeof(*items));
	if (!items) {
		all->b->report->no_memory = true;
		return;
	}
	for (const struct yaml_node *m = yaml_item_first(list); m; m = yaml_item_next(list, m), i++)
		items[i] = (struct item){id_of(all->b->config, m->text), i, m};
	qsort(items, n, sizeof(*items), item_compare);
	first = items;
	for (i = 1; i < n; i++) {
		_cleanup_(free) char *path = NULL;

		if (items[i].id != first->id || first->id == 0) {
			first = &items[i];
			continue;
		}
		path = report_owner(all->b->report, first->node);
		report_value(all->b->report, items[i].node, CONF_LISTED_TWICE,
			     "%s stands at %s (line %u) already; expected each value once", items[i].node->text,
			     path ? path : "another place", first->node->place.line);
	}
}

static uint64_t family_id(const struct config *c, const char *text)
{
	return schema_word_value(schema_find(&schema_neighbor, "families")->type, text);
}

static uint64_t node_id(const struct config *c, const char *text)
{
	return (uintptr_t)config_node(c, text);
}

static uint64_t tenant_id(const struct config *c, const char *text)
{
	return (uintptr_t)config_tenant(c, text);
}

static uint64_t target_id(const struct config *c, const char *text)
{
	uint64_t target;

	return extended_target_parse(text, &target) == 0 ? target : 0;
}

/* ---- nodes, tenants, networks ---- */

void clash_router_id(struct claims *all, const struct yaml_node *map, const struct config_node *node)
{
	const struct yaml_node *given = yaml_get(map, "router_id");
	char text[ADDR_TEXT_SIZE], what[64 + ADDR_TEXT_SIZE];
	struct addr a = addr_from_v4_number(node->router_id);

	if (!all->b->config->bgp || node->foreign || node->n_underlay == 0)
		return;
	snprintf(what, sizeof(what), "router id %s%s", addr_format(&a, text), given ? "" : ", which nobody gave,");
	claim_value(all, CLAIM_ROUTER_ID, NULL, &node->router_id, sizeof(node->router_id), what, given ? given : map);
}

void clash_targets(struct claims *all, const struct yaml_node *map)
{
	const struct yaml_node *targets = yaml_get(map, "route_targets");

	if (!targets)
		return;
	check_once(all, yaml_get(targets, "import"), target_id);
	check_once(all, yaml_get(targets, "export"), target_id);
}

/* ---- who is peered with ---- */

/* The node that has this underlay address, or NULL. */
static const struct config_node *node_at(const struct claims *all, const struct addr *a)
{
	const struct claim *c = claim_find(all, CLAIM_UNDERLAY, NULL, a, sizeof(*a));
	const struct yaml_node *n = c ? c->owner : NULL;

	while (n && !n->object)
		n = n->parent; /* up to the entry in `nodes` */
	return n ? n->object : NULL;
}

static void report_twice(struct claims *all, const struct yaml_node *n, const struct yaml_node *other,
			 const struct config_node *node)
{
	_cleanup_(free) char *path = report_owner(all->b->report, other);

	assert(other); /* who claims has a place, and so has an address */
	report_value(all->b->report, n, CONF_NEIGHBOR_TWICE,
		     "%s is %s (line %u) already%s%s; expected one neighbor with this address on a node", n->text,
		     path ? path : "another", other->place.line, node ? ", on node " : "",
		     node ? node->name : "");
}

/* Whom all nodes peer with.  Nobody else may be at that address, on any node. */
static void claim_everywhere(struct claims *all, const struct addr *a, const struct yaml_node *n)
{
	const struct claim *first = claim_take(all, CLAIM_PEER_SOMEWHERE, NULL, a, sizeof(*a), n);

	claim_take(all, CLAIM_PEER_EVERYWHERE, NULL, a, sizeof(*a), n);
	if (first && first->owner != n)
		report_twice(all, n, first->owner, NULL);
}

/* The same for one that names its nodes: those who do are compared with each other by check_peerings. */
static void claim_somewhere(struct claims *all, const struct addr *a, const struct yaml_node *n)
{
	const struct claim *c = claim_find(all, CLAIM_PEER_EVERYWHERE, NULL, a, sizeof(*a));

	claim_take(all, CLAIM_PEER_SOMEWHERE, NULL, a, sizeof(*a), n);
	if (c)
		report_twice(all, n, c->owner, NULL);
}

/* A neighbor on one of the nodes that it names. */
struct peering {
	const struct config_neighbor *neighbor;
	const struct config_node *node;
	const struct yaml_node *at; /* its address */
};

static int peering_compare(const void *a, const void *b)
{
	const struct peering *x = a, *y = b;
	int order = addr_compare(&x->neighbor->address, &y->neighbor->address);

	if (order == 0 && x->node != y->node)
		order = x->node < y->node ? -1 : 1;
	if (order == 0 && x->at != y->at)
		order = claim_is_later(x->at, y->at) ? 1 : -1;
	return order;
}

/* Where nodes are named, neighbors at one address may be apart.  Sorted and not claimed: see check_once. */
static int check_peerings(struct claims *all, const struct yaml_node *neighbors)
{
	_cleanup_(free) struct peering *peerings = NULL;
	const struct yaml_node *told = NULL;
	size_t n = 0, i = 0;

	for (const struct yaml_node *m = neighbors; m; m = m->next)
		n += m->object && yaml_get(m, "address") ? ((struct config_neighbor *)m->object)->n_nodes : 0;
	if (n < 2)
		return 0;
	peerings = calloc(n, sizeof(*peerings));
	if (!peerings)
		return -ENOMEM;
	for (const struct yaml_node *m = neighbors; m; m = m->next) {
		const struct config_neighbor *neighbor = m->object;
		const struct yaml_node *at = yaml_get(m, "address");

		for (size_t k = 0; neighbor && at && k < neighbor->n_nodes; k++)
			peerings[i++] = (struct peering){neighbor, neighbor->nodes[k], at};
	}
	n = i;
	qsort(peerings, n, sizeof(*peerings), peering_compare);
	for (i = 1; i < n; i++) {
		const struct peering *a = &peerings[i - 1], *b = &peerings[i];

		if (a->node != b->node || a->at == b->at || !addr_equal(&a->neighbor->address, &b->neighbor->address) ||
		    told == b->at)
			continue;
		told = b->at; /* once, and not for each node */
		report_twice(all, b->at, a->at, b->node);
	}
	return 0;
}

/* A node of the fabric: the mesh has it, or it would be told to peer with itself. */
static void check_own(struct claims *all, const struct config_neighbor *neighbor, const struct yaml_node *n)
{
	const struct config_node *node = node_at(all, &neighbor->address);

	if (!node || node->foreign)
		return;
	if (config_has_mesh(all->b->config))
		report_value(all->b->report, n, CONF_NEIGHBOR_TWICE,
			     "%s is node %s (line %u), which every node peers with in the mesh already; expected no "
			     "neighbor for it, or \"mesh: none\"",
			     n->text, node->name, node->place.line);
	else if (config_peers(neighbor, node))
		report_value(all->b->report, n, CONF_PEERS_WITH_SELF,
			     "%s is node %s itself (line %u), which would peer with it; expected nodes without %s",
			     n->text, node->name, node->place.line, node->name);
}

static void check_reflectors(struct claims *all, const struct yaml_node *map)
{
	const struct yaml_node *list = yaml_get(map, "reflectors");
	struct addr a;

	for (const struct yaml_node *i = yaml_item_first(list); i; i = yaml_item_next(list, i)) {
		const struct config_node *node;

		addr_parse(i->text, &a);
		node = node_at(all, &a);
		if (node && !node->foreign)
			report_value(all->b->report, i, CONF_NOT_A_REFLECTOR,
				     "%s is node %s (line %u), and isthmusd passes no routes on; expected a route "
				     "reflector beside the nodes, or no reflectors: then there is a mesh",
				     i->text, node->name, node->place.line);
		claim_everywhere(all, &a, i);
	}
}

int clash_bgp(struct claims *all)
{
	const struct yaml_node *map = yaml_get(&all->b->yamls[0]->root, "bgp");

	if (!map)
		return 0;
	check_reflectors(all, map);
	for (const struct yaml_node *n = build_entries(map, "neighbors"); n; n = n->next) {
		const struct config_neighbor *neighbor = n->object;
		const struct yaml_node *address = yaml_get(n, "address");

		if (!neighbor)
			continue;
		check_once(all, yaml_get(n, "families"), family_id);
		check_once(all, yaml_get(n, "nodes"), node_id);
		check_once(all, yaml_get(n, "import"), tenant_id);
		check_once(all, yaml_get(n, "export"), tenant_id);
		if (!address || (build_has_key(n, "nodes") && neighbor->n_nodes == 0))
			continue; /* that was said */
		check_own(all, neighbor, address);
		if (neighbor->n_nodes == 0)
			claim_everywhere(all, &neighbor->address, address);
		else
			claim_somewhere(all, &neighbor->address, address);
	}
	return check_peerings(all, build_entries(map, "neighbors"));
}
