/* SPDX-License-Identifier: Apache-2.0 */
#include "wg/detour.h"
#include "wg/measure.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/timer.h"

#define ATTENTION_MS 100 /* how often notes are taken while there are any: timers are of seconds */
#define REAP_MS 10

struct worker *protocol_own(struct tunnel *t)
{
	return t->workers[t->n_workers];
}

void protocol_wake_workers(struct tunnel *t)
{
	for (unsigned i = 0; i < t->n_workers; i++)
		worker_wake(t->workers[i]);
	if (t->plain.worker)
		worker_wake(t->plain.worker);
}

static void tell(struct tunnel *t)
{
	plane_signal(t->event);
}

void protocol_add_event(struct tunnel *t, struct link *l, unsigned kind)
{
	if (l->events == 0) {
		l->next_event = t->eventful;
		t->eventful = l;
	}
	l->events |= kind;
	tell(t);
}

void protocol_forget_events(struct tunnel *t, struct link *l)
{
	for (struct link **at = &t->eventful; *at; at = &(*at)->next_event)
		if (*at == l) {
			*at = l->next_event;
			break;
		}
	l->events = 0;
}

void protocol_send(struct tunnel *t, const struct endpoint *to, const uint8_t *data, size_t size)
{
	const struct addr *from = &t->plane.local[addr_is_v4(&to->addr) ? 0 : 1];

	if (udp_send(&protocol_own(t)->udp, to, from, (uint8_t *)data, size, size) != 0)
		worker_drop(protocol_own(t), NULL, TUNNEL_SEND_FAILED, 1);
}

static void on_send(void *arg, const struct endpoint *to, const uint8_t *data, size_t size)
{
	if (to->relay == 0)
		protocol_send(arg, to, data, size);
	else
		detour_send(arg, to, data, size);
}

static bool on_send_around(void *arg, struct peer *peer, const uint8_t *data, size_t size)
{
	return detour_send_around(arg, peer_owner(peer), data, size);
}

static void on_event(void *arg, struct peer *peer, enum peer_event event)
{
	struct link *l = peer_owner(peer);
	struct tunnel *t = arg;

	switch (event) {
	case PEER_READY:
		if (__atomic_load_n(&l->waiting, __ATOMIC_SEQ_CST) > 0)
			protocol_wake_workers(t);
		t->relay_is_up |= l->relay != 0;
		measure_on_session(l);
		protocol_add_event(t, l, TUNNEL_PEER_UP);
		break;
	case PEER_MOVED:
		link_set_endpoint(l, peer_endpoint(peer));
		relay_watch_on_moved(&l->watch, peer_endpoint(peer)->relay != 0, plane_now_ms());
		measure_on_moved(l);
		protocol_add_event(t, l, TUNNEL_PEER_MOVED);
		break;
	case PEER_GONE:
	case PEER_ERASED:
		__atomic_fetch_add(&l->rounds, 1, __ATOMIC_RELAXED);
		if (__atomic_load_n(&l->waiting, __ATOMIC_SEQ_CST) > 0)
			protocol_wake_workers(t);
		measure_on_session(l);
		protocol_add_event(t, l, TUNNEL_PEER_DOWN);
		break;
	}
}

static int on_session_made(void *arg, struct peer *peer, struct keypair *k)
{
	struct tunnel *t = arg;
	struct session *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return -ENOMEM;
	*s = (struct session){.local = k->local, .keypair = k, .link = peer_owner(peer), .unheard = !k->initiator};
	k->owner = s;
	r = lookup_add(&t->plane.sessions, s);
	if (r != 0)
		free(s);
	return r;
}

static void on_session_used(void *arg, struct peer *peer, struct keypair *k)
{
	struct link *l = peer_owner(peer);

	/* before `waiting` is looked at, see forward() */
	__atomic_store_n(&l->session, k ? k->owner : NULL, __ATOMIC_SEQ_CST);
}

static void session_free(struct grace_node *node)
{
	struct session *s = (struct session *)((char *)node - offsetof(struct session, retired));

	keypair_free(s->keypair);
	free(s);
}

static void on_session_ended(void *arg, struct peer *peer, struct keypair *k)
{
	struct session *s = k->owner;
	struct tunnel *t = arg;

	lookup_remove(&t->plane.sessions, &s->local);
	grace_retire(&t->plane.grace, &s->retired, session_free);
}

const struct device_ops protocol_ops = {
	.send = on_send,
	.send_around = on_send_around,
	.event = on_event,
	.session_made = on_session_made,
	.session_used = on_session_used,
	.session_ended = on_session_ended,
};

static void take_notes_of(struct tunnel *t, struct link *l, unsigned notes, uint64_t now_ms)
{
	uint32_t heard = __atomic_load_n(&l->heard, __ATOMIC_RELAXED);
	struct link_news news = {.confirmed = 0};
	const struct endpoint *from;

	if (!l->peer) /* removed since */
		return;
	if (notes & (LINK_CONFIRMED | LINK_MOVED | LINK_ANSWERED))
		news = link_take_news(l);
	if (notes & LINK_CONFIRMED)
		peer_on_opened(l->peer, news.confirmed, NULL, false, now_ms);
	/*
	 * Which was last nobody knows.  Taken for this one it costs a keepalive at most; for the other, after all that is
	 * said within ATTENTION_MS, that each side waits for an answer and then asks for a session.
	 */
	if (notes & LINK_SENT)
		peer_on_sent(l->peer, now_ms);
	from = news.from.port ? &news.from : peer_endpoint(l->peer)->port ? peer_endpoint(l->peer) : NULL;
	if (notes & (LINK_RECEIVED | LINK_HEARD | LINK_MOVED))
		peer_on_opened(l->peer, heard, from, notes & LINK_RECEIVED, now_ms);
	detour_on_notes(t, l, notes, &news, now_ms);
	if (notes & LINK_WANTED && !peer_is_ready(l->peer, now_ms)) /* it may have come since */
		peer_initiate(l->peer, false, now_ms);
	if (notes & (LINK_SENT | LINK_RECEIVED))
		measure_on_data(l);
}

static bool take_notes(struct tunnel *t)
{
	struct link *l = __atomic_exchange_n(&t->plane.noted, NULL, __ATOMIC_SEQ_CST), *next;
	uint64_t now_ms = plane_now_ms();
	bool any = l;

	for (; l; l = next) {
		next = __atomic_load_n(&l->next_noted, __ATOMIC_RELAXED); /* from the exchange on it may be in the list again */
		take_notes_of(t, l, __atomic_exchange_n(&l->notes, 0, __ATOMIC_SEQ_CST), now_ms);
	}
	return any;
}

/*
 * While there are notes they are looked for every ATTENTION_MS, and nobody has to wake us for one that can wait.  Who
 * writes one when we have just stopped sees that, or we see the note.
 */
static void attend(struct tunnel *t)
{
	bool any = take_notes(t);

	__atomic_store_n(&t->plane.attentive, any, __ATOMIC_SEQ_CST);
	if (!any && __atomic_load_n(&t->plane.noted, __ATOMIC_SEQ_CST))
		__atomic_store_n(&t->plane.attentive, true, __ATOMIC_SEQ_CST);
}

static void on_message(void *arg, const struct endpoint *from, struct packet *p)
{
	struct tunnel *t = arg;

	pthread_mutex_lock(&t->plane.lock);
	device_receive(t->device, from, p, 1, plane_now_ms());
	pthread_mutex_unlock(&t->plane.lock);
}

static void take_inbox(struct tunnel *t)
{
	struct inbox_message messages[INBOX];
	struct plane *p = &t->plane;
	size_t n;

	pthread_mutex_lock(&p->inbox_lock);
	n = p->n_inbox;
	memcpy(messages, p->inbox, n * sizeof(messages[0]));
	p->n_inbox = 0;
	pthread_mutex_unlock(&p->inbox_lock);
	for (size_t i = 0; i < n; i++) {
		struct packet m = {.data = messages[i].data, .size = messages[i].size};

		on_message(t, &messages[i].from, &m);
	}
}

/* Returns for how long there is nothing to do. */
static int work(struct tunnel *t)
{
	struct plane *p = &t->plane;
	uint64_t now_ms, next_ms, probe_ms, unused;
	int wait = -1;

	pthread_mutex_lock(&p->lock);
	/* Notes of what is freed below were left before, as whoever leaves them is at it. */
	unused = grace_poll(&p->grace);
	attend(t);
	measure_take(t); /* after the notes, which say of new sessions that they are in use */
	now_ms = plane_now_ms(); /* not before: the device's clock never goes back */
	device_tick(t->device, now_ms);
	detour_watch(t, now_ms);
	measure_run(t, now_ms);
	if (grace_reap(&p->grace, unused))
		wait = REAP_MS;
	else if (p->attentive || t->watched)
		wait = ATTENTION_MS;
	next_ms = device_next_ms(t->device);
	probe_ms = measure_next_ms(t);
	next_ms = probe_ms < next_ms ? probe_ms : next_ms;
	if (__atomic_load_n(&p->lost, __ATOMIC_ACQUIRE) && !t->lost_is_told) {
		t->lost_is_told = true;
		tell(t);
	}
	pthread_mutex_unlock(&p->lock);
	if (next_ms <= now_ms)
		return 0;
	if (next_ms != TIMER_NEVER && (wait < 0 || next_ms - now_ms < (uint64_t)wait))
		wait = next_ms - now_ms < 60000 ? (int)(next_ms - now_ms) : 60000;
	return wait;
}

void *protocol_run(void *arg)
{
	struct tunnel *t = arg;
	struct plane *p = &t->plane;
	struct worker *w = protocol_own(t);
	struct pollfd fds[] = {{p->wake, POLLIN, 0}, {w->udp.fd, POLLIN, 0}};
	uint64_t count;

	while (!__atomic_load_n(&p->stop, __ATOMIC_ACQUIRE)) {
		poll(fds, 2, work(t));
		if (fds[0].revents && read(p->wake, &count, sizeof(count)) > 0)
			take_inbox(t);
		if (!fds[1].revents)
			continue;
		grace_online(&p->grace, w->number);
		w->now_ms = plane_now_ms();
		worker_inbound(w, on_message, t);
		grace_offline(&p->grace, w->number);
	}
	return NULL;
}
