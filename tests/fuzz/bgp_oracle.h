/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bgp_oracle.h - what must hold of any UPDATE, shared by the BGP targets.
 *
 * check_update decodes a body: a reaction with its words, every route in range, what was withdrawn as a treatment told
 * from what the peer withdrew; and each route that came out, written for the same session, reads as the very same route
 * and set.
 */
#ifndef ISTHMUS_FUZZ_BGP_ORACLE_H
#define ISTHMUS_FUZZ_BGP_ORACLE_H

#include "bgp/update.h"
#include "fuzz.h"

static void check_key(const struct route_key *k)
{
	bool v4 = addr_is_v4(&k->addr);
	char text[ROUTE_KEY_TEXT_SIZE];

	require(k->family < ROUTE_FAMILY_MAX && k->length <= 128, "a family and a length that there are");
	require((k->family == ROUTE_EVPN) == (k->type != ROUTE_EVPN_NONE) && k->type < ROUTE_EVPN_MAX, "a type of EVPN alone");
	require(k->family != ROUTE_IPV4 || (v4 && k->length >= 96), "IPv4 in its mapped form");
	require(!v4 || k->length >= 96, "IPv4 has at most 32 bits");
	for (unsigned bit = k->length; bit < 128 && k->family != ROUTE_EVPN; bit++)
		require(!(k->addr.bytes[bit / 8] & (0x80 >> bit % 8)), "no bits behind the prefix");
	for (unsigned i = 0; i < sizeof(k->zero); i++)
		require(k->zero[i] == 0, "nothing between the fields of a key");
	require(strlen(route_key_format(k, text)) < sizeof(text), "a text");
}

static void check_attrs(const struct route_attrs *a)
{
	char text[EXTENDED_TEXT_SIZE], path[64];
	struct route_pmsi p;

	require(a->origin < ROUTE_ORIGIN_MAX && a->n_targets <= a->n_extended, "values in range");
	for (uint32_t i = 0; i < a->n_extended; i++) {
		require(extended_is_target(a->extended[i]) == (i < a->n_targets), "targets first");
		require(strlen(extended_format(a->extended[i], text)) < sizeof(text), "a text");
	}
	for (uint32_t i = 1; i < a->n_communities; i++)
		require(a->communities[i - 1] < a->communities[i], "sorted, none twice");
	require(!addr_is_multicast(&a->next_hop) && !addr_is_loopback(&a->next_hop) && !addr_is_unspecified(&a->next_hop),
		"a next hop that a router can have");
	require(!route_path_contains(a, 0), "no AS 0");
	route_path_format(a, path, sizeof(path));
	require(route_attrs_pmsi(a, &p) == (a->pmsi_size > 0), "a PMSI that can be read");
}

/* Writes a route for the session that it came from, reads it again. */
static void check_again(struct update_session s, struct attrs *table, const struct update_route *route)
{
	static uint8_t room[MESSAGE_EXTENDED_MAX], twice[MESSAGE_EXTENDED_MAX];
	struct writer w = writer_over(room, sizeof(room)), w2 = writer_over(twice, sizeof(twice));
	struct update_cursor c = {};
	struct update_route again;
	struct notification error;
	struct message m;
	struct update u;
	size_t done = 0;
	int r;

	s.external = false; /* eBGP changes what it passes on */
	s.extended = true;
	s.add_path_out = s.add_path_in;
	r = update_encode(&s, route->attrs, &route->nlri, 1, &done, &w);
	if (r < 0) { /* longer than it came: AS_PATH of 4 bytes is written with AS4_PATH */
		require(!s.as4 || route->attrs, "a withdrawal fits");
		return;
	}
	require(message_next(room, writer_size(&w), true, &m, &error) == MESSAGE_WHOLE && m.size == writer_size(&w),
		"one whole message");
	require(update_decode(&s, table, m.body, &u) == 0, "memory");
	require(u.fault.reaction == REACTION_NONE, "what we write is well-formed");
	require(update_next(&u, &c, &again), "the route comes back");
	require(route_key_equal(&again.nlri.key, &route->nlri.key), "as the same");
	require((again.attrs != NULL) == (route->attrs != NULL) && !again.treated, "announced or withdrawn as it was");
	done = 0;
	require(update_encode(&s, again.attrs, &again.nlri, 1, &done, &w2) == 0 &&
		writer_size(&w2) == writer_size(&w) && memcmp(room, twice, writer_size(&w)) == 0,
		"writing, reading and writing is the same bytes");
	require(!update_next(&u, &c, &again), "alone");
	update_fini(&u);
}

static void check_fault(const struct update *u)
{
	const struct fault *f = &u->fault;

	require(f->reaction < REACTION_MAX && strlen(reaction_name(f->reaction)) > 0, "a reaction of the table");
	require((f->reaction == REACTION_NONE) == (u->n_faults == 0), "a reaction has a fault");
	require(f->reaction == REACTION_NONE || (f->what && f->section), "a fault has its words");
	require(f->reaction != REACTION_RESET ||
		(f->notification.code == NOTIFICATION_UPDATE && f->notification.subcode > 0), "a reset has its code");
	require((u->disabled != 0) <= (f->reaction >= REACTION_DISABLE_FAMILY), "nothing is disabled silently");
}

static void check_update(const struct update_session *s, struct attrs *table, struct reader body)
{
	struct update_cursor c = {};
	struct update_route route;
	struct update u;
	unsigned n = 0;

	require(update_decode(s, table, body, &u) == 0, "memory");
	check_fault(&u);
	while (update_next(&u, &c, &route)) {
		require(u.fault.reaction != REACTION_RESET, "nothing comes out of a reset");
		require(s->families & ROUTE_FAMILY_BIT(route.nlri.key.family), "only what was agreed");
		require(!(u.disabled & ROUTE_FAMILY_BIT(route.nlri.key.family)), "nothing of a disabled family");
		require(!route.treated || (!route.attrs && u.fault.reaction >= REACTION_WITHDRAW), "treated for a reason");
		check_key(&route.nlri.key);
		if (route.attrs)
			check_attrs(route.attrs);
		if (n++ < 16) /* enough of one message */
			check_again(*s, table, &route);
	}
	update_fini(&u);
	require(attrs_length(table) == 0, "every set is given back");
}

/* A session of any kind from one byte. */
static inline struct update_session session_of(uint8_t bits)
{
	return (struct update_session){
		.external = bits & 1,
		.as4 = bits & 2,
		.own_as = 65000,
		.peer_as = bits & 4 ? 65001 : 0,
		.families = bits & 8 ? ROUTE_FAMILY_BIT(ROUTE_EVPN) : (1u << ROUTE_FAMILY_MAX) - 1,
		.add_path_in = bits & 16 ? ROUTE_FAMILY_BIT(ROUTE_IPV4) | ROUTE_FAMILY_BIT(ROUTE_EVPN) : 0,
		.extended_next_hop = bits & 32 ? ROUTE_FAMILY_BIT(ROUTE_IPV4) : 0,
		.disable_family = bits & 64,
		.extended = bits & 128,
	};
}

#endif
