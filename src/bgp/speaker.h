/* SPDX-License-Identifier: Apache-2.0 */
/*
 * speaker.h - a BGP speaker without sockets and without a clock: bytes, events and time in; bytes and events out.
 *
 * It owns its neighbors and the routes of this node.  What neighbors announce it does not keep: it hands it over, once
 * per UPDATE and set of attributes, and the owner keeps it, says how many routes were new, and drops those that are
 * stale when it is told to.  It is a leaf: it passes nothing on from one neighbor to another.
 *
 * Transports are numbers that the owner of the sockets chooses, above 0 and never used twice.  An event about one that is
 * gone already is ignored, so events and closing may cross.
 *
 * Call order: speaker_new, speaker_neighbor_put for each neighbor, then any; speaker_tick when the time of
 * speaker_next_ms has come and after any other call; speaker_stop, speaker_free.  From within the callbacks about routes
 * and neighbors any function but speaker_free, speaker_stop and speaker_tick may be called, and none while speaker_stop
 * runs; from connect, send and close none.
 * `now_ms` is of a clock that never goes back.  Attributes come from the table that speaker_new was given.  Pure;
 * control thread.
 */
#ifndef ISTHMUS_BGP_SPEAKER_H
#define ISTHMUS_BGP_SPEAKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bgp/neighbor.h"
#include "model/attrs.h"
#include "model/route.h"

struct speaker;

struct speaker_config {
	uint32_t as;
	uint32_t id;          /* BGP identifier, not 0, one of its own in the AS (RFC 6286) */
	bool restarting;      /* somebody ran here before, and neighbors may keep its routes (RFC 4724) */
	bool forwarding;      /* ... and what it left forwards still */
	/* After a restart: how long to wait for the neighbors that are known at the first speaker_tick before `ready`; above 0. */
	uint16_t deferral_s;
};

#define SPEAKER_DEFERRAL_S 120

struct speaker_ops {
	/* ---- transports; what is needed of MD5 and TTL stands in the configuration ---- */

	/* Begin to connect: 0 and the transport's number, or -errno when that failed at once. */
	int (*connect)(void *arg, const struct neighbor_config *n, uint64_t *handle);
	/* Returns how many bytes it took; when fewer, speaker_on_writable follows.  Errors come as speaker_on_closed later. */
	size_t (*send)(void *arg, uint64_t handle, const uint8_t *data, size_t size);
	/* What was taken is still to be delivered; it may be a NOTIFICATION, which a RST would overtake. */
	void (*close)(void *arg, uint64_t handle);

	/* ---- routes of neighbors, all of one family ---- */

	/* New or changed; returns how many the neighbor did not have before.  `attrs` is borrowed. */
	size_t (*route_put)(void *arg, const struct neighbor_config *n, const struct route_attrs *attrs,
			    const struct route_nlri *nlri, size_t length);
	/* Returns how many it had. */
	size_t (*route_remove)(void *arg, const struct neighbor_config *n, const struct route_nlri *nlri, size_t length);
	/* Its routes count on, but those that are not put again are to go ... */
	void (*neighbor_stale)(void *arg, const struct neighbor_config *n, enum route_family f);
	/* ... now; returns how many went.  A neighbor that is gone for good: the two in a row. */
	size_t (*neighbor_swept)(void *arg, const struct neighbor_config *n, enum route_family f);
	/*
	 * Once per family: whoever may tell us of routes after a restart has, or the time for that is over; what a former
	 * life left and nobody named again may go (RFC 4724 4.1).
	 */
	void (*ready)(void *arg, enum route_family f, const char *reason);

	/* ---- for logs and metrics ---- */

	void (*neighbor_state)(void *arg, const struct neighbor_config *n, enum neighbor_state old,
			       enum neighbor_state state, const char *reason);
	/* Something odd that changed no state.  A remote can cause it: limit its rate. */
	void (*notice)(void *arg, const struct neighbor_config *n, const char *text);

	uint32_t (*random)(void *arg);
};

int speaker_new(const struct speaker_config *config, struct attrs *table, const struct speaker_ops *ops, void *arg,
		uint64_t now_ms, struct speaker **out);
void speaker_free(struct speaker *s); /* NULL allowed; says nothing to anybody: speaker_stop does */

/*
 * New or changed.  A session goes on unless what was agreed in it changed; limits, description, times of retry, a key, and
 * what it may be told of are taken over at once, the hold time with the next session.  0; -EINVAL for a configuration that cannot be;
 * -ENOMEM (nothing changed).
 */
int speaker_neighbor_put(struct speaker *s, const struct neighbor_config *config, uint64_t now_ms);
void speaker_neighbor_remove(struct speaker *s, const struct addr *remote, uint64_t now_ms); /* with its routes */

void speaker_on_connected(struct speaker *s, uint64_t handle, uint64_t now_ms);
void speaker_on_connect_failed(struct speaker *s, uint64_t handle, const char *reason, uint64_t now_ms);
/* Somebody connected from `remote`.  Is it refused, it is told so and closed by the callback. */
void speaker_on_accepted(struct speaker *s, uint64_t handle, const struct addr *remote, uint64_t now_ms);
void speaker_on_bytes(struct speaker *s, uint64_t handle, const uint8_t *data, size_t size, uint64_t now_ms);
void speaker_on_writable(struct speaker *s, uint64_t handle, uint64_t now_ms);
/* By the neighbor, or it broke.  No speaker_ops.close follows. */
void speaker_on_closed(struct speaker *s, uint64_t handle, const char *reason, uint64_t now_ms);

void speaker_tick(struct speaker *s, uint64_t now_ms);
uint64_t speaker_next_ms(const struct speaker *s); /* 0 = at once; UINT64_MAX = nothing to do */

/* A route of this node, new or changed, of the tenant with that VNI.  0 or -ENOMEM (nothing changed). */
int speaker_announce(struct speaker *s, const struct route_nlri *nlri, const struct route_attrs *attrs, uint32_t tenant);
void speaker_withdraw(struct speaker *s, const struct route_key *key);
/* All routes that this node has in the family were announced: from now on neighbors get an End-of-RIB behind them. */
void speaker_synced(struct speaker *s, enum route_family f);

/* Asks the neighbor for all its routes of the family (RFC 2918).  0, -ENOTCONN, -EOPNOTSUPP. */
int speaker_refresh(struct speaker *s, const struct addr *remote, enum route_family f);
/* Tells the neighbor to begin anew: CEASE 4.  -ENOENT. */
int speaker_reset(struct speaker *s, const struct addr *remote, const char *text, uint64_t now_ms);

/*
 * Its transport is to be another one: as when the connection broke, so that both keep each other's routes where they can
 * (RFC 4724), and begins anew at once.  Who has no session connects at once.  -ENOENT.
 */
int speaker_reconnect(struct speaker *s, const struct addr *remote, const char *text, uint64_t now_ms);

/*
 * Ends all sessions.  `planned`: a successor is about to come, so neighbors that can are left to keep our routes
 * (RFC 4724: no NOTIFICATION); else CEASE 2 with the text (RFC 9003).  Nothing is said of routes: what forwards goes on.
 */
void speaker_stop(struct speaker *s, bool planned, const char *text, uint64_t now_ms);

const struct neighbor_config *speaker_neighbor(const struct speaker *s, const struct addr *remote); /* or NULL */
int speaker_neighbor_stats(const struct speaker *s, const struct addr *remote, struct neighbor_stats *out);
/* May the neighbor be told of routes of that tenant? */
bool speaker_tells(const struct speaker *s, const struct addr *remote, uint32_t tenant);
void speaker_neighbor_each(const struct speaker *s, void (*fn)(void *arg, const struct neighbor_config *n), void *arg);

#endif
