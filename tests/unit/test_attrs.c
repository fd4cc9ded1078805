/* SPDX-License-Identifier: Apache-2.0 */
/* Sets of path attributes, extended communities and the texts of routes. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/hmap.h"
#include "model/attrs.h"

static struct attrs *table;

/* A hash that the test can make the same for everything. */
static bool same_hash;
uint64_t __real_hash_seeded(const void *data, size_t size);
uint64_t __wrap_hash_seeded(const void *data, size_t size);

uint64_t __wrap_hash_seeded(const void *data, size_t size)
{
	return same_hash ? 42 : __real_hash_seeded(data, size);
}

static const struct route_attrs *intern(const struct route_attrs *candidate)
{
	const struct route_attrs *a;

	assert_int_equal(attrs_intern(table, candidate, &a), 0);
	return a;
}

static void equal_sets_are_one_object(void **state)
{
	uint64_t one[] = {extended_target_as2(65000, 2), extended_tunnel(ROUTE_TUNNEL_VXLAN), extended_target_as2(65000, 1)};
	uint64_t two[] = {one[1], one[2], one[0], one[0]};
	struct route_attrs c = {.local_pref = 5, .has = ROUTE_HAS_LOCAL_PREF, .extended = one, .n_extended = 3};
	const struct route_attrs *a = intern(&c), *b;

	c.extended = two; /* another order, one twice */
	c.n_extended = 4;
	b = intern(&c);
	assert_ptr_equal(a, b);
	assert_int_equal(a->n_extended, 3);
	assert_int_equal(a->n_targets, 2);
	assert_true(a->extended != one && a->extended != two);
	assert_int_equal(attrs_length(table), 1);
	attrs_unref(table, a);
	assert_int_equal(attrs_length(table), 1);
	attrs_unref(table, b);
	assert_int_equal(attrs_length(table), 0);
	attrs_unref(table, NULL);
}

static void every_field_tells_sets_apart(void **state)
{
	static const uint64_t e[] = {1};
	static const uint32_t u[] = {1};
	static const struct route_large l[] = {{{1, 2, 3}}};
	static const uint8_t path[] = {2, 1, 0, 0, 0, 1}, other[] = {2, 1, 0, 0, 0, 2}, bytes[] = {0, 6, 0, 0, 1};
	const struct route_attrs all[] = {
		{}, {.next_hop.bytes[15] = 1}, {.link_local.bytes[15] = 1}, {.has = ROUTE_HAS_MED}, {.med = 1}, {.local_pref = 1},
		{.originator_id = 1}, {.aggregator_as = 1}, {.aggregator_id = 1}, {.origin = 1},
		{.extended = e, .n_extended = 1}, {.large = l, .n_large = 1}, {.communities = u, .n_communities = 1},
		{.clusters = u, .n_clusters = 1}, {.path = path, .path_size = 6}, {.path = other, .path_size = 6},
		{.pmsi = bytes, .pmsi_size = 5},
	};
	enum { MANY = sizeof(all) / sizeof(all[0]) };
	const struct route_attrs *held[MANY];

	for (unsigned i = 0; i < MANY; i++) {
		held[i] = intern(&all[i]);
		assert_int_equal(attrs_length(table), i + 1);
	}
	for (unsigned i = 0; i < MANY; i++)
		attrs_unref(table, held[i]);
	assert_int_equal(attrs_length(table), 0);
}

static void an_account_has_what_was_new_and_is_there_still(void **state)
{
	struct attrs_account *mine, *theirs;
	const struct route_attrs *a, *b, *again;

	assert_int_equal(attrs_account_new(&mine), 0);
	assert_int_equal(attrs_account_new(&theirs), 0);
	assert_int_equal(attrs_intern_for(table, &(struct route_attrs){.med = 1}, mine, &a), 0);
	assert_int_equal(mine->size, a->size);
	assert_int_equal(attrs_intern_for(table, &(struct route_attrs){.med = 1}, theirs, &again), 0);
	assert_ptr_equal(a, again);
	assert_int_equal(theirs->size, 0);
	assert_int_equal(attrs_intern_for(table, &(struct route_attrs){.med = 2}, mine, &b), 0);
	assert_int_equal(mine->size, a->size + b->size);
	attrs_unref(table, a);
	assert_int_equal(mine->size, a->size + b->size); /* another one holds it */
	attrs_unref(table, again);
	assert_int_equal(mine->size, b->size);
	attrs_account_unref(mine); /* and the set is there still */
	attrs_account_unref(theirs);
	attrs_unref(table, b);
	assert_int_equal(attrs_length(table), 0);
}

static void sets_of_one_hash_are_both_right(void **state)
{
	const struct route_attrs *a, *b;

	same_hash = true;
	a = intern(&(struct route_attrs){.med = 1});
	b = intern(&(struct route_attrs){.med = 2});
	assert_ptr_not_equal(a, b);
	assert_int_equal(a->med, 1);
	assert_int_equal(b->med, 2);
	attrs_unref(table, a);
	attrs_unref(table, b);
	same_hash = false;
	assert_int_equal(attrs_length(table), 0);
}

static void what_is_found_is_not_taken_from_the_candidate(void **state)
{
	const struct route_attrs *a = intern(&(struct route_attrs){
		.has = ROUTE_HAS_MOBILITY | ROUTE_HAS_ROUTER_MAC, .mobility = 7, .path_length = 9, .first_as = 3, .tunnels = 1});
	const struct route_attrs *b = intern(&(struct route_attrs){});

	assert_ptr_equal(a, b);
	attrs_unref(table, a);
	attrs_unref(table, b);
}

static void communities_are_understood(void **state)
{
	const struct mac router = {{2, 0, 0, 0, 0, 1}}, group = {{3, 0, 0, 0, 0, 1}};
	const uint64_t e[] = {extended_mobility(3, false), extended_mobility(9, true), extended_router_mac(&group),
			      extended_router_mac(&router), extended_default_gateway(), extended_tunnel(ROUTE_TUNNEL_GENEVE),
			      extended_tunnel(ROUTE_TUNNEL_VXLAN), extended_target_ip(0xc0000201, 5),
			      extended_target_as4(4200000000, 6), 0x030c000000000063};
	const struct route_attrs *a = intern(&(struct route_attrs){.extended = e, .n_extended = sizeof(e) / 8});

	assert_int_equal(a->has, ROUTE_HAS_MOBILITY | ROUTE_HAS_STICKY | ROUTE_HAS_ROUTER_MAC | ROUTE_HAS_DEFAULT_GATEWAY);
	assert_int_equal(a->mobility, 9);
	assert_true(mac_equal(&a->router_mac, &router));
	assert_int_equal(a->tunnels, 1u << ROUTE_TUNNEL_VXLAN | 1u << ROUTE_TUNNEL_GENEVE);
	assert_int_equal(a->n_targets, 2);
	attrs_unref(table, a);
}

static void paths_are_measured(void **state)
{
	static const struct {
		const char *bytes;
		size_t size;
		uint32_t length, first, origin;
		const char *text;
	} rows[] = {
		{"", 0, 0, 0, 0, ""},
		{"\2\2\0\0\0\1\0\0\0\2", 10, 2, 1, 2, "1 2"},
		{"\2\1\0\0\0\1\1\2\0\0\0\2\0\0\0\3", 16, 2, 1, 0, "1 {2 3}"},
		{"\1\1\0\0\0\1\2\1\0\0\0\2", 12, 2, 0, 2, "{1} 2"},
		{"\3\1\0\0\0\1\2\1\0\0\0\2", 12, 1, 2, 2, "(1) 2"},
		{"\3\1\0\0\0\1", 6, 0, 0, 0, "(1)"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct route_attrs *a = intern(
			&(struct route_attrs){.path = (const uint8_t *)rows[i].bytes, .path_size = (uint32_t)rows[i].size});
		char text[64], cut[4];

		assert_int_equal(a->path_length, rows[i].length);
		assert_int_equal(a->first_as, rows[i].first);
		assert_int_equal(a->origin_as, rows[i].origin);
		assert_string_equal(route_path_format(a, text, sizeof(text)), rows[i].text);
		assert_true(strlen(route_path_format(a, cut, sizeof(cut))) < sizeof(cut));
		assert_memory_equal(cut, text, strlen(cut));
		assert_int_equal(route_path_contains(a, 1), strchr(rows[i].text, '1') != NULL);
		attrs_unref(table, a);
	}
}

static void pmsi_is_read(void **state)
{
	static const uint8_t v4[] = {0, 6, 0, 0x13, 0x89, 192, 0, 2, 1}, v6[21] = {0, 6, 0, 0, 1, 0xfd, [20] = 1},
			     other[] = {1, 3, 0, 0, 2, 9}, cut[] = {0, 6, 0, 0};
	struct route_pmsi p;
	char text[ADDR_TEXT_SIZE];

	assert_true(route_attrs_pmsi(&(struct route_attrs){.pmsi = v4, .pmsi_size = sizeof(v4)}, &p));
	assert_int_equal(p.label, 5001);
	assert_string_equal(addr_format(&p.endpoint, text), "192.0.2.1");
	assert_true(route_attrs_pmsi(&(struct route_attrs){.pmsi = v6, .pmsi_size = sizeof(v6)}, &p));
	assert_string_equal(addr_format(&p.endpoint, text), "fd00::1");
	assert_true(route_attrs_pmsi(&(struct route_attrs){.pmsi = other, .pmsi_size = sizeof(other)}, &p));
	assert_true(p.type == 3 && p.flags == 1 && addr_is_unspecified(&p.endpoint));
	assert_false(route_attrs_pmsi(&(struct route_attrs){.pmsi = cut, .pmsi_size = sizeof(cut)}, &p));
	assert_false(route_attrs_pmsi(&(struct route_attrs){}, &p));
}

static void many_sets_are_small(void **state)
{
	enum { MANY = 50000 };
	const struct route_attrs **held = calloc(MANY, sizeof(*held));
	uint8_t path[14] = {2, 3, 0, 0, 0xfd, 0xe9};
	uint64_t e[2] = {extended_tunnel(ROUTE_TUNNEL_VXLAN)};

	assert_non_null(held);
	for (uint32_t i = 0; i < MANY; i++) {
		e[1] = extended_target_as2(65000, i);
		held[i] = intern(&(struct route_attrs){.path = path, .path_size = sizeof(path), .extended = e, .n_extended = 2});
	}
	assert_int_equal(attrs_length(table), MANY);
	assert_true(attrs_size(table) < MANY * 300u);
	for (uint32_t i = 0; i < MANY; i++)
		attrs_unref(table, held[i]);
	free(held);
	assert_int_equal(attrs_length(table), 0);
}

static void extended_communities_have_texts(void **state)
{
	const struct mac m = {{2, 0, 0, 0, 0, 1}};
	const struct {
		uint64_t e;
		const char *text;
	} rows[] = {
		{extended_target_as2(65000, 5001), "rt:65000:5001"},
		{extended_target_as4(4200000000, 65535), "rt:4200000000:65535"},
		{extended_target_ip(0xc0000201, 5), "rt:192.0.2.1:5"},
		{extended_tunnel(ROUTE_TUNNEL_VXLAN), "encap:vxlan"},
		{0x030c000000000063, "030c000000000063"},
		{extended_mobility(3, false), "mobility:3"},
		{extended_mobility(UINT32_MAX, true), "mobility:4294967295,sticky"},
		{extended_router_mac(&m), "router-mac:02:00:00:00:00:01"},
		{0x0602020000000001, "es-import:02:00:00:00:00:01"},
		{extended_default_gateway(), "default-gateway"},
		{0x0003fde800000001, "0003fde800000001"},
	};
	char text[EXTENDED_TEXT_SIZE];

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_string_equal(extended_format(rows[i].e, text), rows[i].text);
}

static void routes_have_texts(void **state)
{
	const struct {
		struct route_rd rd;
		const char *text;
	} rds[] = {
		{route_rd_ip(0xc0000201, 5), "192.0.2.1:5"},
		{{{0, 0, 0xfd, 0xe8, 0, 0, 0, 5}}, "65000:5"},
		{{{0, 2, 0xfa, 0x56, 0xea, 0, 0, 5}}, "4200000000:5"},
		{{{0, 3, 1, 2, 3, 4, 5, 6}}, "0003010203040506"},
	};
	struct route_key k = {.addr = addr_from_v4((const uint8_t[]){10, 0, 0, 0}), .length = 104, .path_id = 7};
	char rd[ROUTE_RD_TEXT_SIZE], key[ROUTE_KEY_TEXT_SIZE];

	for (size_t i = 0; i < sizeof(rds) / sizeof(rds[0]); i++)
		assert_string_equal(route_rd_format(&rds[i].rd, rd), rds[i].text);
	assert_string_equal(route_key_format(&k, key), "10.0.0.0/8 path 7");
	assert_string_equal(route_family_name(ROUTE_EVPN), "l2vpn-evpn");
}

static int set_up(void **state)
{
	return attrs_new(&table);
}

static int tear_down(void **state)
{
	attrs_free(table);
	return 0;
}

/* What is read is what is shown, behind "rt:". */
static void route_targets_are_read_as_they_are_written(void **state)
{
	static const struct {
		const char *text;
		int r;
		uint64_t e;
	} rows[] = {
		{"65000:5001", 0, 0x0002fde800001389},
		{"0:0", 0, 0x0002000000000000},
		{"65535:4294967295", 0, 0x0002ffffffffffff},
		{"65536:65535", 0, 0x020200010000ffff},
		{"4294967295:0", 0, 0x0202ffffffff0000},
		{"192.0.2.1:5", 0, 0x0102c00002010005},
		{"255.255.255.255:65535", 0, 0x0102ffffffffffff},
		{"65535:4294967296", -ERANGE, 0},
		{"65536:65536", -ERANGE, 0},
		{"4294967296:1", -ERANGE, 0},
		{"192.0.2.1:65536", -ERANGE, 0},
		{"1:99999999999999999999999999", -ERANGE, 0},
		{"", -EINVAL, 0},
		{":", -EINVAL, 0},
		{"1:", -EINVAL, 0},
		{":1", -EINVAL, 0},
		{"1", -EINVAL, 0},
		{"1:2:3", -EINVAL, 0},
		{"01:2", -EINVAL, 0},
		{"1:02", -EINVAL, 0},
		{"-1:2", -EINVAL, 0},
		{"1: 2", -EINVAL, 0},
		{"1.2:3", -EINVAL, 0},
		{"1.2.3.04:3", -EINVAL, 0},
		{"2001:db8::1:5", -EINVAL, 0},
		{"00000000000000000000000001:5", -EINVAL, 0},
	};
	char text[EXTENDED_TEXT_SIZE];

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint64_t e = 7;

		assert_int_equal(extended_target_parse(rows[i].text, &e), rows[i].r);
		if (rows[i].r < 0) {
			assert_true(e == 7);
			continue;
		}
		assert_true(e == rows[i].e);
		assert_string_equal(extended_format(e, text) + strlen("rt:"), rows[i].text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(equal_sets_are_one_object),
		cmocka_unit_test(every_field_tells_sets_apart),
		cmocka_unit_test(sets_of_one_hash_are_both_right),
		cmocka_unit_test(an_account_has_what_was_new_and_is_there_still),
		cmocka_unit_test(what_is_found_is_not_taken_from_the_candidate),
		cmocka_unit_test(communities_are_understood),
		cmocka_unit_test(paths_are_measured),
		cmocka_unit_test(pmsi_is_read),
		cmocka_unit_test(many_sets_are_small),
		cmocka_unit_test(extended_communities_have_texts),
		cmocka_unit_test(route_targets_are_read_as_they_are_written),
		cmocka_unit_test(routes_have_texts),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
