/* SPDX-License-Identifier: Apache-2.0 */
/*
 * adjout.h - what has to be sent: the routes of this node in one address family, and how far each neighbor was told.
 *
 * All routes stand in one list in the order in which they changed last.  A reader is a mark in that list: what is in
 * front of it, its members (neighbors with the same view) were not told yet; what is behind it, they were.  A route
 * that changes moves to the end, so a newer change takes the place of one that was not sent, without a queue per
 * neighbor; a withdrawn route stays as a tombstone until the last reader has passed.  A neighbor that comes up starts
 * at the front, and has the full table when it gets to the end.  A route costs the same whatever the number of
 * neighbors, and a neighbor the same whatever the number of routes.
 *
 * Members of one reader share the encoding of every message (an update group).  A member whose transport takes nothing
 * now is split off into a reader of its own, and readers with the same view that meet become one, so the slow do not
 * hold up the fast.
 *
 * Packing: a route that changes is put beside others with the same attributes as long as no reader has passed those, and
 * a message looks some routes ahead for more of its attributes.
 *
 *            passed by both     passed by B     by nobody
 *   front  r1 r2 (A) r3 t4 r5 (B) r6 r7 r8 t9   end          r: route, t: tombstone
 *
 * A route belongs to a tenant, and a view has a grant: of other tenants' routes its members hear nothing, neither that they
 * come nor that they go.  A neighbor whose grant changes begins at the front again and hears only what is different: the
 * end of what it may have been told and may not any more, what is new to it, and what has changed meanwhile.  One that had
 * not been told all yet hears the rest of its grant with it, some of it again.
 *
 * Call order: adjout_new, adjout_put and adjout_remove at any time; adjout_join for a neighbor that is up, adjout_leave
 * when it is not; adjout_run until it returns false, and again after adjout_wake.  No callback may call back.  Pure;
 * control thread.
 */
#ifndef ISTHMUS_BGP_ADJOUT_H
#define ISTHMUS_BGP_ADJOUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bgp/grant.h"
#include "bgp/update.h"
#include "model/attrs.h"
#include "model/route.h"

struct adjout;
struct adjout_member;

/* What an UPDATE looks like, and what there are UPDATEs about, depends on this and on nothing else of a neighbor. */
struct adjout_view {
	struct update_session session;
	struct grant *grant; /* borrowed; NULL = everything */
};

/* What the owner of a member does; `owner` is what adjout_join was given. */
struct adjout_ops {
	size_t (*room)(void *owner); /* bytes that its transport takes now; 0: not before adjout_wake */
	/* n_put and n_removed: routes in the message */
	void (*send)(void *owner, const uint8_t *message, size_t size, size_t n_put, size_t n_removed);
	void (*told)(void *owner, enum route_family family); /* it was sent all there is, as asked for by adjout_ask */
};

int adjout_new(enum route_family family, struct attrs *table, const struct adjout_ops *ops, struct adjout **out);
void adjout_free(struct adjout *out); /* NULL allowed; frees members too */

/* A route of this node and tenant, new or changed; takes a reference of `attrs`.  0 or -ENOMEM (nothing changed). */
int adjout_put(struct adjout *out, const struct route_nlri *nlri, const struct route_attrs *attrs, uint32_t tenant);
void adjout_remove(struct adjout *out, const struct route_key *key); /* unknown ones are ignored */

/* The neighbor is up and knows nothing.  0 or -ENOMEM. */
int adjout_join(struct adjout *out, const struct adjout_view *view, void *owner, struct adjout_member **member);
void adjout_leave(struct adjout *out, struct adjout_member *member); /* NULL allowed */
/* It wants to be told everything again (RFC 2918).  0 or -ENOMEM. */
int adjout_rewind(struct adjout *out, struct adjout_member *member);
/* From now on it is told of these tenants; `grant` is borrowed.  0 or -ENOMEM (nothing changed: do not let it go on). */
int adjout_grant(struct adjout *out, struct adjout_member *member, struct grant *grant);
void adjout_wake(struct adjout *out, struct adjout_member *member); /* its transport takes bytes again */
/* When it was sent all there is, ops.told says so, once. */
void adjout_ask(struct adjout *out, struct adjout_member *member);

/* Sends up to `budget` messages.  True: there is more to send to somebody who takes it. */
bool adjout_run(struct adjout *out, unsigned budget);
bool adjout_has_work(const struct adjout *out); /* adjout_run would do something */

size_t adjout_length(const struct adjout *out); /* routes */
/* Routes that the member was told of: exact when it has been told all, before that what was sent so far. */
size_t adjout_n_told(const struct adjout *out, const struct adjout_member *member);
/* The number of the last change that it was told of, or did not have to be; changes are counted from 1 on. */
uint64_t adjout_version(const struct adjout *out, const struct adjout_member *member);

#endif
