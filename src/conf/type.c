/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Single values: one check per type.  The text was never looked at by anyone before, so `no`, `0755`, `1e3` and `1:20`
 * mean what the key's type says and nothing else.
 */
#include <errno.h>
#include <limits.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/report.h"
#include "conf/schema.h"
#include "conf/value.h"
#include "lib/addr.h"
#include "lib/base64.h"
#include "model/config.h"
#include "model/extended.h"

static bool fail(struct schema_problem *p, enum conf_code code, const char *text, const char *why)
{
	char buffer[QUOTED_SIZE];

	p->code = code;
	snprintf(p->what, sizeof(p->what), "%s %s", quoted(buffer, text), why);
	return false;
}

static bool is_digits(const char *text)
{
	return *text && text[strspn(text, "0123456789")] == '\0';
}

bool type_check_number(const struct schema_type *t, const char *text, struct schema_problem *p)
{
	uint64_t value = 0;

	if (*text == '-' && is_digits(text + 1))
		return fail(p, CONF_NUMBER_RANGE, text, "is negative");
	if (!is_digits(text)) {
		/* The same characters are numbers to YAML 1.1, and different ones (YAML 1.1 "int" and "float"). */
		static const struct {
			const char *characters, *why;
		} traps[] = {
			{"xXoO", "is hexadecimal or octal"},
			{":", "would be a number to base 60 in YAML 1.1"},
			{"_", "has an underscore"},
			{"eE", "has an exponent"},
			{".", "is not a whole number"},
			{"+", "has a sign"},
		};

		if (text[strspn(text, "0123456789abcdefxXoOE:_.+-")] == '\0' && strpbrk(text, "0123456789"))
			for (size_t i = 0; i < sizeof(traps) / sizeof(traps[0]); i++)
				if (strpbrk(text, traps[i].characters))
					return fail(p, CONF_NOT_NUMBER, text, traps[i].why);
		return fail(p, CONF_NOT_NUMBER, text, "is not a number");
	}
	if (text[0] == '0' && text[1])
		return fail(p, CONF_NOT_NUMBER, text, "has a leading zero, which is octal in YAML 1.1");
	for (const char *c = text; *c && value <= UINT32_MAX; c++)
		value = value * 10 + (uint64_t)(*c - '0');
	if (value < t->low || value > t->high)
		return fail(p, CONF_NUMBER_RANGE, text, value < t->low ? "is too small" : "is too large");
	return true;
}

bool type_check_limit(const struct schema_type *t, const char *text, struct schema_problem *p)
{
	return strcmp(text, "none") == 0 || type_check_number(t, text, p);
}

bool type_check_version(const struct schema_type *t, const char *text, struct schema_problem *p)
{
	static const struct schema_type any = {.low = 0, .high = UINT32_MAX};

	if (!type_check_number(&any, text, p))
		return false;
	return strcmp(text, "1") == 0 ? true : fail(p, CONF_NOT_SUPPORTED, text, "is not supported by this version");
}

bool type_check_boolean(const struct schema_type *t, const char *text, struct schema_problem *p)
{
	if (strcmp(text, "true") == 0 || strcmp(text, "false") == 0)
		return true;
	if (strcasecmp(text, "true") == 0 || strcasecmp(text, "false") == 0)
		return fail(p, CONF_NOT_BOOLEAN, text, "is not in lower case");
	return fail(p, CONF_NOT_BOOLEAN, text, "is neither true nor false");
}

bool type_check_word(const struct schema_type *t, const char *text, struct schema_problem *p)
{
	struct nearest nearest = {.word = text};
	char why[64] = "is not known";

	for (const struct schema_word *w = t->words; w->word; w++) {
		if (strcmp(w->word, text) == 0) {
			if (!w->unsupported)
				return true;
			return fail(p, CONF_NOT_SUPPORTED, text, "is not supported by this version");
		}
		if (!w->unsupported)
			nearest_offer(NULL, &nearest, w->word);
	}
	if (nearest.best)
		snprintf(why, sizeof(why), "is not known, did you mean \"%s\"?", nearest.best);
	return fail(p, CONF_UNKNOWN_WORD, text, why);
}

bool type_check_name(const struct schema_type *t, const char *text, struct schema_problem *p)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-";

	if (!*text)
		return fail(p, CONF_BAD_NAME, text, "is empty");
	if (strlen(text) > CONFIG_NAME_MAX)
		return fail(p, CONF_BAD_NAME, text, "is longer than 63 characters");
	if (text[strspn(text, allowed)]) {
		const char *c = text + strspn(text, allowed);
		char why[QUOTED_SIZE + 16], one[8] = "", buffer[QUOTED_SIZE];
		unsigned length;

		utf8_decode(c, c + strlen(c), &length);
		memcpy(one, c, length > 0 ? length : 1);
		snprintf(why, sizeof(why), "has %s in a name", quoted(buffer, one));
		return fail(p, CONF_BAD_NAME, text, why);
	}
	if (strchr("_.-", text[0]))
		return fail(p, CONF_BAD_NAME, text, "begins with neither a letter nor a digit");
	return true;
}

bool type_check_network(const struct schema_type *t, const char *text, struct schema_problem *p)
{
	const char *slash = strchr(text, '/');
	char tenant[CONFIG_NAME_MAX + 1];
	struct schema_problem part;

	if (!slash || slash == text || !slash[1] || strchr(slash + 1, '/') || slash - text > CONFIG_NAME_MAX)
		return fail(p, CONF_BAD_REFERENCE, text, "does not name a network");
	memcpy(tenant, text, (size_t)(slash - text));
	tenant[slash - text] = '\0';
	if (!type_check_name(t, tenant, &part) || !type_check_name(t, slash + 1, &part))
		return fail(p, CONF_BAD_REFERENCE, text, "does not name a network");
	return true;
}

/* dev_valid_name() of the kernel, without the names of its sysctl folders and without what does not print */
bool type_check_interface(const struct schema_type *t, const char *text, struct schema_problem *p)
{
	if (!*text)
		return fail(p, CONF_BAD_INTERFACE, text, "is empty");
	if (strlen(text) >= IF_NAMESIZE)
		return fail(p, CONF_BAD_INTERFACE, text, "is longer than 15 bytes");
	for (const unsigned char *c = (const unsigned char *)text; *c; c++)
		if (*c == '/' || *c == ':' || *c <= ' ' || *c >= 0x7f)
			return fail(p, CONF_BAD_INTERFACE, text, "has a character that no interface name has");
	if (strcmp(text, ".") == 0 || strcmp(text, "..") == 0 || strcmp(text, "all") == 0 ||
	    strcmp(text, "default") == 0)
		return fail(p, CONF_BAD_INTERFACE, text, "is a name that the kernel refuses");
	if (strcmp(text, "lo") == 0)
		return fail(p, CONF_BAD_INTERFACE, text, "is the loopback interface");
	return true;
}

bool type_check_address(const struct schema_type *t, const char *text, struct schema_problem *p)
{
	struct addr a;
	struct prefix prefix;

	if (addr_parse(text, &a) < 0)
		return fail(p, CONF_BAD_ADDRESS, text,
			    prefix_parse(text, &prefix) != -EINVAL ? "has a prefix length" : "is not an IP address");
	if (addr_is_unspecified(&a))
		return fail(p, CONF_UNUSABLE_ADDRESS, text, "is the unspecified address");
	if (addr_is_multicast(&a))
		return fail(p, CONF_UNUSABLE_ADDRESS, text, "is a multicast address");
	if (addr_is_loopback(&a))
		return fail(p, CONF_UNUSABLE_ADDRESS, text, "is a loopback address");
	if (strcmp(text, "255.255.255.255") == 0)
		return fail(p, CONF_UNUSABLE_ADDRESS, text, "is the broadcast address");
	return true;
}

bool type_check_underlay(const struct schema_type *t, const char *text, struct schema_problem *p)
{
	struct addr a;

	if (!type_check_address(t, text, p))
		return false;
	addr_parse(text, &a);
	return addr_is_link_local(&a) ? fail(p, CONF_UNUSABLE_ADDRESS, text, "is a link-local address") : true;
}

bool type_check_subnet(const struct schema_type *t, const char *text, struct schema_problem *p)
{
	/* 0/8 and the broadcast address are RFC 1122 3.2.1.3; ::/8 holds ::, ::1 and the mapped form (RFC 4291 2.5) */
	static const struct {
		const char *prefix, *why;
	} unusable[] = {
		{"127.0.0.0/8", "holds loopback addresses"},     {"224.0.0.0/4", "holds multicast addresses"},
		{"169.254.0.0/16", "holds link-local addresses"}, {"0.0.0.0/8", "holds addresses of \"this network\""},
		{"255.255.255.255/32", "holds the broadcast address"}, {"::/8", "holds reserved addresses"},
		{"fe80::/10", "holds link-local addresses"},      {"ff00::/8", "holds multicast addresses"},
	};
	char buffer[PREFIX_TEXT_SIZE];
	struct prefix subnet;
	struct addr a;
	int r = prefix_parse(text, &subnet);

	if (r == -ERANGE) {
		snprintf(p->expected, sizeof(p->expected), "a prefix length of at most %u",
			 strchr(text, ':') ? 128u : 32u);
		return fail(p, CONF_BAD_SUBNET, text, "has a prefix length that is too long");
	}
	if (r == -EDOM) {
		unsigned length = (unsigned)atoi(strchr(text, '/') + 1);
		char address[ADDR_TEXT_SIZE];

		memcpy(address, text, (size_t)(strchr(text, '/') - text));
		address[strchr(text, '/') - text] = '\0';
		addr_parse(address, &subnet.addr);
		subnet.length = (uint8_t)(addr_is_v4(&subnet.addr) ? length + 96 : length);
		for (unsigned bit = subnet.length; bit < 128; bit++)
			subnet.addr.bytes[bit / 8] &= (uint8_t)~(0x80 >> bit % 8);
		fail(p, CONF_HOST_BITS, text, "is an address in a subnet");
		snprintf(p->expected, sizeof(p->expected), "%s", prefix_format(&subnet, buffer));
		return false;
	}
	if (r < 0)
		return fail(p, CONF_BAD_SUBNET, text,
			    addr_parse(text, &a) == 0 ? "has no prefix length" : "is not a subnet");
	for (size_t i = 0; i < sizeof(unusable) / sizeof(unusable[0]); i++) {
		struct prefix u;

		if (prefix_parse(unusable[i].prefix, &u) < 0 || !prefix_overlaps(&subnet, &u))
			continue;
		strcpy(p->expected, "a range of unicast addresses, such as 10.0.1.0/24");
		return fail(p, CONF_UNUSABLE_SUBNET, text, unusable[i].why);
	}
	return true;
}

bool type_check_mac(const struct schema_type *t, const char *text, struct schema_problem *p)
{
	struct mac m;

	if (mac_parse(text, &m) < 0)
		return fail(p, CONF_BAD_MAC, text, "is not a MAC address");
	if (mac_is_zero(&m))
		return fail(p, CONF_UNUSABLE_MAC, text, "is the zero address");
	if (mac_is_multicast(&m))
		return fail(p, CONF_UNUSABLE_MAC, text, "is a group address (the lowest bit of the first byte is set)");
	return true;
}

bool type_check_as(const struct schema_type *t, const char *text, struct schema_problem *p)
{
	static const struct schema_type any = {.low = 0, .high = UINT32_MAX};
	static const struct {
		const char *text, *why;
	} reserved[] = {
		{"0", "is no AS that a router has (RFC 7607)"},
		{"23456", "stands for an AS of four bytes where there is room for two only (RFC 6793)"},
		{"65535", "is reserved (RFC 7300)"},
		{"4294967295", "is reserved (RFC 7300)"},
	};

	if (!type_check_number(&any, text, p))
		return false;
	for (size_t i = 0; i < sizeof(reserved) / sizeof(reserved[0]); i++)
		if (strcmp(text, reserved[i].text) == 0)
			return fail(p, CONF_BAD_AS, text, reserved[i].why);
	return true;
}

bool type_check_hold(const struct schema_type *t, const char *text, struct schema_problem *p)
{
	if (!type_check_number(t, text, p))
		return false;
	return strcmp(text, "1") != 0 && strcmp(text, "2") != 0
		       ? true
		       : fail(p, CONF_NUMBER_RANGE, text, "is too small (RFC 4271 4.2)");
}

bool type_check_target(const struct schema_type *t, const char *text, struct schema_problem *p)
{
	uint64_t target;
	int r = extended_target_parse(text, &target);

	if (r == -ERANGE) {
		strcpy(p->expected, "6 bytes: AS up to 65535:32 bits, AS above:16 bits, or IPV4:16 bits");
		return fail(p, CONF_BAD_TARGET, text, "has a number that is too large");
	}
	return r < 0 ? fail(p, CONF_BAD_TARGET, text, "is not a route target") : true;
}

bool type_check_router_id(const struct schema_type *t, const char *text, struct schema_problem *p)
{
	struct addr a;

	if (addr_parse(text, &a) < 0)
		return fail(p, CONF_BAD_ROUTER_ID, text, "is not a router id");
	if (!addr_is_v4(&a))
		return fail(p, CONF_BAD_ROUTER_ID, text, "is an IPv6 address, and a router id has four bytes");
	if (addr_is_unspecified(&a))
		return fail(p, CONF_BAD_ROUTER_ID, text, "is 0, which no router may have (RFC 6286)");
	return a.bytes[12] < 224 ? true : fail(p, CONF_BAD_ROUTER_ID, text, "is one that some routers do not take");
}

/* Shown to people and written into files of lines: one line, and of what everybody sees. */
static bool is_line(const char *text)
{
	const char *end = text + strlen(text);

	while (text < end) {
		unsigned length;
		int32_t c = utf8_decode(text, end, &length);

		if (c < ' ' || utf8_is_hidden(c))
			return false;
		text += length;
	}
	return true;
}

bool type_check_path(const struct schema_type *t, const char *text, struct schema_problem *p)
{
	if (!*text)
		return fail(p, CONF_BAD_PATH, text, "is empty");
	if (*text != '/')
		return fail(p, CONF_BAD_PATH, text, "is relative to nothing: nodes run anywhere");
	if (text[strlen(text) - 1] == '/')
		return fail(p, CONF_BAD_PATH, text, "is a directory");
	if (strlen(text) >= PATH_MAX)
		return fail(p, CONF_BAD_PATH, text, "is longer than 4095 bytes");
	return is_line(text) ? true : fail(p, CONF_BAD_PATH, text, "has a character that nobody sees");
}

/* Points of order 8 and less (RFC 7748 6.1): whoever has one shares a secret with everybody. */
static bool is_low_order(const uint8_t key[static 32])
{
	static const uint8_t points[][32] = {
		{0},
		{1},
		{0xe0, 0xeb, 0x7a, 0x7c, 0x3b, 0x41, 0xb8, 0xae, 0x16, 0x56, 0xe3, 0xfa, 0xf1, 0x9f, 0xc4, 0x6a,
		 0xda, 0x09, 0x8d, 0xeb, 0x9c, 0x32, 0xb1, 0xfd, 0x86, 0x62, 0x05, 0x16, 0x5f, 0x49, 0xb8, 0x00},
		{0x5f, 0x9c, 0x95, 0xbc, 0xa3, 0x50, 0x8c, 0x24, 0xb1, 0xd0, 0xb1, 0x55, 0x9c, 0x83, 0xef, 0x5b,
		 0x04, 0x44, 0x5c, 0xc4, 0x58, 0x1c, 0x8e, 0x86, 0xd8, 0x22, 0x4e, 0xdd, 0xd0, 0x9f, 0x11, 0x57},
	};
	uint8_t masked[32];
	bool full = true;

	memcpy(masked, key, sizeof(masked));
	masked[31] &= 0x7f; /* RFC 7748 5: not looked at */
	for (size_t i = 0; i < sizeof(points) / sizeof(points[0]); i++)
		if (memcmp(masked, points[i], sizeof(masked)) == 0)
			return true;
	for (size_t i = 1; i < 31; i++)
		full &= masked[i] == 0xff;
	return full && masked[31] == 0x7f && masked[0] >= 0xec; /* p - 1, p and p + 1, and what is the same as small numbers */
}

bool type_check_key(const struct schema_type *t, const char *text, struct schema_problem *p)
{
	struct config_key key;

	if (base64_decode(text, strlen(text), key.bytes, sizeof(key.bytes)) < 0)
		return fail(p, CONF_BAD_KEY, text, "is not 32 bytes in base64");
	return is_low_order(key.bytes) ? fail(p, CONF_BAD_KEY, text, "is a key that is no secret's") : true;
}

bool type_check_endpoint(const struct schema_type *t, const char *text, struct schema_problem *p)
{
	struct addr a;
	uint16_t port;

	if (!value_endpoint(text, &a, &port))
		return fail(p, CONF_BAD_ENDPOINT, text, "is not an address and a port");
	if (addr_is_unspecified(&a) || addr_is_multicast(&a) || addr_is_loopback(&a) || addr_is_link_local(&a))
		return fail(p, CONF_BAD_ENDPOINT, text, "is where no peer can be");
	return true;
}

bool type_check_line(const struct schema_type *t, const char *text, struct schema_problem *p)
{
	if (!*text)
		return fail(p, CONF_BAD_TEXT, text, "is empty");
	if (strlen(text) > t->high)
		return fail(p, CONF_BAD_TEXT, text, "is too long");
	return is_line(text) ? true : fail(p, CONF_BAD_TEXT, text, "has a line end, or a character that nobody sees");
}
