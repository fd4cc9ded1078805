/* SPDX-License-Identifier: Apache-2.0 */
/*
 * extended.h - extended communities as numbers of 64 bits: making, telling apart, showing.
 *
 * RFC 4360, RFC 5668 (AS of 4 bytes), RFC 7153 (the registries), RFC 7432 7, RFC 9012 4.1, RFC 9135 8.1.  The type is
 * in the high bytes, so the number in network order is what is on the wire.  Values, any thread.
 */
#ifndef ISTHMUS_EXTENDED_H
#define ISTHMUS_EXTENDED_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/addr.h"

enum route_tunnel { /* tunnel types of RFC 9012 4.1, RFC 8365 11: bits 1 << type of route_attrs.tunnels */
	ROUTE_TUNNEL_GRE = 2,
	ROUTE_TUNNEL_VXLAN = 8,
	ROUTE_TUNNEL_NVGRE = 9,
	ROUTE_TUNNEL_MPLS = 10,
	ROUTE_TUNNEL_VXLAN_GPE = 12,
	ROUTE_TUNNEL_GENEVE = 19,
};

enum extended_type { /* type and sub-type, the high 16 bits */
	EXTENDED_TARGET_AS2 = 0x0002,
	EXTENDED_TARGET_IP = 0x0102,
	EXTENDED_TARGET_AS4 = 0x0202,
	EXTENDED_TUNNEL = 0x030c,
	EXTENDED_DEFAULT_GATEWAY = 0x030d,
	EXTENDED_MOBILITY = 0x0600,
	EXTENDED_ES_IMPORT = 0x0602,
	EXTENDED_ROUTER_MAC = 0x0603,
};

static inline enum extended_type extended_type(uint64_t e)
{
	return (enum extended_type)(e >> 48);
}

uint64_t extended_target_as2(uint16_t as, uint32_t number);
uint64_t extended_target_as4(uint32_t as, uint16_t number); /* RFC 5668 */
uint64_t extended_target_ip(uint32_t ip, uint16_t number);
uint64_t extended_tunnel(enum route_tunnel t);                  /* RFC 9012 4.1 */
uint64_t extended_mobility(uint32_t sequence, bool sticky);     /* RFC 7432 7.7 */
uint64_t extended_router_mac(const struct mac *m);              /* RFC 9135 8.1 */
uint64_t extended_default_gateway(void);                        /* RFC 7432 7.8 */
bool extended_is_target(uint64_t e);
/* "65000:5001", "4200000000:5001" or "192.0.2.1:5001"; 0, -EINVAL, or -ERANGE: a number that has no room. */
int extended_target_parse(const char *text, uint64_t *out);
/*
 * "rt:65000:5001", "encap:vxlan", "mobility:3", "mobility:3,sticky", "router-mac:02:..", "default-gateway", or 16
 * hexadecimal digits
 */
#define EXTENDED_TEXT_SIZE 40
const char *extended_format(uint64_t e, char out[static EXTENDED_TEXT_SIZE]);

#endif
