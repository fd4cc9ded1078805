/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Nodes to which everything happens: ports come, go, move, wait; sessions end and begin; files change; what is said is
 * heard late.  When it is quiet each node holds what it would by a file that lists all ports that are up.
 *
 *	test_rib_learn_truth [FIRST SEED [LAST SEED]]
 */
#include "learn_rig.h"

#include <stdlib.h>
#include <string.h>

#include "lib/hmap.h"

#define N_NODES 4
#define N_PORTS 24

static struct rig g;

static struct {
	bool there, up;
	unsigned node;
	enum rig_network network;
} ports[N_PORTS];

/* ---- entries without the names of next hops ---- */

struct view {
	struct fwd entries[1024];
	size_t length;
};

static void plain(const struct fwd *f, const struct fwd_nexthop *(*nexthop)(const void *of, uint64_t owner), const void *of,
		  struct view *v)
{
	struct fwd out = *f;
	uint64_t *owner = f->kind == FWD_HOST ? &out.host.nexthop : f->kind == FWD_MAC ? &out.mac.nexthop :
			  f->kind == FWD_FLOOD ? &out.flood.nexthop : f->kind == FWD_PREFIX ? &out.prefix.nexthop : NULL;
	const struct fwd_nexthop *n = owner && *owner ? nexthop(of, *owner) : NULL;

	if (f->kind == FWD_NEXTHOP)
		return;
	if (n && n->type != FWD_NEXTHOP_PORT) {
		uint8_t bytes[64] = {n->foreign, [60] = (uint8_t)n->type};

		memcpy(bytes + 1, &n->remote, 16);
		memcpy(bytes + 17, &n->local, 16);
		if (n->type == FWD_NEXTHOP_TUNNEL)
			memcpy(bytes + 33, &n->router_mac, 6);
		memcpy(bytes + 40, &n->mtu, 4);
		*owner = hash_stable(bytes, sizeof(bytes));
		if (f->kind == FWD_HOST && f->host.l3)
			out.host.mac = (struct mac){{0}};
	}
	assert_in_range(v->length, 0, 1023);
	v->entries[v->length++] = out;
}

static const struct fwd_nexthop *nexthop_held(const void *of, uint64_t owner)
{
	return rig_nexthop(&g, *(const unsigned *)of, owner);
}

static const struct fwd_nexthop *nexthop_in_list(const void *of, uint64_t owner)
{
	const struct view *all = of;

	for (size_t i = 0; i < all->length; i++)
		if (all->entries[i].kind == FWD_NEXTHOP && all->entries[i].nexthop.owner == owner)
			return &all->entries[i].nexthop;
	return NULL;
}

static void on_wanted(void *arg, const struct fwd_change *c)
{
	struct view *v = arg;

	assert_in_range(v->length, 0, 1023);
	v->entries[v->length++] = c->now;
}

static const struct fwd *find(const struct view *v, const struct fwd *key)
{
	for (size_t i = 0; i < v->length; i++)
		if (fwd_same_key(&v->entries[i], key))
			return &v->entries[i];
	return NULL;
}

static void assert_view_equal(uint64_t seed, unsigned node, const struct view *held, const struct view *wanted)
{
	char text[256];

	for (size_t i = 0; i < wanted->length; i++) {
		const struct fwd *f = find(held, &wanted->entries[i]);

		if (!f || !fwd_equal(f, &wanted->entries[i]))
			fail_msg("seed %lu, node %u has not: %s", (unsigned long)seed, node,
				 fwd_format(&wanted->entries[i], text, sizeof(text)));
	}
	for (size_t i = 0; i < held->length; i++)
		if (!find(wanted, &held->entries[i]))
			fail_msg("seed %lu, node %u has: %s", (unsigned long)seed, node,
				 fwd_format(&held->entries[i], text, sizeof(text)));
}

/* ---- a node with a file that says all ---- */

static void put_link(struct rib *rib, unsigned i)
{
	char name[8];

	snprintf(name, sizeof(name), "p%u", i + 1);
	rib_port_link(rib, name, &(struct rib_link){.ifindex = i + 2, .mtu = 1500, .up = ports[i].up});
}

static void want(unsigned node, struct view *out)
{
	struct rig_node *n = &g.nodes[node], had = *n;
	struct view all = {.length = 0};

	assert_int_equal(rib_new(&n->rib), 0);
	rib_load(n->rib, &g.config, &g.config_nodes[node]);
	for (unsigned i = 0; i < N_PORTS; i++) {
		if (!ports[i].there || (!ports[i].up && ports[i].node != node))
			continue;
		rig_port_put(&g, node, ports[i].node, ports[i].network, i + 1);
		if (ports[i].node == node)
			put_link(n->rib, i);
	}
	assert_int_equal(rib_commit(n->rib, on_wanted, &all), 0);
	rib_free(n->rib);
	n->rib = had.rib;
	out->length = 0;
	for (size_t i = 0; i < all.length; i++)
		plain(&all.entries[i], nexthop_in_list, &all, out);
}

static void assert_is_the_truth(uint64_t seed)
{
	static struct view held, wanted;

	for (unsigned node = 0; node < N_NODES; node++) {
		held.length = 0;
		for (size_t i = 0; i < g.nodes[node].n_entries; i++)
			plain(&g.nodes[node].entries[i], nexthop_held, &node, &held);
		want(node, &wanted);
		assert_view_equal(seed, node, &held, &wanted);
	}
}

/* ---- what happens ---- */

static void leave(unsigned i)
{
	rig_port_remove(&g, ports[i].node, i + 1);
	ports[i].there = false;
}

static void arrive(unsigned i, unsigned node, enum rig_network network, bool up)
{
	ports[i].there = true;
	ports[i].up = up;
	ports[i].node = node;
	ports[i].network = network;
	rig_port_put(&g, node, node, network, i + 1);
	rig_port_link(&g, node, i + 1, up);
}

static void change_port(unsigned i)
{
	if (!ports[i].there) {
		arrive(i, rig_pick(&g, N_NODES), rig_pick(&g, RIG_NETWORKS), rig_pick(&g, 5) > 0);
	} else if (rig_pick(&g, 3) == 0) {
		leave(i);
	} else if (rig_pick(&g, 2)) {
		ports[i].up = !ports[i].up;
		rig_port_link(&g, ports[i].node, i + 1, ports[i].up);
	} else { /* to another node, there first or away first */
		unsigned from = ports[i].node, to = rig_pick(&g, N_NODES);
		bool first = rig_pick(&g, 2);

		if (first)
			rig_port_remove(&g, from, i + 1);
		arrive(i, to, ports[i].network, true);
		if (rig_pick(&g, 2))
			rig_round(&g);
		if (!first && from != to)
			rig_port_remove(&g, from, i + 1);
	}
}

struct saying {
	unsigned from, to;
};

static void say_again(void *arg, const struct export_change *put)
{
	const struct saying *s = arg;

	learn_put(g.nodes[s->to].learn, g.nodes[s->to].sources[s->from], put->attrs, &put->nlri, 1);
}

/* The session between them is another: what was on its way is lost, all is said again, what is not said goes. */
static void begin_anew(unsigned from, unsigned to, bool gracefully)
{
	struct learn *l = g.nodes[to].learn;
	const struct saying s = {from, to};
	uint16_t source = g.nodes[to].sources[from];
	size_t kept = 0;

	for (size_t i = 0; i < g.n_queued; i++)
		if (g.queue[i].from == from && g.queue[i].to == to)
			attrs_unref(g.attrs, g.queue[i].attrs);
		else
			g.queue[kept++] = g.queue[i];
	g.n_queued = kept;
	for (enum route_family f = 0; f < ROUTE_FAMILY_MAX; f++) {
		learn_stale(l, source, f);
		if (!gracefully)
			learn_swept(l, source, f);
	}
	if (rig_pick(&g, 2))
		rig_commit(&g, to);
	learn_announced_each(g.nodes[from].learn, say_again, (void *)&s);
	for (enum route_family f = 0; gracefully && f < ROUTE_FAMILY_MAX; f++) {
		const struct routes *t = learn_routes(l);
		uint64_t fresh = routes_source_length(t, source, f) - routes_source_stale(t, source, f);
		uint64_t counted = routes_source_counted(t, source, f);

		assert_int_equal(learn_swept(l, source, f), counted - fresh);
		assert_int_equal(routes_source_counted(t, source, f), fresh);
	}
}

static void reload(unsigned node)
{
	rig_load(&g, node); /* and its ports, which are no part of the file here */
	for (unsigned i = 0; i < N_PORTS; i++) {
		if (!ports[i].there || ports[i].node != node)
			continue;
		rig_port_put(&g, node, node, ports[i].network, i + 1);
		rig_port_link(&g, node, i + 1, ports[i].up);
	}
}

/* Another VNI, tenant's VNI, gateway, encapsulation or address: everybody reads the new file, one after the other. */
static void change_file(void)
{
	struct config_network *n = rig_network(&g, rig_pick(&g, RIG_NETWORKS));
	unsigned node = rig_pick(&g, N_NODES);

	switch (rig_pick(&g, 5)) {
	case 0:
		if (n->mode == CONFIG_MODE_L2)
			n->vni = 7000 + rig_pick(&g, 1000) * 8 + (unsigned)(n - g.red);
		break;
	case 1:
		n->n_gateways = n->mode == CONFIG_MODE_L2 ? !n->n_gateways : 0;
		break;
	case 2:
		g.tenants[0].vni = 20000 + rig_pick(&g, 10000);
		break;
	case 3:
		g.green[0].encap = g.green[0].encap == CONFIG_ENCAP_NONE ? CONFIG_ENCAP_VXLAN : CONFIG_ENCAP_NONE;
		break;
	default:
		g.underlay[node][0].bytes[15] = (uint8_t)(10 * (1 + rig_pick(&g, 20)) + node);
	}
	for (unsigned i = 0; i < N_NODES; i++) {
		reload(i);
		if (rig_pick(&g, 2))
			rig_round(&g);
	}
}

static void anything(void)
{
	unsigned a = rig_pick(&g, N_NODES), b = rig_pick(&g, N_NODES);

	switch (rig_pick(&g, 16)) {
	case 0:
		if (a != b)
			begin_anew(a, b, false);
		break;
	case 1:
		if (a != b)
			begin_anew(a, b, true);
		break;
	case 2:
		reload(a);
		break;
	case 3:
		change_file();
		break;
	default:
		change_port(rig_pick(&g, N_PORTS));
	}
}

static void live(uint64_t seed)
{
	memset(ports, 0, sizeof(ports));
	rig_init(&g, N_NODES);
	g.chance = seed;
	g.budget = 1 + rig_pick(&g, 40);
	for (unsigned i = 0; i < 120; i++) {
		g.now_ms += 61000;
		anything();
		for (unsigned rounds = rig_pick(&g, 3); rounds > 0; rounds--)
			rig_round(&g);
		if (i % 30 == 29) {
			rig_run(&g);
			assert_is_the_truth(seed);
		}
	}
	rig_fini(&g);
}

static uint64_t first_seed = 1, last_seed = 60;

static void whatever_happens_all_come_to_the_truth(void **state)
{
	for (uint64_t seed = first_seed; seed <= last_seed; seed++)
		live(seed);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(whatever_happens_all_come_to_the_truth)};

	if (argc > 1)
		first_seed = last_seed = strtoull(argv[1], NULL, 0);
	if (argc > 2)
		last_seed = strtoull(argv[2], NULL, 0);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
