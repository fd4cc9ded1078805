/* SPDX-License-Identifier: Apache-2.0 */
#include "rib/offer.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/cleanup.h"
#include "rib/state.h"

#define FEW 16u /* offers of one place */

/*
 * A neighbor can say one thing under as many route distinguishers as it likes, and a place is decided as a whole.  So many
 * say it where there are as many nodes behind a reflector; the best are kept.
 */
#define OFFERS_MAX 64u /* of one neighbor */

static_assert(sizeof(struct place_key) == 32, "place keys are hashed as bytes");

/* ---- scope ---- */

enum scope vrf_scope(const struct vrf *v)
{
	if (!v->tenant)
		return SCOPE_NONE;
	if (!v->network)
		return tenant_is_here(v->tenant) ? SCOPE_ROUTED : SCOPE_NONE;
	if (v->network->n_here > 0)
		return SCOPE_BRIDGED;
	return network_in_scope(v->network) ? SCOPE_ROUTED : SCOPE_NONE;
}

bool vrf_takes(const struct vrf *v, enum import_kind kind)
{
	return vrf_scope(v) >= (kind == IMPORTED_MAC || kind == IMPORTED_FLOOD ? SCOPE_BRIDGED : SCOPE_ROUTED);
}

/* ---- places ---- */

struct place_key place_key_of_mac(uint32_t vni, const struct mac *mac)
{
	struct place_key key = {.kind = IMPORTED_MAC, .id = vni};

	memcpy(key.addr.bytes, mac->bytes, sizeof(mac->bytes));
	return key;
}

struct place_key place_key_of_prefix(uint32_t tenant, const struct prefix *prefix)
{
	return (struct place_key){.kind = prefix->length == 128 ? IMPORTED_HOST : IMPORTED_PREFIX,
				  .id = tenant,
				  .addr = prefix->addr,
				  .length = prefix->length};
}

static struct place_key key_of(const struct imported *v)
{
	if (v->kind == IMPORTED_MAC)
		return place_key_of_mac(v->vni, &v->mac);
	if (v->kind == IMPORTED_FLOOD)
		return (struct place_key){.kind = IMPORTED_FLOOD, .id = v->vni, .addr = v->node};
	return place_key_of_prefix(v->tenant, &v->prefix);
}

struct place *place_find(const struct learn *l, const struct place_key *key)
{
	return hmap_get(&l->places, key);
}

static struct place *place_obtain(struct learn *l, const struct place_key *key)
{
	struct place *p = place_find(l, key);

	if (p)
		return p;
	p = calloc(1, sizeof(*p));
	if (!p)
		return NULL;
	*p = (struct place){.item.kind = ITEM_PLACE, .key = *key};
	LIST_INIT(&p->offers);
	if (hmap_add(&l->places, p) < 0) {
		free(p);
		return NULL;
	}
	return p;
}

static void place_update(struct learn *l, struct place *p)
{
	if (!LIST_EMPTY(&p->offers)) {
		item_touch(l->rib, &p->item);
		return;
	}
	item_drop(l->rib, &p->item);
	if (p->key.kind == IMPORTED_MAC)
		learn_on_mac(l, &p->key);
	hmap_remove(&l->places, &p->key);
	free(p);
}

/* ---- members and next hops: counted by offers ---- */

/* Whether the node routes for the tenant, and by which MAC, is said in the tenant's routes and used in the networks' next hops. */
static void touch_bridged(struct rib *rib, const struct edge *e)
{
	struct presence *p;

	for (p = LIST_FIRST(&e->node->presences); p; p = LIST_NEXT(p, of_node))
		if (p->network->tenant == e->tenant)
			item_touch(rib, &p->item);
}

static void presence_enter(struct rib *rib, struct presence *p)
{
	if (p->n_offers++ == 0)
		item_touch(rib, &p->item);
}

static void presence_leave(struct rib *rib, struct presence *p)
{
	struct node *node = p->node;

	if (--p->n_offers > 0)
		return;
	item_touch(rib, &p->item);
	presence_update(rib, p);
	node_release(rib, node);
}

static void edge_enter(struct rib *rib, struct edge *e)
{
	if (e->n_offers++ > 0)
		return;
	edge_update(rib, e);
	touch_bridged(rib, e);
}

static void edge_leave(struct rib *rib, struct edge *e)
{
	struct node *node = e->node;

	if (--e->n_offers > 0)
		return;
	touch_bridged(rib, e);
	edge_update(rib, e);
	node_release(rib, node);
}

/* Enters the new before it leaves the old, so that what both need stays. */
static bool offer_set_node(struct learn *l, struct offer *o, struct node *node, const struct mac *router_mac)
{
	struct presence *presence = NULL, *old_presence = o->presence;
	struct edge *edge = NULL, *old_edge = o->edge;

	if (o->vrf->network)
		presence = presence_obtain(l->rib, o->vrf->network, node);
	else
		edge = edge_obtain(l->rib, o->vrf->tenant, node, router_mac);
	if (!presence && !edge)
		return false;
	if (presence == old_presence && edge == old_edge)
		return true;
	if (presence)
		presence_enter(l->rib, presence);
	else
		edge_enter(l->rib, edge);
	if (old_presence || old_edge)
		LIST_REMOVE(o, of_node);
	LIST_INSERT_HEAD(&node->offers, o, of_node);
	o->presence = presence;
	o->edge = edge;
	if (old_presence)
		presence_leave(l->rib, old_presence);
	if (old_edge)
		edge_leave(l->rib, old_edge);
	return true;
}

static const struct node *offer_node(const struct offer *o)
{
	return o->presence ? o->presence->node : o->edge->node;
}

/* ---- offers ---- */

bool offer_is_for(const struct offer *o, const struct vrf *vrf, const struct offer_value *v)
{
	const struct place_key key = key_of(v->imported);

	return o->vrf == vrf && o->source == v->candidate->source && memcmp(&o->place->key, &key, sizeof(key)) == 0;
}

static bool offer_says(const struct offer *o, const struct offer_value *v, const struct node *node)
{
	return offer_node(o) == node && o->attrs == v->candidate->attrs && mac_equal(&o->mac, &v->imported->mac) &&
	       memcmp(&o->esi, &v->candidate->nlri.esi, sizeof(o->esi)) == 0;
}

static bool offer_fill(struct learn *l, struct offer *o, const struct offer_value *v, struct node *node)
{
	const struct route_attrs *last = o->attrs;

	if (!offer_set_node(l, o, node, &v->imported->router_mac))
		return false;
	o->attrs = attrs_ref(v->candidate->attrs);
	attrs_unref(l->attrs, last);
	o->neighbor = v->candidate->neighbor;
	o->mac = v->imported->mac;
	o->esi = v->candidate->nlri.esi;
	o->walked = l->walking;
	item_touch(l->rib, &o->place->item);
	return true;
}

void offer_set(struct learn *l, struct offer *o, const struct offer_value *v)
{
	struct node *node = node_at(l->rib, &v->imported->node);

	if (!node)
		return;
	if (offer_says(o, v, node)) {
		if (l->deciding || !o->place->item.claims)
			item_touch(l->rib, &o->place->item);
	} else if (!offer_fill(l, o, v, node)) {
		node_release(l->rib, node);
	}
}

struct offer *offer_new(struct learn *l, struct said *said, struct vrf *vrf, const struct offer_value *v)
{
	struct offer *o = calloc(1, sizeof(*o));
	const struct place_key key = key_of(v->imported);
	struct node *node = o ? node_at(l->rib, &v->imported->node) : NULL;

	if (!node)
		goto fail;
	o->said = said;
	o->vrf = vrf;
	o->source = v->candidate->source;
	o->place = place_obtain(l, &key);
	if (!o->place)
		goto fail;
	LIST_INSERT_HEAD(&o->place->offers, o, of_place);
	TAILQ_INSERT_TAIL(&vrf->offers, o, of_vrf);
	vrf->n_offers++;
	if (offer_fill(l, o, v, node))
		return o;
	offer_free(l, o);
	o = NULL;
fail:
	free(o);
	if (node)
		node_release(l->rib, node);
	l->rib->entries.error = -ENOMEM;
	return NULL;
}

static void place_make_room(struct learn *l, struct place *p)
{
	if (!p->crowded)
		return;
	p->crowded = false;
	learn_look_again(l, false); /* for the one that takes it */
}

void offer_free(struct learn *l, struct offer *o)
{
	place_make_room(l, o->place);
	LIST_REMOVE(o, of_place);
	TAILQ_REMOVE(&o->vrf->offers, o, of_vrf);
	o->vrf->n_offers--;
	if (o->presence || o->edge)
		LIST_REMOVE(o, of_node);
	place_update(l, o->place); /* what it claims goes before the next hop that it claims it by */
	if (o->presence)
		presence_leave(l->rib, o->presence);
	if (o->edge)
		edge_leave(l->rib, o->edge);
	attrs_unref(l->attrs, o->attrs);
	free(o);
}

void offer_drop(struct learn *l, struct offer *o)
{
	struct said *said = o->said;
	struct offer **at = &said->offers;

	while (*at != o)
		at = &(*at)->next_of_said;
	*at = o->next_of_said;
	offer_free(l, o);
	said_release(l, said);
}

bool offer_is_crowded_out(const struct learn *l, const struct vrf *vrf, const struct offer_value *v)
{
	const struct said *said = hmap_get(&l->said, &v->candidate->nlri.key);
	const struct place_key key = key_of(v->imported);
	const struct place *p = place_find(l, &key);
	const struct offer *o = said ? said->offers : NULL;

	while (o && !offer_is_for(o, vrf, v))
		o = o->next_of_said;
	return !o && p && p->crowded;
}

void offers_touch(struct rib *rib, const struct node *n, bool all)
{
	const struct offer *o;

	for (o = LIST_FIRST(&n->offers); o; o = LIST_NEXT(o, of_node))
		if (all || LIST_FIRST(&o->place->offers) != o || LIST_NEXT(o, of_place))
			item_touch(rib, &o->place->item);
}

/* ---- which counts ---- */

static struct decide_path path_of(const struct rib *rib, const struct offer *o)
{
	const struct addr *local;
	uint32_t mtu;

	return (struct decide_path){.source = ROUTE_SOURCE_BGP,
				    .unusable = !vrf_takes(o->vrf, o->place->key.kind) ||
						!node_path(rib, offer_node(o), &local, &mtu),
				    .unreachable = !node_is_reachable(rib, offer_node(o)),
				    .routed = o->edge != NULL,
				    .mac = o->said->key.type == ROUTE_EVPN_MAC,
				    .esi = o->esi,
				    .attrs = o->attrs,
				    .neighbor = o->neighbor,
				    .key = &o->said->key};
}

size_t place_n_offers(const struct place *p)
{
	const struct offer *o;
	size_t n = 0;

	for (o = LIST_FIRST(&p->offers); o; o = LIST_NEXT(o, of_place))
		n++;
	return n;
}

/* Also of those that cannot be reached just now: they were told, so whoever comes after them has a higher one. */
uint32_t place_highest_sequence(const struct place *p)
{
	const struct offer *o;
	uint32_t highest = 0;

	for (o = LIST_FIRST(&p->offers); o; o = LIST_NEXT(o, of_place))
		if (vrf_takes(o->vrf, p->key.kind) && o->attrs->mobility > highest)
			highest = o->attrs->mobility;
	return highest;
}

const struct offer *place_best(struct rib *rib, const struct place *p, struct decide_path *paths)
{
	struct decide_path few[FEW], *all = paths ? paths : few;
	size_t n = place_n_offers(p), i = 0, best;
	const struct offer *o;

	if (!paths && n > FEW) {
		all = calloc(n, sizeof(*all));
		if (!all) {
			rib->entries.error = -ENOMEM;
			return NULL;
		}
	}
	for (o = LIST_FIRST(&p->offers); o; o = LIST_NEXT(o, of_place))
		all[i++] = path_of(rib, o);
	best = decide_paths(all, n);
	if (all != paths && all != few)
		free(all);
	o = best < n ? LIST_FIRST(&p->offers) : NULL;
	for (i = 0; i < best && o; i++)
		o = LIST_NEXT(o, of_place);
	return o;
}

/* ---- how many there are ---- */

struct rank {
	struct offer *offer;
	enum decide_step lost;
};

/* By neighbor, and of one the better before the worse: those that were removed later. */
static int compare_ranks(const void *x, const void *y)
{
	const struct rank *a = x, *b = y;

	if (a->offer->source != b->offer->source)
		return a->offer->source < b->offer->source ? -1 : 1;
	if (a->lost != b->lost)
		return a->lost > b->lost ? -1 : 1;
	return memcmp(&a->offer->said->key, &b->offer->said->key, sizeof(a->offer->said->key));
}

static void place_trim(struct rib *rib, struct place *p)
{
	size_t n = place_n_offers(p), i = 0, of_source = 0;
	_cleanup_(free) struct decide_path *paths = n > OFFERS_MAX ? calloc(n, sizeof(*paths)) : NULL;
	_cleanup_(free) struct rank *ranks = n > OFFERS_MAX ? calloc(n, sizeof(*ranks)) : NULL;
	bool crowded = p->crowded;
	uint16_t source = 0;
	struct offer *o;

	if (n <= OFFERS_MAX)
		return;
	if (!paths || !ranks) {
		rib->entries.error = -ENOMEM;
		return;
	}
	place_best(rib, p, paths);
	for (o = LIST_FIRST(&p->offers); o; o = LIST_NEXT(o, of_place), i++)
		ranks[i] = (struct rank){o, paths[i].lost};
	qsort(ranks, n, sizeof(*ranks), compare_ranks);
	p->crowded = false; /* nobody is to take the room of these */
	for (i = 0; i < n; i++) {
		if (i == 0 || ranks[i].offer->source != source)
			of_source = 0;
		source = ranks[i].offer->source;
		if (++of_source <= OFFERS_MAX)
			continue;
		offer_drop(rib->learn, ranks[i].offer);
		crowded = true;
	}
	p->crowded = crowded;
}

/* ---- what it claims ---- */

static struct fwd mac_entry(const struct place *p, const struct offer *o)
{
	return (struct fwd){.kind = FWD_MAC,
			    .mac = {.vni = p->key.id, .mac = o->mac, .nexthop = o->presence->owner}};
}

static struct fwd host_entry(const struct place *p, const struct offer *o)
{
	return (struct fwd){.kind = FWD_HOST,
			    .host = {.vrf = p->key.id,
				     .addr = p->key.addr,
				     .nexthop = o->presence ? o->presence->owner : o->edge->owner,
				     .vni = o->vrf->vni,
				     .mac = o->mac,
				     .l3 = o->edge != NULL,
				     .bridged = o->presence && !network_is_routed(o->presence->network)}};
}

static struct fwd prefix_entry(const struct place *p, const struct offer *o)
{
	return (struct fwd){.kind = FWD_PREFIX,
			    .prefix = {.vrf = p->key.id,
				       .prefix = {.addr = p->key.addr, .length = (uint8_t)p->key.length},
				       .vni = o->vrf->vni,
				       .nexthop = o->edge->owner}};
}

static struct fwd flood_entry(const struct place *p, const struct offer *o)
{
	return (struct fwd){.kind = FWD_FLOOD, .flood = {.vni = p->key.id, .nexthop = o->presence->owner}};
}

static struct fwd (*const entries_of[IMPORTED_KIND_MAX])(const struct place *p, const struct offer *o) = {
	[IMPORTED_MAC] = mac_entry,
	[IMPORTED_HOST] = host_entry,
	[IMPORTED_PREFIX] = prefix_entry,
	[IMPORTED_FLOOD] = flood_entry,
};

/* The first FWD_ROUTE_HOPS of them, in the order of their addresses. */
static void hops_add(struct fwd_route *r, const struct addr *hop)
{
	struct addr last = *hop;

	for (size_t i = 0; i < r->n_hops; i++) {
		struct addr *at = &r->hops[i], moved = *at;
		int order = addr_compare(&last, at);

		if (order == 0)
			return;
		if (order > 0)
			continue;
		*at = last;
		last = moved;
	}
	if (r->n_hops < FWD_ROUTE_HOPS)
		r->hops[r->n_hops++] = last;
}

/* Without encapsulation it is the kernel that shares traffic among all next hops that are as good as the best. */
static void resolve_native(struct rib *rib, struct place *p)
{
	_cleanup_(free) struct decide_path *paths = calloc(place_n_offers(p) + 1, sizeof(*paths));
	const struct offer *best = paths ? place_best(rib, p, paths) : NULL, *o;
	struct fwd route = {.kind = FWD_ROUTE, .route.prefix = {p->key.addr, 128}}, host;
	bool v4 = addr_is_v4(&p->key.addr);
	size_t i = 0;

	if (!paths)
		rib->entries.error = -ENOMEM;
	if (!best)
		return;
	for (o = LIST_FIRST(&p->offers); o; o = LIST_NEXT(o, of_place), i++)
		if ((o == best || decide_is_equal(&paths[i])) && (v4 || !addr_is_v4(&o->attrs->next_hop)))
			hops_add(&route.route, &o->attrs->next_hop);
	if (route.route.n_hops > 0) /* else they were said for a tunnel: the network has none since just now */
		claim(rib, &p->item, ROUTE_SOURCE_BGP, "", &route);
	host = host_entry(p, best);
	claim(rib, &p->item, ROUTE_SOURCE_BGP, "", &host);
}

void resolve_place(struct rib *rib, struct item *item)
{
	struct place *p = (struct place *)item;
	const struct offer *best, *any;
	struct fwd f;

	place_trim(rib, p);
	any = LIST_FIRST(&p->offers);
	if (p->key.kind == IMPORTED_MAC)
		learn_on_mac(rib->learn, &p->key);
	if (p->key.kind == IMPORTED_HOST && any && !any->vrf->network && tenant_is_native(any->vrf->tenant)) {
		resolve_native(rib, p);
		return;
	}
	best = place_best(rib, p, NULL);
	if (!best)
		return;
	f = entries_of[p->key.kind](p, best);
	claim(rib, item, ROUTE_SOURCE_BGP, "", &f);
}
