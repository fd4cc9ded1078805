/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Super-packets cut and merged again: the bytes that come out are those that went in, and each piece is a packet that a
 * receiver takes.  Checksums are worked out here in another way, byte by byte.
 */
#include "hex.h"

#include <endian.h>
#include <errno.h>

#include "wg/segment.h"

#define MOST 66000

static uint32_t slow_sum(const uint8_t *p, size_t size, uint32_t sum)
{
	for (size_t i = 0; i < size; i++)
		sum += i & 1 ? p[i] : (uint32_t)p[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

static uint32_t tcp_sum(const uint8_t *p, size_t size, bool v6)
{
	size_t l4 = v6 ? 40 : 20;
	uint32_t sum = v6 ? slow_sum(p + 8, 32, 0) : slow_sum(p + 12, 8, 0);

	return slow_sum(p + l4, size - l4, sum + 6 + (uint32_t)(size - l4));
}

static size_t headers_of(bool v6)
{
	return (v6 ? 40 : 20) + 32; /* with a timestamp option */
}

/* What is in front of a packet in VXLAN, by the outer IP: 4, 6 or none. */
static size_t front_of(int outer)
{
	return outer ? (outer == 6 ? 40 : 20) + 8 + 8 + 14 : 0;
}

static void put_front(uint8_t *p, int outer, bool v6, size_t inner)
{
	size_t udp = outer == 6 ? 40 : 20, size = front_of(outer) + inner;

	if (outer == 6) {
		hex("6000000000001140 20010db8000000000000000000000011 20010db8000000000000000000000012", p, 40);
		p[4] = (uint8_t)((size - 40) >> 8);
		p[5] = (uint8_t)(size - 40);
	} else {
		hex("45000000 00004000 40110000 c0000201 c0000202", p, 20);
		p[2] = (uint8_t)(size >> 8);
		p[3] = (uint8_t)size;
	}
	hex("c123 12b5 0000 0000 0800000000138900 020000000002 020000000001 0800", p + udp, 30);
	p[udp + 4] = (uint8_t)((size - udp) >> 8);
	p[udp + 5] = (uint8_t)(size - udp);
	if (v6)
		hex("86dd", p + udp + 28, 2);
}

/* What a TAP device hands over: a super-packet with the sum of its pseudo-header. */
static struct segment_header super_packet(uint8_t *at, int outer, bool v6, size_t payload, uint16_t mss)
{
	size_t front = front_of(outer), headers = headers_of(v6), l4 = v6 ? 40 : 20, size = headers + payload;
	uint8_t *p = at + front;
	uint32_t sum;

	memset(p, 0, headers);
	if (v6) {
		hex("6000000000000640 20010db8000000000000000000000001 20010db8000000000000000000000002", p, 40);
		p[4] = (uint8_t)((size - 40) >> 8);
		p[5] = (uint8_t)(size - 40);
	} else {
		hex("45000000 fffe4000 40060000 0a000001 0a000002", p, 20);
		p[2] = (uint8_t)(size >> 8);
		p[3] = (uint8_t)size;
	}
	hex("1f90 c000 fffffff0 00000007 8098 1234 0000 0000 0101080a 00000001 00000002", p + l4, 32);
	for (size_t i = 0; i < payload; i++)
		p[headers + i] = (uint8_t)(i * 7 + i / 251);
	sum = slow_sum(v6 ? p + 8 : p + 12, v6 ? 32 : 8, 0);
	sum = slow_sum(NULL, 0, sum + 6 + (uint32_t)(size - l4));
	p[l4 + 16] = (uint8_t)(sum >> 8);
	p[l4 + 17] = (uint8_t)sum;
	if (outer)
		put_front(at, outer, v6, size);
	return (struct segment_header){
		.plain = {.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, .hdr_len = (uint16_t)(front + headers),
			  .gso_type = (uint8_t)((v6 ? VIRTIO_NET_HDR_GSO_TCPV6 : VIRTIO_NET_HDR_GSO_TCPV4) |
						(outer ? outer == 6 ? SEGMENT_TUNNEL6 : SEGMENT_TUNNEL4 : 0)),
			  .gso_size = mss, .csum_start = (uint16_t)(front + l4), .csum_offset = 16},
		.outer_l4 = outer ? htole16(outer == 6 ? 40 : 20) : 0,
		.inner = htole16((uint16_t)front),
	};
}

#define PORT 4789

static uint8_t big[MOST], pieces[SEGMENT_MAX][2048], merged[MOST];

static size_t collect(struct segment_merge *m)
{
	size_t n = segment_merge_end(m), size = 0;

	for (size_t i = 1; i < n; i++) {
		memcpy(merged + size, m->pieces[i].iov_base, m->pieces[i].iov_len);
		size += m->pieces[i].iov_len;
	}
	return size;
}

/* Whatever is around it has lengths and checksums of its own. */
static void check_front(const uint8_t *p, int outer, size_t size)
{
	size_t udp = outer == 6 ? 40 : 20;

	if (!outer)
		return;
	if (outer == 4)
		assert_int_equal(slow_sum(p, 20, 0), 0xffff);
	assert_int_equal(p[outer == 4 ? 2 : 4] << 8 | p[outer == 4 ? 3 : 5], outer == 4 ? size : size - 40);
	assert_int_equal(p[udp + 4] << 8 | p[udp + 5], size - udp);
	assert_int_equal(p[udp + 6] | p[udp + 7], 0);
}

static void cut_and_merge(int outer, bool v6, size_t payload)
{
	size_t front = front_of(outer), headers = front + headers_of(v6), l4 = front + (v6 ? 40 : 20);
	struct segment_header h = super_packet(big, outer, v6, payload, 1400);
	size_t size = headers + payload, got = headers;
	struct segment_merge m;
	struct segment_cut c;

	assert_int_equal(segment_cut_begin(&c, &h, big, size), 0);
	assert_int_equal(c.n, (payload + 1399) / 1400);
	for (size_t j = 0; j < c.n; j++) {
		size_t one = segment_cut_size(&c, j);
		uint8_t *p = pieces[j];

		segment_cut_write(&c, j, p);
		assert_true(one <= headers + 1400);
		check_front(p, outer, one);
		assert_int_equal(tcp_sum(p + front, one - front, v6), 0xffff);
		if (!v6)
			assert_int_equal(slow_sum(p + front, 20, 0), 0xffff);
		assert_memory_equal(p + headers, big + got, one - headers);
		/* the last alone says push */
		assert_int_equal(p[l4 + 13], j + 1 < c.n ? 0x90 & ~(j ? 0x80 : 0) : 0x18);
		got += one - headers;
	}
	assert_int_equal(got, size);
	/* the first has congestion window reduced, and is not merged; the rest is */
	segment_merge_begin(&m, pieces[0], segment_cut_size(&c, 0), PORT);
	assert_int_equal(segment_merge_add(&m, pieces[1], segment_cut_size(&c, 1)), false);
	segment_merge_begin(&m, pieces[1], segment_cut_size(&c, 1), PORT);
	for (size_t j = 2; j < c.n; j++)
		assert_true(segment_merge_add(&m, pieces[j], segment_cut_size(&c, j)));
	assert_int_equal(collect(&m), size - 1400);
	assert_memory_equal(merged + headers, big + headers + 1400, payload - 1400);
	if (c.n == 2) {
		assert_int_equal(m.header.plain.gso_type, VIRTIO_NET_HDR_GSO_NONE);
		return;
	}
	assert_int_equal(m.header.plain.gso_size, 1400);
	assert_int_equal(m.header.plain.gso_type, h.plain.gso_type);
	assert_int_equal(m.header.plain.csum_start, l4);
	assert_int_equal(merged[l4 + 13], 0x18);
	check_front(merged, outer, size - 1400);
	/* and once more: what was merged can be cut */
	assert_int_equal(segment_cut_begin(&c, &m.header, merged, size - 1400), 0);
	segment_cut_write(&c, 0, pieces[0]);
	assert_int_equal(tcp_sum(pieces[0] + front, segment_cut_size(&c, 0) - front, v6), 0xffff);
}

static void what_is_cut_is_merged_to_the_same(void **state)
{
	static const size_t payloads[] = {1401, 2000, 2800, 5601, 30000, 64000};
	static const int outers[] = {0, 4, 6};

	for (size_t i = 0; i < sizeof(payloads) / sizeof(payloads[0]); i++)
		for (size_t j = 0; j < 3; j++) {
			cut_and_merge(outers[j], false, payloads[i]);
			cut_and_merge(outers[j], true, payloads[i]);
		}
}

/* Also where the pieces are odd, short, or longer than what a processor adds up at once. */
static void checksums_are_right_at_every_size(void **state)
{
	for (uint16_t mss = 1; mss < 300; mss++) {
		size_t payload = 3U * mss + mss / 2 + 1, size = front_of(4) + headers_of(false) + payload;
		struct segment_header h = super_packet(big + 1, 4, false, payload, mss);
		struct segment_cut c;

		assert_int_equal(segment_cut_begin(&c, &h, big + 1, size), 0);
		for (size_t i = 0; i < c.n; i++) {
			size_t one = segment_cut_size(&c, i);

			segment_cut_write(&c, i, pieces[0] + i);
			assert_int_equal(tcp_sum(pieces[0] + i + front_of(4), one - front_of(4), false), 0xffff);
			assert_memory_equal(pieces[0] + i + one - (one - front_of(4) - headers_of(false)),
					    big + 1 + front_of(4) + headers_of(false) + i * mss,
					    one - front_of(4) - headers_of(false));
		}
	}
}

/* Each bit of what is around two packets that follow each other: lengths and what is made anew may differ, no more. */
static void what_is_around_has_to_be_alike(void **state)
{
	static const int outers[] = {4, 6};

	for (size_t i = 0; i < 2; i++) {
		size_t front = front_of(outers[i]), size = front + headers_of(false) + 1400;
		struct segment_header h = super_packet(big, outers[i], false, 4200, 1400);
		struct segment_merge m;
		struct segment_cut c;

		big[front + 33] &= 0x7f;
		assert_int_equal(segment_cut_begin(&c, &h, big, front + headers_of(false) + 4200), 0);
		segment_cut_write(&c, 0, pieces[0]);
		for (size_t bit = 0; bit < 8 * front; bit++) {
			size_t at = bit / 8;
			bool made = outers[i] == 4 && (at == 4 || at == 5 || at == 10 || at == 11);

			segment_cut_write(&c, 1, pieces[1]);
			pieces[1][at] ^= (uint8_t)(1 << bit % 8);
			segment_merge_begin(&m, pieces[0], size, PORT);
			if (segment_merge_add(&m, pieces[1], size) != made)
				fail_msg("outer IPv%d, byte %zu", outers[i], at);
		}
		segment_cut_write(&c, 1, pieces[1]);
		segment_merge_begin(&m, pieces[0], size, PORT);
		assert_true(segment_merge_add(&m, pieces[1], size));
		/* another port, or nobody who takes super-packets in tunnels */
		segment_merge_begin(&m, pieces[0], size, PORT + 1);
		assert_false(segment_merge_add(&m, pieces[1], size));
		segment_merge_begin(&m, pieces[0], size, 0);
		assert_false(segment_merge_add(&m, pieces[1], size));
		assert_int_equal(collect(&m), size);
	}
}

/* As BPF puts it in front of a frame: the kernel, and so the header, knows nothing of it. */
static void what_is_around_need_not_be_told(void **state)
{
	static const int outers[] = {4, 6};

	for (size_t i = 0; i < 2; i++) {
		for (int v6 = 0; v6 < 2; v6++) {
			size_t size = front_of(outers[i]) + headers_of(v6) + 30000;
			struct segment_header told = super_packet(big, outers[i], v6, 30000, 1400), untold = told;
			struct segment_cut a, b;

			untold.plain.gso_type &= (uint8_t)~SEGMENT_TUNNELS;
			untold.outer_l4 = untold.inner = 0;
			assert_int_equal(segment_cut_begin(&a, &told, big, size), 0);
			assert_int_equal(segment_cut_begin(&b, &untold, big, size), 0);
			assert_int_equal(a.n, b.n);
			for (size_t k = 0; k < a.n; k++) {
				segment_cut_write(&a, k, pieces[0]);
				segment_cut_write(&b, k, pieces[1]);
				assert_int_equal(segment_cut_size(&a, k), segment_cut_size(&b, k));
				assert_memory_equal(pieces[0], pieces[1], segment_cut_size(&a, k));
			}
		}
	}
}

/* What the kernel has cut has in front what stood in front of the whole. */
static void lengths_of_a_larger_one_are_mended(void **state)
{
	static const int outers[] = {4, 6};

	for (size_t i = 0; i < 2; i++) {
		size_t size = front_of(outers[i]) + headers_of(false) + 900, udp = outers[i] == 6 ? 40 : 20;
		struct segment_header h = super_packet(big, outers[i], false, 900, 0);
		struct segment_cut c;

		h.plain = (struct virtio_net_hdr){.gso_type = VIRTIO_NET_HDR_GSO_NONE};
		memcpy(merged, big, size);
		put_front(big, outers[i], false, 20000);
		assert_int_equal(segment_cut_begin(&c, &h, big, size), 0);
		assert_int_equal(c.n, 1);
		segment_cut_write(&c, 0, pieces[0]);
		check_front(pieces[0], outers[i], size);
		assert_memory_equal(pieces[0] + udp + 8, merged + udp + 8, size - udp - 8);
		/* one that is right stays so, to the last bit; and so does what is too short to say */
		segment_cut_begin(&c, &h, merged, size);
		segment_cut_write(&c, 0, pieces[0]);
		assert_memory_equal(pieces[0], merged, size);
		for (size_t k = 0; k < udp + 8; k++) {
			assert_int_equal(segment_cut_begin(&c, &h, big, k), 0);
			segment_cut_write(&c, 0, pieces[0]);
			assert_memory_equal(pieces[0], big, k);
		}
	}
}

/* Makes the checksum right again, so that it is not that which decides. */
static void tcp_sum_again(uint8_t *p, size_t size)
{
	uint32_t sum;

	memset(p + 36, 0, 2);
	sum = ~tcp_sum(p, size, false);
	p[36] = (uint8_t)(sum >> 8);
	p[37] = (uint8_t)sum;
}

/* Two packets that follow each other, and what may be changed in the second. */
static void only_what_belongs_together_is_merged(void **state)
{
	static const struct {
		size_t at;
		uint8_t bits;
		bool merges;
	} v4[] = {
		{0, 0, true}, {1, 1, false}, {4, 1, true}, {6, 0x40, false}, {8, 1, false}, {9, 1, false}, {12, 1, false},
		{19, 1, false}, {20, 1, false}, {23, 1, false}, {24, 1, false}, {27, 1, false}, {31, 1, false}, {32, 1, false},
		{33, 0x08, true}, {33, 0x01, false}, {33, 0x20, false}, {33, 0x80, false}, {35, 1, false}, {38, 1, false},
		{47, 1, false}, {3, 1, false}, {2, 1, false},
	};
	struct segment_header h = super_packet(big, 0, false, 4200, 1400);
	struct segment_merge m;
	struct segment_cut c;
	uint32_t sum;
	size_t size;

	big[33] &= 0x7f;
	assert_int_equal(segment_cut_begin(&c, &h, big, headers_of(false) + 4200), 0);
	segment_cut_write(&c, 0, pieces[0]);
	size = segment_cut_size(&c, 0);
	for (size_t i = 0; i < sizeof(v4) / sizeof(v4[0]); i++) {
		segment_cut_write(&c, 1, pieces[1]);
		pieces[1][v4[i].at] ^= v4[i].bits;
		tcp_sum_again(pieces[1], size);
		segment_merge_begin(&m, pieces[0], size, PORT);
		if (segment_merge_add(&m, pieces[1], size) != v4[i].merges)
			fail_msg("row %zu", i);
	}
	/* a wrong checksum, in either */
	segment_cut_write(&c, 1, pieces[1]);
	pieces[1][1000] ^= 1;
	segment_merge_begin(&m, pieces[0], size, PORT);
	assert_false(segment_merge_add(&m, pieces[1], size));
	segment_merge_begin(&m, pieces[1], size, PORT);
	segment_cut_write(&c, 2, pieces[2]);
	assert_false(segment_merge_add(&m, pieces[2], size));
	/* who pushes does not end it, also when it is the first; it is told once, by all of it */
	segment_cut_write(&c, 1, pieces[1]);
	pieces[0][33] |= 0x08;
	tcp_sum_again(pieces[0], size);
	segment_merge_begin(&m, pieces[0], size, PORT);
	assert_true(segment_merge_add(&m, pieces[1], size));
	segment_cut_write(&c, 0, pieces[0]);
	pieces[1][33] |= 0x08;
	tcp_sum_again(pieces[1], size);
	pieces[2][33] &= (uint8_t)~0x08;
	tcp_sum_again(pieces[2], size);
	segment_merge_begin(&m, pieces[0], size, PORT);
	assert_true(segment_merge_add(&m, pieces[1], size));
	assert_true(segment_merge_add(&m, pieces[2], size));
	assert_int_equal(collect(&m), size + 2 * 1400);
	assert_int_equal(merged[33], 0x18);
	/* a short one ends it: the next would be where the kernel cuts */
	pieces[1][3] = (uint8_t)(size - 10);
	pieces[1][2] = (uint8_t)((size - 10) >> 8);
	memset(pieces[1] + 10, 0, 2);
	sum = ~slow_sum(pieces[1], 20, 0);
	pieces[1][10] = (uint8_t)(sum >> 8);
	pieces[1][11] = (uint8_t)sum;
	tcp_sum_again(pieces[1], size - 10);
	segment_merge_begin(&m, pieces[0], size, PORT);
	assert_true(segment_merge_add(&m, pieces[1], size - 10));
	pieces[2][27] -= 10;
	tcp_sum_again(pieces[2], size);
	assert_false(segment_merge_add(&m, pieces[2], size));
	segment_cut_write(&c, 0, pieces[0]);
	segment_cut_write(&c, 1, pieces[1]);
	/* too short to be anything */
	for (size_t i = 0; i < size; i++) {
		segment_merge_begin(&m, pieces[0], i, PORT);
		assert_false(segment_merge_add(&m, pieces[1], size));
		assert_int_equal(collect(&m), i);
		segment_merge_begin(&m, pieces[0], size, PORT);
		assert_false(segment_merge_add(&m, pieces[1], i));
	}
}

/* Of the tunnel, too: where it is said to be there has to be one. */
static void tunnels_that_lie_are_refused(void **state)
{
	struct segment_header right = super_packet(big, 4, false, 5000, 1400), h;
	size_t size = front_of(4) + headers_of(false) + 5000;
	struct segment_cut c;

	assert_int_equal(segment_cut_begin(&c, &right, big, size), 0);
	h = right;
	h.outer_l4 = htole16(24);
	assert_int_equal(segment_cut_begin(&c, &h, big, size), -EBADMSG);
	for (uint32_t inner = 0; inner <= UINT16_MAX; inner++) {
		h = right;
		h.inner = htole16((uint16_t)inner);
		assert_int_equal(segment_cut_begin(&c, &h, big, size), inner == front_of(4) ? 0 : -EBADMSG);
	}
	h = right;
	h.plain.gso_type ^= SEGMENT_TUNNEL4 | SEGMENT_TUNNEL6;
	assert_int_equal(segment_cut_begin(&c, &h, big, size), -EBADMSG);
	h = right;
	h.plain.gso_type = VIRTIO_NET_HDR_GSO_TCPV6; /* and nothing of a tunnel */
	assert_int_equal(segment_cut_begin(&c, &h, big, size), -EBADMSG);
	h.plain.gso_type = VIRTIO_NET_HDR_GSO_TCPV4;
	assert_int_equal(segment_cut_begin(&c, &h, big, size), 0);
	for (size_t i = 0; i < front_of(4) + 60; i++)
		assert_int_equal(segment_cut_begin(&c, &h, big, i), -EBADMSG);
	big[28] = 0x0c; /* another tunnel */
	assert_int_equal(segment_cut_begin(&c, &h, big, size), -EBADMSG);
	big[28] = 0x08;
	for (size_t i = 0; i < front_of(4) + 60; i++)
		assert_int_equal(segment_cut_begin(&c, &right, big, i), -EBADMSG);
	big[26] = 1; /* a checksum of the outer UDP, which nobody would make anew */
	assert_int_equal(segment_cut_begin(&c, &right, big, size), -EBADMSG);
}

/* They come in front of each piece, and what pieces are written to is not endless. */
static void headers_that_are_too_long_are_refused(void **state)
{
	enum { PAYLOAD = 30000, MOST_BETWEEN = SEGMENT_HEADERS_MAX - 20 - 8 - 8 - 14 - 20 - 32 };

	for (size_t between = MOST_BETWEEN; between <= MOST_BETWEEN + 1; between++) {
		struct segment_header h = super_packet(big, 4, false, PAYLOAD, 1400);
		size_t front = front_of(4), size = front + between + headers_of(false) + PAYLOAD;
		struct segment_cut c;

		memmove(big + front + between, big + front, size - front - between);
		memset(big + front, 0, between);
		put_front(big, 4, false, size - front);
		h.inner = htole16((uint16_t)(front + between));
		h.plain.csum_start = (uint16_t)(h.plain.csum_start + between);
		assert_int_equal(segment_cut_begin(&c, &h, big, size), between > MOST_BETWEEN ? -EBADMSG : 0);
	}
}

static void headers_that_lie_are_refused(void **state)
{
	struct segment_header right = super_packet(big, 0, false, 5000, 1400), h;
	size_t size = headers_of(false) + 5000;
	struct segment_cut c;

	h = right;
	h.plain.gso_size = 0;
	assert_int_equal(segment_cut_begin(&c, &h, big, size), -EBADMSG);
	h = right;
	h.plain.gso_size = 10;
	assert_int_equal(segment_cut_begin(&c, &h, big, size), -EMSGSIZE);
	h = right;
	h.plain.gso_type = VIRTIO_NET_HDR_GSO_TCPV6;
	assert_int_equal(segment_cut_begin(&c, &h, big, size), -EBADMSG);
	h = right;
	h.plain.gso_type = VIRTIO_NET_HDR_GSO_UDP;
	assert_int_equal(segment_cut_begin(&c, &h, big, size), -EBADMSG);
	h = right;
	h.plain.csum_start = (uint16_t)size;
	assert_int_equal(segment_cut_begin(&c, &h, big, size), -EBADMSG);
	for (size_t i = 0; i < 60; i++)
		assert_int_equal(segment_cut_begin(&c, &right, big, i), -EBADMSG);
	big[32] = 0x40; /* a TCP header of 16 bytes */
	assert_int_equal(segment_cut_begin(&c, &right, big, size), -EBADMSG);
	big[32] = 0xf0; /* of 60: within the packet, so it is believed */
	assert_int_equal(segment_cut_begin(&c, &right, big, size), 0);
	big[0] = 0x46;
	assert_int_equal(segment_cut_begin(&c, &right, big, size), -EBADMSG);
}

/* UDP, or TCP of one packet: as it is, but for the checksum that the kernel left to us. */
static void a_single_packet_gets_its_checksum(void **state)
{
	struct segment_header h = super_packet(big, 0, false, 99, 0);
	struct segment_cut c;

	h.plain.gso_type = VIRTIO_NET_HDR_GSO_NONE;
	assert_int_equal(segment_cut_begin(&c, &h, big, headers_of(false) + 99), 0);
	assert_int_equal(c.n, 1);
	assert_int_equal(segment_cut_size(&c, 0), headers_of(false) + 99);
	segment_cut_write(&c, 0, pieces[0]);
	assert_int_equal(tcp_sum(pieces[0], headers_of(false) + 99, false), 0xffff);
	h.plain.flags = 0;
	assert_int_equal(segment_cut_begin(&c, &h, big, headers_of(false) + 99), 0);
	segment_cut_write(&c, 0, pieces[0]);
	assert_memory_equal(pieces[0], big, headers_of(false) + 99);
}

/* RFC 768, RFC 8200 8.1: a zero would say that there is none, which UDP over IPv6 must not say. */
static void a_checksum_of_zero_is_sent_as_ones(void **state)
{
	struct segment_header h = {.plain = {.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, .csum_start = 40, .csum_offset = 6}};
	uint8_t *udp = big + 40;
	struct segment_cut c;
	uint32_t sum;

	hex("60000000000a1140 20010db8000000000000000000000011 20010db8000000000000000000000012", big, 40);
	hex("c123 0035 000a 0000 0000", udp, 10);
	sum = slow_sum(big + 8, 32, 17 + 10);
	udp[6] = (uint8_t)(sum >> 8);
	udp[7] = (uint8_t)sum;
	sum = 0xffff - slow_sum(udp, 10, 0);
	udp[8] = (uint8_t)(sum >> 8);
	udp[9] = (uint8_t)sum;
	assert_int_equal(segment_cut_begin(&c, &h, big, 50), 0);
	segment_cut_write(&c, 0, pieces[0]);
	assert_int_equal(pieces[0][46] << 8 | pieces[0][47], 0xffff);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_cut_is_merged_to_the_same),
		cmocka_unit_test(checksums_are_right_at_every_size),
		cmocka_unit_test(only_what_belongs_together_is_merged),
		cmocka_unit_test(what_is_around_has_to_be_alike),
		cmocka_unit_test(what_is_around_need_not_be_told),
		cmocka_unit_test(lengths_of_a_larger_one_are_mended),
		cmocka_unit_test(headers_that_are_too_long_are_refused),
		cmocka_unit_test(headers_that_lie_are_refused),
		cmocka_unit_test(tunnels_that_lie_are_refused),
		cmocka_unit_test(a_single_packet_gets_its_checksum),
		cmocka_unit_test(a_checksum_of_zero_is_sent_as_ones),
	};

	return cmocka_run_group_tests_name("wg_segment", tests, NULL, NULL);
}
