/* SPDX-License-Identifier: Apache-2.0 */
#include "net.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bgp/state.h"

#define WINDOW 65536
#define NEVER UINT64_MAX

struct pipe { /* one direction of a connection */
	uint8_t *bytes;
	size_t size, capacity;
	bool scheduled;    /* a delivery */
	bool fin;          /* behind the bytes */
	bool blocked;      /* the sender waits */
	/* what the sender was seen to do, message by message */
	uint8_t *partial;
	size_t partial_size;
	bool opened, confirmed, updated;
	uint32_t end_of_rib;
};

struct wire {
	unsigned host[2];  /* who connected, and to whom */
	unsigned life[2];  /* of the hosts, then */
	bool open[2];      /* that end knows it as open */
	bool connected;    /* the first end was told so */
	struct pipe to[2]; /* towards that end */
};

enum event_kind { EVENT_TICK, EVENT_SYN, EVENT_SYN_ACK, EVENT_REFUSED, EVENT_DELIVER, EVENT_RESET, EVENT_UP, EVENT_SYNCED };

struct event {
	uint64_t at_ms, order;
	enum event_kind kind;
	uint32_t wire; /* or host */
	uint32_t end;  /* the one that it happens to; or the host's life */
};

struct host {
	struct net *net;
	unsigned self;
	unsigned life;          /* counts up with each start */
	bool up, machine;       /* the process; the machine */
	struct speaker *s;
	struct table *table;
	uint64_t tick_ms;       /* of the event that counts */
	uint64_t slow_until_ms;
	bool synced;
	uint8_t truth[NET_ROUTES]; /* the kind of each route; 0 = there is none */
};

struct net {
	struct net_shape shape;
	struct attrs *attrs;
	struct host *hosts;
	struct wire *wires;
	uint32_t n_wires, wires_capacity;
	uint64_t *parted_until_ms; /* of each pair */
	uint64_t *updating;        /* of each pair: the handle on which the first sent UPDATEs to the second last */
	struct event *heap;
	size_t n_events, events_capacity;
	uint64_t now_ms, order, seed, n_messages, n_resets;
	int watched;
	size_t n_lost;
};

uint64_t net_now_ms(const struct net *net)
{
	return net->now_ms;
}

uint64_t net_n_messages(const struct net *net)
{
	return net->n_messages;
}

uint64_t net_n_resets(const struct net *net)
{
	return net->n_resets;
}

uint32_t net_pick(struct net *net, uint32_t below)
{
	net->seed = net->seed * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(net->seed >> 33) % below;
}

/* ---- events ---- */

static bool before(const struct event *a, const struct event *b)
{
	return a->at_ms != b->at_ms ? a->at_ms < b->at_ms : a->order < b->order;
}

static void push(struct net *net, uint64_t at_ms, enum event_kind kind, uint32_t wire, uint32_t end)
{
	struct event e = {at_ms, net->order++, kind, wire, end};
	size_t i = net->n_events++;

	if (net->n_events > net->events_capacity) {
		net->events_capacity = 2 * net->events_capacity + 64;
		net->heap = reallocarray(net->heap, net->events_capacity, sizeof(e));
		assert_non_null(net->heap);
	}
	for (; i > 0 && before(&e, &net->heap[(i - 1) / 2]); i = (i - 1) / 2)
		net->heap[i] = net->heap[(i - 1) / 2];
	net->heap[i] = e;
}

static struct event pop(struct net *net)
{
	struct event first = net->heap[0], last = net->heap[--net->n_events];
	size_t i = 0;

	for (size_t child; (child = 2 * i + 1) < net->n_events; i = child) {
		if (child + 1 < net->n_events && before(&net->heap[child + 1], &net->heap[child]))
			child++;
		if (!before(&net->heap[child], &last))
			break;
		net->heap[i] = net->heap[child];
	}
	net->heap[i] = last;
	return first;
}

/* After whatever was done to a speaker: when does it want to be called? */
static void touch(struct host *h)
{
	uint64_t next = speaker_next_ms(h->s);

	if (next < h->net->now_ms)
		next = h->net->now_ms;
	if (next == NEVER || (h->tick_ms != NEVER && h->tick_ms <= next && h->tick_ms >= h->net->now_ms))
		return;
	h->tick_ms = next;
	push(h->net, next, EVENT_TICK, h->self, h->life);
}

/* ---- names ---- */

static uint64_t handle_of(uint32_t wire, unsigned end)
{
	return ((uint64_t)wire << 1 | end) + 2;
}

static struct wire *wire_of(struct net *net, uint64_t handle, unsigned *end)
{
	*end = (handle - 2) & 1;
	assert_true((handle - 2) >> 1 < net->n_wires);
	return &net->wires[(handle - 2) >> 1];
}

static struct addr addr_of(unsigned host)
{
	struct addr a = {.bytes = {[10] = 0xff, [11] = 0xff, [12] = 10}};

	a.bytes[14] = (uint8_t)(host >> 8);
	a.bytes[15] = (uint8_t)(host + 1);
	return a;
}

static unsigned host_at(const struct addr *a)
{
	return (unsigned)a->bytes[14] << 8 | (a->bytes[15] - 1u);
}

static uint32_t id_of(unsigned host)
{
	return 0x0a000001 + host * 7919 % 65521; /* not in the order of addresses */
}

static uint64_t *parted(struct net *net, unsigned a, unsigned b)
{
	return &net->parted_until_ms[(a < b ? a : b) * net->shape.n_hosts + (a < b ? b : a)];
}

static bool is_parted(struct net *net, unsigned a, unsigned b)
{
	return *parted(net, a, b) > net->now_ms;
}

static bool are_peers(const struct net *net, unsigned a, unsigned b)
{
	if (a == b)
		return false;
	return net->shape.n_reflectors == 0 || (a < net->shape.n_reflectors) != (b < net->shape.n_reflectors);
}

static bool is_reflector(const struct host *h)
{
	return h->self < h->net->shape.n_reflectors;
}

static struct route_nlri route_of(unsigned host, unsigned i)
{
	struct route_nlri n = {.key = {.family = ROUTE_EVPN, .type = ROUTE_EVPN_MAC}, .n_labels = 1, .label = {5001}};

	n.key.rd = route_rd_ip(0x0a000001 + host, 7);
	n.key.mac = (struct mac){{0x02, 0, 0, 0, 0, (uint8_t)i}};
	return n;
}

/* ---- wires ---- */

static void schedule(struct net *net, uint32_t wire, unsigned end)
{
	struct wire *w = &net->wires[wire];
	uint64_t at_ms = net->now_ms + 1 + net_pick(net, 30);

	if (w->to[end].scheduled)
		return;
	w->to[end].scheduled = true;
	push(net, at_ms, EVENT_DELIVER, wire, end);
}

static void check_only_one(struct net *net, const struct wire *w, unsigned end)
{
	unsigned from = w->host[1 - end], to = w->host[end];
	uint64_t *current = &net->updating[from * net->shape.n_hosts + to];

	if (*current > 0) {
		unsigned e;
		const struct wire *other = wire_of(net, *current, &e);

		if (other->open[e] && other->life[e] == net->hosts[from].life)
			fail_msg("host %u sends UPDATEs to host %u on two connections", from, to);
	}
	*current = handle_of((uint32_t)(w - net->wires), 1 - end);
}

/*
 * What leaves a host: OPEN first and once; nothing but KEEPALIVE and NOTIFICATION until a KEEPALIVE confirmed it; UPDATEs
 * on one connection of a neighbor only; End-of-RIB once a family, and only after the host said that it has said all.
 */
static void on_message(struct net *net, struct wire *w, unsigned end, const uint8_t *message, size_t size)
{
	struct pipe *p = &w->to[end];
	struct host *sender = &net->hosts[w->host[1 - end]];
	uint8_t type = message[MESSAGE_HEADER_SIZE - 1];

	net->n_messages++;
	if (type == MESSAGE_NOTIFICATION)
		return;
	assert_int_equal(type == MESSAGE_OPEN, !p->opened);
	p->opened = true;
	if (type == MESSAGE_KEEPALIVE)
		p->confirmed = true;
	if (type != MESSAGE_UPDATE)
		return;
	assert_true(p->confirmed);
	if (!p->updated)
		check_only_one(net, w, end);
	p->updated = true;
	if (size <= 30) { /* no room for a route: End-of-RIB */
		assert_true(sender->synced);
		assert_false(p->end_of_rib);
		p->end_of_rib = 1;
	}
}

static void on_wire(struct net *net, struct wire *w, unsigned end, const uint8_t *data, size_t size)
{
	struct pipe *p = &w->to[end];
	size_t at = 0;

	if (size == 0)
		return;
	p->partial = realloc(p->partial, p->partial_size + size);
	assert_non_null(p->partial);
	memcpy(p->partial + p->partial_size, data, size);
	p->partial_size += size;
	while (p->partial_size - at >= MESSAGE_HEADER_SIZE) {
		size_t length = (size_t)p->partial[at + 16] << 8 | p->partial[at + 17];

		assert_memory_equal(p->partial + at, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 16);
		if (p->partial_size - at < length)
			break;
		on_message(net, w, end, p->partial + at, length);
		at += length;
	}
	p->partial_size -= at;
	memmove(p->partial, p->partial + at, p->partial_size);
}

static void clear_pipe(struct pipe *p)
{
	free(p->bytes);
	free(p->partial);
	p->bytes = p->partial = NULL;
	p->size = p->capacity = p->partial_size = 0;
}

static void tell_closed(struct net *net, struct wire *w, uint32_t wire, unsigned end, const char *reason)
{
	struct host *h = &net->hosts[w->host[end]];

	if (!w->open[end] || !h->up || h->life != w->life[end])
		return;
	w->open[end] = false;
	speaker_on_closed(h->s, handle_of(wire, end), reason, net->now_ms);
	touch(h);
}

static void deliver(struct net *net, uint32_t wire, unsigned end)
{
	struct wire *w = &net->wires[wire];
	struct pipe *p = &w->to[end];
	struct host *h = &net->hosts[w->host[end]], *sender = &net->hosts[w->host[1 - end]];
	size_t n = p->size;
	uint8_t piece[WINDOW];

	p->scheduled = false;
	if (is_parted(net, w->host[0], w->host[1])) {
		p->scheduled = true;
		push(net, *parted(net, w->host[0], w->host[1]) + net_pick(net, 200), EVENT_DELIVER, wire, end);
		return;
	}
	if (!h->machine)
		return; /* into nothing */
	if (end == 0 && w->open[0] && !w->connected) {
		schedule(net, wire, end); /* it overtook the SYN's answer */
		return;
	}
	if (!w->open[end] || h->life != w->life[end] || !h->up) {
		push(net, net->now_ms + 1 + net_pick(net, 30), EVENT_RESET, wire, 1 - end); /* nobody knows it here */
		return;
	}
	if (n > 0 && (net_pick(net, 3) == 0 || h->slow_until_ms > net->now_ms))
		n = 1 + net_pick(net, (uint32_t)(h->slow_until_ms > net->now_ms && n > 200 ? 200 : n));
	if (n > 0) {
		memcpy(piece, p->bytes, n);
		memmove(p->bytes, p->bytes + n, p->size - n);
		p->size -= n;
		speaker_on_bytes(h->s, handle_of(wire, end), piece, n, net->now_ms);
		touch(h);
	}
	/* callbacks may have made more wires */
	w = &net->wires[wire];
	p = &w->to[end];
	if (p->blocked && p->size < WINDOW / 2 && sender->up && sender->life == w->life[1 - end] && w->open[1 - end]) {
		p->blocked = false;
		speaker_on_writable(sender->s, handle_of(wire, 1 - end), net->now_ms);
		touch(sender);
		w = &net->wires[wire];
		p = &w->to[end];
	}
	if (p->size == 0) {
		free(p->bytes);
		p->bytes = NULL;
		p->capacity = 0;
	}
	if (p->size > 0 || (p->fin && n > 0))
		schedule(net, wire, end);
	else if (p->fin)
		tell_closed(net, w, wire, end, "connection closed by the neighbor");
}

static void on_syn(struct net *net, uint32_t wire)
{
	struct wire *w = &net->wires[wire];
	struct host *h = &net->hosts[w->host[1]];
	struct addr from = addr_of(w->host[0]);

	if (is_parted(net, w->host[0], w->host[1]) || !h->machine)
		return;
	push(net, net->now_ms + 1 + net_pick(net, 30), h->up ? EVENT_SYN_ACK : EVENT_REFUSED, wire, 0);
	if (!h->up)
		return;
	w->open[1] = true;
	w->life[1] = h->life;
	speaker_on_accepted(h->s, handle_of(wire, 1), &from, net->now_ms);
	touch(h);
}

static void on_answer(struct net *net, uint32_t wire, bool good)
{
	struct wire *w = &net->wires[wire];
	struct host *h = &net->hosts[w->host[0]];

	if (!w->open[0] || !h->up || h->life != w->life[0])
		return;
	if (is_parted(net, w->host[0], w->host[1])) {
		push(net, *parted(net, w->host[0], w->host[1]) + 1, good ? EVENT_SYN_ACK : EVENT_REFUSED, wire, 0);
		return;
	}
	w->connected = true;
	if (good) {
		speaker_on_connected(h->s, handle_of(wire, 0), net->now_ms);
	} else {
		w->open[0] = false;
		speaker_on_connect_failed(h->s, handle_of(wire, 0), "Connection refused", net->now_ms);
	}
	touch(h);
}

/* ---- what speakers call ---- */

static uint64_t op_connect(void *arg, const struct neighbor_config *n)
{
	struct host *h = arg;
	struct net *net = h->net;

	if (net->n_wires == net->wires_capacity) {
		net->wires_capacity = 2 * net->wires_capacity + 64;
		net->wires = reallocarray(net->wires, net->wires_capacity, sizeof(*net->wires));
		assert_non_null(net->wires);
	}
	net->wires[net->n_wires] = (struct wire){.host = {h->self, host_at(&n->remote)}, .life = {h->life}, .open = {true}};
	push(net, net->now_ms + 1 + net_pick(net, 30), EVENT_SYN, net->n_wires, 1);
	return handle_of(net->n_wires++, 0);
}

static size_t op_send(void *arg, uint64_t handle, const uint8_t *data, size_t size)
{
	struct host *h = arg;
	struct net *net = h->net;
	unsigned end;
	struct wire *w = wire_of(net, handle, &end);
	struct pipe *p = &w->to[1 - end];
	size_t n = size < WINDOW - p->size ? size : WINDOW - p->size;

	assert_true(w->open[end]);
	if (net_pick(net, 4) == 0 && n > 0)
		n = 1 + net_pick(net, (uint32_t)n);
	p->blocked |= n < size;
	if (p->size + n > p->capacity) {
		p->capacity = 2 * (p->size + n);
		p->bytes = realloc(p->bytes, p->capacity);
		assert_non_null(p->bytes);
	}
	memcpy(p->bytes + p->size, data, n);
	p->size += n;
	on_wire(net, w, 1 - end, data, n);
	schedule(net, (uint32_t)((handle - 2) >> 1), 1 - end);
	return n;
}

static void op_close(void *arg, uint64_t handle)
{
	struct host *h = arg;
	unsigned end;
	struct wire *w = wire_of(h->net, handle, &end);

	assert_true(w->open[end]);
	w->open[end] = false;
	w->to[1 - end].fin = true;
	schedule(h->net, (uint32_t)((handle - 2) >> 1), 1 - end);
}

/* RFC 4456: the reflector names who it has it from, and itself. */
static void reflect(struct host *h, unsigned from, const struct route_attrs *a, const struct route_nlri *nlri, size_t n)
{
	struct route_attrs candidate = *a;
	const struct route_attrs *out;
	uint32_t cluster = id_of(h->self);

	candidate.references = candidate.size = 0;
	candidate.hash = 0;
	candidate.path_length = candidate.first_as = candidate.origin_as = candidate.mobility = candidate.tunnels = 0;
	candidate.router_mac = (struct mac){{0}};
	candidate.n_targets = 0;
	candidate.has &= 0xff;
	candidate.has |= ROUTE_HAS_ORIGINATOR_ID;
	candidate.originator_id = id_of(from);
	candidate.clusters = &cluster;
	candidate.n_clusters = 1;
	assert_int_equal(attrs_intern(h->net->attrs, &candidate, &out), 0);
	for (size_t i = 0; i < n; i++)
		assert_int_equal(speaker_announce(h->s, &nlri[i], out), 0);
	attrs_unref(h->net->attrs, out);
}

static void note_loss(struct host *h, unsigned from, const struct route_key *key)
{
	if ((int)from == h->net->watched && h->net->hosts[from].truth[key->mac.bytes[5]])
		h->net->n_lost++;
}

static size_t op_put(void *arg, const struct neighbor_config *n, const struct route_attrs *attrs,
		     const struct route_nlri *nlri, size_t length)
{
	struct host *h = arg;

	if (is_reflector(h))
		reflect(h, n->id, attrs, nlri, length);
	return table_put(h->table, n->id, attrs, nlri, length);
}

static size_t op_remove(void *arg, const struct neighbor_config *n, const struct route_nlri *nlri, size_t length)
{
	struct host *h = arg;

	for (size_t i = 0; i < length; i++) {
		note_loss(h, n->id, &nlri[i].key);
		if (is_reflector(h))
			speaker_withdraw(h->s, &nlri[i].key);
	}
	return table_remove(h->table, n->id, nlri, length);
}

static void op_stale(void *arg, const struct neighbor_config *n, enum route_family f)
{
	table_stale(((struct host *)arg)->table, n->id, f);
}

struct sweep {
	struct host *h;
	unsigned from;
};

static void on_gone(void *arg, const struct route_key *key)
{
	struct sweep *sweep = arg;

	note_loss(sweep->h, sweep->from, key);
	if (is_reflector(sweep->h))
		speaker_withdraw(sweep->h->s, key);
}

static size_t op_swept(void *arg, const struct neighbor_config *n, enum route_family f)
{
	struct sweep sweep = {arg, n->id};

	return table_swept(sweep.h->table, n->id, f, on_gone, &sweep);
}

static void say_all(struct host *h)
{
	if (h->synced)
		return;
	h->synced = true;
	speaker_synced(h->s, ROUTE_EVPN);
}

/* A reflector has said all when it has heard all; others as soon as they have said their own. */
static void op_ready(void *arg, enum route_family f, const char *reason)
{
	struct host *h = arg;

	if (is_reflector(h) && f == ROUTE_EVPN)
		say_all(h);
}

static void op_state(void *arg, const struct neighbor_config *n, enum neighbor_state old, enum neighbor_state state,
		     const char *reason)
{
	struct host *h = arg;

	h->net->n_resets += old == NEIGHBOR_ESTABLISHED;
	/* What nobody can cause here but a speaker that says something wrong. */
	if (strstr(reason, "Header Error") || strstr(reason, "OPEN Message Error") || strstr(reason, "UPDATE Message Error") ||
	    strstr(reason, "State Machine Error"))
		fail_msg("host %u, neighbor %u: %s", h->self, n->id, reason);
}

static void op_notice(void *arg, const struct neighbor_config *n, const char *text)
{
}

static uint32_t op_random(void *arg)
{
	return net_pick(((struct host *)arg)->net, 1u << 30);
}

static const struct speaker_ops ops = {
	.connect = op_connect,
	.send = op_send,
	.close = op_close,
	.route_put = op_put,
	.route_remove = op_remove,
	.neighbor_stale = op_stale,
	.neighbor_swept = op_swept,
	.ready = op_ready,
	.neighbor_state = op_state,
	.notice = op_notice,
	.random = op_random,
};

/* ---- hosts ---- */

static void announce(struct host *h, unsigned i)
{
	uint64_t target = extended_target_as2(65000, 5001);
	struct route_attrs candidate = {.next_hop = addr_of(h->self), .has = ROUTE_HAS_LOCAL_PREF, .local_pref = h->truth[i],
					.extended = &target, .n_extended = 1};
	struct route_nlri nlri = route_of(h->self, i);
	const struct route_attrs *a;

	if (!h->truth[i]) {
		speaker_withdraw(h->s, &nlri.key);
		return;
	}
	assert_int_equal(attrs_intern(h->net->attrs, &candidate, &a), 0);
	assert_int_equal(speaker_announce(h->s, &nlri, a), 0);
	attrs_unref(h->net->attrs, a);
}

static struct neighbor_config config_of(const struct net *net, unsigned host)
{
	struct neighbor_config c = neighbor_config_default();

	c.remote = addr_of(host);
	c.id = host;
	c.remote_as = NET_AS;
	c.families = ROUTE_FAMILY_BIT(ROUTE_EVPN);
	c.hold_s = net->shape.hold_s;
	c.connect_retry_s = 2;
	c.restart_s = 30;
	c.stale_s = 60;
	c.idle_hold_max_s = 8;
	c.send_hold_s = 40;
	return c;
}

static void start(struct host *h, bool restarting, bool forwarding)
{
	struct net *net = h->net;
	struct speaker_config c = {.as = NET_AS, .id = id_of(h->self), .restarting = restarting, .forwarding = forwarding,
				   .deferral_s = 20};

	h->up = h->machine = true;
	h->life++;
	h->synced = false;
	h->tick_ms = NEVER;
	h->table = table_new(net->attrs);
	assert_int_equal(speaker_new(&c, net->attrs, &ops, h, net->now_ms, &h->s), 0);
	for (unsigned k = 0; k < net->shape.n_hosts; k++) {
		struct neighbor_config n = config_of(net, k);

		if (are_peers(net, h->self, k))
			assert_int_equal(speaker_neighbor_put(h->s, &n, net->now_ms), 0);
	}
	if (!is_reflector(h)) {
		for (unsigned i = 0; i < NET_ROUTES; i++)
			announce(h, i);
		push(net, net->now_ms + net_pick(net, 3000), EVENT_SYNCED, h->self, h->life);
	}
	touch(h);
}

static void stop(struct host *h)
{
	speaker_free(h->s);
	table_free(h->table);
	h->s = NULL;
	h->table = NULL;
	h->up = false;
}

static void check_timers(struct host *h)
{
	struct session *session;
	size_t cursor = 0;

	while ((session = hmap_next(&h->s->sessions, &cursor))) {
		if (session->state == NEIGHBOR_OPENSENT || (session->state >= NEIGHBOR_OPENCONFIRM && session->hold_ms > 0))
			assert_true(timer_is_armed(&session->hold));
		if (session->state >= NEIGHBOR_OPENCONFIRM && session->hold_ms > 0)
			assert_true(timer_is_armed(&session->keepalive));
		if (conn_queued(session->conn) > 0)
			assert_true(timer_is_armed(&session->send_hold) || session->neighbor->dirty);
	}
}

static void happen(struct net *net, const struct event *e)
{
	struct host *h = e->wire < net->shape.n_hosts ? &net->hosts[e->wire] : NULL;

	switch (e->kind) {
	case EVENT_TICK:
		if (!h->up || h->life != e->end || h->tick_ms != e->at_ms)
			return;
		h->tick_ms = NEVER;
		speaker_tick(h->s, net->now_ms);
		touch(h);
		if (net->shape.n_hosts <= 8)
			check_timers(h);
		return;
	case EVENT_SYN:
		on_syn(net, e->wire);
		return;
	case EVENT_SYN_ACK:
	case EVENT_REFUSED:
		on_answer(net, e->wire, e->kind == EVENT_SYN_ACK);
		return;
	case EVENT_DELIVER:
		deliver(net, e->wire, e->end);
		return;
	case EVENT_RESET:
		if (is_parted(net, net->wires[e->wire].host[0], net->wires[e->wire].host[1]))
			return;
		tell_closed(net, &net->wires[e->wire], e->wire, e->end, "connection reset by the neighbor");
		return;
	case EVENT_UP:
		if (!h->up)
			start(h, e->end > 0, e->end > 0);
		return;
	case EVENT_SYNCED:
		if (h->up && h->life == e->end)
			say_all(h);
		if (h->up)
			touch(h);
		return;
	}
}

void net_run(struct net *net, uint64_t ms)
{
	uint64_t end_ms = net->now_ms + ms;

	while (net->n_events > 0 && net->heap[0].at_ms <= end_ms) {
		struct event e = pop(net);

		net->now_ms = e.at_ms;
		happen(net, &e);
	}
	net->now_ms = end_ms;
}

struct net *net_new(const struct net_shape *shape)
{
	struct net *net = calloc(1, sizeof(*net));

	assert_non_null(net);
	assert_in_range(shape->n_hosts, 1, 200);
	net->shape = *shape;
	net->seed = shape->seed;
	net->now_ms = 1000;
	net->watched = -1;
	assert_int_equal(attrs_new(&net->attrs), 0);
	net->hosts = calloc(shape->n_hosts, sizeof(*net->hosts));
	net->parted_until_ms = calloc(shape->n_hosts * shape->n_hosts, sizeof(uint64_t));
	assert_non_null(net->hosts);
	net->updating = calloc(shape->n_hosts * shape->n_hosts, sizeof(uint64_t));
	assert_non_null(net->parted_until_ms);
	assert_non_null(net->updating);
	for (unsigned i = 0; i < shape->n_hosts; i++) {
		struct host *h = &net->hosts[i];

		h->net = net;
		h->self = i;
		for (unsigned r = 0; r < shape->n_routes && i >= shape->n_reflectors; r++)
			h->truth[r] = (uint8_t)(1 + net_pick(net, 4));
		start(h, false, false);
	}
	return net;
}

void net_free(struct net *net)
{
	for (unsigned i = 0; i < net->shape.n_hosts; i++)
		if (net->hosts[i].up)
			stop(&net->hosts[i]);
	for (uint32_t i = 0; i < net->n_wires; i++) {
		clear_pipe(&net->wires[i].to[0]);
		clear_pipe(&net->wires[i].to[1]);
	}
	assert_int_equal(attrs_length(net->attrs), 0);
	attrs_free(net->attrs);
	free(net->hosts);
	free(net->wires);
	free(net->parted_until_ms);
	free(net->updating);
	free(net->heap);
	free(net);
}

/* ---- what may happen ---- */

static void set_truth(struct host *h, unsigned i, uint8_t kind)
{
	h->truth[i] = kind;
	if (h->up) {
		announce(h, i);
		touch(h);
	}
}

void net_change(struct net *net, unsigned host)
{
	struct host *h = &net->hosts[host];

	if (!is_reflector(h))
		set_truth(h, net_pick(net, NET_ROUTES), (uint8_t)net_pick(net, 5));
}

void net_move(struct net *net, unsigned from, unsigned to)
{
	unsigned i = net_pick(net, NET_ROUTES);
	uint8_t kind = net->hosts[from].truth[i];

	if (from == to || !kind || is_reflector(&net->hosts[to]))
		return;
	set_truth(&net->hosts[from], i, 0);
	set_truth(&net->hosts[to], i, kind);
}

static bool joins(const struct wire *w, unsigned a, unsigned b)
{
	return (w->host[0] == a && w->host[1] == b) || (w->host[0] == b && w->host[1] == a);
}

void net_break(struct net *net, unsigned a, unsigned b)
{
	for (uint32_t i = 0; i < net->n_wires; i++) {
		if (!joins(&net->wires[i], a, b) || (!net->wires[i].open[0] && !net->wires[i].open[1]))
			continue;
		push(net, net->now_ms + net_pick(net, 50), EVENT_RESET, i, 0);
		push(net, net->now_ms + net_pick(net, 50), EVENT_RESET, i, 1);
	}
}

void net_part(struct net *net, unsigned a, unsigned b, uint64_t ms)
{
	if (a != b && *parted(net, a, b) < net->now_ms + ms)
		*parted(net, a, b) = net->now_ms + ms;
}

void net_slow(struct net *net, unsigned host, uint64_t ms)
{
	net->hosts[host].slow_until_ms = net->now_ms + ms;
}

void net_kill(struct net *net, unsigned host, uint64_t ms)
{
	struct host *h = &net->hosts[host];

	if (!h->up)
		return;
	for (uint32_t i = 0; i < net->n_wires; i++)
		for (unsigned end = 0; end < 2; end++)
			if (net->wires[i].host[end] == host && net->wires[i].open[end]) {
				net->wires[i].open[end] = false;
				push(net, net->now_ms + 1 + net_pick(net, 30), EVENT_RESET, i, 1 - end);
			}
	stop(h);
	push(net, net->now_ms + ms, EVENT_UP, host, 1);
}

void net_power_off(struct net *net, unsigned host, uint64_t ms)
{
	struct host *h = &net->hosts[host];

	if (!h->up)
		return;
	for (uint32_t i = 0; i < net->n_wires; i++)
		for (unsigned end = 0; end < 2; end++)
			if (net->wires[i].host[end] == host)
				net->wires[i].open[end] = false;
	stop(h);
	h->machine = false;
	push(net, net->now_ms + ms, EVENT_UP, host, 0);
}

void net_unpeer(struct net *net, unsigned a, unsigned b)
{
	struct host *h = &net->hosts[a];
	struct neighbor_config c = config_of(net, b);

	if (!h->up || !are_peers(net, a, b))
		return;
	speaker_neighbor_remove(h->s, &c.remote, net->now_ms);
	assert_int_equal(speaker_neighbor_put(h->s, &c, net->now_ms), 0);
	touch(h);
}

void net_refresh(struct net *net, unsigned a, unsigned b)
{
	struct host *h = &net->hosts[a];
	struct addr to = addr_of(b);

	if (h->up && are_peers(net, a, b)) {
		speaker_refresh(h->s, &to, ROUTE_EVPN);
		touch(h);
	}
}

/* ---- what must hold ---- */

/* Does h have from its neighbor exactly what `origin` says? */
static size_t count_right(struct host *h, unsigned neighbor, unsigned origin, char *why, size_t size)
{
	size_t n = 0;

	for (unsigned i = 0; i < NET_ROUTES; i++) {
		struct route_nlri nlri = route_of(origin, i);
		const struct route_attrs *a = table_get(h->table, neighbor, &nlri.key);
		uint8_t kind = h->net->hosts[origin].truth[i];

		if ((a ? a->local_pref : 0) != kind) {
			snprintf(why, size, "host %u has of host %u by %u route %u as %u, not %u", h->self, origin, neighbor, i,
				 a ? a->local_pref : 0, kind);
			return SIZE_MAX;
		}
		n += kind > 0;
	}
	return n;
}

static bool view_is_right(struct host *h, unsigned neighbor, char *why, size_t size)
{
	struct net *net = h->net;
	struct addr remote = addr_of(neighbor);
	struct neighbor_stats stats;
	size_t want = 0;

	assert_int_equal(speaker_neighbor_stats(h->s, &remote, &stats), 0);
	if (stats.state != NEIGHBOR_ESTABLISHED || stats.stale) {
		snprintf(why, size, "host %u: neighbor %u is %s, stale %u, last error: %s", h->self, neighbor,
			 neighbor_state_name(stats.state), stats.stale, stats.last_error);
		return false;
	}
	for (unsigned origin = 0; origin < net->shape.n_hosts; origin++) {
		size_t n = 0;

		if (neighbor < net->shape.n_reflectors ? origin != h->self && origin >= net->shape.n_reflectors : origin == neighbor)
			n = count_right(h, neighbor, origin, why, size);
		if (n == SIZE_MAX)
			return false;
		want += n;
	}
	if (table_length(h->table, neighbor, ROUTE_EVPN) == want && stats.n_received[ROUTE_EVPN] == want)
		return true;
	snprintf(why, size, "host %u has %zu routes of %u (counted %zu), not %zu", h->self,
		 table_length(h->table, neighbor, ROUTE_EVPN), neighbor, stats.n_received[ROUTE_EVPN], want);
	return false;
}

bool net_is_right(struct net *net, char *why, size_t size)
{
	for (unsigned i = 0; i < net->shape.n_hosts; i++) {
		if (!net->hosts[i].up) {
			snprintf(why, size, "host %u is not up", i);
			return false;
		}
		for (unsigned k = 0; k < net->shape.n_hosts; k++)
			if (are_peers(net, i, k) && !view_is_right(&net->hosts[i], k, why, size))
				return false;
	}
	return true;
}

void net_watch(struct net *net, unsigned host)
{
	net->watched = (int)host;
	net->n_lost = 0;
}

size_t net_n_lost(const struct net *net)
{
	return net->n_lost;
}
