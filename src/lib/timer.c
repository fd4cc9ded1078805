/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/timer.h"

#include <errno.h>
#include <stdlib.h>

static void put(struct timers *t, size_t place, struct timer *timer)
{
	t->heap[place - 1] = timer;
	timer->place = place;
}

static void rise(struct timers *t, size_t place, struct timer *timer)
{
	while (place > 1 && t->heap[place / 2 - 1]->at_ms > timer->at_ms) {
		put(t, place, t->heap[place / 2 - 1]);
		place /= 2;
	}
	put(t, place, timer);
}

static void sink(struct timers *t, size_t place, struct timer *timer)
{
	for (size_t child; (child = 2 * place) <= t->length; place = child) {
		if (child < t->length && t->heap[child]->at_ms < t->heap[child - 1]->at_ms)
			child++;
		if (t->heap[child - 1]->at_ms >= timer->at_ms)
			break;
		put(t, place, t->heap[child - 1]);
	}
	put(t, place, timer);
}

void timers_fini(struct timers *t)
{
	free(t->heap);
	*t = (struct timers){0};
}

int timer_add(struct timers *t, struct timer *timer, void (*fn)(void *arg), void *arg)
{
	if (t->n_added == t->capacity) {
		size_t capacity = t->capacity ? 2 * t->capacity : 16;
		struct timer **heap = reallocarray(t->heap, capacity, sizeof(struct timer *));

		if (!heap)
			return -ENOMEM;
		t->heap = heap;
		t->capacity = capacity;
	}
	t->n_added++;
	*timer = (struct timer){.fn = fn, .arg = arg};
	return 0;
}

void timer_remove(struct timers *t, struct timer *timer)
{
	if (!timer->fn)
		return;
	timer_clear(t, timer);
	t->n_added--;
	timer->fn = NULL;
}

void timer_set(struct timers *t, struct timer *timer, uint64_t at_ms)
{
	bool later = timer->place > 0 && at_ms > timer->at_ms;

	timer->at_ms = at_ms;
	if (later)
		sink(t, timer->place, timer);
	else
		rise(t, timer->place > 0 ? timer->place : ++t->length, timer);
}

void timer_clear(struct timers *t, struct timer *timer)
{
	struct timer *last;
	size_t place = timer->place;

	if (place == 0)
		return;
	timer->place = 0;
	last = t->heap[--t->length];
	if (last == timer)
		return;
	if (place > 1 && t->heap[place / 2 - 1]->at_ms > last->at_ms)
		rise(t, place, last);
	else
		sink(t, place, last);
}

uint64_t timers_next_ms(const struct timers *t)
{
	return t->length > 0 ? t->heap[0]->at_ms : TIMER_NEVER;
}

void timers_run(struct timers *t, uint64_t now_ms)
{
	for (size_t n = t->length; n > 0 && t->length > 0 && t->heap[0]->at_ms <= now_ms; n--) {
		struct timer *timer = t->heap[0];

		timer_clear(t, timer);
		timer->fn(timer->arg);
	}
}
