/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/hmap.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/random.h>

#define MIN_SLOTS 16

static char gone; /* its address marks a removed item, so that probing goes on past it */
#define HMAP_GONE ((void *)&gone)

static uint64_t seed[2];

static void seed_once(void)
{
	static bool seeded;

	if (seeded)
		return;
	/* The kernel's 16 bytes for this process serve when the pool is not ready or the call is filtered. */
	if (getrandom(seed, sizeof(seed), GRND_NONBLOCK) != sizeof(seed))
		memcpy(seed, (const void *)getauxval(AT_RANDOM), sizeof(seed));
	seeded = true;
}

static uint64_t load_le64(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return le64toh(v);
}

static uint64_t rotate(uint64_t v, unsigned bits)
{
	return v << bits | v >> (64 - bits);
}

struct sip {
	uint64_t v0, v1, v2, v3;
};

static void sip_round(struct sip *s)
{
	s->v0 += s->v1;
	s->v1 = rotate(s->v1, 13) ^ s->v0;
	s->v0 = rotate(s->v0, 32);
	s->v2 += s->v3;
	s->v3 = rotate(s->v3, 16) ^ s->v2;
	s->v0 += s->v3;
	s->v3 = rotate(s->v3, 21) ^ s->v0;
	s->v2 += s->v1;
	s->v1 = rotate(s->v1, 17) ^ s->v2;
	s->v2 = rotate(s->v2, 32);
}

static void sip_block(struct sip *s, uint64_t block)
{
	s->v3 ^= block;
	sip_round(s);
	sip_round(s);
	s->v0 ^= block;
}

/* Aumasson, Bernstein: SipHash: a fast short-input PRF (2012), 2 rounds a block and 4 at the end */
uint64_t hash_keyed(const uint64_t key[static 2], const void *data, size_t size)
{
	struct sip s = {
		.v0 = key[0] ^ 0x736f6d6570736575,
		.v1 = key[1] ^ 0x646f72616e646f6d,
		.v2 = key[0] ^ 0x6c7967656e657261,
		.v3 = key[1] ^ 0x7465646279746573,
	};
	uint8_t last[8] = {[7] = (uint8_t)size};
	const uint8_t *p = data;
	size_t whole = size & ~(size_t)7;

	for (size_t i = 0; i < whole; i += 8)
		sip_block(&s, load_le64(p + i));
	if (size > whole)
		memcpy(last, p + whole, size - whole);
	sip_block(&s, load_le64(last));
	s.v2 ^= 0xff;
	for (int i = 0; i < 4; i++)
		sip_round(&s);
	return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}

uint64_t hash_seeded(const void *data, size_t size)
{
	seed_once();
	return hash_keyed(seed, data, size);
}

static const void *item_key(const struct hmap *m, const void *item)
{
	const char *key = (const char *)item + m->key_offset;

	return m->key_size > 0 ? (const void *)key : *(const char *const *)key;
}

static uint64_t key_hash(const struct hmap *m, const void *key)
{
	size_t size = m->key_size > 0 ? m->key_size : strlen(key);

	return hash_keyed(seed, key, size);
}

static bool key_equal(const struct hmap *m, const void *a, const void *b)
{
	return m->key_size > 0 ? memcmp(a, b, m->key_size) == 0 : strcmp(a, b) == 0;
}

/* The slot that holds the key, or NULL.  Only an item of the same hash is looked into: items are far apart in memory. */
static struct hmap_slot *find(const struct hmap *m, const void *key, uint64_t hash)
{
	if (m->length == 0)
		return NULL;
	for (size_t i = hash & (m->n_slots - 1);; i = (i + 1) & (m->n_slots - 1)) {
		struct hmap_slot *slot = &m->slots[i];

		if (!slot->item)
			return NULL;
		if (slot->hash == hash && slot->item != HMAP_GONE && key_equal(m, item_key(m, slot->item), key))
			return slot;
	}
}

/* Into the first free slot; the caller knows that the key is absent and that there is room. */
static void place(struct hmap *m, void *item, uint64_t hash)
{
	size_t i = hash & (m->n_slots - 1);

	while (m->slots[i].item && m->slots[i].item != HMAP_GONE)
		i = (i + 1) & (m->n_slots - 1);
	m->n_used += !m->slots[i].item;
	m->length++;
	m->slots[i] = (struct hmap_slot){item, hash};
}

/* A table that three eighths of are live at most; removed items are left behind. */
static int rebuild(struct hmap *m)
{
	struct hmap bigger = {.key_offset = m->key_offset, .key_size = m->key_size, .n_slots = MIN_SLOTS};

	while (3 * bigger.n_slots < 8 * m->length)
		bigger.n_slots *= 2;
	bigger.slots = calloc(bigger.n_slots, sizeof(*bigger.slots));
	if (!bigger.slots)
		return -ENOMEM;
	for (size_t i = 0; i < m->n_slots; i++)
		if (m->slots[i].item && m->slots[i].item != HMAP_GONE)
			place(&bigger, m->slots[i].item, m->slots[i].hash);
	free(m->slots);
	*m = bigger;
	return 0;
}

void hmap_fini(struct hmap *m)
{
	free(m->slots);
	*m = (struct hmap){.key_offset = m->key_offset, .key_size = m->key_size};
}

void *hmap_get(const struct hmap *m, const void *key)
{
	struct hmap_slot *slot = m->length > 0 ? find(m, key, key_hash(m, key)) : NULL;

	return slot ? slot->item : NULL;
}

int hmap_add(struct hmap *m, void *item)
{
	const void *key = item_key(m, item);
	uint64_t hash;

	seed_once();
	hash = key_hash(m, key);
	if (find(m, key, hash))
		return -EEXIST;
	if (4 * (m->n_used + 1) > 3 * m->n_slots) {
		int r = rebuild(m);

		if (r < 0)
			return r;
	}
	place(m, item, hash);
	return 0;
}

void *hmap_remove(struct hmap *m, const void *key)
{
	struct hmap_slot *slot = m->length > 0 ? find(m, key, key_hash(m, key)) : NULL;
	void *item;

	if (!slot)
		return NULL;
	item = slot->item;
	slot->item = HMAP_GONE; /* never moves others: removal inside hmap_next's loop is allowed */
	m->length--;
	return item;
}

void hmap_trim(struct hmap *m)
{
	if (m->length == 0)
		hmap_fini(m);
	else if (m->n_slots > MIN_SLOTS && 8 * m->length < m->n_slots)
		rebuild(m); /* without memory it is as it was */
}

void *hmap_next(const struct hmap *m, size_t *cursor)
{
	while (*cursor < m->n_slots) {
		void *item = m->slots[(*cursor)++].item;

		if (item && item != HMAP_GONE)
			return item;
	}
	return NULL;
}

/* FNV-1a, 64 bits (Fowler, Noll, Vo) */
uint64_t hash_stable(const void *data, size_t size)
{
	const uint8_t *p = data;
	uint64_t h = 0xcbf29ce484222325;

	for (size_t i = 0; i < size; i++)
		h = (h ^ p[i]) * 0x100000001b3;
	return h;
}
