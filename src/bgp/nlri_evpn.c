/* SPDX-License-Identifier: Apache-2.0 */
#include "bgp/nlri_evpn.h"

#define MAC_BITS 48
#define ESI_TYPE_MAX 5 /* RFC 7432 5; the others are reserved */
#define LABEL_SIZE 3

/*
 * One decoder per type reads straight through; a value that ends too early or too late is found by evpn_next at the
 * end.
 */
struct value {
	struct reader r;
	struct route_nlri *out;
	const char *bad;   /* what is wrong with the key, or NULL */
	const char *wrong; /* with something else */
};

static void read_rd(struct value *v)
{
	reader_copy(&v->r, v->out->key.rd.bytes, sizeof(v->out->key.rd.bytes));
}

static bool esi_is_reserved(const struct route_esi *e)
{
	return e->bytes[0] > ESI_TYPE_MAX; /* all ones (MAX-ESI) too */
}

/* An address with its length in bits before it; none where `optional` allows that. */
static void read_host(struct value *v, bool optional)
{
	unsigned bits = reader_u8(&v->r);
	struct route_key *key = &v->out->key;

	if (bits == 32) {
		const uint8_t *p = reader_take(&v->r, 4);

		if (p)
			key->addr = addr_from_v4(p);
	} else if (bits == 128) {
		reader_copy(&v->r, key->addr.bytes, 16);
		if (addr_is_v4(&key->addr))
			v->bad = "IPv6 address is mapped IPv4";
	} else if (bits != 0 || !optional) {
		v->bad = optional ? "IP address length is not 0, 32 or 128" : "IP address length is not 32 or 128";
		return;
	}
	key->length = bits ? 128 : 0;
	if (bits && (addr_is_unspecified(&key->addr) || addr_is_multicast(&key->addr)))
		v->wrong = "IP address is no host's";
}

/* RFC 7432 9.2.1, RFC 8365 5.1.3.  In a withdrawal labels mean nothing and may be missing. */
static void read_labels(struct value *v, unsigned most)
{
	struct route_nlri *n = v->out;

	while (n->n_labels < most && reader_left(&v->r) >= LABEL_SIZE)
		n->label[n->n_labels++] = reader_u24(&v->r);
	if (n->n_labels == 0)
		v->wrong = "no label";
}

static void read_esi(struct value *v)
{
	reader_copy(&v->r, v->out->esi.bytes, sizeof(v->out->esi.bytes));
	if (esi_is_reserved(&v->out->esi))
		v->wrong = "ESI of a reserved type";
}

static void read_key_esi(struct value *v)
{
	reader_copy(&v->r, v->out->key.esi.bytes, sizeof(v->out->key.esi.bytes));
	if (esi_is_reserved(&v->out->key.esi))
		v->bad = "ESI of a reserved type";
}

static void read_ad(struct value *v) /* RFC 7432 7.1 */
{
	read_rd(v);
	read_key_esi(v);
	v->out->key.tag = reader_u32(&v->r);
	read_labels(v, 1);
}

static void read_mac(struct value *v) /* RFC 7432 7.2 */
{
	unsigned bits;

	read_rd(v);
	read_esi(v);
	v->out->key.tag = reader_u32(&v->r);
	bits = reader_u8(&v->r);
	if (bits != MAC_BITS) {
		v->bad = "MAC address length is not 48";
		return;
	}
	reader_copy(&v->r, v->out->key.mac.bytes, sizeof(v->out->key.mac.bytes));
	if (mac_is_multicast(&v->out->key.mac) || mac_is_zero(&v->out->key.mac))
		v->wrong = "MAC address is no host's";
	read_host(v, true);
	read_labels(v, 2);
}

static void read_imet(struct value *v) /* RFC 7432 7.3 */
{
	read_rd(v);
	v->out->key.tag = reader_u32(&v->r);
	read_host(v, false);
}

static void read_es(struct value *v) /* RFC 7432 7.4 */
{
	read_rd(v);
	read_key_esi(v);
	read_host(v, false);
	if (route_esi_is_zero(&v->out->key.esi)) /* RFC 7432 5: that is no segment */
		v->wrong = "ESI is zero";
}

/*
 * RFC 9136 3.1: the length of the value alone tells IPv4 from IPv6, so the prefix length has to fit the family it tells
 */
static void read_prefix(struct value *v)
{
	struct route_nlri *n = v->out;
	bool v4 = reader_left(&v->r) < 8 + 10 + 4 + 1 + 16 + 16;
	unsigned length, size = v4 ? 4 : 16;
	uint8_t *to = n->key.addr.bytes + 16 - size;

	read_rd(v);
	read_esi(v);
	n->key.tag = reader_u32(&v->r);
	length = reader_u8(&v->r);
	if (length > 8 * size) {
		v->bad = "prefix length exceeds the address";
		return;
	}
	if (v4)
		n->key.addr = addr_from_v4((const uint8_t[4]){0});
	reader_copy(&v->r, to, size);
	for (unsigned bit = length; bit < 8 * size; bit++)
		to[bit / 8] &= (uint8_t)~(0x80u >> bit % 8);
	n->key.length = (uint8_t)(length + 128 - 8 * size);
	if (!v4 && addr_is_v4(&n->key.addr))
		v->bad = "IPv6 prefix is of mapped IPv4 addresses";
	if (length >= (v4 ? 4u : 8u) && addr_is_multicast(&n->key.addr))
		v->wrong = "multicast prefix";

	if (v4) {
		const uint8_t *p = reader_take(&v->r, 4);
		static const uint8_t none[4];

		if (p && memcmp(p, none, 4) != 0)
			n->gateway = addr_from_v4(p);
	} else {
		reader_copy(&v->r, n->gateway.bytes, 16);
	}
	read_labels(v, 1);
	if (!addr_is_unspecified(&n->gateway) && !route_esi_is_zero(&n->esi)) /* RFC 9136 3.2 */
		v->wrong = "both a gateway and an ESI";
	else if (addr_is_unspecified(&n->gateway) && route_esi_is_zero(&n->esi) && n->label[0] == 0)
		v->wrong = "neither a label nor an overlay index";
}

static void (*const types[ROUTE_EVPN_MAX])(struct value *v) = {
	[ROUTE_EVPN_AD] = read_ad,
	[ROUTE_EVPN_MAC] = read_mac,
	[ROUTE_EVPN_IMET] = read_imet,
	[ROUTE_EVPN_ES] = read_es,
	[ROUTE_EVPN_PREFIX] = read_prefix,
};

enum nlri_verdict evpn_next(struct reader *block, bool withdraw, struct route_nlri *out, const char **why)
{
	uint8_t type = reader_u8(block);
	struct value v = {.r = reader_sub(block, reader_u8(block)), .out = out};

	if (!reader_ok(block)) {
		*why = "EVPN route exceeds the field";
		return NLRI_LOST;
	}
	if (type == ROUTE_EVPN_NONE || type >= ROUTE_EVPN_MAX) { /* RFC 7432 7, RFC 7606 5.4 */
		*why = "EVPN route type is unknown";
		return NLRI_SKIPPED;
	}
	out->key.type = type;
	types[type](&v);
	if (v.bad) {
		*why = v.bad;
		return NLRI_BAD;
	}
	if (!reader_ok(&v.r) || reader_left(&v.r)) {
		*why = "length does not fit the EVPN route type";
		return NLRI_BAD;
	}
	if (v.wrong && !withdraw) {
		*why = v.wrong;
		return NLRI_WITHDRAW;
	}
	return NLRI_GOOD;
}

/* ---- out ---- */

static unsigned host_size(const struct route_key *k)
{
	return k->length == 0 ? 0 : addr_is_v4(&k->addr) ? 4 : 16;
}

/* A withdrawn route may have come without a label, and goes out with one all the same: other speakers want the size. */
static unsigned label_count(const struct route_nlri *n)
{
	return n->n_labels ? n->n_labels : 1;
}

static unsigned value_size(const struct route_nlri *n)
{
	unsigned host = host_size(&n->key), labels = LABEL_SIZE * label_count(n);

	switch (n->key.type) {
	case ROUTE_EVPN_AD:
		return 8 + 10 + 4 + labels;
	case ROUTE_EVPN_MAC:
		return 8 + 10 + 4 + 1 + 6 + 1 + host + labels;
	case ROUTE_EVPN_IMET:
		return 8 + 4 + 1 + host;
	case ROUTE_EVPN_ES:
		return 8 + 10 + 1 + host;
	default:
		host = addr_is_v4(&n->key.addr) ? 4 : 16;
		return 8 + 10 + 4 + 1 + 2 * host + labels;
	}
}

size_t evpn_size(const struct route_nlri *n)
{
	return 2 + value_size(n);
}

static void write_host(struct writer *w, const struct route_key *k)
{
	unsigned size = host_size(k);

	writer_u8(w, (uint8_t)(8 * size));
	writer_bytes(w, k->addr.bytes + 16 - size, size);
}

static void write_labels(struct writer *w, const struct route_nlri *n)
{
	for (unsigned i = 0; i < label_count(n); i++)
		writer_u24(w, n->label[i]);
}

void evpn_encode(struct writer *w, const struct route_nlri *n)
{
	const struct route_key *k = &n->key;
	bool v4 = addr_is_v4(&k->addr);

	writer_u8(w, k->type);
	writer_u8(w, (uint8_t)value_size(n));
	writer_bytes(w, k->rd.bytes, sizeof(k->rd.bytes));
	if (k->type == ROUTE_EVPN_AD || k->type == ROUTE_EVPN_ES)
		writer_bytes(w, k->esi.bytes, sizeof(k->esi.bytes));
	else if (k->type != ROUTE_EVPN_IMET)
		writer_bytes(w, n->esi.bytes, sizeof(n->esi.bytes));
	if (k->type != ROUTE_EVPN_ES)
		writer_u32(w, k->tag);
	switch (k->type) {
	case ROUTE_EVPN_MAC:
		writer_u8(w, MAC_BITS);
		writer_bytes(w, k->mac.bytes, sizeof(k->mac.bytes));
		write_host(w, k);
		break;
	case ROUTE_EVPN_IMET:
	case ROUTE_EVPN_ES:
		write_host(w, k);
		break;
	case ROUTE_EVPN_PREFIX:
		writer_u8(w, (uint8_t)(k->length - (v4 ? 96 : 0)));
		writer_bytes(w, k->addr.bytes + (v4 ? 12 : 0), v4 ? 4 : 16);
		writer_bytes(w, n->gateway.bytes + (v4 ? 12 : 0), v4 ? 4 : 16);
		break;
	}
	if (k->type != ROUTE_EVPN_IMET && k->type != ROUTE_EVPN_ES)
		write_labels(w, n);
}
