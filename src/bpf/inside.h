/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * inside.h - the node's own BGP with other nodes, which goes through the device that encrypts.
 *
 * What was decrypted is a tunnel packet, or a segment for a socket of this node that is bound to that device.  Without such
 * a socket nothing reaches the node's stack: it would look for others that are not bound, and answer, or refuse, by the
 * way that routes say, in clear text.
 */
#ifndef ISTHMUS_BPF_INSIDE_H
#define ISTHMUS_BPF_INSIDE_H

#include "encap.h"

/* Bound to the device on which the packet came: a connection, or a listener. */
static __noinline bool has_socket(struct __sk_buff *skb, const struct packet *p)
{
	struct bpf_sock_tuple t = {};
	struct bpf_sock *sk;
	bool bound;

	if (p->v6) {
		__builtin_memcpy(t.ipv6.saddr, &p->src, 16);
		__builtin_memcpy(t.ipv6.daddr, &p->dst, 16);
		t.ipv6.sport = p->sport;
		t.ipv6.dport = p->dport;
		sk = bpf_skc_lookup_tcp(skb, &t, sizeof(t.ipv6), BPF_F_CURRENT_NETNS, 0);
	} else {
		t.ipv4.saddr = p->src.be32[3];
		t.ipv4.daddr = p->dst.be32[3];
		t.ipv4.sport = p->sport;
		t.ipv4.dport = p->dport;
		sk = bpf_skc_lookup_tcp(skb, &t, sizeof(t.ipv4), BPF_F_CURRENT_NETNS, 0);
	}
	if (!sk)
		return false;
	bound = sk->bound_dev_if == skb->ifindex;
	bpf_sk_release(sk);
	return bound;
}

/* An address that this node has lost is forwarded to whoever routes say has it, in clear text. */
static __noinline bool is_here(struct __sk_buff *skb, const struct packet *p)
{
	struct scratch *scratch = scratch_get();
	struct bpf_fib_lookup *f;

	if (!scratch)
		return false;
	f = &scratch->fib;
	__builtin_memset(f, 0, sizeof(*f));
	f->ifindex = LOOPBACK_IFINDEX; /* as in ask_way */
	f->family = p->v6 ? AF_INET6_ : AF_INET_;
	if (p->v6) {
		__builtin_memcpy(f->ipv6_src, &p->src, 16);
		__builtin_memcpy(f->ipv6_dst, &p->dst, 16);
	} else {
		f->ipv4_src = p->src.be32[3];
		f->ipv4_dst = p->dst.be32[3];
	}
	return bpf_fib_lookup(skb, f, sizeof(*f), 0) == BPF_FIB_LKUP_RET_NOT_FWDED;
}

/* Whose source it has was looked at when it was decrypted. */
static __always_inline bool is_awaited(struct __sk_buff *skb, const struct abi_node *n, const struct packet *p)
{
	if (!n->bgp_port || skb->vlan_present || !p->has_l4 || p->fragment || p->extended || p->l4_proto != IPPROTO_TCP ||
	    (p->sport != n->bgp_port && p->dport != n->bgp_port))
		return false;
	if (!addr_equal(&p->dst, &n->underlay[0]) && !addr_equal(&p->dst, &n->underlay[1]))
		return false;
	return is_here(skb, p) && has_socket(skb, p);
}

#endif
