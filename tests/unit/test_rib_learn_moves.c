/* SPDX-License-Identifier: Apache-2.0 */
/*
 * MACs that move between nodes, and those that are at two places.  What FRRouting/frr#10468 (a lower sequence is not
 * followed), #21472 (not announced any more after many moves) and #21473 (an entry stays after its withdrawal) tell of.
 */
#include "learn_rig.h"

#include <string.h>

static struct rig g;

static int setup(void **state)
{
	rig_init(&g, 3);
	rig_port_up(&g, 0, RED_WEB, 100);
	rig_port_up(&g, 1, RED_WEB, 101);
	rig_port_up(&g, 2, RED_WEB, 102); /* who only looks on */
	rig_run(&g);
	return 0;
}

static int teardown(void **state)
{
	rig_fini(&g);
	return 0;
}

struct heard {
	bool there;
	size_t n; /* routes of the MAC */
	uint32_t sequence;
};

static void on_said(void *arg, const struct export_change *put)
{
	struct mac mac = rig_mac(1);
	struct heard *h = arg;

	if (put->nlri.key.type != ROUTE_EVPN_MAC || !mac_equal(&put->nlri.key.mac, &mac))
		return;
	h->there = true;
	h->n++;
	h->sequence = put->attrs->mobility;
}

static struct heard said_by(unsigned node)
{
	struct heard h = {0};

	learn_announced_each(g.nodes[node].learn, on_said, &h);
	return h;
}

static const char *const addresses[] = {"192.0.2.1", "192.0.2.2", "192.0.2.3"};

/* The MAC is at `at`, everybody knows, and nobody else says anything of it. */
static void assert_all_agree(unsigned at)
{
	for (unsigned node = 0; node < 3; node++) {
		assert_string_equal(rig_where_mac(&g, node, 5001, 1), node == at ? "port" : addresses[at]);
		assert_string_equal(rig_where_host(&g, node, 5000, "10.0.0.1"), node == at ? "port" : addresses[at]);
		assert_int_equal(said_by(node).n, node == at ? 2 : 0);
	}
}

static void a_thousand_moves_count_up_and_leave_nothing_behind(void **state)
{
	rig_port_up(&g, 0, RED_WEB, 1);
	rig_run(&g);
	for (uint32_t move = 1; move <= 1000; move++) {
		unsigned to = move % 2;

		g.now_ms += 61000;
		rig_count(&g, 2);
		rig_port_up(&g, to, RED_WEB, 1); /* it is at both for a moment */
		rig_run(&g);
		assert_int_equal(said_by(to).sequence, move);
		assert_int_equal(said_by(1 - to).n, 0);
		rig_port_remove(&g, 1 - to, 1);
		rig_run(&g);
		assert_int_equal(said_by(to).sequence, move);
		assert_all_agree(to);
		assert_int_equal(g.nodes[2].n_deleted, 0); /* replaced, at no moment away */
		assert_int_equal(g.nodes[0].n_alerts + g.nodes[1].n_alerts, 0);
	}
	rig_port_remove(&g, 0, 1);
	rig_port_remove(&g, 1, 1);
	rig_run(&g);
	assert_string_equal(rig_where_mac(&g, 2, 5001, 1), "nowhere");
	assert_string_equal(rig_where_host(&g, 2, 5000, "10.0.0.1"), "nowhere");
	g.now_ms += MOBILITY_WINDOW_MS + 1;
	rig_run(&g);
	for (unsigned node = 0; node < 3; node++) {
		struct mobility_view view;
		size_t cursor = 0;

		assert_false(learn_moving_next(g.nodes[node].learn, &cursor, &view));
		assert_int_equal(learn_next_ms(g.nodes[node].learn), UINT64_MAX);
	}
}

static void moves_end_where_the_port_is_whatever_is_heard_when(void **state)
{
	for (uint64_t seed = 1; seed <= 20; seed++) {
		unsigned at = 0;

		g.chance = seed;
		rig_port_up(&g, 0, RED_WEB, 1);
		for (unsigned move = 0; move < 50; move++) {
			unsigned to = rig_pick(&g, 3);
			bool first = rig_pick(&g, 2);

			g.now_ms += 61000 + rig_pick(&g, 1000);
			if (to != at && first)
				rig_port_remove(&g, at, 1);
			rig_port_up(&g, to, RED_WEB, 1);
			for (unsigned i = rig_pick(&g, 4); i > 0; i--)
				rig_round(&g);
			if (to != at && !first)
				rig_port_remove(&g, at, 1);
			for (unsigned i = rig_pick(&g, 4); i > 0; i--)
				rig_round(&g);
			at = to;
			if (move % 10 == 9) {
				rig_run(&g);
				assert_all_agree(at);
			}
		}
		rig_port_remove(&g, at, 1);
		rig_run(&g);
		for (unsigned node = 0; node < 3; node++)
			assert_string_equal(rig_where_mac(&g, node, 5001, 1), "nowhere");
	}
}

/* frr#10468: what is withdrawn is no measure for what comes after it. */
static void a_lower_sequence_counts_when_there_is_no_higher_one(void **state)
{
	struct rig_route high = {.type = ROUTE_EVPN_MAC, .node = "192.0.2.77", .rd = 77, .number = 1, .vni = 5001,
				 .targets = {rig_target(5001)}, .sequence = 9};
	struct rig_route low = high;

	low.node = "192.0.2.78";
	low.rd = 78;
	low.sequence = 2;
	rig_neighbor(&g, 0, 0, "192.0.2.101");
	rig_say(&g, 0, 0, &high);
	rig_say(&g, 0, 0, &low);
	rig_run(&g);
	assert_string_equal(rig_where_mac(&g, 0, 5001, 1), "192.0.2.77");
	rig_unsay(&g, 0, 0, &high);
	rig_run(&g);
	assert_string_equal(rig_where_mac(&g, 0, 5001, 1), "192.0.2.78");
	high.sequence = 1; /* it has begun anew */
	rig_say(&g, 0, 0, &high);
	rig_run(&g);
	assert_string_equal(rig_where_mac(&g, 0, 5001, 1), "192.0.2.78");
	low.sequence = 0;
	rig_say(&g, 0, 0, &low);
	rig_run(&g);
	assert_string_equal(rig_where_mac(&g, 0, 5001, 1), "192.0.2.77");
}

/* frr#21473 */
static void nothing_is_left_of_what_is_withdrawn_in_whatever_order(void **state)
{
	struct rig_route mac = {.type = ROUTE_EVPN_MAC, .node = "192.0.2.77", .rd = 77, .number = 1, .vni = 5001,
				.targets = {rig_target(5001)}};
	struct rig_route host = mac;

	host.address = "10.0.0.1";
	rig_neighbor(&g, 0, 0, "192.0.2.101");
	for (unsigned order = 0; order < 4; order++) {
		rig_say(&g, 0, 0, order & 1 ? &mac : &host);
		rig_say(&g, 0, 0, order & 1 ? &host : &mac);
		rig_run(&g);
		assert_string_equal(rig_where_mac(&g, 0, 5001, 1), "192.0.2.77");
		rig_unsay(&g, 0, 0, order & 2 ? &mac : &host);
		rig_run(&g);
		assert_string_equal(rig_where_mac(&g, 0, 5001, 1), "192.0.2.77"); /* the other one says it too */
		rig_unsay(&g, 0, 0, order & 2 ? &host : &mac);
		rig_run(&g);
		assert_string_equal(rig_where_mac(&g, 0, 5001, 1), "nowhere");
		assert_string_equal(rig_where_host(&g, 0, 5000, "10.0.0.1"), "nowhere");
		assert_null(rig_find_member(&g, 0, 5001, "192.0.2.77"));
	}
}

/* Two ports with one MAC, each of which comes up again and again. */
static void be_at_two_places(void)
{
	rig_port_up(&g, 0, RED_WEB, 1);
	rig_run(&g);
	for (unsigned i = 1; i < 10 && g.nodes[0].n_alerts + g.nodes[1].n_alerts == 0; i++) {
		g.now_ms += 1000;
		rig_port_link(&g, i % 2, 1, false);
		rig_commit(&g, i % 2);
		rig_port_up(&g, i % 2, RED_WEB, 1);
		rig_run(&g);
	}
}

static void a_mac_at_two_places_is_frozen_with_one_alarm_and_floods_on(void **state)
{
	struct mobility_view view;
	unsigned frozen;
	size_t cursor = 0;

	be_at_two_places();
	assert_int_equal(g.nodes[0].n_alerts + g.nodes[1].n_alerts, 1);
	frozen = g.nodes[1].n_alerts;
	assert_int_equal(g.nodes[frozen].alert.what, MOBILITY_ALERT_DUPLICATE);
	assert_int_equal(g.nodes[frozen].alert.vni, 5001);
	assert_string_equal(g.nodes[frozen].alert.network, "red/web");
	assert_string_equal(g.nodes[frozen].alert_port, "p1");
	assert_true(addr_equal(&g.nodes[frozen].alert.node, &g.underlay[1 - frozen][0]));
	assert_true(learn_moving_next(g.nodes[frozen].learn, &cursor, &view));
	assert_true(view.frozen);
	assert_int_equal(view.frozen_until_ms, g.now_ms + MOBILITY_FREEZE_MS);
	for (unsigned i = 0; i < 20; i++) {
		g.now_ms += 1000;
		rig_port_link(&g, frozen, 1, false);
		rig_run(&g);
		rig_port_link(&g, frozen, 1, true);
		rig_run(&g);
		assert_int_equal(said_by(frozen).n, 0);
		assert_int_equal(said_by(1 - frozen).n, 2);
		assert_string_equal(rig_where_mac(&g, 2, 5001, 1), addresses[1 - frozen]);
		assert_string_equal(rig_where_mac(&g, frozen, 5001, 1), "port"); /* what is here is delivered here */
	}
	/* the node's other port keeps it in the flooding, and so does this one when it is alone */
	rig_port_remove(&g, frozen, 100 + frozen);
	rig_run(&g);
	assert_int_equal(rig_count_kind(&g, 2, FWD_FLOOD), 3);
	/* the other one goes: this one has it */
	rig_port_remove(&g, 1 - frozen, 1);
	rig_run(&g);
	assert_int_equal(said_by(frozen).n, 2);
	assert_string_equal(rig_where_mac(&g, 2, 5001, 1), addresses[frozen]);
}

static void a_frozen_mac_is_freed_by_command_and_after_half_an_hour(void **state)
{
	for (int by_command = 0; by_command < 2; by_command++) {
		struct mac mac = rig_mac(1);
		unsigned frozen;

		rig_count(&g, 0);
		rig_count(&g, 1);
		be_at_two_places();
		frozen = g.nodes[1].n_alerts;
		assert_int_equal(said_by(frozen).n, 0);
		if (by_command) {
			g.now_ms += MOBILITY_WINDOW_MS + 1; /* else the other one counts it as one move too many */
			assert_false(learn_free_duplicate(g.nodes[2].learn, 5001, &mac, g.now_ms));
			assert_true(learn_free_duplicate(g.nodes[frozen].learn, 5001, &mac, g.now_ms));
			assert_false(learn_free_duplicate(g.nodes[frozen].learn, 5001, &mac, g.now_ms));
		} else {
			assert_int_equal(learn_next_ms(g.nodes[frozen].learn), g.now_ms + MOBILITY_FREEZE_MS);
			g.now_ms += MOBILITY_FREEZE_MS;
		}
		rig_run(&g);
		assert_int_equal(said_by(frozen).n, 2);
		assert_int_equal(said_by(1 - frozen).n, 0);
		rig_port_remove(&g, 0, 1);
		rig_port_remove(&g, 1, 1);
		rig_run(&g);
		g.now_ms += MOBILITY_WINDOW_MS + 1;
		rig_run(&g);
	}
}

static void a_mac_that_goes_from_port_to_port_of_one_node_has_not_moved(void **state)
{
	struct addr host = rig_host(RED_WEB, 1);
	struct config_port other = {.name = (char *)"other", .node = &g.config_nodes[0], .network = rig_network(&g, RED_WEB),
				    .mac = rig_mac(1), .addresses = &host, .n_addresses = 1};

	rig_port_up(&g, 0, RED_WEB, 1);
	rig_run(&g);
	rig_count(&g, 0);
	rig_port_remove(&g, 0, 1);
	rib_port_put(g.nodes[0].rib, &other);
	rib_port_link(g.nodes[0].rib, "other", &(struct rib_link){.ifindex = 77, .mtu = 1500, .up = true});
	rig_run(&g);
	assert_int_equal(g.nodes[0].n_announced + g.nodes[0].n_withdrawn, 0);
	assert_all_agree(0);
}

/* The first port of a network: what others said of its MAC before is known only when all routes were looked at. */
static void a_port_that_brings_its_network_moves_its_mac_too(void **state)
{
	g.budget = 5;
	rig_port_up(&g, 0, RED_LAN, 1);
	for (unsigned i = 10; i < 60; i++)
		rig_port_up(&g, 0, RED_LAN, i);
	rig_run(&g);
	rig_port_up(&g, 1, RED_LAN, 1);
	rig_run(&g);
	assert_int_equal(said_by(1).sequence, 1);
	assert_int_equal(said_by(0).n, 0);
	assert_string_equal(rig_where_mac(&g, 0, 5002, 1), "port");
	rig_port_remove(&g, 0, 1);
	rig_run(&g);
	assert_string_equal(rig_where_mac(&g, 0, 5002, 1), "192.0.2.2");
}

/* What comes while all routes are looked at is later than the port, and so is a change of it. */
static void a_mac_that_moves_away_meanwhile_is_not_claimed_back(void **state)
{
	struct rig_route r;

	g.budget = 10;
	rig_neighbor(&g, 0, 0, RIG_VTEP);
	for (unsigned i = 300; i < 1300; i++) {
		r = rig_mac_route(i);
		rig_say(&g, 0, 0, &r);
	}
	rig_run(&g);
	rig_port_up(&g, 0, RED_LAN, 2); /* brings a network */
	rig_port_up(&g, 0, RED_WEB, 1);
	rig_round(&g);
	rig_round(&g);
	assert_int_equal(said_by(0).n, 2);
	r = rig_mac_route(1);
	r.sequence = 1;
	rig_say(&g, 0, 0, &r);
	rig_round(&g);
	assert_int_equal(said_by(0).n, 0);
	r.local_pref = 90;
	rig_say(&g, 0, 0, &r);
	rig_round(&g);
	assert_int_equal(learn_next_ms(g.nodes[0].learn), 0); /* they are looked at still */
	assert_int_equal(said_by(0).n, 0);
	rig_run(&g);
	assert_int_equal(said_by(0).n, 0);
}

static void all_routes_together_say_the_highest_sequence(void **state)
{
	struct rig_route sticky = rig_mac_route(1), high = rig_mac_route(1);

	sticky.sticky = true;
	high.rd = 78;
	high.node = "192.0.2.78";
	high.sequence = 9;
	rig_neighbor(&g, 0, 0, RIG_VTEP);
	rig_say(&g, 0, 0, &sticky);
	rig_say(&g, 0, 0, &high);
	rig_port_up(&g, 0, RED_WEB, 1);
	rig_run(&g);
	assert_int_equal(said_by(0).n, 0);
	rig_unsay(&g, 0, 0, &sticky);
	rig_unsay(&g, 0, 0, &high);
	rig_run(&g);
	assert_int_equal(said_by(0).sequence, 10);
}

int main(void)
{
#define row(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		row(a_thousand_moves_count_up_and_leave_nothing_behind),
		row(moves_end_where_the_port_is_whatever_is_heard_when),
		row(a_lower_sequence_counts_when_there_is_no_higher_one),
		row(nothing_is_left_of_what_is_withdrawn_in_whatever_order),
		row(a_mac_at_two_places_is_frozen_with_one_alarm_and_floods_on),
		row(a_frozen_mac_is_freed_by_command_and_after_half_an_hour),
		row(a_mac_that_goes_from_port_to_port_of_one_node_has_not_moved),
		row(a_port_that_brings_its_network_moves_its_mac_too),
		row(a_mac_that_moves_away_meanwhile_is_not_claimed_back),
		row(all_routes_together_say_the_highest_sequence),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
