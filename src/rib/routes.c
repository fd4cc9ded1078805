/* SPDX-License-Identifier: Apache-2.0 */
#include "rib/routes.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/hmap.h"
#include "rib/index.h"
#include "rib/pack.h"
#include "rib/pool.h"

#define BATCH 32u /* keys in flight: more than a core has outstanding misses */

/* A generation has 8 bits: what was stale that often without having been swept is swept before one comes round. */
#define AGE_MAX 250u

static_assert(PACK_KEY_MAX + PACK_VALUE_MAX <= CANDIDATE_BYTES_MAX, "every route fits into a record");

struct source {
	uint16_t number;
	struct decide_neighbor neighbor;
	struct feed feeds[ROUTE_FAMILY_MAX];
};

struct routes {
	struct attrs *attrs;
	void (*changed)(void *arg, const struct routes_change *change);
	void *arg;
	struct index index;
	struct pool pool;
	struct source **sources; /* by number, NULL = vacant */
	size_t n_sources;
	uint64_t length;
};

struct packed {
	uint8_t key[PACK_KEY_MAX];
	uint8_t key_size;
	uint32_t hash;
};

int routes_new(struct attrs *attrs, void (*changed)(void *arg, const struct routes_change *change), void *arg,
	      struct routes **out)
{
	struct routes *t = calloc(1, sizeof(*t));

	if (!t)
		return -ENOMEM;
	t->attrs = attrs;
	t->changed = changed;
	t->arg = arg;
	pool_init(&t->pool);
	*out = t;
	return 0;
}

/* Records in a chunk lie side by side: goes on from *unit to the next that is live; NULL at the chunk's end. */
static struct candidate *chunk_next(const struct chunk *c, uint32_t *unit)
{
	while (*unit < c->end) {
		struct candidate *record = pool_at(c, *unit);

		*unit += c->units;
		if (record->key_size > 0)
			return record;
	}
	return NULL;
}

/* The first record at or behind the unit. */
static uint32_t chunk_align(const struct chunk *c, uint32_t unit)
{
	uint32_t over = (unit - POOL_FIRST_UNIT) % c->units;

	return over ? unit + c->units - over : unit;
}

static void feed_unref(struct routes *t, struct feed *f)
{
	struct candidate *record;
	struct chunk *c;

	TAILQ_FOREACH(c, &f->chunks, of_feed)
		for (uint32_t unit = POOL_FIRST_UNIT; (record = chunk_next(c, &unit));)
			attrs_unref(t->attrs, record->attrs);
}

void routes_free(struct routes *t)
{
	if (!t)
		return;
	for (size_t i = 0; i < t->n_sources; i++) {
		for (int family = 0; t->sources[i] && family < ROUTE_FAMILY_MAX; family++)
			feed_unref(t, &t->sources[i]->feeds[family]);
		free(t->sources[i]);
	}
	free(t->sources);
	pool_fini(&t->pool);
	index_fini(&t->index);
	free(t);
}

/* ---- sources ---- */

static int vacant_source(struct routes *t, size_t *number)
{
	struct source **sources;

	for (*number = 0; *number < t->n_sources; ++*number)
		if (!t->sources[*number])
			return 0;
	if (t->n_sources == ROUTES_SOURCES_MAX)
		return -ENOSPC;
	sources = reallocarray(t->sources, t->n_sources + 1, sizeof(*sources));
	if (!sources)
		return -ENOMEM;
	t->sources = sources;
	t->sources[t->n_sources++] = NULL;
	return 0;
}

int routes_source_add(struct routes *t, const struct decide_neighbor *neighbor, uint16_t *source)
{
	struct source *s;
	size_t number;
	int r = vacant_source(t, &number);

	if (r < 0)
		return r;
	s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	s->number = (uint16_t)number;
	s->neighbor = *neighbor;
	for (int family = 0; family < ROUTE_FAMILY_MAX; family++)
		feed_init(&s->feeds[family], s);
	t->sources[number] = s;
	*source = s->number;
	return 0;
}

void routes_source_remove(struct routes *t, uint16_t source)
{
	for (int family = 0; family < ROUTE_FAMILY_MAX; family++)
		assert(t->sources[source]->feeds[family].length == 0);
	free(t->sources[source]);
	t->sources[source] = NULL;
}

void routes_source_set(struct routes *t, uint16_t source, const struct decide_neighbor *neighbor)
{
	t->sources[source]->neighbor = *neighbor;
}

const struct decide_neighbor *routes_source(const struct routes *t, uint16_t source)
{
	return &t->sources[source]->neighbor;
}

static struct feed *feed_of(const struct routes *t, uint16_t source, enum route_family family)
{
	return &t->sources[source]->feeds[family];
}

/* ---- keys ---- */

static void pack(const struct route_key *key, struct packed *out)
{
	out->key_size = (uint8_t)pack_key(key, out->key);
	out->hash = (uint32_t)hash_seeded(out->key, out->key_size);
}

static struct index_slot *find_slot(const struct routes *t, const uint8_t *key, size_t key_size, uint32_t hash)
{
	struct index_slot *slot = index_first(&t->index, hash);

	for (; slot; slot = index_next(&t->index, slot)) {
		const struct candidate *first = pool_get(&t->pool, slot->id);

		if (first->key_size == key_size && memcmp(first->bytes, key, key_size) == 0)
			return slot;
	}
	return NULL;
}

/* Ask for what find_slot will look at: the slots of all keys first, then the records in them. */
static void prefetch(const struct routes *t, const struct packed *keys, size_t n)
{
	for (size_t i = 0; i < n; i++)
		index_prefetch(&t->index, keys[i].hash);
	for (size_t i = 0; i < n; i++) {
		const struct index_slot *slot = index_first(&t->index, keys[i].hash);

		if (slot)
			__builtin_prefetch(pool_get(&t->pool, slot->id), 1);
	}
}

static size_t pack_batch(const struct routes *t, const struct route_nlri *nlri, size_t n, struct packed keys[static BATCH])
{
	size_t length = n < BATCH ? n : BATCH;

	for (size_t i = 0; i < length; i++)
		pack(&nlri[i].key, &keys[i]);
	prefetch(t, keys, length);
	return length;
}

static void tell(struct routes *t, const uint8_t *key, size_t key_size, uint32_t first)
{
	t->changed(t->arg, &(struct routes_change){.key = key, .key_size = key_size, .first = first});
}

/* ---- putting ---- */

/* The feed's own candidate of the key, 0 = none. */
static uint32_t find_own(const struct routes *t, const struct feed *feed, uint32_t first)
{
	uint32_t id = first;

	while (id != 0 && pool_chunk(&t->pool, id)->feed != feed)
		id = pool_get(&t->pool, id)->next;
	return id;
}

static bool is_doomed(const struct feed *f, const struct candidate *record)
{
	return f->doom_age > 0 && candidate_age(f, record) >= f->doom_age;
}

static void refresh(struct feed *feed, struct candidate *record)
{
	feed->n_doomed -= is_doomed(feed, record);
	feed->n_fresh += record->generation != feed->generation;
	record->generation = feed->generation;
}

/* Where the number of a candidate is kept: in the slot, or in the candidate before it. */
static uint32_t *link_to(const struct routes *t, struct index_slot *slot, uint32_t id)
{
	uint32_t *at = &slot->id;

	while (*at != id)
		at = &pool_get(&t->pool, *at)->next;
	return at;
}

static void set_value(struct routes *t, struct candidate *record, const struct route_attrs *attrs, const uint8_t *value)
{
	const struct route_attrs *last = record->attrs;

	record->attrs = attrs_ref(attrs);
	if (record->value_size > 0)
		memcpy(record->bytes + record->key_size, value, record->value_size);
	attrs_unref(t->attrs, last);
}

static int add(struct routes *t, struct feed *feed, const struct packed *p, struct index_slot *slot,
	       const struct route_attrs *attrs, const uint8_t *value, size_t value_size)
{
	uint32_t id = candidate_new(&t->pool, feed, p->key_size, value_size);
	struct candidate *record;

	if (id == 0)
		return -ENOMEM;
	record = pool_get(&t->pool, id);
	memcpy(record->bytes, p->key, p->key_size);
	set_value(t, record, attrs, value);
	if (slot) {
		record->next = slot->id;
		slot->id = id;
	} else {
		index_add(&t->index, p->hash, id);
	}
	t->length++;
	tell(t, record->bytes, record->key_size, id);
	return 0;
}

/* Its value has another size, so it may need another place. */
static int replace(struct routes *t, struct feed *feed, struct index_slot *slot, uint32_t old_id,
		   const struct route_attrs *attrs, const uint8_t *value, size_t value_size)
{
	struct candidate *old = pool_get(&t->pool, old_id);
	uint32_t id = candidate_new(&t->pool, feed, old->key_size, value_size);
	struct candidate *record;

	if (id == 0)
		return -ENOMEM;
	record = pool_get(&t->pool, id);
	memcpy(record->bytes, old->bytes, old->key_size);
	set_value(t, record, attrs, value);
	record->next = old->next;
	*link_to(t, slot, old_id) = id;
	attrs_unref(t->attrs, old->attrs);
	feed->n_doomed -= is_doomed(feed, old);
	candidate_free(&t->pool, old_id);
	tell(t, record->bytes, record->key_size, slot->id);
	return 0;
}

static int put_one(struct routes *t, struct feed *feed, const struct packed *p, const struct route_attrs *attrs,
		   const struct route_nlri *nlri)
{
	uint8_t value[PACK_VALUE_MAX];
	size_t value_size = pack_value(nlri, value);
	struct index_slot *slot;
	struct candidate *record;
	uint32_t id;
	int r = index_reserve(&t->index);

	if (r < 0)
		return r;
	slot = find_slot(t, p->key, p->key_size, p->hash);
	id = slot ? find_own(t, feed, slot->id) : 0;
	if (id == 0)
		return add(t, feed, p, slot, attrs, value, value_size);
	record = pool_get(&t->pool, id);
	if (record->value_size != value_size)
		return replace(t, feed, slot, id, attrs, value, value_size);
	refresh(feed, record);
	if (record->attrs == attrs &&
	    (value_size == 0 || memcmp(record->bytes + record->key_size, value, value_size) == 0))
		return 0;
	set_value(t, record, attrs, value);
	tell(t, record->bytes, record->key_size, slot->id);
	return 0;
}

int routes_put(struct routes *t, uint16_t source, const struct route_attrs *attrs, const struct route_nlri *nlri, size_t n)
{
	struct packed keys[BATCH];

	for (size_t done = 0, length; done < n; done += length) {
		length = pack_batch(t, nlri + done, n - done, keys);
		for (size_t i = 0; i < length; i++) {
			const struct route_nlri *one = &nlri[done + i];
			int r = put_one(t, feed_of(t, source, one->key.family), &keys[i], attrs, one);

			if (r < 0)
				return r;
		}
	}
	return 0;
}

/* ---- taking away ---- */

static void remove_one(struct routes *t, struct index_slot *slot, uint32_t id)
{
	struct candidate *record = pool_get(&t->pool, id);
	const struct route_attrs *attrs = record->attrs;
	struct feed *feed = pool_chunk(&t->pool, id)->feed;
	uint8_t key[PACK_KEY_MAX];
	size_t key_size = record->key_size;
	uint32_t first;

	memcpy(key, record->bytes, key_size);
	*link_to(t, slot, id) = record->next;
	first = slot->id;
	if (first == 0)
		index_remove(&t->index, slot);
	feed->n_doomed -= is_doomed(feed, record);
	candidate_free(&t->pool, id);
	t->length--;
	tell(t, key, key_size, first);
	attrs_unref(t->attrs, attrs);
}

void routes_remove(struct routes *t, uint16_t source, const struct route_nlri *nlri, size_t n)
{
	struct packed keys[BATCH];

	for (size_t done = 0, length; done < n; done += length) {
		length = pack_batch(t, nlri + done, n - done, keys);
		for (size_t i = 0; i < length; i++) {
			const struct feed *feed = feed_of(t, source, nlri[done + i].key.family);
			struct index_slot *slot = find_slot(t, keys[i].key, keys[i].key_size, keys[i].hash);
			uint32_t id = slot ? find_own(t, feed, slot->id) : 0;

			if (id != 0)
				remove_one(t, slot, id);
		}
	}
}

/* ---- stale routes ---- */

static void sweep_begin(struct feed *f, uint8_t age)
{
	f->sweeping = true;
	f->sweep_age = age;
	f->sweep = TAILQ_FIRST(&f->chunks);
	f->sweep_unit = POOL_FIRST_UNIT;
}

static bool sweep_is_over(const struct feed *f)
{
	return !f->sweep || f->length == 0 || (f->sweep_age > 0 && f->n_fresh == f->length);
}

/* One record, or the step to the next chunk. */
static void sweep_one(struct routes *t, struct feed *f)
{
	struct chunk *c = f->sweep;
	uint32_t unit = f->sweep_unit;
	struct candidate *record = pool_at(c, unit);
	struct index_slot *slot;

	if (unit >= c->end) {
		f->sweep = TAILQ_NEXT(c, of_feed);
		f->sweep_unit = POOL_FIRST_UNIT;
		return;
	}
	f->sweep_unit += c->units; /* before the chunk may go with its last record */
	if (record->key_size == 0 || candidate_age(f, record) < f->sweep_age)
		return;
	slot = find_slot(t, record->bytes, record->key_size,
			 (uint32_t)hash_seeded(record->bytes, record->key_size));
	remove_one(t, slot, pool_id(c, unit));
}

static bool sweep(struct routes *t, struct feed *f, uint8_t age, size_t budget)
{
	if (!f->sweeping || f->sweep_age != age)
		sweep_begin(f, age);
	for (; budget > 0 && !sweep_is_over(f); budget--)
		sweep_one(t, f);
	if (!sweep_is_over(f))
		return true;
	f->sweeping = false;
	/* nothing is older than the youngest that went */
	f->oldest = age > 1 && f->length > 0 ? (uint8_t)(f->generation - (age - 1)) : f->generation;
	return false;
}

bool routes_sweep(struct routes *t, uint16_t source, enum route_family family, enum routes_sweep what, size_t budget)
{
	struct feed *f = feed_of(t, source, family);

	return sweep(t, f, (uint8_t)what, budget);
}

uint64_t routes_doom(struct routes *t, uint16_t source, enum route_family family)
{
	struct feed *f = feed_of(t, source, family);
	uint64_t n_stale = f->length - f->n_fresh, n = n_stale - f->n_doomed;

	f->n_doomed = n_stale;
	f->doom_age = n_stale > 0;
	return n;
}

bool routes_sweep_doomed(struct routes *t, uint16_t source, enum route_family family, size_t budget)
{
	struct feed *f = feed_of(t, source, family);

	if (f->doom_age == 0)
		return false;
	if (f->n_doomed > 0 && sweep(t, f, f->doom_age, budget))
		return true;
	f->doom_age = 0;
	return false;
}

void routes_stale(struct routes *t, uint16_t source, enum route_family family)
{
	struct feed *f = feed_of(t, source, family);

	if ((uint8_t)(f->generation - f->oldest) >= AGE_MAX)
		while (routes_sweep(t, source, family, ROUTES_SWEEP_TWICE, SIZE_MAX))
			;
	f->generation++;
	f->doom_age += f->doom_age > 0;
	f->n_fresh = 0;
	f->sweeping = false; /* what was fresh when it passed may be none now */
	if (f->length == 0)
		f->oldest = f->generation;
}

/* ---- looking ---- */

uint32_t routes_next(const struct routes *t, uint32_t id)
{
	return pool_get(&t->pool, id)->next;
}

uint64_t routes_length(const struct routes *t)
{
	return t->length;
}

uint64_t routes_source_length(const struct routes *t, uint16_t source, enum route_family family)
{
	return feed_of(t, source, family)->length;
}

uint64_t routes_source_counted(const struct routes *t, uint16_t source, enum route_family family)
{
	const struct feed *f = feed_of(t, source, family);

	return f->length - f->n_doomed;
}

uint64_t routes_source_stale(const struct routes *t, uint16_t source, enum route_family family)
{
	const struct feed *f = feed_of(t, source, family);

	return f->length - f->n_fresh;
}

uint32_t routes_find(const struct routes *t, const struct route_key *key)
{
	const struct index_slot *slot;
	struct packed p;

	pack(key, &p);
	slot = find_slot(t, p.key, p.key_size, p.hash);
	return slot ? slot->id : 0;
}

static void view(const struct feed *f, const struct candidate *record, struct routes_candidate *out)
{
	const struct source *s = f->owner;

	unpack_key(record->bytes, &out->nlri.key);
	unpack_value(record->bytes + record->key_size, record->value_size, &out->nlri);
	out->attrs = record->attrs;
	out->neighbor = &s->neighbor;
	out->source = s->number;
	out->stale = candidate_age(f, record) > 0;
}

uint32_t routes_get(const struct routes *t, uint32_t id, struct routes_candidate *out)
{
	const struct candidate *record = pool_get(&t->pool, id);

	view(pool_chunk(&t->pool, id)->feed, record, out);
	return record->next;
}

const struct route_attrs *routes_attrs(const struct routes *t, uint32_t id)
{
	return pool_get(&t->pool, id)->attrs;
}

bool routes_walk(const struct routes *t, uint64_t *cursor, size_t budget,
		void (*fn)(void *arg, const struct routes_candidate *candidate), void *arg)
{
	uint32_t number = (uint32_t)(*cursor >> 32), unit = (uint32_t)*cursor;
	struct routes_candidate candidate;
	const struct candidate *record;

	for (; number < t->pool.n_chunks; number++, unit = 0) {
		const struct chunk *c = number > 0 ? t->pool.chunks[number] : NULL;

		if (unit < POOL_FIRST_UNIT)
			unit = POOL_FIRST_UNIT;
		if (c) /* since the last call it may have become one of records of another size */
			unit = chunk_align(c, unit);
		for (; c && budget > 0 && (record = chunk_next(c, &unit)); budget--) {
			view(c->feed, record, &candidate);
			fn(arg, &candidate);
		}
		if (budget == 0)
			break;
	}
	*cursor = (uint64_t)number << 32 | unit;
	return number < t->pool.n_chunks;
}
