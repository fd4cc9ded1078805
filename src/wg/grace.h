/* SPDX-License-Identifier: Apache-2.0 */
/*
 * grace.h - when may memory be freed that other threads read without a lock?  When each of them has been seen, once
 * since, to hold nothing (quiescent states: no reader ever writes to what it reads).
 *
 * Readers are threads that work in turns: at the beginning of a turn they say so, and forget all pointers of the turn
 * before; before they sleep they go offline.  The one writer takes an object out of where readers find it, gives it to
 * grace_retire, and now and then asks: grace_poll, then grace_reap.  Between the two it may do away with what the
 * readers have left behind of objects that are about to go.
 *
 * Call order: grace_init; readers: grace_online each turn, grace_offline; the writer, under its own lock: any;
 * grace_fini when the readers are gone.
 */
#ifndef ISTHMUS_WG_GRACE_H
#define ISTHMUS_WG_GRACE_H

#include <stdbool.h>
#include <stdint.h>

#define GRACE_READERS_MAX 18

struct grace_node {
	struct grace_node *next;
	uint64_t epoch;
	void (*free)(struct grace_node *node); /* may retire it again */
};

struct grace_reader {
	uint64_t seen; /* the epoch at the beginning of its turn; 0 = offline */
	uint64_t apart[7]; /* no two in one line of the cache */
};

struct grace {
	uint64_t epoch;
	unsigned n_readers;
	struct grace_node *first, **last;
	struct grace_reader readers[GRACE_READERS_MAX];
};

void grace_init(struct grace *g, unsigned n_readers);
void grace_fini(struct grace *g); /* frees all that was retired */

void grace_online(struct grace *g, unsigned reader);
void grace_offline(struct grace *g, unsigned reader);

/* Nobody finds it any more; who has found it may still be at it. */
void grace_retire(struct grace *g, struct grace_node *node, void (*fn)(struct grace_node *node));
uint64_t grace_poll(const struct grace *g);       /* up to which epoch nobody is at anything */
bool grace_reap(struct grace *g, uint64_t epoch); /* frees what is of then; true: something is left */

#endif
