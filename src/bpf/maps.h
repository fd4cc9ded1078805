/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * maps.h - the maps of the data plane.  User space (src/dp) pins and fills them; the programs write only drops, counters,
 * events and their own scratch space.
 */
#ifndef ISTHMUS_BPF_MAPS_H
#define ISTHMUS_BPF_MAPS_H

#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#include "abi.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct abi_node);
} node SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} epoch SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, ABI_MAX_PORTS);
	__type(key, __u32);
	__type(value, struct abi_port);
} ports SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, ABI_MAX_NEXTHOPS);
	__type(key, __u32);
	__type(value, struct abi_nexthop);
} nexthops SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, ABI_MAX_MACS);
	__type(key, struct abi_mac_key);
	__type(value, struct abi_mac);
} macs SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, ABI_MAX_HOSTS);
	__type(key, struct abi_host_key);
	__type(value, struct abi_host);
} hosts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, ABI_MAX_PREFIXES);
	__type(key, struct abi_prefix_key);
	__type(value, struct abi_prefix);
} prefixes SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, ABI_MAX_MEMBERS);
	__type(key, struct abi_member_key);
	__type(value, struct abi_member);
} members SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, ABI_MAX_FLOODS);
	__type(key, struct abi_flood_key);
	__type(value, struct abi_flood);
} floods SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, DROP_MAX);
	__type(key, __u32);
	__type(value, __u64);
} drops SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, COUNTER_MAX);
	__type(key, __u32);
	__type(value, struct abi_counter);
} counters SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 16); /* bytes */
} events SEC(".maps");

/* How many samples of a reason this CPU has written in the running second. */
struct sample_limit {
	__u64 since_ns;
	__u64 taken;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, DROP_MAX);
	__type(key, __u32);
	__type(value, struct sample_limit);
} samples SEC(".maps");

static __always_inline struct abi_nexthop *nexthop_get(__u32 id)
{
	return bpf_map_lookup_elem(&nexthops, &id);
}

static __always_inline void count(__u32 counter, __u64 bytes)
{
	struct abi_counter *c = bpf_map_lookup_elem(&counters, &counter);

	if (c) {
		c->packets++;
		c->bytes += bytes;
	}
}

#endif
