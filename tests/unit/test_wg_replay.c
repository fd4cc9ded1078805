/* SPDX-License-Identifier: Apache-2.0 */
#include "hex.h"

#include "wg/packet.h"
#include "wg/replay.h"

/* Rows in order; `reset` begins anew. */
static const struct row {
	bool reset;
	uint64_t counter;
	bool taken;
} rows[] = {
	{true, 0, true}, {false, 0, false}, {false, 1, true}, {false, 1, false}, {false, 9, true}, {false, 8, true},
	{false, 7, true}, {false, 7, false}, {false, REPLAY_WINDOW, true}, {false, REPLAY_WINDOW - 1, true},
	{false, REPLAY_WINDOW - 1, false}, {false, REPLAY_WINDOW - 2, true}, {false, 2, true}, {false, 2, false},
	/* exactly the window behind, and one more */
	{false, REPLAY_WINDOW + 16, true}, {false, 3, false}, {false, 15, false}, {false, 16, true}, {false, 16, false},
	{false, 17, true}, {false, UINT32_MAX, true}, {false, UINT32_MAX - REPLAY_WINDOW, true},
	{false, UINT32_MAX - REPLAY_WINDOW - 1, false}, {false, UINT32_MAX, false}, {false, UINT32_MAX + 1ULL, true},
	/* the first need not be 0 */
	{true, 70000, true}, {false, 70000 - REPLAY_WINDOW, true}, {false, 70000 - REPLAY_WINDOW - 1, false},
	{false, 0, false},
	/* the end of the numbers */
	{true, UINT64_MAX - 1, true}, {false, UINT64_MAX - 1, false}, {false, UINT64_MAX, false},
	{false, UINT64_MAX - 1 - REPLAY_WINDOW, true}, {false, UINT64_MAX - 2 - REPLAY_WINDOW, false},
};

static void rows_are_answered_as_written(void **state)
{
	struct replay r = {0};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (rows[i].reset)
			r = (struct replay){0};
		if (replay_take(&r, rows[i].counter) != rows[i].taken)
			fail_msg("row %zu", i);
	}
}

static void all_of_a_window_is_taken_in_reverse_order_once(void **state)
{
	for (uint64_t top = REPLAY_WINDOW; top < REPLAY_WINDOW + 200; top++) {
		struct replay r = {0};

		for (uint64_t i = 0; i <= REPLAY_WINDOW; i++)
			assert_true(replay_take(&r, top - i));
		for (uint64_t i = 0; i <= REPLAY_WINDOW; i++)
			assert_false(replay_take(&r, top - i));
		if (top > REPLAY_WINDOW)
			assert_false(replay_take(&r, top - REPLAY_WINDOW - 1));
	}
}

#define NUMBERS 100000

/* Random order against a list of all that was taken. */
static void random_orders_agree_with_a_list(void **state)
{
	static uint8_t taken[NUMBERS];
	struct replay r = {0};
	uint64_t highest = 0;
	bool any = false;

	srandom(7);
	for (size_t step = 0; step < 400000; step++) {
		uint64_t base = step / 4;
		uint64_t c = random() % 50 == 0 ? (uint64_t)random() % NUMBERS : base + (uint64_t)random() % 12000;
		bool want;

		if (c >= NUMBERS)
			continue;
		want = !taken[c] && (!any || c >= highest || highest - c <= REPLAY_WINDOW);
		assert_int_equal(replay_take(&r, c), want);
		taken[c] |= want;
		if (!any || c > highest)
			highest = c;
		any = true;
	}
}

static void sizes_and_types_decide_the_kind(void **state)
{
	static const struct {
		const char *start;
		size_t size;
		enum packet_kind kind;
	} cases[] = {
		{"01000000", 148, PACKET_INITIATION}, {"01010000", 148, PACKET_INITIATION}, {"01000000", 147, PACKET_NONE},
		{"01000000", 149, PACKET_NONE}, {"01020000", 148, PACKET_NONE}, {"01000100", 148, PACKET_NONE},
		{"01000001", 148, PACKET_NONE}, {"02000000", 92, PACKET_RESPONSE}, {"02010000", 92, PACKET_RESPONSE},
		{"02000000", 91, PACKET_NONE}, {"02000000", 148, PACKET_NONE}, {"03000000", 64, PACKET_COOKIE},
		{"03010000", 64, PACKET_NONE}, {"03000000", 65, PACKET_NONE}, {"04000000", 32, PACKET_DATA},
		{"04010000", 32, PACKET_DATA}, {"04000000", 31, PACKET_NONE}, {"04000000", 33, PACKET_DATA},
		{"04000000", 200, PACKET_DATA}, {"04ff0000", 200, PACKET_NONE}, {"00000000", 200, PACKET_NONE},
		{"05000000", 200, PACKET_NONE}, {"ff000000", 200, PACKET_NONE}, {"04000000", 3, PACKET_NONE},
		{"04000000", 0, PACKET_NONE},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint8_t data[256] = {0};

		hex(cases[i].start, data, 4);
		if (packet_kind(data, cases[i].size) != cases[i].kind)
			fail_msg("case %zu", i);
	}
}

static void padding_is_told_from_the_packet(void **state)
{
	static const struct {
		const char *start;
		size_t size, inner;
	} cases[] = {
		{"45000014", 32, 20}, {"45000020", 32, 32}, {"45000021", 32, 0}, {"45000013", 32, 0}, {"450000", 3, 0},
		{"600000000000", 48, 40}, {"600000000008", 48, 48}, {"600000000009", 48, 0}, {"6000000000", 5, 0},
		{"00000000", 48, 0}, {"", 0, 0},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint8_t data[64] = {0};

		hex(cases[i].start, data, sizeof(data));
		if (packet_inner_size(data, cases[i].size) != cases[i].inner)
			fail_msg("case %zu", i);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rows_are_answered_as_written),
		cmocka_unit_test(all_of_a_window_is_taken_in_reverse_order_once),
		cmocka_unit_test(random_orders_agree_with_a_list),
		cmocka_unit_test(sizes_and_types_decide_the_kind),
		cmocka_unit_test(padding_is_told_from_the_packet),
	};

	return cmocka_run_group_tests_name("wg_replay", tests, NULL, NULL);
}
