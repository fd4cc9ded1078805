/* SPDX-License-Identifier: Apache-2.0 */
/* The attributes that say how packets are carried: PMSI tunnel (RFC 6514 5), tunnel encapsulation (RFC 9012). */
#include "bgp/decode.h"

struct attr_error decode_pmsi(struct decode *d, uint8_t flags, struct reader value)
{
	struct route_attrs probe = {.pmsi = value.at, .pmsi_size = (uint32_t)reader_left(&value)};
	struct route_pmsi p;

	if (!route_attrs_pmsi(&probe, &p))
		return ATTR_WRONG_LENGTH("length is less than 5");
	if (p.type == ROUTE_PMSI_INGRESS_REPLICATION) {
		size_t size = reader_left(&value) - 5;

		if (size != 4 && size != 16)
			return ATTR_WRONG_LENGTH("endpoint is no address");
		if (next_hop_is_martian(&p.endpoint))
			return ATTR_WRONG("endpoint is no host's address");
	}
	d->attrs.pmsi = probe.pmsi;
	d->attrs.pmsi_size = probe.pmsi_size;
	return ATTR_GOOD;
}

/* We go by the extended community (RFC 8365 5.1.2); of this one only the framing is looked at. */
struct attr_error decode_tunnel(struct decode *d, uint8_t flags, struct reader value)
{
	struct reader r = value;

	while (reader_left(&r)) {
		reader_u16(&r); /* tunnel type */

		for (struct reader tunnel = reader_sub(&r, reader_u16(&r)); reader_left(&tunnel);) {
			uint8_t type = reader_u8(&tunnel); /* RFC 9012 2: from 128 on, the length has two bytes */

			reader_take(&tunnel, type < 128 ? reader_u8(&tunnel) : reader_u16(&tunnel));
			if (!reader_ok(&tunnel))
				return ATTR_WRONG("sub-TLV is longer than its TLV");
		}
	}
	if (!reader_ok(&r))
		return ATTR_WRONG("TLV is longer than the attribute");
	return ATTR_GOOD;
}
