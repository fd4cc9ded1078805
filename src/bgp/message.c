/* SPDX-License-Identifier: Apache-2.0 */
#include "bgp/message.h"

#include <assert.h>

#define MARKER_SIZE 16

/* Least size of each type (RFC 4271 4.2 to 4.5, RFC 2918 3) and whether RFC 8654 4 lets it be longer than 4,096. */
static const struct {
	const char *name;
	uint16_t least;
	bool extended;
} types[] = {
	[0] = {"unknown", 0, false},
	[MESSAGE_OPEN] = {"OPEN", 29, false},
	[MESSAGE_UPDATE] = {"UPDATE", 23, true},
	[MESSAGE_NOTIFICATION] = {"NOTIFICATION", 21, true},
	[MESSAGE_KEEPALIVE] = {"KEEPALIVE", 19, false},
	[MESSAGE_ROUTE_REFRESH] = {"ROUTE-REFRESH", 23, true},
};

static_assert(sizeof(types) / sizeof(types[0]) == MESSAGE_TYPE_MAX, "a row per type");

const char *message_type_name(enum message_type t)
{
	return types[t < MESSAGE_TYPE_MAX ? t : 0].name;
}

static enum message_state broken(uint8_t subcode, const uint8_t *data, size_t size, struct notification *error)
{
	*error = (struct notification){NOTIFICATION_HEADER, subcode, data, size};
	return MESSAGE_BROKEN;
}

enum message_state message_next(const uint8_t *data, size_t size, bool extended, struct message *out,
				struct notification *error)
{
	struct reader r = reader_over(data, size);
	size_t length;
	uint8_t type;

	for (size_t i = 0; i < MARKER_SIZE && i < size; i++) /* RFC 4271 6.1: all ones */
		if (data[i] != 0xff)
			return broken(HEADER_NOT_SYNCHRONIZED, NULL, 0, error);
	if (size < MESSAGE_HEADER_SIZE)
		return MESSAGE_PARTIAL;
	reader_take(&r, MARKER_SIZE);
	length = reader_u16(&r);
	type = reader_u8(&r);
	if (length < MESSAGE_HEADER_SIZE || length > (extended ? MESSAGE_EXTENDED_MAX : MESSAGE_MAX))
		return broken(HEADER_BAD_LENGTH, data + MARKER_SIZE, 2, error);
	if (type == 0 || type >= MESSAGE_TYPE_MAX)
		return broken(HEADER_BAD_TYPE, data + MARKER_SIZE + 2, 1, error);
	if (length < types[type].least || (type == MESSAGE_KEEPALIVE && length != MESSAGE_HEADER_SIZE) ||
	    (length > MESSAGE_MAX && !types[type].extended))
		return broken(HEADER_BAD_LENGTH, data + MARKER_SIZE, 2, error);
	if (size < length)
		return MESSAGE_PARTIAL;
	*out = (struct message){.type = type, .size = length, .body = reader_sub(&r, length - MESSAGE_HEADER_SIZE)};
	return MESSAGE_WHOLE;
}

size_t message_begin(struct writer *w, enum message_type t)
{
	size_t mark;

	for (int i = 0; i < MARKER_SIZE; i++)
		writer_u8(w, 0xff);
	mark = writer_mark(w, 2);
	writer_u8(w, (uint8_t)t);
	return mark;
}

void message_end(struct writer *w, size_t mark)
{
	/* The length counts the marker and itself, not only what stands behind it. */
	size_t size = writer_size(w) - mark + MARKER_SIZE;

	if (!writer_ok(w))
		return;
	w->start[mark] = (uint8_t)(size >> 8);
	w->start[mark + 1] = (uint8_t)size;
}

void keepalive_encode(struct writer *w)
{
	message_end(w, message_begin(w, MESSAGE_KEEPALIVE));
}
