/* SPDX-License-Identifier: Apache-2.0 */
/*
 * MAC mobility with a clock of its own: two nodes that tell each other, and rows of single events.
 *
 *      node 0 (192.0.2.1) --- announcements ---> node 1 (192.0.2.2), and back
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "rib/mobility.h"

static long allocations_left = -1; /* -1: without end */

void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);

void *__wrap_calloc(size_t n, size_t size)
{
	if (allocations_left == 0)
		return NULL;
	allocations_left -= allocations_left > 0;
	return __real_calloc(n, size);
}

#define V4(last) {.bytes = {[10] = 0xff, [11] = 0xff, [12] = 192, [13] = 0, [14] = 2, [15] = (last)}}

static const struct mobility_key key = {.vni = 5001, .mac = {{2, 0, 0, 0, 0, 1}}};
static const struct addr addresses[2] = {V4(1), V4(2)};

struct node {
	struct mobility m;
	struct mobility_local local;
	struct mobility_remote remote;
	struct mobility_verdict verdict;
};

static struct node nodes[2];
static uint64_t now_ms;

static int up(void **state)
{
	now_ms = 1000;
	for (int i = 0; i < 2; i++) {
		nodes[i] = (struct node){.local.node = addresses[i]};
		mobility_init(&nodes[i].m);
	}
	return 0;
}

static int down(void **state)
{
	for (int i = 0; i < 2; i++)
		mobility_fini(&nodes[i].m);
	return 0;
}

static void say(int from);

/* What the node says now reaches the other one, and so on until nobody has anything to add. */
static void local(int i, bool present)
{
	struct node *n = &nodes[i];

	n->local.present = present;
	assert_int_equal(mobility_local(&n->m, &key, &n->local, &n->remote, now_ms, &n->verdict), 0);
	say(i);
}

static void say(int from)
{
	struct node *n = &nodes[from], *to = &nodes[1 - from];
	const struct mobility_remote now = {.present = n->verdict.announce,
					    .sticky = n->verdict.announce && n->local.sticky,
					    .sequence = n->verdict.announce ? n->verdict.sequence : 0,
					    .node = addresses[from]};
	bool announced = to->verdict.announce;
	uint32_t sequence = to->verdict.sequence;

	if (memcmp(&now, &to->remote, sizeof(now)) == 0)
		return;
	to->remote = now;
	assert_int_equal(mobility_remote(&to->m, &key, &to->local, &to->remote, now_ms, &to->verdict), 0);
	if (to->verdict.announce != announced || to->verdict.sequence != sequence)
		say(1 - from);
}

static void remote(struct node *n, bool present, uint32_t sequence)
{
	n->remote = (struct mobility_remote){.present = present, .sequence = sequence, .node = addresses[n == nodes]};
	assert_int_equal(mobility_remote(&n->m, &key, &n->local, &n->remote, now_ms, &n->verdict), 0);
}

static size_t states(const struct node *n)
{
	struct mobility_view view;
	size_t count = 0;

	for (size_t cursor = 0; mobility_next(&n->m, &cursor, &view);)
		count++;
	return count;
}

static int freed;

static void on_freed(void *arg, const struct mobility_key *k)
{
	assert_memory_equal(k, &key, sizeof(key));
	freed++;
}

static void moves_count_up_and_end_where_the_mac_is(void **state)
{
	local(0, true);
	assert_int_equal(nodes[0].verdict.sequence, 0);
	for (uint32_t move = 1; move <= 1000; move++) {
		int to = move % 2;

		now_ms += 100000;
		local(to, true); /* make before break: it is at both for a moment */
		assert_true(nodes[to].verdict.announce);
		assert_int_equal(nodes[to].verdict.sequence, move);
		assert_false(nodes[1 - to].verdict.announce);
		now_ms += 10;
		local(1 - to, false);
		assert_true(nodes[to].verdict.announce);
		assert_int_equal(nodes[to].verdict.sequence, move);
	}
	local(0, false);
	now_ms += MOBILITY_WINDOW_MS + 1;
	for (int i = 0; i < 2; i++) {
		assert_int_equal(mobility_expire(&nodes[i].m, now_ms, on_freed, NULL), UINT64_MAX);
		assert_int_equal(states(&nodes[i]), 0);
	}
}

static void break_before_make_needs_no_sequence(void **state)
{
	local(0, true);
	local(0, false);
	local(1, true);
	assert_true(nodes[1].verdict.announce);
	assert_int_equal(nodes[1].verdict.sequence, 0);
	assert_int_equal(states(&nodes[0]) + states(&nodes[1]), 0);
}

static void local_port_speaks_again_when_the_other_one_goes(void **state)
{
	local(0, true);
	local(1, true);
	assert_false(nodes[0].verdict.announce);
	now_ms += 2 * MOBILITY_WINDOW_MS;
	mobility_expire(&nodes[0].m, now_ms, on_freed, NULL);
	mobility_expire(&nodes[1].m, now_ms, on_freed, NULL);
	assert_int_equal(states(&nodes[0]), 1); /* what it is silent about must not be forgotten */
	local(1, false);
	assert_true(nodes[0].verdict.announce);
	assert_int_equal(nodes[0].verdict.sequence, 2);
}

static void remote_withdrawal_never_silences_a_local_port(void **state)
{
	local(0, true);
	remote(&nodes[0], true, 0);
	for (uint32_t sequence = 0; sequence < 3; sequence++) {
		remote(&nodes[0], false, 0);
		assert_true(nodes[0].verdict.announce);
		remote(&nodes[0], true, sequence);
		remote(&nodes[0], false, 0);
		assert_true(nodes[0].verdict.announce);
	}
}

static void equal_sequences_are_the_lower_nodes(void **state)
{
	local(0, true); /* both at once: neither has heard of the other */
	nodes[1].remote = (struct mobility_remote){0};
	nodes[1].local.present = true;
	mobility_local(&nodes[1].m, &key, &nodes[1].local, &nodes[1].remote, now_ms, &nodes[1].verdict);
	say(1);
	nodes[1].remote = (struct mobility_remote){.present = true, .node = addresses[0]};
	mobility_remote(&nodes[1].m, &key, &nodes[1].local, &nodes[1].remote, now_ms, &nodes[1].verdict);
	assert_true(nodes[0].verdict.announce);
	assert_false(nodes[1].verdict.announce);
}

static const struct row {
	const char *what;
	int node;          /* 0: the lower address */
	uint32_t remote;
	bool announce;
	uint32_t sequence;
} rows[] = {
	{"one more than a remote 0", 0, 0, true, 1},
	{"one more than any", 1, 41, true, 42},
	{"across the sign bit", 1, 0x7fffffff, true, 0x80000000},
	{"up to the highest there is", 1, UINT32_MAX - 1, true, UINT32_MAX},
	{"which the lower node keeps at the end", 0, UINT32_MAX, true, UINT32_MAX},
	{"and the higher one cannot have", 1, UINT32_MAX, false, 0},
};

static void port_that_appears_takes_one_more_than_was_seen(void **state)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct node *n = &nodes[rows[i].node];

		remote(n, true, rows[i].remote);
		n->local.present = true;
		assert_int_equal(mobility_local(&n->m, &key, &n->local, &n->remote, now_ms, &n->verdict), 0);
		if (n->verdict.announce != rows[i].announce || n->verdict.sequence != rows[i].sequence)
			fail_msg("%s: %d %u", rows[i].what, n->verdict.announce, n->verdict.sequence);
		remote(n, false, 0);
		assert_true(n->verdict.announce); /* nothing is stuck, at the highest neither */
		down(NULL);
		up(NULL);
	}
}

/* Both ports see frames of one MAC again and again: each takes it from the other. */
static void fifth_move_in_three_minutes_freezes_the_newcomer(void **state)
{
	int moves = 0;

	local(0, true);
	for (int i = 0; i < 40 && nodes[0].verdict.alert != MOBILITY_ALERT_DUPLICATE &&
			nodes[1].verdict.alert != MOBILITY_ALERT_DUPLICATE; i++, moves++) {
		now_ms += 1000;
		local(1 - i % 2, true);
	}
	assert_int_equal(moves, 5);
	assert_true(nodes[0].verdict.announce != nodes[1].verdict.announce);
	for (int i = 0; i < 100; i++) { /* and so it stays, whatever they see */
		bool had = nodes[0].verdict.announce;

		now_ms += 1000;
		local(i % 2, true);
		assert_int_equal(nodes[0].verdict.announce, had);
		assert_int_equal(nodes[1].verdict.announce, !had);
	}
}

static void freeze_local_newcomer(struct node *n)
{
	n->local.present = true;
	remote(n, true, 0);
	for (uint32_t i = 0; i < 10 && n->verdict.alert != MOBILITY_ALERT_DUPLICATE; i++) {
		mobility_local(&n->m, &key, &n->local, &n->remote, now_ms, &n->verdict);
		if (n->verdict.alert != MOBILITY_ALERT_DUPLICATE)
			remote(n, true, n->verdict.sequence + 1);
	}
	assert_int_equal(n->verdict.alert, MOBILITY_ALERT_DUPLICATE);
}

static void slow_moves_are_none_too_many(void **state)
{
	struct node *n = &nodes[0];

	n->local.present = true;
	for (uint32_t i = 0; i < 100; i++) {
		now_ms += MOBILITY_WINDOW_MS / 3;
		remote(n, true, n->verdict.sequence + 1);
		now_ms += MOBILITY_WINDOW_MS / 3;
		mobility_local(&n->m, &key, &n->local, &n->remote, now_ms, &n->verdict);
		assert_int_equal(n->verdict.alert, MOBILITY_ALERT_NONE);
		assert_true(n->verdict.announce);
	}
}

/* Frozen in favour of this node. */
static bool keeps_here(const struct node *n)
{
	struct mobility_view view;
	size_t cursor = 0;

	return mobility_next(&n->m, &cursor, &view) && view.frozen && view.here;
}

/* Gone here before it comes there: it is at one place at a time, however often. */
static void mac_that_leaves_before_it_comes_is_no_duplicate(void **state)
{
	local(0, true);
	for (int i = 0; i < 40; i++) {
		now_ms += 100;
		local(i % 2, false);
		local(1 - i % 2, true);
		assert_int_equal(nodes[0].verdict.alert, MOBILITY_ALERT_NONE);
		assert_int_equal(nodes[1].verdict.alert, MOBILITY_ALERT_NONE);
		assert_true(nodes[1 - i % 2].verdict.announce);
		assert_false(nodes[i % 2].verdict.announce);
	}
}

/* An interface that flaps is gone for a moment each time: that does not begin the counting anew. */
static void who_comes_back_after_a_freeze_is_frozen_at_once(void **state)
{
	local(0, true);
	for (int i = 0; i < 5; i++)
		local(1 - i % 2, true);
	for (int i = 0; i < 20; i++) {
		int had = nodes[1].verdict.announce;

		now_ms += 100;
		local(had, false);
		assert_true(nodes[1 - had].verdict.announce); /* somebody has to have it */
		local(had, true);
		assert_int_equal(nodes[had].verdict.alert, MOBILITY_ALERT_DUPLICATE);
		assert_false(nodes[had].verdict.announce);
		assert_true(nodes[1 - had].verdict.announce);
	}
	/* As long as nobody goes, that is over with the window: what comes then is a move. */
	now_ms += MOBILITY_FREEZE_MS;
	for (int i = 0; i < 2; i++)
		mobility_expire(&nodes[i].m, now_ms, on_freed, NULL);
	local(!nodes[1].verdict.announce, true);
	assert_int_equal(nodes[0].verdict.alert, MOBILITY_ALERT_NONE);
	assert_int_equal(nodes[1].verdict.alert, MOBILITY_ALERT_NONE);
}

static void frozen_mac_is_freed_after_half_an_hour(void **state)
{
	struct node *n = &nodes[0];
	bool ignored;
	uint64_t due;

	freeze_local_newcomer(n);
	ignored = keeps_here(n);
	due = mobility_expire(&n->m, now_ms, on_freed, NULL);
	assert_int_equal(due, now_ms + MOBILITY_FREEZE_MS);
	freed = 0;
	now_ms = due - 1;
	mobility_expire(&n->m, now_ms, on_freed, NULL);
	assert_int_equal(freed, 0);
	now_ms = due;
	mobility_expire(&n->m, now_ms, on_freed, NULL);
	assert_int_equal(freed, 1);
	mobility_local(&n->m, &key, &n->local, &n->remote, now_ms, &n->verdict);
	assert_false(keeps_here(n));
	if (!ignored) /* it was the local port that had to wait */
		assert_true(n->verdict.announce);
}

static void frozen_mac_is_freed_by_command(void **state)
{
	freeze_local_newcomer(&nodes[0]);
	assert_true(mobility_free(&nodes[0].m, &key, now_ms));
	assert_false(mobility_free(&nodes[0].m, &key, now_ms));
	assert_false(mobility_free(&nodes[1].m, &key, now_ms));
}

static void remote_newcomer_that_is_frozen_counts_for_nothing_until_the_port_goes(void **state)
{
	struct node *n = &nodes[0];

	local(0, true); /* the moves: it went to the other one, came back, ... */
	for (int i = 0; i < 3; i++) {
		remote(n, true, n->verdict.sequence + 1);
		assert_int_equal(n->verdict.alert, i < 2 ? MOBILITY_ALERT_NONE : MOBILITY_ALERT_DUPLICATE);
		if (i < 2)
			mobility_local(&n->m, &key, &n->local, &n->remote, now_ms, &n->verdict);
	}
	assert_true(n->verdict.announce);
	assert_true(keeps_here(n));
	remote(n, true, 1000);
	assert_true(keeps_here(n));
	n->local.present = false;
	mobility_local(&n->m, &key, &n->local, &n->remote, now_ms, &n->verdict);
	assert_false(keeps_here(n));
	assert_false(n->verdict.announce);
}

/* A sticky route is before those with the highest sequences, which were told all the same. */
static void the_highest_sequence_counts_also_when_it_is_not_the_best(void **state)
{
	struct node *n = &nodes[0];

	n->remote = (struct mobility_remote){.present = true, .sticky = true, .highest = 9, .node = addresses[1]};
	n->local.present = true;
	assert_int_equal(mobility_local(&n->m, &key, &n->local, &n->remote, now_ms, &n->verdict), 0);
	assert_false(n->verdict.announce);
	remote(n, false, 0);
	assert_true(n->verdict.announce);
	assert_int_equal(n->verdict.sequence, 10);
}

static void local_newcomer_that_is_frozen_speaks_when_the_other_one_goes(void **state)
{
	struct node *n = &nodes[1];

	n->local.present = true;
	remote(n, true, 0);
	assert_false(n->verdict.announce); /* the higher address, and so the first move */
	for (int i = 0; n->verdict.alert != MOBILITY_ALERT_DUPLICATE; i++) {
		assert_in_range(i, 0, 9);
		if (n->verdict.announce)
			remote(n, true, n->verdict.sequence + 1);
		else
			mobility_local(&n->m, &key, &n->local, &n->remote, now_ms, &n->verdict);
	}
	if (n->verdict.announce) /* the fifth was the other one's */
		assert_true(keeps_here(n));
	remote(n, false, 0);
	assert_true(n->verdict.announce);
	assert_true(n->verdict.sequence > 0);
}

static void sticky_mac_here_stays_and_is_announced_as_such(void **state)
{
	struct node *n = &nodes[0];

	n->local.sticky = true;
	local(0, true);
	remote(n, true, UINT32_MAX);
	assert_true(n->verdict.announce);
	assert_int_equal(n->verdict.sequence, 0); /* RFC 7432 15.2 */
	assert_int_equal(n->verdict.alert, MOBILITY_ALERT_STICKY_LOCAL);
}

static void sticky_mac_elsewhere_is_not_taken_and_told_of(void **state)
{
	struct node *n = &nodes[0];

	n->remote = (struct mobility_remote){.present = true, .sticky = true, .node = addresses[1]};
	local(0, true);
	assert_false(n->verdict.announce);
	assert_int_equal(n->verdict.alert, MOBILITY_ALERT_STICKY_REMOTE);
	remote(n, false, 0);
	assert_true(n->verdict.announce);
}

static void memory_running_out_changes_nothing(void **state)
{
	struct node *n = &nodes[0];

	for (long allowed = 0, r = -1; r != 0; allowed++) {
		assert_in_range(allowed, 0, 5);
		n->local.present = true;
		n->remote = (struct mobility_remote){.present = true, .sequence = 4, .node = addresses[1]};
		allocations_left = allowed;
		r = mobility_local(&n->m, &key, &n->local, &n->remote, now_ms, &n->verdict);
		allocations_left = -1;
		assert_int_equal(states(n), r == 0);
	}
	assert_int_equal(n->verdict.sequence, 5);
}

static void alerts_have_names(void **state)
{
	for (int a = 0; a < MOBILITY_ALERT_MAX; a++)
		for (int b = 0; b < a; b++)
			assert_string_not_equal(mobility_alert_name(a), mobility_alert_name(b));
}

int main(void)
{
#define RIG(test) cmocka_unit_test_setup_teardown(test, up, down)
	const struct CMUnitTest tests[] = {
		RIG(moves_count_up_and_end_where_the_mac_is),
		RIG(break_before_make_needs_no_sequence),
		RIG(local_port_speaks_again_when_the_other_one_goes),
		RIG(remote_withdrawal_never_silences_a_local_port),
		RIG(equal_sequences_are_the_lower_nodes),
		RIG(port_that_appears_takes_one_more_than_was_seen),
		RIG(fifth_move_in_three_minutes_freezes_the_newcomer),
		RIG(slow_moves_are_none_too_many),
		RIG(mac_that_leaves_before_it_comes_is_no_duplicate),
		RIG(who_comes_back_after_a_freeze_is_frozen_at_once),
		RIG(frozen_mac_is_freed_after_half_an_hour),
		RIG(frozen_mac_is_freed_by_command),
		RIG(remote_newcomer_that_is_frozen_counts_for_nothing_until_the_port_goes),
		RIG(the_highest_sequence_counts_also_when_it_is_not_the_best),
		RIG(local_newcomer_that_is_frozen_speaks_when_the_other_one_goes),
		RIG(sticky_mac_here_stays_and_is_announced_as_such),
		RIG(sticky_mac_elsewhere_is_not_taken_and_told_of),
		RIG(memory_running_out_changes_nothing),
		cmocka_unit_test(alerts_have_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
