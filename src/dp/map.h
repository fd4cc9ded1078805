/* SPDX-License-Identifier: Apache-2.0 */
/*
 * map.h - one kernel map and the shadow of what belongs in it; private to dp/.
 *
 * Keys and values are raw bytes here; what they mean is known to table.c, nexthop.c and flood.c.  The shadow is the
 * intent: map_put and map_del change it together with the kernel, map_audit brings the kernel back to it.  map_load
 * fills it from an adopted map, everything marked stale until it is put again.
 */
#ifndef ISTHMUS_DP_MAP_H
#define ISTHMUS_DP_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/hmap.h"

struct map_shape {
	uint32_t type, key_size, value_size, capacity, flags;
};

int map_shape_of(int fd, struct map_shape *shape, uint32_t *id); /* of a kernel map */

#define MAP_POSITION_MAX 32

/* A place in a round through the kernel's entries. */
struct map_walk {
	bool begun, ended;
	uint8_t position[MAP_POSITION_MAX];
};

struct map {
	const char *name;
	int fd; /* owned */
	struct map_shape shape;
	struct hmap cells;
	bool no_batch; /* the kernel has no batched look-up for this type */
	bool exact;    /* a look-up finds the key itself and no other (not an LPM trie) */
	/* the running round of the audit */
	struct map_walk walk;
	uint32_t round;
	size_t n_seen;
	bool disturbed;
	/*
	 * The sum of a hash of each element, of the shadow and of what the running round has read.  A quick round only adds
	 * up, at an eighth of the price; when the sums differ the next one looks up every element, and does not wait.
	 */
	uint64_t sum, sum_read;
	unsigned quick_left; /* so many rounds may be quick before one looks up everything again */
	bool quick, hunting;
	/* bytes, as the kernel counts them: of an element (0: it does not count them), of the map without any (0: not known yet) */
	uint64_t element_memory, empty_memory, memory_before;
	unsigned walkless_left; /* audits before the next walk */
	size_t known_at;
	uint64_t *epoch; /* of what the programs remember (epoch.c); NULL: nothing looks at this map */
};

/* Before a write to a map that programs look at: what they remember of the tables holds no longer. */
static inline void epoch_disturb(uint64_t *epoch)
{
	if (epoch && !(*epoch & 1))
		__atomic_store_n(epoch, *epoch + 1, __ATOMIC_SEQ_CST);
}

struct map_cell {
	uint32_t round; /* of the audit that saw it last */
	bool stale;
	uint8_t bytes[]; /* key, then value */
};

void map_init(struct map *m, const char *name, int fd, const struct map_shape *shape); /* takes the descriptor */
void map_fini(struct map *m); /* of zeroes allowed */

static inline const void *map_cell_key(const struct map_cell *c)
{
	return c->bytes;
}
static inline void *map_cell_value(const struct map *m, struct map_cell *c)
{
	return c->bytes + m->shape.key_size;
}

struct map_cell *map_get(const struct map *m, const void *key);
/* for (size_t i = 0; (cell = map_next(m, &i));)  map_del of the current one is allowed */
struct map_cell *map_next(const struct map *m, size_t *cursor);

int map_put(struct map *m, const void *key, const void *value); /* 1 written, 0 the same already, -ENOSPC full */
int map_del(struct map *m, const void *key);                    /* 1 removed, 0 was not there */
int map_load(struct map *m);                                    /* number adopted */

/* To the kernel alone; 0 or -errno, said. */
int map_write(const struct map *m, const void *key, const void *value);
int map_erase(const struct map *m, const void *key); /* what is not there is no error */

uint64_t map_hash(const struct map *m, const void *key, const void *value); /* of an element, for the sum */
static inline void map_see(struct map *m, struct map_cell *cell) /* the running audit has met it */
{
	m->n_seen += cell->round != m->round;
	cell->round = m->round;
}

/* Up to `limit` entries of the kernel, from where the walk stands.  fn returns false to end the walk.  Number read. */
int map_walk(const struct map *m, struct map_walk *w, uint32_t limit,
	     bool (*fn)(void *arg, const void *key, const void *value), void *arg);
bool map_read(const struct map *m, const void *key, void *value); /* from the kernel, where `exact` */
/* All of them. */
int map_walk_all(const struct map *m, bool (*fn)(void *arg, const void *key, const void *value), void *arg);

/* ---- map_audit.c ---- */

void map_measure(struct map *m); /* once, by map_load; creates a map, which a boxed daemon may not */

/*
 * Compares on, until the round is over or the budget used up (which it lowers: by one for an entry that is looked up, or
 * for eight that are only added up).  Number of repairs.
 */
int map_audit(struct map *m, size_t *budget);

#endif
