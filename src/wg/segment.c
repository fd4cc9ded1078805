/* SPDX-License-Identifier: Apache-2.0 */
#include "wg/segment.h"

#include <endian.h>
#include <errno.h>
#include <string.h>

enum { IP4 = 20, IP6 = 40, TCP = 20, UDP = 8, VXLAN = 8, ETHERNET = 14, PROTOCOL_TCP = 6, PROTOCOL_UDP = 17 };
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

/* Eight words side by side, where the processor can; elsewhere the compiler makes of it what there is. */
typedef uint64_t lanes __attribute__((vector_size(32)));

#ifdef __x86_64__
#define WIDE __attribute__((target("avx2")))
#define HAS_WIDE __builtin_cpu_supports("avx2")
#else
#define WIDE
#define HAS_WIDE true
#endif

#define WIDE_STEP (2 * sizeof(lanes))

/*
 * Adds up whole steps.  Halves of words are added in 64 bits: that takes no carries, and there is room for 2^32 of
 * them.
 */
static inline __attribute__((always_inline)) uint64_t add_steps(uint8_t *out, const uint8_t *p, size_t size,
								uint64_t sum, const bool copy)
{
	lanes a = {0}, b = {0}, c = {0}, d = {0}, v, w;

	for (; size >= WIDE_STEP; p += WIDE_STEP, size -= WIDE_STEP) {
		memcpy(&v, p, sizeof(v));
		memcpy(&w, p + sizeof(v), sizeof(w));
		if (copy) {
			memcpy(out, &v, sizeof(v));
			memcpy(out + sizeof(v), &w, sizeof(w));
			out += WIDE_STEP;
		}
		a += v & UINT32_MAX;
		b += v >> 32;
		c += w & UINT32_MAX;
		d += w >> 32;
	}
	a += b + c + d;
	for (int i = 0; i < 4; i++)
		sum = add_with_carry(sum, a[i]);
	return sum;
}

WIDE static uint64_t sum_steps(const uint8_t *p, size_t size, uint64_t sum)
{
	return add_steps(NULL, p, size, sum, false);
}

WIDE static uint64_t copy_steps(uint8_t *out, const uint8_t *p, size_t size, uint64_t sum)
{
	return add_steps(out, p, size, sum, true);
}

static uint64_t sum_plain(const uint8_t *p, size_t size, uint64_t sum)
{
	uint64_t other = 0, words[2]; /* two chains of additions, side by side */
	uint32_t word;
	uint16_t half;

	for (; size >= 16; p += 16, size -= 16) {
		memcpy(words, p, 16);
		sum = add_with_carry(sum, words[0]);
		other = add_with_carry(other, words[1]);
	}
	sum = add_with_carry(sum, other);
	if (size & 8) {
		memcpy(words, p, 8);
		sum = add_with_carry(sum, words[0]);
		p += 8;
	}
	sum = (sum & UINT32_MAX) + (sum >> 32);
	if (size & 4) {
		memcpy(&word, p, 4);
		sum += word;
		p += 4;
	}
	if (size & 2) {
		memcpy(&half, p, 2);
		sum += half;
		p += 2;
	}
	if (size & 1)
		sum += htole16(*p);
	return sum;
}

/* The sum of RFC 1071, over words as they lie in memory; to be folded. */
static uint64_t sum_of(const uint8_t *p, size_t size, uint64_t sum)
{
	size_t steps = HAS_WIDE ? size / WIDE_STEP * WIDE_STEP : 0;

	if (steps > 0)
		sum = sum_steps(p, steps, sum);
	return sum_plain(p + steps, size - steps, sum);
}

/* The same of what it copies on its way. */
static uint64_t copy_and_sum(uint8_t *out, const uint8_t *p, size_t size, uint64_t sum)
{
	size_t steps = HAS_WIDE ? size / WIDE_STEP * WIDE_STEP : 0;

	if (steps > 0)
		sum = copy_steps(out, p, steps, sum);
	memcpy(out + steps, p + steps, size - steps);
	return sum_plain(out + steps, size - steps, sum);
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

/*
 * Where that transport begins in a packet without options and extension headers and not in fragments; 0 = it is not
 * such a one.
 */
static size_t transport_offset(const uint8_t *p, size_t size, uint8_t protocol, size_t least, bool *v6)
{
	size_t l4;

	if (size >= IP4 && p[0] == 0x45 && p[9] == protocol && (get16(p + 6) & 0x3fff) == 0 && get16(p + 2) == size) {
		*v6 = false;
		l4 = IP4;
	} else if (size >= IP6 && p[0] >> 4 == 6 && p[6] == protocol && get16(p + 4) + (size_t)IP6 == size) {
		*v6 = true;
		l4 = IP6;
	} else {
		return 0;
	}
	return size >= l4 + least ? l4 : 0;
}

static size_t tcp_size(const uint8_t *tcp)
{
	return (size_t)(tcp[12] >> 4) * 4;
}

/* TCP with payload, in the IP packet at s->inner. */
static bool shape_tcp(struct segment_shape *s, const uint8_t *p, size_t size)
{
	size_t l4 = transport_offset(p + s->inner, size - s->inner, PROTOCOL_TCP, TCP, &s->v6);

	s->l4 = s->inner + l4;
	s->headers = s->l4 + (l4 ? tcp_size(p + s->l4) : 0);
	return l4 && s->headers >= s->l4 + TCP && s->headers < size;
}

/* RFC 7348 5: a VNI and nothing else; RFC 6935: no checksum. */
static bool shape_vxlan(struct segment_shape *s, const uint8_t *p, size_t size, uint16_t port)
{
	size_t l4 = transport_offset(p, size, PROTOCOL_UDP, UDP + VXLAN + ETHERNET, &s->outer_v6);
	const uint8_t *udp = p + l4, *vxlan = udp + UDP;

	if (l4 == 0 || get16(udp + 2) != port || get16(udp + 4) != size - l4 || get16(udp + 6) != 0 ||
	    get32(vxlan) != 0x08000000 || vxlan[7] != 0)
		return false;
	s->inner = l4 + UDP + VXLAN + ETHERNET;
	return shape_tcp(s, p, size) && get16(p + s->inner - 2) == (s->v6 ? 0x86dd : 0x0800);
}

static bool shape_of(struct segment_shape *s, const uint8_t *p, size_t size, uint16_t vxlan_port)
{
	*s = (struct segment_shape){0};
	return shape_tcp(s, p, size) || (vxlan_port && shape_vxlan(s, p, size, vxlan_port));
}

/* VXLAN by any port: it is TCP inside, as nothing else is a super-packet of TCP. */
static bool shape_untold(struct segment_shape *s, const uint8_t *p, size_t size)
{
	size_t l4 = transport_offset(p, size, PROTOCOL_UDP, UDP, &s->outer_v6);

	return l4 && shape_vxlan(s, p, size, get16(p + l4 + 2));
}

/*
 * Any tunnel over UDP, as whoever made the super-packet says where it is; or VXLAN that the header says nothing of: what BPF
 * writes in front of a frame the kernel takes for a part of Ethernet's.
 */
static bool shape_told(struct segment_shape *s, const struct segment_header *h, const uint8_t *p, size_t size)
{
	size_t l4;

	*s = (struct segment_shape){0};
	if (!(h->plain.gso_type & SEGMENT_TUNNELS))
		return shape_tcp(s, p, size) || shape_untold(s, p, size);
	l4 = transport_offset(p, size, PROTOCOL_UDP, UDP, &s->outer_v6);
	s->inner = le16toh(h->inner);
	return l4 && l4 == le16toh(h->outer_l4) && get16(p + l4 + 4) == size - l4 && get16(p + l4 + 6) == 0 &&
	       s->inner >= l4 + UDP && s->inner < size && shape_tcp(s, p, size) && s->headers <= SEGMENT_HEADERS_MAX;
}

static uint8_t gso_type_of(const struct segment_shape *s)
{
	uint8_t type = s->v6 ? VIRTIO_NET_HDR_GSO_TCPV6 : VIRTIO_NET_HDR_GSO_TCPV4;

	if (s->inner)
		type |= s->outer_v6 ? SEGMENT_TUNNEL6 : SEGMENT_TUNNEL4;
	return type;
}

/* Is the checksum right?  A packet that was damaged before it came to us is not to be made whole by a merge. */
static bool tcp_is_intact(const struct segment_shape *s, const uint8_t *p, size_t size)
{
	return fold(sum_of(p + s->l4, size - s->l4, pseudo_sum(p + s->inner, s->v6, size - s->l4))) == 0xffff;
}

/*
 * What the kernel has cut itself (UDP) of a frame with something in front of it has that in front of each piece, with the
 * lengths of the whole.  Where the UDP header is; 0: all is as it says.
 */
static size_t stale_front(const uint8_t *p, size_t size)
{
	size_t udp = size >= IP6 + UDP && p[0] >> 4 == 6 && p[6] == PROTOCOL_UDP ? IP6 :
		     size >= IP4 + UDP && p[0] == 0x45 && p[9] == PROTOCOL_UDP && (get16(p + 6) & 0x3fff) == 0 ? IP4 : 0;

	if (!udp || get16(p + udp + 6) != 0) /* no checksum, as VXLAN has none */
		return 0;
	return get16(p + udp + 4) > size - udp ? udp : 0;
}

int segment_cut_begin(struct segment_cut *c, const struct segment_header *h, const uint8_t *packet, size_t size)
{
	uint8_t type = h->plain.gso_type & (uint8_t)~VIRTIO_NET_HDR_GSO_ECN, told = type & SEGMENT_TUNNELS;

	*c = (struct segment_cut){.packet = packet, .size = size, .n = 1,
				  .sum = h->plain.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM,
				  .sum_start = h->plain.csum_start,
				  .sum_at = (size_t)h->plain.csum_start + h->plain.csum_offset};
	if (c->sum && (c->sum_at + 2 > size || c->sum_start > size))
		return -EBADMSG;
	if (type == VIRTIO_NET_HDR_GSO_NONE) {
		c->stale = stale_front(packet, size);
		return 0;
	}
	if (!shape_told(&c->shape, h, packet, size) ||
	    (type ^ told) != (gso_type_of(&c->shape) & ~SEGMENT_TUNNELS) ||
	    (told && type != gso_type_of(&c->shape)) || h->plain.gso_size == 0)
		return -EBADMSG;
	c->mss = h->plain.gso_size;
	c->n = (size - c->shape.headers + c->mss - 1) / c->mss;
	return c->n <= SEGMENT_MAX ? 0 : -EMSGSIZE;
}

size_t segment_cut_size(const struct segment_cut *c, size_t i)
{
	size_t left;

	if (c->n == 1)
		return c->size;
	left = c->size - c->shape.headers - i * c->mss;
	return c->shape.headers + (left < c->mss ? left : c->mss);
}

/* The length of an IP packet, and of an IPv4 one what follows from it; `more`: added to what tells packets apart. */
static void put_length(uint8_t *ip, bool v6, size_t size, size_t more)
{
	if (v6) {
		put16(ip + 4, size - IP6);
		return;
	}
	put16(ip + 2, size);
	put16(ip + 4, get16(ip + 4) + more);
	ip4_sum(ip);
}

static void put_lengths(const struct segment_shape *s, uint8_t *p, size_t size, size_t more)
{
	size_t outer = s->outer_v6 ? IP6 : IP4;

	put_length(p + s->inner, s->v6, size - s->inner, more);
	if (s->inner) {
		put16(p + outer + 4, size - outer);
		put_length(p, s->outer_v6, size, more);
	}
}

static void write_whole(const struct segment_cut *c, uint8_t *out)
{
	uint16_t sum;

	memcpy(out, c->packet, c->size);
	if (c->stale) {
		put16(out + c->stale + 4, c->size - c->stale);
		put_length(out, c->stale == IP6, c->size, 0);
	}
	if (!c->sum)
		return;
	/* the field holds the sum of the pseudo-header */
	sum = (uint16_t)~fold(sum_of(out + c->sum_start, c->size - c->sum_start, 0));
	if (sum == 0)
		sum = 0xffff; /* RFC 768: a zero says that there is none; others take the one for the other */
	memcpy(out + c->sum_at, &sum, 2);
}

void segment_cut_write(const struct segment_cut *c, size_t i, uint8_t *out)
{
	const struct segment_shape *s = &c->shape;
	size_t size = segment_cut_size(c, i);
	uint8_t *tcp = out + s->l4;
	uint64_t sum;
	uint16_t folded;

	if (c->n == 1) {
		write_whole(c, out);
		return;
	}
	memcpy(out, c->packet, s->headers);
	/* TCP headers have a size of words, so the payload's words are where the checksum has them */
	sum = copy_and_sum(out + s->headers, c->packet + s->headers + i * c->mss, size - s->headers, 0);
	put_lengths(s, out, size, i);
	put32(tcp + 4, get32(tcp + 4) + (uint32_t)(i * c->mss));
	if (i + 1 < c->n)
		tcp[13] &= (uint8_t)~(FIN | PSH);
	if (i > 0)
		tcp[13] &= (uint8_t)~CWR; /* RFC 3168 6.1.2: once */
	memset(tcp + 16, 0, 2);
	sum = sum_of(tcp, s->headers - s->l4, sum + pseudo_sum(out + s->inner, s->v6, size - s->l4));
	folded = (uint16_t)~fold(sum);
	memcpy(tcp + 16, &folded, 2);
}

void segment_merge_begin(struct segment_merge *m, const uint8_t *packet, size_t size, uint16_t vxlan_port)
{
	struct segment_shape *s = &m->shape;

	m->header = (struct segment_header){.plain.gso_type = VIRTIO_NET_HDR_GSO_NONE};
	m->n = 1;
	m->closed = true;
	m->pieces[1] = (struct iovec){(void *)packet, size};
	m->pieces[2] = (struct iovec){(void *)packet, 0};
	if (!shape_of(s, packet, size, vxlan_port))
		return;
	m->mss = m->payload = size - s->headers;
	m->next = get32(packet + s->l4 + 4) + (uint32_t)m->payload;
	m->pieces[1].iov_len = s->headers;
	m->pieces[2] = (struct iovec){(void *)(packet + s->headers), m->payload};
	/* only plain data; who pushed goes on where the sender's super-packets follow each other, and nobody waits for more */
	m->pushed = packet[s->l4 + 13] & PSH;
	m->closed = (packet[s->l4 + 13] & ~PSH) != ACK || !tcp_is_intact(s, packet, size);
}

/* All of two IP headers but length, what tells packets apart, and the checksum of both. */
static bool ip_is_alike(const uint8_t *p, const uint8_t *q, bool v6)
{
	if (v6)
		return memcmp(p, q, 4) == 0 && memcmp(p + 6, q + 6, 34) == 0;
	return memcmp(p, q, 2) == 0 && memcmp(p + 6, q + 6, 4) == 0 && memcmp(p + 12, q + 12, 8) == 0;
}

/* Likewise what is around it: the ports, and from the checksum on that is none. */
static bool tunnel_is_alike(const struct segment_shape *s, const uint8_t *p, const uint8_t *q, size_t size)
{
	size_t udp = s->outer_v6 ? IP6 : IP4;

	return ip_is_alike(p, q, s->outer_v6) && memcmp(p + udp, q + udp, 4) == 0 && get16(p + udp + 4) == size - udp &&
	       memcmp(p + udp + 6, q + udp + 6, s->inner - udp - 6) == 0;
}

/* The same flow, and headers that differ in nothing but what a merge makes anew. */
static bool belongs(const struct segment_merge *m, const uint8_t *p, size_t size)
{
	const struct segment_shape *s = &m->shape;
	const uint8_t *q = m->pieces[1].iov_base;
	const uint8_t *tcp = p + s->l4, *other = q + s->l4;
	struct segment_shape t = {.inner = s->inner};
	bool v6;

	if (size <= s->headers || !shape_tcp(&t, p, size) || t.l4 != s->l4 || t.headers != s->headers || t.v6 != s->v6 ||
	    get32(tcp + 4) != m->next || !ip_is_alike(p + s->inner, q + s->inner, s->v6))
		return false;
	if (s->inner && (transport_offset(p, size, PROTOCOL_UDP, UDP, &v6) == 0 || v6 != s->outer_v6 ||
			 !tunnel_is_alike(s, p, q, size)))
		return false;
	return memcmp(tcp, other, 4) == 0 && memcmp(tcp + 8, other + 8, 5) == 0 && (tcp[13] & ~PSH) == ACK &&
	       memcmp(tcp + 14, other + 14, 2) == 0 && memcmp(tcp + 18, other + 18, s->headers - s->l4 - 18) == 0;
}

bool segment_merge_add(struct segment_merge *m, const uint8_t *packet, size_t size)
{
	const struct segment_shape *s = &m->shape;
	size_t payload = size - s->headers;

	if (m->closed || m->n == SEGMENT_MAX || !belongs(m, packet, size) || payload > m->mss ||
	    s->headers + m->payload + payload > UINT16_MAX || !tcp_is_intact(s, packet, size))
		return false;
	m->n++;
	m->payload += payload;
	m->next += (uint32_t)payload;
	m->pieces[m->n + 1] = (struct iovec){(void *)(packet + s->headers), payload};
	m->pushed = m->pushed || packet[s->l4 + 13] & PSH;
	m->closed = payload < m->mss;
	return true;
}

size_t segment_merge_end(struct segment_merge *m)
{
	const struct segment_shape *s = &m->shape;
	size_t size = s->headers + m->payload;
	uint8_t *tcp = m->head + s->l4;
	uint16_t sum;

	if (m->n == 1)
		return m->pieces[2].iov_len ? 3 : 2;
	memcpy(m->head, m->pieces[1].iov_base, s->headers);
	m->pieces[1].iov_base = m->head;
	put_lengths(s, m->head, size, 0);
	if (m->pushed)
		tcp[13] |= PSH;
	/* the kernel makes the checksum where it is needed, from the sum of the pseudo-header */
	sum = fold(pseudo_sum(m->head + s->inner, s->v6, size - s->l4));
	memcpy(tcp + 16, &sum, 2);
	m->header = (struct segment_header){
		.plain = {.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, .gso_type = gso_type_of(s),
			  .hdr_len = (uint16_t)s->headers, .gso_size = (uint16_t)m->mss,
			  .csum_start = (uint16_t)s->l4, .csum_offset = 16},
		.outer_l4 = s->inner ? htole16(s->outer_v6 ? IP6 : IP4) : 0,
		.inner = htole16((uint16_t)s->inner),
	};
	return m->n + 2;
}
