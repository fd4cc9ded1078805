/* SPDX-License-Identifier: Apache-2.0 */
#include "model/fwd.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "lib/hmap.h"

static bool prefix_equal(const struct prefix *a, const struct prefix *b)
{
	return a->length == b->length && addr_equal(&a->addr, &b->addr);
}

/* ---- one trio of functions per kind: same key, equal value (keys known to be the same), text ---- */

static bool route_same(const struct fwd *a, const struct fwd *b)
{
	return prefix_equal(&a->route.prefix, &b->route.prefix);
}

static bool route_equal(const struct fwd *a, const struct fwd *b)
{
	if (a->route.n_hops != b->route.n_hops)
		return false;
	for (size_t i = 0; i < a->route.n_hops; i++)
		if (!addr_equal(&a->route.hops[i], &b->route.hops[i]))
			return false;
	return true;
}

static void route_format(const struct fwd *f, char *out, size_t size)
{
	char prefix[PREFIX_TEXT_SIZE], hop[ADDR_TEXT_SIZE];
	size_t used = (size_t)snprintf(out, size, "%s", prefix_format(&f->route.prefix, prefix));

	for (size_t i = 0; i < f->route.n_hops && used < size; i++)
		used += (size_t)snprintf(out + used, size - used, " via %s", addr_format(&f->route.hops[i], hop));
}

static bool nexthop_same(const struct fwd *a, const struct fwd *b)
{
	return a->nexthop.owner == b->nexthop.owner;
}

static bool nexthop_equal(const struct fwd *a, const struct fwd *b)
{
	const struct fwd_nexthop *x = &a->nexthop, *y = &b->nexthop;

	if (x->type != y->type || x->mtu != y->mtu)
		return false;
	if (x->type == FWD_NEXTHOP_PORT)
		return x->ifindex == y->ifindex && x->peer == y->peer;
	return x->encap == y->encap && x->foreign == y->foreign && x->secure == y->secure &&
	       mac_equal(&x->router_mac, &y->router_mac) && addr_equal(&x->remote, &y->remote) &&
	       addr_equal(&x->local, &y->local);
}

static void nexthop_format(const struct fwd *f, char *out, size_t size)
{
	const struct fwd_nexthop *n = &f->nexthop;
	char remote[ADDR_TEXT_SIZE], local[ADDR_TEXT_SIZE], mac[MAC_TEXT_SIZE];

	if (n->type == FWD_NEXTHOP_PORT)
		snprintf(out, size, "%016" PRIx64 " port ifindex %u%s mtu %u", n->owner, n->ifindex,
			 n->ifindex == 0 ? " (waiting)" : n->peer ? " peer" : "", n->mtu);
	else if (n->type == FWD_NEXTHOP_NATIVE)
		snprintf(out, size, "%016" PRIx64 " native %s mtu %u", n->owner, addr_format(&n->remote, remote), n->mtu);
	else
		snprintf(out, size, "%016" PRIx64 " tunnel %s from %s%s%s router %s mtu %u", n->owner,
			 addr_format(&n->remote, remote), addr_format(&n->local, local), n->foreign ? " foreign" : "",
			 n->secure ? " secure" : "", mac_format(&n->router_mac, mac), n->mtu);
}

static bool member_same(const struct fwd *a, const struct fwd *b)
{
	return a->member.vni == b->member.vni && a->member.encap == b->member.encap &&
	       addr_equal(&a->member.source, &b->member.source);
}

static bool member_equal(const struct fwd *a, const struct fwd *b)
{
	const struct fwd_member *x = &a->member, *y = &b->member;

	return x->vrf == y->vrf && x->l3 == y->l3 && x->flood == y->flood && x->foreign == y->foreign &&
	       x->secure == y->secure;
}

static void member_format(const struct fwd *f, char *out, size_t size)
{
	const struct fwd_member *m = &f->member;
	char source[ADDR_TEXT_SIZE];

	snprintf(out, size, "%s vni %u vrf %u%s%s%s%s", addr_format(&m->source, source), m->vni, m->vrf,
		 m->l3 ? " l3" : "", m->flood ? " flood" : "", m->foreign ? " foreign" : "", m->secure ? " secure" : "");
}

static bool prefix_same(const struct fwd *a, const struct fwd *b)
{
	return a->prefix.vrf == b->prefix.vrf && prefix_equal(&a->prefix.prefix, &b->prefix.prefix);
}

static bool prefix_value_equal(const struct fwd *a, const struct fwd *b)
{
	return a->prefix.vni == b->prefix.vni && a->prefix.nexthop == b->prefix.nexthop;
}

static void prefix_value_format(const struct fwd *f, char *out, size_t size)
{
	char prefix[PREFIX_TEXT_SIZE], via[32] = "";

	if (f->prefix.nexthop)
		snprintf(via, sizeof(via), " via %016" PRIx64, f->prefix.nexthop);
	snprintf(out, size, "vrf %u %s%s vni %u", f->prefix.vrf, prefix_format(&f->prefix.prefix, prefix), via,
		 f->prefix.vni);
}

static bool host_same(const struct fwd *a, const struct fwd *b)
{
	return a->host.vrf == b->host.vrf && addr_equal(&a->host.addr, &b->host.addr);
}

static bool host_equal(const struct fwd *a, const struct fwd *b)
{
	const struct fwd_host *x = &a->host, *y = &b->host;

	return x->nexthop == y->nexthop && x->vni == y->vni && mac_equal(&x->mac, &y->mac) &&
	       x->gateway == y->gateway && x->l3 == y->l3 && x->bridged == y->bridged;
}

static void host_format(const struct fwd *f, char *out, size_t size)
{
	const struct fwd_host *h = &f->host;
	char address[ADDR_TEXT_SIZE], mac[MAC_TEXT_SIZE], via[32] = "gateway";

	if (!h->gateway)
		snprintf(via, sizeof(via), "via %016" PRIx64, h->nexthop);
	snprintf(out, size, "vrf %u %s %s vni %u mac %s%s%s", h->vrf, addr_format(&h->addr, address), via, h->vni,
		 mac_format(&h->mac, mac), h->l3 ? " l3" : "", h->bridged ? " bridged" : "");
}

static bool mac_same(const struct fwd *a, const struct fwd *b)
{
	return a->mac.vni == b->mac.vni && mac_equal(&a->mac.mac, &b->mac.mac);
}

static bool mac_value_equal(const struct fwd *a, const struct fwd *b)
{
	return a->mac.nexthop == b->mac.nexthop;
}

static void mac_value_format(const struct fwd *f, char *out, size_t size)
{
	char mac[MAC_TEXT_SIZE];

	snprintf(out, size, "vni %u %s via %016" PRIx64, f->mac.vni, mac_format(&f->mac.mac, mac), f->mac.nexthop);
}

static bool port_same(const struct fwd *a, const struct fwd *b)
{
	return a->port.ifindex == b->port.ifindex;
}

static bool port_equal(const struct fwd *a, const struct fwd *b)
{
	const struct fwd_port *x = &a->port, *y = &b->port;

	return x->owner == y->owner && x->vni == y->vni && x->vrf == y->vrf && x->flags == y->flags &&
	       mac_equal(&x->mac, &y->mac) && addr_equal(&x->gateway4, &y->gateway4) &&
	       addr_equal(&x->gateway6, &y->gateway6) && x->storm_limit == y->storm_limit &&
	       x->icmp_limit == y->icmp_limit;
}

static void port_format(const struct fwd *f, char *out, size_t size)
{
	const struct fwd_port *p = &f->port;
	char mac[MAC_TEXT_SIZE];

	snprintf(out, size, "ifindex %u owner %016" PRIx64 " vni %u vrf %u mac %s flags 0x%x storm %u icmp %u",
		 p->ifindex, p->owner, p->vni, p->vrf, mac_format(&p->mac, mac), p->flags, p->storm_limit, p->icmp_limit);
}

static bool flood_same(const struct fwd *a, const struct fwd *b)
{
	return a->flood.vni == b->flood.vni && a->flood.nexthop == b->flood.nexthop;
}

static bool flood_equal(const struct fwd *a, const struct fwd *b)
{
	return true; /* all of it is key */
}

static void flood_format(const struct fwd *f, char *out, size_t size)
{
	snprintf(out, size, "vni %u via %016" PRIx64, f->flood.vni, f->flood.nexthop);
}

static const struct {
	const char *name;
	bool (*same_key)(const struct fwd *a, const struct fwd *b);
	bool (*equal)(const struct fwd *a, const struct fwd *b);
	void (*format)(const struct fwd *f, char *out, size_t size);
} kinds[] = {
	[FWD_ROUTE] = {"route", route_same, route_equal, route_format},
	[FWD_NEXTHOP] = {"nexthop", nexthop_same, nexthop_equal, nexthop_format},
	[FWD_MEMBER] = {"member", member_same, member_equal, member_format},
	[FWD_PREFIX] = {"prefix", prefix_same, prefix_value_equal, prefix_value_format},
	[FWD_HOST] = {"host", host_same, host_equal, host_format},
	[FWD_MAC] = {"mac", mac_same, mac_value_equal, mac_value_format},
	[FWD_PORT] = {"port", port_same, port_equal, port_format},
	[FWD_FLOOD] = {"flood", flood_same, flood_equal, flood_format},
};
static_assert(sizeof(kinds) / sizeof(kinds[0]) == FWD_KIND_MAX, "a row per kind");

bool fwd_same_key(const struct fwd *a, const struct fwd *b)
{
	return a->kind == b->kind && kinds[a->kind].same_key(a, b);
}

bool fwd_equal(const struct fwd *a, const struct fwd *b)
{
	return fwd_same_key(a, b) && kinds[a->kind].equal(a, b);
}

const char *fwd_kind_name(enum fwd_kind k)
{
	return kinds[k].name;
}

const char *fwd_format(const struct fwd *f, char *out, size_t size)
{
	size_t used = (size_t)snprintf(out, size, "%s ", kinds[f->kind].name);

	if (used < size)
		kinds[f->kind].format(f, out + used, size - used);
	return out;
}

/* ---- MTU ---- */

#define MTU_MIN 68u /* RFC 791 3.2: every internet module forwards that much */

uint32_t fwd_tunnel_mtu(uint32_t path_mtu, bool v4, bool secure)
{
	uint32_t vxlan = FWD_OVERHEAD_VXLAN(v4), around = secure ? FWD_OVERHEAD_SECURE(v4) : 0, room;

	if (path_mtu < vxlan + around)
		return MTU_MIN;
	room = path_mtu - around;
	if (secure)
		room -= room % FWD_SECURE_UNIT;
	return room < vxlan + MTU_MIN ? MTU_MIN : room - vxlan;
}

/* Of a message, on one half. */
static uint32_t relay_room(uint32_t path_mtu, bool v4)
{
	uint32_t around = FWD_OVERHEAD_SECURE(v4) + FWD_OVERHEAD_RELAY, room = path_mtu > around ? path_mtu - around : 0;

	return room - room % FWD_SECURE_UNIT;
}

uint32_t fwd_relay_mtu(uint32_t first, bool first_v4, uint32_t second, bool second_v4, bool v4)
{
	uint32_t a = relay_room(first, first_v4), b = relay_room(second, second_v4), room = a < b ? a : b;

	return room > 0 ? room + (FWD_OVERHEAD_SECURE(v4) - FWD_OVERHEAD_MESSAGE) : 0;
}

/* ---- owners ---- */

/* Tag and parts each hashed for itself, so that no two lists of parts give the same bytes; never 0: nobody. */
static uint64_t owner(const char *tag, const char *first, const char *second)
{
	const char *const parts[] = {tag, first, second};
	uint64_t h[3];

	for (size_t i = 0; i < 3; i++)
		h[i] = hash_stable(parts[i], strlen(parts[i]) + 1);
	h[0] = hash_stable(h, sizeof(h));
	return h[0] ? h[0] : 1;
}

uint64_t fwd_owner_port(const char *port_name)
{
	return owner("port", port_name, "");
}

uint64_t fwd_owner_tunnel(const char *network_full_name, const char *node_name)
{
	return owner("tunnel", network_full_name, node_name);
}

uint64_t fwd_owner_router(const char *tenant_name, const char *node_name, const struct mac *mac)
{
	char text[MAC_TEXT_SIZE];
	const uint64_t h[] = {owner("router", tenant_name, node_name), owner("mac", mac_format(mac, text), "")};
	uint64_t both = hash_stable(h, sizeof(h));

	return both ? both : 1;
}
