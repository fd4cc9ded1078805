/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <signal.h>
#include <unistd.h>

#include "lib/loop.h"

static uint64_t virtual_ms;

static uint64_t virtual_clock(void *arg)
{
	return virtual_ms;
}

static struct loop *virtual_loop(void)
{
	struct loop *loop = NULL;

	assert_int_equal(loop_new(&loop), 0);
	virtual_ms = 1000;
	loop_set_clock(loop, virtual_clock, NULL);
	return loop;
}

/* ---- timers ---- */

#define TIMERS 200

static struct bench {
	struct loop *loop;
	struct loop_timer *timers[TIMERS];
	uint64_t at_ms[TIMERS]; /* what the model says; 0 = not armed */
	unsigned fired;
} bench;

struct armed {
	size_t index;
};
static struct armed armed[TIMERS];

static void on_model_timer(void *arg)
{
	const struct armed *a = arg;

	assert_true(bench.at_ms[a->index] > 0 && bench.at_ms[a->index] <= loop_now_ms(bench.loop));
	for (size_t i = 0; i < TIMERS; i++) /* nobody who was due earlier is still waiting */
		assert_true(bench.at_ms[i] == 0 || bench.at_ms[i] >= bench.at_ms[a->index]);
	bench.at_ms[a->index] = 0;
	bench.fired++;
}

static void timers_fire_in_order_and_once(void **state)
{
	bench.loop = virtual_loop();
	srandom(4);
	for (size_t i = 0; i < TIMERS; i++) {
		armed[i].index = i;
		assert_int_equal(loop_timer_add(bench.loop, on_model_timer, &armed[i], &bench.timers[i]), 0);
	}
	for (int step = 0; step < 20000; step++) {
		size_t i = (size_t)(random() % TIMERS);

		bench.at_ms[i] = random() % 4 ? virtual_ms + (uint64_t)(random() % 50) + 1 : 0;
		loop_timer_set(bench.loop, bench.timers[i], bench.at_ms[i]);
		if (random() % 8 == 0) {
			virtual_ms += (uint64_t)(random() % 20);
			assert_int_equal(loop_step(bench.loop, 0), 0);
			for (size_t k = 0; k < TIMERS; k++)
				assert_true(bench.at_ms[k] == 0 || bench.at_ms[k] > virtual_ms);
		}
	}
	assert_true(bench.fired > 1000);
	for (size_t i = 0; i < TIMERS; i += 2)
		loop_timer_remove(bench.loop, bench.timers[i]);
	loop_timer_remove(bench.loop, NULL);
	loop_free(bench.loop); /* frees the others */
}

static struct loop *again_loop;
static struct loop_timer *again;
static unsigned again_fired;

static void on_again(void *arg)
{
	again_fired++;
	loop_timer_set(again_loop, again, loop_now_ms(again_loop));
}

static void a_timer_that_arms_itself_for_now_does_not_hold_the_loop(void **state)
{
	again_loop = virtual_loop();
	assert_int_equal(loop_timer_add(again_loop, on_again, NULL, &again), 0);
	loop_timer_set(again_loop, again, virtual_ms);
	loop_step(again_loop, 0);
	assert_int_equal(again_fired, 1);
	virtual_ms++;
	loop_step(again_loop, 0);
	assert_int_equal(again_fired, 2);
	loop_free(again_loop);
}

static void on_remove_other(void *arg)
{
	struct loop_timer **other = arg;

	loop_timer_remove(again_loop, *other);
	*other = NULL;
	loop_timer_remove(again_loop, again); /* itself */
	again = NULL;
	again_fired++;
}

static void on_never(void *arg)
{
	fail_msg("was removed before");
}

static void a_callback_may_remove_itself_and_others(void **state)
{
	struct loop_timer *other = NULL;

	again_loop = virtual_loop();
	again_fired = 0;
	assert_int_equal(loop_timer_add(again_loop, on_never, NULL, &other), 0);
	assert_int_equal(loop_timer_add(again_loop, on_remove_other, &other, &again), 0);
	loop_timer_set(again_loop, again, virtual_ms);
	loop_timer_set(again_loop, other, virtual_ms + 1);
	virtual_ms += 10;
	loop_step(again_loop, 0);
	assert_int_equal(again_fired, 1);
	assert_null(other);
	loop_free(again_loop);
}

/* ---- descriptors ---- */

static struct pair {
	struct loop *loop;
	struct loop_io *io[2];
	int fds[2][2];
	unsigned events;
} pair;

static void on_pair(void *arg, uint32_t events)
{
	assert_true(events & EPOLLIN);
	pair.events++;
	/* both are readable in the same turn: the one that comes second must not be called any more */
	loop_io_remove(pair.loop, pair.io[0]);
	loop_io_remove(pair.loop, pair.io[1]);
	pair.io[0] = pair.io[1] = NULL;
}

static void a_removed_descriptor_is_not_called_in_the_same_turn(void **state)
{
	pair.loop = virtual_loop();
	for (int i = 0; i < 2; i++) {
		assert_int_equal(pipe(pair.fds[i]), 0);
		assert_int_equal(write(pair.fds[i][1], "x", 1), 1);
		assert_int_equal(loop_io_add(pair.loop, pair.fds[i][0], EPOLLIN, on_pair, NULL, &pair.io[i]), 0);
	}
	loop_step(pair.loop, 0);
	loop_step(pair.loop, 0);
	assert_int_equal(pair.events, 1);
	loop_io_remove(pair.loop, NULL);
	loop_free(pair.loop);
	for (int i = 0; i < 4; i++)
		close(pair.fds[i / 2][i % 2]);
}

static struct crowd {
	struct loop *loop;
	unsigned served[200];
	bool fired;
} crowd;

static void on_served(void *arg, uint32_t events)
{
	(*(unsigned *)arg)++;
}

static void on_due(void *arg)
{
	for (size_t i = 0; i < 200; i++)
		assert_int_not_equal(crowd.served[i], 0);
	crowd.fired = true;
}

/* Who waits for something by then must have been asked first: everybody, however many they are. */
static void timers_come_behind_all_that_is_there(void **state)
{
	struct loop_timer *timer;
	struct loop_io *io;
	int fds[2];

	crowd = (struct crowd){.loop = virtual_loop()};
	assert_int_equal(pipe(fds), 0);
	assert_int_equal(write(fds[1], "x", 1), 1);
	for (int i = 0; i < 200; i++)
		assert_int_equal(loop_io_add(crowd.loop, dup(fds[0]), EPOLLIN, on_served, &crowd.served[i], &io), 0);
	assert_int_equal(loop_timer_add(crowd.loop, on_due, NULL, &timer), 0);
	loop_timer_set(crowd.loop, timer, virtual_ms);
	assert_int_equal(loop_step(crowd.loop, -1), 0);
	assert_true(crowd.fired);
	loop_free(crowd.loop);
	closefrom(fds[0]);
}

static void a_source_may_wait_for_something_else(void **state)
{
	struct loop_io *io;
	int fds[2];

	crowd = (struct crowd){.loop = virtual_loop()};
	assert_int_equal(pipe(fds), 0);
	assert_int_equal(loop_io_add(crowd.loop, fds[1], 0, on_served, crowd.served, &io), 0);
	loop_step(crowd.loop, 0);
	assert_int_equal(crowd.served[0], 0);
	loop_io_modify(crowd.loop, io, EPOLLOUT);
	loop_step(crowd.loop, 0);
	assert_int_equal(crowd.served[0], 1);
	loop_io_modify(crowd.loop, io, 0);
	loop_step(crowd.loop, 0);
	assert_int_equal(crowd.served[0], 1);
	loop_free(crowd.loop);
	close(fds[0]);
	close(fds[1]);
}

static void on_stop(void *arg, uint32_t events)
{
	loop_stop(arg, 7);
}

static void run_ends_with_the_code_of_stop(void **state)
{
	struct loop *loop = NULL;
	struct loop_io *io = NULL;
	int fds[2];

	assert_int_equal(loop_new(&loop), 0);
	assert_int_equal(pipe(fds), 0);
	assert_int_equal(write(fds[1], "x", 1), 1);
	assert_int_equal(loop_io_add(loop, fds[0], EPOLLIN, on_stop, loop, &io), 0);
	assert_int_equal(loop_run(loop), 7);
	assert_int_equal(loop_run(loop), 7); /* may run again */
	assert_int_equal(loop_io_add(loop, -1, EPOLLIN, on_stop, loop, &io), -EBADF);
	loop_free(loop);
	close(fds[0]);
	close(fds[1]);
}

/* ---- signals and time ---- */

static int last_signal;

static void on_signal(void *arg, int signo)
{
	last_signal = signo;
	loop_stop(arg, 0);
}

static void signals_come_as_events(void **state)
{
	static const int signals[] = {SIGUSR1, SIGUSR2, 0};
	struct loop *loop = NULL;
	sigset_t set, old;

	sigprocmask(SIG_BLOCK, NULL, &old);
	assert_int_equal(loop_new(&loop), 0);
	assert_int_equal(loop_signals_add(loop, signals, on_signal, loop), 0);
	raise(SIGUSR2);
	assert_int_equal(loop_run(loop), 0);
	assert_int_equal(last_signal, SIGUSR2);
	loop_free(loop);
	sigemptyset(&set);
	sigprocmask(SIG_SETMASK, &old, NULL);
}

static void on_timeout(void *arg)
{
	loop_stop(arg, 1);
}

static void the_loop_waits_for_the_next_timer(void **state)
{
	struct loop *loop = NULL;
	struct loop_timer *timer = NULL;
	uint64_t start_ms;

	assert_int_equal(loop_new(&loop), 0);
	start_ms = loop_now_ms(loop);
	assert_int_equal(loop_timer_add(loop, on_timeout, loop, &timer), 0);
	loop_timer_set(loop, timer, start_ms + 30);
	assert_int_equal(loop_run(loop), 1);
	assert_true(loop_now_ms(loop) >= start_ms + 30);
	loop_free(loop);
	loop_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(timers_fire_in_order_and_once),
		cmocka_unit_test(a_timer_that_arms_itself_for_now_does_not_hold_the_loop),
		cmocka_unit_test(a_callback_may_remove_itself_and_others),
		cmocka_unit_test(a_removed_descriptor_is_not_called_in_the_same_turn),
		cmocka_unit_test(timers_come_behind_all_that_is_there),
		cmocka_unit_test(a_source_may_wait_for_something_else),
		cmocka_unit_test(run_ends_with_the_code_of_stop),
		cmocka_unit_test(signals_come_as_events),
		cmocka_unit_test(the_loop_waits_for_the_next_timer),
	};

	return cmocka_run_group_tests_name("loop", tests, NULL, NULL);
}
