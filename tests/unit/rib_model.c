/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "rib_model.h"

#include "lib/addr.h"

struct addr address_of(const char *format, ...)
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

void model_build(struct fabric *f, const struct knobs *k)
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

struct fwd *set_find(struct set *s, const struct fwd *f)
{
	for (size_t i = 0; i < s->length; i++)
		if (fwd_same_key(&s->items[i], f))
			return &s->items[i];
	return NULL;
}

void set_add(struct set *s, const struct fwd *f)
{
	assert_true(s->length < 4096);
	assert_null(set_find(s, f));
	s->items[s->length++] = *f;
}

void set_change(void *arg, const struct fwd_change *c)
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

bool set_equal(struct set *a, struct set *b)
{
	bool equal = a->length == b->length;

	for (size_t i = 0; equal && i < a->length; i++) {
		struct fwd *other = set_find(b, &a->items[i]);

		equal = other && fwd_equal(other, &a->items[i]);
	}
	return equal;
}

void assert_set_equal(struct set *got, struct set *expected)
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

void model_expect(struct set *s, const struct fabric *f, const struct knobs *k)
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
