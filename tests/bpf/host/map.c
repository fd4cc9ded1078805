/* SPDX-License-Identifier: Apache-2.0 */
/*
 * map.c - BPF maps in user space: arrays (per-CPU ones have one CPU), hashes, the LPM trie, a ring that keeps the last
 * record.  Capacities are the declared ones, storage grows with use; arrays are cut to ARRAY_MAX elements.
 */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bpf/bpf_helpers.h"
#include "host.h"

#define MAPS_MAX 24
#define ARRAY_MAX 4096
#define BUCKETS 1024

struct element {
	struct element *next;
	unsigned char bytes[]; /* key, padded to 8, then value */
};

struct host_map {
	void *decl;
	const char *name;
	uint32_t type;
	size_t key_size, key_room, value_size, value_room, max, length;
	unsigned char *array;
	struct element **buckets;
};

static struct host_map maps[MAPS_MAX];
static size_t maps_length;

static size_t round8(size_t n)
{
	return (n + 7) & ~(size_t)7;
}

static bool is_array(const struct host_map *m)
{
	return m->type == BPF_MAP_TYPE_ARRAY || m->type == BPF_MAP_TYPE_PERCPU_ARRAY;
}

static bool is_hash(const struct host_map *m)
{
	return m->type == BPF_MAP_TYPE_HASH || m->type == BPF_MAP_TYPE_PERCPU_HASH ||
	       m->type == BPF_MAP_TYPE_LRU_HASH || m->type == BPF_MAP_TYPE_LRU_PERCPU_HASH;
}

void host_map_register(void *decl, const char *name, uint32_t type, size_t key_size, size_t value_size,
		       size_t max_elements)
{
	struct host_map *m = &maps[maps_length++];

	assert(maps_length <= MAPS_MAX);
	*m = (struct host_map){ .decl = decl,
				.name = name,
				.type = type,
				.key_size = key_size,
				.key_room = round8(key_size),
				.value_size = value_size,
				.value_room = round8(value_size),
				.max = max_elements };
	if (is_array(m)) {
		if (type == BPF_MAP_TYPE_ARRAY && m->max > ARRAY_MAX)
			m->max = ARRAY_MAX;
		m->array = calloc(m->max, m->value_room);
		assert(m->array);
	} else {
		m->buckets = calloc(BUCKETS, sizeof(*m->buckets));
		assert(m->buckets);
	}
}

struct host_map *host_map_find(const char *name)
{
	for (size_t i = 0; i < maps_length; i++)
		if (strcmp(maps[i].name, name) == 0)
			return &maps[i];
	return NULL;
}

static struct host_map *by_decl(void *decl)
{
	for (size_t i = 0; i < maps_length; i++)
		if (maps[i].decl == decl)
			return &maps[i];
	fprintf(stderr, "host: a map that program.c does not register\n");
	abort();
}

/* All elements of a trie share one bucket: look-ups there compare prefixes. */
static size_t bucket(const struct host_map *m, const unsigned char *key)
{
	uint32_t h = 2166136261u;

	if (!is_hash(m))
		return 0;
	for (size_t i = 0; i < m->key_size; i++)
		h = (h ^ key[i]) * 16777619u;
	return h % BUCKETS;
}

static struct element **find_exact(struct host_map *m, const void *key)
{
	struct element **e = &m->buckets[bucket(m, key)];

	while (*e && memcmp((*e)->bytes, key, m->key_size) != 0)
		e = &(*e)->next;
	return e;
}

static bool prefix_matches(const unsigned char *a, const unsigned char *b, uint32_t bits)
{
	uint32_t whole = bits / 8, rest = bits % 8;

	return memcmp(a, b, whole) == 0 && (!rest || !((a[whole] ^ b[whole]) & (0xff << (8 - rest)) & 0xff));
}

/* An LPM key is a 32-bit length in bits and the data. */
static void *find_longest(struct host_map *m, const void *key)
{
	uint32_t limit, length, best_length = 0;
	struct element *best = NULL;

	memcpy(&limit, key, sizeof(limit));
	if (limit > (m->key_size - 4) * 8)
		return NULL;
	for (struct element *e = m->buckets[0]; e; e = e->next) {
		memcpy(&length, e->bytes, sizeof(length));
		if (length <= limit && (!best || length > best_length) &&
		    prefix_matches(e->bytes + 4, (const unsigned char *)key + 4, length)) {
			best = e;
			best_length = length;
		}
	}
	return best ? best->bytes + m->key_room : NULL;
}

void *host_map_get(struct host_map *m, const void *key)
{
	uint32_t index;

	if (is_array(m)) {
		memcpy(&index, key, sizeof(index));
		return index < m->max ? m->array + index * m->value_room : NULL;
	}
	if (m->type == BPF_MAP_TYPE_LPM_TRIE)
		return find_longest(m, key);

	struct element *e = *find_exact(m, key);

	return e ? e->bytes + m->key_room : NULL;
}

void host_map_put(struct host_map *m, const void *key, const void *value)
{
	if (is_array(m)) {
		void *p = host_map_get(m, key);

		assert(p);
		memcpy(p, value, m->value_size);
		return;
	}

	struct element **at = find_exact(m, key);

	if (!*at) {
		*at = calloc(1, sizeof(**at) + m->key_room + m->value_room);
		assert(*at);
		memcpy((*at)->bytes, key, m->key_size);
		m->length++;
	}
	memcpy((*at)->bytes + m->key_room, value, m->value_size);
}

bool host_map_remove(struct host_map *m, const void *key)
{
	struct element **at, *e;

	if (is_array(m))
		return false;
	at = find_exact(m, key);
	e = *at;
	if (!e)
		return false;
	*at = e->next;
	free(e);
	m->length--;
	return true;
}

void host_map_clear(struct host_map *m)
{
	if (is_array(m)) {
		memset(m->array, 0, m->max * m->value_room);
		return;
	}
	for (size_t i = 0; i < BUCKETS; i++) {
		while (m->buckets[i]) {
			struct element *e = m->buckets[i];

			m->buckets[i] = e->next;
			free(e);
		}
	}
	m->length = 0;
}

void *bpf_map_lookup_elem(void *map, const void *key)
{
	return host_map_get(by_decl(map), key);
}

long bpf_map_update_elem(void *map, const void *key, const void *value, __u64 flags)
{
	struct host_map *m = by_decl(map);
	bool there = host_map_get(m, key) != NULL;

	if (flags > BPF_EXIST)
		return -EINVAL;
	if (is_array(m)) {
		if (!there)
			return -E2BIG;
		if (flags == BPF_NOEXIST)
			return -EEXIST;
	} else if (flags == BPF_NOEXIST && there) {
		return -EEXIST;
	} else if (flags == BPF_EXIST && !there) {
		return -ENOENT;
	} else if (!there && m->length >= m->max) {
		return -E2BIG;
	}
	host_map_put(m, key, value);
	return 0;
}

long bpf_map_delete_elem(void *map, const void *key)
{
	struct host_map *m = by_decl(map);

	if (is_array(m))
		return -EINVAL;
	return host_map_remove(m, key) ? 0 : -ENOENT;
}
