/* SPDX-License-Identifier: Apache-2.0 */
/*
 * aspath.h - AS paths on the way out: prepending, and what a peer without AS numbers of 4 bytes is told.
 *
 * A path inside is as in struct route_attrs: segments with ASes of 4 bytes.  RFC 4271 4.3 b and 5.1.2, RFC 6793 4.2.2. 
 * The way in is in decode.h.  Pure, any thread.
 */
#ifndef ISTHMUS_BGP_ASPATH_H
#define ISTHMUS_BGP_ASPATH_H

#include "lib/wire.h"
#include "model/route.h"

enum aspath_segment { /* RFC 4271 4.3 b, RFC 5065 3 */
	ASPATH_SET = 1,
	ASPATH_SEQUENCE = 2,
	ASPATH_CONFED_SEQUENCE = 3,
	ASPATH_CONFED_SET = 4,
};

#define ASPATH_SEGMENT_MAX 255 /* ASes */

/*
 * The value of AS_PATH: `as` n times (at most 255) before the set's path; ASes above 65,535 as AS_TRANS unless `as4`;
 * without confederation segments when it goes to an external peer (RFC 5065 4).
 */
void aspath_encode(struct writer *w, const struct route_attrs *a, uint32_t as, unsigned n, bool as4, bool external);

/* Would an AS_PATH of 2-byte ASes lose something, so that an AS4_PATH is needed (RFC 6793 4.2.2)? */
bool aspath_needs_as4(const struct route_attrs *a, uint32_t as, unsigned n);

/* The value of AS4_PATH: the same without confederation segments. */
void aspath_encode_as4(struct writer *w, const struct route_attrs *a, uint32_t as, unsigned n);

#endif
