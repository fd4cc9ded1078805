/* SPDX-License-Identifier: Apache-2.0 */
/*
 * frame.h - builds Ethernet frames for tests, independently of the code under test.
 *
 * Headers are appended from the outside in; frame_end fills lengths and checksums from the inside out.  What a test
 * wants to be wrong it breaks afterwards: frame_at gives the bytes of a layer, frame_sum4 repairs an IPv4 header's
 * checksum.
 *
 *	frame_begin(&f);
 *	frame_eth(&f, dst, src, 0x0800);
 *	frame_ip(&f, "10.0.1.11", "10.0.1.12", 17);
 *	frame_udp(&f, 1000, 2000);
 *	frame_fill(&f, 100);
 *	frame_end(&f);
 */
#ifndef ISTHMUS_TEST_FRAME_H
#define ISTHMUS_TEST_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FRAME_MAX 17000 /* larger than BPF_PROG_TEST_RUN takes */
#define FRAME_LAYERS 12

enum {
	TYPE_IP4 = 0x0800,
	TYPE_ARP = 0x0806,
	TYPE_IP6 = 0x86dd,
	IP_ICMP = 1,
	IP_TCP = 6,
	IP_UDP = 17,
	IP_ICMP6 = 58,
};

struct mac6 {
	uint8_t b[6];
};

enum layer_kind {
	LAYER_ETH,
	LAYER_ARP,
	LAYER_IP4,
	LAYER_IP6,
	LAYER_EXT,
	LAYER_UDP,
	LAYER_TCP,
	LAYER_ICMP4,
	LAYER_ICMP6,
	LAYER_VXLAN,
};

struct frame {
	size_t size;
	size_t layers;
	struct {
		enum layer_kind kind;
		size_t offset;
	} layer[FRAME_LAYERS];
	bool no_udp_sum[FRAME_LAYERS]; /* by layer */
	uint8_t data[FRAME_MAX];
};

void frame_begin(struct frame *f);
void frame_copy(struct frame *to, const struct frame *from); /* without the unused room */
void frame_eth(struct frame *f, struct mac6 dst, struct mac6 src, uint16_t type);
void frame_arp(struct frame *f, uint16_t op, struct mac6 sha, const char *spa, struct mac6 tha, const char *tpa);
/* The family is that of src; TTL 64, no options, DF clear. */
void frame_ip(struct frame *f, const char *src, const char *dst, uint8_t proto);
void frame_ext(struct frame *f, uint8_t next, uint8_t length8,
	       const uint8_t body[static 6]); /* (length8 + 1) * 8 bytes */
void frame_udp(struct frame *f, uint16_t sport, uint16_t dport);
void frame_udp_unsummed(struct frame *f, uint16_t sport, uint16_t dport);
void frame_tcp(struct frame *f, uint16_t sport, uint16_t dport);
void frame_icmp(struct frame *f, uint8_t type, uint8_t code, uint32_t info); /* family: the layer below */
void frame_vxlan(struct frame *f, uint32_t vni);
void frame_bytes(struct frame *f, const void *bytes, size_t size);
void frame_fill(struct frame *f, size_t size); /* a recognizable pattern */
void frame_end(struct frame *f);
/* Neighbour discovery: type 135 or 136; option 0: none, 1 source, 2 target link-layer address. */
void frame_nd(struct frame *f, uint8_t type, uint32_t flags, const char *target, uint8_t option, struct mac6 mac);

uint8_t *frame_at(struct frame *f, enum layer_kind kind); /* first layer of the kind */
void frame_ttl(struct frame *f, uint8_t ttl); /* of the first IP layer, checksum repaired */
void frame_tos(struct frame *f, uint8_t tos);
void frame_df(struct frame *f);
void frame_sum4(struct frame *f); /* of the first IPv4 layer */

struct mac6 mac_of(const char *text);
struct mac6 mac_multicast6(const char *address); /* 33:33: and the low 4 bytes */
void frame_print(const char *title, const uint8_t *data, size_t size);

#endif
