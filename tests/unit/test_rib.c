/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rib against a model: random fabrics change step by step; after each commit the entries added up from the
 * changes must be those that a plain walk over the configuration says, and loading the one before gives exactly what
 * was before.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "rib/entry.h"

#include "rib_model.h"

/* ---- random change ---- */

static uint64_t seed;

static unsigned pick(unsigned n)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (unsigned)((seed >> 11) % n);
}

static void knobs_init(struct knobs *k)
{
	memset(k, 0, sizeof(*k));
	for (int i = 0; i < N_NODES; i++) {
		k->nodes[i].there = true;
		k->nodes[i].address = i;
		k->nodes[i].families = 3;
		k->nodes[i].foreign = i == N_NODES - 1;
	}
	for (int i = 0; i < N_TENANTS; i++) {
		k->tenants[i].there = true;
		k->tenants[i].vni = 5000 + (uint32_t)i;
	}
	for (int i = 0; i < N_TENANTS * N_NETWORKS; i++) {
		k->networks[i].there = true;
		k->networks[i].mode = i % 3 == 0 ? CONFIG_MODE_L3 : CONFIG_MODE_L2;
		k->networks[i].vni = 6000 + (uint32_t)i;
		k->networks[i].subnet = k->networks[i].gateway4 = i % 2;
	}
	for (int i = 0; i < N_PORTS; i++) {
		k->ports[i].address = k->ports[i].mac = i;
		k->ports[i].network = (int)pick(N_TENANTS * N_NETWORKS);
		k->ports[i].node = (int)pick(N_NODES);
		k->ports[i].n_addresses = 1;
	}
}

#define SWAP(a, b) do { __typeof__(a) swap_ = (a); (a) = (b); (b) = swap_; } while (0)

static void knobs_turn(struct knobs *k)
{
	unsigned p = pick(N_PORTS), q = pick(N_PORTS), w = pick(N_TENANTS * N_NETWORKS),
		 v = pick(N_TENANTS * N_NETWORKS);
	unsigned n = 1 + pick(N_NODES - 1), m = 1 + pick(N_NODES - 1), t = pick(N_TENANTS);

	switch (pick(34)) {
	case 0: case 1: case 2: case 3: k->ports[p].there ^= true; break;
	case 4: k->ports[p].node = (int)pick(N_NODES); break;
	case 5: k->ports[p].node = SELF; break;
	case 6: k->ports[p].network = (int)w; break;
	case 7: SWAP(k->ports[p].address, k->ports[q].address); break;
	case 8: SWAP(k->ports[p].mac, k->ports[q].mac); break;
	case 9: k->ports[p].n_addresses = (int)pick(4); break;
	case 10: k->networks[w].there ^= true; break;
	case 11: k->networks[w].mode = pick(2) ? CONFIG_MODE_L2 : CONFIG_MODE_L3; break;
	case 12: SWAP(k->networks[w].vni, k->networks[v].vni); break;
	case 13: k->networks[w].gateway4 ^= true; break;
	case 14: k->networks[w].gateway6 ^= true; break;
	case 15: k->networks[w].flood ^= true; break;
	case 16: k->networks[w].subnet ^= true; break;
	case 17: k->nodes[n].there ^= true; break;
	case 18: SWAP(k->nodes[n].address, k->nodes[m].address); break;
	case 19: k->nodes[n].families = 1 + (int)pick(3); break;
	case 20: k->nodes[SELF].families = 1 + (int)pick(3); break;
	case 21: k->nodes[n].mtu = pick(2) ? 0 : 1400 + pick(7600); break;
	case 22: k->nodes[n].foreign ^= true; break;
	case 23: k->nodes[n].lists[w] ^= true; break;
	case 24: k->tenants[t].there ^= true; break;
	case 25: SWAP(k->tenants[t].vni, k->tenants[(t + 1) % N_TENANTS].vni); break;
	case 26: k->ports[p].storm = pick(3); break;
	case 27: k->icmp = (uint16_t)pick(3); break;
	case 28: case 29: k->networks[w].native ^= true; break;
	case 30: k->nodes[n].site ^= 1; break;
	case 31: k->encryption = pick(CONFIG_ENCRYPTION_MAX); break;
	case 32: case 33: k->networks[w].encryption = pick(1 + CONFIG_ENCRYPTION_MAX); break;
	}
	if (pick(3) == 0)
		k->links[p] = (struct rib_link){.ifindex = pick(3) ? 100 + p : 0,
						.mtu = 1500,
						.flags = pick(4),
						.peer = pick(2),
						.up = pick(3)};
}

static void load(struct rib *rib, const struct fabric *f, const struct knobs *k)
{
	rib_load(rib, &f->config, &f->nodes[0]);
	for (int i = 0; i < N_PORTS; i++) {
		char name[16];

		snprintf(name, sizeof(name), "p%d", i);
		rib_port_link(rib, name, &k->links[i]);
	}
}

static void collect(void *arg, const struct fwd *f)
{
	set_add(arg, f);
}

static struct set got, wanted, before, scratch;

static void changes_add_up_to_the_set_computed_from_scratch(void **state)
{
	struct fabric *a = calloc(1, sizeof(*a)), *b = calloc(1, sizeof(*b));

	for (unsigned round = 0; round < 12; round++) {
		struct knobs k, was;
		struct rib *rib;

		seed = 88172645463325252u + round;
		knobs_init(&k);
		got.length = 0;
		assert_int_equal(rib_new(&rib), 0);
		for (int step = 0; step < 250; step++) {
			was = k;
			for (unsigned turns = 1 + pick(6); turns > 0; turns--)
				knobs_turn(&k);
			model_build(b, &k);
			before = got;
			load(rib, b, &k);
			assert_int_equal(rib_commit(rib, set_change, &got), 0);
			model_expect(&wanted, b, &k);
			assert_set_equal(&got, &wanted);
			scratch.length = 0;
			rib_each(rib, collect, &scratch);
			assert_set_equal(&scratch, &wanted);
			if (step == 0 || pick(4))
				continue;
			model_build(a, &was); /* undo, and again */
			load(rib, a, &was);
			assert_int_equal(rib_commit(rib, set_change, &got), 0);
			assert_set_equal(&got, &before);
			load(rib, b, &k);
			assert_int_equal(rib_commit(rib, set_change, &got), 0);
			assert_set_equal(&got, &wanted);
		}
		rib_free(rib);
	}
	free(a);
	free(b);
}

/* ---- single sentences ---- */

struct setup {
	struct knobs k;
	struct fabric *f;
	struct rib *rib;
};

static int setup(void **state)
{
	struct setup *s = calloc(1, sizeof(*s));

	seed = 1;
	knobs_init(&s->k);
	s->f = calloc(1, sizeof(*s->f));
	got.length = 0;
	*state = s;
	return rib_new(&s->rib);
}

static int teardown(void **state)
{
	struct setup *s = *state;

	rib_free(s->rib);
	free(s->f);
	free(s);
	return 0;
}

static void step(struct setup *s)
{
	model_build(s->f, &s->k);
	load(s->rib, s->f, &s->k);
	assert_int_equal(rib_commit(s->rib, set_change, &got), 0);
}

static size_t count(enum fwd_kind kind)
{
	size_t n = 0;

	for (size_t i = 0; i < got.length; i++)
		n += got.items[i].kind == kind;
	return n;
}

static void put_port(struct setup *s, int port, int node, int network)
{
	s->k.ports[port].there = true;
	s->k.ports[port].node = node;
	s->k.ports[port].network = network;
}

static void node_without_ports_installs_nothing(void **state)
{
	struct setup *s = *state;

	for (int i = 0; i < N_PORTS; i++)
		put_port(s, i, 1 + i % (N_NODES - 1), i % (N_TENANTS * N_NETWORKS));
	step(s);
	assert_int_equal(got.length, 0);
}

static void loading_the_same_again_changes_nothing(void **state)
{
	struct setup *s = *state;
	size_t n = 0;

	for (int i = 0; i < N_PORTS; i++)
		put_port(s, i, i % N_NODES, i % (N_TENANTS * N_NETWORKS));
	step(s);
	model_build(s->f, &s->k);
	load(s->rib, s->f, &s->k);
	scratch = got;
	assert_int_equal(rib_commit(s->rib, set_change, &got), 0);
	n = got.length;
	assert_true(n > 0);
	assert_true(set_equal(&got, &scratch));
}

static void path_mtu_and_reachability_choose_the_tunnel(void **state)
{
	struct setup *s = *state;
	struct addr v4 = address_of("192.0.2.%d", 2), v6 = address_of("2001:db8::%x", 2);
	struct fwd key = {.kind = FWD_NEXTHOP, .nexthop.owner = fwd_owner_tunnel("t0/w1", "n1")}, *found;

	put_port(s, 0, SELF, 1);
	put_port(s, 1, 1, 1);
	step(s);
	found = set_find(&got, &key);
	assert_non_null(found);
	assert_int_equal(found->nexthop.mtu, 1450);

	rib_path_set(s->rib, &v4, 9000, true);
	assert_int_equal(rib_commit(s->rib, set_change, &got), 0);
	assert_int_equal(set_find(&got, &key)->nexthop.mtu, 8950);

	rib_path_set(s->rib, &v4, 9000, false);
	rib_path_set(s->rib, &v6, 1400, true);
	assert_int_equal(rib_commit(s->rib, set_change, &got), 0);
	assert_int_equal(set_find(&got, &key)->nexthop.mtu, 1330);
	assert_true(addr_equal(&set_find(&got, &key)->nexthop.remote, &v6));

	rib_path_set(s->rib, &v6, 1400, false); /* none: the first again, it may come back by itself */
	assert_int_equal(rib_commit(s->rib, set_change, &got), 0);
	assert_true(addr_equal(&set_find(&got, &key)->nexthop.remote, &v4));
}

static void one_port_costs_its_own_entries(void **state)
{
	struct setup *s = *state;

	for (int i = 0; i < 4; i++)
		put_port(s, i, i % 2, 1);
	step(s);
	for (int i = 4; i < N_PORTS; i++) {
		size_t had = got.length;
		struct config_port *p;

		put_port(s, i, i % 2, 1);
		model_build(s->f, &s->k);
		p = &s->f->ports[s->f->config.n_ports - 1];
		rib_port_put(s->rib, p);
		assert_int_equal(rib_commit(s->rib, set_change, &got), 0);
		/* one address and one MAC; here also the next hop */
		assert_int_equal(got.length - had, i % 2 ? 2 : 3);
	}
	rib_port_remove(s->rib, "p39");
	rib_port_remove(s->rib, "p39");
	assert_int_equal(rib_commit(s->rib, set_change, &got), 0);
	s->k.ports[39].there = false;
	model_build(s->f, &s->k);
	model_expect(&wanted, s->f, &s->k);
	assert_set_equal(&got, &wanted);
}

static void waiting_port_is_known_but_not_flooded_to(void **state)
{
	struct setup *s = *state;

	put_port(s, 0, SELF, 1);
	step(s);
	assert_int_equal(count(FWD_PORT), 0);
	assert_int_equal(count(FWD_FLOOD), 0);
	assert_int_equal(count(FWD_NEXTHOP), 1);
	assert_int_equal(count(FWD_MAC), 1);
	s->k.links[0] = (struct rib_link){.ifindex = 7, .mtu = 1400, .up = true};
	step(s);
	assert_int_equal(count(FWD_PORT), 1);
	assert_int_equal(count(FWD_FLOOD), 1);
	s->k.links[0].ifindex = 8; /* made again */
	step(s);
	assert_int_equal(count(FWD_PORT), 1);
	s->k.links[0].up = false;
	step(s);
	assert_int_equal(count(FWD_PORT), 1);
	assert_int_equal(count(FWD_FLOOD), 0);
}

static void local_truth_outlives_what_others_say(void **state)
{
	struct fwd here = {.kind = FWD_HOST, .host = {.vrf = 1, .nexthop = 10}}, there = here, elsewhere = here;
	struct claim *a = NULL, *b = NULL, *c = NULL;
	struct entries e;

	got.length = 0;
	there.host.nexthop = 20;
	elsewhere.host.nexthop = 30;
	entries_init(&e);
	entries_claim(&e, &b, ROUTE_SOURCE_CONFIG, "port2", &there);
	entries_claim(&e, &c, ROUTE_SOURCE_CONFIG, "port1", &elsewhere);
	assert_int_equal(entries_commit(&e, set_change, &got), 0);
	assert_int_equal(got.items[0].host.nexthop, 30); /* the lesser name, on every node */
	entries_claim(&e, &a, ROUTE_SOURCE_LOCAL, "port9", &here);
	assert_int_equal(entries_commit(&e, set_change, &got), 0);
	assert_int_equal(got.items[0].host.nexthop, 10);
	entries_withdraw(&e, &b);
	entries_withdraw(&e, &c);
	assert_int_equal(entries_commit(&e, set_change, &got), 0);
	assert_int_equal(got.length, 1);
	assert_int_equal(got.items[0].host.nexthop, 10);
	entries_withdraw(&e, &a);
	assert_int_equal(entries_commit(&e, set_change, &got), 0);
	assert_int_equal(got.length, 0);
	entries_fini(&e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(changes_add_up_to_the_set_computed_from_scratch),
		cmocka_unit_test_setup_teardown(node_without_ports_installs_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(loading_the_same_again_changes_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(path_mtu_and_reachability_choose_the_tunnel, setup, teardown),
		cmocka_unit_test_setup_teardown(one_port_costs_its_own_entries, setup, teardown),
		cmocka_unit_test(local_truth_outlives_what_others_say),
		cmocka_unit_test_setup_teardown(waiting_port_is_known_but_not_flooded_to, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
