/* SPDX-License-Identifier: Apache-2.0 */
#include "conf/arena.h"

#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK_SIZE ((size_t)256 << 10)

struct arena_chunk {
	struct arena_chunk *next;
	size_t size, used;
	alignas(max_align_t) char bytes[];
};

static void *take(struct arena *a, size_t size, size_t align)
{
	struct arena_chunk *c = a->chunks;
	size_t start = c ? (c->used + align - 1) & ~(align - 1) : 0;

	if (!c || start > c->size || c->size - start < size) {
		size_t chunk_size = size > CHUNK_SIZE ? size : CHUNK_SIZE;

		c = calloc(1, sizeof(*c) + chunk_size);
		if (!c)
			return NULL;
		*c = (struct arena_chunk){.next = a->chunks, .size = chunk_size};
		a->chunks = c;
		start = 0;
	}
	c->used = start + size;
	return c->bytes + start;
}

void *arena_alloc(struct arena *a, size_t size)
{
	return take(a, size, alignof(max_align_t));
}

char *arena_text(struct arena *a, const char *text, size_t length)
{
	char *copy = take(a, length + 1, 1);

	return copy ? memcpy(copy, text, length) : NULL;
}

void arena_fini(struct arena *a)
{
	while (a->chunks) {
		struct arena_chunk *c = a->chunks;

		a->chunks = c->next;
		free(c);
	}
}
