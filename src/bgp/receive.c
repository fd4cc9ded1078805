/* SPDX-License-Identifier: Apache-2.0 */
/*
 * UPDATEs in: what of them counts, handed over in batches of routes that share their attributes.
 *
 * The decoder has judged the message as a whole, the first AS of a path included; here stand the rules that need to know
 * who we are.  What they refuse is taken as withdrawn: the neighbor has nothing else for that destination now.
 */
#include "bgp/state.h"

#define BATCH 128
#define ATTRS_SIZE (1u << 20)  /* bytes of attributes that any neighbor may have ... */
#define ATTRS_PER_ROUTE 1024   /* ... and for each route that it may have; most have 400, shared by many */

struct batch {
	struct session *session;
	struct conn *conn;
	const struct route_attrs *attrs; /* NULL: withdrawn */
	enum route_family family;
	size_t length;
	struct route_nlri nlri[BATCH];
};

/*
 * Routes that are ours come back from every reflector, and others by a loop.  They are counted and not told: they come as
 * often as routes change.
 */
static bool has_looped(const struct session *session, const struct route_attrs *a)
{
	const struct speaker_config *we = &session->neighbor->speaker->config;

	if (route_path_contains(a, we->as)) /* RFC 4271 9.1.2 */
		return true;
	if ((a->has & ROUTE_HAS_ORIGINATOR_ID) && a->originator_id == we->id) /* RFC 4456 8 */
		return true;
	for (uint32_t i = 0; i < a->n_clusters; i++)
		if (a->clusters[i] == we->id) /* RFC 4456 8 */
			return true;
	return false;
}

/*
 * Stale routes are those of the session before, and a neighbor that renumbered over its restart may not have been told that
 * we still hold them; they go with its End-of-RIB, and count then.  Till then what it may hold is bounded, too: by twice
 * the limit.
 */
static size_t allowed(const struct neighbor *n, enum route_family f)
{
	size_t limit = n->config.max_prefix[f];

	return limit + (n->n_stale[f] < limit ? n->n_stale[f] : limit);
}

/* RFC 4486 4: the data name the family and the limit. */
static void check_limit(struct session *session, enum route_family f)
{
	struct neighbor *n = session->neighbor;
	uint32_t limit = n->config.max_prefix[f];
	uint8_t data[7];
	struct writer w = writer_over(data, sizeof(data));
	struct notification error = {NOTIFICATION_CEASE, CEASE_MAXIMUM_PREFIXES, data, sizeof(data)};

	if (limit == 0 || n->stats.n_received[f] <= allowed(n, f))
		return;
	writer_u16(&w, family_afi(f));
	writer_u8(&w, family_safi(f));
	writer_u32(&w, limit);
	session_fail(session, &error, ENDING_PREFIXES | ENDING_PERMANENT);
}

/*
 * Attributes may be far larger than routes, and each route have its own: they are bounded by what so many routes as are
 * allowed may have.  Who has no limit of routes has none of these.
 */
static size_t attrs_allowed(const struct neighbor *n, const struct session *session)
{
	size_t size = ATTRS_SIZE;

	for (enum route_family f = 0; f < ROUTE_FAMILY_MAX; f++) {
		if (!(session->update.families & ROUTE_FAMILY_BIT(f)))
			continue;
		if (n->config.max_prefix[f] == 0)
			return SIZE_MAX;
		size += allowed(n, f) * ATTRS_PER_ROUTE;
	}
	return size;
}

static void end_for_attrs(struct session *session)
{
	struct neighbor *n = session->neighbor;
	struct conn *conn = session->conn;

	neighbor_notice(n, "its attributes take %zu bytes, more than its maximum_prefix allows for", n->account->size);
	if (session_is(session, conn))
		session_cease(session, CEASE_OUT_OF_RESOURCES, NULL, ENDING_PREFIXES | ENDING_PERMANENT);
}

void receive_check_limits(struct neighbor *n)
{
	struct session *session = neighbor_established(n);
	struct conn *conn = session ? session->conn : NULL;

	for (enum route_family f = 0; f < ROUTE_FAMILY_MAX && conn && session_is(session, conn); f++)
		check_limit(session, f);
}

static void hand_over(struct batch *b)
{
	struct neighbor *n = b->session->neighbor;
	struct speaker *s = n->speaker;
	size_t *n_received = &n->stats.n_received[b->family], fresh = 0, gone = 0;
	bool looped = b->attrs && has_looped(b->session, b->attrs);

	if (looped)
		n->stats.n_looped += b->length;
	if (b->attrs && !looped)
		fresh = s->ops->route_put(s->arg, &n->config, b->attrs, b->nlri, b->length);
	else
		gone = s->ops->route_remove(s->arg, &n->config, b->nlri, b->length);
	if (!session_is(b->session, b->conn))
		return; /* and its routes were counted out */
	*n_received += fresh;
	*n_received -= gone < *n_received ? gone : *n_received;
	b->length = 0;
	check_limit(b->session, b->family);
}

static void routes(struct session *session, const struct update *u)
{
	struct batch b = {.session = session, .conn = session->conn};
	struct update_cursor cursor = {0};
	struct update_route route;

	while (session_is(session, b.conn) && update_next(u, &cursor, &route)) {
		enum route_family f = route.nlri.key.family;

		if (b.length > 0 && (b.length == BATCH || route.attrs != b.attrs || f != b.family)) {
			hand_over(&b);
			if (!session_is(session, b.conn))
				return;
		}
		b.attrs = route.attrs;
		b.family = f;
		b.nlri[b.length++] = route.nlri;
		session->neighbor->stats.n_withdrawn_for_error += route.treated;
	}
	if (b.length > 0 && session_is(session, b.conn))
		hand_over(&b);
}

/* RFC 7606 2: AFI/SAFI disable: its routes go, and nothing of it is said or heard until the session begins anew. */
static void disable(struct session *session, enum route_family f)
{
	struct neighbor *n = session->neighbor;

	session->update.families &= ~ROUTE_FAMILY_BIT(f);
	n->stats.families = session->update.families;
	advertise_end_family(n, f);
	restart_forget(n, f);
	restart_resolve(n, f);
}

static void report(struct session *session, const struct update *u)
{
	struct neighbor *n = session->neighbor;

	if (u->fault.reaction == REACTION_DISCARD)
		n->stats.n_attr_discarded++;
	neighbor_notice(n, "UPDATE with %u errors: %s%s%s: %s (%s)", u->n_faults,
			u->fault.attr ? attr_name(u->fault.attr) : "NLRI", u->fault.what ? ": " : "",
			u->fault.what ? u->fault.what : "", reaction_name(u->fault.reaction),
			u->fault.section ? u->fault.section : "RFC 7606");
}

static void take(struct session *session, const struct update *u)
{
	struct neighbor *n = session->neighbor;
	struct conn *conn = session->conn;

	if (u->fault.reaction != REACTION_NONE)
		report(session, u);
	if (!session_is(session, conn))
		return;
	if (u->fault.reaction == REACTION_RESET) {
		session_fail(session, &u->fault.notification, ENDING_BLAME);
		return;
	}
	for (enum route_family f = 0; f < ROUTE_FAMILY_MAX; f++)
		if (session_is(session, conn) && (u->disabled & session->update.families & ROUTE_FAMILY_BIT(f)))
			disable(session, f);
	if (session_is(session, conn) && neighbor_imports(n))
		routes(session, u);
	if (session_is(session, conn) && u->end_of_rib >= 0)
		restart_on_end_of_rib(n, (enum route_family)u->end_of_rib);
}

void receive_update(struct session *session, struct reader body)
{
	struct update u;

	if (update_decode(&session->update, session->neighbor->speaker->table, body, &u) < 0) {
		session_cease(session, CEASE_OUT_OF_RESOURCES, NULL, 0);
		return;
	}
	if (session->neighbor->account->size > attrs_allowed(session->neighbor, session))
		end_for_attrs(session);
	else
		take(session, &u);
	update_fini(&u);
}
