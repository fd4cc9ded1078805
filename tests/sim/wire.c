/* SPDX-License-Identifier: Apache-2.0 */
#include "inside.h"

static void schedule(struct net *net, uint32_t wire, unsigned end)
{
	struct wire *w = &net->wires[wire];
	uint64_t at_ms = net->now_ms + 1 + net_pick(net, 30);

	if (w->to[end].scheduled)
		return;
	w->to[end].scheduled = true;
	net_push(net, at_ms, EVENT_DELIVER, wire, end);
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

void wire_fini(struct wire *w)
{
	clear_pipe(&w->to[0]);
	clear_pipe(&w->to[1]);
}

void wire_tell_closed(struct net *net, uint32_t wire, unsigned end, const char *reason)
{
	struct wire *w = &net->wires[wire];
	struct host *h = &net->hosts[w->host[end]];

	if (!w->open[end] || !h->up || h->life != w->life[end])
		return;
	w->open[end] = false;
	speaker_on_closed(h->s, handle_of(wire, end), reason, net->now_ms);
	host_touch(h);
}

void wire_deliver(struct net *net, uint32_t wire, unsigned end)
{
	struct wire *w = &net->wires[wire];
	struct pipe *p = &w->to[end];
	struct host *h = &net->hosts[w->host[end]], *sender = &net->hosts[w->host[1 - end]];
	size_t n = p->size;
	uint8_t piece[WINDOW];

	p->scheduled = false;
	if (is_parted(net, w->host[0], w->host[1])) {
		p->scheduled = true;
		net_push(net, *parted(net, w->host[0], w->host[1]) + net_pick(net, 200), EVENT_DELIVER, wire, end);
		return;
	}
	if (!h->machine)
		return; /* into nothing */
	if (end == 0 && w->open[0] && !w->connected) {
		schedule(net, wire, end); /* it overtook the SYN's answer */
		return;
	}
	if (!w->open[end] || h->life != w->life[end] || !h->up) {
		net_push(net, net->now_ms + 1 + net_pick(net, 30), EVENT_RESET, wire, 1 - end); /* nobody knows it here */
		return;
	}
	if (n > 0 && (net_pick(net, 3) == 0 || h->slow_until_ms > net->now_ms))
		n = 1 + net_pick(net, (uint32_t)(h->slow_until_ms > net->now_ms && n > 200 ? 200 : n));
	if (n > 0) {
		memcpy(piece, p->bytes, n);
		memmove(p->bytes, p->bytes + n, p->size - n);
		p->size -= n;
		speaker_on_bytes(h->s, handle_of(wire, end), piece, n, net->now_ms);
		host_touch(h);
	}
	/* callbacks may have made more wires */
	w = &net->wires[wire];
	p = &w->to[end];
	if (p->blocked && p->size < WINDOW / 2 && sender->up && sender->life == w->life[1 - end] && w->open[1 - end]) {
		p->blocked = false;
		speaker_on_writable(sender->s, handle_of(wire, 1 - end), net->now_ms);
		host_touch(sender);
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
		wire_tell_closed(net, wire, end, "connection closed by the neighbor");
}

void wire_on_syn(struct net *net, uint32_t wire)
{
	struct wire *w = &net->wires[wire];
	struct host *h = &net->hosts[w->host[1]];
	struct addr from = addr_of(w->host[0]);

	if (is_parted(net, w->host[0], w->host[1]) || !h->machine)
		return;
	net_push(net, net->now_ms + 1 + net_pick(net, 30), h->up ? EVENT_SYN_ACK : EVENT_REFUSED, wire, 0);
	if (!h->up)
		return;
	w->open[1] = true;
	w->life[1] = h->life;
	speaker_on_accepted(h->s, handle_of(wire, 1), &from, net->now_ms);
	host_touch(h);
}

void wire_on_answer(struct net *net, uint32_t wire, bool good)
{
	struct wire *w = &net->wires[wire];
	struct host *h = &net->hosts[w->host[0]];

	if (!w->open[0] || !h->up || h->life != w->life[0])
		return;
	if (is_parted(net, w->host[0], w->host[1])) {
		net_push(net, *parted(net, w->host[0], w->host[1]) + 1, good ? EVENT_SYN_ACK : EVENT_REFUSED, wire, 0);
		return;
	}
	w->connected = true;
	if (good) {
		speaker_on_connected(h->s, handle_of(wire, 0), net->now_ms);
	} else {
		w->open[0] = false;
		speaker_on_connect_failed(h->s, handle_of(wire, 0), "Connection refused", net->now_ms);
	}
	host_touch(h);
}

/* ---- what speakers call ---- */

int wire_connect(void *arg, const struct neighbor_config *n, uint64_t *handle)
{
	struct host *h = arg;
	struct net *net = h->net;

	if (net->n_wires == net->wires_capacity) {
		net->wires_capacity = 2 * net->wires_capacity + 64;
		net->wires = reallocarray(net->wires, net->wires_capacity, sizeof(*net->wires));
		assert_non_null(net->wires);
	}
	net->wires[net->n_wires] = (struct wire){.host = {h->self, host_at(&n->remote)}, .life = {h->life}, .open = {true}};
	net_push(net, net->now_ms + 1 + net_pick(net, 30), EVENT_SYN, net->n_wires, 1);
	*handle = handle_of(net->n_wires++, 0);
	return 0;
}

size_t wire_send(void *arg, uint64_t handle, const uint8_t *data, size_t size)
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

void wire_close(void *arg, uint64_t handle)
{
	struct host *h = arg;
	unsigned end;
	struct wire *w = wire_of(h->net, handle, &end);

	assert_true(w->open[end]);
	w->open[end] = false;
	w->to[1 - end].fin = true;
	schedule(h->net, (uint32_t)((handle - 2) >> 1), 1 - end);
}
