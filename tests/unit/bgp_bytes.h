/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bgp_bytes.h - BGP messages for tests, written as hexadecimal digits.
 *
 * Digits in pairs; spaces between pairs mean nothing.  Builders fail the test when room is short.
 */
#ifndef ISTHMUS_TESTS_BGP_BYTES_H
#define ISTHMUS_TESTS_BGP_BYTES_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bgp/update.h"
#include "hex.h"

/* The body of an UPDATE. */
static inline struct reader update_body(uint8_t *room, size_t size, const char *withdrawn, const char *attrs,
					const char *nlri)
{
	struct writer w = writer_over(room, size);
	size_t mark = writer_mark(&w, 2);

	put_hex(&w, withdrawn);
	writer_set_u16(&w, mark);
	mark = writer_mark(&w, 2);
	put_hex(&w, attrs);
	writer_set_u16(&w, mark);
	put_hex(&w, nlri);
	return reader_over(room, writer_size(&w));
}

#endif
