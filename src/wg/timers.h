/* SPDX-License-Identifier: Apache-2.0 */
/*
 * timers.h - when a session is made, renewed, kept alive and forgotten: the timers of one peer (WireGuard's paper, 6).
 *
 * The peer tells what happened, the timers call back what is to be done.  All peers of a node share a struct
 * peer_clock: the time, which the owner sets before it calls anything, and the heap that timers_run of lib/timer.h
 * works off.  Jitter, so that two peers do not go on talking at the same moment, is random; nothing else here is.
 *
 * Call order: peer_timers_init, any, peer_timers_fini.  One thread.
 */
#ifndef ISTHMUS_WG_TIMERS_H
#define ISTHMUS_WG_TIMERS_H

#include "lib/timer.h"

#define REKEY_AFTER_MS 120000      /* the initiator of a session asks for the next */
#define REJECT_AFTER_MS 180000     /* nothing is sent or taken with older keys */
#define REKEY_ATTEMPT_MS 90000     /* how long to try for a session */
#define REKEY_TIMEOUT_MS 5000      /* an initiation that nobody answered is sent anew */
#define KEEPALIVE_TIMEOUT_MS 10000 /* an answer to data, when there is none of its own */
#define ERASE_AFTER_MS (3 * REJECT_AFTER_MS)
#define JITTER_MS 333

struct peer_clock {
	uint64_t now_ms; /* of a clock that never goes back */
	struct timers heap;
};

struct peer_timers_ops {
	void (*initiate)(void *arg);       /* send an initiation */
	void (*keepalive)(void *arg);      /* send an empty packet */
	void (*given_up)(void *arg);       /* REKEY_ATTEMPT_MS without an answer: what waits will not be sent */
	void (*erase)(void *arg);          /* forget all keys */
};

struct peer_timers {
	struct peer_clock *clock;
	const struct peer_timers_ops *ops;
	void *arg;
	struct timer retransmit, keepalive, renew, erase, persistent;
	uint64_t trying_since_ms;
	bool trying;              /* for a session, since then */
	uint16_t persistent_s;    /* 0 = none */
	bool another_keepalive;   /* data came while one was due: due again after it */
};

int peer_timers_init(struct peer_timers *t, struct peer_clock *clock, const struct peer_timers_ops *ops, void *arg);
void peer_timers_fini(struct peer_timers *t);
void peer_timers_persist(struct peer_timers *t, uint16_t seconds); /* 0 = never */

void peer_timers_on_initiated(struct peer_timers *t);    /* an initiation was sent */
void peer_timers_on_established(struct peer_timers *t);  /* the other side is known to have the keys */
void peer_timers_on_derived(struct peer_timers *t);      /* there are new keys */
void peer_timers_on_sent(struct peer_timers *t, bool data);     /* authenticated; data or a keepalive or handshake */
void peer_timers_on_received(struct peer_timers *t, bool data); /* likewise */

#endif
