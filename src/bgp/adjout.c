/* SPDX-License-Identifier: Apache-2.0 */
#include "bgp/adjout.h"

#include <errno.h>
#include <stdlib.h>

#include "bgp/adjout_state.h"

#define LOOK_AHEAD 1024 /* routes of other attributes stepped over while a message is filled */
#define SKIP 4096       /* routes and readers passed without a message before others have their turn */

/* ---- sending ---- */

/* The reader steps over the route, which may be anywhere in front of it with no other reader between. */
static void pass(struct adjout *out, struct mark *reader, struct route *route)
{
	TAILQ_REMOVE(&out->list, &route->node, link);
	route->node.fresh = false;
	if (!route->row && adjout_reader_is_rearmost(out, reader)) {
		adjout_route_free(out, route);
		return;
	}
	TAILQ_INSERT_BEFORE(&reader->node, &route->node, link);
	if (route->row && !TAILQ_EMPTY(&reader->members))
		route->node.known = true;
}

static size_t message_max(const struct update_session *session)
{
	return session->extended ? MESSAGE_EXTENDED_MAX : MESSAGE_MAX;
}

/* The routes of the next message: `first`, and what has the same attributes or ends like it, up to the next reader. */
static size_t collect(struct adjout *out, const struct mark *reader, struct route *first, enum saying saying)
{
	const struct update_session *session = &reader->view.session;
	bool add_path = session->add_path_out & ROUTE_FAMILY_BIT(out->family);
	size_t n = 0, looked = 0, size = 0, most = message_max(session);

	for (struct node *node = &first->node; node && !node->is_reader; node = TAILQ_NEXT(node, link)) {
		struct route *route = route_of(node);

		if (n == BATCH || size >= most)
			break;
		if ((saying == SAY_ROUTE && route->row != first->row) || adjout_reader_saying(out, reader, route) != saying) {
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
static void send_from(struct adjout *out, struct mark *reader, struct route *first, enum saying saying)
{
	const struct route_attrs *attrs = saying == SAY_ROUTE ? first->row->attrs : NULL;
	const struct adjout_view *view = &reader->view;
	size_t n = collect(out, reader, first, saying), done = 0;
	struct writer w = writer_over(out->message, message_max(&view->session));

	/*
	 * RFC 8654 4, RFC 8950 4: what is too large, or has a next hop that the neighbor does not understand, is withdrawn:
	 * it may have been said before it changed.
	 */
	if (attrs && update_encode(&view->session, attrs, out->nlri, n, &done, &w) < 0)
		attrs = NULL;
	if (!attrs && update_encode(&view->session, NULL, out->nlri, n, &done, &w) < 0)
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
		enum saying saying;

		if (!next) {
			adjout_reader_forget(out, reader);
			tell_members(out, reader);
			adjout_reader_free_if_empty(out, reader);
			return false;
		}
		if (next->is_reader) {
			if (!adjout_reader_meet(out, reader, reader_of(next)))
				return false;
			continue;
		}
		saying = adjout_reader_saying(out, reader, route_of(next));
		if (saying == SAY_NOTHING) {
			pass(out, reader, route_of(next));
			continue;
		}
		if (!adjout_reader_split(out, reader))
			return false;
		send_from(out, reader, route_of(next), saying);
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
	adjout_routes_init(o);
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
	hmap_fini(&out->routes); /* they are all in the list */
	while ((node = TAILQ_FIRST(&out->list))) {
		if (!node->is_reader) {
			TAILQ_REMOVE(&out->list, node, link);
			adjout_route_free(out, route_of(node));
			continue;
		}
		while ((member = TAILQ_FIRST(&reader_of(node)->members))) {
			TAILQ_REMOVE(&reader_of(node)->members, member, link);
			free(member);
		}
		adjout_reader_free(out, reader_of(node));
	}
	adjout_routes_fini(out);
	free(out);
}

int adjout_join(struct adjout *out, const struct adjout_view *view, void *owner, struct adjout_member **member)
{
	struct adjout_member *m = calloc(1, sizeof(*m));
	struct mark *reader = m ? adjout_reader_new(view, out->last_change) : NULL;

	if (!reader) {
		free(m);
		return -ENOMEM;
	}
	m->owner = owner;
	m->first_tombstone = out->last_change;
	adjout_member_move(m, reader);
	adjout_reader_push_front(out, reader);
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
	adjout_reader_free_if_empty(out, reader);
}

/* The member goes through the list again, with a reader of its own, to which goes what is not over of its old one. */
static void begin_again(struct adjout *out, struct adjout_member *member, struct mark *reader)
{
	struct mark *from = member->reader;
	struct past **last = &reader->pasts;

	while (*last)
		last = &(*last)->next;
	*last = from->pasts; /* if there are any, it is the only member */
	from->pasts = NULL;
	for (struct past *past = *last; past; past = past->next)
		past->whole = false;
	adjout_member_move(member, reader);
	adjout_reader_free_if_empty(out, from);
	adjout_reader_push_front(out, reader);
}

int adjout_rewind(struct adjout *out, struct adjout_member *member)
{
	struct mark *from = member->reader, *reader = adjout_reader_new(&from->view, member->first_tombstone);

	if (!reader)
		return -ENOMEM;
	begin_again(out, member, reader);
	return 0;
}

int adjout_grant(struct adjout *out, struct adjout_member *member, struct grant *grant)
{
	const struct mark *from = member->reader;
	struct adjout_view view = from->view;
	struct mark *reader;
	struct past *past;

	if (grant_equal(view.grant, grant))
		return 0;
	past = calloc(1, sizeof(*past));
	view.grant = grant;
	reader = past ? adjout_reader_new(&view, out->last_change) : NULL;
	if (!reader) {
		free(past);
		return -ENOMEM;
	}
	past->grant = grant_ref(from->view.grant);
	past->until = out->last_change;
	past->whole = !from->pasts && !adjout_reader_next(from);
	past->from = past->whole ? past->until : member->first_tombstone;
	member->first_tombstone = past->until;
	adjout_reader_remember(out, reader, past);
	begin_again(out, member, reader);
	return 0;
}

void adjout_wake(struct adjout *out, struct adjout_member *member)
{
	adjout_make_ready(out, member->reader);
}

void adjout_ask(struct adjout *out, struct adjout_member *member)
{
	member->asked = true;
	adjout_make_ready(out, member->reader);
}

bool adjout_run(struct adjout *out, unsigned budget)
{
	struct mark *reader;

	for (; budget > 0 && (reader = TAILQ_FIRST(&out->ready)); budget--) {
		adjout_make_unready(out, reader);
		if (step(out, reader))
			adjout_make_ready(out, reader);
	}
	return adjout_has_work(out);
}

bool adjout_has_work(const struct adjout *out)
{
	return !TAILQ_EMPTY(&out->ready);
}

static size_t n_granted(const struct adjout *out, const struct grant *grant)
{
	size_t n = 0;

	if (!grant)
		return adjout_length(out);
	for (size_t i = 0; i < grant->length; i++) {
		const struct share *share = hmap_get(&out->shares, &grant->tenants[i]);

		n += share ? share->n_routes : 0;
	}
	return n;
}

size_t adjout_n_told(const struct adjout *out, const struct adjout_member *member)
{
	size_t length = n_granted(out, member->reader->view.grant);

	return !adjout_reader_next(member->reader) || member->n_told > length ? length : member->n_told;
}

uint64_t adjout_version(const struct adjout *out, const struct adjout_member *member)
{
	const struct route *next = adjout_reader_next(member->reader);

	return next ? next->changed - 1 : out->last_change;
}
