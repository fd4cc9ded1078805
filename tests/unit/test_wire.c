/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lib/wire.h"

static const uint8_t bytes[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18};

static void numbers_are_read_in_network_order(void **state)
{
	struct reader r = reader_over(bytes, sizeof(bytes));

	assert_int_equal(reader_u8(&r), 1);
	assert_int_equal(reader_u16(&r), 0x0203);
	assert_int_equal(reader_u24(&r), 0x040506);
	assert_int_equal(reader_u32(&r), 0x0708090a);
	assert_true(reader_u64(&r) == 0x0b0c0d0e0f101112);
	assert_true(reader_ok(&r) && reader_left(&r) == 0);
}

static void a_failed_reader_gives_zeroes_and_stays_failed(void **state)
{
	struct reader r = reader_over(bytes, 3), sub;
	uint8_t copy[4] = {9, 9, 9, 9};

	assert_int_equal(reader_u32(&r), 0);
	assert_false(reader_ok(&r));
	assert_int_equal(reader_left(&r), 0);
	assert_int_equal(reader_u8(&r), 0);
	reader_copy(&r, copy, sizeof(copy));
	assert_int_equal(copy[0] | copy[3], 0);
	sub = reader_sub(&r, 0); /* a size of 0 that was read behind the end is no empty part */
	assert_false(reader_ok(&sub));
	assert_false(reader_ok(&r));
}

static void a_part_is_bounded_by_its_size(void **state)
{
	struct reader r = reader_over(bytes, 4), sub = reader_sub(&r, 2), more;

	assert_int_equal(reader_u16(&sub), 0x0102);
	assert_int_equal(reader_u8(&sub), 0);
	assert_false(reader_ok(&sub));
	assert_true(reader_ok(&r));
	more = reader_sub(&r, 3);
	assert_false(reader_ok(&more) || reader_ok(&r));
	assert_int_equal(reader_left(&more), 0);
	r = reader_over(NULL, 5);
	assert_int_equal(reader_left(&r), 0);
}

static void numbers_are_written_in_network_order(void **state)
{
	uint8_t room[sizeof(bytes)];
	struct writer w = writer_over(room, sizeof(room));

	writer_u8(&w, 1);
	writer_u16(&w, 0x0203);
	writer_u24(&w, 0xff040506);
	writer_u32(&w, 0x0708090a);
	writer_u64(&w, 0x0b0c0d0e0f101112);
	assert_true(writer_ok(&w) && writer_room(&w) == 0);
	assert_memory_equal(room, bytes, sizeof(bytes));
}

static void a_full_writer_writes_nothing_more(void **state)
{
	uint8_t room[5] = {9, 9, 9, 9, 9};
	struct writer w = writer_over(room, 3);

	writer_u16(&w, 0);
	writer_u16(&w, 0);
	writer_u8(&w, 1);
	writer_bytes(&w, bytes, 1);
	writer_zeroes(&w, 1);
	assert_false(writer_ok(&w));
	assert_int_equal(writer_size(&w), 2);
	assert_int_equal(room[2], 9);
}

static void lengths_are_set_behind_a_mark(void **state)
{
	uint8_t room[700];
	struct writer w = writer_over(room, sizeof(room));
	size_t two = writer_mark(&w, 2), one = writer_mark(&w, 1);

	writer_bytes(&w, bytes, 3);
	writer_set_u8(&w, one);
	writer_set_u16(&w, two);
	assert_memory_equal(room, "\0\4\3\1\2\3", 6);
	one = writer_mark(&w, 1);
	writer_zeroes(&w, 256);
	writer_set_u8(&w, one); /* does not fit into one byte */
	assert_false(writer_ok(&w));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers_are_read_in_network_order),
		cmocka_unit_test(a_failed_reader_gives_zeroes_and_stays_failed),
		cmocka_unit_test(a_part_is_bounded_by_its_size),
		cmocka_unit_test(numbers_are_written_in_network_order),
		cmocka_unit_test(a_full_writer_writes_nothing_more),
		cmocka_unit_test(lengths_are_set_behind_a_mark),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
