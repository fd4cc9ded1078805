/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pack.h - routes as few bytes: how the table holds a struct route_nlri of 136 bytes in 5 (an IPv4 prefix) or 24 (a MAC
 * with its IPv4 address).
 *
 * Equal keys have equal bytes, so packed keys are hashed and compared as they are.  What is zero is left out, and a
 * prefix has the bytes that it covers:
 *
 *      0        1        2
 *     +--------+--------+---------...-+------+-----+-----+-----+---------+
 *     |ffttt421| length | addr 0..16  | rd 8 | tag | mac | esi | path_id |    ff family, ttt type, 4 IPv4, 2 path_id,
 *     +--------+--------+---------...-+------+-----+-----+-----+---------+    1 tag
 *
 * Values only; the sizes are the packer's, so unpacking needs no checks.  Any thread.
 */
#ifndef ISTHMUS_RIB_PACK_H
#define ISTHMUS_RIB_PACK_H

#include <stddef.h>
#include <stdint.h>

#include "model/route.h"

#define PACK_KEY_MAX (2 + 16 + 8 + 4 + 6 + 10 + 4)
#define PACK_VALUE_MAX (1 + 2 * 3 + 10 + 16)

size_t pack_key(const struct route_key *key, uint8_t out[static PACK_KEY_MAX]);
void unpack_key(const uint8_t *in, struct route_key *out);

/* What is not in the key; 0 bytes when that is nothing. */
size_t pack_value(const struct route_nlri *nlri, uint8_t out[static PACK_VALUE_MAX]);
void unpack_value(const uint8_t *in, size_t size, struct route_nlri *out);

static inline enum route_family pack_family(const uint8_t *key)
{
	return (enum route_family)(key[0] >> 6);
}

static inline enum route_evpn_type pack_type(const uint8_t *key)
{
	return (enum route_evpn_type)(key[0] >> 3 & 7);
}

#endif
