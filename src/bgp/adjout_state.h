/* SPDX-License-Identifier: Apache-2.0 */
/*
 * adjout_state.h - what the files of adjout share; nobody else includes it.
 *
 * adjout.c: the verbs of adjout.h, and sending.  adjout_route.c: the routes, and where in the list they stand.
 * adjout_reader.c: the readers, their members, and what a reader has to say of a route that it meets.
 */
#ifndef ISTHMUS_BGP_ADJOUT_STATE_H
#define ISTHMUS_BGP_ADJOUT_STATE_H

#include <stddef.h>
#include <sys/queue.h>

#include "bgp/adjout.h"
#include "lib/hmap.h"

#define BATCH 1024 /* routes in a message, at most */

struct node { /* of the list: a route or a reader */
	TAILQ_ENTRY(node) link;
	bool is_reader;
	/* of a route */
	bool fresh; /* no reader has passed it since it changed */
	bool known; /* a reader has passed it with attributes: somebody may have to be told that it is gone */
	bool ghost; /* a tombstone of one that had the key before another: it is not in the table */
};

TAILQ_HEAD(node_list, node);

struct row { /* a set of attributes that routes have */
	const struct route_attrs *attrs; /* the key, and a reference */
	size_t n_routes;
	struct route *last; /* the one that was put beside or at the end last; NULL: it has gone elsewhere */
};

struct share { /* of a tenant */
	uint32_t tenant; /* key */
	size_t n_routes; /* without tombstones */
	size_t n_references;
};

/* Changes are numbered; so are the births of routes, which may change later. */
struct route {
	struct node node;
	struct row *row; /* NULL: a tombstone */
	struct share *share;
	uint64_t born, changed;
	struct route_nlri nlri;
};

/*
 * What members were told under a grant of before, and perhaps have to be told is gone: routes of its tenants that were
 * born up to change `until`, and the end of such that ended after change `from`.
 */
struct past {
	struct past *next;
	struct grant *grant; /* a reference; NULL = everything */
	uint64_t from, until;
	bool whole; /* ... and they were told all that there was, as it was then */
};

struct mark {
	struct node node;
	TAILQ_ENTRY(mark) order; /* of all readers, as they stand in the list */
	TAILQ_ENTRY(mark) ready_link;
	bool ready;
	TAILQ_HEAD(member_list, adjout_member) members; /* none: it only clears tombstones away */
	struct adjout_view view;                        /* with a reference of the grant */
	uint64_t first_tombstone; /* those up to this change are of before its members' time, or of before this grant */
	struct past *pasts;       /* until it gets to the end; it has one member as long as it has any */
};

struct adjout_member {
	TAILQ_ENTRY(adjout_member) link;
	struct mark *reader;
	void *owner;
	uint64_t first_tombstone; /* as its reader's, which is that of all its members */
	size_t n_told;
	bool asked; /* for ops.told */
};

TAILQ_HEAD(reader_list, mark);

struct adjout {
	enum route_family family;
	struct attrs *table;
	const struct adjout_ops *ops;
	struct hmap routes; /* struct route by nlri.key, tombstones too */
	struct hmap rows;   /* struct row by attrs */
	struct hmap shares; /* struct share by tenant */
	struct node_list list;
	struct reader_list readers, ready;
	size_t n_tombstones, n_ghosts, n_pasts;
	uint64_t last_change, last_grant; /* the change before another grant was given last */
	struct route *batch[BATCH];
	struct route_nlri nlri[BATCH];
	uint8_t message[MESSAGE_EXTENDED_MAX];
};

static inline struct route *route_of(struct node *node)
{
	return (struct route *)((char *)node - offsetof(struct route, node));
}

static inline struct mark *reader_of(struct node *node)
{
	return (struct mark *)((char *)node - offsetof(struct mark, node));
}

/* ---- adjout_route.c ---- */

void adjout_routes_init(struct adjout *out);
void adjout_routes_fini(struct adjout *out); /* the list is empty */
/* Out of the list already. */
void adjout_route_free(struct adjout *out, struct route *route);

/* ---- adjout_reader.c ---- */

enum saying { /* what members have to hear of a route that their reader meets */
	SAY_NOTHING,
	SAY_ROUTE,
	SAY_END,
};

void adjout_make_ready(struct adjout *out, struct mark *reader);
void adjout_make_unready(struct adjout *out, struct mark *reader);
/* Something new stands at the end: whoever was there has work. */
void adjout_wake_foremost(struct adjout *out);

struct mark *adjout_reader_new(const struct adjout_view *view, uint64_t first_tombstone); /* NULL: no memory */
void adjout_reader_free(struct adjout *out, struct mark *reader);
void adjout_reader_free_if_empty(struct adjout *out, struct mark *reader); /* it lost a member */
void adjout_reader_push_front(struct adjout *out, struct mark *reader);
bool adjout_reader_is_rearmost(const struct adjout *out, const struct mark *reader);
struct route *adjout_reader_next(const struct mark *reader); /* the first in front of it; NULL: it is at the end */
/* `reader` is right behind `next`: it becomes part of it (false), or steps over it (true). */
bool adjout_reader_meet(struct adjout *out, struct mark *reader, struct mark *next);
/* Members whose transport takes nothing get a reader of their own, here.  False: that is all of them. */
bool adjout_reader_split(struct adjout *out, struct mark *reader);
/* Its one member had another grant before; takes `past`. */
void adjout_reader_remember(struct adjout *out, struct mark *reader, struct past *past);
/* It has got to the end: of what was before nobody has to be told any more. */
void adjout_reader_forget(struct adjout *out, struct mark *reader);
enum saying adjout_reader_saying(const struct adjout *out, const struct mark *reader, const struct route *route);
void adjout_member_move(struct adjout_member *member, struct mark *to);

#endif
