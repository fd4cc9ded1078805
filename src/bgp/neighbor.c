/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bgp/state.h"

const char *neighbor_state_name(enum neighbor_state s)
{
	static const char *const names[] = {
		[NEIGHBOR_IDLE] = "Idle",
		[NEIGHBOR_CONNECT] = "Connect",
		[NEIGHBOR_ACTIVE] = "Active",
		[NEIGHBOR_OPENSENT] = "OpenSent",
		[NEIGHBOR_OPENCONFIRM] = "OpenConfirm",
		[NEIGHBOR_ESTABLISHED] = "Established",
	};

	static_assert(sizeof(names) / sizeof(names[0]) == NEIGHBOR_STATE_MAX, "a name per state");
	return names[s];
}

struct neighbor_config neighbor_config_default(void)
{
	return (struct neighbor_config){
		.hold_s = NEIGHBOR_HOLD_S,
		.connect_retry_s = NEIGHBOR_CONNECT_RETRY_S,
		.restart_s = NEIGHBOR_RESTART_S,
		.stale_s = NEIGHBOR_STALE_S,
		.idle_hold_max_s = NEIGHBOR_IDLE_HOLD_MAX_S,
		.prefix_hold_s = NEIGHBOR_PREFIX_HOLD_S,
		.prefix_hold_max_s = NEIGHBOR_PREFIX_HOLD_MAX_S,
	};
}

static uint64_t jittered(struct speaker *s, uint64_t ms)
{
	return ms * (750 + speaker_random(s, 251)) / 1000; /* RFC 4271 10 */
}

bool neighbor_is_external(const struct neighbor *n)
{
	return n->config.remote_as != n->speaker->config.as;
}

static bool allows(const struct speaker *s, const struct neighbor_config *c, enum neighbor_policy policy)
{
	if (policy == NEIGHBOR_POLICY_DEFAULT)
		return c->remote_as == s->config.as; /* RFC 8212 2 */
	return policy == NEIGHBOR_POLICY_ACCEPT;
}

bool neighbor_imports(const struct neighbor *n)
{
	return allows(n->speaker, &n->config, n->config.import);
}

static int grant_of(const struct speaker *s, const struct neighbor_config *c, struct grant **out)
{
	*out = NULL;
	if (!allows(s, c, c->export))
		return grant_new(NULL, 0, out);
	return c->export_limited ? grant_new(c->export_tenants, c->n_export_tenants, out) : 0;
}

/* Takes the grant. */
static void set_config(struct neighbor *n, const struct neighbor_config *config, struct grant *grant)
{
	n->config = *config;
	n->config.export_tenants = config->export_limited && grant ? grant->tenants : NULL;
	n->config.n_export_tenants = config->export_limited && grant ? grant->length : 0;
	grant_unref(n->grant);
	n->grant = grant;
}

struct session *neighbor_established(struct neighbor *n)
{
	for (size_t i = 0; i < N_SESSIONS; i++)
		if (n->sessions[i].conn && n->sessions[i].state == NEIGHBOR_ESTABLISHED)
			return &n->sessions[i];
	return NULL;
}

static bool has_session(const struct neighbor *n, enum neighbor_state at_least)
{
	for (size_t i = 0; i < N_SESSIONS; i++)
		if (n->sessions[i].conn && n->sessions[i].state >= at_least)
			return true;
	return false;
}

static struct session *free_slot(struct neighbor *n)
{
	for (size_t i = 0; i < N_SESSIONS; i++)
		if (!n->sessions[i].conn)
			return &n->sessions[i];
	return NULL;
}

static bool is_down(const struct neighbor *n)
{
	return n->held || n->removed || n->config.shutdown || n->speaker->stopped;
}

static enum neighbor_state state_now(const struct neighbor *n)
{
	enum neighbor_state state = NEIGHBOR_IDLE;

	for (size_t i = 0; i < N_SESSIONS; i++)
		if (n->sessions[i].conn && n->sessions[i].state > state)
			state = n->sessions[i].state;
	if (state == NEIGHBOR_IDLE && !is_down(n))
		return NEIGHBOR_ACTIVE;
	return state;
}

void neighbor_update_state(struct neighbor *n, const char *reason)
{
	struct speaker *s = n->speaker;
	enum neighbor_state old = n->stats.state, state = state_now(n);

	if (state == old)
		return;
	n->stats.state = state;
	if ((old == NEIGHBOR_ESTABLISHED) != (state == NEIGHBOR_ESTABLISHED))
		n->stats.since_ms = s->now_ms;
	s->ops->neighbor_state(s->arg, &n->config, old, state, reason);
}

void neighbor_notice(struct neighbor *n, const char *format, ...)
{
	struct speaker *s = n->speaker;
	char text[256];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	s->ops->notice(s->arg, &n->config, text);
}

static void note_error(struct neighbor *n, const char *text)
{
	snprintf(n->stats.last_error, sizeof(n->stats.last_error), "%s", text);
	n->stats.last_error_ms = n->speaker->now_ms;
}

/* ---- when to connect ---- */

static void set_connect_retry(struct neighbor *n)
{
	struct speaker *s = n->speaker;

	timer_set(&s->timers, &n->retry, s->now_ms + jittered(s, n->config.connect_retry_s * 1000u));
}

/* Whether there was an attempt. */
static bool end_connecting(struct neighbor *n)
{
	bool was = false;

	for (size_t i = 0; i < N_SESSIONS; i++) {
		if (!n->sessions[i].conn || n->sessions[i].state != NEIGHBOR_CONNECT)
			continue;
		session_end(&n->sessions[i], true);
		was = true;
	}
	return was;
}

static void note_no_connection(struct neighbor *n, const char *reason)
{
	snprintf(n->stats.last_error, sizeof(n->stats.last_error), "could not connect: %s", reason);
	n->stats.last_error_ms = n->speaker->now_ms;
}

static void begin_connecting(struct neighbor *n, struct session *slot)
{
	struct speaker *s = n->speaker;
	uint64_t handle;
	int r = s->ops->connect(s->arg, &n->config, &handle);

	if (r == 0) {
		r = session_begin(slot, handle, true);
		if (r < 0)
			s->ops->close(s->arg, handle);
	}
	if (r < 0)
		note_no_connection(n, strerror(-r));
}

/* Time to connect, or to give up a connect that hangs, or to talk again to a neighbor that was left alone. */
static void on_retry(void *arg)
{
	struct neighbor *n = arg;
	struct session *slot;

	n->held = false;
	if (end_connecting(n))
		note_error(n, "could not connect: " NEIGHBOR_NO_ANSWER);
	slot = free_slot(n);
	if (!n->config.passive && slot && !has_session(n, NEIGHBOR_OPENCONFIRM)) {
		set_connect_retry(n);
		begin_connecting(n, slot);
	}
	neighbor_update_state(n, "connecting");
}

void neighbor_start(struct neighbor *n)
{
	struct speaker *s = n->speaker;

	if (!is_down(n) && !has_session(n, NEIGHBOR_CONNECT))
		timer_set(&s->timers, &n->retry, s->now_ms);
	neighbor_update_state(n, "started");
}

/* Who flaps is left alone: not at all the first time, then 1, 2, 4 ... seconds (RFC 4271 8.1.1, IdleHoldTime). */
static uint64_t idle_hold_ms(const struct neighbor *n)
{
	uint64_t ms = n->flaps < 2 ? 0 : 1000ull << (n->flaps < 18 ? n->flaps - 2 : 16);
	uint64_t max_ms = n->config.idle_hold_max_s * 1000ull;

	return ms < max_ms ? ms : max_ms;
}

static uint64_t prefix_hold_ms(struct neighbor *n)
{
	uint64_t max_ms = n->config.prefix_hold_max_s * 1000ull;
	uint64_t ms = n->config.prefix_hold_s * 1000ull << (n->prefix_flaps < 16 ? n->prefix_flaps : 16);

	n->prefix_flaps++;
	n->prefix_hold_ms = ms < max_ms ? ms : max_ms;
	return n->prefix_hold_ms;
}

/* No session is left, or none that was connected: when to try again. */
static void schedule(struct neighbor *n, bool was_established, unsigned flags)
{
	struct speaker *s = n->speaker;
	uint64_t hold_ms = 0;

	end_connecting(n);
	if (is_down(n))
		return;
	if (flags & ENDING_PREFIXES)
		hold_ms = prefix_hold_ms(n);
	else if (flags & ENDING_BLAME)
		hold_ms = idle_hold_ms(n);
	n->held = hold_ms > 0;
	if (!was_established && !(flags & ENDING_BLAME))
		set_connect_retry(n);
	else /* a random part of a second, so that two ends do not begin at the same moment each time */
		timer_set(&s->timers, &n->retry, s->now_ms + hold_ms + speaker_random(s, 1000));
}

void neighbor_drop(struct neighbor *n, struct session *session, unsigned flags, const char *text)
{
	struct speaker *s = n->speaker;
	bool was_established = session->state == NEIGHBOR_ESTABLISHED;
	uint64_t lasted_ms = s->now_ms - session->established_ms;

	session_end(session, !(flags & ENDING_CLOSED));
	note_error(n, text);
	if (was_established) {
		n->stats.n_resets++;
		n->stats.families = n->stats.extended_next_hop = 0;
		if (lasted_ms >= STABLE_MS)
			n->flaps = 0;
		if (lasted_ms >= n->prefix_hold_ms)
			n->prefix_flaps = 0;
		advertise_end(n);
	}
	n->flaps += !!(flags & ENDING_BLAME);
	if (!has_session(n, NEIGHBOR_OPENSENT))
		schedule(n, was_established, flags);
	/* These call back, so they come last. */
	if (was_established)
		restart_on_lost(n, session, flags);
	neighbor_update_state(n, text);
}

void neighbor_end(struct neighbor *n, enum notification_cease subcode, const char *text)
{
	struct speaker *s = n->speaker;

	timer_clear(&s->timers, &n->retry);
	n->held = false;
	end_connecting(n);
	for (size_t i = 0; i < N_SESSIONS; i++)
		if (n->sessions[i].conn)
			session_cease(&n->sessions[i], subcode, text, ENDING_PERMANENT);
	timer_clear(&s->timers, &n->retry); /* dropping one may have set it */
	neighbor_update_state(n, "stopped");
}

/* A clean beginning; also for a neighbor that is being left alone. */
void neighbor_reset(struct neighbor *n, const char *text)
{
	neighbor_end(n, CEASE_ADMINISTRATIVE_RESET, text);
	n->flaps = 0;
	n->prefix_flaps = 0;
	neighbor_start(n);
}

/* All sessions end without a word, and their routes are kept. */
static void leave_silently(struct neighbor *n, const char *text)
{
	for (size_t i = 0; i < N_SESSIONS; i++)
		if (n->sessions[i].conn && n->sessions[i].state > NEIGHBOR_CONNECT) {
			session_flush(&n->sessions[i]);
			neighbor_drop(n, &n->sessions[i], ENDING_KEEP, text);
		}
}

void neighbor_reconnect(struct neighbor *n, const char *text)
{
	leave_silently(n, text);
	end_connecting(n);
	n->held = false;
	neighbor_start(n);
}

/*
 * Before a planned restart a neighbor that keeps our routes is told nothing (RFC 4724 4.2: a NOTIFICATION would end that);
 * all others see the end of the connection, too, and need not be told more.
 */
void neighbor_stop(struct neighbor *n, bool planned, const char *text)
{
	if (planned)
		leave_silently(n, "stopped for a restart");
	neighbor_end(n, CEASE_ADMINISTRATIVE_SHUTDOWN, text);
}

/* ---- transports ---- */

/* Where a connection that the neighbor began can go; one that came to nothing yet makes place, the neighbor's own first. */
static struct session *slot_for_accepted(struct neighbor *n)
{
	struct session *slot = NULL;

	for (size_t i = 0; i < N_SESSIONS && !slot; i++)
		if (n->sessions[i].state == NEIGHBOR_OPENSENT && !n->sessions[i].outgoing)
			slot = &n->sessions[i];
	if (!slot)
		slot = free_slot(n);
	for (size_t i = 0; i < N_SESSIONS && !slot; i++)
		if (n->sessions[i].state == NEIGHBOR_CONNECT)
			slot = &n->sessions[i];
	if (slot && slot->conn)
		session_end(slot, true);
	return slot;
}

void neighbor_accept(struct neighbor *n, uint64_t handle)
{
	struct speaker *s = n->speaker;
	struct session *slot = is_down(n) ? NULL : slot_for_accepted(n);

	if (!slot || session_begin(slot, handle, false) < 0) {
		speaker_refuse(s, handle);
		return;
	}
	if (timer_is_armed(&n->retry))
		set_connect_retry(n); /* another one now would only collide with it */
	session_send_open(slot);
	neighbor_update_state(n, "the neighbor connected");
}

void neighbor_connected(struct neighbor *n, struct session *session)
{
	timer_clear(&n->speaker->timers, &n->retry);
	session_send_open(session);
	neighbor_update_state(n, "connected");
}

void neighbor_connect_failed(struct neighbor *n, struct session *session, const char *reason)
{
	session_end(session, false); /* the retry timer runs */
	note_no_connection(n, reason);
	neighbor_update_state(n, n->stats.last_error);
}

/* ---- configuration ---- */

/* Is everything the same that was said in an OPEN or follows from it for routes? */
static bool agrees_on_session(const struct neighbor_config *a, const struct neighbor_config *b)
{
	return a->remote_as == b->remote_as && addr_equal(&a->local, &b->local) && a->families == b->families &&
	       a->restart_s == b->restart_s && a->import == b->import && a->disable_family == b->disable_family &&
	       a->shutdown == b->shutdown;
}

int neighbor_reconfigure(struct neighbor *n, const struct neighbor_config *config)
{
	bool goes_on = agrees_on_session(&n->config, config), was_passive = n->config.passive;
	struct grant *grant;
	int r = grant_of(n->speaker, config, &grant);

	if (r < 0)
		return r;
	/* Those of another AS say nothing of the new one. */
	if (n->config.remote_as != config->remote_as || config->shutdown)
		neighbor_end(n, config->shutdown ? CEASE_ADMINISTRATIVE_SHUTDOWN : CEASE_CONFIGURATION_CHANGE, NULL);
	for (enum route_family f = 0; f < ROUTE_FAMILY_MAX; f++)
		if ((n->config.remote_as != config->remote_as || config->shutdown) && n->stats.n_received[f] > 0)
			restart_forget(n, f);
	set_config(n, config, grant);
	advertise_granted(n);
	for (size_t i = 0; i < N_SESSIONS && !goes_on; i++)
		if (n->sessions[i].conn)
			session_cease(&n->sessions[i], CEASE_CONFIGURATION_CHANGE, NULL, 0);
	if (!goes_on || (was_passive && !config->passive)) {
		n->held = false;
		neighbor_start(n);
	}
	receive_check_limits(n);
	return 0;
}

int neighbor_new(struct speaker *s, const struct neighbor_config *config, struct neighbor **out)
{
	struct neighbor *n = calloc(1, sizeof(*n));
	struct grant *grant;

	if (!n)
		return -ENOMEM;
	if (grant_of(s, config, &grant) < 0) {
		free(n);
		return -ENOMEM;
	}
	n->speaker = s;
	set_config(n, config, grant);
	n->stats.since_ms = s->now_ms;
	for (size_t i = 0; i < N_SESSIONS; i++)
		n->sessions[i].neighbor = n;
	if (attrs_account_new(&n->account) < 0 || timer_add(&s->timers, &n->retry, on_retry, n) < 0 ||
	    timer_add(&s->timers, &n->restart, restart_on_timer, n) < 0 ||
	    session_add_timers(&n->sessions[0]) < 0 || session_add_timers(&n->sessions[1]) < 0) {
		neighbor_free(n);
		return -ENOMEM;
	}
	*out = n;
	return 0;
}

void neighbor_free(struct neighbor *n)
{
	struct speaker *s = n->speaker;

	timer_remove(&s->timers, &n->retry);
	timer_remove(&s->timers, &n->restart);
	for (size_t i = 0; i < N_SESSIONS; i++)
		session_remove_timers(&n->sessions[i]);
	attrs_account_unref(n->account);
	grant_unref(n->grant);
	free(n);
}
