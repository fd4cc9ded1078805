/* SPDX-License-Identifier: Apache-2.0 */
/*
 * MP_REACH_NLRI and MP_UNREACH_NLRI: family, next hop, and where the NLRI are (RFC 4760 3 and 4).
 *
 *	AFI 2  SAFI 1  length 1  next hop 4|16|32  reserved 1  NLRI ...
 *	AFI 2  SAFI 1  withdrawn NLRI ...
 */
#include "bgp/decode.h"

/* RFC 4760 3, RFC 2545 3, RFC 8950 4, RFC 7432 7: the lengths that a next hop of the family can have */
static bool next_hop_fits(const struct update_session *s, enum route_family f, size_t size)
{
	switch (f) {
	case ROUTE_IPV4:
		return size == 4 || ((size == 16 || size == 32) && (s->extended_next_hop & ROUTE_FAMILY_BIT(f)));
	case ROUTE_IPV6:
		return size == 16 || size == 32;
	default:
		return size == 4 || size == 16;
	}
}

/* What follows when the NLRI of a family cannot be found: RFC 7606 7.11 leaves the choice. */
static enum reaction lost(const struct decode *d)
{
	return d->session->disable_family ? REACTION_DISABLE_FAMILY : REACTION_RESET;
}

struct attr_error decode_mp_reach(struct decode *d, uint8_t flags, struct reader value)
{
	const struct update_session *s = d->session;
	uint16_t afi = reader_u16(&value);
	uint8_t safi = reader_u8(&value);
	struct reader hop = reader_sub(&value, reader_u8(&value));
	enum route_family f;
	bool known = family_from_afi(afi, safi, &f) && (s->families & ROUTE_FAMILY_BIT(f));
	size_t size = reader_left(&hop);

	reader_u8(&value); /* reserved, to be ignored (RFC 4760 3) */
	if (known) {
		d->reach.known = true;
		d->reach.family = (uint8_t)f;
	}
	if (!reader_ok(&value))
		return (struct attr_error){.what = "shorter than its next hop",
					   .reaction = known ? lost(d) : REACTION_RESET};
	d->reach.present = true;
	d->reach.nlri = value;
	if (!known)
		return (struct attr_error){.what = "family was not negotiated", .reaction = REACTION_DISCARD,
					   .section = "RFC 4760 8"};
	if (!next_hop_fits(s, f, size))
		return (struct attr_error){.what = "next hop has a length that its family does not have",
					   .reaction = lost(d)};
	if (size == 4) {
		d->reach.next_hop = addr_from_v4(hop.at);
	} else {
		reader_copy(&hop, d->reach.next_hop.bytes, 16);
		if (size == 32)
			reader_copy(&hop, d->reach.link_local.bytes, 16);
	}
	/* RFC 2545 3: the second address is link-local; another one is not believed */
	if (!addr_is_link_local(&d->reach.link_local) || addr_is_v4(&d->reach.link_local))
		d->reach.link_local = (struct addr){};
	if (next_hop_is_martian(&d->reach.next_hop)) /* the routes are of no use, but their framing is sound */
		return (struct attr_error){.what = "next hop is no router's address", .reaction = REACTION_WITHDRAW,
					   .section = "RFC 4271 6.3"};
	return ATTR_GOOD;
}

struct attr_error decode_mp_unreach(struct decode *d, uint8_t flags, struct reader value)
{
	uint16_t afi = reader_u16(&value);
	uint8_t safi = reader_u8(&value);
	enum route_family f;

	if (!reader_ok(&value))
		return ATTR_WRONG("shorter than 3");
	d->unreach.present = true;
	d->unreach.nlri = value;
	if (!family_from_afi(afi, safi, &f) || !(d->session->families & ROUTE_FAMILY_BIT(f)))
		return (struct attr_error){.what = "family was not negotiated", .reaction = REACTION_DISCARD,
					   .section = "RFC 4760 8"};
	d->unreach.known = true;
	d->unreach.family = (uint8_t)f;
	return ATTR_GOOD;
}
