/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The order of preference among candidates for one key, most important first:
 *
 *  1. usable       what import refuses is never the best (RFC 4271 9.1.2: the next hop must be resolvable)
 *  2. source       a port of this node, then what neighbors announce, then what the configuration says of others, and at
 *                  last a port of this node whose interface is not there: there is no weight
 *  3. bridged      a host that is known with its MAC in its network, before one that can only be routed to
 *     for EVPN MAC/IP (RFC 7432 15):
 *  4. sticky       a MAC that cannot move (15.2)
 *  5. sequence     the higher one of MAC mobility, none = 0 (7.7)
 *  6. next-hop     with equal sequences the lower address of the node, but on one Ethernet segment (15)
 *     for all routes of BGP (RFC 4271 9.1.2.2):
 *  7. local-pref   the higher, none = 100
 *  8. as-path      the shorter (a)
 *  9. origin       IGP, EGP, incomplete (b)
 * 10. med          the lower, none = 0, among routes of one neighboring AS only (c)
 * 11. external     eBGP before iBGP (d)
 *                  (e) is left out: there is one underlay, and its routes have no cost known here
 * 12. router-id    the lower; ORIGINATOR_ID takes its place (f, RFC 4456 9)
 * 13. clusters     the shorter CLUSTER_LIST (RFC 4456 9)
 * 14. neighbor     the lower address (g)
 *     and at last, for what is not of BGP:
 * 15. name         of the origin, the lesser: arbitrary, but every node decides the same
 *
 * The age of a route counts nowhere: it would make the result depend on what happened before.
 */
#include "rib/decide.h"

#include <assert.h>
#include <string.h>

#include "rib/entry.h"

#define LOCAL_PREF_DEFAULT 100u

static int ascending(uint64_t a, uint64_t b) /* the lesser is better */
{
	return (a > b) - (a < b);
}

static int by_usable(const struct decide_path *a, const struct decide_path *b)
{
	return ascending(a->unusable, b->unusable);
}

static int by_source(const struct decide_path *a, const struct decide_path *b)
{
	return ascending(a->source, b->source);
}

static int by_bridged(const struct decide_path *a, const struct decide_path *b)
{
	return ascending(a->routed, b->routed);
}

static bool both_macs(const struct decide_path *a, const struct decide_path *b)
{
	return a->mac && b->mac && a->attrs && b->attrs;
}

static int by_sticky(const struct decide_path *a, const struct decide_path *b)
{
	if (!both_macs(a, b))
		return 0;
	return ascending((b->attrs->has & ROUTE_HAS_STICKY) != 0, (a->attrs->has & ROUTE_HAS_STICKY) != 0);
}

static int by_sequence(const struct decide_path *a, const struct decide_path *b)
{
	return both_macs(a, b) ? ascending(b->attrs->mobility, a->attrs->mobility) : 0;
}

static int by_next_hop(const struct decide_path *a, const struct decide_path *b)
{
	if (!both_macs(a, b) || (!route_esi_is_zero(&a->esi) && memcmp(&a->esi, &b->esi, sizeof(a->esi)) == 0))
		return 0;
	return addr_compare(&a->attrs->next_hop, &b->attrs->next_hop);
}

static bool both_bgp(const struct decide_path *a, const struct decide_path *b)
{
	return a->attrs && b->attrs;
}

static uint32_t local_pref(const struct route_attrs *a)
{
	return a->has & ROUTE_HAS_LOCAL_PREF ? a->local_pref : LOCAL_PREF_DEFAULT;
}

static int by_local_pref(const struct decide_path *a, const struct decide_path *b)
{
	return both_bgp(a, b) ? ascending(local_pref(b->attrs), local_pref(a->attrs)) : 0;
}

static int by_as_path(const struct decide_path *a, const struct decide_path *b)
{
	return both_bgp(a, b) ? ascending(a->attrs->path_length, b->attrs->path_length) : 0;
}

static int by_origin(const struct decide_path *a, const struct decide_path *b)
{
	return both_bgp(a, b) ? ascending(a->attrs->origin, b->attrs->origin) : 0;
}

static uint32_t med(const struct route_attrs *a)
{
	return a->has & ROUTE_HAS_MED ? a->med : 0;
}

static int by_med(const struct decide_path *a, const struct decide_path *b)
{
	if (!both_bgp(a, b) || a->attrs->first_as != b->attrs->first_as)
		return 0;
	return ascending(med(a->attrs), med(b->attrs));
}

static int by_external(const struct decide_path *a, const struct decide_path *b)
{
	return both_bgp(a, b) ? ascending(b->neighbor->external, a->neighbor->external) : 0;
}

static uint32_t router_id(const struct decide_path *p)
{
	return p->attrs->has & ROUTE_HAS_ORIGINATOR_ID ? p->attrs->originator_id : p->neighbor->router_id;
}

static int by_router_id(const struct decide_path *a, const struct decide_path *b)
{
	return both_bgp(a, b) ? ascending(router_id(a), router_id(b)) : 0;
}

static int by_clusters(const struct decide_path *a, const struct decide_path *b)
{
	return both_bgp(a, b) ? ascending(a->attrs->n_clusters, b->attrs->n_clusters) : 0;
}

static int by_neighbor(const struct decide_path *a, const struct decide_path *b)
{
	return both_bgp(a, b) ? addr_compare(&a->neighbor->address, &b->neighbor->address) : 0;
}

static int by_name(const struct decide_path *a, const struct decide_path *b)
{
	return a->name && b->name ? strcmp(a->name, b->name) : 0;
}

/* Less than zero: the first argument is better. */
static const struct step {
	const char *name;
	int (*compare)(const struct decide_path *a, const struct decide_path *b);
	bool partial; /* some cannot be compared: whoever is worse than any other goes */
} steps[] = {
	[DECIDE_USABLE] = {"usable", by_usable, false},
	[DECIDE_SOURCE] = {"source", by_source, false},
	[DECIDE_BRIDGED] = {"bridged", by_bridged, false},
	[DECIDE_STICKY] = {"sticky", by_sticky, false},
	[DECIDE_SEQUENCE] = {"sequence", by_sequence, false},
	[DECIDE_NEXT_HOP] = {"next-hop", by_next_hop, true},
	[DECIDE_LOCAL_PREF] = {"local-pref", by_local_pref, false},
	[DECIDE_AS_PATH] = {"as-path", by_as_path, false},
	[DECIDE_ORIGIN] = {"origin", by_origin, false},
	[DECIDE_MED] = {"med", by_med, true},
	[DECIDE_EXTERNAL] = {"external", by_external, false},
	[DECIDE_ROUTER_ID] = {"router-id", by_router_id, false},
	[DECIDE_CLUSTERS] = {"clusters", by_clusters, false},
	[DECIDE_NEIGHBOR] = {"neighbor", by_neighbor, false},
	[DECIDE_NAME] = {"name", by_name, false},
};

static_assert(sizeof(steps) / sizeof(steps[0]) == DECIDE_STEPS, "a row per step");

const char *decide_step_name(enum decide_step s)
{
	return s < DECIDE_STEPS ? steps[s].name : "best";
}

/* Is it worse than one that was still there when the step began? */
static bool is_worse(enum decide_step s, const struct decide_path *paths, size_t n, const struct decide_path *path)
{
	for (size_t i = 0; i < n; i++)
		if (paths[i].lost >= s && steps[s].compare(&paths[i], path) < 0)
			return true;
	return false;
}

static size_t first_left(const struct decide_path *paths, size_t n)
{
	size_t i = 0;

	while (i < n && paths[i].lost != DECIDE_BEST)
		i++;
	return i;
}

/* Marks those that the step removes; returns how many. */
static size_t take_step(enum decide_step s, struct decide_path *paths, size_t n)
{
	size_t first = first_left(paths, n), best = first, removed = 0;

	for (size_t i = first; i < n; i++)
		if (paths[i].lost == DECIDE_BEST && steps[s].compare(&paths[i], &paths[best]) < 0)
			best = i;
	for (size_t i = first; i < n; i++) {
		if (paths[i].lost != DECIDE_BEST)
			continue;
		if (steps[s].partial ? is_worse(s, paths, n, &paths[i]) :
				       steps[s].compare(&paths[best], &paths[i]) < 0) {
			paths[i].lost = s;
			removed++;
		}
	}
	return removed;
}

size_t decide_paths(struct decide_path *paths, size_t n)
{
	size_t left = n, best;

	for (size_t i = 0; i < n; i++)
		paths[i].lost = DECIDE_BEST;
	for (enum decide_step s = 0; s < DECIDE_STEPS && left > 1; s++)
		left -= take_step(s, paths, n);
	best = first_left(paths, n);
	for (size_t i = best + 1; i < n; i++)
		if (paths[i].lost == DECIDE_BEST) /* in nothing different: the first one */
			paths[i].lost = DECIDE_NAME;
	if (best < n && paths[best].unusable) {
		paths[best].lost = DECIDE_USABLE;
		return n;
	}
	return best;
}

bool decide_is_equal(const struct decide_path *path)
{
	return !path->mac && path->lost >= DECIDE_ROUTER_ID;
}

static int compare_claims(const struct claim *a, const struct claim *b)
{
	const struct decide_path x = {.source = a->source, .name = a->origin};
	const struct decide_path y = {.source = b->source, .name = b->origin};
	int order = 0;

	for (enum decide_step s = 0; s < DECIDE_STEPS && order == 0; s++)
		order = steps[s].compare(&x, &y);
	return order;
}

const struct claim *decide(const struct claim *claims)
{
	const struct claim *best = claims;

	for (const struct claim *c = claims; c; c = c->next_of_entry)
		if (c != best && compare_claims(c, best) < 0)
			best = c;
	return best;
}
