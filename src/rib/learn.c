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

static void fail(struct learn *l)
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

static void said_release(struct learn *l, struct said *s)
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
		fail(look->l);
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

/* `first`: of the key's candidates. */
static void look_at(struct learn *l, const struct route_key *key, uint32_t first)
{
	struct look look = {.l = l, .key = key, .said = hmap_get(&l->said, key)};
	struct routes_candidate candidate;
	struct offer *o;

	if (look.said) {
		look.before = look.said->offers;
		look.said->offers = NULL;
	}
	look.candidate = &candidate;
	for (uint32_t id = first; id != 0;) {
		id = routes_get(l->routes, id, &candidate);
		import_route(&l->import, &candidate, on_value, &look);
	}
	while ((o = look.before)) {
		look.before = o->next_of_said;
		offer_free(l, o);
	}
	if (look.said)
		said_release(l, look.said);
}

/* Most routes are of networks that nobody needs here: they are told by their attributes. */
static void on_changed(void *arg, const struct routes_change *change)
{
	struct learn *l = arg;
	struct route_key key;
	bool wanted = false;

	for (uint32_t id = change->first; id != 0 && !wanted; id = routes_next(l->routes, id))
		wanted = import_is_wanted(&l->import, routes_attrs(l->routes, id));
	if (!wanted && l->said.length == 0)
		return;
	unpack_key(change->key, &key);
	if (wanted || hmap_get(&l->said, &key))
		look_at(l, &key, change->first);
}

/* ---- looking at all ---- */

static void look_again(struct learn *l, bool deciding)
{
	l->again = l->looking;
	l->looking = true;
	l->deciding |= deciding;
	if (!l->again)
		l->cursor = 0;
}

static void on_walk(void *arg, const struct routes_candidate *c)
{
	struct learn *l = arg;

	if (import_is_wanted(&l->import, c->attrs) || hmap_get(&l->said, &c->nlri.key))
		look_at(l, &c->nlri.key, routes_find(l->routes, &c->nlri.key));
}

static void run_look(struct learn *l, size_t budget)
{
	if (!l->looking || routes_walk(l->routes, &l->cursor, budget, on_walk, l))
		return;
	l->cursor = 0;
	l->looking = l->again;
	l->deciding &= l->again;
	l->again = false;
}

void learn_touch_places(struct learn *l)
{
	struct place *p;

	for (size_t i = 0; (p = hmap_next(&l->places, &i));)
		item_touch(l->rib, &p->item);
}

/* ---- scope ---- */

static void drop(struct learn *l, struct offer *o)
{
	struct said *said = o->said;
	struct offer **at = &said->offers;

	while (*at != o)
		at = &(*at)->next_of_said;
	*at = o->next_of_said;
	offer_free(l, o);
	said_release(l, said);
}

static void vrf_on_scope(struct learn *l, struct vrf *v)
{
	enum scope scope = vrf_scope(v);

	if (scope > v->scope)
		look_again(l, false);
	if (scope < v->scope && v->n_offers > 0) {
		if (v->n_to_drop == 0)
			TAILQ_INSERT_TAIL(&l->falling, v, falling);
		v->n_to_drop = v->n_offers;
	}
	v->scope = scope;
	import_want(&l->import, v->vni, scope != SCOPE_NONE);
}

void learn_on_scope(struct learn *l, struct network *n)
{
	if (n->vrf)
		vrf_on_scope(l, n->vrf);
	if (n->tenant->vrf)
		vrf_on_scope(l, n->tenant->vrf);
}

/* Offers are in one list, and go round in it once. */
static void run_drop(struct learn *l, size_t budget)
{
	struct vrf *v;
	struct offer *o;

	for (; budget > 0 && (v = TAILQ_FIRST(&l->falling)); budget--) {
		o = TAILQ_FIRST(&v->offers);
		if (!o || v->n_to_drop-- == 0) {
			v->n_to_drop = 0;
			TAILQ_REMOVE(&l->falling, v, falling);
		} else if (vrf_takes(v, (enum import_kind)o->place->key.kind)) {
			TAILQ_REMOVE(&v->offers, o, of_vrf);
			TAILQ_INSERT_TAIL(&v->offers, o, of_vrf);
		} else {
			drop(l, o);
		}
	}
}

/* ---- networks and tenants ---- */

static void targets_free(struct vrf_targets *t)
{
	free(t->items);
	*t = (struct vrf_targets){0};
}

static bool targets_equal(const struct vrf_targets *a, const struct config_targets *b)
{
	return a->length == b->length &&
	       (a->length == 0 || memcmp(a->items, b->items, a->length * sizeof(*a->items)) == 0);
}

static int targets_set(struct vrf_targets *t, const struct config_targets *to)
{
	uint64_t *items = calloc(to->length + 1, sizeof(*items));

	if (!items)
		return -ENOMEM;
	if (to->length > 0)
		memcpy(items, to->items, to->length * sizeof(*items));
	free(t->items);
	*t = (struct vrf_targets){items, to->length};
	return 0;
}

void learn_vrf_free(struct learn *l, struct vrf *v)
{
	hmap_remove(&l->vrfs, &v->vni);
	targets_free(&v->import);
	targets_free(&v->export);
	free(v);
}

static void vrf_forget(struct vrf *v)
{
	struct learn *l = v->learn;
	struct offer *o;

	while ((o = TAILQ_FIRST(&v->offers)))
		drop(l, o);
	if (v->n_to_drop > 0)
		TAILQ_REMOVE(&l->falling, v, falling);
	v->n_to_drop = 0;
	v->scope = SCOPE_NONE;
	v->network = NULL;
	v->tenant = NULL;
	import_vrf_remove(&l->import, v->vni);
	v->in_import = false;
	if (v->in_export)
		l->n_gone++;
	else
		learn_vrf_free(l, v);
}

void learn_forget_network(struct network *n)
{
	if (n->vrf)
		vrf_forget(n->vrf);
	n->vrf = NULL;
}

void learn_forget_tenant(struct tenant *t)
{
	struct network *n;

	for (n = LIST_FIRST(&t->networks); n; n = LIST_NEXT(n, of_tenant))
		learn_forget_network(n); /* their hosts are the tenant's */
	if (t->vrf)
		vrf_forget(t->vrf);
	t->vrf = NULL;
}

/* Of a VNI that is somebody's; one that is gone and comes back is the same to export. */
static struct vrf *vrf_obtain(struct learn *l, uint32_t vni, struct tenant *tenant, struct network *network)
{
	struct vrf *v = hmap_get(&l->vrfs, &vni);

	if (!v) {
		v = calloc(1, sizeof(*v));
		if (!v)
			return NULL;
		*v = (struct vrf){.vni = vni, .learn = l};
		TAILQ_INIT(&v->offers);
		if (hmap_add(&l->vrfs, v) < 0) {
			free(v);
			return NULL;
		}
	} else if (!v->tenant && v->in_export) {
		l->n_gone--;
	}
	v->tenant = tenant;
	v->network = network;
	return v;
}

static int vrf_import(struct learn *l, struct vrf *v, const struct config_targets *targets)
{
	int r;

	if (v->in_import && targets_equal(&v->import, targets))
		return 0;
	r = targets_set(&v->import, targets);
	if (r == 0)
		r = import_vrf_put(&l->import, v->vni, v->tenant->vni, v->import.items, v->import.length);
	if (r < 0)
		return r;
	import_want(&l->import, v->vni, v->scope != SCOPE_NONE);
	v->in_import = true;
	look_again(l, false);
	return 0;
}

static int vrf_export(struct learn *l, struct vrf *v, const struct config_targets *targets, bool routed, bool force)
{
	int r;

	if (!force && v->in_export && v->exported_routed == routed && targets_equal(&v->export, targets))
		return 0;
	r = targets_set(&v->export, targets);
	if (r == 0)
		r = export_vrf_put(&l->export, &(struct export_vrf){.vni = v->vni, .tenant = v->tenant->vni, .routed = routed,
								    .targets = v->export.items,
								    .n_targets = v->export.length});
	if (r < 0)
		return r;
	v->in_export = true;
	v->exported_routed = routed;
	return 0;
}

static int tenant_put(struct learn *l, const struct config_tenant *c)
{
	struct tenant *t = hmap_get(&l->rib->tenants, c->name);
	bool is_new = t && !t->vrf;
	int r;

	if (!t)
		return -ENOMEM; /* of the rib, and that sticks */
	if (is_new)
		t->vrf = vrf_obtain(l, t->vni, t, NULL);
	if (!t->vrf)
		return -ENOMEM;
	if (is_new)
		tenant_touch(l->rib, t); /* its scope and its ports; likewise below */
	r = vrf_import(l, t->vrf, &c->import);
	return r < 0 ? r : vrf_export(l, t->vrf, &c->export, false, is_new);
}

static int network_put(struct learn *l, const struct config_network *c)
{
	struct network *n = hmap_get(&l->rib->networks, c->full_name);
	bool is_new = n && !n->vrf;
	int r;

	if (!n)
		return -ENOMEM;
	if (n->mode != CONFIG_MODE_L2)
		return 0; /* its hosts are the tenant's */
	if (is_new)
		n->vrf = vrf_obtain(l, n->vni, n->tenant, n);
	if (!n->vrf)
		return -ENOMEM;
	if (is_new)
		network_touch(l->rib, n);
	r = vrf_import(l, n->vrf, &c->import);
	return r < 0 ? r : vrf_export(l, n->vrf, &c->export, n->n_gateways > 0, is_new);
}

static int vrfs_load(struct learn *l, const struct config *config)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < config->n_tenants; i++)
		r = tenant_put(l, &config->tenants[i]);
	for (size_t i = 0; i < config->n_tenants; i++)
		for (size_t k = 0; r == 0 && k < config->tenants[i].n_networks; k++)
			r = network_put(l, &config->tenants[i].networks[k]);
	return r;
}

/* ---- who this node is ---- */

static bool identity_equal(const struct export_node *a, const struct export_node *b)
{
	return a->as == b->as && a->router_id == b->router_id && addr_equal(&a->underlay, &b->underlay) &&
	       mac_equal(&a->router_mac, &b->router_mac);
}

/* Every route of this node has another distinguisher or next hop: all is put anew. */
static void identity_set(struct learn *l, const struct export_node *node)
{
	struct tenant *t;
	struct vrf *v;

	if (identity_equal(&l->export.node, node))
		return;
	speak_anew(l);
	for (size_t i = 0; (v = hmap_next(&l->vrfs, &i));) {
		if (v->in_export)
			export_vrf_remove(&l->export, v->vni);
		v->in_export = false;
		if (v->tenant && l->import.as != node->as)
			v->in_import = false; /* automatic targets have it in them */
		if (!v->tenant)
			learn_vrf_free(l, v);
	}
	l->n_gone = 0;
	l->export.node = *node;
	l->import.as = node->as;
	for (size_t i = 0; (t = hmap_next(&l->rib->tenants, &i));)
		tenant_touch(l->rib, t);
}

static void own_set(struct learn *l, const struct config_node *self)
{
	struct addr own[2] = {};

	for (size_t i = 0; i < self->n_underlay && i < 2; i++)
		own[i] = self->underlay[i];
	if (memcmp(own, l->import.own, sizeof(own)) == 0)
		return;
	memcpy(l->import.own, own, sizeof(own));
	look_again(l, false);
	learn_touch_places(l); /* other families, other nodes in reach */
}

int learn_load(struct learn *l, const struct config *config, const struct config_node *self)
{
	struct export_node node = {.as = config->bgp->as, .router_id = self->router_id, .underlay = self->underlay[0]};
	int r;

	config_router_mac(self, &node.router_mac);
	identity_set(l, &node);
	own_set(l, self);
	r = vrfs_load(l, config);
	if (r == -ENOMEM)
		fail(l);
	if (l->rib->remapped)
		look_again(l, false);
	l->rib->remapped = false;
	return r;
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
		look_again(l, false);
	if (now->router_id == then->router_id && now->external == then->external && addr_equal(&now->address, &then->address))
		return 0;
	routes_source_set(l->routes, source, then);
	look_again(l, true);
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
		fail(l);
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
	run_drop(l, budget);
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

static void ignore(void *arg, const struct imported *value)
{
}

enum import_verdict learn_verdict(struct learn *l, const struct routes_candidate *c)
{
	return import_route(&l->import, c, ignore, NULL);
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
			learn_vrf_free(l, v);
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
