/* SPDX-License-Identifier: Apache-2.0 */
/*
 * route.h - what a source of reachability says: this endpoint, membership or prefix is at that node.
 *
 * Every source (configuration, `port add`, BGP, later learning) speaks in these values; rib decides among them.  A
 * route borrows its strings and arrays from whoever made it for the time of one call; rib copies what it keeps.
 *
 * A BGP route is a struct route_nlri (what is reachable) and a struct route_attrs (how), which many routes share: see
 * model/attrs.h for how sets of attributes are made, counted and compared.  All numbers are in host order.
 */
#ifndef ISTHMUS_ROUTE_H
#define ISTHMUS_ROUTE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/addr.h"
#include "model/extended.h"

enum route_source { /* in order of preference, best first */
	ROUTE_SOURCE_LOCAL,   /* a port of this node, or its gateway */
	ROUTE_SOURCE_BGP,     /* a neighbor says so */
	ROUTE_SOURCE_CONFIG,  /* the configuration says so of another node */
	ROUTE_SOURCE_WAITING, /* a port of this node whose interface is not there, or down */
	ROUTE_SOURCE_MAX
};

const char *route_source_name(enum route_source s); /* "local", "bgp" */

enum route_family {
	ROUTE_IPV4,  /* AFI 1 SAFI 1 */
	ROUTE_IPV6,  /* AFI 2 SAFI 1 */
	ROUTE_EVPN,  /* AFI 25 SAFI 70 */
	ROUTE_FAMILY_MAX
};

#define ROUTE_FAMILY_BIT(family) (1u << (family)) /* sets of families are bits */

const char *route_family_name(enum route_family f); /* "ipv4-unicast", "ipv6-unicast", "l2vpn-evpn" */

enum route_evpn_type { /* RFC 7432 7, RFC 9136 3 */
	ROUTE_EVPN_NONE, /* not EVPN */
	ROUTE_EVPN_AD,   /* Ethernet auto-discovery, per ES (tag 0xffffffff) or per EVI */
	ROUTE_EVPN_MAC,  /* MAC/IP advertisement */
	ROUTE_EVPN_IMET, /* inclusive multicast Ethernet tag */
	ROUTE_EVPN_ES,   /* Ethernet segment */
	ROUTE_EVPN_PREFIX, /* IP prefix */
	ROUTE_EVPN_MAX
};

struct route_rd { /* route distinguisher, RFC 4364 4.2: type 2 bytes, value 6 */
	uint8_t bytes[8];
};

struct route_esi { /* Ethernet segment identifier, RFC 7432 5; all zero = single-homed */
	uint8_t bytes[10];
};

/*
 * What makes two routes of one peer the same route (RFC 7432 7.x, RFC 9136 3.1, RFC 7911 3).  No padding, unused fields
 * are zero: keys are equal when their bytes are, so a key can be hashed as it is.
 */
struct route_key {
	struct addr addr;      /* prefix (host bits zero), the MAC's IP, or the originator of types 3 and 4 */
	struct route_rd rd;    /* EVPN */
	uint32_t tag;          /* EVPN 1, 2, 3, 5: Ethernet tag */
	uint32_t path_id;      /* RFC 7911; 0 without */
	struct mac mac;        /* EVPN 2 */
	struct route_esi esi;  /* EVPN 1, 4 */
	uint8_t family;        /* enum route_family */
	uint8_t type;          /* enum route_evpn_type */
	uint8_t length;        /* of addr, in bits of the 128-bit form (10.0.0.0/8: 104); no IP in EVPN 1 or 2: 0 */
	uint8_t zero[5];
};

struct route_nlri {
	struct route_key key;
	struct addr gateway;   /* EVPN 5: overlay index, zero = none (RFC 9136 3.1) */
	struct route_esi esi;  /* EVPN 2, 5; for 1 and 4 it is in the key */
	uint8_t n_labels;      /* EVPN 1, 5: 1; EVPN 2: 1 or 2; else 0 */
	uint32_t label[2];     /* L2, L3; the 24 bits as they stand: a VNI (RFC 8365 5.1.3) or, with MPLS, label << 4 */
};

static inline bool route_key_equal(const struct route_key *a, const struct route_key *b)
{
	return __builtin_memcmp(a, b, sizeof(*a)) == 0;
}
static inline bool route_nlri_equal(const struct route_nlri *a, const struct route_nlri *b)
{
	return route_key_equal(&a->key, &b->key) && addr_equal(&a->gateway, &b->gateway) &&
	       __builtin_memcmp(&a->esi, &b->esi, sizeof(a->esi)) == 0 && a->n_labels == b->n_labels &&
	       a->label[0] == b->label[0] && a->label[1] == b->label[1];
}
static inline bool route_esi_is_zero(const struct route_esi *e)
{
	return __builtin_memcmp(e, &(struct route_esi){}, sizeof(*e)) == 0;
}

/*
 * As FRR and others write it: "10.0.0.0/8", "[2]:[0]:[48]:[02:00:00:00:00:01]:[32]:[10.0.0.1]", with " path N" behind.
 */
#define ROUTE_KEY_TEXT_SIZE 160
const char *route_key_format(const struct route_key *k, char out[static ROUTE_KEY_TEXT_SIZE]);
/* "192.0.2.1:5", "65000:5", "4200000000:5"; an unknown type as 16 hexadecimal digits */
#define ROUTE_RD_TEXT_SIZE 24
const char *route_rd_format(const struct route_rd *rd, char out[static ROUTE_RD_TEXT_SIZE]);
#define ROUTE_ESI_TEXT_SIZE 30
const char *route_esi_format(const struct route_esi *esi, char out[static ROUTE_ESI_TEXT_SIZE]); /* "00:11:..:99" */

struct route_rd route_rd_ip(uint32_t ip, uint16_t number); /* type 1, RFC 7432 7.9 */

enum route_origin { /* RFC 4271 4.3, best first */
	ROUTE_ORIGIN_IGP,
	ROUTE_ORIGIN_EGP,
	ROUTE_ORIGIN_INCOMPLETE,
	ROUTE_ORIGIN_MAX
};

enum route_has { /* bits: what a set of attributes has */
	ROUTE_HAS_MED = 1 << 0,
	ROUTE_HAS_LOCAL_PREF = 1 << 1,
	ROUTE_HAS_ATOMIC_AGGREGATE = 1 << 2,
	ROUTE_HAS_AGGREGATOR = 1 << 3,
	ROUTE_HAS_ORIGINATOR_ID = 1 << 4,
	/* of the extended communities, found by attrs_intern */
	ROUTE_HAS_MOBILITY = 1 << 8,         /* RFC 7432 7.7 */
	ROUTE_HAS_STICKY = 1 << 9,           /* its static flag */
	ROUTE_HAS_ROUTER_MAC = 1 << 10,      /* RFC 9135 8.1 */
	ROUTE_HAS_DEFAULT_GATEWAY = 1 << 11, /* RFC 7432 7.8 */
	ROUTE_HAS_ES_IMPORT = 1 << 12,       /* RFC 7432 7.6 */
};

struct route_large { /* large community, RFC 8092 */
	uint32_t part[3];
};

/*
 * A set of path attributes.  From attrs_intern it is immutable, one allocation, and its pointers point into itself; as
 * a candidate for attrs_intern it is zero-initialised, its pointers point anywhere, and what is marked "found" is left
 * zero.
 */
struct route_attrs {
	/* ---- of attrs_intern ---- */
	uint32_t references;
	uint32_t size; /* of the allocation */
	uint64_t hash;
	struct attrs_account *account; /* attrs.h */

	/* ---- content: equal sets have these bytes and the arrays equal ---- */
	struct addr next_hop;   /* may be of another family than the route (RFC 8950) */
	struct addr link_local; /* beside an IPv6 next hop (RFC 2545 3); zero = none */
	uint32_t has;           /* enum route_has */
	uint32_t med;
	uint32_t local_pref;
	uint32_t originator_id; /* RFC 4456 8 */
	uint32_t aggregator_as;
	uint32_t aggregator_id;
	uint32_t path_length;   /* found: RFC 4271 9.1.2.2 a, an AS_SET counts 1, confederation segments nothing */
	uint32_t first_as;      /* found: leftmost AS of a first AS_SEQUENCE, the neighbouring AS; else 0 */
	uint32_t origin_as;     /* found: rightmost AS of a last AS_SEQUENCE; else 0 */
	uint32_t mobility;      /* found: sequence number; 0 without (RFC 7432 7.7) */
	uint32_t tunnels;       /* found: bits 1 << enum route_tunnel of the encapsulation extended communities */
	struct mac router_mac;  /* found */
	uint8_t origin;         /* enum route_origin */
	uint8_t zero;
	uint32_t path_size;     /* bytes */
	uint32_t n_extended;    /* communities of 8 bytes ... */
	uint32_t n_targets;     /* found: ... of which the first so many are route targets */
	uint32_t n_communities;
	uint32_t n_large;
	uint32_t n_clusters;
	uint32_t pmsi_size;     /* bytes; 0 = none */

	/* ---- arrays ---- */
	const uint64_t *extended;    /* type in the high bytes; sorted, route targets first, none twice */
	const struct route_large *large; /* sorted, none twice */
	const uint32_t *communities; /* sorted, none twice */
	const uint32_t *clusters;    /* CLUSTER_LIST, nearest first */
	const uint8_t *path;         /* segments: type, number of ASes, ASes of 4 bytes in network order */
	const uint8_t *pmsi;         /* attribute value as on the wire: flags, type, label, tunnel identifier */
};

/* Does the path contain the AS?  (RFC 4271 9.1.2: a loop when it is one's own.) */
bool route_path_contains(const struct route_attrs *a, uint32_t as);
/* "65001 65002 {65003 65004}" and, in confederation segments, "(65005)"; cut at the end of `out`. */
const char *route_path_format(const struct route_attrs *a, char *out, size_t size);

enum { /* tunnel types of the PMSI attribute, RFC 6514 5, RFC 7432 11.2 */
	ROUTE_PMSI_INGRESS_REPLICATION = 6,
};

struct route_pmsi {
	uint8_t flags, type;
	uint32_t label;       /* 24 bits as they stand: a VNI (RFC 8365 5.1.3) */
	struct addr endpoint; /* ingress replication: where to send; else zero */
};

bool route_attrs_pmsi(const struct route_attrs *a, struct route_pmsi *out); /* false: there is none */

#endif
