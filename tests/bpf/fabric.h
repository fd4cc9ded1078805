/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fabric.h - the one set of tables that the data-plane tests run on.
 *
 * Green's hosts elsewhere have routes in the kernel and in the host build (harness_routes).
 *
 * Seen from node 192.0.2.1 / 2001:db8::1 (device IF_UNDERLAY).  Tenant red (VRF 5000) and tenant blue (6000, with
 * red's addresses and MACs).
 *
 *	red/web  l2 5001  10.0.1.0/24 fd00:1::/64  web1 web2 allow1 small1 down1 | web4 web6 noroute noneigh
 *	red/flo  l2 5002  10.0.4.0/24 fd00:4::/64  flo1 flo2 open1 (floods unknown)| foreign1 flo4
 *	red/any  l2 5003  10.0.5.0/24 fd00:5::/64  any1 (no declared address)
 *	red/bare l2 5004  no subnet, no gateway    bare1 bare2
 *	red/app  l3 5000  10.0.2.0/24 fd00:2::/64  app1 app2                        | app4 app6
 *	green/all l3 7000  10.7.0.0/24 fd00:7::/64  green1 green2  (no encapsulation) | green4 green6 greenlost
 *	blue/web l2 6001  10.0.1.0/24 fd00:1::/64  blue1 blue2
 *	gold/safe l2 8001 10.0.8.0/24 fd00:18::/64 safe1 safe2                      | safe4 safe6, near4 (not encrypted)
 *	gold/deep l3 8000 10.0.9.0/24 fd00:19::/64 deep1                            | deep4 deep6
 *
 * What gold sends to NODE4 and NODE6 is encrypted by device IF_SECURE, and taken from them only from there.
 *
 * Behind the router of NODE4 lie 10.9.0.0/16 and fd00:9::/48 of red (beyond4), behind that of NODE6 10.9.6.0/24 and
 * fd00:9:6::/48 (beyond6).
 *
 * Left of the bar local ports, right of it endpoints of other nodes: NODE4 (192.0.2.12), NODE6 (2001:db8::13), FOREIGN
 * (192.0.2.14, bridges only; for gold it is any node, of the same site), one without an underlay route and one whose next hop does not resolve.
 */
#ifndef ISTHMUS_TEST_FABRIC_H
#define ISTHMUS_TEST_FABRIC_H

#include "bpf/abi.h"
#include "frame.h"

#define VXLAN_PORT 4789
#define IF_UNDERLAY 10
#define IF_PORTS 11 /* first */
#define IF_PORTS_END 30
#define IF_SECURE IF_PORTS_END /* the last */
#define IF_END (IF_SECURE + 1)
#define IF_FAR 100 /* the other end of device n is n + IF_FAR in the far namespace */
#define UNDERLAY_MTU 1500
#define SECURE_MTU 1440

#define NODE4 "192.0.2.12"
#define NODE6 "2001:db8::13"
#define FOREIGN "192.0.2.14"
#define SELF4 "192.0.2.1"
#define SELF6 "2001:db8::1"
#define NO_ROUTE4 "203.0.113.9"
#define NO_NEIGHBOUR4 "192.0.2.77"
#define NO_NEIGHBOUR6 "2001:db8::77"
#define ELSEWHERE4 "10.8.0.9" /* routed to a device that is none of the underlay's */
#define ELSEWHERE6 "fd00:8::9"

#define GATEWAY_MAC "02:49:53:00:00:fe"
#define ROUTER_MAC "02:49:53:00:00:01" /* our own */
#define ROUTER_MAC4 "02:49:53:00:00:0c" /* of NODE4 */
#define ROUTER_MAC6 "02:49:53:00:00:0d"
#define UNDERLAY_MAC "02:fe:00:00:00:01"
#define NODE4_MAC "02:fe:00:00:00:0c"
#define NODE6_MAC "02:fe:00:00:00:0d"
#define FOREIGN_MAC "02:fe:00:00:00:0e"
#define NO_MAC "00:00:00:00:00:00" /* of what is encrypted: nobody looks at it */
#define BROADCAST "ff:ff:ff:ff:ff:ff"

enum {
	VNI_RED = 5000,
	VNI_WEB = 5001,
	VNI_FLO = 5002,
	VNI_ANY = 5003,
	VNI_BARE = 5004,
	VNI_BLUE = 6000,
	VNI_BLUE_WEB = 6001,
	VNI_GREEN = 7000,
	VNI_GOLD = 8000,
	VNI_SAFE = 8001,
};

enum nexthop_id {
	NH_WEB4 = 1,
	NH_WEB6,
	NH_APP4,
	NH_APP6,
	NH_FOREIGN,
	NH_FLO4,
	NH_FLO6,
	NH_NO_ROUTE,
	NH_NO_NEIGHBOUR,
	NH_DOWN,
	NH_SAFE4,
	NH_SAFE6,
	NH_DEEP4,
	NH_DEEP6,
	NH_NEAR4,
	NH_GREEN4, /* from here on without encapsulation */
	NH_GREEN6,
	NH_GREEN_LOST,
	NH_TUNNELS_END,
	NH_PORT = 100, /* + ifindex */
};

struct endpoint {
	const char *name;
	uint32_t ifindex; /* 0: elsewhere */
	uint32_t nexthop;
	uint32_t vni, vrf;
	uint32_t flags; /* enum abi_port_flags */
	const char *mac, *ip4, *ip6;
	const char *gateway4, *gateway6;
	uint32_t mtu;
	bool peer;     /* delivered by redirect_peer */
	bool learned;  /* no address declared */
};

/* X(symbol) in the order of the table in fabric.c */
enum endpoint_id {
	WEB1,
	WEB2,
	APP1,
	APP2,
	FLO1,
	FLO2,
	ANY1,
	BARE1,
	BARE2,
	OPEN1,
	ALLOW1,
	SMALL1,
	BLUE1,
	BLUE2,
	GREEN1,
	GREEN2,
	SAFE1,
	SAFE2,
	DEEP1,
	DOWN1,
	WEB4, /* from here on elsewhere */
	WEB6,
	APP4,
	APP6,
	FOREIGN1,
	FLO4,
	NOROUTE,
	NONEIGH,
	BEYOND4,
	BEYOND6,
	GREEN4,    /* behind NODE4 (NODE6 for IPv6), whose MAC is known */
	GREEN6,    /* behind a router that does not answer */
	GREENLOST, /* without a route */
	SAFE4,
	SAFE6,
	DEEP4,
	DEEP6,
	NEAR4,
	ENDPOINT_MAX
};

extern const struct endpoint endpoints[ENDPOINT_MAX];

/* Puts every entry of every map. */
void fabric_fill(void (*put)(void *arg, const char *map, const void *key, const void *value), void *arg);

struct abi_addr addr_of(const char *text); /* v4 mapped */
struct abi_host_key host_key(uint32_t vrf, const char *address);
struct abi_prefix_key prefix_key(uint32_t vrf, const char *prefix, uint32_t length); /* in its own family's bits */
struct abi_prefix prefix_of(const struct abi_prefix_key *k, uint32_t vni, uint32_t nexthop);
struct abi_member_key member_key(const char *source, uint32_t vni);
struct abi_mac_key mac_key(uint32_t vni, const char *mac);
struct abi_nexthop nexthop_of(uint32_t id); /* as fabric_fill puts it */
struct abi_port port_of(enum endpoint_id e);  /* likewise */

/* ---- frames between endpoints ---- */

/* Layer 2 and 3 from one endpoint to the other; the caller adds the rest and ends it.  Behind a gateway (l3, or another
 * network) the destination MAC is the gateway's. */
void frame_between(struct frame *f, enum endpoint_id from, enum endpoint_id to, bool v6, uint8_t proto);
void frame_udp_between(struct frame *f, enum endpoint_id from, enum endpoint_id to, bool v6, size_t payload);
/* The frame as it is on the wire, or before it is encrypted: from this node to a tunnel; with this source port. */
void frame_encap(struct frame *out, uint32_t nexthop, uint32_t vni, const struct frame *inner, uint16_t sport);
/* `packet` as it comes from the underlay without a tunnel, from a node of that MAC. */
void frame_native(struct frame *out, const char *mac, const struct frame *packet);
/* A frame as a node sends it to us. */
void frame_from_wire(struct frame *out, const char *node, uint32_t vni, const struct frame *inner);

#endif
