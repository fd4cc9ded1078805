/* SPDX-License-Identifier: Apache-2.0 */
#include "bgp/open.h"

#include <errno.h>

#include "bgp/message.h"
#include "bgp/nlri.h"

#define VERSION 4
#define PARAMETER_CAPABILITIES 2 /* RFC 5492 4 */
#define PARAMETER_EXTENDED 255   /* RFC 9072 2 */

enum { RESTART_STATE = 0x80, RESTART_NOTIFICATION = 0x40, RESTART_TIME = 0x0fff, FORWARDING = 0x80 };

enum { ADD_PATH_RECEIVE = 1, ADD_PATH_SEND = 2 }; /* RFC 7911 4 */

/* ---- capabilities in: false = a length that it cannot have ---- */

/* Bit of a family that we speak, else 0. */
static uint32_t read_family(struct reader *r)
{
	uint16_t afi = reader_u16(r);
	uint8_t safi = reader_u8(r);
	enum route_family f;

	return family_from_afi(afi, safi, &f) ? ROUTE_FAMILY_BIT(f) : 0;
}

static bool read_multiprotocol(struct open *o, struct reader r)
{
	uint16_t afi = reader_u16(&r);
	enum route_family f;

	reader_u8(&r); /* reserved, RFC 4760 8 */
	if (family_from_afi(afi, reader_u8(&r), &f))
		o->capabilities.families |= ROUTE_FAMILY_BIT(f);
	o->capabilities.has_multiprotocol = true;
	return reader_ok(&r) && !reader_left(&r);
}

static bool read_refresh(struct open *o, struct reader r)
{
	o->capabilities.refresh = true;
	return !reader_left(&r);
}

static bool read_extended_message(struct open *o, struct reader r)
{
	o->capabilities.extended_message = true;
	return !reader_left(&r);
}

static bool read_as4(struct open *o, struct reader r)
{
	o->as = reader_u32(&r);
	o->capabilities.as4 = true;
	return reader_ok(&r) && !reader_left(&r);
}

static bool read_extended_next_hop(struct open *o, struct reader r)
{
	while (reader_left(&r)) {
		uint16_t afi = reader_u16(&r), safi = reader_u16(&r), hop = reader_u16(&r);
		enum route_family f;

		if (safi <= UINT8_MAX && family_from_afi(afi, (uint8_t)safi, &f) && f == ROUTE_IPV4 &&
		    hop == family_afi(ROUTE_IPV6))
			o->capabilities.extended_next_hop |= ROUTE_FAMILY_BIT(f);
	}
	return reader_ok(&r);
}

static bool read_graceful_restart(struct open *o, struct reader r)
{
	struct capabilities *c = &o->capabilities;
	uint16_t head = reader_u16(&r);

	/* RFC 4724 3: of several, the last one counts */
	c->graceful_restart = true;
	c->restarting = head >> 8 & RESTART_STATE;
	c->restart_notification = head >> 8 & RESTART_NOTIFICATION;
	c->restart_s = head & RESTART_TIME;
	c->restart_families = c->forwarding = 0;
	while (reader_left(&r)) {
		uint32_t family = read_family(&r);

		c->restart_families |= family;
		if (reader_u8(&r) & FORWARDING)
			c->forwarding |= family;
	}
	return reader_ok(&r);
}

static bool read_add_path(struct open *o, struct reader r)
{
	struct capabilities *c = &o->capabilities;

	while (reader_left(&r)) {
		uint32_t family = read_family(&r);
		uint8_t mode = reader_u8(&r);

		if (mode == 0 || mode > (ADD_PATH_RECEIVE | ADD_PATH_SEND)) /* RFC 7911 4: ignored */
			continue;
		c->add_path_receive = (c->add_path_receive & ~family) | (mode & ADD_PATH_RECEIVE ? family : 0);
		c->add_path_send = (c->add_path_send & ~family) | (mode & ADD_PATH_SEND ? family : 0);
	}
	return reader_ok(&r);
}

static const struct {
	uint8_t code;
	const char *name;
	bool (*read)(struct open *o, struct reader value);
} rows[] = {
	{CAPABILITY_MULTIPROTOCOL, "multiprotocol", read_multiprotocol},
	{CAPABILITY_REFRESH, "route-refresh", read_refresh},
	{CAPABILITY_EXTENDED_NEXT_HOP, "extended-next-hop", read_extended_next_hop},
	{CAPABILITY_EXTENDED_MESSAGE, "extended-message", read_extended_message},
	{CAPABILITY_GRACEFUL_RESTART, "graceful-restart", read_graceful_restart},
	{CAPABILITY_AS4, "as4", read_as4},
	{CAPABILITY_ADD_PATH, "add-path", read_add_path},
};

#define N_ROWS (sizeof(rows) / sizeof(rows[0]))

const char *capability_name(uint8_t code)
{
	for (size_t i = 0; i < N_ROWS; i++)
		if (rows[i].code == code)
			return rows[i].name;
	return "unknown";
}

/* ---- in ---- */

static int refuse(uint8_t subcode, const uint8_t *data, size_t size, struct notification *error)
{
	*error = (struct notification){NOTIFICATION_OPEN, subcode, data, size};
	return -EPROTO;
}

static bool read_capabilities(struct open *o, struct reader r)
{
	while (reader_left(&r)) {
		uint8_t code = reader_u8(&r);
		struct reader value = reader_sub(&r, reader_u8(&r));

		if (!reader_ok(&value))
			return false;
		for (size_t i = 0; i < N_ROWS; i++)
			if (rows[i].code == code && !rows[i].read(o, value))
				return false;
	}
	return true;
}

static int read_parameters(struct open *o, struct reader r, bool extended, struct notification *error)
{
	while (reader_left(&r)) {
		const uint8_t *start = r.at;
		uint8_t type = reader_u8(&r);
		struct reader value = reader_sub(&r, extended ? reader_u16(&r) : reader_u8(&r));

		if (!reader_ok(&value))
			return refuse(OPEN_UNSPECIFIC, NULL, 0, error);
		if (type != PARAMETER_CAPABILITIES)
			return refuse(OPEN_BAD_PARAMETER, start, (size_t)(r.at - start), error);
		if (!read_capabilities(o, value)) /* RFC 4271 6.2: known, and malformed */
			return refuse(OPEN_UNSPECIFIC, start, (size_t)(r.at - start), error);
	}
	return 0;
}

int open_decode(struct reader body, struct open *out, struct notification *error)
{
	static const uint8_t version[2] = {0, VERSION};
	struct open o = {};
	bool extended = false;
	uint8_t its_version;
	size_t size;
	int r;

	its_version = reader_u8(&body);
	o.as = reader_u16(&body);
	o.hold_s = reader_u16(&body);
	o.id = reader_u32(&body);
	size = reader_u8(&body);
	if (!reader_ok(&body))
		return refuse(OPEN_UNSPECIFIC, NULL, 0, error);
	if (its_version != VERSION)
		return refuse(OPEN_BAD_VERSION, version, sizeof(version), error);
	/* RFC 9072 2: the type tells the form, and the short size then means nothing but that it is not 0 */
	if (size > 0 && reader_left(&body) > 0 && body.at[0] == PARAMETER_EXTENDED) {
		extended = true;
		reader_u8(&body);
		size = reader_u16(&body);
	}
	if (!reader_ok(&body) || size != reader_left(&body))
		return refuse(OPEN_UNSPECIFIC, NULL, 0, error);
	r = read_parameters(&o, body, extended, error);
	if (r < 0)
		return r;
	if (o.as == 0) /* RFC 7607 2 */
		return refuse(OPEN_BAD_PEER_AS, NULL, 0, error);
	if (o.id == 0) /* RFC 6286 2.2 */
		return refuse(OPEN_BAD_ID, NULL, 0, error);
	if (o.hold_s == 1 || o.hold_s == 2) /* RFC 4271 6.2 */
		return refuse(OPEN_BAD_HOLD_TIME, NULL, 0, error);
	if (!o.capabilities.has_multiprotocol)
		o.capabilities.families = ROUTE_FAMILY_BIT(ROUTE_IPV4);
	*out = o;
	return 0;
}

/* ---- out ---- */

static size_t begin(struct writer *w, enum capability_code code)
{
	writer_u8(w, (uint8_t)code);
	return writer_mark(w, 1);
}

static void put_family(struct writer *w, enum route_family f)
{
	writer_u16(w, family_afi(f));
	writer_u8(w, family_safi(f));
}

void capability_encode_family(struct writer *w, enum route_family f)
{
	size_t mark = begin(w, CAPABILITY_MULTIPROTOCOL);

	writer_u16(w, family_afi(f));
	writer_u8(w, 0);
	writer_u8(w, family_safi(f));
	writer_set_u8(w, mark);
}

static void put_graceful_restart(struct writer *w, const struct capabilities *c)
{
	size_t mark = begin(w, CAPABILITY_GRACEFUL_RESTART);

	writer_u16(w, (uint16_t)((c->restarting ? RESTART_STATE << 8 : 0) |
				 (c->restart_notification ? RESTART_NOTIFICATION << 8 : 0) |
				 (c->restart_s & RESTART_TIME)));
	for (unsigned f = 0; f < ROUTE_FAMILY_MAX; f++)
		if (c->restart_families & ROUTE_FAMILY_BIT(f)) {
			put_family(w, f);
			writer_u8(w, c->forwarding & ROUTE_FAMILY_BIT(f) ? FORWARDING : 0);
		}
	writer_set_u8(w, mark);
}

static void put_add_path(struct writer *w, const struct capabilities *c)
{
	size_t mark = begin(w, CAPABILITY_ADD_PATH);

	for (unsigned f = 0; f < ROUTE_FAMILY_MAX; f++)
		if ((c->add_path_receive | c->add_path_send) & ROUTE_FAMILY_BIT(f)) {
			put_family(w, f);
			writer_u8(w, (c->add_path_receive & ROUTE_FAMILY_BIT(f) ? ADD_PATH_RECEIVE : 0) |
				     (c->add_path_send & ROUTE_FAMILY_BIT(f) ? ADD_PATH_SEND : 0));
		}
	writer_set_u8(w, mark);
}

static void put_capabilities(struct writer *w, const struct open *o)
{
	const struct capabilities *c = &o->capabilities;
	size_t mark;

	for (unsigned f = 0; f < ROUTE_FAMILY_MAX; f++)
		if (c->has_multiprotocol && (c->families & ROUTE_FAMILY_BIT(f)))
			capability_encode_family(w, f);
	if (c->refresh)
		writer_set_u8(w, begin(w, CAPABILITY_REFRESH));
	if (c->extended_next_hop & ROUTE_FAMILY_BIT(ROUTE_IPV4)) {
		mark = begin(w, CAPABILITY_EXTENDED_NEXT_HOP);
		writer_u16(w, family_afi(ROUTE_IPV4));
		writer_u16(w, family_safi(ROUTE_IPV4));
		writer_u16(w, family_afi(ROUTE_IPV6));
		writer_set_u8(w, mark);
	}
	if (c->extended_message)
		writer_set_u8(w, begin(w, CAPABILITY_EXTENDED_MESSAGE));
	if (c->graceful_restart)
		put_graceful_restart(w, c);
	if (c->as4) {
		mark = begin(w, CAPABILITY_AS4);
		writer_u32(w, o->as);
		writer_set_u8(w, mark);
	}
	if (c->add_path_receive | c->add_path_send)
		put_add_path(w, c);
}

void open_encode(struct writer *w, const struct open *o)
{
	size_t message = message_begin(w, MESSAGE_OPEN), parameters, capabilities;

	writer_u8(w, VERSION);
	writer_u16(w, o->as > UINT16_MAX ? AS_TRANS : (uint16_t)o->as);
	writer_u16(w, o->hold_s);
	writer_u32(w, o->id);
	parameters = writer_mark(w, 1);
	writer_u8(w, PARAMETER_CAPABILITIES); /* one for all, RFC 5492 4 */
	capabilities = writer_mark(w, 1);
	put_capabilities(w, o);
	if (writer_ok(w) && writer_size(w) == capabilities + 1)
		w->at = w->start + parameters + 1; /* none: no parameter either */
	else
		writer_set_u8(w, capabilities);
	writer_set_u8(w, parameters);
	message_end(w, message);
}
