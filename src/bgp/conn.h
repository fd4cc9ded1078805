/* SPDX-License-Identifier: Apache-2.0 */
/*
 * conn.h - one transport connection: a byte stream in, messages out of it; messages in, a bounded queue of bytes out.
 *
 * Input: conn_next cuts messages out of what the transport delivered, wherever it was cut; only the incomplete last one
 * is kept.  Output: what is queued goes to the transport as it takes it; conn_room says how many bytes of UPDATEs may
 * still be queued, so that a slow peer costs a bounded buffer and not the whole table.  Messages of the session itself
 * (KEEPALIVE, NOTIFICATION) have a reserve beyond that.  Buffers are given back when they are empty.
 *
 * A conn knows the transport by a number that the owner of the sockets chose.  Call order: conn_new, any, conn_free.
 * Pure; control thread.
 */
#ifndef ISTHMUS_BGP_CONN_H
#define ISTHMUS_BGP_CONN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bgp/message.h"

#define CONN_QUEUE_SIZE (128u << 10) /* bytes of UPDATEs; the last of them may go beyond */
#define CONN_RESERVE_SIZE 16384u     /* beyond that, for messages of the session */

struct conn;

struct conn *conn_new(uint64_t handle); /* NULL: no memory */
void conn_free(struct conn *conn);      /* NULL allowed */

uint64_t conn_handle(const struct conn *conn);
void conn_push(struct conn **list, struct conn *conn); /* for who keeps conns in a list */
struct conn *conn_pop(struct conn **list);             /* NULL: it is empty */
void conn_set_extended(struct conn *conn); /* RFC 8654: from now on the peer may send up to 65,535 bytes, OPEN and KEEPALIVE aside */

/*
 * The next message of the stream: takes bytes off the front of *data.  MESSAGE_PARTIAL: all of *data was taken and more
 * is needed.  The message lives until the next call, or the conn's end.  -ENOMEM, else 0 and *state.
 */
int conn_next(struct conn *conn, const uint8_t **data, size_t *size, enum message_state *state, struct message *message,
	      struct notification *error);

/* How many bytes of UPDATEs the queue still takes. */
size_t conn_room(const struct conn *conn);
size_t conn_queued(const struct conn *conn); /* bytes that the transport did not take yet */
size_t conn_unread(const struct conn *conn); /* bytes of a message that has not come whole yet */
/* A whole message.  0, -ENOBUFS when even the reserve is used up, -ENOMEM. */
int conn_queue(struct conn *conn, const void *message, size_t size);
/* Forgets what was queued, except the rest of a message that the transport has a part of.  True if nothing is left. */
bool conn_discard(struct conn *conn);

/*
 * Hands the queue to `send`, which returns how many bytes it took (fewer = it is full now).  Returns whether a message
 * left as a whole, which is what RFC 9687 counts as having sent.
 */
bool conn_flush(struct conn *conn, size_t (*send)(void *arg, uint64_t handle, const uint8_t *data, size_t size), void *arg);

#endif
