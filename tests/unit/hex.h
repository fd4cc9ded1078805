/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hex.h - bytes for tests, written as hexadecimal digits: in pairs; spaces between pairs mean nothing.  A test fails
 * when room is short.
 */
#ifndef ISTHMUS_TESTS_HEX_H
#define ISTHMUS_TESTS_HEX_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/wire.h"

static inline void put_hex(struct writer *w, const char *text)
{
	for (; *text; text++) {
		char digits[3] = {text[0], text[1]};

		if (*text == ' ')
			continue;
		assert_true(strspn(digits, "0123456789abcdef") == 2);
		writer_u8(w, (uint8_t)strtoul(digits, NULL, 16));
		text++;
	}
	assert_true(writer_ok(w));
}

/* Returns how many bytes they are. */
static inline size_t hex(const char *text, void *out, size_t room)
{
	struct writer w = writer_over(out, room);

	put_hex(&w, text);
	return writer_size(&w);
}

#endif
