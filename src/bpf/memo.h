/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * memo.h - what was decided for a flow, for as long as the tables stay as they are.
 *
 * Most packets are like the one before.  The long way (parse, port security, three or four hash tables, an outer header
 * from its parts) writes down what came of a TCP or UDP packet that was let pass; the next one that is the same in every
 * field that was asked for goes the short way: its headers are checked again, what was written down is done.  No
 * decision is taken here, and what the short way does not know it leaves to the long one: refusals, fragments,
 * extension headers, packets too big, congestion marks, replication, answers.
 *
 * `epoch` says when the tables change: user space makes it odd before the first write of a batch and even after the
 * last one, and a memo counts only in the epoch in which its long way began.  A daemon that dies between the two leaves
 * it odd, and everything goes the long way.  The way through the underlay counts for one tick (encap.h).
 *
 * Slots are found by a hash of the key and overwritten by whoever comes next.  A packet without a memo (the first of a
 * flow, more flows than slots, a tunnel flow of less than one packet a tick) pays 7 to 16 % of its way for looking and
 * writing down.  Per CPU, as the hooks run with bottom halves off.
 */
#ifndef ISTHMUS_BPF_MEMO_H
#define ISTHMUS_BPF_MEMO_H

#include "encap.h"

#define MEMOS 1024 /* of each CPU and direction; a power of two */
#define MISS (-2)  /* no verdict: go the long way */

#define NATIVE_PLACE (1U << 31) /* with the underlay device: no VNI */
#define SECURE_PLACE (1U << 30) /* with the VNI: it was decrypted */

#define OUTER_WORDS ((OVERHEAD6 + 3) / 4)
#define MACS_WORDS 3 /* destination and source */

/* As the bytes stand in the packet. */
struct memo_key {
	__u64 addr[4]; /* source and destination; IPv4: both in the first */
	__u32 macs[MACS_WORDS];
	__u32 place; /* port: its ifindex; wire: the VNI, or without a tunnel the device, with the bits above */
	__u32 ports; /* source and destination; from a tunnel 0 */
	__u8 v6;
	__u8 proto; /* the transport; from a tunnel 0 */
	__u16 zero;
};

enum memo_flags {
	MEMO_TUNNEL = 1 << 0, /* else to a port of this node */
	MEMO_PEER = 1 << 1,   /* by bpf_redirect_peer */
	MEMO_ROUTED = 1 << 2, /* TTL goes down, the MACs are others */
	MEMO_OUTER6 = 1 << 3,
	MEMO_NATIVE = 1 << 4, /* out to the underlay as it is */
	MEMO_SECURE = 1 << 5, /* a tunnel, encrypted: to what does so now */
};

struct memo {
	__u64 epoch; /* 0: empty */
	struct memo_key key;
	__u32 flags;            /* enum memo_flags */
	__u32 mtu;              /* of the next hop, for the inner packet */
	__u32 ifindex;          /* where it goes out */
	__u32 vni;              /* for a drop */
	__u32 macs[MACS_WORDS]; /* the inner ones, as they leave */
};

struct memo_port {
	struct memo memo;
	/* tunnel or native */
	__u32 hash; /* of the packet, as it chose the source port and with that the way */
	__u32 room; /* the longest frame for which the way was found */
	__u64 tick;
	/* tunnel */
	__u32 sum; /* IPv4: of the header's words but length, TOS and checksum */
	__u32 outer[OUTER_WORDS]; /* Ethernet to VXLAN, whole but for lengths, TOS, checksum */
};

/* What carried a frame to us. */
struct memo_outer {
	__u64 addr[4]; /* as in the key */
	__be16 dport;
	__u8 v6;
	__u8 zero[5];
};

struct memo_wire {
	struct memo memo;
	struct memo_outer outer;
	__u64 tick; /* native: in which the source was routed to an underlay device */
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, MEMOS);
	__type(key, __u32);
	__type(value, struct memo_port);
} port_memos SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, MEMOS);
	__type(key, __u32);
	__type(value, struct memo_wire);
} wire_memos SEC(".maps");

/* The running epoch; 0 while nothing may be remembered. */
static __always_inline __u64 epoch_get(void)
{
	__u32 zero = 0;
	__u64 *e = bpf_map_lookup_elem(&epoch, &zero), now = e ? *(volatile __u64 *)e : 1;

	return now & 1 ? 0 : now;
}

static __always_inline __u32 memo_slot(const __u64 addr[4], __u32 place, __u32 ports)
{
	__u64 h = (addr[0] ^ addr[2]) * 0x9e3779b97f4a7c15ULL ^ addr[1] ^ addr[3];

	h = (h ^ h >> 32 ^ ((__u64)place << 32 | ports)) * 0xff51afd7ed558ccdULL;
	return h >> 40 & (MEMOS - 1);
}

/* ---- the short way: reading ---------------------------------------------------------------------------------------- */

/* What a packet is that a memo may fit: Ethernet, an IP header without options, TCP or UDP, all of it there. */
struct plain {
	__u64 addr[4];
	__u32 ports;
	__u32 headers; /* of layers 3 and 4, bytes */
	__u8 v6, proto, ttl, tos;
};

/* parse.h's checks for that kind of frame; `size` is all of it. */
static __always_inline bool plain_read(void *frame, void *data_end, __u32 size, struct plain *f)
{
	__be16 type;
	__u32 l3_size, need;
	__u8 *l4;

	if (frame + ETH_HLEN + sizeof(struct iphdr) + 8 > data_end)
		return false;
	type = *(__be16 *)(frame + 12);
	if (type == bpf_htons(ETH_P_IP)) {
		struct iphdr *ip = frame + ETH_HLEN;

		if (*(__u8 *)ip != 0x45 || (ip->frag_off & bpf_htons(IP_MF | IP_OFFSET)))
			return false;
		f->addr[0] = (__u64)ip->daddr << 32 | ip->saddr;
		f->addr[1] = f->addr[2] = f->addr[3] = 0;
		f->v6 = 0;
		f->proto = ip->protocol;
		f->ttl = ip->ttl;
		f->tos = ip->tos;
		f->headers = sizeof(*ip);
		l3_size = bpf_ntohs(ip->tot_len);
		l4 = (void *)(ip + 1);
	} else if (type == bpf_htons(ETH_P_IPV6)) {
		struct ipv6hdr *ip = frame + ETH_HLEN;
		__u64 *addr = (void *)&ip->saddr;

		if (frame + ETH_HLEN + sizeof(*ip) + 8 > data_end || *(__u8 *)ip >> 4 != 6)
			return false;
		for (int i = 0; i < 4; i++)
			f->addr[i] = addr[i];
		f->v6 = 1;
		f->proto = ip->nexthdr;
		f->ttl = ip->hop_limit;
		f->tos = bpf_ntohs(*(__be16 *)ip) >> 4;
		f->headers = sizeof(*ip);
		l3_size = sizeof(*ip) + bpf_ntohs(ip->payload_len);
		l4 = (void *)(ip + 1);
	} else {
		return false;
	}
	if (f->proto == IPPROTO_TCP) {
		if ((void *)(l4 + 20) > data_end)
			return false;
		need = (l4[12] >> 4) * 4;
		if (need < 20)
			return false;
	} else if (f->proto == IPPROTO_UDP) {
		__u32 length = bpf_ntohs(*(__be16 *)(l4 + 4));

		need = 8;
		if (length < need || f->headers + length > l3_size)
			return false;
	} else {
		return false;
	}
	f->ports = *(__u32 *)l4;
	f->headers += need;
	return f->headers <= l3_size && l3_size <= size - ETH_HLEN;
}

/* Is the memo of this packet?  `macs`: the frame's start. */
static __always_inline bool memo_fits(const struct memo *m, const struct plain *f, const __u32 *macs, __u32 place,
				      __u32 ports, __u8 proto)
{
	const struct memo_key *k = &m->key;

	return ((k->addr[0] ^ f->addr[0]) | (k->addr[1] ^ f->addr[1]) | (k->addr[2] ^ f->addr[2]) |
		(k->addr[3] ^ f->addr[3]) | (k->macs[0] ^ macs[0]) | (k->macs[1] ^ macs[1]) | (k->macs[2] ^ macs[2]) |
		(k->place ^ place) | (k->ports ^ ports) | (k->v6 ^ f->v6) | (k->proto ^ proto)) == 0;
}

/* icmp.h's too_big; `size`: the inner packet's. */
static __always_inline bool memo_too_small(const struct __sk_buff *skb, const struct memo *m, const struct plain *f,
					   __u32 size)
{
	return (skb->gso_size ? f->headers + skb->gso_size : size) > m->mtu;
}

/* ---- the short way: doing ------------------------------------------------------------------------------------------ */

static __always_inline int memo_deliver(struct __sk_buff *skb, const struct memo *m)
{
	count(COUNTER_TO_PORT, skb->len);
	if (m->flags & MEMO_PEER)
		return to_peer(skb, m->ifindex);
	skb->mark = ABI_MARK;
	return bpf_redirect(m->ifindex, 0);
}

static __always_inline int memo_send_native(struct __sk_buff *skb, const struct memo *m)
{
	count(COUNTER_NATIVE_OUT, skb->len);
	return bpf_redirect(m->ifindex, 0);
}

/* What was written down, with this packet's length and congestion mark. */
static __always_inline int memo_encap4(struct __sk_buff *skb, const struct memo_port *m, __u8 ecn, bool plain)
{
	void *data;
	__be16 length;
	__u32 sum;
	bool secure = m->memo.flags & MEMO_SECURE;

	if (make_room(skb, OVERHEAD4, secure ? ROOM_IN_FRONT : ENCAP_FLAGS(IPV4), plain))
		return -1;
	data = (void *)(long)skb->data;
	if (data + sizeof(struct outer4) > (void *)(long)skb->data_end)
		return -1;
	if (!secure)
		header_copy(data + OVERHEAD4, data, ETH_HLEN);
	header_copy(data, m->outer, OVERHEAD4);
	length = bpf_htons(skb->len - ETH_HLEN);
	sum = m->sum + length + bpf_htons(ecn);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	*(__u8 *)(data + ETH_HLEN + 1) = ecn;
	*(__be16 *)(data + ETH_HLEN + 2) = length;
	*(__u16 *)(data + ETH_HLEN + 10) = ~sum;
	*(__be16 *)(data + ETH_HLEN + sizeof(struct iphdr) + 4) = bpf_htons(skb->len - ETH_HLEN - sizeof(struct iphdr));
	return 0;
}

static __always_inline int memo_encap6(struct __sk_buff *skb, const struct memo_port *m, __u8 ecn, bool plain)
{
	void *data;
	__be16 length;
	bool secure = m->memo.flags & MEMO_SECURE;

	if (make_room(skb, OVERHEAD6, secure ? ROOM_IN_FRONT : ENCAP_FLAGS(IPV6), plain))
		return -1;
	data = (void *)(long)skb->data;
	if (data + sizeof(struct outer6) > (void *)(long)skb->data_end)
		return -1;
	if (!secure)
		header_copy(data + OVERHEAD6, data, ETH_HLEN);
	header_copy(data, m->outer, OVERHEAD6);
	length = bpf_htons(skb->len - ETH_HLEN - sizeof(struct ipv6hdr));
	*(__u8 *)(data + ETH_HLEN + 1) = ecn << 4;
	*(__be16 *)(data + ETH_HLEN + 4) = length;
	*(__be16 *)(data + ETH_HLEN + sizeof(struct ipv6hdr) + 4) = length;
	return 0;
}

static __noinline __u32 secure_now(struct __sk_buff *skb)
{
	__u32 i = SECURE_WAY;
	struct way *w = bpf_map_lookup_elem(&ways, &i);

	return w ? secure_device(skb, w) : 0;
}

/* A frame of a port.  The verdict, or MISS and nothing was touched. */
static __noinline int port_by_memo(struct __sk_buff *skb)
{
	void *data = (void *)(long)skb->data, *data_end = (void *)(long)skb->data_end;
	__u64 now = epoch_get();
	__u32 place = skb->ifindex, size = skb->len, slot, ifindex;
	struct memo_port *port;
	struct memo *m;
	struct plain f;
	int r;

	if (!now || skb->vlan_present || !plain_read(data, data_end, size, &f))
		return MISS;
	slot = memo_slot(f.addr, place, f.ports);
	port = bpf_map_lookup_elem(&port_memos, &slot);
	if (!port)
		return MISS;
	m = &port->memo;
	if (m->epoch != now || !memo_fits(m, &f, data, place, f.ports, f.proto) ||
	    memo_too_small(skb, m, &f, size - ETH_HLEN))
		return MISS;
	if ((m->flags & (MEMO_TUNNEL | MEMO_NATIVE)) &&
	    (port->hash != skb->hash || (!skb->gso_size && size > port->room) ||
	     (!(m->flags & MEMO_SECURE) && port->tick != bpf_jiffies64())))
		return MISS;
	ifindex = m->flags & MEMO_SECURE ? secure_now(skb) : m->ifindex;
	if (!ifindex)
		return MISS;
	if (m->flags & MEMO_ROUTED) {
		if (f.ttl <= 1 || decrement_ttl(skb, f.v6))
			return MISS;
		header_copy(data, m->macs, sizeof(m->macs));
		count(COUNTER_ROUTED, size);
	}
	count(COUNTER_FROM_PORT, size);
	if (!(m->flags & MEMO_TUNNEL))
		return m->flags & MEMO_NATIVE ? memo_send_native(skb, m) : memo_deliver(skb, m);
	r = m->flags & MEMO_OUTER6 ? memo_encap6(skb, port, f.tos & 3, f.proto == IPPROTO_TCP) :
				     memo_encap4(skb, port, f.tos & 3, f.proto == IPPROTO_TCP);
	if (r)
		return drop(skb, DROP_ENCAP_FAILED, m->vni, FROM_PORT);
	count(COUNTER_ENCAP, size);
	return bpf_redirect(ifindex, 0);
}

/* The outer headers, if they are as parse_outer() wants them: where the inner frame starts and its VNI; else 0. */
static __always_inline __u32 outer_read(const struct __sk_buff *skb, void *data, void *data_end, struct memo_outer *o,
					__u32 *vni)
{
	__u32 ip_size, start;
	struct vxlan *vxlan;
	struct udphdr *udp;
	__be16 type;

	if (data + sizeof(struct outer4) > data_end)
		return 0;
	type = *(__be16 *)(data + 12);
	if (type == bpf_htons(ETH_P_IP)) {
		struct iphdr *ip = data + ETH_HLEN;

		if (*(__u8 *)ip != 0x45 || ip->protocol != IPPROTO_UDP ||
		    (ip->frag_off & bpf_htons(IP_MF | IP_OFFSET)) || (ip->tos & 3) == 3)
			return 0;
		o->addr[0] = (__u64)ip->daddr << 32 | ip->saddr;
		o->addr[1] = o->addr[2] = o->addr[3] = 0;
		o->v6 = 0;
		ip_size = bpf_ntohs(ip->tot_len);
		udp = (void *)(ip + 1);
		start = OVERHEAD4;
	} else if (type == bpf_htons(ETH_P_IPV6)) {
		struct ipv6hdr *ip = data + ETH_HLEN;
		__u64 *addr = (void *)&ip->saddr;

		if (data + sizeof(struct outer6) > data_end || ip->version != 6 || ip->nexthdr != IPPROTO_UDP ||
		    (bpf_ntohs(*(__be16 *)ip) >> 4 & 3) == 3)
			return 0;
		for (int i = 0; i < 4; i++)
			o->addr[i] = addr[i];
		o->v6 = 1;
		ip_size = sizeof(*ip) + bpf_ntohs(ip->payload_len);
		udp = (void *)(ip + 1);
		start = OVERHEAD6;
	} else {
		return 0;
	}
	vxlan = (void *)(udp + 1);
	if (vxlan->flags != VXLAN_FLAG_VNI)
		return 0;
	if (!skb->gso_size && (bpf_ntohs(udp->len) + start - sizeof(*udp) - sizeof(*vxlan) - ETH_HLEN != ip_size ||
			       ip_size > skb->len - ETH_HLEN || ip_size < start))
		return 0;
	o->dport = udp->dest;
	*vni = bpf_ntohl(vxlan->vni) >> 8;
	return start;
}

static __always_inline bool outer_fits(const struct memo_outer *a, const struct memo_outer *b)
{
	return ((a->addr[0] ^ b->addr[0]) | (a->addr[1] ^ b->addr[1]) | (a->addr[2] ^ b->addr[2]) |
		(a->addr[3] ^ b->addr[3]) | (a->dport ^ b->dport) | (a->v6 ^ b->v6)) == 0;
}

/* A frame of the wire.  The verdict, or MISS and nothing was touched. */
static __noinline int wire_by_memo(struct __sk_buff *skb)
{
	void *data = (void *)(long)skb->data, *data_end = (void *)(long)skb->data_end;
	__u64 now = epoch_get(), flags = BPF_F_ADJ_ROOM_FIXED_GSO;
	__u32 start, vni, slot, place;
	struct abi_node *n = node_get();
	struct memo_outer outer;
	struct memo_wire *wire;
	struct memo *m;
	struct plain f;

	if (!now || !n || skb->vlan_present)
		return MISS;
	start = outer_read(skb, data, data_end, &outer, &vni);
	if (!start)
		return MISS;
	/* Two constants, as the verifier of 6.1 wants them. */
	if (start == OVERHEAD4 ? !plain_read(data + OVERHEAD4, data_end, skb->len - OVERHEAD4, &f) :
				 !plain_read(data + OVERHEAD6, data_end, skb->len - OVERHEAD6, &f))
		return MISS;
	if (skb->gso_size && f.proto == IPPROTO_UDP) /* to be cut */
		return MISS;
	place = is_secure(skb, n) ? SECURE_PLACE | vni : vni;
	slot = memo_slot(f.addr, place, 0);
	wire = bpf_map_lookup_elem(&wire_memos, &slot);
	if (!wire)
		return MISS;
	m = &wire->memo;
	if (m->epoch != now || !outer_fits(&wire->outer, &outer) ||
	    !memo_fits(m, &f, start == OVERHEAD4 ? data + OVERHEAD4 : data + OVERHEAD6, place, 0, 0) ||
	    memo_too_small(skb, m, &f, skb->len - start - ETH_HLEN))
		return MISS;
	if (f.v6 != outer.v6) {
		if (!have_decap_flags)
			return MISS;
		flags |= f.v6 ? BPF_F_ADJ_ROOM_DECAP_L3_IPV6 : BPF_F_ADJ_ROOM_DECAP_L3_IPV4;
	}
	skb->mark = 0;
	if (bpf_skb_adjust_room(skb, -(int)start, BPF_ADJ_ROOM_MAC, flags))
		return drop(skb, DROP_ENCAP_FAILED, vni, FROM_WIRE);
	data = (void *)(long)skb->data;
	if (data + ETH_HLEN > (void *)(long)skb->data_end)
		return drop(skb, DROP_ENCAP_FAILED, vni, FROM_WIRE);
	header_copy(data, m->macs, sizeof(m->macs));
	*(__be16 *)(data + 12) = f.v6 ? bpf_htons(ETH_P_IPV6) : bpf_htons(ETH_P_IP);
	count(COUNTER_DECAP, skb->len);
	return memo_deliver(skb, m);
}

/* A packet of the underlay that is in no tunnel.  The verdict, or MISS and nothing was touched. */
static __noinline int native_by_memo(struct __sk_buff *skb)
{
	void *data = (void *)(long)skb->data, *data_end = (void *)(long)skb->data_end;
	__u32 place = NATIVE_PLACE | skb->ifindex, slot;
	struct abi_node *n = node_get();
	__u64 now = epoch_get();
	struct memo_wire *wire;
	struct memo *m;
	struct plain f;

	if (!n || !n->native_vrf || !now || skb->vlan_present || skb->pkt_type != PACKET_HOST_ ||
	    !plain_read(data, data_end, skb->len, &f))
		return MISS;
	slot = memo_slot(f.addr, place, f.ports);
	wire = bpf_map_lookup_elem(&wire_memos, &slot);
	if (!wire)
		return MISS;
	m = &wire->memo;
	if (m->epoch != now || wire->tick != bpf_jiffies64() || !memo_fits(m, &f, data, place, f.ports, f.proto) ||
	    memo_too_small(skb, m, &f, skb->len - ETH_HLEN) || f.ttl <= 1 || decrement_ttl(skb, f.v6))
		return MISS;
	header_copy(data, m->macs, sizeof(m->macs));
	count(COUNTER_NATIVE_IN, skb->len);
	return memo_deliver(skb, m);
}

/* ---- the long way: writing down ------------------------------------------------------------------------------------ */

/* Would plain_read() take it? */
static __always_inline bool is_plain(const struct packet *p)
{
	return p->ip && p->has_l4 && !p->fragment && !p->extended &&
	       (p->l4_proto == IPPROTO_TCP || p->l4_proto == IPPROTO_UDP) &&
	       (p->v6 || p->l4 == ETH_HLEN + sizeof(struct iphdr));
}

static __always_inline void addrs_write(__u64 out[4], bool v6, const struct abi_addr *src, const struct abi_addr *dst)
{
	out[0] = v6 ? src->u64[0] : (__u64)dst->be32[3] << 32 | src->be32[3];
	out[1] = v6 ? src->u64[1] : 0;
	out[2] = v6 ? dst->u64[0] : 0;
	out[3] = v6 ? dst->u64[1] : 0;
}

/* What came of it, and with that the memo is valid.  The inner frame starts at `start`, and is as it left. */
static __always_inline int memo_write(struct memo *m, const struct __sk_buff *skb, __u32 start, const struct origin *o,
				      const struct packet *p, const struct abi_nexthop *nh)
{
	struct scratch *scratch = scratch_get();
	void *data = (void *)(long)skb->data;

	if (!scratch || data + start + ETH_HLEN > (void *)(long)skb->data_end)
		return 0;
	header_copy(m->key.macs, p->dst_mac, sizeof(m->key.macs)); /* and the source, which follows */
	m->key.v6 = p->v6;
	m->key.zero = 0;
	header_copy(m->macs, data + start, sizeof(m->macs));
	m->flags = (nh->flags & NEXTHOP_PEER ? MEMO_PEER : 0) | (o->routed ? MEMO_ROUTED : 0) |
		   (nh->type == NEXTHOP_NATIVE ? MEMO_NATIVE : 0);
	if (start)
		m->flags |= MEMO_TUNNEL | (start == OVERHEAD6 ? MEMO_OUTER6 : 0) |
			    (nh->flags & NEXTHOP_SECURE ? MEMO_SECURE : 0);
	else
		m->ifindex = nh->ifindex;
	m->mtu = nexthop_mtu(nh);
	m->vni = o->vni;
	m->epoch = scratch->epoch;
	return 1;
}

/* The outer headers as they are on the frame now, `overhead` bytes, and the way for which they are; 0: no memo of it. */
static __always_inline int port_remember_outer(struct memo_port *port, struct __sk_buff *skb,
					       const struct abi_nexthop *nh, __u32 overhead)
{
	void *data = (void *)(long)skb->data;
	__u32 sum = bpf_htons(0x4500);
	struct udphdr *udp = data + overhead - sizeof(struct vxlan) - sizeof(*udp);
	struct way *way;

	if (data + overhead + ETH_HLEN > (void *)(long)skb->data_end)
		return 0;
	way = way_get(nh, udp->source);
	if (!way || (!(nh->flags & NEXTHOP_SECURE) && !way_counts(way, nh)))
		return 0;
	header_copy(port->outer, data, overhead);
#pragma unroll
	for (int i = 2; i < 10; i++)
		sum += i == 5 ? 0 : *(__u16 *)(data + ETH_HLEN + 2 * i);
	port->sum = sum;
	port->hash = skb->hash;
	port->room = nh->flags & NEXTHOP_SECURE ? ~0U : way->room;
	port->tick = way->tick;
	port->memo.ifindex = way->ifindex;
	return 1;
}

/* A frame of a port that was sent: into a tunnel, with the outer headers on it, or to another port. */
static __noinline int port_remember(struct __sk_buff *skb, const struct origin *o, const struct packet *p,
				    const struct abi_nexthop *nh)
{
	__u32 ports, slot, place = skb->ifindex;
	struct memo_port *port;
	__u64 addr[4];

	((__be16 *)&ports)[0] = p->sport;
	((__be16 *)&ports)[1] = p->dport;
	addrs_write(addr, p->v6, &p->src, &p->dst);
	slot = memo_slot(addr, place, ports);
	port = bpf_map_lookup_elem(&port_memos, &slot);
	if (!port)
		return 0;
	port->memo.epoch = 0;
	header_copy(port->memo.key.addr, addr, sizeof(addr));
	port->memo.key.place = place;
	port->memo.key.ports = ports;
	port->memo.key.proto = p->l4_proto;
	if (nh->type == NEXTHOP_NATIVE) {
		port->hash = skb->hash;
		port->room = ETH_HLEN + nh->mtu;
		port->tick = bpf_jiffies64();
	}
	if (nh->type != NEXTHOP_TUNNEL)
		return memo_write(&port->memo, skb, 0, o, p, nh);
	if (addr_is_v4(&nh->remote))
		return port_remember_outer(port, skb, nh, OVERHEAD4) && memo_write(&port->memo, skb, OVERHEAD4, o, p, nh);
	return port_remember_outer(port, skb, nh, OVERHEAD6) && memo_write(&port->memo, skb, OVERHEAD6, o, p, nh);
}

/* A frame of the wire, its outer headers off, that was sent to a port of this node. */
static __noinline int wire_remember(struct __sk_buff *skb, const struct origin *o, const struct packet *p,
				    const struct abi_nexthop *nh)
{
	__u32 slot, place = o->native ? NATIVE_PLACE | skb->ifindex : (o->secure ? SECURE_PLACE : 0) | o->vni, ports = 0;
	struct scratch *scratch = scratch_get();
	struct abi_node *n = node_get();
	struct memo_wire *wire;
	__u64 addr[4];

	if (!scratch || !n)
		return 0;
	if (o->native) {
		((__be16 *)&ports)[0] = p->sport;
		((__be16 *)&ports)[1] = p->dport;
	}
	addrs_write(addr, p->v6, &p->src, &p->dst);
	slot = memo_slot(addr, place, ports);
	wire = bpf_map_lookup_elem(&wire_memos, &slot);
	if (!wire)
		return 0;
	wire->memo.epoch = 0;
	header_copy(wire->memo.key.addr, addr, sizeof(addr));
	wire->memo.key.place = place;
	wire->memo.key.ports = ports;
	wire->memo.key.proto = o->native ? p->l4_proto : 0;
	wire->tick = bpf_jiffies64();
	addrs_write(wire->outer.addr, scratch->outer.v6, &scratch->outer.src, &scratch->outer.dst);
	wire->outer.dport = n->vxlan_port;
	wire->outer.v6 = scratch->outer.v6;
	return memo_write(&wire->memo, skb, 0, o, p, nh);
}

/* What came of a frame that was forwarded to nh; the verdict goes through. */
static __always_inline int remember(struct __sk_buff *skb, const struct origin *o, const struct packet *p,
				    const struct abi_nexthop *nh, int verdict)
{
	struct scratch *scratch = scratch_get();

	if (scratch && scratch->epoch && verdict == TC_ACT_REDIRECT && is_plain(p)) {
		if (o->port)
			port_remember(skb, o, p, nh);
		else
			wire_remember(skb, o, p, nh);
	}
	return verdict;
}

#endif
