/* SPDX-License-Identifier: Apache-2.0 */
/*
 * update.c - the UPDATE message on its way in.
 *
 *	withdrawn size 2 | withdrawn IPv4 | attributes size 2 | attributes | IPv4 NLRI up to the end of the message
 */
#include "bgp/update.h"

#include <errno.h>

#include "bgp/decode.h"
#include "lib/cleanup.h"

#define N_SECTIONS 4

/* ---- faults ---- */

static void blame(struct update *u, struct fault fault)
{
	u->n_faults++;
	u->treat |= fault.reaction == REACTION_WITHDRAW;
	if (fault.reaction > u->fault.reaction) /* RFC 7606 3 h */
		u->fault = fault;
}

static struct notification update_error(uint8_t subcode, const uint8_t *data, size_t size)
{
	return (struct notification){NOTIFICATION_UPDATE, subcode, data, size};
}

static void blame_list(struct update *u, enum reaction r, const char *what, const char *section)
{
	blame(u, (struct fault){r, 0, what, section, update_error(UPDATE_MALFORMED_ATTRIBUTES, NULL, 0)});
}

/* ---- the walk over the attributes ---- */

static void blame_attr(struct update *u, uint8_t type, struct reader whole, const struct attr_row *row,
		       const struct attr_error *e, enum reaction usual)
{
	uint8_t subcode = e->subcode ? e->subcode : row ? row->subcode : UPDATE_BAD_OPTIONAL;
	bool data = subcode != UPDATE_MALFORMED_PATH && subcode != UPDATE_MALFORMED_ATTRIBUTES; /* RFC 4271 6.3 */

	blame(u, (struct fault){
			 .reaction = e->reaction ? e->reaction : usual,
			 .attr = type,
			 .what = e->what,
			 .section = e->section ? e->section : row ? row->section : NULL,
			 .notification = update_error(subcode, data ? whole.at : NULL, data ? reader_left(&whole) : 0),
		 });
}

static void take_unknown(struct update *u, uint8_t type, uint8_t flags, struct reader whole)
{
	/*
	 * RFC 4271 6.3 resets here.  But what is not known may well be optional and have lost a bit on the way, which
	 * RFC 7606 3 c answers by treat-as-withdraw; a session is not lost over what one route carries.
	 */
	if (!(flags & ATTR_OPTIONAL))
		blame_attr(u, type, whole, NULL,
			   &(struct attr_error){.what = "unrecognized well-known attribute",
						.subcode = UPDATE_UNRECOGNIZED_WELL_KNOWN, .section = "RFC 7606 3 c"},
			   REACTION_WITHDRAW);
	/* RFC 4271 5 keeps optional transitive ones to be passed on; a leaf passes nothing on. */
}

static void take(struct update *u, struct decode *d, uint8_t type, uint8_t flags, struct reader whole,
		 struct reader value)
{
	const struct attr_row *row = attr_row(type);
	struct attr_error e = {};
	enum reaction usual;

	if (decode_has(d, type)) { /* RFC 7606 3 g: the first counts, but which NLRI are meant must be beyond doubt */
		bool mp = type == ATTR_MP_REACH || type == ATTR_MP_UNREACH;

		blame_attr(u, type, whole, NULL,
			   &(struct attr_error){.what = "appears more than once",
						.subcode = UPDATE_MALFORMED_ATTRIBUTES, .section = "RFC 7606 3 g"},
			   mp ? REACTION_RESET : REACTION_DISCARD);
		return;
	}
	decode_mark(d->seen, type);
	if (!row) {
		take_unknown(u, type, flags, whole);
		return;
	}
	usual = d->session->external ? row->external : row->internal;
	if (row->internal_only && d->session->external) {
		e.what = "from an external peer";
	} else {
		e = row->decode(d, flags, value);
		/* RFC 7606 3 c.  Behind the decoder, as the routes that it found in MP_REACH are to be withdrawn. */
		if (((flags ^ row->flags) & (ATTR_OPTIONAL | ATTR_TRANSITIVE)) &&
		    (e.what ? e.reaction ? e.reaction : usual : REACTION_NONE) < REACTION_WITHDRAW)
			e = (struct attr_error){"flags contradict the attribute", UPDATE_BAD_FLAGS, REACTION_WITHDRAW,
						"RFC 7606 3 c"};
	}
	if (e.what)
		blame_attr(u, type, whole, row, &e, usual);
}

static void walk(struct update *u, struct decode *d, struct reader attrs)
{
	while (reader_left(&attrs)) {
		struct reader whole = attrs, value;
		uint8_t flags = reader_u8(&attrs), type = reader_u8(&attrs);
		size_t size = flags & ATTR_EXTENDED_LENGTH ? reader_u16(&attrs) : reader_u8(&attrs);

		value = reader_sub(&attrs, size);
		whole.end = attrs.at;
		if (!reader_ok(&value)) {
			/*
			 * RFC 7606 4: the lengths of the parts of the message hold, so its NLRI can be withdrawn; those
			 * of an MP attribute that is cut off cannot, 3 j.
			 */
			bool mp = (type == ATTR_MP_REACH || type == ATTR_MP_UNREACH) && !decode_has(d, type);

			blame_attr(u, type, whole, NULL,
				   &(struct attr_error){.what = "exceeds the attributes",
							.subcode = mp ? UPDATE_BAD_OPTIONAL : UPDATE_BAD_LENGTH,
							.section = mp ? "RFC 7606 3 j" : "RFC 7606 4"},
				   mp ? REACTION_RESET : REACTION_WITHDRAW);
			decode_mark(d->seen, type);
			return;
		}
		take(u, d, type, flags, whole, value);
	}
}

/* ---- what takes more than one attribute ---- */

static void blame_missing(struct update *u, uint8_t type)
{
	static const uint8_t numbers[] = {
		[ATTR_ORIGIN] = ATTR_ORIGIN,
		[ATTR_AS_PATH] = ATTR_AS_PATH,
		[ATTR_NEXT_HOP] = ATTR_NEXT_HOP,
		[ATTR_LOCAL_PREF] = ATTR_LOCAL_PREF,
	};

	blame(u, (struct fault){REACTION_WITHDRAW, type, "missing", "RFC 7606 3 d",
				update_error(UPDATE_MISSING_WELL_KNOWN, &numbers[type], 1)});
}

static bool has_target(const struct route_attrs *a)
{
	for (uint32_t i = 0; i < a->n_extended; i++)
		if (extended_is_target(a->extended[i]) || extended_type(a->extended[i]) == EXTENDED_ES_IMPORT)
			return true;
	return false;
}

static uint32_t first_as(const struct decode *d)
{
	struct reader r = reader_over(d->attrs.path, d->attrs.path_size);

	if (reader_u8(&r) != 2 /* AS_SEQUENCE */ || reader_u8(&r) == 0)
		return 0;
	return reader_u32(&r);
}

/* Of a message with reachable routes. */
static void settle(struct update *u, struct decode *d)
{
	const struct update_session *s = d->session;
	bool classic = reader_left(&u->nlri);

	if (!decode_has(d, ATTR_ORIGIN))
		blame_missing(u, ATTR_ORIGIN);
	if (!decode_has(d, ATTR_AS_PATH))
		blame_missing(u, ATTR_AS_PATH);
	else if (s->external && !u->treat && s->peer_as && first_as(d) != s->peer_as)
		blame(u, (struct fault){REACTION_WITHDRAW, ATTR_AS_PATH, "does not begin with the peer's AS",
					"RFC 7606 7.2", update_error(UPDATE_MALFORMED_PATH, NULL, 0)});
	if (!s->external && !decode_has(d, ATTR_LOCAL_PREF)) /* RFC 4271 5.1.5: internal peers have to send it */
		blame_missing(u, ATTR_LOCAL_PREF);
	if (classic && !decode_has(d, ATTR_NEXT_HOP))
		blame_missing(u, ATTR_NEXT_HOP);
	else if (classic && d->next_hop_martian)
		blame(u, (struct fault){REACTION_WITHDRAW, ATTR_NEXT_HOP, "no router's address", "RFC 4271 6.3",
					update_error(UPDATE_BAD_NEXT_HOP, NULL, 0)});
	if (reader_left(&u->mp_reach) && u->mp_reach_family == ROUTE_EVPN && !has_target(&d->attrs)) /* RFC 7432 7 */
		blame(u, (struct fault){REACTION_WITHDRAW, ATTR_EXTENDED_COMMUNITIES,
					"EVPN route without a route target", "RFC 7432 7.1",
					update_error(UPDATE_BAD_OPTIONAL, NULL, 0)});
}

/* ---- routes ---- */

struct section {
	const struct reader *routes;
	uint8_t family;
	uint8_t attr; /* that they stand in, 0 = none */
	bool withdraw;
	const struct route_attrs *attrs;
};

static struct section section_of(const struct update *u, unsigned i)
{
	switch (i) {
	case 0:
		return (struct section){&u->withdrawn, ROUTE_IPV4, 0, true, NULL};
	case 1:
		return (struct section){&u->mp_unreach, u->mp_unreach_family, ATTR_MP_UNREACH, true, NULL};
	case 2:
		return (struct section){&u->nlri, ROUTE_IPV4, 0, false, u->attrs};
	default:
		return (struct section){&u->mp_reach, u->mp_reach_family, ATTR_MP_REACH, false, u->mp_attrs};
	}
}

static bool has_path_id(const struct update *u, uint8_t family)
{
	return u->add_path & ROUTE_FAMILY_BIT(family);
}

/* Reads the routes of one section once, to know what they are worth before any of them counts. */
static void check_routes(struct update *u, const struct update_session *s, unsigned i)
{
	struct section section = section_of(u, i);
	struct reader r = *section.routes;
	struct route_nlri n;
	const char *why = NULL;

	while (reader_left(&r)) {
		switch (nlri_next(&r, section.family, has_path_id(u, section.family), section.withdraw, &n, &why)) {
		case NLRI_GOOD:
			break;
		case NLRI_SKIPPED:
			u->n_skipped++;
			break;
		case NLRI_BAD:
			u->n_bad++;
			/* fallthrough */
		case NLRI_WITHDRAW:
			blame(u, (struct fault){REACTION_WITHDRAW, section.attr, why,
						section.family == ROUTE_EVPN ? "RFC 7606 5.4" : "RFC 4271 6.3",
						update_error(UPDATE_BAD_NETWORK, NULL, 0)});
			break;
		case NLRI_LOST: {
			bool mp = section.attr != 0;
			enum reaction reaction = mp && s->disable_family ? REACTION_DISABLE_FAMILY : REACTION_RESET;

			blame(u, (struct fault){reaction, section.attr, why, mp ? "RFC 7606 5.3" : "RFC 7606 3 j",
						update_error(mp ? UPDATE_BAD_OPTIONAL : UPDATE_BAD_NETWORK, NULL, 0)});
			if (reaction == REACTION_DISABLE_FAMILY)
				u->disabled |= ROUTE_FAMILY_BIT(section.family);
			return;
		}
		}
	}
}

static void drop_disabled(struct update *u)
{
	if (u->disabled & ROUTE_FAMILY_BIT(ROUTE_IPV4))
		u->withdrawn = u->nlri = (struct reader){};
	if (u->disabled & ROUTE_FAMILY_BIT(u->mp_unreach_family))
		u->mp_unreach = (struct reader){};
	if (u->disabled & ROUTE_FAMILY_BIT(u->mp_reach_family))
		u->mp_reach = (struct reader){};
}

/* ---- the message ---- */

static int end_of_rib(const struct decode *d, struct reader body, struct reader attrs)
{
	const struct decode_mp *m = &d->unreach;
	struct reader r = attrs;
	uint8_t flags;

	if (reader_left(&body) == 4) /* both sizes are 0 */
		return d->session->families & ROUTE_FAMILY_BIT(ROUTE_IPV4) ? ROUTE_IPV4 : -1;
	if (!m->known || reader_left(&m->nlri))
		return -1;
	flags = reader_u8(&r); /* nothing but this attribute */
	reader_take(&r, flags & ATTR_EXTENDED_LENGTH ? 6 : 5);
	return reader_left(&attrs) + 4 == reader_left(&body) && reader_ok(&r) && reader_left(&r) == 0 ? m->family : -1;
}

/* Attributes other than MP_UNREACH_NLRI, and no route to treat as withdrawn because of them (RFC 7606 5.2)? */
static bool is_barren(const struct decode *d, struct reader nlri)
{
	if (reader_left(&nlri) || (d->reach.present && reader_left(&d->reach.nlri)))
		return false;
	for (unsigned i = 0; i < 8; i++)
		if (d->seen[i] & ~(i == ATTR_MP_UNREACH / 32 ? 1u << ATTR_MP_UNREACH % 32 : 0))
			return true;
	return false;
}

static int intern(struct update *u, struct decode *d, struct attrs *table)
{
	const struct route_attrs *classic = NULL, *mp = NULL;
	int r = 0;

	if (reader_left(&u->nlri))
		r = attrs_intern_for(table, &d->attrs, d->session->account, &classic);
	if (r == 0 && reader_left(&u->mp_reach)) {
		d->attrs.next_hop = d->reach.next_hop;
		d->attrs.link_local = d->reach.link_local;
		r = attrs_intern_for(table, &d->attrs, d->session->account, &mp);
	}
	if (r < 0) {
		attrs_unref(table, classic);
		return r;
	}
	u->attrs = classic;
	u->mp_attrs = mp;
	return 0;
}

/* What the message says, but for the interning; true: its routes come with attributes. */
static bool judge(struct update *u, struct decode *d, struct reader body)
{
	const struct update_session *s = d->session;
	struct reader r = body, withdrawn = reader_sub(&r, reader_u16(&r)), attrs = reader_sub(&r, reader_u16(&r));
	bool treat;

	if (!reader_ok(&attrs)) {
		blame_list(u, REACTION_RESET, "parts exceed the message", "RFC 7606 3 b");
		return false;
	}
	u->withdrawn = withdrawn;
	u->nlri = r;
	if ((reader_left(&withdrawn) || reader_left(&r)) && !(s->families & ROUTE_FAMILY_BIT(ROUTE_IPV4))) {
		blame(u, (struct fault){REACTION_DISCARD, 0, "IPv4 unicast was not negotiated", "RFC 4760 8", {}});
		u->withdrawn = u->nlri = (struct reader){};
	}
	walk(u, d, attrs);
	if (d->reach.known)
		u->mp_reach_family = d->reach.family;
	if (d->unreach.known) {
		u->mp_unreach_family = d->unreach.family;
		u->mp_unreach = d->unreach.nlri;
	}
	if (d->reach.known && d->reach.present)
		u->mp_reach = d->reach.nlri;
	if (u->fault.reaction == REACTION_DISABLE_FAMILY) /* of the walk: that of MP_REACH */
		u->disabled |= ROUTE_FAMILY_BIT(u->mp_reach_family);
	drop_disabled(u);
	decode_merge_paths(d);
	if (reader_left(&u->nlri) || reader_left(&u->mp_reach))
		settle(u, d);
	treat = u->treat; /* all reachable routes of the message; from here on, single ones are at fault */
	if (treat && is_barren(d, r)) {
		struct fault f = u->fault;

		f.reaction = REACTION_RESET;
		f.section = "RFC 7606 5.2";
		blame(u, f);
		u->n_faults--; /* the same one */
	}
	for (unsigned i = 0; i < N_SECTIONS; i++)
		check_routes(u, s, i);
	drop_disabled(u);
	u->end_of_rib = end_of_rib(d, body, attrs);
	return !treat && u->fault.reaction != REACTION_RESET;
}

int update_decode(const struct update_session *s, struct attrs *table, struct reader body, struct update *out)
{
	size_t room = 2 * reader_left(&body) + 256;
	_cleanup_(free) void *large = NULL;
	struct update u = {.end_of_rib = -1, .add_path = s->add_path_in, .table = table};
	struct decode d;
	int r;

	memset(&d, 0, offsetof(struct decode, scratch)); /* the rest is written before it is read */
	d.session = s;
	d.room = d.scratch;
	d.room_end = d.scratch + sizeof(d.scratch);
	if (room > sizeof(d.scratch)) {
		large = malloc(room);
		if (!large)
			return -ENOMEM;
		d.room = large;
		d.room_end = d.room + room;
	}
	if (judge(&u, &d, body)) {
		r = intern(&u, &d, table);
		if (r < 0)
			return r;
	}
	if (u.fault.reaction == REACTION_RESET)
		u.withdrawn = u.nlri = u.mp_unreach = u.mp_reach = (struct reader){};
	*out = u;
	return 0;
}

void update_fini(struct update *u)
{
	attrs_unref(u->table, u->attrs);
	attrs_unref(u->table, u->mp_attrs);
	u->attrs = u->mp_attrs = NULL;
}

bool update_next(const struct update *u, struct update_cursor *c, struct update_route *out)
{
	for (; c->section < N_SECTIONS; c->section++, c->entered = false) {
		struct section section = section_of(u, c->section);
		const char *why;

		if (!c->entered) {
			c->rest = *section.routes;
			c->entered = true;
		}
		while (reader_left(&c->rest)) {
			enum nlri_verdict v = nlri_next(&c->rest, section.family, has_path_id(u, section.family),
							section.withdraw, &out->nlri, &why);

			if (v != NLRI_GOOD && v != NLRI_WITHDRAW)
				continue;
			out->attrs = v == NLRI_GOOD ? section.attrs : NULL;
			out->treated = !section.withdraw && !out->attrs;
			return true;
		}
	}
	return false;
}
