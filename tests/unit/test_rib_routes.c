/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of routes against a model that is an array: a million random calls, after each of which what is there, what
 * was told and what is stale must be what the model says; and its memory.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "rib/index.h"
#include "rib/pack.h"
#include "rib/pool.h"
#include "rib/routes.h"

/* ---- memory that runs out: the table's allocations go through here (--wrap) ---- */

static long allocations_left = -1; /* -1: without end */

static bool may_allocate(void)
{
	if (allocations_left < 0)
		return true;
	return allocations_left > 0 && allocations_left-- > 0;
}

void *__real_calloc(size_t n, size_t size);
void *__real_reallocarray(void *p, size_t n, size_t size);
void *__real_mmap(void *addr, size_t length, int protection, int flags, int fd, off_t offset);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_reallocarray(void *p, size_t n, size_t size);
void *__wrap_mmap(void *addr, size_t length, int protection, int flags, int fd, off_t offset);

void *__wrap_calloc(size_t n, size_t size)
{
	return may_allocate() ? __real_calloc(n, size) : NULL;
}

void *__wrap_reallocarray(void *p, size_t n, size_t size)
{
	return may_allocate() ? __real_reallocarray(p, n, size) : NULL;
}

void *__wrap_mmap(void *addr, size_t length, int protection, int flags, int fd, off_t offset)
{
	return may_allocate() ? __real_mmap(addr, length, protection, flags, fd, offset) : MAP_FAILED;
}

/* ---- routes by number ---- */

#define N_SOURCES 5
#define N_KEYS 4096
#define N_SETS 7
#define N_VALUES 3 /* of a key, of different sizes for EVPN */

static uint64_t random_state;

static uint32_t any(uint32_t below)
{
	random_state = random_state * 6364136223846793005 + 1442695040888963407;
	return (uint32_t)((random_state >> 33) % below);
}

static struct addr v4(uint32_t a)
{
	struct addr out = {.bytes = {[10] = 0xff, [11] = 0xff}};

	for (int i = 0; i < 4; i++)
		out.bytes[12 + i] = (uint8_t)(a >> (24 - 8 * i));
	return out;
}

static void mac_route(uint32_t i, struct route_key *k)
{
	k->type = ROUTE_EVPN_MAC;
	k->rd = route_rd_ip(0x0a000001 + i % 7, (uint16_t)i);
	k->mac = (struct mac){{2, 0, (uint8_t)(i >> 16), (uint8_t)(i >> 8), (uint8_t)i, 1}};
	if (i & 1) {
		k->addr = v4(0x0a000000 + i);
		k->length = 128;
	} else if (i & 2) {
		k->addr = (struct addr){.bytes = {0xfd, [14] = (uint8_t)(i >> 8), [15] = (uint8_t)i}};
		k->length = 128;
	}
}

static struct route_nlri route(uint32_t i, uint32_t value)
{
	struct route_nlri n = {.key = {.family = i % 3}};

	if (n.key.family == ROUTE_IPV4) {
		n.key.addr = v4(0x14000000 + (i << 8));
		n.key.length = 120;
	} else if (n.key.family == ROUTE_IPV6) {
		n.key.addr = (struct addr){.bytes = {0x2a, 0, (uint8_t)(i >> 8), (uint8_t)i}};
		n.key.length = 32;
	} else if (i % 9 == 2) {
		mac_route(i, &n.key);
		n.n_labels = (uint8_t)(1 + value % 2);
		n.label[0] = 5001;
		n.label[1] = n.n_labels == 2 ? 5000 : 0;
	} else if (i % 9 == 5) {
		n.key = (struct route_key){.family = ROUTE_EVPN, .type = ROUTE_EVPN_IMET, .rd = route_rd_ip(i, 9), .tag = i,
					   .addr = v4(i), .length = 128, .path_id = i & 16 ? i : 0};
	} else {
		n.key = (struct route_key){.family = ROUTE_EVPN, .type = ROUTE_EVPN_PREFIX, .rd = route_rd_ip(i, 3),
					   .addr = v4(i << 8), .length = 120};
		n.n_labels = 1;
		n.label[0] = 5000 + value % 2;
		if (value == 2)
			n.gateway = v4(0xc0000201);
	}
	return n;
}

static bool route_equal(const struct route_nlri *a, const struct route_nlri *b)
{
	return route_key_equal(&a->key, &b->key) && addr_equal(&a->gateway, &b->gateway) && a->n_labels == b->n_labels &&
	       a->label[0] == b->label[0] && a->label[1] == b->label[1];
}

/* ---- the model ---- */

struct said {
	bool there;
	uint32_t set, value, age;
};

struct rig {
	struct attrs *attrs;
	struct routes *table;
	uint16_t sources[N_SOURCES];
	const struct route_attrs *sets[N_SETS];
	struct said said[N_SOURCES][N_KEYS];
	uint32_t told[N_KEYS], expected[N_KEYS]; /* changes */
	uint32_t seen[N_SOURCES][N_KEYS];
};

static struct rig *rig;
static struct route_key keys[N_KEYS];

static uint32_t number_of(const struct route_key *k)
{
	for (uint32_t i = 0; i < N_KEYS; i++)
		if (route_key_equal(&keys[i], k))
			return i;
	fail_msg("a key that was never put");
	return 0;
}

static uint32_t number_of_packed(const uint8_t *key)
{
	static uint32_t last; /* most calls are about keys in a row */
	struct route_key k;

	unpack_key(key, &k);
	for (uint32_t n = 0; n < 4; n++)
		if (route_key_equal(&keys[(last + n) % N_KEYS], &k))
			return last = (last + n) % N_KEYS;
	return last = number_of(&k);
}

static void on_changed(void *arg, const struct routes_change *change)
{
	struct rig *r = arg;
	uint32_t key = number_of_packed(change->key);

	r->told[key]++;
	assert_int_equal(change->first, routes_find(r->table, &keys[key]));
}

static void nobody(void *arg, const struct routes_change *change)
{
}

static int rig_up(void **state)
{
	rig = calloc(1, sizeof(*rig));
	assert_int_equal(attrs_new(&rig->attrs), 0);
	assert_int_equal(routes_new(rig->attrs, on_changed, rig, &rig->table), 0);
	for (uint32_t i = 0; i < N_KEYS; i++)
		keys[i] = route(i, 0).key;
	for (uint32_t i = 0; i < N_SOURCES; i++) {
		struct decide_neighbor n = {.address = v4(0x0a000000 + i), .router_id = i};

		assert_int_equal(routes_source_add(rig->table, &n, &rig->sources[i]), 0);
	}
	for (uint32_t i = 0; i < N_SETS; i++) {
		struct route_attrs a = {.next_hop = v4(0xc0000200 + i)};

		assert_int_equal(attrs_intern(rig->attrs, &a, &rig->sets[i]), 0);
	}
	return 0;
}

static int rig_down(void **state)
{
	routes_free(rig->table);
	for (uint32_t i = 0; i < N_SETS; i++) {
		assert_int_equal(rig->sets[i]->references, 1); /* nothing holds one that should not */
		attrs_unref(rig->attrs, rig->sets[i]);
	}
	attrs_free(rig->attrs);
	free(rig);
	return 0;
}

static void check_key(uint32_t key)
{
	struct routes_candidate c;
	uint32_t n = 0, there = 0;

	for (uint32_t id = routes_find(rig->table, &keys[key]); id != 0; n++) {
		struct route_nlri want;
		const struct said *s;
		uint32_t next = routes_get(rig->table, id, &c);

		s = &rig->said[c.source][key];
		want = route(key, s->value);
		assert_true(s->there);
		assert_memory_equal(&c.nlri.key, &want.key, sizeof(want.key));
		assert_true(addr_equal(&c.nlri.gateway, &want.gateway));
		assert_int_equal(c.nlri.n_labels, want.n_labels);
		assert_memory_equal(c.nlri.label, want.label, sizeof(want.label));
		assert_ptr_equal(c.attrs, rig->sets[s->set]);
		assert_int_equal(c.stale, s->age > 0);
		assert_int_equal(c.neighbor->router_id, c.source);
		id = next;
	}
	for (int s = 0; s < N_SOURCES; s++)
		there += rig->said[s][key].there;
	assert_int_equal(n, there);
	assert_int_equal(rig->told[key], rig->expected[key]);
}

static void on_walk(void *arg, const struct routes_candidate *c)
{
	rig->seen[c->source][number_of(&c->nlri.key)]++;
}

static void check_all(void)
{
	uint64_t cursor = 0, length[N_SOURCES][ROUTE_FAMILY_MAX] = {0}, stale[N_SOURCES][ROUTE_FAMILY_MAX] = {0};

	memset(rig->seen, 0, sizeof(rig->seen));
	while (routes_walk(rig->table, &cursor, 100, on_walk, NULL))
		;
	for (uint32_t key = 0; key < N_KEYS; key++) {
		check_key(key);
		for (int s = 0; s < N_SOURCES; s++) {
			assert_int_equal(rig->seen[s][key], rig->said[s][key].there);
			length[s][keys[key].family] += rig->said[s][key].there;
			stale[s][keys[key].family] += rig->said[s][key].there && rig->said[s][key].age > 0;
		}
	}
	for (int s = 0; s < N_SOURCES; s++)
		for (int f = 0; f < ROUTE_FAMILY_MAX; f++) {
			assert_int_equal(routes_source_length(rig->table, rig->sources[s], f), length[s][f]);
			assert_int_equal(routes_source_stale(rig->table, rig->sources[s], f), stale[s][f]);
		}
}

/* ---- calls, on the table and on the model ---- */

static void put(uint32_t source, uint32_t from, uint32_t n, uint32_t set, uint32_t value)
{
	struct route_nlri nlri[100];

	for (uint32_t i = 0; i < n; i++) {
		struct said *s = &rig->said[source][(from + i) % N_KEYS];
		struct route_nlri before = route((from + i) % N_KEYS, s->value);

		nlri[i] = route((from + i) % N_KEYS, value);
		rig->expected[(from + i) % N_KEYS] +=
			!s->there || s->set != set || !route_equal(&before, &nlri[i]);
		*s = (struct said){.there = true, .set = set, .value = value};
	}
	assert_int_equal(routes_put(rig->table, rig->sources[source], rig->sets[set], nlri, n), 0);
}

static void take(uint32_t source, uint32_t from, uint32_t n)
{
	struct route_nlri nlri[100];

	for (uint32_t i = 0; i < n; i++) {
		struct said *s = &rig->said[source][(from + i) % N_KEYS];

		nlri[i] = route((from + i) % N_KEYS, 0);
		rig->expected[(from + i) % N_KEYS] += s->there;
		s->there = false;
	}
	routes_remove(rig->table, rig->sources[source], nlri, n);
}

static void stale(uint32_t source, enum route_family family)
{
	for (uint32_t key = 0; key < N_KEYS; key++)
		if (keys[key].family == family)
			rig->said[source][key].age++;
	routes_stale(rig->table, rig->sources[source], family);
}

static void sweep(uint32_t source, enum route_family family, enum routes_sweep what, size_t budget)
{
	for (uint32_t key = 0; key < N_KEYS; key++) {
		struct said *s = &rig->said[source][key];

		if (keys[key].family != family || !s->there || s->age < what)
			continue;
		s->there = false;
		rig->expected[key]++;
	}
	while (routes_sweep(rig->table, rig->sources[source], family, what, budget))
		;
}

static void they_say_what_a_model_says_over_a_million_calls(void **state)
{
	uint32_t routes = 0;

	random_state = 20260101;
	for (uint32_t i = 0; routes < 1000000; i++) {
		uint32_t source = any(N_SOURCES), from = any(N_KEYS), n = 1 + any(100);

		if (any(2))
			put(source, from, n, any(N_SETS), any(N_VALUES));
		else
			take(source, from, n);
		if (any(60) == 0)
			stale(source, any(ROUTE_FAMILY_MAX));
		if (any(60) == 0)
			sweep(source, any(ROUTE_FAMILY_MAX), any(ROUTES_SWEEP_MAX), 1 + any(500));
		for (uint32_t k = 0; k < n; k++)
			check_key((from + k) % N_KEYS);
		if (i % 200 == 0)
			check_all();
		routes += n;
	}
	check_all();
}

static void stale_routes_stay_until_swept_and_fresh_ones_survive(void **state)
{
	put(0, 0, 90, 0, 0);
	put(1, 0, 90, 0, 0);
	stale(0, ROUTE_IPV4);
	check_all();
	put(0, 0, 30, 0, 0); /* as it was: nobody is told */
	put(0, 30, 30, 1, 0);
	check_all();
	sweep(0, ROUTE_IPV4, ROUTES_SWEEP_STALE, 7);
	check_all();
	assert_int_equal(routes_source_length(rig->table, rig->sources[0], ROUTE_IPV4), 20);
	assert_int_equal(routes_source_length(rig->table, rig->sources[0], ROUTE_EVPN), 30);
	assert_int_equal(routes_source_length(rig->table, rig->sources[1], ROUTE_IPV4), 30);
}

static void route_withdrawn_while_stale_goes_once(void **state)
{
	put(0, 0, 9, 0, 0);
	stale(0, ROUTE_IPV4);
	take(0, 0, 9);
	sweep(0, ROUTE_IPV4, ROUTES_SWEEP_STALE, 1);
	check_all();
}

static void routes_stale_twice_go_and_those_stale_once_stay(void **state)
{
	put(0, 0, 30, 0, 0);
	stale(0, ROUTE_IPV4);
	put(0, 0, 15, 0, 0);
	stale(0, ROUTE_IPV4);
	sweep(0, ROUTE_IPV4, ROUTES_SWEEP_TWICE, 3);
	check_all();
	assert_int_equal(routes_source_length(rig->table, rig->sources[0], ROUTE_IPV4), 5);
	assert_int_equal(routes_source_stale(rig->table, rig->sources[0], ROUTE_IPV4), 5);
}

static void generations_never_come_round(void **state)
{
	put(0, 0, 3, 0, 0);
	for (int i = 0; i < 1000; i++)
		routes_stale(rig->table, rig->sources[0], ROUTE_IPV4);
	assert_int_equal(routes_source_length(rig->table, rig->sources[0], ROUTE_IPV4), 0);
	put(1, 0, 3, 0, 0);
	for (int i = 0; i < 100; i++)
		routes_stale(rig->table, rig->sources[1], ROUTE_IPV4);
	assert_int_equal(routes_source_stale(rig->table, rig->sources[1], ROUTE_IPV4), 1);
}

static void sweep_that_a_new_mark_interrupts_begins_again(void **state)
{
	put(0, 0, 99, 0, 0);
	put(0, 99, 99, 0, 0);
	stale(0, ROUTE_IPV4);
	put(0, 0, 60, 1, 0); /* 20 of them fresh, in front */
	assert_true(routes_sweep(rig->table, rig->sources[0], ROUTE_IPV4, ROUTES_SWEEP_STALE, 30));
	routes_stale(rig->table, rig->sources[0], ROUTE_IPV4);
	while (routes_sweep(rig->table, rig->sources[0], ROUTE_IPV4, ROUTES_SWEEP_STALE, 10))
		;
	assert_int_equal(routes_source_length(rig->table, rig->sources[0], ROUTE_IPV4), 0);
}

static void sweep_looks_at_no_more_than_its_budget(void **state)
{
	uint32_t calls = 1;

	put(0, 0, 100, 0, 0);
	put(0, 100, 100, 0, 0);
	stale(0, ROUTE_IPV6);
	while (routes_sweep(rig->table, rig->sources[0], ROUTE_IPV6, ROUTES_SWEEP_STALE, 10))
		calls++;
	assert_in_range(calls, 6, 8);
}

static void source_that_was_removed_leaves_its_number(void **state)
{
	struct decide_neighbor n = {.address = v4(9)};
	uint16_t source;

	put(2, 0, 9, 0, 0);
	for (int f = 0; f < ROUTE_FAMILY_MAX; f++)
		sweep(2, f, ROUTES_SWEEP_ALL, 1);
	routes_source_remove(rig->table, rig->sources[2]);
	assert_int_equal(routes_source_add(rig->table, &n, &source), 0);
	assert_int_equal(source, rig->sources[2]);
}

/* Memory runs out at the first, second ... allocation: what is there is there, nothing is lost or counted wrong. */
static void they_survive_memory_running_out_anywhere(void **state)
{
	static struct route_nlri nlri[N_KEYS];
	struct routes_candidate c;
	struct routes *t = NULL;
	uint16_t source = 0;
	int r = -1;

	for (uint32_t i = 0; i < N_KEYS; i++)
		nlri[i] = route(i, 0);
	for (long allowed = 0; r != 0; allowed++) {
		uint64_t found = 0;

		assert_in_range(allowed, 0, 200);
		allocations_left = allowed;
		r = routes_new(rig->attrs, nobody, NULL, &t);
		if (r == 0)
			r = routes_source_add(t, &(struct decide_neighbor){0}, &source);
		if (r == 0) {
			r = routes_put(t, source, rig->sets[0], nlri, N_KEYS);
			allocations_left = -1;
			for (uint32_t i = 0; i < N_KEYS; i++) {
				uint32_t id = routes_find(t, &nlri[i].key);

				found += id != 0;
				if (id != 0)
					routes_get(t, id, &c);
			}
			assert_int_equal(found, routes_length(t));
			assert_int_equal(rig->sets[0]->references, 1 + found);
			routes_remove(t, source, nlri, N_KEYS);
			assert_int_equal(routes_length(t), 0);
		}
		allocations_left = -1;
		routes_free(t);
		t = NULL;
	}
}

static size_t resident(void)
{
	unsigned long pages = 0;
	FILE *f = fopen("/proc/self/statm", "re");

	assert_non_null(f);
	assert_int_equal(fscanf(f, "%*u %lu", &pages), 1);
	fclose(f);
	return pages * (size_t)sysconf(_SC_PAGESIZE);
}

static struct route_nlri numbered(uint32_t i)
{
	struct route_nlri n = {.key = {.family = ROUTE_IPV4, .addr = v4(i << 4), .length = 124}};

	return n;
}

static void fill(struct routes *t, uint16_t source, uint32_t n, bool there)
{
	struct route_nlri nlri[50];

	for (uint32_t i = 0; i < n; i += 50) {
		for (uint32_t k = 0; k < 50; k++)
			nlri[k] = numbered(i + k);
		if (there)
			assert_int_equal(routes_put(t, source, rig->sets[0], nlri, 50), 0);
		else
			routes_remove(t, source, nlri, 50);
	}
}

static void memory_of_withdrawn_routes_goes_back(void **state)
{
	size_t before, full, after;
	struct routes *t;
	uint16_t source;

	assert_int_equal(routes_new(rig->attrs, nobody, NULL, &t), 0);
	assert_int_equal(routes_source_add(t, &(struct decide_neighbor){0}, &source), 0);
	fill(t, source, 1000, true);
	before = resident();
	fill(t, source, 500000, true);
	full = resident();
	assert_in_range(full - before, 10u << 20, 110u * 500000);
	fill(t, source, 500000, false);
	after = resident();
	routes_free(t);
	assert_in_range(after, 0, before + before / 10);
}

static void packed_keys_are_equal_when_keys_are_and_come_back(void **state)
{
	uint8_t a[PACK_KEY_MAX], b[PACK_KEY_MAX];
	struct route_key k;

	for (uint32_t i = 0; i < N_KEYS; i++) {
		size_t size = pack_key(&keys[i], a);

		unpack_key(a, &k);
		assert_memory_equal(&k, &keys[i], sizeof(k));
		if (i > 0 && pack_key(&keys[i - 1], b) == size)
			assert_memory_not_equal(a, b, size);
	}
}

/* Keys that are easily taken for one another. */
static void keys_that_look_alike_are_different(void **state)
{
	const struct route_key alike[] = {
		{.family = ROUTE_IPV4, .addr = v4(0), .length = 96},
		{.family = ROUTE_IPV6, .length = 0},
		{.family = ROUTE_IPV6, .length = 96},
		{.family = ROUTE_IPV4, .addr = v4(0x0a000000), .length = 104},
		{.family = ROUTE_IPV4, .addr = v4(0x0a000000), .length = 105},
		{.family = ROUTE_IPV4, .addr = v4(0x0a000000), .length = 105, .path_id = 1},
		{.family = ROUTE_IPV6, .addr = v4(0x0a000000), .length = 105},
		{.family = ROUTE_EVPN, .type = ROUTE_EVPN_MAC},
		{.family = ROUTE_EVPN, .type = ROUTE_EVPN_MAC, .tag = 1},
		{.family = ROUTE_EVPN, .type = ROUTE_EVPN_MAC, .path_id = 1},
		{.family = ROUTE_EVPN, .type = ROUTE_EVPN_MAC, .addr = v4(0), .length = 128},
		{.family = ROUTE_EVPN, .type = ROUTE_EVPN_MAC, .length = 128},
		{.family = ROUTE_EVPN, .type = ROUTE_EVPN_IMET, .length = 128},
		{.family = ROUTE_EVPN, .type = ROUTE_EVPN_ES, .length = 128, .esi = {{1}}},
		{.family = ROUTE_EVPN, .type = ROUTE_EVPN_AD, .esi = {{1}}},
		{.family = ROUTE_EVPN, .type = ROUTE_EVPN_AD, .tag = UINT32_MAX, .esi = {{1}}},
	};
	size_t n = sizeof(alike) / sizeof(alike[0]);
	uint8_t packed[16][PACK_KEY_MAX];
	size_t size[16];

	for (size_t i = 0; i < n; i++) {
		struct route_key k;

		size[i] = pack_key(&alike[i], packed[i]);
		unpack_key(packed[i], &k);
		assert_memory_equal(&k, &alike[i], sizeof(k));
		for (size_t j = 0; j < i; j++)
			assert_false(size[i] == size[j] && memcmp(packed[i], packed[j], size[i]) == 0);
	}
}

/* A table of its own: the keys are none of the model's. */
static void on_any_change(void *arg, const struct routes_change *change)
{
}

struct met {
	const struct route_attrs *attrs;
	size_t n[2]; /* without and with an address */
};

static void on_met(void *arg, const struct routes_candidate *c)
{
	struct met *met = arg;

	assert_ptr_equal(c->attrs, met->attrs);
	assert_int_equal(c->nlri.key.type, ROUTE_EVPN_MAC);
	met->n[c->nlri.key.length != 0]++;
}

static struct route_nlri mac_of(uint32_t i, uint8_t length)
{
	struct route_nlri r = {.key = {.family = ROUTE_EVPN, .type = ROUTE_EVPN_MAC, .length = length}, .n_labels = 1,
			       .label = {5001}};

	r.key.mac = (struct mac){{2, 0x41, 0x41, 0x41, (uint8_t)(i >> 8), (uint8_t)i}};
	if (length)
		memset(&r.key.addr, 0x41, sizeof(r.key.addr));
	return r;
}

/* The chunk that it stands in is given back and comes back for others between two calls. */
static void walk_goes_on_among_records_of_another_size(void **state)
{
	struct decide_neighbor neighbor = {.router_id = 1};
	struct met met = {.attrs = rig->sets[0]};
	struct routes *table;
	uint64_t cursor = 0;
	uint16_t source;

	assert_int_equal(routes_new(rig->attrs, on_any_change, NULL, &table), 0);
	assert_int_equal(routes_source_add(table, &neighbor, &source), 0);
	for (uint32_t i = 0; i < 1000; i++) {
		struct route_nlri r = mac_of(i, 0);

		assert_int_equal(routes_put(table, source, rig->sets[0], &r, 1), 0);
	}
	assert_true(routes_walk(table, &cursor, 500, on_met, &met));
	assert_int_equal(met.n[0], 500);
	for (uint32_t i = 0; i < 1000; i++) {
		struct route_nlri r = mac_of(i, 0);

		routes_remove(table, source, &r, 1);
	}
	for (uint32_t i = 0; i < 1000; i++) {
		struct route_nlri r = mac_of(i, 128);

		assert_int_equal(routes_put(table, source, rig->sets[0], &r, 1), 0);
	}
	while (routes_walk(table, &cursor, 500, on_met, &met))
		;
	assert_int_equal(met.n[0], 500);
	assert_in_range(met.n[1], 1, 1000);
	routes_free(table);
}

static void index_finds_what_collides_while_it_grows_and_shrinks(void **state)
{
	struct index ix = {0};
	const uint32_t n = 20000;

	for (uint32_t i = 0; i < n; i++) { /* ten to a hash */
		assert_int_equal(index_reserve(&ix), 0);
		index_add(&ix, i / 10 * 0x9e3779b1, i + 2);
	}
	assert_int_equal(index_length(&ix), n);
	for (uint32_t i = 0; i < n; i++) {
		struct index_slot *slot = index_first(&ix, i / 10 * 0x9e3779b1);

		while (slot && slot->id != i + 2)
			slot = index_next(&ix, slot);
		assert_non_null(slot);
		index_remove(&ix, slot);
	}
	assert_int_equal(index_length(&ix), 0);
	assert_null(ix.now.slots);
	assert_null(ix.last.slots);
}

int main(void)
{
#define RIG(test) cmocka_unit_test_setup_teardown(test, rig_up, rig_down)
	const struct CMUnitTest tests[] = {
		RIG(they_say_what_a_model_says_over_a_million_calls),
		RIG(stale_routes_stay_until_swept_and_fresh_ones_survive),
		RIG(route_withdrawn_while_stale_goes_once),
		RIG(routes_stale_twice_go_and_those_stale_once_stay),
		RIG(generations_never_come_round),
		RIG(sweep_that_a_new_mark_interrupts_begins_again),
		RIG(sweep_looks_at_no_more_than_its_budget),
		RIG(source_that_was_removed_leaves_its_number),
		RIG(they_survive_memory_running_out_anywhere),
		RIG(memory_of_withdrawn_routes_goes_back),
		RIG(walk_goes_on_among_records_of_another_size),
		RIG(packed_keys_are_equal_when_keys_are_and_come_back),
		RIG(keys_that_look_alike_are_different),
		cmocka_unit_test(index_finds_what_collides_while_it_grows_and_shrinks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
