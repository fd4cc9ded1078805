/* SPDX-License-Identifier: Apache-2.0 */
#include "wg/index.h"

#include <errno.h>
#include <openssl/rand.h>
#include <stdlib.h>

#define SMALLEST 64

static struct index_entry *place_of(const struct indices *t, uint32_t index)
{
	return &t->entries[index & (t->size - 1)];
}

void indices_fini(struct indices *t)
{
	free(t->entries);
	*t = (struct indices){NULL};
}

static int grow(struct indices *t)
{
	struct indices bigger = {.size = t->size ? 2 * t->size : SMALLEST, .length = t->length};

	bigger.entries = calloc(bigger.size, sizeof(*bigger.entries));
	if (!bigger.entries)
		return -ENOMEM;
	/* Two that differ in the low bits before differ in them after, too. */
	for (size_t i = 0; i < t->size; i++)
		if (t->entries[i].peer)
			*place_of(&bigger, t->entries[i].index) = t->entries[i];
	free(t->entries);
	*t = bigger;
	return 0;
}

/* A place is taken from the low 24 bits. */
#define MOST (1U << 23)

int indices_add(struct indices *t, struct peer *peer, uint8_t high, uint32_t *out)
{
	uint32_t index;

	if (t->length >= MOST || (2 * t->length >= t->size && grow(t) != 0))
		return -ENOMEM;
	do { /* half of the places are free: two attempts on average */
		if (RAND_bytes((unsigned char *)&index, sizeof(index)) != 1)
			return -ENOMEM;
		((uint8_t *)&index)[INDEX_HIGH_AT] = high;
	} while (place_of(t, index)->peer);
	*place_of(t, index) = (struct index_entry){.peer = peer, .index = index};
	t->length++;
	*out = index;
	return 0;
}

struct index_entry *indices_get(const struct indices *t, uint32_t index)
{
	struct index_entry *e = t->size > 0 ? place_of(t, index) : NULL;

	return e && e->peer && e->index == index ? e : NULL;
}

void indices_remove(struct indices *t, uint32_t index)
{
	struct index_entry *e = indices_get(t, index);

	if (!e)
		return;
	*e = (struct index_entry){NULL};
	t->length--;
}
