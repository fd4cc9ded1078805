/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wg_rig.h - nodes with sessions between them, under a clock that the test turns: what one sends waits in a queue and
 * is handed to whoever has that endpoint.
 *
 *     left 192.0.2.1:51820 ---- queue ---- right 198.51.100.2:51820
 *                           \-- relays --/
 *
 * Packets carry numbers, and each side notes which it got.
 */
#ifndef ISTHMUS_TESTS_WG_RIG_H
#define ISTHMUS_TESTS_WG_RIG_H

#include "hex.h"

#include "lib/timer.h"
#include "wg/device.h"
#include "wg/timers.h"

#define RIG_QUEUE 4096
#define RIG_MTU 1420

struct rig_node {
	struct rig *rig;
	struct device *device;
	struct peer *peer; /* the other one */
	struct endpoint endpoint;
	uint64_t events[PEER_ERASED + 1];
	uint8_t *seen; /* how often each number was delivered */
	uint64_t delivered;
	bool quiet; /* what waits is not sent at PEER_READY */
	uint32_t waiting[4096];
	size_t n_waiting;
	uint32_t numbers; /* sent or waiting so far */
};

struct rig_message {
	struct endpoint from, to;
	uint8_t data[2048];
	size_t size;
};

struct rig {
	uint64_t now_ms;
	struct rig_node left, right;
	struct rig_message queue[RIG_QUEUE];
	size_t head, length;
	/* Called for what comes out of the queue; false: it is lost.  May change it. */
	bool (*filter)(struct rig *rig, struct rig_message *m);
	uint64_t sent[PACKET_KIND_MAX]; /* messages by kind, lost ones too */
	int left_suite;
	uint16_t relays; /* that both may go through */
};

int rig_start(void **state); /* group set-up: the heap for secrets */

struct rig *rig_new(enum packet_suite left, enum packet_suite right); /* of what each begins */
void rig_free(struct rig *rig);

struct endpoint rig_through(uint16_t relay, const struct rig_node *n); /* somebody, seen through a relay */

/* One datagram; its bytes are changed. */
void rig_receive(struct rig_node *n, const struct endpoint *from, uint8_t *data, size_t size);

void rig_flush(struct rig *rig);                      /* hands over all that waits, and what that causes */
void rig_advance(struct rig *rig, uint64_t ms);       /* time goes on; every timer at its moment */
int rig_send(struct rig_node *n);                     /* the next number to the other; it waits when there is no session */
void rig_connect(struct rig *rig);                    /* a session, by a packet of the left */
uint64_t rig_lost(const struct rig_node *from, const struct rig_node *to); /* of what was sent */
struct rig_message *rig_last(struct rig *rig);        /* in the queue */

#endif
