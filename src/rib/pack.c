/* SPDX-License-Identifier: Apache-2.0 */
#include "rib/pack.h"

#include <assert.h>
#include <stdbool.h>
#include <string.h>

static_assert(ROUTE_FAMILY_MAX <= 4 && ROUTE_EVPN_MAX <= 8, "family and type share a byte with three flags");

enum key_flag {
	KEY_TAG = 1 << 0,
	KEY_PATH = 1 << 1,
	KEY_V4 = 1 << 2,
};

enum value_flag {
	VALUE_LABELS = 3, /* how many */
	VALUE_ESI = 1 << 2,
	VALUE_GATEWAY = 1 << 3,
};

#define V4_BITS 96u /* where IPv4 begins in the 128-bit form */

static size_t put(uint8_t *out, size_t at, const void *field, size_t size)
{
	memcpy(out + at, field, size);
	return at + size;
}

static size_t take(const uint8_t *in, size_t at, void *field, size_t size)
{
	memcpy(field, in + at, size);
	return at + size;
}

static bool has_rd(enum route_evpn_type type)
{
	return type != ROUTE_EVPN_NONE;
}

static bool has_esi(enum route_evpn_type type)
{
	return type == ROUTE_EVPN_AD || type == ROUTE_EVPN_ES;
}

/* Which bytes of the address hold what `length` covers: the end of them; the beginning is 12 for IPv4. */
static size_t address_end(uint8_t length)
{
	return (length + 7u) / 8u;
}

size_t pack_key(const struct route_key *key, uint8_t out[static PACK_KEY_MAX])
{
	bool v4 = addr_is_v4(&key->addr) && key->length >= V4_BITS;
	size_t begin = v4 ? V4_BITS / 8 : 0;
	size_t at = 2;

	out[0] = (uint8_t)(key->family << 6 | key->type << 3 | (v4 ? KEY_V4 : 0) | (key->path_id ? KEY_PATH : 0) |
			   (key->tag ? KEY_TAG : 0));
	out[1] = key->length;
	at = put(out, at, key->addr.bytes + begin, address_end(key->length) - begin);
	if (has_rd(key->type))
		at = put(out, at, &key->rd, sizeof(key->rd));
	if (key->tag)
		at = put(out, at, &key->tag, sizeof(key->tag));
	if (key->type == ROUTE_EVPN_MAC)
		at = put(out, at, &key->mac, sizeof(key->mac));
	if (has_esi(key->type))
		at = put(out, at, &key->esi, sizeof(key->esi));
	if (key->path_id)
		at = put(out, at, &key->path_id, sizeof(key->path_id));
	return at;
}

void unpack_key(const uint8_t *in, struct route_key *out)
{
	struct route_key key = {.family = pack_family(in), .type = pack_type(in), .length = in[1]};
	size_t begin = 0, at = 2;

	if (in[0] & KEY_V4) {
		begin = V4_BITS / 8;
		memset(key.addr.bytes + 10, 0xff, 2);
	}
	at = take(in, at, key.addr.bytes + begin, address_end(key.length) - begin);
	if (has_rd(key.type))
		at = take(in, at, &key.rd, sizeof(key.rd));
	if (in[0] & KEY_TAG)
		at = take(in, at, &key.tag, sizeof(key.tag));
	if (key.type == ROUTE_EVPN_MAC)
		at = take(in, at, &key.mac, sizeof(key.mac));
	if (has_esi(key.type))
		at = take(in, at, &key.esi, sizeof(key.esi));
	if (in[0] & KEY_PATH)
		take(in, at, &key.path_id, sizeof(key.path_id));
	*out = key;
}

size_t pack_value(const struct route_nlri *nlri, uint8_t out[static PACK_VALUE_MAX])
{
	bool esi = !route_esi_is_zero(&nlri->esi);
	bool gateway = nlri->gateway.u64[0] != 0 || nlri->gateway.u64[1] != 0;
	size_t at = 1;

	if (nlri->n_labels == 0 && !esi && !gateway)
		return 0;
	out[0] = (uint8_t)((nlri->n_labels & VALUE_LABELS) | (esi ? VALUE_ESI : 0) | (gateway ? VALUE_GATEWAY : 0));
	for (size_t i = 0; i < nlri->n_labels && i < 2; i++) /* 24 bits each */
		for (int shift = 16; shift >= 0; shift -= 8)
			out[at++] = (uint8_t)(nlri->label[i] >> shift);
	if (esi)
		at = put(out, at, &nlri->esi, sizeof(nlri->esi));
	if (gateway)
		at = put(out, at, &nlri->gateway, sizeof(nlri->gateway));
	return at;
}

void unpack_value(const uint8_t *in, size_t size, struct route_nlri *out)
{
	size_t at = 1;

	out->n_labels = 0;
	memset(out->label, 0, sizeof(out->label));
	out->esi = (struct route_esi){0};
	out->gateway = (struct addr){0};
	if (size == 0)
		return;
	out->n_labels = in[0] & VALUE_LABELS;
	for (size_t i = 0; i < out->n_labels && i < 2; i++, at += 3)
		out->label[i] = (uint32_t)in[at] << 16 | (uint32_t)in[at + 1] << 8 | in[at + 2];
	if (in[0] & VALUE_ESI)
		at = take(in, at, &out->esi, sizeof(out->esi));
	if (in[0] & VALUE_GATEWAY)
		take(in, at, &out->gateway, sizeof(out->gateway));
}
