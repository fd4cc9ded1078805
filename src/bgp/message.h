/* SPDX-License-Identifier: Apache-2.0 */
/*
 * message.h - BGP messages in a stream of bytes: the header, and what can be wrong with it (RFC 4271 4.1, 6.1, RFC
 * 8654).
 *
 * message_next on what has been received so far; the body that it hands out borrows those bytes and goes to the decoder
 * of its type (open.h, update.h, notification.h, refresh.h; a KEEPALIVE has none).  Pure: no state, any thread.
 */
#ifndef ISTHMUS_BGP_MESSAGE_H
#define ISTHMUS_BGP_MESSAGE_H

#include "bgp/notification.h"
#include "lib/wire.h"

#define MESSAGE_HEADER_SIZE 19
#define MESSAGE_MAX 4096           /* RFC 4271 4.1 */
#define MESSAGE_EXTENDED_MAX 65535 /* RFC 8654 */

enum message_type { /* RFC 4271 4.1, RFC 2918 3 */
	MESSAGE_OPEN = 1,
	MESSAGE_UPDATE,
	MESSAGE_NOTIFICATION,
	MESSAGE_KEEPALIVE,
	MESSAGE_ROUTE_REFRESH,
	MESSAGE_TYPE_MAX
};

const char *message_type_name(enum message_type t); /* "OPEN", ... */

struct message {
	enum message_type type;
	size_t size;        /* with the header: what to take from the stream */
	struct reader body; /* without the header */
};

enum message_state {
	MESSAGE_PARTIAL, /* more bytes are needed */
	MESSAGE_WHOLE,
	MESSAGE_BROKEN,  /* the stream is lost: send `error`, close */
};

/*
 * The first message of `data`.  `extended`: the extended message capability was advertised and received; OPEN and
 * KEEPALIVE stay at 4,096 bytes also then (RFC 8654 4).  A header that is wrong is found as soon as it is there,
 * without waiting for the body.
 */
enum message_state message_next(const uint8_t *data, size_t size, bool extended, struct message *out,
				struct notification *error);

/* Header with a length to be set by message_end; returns the mark that message_end wants. */
size_t message_begin(struct writer *w, enum message_type t);
void message_end(struct writer *w, size_t mark);

void keepalive_encode(struct writer *w);

#endif
