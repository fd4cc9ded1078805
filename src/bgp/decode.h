/* SPDX-License-Identifier: Apache-2.0 */
/*
 * decode.h - inside bgp/: the work on one UPDATE's attributes, shared by update.c and the decoders of attributes.
 *
 * update_decode makes a struct decode, walks the attributes and hands each to its row's decoder, which leaves what it
 * found in the candidate set or in the fields beside it.  What needs more than one attribute (AS4_PATH with AS_PATH,
 * next hops with families) is settled after the walk, so the order of attributes means nothing.  Arrays live in the
 * scratch memory, which is sized by the message before the walk: decoders do not allocate.
 */
#ifndef ISTHMUS_BGP_DECODE_H
#define ISTHMUS_BGP_DECODE_H

#include "bgp/update.h"

#define DECODE_SCRATCH (2 * MESSAGE_MAX + 256)

struct decode_mp { /* MP_REACH_NLRI or MP_UNREACH_NLRI */
	bool present;
	bool known;    /* of a family that was negotiated */
	uint8_t family;
	struct addr next_hop, link_local;
	struct reader nlri;
};

struct decode {
	const struct update_session *session;
	struct route_attrs attrs; /* the candidate */
	struct reader path, as4_path;
	uint32_t as4_aggregator_as, as4_aggregator_id;
	bool next_hop_martian;
	struct decode_mp reach, unreach;
	uint32_t seen[8];          /* bits by attribute type: was there */
	uint8_t *room, *room_end;  /* scratch memory that is left */
	_Alignas(8) uint8_t scratch[DECODE_SCRATCH];
};

struct attr_error {
	const char *what; /* NULL = well-formed */
	uint8_t subcode;  /* enum notification_update; 0 = that of the row */
	enum reaction reaction; /* REACTION_NONE = that of the row */
	const char *section;    /* NULL = that of the row */
};

#define ATTR_GOOD ((struct attr_error){})
#define ATTR_WRONG(text) ((struct attr_error){.what = (text)})
#define ATTR_WRONG_LENGTH(text) ((struct attr_error){.what = (text), .subcode = UPDATE_BAD_LENGTH})

struct attr_row {
	const char *name;
	struct attr_error (*decode)(struct decode *d, uint8_t flags, struct reader value);
	enum reaction external, internal; /* when malformed */
	bool internal_only;      /* from an external neighbour: discarded, whatever is in it */
	uint8_t subcode;         /* when malformed and the decoder does not say */
	uint8_t flags;           /* of ATTR_OPTIONAL and ATTR_TRANSITIVE */
	const char *section;     /* of the reaction */
};

/* The row of a type, or NULL. */
const struct attr_row *attr_row(uint8_t type);

static inline bool decode_has(const struct decode *d, uint8_t type)
{
	return d->seen[type / 32] >> (type % 32) & 1;
}

static inline void decode_mark(uint32_t bits[static 8], uint8_t type)
{
	bits[type / 32] |= 1u << (type % 32);
}

/* Scratch memory, aligned to 8; never NULL for what fits into the message (see DECODE_SCRATCH). */
void *decode_room(struct decode *d, size_t size);

/* An address that no router can have as a next hop: unspecified, loopback, multicast, class E; link-local IPv6. */
bool next_hop_is_martian(const struct addr *a);

struct attr_error decode_as_path(struct decode *d, uint8_t flags, struct reader value);
struct attr_error decode_as4_path(struct decode *d, uint8_t flags, struct reader value);
struct attr_error decode_aggregator(struct decode *d, uint8_t flags, struct reader value);
struct attr_error decode_as4_aggregator(struct decode *d, uint8_t flags, struct reader value);
/* After the walk: AS_PATH and AS4_PATH into the candidate (RFC 6793 4.2.3). */
void decode_merge_paths(struct decode *d);

struct attr_error decode_communities(struct decode *d, uint8_t flags, struct reader value);
struct attr_error decode_extended_communities(struct decode *d, uint8_t flags, struct reader value);
struct attr_error decode_ipv6_communities(struct decode *d, uint8_t flags, struct reader value);
struct attr_error decode_large_communities(struct decode *d, uint8_t flags, struct reader value);

struct attr_error decode_pmsi(struct decode *d, uint8_t flags, struct reader value);
struct attr_error decode_tunnel(struct decode *d, uint8_t flags, struct reader value);

struct attr_error decode_mp_reach(struct decode *d, uint8_t flags, struct reader value);
struct attr_error decode_mp_unreach(struct decode *d, uint8_t flags, struct reader value);

#endif
