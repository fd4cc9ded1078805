/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>

#include "lib/hmap.h"

struct item {
	int value;
	struct {
		uint32_t a, b;
	} key;
};

struct named {
	const char *name;
};

/* Random operations against an array that is searched from end to end. */
#define KEYS 600

static void random_operations_agree_with_an_array(void **state)
{
	struct hmap m = HMAP_INIT(struct item, key);
	static struct item items[KEYS];
	static bool present[KEYS];
	size_t length = 0;

	srandom(3);
	for (int i = 0; i < KEYS; i++)
		items[i] = (struct item){.value = i, .key = {(uint32_t)i & 7, (uint32_t)i >> 3}};
	for (int step = 0; step < 400000; step++) {
		int i = (int)(random() % KEYS), kind = (int)(random() % 100);
		/* grows for a while, then shrinks */
		bool adds = kind < (step / 40000 % 2 ? 30 : 60);

		if (kind >= 90) {
			assert_ptr_equal(hmap_get(&m, &items[i].key), present[i] ? &items[i] : NULL);
		} else if (adds) {
			assert_int_equal(hmap_add(&m, &items[i]), present[i] ? -EEXIST : 0);
			length += !present[i];
			present[i] = true;
		} else {
			assert_ptr_equal(hmap_remove(&m, &items[i].key), present[i] ? &items[i] : NULL);
			length -= present[i];
			present[i] = false;
		}
		assert_int_equal(m.length, length);
		assert_true(m.n_used <= m.n_slots && m.length <= m.n_used);
		if (step % 5000 == 0) {
			bool seen[KEYS] = {};
			struct item *item;
			size_t n = 0;

			for (size_t cursor = 0; (item = hmap_next(&m, &cursor)); n++) {
				assert_true(present[item->value] && !seen[item->value]);
				seen[item->value] = true;
			}
			assert_int_equal(n, length);
		}
	}
	hmap_fini(&m);
}

static void items_may_be_removed_while_walking(void **state)
{
	struct hmap m = HMAP_INIT(struct item, key);
	struct item items[100], *item;
	size_t n = 0;

	for (uint32_t i = 0; i < 100; i++) {
		items[i] = (struct item){.key = {i, i}};
		assert_int_equal(hmap_add(&m, &items[i]), 0);
	}
	for (size_t cursor = 0; (item = hmap_next(&m, &cursor)); n++)
		assert_ptr_equal(hmap_remove(&m, &item->key), item);
	assert_int_equal(n, 100);
	assert_int_equal(m.length, 0);
	assert_null(hmap_get(&m, &items[0].key));
	hmap_fini(&m);
}

static void a_map_that_is_filled_and_emptied_does_not_grow(void **state)
{
	struct hmap m = HMAP_INIT(struct item, key);
	struct item item = {};

	for (uint32_t i = 0; i < 100000; i++) {
		item.key.a = i;
		assert_int_equal(hmap_add(&m, &item), 0);
		assert_ptr_equal(hmap_remove(&m, &item.key), &item);
	}
	assert_true(m.n_slots <= 32);
	hmap_fini(&m);
}

/* Twice the slots each time: one item too many at the threshold must not take four times as many. */
static void a_map_that_only_grows_is_never_sparse(void **state)
{
	enum { MANY = 50000 };
	struct hmap m = HMAP_INIT(struct item, key);
	struct item *items = calloc(MANY, sizeof(*items));

	assert_non_null(items);
	for (uint32_t i = 0; i < MANY; i++) {
		items[i].key.a = i;
		assert_int_equal(hmap_add(&m, &items[i]), 0);
		assert_true(m.n_slots == 16 || 8 * m.length > 3 * m.n_slots);
		assert_true(4 * m.n_used <= 3 * m.n_slots);
	}
	hmap_fini(&m);
	free(items);
}

static void a_map_that_was_large_is_small_when_it_is_told_so(void **state)
{
	enum { MANY = 50000, FEW = 20 };
	struct hmap m = HMAP_INIT(struct item, key);
	struct item *items = calloc(MANY, sizeof(*items));

	assert_non_null(items);
	for (uint32_t i = 0; i < MANY; i++) {
		items[i].key.a = i;
		assert_int_equal(hmap_add(&m, &items[i]), 0);
	}
	hmap_trim(&m);
	assert_int_equal(m.length, MANY);
	for (uint32_t i = FEW; i < MANY; i++)
		assert_ptr_equal(hmap_remove(&m, &items[i].key), &items[i]);
	hmap_trim(&m);
	assert_true(m.n_slots <= 64);
	for (uint32_t i = 0; i < FEW; i++)
		assert_ptr_equal(hmap_remove(&m, &items[i].key), &items[i]);
	hmap_trim(&m);
	assert_null(m.slots);
	assert_int_equal(hmap_add(&m, &items[0]), 0);
	assert_ptr_equal(hmap_get(&m, &items[0].key), &items[0]);
	hmap_fini(&m);
	free(items);
}

static void strings_are_keys_by_content(void **state)
{
	struct hmap m = SMAP_INIT(struct named, name);
	char text[] = "web";
	struct named a = {text}, b = {"web"}, c = {""};

	assert_null(hmap_get(&m, "web"));
	assert_null(hmap_remove(&m, "web"));
	assert_int_equal(hmap_add(&m, &a), 0);
	assert_int_equal(hmap_add(&m, &b), -EEXIST);
	assert_int_equal(hmap_add(&m, &c), 0);
	assert_ptr_equal(hmap_get(&m, "web"), &a);
	assert_ptr_equal(hmap_get(&m, ""), &c);
	assert_null(hmap_get(&m, "we"));
	hmap_fini(&m);
	assert_null(hmap_get(&m, "web"));
	assert_int_equal(hmap_add(&m, &b), 0);
	assert_ptr_equal(hmap_get(&m, "web"), &b);
	hmap_fini(&m);
}

/* The first eight of the 64 vectors of the authors' reference: key 00..0f, input 00, 01, ... of growing length. */
static void siphash_agrees_with_its_vectors(void **state)
{
	static const uint64_t vectors[] = {
		0x726fdb47dd0e0e31, 0x74f839c593dc67fd, 0x0d6c8009d9a94f5a, 0x85676696d7fb7e2d, 0xcf2794e0277187b7,
		0x18765564cd99a68d, 0xcbc9466e58fee3ce, 0xab0200f58b01d137, 0x93f5f5799a932462,
	};
	static const uint64_t key[2] = {0x0706050403020100, 0x0f0e0d0c0b0a0908};
	uint8_t input[16];

	for (uint8_t i = 0; i < sizeof(input); i++)
		input[i] = i;
	for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++)
		assert_true(hash_keyed(key, input, i) == vectors[i]);
	assert_true(hash_keyed(key, input, 15) == 0xa129ca6149be45e5); /* the example of the paper, appendix A */
}

static void stable_hash_is_fnv1a(void **state)
{
	assert_true(hash_stable("", 0) == 0xcbf29ce484222325);
	assert_true(hash_stable_string("a") == 0xaf63dc4c8601ec8c);
	assert_true(hash_stable_string("foobar") == 0x85944171f73967e8);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_operations_agree_with_an_array),
		cmocka_unit_test(items_may_be_removed_while_walking),
		cmocka_unit_test(a_map_that_is_filled_and_emptied_does_not_grow),
		cmocka_unit_test(a_map_that_only_grows_is_never_sparse),
		cmocka_unit_test(a_map_that_was_large_is_small_when_it_is_told_so),
		cmocka_unit_test(strings_are_keys_by_content),
		cmocka_unit_test(siphash_agrees_with_its_vectors),
		cmocka_unit_test(stable_hash_is_fnv1a),
	};

	return cmocka_run_group_tests_name("hmap", tests, NULL, NULL);
}
