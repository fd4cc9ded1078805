/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Routes of neighbors, and when which of them is looked at.
 *
 * A key of BGP whose routes have changed is looked at as a whole: what all its candidates say now is compared with the
 * offers that it has.  Looking twice changes nothing, so whenever what counts may be another (targets, grants, scope, who
 * has which address) all routes are looked at again, some at a time.
 */
#include "rib/learn.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/cleanup.h"
#include "rib/pack.h"
#include "rib/state.h"

void learn_fail(struct learn *l)
{
	l->rib->entries.error = -ENOMEM;
}

/* ---- looking at a key ---- */

struct look {
	struct learn *l;
	const struct route_key *key;
	struct said *said;
	struct offer *before; /* offers that it had, and nobody has named yet */
	const struct routes_candidate *candidate;
};

static struct said *said_obtain(struct learn *l, const struct route_key *key)
{
	struct said *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->key = *key;
	if (hmap_add(&l->said, s) < 0) {
		free(s);
		return NULL;
	}
	return s;
}

void said_release(struct learn *l, struct said *s)
{
	if (s->offers)
		return;
	hmap_remove(&l->said, &s->key);
	free(s);
}

/* The one that the value is about, taken out of those that were not named yet. */
static struct offer *take_before(struct look *look, const struct vrf *vrf, const struct offer_value *v)
{
	for (struct offer **at = &look->before; *at; at = &(*at)->next_of_said) {
		struct offer *o = *at;

		if (!offer_is_for(o, vrf, v))
			continue;
		*at = o->next_of_said;
		return o;
	}
	return NULL;
}

static void on_value(void *arg, const struct imported *imported)
{
	struct look *look = arg;
	const struct offer_value v = {look->candidate, imported};
	struct vrf *vrf = hmap_get(&look->l->vrfs, &imported->vni);
	struct offer *o;

	if (!vrf || !vrf_takes(vrf, imported->kind))
		return;
	if (!look->said)
		look->said = said_obtain(look->l, look->key);
	if (!look->said) {
		learn_fail(look->l);
		return;
	}
	o = take_before(look, vrf, &v);
	if (o)
		offer_set(look->l, o, &v);
	else
		o = offer_new(look->l, look->said, vrf, &v);
	if (!o)
		return;
	o->next_of_said = look->said->offers;
	look->said->offers = o;
}

/* In VRFs that a candidate was held against just now, and itself. */
static size_t cost_of(const struct learn *l, const struct route_key *key)
{
	return key->family == ROUTE_EVPN ? 1 + l->import.n_found : 1;
}

/* `first`: of the key's candidates.  Returns what it cost. */
static size_t look_at(struct learn *l, const struct route_key *key, uint32_t first)
{
	struct look look = {.l = l, .key = key, .said = hmap_get(&l->said, key)};
	struct routes_candidate candidate;
	struct offer *o;
	size_t cost = 0;

	if (look.said) {
		look.before = look.said->offers;
		look.said->offers = NULL;
	}
	look.candidate = &candidate;
	for (uint32_t id = first; id != 0;) {
		id = routes_get(l->routes, id, &candidate);
		import_route(&l->import, &candidate, on_value, &look);
		cost += cost_of(l, key);
	}
	while ((o = look.before)) {
		look.before = o->next_of_said;
		offer_free(l, o);
	}
	if (look.said)
		said_release(l, look.said);
	return cost;
}

/* Most routes are of networks that nobody needs here: they are told by their attributes, those of unicast by their keys. */
static void on_changed(void *arg, const struct routes_change *change)
{
	struct learn *l = arg;
	bool unicast = pack_family(change->key) != ROUTE_EVPN, wanted = unicast && l->import.native_wanted;
	struct route_key key;

	for (uint32_t id = unicast ? 0 : change->first; id != 0 && !wanted; id = routes_next(l->routes, id))
		wanted = import_is_wanted(&l->import, routes_attrs(l->routes, id));
	if (!wanted && l->said.length == 0)
		return;
	unpack_key(change->key, &key);
	if (unicast)
		wanted = import_wants_host(&l->import, &key);
	if (wanted || hmap_get(&l->said, &key))
		look_at(l, &key, change->first);
}

/* ---- looking at all ---- */

void learn_look_again(struct learn *l, bool deciding)
{
	l->again = l->looking && l->cursor > 0; /* it has begun */
	l->looking = true;
	l->deciding |= deciding;
	if (!l->again)
		l->cursor = 0;
}

struct walk {
	struct learn *l;
	size_t cost;
};

static bool is_wanted(struct walk *w, const struct routes_candidate *c)
{
	const struct route_key *key = &c->nlri.key;
	struct import *im = &w->l->import;
	bool wanted = key->family == ROUTE_EVPN ? import_is_wanted(im, c->attrs) : import_wants_host(im, key);

	w->cost += cost_of(w->l, key);
	return wanted;
}

/* All candidates of a key are looked at together: with the first of them that somebody needs. */
static void on_walk(void *arg, const struct routes_candidate *c)
{
	const struct route_key *key = &c->nlri.key;
	struct routes_candidate before;
	struct walk *w = arg;
	struct learn *l = w->l;
	bool wanted = is_wanted(w, c), said = hmap_get(&l->said, key);
	uint32_t first, id;

	if (!wanted && !said)
		return;
	first = routes_find(l->routes, key);
	for (id = routes_get(l->routes, first, &before); before.source != c->source; id = routes_get(l->routes, id, &before))
		if (said || is_wanted(w, &before))
			return;
	w->cost += look_at(l, key, first);
}

static void run_look(struct learn *l, size_t budget)
{
	struct walk w = {.l = l};
	bool more = true;

	if (!l->looking)
		return;
	l->walking = true;
	while (more && w.cost < budget) /* one at a time: nobody knows what the next one costs */
		more = routes_walk(l->routes, &l->cursor, 1, on_walk, &w);
	l->walking = false;
	if (more)
		return;
	l->cursor = 0;
	l->looking = l->again;
	l->deciding &= l->again;
	l->again = false;
}

bool learn_look_at_all(struct learn *l)
{
	bool looked = l->looking;

	while (l->looking)
		run_look(l, SIZE_MAX);
	return looked;
}

void learn_touch_places(struct learn *l)
{
	struct place *p;

	for (size_t i = 0; (p = hmap_next(&l->places, &i));)
		item_touch(l->rib, &p->item);
}

/* ---- neighbors ---- */

static bool is_queued(const struct neighbor *n)
{
	return n->leaving || n->doomed != 0;
}

static void neighbor_free(struct neighbor *n)
{
	free(n->tenants);
	free(n);
}

DEFINE_CLEANUP(neighbor, struct neighbor *, neighbor_free)

/* *changed: it was another. */
static int neighbor_limit(struct learn *l, struct neighbor *n, const struct learn_neighbor *to, bool *changed)
{
	uint32_t *tenants = calloc(to->n_tenants + 1, sizeof(*tenants));
	int r = tenants ? 0 : -ENOMEM;

	*changed = false;
	if (r == 0 && to->n_tenants > 0)
		memcpy(tenants, to->tenants, to->n_tenants * sizeof(*tenants));
	if (r == 0 && n->tenants && n->limited == to->limited && n->n_tenants == to->n_tenants &&
	    memcmp(n->tenants, tenants, n->n_tenants * sizeof(*tenants)) == 0) {
		free(tenants);
		return 0;
	}
	if (r == 0 && to->limited)
		r = import_limit(&l->import, n->source, tenants, to->n_tenants);
	if (r < 0) {
		free(tenants);
		return r;
	}
	if (!to->limited)
		import_unlimit(&l->import, n->source);
	free(n->tenants);
	n->tenants = tenants;
	n->n_tenants = to->n_tenants;
	n->limited = to->limited;
	*changed = true;
	return 0;
}

/* Room for its number. */
static int neighbors_reserve(struct learn *l, uint16_t source)
{
	struct neighbor **neighbors;

	if (source < l->n_neighbors)
		return 0;
	neighbors = reallocarray(l->neighbors, source + 1u, sizeof(*neighbors));
	if (!neighbors)
		return -ENOMEM;
	memset(neighbors + l->n_neighbors, 0, (source + 1u - l->n_neighbors) * sizeof(*neighbors));
	l->neighbors = neighbors;
	l->n_neighbors = source + 1u;
	return 0;
}

int learn_neighbor_add(struct learn *l, const struct learn_neighbor *neighbor, uint16_t *source)
{
	_cleanup_(neighbor) struct neighbor *n = calloc(1, sizeof(*n));
	uint16_t number;
	bool changed;
	int r;

	if (!n)
		return -ENOMEM;
	r = routes_source_add(l->routes, &neighbor->neighbor, &number);
	if (r < 0)
		return r;
	n->source = number;
	r = neighbors_reserve(l, number);
	if (r == 0)
		r = neighbor_limit(l, n, neighbor, &changed);
	if (r < 0) {
		routes_source_remove(l->routes, number);
		return r;
	}
	l->neighbors[number] = TAKE_PTR(n);
	*source = number;
	return 0;
}

int learn_neighbor_set(struct learn *l, uint16_t source, const struct learn_neighbor *n)
{
	const struct decide_neighbor *now = routes_source(l->routes, source), *then = &n->neighbor;
	bool changed;
	int r = neighbor_limit(l, l->neighbors[source], n, &changed);

	if (r < 0)
		return r;
	if (changed)
		learn_look_again(l, false);
	if (now->router_id == then->router_id && now->external == then->external && addr_equal(&now->address, &then->address))
		return 0;
	routes_source_set(l->routes, source, then);
	learn_look_again(l, true);
	return 0;
}

void learn_neighbor_remove(struct learn *l, uint16_t source)
{
	struct neighbor *n = l->neighbors[source];

	if (!is_queued(n))
		TAILQ_INSERT_TAIL(&l->sweeping, n, of_queue);
	n->leaving = true;
}

static void neighbor_end(struct learn *l, struct neighbor *n)
{
	TAILQ_REMOVE(&l->sweeping, n, of_queue);
	l->neighbors[n->source] = NULL;
	routes_source_remove(l->routes, n->source);
	import_unlimit(&l->import, n->source);
	neighbor_free(n);
}

/* ---- their routes ---- */

/* All are of one family. */
size_t learn_put(struct learn *l, uint16_t source, const struct route_attrs *attrs, const struct route_nlri *nlri, size_t n)
{
	enum route_family f = n > 0 ? (enum route_family)nlri->key.family : ROUTE_EVPN;
	uint64_t before = routes_source_counted(l->routes, source, f);

	if (routes_put(l->routes, source, attrs, nlri, n) < 0)
		learn_fail(l);
	return (size_t)(routes_source_counted(l->routes, source, f) - before);
}

size_t learn_remove(struct learn *l, uint16_t source, const struct route_nlri *nlri, size_t n)
{
	enum route_family f = n > 0 ? (enum route_family)nlri->key.family : ROUTE_EVPN;
	uint64_t before = routes_source_counted(l->routes, source, f);

	routes_remove(l->routes, source, nlri, n);
	return (size_t)(before - routes_source_counted(l->routes, source, f));
}

void learn_stale(struct learn *l, uint16_t source, enum route_family f)
{
	routes_stale(l->routes, source, f);
}

size_t learn_swept(struct learn *l, uint16_t source, enum route_family f)
{
	struct neighbor *n = l->neighbors[source];

	if (!is_queued(n))
		TAILQ_INSERT_TAIL(&l->sweeping, n, of_queue);
	n->doomed |= ROUTE_FAMILY_BIT(f);
	return (size_t)routes_doom(l->routes, source, f);
}

/* One family of one neighbor. */
static void sweep(struct learn *l, struct neighbor *n, size_t budget)
{
	for (enum route_family f = 0; f < ROUTE_FAMILY_MAX; f++) {
		if (n->leaving && routes_source_length(l->routes, n->source, f) > 0) {
			(void)routes_sweep(l->routes, n->source, f, ROUTES_SWEEP_ALL, budget);
			return;
		}
		if (n->doomed & ROUTE_FAMILY_BIT(f)) {
			if (!routes_sweep_doomed(l->routes, n->source, f, budget))
				n->doomed &= (uint8_t)~ROUTE_FAMILY_BIT(f);
			return;
		}
	}
}

static bool is_swept(const struct learn *l, const struct neighbor *n)
{
	for (enum route_family f = 0; n->leaving && f < ROUTE_FAMILY_MAX; f++)
		if (routes_source_length(l->routes, n->source, f) > 0)
			return false;
	return n->leaving || n->doomed == 0;
}

static void run_sweep(struct learn *l, size_t budget)
{
	struct neighbor *n = TAILQ_FIRST(&l->sweeping);

	if (!n)
		return;
	sweep(l, n, budget);
	if (!is_swept(l, n))
		return;
	if (n->leaving)
		neighbor_end(l, n);
	else
		TAILQ_REMOVE(&l->sweeping, n, of_queue);
}

/* ---- time ---- */

void learn_run(struct learn *l, uint64_t now_ms, size_t budget)
{
	mobility_expire(&l->mobility, now_ms, speak_thaw, l);
	run_sweep(l, budget);
	vrf_run(l, budget);
	run_look(l, budget);
}

uint64_t learn_next_ms(const struct learn *l)
{
	if (!TAILQ_EMPTY(&l->sweeping) || !TAILQ_EMPTY(&l->falling) || l->looking || speak_is_pending(l))
		return 0;
	return mobility_due(&l->mobility);
}

/* ---- looking from outside ---- */

const struct routes *learn_routes(const struct learn *l)
{
	return l->routes;
}

struct holding {
	struct learn *l;
	const struct routes_candidate *candidate;
	size_t n_crowded, n_others; /* values of the candidate */
};

static void on_held(void *arg, const struct imported *value)
{
	struct holding *h = arg;
	const struct vrf *vrf = hmap_get(&h->l->vrfs, &value->vni);

	if (vrf && vrf_takes(vrf, value->kind) && offer_is_crowded_out(h->l, vrf, &(struct offer_value){h->candidate, value}))
		h->n_crowded++;
	else
		h->n_others++;
}

enum import_verdict learn_verdict(struct learn *l, const struct routes_candidate *c)
{
	struct holding h = {.l = l, .candidate = c};
	enum import_verdict v = import_route(&l->import, c, on_held, &h);

	return v == IMPORT_ACCEPTED && h.n_crowded > 0 && h.n_others == 0 ? IMPORT_CROWDED : v;
}

bool learn_stands_for(const struct learn *l, const struct fwd *entry, const struct routes_candidate *c)
{
	struct prefix host = {entry->host.addr, 128};
	struct place_key key;
	const struct offer *best;
	const struct place *p;

	if (entry->kind == FWD_MAC)
		key = place_key_of_mac(entry->mac.vni, &entry->mac.mac);
	else if (entry->kind == FWD_HOST)
		key = place_key_of_prefix(entry->host.vrf, &host);
	else
		key = place_key_of_prefix(entry->prefix.vrf, &entry->prefix.prefix);
	p = place_find(l, &key);
	best = p ? place_best(l->rib, p, NULL) : NULL;
	return best && best->source == c->source && route_key_equal(&best->said->key, &c->nlri.key);
}

bool learn_vni(const struct learn *l, uint32_t vni, const char **tenant, const char **network)
{
	const struct vrf *v = hmap_get(&l->vrfs, &vni);

	if (!v || !v->tenant)
		return false;
	*tenant = v->tenant->name;
	*network = v->network ? v->network->name : NULL;
	return true;
}

struct export *learn_export(struct learn *l)
{
	return &l->export;
}

void learn_announced_each(const struct learn *l, void (*fn)(void *arg, const struct export_change *put), void *arg)
{
	export_each(&l->export, fn, arg);
}

/* ---- life ---- */

int learn_new(struct rib *rib, struct attrs *attrs, learn_alert_fn *alert, void *arg, struct learn **out)
{
	const struct addr none[2] = {};
	struct learn *l = calloc(1, sizeof(*l));
	int r;

	assert(!rib->learn);
	if (!l)
		return -ENOMEM;
	r = routes_new(attrs, on_changed, l, &l->routes);
	if (r < 0) {
		free(l);
		return r;
	}
	l->rib = rib;
	l->attrs = attrs;
	l->alert = alert;
	l->arg = arg;
	import_init(&l->import, attrs, 0, none);
	export_init(&l->export, attrs, &(struct export_node){});
	l->vrfs = HMAP_INIT(struct vrf, vni);
	l->said = HMAP_INIT(struct said, key);
	l->places = HMAP_INIT(struct place, key);
	TAILQ_INIT(&l->sweeping);
	TAILQ_INIT(&l->falling);
	speak_init(l);
	rib->learn = l;
	*out = l;
	return 0;
}

void learn_trim(struct learn *l)
{
	hmap_trim(&l->said);
	hmap_trim(&l->places);
	attrs_trim(l->attrs);
}

void learn_free(struct learn *l)
{
	struct vrf *v;

	if (!l)
		return;
	for (size_t i = 0; (v = hmap_next(&l->vrfs, &i));) {
		if (v->network)
			v->network->vrf = NULL;
		else if (v->tenant)
			v->tenant->vrf = NULL;
		v->in_export = false;
		if (v->tenant)
			vrf_forget(v);
		else
			vrf_free(l, v);
	}
	speak_fini(l);
	l->rib->learn = NULL;
	for (size_t i = 0; i < l->n_neighbors; i++)
		if (l->neighbors[i])
			neighbor_free(l->neighbors[i]);
	free(l->neighbors);
	routes_free(l->routes);
	import_fini(&l->import);
	export_fini(&l->export);
	hmap_fini(&l->vrfs);
	hmap_fini(&l->said);
	hmap_fini(&l->places);
	free(l);
}
