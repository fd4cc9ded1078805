/* SPDX-License-Identifier: Apache-2.0 */
#include "wg/detour.h"

#include <errno.h>
#include <string.h>

#include "model/fwd.h"

/* ---- which relays there are ---- */

static uint16_t free_number(const struct plane *p)
{
	for (uint16_t i = 0; i < RELAYS_MAX; i++)
		if (!p->relays[i])
			return i + 1;
	return 0;
}

/* Another relay that can be sent to; else where it was before, if that is known. */
static struct endpoint other_way(const struct tunnel *t, const struct peer *p)
{
	const struct link *l = peer_owner(p);
	struct endpoint where;

	for (uint16_t i = 1; i <= RELAYS_MAX; i++) {
		const struct link *relay = plane_relay(&t->plane, i, &where);

		if (relay && relay != l && relay->peer && peer_is_ready(relay->peer, plane_now_ms()))
			return relay_endpoint(i, l->public_key);
	}
	return *peer_direct(p);
}

static void leave(struct tunnel *t, uint16_t number)
{
	uint64_t now_ms = plane_now_ms();
	struct peer *p;

	if (__atomic_load_n(&t->plane.stop, __ATOMIC_RELAXED)) /* we are leaving altogether */
		return;
	for (size_t i = 0; (p = device_next_peer(t->device, &i));)
		if (peer_endpoint(p)->relay == number) {
			struct endpoint to = other_way(t, p);

			peer_move(p, &to, now_ms);
		}
}

int detour_set(struct tunnel *t, struct link *l, bool relay)
{
	uint16_t number = l->relay;

	if (relay == (number != 0))
		return 0;
	if (relay) {
		number = free_number(&t->plane);
		if (number == 0)
			return -E2BIG;
		__atomic_store_n(&l->relay, number, __ATOMIC_RELAXED);
		__atomic_store_n(&t->plane.relays[number - 1], l, __ATOMIC_RELEASE);
		return 0;
	}
	__atomic_store_n(&l->relay, 0, __ATOMIC_RELAXED);
	__atomic_store_n(&t->plane.relays[number - 1], NULL, __ATOMIC_RELEASE);
	leave(t, number);
	return 0;
}

static void unwatch(struct tunnel *t, struct link *l)
{
	for (struct link **at = &t->watched; *at; at = &(*at)->next_watched)
		if (*at == l) {
			*at = l->next_watched;
			break;
		}
	l->watched = false;
}

void detour_forget(struct tunnel *t, struct link *l)
{
	detour_set(t, l, false);
	unwatch(t, l);
}

/* ---- messages through one ---- */

static bool send_through(struct tunnel *t, uint16_t number, const uint8_t who[static RELAY_ID_SIZE], const uint8_t *data,
			 size_t size)
{
	uint8_t room[PACKET_DATA_SIZE(sizeof(struct relay_header) + sizeof(struct packet_initiation) + FWD_SECURE_UNIT)];
	struct packet p = {.data = room, .size = sizeof(struct relay_header) + size};
	struct endpoint where;
	struct link *relay = plane_relay(&t->plane, number, &where);

	if (!relay || !relay->peer || size > sizeof(struct packet_initiation))
		return false;
	relay_write(room + sizeof(struct packet_data), RELAY_FOR, who, size);
	memcpy(room + RELAY_BEFORE, data, size);
	if (peer_seal(relay->peer, &p, 1, plane_now_ms()) != 0)
		return false;
	protocol_send(t, &where, room, p.size);
	counter_add(&relay->counters.sent_packets, 1);
	counter_add(&relay->counters.sent_bytes, sizeof(struct relay_header) + size);
	return true;
}

void detour_send(struct tunnel *t, const struct endpoint *to, const uint8_t *data, size_t size)
{
	if (!send_through(t, to->relay, to->addr.bytes, data, size))
		counter_add(&t->workers[t->n_workers]->drops[TUNNEL_RELAY_LOST], 1);
}

bool detour_send_around(struct tunnel *t, const struct link *l, const uint8_t *data, size_t size)
{
	bool any = false;

	if (l->kind != TUNNEL_NODE)
		return false;
	for (uint16_t i = 0; i < RELAYS_MAX; i++) {
		const struct link *relay = t->plane.relays[i];

		if (!relay || relay == l)
			continue;
		any = true;
		if (data)
			send_through(t, i + 1, l->public_key, data, size);
	}
	return any;
}

/* ---- the way that is used ---- */

static void ask(struct tunnel *t, struct link *l, const struct endpoint *to)
{
	uint8_t room[PACKET_DATA_SIZE(sizeof(struct relay_question) + FWD_SECURE_UNIT)];
	struct packet p = {.data = room};

	if (to->port == 0)
		return;
	p.size = relay_ask(room + sizeof(struct packet_data), RELAY_ASK, l->watch.token);
	if (peer_seal(l->peer, &p, 1, plane_now_ms()) != 0)
		return;
	if (to->relay == 0)
		protocol_send(t, to, room, p.size);
	else
		send_through(t, to->relay, to->addr.bytes, room, p.size);
}

static void ask_all(struct tunnel *t, struct link *l)
{
	ask(t, l, peer_direct(l->peer));
	for (uint16_t i = 0; i < RELAYS_MAX; i++) {
		struct endpoint to = relay_endpoint(i + 1, l->public_key);

		if (t->plane.relays[i] && t->plane.relays[i] != l)
			ask(t, l, &to);
	}
}

static void look(struct tunnel *t, struct link *l, uint64_t now_ms)
{
	const struct endpoint *here = peer_endpoint(l->peer);

	switch (relay_watch_next(&l->watch, here->relay != 0, now_ms)) {
	case RELAY_ASK_HERE:
		ask(t, l, here);
		break;
	case RELAY_ASK_DIRECT:
		ask(t, l, peer_direct(l->peer));
		break;
	case RELAY_ASK_ALL:
		ask_all(t, l);
		break;
	case RELAY_NOTHING:
		break;
	}
}

static void on_answer(struct link *l, const struct link_news *news, uint64_t now_ms)
{
	if (relay_watch_on_answer(&l->watch, news->token, &news->answer, peer_endpoint(l->peer)))
		peer_move(l->peer, &news->answer, now_ms);
}

void detour_on_notes(struct tunnel *t, struct link *l, unsigned notes, const struct link_news *news, uint64_t now_ms)
{
	/* Without a session it is the handshake that finds a way. */
	if (!detour_send_around(t, l, NULL, 0) || !peer_is_ready(l->peer, now_ms)) {
		relay_watch_on_heard(&l->watch);
		return;
	}
	if (notes & (LINK_RECEIVED | LINK_HEARD))
		relay_watch_on_heard(&l->watch);
	else if (notes & LINK_SENT)
		relay_watch_on_sent(&l->watch, now_ms);
	if (notes & LINK_ANSWERED)
		on_answer(l, news, now_ms);
	look(t, l, now_ms);
	if (l->watch.next_ms == 0 || l->watched)
		return;
	l->watched = true;
	l->next_watched = t->watched;
	t->watched = l;
}

void detour_watch(struct tunnel *t, uint64_t now_ms)
{
	struct link *l, *next;

	if (t->relay_is_up) {
		t->relay_is_up = false;
		device_relay_up(t->device, now_ms);
	}
	for (l = t->watched; l; l = next) {
		next = l->next_watched;
		if (l->watch.next_ms == 0 || !peer_is_ready(l->peer, now_ms)) {
			relay_watch_on_heard(&l->watch);
			unwatch(t, l);
		} else {
			look(t, l, now_ms);
		}
	}
}
