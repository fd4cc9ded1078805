/* SPDX-License-Identifier: Apache-2.0 */
/*
 * packet.h - the messages as they lie in a datagram: which kind it is, and its fields in place.
 *
 *     initiation  type 1 | sender 4 | noise 108 (first, with 12 bytes of time) | mac1 16 | mac2 16     148 bytes
 *     response    type 2 | sender 4 | receiver 4 | noise 48 (second, empty)    | mac1 16 | mac2 16      92
 *     cookie      type 3 | receiver 4 | nonce 24 | cookie 16 + 16                                       64
 *     data        type 4 | receiver 4 | counter 8 | packet, padded | tag 16                 32 and more
 *
 * The type is four bytes: the kind, the suite, and two zeroes.  WireGuard has zeroes in all three (its paper, 5.4),
 * which is suite 0; suite 1 is that of Isthmus nodes, which other programs drop as of no type they know.  Indices are
 * opaque, the counter is little-endian.  All members are bytes, so a message may lie anywhere.  Pure, any thread.
 */
#ifndef ISTHMUS_WG_PACKET_H
#define ISTHMUS_WG_PACKET_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "wg/noise.h"

enum packet_kind {
	PACKET_NONE, /* nothing that we know: to be dropped in silence */
	PACKET_INITIATION,
	PACKET_RESPONSE,
	PACKET_COOKIE,
	PACKET_DATA,
	PACKET_KIND_MAX
};

enum packet_suite { SUITE_WIREGUARD, SUITE_ISTHMUS, SUITE_MAX };

extern const struct noise_suite packet_suites[SUITE_MAX];

#define TIMESTAMP_SIZE 12 /* TAI64N */
#define COOKIE_SIZE 16
#define COOKIE_NONCE_SIZE 24

struct packet_header {
	uint8_t kind, suite, zero[2];
};

struct packet_macs {
	uint8_t mac1[HASH_MAC_SIZE], mac2[HASH_MAC_SIZE];
};

struct packet_initiation {
	struct packet_header header;
	uint8_t sender[4];
	uint8_t noise[NOISE_FIRST_SIZE(TIMESTAMP_SIZE)];
	struct packet_macs macs;
};
static_assert(sizeof(struct packet_initiation) == 148, "on the wire");

struct packet_response {
	struct packet_header header;
	uint8_t sender[4], receiver[4];
	uint8_t noise[NOISE_SECOND_SIZE(0)];
	struct packet_macs macs;
};
static_assert(sizeof(struct packet_response) == 92, "on the wire");

struct packet_cookie {
	struct packet_header header;
	uint8_t receiver[4];
	uint8_t nonce[COOKIE_NONCE_SIZE];
	uint8_t cookie[COOKIE_SIZE + AEAD_TAG_SIZE];
};
static_assert(sizeof(struct packet_cookie) == 64, "on the wire");

struct packet_data {
	struct packet_header header;
	uint8_t receiver[4];
	uint8_t counter[8];
	uint8_t payload[]; /* and behind it the tag */
};
#define PACKET_DATA_SIZE(payload) (sizeof(struct packet_data) + (payload) + AEAD_TAG_SIZE)
static_assert(PACKET_DATA_SIZE(0) == 32, "on the wire");

/* Only by what stands in the clear: sizes exact, or for data enough. */
enum packet_kind packet_kind(const uint8_t *data, size_t size);

struct packet_header packet_header(enum packet_kind kind, enum packet_suite suite);

/*
 * The size of the IPv4 or IPv6 packet that `data` begins with, by its header; 0 when it begins with none, or with one
 * that is longer than `size`: padding comes behind a packet (paper, 5.4.6).
 */
size_t packet_inner_size(const uint8_t *data, size_t size);

#endif
