/* SPDX-License-Identifier: Apache-2.0 */
#include "model/attrs.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "lib/hmap.h"
#include "lib/wire.h"

#define CONTENT offsetof(struct route_attrs, next_hop)
#define CONTENT_END (offsetof(struct route_attrs, pmsi_size) + sizeof(uint32_t))
#define FOUND                                                                                                          \
	(ROUTE_HAS_MOBILITY | ROUTE_HAS_STICKY | ROUTE_HAS_ROUTER_MAC | ROUTE_HAS_DEFAULT_GATEWAY | ROUTE_HAS_ES_IMPORT)

static_assert(CONTENT_END - CONTENT == 112, "no padding in what is compared as bytes");

enum { SEGMENT_SET = 1, SEGMENT_SEQUENCE = 2 }; /* RFC 4271 4.3 b; others are confederation segments, RFC 5065 3 */

struct attrs {
	struct hmap by_hash;
	size_t size;     /* of all sets */
	uint8_t *scratch;/* a set is built here and copied when it is new */
	size_t scratch_size;
};

/* The arrays of a set, in the order in which they follow the struct: falling alignment. */
static const struct {
	uint16_t pointer, count, element;
} arrays[] = {
	{offsetof(struct route_attrs, extended), offsetof(struct route_attrs, n_extended), sizeof(uint64_t)},
	{offsetof(struct route_attrs, large), offsetof(struct route_attrs, n_large), sizeof(struct route_large)},
	{offsetof(struct route_attrs, communities), offsetof(struct route_attrs, n_communities), sizeof(uint32_t)},
	{offsetof(struct route_attrs, clusters), offsetof(struct route_attrs, n_clusters), sizeof(uint32_t)},
	{offsetof(struct route_attrs, path), offsetof(struct route_attrs, path_size), 1},
	{offsetof(struct route_attrs, pmsi), offsetof(struct route_attrs, pmsi_size), 1},
};

#define N_ARRAYS (sizeof(arrays) / sizeof(arrays[0]))

static uint32_t *count_of(struct route_attrs *a, size_t i)
{
	return (uint32_t *)((char *)a + arrays[i].count);
}

static const void **pointer_of(struct route_attrs *a, size_t i)
{
	return (const void **)((char *)a + arrays[i].pointer);
}

/* ---- order ---- */

static int compare_extended(const void *pa, const void *pb)
{
	uint64_t a = *(const uint64_t *)pa, b = *(const uint64_t *)pb;
	int targets = extended_is_target(b) - extended_is_target(a); /* those first */

	return targets ? targets : (a > b) - (a < b);
}

static int compare_u32(const void *pa, const void *pb)
{
	uint32_t a = *(const uint32_t *)pa, b = *(const uint32_t *)pb;

	return (a > b) - (a < b);
}

static int compare_large(const void *pa, const void *pb)
{
	const struct route_large *a = pa, *b = pb;

	for (int i = 0; i < 3; i++)
		if (a->part[i] != b->part[i])
			return a->part[i] < b->part[i] ? -1 : 1;
	return 0;
}

/* Sorts and removes repeated elements, returns how many are left. */
static uint32_t normalize(void *array, uint32_t n, size_t element, int (*compare)(const void *, const void *))
{
	char *p = array;
	uint32_t kept = 1, rising = 1;

	while (rising < n && compare(p + (rising - 1) * element, p + rising * element) < 0)
		rising++;
	if (rising >= n)
		return n; /* most arrive in order */
	qsort(p, n, element, compare);
	for (uint32_t i = 1; i < n; i++)
		if (compare(p + (kept - 1) * element, p + i * element) != 0)
			memmove(p + kept++ * element, p + i * element, element);
	return kept;
}

/* ---- what is found ---- */

static void find_in_extended(struct route_attrs *a)
{
	for (uint32_t i = 0; i < a->n_extended; i++) {
		uint64_t e = a->extended[i];

		switch (extended_type(e)) {
		case EXTENDED_TARGET_AS2:
		case EXTENDED_TARGET_AS4:
		case EXTENDED_TARGET_IP:
			a->n_targets++;
			break;
		case EXTENDED_TUNNEL:
			if ((uint16_t)e < 32)
				a->tunnels |= 1u << (uint16_t)e;
			break;
		case EXTENDED_DEFAULT_GATEWAY:
			a->has |= ROUTE_HAS_DEFAULT_GATEWAY;
			break;
		case EXTENDED_MOBILITY: /* several: the highest number, and static if one says so */
			if (!(a->has & ROUTE_HAS_MOBILITY) || (uint32_t)e > a->mobility)
				a->mobility = (uint32_t)e;
			a->has |= ROUTE_HAS_MOBILITY | (e >> 40 & 1 ? ROUTE_HAS_STICKY : 0u);
			break;
		case EXTENDED_ES_IMPORT:
			a->has |= ROUTE_HAS_ES_IMPORT;
			break;
		case EXTENDED_ROUTER_MAC: {
			struct mac m;

			for (int byte = 0; byte < 6; byte++)
				m.bytes[byte] = (uint8_t)(e >> (8 * (5 - byte)));
			/* No router can have a group address or none: such a value is as good as absent. */
			if (!(a->has & ROUTE_HAS_ROUTER_MAC) && !mac_is_multicast(&m) && !mac_is_zero(&m)) {
				a->router_mac = m;
				a->has |= ROUTE_HAS_ROUTER_MAC;
			}
			break;
		}
		}
	}
}

static void find_in_path(struct route_attrs *a)
{
	struct reader r = reader_over(a->path, a->path_size);
	bool first = true;

	while (reader_left(&r)) {
		unsigned type = reader_u8(&r), n = reader_u8(&r);
		struct reader ases = reader_sub(&r, 4 * n);

		if (n == 0 || (type != SEGMENT_SET && type != SEGMENT_SEQUENCE))
			continue;
		a->path_length += type == SEGMENT_SET ? 1 : n;
		if (first && type == SEGMENT_SEQUENCE)
			a->first_as = reader_u32(&ases);
		first = false;
		ases.at = ases.end - (reader_ok(&ases) ? 4 : 0);
		a->origin_as = type == SEGMENT_SEQUENCE ? reader_u32(&ases) : 0;
	}
}

/* ---- the table ---- */

int attrs_new(struct attrs **out)
{
	struct attrs *t = calloc(1, sizeof(*t));

	if (!t)
		return -ENOMEM;
	t->by_hash = HMAP_INIT(struct route_attrs, hash);
	*out = t;
	return 0;
}

void attrs_free(struct attrs *t)
{
	if (!t)
		return;
	assert(t->size == 0);
	hmap_fini(&t->by_hash);
	free(t->scratch);
	free(t);
}

/* Points the arrays behind the struct that they belong to; returns the size of all. */
static size_t place(struct route_attrs *a)
{
	size_t at = sizeof(*a);

	for (size_t i = 0; i < N_ARRAYS; i++) {
		uint32_t n = *count_of(a, i);

		*pointer_of(a, i) = n ? (char *)a + at : NULL;
		at += (size_t)n * arrays[i].element;
	}
	return at;
}

/* Builds the set in the scratch memory. */
static struct route_attrs *build(struct attrs *t, const struct route_attrs *candidate)
{
	struct route_attrs *a, source = *candidate;
	size_t at = sizeof(*a), size = at;

	for (size_t i = 0; i < N_ARRAYS; i++)
		size += (size_t)*count_of(&source, i) * arrays[i].element;
	if (size > t->scratch_size) {
		uint8_t *more = realloc(t->scratch, 2 * size);

		if (!more)
			return NULL;
		t->scratch = more;
		t->scratch_size = 2 * size;
	}
	a = (struct route_attrs *)t->scratch;
	*a = source;
	a->zero = 0;
	a->has &= ~(uint32_t)FOUND;
	a->path_length = a->first_as = a->origin_as = a->mobility = a->tunnels = a->n_targets = 0;
	a->router_mac = (struct mac){};
	for (size_t i = 0; i < N_ARRAYS; i++) {
		static int (*const order[N_ARRAYS])(const void *, const void *) = {compare_extended, compare_large,
										   compare_u32};
		uint32_t *n = count_of(a, i);
		uint8_t *p = t->scratch + at;

		if (*n)
			memcpy(p, *pointer_of(&source, i), (size_t)*n * arrays[i].element);
		if (order[i])
			*n = normalize(p, *n, arrays[i].element, order[i]);
		at += (size_t)*n * arrays[i].element;
	}
	a->size = (uint32_t)place(a);
	find_in_extended(a);
	find_in_path(a);
	return a;
}

static bool content_equal(const struct route_attrs *a, const struct route_attrs *b)
{
	return a->size == b->size &&
	       memcmp((const char *)a + CONTENT, (const char *)b + CONTENT, CONTENT_END - CONTENT) == 0 &&
	       memcmp(a + 1, b + 1, a->size - sizeof(*a)) == 0;
}

static uint64_t content_hash(const struct route_attrs *a)
{
	uint64_t parts[2] = {hash_seeded((const char *)a + CONTENT, CONTENT_END - CONTENT),
			     hash_seeded(a + 1, a->size - sizeof(*a))};

	return hash_seeded(parts, sizeof(parts));
}

int attrs_account_new(struct attrs_account **out)
{
	struct attrs_account *account = calloc(1, sizeof(*account));

	if (!account)
		return -ENOMEM;
	account->references = 1;
	*out = account;
	return 0;
}

void attrs_account_unref(struct attrs_account *account)
{
	if (account && --account->references == 0)
		free(account);
}

static void charge(struct route_attrs *a, struct attrs_account *account)
{
	a->account = account;
	if (!account)
		return;
	account->references++;
	account->size += a->size;
}

static void discharge(const struct route_attrs *a)
{
	if (a->account)
		a->account->size -= a->size;
	attrs_account_unref(a->account);
}

int attrs_intern(struct attrs *t, const struct route_attrs *candidate, const struct route_attrs **out)
{
	return attrs_intern_for(t, candidate, NULL, out);
}

int attrs_intern_for(struct attrs *t, const struct route_attrs *candidate, struct attrs_account *account,
		     const struct route_attrs **out)
{
	struct route_attrs *a = build(t, candidate), *there, *new;
	int r;

	if (!a)
		return -ENOMEM;
	a->hash = content_hash(a);
	there = hmap_get(&t->by_hash, &a->hash);
	if (there && content_equal(there, a)) {
		*out = attrs_ref(there);
		return 0;
	}
	new = malloc(a->size);
	if (!new)
		return -ENOMEM;
	memcpy(new, a, a->size);
	place(new);
	new->references = 1;
	/* Two sets of one hash, which nobody can bring about without the seed: the second is right, but not shared. */
	r = there ? 0 : hmap_add(&t->by_hash, new);
	if (r < 0) {
		free(new);
		return r;
	}
	t->size += new->size;
	charge(new, account);
	*out = new;
	return 0;
}

const struct route_attrs *attrs_ref(const struct route_attrs *a)
{
	((struct route_attrs *)a)->references++;
	return a;
}

void attrs_unref(struct attrs *t, const struct route_attrs *a)
{
	struct route_attrs *mine = (struct route_attrs *)a;

	if (!mine || --mine->references > 0)
		return;
	if (hmap_get(&t->by_hash, &mine->hash) == mine)
		hmap_remove(&t->by_hash, &mine->hash);
	t->size -= mine->size;
	discharge(mine);
	free(mine);
}

void attrs_trim(struct attrs *t)
{
	hmap_trim(&t->by_hash);
}

size_t attrs_length(const struct attrs *t)
{
	return t->by_hash.length;
}

size_t attrs_size(const struct attrs *t)
{
	return t->size + t->by_hash.n_slots * sizeof(struct hmap_slot) + t->scratch_size + sizeof(*t);
}
