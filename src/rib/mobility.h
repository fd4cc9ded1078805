/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mobility.h - MACs that move: sequence numbers of what this node announces, and MACs that move too often.
 *
 * A MAC that is only here, or only elsewhere, needs nothing of this: its announcement carries sequence 0, and what
 * others announce is compared by decide.  State is made when a local port and a remote route of a MAC meet, and ends when
 * the MAC has not moved for a window's time and what this node says of it needs no sequence.
 *
 * A local port is the truth of this node: frames to it are delivered to it whatever others say, and no withdrawal by
 * anybody can remove it.  What is decided here is what this node says to others (RFC 7432 15): it announces with one more
 * than the highest sequence it has seen when the port appears, is silent once somebody else has announced a higher one,
 * and speaks again when the MAC appears here again or nobody else has it any more.
 *
 * Sequences do not wrap: RFC 7432 7.7 knows no order across the end.  At 2^32 - 1 the next one is the same, and then
 * the lower address of the node decides, as for all equal sequences (RFC 7432 15).
 *
 * Duplicates (RFC 7432 15.1): the side that takes the MAC from the other in the fifth move within the window is frozen: it
 * is this node's port, which is then not announced, or the remote one, whose routes then change nothing of what this node
 * says while the port is here.  It ends by a command, after half an hour, or when the other side has gone; is that one back
 * within a window's time, it is the one that is frozen now, at once.
 *
 * Call order: mobility_init; mobility_local when a MAC appears at a local port (again too) or leaves it, mobility_remote
 * when the best remote route or the highest sequence is another, or they are gone, each with the whole present view of
 * both sides; mobility_expire when it said.  Each answers with a verdict, which replaces the last one.  Times are in milliseconds of a clock
 * that never goes back.  Pure.  One thread.
 */
#ifndef ISTHMUS_RIB_MOBILITY_H
#define ISTHMUS_RIB_MOBILITY_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "lib/addr.h"
#include "lib/hmap.h"

#define MOBILITY_MOVES 5u          /* RFC 7432 15.1: N ... */
#define MOBILITY_WINDOW_MS 180000u /* ... and M */
#define MOBILITY_FREEZE_MS 1800000u

struct mobility_key { /* no padding: hashed as bytes */
	uint32_t vni;
	struct mac mac;
	uint8_t zero[2];
};

struct mobility_local {
	bool present;
	bool sticky;       /* RFC 7432 15.2: it never moves */
	struct addr node;  /* this node's own underlay address, for ties */
};

struct mobility_remote {
	bool present;
	bool sticky;
	uint32_t sequence; /* 0 when there was no MAC Mobility community, RFC 7432 15 */
	uint32_t highest;  /* of all remote routes: the best has a lower one when it is sticky, or others are out of reach */
	struct addr node;  /* next hop */
};

enum mobility_alert {
	MOBILITY_ALERT_NONE,
	MOBILITY_ALERT_DUPLICATE,       /* it was frozen just now */
	MOBILITY_ALERT_STICKY_LOCAL,    /* somebody else announces a MAC that is sticky here */
	MOBILITY_ALERT_STICKY_REMOTE,   /* a MAC that is sticky elsewhere appeared here */
	MOBILITY_ALERT_MAX
};

const char *mobility_alert_name(enum mobility_alert a); /* "duplicate" */

struct mobility_verdict {
	bool announce;     /* this node announces the MAC */
	uint32_t sequence; /* with that; 0 = no MAC Mobility community is needed, unless sticky */
	enum mobility_alert alert;
};

struct mobility {
	struct hmap by_key;
	TAILQ_HEAD(mobility_list, moving) moved, frozen; /* by time, the earliest first */
};

void mobility_init(struct mobility *m);
void mobility_fini(struct mobility *m);

/* 0, or -ENOMEM: nothing has changed. */
int mobility_local(struct mobility *m, const struct mobility_key *key, const struct mobility_local *local,
		   const struct mobility_remote *remote, uint64_t now_ms, struct mobility_verdict *out);
int mobility_remote(struct mobility *m, const struct mobility_key *key, const struct mobility_local *local,
		    const struct mobility_remote *remote, uint64_t now_ms, struct mobility_verdict *out);

/*
 * Forget what has been quiet, and free what was frozen long enough: fn is called for each of the latter, and the caller
 * calls mobility_local for it (not inside fn).  Returns when to call again, UINT64_MAX = no need.
 */
uint64_t mobility_expire(struct mobility *m, uint64_t now_ms, void (*fn)(void *arg, const struct mobility_key *key),
			 void *arg);

uint64_t mobility_due(const struct mobility *m); /* when to call mobility_expire, UINT64_MAX = no need */
bool mobility_knows(const struct mobility *m, const struct mobility_key *key); /* it has state, so events of it count */

/* The same for one and at once, by an operator's command; false when it was not frozen. */
bool mobility_free(struct mobility *m, const struct mobility_key *key, uint64_t now_ms);

/* For the command line: for (cursor = 0; mobility_next(m, &cursor, &view);) */
struct mobility_view {
	struct mobility_key key;
	uint32_t sequence; /* the highest seen, ours too */
	uint32_t moves;    /* in the window */
	bool here;         /* this node's port has it, not somebody else */
	bool frozen;
	uint64_t frozen_until_ms;
};
bool mobility_next(const struct mobility *m, size_t *cursor, struct mobility_view *out);

#endif
