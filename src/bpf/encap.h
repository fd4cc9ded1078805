/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * encap.h - headers on, headers off, and the way out of this node.
 *
 *      before            Ethernet 14 | packet
 *      after    outer Ethernet 14 | IPv4 20 or IPv6 40 | UDP 8 | VXLAN 8 | Ethernet 14 | packet
 *
 * VXLAN: RFC 7348 5.  UDP checksum zero: RFC 7348 4.1, RFC 6935 and 6936 for IPv6.  ECN: RFC 6040 (normal mode).
 */
#ifndef ISTHMUS_BPF_ENCAP_H
#define ISTHMUS_BPF_ENCAP_H

#include <linux/udp.h>

#include "drop.h"
#include "parse.h"

#ifndef BPF_F_ADJ_ROOM_DECAP_L3_IPV4 /* kernel 6.3, newer than this header may be */
#define BPF_F_ADJ_ROOM_DECAP_L3_IPV4 (1ULL << 7)
#define BPF_F_ADJ_ROOM_DECAP_L3_IPV6 (1ULL << 8)
#endif

#define LOOPBACK_IFINDEX 1
#define AF_INET_ 2
#define AF_INET6_ 10
#define PACKET_HOST_ 0 /* linux/if_packet.h drags in libc's headers */
#define OUTER_TTL 64
#define SOURCE_PORT_MIN 49152 /* RFC 6335 6: the dynamic ports, 2^14 of them */
#define RESIZE_MAX 0xff0U /* bpf_skb_adjust_room takes 4,095 bytes at most */
#define RESIZE_STEPS 17   /* 64 KB in such steps */
#define VXLAN_FLAG_VNI 0x08

/* Set by the loader when bpf_skb_adjust_room knows the flags above. */
const volatile bool have_decap_flags = false;

struct vxlan {
	__u8 flags;
	__u8 reserved[3];
	__be32 vni; /* in the upper 24 bits */
} __attribute__((packed));

struct outer4 {
	struct ethhdr eth;
	struct iphdr ip;
	struct udphdr udp;
	struct vxlan vxlan;
	struct ethhdr inner;
} __attribute__((packed));

struct outer6 {
	struct ethhdr eth;
	struct ipv6hdr ip;
	struct udphdr udp;
	struct vxlan vxlan;
	struct ethhdr inner;
} __attribute__((packed));

#define OVERHEAD4 ((__u32)(sizeof(struct outer4) - sizeof(struct ethhdr))) /* 50 */
#define OVERHEAD6 ((__u32)(sizeof(struct outer6) - sizeof(struct ethhdr))) /* 70 */

/*
 * For what encrypts: room in front of the frame, which the kernel takes for a longer Ethernet header.  So it marks nothing
 * as encapsulated, and hands a super-packet over whole, whatever it knows of tunnels on that device; see abi.h.
 */
#define ROOM_IN_FRONT 0

#define ENCAP_FLAGS(family)                                                                                            \
	(BPF_F_ADJ_ROOM_FIXED_GSO | BPF_F_ADJ_ROOM_ENCAP_L3_##family | BPF_F_ADJ_ROOM_ENCAP_L4_UDP |                   \
	 BPF_F_ADJ_ROOM_ENCAP_L2_ETH | BPF_F_ADJ_ROOM_ENCAP_L2(sizeof(struct ethhdr)) | BPF_F_ADJ_ROOM_NO_CSUM_RESET)

/* Where a frame came from and what it belongs to; nothing in it is taken from the frame itself. */
struct origin {
	const struct abi_port *port; /* NULL: from the wire */
	__u32 vni;
	__u32 vrf;
	__u32 direction; /* enum abi_direction */
	bool flood;      /* the network floods unknown unicast */
	bool foreign;    /* from the wire: the member only bridges */
	bool routed;     /* TTL goes down: by address, for what comes from a port or without a tunnel */
	bool native;     /* from the wire: without a tunnel */
	bool secure;     /* from the wire: it was decrypted */
};

static __always_inline int refuse(struct __sk_buff *skb, const struct origin *o, __u32 reason)
{
	return drop(skb, reason, o->vni, o->direction);
}

static __always_inline struct abi_node *node_get(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&node, &zero);
}

/*
 * bpf_skb_adjust_room and bpf_redirect_neigh refuse a packet whose skb->protocol is not IP, and no helper sets it.  But
 * taking a VLAN tag off does, from the type that follows the tag in the frame.  So: two tags on (the second push writes
 * the first into the frame), the type rewritten, both off, and the type restored.
 */
__noinline int protocol_set(struct __sk_buff *skb, __be16 proto)
{
	__be16 type;

	if (bpf_skb_load_bytes(skb, 12, &type, 2) || bpf_skb_vlan_push(skb, bpf_htons(ETH_P_8021Q), 1) ||
	    bpf_skb_vlan_push(skb, bpf_htons(ETH_P_8021Q), 1) || bpf_skb_store_bytes(skb, 16, &proto, 2, 0) ||
	    bpf_skb_vlan_pop(skb) || bpf_skb_vlan_pop(skb))
		return -1;
	return bpf_skb_store_bytes(skb, 12, &type, 2, 0);
}

static __always_inline void checksum4(struct iphdr *ip)
{
	__u16 *words = (__u16 *)ip;
	__u32 sum = 0;

	ip->check = 0;
#pragma unroll
	for (int i = 0; i < 10; i++)
		sum += words[i];
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	ip->check = ~sum;
}

/*
 * By the inner flow: every underlay path carries traffic.  A socket of this machine has left its
 * own hash (and changes it when a path fails); asking the kernel for another's would dissect the packet once more.
 */
static __always_inline __be16 source_port(const struct __sk_buff *skb, const struct packet *p)
{
	__u64 hash = skb->hash;

	if (!hash && p->ip) {
		/* Fragments have no ports, and must go the way of the first, which has. */
		__u32 ports = p->fragment || !p->has_l4 ? 0 : (__u32)p->sport << 16 | p->dport;

		hash = (p->src.u64[0] ^ p->dst.u64[1]) * 0x9e3779b97f4a7c15ULL ^ p->src.u64[1] ^ p->dst.u64[0];
		hash = (hash ^ ports) * 0xff51afd7ed558ccdULL;
	} else if (!hash) {
		__u32 ends[2];

		__builtin_memcpy(&ends[0], &p->dst_mac[2], 4);
		__builtin_memcpy(&ends[1], &p->src_mac[2], 4);
		hash = (ends[0] ^ (__u64)ends[1] << 32) * 0xff51afd7ed558ccdULL;
	}
	hash ^= hash >> 33;
	return bpf_htons(SOURCE_PORT_MIN | ((hash ^ hash >> 16) & 0x3fff));
}

/* Word by word, and a half one at the end; `size` is a constant. */
static __always_inline void header_copy(void *to, const void *from, __u32 size)
{
	__u32 *words = to;

#pragma unroll
	for (__u32 i = 0; i < size / 4; i++)
		words[i] = ((const __u32 *)from)[i];
	if (size & 2)
		*(__u16 *)(to + (size & ~3U)) = *(const __u16 *)(from + (size & ~3U));
}

/* The outer headers; room for them is there and the inner Ethernet header in its place.  0 or -1. */
static __always_inline int write_outer4(struct __sk_buff *skb, const struct abi_nexthop *nh, __u32 vni, __u8 ecn,
					__be16 sport, __be16 dport)
{
	struct outer4 *h = (void *)(long)skb->data;

	if ((void *)(h + 1) > (void *)(long)skb->data_end)
		return -1;
	h->eth.h_proto = bpf_htons(ETH_P_IP);
	h->ip.version = 4;
	h->ip.ihl = 5;
	h->ip.tos = ecn;
	h->ip.tot_len = bpf_htons(skb->len - sizeof(struct ethhdr));
	h->ip.id = 0;
	h->ip.frag_off = bpf_htons(IP_DF);
	h->ip.ttl = OUTER_TTL;
	h->ip.protocol = IPPROTO_UDP;
	h->ip.saddr = nh->local.be32[3];
	h->ip.daddr = nh->remote.be32[3];
	checksum4(&h->ip);
	h->udp.source = sport;
	h->udp.dest = dport;
	h->udp.len = bpf_htons(skb->len - sizeof(struct ethhdr) - sizeof(struct iphdr));
	h->udp.check = 0;
	h->vxlan.flags = VXLAN_FLAG_VNI;
	__builtin_memset(h->vxlan.reserved, 0, 3);
	h->vxlan.vni = bpf_htonl(vni << 8);
	return 0;
}

/*
 * The kernel marks a packet as encapsulated, and the mark stays on over a veth (and some NICs set it on receipt), also when
 * all outer headers are off again.  It then refuses to encapsulate (-EALREADY) and to change the tail (-EOPNOTSUPP).
 * Plain room behind the Ethernet header it always gives; the marks of the first encapsulation fit the second.  Only where
 * the packet is `plain`: a workload's super-packet in a tunnel of its own would be cut as if there were only one tunnel.
 * Global, as resize, so that the verifier looks at the body once.
 */
__noinline int make_room(struct __sk_buff *skb, __u32 overhead, __u64 flags, bool plain)
{
	__be16 protocol = overhead == OVERHEAD6 ? bpf_htons(ETH_P_IPV6) : bpf_htons(ETH_P_IP);

	if (flags == ROOM_IN_FRONT)
		return bpf_skb_change_head(skb, overhead, 0);
	if (bpf_skb_adjust_room(skb, overhead, BPF_ADJ_ROOM_MAC, flags) == 0)
		return 0;
	if (skb->gso_size && !plain)
		return -1;
	if (skb->protocol != protocol && protocol_set(skb, protocol))
		return -1;
	return bpf_skb_adjust_room(skb, overhead, BPF_ADJ_ROOM_MAC, BPF_F_ADJ_ROOM_FIXED_GSO | BPF_F_ADJ_ROOM_NO_CSUM_RESET);
}

/* Makes the frame `size` bytes long, for a caller that writes all of it anew. */
__noinline int resize(struct __sk_buff *skb, __u32 size)
{
	__u64 flags = BPF_F_ADJ_ROOM_FIXED_GSO | BPF_F_ADJ_ROOM_NO_CSUM_RESET;

	if (bpf_skb_change_tail(skb, size, 0) == 0)
		return 0;
	if (skb->gso_size) /* would stay a super-packet */
		return -1;
	for (int i = 0; i < RESIZE_STEPS && skb->len > size; i++) {
		__u32 surplus = skb->len - size;

		if (bpf_skb_adjust_room(skb, -(int)(surplus < RESIZE_MAX ? surplus : RESIZE_MAX), BPF_ADJ_ROOM_MAC, flags))
			return -1;
	}
	if (skb->len < size)
		return bpf_skb_adjust_room(skb, size - skb->len, BPF_ADJ_ROOM_MAC, flags);
	return skb->len == size ? 0 : -1;
}

/* Puts the outer headers on; 0 or -1. The inner Ethernet header must be right already. */
static __always_inline int encap4(struct __sk_buff *skb, const struct abi_nexthop *nh, __u32 vni, __u8 ecn, __be16 sport,
				  __be16 dport, bool plain)
{
	bool secure = nh->flags & NEXTHOP_SECURE;
	struct outer4 *h;

	if (make_room(skb, OVERHEAD4, secure ? ROOM_IN_FRONT : ENCAP_FLAGS(IPV4), plain))
		return -1;
	h = (void *)(long)skb->data;
	if ((void *)(h + 1) > (void *)(long)skb->data_end)
		return -1;
	if (!secure)
		header_copy(&h->inner, &h->eth, sizeof(h->inner));
	return write_outer4(skb, nh, vni, ecn, sport, dport);
}

static __always_inline int encap6(struct __sk_buff *skb, const struct abi_nexthop *nh, __u32 vni, __u8 ecn, __be16 sport,
				  __be16 dport, bool plain)
{
	bool secure = nh->flags & NEXTHOP_SECURE;
	struct outer6 *h;

	if (make_room(skb, OVERHEAD6, secure ? ROOM_IN_FRONT : ENCAP_FLAGS(IPV6), plain))
		return -1;
	h = (void *)(long)skb->data;
	if ((void *)(h + 1) > (void *)(long)skb->data_end)
		return -1;
	if (!secure)
		header_copy(&h->inner, &h->eth, sizeof(h->inner));
	h->eth.h_proto = bpf_htons(ETH_P_IPV6);
	h->ip.version = 6;
	h->ip.priority = 0;
	h->ip.flow_lbl[0] = ecn << 4;
	h->ip.flow_lbl[1] = 0;
	h->ip.flow_lbl[2] = 0;
	h->ip.payload_len = bpf_htons(skb->len - sizeof(struct ethhdr) - sizeof(struct ipv6hdr));
	h->ip.nexthdr = IPPROTO_UDP;
	h->ip.hop_limit = OUTER_TTL;
	header_copy(&h->ip.saddr, &nh->local, 16);
	header_copy(&h->ip.daddr, &nh->remote, 16);
	h->udp.source = sport;
	h->udp.dest = dport;
	h->udp.len = h->ip.payload_len;
	h->udp.check = 0;
	h->vxlan.flags = VXLAN_FLAG_VNI;
	__builtin_memset(h->vxlan.reserved, 0, 3);
	h->vxlan.vni = bpf_htonl(vni << 8);
	return 0;
}

/*
 * The way to a VTEP as the kernel's routing gave it in this tick of its clock (1 to 10 ms).  Asking costs a quarter of all
 * that a small packet costs here; an answer that old is as good as one that was given just before the route changed.
 * Where many paths lead to a VTEP, flows are spread over them in so many groups, each with its own question and memory.
 */
#define FLOW_GROUPS 64 /* a power of two */
#define WAYS 4096      /* of each CPU, likewise: 64 VTEPs in use at a time, if their hashes differ */
#define SECURE_WAY WAYS /* one more: all that is encrypted goes one way, which is asked for each time */

struct way {
	__u64 tick;
	struct abi_addr remote;
	__u32 ifindex;
	__u32 room; /* the longest frame that the kernel would have answered so for */
	__u8 dst_mac[6], src_mac[6];
	__u32 zero;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, WAYS + 1);
	__type(key, __u32);
	__type(value, struct way);
} ways SEC(".maps");

/* Of the source port, by which the kernel may choose a path: the same for all flows of a group. */
static __always_inline __u32 flow_group(__be16 sport)
{
	return bpf_ntohs(sport) & (FLOW_GROUPS - 1);
}

static __always_inline struct way *way_get(const struct abi_nexthop *nh, __be16 sport)
{
	const struct abi_addr *remote = &nh->remote;
	__u32 i = (remote->be32[0] ^ remote->be32[1] ^ remote->be32[2] ^ remote->be32[3]) * 0x9e3779b1U;

	i = ((i >> 8 & ~(FLOW_GROUPS - 1U)) | flow_group(sport)) & (WAYS - 1); /* the group as it is: no entry says which */
	if (nh->flags & NEXTHOP_SECURE)
		i = SECURE_WAY;
	return bpf_map_lookup_elem(&ways, &i);
}

/* Is it nh's, and of now? */
static __always_inline bool way_counts(const struct way *w, const struct abi_nexthop *nh)
{
	return w->tick == bpf_jiffies64() && addr_equal(&w->remote, &nh->remote);
}

/*
 * What encrypts; 0: there is nothing that does.  The daemon may be dead, and the kernel drops what is sent to a device that
 * is gone without telling; a device that has its number by now has another MTU.  w is SECURE_WAY.
 */
static __always_inline __u32 secure_device(struct __sk_buff *skb, struct way *w)
{
	struct abi_node *n = node_get();

	if (!n)
		return 0;
	w->ifindex = n->secure_ifindex;
	w->room = 0; /* in: no length; out: the MTU */
	if (!w->ifindex || bpf_check_mtu(skb, w->ifindex, &w->room, 0, 0) < 0 || w->room != n->secure_mtu)
		return 0;
	return w->ifindex;
}

/*
 * The kernel's own routing: lo is the one device that may "forward" (src/kern sets that), so this is what a socket of
 * this node would get, follows every route change, and needs no daemon.  DROP_NONE; DROP_NO_NEIGHBOUR: only w->ifindex
 * is valid, the kernel has to resolve first; or why there is no way.
 */
static __noinline int ask_way(struct __sk_buff *skb, const struct abi_nexthop *nh, __be16 sport, __be16 dport,
			      struct way *w)
{
	struct scratch *scratch = scratch_get();
	struct bpf_fib_lookup *f;
	long r;

	w->tick = 0;
	if (nh->flags & NEXTHOP_SECURE) {
		__builtin_memset(w->dst_mac, 0, sizeof(w->dst_mac)); /* by which what encrypts knows what is ours, see abi.h */
		__builtin_memset(w->src_mac, 0, sizeof(w->src_mac));
		return secure_device(skb, w) ? DROP_NONE : DROP_NOT_ENCRYPTED;
	}
	if (!scratch)
		return DROP_NO_UNDERLAY_ROUTE;
	f = &scratch->fib;
	__builtin_memset(f, 0, sizeof(*f));
	f->ifindex = LOOPBACK_IFINDEX;
	f->l4_protocol = IPPROTO_UDP;
	f->sport = bpf_htons(SOURCE_PORT_MIN | flow_group(sport));
	f->dport = dport;
	if (addr_is_v4(&nh->remote)) {
		f->family = AF_INET_;
		f->ipv4_src = nh->local.be32[3];
		f->ipv4_dst = nh->remote.be32[3];
	} else {
		f->family = AF_INET6_;
		__builtin_memcpy(f->ipv6_src, &nh->local, 16);
		__builtin_memcpy(f->ipv6_dst, &nh->remote, 16);
	}
	r = bpf_fib_lookup(skb, f, sizeof(*f), 0);
	w->ifindex = f->ifindex;
	if (r == BPF_FIB_LKUP_RET_NO_NEIGH)
		return DROP_NO_NEIGHBOUR;
	if (r != BPF_FIB_LKUP_RET_SUCCESS)
		return r == BPF_FIB_LKUP_RET_FRAG_NEEDED ? DROP_TOO_BIG : DROP_NO_UNDERLAY_ROUTE;
	w->tick = bpf_jiffies64();
	w->remote = nh->remote;
	w->room = ETH_HLEN + f->mtu_result; /* of the device, as no length was given */
	mac_copy(w->dst_mac, f->dmac);
	mac_copy(w->src_mac, f->smac);
	return DROP_NONE;
}

/* As ask_way; w is way_get()'s. */
static __always_inline int find_way(struct __sk_buff *skb, const struct abi_nexthop *nh, __be16 sport, __be16 dport,
				    struct way *w)
{
	if (!(nh->flags & NEXTHOP_SECURE) && way_counts(w, nh) && (skb->gso_size || skb->len <= w->room))
		return DROP_NONE;
	return ask_way(skb, nh, sport, dport, w);
}

static __always_inline void write_macs(struct __sk_buff *skb, const __u8 *dst, const __u8 *src)
{
	struct ethhdr *eth = (void *)(long)skb->data;

	if ((void *)(eth + 1) > (void *)(long)skb->data_end)
		return;
	mac_copy(eth->h_dest, dst);
	mac_copy(eth->h_source, src);
}

static __always_inline int decrement_ttl(struct __sk_buff *skb, bool v6)
{
	void *data = (void *)(long)skb->data, *data_end = (void *)(long)skb->data_end;

	if (v6) {
		struct ipv6hdr *ip = data + ETH_HLEN;

		if ((void *)(ip + 1) > data_end)
			return -1;
		ip->hop_limit--;
	} else {
		struct iphdr *ip = data + ETH_HLEN;
		__u32 check;

		if ((void *)(ip + 1) > data_end)
			return -1;
		ip->ttl--;
		check = ip->check + bpf_htons(0x0100); /* RFC 1141 */
		ip->check = check + (check >= 0xffff);
	}
	return 0;
}

/* Into the namespace of a veth's other end. */
static __always_inline int to_peer(struct __sk_buff *skb, __u32 ifindex)
{
	/* The destination MAC was not this node's; kernels before 6.9 leave the mark that says so. */
	if (skb->pkt_type != PACKET_HOST_)
		bpf_skb_change_type(skb, 0);
	return bpf_redirect_peer(ifindex, 0);
}

/* From the wire: was it decrypted on this node? */
static __always_inline bool is_secure(const struct __sk_buff *skb, const struct abi_node *n)
{
	return skb->ifindex == n->secure_ifindex;
}

/* As nh->mtu; where it is encrypted, no more than what does so takes. */
static __always_inline __u32 nexthop_mtu(const struct abi_nexthop *nh)
{
	__u32 overhead = addr_is_v4(&nh->remote) ? OVERHEAD4 : OVERHEAD6, mtu = nh->mtu;
	struct abi_node *n;

	if (!(nh->flags & NEXTHOP_SECURE))
		return mtu;
	n = node_get();
	return n && n->secure_mtu > overhead && n->secure_mtu - overhead < mtu ? n->secure_mtu - overhead : mtu;
}

/* One frame into one tunnel. */
static __noinline int send_tunnel(struct __sk_buff *skb, const struct origin *o, const struct packet *p,
				       const struct abi_nexthop *nh, __u32 vni)
{
	struct abi_node *n = node_get();
	__u8 ecn = p->ip ? p->tos & 3 : 0;
	__be16 sport = source_port(skb, p);
	struct way *way = way_get(nh, sport);
	__u32 size = skb->len;
	int reason, r;
	bool plain;

	if (!n || !way)
		return refuse(skb, o, DROP_PORT_UNKNOWN);
	reason = find_way(skb, nh, sport, n->vxlan_port, way);
	if (reason != DROP_NONE && reason != DROP_NO_NEIGHBOUR)
		return refuse(skb, o, reason);
	if (!p->ip && !(nh->flags & NEXTHOP_SECURE) && protocol_set(skb, bpf_htons(ETH_P_IP)))
		return refuse(skb, o, DROP_ENCAP_FAILED);
	/* TCP on top: forwarded by a workload, or ours. */
	plain = !o->port || p->l4_proto == IPPROTO_TCP;
	r = addr_is_v4(&nh->remote) ? encap4(skb, nh, vni, ecn, sport, n->vxlan_port, plain) :
				      encap6(skb, nh, vni, ecn, sport, n->vxlan_port, plain);
	if (r)
		return refuse(skb, o, DROP_ENCAP_FAILED);
	count(COUNTER_ENCAP, size);
	if (reason == DROP_NO_NEIGHBOUR) /* queues the packet, asks, sends */
		return bpf_redirect_neigh(way->ifindex, NULL, 0, 0);
	write_macs(skb, way->dst_mac, way->src_mac);
	return bpf_redirect(way->ifindex, 0);
}

/* One frame to one port of this node. */
static __always_inline int send_port(struct __sk_buff *skb, const struct origin *o, const struct abi_nexthop *nh)
{
	count(COUNTER_TO_PORT, skb->len);
	if (nh->flags & NEXTHOP_PEER)
		return to_peer(skb, nh->ifindex);
	skb->mark = ABI_MARK;
	return bpf_redirect(nh->ifindex, 0);
}

/*
 * Takes the outer headers off; the frame is left with the inner Ethernet header, and skb->protocol says what it is: where
 * the kernel does not set that (before 6.3, or no IP inside), we do, or a super-packet would be taken for the other family.
 * 0 or -1.
 */
static __noinline int decap(struct __sk_buff *skb, const struct packet *p, bool outer_v6)
{
	__u64 flags = BPF_F_ADJ_ROOM_FIXED_GSO;
	__u32 overhead = outer_v6 ? OVERHEAD6 : OVERHEAD4;
	bool changes = !p->ip || p->v6 != outer_v6;
	/* What is left must not be shorter than the header of the family that skb->protocol names. */
	__u32 least = !have_decap_flags ? (outer_v6 ? 40 : 20) : p->ip ? 0 : 20;
	__u32 wanted = ETH_HLEN + overhead + least, lack = 0;
	__u8 body[40] = {};
	struct ethhdr *eth;

	if (changes && have_decap_flags)
		flags |= p->v6 ? BPF_F_ADJ_ROOM_DECAP_L3_IPV6 : BPF_F_ADJ_ROOM_DECAP_L3_IPV4;
	if (skb->len < wanted && bpf_skb_change_tail(skb, wanted, 0)) { /* see make_room: so fewer bytes come off */
		__u32 last = skb->len - ETH_HLEN - overhead - 1; /* wraps where nothing is left */

		lack = wanted - skb->len;
		if (lack > sizeof(body))
			return -1;
		asm volatile("" : "+r"(last)); /* as in sample(): "not 0" has to be seen by the verifier of 6.1 */
		if (last < sizeof(body) && bpf_skb_load_bytes(skb, ETH_HLEN + overhead, body, last + 1))
			return -1;
	}
	if (bpf_skb_adjust_room(skb, -(int)(overhead - lack), BPF_ADJ_ROOM_MAC, flags))
		return -1;
	if (lack && (!least || bpf_skb_store_bytes(skb, ETH_HLEN, body, least, 0)))
		return -1;
	eth = (void *)(long)skb->data;
	if ((void *)(eth + 1) > (void *)(long)skb->data_end)
		return -1;
	mac_copy(eth->h_dest, p->dst_mac);
	mac_copy(eth->h_source, p->src_mac);
	eth->h_proto = bpf_htons(p->proto);
	return changes && (!p->ip || !have_decap_flags) ? protocol_set(skb, eth->h_proto) : 0;
}

#endif
