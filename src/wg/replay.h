/* SPDX-License-Identifier: Apache-2.0 */
/*
 * replay.h - has this counter been seen?  A window of 8,128 behind the highest (RFC 6479: a ring of words, of which
 * one is always in the making, so that moving on clears words and never shifts bits).
 *
 * Asked only after the packet was authenticated, or a forgery could move the window.  A value, zero is empty.  One
 * thread.
 */
#ifndef ISTHMUS_WG_REPLAY_H
#define ISTHMUS_WG_REPLAY_H

#include <stdbool.h>
#include <stdint.h>

#define REPLAY_BITS 8192
#define REPLAY_WINDOW (REPLAY_BITS - 64)

struct replay {
	uint64_t next; /* the highest counter seen, and one; 0 = none */
	uint64_t words[REPLAY_BITS / 64];
};

/* Marks it and returns true, when it is new and not behind the window. */
bool replay_take(struct replay *r, uint64_t counter);

#endif
