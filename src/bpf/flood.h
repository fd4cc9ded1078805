/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * flood.h - one copy to every port of this node in the network, and from a workload one to every other node.
 *
 * Slots may be holes: a list is changed by writing one slot, so that no copy is doubled or lost meanwhile.  The functions
 * are global so that the verifier sees the body of a loop once.
 */
#ifndef ISTHMUS_BPF_FLOOD_H
#define ISTHMUS_BPF_FLOOD_H

#include "icmp.h"
#include "storm.h"

static __always_inline __u32 flood_slot(__u32 vni, __u32 kind, __u32 slot)
{
	struct abi_flood_key key = {.vni = vni, .kind = kind, .slot = slot};
	struct abi_flood *f = bpf_map_lookup_elem(&floods, &key);

	return f ? f->nexthop : 0;
}

/* As too_big(), for a frame that may have `overhead` bytes of outer headers. */
static __always_inline bool copy_too_big(struct __sk_buff *skb, __u32 overhead, __u32 mtu)
{
	struct scratch *scratch = scratch_get();

	return scratch && too_big(skb, &scratch->packet, overhead, mtu);
}

/* A bare copy to a local port. */
__noinline int copy_to_port(struct __sk_buff *skb, __u32 id, __u32 vni, __u32 direction)
{
	struct abi_nexthop *nh = nexthop_get(id);

	if (!nh || nh->type != NEXTHOP_PORT)
		return 0; /* a hole, or a port that just left */
	if (copy_too_big(skb, 0, nh->mtu)) {
		drop(skb, DROP_TOO_BIG, vni, direction);
		return 0;
	}
	skb->mark = ABI_MARK;
	if (bpf_clone_redirect(skb, nh->ifindex, 0)) {
		drop(skb, DROP_PORT_DOWN, vni, direction); /* the device is down or just gone */
		return 0;
	}
	count(COUNTER_TO_PORT, skb->len);
	count(COUNTER_FLOODED, skb->len);
	return 0;
}

#define CHUNK 64 /* loops inside loops keep the verifier's work small */

__noinline int flood_ports_chunk(struct __sk_buff *skb, __u32 vni, __u32 first, __u32 except, __u32 direction)
{
	__u32 slots = flood_slot(vni, FLOOD_LOCAL, 0);

	for (__u32 i = 0; i < CHUNK && first + i <= slots; i++) {
		__u32 id = flood_slot(vni, FLOOD_LOCAL, first + i);

		if (id != 0 && id != except)
			copy_to_port(skb, id, vni, direction);
	}
	return 0;
}

__noinline int flood_ports(struct __sk_buff *skb, __u32 vni, __u32 except, __u32 direction)
{
	__u32 slots = flood_slot(vni, FLOOD_LOCAL, 0);

	for (__u32 first = 1; first <= ABI_MAX_FLOOD_SLOTS && first <= slots; first += CHUNK)
		flood_ports_chunk(skb, vni, first, except, direction);
	if (slots > ABI_MAX_FLOOD_SLOTS)
		drop(skb, DROP_FLOOD_LIMIT, vni, direction); /* the copies that could not be made */
	return 0;
}

/* The frame has its outer header: this next hop's addresses go in, a copy goes out. `sport` is in network order. */
__noinline int copy_to_tunnel(struct __sk_buff *skb, __u32 id, __u32 vni, __u32 sport)
{
	struct abi_nexthop *nh = nexthop_get(id);
	struct abi_node *n = node_get();
	void *data, *data_end;
	struct way *way;
	__u32 size;
	int reason;
	bool v4;

	if (!nh || !n || nh->type != NEXTHOP_TUNNEL)
		return 0;
	v4 = addr_is_v4(&nh->remote);
	if (copy_too_big(skb, v4 ? OVERHEAD4 : OVERHEAD6, nexthop_mtu(nh))) {
		drop(skb, DROP_TOO_BIG, vni, FROM_PORT);
		return 0;
	}
	way = way_get(nh, sport);
	if (!way)
		return 0;
	reason = find_way(skb, nh, sport, n->vxlan_port, way);
	if (reason != DROP_NONE) {
		drop(skb, reason, vni, FROM_PORT);
		return 0;
	}
	data = (void *)(long)skb->data;
	data_end = (void *)(long)skb->data_end;
	if (v4) {
		struct outer4 *h = data;

		if ((void *)(h + 1) > data_end)
			return 0;
		mac_copy(h->eth.h_dest, way->dst_mac);
		mac_copy(h->eth.h_source, way->src_mac);
		h->ip.saddr = nh->local.be32[3];
		h->ip.daddr = nh->remote.be32[3];
		checksum4(&h->ip);
	} else {
		struct outer6 *h = data;

		if ((void *)(h + 1) > data_end)
			return 0;
		mac_copy(h->eth.h_dest, way->dst_mac);
		mac_copy(h->eth.h_source, way->src_mac);
		__builtin_memcpy(&h->ip.saddr, &nh->local, 16);
		__builtin_memcpy(&h->ip.daddr, &nh->remote, 16);
	}
	size = skb->len - (v4 ? OVERHEAD4 : OVERHEAD6);
	if (bpf_clone_redirect(skb, way->ifindex, 0)) {
		drop(skb, DROP_NO_UNDERLAY_ROUTE, vni, FROM_PORT);
		return 0;
	}
	count(COUNTER_ENCAP, size);
	count(COUNTER_FLOODED, size);
	return 0;
}

__noinline int flood_tunnels_chunk(struct __sk_buff *skb, __u32 vni, __u32 kind, __u32 first, __u32 sport)
{
	__u32 slots = flood_slot(vni, kind, 0);

	for (__u32 i = 0; i < CHUNK && first + i <= slots; i++) {
		__u32 id = flood_slot(vni, kind, first + i);

		if (id != 0)
			copy_to_tunnel(skb, id, vni, sport);
	}
	return 0;
}

__noinline int flood_tunnels(struct __sk_buff *skb, __u32 vni, __u32 kind, __u32 sport)
{
	__u32 slots = flood_slot(vni, kind, 0);

	for (__u32 first = 1; first <= ABI_MAX_FLOOD_SLOTS && first <= slots; first += CHUNK)
		flood_tunnels_chunk(skb, vni, kind, first, sport);
	if (slots > ABI_MAX_FLOOD_SLOTS)
		drop(skb, DROP_FLOOD_LIMIT, vni, FROM_PORT);
	return 0;
}

/* The outer header for copies of one family; the addresses come with each copy. */
static __noinline int wrap(struct __sk_buff *skb, const struct packet *p, __u32 vni, __u32 kind, __be16 sport)
{
	struct scratch *scratch = scratch_get();
	struct abi_node *n = node_get();
	__u8 ecn = p->ip ? p->tos & 3 : 0;

	if (!scratch || !n)
		return -1;
	return kind == FLOOD_TUNNEL6 ? encap6(skb, &scratch->blank, vni, ecn, sport, n->vxlan_port, false) :
				       encap4(skb, &scratch->blank, vni, ecn, sport, n->vxlan_port, false);
}

/*
 * From an outer IPv6 header to an outer IPv4 one.  The kernel encapsulates a packet once: after taking all headers off it
 * would refuse to put others on (-EALREADY), so the longer one is cut.
 */
static __noinline int rewrap4(struct __sk_buff *skb, const struct packet *p, __u32 vni, __be16 sport)
{
	__u64 flags = BPF_F_ADJ_ROOM_FIXED_GSO | BPF_F_ADJ_ROOM_NO_CSUM_RESET;
	struct scratch *scratch = scratch_get();
	struct abi_node *n = node_get();

	if (have_decap_flags)
		flags |= BPF_F_ADJ_ROOM_DECAP_L3_IPV4;
	if (!scratch || !n || bpf_skb_adjust_room(skb, -(int)(OVERHEAD6 - OVERHEAD4), BPF_ADJ_ROOM_MAC, flags))
		return -1;
	return write_outer4(skb, &scratch->blank, vni, p->ip ? p->tos & 3 : 0, sport, n->vxlan_port);
}

static __noinline int flood(struct __sk_buff *skb, const struct origin *o, const struct packet *p)
{
	bool v4, v6;
	__be16 sport;

	if (o->port && !bucket_take(skb->ifindex, BUCKET_STORM, o->port->storm_limit))
		return refuse(skb, o, DROP_STORM_LIMIT);
	flood_ports(skb, o->vni, o->port ? o->port->nexthop : 0, o->direction);
	if (!o->port) /* split horizon: what came by a tunnel never goes into one */
		return TC_ACT_STOLEN;
	v4 = flood_slot(o->vni, FLOOD_TUNNEL4, 0) != 0;
	v6 = flood_slot(o->vni, FLOOD_TUNNEL6, 0) != 0;
	if (!v4 && !v6)
		return TC_ACT_STOLEN;
	skb->mark = 0; /* copies into tunnels go out as any tunnel packet */
	sport = source_port(skb, p);
	if (!p->ip && protocol_set(skb, bpf_htons(ETH_P_IP)))
		return refuse(skb, o, DROP_ENCAP_FAILED);
	if (v6) {
		if (wrap(skb, p, o->vni, FLOOD_TUNNEL6, sport))
			return refuse(skb, o, DROP_ENCAP_FAILED);
		flood_tunnels(skb, o->vni, FLOOD_TUNNEL6, sport);
	}
	if (v4) {
		if (v6 ? rewrap4(skb, p, o->vni, sport) : wrap(skb, p, o->vni, FLOOD_TUNNEL4, sport))
			return refuse(skb, o, DROP_ENCAP_FAILED);
		flood_tunnels(skb, o->vni, FLOOD_TUNNEL4, sport);
	}
	return TC_ACT_STOLEN;
}

#endif
