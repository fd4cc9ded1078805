/* SPDX-License-Identifier: Apache-2.0 */
#include "model/route.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "lib/wire.h"

static_assert(sizeof(struct route_key) == 56, "no padding: keys are compared and hashed as bytes");

const char *route_source_name(enum route_source s)
{
	static const char *const names[] = {[ROUTE_SOURCE_LOCAL] = "local", [ROUTE_SOURCE_BGP] = "bgp",
					    [ROUTE_SOURCE_CONFIG] = "config", [ROUTE_SOURCE_WAITING] = "waiting"};

	static_assert(sizeof(names) / sizeof(names[0]) == ROUTE_SOURCE_MAX, "a name per source");
	return names[s];
}

const char *route_family_name(enum route_family f)
{
	static const char *const names[] = {
		[ROUTE_IPV4] = "ipv4-unicast", [ROUTE_IPV6] = "ipv6-unicast", [ROUTE_EVPN] = "l2vpn-evpn"};

	static_assert(sizeof(names) / sizeof(names[0]) == ROUTE_FAMILY_MAX, "a name per family");
	return names[f];
}

const char *route_rd_format(const struct route_rd *rd, char out[static ROUTE_RD_TEXT_SIZE])
{
	struct reader r = reader_over(rd->bytes, sizeof(rd->bytes));
	const uint8_t *b = rd->bytes + 2;

	switch (reader_u16(&r)) { /* RFC 4364 4.2 */
	case 0: {
		unsigned as = reader_u16(&r);

		snprintf(out, ROUTE_RD_TEXT_SIZE, "%u:%u", as, reader_u32(&r));
		return out;
	}
	case 1:
		snprintf(out, ROUTE_RD_TEXT_SIZE, "%u.%u.%u.%u:%u", b[0], b[1], b[2], b[3], (unsigned)b[4] << 8 | b[5]);
		return out;
	case 2: {
		uint32_t as = reader_u32(&r);

		snprintf(out, ROUTE_RD_TEXT_SIZE, "%u:%u", as, reader_u16(&r));
		return out;
	}
	default:
		for (size_t i = 0; i < sizeof(rd->bytes); i++)
			sprintf(out + 2 * i, "%02x", rd->bytes[i]);
		return out;
	}
}

struct route_rd route_rd_ip(uint32_t ip, uint16_t number)
{
	return (struct route_rd){{0, 1, (uint8_t)(ip >> 24), (uint8_t)(ip >> 16), (uint8_t)(ip >> 8), (uint8_t)ip,
				  (uint8_t)(number >> 8), (uint8_t)number}};
}

const char *route_esi_format(const struct route_esi *esi, char out[static ROUTE_ESI_TEXT_SIZE])
{
	for (size_t i = 0; i < sizeof(esi->bytes); i++)
		sprintf(out + 3 * i, "%02x%s", esi->bytes[i], i + 1 < sizeof(esi->bytes) ? ":" : "");
	return out;
}

static unsigned family_bits(const struct route_key *k) /* of the address, as the wire has it */
{
	return addr_is_v4(&k->addr) ? k->length - 96u : k->length;
}

const char *route_key_format(const struct route_key *k, char out[static ROUTE_KEY_TEXT_SIZE])
{
	struct prefix p = {.addr = k->addr, .length = k->length};
	char address[ADDR_TEXT_SIZE], mac[MAC_TEXT_SIZE], esi[ROUTE_ESI_TEXT_SIZE], prefix[PREFIX_TEXT_SIZE];
	size_t size = ROUTE_KEY_TEXT_SIZE, n;

	addr_format(&k->addr, address);
	route_esi_format(&k->esi, esi);
	switch (k->type) {
	case ROUTE_EVPN_AD:
		snprintf(out, size, "[1]:[%u]:[%s]", k->tag, esi);
		break;
	case ROUTE_EVPN_MAC:
		mac_format(&k->mac, mac);
		if (k->length > 0)
			snprintf(out, size, "[2]:[%u]:[48]:[%s]:[%u]:[%s]", k->tag, mac, family_bits(k), address);
		else
			snprintf(out, size, "[2]:[%u]:[48]:[%s]", k->tag, mac);
		break;
	case ROUTE_EVPN_IMET:
		snprintf(out, size, "[3]:[%u]:[%u]:[%s]", k->tag, family_bits(k), address);
		break;
	case ROUTE_EVPN_ES:
		snprintf(out, size, "[4]:[%s]:[%u]:[%s]", esi, family_bits(k), address);
		break;
	case ROUTE_EVPN_PREFIX:
		snprintf(out, size, "[5]:[%u]:[%u]:[%s]", k->tag, family_bits(k), address);
		break;
	default:
		snprintf(out, size, "%s", prefix_format(&p, prefix));
	}
	if (k->path_id) {
		n = strlen(out);
		snprintf(out + n, size - n, " path %u", k->path_id);
	}
	return out;
}

/* ---- attributes ---- */

bool route_path_contains(const struct route_attrs *a, uint32_t as)
{
	struct reader r = reader_over(a->path, a->path_size);

	while (reader_left(&r)) {
		reader_u8(&r);
		for (unsigned n = reader_u8(&r); n > 0 && reader_ok(&r); n--)
			if (reader_u32(&r) == as && reader_ok(&r))
				return true;
	}
	return false;
}

/* Appends what there is room for. */
static void append(char *out, size_t size, size_t *at, const char *text)
{
	for (; *text && *at + 1 < size; text++)
		out[(*at)++] = *text;
	if (*at < size)
		out[*at] = '\0';
}

const char *route_path_format(const struct route_attrs *a, char *out, size_t size)
{
	static const char *const opening[] = {"?", "{", "", "(", "["}, *const closing[] = {"", "}", "", ")", "]"};
	struct reader r = reader_over(a->path, a->path_size);
	size_t at = 0;

	append(out, size, &at, "");
	while (reader_left(&r)) {
		unsigned type = reader_u8(&r), n = reader_u8(&r);

		type = type < sizeof(opening) / sizeof(opening[0]) ? type : 0;
		append(out, size, &at, at ? " " : "");
		append(out, size, &at, opening[type]);
		for (unsigned i = 0; i < n && reader_ok(&r); i++) {
			char number[12];

			snprintf(number, sizeof(number), "%s%u", i ? " " : "", reader_u32(&r));
			append(out, size, &at, number);
		}
		append(out, size, &at, closing[type]);
	}
	return out;
}

bool route_attrs_pmsi(const struct route_attrs *a, struct route_pmsi *out)
{
	struct reader r = reader_over(a->pmsi, a->pmsi_size);
	struct route_pmsi p = {.flags = reader_u8(&r), .type = reader_u8(&r), .label = reader_u24(&r)};

	if (!reader_ok(&r))
		return false;
	if (p.type == ROUTE_PMSI_INGRESS_REPLICATION) {
		if (reader_left(&r) == 4)
			p.endpoint = addr_from_v4(r.at);
		else
			reader_copy(&r, p.endpoint.bytes, 16);
	}
	*out = p;
	return true;
}
