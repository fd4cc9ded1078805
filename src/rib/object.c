/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The objects, the counts between them, and which items a change of one of them touches.
 */
#include "rib/object.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "rib/state.h"

static_assert(sizeof(struct edge_key) == 2 * sizeof(void *) + 8, "edge keys are hashed as bytes");

/* ---- touching ---- */

void item_touch(struct rib *rib, struct item *item)
{
	if (item->dirty)
		return;
	item->dirty = true;
	TAILQ_INSERT_TAIL(&rib->dirty, item, dirty_link);
}

void item_drop(struct rib *rib, struct item *item)
{
	entries_withdraw(&rib->entries, &item->claims);
	if (item->dirty)
		TAILQ_REMOVE(&rib->dirty, item, dirty_link);
}

void network_touch(struct rib *rib, struct network *n)
{
	struct presence *presence;
	struct port *port;

	item_touch(rib, &n->item);
	for (presence = LIST_FIRST(&n->presences); presence; presence = LIST_NEXT(presence, of_network))
		item_touch(rib, &presence->item);
	for (port = LIST_FIRST(&n->ports); port; port = LIST_NEXT(port, of_network))
		item_touch(rib, &port->item);
}

void tenant_touch(struct rib *rib, struct tenant *t)
{
	struct network *network;
	struct edge *edge;

	for (network = LIST_FIRST(&t->networks); network; network = LIST_NEXT(network, of_tenant))
		network_touch(rib, network);
	for (edge = LIST_FIRST(&t->edges); edge; edge = LIST_NEXT(edge, of_tenant))
		item_touch(rib, &edge->item);
}

void node_touch(struct rib *rib, struct node *node)
{
	struct presence *presence;
	struct edge *edge;

	for (presence = LIST_FIRST(&node->presences); presence; presence = LIST_NEXT(presence, of_node))
		item_touch(rib, &presence->item);
	for (edge = LIST_FIRST(&node->edges); edge; edge = LIST_NEXT(edge, of_node))
		item_touch(rib, &edge->item);
}

void node_touch_ports(struct rib *rib, struct node *node)
{
	struct presence *presence;
	struct port *port;

	for (presence = LIST_FIRST(&node->presences); presence; presence = LIST_NEXT(presence, of_node))
		for (port = LIST_FIRST(&presence->network->ports); port; port = LIST_NEXT(port, of_network))
			if (port->node == node)
				item_touch(rib, &port->item);
}

/* ---- edges: counted by presences ---- */

static struct edge_key edge_key(const struct tenant *t, const struct node *node, const struct mac *router_mac)
{
	return (struct edge_key){t, node, router_mac ? *router_mac : (struct mac){}, {}};
}

struct edge *edge_find(const struct rib *rib, const struct tenant *t, const struct node *node, const struct mac *router_mac)
{
	const struct edge_key key = edge_key(t, node, router_mac);

	return hmap_get(&rib->edges, &key);
}

struct edge *edge_obtain(struct rib *rib, struct tenant *t, struct node *node, const struct mac *router_mac)
{
	struct edge_key key = edge_key(t, node, router_mac);
	struct edge *e = hmap_get(&rib->edges, &key);

	if (e)
		return e;
	e = calloc(1, sizeof(*e));
	if (!e)
		goto fail;
	*e = (struct edge){.item.kind = ITEM_EDGE, .key = key, .tenant = t, .node = node,
			   .owner = fwd_owner_router(t->name, node->name, &key.router_mac)};
	if (hmap_add(&rib->edges, e) < 0)
		goto fail;
	LIST_INSERT_HEAD(&t->edges, e, of_tenant);
	LIST_INSERT_HEAD(&node->edges, e, of_node);
	item_touch(rib, &e->item);
	return e;
fail:
	free(e);
	rib->entries.error = -ENOMEM;
	return NULL;
}

void edge_update(struct rib *rib, struct edge *e)
{
	item_touch(rib, &e->item);
	if (e->n_routed > 0 || e->n_offers > 0)
		return;
	item_drop(rib, &e->item);
	LIST_REMOVE(e, of_tenant);
	LIST_REMOVE(e, of_node);
	hmap_remove(&rib->edges, &e->key);
	free(e);
}

/* ---- presences ---- */

struct presence *presence_obtain(struct rib *rib, struct network *n, struct node *node)
{
	struct presence_key key = {n, node};
	struct presence *p = hmap_get(&rib->presences, &key);

	if (p)
		return p;
	p = calloc(1, sizeof(*p));
	if (!p)
		goto fail;
	*p = (struct presence){.item.kind = ITEM_PRESENCE, .key = key, .network = n, .node = node,
			       .owner = fwd_owner_tunnel(n->name, node->name)};
	if (hmap_add(&rib->presences, p) < 0)
		goto fail;
	LIST_INSERT_HEAD(&n->presences, p, of_network);
	LIST_INSERT_HEAD(&node->presences, p, of_node);
	item_touch(rib, &p->item);
	return p;
fail:
	free(p);
	rib->entries.error = -ENOMEM;
	return NULL;
}

/* After its counts, or whether its network is routed, may have changed.  Frees a presence that nothing speaks for. */
void presence_update(struct rib *rib, struct presence *p)
{
	bool on_edge = p->n_ports > 0 && network_is_routed(p->network);

	if (on_edge && !p->on_edge) {
		struct edge *e = edge_obtain(rib, p->network->tenant, p->node, NULL);

		if (!e)
			return;
		e->n_routed++;
		edge_update(rib, e);
	} else if (!on_edge && p->on_edge) {
		struct edge *e = edge_find(rib, p->network->tenant, p->node, NULL);

		e->n_routed--;
		edge_update(rib, e);
	}
	p->on_edge = on_edge;
	if (p->n_ports > 0 || p->listed || p->n_offers > 0)
		return;
	item_drop(rib, &p->item);
	LIST_REMOVE(p, of_network);
	LIST_REMOVE(p, of_node);
	hmap_remove(&rib->presences, &p->key);
	free(p);
}

/* ---- scope: what this node's ports pull in ---- */

static void network_count_here(struct rib *rib, struct network *n)
{
	struct tenant *t = n->tenant;
	bool routed_here = n->n_here > 0 && network_is_routed(n);
	bool was_here = tenant_is_here(t);

	if (routed_here == n->routed_here)
		return;
	n->routed_here = routed_here;
	t->n_routed_here += routed_here ? 1 : (size_t)-1;
	if (tenant_is_here(t) != was_here)
		tenant_touch(rib, t);
}

/* After a property of the network changed, gateways included. */
void network_update(struct rib *rib, struct network *n)
{
	struct presence *p, *next;

	network_count_here(rib, n);
	for (p = LIST_FIRST(&n->presences); p; p = next) {
		next = LIST_NEXT(p, of_network);
		presence_update(rib, p);
	}
	network_touch(rib, n);
}

/* ---- ports ---- */

void port_join(struct rib *rib, struct port *port, struct node *node, struct network *network)
{
	struct presence *p = presence_obtain(rib, network, node);

	if (!p)
		return;
	port->node = node;
	port->network = network;
	port->presence = p;
	LIST_INSERT_HEAD(&network->ports, port, of_network);
	if (p->n_ports++ == 0) {
		presence_update(rib, p);
		item_touch(rib, &p->item);
	}
	if (node == rib->self && network->n_here++ == 0) {
		network_count_here(rib, network);
		network_touch(rib, network);
	}
	item_touch(rib, &port->item);
}

void port_leave(struct rib *rib, struct port *port)
{
	struct network *network = port->network;
	struct presence *p = port->presence;

	if (rib->learn)
		learn_on_port_left(rib->learn, port);
	if (!p)
		return;
	LIST_REMOVE(port, of_network);
	port->presence = NULL;
	if (port->node == rib->self && --network->n_here == 0) {
		network_count_here(rib, network);
		network_touch(rib, network);
	}
	if (--p->n_ports == 0) {
		item_touch(rib, &p->item);
		presence_update(rib, p);
	}
}

void port_free(struct rib *rib, struct port *port)
{
	item_drop(rib, &port->item);
	free(port->name);
	free(port->addresses);
	free(port);
}

void network_free(struct rib *rib, struct network *n)
{
	item_drop(rib, &n->item);
	free(n->name);
	free(n->subnets);
	free(n->gateways);
	free(n);
}
