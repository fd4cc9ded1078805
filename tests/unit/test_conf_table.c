/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of keys, types and codes: whatever is in it is explained.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>

#include "conf/conf.h"
#include "conf/schema.h"
#include "lib/cleanup.h"

static size_t explain_all(const struct schema_map *m, const char *base, FILE *null)
{
	size_t n = 0;

	for (const struct schema_key *k = m->keys; k->name; k++) {
		_cleanup_(free) char *path = NULL, *deeper = NULL;
		const char *suggestion = NULL;

		assert_true(asprintf(&path, "%s%s", base, k->name) > 0);
		if (conf_explain(path, null, &suggestion) < 0 || conf_explain(k->name, null, &suggestion) < 0)
			fail_msg("%s is not explained", path);
		assert_true(k->meaning && strlen(k->meaning) > 10);
		assert_true(!k->type || (k->example && k->type->expected && k->type->check));
		assert_true(k->required || k->fallback || k->absent || !k->type); /* says what its absence means */
		n++;
		if (!k->map)
			continue;
		assert_true(asprintf(&deeper, "%s.%s", path, k->shape == SCHEMA_TABLE ? "<name>." : "") > 0);
		n += explain_all(k->map, deeper, null);
		free(deeper);
		assert_true(asprintf(&deeper, "%s.", path) > 0); /* the name may be left out */
		n += explain_all(k->map, deeper, null);
	}
	return n;
}

static void every_key_is_explained(void **state)
{
	_cleanup_(file) FILE *null = fopen("/dev/null", "we");
	const char *suggestion = NULL;

	assert_true(explain_all(&schema_root, "", null) > 40);
	assert_int_equal(conf_explain(NULL, null, &suggestion), 0);
	assert_int_equal(conf_explain("ports.web1.mac", null, &suggestion), 0);
	assert_int_equal(conf_explain("tenants.red.networks.web", null, &suggestion), 0);
	assert_int_equal(conf_explain("IST-4001", null, &suggestion), 0);
	assert_int_equal(conf_explain("IST-9999", null, &suggestion), -ENOENT);
	assert_int_equal(conf_explain("underlya", null, &suggestion), -ENOENT);
	assert_string_equal(suggestion, "underlay");
	assert_int_equal(conf_explain("nodes.n.underlya", null, &suggestion), -ENOENT);
	assert_string_equal(suggestion, "underlay");
	assert_int_equal(conf_explain("weather", null, &suggestion), -ENOENT);
	assert_null(suggestion);
	assert_int_equal(conf_explain("..", null, &suggestion), -ENOENT);
}

static void a_type_that_takes_words_names_them_all(void **state)
{
	static const char *const keys[] = {"encap", "encryption", "mode", "allow", "mesh", "families", "import"};
	const struct schema_map *maps[] = {&schema_fabric, &schema_fabric, &schema_network, &schema_port,
					   &schema_bgp,    &schema_neighbor, &schema_neighbor};

	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		const struct schema_type *t = schema_find(maps[i], keys[i])->type;

		for (const struct schema_word *w = t->words; w->word; w++)
			assert_int_equal(strstr(t->expected, w->word) != NULL, !w->unsupported);
	}
}

static void codes_are_unique(void **state)
{
	for (unsigned i = 0; i < CONF_CODE_MAX; i++) {
		assert_true(conf_code_number(i) >= 1000 && conf_code_number(i) < 5000);
		assert_non_null(conf_code_meaning(conf_code_number(i)));
		for (unsigned k = 0; k < i; k++)
			assert_int_not_equal(conf_code_number(i), conf_code_number(k));
	}
	assert_null(conf_code_meaning(0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_key_is_explained),
		cmocka_unit_test(a_type_that_takes_words_names_them_all),
		cmocka_unit_test(codes_are_unique),
	};

	return cmocka_run_group_tests_name("conf_table", tests, NULL, NULL);
}
