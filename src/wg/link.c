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
	uint64_t words[3] = {e->addr.u64[0], e->addr.u64[1], e->port | (uint32_t)e->relay << 16};
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

/*
 * The answer to this very packet goes there.  Where a relay is between it may be one that was on its way when a better one
 * was taken: whether to go there is the peer's to say, who knows the time.
 */
static void on_moved(struct link *l, const struct endpoint *known, const struct endpoint *from)
{
	news_hold(l);
	if (from->relay == 0 || l->news.from.port == 0)
		l->news.from = *from;
	if (from->relay == 0 || known->port == 0)
		write_endpoint(l, from);
	news_let_go(l);
}

/* Is it the first of a session that the peer began? */
static unsigned on_first(struct link *l, struct session *s)
{
	if (!__atomic_load_n(&s->unheard, __ATOMIC_RELAXED) || !__atomic_exchange_n(&s->unheard, false, __ATOMIC_RELAXED))
		return 0;
	news_hold(l);
	l->news.confirmed = s->local;
	news_let_go(l);
	return LINK_CONFIRMED;
}

void link_on_opened(struct link *l, struct session *s, const struct endpoint *from, bool data)
{
	struct endpoint known = link_endpoint(l);
	unsigned notes = data ? LINK_RECEIVED : LINK_HEARD;

	__atomic_store_n(&l->heard, s->local, __ATOMIC_RELAXED);
	if (!endpoint_equal(&known, from) && (from->relay == 0 || l->kind == TUNNEL_NODE)) {
		on_moved(l, &known, from);
		notes |= LINK_MOVED;
	}
	link_note(l, notes | on_first(l, s));
}

void link_on_asked(struct link *l, struct session *s, const struct endpoint *from)
{
	struct endpoint known = link_endpoint(l);
	unsigned notes = on_first(l, s);

	__atomic_store_n(&l->heard, s->local, __ATOMIC_RELAXED);
	if (endpoint_equal(&known, from))
		notes |= LINK_HEARD;
	if (notes)
		link_note(l, notes);
}

void link_on_answer(struct link *l, const struct endpoint *from, uint32_t token)
{
	news_hold(l);
	l->news.answer = *from;
	l->news.token = token;
	news_let_go(l);
	link_note(l, LINK_ANSWERED);
}

struct link_news link_take_news(struct link *l)
{
	struct link_news news;

	news_hold(l);
	news = l->news;
	l->news = (struct link_news){.confirmed = 0};
	news_let_go(l);
	return news;
}

struct link *plane_relay(const struct plane *p, uint16_t number, struct endpoint *where)
{
	struct link *l = number > 0 && number <= RELAYS_MAX ? __atomic_load_n(&p->relays[number - 1], __ATOMIC_ACQUIRE) : NULL;

	if (!l)
		return NULL;
	*where = link_endpoint(l);
	return where->port != 0 && where->relay == 0 ? l : NULL;
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
	e.relay = (uint16_t)(words[2] >> 16);
	return e;
}
