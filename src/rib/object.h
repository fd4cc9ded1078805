/* SPDX-License-Identifier: Apache-2.0 */
/*
 * object.h - the objects inside the rib and what hangs on what; private to src/rib.
 *
 *      tenant --< network --< presence >-- node          presence: a node has ports in a network, lists it (foreign), or
 *         |          |                      |                      announces routes to it
 *         |          +--< port >------------+            edge: a node has ports in a routed network of a tenant, or
 *         +-----------< edge >--------------+                  announces routes of the tenant by one router's MAC
 *
 * A node is one of the file, or the VTEP of a neighbor that the file does not name.  What routes of neighbors say of a MAC,
 * host or prefix is a place with offers (offer.h).
 *
 * Networks, presences, edges, ports and places are items: they claim forwarding entries.  A change marks the items whose claims
 * may be others now (rib.c); rib_commit then has their claims made anew (resolve.c).
 */
#ifndef ISTHMUS_RIB_OBJECT_H
#define ISTHMUS_RIB_OBJECT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "lib/addr.h"
#include "lib/hmap.h"
#include "model/config.h"
#include "rib/entry.h"
#include "rib/rib.h"

enum item_kind {
	ITEM_NETWORK,
	ITEM_PRESENCE,
	ITEM_EDGE,
	ITEM_PORT,
	ITEM_PLACE,
	ITEM_KIND_MAX
};

struct item {
	enum item_kind kind;
	bool dirty;
	struct claim *claims;
	TAILQ_ENTRY(item) dirty_link;
};

/*
 * What the configuration says of encryption (secure.c), and what it said before the change that is just being eased: of a
 * node a bit for each kind of network and tenant, of those their kind.
 */
struct eased {
	uint16_t now, before;
	bool known;
};

struct node {
	char *name;
	uint64_t seen; /* the last load that had it; likewise below */
	struct addr underlay[2];
	size_t n_underlay;
	uint32_t mtu; /* 0 = not configured */
	bool foreign, lists_networks;
	bool unlisted; /* not of the file: known by its address, for as long as it has offers */
	struct eased secure;
	struct mac router_mac;
	LIST_HEAD(node_presences, presence) presences;
	LIST_HEAD(node_edges, edge) edges;
	LIST_HEAD(node_offers, offer) offers; /* learn's, by which a presence or edge is spoken for */
	LIST_ENTRY(node) of_unlisted;
};

struct tenant {
	char *name;
	uint64_t seen;
	uint32_t vni;
	struct vrf *vrf; /* learn's; or NULL; likewise of a network */
	struct eased secure;
	size_t n_networks;
	size_t n_routed_here; /* routed networks with a port of this node */
	LIST_HEAD(tenant_networks, network) networks;
	LIST_HEAD(tenant_edges, edge) edges;
};

struct network {
	struct item item;
	char *name; /* full */
	uint64_t seen;
	struct tenant *tenant;
	struct vrf *vrf;
	enum config_mode mode;
	uint32_t vni; /* 0 for l3 */
	struct prefix *subnets;
	size_t n_subnets;
	struct addr *gateways;
	size_t n_gateways;
	bool flood;
	bool native;        /* without encapsulation */
	struct eased secure;
	size_t n_here;      /* ports of this node */
	bool routed_here;   /* counted in tenant->n_routed_here */
	LIST_HEAD(network_ports, port) ports;
	LIST_HEAD(network_presences, presence) presences;
	LIST_ENTRY(network) of_tenant;
};

struct presence_key {
	const void *network, *node;
};

struct presence {
	struct item item;
	struct presence_key key;
	struct network *network;
	struct node *node;
	uint64_t owner; /* of the tunnel */
	size_t n_ports;
	size_t n_offers;
	bool listed; /* by a foreign node */
	uint64_t listed_seen;
	bool on_edge; /* counted in edge->n_routed */
	LIST_ENTRY(presence) of_network, of_node;
};

struct edge_key { /* no padding: hashed as bytes */
	const void *tenant, *node;
	struct mac router_mac; /* zero: none is announced */
	uint8_t zero[2];
};

struct edge {
	struct item item;
	struct edge_key key;
	struct tenant *tenant;
	struct node *node;
	uint64_t owner; /* of the tunnel for what the node announces */
	size_t n_routed; /* routed networks of the tenant in which the node has ports */
	size_t n_offers; /* with that router's MAC */
	LIST_ENTRY(edge) of_tenant, of_node;
};

struct port {
	struct item item;
	char *name;
	uint64_t seen;
	struct node *node;
	struct network *network;
	struct presence *presence;
	uint64_t owner;
	struct mac mac;
	struct addr *addresses;
	size_t n_addresses;
	uint32_t storm_limit;
	struct rib_link link; /* of this node's ports */
	struct station *station; /* learn's: what it announces the MAC of, or NULL */
	bool announced, queued;  /* learn's: export has it; to be looked at with the next learn_commit */
	TAILQ_ENTRY(port) of_queue;
	LIST_ENTRY(port) of_network;
};

struct path {
	struct addr remote;
	struct node *node; /* who has the address; NULL = nobody just now */
	bool known, reachable;
	uint32_t mtu;
};

struct rib {
	struct entries entries;
	struct learn *learn; /* or NULL */
	struct hmap nodes, tenants, networks, ports, presences, edges, paths;
	LIST_HEAD(unlisted_nodes, node) unlisted;
	bool remapped; /* an address went from one node to another, which offers may have to follow */
	struct node *self;
	struct eased strangers; /* of a node that is unlisted */
	bool easing, eased; /* rib_eased */
	uint64_t load; /* number of loads */
	uint16_t icmp_limit; /* of the fabric */
	TAILQ_HEAD(item_dirty, item) dirty;
};

static inline bool network_is_routed(const struct network *n)
{
	return n->mode == CONFIG_MODE_L3 || n->n_gateways > 0;
}

/* Does the node need the routed half of the tenant? */
static inline bool tenant_is_here(const struct tenant *t)
{
	return t->n_routed_here > 0;
}

/* All of its networks are without encapsulation, or none is. */
static inline bool tenant_is_native(const struct tenant *t)
{
	const struct network *n = LIST_FIRST(&t->networks);

	return n && n->native;
}

static inline bool network_in_scope(const struct network *n)
{
	return n->n_here > 0 || (network_is_routed(n) && tenant_is_here(n->tenant));
}

/* What the entries of a network call it: its own VNI, or the tenant's. */
static inline uint32_t network_vni(const struct network *n)
{
	return n->mode == CONFIG_MODE_L2 ? n->vni : n->tenant->vni;
}

/*
 * resolve.c: the address of `to` that tunnels of this node end at, NULL when no family is shared; and our own for it.
 */
const struct addr *node_path(const struct rib *rib, const struct node *to, const struct addr **local, uint32_t *mtu);

bool node_is_reachable(const struct rib *rib, const struct node *to); /* at that address, or was never looked at */

void resolve(struct rib *rib, struct item *item);
void claim(struct rib *rib, struct item *item, enum route_source source, const char *origin, const struct fwd *f);

/* secure.c: each touches what is another by it. */
void secure_load(struct rib *rib, const struct config *c, const struct config_node *self); /* after the nodes were put */
void secure_put_network(struct rib *rib, struct network *n, const struct config_network *c);
void secure_put_tenant(struct rib *rib, struct tenant *t, const struct config_tenant *c);
/* Is that kind sent to the node encrypted; is it taken from it only so? */
bool secure_out(const struct node *node, const struct eased *kind);
bool secure_in(const struct node *node, const struct eased *kind);

/* rib.c: the node that a VTEP address is of, one of its own when it is none of the file's.  NULL: out of memory. */
struct node *node_at(struct rib *rib, const struct addr *vtep);
void node_release(struct rib *rib, struct node *n); /* frees one that is not of the file and that nothing speaks for */

/* object.c: mark items whose claims may be others now. */
void item_touch(struct rib *rib, struct item *item);
void item_drop(struct rib *rib, struct item *item); /* it is about to be freed: withdraw its claims */
void network_touch(struct rib *rib, struct network *n);
void tenant_touch(struct rib *rib, struct tenant *t);
void node_touch(struct rib *rib, struct node *node);
void node_touch_ports(struct rib *rib, struct node *node);

struct presence *presence_obtain(struct rib *rib, struct network *n, struct node *node); /* NULL: out of memory */
void presence_update(struct rib *rib, struct presence *p);
/* `router_mac`: NULL = none.  NULL: out of memory. */
struct edge *edge_obtain(struct rib *rib, struct tenant *t, struct node *node, const struct mac *router_mac);
struct edge *edge_find(const struct rib *rib, const struct tenant *t, const struct node *node, const struct mac *router_mac);
void edge_update(struct rib *rib, struct edge *e); /* after its counts have changed: frees one that nothing speaks for */
void network_update(struct rib *rib, struct network *n);
void port_join(struct rib *rib, struct port *port, struct node *node, struct network *network);
void port_leave(struct rib *rib, struct port *port);
void port_free(struct rib *rib, struct port *port);
void network_free(struct rib *rib, struct network *n);

#endif
