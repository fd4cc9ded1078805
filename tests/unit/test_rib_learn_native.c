/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tenant without encapsulation over BGP: its hosts are unicast routes, and what neighbors say of them is a route of the
 * kernel over all next hops that are as good as the best.
 */
#include "learn_rig.h"

#include <errno.h>

#define HOST "10.0.4.2"

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

static void here(void)
{
	rig_port_up(&g, 0, GREEN_ALL, 1);
	rig_run(&g);
}

static void say(unsigned neighbor, const char *host, const char *hop, uint32_t local_pref)
{
	struct rig_route r = rig_unicast_route(host, hop);

	r.local_pref = local_pref;
	rig_say(&g, 0, neighbor, &r);
}

static void unsay(unsigned neighbor, const char *host)
{
	const struct rig_route r = rig_unicast_route(host, RIG_VTEP);

	rig_unsay(&g, 0, neighbor, &r);
}

static void count_families(void *arg, const struct export_change *put)
{
	((size_t *)arg)[put->nlri.key.family]++;
}

static void ports_are_unicast_routes_and_no_others(void **state)
{
	size_t families[ROUTE_FAMILY_MAX] = {0};
	const struct fwd *host;

	here();
	rig_port_up(&g, 1, GREEN_ALL, 2);
	rig_run(&g);
	learn_announced_each(g.nodes[1].learn, count_families, families);
	assert_int_equal(families[ROUTE_IPV4], 1);
	assert_int_equal(families[ROUTE_EVPN], 0);
	assert_string_equal(rig_route_to(&g, 0, HOST), "192.0.2.2");
	assert_string_equal(rig_route_to(&g, 1, "10.0.4.1"), "192.0.2.1");
	host = rig_find_host(&g, 0, 7000, HOST);
	assert_non_null(host);
	assert_int_equal(rig_nexthop(&g, 0, host->host.nexthop)->type, FWD_NEXTHOP_NATIVE);
	assert_string_equal(rig_where_host(&g, 0, 7000, HOST), "192.0.2.2");
	rig_port_link(&g, 1, 2, false);
	rig_run(&g);
	assert_string_equal(rig_route_to(&g, 0, HOST), "none");
	assert_null(rig_find_host(&g, 0, 7000, HOST));
	assert_int_equal(rig_count_kind(&g, 2, FWD_ROUTE), 0); /* it has no port there */
}

static void routes_wait_for_a_port_of_the_tenant(void **state)
{
	rig_port_up(&g, 1, GREEN_ALL, 2);
	rig_run(&g);
	assert_int_equal(g.nodes[0].n_entries, 0);
	here();
	assert_string_equal(rig_route_to(&g, 0, HOST), "192.0.2.2");
	rig_port_remove(&g, 0, 1);
	rig_run(&g);
	assert_int_equal(g.nodes[0].n_entries, 0);
}

static void traffic_is_shared_among_the_best(void **state)
{
	static const char *const addresses[] = {"192.0.2.71", "192.0.2.72", "192.0.2.73", "192.0.2.74"};

	here();
	for (unsigned i = 0; i < 4; i++)
		rig_neighbor(&g, 0, i, addresses[i]);
	say(2, HOST, "192.0.2.73", 0);
	rig_run(&g);
	assert_string_equal(rig_route_to(&g, 0, HOST), "192.0.2.73");
	rig_count(&g, 0);
	say(0, HOST, "192.0.2.71", 0);
	say(3, HOST, "192.0.2.71", 0); /* the same, by another neighbor */
	rig_run(&g);
	assert_string_equal(rig_route_to(&g, 0, HOST), "192.0.2.71 192.0.2.73");
	say(1, HOST, "192.0.2.72", 50); /* worse */
	rig_run(&g);
	assert_string_equal(rig_route_to(&g, 0, HOST), "192.0.2.71 192.0.2.73");
	say(1, HOST, "192.0.2.72", 200); /* better */
	rig_run(&g);
	assert_string_equal(rig_route_to(&g, 0, HOST), "192.0.2.72");
	unsay(1, HOST);
	unsay(0, HOST);
	unsay(3, HOST);
	rig_run(&g);
	assert_string_equal(rig_route_to(&g, 0, HOST), "192.0.2.73");
	assert_int_equal(rig_count_kind(&g, 0, FWD_ROUTE), 1);
	assert_non_null(rig_find_host(&g, 0, 7000, HOST));
	unsay(2, HOST);
	rig_run(&g);
	assert_string_equal(rig_route_to(&g, 0, HOST), "none");
	assert_int_equal(rig_count_kind(&g, 0, FWD_NEXTHOP), 1); /* that of the port here */
}

/* As many as a route holds, and the same ones in whatever order they come. */
static void more_next_hops_than_fit_are_left_out(void **state)
{
	static const unsigned orders[][6] = {{1, 2, 3, 4, 5, 6}, {6, 5, 4, 3, 2, 1}, {3, 6, 1, 5, 2, 4}};
	struct rig_route r = rig_unicast_route(HOST, RIG_VTEP);
	char hop[32];

	here();
	for (unsigned i = 0; i < 4; i++)
		rig_neighbor(&g, 0, i, "192.0.2.70");
	for (unsigned o = 0; o < 3; o++) {
		for (unsigned i = 0; i < 6; i++) { /* one neighbor that says several at once (RFC 7911) */
			snprintf(hop, sizeof(hop), "192.0.2.7%u", orders[o][i]);
			r.node = hop;
			r.path_id = i + 1;
			rig_say(&g, 0, 0, &r);
		}
		rig_run(&g);
		assert_string_equal(rig_route_to(&g, 0, HOST), "192.0.2.71 192.0.2.72 192.0.2.73 192.0.2.74");
	}
}

static void a_host_that_moves_is_never_without_a_route(void **state)
{
	here();
	rig_port_up(&g, 1, GREEN_ALL, 2);
	rig_run(&g);
	rig_count(&g, 0);
	rig_port_up(&g, 2, GREEN_ALL, 2); /* there first */
	rig_run(&g);
	assert_string_equal(rig_route_to(&g, 0, HOST), "192.0.2.2 192.0.2.3");
	rig_port_remove(&g, 1, 2);
	rig_run(&g);
	assert_string_equal(rig_route_to(&g, 0, HOST), "192.0.2.3");
	assert_string_equal(rig_where_host(&g, 0, 7000, HOST), "192.0.2.3");
	assert_int_equal(g.nodes[0].n_deleted, 2); /* of the node that it left: the next hop, and what it is a member of */
	assert_string_equal(rig_route_to(&g, 1, HOST), "none"); /* no port of the tenant is left there */
}

static void what_is_stale_is_kept_until_it_is_swept(void **state)
{
	uint16_t source;

	here();
	source = rig_neighbor(&g, 0, 0, RIG_VTEP);
	say(0, HOST, RIG_VTEP, 0);
	say(0, "10.0.4.3", RIG_VTEP, 0);
	rig_run(&g);
	learn_stale(g.nodes[0].learn, source, ROUTE_IPV4);
	rig_run(&g);
	assert_string_equal(rig_route_to(&g, 0, HOST), RIG_VTEP);
	say(0, HOST, RIG_VTEP, 0);
	assert_int_equal(learn_swept(g.nodes[0].learn, source, ROUTE_IPV4), 1);
	rig_run(&g);
	assert_string_equal(rig_route_to(&g, 0, HOST), RIG_VTEP);
	assert_string_equal(rig_route_to(&g, 0, "10.0.4.3"), "none");
}

static void a_local_port_is_delivered_to_whatever_others_say(void **state)
{
	here();
	rig_neighbor(&g, 0, 0, RIG_VTEP);
	say(0, "10.0.4.1", RIG_VTEP, 200);
	rig_run(&g);
	assert_string_equal(rig_where_host(&g, 0, 7000, "10.0.4.1"), "port");
	rig_port_link(&g, 0, 1, false);
	rig_run(&g);
	assert_string_equal(rig_where_host(&g, 0, 7000, "10.0.4.1"), RIG_VTEP);
	assert_string_equal(rig_route_to(&g, 0, "10.0.4.1"), RIG_VTEP);
}

static void the_file_stands_behind_what_neighbors_say(void **state)
{
	here();
	rig_port_put(&g, 0, 1, GREEN_ALL, 2);
	rig_run(&g);
	assert_string_equal(rig_route_to(&g, 0, HOST), "192.0.2.2");
	rig_neighbor(&g, 0, 0, RIG_VTEP);
	rig_count(&g, 0);
	say(0, HOST, RIG_VTEP, 0);
	rig_run(&g);
	assert_string_equal(rig_route_to(&g, 0, HOST), RIG_VTEP);
	unsay(0, HOST);
	rig_run(&g);
	assert_string_equal(rig_route_to(&g, 0, HOST), "192.0.2.2");
	assert_string_equal(rig_where_host(&g, 0, 7000, HOST), "192.0.2.2");
	assert_int_equal(g.nodes[0].n_deleted, 1); /* the next hop of the neighbor */
}

/* Who is a next hop of plain packets does not send tunnel packets. */
static void next_hops_are_no_members(void **state)
{
	here();
	rig_neighbor(&g, 0, 0, RIG_VTEP);
	say(0, HOST, RIG_VTEP, 0);
	rig_run(&g);
	assert_string_equal(rig_where_host(&g, 0, 7000, HOST), RIG_VTEP);
	assert_null(rig_find_member(&g, 0, 7000, RIG_VTEP));
}

static void evpn_routes_of_the_tenant_count_for_nothing(void **state)
{
	struct rig_route r = rig_prefix_route(HOST, 128);

	r.vni = 7000;
	r.targets[0] = rig_target(7000);
	here();
	rig_neighbor(&g, 0, 0, RIG_VTEP);
	rig_say(&g, 0, 0, &r);
	rig_run(&g);
	assert_null(rig_find_host(&g, 0, 7000, HOST));
	assert_string_equal(rig_route_to(&g, 0, HOST), "none");
}

static void unicast_is_for_no_other_tenant(void **state)
{
	here();
	rig_port_up(&g, 0, RED_APP, 3);
	rig_neighbor(&g, 0, 0, RIG_VTEP);
	say(0, "10.0.2.9", RIG_VTEP, 0); /* in red's subnet */
	say(0, "192.0.2.2", RIG_VTEP, 0); /* a node */
	say(0, "10.0.4.254", RIG_VTEP, 0); /* the gateway */
	rig_run(&g);
	assert_int_equal(rig_count_kind(&g, 0, FWD_ROUTE), 0);
	assert_null(rig_find_host(&g, 0, 5000, "10.0.2.9"));
}

static void a_subnet_that_goes_takes_its_routes_along(void **state)
{
	here();
	rig_neighbor(&g, 0, 0, RIG_VTEP);
	say(0, HOST, RIG_VTEP, 0);
	rig_run(&g);
	assert_string_equal(rig_route_to(&g, 0, HOST), RIG_VTEP);
	g.subnets[GREEN_ALL].length = 127; /* 10.0.4.0 and 10.0.4.1 */
	rig_load(&g, 0);
	here();
	assert_string_equal(rig_route_to(&g, 0, HOST), "none");
	unsay(0, HOST);
	rig_run(&g);
	g.subnets[GREEN_ALL].length = 120;
	rig_load(&g, 0);
	here();
	assert_string_equal(rig_route_to(&g, 0, HOST), "none");
	say(0, HOST, RIG_VTEP, 0);
	rig_run(&g);
	assert_string_equal(rig_route_to(&g, 0, HOST), RIG_VTEP);
}

static void the_encapsulation_changes_and_back(void **state)
{
	for (int i = 0; i < 2; i++) {
		g.green[0].encap = i == 0 ? CONFIG_ENCAP_VXLAN : CONFIG_ENCAP_NONE;
		for (unsigned node = 0; node < 2; node++) {
			rig_load(&g, node);
			rig_port_up(&g, node, GREEN_ALL, node + 1);
			rig_run(&g);
		}
		assert_string_equal(rig_where_host(&g, 0, 7000, HOST), "192.0.2.2");
		assert_int_equal(rig_nexthop(&g, 0, rig_find_host(&g, 0, 7000, HOST)->host.nexthop)->type,
				 i == 0 ? FWD_NEXTHOP_TUNNEL : FWD_NEXTHOP_NATIVE);
		assert_string_equal(rig_route_to(&g, 0, HOST), i == 0 ? "none" : "192.0.2.2");
	}
}

/* A router that says of a host both that it is behind a tunnel and that it is not: what fits the network counts. */
static void of_both_words_the_one_that_fits_counts(void **state)
{
	struct rig_route evpn = rig_prefix_route(HOST, 128);
	struct addr own = rig_host(GREEN_ALL, 1);
	struct config_port port = {.name = (char *)"p1", .node = &g.config_nodes[0], .network = rig_network(&g, GREEN_ALL),
				   .mac = rig_mac(1), .addresses = &own, .n_addresses = 1};

	g.config.ports = &port; /* in the file: it stays over a change */
	g.config.n_ports = 1;
	evpn.vni = 7000;
	evpn.targets[0] = rig_target(7000);
	here();
	rig_neighbor(&g, 0, 0, RIG_VTEP);
	say(0, HOST, RIG_VTEP, 0);
	rig_say(&g, 0, 0, &evpn);
	for (int i = 0; i < 4; i++) {
		bool native = i % 2 == 0;

		g.green[0].encap = native ? CONFIG_ENCAP_NONE : CONFIG_ENCAP_VXLAN;
		rig_load(&g, 0);
		rig_run(&g);
		assert_string_equal(rig_where_host(&g, 0, 7000, HOST), RIG_VTEP);
		assert_int_equal(rig_nexthop(&g, 0, rig_find_host(&g, 0, 7000, HOST)->host.nexthop)->type,
				 native ? FWD_NEXTHOP_NATIVE : FWD_NEXTHOP_TUNNEL);
		assert_string_equal(rig_route_to(&g, 0, HOST), native ? RIG_VTEP : "none");
	}
	unsay(0, HOST);
	rig_run(&g);
	assert_string_equal(rig_where_host(&g, 0, 7000, HOST), RIG_VTEP); /* VXLAN: it was nothing that counted */
	say(0, HOST, RIG_VTEP, 0);
	g.green[0].encap = CONFIG_ENCAP_NONE;
	rig_load(&g, 0);
	rig_run(&g);
	unsay(0, HOST);
	rig_run(&g);
	assert_string_equal(rig_where_host(&g, 0, 7000, HOST), "nowhere");
}

/* ---- why ---- */

struct answers {
	size_t n;
	struct learn_why why[8];
};

static void on_why(void *arg, const struct learn_why *why)
{
	struct answers *a = arg;

	assert_in_range(a->n, 0, 7);
	a->why[a->n++] = *why;
}

static struct answers ask(const char *host, uint8_t length, uint32_t tenant, int want)
{
	const struct learn_query q = {.vni = tenant, .prefix = {rig_address(host), length}};
	struct answers a = {0};

	assert_int_equal(learn_why(g.nodes[0].learn, &q, on_why, &a), want);
	return a;
}

static void why_tells_of_each_candidate(void **state)
{
	struct answers a;

	here();
	rig_port_put(&g, 0, 1, GREEN_ALL, 2);
	rig_neighbor(&g, 0, 0, "192.0.2.71");
	rig_neighbor(&g, 0, 1, "192.0.2.72");
	rig_neighbor(&g, 0, 2, "192.0.2.73");
	say(0, HOST, "192.0.2.71", 50);
	say(1, HOST, "192.0.2.72", 0);
	say(2, HOST, "10.0.4.9", 200); /* an endpoint is no next hop */
	rig_run(&g);
	a = ask(HOST, 128, 7000, 0);
	assert_int_equal(a.n, 4);
	assert_int_equal(a.why[0].step, DECIDE_BEST);
	assert_string_equal(rig_route_to(&g, 0, HOST), "192.0.2.72");
	for (size_t i = 1; i < 4; i++) {
		enum decide_step want = a.why[i].source == ROUTE_SOURCE_CONFIG	      ? DECIDE_SOURCE :
					a.why[i].verdict == IMPORT_NEXT_HOP ? DECIDE_USABLE : DECIDE_LOCAL_PREF;

		assert_int_equal(a.why[i].step, want);
	}
	ask(HOST, 128, 5000, -ENOENT); /* nobody says anything of red's */
	say(0, "10.0.9.9", "192.0.2.71", 0);
	a = ask("10.0.9.9", 128, 7000, 0);
	assert_int_equal(a.n, 1);
	assert_int_equal(a.why[0].verdict, IMPORT_SUBNET);
}

int main(void)
{
#define RIG(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
	const struct CMUnitTest tests[] = {
		RIG(ports_are_unicast_routes_and_no_others),
		RIG(routes_wait_for_a_port_of_the_tenant),
		RIG(traffic_is_shared_among_the_best),
		RIG(more_next_hops_than_fit_are_left_out),
		RIG(a_host_that_moves_is_never_without_a_route),
		RIG(what_is_stale_is_kept_until_it_is_swept),
		RIG(a_local_port_is_delivered_to_whatever_others_say),
		RIG(the_file_stands_behind_what_neighbors_say),
		RIG(next_hops_are_no_members),
		RIG(evpn_routes_of_the_tenant_count_for_nothing),
		RIG(unicast_is_for_no_other_tenant),
		RIG(a_subnet_that_goes_takes_its_routes_along),
		RIG(the_encapsulation_changes_and_back),
		RIG(of_both_words_the_one_that_fits_counts),
		RIG(why_tells_of_each_candidate),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
