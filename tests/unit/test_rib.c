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

#include "lib/addr.h"
#include "lib/hmap.h"
#include "rib/entry.h"
#include "rib/rib.h"

#define N_NODES 6
#define N_TENANTS 3
#define N_NETWORKS 4 /* of each tenant */
#define N_PORTS 40
#define SELF 0

/* ---- the fabric as knobs, and the configuration that they describe ---- */

struct knobs {
	struct {
		bool there, foreign, lists[N_TENANTS * N_NETWORKS];
		int address, families, site;
		uint32_t mtu;
	} nodes[N_NODES];
	struct { bool there; uint32_t vni; } tenants[N_TENANTS];
	struct {
		bool there, flood, native, subnet, gateway4, gateway6;
		unsigned encryption; /* 0: says nothing itself, else the word + 1 */
		enum config_mode mode;
		uint32_t vni;
	} networks[N_TENANTS * N_NETWORKS];
	struct { bool there; int node, network, address, mac; int n_addresses; uint32_t storm; } ports[N_PORTS];
	uint16_t icmp;
	enum config_encryption encryption;
	struct rib_link links[N_PORTS];
};

struct fabric {
	struct config config;
	struct config_site sites[2];
	struct config_node nodes[N_NODES];
	struct addr underlay[N_NODES][2];
	struct config_network *lists[N_NODES][N_TENANTS * N_NETWORKS];
	struct config_tenant tenants[N_TENANTS];
	struct config_network networks[N_TENANTS][N_NETWORKS];
	struct prefix subnets[N_TENANTS][N_NETWORKS][1];
	struct addr gateways[N_TENANTS][N_NETWORKS][2];
	struct config_port ports[N_PORTS];
	struct addr addresses[N_PORTS][3];
	char names[4][64][32];
};

__attribute__((format(printf, 1, 2))) static struct addr address_of(const char *format, ...)
{
	char text[64];
	struct addr out;
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	assert_int_equal(addr_parse(text, &out), 0);
	return out;
}

__attribute__((format(printf, 4, 5))) static char *name_of(struct fabric *f, int kind, int i, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(f->names[kind][i], sizeof(f->names[kind][i]), format, args);
	va_end(args);
	return f->names[kind][i];
}

static void build_node(struct fabric *f, const struct knobs *k, int i, struct config_node *n)
{
	struct addr v4 = address_of("192.0.2.%d", k->nodes[i].address + 1);
	struct addr v6 = address_of("2001:db8::%x", k->nodes[i].address + 1);

	*n = (struct config_node){.name = name_of(f, 0, i, "n%d", i),
				  .underlay = f->underlay[i],
				  .site = &f->sites[k->nodes[i].site],
				  .foreign = k->nodes[i].foreign,
				  .mtu = k->nodes[i].mtu,
				  .networks = f->lists[i]};
	if (k->nodes[i].families & 1)
		f->underlay[i][n->n_underlay++] = v4;
	if (k->nodes[i].families & 2)
		f->underlay[i][n->n_underlay++] = v6;
}

static void build_network(struct fabric *f, const struct knobs *k, int t, int i, struct config_network *n)
{
	int at = t * N_NETWORKS + i;

	*n = (struct config_network){.name = name_of(f, 1, at, "w%d", at),
				     .full_name = name_of(f, 2, at, "t%d/w%d", t, at),
				     .tenant = &f->tenants[t],
				     .mode = k->networks[at].mode,
				     .flood = k->networks[at].flood,
				     .encap = k->networks[at].native && k->networks[at].mode == CONFIG_MODE_L3 ?
						      CONFIG_ENCAP_NONE : CONFIG_ENCAP_VXLAN,
				     .encryption_own = k->networks[at].encryption > 0,
				     .encryption = k->networks[at].encryption > 0 ? k->networks[at].encryption - 1 : 0,
				     .vni = k->networks[at].mode == CONFIG_MODE_L2 ? k->networks[at].vni : 0,
				     .subnets = f->subnets[t][i],
				     .gateways = f->gateways[t][i]};
	if (k->networks[at].subnet) {
		f->subnets[t][i][0] = (struct prefix){.addr = address_of("10.%d.0.0", i), .length = 112};
		n->n_subnets = 1;
	}
	if (k->networks[at].gateway4)
		f->gateways[t][i][n->n_gateways++] = address_of("10.%d.255.1", i);
	if (k->networks[at].gateway6)
		f->gateways[t][i][n->n_gateways++] = address_of("fd00:%x::1", i);
}

static void build(struct fabric *f, const struct knobs *k)
{
	struct config_network *networks[N_TENANTS * N_NETWORKS] = {};
	struct config_node *nodes[N_NODES] = {};

	memset(f, 0, sizeof(*f));
	f->config = (struct config){.nodes = f->nodes, .tenants = f->tenants, .ports = f->ports, .icmp_limit = k->icmp,
				    .encryption = k->encryption};
	for (int i = 0; i < N_NODES; i++)
		if (k->nodes[i].there)
			build_node(f, k, i, nodes[i] = &f->nodes[f->config.n_nodes++]);
	for (int t = 0, to = 0; t < N_TENANTS; t++) {
		if (!k->tenants[t].there)
			continue;
		f->tenants[t] = (struct config_tenant){.name = name_of(f, 3, t, "t%d", t), .vni = k->tenants[t].vni,
						       .networks = f->networks[t]};
		for (int i = 0; i < N_NETWORKS; i++) {
			struct config_network *n;

			if (!k->networks[t * N_NETWORKS + i].there)
				continue;
			n = &f->networks[t][f->tenants[t].n_networks++];
			build_network(f, k, t, i, n);
			if (!n->encryption_own)
				f->tenants[t].encryption_inherited = true;
			else if (n->encryption > f->tenants[t].encryption_own)
				f->tenants[t].encryption_own = n->encryption;
			networks[t * N_NETWORKS + i] = n;
		}
		f->config.n_tenants = (size_t)++to;
	}
	/* tenants that are not there leave holes: close them, and mend the pointers */
	for (int t = 0, to = 0; t < N_TENANTS; t++) {
		if (!k->tenants[t].there)
			continue;
		f->tenants[to] = f->tenants[t];
		for (size_t i = 0; i < f->tenants[to].n_networks; i++)
			f->tenants[to].networks[i].tenant = &f->tenants[to];
		to++;
	}
	for (int i = 0; i < N_NODES; i++)
		for (int w = 0; nodes[i] && k->nodes[i].foreign && w < N_TENANTS * N_NETWORKS; w++)
			if (networks[w] && k->nodes[i].lists[w] && networks[w]->mode == CONFIG_MODE_L2)
				f->lists[i][nodes[i]->n_networks++] = networks[w];
	for (int i = 0; i < N_PORTS; i++) {
		struct config_port *p = &f->ports[f->config.n_ports];

		if (!k->ports[i].there || !nodes[k->ports[i].node] || !networks[k->ports[i].network])
			continue;
		*p = (struct config_port){.name = name_of(f, 0, N_NODES + i, "p%d", i), .node = nodes[k->ports[i].node],
					  .network = networks[k->ports[i].network], .addresses = f->addresses[i],
					  .n_addresses = (size_t)k->ports[i].n_addresses,
					  .storm_limit = k->ports[i].storm};
		p->mac = (struct mac){{2, 0, 0, 0, 0, (uint8_t)k->ports[i].mac}};
		f->addresses[i][0] = address_of("10.0.%d.1", k->ports[i].address);
		f->addresses[i][1] = address_of("fd00::%x", k->ports[i].address + 2);
		f->addresses[i][2] = address_of("10.0.%d.2", k->ports[i].address);
		f->config.n_ports++;
	}
}

/* ---- a set of entries ---- */

struct set {
	struct fwd items[4096];
	size_t length;
};

static struct fwd *set_find(struct set *s, const struct fwd *f)
{
	for (size_t i = 0; i < s->length; i++)
		if (fwd_same_key(&s->items[i], f))
			return &s->items[i];
	return NULL;
}

static void set_add(struct set *s, const struct fwd *f)
{
	assert_true(s->length < 4096);
	assert_null(set_find(s, f));
	s->items[s->length++] = *f;
}

static void set_change(void *arg, const struct fwd_change *c)
{
	struct set *s = arg;
	struct fwd *had = set_find(s, c->put ? &c->now : &c->old);

	assert_int_equal(c->had_old, had != NULL);
	if (had)
		assert_true(fwd_equal(had, &c->old));
	if (c->put && had)
		assert_false(fwd_equal(&c->now, had)); /* a change that changes nothing is none */
	if (c->put && had)
		*had = c->now;
	else if (c->put)
		set_add(s, &c->now);
	else
		*had = s->items[--s->length];
}

static void set_print_missing(const char *what, struct set *in, struct set *from)
{
	char text[256];

	for (size_t i = 0; i < in->length; i++) {
		struct fwd *other = set_find(from, &in->items[i]);

		if (!other || !fwd_equal(other, &in->items[i]))
			print_error("%s: %s\n", what, fwd_format(&in->items[i], text, sizeof(text)));
	}
}

static bool set_equal(struct set *a, struct set *b)
{
	bool equal = a->length == b->length;

	for (size_t i = 0; equal && i < a->length; i++) {
		struct fwd *other = set_find(b, &a->items[i]);

		equal = other && fwd_equal(other, &a->items[i]);
	}
	return equal;
}

static void assert_set_equal(struct set *got, struct set *expected)
{
	if (set_equal(got, expected))
		return;
	set_print_missing("not expected", got, expected);
	set_print_missing("missing", expected, got);
	fail_msg("%zu entries, expected %zu", got->length, expected->length);
}

/* ---- the model: a plain walk over the configuration ---- */

static bool routed(const struct config_network *n)
{
	return n->mode == CONFIG_MODE_L3 || n->n_gateways > 0;
}

static bool has_port(const struct fabric *f, const struct config_node *node, const struct config_network *network)
{
	for (size_t i = 0; i < f->config.n_ports; i++)
		if (f->ports[i].node == node && f->ports[i].network == network)
			return true;
	return false;
}

static bool routes_for(const struct fabric *f, const struct config_node *node, const struct config_tenant *t)
{
	for (size_t i = 0; i < t->n_networks; i++)
		if (routed(&t->networks[i]) && has_port(f, node, &t->networks[i]))
			return true;
	return false;
}

static bool lists(const struct config_node *node, const struct config_network *network)
{
	for (size_t i = 0; i < node->n_networks; i++)
		if (node->networks[i] == network)
			return true;
	return false;
}

static bool on_lan(const struct fabric *f, const struct config_node *node, const struct config_network *network)
{
	return has_port(f, node, network) || lists(node, network);
}

static uint32_t tunnel_mtu(uint32_t path, bool v4, bool secure)
{
	uint32_t outer = path - (v4 ? 60 : 80); /* the longest multiple of 16 that is not longer */

	return secure ? outer / 16 * 16 - (v4 ? 50 : 70) : path - (v4 ? 50 : 70);
}

static void expect_members(struct set *s, const struct config_node *node, struct fwd_member m)
{
	for (size_t i = 0; i < node->n_underlay; i++) {
		struct fwd f = {.kind = FWD_MEMBER, .member = m};

		f.member.source = node->underlay[i];
		f.member.encap = FWD_ENCAP_VXLAN;
		set_add(s, &f);
	}
}

static void expect_network(struct set *s, const struct fabric *f, const struct config_node *self,
			   const struct config_network *n)
{
	bool here = has_port(f, self, n), scope = here || (routed(n) && routes_for(f, self, n->tenant));
	bool l2 = n->mode == CONFIG_MODE_L2;
	uint32_t vrf = n->tenant->vni, vni = l2 ? n->vni : vrf;

	if (!scope)
		return;
	for (size_t i = 0; i < n->n_subnets; i++)
		set_add(s, &(struct fwd){.kind = FWD_PREFIX, .prefix = {vrf, n->subnets[i], vni}});
	for (size_t i = 0; i < n->n_gateways; i++)
		set_add(s,
			&(struct fwd){
				.kind = FWD_HOST,
				.host = {.vrf = vrf, .addr = n->gateways[i], .vni = vni, .gateway = true, .l3 = !l2}});
	for (size_t i = 0; i < f->config.n_nodes; i++) {
		const struct config_node *node = &f->nodes[i];
		uint64_t owner = fwd_owner_tunnel(n->full_name, node->name);
		const struct addr *local, *remote = config_path(self, node, &local);
		bool secure = config_encrypts(&f->config, n, self, node),
		     sent_so = secure || (routed(n) && config_encrypts_tenant(&f->config, n->tenant, self, node));
		uint32_t mtu = node->mtu == 0				 ? self->mtu
			       : self->mtu == 0 || node->mtu < self->mtu ? node->mtu
									 : self->mtu;

		if (node == self || !on_lan(f, node, n))
			continue;
		if (l2 && (here || node->foreign))
			expect_members(s, node,
				       (struct fwd_member){
					       .vni = vni, .vrf = vrf, .flood = n->flood, .foreign = node->foreign,
					       .secure = secure});
		if (remote && ((here && l2) || has_port(f, node, n))) {
			struct fwd_nexthop h = {.owner = owner, .type = FWD_NEXTHOP_TUNNEL, .encap = FWD_ENCAP_VXLAN,
						.foreign = node->foreign, .secure = sent_so, .remote = *remote,
						.local = *local};

			config_router_mac(node, &h.router_mac);
			h.mtu = tunnel_mtu(mtu ? mtu : 1500, addr_is_v4(remote), sent_so);
			if (n->encap == CONFIG_ENCAP_NONE) {
				h.secure = false;
				h.type = FWD_NEXTHOP_NATIVE;
				h.encap = FWD_ENCAP_NONE;
				h.mtu = mtu ? mtu : 1500;
			}
			set_add(s, &(struct fwd){.kind = FWD_NEXTHOP, .nexthop = h});
		}
		if (remote && here && l2)
			set_add(s, &(struct fwd){.kind = FWD_FLOOD, .flood = {vni, owner}});
	}
}

static bool has_family(const struct config_node *node, bool v4)
{
	for (size_t i = 0; i < node->n_underlay; i++)
		if (addr_is_v4(&node->underlay[i]) == v4)
			return true;
	return false;
}

/* By the node's address of the port's family; IPv4 by any. */
static void expect_route(struct set *s, const struct config_node *self, const struct config_node *node,
			 const struct addr *to)
{
	bool v4 = addr_is_v4(to), same = has_family(self, v4) && has_family(node, v4);

	for (size_t i = 0; i < node->n_underlay; i++) {
		const struct addr *hop = &node->underlay[i];

		if (addr_is_v4(hop) == v4 ? same : v4 && !same && has_family(self, false))
			set_add(s, &(struct fwd){.kind = FWD_ROUTE,
						 .route = {.prefix = {*to, 128}, .n_hops = 1, .hops = {*hop}}});
	}
}

static void expect_port(struct set *s, const struct fabric *f, const struct config_node *self,
			const struct config_port *p, const struct rib_link *link)
{
	const struct config_network *n = p->network;
	bool l2 = n->mode == CONFIG_MODE_L2, here = has_port(f, self, n), local = p->node == self,
	     up = link->ifindex && link->up;
	uint32_t vrf = n->tenant->vni, vni = l2 ? n->vni : vrf;
	uint64_t nexthop = local ? fwd_owner_port(p->name) : fwd_owner_tunnel(n->full_name, p->node->name);
	const struct addr *source;

	if (!local &&
	    (!(here || (routed(n) && routes_for(f, self, n->tenant))) || !config_path(self, p->node, &source)))
		return;
	for (size_t i = 0; i < p->n_addresses; i++)
		set_add(s, &(struct fwd){.kind = FWD_HOST,
					 .host = {vrf, p->addresses[i], nexthop, vni, p->mac, false, !l2, !routed(n)}});
	for (size_t i = 0; !local && n->encap == CONFIG_ENCAP_NONE && i < p->n_addresses; i++)
		expect_route(s, self, p->node, &p->addresses[i]);
	if (l2 && here)
		set_add(s, &(struct fwd){.kind = FWD_MAC, .mac = {vni, p->mac, nexthop}});
	if (!local)
		return;
	set_add(s, &(struct fwd){.kind = FWD_NEXTHOP,
				 .nexthop = {.owner = nexthop,
					     .type = FWD_NEXTHOP_PORT,
					     .ifindex = up ? link->ifindex : 0,
					     .peer = up && link->peer,
					     .mtu = link->ifindex ? link->mtu : 1500}});
	if (link->ifindex) {
		struct fwd_port e = {.ifindex = link->ifindex,
				     .owner = nexthop,
				     .vni = vni,
				     .vrf = vrf,
				     .flags = link->flags,
				     .mac = p->mac,
				     .storm_limit = p->storm_limit,
				     .icmp_limit = f->config.icmp_limit};

		for (size_t i = 0; i < n->n_gateways; i++)
			if (addr_is_v4(&n->gateways[i]))
				e.gateway4 = n->gateways[i];
			else
				e.gateway6 = n->gateways[i];
		set_add(s, &(struct fwd){.kind = FWD_PORT, .port = e});
	}
	if (up && l2)
		set_add(s, &(struct fwd){.kind = FWD_FLOOD, .flood = {vni, nexthop}});
}

static void expect(struct set *s, const struct fabric *f, const struct knobs *k)
{
	const struct config_node *self = &f->nodes[0]; /* never away, so the first */

	s->length = 0;
	for (size_t t = 0; t < f->config.n_tenants; t++) {
		const struct config_tenant *tenant = &f->tenants[t];

		for (size_t i = 0; i < tenant->n_networks; i++)
			expect_network(s, f, self, &tenant->networks[i]);
		for (size_t i = 0; routes_for(f, self, tenant) && i < f->config.n_nodes; i++)
			if (&f->nodes[i] != self && !f->nodes[i].foreign && routes_for(f, &f->nodes[i], tenant))
				expect_members(s, &f->nodes[i],
					       (struct fwd_member){.vni = tenant->vni, .vrf = tenant->vni, .l3 = true,
								   .secure = config_encrypts_tenant(&f->config, tenant, self,
												    &f->nodes[i])});
	}
	for (size_t i = 0; i < f->config.n_ports; i++)
		expect_port(s, f, self, &f->ports[i], &k->links[atoi(f->ports[i].name + 1)]);
}

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
			build(b, &k);
			before = got;
			load(rib, b, &k);
			assert_int_equal(rib_commit(rib, set_change, &got), 0);
			expect(&wanted, b, &k);
			assert_set_equal(&got, &wanted);
			scratch.length = 0;
			rib_each(rib, collect, &scratch);
			assert_set_equal(&scratch, &wanted);
			if (step == 0 || pick(4))
				continue;
			build(a, &was); /* undo, and again */
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
	build(s->f, &s->k);
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
	build(s->f, &s->k);
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
		build(s->f, &s->k);
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
	build(s->f, &s->k);
	expect(&wanted, s->f, &s->k);
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
