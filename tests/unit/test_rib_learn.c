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

static struct standing {
	struct fwd entry;
	size_t n, n_about;
	uint16_t source;
} standing;

static void on_route(void *arg, const struct routes_candidate *c)
{
	standing.n_about++;
	if (!learn_stands_for(arg, &standing.entry, c))
		return;
	standing.n++;
	standing.source = c->source;
}

/* With an address and without, of two neighbors, one of which may not speak for the tenant: one of them is shown. */
static void of_all_that_is_said_of_an_entry_one_route_stands_for_it(void **state)
{
	const struct rig_route alone = rig_mac_route(9), four = rig_host_route(9, "10.0.0.9"),
			       six = rig_host_route(9, "fd00::9");
	struct rig_route farther = rig_mac_route(9);
	struct learn *l = g.nodes[0].learn;
	uint64_t cursor = 0;
	uint16_t second;

	farther.node = "192.0.2.78";
	farther.rd = 99;
	farther.local_pref = 50;
	rig_port_up(&g, 0, RED_WEB, 1);
	rig_neighbor(&g, 0, 0, "198.51.100.1");
	second = rig_neighbor(&g, 0, 1, "198.51.100.2");
	rig_say(&g, 0, 0, &farther);
	rig_say(&g, 0, 1, &alone);
	rig_say(&g, 0, 1, &four);
	rig_say(&g, 0, 1, &six);
	rig_run(&g);
	assert_string_equal(rig_where_mac(&g, 0, 5001, 9), RIG_VTEP);
	standing = (struct standing){.entry = {.kind = FWD_MAC, .mac = {.vni = 5001, .mac = rig_mac(9)}}};
	while (routes_walk(learn_routes(l), &cursor, SIZE_MAX, on_route, l))
		;
	assert_in_range(standing.n_about, 4, 20);
	assert_int_equal(standing.n, 1);
	assert_int_equal(standing.source, second);
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
	struct rig_route r = rig_host_route(1, "10.0.0.1");

	r.sequence = 1000;
	r.sticky = true;
	rig_neighbor(&g, 0, 0, RIG_VTEP);
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
	struct rig_route r = rig_host_route(1, "10.0.0.1");
	const struct fwd key = {.kind = FWD_MAC, .mac = {.vni = 5001, .mac = rig_mac(1)}};
	enum route_source source;

	rig_neighbor(&g, 0, 0, RIG_VTEP);
	rig_port_up(&g, 0, RED_WEB, 9);
	rig_port_put(&g, 0, 0, RED_WEB, 1);
	rig_say(&g, 0, 0, &r);
	rig_run(&g);
	assert_string_equal(rig_where_mac(&g, 0, 5001, 1), RIG_VTEP);
	assert_string_equal(rig_where_host(&g, 0, 5000, "10.0.0.1"), RIG_VTEP);
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
	assert_string_equal(rig_where_mac(&g, 0, 5001, 1), RIG_VTEP);
}

static void the_best_is_chosen_over_all_distinguishers_and_replaced_in_one_step(void **state)
{
	struct rig_route a = rig_mac_route(5), b = rig_mac_route(5);

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
	assert_string_equal(rig_where_mac(&g, 0, 5001, 5), RIG_VTEP);
	a.sequence = 2;
	assert_int_equal(rig_say(&g, 0, 0, &a), 0); /* known, and changed */
	rig_run(&g);
	assert_string_equal(rig_where_mac(&g, 0, 5001, 5), "192.0.2.78");
	b.sticky = true;
	rig_say(&g, 0, 1, &b);
	rig_run(&g);
	assert_string_equal(rig_where_mac(&g, 0, 5001, 5), RIG_VTEP);
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
	struct rig_route r = rig_mac_route(5);

	rig_neighbor(&g, 0, 0, "192.0.2.101");
	rig_neighbor(&g, 0, 1, "192.0.2.102");
	rig_port_up(&g, 0, RED_WEB, 1);
	rig_say(&g, 0, 0, &r);
	rig_say(&g, 0, 1, &r);
	rig_run(&g);
	rig_count(&g, 0);
	rig_unsay(&g, 0, 0, &r);
	rig_run(&g);
	assert_string_equal(rig_where_mac(&g, 0, 5001, 5), RIG_VTEP);
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
	struct rig_route gateway = rig_host_route(66, "10.0.0.254"), subnet = rig_prefix_route("10.0.0.0", 120);

	rig_neighbor(&g, 0, 0, RIG_VTEP);
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
	struct addr frr = rig_address(RIG_VTEP);

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
	struct rig_route r = rig_host_route(7, "10.0.0.7");
	const struct fwd *mac;
	struct addr frr = rig_address(RIG_VTEP);

	rig_neighbor(&g, 0, 0, RIG_VTEP);
	rig_port_up(&g, 0, RED_WEB, 1);
	rig_say(&g, 0, 0, &r);
	rig_run(&g);
	mac = rig_find_mac(&g, 0, 5001, 7);
	assert_true(rig_nexthop(&g, 0, mac->mac.nexthop)->foreign);
	assert_int_equal(rig_nexthop(&g, 0, mac->mac.nexthop)->mtu, 1450);
	assert_true(rig_find_member(&g, 0, 5001, RIG_VTEP)->member.foreign);
	assert_null(rig_find_member(&g, 0, 5000, RIG_VTEP));
	count_remotes();
	assert_int_equal(n_remotes, 1);
	assert_true(frr_is_remote);
	rib_path_set(g.nodes[0].rib, &frr, 9000, true);
	rig_run(&g);
	assert_int_equal(rig_nexthop(&g, 0, mac->mac.nexthop)->mtu, 8950);
	rig_unsay(&g, 0, 0, &r);
	rig_run(&g);
	assert_null(rig_find_member(&g, 0, 5001, RIG_VTEP));
	count_remotes();
	assert_int_equal(n_remotes, 0);
}

static void a_vtep_that_routes_has_its_own(void **state)
{
	struct rig_route r = rig_host_route(7, "10.0.0.7");
	const struct fwd *mac;

	rig_neighbor(&g, 0, 0, RIG_VTEP);
	rig_port_up(&g, 0, RED_WEB, 1);
	r.l3_vni = 5000;
	r.targets[1] = rig_target(5000);
	rig_say(&g, 0, 0, &r);
	rig_run(&g);
	mac = rig_find_mac(&g, 0, 5001, 7);
	assert_false(rig_nexthop(&g, 0, mac->mac.nexthop)->foreign);
	assert_true(mac_equal(&rig_nexthop(&g, 0, mac->mac.nexthop)->router_mac, &(struct mac){{6, 0, 0, 0, 0, 77}}));
	assert_false(rig_find_member(&g, 0, 5001, RIG_VTEP)->member.foreign);
	assert_true(rig_find_member(&g, 0, 5000, RIG_VTEP)->member.l3);
	assert_false(rig_find_host(&g, 0, 5000, "10.0.0.7")->host.l3); /* known with its MAC */
	r.l3_vni = 0;
	r.targets[1] = 0;
	rig_say(&g, 0, 0, &r); /* it routes no more */
	rig_run(&g);
	assert_true(rig_nexthop(&g, 0, rig_find_mac(&g, 0, 5001, 7)->mac.nexthop)->foreign);
	assert_null(rig_find_member(&g, 0, 5000, RIG_VTEP));
}

static void what_lies_behind_a_router_is_reached_by_it(void **state)
{
	struct rig_route prefix = rig_prefix_route("10.9.0.0", 112), host = rig_prefix_route("10.8.0.1", 128);
	const struct fwd *f;

	rig_neighbor(&g, 0, 0, RIG_VTEP);
	rig_port_up(&g, 0, RED_APP, 1);
	rig_say(&g, 0, 0, &prefix);
	rig_say(&g, 0, 0, &host);
	rig_run(&g);
	f = rig_find_prefix(&g, 0, 5000, "10.9.0.0/16");
	assert_int_equal(f->prefix.vni, 5000);
	assert_true(mac_equal(&rig_nexthop(&g, 0, f->prefix.nexthop)->router_mac, &(struct mac){{6, 0, 0, 0, 0, 77}}));
	assert_string_equal(rig_where_host(&g, 0, 5000, "10.8.0.1"), RIG_VTEP);
	assert_true(rig_find_member(&g, 0, 5000, RIG_VTEP)->member.l3);
	rig_unsay(&g, 0, 0, &prefix);
	rig_run(&g);
	assert_null(rig_find_prefix(&g, 0, 5000, "10.9.0.0/16"));
	assert_non_null(rig_find_member(&g, 0, 5000, RIG_VTEP));
	rig_unsay(&g, 0, 0, &host);
	rig_run(&g);
	assert_null(rig_find_member(&g, 0, 5000, RIG_VTEP));
	assert_int_equal(rig_count_kind(&g, 0, FWD_NEXTHOP), 1);
}

static uint8_t router_of(const char *prefix)
{
	const struct fwd *f = rig_find_prefix(&g, 0, 5000, prefix);

	assert_non_null(f);
	return rig_nexthop(&g, 0, f->prefix.nexthop)->router_mac.bytes[4];
}

/* Each route is for the router that it names, also where another one at that VTEP was heard of later. */
static void routers_at_one_vtep_have_routes_of_their_own(void **state)
{
	struct rig_route best = rig_prefix_route("10.9.0.0", 112), worse = best, own = rig_prefix_route("10.8.0.0", 112);

	worse.rd = own.rd = 78;
	worse.router = own.router = 1;
	worse.local_pref = 1;
	rig_port_up(&g, 0, RED_WEB, 1);
	rig_neighbor(&g, 0, 0, RIG_VTEP);
	rig_neighbor(&g, 0, 1, "192.0.2.101");
	rig_say(&g, 0, 0, &best);
	rig_say(&g, 0, 1, &worse);
	rig_run(&g);
	assert_int_equal(router_of("10.9.0.0/16"), 0);
	rig_say(&g, 0, 1, &own);
	rig_run(&g);
	assert_int_equal(router_of("10.9.0.0/16"), 0);
	assert_int_equal(router_of("10.8.0.0/16"), 1);
	rig_unsay(&g, 0, 1, &worse);
	rig_unsay(&g, 0, 1, &own);
	rig_run(&g);
	assert_int_equal(router_of("10.9.0.0/16"), 0);
	best.router = 2; /* it has another one now */
	rig_say(&g, 0, 0, &best);
	rig_run(&g);
	assert_int_equal(router_of("10.9.0.0/16"), 2);
	rig_unsay(&g, 0, 0, &best);
	rig_run(&g);
	assert_null(rig_find_prefix(&g, 0, 5000, "10.9.0.0/16"));
	assert_null(rig_find_member(&g, 0, 5000, RIG_VTEP));
}

static void flooding_goes_to_whom_it_is_asked_for(void **state)
{
	struct rig_route r = {.type = ROUTE_EVPN_IMET, .node = RIG_VTEP, .rd = 77, .vni = 5001, .targets = {rig_target(5001)}};

	rig_neighbor(&g, 0, 0, RIG_VTEP);
	rig_port_up(&g, 0, RED_WEB, 1);
	rig_say(&g, 0, 0, &r);
	rig_run(&g);
	assert_int_equal(rig_count_kind(&g, 0, FWD_FLOOD), 2);
	assert_non_null(rig_find_member(&g, 0, 5001, RIG_VTEP));
	rig_unsay(&g, 0, 0, &r);
	rig_run(&g);
	assert_int_equal(rig_count_kind(&g, 0, FWD_FLOOD), 1);
	assert_null(rig_find_member(&g, 0, 5001, RIG_VTEP));
}

static void a_vtep_may_become_a_node_of_the_file_and_cease_to_be(void **state)
{
	struct rig_route r = rig_host_route(7, "10.0.0.7"), imet = {.type = ROUTE_EVPN_IMET, .node = "192.0.2.3", .rd = 77, .vni = 5001,
							       .targets = {rig_target(5001)}};

	r.node = "192.0.2.3"; /* of node 2 */
	g.config.n_nodes = 2;
	rig_load(&g, 0);
	rig_neighbor(&g, 0, 0, RIG_VTEP);
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

int main(void)
{
#define row(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		row(an_endpoint_is_reached_wherever_its_network_is),
		row(of_all_that_is_said_of_an_entry_one_route_stands_for_it),
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
		row(routers_at_one_vtep_have_routes_of_their_own),
		row(flooding_goes_to_whom_it_is_asked_for),
		row(a_vtep_may_become_a_node_of_the_file_and_cease_to_be),
		row(a_node_may_change_its_address),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
