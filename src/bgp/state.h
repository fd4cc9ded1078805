/* SPDX-License-Identifier: Apache-2.0 */
/*
 * state.h - what the files of the speaker share; nobody else includes it.
 *
 * speaker.c: the verbs of speaker.h; which transport belongs to whom.  neighbor.c: one neighbor: when to connect, when to
 * leave it alone, its state.  session.c: one connection: OPEN to Established, timers, errors; the part of RFC 4271 8 that
 * has one instance per connection.  collision.c: which of two connections stays.  receive.c: UPDATEs in.  advertise.c:
 * what the neighbors are told.  restart.c: graceful restart, both sides.
 *
 * A callback may remove the neighbor whose bytes are being looked at.  So conns and neighbors that are gone are freed when
 * the outermost call into the speaker ends (speaker_enter, speaker_leave), and who goes on after a callback asks whether
 * the session still has its conn (session_is, below).
 */
#ifndef ISTHMUS_BGP_STATE_H
#define ISTHMUS_BGP_STATE_H

#include <sys/queue.h>

#include "bgp/adjout.h"
#include "bgp/conn.h"
#include "bgp/open.h"
#include "bgp/speaker.h"
#include "lib/hmap.h"
#include "lib/timer.h"

#define N_SESSIONS 2 /* one each way; more connections of one neighbor never make sense at a time */

#define OPEN_HOLD_MS 240000u    /* RFC 4271 8.2.2: a large value while the OPEN is awaited, 4 minutes suggested */
#define SEND_HOLD_MIN_MS 480000u /* RFC 9687 4 */
#define STABLE_MS 60000u        /* a session that lasted so long was none that flaps */
#define YOUNG_MS 5000u          /* no machine restarts and is back within this; see collision.c */

struct session {
	uint64_t handle; /* 0 = this slot is free */
	struct conn *conn;
	struct neighbor *neighbor;
	enum neighbor_state state; /* from NEIGHBOR_CONNECT on */
	bool outgoing;
	struct timer hold, keepalive, send_hold;
	/* agreed on, from NEIGHBOR_OPENCONFIRM on */
	struct open open; /* the neighbor's */
	struct update_session update;
	uint32_t hold_ms, send_hold_ms; /* 0 = no hold timer */
	uint64_t established_ms;
};

struct neighbor {
	struct neighbor_config config; /* hmap key: config.remote */
	struct speaker *speaker;
	struct session sessions[N_SESSIONS];
	struct timer retry;   /* connect, or end the time of being left alone */
	struct timer restart; /* stale routes go */
	bool held;            /* being left alone: Idle, refuses connections */
	bool removed;         /* out of the speaker's table, to be freed */
	unsigned flaps, prefix_flaps; /* in a row */
	uint64_t prefix_hold_ms; /* the last one */
	uint16_t restart_s;      /* the neighbor's */
	uint32_t eor_in;      /* families whose End-of-RIB came in this session */
	size_t n_stale[ROUTE_FAMILY_MAX]; /* of n_received, when the session was lost: so many may still be stale */
	uint32_t resolved;    /* families for which nobody has to wait for this neighbor after a restart */
	struct grant *grant;  /* of what it is told; NULL = everything.  config.export_tenants points into it */
	struct adjout_member *members[ROUTE_FAMILY_MAX]; /* NULL: there is no session, or none of this family */
	struct attrs_account *account; /* of the attributes that came from it, in whatever session */
	struct neighbor_stats stats;
	bool dirty;   /* has messages that were not handed to the transport */
	bool starved; /* missed one for want of memory */
	TAILQ_ENTRY(neighbor) dirty_link;
	SLIST_ENTRY(neighbor) gone_link;
};

struct speaker {
	struct speaker_config config;
	struct attrs *table;
	const struct speaker_ops *ops;
	void *arg;
	uint64_t now_ms;
	struct hmap neighbors; /* struct neighbor by config.remote */
	struct hmap sessions;  /* struct session by handle */
	struct timers timers;
	struct timer deferral;
	struct adjout *out[ROUTE_FAMILY_MAX];
	uint32_t synced, ready; /* families */
	bool stopped;
	bool begun;            /* the neighbors that it was made with are known */
	unsigned depth; /* of calls */
	TAILQ_HEAD(neighbor_dirty, neighbor) dirty;
	struct conn *gone_conns;
	SLIST_HEAD(neighbor_gone, neighbor) gone_neighbors;
};

enum ending_flag { /* what follows from the way a session ended; bits */
	ENDING_KEEP = 1 << 0,      /* a graceful restart may keep the routes */
	ENDING_BLAME = 1 << 1,     /* counts as a flap */
	ENDING_PREFIXES = 1 << 2,  /* there were too many */
	ENDING_PERMANENT = 1 << 3, /* its causes are not gone with the next session */
	ENDING_CLOSED = 1 << 4,    /* the transport is gone already */
	ENDING_COLLISION = 1 << 5, /* another connection of the neighbor goes on in its place */
};

/* ---- speaker.c ---- */

void speaker_bury_conn(struct speaker *s, struct conn *conn);
void speaker_refuse(struct speaker *s, uint64_t handle); /* a transport that nobody takes: CEASE 5 */
uint32_t speaker_random(struct speaker *s, uint32_t below);

/* ---- neighbor.c ---- */

int neighbor_new(struct speaker *s, const struct neighbor_config *config, struct neighbor **out);
void neighbor_free(struct neighbor *n); /* without a session */
bool neighbor_is_external(const struct neighbor *n);
bool neighbor_imports(const struct neighbor *n);
void neighbor_start(struct neighbor *n); /* connects, or waits to be connected to */
int neighbor_reconfigure(struct neighbor *n, const struct neighbor_config *config); /* 0, -ENOMEM: nothing changed */
void neighbor_end(struct neighbor *n, enum notification_cease subcode, const char *text); /* all sessions, for good */
void neighbor_reset(struct neighbor *n, const char *text);
void neighbor_reconnect(struct neighbor *n, const char *text);
void neighbor_stop(struct neighbor *n, bool planned, const char *text); /* the speaker is stopped already */
void neighbor_accept(struct neighbor *n, uint64_t handle);
void neighbor_connected(struct neighbor *n, struct session *session);
void neighbor_connect_failed(struct neighbor *n, struct session *session, const char *reason);
/* Says so when the state is another than before; `reason` is for the log. */
void neighbor_update_state(struct neighbor *n, const char *reason);
__attribute__((format(printf, 2, 3))) void neighbor_notice(struct neighbor *n, const char *format, ...);
/* Ends the session; its routes, the next attempt and the state follow.  `flags`: enum ending_flag. */
void neighbor_drop(struct neighbor *n, struct session *session, unsigned flags, const char *text);
struct session *neighbor_established(struct neighbor *n); /* or NULL */

/* ---- session.c ---- */

int session_add_timers(struct session *session); /* -ENOMEM: remove them all the same */
void session_remove_timers(struct session *session);
int session_begin(struct session *session, uint64_t handle, bool outgoing); /* -ENOMEM */
void session_end(struct session *session, bool close); /* the slot is free after it */
static inline bool session_is(const struct session *session, const struct conn *conn)
{
	return session->conn == conn; /* a conn is not freed while anybody could compare with it */
}
void session_send_open(struct session *session);
void session_on_bytes(struct session *session, const uint8_t *data, size_t size);
void session_flush(struct session *session);
int session_queue(struct session *session, const uint8_t *message, size_t size); /* as conn_queue; session_flush follows */
int session_refresh(struct session *session, enum route_family f);
/*
 * Sends a NOTIFICATION where the stream is at a message, and ends the session.  ENDING_PERMANENT: routes are not kept,
 * and a neighbor that would keep ours is told so by a hard reset (RFC 8538 3).
 */
void session_fail(struct session *session, const struct notification *error, unsigned flags);
void session_cease(struct session *session, enum notification_cease subcode, const char *text, unsigned flags);

/* ---- collision.c ---- */

/* An OPEN has come.  False: this session lost and has ended. */
bool collision_resolve(struct session *session);
void collision_established(struct session *session); /* ends those that cannot win any more */
/* Is there another connection, on which the neighbor may have had our OPEN? */
bool collision_is_possible(const struct session *session);

/* ---- receive.c ---- */

void receive_update(struct session *session, struct reader body);
void receive_check_limits(struct neighbor *n); /* they may have changed */

/* ---- advertise.c ---- */

extern const struct adjout_ops advertise_ops;
void advertise_begin(struct neighbor *n, struct session *session);
void advertise_end(struct neighbor *n);
void advertise_end_family(struct neighbor *n, enum route_family f);
void advertise_granted(struct neighbor *n); /* n->grant is another */
void advertise_wake(struct neighbor *n);
void advertise_again(struct neighbor *n, enum route_family f); /* ROUTE-REFRESH */
void advertise_synced(struct speaker *s, enum route_family f);
bool advertise_run(struct speaker *s); /* true: there is more */
bool advertise_has_work(const struct speaker *s);

/* ---- restart.c ---- */

struct capabilities restart_capabilities(const struct neighbor *n); /* the part of graceful restart */
void restart_on_established(struct neighbor *n, struct session *session);
void restart_on_lost(struct neighbor *n, struct session *session, unsigned flags); /* enum ending_flag */
void restart_on_end_of_rib(struct neighbor *n, enum route_family f);
void restart_resolve(struct neighbor *n, enum route_family f); /* nobody has to wait for it any more */
void restart_forget(struct neighbor *n, enum route_family f); /* all its routes of the family go */
void restart_check_ready(struct speaker *s); /* after a restart: has everybody told us? */
void restart_on_timer(void *arg);            /* of the neighbor: stale routes go */
void restart_on_deferral(void *arg);         /* of the speaker */

#endif
