/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One MAC, announced by three neighbors: what each of them is told to have lost by.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "rib/why.h"

#define V4(last) {.bytes = {[10] = 0xff, [11] = 0xff, [12] = 192, [13] = 0, [14] = 2, [15] = (last)}}

static enum decide_step steps[3];
static enum import_verdict verdicts[3];
static bool shared[3];

static void nobody(void *arg, const struct routes_change *change)
{
}

static void on_why(void *arg, const struct why *w)
{
	steps[w->candidate.source] = w->step;
	verdicts[w->candidate.source] = w->verdict;
	shared[w->candidate.source] = w->shared;
}

static void each_candidate_has_its_verdict_and_its_step(void **state)
{
	static const struct {
		uint32_t sequence;
		uint32_t target;
	} said[3] = {{1, 5001}, {2, 5001}, {9, 7777}}; /* the third is nobody's, the second is the best */
	const struct addr own[2] = {V4(1), V4(1)};
	struct route_nlri nlri = {.key = {.family = ROUTE_EVPN, .type = ROUTE_EVPN_MAC, .mac = {{2, 0, 0, 0, 0, 1}}},
				  .n_labels = 1,
				  .label = {5001}};
	struct attrs *attrs;
	struct routes *table;
	struct import im;

	assert_int_equal(attrs_new(&attrs), 0);
	assert_int_equal(routes_new(attrs, nobody, NULL, &table), 0);
	import_init(&im, attrs, 65000, own);
	assert_int_equal(import_vrf_put(&im, 5001, 5000, NULL, 0), 0);
	for (int i = 0; i < 3; i++) {
		uint64_t extended[] = {extended_target_as2(65000, said[i].target), extended_mobility(said[i].sequence, false)};
		struct route_attrs a = {.next_hop = V4(2), .extended = extended, .n_extended = 2};
		struct decide_neighbor neighbor = {.router_id = (uint32_t)i};
		const struct route_attrs *set;
		uint16_t source;

		assert_int_equal(routes_source_add(table, &neighbor, &source), 0);
		assert_int_equal(attrs_intern(attrs, &a, &set), 0);
		assert_int_equal(routes_put(table, source, set, &nlri, 1), 0);
		attrs_unref(attrs, set);
	}
	assert_int_equal(why(table, &im, &nlri.key, on_why, NULL), 0);
	assert_int_equal(steps[0], DECIDE_SEQUENCE);
	assert_int_equal(steps[1], DECIDE_BEST);
	assert_int_equal(steps[2], DECIDE_USABLE);
	assert_int_equal(verdicts[0], IMPORT_ACCEPTED);
	assert_int_equal(verdicts[2], IMPORT_TARGET);
	assert_false(shared[0]);
	assert_true(shared[1]);
	assert_false(shared[2]);
	nlri.key.mac.bytes[5] = 9;
	assert_int_equal(why(table, &im, &nlri.key, on_why, NULL), -ENOENT);
	import_fini(&im);
	routes_free(table);
	assert_int_equal(attrs_length(attrs), 0);
	attrs_free(attrs);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_candidate_has_its_verdict_and_its_step),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
