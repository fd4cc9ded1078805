/* SPDX-License-Identifier: Apache-2.0 */
/*
 * endpoint.h - where a peer's datagrams come from and go to: an address and a UDP port.  A value.
 */
#ifndef ISTHMUS_WG_ENDPOINT_H
#define ISTHMUS_WG_ENDPOINT_H

#include "lib/addr.h"

struct endpoint {
	struct addr addr;
	uint16_t port; /* 0 = not known */
};

static inline bool endpoint_equal(const struct endpoint *a, const struct endpoint *b)
{
	return addr_equal(&a->addr, &b->addr) && a->port == b->port;
}

#endif
