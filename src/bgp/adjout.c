/* SPDX-License-Identifier: Apache-2.0 */
#include "bgp/adjout.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "lib/hmap.h"

#define BATCH 1024      /* routes in a message, at most */
#define LOOK_AHEAD 1024 /* routes of other attributes stepped over while a message is filled */
#define SKIP 4096       /* routes and readers passed without a message before others have their turn */

struct node { /* of the list: a route or a reader */
	TAILQ_ENTRY(node) link;
	bool is_reader;
	/* of a route */
	bool fresh; /* no reader has passed it since it changed */
	bool known; /* a reader has passed it with attributes: somebody may have to be told that it is gone */
};

TAILQ_HEAD(node_list, node);

struct row { /* a set of attributes that routes have */
	const struct route_attrs *attrs; /* the key, and a reference */
	size_t n_routes;
	struct route *last; /* the one that was put beside or at the end last; NULL: it has gone elsewhere */
};

struct route {
	struct node node;
	struct row *row;     /* NULL: a tombstone */
	uint64_t tombstone;  /* ... and its number */
	struct route_nlri nlri;
};

struct mark {
	struct node node;
	TAILQ_ENTRY(mark) order; /* of all readers, as they stand in the list */
	TAILQ_ENTRY(mark) ready_link;
	bool ready;
	TAILQ_HEAD(member_list, adjout_member) members; /* none: it only clears tombstones away */
	struct adjout_view view;
	uint64_t first_tombstone; /* those up to this number are of before its members' time */
};

struct adjout_member {
	TAILQ_ENTRY(adjout_member) link;
	struct mark *reader;
	void *owner;
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
	struct node_list list;
	struct reader_list readers, ready;
	size_t n_tombstones;
	uint64_t last_tombstone;
	struct route *batch[BATCH];
	struct route_nlri nlri[BATCH];
	uint8_t message[MESSAGE_EXTENDED_MAX];
};

static struct route *route_of(struct node *node)
{
	return (struct route *)((char *)node - offsetof(struct route, node));
}

static struct mark *reader_of(struct node *node)
{
	return (struct mark *)((char *)node - offsetof(struct mark, node));
}

/* ---- routes ---- */

static struct row *row_get(struct adjout *out, const struct route_attrs *attrs)
{
	struct row *row = hmap_get(&out->rows, &attrs);

	if (row)
		return row;
	row = calloc(1, sizeof(*row));
	if (!row)
		return NULL;
	row->attrs = attrs;
	if (hmap_add(&out->rows, row) < 0) {
		free(row);
		return NULL;
	}
	attrs_ref(attrs);
	return row;
}

static void row_drop_if_unused(struct adjout *out, struct row *row)
{
	if (row->n_routes > 0)
		return;
	hmap_remove(&out->rows, &row->attrs);
	attrs_unref(out->table, row->attrs);
	free(row);
}

static void route_leave_row(struct adjout *out, struct route *route)
{
	struct row *row = route->row;

	if (!row)
		return;
	if (row->last == route)
		row->last = NULL;
	route->row = NULL;
	row->n_routes--;
	row_drop_if_unused(out, row);
}

/* A map that has become far too large is made anew, so that its memory goes back. */
static void shrink(struct hmap *map, struct hmap fresh)
{
	size_t cursor = 0;
	void *item;

	if (map->length == 0) {
		hmap_fini(map);
		return;
	}
	if (map->n_slots < 1024 || map->length > map->n_slots / 16)
		return;
	while ((item = hmap_next(map, &cursor))) {
		if (hmap_add(&fresh, item) < 0) {
			hmap_fini(&fresh); /* the large one serves as well */
			return;
		}
	}
	hmap_fini(map);
	*map = fresh;
}

/* Out of the list already. */
static void route_free(struct adjout *out, struct route *route)
{
	if (!route->row)
		out->n_tombstones--;
	route_leave_row(out, route);
	hmap_remove(&out->routes, &route->nlri.key);
	shrink(&out->routes, HMAP_INIT(struct route, nlri.key));
	free(route);
}

/* Into the part of the list that no reader has passed: beside one with the same attributes, or at the end. */
static void route_append(struct adjout *out, struct route *route)
{
	struct row *row = route->row;

	if (row && row->last && row->last->node.fresh)
		TAILQ_INSERT_AFTER(&out->list, &row->last->node, &route->node, link);
	else
		TAILQ_INSERT_TAIL(&out->list, &route->node, link);
	if (row)
		row->last = route;
	route->node.fresh = true;
}

/* ---- readers ---- */

static void make_ready(struct adjout *out, struct mark *reader)
{
	if (reader->ready)
		return;
	reader->ready = true;
	TAILQ_INSERT_TAIL(&out->ready, reader, ready_link);
}

static void make_unready(struct adjout *out, struct mark *reader)
{
	if (!reader->ready)
		return;
	reader->ready = false;
	TAILQ_REMOVE(&out->ready, reader, ready_link);
}

static struct mark *reader_new(const struct adjout_view *view, uint64_t first_tombstone)
{
	struct mark *reader = calloc(1, sizeof(*reader));

	if (!reader)
		return NULL;
	reader->node.is_reader = true;
	reader->view = *view;
	reader->first_tombstone = first_tombstone;
	TAILQ_INIT(&reader->members);
	return reader;
}

static void reader_free(struct adjout *out, struct mark *reader)
{
	make_unready(out, reader);
	TAILQ_REMOVE(&out->list, &reader->node, link);
	TAILQ_REMOVE(&out->readers, reader, order);
	free(reader);
}

static bool is_rearmost(const struct adjout *out, const struct mark *reader)
{
	return TAILQ_FIRST(&out->readers) == reader;
}

/* It lost a member.  The rearmost one goes on alone while tombstones wait for somebody to pass them. */
static void reader_free_if_empty(struct adjout *out, struct mark *reader)
{
	if (!TAILQ_EMPTY(&reader->members))
		return;
	if (is_rearmost(out, reader) && out->n_tombstones > 0)
		make_ready(out, reader);
	else
		reader_free(out, reader);
}

static void reader_push_front(struct adjout *out, struct mark *reader)
{
	struct mark *rear = TAILQ_FIRST(&out->readers);

	TAILQ_INSERT_HEAD(&out->list, &reader->node, link);
	TAILQ_INSERT_HEAD(&out->readers, reader, order);
	if (rear && TAILQ_EMPTY(&rear->members))
		reader_free(out, rear); /* the new one passes the tombstones */
	make_ready(out, reader);
}

static void member_move(struct adjout_member *member, struct mark *to)
{
	if (member->reader)
		TAILQ_REMOVE(&member->reader->members, member, link);
	member->reader = to;
	TAILQ_INSERT_TAIL(&to->members, member, link);
}

static bool session_equal(const struct update_session *a, const struct update_session *b)
{
	return a->external == b->external && a->as4 == b->as4 && a->extended == b->extended && a->own_as == b->own_as &&
	       a->peer_as == b->peer_as && a->families == b->families && a->add_path_in == b->add_path_in &&
	       a->add_path_out == b->add_path_out && a->extended_next_hop == b->extended_next_hop &&
	       a->disable_family == b->disable_family;
}

/* What is in between the members of a struct is not compared. */
static bool has_view_of(const struct mark *reader, const struct mark *other)
{
	const struct update_export *a = &reader->view.export, *b = &other->view.export;

	return session_equal(&reader->view.session, &other->view.session) && addr_equal(&a->next_hop, &b->next_hop) &&
	       addr_equal(&a->link_local, &b->link_local) && a->prepend == b->prepend;
}

/* `reader` is right behind `next`, which has another view. */
static void step_over(struct adjout *out, struct mark *reader, struct mark *next)
{
	TAILQ_REMOVE(&out->list, &reader->node, link);
	TAILQ_INSERT_AFTER(&out->list, &next->node, &reader->node, link);
	TAILQ_REMOVE(&out->readers, reader, order);
	TAILQ_INSERT_AFTER(&out->readers, next, reader, order);
}

/*
 * `reader` is right behind `next` and becomes part of it.  Its members may then be told of the end of routes that they
 * never had, which does no harm; the other way round it would.
 */
static void merge(struct adjout *out, struct mark *reader, struct mark *next)
{
	struct adjout_member *member;

	if (!TAILQ_EMPTY(&reader->members) && reader->first_tombstone < next->first_tombstone)
		next->first_tombstone = reader->first_tombstone;
	while ((member = TAILQ_FIRST(&reader->members)))
		member_move(member, next);
	reader_free(out, reader);
	make_ready(out, next);
}

/* Members whose transport takes nothing get a reader of their own, here.  False: that is all of them. */
static bool split_off_blocked(struct adjout *out, struct mark *reader)
{
	struct adjout_member *member, *following;
	struct mark *blocked = NULL;
	size_t n_open = 0;

	TAILQ_FOREACH(member, &reader->members, link)
		n_open += out->ops->room(member->owner) > 0;
	if (n_open == 0)
		return TAILQ_EMPTY(&reader->members);
	for (member = TAILQ_FIRST(&reader->members); member; member = following) {
		following = TAILQ_NEXT(member, link);
		if (out->ops->room(member->owner) > 0)
			continue;
		if (!blocked) {
			blocked = reader_new(&reader->view, reader->first_tombstone);
			if (!blocked)
				return false; /* the fast wait for the slow */
			TAILQ_INSERT_BEFORE(&reader->node, &blocked->node, link);
			TAILQ_INSERT_BEFORE(reader, blocked, order);
		}
		member_move(member, blocked);
	}
	return true;
}

/* ---- sending ---- */

/* The reader steps over the route, which may be anywhere in front of it with no other reader between. */
static void pass(struct adjout *out, struct mark *reader, struct route *route)
{
	TAILQ_REMOVE(&out->list, &route->node, link);
	route->node.fresh = false;
	if (!route->row && is_rearmost(out, reader)) {
		route_free(out, route);
		return;
	}
	TAILQ_INSERT_BEFORE(&reader->node, &route->node, link);
	if (route->row && !TAILQ_EMPTY(&reader->members))
		route->node.known = true;
}

static bool is_before_its_time(const struct mark *reader, const struct route *route)
{
	return !route->row && (route->tombstone <= reader->first_tombstone || TAILQ_EMPTY(&reader->members));
}

static size_t message_max(const struct update_session *session)
{
	return session->extended ? MESSAGE_EXTENDED_MAX : MESSAGE_MAX;
}

/* The routes of the next message: `first` and what has the same attributes, up to the next reader. */
static size_t collect(struct adjout *out, const struct mark *reader, struct route *first)
{
	const struct update_session *session = &reader->view.session;
	bool add_path = session->add_path_out & ROUTE_FAMILY_BIT(out->family);
	size_t n = 0, looked = 0, size = 0, most = message_max(session);

	for (struct node *node = &first->node; node && !node->is_reader; node = TAILQ_NEXT(node, link)) {
		struct route *route = route_of(node);

		if (n == BATCH || size >= most)
			break;
		if (route->row != first->row || is_before_its_time(reader, route)) {
			if (looked++ == LOOK_AHEAD)
				break;
			continue;
		}
		size += nlri_size(&route->nlri, add_path);
		out->batch[n] = route;
		out->nlri[n++] = route->nlri;
	}
	return n;
}

static void deliver(struct adjout *out, struct mark *reader, size_t size, size_t n_put, size_t n_removed)
{
	struct adjout_member *member;

	TAILQ_FOREACH(member, &reader->members, link) {
		member->n_told += n_put;
		out->ops->send(member->owner, out->message, size, n_put, n_removed);
	}
}

/* One message from `first` on. */
static void send_from(struct adjout *out, struct mark *reader, struct route *first)
{
	const struct route_attrs *attrs = first->row ? first->row->attrs : NULL;
	const struct adjout_view *view = &reader->view;
	size_t n = collect(out, reader, first), done = 0;
	struct writer w = writer_over(out->message, message_max(&view->session));

	/*
	 * RFC 8654 4, RFC 8950 4: what is too large, or has a next hop that the neighbor does not understand, is withdrawn:
	 * it may have been said before it changed.
	 */
	if (attrs && update_encode(&view->session, &view->export, attrs, out->nlri, n, &done, &w) < 0)
		attrs = NULL;
	if (!attrs && update_encode(&view->session, &view->export, NULL, out->nlri, n, &done, &w) < 0)
		done = n; /* a neighbor that cannot be told of its end was not told of it before */
	if (writer_size(&w) > 0)
		deliver(out, reader, writer_size(&w), attrs ? done : 0, attrs ? 0 : done);
	for (size_t i = 0; i < done; i++)
		pass(out, reader, out->batch[i]);
}

static void tell_members(struct adjout *out, struct mark *reader)
{
	struct adjout_member *member;

	TAILQ_FOREACH(member, &reader->members, link) {
		if (!member->asked)
			continue;
		member->asked = false;
		out->ops->told(member->owner, out->family);
	}
}

/* Goes on up to and with one message.  False: nothing more to do before something changes. */
static bool step(struct adjout *out, struct mark *reader)
{
	for (unsigned skipped = 0; skipped < SKIP; skipped++) {
		struct node *next = TAILQ_NEXT(&reader->node, link);
		struct route *route;

		if (!next) {
			tell_members(out, reader);
			reader_free_if_empty(out, reader);
			return false;
		}
		if (next->is_reader) {
			if (TAILQ_EMPTY(&reader->members) || has_view_of(reader, reader_of(next))) {
				merge(out, reader, reader_of(next));
				return false;
			}
			step_over(out, reader, reader_of(next));
			continue;
		}
		route = route_of(next);
		if (TAILQ_EMPTY(&reader->members) || is_before_its_time(reader, route)) {
			pass(out, reader, route);
			continue;
		}
		if (!split_off_blocked(out, reader))
			return false;
		send_from(out, reader, route);
		return true;
	}
	return true;
}

/* ---- verbs ---- */

int adjout_new(enum route_family family, struct attrs *table, const struct adjout_ops *ops, struct adjout **out)
{
	struct adjout *o = calloc(1, sizeof(*o));

	if (!o)
		return -ENOMEM;
	o->family = family;
	o->table = table;
	o->ops = ops;
	o->routes = HMAP_INIT(struct route, nlri.key);
	o->rows = HMAP_INIT(struct row, attrs);
	TAILQ_INIT(&o->list);
	TAILQ_INIT(&o->readers);
	TAILQ_INIT(&o->ready);
	*out = o;
	return 0;
}

void adjout_free(struct adjout *out)
{
	struct adjout_member *member;
	struct node *node;

	if (!out)
		return;
	while ((node = TAILQ_FIRST(&out->list))) {
		if (!node->is_reader) {
			TAILQ_REMOVE(&out->list, node, link);
			route_leave_row(out, route_of(node));
			free(route_of(node));
			continue;
		}
		while ((member = TAILQ_FIRST(&reader_of(node)->members))) {
			TAILQ_REMOVE(&reader_of(node)->members, member, link);
			free(member);
		}
		reader_free(out, reader_of(node));
	}
	hmap_fini(&out->routes);
	hmap_fini(&out->rows);
	free(out);
}

/* Something new stands at the end: whoever was there has work. */
static void wake_foremost(struct adjout *out)
{
	struct mark *reader = TAILQ_LAST(&out->readers, reader_list);

	/* Those at the end stand side by side in front of the first route that is fresh. */
	for (; reader; reader = TAILQ_PREV(reader, reader_list, order)) {
		struct node *next = TAILQ_NEXT(&reader->node, link);

		if (next && !next->is_reader && !next->fresh)
			break;
		make_ready(out, reader);
	}
}

int adjout_put(struct adjout *out, const struct route_nlri *nlri, const struct route_attrs *attrs)
{
	struct route *route = hmap_get(&out->routes, &nlri->key);
	struct row *row;

	if (route && route->row && route->row->attrs == attrs && route_nlri_equal(&route->nlri, nlri))
		return 0;
	row = row_get(out, attrs);
	if (!row)
		return -ENOMEM;
	if (!route) {
		route = calloc(1, sizeof(*route));
		if (route)
			route->nlri = *nlri;
		if (!route || hmap_add(&out->routes, route) < 0) {
			free(route);
			row_drop_if_unused(out, row);
			return -ENOMEM;
		}
	} else {
		TAILQ_REMOVE(&out->list, &route->node, link);
		if (!route->row)
			out->n_tombstones--;
	}
	row->n_routes++;
	route_leave_row(out, route);
	route->row = row;
	route->nlri = *nlri;
	route_append(out, route);
	wake_foremost(out);
	return 0;
}

void adjout_remove(struct adjout *out, const struct route_key *key)
{
	struct route *route = hmap_get(&out->routes, key);

	if (!route || !route->row)
		return;
	TAILQ_REMOVE(&out->list, &route->node, link);
	route_leave_row(out, route);
	route->tombstone = ++out->last_tombstone;
	out->n_tombstones++;
	if (!route->node.known || TAILQ_EMPTY(&out->readers)) {
		route_free(out, route); /* nobody was told of it */
		return;
	}
	route_append(out, route);
	wake_foremost(out);
}

int adjout_join(struct adjout *out, const struct adjout_view *view, void *owner, struct adjout_member **member)
{
	struct adjout_member *m = calloc(1, sizeof(*m));
	struct mark *reader = reader_new(view, out->last_tombstone);

	if (!m || !reader) {
		free(m);
		free(reader);
		return -ENOMEM;
	}
	m->owner = owner;
	member_move(m, reader);
	reader_push_front(out, reader);
	*member = m;
	return 0;
}

void adjout_leave(struct adjout *out, struct adjout_member *member)
{
	struct mark *reader;

	if (!member)
		return;
	reader = member->reader;
	TAILQ_REMOVE(&reader->members, member, link);
	free(member);
	reader_free_if_empty(out, reader);
}

int adjout_rewind(struct adjout *out, struct adjout_member *member)
{
	struct mark *from = member->reader, *reader = reader_new(&from->view, from->first_tombstone);

	if (!reader)
		return -ENOMEM;
	member_move(member, reader);
	reader_free_if_empty(out, from);
	reader_push_front(out, reader);
	return 0;
}

void adjout_wake(struct adjout *out, struct adjout_member *member)
{
	make_ready(out, member->reader);
}

void adjout_ask(struct adjout *out, struct adjout_member *member)
{
	member->asked = true;
	make_ready(out, member->reader);
}

bool adjout_run(struct adjout *out, unsigned budget)
{
	struct mark *reader;

	for (; budget > 0 && (reader = TAILQ_FIRST(&out->ready)); budget--) {
		make_unready(out, reader);
		if (step(out, reader))
			make_ready(out, reader);
	}
	return adjout_has_work(out);
}

bool adjout_has_work(const struct adjout *out)
{
	return !TAILQ_EMPTY(&out->ready);
}

size_t adjout_length(const struct adjout *out)
{
	return out->routes.length - out->n_tombstones;
}

size_t adjout_n_told(const struct adjout *out, const struct adjout_member *member)
{
	const struct node *node = &member->reader->node;
	size_t length = adjout_length(out);

	do
		node = TAILQ_NEXT(node, link);
	while (node && node->is_reader);
	return !node || member->n_told > length ? length : member->n_told;
}
