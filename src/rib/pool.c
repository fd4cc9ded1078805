/* SPDX-License-Identifier: Apache-2.0 */
#include "rib/pool.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define CHUNK_UNITS (POOL_CHUNK_SIZE / POOL_UNIT)
#define CHUNKS_MAX (UINT32_MAX >> POOL_CHUNK_SHIFT)

static_assert(CHUNK_UNITS == 1u << POOL_CHUNK_SHIFT, "a unit's number fits below a chunk's");

void pool_init(struct pool *p)
{
	*p = (struct pool){.n_chunks = 1};
}

void pool_fini(struct pool *p)
{
	for (uint32_t i = 1; i < p->n_chunks; i++)
		if (p->chunks[i])
			munmap(p->chunks[i], POOL_CHUNK_SIZE);
	free(p->chunks);
	free(p->vacant);
	pool_init(p);
}

void feed_init(struct feed *f, void *owner)
{
	*f = (struct feed){.owner = owner};
	TAILQ_INIT(&f->chunks);
}

static uint32_t number_take(struct pool *p)
{
	uint32_t n = p->n_allocated ? 2 * p->n_allocated : 64;
	struct chunk **chunks;
	uint32_t *vacant;

	if (p->n_vacant > 0)
		return p->vacant[--p->n_vacant];
	if (p->n_chunks < p->n_allocated)
		return p->n_chunks++;
	if (p->n_chunks > CHUNKS_MAX / 2)
		return 0;
	chunks = reallocarray(p->chunks, n, sizeof(*chunks));
	if (!chunks)
		return 0;
	p->chunks = chunks;
	vacant = reallocarray(p->vacant, n, sizeof(*vacant));
	if (!vacant)
		return 0;
	p->vacant = vacant;
	p->n_allocated = n;
	return p->n_chunks++;
}

static void number_give(struct pool *p, uint32_t number)
{
	p->chunks[number] = NULL;
	p->vacant[p->n_vacant++] = number;
}

/* Memory of the system's, not of the heap, so that it can be given back whatever lies beside it. */
static struct chunk *chunk_open(struct pool *p, struct feed *f, uint32_t units)
{
	uint32_t number = number_take(p);
	struct chunk *c;

	if (number == 0)
		return NULL;
	c = mmap(NULL, POOL_CHUNK_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (c == MAP_FAILED) {
		number_give(p, number);
		return NULL;
	}
	p->chunks[number] = c;
	*c = (struct chunk){.feed = f, .number = number, .units = units, .end = POOL_FIRST_UNIT};
	TAILQ_INSERT_TAIL(&f->chunks, c, of_feed);
	LIST_INSERT_HEAD(&f->room[units], c, of_room);
	return c;
}

static void chunk_close(struct pool *p, struct chunk *c)
{
	struct feed *f = c->feed;

	if (f->sweep == c) {
		f->sweep = TAILQ_NEXT(c, of_feed);
		f->sweep_unit = POOL_FIRST_UNIT;
	}
	TAILQ_REMOVE(&f->chunks, c, of_feed);
	LIST_REMOVE(c, of_room);
	number_give(p, c->number);
	munmap(c, POOL_CHUNK_SIZE);
}

static bool chunk_is_full(const struct chunk *c)
{
	return c->free == 0 && c->end + c->units > CHUNK_UNITS;
}

uint32_t candidate_new(struct pool *p, struct feed *f, size_t key_size, size_t value_size)
{
	uint32_t units = candidate_units(key_size + value_size);
	struct candidate *record;
	struct chunk *c;
	uint32_t id;

	assert(key_size > 0 && units <= POOL_UNITS_MAX);
	c = LIST_FIRST(&f->room[units]);
	if (!c)
		c = chunk_open(p, f, units);
	if (!c)
		return 0;
	if (c->free != 0) {
		id = c->free;
		c->free = pool_get(p, id)->next;
	} else {
		id = pool_id(c, c->end);
		c->end += units;
	}
	if (chunk_is_full(c))
		LIST_REMOVE(c, of_room);
	c->length++;
	f->length++;
	f->n_fresh++;
	record = pool_get(p, id);
	*record = (struct candidate){
		.generation = f->generation, .key_size = (uint8_t)key_size, .value_size = (uint8_t)value_size};
	return id;
}

void candidate_free(struct pool *p, uint32_t id)
{
	struct candidate *record = pool_get(p, id);
	struct chunk *c = pool_chunk(p, id);
	struct feed *f = c->feed;

	f->length--;
	f->n_fresh -= record->generation == f->generation;
	if (chunk_is_full(c))
		LIST_INSERT_HEAD(&f->room[c->units], c, of_room);
	*record = (struct candidate){.next = c->free};
	c->free = id;
	if (--c->length == 0)
		chunk_close(p, c);
}
