/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory goes back to the system: what is large as it is freed, what is small when much of what it was for has gone, a
 * neighbor that had a million routes.  Each of them was many small pieces, and what is free between those that stay the
 * allocator keeps to itself unless it is asked.  It is asked rarely, as it looks at all of them: when half of at least MANY
 * entries have gone, and no more went just now.
 */
#include <malloc.h>

#include "agent/bgp.h"
#include "agent/state.h"

#define MANY 16384
#define LARGE (128 << 10) /* glibc's own, before it learns */

/*
 * By itself glibc takes larger and larger pieces from the heap as it has seen them freed, and what grows there leaves holes:
 * the bodies of many requests, whose sum has a limit (api/server.c), came to half as much again.
 */
void agent_memory_begin(void)
{
	mallopt(M_MMAP_THRESHOLD, LARGE);
}

static size_t entries(const struct agent *a)
{
	size_t n = a->bgp && a->bgp->learn ? routes_length(learn_routes(a->bgp->learn)) : 0;

	for (enum fwd_kind k = 0; k < FWD_KIND_MAX; k++)
		n += table_length(a->dp, k);
	return n;
}

void agent_give_back(struct agent *a)
{
	struct agent_state *s = a->state;
	size_t before = s->entries;

	s->entries = entries(a);
	if (s->entries > s->entries_most)
		s->entries_most = s->entries;
	if (s->entries != before || s->entries_most < MANY || s->entries > s->entries_most / 2)
		return;
	s->entries_most = s->entries;
	rib_trim(a->rib);
	table_trim(a->dp);
	if (a->bgp && a->bgp->learn)
		learn_trim(a->bgp->learn);
	malloc_trim(0);
}
