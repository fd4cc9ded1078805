/* SPDX-License-Identifier: Apache-2.0 */
/* A connection cuts its stream into messages wherever the transport cut it, and queues no more than it may; timers. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bgp/conn.h"
#include "lib/timer.h"

/* Messages of these sizes, one after the other; the body of the i-th is filled with i. */
static size_t stream(const size_t *sizes, size_t n, uint8_t *out)
{
	size_t size = 0;

	for (size_t i = 0; i < n; i++) {
		memset(out + size, 0xff, 16);
		out[size + 16] = (uint8_t)(sizes[i] >> 8);
		out[size + 17] = (uint8_t)sizes[i];
		out[size + 18] = sizes[i] == MESSAGE_HEADER_SIZE ? MESSAGE_KEEPALIVE : MESSAGE_UPDATE;
		memset(out + size + MESSAGE_HEADER_SIZE, (int)i, sizes[i] - MESSAGE_HEADER_SIZE);
		size += sizes[i];
	}
	return size;
}

static void the_stream_is_cut_into_messages_wherever_it_was_cut_on_the_way(void **state)
{
	static const size_t sizes[] = {19, 23, 4096, 19, 19, 700, 65535, 19, 30000};
	static uint8_t bytes[110000];
	const size_t n = sizeof(sizes) / sizeof(sizes[0]), size = stream(sizes, n, bytes);
	static const size_t pieces[] = {1, 2, 18, 19, 20, 22, 1000, 4096, 65535, 110000};

	for (size_t p = 0; p < sizeof(pieces) / sizeof(pieces[0]); p++) {
		struct conn *conn = conn_new(7);
		size_t seen = 0;

		conn_set_extended(conn);
		for (size_t at = 0; at < size; at += pieces[p]) {
			const uint8_t *data = bytes + at;
			size_t left = size - at < pieces[p] ? size - at : pieces[p];
			enum message_state s;
			struct message m;
			struct notification error;

			while (assert_int_equal(conn_next(conn, &data, &left, &s, &m, &error), 0), s == MESSAGE_WHOLE) {
				assert_true(seen < n);
				assert_int_equal(m.size, sizes[seen]);
				assert_int_equal(reader_left(&m.body), sizes[seen] - MESSAGE_HEADER_SIZE);
				while (reader_left(&m.body) > 0)
					assert_int_equal(reader_u8(&m.body), seen);
				seen++;
			}
			assert_int_equal(s, MESSAGE_PARTIAL);
			assert_int_equal(left, 0);
		}
		assert_int_equal(seen, n);
		conn_free(conn);
	}
}

static void a_broken_header_is_found_in_one_piece_and_in_many(void **state)
{
	static const struct {
		const char *name;
		size_t at;
		uint8_t value, subcode;
	} rows[] = {
		{"marker", 3, 0xfe, HEADER_NOT_SYNCHRONIZED},
		{"length below the header", 17, 18, HEADER_BAD_LENGTH},
		{"length beyond 4,096", 16, 0x20, HEADER_BAD_LENGTH},
		{"type", 18, 9, HEADER_BAD_TYPE},
	};
	static const size_t sizes[] = {19};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		for (size_t piece = 1; piece <= MESSAGE_HEADER_SIZE; piece += 18) {
			uint8_t bytes[MESSAGE_HEADER_SIZE];
			struct conn *conn = conn_new(1);
			enum message_state s = MESSAGE_PARTIAL;
			struct notification error = {0};
			struct message m;

			stream(sizes, 1, bytes);
			bytes[rows[i].at] = rows[i].value;
			for (size_t at = 0; at < sizeof(bytes) && s == MESSAGE_PARTIAL; at += piece) {
				const uint8_t *data = bytes + at;
				size_t left = piece;

				assert_int_equal(conn_next(conn, &data, &left, &s, &m, &error), 0);
			}
			if (s != MESSAGE_BROKEN || error.code != NOTIFICATION_HEADER || error.subcode != rows[i].subcode)
				fail_msg("%s, pieces of %zu: state %d, error %u/%u", rows[i].name, piece, s, error.code, error.subcode);
			conn_free(conn);
		}
	}
}

static size_t taken, window;

static size_t take(void *arg, uint64_t handle, const uint8_t *data, size_t size)
{
	size_t n = size < window ? size : window;

	assert_int_equal(handle, 7);
	if (arg)
		memcpy((uint8_t *)arg + taken, data, n);
	taken += n;
	window -= n;
	return n;
}

static void what_is_queued_leaves_in_order_as_the_transport_takes_it(void **state)
{
	static const size_t sizes[] = {19, 4096, 19, 1000};
	static uint8_t bytes[8192], got[8192];
	size_t size = stream(sizes, 4, bytes), at = 0;
	struct conn *conn = conn_new(7);

	taken = 0;
	for (size_t i = 0; i < 4; at += sizes[i++])
		assert_int_equal(conn_queue(conn, bytes + at, sizes[i]), 0);
	assert_int_equal(conn_queued(conn), size);
	window = 18;
	assert_false(conn_flush(conn, take, got)); /* no message as a whole */
	window = 1;
	assert_true(conn_flush(conn, take, got));
	window = 4000;
	assert_false(conn_flush(conn, take, got));
	window = 0;
	assert_false(conn_flush(conn, take, got));
	window = 10000;
	assert_true(conn_flush(conn, take, got));
	assert_int_equal(conn_queued(conn), 0);
	assert_false(conn_flush(conn, take, got));
	assert_int_equal(taken, size);
	assert_memory_equal(got, bytes, size);
	conn_free(conn);
}

static void the_queue_is_bounded_and_keeps_a_reserve(void **state)
{
	static uint8_t update[4096], keepalive[19];
	static const size_t update_size[] = {4096}, keepalive_size[] = {19};
	struct conn *conn = conn_new(7);
	size_t n = 0;

	stream(update_size, 1, update);
	stream(keepalive_size, 1, keepalive);
	for (; conn_room(conn) > 0; n++)
		assert_int_equal(conn_queue(conn, update, sizeof(update)), 0);
	assert_int_equal(n, CONN_QUEUE_SIZE / 4096);
	for (n = 0; conn_queue(conn, keepalive, sizeof(keepalive)) == 0; n++)
		;
	assert_int_equal(conn_queue(conn, keepalive, sizeof(keepalive)), -ENOBUFS);
	assert_in_range(conn_queued(conn), CONN_QUEUE_SIZE, CONN_QUEUE_SIZE + MESSAGE_EXTENDED_MAX + CONN_RESERVE_SIZE);
	assert_true(n > 100);
	conn_free(conn);
}

static void discarding_keeps_only_what_completes_a_message_that_has_begun(void **state)
{
	static const size_t sizes[] = {100, 200};
	uint8_t bytes[300];
	struct conn *conn = conn_new(7);

	stream(sizes, 2, bytes);
	assert_int_equal(conn_queue(conn, bytes, 100), 0);
	assert_int_equal(conn_queue(conn, bytes + 100, 200), 0);
	window = 40;
	conn_flush(conn, take, NULL);
	assert_false(conn_discard(conn));
	assert_int_equal(conn_queued(conn), 60);
	window = 60;
	conn_flush(conn, take, NULL);
	assert_int_equal(conn_queue(conn, bytes, 100), 0);
	assert_true(conn_discard(conn));
	assert_int_equal(conn_queued(conn), 0);
	conn_free(conn);
}

/* ---- timers ---- */

#define N_TIMERS 200

static struct {
	struct timers timers;
	struct timer timer[N_TIMERS];
	uint64_t last_ms;
	size_t n_fired;
} heap;

static void on_timer(void *arg)
{
	struct timer *timer = arg;

	assert_true(timer->at_ms >= heap.last_ms);
	assert_false(timer_is_armed(timer));
	heap.last_ms = timer->at_ms;
	heap.n_fired++;
}

static void timers_fire_in_order_whatever_was_set_and_cleared_before(void **state)
{
	uint64_t at[N_TIMERS] = {0}, seed = 1;

	for (size_t i = 0; i < N_TIMERS; i++)
		assert_int_equal(timer_add(&heap.timers, &heap.timer[i], on_timer, &heap.timer[i]), 0);
	for (unsigned step = 0; step < 20000; step++) {
		size_t i = (seed = seed * 6364136223846793005u + 1442695040888963407u) >> 40, earliest = 0;

		i %= N_TIMERS;
		at[i] = seed >> 32 & 1 ? 1000 + (seed >> 50) : 0;
		if (at[i])
			timer_set(&heap.timers, &heap.timer[i], at[i]);
		else
			timer_clear(&heap.timers, &heap.timer[i]);
		for (size_t k = 0; k < N_TIMERS && step % 50 == 0; k++) {
			assert_int_equal(timer_is_armed(&heap.timer[k]), at[k] > 0);
			if (at[k] > 0 && (earliest == 0 || at[k] < earliest))
				earliest = at[k];
		}
		if (step % 50 == 0)
			assert_int_equal(timers_next_ms(&heap.timers), earliest ? earliest : TIMER_NEVER);
	}
	for (uint64_t now = 0; now < 20000; now += 500) {
		size_t due = 0;

		for (size_t k = 0; k < N_TIMERS; k++)
			due += at[k] > 0 && at[k] <= now;
		timers_run(&heap.timers, now);
		assert_int_equal(heap.n_fired, due);
	}
	for (size_t i = 0; i < N_TIMERS; i++)
		timer_remove(&heap.timers, &heap.timer[i]);
	timers_fini(&heap.timers);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_stream_is_cut_into_messages_wherever_it_was_cut_on_the_way),
		cmocka_unit_test(a_broken_header_is_found_in_one_piece_and_in_many),
		cmocka_unit_test(what_is_queued_leaves_in_order_as_the_transport_takes_it),
		cmocka_unit_test(the_queue_is_bounded_and_keeps_a_reserve),
		cmocka_unit_test(discarding_keeps_only_what_completes_a_message_that_has_begun),
		cmocka_unit_test(timers_fire_in_order_whatever_was_set_and_cleared_before),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
