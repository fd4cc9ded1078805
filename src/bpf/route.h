/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * route.h - between and inside the networks of one tenant, by address.
 *
 * A packet is routed once, at the first node, and TTL goes down once: the overlay is one hop.  To an endpoint on this
 * node, or behind a foreign member, the frame gets that endpoint's MAC and stays in (or enters) its network; to another
 * node it travels in the tenant's L3 VNI under the router's MAC (symmetric IRB, RFC 9135 4.1).  What no endpoint has
 * goes by the longest prefix, in the same way, to the router that said it knows more (RFC 9136 4.4.1).
 */
#ifndef ISTHMUS_BPF_ROUTE_H
#define ISTHMUS_BPF_ROUTE_H

#include "icmp.h"
#include "memo.h"
#include "security.h"

static __always_inline bool is_echo_request(const struct packet *p)
{
	if (p->v6)
		return p->l4_proto == PROTO_ICMPV6 && (p->has_l4 ? p->icmp_type == ICMP6_ECHO : p->fragment);
	return p->l4_proto == IPPROTO_ICMP && (p->has_l4 ? p->icmp_type == ICMP4_ECHO : p->fragment);
}

/* Out of line: where packets come from the wire there is no port, and no room on the stack for what this needs. */
static __noinline int is_own_source(const struct origin *o, const struct packet *p)
{
	return o->port && port_may_use(o->port, &p->src);
}

/* From a port to where the kernel's routing says; `known`: the tenant has a host of that address, elsewhere. */
static __always_inline int route_native(struct __sk_buff *skb, const struct origin *o, const struct packet *p,
					__u32 mtu, bool known)
{
	struct scratch *scratch = scratch_get();
	struct abi_nexthop *nh;
	__u32 size;
	int reason;

	if (!scratch)
		return refuse(skb, o, DROP_NO_UNDERLAY_ROUTE);
	/* Whatever else port security lets pass: nobody speaks for a node, or for a member of a tunnel, on the underlay. */
	if (!is_own_source(o, p))
		return refuse(skb, o, DROP_IP_SPOOFED);
	if (known && too_big(skb, p, 0, mtu))
		return answer_too_big(skb, o, p, mtu, false);
	size = skb->gso_size ? skb->gso_size + p->headers : skb->len - ETH_HLEN;
	reason = native_ask(skb, p, false, skb->gso_size == GSO_BY_FRAGS ? 0 : size);
	if (reason == DROP_TOO_BIG)
		return answer_too_big(skb, o, p, scratch->fib.mtu_result, false);
	if (reason != DROP_NONE && reason != DROP_NO_NEIGHBOUR)
		return known ? refuse(skb, o, reason) : answer_no_route(skb, o, p, false);
	if (decrement_ttl(skb, p->v6))
		return refuse(skb, o, DROP_MALFORMED);
	count(COUNTER_ROUTED, skb->len);
	if (reason == DROP_NO_NEIGHBOUR)
		return send_native(skb, o, true);
	nh = &scratch->native;
	nh->type = NEXTHOP_NATIVE;
	nh->flags = 0;
	nh->ifindex = scratch->fib.ifindex;
	nh->mtu = scratch->fib.mtu_result;
	if (known && nh->mtu > mtu)
		nh->mtu = mtu;
	return remember(skb, o, p, nh, send_native(skb, o, false));
}

static __always_inline int route(struct __sk_buff *skb, const struct origin *o, const struct packet *p)
{
	struct abi_node *n = node_get();
	struct abi_prefix *prefix;
	struct abi_nexthop *nh;
	struct abi_host *host;
	__u32 vni = o->vrf, id, mtu;

	if (!n || !p->ip || (p->dst_mac[0] & 1) || addr_is_multicast(&p->dst) || addr_is_unspecified(&p->dst) ||
	    addr_is_unspecified(&p->src) || (p->v6 && addr_is_link_local(&p->src)))
		return refuse(skb, o, DROP_NOT_ROUTABLE);
	host = host_get(o->vrf, &p->dst);
	if (host) {
		if (host->flags & HOST_GATEWAY)
			return is_echo_request(p) ? answer_echo(skb, o, p) : refuse(skb, o, DROP_NOT_ROUTABLE);
		if (host->flags & HOST_BRIDGED) /* its next hop asks for what its network asks for, and not for its tenant's */
			return refuse(skb, o, DROP_NO_HOST);
		id = host->nexthop;
	} else {
		if (addr_is_link_local(&p->dst))
			return refuse(skb, o, DROP_NOT_ROUTABLE);
		prefix = prefix_get(o->vrf, &p->dst);
		id = prefix ? prefix->nexthop : 0;
		if (!id && (prefix || !o->port || o->vrf != n->native_vrf))
			return answer_no_route(skb, o, p, prefix != NULL);
		if (id)
			vni = prefix->vni;
	}
	if (p->ttl <= 1)
		return answer_ttl(skb, o, p);
	if (!id) /* not the tenant's: the rest of the underlay */
		return route_native(skb, o, p, 0, false);
	if (o->port && id == o->port->nexthop)
		return refuse(skb, o, DROP_SAME_PORT);
	nh = nexthop_get(id);
	if (!nh || nh->type == NEXTHOP_NONE)
		return refuse(skb, o, DROP_PORT_DOWN);
	if (nh->type == NEXTHOP_NATIVE)
		return o->port && o->vrf == n->native_vrf ? route_native(skb, o, p, nh->mtu, true) :
							    refuse(skb, o, DROP_NO_UNDERLAY_ROUTE);
	if (!host && (nh->type != NEXTHOP_TUNNEL || (nh->flags & NEXTHOP_FOREIGN))) /* nobody there routes */
		return refuse(skb, o, DROP_NO_HOST);
	mtu = nexthop_mtu(nh);
	if (too_big(skb, p, 0, mtu))
		return answer_too_big(skb, o, p, mtu, false);
	if (decrement_ttl(skb, p->v6))
		return refuse(skb, o, DROP_MALFORMED);
	count(COUNTER_ROUTED, skb->len);
	if (host && nh->type == NEXTHOP_PORT) {
		write_macs(skb, host->mac, n->gateway_mac);
		return remember(skb, o, p, nh, send_port(skb, o, nh));
	}
	if (host && (nh->flags & NEXTHOP_FOREIGN)) {
		write_macs(skb, host->mac, n->gateway_mac);
		vni = host->vni;
	} else {
		write_macs(skb, nh->router_mac, n->router_mac);
	}
	return remember(skb, o, p, nh, send_tunnel(skb, o, p, nh, vni));
}

/* Came in the tenant's L3 VNI, was routed by the node that sent it: to its port. */
static __always_inline int deliver_routed(struct __sk_buff *skb, const struct origin *o, const struct packet *p)
{
	struct abi_node *n = node_get();
	struct abi_nexthop *nh;
	struct abi_host *host;

	if (!n || !mac_equal(p->dst_mac, n->router_mac))
		return refuse(skb, o, DROP_BAD_ROUTER_MAC);
	if (!p->ip)
		return refuse(skb, o, DROP_NOT_ROUTABLE);
	host = host_get(o->vrf, &p->dst);
	if (!host || (host->flags & (HOST_GATEWAY | HOST_BRIDGED)))
		return refuse(skb, o, DROP_NOT_LOCAL);
	nh = nexthop_get(host->nexthop);
	if (!nh || nh->type == NEXTHOP_NONE)
		return refuse(skb, o, DROP_PORT_DOWN);
	if (nh->type != NEXTHOP_PORT)
		return refuse(skb, o, DROP_NOT_LOCAL);
	if (too_big(skb, p, 0, nh->mtu))
		return answer_too_big(skb, o, p, nh->mtu, false);
	write_macs(skb, host->mac, n->gateway_mac);
	return remember(skb, o, p, nh, send_port(skb, o, nh));
}

/* Came from the underlay as it is, for a host of the tenant that lives there: to its port. */
static __always_inline int deliver_native(struct __sk_buff *skb, const struct origin *o, const struct packet *p,
					  const struct abi_host *host, const struct abi_nexthop *nh)
{
	struct abi_node *n = node_get();

	if (!n || addr_is_multicast(&p->src) || is_routers_word(p))
		return refuse(skb, o, DROP_NOT_ROUTABLE);
	if (!native_source_is_good(skb, o, p))
		return refuse(skb, o, DROP_UNDERLAY_SPOOFED);
	if (nh->type != NEXTHOP_PORT)
		return refuse(skb, o, DROP_PORT_DOWN);
	if (p->ttl <= 1)
		return answer_ttl(skb, o, p);
	if (too_big(skb, p, 0, nh->mtu))
		return answer_too_big(skb, o, p, nh->mtu, false);
	if (decrement_ttl(skb, p->v6))
		return refuse(skb, o, DROP_MALFORMED);
	count(COUNTER_NATIVE_IN, skb->len);
	write_macs(skb, host->mac, n->gateway_mac);
	return remember(skb, o, p, nh, send_port(skb, o, nh));
}

#endif
