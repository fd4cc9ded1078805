/* SPDX-License-Identifier: Apache-2.0 */
/*
 * protocol.h - the protocol thread of a tunnel: struct tunnel, its device, and what passes between it and the workers;
 * private to tunnel.c, protocol.c and measure.c.
 *
 * The thread reads what is no data from a socket of its own, runs the timers, takes the workers' notes, and frees what
 * nobody is at any more.  The control loop's calls (tunnel.h) work on the same device under plane.lock, which is held
 * for one handshake message, or one look at timers and notes, at a time.
 */
#ifndef ISTHMUS_WG_PROTOCOL_H
#define ISTHMUS_WG_PROTOCOL_H

#include "wg/plain.h"

struct tunnel {
	struct plane plane;
	struct device *device;
	struct worker *workers[TUNNEL_WORKERS_MAX + 1]; /* the last is the protocol thread's: it has a socket, but no queue */
	unsigned n_workers;                             /* without it */
	pthread_t threads[TUNNEL_WORKERS_MAX + 1];
	unsigned n_threads;
	struct udp sockets[TUNNEL_WORKERS_MAX + 1];
	unsigned n_sockets;
	struct plain_reader plain; /* from the first peer of that kind on */
	LIST_HEAD(, link) plain_links;
	struct link *eventful; /* that have events, in no order */
	struct link *watched;  /* that something was sent to, and nothing has come since; in no order (detour.h) */
	bool relay_is_up;      /* another one is, and nobody was told yet */
	bool lost_is_told, lost_is_taken;
	int event; /* eventfd: the control loop's */
	struct timers measuring; /* of links */
};

extern const struct device_ops protocol_ops; /* arg: the tunnel; under plane.lock, as all below but protocol_run */

void *protocol_run(void *tunnel); /* a thread's; until plane.stop */

void protocol_send(struct tunnel *t, const struct endpoint *to, const uint8_t *data, size_t size); /* directly */
struct worker *protocol_own(struct tunnel *t); /* the one of this thread */
void protocol_add_event(struct tunnel *t, struct link *l, unsigned kind);
void protocol_wake_workers(struct tunnel *t);
void protocol_forget_events(struct tunnel *t, struct link *l);

#endif
