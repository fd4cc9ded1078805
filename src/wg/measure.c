/* SPDX-License-Identifier: Apache-2.0 */
#include "wg/measure.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include "model/fwd.h"

static uint64_t now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_BOOTTIME, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

/* ---- on a worker's thread ---- */

/* So much is on the way at most between two nodes: who sends more does not take the others' place. */
static bool has_room(const struct plane *p, uint32_t session)
{
	size_t n = 0;

	for (size_t i = 0; i < p->n_probes; i++)
		n += p->probes[i].session == session;
	return p->n_probes < PLANE_PROBES && n < PLANE_PROBES_OF_SESSION;
}

static void hand_over(struct worker *w, const struct session *s, const struct packet *packet)
{
	struct plane *p = w->plane;
	size_t size = packet->size < PROBE_ANSWER_SIZE ? packet->size : PROBE_ANSWER_SIZE;
	struct plane_probe probe = {.session = s->local, .at_us = now_us()};
	bool put;

	if (!probe_read(packet->data + sizeof(struct packet_data), size, &probe.message)) {
		worker_drop(w, s->link, TUNNEL_BAD_INNER, 1);
		return;
	}
	keypair_received(s->keypair, &probe.next, &probe.received);
	pthread_mutex_lock(&p->inbox_lock);
	put = has_room(p, probe.session);
	if (put)
		p->probes[p->n_probes++] = probe;
	pthread_mutex_unlock(&p->inbox_lock);
	if (put)
		plane_wake(p);
	else
		worker_drop(w, s->link, TUNNEL_BUSY, 1);
}

size_t worker_take_probes(struct worker *w, const struct session *s, struct packet *packets, size_t n)
{
	size_t length = 0;

	if (link_is_plain(s->link))
		return n;
	for (size_t i = 0; i < n; i++)
		if (probe_is(packets[i].data + sizeof(struct packet_data)))
			hand_over(w, s, &packets[i]);
		else
			packets[length++] = packets[i];
	return length;
}

/* ---- under plane.lock ---- */

static void arm(struct link *l)
{
	struct tunnel *t = l->tunnel;

	if (l->probe.due_ms == TIMER_NEVER)
		timer_clear(&t->measuring, &l->probe_timer);
	else
		timer_set(&t->measuring, &l->probe_timer, l->probe.due_ms);
}

/* What is told to the control loop is what changes something there. */
static void settle(struct link *l, uint16_t limit)
{
	if (probe_limit(&l->probe) != limit)
		protocol_add_event(l->tunnel, l, TUNNEL_PEER_MEASURED);
	arm(l);
}

/* In the current session, and whole where it has a size.  Returns the session, 0 = nothing was sent. */
static uint32_t send_probe(struct link *l, const void *head, size_t head_size, uint16_t size)
{
	const struct endpoint *to = peer_endpoint(l->peer);
	struct tunnel *t = l->tunnel;
	struct worker *w = protocol_own(t);
	struct packet m = {.data = w->out, .size = head_size};
	uint32_t session = 0;

	if (size > 0)
		m.size = size - FWD_OVERHEAD_SECURE(addr_is_v4(&to->addr));
	memset(m.data, 0, sizeof(struct packet_data) + m.size);
	memcpy(m.data + sizeof(struct packet_data), head, head_size);
	if (peer_seal_aside(l->peer, &m, size > 0 ? m.size : UINT16_MAX, plane_now_ms(), &session) != 0)
		return 0;
	if (size == 0)
		protocol_ops.send(t, to, m.data, m.size);
	else /* one that is longer than the link is lost like one that is longer than the path */
		udp_send_whole(&w->udp, to, &t->plane.local[addr_is_v4(&to->addr) ? 0 : 1], m.data, m.size);
	return session;
}

static void run(void *arg)
{
	struct link *l = arg;
	struct probe_order orders[PROBE_STEPS];
	uint16_t limit = probe_limit(&l->probe);
	uint8_t head[PROBE_SIZE];
	size_t n;

	if (!peer_is_ready(l->peer, plane_now_ms())) {
		probe_on_session_ended(&l->probe);
		arm(l);
		return;
	}
	n = probe_run(&l->probe, now_us(), orders);
	for (size_t i = 0; i < n; i++) {
		uint32_t session;

		probe_write_ask(&l->probe, orders[i].step, head);
		session = send_probe(l, head, sizeof(head), orders[i].size);
		if (i == 0)
			probe_sent(&l->probe, session);
	}
	settle(l, limit);
}

int measure_add(struct tunnel *t, struct link *l)
{
	l->tunnel = t;
	probe_init(&l->probe);
	return timer_add(&t->measuring, &l->probe_timer, run, l);
}

void measure_remove(struct tunnel *t, struct link *l)
{
	timer_remove(&t->measuring, &l->probe_timer);
}

static void set_path(struct link *l, bool moved)
{
	const struct endpoint *e = peer_endpoint(l->peer);
	uint16_t limit = probe_limit(&l->probe);

	if (l->plain)
		return;
	/* through a relay there are two paths, of which the first alone is ours */
	probe_path(&l->probe, e->relay ? 0 : l->path_mtu, e->port && !addr_is_v4(&e->addr), moved, now_us());
	settle(l, limit);
}

void measure_path(struct link *l, uint16_t mtu)
{
	l->path_mtu = mtu;
	set_path(l, false);
}

void measure_on_moved(struct link *l)
{
	set_path(l, true);
}

void measure_on_session(struct link *l)
{
	if (l->plain)
		return;
	if (peer_is_ready(l->peer, plane_now_ms()))
		probe_on_session(&l->probe, now_us());
	else
		probe_on_session_ended(&l->probe);
	arm(l);
}

void measure_on_data(struct link *l)
{
	if (l->plain)
		return;
	probe_on_data(&l->probe, now_us());
	arm(l);
}

static void answer(struct link *l, const struct plane_probe *in)
{
	struct probe_message m = in->message;
	uint8_t bytes[PROBE_ANSWER_SIZE];
	uint64_t held = now_us() - in->at_us;

	m.held_us = held < UINT32_MAX ? (uint32_t)held : UINT32_MAX;
	m.loss = probe_loss_out(&l->probe);
	m.next = in->next;
	m.received = in->received;
	probe_write_answer(&m, bytes);
	send_probe(l, bytes, sizeof(bytes), 0);
}

static void take(struct tunnel *t, const struct plane_probe *in)
{
	struct peer *p = device_session_peer(t->device, in->session);
	struct link *l = p ? peer_owner(p) : NULL;
	uint16_t limit;

	if (!l) /* it has ended since */
		return;
	if (in->message.kind == PROBE_ASK) {
		answer(l, in);
		return;
	}
	limit = probe_limit(&l->probe);
	probe_on_answer(&l->probe, &in->message, in->at_us);
	settle(l, limit);
}

void measure_take(struct tunnel *t)
{
	struct plane_probe probes[PLANE_PROBES];
	struct plane *p = &t->plane;
	size_t n;

	pthread_mutex_lock(&p->inbox_lock);
	n = p->n_probes;
	memcpy(probes, p->probes, n * sizeof(probes[0]));
	p->n_probes = 0;
	pthread_mutex_unlock(&p->inbox_lock);
	for (size_t i = 0; i < n; i++)
		take(t, &probes[i]);
}

void measure_run(struct tunnel *t, uint64_t now_ms)
{
	timers_run(&t->measuring, now_ms);
}

uint64_t measure_next_ms(const struct tunnel *t)
{
	return timers_next_ms(&t->measuring);
}

void measure_status(const struct link *l, struct tunnel_path *out)
{
	const struct probe *p = &l->probe;

	*out = (struct tunnel_path){.state = (enum probe_state)p->state, .mtu = probe_mtu(p), .limit = probe_limit(p),
				    .rtt_us = p->rtt_us, .loss_out = probe_loss_out(p), .loss_in = p->loss_in};
}
