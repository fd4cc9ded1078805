/* SPDX-License-Identifier: Apache-2.0 */
/*
 * net.h - many speakers and the network between them, in one process and under one clock that jumps from event to event.
 *
 * Connections behave like TCP: in order, late, cut into pieces anywhere, with a window that fills; they break, a
 * partition holds them up without a word, a machine that is gone answers nothing, and one that is back answers what it
 * does not know with a RST.  All of it from one seed, so a run that fails can be repeated.
 *
 * Every message that goes over a wire is held to what RFC 4271 and 4724 allow there: see on_message in wire.c.
 */
#ifndef ISTHMUS_SIM_NET_H
#define ISTHMUS_SIM_NET_H

#include <stdbool.h>
#include <stdint.h>

#include "bgp/speaker.h"
#include "table.h"

#define NET_AS 65000u
#define NET_TENANT 5000u /* whose all routes are */
#define NET_ROUTES 64 /* that a host may have */

struct net;

struct net_shape {
	unsigned n_hosts;      /* up to 200 */
	unsigned n_reflectors; /* the first ones; 0 = everybody talks to everybody */
	unsigned n_routes;     /* of each host, up to NET_ROUTES; without endpoints */
	unsigned n_endpoints;  /* > 0: hosts but reflectors are nodes of a fabric with so many of them (fabric.h) */
	uint16_t hold_s;
	uint64_t seed;
};

struct net *net_new(const struct net_shape *shape);
void net_free(struct net *net);

uint64_t net_now_ms(const struct net *net);
uint32_t net_pick(struct net *net, uint32_t below);
void net_run(struct net *net, uint64_t ms);

/* ---- what may happen ---- */

void net_change(struct net *net, unsigned host);                  /* one of its routes comes, goes or changes */
void net_move(struct net *net, unsigned from, unsigned to);       /* one goes from here to there */
void net_break(struct net *net, unsigned a, unsigned b);          /* their connections are reset */
void net_part(struct net *net, unsigned a, unsigned b, uint64_t ms); /* nothing passes between them for so long */
void net_slow(struct net *net, unsigned host, uint64_t ms);       /* it reads little */
void net_kill(struct net *net, unsigned host, uint64_t ms);       /* the process is back after so long; it forwards on */
void net_power_off(struct net *net, unsigned host, uint64_t ms);  /* the machine */
void net_unpeer(struct net *net, unsigned a, unsigned b);         /* a's configuration loses b, and has it again */
void net_refresh(struct net *net, unsigned a, unsigned b);        /* a asks b for everything */

/* ---- of a fabric ---- */

struct fabric *net_fabric(struct net *net);
void net_plug(struct net *net, unsigned endpoint, unsigned host); /* it appears, from nowhere */
void net_unplug(struct net *net, unsigned endpoint);
void net_toggle(struct net *net, unsigned endpoint);              /* its link */
/* From where it is: away and there some time later, or there first and away later. */
void net_roam(struct net *net, unsigned endpoint, unsigned to);
/* There at once; its old port goes after `ms`. */
void net_roam_now(struct net *net, unsigned endpoint, unsigned to, uint64_t ms);

/* ---- what must hold ---- */

/* Quiet: every session that should be is Established, and every view is the truth.  Else false and why. */
bool net_is_right(struct net *net, char *why, size_t size);
/* Routes that others lost of this host since net_watch, although it has them. */
void net_watch(struct net *net, unsigned host);
size_t net_n_lost(const struct net *net);
uint64_t net_n_messages(const struct net *net);
uint64_t net_n_resets(const struct net *net);

#endif
