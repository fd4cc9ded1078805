/* SPDX-License-Identifier: Apache-2.0 */
#include "model/extended.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static uint64_t make(enum extended_type t, uint64_t value)
{
	return (uint64_t)t << 48 | value;
}

uint64_t extended_target_as2(uint16_t as, uint32_t number)
{
	return make(EXTENDED_TARGET_AS2, (uint64_t)as << 32 | number);
}

uint64_t extended_target_as4(uint32_t as, uint16_t number)
{
	return make(EXTENDED_TARGET_AS4, (uint64_t)as << 16 | number);
}

uint64_t extended_target_ip(uint32_t ip, uint16_t number)
{
	return make(EXTENDED_TARGET_IP, (uint64_t)ip << 16 | number);
}

uint64_t extended_tunnel(enum route_tunnel t)
{
	return make(EXTENDED_TUNNEL, t);
}

uint64_t extended_mobility(uint32_t sequence, bool sticky)
{
	return make(EXTENDED_MOBILITY, (uint64_t)sticky << 40 | sequence);
}

uint64_t extended_router_mac(const struct mac *m)
{
	uint64_t v = 0;

	for (int i = 0; i < 6; i++)
		v = v << 8 | m->bytes[i];
	return make(EXTENDED_ROUTER_MAC, v);
}

uint64_t extended_default_gateway(void)
{
	return make(EXTENDED_DEFAULT_GATEWAY, 0);
}

bool extended_is_target(uint64_t e)
{
	enum extended_type t = extended_type(e);

	return t == EXTENDED_TARGET_AS2 || t == EXTENDED_TARGET_IP || t == EXTENDED_TARGET_AS4;
}

/* A decimal number without leading zeros that ends where the text does, or -ERANGE above 32 bits. */
static int number_parse(const char *text, size_t length, uint32_t *out)
{
	uint64_t value = 0;

	if (length == 0 || (text[0] == '0' && length > 1) || strspn(text, "0123456789") < length)
		return -EINVAL;
	for (size_t i = 0; i < length; i++) {
		value = value * 10 + (uint64_t)(text[i] - '0');
		if (value > UINT32_MAX)
			return -ERANGE;
	}
	*out = (uint32_t)value;
	return 0;
}

int extended_target_parse(const char *text, uint64_t *out)
{
	const char *colon = strchr(text, ':');
	char front[16];
	struct addr a;
	uint32_t as, number;
	size_t length;
	int r;

	if (!colon || colon - text >= (ptrdiff_t)sizeof(front))
		return -EINVAL;
	length = (size_t)(colon - text);
	memcpy(front, text, length);
	front[length] = '\0';
	r = number_parse(colon + 1, strlen(colon + 1), &number);
	if (r < 0)
		return r;
	if (addr_parse(front, &a) == 0) { /* no IPv6 address is without a colon */
		if (number > UINT16_MAX)
			return -ERANGE;
		*out = extended_target_ip(addr_v4_number(&a), (uint16_t)number);
		return 0;
	}
	r = number_parse(front, length, &as);
	if (r < 0)
		return r;
	if (as > UINT16_MAX && number > UINT16_MAX)
		return -ERANGE;
	*out = as > UINT16_MAX ? extended_target_as4(as, (uint16_t)number) : extended_target_as2((uint16_t)as, number);
	return 0;
}

static const char *tunnel_name(uint16_t type)
{
	static const char *const names[] = {
		[ROUTE_TUNNEL_GRE] = "gre",     [ROUTE_TUNNEL_VXLAN] = "vxlan",         [ROUTE_TUNNEL_NVGRE] = "nvgre",
		[ROUTE_TUNNEL_MPLS] = "mpls",   [ROUTE_TUNNEL_VXLAN_GPE] = "vxlan-gpe", [ROUTE_TUNNEL_GENEVE] = "geneve",
	};

	return type < sizeof(names) / sizeof(names[0]) ? names[type] : NULL;
}

const char *extended_format(uint64_t e, char out[static EXTENDED_TEXT_SIZE])
{
	const char *name = tunnel_name((uint16_t)e);
	char mac[MAC_TEXT_SIZE];
	struct mac m;

	for (int i = 0; i < 6; i++)
		m.bytes[i] = (uint8_t)(e >> (8 * (5 - i)));
	switch (extended_type(e)) {
	case EXTENDED_TARGET_AS2:
		snprintf(out, EXTENDED_TEXT_SIZE, "rt:%u:%u", (uint16_t)(e >> 32), (uint32_t)e);
		return out;
	case EXTENDED_TARGET_AS4:
		snprintf(out, EXTENDED_TEXT_SIZE, "rt:%u:%u", (uint32_t)(e >> 16), (uint16_t)e);
		return out;
	case EXTENDED_TARGET_IP:
		snprintf(out, EXTENDED_TEXT_SIZE, "rt:%u.%u.%u.%u:%u", m.bytes[0], m.bytes[1], m.bytes[2], m.bytes[3],
			 (uint16_t)e);
		return out;
	case EXTENDED_TUNNEL:
		if (!name)
			break;
		snprintf(out, EXTENDED_TEXT_SIZE, "encap:%s", name);
		return out;
	case EXTENDED_MOBILITY:
		snprintf(out, EXTENDED_TEXT_SIZE, "mobility:%u%s", (uint32_t)e, e >> 40 & 1 ? ",sticky" : "");
		return out;
	case EXTENDED_ROUTER_MAC:
		snprintf(out, EXTENDED_TEXT_SIZE, "router-mac:%s", mac_format(&m, mac));
		return out;
	case EXTENDED_ES_IMPORT:
		snprintf(out, EXTENDED_TEXT_SIZE, "es-import:%s", mac_format(&m, mac));
		return out;
	case EXTENDED_DEFAULT_GATEWAY:
		snprintf(out, EXTENDED_TEXT_SIZE, "default-gateway");
		return out;
	}
	snprintf(out, EXTENDED_TEXT_SIZE, "%016" PRIx64, e);
	return out;
}
