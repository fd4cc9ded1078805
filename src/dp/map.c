/* SPDX-License-Identifier: Apache-2.0 */
#include "dp/map.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "dp/error.h"
#include "lib/cleanup.h"

#define CHUNK 4096 /* entries of one batched look-up */

int map_shape_of(int fd, struct map_shape *shape, uint32_t *id)
{
	struct bpf_map_info info = {0};
	uint32_t size = sizeof(info);
	int r = bpf_obj_get_info_by_fd(fd, &info, &size);

	if (r < 0)
		return r;
	*shape = (struct map_shape){.type = info.type,
				    .key_size = info.key_size,
				    .value_size = info.value_size,
				    .capacity = info.max_entries,
				    .flags = info.map_flags};
	*id = info.id;
	return 0;
}

void map_init(struct map *m, const char *name, int fd, const struct map_shape *shape)
{
	*m = (struct map){
		.name = name,
		.fd = fd,
		.shape = *shape,
		.exact = shape->type != BPF_MAP_TYPE_LPM_TRIE,
		.cells = {.key_offset = offsetof(struct map_cell, bytes), .key_size = shape->key_size},
		.round = 1,
	};
}

void map_fini(struct map *m)
{
	struct map_cell *cell;

	if (!m->name)
		return;
	for (size_t i = 0; (cell = map_next(m, &i));)
		free(cell);
	hmap_fini(&m->cells);
	if (m->fd >= 0)
		close(m->fd);
	*m = (struct map){.fd = -1};
}

struct map_cell *map_get(const struct map *m, const void *key)
{
	return hmap_get(&m->cells, key);
}

struct map_cell *map_next(const struct map *m, size_t *cursor)
{
	return hmap_next(&m->cells, cursor);
}

/* ---- the sum of all elements --------------------------------------------------------------------------------------- */

/*
 * Against accidents: whoever may write to the map can do worse than to look for a collision.  Something is added at each
 * step, as from 0 a product never leaves 0, and what counts as 0 is not missed in a sum.
 */
#define HASH_STEP(hash, word) ((((hash) ^ (word)) * 0x9e3779b97f4a7c15) + 0xbf58476d1ce4e5b9)

static uint64_t hash_bytes(uint64_t hash, const uint8_t *bytes, size_t size)
{
	for (; size >= sizeof(uint64_t); bytes += sizeof(uint64_t), size -= sizeof(uint64_t)) {
		uint64_t word;

		memcpy(&word, bytes, sizeof(word));
		hash = HASH_STEP(hash, word);
		hash ^= hash >> 32;
	}
	for (; size > 0; bytes++, size--)
		hash = HASH_STEP(hash, *bytes);
	return hash;
}

uint64_t map_hash(const struct map *m, const void *key, const void *value)
{
	uint64_t hash = hash_bytes(hash_bytes(1, key, m->shape.key_size), value, m->shape.value_size);

	return hash ^ hash >> 29; /* the high half of a product is the good one */
}

static uint64_t hash_cell(const struct map *m, struct map_cell *cell)
{
	return map_hash(m, cell->bytes, map_cell_value(m, cell));
}

/* ---- writing ----------------------------------------------------------------------------------------------------- */

int map_write(const struct map *m, const void *key, const void *value)
{
	int r;

	epoch_disturb(m->epoch);
	r = bpf_map_update_elem(m->fd, key, value, BPF_ANY);
	if (r == -E2BIG || r == -ENOSPC)
		return error_set(-ENOSPC, "table %s is full: it holds %u entries at most", m->name, m->shape.capacity);
	if (r == -ENOMEM)
		return error_set(r, "table %s: the kernel has no memory for another entry (%zu are in it)", m->name,
				 m->cells.length);
	if (r < 0)
		return error_set(r, "table %s: writing an entry: %s", m->name, strerror(-r));
	return 0;
}

int map_erase(const struct map *m, const void *key)
{
	int r;

	epoch_disturb(m->epoch);
	r = bpf_map_delete_elem(m->fd, key);
	return r < 0 && r != -ENOENT ? error_set(r, "table %s: removing an entry: %s", m->name, strerror(-r)) : 0;
}

static struct map_cell *new_cell(const struct map *m, const void *key, const void *value)
{
	struct map_cell *cell = malloc(sizeof(*cell) + m->shape.key_size + m->shape.value_size);

	if (!cell)
		return NULL;
	cell->stale = false;
	cell->round = 0;
	memcpy(cell->bytes, key, m->shape.key_size);
	memcpy(cell->bytes + m->shape.key_size, value, m->shape.value_size);
	return cell;
}

int map_put(struct map *m, const void *key, const void *value)
{
	struct map_cell *cell = map_get(m, key);
	int r;

	if (cell && memcmp(map_cell_value(m, cell), value, m->shape.value_size) == 0) {
		cell->stale = false;
		return 0;
	}
	if (cell) {
		r = map_write(m, key, value);
		if (r < 0)
			return r;
		m->sum -= hash_cell(m, cell);
		memcpy(map_cell_value(m, cell), value, m->shape.value_size);
		m->sum += hash_cell(m, cell);
		cell->stale = false;
	} else {
		/* The shadow first: it can be taken back without a trace, an entry in the kernel has met packets. */
		cell = new_cell(m, key, value);
		if (!cell || hmap_add(&m->cells, cell) < 0) {
			free(cell);
			return error_set(-ENOMEM, "table %s: no memory", m->name);
		}
		r = map_write(m, key, value);
		if (r < 0) {
			hmap_remove(&m->cells, key);
			free(cell);
			return r;
		}
		m->sum += hash_cell(m, cell);
	}
	map_see(m, cell); /* the running audit may be past its place already */
	m->disturbed = true;
	return 1;
}

static void drop_cell(struct map *m, struct map_cell *cell)
{
	hmap_remove(&m->cells, cell->bytes);
	if (cell->round == m->round)
		m->n_seen--;
	m->sum -= hash_cell(m, cell);
	free(cell);
}

int map_del(struct map *m, const void *key)
{
	struct map_cell *cell = map_get(m, key);
	int r;

	if (!cell)
		return 0;
	r = map_erase(m, key);
	if (r < 0)
		return r;
	drop_cell(m, cell);
	m->disturbed = true;
	return 1;
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

bool map_read(const struct map *m, const void *key, void *value)
{
	return bpf_map_lookup_elem(m->fd, key, value) == 0;
}

static int read_batch(const struct map *m, struct map_walk *w, uint8_t *keys, uint8_t *values, uint32_t *count)
{
	uint8_t next[MAP_POSITION_MAX];
	int r = bpf_map_lookup_batch(m->fd, w->begun ? w->position : NULL, next, keys, values, count, NULL);

	if (r < 0 && r != -ENOENT)
		return r;
	w->begun = true;
	w->ended = r == -ENOENT;
	memcpy(w->position, next, sizeof(next));
	return 0;
}

static int read_singly(const struct map *m, struct map_walk *w, uint8_t *keys, uint8_t *values, uint32_t *count)
{
	uint32_t n = 0;

	while (n < *count && !w->ended) {
		uint8_t *key = keys + (size_t)n * m->shape.key_size;
		int r = bpf_map_get_next_key(m->fd, w->begun ? w->position : NULL, key);

		if (r == -ENOENT) {
			w->ended = true;
			break;
		}
		if (r < 0)
			return r;
		w->begun = true;
		memcpy(w->position, key, m->shape.key_size);
		if (bpf_map_lookup_elem(m->fd, key, values + (size_t)n * m->shape.value_size) == 0)
			n++;
	}
	*count = n;
	return 0;
}

static int walk_failed(const struct map *m, int r)
{
	return error_set(r, "table %s: reading it: %s", m->name, strerror(-r));
}

int map_walk(const struct map *m, struct map_walk *w, uint32_t limit,
	     bool (*fn)(void *arg, const void *key, const void *value), void *arg)
{
	uint32_t count;

	for (;; limit *= 2) {
		_cleanup_(free) uint8_t *keys = malloc((size_t)limit * m->shape.key_size);
		_cleanup_(free) uint8_t *values = malloc((size_t)limit * m->shape.value_size);
		int r;

		if (!keys || !values)
			return walk_failed(m, -ENOMEM);
		count = limit;
		r = m->no_batch ? read_singly(m, w, keys, values, &count) : read_batch(m, w, keys, values, &count);
		if (r == -ENOSPC && limit < m->shape.capacity * 2) /* one hash bucket holds more than that */
			continue;
		if (r < 0)
			return walk_failed(m, r);
		for (uint32_t i = 0; i < count; i++) {
			if (!fn(arg, keys + (size_t)i * m->shape.key_size, values + (size_t)i * m->shape.value_size)) {
				w->ended = true;
				break;
			}
		}
		return (int)count;
	}
}

int map_walk_all(const struct map *m, bool (*fn)(void *arg, const void *key, const void *value), void *arg)
{
	struct map_walk w = {0};

	while (!w.ended) {
		int r = map_walk(m, &w, CHUNK, fn, arg);

		if (r < 0)
			return r;
	}
	return 0;
}

struct loading {
	struct map *map;
	int error;
};

static bool load_one(void *arg, const void *key, const void *value)
{
	struct loading *l = arg;
	struct map_cell *cell = new_cell(l->map, key, value);

	if (!cell) {
		l->error = -ENOMEM;
		return false;
	}
	cell->stale = true;
	if (hmap_add(&l->map->cells, cell) < 0) /* seen twice in one walk */
		free(cell);
	else
		l->map->sum += hash_cell(l->map, cell);
	return true;
}

static bool nothing(void *arg, const void *key, const void *value)
{
	return false;
}

int map_load(struct map *m)
{
	struct loading l = {.map = m};
	struct map_walk probe = {0};
	int r;

	if (!m->no_batch) {
		r = map_walk(m, &probe, 1, nothing, NULL);
		m->no_batch = r == -EINVAL || r == -ENOTSUP || r == -524 /* the kernel's own ENOTSUPP */;
	}
	map_measure(m);
	r = map_walk_all(m, load_one, &l);
	if (r < 0)
		return r;
	return l.error < 0 ? walk_failed(m, l.error) : (int)m->cells.length;
}
