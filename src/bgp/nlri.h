/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nlri.h - routes on the wire: families, prefixes of IPv4 and IPv6, and the door to EVPN (nlri_evpn.h).
 *
 * nlri_next takes one NLRI after another from a block (withdrawn routes, NLRI field, MP_REACH_NLRI, MP_UNREACH_NLRI). 
 * What it says of each tells framing, which is lost for the rest of the block, from a value that is wrong in one NLRI. 
 * Pure, any thread.
 */
#ifndef ISTHMUS_BGP_NLRI_H
#define ISTHMUS_BGP_NLRI_H

#include "lib/wire.h"
#include "model/route.h"

/* false: a family that we do not speak. */
bool family_from_afi(uint16_t afi, uint8_t safi, enum route_family *out);
uint16_t family_afi(enum route_family f);
uint8_t family_safi(enum route_family f);

enum nlri_verdict {
	NLRI_GOOD,
	NLRI_SKIPPED,  /* an EVPN route type that we do not know (RFC 7432 7): nothing was made of it */
	NLRI_WITHDRAW, /* its key is sound and its value is not: treat as withdraw; *out has the key */
	NLRI_BAD,      /* not even its key is sound: no route can have it; the next NLRI is sound again */
	NLRI_LOST,     /* its length does not fit the block or the family: the rest of the block cannot be read */
};

/*
 * One NLRI of a block with bytes left.  `withdraw`: it is one of withdrawn routes, where labels, ESI and gateway mean
 * nothing (RFC 7432 7.x) and are not checked.  `add_path`: a path identifier precedes it (RFC 7911 3).  *why: a short
 * text for a log line whenever the verdict is not NLRI_GOOD; *out means something with NLRI_GOOD and NLRI_WITHDRAW
 * alone, written in place because a million of them are read.  The reader goes forward by at least one byte.
 */
enum nlri_verdict nlri_next(struct reader *block, enum route_family f, bool add_path, bool withdraw,
			    struct route_nlri *out, const char **why);

void nlri_encode(struct writer *w, const struct route_nlri *n, bool add_path);
size_t nlri_size(const struct route_nlri *n, bool add_path); /* bytes that nlri_encode writes */

#endif
