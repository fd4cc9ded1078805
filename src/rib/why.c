/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who says where something is, over all route distinguishers and all sources, and why the others do not count: `bgp why`.
 */
#include <errno.h>
#include <stdlib.h>

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

static void on_candidate(void *arg, const struct routes_candidate *c)
{
	struct gathering *g = arg;
	struct learn_why why = {.source = ROUTE_SOURCE_BGP, .candidate = *c};
	const struct path *path = hmap_get(&g->l->rib->paths, &c->attrs->next_hop);

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
					   .unreachable = path && path->node && !node_is_reachable(g->l->rib, path->node),
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

static void gather(struct gathering *g)
{
	const struct fwd key = entry_key(g);
	const struct entry *entry = entries_find(&g->l->rib->entries, &key);
	uint64_t cursor = 0;

	for (const struct claim *c = entry ? entry->claims : NULL; c; c = c->next_of_entry)
		if (c->source != ROUTE_SOURCE_BGP)
			add(g, &(struct learn_why){.source = c->source, .name = c->origin},
			    &(struct decide_path){.source = c->source, .name = c->origin});
	while (routes_walk(g->l->routes, &cursor, SIZE_MAX, on_candidate, g))
		;
}

int learn_why(struct learn *l, const struct learn_query *q, void (*fn)(void *arg, const struct learn_why *why), void *arg)
{
	const struct vrf *v = hmap_get(&l->vrfs, &q->vni);
	struct gathering g = {.l = l, .query = q, .tenant = v && v->tenant ? v->tenant->vni : q->vni};
	size_t best;
	int r = -ENOENT;

	gather(&g);
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
