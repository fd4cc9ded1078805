/* SPDX-License-Identifier: Apache-2.0 */
#include "rib/index.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <sys/mman.h>

#define MIN_SLOTS 512u /* a page of slots */

/*
 * Slots moved by one reservation or removal.  A new array is at most three eighths full when all is moved and takes as
 * many more before it is to be replaced itself; the last one has at most three times as many slots (it shrinks).  So
 * eight a time would do, and it is never replaced before it has everything.
 */
#define MOVE_SLOTS 32u

static int array_open(struct index_array *a, size_t n_slots)
{
	void *memory = mmap(NULL, n_slots * sizeof(*a->slots), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		return -ENOMEM;
	*a = (struct index_array){.slots = memory, .n_slots = n_slots};
	return 0;
}

static void array_close(struct index_array *a)
{
	if (a->slots)
		munmap(a->slots, a->n_slots * sizeof(*a->slots));
	*a = (struct index_array){0};
}

static void array_add(struct index_array *a, struct index_slot slot)
{
	size_t i = slot.hash & (a->n_slots - 1);

	while (a->slots[i].id != 0)
		i = (i + 1) & (a->n_slots - 1);
	a->slots[i] = slot;
	a->length++;
}

/* Knuth, The Art of Computer Programming 3, 6.4 algorithm R: what follows moves up, so that no marks are left. */
static void array_remove(struct index_array *a, size_t hole)
{
	size_t mask = a->n_slots - 1;

	for (size_t i = (hole + 1) & mask; a->slots[i].id != 0; i = (i + 1) & mask) {
		size_t home = a->slots[i].hash & mask;

		if (((i - home) & mask) < ((i - hole) & mask)) /* its home is after the hole: it would not be found */
			continue;
		a->slots[hole] = a->slots[i];
		hole = i;
	}
	a->slots[hole].id = 0;
	a->length--;
}

static void move_some(struct index *ix)
{
	struct index_array *last = &ix->last;

	for (unsigned n = 0; n < MOVE_SLOTS && last->length > 0; n++, ix->moved++) {
		struct index_slot *slot = &last->slots[ix->moved];

		if (slot->id == 0 || slot->id == INDEX_GONE)
			continue;
		array_add(&ix->now, *slot);
		slot->id = INDEX_GONE; /* others that collided with it are still behind it */
		last->length--;
	}
	if (last->length == 0)
		array_close(last);
}

/* Begin to move into an array of which at most three eighths are full. */
static int resize(struct index *ix, size_t length)
{
	struct index_array next;
	size_t n_slots = MIN_SLOTS;
	int r;

	while (3 * n_slots < 8 * length)
		n_slots *= 2;
	r = array_open(&next, n_slots);
	if (r < 0)
		return r;
	ix->last = ix->now;
	ix->now = next;
	ix->moved = 0;
	if (ix->last.length == 0)
		array_close(&ix->last);
	return 0;
}

void index_fini(struct index *ix)
{
	array_close(&ix->now);
	array_close(&ix->last);
	ix->moved = 0;
}

int index_reserve(struct index *ix)
{
	if (ix->last.slots)
		move_some(ix);
	if (4 * (ix->now.length + 1) <= 3 * ix->now.n_slots)
		return 0;
	assert(!ix->last.slots);
	return resize(ix, ix->now.length + 1);
}

void index_add(struct index *ix, uint32_t hash, uint32_t id)
{
	array_add(&ix->now, (struct index_slot){hash, id});
}

void index_remove(struct index *ix, struct index_slot *slot)
{
	if (slot >= ix->now.slots && slot < ix->now.slots + ix->now.n_slots) {
		array_remove(&ix->now, (size_t)(slot - ix->now.slots));
	} else {
		slot->id = INDEX_GONE;
		ix->last.length--;
	}
	if (ix->last.slots)
		move_some(ix);
	else if (ix->now.length == 0)
		array_close(&ix->now);
	else if (ix->now.n_slots > MIN_SLOTS && 8 * ix->now.length < ix->now.n_slots)
		(void)resize(ix, ix->now.length); /* out of memory: it stays as large as it is */
}

static struct index_slot *find_from(const struct index_array *a, uint32_t hash, size_t i)
{
	if (a->n_slots == 0)
		return NULL;
	for (i &= a->n_slots - 1; a->slots[i].id != 0; i = (i + 1) & (a->n_slots - 1))
		if (a->slots[i].hash == hash && a->slots[i].id != INDEX_GONE)
			return &a->slots[i];
	return NULL;
}

struct index_slot *index_first(const struct index *ix, uint32_t hash)
{
	struct index_slot *slot = find_from(&ix->now, hash, hash);

	return slot ? slot : find_from(&ix->last, hash, hash);
}

struct index_slot *index_next(const struct index *ix, struct index_slot *slot)
{
	uint32_t hash = slot->hash;

	if (slot < ix->now.slots || slot >= ix->now.slots + ix->now.n_slots)
		return find_from(&ix->last, hash, (size_t)(slot - ix->last.slots) + 1);
	slot = find_from(&ix->now, hash, (size_t)(slot - ix->now.slots) + 1);
	return slot ? slot : find_from(&ix->last, hash, hash);
}
