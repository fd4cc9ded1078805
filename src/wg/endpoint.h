/* SPDX-License-Identifier: Apache-2.0 */
/*
 * endpoint.h - where a peer's datagrams come from and go to: an address and a UDP port, or another node that carries them
 * (relay.h).  A value.
 */
#ifndef ISTHMUS_WG_ENDPOINT_H
#define ISTHMUS_WG_ENDPOINT_H

#include "lib/addr.h"

struct endpoint {
	struct addr addr;
	uint16_t port;  /* 0 = not known */
	uint16_t relay; /* 0 = directly; else through the relay of that number, and it is of relay_endpoint */
};

static inline bool endpoint_equal(const struct endpoint *a, const struct endpoint *b)
{
	return addr_equal(&a->addr, &b->addr) && a->port == b->port && a->relay == b->relay;
}

#endif
