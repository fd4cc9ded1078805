/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * neigh.h - ARP and neighbour discovery, answered from the tables at the asker's own node.
 *
 *      Ethernet 14 | ARP 28                                               RFC 826, 5227
 *      Ethernet 14 | IPv6 40 | advertisement 24 | target MAC option 8     RFC 4861 4.4
 *
 * An l2 network answers for who is in it and for its gateway; an l3 network answers for everybody with the gateway's MAC.
 */
#ifndef ISTHMUS_BPF_NEIGH_H
#define ISTHMUS_BPF_NEIGH_H

#include "icmp.h"

enum neigh_verdict {
	NEIGH_PASS,     /* not for us: bridge or replicate as any frame */
	NEIGH_ANSWER,   /* mac holds the answer */
	NEIGH_SUPPRESS, /* nobody needs to hear it */
};

struct neigh_answer {
	__u8 mac[6];
	bool router;
};

struct na_frame {
	struct ethhdr eth;
	struct ipv6hdr ip;
	__u8 type, code;
	__u16 check;
	__be32 flags;
	struct abi_addr target;
	__u8 option_type, option_length;
	__u8 option_mac[6];
} __attribute__((packed));

#define NA_ROUTER 0x80000000u
#define NA_SOLICITED 0x40000000u
#define NA_OVERRIDE 0x20000000u

/* `probing`: duplicate address detection (ARP probe, NS from ::); it is answered for addresses that somebody holds. */
static __always_inline int neigh_find(const struct origin *o, const struct abi_addr *target, bool probing,
				      bool gratuitous, struct neigh_answer *a)
{
	struct abi_host *host = host_get(o->vrf, target);
	struct abi_node *n = node_get();
	bool l3 = o->port && (o->port->flags & PORT_L3);

	if (!n)
		return NEIGH_SUPPRESS;
	mac_copy(a->mac, n->gateway_mac);
	a->router = true;
	if (!o->port) /* a foreign member asks: its own network answers for itself, we for the gateway */
		return o->foreign && host && (host->flags & HOST_GATEWAY) && host->vni == o->vni ? NEIGH_ANSWER :
												   NEIGH_PASS;
	if (gratuitous && !(host && host->nexthop != o->port->nexthop))
		return l3 || host ? NEIGH_SUPPRESS : NEIGH_PASS;
	if (host && host->nexthop == o->port->nexthop)
		return NEIGH_SUPPRESS;
	if (l3) {
		if (!probing || host)
			return NEIGH_ANSWER;
		/* Nobody else has it; but fe80::1 is ours. */
		return target->be32[0] == bpf_htonl(0xfe800000) && target->be32[1] == 0 && target->be32[2] == 0 &&
				       target->be32[3] == bpf_htonl(1) ?
			       NEIGH_ANSWER :
			       NEIGH_SUPPRESS;
	}
	if (!host || host->vni != o->vni)
		return NEIGH_PASS;
	if (host->flags & HOST_GATEWAY)
		return NEIGH_ANSWER;
	mac_copy(a->mac, host->mac);
	a->router = false;
	return NEIGH_ANSWER;
}

static __always_inline int arp_build(struct __sk_buff *skb, const struct packet *p, const struct neigh_answer *a)
{
	struct ethhdr *eth = (void *)(long)skb->data;
	struct arp_ipv4 *arp = (void *)(eth + 1);

	if ((void *)(arp + 1) > (void *)(long)skb->data_end)
		return -1;
	mac_copy(eth->h_dest, p->src_mac);
	mac_copy(eth->h_source, a->mac);
	arp->op = bpf_htons(ARPOP_REPLY);
	mac_copy(arp->sha, a->mac);
	__builtin_memcpy(arp->spa, &p->dst.bytes[12], 4);
	mac_copy(arp->tha, p->arp_sha);
	__builtin_memcpy(arp->tpa, &p->src.bytes[12], 4);
	count(COUNTER_ARP_ANSWERED, skb->len);
	return 0;
}

static __noinline int nd_build(struct __sk_buff *skb, const struct packet *p, const struct neigh_answer *a)
{
	bool probing = addr_is_zero(&p->src);
	__be32 pseudo[2] = {bpf_htonl(32), bpf_htonl(PROTO_ICMPV6)};
	struct scratch *scratch = scratch_get();
	__u32 flags = NA_OVERRIDE, sum;
	struct na_frame *f;

	if (!scratch)
		return -1;
	f = (void *)scratch->quote;
	__builtin_memset(f, 0, sizeof(*f));
	mac_copy(f->eth.h_dest, p->src_mac);
	mac_copy(f->eth.h_source, a->mac);
	f->eth.h_proto = bpf_htons(ETH_P_IPV6);
	f->ip.version = 6;
	f->ip.payload_len = bpf_htons(32);
	f->ip.nexthdr = PROTO_ICMPV6;
	f->ip.hop_limit = 255;
	__builtin_memcpy(&f->ip.saddr, &p->nd_target, 16);
	if (probing) { /* RFC 4861 7.2.4: to all nodes */
		f->ip.daddr.in6_u.u6_addr32[0] = bpf_htonl(0xff020000);
		f->ip.daddr.in6_u.u6_addr32[3] = bpf_htonl(1);
		f->eth.h_dest[0] = 0x33;
		f->eth.h_dest[1] = 0x33;
		f->eth.h_dest[2] = f->eth.h_dest[3] = f->eth.h_dest[4] = 0;
		f->eth.h_dest[5] = 1;
	} else {
		__builtin_memcpy(&f->ip.daddr, &p->src, 16);
		flags |= NA_SOLICITED;
	}
	if (a->router)
		flags |= NA_ROUTER;
	f->type = ND_NEIGHBOUR_ADVERTISEMENT;
	f->flags = bpf_htonl(flags);
	f->target = p->nd_target;
	f->option_type = ND_OPTION_TARGET;
	f->option_length = 1;
	mac_copy(f->option_mac, a->mac);
	sum = bpf_csum_diff(NULL, 0, (__be32 *)&f->ip.saddr, 32, 0);
	sum = bpf_csum_diff(NULL, 0, pseudo, 8, sum);
	sum = bpf_csum_diff(NULL, 0, (__be32 *)&f->type, 32, sum);
	f->check = fold(sum);
	if (resize(skb, sizeof(*f)) ||
	    bpf_skb_store_bytes(skb, 0, f, sizeof(*f), BPF_F_RECOMPUTE_CSUM | BPF_F_INVALIDATE_HASH))
		return -1;
	count(COUNTER_ND_ANSWERED, skb->len);
	return 0;
}

static __always_inline bool is_neigh_request(const struct packet *p)
{
	if (p->proto == ETH_P_ARP)
		return p->arp_op == ARPOP_REQUEST;
	return p->v6 && p->has_l4 && p->l4_proto == PROTO_ICMPV6 && p->icmp_type == ND_NEIGHBOUR_SOLICITATION;
}

/* NEIGH_ANSWER: the frame is the answer now, to be sent back; NEIGH_SUPPRESS, NEIGH_PASS: it is as it was. */
static __noinline int neigh(struct __sk_buff *skb, const struct origin *o, const struct packet *p)
{
	struct neigh_answer a = {};
	int verdict;

	if (p->proto == ETH_P_ARP)
		verdict = neigh_find(o, &p->dst, p->src.be32[3] == 0, addr_equal(&p->src, &p->dst), &a);
	else
		verdict = neigh_find(o, &p->nd_target, addr_is_zero(&p->src), false, &a);
	if (verdict == NEIGH_ANSWER && (p->proto == ETH_P_ARP ? arp_build(skb, p, &a) : nd_build(skb, p, &a)))
		return NEIGH_SUPPRESS;
	return verdict;
}

#endif
