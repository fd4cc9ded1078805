/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The order of preference among candidates for one key, most important first:
 *
 *  1. usable       what import refuses is never the best
 *  2. source       a port of this node, then what neighbors announce, then what the configuration says of others, and at
 *                  last a port of this node whose interface is not there: there is no weight
 *  3. reachable    a next hop that the underlay has a way to (RFC 4271 9.1.2); when there is none to any, the others
 *                  decide: it may come back while the daemon is dead
 *  4. bridged      a host that is known with its MAC in its network, before one that can only be routed to
 *     for EVPN MAC/IP (RFC 7432 15):
 *  5. sticky       a MAC that cannot move (15.2)
 *  6. sequence     the higher one of MAC mobility, none = 0 (7.7)
 *  7. next-hop     with equal sequences the lower address of the node, but on one Ethernet segment (15)
 *     for all routes of BGP (RFC 4271 9.1.2.2):
 *  8. local-pref   the higher, none = 100
 *  9. as-path      the shorter (a)
 * 10. origin       IGP, EGP, incomplete (b)
 * 11. med          the lower, none = 0, among routes of one neighboring AS only (c)
 * 12. external     eBGP before iBGP (d)
 *                  (e) is left out: there is one underlay, and its routes have no cost known here
 * 13. router-id    the lower; ORIGINATOR_ID takes its place (f, RFC 4456 9)
 * 14. clusters     the shorter CLUSTER_LIST (RFC 4456 9)
 * 15. neighbor     the lower address (g)
 * 16. route-key    the lesser, of one neighbor's routes under several distinguishers: arbitrary, but always the same
 *     and at last, for what is not of BGP:
 * 17. name         of the origin, the lesser: as arbitrary, but every node decides the same
 *
 * The age of a route counts nowhere: it would make the result depend on what happened before.
 *
 * Others can make candidates many, so a step takes a time that is linear in their number, or nearly: MED sorts.
 */
#include "rib/decide.h"

#include <assert.h>
#include <string.h>

#include "rib/entry.h"

#define LOCAL_PREF_DEFAULT 100u

/* ---- comparing two: less than zero, the first is better ---- */

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

static int by_reachable(const struct decide_path *a, const struct decide_path *b)
{
	return ascending(a->unreachable, b->unreachable);
}

static int by_bridged(const struct decide_path *a, const struct decide_path *b)
{
	return ascending(a->routed, b->routed);
}

static int by_sticky(const struct decide_path *a, const struct decide_path *b)
{
	return ascending((b->attrs->has & ROUTE_HAS_STICKY) != 0, (a->attrs->has & ROUTE_HAS_STICKY) != 0);
}

static int by_sequence(const struct decide_path *a, const struct decide_path *b)
{
	return ascending(b->attrs->mobility, a->attrs->mobility);
}

static int by_next_hop(const struct decide_path *a, const struct decide_path *b)
{
	return addr_compare(&a->attrs->next_hop, &b->attrs->next_hop);
}

static uint32_t local_pref(const struct route_attrs *a)
{
	return a->has & ROUTE_HAS_LOCAL_PREF ? a->local_pref : LOCAL_PREF_DEFAULT;
}

static int by_local_pref(const struct decide_path *a, const struct decide_path *b)
{
	return ascending(local_pref(b->attrs), local_pref(a->attrs));
}

static int by_as_path(const struct decide_path *a, const struct decide_path *b)
{
	return ascending(a->attrs->path_length, b->attrs->path_length);
}

static int by_origin(const struct decide_path *a, const struct decide_path *b)
{
	return ascending(a->attrs->origin, b->attrs->origin);
}

static uint32_t med(const struct route_attrs *a)
{
	return a->has & ROUTE_HAS_MED ? a->med : 0;
}

static int by_med(const struct decide_path *a, const struct decide_path *b)
{
	return ascending(med(a->attrs), med(b->attrs));
}

static int by_external(const struct decide_path *a, const struct decide_path *b)
{
	return ascending(b->neighbor->external, a->neighbor->external);
}

static uint32_t router_id(const struct decide_path *p)
{
	return p->attrs->has & ROUTE_HAS_ORIGINATOR_ID ? p->attrs->originator_id : p->neighbor->router_id;
}

static int by_router_id(const struct decide_path *a, const struct decide_path *b)
{
	return ascending(router_id(a), router_id(b));
}

static int by_clusters(const struct decide_path *a, const struct decide_path *b)
{
	return ascending(a->attrs->n_clusters, b->attrs->n_clusters);
}

static int by_neighbor(const struct decide_path *a, const struct decide_path *b)
{
	return addr_compare(&a->neighbor->address, &b->neighbor->address);
}

static int by_route_key(const struct decide_path *a, const struct decide_path *b)
{
	return memcmp(a->key, b->key, sizeof(*a->key));
}

static int by_name(const struct decide_path *a, const struct decide_path *b)
{
	return strcmp(a->name, b->name);
}

/* ---- whom a step is about: the others are neither better nor worse in it ---- */

static bool is_any(const struct decide_path *p)
{
	return true;
}

static bool is_mac(const struct decide_path *p)
{
	return p->mac && p->attrs;
}

static bool is_bgp(const struct decide_path *p)
{
	return p->attrs;
}

static bool has_key(const struct decide_path *p)
{
	return p->key;
}

static bool has_name(const struct decide_path *p)
{
	return p->name;
}

/* ---- steps ---- */

struct step {
	enum decide_step number;
	const char *name;
	bool (*is_about)(const struct decide_path *p);
	int (*compare)(const struct decide_path *a, const struct decide_path *b);
	size_t (*take)(const struct step *step, struct decide_path *paths, size_t n); /* removes; returns how many */
};

static bool takes_part(const struct step *step, const struct decide_path *path)
{
	return path->lost == DECIDE_BEST && step->is_about(path);
}

static size_t remove_if(const struct step *step, struct decide_path *path, bool worse)
{
	if (worse)
		path->lost = step->number;
	return worse;
}

/* What is worse than the best. */
static size_t take_worse(const struct step *step, struct decide_path *paths, size_t n)
{
	const struct decide_path *best = NULL;
	size_t removed = 0;

	for (size_t i = 0; i < n; i++)
		if (takes_part(step, &paths[i]) && (!best || step->compare(&paths[i], best) < 0))
			best = &paths[i];
	for (size_t i = 0; i < n; i++)
		if (takes_part(step, &paths[i]))
			removed += remove_if(step, &paths[i], step->compare(best, &paths[i]) < 0);
	return removed;
}

static bool on_one_segment(const struct decide_path *a, const struct decide_path *b)
{
	return !route_esi_is_zero(&a->esi) && memcmp(&a->esi, &b->esi, sizeof(a->esi)) == 0;
}

/* What is worse than any that is not on its own segment: the best, or the best of all other segments than that one's. */
static size_t take_off_segment(const struct step *step, struct decide_path *paths, size_t n)
{
	const struct decide_path *best = NULL, *other = NULL, *rival;
	size_t removed = 0;

	for (size_t i = 0; i < n; i++)
		if (takes_part(step, &paths[i]) && (!best || step->compare(&paths[i], best) < 0))
			best = &paths[i];
	if (!best)
		return 0;
	for (size_t i = 0; i < n; i++)
		if (takes_part(step, &paths[i]) && !on_one_segment(&paths[i], best) &&
		    (!other || step->compare(&paths[i], other) < 0))
			other = &paths[i];
	for (size_t i = 0; i < n; i++) {
		if (!takes_part(step, &paths[i]))
			continue;
		rival = on_one_segment(&paths[i], best) ? other : best;
		removed += remove_if(step, &paths[i], rival && step->compare(rival, &paths[i]) < 0);
	}
	return removed;
}

/* paths[0 .. n] hold the order in `sorted`. */
static bool goes_before(const struct step *step, const struct decide_path *paths, size_t x, size_t y)
{
	const struct decide_path *a = &paths[paths[x].sorted], *b = &paths[paths[y].sorted];

	if (a->attrs->first_as != b->attrs->first_as)
		return a->attrs->first_as < b->attrs->first_as;
	return step->compare(a, b) < 0;
}

static void swap_order(struct decide_path *paths, size_t x, size_t y)
{
	size_t sorted = paths[x].sorted;

	paths[x].sorted = paths[y].sorted;
	paths[y].sorted = sorted;
}

static void sift_down(const struct step *step, struct decide_path *paths, size_t root, size_t n)
{
	for (size_t child; (child = 2 * root + 1) < n; root = child) {
		if (child + 1 < n && goes_before(step, paths, child, child + 1))
			child++;
		if (!goes_before(step, paths, root, child))
			return;
		swap_order(paths, root, child);
	}
}

/* A heap sort: it needs no memory, and nobody can make it slow. */
static void sort(const struct step *step, struct decide_path *paths, size_t n)
{
	for (size_t root = n / 2; root-- > 0;)
		sift_down(step, paths, root, n);
	for (size_t last = n; last-- > 1;) {
		swap_order(paths, 0, last);
		sift_down(step, paths, 0, last);
	}
}

/* What is worse than the best of its neighboring AS: the first of that, when sorted. */
static size_t take_within_as(const struct step *step, struct decide_path *paths, size_t n)
{
	const struct decide_path *best = NULL;
	size_t removed = 0, n_sorted = 0;

	for (size_t i = 0; i < n; i++)
		if (takes_part(step, &paths[i]))
			paths[n_sorted++].sorted = i;
	sort(step, paths, n_sorted);
	for (size_t i = 0; i < n_sorted; i++) {
		struct decide_path *path = &paths[paths[i].sorted];

		if (!best || best->attrs->first_as != path->attrs->first_as)
			best = path;
		removed += remove_if(step, path, step->compare(best, path) < 0);
	}
	return removed;
}

#define STEP(number, name, is_about, compare, take) [number] = {number, name, is_about, compare, take}
static const struct step steps[] = {
	STEP(DECIDE_USABLE, "usable", is_any, by_usable, take_worse),
	STEP(DECIDE_SOURCE, "source", is_any, by_source, take_worse),
	STEP(DECIDE_REACHABLE, "reachable", is_any, by_reachable, take_worse),
	STEP(DECIDE_BRIDGED, "bridged", is_any, by_bridged, take_worse),
	STEP(DECIDE_STICKY, "sticky", is_mac, by_sticky, take_worse),
	STEP(DECIDE_SEQUENCE, "sequence", is_mac, by_sequence, take_worse),
	STEP(DECIDE_NEXT_HOP, "next-hop", is_mac, by_next_hop, take_off_segment),
	STEP(DECIDE_LOCAL_PREF, "local-pref", is_bgp, by_local_pref, take_worse),
	STEP(DECIDE_AS_PATH, "as-path", is_bgp, by_as_path, take_worse),
	STEP(DECIDE_ORIGIN, "origin", is_bgp, by_origin, take_worse),
	STEP(DECIDE_MED, "med", is_bgp, by_med, take_within_as),
	STEP(DECIDE_EXTERNAL, "external", is_bgp, by_external, take_worse),
	STEP(DECIDE_ROUTER_ID, "router-id", is_bgp, by_router_id, take_worse),
	STEP(DECIDE_CLUSTERS, "clusters", is_bgp, by_clusters, take_worse),
	STEP(DECIDE_NEIGHBOR, "neighbor", is_bgp, by_neighbor, take_worse),
	STEP(DECIDE_ROUTE_KEY, "route-key", has_key, by_route_key, take_worse),
	STEP(DECIDE_NAME, "name", has_name, by_name, take_worse),
};

static_assert(sizeof(steps) / sizeof(steps[0]) == DECIDE_STEPS, "a row per step");

const char *decide_step_name(enum decide_step s)
{
	return s < DECIDE_STEPS ? steps[s].name : "best";
}

static size_t first_left(const struct decide_path *paths, size_t n)
{
	size_t i = 0;

	while (i < n && paths[i].lost != DECIDE_BEST)
		i++;
	return i;
}

size_t decide_paths(struct decide_path *paths, size_t n)
{
	size_t left = n, best;

	for (size_t i = 0; i < n; i++)
		paths[i].lost = DECIDE_BEST;
	for (enum decide_step s = 0; s < DECIDE_STEPS && left > 1; s++)
		left -= steps[s].take(&steps[s], paths, n);
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
	int order = by_source(&x, &y);

	return order == 0 && has_name(&x) && has_name(&y) ? by_name(&x, &y) : order;
}

const struct claim *decide(const struct claim *claims)
{
	const struct claim *best = claims;

	for (const struct claim *c = claims; c; c = c->next_of_entry)
		if (c != best && compare_claims(c, best) < 0)
			best = c;
	return best;
}
