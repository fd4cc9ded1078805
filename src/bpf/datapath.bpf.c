/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The programs: what a workload sends, what the wire brings, and what the host itself would send to a workload.
 * doc/datapath.md tells the story; each included header one chapter of it.
 */
#include <linux/bpf.h>
#include <linux/pkt_cls.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "bridge.h"
#include "drop.h"
#include "encap.h"
#include "icmp.h"
#include "inside.h"
#include "maps.h"
#include "memo.h"
#include "native.h"
#include "neigh.h"
#include "parse.h"
#include "route.h"
#include "security.h"

/* parse() once more, with the headers pulled that were not linear. */
static __noinline int parse_pulled(struct __sk_buff *skb, __u32 offset, struct packet *p)
{
	void *data, *data_end;
	__u32 pull = offset + PARSE_LINEAR_MAX;
	int reason;

	if (pull > skb->len)
		pull = skb->len;
	if (bpf_skb_pull_data(skb, pull))
		return DROP_MALFORMED;
	data = (void *)(long)skb->data;
	data_end = (void *)(long)skb->data_end;
	if (data + offset > data_end)
		return DROP_MALFORMED;
	reason = parse(data + offset, data_end, skb->len - offset, p);
	return reason == PARSE_PULL ? DROP_MALFORMED : reason;
}

/* parse() at `offset`; headers that are not linear yet are pulled once. */
static __always_inline int parse_at(struct __sk_buff *skb, __u32 offset, struct packet *p)
{
	void *data = (void *)(long)skb->data, *data_end = (void *)(long)skb->data_end;
	int reason = DROP_MALFORMED;

	if (data + offset <= data_end)
		reason = parse(data + offset, data_end, skb->len - offset, p);
	return reason == PARSE_PULL ? parse_pulled(skb, offset, p) : reason;
}

static __always_inline bool is_for_gateway(const struct packet *p)
{
	struct abi_node *n = node_get();

	return n && mac_equal(p->dst_mac, n->gateway_mac);
}

static __noinline int port_long(struct __sk_buff *skb)
{
	struct origin o = {.direction = FROM_PORT};
	struct scratch *scratch = scratch_get();
	__u32 ifindex = skb->ifindex;
	struct abi_port *port;
	struct packet *p;
	int reason, verdict;

	if (scratch)
		scratch->epoch = epoch_get(); /* before the first table */
	port = bpf_map_lookup_elem(&ports, &ifindex);
	if (!port || !scratch) /* default deny */
		return drop(skb, DROP_PORT_UNKNOWN, 0, FROM_PORT);
	p = &scratch->packet;
	o.port = port;
	o.vni = port->vni;
	o.vrf = port->vrf;
	o.flood = port->flags & PORT_FLOOD;
	reason = skb->vlan_present ? DROP_VLAN_TAGGED : parse_at(skb, 0, p);
	if (reason != DROP_NONE)
		return refuse(skb, &o, reason);
	if (port->flags & PORT_SECURITY) {
		reason = security(port, p);
		if (reason != DROP_NONE)
			return refuse(skb, &o, reason);
	}
	count(COUNTER_FROM_PORT, skb->len);
	if (is_neigh_request(p)) {
		verdict = neigh(skb, &o, p);
		if (verdict == NEIGH_ANSWER)
			return send_back(skb, &o, p);
		if (verdict == NEIGH_SUPPRESS)
			return refuse(skb, &o, DROP_SUPPRESSED);
	}
	o.routed = (port->flags & PORT_L3) || is_for_gateway(p);
	return o.routed ? route(skb, &o, p) : bridge(skb, &o, p);
}

SEC("tc")
int port_ingress(struct __sk_buff *skb)
{
	int verdict = port_by_memo(skb);

	return verdict == MISS ? port_long(skb) : verdict;
}

/* Only what our programs redirected may reach a workload. */
SEC("tc")
int port_egress(struct __sk_buff *skb)
{
	if (skb->mark != ABI_MARK)
		return drop(skb, DROP_NOT_OURS, 0, TO_PORT);
	skb->mark = 0;
	return TC_ACT_OK;
}

#define NOT_OURS -1
#define NO_TUNNEL (-3) /* no verdict: look whether it is for a port as it is */
#define VLAN_ID 0xfff /* the rest of a tag is a priority */

/* Its VLAN device has its own hook, and takes the tag off. */
static __always_inline bool is_of_another_link(const struct __sk_buff *skb)
{
	return skb->vlan_present && (skb->vlan_tci & VLAN_ID);
}

/*
 * Is this a tunnel packet for this node?  NOT_OURS: the host's own, not touched.  Else DROP_NONE or the reason to drop,
 * which is decided before any inner byte is looked at.
 */
static __noinline int parse_outer(struct __sk_buff *skb, struct outer *outer, __u32 *vni)
{
	void *data = (void *)(long)skb->data, *data_end = (void *)(long)skb->data_end;
	struct ethhdr *eth = data;
	struct abi_node *n = node_get();
	__u32 l4, ip_size;
	struct udphdr *udp;
	struct vxlan *vxlan;
	bool fragment = false;

	if (!n || (void *)(eth + 1) > data_end)
		return NOT_OURS;
	if (eth->h_proto == bpf_htons(ETH_P_IP)) {
		struct iphdr *ip = data + ETH_HLEN;

		if ((void *)(ip + 1) > data_end || ip->protocol != IPPROTO_UDP || ip->version != 4 || ip->ihl < 5)
			return NOT_OURS;
		if (ip->frag_off & bpf_htons(IP_OFFSET))
			return NOT_OURS; /* without ports: nobody can tell what it is, and nobody will reassemble it for us */
		fragment = ip->frag_off & bpf_htons(IP_MF);
		addr_map4(&outer->src, ip->saddr);
		addr_map4(&outer->dst, ip->daddr);
		l4 = ETH_HLEN + ip->ihl * 4;
		ip_size = bpf_ntohs(ip->tot_len);
		outer->tos = ip->tos;
		outer->v6 = false;
	} else if (eth->h_proto == bpf_htons(ETH_P_IPV6)) {
		struct ipv6hdr *ip = data + ETH_HLEN;

		if ((void *)(ip + 1) > data_end || ip->nexthdr != IPPROTO_UDP || ip->version != 6)
			return NOT_OURS;
		__builtin_memcpy(&outer->src, &ip->saddr, 16);
		__builtin_memcpy(&outer->dst, &ip->daddr, 16);
		if (addr_is_v4(&outer->src))
			return NOT_OURS;
		l4 = ETH_HLEN + sizeof(*ip);
		ip_size = sizeof(*ip) + bpf_ntohs(ip->payload_len);
		outer->tos = ip->priority << 4 | ip->flow_lbl[0] >> 4;
		outer->v6 = true;
	} else {
		return NOT_OURS;
	}
	if ((!addr_equal(&outer->dst, &n->underlay[0]) && !addr_equal(&outer->dst, &n->underlay[1])) ||
	    addr_is_zero(&outer->dst))
		return NOT_OURS;
	udp = data + (l4 & 0x7f);
	if ((void *)(udp + 1) > data_end || udp->dest != n->vxlan_port)
		return NOT_OURS;
	if (fragment)
		return DROP_OUTER_FRAGMENT;
	vxlan = (void *)(udp + 1);
	outer->size = l4 + sizeof(*udp) + sizeof(*vxlan);
	if ((void *)(vxlan + 1) > data_end || vxlan->flags != VXLAN_FLAG_VNI)
		return DROP_BAD_TUNNEL_HEADER;
	if (!outer->v6 && l4 != ETH_HLEN + sizeof(struct iphdr)) /* IP options: no VTEP sends them */
		return DROP_BAD_TUNNEL_HEADER;
	/* A merged super-packet may be longer than its 16-bit lengths say. */
	if (!skb->gso_size && (bpf_ntohs(udp->len) + (l4 - ETH_HLEN) != ip_size || ip_size > skb->len - ETH_HLEN ||
			       ip_size < outer->size /* an inner Ethernet header at least */))
		return DROP_BAD_TUNNEL_HEADER;
	*vni = bpf_ntohl(vxlan->vni) >> 8;
	return DROP_NONE;
}

/* RFC 6040 4.2: congestion met on the way is passed on inside, or the packet is dropped where it cannot be. */
static __always_inline int merge_ecn(struct __sk_buff *skb, const struct packet *p, __u8 outer_tos)
{
	void *data = (void *)(long)skb->data, *data_end = (void *)(long)skb->data_end;

	if ((outer_tos & 3) != 3 || !p->ip || (p->tos & 3) == 3)
		return DROP_NONE;
	if ((p->tos & 3) == 0)
		return DROP_ECN;
	if (p->v6) {
		struct ipv6hdr *ip = data + ETH_HLEN;

		if ((void *)(ip + 1) > data_end)
			return DROP_MALFORMED;
		ip->flow_lbl[0] |= 3 << 4;
	} else {
		struct iphdr *ip = data + ETH_HLEN;

		if ((void *)(ip + 1) > data_end)
			return DROP_MALFORMED;
		/* RFC 1624: the word of version, length and TOS grows by what is missing to CE */
		__u32 check = (__u16)~ip->check;

		check += bpf_htons(3 - (ip->tos & 3));
		check = (check & 0xffff) + (check >> 16);
		ip->check = ~check;
		ip->tos |= 3;
	}
	return DROP_NONE;
}

/* A super-packet of UDP cannot be decapsulated whole (kern/device.c): off to where it is cut, whence it comes back. */
static __always_inline int cut(struct __sk_buff *skb, const struct origin *o)
{
	struct abi_node *n = node_get();

	if (!n || !n->cut_ifindex || skb->mark == ABI_MARK /* it was there, and is as it was */)
		return refuse(skb, o, DROP_ENCAP_FAILED);
	skb->mark = ABI_MARK;
	return bpf_redirect(n->cut_ifindex, 0);
}

static __noinline int wire_long(struct __sk_buff *skb)
{
	struct abi_member_key key = {.encap = ENCAP_VXLAN};
	struct origin o = {.direction = FROM_WIRE};
	struct scratch *scratch = scratch_get();
	struct abi_member *member;
	struct abi_node *n = node_get();
	struct outer *outer;
	struct packet *p;
	int reason, verdict;
	__u32 pull = ETH_HLEN + OVERHEAD6;

	/* Headers of tunnel packets are linear on every device that we know; look again where they are not. */
	if ((long)skb->data_end - (long)skb->data < (long)pull && skb->len > (__u32)(skb->data_end - skb->data))
		bpf_skb_pull_data(skb, skb->len < pull ? skb->len : pull);
	if (!scratch || !n)
		return TC_ACT_UNSPEC;
	scratch->epoch = epoch_get(); /* before the first table */
	p = &scratch->packet;
	outer = &scratch->outer;
	reason = parse_outer(skb, outer, &o.vni);
	if (reason == NOT_OURS)
		return NO_TUNNEL;
	o.secure = is_secure(skb, n);
	if (is_of_another_link(skb))
		return o.secure ? refuse(skb, &o, DROP_NOT_TUNNEL) : TC_ACT_UNSPEC;
	if (skb->vlan_present && bpf_skb_vlan_pop(skb)) /* only a priority */
		return refuse(skb, &o, DROP_ENCAP_FAILED);
	if (reason != DROP_NONE)
		return refuse(skb, &o, reason);
	key.vni = o.vni;
	key.source = outer->src;
	member = bpf_map_lookup_elem(&members, &key);
	if (!member)
		return refuse(skb, &o, DROP_UNKNOWN_VTEP);
	if ((member->flags & MEMBER_SECURE) && !o.secure)
		return refuse(skb, &o, DROP_CLEAR_TEXT);
	o.vrf = member->vrf;
	o.flood = member->flags & MEMBER_FLOOD;
	o.foreign = member->flags & MEMBER_FOREIGN;
	if (o.foreign)
		scratch->epoch = 0; /* what is done for such a member is more than a memo holds */
	/* The overhead is what follows the outer Ethernet header, so it is also where the inner one starts. */
	reason = parse_at(skb, outer->v6 ? OVERHEAD6 : OVERHEAD4, p);
	if (reason != DROP_NONE)
		return refuse(skb, &o, reason);
	if (skb->gso_size && p->l4_proto == IPPROTO_UDP && p->ip && !o.secure /* which has no marks of a tunnel */)
		return cut(skb, &o);
	skb->mark = 0;
	if (decap(skb, p, outer->v6))
		return refuse(skb, &o, DROP_ENCAP_FAILED);
	reason = merge_ecn(skb, p, outer->tos);
	if (reason != DROP_NONE)
		return refuse(skb, &o, reason);
	count(COUNTER_DECAP, skb->len);
	if (member->flags & MEMBER_L3)
		return deliver_routed(skb, &o, p);
	if (o.foreign) {
		if (is_neigh_request(p)) {
			verdict = neigh(skb, &o, p);
			if (verdict == NEIGH_ANSWER)
				return send_back(skb, &o, p);
			if (verdict == NEIGH_SUPPRESS)
				return refuse(skb, &o, DROP_SUPPRESSED);
		}
		if (is_for_gateway(p))
			return route(skb, &o, p);
	}
	return bridge(skb, &o, p);
}

/* What came in no tunnel: for a port of the tenant without encapsulation, or the node's own, which is not touched. */
static __noinline int wire_native(struct __sk_buff *skb)
{
	struct origin o = {.direction = FROM_WIRE, .native = true, .routed = true};
	struct scratch *scratch = scratch_get();
	struct abi_node *n = node_get();
	struct abi_nexthop *nh;
	struct abi_host *host;
	struct packet *p;
	int reason;

	if (n && is_secure(skb, n)) /* for tunnels, and what the node itself waits for */
		return scratch && parse_at(skb, 0, &scratch->packet) == DROP_NONE && is_awaited(skb, n, &scratch->packet)
			       ? TC_ACT_UNSPEC : refuse(skb, &o, DROP_NOT_TUNNEL);
	if (!scratch || !n || !n->native_vrf || skb->pkt_type != PACKET_HOST_ || !is_wire(n, skb->ifindex))
		return TC_ACT_UNSPEC;
	scratch->epoch = epoch_get(); /* before the first table */
	p = &scratch->packet;
	o.vni = o.vrf = n->native_vrf;
	if (!native_destination(skb, &p->dst) || is_of_another_link(skb))
		return TC_ACT_UNSPEC;
	host = host_get(o.vrf, &p->dst);
	if (!host || (host->flags & HOST_GATEWAY))
		return TC_ACT_UNSPEC;
	nh = nexthop_get(host->nexthop);
	if (!nh || (nh->type != NEXTHOP_PORT && nh->type != NEXTHOP_NONE)) /* another node's */
		return TC_ACT_UNSPEC;
	if (skb->vlan_present && bpf_skb_vlan_pop(skb))
		return refuse(skb, &o, DROP_ENCAP_FAILED);
	reason = parse_at(skb, 0, p);
	return reason == DROP_NONE ? deliver_native(skb, &o, p, host, nh) : refuse(skb, &o, reason);
}

SEC("tc")
int wire_ingress(struct __sk_buff *skb)
{
	int verdict = wire_by_memo(skb);

	if (verdict != MISS)
		return verdict;
	verdict = native_by_memo(skb);
	if (verdict != MISS)
		return verdict;
	verdict = wire_long(skb);
	return verdict == NO_TUNNEL ? wire_native(skb) : verdict;
}

/* Of the device that encrypts: what the node's own stack hands to it, and what our programs redirected. */
SEC("tc")
int secure_egress(struct __sk_buff *skb)
{
	static const __u8 nobody[2 * ETH_ALEN];

	if (skb->mark == ABI_MARK_INSIDE && bpf_skb_store_bytes(skb, 0, nobody, sizeof(nobody), 0))
		return drop(skb, DROP_ENCAP_FAILED, 0, FROM_PORT);
	return TC_ACT_UNSPEC;
}

char _license[] SEC("license") = "Dual BSD/GPL";
