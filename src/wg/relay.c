/* SPDX-License-Identifier: Apache-2.0 */
#include "wg/relay.h"

#include <string.h>

#include "lib/wire.h"

static void read_message(struct reader *r, uint8_t *payload, struct relay_payload *out)
{
	reader_take(r, 1);
	out->size = reader_u16(r);
	out->who = reader_take(r, RELAY_ID_SIZE);
	reader_take(r, out->size);
	out->message = payload + sizeof(struct relay_header);
	if (!reader_ok(r) || packet_kind(out->message, out->size) == PACKET_NONE)
		out->kind = RELAY_NONE;
}

static void read_question(struct reader *r, struct relay_payload *out)
{
	reader_take(r, 3);
	out->token = reader_u32(r);
	if (!reader_ok(r))
		out->kind = RELAY_NONE;
}

struct relay_payload relay_read(uint8_t *payload, size_t size)
{
	struct reader r = reader_over(payload, size);
	struct relay_payload p = {.kind = (enum relay_kind)reader_u8(&r)};

	switch (p.kind) {
	case RELAY_FOR:
	case RELAY_FROM:
		read_message(&r, payload, &p);
		break;
	case RELAY_ASK:
	case RELAY_ANSWER:
		read_question(&r, &p);
		break;
	default:
		p.kind = RELAY_NONE;
	}
	return p;
}

void relay_write(uint8_t *payload, enum relay_kind kind, const uint8_t who[static RELAY_ID_SIZE], size_t size)
{
	struct relay_header h = {.kind = (uint8_t)kind, .size = {(uint8_t)(size >> 8), (uint8_t)size}};

	memcpy(h.who, who, sizeof(h.who));
	memcpy(payload, &h, sizeof(h));
}

size_t relay_ask(uint8_t *payload, enum relay_kind kind, uint32_t token)
{
	struct relay_question q = {.kind = (uint8_t)kind,
				   .token = {(uint8_t)(token >> 24), (uint8_t)(token >> 16), (uint8_t)(token >> 8),
					     (uint8_t)token}};

	memcpy(payload, &q, sizeof(q));
	return sizeof(q);
}

struct endpoint relay_endpoint(uint16_t relay, const uint8_t who[static RELAY_ID_SIZE])
{
	struct endpoint e = {.port = 1, .relay = relay};

	memcpy(e.addr.bytes, who, RELAY_ID_SIZE);
	return e;
}
