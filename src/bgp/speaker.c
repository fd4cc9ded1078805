/* SPDX-License-Identifier: Apache-2.0 */
#include "bgp/speaker.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bgp/state.h"

static void enter(struct speaker *s, uint64_t now_ms)
{
	s->depth++;
	if (now_ms > s->now_ms)
		s->now_ms = now_ms;
}

static void leave(struct speaker *s)
{
	struct neighbor *n;
	struct conn *conn;

	if (--s->depth > 0)
		return;
	while ((conn = conn_pop(&s->gone_conns)))
		conn_free(conn);
	while ((n = SLIST_FIRST(&s->gone_neighbors))) {
		SLIST_REMOVE_HEAD(&s->gone_neighbors, gone_link);
		neighbor_free(n);
	}
}

void speaker_bury_conn(struct speaker *s, struct conn *conn)
{
	conn_push(&s->gone_conns, conn);
}

uint32_t speaker_random(struct speaker *s, uint32_t below)
{
	return s->ops->random(s->arg) % below;
}

/* RFC 4486 4: who may not connect is told so.  If the transport does not take it, it is closed just the same. */
void speaker_refuse(struct speaker *s, uint64_t handle)
{
	struct notification error = {.code = NOTIFICATION_CEASE, .subcode = CEASE_CONNECTION_REJECTED};
	uint8_t message[64];
	struct writer w = writer_over(message, sizeof(message));

	notification_encode(&w, &error);
	s->ops->send(s->arg, handle, message, writer_size(&w));
	s->ops->close(s->arg, handle);
}

int speaker_new(const struct speaker_config *config, struct attrs *table, const struct speaker_ops *ops, void *arg,
		uint64_t now_ms, struct speaker **out)
{
	struct speaker *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return -ENOMEM;
	s->config = *config;
	s->table = table;
	s->ops = ops;
	s->arg = arg;
	s->now_ms = now_ms;
	s->neighbors = HMAP_INIT(struct neighbor, config.remote);
	s->sessions = HMAP_INIT(struct session, handle);
	TAILQ_INIT(&s->dirty);
	SLIST_INIT(&s->gone_neighbors);
	r = timer_add(&s->timers, &s->deferral, restart_on_deferral, s);
	for (enum route_family f = 0; f < ROUTE_FAMILY_MAX && r == 0; f++)
		r = adjout_new(f, table, &advertise_ops, &s->out[f]);
	if (r < 0) {
		speaker_free(s);
		return r;
	}
	timer_set(&s->timers, &s->deferral, now_ms);
	*out = s;
	return 0;
}

void speaker_free(struct speaker *s)
{
	struct neighbor *n;
	size_t cursor = 0;

	if (!s)
		return;
	for (enum route_family f = 0; f < ROUTE_FAMILY_MAX; f++)
		adjout_free(s->out[f]);
	while ((n = hmap_next(&s->neighbors, &cursor))) {
		for (size_t i = 0; i < N_SESSIONS; i++)
			conn_free(n->sessions[i].conn);
		neighbor_free(n);
	}
	timer_remove(&s->timers, &s->deferral);
	timers_fini(&s->timers);
	hmap_fini(&s->neighbors);
	hmap_fini(&s->sessions);
	free(s);
}

/* ---- neighbors ---- */

static bool is_possible(const struct neighbor_config *c)
{
	return c->remote_as > 0 /* RFC 7607 */ && c->hold_s != 1 && c->hold_s != 2 && c->connect_retry_s > 0 &&
	       c->restart_s <= 4095 && c->families > 0 && c->families < ROUTE_FAMILY_BIT(ROUTE_FAMILY_MAX) &&
	       memchr(c->description, 0, sizeof(c->description));
}

static int put(struct speaker *s, const struct neighbor_config *config)
{
	struct neighbor *n = hmap_get(&s->neighbors, &config->remote);
	int r;

	if (!is_possible(config))
		return -EINVAL;
	if (n) {
		r = neighbor_reconfigure(n, config);
		restart_check_ready(s);
		return r;
	}
	r = neighbor_new(s, config, &n);
	if (r < 0)
		return r;
	r = hmap_add(&s->neighbors, n);
	if (r < 0) {
		neighbor_free(n);
		return r;
	}
	neighbor_start(n);
	return 0;
}

int speaker_neighbor_put(struct speaker *s, const struct neighbor_config *config, uint64_t now_ms)
{
	int r;

	enter(s, now_ms);
	r = put(s, config);
	leave(s);
	return r;
}

void speaker_neighbor_remove(struct speaker *s, const struct addr *remote, uint64_t now_ms)
{
	struct neighbor *n = hmap_remove(&s->neighbors, remote);

	if (!n)
		return;
	enter(s, now_ms);
	n->removed = true;
	neighbor_end(n, CEASE_PEER_DECONFIGURED, NULL);
	for (enum route_family f = 0; f < ROUTE_FAMILY_MAX; f++)
		if (n->stats.n_received[f] > 0 || (n->stats.stale & ROUTE_FAMILY_BIT(f)))
			restart_forget(n, f);
	SLIST_INSERT_HEAD(&s->gone_neighbors, n, gone_link);
	restart_check_ready(s);
	leave(s);
}

const struct neighbor_config *speaker_neighbor(const struct speaker *s, const struct addr *remote)
{
	const struct neighbor *n = hmap_get(&s->neighbors, remote);

	return n ? &n->config : NULL;
}

int speaker_neighbor_stats(const struct speaker *s, const struct addr *remote, struct neighbor_stats *out)
{
	struct neighbor *n = hmap_get(&s->neighbors, remote);
	struct session *session;

	if (!n)
		return -ENOENT;
	*out = n->stats;
	session = neighbor_established(n);
	out->n_queued = session ? conn_queued(session->conn) : 0;
	out->n_unread = session ? conn_unread(session->conn) : 0;
	for (enum route_family f = 0; f < ROUTE_FAMILY_MAX; f++) {
		out->n_sent[f] = n->members[f] ? adjout_n_told(s->out[f], n->members[f]) : 0;
		out->version[f] = n->members[f] ? adjout_version(s->out[f], n->members[f]) : 0;
	}
	return 0;
}

bool speaker_tells(const struct speaker *s, const struct addr *remote, uint32_t tenant)
{
	const struct neighbor *n = hmap_get(&s->neighbors, remote);

	return n && grant_permits(n->grant, tenant);
}

void speaker_neighbor_each(const struct speaker *s, void (*fn)(void *arg, const struct neighbor_config *n), void *arg)
{
	const struct neighbor *n;
	size_t cursor = 0;

	while ((n = hmap_next(&s->neighbors, &cursor)))
		fn(arg, &n->config);
}

/* ---- transports ---- */

void speaker_on_connected(struct speaker *s, uint64_t handle, uint64_t now_ms)
{
	struct session *session = hmap_get(&s->sessions, &handle);

	if (!session || session->state != NEIGHBOR_CONNECT)
		return;
	enter(s, now_ms);
	neighbor_connected(session->neighbor, session);
	leave(s);
}

void speaker_on_connect_failed(struct speaker *s, uint64_t handle, const char *reason, uint64_t now_ms)
{
	struct session *session = hmap_get(&s->sessions, &handle);

	if (!session || session->state != NEIGHBOR_CONNECT)
		return;
	enter(s, now_ms);
	neighbor_connect_failed(session->neighbor, session, reason);
	leave(s);
}

void speaker_on_accepted(struct speaker *s, uint64_t handle, const struct addr *remote, uint64_t now_ms)
{
	struct neighbor *n = hmap_get(&s->neighbors, remote);

	enter(s, now_ms);
	if (n)
		neighbor_accept(n, handle);
	else
		speaker_refuse(s, handle);
	leave(s);
}

void speaker_on_bytes(struct speaker *s, uint64_t handle, const uint8_t *data, size_t size, uint64_t now_ms)
{
	struct session *session = hmap_get(&s->sessions, &handle);

	if (!session || session->state == NEIGHBOR_CONNECT)
		return;
	enter(s, now_ms);
	session_on_bytes(session, data, size);
	leave(s);
}

void speaker_on_writable(struct speaker *s, uint64_t handle, uint64_t now_ms)
{
	struct session *session = hmap_get(&s->sessions, &handle);

	if (!session || session->state == NEIGHBOR_CONNECT)
		return;
	enter(s, now_ms);
	session_flush(session);
	if (session->state == NEIGHBOR_ESTABLISHED && conn_room(session->conn) > 0)
		advertise_wake(session->neighbor);
	leave(s);
}

void speaker_on_closed(struct speaker *s, uint64_t handle, const char *reason, uint64_t now_ms)
{
	struct session *session = hmap_get(&s->sessions, &handle);
	unsigned flags = ENDING_KEEP | ENDING_CLOSED;

	if (!session)
		return;
	enter(s, now_ms);
	if (session->state >= NEIGHBOR_OPENCONFIRM)
		flags |= ENDING_BLAME;
	neighbor_drop(session->neighbor, session, flags, reason);
	leave(s);
}

/* ---- time ---- */

void speaker_tick(struct speaker *s, uint64_t now_ms)
{
	enter(s, now_ms);
	timers_run(&s->timers, s->now_ms);
	advertise_run(s);
	leave(s);
}

uint64_t speaker_next_ms(const struct speaker *s)
{
	return advertise_has_work(s) ? 0 : timers_next_ms(&s->timers);
}

/* ---- routes of this node ---- */

int speaker_announce(struct speaker *s, const struct route_nlri *nlri, const struct route_attrs *attrs, uint32_t tenant)
{
	return adjout_put(s->out[nlri->key.family], nlri, attrs, tenant);
}

void speaker_withdraw(struct speaker *s, const struct route_key *key)
{
	adjout_remove(s->out[key->family], key);
}

void speaker_synced(struct speaker *s, enum route_family f)
{
	if (s->synced & ROUTE_FAMILY_BIT(f))
		return;
	s->synced |= ROUTE_FAMILY_BIT(f);
	advertise_synced(s, f);
}

int speaker_refresh(struct speaker *s, const struct addr *remote, enum route_family f)
{
	struct neighbor *n = hmap_get(&s->neighbors, remote);
	struct session *session = n ? neighbor_established(n) : NULL;

	return session ? session_refresh(session, f) : -ENOTCONN;
}

int speaker_reset(struct speaker *s, const struct addr *remote, const char *text, uint64_t now_ms)
{
	struct neighbor *n = hmap_get(&s->neighbors, remote);

	if (!n)
		return -ENOENT;
	enter(s, now_ms);
	neighbor_reset(n, text);
	leave(s);
	return 0;
}

int speaker_reconnect(struct speaker *s, const struct addr *remote, const char *text, uint64_t now_ms)
{
	struct neighbor *n = hmap_get(&s->neighbors, remote);

	if (!n)
		return -ENOENT;
	enter(s, now_ms);
	neighbor_reconnect(n, text);
	leave(s);
	return 0;
}

void speaker_stop(struct speaker *s, bool planned, const char *text, uint64_t now_ms)
{
	struct neighbor *n;
	size_t cursor = 0;

	enter(s, now_ms);
	s->stopped = true;
	while ((n = hmap_next(&s->neighbors, &cursor)))
		neighbor_stop(n, planned, text);
	leave(s);
}
