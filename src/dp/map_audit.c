/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A kernel map is compared with its shadow, in one of four ways:
 *
 *      by their number  the kernel says how many elements there are
 *      by known keys    a part of the shadow's elements in turn, in a table that is all but empty; with the number that is
 *                       all there is to know
 *      by the sum       a walk that adds up a hash of each element
 *      by each element  a walk that compares, and mends; when one of the others found that something is wrong, or a table
 *                       was written to during the walks before
 *
 * A walk goes through all buckets of a map, used or not: 64 MB for all tables.  Twice a second that is 3 % of a core, and the
 * caches of whatever else runs.  Where the kernel tells the number, or the table is sparse, two of three audits do without,
 * and of a sparse one whose number it tells all.
 */
#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "dp/map.h"
#include "lib/cleanup.h"

#define CHUNK 4096        /* entries of one batched look-up */
#define QUICK_DISTURBED 2 /* rounds by the sum that may prove nothing before one by each element */
#define SPARSE 256        /* a look-up by key costs as much as so many buckets of a walk, and more */
#define WALKLESS 2        /* audits without a walk, before one with */
#define KNOWN_LEAST 256

/* ---- how many elements the kernel has ---------------------------------------------------------------------------- */

/* Bytes that the kernel says a map takes; 0 = it could not be asked. */
static uint64_t memory(int fd)
{
	char path[sizeof("/proc/self/fdinfo/") + 3 * sizeof(fd)], text[1024];
	_cleanup_(fd) int file = -1;
	const char *line;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	file = open(path, O_RDONLY | O_CLOEXEC);
	n = file < 0 ? -1 : read(file, text, sizeof(text) - 1);
	if (n <= 0)
		return 0;
	text[n] = '\0';
	line = strstr(text, "\nmemlock:");
	return line ? strtoull(line + sizeof("\nmemlock:") - 1, NULL, 10) : 0;
}

/*
 * Linux 6.4 and newer count a map's elements into what they say of its memory, older ones say the same whatever is in
 * it.  What one element takes depends on its size and on the kernel: a map of one element tells.
 */
void map_measure(struct map *m)
{
	LIBBPF_OPTS(bpf_map_create_opts, options, .map_flags = m->shape.flags);
	_cleanup_(free) uint8_t *zeroes = calloc(1, (size_t)m->shape.key_size + m->shape.value_size);
	_cleanup_(fd) int fd = -1;
	uint64_t empty, one;

	if (!m->exact || !zeroes)
		return;
	fd = bpf_map_create(m->shape.type, "measure", m->shape.key_size, m->shape.value_size, 1, &options);
	if (fd < 0)
		return;
	empty = memory(fd);
	if (bpf_map_update_elem(fd, zeroes, zeroes + m->shape.key_size, BPF_ANY) < 0)
		return;
	one = memory(fd);
	if (empty && one > empty)
		m->element_memory = one - empty;
}

static bool kernel_has_as_many(const struct map *m)
{
	return m->empty_memory && memory(m->fd) == m->empty_memory + m->cells.length * m->element_memory;
}

/* After a walk that found just what belongs there.  Did anything change meanwhile, the next walk will tell. */
static void remember_memory(struct map *m)
{
	uint64_t now = m->element_memory ? memory(m->fd) : 0;

	if (now && now == m->memory_before)
		m->empty_memory = now - m->cells.length * m->element_memory;
}

/* ---- by known keys ----------------------------------------------------------------------------------------------- */

static bool kernel_has(const struct map *m, struct map_cell *cell)
{
	_cleanup_(free) uint8_t *value = malloc(m->shape.value_size);

	return value && m->exact && map_read(m, cell->bytes, value) &&
	       memcmp(value, map_cell_value(m, cell), m->shape.value_size) == 0;
}

/* A part of them, so that all are seen in a few audits; the cursor is map_next's. */
static bool next_known_are_right(struct map *m, size_t *budget)
{
	size_t n = m->cells.length / WALKLESS < KNOWN_LEAST ? KNOWN_LEAST : m->cells.length / WALKLESS;
	struct map_cell *cell;

	for (; n > 0; n--) {
		cell = map_next(m, &m->known_at);
		if (!cell) {
			m->known_at = 0;
			return true;
		}
		*budget -= *budget > 0;
		if (!kernel_has(m, cell))
			return false;
	}
	return true;
}

/* May this audit do without a walk? */
static bool is_right_without_walk(struct map *m, size_t *budget)
{
	bool counted = m->element_memory, sparse = m->exact && m->cells.length <= m->shape.capacity / SPARSE;

	if (counted ? !kernel_has_as_many(m) : !sparse)
		return false;
	if (sparse && !next_known_are_right(m, budget))
		return false;
	if (sparse && counted)
		return true;
	if (m->walkless_left == 0)
		return false;
	m->walkless_left--;
	return true;
}

/* ---- by walks ---------------------------------------------------------------------------------------------------- */

struct auditing {
	struct map *map;
	int repairs;
	int error;
};

static void repair(struct auditing *a, int r)
{
	if (r < 0)
		a->error = r;
	else
		a->repairs++;
}

static bool audit_one(void *arg, const void *key, const void *value)
{
	struct auditing *a = arg;
	struct map *m = a->map;
	struct map_cell *cell = map_get(m, key);

	if (!cell) {
		repair(a, map_erase(m, key));
		return true;
	}
	if (memcmp(map_cell_value(m, cell), value, m->shape.value_size) != 0)
		repair(a, map_write(m, key, map_cell_value(m, cell)));
	map_see(m, cell);
	return true;
}

/* What the whole round did not see is missing. */
static void audit_missing(struct auditing *a)
{
	struct map *m = a->map;
	struct map_cell *cell;

	/* In a trie a walk over several calls may lose its place to a change, and a look-up cannot tell: next round. */
	if (m->n_seen == m->cells.length || (!m->exact && m->disturbed))
		return;
	for (size_t i = 0; (cell = map_next(m, &i));) {
		if (cell->round != m->round && !kernel_has(m, cell))
			repair(a, map_write(m, cell->bytes, map_cell_value(m, cell)));
	}
}

static bool add_up(void *arg, const void *key, const void *value)
{
	struct map *m = arg;

	m->sum_read += map_hash(m, key, value);
	return true;
}

static void begin_round(struct map *m)
{
	m->walk = (struct map_walk){0};
	m->quick = m->quick_left > 0;
	m->sum_read = 0;
	m->disturbed = false;
	m->memory_before = m->element_memory ? memory(m->fd) : 0;
	if (m->quick) {
		m->quick_left--;
		return;
	}
	m->round++;
	m->n_seen = 0;
}

/*
 * What was written meanwhile may have been read before or after that: then the sums prove nothing, and after two such
 * rounds one looks at everything.
 */
static void end_round(struct auditing *a)
{
	struct map *m = a->map;

	if (!m->quick) {
		audit_missing(a);
		m->quick_left = QUICK_DISTURBED;
		m->hunting = false;
	} else if (!m->disturbed && m->sum_read == m->sum) {
		m->quick_left = QUICK_DISTURBED;
		m->walkless_left = WALKLESS;
		remember_memory(m);
	} else if (!m->disturbed) {
		m->quick_left = 0;
		m->hunting = true;
	}
	m->walk = (struct map_walk){0};
}

int map_audit(struct map *m, size_t *budget)
{
	struct auditing a = {.map = m};

	if (!m->walk.begun && !m->hunting && is_right_without_walk(m, budget))
		return 0;
	if (!m->walk.begun)
		begin_round(m);
	while (!m->walk.ended && *budget > 0) {
		size_t price = m->quick || m->hunting ? 8 : 1, limit = *budget * price;
		int r = map_walk(m, &m->walk, limit < CHUNK ? (uint32_t)limit : CHUNK, m->quick ? add_up : audit_one,
				 m->quick ? (void *)m : &a);

		if (r < 0) {
			m->walk = (struct map_walk){0};
			return r;
		}
		r = (int)((size_t)r / price) + 1;
		*budget -= (size_t)r < *budget ? (size_t)r : *budget;
		if (m->walk.ended && m->quick) {
			end_round(&a);
			if (!m->hunting)
				return 0;
			begin_round(m); /* at once: something is wrong */
		}
	}
	if (m->walk.ended)
		end_round(&a);
	return a.error < 0 ? a.error : a.repairs;
}
