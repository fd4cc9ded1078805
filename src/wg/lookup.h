/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lookup.h - a hash table that many threads read without a lock while one changes it.
 *
 * Open addressing over an array of pointers; an item embeds its key at a fixed offset, and is the caller's.  Adding
 * publishes the item, removing leaves a mark, growing publishes another array; the old one goes to grace.h, where
 * whoever removes an item has to send that, too.
 *
 * Call order: lookup_init; readers that are online (grace.h): lookup_get; the writer: any; lookup_fini.
 */
#ifndef ISTHMUS_WG_LOOKUP_H
#define ISTHMUS_WG_LOOKUP_H

#include <stddef.h>

#include "wg/grace.h"

struct lookup_slots {
	struct grace_node retired;
	size_t size; /* a power of two */
	void *items[]; /* NULL = never used; a mark = removed */
};

struct lookup {
	struct grace *grace;
	struct lookup_slots *slots; /* NULL = empty */
	size_t key_offset, key_size;
	size_t length, used; /* items; items and marks */
};

void lookup_init(struct lookup *l, struct grace *grace, size_t key_offset, size_t key_size);
void lookup_fini(struct lookup *l); /* no reader is left */

void *lookup_get(const struct lookup *l, const void *key); /* or NULL */
int lookup_add(struct lookup *l, void *item);              /* 0, -EEXIST, -ENOMEM */
void *lookup_remove(struct lookup *l, const void *key);    /* the item, or NULL */

#endif
