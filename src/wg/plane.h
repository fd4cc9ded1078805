/* SPDX-License-Identifier: Apache-2.0 */
/*
 * plane.h - what the workers of a tunnel and its protocol thread share; private to them (worker.h, protocol.h).
 *
 * A link is the half of a peer that packets see: which session to send with, where to, and what happened since the
 * protocol thread looked last (its notes).  Workers find links by address and sessions by receiver index in tables that
 * they read without a lock; whatever goes out of a table lives on until no worker can be at it (grace.h).  What is
 * written by several threads is written by atomic operations; a note costs one read where it stands already.
 */
#ifndef ISTHMUS_WG_PLANE_H
#define ISTHMUS_WG_PLANE_H

#include <pthread.h>
#include <sys/queue.h>

#include "lib/timer.h"
#include "wg/grace.h"
#include "wg/lookup.h"
#include "wg/relay.h"
#include "wg/tap.h"
#include "wg/tunnel.h"

enum link_note {
	LINK_SENT = 1 << 0,      /* data */
	LINK_RECEIVED = 1 << 1,  /* data */
	LINK_HEARD = 1 << 2,     /* something else */
	LINK_WANTED = 1 << 3,    /* there is something to send, and no session */
	LINK_CONFIRMED = 1 << 4, /* the first of a session that the peer began: `confirmed` */
	LINK_MOVED = 1 << 5,     /* it came from elsewhere: `from`, which is its endpoint now where no relay is between */
	LINK_ANSWERED = 1 << 6,  /* a question of ours (relay.h): `answer` */
};
#define LINK_URGENT (LINK_WANTED | LINK_CONFIRMED | LINK_MOVED | LINK_ANSWERED)

struct plane;
struct plain;
struct link;
struct tunnel;

struct session {
	struct grace_node retired;
	uint32_t local;
	struct keypair *keypair;
	struct link *link;
	bool unheard; /* the peer began it, and nothing of it has come yet */
};

struct link_address {
	struct grace_node retired;
	struct addr addr;
	struct link *link;
};

struct link_counters {
	uint64_t sent_packets, sent_bytes, received_packets, received_bytes;
	uint64_t carried_packets, carried_bytes; /* of it for others */
	uint64_t drops[TUNNEL_DROP_MAX];
};

/* What the protocol thread has not looked at yet. */
struct link_news {
	struct endpoint from;
	uint32_t confirmed; /* a session */
	struct endpoint answer; /* the way that an answer came by; port 0 = none did */
	uint32_t token;
};

struct link {
	struct grace_node retired;
	struct plane *plane;
	enum tunnel_peer_kind kind; /* stays: for another kind there is another link */
	struct session *session; /* to send with; NULL = none */
	uint32_t endpoint_turn;  /* odd while `endpoint` is being written */
	uint64_t endpoint[3];
	uint32_t rounds; /* what waits since an earlier one is dropped */
	uint32_t waiting; /* packets, with all workers */
	bool gone;        /* removed: nothing waits for it any more */

	unsigned notes;
	struct link *next_noted;
	uint32_t heard; /* the session that something came of last */
	bool news_are_held; /* and writing the endpoint: a few instructions, and rarely */
	struct link_news news;
	struct link_counters counters;
	struct plain *plain; /* see plain.h; NULL: a node's */
	uint8_t public_key[NOISE_KEY_SIZE]; /* stays */
	uint16_t relay; /* its number, where it carries for us; else 0 */

	/* under plane.lock */
	struct relay_watch watch;
	bool watched;
	struct link *next_watched;
	struct peer *peer;
	struct link_address *addresses[TUNNEL_ADDRESSES_MAX];
	size_t n_addresses;
	struct endpoint given; /* the endpoint that was set last */
	struct tunnel *tunnel;
	struct probe probe; /* measure.h */
	struct timer probe_timer;
	uint16_t path_mtu;
	unsigned events;
	struct link *next_event;
	LIST_ENTRY(link) of_plain;
};

/* A handshake message that the kernel put behind data. */
struct inbox_message {
	struct endpoint from;
	size_t size;
	uint8_t data[sizeof(struct packet_initiation)];
};
#define INBOX 16

/* What was opened of a session that is no packet, but a probe; when, and what has come of the session by then. */
struct plane_probe {
	uint32_t session;
	uint64_t at_us, next, received;
	struct probe_message message;
};
#define PLANE_PROBES 128
#define PLANE_PROBES_OF_SESSION (2 * PROBE_STEPS) /* a round of each side */

struct plane {
	pthread_mutex_t lock; /* of the protocol: device, links, tables' writer */
	struct grace grace;
	struct lookup sessions, addresses, ids; /* ids: links by the beginning of their public key */
	struct link *relays[RELAYS_MAX]; /* by number - 1 */
	bool relaying; /* we carry for others */
	struct tap tap;
	struct addr local[2];
	uint16_t mtu, vxlan_port;
	uint16_t plain_mtu; /* of all ports */
	bool stop, lost; /* the threads are to end; the TAP is gone */

	struct link *noted;
	bool attentive; /* the protocol thread will look by itself */
	int wake;       /* eventfd: the protocol thread's */

	pthread_mutex_t inbox_lock;
	struct inbox_message inbox[INBOX];
	size_t n_inbox;
	struct plane_probe probes[PLANE_PROBES];
	size_t n_probes;
};

void plane_signal(int fd); /* an eventfd */
void plane_wake(const struct plane *p);
uint64_t plane_now_ms(void);

void link_note(struct link *l, unsigned notes);
/* Something of a session was opened, that came from there; `data`: not only keepalives. */
void link_on_opened(struct link *l, struct session *s, const struct endpoint *from, bool data);
/* Nothing but questions and answers was, which move no endpoint. */
void link_on_asked(struct link *l, struct session *s, const struct endpoint *from);
void link_on_answer(struct link *l, const struct endpoint *from, uint32_t token);
struct endpoint link_endpoint(const struct link *l);
void link_set_endpoint(struct link *l, const struct endpoint *e);
struct link_news link_take_news(struct link *l); /* there is none after it */

/* The relay of that number, if we can send to it and it is no relay's itself: where to; or NULL. */
struct link *plane_relay(const struct plane *p, uint16_t number, struct endpoint *where);

/* What to send with, or NULL. */
static inline struct session *link_session(const struct link *l)
{
	return __atomic_load_n(&l->session, __ATOMIC_SEQ_CST);
}

static inline bool link_is_plain(const struct link *l)
{
	return __atomic_load_n(&l->plain, __ATOMIC_RELAXED);
}

static inline void counter_add(uint64_t *counter, uint64_t n)
{
	__atomic_fetch_add(counter, n, __ATOMIC_RELAXED);
}

static inline uint64_t counter_get(const uint64_t *counter)
{
	return __atomic_load_n(counter, __ATOMIC_RELAXED);
}

#endif
