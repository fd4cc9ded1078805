/* SPDX-License-Identifier: Apache-2.0 */
#include "bgp/aspath.h"

#include "bgp/decode.h"
#include "bgp/open.h"

static bool is_confederation(uint8_t type)
{
	return type == ASPATH_CONFED_SEQUENCE || type == ASPATH_CONFED_SET;
}

/* What is wrong with a path of ASes of `width` bytes, or NULL. */
static const char *check(struct reader r, size_t width, bool confederation)
{
	while (reader_left(&r)) {
		uint8_t type = reader_u8(&r), n = reader_u8(&r);
		struct reader ases = reader_sub(&r, width * n);

		if (!reader_ok(&ases))
			return "segment is longer than the attribute";
		if (type < ASPATH_SET || type > ASPATH_CONFED_SET)
			return "undefined segment type";
		if (n == 0)
			return "segment without an AS";
		if (!confederation && is_confederation(type)) /* RFC 5065 5 */
			return "confederation segment from outside";
		while (reader_left(&ases))
			if ((width == 4 ? reader_u32(&ases) : reader_u16(&ases)) == 0)
				return "AS 0"; /* RFC 7607 2 */
	}
	return NULL;
}

struct attr_error decode_as_path(struct decode *d, uint8_t flags, struct reader value)
{
	const struct update_session *s = d->session;
	const char *what = check(value, s->as4 ? 4 : 2, !s->external);

	if (what)
		return ATTR_WRONG(what);
	d->path = value;
	return ATTR_GOOD;
}

struct attr_error decode_as4_path(struct decode *d, uint8_t flags, struct reader value)
{
	const char *wrong;

	if (d->session->as4) /* RFC 6793 4.1: it has no place between two that know 4 bytes */
		return ATTR_WRONG("from a peer with AS numbers of 4 bytes");
	wrong = reader_left(&value) == 0 ? "no segment" : check(value, 4, true);
	if (wrong)
		return ATTR_WRONG(wrong);
	d->as4_path = value;
	return ATTR_GOOD;
}

struct attr_error decode_aggregator(struct decode *d, uint8_t flags, struct reader value)
{
	bool as4 = d->session->as4;
	uint32_t as;

	if (reader_left(&value) != (as4 ? 8 : 6))
		return ATTR_WRONG_LENGTH(as4 ? "length is not 8" : "length is not 6");
	as = as4 ? reader_u32(&value) : reader_u16(&value);
	if (as == 0)
		return (struct attr_error){.what = "AS 0", .section = "RFC 7607 2"};
	d->attrs.aggregator_as = as;
	d->attrs.aggregator_id = reader_u32(&value);
	d->attrs.has |= ROUTE_HAS_AGGREGATOR;
	return ATTR_GOOD;
}

struct attr_error decode_as4_aggregator(struct decode *d, uint8_t flags, struct reader value)
{
	uint32_t as;

	if (d->session->as4)
		return ATTR_WRONG("from a peer with AS numbers of 4 bytes");
	if (reader_left(&value) != 8)
		return ATTR_WRONG_LENGTH("length is not 8");
	as = reader_u32(&value);
	if (as == 0)
		return (struct attr_error){.what = "AS 0", .section = "RFC 7607 2"};
	d->as4_aggregator_as = as;
	d->as4_aggregator_id = reader_u32(&value);
	return ATTR_GOOD;
}

/* ASes as RFC 4271 9.1.2.2 a counts them: a set is one, confederation segments are none. */
static unsigned count(struct reader r, size_t width)
{
	unsigned total = 0;

	while (reader_left(&r)) {
		uint8_t type = reader_u8(&r), n = reader_u8(&r);

		reader_take(&r, width * n);
		total += type == ASPATH_SEQUENCE ? n : type == ASPATH_SET ? 1 : 0;
	}
	return total;
}

/* The first `hops` ASes of a checked path, in the inside form; a sequence is cut where they end. */
static void copy_leading(struct writer *w, struct reader r, size_t width, unsigned hops)
{
	while (reader_left(&r)) {
		uint8_t type = reader_u8(&r), n = reader_u8(&r), taken = n;
		struct reader ases = reader_sub(&r, width * n);

		if (!is_confederation(type)) {
			if (hops == 0)
				return;
			if (type == ASPATH_SEQUENCE && hops < n)
				taken = (uint8_t)hops;
			hops -= type == ASPATH_SET ? 1 : taken;
		}
		writer_u8(w, type);
		writer_u8(w, taken);
		for (unsigned i = 0; i < taken; i++)
			writer_u32(w, width == 4 ? reader_u32(&ases) : reader_u16(&ases));
	}
}

/* RFC 6793 6: confederation segments in an AS4_PATH are left out */
static void copy_plain(struct writer *w, struct reader r)
{
	while (reader_left(&r)) {
		const uint8_t *start = r.at;
		uint8_t type = reader_u8(&r), n = reader_u8(&r);

		reader_take(&r, 4u * n);
		if (!is_confederation(type))
			writer_bytes(w, start, (size_t)(r.at - start));
	}
}

void decode_merge_paths(struct decode *d)
{
	size_t width = d->session->as4 ? 4 : 2, room = 2 * reader_left(&d->path) + reader_left(&d->as4_path);
	unsigned hops = count(d->path, width), hops4 = count(d->as4_path, 4);
	bool merge = hops4 > 0 && hops4 <= hops; /* RFC 6793 4.2.3: more in AS4_PATH than in AS_PATH: it is ignored */
	struct writer w;

	if ((d->attrs.has & ROUTE_HAS_AGGREGATOR) && d->as4_aggregator_as) {
		if (d->attrs.aggregator_as == AS_TRANS) {
			d->attrs.aggregator_as = d->as4_aggregator_as;
			d->attrs.aggregator_id = d->as4_aggregator_id;
		} else {
			/* RFC 6793 4.2.3: aggregated again by somebody without 4 bytes, the AS4 attributes are stale */
			merge = false;
		}
	}
	if (room == 0)
		return;
	if (width == 4) { /* the common case: it is in the inside form already */
		d->attrs.path = d->path.at;
		d->attrs.path_size = (uint32_t)reader_left(&d->path);
		return;
	}
	w = writer_over(decode_room(d, room), room);
	copy_leading(&w, d->path, width, merge ? hops - hops4 : hops);
	if (merge)
		copy_plain(&w, d->as4_path);
	d->attrs.path = w.start;
	d->attrs.path_size = (uint32_t)writer_size(&w);
}

/* ---- out ---- */

static uint16_t narrow(uint32_t as)
{
	return as > UINT16_MAX ? AS_TRANS : (uint16_t)as;
}

static void put(struct writer *w, uint32_t as, bool as4)
{
	if (as4)
		writer_u32(w, as);
	else
		writer_u16(w, narrow(as));
}

/* A path with n times `as` before it; a first sequence takes them in as far as it has room (RFC 4271 5.1.2 b). */
static void encode(struct writer *w, const struct route_attrs *a, uint32_t as, unsigned n, bool as4, bool confederation)
{
	struct reader r = reader_over(a->path, a->path_size);
	bool first = true;

	while (reader_left(&r) || first) {
		uint8_t type = reader_left(&r) ? reader_u8(&r) : 0, length = type ? reader_u8(&r) : 0;
		struct reader ases = reader_sub(&r, 4u * length);
		bool joined = first && type == ASPATH_SEQUENCE && length + n <= ASPATH_SEGMENT_MAX;

		if (first && n > 0 && !joined) {
			writer_u8(w, ASPATH_SEQUENCE);
			writer_u8(w, (uint8_t)n);
			for (unsigned i = 0; i < n; i++)
				put(w, as, as4);
		}
		if (length > 0 && (confederation || !is_confederation(type))) {
			writer_u8(w, type);
			writer_u8(w, (uint8_t)(length + (joined ? n : 0)));
			for (unsigned i = 0; joined && i < n; i++)
				put(w, as, as4);
			while (reader_left(&ases))
				put(w, reader_u32(&ases), as4);
		}
		first = false;
	}
}

void aspath_encode(struct writer *w, const struct route_attrs *a, uint32_t as, unsigned n, bool as4, bool external)
{
	encode(w, a, as, n, as4, !external);
}

bool aspath_needs_as4(const struct route_attrs *a, uint32_t as, unsigned n)
{
	struct reader r = reader_over(a->path, a->path_size);

	if (n > 0 && as > UINT16_MAX)
		return true;
	while (reader_left(&r)) {
		uint8_t type = reader_u8(&r);

		for (unsigned i = reader_u8(&r); i > 0; i--)
			if (reader_u32(&r) > UINT16_MAX && !is_confederation(type))
				return true;
	}
	return false;
}

void aspath_encode_as4(struct writer *w, const struct route_attrs *a, uint32_t as, unsigned n)
{
	encode(w, a, as, n, true, false);
}
