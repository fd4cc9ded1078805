/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One byte of session, then a stream of messages of all types.  Every whole message is taken off and goes to its
 * decoder; what is decided of a stream is decided the same when it comes byte by byte.
 */
#include <errno.h>

#include "bgp/open.h"
#include "bgp/refresh.h"
#include "bgp_oracle.h"

static void check_notification(struct reader body)
{
	uint8_t room[MESSAGE_MAX], out[SHUTDOWN_TEXT_SIZE];
	struct writer w = writer_over(room, sizeof(room));
	char text[SHUTDOWN_TEXT_SIZE];
	struct notification n;
	size_t size;
	bool hard;

	notification_decode(body, &n, &hard);
	require(n.size <= reader_left(&body), "data within the message");
	require(notification_code_name(n.code) && notification_subcode_name(n.code, n.subcode), "names");
	notification_text(&n, text);
	for (const char *p = text; *p; p++)
		require((uint8_t)*p >= 0x20 && *p != 0x7f, "no control character is shown");
	size = notification_text_encode(text, out);
	require(size == 0 || (size == out[0] + 1u && memcmp(out + 1, text, out[0]) == 0), "the text can be sent");
	(hard ? notification_encode_hard : notification_encode)(&w, &n);
	require(writer_ok(&w) && writer_size(&w) <= MESSAGE_MAX, "it can be sent");
}

static void check_refresh(struct reader body)
{
	enum route_family f;
	struct notification error;
	uint8_t room[64];
	struct writer w = writer_over(room, sizeof(room));
	int r = refresh_decode(body, &f, &error);

	require(r == 0 || r == -ENOENT || (r == -EPROTO && error.code == NOTIFICATION_REFRESH), "a verdict");
	if (r < 0)
		return;
	refresh_encode(&w, f);
	require(refresh_decode(reader_over(room + MESSAGE_HEADER_SIZE, writer_size(&w) - MESSAGE_HEADER_SIZE), &f, &error) == 0,
		"the same again");
}

/* A piece of the stream decides what the whole does, or wants more. */
static void check_pieces(const uint8_t *data, size_t size, bool extended, enum message_state whole)
{
	struct message m;
	struct notification error;

	for (size_t n = 0; n < size && n < 64; n++) {
		enum message_state state = message_next(data, n, extended, &m, &error);

		require(state == MESSAGE_PARTIAL || state == whole, "a piece says what the whole says");
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, size};
	struct update_session s = session_of(input_u8(&in));
	struct notification error;
	struct message m;
	struct open o;
	struct attrs *table;
	enum message_state state;

	require(attrs_new(&table) == 0, "memory");
	for (;;) {
		state = message_next(in.data, in.size, s.extended, &m, &error);
		check_pieces(in.data, in.size, s.extended, state);
		if (state != MESSAGE_WHOLE)
			break;
		require(m.size >= MESSAGE_HEADER_SIZE && m.size <= in.size, "a message within the stream");
		require(strcmp(message_type_name(m.type), "unknown") != 0, "of a type that there is");
		if (m.type == MESSAGE_OPEN)
			(void)open_decode(m.body, &o, &error);
		else if (m.type == MESSAGE_UPDATE)
			check_update(&s, table, m.body);
		else if (m.type == MESSAGE_NOTIFICATION)
			check_notification(m.body);
		else if (m.type == MESSAGE_ROUTE_REFRESH)
			check_refresh(m.body);
		in.data += m.size;
		in.size -= m.size;
	}
	require(state != MESSAGE_BROKEN || error.code == NOTIFICATION_HEADER, "a broken stream has its code");
	attrs_free(table);
	return 0;
}
