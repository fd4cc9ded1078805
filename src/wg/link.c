/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <sched.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "wg/plane.h"

uint64_t plane_now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_BOOTTIME, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

void plane_signal(int fd)
{
	uint64_t one = 1;

	while (write(fd, &one, sizeof(one)) < 0 && errno == EINTR)
		;
}

void plane_wake(const struct plane *p)
{
	plane_signal(p->wake);
}

static void push(struct link *l)
{
	struct plane *p = l->plane;
	struct link *first = __atomic_load_n(&p->noted, __ATOMIC_RELAXED);

	do
		__atomic_store_n(&l->next_noted, first, __ATOMIC_RELAXED);
	while (!__atomic_compare_exchange_n(&p->noted, &first, l, true, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED));
}

void link_note(struct link *l, unsigned notes)
{
	unsigned before = __atomic_load_n(&l->notes, __ATOMIC_RELAXED);

	if ((before & notes) == notes)
		return;
	before = __atomic_fetch_or(&l->notes, notes, __ATOMIC_SEQ_CST);
	if (before == 0)
		push(l);
	if ((notes & ~before & LINK_URGENT) ||
	    (before == 0 && !__atomic_load_n(&l->plane->attentive, __ATOMIC_SEQ_CST)))
		plane_wake(l->plane);
}

static void news_hold(struct link *l)
{
	while (__atomic_test_and_set(&l->news_are_held, __ATOMIC_ACQUIRE))
		sched_yield();
}

static void news_let_go(struct link *l)
{
	__atomic_clear(&l->news_are_held, __ATOMIC_RELEASE);
}

/* Held. */
static void write_endpoint(struct link *l, const struct endpoint *e)
{
	uint64_t words[3] = {e->addr.u64[0], e->addr.u64[1], e->port};
	uint32_t turn = l->endpoint_turn;

	__atomic_store_n(&l->endpoint_turn, turn + 1, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_RELEASE);
	for (size_t i = 0; i < 3; i++)
		__atomic_store_n(&l->endpoint[i], words[i], __ATOMIC_RELAXED);
	__atomic_store_n(&l->endpoint_turn, turn + 2, __ATOMIC_RELEASE);
}

void link_set_endpoint(struct link *l, const struct endpoint *e)
{
	news_hold(l);
	write_endpoint(l, e);
	news_let_go(l);
}

void link_on_opened(struct link *l, struct session *s, const struct endpoint *from, bool data)
{
	struct endpoint known = link_endpoint(l);
	unsigned notes = data ? LINK_RECEIVED : LINK_HEARD;

	__atomic_store_n(&l->heard, s->local, __ATOMIC_RELAXED);
	if (!endpoint_equal(&known, from)) {
		news_hold(l);
		l->from = *from;
		write_endpoint(l, from); /* the answer to this very packet goes there */
		news_let_go(l);
		notes |= LINK_MOVED;
	}
	if (__atomic_load_n(&s->unheard, __ATOMIC_RELAXED) && __atomic_exchange_n(&s->unheard, false, __ATOMIC_RELAXED)) {
		news_hold(l);
		l->confirmed = s->local;
		news_let_go(l);
		notes |= LINK_CONFIRMED;
	}
	link_note(l, notes);
}

void link_take_news(struct link *l, struct endpoint *from, uint32_t *confirmed)
{
	news_hold(l);
	*from = l->from;
	*confirmed = l->confirmed;
	l->from = (struct endpoint){.port = 0};
	news_let_go(l);
}

struct endpoint link_endpoint(const struct link *l)
{
	struct endpoint e;
	uint64_t words[3];
	uint32_t turn;

	do {
		turn = __atomic_load_n(&l->endpoint_turn, __ATOMIC_ACQUIRE);
		for (size_t i = 0; i < 3; i++)
			words[i] = __atomic_load_n(&l->endpoint[i], __ATOMIC_RELAXED);
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
	} while ((turn & 1) || turn != __atomic_load_n(&l->endpoint_turn, __ATOMIC_RELAXED));
	memcpy(e.addr.bytes, words, sizeof(e.addr.bytes));
	e.port = (uint16_t)words[2];
	return e;
}
