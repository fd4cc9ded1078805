/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A whole fabric by BGP, whatever happens to it: endpoints come, go, move; links between nodes die, processes restart
 * and machines fail, reflectors too.  When it has stopped, every node's forwarding entries and routes are the truth.
 *
 *	sim_fabric                                 the tests, some seconds
 *	sim_fabric FIRST LAST                      the storm of these seeds; a line of what came of it
 *	sim_fabric HOSTS REFLECTORS MINUTES SEED   one long run with two events a second
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "fabric.h"
#include "rib/mobility.h"

#define STORM_MS 1200000
#define REST_MS 61000 /* between two moves of an endpoint, so that it is none that moves too often (RFC 7432 15.1) */

static struct {
	uint64_t n_events, n_messages, n_resets, hours_ms;
} sums;

static void happen_to_endpoint(struct net *net, const struct net_shape *shape)
{
	struct fabric *f = net_fabric(net);
	unsigned number = net_pick(net, f->n_endpoints);
	unsigned to = shape->n_reflectors + net_pick(net, shape->n_hosts - shape->n_reflectors);
	const struct endpoint *e = &f->endpoints[number];

	if (e->flying || e->ghost != FABRIC_NOWHERE || (e->moved_ms > 0 && net_now_ms(net) < e->moved_ms + REST_MS))
		return;
	if (e->at == FABRIC_NOWHERE)
		net_plug(net, number, to);
	else if (net_pick(net, 4) == 0 || !e->up)
		net_toggle(net, number);
	else if (net_pick(net, 4) == 0)
		net_unplug(net, number);
	else if (e->at != to)
		net_roam(net, number, to);
}

static void anything(struct net *net, const struct net_shape *shape)
{
	unsigned a = net_pick(net, shape->n_hosts), b = net_pick(net, shape->n_hosts);

	if (shape->n_reflectors > 0 && net_pick(net, 8) == 0)
		a = net_pick(net, shape->n_reflectors); /* who matters most */
	sums.n_events++;
	switch (net_pick(net, 20)) {
	case 0:
		net_break(net, a, b);
		break;
	case 1:
		net_part(net, a, b, net_pick(net, 4000));
		break;
	case 2:
		net_part(net, a, b, net_pick(net, 60000));
		break;
	case 3:
		net_kill(net, a, net_pick(net, 10000));
		break;
	case 4:
		if (net_pick(net, 3) == 0)
			net_power_off(net, a, net_pick(net, 60000));
		break;
	case 5:
		net_unpeer(net, a, b);
		break;
	case 6:
		net_refresh(net, a, b);
		break;
	case 7:
		net_slow(net, a, net_pick(net, 20000));
		break;
	default:
		happen_to_endpoint(net, shape);
	}
}

static void count(struct net *net)
{
	sums.n_messages += net_n_messages(net);
	sums.n_resets += net_n_resets(net);
	sums.hours_ms += net_now_ms(net);
	net_free(net);
}

/* A fault lasts a minute; then hold times, back-off, restart and stale times.  A MAC that was frozen is so for half an hour. */
static void settle(struct net *net, uint64_t seed)
{
	uint64_t begin = net_now_ms(net), resets;
	char why[512] = "";

	do {
		net_run(net, 5000);
		if (net_now_ms(net) - begin > 300000 + MOBILITY_FREEZE_MS)
			fail_msg("seed %lu: %s", (unsigned long)seed, why);
	} while (!net_is_right(net, why, sizeof(why)));
	/* and it stays so */
	net_run(net, 70000);
	resets = net_n_resets(net);
	net_run(net, 20000);
	if (!net_is_right(net, why, sizeof(why)))
		fail_msg("seed %lu, later: %s", (unsigned long)seed, why);
	assert_int_equal(net_n_resets(net), resets);
}

/* What a seed stands for: a mesh of a few nodes, one or two reflectors and some more; each fiftieth has 200 nodes. */
static struct net_shape shape_of(uint64_t seed)
{
	struct net_shape shape = {.seed = seed, .hold_s = 9};

	if (seed % 50 == 0) {
		shape.n_hosts = 200;
		shape.n_reflectors = 1;
		shape.n_endpoints = 400;
		shape.hold_s = 90;
	} else if (seed % 3 == 0) {
		shape.n_hosts = 3 + (unsigned)(seed / 3 % 4);
		shape.n_endpoints = 24;
	} else {
		shape.n_reflectors = 1 + (unsigned)(seed / 3 % 2);
		shape.n_hosts = shape.n_reflectors + 4 + (unsigned)(seed / 6 % 13);
		shape.n_endpoints = 4 * shape.n_hosts;
	}
	return shape;
}

static void storm(uint64_t seed)
{
	struct net_shape shape = shape_of(seed);
	unsigned n_events = shape.n_hosts == 200 ? 600 : 120;
	struct net *net = net_new(&shape);

	net_run(net, net_pick(net, 10000));
	for (unsigned i = 0; i < n_events; i++) {
		anything(net, &shape);
		net_run(net, net_pick(net, 2 * STORM_MS / n_events));
	}
	settle(net, seed);
	count(net);
}

static uint64_t first_seed = 1, last_seed = 40;

static void a_fabric_comes_to_the_truth_whatever_happened(void **state)
{
	for (uint64_t seed = first_seed; seed <= last_seed; seed++)
		storm(seed);
	print_message("# seeds %lu to %lu: %lu events, %lu messages, %lu sessions lost, %.1f h of protocol\n",
		      (unsigned long)first_seed, (unsigned long)last_seed, (unsigned long)sums.n_events,
		      (unsigned long)sums.n_messages, (unsigned long)sums.n_resets, (double)sums.hours_ms / 3.6e6);
}

static struct net *quiet_fabric(const struct net_shape *shape)
{
	struct net *net = net_new(shape);

	settle(net, shape->seed);
	net_fabric(net)->n_lost = 0;
	return net;
}

/* While nothing moves no node loses an entry, neither the one that restarts nor the others. */
static void a_restart_of_a_node_costs_nobody_an_entry(void **state)
{
	for (uint64_t seed = 1; seed <= 20; seed++) {
		struct net_shape shape = {.n_hosts = 7, .n_reflectors = 1 + seed % 2, .n_endpoints = 40, .hold_s = 9, .seed = seed};
		struct net *net = quiet_fabric(&shape);

		net_kill(net, shape.n_reflectors + net_pick(net, 5), 1000 + net_pick(net, 9000));
		settle(net, seed);
		assert_int_equal(net_fabric(net)->n_lost, 0);
		count(net);
	}
}

static void a_dead_reflector_costs_nobody_an_entry(void **state)
{
	for (uint64_t seed = 1; seed <= 20; seed++) {
		struct net_shape shape = {.n_hosts = 8, .n_reflectors = 1 + seed % 2, .n_endpoints = 40, .hold_s = 9, .seed = seed};
		struct net *net = quiet_fabric(&shape);

		for (unsigned i = 0; i < shape.n_reflectors; i++)
			net_kill(net, i, 1000 + net_pick(net, 20000));
		settle(net, seed);
		assert_int_equal(net_fabric(net)->n_lost, 0);
		count(net);
	}
}

/* The complaints FRRouting/frr#21472, #21473 and #10468: after each of a thousand moves all know, and the sequence is by one more. */
static void a_thousand_moves_of_one_mac(void **state)
{
	struct net_shape shape = {.n_hosts = 5, .n_reflectors = 1, .n_endpoints = 20, .hold_s = 90, .seed = 7};
	struct net *net = quiet_fabric(&shape);
	struct endpoint *e = &net_fabric(net)->endpoints[0];
	unsigned here = e->at, there = here == 1 ? 2 : 1;
	uint32_t sequence = e->sequence;
	char why[512];

	for (unsigned move = 1; move <= 1000; move++) {
		net_roam_now(net, 0, move % 2 ? there : here, net_pick(net, 2000));
		net_run(net, REST_MS);
		if (!net_is_right(net, why, sizeof(why)))
			fail_msg("after %u moves: %s", move, why);
		assert_int_equal(e->sequence, sequence + move);
	}
	count(net);
}

/* One that moves too often is frozen, and after half an hour all is right again. */
static void a_mac_that_moves_too_often_is_known_in_the_end(void **state)
{
	for (uint64_t seed = 1; seed <= 20; seed++) {
		struct net_shape shape = {.n_hosts = 4, .n_reflectors = 1, .n_endpoints = 12, .hold_s = 90, .seed = seed};
		struct net *net = quiet_fabric(&shape);
		struct endpoint *e = &net_fabric(net)->endpoints[0];

		for (unsigned move = 0; move < 12; move++) {
			net_roam_now(net, 0, 1 + e->at % 3, 0);
			net_run(net, 1000 + net_pick(net, 9000));
		}
		assert_true(net_fabric(net)->n_alerts > 0);
		net_run(net, MOBILITY_FREEZE_MS);
		settle(net, seed);
		count(net);
	}
}

static char **arguments;

static void a_long_run_comes_to_the_truth(void **state)
{
	struct net_shape shape = {.n_hosts = (unsigned)atoi(arguments[1]), .n_reflectors = (unsigned)atoi(arguments[2]),
				  .hold_s = 90, .seed = strtoull(arguments[4], NULL, 0)};
	uint64_t minutes = strtoull(arguments[3], NULL, 0);
	struct net *net;

	shape.n_endpoints = 2 * shape.n_hosts;
	net = quiet_fabric(&shape);
	for (uint64_t ms = 0; ms < minutes * 60000; ms += 500) {
		net_run(net, 500);
		anything(net, &shape);
	}
	settle(net, shape.seed);
	print_message("# %u hosts, %lu min: %lu messages, %lu sessions lost\n", shape.n_hosts, (unsigned long)minutes,
		      (unsigned long)net_n_messages(net), (unsigned long)net_n_resets(net));
	count(net);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_fabric_comes_to_the_truth_whatever_happened),
		cmocka_unit_test(a_restart_of_a_node_costs_nobody_an_entry),
		cmocka_unit_test(a_dead_reflector_costs_nobody_an_entry),
		cmocka_unit_test(a_thousand_moves_of_one_mac),
		cmocka_unit_test(a_mac_that_moves_too_often_is_known_in_the_end),
	};
	const struct CMUnitTest storms[] = {cmocka_unit_test(a_fabric_comes_to_the_truth_whatever_happened)};
	const struct CMUnitTest run[] = {cmocka_unit_test(a_long_run_comes_to_the_truth)};

	arguments = argv;
	if (argc == 3) {
		first_seed = strtoull(argv[1], NULL, 0);
		last_seed = strtoull(argv[2], NULL, 0);
		return cmocka_run_group_tests(storms, NULL, NULL);
	}
	return argc == 5 ? cmocka_run_group_tests(run, NULL, NULL) : cmocka_run_group_tests(tests, NULL, NULL);
}
