/* SPDX-License-Identifier: Apache-2.0 */
/*
 * probe.h - what a path to another node is like: round trip, loss both ways, and the largest datagram that it carries
 * (RFC 8899, DPLPMTUD), measured by messages inside the session.
 *
 *     probe   0x10 | step | 0 0 | round 4 | zeroes, up to the size that is tried               8 bytes and more
 *     answer  0x11 | step | 0 0 | round 4 | held 4 | loss 4 | next 8 | received 8              32
 *
 * A round is a small probe (step 0) and perhaps some of exact sizes, all sent at once and waited for together.  It comes
 * every PROBE_INTERVAL_MS while data flows, and when a session begins; an idle session is left alone.  An answer says for
 * how long it was held (microseconds), how many numbers of the session have been seen and messages received, and which
 * part of what the answerer sends is lost, in millionths.
 *
 * What an answer does: of the round that is waited for alone, and each once.  A round that brings none says nothing of
 * sizes: the path, or the node, is down.  Who has never answered is of an older version, and is asked no more until the
 * next session.
 *
 * Sizes are of IP datagrams and so that the payload is whole units of FWD_SECURE_UNIT: more makes no difference to
 * what is carried.  The RFC's names: PLPMTU is `low`, MAX_PLPMTU what probe_path was told, PROBE_COUNT `count`.
 *
 * Pure: the owner sends what probe_run says and calls it again at due_ms.  One thread.
 */
#ifndef ISTHMUS_WG_PROBE_H
#define ISTHMUS_WG_PROBE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PROBE_INTERVAL_MS 10000 /* CONFIRMATION_TIMER, too */
#define PROBE_TIMER_MS 1000
#define PROBE_RAISE_MS 600000
#define PROBE_MAX_PROBES 3
#define PROBE_BASE_PLPMTU 1280
#define PROBE_MIN_PLPMTU 576

#define PROBE_STEPS 16 /* of a round at most; the first is the small one */
#define PROBE_SIZE 8   /* of the small one */
#define PROBE_ANSWER_SIZE 32
#define PROBE_LOSS_UNKNOWN UINT32_MAX
#define PROBE_LOSS_LEAST 20 /* messages; a part of fewer says nothing */

enum probe_kind { PROBE_ASK, PROBE_ANSWER, PROBE_KIND_MAX };

enum probe_state { /* RFC 8899 5.2 */
	PROBE_DISABLED,  /* nobody has answered yet, or it is not to be measured */
	PROBE_BASE,      /* is the base carried, and with luck what is hoped for? */
	PROBE_SEARCHING,
	PROBE_COMPLETE,
	PROBE_ERROR,     /* not even the base is */
	PROBE_STATE_MAX
};

struct probe_message {
	enum probe_kind kind;
	uint8_t step;
	uint32_t round;
	uint32_t held_us, loss; /* from here: of an answer */
	uint64_t next, received;
};

struct probe_loss { /* of what we send: by the numbers that the other side has seen */
	uint32_t session;
	uint32_t excused; /* probes that were too large for the path */
	uint64_t next, received; /* as it said last */
	uint64_t expected, lost; /* of late: halved every PROBE_INTERVAL_MS */
	uint64_t aged_ms;
};

struct probe {
	uint64_t due_ms;   /* TIMER_NEVER: not before something is told */
	uint64_t begun_us; /* the last round */
	uint64_t raise_ms;
	uint32_t round, session;
	uint32_t rtt_us, rtt_deviation_us; /* RFC 6298; 0 = not known */
	struct probe_loss out;
	uint32_t loss_in; /* as the other side says, or PROBE_LOSS_UNKNOWN */
	uint16_t max, goal, low, high; /* told; hoped for; carried; not carried */
	uint16_t limit;                /* see probe_limit */
	uint16_t asked, answered;      /* steps of this round, as bits */
	uint16_t passed;               /* of these sizes, in any round */
	uint8_t state, count, silent;  /* enum probe_state; rounds with these sizes; rounds without an answer */
	bool v6, begun, waiting, heard, mute;
};

void probe_init(struct probe *p);
/* What the path may carry at most, 0 = it is not to be measured; and so far as it is another path, what was found ends. */
void probe_path(struct probe *p, uint16_t mtu, bool v6, bool moved, uint64_t now_us);
void probe_on_session(struct probe *p, uint64_t now_us); /* one begins */
void probe_on_session_ended(struct probe *p);            /* and there is no other */
void probe_on_data(struct probe *p, uint64_t now_us);    /* flowed, one way or the other */

/*
 * At due_ms: ends a round, begins another.  The sizes to be sent now, in this order, each with its step; 0 = the small
 * one.  Returns how many; after them the owner says which session they went by.
 */
struct probe_order {
	uint8_t step;
	uint16_t size;
};
size_t probe_run(struct probe *p, uint64_t now_us, struct probe_order out[static PROBE_STEPS]);
void probe_sent(struct probe *p, uint32_t session);
void probe_on_answer(struct probe *p, const struct probe_message *m, uint64_t now_us);

/* The largest datagram that is carried, where that is less than was told; else 0. */
static inline uint16_t probe_limit(const struct probe *p)
{
	return p->limit;
}
uint16_t probe_mtu(const struct probe *p); /* that was confirmed; 0 = none was yet */
uint32_t probe_loss_out(const struct probe *p); /* millionths, or PROBE_LOSS_UNKNOWN */

bool probe_is(const uint8_t *payload); /* by its first byte */
bool probe_read(const uint8_t *payload, size_t size, struct probe_message *out); /* false: none that is known */
void probe_write_ask(const struct probe *p, uint8_t step, uint8_t out[static PROBE_SIZE]);
void probe_write_answer(const struct probe_message *m, uint8_t out[static PROBE_ANSWER_SIZE]);

#endif
