/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Super-packets as a workload's kernel may hand them over and packets as a peer may send them: cut, and merged again.
 * Every piece lies in memory of its own size; the bytes behind the headers are neither more nor fewer than before, and
 * what was merged can be cut by its own header.
 */
#include <endian.h>

#include "fuzz.h"
#include "wg/segment.h"

#define PORT 4789
#define MOST 4096

struct piece {
	uint8_t *data;
	size_t size;
};

static struct piece pieces[SEGMENT_MAX];
static size_t n_pieces;

static struct segment_header read_header(struct input *in)
{
	struct segment_header h = {.plain = {.flags = input_u8(in), .gso_type = input_u8(in)}};

	h.plain.gso_size = input_u16(in);
	h.plain.csum_start = input_u16(in);
	h.plain.csum_offset = input_u16(in);
	h.outer_l4 = htole16(input_u16(in));
	h.inner = htole16(input_u16(in));
	return h;
}

static void add_piece(size_t size)
{
	uint8_t *data = malloc(size ? size : 1);

	require(data, "memory");
	pieces[n_pieces++] = (struct piece){data, size};
}

static void drop_pieces(void)
{
	while (n_pieces > 0)
		free(pieces[--n_pieces].data);
}

static void cut(const struct segment_header *h, const uint8_t *packet, size_t size)
{
	struct segment_cut c;
	size_t payload = 0;

	if (segment_cut_begin(&c, h, packet, size) != 0)
		return;
	require(c.n >= 1 && c.n <= SEGMENT_MAX, "as many as one call sends");
	for (size_t i = 0; i < c.n; i++) {
		add_piece(segment_cut_size(&c, i));
		segment_cut_write(&c, i, pieces[n_pieces - 1].data);
		if (c.n == 1)
			continue;
		payload += pieces[n_pieces - 1].size - c.shape.headers;
		require(memcmp(pieces[n_pieces - 1].data + c.shape.headers, packet + c.shape.headers + i * c.mss,
			       pieces[n_pieces - 1].size - c.shape.headers) == 0, "its part of the payload");
	}
	if (c.n == 1)
		require(pieces[0].size == size, "as it is");
	else
		require(payload == size - c.shape.headers, "all of the payload");
}

static void check_merged(struct segment_merge *m, size_t first, size_t n)
{
	static uint8_t whole[UINT16_MAX];
	size_t length = segment_merge_end(m), size = 0;
	struct segment_cut c;

	for (size_t i = 1; i < length; i++) {
		require(size + m->pieces[i].iov_len <= sizeof(whole), "no longer than a packet may be");
		memcpy(whole + size, m->pieces[i].iov_base, m->pieces[i].iov_len);
		size += m->pieces[i].iov_len;
	}
	require(m->n == n, "it knows how many");
	if (n == 1) {
		require(m->header.plain.gso_type == VIRTIO_NET_HDR_GSO_NONE && size == pieces[first].size &&
			memcmp(whole, pieces[first].data, size) == 0, "one alone is left as it is");
		return;
	}
	require(segment_cut_begin(&c, &m->header, whole, size) == 0 && c.n == n, "it can be cut as it was");
	for (size_t i = 0; i < n; i++)
		require(segment_cut_size(&c, i) == pieces[first + i].size, "in the same sizes");
}

static void merge(uint16_t port)
{
	static struct segment_merge m;
	size_t first = 0;

	for (size_t i = 0; i < n_pieces; i++) {
		if (i > first && segment_merge_add(&m, pieces[i].data, pieces[i].size))
			continue;
		if (i > first)
			check_merged(&m, first, i - first);
		segment_merge_begin(&m, pieces[i].data, pieces[i].size, port);
		first = i;
	}
	if (n_pieces > 0)
		check_merged(&m, first, n_pieces - first);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	return 0;
}

/* How: 1 = there is no VXLAN; 2 = a byte of a piece is spoiled in between; 4 = the packets come from the input. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, size};
	uint8_t how = input_u8(&in), place = input_u8(&in), at = input_u8(&in), bits = input_u8(&in);

	if (how & 4) {
		while (in.size > 0 && n_pieces < SEGMENT_MAX) {
			add_piece(input_u16(&in) % MOST);
			input_take(&in, pieces[n_pieces - 1].data, pieces[n_pieces - 1].size);
		}
	} else {
		struct segment_header h = read_header(&in);
		size_t left = in.size < MOST ? in.size : MOST;
		uint8_t *packet = malloc(left ? left : 1);

		require(packet, "memory");
		input_take(&in, packet, left);
		cut(&h, packet, left);
		free(packet);
	}
	if ((how & 2) && n_pieces > 0) {
		struct piece *p = &pieces[place % n_pieces];

		if (p->size > 0)
			p->data[at % p->size] ^= bits;
	}
	merge(how & 1 ? 0 : PORT);
	drop_pieces();
	return 0;
}
