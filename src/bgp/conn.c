/* SPDX-License-Identifier: Apache-2.0 */
#include "bgp/conn.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct buffer {
	uint8_t *bytes;
	size_t start, end, capacity;
};

struct conn {
	struct conn *next;
	uint64_t handle;
	bool extended;
	struct buffer in;  /* a message that came in pieces */
	bool handed_out;   /* ... is complete, and was given to the caller */
	struct buffer out; /* whole messages, the first perhaps without its front */
	size_t front_left; /* of the first message, bytes that are still to go; 0 = the queue starts at a message */
};

static int buffer_append(struct buffer *b, const void *bytes, size_t size)
{
	if (b->end + size > b->capacity && b->start > 0) {
		memmove(b->bytes, b->bytes + b->start, b->end - b->start);
		b->end -= b->start;
		b->start = 0;
	}
	if (b->end + size > b->capacity) {
		size_t capacity = b->capacity ? b->capacity : 512;
		uint8_t *grown;

		while (capacity < b->end + size)
			capacity *= 2;
		grown = realloc(b->bytes, capacity);
		if (!grown)
			return -ENOMEM;
		b->bytes = grown;
		b->capacity = capacity;
	}
	memcpy(b->bytes + b->end, bytes, size);
	b->end += size;
	return 0;
}

static void buffer_release(struct buffer *b)
{
	free(b->bytes);
	*b = (struct buffer){0};
}

struct conn *conn_new(uint64_t handle)
{
	struct conn *conn = calloc(1, sizeof(*conn));

	if (conn)
		conn->handle = handle;
	return conn;
}

void conn_free(struct conn *conn)
{
	if (!conn)
		return;
	buffer_release(&conn->in);
	buffer_release(&conn->out);
	free(conn);
}

uint64_t conn_handle(const struct conn *conn)
{
	return conn->handle;
}

void conn_push(struct conn **list, struct conn *conn)
{
	conn->next = *list;
	*list = conn;
}

struct conn *conn_pop(struct conn **list)
{
	struct conn *conn = *list;

	if (conn)
		*list = conn->next;
	return conn;
}

void conn_set_extended(struct conn *conn)
{
	conn->extended = true;
}

/* Bytes of the message in the buffer that are still missing: of its header, or as the header says. */
static size_t missing(const struct conn *conn)
{
	const uint8_t *in = conn->in.bytes;

	if (conn->in.end < MESSAGE_HEADER_SIZE)
		return MESSAGE_HEADER_SIZE - conn->in.end;
	return ((size_t)in[16] << 8 | in[17]) - conn->in.end;
}

int conn_next(struct conn *conn, const uint8_t **data, size_t *size, enum message_state *state, struct message *message,
	      struct notification *error)
{
	if (conn->handed_out)
		buffer_release(&conn->in);
	conn->handed_out = false;
	if (conn->in.end == 0) {
		*state = message_next(*data, *size, conn->extended, message, error);
		if (*state == MESSAGE_WHOLE) {
			*data += message->size;
			*size -= message->size;
		}
		if (*state != MESSAGE_PARTIAL)
			return 0;
	}
	/* In pieces: no more than one message is gathered, and its length is judged when the header is there. */
	for (;;) {
		size_t want = missing(conn), n = *size < want ? *size : want;

		if (n > 0 && buffer_append(&conn->in, *data, n) < 0)
			return -ENOMEM;
		*data += n;
		*size -= n;
		*state = message_next(conn->in.bytes, conn->in.end, conn->extended, message, error);
		conn->handed_out = *state == MESSAGE_WHOLE;
		if (*state != MESSAGE_PARTIAL || *size == 0)
			return 0;
	}
}

size_t conn_unread(const struct conn *conn)
{
	return conn->handed_out ? 0 : conn->in.end - conn->in.start;
}

size_t conn_queued(const struct conn *conn)
{
	return conn->out.end - conn->out.start;
}

size_t conn_room(const struct conn *conn)
{
	size_t queued = conn_queued(conn);

	return queued < CONN_QUEUE_SIZE ? CONN_QUEUE_SIZE - queued : 0;
}

int conn_queue(struct conn *conn, const void *message, size_t size)
{
	if (conn_queued(conn) + size > CONN_QUEUE_SIZE + MESSAGE_EXTENDED_MAX + CONN_RESERVE_SIZE)
		return -ENOBUFS;
	return buffer_append(&conn->out, message, size);
}

bool conn_discard(struct conn *conn)
{
	conn->out.end = conn->out.start + conn->front_left;
	return conn->front_left == 0;
}

/* `n` bytes of the queue are gone; does that complete a message? */
static bool take(struct conn *conn, size_t n)
{
	struct buffer *out = &conn->out;
	bool whole = false;

	for (size_t step; n > 0; n -= step) {
		if (conn->front_left == 0)
			conn->front_left = (size_t)out->bytes[out->start + 16] << 8 | out->bytes[out->start + 17];
		step = n < conn->front_left ? n : conn->front_left;
		out->start += step;
		conn->front_left -= step;
		whole |= conn->front_left == 0;
	}
	return whole;
}

bool conn_flush(struct conn *conn, size_t (*send)(void *arg, uint64_t handle, const uint8_t *data, size_t size), void *arg)
{
	size_t size = conn_queued(conn), taken;
	bool whole;

	if (size == 0)
		return false;
	taken = send(arg, conn->handle, conn->out.bytes + conn->out.start, size);
	whole = take(conn, taken < size ? taken : size);
	if (conn_queued(conn) == 0)
		buffer_release(&conn->out);
	return whole;
}
