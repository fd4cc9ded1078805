/* SPDX-License-Identifier: Apache-2.0 */
#include "bgp/nlri.h"

#include "bgp/nlri_evpn.h"

#define SAFI_UNICAST 1
#define SAFI_EVPN 70

static const struct {
	uint16_t afi;
	uint8_t safi;
} families[] = {
	[ROUTE_IPV4] = {1, SAFI_UNICAST},
	[ROUTE_IPV6] = {2, SAFI_UNICAST},
	[ROUTE_EVPN] = {25, SAFI_EVPN},
};

_Static_assert(sizeof(families) / sizeof(families[0]) == ROUTE_FAMILY_MAX, "a row per family");

bool family_from_afi(uint16_t afi, uint8_t safi, enum route_family *out)
{
	for (unsigned f = 0; f < ROUTE_FAMILY_MAX; f++)
		if (families[f].afi == afi && families[f].safi == safi) {
			*out = (enum route_family)f;
			return true;
		}
	return false;
}

uint16_t family_afi(enum route_family f)
{
	return families[f].afi;
}

uint8_t family_safi(enum route_family f)
{
	return families[f].safi;
}

/*
 * RFC 4271 4.3: bits behind the prefix mean nothing; RFC 7606 5.3: a length that cannot be leaves the rest unreadable.
 */
static enum nlri_verdict prefix_next(struct reader *block, bool v4, bool withdraw, struct route_key *key,
				     const char **why)
{
	unsigned length = reader_u8(block), whole = length / 8, rest = length % 8;
	const uint8_t *p;
	uint8_t *to;

	if (length > (v4 ? 32 : 128)) {
		*why = "prefix length exceeds the address";
		return NLRI_LOST;
	}
	p = reader_take(block, (length + 7) / 8);
	if (!p) {
		*why = "prefix exceeds the field";
		return NLRI_LOST;
	}
	if (v4)
		key->addr = addr_from_v4((const uint8_t[4]){0});
	to = key->addr.bytes + (v4 ? 12 : 0);
	memcpy(to, p, whole);
	if (rest)
		to[whole] = (uint8_t)(p[whole] & (0xff00 >> rest));
	key->length = (uint8_t)(length + (v4 ? 96 : 0));
	if (withdraw)
		return NLRI_GOOD;
	/* Semantic errors leave the other prefixes alone (RFC 4271 6.3).  Mapped IPv4 would pass for IPv4 inside. */
	if (!v4 && addr_is_v4(&key->addr)) {
		*why = "IPv6 prefix is of mapped IPv4 addresses";
		return NLRI_BAD;
	}
	if (length >= (v4 ? 4u : 8u) && addr_is_multicast(&key->addr)) {
		*why = "multicast prefix in a unicast family";
		return NLRI_BAD;
	}
	return NLRI_GOOD;
}

enum nlri_verdict nlri_next(struct reader *block, enum route_family f, bool add_path, bool withdraw,
			    struct route_nlri *out, const char **why)
{
	*out = (struct route_nlri){.key.family = (uint8_t)f};
	if (add_path)
		out->key.path_id = reader_u32(block);
	if (reader_left(block) == 0) {
		*why = "path identifier without a route";
		return NLRI_LOST;
	}
	return f == ROUTE_EVPN ? evpn_next(block, withdraw, out, why)
			       : prefix_next(block, f == ROUTE_IPV4, withdraw, &out->key, why);
}

size_t nlri_size(const struct route_nlri *n, bool add_path)
{
	size_t size = add_path ? 4 : 0;

	if (n->key.family == ROUTE_EVPN)
		return size + evpn_size(n);
	return size + 1 + (n->key.length - (n->key.family == ROUTE_IPV4 ? 96u : 0) + 7) / 8;
}

void nlri_encode(struct writer *w, const struct route_nlri *n, bool add_path)
{
	unsigned skip = n->key.family == ROUTE_IPV4 ? 12 : 0, length = n->key.length - 8 * skip;

	if (add_path)
		writer_u32(w, n->key.path_id);
	if (n->key.family == ROUTE_EVPN) {
		evpn_encode(w, n);
		return;
	}
	writer_u8(w, (uint8_t)length);
	writer_bytes(w, n->key.addr.bytes + skip, (length + 7) / 8);
}
