/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two connections of one neighbor: which one stays (RFC 4271 6.8, RFC 6286 2.3).
 *
 * Both ends connect at the same time and each sees two connections.  They must give up the same one, without asking, and
 * whatever overtakes what on the way: it is always the one that was begun by the end with the lower identifier.  That rule
 * is asked when an OPEN has come on one and the other has had its own.
 *
 * RFC 4271 leaves a connection alone that is Established already.  Then two ends can contradict each other: a KEEPALIVE
 * on one connection may come before the OPEN on the other.  So a session that has just been established is treated as
 * if it were in OpenConfirm.  After YOUNG_MS a second connection means something else: the neighbor has begun anew and
 * its end of the old one is gone without a trace, which graceful restart allows for (RFC 4724 4.2: the old one is closed,
 * routes are kept); or somebody is in error, and the new one is closed.
 */
#include "bgp/state.h"

static struct session *other_of(const struct session *session)
{
	struct neighbor *n = session->neighbor;
	struct session *other = session == &n->sessions[0] ? &n->sessions[1] : &n->sessions[0];

	return other->conn ? other : NULL;
}

/* Of connections begun by different ends, ours stays if our identifier is the higher; RFC 6286 2.3: or else our AS. */
static bool ours_stays(const struct neighbor *n, uint32_t their_id)
{
	const struct speaker_config *we = &n->speaker->config;

	return we->id != their_id ? we->id > their_id : we->as > n->config.remote_as;
}

static bool wins(const struct session *session, const struct session *over)
{
	if (session->outgoing == over->outgoing)
		return true; /* the same end began anew */
	return session->outgoing == ours_stays(session->neighbor, session->open.id);
}

static bool is_young(const struct session *session)
{
	return session->neighbor->speaker->now_ms - session->established_ms < YOUNG_MS;
}

static bool both_restart(const struct session *session)
{
	return session->open.capabilities.graceful_restart && session->neighbor->config.restart_s > 0;
}

static void close_collision(struct session *session)
{
	session_cease(session, CEASE_COLLISION, NULL, ENDING_COLLISION | ENDING_KEEP);
}

bool collision_is_possible(const struct session *session)
{
	const struct session *other = other_of(session);

	return other && other->state >= NEIGHBOR_OPENSENT;
}

bool collision_resolve(struct session *session)
{
	struct conn *conn = session->conn;
	struct session *other = other_of(session);

	if (!other || other->state < NEIGHBOR_OPENCONFIRM)
		return true;
	if (other->state == NEIGHBOR_ESTABLISHED && !is_young(other)) {
		if (both_restart(other) && both_restart(session)) {
			neighbor_drop(other->neighbor, other, ENDING_KEEP, "the neighbor began anew");
			return session_is(session, conn);
		}
		close_collision(session);
		return false;
	}
	if (!wins(session, other)) {
		close_collision(session);
		return false;
	}
	close_collision(other);
	return session_is(session, conn);
}

/*
 * One whose OPEN is still to come stays only if it would win then; an attempt that hangs would, minutes later, pass for a
 * neighbor that began anew.
 */
void collision_established(struct session *session)
{
	struct session *other = other_of(session);

	if (other && other->state == NEIGHBOR_CONNECT)
		session_end(other, true);
	else if (other && other->state == NEIGHBOR_OPENSENT && wins(session, other))
		close_collision(other);
}
