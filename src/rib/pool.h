/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pool.h - candidates: what one source says of one key, in records that lie close together.
 *
 * A record is what a route costs, so it holds no more than it must: 16 bytes and the key's and value's own.  Records of
 * one feed (one source, one address family) and one size share chunks of 64 KB that hold nobody else's: so a feed is walked and
 * swept without looking at any other, nothing has to link its records, and what a neighbor withdraws goes back to the
 * system chunk by chunk.  A record never moves and is named by 32 bits.
 *
 * Staleness is a number: each feed has a generation, each record the one in which it was last put.  To mark all as
 * stale is to count up.
 *
 * Call order: pool_init, feed_init, candidate_new and candidate_free in any order, pool_fini.  The pool owns records;
 * what a record points to (attrs) is the caller's to count.  One thread.
 */
#ifndef ISTHMUS_RIB_POOL_H
#define ISTHMUS_RIB_POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#define POOL_UNIT 8u /* bytes; sizes and places of records are multiples */
#define POOL_UNITS_MAX 14u
#define POOL_CHUNK_SIZE 65536u
#define POOL_CHUNK_SHIFT 13u /* log2(POOL_CHUNK_SIZE / POOL_UNIT) */

struct route_attrs;

struct candidate {
	const struct route_attrs *attrs;
	uint32_t next;      /* of the same key, 0 = none */
	uint8_t generation;
	uint8_t key_size;   /* 0 = a free record */
	uint8_t value_size;
	uint8_t tag;        /* the owner's */
	uint8_t bytes[];    /* the key, then the value */
};

#define CANDIDATE_BYTES_MAX (POOL_UNITS_MAX * POOL_UNIT - sizeof(struct candidate))

struct chunk {
	struct feed *feed;
	uint32_t number;
	uint32_t units;  /* of a record */
	uint32_t length; /* live records */
	uint32_t free;   /* the first of a list through `next`, 0 = none */
	uint32_t end;    /* records begin before this unit; after it nothing was used yet */
	TAILQ_ENTRY(chunk) of_feed;
	LIST_ENTRY(chunk) of_room;
};

struct feed {
	void *owner;
	uint64_t length;     /* records */
	uint64_t n_fresh;    /* of this generation */
	uint64_t n_doomed;   /* of doom_age and older */
	uint8_t generation;
	uint8_t oldest;      /* no record is of an older one */
	bool sweeping;
	uint8_t sweep_age;   /* records of this age and older go */
	uint8_t doom_age;    /* records of this age and older are not counted any more; 0 = all are */
	struct chunk *sweep; /* where it goes on, NULL = at the end */
	uint32_t sweep_unit;
	TAILQ_HEAD(feed_chunks, chunk) chunks;
	LIST_HEAD(feed_room, chunk) room[POOL_UNITS_MAX + 1];
};

struct pool {
	struct chunk **chunks; /* by number; numbers begin with 1 */
	uint32_t n_chunks, n_allocated;
	uint32_t *vacant; /* numbers to be used again; as many as chunks may be */
	uint32_t n_vacant;
};

void pool_init(struct pool *p);
void pool_fini(struct pool *p); /* frees all records */

void feed_init(struct feed *f, void *owner);

/* A record with key and value size set and in its feed's generation; 0 = out of memory. */
uint32_t candidate_new(struct pool *p, struct feed *f, size_t key_size, size_t value_size);
void candidate_free(struct pool *p, uint32_t id);

static inline struct chunk *pool_chunk(const struct pool *p, uint32_t id)
{
	return p->chunks[id >> POOL_CHUNK_SHIFT];
}

static inline struct candidate *pool_at(const struct chunk *c, uint32_t unit)
{
	return (struct candidate *)((char *)c + (size_t)unit * POOL_UNIT);
}

static inline struct candidate *pool_get(const struct pool *p, uint32_t id)
{
	return pool_at(pool_chunk(p, id), id & ((1u << POOL_CHUNK_SHIFT) - 1));
}

static inline uint32_t pool_id(const struct chunk *c, uint32_t unit)
{
	return c->number << POOL_CHUNK_SHIFT | unit;
}

/* The first unit of a chunk that a record begins at. */
#define POOL_FIRST_UNIT ((uint32_t)((sizeof(struct chunk) + POOL_UNIT - 1) / POOL_UNIT))

static inline uint32_t candidate_units(size_t bytes)
{
	return (uint32_t)((sizeof(struct candidate) + bytes + POOL_UNIT - 1) / POOL_UNIT);
}

/* How many generations ago it was last put: 0 = fresh, 1 = stale, 2 and more = stale since before the last mark. */
static inline uint8_t candidate_age(const struct feed *f, const struct candidate *c)
{
	return (uint8_t)(f->generation - c->generation);
}

#endif
