/* SPDX-License-Identifier: Apache-2.0 */
/*
 * arena.h - memory that lives and dies with one conf_load.
 *
 * A configuration is hundreds of thousands of small objects that go away together: chunks instead of one malloc each
 * keep a file of the largest size within the memory limit of conf.h.  Start with {}, arena_alloc, arena_fini.  One
 * thread.
 */
#ifndef ISTHMUS_CONF_ARENA_H
#define ISTHMUS_CONF_ARENA_H

#include <stddef.h>

struct arena {
	struct arena_chunk *chunks;
};

void *arena_alloc(struct arena *a, size_t size); /* zeroed, aligned for any type; NULL = no memory */
char *arena_text(struct arena *a, const char *text, size_t length); /* a copy, closed by NUL */
void arena_fini(struct arena *a);

#endif
