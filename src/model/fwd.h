/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fwd.h - one forwarding entry: what rib/resolve decides and dp/table installs.
 *
 * Values only.  An entry is a key and a value; two entries with equal keys are versions of the same thing, and putting
 * one replaces the other in one step.  Next hops are named by a stable 64-bit owner, never by the number that the data
 * plane gives them, so that an entry means the same before and after a restart.
 *
 * Order of installation is the order of enum fwd_kind; removal is in reverse: nothing ever points at what is not there.
 */
#ifndef ISTHMUS_FWD_H
#define ISTHMUS_FWD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/addr.h"

enum fwd_kind {
	FWD_ROUTE, /* of the node's kernel: what a next hop without encapsulation relies on */
	FWD_NEXTHOP,
	FWD_MEMBER, /* inbound before anything sends */
	FWD_PREFIX,
	FWD_HOST,
	FWD_MAC,
	FWD_PORT,
	FWD_FLOOD,
	FWD_KIND_MAX
};

enum fwd_nexthop_type {
	FWD_NEXTHOP_PORT,
	FWD_NEXTHOP_TUNNEL,
	FWD_NEXTHOP_NATIVE, /* another node's, without encapsulation: by the kernel's routes */
};

enum fwd_encap {
	FWD_ENCAP_NONE,
	FWD_ENCAP_VXLAN = 1, /* = ENCAP_VXLAN of bpf/abi.h */
};

#define FWD_ROUTE_HOPS 4

/*
 * A route that is kept in the kernel with our protocol number, over all of these next hops.  A hop need not be on a link of
 * this node's: the kernel's own route to it is taken then.
 */
struct fwd_route {
	struct prefix prefix; /* key */
	uint8_t n_hops;       /* 1 to FWD_ROUTE_HOPS */
	struct addr hops[FWD_ROUTE_HOPS]; /* each once, in the order of addr_compare; unused ones zero */
};

struct fwd_nexthop {
	uint64_t owner; /* key: fwd_owner_port, _tunnel or _router; never 0 */
	enum fwd_nexthop_type type;
	/* port */
	uint32_t ifindex; /* 0 = waiting: packets to it are dropped as port_down */
	bool peer;        /* deliver with redirect_peer */
	/* tunnel, native */
	enum fwd_encap encap;
	bool foreign; /* bridges only */
	bool secure;  /* tunnel: encrypted, or not at all */
	struct mac router_mac;
	struct addr remote, local;
	/* all */
	uint32_t mtu; /* largest inner layer-3 packet, bytes */
};

struct fwd_member {
	struct addr source; /* key */
	uint32_t vni;       /* key */
	enum fwd_encap encap; /* key */
	uint32_t vrf;
	bool l3;      /* the VNI is a tenant's */
	bool flood;   /* unknown unicast floods */
	bool foreign; /* the gateway answers for this member too */
	bool secure;  /* only what was decrypted is taken from it */
};

struct fwd_prefix {
	uint32_t vrf;         /* key */
	struct prefix prefix; /* key */
	uint32_t vni;         /* l2: of the network, l3: of the tenant */
	uint64_t nexthop;     /* owner, of a tunnel whose router knows more; 0 for the subnet of a network */
};

struct fwd_host {
	uint32_t vrf;     /* key */
	struct addr addr; /* key */
	uint64_t nexthop; /* owner; 0 for a gateway */
	uint32_t vni;     /* l2: of the network, l3: of the tenant */
	struct mac mac;
	bool gateway, l3;
	bool bridged; /* its network has no gateway: nothing is routed to it */
};

struct fwd_mac {
	uint32_t vni;   /* key */
	struct mac mac; /* key */
	uint64_t nexthop;
};

struct fwd_port {
	uint32_t ifindex; /* key */
	uint64_t owner;   /* fwd_owner_port; also its next hop */
	uint32_t vni, vrf;
	uint32_t flags; /* enum abi_port_flags */
	struct mac mac;
	struct addr gateway4, gateway6; /* all-zero = none; gateway4 in mapped form */
	uint32_t storm_limit; /* packets a second, 0 = no limit; likewise errors */
	uint16_t icmp_limit;
};

struct fwd_flood {
	uint32_t vni;     /* key */
	uint64_t nexthop; /* key */
};

struct fwd {
	enum fwd_kind kind;
	union {
		struct fwd_route route;
		struct fwd_nexthop nexthop;
		struct fwd_member member;
		struct fwd_prefix prefix;
		struct fwd_host host;
		struct fwd_mac mac;
		struct fwd_port port;
		struct fwd_flood flood;
	};
};

/* One step of a plan: put `now` (replacing `old` when had_old), or delete `old`. */
struct fwd_change {
	bool put;
	bool had_old;
	struct fwd now;
	struct fwd old;
};

bool fwd_same_key(const struct fwd *a, const struct fwd *b);
bool fwd_equal(const struct fwd *a, const struct fwd *b);
const char *fwd_kind_name(enum fwd_kind k);
/* One line for people: "host red 10.0.1.12 via tunnel 198.51.100.21 mac 02:.." Truncates; returns out. */
const char *fwd_format(const struct fwd *f, char *out, size_t size);

/*
 * Bytes of headers around an inner layer-3 packet: VXLAN's, from its Ethernet header to the outer IP header; and where it
 * is encrypted those around that (data header, tag, UDP, IP), by the family of the underlay.
 */
#define FWD_OVERHEAD_VXLAN(v4) (14u + 8u + 8u + ((v4) ? 20u : 40u))
#define FWD_OVERHEAD_MESSAGE (16u + 16u)
#define FWD_OVERHEAD_SECURE(v4) (FWD_OVERHEAD_MESSAGE + 8u + ((v4) ? 20u : 40u))
#define FWD_SECURE_UNIT 16u /* what is encrypted is made longer to a multiple of it */

#define FWD_OVERHEAD_RELAY 16u /* in front of a message that another node carries, besides all that is around it again */

/*
 * As what path between two nodes a way through a third counts, by the MTUs and families of its halves: nothing is cut on it
 * that that path takes, which is of the family `v4`.  0 = none.
 */
uint32_t fwd_relay_mtu(uint32_t first, bool first_v4, uint32_t second, bool second_v4, bool v4);

/* Largest inner layer-3 packet that a tunnel takes over a path of that MTU; at least 68 (RFC 791 3.2). */
uint32_t fwd_tunnel_mtu(uint32_t path_mtu, bool v4, bool secure);

uint64_t fwd_owner_port(const char *port_name);
/* One per network and remote node, so that a change of the network's encapsulation is one write per node. */
uint64_t fwd_owner_tunnel(const char *network_full_name, const char *node_name);
/* One per tenant, remote node and MAC of a router there. */
uint64_t fwd_owner_router(const char *tenant_name, const char *node_name, const struct mac *mac);

#endif
