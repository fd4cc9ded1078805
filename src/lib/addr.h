/* SPDX-License-Identifier: Apache-2.0 */
/*
 * addr.h - the one address type, prefixes and MACs.
 *
 * IPv4 is held mapped into 16 bytes (::ffff:a.b.c.d), so that one body of code serves both families.  Values only; no
 * allocation, any thread.
 */
#ifndef ISTHMUS_ADDR_H
#define ISTHMUS_ADDR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct addr {
	union {
		uint8_t bytes[16];
		uint32_t be32[4];
		uint64_t u64[2];
	};
};

struct prefix {
	struct addr addr;  /* host bits zero */
	uint8_t length;    /* bits in the 128-bit form: 10.0.0.0/8 has 104 */
};

struct mac {
	uint8_t bytes[6];
};

#define ADDR_TEXT_SIZE 46   /* with the closing NUL */
#define PREFIX_TEXT_SIZE 50
#define MAC_TEXT_SIZE 18

/*
 * Parsers take the strict textual forms only: no leading zeros in IPv4 octets, no zone, no ::ffff:192.0.2.1.  0 or
 * -EINVAL; output untouched on failure.
 */
int addr_parse(const char *text, struct addr *out);
/* "10.0.0.0/8"; -EINVAL for bad text, -ERANGE for a bad length, -EDOM when host bits are set. */
int prefix_parse(const char *text, struct prefix *out);
int mac_parse(const char *text, struct mac *out);

/* Write the canonical form (RFC 5952 for IPv6, dotted quad for IPv4) and return out. */
const char *addr_format(const struct addr *a, char out[static ADDR_TEXT_SIZE]);
const char *prefix_format(const struct prefix *p, char out[static PREFIX_TEXT_SIZE]);
const char *mac_format(const struct mac *m, char out[static MAC_TEXT_SIZE]);

struct addr addr_from_v4(const uint8_t bytes[static 4]); /* network order */
struct addr addr_from_v4_number(uint32_t number); /* host order */
uint32_t addr_v4_number(const struct addr *a);    /* of an IPv4 address, host order */
bool addr_is_v4(const struct addr *a);
bool addr_is_unspecified(const struct addr *a); /* 0.0.0.0 or :: or all-zero */
bool addr_is_multicast(const struct addr *a);
bool addr_is_loopback(const struct addr *a);
bool addr_is_link_local(const struct addr *a);
static inline bool addr_equal(const struct addr *a, const struct addr *b)
{
	return a->u64[0] == b->u64[0] && a->u64[1] == b->u64[1];
}
int addr_compare(const struct addr *a, const struct addr *b); /* as memcmp */

bool prefix_contains(const struct prefix *p, const struct addr *a);
bool prefix_overlaps(const struct prefix *a, const struct prefix *b);
/* Is `a` the all-zero host address or (IPv4) the broadcast address of a subnet of at most /30? */
bool prefix_reserves(const struct prefix *p, const struct addr *a);

bool mac_is_multicast(const struct mac *m); /* includes broadcast */
bool mac_is_zero(const struct mac *m);
static inline bool mac_equal(const struct mac *a, const struct mac *b)
{
	return __builtin_memcmp(a->bytes, b->bytes, 6) == 0;
}

#endif
