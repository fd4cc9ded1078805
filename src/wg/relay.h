/* SPDX-License-Identifier: Apache-2.0 */
/*
 * relay.h - what a node carries for two others that cannot reach each other: its form, and when which way is asked for.
 *
 *     A -- session with R [ FOR B  | message of the session of A and B ] --> R
 *     R -- session with B [ FROM A | message of the session of A and B ] --> B
 *
 * R sees of it what anybody sees who stands on the way, and less than it could forge.  What it is told it believes, as
 * the session says who tells it: FROM is what R writes, never what A claims.  A payload of this kind is told from IP by
 * the high nibble of its first byte, and counts between nodes alone.
 *
 *     FOR, FROM     kind 1 | 0 1 | size 2 | who 12 | message        the 16 bytes keep a sealed message a multiple of 16
 *     ASK, ANSWER   kind 1 | 0 3 | token 4                          does this way lead there and back?
 *
 * `who` is the beginning of a public key: 96 bits that nobody can choose another key for (finding one takes 2^96 keys),
 * with nothing to hand out or to agree on.  ASK and ANSWER are of the session of A and B themselves, by whichever way; an
 * answer goes back by the way of its question.  Alone they move no endpoint, so a way that leads in one direction only is
 * never taken for one.
 *
 * Pure, any thread; a struct relay_watch is one thread's.
 */
#ifndef ISTHMUS_WG_RELAY_H
#define ISTHMUS_WG_RELAY_H

#include "wg/endpoint.h"
#include "wg/packet.h"

#define RELAYS_MAX 16 /* that one node may go through */
#define RELAY_ID_SIZE 12
#define RELAY_NIBBLE 2

enum relay_kind {
	RELAY_NONE = 0, /* none of these, or not whole */
	RELAY_FOR = RELAY_NIBBLE << 4,
	RELAY_FROM,
	RELAY_ASK,
	RELAY_ANSWER,
};

struct relay_header {
	uint8_t kind, zero;
	uint8_t size[2]; /* of the message behind it, big-endian */
	uint8_t who[RELAY_ID_SIZE];
};
static_assert(sizeof(struct relay_header) == 16, "on the wire");

struct relay_question {
	uint8_t kind, zero[3];
	uint8_t token[4];
};
static_assert(sizeof(struct relay_question) == 8, "on the wire");

/* What is in front of a message that goes through a relay, and behind it. */
#define RELAY_BEFORE (sizeof(struct packet_data) + sizeof(struct relay_header))
#define RELAY_BEHIND AEAD_TAG_SIZE

struct relay_payload {
	const uint8_t *who; /* FOR, FROM */
	uint8_t *message;
	size_t size;
	enum relay_kind kind;
	uint32_t token; /* ASK, ANSWER */
};

static inline bool relay_is_payload(const uint8_t *payload, size_t size)
{
	return size > 0 && payload[0] >> 4 == RELAY_NIBBLE;
}

/* What is behind it is padding.  A message has to be one of the protocol, by packet_kind. */
struct relay_payload relay_read(uint8_t *payload, size_t size);
void relay_write(uint8_t *payload, enum relay_kind kind, const uint8_t who[static RELAY_ID_SIZE], size_t size);
size_t relay_ask(uint8_t *payload, enum relay_kind kind, uint32_t token); /* its size */

/* Somebody by the beginning of its public key, through a relay. */
struct endpoint relay_endpoint(uint16_t relay, const uint8_t who[static RELAY_ID_SIZE]);

/* ---- when to ask ---- */

#define RELAY_QUIET_MS 1000   /* something was sent, and nothing came: its way is asked, and so often */
#define RELAY_PATIENCE 2      /* questions by it without an answer; then all ways are asked */
#define RELAY_FRESH_MS 2000   /* a way that something came by within that is not left for a relay's */
#define RELAY_FIRST_MS 5000   /* the direct way is tried so long after a relay's was taken, */
#define RELAY_DIRECT_MS 60000 /* and again while it is used */

struct relay_watch {
	uint64_t next_ms;   /* the next question; 0 = something came since the last was sent */
	uint64_t direct_ms; /* not to try the direct way before */
	uint32_t token;     /* of the last question */
	uint8_t asked;      /* without an answer */
};

enum relay_next { RELAY_NOTHING, RELAY_ASK_HERE, RELAY_ASK_DIRECT, RELAY_ASK_ALL };

void relay_watch_on_sent(struct relay_watch *w, uint64_t now_ms);
void relay_watch_on_heard(struct relay_watch *w);
void relay_watch_on_moved(struct relay_watch *w, bool relayed, uint64_t now_ms);
/* Which way is to be asked now, by w->token; `relayed`: it goes through a relay now. */
enum relay_next relay_watch_next(struct relay_watch *w, bool relayed, uint64_t now_ms);
/* An answer came `from` there: is that the way to take instead of `here`? */
bool relay_watch_on_answer(struct relay_watch *w, uint32_t token, const struct endpoint *from, const struct endpoint *here);

#endif
