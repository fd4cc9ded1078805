/* SPDX-License-Identifier: Apache-2.0 */
/*
 * update_encode.c - the UPDATE message on its way out: one set of attributes, as many routes as fit.
 *
 *	header 19 | withdrawn size 2 | withdrawn IPv4 | attributes size 2 | [MP_REACH or MP_UNREACH] others | IPv4 NLRI
 */
#include <errno.h>

#include "bgp/aspath.h"
#include "bgp/open.h"
#include "bgp/update.h"

#define DEFAULT_LOCAL_PREF 100

struct outgoing {
	const struct update_session *session;
	const struct route_attrs *attrs;
	bool mp; /* routes and next hop stand in MP_REACH_NLRI */
};

/* Header of an attribute whose value follows; flags without the extended length, which is always written. */
static size_t begin(struct writer *w, uint8_t flags, uint8_t type)
{
	writer_u8(w, flags | ATTR_EXTENDED_LENGTH);
	writer_u8(w, type);
	return writer_mark(w, 2);
}

static void header(struct writer *w, uint8_t flags, uint8_t type, size_t size)
{
	bool extended = size > UINT8_MAX;

	writer_u8(w, flags | (extended ? ATTR_EXTENDED_LENGTH : 0));
	writer_u8(w, type);
	if (extended)
		writer_u16(w, (uint16_t)size);
	else
		writer_u8(w, (uint8_t)size);
}

static void put_u32(struct writer *w, uint8_t flags, uint8_t type, uint32_t v)
{
	header(w, flags, type, 4);
	writer_u32(w, v);
}

static void put_u32s(struct writer *w, uint8_t flags, uint8_t type, const uint32_t *v, uint32_t n)
{
	if (n == 0)
		return;
	header(w, flags, type, 4 * (size_t)n);
	for (uint32_t i = 0; i < n; i++)
		writer_u32(w, v[i]);
}

static void put_path(struct writer *w, const struct outgoing *o)
{
	const struct update_session *s = o->session;
	size_t mark = begin(w, ATTR_TRANSITIVE, ATTR_AS_PATH);

	aspath_encode(w, o->attrs, s->own_as, o->session->external, s->as4, s->external);
	writer_set_u16(w, mark);
}

static void put_aggregator(struct writer *w, const struct outgoing *o)
{
	const struct route_attrs *a = o->attrs;
	bool as4 = o->session->as4;

	header(w, ATTR_OPTIONAL | ATTR_TRANSITIVE, ATTR_AGGREGATOR, as4 ? 8 : 6);
	if (as4)
		writer_u32(w, a->aggregator_as);
	else
		writer_u16(w, a->aggregator_as > UINT16_MAX ? AS_TRANS : (uint16_t)a->aggregator_as);
	writer_u32(w, a->aggregator_id);
}

static void put_extended(struct writer *w, const struct outgoing *o)
{
	const struct route_attrs *a = o->attrs;
	uint32_t n = 0;

	/* RFC 4360 6: non-transitive ones stay within the AS */
	for (uint32_t i = 0; i < a->n_extended; i++)
		n += !(o->session->external && a->extended[i] >> 62 & 1);
	if (n == 0)
		return;
	header(w, ATTR_OPTIONAL | ATTR_TRANSITIVE, ATTR_EXTENDED_COMMUNITIES, 8 * (size_t)n);
	for (uint32_t i = 0; i < a->n_extended; i++)
		if (!(o->session->external && a->extended[i] >> 62 & 1))
			writer_u64(w, a->extended[i]);
}

static void put_as4(struct writer *w, const struct outgoing *o) /* RFC 6793 4.2.2 */
{
	const struct route_attrs *a = o->attrs;
	const uint8_t flags = ATTR_OPTIONAL | ATTR_TRANSITIVE;

	if (aspath_needs_as4(a, o->session->own_as, o->session->external)) {
		size_t mark = begin(w, flags, ATTR_AS4_PATH);

		aspath_encode_as4(w, a, o->session->own_as, o->session->external);
		writer_set_u16(w, mark);
	}
	if ((a->has & ROUTE_HAS_AGGREGATOR) && a->aggregator_as > UINT16_MAX) {
		header(w, flags, ATTR_AS4_AGGREGATOR, 8);
		writer_u32(w, a->aggregator_as);
		writer_u32(w, a->aggregator_id);
	}
}

static void put_large(struct writer *w, const struct route_attrs *a)
{
	if (a->n_large == 0)
		return;
	header(w, ATTR_OPTIONAL | ATTR_TRANSITIVE, ATTR_LARGE_COMMUNITIES, 12 * (size_t)a->n_large);
	for (uint32_t i = 0; i < a->n_large; i++)
		for (int part = 0; part < 3; part++)
			writer_u32(w, a->large[i].part[part]);
}

/* All attributes but the MP ones, by type. */
static void put_attrs(struct writer *w, const struct outgoing *o)
{
	const struct route_attrs *a = o->attrs;
	const uint8_t transitive = ATTR_OPTIONAL | ATTR_TRANSITIVE;
	bool internal = !o->session->external;

	header(w, ATTR_TRANSITIVE, ATTR_ORIGIN, 1);
	writer_u8(w, a->origin);
	put_path(w, o);
	if (!o->mp) {
		header(w, ATTR_TRANSITIVE, ATTR_NEXT_HOP, 4);
		writer_bytes(w, a->next_hop.bytes + 12, 4);
	}
	/* RFC 4271 5.1.4: not from one AS to a third */
	if ((a->has & ROUTE_HAS_MED) && (internal || a->path_size == 0))
		put_u32(w, ATTR_OPTIONAL, ATTR_MED, a->med);
	if (internal)
		put_u32(w, ATTR_TRANSITIVE, ATTR_LOCAL_PREF,
			a->has & ROUTE_HAS_LOCAL_PREF ? a->local_pref : DEFAULT_LOCAL_PREF);
	if (a->has & ROUTE_HAS_ATOMIC_AGGREGATE)
		header(w, ATTR_TRANSITIVE, ATTR_ATOMIC_AGGREGATE, 0);
	if (a->has & ROUTE_HAS_AGGREGATOR)
		put_aggregator(w, o);
	put_u32s(w, transitive, ATTR_COMMUNITIES, a->communities, a->n_communities);
	if (internal && (a->has & ROUTE_HAS_ORIGINATOR_ID))
		put_u32(w, ATTR_OPTIONAL, ATTR_ORIGINATOR_ID, a->originator_id);
	if (internal)
		put_u32s(w, ATTR_OPTIONAL, ATTR_CLUSTER_LIST, a->clusters, a->n_clusters);
	put_extended(w, o);
	if (!o->session->as4)
		put_as4(w, o);
	if (a->pmsi_size) {
		header(w, transitive, ATTR_PMSI, a->pmsi_size);
		writer_bytes(w, a->pmsi, a->pmsi_size);
	}
	put_large(w, a);
}

static void put_family(struct writer *w, enum route_family f)
{
	writer_u16(w, family_afi(f));
	writer_u8(w, family_safi(f));
}

static void put_next_hop(struct writer *w, const struct outgoing *o, enum route_family f)
{
	const struct route_attrs *a = o->attrs;
	bool v4 = f == ROUTE_EVPN && addr_is_v4(&a->next_hop);
	bool both = f != ROUTE_EVPN && !addr_is_unspecified(&a->link_local);

	writer_u8(w, v4 ? 4 : both ? 32 : 16);
	writer_bytes(w, a->next_hop.bytes + (v4 ? 12 : 0), v4 ? 4 : 16);
	if (both)
		writer_bytes(w, a->link_local.bytes, 16);
	writer_u8(w, 0); /* reserved */
}

/* Routes from *done on, as long as `keep` bytes of room are left behind them. */
static void put_routes(struct writer *w, size_t keep, const struct route_nlri *routes, size_t n, size_t *done,
		       bool add_path)
{
	while (*done < n && nlri_size(&routes[*done], add_path) + keep <= writer_room(w))
		nlri_encode(w, &routes[(*done)++], add_path);
}

int update_encode(const struct update_session *s, const struct route_attrs *attrs, const struct route_nlri *routes,
		  size_t n, size_t *done, struct writer *w)
{
	enum route_family f = routes[*done].key.family;
	bool add_path = s->add_path_out & ROUTE_FAMILY_BIT(f);
	size_t most = s->extended ? MESSAGE_EXTENDED_MAX : MESSAGE_MAX, next = *done, start, field, part, keep = 0;
	struct writer message = writer_over(w->at, writer_room(w) < most ? writer_room(w) : most);
	struct outgoing o = {.session = s, .attrs = attrs, .mp = f != ROUTE_IPV4};

	if (attrs && f == ROUTE_IPV4 && !addr_is_v4(&attrs->next_hop)) {
		if (!(s->extended_next_hop & ROUTE_FAMILY_BIT(f)))
			return -EAFNOSUPPORT;
		o.mp = true;
	}
	start = message_begin(&message, MESSAGE_UPDATE);
	field = writer_mark(&message, 2);
	if (!attrs && !o.mp) {
		put_routes(&message, 2, routes, n, &next, add_path);
		writer_set_u16(&message, field);
		writer_u16(&message, 0);
	} else {
		field = writer_mark(&message, 2);
		if (o.mp) { /* RFC 7606 5.1: first of all */
			if (attrs) {
				struct writer trial = writer_over(message.at, writer_room(&message));

				put_attrs(&trial, &o); /* written here only to learn their size */
				if (!writer_ok(&trial))
					return -EMSGSIZE;
				keep = writer_size(&trial);
			}
			part = begin(&message, ATTR_OPTIONAL, attrs ? ATTR_MP_REACH : ATTR_MP_UNREACH);
			put_family(&message, f);
			if (attrs)
				put_next_hop(&message, &o, f);
			put_routes(&message, keep, routes, n, &next, add_path);
			writer_set_u16(&message, part);
		}
		if (attrs)
			put_attrs(&message, &o);
		writer_set_u16(&message, field);
		if (!o.mp)
			put_routes(&message, 0, routes, n, &next, add_path);
	}
	message_end(&message, start);
	if (!writer_ok(&message) || next == *done)
		return -EMSGSIZE;
	w->at = message.at;
	*done = next;
	return 0;
}

void update_encode_end_of_rib(struct writer *w, enum route_family f)
{
	size_t start = message_begin(w, MESSAGE_UPDATE), field, part;

	writer_u16(w, 0);
	field = writer_mark(w, 2);
	if (f != ROUTE_IPV4) {
		part = begin(w, ATTR_OPTIONAL, ATTR_MP_UNREACH);
		put_family(w, f);
		writer_set_u16(w, part);
	}
	writer_set_u16(w, field);
	message_end(w, start);
}
