/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * storm.h - how much of what is dear one workload may cause: frames to replicate, ICMP errors.
 *
 * One bucket per port and use: it holds what may pass in one second, and fills at that rate.  Kept as one number, the
 * moment at which it will be full (the virtual scheduling of ITU-T I.371 annex A), so that CPUs share it by compare and
 * swap: none waits, and never more pass than may.  Only what is limited comes here, so unicast pays nothing.
 *
 * A bucket that was pushed out of its map (more ports than it holds) is a full one.  The map is the programs' own and
 * not pinned.
 */
#ifndef ISTHMUS_BPF_STORM_H
#define ISTHMUS_BPF_STORM_H

#include <linux/bpf.h>
#include <stdbool.h>

#include <bpf/bpf_helpers.h>

#include "drop.h"

#define BUCKET_TRIES 16

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 3 * ABI_MAX_PORTS); /* two uses of each port, one of each tenant, and room */
	__type(key, struct abi_bucket_key);
	__type(value, struct abi_bucket);
} buckets SEC(".maps");

/* May one more pass, of `rate` a second?  0: any number. */
static __noinline bool bucket_take(__u32 id, __u32 use, __u32 rate)
{
	struct abi_bucket_key key = {.id = id, .use = use};
	struct abi_bucket full = {}, *b;
	__u64 now, cost;

	if (!rate)
		return true;
	b = bpf_map_lookup_elem(&buckets, &key);
	if (!b) {
		bpf_map_update_elem(&buckets, &key, &full, BPF_NOEXIST); /* another CPU may have been first */
		b = bpf_map_lookup_elem(&buckets, &key);
	}
	if (!b)
		return false;
	now = bpf_ktime_get_ns();
	cost = SECOND_NS / rate;
	for (int i = 0; i < BUCKET_TRIES; i++) {
		__u64 full_at = *(volatile __u64 *)&b->full_at_ns;
		__u64 after = (full_at > now ? full_at : now) + cost;

		if (after > now + SECOND_NS)
			return false;
		if (__sync_val_compare_and_swap(&b->full_at_ns, full_at, after) == full_at)
			return true;
	}
	return false; /* others took it, each time */
}

#endif
