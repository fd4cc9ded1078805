/* SPDX-License-Identifier: Apache-2.0 */
#include "fabric.h"

#include <arpa/inet.h>
#include <assert.h>
#include <string.h>

#define WEB_GATEWAY .gateway4 = "10.0.1.1", .gateway6 = "fd00:1::1"
#define FLO_GATEWAY .gateway4 = "10.0.4.1", .gateway6 = "fd00:4::1"
#define APP_GATEWAY .gateway4 = "10.0.2.1", .gateway6 = "fd00:2::1"
#define SAFE_GATEWAY .gateway4 = "10.0.8.1", .gateway6 = "fd00:18::1"
#define DEEP_GATEWAY .gateway4 = "10.0.9.1", .gateway6 = "fd00:19::1"
#define GREEN_GATEWAY .gateway4 = "10.7.0.1", .gateway6 = "fd00:7::1"
#define ALLOW_ALL (PORT_ALLOW_RA | PORT_ALLOW_DHCP | PORT_ALLOW_TUNNEL | PORT_ALLOW_ROUTING | PORT_ALLOW_BPDU)

const struct endpoint endpoints[ENDPOINT_MAX] = {
	[WEB1] = { "web1", 11, NH_PORT + 11, VNI_WEB, VNI_RED, PORT_SECURITY, "02:00:00:00:01:01", "10.0.1.11",
		   "fd00:1::11", WEB_GATEWAY, .mtu = 1500, .peer = true },
	[WEB2] = { "web2", 12, NH_PORT + 12, VNI_WEB, VNI_RED, PORT_SECURITY, "02:00:00:00:01:02", "10.0.1.12",
		   "fd00:1::12", WEB_GATEWAY, .mtu = 1500, .peer = true },
	[APP1] = { "app1", 13, NH_PORT + 13, VNI_RED, VNI_RED, PORT_SECURITY | PORT_L3, "02:00:00:00:02:01",
		   "10.0.2.13", "fd00:2::13", APP_GATEWAY, .mtu = 1500, .peer = true },
	[APP2] = { "app2", 14, NH_PORT + 14, VNI_RED, VNI_RED, PORT_SECURITY | PORT_L3, "02:00:00:00:02:02",
		   "10.0.2.14", "fd00:2::14", APP_GATEWAY, .mtu = 1500 },
	[FLO1] = { "flo1", 15, NH_PORT + 15, VNI_FLO, VNI_RED, PORT_SECURITY | PORT_FLOOD, "02:00:00:00:04:01",
		   "10.0.4.15", "fd00:4::15", FLO_GATEWAY, .mtu = 1500 },
	[FLO2] = { "flo2", 16, NH_PORT + 16, VNI_FLO, VNI_RED, PORT_SECURITY | PORT_FLOOD, "02:00:00:00:04:02",
		   "10.0.4.16", "fd00:4::16", FLO_GATEWAY, .mtu = 1500, .peer = true },
	[ANY1] = { "any1", 17, NH_PORT + 17, VNI_ANY, VNI_RED, PORT_SECURITY | PORT_ANY_SOURCE | PORT_SUBNETS,
		   "02:00:00:00:05:01", "10.0.5.17", "fd00:5::17", .gateway4 = "10.0.5.1", .gateway6 = "fd00:5::1",
		   .mtu = 1500, .learned = true },
	[BARE1] = { "bare1", 18, NH_PORT + 18, VNI_BARE, VNI_RED, PORT_SECURITY | PORT_ANY_SOURCE, "02:00:00:00:06:01",
		    "172.16.0.18", "fd00:66::18", .mtu = 1500, .learned = true },
	[BARE2] = { "bare2", 23, NH_PORT + 23, VNI_BARE, VNI_RED, PORT_SECURITY | PORT_ANY_SOURCE, "02:00:00:00:06:02",
		    "172.16.0.23", "fd00:66::23", .mtu = 1500, .learned = true },
	[OPEN1] = { "open1", 19, NH_PORT + 19, VNI_FLO, VNI_RED, PORT_FLOOD, "02:00:00:00:04:03", "10.0.4.19",
		    "fd00:4::19", FLO_GATEWAY, .mtu = 1500 },
	[ALLOW1] = { "allow1", 20, NH_PORT + 20, VNI_WEB, VNI_RED, PORT_SECURITY | ALLOW_ALL, "02:00:00:00:01:20",
		     "10.0.1.20", "fd00:1::20", WEB_GATEWAY, .mtu = 1500 },
	[SMALL1] = { "small1", 22, NH_PORT + 22, VNI_WEB, VNI_RED, PORT_SECURITY, "02:00:00:00:01:22", "10.0.1.22",
		     "fd00:1::22", WEB_GATEWAY, .mtu = 1300 },
	[BLUE1] = { "blue1", 21, NH_PORT + 21, VNI_BLUE_WEB, VNI_BLUE, PORT_SECURITY, "02:00:00:00:01:01", "10.0.1.11",
		    "fd00:1::11", WEB_GATEWAY, .mtu = 1500, .peer = true },
	[BLUE2] = { "blue2", 24, NH_PORT + 24, VNI_BLUE_WEB, VNI_BLUE, PORT_SECURITY, "02:00:00:00:01:02", "10.0.1.12",
		    "fd00:1::12", WEB_GATEWAY, .mtu = 1500 },
	[DOWN1] = { "down1", 0, NH_DOWN, VNI_WEB, VNI_RED, 0, "02:00:00:00:01:19", "10.0.1.19", "fd00:1::19",
		    WEB_GATEWAY },
	[WEB4] = { "web4", 0, NH_WEB4, VNI_WEB, VNI_RED, 0, "02:00:00:00:01:41", "10.0.1.41", "fd00:1::41",
		   WEB_GATEWAY },
	[WEB6] = { "web6", 0, NH_WEB6, VNI_WEB, VNI_RED, 0, "02:00:00:00:01:42", "10.0.1.42", "fd00:1::42",
		   WEB_GATEWAY },
	[APP4] = { "app4", 0, NH_APP4, VNI_RED, VNI_RED, PORT_L3, "02:00:00:00:02:41", "10.0.2.41", "fd00:2::41",
		   APP_GATEWAY },
	[APP6] = { "app6", 0, NH_APP6, VNI_RED, VNI_RED, PORT_L3, "02:00:00:00:02:42", "10.0.2.42", "fd00:2::42",
		   APP_GATEWAY },
	[FOREIGN1] = { "foreign1", 0, NH_FOREIGN, VNI_FLO, VNI_RED, 0, "02:00:00:00:04:41", "10.0.4.41", "fd00:4::41",
		       FLO_GATEWAY },
	[FLO4] = { "flo4", 0, NH_FLO4, VNI_FLO, VNI_RED, 0, "02:00:00:00:04:42", "10.0.4.42", "fd00:4::42",
		   FLO_GATEWAY },
	[NOROUTE] = { "noroute", 0, NH_NO_ROUTE, VNI_WEB, VNI_RED, 0, "02:00:00:00:01:43", "10.0.1.43", "fd00:1::43",
		      WEB_GATEWAY },
	[NONEIGH] = { "noneigh", 0, NH_NO_NEIGHBOUR, VNI_WEB, VNI_RED, 0, "02:00:00:00:01:44", "10.0.1.44",
		      "fd00:1::44", WEB_GATEWAY },
	[BEYOND4] = { "beyond4", 0, NH_APP4, VNI_RED, VNI_RED, PORT_L3, ROUTER_MAC4, "10.9.1.2", "fd00:9::2",
		      .learned = true },
	[BEYOND6] = { "beyond6", 0, NH_APP6, VNI_RED, VNI_RED, PORT_L3, ROUTER_MAC6, "10.9.6.2", "fd00:9:6::2",
		      .learned = true },
	[GREEN1] = { "green1", 25, NH_PORT + 25, VNI_GREEN, VNI_GREEN, PORT_SECURITY | PORT_L3, "02:00:00:00:07:01",
		     "10.7.0.25", "fd00:7::25", GREEN_GATEWAY, .mtu = 1500, .peer = true },
	[GREEN2] = { "green2", 26, NH_PORT + 26, VNI_GREEN, VNI_GREEN, PORT_SECURITY | PORT_L3, "02:00:00:00:07:02",
		     "10.7.0.26", "fd00:7::26", GREEN_GATEWAY, .mtu = 1300 },
	[SAFE1] = { "safe1", 27, NH_PORT + 27, VNI_SAFE, VNI_GOLD, PORT_SECURITY, "02:00:00:00:08:01", "10.0.8.27",
		    "fd00:18::27", SAFE_GATEWAY, .mtu = 1500, .peer = true },
	[SAFE2] = { "safe2", 28, NH_PORT + 28, VNI_SAFE, VNI_GOLD, PORT_SECURITY, "02:00:00:00:08:02", "10.0.8.28",
		    "fd00:18::28", SAFE_GATEWAY, .mtu = 1500 },
	[DEEP1] = { "deep1", 29, NH_PORT + 29, VNI_GOLD, VNI_GOLD, PORT_SECURITY | PORT_L3, "02:00:00:00:09:01",
		    "10.0.9.29", "fd00:19::29", DEEP_GATEWAY, .mtu = 1500 },
	[SAFE4] = { "safe4", 0, NH_SAFE4, VNI_SAFE, VNI_GOLD, 0, "02:00:00:00:08:41", "10.0.8.41", "fd00:18::41",
		    SAFE_GATEWAY },
	[SAFE6] = { "safe6", 0, NH_SAFE6, VNI_SAFE, VNI_GOLD, 0, "02:00:00:00:08:42", "10.0.8.42", "fd00:18::42",
		    SAFE_GATEWAY },
	[DEEP4] = { "deep4", 0, NH_DEEP4, VNI_GOLD, VNI_GOLD, PORT_L3, "02:00:00:00:09:41", "10.0.9.41", "fd00:19::41",
		    DEEP_GATEWAY },
	[DEEP6] = { "deep6", 0, NH_DEEP6, VNI_GOLD, VNI_GOLD, PORT_L3, "02:00:00:00:09:42", "10.0.9.42", "fd00:19::42",
		    DEEP_GATEWAY },
	[NEAR4] = { "near4", 0, NH_NEAR4, VNI_SAFE, VNI_GOLD, 0, "02:00:00:00:08:43", "10.0.8.43", "fd00:18::43",
		    SAFE_GATEWAY },
	[GREEN4] = { "green4", 0, NH_GREEN4, VNI_GREEN, VNI_GREEN, PORT_L3, "02:00:00:00:07:41", "10.7.0.41",
		     "fd00:7::41", GREEN_GATEWAY },
	[GREEN6] = { "green6", 0, NH_GREEN6, VNI_GREEN, VNI_GREEN, PORT_L3, "02:00:00:00:07:42", "10.7.0.42",
		     "fd00:7::42", GREEN_GATEWAY },
	[GREENLOST] = { "greenlost", 0, NH_GREEN_LOST, VNI_GREEN, VNI_GREEN, PORT_L3, "02:00:00:00:07:43", "10.7.0.43",
			"fd00:7::43", GREEN_GATEWAY },
};

/* Tunnels by id. */
static const struct {
	const char *remote, *local, *router_mac;
	uint16_t flags;
	uint32_t mtu;
} tunnels[NH_TUNNELS_END] = {
	[NH_WEB4] = { NODE4, SELF4, ROUTER_MAC4, 0, 1450 },
	[NH_WEB6] = { NODE6, SELF6, ROUTER_MAC6, 0, 1430 },
	[NH_APP4] = { NODE4, SELF4, ROUTER_MAC4, 0, 1450 },
	[NH_APP6] = { NODE6, SELF6, ROUTER_MAC6, 0, 1430 },
	[NH_FOREIGN] = { FOREIGN, SELF4, "00:00:00:00:00:00", NEXTHOP_FOREIGN, 1450 },
	[NH_FLO4] = { NODE4, SELF4, ROUTER_MAC4, 0, 1450 },
	[NH_FLO6] = { NODE6, SELF6, ROUTER_MAC6, 0, 1430 },
	[NH_NO_ROUTE] = { NO_ROUTE4, SELF4, ROUTER_MAC4, 0, 1450 },
	[NH_NO_NEIGHBOUR] = { NO_NEIGHBOUR4, SELF4, ROUTER_MAC4, 0, 1450 },
	[NH_SAFE4] = { NODE4, SELF4, ROUTER_MAC4, NEXTHOP_SECURE, 1400 }, /* more than the device takes */
	[NH_SAFE6] = { NODE6, SELF6, ROUTER_MAC6, NEXTHOP_SECURE, 1350 }, /* less */
	[NH_DEEP4] = { NODE4, SELF4, ROUTER_MAC4, NEXTHOP_SECURE, 1390 },
	[NH_DEEP6] = { NODE6, SELF6, ROUTER_MAC6, NEXTHOP_SECURE, 1500 },
	[NH_NEAR4] = { FOREIGN, SELF4, ROUTER_MAC4, 0, 1450 },
	[NH_GREEN4] = { NODE4, SELF4, ROUTER_MAC4, 0, 1400 }, /* less than the device has */
	[NH_GREEN6] = { NODE6, SELF6, ROUTER_MAC6, 0, 1500 },
	[NH_GREEN_LOST] = { NO_ROUTE4, SELF4, ROUTER_MAC4, 0, 1500 },
};

static const struct {
	uint32_t vni, vrf;
	const char *prefix;
	uint32_t length;
	uint32_t nexthop;
} subnets[] = {
	{ VNI_WEB, VNI_RED, "10.0.1.0", 24 },	{ VNI_WEB, VNI_RED, "fd00:1::", 64 },
	{ VNI_FLO, VNI_RED, "10.0.4.0", 24 },	{ VNI_FLO, VNI_RED, "fd00:4::", 64 },
	{ VNI_ANY, VNI_RED, "10.0.5.0", 24 },	{ VNI_ANY, VNI_RED, "fd00:5::", 64 },
	{ VNI_RED, VNI_RED, "10.0.2.0", 24 },	{ VNI_RED, VNI_RED, "fd00:2::", 64 },
	{ VNI_BLUE_WEB, VNI_BLUE, "10.0.1.0", 24 }, { VNI_BLUE_WEB, VNI_BLUE, "fd00:1::", 64 },
	{ VNI_SAFE, VNI_GOLD, "10.0.8.0", 24 },	{ VNI_SAFE, VNI_GOLD, "fd00:18::", 64 },
	{ VNI_GOLD, VNI_GOLD, "10.0.9.0", 24 },	{ VNI_GOLD, VNI_GOLD, "fd00:19::", 64 },
	{ VNI_GREEN, VNI_GREEN, "10.7.0.0", 24 }, { VNI_GREEN, VNI_GREEN, "fd00:7::", 64 },
	{ VNI_RED, VNI_RED, "10.9.0.0", 16, NH_APP4 }, { VNI_RED, VNI_RED, "fd00:9::", 48, NH_APP4 },
	{ VNI_RED, VNI_RED, "10.9.6.0", 24, NH_APP6 }, { VNI_RED, VNI_RED, "fd00:9:6::", 48, NH_APP6 },
};

static const struct {
	uint32_t vrf, vni;
	const char *address;
	uint16_t flags;
} gateways[] = {
	{ VNI_RED, VNI_WEB, "10.0.1.1", 0 },	   { VNI_RED, VNI_WEB, "fd00:1::1", 0 },
	{ VNI_RED, VNI_FLO, "10.0.4.1", 0 },	   { VNI_RED, VNI_FLO, "fd00:4::1", 0 },
	{ VNI_RED, VNI_ANY, "10.0.5.1", 0 },	   { VNI_RED, VNI_ANY, "fd00:5::1", 0 },
	{ VNI_RED, VNI_RED, "10.0.2.1", HOST_L3 },  { VNI_RED, VNI_RED, "fd00:2::1", HOST_L3 },
	{ VNI_BLUE, VNI_BLUE_WEB, "10.0.1.1", 0 }, { VNI_BLUE, VNI_BLUE_WEB, "fd00:1::1", 0 },
	{ VNI_GOLD, VNI_SAFE, "10.0.8.1", 0 },	   { VNI_GOLD, VNI_SAFE, "fd00:18::1", 0 },
	{ VNI_GOLD, VNI_GOLD, "10.0.9.1", HOST_L3 }, { VNI_GOLD, VNI_GOLD, "fd00:19::1", HOST_L3 },
	{ VNI_GREEN, VNI_GREEN, "10.7.0.1", HOST_L3 }, { VNI_GREEN, VNI_GREEN, "fd00:7::1", HOST_L3 },
};

static const struct {
	const char *source;
	uint32_t vni, vrf, flags;
} members[] = {
	{ NODE4, VNI_WEB, VNI_RED, 0 },
	{ NODE6, VNI_WEB, VNI_RED, 0 },
	{ NODE4, VNI_RED, VNI_RED, MEMBER_L3 },
	{ NODE6, VNI_RED, VNI_RED, MEMBER_L3 },
	{ NODE4, VNI_FLO, VNI_RED, MEMBER_FLOOD },
	{ FOREIGN, VNI_FLO, VNI_RED, MEMBER_FLOOD | MEMBER_FOREIGN },
	{ NODE4, VNI_BLUE_WEB, VNI_BLUE, 0 },
	{ NODE4, VNI_SAFE, VNI_GOLD, MEMBER_SECURE },
	{ NODE6, VNI_SAFE, VNI_GOLD, MEMBER_SECURE },
	{ NODE4, VNI_GOLD, VNI_GOLD, MEMBER_L3 | MEMBER_SECURE },
	{ NODE6, VNI_GOLD, VNI_GOLD, MEMBER_L3 | MEMBER_SECURE },
	{ FOREIGN, VNI_SAFE, VNI_GOLD, 0 },
};

/* Replication lists; 0 is a hole. */
static const struct {
	uint32_t vni;
	uint16_t kind;
	uint32_t nexthops[8];
	uint16_t length;
} floods[] = {
	{ VNI_WEB, FLOOD_LOCAL, { NH_PORT + 11, 0, NH_PORT + 12, NH_PORT + 20, NH_PORT + 22, NH_DOWN }, 6 },
	{ VNI_WEB, FLOOD_TUNNEL4, { NH_WEB4 }, 1 },
	{ VNI_WEB, FLOOD_TUNNEL6, { NH_WEB6 }, 1 },
	{ VNI_FLO, FLOOD_LOCAL, { NH_PORT + 15, NH_PORT + 16, NH_PORT + 19 }, 3 },
	{ VNI_FLO, FLOOD_TUNNEL4, { NH_FOREIGN, NH_FLO4 }, 2 },
	{ VNI_FLO, FLOOD_TUNNEL6, { NH_FLO6 }, 1 },
	{ VNI_ANY, FLOOD_LOCAL, { NH_PORT + 17 }, 1 },
	{ VNI_BARE, FLOOD_LOCAL, { NH_PORT + 18, NH_PORT + 23 }, 2 },
	{ VNI_BLUE_WEB, FLOOD_LOCAL, { NH_PORT + 21, NH_PORT + 24 }, 2 },
	{ VNI_SAFE, FLOOD_LOCAL, { NH_PORT + 27, NH_PORT + 28 }, 2 },
	{ VNI_SAFE, FLOOD_TUNNEL4, { NH_SAFE4, NH_NEAR4 }, 2 },
	{ VNI_SAFE, FLOOD_TUNNEL6, { NH_SAFE6 }, 1 },
};

struct abi_addr addr_of(const char *text)
{
	struct abi_addr a = { .bytes = { [10] = 0xff, [11] = 0xff } };
	int ok = strchr(text, ':') ? inet_pton(AF_INET6, text, a.bytes) : inet_pton(AF_INET, text, a.bytes + 12);

	assert(ok == 1);
	(void)ok;
	return a;
}

struct abi_host_key host_key(uint32_t vrf, const char *address)
{
	return (struct abi_host_key){ .vrf = vrf, .addr = addr_of(address) };
}

struct abi_prefix_key prefix_key(uint32_t vrf, const char *prefix, uint32_t length)
{
	return (struct abi_prefix_key){ .length = 32 + (strchr(prefix, ':') ? 0 : 96) + length, .vrf = htonl(vrf),
					.addr = addr_of(prefix) };
}

struct abi_prefix prefix_of(const struct abi_prefix_key *k, uint32_t vni, uint32_t nexthop)
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };
	bool v4 = memcmp(k->addr.bytes, mapped, sizeof(mapped)) == 0;

	return (struct abi_prefix){ .vni = vni, .nexthop = nexthop,
				    .flags = (v4 ? PREFIX_V4 : 0) | (k->length == (v4 ? 128 : 32) ? PREFIX_ALL : 0) };
}

struct abi_member_key member_key(const char *source, uint32_t vni)
{
	return (struct abi_member_key){ .source = addr_of(source), .vni = vni, .encap = ENCAP_VXLAN };
}

struct abi_mac_key mac_key(uint32_t vni, const char *mac)
{
	struct abi_mac_key k = { .vni = vni };
	struct mac6 m = mac_of(mac);

	memcpy(k.mac, m.b, 6);
	return k;
}

struct abi_nexthop nexthop_of(uint32_t id)
{
	struct abi_nexthop nh = { .owner = id };

	if (id < NH_TUNNELS_END) {
		if (!tunnels[id].remote)
			return nh;

		struct mac6 m = mac_of(tunnels[id].router_mac);

		nh.type = id < NH_GREEN4 ? NEXTHOP_TUNNEL : NEXTHOP_NATIVE;
		nh.encap = id < NH_GREEN4 ? ENCAP_VXLAN : ENCAP_NONE;
		nh.flags = tunnels[id].flags;
		nh.mtu = tunnels[id].mtu;
		nh.remote = addr_of(tunnels[id].remote);
		nh.local = addr_of(tunnels[id].local);
		memcpy(nh.router_mac, m.b, 6);
		return nh;
	}
	for (size_t i = 0; i < ENDPOINT_MAX; i++) {
		const struct endpoint *e = &endpoints[i];

		if (e->nexthop != id)
			continue;
		nh.type = NEXTHOP_PORT;
		nh.flags = e->peer ? NEXTHOP_PEER : 0;
		nh.mtu = e->mtu;
		nh.ifindex = e->ifindex;
	}
	return nh;
}

struct abi_port port_of(enum endpoint_id id)
{
	const struct endpoint *e = &endpoints[id];
	struct abi_port port = { .vni = e->vni, .vrf = e->vrf, .flags = e->flags, .nexthop = e->nexthop,
				 .owner = e->ifindex };
	struct mac6 m = mac_of(e->mac);

	memcpy(port.mac, m.b, 6);
	if (e->gateway4) {
		port.gateway4 = addr_of(e->gateway4).be32[3];
		port.gateway6 = addr_of(e->gateway6);
	}
	return port;
}

static void fill_endpoint(const struct endpoint *e, void (*put)(void *, const char *, const void *, const void *),
			  void *arg)
{
	struct mac6 m = mac_of(e->mac);
	struct abi_mac_key mac = mac_key(e->vni, e->mac);
	struct abi_mac to = { .nexthop = e->nexthop };
	struct abi_host host = { .nexthop = e->nexthop, .vni = e->vni, .flags = e->vni == e->vrf ? HOST_L3 : 0 };

	memcpy(host.mac, m.b, 6);
	if (!host.flags)
		put(arg, "macs", &mac, &to);
	if (!e->learned) {
		struct abi_host_key four = host_key(e->vrf, e->ip4), six = host_key(e->vrf, e->ip6);

		put(arg, "hosts", &four, &host);
		put(arg, "hosts", &six, &host);
	}
	if (e->ifindex) {
		struct abi_port port = port_of((enum endpoint_id)(e - endpoints));

		put(arg, "ports", &e->ifindex, &port);
	}
}

void fabric_fill(void (*put)(void *arg, const char *map, const void *key, const void *value), void *arg)
{
	struct abi_node n = { .underlay = { addr_of(SELF4), addr_of(SELF6) }, .vxlan_port = htons(VXLAN_PORT),
			      .native_vrf = VNI_GREEN, .wires = { IF_UNDERLAY }, .secure_ifindex = IF_SECURE,
			      .secure_mtu = SECURE_MTU, .bgp_port = htons(179) };
	struct mac6 gateway = mac_of(GATEWAY_MAC), router = mac_of(ROUTER_MAC);
	uint32_t zero = 0;

	memcpy(n.gateway_mac, gateway.b, 6);
	memcpy(n.router_mac, router.b, 6);
	put(arg, "node", &zero, &n);
	for (uint32_t id = 1; id < NH_PORT + IF_PORTS_END; id++) {
		struct abi_nexthop nh = nexthop_of(id);

		put(arg, "nexthops", &id, &nh);
	}
	for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
		struct abi_member_key k = member_key(members[i].source, members[i].vni);
		struct abi_member v = { members[i].vrf, members[i].flags };

		put(arg, "members", &k, &v);
	}
	for (size_t i = 0; i < sizeof(subnets) / sizeof(subnets[0]); i++) {
		struct abi_prefix_key k = prefix_key(subnets[i].vrf, subnets[i].prefix, subnets[i].length);
		struct abi_prefix v = prefix_of(&k, subnets[i].vni, subnets[i].nexthop);

		put(arg, "prefixes", &k, &v);
	}
	for (size_t i = 0; i < sizeof(gateways) / sizeof(gateways[0]); i++) {
		struct abi_host_key k = host_key(gateways[i].vrf, gateways[i].address);
		struct abi_host v = { .vni = gateways[i].vni, .flags = HOST_GATEWAY | gateways[i].flags };

		memcpy(v.mac, gateway.b, 6);
		put(arg, "hosts", &k, &v);
	}
	for (size_t i = 0; i < ENDPOINT_MAX; i++)
		fill_endpoint(&endpoints[i], put, arg);
	for (size_t i = 0; i < sizeof(floods) / sizeof(floods[0]); i++) {
		struct abi_flood_key k = { .vni = floods[i].vni, .kind = floods[i].kind };
		struct abi_flood v = { .nexthop = floods[i].length };

		put(arg, "floods", &k, &v);
		for (k.slot = 1; k.slot <= floods[i].length; k.slot++) {
			v.nexthop = floods[i].nexthops[k.slot - 1];
			if (v.nexthop)
				put(arg, "floods", &k, &v);
		}
	}
}

void frame_between(struct frame *f, enum endpoint_id from, enum endpoint_id to, bool v6, uint8_t proto)
{
	const struct endpoint *a = &endpoints[from], *b = &endpoints[to];
	bool routed = a->vni != b->vni || a->vni == a->vrf;

	frame_begin(f);
	frame_eth(f, mac_of(routed ? GATEWAY_MAC : b->mac), mac_of(a->mac), v6 ? TYPE_IP6 : TYPE_IP4);
	frame_ip(f, v6 ? a->ip6 : a->ip4, v6 ? b->ip6 : b->ip4, proto);
}

void frame_udp_between(struct frame *f, enum endpoint_id from, enum endpoint_id to, bool v6, size_t payload)
{
	frame_between(f, from, to, v6, IP_UDP);
	frame_udp(f, 1000, 2000);
	frame_fill(f, payload);
	frame_end(f);
}

static void wrap(struct frame *out, const char *dst_mac, const char *src_mac, const char *src, const char *dst,
		 uint32_t vni, const struct frame *inner, uint16_t sport)
{
	bool v6 = strchr(src, ':');

	frame_begin(out);
	frame_eth(out, mac_of(dst_mac), mac_of(src_mac), v6 ? TYPE_IP6 : TYPE_IP4);
	frame_ip(out, src, dst, IP_UDP);
	if (!v6)
		frame_at(out, LAYER_IP4)[6] = 0x40;
	frame_udp_unsummed(out, sport, VXLAN_PORT);
	frame_vxlan(out, vni);
	frame_bytes(out, inner->data, inner->size);
	frame_end(out);
}

void frame_encap(struct frame *out, uint32_t nexthop, uint32_t vni, const struct frame *inner, uint16_t sport)
{
	const char *remote = tunnels[nexthop].remote;
	const char *mac = !strcmp(remote, NODE4) ? NODE4_MAC : !strcmp(remote, NODE6) ? NODE6_MAC : FOREIGN_MAC;
	bool secure = tunnels[nexthop].flags & NEXTHOP_SECURE;

	wrap(out, secure ? NO_MAC : mac, secure ? NO_MAC : UNDERLAY_MAC, tunnels[nexthop].local, remote, vni, inner, sport);
}

void frame_native(struct frame *out, const char *mac, const struct frame *packet)
{
	frame_copy(out, packet);
	memcpy(out->data, mac_of(UNDERLAY_MAC).b, 6);
	memcpy(out->data + 6, mac_of(mac).b, 6);
}

void frame_from_wire(struct frame *out, const char *node, uint32_t vni, const struct frame *inner)
{
	const char *mac = !strcmp(node, NODE6) ? NODE6_MAC : !strcmp(node, FOREIGN) ? FOREIGN_MAC : NODE4_MAC;

	wrap(out, UNDERLAY_MAC, mac, node, strchr(node, ':') ? SELF6 : SELF4, vni, inner, 50000);
}
