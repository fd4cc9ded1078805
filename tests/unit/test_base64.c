/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <stdbool.h>

#include "lib/base64.h"

static const struct {
	const char *bytes, *text;
} vectors[] = { /* RFC 4648 10 */
	{"", ""},
	{"f", "Zg=="},
	{"fo", "Zm8="},
	{"foo", "Zm9v"},
	{"foob", "Zm9vYg=="},
	{"fooba", "Zm9vYmE="},
	{"foobar", "Zm9vYmFy"},
};

static void published_vectors_hold(void **state)
{
	for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
		size_t size = strlen(vectors[i].bytes);
		char text[16], bytes[8];

		base64_encode(vectors[i].bytes, size, text);
		assert_string_equal(text, vectors[i].text);
		assert_int_equal(base64_decode(text, strlen(text), bytes, size), 0);
		assert_memory_equal(bytes, vectors[i].bytes, size);
	}
}

static void every_digit_goes_there_and_back(void **state)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	uint8_t bytes[48];
	char text[65];

	assert_int_equal(base64_decode(digits, 64, bytes, sizeof(bytes)), 0);
	for (unsigned i = 0; i < 64; i++) { /* six bits each, from the highest on */
		unsigned value = 0;

		for (unsigned bit = 6 * i; bit < 6 * i + 6; bit++)
			value = value << 1 | (bytes[bit / 8] >> (7 - bit % 8) & 1);
		assert_int_equal(value, i);
	}
	base64_encode(bytes, sizeof(bytes), text);
	assert_string_equal(text, digits);
}

static void what_is_no_digit_is_refused_wherever_it_stands(void **state)
{
	for (unsigned c = 0; c < 256; c++)
		for (size_t at = 0; at < 4; at++) {
			char text[] = "Zm9v";
			uint8_t bytes[3];
			bool digit = c && strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/", (int)c);

			text[at] = (char)c;
			assert_int_equal(base64_decode(text, 4, bytes, 3), digit ? 0 : -EINVAL);
			if (!digit)
				assert_memory_equal(bytes, "\0\0\0", 3);
		}
}

static void there_is_one_text_for_each_value(void **state)
{
	static const char *const wrong[] = {"Zh==", "Zg=a", "Zga=", "Zg===", "Zg=", "Zg", "Zg==\n", "=Zg=", "Z==="};
	uint8_t byte;

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_int_equal(base64_decode(wrong[i], strlen(wrong[i]), &byte, 1), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(published_vectors_hold),
		cmocka_unit_test(every_digit_goes_there_and_back),
		cmocka_unit_test(what_is_no_digit_is_refused_wherever_it_stands),
		cmocka_unit_test(there_is_one_text_for_each_value),
	};

	return cmocka_run_group_tests_name("base64", tests, NULL, NULL);
}
