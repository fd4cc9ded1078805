/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * abi.h - the layout shared by the BPF programs and user space.
 *
 * Every map key and value, every counter index and every drop reason stands here and nowhere else.  Included by the
 * programs (src/bpf), by the user-space half of the data plane (src/dp), and by tests.  Values written by user space are
 * complete before they are visible: one update of a hash map is one atomic replacement of one element.  Elements of array
 * maps (node, nexthops) are copied in place.
 *
 * Maps are pinned as <bpf-dir>/<name>_v<ABI_VERSION>.  Change any layout here and ABI_VERSION goes up by one; a daemon
 * that finds pins of another version builds new maps from its full state, swaps the programs, then removes the old pins.
 *
 * Integers are host order unless named be16/be32.  Addresses are 16 bytes; IPv4 stands mapped (::ffff:a.b.c.d).
 */
#ifndef ISTHMUS_ABI_H
#define ISTHMUS_ABI_H

#include <linux/types.h>

#define ABI_VERSION 5

/* Default capacities (elements); dp may lower or raise them before loading. */
#define ABI_MAX_PORTS 16384
#define ABI_MAX_NEXTHOPS 131072
#define ABI_MAX_MACS 1048576
#define ABI_MAX_HOSTS 2097152
#define ABI_MAX_PREFIXES 262144
#define ABI_MAX_MEMBERS 524288
#define ABI_MAX_FLOODS 524288
#define ABI_MAX_FLOOD_SLOTS 4096 /* of one kind in one network */

struct abi_addr {
	union {
		__u8 bytes[16];
		__be32 be32[4];
		__u64 u64[2];
	};
};

/* ---- node: ARRAY, one element -------------------------------------------------------------------------------- */

#define ABI_WIRES 8

struct abi_node {
	struct abi_addr underlay[2]; /* own VTEP addresses, zero when unused */
	__be16 vxlan_port;
	__u8 gateway_mac[6]; /* anycast: the same on every node of the fabric */
	__u8 router_mac[6];  /* this node's own, inner destination of routed (L3 VNI) traffic */
	__u16 icmp_limit;    /* ICMP errors a second towards other nodes, of one tenant; 0 = no limit */
	__u32 cut_ifindex;   /* a device that cuts super-packets of UDP and brings them back; 0 = there is none */
	__u32 native_vrf;    /* the tenant whose packets travel without outer headers; 0 = none */
	__u32 wires[ABI_WIRES]; /* ifindexes of underlay devices, on which they may; 0 = unused */
	__u32 secure_ifindex; /* the TAP device of what encrypts, see below; 0 = there is none */
	__u32 secure_mtu;     /* its MTU: the longest outer IP packet that it takes */
	__be16 bgp_port;      /* TCP that the node's own stack speaks through that device; 0 = nothing */
	__u16 zero[3];
};

/*
 * Frames of the TAP device, both ways: Ethernet | outer IP | UDP | VXLAN | Ethernet | packet.  Ethernet addresses are zero in
 * what the programs send, and nothing else is encrypted, as sockets can be bound to the device; they mean nothing back.  The
 * kernel knows nothing of the tunnel: a super-packet's virtio header is the inner one's (TCPV4, TCPV6; gso_size; csum_start
 * counts from the frame's start to the inner transport header), and its outer lengths are those of the whole, or what 16 bits
 * hold of them.  What comes in on it was decrypted, and its outer source is an address of the peer that sent it.  A device
 * of another MTU is not taken for it, as numbers of devices that are gone come again: both fields change with the device.
 *
 * Beside tunnels the device carries the node's own BGP with other nodes: Ethernet | IP | TCP, from sockets that are bound to it
 * and have ABI_MARK_INSIDE, which takes CAP_NET_ADMIN or CAP_NET_RAW.  For what has the mark secure_egress makes the addresses
 * zero, and what comes reaches the stack only where such a socket waits for it, and the node has the address.
 */

/*
 * ---- epoch: ARRAY, one element, __u64: odd while tables are being written, even when they are as they shall be, another
 * number after each change; 0 = they have never been.  What the programs remember of a flow holds for one even number.
 */

/* ---- ports: HASH by ifindex ----------------------------------------------------------------------------------- */

enum abi_port_flags {
	PORT_L3 = 1 << 0,        /* every packet is routed, no broadcast domain */
	PORT_SECURITY = 1 << 1,  /* source MAC and IP checked, control protocols refused */
	PORT_ANY_SOURCE = 1 << 2, /* no addresses declared: any source IP that the tenant does not know as another's */
	PORT_FLOOD = 1 << 3,     /* the network floods unknown unicast */
	PORT_ALLOW_RA = 1 << 4,      /* router advertisements and redirects */
	PORT_ALLOW_DHCP = 1 << 5,    /* DHCP server answers */
	PORT_ALLOW_TUNNEL = 1 << 6,  /* VXLAN, Geneve, GRE, ESP, IP-in-IP ... of the workload's own */
	PORT_ALLOW_ROUTING = 1 << 7, /* BGP, BFD, OSPF, VRRP */
	PORT_ALLOW_BPDU = 1 << 8,    /* STP, LLDP, LACP and other link-local control (L2 networks) */
	PORT_SUBNETS = 1 << 9,       /* the network has subnets: a source that nobody declared must be in one of them */
};

struct abi_port {
	__u32 vni;      /* l2: the network's VNI; l3: the tenant's */
	__u32 vrf;      /* the tenant's L3 VNI */
	__u32 flags;    /* enum abi_port_flags */
	__u32 nexthop;  /* this port's own next hop: host entries of the port point here (anti-spoof) */
	__u8 mac[6];
	__u16 icmp_limit;          /* ICMP errors a second; 0 = no limit */
	__be32 gateway4;           /* source of ICMP errors; 0 = none configured */
	__u32 storm_limit;         /* packets to replicate a second; 0 = no limit */
	struct abi_addr gateway6;  /* likewise; zero = none configured */
	__u64 owner;               /* hash of the port's name */
};

/* ---- nexthops: ARRAY by id; id 0 is never used ---------------------------------------------------------------- */

enum abi_nexthop_type {
	NEXTHOP_NONE,   /* hole, or a port that is waiting: drop */
	NEXTHOP_PORT,
	NEXTHOP_TUNNEL,
	NEXTHOP_NATIVE, /* another node's, without encapsulation: the kernel's routing knows the way */
};

enum abi_encap {
	ENCAP_NONE,
	ENCAP_VXLAN,
};

enum abi_nexthop_flags {
	NEXTHOP_PEER = 1 << 0,    /* port is a veth whose peer is in another namespace: bpf_redirect_peer */
	NEXTHOP_FOREIGN = 1 << 1, /* the node bridges only: routed traffic goes to it by MAC in the network's VNI */
	NEXTHOP_SECURE = 1 << 2,  /* tunnel: to secure_ifindex, or nowhere */
};

struct abi_nexthop {
	__u8 type;   /* enum abi_nexthop_type */
	__u8 encap;  /* enum abi_encap */
	__u16 flags; /* enum abi_nexthop_flags */
	__u32 mtu;   /* bytes of inner layer-3 packet that fit */
	__u32 ifindex; /* port: the port */
	__u8 router_mac[6]; /* tunnel: inner destination MAC of routed traffic */
	__u16 zero;
	__u32 zero2;
	struct abi_addr remote; /* tunnel: the VTEP; native: the node, for people */
	struct abi_addr local;  /* tunnel: outer source, same family as remote */
	__u64 owner;            /* who made it; see model/fwd.h */
};

/* ---- macs: HASH, bridging -------------------------------------------------------------------------------------- */

struct abi_mac_key {
	__u32 vni;
	__u8 mac[6];
	__u16 zero;
};

struct abi_mac {
	__u32 nexthop;
};

/* ---- hosts: HASH, routing, ARP/ND answers, anti-spoof ---------------------------------------------------------- */

struct abi_host_key {
	__u32 vrf;
	struct abi_addr addr;
} __attribute__((packed));

enum abi_host_flags {
	HOST_GATEWAY = 1 << 0, /* the network's anycast gateway; nexthop is 0 */
	HOST_L3 = 1 << 1,      /* lives in an l3 network */
	HOST_BRIDGED = 1 << 2, /* lives in a network without a gateway: nothing is routed to it */
};

struct abi_host {
	__u32 nexthop;
	__u32 vni; /* its network's VNI (l3: the tenant's) */
	__u8 mac[6];
	__u16 flags; /* enum abi_host_flags */
};

/* ---- prefixes: LPM_TRIE: the subnets of a tenant, and what is routed to somewhere -------------------------------- */

struct abi_prefix_key {
	__u32 length; /* bits: 32 (vrf) + prefix length in the 128-bit form */
	__be32 vrf;
	struct abi_addr addr;
};

enum abi_prefix_flags {
	PREFIX_V4 = 1 << 0,  /* of IPv4: ::/0 and its like cover the mapped form, and are not meant for it */
	PREFIX_ALL = 1 << 1, /* of length 0 in its family: says nothing of whose an address is */
};

struct abi_prefix {
	__u32 vni;     /* the network the subnet belongs to (l3: the tenant's); with a next hop, what it is sent in */
	__u32 nexthop; /* a tunnel, whose router knows more; 0: the subnet of a network, its hosts are all there is */
	__u32 flags;   /* enum abi_prefix_flags */
};

/* ---- members: HASH, who may inject ------------------------------------------------------------------------------ */

struct abi_member_key {
	struct abi_addr source; /* outer source */
	__u32 vni;
	__u32 encap; /* enum abi_encap */
};

enum abi_member_flags {
	MEMBER_L3 = 1 << 0,    /* the VNI is a tenant's L3 VNI: routed */
	MEMBER_FLOOD = 1 << 1, /* the network floods unknown unicast */
	MEMBER_FOREIGN = 1 << 2, /* the node bridges only: gateway ARP/ND and routing are done for it */
	MEMBER_SECURE = 1 << 3,  /* only what was decrypted is taken; without it both are */
};

struct abi_member {
	__u32 vrf;
	__u32 flags; /* enum abi_member_flags */
};

/* ---- floods: HASH, replication lists ---------------------------------------------------------------------------- */

enum abi_flood_kind {
	FLOOD_LOCAL,   /* ports of this node */
	FLOOD_TUNNEL4, /* remote nodes with an IPv4 underlay */
	FLOOD_TUNNEL6,
	FLOOD_KIND_MAX,
};

/* slot 0 holds the number of slots in use (highest index); 1..count hold next hops, 0 = a hole. */
struct abi_flood_key {
	__u32 vni;
	__u16 kind; /* enum abi_flood_kind */
	__u16 slot;
};

struct abi_flood {
	__u32 nexthop; /* slot 0: the count */
};

/* ---- buckets: LRU_HASH, what may still pass of what is limited; not pinned ---------------------------------------- */

enum abi_bucket_use {
	BUCKET_STORM,   /* frames to replicate, by ifindex */
	BUCKET_ICMP,    /* ICMP errors, by ifindex */
	BUCKET_ICMP_TO, /* ICMP errors towards other nodes, by VRF */
};

struct abi_bucket_key {
	__u32 id;
	__u32 use; /* enum abi_bucket_use */
};

struct abi_bucket {
	__u64 full_at_ns; /* CLOCK_MONOTONIC */
};

/* ---- drops: PERCPU_ARRAY by reason; events: RINGBUF -------------------------------------------------------------- */

/* X(symbol, "name", "meaning") - names are the user's contract: metrics, `isthmus drops`, documents. */
#define ABI_DROP_REASONS(X)                                                                                            \
	X(NONE, "none", "not dropped")                                                                                 \
	X(PORT_UNKNOWN, "port_unknown", "the port has no configuration loaded (default deny)")                         \
	X(PORT_DOWN, "port_down", "the destination port is waiting for its interface")                                 \
	X(MALFORMED, "malformed", "a header is truncated or contradicts itself")                                       \
	X(MAC_SPOOFED, "mac_spoofed", "source MAC is not the port's")                                                  \
	X(IP_SPOOFED, "ip_spoofed", "source address is not the port's")                                                \
	X(ARP_SPOOFED, "arp_spoofed", "ARP or ND speaks for an address that is not the port's")                        \
	X(ROUTER_ADVERTISEMENT, "router_advertisement", "router advertisement or redirect from a workload")            \
	X(DHCP_SERVER, "dhcp_server", "DHCP server message from a workload")                                           \
	X(LINK_CONTROL, "link_control", "STP, LLDP, RARP or other link control from a workload")                       \
	X(TUNNEL_PROTOCOL, "tunnel_protocol", "tunnel or ESP packet from a workload")                                  \
	X(ROUTING_PROTOCOL, "routing_protocol", "BGP, BFD or another routing protocol from a workload")                \
	X(VLAN_TAGGED, "vlan_tagged", "802.1Q tag on an untagged network")                                             \
	X(EXTENSION_HEADERS, "extension_headers", "IPv6 extension headers too many, unknown or in a fragment that hides them") \
	X(UNKNOWN_MAC, "unknown_mac", "unknown unicast in a network that does not flood")                              \
	X(NO_ROUTE, "no_route", "no subnet of the tenant holds the destination (answered by unreachable)")             \
	X(NO_HOST, "no_host", "the subnet is known but nobody has the address (answered by unreachable)")              \
	X(TTL_EXCEEDED, "ttl_exceeded", "hop limit ran out (answered by time exceeded)")                               \
	X(TOO_BIG, "too_big", "larger than the path (answered by too big)")                                            \
	X(NOT_ROUTABLE, "not_routable", "non-IP, multicast or link-local packet in an l3 network")                     \
	X(SUPPRESSED, "suppressed", "ARP or ND that needs no answer and no flooding")                                  \
	X(SAME_PORT, "same_port", "destination is the port it came from")                                              \
	X(UNKNOWN_VTEP, "unknown_vtep", "tunnel packet whose source is not a member of the VNI")                       \
	X(BAD_TUNNEL_HEADER, "bad_tunnel_header", "tunnel header truncated or with unknown flags")                     \
	X(OUTER_FRAGMENT, "outer_fragment", "fragment of a tunnel packet")                                             \
	X(BAD_ROUTER_MAC, "bad_router_mac", "routed tunnel packet for another router's MAC")                           \
	X(NOT_LOCAL, "not_local", "tunnel packet for an endpoint that is not on this node")                            \
	X(ECN, "ecn", "outer congestion mark on a packet that cannot carry it (RFC 6040)")                             \
	X(NO_UNDERLAY_ROUTE, "no_underlay_route", "the node has no route to the VTEP, or without encapsulation to the host") \
	X(NO_NEIGHBOUR, "no_neighbour", "the underlay next hop does not resolve")                                      \
	X(ENCAP_FAILED, "encap_failed", "the kernel refused to add or remove headers")                                 \
	X(FLOOD_LIMIT, "flood_limit", "a replication list is longer than one pass can serve")                          \
	X(STORM_LIMIT, "storm_limit", "more broadcast, multicast and unknown unicast than the port's storm_limit")     \
	X(NOT_OURS, "not_ours", "the host's own packet towards a workload port")                                       \
	X(UNDERLAY_SPOOFED, "underlay_spoofed", "packet without tunnel whose source is not routed to an underlay device") \
	X(CLEAR_TEXT, "clear_text", "tunnel packet in clear text where encryption is asked")                           \
	X(NOT_ENCRYPTED, "not_encrypted", "encryption is asked, and there is nothing that does it")                    \
	X(NOT_TUNNEL, "not_tunnel", "decrypted packet that is no tunnel packet for this node")

enum drop_reason {
#define X(symbol, name, meaning) DROP_##symbol,
	ABI_DROP_REASONS(X)
#undef X
	DROP_MAX
};

enum abi_direction {
	FROM_PORT,
	FROM_WIRE,
	TO_PORT,
};

#define ABI_EVENT_SNAP 96

struct abi_event { /* one sampled drop: at most ABI_EVENTS_PER_S of one reason a second and CPU */
	__u64 time_ns; /* CLOCK_MONOTONIC */
	__u32 ifindex;
	__u32 vni; /* 0 where unknown */
	__u32 size; /* of the frame */
	__u16 reason; /* enum drop_reason */
	__u8 direction; /* enum abi_direction */
	__u8 snap_size; /* bytes of data[] that are valid */
	__u8 data[ABI_EVENT_SNAP]; /* head of the frame */
};

#define ABI_EVENTS_PER_S 10

/* ---- counters: PERCPU_ARRAY of struct abi_counter ------------------------------------------------------------------ */

#define ABI_COUNTERS(X)                                                                                                \
	X(FROM_PORT, "from_port", "accepted from workload ports")                                                      \
	X(TO_PORT, "to_port", "delivered to workload ports")                                                           \
	X(ENCAP, "encap", "sent into tunnels")                                                                         \
	X(DECAP, "decap", "accepted from tunnels")                                                                     \
	X(ROUTED, "routed", "routed between or inside networks")                                                       \
	X(FLOODED, "flooded", "copies made by replication")                                                            \
	X(ARP_ANSWERED, "arp_answered", "ARP requests answered on the spot")                                           \
	X(ND_ANSWERED, "nd_answered", "neighbour solicitations answered on the spot")                                  \
	X(ECHO_ANSWERED, "echo_answered", "pings to the gateway answered")                                             \
	X(ICMP_ERRORS, "icmp_errors", "ICMP errors sent to workloads")                                                 \
	X(ICMP_LIMITED, "icmp_limited", "ICMP errors not sent, as they were more than icmp_limit")                     \
	X(NATIVE_OUT, "native_out", "sent to the underlay as they are, without encapsulation")                         \
	X(NATIVE_IN, "native_in", "accepted from the underlay as they are, without encapsulation")

enum counter {
#define X(symbol, name, meaning) COUNTER_##symbol,
	ABI_COUNTERS(X)
#undef X
	COUNTER_MAX
};

struct abi_counter {
	__u64 packets;
	__u64 bytes;
};

/*
 * Mark of packets that our programs hand to a port's egress hook; anything else is the host's own and is dropped there.
 * It never leaves the node: the egress program clears it, and a namespace border clears marks anyway.
 */
#define ABI_MARK 0x49535448u /* "ISTH" */

/*
 * Mark of the node's own sockets whose packets are encrypted: SO_MARK.  Packet filters see it: none of its bits is one on which
 * those of container networks act, of which 0x4000 (kube-proxy) and 0x2000 (CNI port mappings) have a packet masqueraded.
 */
#define ABI_MARK_INSIDE 0x1048u

#endif
