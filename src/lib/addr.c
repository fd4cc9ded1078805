/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/addr.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

int addr_parse(const char *text, struct addr *out)
{
	struct addr a = {};

	if (inet_pton(AF_INET, text, a.bytes + 12) == 1)
		memcpy(a.bytes, mapped, sizeof(mapped));
	else if (inet_pton(AF_INET6, text, a.bytes) != 1 || addr_is_v4(&a)) /* mapped: our inside form only */
		return -EINVAL;
	*out = a;
	return 0;
}

int prefix_parse(const char *text, struct prefix *out)
{
	char address[ADDR_TEXT_SIZE];
	const char *slash = strchr(text, '/');
	struct prefix p = {};
	unsigned length = 0, family_bits, bits;

	if (!slash || (size_t)(slash - text) >= sizeof(address))
		return -EINVAL;
	memcpy(address, text, slash - text);
	address[slash - text] = '\0';
	if (addr_parse(address, &p.addr) < 0)
		return -EINVAL;

	const char *digits = slash + 1;
	size_t n_digits = strspn(digits, "0123456789");

	if (n_digits == 0 || digits[n_digits] || (n_digits > 1 && digits[0] == '0'))
		return -EINVAL;
	for (size_t i = 0; i < n_digits && length < 1000; i++)
		length = length * 10 + (unsigned)(digits[i] - '0');
	family_bits = addr_is_v4(&p.addr) ? 32 : 128;
	if (length > family_bits)
		return -ERANGE;
	p.length = (uint8_t)(length + 128 - family_bits);

	for (bits = p.length; bits < 128; bits++)
		if (p.addr.bytes[bits / 8] & (0x80 >> bits % 8))
			return -EDOM;
	*out = p;
	return 0;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

int mac_parse(const char *text, struct mac *out)
{
	struct mac m;

	if (strlen(text) != MAC_TEXT_SIZE - 1)
		return -EINVAL;
	for (size_t i = 0; i < sizeof(m.bytes); i++) {
		const char *p = text + 3 * i;
		int high = hex_digit(p[0]), low = hex_digit(p[1]);

		if (high < 0 || low < 0 || (i < 5 && p[2] != ':'))
			return -EINVAL;
		m.bytes[i] = (uint8_t)(high << 4 | low);
	}
	*out = m;
	return 0;
}

/* RFC 5952 4: lower case, no leading zeros, the first longest run of two or more zero groups becomes "::" */
static void format_v6(const struct addr *a, char *out)
{
	unsigned run_start = 8, run_length = 1;
	char *p = out;

	for (unsigned i = 0, length; i < 8; i += length + 1) {
		for (length = 0; i + length < 8 && !a->bytes[2 * (i + length)] && !a->bytes[2 * (i + length) + 1];)
			length++;
		if (length > run_length) {
			run_start = i;
			run_length = length;
		}
	}
	for (unsigned i = 0; i < 8; i++) {
		if (i == run_start) {
			p = stpcpy(p, "::");
			i += run_length - 1;
			continue;
		}
		p += sprintf(p, "%s%x", i > 0 && p[-1] != ':' ? ":" : "",
			     (unsigned)a->bytes[2 * i] << 8 | a->bytes[2 * i + 1]);
	}
}

const char *addr_format(const struct addr *a, char out[static ADDR_TEXT_SIZE])
{
	if (addr_is_v4(a))
		sprintf(out, "%u.%u.%u.%u", a->bytes[12], a->bytes[13], a->bytes[14], a->bytes[15]);
	else
		format_v6(a, out);
	return out;
}

const char *prefix_format(const struct prefix *p, char out[static PREFIX_TEXT_SIZE])
{
	addr_format(&p->addr, out);
	sprintf(out + strlen(out), "/%u", addr_is_v4(&p->addr) ? p->length - 96u : p->length);
	return out;
}

const char *mac_format(const struct mac *m, char out[static MAC_TEXT_SIZE])
{
	const uint8_t *b = m->bytes;

	sprintf(out, "%02x:%02x:%02x:%02x:%02x:%02x", b[0], b[1], b[2], b[3], b[4], b[5]);
	return out;
}

struct addr addr_from_v4(const uint8_t bytes[static 4])
{
	struct addr a = {};

	memcpy(a.bytes, mapped, sizeof(mapped));
	memcpy(a.bytes + 12, bytes, 4);
	return a;
}

struct addr addr_from_v4_number(uint32_t number)
{
	const uint8_t bytes[] = {(uint8_t)(number >> 24), (uint8_t)(number >> 16), (uint8_t)(number >> 8), (uint8_t)number};

	return addr_from_v4(bytes);
}

uint32_t addr_v4_number(const struct addr *a)
{
	const uint8_t *b = a->bytes + 12;

	return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

bool addr_is_v4(const struct addr *a)
{
	return memcmp(a->bytes, mapped, sizeof(mapped)) == 0;
}

bool addr_is_unspecified(const struct addr *a)
{
	return a->be32[3] == 0 && a->u64[0] == 0 && (a->be32[2] == 0 || addr_is_v4(a));
}

bool addr_is_multicast(const struct addr *a)
{
	return addr_is_v4(a) ? (a->bytes[12] & 0xf0) == 0xe0 : a->bytes[0] == 0xff;
}

bool addr_is_loopback(const struct addr *a)
{
	static const struct addr one = {.bytes[15] = 1};

	return addr_is_v4(a) ? a->bytes[12] == 127 : addr_equal(a, &one);
}

bool addr_is_link_local(const struct addr *a)
{
	if (addr_is_v4(a))
		return a->bytes[12] == 169 && a->bytes[13] == 254;
	return a->bytes[0] == 0xfe && (a->bytes[1] & 0xc0) == 0x80;
}

int addr_compare(const struct addr *a, const struct addr *b)
{
	return memcmp(a->bytes, b->bytes, sizeof(a->bytes));
}

static bool same_bits(const struct addr *a, const struct addr *b, unsigned length)
{
	unsigned whole = length / 8, rest = length % 8;

	return memcmp(a->bytes, b->bytes, whole) == 0 &&
	       (rest == 0 || ((a->bytes[whole] ^ b->bytes[whole]) & (0xff00 >> rest) & 0xff) == 0);
}

bool prefix_contains(const struct prefix *p, const struct addr *a)
{
	/* ::/0 must not hold IPv4, although the mapped form lies in it */
	return addr_is_v4(&p->addr) == addr_is_v4(a) && same_bits(&p->addr, a, p->length);
}

bool prefix_overlaps(const struct prefix *a, const struct prefix *b)
{
	return a->length <= b->length ? prefix_contains(a, &b->addr) : prefix_contains(b, &a->addr);
}

bool prefix_reserves(const struct prefix *p, const struct addr *a)
{
	bool zero = true, ones = true;

	if (p->length > 126 || !prefix_contains(p, a)) /* RFC 3021, RFC 6164: both of a /31 and a /127 are hosts */
		return false;
	for (unsigned i = p->length; i < 128; i++) {
		bool bit = a->bytes[i / 8] & (0x80 >> i % 8);

		zero &= !bit;
		ones &= bit;
	}
	return zero || (ones && addr_is_v4(a));
}

bool mac_is_multicast(const struct mac *m)
{
	return m->bytes[0] & 1;
}

bool mac_is_zero(const struct mac *m)
{
	static const struct mac zero;

	return mac_equal(m, &zero);
}
