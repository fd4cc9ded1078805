/* SPDX-License-Identifier: Apache-2.0 */
#include "table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include <cmocka.h>

#include "lib/hmap.h"

struct key {
	struct route_key key;
	uint64_t neighbor;
};

struct entry {
	struct key key;
	const struct route_attrs *attrs;
	uint64_t generation;
	TAILQ_ENTRY(entry) link;
};

struct feed {
	TAILQ_HEAD(, entry) entries;
	uint64_t generation;
	size_t length, n_fresh;
};

struct table {
	struct attrs *attrs;
	struct hmap entries;
	struct feed feeds[TABLE_NEIGHBORS_MAX][ROUTE_FAMILY_MAX];
};

static struct key key_of(uint32_t neighbor, const struct route_key *key)
{
	return (struct key){.key = *key, .neighbor = neighbor};
}

struct table *table_new(struct attrs *attrs)
{
	struct table *t = calloc(1, sizeof(*t));

	assert_non_null(t);
	t->attrs = attrs;
	t->entries = HMAP_INIT(struct entry, key);
	for (int i = 0; i < TABLE_NEIGHBORS_MAX; i++)
		for (int f = 0; f < ROUTE_FAMILY_MAX; f++)
			TAILQ_INIT(&t->feeds[i][f].entries);
	return t;
}

static void drop(struct table *t, struct feed *feed, struct entry *e)
{
	feed->length--;
	feed->n_fresh -= e->generation == feed->generation;
	TAILQ_REMOVE(&feed->entries, e, link);
	assert_ptr_equal(hmap_remove(&t->entries, &e->key), e);
	attrs_unref(t->attrs, e->attrs);
	free(e);
}

void table_free(struct table *t)
{
	struct entry *e;

	if (!t)
		return;
	for (int i = 0; i < TABLE_NEIGHBORS_MAX; i++)
		for (int f = 0; f < ROUTE_FAMILY_MAX; f++)
			while ((e = TAILQ_FIRST(&t->feeds[i][f].entries)))
				drop(t, &t->feeds[i][f], e);
	hmap_fini(&t->entries);
	free(t);
}

size_t table_put(struct table *t, uint32_t neighbor, const struct route_attrs *a, const struct route_nlri *nlri, size_t n)
{
	size_t n_new = 0;

	for (size_t i = 0; i < n; i++) {
		struct feed *feed = &t->feeds[neighbor][nlri[i].key.family];
		struct key key = key_of(neighbor, &nlri[i].key);
		struct entry *e = hmap_get(&t->entries, &key);

		if (!e) {
			e = calloc(1, sizeof(*e));
			assert_non_null(e);
			e->key = key;
			e->generation = feed->generation;
			assert_int_equal(hmap_add(&t->entries, e), 0);
			TAILQ_INSERT_TAIL(&feed->entries, e, link);
			feed->length++;
			feed->n_fresh++;
			n_new++;
		}
		feed->n_fresh += e->generation != feed->generation;
		e->generation = feed->generation;
		attrs_ref(a);
		attrs_unref(t->attrs, e->attrs);
		e->attrs = a;
	}
	return n_new;
}

size_t table_remove(struct table *t, uint32_t neighbor, const struct route_nlri *nlri, size_t n)
{
	size_t gone = 0;

	for (size_t i = 0; i < n; i++) {
		struct key key = key_of(neighbor, &nlri[i].key);
		struct entry *e = hmap_get(&t->entries, &key);

		if (e) {
			drop(t, &t->feeds[neighbor][nlri[i].key.family], e);
			gone++;
		}
	}
	return gone;
}

void table_stale(struct table *t, uint32_t neighbor, enum route_family f)
{
	t->feeds[neighbor][f].generation++;
	t->feeds[neighbor][f].n_fresh = 0;
}

size_t table_swept(struct table *t, uint32_t neighbor, enum route_family f, void (*gone)(void *arg, const struct route_key *key),
		   void *arg)
{
	struct feed *feed = &t->feeds[neighbor][f];
	struct entry *e = TAILQ_FIRST(&feed->entries), *next;
	size_t n_gone = 0;

	for (; e; e = next) {
		next = TAILQ_NEXT(e, link);
		if (e->generation == feed->generation)
			continue;
		if (gone)
			gone(arg, &e->key.key);
		drop(t, feed, e);
		n_gone++;
	}
	return n_gone;
}

const struct route_attrs *table_get(const struct table *t, uint32_t neighbor, const struct route_key *key)
{
	struct key k = key_of(neighbor, key);
	const struct entry *e = hmap_get(&t->entries, &k);

	return e ? e->attrs : NULL;
}

size_t table_length(const struct table *t, uint32_t neighbor, enum route_family f)
{
	return t->feeds[neighbor][f].length;
}

size_t table_n_stale(const struct table *t, uint32_t neighbor, enum route_family f)
{
	return t->feeds[neighbor][f].length - t->feeds[neighbor][f].n_fresh;
}
