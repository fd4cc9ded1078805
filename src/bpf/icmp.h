/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * icmp.h - answers that the network gives by itself: errors with a quote of the packet, and the gateway's echo.
 *
 *      Ethernet 14 | IPv4 20 | ICMP 8   | quote, at most 512 bytes      RFC 792, 1812 4.3.2
 *      Ethernet 14 | IPv6 40 | ICMPv6 8 | quote, at most 1,024 bytes    RFC 4443
 *
 * The packet itself is turned into the answer and goes back to where it came from.
 */
#ifndef ISTHMUS_BPF_ICMP_H
#define ISTHMUS_BPF_ICMP_H

#include "encap.h"
#include "native.h"
#include "security.h"
#include "storm.h"

#define QUOTE4_MAX 512
#define QUOTE6_MAX QUOTE_MAX

enum {
	ICMP4_ECHO_REPLY = 0,
	ICMP4_UNREACHABLE = 3,
	ICMP4_ECHO = 8,
	ICMP4_TIME_EXCEEDED = 11,
	ICMP4_CODE_NET = 0,
	ICMP4_CODE_HOST = 1,
	ICMP4_CODE_FRAG_NEEDED = 4,
	ICMP6_UNREACHABLE = 1,
	ICMP6_TOO_BIG = 2,
	ICMP6_TIME_EXCEEDED = 3,
	ICMP6_ECHO = 128,
	ICMP6_ECHO_REPLY = 129,
	ICMP6_CODE_NO_ROUTE = 0,
	ICMP6_CODE_ADDRESS = 3,
};

struct icmp4_answer {
	struct ethhdr eth;
	struct iphdr ip;
	__u8 type, code;
	__u16 check;
	__be32 info;
} __attribute__((packed));

struct icmp6_answer {
	struct ethhdr eth;
	struct ipv6hdr ip;
	__u8 type, code;
	__u16 check;
	__be32 info;
} __attribute__((packed));

static __always_inline __u16 fold(__u32 sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return ~sum;
}

/* RFC 1122 3.2.2, RFC 4443 2.4(e): what must never be answered by an error. */
static __always_inline bool may_answer(const struct packet *p)
{
	if (!p->ip || (p->dst_mac[0] & 1) || addr_is_multicast(&p->dst) || addr_is_multicast(&p->src) ||
	    addr_is_unspecified(&p->src))
		return false;
	if (p->later)
		return false;
	if (p->v6 && p->l4_proto == PROTO_ICMPV6)
		return p->has_l4 && p->icmp_type >= 128 && p->icmp_type != ND_REDIRECT;
	if (!p->v6 && p->l4_proto == IPPROTO_ICMP)
		return p->icmp_type == ICMP4_ECHO || p->icmp_type == ICMP4_ECHO_REPLY || p->icmp_type == 13 ||
		       p->icmp_type == 14;
	return true;
}

static __noinline int build4(struct __sk_buff *skb, const struct packet *p, const struct icmp_error *e)
{
	struct scratch *scratch = scratch_get();
	__u32 quote = p->l3_size;
	struct icmp4_answer a;
	__u32 sum;

	if (!scratch)
		return -1;
	if (quote > QUOTE4_MAX)
		quote = QUOTE4_MAX;
	if (quote < 20)
		return -1;
	__builtin_memset(scratch->quote, 0, QUOTE4_MAX);
	if (bpf_skb_load_bytes(skb, ETH_HLEN, scratch->quote, quote))
		return -1;
	__builtin_memset(&a, 0, sizeof(a));
	mac_copy(a.eth.h_dest, p->src_mac);
	mac_copy(a.eth.h_source, e->source_mac);
	a.eth.h_proto = bpf_htons(ETH_P_IP);
	a.ip.version = 4;
	a.ip.ihl = 5;
	a.ip.tos = 0xc0; /* RFC 1812 4.3.2.5: internetwork control */
	a.ip.tot_len = bpf_htons(28 + quote);
	a.ip.ttl = OUTER_TTL;
	a.ip.protocol = IPPROTO_ICMP;
	a.ip.saddr = e->source.be32[3];
	a.ip.daddr = p->src.be32[3];
	checksum4(&a.ip);
	a.type = e->type;
	a.code = e->code;
	a.info = bpf_htonl(e->info);
	sum = bpf_csum_diff(NULL, 0, (__be32 *)&a.type, 8, 0);
	sum = bpf_csum_diff(NULL, 0, (__be32 *)scratch->quote, QUOTE4_MAX, sum);
	a.check = fold(sum);
	if (resize(skb, sizeof(a) + quote))
		return -1;
	return bpf_skb_store_bytes(skb, 0, &a, sizeof(a), BPF_F_RECOMPUTE_CSUM | BPF_F_INVALIDATE_HASH) ||
	       bpf_skb_store_bytes(skb, sizeof(a), scratch->quote, quote, BPF_F_RECOMPUTE_CSUM);
}

static __noinline int build6(struct __sk_buff *skb, const struct packet *p, const struct icmp_error *e)
{
	struct scratch *scratch = scratch_get();
	__u32 quote = p->l3_size;
	struct icmp6_answer a;
	__be32 pseudo[2];
	__u32 sum;

	if (!scratch)
		return -1;
	if (quote > QUOTE6_MAX)
		quote = QUOTE6_MAX;
	if (quote < 40)
		return -1;
	__builtin_memset(scratch->quote, 0, QUOTE6_MAX);
	if (bpf_skb_load_bytes(skb, ETH_HLEN, scratch->quote, quote))
		return -1;
	__builtin_memset(&a, 0, sizeof(a));
	mac_copy(a.eth.h_dest, p->src_mac);
	mac_copy(a.eth.h_source, e->source_mac);
	a.eth.h_proto = bpf_htons(ETH_P_IPV6);
	a.ip.version = 6;
	a.ip.payload_len = bpf_htons(8 + quote);
	a.ip.nexthdr = PROTO_ICMPV6;
	a.ip.hop_limit = OUTER_TTL;
	__builtin_memcpy(&a.ip.saddr, &e->source, 16);
	__builtin_memcpy(&a.ip.daddr, &p->src, 16);
	a.type = e->type;
	a.code = e->code;
	a.info = bpf_htonl(e->info);
	pseudo[0] = bpf_htonl(8 + quote);
	pseudo[1] = bpf_htonl(PROTO_ICMPV6);
	sum = bpf_csum_diff(NULL, 0, (__be32 *)&a.ip.saddr, 32, 0);
	sum = bpf_csum_diff(NULL, 0, pseudo, 8, sum);
	sum = bpf_csum_diff(NULL, 0, (__be32 *)&a.type, 8, sum);
	sum = bpf_csum_diff(NULL, 0, (__be32 *)scratch->quote, 512, sum); /* 512 is the helper's limit */
	sum = bpf_csum_diff(NULL, 0, (__be32 *)(scratch->quote + 512), 512, sum);
	a.check = fold(sum);
	if (resize(skb, sizeof(a) + quote))
		return -1;
	return bpf_skb_store_bytes(skb, 0, &a, sizeof(a), BPF_F_RECOMPUTE_CSUM | BPF_F_INVALIDATE_HASH) ||
	       bpf_skb_store_bytes(skb, sizeof(a), scratch->quote, quote, BPF_F_RECOMPUTE_CSUM);
}

/* Where send_back() is the stack is deep: its keys are elsewhere. */
union keys {
	struct abi_mac_key mac;
	struct abi_host_key host;
};

/*
 * The answer in skb goes back to where the packet came from: p is still the packet.  To a node that routes as it came; to a
 * foreign one in the host's network, also when another node routed the packet, or when this one has no ports there.
 */
static __noinline int send_back(struct __sk_buff *skb, const struct origin *o, const struct packet *p)
{
	struct scratch *scratch = scratch_get();
	struct abi_node *n = node_get();
	struct abi_host *host = NULL;
	struct abi_nexthop *nh;
	union keys *at;
	struct abi_mac *mac;
	__u32 id = 0;

	if (o->port) {
		nh = nexthop_get(o->port->nexthop);
		return nh && nh->type == NEXTHOP_PORT ? send_port(skb, o, nh) : refuse(skb, o, DROP_PORT_DOWN);
	}
	if (o->native)
		return answer_native(skb, o, p);
	if (!scratch)
		return refuse(skb, o, DROP_NOT_LOCAL);
	at = (union keys *)scratch->quote; /* used up by now */
	at->mac.vni = o->vni;
	at->mac.zero = 0;
	mac_copy(at->mac.mac, p->src_mac);
	mac = bpf_map_lookup_elem(&macs, &at->mac);
	if (mac) {
		id = mac->nexthop;
	} else {
		at->host.vrf = o->vrf;
		at->host.addr = p->src;
		host = bpf_map_lookup_elem(&hosts, &at->host);
		if (host)
			id = host->nexthop;
	}
	nh = nexthop_get(id);
	if (!nh || !n || nh->type != NEXTHOP_TUNNEL)
		return refuse(skb, o, DROP_NOT_LOCAL);
	if (host && (nh->flags & NEXTHOP_FOREIGN)) {
		write_macs(skb, host->mac, n->gateway_mac);
		return send_tunnel(skb, o, p, nh, host->vni);
	}
	if (host && o->vni != o->vrf)
		return refuse(skb, o, DROP_NOT_LOCAL);
	if (host)
		write_macs(skb, nh->router_mac, n->router_mac);
	return send_tunnel(skb, o, p, nh, o->vni);
}

/* RFC 4443 2.4(f), RFC 1812 4.3.2.8.  By port; towards other nodes by tenant, so that none uses up another's. */
static __always_inline bool may_answer_now(struct __sk_buff *skb, const struct origin *o, const struct abi_node *n)
{
	return o->port ? bucket_take(skb->ifindex, BUCKET_ICMP, o->port->icmp_limit) :
			 bucket_take(o->vrf, BUCKET_ICMP_TO, n->icmp_limit);
}

/* This node's own address of the family, where answers go into the underlay. */
static __noinline int speak_as_node(struct icmp_error *e, bool v6)
{
	struct abi_node *n = node_get();

	if (!n)
		return -1;
	for (int i = 0; i < 2; i++)
		if (!addr_is_zero(&n->underlay[i]) && addr_is_v4(&n->underlay[i]) != v6)
			e->source = n->underlay[i];
	return 0;
}

/*
 * Counts the packet as dropped for `reason` and sends the error, where the rules allow one.  A zero e->source means the
 * gateway's address, or this node's towards the underlay; without one the network speaks as 192.0.0.8 (RFC 7600 4.8) or
 * fe80::1.
 */
static __noinline int icmp_answer(struct __sk_buff *skb, const struct origin *o, const struct packet *p,
				  struct icmp_error *e, __u32 reason)
{
	struct abi_node *n = node_get();

	if (!n || !may_answer(p))
		return refuse(skb, o, reason);
	drop(skb, reason, o->vni, o->direction); /* counted and sampled; what goes on is the answer */
	if (!may_answer_now(skb, o, n)) {
		count(COUNTER_ICMP_LIMITED, skb->len);
		return TC_ACT_SHOT;
	}
	if (addr_is_zero(&e->source)) {
		mac_copy(e->source_mac, n->gateway_mac);
		if (o->native)
			speak_as_node(e, p->v6);
		if (p->v6) {
			if (o->port)
				__builtin_memcpy(&e->source, &o->port->gateway6, 16);
			if (addr_is_zero(&e->source)) {
				e->source.be32[0] = bpf_htonl(0xfe800000);
				e->source.be32[3] = bpf_htonl(1);
			}
		} else if (addr_is_zero(&e->source)) {
			addr_map4(&e->source, o->port && o->port->gateway4 ? o->port->gateway4 : bpf_htonl(0xc0000008));
		}
	}
	if (p->v6 ? build6(skb, p, e) : build4(skb, p, e))
		return TC_ACT_SHOT;
	count(COUNTER_ICMP_ERRORS, skb->len);
	return send_back(skb, o, p);
}

static __always_inline struct icmp_error *error_new(struct scratch *scratch, __u8 type, __u8 code, __u32 info)
{
	struct icmp_error *e = &scratch->error;

	scratch->packet.tos = 0; /* of a tunnel header around the answer, which is not ECN-capable */
	__builtin_memset(e, 0, sizeof(*e));
	e->type = type;
	e->code = code;
	e->info = info;
	return e;
}

static __always_inline int answer_no_route(struct __sk_buff *skb, const struct origin *o, const struct packet *p,
					   bool subnet_known)
{
	struct scratch *scratch = scratch_get();
	__u32 reason = subnet_known ? DROP_NO_HOST : DROP_NO_ROUTE;
	struct icmp_error *e;

	if (!scratch)
		return refuse(skb, o, reason);
	if (p->v6)
		e = error_new(scratch, ICMP6_UNREACHABLE, subnet_known ? ICMP6_CODE_ADDRESS : ICMP6_CODE_NO_ROUTE, 0);
	else
		e = error_new(scratch, ICMP4_UNREACHABLE, subnet_known ? ICMP4_CODE_HOST : ICMP4_CODE_NET, 0);
	return icmp_answer(skb, o, p, e, reason);
}

static __always_inline int answer_ttl(struct __sk_buff *skb, const struct origin *o, const struct packet *p)
{
	struct scratch *scratch = scratch_get();

	if (!scratch)
		return refuse(skb, o, DROP_TTL_EXCEEDED);
	return icmp_answer(skb, o, p, error_new(scratch, p->v6 ? ICMP6_TIME_EXCEEDED : ICMP4_TIME_EXCEEDED, 0, 0),
			   DROP_TTL_EXCEEDED);
}

/* Bridged: in the name of the destination, as there need not be a gateway (the kernel's VXLAN device does the same). */
static __always_inline int answer_too_big(struct __sk_buff *skb, const struct origin *o, const struct packet *p, __u32 mtu,
				     bool bridged)
{
	struct scratch *scratch = scratch_get();
	struct icmp_error *e;

	if (!scratch)
		return refuse(skb, o, DROP_TOO_BIG);
	if (p->v6)
		e = error_new(scratch, ICMP6_TOO_BIG, 0, mtu);
	else
		e = error_new(scratch, ICMP4_UNREACHABLE, ICMP4_CODE_FRAG_NEEDED, mtu);
	if (bridged) {
		e->source = p->dst;
		mac_copy(e->source_mac, p->dst_mac);
	}
	return icmp_answer(skb, o, p, e, DROP_TOO_BIG);
}

#define GSO_BY_FRAGS 0xffff /* SCTP: cut where its sender said, by the path MTU that it knows */

/*
 * Is the packet larger than the next hop takes?  A super-packet counts by the segments it will become.  `overhead`: bytes
 * of outer headers that the frame has already.
 */
static __always_inline bool too_big(struct __sk_buff *skb, const struct packet *p, __u32 overhead, __u32 mtu)
{
	__u32 gso_size = skb->gso_size;

	if (gso_size)
		return gso_size != GSO_BY_FRAGS && p->headers + gso_size > mtu;
	return skb->len - ETH_HLEN - overhead > mtu;
}

/* Ping to the gateway: the request is turned round in place.  Fragments too: only the first carries the type. */
static __noinline int answer_echo(struct __sk_buff *skb, const struct origin *o, const struct packet *p)
{
	__u32 l4 = p->l4 & 0xff;
	__u8 ttl = OUTER_TTL;
	__be16 from, to;
	__u8 type;

	if (p->has_l4) {
		type = p->v6 ? ICMP6_ECHO_REPLY : ICMP4_ECHO_REPLY;
		from = p->v6 ? bpf_htons(ICMP6_ECHO << 8) : bpf_htons(ICMP4_ECHO << 8);
		to = bpf_htons(type << 8);
		if (bpf_l4_csum_replace(skb, l4 + 2, from, to, 2) || bpf_skb_store_bytes(skb, l4, &type, 1, 0))
			return refuse(skb, o, DROP_ENCAP_FAILED);
	}
	if (p->v6) {
		if (bpf_skb_store_bytes(skb, ETH_HLEN + 8, &p->dst, 16, 0) ||
		    bpf_skb_store_bytes(skb, ETH_HLEN + 24, &p->src, 16, 0) ||
		    bpf_skb_store_bytes(skb, ETH_HLEN + 7, &ttl, 1, 0))
			return refuse(skb, o, DROP_ENCAP_FAILED);
	} else {
		if (bpf_skb_store_bytes(skb, ETH_HLEN + 12, &p->dst.bytes[12], 4, 0) ||
		    bpf_skb_store_bytes(skb, ETH_HLEN + 16, &p->src.bytes[12], 4, 0) ||
		    bpf_l3_csum_replace(skb, ETH_HLEN + 10, bpf_htons(p->ttl << 8), bpf_htons(OUTER_TTL << 8), 2) ||
		    bpf_skb_store_bytes(skb, ETH_HLEN + 8, &ttl, 1, 0))
			return refuse(skb, o, DROP_ENCAP_FAILED);
	}
	write_macs(skb, p->src_mac, p->dst_mac);
	count(COUNTER_ECHO_ANSWERED, skb->len);
	return send_back(skb, o, p);
}

#endif
