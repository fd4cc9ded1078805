/* SPDX-License-Identifier: Apache-2.0 */
#include "inside.h"

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

void net_push(struct net *net, uint64_t at_ms, enum event_kind kind, uint32_t wire, uint32_t end)
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
void host_touch(struct host *h)
{
	uint64_t next;

	if (h->leaf)
		leaf_turn(h->leaf);
	next = speaker_next_ms(h->s);
	if (h->leaf && leaf_next_ms(h->leaf) < next)
		next = leaf_next_ms(h->leaf);
	if (next < h->net->now_ms)
		next = h->net->now_ms;
	if (next == NEVER || (h->tick_ms != NEVER && h->tick_ms <= next && h->tick_ms >= h->net->now_ms))
		return;
	h->tick_ms = next;
	net_push(h->net, next, EVENT_TICK, h->self, h->life);
}

/* ---- time ---- */

/* The place of an endpoint has changed, as seen from the host. */
static void tell_port(struct net *net, unsigned endpoint, unsigned host)
{
	struct host *h = &net->hosts[host];

	leaf_port(h->leaf, endpoint);
	if (h->up)
		host_touch(h);
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
		host_touch(h);
		if (net->shape.n_hosts <= SMALL)
			host_check_timers(h);
		return;
	case EVENT_SYN:
		wire_on_syn(net, e->wire);
		return;
	case EVENT_SYN_ACK:
	case EVENT_REFUSED:
		wire_on_answer(net, e->wire, e->kind == EVENT_SYN_ACK);
		return;
	case EVENT_DELIVER:
		wire_deliver(net, e->wire, e->end);
		return;
	case EVENT_RESET:
		if (is_parted(net, net->wires[e->wire].host[0], net->wires[e->wire].host[1]))
			return;
		wire_tell_closed(net, e->wire, e->end, "connection reset by the neighbor");
		return;
	case EVENT_UP:
		if (!h->up)
			host_start(h, e->end > 0, e->end > 0);
		return;
	case EVENT_SYNCED:
		if (h->up && h->life == e->end)
			host_say_all(h);
		if (h->up)
			host_touch(h);
		return;
	case EVENT_PLUG:
		net_plug(net, e->wire, e->end);
		return;
	case EVENT_UNPLUG:
		net->fabric->endpoints[e->wire].ghost = FABRIC_NOWHERE;
		tell_port(net, e->wire, e->end);
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
	if (shape->n_endpoints > 0)
		net->fabric = fabric_new(net, shape->n_endpoints);
	for (unsigned i = 0; i < shape->n_hosts; i++) {
		struct host *h = &net->hosts[i];

		h->net = net;
		h->self = i;
		if (net->fabric && !is_reflector(h))
			h->leaf = leaf_new(h);
		for (unsigned r = 0; r < shape->n_routes && i >= shape->n_reflectors; r++)
			h->truth[r] = (uint8_t)(1 + net_pick(net, 4));
		host_start(h, false, false);
	}
	return net;
}

void net_free(struct net *net)
{
	for (unsigned i = 0; i < net->shape.n_hosts; i++) {
		if (net->hosts[i].up)
			host_stop(&net->hosts[i]);
		leaf_free(net->hosts[i].leaf);
	}
	fabric_free(net->fabric);
	for (uint32_t i = 0; i < net->n_wires; i++)
		wire_fini(&net->wires[i]);
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
		host_announce(h, i);
		host_touch(h);
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
		net_push(net, net->now_ms + net_pick(net, 50), EVENT_RESET, i, 0);
		net_push(net, net->now_ms + net_pick(net, 50), EVENT_RESET, i, 1);
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
				net_push(net, net->now_ms + 1 + net_pick(net, 30), EVENT_RESET, i, 1 - end);
			}
	host_stop(h);
	net_push(net, net->now_ms + ms, EVENT_UP, host, 1);
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
	host_stop(h);
	h->machine = false;
	if (h->leaf)
		leaf_forget(h->leaf);
	net_push(net, net->now_ms + ms, EVENT_UP, host, 0);
}

void net_unpeer(struct net *net, unsigned a, unsigned b)
{
	struct host *h = &net->hosts[a];
	struct neighbor_config c = host_config_of(net, b);

	if (!h->up || !are_peers(net, a, b))
		return;
	speaker_neighbor_remove(h->s, &c.remote, net->now_ms);
	assert_int_equal(speaker_neighbor_put(h->s, &c, net->now_ms), 0);
	host_touch(h);
}

void net_refresh(struct net *net, unsigned a, unsigned b)
{
	struct host *h = &net->hosts[a];
	struct addr to = addr_of(b);

	if (h->up && are_peers(net, a, b)) {
		speaker_refresh(h->s, &to, ROUTE_EVPN);
		host_touch(h);
	}
}

/* ---- of a fabric ---- */

struct fabric *net_fabric(struct net *net)
{
	return net->fabric;
}

void net_plug(struct net *net, unsigned endpoint, unsigned host)
{
	struct endpoint *e = &net->fabric->endpoints[endpoint];

	e->at = host;
	e->up = true;
	e->flying = false;
	e->moved_ms = net->now_ms;
	tell_port(net, endpoint, host);
}

void net_unplug(struct net *net, unsigned endpoint)
{
	struct endpoint *e = &net->fabric->endpoints[endpoint];
	unsigned from = e->at;

	e->at = FABRIC_NOWHERE;
	tell_port(net, endpoint, from);
}

void net_toggle(struct net *net, unsigned endpoint)
{
	struct endpoint *e = &net->fabric->endpoints[endpoint];

	e->up = !e->up;
	e->moved_ms = net->now_ms;
	tell_port(net, endpoint, e->at);
}

void net_roam_now(struct net *net, unsigned endpoint, unsigned to, uint64_t ms)
{
	struct endpoint *e = &net->fabric->endpoints[endpoint];

	e->ghost = e->at;
	net_push(net, net->now_ms + ms, EVENT_UNPLUG, endpoint, e->at);
	net_plug(net, endpoint, to);
}

void net_roam(struct net *net, unsigned endpoint, unsigned to)
{
	uint64_t ms = net_pick(net, 3000);

	if (net_pick(net, 2)) {
		net_roam_now(net, endpoint, to, ms);
		return;
	}
	net_unplug(net, endpoint);
	net->fabric->endpoints[endpoint].flying = true;
	net_push(net, net->now_ms + ms, EVENT_PLUG, endpoint, to);
}

/* ---- what must hold ---- */

bool net_is_right(struct net *net, char *why, size_t size)
{
	for (unsigned i = 0; i < net->shape.n_hosts; i++) {
		if (!net->hosts[i].up) {
			snprintf(why, size, "host %u is not up", i);
			return false;
		}
		for (unsigned k = 0; k < net->shape.n_hosts; k++)
			if (are_peers(net, i, k) && !host_view_is_right(&net->hosts[i], k, why, size))
				return false;
	}
	return !net->fabric || fabric_is_right(net->fabric, why, size);
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
