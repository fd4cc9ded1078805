/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What people ask for over very many routes: every piece looks at so many records and no more, whatever there is, and all
 * pieces together tell each route once.
 */
#include <stdlib.h>
#include <string.h>

#include "learn_rig.h"
#include "rib/exported.h"

#define N_ROUTES 1000000u
#define PIECE 8192u
#define N_OWN 20000u

static struct rig g;

static int setup(void **state)
{
	rig_init(&g, 1);
	rig_load(&g, 0);
	return 0;
}

static int teardown(void **state)
{
	rig_fini(&g);
	return 0;
}

static void say_many(unsigned i, const char *address)
{
	uint16_t source = rig_neighbor(&g, 0, i, address);
	const struct route_attrs a = {.next_hop = rig_address(address), .has = ROUTE_HAS_LOCAL_PREF, .local_pref = 100};
	const struct route_attrs *attrs;
	static struct route_nlri nlri[1000];

	assert_int_equal(attrs_intern(g.attrs, &a, &attrs), 0);
	for (unsigned n = 0; n < N_ROUTES; n++) {
		struct route_nlri *r = &nlri[n % 1000];

		*r = (struct route_nlri){.key = {.family = ROUTE_IPV4, .addr = rig_address("0.0.0.0"), .length = 128}};
		r->key.addr.bytes[12] = 100;
		r->key.addr.bytes[13] = (uint8_t)(n >> 16);
		r->key.addr.bytes[14] = (uint8_t)(n >> 8);
		r->key.addr.bytes[15] = (uint8_t)n;
		if (n % 1000 == 999)
			assert_int_equal(learn_put(g.nodes[0].learn, source, attrs, nlri, 1000), 1000);
	}
	attrs_unref(g.attrs, attrs);
}

static void count(void *arg, const struct routes_candidate *c)
{
	(*(size_t *)arg)++;
}

static void a_million_routes_are_walked_and_searched_some_at_a_time(void **state)
{
	struct learn_search s = {.prefix = {rig_address("100.7.0.9"), 128}};
	size_t pieces = 0, n = 0, before = 0;
	uint64_t cursor = 0;
	bool more;

	say_many(0, "192.0.2.70");
	do {
		more = routes_walk(learn_routes(g.nodes[0].learn), &cursor, PIECE, count, &n);
		assert_true(n - before <= PIECE);
		before = n;
		pieces++;
	} while (more);
	assert_int_equal(n, N_ROUTES);
	assert_true(pieces >= N_ROUTES / PIECE);
	for (n = 1; learn_search(g.nodes[0].learn, &s, PIECE); n++)
		assert_true(s.n <= 1);
	assert_true(n >= N_ROUTES / PIECE);
	assert_int_equal(s.n, 1);
	assert_true(addr_equal(&s.keys[0].addr, &s.prefix.addr));
	learn_search_fini(&s);
}

static void what_several_neighbors_say_is_found_once(void **state)
{
	struct learn_search s = {.is_mac = true, .mac = rig_mac(7)};
	struct rig_route a = rig_mac_route(7), b = rig_mac_route(7), other = rig_mac_route(8);

	rig_neighbor(&g, 0, 0, "192.0.2.70");
	rig_neighbor(&g, 0, 1, "192.0.2.71");
	rig_say(&g, 0, 0, &a);
	rig_say(&g, 0, 1, &a);
	rig_say(&g, 0, 0, &other);
	b.rd = 1234;
	rig_say(&g, 0, 1, &b);
	while (learn_search(g.nodes[0].learn, &s, 1))
		;
	assert_int_equal(s.n, 2);
	assert_false(route_key_equal(&s.keys[0], &s.keys[1]));
	learn_search_fini(&s);
}

/* ---- own routes ---- */

static struct export ex;
static uint8_t told[N_OWN];

static void put_port(unsigned n)
{
	struct addr address = rig_address("10.0.0.0");
	char name[16];

	address.bytes[14] = (uint8_t)(n >> 8);
	address.bytes[15] = (uint8_t)n;
	address.bytes[13] = (uint8_t)(n >> 16);
	snprintf(name, sizeof(name), "p%u", n);
	assert_int_equal(export_port_put(&ex, &(struct export_port){.name = name, .tenant = 7, .addresses = &address,
								    .n_addresses = 1}), 0);
}

static void remove_port(unsigned n)
{
	char name[16];

	snprintf(name, sizeof(name), "p%u", n);
	export_port_remove(&ex, name);
}

static void ignore(void *arg, const struct export_change *c)
{
}

static void tell(void *arg, const struct export_change *c)
{
	const uint8_t *b = c->nlri.key.addr.bytes;

	(*(size_t *)arg)++;
	told[(b[13] << 16 | b[14] << 8 | b[15]) % N_OWN]++;
}

static void own_routes_are_walked_in_pieces_while_they_change(void **state)
{
	const struct export_node node = {.as = 65000, .router_id = 1, .underlay = rig_address("192.0.2.1"),
					 .hop4 = rig_address("192.0.2.1")};
	struct export_mark walk, beside;
	size_t n = 0, before = 0, aside = 0;
	bool more = true;

	memset(told, 0, sizeof(told));
	export_init(&ex, g.attrs, &node);
	for (unsigned i = 0; i < N_OWN; i++)
		put_port(i);
	export_commit(&ex, ignore, NULL);
	export_walk_begin(&ex, &walk);
	for (unsigned piece = 0; more; piece++) {
		more = export_walk(&ex, &walk, 100, tell, &n);
		assert_true(n - before <= 100);
		before = n;
		/* those behind and in front of it go and come, and another walk passes by */
		remove_port(piece * 13 % N_OWN / 2 * 2);
		put_port(piece * 7 % N_OWN);
		export_commit(&ex, ignore, NULL);
		export_walk_begin(&ex, &beside);
		export_walk(&ex, &beside, 150, ignore, &aside);
		export_walk_end(&ex, &beside);
	}
	export_walk_end(&ex, &walk);
	for (unsigned i = 1; i < N_OWN; i += 2) /* those that were there all the while */
		assert_int_equal(told[i], 1);
	export_fini(&ex);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_million_routes_are_walked_and_searched_some_at_a_time, setup, teardown),
		cmocka_unit_test_setup_teardown(what_several_neighbors_say_is_found_once, setup, teardown),
		cmocka_unit_test_setup_teardown(own_routes_are_walked_in_pieces_while_they_change, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
