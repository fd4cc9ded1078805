/* SPDX-License-Identifier: Apache-2.0 */
#include "fabric.h"

#include "conf/conf.h"
#include "inside.h"
#include "leaf.h"

static const struct {
	const char *full_name;
	uint32_t vni, vrf;
	bool l2, routed;
} networks[FABRIC_NETWORKS] = {
	{"red/web", 5001, 5000, true, true},
	{"red/lan", 5002, 5000, true, false},
	{"red/app", 5000, 5000, false, true},
	{"blue/web", 6001, 6000, true, true},
};
#define APP 2 /* of these */
static const uint32_t tenants[] = {5000, 6000};

bool fabric_network_is_l2(unsigned network)
{
	return networks[network].l2;
}

/* ---- the configuration ---- */

static const char tail[] =
	"tenants:\n"
	"  red:\n"
	"    vni: 5000\n"
	"    networks:\n"
	"      web: {mode: l2, vni: 5001, subnets: [10.0.0.0/16, \"fd00:0::/64\"], gateway: [10.0.255.254, \"fd00:0::fffe\"]}\n"
	"      lan: {mode: l2, vni: 5002, subnets: [10.1.0.0/16, \"fd00:1::/64\"]}\n"
	"      app: {mode: l3, subnets: [10.2.0.0/16, \"fd00:2::/64\"], gateway: [10.2.255.254, \"fd00:2::fffe\"]}\n"
	"  blue:\n"
	"    vni: 6000\n"
	"    networks:\n"
	"      web: {mode: l2, vni: 6001, subnets: [10.0.0.0/16, \"fd00:0::/64\"], gateway: [10.0.255.254, \"fd00:0::fffe\"]}\n"
	"bgp: {as: 65000}\n";

static struct config *read_config(const struct net *net)
{
	char *text = NULL, address[ADDR_TEXT_SIZE];
	struct conf_errors errors = {0};
	struct conf_source source;
	struct config *c;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	assert_non_null(out);
	fprintf(out, "version: 1\nfabric: {encryption: never}\nsites: {dc: {}}\nnodes:\n");
	for (unsigned i = net->shape.n_reflectors; i < net->shape.n_hosts; i++) {
		const struct addr a = addr_of(i);

		fprintf(out, "  n%u: {site: dc, underlay: %s}\n", i, addr_format(&a, address));
	}
	fputs(tail, out);
	assert_int_equal(fclose(out), 0);
	source = (struct conf_source){.name = "fabric", .text = text, .size = size};
	if (conf_load(&source, 1, &c, &errors) < 0) {
		conf_errors_print(&errors, stderr);
		fail_msg("the configuration is not one");
	}
	free(text);
	return c;
}

const struct config_node *fabric_node(const struct fabric *f, unsigned host)
{
	char name[16];

	snprintf(name, sizeof(name), "n%u", host);
	return config_node(f->config, name);
}

struct config_port fabric_port(const struct fabric *f, const struct endpoint *e, unsigned host)
{
	return (struct config_port){.name = (char *)e->name,
				    .node = (struct config_node *)fabric_node(f, host),
				    .network = f->networks[e->network],
				    .mac = e->mac,
				    .addresses = (struct addr *)e->addresses,
				    .n_addresses = e->n_addresses};
}

/* ---- endpoints ---- */

/* A quarter of them in each network; every second has an address of IPv6 too. */
static void make_endpoint(struct fabric *f, unsigned number)
{
	struct endpoint *e = &f->endpoints[number];
	unsigned k = number / FABRIC_NETWORKS + 1, subnet;
	char text[ADDR_TEXT_SIZE];

	*e = (struct endpoint){.mac = {{2, 0, 0, 0, (uint8_t)(number >> 8), (uint8_t)number}},
			       .network = number % FABRIC_NETWORKS,
			       .ghost = FABRIC_NOWHERE,
			       .up = true};
	subnet = e->network == 3 ? 0 : e->network;
	snprintf(e->name, sizeof(e->name), "p%u", number);
	snprintf(text, sizeof(text), "10.%u.%u.%u", subnet, k >> 8, k & 0xff);
	assert_int_equal(addr_parse(text, &e->addresses[e->n_addresses++]), 0);
	snprintf(text, sizeof(text), "fd00:%u::%x", subnet, k);
	if (k % 2)
		assert_int_equal(addr_parse(text, &e->addresses[e->n_addresses++]), 0);
	e->at = f->net->shape.n_reflectors + net_pick(f->net, f->net->shape.n_hosts - f->net->shape.n_reflectors);
}

struct fabric *fabric_new(struct net *net, unsigned n_endpoints)
{
	struct fabric *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	assert_in_range(n_endpoints, 1, 9999);
	f->net = net;
	f->config = read_config(net);
	f->n_endpoints = n_endpoints;
	f->endpoints = calloc(n_endpoints, sizeof(*f->endpoints));
	assert_non_null(f->endpoints);
	for (unsigned i = 0; i < FABRIC_NETWORKS; i++)
		assert_non_null(f->networks[i] = config_network(f->config, networks[i].full_name));
	for (unsigned i = 0; i < n_endpoints; i++)
		make_endpoint(f, i);
	return f;
}

void fabric_free(struct fabric *f)
{
	if (!f)
		return;
	config_free(f->config);
	free(f->endpoints);
	free(f);
}

struct endpoint *fabric_find_mac(const struct fabric *f, const struct mac *mac)
{
	unsigned number = (unsigned)mac->bytes[4] << 8 | mac->bytes[5];

	assert_in_range(number, 0, f->n_endpoints - 1);
	return &f->endpoints[number];
}

/* Of the l3 network, whose endpoints are announced by address: make_endpoint put the number there. */
static struct endpoint *find_address(const struct fabric *f, const struct addr *a)
{
	unsigned k = (unsigned)a->bytes[14] << 8 | a->bytes[15], number = (k - 1) * FABRIC_NETWORKS + APP;

	assert_in_range(number, 0, f->n_endpoints - 1);
	return &f->endpoints[number];
}

/* ---- what a node has to hold ---- */

struct expectation { /* of all nodes */
	bool (*present)[FABRIC_NETWORKS]; /* by host: an endpoint that is up is in the network there */
	unsigned (*here)[FABRIC_NETWORKS]; /* by host: ports, up or not */
};

struct looking {
	struct fabric *f;
	const struct expectation *x;
	const struct leaf *leaf;
	unsigned self;
	char *why;
	size_t size;
	bool wrong;
	uint64_t n; /* of what is counted */
};

__attribute__((format(printf, 2, 3))) static bool wrong(struct looking *l, const char *format, ...)
{
	va_list args;
	int n;

	if (l->wrong)
		return false; /* the first counts */
	n = snprintf(l->why, l->size, "host %u: ", l->self);
	va_start(args, format);
	vsnprintf(l->why + n, l->size - (size_t)n, format, args);
	va_end(args);
	l->wrong = true;
	return false;
}

static bool tenant_is_at(const struct expectation *x, unsigned host, uint32_t vrf)
{
	for (unsigned i = 0; i < FABRIC_NETWORKS; i++)
		if (networks[i].vrf == vrf && networks[i].routed && x->here[host][i] > 0)
			return true;
	return false;
}

static bool routes_for(const struct expectation *x, unsigned host, uint32_t vrf)
{
	for (unsigned i = 0; i < FABRIC_NETWORKS; i++)
		if (networks[i].vrf == vrf && networks[i].routed && x->present[host][i])
			return true;
	return false;
}

static bool in_scope(const struct expectation *x, unsigned host, unsigned network)
{
	return x->here[host][network] > 0 || (networks[network].routed && tenant_is_at(x, host, networks[network].vrf));
}

/* Does it lead to where the endpoint is? */
static bool leads_there(struct looking *l, const struct fwd *f, uint64_t nexthop, const struct endpoint *e)
{
	const struct fwd *n = leaf_find(l->leaf, &(struct fwd){.kind = FWD_NEXTHOP, .nexthop = {.owner = nexthop}});
	unsigned number = (unsigned)(e - l->f->endpoints);
	struct addr there = addr_of(e->at);
	char text[256];

	if (!n)
		return wrong(l, "no next hop of %s", fwd_format(f, text, sizeof(text)));
	if (e->at == l->self ? n->nexthop.type == FWD_NEXTHOP_PORT && n->nexthop.ifindex == (e->up ? number + 1 : 0)
			     : n->nexthop.type == FWD_NEXTHOP_TUNNEL && addr_equal(&n->nexthop.remote, &there))
		return true;
	return wrong(l, "%s is at host %u: %s", e->name, e->at, fwd_format(n, text, sizeof(text)));
}

static bool hosts_are_right(struct looking *l, const struct endpoint *e)
{
	for (unsigned i = 0; i < e->n_addresses; i++) {
		const struct fwd key = {.kind = FWD_HOST, .host = {.vrf = networks[e->network].vrf, .addr = e->addresses[i]}};
		const struct fwd *f = leaf_find(l->leaf, &key);

		if (!f)
			return wrong(l, "no host entry of %s, which is at host %u", e->name, e->at);
		if (!leads_there(l, f, f->host.nexthop, e))
			return false;
	}
	return true;
}

static bool mac_is_right(struct looking *l, const struct endpoint *e)
{
	const struct fwd key = {.kind = FWD_MAC, .mac = {.vni = networks[e->network].vni, .mac = e->mac}};
	const struct fwd *f = leaf_find(l->leaf, &key);

	return f ? leads_there(l, f, f->mac.nexthop, e) : wrong(l, "no MAC entry of %s, which is at host %u", e->name, e->at);
}

/* Each endpoint at exactly its node, and no other. */
static bool endpoints_are_right(struct looking *l)
{
	size_t n_hosts = 0, n_macs = 0;

	for (unsigned i = 0; i < l->f->n_endpoints; i++) {
		const struct endpoint *e = &l->f->endpoints[i];

		if (e->at == FABRIC_NOWHERE || (!e->up && e->at != l->self))
			continue;
		if (in_scope(l->x, l->self, e->network)) {
			n_hosts += e->n_addresses;
			if (!hosts_are_right(l, e))
				return false;
		}
		if (networks[e->network].l2 && l->x->here[l->self][e->network] > 0) {
			n_macs++;
			if (!mac_is_right(l, e))
				return false;
		}
	}
	for (unsigned i = 0; i < FABRIC_NETWORKS; i++)
		if (in_scope(l->x, l->self, i))
			n_hosts += l->f->networks[i]->n_gateways;
	if (leaf_count(l->leaf, FWD_HOST) != n_hosts || leaf_count(l->leaf, FWD_MAC) != n_macs)
		return wrong(l, "%zu host and %zu MAC entries, not %zu and %zu", leaf_count(l->leaf, FWD_HOST),
			     leaf_count(l->leaf, FWD_MAC), n_hosts, n_macs);
	return true;
}

static bool is_member(const struct looking *l, uint32_t vni, unsigned host)
{
	const struct fwd key = {.kind = FWD_MEMBER,
				.member = {.vni = vni, .encap = FWD_ENCAP_VXLAN, .source = addr_of(host)}};

	return leaf_find(l->leaf, &key);
}

/* Who may send into which VNI, who gets what is flooded: exactly those that have endpoints there. */
static bool nodes_are_right(struct looking *l)
{
	const struct net *net = l->f->net;
	size_t n_members = 0, n_floods = 0;

	for (unsigned host = net->shape.n_reflectors; host < net->shape.n_hosts; host++) {
		if (host == l->self)
			continue;
		for (unsigned i = 0; i < FABRIC_NETWORKS; i++) {
			if (!networks[i].l2 || !l->x->here[l->self][i] || !l->x->present[host][i])
				continue;
			n_members++;
			n_floods++;
			if (!is_member(l, networks[i].vni, host))
				return wrong(l, "host %u is no member of %u", host, networks[i].vni);
		}
		for (size_t i = 0; i < sizeof(tenants) / sizeof(tenants[0]); i++) {
			if (!tenant_is_at(l->x, l->self, tenants[i]) || !routes_for(l->x, host, tenants[i]))
				continue;
			n_members++;
			if (!is_member(l, tenants[i], host))
				return wrong(l, "host %u is no member of %u", host, tenants[i]);
		}
	}
	for (unsigned i = 0; i < l->f->n_endpoints; i++)
		n_floods += l->f->endpoints[i].at == l->self && l->f->endpoints[i].up && networks[l->f->endpoints[i].network].l2;
	if (leaf_count(l->leaf, FWD_MEMBER) != n_members || leaf_count(l->leaf, FWD_FLOOD) != n_floods)
		return wrong(l, "%zu members and %zu flooded to, not %zu and %zu", leaf_count(l->leaf, FWD_MEMBER),
			     leaf_count(l->leaf, FWD_FLOOD), n_members, n_floods);
	return true;
}

/* ---- what is said ---- */

static const struct endpoint *endpoint_of(const struct fabric *f, const struct route_key *key)
{
	if (key->type == ROUTE_EVPN_MAC)
		return fabric_find_mac(f, &key->mac);
	return key->type == ROUTE_EVPN_PREFIX ? find_address(f, &key->addr) : NULL;
}

static void on_said(void *arg, const struct export_change *put)
{
	struct looking *l = arg;
	struct endpoint *e = (struct endpoint *)endpoint_of(l->f, &put->nlri.key);

	l->n++;
	if (!e)
		return;
	if (e->at != l->self || !e->up)
		wrong(l, "it announces %s, which is at host %u", e->name, e->at);
	if (e->n_said++ > 0 && e->sequence != put->attrs->mobility)
		wrong(l, "%s is said with two sequence numbers", e->name);
	e->sequence = put->attrs->mobility;
}

/* Every node says of its endpoints what there is to say.  *n_routes: how many routes that makes, of each host. */
static bool said_is_right(struct looking *l, uint64_t *n_routes)
{
	const struct net *net = l->f->net;

	for (unsigned i = 0; i < l->f->n_endpoints; i++)
		l->f->endpoints[i].n_said = 0;
	for (l->self = net->shape.n_reflectors; l->self < net->shape.n_hosts && !l->wrong; l->self++) {
		l->n = 0;
		learn_announced_each(leaf_learn(net->hosts[l->self].leaf), on_said, l);
		n_routes[l->self] = l->n;
	}
	for (unsigned i = 0; i < l->f->n_endpoints && !l->wrong; i++) {
		const struct endpoint *e = &l->f->endpoints[i];
		unsigned n = e->at == FABRIC_NOWHERE || !e->up ? 0 : e->n_addresses + networks[e->network].l2;

		l->self = e->at == FABRIC_NOWHERE ? 0 : e->at;
		if (e->n_said != n)
			wrong(l, "%s is said in %u routes, not %u", e->name, e->n_said, n);
	}
	return !l->wrong;
}

static void on_heard(void *arg, const struct routes_candidate *c)
{
	struct looking *l = arg;
	const struct endpoint *e = endpoint_of(l->f, &c->nlri.key);
	struct addr there;

	l->n++;
	if (!e)
		return;
	there = addr_of(e->at);
	if (e->at == FABRIC_NOWHERE || !e->up || e->at == l->self || !addr_equal(&c->attrs->next_hop, &there))
		wrong(l, "a route of %s, which is at host %u", e->name, e->at);
	else if (c->attrs->mobility != e->sequence)
		wrong(l, "%s with sequence %u, not %u", e->name, c->attrs->mobility, e->sequence);
}

/* It has heard exactly what the others say, by each of its neighbors that tell it. */
static bool heard_is_right(struct looking *l, const uint64_t *n_routes)
{
	const struct net *net = l->f->net;
	uint64_t cursor = 0, n = 0;

	l->n = 0;
	while (routes_walk(learn_routes(leaf_learn(l->leaf)), &cursor, 1000, on_heard, l))
		;
	for (unsigned host = net->shape.n_reflectors; host < net->shape.n_hosts; host++)
		if (host != l->self)
			n += n_routes[host] * (net->shape.n_reflectors ? net->shape.n_reflectors : 1);
	return l->wrong ? false : l->n == n ? true : wrong(l, "%lu routes of others, not %lu", (unsigned long)l->n, (unsigned long)n);
}

/* ---- all of it ---- */

static bool is_still(const struct fabric *f, char *why, size_t size)
{
	for (unsigned i = 0; i < f->n_endpoints; i++)
		if (f->endpoints[i].flying || f->endpoints[i].ghost != FABRIC_NOWHERE) {
			snprintf(why, size, "endpoint %u is moving", i);
			return false;
		}
	return true;
}

static bool leaf_is_right(struct looking *l, const uint64_t *n_routes)
{
	if (!leaf_is_quiet(l->leaf))
		return wrong(l, "work is waiting");
	if (leaf_has_former(l->leaf))
		return wrong(l, "entries of a former life");
	return endpoints_are_right(l) && nodes_are_right(l) && heard_is_right(l, n_routes);
}

bool fabric_is_right(struct fabric *f, char *why, size_t size)
{
	struct net *net = f->net;
	struct expectation x = {.present = calloc(net->shape.n_hosts, sizeof(*x.present)),
				.here = calloc(net->shape.n_hosts, sizeof(*x.here))};
	uint64_t *n_routes = calloc(net->shape.n_hosts, sizeof(*n_routes));
	struct looking l = {.f = f, .x = &x, .why = why, .size = size};
	bool right = is_still(f, why, size);

	assert_non_null(x.present);
	assert_non_null(x.here);
	assert_non_null(n_routes);
	for (unsigned i = 0; i < f->n_endpoints; i++) {
		const struct endpoint *e = &f->endpoints[i];

		if (e->at == FABRIC_NOWHERE)
			continue;
		x.here[e->at][e->network]++;
		x.present[e->at][e->network] |= e->up;
	}
	right = right && said_is_right(&l, n_routes);
	for (unsigned host = net->shape.n_reflectors; right && host < net->shape.n_hosts; host++) {
		l.self = host;
		l.leaf = net->hosts[host].leaf;
		right = leaf_is_right(&l, n_routes);
	}
	free(x.present);
	free(x.here);
	free(n_routes);
	return right;
}
