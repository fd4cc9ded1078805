/* SPDX-License-Identifier: Apache-2.0 */
/*
 * offer.h - what accepted routes say of one MAC, host, prefix or flooding node, and which of it counts; private to src/rib.
 *
 *      said (a key of BGP) --< offer >-- place (a key of a forwarding entry)
 *                               | |
 *                     vrf --<---+ +--->-- presence or edge: the node that it is at, a member and next hop by that
 *
 * A key of BGP has a route distinguisher and says several things (a MAC, its address, the same address in the tenant);
 * a place has offers of several keys, distinguishers and neighbors.  The best offer claims the entry.  An offer counts
 * only as far as its network or tenant is in scope; out of it, it waits to be dropped.
 */
#ifndef ISTHMUS_RIB_OFFER_H
#define ISTHMUS_RIB_OFFER_H

#include "rib/decide.h"
#include "rib/import.h"
#include "rib/object.h"

enum scope { /* of a network or tenant: what this node needs of it */
	SCOPE_NONE,
	SCOPE_ROUTED,  /* hosts and prefixes: there is a port in a routed network of the tenant */
	SCOPE_BRIDGED, /* MACs and flooding too: there is a port in this network */
};

struct vrf_targets {
	uint64_t *items;
	size_t length;
};

struct vrf {
	uint32_t vni;
	struct learn *learn;
	struct network *network; /* or NULL: a tenant's */
	struct tenant *tenant;   /* NULL: it is gone, and export does not know yet */
	enum scope scope;        /* as of the last look */
	bool in_import, in_export; /* with the targets below */
	bool exported_routed;
	struct vrf_targets import, export;
	size_t n_offers;
	bool is_falling;         /* less of it is in scope than its offers are for */
	size_t n_to_drop;        /* that were not looked at since */
	TAILQ_HEAD(vrf_offers, offer) offers;
	TAILQ_ENTRY(vrf) falling;
};

struct said {
	struct route_key key;
	struct offer *offers;
};

struct place_key { /* no padding: hashed as bytes */
	uint32_t kind; /* enum import_kind */
	uint32_t id;   /* VNI of the network, or of the tenant */
	struct addr addr; /* or a MAC in the first 6 bytes, or the VTEP */
	uint32_t length;
	uint32_t zero;
};

struct place {
	struct item item;
	struct place_key key;
	bool crowded; /* offers of it were dropped: the worst of a neighbor that has too many */
	LIST_HEAD(place_offers, offer) offers;
};

struct offer {
	LIST_ENTRY(offer) of_place;
	LIST_ENTRY(offer) of_node;
	TAILQ_ENTRY(offer) of_vrf;
	struct offer *next_of_said;
	struct said *said;
	struct place *place;
	struct vrf *vrf;
	struct presence *presence; /* of a network; else NULL ... */
	struct edge *edge;         /* ... and of a tenant */
	const struct route_attrs *attrs; /* a reference */
	const struct decide_neighbor *neighbor;
	struct route_esi esi;
	struct mac mac;
	uint16_t source;
	bool walked; /* found when all routes were looked at, not as it came: it is older than that */
};

enum scope vrf_scope(const struct vrf *v); /* now */
bool vrf_takes(const struct vrf *v, enum import_kind kind); /* in that scope */

/* What a route says of a value, put anew or as it was; NULL: out of memory. */
struct offer_value {
	const struct routes_candidate *candidate;
	const struct imported *imported;
};
struct offer *offer_new(struct learn *l, struct said *said, struct vrf *vrf, const struct offer_value *v);
bool offer_is_for(const struct offer *o, const struct vrf *vrf, const struct offer_value *v); /* the same, perhaps changed */
void offer_set(struct learn *l, struct offer *o, const struct offer_value *v);
void offer_free(struct learn *l, struct offer *o); /* out of its said's list already */
void offer_drop(struct learn *l, struct offer *o); /* the same, out of it, and the said when that was its last; not while looking at it */
bool offer_is_crowded_out(const struct learn *l, const struct vrf *vrf, const struct offer_value *v);

/* The places that a node has offers at; all, or those where there are others. */
void offers_touch(struct rib *rib, const struct node *n, bool all);

struct place *place_find(const struct learn *l, const struct place_key *key); /* or NULL */
struct place_key place_key_of_mac(uint32_t vni, const struct mac *mac);
struct place_key place_key_of_prefix(uint32_t tenant, const struct prefix *prefix);

/* Its best offer, NULL = none is usable.  `paths`, when given: room for all offers, which are filled in in their order. */
const struct offer *place_best(struct rib *rib, const struct place *p, struct decide_path *paths);
size_t place_n_offers(const struct place *p);
uint32_t place_highest_sequence(const struct place *p); /* of MAC mobility, of all offers */
void resolve_place(struct rib *rib, struct item *item);

#endif
