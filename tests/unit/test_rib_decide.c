/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The order of preference, row by row: two candidates, which one counts, and the step that removed the other.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "rib/decide.h"

#define V4(last) {.bytes = {[10] = 0xff, [11] = 0xff, [12] = 192, [13] = 0, [14] = 2, [15] = (last)}}

struct side {
	struct route_attrs attrs;
	struct decide_neighbor neighbor;
	enum route_source source;
	bool config; /* not of BGP */
	bool unusable;
	bool unreachable;
	bool routed;
	bool mac;
	struct route_esi esi;
	struct route_key key;
	const char *name;
};

/*
 * In each row the worse one is better in what comes directly after: the order of any two steps is tested, not only that
 * they exist.
 */
static const struct row {
	const char *what;
	struct side better, worse;
	enum decide_step step;
} rows[] = {
	{"what import refused never counts", {.source = ROUTE_SOURCE_CONFIG}, {.unusable = true}, DECIDE_USABLE},
	{"a port of this node before what neighbors announce",
	 {.config = true, .source = ROUTE_SOURCE_LOCAL},
	 {.source = ROUTE_SOURCE_BGP, .mac = true, .attrs = {.has = ROUTE_HAS_STICKY}},
	 DECIDE_SOURCE},
	{"what neighbors announce before what the configuration says of another",
	 {.source = ROUTE_SOURCE_BGP, .routed = true, .unreachable = true},
	 {.config = true, .source = ROUTE_SOURCE_CONFIG},
	 DECIDE_SOURCE},
	{"what the configuration says of another before a port that waits",
	 {.config = true, .source = ROUTE_SOURCE_CONFIG, .name = "b"},
	 {.config = true, .source = ROUTE_SOURCE_WAITING, .name = "a"},
	 DECIDE_SOURCE},
	{"a next hop in reach before a host with its MAC",
	 {.source = ROUTE_SOURCE_BGP, .routed = true, .mac = true},
	 {.source = ROUTE_SOURCE_BGP, .unreachable = true, .mac = true},
	 DECIDE_REACHABLE},
	{"a host with its MAC before one that is only routed to",
	 {.source = ROUTE_SOURCE_BGP, .mac = true},
	 {.source = ROUTE_SOURCE_BGP, .routed = true, .mac = true, .attrs = {.has = ROUTE_HAS_STICKY}},
	 DECIDE_BRIDGED},
	{"a port of this node before what the configuration says of another",
	 {.config = true, .source = ROUTE_SOURCE_LOCAL, .name = "b"},
	 {.config = true, .source = ROUTE_SOURCE_CONFIG, .name = "a"},
	 DECIDE_SOURCE},
	{"a sticky MAC before the highest sequence",
	 {.mac = true, .attrs = {.has = ROUTE_HAS_STICKY}},
	 {.mac = true, .attrs = {.has = ROUTE_HAS_MOBILITY, .mobility = UINT32_MAX}},
	 DECIDE_STICKY},
	{"the higher sequence before the lower node",
	 {.mac = true, .attrs = {.mobility = 1, .next_hop = V4(2)}},
	 {.mac = true, .attrs = {.mobility = 0, .next_hop = V4(1)}},
	 DECIDE_SEQUENCE},
	{"the highest sequence there is before the one below",
	 {.mac = true, .attrs = {.mobility = UINT32_MAX}},
	 {.mac = true, .attrs = {.mobility = UINT32_MAX - 1}},
	 DECIDE_SEQUENCE},
	{"the lower node before LOCAL_PREF",
	 {.mac = true, .attrs = {.next_hop = V4(1)}},
	 {.mac = true, .attrs = {.next_hop = V4(2), .has = ROUTE_HAS_LOCAL_PREF, .local_pref = 200}},
	 DECIDE_NEXT_HOP},
	{"on one Ethernet segment nodes are equal",
	 {.mac = true, .esi = {{1}}, .attrs = {.next_hop = V4(2), .has = ROUTE_HAS_LOCAL_PREF, .local_pref = 101}},
	 {.mac = true, .esi = {{1}}, .attrs = {.next_hop = V4(1)}},
	 DECIDE_LOCAL_PREF},
	{"sequences are of MACs only",
	 {.attrs = {.has = ROUTE_HAS_LOCAL_PREF, .local_pref = 101}},
	 {.attrs = {.mobility = 9, .path_length = 0}},
	 DECIDE_LOCAL_PREF},
	{"no LOCAL_PREF is 100, not 0",
	 {.attrs = {.path_length = 3}},
	 {.attrs = {.has = ROUTE_HAS_LOCAL_PREF, .local_pref = 99}},
	 DECIDE_LOCAL_PREF},
	{"LOCAL_PREF before the length of the path",
	 {.attrs = {.has = ROUTE_HAS_LOCAL_PREF, .local_pref = 101, .path_length = 9}},
	 {.attrs = {.has = ROUTE_HAS_LOCAL_PREF, .local_pref = 100}},
	 DECIDE_LOCAL_PREF},
	{"the shorter path before the origin",
	 {.attrs = {.path_length = 1, .origin = ROUTE_ORIGIN_INCOMPLETE}},
	 {.attrs = {.path_length = 2, .origin = ROUTE_ORIGIN_IGP}},
	 DECIDE_AS_PATH},
	{"the origin before MED",
	 {.attrs = {.origin = ROUTE_ORIGIN_IGP, .has = ROUTE_HAS_MED, .med = 9}},
	 {.attrs = {.origin = ROUTE_ORIGIN_EGP}},
	 DECIDE_ORIGIN},
	{"MED before eBGP",
	 {.attrs = {.first_as = 65001, .has = ROUTE_HAS_MED, .med = 1}},
	 {.attrs = {.first_as = 65001, .has = ROUTE_HAS_MED, .med = 2}, .neighbor = {.external = true}},
	 DECIDE_MED},
	{"no MED is 0",
	 {.attrs = {.first_as = 65001}},
	 {.attrs = {.first_as = 65001, .has = ROUTE_HAS_MED, .med = 1}, .neighbor = {.external = true}},
	 DECIDE_MED},
	{"MED of different neighboring ASes is not compared",
	 {.attrs = {.first_as = 65001, .has = ROUTE_HAS_MED, .med = 9}, .neighbor = {.external = true, .router_id = 9}},
	 {.attrs = {.first_as = 65002}},
	 DECIDE_EXTERNAL},
	{"eBGP before the router's id",
	 {.neighbor = {.external = true, .router_id = 9}},
	 {.neighbor = {.router_id = 1}},
	 DECIDE_EXTERNAL},
	{"the lower router's id before the clusters",
	 {.attrs = {.n_clusters = 3}, .neighbor = {.router_id = 1}},
	 {.neighbor = {.router_id = 2}},
	 DECIDE_ROUTER_ID},
	{"ORIGINATOR_ID in place of the router's id",
	 {.attrs = {.has = ROUTE_HAS_ORIGINATOR_ID, .originator_id = 1, .n_clusters = 3}, .neighbor = {.router_id = 9}},
	 {.neighbor = {.router_id = 2}},
	 DECIDE_ROUTER_ID},
	{"an id with the high bit is large, not negative",
	 {.neighbor = {.router_id = 1}},
	 {.neighbor = {.router_id = 0xc0000201}},
	 DECIDE_ROUTER_ID},
	{"fewer clusters before the neighbor's address",
	 {.attrs = {.n_clusters = 1}, .neighbor = {.address = V4(2)}},
	 {.attrs = {.n_clusters = 2}, .neighbor = {.address = V4(1)}},
	 DECIDE_CLUSTERS},
	{"the lower address of the neighbor",
	 {.neighbor = {.address = V4(1)}},
	 {.neighbor = {.address = V4(2)}},
	 DECIDE_NEIGHBOR},
	{"the lesser distinguisher",
	 {.key = {.rd = {{1}}}},
	 {.key = {.rd = {{2}}}},
	 DECIDE_ROUTE_KEY},
	{"the lesser name",
	 {.config = true, .source = ROUTE_SOURCE_CONFIG, .name = "a"},
	 {.config = true, .source = ROUTE_SOURCE_CONFIG, .name = "b"},
	 DECIDE_NAME},
};

static struct decide_path path_of(const struct side *s)
{
	return (struct decide_path){.source = s->source,
				    .unusable = s->unusable,
				    .unreachable = s->unreachable,
				    .routed = s->routed,
				    .mac = s->mac,
				    .esi = s->esi,
				    .attrs = s->config ? NULL : &s->attrs,
				    .neighbor = s->config ? NULL : &s->neighbor,
				    .key = s->config ? NULL : &s->key,
				    .name = s->name};
}

static void each_step_decides_before_those_after_it(void **state)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		for (size_t first = 0; first < 2; first++) {
			struct decide_path paths[2];

			paths[first] = path_of(&rows[i].better);
			paths[1 - first] = path_of(&rows[i].worse);
			if (decide_paths(paths, 2) != first || paths[1 - first].lost != rows[i].step)
				fail_msg("%s: %s", rows[i].what, decide_step_name(paths[1 - first].lost));
			assert_int_equal(paths[first].lost, DECIDE_BEST);
		}
}

/*
 * RFC 4271 9.1.2.2 c: a beats b by MED (one AS), b beats c and c beats a by the router's id.  Pair by pair there is no best;
 * removing what is worse there is, in any order.
 */
static void med_gives_the_same_result_in_any_order(void **state)
{
	static const struct side sides[3] = {
		{.attrs = {.first_as = 1, .has = ROUTE_HAS_MED, .med = 1}, .neighbor = {.router_id = 30}},
		{.attrs = {.first_as = 1, .has = ROUTE_HAS_MED, .med = 2}, .neighbor = {.router_id = 10}},
		{.attrs = {.first_as = 2, .has = ROUTE_HAS_MED, .med = 5}, .neighbor = {.router_id = 20}},
	};
	static const int orders[6][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};

	for (int o = 0; o < 6; o++) {
		struct decide_path paths[3];

		for (int i = 0; i < 3; i++)
			paths[i] = path_of(&sides[orders[o][i]]);
		assert_int_equal(orders[o][decide_paths(paths, 3)], 2);
		for (int i = 0; i < 3; i++)
			assert_int_equal(paths[i].lost, ((enum decide_step[]){DECIDE_ROUTER_ID, DECIDE_MED, DECIDE_BEST})[orders[o][i]]);
	}
}

static void nothing_is_best_when_nothing_is_usable(void **state)
{
	const struct side refused = {.unusable = true};
	struct decide_path paths[2] = {path_of(&refused), path_of(&refused)};

	assert_int_equal(decide_paths(paths, 2), 2);
	assert_int_equal(paths[0].lost, DECIDE_USABLE);
	assert_int_not_equal(paths[1].lost, DECIDE_BEST);
	assert_int_equal(decide_paths(paths, 1), 1);
	assert_int_equal(decide_paths(paths, 0), 0);
}

/* As good up to the router's id: one more reason, and it is not. */
static void traffic_is_shared_among_what_only_the_router_id_tells_apart(void **state)
{
	const struct side sides[] = {
		{.neighbor = {.router_id = 1}},
		{.neighbor = {.router_id = 2}},
		{.neighbor = {.router_id = 1, .address = V4(1)}},
		{.attrs = {.path_length = 1}, .neighbor = {.router_id = 0}},
	};
	struct decide_path paths[4];
	const bool equal[4] = {true, true, true, false};

	for (int i = 0; i < 4; i++)
		paths[i] = path_of(&sides[i]);
	assert_int_equal(decide_paths(paths, 4), 0);
	for (int i = 0; i < 4; i++)
		assert_int_equal(decide_is_equal(&paths[i]), equal[i]);
	for (int i = 0; i < 4; i++)
		paths[i].mac = true;
	decide_paths(paths, 4);
	for (int i = 0; i < 4; i++)
		assert_false(decide_is_equal(&paths[i]));
}

#define ORDERS_OF 5

/* The same one wins, and each of the others loses by the same step, in whatever order they are. */
static void hold_in_any_order(const char *what, const struct side *sides, size_t n)
{
	size_t order[ORDERS_OF] = {0, 1, 2, 3, 4}, counters[ORDERS_OF] = {0}, winner = n;
	enum decide_step lost[ORDERS_OF];

	for (size_t depth = 0;;) { /* Heap's algorithm */
		struct decide_path paths[ORDERS_OF];
		size_t best, other;

		for (size_t i = 0; i < n; i++)
			paths[i] = path_of(&sides[order[i]]);
		best = order[decide_paths(paths, n)];
		if (winner == n)
			winner = best;
		if (winner != best)
			fail_msg("%s: %zu won, and in another order %zu", what, winner, best);
		for (size_t i = 0; i < n; i++) {
			if (depth > 0)
				assert_int_equal(paths[i].lost, lost[order[i]]);
			lost[order[i]] = paths[i].lost;
		}
		for (depth = 1; depth < n && counters[depth] >= depth;)
			counters[depth++] = 0;
		if (depth >= n)
			return;
		other = depth % 2 ? counters[depth] : 0;
		counters[depth]++;
		best = order[other];
		order[other] = order[depth];
		order[depth] = best;
	}
}

#define PREF(p) .has = ROUTE_HAS_LOCAL_PREF, .local_pref = (p)

static void the_order_of_arrival_does_not_matter(void **state)
{
	static const struct side moves[] = { /* a host of which there are types 2 and 5, and steps that are of MACs only */
		{.routed = true, .attrs = {.next_hop = V4(9), PREF(50)}},
		{.routed = true, .mac = true, .attrs = {.next_hop = V4(1), .mobility = 1, PREF(100)}},
		{.routed = true, .mac = true, .attrs = {.next_hop = V4(2), .mobility = 5, PREF(100)}},
		{.routed = true, .attrs = {.next_hop = V4(8), PREF(60)}},
		{.routed = true, .mac = true, .attrs = {.next_hop = V4(3), .mobility = 5, PREF(200)}},
	}, sticky[] = {
		{.mac = true, .attrs = {.has = ROUTE_HAS_STICKY, .next_hop = V4(5)}},
		{.attrs = {PREF(101)}},
		{.mac = true, .attrs = {.mobility = 9, PREF(200)}},
		{.attrs = {PREF(102)}},
	}, segments[] = {
		{.mac = true, .esi = {{1}}, .attrs = {.next_hop = V4(1)}, .neighbor = {.router_id = 3}},
		{.mac = true, .esi = {{1}}, .attrs = {.next_hop = V4(4)}, .neighbor = {.router_id = 2}},
		{.mac = true, .esi = {{2}}, .attrs = {.next_hop = V4(2), PREF(300)}},
		{.mac = true, .attrs = {.next_hop = V4(3), PREF(200)}},
		{.attrs = {.next_hop = V4(7)}, .neighbor = {.router_id = 1}},
	}, meds[] = {
		{.attrs = {.first_as = 1, .has = ROUTE_HAS_MED, .med = 1}, .neighbor = {.router_id = 30}},
		{.attrs = {.first_as = 1, .has = ROUTE_HAS_MED, .med = 2}, .neighbor = {.router_id = 10}},
		{.attrs = {.first_as = 2, .has = ROUTE_HAS_MED, .med = 5}, .neighbor = {.router_id = 20}},
		{.attrs = {.first_as = 2, .has = ROUTE_HAS_MED, .med = 7}, .neighbor = {.router_id = 5}},
		{.attrs = {.first_as = 3}, .neighbor = {.router_id = 25}},
	}, keys[] = {
		{.mac = true, .key = {.rd = {{3}}}},
		{.mac = true, .key = {.rd = {{2}}}},
		{.mac = true, .key = {.rd = {{7}}}},
	};

	hold_in_any_order("sequences", moves, 5);
	hold_in_any_order("sticky", sticky, 4);
	hold_in_any_order("segments", segments, 5);
	hold_in_any_order("MED", meds, 5);
	hold_in_any_order("distinguishers", keys, 3);
}

/* A node on the segment of the lowest one is held against the lowest of the others. */
static void a_segment_does_not_shield_its_nodes_from_others(void **state)
{
	static const struct side sides[] = {
		{.mac = true, .esi = {{1}}, .attrs = {.next_hop = V4(1)}},
		{.mac = true, .esi = {{1}}, .attrs = {.next_hop = V4(2), PREF(200)}},
		{.mac = true, .esi = {{1}}, .attrs = {.next_hop = V4(4), PREF(300)}},
		{.mac = true, .attrs = {.next_hop = V4(3), PREF(400)}},
	};
	static const enum decide_step lost[] = {DECIDE_LOCAL_PREF, DECIDE_BEST, DECIDE_NEXT_HOP, DECIDE_NEXT_HOP};
	struct decide_path paths[4];

	for (int i = 0; i < 4; i++)
		paths[i] = path_of(&sides[i]);
	assert_int_equal(decide_paths(paths, 4), 1);
	for (int i = 0; i < 4; i++)
		assert_int_equal(paths[i].lost, lost[i]);
}

#define MANY 300000u

/* Pair by pair this would take hours. */
static void many_candidates_are_decided_in_time(void **state)
{
	struct side *sides = calloc(MANY, sizeof(*sides));
	struct decide_path *paths = calloc(MANY, sizeof(*paths));

	assert_true(sides && paths);
	for (uint32_t i = 0; i < MANY; i++) {
		sides[i] = (struct side){.mac = true, .neighbor = {.router_id = 1 + i},
					 .attrs = {.first_as = (i * 2654435761u) % 1000, .has = ROUTE_HAS_MED, .med = MANY - i}};
		paths[i] = path_of(&sides[i]);
	}
	/* of each AS its last has the lowest MED; of these the one with the lowest id is left */
	assert_int_not_equal(decide_paths(paths, MANY), MANY);
	for (uint32_t i = MANY; i-- > 0;) {
		static bool seen[1000];
		uint32_t as = sides[i].attrs.first_as;

		assert_int_equal(paths[i].lost == DECIDE_MED, seen[as]);
		seen[as] = true;
	}
	free(sides);
	free(paths);
}

static void steps_have_names(void **state)
{
	for (int s = 0; s < DECIDE_MAX; s++)
		for (int other = 0; other < s; other++)
			assert_string_not_equal(decide_step_name(s), decide_step_name(other));
	assert_string_equal(decide_step_name(DECIDE_LOCAL_PREF), "local-pref");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_step_decides_before_those_after_it),
		cmocka_unit_test(med_gives_the_same_result_in_any_order),
		cmocka_unit_test(nothing_is_best_when_nothing_is_usable),
		cmocka_unit_test(traffic_is_shared_among_what_only_the_router_id_tells_apart),
		cmocka_unit_test(the_order_of_arrival_does_not_matter),
		cmocka_unit_test(a_segment_does_not_shield_its_nodes_from_others),
		cmocka_unit_test(many_candidates_are_decided_in_time),
		cmocka_unit_test(steps_have_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
