/* SPDX-License-Identifier: Apache-2.0 */
#include "wg/carry.h"

#include <errno.h>
#include <string.h>

static uint8_t *payload_of(const struct packet *p)
{
	return p->data + sizeof(struct packet_data);
}

static bool is_question(const struct packet *p)
{
	uint8_t kind = *payload_of(p);

	return p->size > 0 && (kind == RELAY_ASK || kind == RELAY_ANSWER);
}

bool carry_asks(const struct link *l, const struct packet *packets, size_t n)
{
	if (!is_question(packets) || l->kind != TUNNEL_NODE)
		return false;
	while (n > 0 && is_question(&packets[n - 1]))
		n--;
	return n == 0;
}

/* What lies there is whole and not to be made longer: a sealed message is, and the next one is right behind it. */
static int seal(struct worker *w, struct link *l, struct packet *packets, size_t n)
{
	struct session *s = link_session(l);

	return s ? keypair_seal(s->keypair, w->aead, packets, n, 0, w->now_ms) : -EKEYEXPIRED;
}

static void count_sent(struct link *l, size_t n, size_t bytes)
{
	counter_add(&l->counters.sent_packets, n);
	counter_add(&l->counters.sent_bytes, bytes);
	link_note(l, LINK_SENT);
}

void carry_send(struct worker *w, struct link *l, const struct endpoint *to, struct packet *packets, size_t n)
{
	struct endpoint where;
	struct link *relay = plane_relay(w->plane, to->relay, &where);
	size_t bytes = 0;

	for (size_t i = 0; i < n; i++) {
		struct packet *p = &packets[i];

		p->data -= RELAY_BEFORE;
		relay_write(payload_of(p), RELAY_FOR, to->addr.bytes, p->size);
		p->size += sizeof(struct relay_header);
		bytes += p->size;
	}
	if (!relay || seal(w, relay, packets, n) != 0) {
		worker_drop(w, l, TUNNEL_RELAY_LOST, n);
		if (relay)
			link_note(relay, LINK_WANTED);
		return;
	}
	worker_send(w, l, &where, packets, n);
	count_sent(relay, n, bytes);
}

/* By whichever way it is: `data` has room for it all. */
static void answer(struct worker *w, struct link *l, const struct endpoint *from, uint32_t token)
{
	uint8_t room[RELAY_BEFORE + PACKET_DATA_SIZE(sizeof(struct relay_header)) + RELAY_BEHIND];
	struct packet p = {.data = room + RELAY_BEFORE};

	p.size = relay_ask(payload_of(&p), RELAY_ANSWER, token);
	memset(payload_of(&p) + p.size, 0, sizeof(struct relay_header) - p.size);
	p.size = sizeof(struct relay_header); /* padded, as all that is sealed */
	if (seal(w, l, &p, 1) != 0)
		return; /* it asks again */
	if (from->relay == 0)
		worker_send(w, l, from, &p, 1);
	else
		carry_send(w, l, from, &p, 1);
}

/* How many from the first on are for the same node, or from it; what they are. */
static size_t run_of(const struct packet *packets, size_t n, struct relay_payload out[static KEYPAIR_BATCH])
{
	size_t i = 1;

	out[0] = relay_read(payload_of(packets), packets->size);
	if (out->kind != RELAY_FOR && out->kind != RELAY_FROM)
		return 1;
	for (; i < n && i < KEYPAIR_BATCH && carry_is_of(&packets[i]); i++) {
		out[i] = relay_read(payload_of(&packets[i]), packets[i].size);
		if (out[i].kind != out->kind || memcmp(out[i].who, out->who, RELAY_ID_SIZE) != 0)
			break;
	}
	return i;
}

/* Who it is for, and where that is; NULL: it is not for us to carry, or not now, which was counted. */
static struct link *target_of(struct worker *w, struct link *l, const struct endpoint *from, const uint8_t *who, size_t n,
			      struct endpoint *where)
{
	struct link *target = lookup_get(&w->plane->ids, who);

	if (!__atomic_load_n(&w->plane->relaying, __ATOMIC_RELAXED) || from->relay != 0) {
		worker_drop(w, l, TUNNEL_RELAY_REFUSED, n);
		return NULL;
	}
	if (!target || target == l || target->kind != TUNNEL_NODE) {
		worker_drop(w, l, TUNNEL_RELAY_UNKNOWN, n);
		return NULL;
	}
	*where = link_endpoint(target);
	if (where->relay == 0)
		return target;
	worker_drop(w, l, TUNNEL_RELAY_REFUSED, n);
	return NULL;
}

static void carry(struct worker *w, struct link *l, const struct endpoint *from, const struct relay_payload *payloads,
		  struct packet *packets, size_t n)
{
	struct endpoint where;
	struct link *target = target_of(w, l, from, payloads->who, n, &where);
	size_t bytes = 0;

	if (!target)
		return;
	for (size_t i = 0; i < n; i++) {
		packets[i].size = sizeof(struct relay_header) + payloads[i].size;
		relay_write(payload_of(&packets[i]), RELAY_FROM, l->public_key, payloads[i].size);
		bytes += packets[i].size;
	}
	if (where.port == 0 || seal(w, target, packets, n) != 0) {
		worker_drop(w, l, TUNNEL_RELAY_NO_SESSION, n);
		link_note(target, LINK_WANTED);
		return;
	}
	worker_send(w, l, &where, packets, n);
	counter_add(&l->counters.carried_packets, n);
	counter_add(&l->counters.carried_bytes, bytes);
	count_sent(target, n, bytes);
}

/* From whom a relay says it is: what is not sealed by that one opens nothing. */
static void arrive(struct worker *w, struct link *l, const struct endpoint *from, const struct relay_payload *payloads, size_t n,
		   worker_other_fn other, void *arg)
{
	uint16_t relay = __atomic_load_n(&l->relay, __ATOMIC_RELAXED);
	struct packet messages[KEYPAIR_BATCH];
	struct endpoint whose;

	if (relay == 0 || from->relay != 0) {
		worker_drop(w, l, TUNNEL_RELAY_REFUSED, n);
		return;
	}
	for (size_t i = 0; i < n; i++)
		messages[i] = (struct packet){.data = payloads[i].message, .size = payloads[i].size};
	whose = relay_endpoint(relay, payloads->who);
	worker_take(w, &whose, messages, n, other, arg);
}

size_t carry_take(struct worker *w, struct link *l, const struct endpoint *from, struct packet *packets, size_t n,
		  worker_other_fn other, void *arg)
{
	struct relay_payload payloads[KEYPAIR_BATCH];
	size_t length = run_of(packets, n, payloads);

	switch (payloads->kind) {
	case RELAY_FOR:
		carry(w, l, from, payloads, packets, length);
		break;
	case RELAY_FROM:
		arrive(w, l, from, payloads, length, other, arg);
		break;
	case RELAY_ASK:
		answer(w, l, from, payloads->token);
		break;
	case RELAY_ANSWER:
		link_on_answer(l, from, payloads->token);
		break;
	default:
		worker_drop(w, l, TUNNEL_BAD_INNER, length);
	}
	return length;
}
