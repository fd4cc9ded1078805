/* SPDX-License-Identifier: Apache-2.0 */
/*
 * inside.h - what the files of the simulator share: wire.c, connections between hosts; host.c, a speaker and what it is
 * told; leaf.c, the node around it, where there is a fabric; net.c, the clock and what happens to all of them.
 */
#ifndef ISTHMUS_SIM_INSIDE_H
#define ISTHMUS_SIM_INSIDE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bgp/state.h"
#include "fabric.h"
#include "leaf.h"
#include "net.h"

#define WINDOW 65536
#define NEVER UINT64_MAX
#define SMALL 12 /* hosts: so few that much can be looked at after every event */

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

enum event_kind { EVENT_TICK, EVENT_SYN, EVENT_SYN_ACK, EVENT_REFUSED, EVENT_DELIVER, EVENT_RESET, EVENT_UP, EVENT_SYNCED, EVENT_PLUG,
		  EVENT_UNPLUG };

struct event {
	uint64_t at_ms, order;
	enum event_kind kind;
	uint32_t wire; /* or host, or endpoint */
	uint32_t end;  /* the one that it happens to; or the host's life; or the host of the endpoint */
};

struct host {
	struct net *net;
	unsigned self;
	unsigned life;          /* counts up with each start */
	bool up, machine;       /* the process; the machine */
	struct speaker *s;
	struct leaf *leaf;      /* of a fabric; else, and of a reflector, NULL and ... */
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
	struct fabric *fabric; /* or NULL: speakers alone, with routes of no meaning */
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

static inline uint64_t handle_of(uint32_t wire, unsigned end)
{
	return ((uint64_t)wire << 1 | end) + 2;
}

static inline struct wire *wire_of(struct net *net, uint64_t handle, unsigned *end)
{
	*end = (handle - 2) & 1;
	assert_true((handle - 2) >> 1 < net->n_wires);
	return &net->wires[(handle - 2) >> 1];
}

static inline struct addr addr_of(unsigned host)
{
	struct addr a = {.bytes = {[10] = 0xff, [11] = 0xff, [12] = 10}};

	a.bytes[14] = (uint8_t)(host >> 8);
	a.bytes[15] = (uint8_t)(host + 1);
	return a;
}

static inline unsigned host_at(const struct addr *a)
{
	return (unsigned)a->bytes[14] << 8 | (a->bytes[15] - 1u);
}

static inline uint32_t id_of(unsigned host)
{
	return 0x0a000001 + host * 7919 % 65521; /* not in the order of addresses */
}

static inline uint64_t *parted(struct net *net, unsigned a, unsigned b)
{
	return &net->parted_until_ms[(a < b ? a : b) * net->shape.n_hosts + (a < b ? b : a)];
}

static inline bool is_parted(struct net *net, unsigned a, unsigned b)
{
	return *parted(net, a, b) > net->now_ms;
}

static inline bool are_peers(const struct net *net, unsigned a, unsigned b)
{
	if (a == b)
		return false;
	return net->shape.n_reflectors == 0 || (a < net->shape.n_reflectors) != (b < net->shape.n_reflectors);
}

static inline bool is_reflector(const struct host *h)
{
	return h->self < h->net->shape.n_reflectors;
}

/* ---- net.c ---- */

void net_push(struct net *net, uint64_t at_ms, enum event_kind kind, uint32_t wire, uint32_t end);
void host_touch(struct host *h); /* after whatever was done to its speaker: when does it want to be called? */

/* ---- wire.c ---- */

void wire_on_syn(struct net *net, uint32_t wire);
void wire_on_answer(struct net *net, uint32_t wire, bool good);
void wire_deliver(struct net *net, uint32_t wire, unsigned end);
void wire_tell_closed(struct net *net, uint32_t wire, unsigned end, const char *reason);
void wire_fini(struct wire *w);
int wire_connect(void *arg, const struct neighbor_config *n, uint64_t *handle); /* these three are speaker_ops */
size_t wire_send(void *arg, uint64_t handle, const uint8_t *data, size_t size);
void wire_close(void *arg, uint64_t handle);

/* ---- host.c ---- */

void host_start(struct host *h, bool restarting, bool forwarding);
void host_stop(struct host *h);
void host_say_all(struct host *h); /* all its routes were announced */
void host_announce(struct host *h, unsigned i); /* as the truth has it now */
void host_check_timers(struct host *h);
struct neighbor_config host_config_of(const struct net *net, unsigned host);
bool host_view_is_right(struct host *h, unsigned neighbor, char *why, size_t size);

#endif
