/* SPDX-License-Identifier: Apache-2.0 */
#include "frame.h"

#include <arpa/inet.h>
#include <assert.h>
#include <stdio.h>
#include <string.h>

static void put16(uint8_t *p, size_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static void put32(uint8_t *p, uint32_t v)
{
	put16(p, v >> 16);
	put16(p + 2, v & 0xffff);
}

static uint8_t *append(struct frame *f, size_t size)
{
	uint8_t *p = f->data + f->size;

	assert(f->size + size <= sizeof(f->data));
	memset(p, 0, size);
	f->size += size;
	return p;
}

static uint8_t *layer(struct frame *f, enum layer_kind kind, size_t size)
{
	assert(f->layers < FRAME_LAYERS);
	f->layer[f->layers].kind = kind;
	f->layer[f->layers].offset = f->size;
	f->no_udp_sum[f->layers] = false;
	f->layers++;
	return append(f, size);
}

void frame_begin(struct frame *f)
{
	f->size = 0;
	f->layers = 0;
}

void frame_copy(struct frame *to, const struct frame *from)
{
	memcpy(to, from, offsetof(struct frame, data) + from->size);
}

void frame_eth(struct frame *f, struct mac6 dst, struct mac6 src, uint16_t type)
{
	uint8_t *p = layer(f, LAYER_ETH, 14);

	memcpy(p, dst.b, 6);
	memcpy(p + 6, src.b, 6);
	put16(p + 12, type);
}

void frame_arp(struct frame *f, uint16_t op, struct mac6 sha, const char *spa, struct mac6 tha, const char *tpa)
{
	uint8_t *p = layer(f, LAYER_ARP, 28);
	int ok;

	put16(p, 1);
	put16(p + 2, TYPE_IP4);
	p[4] = 6;
	p[5] = 4;
	put16(p + 6, op);
	memcpy(p + 8, sha.b, 6);
	memcpy(p + 18, tha.b, 6);
	ok = inet_pton(AF_INET, spa, p + 14) + inet_pton(AF_INET, tpa, p + 24);
	assert(ok == 2);
	(void)ok;
}

void frame_ip(struct frame *f, const char *src, const char *dst, uint8_t proto)
{
	bool v6 = strchr(src, ':');
	uint8_t *p = layer(f, v6 ? LAYER_IP6 : LAYER_IP4, v6 ? 40 : 20);
	int ok;

	if (v6) {
		p[0] = 0x60;
		p[6] = proto;
		p[7] = 64;
		ok = inet_pton(AF_INET6, src, p + 8) + inet_pton(AF_INET6, dst, p + 24);
	} else {
		p[0] = 0x45;
		p[8] = 64;
		p[9] = proto;
		ok = inet_pton(AF_INET, src, p + 12) + inet_pton(AF_INET, dst, p + 16);
	}
	assert(ok == 2);
	(void)ok;
}

void frame_ext(struct frame *f, uint8_t next, uint8_t length8, const uint8_t body[static 6])
{
	uint8_t *p = layer(f, LAYER_EXT, (length8 + 1u) * 8u);

	p[0] = next;
	p[1] = length8;
	memcpy(p + 2, body, 6);
}

void frame_udp(struct frame *f, uint16_t sport, uint16_t dport)
{
	uint8_t *p = layer(f, LAYER_UDP, 8);

	put16(p, sport);
	put16(p + 2, dport);
}

void frame_udp_unsummed(struct frame *f, uint16_t sport, uint16_t dport)
{
	frame_udp(f, sport, dport);
	f->no_udp_sum[f->layers - 1] = true;
}

void frame_tcp(struct frame *f, uint16_t sport, uint16_t dport)
{
	uint8_t *p = layer(f, LAYER_TCP, 20);

	put16(p, sport);
	put16(p + 2, dport);
	put32(p + 4, 1);
	p[12] = 5 << 4;
	p[13] = 0x10;
	put16(p + 14, 1000);
}

void frame_icmp(struct frame *f, uint8_t type, uint8_t code, uint32_t info)
{
	bool v6 = false;

	for (size_t i = 0; i < f->layers; i++)
		if (f->layer[i].kind == LAYER_IP4 || f->layer[i].kind == LAYER_IP6)
			v6 = f->layer[i].kind == LAYER_IP6;

	uint8_t *p = layer(f, v6 ? LAYER_ICMP6 : LAYER_ICMP4, 8);

	p[0] = type;
	p[1] = code;
	put32(p + 4, info);
}

void frame_vxlan(struct frame *f, uint32_t vni)
{
	uint8_t *p = layer(f, LAYER_VXLAN, 8);

	p[0] = 0x08;
	put32(p + 4, vni << 8);
}

void frame_bytes(struct frame *f, const void *bytes, size_t size)
{
	memcpy(append(f, size), bytes, size);
}

void frame_fill(struct frame *f, size_t size)
{
	uint8_t *p = append(f, size);

	for (size_t i = 0; i < size; i++)
		p[i] = (uint8_t)(i * 7 + 1);
}

void frame_nd(struct frame *f, uint8_t type, uint32_t flags, const char *target, uint8_t option, struct mac6 mac)
{
	uint8_t bytes[16];
	int ok = inet_pton(AF_INET6, target, bytes);

	assert(ok == 1);
	(void)ok;
	frame_icmp(f, type, 0, flags);
	frame_bytes(f, bytes, 16);
	if (option) {
		frame_bytes(f, (uint8_t[]){ option, 1 }, 2);
		frame_bytes(f, mac.b, 6);
	}
}

static uint32_t sum(uint32_t s, const uint8_t *p, size_t size)
{
	for (size_t i = 0; i + 1 < size; i += 2)
		s += (uint32_t)(p[i] << 8 | p[i + 1]);
	if (size & 1)
		s += (uint32_t)p[size - 1] << 8;
	return s;
}

static uint16_t folded(uint32_t s)
{
	while (s >> 16)
		s = (s & 0xffff) + (s >> 16);
	return (uint16_t)~s;
}

/* RFC 768, RFC 9293 3.1, RFC 8200 8.1: addresses, length and protocol, then the message. */
static uint16_t transport_sum(const uint8_t *ip, bool v6, uint8_t proto, const uint8_t *p, size_t size)
{
	uint32_t s = v6 ? sum(0, ip + 8, 32) : sum(0, ip + 12, 8);

	return folded(sum(s + proto + (uint32_t)size, p, size));
}

static void end_layer(struct frame *f, size_t i, const uint8_t *ip, bool v6)
{
	uint8_t *p = f->data + f->layer[i].offset;
	size_t size = f->size - f->layer[i].offset;
	uint16_t s;

	switch (f->layer[i].kind) {
	case LAYER_IP4:
		put16(p + 2, size);
		put16(p + 10, 0);
		put16(p + 10, folded(sum(0, p, 20)));
		break;
	case LAYER_IP6:
		put16(p + 4, size - 40);
		break;
	case LAYER_UDP:
		put16(p + 4, size);
		put16(p + 6, 0);
		if (f->no_udp_sum[i])
			break;
		s = transport_sum(ip, v6, IP_UDP, p, size);
		put16(p + 6, s ? s : 0xffff);
		break;
	case LAYER_TCP:
		put16(p + 16, 0);
		put16(p + 16, transport_sum(ip, v6, IP_TCP, p, size));
		break;
	case LAYER_ICMP4:
		put16(p + 2, 0);
		put16(p + 2, folded(sum(0, p, size)));
		break;
	case LAYER_ICMP6:
		put16(p + 2, 0);
		put16(p + 2, transport_sum(ip, true, IP_ICMP6, p, size));
		break;
	default:
		break;
	}
}

void frame_end(struct frame *f)
{
	for (size_t i = f->layers; i-- > 0;) {
		const uint8_t *ip = NULL;
		bool v6 = false;

		for (size_t j = i; j-- > 0 && !ip;) {
			v6 = f->layer[j].kind == LAYER_IP6;
			if (v6 || f->layer[j].kind == LAYER_IP4)
				ip = f->data + f->layer[j].offset;
		}
		end_layer(f, i, ip, v6);
	}
}

uint8_t *frame_at(struct frame *f, enum layer_kind kind)
{
	for (size_t i = 0; i < f->layers; i++)
		if (f->layer[i].kind == kind)
			return f->data + f->layer[i].offset;
	assert(!"the frame has no such layer");
	return NULL;
}

static bool first_ip_is_v6(const struct frame *f)
{
	for (size_t i = 0; i < f->layers; i++)
		if (f->layer[i].kind == LAYER_IP4 || f->layer[i].kind == LAYER_IP6)
			return f->layer[i].kind == LAYER_IP6;
	assert(!"the frame has no IP layer");
	return false;
}

void frame_sum4(struct frame *f)
{
	uint8_t *p = frame_at(f, LAYER_IP4);

	put16(p + 10, 0);
	put16(p + 10, folded(sum(0, p, (p[0] & 15) * 4u)));
}

void frame_ttl(struct frame *f, uint8_t ttl)
{
	if (first_ip_is_v6(f)) {
		frame_at(f, LAYER_IP6)[7] = ttl;
		return;
	}
	frame_at(f, LAYER_IP4)[8] = ttl;
	frame_sum4(f);
}

void frame_tos(struct frame *f, uint8_t tos)
{
	if (first_ip_is_v6(f)) {
		uint8_t *p = frame_at(f, LAYER_IP6);

		p[0] = (uint8_t)(0x60 | tos >> 4);
		p[1] = (uint8_t)((p[1] & 0x0f) | tos << 4);
		return;
	}
	frame_at(f, LAYER_IP4)[1] = tos;
	frame_sum4(f);
}

void frame_df(struct frame *f)
{
	frame_at(f, LAYER_IP4)[6] |= 0x40;
	frame_sum4(f);
}

struct mac6 mac_of(const char *text)
{
	struct mac6 m;
	int n = sscanf(text, "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", &m.b[0], &m.b[1], &m.b[2], &m.b[3], &m.b[4], &m.b[5]);

	assert(n == 6);
	(void)n;
	return m;
}

struct mac6 mac_multicast6(const char *address)
{
	struct mac6 m = { { 0x33, 0x33 } };
	uint8_t a[16];
	int ok = inet_pton(AF_INET6, address, a);

	assert(ok == 1);
	(void)ok;
	memcpy(m.b + 2, a + 12, 4);
	return m;
}

void frame_print(const char *title, const uint8_t *data, size_t size)
{
	fprintf(stderr, "%s (%zu bytes)", title, size);
	for (size_t i = 0; i < size && i < 256; i++)
		fprintf(stderr, "%s%02x", i % 32 ? i % 2 ? "" : " " : "\n    ", data[i]);
	fprintf(stderr, "%s\n", size > 256 ? " ..." : "");
}
