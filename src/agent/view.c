/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/key.h"
#include "agent/port.h"
#include "agent/secure.h"
#include "agent/secure_view.h"
#include "agent/view.h"

#include "model/route.h"

/* ---- values ---- */

static void put_addr(struct json *j, const char *key, const struct addr *a)
{
	char text[ADDR_TEXT_SIZE];

	json_put_string(j, key, addr_format(a, text));
}

static void put_mac(struct json *j, const char *key, const struct mac *m)
{
	char text[MAC_TEXT_SIZE];

	json_put_string(j, key, mac_format(m, text));
}

void view_put_addrs(struct json *j, const char *key, const struct addr *list, size_t n)
{
	char text[ADDR_TEXT_SIZE];

	json_key(j, key);
	json_array_open(j);
	for (size_t i = 0; i < n; i++)
		json_string(j, addr_format(&list[i], text));
	json_array_close(j);
}

static uint32_t network_vni(const struct config_network *n)
{
	return n->mode == CONFIG_MODE_L2 ? n->vni : n->tenant->vni;
}

void view_begin(struct json *j, const char *kind)
{
	json_object_open(j);
	json_put_string(j, "apiVersion", "isthmus/v1");
	json_put_string(j, "kind", kind);
}

/* ---- what the data plane holds ---- */

static bool lookup(const struct agent *a, const struct fwd *key, struct fwd *out)
{
	return a->dp && table_get(a->dp, key, out);
}

static bool host_entry(const struct agent *a, const struct config_port *p, const struct addr *address, struct fwd *out)
{
	return lookup(a, &(struct fwd){.kind = FWD_HOST, .host = {.vrf = p->network->tenant->vni, .addr = *address}},
		      out);
}

/* What a neighbor says is shown as such, and not once more. */
static bool is_held(const struct agent *a, const struct fwd *key)
{
	struct fwd entry;

	return lookup(a, key, &entry) && !view_is_learned(a, key);
}

bool view_host_installed(const struct agent *a, const struct config_port *p, const struct addr *address)
{
	return is_held(a, &(struct fwd){.kind = FWD_HOST, .host = {.vrf = p->network->tenant->vni, .addr = *address}});
}

bool view_mac_installed(const struct agent *a, const struct config_port *p)
{
	return p->network->mode == CONFIG_MODE_L2 &&
	       is_held(a, &(struct fwd){.kind = FWD_MAC, .mac = {.vni = p->network->vni, .mac = p->mac}});
}

bool view_prefix_installed(const struct agent *a, const struct config_network *n, const struct prefix *subnet)
{
	struct fwd entry;

	return lookup(a, &(struct fwd){.kind = FWD_PREFIX, .prefix = {.vrf = n->tenant->vni, .prefix = *subnet}},
		      &entry);
}

static void put_via(struct json *j, const struct agent *a, const struct config_port *p)
{
	bool local = p->node == a->self;

	json_key(j, "via");
	json_format(j, "%s %s", local ? "port" : "node", local ? p->name : p->node->name);
}

static void put_source(struct json *j, const struct agent *a, const struct config_node *node)
{
	json_put_string(j, "source", route_source_name(node == a->self ? ROUTE_SOURCE_LOCAL : ROUTE_SOURCE_CONFIG));
}

/* ---- objects ---- */

void view_site(struct json *j, const struct agent *a, const struct config_site *s)
{
	view_begin(j, "Site");
	json_put_string(j, "name", s->name);
	json_key(j, "nodes");
	json_array_open(j);
	for (size_t i = 0; i < a->config->n_nodes; i++)
		if (a->config->nodes[i].site == s)
			json_string(j, a->config->nodes[i].name);
	json_array_close(j);
	json_object_close(j);
}

static void put_path(struct json *j, const struct agent *a, const struct config_node *n)
{
	const struct addr *local = NULL, *remote = a->self && n != a->self ? config_path(a->self, n, &local) : NULL;
	struct kern_path path;
	bool routed;

	if (!remote) {
		json_put_string(j, "state", n == a->self ? "self" : "no-common-family");
		json_put_null(j, "path");
		return;
	}
	routed = a->kern && kern_path(a->kern, remote, local, &path) == 0;
	json_put_string(j, "state", routed ? "reachable" : "no-route");
	json_key(j, "path");
	json_object_open(j);
	put_addr(j, "local", local);
	put_addr(j, "remote", remote);
	if (routed) {
		const struct link *link = kern_link_by_index(a->kern, path.ifindex);

		json_put_string(j, "interface", link ? link->name : NULL);
		json_put_uint(j, "mtu", secure_path_mtu(a, n, remote, path.mtu));
	} else {
		json_put_null(j, "interface");
		json_put_null(j, "mtu");
	}
	json_object_close(j);
}

void view_node(struct json *j, const struct agent *a, const struct config_node *n)
{
	char key[KEY_TEXT_SIZE];

	view_begin(j, "Node");
	json_put_string(j, "name", n->name);
	json_put_string(j, "site", n->site->name);
	json_put_bool(j, "self", n == a->self);
	json_put_bool(j, "foreign", n->foreign);
	view_put_addrs(j, "underlay", n->underlay, n->n_underlay);
	json_key(j, "networks");
	json_array_open(j);
	for (size_t i = 0; i < n->n_networks; i++)
		json_string(j, n->networks[i]->full_name);
	json_array_close(j);
	json_put_uint(j, "ports", n->n_ports);
	put_path(j, a, n);
	json_put_string(j, "publicKey", config_key_is_set(&n->public_key) ? key_format(&n->public_key, key) : NULL);
	json_put_bool(j, "nat", n->nat);
	json_put_bool(j, "relay", n->relay);
	json_put_bool(j, "encrypted", a->self && n != a->self && config_encrypts_any(a->config, a->self, n));
	view_put_ledger(j, a, n);
	json_object_close(j);
}

void view_tenant(struct json *j, const struct agent *a, const struct config_tenant *t)
{
	view_begin(j, "Tenant");
	json_put_string(j, "name", t->name);
	json_put_uint(j, "vni", t->vni);
	json_key(j, "networks");
	json_array_open(j);
	for (size_t i = 0; i < t->n_networks; i++)
		json_string(j, t->networks[i].full_name);
	json_array_close(j);
	json_put_uint(j, "ports", t->n_ports);
	json_object_close(j);
}

static void put_limit(struct json *j, const char *key, uint32_t limit)
{
	json_key(j, key);
	if (limit)
		json_uint(j, limit);
	else
		json_null(j);
}

void view_network(struct json *j, const struct agent *a, const struct config_network *n)
{
	const struct config_port *p;
	char text[PREFIX_TEXT_SIZE];
	size_t local = 0;

	for (size_t i = 0; (p = ports_next(a->ports, &i));)
		local += p->network == n;
	view_begin(j, "Network");
	json_put_string(j, "name", n->full_name);
	json_put_string(j, "tenant", n->tenant->name);
	json_put_string(j, "mode", config_mode_name(n->mode));
	json_put_uint(j, "vni", network_vni(n));
	json_key(j, "subnets");
	json_array_open(j);
	for (size_t i = 0; i < n->n_subnets; i++)
		json_string(j, prefix_format(&n->subnets[i], text));
	json_array_close(j);
	view_put_addrs(j, "gateway", n->gateways, n->n_gateways);
	json_put_string(j, "encap", config_encap_name(n->encap));
	json_put_string(j, "encryption", config_encryption_name(n->encryption));
	json_put_bool(j, "flood", n->flood);
	put_limit(j, "stormLimit", n->storm_limit);
	json_put_uint(j, "ports", n->n_ports);
	json_put_uint(j, "localPorts", local);
	json_object_close(j);
}

static void put_link(struct json *j, const struct link *link)
{
	static const char *const keys[] = {"ifindex", "mtu", "rxPackets", "rxBytes", "txPackets", "txBytes"};
	uint64_t values[] = {link ? link->ifindex : 0,	  link ? link->mtu : 0,	       link ? link->rx_packets : 0,
			     link ? link->rx_bytes : 0, link ? link->tx_packets : 0, link ? link->tx_bytes : 0};

	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		json_key(j, keys[i]);
		if (link)
			json_uint(j, values[i]);
		else
			json_null(j);
	}
}

void view_port(struct json *j, const struct agent *a, const struct config_port *p)
{
	static const struct {
		uint32_t bit;
		const char *name;
	} allow[] = {
		{CONFIG_ALLOW_ROUTER_ADVERTISEMENT, "router-advertisement"},
		{CONFIG_ALLOW_DHCP_SERVER, "dhcp-server"},
		{CONFIG_ALLOW_TUNNEL, "tunnel"},
		{CONFIG_ALLOW_ROUTING, "routing"},
		{CONFIG_ALLOW_LINK_CONTROL, "link-control"},
	};
	const char *reason = NULL;
	bool local = p->node == a->self;
	enum agent_port_state state = agent_port_state(a, p, &reason);

	view_begin(j, "Port");
	json_put_string(j, "name", p->name);
	json_put_string(j, "node", p->node->name);
	json_put_bool(j, "local", local);
	json_put_string(j, "interface", p->interface);
	json_put_string(j, "network", p->network->full_name);
	put_mac(j, "mac", &p->mac);
	view_put_addrs(j, "addresses", p->addresses, p->n_addresses);
	json_put_bool(j, "security", p->security);
	json_key(j, "allow");
	json_array_open(j);
	for (size_t i = 0; i < sizeof(allow) / sizeof(allow[0]); i++)
		if (p->allow & allow[i].bit)
			json_string(j, allow[i].name);
	json_array_close(j);
	put_limit(j, "stormLimit", p->storm_limit);
	json_put_string(j, "source", p->runtime ? "runtime" : "file");
	json_put_string(j, "state", agent_port_state_name(state));
	json_put_string(j, "reason", reason && *reason ? reason : NULL);
	put_link(j, local && a->kern && p->interface ? kern_link_by_name(a->kern, p->interface) : NULL);
	json_object_close(j);
}

void view_mac(struct json *j, const struct agent *a, const struct config_port *p)
{
	char mac[MAC_TEXT_SIZE];

	mac_format(&p->mac, mac);
	view_begin(j, "Mac");
	json_key(j, "name");
	json_format(j, "%s/%s", p->network->full_name, mac);
	json_put_string(j, "network", p->network->full_name);
	json_put_uint(j, "vni", p->network->vni);
	json_put_string(j, "mac", mac);
	json_put_string(j, "port", p->name);
	json_put_string(j, "node", p->node->name);
	put_via(j, a, p);
	put_source(j, a, p->node);
	json_put_bool(j, "installed", view_mac_installed(a, p));
	json_object_close(j);
}

void view_host(struct json *j, const struct agent *a, const struct config_port *p, const struct addr *address)
{
	char text[ADDR_TEXT_SIZE];

	addr_format(address, text);
	view_begin(j, "Host");
	json_key(j, "name");
	json_format(j, "%s/%s", p->network->tenant->name, text);
	json_put_string(j, "tenant", p->network->tenant->name);
	json_put_string(j, "network", p->network->full_name);
	json_put_string(j, "address", text);
	put_mac(j, "mac", &p->mac);
	json_put_string(j, "port", p->name);
	json_put_string(j, "node", p->node->name);
	put_via(j, a, p);
	put_source(j, a, p->node);
	json_put_bool(j, "installed", view_host_installed(a, p, address));
	json_object_close(j);
}

static void route_begin(struct json *j, const struct config_network *n, const char *prefix, const char *type)
{
	view_begin(j, "Route");
	json_key(j, "name");
	json_format(j, "%s/%s", n->tenant->name, prefix);
	json_put_string(j, "tenant", n->tenant->name);
	json_put_string(j, "prefix", prefix);
	json_put_string(j, "network", n->full_name);
	json_put_string(j, "type", type);
}

void view_host_route(struct json *j, const struct agent *a, const struct config_port *p, const struct addr *address)
{
	const struct config_network *n = p->network;
	struct prefix prefix = {*address, 128};
	char text[PREFIX_TEXT_SIZE];
	struct fwd host, nexthop;
	bool installed = host_entry(a, p, address, &host);
	bool known = installed &&
		     lookup(a, &(struct fwd){.kind = FWD_NEXTHOP, .nexthop.owner = host.host.nexthop}, &nexthop);
	bool tunnel = known && nexthop.nexthop.type == FWD_NEXTHOP_TUNNEL;
	bool native = known && nexthop.nexthop.type == FWD_NEXTHOP_NATIVE;

	route_begin(j, n, prefix_format(&prefix, text), "host");
	put_via(j, a, p);
	json_put_string(j, "node", p->node->name);
	if (tunnel) {
		put_addr(j, "vtep", &nexthop.nexthop.remote);
		json_put_string(j, "encap", config_encap_name(n->encap));
		/* Symmetric IRB: routed packets travel in the tenant's VNI, except to a node that only bridges. */
		json_put_uint(j, "vni", nexthop.nexthop.foreign ? network_vni(n) : n->tenant->vni);
	} else {
		json_put_null(j, "vtep");
		if (native)
			json_put_string(j, "encap", config_encap_name(CONFIG_ENCAP_NONE));
		else
			json_put_null(j, "encap");
		json_put_null(j, "vni");
	}
	json_key(j, "mtu");
	if (known)
		json_uint(j, nexthop.nexthop.mtu);
	else
		json_null(j);
	put_source(j, a, p->node);
	json_put_bool(j, "installed", installed);
	json_object_close(j);
}

void view_prefix_route(struct json *j, const struct agent *a, const struct config_network *n,
		       const struct prefix *subnet)
{
	char text[PREFIX_TEXT_SIZE];

	route_begin(j, n, prefix_format(subnet, text), "subnet");
	json_put_string(j, "via", "none");
	json_put_null(j, "node");
	json_put_null(j, "vtep");
	json_put_null(j, "encap");
	json_put_null(j, "vni");
	json_put_null(j, "mtu");
	json_put_string(j, "source", route_source_name(ROUTE_SOURCE_CONFIG));
	json_put_bool(j, "installed", view_prefix_installed(a, n, subnet));
	json_object_close(j);
}

void view_drop(struct json *j, enum drop_reason reason, uint64_t packets)
{
	view_begin(j, "Drop");
	json_put_string(j, "name", drop_name(reason));
	json_put_string(j, "meaning", drop_meaning(reason));
	json_put_uint(j, "packets", packets);
	json_object_close(j);
}
