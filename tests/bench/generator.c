/* SPDX-License-Identifier: Apache-2.0 */
#include "generator.h"

#include <stdlib.h>
#include <string.h>

static uint32_t scatter(uint32_t i, uint32_t n) /* a permutation of 0..n-1: the factor is a prime that divides no power of ten */
{
	return (uint32_t)((uint64_t)i * 618033 % n);
}

static struct addr v4(uint32_t a)
{
	struct addr out = {.bytes = {[10] = 0xff, [11] = 0xff}};

	for (int i = 0; i < 4; i++)
		out.bytes[12 + i] = (uint8_t)(a >> (24 - 8 * i));
	return out;
}

static struct route_nlri route_v4(uint32_t j)
{
	uint32_t k = j % 10, a = 0x14000000 + (j / 10 << 12);
	unsigned length = k == 0 ? 20 : k == 1 ? 22 : k == 2 ? 23 : 24;

	return (struct route_nlri){
		.key = {.family = ROUTE_IPV4, .addr = v4(k > 2 ? a + ((k + 1) << 8) : a), .length = (uint8_t)(96 + length)}};
}

static struct route_nlri route_mac(uint32_t j)
{
	uint32_t m = j * 0x9e3779b1, vtep = j / 1000, vni = 10000 + j / 100 % 10;
	struct route_nlri n = {.key = {.family = ROUTE_EVPN, .type = ROUTE_EVPN_MAC, .addr = v4(0x0a000000 + j),
				       .length = 128, .rd = route_rd_ip(0x0ac80000 + vtep, (uint16_t)vni)},
			       .n_labels = 1,
			       .label = {vni}};

	memcpy(n.key.mac.bytes, &(uint64_t){(uint64_t)m << 16 | 2}, sizeof(n.key.mac.bytes));
	return n;
}

static const struct route_attrs *set_of(enum route_family family, struct attrs *table, uint32_t number)
{
	uint8_t path[2 + 4 * 6] = {2, (uint8_t)(3 + number % 4)};
	uint32_t communities[6];
	uint64_t extended[2];
	const struct route_attrs *out;
	struct route_attrs a = {.next_hop = v4(0x0ac80000 + (family == ROUTE_EVPN ? number / 10 : number % 8)),
				.has = ROUTE_HAS_LOCAL_PREF,
				.local_pref = 100};

	if (family == ROUTE_EVPN) {
		extended[0] = extended_target_as2(GENERATOR_AS, 10000 + number % 10);
		extended[1] = extended_tunnel(ROUTE_TUNNEL_VXLAN);
		a.extended = extended;
		a.n_extended = 2;
	} else {
		a.path_size = 2u + 4u * path[1];
		for (uint32_t i = 0; i < path[1]; i++)
			memcpy(path + 2 + 4 * i, &(uint32_t){number * 31 + i + 1}, 4);
		a.path = path;
		a.n_communities = 2 + number % 5;
		for (uint32_t i = 0; i < a.n_communities; i++)
			communities[i] = number << 8 | i;
		a.communities = communities;
		if (number % 2)
			a.has |= ROUTE_HAS_MED;
		a.med = number % 2 ? number : 0;
	}
	if (attrs_intern(table, &a, &out) < 0)
		abort();
	return out;
}

uint32_t generator_batch(enum route_family family, uint32_t n, uint32_t at, uint32_t set, struct attrs *table,
			 const struct route_attrs **attrs, struct route_nlri nlri[static GENERATOR_BATCH_MAX])
{
	static const uint32_t lengths[] = {60, 20, 10, 7, 3};
	uint32_t length = family == ROUTE_EVPN ? GENERATOR_BATCH_MAX : lengths[set % 5];

	*attrs = set_of(family, table, set);
	for (uint32_t i = 0; i < length; i++)
		nlri[i] = family == ROUTE_EVPN ? route_mac(at + i) : route_v4(scatter(at + i, n));
	return length;
}
