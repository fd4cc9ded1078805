/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What each item claims, given what is in scope: one function per kind of item.
 */
#include <stddef.h>
#include <string.h>

#include "rib/object.h"
#include "rib/offer.h"
#include "rib/state.h"

#define PATH_MTU_DEFAULT 1500u

static const struct addr *own_address(const struct node *self, bool v4)
{
	for (size_t i = 0; i < self->n_underlay; i++)
		if (addr_is_v4(&self->underlay[i]) == v4)
			return &self->underlay[i];
	return NULL;
}

static uint32_t lesser_mtu(uint32_t a, uint32_t b) /* 0 = no limit */
{
	if (a == 0 || b == 0)
		return a + b;
	return a < b ? a : b;
}

/*
 * The first address of the other node, in its order of preference, whose family we have and that is reachable; when
 * none is reachable the first of a shared family: it may come back while the daemon is dead.
 */
const struct addr *node_path(const struct rib *rib, const struct node *to, const struct addr **local, uint32_t *mtu)
{
	const struct addr *found = NULL;

	for (size_t i = 0; i < to->n_underlay; i++) {
		const struct addr *own = own_address(rib->self, addr_is_v4(&to->underlay[i]));
		const struct path *path = hmap_get(&rib->paths, &to->underlay[i]);
		bool reachable = !path || !path->known || path->reachable;
		uint32_t path_mtu = path && path->known ? path->mtu : 0;

		if (!own || (found && !reachable))
			continue;
		found = &to->underlay[i];
		*local = own;
		*mtu = lesser_mtu(path_mtu, lesser_mtu(rib->self->mtu, to->mtu));
		if (reachable)
			break;
	}
	if (found && *mtu == 0)
		*mtu = PATH_MTU_DEFAULT;
	return found;
}

bool node_is_reachable(const struct rib *rib, const struct node *to)
{
	const struct addr *local, *remote;
	const struct path *path;
	uint32_t mtu;

	remote = node_path(rib, to, &local, &mtu);
	path = remote ? hmap_get(&rib->paths, remote) : NULL;
	return remote && (!path || !path->known || path->reachable);
}

void claim(struct rib *rib, struct item *item, enum route_source source, const char *origin, const struct fwd *f)
{
	entries_claim(&rib->entries, &item->claims, source, origin, f);
}

static void resolve_network(struct rib *rib, struct item *item)
{
	struct network *n = (struct network *)item;

	if (rib->learn)
		learn_on_scope(rib->learn, n);
	if (!network_in_scope(n))
		return;
	for (size_t i = 0; i < n->n_subnets; i++) {
		struct fwd f = {.kind = FWD_PREFIX,
				.prefix = {.vrf = n->tenant->vni, .prefix = n->subnets[i], .vni = network_vni(n)}};

		claim(rib, item, ROUTE_SOURCE_LOCAL, n->name, &f);
	}
	for (size_t i = 0; i < n->n_gateways; i++) {
		struct fwd f = {.kind = FWD_HOST,
				.host = {.vrf = n->tenant->vni,
					 .addr = n->gateways[i],
					 .vni = network_vni(n),
					 .gateway = true,
					 .l3 = n->mode == CONFIG_MODE_L3}};

		claim(rib, item, ROUTE_SOURCE_LOCAL, n->name, &f);
	}
}

static void claim_members(struct rib *rib, struct item *item, const char *origin, const struct node *node,
			  const struct fwd_member *like)
{
	struct fwd f = {.kind = FWD_MEMBER, .member = *like};

	f.member.encap = FWD_ENCAP_VXLAN;
	for (size_t i = 0; i < node->n_underlay; i++) {
		f.member.source = node->underlay[i];
		claim(rib, item, ROUTE_SOURCE_CONFIG, origin, &f);
	}
}

/* Of a tunnel, or of the node itself where there is no encapsulation. */
static void claim_tunnel(struct rib *rib, struct item *item, const struct node *node, bool native,
			 struct fwd_nexthop like)
{
	struct fwd f = {.kind = FWD_NEXTHOP, .nexthop = like};
	const struct addr *remote, *local;
	uint32_t mtu;

	remote = node_path(rib, node, &local, &mtu);
	if (!remote)
		return;
	f.nexthop.type = native ? FWD_NEXTHOP_NATIVE : FWD_NEXTHOP_TUNNEL;
	f.nexthop.encap = native ? FWD_ENCAP_NONE : FWD_ENCAP_VXLAN;
	f.nexthop.secure &= !native; /* a file that asks for it is refused */
	f.nexthop.remote = *remote;
	f.nexthop.local = *local;
	f.nexthop.mtu = native ? mtu : fwd_tunnel_mtu(mtu, addr_is_v4(remote), f.nexthop.secure);
	claim(rib, item, ROUTE_SOURCE_CONFIG, node->name, &f);
}

/*
 * Where the node announces that it routes for the tenant; else NULL.  Of several routers' MACs the one that the file says,
 * else the lowest: not which was heard last.
 */
static const struct edge *announced_edge(const struct rib *rib, const struct presence *p)
{
	const struct edge *found = edge_find(rib, p->network->tenant, p->node, &p->node->router_mac), *e;

	if (found && found->n_offers > 0)
		return found;
	found = NULL;
	for (e = rib->learn ? LIST_FIRST(&p->node->edges) : NULL; e; e = LIST_NEXT(e, of_node))
		if (e->tenant == p->network->tenant && e->n_offers > 0 &&
		    (!found || memcmp(&e->key.router_mac, &found->key.router_mac, sizeof(struct mac)) < 0))
			found = e;
	return found;
}

/* Its next hop is that of routed traffic too, which is the tenant's. */
static bool presence_is_secure(const struct presence *p)
{
	return secure_out(p->node, &p->network->secure) ||
	       (network_is_routed(p->network) && secure_out(p->node, &p->network->tenant->secure));
}

static void resolve_presence(struct rib *rib, struct item *item)
{
	struct presence *p = (struct presence *)item;
	const struct network *n = p->network;
	const struct edge *routing = announced_edge(rib, p);
	bool l2_here = n->mode == CONFIG_MODE_L2 && n->n_here > 0, in_scope = network_in_scope(n);
	bool foreign = p->node->foreign && !routing;
	const struct addr *local;
	uint32_t mtu;

	if (p->node == rib->self || (!in_scope && p->n_offers == 0))
		return;
	/*
	 * A foreign bridge learns the gateway's MAC from whoever routed to it last, which may be a node without ports
	 * in this very network: that node must take its answers.
	 */
	if (l2_here || (in_scope && n->mode == CONFIG_MODE_L2 && foreign)) {
		struct fwd_member m = {.vni = n->vni, .vrf = n->tenant->vni, .flood = n->flood, .foreign = foreign,
				       .secure = secure_in(p->node, &n->secure)};

		claim_members(rib, item, p->node->name, p->node, &m);
	}
	if (l2_here || p->n_ports > 0 || p->n_offers > 0) /* also out of scope, until the last offer that needs it is gone */
		claim_tunnel(rib, item, p->node, n->native,
			     (struct fwd_nexthop){.owner = p->owner,
						  .foreign = foreign,
						  .secure = presence_is_secure(p),
						  .router_mac = routing ? routing->key.router_mac : p->node->router_mac});
	if (l2_here && (p->n_ports > 0 || p->listed) && node_path(rib, p->node, &local, &mtu)) {
		struct fwd f = {.kind = FWD_FLOOD, .flood = {.vni = n->vni, .nexthop = p->owner}};

		claim(rib, item, ROUTE_SOURCE_CONFIG, p->node->name, &f);
	}
}

/*
 * Routed traffic of the tenant may come from every node that routes for it; a foreign node only bridges, unless it
 * announces something else.  Next hops of unicast routes send no tunnel packets.
 */
static void resolve_edge(struct rib *rib, struct item *item)
{
	struct edge *e = (struct edge *)item;
	struct fwd_member m = {.vni = e->tenant->vni, .vrf = e->tenant->vni, .l3 = true,
			       .secure = secure_in(e->node, &e->tenant->secure)};
	bool native = tenant_is_native(e->tenant);

	if (e->node == rib->self)
		return;
	if (tenant_is_here(e->tenant) && ((e->n_offers > 0 && !native) || !e->node->foreign))
		claim_members(rib, item, e->node->name, e->node, &m);
	if (e->n_offers > 0)
		claim_tunnel(rib, item, e->node, native,
			     (struct fwd_nexthop){.owner = e->owner, .router_mac = e->key.router_mac,
						  .secure = secure_out(e->node, &e->tenant->secure)});
}

static void claim_hosts(struct rib *rib, struct port *p, enum route_source source, uint64_t nexthop)
{
	const struct network *n = p->network;
	struct fwd f = {.kind = FWD_HOST, .host = {.vrf = n->tenant->vni, .nexthop = nexthop, .vni = network_vni(n),
						   .mac = p->mac, .l3 = n->mode == CONFIG_MODE_L3,
						   .bridged = !network_is_routed(n)}};

	for (size_t i = 0; i < p->n_addresses; i++) {
		f.host.addr = p->addresses[i];
		claim(rib, &p->item, source, p->name, &f);
	}
}

static void claim_mac(struct rib *rib, struct port *p, enum route_source source, uint64_t nexthop)
{
	struct fwd f = {.kind = FWD_MAC, .mac = {.vni = p->network->vni, .mac = p->mac, .nexthop = nexthop}};

	claim(rib, &p->item, source, p->name, &f);
}

/*
 * The node's address of the same family; for IPv4 over an underlay of IPv6 alone the other (RFC 8950).  The kernel has
 * nothing for IPv6 over IPv4.
 */
static const struct addr *native_hop(const struct rib *rib, const struct node *to, bool v4)
{
	const struct addr *found = NULL;

	for (size_t i = 0; i < to->n_underlay; i++) {
		bool hop_v4 = addr_is_v4(&to->underlay[i]);

		if (own_address(rib->self, hop_v4) && (hop_v4 == v4 || (v4 && !found)))
			found = &to->underlay[i];
	}
	return found;
}

static void claim_routes(struct rib *rib, struct port *p)
{
	for (size_t i = 0; i < p->n_addresses; i++) {
		const struct addr *hop = native_hop(rib, p->node, addr_is_v4(&p->addresses[i]));
		struct fwd f = {.kind = FWD_ROUTE, .route = {.prefix = {p->addresses[i], 128}, .n_hops = 1}};

		if (!hop || addr_is_link_local(&p->addresses[i]))
			continue;
		f.route.hops[0] = *hop;
		claim(rib, &p->item, ROUTE_SOURCE_CONFIG, p->name, &f);
	}
}

static void resolve_remote_port(struct rib *rib, struct port *p)
{
	const struct addr *local;
	uint32_t mtu;

	if (!network_in_scope(p->network) || !node_path(rib, p->node, &local, &mtu))
		return;
	if (p->network->native)
		claim_routes(rib, p);
	claim_hosts(rib, p, ROUTE_SOURCE_CONFIG, p->presence->owner);
	if (p->network->mode == CONFIG_MODE_L2 && p->network->n_here > 0)
		claim_mac(rib, p, ROUTE_SOURCE_CONFIG, p->presence->owner);
}

static struct fwd port_entry(const struct rib *rib, const struct port *p)
{
	const struct network *n = p->network;
	struct fwd f = {.kind = FWD_PORT, .port = {.ifindex = p->link.ifindex, .owner = p->owner, .vni = network_vni(n),
						   .vrf = n->tenant->vni, .flags = p->link.flags, .mac = p->mac,
						   .storm_limit = p->storm_limit, .icmp_limit = rib->icmp_limit}};

	for (size_t i = 0; i < n->n_gateways; i++)
		*(addr_is_v4(&n->gateways[i]) ? &f.port.gateway4 : &f.port.gateway6) = n->gateways[i];
	return f;
}

/*
 * A port that waits says nothing of where its endpoint is: whoever says more takes its place, until it is up.
 *
 * An interface that is there but down keeps its port entry (nothing comes in), and its next hop is as a waiting
 * one's, so that packets to it are counted as port_down and not lost without a name in a device that is off.
 */
static void resolve_local_port(struct rib *rib, struct port *p)
{
	const struct rib_link *link = &p->link;
	bool up = link->ifindex != 0 && link->up;
	enum route_source source = up ? ROUTE_SOURCE_LOCAL : ROUTE_SOURCE_WAITING;
	struct fwd nexthop = {.kind = FWD_NEXTHOP,
			      .nexthop = {.owner = p->owner,
					  .type = FWD_NEXTHOP_PORT,
					  .ifindex = up ? link->ifindex : 0,
					  .peer = up && link->peer,
					  .mtu = link->ifindex != 0 ? link->mtu : PATH_MTU_DEFAULT}};

	claim(rib, &p->item, ROUTE_SOURCE_LOCAL, p->name, &nexthop);
	claim_hosts(rib, p, source, p->owner);
	if (p->network->mode == CONFIG_MODE_L2)
		claim_mac(rib, p, source, p->owner);
	if (link->ifindex != 0) {
		struct fwd entry = port_entry(rib, p);

		claim(rib, &p->item, ROUTE_SOURCE_LOCAL, p->name, &entry);
	}
	if (up && p->network->mode == CONFIG_MODE_L2) {
		struct fwd flood = {.kind = FWD_FLOOD, .flood = {.vni = p->network->vni, .nexthop = p->owner}};

		claim(rib, &p->item, ROUTE_SOURCE_LOCAL, p->name, &flood);
	}
}

static void resolve_port(struct rib *rib, struct item *item)
{
	struct port *p = (struct port *)item;

	if (rib->learn)
		learn_on_port(rib->learn, p);
	if (p->node == rib->self)
		resolve_local_port(rib, p);
	else
		resolve_remote_port(rib, p);
}

static void (*const resolvers[ITEM_KIND_MAX])(struct rib *rib, struct item *item) = {
	[ITEM_NETWORK] = resolve_network,
	[ITEM_PRESENCE] = resolve_presence,
	[ITEM_EDGE] = resolve_edge,
	[ITEM_PORT] = resolve_port,
	[ITEM_PLACE] = resolve_place,
};

void resolve(struct rib *rib, struct item *item)
{
	entries_withdraw(&rib->entries, &item->claims);
	resolvers[item->kind](rib, item);
}
