/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/wire.h"

struct reader reader_sub(struct reader *r, size_t size)
{
	const uint8_t *p = reader_take(r, size);

	/* Nothing taken from a failed reader is also a failure: the size may have been read from behind its end. */
	if (!p || r->failed)
		return (struct reader){.at = r->end, .end = r->end, .failed = true};
	return (struct reader){.at = p, .end = p + size};
}

static void put(struct writer *w, uint64_t v, size_t size)
{
	uint8_t *p = writer_take(w, size);

	for (size_t i = 0; p && i < size; i++)
		p[i] = (uint8_t)(v >> (8 * (size - 1 - i)));
}

void writer_u8(struct writer *w, uint8_t v)
{
	put(w, v, 1);
}

void writer_u16(struct writer *w, uint16_t v)
{
	put(w, v, 2);
}

void writer_u24(struct writer *w, uint32_t v)
{
	put(w, v, 3);
}

void writer_u32(struct writer *w, uint32_t v)
{
	put(w, v, 4);
}

void writer_u64(struct writer *w, uint64_t v)
{
	put(w, v, 8);
}

void writer_bytes(struct writer *w, const void *data, size_t size)
{
	uint8_t *p = writer_take(w, size);

	if (p && size > 0)
		memcpy(p, data, size);
}

void writer_zeroes(struct writer *w, size_t size)
{
	uint8_t *p = writer_take(w, size);

	if (p)
		memset(p, 0, size);
}

size_t writer_mark(struct writer *w, size_t size)
{
	size_t mark = writer_size(w);

	writer_zeroes(w, size);
	return mark;
}

static void set(struct writer *w, size_t mark, size_t field)
{
	size_t size;

	if (w->failed)
		return;
	size = writer_size(w) - mark - field;
	if (size >> (8 * field)) {
		w->failed = true;
		w->end = w->at;
		return;
	}
	for (size_t i = 0; i < field; i++)
		w->start[mark + i] = (uint8_t)(size >> (8 * (field - 1 - i)));
}

void writer_set_u8(struct writer *w, size_t mark)
{
	set(w, mark, 1);
}

void writer_set_u16(struct writer *w, size_t mark)
{
	set(w, mark, 2);
}
