/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The readers of adjout: marks in its list, with the neighbors that have heard what is behind them.
 */
#include <stdlib.h>

#include "bgp/adjout_state.h"

void adjout_make_ready(struct adjout *out, struct mark *reader)
{
	if (reader->ready)
		return;
	reader->ready = true;
	TAILQ_INSERT_TAIL(&out->ready, reader, ready_link);
}

void adjout_make_unready(struct adjout *out, struct mark *reader)
{
	if (!reader->ready)
		return;
	reader->ready = false;
	TAILQ_REMOVE(&out->ready, reader, ready_link);
}

void adjout_wake_foremost(struct adjout *out)
{
	struct mark *reader = TAILQ_LAST(&out->readers, reader_list);

	/* Those at the end stand side by side in front of the first route that is fresh. */
	for (; reader; reader = TAILQ_PREV(reader, reader_list, order)) {
		struct node *next = TAILQ_NEXT(&reader->node, link);

		if (next && !next->is_reader && !next->fresh)
			break;
		adjout_make_ready(out, reader);
	}
}

/* ---- coming and going ---- */

struct mark *adjout_reader_new(const struct adjout_view *view, uint64_t first_tombstone)
{
	struct mark *reader = calloc(1, sizeof(*reader));

	if (!reader)
		return NULL;
	reader->node.is_reader = true;
	reader->view = *view;
	grant_ref(reader->view.grant);
	reader->first_tombstone = first_tombstone;
	TAILQ_INIT(&reader->members);
	return reader;
}

static void drop_pasts(struct adjout *out, struct mark *reader)
{
	struct past *past;

	while ((past = reader->pasts)) {
		reader->pasts = past->next;
		grant_unref(past->grant);
		free(past);
		out->n_pasts--;
	}
}

void adjout_reader_free(struct adjout *out, struct mark *reader)
{
	adjout_make_unready(out, reader);
	TAILQ_REMOVE(&out->list, &reader->node, link);
	TAILQ_REMOVE(&out->readers, reader, order);
	drop_pasts(out, reader);
	grant_unref(reader->view.grant);
	free(reader);
}

bool adjout_reader_is_rearmost(const struct adjout *out, const struct mark *reader)
{
	return TAILQ_FIRST(&out->readers) == reader;
}

struct route *adjout_reader_next(const struct mark *reader)
{
	struct node *node = TAILQ_NEXT(&reader->node, link);

	while (node && node->is_reader)
		node = TAILQ_NEXT(node, link);
	return node ? route_of(node) : NULL;
}

/* The rearmost one goes on alone while tombstones wait for somebody to pass them. */
void adjout_reader_free_if_empty(struct adjout *out, struct mark *reader)
{
	if (!TAILQ_EMPTY(&reader->members))
		return;
	if (adjout_reader_is_rearmost(out, reader) && out->n_tombstones + out->n_ghosts > 0)
		adjout_make_ready(out, reader);
	else
		adjout_reader_free(out, reader);
}

void adjout_reader_push_front(struct adjout *out, struct mark *reader)
{
	struct mark *rear = TAILQ_FIRST(&out->readers);

	TAILQ_INSERT_HEAD(&out->list, &reader->node, link);
	TAILQ_INSERT_HEAD(&out->readers, reader, order);
	if (rear && TAILQ_EMPTY(&rear->members))
		adjout_reader_free(out, rear); /* the new one passes the tombstones */
	adjout_make_ready(out, reader);
}

void adjout_member_move(struct adjout_member *member, struct mark *to)
{
	if (member->reader)
		TAILQ_REMOVE(&member->reader->members, member, link);
	member->reader = to;
	TAILQ_INSERT_TAIL(&to->members, member, link);
}

/* ---- meeting ---- */

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
	return !reader->pasts && !other->pasts && session_equal(&reader->view.session, &other->view.session) &&
	       grant_equal(reader->view.grant, other->view.grant);
}

static void step_over(struct adjout *out, struct mark *reader, struct mark *next)
{
	TAILQ_REMOVE(&out->list, &reader->node, link);
	TAILQ_INSERT_AFTER(&out->list, &next->node, &reader->node, link);
	TAILQ_REMOVE(&out->readers, reader, order);
	TAILQ_INSERT_AFTER(&out->readers, next, reader, order);
}

/*
 * Its members may then be told of the end of routes that they never had, which does no harm; the other way round it
 * would.
 */
static void merge(struct adjout *out, struct mark *reader, struct mark *next)
{
	struct adjout_member *member;

	if (!TAILQ_EMPTY(&reader->members) && reader->first_tombstone < next->first_tombstone)
		next->first_tombstone = reader->first_tombstone;
	while ((member = TAILQ_FIRST(&reader->members)))
		adjout_member_move(member, next);
	adjout_reader_free(out, reader);
	adjout_make_ready(out, next);
}

bool adjout_reader_meet(struct adjout *out, struct mark *reader, struct mark *next)
{
	if (TAILQ_EMPTY(&reader->members) || has_view_of(reader, next)) {
		merge(out, reader, next);
		return false;
	}
	step_over(out, reader, next);
	return true;
}

bool adjout_reader_split(struct adjout *out, struct mark *reader)
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
			blocked = adjout_reader_new(&reader->view, reader->first_tombstone);
			if (!blocked)
				return false; /* the fast wait for the slow */
			TAILQ_INSERT_BEFORE(&reader->node, &blocked->node, link);
			TAILQ_INSERT_BEFORE(reader, blocked, order);
		}
		adjout_member_move(member, blocked);
	}
	return true;
}

/* ---- what there is to say ---- */

void adjout_reader_remember(struct adjout *out, struct mark *reader, struct past *past)
{
	past->next = reader->pasts;
	reader->pasts = past;
	out->n_pasts++;
	out->last_grant = past->until;
}

void adjout_reader_forget(struct adjout *out, struct mark *reader)
{
	drop_pasts(out, reader);
}

/* As it is, under a grant of before. */
static bool has_heard(const struct mark *reader, const struct route *route)
{
	for (const struct past *past = reader->pasts; past; past = past->next)
		if (past->whole && route->changed <= past->until && grant_permits(past->grant, route->share->tenant))
			return true;
	return false;
}

static bool may_have_heard(const struct mark *reader, const struct route *route)
{
	for (const struct past *past = reader->pasts; past; past = past->next)
		if (route->born <= past->until && (route->row || route->changed > past->from) &&
		    grant_permits(past->grant, route->share->tenant))
			return true;
	return false;
}

/* The key is another tenant's now, of which members are told, too: its route takes the place of this one. */
static bool is_replaced(const struct adjout *out, const struct mark *reader, const struct route *ghost)
{
	const struct route *route = hmap_get(&out->routes, &ghost->nlri.key);

	return route && route->row && grant_permits(reader->view.grant, route->share->tenant);
}

enum saying adjout_reader_saying(const struct adjout *out, const struct mark *reader, const struct route *route)
{
	bool granted = grant_permits(reader->view.grant, route->share->tenant);

	if (TAILQ_EMPTY(&reader->members))
		return SAY_NOTHING;
	if (route->row && granted)
		return has_heard(reader, route) ? SAY_NOTHING : SAY_ROUTE;
	if (route->node.ghost && is_replaced(out, reader, route))
		return SAY_NOTHING;
	if (!route->row && granted && route->changed > reader->first_tombstone)
		return SAY_END;
	return may_have_heard(reader, route) ? SAY_END : SAY_NOTHING;
}
