/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * native.h - networks without encapsulation: packets as they are, by the kernel's own routes.
 *
 * One tenant of a fabric may live in the underlay's address space (native_vrf of the node).  What its ports send to who
 * is not on this node goes where the kernel's routing says, the host routes that user space keeps there included; what
 * arrives on an underlay device for one of its ports is taken before the node's own stack sees it.  No outer header tells
 * who sent it.  What is trusted is the underlay: a source has to be routed to one of its devices (RFC 3704 2.3, feasible
 * paths), and must not be an address that the tenant knows otherwise.
 */
#ifndef ISTHMUS_BPF_NATIVE_H
#define ISTHMUS_BPF_NATIVE_H

#include "encap.h"
#include "security.h"

static __always_inline bool is_wire(const struct abi_node *n, __u32 ifindex)
{
	bool found = false;

#pragma unroll
	for (int i = 0; i < ABI_WIRES; i++)
		found |= n->wires[i] == ifindex;
	return found;
}

/*
 * What the kernel's routing says of the way to p's destination, or back to its source: DROP_NONE, DROP_NO_NEIGHBOUR,
 * DROP_TOO_BIG (and scratch->fib.mtu_result), or why there is none; scratch->fib holds the rest.  `size` of the packet at
 * layer 3, 0 = only asked.  Of several paths the kernel takes one by the addresses, or by ports too, as
 * net.ipv4.fib_multipath_hash_policy says.
 */
static __noinline int native_ask(struct __sk_buff *skb, const struct packet *p, bool back, __u32 size)
{
	struct scratch *scratch = scratch_get();
	struct abi_node *n = node_get();
	const struct abi_addr *from, *to;
	struct bpf_fib_lookup *f;
	long r;

	if (!scratch || !n)
		return DROP_NO_UNDERLAY_ROUTE;
	from = back ? &p->dst : &p->src;
	to = back ? &p->src : &p->dst;
	f = &scratch->fib;
	__builtin_memset(f, 0, sizeof(*f));
	f->ifindex = LOOPBACK_IFINDEX; /* as in ask_way */
	f->tot_len = size > 0xffff ? 0xffff : size;
	if (p->has_l4 && !p->fragment && (p->l4_proto == IPPROTO_TCP || p->l4_proto == IPPROTO_UDP)) {
		f->l4_protocol = p->l4_proto;
		f->sport = back ? p->dport : p->sport;
		f->dport = back ? p->sport : p->dport;
	}
	if (p->v6) {
		f->family = AF_INET6_;
		__builtin_memcpy(f->ipv6_src, from, 16);
		__builtin_memcpy(f->ipv6_dst, to, 16);
	} else {
		f->family = AF_INET_;
		f->ipv4_src = from->be32[3];
		f->ipv4_dst = to->be32[3];
	}
	r = bpf_fib_lookup(skb, f, sizeof(*f), 0);
	if (r == BPF_FIB_LKUP_RET_FRAG_NEEDED && size)
		return DROP_TOO_BIG;
	if (r != BPF_FIB_LKUP_RET_SUCCESS && r != BPF_FIB_LKUP_RET_NO_NEIGH && r != BPF_FIB_LKUP_RET_FRAG_NEEDED)
		return DROP_NO_UNDERLAY_ROUTE;
	if (!is_wire(n, f->ifindex))
		return DROP_NO_UNDERLAY_ROUTE;
	return r == BPF_FIB_LKUP_RET_NO_NEIGH ? DROP_NO_NEIGHBOUR : DROP_NONE;
}

/* By the way that native_ask() found just now. */
static __noinline int send_native(struct __sk_buff *skb, const struct origin *o, bool unresolved)
{
	struct scratch *scratch = scratch_get();
	struct bpf_redir_neigh *via;
	struct bpf_fib_lookup *f;

	if (!scratch)
		return refuse(skb, o, DROP_NO_UNDERLAY_ROUTE);
	f = &scratch->fib;
	count(COUNTER_NATIVE_OUT, skb->len);
	if (unresolved) { /* queues the packet, asks, sends */
		via = &scratch->via;
		via->nh_family = f->family; /* the next hop's, which the look-up has put in the destination's place */
		__builtin_memcpy(via->ipv6_nh, f->ipv6_dst, 16);
		return bpf_redirect_neigh(f->ifindex, via, sizeof(*via), 0);
	}
	write_macs(skb, f->dmac, f->smac);
	return bpf_redirect(f->ifindex, 0);
}

/* An answer of this node, in skb, to the packet p that came from the underlay. */
static __always_inline int answer_native(struct __sk_buff *skb, const struct origin *o, const struct packet *p)
{
	int reason = native_ask(skb, p, true, 0);

	if (reason != DROP_NONE && reason != DROP_NO_NEIGHBOUR)
		return refuse(skb, o, reason);
	return send_native(skb, o, reason == DROP_NO_NEIGHBOUR);
}

/* May somebody on the underlay send as p's source? */
static __always_inline bool native_source_is_good(struct __sk_buff *skb, const struct origin *o, const struct packet *p)
{
	struct abi_host *host = host_get(o->vrf, &p->src);
	struct abi_nexthop *nh;
	int reason;

	if (host) {
		nh = nexthop_get(host->nexthop);
		if (!nh || nh->type != NEXTHOP_NATIVE) /* a port's here, a gateway, or one behind a tunnel */
			return false;
	} else if (prefix_get(o->vrf, &p->src)) { /* nobody's, in a subnet all of whose hosts are known */
		return false;
	}
	if (addr_is_martian(&p->src) || addr_is_link_local(&p->src))
		return false;
	reason = native_ask(skb, p, true, 0);
	return reason == DROP_NONE || reason == DROP_NO_NEIGHBOUR;
}

/* The destination, where the frame is an IP packet's; its headers are checked later, if it is for us. */
static __always_inline bool native_destination(const struct __sk_buff *skb, struct abi_addr *out)
{
	void *data = (void *)(long)skb->data, *data_end = (void *)(long)skb->data_end;
	struct ethhdr *eth = data;

	if ((void *)(eth + 1) > data_end)
		return false;
	if (eth->h_proto == bpf_htons(ETH_P_IP)) {
		struct iphdr *ip = data + ETH_HLEN;

		if ((void *)(ip + 1) > data_end)
			return false;
		addr_map4(out, ip->daddr);
		return true;
	}
	if (eth->h_proto == bpf_htons(ETH_P_IPV6)) {
		struct ipv6hdr *ip = data + ETH_HLEN;

		if ((void *)(ip + 1) > data_end)
			return false;
		__builtin_memcpy(out, &ip->daddr, 16);
		return !addr_is_v4(out);
	}
	return false;
}

/* What routers say to hosts on their own link, where no router of the underlay is. */
static __always_inline bool is_routers_word(const struct packet *p)
{
	if (!p->has_l4)
		return false;
	if (p->v6)
		return p->l4_proto == PROTO_ICMPV6 && p->icmp_type >= ND_ROUTER_SOLICITATION &&
		       p->icmp_type <= ND_REDIRECT;
	return p->l4_proto == IPPROTO_ICMP && (p->icmp_type == 5 || p->icmp_type == 9);
}

#endif
