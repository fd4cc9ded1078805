/* SPDX-License-Identifier: Apache-2.0 */
/*
 * index.h - from the hash of a key to the number of a record, for millions of them.
 *
 * Flat and open-addressed, eight bytes a slot: what a look-up costs is the one cache line that it misses, and that can
 * be asked for ahead (index_prefetch).  Keys stay with the caller, who compares: for (slot = index_first(..); slot; slot
 * = index_next(..)) goes over the records whose 32 bits of hash are equal, which is nearly always the one or none.
 *
 * Growing and shrinking never stop the loop: the next array is there beside the last one, each reservation moves a
 * few slots over, and an array that is empty goes back to the system at once (mmap, not the heap).
 *
 * Call order: zeroed, then index_reserve before each index_add; slots that were handed out are good until the next call
 * of either or of index_remove.  The caller hashes under a secret seed (hash_seeded).  One thread.
 */
#ifndef ISTHMUS_RIB_INDEX_H
#define ISTHMUS_RIB_INDEX_H

#include <stddef.h>
#include <stdint.h>

struct index_slot {
	uint32_t hash;
	uint32_t id; /* 0 = empty, INDEX_GONE = removed (in the last array only); the caller may write another */
};

#define INDEX_GONE 1u

struct index_array {
	struct index_slot *slots;
	size_t n_slots; /* power of two, or 0 */
	size_t length;
};

struct index {
	struct index_array now, last; /* last: what is still to be moved, or empty */
	size_t moved;                 /* slots of `last` before this one are empty */
};

void index_fini(struct index *ix); /* usable after, and empty */

int index_reserve(struct index *ix); /* room for one more: 0 or -ENOMEM, and then nothing has changed */
void index_add(struct index *ix, uint32_t hash, uint32_t id);
void index_remove(struct index *ix, struct index_slot *slot);

struct index_slot *index_first(const struct index *ix, uint32_t hash); /* or NULL; likewise next */
struct index_slot *index_next(const struct index *ix, struct index_slot *slot);

static inline size_t index_length(const struct index *ix)
{
	return ix->now.length + ix->last.length;
}

static inline void index_prefetch(const struct index *ix, uint32_t hash)
{
	if (ix->now.n_slots > 0)
		__builtin_prefetch(&ix->now.slots[hash & (ix->now.n_slots - 1)], 1);
	if (ix->last.n_slots > 0)
		__builtin_prefetch(&ix->last.slots[hash & (ix->last.n_slots - 1)], 1);
}

#endif
