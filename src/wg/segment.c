/* SPDX-License-Identifier: Apache-2.0 */
#include "wg/segment.h"

#include <endian.h>
#include <errno.h>
#include <string.h>

enum { IP4 = 20, IP6 = 40, TCP = 20, TCP_MOST = 60, PROTOCOL_TCP = 6 };
enum { FIN = 0x01, PSH = 0x08, ACK = 0x10, CWR = 0x80 };

static uint16_t get16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static void put16(uint8_t *p, size_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static uint32_t get32(const uint8_t *p)
{
	return (uint32_t)get16(p) << 16 | get16(p + 2);
}

static void put32(uint8_t *p, uint32_t v)
{
	put16(p, v >> 16);
	put16(p + 2, v);
}

static uint64_t add_with_carry(uint64_t a, uint64_t b)
{
	a += b;
	return a + (a < b);
}

/* The sum of RFC 1071, over words as they lie in memory; to be folded. */
static uint64_t sum_of(const uint8_t *p, size_t size, uint64_t sum)
{
	uint64_t other = 0, words[2]; /* two chains of additions, side by side */
	uint16_t half;

	for (; size >= 16; p += 16, size -= 16) {
		memcpy(words, p, 16);
		sum = add_with_carry(sum, words[0]);
		other = add_with_carry(other, words[1]);
	}
	sum = add_with_carry(sum, other);
	sum = (sum & UINT32_MAX) + (sum >> 32);
	for (; size >= 2; p += 2, size -= 2) {
		memcpy(&half, p, 2);
		sum += half;
	}
	if (size)
		sum += htole16(*p);
	return sum;
}

static uint16_t fold(uint64_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

/* Of a pseudo-header of TCP (RFC 9293 3.1, RFC 8200 8.1). */
static uint64_t pseudo_sum(const uint8_t *ip, bool v6, size_t size)
{
	uint64_t sum = v6 ? sum_of(ip + 8, 32, 0) : sum_of(ip + 12, 8, 0);

	return sum + htobe16(PROTOCOL_TCP) + htobe16((uint16_t)size);
}

static void ip4_sum(uint8_t *ip)
{
	uint16_t sum;

	memset(ip + 10, 0, 2);
	sum = (uint16_t)~fold(sum_of(ip, IP4, 0));
	memcpy(ip + 10, &sum, 2);
}

/* Where TCP begins in a packet without options and extension headers and not in fragments; 0 = it is not such a one. */
static size_t tcp_offset(const uint8_t *p, size_t size, bool *v6)
{
	size_t l4;

	if (size >= IP4 && p[0] == 0x45 && p[9] == PROTOCOL_TCP && (get16(p + 6) & 0x3fff) == 0 &&
	    get16(p + 2) == size) {
		*v6 = false;
		l4 = IP4;
	} else if (size >= IP6 && p[0] >> 4 == 6 && p[6] == PROTOCOL_TCP && get16(p + 4) + (size_t)IP6 == size) {
		*v6 = true;
		l4 = IP6;
	} else {
		return 0;
	}
	return size >= l4 + TCP ? l4 : 0;
}

static size_t tcp_size(const uint8_t *tcp)
{
	return (size_t)(tcp[12] >> 4) * 4;
}

/* Is the checksum right?  A packet that was damaged before it came to us is not to be made whole by a merge. */
static bool tcp_is_intact(const uint8_t *p, size_t size, size_t l4, bool v6)
{
	return fold(sum_of(p + l4, size - l4, pseudo_sum(p, v6, size - l4))) == 0xffff;
}

int segment_cut_begin(struct segment_cut *c, const struct virtio_net_hdr *h, const uint8_t *packet, size_t size)
{
	uint8_t type = h->gso_type & (uint8_t)~VIRTIO_NET_HDR_GSO_ECN;

	*c = (struct segment_cut){.packet = packet, .size = size, .headers = size, .n = 1,
				  .sum = h->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM,
				  .sum_start = h->csum_start, .sum_at = (size_t)h->csum_start + h->csum_offset};
	if (c->sum && (c->sum_at + 2 > size || c->sum_start > size))
		return -EBADMSG;
	if (type == VIRTIO_NET_HDR_GSO_NONE)
		return 0;
	c->l4 = tcp_offset(packet, size, &c->v6);
	if (c->l4 == 0 || type != (c->v6 ? VIRTIO_NET_HDR_GSO_TCPV6 : VIRTIO_NET_HDR_GSO_TCPV4) || h->gso_size == 0)
		return -EBADMSG;
	c->headers = c->l4 + tcp_size(packet + c->l4);
	c->mss = h->gso_size;
	if (c->headers < c->l4 + TCP || c->headers >= size)
		return -EBADMSG;
	c->n = (size - c->headers + c->mss - 1) / c->mss;
	return c->n <= SEGMENT_MAX ? 0 : -EMSGSIZE;
}

size_t segment_cut_size(const struct segment_cut *c, size_t i)
{
	size_t left;

	if (c->n == 1)
		return c->size;
	left = c->size - c->headers - i * c->mss;
	return c->headers + (left < c->mss ? left : c->mss);
}

static void write_whole(const struct segment_cut *c, uint8_t *out)
{
	uint16_t sum;

	memcpy(out, c->packet, c->size);
	if (!c->sum)
		return;
	/* the field holds the sum of the pseudo-header */
	sum = (uint16_t)~fold(sum_of(out + c->sum_start, c->size - c->sum_start, 0));
	memcpy(out + c->sum_at, &sum, 2);
}

void segment_cut_write(const struct segment_cut *c, size_t i, uint8_t *out)
{
	size_t size = segment_cut_size(c, i), payload = size - c->headers;
	uint8_t *tcp = out + c->l4;
	uint16_t sum;

	if (c->n == 1) {
		write_whole(c, out);
		return;
	}
	memcpy(out, c->packet, c->headers);
	memcpy(out + c->headers, c->packet + c->headers + i * c->mss, payload);
	if (c->v6) {
		put16(out + 4, size - IP6);
	} else {
		put16(out + 2, size);
		put16(out + 4, get16(c->packet + 4) + i);
		ip4_sum(out);
	}
	put32(tcp + 4, get32(tcp + 4) + (uint32_t)(i * c->mss));
	if (i + 1 < c->n)
		tcp[13] &= (uint8_t)~(FIN | PSH);
	if (i > 0)
		tcp[13] &= (uint8_t)~CWR; /* RFC 3168 6.1.2: once */
	memset(tcp + 16, 0, 2);
	sum = (uint16_t)~fold(sum_of(tcp, size - c->l4, pseudo_sum(out, c->v6, size - c->l4)));
	memcpy(tcp + 16, &sum, 2);
}

void segment_merge_begin(struct segment_merge *m, const uint8_t *packet, size_t size)
{
	size_t headers;

	m->header = (struct virtio_net_hdr){.gso_type = VIRTIO_NET_HDR_GSO_NONE};
	m->n = 1;
	m->closed = true;
	m->pushed = false;
	m->l4 = tcp_offset(packet, size, &m->v6);
	headers = m->l4 + (m->l4 ? tcp_size(packet + m->l4) : 0);
	m->pieces[0] = (struct iovec){&m->header, sizeof(m->header)};
	m->pieces[1] = (struct iovec){(void *)packet, size};
	m->pieces[2] = (struct iovec){(void *)packet, 0};
	if (m->l4 == 0 || headers < m->l4 + TCP || headers >= size)
		return;
	m->head_size = headers;
	m->mss = m->payload = size - headers;
	m->next = get32(packet + m->l4 + 4) + (uint32_t)m->payload;
	m->pieces[1].iov_len = headers;
	m->pieces[2] = (struct iovec){(void *)(packet + headers), m->payload};
	/* only plain data is waited on */
	m->closed = packet[m->l4 + 13] != ACK || !tcp_is_intact(packet, size, m->l4, m->v6);
}

/* The same flow, and headers that differ in nothing but what a merge makes anew. */
static bool belongs(const struct segment_merge *m, const uint8_t *p, size_t size)
{
	const uint8_t *q = m->pieces[1].iov_base;
	const uint8_t *tcp = p + m->l4, *other = q + m->l4;
	bool v6;

	if (tcp_offset(p, size, &v6) != m->l4 || v6 != m->v6 || m->l4 + tcp_size(tcp) != m->head_size ||
	    size <= m->head_size || get32(tcp + 4) != m->next)
		return false;
	if (v6 ? memcmp(p, q, 4) != 0 || memcmp(p + 6, q + 6, 34) != 0
	       : memcmp(p, q, 2) != 0 || memcmp(p + 6, q + 6, 4) != 0 || memcmp(p + 12, q + 12, 8) != 0)
		return false;
	return memcmp(tcp, other, 4) == 0 && memcmp(tcp + 8, other + 8, 5) == 0 && (tcp[13] & ~PSH) == ACK &&
	       memcmp(tcp + 14, other + 14, 2) == 0 && memcmp(tcp + 18, other + 18, m->head_size - m->l4 - 18) == 0;
}

bool segment_merge_add(struct segment_merge *m, const uint8_t *packet, size_t size)
{
	size_t payload = size - m->head_size;

	if (m->closed || m->n == SEGMENT_MAX || !belongs(m, packet, size) || payload > m->mss ||
	    m->head_size + m->payload + payload > UINT16_MAX || !tcp_is_intact(packet, size, m->l4, m->v6))
		return false;
	m->n++;
	m->payload += payload;
	m->next += (uint32_t)payload;
	m->pieces[m->n + 1] = (struct iovec){(void *)(packet + m->head_size), payload};
	m->pushed = packet[m->l4 + 13] & PSH;
	m->closed = payload < m->mss || m->pushed;
	return true;
}

size_t segment_merge_end(struct segment_merge *m)
{
	size_t size = m->head_size + m->payload;
	uint8_t *tcp = m->head + m->l4;
	uint16_t sum;

	if (m->n == 1)
		return m->pieces[2].iov_len ? 3 : 2;
	memcpy(m->head, m->pieces[1].iov_base, m->head_size);
	m->pieces[1].iov_base = m->head;
	if (m->v6) {
		put16(m->head + 4, size - IP6);
	} else {
		put16(m->head + 2, size);
		ip4_sum(m->head);
	}
	if (m->pushed)
		tcp[13] |= PSH;
	/* the kernel makes the checksum where it is needed, from the sum of the pseudo-header */
	sum = fold(pseudo_sum(m->head, m->v6, size - m->l4));
	memcpy(tcp + 16, &sum, 2);
	m->header = (struct virtio_net_hdr){
		.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
		.gso_type = m->v6 ? VIRTIO_NET_HDR_GSO_TCPV6 : VIRTIO_NET_HDR_GSO_TCPV4,
		.hdr_len = (uint16_t)m->head_size,
		.gso_size = (uint16_t)m->mss,
		.csum_start = (uint16_t)m->l4,
		.csum_offset = 16,
	};
	return m->n + 2;
}
