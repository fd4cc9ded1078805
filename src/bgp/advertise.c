/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What neighbors are told of the routes of this node, as fast as their transports take it: adjout.h between the
 * sessions and the local routes.
 */
#include <string.h>

#include "bgp/state.h"

#define RUN_MESSAGES 64 /* of a family in one go, so that sending does not keep the loop from hearing */

static void make_dirty(struct neighbor *n)
{
	if (n->dirty)
		return;
	n->dirty = true;
	TAILQ_INSERT_TAIL(&n->speaker->dirty, n, dirty_link);
}

static void make_clean(struct neighbor *n)
{
	if (!n->dirty)
		return;
	n->dirty = false;
	TAILQ_REMOVE(&n->speaker->dirty, n, dirty_link);
}

static void queue(struct neighbor *n, struct session *session, const uint8_t *message, size_t size)
{
	if (session_queue(session, message, size) < 0)
		n->starved = true;
	make_dirty(n);
	if (conn_room(session->conn) == 0)
		session_flush(session);
}

static void queue_end_of_rib(struct neighbor *n, struct session *session, enum route_family f)
{
	uint8_t message[MESSAGE_HEADER_SIZE + 64];
	struct writer w = writer_over(message, sizeof(message));

	update_encode_end_of_rib(&w, f);
	queue(n, session, message, writer_size(&w));
}

static size_t on_room(void *owner)
{
	return conn_room(neighbor_established(owner)->conn);
}

static void on_send(void *owner, const uint8_t *message, size_t size, size_t n_put, size_t n_removed)
{
	queue(owner, neighbor_established(owner), message, size);
}

/* RFC 4724 4.1: only now does the neighbor know that what we did not name is gone. */
static void on_told(void *owner, enum route_family f)
{
	queue_end_of_rib(owner, neighbor_established(owner), f);
}

const struct adjout_ops advertise_ops = {.room = on_room, .send = on_send, .told = on_told};

static struct adjout_view view_of(const struct session *session)
{
	struct adjout_view view;

	memset(&view, 0, sizeof(view));
	view.session.external = session->update.external;
	view.session.as4 = session->update.as4;
	view.session.extended = session->update.extended;
	view.session.own_as = session->update.own_as;
	view.session.peer_as = session->update.external ? session->update.peer_as : 0;
	view.session.families = session->update.families;
	view.session.add_path_out = session->update.add_path_out;
	view.session.extended_next_hop = session->update.extended_next_hop;
	view.grant = session->neighbor->grant;
	return view;
}

void advertise_begin(struct neighbor *n, struct session *session)
{
	struct speaker *s = n->speaker;
	struct adjout_view view = view_of(session);

	for (enum route_family f = 0; f < ROUTE_FAMILY_MAX; f++) {
		if (!(session->update.families & ROUTE_FAMILY_BIT(f)))
			continue;
		if (adjout_join(s->out[f], &view, n, &n->members[f]) < 0) {
			n->starved = true;
			make_dirty(n);
			return;
		}
		if (s->synced & ROUTE_FAMILY_BIT(f))
			adjout_ask(s->out[f], n->members[f]);
	}
}

void advertise_end_family(struct neighbor *n, enum route_family f)
{
	adjout_leave(n->speaker->out[f], n->members[f]);
	n->members[f] = NULL;
}

void advertise_end(struct neighbor *n)
{
	for (enum route_family f = 0; f < ROUTE_FAMILY_MAX; f++)
		advertise_end_family(n, f);
	make_clean(n);
	n->starved = false;
}

void advertise_wake(struct neighbor *n)
{
	for (enum route_family f = 0; f < ROUTE_FAMILY_MAX; f++)
		if (n->members[f])
			adjout_wake(n->speaker->out[f], n->members[f]);
}

void advertise_again(struct neighbor *n, enum route_family f)
{
	if (n->members[f] && adjout_rewind(n->speaker->out[f], n->members[f]) < 0) {
		n->starved = true;
		make_dirty(n);
	}
}

void advertise_granted(struct neighbor *n)
{
	for (enum route_family f = 0; f < ROUTE_FAMILY_MAX; f++)
		if (n->members[f] && adjout_grant(n->speaker->out[f], n->members[f], n->grant) < 0) {
			advertise_end_family(n, f); /* it is told nothing from here on, and its session ends */
			n->starved = true;
			make_dirty(n);
		}
}

static void synced_of(struct neighbor *n, enum route_family f)
{
	struct session *session = neighbor_established(n);

	if (!session || !(session->update.families & ROUTE_FAMILY_BIT(f)))
		return;
	if (n->members[f])
		adjout_ask(n->speaker->out[f], n->members[f]);
}

void advertise_synced(struct speaker *s, enum route_family f)
{
	struct neighbor *n;
	size_t cursor = 0;

	while ((n = hmap_next(&s->neighbors, &cursor)))
		synced_of(n, f);
}

/* To the transport goes what has gathered; who missed a message for want of memory has to begin anew. */
static void flush_dirty(struct speaker *s)
{
	struct neighbor *n;

	while ((n = TAILQ_FIRST(&s->dirty))) {
		struct session *session = neighbor_established(n);
		bool starved = n->starved;

		make_clean(n);
		if (starved)
			session_cease(session, CEASE_OUT_OF_RESOURCES, NULL, 0);
		else
			session_flush(session);
	}
}

bool advertise_run(struct speaker *s)
{
	bool more = false;

	for (enum route_family f = 0; f < ROUTE_FAMILY_MAX; f++)
		more |= adjout_run(s->out[f], RUN_MESSAGES);
	flush_dirty(s);
	return more;
}

bool advertise_has_work(const struct speaker *s)
{
	for (enum route_family f = 0; f < ROUTE_FAMILY_MAX; f++)
		if (adjout_has_work(s->out[f]))
			return true;
	return !TAILQ_EMPTY(&s->dirty);
}
