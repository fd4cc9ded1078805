/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz.h - what every target needs: a rule that must hold, and pieces cut from the input.
 *
 * A target is LLVMFuzzerTestOneInput over any bytes; beyond what the sanitizers see it states its rules by require.
 * What a target takes from the input it takes through struct input, which ends in zeroes and never in an overrun.
 */
#ifndef ISTHMUS_FUZZ_H
#define ISTHMUS_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Not by stderr, which a target may have pointed elsewhere. */
static inline void require(bool holds, const char *rule)
{
	if (holds)
		return;
	dprintf(STDERR_FILENO, "violated: %s\n", rule);
	abort();
}

struct input {
	const uint8_t *data;
	size_t size;
};

static inline size_t input_take(struct input *in, void *out, size_t size)
{
	size_t n = size < in->size ? size : in->size;

	memset(out, 0, size);
	memcpy(out, in->data, n);
	in->data += n;
	in->size -= n;
	return n;
}

static inline uint8_t input_u8(struct input *in)
{
	uint8_t v;

	input_take(in, &v, sizeof(v));
	return v;
}

static inline uint16_t input_u16(struct input *in) /* big endian: a person can write it */
{
	uint8_t v[2];

	input_take(in, v, sizeof(v));
	return (uint16_t)(v[0] << 8 | v[1]);
}

/* The bytes before the next `end`, or all that is left; the `end` is passed over. */
static inline struct input input_until(struct input *in, uint8_t end)
{
	const uint8_t *at = in->size ? memchr(in->data, end, in->size) : NULL;
	struct input part = {.data = in->data, .size = at ? (size_t)(at - in->data) : in->size};

	in->data += part.size + (at ? 1 : 0);
	in->size -= part.size + (at ? 1 : 0);
	return part;
}

#endif
