/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Scope, targets, grants, sessions and the configuration change: what was learned follows.
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

/* ---- scope ---- */

static void routes_of_what_is_not_needed_wait_for_a_port(void **state)
{
	struct rig_route r;

	g.budget = 7;
	rig_neighbor(&g, 0, 0, RIG_VTEP);
	for (unsigned i = 1; i <= 100; i++) {
		char address[32];

		snprintf(address, sizeof(address), "10.0.0.%u", i);
		r = rig_host_route(i, address);
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

/* Whatever had been looked at when the next port went, its last item included. */
static void ports_that_go_one_after_the_other_leave_nothing(void **state)
{
	struct rig_route r;

	rig_neighbor(&g, 0, 0, RIG_VTEP);
	for (unsigned i = 1; i <= 5; i++) {
		char address[32];

		snprintf(address, sizeof(address), "10.0.0.%u", i);
		r = rig_host_route(i, address);
		rig_say(&g, 0, 0, &r);
	}
	for (size_t budget = 1; budget <= 12; budget++) {
		g.budget = 1000;
		rig_port_up(&g, 0, RED_APP, 200);
		rig_port_up(&g, 0, RED_WEB, 201);
		rig_run(&g);
		rig_port_remove(&g, 0, 201);
		rig_commit(&g, 0);
		learn_run(g.nodes[0].learn, g.now_ms, budget);
		rig_port_remove(&g, 0, 200);
		g.budget = 0; /* it is committed before there is time for the rest */
		rig_commit(&g, 0);
		g.budget = 1000;
		rig_run(&g);
		assert_int_equal(g.nodes[0].n_entries, 0);
	}
}

/* Four neighbors say each of them: a turn has a budget of routes looked at, not of keys, and none is looked at four times. */
static void what_is_said_by_many_is_looked_at_within_the_budget(void **state)
{
	unsigned turns = 1;

	g.budget = 40;
	for (unsigned i = 0; i < 4; i++) {
		rig_neighbor(&g, 0, i, RIG_VTEP);
		for (unsigned number = 300; number < 400; number++) {
			struct rig_route r = rig_mac_route(number);

			rig_say(&g, 0, i, &r);
		}
	}
	rig_run(&g);
	rig_port_up(&g, 0, RED_WEB, 1);
	rig_commit(&g, 0); /* which brings the network into scope */
	rig_commit(&g, 0);
	assert_in_range(rig_count_kind(&g, 0, FWD_MAC), 1, 1 + 40 / 4);
	for (; learn_next_ms(g.nodes[0].learn) == 0; turns++)
		rig_commit(&g, 0);
	assert_int_equal(rig_count_kind(&g, 0, FWD_MAC), 101);
	assert_in_range(turns, 10, 60);
}

static void a_port_that_comes_and_goes_while_routes_are_looked_at_leaves_nothing_out(void **state)
{
	struct rig_route r;

	g.budget = 3;
	rig_neighbor(&g, 0, 0, RIG_VTEP);
	for (unsigned i = 1; i <= 60; i++) {
		r = rig_mac_route(i);
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

/* What a new configuration makes somebody else's is there in the commit that takes it from the old one. */
static void a_network_that_is_renamed_or_renumbered_keeps_what_was_learned(void **state)
{
	struct rig_route r = rig_mac_route(9), other = rig_mac_route(10);

	other.vni = 5009;
	other.targets[0] = rig_target(5009);
	rig_port_up(&g, 0, RED_WEB, 1);
	rig_neighbor(&g, 0, 0, RIG_VTEP);
	rig_say(&g, 0, 0, &r);
	rig_say(&g, 0, 0, &other);
	rig_run(&g);
	g.budget = 0; /* nothing but the transaction has its turn */
	g.red[0].name = (char *)"www";
	g.red[0].full_name = (char *)"red/www";
	rig_load(&g, 0);
	rig_port_up(&g, 0, RED_WEB, 1);
	rig_count(&g, 0);
	rib_settle(g.nodes[0].rib);
	rig_commit(&g, 0);
	assert_string_equal(rig_where_mac(&g, 0, 5001, 9), RIG_VTEP);
	g.red[0].vni = 5009;
	rig_load(&g, 0);
	rig_port_up(&g, 0, RED_WEB, 1);
	rib_settle(g.nodes[0].rib);
	rig_commit(&g, 0);
	assert_string_equal(rig_where_mac(&g, 0, 5001, 9), "nowhere");
	assert_string_equal(rig_where_mac(&g, 0, 5009, 10), RIG_VTEP);
	assert_int_equal(learn_next_ms(g.nodes[0].learn) == 0, false);
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
	struct rig_route r = rig_mac_route(5);
	uint32_t red = 5000, blue = 6000;
	struct learn_neighbor limited = {.neighbor = {.address = rig_address(RIG_VTEP), .router_id = 100}, .limited = true,
					 .tenants = &blue, .n_tenants = 1};
	uint16_t source = rig_neighbor(&g, 0, 0, RIG_VTEP);

	rig_port_up(&g, 0, RED_WEB, 1);
	rig_say(&g, 0, 0, &r);
	rig_run(&g);
	assert_string_equal(rig_where_mac(&g, 0, 5001, 5), RIG_VTEP);
	assert_int_equal(learn_neighbor_set(g.nodes[0].learn, source, &limited), 0);
	rig_run(&g);
	assert_string_equal(rig_where_mac(&g, 0, 5001, 5), "nowhere");
	limited.tenants = &red;
	assert_int_equal(learn_neighbor_set(g.nodes[0].learn, source, &limited), 0);
	rig_run(&g);
	assert_string_equal(rig_where_mac(&g, 0, 5001, 5), RIG_VTEP);
}

static void a_neighbors_identifier_decides_when_nothing_else_does(void **state)
{
	struct rig_route a = rig_prefix_route("10.9.0.0", 112), b = a;
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
	uint16_t source = rig_neighbor(&g, 0, 0, RIG_VTEP);
	struct rig_route r;

	rig_port_up(&g, 0, RED_WEB, 200);
	for (unsigned i = 1; i <= 100; i++) {
		r = rig_mac_route(i);
		assert_int_equal(rig_say(&g, 0, 0, &r), 1);
	}
	rig_run(&g);
	learn_stale(l, source, ROUTE_EVPN);
	for (unsigned i = 1; i <= 40; i++) {
		r = rig_mac_route(i);
		assert_int_equal(rig_say(&g, 0, 0, &r), 0);
	}
	rig_run(&g);
	assert_int_equal(rig_count_kind(&g, 0, FWD_MAC), 101); /* stale ones count until then */
	g.budget = 10;
	assert_int_equal(learn_swept(l, source, ROUTE_EVPN), 60);
	rig_commit(&g, 0);
	assert_in_range(rig_count_kind(&g, 0, FWD_MAC), 91, 101);
	/* those that wait to go are new when they are said again, and are not withdrawn twice */
	r = rig_mac_route(100);
	assert_int_equal(rig_say(&g, 0, 0, &r), 1);
	r = rig_mac_route(99);
	assert_int_equal(rig_unsay(&g, 0, 0, &r), 0);
	/* and once more before it is over */
	learn_stale(l, source, ROUTE_EVPN);
	r = rig_mac_route(98);
	assert_int_equal(rig_say(&g, 0, 0, &r), 1);
	assert_int_equal(learn_swept(l, source, ROUTE_EVPN), 41);
	rig_run(&g);
	assert_int_equal(rig_count_kind(&g, 0, FWD_MAC), 2);
	assert_string_equal(rig_where_mac(&g, 0, 5001, 98), RIG_VTEP);
	assert_int_equal(routes_length(learn_routes(l)), 1);
	assert_int_equal(learn_swept(l, source, ROUTE_EVPN), 0);
	rig_run(&g);
}

static void a_neighbor_that_is_removed_leaves_nothing(void **state)
{
	uint16_t source = rig_neighbor(&g, 0, 0, RIG_VTEP), next;
	struct rig_route r;

	g.budget = 10;
	rig_port_up(&g, 0, RED_WEB, 200);
	for (unsigned i = 1; i <= 100; i++) {
		r = rig_mac_route(i);
		rig_say(&g, 0, 0, &r);
	}
	rig_run(&g);
	learn_neighbor_remove(g.nodes[0].learn, source);
	rig_commit(&g, 0);
	next = rig_neighbor(&g, 0, 1, RIG_VTEP); /* the same again, with another number, and it says something at once */
	assert_int_not_equal(next, source);
	r = rig_mac_route(50);
	assert_int_equal(rig_say(&g, 0, 1, &r), 1);
	rig_run(&g);
	assert_int_equal(rig_count_kind(&g, 0, FWD_MAC), 2);
	assert_string_equal(rig_where_mac(&g, 0, 5001, 50), RIG_VTEP);
	assert_int_equal(rig_neighbor(&g, 0, 2, RIG_VTEP), source);
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

static void count_why(void *arg, const struct learn_why *w)
{
	size_t *n = arg;

	*n += w->verdict == IMPORT_CROWDED && w->step == DECIDE_USABLE;
}

/* Of MAC 9: those that are said to be too many. */
static size_t ask_many(void)
{
	const struct learn_query q = {.vni = 5001, .is_mac = true, .mac = rig_mac(9)};
	size_t n = 0;

	assert_int_equal(learn_why(g.nodes[0].learn, &q, count_why, &n), 0);
	return n;
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
	struct rig_route low = rig_host_route(2, "10.0.0.2"), high = low, refused = low, other = low;
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
	low = rig_prefix_route("10.9.0.0", 112);
	rig_say(&g, 0, 0, &low);
	assert_int_equal(ask(&q), 0);
	assert_int_equal(whys[0].candidate.source, sources[0]);
}

/* ---- many ---- */

static void count_crowded(void *arg, const struct routes_candidate *c)
{
	size_t *n = arg;

	*n += learn_verdict(g.nodes[0].learn, c) == IMPORT_CROWDED;
}

static size_t n_crowded(void)
{
	uint64_t cursor = 0;
	size_t n = 0;

	while (routes_walk(learn_routes(g.nodes[0].learn), &cursor, SIZE_MAX, count_crowded, &n))
		;
	return n;
}

/* Under as many distinguishers: of one neighbor the best 64 are held against others', whenever they came. */
static void one_neighbor_has_so_many_offers_of_one_thing(void **state)
{
	struct rig_route r = rig_mac_route(9), other = rig_mac_route(9);

	other.sequence = 3;
	rig_port_up(&g, 0, RED_WEB, 1);
	rig_neighbor(&g, 0, 0, RIG_VTEP);
	rig_neighbor(&g, 0, 1, "192.0.2.101");
	rig_say(&g, 0, 1, &other);
	for (unsigned i = 0; i < 100; i++) {
		r.rd = 1000 + i;
		r.node = i == 50 ? "192.0.2.99" : RIG_VTEP;
		r.sequence = i == 50 ? 5 : 2;
		rig_say(&g, 0, 0, &r);
		if (i % 7 == 0)
			rig_commit(&g, 0);
	}
	rig_run(&g);
	assert_string_equal(rig_where_mac(&g, 0, 5001, 9), "192.0.2.99");
	assert_int_equal(n_crowded(), 36);
	r.rd = 5000; /* the last, and the best */
	r.node = "192.0.2.98";
	r.sequence = 6;
	rig_say(&g, 0, 0, &r);
	rig_run(&g);
	assert_string_equal(rig_where_mac(&g, 0, 5001, 9), "192.0.2.98");
	assert_int_equal(n_crowded(), 37);
	assert_int_equal(learn_next_ms(g.nodes[0].learn), UINT64_MAX);
	assert_int_equal(ask_many(), 37);
	rig_unsay(&g, 0, 0, &r);
	for (unsigned i = 0; i < 64; i++) {
		r.rd = 1000 + i;
		rig_unsay(&g, 0, 0, &r);
	}
	rig_run(&g);
	assert_int_equal(n_crowded(), 0);
	assert_string_equal(rig_where_mac(&g, 0, 5001, 9), RIG_VTEP);
}

/* ---- the underlay changes ---- */

static void reach(const char *address, bool reachable)
{
	const struct addr a = rig_address(address);

	rib_path_set(g.nodes[0].rib, &a, reachable ? 1500 : 0, reachable);
	rig_run(&g);
}

static const char *where_prefix(const char *prefix)
{
	static char text[ADDR_TEXT_SIZE];
	const struct fwd *f = rig_find_prefix(&g, 0, 5000, prefix);

	return f ? addr_format(&rig_nexthop(&g, 0, f->prefix.nexthop)->remote, text) : "nowhere";
}

static void a_next_hop_out_of_reach_counts_only_when_there_is_no_other(void **state)
{
	struct rig_route best = rig_prefix_route("10.9.0.0", 112), other = best;
	const struct learn_query q = {.vni = 5000, .prefix = {.addr = rig_address("10.9.0.0"), .length = 112}};

	best.local_pref = 200;
	other.node = "192.0.2.78";
	other.rd = 78;
	rig_port_up(&g, 0, RED_WEB, 1);
	rig_neighbor(&g, 0, 0, RIG_VTEP);
	rig_say(&g, 0, 0, &best);
	rig_say(&g, 0, 0, &other);
	rig_run(&g);
	assert_string_equal(where_prefix("10.9.0.0/16"), RIG_VTEP); /* nobody has looked yet */
	reach("192.0.2.78", true);
	assert_string_equal(where_prefix("10.9.0.0/16"), RIG_VTEP);
	reach(RIG_VTEP, false);
	assert_string_equal(where_prefix("10.9.0.0/16"), "192.0.2.78");
	assert_int_equal(ask(&q), 0);
	assert_int_equal(whys[0].candidate.attrs->next_hop.bytes[15], 78);
	assert_int_equal(whys[1].step, DECIDE_REACHABLE);
	reach("192.0.2.78", false);
	assert_string_equal(where_prefix("10.9.0.0/16"), RIG_VTEP);
	reach("192.0.2.78", true);
	reach(RIG_VTEP, true);
	assert_string_equal(where_prefix("10.9.0.0/16"), RIG_VTEP);
}

/* ---- the configuration changes ---- */

/* What it still announces goes to its VTEP, whatever the node of its name is then. */
static void a_node_that_leaves_the_file_has_tunnels_of_its_own(void **state)
{
	struct addr host = rig_host(RED_WEB, 1);
	struct config_port p[2] = {{.name = (char *)"p1", .node = &g.config_nodes[0], .network = &g.red[0], .mac = rig_mac(1),
				    .addresses = &host, .n_addresses = 1}};
	struct rig_route mac = rig_mac_route(9), prefix = rig_prefix_route("10.9.0.0", 112);

	mac.node = prefix.node = "192.0.2.3";
	g.config.ports = p;
	g.config.n_ports = 1;
	rig_port_up(&g, 0, RED_WEB, 1);
	rig_neighbor(&g, 0, 0, RIG_VTEP);
	rig_say(&g, 0, 0, &mac);
	rig_say(&g, 0, 0, &prefix);
	rig_run(&g);
	g.config.n_nodes = 2;
	rig_load(&g, 0);
	rig_run(&g);
	assert_string_equal(rig_where_mac(&g, 0, 5001, 9), "192.0.2.3");
	assert_string_equal(where_prefix("10.9.0.0/16"), "192.0.2.3");
	p[1] = (struct config_port){.name = (char *)"p2", .node = &g.config_nodes[2], .network = &g.red[0], .mac = rig_mac(2)};
	g.config.n_ports = 2;
	g.config.n_nodes = 3;
	g.underlay[2][0] = rig_address("192.0.2.50");
	rig_load(&g, 0);
	rig_run(&g);
	assert_string_equal(rig_where_mac(&g, 0, 5001, 9), "192.0.2.3");
	assert_string_equal(where_prefix("10.9.0.0/16"), "192.0.2.3");
	assert_string_equal(rig_where_mac(&g, 0, 5001, 2), "192.0.2.50");
	rig_unsay(&g, 0, 0, &mac);
	rig_unsay(&g, 0, 0, &prefix);
	rig_run(&g);
	assert_string_equal(rig_where_mac(&g, 0, 5001, 9), "nowhere");
	assert_string_equal(rig_where_mac(&g, 0, 5001, 2), "192.0.2.50");
	g.config.ports = NULL;
	g.config.n_ports = 0;
}

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

/* Else who may speak for one network could take the hosts of another one, which is before what is only routed to. */
static void a_networks_subnets_say_which_hosts_it_may_have(void **state)
{
	struct rig_route r = rig_host_route(9, "10.0.2.9");

	rig_port_up(&g, 0, RED_WEB, 1);
	rig_port_put(&g, 0, 1, RED_APP, 9);
	rig_neighbor(&g, 0, 0, RIG_VTEP);
	rig_say(&g, 0, 0, &r);
	rig_run(&g);
	assert_string_equal(rig_where_host(&g, 0, 5000, "10.0.2.9"), "192.0.2.2");
	assert_string_equal(rig_where_mac(&g, 0, 5001, 9), "nowhere");
	g.subnets[RED_WEB].length = 112; /* 10.0.0.0/16 */
	rig_load(&g, 0);
	rig_port_up(&g, 0, RED_WEB, 1);
	rig_run(&g);
	assert_string_equal(rig_where_host(&g, 0, 5000, "10.0.2.9"), RIG_VTEP);
	assert_string_equal(rig_where_mac(&g, 0, 5001, 9), RIG_VTEP);
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
		row(routes_of_what_is_not_needed_wait_for_a_port),
		row(ports_that_go_one_after_the_other_leave_nothing),
		row(what_is_said_by_many_is_looked_at_within_the_budget),
		row(a_port_that_comes_and_goes_while_routes_are_looked_at_leaves_nothing_out),
		row(a_network_that_is_renamed_or_renumbered_keeps_what_was_learned),
		row(targets_by_hand_replace_the_automatic_ones),
		row(a_neighbor_speaks_for_whom_it_may),
		row(a_neighbors_identifier_decides_when_nothing_else_does),
		row(what_is_not_said_again_counts_no_more_and_goes_in_slices),
		row(a_neighbor_that_is_removed_leaves_nothing),
		row(every_candidate_is_told_with_the_step_that_removed_it),
		row(a_network_that_goes_takes_its_routes_entries_along),
		row(one_neighbor_has_so_many_offers_of_one_thing),
		row(a_next_hop_out_of_reach_counts_only_when_there_is_no_other),
		row(a_node_that_leaves_the_file_has_tunnels_of_its_own),
		row(a_networks_subnets_say_which_hosts_it_may_have),
		row(a_vni_that_changes_is_another_network),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
