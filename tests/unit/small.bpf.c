/* SPDX-License-Identifier: Apache-2.0 */
/*
 * small.bpf.c - programs with the names, maps and constants of src/bpf, that drop all and count it.
 *
 * What dp/ and agent/ do with programs does not depend on what these do with packets, and the verifier is through with
 * them at once, while it takes a good quarter of a second for the real ones; those are loaded by tests/bpf, tests/kernel
 * and every daemon of the lab.
 */
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <stdbool.h>

#include <bpf/bpf_helpers.h>

#include "drop.h"
#include "maps.h"

const volatile bool have_decap_flags = false;

/* Every program uses every table, as the real ones do. */
static __always_inline bool is_known(struct __sk_buff *skb)
{
	static const __u32 zero = 0;
	const struct abi_mac_key mac = {};
	const struct abi_host_key host = {};
	const struct abi_prefix_key prefix = {};
	const struct abi_member_key member = {};
	const struct abi_flood_key flood = {};
	const __u32 ifindex = skb->ifindex;

	count(COUNTER_TO_PORT, have_decap_flags);
	return bpf_map_lookup_elem(&ports, &ifindex) && bpf_map_lookup_elem(&macs, &mac) &&
	       bpf_map_lookup_elem(&hosts, &host) && bpf_map_lookup_elem(&prefixes, &prefix) &&
	       bpf_map_lookup_elem(&members, &member) && bpf_map_lookup_elem(&floods, &flood) &&
	       bpf_map_lookup_elem(&node, &zero) && bpf_map_lookup_elem(&epoch, &zero) && nexthop_get(zero);
}

SEC("tc")
int port_ingress(struct __sk_buff *skb)
{
	return drop(skb, is_known(skb) ? DROP_MALFORMED : DROP_PORT_UNKNOWN, 0, 0);
}

SEC("tc")
int port_egress(struct __sk_buff *skb)
{
	return drop(skb, is_known(skb) ? DROP_MALFORMED : DROP_NOT_OURS, 0, 0);
}

SEC("tc")
int wire_ingress(struct __sk_buff *skb)
{
	return drop(skb, is_known(skb) ? DROP_MALFORMED : DROP_UNKNOWN_VTEP, 0, 0);
}

SEC("tc")
int secure_egress(struct __sk_buff *skb)
{
	return is_known(skb) ? drop(skb, DROP_MALFORMED, 0, 0) : TC_ACT_UNSPEC; /* as the real one does with most */
}

char _license[] SEC("license") = "Dual BSD/GPL";
