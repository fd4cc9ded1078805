/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who says where something is, over all route distinguishers and all sources, and why the others do not count: `bgp why`.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/cleanup.h"
#include "rib/state.h"

struct gathering {
	struct learn *l;
	const struct learn_query *query;
	uint32_t tenant; /* VNI of a prefix's tenant */
	struct learn_why *all;
	struct decide_path *paths;
	size_t n, n_allocated;
	bool failed;
	/* of the candidate just looked at: a value for what is asked, and whether all such are the tenant's */
	bool found, routed;
};

static void on_imported(void *arg, const struct imported *v)
{
	struct gathering *g = arg;
	const struct learn_query *q = g->query;

	if (q->is_mac ? v->kind != IMPORTED_MAC || v->vni != q->vni || !mac_equal(&v->mac, &q->mac) :
			(v->kind != IMPORTED_HOST && v->kind != IMPORTED_PREFIX) || v->tenant != g->tenant ||
				v->prefix.length != q->prefix.length || !addr_equal(&v->prefix.addr, &q->prefix.addr))
		return;
	g->routed = (!g->found || g->routed) && v->l3;
	g->found = true;
}

/* Does the key speak of it, whosever network it means?  Unicast is about the tenant without encapsulation. */
static bool is_about(const struct gathering *g, const struct route_key *k)
{
	const struct learn_query *q = g->query;

	if (k->family != ROUTE_EVPN)
		return !q->is_mac && g->tenant == g->l->import.native.tenant && k->length == q->prefix.length &&
		       addr_equal(&k->addr, &q->prefix.addr);
	if (q->is_mac)
		return k->type == ROUTE_EVPN_MAC && mac_equal(&k->mac, &q->mac);
	return (k->type == ROUTE_EVPN_MAC || k->type == ROUTE_EVPN_PREFIX) && k->length == q->prefix.length &&
	       addr_equal(&k->addr, &q->prefix.addr);
}

/* One of the network, or of the tenant and any of its networks. */
static bool names_vni(const struct gathering *g, const struct route_nlri *n)
{
	if (n->key.family != ROUTE_EVPN)
		return true;
	for (uint8_t i = 0; i < n->n_labels; i++) {
		const struct vrf *v = hmap_get(&g->l->vrfs, &n->label[i]);

		if (n->label[i] == g->query->vni || (!g->query->is_mac && v && v->tenant && v->tenant->vni == g->tenant))
			return true;
	}
	return false;
}

static void add(struct gathering *g, const struct learn_why *why, const struct decide_path *path)
{
	size_t n = g->n_allocated;

	if (g->n == n) {
		struct learn_why *all = reallocarray(g->all, 2 * n + 8, sizeof(*all));
		struct decide_path *paths = all ? reallocarray(g->paths, 2 * n + 8, sizeof(*paths)) : NULL;

		g->all = all ? all : g->all;
		g->paths = paths ? paths : g->paths;
		if (!paths) {
			g->failed = true;
			return;
		}
		g->n_allocated = 2 * n + 8;
	}
	g->all[g->n] = *why;
	g->paths[g->n++] = *path;
}

static bool is_out_of_reach(const struct learn *l, const struct route_attrs *attrs)
{
	const struct path *path = hmap_get(&l->rib->paths, &attrs->next_hop);

	return path && path->node && !node_is_reachable(l->rib, path->node);
}

static void on_candidate(void *arg, const struct routes_candidate *c)
{
	struct gathering *g = arg;
	struct learn_why why = {.source = ROUTE_SOURCE_BGP, .candidate = *c};

	if (!is_about(g, &c->nlri.key))
		return;
	g->found = g->routed = false;
	why.verdict = import_route(&g->l->import, c, on_imported, g);
	if (why.verdict == IMPORT_ACCEPTED)
		why.verdict = learn_verdict(g->l, c);
	if (!g->found && (why.verdict == IMPORT_ACCEPTED || why.verdict == IMPORT_CROWDED || !names_vni(g, &c->nlri))) /* of another network */
		return;
	add(g, &why, &(struct decide_path){.source = ROUTE_SOURCE_BGP,
					   .unusable = !g->found || why.verdict == IMPORT_CROWDED,
					   .unreachable = is_out_of_reach(g->l, c->attrs),
					   .routed = g->routed,
					   .mac = c->nlri.key.type == ROUTE_EVPN_MAC,
					   .esi = c->nlri.esi,
					   .attrs = c->attrs,
					   .neighbor = c->neighbor});
}

static struct fwd entry_key(const struct gathering *g)
{
	const struct learn_query *q = g->query;

	if (q->is_mac)
		return (struct fwd){.kind = FWD_MAC, .mac = {.vni = q->vni, .mac = q->mac}};
	if (q->prefix.length == 128)
		return (struct fwd){.kind = FWD_HOST, .host = {.vrf = g->tenant, .addr = q->prefix.addr}};
	return (struct fwd){.kind = FWD_PREFIX, .prefix = {.vrf = g->tenant, .prefix = q->prefix}};
}

static void gather(struct gathering *g, const struct learn_search *found)
{
	const struct fwd key = entry_key(g);
	const struct entry *entry = entries_find(&g->l->rib->entries, &key);

	for (const struct claim *c = entry ? entry->claims : NULL; c; c = c->next_of_entry)
		if (c->source != ROUTE_SOURCE_BGP)
			add(g, &(struct learn_why){.source = c->source, .name = c->origin},
			    &(struct decide_path){.source = c->source, .name = c->origin});
	for (size_t i = 0; i < found->n; i++) {
		struct routes_candidate c;

		for (uint32_t id = routes_find(g->l->routes, &found->keys[i]); id != 0;) {
			id = routes_get(g->l->routes, id, &c);
			on_candidate(g, &c);
		}
	}
}

int learn_why_found(struct learn *l, const struct learn_query *q, const struct learn_search *found,
		    void (*fn)(void *arg, const struct learn_why *why), void *arg)
{
	const struct vrf *v = hmap_get(&l->vrfs, &q->vni);
	struct gathering g = {.l = l, .query = q, .tenant = v && v->tenant ? v->tenant->vni : q->vni};
	size_t best;
	int r = -ENOENT;

	gather(&g, found);
	if (g.failed)
		r = -ENOMEM;
	else if (g.n > 0)
		r = 0;
	for (size_t i = 0; i < g.n; i++) /* by now they stay where they are */
		g.paths[i].key = g.all[i].source == ROUTE_SOURCE_BGP ? &g.all[i].candidate.nlri.key : NULL;
	best = r == 0 ? decide_paths(g.paths, g.n) : 0;
	for (size_t i = 0; r == 0 && i < g.n; i++)
		g.all[i].step = g.paths[i].lost;
	if (r == 0 && best < g.n)
		fn(arg, &g.all[best]);
	for (size_t i = 0; r == 0 && i < g.n; i++)
		if (i != best)
			fn(arg, &g.all[i]);
	free(g.all);
	free(g.paths);
	return r;
}

/* ---- looking for them ---- */

static void on_any(void *arg, const struct routes_candidate *c)
{
	struct learn_search *s = arg;
	const struct route_key *k = &c->nlri.key;

	if (s->failed || (s->is_mac ? k->type != ROUTE_EVPN_MAC || !mac_equal(&k->mac, &s->mac) :
				      k->length != s->prefix.length || !addr_equal(&k->addr, &s->prefix.addr)))
		return;
	if (s->n == s->n_allocated) {
		struct route_key *keys = reallocarray(s->keys, 2 * s->n + 8, sizeof(*keys));

		s->failed = !keys;
		if (!keys)
			return;
		s->keys = keys;
		s->n_allocated = 2 * s->n + 8;
	}
	s->keys[s->n++] = *k;
}

static int compare_keys(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct route_key));
}

bool learn_search(const struct learn *l, struct learn_search *s, size_t budget)
{
	size_t n = 0;

	if (routes_walk(l->routes, &s->cursor, budget, on_any, s))
		return true;
	if (s->n > 0)
		qsort(s->keys, s->n, sizeof(*s->keys), compare_keys);
	for (size_t i = 0; i < s->n; i++) /* each neighbor that says it has it once */
		if (n == 0 || !route_key_equal(&s->keys[n - 1], &s->keys[i]))
			s->keys[n++] = s->keys[i];
	s->n = n;
	return false;
}

void learn_search_fini(struct learn_search *s)
{
	free(s->keys);
	*s = (struct learn_search){0};
}

int learn_why(struct learn *l, const struct learn_query *q, void (*fn)(void *arg, const struct learn_why *why), void *arg)
{
	struct learn_search s = {.is_mac = q->is_mac, .mac = q->mac, .prefix = q->prefix};
	int r;

	while (learn_search(l, &s, SIZE_MAX))
		;
	r = s.failed ? -ENOMEM : learn_why_found(l, q, &s, fn, arg);
	learn_search_fini(&s);
	return r;
}

void learn_saying_each(struct learn *l, const struct learn_query *q, void (*fn)(void *arg, const struct routes_candidate *c),
		       void *arg)
{
	const struct place_key key = q->is_mac ? place_key_of_mac(q->vni, &q->mac) : place_key_of_prefix(q->vni, &q->prefix);
	const struct place *p = place_find(l, &key);
	struct routes_candidate c;
	const struct offer *o;

	if (!p)
		return;
	LIST_FOREACH(o, &p->offers, of_place) {
		for (uint32_t id = routes_find(l->routes, &o->said->key); id != 0;) {
			id = routes_get(l->routes, id, &c);
			if (c.source == o->source)
				fn(arg, &c);
		}
	}
}

/* ---- of one route ---- */

/* All who announce the key, in the order of the table; `paths` has room for them. */
static void fill_paths(struct learn *l, uint32_t first, struct routes_candidate *all, struct decide_path *paths)
{
	size_t i = 0;

	for (uint32_t id = first; id != 0; i++) {
		id = routes_get(l->routes, id, &all[i]);
		paths[i] = (struct decide_path){.source = ROUTE_SOURCE_BGP,
						.unusable = learn_verdict(l, &all[i]) != IMPORT_ACCEPTED,
						.unreachable = is_out_of_reach(l, all[i].attrs),
						.mac = all[i].nlri.key.type == ROUTE_EVPN_MAC,
						.esi = all[i].nlri.esi,
						.attrs = all[i].attrs,
						.neighbor = all[i].neighbor,
						.key = &all[i].nlri.key};
	}
}

enum learn_standing learn_standing(struct learn *l, const struct routes_candidate *c)
{
	uint32_t first = routes_find(l->routes, &c->nlri.key);
	_cleanup_(free) struct routes_candidate *all = NULL;
	_cleanup_(free) struct decide_path *paths = NULL;
	size_t n = 0, own = 0, best;

	for (uint32_t id = first; id != 0; id = routes_next(l->routes, id))
		n++;
	all = calloc(n + 1, sizeof(*all));
	paths = calloc(n + 1, sizeof(*paths));
	if (!all || !paths)
		return LEARN_REFUSED; /* nothing is known of it */
	fill_paths(l, first, all, paths);
	while (own < n && all[own].source != c->source)
		own++;
	if (own == n || paths[own].unusable)
		return LEARN_REFUSED;
	best = decide_paths(paths, n);
	if (best == own)
		return LEARN_BEST;
	/* unicast becomes a route of the kernel, which has several next hops */
	return c->nlri.key.family != ROUTE_EVPN && decide_is_equal(&paths[own]) ? LEARN_MULTIPATH : LEARN_VALID;
}
