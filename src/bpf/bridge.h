/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * bridge.h - inside one l2 network, by MAC.
 */
#ifndef ISTHMUS_BPF_BRIDGE_H
#define ISTHMUS_BPF_BRIDGE_H

#include "flood.h"
#include "icmp.h"
#include "memo.h"

static __always_inline int bridge(struct __sk_buff *skb, const struct origin *o, const struct packet *p)
{
	struct abi_mac_key key = {.vni = o->vni};
	struct abi_nexthop *nh;
	struct abi_mac *mac;
	__u32 mtu;

	if (p->dst_mac[0] & 1)
		return flood(skb, o, p);
	mac_copy(key.mac, p->dst_mac);
	mac = bpf_map_lookup_elem(&macs, &key);
	if (!mac)
		return o->flood ? flood(skb, o, p) : refuse(skb, o, DROP_UNKNOWN_MAC);
	if (o->port && mac->nexthop == o->port->nexthop)
		return refuse(skb, o, DROP_SAME_PORT);
	nh = nexthop_get(mac->nexthop);
	if (!nh)
		return refuse(skb, o, DROP_PORT_DOWN);
	if (nh->type == NEXTHOP_PORT) {
		if (too_big(skb, p, 0, nh->mtu))
			return answer_too_big(skb, o, p, nh->mtu, true);
		return remember(skb, o, p, nh, send_port(skb, o, nh));
	}
	if (nh->type != NEXTHOP_TUNNEL)
		return refuse(skb, o, DROP_PORT_DOWN);
	if (!o->port) /* split horizon */
		return refuse(skb, o, DROP_NOT_LOCAL);
	mtu = nexthop_mtu(nh);
	if (too_big(skb, p, 0, mtu))
		return answer_too_big(skb, o, p, mtu, true);
	return remember(skb, o, p, nh, send_tunnel(skb, o, p, nh, o->vni));
}

#endif
