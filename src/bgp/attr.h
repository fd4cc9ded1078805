/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attr.h - path attributes: the table of those that we know, and what follows when one is malformed (RFC 7606).
 *
 * One row per attribute: type, name, flags, decoder, reaction, section.  update.c walks a message's attributes along
 * it.  A new attribute is a new row and its decoder.  Pure, any thread.
 */
#ifndef ISTHMUS_BGP_ATTR_H
#define ISTHMUS_BGP_ATTR_H

#include "bgp/notification.h"
#include "lib/wire.h"
#include "model/route.h"

enum reaction { /* weakest first; of several errors in one UPDATE the strongest counts (RFC 7606 3 h) */
	REACTION_NONE,
	REACTION_DISCARD,        /* attribute discard */
	REACTION_WITHDRAW,       /* treat-as-withdraw: the routes of the UPDATE, or the one NLRI */
	REACTION_DISABLE_FAMILY, /* AFI/SAFI disable */
	REACTION_RESET,          /* session reset */
	REACTION_MAX
};

/* "accepted", "attribute discarded", "treated as withdrawn", "family disabled", "session reset" */
const char *reaction_name(enum reaction r);

struct fault {
	enum reaction reaction;
	uint8_t attr;              /* offending attribute type, 0 = none */
	const char *what;          /* "length is not 1": for a log line */
	const char *section;       /* "RFC 7606 7.1": why this reaction */
	struct notification notification; /* RFC 4271 6.3; sent with REACTION_RESET only.  Borrows from the message. */
};

enum attr_type {
	ATTR_ORIGIN = 1,
	ATTR_AS_PATH = 2,
	ATTR_NEXT_HOP = 3,
	ATTR_MED = 4,
	ATTR_LOCAL_PREF = 5,
	ATTR_ATOMIC_AGGREGATE = 6,
	ATTR_AGGREGATOR = 7,
	ATTR_COMMUNITIES = 8,
	ATTR_ORIGINATOR_ID = 9,
	ATTR_CLUSTER_LIST = 10,
	ATTR_MP_REACH = 14,
	ATTR_MP_UNREACH = 15,
	ATTR_EXTENDED_COMMUNITIES = 16,
	ATTR_AS4_PATH = 17,
	ATTR_AS4_AGGREGATOR = 18,
	ATTR_PMSI = 22,
	ATTR_TUNNEL = 23,
	ATTR_IPV6_COMMUNITIES = 25,
	ATTR_LARGE_COMMUNITIES = 32,
};

enum attr_flag { /* RFC 4271 4.3 */
	ATTR_OPTIONAL = 0x80,
	ATTR_TRANSITIVE = 0x40,
	ATTR_PARTIAL = 0x20,
	ATTR_EXTENDED_LENGTH = 0x10,
};

const char *attr_name(uint8_t type); /* "AS_PATH"; "unknown" */

#endif
