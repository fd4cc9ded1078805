/* SPDX-License-Identifier: Apache-2.0 */
/* One kernel map and its shadow, with batched look-ups and without them (as a kernel that lacks them for a type). */
#include <errno.h>
#include <linux/bpf.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <bpf/bpf.h>

#include "dp/datapath.h"
#include "dp/map.h"

struct trie_key {
	uint32_t length;
	uint32_t be32;
};

struct kind {
	const char *name;
	struct map_shape shape;
	bool no_batch, uncounted;
};

static const struct kind kinds[] = {
	{"hash", {BPF_MAP_TYPE_HASH, 8, 8, 500, BPF_F_NO_PREALLOC}, false},
	{"hash without batches", {BPF_MAP_TYPE_HASH, 8, 8, 500, BPF_F_NO_PREALLOC}, true},
	{"sparse hash", {BPF_MAP_TYPE_HASH, 8, 8, 32768, BPF_F_NO_PREALLOC}},
	{"sparse hash, not counted", {BPF_MAP_TYPE_HASH, 8, 8, 32768, BPF_F_NO_PREALLOC}, .uncounted = true},
	{"trie", {BPF_MAP_TYPE_LPM_TRIE, 8, 8, 500, BPF_F_NO_PREALLOC}, false},
	{"trie without batches", {BPF_MAP_TYPE_LPM_TRIE, 8, 8, 500, BPF_F_NO_PREALLOC}, true},
};

#define N_KINDS (sizeof(kinds) / sizeof(*kinds))

/* Keys of a trie: prefixes inside each other, so that a look-up of a missing one finds the next shorter. */
static struct trie_key key_of(uint32_t i)
{
	return (struct trie_key){.length = 8 + i % 25, .be32 = __builtin_bswap32((10u + i / 25) << 24)};
}

static void open_map(struct map *m, const struct kind *k, int *other)
{
	LIBBPF_OPTS(bpf_map_create_opts, options, .map_flags = k->shape.flags);
	int fd = bpf_map_create(k->shape.type, "test", k->shape.key_size, k->shape.value_size, k->shape.capacity,
				&options);

	assert_true(fd >= 0);
	*other = dup(fd);
	map_init(m, k->name, fd, &k->shape);
	m->no_batch = k->no_batch;
	if (!k->uncounted)
		map_measure(m);
}

static unsigned n_batches;

int __wrap_bpf_map_lookup_batch(int fd, void *in, void *out, void *keys, void *values, __u32 *count,
				const struct bpf_map_batch_opts *opts);
int __real_bpf_map_lookup_batch(int fd, void *in, void *out, void *keys, void *values, __u32 *count,
				const struct bpf_map_batch_opts *opts);

int __wrap_bpf_map_lookup_batch(int fd, void *in, void *out, void *keys, void *values, __u32 *count,
				const struct bpf_map_batch_opts *opts)
{
	n_batches++;
	return __real_bpf_map_lookup_batch(fd, in, out, keys, values, count, opts);
}

static void fill(struct map *m, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		struct trie_key key = key_of(i);
		uint64_t value = 7; /* the same everywhere: a shorter prefix looks right */

		assert_int_equal(map_put(m, &key, &value), 1);
	}
}

static bool count(void *arg, const void *key, const void *value)
{
	++*(uint32_t *)arg;
	return true;
}

static void a_walk_meets_every_entry_whatever_its_step(void **state)
{
	for (size_t i = 0; i < N_KINDS; i++) {
		for (uint32_t step = 1; step < 600; step = step * 3 + 1) {
			struct map_walk w = {0};
			uint32_t n = 0;
			struct map m;
			int other;

			open_map(&m, &kinds[i], &other);
			fill(&m, 400);
			while (!w.ended)
				assert_true(map_walk(&m, &w, step, count, &n) >= 0);
			assert_int_equal(n, 400);
			map_fini(&m);
			close(other);
		}
	}
}

static void what_is_in_the_kernel_is_loaded_as_stale(void **state)
{
	for (size_t i = 0; i < N_KINDS; i++) {
		struct map m, again;
		struct map_cell *cell;
		size_t n_stale = 0;
		struct trie_key key = key_of(3);
		uint64_t value = 7;
		int other;

		open_map(&m, &kinds[i], &other);
		fill(&m, 100);
		map_init(&again, kinds[i].name, other, &kinds[i].shape);
		again.no_batch = kinds[i].no_batch;
		assert_int_equal(map_load(&again), 100);
		assert_int_equal(map_put(&again, &key, &value), 0);
		for (size_t c = 0; (cell = map_next(&again, &c));)
			n_stale += cell->stale;
		assert_int_equal(n_stale, 99);
		map_fini(&m);
		map_fini(&again);
	}
}

/* One missing, one altered, one alien; seen in one call with a large budget, in several with a small one. */
static void an_audit_restores_the_intent(void **state)
{
	for (size_t i = 0; i < 2 * N_KINDS; i++) {
		const struct kind *k = &kinds[i / 2];
		size_t step = i % 2 ? 1000 : 30, calls = 1000 / step + 8;
		struct trie_key missing = key_of(24), altered = key_of(5), alien = {.length = 32, .be32 = 0xffffffff};
		uint64_t wrong = 1, value;
		int other, repairs = 0;
		struct map m;

		open_map(&m, k, &other);
		fill(&m, 300);
		for (size_t c = 0; c < calls; c++) {
			size_t budget = step;

			assert_int_equal(map_audit(&m, &budget), 0);
		}
		assert_int_equal(bpf_map_delete_elem(other, &missing), 0);
		assert_int_equal(bpf_map_update_elem(other, &altered, &wrong, BPF_ANY), 0);
		assert_int_equal(bpf_map_update_elem(other, &alien, &wrong, BPF_ANY), 0);
		for (size_t c = 0; c < 2 * calls; c++) {
			size_t budget = step;
			int r = map_audit(&m, &budget);

			assert_true(r >= 0);
			repairs += r;
		}
		assert_int_equal(repairs, 3);
		assert_int_equal(bpf_map_lookup_elem(other, &altered, &value), 0);
		assert_int_equal(value, 7);
		assert_int_equal(bpf_map_delete_elem(other, &missing), 0);
		assert_int_equal(bpf_map_delete_elem(other, &alien), -ENOENT);
		map_fini(&m);
		close(other);
	}
}

static int audit(struct map *m)
{
	size_t budget = 65536;

	return map_audit(m, &budget);
}

/* One gone and another come: the number is right, and a walk or a look-up has to tell. */
static void swap(int fd, uint32_t gone, uint32_t come)
{
	struct trie_key a = key_of(gone), b = key_of(come);
	uint64_t value = 7;

	assert_int_equal(bpf_map_delete_elem(fd, &a), 0);
	assert_int_equal(bpf_map_update_elem(fd, &b, &value, BPF_ANY), 0);
}

static void a_table_is_not_walked_for_nothing(void **state)
{
	for (size_t i = 0; i < N_KINDS; i++) {
		const struct kind *k = &kinds[i];
		struct trie_key key = key_of(200);
		uint64_t value = 9;
		bool sparse = strstr(k->name, "sparse");
		unsigned walks = 0;
		struct map m;
		int other, repairs = 0;

		if (k->shape.type != BPF_MAP_TYPE_HASH || k->no_batch)
			continue;
		open_map(&m, k, &other);
		fill(&m, 100);
		for (int n = 0; n < 3; n++)
			assert_int_equal(audit(&m), 0);
		for (int n = 0; n < 9; n++) {
			n_batches = 0;
			assert_int_equal(map_put(&m, &key, &value), 1); /* what we write ourselves is no reason */
			assert_int_equal(audit(&m), 0);
			assert_int_equal(map_del(&m, &key), 1);
			walks += n_batches;
		}
		/* Linux counts from 6.4 on. */
		assert_int_equal(walks, sparse && m.element_memory ? 0 : sparse || m.element_memory ? 3 : 9);
		swap(other, 5, 300);
		for (int n = 0; n < 3; n++)
			repairs += audit(&m);
		assert_int_equal(repairs, 2);
		key = key_of(300);
		assert_int_equal(bpf_map_update_elem(other, &key, &value, BPF_ANY), 0);
		for (int n = 0; n < 3 && bpf_map_lookup_elem(other, &key, &value) == 0; n++)
			assert_true(audit(&m) >= 0);
		assert_int_equal(bpf_map_lookup_elem(other, &key, &value), -ENOENT);
		map_fini(&m);
		close(other);
	}
}

static void a_full_map_takes_nothing_into_the_shadow(void **state)
{
	for (size_t i = 0; i < N_KINDS; i++) {
		struct trie_key key = key_of(500);
		uint64_t value = 7;
		struct map m;
		int other;

		if (kinds[i].shape.capacity != 500)
			continue;
		open_map(&m, &kinds[i], &other);
		fill(&m, 500);
		assert_int_equal(map_put(&m, &key, &value), -ENOSPC);
		assert_non_null(strstr(datapath_error(), "is full: it holds 500"));
		assert_null(map_get(&m, &key));
		key = key_of(0);
		assert_int_equal(map_del(&m, &key), 1);
		key = key_of(500);
		assert_int_equal(map_put(&m, &key, &value), 1);
		map_fini(&m);
		close(other);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_walk_meets_every_entry_whatever_its_step),
		cmocka_unit_test(what_is_in_the_kernel_is_loaded_as_stale),
		cmocka_unit_test(an_audit_restores_the_intent),
		cmocka_unit_test(a_table_is_not_walked_for_nothing),
		cmocka_unit_test(a_full_map_takes_nothing_into_the_shadow),
	};

	if (geteuid() != 0) {
		printf("1..0 # SKIP needs root\n");
		return 0;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
