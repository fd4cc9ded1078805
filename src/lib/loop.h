/* SPDX-License-Identifier: Apache-2.0 */
/*
 * loop.h - the control thread's epoll loop; it owns the clock.
 *
 * loop_new, add sources and timers, loop_run until loop_stop, loop_free.  Callbacks run on the thread that calls
 * loop_run; they may add and remove any source, themselves included.  Time is CLOCK_BOOTTIME in milliseconds; a test
 * replaces it with loop_set_clock and drives loop_step.  Sources are owned by the loop from add to remove; the
 * descriptor stays the caller's.  In a turn first every descriptor that is ready is served, and then the timers that are
 * due.
 */
#ifndef ISTHMUS_LOOP_H
#define ISTHMUS_LOOP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>

struct loop;
struct loop_io;
struct loop_timer;

typedef void (*loop_io_fn)(void *arg, uint32_t events);
typedef void (*loop_timer_fn)(void *arg);
typedef void (*loop_signal_fn)(void *arg, int signo);

int loop_new(struct loop **out);
void loop_free(struct loop *loop); /* frees remaining sources and timers */

uint64_t loop_now_ms(const struct loop *loop); /* of this turn */
void loop_set_clock(struct loop *loop, uint64_t (*now_ms)(void *arg), void *arg);

int loop_io_add(struct loop *loop, int fd, uint32_t events, loop_io_fn fn, void *arg, struct loop_io **out);
void loop_io_modify(struct loop *loop, struct loop_io *io, uint32_t events); /* waits for these instead */
void loop_io_remove(struct loop *loop, struct loop_io *io); /* NULL allowed */

/* One shot: fires once at or after `at_ms`; arm again with loop_timer_set; at_ms 0 = disarmed.  Armed by a timer's
 * callback for a time that has come, it fires in the next millisecond. */
int loop_timer_add(struct loop *loop, loop_timer_fn fn, void *arg, struct loop_timer **out);
void loop_timer_set(struct loop *loop, struct loop_timer *timer, uint64_t at_ms);
void loop_timer_remove(struct loop *loop, struct loop_timer *timer); /* NULL allowed */

/* Blocks the signals for the process and delivers them as events. `signals` ends with 0. */
int loop_signals_add(struct loop *loop, const int *signals, loop_signal_fn fn, void *arg);

int loop_step(struct loop *loop, int timeout_ms); /* one turn; -1 = until something happens */
int loop_run(struct loop *loop);                  /* until loop_stop; the code given there, or -errno */
void loop_stop(struct loop *loop, int code);

#endif
