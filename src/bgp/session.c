/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One connection of a neighbor, RFC 4271 8.2.2 from the moment on when there is a transport.
 *
 *	            OPEN sent            good OPEN, KEEPALIVE sent       KEEPALIVE
 *	CONNECT -----------> OPENSENT --------------------------> OPENCONFIRM ------> ESTABLISHED
 *
 * Anything else ends the session, mostly with a NOTIFICATION.  There is no way back: a new attempt is a new session.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "bgp/refresh.h"
#include "bgp/state.h"
#include "lib/cleanup.h"

#define SMALL_MESSAGE_SIZE 512 /* an OPEN with all that we can do has 100 bytes */

int session_begin(struct session *session, uint64_t handle, bool outgoing)
{
	struct neighbor *n = session->neighbor;
	struct speaker *s = n->speaker;

	session->conn = conn_new(handle);
	if (!session->conn)
		return -ENOMEM;
	session->handle = handle;
	session->outgoing = outgoing;
	session->state = NEIGHBOR_CONNECT;
	session->hold_ms = 0;
	session->send_hold_ms = n->config.send_hold_s * 1000u;
	if (session->send_hold_ms == 0)
		session->send_hold_ms = SEND_HOLD_MIN_MS;
	session->open = (struct open){0};
	session->update = (struct update_session){0};
	if (hmap_add(&s->sessions, session) < 0) {
		speaker_bury_conn(s, TAKE_PTR(session->conn));
		session->handle = 0;
		return -ENOMEM;
	}
	return 0;
}

static void clear_timers(struct session *session)
{
	struct timers *t = &session->neighbor->speaker->timers;

	timer_clear(t, &session->hold);
	timer_clear(t, &session->keepalive);
	timer_clear(t, &session->send_hold);
}

void session_end(struct session *session, bool close)
{
	struct speaker *s = session->neighbor->speaker;
	uint64_t handle = session->handle;

	clear_timers(session);
	hmap_remove(&s->sessions, &session->handle);
	speaker_bury_conn(s, TAKE_PTR(session->conn));
	session->handle = 0;
	session->state = NEIGHBOR_IDLE;
	if (close)
		s->ops->close(s->arg, handle);
}

/* ---- out ---- */

void session_flush(struct session *session)
{
	struct speaker *s = session->neighbor->speaker;
	bool whole;

	if (conn_queued(session->conn) == 0)
		return;
	whole = conn_flush(session->conn, s->ops->send, s->arg);
	/* RFC 9687 4: runs while something waits, anew with each message that left. */
	if (conn_queued(session->conn) == 0)
		timer_clear(&s->timers, &session->send_hold);
	else if (whole || !timer_is_armed(&session->send_hold))
		timer_set(&s->timers, &session->send_hold, s->now_ms + session->send_hold_ms);
}

int session_queue(struct session *session, const uint8_t *message, size_t size)
{
	struct neighbor_stats *stats = &session->neighbor->stats;
	uint8_t type = message[MESSAGE_HEADER_SIZE - 1];
	int r = conn_queue(session->conn, message, size);

	if (r < 0)
		return r;
	if (type < MESSAGE_TYPE_MAX)
		stats->n_out[type]++;
	stats->bytes_out += size;
	return 0;
}

static void send_message(struct session *session, const struct writer *w)
{
	/* A KEEPALIVE or refresh that does not fit stands behind 128 KB that say as much; others fit an empty queue. */
	session_queue(session, w->start, writer_size(w));
	session_flush(session);
}

static bool both_keep_over_notification(const struct session *session)
{
	return session->state == NEIGHBOR_ESTABLISHED && session->neighbor->config.restart_s > 0 &&
	       session->open.capabilities.restart_notification;
}

static void describe(const char *verb, const struct notification *n, bool hard, char *out, size_t size)
{
	const char *subcode = notification_subcode_name(n->code, n->subcode);
	char text[SHUTDOWN_TEXT_SIZE];

	notification_text(n, text);
	snprintf(out, size, "%s %s%s%s%s%s%s", verb, notification_code_name(n->code), *subcode ? "/" : "", subcode,
		 hard ? ", hard reset" : "", *text ? ": " : "", text);
}

void session_fail(struct session *session, const struct notification *error, unsigned flags)
{
	bool hard = both_keep_over_notification(session) && (flags & ENDING_PERMANENT);
	uint8_t message[MESSAGE_MAX];
	struct writer w = writer_over(message, sizeof(message));
	char text[sizeof(session->neighbor->stats.last_error)];

	if (both_keep_over_notification(session) && !hard)
		flags |= ENDING_KEEP; /* RFC 8538 4 */
	describe("sent", error, hard, text, sizeof(text));
	if (hard)
		notification_encode_hard(&w, error);
	else
		notification_encode(&w, error);
	session_flush(session);
	if (conn_discard(session->conn))
		send_message(session, &w);
	neighbor_drop(session->neighbor, session, flags, text);
}

void session_cease(struct session *session, enum notification_cease subcode, const char *text, unsigned flags)
{
	uint8_t data[SHUTDOWN_TEXT_SIZE];
	struct notification error = {.code = NOTIFICATION_CEASE, .subcode = (uint8_t)subcode, .data = data};

	error.size = notification_text_encode(text, data);
	session_fail(session, &error, flags);
}

static void fail(struct session *session, enum notification_code code, uint8_t subcode)
{
	struct notification error = {.code = (uint8_t)code, .subcode = subcode};

	session_fail(session, &error, ENDING_BLAME);
}

static void send_keepalive(struct session *session)
{
	uint8_t message[MESSAGE_HEADER_SIZE];
	struct writer w = writer_over(message, sizeof(message));

	keepalive_encode(&w);
	send_message(session, &w);
}

int session_refresh(struct session *session, enum route_family f)
{
	uint8_t message[SMALL_MESSAGE_SIZE];
	struct writer w = writer_over(message, sizeof(message));

	if (!session->open.capabilities.refresh || !(session->update.families & ROUTE_FAMILY_BIT(f)))
		return -EOPNOTSUPP;
	refresh_encode(&w, f);
	send_message(session, &w);
	return 0;
}

void session_send_open(struct session *session)
{
	struct neighbor *n = session->neighbor;
	struct speaker *s = n->speaker;
	uint8_t message[SMALL_MESSAGE_SIZE];
	struct writer w = writer_over(message, sizeof(message));
	struct open open = {.as = s->config.as, .hold_s = n->config.hold_s, .id = s->config.id};

	open.capabilities = restart_capabilities(n);
	open.capabilities.has_multiprotocol = true;
	open.capabilities.families = n->config.families;
	open.capabilities.as4 = true;
	open.capabilities.refresh = true;
	open.capabilities.extended_message = true;
	open.capabilities.add_path_receive = n->config.families; /* we have one path of each, and say no more */
	open.capabilities.extended_next_hop = n->config.families & ROUTE_FAMILY_BIT(ROUTE_IPV4);
	open_encode(&w, &open);
	session->state = NEIGHBOR_OPENSENT;
	timer_set(&s->timers, &session->hold, s->now_ms + OPEN_HOLD_MS);
	send_message(session, &w);
}

/* ---- timers ---- */

static void restart_hold(struct session *session)
{
	struct speaker *s = session->neighbor->speaker;

	if (session->hold_ms > 0)
		timer_set(&s->timers, &session->hold, s->now_ms + session->hold_ms);
	else
		timer_clear(&s->timers, &session->hold);
}

/* RFC 4271 4.4: a third of the hold time; 10: less a random quarter, so that many sessions do not beat as one. */
static void restart_keepalive(struct session *session)
{
	struct speaker *s = session->neighbor->speaker;
	uint64_t third = session->hold_ms / 3;

	if (session->hold_ms > 0)
		timer_set(&s->timers, &session->keepalive, s->now_ms + third * (750 + speaker_random(s, 251)) / 1000);
}

static void on_hold(void *arg)
{
	fail(arg, NOTIFICATION_HOLD_TIMER, 0);
}

static void on_keepalive(void *arg)
{
	send_keepalive(arg);
	restart_keepalive(arg);
}

/* The neighbor takes nothing, so a NOTIFICATION would not get out, mostly: session_fail tries. */
static void on_send_hold(void *arg)
{
	fail(arg, NOTIFICATION_SEND_HOLD_TIMER, 0);
}

int session_add_timers(struct session *session)
{
	struct timers *t = &session->neighbor->speaker->timers;

	if (timer_add(t, &session->hold, on_hold, session) < 0 ||
	    timer_add(t, &session->keepalive, on_keepalive, session) < 0 ||
	    timer_add(t, &session->send_hold, on_send_hold, session) < 0)
		return -ENOMEM;
	return 0;
}

void session_remove_timers(struct session *session)
{
	struct timers *t = &session->neighbor->speaker->timers;

	timer_remove(t, &session->hold);
	timer_remove(t, &session->keepalive);
	timer_remove(t, &session->send_hold);
}

/* ---- in ---- */

/* What both can do. */
static void agree(struct session *session)
{
	const struct neighbor *n = session->neighbor;
	const struct capabilities *theirs = &session->open.capabilities;
	uint16_t hold_s = n->config.hold_s < session->open.hold_s ? n->config.hold_s : session->open.hold_s;
	uint32_t families = theirs->has_multiprotocol ? theirs->families : ROUTE_FAMILY_BIT(ROUTE_IPV4); /* RFC 4760 8 */

	session->update = (struct update_session){
		.external = neighbor_is_external(n),
		.as4 = theirs->as4,
		.extended = theirs->extended_message,
		.own_as = n->speaker->config.as,
		.peer_as = n->config.remote_as,
		.families = families & n->config.families,
		.add_path_in = theirs->add_path_send & families & n->config.families, /* RFC 7911 4 */
		.extended_next_hop = theirs->extended_next_hop & n->config.families & ROUTE_FAMILY_BIT(ROUTE_IPV4),
		.account = n->account,
		.disable_family = n->config.disable_family,
	};
	session->hold_ms = hold_s * 1000u; /* RFC 4271 4.2: the smaller one */
	if (n->config.send_hold_s == 0 && 2 * session->hold_ms > session->send_hold_ms)
		session->send_hold_ms = 2 * session->hold_ms;
	if (session->update.extended)
		conn_set_extended(session->conn);
}

/* RFC 5492 5: without a family in common there is nothing to talk about; the data say what is missed. */
static void fail_without_family(struct session *session)
{
	uint8_t data[64];
	struct writer w = writer_over(data, sizeof(data));
	struct notification error = {NOTIFICATION_OPEN, OPEN_BAD_CAPABILITY, data, 0};

	for (enum route_family f = 0; f < ROUTE_FAMILY_MAX; f++)
		if (session->neighbor->config.families & ROUTE_FAMILY_BIT(f))
			capability_encode_family(&w, f);
	error.size = writer_size(&w);
	session_fail(session, &error, ENDING_BLAME);
}

static void on_open(struct session *session, struct reader body)
{
	struct neighbor *n = session->neighbor;
	struct speaker *s = n->speaker;
	struct notification error;

	if (open_decode(body, &session->open, &error) < 0) {
		session_fail(session, &error, ENDING_BLAME);
		return;
	}
	if (session->open.as != n->config.remote_as) {
		fail(session, NOTIFICATION_OPEN, OPEN_BAD_PEER_AS);
		return;
	}
	/* RFC 6286 2.2: inside an AS an identifier is nobody else's; between ASes it may be the same. */
	if (!neighbor_is_external(n) && session->open.id == s->config.id) {
		fail(session, NOTIFICATION_OPEN, OPEN_BAD_ID);
		return;
	}
	agree(session);
	if (session->update.families == 0) {
		fail_without_family(session);
		return;
	}
	if (!collision_resolve(session))
		return;
	session->state = NEIGHBOR_OPENCONFIRM;
	n->stats.remote_id = session->open.id;
	restart_hold(session);
	send_keepalive(session);
	restart_keepalive(session);
	neighbor_update_state(n, "OPEN received");
}

static void on_established(struct session *session)
{
	struct neighbor *n = session->neighbor;
	struct conn *conn = session->conn;

	session->state = NEIGHBOR_ESTABLISHED;
	session->established_ms = n->speaker->now_ms;
	timer_clear(&n->speaker->timers, &n->retry);
	n->eor_in = 0;
	n->stats.n_established++;
	n->stats.families = session->update.families;
	n->stats.extended_next_hop = session->update.extended_next_hop;
	n->stats.hold_s = (uint16_t)(session->hold_ms / 1000);
	collision_established(session);
	neighbor_update_state(n, "KEEPALIVE received");
	if (session_is(session, conn))
		restart_on_established(n, session);
	if (session_is(session, conn))
		advertise_begin(n, session);
	restart_check_ready(n->speaker);
}

/* What a NOTIFICATION says of how the session ended. */
static unsigned ending_of(const struct session *session, const struct notification *error, bool hard)
{
	unsigned flags = ENDING_BLAME;

	/*
	 * Losing a collision is no fault, and the neighbor has not gone; but there must have been one.  Who leaves us alone
	 * for a while must not be left alone longer for it; a session that was up was not refused.
	 */
	if (error->code == NOTIFICATION_CEASE && error->subcode == CEASE_COLLISION && !hard &&
	    (session->state != NEIGHBOR_ESTABLISHED || collision_is_possible(session)))
		return ENDING_COLLISION | ENDING_KEEP;
	if (error->code == NOTIFICATION_CEASE && error->subcode == CEASE_CONNECTION_REJECTED &&
	    session->state != NEIGHBOR_ESTABLISHED)
		flags = 0;
	if (both_keep_over_notification(session) && !hard)
		flags |= ENDING_KEEP; /* RFC 8538 4 */
	return flags;
}

static void on_notification(struct session *session, struct reader body)
{
	struct neighbor *n = session->neighbor;
	struct notification error;
	char text[sizeof(n->stats.last_error)];
	bool hard;

	notification_decode(body, &error, &hard);
	describe("received", &error, hard, text, sizeof(text));
	neighbor_drop(n, session, ending_of(session, &error, hard), text);
}

static void on_refresh(struct session *session, struct reader body)
{
	enum route_family f;
	struct notification error;
	int r = refresh_decode(body, &f, &error);

	if (r == -EPROTO) {
		session_fail(session, &error, ENDING_BLAME);
		return;
	}
	/* RFC 2918 4: of a family that was not agreed on it is ignored */
	if (r == 0 && (session->update.families & ROUTE_FAMILY_BIT(f)))
		advertise_again(session->neighbor, f);
}

/* RFC 6608 4: the subcode tells the state, the data the message's type. */
static void on_unexpected(struct session *session, enum message_type type)
{
	uint8_t data = (uint8_t)type;
	struct notification error = {.code = NOTIFICATION_FSM, .data = &data, .size = 1};

	if (session->state == NEIGHBOR_OPENSENT)
		error.subcode = FSM_IN_OPEN_SENT;
	else
		error.subcode = session->state == NEIGHBOR_OPENCONFIRM ? FSM_IN_OPEN_CONFIRM : FSM_IN_ESTABLISHED;
	session_fail(session, &error, ENDING_BLAME);
}

static void on_message(struct session *session, const struct message *m)
{
	struct neighbor *n = session->neighbor;

	n->stats.n_in[m->type]++;
	n->stats.bytes_in += m->size;
	if (m->type == MESSAGE_NOTIFICATION) {
		on_notification(session, m->body);
	} else if (session->state == NEIGHBOR_OPENSENT && m->type == MESSAGE_OPEN) {
		on_open(session, m->body);
	} else if (session->state == NEIGHBOR_OPENCONFIRM && m->type == MESSAGE_KEEPALIVE) {
		restart_hold(session);
		on_established(session);
	} else if (session->state != NEIGHBOR_ESTABLISHED || m->type == MESSAGE_OPEN) {
		on_unexpected(session, m->type);
	} else if (m->type == MESSAGE_UPDATE) {
		restart_hold(session);
		receive_update(session, m->body);
	} else if (m->type == MESSAGE_ROUTE_REFRESH) {
		on_refresh(session, m->body);
	} else {
		restart_hold(session);
	}
}

void session_on_bytes(struct session *session, const uint8_t *data, size_t size)
{
	struct conn *conn = session->conn;

	while (session_is(session, conn)) {
		enum message_state state;
		struct message message;
		struct notification error;

		if (conn_next(conn, &data, &size, &state, &message, &error) < 0) {
			session_cease(session, CEASE_OUT_OF_RESOURCES, NULL, 0);
			return;
		}
		if (state == MESSAGE_PARTIAL)
			return;
		if (state == MESSAGE_BROKEN)
			session_fail(session, &error, ENDING_BLAME);
		else
			on_message(session, &message);
	}
}
