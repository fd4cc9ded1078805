/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * drop.h - every packet that is not delivered ends here, exactly once, under one name.
 */
#ifndef ISTHMUS_BPF_DROP_H
#define ISTHMUS_BPF_DROP_H

#include <linux/pkt_cls.h>

#include "maps.h"

#define SECOND_NS 1000000000ULL

/* A sample for people; the counter, not the sample, is the truth. */
static __always_inline void sample(struct __sk_buff *skb, __u32 reason, __u32 vni, __u32 direction)
{
	struct sample_limit *limit = bpf_map_lookup_elem(&samples, &reason);
	__u64 now_ns = bpf_ktime_get_ns();
	struct abi_event *e;
	__u32 last = skb->len - 1; /* a frame is never empty */

	if (!limit)
		return;
	if (now_ns - limit->since_ns > SECOND_NS) {
		limit->since_ns = now_ns;
		limit->taken = 0;
	}
	if (limit->taken >= ABI_EVENTS_PER_S)
		return;
	limit->taken++;
	e = bpf_ringbuf_reserve(&events, sizeof(*e), 0);
	if (!e)
		return;
	e->time_ns = now_ns;
	e->ifindex = skb->ifindex;
	e->vni = vni;
	e->size = skb->len;
	e->reason = reason;
	e->direction = direction;
	e->snap_size = 0;
	__builtin_memset(e->data, 0, sizeof(e->data));
	/* Counted from the last byte, as the verifier of 6.1 does not learn "not 0" from a comparison with 0. */
	asm volatile("" : "+r"(last));
	if (last >= sizeof(e->data))
		last = sizeof(e->data) - 1;
	if (bpf_skb_load_bytes(skb, 0, e->data, last + 1) == 0)
		e->snap_size = last + 1;
	bpf_ringbuf_submit(e, 0);
}

/* Global, so that the verifier checks it once and not at each of its many callers. */
__noinline int drop(struct __sk_buff *skb, __u32 reason, __u32 vni, __u32 direction)
{
	__u64 *n = bpf_map_lookup_elem(&drops, &reason);

	if (n)
		(*n)++;
	sample(skb, reason, vni, direction);
	return TC_ACT_SHOT;
}

#endif
