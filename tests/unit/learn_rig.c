/* SPDX-License-Identifier: Apache-2.0 */
#include "learn_rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *const node_names[RIG_NODES] = {"n0", "n1", "n2", "n3", "n4", "n5"};
static char port_names[256][8];

struct addr rig_address(const char *text)
{
	struct addr a;

	assert_int_equal(addr_parse(text, &a), 0);
	return a;
}

__attribute__((format(printf, 1, 2))) static struct addr address_of(const char *format, ...)
{
	char text[64];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	return rig_address(text);
}

struct mac rig_mac(unsigned number)
{
	return (struct mac){{2, 0, 0, 0, (uint8_t)(number >> 8), (uint8_t)number}};
}

struct addr rig_host(enum rig_network n, unsigned number)
{
	return address_of("10.0.%u.%u", n, number);
}

struct config_network *rig_network(struct rig *g, enum rig_network n)
{
	return n == BLUE_WEB ? &g->blue[0] : n == GREEN_ALL ? &g->green[0] : &g->red[n];
}

static void build_network(struct rig *g, enum rig_network n, char *full_name, enum config_mode mode, uint32_t vni, bool routed)
{
	struct config_network *c = rig_network(g, n);

	g->subnets[n] = (struct prefix){.addr = address_of("10.0.%d.0", n), .length = 120};
	g->gateways[n] = address_of("10.0.%d.254", n);
	*c = (struct config_network){.name = full_name + 4,
				     .full_name = full_name,
				     .tenant = &g->tenants[n == BLUE_WEB ? 1 : n == GREEN_ALL ? 2 : 0],
				     .encap = CONFIG_ENCAP_VXLAN,
				     .mode = mode,
				     .vni = vni,
				     .subnets = &g->subnets[n],
				     .n_subnets = 1,
				     .gateways = &g->gateways[n],
				     .n_gateways = routed};
}

static void on_alert(void *arg, const struct learn_alert *alert)
{
	struct rig_node *n = arg;

	n->alert = *alert;
	n->n_alerts++;
	snprintf(n->alert_port, sizeof(n->alert_port), "%s", alert->port ? alert->port : "none");
}

static void meet(struct rig *g, unsigned a, unsigned b)
{
	struct learn_neighbor n = {.neighbor = {.address = g->underlay[b][0], .router_id = b + 1}};

	assert_int_equal(learn_neighbor_add(g->nodes[a].learn, &n, &g->nodes[a].sources[b]), 0);
}

void rig_load(struct rig *g, unsigned node)
{
	rib_load(g->nodes[node].rib, &g->config, &g->config_nodes[node]);
	assert_int_equal(learn_load(g->nodes[node].learn, &g->config, &g->config_nodes[node]), 0);
}

void rig_init(struct rig *g, unsigned n_nodes)
{
	*g = (struct rig){.n_nodes = n_nodes, .now_ms = 1000, .budget = 1000};
	assert_int_equal(attrs_new(&g->attrs), 0);
	g->bgp.as = RIG_AS;
	g->tenants[0] = (struct config_tenant){.name = (char *)"red", .vni = 5000, .networks = g->red, .n_networks = 3};
	g->tenants[1] = (struct config_tenant){.name = (char *)"blue", .vni = 6000, .networks = g->blue, .n_networks = 1};
	g->tenants[2] = (struct config_tenant){.name = (char *)"green", .vni = 7000, .networks = g->green, .n_networks = 1};
	build_network(g, RED_WEB, (char *)"red/web", CONFIG_MODE_L2, 5001, true);
	build_network(g, RED_LAN, (char *)"red/lan", CONFIG_MODE_L2, 5002, false);
	build_network(g, RED_APP, (char *)"red/app", CONFIG_MODE_L3, 0, false);
	build_network(g, BLUE_WEB, (char *)"blue/web", CONFIG_MODE_L2, 6001, true);
	build_network(g, GREEN_ALL, (char *)"green/all", CONFIG_MODE_L3, 0, true);
	g->green[0].encap = CONFIG_ENCAP_NONE;
	g->config = (struct config){.bgp = &g->bgp, .nodes = g->config_nodes, .n_nodes = n_nodes, .tenants = g->tenants, .n_tenants = 3};
	for (unsigned i = 0; i < n_nodes; i++) {
		g->underlay[i][0] = address_of("192.0.2.%u", i + 1);
		g->config_nodes[i] = (struct config_node){.name = node_names[i], .underlay = g->underlay[i], .n_underlay = 1,
							  .router_id = 0xc0000201 + i};
	}
	for (unsigned i = 0; i < n_nodes; i++) {
		struct rig_node *n = &g->nodes[i];

		assert_int_equal(rib_new(&n->rib), 0);
		assert_int_equal(learn_new(n->rib, g->attrs, on_alert, n, &n->learn), 0);
		rig_load(g, i);
		for (unsigned k = 0; k < n_nodes; k++)
			if (k != i)
				meet(g, i, k);
	}
}

void rig_fini(struct rig *g)
{
	for (size_t i = 0; i < g->n_queued; i++)
		attrs_unref(g->attrs, g->queue[i].attrs);
	free(g->queue);
	for (unsigned i = 0; i < g->n_nodes; i++) {
		learn_free(g->nodes[i].learn);
		rib_free(g->nodes[i].rib);
		free(g->nodes[i].entries);
	}
	assert_int_equal(attrs_length(g->attrs), 0);
	attrs_free(g->attrs);
}

/* ---- ports ---- */

static char *port_name(unsigned number)
{
	snprintf(port_names[number], sizeof(port_names[0]), "p%u", number);
	return port_names[number];
}

void rig_port_put(struct rig *g, unsigned node, unsigned at, enum rig_network n, unsigned number)
{
	struct addr host = rig_host(n, number);
	struct config_port c = {.name = port_name(number),
				.node = &g->config_nodes[at],
				.network = rig_network(g, n),
				.mac = rig_mac(number),
				.addresses = &host,
				.n_addresses = 1};

	rib_port_put(g->nodes[node].rib, &c);
}

void rig_port_link(struct rig *g, unsigned node, unsigned number, bool up)
{
	rib_port_link(g->nodes[node].rib, port_name(number), &(struct rib_link){.ifindex = number + 1, .mtu = 1500, .up = up});
}

void rig_port_up(struct rig *g, unsigned node, enum rig_network n, unsigned number)
{
	rig_port_put(g, node, node, n, number);
	rig_port_link(g, node, number, true);
}

void rig_port_remove(struct rig *g, unsigned node, unsigned number)
{
	rib_port_remove(g->nodes[node].rib, port_name(number));
}

/* ---- entries ---- */

static struct fwd *find(const struct rig_node *n, const struct fwd *key)
{
	for (size_t i = 0; i < n->n_entries; i++)
		if (fwd_same_key(&n->entries[i], key))
			return &n->entries[i];
	return NULL;
}

static void on_entry(void *arg, const struct fwd_change *c)
{
	struct rig_node *n = arg;
	struct fwd *had = find(n, c->put ? &c->now : &c->old);

	assert_int_equal(c->had_old, had != NULL);
	if (had)
		assert_true(fwd_equal(had, &c->old));
	n->n_deleted += !c->put;
	n->n_replaced += c->put && had;
	n->n_put += c->put && !had;
	if (c->put && had) {
		*had = c->now;
	} else if (c->put) {
		if (n->n_entries == n->entries_capacity) {
			n->entries_capacity = 2 * n->entries_capacity + 64;
			n->entries = reallocarray(n->entries, n->entries_capacity, sizeof(*n->entries));
			assert_non_null(n->entries);
		}
		n->entries[n->n_entries++] = c->now;
	} else {
		*had = n->entries[--n->n_entries];
	}
}

static uint64_t nexthop_of(const struct fwd *f)
{
	switch (f->kind) {
	case FWD_HOST:
		return f->host.nexthop;
	case FWD_MAC:
		return f->mac.nexthop;
	case FWD_PREFIX:
		return f->prefix.nexthop;
	case FWD_FLOOD:
		return f->flood.nexthop;
	default:
		return 0;
	}
}

static void check(const struct rig *g, unsigned node)
{
	const struct rig_node *n = &g->nodes[node];
	char text[256];

	for (size_t i = 0; i < n->n_entries; i++) {
		uint64_t owner = nexthop_of(&n->entries[i]);

		if (owner && !rig_nexthop(g, node, owner))
			fail_msg("node %u: %s: by a next hop that is not there", node,
				 fwd_format(&n->entries[i], text, sizeof(text)));
	}
}

/* ---- talking ---- */

struct telling {
	struct rig *g;
	unsigned from;
};

static void on_change(void *arg, const struct export_change *c)
{
	struct telling *t = arg;
	struct rig *g = t->g;

	g->nodes[t->from].n_announced += c->put;
	g->nodes[t->from].n_withdrawn += !c->put;
	for (unsigned to = 0; to < g->n_nodes; to++) {
		if (to == t->from)
			continue;
		if (g->n_queued == g->queue_capacity) {
			g->queue_capacity = 2 * g->queue_capacity + 64;
			g->queue = reallocarray(g->queue, g->queue_capacity, sizeof(*g->queue));
			assert_non_null(g->queue);
		}
		g->queue[g->n_queued++] =
			(struct rig_message){t->from, to, c->put, c->nlri, c->put ? attrs_ref(c->attrs) : NULL};
	}
}

static void deliver(struct rig *g, const struct rig_message *m)
{
	struct rig_node *n = &g->nodes[m->to];

	if (m->put)
		learn_put(n->learn, n->sources[m->from], m->attrs, &m->nlri, 1);
	else
		learn_remove(n->learn, n->sources[m->from], &m->nlri, 1);
	attrs_unref(g->attrs, m->attrs);
}

void rig_commit(struct rig *g, unsigned node)
{
	struct rig_node *n = &g->nodes[node];
	struct telling t = {g, node};

	learn_run(n->learn, g->now_ms, g->budget);
	assert_int_equal(rib_commit(n->rib, on_entry, n), 0);
	check(g, node);
	assert_int_equal(learn_commit(n->learn, g->now_ms, on_change, &t), 0);
}

uint32_t rig_pick(struct rig *g, uint32_t below)
{
	g->chance = g->chance * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(g->chance >> 33) % below;
}

/* Whoever is late is late with all that one has to tell the other. */
static void hear(struct rig *g)
{
	struct rig_message *said = g->queue;
	bool late[RIG_NODES][RIG_NODES] = {};
	size_t n = g->n_queued, kept = 0;

	for (unsigned i = 0; g->chance && i < g->n_nodes * g->n_nodes; i++)
		late[i / g->n_nodes][i % g->n_nodes] = rig_pick(g, 3) > 0;
	g->queue = NULL;
	g->n_queued = g->queue_capacity = 0;
	for (size_t i = 0; i < n; i++)
		if (late[said[i].from][said[i].to])
			said[kept++] = said[i];
		else
			deliver(g, &said[i]);
	g->queue = said;
	g->n_queued = g->queue_capacity = kept;
}

bool rig_round(struct rig *g)
{
	bool more = false;
	size_t n;

	for (unsigned i = 0; i < g->n_nodes; i++) {
		rig_commit(g, i);
		more |= learn_next_ms(g->nodes[i].learn) == 0;
	}
	n = g->n_queued;
	hear(g);
	return more || n > 0;
}

void rig_run(struct rig *g)
{
	for (unsigned rounds = 0; rig_round(g); rounds++)
		assert_in_range(rounds, 0, 10000);
}

/* ---- neighbors that are no node ---- */

uint64_t rig_target(uint32_t vni)
{
	return extended_target_as2(RIG_AS, vni);
}

uint16_t rig_neighbor(struct rig *g, unsigned node, unsigned i, const char *address)
{
	struct rig_node *n = &g->nodes[node];
	const struct learn_neighbor c = {.neighbor = {.address = rig_address(address), .router_id = 100 + i}};

	assert_int_equal(learn_neighbor_add(n->learn, &c, &n->sources[RIG_NODES + i]), 0);
	return n->sources[RIG_NODES + i];
}

static struct route_nlri nlri_of(const struct rig_route *r)
{
	struct route_nlri n = {.key = {.family = ROUTE_EVPN, .type = (uint8_t)r->type, .rd = route_rd_ip(r->rd, 1)},
			       .n_labels = r->l3_vni ? 2 : 1,
			       .label = {r->vni, r->l3_vni}};

	if (r->type == ROUTE_EVPN_MAC)
		n.key.mac = rig_mac(r->number);
	if (r->type == ROUTE_EVPN_IMET) {
		n.key.addr = rig_address(r->node);
		n.key.length = 128;
		n.n_labels = 0;
		n.label[0] = 0;
	}
	if (r->type == ROUTE_EVPN_NONE)
		n = (struct route_nlri){.key.family = strchr(r->address, ':') ? ROUTE_IPV6 : ROUTE_IPV4,
					.key.path_id = r->path_id};
	if (r->address) {
		n.key.addr = rig_address(r->address);
		n.key.length = r->length ? r->length : 128;
	}
	return n;
}

static const struct route_attrs *attrs_of(struct rig *g, const struct rig_route *r)
{
	struct addr node = rig_address(r->node);
	struct mac router = {{6, 0, 0, 0, r->router, node.bytes[15]}};
	uint8_t pmsi[9] = {0, ROUTE_PMSI_INGRESS_REPLICATION, (uint8_t)(r->vni >> 16), (uint8_t)(r->vni >> 8), (uint8_t)r->vni};
	struct route_attrs a = {.next_hop = node, .has = ROUTE_HAS_LOCAL_PREF, .local_pref = r->local_pref ? r->local_pref : 100};
	const struct route_attrs *out;
	uint64_t extended[8];

	a.extended = extended;
	for (int i = 0; i < 2; i++)
		if (r->targets[i])
			extended[a.n_extended++] = r->targets[i];
	if (r->type != ROUTE_EVPN_NONE)
		extended[a.n_extended++] = extended_tunnel(ROUTE_TUNNEL_VXLAN);
	if (r->sequence || r->sticky)
		extended[a.n_extended++] = extended_mobility(r->sequence, r->sticky);
	if ((r->l3_vni || r->type == ROUTE_EVPN_PREFIX) && !r->no_router_mac)
		extended[a.n_extended++] = extended_router_mac(&router);
	if (r->type == ROUTE_EVPN_IMET) {
		memcpy(pmsi + 5, node.bytes + 12, 4);
		a.pmsi = pmsi;
		a.pmsi_size = sizeof(pmsi);
	}
	assert_int_equal(attrs_intern(g->attrs, &a, &out), 0);
	return out;
}

size_t rig_say(struct rig *g, unsigned node, unsigned i, const struct rig_route *r)
{
	struct rig_node *n = &g->nodes[node];
	const struct route_nlri nlri = nlri_of(r);
	const struct route_attrs *attrs = attrs_of(g, r);
	size_t n_new = learn_put(n->learn, n->sources[RIG_NODES + i], attrs, &nlri, 1);

	attrs_unref(g->attrs, attrs);
	return n_new;
}

size_t rig_unsay(struct rig *g, unsigned node, unsigned i, const struct rig_route *r)
{
	struct rig_node *n = &g->nodes[node];
	const struct route_nlri nlri = nlri_of(r);

	return learn_remove(n->learn, n->sources[RIG_NODES + i], &nlri, 1);
}

/* ---- what a node holds ---- */

const struct fwd *rig_find(const struct rig *g, unsigned node, const struct fwd *key)
{
	return find(&g->nodes[node], key);
}

const struct fwd *rig_find_mac(const struct rig *g, unsigned node, uint32_t vni, unsigned number)
{
	return rig_find(g, node, &(struct fwd){.kind = FWD_MAC, .mac = {.vni = vni, .mac = rig_mac(number)}});
}

const struct fwd *rig_find_host(const struct rig *g, unsigned node, uint32_t vrf, const char *address)
{
	return rig_find(g, node, &(struct fwd){.kind = FWD_HOST, .host = {.vrf = vrf, .addr = rig_address(address)}});
}

const struct fwd *rig_find_prefix(const struct rig *g, unsigned node, uint32_t vrf, const char *prefix)
{
	struct fwd f = {.kind = FWD_PREFIX, .prefix = {.vrf = vrf}};

	assert_int_equal(prefix_parse(prefix, &f.prefix.prefix), 0);
	return rig_find(g, node, &f);
}

const struct fwd *rig_find_member(const struct rig *g, unsigned node, uint32_t vni, const char *source)
{
	return rig_find(g, node,
			&(struct fwd){.kind = FWD_MEMBER,
				      .member = {.vni = vni, .encap = FWD_ENCAP_VXLAN, .source = rig_address(source)}});
}

const struct fwd_nexthop *rig_nexthop(const struct rig *g, unsigned node, uint64_t owner)
{
	const struct fwd *f = rig_find(g, node, &(struct fwd){.kind = FWD_NEXTHOP, .nexthop = {.owner = owner}});

	return f ? &f->nexthop : NULL;
}

static const char *where(const struct rig *g, unsigned node, uint64_t owner)
{
	static char text[ADDR_TEXT_SIZE];
	const struct fwd_nexthop *n = rig_nexthop(g, node, owner);

	if (!n)
		return "nowhere";
	return n->type == FWD_NEXTHOP_PORT ? "port" : addr_format(&n->remote, text);
}

const char *rig_where_mac(const struct rig *g, unsigned node, uint32_t vni, unsigned number)
{
	const struct fwd *f = rig_find_mac(g, node, vni, number);

	return f ? where(g, node, f->mac.nexthop) : "nowhere";
}

const char *rig_where_host(const struct rig *g, unsigned node, uint32_t vrf, const char *address)
{
	const struct fwd *f = rig_find_host(g, node, vrf, address);

	return f ? where(g, node, f->host.nexthop) : "nowhere";
}

const char *rig_route_to(const struct rig *g, unsigned node, const char *address)
{
	static char text[FWD_ROUTE_HOPS * (ADDR_TEXT_SIZE + 1)];
	const struct fwd key = {.kind = FWD_ROUTE, .route.prefix = {rig_address(address), 128}}, *f = rig_find(g, node, &key);
	char hop[ADDR_TEXT_SIZE];
	size_t length = 0;

	if (!f)
		return "none";
	for (size_t i = 0; i < f->route.n_hops; i++)
		length += (size_t)snprintf(text + length, sizeof(text) - length, "%s%s", i ? " " : "",
					   addr_format(&f->route.hops[i], hop));
	return text;
}

size_t rig_count_kind(const struct rig *g, unsigned node, enum fwd_kind kind)
{
	size_t n = 0;

	for (size_t i = 0; i < g->nodes[node].n_entries; i++)
		n += g->nodes[node].entries[i].kind == kind;
	return n;
}

void rig_count(struct rig *g, unsigned node)
{
	struct rig_node *n = &g->nodes[node];

	n->n_deleted = n->n_replaced = n->n_put = n->n_announced = n->n_withdrawn = n->n_alerts = 0;
}

struct rig_route rig_mac_route(unsigned number)
{
	return (struct rig_route){.type = ROUTE_EVPN_MAC, .node = RIG_VTEP, .rd = 77, .number = number, .vni = 5001,
				  .targets = {rig_target(5001)}};
}

struct rig_route rig_host_route(unsigned number, const char *address)
{
	struct rig_route r = rig_mac_route(number);

	r.address = address;
	return r;
}

struct rig_route rig_prefix_route(const char *address, uint8_t length)
{
	return (struct rig_route){.type = ROUTE_EVPN_PREFIX, .node = RIG_VTEP, .rd = 77, .address = address, .length = length,
				  .vni = 5000, .targets = {rig_target(5000)}};
}

struct rig_route rig_unicast_route(const char *address, const char *node)
{
	return (struct rig_route){.type = ROUTE_EVPN_NONE, .node = node, .address = address};
}
