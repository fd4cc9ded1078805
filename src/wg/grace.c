/* SPDX-License-Identifier: Apache-2.0 */
#include "wg/grace.h"

#include <stddef.h>

#define OFFLINE 0

void grace_init(struct grace *g, unsigned n_readers)
{
	*g = (struct grace){.epoch = 1, .n_readers = n_readers};
	g->last = &g->first;
}

void grace_fini(struct grace *g)
{
	while (grace_reap(g, UINT64_MAX))
		;
}

/*
 * The fence pairs with that of grace_poll: either the writer sees that we are online, or we do not see what it took
 * out.
 */
void grace_online(struct grace *g, unsigned reader)
{
	uint64_t now = __atomic_load_n(&g->epoch, __ATOMIC_ACQUIRE);

	__atomic_store_n(&g->readers[reader].seen, now, __ATOMIC_RELEASE);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

void grace_offline(struct grace *g, unsigned reader)
{
	__atomic_store_n(&g->readers[reader].seen, OFFLINE, __ATOMIC_RELEASE);
}

void grace_retire(struct grace *g, struct grace_node *node, void (*fn)(struct grace_node *node))
{
	node->next = NULL;
	node->free = fn;
	node->epoch = __atomic_add_fetch(&g->epoch, 1, __ATOMIC_SEQ_CST);
	*g->last = node;
	g->last = &node->next;
}

uint64_t grace_poll(const struct grace *g)
{
	uint64_t oldest = __atomic_load_n(&g->epoch, __ATOMIC_RELAXED);

	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	for (unsigned i = 0; i < g->n_readers; i++) {
		uint64_t seen = __atomic_load_n(&g->readers[i].seen, __ATOMIC_ACQUIRE);

		if (seen != OFFLINE && seen < oldest)
			oldest = seen;
	}
	return oldest;
}

bool grace_reap(struct grace *g, uint64_t epoch)
{
	struct grace_node *node, *until = NULL;

	/* What is retired again meanwhile goes to the end, and is for the next time. */
	if (g->first)
		until = (struct grace_node *)((char *)g->last - offsetof(struct grace_node, next));
	while ((node = g->first) && node->epoch <= epoch) {
		g->first = node->next;
		if (!g->first)
			g->last = &g->first;
		node->free(node);
		if (node == until)
			break;
	}
	return g->first != NULL;
}
