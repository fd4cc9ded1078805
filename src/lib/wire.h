/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wire.h - bounded reading and writing of bytes in network order, with an error that stays.
 *
 * A reader that is asked for more than it has gives zeroes and is failed from then on, so a decoder reads straight
 * through and asks once at the end.  Every read moves forward or fails: a loop `while (reader_left(&r))` ends.  A
 * writer that is given more than it has room for writes nothing more.  Values: they own nothing and borrow the bytes. 
 * Any thread.
 */
#ifndef ISTHMUS_LIB_WIRE_H
#define ISTHMUS_LIB_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct reader {
	const uint8_t *at, *end;
	bool failed;
};

/* NULL is no bytes, whatever the size. */
static inline struct reader reader_over(const void *data, size_t size)
{
	const uint8_t *p = data ? data : "";

	return (struct reader){.at = p, .end = p + (data ? size : 0)};
}

static inline size_t reader_left(const struct reader *r)
{
	return (size_t)(r->end - r->at);
}

static inline bool reader_ok(const struct reader *r)
{
	return !r->failed;
}

/* The next `size` bytes, or NULL and the reader is failed and empty. */
static inline const uint8_t *reader_take(struct reader *r, size_t size)
{
	const uint8_t *p = r->at;

	if (__builtin_expect(size > reader_left(r), 0)) {
		r->failed = true;
		r->at = r->end;
		return NULL;
	}
	r->at += size;
	return p;
}

static inline uint8_t reader_u8(struct reader *r)
{
	const uint8_t *p = reader_take(r, 1);

	return p ? p[0] : 0;
}

static inline uint16_t reader_u16(struct reader *r)
{
	const uint8_t *p = reader_take(r, 2);

	return p ? (uint16_t)(p[0] << 8 | p[1]) : 0;
}

static inline uint32_t reader_u24(struct reader *r)
{
	const uint8_t *p = reader_take(r, 3);

	return p ? (uint32_t)p[0] << 16 | (uint32_t)p[1] << 8 | p[2] : 0;
}

static inline uint32_t reader_u32(struct reader *r)
{
	const uint8_t *p = reader_take(r, 4);

	return p ? (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3] : 0;
}

static inline uint64_t reader_u64(struct reader *r)
{
	uint64_t high = reader_u32(r);

	return high << 32 | reader_u32(r);
}

/* `out` is zeroed when the reader is too short. */
static inline void reader_copy(struct reader *r, void *out, size_t size)
{
	const uint8_t *p = reader_take(r, size);

	if (p)
		memcpy(out, p, size);
	else
		memset(out, 0, size);
}

/* A reader of the next `size` bytes; when there are fewer, both are failed. */
struct reader reader_sub(struct reader *r, size_t size);

struct writer {
	uint8_t *start, *at, *end;
	bool failed;
};

static inline struct writer writer_over(void *data, size_t size)
{
	uint8_t *p = data;

	return (struct writer){.start = p, .at = p, .end = p ? p + size : p};
}

static inline size_t writer_size(const struct writer *w) /* written so far */
{
	return (size_t)(w->at - w->start);
}

static inline size_t writer_room(const struct writer *w)
{
	return (size_t)(w->end - w->at);
}

static inline bool writer_ok(const struct writer *w)
{
	return !w->failed;
}

/* Room of `size` bytes to be filled by the caller, or NULL and the writer is failed and full. */
static inline uint8_t *writer_take(struct writer *w, size_t size)
{
	uint8_t *p = w->at;

	if (__builtin_expect(size > writer_room(w), 0)) {
		w->failed = true;
		w->end = w->at;
		return NULL;
	}
	w->at += size;
	return p;
}

void writer_u8(struct writer *w, uint8_t v);
void writer_u16(struct writer *w, uint16_t v);
void writer_u24(struct writer *w, uint32_t v); /* the low 24 bits */
void writer_u32(struct writer *w, uint32_t v);
void writer_u64(struct writer *w, uint64_t v);
void writer_bytes(struct writer *w, const void *data, size_t size);
void writer_zeroes(struct writer *w, size_t size);

/*
 * A length field that is known later: mark its place (0 bytes written into it), write the rest, then set it to what was
 * written behind it.
 */
size_t writer_mark(struct writer *w, size_t size); /* of the field, 1 or 2; returns the offset of the field */
void writer_set_u8(struct writer *w, size_t mark);  /* fails the writer when it is more than fits */
void writer_set_u16(struct writer *w, size_t mark);

#endif
