/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Probes under a virtual clock, over a path that the test makes: how long it takes, what it carries, what it loses.
 */
#include "hex.h"

#include <stdlib.h>

#include "lib/timer.h"
#include "wg/probe.h"

struct path {
	struct probe probe;
	uint64_t now_us;
	uint64_t delay_us;
	uint32_t carries; /* IP datagrams up to this */
	bool down;
	unsigned lossy;   /* of a thousand messages, each way */
	uint32_t session;
	uint64_t next, received; /* of it, as the other side has them */
	unsigned sent, rounds;
	uint16_t largest; /* that was sent since it was looked at last */
	struct probe_message kept; /* the last answer */
};

static void path_init(struct path *p, uint32_t carries, uint16_t told, bool v6)
{
	*p = (struct path){.now_us = 5000000000, .delay_us = 20000, .carries = carries, .session = 7};
	probe_init(&p->probe);
	probe_path(&p->probe, told, v6, false, p->now_us);
	probe_on_session(&p->probe, p->now_us);
}

static bool is_lost(const struct path *p)
{
	return p->down || (unsigned)rand() % 1000 < p->lossy;
}

/* What the other side says to the probes that get there; the answers are handed over later. */
static size_t cross(struct path *p, const struct probe_order *orders, size_t n, struct probe_message *answers)
{
	size_t length = 0;

	for (size_t i = 0; i < n; i++) {
		uint8_t ask[PROBE_SIZE], bytes[PROBE_ANSWER_SIZE];
		struct probe_message m;

		p->sent++;
		p->largest = orders[i].size > p->largest ? orders[i].size : p->largest;
		probe_write_ask(&p->probe, orders[i].step, ask);
		assert_true(probe_is(ask) && probe_read(ask, sizeof(ask), &m));
		assert_int_equal(m.kind, PROBE_ASK);
		assert_int_equal(m.step, orders[i].step);
		p->next++;
		if (orders[i].size > p->carries || is_lost(p))
			continue;
		p->received++;
		m.held_us = 300;
		m.loss = 1234;
		m.next = p->next;
		m.received = p->received;
		probe_write_answer(&m, bytes);
		assert_true(probe_read(bytes, sizeof(bytes), &m));
		if (!is_lost(p))
			answers[length++] = m;
	}
	return length;
}

/* One round: until it is over. */
static bool turn(struct path *p)
{
	struct probe_order orders[PROBE_STEPS];
	struct probe_message answers[PROBE_STEPS];
	size_t n, length;

	if (p->probe.due_ms == TIMER_NEVER)
		return false;
	if (p->probe.due_ms * 1000 > p->now_us)
		p->now_us = p->probe.due_ms * 1000;
	n = probe_run(&p->probe, p->now_us, orders);
	if (n == 0)
		return p->probe.due_ms != TIMER_NEVER;
	probe_sent(&p->probe, p->session);
	p->rounds++;
	length = cross(p, orders, n, answers);
	p->now_us += p->delay_us + 300;
	for (size_t i = length; i-- > 0;) { /* the last first */
		probe_on_answer(&p->probe, &answers[i], p->now_us);
		p->kept = answers[i];
	}
	return true;
}

static void settle(struct path *p)
{
	for (int i = 0; turn(p); i++)
		assert_true(i < 200);
}

static void data(struct path *p, uint64_t after_ms)
{
	p->now_us += after_ms * 1000;
	probe_on_data(&p->probe, p->now_us);
}

static uint64_t ms_of(const struct path *p, uint64_t since_us)
{
	return (p->now_us - since_us) / 1000;
}

static void a_path_that_carries_what_it_says_costs_one_try(void **state)
{
	for (int v6 = 0; v6 < 2; v6++) {
		struct path p;

		path_init(&p, 1500, 1500, v6);
		settle(&p);
		assert_int_equal(p.probe.state, PROBE_COMPLETE);
		assert_int_equal(probe_limit(&p.probe), 0);
		assert_int_equal(probe_mtu(&p.probe), 1500);
		assert_int_equal(p.largest, v6 ? 1488 : 1500); /* the last whole 16 */
		assert_int_equal(p.sent, 4); /* is anybody there; base and largest */
	}
}

static void what_a_path_carries_is_found_within_seconds(void **state)
{
	static const uint16_t told[] = {1500, 9000, 65535, 1400};

	for (size_t t = 0; t < sizeof(told) / sizeof(told[0]); t++)
		for (uint32_t carries = 576; carries < told[t]; carries += carries < 1600 ? 1 : 97)
			for (int v6 = 0; v6 < 2; v6++) {
				unsigned around = v6 ? 80 : 60;
				uint64_t begun_us;
				struct path p;

				path_init(&p, carries, told[t], v6);
				begun_us = p.now_us;
				settle(&p);
				if ((carries - around) / 16 == (told[t] - around) / 16U) {
					assert_int_equal(probe_limit(&p.probe), 0);
					continue;
				}
				assert_int_equal(probe_limit(&p.probe), around + (carries - around) / 16 * 16);
				assert_int_equal(probe_mtu(&p.probe), probe_limit(&p.probe));
				assert_true(ms_of(&p, begun_us) < 20000);
				if (told[t] == 1500 && carries >= 1280)
					assert_true(ms_of(&p, begun_us) < 6000);
			}
}

static void nothing_is_said_before_it_is_known(void **state)
{
	struct path p;

	path_init(&p, 1400, 1500, false);
	while (p.probe.state != PROBE_COMPLETE) {
		assert_int_equal(probe_limit(&p.probe), 0);
		turn(&p);
	}
	assert_int_equal(probe_limit(&p.probe), 1388);
}

static void a_black_hole_is_found_while_data_flows(void **state)
{
	struct path p;
	uint64_t begun_us;

	path_init(&p, 1500, 1500, false);
	settle(&p);
	p.carries = 1400;
	begun_us = p.now_us;
	data(&p, 1);
	settle(&p);
	assert_int_equal(probe_limit(&p.probe), 1388);
	assert_true(ms_of(&p, begun_us) <= 16000);
	/* it goes on like that, until it is time to look for more */
	p.carries = 1500;
	for (int i = 0; i < 58; i++) {
		data(&p, 10000);
		settle(&p);
		assert_int_equal(probe_limit(&p.probe), 1388);
	}
	for (int i = 0; i < 3; i++) {
		data(&p, 10000);
		settle(&p);
	}
	assert_int_equal(probe_limit(&p.probe), 0);
	assert_int_equal(p.probe.state, PROBE_COMPLETE);
}

static void not_even_the_base(void **state)
{
	struct path p;

	path_init(&p, 800, 1500, true);
	settle(&p);
	assert_int_equal(probe_limit(&p.probe), 800);
	p.carries = 300; /* the small one gets through */
	data(&p, 10000);
	settle(&p);
	assert_int_equal(p.probe.state, PROBE_ERROR);
	assert_int_equal(probe_limit(&p.probe), 576);
	p.carries = 1500; /* and it is better, some time */
	data(&p, 10000);
	settle(&p);
	assert_int_equal(p.probe.state, PROBE_COMPLETE);
	assert_int_equal(probe_limit(&p.probe), 0);
}

static void a_path_that_is_down_says_nothing_of_sizes(void **state)
{
	struct path p;

	path_init(&p, 1500, 1500, false);
	settle(&p);
	p.down = true;
	for (int i = 0; i < 20; i++) {
		unsigned sent = p.sent;

		data(&p, 10000);
		settle(&p);
		assert_true(p.sent - sent <= 6);
		assert_int_equal(probe_limit(&p.probe), 0);
	}
	p.down = false;
	data(&p, 10000);
	settle(&p);
	assert_int_equal(p.probe.state, PROBE_COMPLETE);
	assert_int_equal(probe_mtu(&p.probe), 1500);
}

static void who_never_answers_is_left_alone(void **state)
{
	struct probe_message late = {.kind = PROBE_ANSWER};
	struct probe before;
	uint64_t begun_us;
	struct path p;

	path_init(&p, 1500, 1500, false);
	begun_us = p.now_us;
	p.down = true;
	settle(&p);
	assert_int_equal(p.sent, 3);
	assert_int_equal(ms_of(&p, begun_us), 1000 + 2000 + 4000);
	late.round = p.probe.round; /* nobody waits for it any more */
	before = p.probe;
	probe_on_answer(&p.probe, &late, p.now_us);
	assert_memory_equal(&before, &p.probe, sizeof(before));
	for (int i = 0; i < 100; i++) {
		data(&p, 10000);
		settle(&p);
	}
	assert_int_equal(p.sent, 3);
	p.down = false; /* another version was started */
	probe_on_session(&p.probe, p.now_us);
	settle(&p);
	assert_int_equal(probe_mtu(&p.probe), 1500);
}

static void an_idle_session_is_left_alone(void **state)
{
	struct path p;
	unsigned sent;

	path_init(&p, 1500, 1500, false);
	settle(&p);
	sent = p.sent;
	assert_int_equal(p.probe.due_ms, TIMER_NEVER);
	p.now_us += 3600ULL * 1000000;
	assert_false(turn(&p));
	data(&p, 0); /* after so long at once */
	assert_int_equal(p.probe.due_ms, p.now_us / 1000);
	settle(&p);
	assert_int_equal(p.sent, sent + 2);
	for (int i = 0; i < 1000; i++) { /* and then every ten seconds */
		data(&p, 100);
		if (p.probe.due_ms * 1000 <= p.now_us)
			turn(&p);
		if (p.probe.due_ms * 1000 <= p.now_us)
			turn(&p);
	}
	assert_in_range(p.sent, sent + 20, sent + 22);
	/* one that ends with a question under way begins with another */
	probe_on_session_ended(&p.probe);
	assert_int_equal(p.probe.due_ms, TIMER_NEVER);
	probe_on_session(&p.probe, p.now_us);
	assert_int_equal(p.probe.due_ms, p.now_us / 1000);
}

static void another_path_is_another_search(void **state)
{
	struct path p;

	path_init(&p, 1400, 1500, false);
	settle(&p);
	assert_int_equal(probe_limit(&p.probe), 1388);
	/* the kernel has learned of it, and forgets it: nothing longer is sent before it is known to get through */
	probe_path(&p.probe, 1400, false, false, p.now_us);
	settle(&p);
	assert_int_equal(probe_limit(&p.probe), 0);
	probe_path(&p.probe, 1500, false, false, p.now_us);
	assert_int_equal(probe_limit(&p.probe), 1388);
	settle(&p);
	assert_int_equal(probe_limit(&p.probe), 1388);
	/* it moves to where more gets through */
	p.carries = 1500;
	probe_path(&p.probe, 1500, false, true, p.now_us);
	assert_int_equal(probe_limit(&p.probe), 1388);
	settle(&p);
	assert_int_equal(probe_limit(&p.probe), 0);
	/* to the other family, and back with a path that nothing is known of */
	p.carries = 1300;
	probe_path(&p.probe, 1500, true, true, p.now_us);
	settle(&p);
	assert_int_equal(probe_limit(&p.probe), 1296);
	probe_path(&p.probe, 0, false, true, p.now_us);
	assert_int_equal(probe_limit(&p.probe), 0);
	data(&p, 10000);
	p.largest = 0;
	settle(&p);
	assert_int_equal(p.largest, 0);
	assert_int_equal(p.probe.state, PROBE_DISABLED);
}

static void losses_by_chance_are_no_black_hole(void **state)
{
	unsigned wrong = 0;

	srand(5);
	for (int i = 0; i < 300; i++) {
		struct path p;

		path_init(&p, 1500, 1500, false);
		p.lossy = 50;
		for (int n = 0; n < 30; n++) {
			settle(&p);
			wrong += probe_limit(&p.probe) != 0;
			data(&p, 10000);
		}
	}
	assert_true(wrong < 9); /* of 9,000 */
}

static void round_trips_are_smoothed_and_without_what_the_other_side_took(void **state)
{
	struct path p;

	path_init(&p, 1500, 1500, false);
	settle(&p);
	assert_int_equal(p.probe.rtt_us, 20000);
	p.delay_us = 28000;
	data(&p, 10000);
	settle(&p);
	assert_int_equal(p.probe.rtt_us, 21000);
	for (int i = 0; i < 60; i++) {
		data(&p, 10000);
		settle(&p);
	}
	assert_in_range(p.probe.rtt_us, 27900, 28000);
}

static void what_is_lost_is_told_from_what_was_too_large(void **state)
{
	struct path p;

	path_init(&p, 1500, 1500, false);
	settle(&p);
	data(&p, 10000);
	settle(&p);
	assert_int_equal(probe_loss_out(&p.probe), PROBE_LOSS_UNKNOWN); /* of so few */
	path_init(&p, 1400, 1500, false);
	settle(&p);
	data(&p, 10000);
	settle(&p);
	assert_int_equal(probe_loss_out(&p.probe), 0);
	assert_int_equal(p.probe.loss_in, 1234);
	for (int i = 0; i < 8; i++) {
		p.next += 1000;
		p.received += 950;
		data(&p, 10000);
		settle(&p);
	}
	assert_in_range(probe_loss_out(&p.probe), 49000, 51000);
	/* what was overtaken by a probe was not lost */
	for (int i = 0; i < 12; i++) {
		p.next += 1000;
		p.received += i & 1 ? 1040 : 960;
		data(&p, 10000);
		settle(&p);
	}
	assert_in_range(probe_loss_out(&p.probe), 0, 2000);
	/* another session begins at zero */
	p.session++;
	p.next = 1000;
	p.received = 800;
	data(&p, 10000);
	settle(&p);
	assert_in_range(probe_loss_out(&p.probe), 90000, 200000);
	p.session++;
	p.next = p.received = 0;
	for (int i = 0; i < 10; i++) {
		p.next += 1000;
		p.received += i == 0 ? 990 : 1000;
		if (i == 3) /* some that came late */
			p.received += 5;
		data(&p, 10000);
		settle(&p);
	}
	assert_in_range(probe_loss_out(&p.probe), 0, 100);
}

static void what_was_under_way_when_the_path_changed_is_not_lost(void **state)
{
	struct probe_order orders[PROBE_STEPS];
	struct probe_message answers[PROBE_STEPS];
	struct path p;
	size_t n;

	path_init(&p, 1400, 1500, false);
	while (p.probe.state != PROBE_SEARCHING)
		turn(&p);
	p.now_us = p.probe.due_ms * 1000;
	n = probe_run(&p.probe, p.now_us, orders);
	assert_true(n > 5);
	cross(&p, orders, n, answers);
	probe_path(&p.probe, 1500, false, true, p.now_us);
	settle(&p);
	data(&p, 10000);
	settle(&p);
	assert_int_equal(probe_limit(&p.probe), 1388);
	assert_int_equal(probe_loss_out(&p.probe), 0);
}

static void answers_count_for_their_round_and_once(void **state)
{
	struct probe_order orders[PROBE_STEPS];
	struct path p;
	struct probe before;
	struct probe_message m;
	size_t n;

	path_init(&p, 1500, 1500, false);
	settle(&p);
	/* replayed and delayed: nothing is waited for */
	before = p.probe;
	probe_on_answer(&p.probe, &p.kept, p.now_us + 1);
	assert_memory_equal(&before, &p.probe, sizeof(before));
	data(&p, 10000);
	p.now_us = p.probe.due_ms * 1000;
	n = probe_run(&p.probe, p.now_us, orders);
	assert_int_equal(n, 2);
	probe_sent(&p.probe, p.session);
	before = p.probe;
	/* of an earlier round, of a later one, of what was not asked */
	probe_on_answer(&p.probe, &p.kept, p.now_us + 1);
	m = (struct probe_message){.kind = PROBE_ANSWER, .round = p.probe.round + 1};
	probe_on_answer(&p.probe, &m, p.now_us + 1);
	m = (struct probe_message){.kind = PROBE_ANSWER, .round = p.probe.round, .step = 5};
	probe_on_answer(&p.probe, &m, p.now_us + 1);
	assert_memory_equal(&before, &p.probe, sizeof(before));
	/* the right one once */
	m.step = 0;
	m.next = m.received = p.next + 2;
	probe_on_answer(&p.probe, &m, p.now_us + 1000);
	before = p.probe;
	m.next = 1000000;
	probe_on_answer(&p.probe, &m, p.now_us + 50000);
	assert_memory_equal(&before, &p.probe, sizeof(before));
}

static void numbers_that_contradict_themselves_are_ignored(void **state)
{
	static const uint64_t rows[][2] = {{1100, 1200}, {900, 850}, {1100, 700}, {100, 100}, {0, 0}};
	struct probe_loss before;
	struct path p;

	path_init(&p, 1500, 1500, false);
	p.next = 1000;
	p.received = 800;
	settle(&p);
	before = p.probe.out;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		p.next = rows[i][0];
		p.received = rows[i][1];
		data(&p, 10000);
		settle(&p);
		assert_memory_equal(&p.probe.out, &before, sizeof(before));
	}
}

static void bytes_are_read_whole_or_not(void **state)
{
	struct probe_message m = {.kind = PROBE_ANSWER, .step = 15, .round = 0x01020304, .held_us = 5, .loss = 6,
				  .next = 1ULL << 40, .received = 7}, out;
	uint8_t bytes[PROBE_ANSWER_SIZE + 16] = {0};

	probe_write_answer(&m, bytes);
	for (size_t size = 0; size <= sizeof(bytes); size++)
		assert_int_equal(probe_read(bytes, size, &out), size >= PROBE_ANSWER_SIZE);
	assert_true(out.kind == m.kind && out.step == m.step && out.round == m.round && out.held_us == m.held_us &&
		    out.loss == m.loss && out.next == m.next && out.received == m.received);
	bytes[1] = PROBE_STEPS;
	assert_false(probe_read(bytes, sizeof(bytes), &out));
	bytes[1] = 0;
	bytes[0] = 0x12;
	assert_false(probe_read(bytes, sizeof(bytes), &out));
	for (int i = 0; i < 256; i++) {
		bytes[0] = (uint8_t)i;
		assert_int_equal(probe_is(bytes), i >> 4 == 1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_path_that_carries_what_it_says_costs_one_try),
		cmocka_unit_test(what_a_path_carries_is_found_within_seconds),
		cmocka_unit_test(nothing_is_said_before_it_is_known),
		cmocka_unit_test(a_black_hole_is_found_while_data_flows),
		cmocka_unit_test(not_even_the_base),
		cmocka_unit_test(a_path_that_is_down_says_nothing_of_sizes),
		cmocka_unit_test(who_never_answers_is_left_alone),
		cmocka_unit_test(an_idle_session_is_left_alone),
		cmocka_unit_test(another_path_is_another_search),
		cmocka_unit_test(losses_by_chance_are_no_black_hole),
		cmocka_unit_test(round_trips_are_smoothed_and_without_what_the_other_side_took),
		cmocka_unit_test(what_is_lost_is_told_from_what_was_too_large),
		cmocka_unit_test(what_was_under_way_when_the_path_changed_is_not_lost),
		cmocka_unit_test(answers_count_for_their_round_and_once),
		cmocka_unit_test(numbers_that_contradict_themselves_are_ignored),
		cmocka_unit_test(bytes_are_read_whole_or_not),
	};

	return cmocka_run_group_tests_name("wg_probe", tests, NULL, NULL);
}
