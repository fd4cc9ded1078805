/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/loop.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <time.h>

#include "lib/cleanup.h"

#define EVENTS_AT_ONCE 64

struct loop_io {
	struct loop_io *previous, *next; /* in loop->ios or, once removed, in loop->dead */
	int fd;
	bool removed; /* an event of this turn may still point here: freed when the turn is over */
	loop_io_fn fn;
	void *arg;
};

#define NOT_ARMED SIZE_MAX

struct loop_timer {
	struct loop_timer *previous, *next; /* in loop->timers */
	uint64_t at_ms;
	size_t position; /* in the heap, or NOT_ARMED */
	loop_timer_fn fn;
	void *arg;
};

struct loop_signals {
	struct loop_signals *next;
	struct loop_io *io;
	int fd;
	loop_signal_fn fn;
	void *arg;
};

struct loop {
	int epoll_fd;
	uint64_t now_ms;
	uint64_t (*clock)(void *arg);
	void *clock_arg;
	bool stopped, firing;
	int code;
	struct loop_io *ios, *dead;
	struct loop_timer *timers;
	struct loop_signals *signals;
	struct loop_timer **heap; /* armed timers, earliest first */
	size_t n_heap, heap_size; /* used; allocated, never less than the number of timers */
	size_t n_timers, n_ios;
};

static uint64_t boottime_ms(void *arg)
{
	struct timespec now;

	clock_gettime(CLOCK_BOOTTIME, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

int loop_new(struct loop **out)
{
	struct loop *loop = calloc(1, sizeof(*loop));

	if (!loop)
		return -ENOMEM;
	loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (loop->epoll_fd < 0) {
		int r = -errno;

		free(loop);
		return r;
	}
	loop_set_clock(loop, boottime_ms, NULL);
	*out = loop;
	return 0;
}

static void free_ios(struct loop_io *io)
{
	while (io) {
		struct loop_io *next = io->next;

		free(io);
		io = next;
	}
}

void loop_free(struct loop *loop)
{
	if (!loop)
		return;
	while (loop->signals) {
		struct loop_signals *s = loop->signals;

		loop->signals = s->next;
		close(s->fd);
		free(s);
	}
	free_ios(loop->ios);
	free_ios(loop->dead);
	while (loop->timers) {
		struct loop_timer *t = loop->timers;

		loop->timers = t->next;
		free(t);
	}
	free(loop->heap);
	close(loop->epoll_fd);
	free(loop);
}

uint64_t loop_now_ms(const struct loop *loop)
{
	return loop->now_ms;
}

void loop_set_clock(struct loop *loop, uint64_t (*now_ms)(void *arg), void *arg)
{
	loop->clock = now_ms;
	loop->clock_arg = arg;
	loop->now_ms = now_ms(arg);
}

/* ---- descriptors ---- */

int loop_io_add(struct loop *loop, int fd, uint32_t events, loop_io_fn fn, void *arg, struct loop_io **out)
{
	struct loop_io *io = calloc(1, sizeof(*io));
	struct epoll_event event = {.events = events, .data.ptr = io};

	if (!io)
		return -ENOMEM;
	*io = (struct loop_io){.next = loop->ios, .fd = fd, .fn = fn, .arg = arg};
	if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0) {
		int r = -errno;

		free(io);
		return r;
	}
	if (io->next)
		io->next->previous = io;
	loop->ios = io;
	loop->n_ios++;
	*out = io;
	return 0;
}

void loop_io_modify(struct loop *loop, struct loop_io *io, uint32_t events)
{
	struct epoll_event event = {.events = events, .data.ptr = io};
	int r = epoll_ctl(loop->epoll_fd, EPOLL_CTL_MOD, io->fd, &event);

	assert(r == 0); /* it takes no memory, and the descriptor is there as long as its source is */
}

void loop_io_remove(struct loop *loop, struct loop_io *io)
{
	if (!io)
		return;
	/* Fails when the caller closed it first: gone as well. */
	epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, io->fd, NULL);
	if (io->previous)
		io->previous->next = io->next;
	else
		loop->ios = io->next;
	if (io->next)
		io->next->previous = io->previous;
	loop->n_ios--;
	io->removed = true;
	io->next = loop->dead;
	loop->dead = io;
}

/* ---- timers: a binary heap ---- */

static void heap_set(struct loop *loop, size_t position, struct loop_timer *t)
{
	loop->heap[position] = t;
	t->position = position;
}

static void heap_up(struct loop *loop, struct loop_timer *t)
{
	size_t i = t->position;

	for (; i > 0 && loop->heap[(i - 1) / 2]->at_ms > t->at_ms; i = (i - 1) / 2)
		heap_set(loop, i, loop->heap[(i - 1) / 2]);
	heap_set(loop, i, t);
}

static void heap_down(struct loop *loop, struct loop_timer *t)
{
	size_t i = t->position;

	for (size_t child; (child = 2 * i + 1) < loop->n_heap; i = child) {
		if (child + 1 < loop->n_heap && loop->heap[child + 1]->at_ms < loop->heap[child]->at_ms)
			child++;
		if (loop->heap[child]->at_ms >= t->at_ms)
			break;
		heap_set(loop, i, loop->heap[child]);
	}
	heap_set(loop, i, t);
}

static void heap_remove(struct loop *loop, struct loop_timer *t)
{
	struct loop_timer *last;

	if (t->position == NOT_ARMED)
		return;
	last = loop->heap[--loop->n_heap];
	if (last != t) {
		heap_set(loop, t->position, last);
		heap_up(loop, last);
		heap_down(loop, last);
	}
	t->position = NOT_ARMED;
}

int loop_timer_add(struct loop *loop, loop_timer_fn fn, void *arg, struct loop_timer **out)
{
	struct loop_timer *t;

	/* Room in the heap is made here, so that arming cannot fail. */
	if (loop->n_timers == loop->heap_size) {
		size_t size = loop->heap_size ? 2 * loop->heap_size : 16;
		struct loop_timer **heap = reallocarray(loop->heap, size, sizeof(struct loop_timer *));

		if (!heap)
			return -ENOMEM;
		loop->heap = heap;
		loop->heap_size = size;
	}
	t = calloc(1, sizeof(*t));
	if (!t)
		return -ENOMEM;
	*t = (struct loop_timer){.next = loop->timers, .position = NOT_ARMED, .fn = fn, .arg = arg};
	if (t->next)
		t->next->previous = t;
	loop->timers = t;
	loop->n_timers++;
	*out = t;
	return 0;
}

void loop_timer_set(struct loop *loop, struct loop_timer *timer, uint64_t at_ms)
{
	heap_remove(loop, timer);
	if (at_ms == 0)
		return;
	/* Armed for "now" by a callback: in the next millisecond, or timers could keep descriptors from their turn. */
	timer->at_ms = loop->firing && at_ms <= loop->now_ms ? loop->now_ms + 1 : at_ms;
	timer->position = loop->n_heap++;
	loop->heap[timer->position] = timer;
	heap_up(loop, timer);
}

void loop_timer_remove(struct loop *loop, struct loop_timer *timer)
{
	if (!timer)
		return;
	loop_timer_set(loop, timer, 0);
	if (timer->previous)
		timer->previous->next = timer->next;
	else
		loop->timers = timer->next;
	if (timer->next)
		timer->next->previous = timer->previous;
	loop->n_timers--;
	free(timer);
}

static void fire_timers(struct loop *loop)
{
	loop->firing = true;
	while (loop->n_heap > 0 && loop->heap[0]->at_ms <= loop->now_ms && !loop->stopped) {
		struct loop_timer *t = loop->heap[0];

		heap_remove(loop, t);
		t->fn(t->arg); /* may free t */
	}
	loop->firing = false;
}

/* ---- signals ---- */

static void signals_on_readable(void *arg, uint32_t events)
{
	struct loop_signals *s = arg;
	struct signalfd_siginfo info;

	while (read(s->fd, &info, sizeof(info)) == sizeof(info))
		s->fn(s->arg, (int)info.ssi_signo);
}

int loop_signals_add(struct loop *loop, const int *signals, loop_signal_fn fn, void *arg)
{
	_cleanup_(free) struct loop_signals *s = calloc(1, sizeof(*s));
	_cleanup_(fd) int fd = -1;
	sigset_t set;
	int r;

	if (!s)
		return -ENOMEM;
	sigemptyset(&set);
	for (; *signals; signals++)
		sigaddset(&set, *signals);
	fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	if (fd < 0)
		return -errno;
	*s = (struct loop_signals){.next = loop->signals, .fd = fd, .fn = fn, .arg = arg};
	r = loop_io_add(loop, fd, EPOLLIN, signals_on_readable, s, &s->io);
	if (r < 0)
		return r;
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0) {
		r = -errno;
		loop_io_remove(loop, s->io);
		return r;
	}
	TAKE_FD(fd);
	loop->signals = TAKE_PTR(s);
	return 0;
}

/* ---- turning ---- */

static int wait_ms(struct loop *loop, int timeout_ms)
{
	uint64_t now_ms, left_ms;

	if (loop->n_heap == 0)
		return timeout_ms;
	now_ms = loop->clock(loop->clock_arg);
	left_ms = loop->heap[0]->at_ms > now_ms ? loop->heap[0]->at_ms - now_ms : 0;
	if (timeout_ms >= 0 && left_ms > (uint64_t)timeout_ms)
		return timeout_ms;
	return left_ms > INT_MAX ? INT_MAX : (int)left_ms;
}

/* As many events as are there, up to a number; how many they were. */
static int serve(struct loop *loop, int timeout_ms)
{
	struct epoll_event events[EVENTS_AT_ONCE];
	int n = epoll_wait(loop->epoll_fd, events, EVENTS_AT_ONCE, timeout_ms);

	/* Stopped, and continued: what has come meanwhile is heard before a timer says that nothing did. */
	if (n < 0 && errno == EINTR)
		n = epoll_wait(loop->epoll_fd, events, EVENTS_AT_ONCE, 0);
	if (n < 0)
		return errno == EINTR ? 0 : -errno;
	loop->now_ms = loop->clock(loop->clock_arg);
	for (int i = 0; i < n && !loop->stopped; i++) {
		struct loop_io *io = events[i].data.ptr;

		if (!io->removed)
			io->fn(io->arg, events[i].events);
	}
	return n;
}

int loop_step(struct loop *loop, int timeout_ms)
{
	int n = serve(loop, wait_ms(loop, timeout_ms));

	/* The kernel takes those that have been served last, so that in so many rounds everybody has had his turn. */
	for (size_t rounds = loop->n_ios / EVENTS_AT_ONCE; n == EVENTS_AT_ONCE && rounds > 0; rounds--)
		n = serve(loop, 0);
	if (n < 0)
		return n;
	if (n == 0)
		loop->now_ms = loop->clock(loop->clock_arg);
	fire_timers(loop);
	free_ios(TAKE_PTR(loop->dead));
	return 0;
}

int loop_run(struct loop *loop)
{
	int r = 0;

	while (!loop->stopped && r >= 0)
		r = loop_step(loop, -1);
	loop->stopped = false;
	return r < 0 ? r : loop->code;
}

void loop_stop(struct loop *loop, int code)
{
	loop->stopped = true;
	loop->code = code;
}
