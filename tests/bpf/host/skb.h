/* SPDX-License-Identifier: Apache-2.0 */
/* skb.h - the packet that one host_run works on; shared by skb.c and redirect.c, nobody else includes it. */
#ifndef ISTHMUS_HOST_SKB_H
#define ISTHMUS_HOST_SKB_H

#include "host.h"

struct skb {
	struct __sk_buff ctx; /* first: what the program sees; refreshed by skb_sync */
	uint8_t *arena;	      /* below 4 GiB, so that ctx.data holds a pointer */
	/* offsets from the arena; transport -1: never set */
	uint32_t data, end;
	uint32_t linear_end; /* what lies behind has to be pulled; UINT32_MAX: nothing */
	int mac, network, transport;
	uint16_t protocol; /* be16, as skb->protocol */
	bool encapsulation;
	bool gso_tcp;
	bool hash_valid;
	bool vlan_present;
	uint16_t vlan_proto; /* be16 */
	uint16_t vlan_tci;
};

static inline struct skb *skb_of(const void *ctx)
{
	return (struct skb *)ctx;
}

void skb_start(struct skb *s, const struct host_input *in);
void skb_sync(struct skb *s);

#endif
