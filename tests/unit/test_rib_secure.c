/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which next hops and members are encrypted: of nodes of the file and of VTEPs that only routes speak of, bridged and
 * routed; and how a change of it goes about.
 *
 *      site east: n0 n1      site west: n2
 */
#include <string.h>

#include "learn_rig.h"

static struct config_site sites[2] = {{.name = (char *)"east"}, {.name = (char *)"west"}};
static struct rig g;

#define N0 "192.0.2.1"
#define N1 "192.0.2.2"
#define N2 "192.0.2.3"

/* With ports of every node in every network but that without encapsulation. */
static void load_all(void)
{
	for (unsigned i = 0; i < g.n_nodes; i++) {
		rig_load(&g, i);
		rig_port_up(&g, i, RED_WEB, 1 + i);
		rig_port_up(&g, i, RED_LAN, 11 + i);
		rig_port_up(&g, i, RED_APP, 21 + i);
		rig_port_up(&g, i, BLUE_WEB, 31 + i);
	}
	rig_run(&g);
}

/* What conf does for each network. */
static void network_says(enum rig_network n, bool own, enum config_encryption e)
{
	struct config_network *network = rig_network(&g, n);
	struct config_tenant *t = network->tenant;

	network->encryption_own = own;
	network->encryption = e;
	t->encryption_own = CONFIG_ENCRYPTION_NEVER;
	t->encryption_inherited = false;
	for (size_t i = 0; i < t->n_networks; i++)
		if (!t->networks[i].encryption_own)
			t->encryption_inherited = true;
		else if (t->networks[i].encryption > t->encryption_own)
			t->encryption_own = t->networks[i].encryption;
}

static int setup(void **state)
{
	rig_init(&g, 3);
	for (unsigned i = 0; i < 3; i++)
		g.config_nodes[i].site = &sites[i == 2];
	for (enum rig_network n = 0; n < RIG_NETWORKS; n++)
		network_says(n, n == GREEN_ALL, CONFIG_ENCRYPTION_NEVER);
	load_all();
	return 0;
}

static int teardown(void **state)
{
	rig_fini(&g);
	return 0;
}

static const struct fwd_nexthop *nexthop_of_mac(unsigned node, uint32_t vni, unsigned number)
{
	const struct fwd *f = rig_find_mac(&g, node, vni, number);

	assert_non_null(f);
	return rig_nexthop(&g, node, f->mac.nexthop);
}

static const struct fwd_nexthop *nexthop_of_host(unsigned node, uint32_t vrf, const char *address)
{
	const struct fwd *f = rig_find_host(&g, node, vrf, address);

	assert_non_null(f);
	return rig_nexthop(&g, node, f->host.nexthop);
}

static bool sends_mac(unsigned node, uint32_t vni, unsigned number)
{
	return nexthop_of_mac(node, vni, number)->secure;
}

static bool sends_host(unsigned node, uint32_t vrf, const char *address)
{
	return nexthop_of_host(node, vrf, address)->secure;
}

static bool takes(unsigned node, uint32_t vni, const char *source)
{
	const struct fwd *f = rig_find_member(&g, node, vni, source);

	assert_non_null(f);
	return f->member.secure;
}

static void nothing_is_encrypted_where_nobody_asks(void **state)
{
	for (unsigned i = 0; i < 3; i++)
		for (size_t k = 0; k < g.nodes[i].n_entries; k++) {
			const struct fwd *f = &g.nodes[i].entries[k];

			assert_false(f->kind == FWD_NEXTHOP && f->nexthop.secure);
			assert_false(f->kind == FWD_MEMBER && f->member.secure);
		}
}

static void between_sites_everything_is_bridged_or_routed(void **state)
{
	g.config.encryption = CONFIG_ENCRYPTION_BETWEEN_SITES;
	load_all();
	assert_false(sends_mac(0, 5001, 2));
	assert_true(sends_mac(0, 5001, 3));
	assert_true(sends_mac(2, 5001, 1));
	assert_true(sends_mac(0, 5002, 13));
	assert_false(sends_host(0, 5000, "10.0.2.22"));
	assert_true(sends_host(0, 5000, "10.0.2.23"));
	assert_true(sends_host(0, 5000, "10.0.0.3"));
	assert_true(sends_mac(0, 6001, 33));
	for (size_t i = 0; i < 3; i++) {
		static const uint32_t vnis[] = {5000, 5001, 6000};

		assert_true(takes(0, vnis[i], N2));
		assert_true(takes(2, vnis[i], N0));
		assert_false(takes(0, vnis[i], N1));
	}
	assert_int_equal(nexthop_of_mac(0, 5001, 2)->mtu, 1450);
	assert_int_equal(nexthop_of_mac(0, 5001, 3)->mtu, 1390);
}

static void vtep_that_no_file_names_is_of_another_site(void **state)
{
	struct rig_route mac = rig_mac_route(77), host = rig_host_route(78, "10.0.2.78"),
			 prefix = rig_prefix_route("10.99.0.0", 112);

	rig_neighbor(&g, 0, 0, "192.0.2.200");
	g.config.encryption = CONFIG_ENCRYPTION_BETWEEN_SITES;
	load_all();
	rig_say(&g, 0, 0, &mac);
	rig_say(&g, 0, 0, &host);
	rig_say(&g, 0, 0, &prefix);
	rig_run(&g);
	assert_true(sends_mac(0, 5001, 77));
	assert_true(rig_nexthop(&g, 0, rig_find_prefix(&g, 0, 5000, "10.99.0.0/16")->prefix.nexthop)->secure);
	assert_true(takes(0, 5001, RIG_VTEP));
	assert_true(takes(0, 5000, RIG_VTEP));
	g.config.encryption = CONFIG_ENCRYPTION_NEVER; /* those that are there already */
	load_all();
	assert_false(sends_mac(0, 5001, 77));
	assert_false(takes(0, 5001, RIG_VTEP));
	assert_false(takes(0, 5000, RIG_VTEP));
}

static void network_with_its_own_word_takes_what_is_routed_along(void **state)
{
	network_says(RED_WEB, true, CONFIG_ENCRYPTION_ALWAYS);
	load_all();
	assert_true(sends_mac(0, 5001, 2));
	assert_true(takes(0, 5001, N1));
	assert_true(takes(0, 5000, N1)); /* the tenant has one VNI for all that is routed */
	assert_true(sends_host(0, 5000, "10.0.2.22"));
	assert_false(sends_mac(0, 5002, 12)); /* nothing of that is routed, */
	assert_true(rig_find_host(&g, 0, 5000, "10.0.1.12")->host.bridged); /* nor to that */
	assert_false(rig_find_host(&g, 0, 5000, "10.0.2.22")->host.bridged);
	assert_false(takes(0, 5002, N1));
	assert_false(sends_mac(0, 6001, 32));
	network_says(RED_WEB, true, CONFIG_ENCRYPTION_NEVER);
	g.config.encryption = CONFIG_ENCRYPTION_ALWAYS;
	load_all();
	assert_true(sends_mac(0, 5001, 2)); /* its next hop is that of what is routed */
	assert_false(takes(0, 5001, N1));
	assert_true(takes(0, 5000, N1));
	assert_true(sends_mac(0, 5002, 12));
	assert_true(sends_mac(0, 6001, 32));
}

/* One write for each, and nothing else: no host, no MAC, no list. */
static void change_replaces_next_hops_and_members_alone(void **state)
{
	size_t next_hops = 0, members = 0;

	for (size_t i = 0; i < g.nodes[0].n_entries; i++) {
		const struct fwd *f = &g.nodes[0].entries[i];

		next_hops += f->kind == FWD_NEXTHOP && f->nexthop.type == FWD_NEXTHOP_TUNNEL;
		members += f->kind == FWD_MEMBER;
	}
	assert_true(next_hops > 6 && members > 6);
	rig_count(&g, 0);
	g.config.encryption = CONFIG_ENCRYPTION_ALWAYS;
	load_all();
	assert_int_equal(g.nodes[0].n_replaced, next_hops + members);
	assert_int_equal(g.nodes[0].n_put + g.nodes[0].n_deleted, 0);
}

static void without_encapsulation_nothing_is_encrypted(void **state)
{
	g.config.encryption = CONFIG_ENCRYPTION_ALWAYS;
	load_all();
	for (unsigned i = 0; i < 3; i++)
		rig_port_up(&g, i, GREEN_ALL, 41 + i);
	rig_run(&g);
	assert_int_equal(nexthop_of_host(0, 7000, "10.0.4.42")->type, FWD_NEXTHOP_NATIVE);
	assert_false(sends_host(0, 7000, "10.0.4.42"));
}

/* ---- under traffic ---- */

static void ease(bool on)
{
	for (unsigned i = 0; i < g.n_nodes; i++)
		rib_ease(g.nodes[i].rib, on);
}

/* What n0 does with n1, bridged and routed. */
static void expect_way(bool out, bool in)
{
	assert_int_equal(sends_mac(0, 5001, 2), out);
	assert_int_equal(sends_host(0, 5000, "10.0.2.22"), out);
	assert_int_equal(nexthop_of_mac(0, 5001, 2)->mtu, out ? 1390 : 1450);
	assert_int_equal(takes(0, 5001, N1), in);
	assert_int_equal(takes(0, 5000, N1), in);
}

static void change_that_is_eased_loses_nothing_in_between(void **state)
{
	static const enum config_encryption words[] = {CONFIG_ENCRYPTION_ALWAYS, CONFIG_ENCRYPTION_NEVER};

	for (size_t i = 0; i < 2; i++) {
		ease(true);
		g.config.encryption = words[i];
		load_all();
		expect_way(true, false); /* to both kinds of nodes, and from both */
		load_all();
		expect_way(true, false);
		ease(false);
		rig_run(&g);
		expect_way(words[i], words[i]);
	}
}

static void network_that_gets_a_word_of_its_own_is_eased_too(void **state)
{
	ease(true);
	network_says(RED_WEB, true, CONFIG_ENCRYPTION_ALWAYS);
	load_all();
	expect_way(true, false);
	network_says(RED_WEB, false, CONFIG_ENCRYPTION_NEVER); /* and back, before it was over */
	load_all();
	expect_way(false, false);
	network_says(RED_WEB, true, CONFIG_ENCRYPTION_ALWAYS);
	load_all();
	ease(false);
	rig_run(&g);
	expect_way(true, true);
}

static void what_is_new_is_not_eased(void **state)
{
	struct rig_route mac = rig_mac_route(77);

	rig_neighbor(&g, 0, 0, "192.0.2.200");
	g.config.encryption = CONFIG_ENCRYPTION_ALWAYS;
	load_all();
	ease(true);
	load_all();
	expect_way(true, true);
	rig_say(&g, 0, 0, &mac);
	rig_run(&g);
	assert_true(sends_mac(0, 5001, 77));
	assert_true(takes(0, 5001, RIG_VTEP));
}

static void stranger_is_eased_as_others_are(void **state)
{
	struct rig_route mac = rig_mac_route(77);

	rig_neighbor(&g, 0, 0, "192.0.2.200");
	rig_say(&g, 0, 0, &mac);
	rig_run(&g);
	ease(true);
	g.config.encryption = CONFIG_ENCRYPTION_BETWEEN_SITES;
	load_all();
	assert_true(sends_mac(0, 5001, 77));
	assert_false(takes(0, 5001, RIG_VTEP));
	ease(false);
	rig_run(&g);
	assert_true(takes(0, 5001, RIG_VTEP));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(nothing_is_encrypted_where_nobody_asks),
		TEST(between_sites_everything_is_bridged_or_routed),
		TEST(vtep_that_no_file_names_is_of_another_site),
		TEST(network_with_its_own_word_takes_what_is_routed_along),
		TEST(change_replaces_next_hops_and_members_alone),
		TEST(without_encapsulation_nothing_is_encrypted),
		TEST(change_that_is_eased_loses_nothing_in_between),
		TEST(network_that_gets_a_word_of_its_own_is_eased_too),
		TEST(what_is_new_is_not_eased),
		TEST(stranger_is_eased_as_others_are),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
