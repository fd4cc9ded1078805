/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/base64.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>

/* All ones when low <= value <= high, else 0; all of them below 256. */
static uint32_t within(uint32_t value, uint32_t low, uint32_t high)
{
	return ~(((value - low) | (high - value)) >> 8) & 1 ? UINT32_MAX : 0;
}

static char digit_encode(uint32_t v)
{
	return (char)((within(v, 0, 25) & ('A' + v)) | (within(v, 26, 51) & ('a' + v - 26)) |
		      (within(v, 52, 61) & ('0' + v - 52)) | (within(v, 62, 62) & '+') | (within(v, 63, 63) & '/'));
}

/* 0 to 63; all ones for what is no digit. */
static uint32_t digit_decode(char text)
{
	uint32_t c = (unsigned char)text;
	uint32_t upper = within(c, 'A', 'Z'), lower = within(c, 'a', 'z'), digit = within(c, '0', '9'),
		 plus = within(c, '+', '+'), slash = within(c, '/', '/');

	return (upper & (c - 'A')) | (lower & (c - 'a' + 26)) | (digit & (c - '0' + 52)) | (plus & 62) | (slash & 63) |
	       ~(upper | lower | digit | plus | slash);
}

void base64_encode(const void *data, size_t size, char *out)
{
	const uint8_t *bytes = data;

	for (size_t i = 0; i < size; i += 3) {
		size_t n = size - i < 3 ? size - i : 3;
		uint32_t group = 0;

		for (size_t k = 0; k < 3; k++)
			group = group << 8 | (k < n ? bytes[i + k] : 0);
		for (size_t k = 0; k < 4; k++)
			*out++ = k <= n ? digit_encode(group >> (18 - 6 * k) & 63) : '=';
	}
	*out = 0;
}

int base64_decode(const char *text, size_t length, void *out, size_t size)
{
	uint8_t *bytes = out;
	uint32_t wrong = 0;

	memset(out, 0, size);
	if (length != BASE64_LENGTH(size))
		return -EINVAL;
	for (size_t i = 0; i < size; i += 3, text += 4) {
		size_t n = size - i < 3 ? size - i : 3;
		uint32_t group = 0;

		for (size_t k = 0; k < 4; k++) {
			uint32_t v = k <= n ? digit_decode(text[k]) : 0;

			wrong |= v >> 6 | (k > n && text[k] != '=');
			group = group << 6 | (v & 63);
		}
		for (size_t k = 0; k < n; k++)
			bytes[i + k] = (uint8_t)(group >> (16 - 8 * k));
		wrong |= n < 3 ? group & ((1u << (24 - 8 * n)) - 1) : 0;
	}
	if (wrong == 0)
		return 0;
	memset(out, 0, size);
	return -EINVAL;
}
