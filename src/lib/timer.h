/* SPDX-License-Identifier: Apache-2.0 */
/*
 * timer.h - deadlines under a clock that somebody else reads.
 *
 * A heap of timers ordered by time: setting and clearing one is O(log n), asking for the next O(1), so that thousands
 * of hold timers cost nothing while they do not fire.  timers_run calls what is due, the earliest first; a callback may
 * set, clear and remove any timer, its own included.
 *
 * Call order: timer_add (takes the memory, so that timer_set cannot fail), timer_set and timer_clear at will,
 * timer_remove before the timer's memory goes.  The timer's memory is the caller's.  One thread.
 */
#ifndef ISTHMUS_LIB_TIMER_H
#define ISTHMUS_LIB_TIMER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TIMER_NEVER UINT64_MAX

struct timer {
	uint64_t at_ms;
	size_t place; /* in the heap, from 1; 0 = not armed */
	void (*fn)(void *arg);
	void *arg;
};

struct timers {
	struct timer **heap;
	size_t length, capacity, n_added;
};

void timers_fini(struct timers *t); /* all timers were removed */

int timer_add(struct timers *t, struct timer *timer, void (*fn)(void *arg), void *arg); /* 0 or -ENOMEM */
void timer_remove(struct timers *t, struct timer *timer); /* one that was never added is allowed */

void timer_set(struct timers *t, struct timer *timer, uint64_t at_ms);
void timer_clear(struct timers *t, struct timer *timer);
static inline bool timer_is_armed(const struct timer *timer)
{
	return timer->place > 0;
}

uint64_t timers_next_ms(const struct timers *t); /* TIMER_NEVER when none is armed */
/* What is due at now_ms; at most as many calls as timers were armed, so that no callback can hold it up for ever. */
void timers_run(struct timers *t, uint64_t now_ms);

#endif
