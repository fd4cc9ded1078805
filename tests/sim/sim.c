/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Speakers by the thousand lives: everything that can happen to a network of speakers happens, at random; when it has
 * stopped, every session is up and every view is the truth.
 *
 *	sim                                   the tests, some seconds
 *	sim HOSTS REFLECTORS MINUTES SEED     one long run with a fault a second; prints what came of it
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "net.h"

static void anything(struct net *net, const struct net_shape *shape)
{
	unsigned a = net_pick(net, shape->n_hosts), b = net_pick(net, shape->n_hosts);

	switch (net_pick(net, 16)) {
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
	case 8:
	case 9:
		net_move(net, a, b);
		break;
	default:
		net_change(net, a);
	}
}

/* What is left of faults after they stopped: a minute each, then hold times, back-off, restart and stale times. */
static void settle(struct net *net, uint64_t seed, unsigned n_hosts)
{
	char why[512] = "";
	uint64_t begin = net_now_ms(net), resets;

	do {
		net_run(net, 5000);
		if (net_now_ms(net) - begin > 300000)
			fail_msg("seed %lu, %u hosts: %s", (unsigned long)seed, n_hosts, why);
	} while (!net_is_right(net, why, sizeof(why)));
	/* and it stays so */
	net_run(net, 70000);
	resets = net_n_resets(net);
	net_run(net, 20000);
	if (!net_is_right(net, why, sizeof(why)))
		fail_msg("seed %lu, %u hosts, later: %s", (unsigned long)seed, n_hosts, why);
	assert_int_equal(net_n_resets(net), resets);
}

static void storm(struct net_shape shape, unsigned n_faults, uint64_t ms)
{
	struct net *net = net_new(&shape);

	net_run(net, net_pick(net, 10000));
	for (unsigned i = 0; i < n_faults; i++) {
		anything(net, &shape);
		net_run(net, net_pick(net, (uint32_t)(2 * ms / n_faults)));
	}
	settle(net, shape.seed, shape.n_hosts);
	net_free(net);
}

static void a_small_mesh_comes_to_the_truth_whatever_happened(void **state)
{
	for (uint64_t seed = 1; seed <= 1000; seed++)
		storm((struct net_shape){.n_hosts = 3 + seed % 2, .n_routes = 10, .hold_s = seed % 5 ? 9 : 3, .seed = seed}, 25, 60000);
}

static void clients_of_two_reflectors_come_to_the_truth_whatever_happened(void **state)
{
	for (uint64_t seed = 1; seed <= 150; seed++)
		storm((struct net_shape){.n_hosts = 6, .n_reflectors = 2, .n_routes = 10, .hold_s = 9, .seed = seed}, 25, 60000);
}

/* B6: kill -9, back in 10 s: who stays loses no route, whatever the node had to say meanwhile. */
static void a_node_that_is_back_in_ten_seconds_loses_no_route_anywhere(void **state)
{
	for (uint64_t seed = 1; seed <= 100; seed++) {
		struct net_shape shape = {.n_hosts = 4, .n_routes = 40, .hold_s = 9, .seed = seed};
		struct net *net = net_new(&shape);
		unsigned victim = net_pick(net, 4);

		settle(net, seed, 4);
		net_watch(net, victim);
		net_kill(net, victim, 10000 - net_pick(net, 9000));
		settle(net, seed, 4);
		assert_int_equal(net_n_lost(net), 0);
		net_free(net);
	}
}

/* B7: both reflectors are gone for less than the restart time: clients lose nothing. */
static void clients_lose_no_route_while_both_reflectors_restart(void **state)
{
	for (uint64_t seed = 1; seed <= 50; seed++) {
		struct net_shape shape = {.n_hosts = 6, .n_reflectors = 2, .n_routes = 20, .hold_s = 9, .seed = seed};
		struct net *net = net_new(&shape);

		settle(net, seed, 6);
		net_watch(net, 2 + net_pick(net, 4));
		net_kill(net, 0, 5000 + net_pick(net, 15000));
		net_kill(net, 1, 5000 + net_pick(net, 15000));
		settle(net, seed, 6);
		assert_int_equal(net_n_lost(net), 0);
		net_free(net);
	}
}

static char **arguments;

static void a_long_run_comes_to_the_truth(void **state)
{
	struct net_shape shape = {.n_hosts = (unsigned)atoi(arguments[1]), .n_reflectors = (unsigned)atoi(arguments[2]),
				  .n_routes = 30, .hold_s = 90, .seed = strtoull(arguments[4], NULL, 0)};
	uint64_t minutes = strtoull(arguments[3], NULL, 0);
	struct net *net = net_new(&shape);
	char why[512] = "";
	unsigned i;

	for (uint64_t ms = 0; ms < minutes * 60000; ms += 1000) {
		net_run(net, 1000);
		anything(net, &shape);
	}
	for (i = 0; !net_is_right(net, why, sizeof(why)); i += 5) {
		if (i > 600)
			fail_msg("still wrong: %s", why);
		net_run(net, 5000);
	}
	print_message("# %u speakers, %lu min: %lu messages, %lu sessions lost; right %u s after the last fault\n", shape.n_hosts,
		      (unsigned long)minutes, (unsigned long)net_n_messages(net), (unsigned long)net_n_resets(net), i);
	net_free(net);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_small_mesh_comes_to_the_truth_whatever_happened),
		cmocka_unit_test(clients_of_two_reflectors_come_to_the_truth_whatever_happened),
		cmocka_unit_test(a_node_that_is_back_in_ten_seconds_loses_no_route_anywhere),
		cmocka_unit_test(clients_lose_no_route_while_both_reflectors_restart),
	};
	const struct CMUnitTest run[] = {cmocka_unit_test(a_long_run_comes_to_the_truth)};

	arguments = argv;
	return argc == 5 ? cmocka_run_group_tests(run, NULL, NULL) : cmocka_run_group_tests(tests, NULL, NULL);
}
