/* SPDX-License-Identifier: Apache-2.0 */
#include "wg/lookup.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/hmap.h"

#define SMALLEST 16

static char removed_mark;
#define REMOVED ((void *)&removed_mark)

void lookup_init(struct lookup *l, struct grace *grace, size_t key_offset, size_t key_size)
{
	*l = (struct lookup){.grace = grace, .key_offset = key_offset, .key_size = key_size};
}

void lookup_fini(struct lookup *l)
{
	free(l->slots);
	l->slots = NULL;
}

static const void *key_of(const struct lookup *l, const void *item)
{
	return (const char *)item + l->key_offset;
}

/*
 * The item with that key, or NULL; `place`: its place, or where it would go.  The item is looked at once: while another
 * thread reads it, a place may become another's.  A table is never full.
 */
static void *find(const struct lookup *l, struct lookup_slots *s, const void *key, void ***place)
{
	void **unused = NULL;
	uint64_t i;

	for (i = hash_seeded(key, l->key_size);; i++) {
		void **at = &s->items[i & (s->size - 1)];
		void *item = __atomic_load_n(at, __ATOMIC_ACQUIRE);

		if (item == REMOVED) {
			unused = unused ? unused : at;
			continue;
		}
		if (item && memcmp(key_of(l, item), key, l->key_size) != 0)
			continue;
		*place = item || !unused ? at : unused;
		return item;
	}
}

void *lookup_get(const struct lookup *l, const void *key)
{
	struct lookup_slots *s = __atomic_load_n(&l->slots, __ATOMIC_ACQUIRE);
	void **place;

	return s ? find(l, s, key, &place) : NULL;
}

static void slots_free(struct grace_node *node)
{
	free((char *)node - offsetof(struct lookup_slots, retired));
}

/* Half of the places stay free of items and marks. */
static int make_room(struct lookup *l)
{
	struct lookup_slots *old = l->slots, *s;
	size_t size = SMALLEST;
	void **place;

	if (old && 2 * (l->used + 1) <= old->size)
		return 0;
	while (size < 4 * (l->length + 1))
		size *= 2;
	s = calloc(1, sizeof(*s) + size * sizeof(s->items[0]));
	if (!s)
		return -ENOMEM;
	s->size = size;
	for (size_t i = 0; old && i < old->size; i++)
		if (old->items[i] && old->items[i] != REMOVED) {
			find(l, s, key_of(l, old->items[i]), &place);
			*place = old->items[i];
		}
	__atomic_store_n(&l->slots, s, __ATOMIC_RELEASE);
	l->used = l->length;
	if (old)
		grace_retire(l->grace, &old->retired, slots_free);
	return 0;
}

int lookup_add(struct lookup *l, void *item)
{
	void **place;
	int r;

	if (lookup_get(l, key_of(l, item)))
		return -EEXIST;
	r = make_room(l);
	if (r != 0)
		return r;
	find(l, l->slots, key_of(l, item), &place);
	l->used += *place == NULL;
	l->length++;
	__atomic_store_n(place, item, __ATOMIC_RELEASE);
	return 0;
}

void *lookup_remove(struct lookup *l, const void *key)
{
	void **place;
	void *item = l->slots ? find(l, l->slots, key, &place) : NULL;

	if (!item)
		return NULL;
	l->length--;
	__atomic_store_n(place, REMOVED, __ATOMIC_RELEASE);
	return item;
}
