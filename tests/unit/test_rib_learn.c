/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What routes of neighbors become here, and what becomes of it.
 */
#include "learn_rig.h"

#include <errno.h>
#include <string.h>

static struct rig g;

static int setup(void **state)
{
	rig_init(&g, 3);
	return 0;
}

static int teardown(void **state)
{
	rig_fini(&g);
	return 0;
}

/* A VTEP that is no node of the file. */
#define FRR "192.0.2.77"

static struct rig_route mac_route(unsigned number)
{
	return (struct rig_route){.type = ROUTE_EVPN_MAC, .node = FRR, .rd = 77, .number = number, .vni = 5001,
				  .targets = {rig_target(5001)}};
}

static struct rig_route host_route(unsigned number, const char *address)
{
	struct rig_route r = mac_route(number);

	r.address = address;
	return r;
}

static struct rig_route prefix_route(const char *address, uint8_t length)
{
	return (struct rig_route){.type = ROUTE_EVPN_PREFIX, .node = FRR, .rd = 77, .address = address, .length = length,
				  .vni = 5000, .targets = {rig_target(5000)}};
}

/* ---- between nodes ---- */

static void an_endpoint_is_reached_wherever_its_network_is(void **state)
{
	const struct fwd *host;

	rig_port_up(&g, 0, RED_WEB, 1);
	rig_port_up(&g, 1, RED_WEB, 2);
	rig_port_up(&g, 2, RED_APP, 3);
	rig_run(&g);
	assert_string_equal(rig_where_mac(&g, 0, 5001, 1), "port");
	assert_string_equal(rig_where_mac(&g, 0, 5001, 2), "192.0.2.2");
	assert_string_equal(rig_where_mac(&g, 2, 5001, 2), "nowhere"); /* bridged where there is a port only */
	assert_string_equal(rig_where_host(&g, 2, 5000, "10.0.0.2"), "192.0.2.2");
	assert_string_equal(rig_where_host(&g, 0, 5000, "10.0.2.3"), "192.0.2.3");
	host = rig_find_host(&g, 0, 5000, "10.0.0.2");
	assert_int_equal(host->host.vni, 5001);
	assert_false(host->host.l3);
	assert_true(mac_equal(&host->host.mac, &(struct mac){{2, 0, 0, 0, 0, 2}}));
	host = rig_find_host(&g, 0, 5000, "10.0.2.3");
	assert_int_equal(host->host.vni, 5000);
	assert_true(host->host.l3);
	/* as the file has them: not foreign, and the router's MAC is the same as by the file */
	for (unsigned to = 1; to < 3; to++) {
		struct mac router;

		config_router_mac(&g.config_nodes[to], &router);
		host = rig_find_host(&g, 0, 5000, to == 1 ? "10.0.0.2" : "10.0.2.3");
		assert_true(mac_equal(&rig_nexthop(&g, 0, host->host.nexthop)->router_mac, &router));
		assert_false(rig_nexthop(&g, 0, host->host.nexthop)->foreign);
	}
	assert_non_null(rig_find_member(&g, 0, 5001, "192.0.2.2"));
	assert_null(rig_find_member(&g, 0, 5001, "192.0.2.3"));
	assert_non_null(rig_find_member(&g, 0, 5000, "192.0.2.3"));
	assert_non_null(rig_find_member(&g, 2, 5000, "192.0.2.2"));
	assert_true(rig_find_member(&g, 2, 5000, "192.0.2.2")->member.l3);
	assert_int_equal(rig_count_kind(&g, 0, FWD_FLOOD), 2); /* the port, and node 1 */
}

static void a_node_is_a_member_as_long_as_it_announces(void **state)
{
	rig_port_up(&g, 0, RED_WEB, 1);
	rig_port_up(&g, 1, RED_WEB, 2);
	rig_port_up(&g, 1, RED_WEB, 3);
	rig_run(&g);
	rig_port_link(&g, 1, 2, false);
	rig_run(&g);
	assert_string_equal(rig_where_mac(&g, 0, 5001, 2), "nowhere");
	assert_non_null(rig_find_member(&g, 0, 5001, "192.0.2.2"));
	rig_port_remove(&g, 1, 3);
	rig_run(&g);
	assert_null(rig_find_member(&g, 0, 5001, "192.0.2.2"));
	assert_null(rig_find_member(&g, 0, 5000, "192.0.2.2"));
	assert_int_equal(rig_count_kind(&g, 0, FWD_NEXTHOP), 1);
	assert_int_equal(rig_count_kind(&g, 0, FWD_FLOOD), 1);
}

static void tenants_hear_nothing_of_each_other(void **state)
{
	rig_port_up(&g, 0, RED_WEB, 1);
	rig_port_up(&g, 1, BLUE_WEB, 2);
	rig_run(&g);
	assert_int_equal(rig_count_kind(&g, 0, FWD_MEMBER), 0);
	assert_string_equal(rig_where_host(&g, 0, 5000, "10.0.3.2"), "nowhere");
	assert_int_equal(rig_count_kind(&g, 2, FWD_MEMBER), 0); /* no port, nothing */
}

static void a_port_that_is_not_up_is_not_announced(void **state)
{
	rig_port_up(&g, 0, RED_WEB, 1);
	rig_port_put(&g, 1, 1, RED_WEB, 2); /* waits for its interface */
	rig_run(&g);
	assert_string_equal(rig_where_mac(&g, 0, 5001, 2), "nowhere");
	assert_null(rig_find_member(&g, 0, 5001, "192.0.2.2"));
	rig_port_link(&g, 1, 2, true);
	rig_run(&g);
	assert_string_equal(rig_where_mac(&g, 0, 5001, 2), "192.0.2.2");
}

/* ---- who counts ---- */

static void a_port_of_this_node_is_nobody_elses_to_take(void **state)
{
	struct rig_route r = host_route(1, "10.0.0.1");

	r.sequence = 1000;
	r.sticky = true;
	rig_neighbor(&g, 0, 0, FRR);
	rig_port_up(&g, 0, RED_WEB, 1);
	rig_run(&g);
	rig_say(&g, 0, 0, &r);
	rig_run(&g);
	assert_string_equal(rig_where_mac(&g, 0, 5001, 1), "port");
	assert_string_equal(rig_where_host(&g, 0, 5000, "10.0.0.1"), "port");
	rig_count(&g, 0);
	rig_unsay(&g, 0, 0, &r);
	rig_run(&g);
	assert_string_equal(rig_where_mac(&g, 0, 5001, 1), "port");
	assert_string_equal(rig_where_host(&g, 0, 5000, "10.0.0.1"), "port");
}

static void a_port_that_waits_gives_way_until_it_is_up(void **state)
{
	struct rig_route r = host_route(1, "10.0.0.1");
	const struct fwd key = {.kind = FWD_MAC, .mac = {.vni = 5001, .mac = rig_mac(1)}};
	enum route_source source;

	rig_neighbor(&g, 0, 0, FRR);
	rig_port_up(&g, 0, RED_WEB, 9);
	rig_port_put(&g, 0, 0, RED_WEB, 1);
	rig_say(&g, 0, 0, &r);
	rig_run(&g);
	assert_string_equal(rig_where_mac(&g, 0, 5001, 1), FRR);
	assert_string_equal(rig_where_host(&g, 0, 5000, "10.0.0.1"), FRR);
	assert_string_equal(rib_origin(g.nodes[0].rib, &key, &source), "");
	assert_int_equal(source, ROUTE_SOURCE_BGP);
	rig_count(&g, 0);
	rig_port_link(&g, 0, 1, true);
	rig_run(&g);
	assert_string_equal(rig_where_mac(&g, 0, 5001, 1), "port");
	assert_string_equal(rig_where_host(&g, 0, 5000, "10.0.0.1"), "port");
	assert_string_equal(rib_origin(g.nodes[0].rib, &key, &source), "p1");
	assert_int_equal(source, ROUTE_SOURCE_LOCAL);
	assert_int_equal(g.nodes[0].n_deleted, 0);
	rig_port_link(&g, 0, 1, false);
	rig_run(&g);
	assert_string_equal(rig_where_mac(&g, 0, 5001, 1), FRR);
}

static void the_best_is_chosen_over_all_distinguishers_and_replaced_in_one_step(void **state)
{
	struct rig_route a = mac_route(5), b = mac_route(5);

	rig_neighbor(&g, 0, 0, "192.0.2.101");
	rig_neighbor(&g, 0, 1, "192.0.2.102");
	rig_port_up(&g, 0, RED_WEB, 1);
	a.node = "192.0.2.78";
	a.rd = 78;
	b.sequence = 1;
	assert_int_equal(rig_say(&g, 0, 0, &a), 1);
	rig_run(&g);
	assert_string_equal(rig_where_mac(&g, 0, 5001, 5), "192.0.2.78");
	rig_count(&g, 0);
	assert_int_equal(rig_say(&g, 0, 1, &b), 1);
	rig_run(&g);
	assert_string_equal(rig_where_mac(&g, 0, 5001, 5), FRR);
	a.sequence = 2;
	assert_int_equal(rig_say(&g, 0, 0, &a), 0); /* known, and changed */
	rig_run(&g);
	assert_string_equal(rig_where_mac(&g, 0, 5001, 5), "192.0.2.78");
	b.sticky = true;
	rig_say(&g, 0, 1, &b);
	rig_run(&g);
	assert_string_equal(rig_where_mac(&g, 0, 5001, 5), FRR);
	assert_int_equal(rig_unsay(&g, 0, 1, &b), 1);
	rig_run(&g);
	assert_string_equal(rig_where_mac(&g, 0, 5001, 5), "192.0.2.78");
	assert_int_equal(g.nodes[0].n_replaced, 4);
	assert_int_equal(g.nodes[0].n_deleted, 2); /* member and next hop of the one that says nothing any more */
	assert_int_equal(rig_unsay(&g, 0, 0, &a), 1);
	assert_int_equal(rig_unsay(&g, 0, 0, &a), 0);
	rig_run(&g);
	assert_string_equal(rig_where_mac(&g, 0, 5001, 5), "nowhere");
}

static void two_reflectors_say_the_same_and_one_is_enough(void **state)
{
	struct rig_route r = mac_route(5);

	rig_neighbor(&g, 0, 0, "192.0.2.101");
	rig_neighbor(&g, 0, 1, "192.0.2.102");
	rig_port_up(&g, 0, RED_WEB, 1);
	rig_say(&g, 0, 0, &r);
	rig_say(&g, 0, 1, &r);
	rig_run(&g);
	rig_count(&g, 0);
	rig_unsay(&g, 0, 0, &r);
	rig_run(&g);
	assert_string_equal(rig_where_mac(&g, 0, 5001, 5), FRR);
	assert_int_equal(g.nodes[0].n_deleted + g.nodes[0].n_replaced + g.nodes[0].n_put, 0);
}

static void what_the_configuration_says_of_others_counts_until_they_speak(void **state)
{
	rig_port_up(&g, 0, RED_WEB, 1);
	rig_port_put(&g, 0, 1, RED_WEB, 2); /* the file says that it is at node 1 */
	rig_run(&g);
	assert_string_equal(rig_where_mac(&g, 0, 5001, 2), "192.0.2.2");
	rig_count(&g, 0);
	rig_port_up(&g, 1, RED_WEB, 2); /* which says so itself now: the same entries by the same next hop */
	rig_run(&g);
	assert_int_equal(g.nodes[0].n_deleted + g.nodes[0].n_replaced, 0);
	assert_int_equal(g.nodes[0].n_put, 1); /* the next hop for routed traffic */
	rig_port_up(&g, 2, RED_WEB, 2); /* it is elsewhere */
	rig_port_remove(&g, 1, 2);
	rig_run(&g);
	assert_string_equal(rig_where_mac(&g, 0, 5001, 2), "192.0.2.3");
	assert_string_equal(rig_where_host(&g, 0, 5000, "10.0.0.2"), "192.0.2.3");
	rig_port_remove(&g, 2, 2);
	rig_run(&g);
	assert_string_equal(rig_where_mac(&g, 0, 5001, 2), "192.0.2.2");
}

static void gateways_and_subnets_are_this_nodes_own(void **state)
{
	struct rig_route gateway = host_route(66, "10.0.0.254"), subnet = prefix_route("10.0.0.0", 120);

	rig_neighbor(&g, 0, 0, FRR);
	rig_port_up(&g, 0, RED_WEB, 1);
	rig_run(&g);
	rig_say(&g, 0, 0, &gateway);
	rig_say(&g, 0, 0, &subnet);
	rig_run(&g);
	assert_true(rig_find_host(&g, 0, 5000, "10.0.0.254")->host.gateway);
	assert_int_equal(rig_find_prefix(&g, 0, 5000, "10.0.0.0/24")->prefix.nexthop, 0);
}

/* ---- VTEPs that are no node ---- */

static unsigned n_remotes;
static bool frr_is_remote;

static void on_remote(void *arg, const struct addr *remote, const struct addr *local)
{
	struct addr frr = rig_address(FRR);

	n_remotes++;
	frr_is_remote |= addr_equal(remote, &frr);
}

static void count_remotes(void)
{
	n_remotes = 0;
	frr_is_remote = false;
	rib_remote_each(g.nodes[0].rib, on_remote, NULL);
}

static void a_vtep_that_only_bridges_has_this_nodes_gateway(void **state)
{
	struct rig_route r = host_route(7, "10.0.0.7");
	const struct fwd *mac;
	struct addr frr = rig_address(FRR);

	rig_neighbor(&g, 0, 0, FRR);
	rig_port_up(&g, 0, RED_WEB, 1);
	rig_say(&g, 0, 0, &r);
	rig_run(&g);
	mac = rig_find_mac(&g, 0, 5001, 7);
	assert_true(rig_nexthop(&g, 0, mac->mac.nexthop)->foreign);
	assert_int_equal(rig_nexthop(&g, 0, mac->mac.nexthop)->mtu, 1450);
	assert_true(rig_find_member(&g, 0, 5001, FRR)->member.foreign);
	assert_null(rig_find_member(&g, 0, 5000, FRR));
	count_remotes();
	assert_int_equal(n_remotes, 1);
	assert_true(frr_is_remote);
	rib_path_set(g.nodes[0].rib, &frr, 9000, true);
	rig_run(&g);
	assert_int_equal(rig_nexthop(&g, 0, mac->mac.nexthop)->mtu, 8950);
	rig_unsay(&g, 0, 0, &r);
	rig_run(&g);
	assert_null(rig_find_member(&g, 0, 5001, FRR));
	count_remotes();
	assert_int_equal(n_remotes, 0);
}

static void a_vtep_that_routes_has_its_own(void **state)
{
	struct rig_route r = host_route(7, "10.0.0.7");
	const struct fwd *mac;

	rig_neighbor(&g, 0, 0, FRR);
	rig_port_up(&g, 0, RED_WEB, 1);
	r.l3_vni = 5000;
	r.targets[1] = rig_target(5000);
	rig_say(&g, 0, 0, &r);
	rig_run(&g);
	mac = rig_find_mac(&g, 0, 5001, 7);
	assert_false(rig_nexthop(&g, 0, mac->mac.nexthop)->foreign);
	assert_true(mac_equal(&rig_nexthop(&g, 0, mac->mac.nexthop)->router_mac, &(struct mac){{6, 0, 0, 0, 0, 77}}));
	assert_false(rig_find_member(&g, 0, 5001, FRR)->member.foreign);
	assert_true(rig_find_member(&g, 0, 5000, FRR)->member.l3);
	assert_false(rig_find_host(&g, 0, 5000, "10.0.0.7")->host.l3); /* known with its MAC */
	r.l3_vni = 0;
	r.targets[1] = 0;
	rig_say(&g, 0, 0, &r); /* it routes no more */
	rig_run(&g);
	assert_true(rig_nexthop(&g, 0, rig_find_mac(&g, 0, 5001, 7)->mac.nexthop)->foreign);
	assert_null(rig_find_member(&g, 0, 5000, FRR));
}

static void what_lies_behind_a_router_is_reached_by_it(void **state)
{
	struct rig_route prefix = prefix_route("10.9.0.0", 112), host = prefix_route("10.8.0.1", 128);
	const struct fwd *f;

	rig_neighbor(&g, 0, 0, FRR);
	rig_port_up(&g, 0, RED_APP, 1);
	rig_say(&g, 0, 0, &prefix);
	rig_say(&g, 0, 0, &host);
	rig_run(&g);
	f = rig_find_prefix(&g, 0, 5000, "10.9.0.0/16");
	assert_int_equal(f->prefix.vni, 5000);
	assert_true(mac_equal(&rig_nexthop(&g, 0, f->prefix.nexthop)->router_mac, &(struct mac){{6, 0, 0, 0, 0, 77}}));
	assert_string_equal(rig_where_host(&g, 0, 5000, "10.8.0.1"), FRR);
	assert_true(rig_find_member(&g, 0, 5000, FRR)->member.l3);
	rig_unsay(&g, 0, 0, &prefix);
	rig_run(&g);
	assert_null(rig_find_prefix(&g, 0, 5000, "10.9.0.0/16"));
	assert_non_null(rig_find_member(&g, 0, 5000, FRR));
	rig_unsay(&g, 0, 0, &host);
	rig_run(&g);
	assert_null(rig_find_member(&g, 0, 5000, FRR));
	assert_int_equal(rig_count_kind(&g, 0, FWD_NEXTHOP), 1);
}

static void flooding_goes_to_whom_it_is_asked_for(void **state)
{
	struct rig_route r = {.type = ROUTE_EVPN_IMET, .node = FRR, .rd = 77, .vni = 5001, .targets = {rig_target(5001)}};

	rig_neighbor(&g, 0, 0, FRR);
	rig_port_up(&g, 0, RED_WEB, 1);
	rig_say(&g, 0, 0, &r);
	rig_run(&g);
	assert_int_equal(rig_count_kind(&g, 0, FWD_FLOOD), 2);
	assert_non_null(rig_find_member(&g, 0, 5001, FRR));
	rig_unsay(&g, 0, 0, &r);
	rig_run(&g);
	assert_int_equal(rig_count_kind(&g, 0, FWD_FLOOD), 1);
	assert_null(rig_find_member(&g, 0, 5001, FRR));
}

static void a_vtep_may_become_a_node_of_the_file_and_cease_to_be(void **state)
{
	struct rig_route r = host_route(7, "10.0.0.7"), imet = {.type = ROUTE_EVPN_IMET, .node = "192.0.2.3", .rd = 77, .vni = 5001,
							       .targets = {rig_target(5001)}};

	r.node = "192.0.2.3"; /* of node 2 */
	g.config.n_nodes = 2;
	rig_load(&g, 0);
	rig_neighbor(&g, 0, 0, FRR);
	rig_port_up(&g, 0, RED_WEB, 1);
	rig_say(&g, 0, 0, &r);
	rig_say(&g, 0, 0, &imet);
	rig_run(&g);
	assert_true(rig_nexthop(&g, 0, rig_find_mac(&g, 0, 5001, 7)->mac.nexthop)->foreign);
	for (int i = 0; i < 3; i++) {
		g.config.n_nodes = 3;
		rig_load(&g, 0);
		rig_port_up(&g, 0, RED_WEB, 1);
		rig_run(&g);
		assert_false(rig_nexthop(&g, 0, rig_find_mac(&g, 0, 5001, 7)->mac.nexthop)->foreign);
		assert_int_equal(rig_find_mac(&g, 0, 5001, 7)->mac.nexthop, fwd_owner_tunnel("red/web", "n2"));
		assert_int_equal(rig_count_kind(&g, 0, FWD_FLOOD), 2);
		g.config.n_nodes = 2;
		rig_load(&g, 0);
		rig_port_up(&g, 0, RED_WEB, 1);
		rig_run(&g);
		assert_string_equal(rig_where_mac(&g, 0, 5001, 7), "192.0.2.3");
		assert_true(rig_nexthop(&g, 0, rig_find_mac(&g, 0, 5001, 7)->mac.nexthop)->foreign);
		assert_int_equal(rig_count_kind(&g, 0, FWD_FLOOD), 2);
		assert_int_equal(rig_count_kind(&g, 0, FWD_NEXTHOP), 2);
	}
	rig_unsay(&g, 0, 0, &r);
	rig_unsay(&g, 0, 0, &imet);
	rig_run(&g);
	assert_int_equal(rig_count_kind(&g, 0, FWD_NEXTHOP), 1);
	g.config.n_nodes = 3;
}

static void a_node_may_change_its_address(void **state)
{
	rig_port_up(&g, 0, RED_WEB, 1);
	rig_port_up(&g, 1, RED_WEB, 2);
	rig_run(&g);
	g.underlay[1][0] = rig_address("192.0.2.22");
	rig_load(&g, 0);
	rig_port_up(&g, 0, RED_WEB, 1);
	rig_run(&g);
	assert_string_equal(rig_where_mac(&g, 0, 5001, 2), "192.0.2.2"); /* it still says so */
	rig_count(&g, 1);
	rig_load(&g, 1);
	rig_port_up(&g, 1, RED_WEB, 2);
	rig_run(&g);
	assert_string_equal(rig_where_mac(&g, 0, 5001, 2), "192.0.2.22");
	assert_null(rig_find_member(&g, 0, 5001, "192.0.2.2"));
	assert_int_equal(rig_count_kind(&g, 0, FWD_FLOOD), 2);
	assert_int_equal(g.nodes[1].n_announced, 3); /* flooding has another key, the others another next hop */
	assert_int_equal(g.nodes[1].n_withdrawn, 1);
}

/* ---- scope ---- */

static void routes_of_what_is_not_needed_wait_for_a_port(void **state)
{
	struct rig_route r;

	g.budget = 7;
	rig_neighbor(&g, 0, 0, FRR);
	for (unsigned i = 1; i <= 100; i++) {
		char address[32];

		snprintf(address, sizeof(address), "10.0.0.%u", i);
		r = host_route(i, address);
		rig_say(&g, 0, 0, &r);
	}
	rig_run(&g);
	assert_int_equal(g.nodes[0].n_entries, 0);
	assert_int_equal(routes_length(learn_routes(g.nodes[0].learn)), 100);
	for (int i = 0; i < 2; i++) {
		rig_port_up(&g, 0, RED_APP, 200); /* routed only */
		rig_run(&g);
		assert_int_equal(rig_count_kind(&g, 0, FWD_HOST), 102); /* and the gateway */
		assert_int_equal(rig_count_kind(&g, 0, FWD_MAC), 0);
		rig_port_up(&g, 0, RED_WEB, 201);
		rig_run(&g);
		assert_int_equal(rig_count_kind(&g, 0, FWD_MAC), 101);
		rig_port_remove(&g, 0, 201);
		rig_run(&g);
		assert_int_equal(rig_count_kind(&g, 0, FWD_MAC), 0);
		assert_int_equal(rig_count_kind(&g, 0, FWD_HOST), 102);
		rig_port_remove(&g, 0, 200);
		rig_commit(&g, 0);
		assert_int_equal(rig_count_kind(&g, 0, FWD_MEMBER), 0); /* at once; the others some at a time */
		rig_run(&g);
		assert_int_equal(g.nodes[0].n_entries, 0);
	}
}

static void a_port_that_comes_and_goes_while_routes_are_looked_at_leaves_nothing_out(void **state)
{
	struct rig_route r;

	g.budget = 3;
	rig_neighbor(&g, 0, 0, FRR);
	for (unsigned i = 1; i <= 60; i++) {
		r = mac_route(i);
		rig_say(&g, 0, 0, &r);
	}
	for (unsigned rounds = 0; rounds < 40; rounds++) {
		rig_port_up(&g, 0, RED_WEB, 200);
		for (unsigned i = 0; i < rounds; i++)
			rig_round(&g);
		rig_port_remove(&g, 0, 200);
		for (unsigned i = 0; i < 40 - rounds; i++)
			rig_round(&g);
		rig_port_up(&g, 0, RED_WEB, 200);
		rig_run(&g);
		assert_int_equal(rig_count_kind(&g, 0, FWD_MAC), 61);
		rig_port_remove(&g, 0, 200);
		rig_run(&g);
		assert_int_equal(g.nodes[0].n_entries, 0);
	}
}

/* ---- targets and grants ---- */

static void targets_by_hand_replace_the_automatic_ones(void **state)
{
	uint64_t by_hand = extended_target_as2(65000, 777);

	rig_port_up(&g, 0, RED_WEB, 1);
	rig_port_up(&g, 1, RED_WEB, 2);
	rig_run(&g);
	g.red[0].import = (struct config_targets){&by_hand, 1};
	rig_load(&g, 0);
	rig_port_up(&g, 0, RED_WEB, 1);
	rig_run(&g);
	assert_string_equal(rig_where_mac(&g, 0, 5001, 2), "nowhere");
	g.red[0].import = (struct config_targets){0};
	g.red[0].export = (struct config_targets){&by_hand, 1};
	rig_load(&g, 1);
	rig_port_up(&g, 1, RED_WEB, 2);
	g.red[0].import = (struct config_targets){&by_hand, 1};
	rig_run(&g);
	assert_string_equal(rig_where_mac(&g, 0, 5001, 2), "192.0.2.2");
}

static void a_neighbor_speaks_for_whom_it_may(void **state)
{
	struct rig_route r = mac_route(5);
	uint32_t red = 5000, blue = 6000;
	struct learn_neighbor limited = {.neighbor = {.address = rig_address(FRR), .router_id = 100}, .limited = true,
					 .tenants = &blue, .n_tenants = 1};
	uint16_t source = rig_neighbor(&g, 0, 0, FRR);

	rig_port_up(&g, 0, RED_WEB, 1);
	rig_say(&g, 0, 0, &r);
	rig_run(&g);
	assert_string_equal(rig_where_mac(&g, 0, 5001, 5), FRR);
	assert_int_equal(learn_neighbor_set(g.nodes[0].learn, source, &limited), 0);
	rig_run(&g);
	assert_string_equal(rig_where_mac(&g, 0, 5001, 5), "nowhere");
	limited.tenants = &red;
	assert_int_equal(learn_neighbor_set(g.nodes[0].learn, source, &limited), 0);
	rig_run(&g);
	assert_string_equal(rig_where_mac(&g, 0, 5001, 5), FRR);
}

static void a_neighbors_identifier_decides_when_nothing_else_does(void **state)
{
	struct rig_route a = prefix_route("10.9.0.0", 112), b = a;
	struct learn_neighbor n = {.neighbor = {.address = rig_address("192.0.2.101"), .router_id = 500}};
	uint16_t source = rig_neighbor(&g, 0, 0, "192.0.2.101");

	rig_neighbor(&g, 0, 1, "192.0.2.102");
	rig_port_up(&g, 0, RED_WEB, 1);
	b.node = "192.0.2.78";
	b.rd = 78;
	rig_say(&g, 0, 0, &a);
	rig_say(&g, 0, 1, &b);
	rig_run(&g);
	assert_int_equal(rig_nexthop(&g, 0, rig_find_prefix(&g, 0, 5000, "10.9.0.0/16")->prefix.nexthop)->remote.bytes[15], 77);
	assert_int_equal(learn_neighbor_set(g.nodes[0].learn, source, &n), 0);
	rig_run(&g);
	assert_int_equal(rig_nexthop(&g, 0, rig_find_prefix(&g, 0, 5000, "10.9.0.0/16")->prefix.nexthop)->remote.bytes[15], 78);
}

/* ---- sessions ---- */

static void what_is_not_said_again_counts_no_more_and_goes_in_slices(void **state)
{
	struct learn *l = g.nodes[0].learn;
	uint16_t source = rig_neighbor(&g, 0, 0, FRR);
	struct rig_route r;

	rig_port_up(&g, 0, RED_WEB, 200);
	for (unsigned i = 1; i <= 100; i++) {
		r = mac_route(i);
		assert_int_equal(rig_say(&g, 0, 0, &r), 1);
	}
	rig_run(&g);
	learn_stale(l, source, ROUTE_EVPN);
	for (unsigned i = 1; i <= 40; i++) {
		r = mac_route(i);
		assert_int_equal(rig_say(&g, 0, 0, &r), 0);
	}
	rig_run(&g);
	assert_int_equal(rig_count_kind(&g, 0, FWD_MAC), 101); /* stale ones count until then */
	g.budget = 10;
	assert_int_equal(learn_swept(l, source, ROUTE_EVPN), 60);
	rig_commit(&g, 0);
	assert_in_range(rig_count_kind(&g, 0, FWD_MAC), 91, 101);
	/* those that wait to go are new when they are said again, and are not withdrawn twice */
	r = mac_route(100);
	assert_int_equal(rig_say(&g, 0, 0, &r), 1);
	r = mac_route(99);
	assert_int_equal(rig_unsay(&g, 0, 0, &r), 0);
	/* and once more before it is over */
	learn_stale(l, source, ROUTE_EVPN);
	r = mac_route(98);
	assert_int_equal(rig_say(&g, 0, 0, &r), 1);
	assert_int_equal(learn_swept(l, source, ROUTE_EVPN), 41);
	rig_run(&g);
	assert_int_equal(rig_count_kind(&g, 0, FWD_MAC), 2);
	assert_string_equal(rig_where_mac(&g, 0, 5001, 98), FRR);
	assert_int_equal(routes_length(learn_routes(l)), 1);
	assert_int_equal(learn_swept(l, source, ROUTE_EVPN), 0);
	rig_run(&g);
}

static void a_neighbor_that_is_removed_leaves_nothing(void **state)
{
	uint16_t source = rig_neighbor(&g, 0, 0, FRR), next;
	struct rig_route r;

	g.budget = 10;
	rig_port_up(&g, 0, RED_WEB, 200);
	for (unsigned i = 1; i <= 100; i++) {
		r = mac_route(i);
		rig_say(&g, 0, 0, &r);
	}
	rig_run(&g);
	learn_neighbor_remove(g.nodes[0].learn, source);
	rig_commit(&g, 0);
	next = rig_neighbor(&g, 0, 1, FRR); /* the same again, with another number, and it says something at once */
	assert_int_not_equal(next, source);
	r = mac_route(50);
	assert_int_equal(rig_say(&g, 0, 1, &r), 1);
	rig_run(&g);
	assert_int_equal(rig_count_kind(&g, 0, FWD_MAC), 2);
	assert_string_equal(rig_where_mac(&g, 0, 5001, 50), FRR);
	assert_int_equal(rig_neighbor(&g, 0, 2, FRR), source);
}

/* ---- why ---- */

static struct learn_why whys[16];
static size_t n_whys;

static void on_why(void *arg, const struct learn_why *w)
{
	whys[n_whys++] = *w;
}

static int ask(const struct learn_query *q)
{
	n_whys = 0;
	return learn_why(g.nodes[0].learn, q, on_why, NULL);
}

static enum decide_step step_of(uint16_t source)
{
	for (size_t i = 0; i < n_whys; i++)
		if (whys[i].source == ROUTE_SOURCE_BGP && whys[i].candidate.source == source)
			return whys[i].step;
	return DECIDE_MAX;
}

static void every_candidate_is_told_with_the_step_that_removed_it(void **state)
{
	struct rig_route low = host_route(2, "10.0.0.2"), high = low, refused = low, other = low;
	struct learn_query q = {.vni = 5001, .is_mac = true, .mac = rig_mac(2)};
	uint16_t sources[4];

	for (unsigned i = 0; i < 4; i++)
		sources[i] = rig_neighbor(&g, 0, i, "192.0.2.101");
	rig_port_up(&g, 0, RED_WEB, 1);
	rig_port_put(&g, 0, 1, RED_WEB, 2);
	high.node = "192.0.2.78";
	high.rd = 78;
	high.sequence = 3;
	refused.rd = 79;
	refused.targets[0] = rig_target(7777);
	refused.sequence = 9;
	other.rd = 80; /* the same MAC in another tenant: nobody's business here */
	other.vni = 6001;
	other.targets[0] = rig_target(6001);
	rig_say(&g, 0, 0, &low);
	rig_say(&g, 0, 1, &high);
	rig_say(&g, 0, 2, &refused);
	rig_say(&g, 0, 3, &other);
	rig_run(&g);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(ask(&q), 0);
		assert_int_equal(n_whys, 4);
		assert_int_equal(whys[0].step, DECIDE_BEST);
		assert_int_equal(whys[0].candidate.source, sources[1]);
		assert_int_equal(step_of(sources[0]), DECIDE_SEQUENCE);
		assert_int_equal(step_of(sources[2]), DECIDE_USABLE);
		for (size_t k = 0; k < n_whys; k++) {
			if (whys[k].source == ROUTE_SOURCE_CONFIG) {
				assert_string_equal(whys[k].name, "p2");
				assert_int_equal(whys[k].step, DECIDE_SOURCE);
			} else if (whys[k].candidate.source == sources[2]) {
				assert_int_equal(whys[k].verdict, IMPORT_TARGET);
			}
		}
		/* the address, asked for in the network; in the tenant the same */
		q = (struct learn_query){.vni = 5001, .prefix = {.addr = rig_address("10.0.0.2"), .length = 128}};
	}
	q.vni = 5000;
	assert_int_equal(ask(&q), 0);
	assert_int_equal(n_whys, 4);
	q.prefix.addr = rig_address("10.0.0.1");
	assert_int_equal(ask(&q), 0);
	assert_int_equal(n_whys, 1);
	assert_string_equal(whys[0].name, "p1");
	assert_int_equal(whys[0].source, ROUTE_SOURCE_LOCAL);
	assert_int_equal(whys[0].step, DECIDE_BEST);
	q.prefix = (struct prefix){.addr = rig_address("10.9.0.0"), .length = 112};
	assert_int_equal(ask(&q), -ENOENT);
	low = prefix_route("10.9.0.0", 112);
	rig_say(&g, 0, 0, &low);
	assert_int_equal(ask(&q), 0);
	assert_int_equal(whys[0].candidate.source, sources[0]);
}

/* ---- the configuration changes ---- */

static void a_network_that_goes_takes_its_routes_entries_along(void **state)
{
	rig_port_up(&g, 0, RED_WEB, 1);
	rig_port_up(&g, 0, RED_APP, 3);
	rig_port_up(&g, 1, RED_WEB, 2);
	rig_run(&g);
	rig_port_remove(&g, 0, 1);
	g.red[0] = g.red[2]; /* web is away */
	g.tenants[0].n_networks = 1;
	rig_load(&g, 0);
	rig_port_up(&g, 0, RED_WEB, 3); /* that is app now */
	rig_run(&g);
	assert_int_equal(rig_count_kind(&g, 0, FWD_MAC), 0);
	assert_string_equal(rig_where_host(&g, 0, 5000, "10.0.0.2"), "192.0.2.2"); /* by the tenant's VNI, as any router */
	assert_true(rig_find_host(&g, 0, 5000, "10.0.0.2")->host.l3);
	rig_port_remove(&g, 0, 3);
	g.tenants[0] = g.tenants[1];
	g.config.n_tenants = 1;
	rig_load(&g, 0);
	rig_run(&g);
	assert_int_equal(g.nodes[0].n_entries, 0);
}

static void a_vni_that_changes_is_another_network(void **state)
{
	rig_port_up(&g, 0, RED_WEB, 1);
	rig_port_up(&g, 1, RED_WEB, 2);
	rig_run(&g);
	g.red[0].vni = 5009;
	for (unsigned node = 0; node < 2; node++) {
		rig_load(&g, node);
		rig_port_up(&g, node, RED_WEB, node + 1);
		rig_run(&g);
	}
	assert_string_equal(rig_where_mac(&g, 0, 5009, 2), "192.0.2.2");
	assert_string_equal(rig_where_mac(&g, 1, 5009, 1), "192.0.2.1");
	assert_string_equal(rig_where_mac(&g, 0, 5001, 2), "nowhere");
	g.tenants[0].vni = 5008;
	for (unsigned node = 0; node < 2; node++) {
		rig_load(&g, node);
		rig_port_up(&g, node, RED_WEB, node + 1);
		rig_run(&g);
	}
	assert_string_equal(rig_where_host(&g, 0, 5008, "10.0.0.2"), "192.0.2.2");
	assert_string_equal(rig_where_host(&g, 0, 5000, "10.0.0.2"), "nowhere");
	assert_non_null(rig_find_member(&g, 0, 5008, "192.0.2.2"));
}

int main(void)
{
#define row(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		row(an_endpoint_is_reached_wherever_its_network_is),
		row(a_node_is_a_member_as_long_as_it_announces),
		row(tenants_hear_nothing_of_each_other),
		row(a_port_that_is_not_up_is_not_announced),
		row(a_port_of_this_node_is_nobody_elses_to_take),
		row(a_port_that_waits_gives_way_until_it_is_up),
		row(the_best_is_chosen_over_all_distinguishers_and_replaced_in_one_step),
		row(two_reflectors_say_the_same_and_one_is_enough),
		row(what_the_configuration_says_of_others_counts_until_they_speak),
		row(gateways_and_subnets_are_this_nodes_own),
		row(a_vtep_that_only_bridges_has_this_nodes_gateway),
		row(a_vtep_that_routes_has_its_own),
		row(what_lies_behind_a_router_is_reached_by_it),
		row(flooding_goes_to_whom_it_is_asked_for),
		row(a_vtep_may_become_a_node_of_the_file_and_cease_to_be),
		row(a_node_may_change_its_address),
		row(routes_of_what_is_not_needed_wait_for_a_port),
		row(a_port_that_comes_and_goes_while_routes_are_looked_at_leaves_nothing_out),
		row(targets_by_hand_replace_the_automatic_ones),
		row(a_neighbor_speaks_for_whom_it_may),
		row(a_neighbors_identifier_decides_when_nothing_else_does),
		row(what_is_not_said_again_counts_no_more_and_goes_in_slices),
		row(a_neighbor_that_is_removed_leaves_nothing),
		row(every_candidate_is_told_with_the_step_that_removed_it),
		row(a_network_that_goes_takes_its_routes_entries_along),
		row(a_vni_that_changes_is_another_network),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
