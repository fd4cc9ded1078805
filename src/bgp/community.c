/* SPDX-License-Identifier: Apache-2.0 */
/* Communities of every kind: whether their number is whole, and into host order. */
#include "bgp/decode.h"

struct attr_error decode_communities(struct decode *d, uint8_t flags, struct reader value)
{
	size_t n = reader_left(&value) / 4;
	uint32_t *all;

	if (n == 0 || reader_left(&value) % 4)
		return ATTR_WRONG_LENGTH("length is not a positive multiple of 4");
	d->attrs.communities = all = decode_room(d, 4 * n);
	d->attrs.n_communities = (uint32_t)n;
	for (size_t i = 0; i < n; i++)
		all[i] = reader_u32(&value);
	return ATTR_GOOD;
}

struct attr_error decode_extended_communities(struct decode *d, uint8_t flags, struct reader value)
{
	size_t n = reader_left(&value) / 8, kept = 0;
	uint64_t *all;

	if (n == 0 || reader_left(&value) % 8)
		return ATTR_WRONG_LENGTH("length is not a positive multiple of 8");
	d->attrs.extended = all = decode_room(d, 8 * n);
	for (size_t i = 0; i < n; i++) {
		uint64_t e = reader_u64(&value);

		/* RFC 4360 6: non-transitive ones are not taken across a border of ASes */
		if (!d->session->external || !(e >> 62 & 1))
			all[kept++] = e;
	}
	d->attrs.n_extended = (uint32_t)kept;
	return ATTR_GOOD;
}

struct attr_error decode_ipv6_communities(struct decode *d, uint8_t flags, struct reader value)
{
	if (reader_left(&value) == 0 || reader_left(&value) % 20)
		return ATTR_WRONG_LENGTH("length is not a positive multiple of 20");
	return ATTR_GOOD;
}

struct attr_error decode_large_communities(struct decode *d, uint8_t flags, struct reader value)
{
	size_t n = reader_left(&value) / 12;
	struct route_large *all;

	if (n == 0 || reader_left(&value) % 12)
		return ATTR_WRONG_LENGTH("length is not a positive multiple of 12");
	d->attrs.large = all = decode_room(d, sizeof(*all) * n);
	d->attrs.n_large = (uint32_t)n;
	for (size_t i = 0; i < n; i++)
		for (int part = 0; part < 3; part++)
			all[i].part[part] = reader_u32(&value);
	return ATTR_GOOD;
}
