/* SPDX-License-Identifier: Apache-2.0 */
#include "bgp/attr.h"

#include <assert.h>

#include "bgp/decode.h"

#define CLASS_E 0xf0 /* 240.0.0.0/4, RFC 1112 4 */

const char *reaction_name(enum reaction r)
{
	static const char *const names[] = {
		[REACTION_NONE] = "accepted",
		[REACTION_DISCARD] = "attribute discarded",
		[REACTION_WITHDRAW] = "treated as withdrawn",
		[REACTION_DISABLE_FAMILY] = "family disabled",
		[REACTION_RESET] = "session reset",
	};

	static_assert(sizeof(names) / sizeof(names[0]) == REACTION_MAX, "a name per reaction");
	return names[r];
}

void *decode_room(struct decode *d, size_t size)
{
	uint8_t *p = d->room;
	size_t rounded = (size + 7) & ~(size_t)7;

	assert(rounded <= (size_t)(d->room_end - p)); /* by the sum in update.c */
	d->room += rounded;
	return p;
}

bool next_hop_is_martian(const struct addr *a)
{
	if (addr_is_v4(a) && (a->bytes[12] == 0 || a->bytes[12] >= CLASS_E))
		return true;
	return addr_is_unspecified(a) || addr_is_loopback(a) || addr_is_multicast(a) ||
	       (!addr_is_v4(a) && addr_is_link_local(a));
}

/* ---- attributes of one fixed size ---- */

static struct attr_error decode_origin(struct decode *d, uint8_t flags, struct reader value)
{
	uint8_t v;

	if (reader_left(&value) != 1)
		return ATTR_WRONG_LENGTH("length is not 1");
	v = reader_u8(&value);
	if (v >= ROUTE_ORIGIN_MAX)
		return ATTR_WRONG("undefined value");
	d->attrs.origin = v;
	return ATTR_GOOD;
}

/* A next hop that is no router's is wrong for the routes of the NLRI field only, if there are any: update.c asks. */
static struct attr_error decode_next_hop(struct decode *d, uint8_t flags, struct reader value)
{
	if (reader_left(&value) != 4)
		return ATTR_WRONG_LENGTH("length is not 4");
	d->attrs.next_hop = addr_from_v4(value.at);
	d->next_hop_martian = next_hop_is_martian(&d->attrs.next_hop);
	return ATTR_GOOD;
}

static struct attr_error decode_u32(struct decode *d, uint32_t *out, uint32_t has, struct reader value)
{
	if (reader_left(&value) != 4)
		return ATTR_WRONG_LENGTH("length is not 4");
	*out = reader_u32(&value);
	d->attrs.has |= has;
	return ATTR_GOOD;
}

static struct attr_error decode_med(struct decode *d, uint8_t flags, struct reader value)
{
	return decode_u32(d, &d->attrs.med, ROUTE_HAS_MED, value);
}

static struct attr_error decode_local_pref(struct decode *d, uint8_t flags, struct reader value)
{
	return decode_u32(d, &d->attrs.local_pref, ROUTE_HAS_LOCAL_PREF, value);
}

static struct attr_error decode_originator_id(struct decode *d, uint8_t flags, struct reader value)
{
	return decode_u32(d, &d->attrs.originator_id, ROUTE_HAS_ORIGINATOR_ID, value);
}

static struct attr_error decode_atomic_aggregate(struct decode *d, uint8_t flags, struct reader value)
{
	if (reader_left(&value) != 0)
		return ATTR_WRONG_LENGTH("length is not 0");
	d->attrs.has |= ROUTE_HAS_ATOMIC_AGGREGATE;
	return ATTR_GOOD;
}

static struct attr_error decode_cluster_list(struct decode *d, uint8_t flags, struct reader value)
{
	size_t n = reader_left(&value) / 4;
	uint32_t *clusters;

	if (n == 0 || reader_left(&value) % 4)
		return ATTR_WRONG_LENGTH("length is not a positive multiple of 4");
	d->attrs.clusters = clusters = decode_room(d, 4 * n);
	d->attrs.n_clusters = (uint32_t)n;
	for (size_t i = 0; i < n; i++)
		clusters[i] = reader_u32(&value);
	return ATTR_GOOD;
}

/* ---- the table ---- */

#define WELL_KNOWN ATTR_TRANSITIVE
#define NON_TRANSITIVE ATTR_OPTIONAL
#define TRANSITIVE (ATTR_OPTIONAL | ATTR_TRANSITIVE)
#define WITHDRAW REACTION_WITHDRAW, REACTION_WITHDRAW, false
#define DISCARD REACTION_DISCARD, REACTION_DISCARD, false
#define RESET REACTION_RESET, REACTION_RESET, false
#define INTERNAL REACTION_DISCARD, REACTION_WITHDRAW, true

static const struct attr_row rows[] = {
	[ATTR_ORIGIN] = {"ORIGIN", decode_origin, WITHDRAW, UPDATE_BAD_ORIGIN, WELL_KNOWN, "RFC 7606 7.1"},
	[ATTR_AS_PATH] = {"AS_PATH", decode_as_path, WITHDRAW, UPDATE_MALFORMED_PATH, WELL_KNOWN, "RFC 7606 7.2"},
	[ATTR_NEXT_HOP] = {"NEXT_HOP", decode_next_hop, WITHDRAW, UPDATE_BAD_NEXT_HOP, WELL_KNOWN, "RFC 7606 7.3"},
	[ATTR_MED] = {"MULTI_EXIT_DISC", decode_med, WITHDRAW, UPDATE_BAD_OPTIONAL, NON_TRANSITIVE, "RFC 7606 7.4"},
	[ATTR_LOCAL_PREF] = {"LOCAL_PREF", decode_local_pref, INTERNAL, UPDATE_BAD_LENGTH, WELL_KNOWN, "RFC 7606 7.5"},
	[ATTR_ATOMIC_AGGREGATE] = {"ATOMIC_AGGREGATE", decode_atomic_aggregate, DISCARD, UPDATE_BAD_LENGTH, WELL_KNOWN,
		"RFC 7606 7.6"},
	[ATTR_AGGREGATOR] = {"AGGREGATOR", decode_aggregator, DISCARD, UPDATE_BAD_OPTIONAL, TRANSITIVE, "RFC 7606 7.7"},
	[ATTR_COMMUNITIES] = {"COMMUNITIES", decode_communities, WITHDRAW, UPDATE_BAD_OPTIONAL, TRANSITIVE,
		"RFC 7606 7.8"},
	[ATTR_ORIGINATOR_ID] = {"ORIGINATOR_ID", decode_originator_id, INTERNAL, UPDATE_BAD_OPTIONAL, NON_TRANSITIVE,
		"RFC 7606 7.9"},
	[ATTR_CLUSTER_LIST] = {"CLUSTER_LIST", decode_cluster_list, INTERNAL, UPDATE_BAD_OPTIONAL, NON_TRANSITIVE,
		"RFC 7606 7.10"},
	[ATTR_MP_REACH] = {"MP_REACH_NLRI", decode_mp_reach, RESET, UPDATE_BAD_OPTIONAL, NON_TRANSITIVE,
		"RFC 7606 7.11"},
	[ATTR_MP_UNREACH] = {"MP_UNREACH_NLRI", decode_mp_unreach, RESET, UPDATE_BAD_OPTIONAL, NON_TRANSITIVE,
		"RFC 7606 7.12"},
	[ATTR_EXTENDED_COMMUNITIES] = {"EXTENDED_COMMUNITIES", decode_extended_communities, WITHDRAW, UPDATE_BAD_OPTIONAL,
		TRANSITIVE, "RFC 7606 7.14"},
	[ATTR_AS4_PATH] = {"AS4_PATH", decode_as4_path, DISCARD, UPDATE_BAD_OPTIONAL, TRANSITIVE, "RFC 6793 6"},
	[ATTR_AS4_AGGREGATOR] = {"AS4_AGGREGATOR", decode_as4_aggregator, DISCARD, UPDATE_BAD_OPTIONAL, TRANSITIVE,
		"RFC 6793 6"},
	[ATTR_PMSI] = {"PMSI_TUNNEL", decode_pmsi, WITHDRAW, UPDATE_BAD_OPTIONAL, TRANSITIVE, "RFC 6514 5"},
	[ATTR_TUNNEL] = {"TUNNEL_ENCAPSULATION", decode_tunnel, WITHDRAW, UPDATE_BAD_OPTIONAL, TRANSITIVE,
		"RFC 9012 13"},
	[ATTR_IPV6_COMMUNITIES] = {"IPV6_EXTENDED_COMMUNITIES", decode_ipv6_communities, WITHDRAW, UPDATE_BAD_OPTIONAL,
		TRANSITIVE, "RFC 7606 7.15"},
	[ATTR_LARGE_COMMUNITIES] = {"LARGE_COMMUNITIES", decode_large_communities, WITHDRAW, UPDATE_BAD_OPTIONAL,
		TRANSITIVE, "RFC 8092 6"},
};

const struct attr_row *attr_row(uint8_t type)
{
	return type < sizeof(rows) / sizeof(rows[0]) && rows[type].name ? &rows[type] : NULL;
}

const char *attr_name(uint8_t type)
{
	const struct attr_row *row = attr_row(type);

	return row ? row->name : "unknown";
}
