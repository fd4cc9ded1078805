/* SPDX-License-Identifier: Apache-2.0 */
#include "mutate.h"

#include <string.h>

#define SIZE_LIMIT 1900

/* Values at which length and type checks turn. */
static const uint8_t edges[] = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 17, 20, 40, 43, 44, 45, 46, 50, 51, 58, 60, 64, 127, 128,
				 133, 134, 135, 136, 137, 254, 255 };

static void flip_bit(struct prng *r, struct frame *f)
{
	f->data[prng_below(r, (uint32_t)f->size)] ^= (uint8_t)(1 << prng_below(r, 8));
}

static void set_edge(struct prng *r, struct frame *f)
{
	f->data[prng_below(r, (uint32_t)f->size)] = edges[prng_below(r, sizeof(edges))];
}

/* Most decisions are made on the first bytes of a layer. */
static void hit_a_header(struct prng *r, struct frame *f)
{
	size_t at;

	if (!f->layers) {
		flip_bit(r, f);
		return;
	}
	at = f->layer[prng_below(r, (uint32_t)f->layers)].offset + prng_below(r, 24);
	if (at < f->size)
		f->data[at] = prng_below(r, 2) ? edges[prng_below(r, sizeof(edges))] : (uint8_t)prng_next(r);
}

static void cut(struct prng *r, struct frame *f)
{
	f->size = 14 + prng_below(r, (uint32_t)f->size - 13);
}

static void lengthen(struct prng *r, struct frame *f)
{
	uint32_t more = prng_below(r, prng_below(r, 8) ? 64 : 1500);

	if (f->size + more > SIZE_LIMIT)
		return;
	memset(f->data + f->size, (int)prng_next(r) & 0xff, more);
	f->size += more;
}

/* A length field that is a little wrong. */
static void nudge(struct prng *r, struct frame *f)
{
	size_t at = prng_below(r, (uint32_t)f->size);

	f->data[at] = (uint8_t)(f->data[at] + prng_below(r, 5) - 2);
}

static void copy_inside(struct prng *r, struct frame *f)
{
	uint32_t size = 1 + prng_below(r, 16), from = prng_below(r, (uint32_t)f->size),
		 to = prng_below(r, (uint32_t)f->size);

	if (from + size <= f->size && to + size <= f->size)
		memmove(f->data + to, f->data + from, size);
}

void mutate(struct prng *random, struct frame *f)
{
	static void (*const ways[])(struct prng *, struct frame *) = {
		flip_bit, set_edge, hit_a_header, hit_a_header, hit_a_header, cut, lengthen, nudge, copy_inside,
	};
	uint32_t n = 1 + prng_below(random, 3);

	while (n--)
		ways[prng_below(random, sizeof(ways) / sizeof(ways[0]))](random, f);
}
