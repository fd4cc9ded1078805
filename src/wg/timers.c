/* SPDX-License-Identifier: Apache-2.0 */
#include "wg/timers.h"

#include <errno.h>
#include <openssl/rand.h>

static uint64_t jitter(void)
{
	uint16_t v = 0;

	RAND_bytes((unsigned char *)&v, sizeof(v)); /* without any: less well spread, not less safe */
	return v % (JITTER_MS + 1);
}

static void arm(struct peer_timers *t, struct timer *timer, uint64_t after_ms)
{
	timer_set(&t->clock->heap, timer, t->clock->now_ms + after_ms);
}

static void disarm(struct peer_timers *t, struct timer *timer)
{
	timer_clear(&t->clock->heap, timer);
}

static void on_retransmit(void *arg)
{
	struct peer_timers *t = arg;

	if (t->clock->now_ms - t->trying_since_ms < REKEY_ATTEMPT_MS) {
		t->ops->initiate(t->arg); /* arms it again by peer_timers_on_initiated */
		return;
	}
	t->trying = false;
	disarm(t, &t->keepalive);
	/* Whatever keys there are have not been of use for long. */
	if (!timer_is_armed(&t->erase))
		arm(t, &t->erase, ERASE_AFTER_MS);
	t->ops->given_up(t->arg);
}

static void on_keepalive(void *arg)
{
	struct peer_timers *t = arg;

	t->ops->keepalive(t->arg);
	if (t->another_keepalive) {
		t->another_keepalive = false;
		arm(t, &t->keepalive, KEEPALIVE_TIMEOUT_MS);
	}
}

static void on_renew(void *arg)
{
	struct peer_timers *t = arg;

	t->ops->initiate(t->arg);
}

static void on_erase(void *arg)
{
	struct peer_timers *t = arg;

	t->ops->erase(t->arg);
}

static void on_persistent(void *arg)
{
	struct peer_timers *t = arg;

	t->ops->keepalive(t->arg);
	if (t->persistent_s > 0 && !timer_is_armed(&t->persistent)) /* none could be sent: there is no session yet */
		arm(t, &t->persistent, t->persistent_s * 1000ULL);
}

int peer_timers_init(struct peer_timers *t, struct peer_clock *clock, const struct peer_timers_ops *ops, void *arg)
{
	*t = (struct peer_timers){.clock = clock, .ops = ops, .arg = arg};
	if (timer_add(&clock->heap, &t->retransmit, on_retransmit, t) == 0 &&
	    timer_add(&clock->heap, &t->keepalive, on_keepalive, t) == 0 &&
	    timer_add(&clock->heap, &t->renew, on_renew, t) == 0 &&
	    timer_add(&clock->heap, &t->erase, on_erase, t) == 0 &&
	    timer_add(&clock->heap, &t->persistent, on_persistent, t) == 0)
		return 0;
	peer_timers_fini(t);
	return -ENOMEM;
}

void peer_timers_fini(struct peer_timers *t)
{
	if (!t->clock)
		return;
	timer_remove(&t->clock->heap, &t->retransmit);
	timer_remove(&t->clock->heap, &t->keepalive);
	timer_remove(&t->clock->heap, &t->renew);
	timer_remove(&t->clock->heap, &t->erase);
	timer_remove(&t->clock->heap, &t->persistent);
}

static void on_passed(struct peer_timers *t)
{
	if (t->persistent_s > 0)
		arm(t, &t->persistent, t->persistent_s * 1000ULL);
}

void peer_timers_persist(struct peer_timers *t, uint16_t seconds)
{
	t->persistent_s = seconds;
	if (seconds > 0)
		arm(t, &t->persistent, 0); /* the first at once: it makes the session */
	else
		disarm(t, &t->persistent);
}

void peer_timers_on_initiated(struct peer_timers *t)
{
	if (!t->trying)
		t->trying_since_ms = t->clock->now_ms;
	t->trying = true;
	arm(t, &t->retransmit, REKEY_TIMEOUT_MS + jitter());
	peer_timers_on_sent(t, false);
}

void peer_timers_on_established(struct peer_timers *t)
{
	disarm(t, &t->retransmit);
	t->trying = false;
}

void peer_timers_on_derived(struct peer_timers *t)
{
	arm(t, &t->erase, ERASE_AFTER_MS);
}

void peer_timers_on_sent(struct peer_timers *t, bool data)
{
	if (data && !timer_is_armed(&t->renew))
		arm(t, &t->renew, KEEPALIVE_TIMEOUT_MS + REKEY_TIMEOUT_MS + jitter());
	disarm(t, &t->keepalive);
	on_passed(t);
}

void peer_timers_on_received(struct peer_timers *t, bool data)
{
	disarm(t, &t->renew);
	if (data && !timer_is_armed(&t->keepalive))
		arm(t, &t->keepalive, KEEPALIVE_TIMEOUT_MS);
	else if (data)
		t->another_keepalive = true;
	on_passed(t);
}
