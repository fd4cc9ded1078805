/* SPDX-License-Identifier: Apache-2.0 */
/*
 * worker.h - one thread's way of data through a tunnel, both directions.
 *
 *     outbound: TAP queue -> link by outer destination -> cut -> seal, up to 64 a call -> UDP_SEGMENT
 *     inbound:  UDP_GRO -> session by receiver index -> open, up to 64 a call -> source check -> merge -> TAP queue
 *
 * Memory is taken when it is made; on the way there is none taken and no lock waited for, but those that are held
 * for some dozen instructions: of a session's replay window, of a peer's news, and of the inbox for the rare handshake
 * message behind data.  Packets without a session wait in its stash.
 *
 * Call order: worker_init; then on its thread worker_run, or, for the thread that has the protocol as well,
 * worker_inbound within grace_online and grace_offline; worker_fini when the thread has ended.
 */
#ifndef ISTHMUS_WG_WORKER_H
#define ISTHMUS_WG_WORKER_H

#include <poll.h>

#include "wg/plane.h"
#include "wg/stash.h"
#include "wg/udp.h"

#define WORKER_AHEAD 32 /* reads before the other direction has its turn */

struct worker {
	struct plane *plane;
	unsigned number; /* as reader of plane.grace */
	int queue, wake; /* wake: an eventfd */
	struct udp udp;
	struct aead *aead;
	uint64_t now_ms; /* of this turn, as is the MTU */
	uint16_t mtu;
	uint64_t drops[TUNNEL_DROP_MAX];
	struct stash stash;

	/* outbound: what waits to be sealed, for one link, one message behind the other */
	struct link *link;
	struct endpoint to; /* where it was when the first of them came */
	struct packet batch[KEYPAIR_BATCH];
	size_t n_batch, at, batch_bytes;
	uint8_t out[RELAY_BEFORE + PACKET_DATA_SIZE(UINT16_MAX) + RELAY_BEHIND];
	struct tap_frame frame;

	/* inbound */
	struct segment_merge merge;
	bool merging;
	struct addr source; /* of source_link, as was found last */
	const struct link *source_link;
	uint8_t in[UDP_DATAGRAM_MAX];
};

/* 0, -ENOMEM, another errno. */
int worker_init(struct worker *w, struct plane *plane, unsigned number, int queue, const struct udp *udp);
void worker_fini(struct worker *w); /* one of zeroes is allowed */

void worker_run(struct worker *w); /* until plane.stop */
/*
 * The frame of that: turns until plane.stop, each when one of `fds` is ready, of which the first is w->wake and taken care of
 * as what waits is.  `mtu`: whichever of the plane's is looked at in each turn.
 */
void worker_loop(struct worker *w, struct pollfd *fds, nfds_t n, const uint16_t *mtu,
		 void (*turn)(struct worker *w, struct pollfd *fds));
int worker_thread(pthread_t *out, void *(*run)(void *arg), void *arg); /* without signals, which are the control loop's */
void worker_wake(const struct worker *w); /* any thread */

/* What can be read now, some of it.  -EBADFD: the device is gone; else 0. */
int worker_outbound(struct worker *w);
void worker_outbound_waiting(struct worker *w); /* whose session has come, or will not */
/* One packet, for a link; what is sent with it, at the latest by worker_flush. */
void worker_forward(struct worker *w, struct link *l, const struct tap_frame *f);
void worker_flush(struct worker *w);
/* Messages, sealed; those of one size that lie one behind the other go together.  `l`: whose they are, for the count. */
void worker_send(struct worker *w, struct link *l, const struct endpoint *to, const struct packet *packets, size_t n);
/*
 * `other`: for messages that are no data, where the worker may handle them; NULL: they go to plane.inbox.
 */
typedef void (*worker_other_fn)(void *arg, const struct endpoint *from, struct packet *p);
void worker_inbound(struct worker *w, worker_other_fn other, void *arg);
/* Messages that came from one place, at most KEYPAIR_BATCH. */
void worker_take(struct worker *w, const struct endpoint *from, struct packet *packets, size_t n, worker_other_fn other,
		 void *arg);

/* Those (measure.h) among what was opened of a session go to the protocol thread; returns how many are left. */
size_t worker_take_probes(struct worker *w, const struct session *s, struct packet *packets, size_t n);

/* Where what was opened goes. */
struct outlet {
	const struct tap *tap;
	int queue;
	uint16_t vxlan_port; /* of what is merged in VXLAN, too; 0 = nothing */
};

/* Merges with what was put before, whose bytes are borrowed until something else or the end is written. */
void worker_put(struct worker *w, struct link *l, const struct outlet *o, const uint8_t *packet, size_t size);
void worker_put_end(struct worker *w, struct link *l, const struct outlet *o);

/* `l`: NULL = not known whose. */
static inline void worker_drop(struct worker *w, struct link *l, int drop, size_t n)
{
	counter_add(&w->drops[drop], n);
	if (l)
		counter_add(&l->counters.drops[drop], n);
}

#endif
