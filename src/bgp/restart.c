/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Graceful restart, both sides (RFC 4724, RFC 8538).
 *
 * Helper: a neighbor that can restart is gone, without having said that it is gone for good.  Its routes become stale and
 * are used on; when it is back within the time that it asked for, what it does not announce again goes with its
 * End-of-RIB, else all go when the time is over.
 *
 *	lost: stale --+-- back, End-of-RIB: swept
 *	              +-- back, the family or its forwarding is not: swept at once
 *	              +-- back, no End-of-RIB for stale_s: swept
 *	              +-- not back for its restart time: swept
 *
 * Restarting: neighbors are told so by the R bit until all of them that keep our routes have sent theirs (their
 * End-of-RIB), or the time for that is over.  Then the owner is told that it is ready, and may take away what a former
 * life left.
 */
#include "bgp/state.h"

struct capabilities restart_capabilities(const struct neighbor *n)
{
	const struct speaker *s = n->speaker;
	uint32_t all = ROUTE_FAMILY_BIT(ROUTE_FAMILY_MAX) - 1;

	if (n->config.restart_s == 0)
		return (struct capabilities){0};
	return (struct capabilities){
		.graceful_restart = true,
		.restart_notification = true,
		.restarting = s->config.restarting && s->ready != all, /* RFC 4724 3: else two that restart wait for each other */
		.restart_s = n->config.restart_s,
		.restart_families = n->config.families,
		/* The kernel forwards whatever becomes of us; only a machine that was started new has nothing. */
		.forwarding = s->config.forwarding || n->stats.n_established > 0 ? n->config.families : 0,
	};
}

static void sweep(struct neighbor *n, enum route_family f)
{
	struct speaker *s = n->speaker;
	size_t gone, *n_received = &n->stats.n_received[f];

	n->stats.stale &= ~ROUTE_FAMILY_BIT(f);
	n->n_stale[f] = 0;
	if (n->stats.stale == 0)
		timer_clear(&s->timers, &n->restart);
	gone = s->ops->neighbor_swept(s->arg, &n->config, f);
	*n_received -= gone < *n_received ? gone : *n_received;
}

void restart_forget(struct neighbor *n, enum route_family f)
{
	struct speaker *s = n->speaker;

	s->ops->neighbor_stale(s->arg, &n->config, f);
	sweep(n, f);
}

void restart_on_timer(void *arg)
{
	struct neighbor *n = arg;

	neighbor_notice(n, neighbor_established(n) ? "stale routes removed: no End-of-RIB came in %u s"
						   : "stale routes removed: not back within %u s",
			neighbor_established(n) ? n->config.stale_s : n->restart_s);
	for (enum route_family f = 0; f < ROUTE_FAMILY_MAX; f++)
		if (n->stats.stale & ROUTE_FAMILY_BIT(f))
			sweep(n, f);
	receive_check_limits(n);
}

void restart_on_lost(struct neighbor *n, struct session *session, unsigned flags)
{
	struct speaker *s = n->speaker;
	const struct capabilities *theirs = &session->open.capabilities;
	/* From the first callback on the slot may be another session's. */
	uint32_t families = session->update.families, stale = n->stats.stale & families, kept = 0;

	if (s->stopped)
		return; /* what forwards goes on forwarding */
	if ((flags & ENDING_KEEP) && theirs->graceful_restart && n->config.restart_s > 0)
		kept = theirs->restart_families & families;
	n->restart_s = theirs->restart_s;
	/*
	 * RFC 4724 4.2: who is gone twice in a row, and did not put a route again between, does not keep it.  Of two
	 * connections with which it came back, to give up one is not to be gone.
	 */
	for (enum route_family f = 0; f < ROUTE_FAMILY_MAX && !(flags & ENDING_COLLISION); f++)
		if (stale & ROUTE_FAMILY_BIT(f))
			sweep(n, f);
	for (enum route_family f = 0; f < ROUTE_FAMILY_MAX; f++) {
		if ((kept & ROUTE_FAMILY_BIT(f)) && !n->removed) {
			n->stats.stale |= ROUTE_FAMILY_BIT(f);
			n->n_stale[f] = n->stats.n_received[f];
			timer_set(&s->timers, &n->restart, s->now_ms + n->restart_s * 1000u);
			s->ops->neighbor_stale(s->arg, &n->config, f);
		} else if (families & ROUTE_FAMILY_BIT(f)) {
			restart_forget(n, f);
		}
	}
}

void restart_on_established(struct neighbor *n, struct session *session)
{
	struct speaker *s = n->speaker;
	const struct capabilities *theirs = &session->open.capabilities;
	uint32_t kept = theirs->graceful_restart ? theirs->restart_families & theirs->forwarding & session->update.families : 0;

	/* Nothing to wait for after a restart of ours: no End-of-RIB will come, or it waits for ours itself. */
	n->resolved = theirs->graceful_restart && !theirs->restarting ? ~session->update.families : UINT32_MAX;
	if (n->stats.stale)
		timer_set(&s->timers, &n->restart, s->now_ms + n->config.stale_s * 1000u);
	for (enum route_family f = 0; f < ROUTE_FAMILY_MAX; f++)
		if (n->stats.stale & ROUTE_FAMILY_BIT(f) & ~kept)
			sweep(n, f); /* RFC 4724 4.2 */
}

void restart_on_end_of_rib(struct neighbor *n, enum route_family f)
{
	n->eor_in |= ROUTE_FAMILY_BIT(f);
	if (n->stats.stale & ROUTE_FAMILY_BIT(f))
		sweep(n, f);
	restart_resolve(n, f);
	receive_check_limits(n);
}

/* ---- after a restart of ours ---- */

static void make_ready(struct speaker *s, uint32_t families, const char *reason)
{
	for (enum route_family f = 0; f < ROUTE_FAMILY_MAX; f++) {
		if (!(families & ~s->ready & ROUTE_FAMILY_BIT(f)))
			continue;
		s->ready |= ROUTE_FAMILY_BIT(f);
		s->ops->ready(s->arg, f, reason);
	}
}

void restart_check_ready(struct speaker *s)
{
	uint32_t waiting = 0;
	struct neighbor *n;
	size_t cursor = 0;

	if (!s->begun || !timer_is_armed(&s->deferral))
		return;
	while ((n = hmap_next(&s->neighbors, &cursor)))
		if (!n->config.shutdown && n->config.restart_s > 0)
			waiting |= n->config.families & ~n->resolved;
	make_ready(s, ~waiting, "nobody has more routes to send");
	if (!waiting)
		timer_clear(&s->timers, &s->deferral);
}

void restart_resolve(struct neighbor *n, enum route_family f)
{
	n->resolved |= ROUTE_FAMILY_BIT(f);
	restart_check_ready(n->speaker);
}

/* Fires at once, when the neighbors are known, and when the time for them is over. */
void restart_on_deferral(void *arg)
{
	struct speaker *s = arg;

	if (!s->begun && s->config.restarting) {
		s->begun = true;
		timer_set(&s->timers, &s->deferral, s->now_ms + s->config.deferral_s * 1000u);
		restart_check_ready(s);
		return;
	}
	make_ready(s, UINT32_MAX, s->config.restarting ? "not all neighbors have sent their routes in time"
						       : "nothing was there before");
}
