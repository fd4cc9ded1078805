/* SPDX-License-Identifier: Apache-2.0 */
#include "wg/probe.h"

#include "lib/timer.h"
#include "lib/wire.h"
#include "model/fwd.h"

#define UNIT FWD_SECURE_UNIT
#define TIMER_MOST_MS 4000
#define MARK 0x10 /* in the first byte: 4 and 6 are IP's */

/* ---- sizes ---- */

/* The largest that makes a difference. */
static uint16_t whole(const struct probe *p, uint32_t size)
{
	uint32_t around = FWD_OVERHEAD_SECURE(!p->v6);

	return (uint16_t)(size > around ? around + (size - around) / UNIT * UNIT : 0);
}

static uint16_t top(const struct probe *p)
{
	return whole(p, p->max);
}

static uint16_t lesser(uint16_t a, uint16_t b)
{
	return a < b ? a : b;
}

static uint16_t base(const struct probe *p)
{
	return lesser(whole(p, PROBE_BASE_PLPMTU), p->goal);
}

/* Between low and high, evenly, and the last of them one unit below high. */
static uint16_t ladder(const struct probe *p, unsigned step, unsigned *n)
{
	unsigned units = (p->high - p->low) / UNIT, between = units > 0 ? units - 1 : 0;

	*n = between < PROBE_STEPS - 1 ? between : PROBE_STEPS - 1;
	return *n ? (uint16_t)(p->low + step * between / *n * UNIT) : 0;
}

static unsigned last_step(const struct probe *p)
{
	unsigned n = 0;

	switch (p->state) {
	case PROBE_BASE:
		return 2;
	case PROBE_COMPLETE:
		return 1;
	case PROBE_SEARCHING:
	case PROBE_ERROR:
		ladder(p, 0, &n);
		return n;
	default:
		return 0;
	}
}

static uint16_t size_of(const struct probe *p, unsigned step)
{
	unsigned n;

	if (step == 0)
		return 0;
	if (p->state == PROBE_BASE)
		return step == 1 ? base(p) : p->goal;
	return p->state == PROBE_COMPLETE ? p->low : ladder(p, step, &n);
}

static unsigned highest(uint16_t steps)
{
	return steps ? 31 - (unsigned)__builtin_clz(steps) : 0;
}

/* ---- the states of RFC 8899 5.2 ---- */

static void enter(struct probe *p, enum probe_state state, uint64_t now_ms)
{
	p->state = (uint8_t)state;
	p->passed = 0;
	p->count = 0;
	p->due_ms = now_ms;
}

static void enter_base(struct probe *p, uint16_t goal, uint64_t now_ms)
{
	p->goal = goal;
	enter(p, PROBE_BASE, now_ms);
}

static void enter_search(struct probe *p, enum probe_state state, uint16_t low, uint16_t high, uint64_t now_ms)
{
	p->low = low;
	p->high = high;
	enter(p, state, now_ms);
}

static void complete(struct probe *p, uint64_t now_ms)
{
	if (p->state != PROBE_ERROR)
		p->state = PROBE_COMPLETE;
	p->passed = 0;
	p->count = 0;
	p->limit = p->low < top(p) ? p->low : 0;
	p->raise_ms = now_ms + PROBE_RAISE_MS;
	p->due_ms = TIMER_NEVER;
}

static void search(struct probe *p, uint64_t now_ms)
{
	unsigned best = highest(p->passed), last = last_step(p);
	uint16_t low, high;

	if (p->state == PROBE_ERROR && best > 0)
		p->state = PROBE_SEARCHING;
	if (best < last && ++p->count < PROBE_MAX_PROBES) {
		p->due_ms = now_ms;
		return;
	}
	low = best > 0 ? size_of(p, best) : p->low;
	high = best < last ? size_of(p, best + 1) : p->high;
	enter_search(p, (enum probe_state)p->state, low, high, now_ms);
	if (high - low <= (int)UNIT)
		complete(p, now_ms);
}

static void confirm_base(struct probe *p, uint64_t now_ms)
{
	if (p->passed & 1 << 2) {
		p->low = p->goal;
		complete(p, now_ms);
	} else if (p->passed & 1 << 1) {
		enter_search(p, PROBE_SEARCHING, base(p), p->goal + UNIT, now_ms);
	} else if (++p->count < PROBE_MAX_PROBES) {
		p->due_ms = now_ms;
	} else {
		enter_search(p, PROBE_ERROR, lesser(whole(p, PROBE_MIN_PLPMTU), base(p)), base(p), now_ms);
	}
}

static void confirm(struct probe *p, uint64_t now_ms)
{
	if (!(p->passed & 1 << 1)) /* a black hole, or it was lost: RFC 8899 4.3 */
		enter_base(p, p->low, now_ms);
	else if (p->low < top(p) && now_ms >= p->raise_ms)
		enter_search(p, PROBE_SEARCHING, p->low, top(p) + UNIT, now_ms);
	else
		enter(p, PROBE_COMPLETE, TIMER_NEVER);
}

/* A large one without an answer is no loss: perhaps it was too large. */
static void stop_waiting(struct probe *p)
{
	if (p->waiting)
		p->out.excused += (uint32_t)__builtin_popcount(p->asked & ~p->answered & ~1U);
	p->waiting = false;
}

static void end_round(struct probe *p, uint64_t now_ms)
{
	stop_waiting(p);
	if (!p->answered) {
		p->due_ms = now_ms;
		if (++p->silent < PROBE_MAX_PROBES)
			return;
		p->silent = 0;
		p->mute = !p->heard;
		p->due_ms = TIMER_NEVER;
		return;
	}
	p->silent = 0;
	p->passed |= p->answered & ~1U;
	switch (p->state) {
	case PROBE_BASE:
		confirm_base(p, now_ms);
		break;
	case PROBE_COMPLETE:
		confirm(p, now_ms);
		break;
	case PROBE_SEARCHING:
	case PROBE_ERROR:
		search(p, now_ms);
		break;
	default:
		if (top(p) > 0)
			enter_base(p, top(p), now_ms);
		else
			p->due_ms = TIMER_NEVER;
	}
}

/* ---- rounds ---- */

/* RFC 6298 2.3; of those that wait in vain each waits longer. */
static uint64_t patience_ms(const struct probe *p)
{
	uint64_t ms = (p->rtt_us + 4ULL * p->rtt_deviation_us) / 1000;

	ms = (ms > PROBE_TIMER_MS ? ms : PROBE_TIMER_MS) << p->silent;
	return ms < TIMER_MOST_MS ? ms : TIMER_MOST_MS;
}

static size_t begin_round(struct probe *p, uint64_t now_us, struct probe_order *out)
{
	unsigned last, best;
	size_t n = 0;

	if (p->state == PROBE_ERROR && p->high - p->low <= (int)UNIT) /* there was nothing: perhaps there is by now */
		enter_base(p, top(p), now_us / 1000);
	last = last_step(p);
	best = highest(p->passed);
	p->round++;
	p->asked = p->answered = 0;
	for (unsigned step = 0; step <= last; step++) {
		if (step > 0 && step <= best)
			continue;
		p->asked |= (uint16_t)(1U << step);
		out[n++] = (struct probe_order){(uint8_t)step, size_of(p, step)};
	}
	p->begun_us = now_us;
	p->begun = p->waiting = true;
	p->due_ms = now_us / 1000 + patience_ms(p);
	return n;
}

size_t probe_run(struct probe *p, uint64_t now_us, struct probe_order out[static PROBE_STEPS])
{
	uint64_t now_ms = now_us / 1000;

	if (now_ms < p->due_ms)
		return 0;
	if (p->waiting)
		end_round(p, now_ms);
	return now_ms < p->due_ms ? 0 : begin_round(p, now_us, out);
}

void probe_sent(struct probe *p, uint32_t session)
{
	p->session = session;
}

/* ---- what is told ---- */

void probe_init(struct probe *p)
{
	*p = (struct probe){.due_ms = TIMER_NEVER, .loss_in = PROBE_LOSS_UNKNOWN};
}

void probe_path(struct probe *p, uint16_t mtu, bool v6, bool moved, uint64_t now_us)
{
	bool family = p->v6 == v6, same = family && !moved;

	if (same && p->max == mtu)
		return;
	p->max = mtu;
	p->v6 = v6;
	if (p->state == PROBE_COMPLETE && same && p->low < top(p)) /* more than was tried is not known to be carried */
		p->limit = p->low;
	if (!family || p->limit >= top(p))
		p->limit = 0;
	if (p->heard && top(p) > 0) {
		enter_base(p, top(p), now_us / 1000);
	} else {
		p->state = PROBE_DISABLED;
		p->due_ms = p->waiting ? now_us / 1000 : p->due_ms;
	}
	stop_waiting(p);
}

static uint64_t next_regular_ms(const struct probe *p, uint64_t now_ms)
{
	uint64_t at = p->begun_us / 1000 + PROBE_INTERVAL_MS;

	return p->begun && at > now_ms ? at : now_ms;
}

void probe_on_session(struct probe *p, uint64_t now_us)
{
	uint64_t now_ms = now_us / 1000;

	if (p->due_ms == TIMER_NEVER && (p->mute || next_regular_ms(p, now_ms) == now_ms))
		p->due_ms = now_ms;
	p->mute = false;
}

void probe_on_session_ended(struct probe *p)
{
	stop_waiting(p);
	p->begun = false;
	p->silent = 0;
	p->due_ms = TIMER_NEVER;
}

void probe_on_data(struct probe *p, uint64_t now_us)
{
	if (p->due_ms == TIMER_NEVER && !p->mute)
		p->due_ms = next_regular_ms(p, now_us / 1000);
}

/* RFC 6298 2.2, 2.3 */
static void take_rtt(struct probe *p, uint64_t us)
{
	uint32_t rtt = us < UINT32_MAX / 8 ? (uint32_t)us : UINT32_MAX / 8;
	uint32_t away = rtt > p->rtt_us ? rtt - p->rtt_us : p->rtt_us - rtt;

	if (rtt == 0)
		rtt = 1;
	if (p->rtt_us == 0) {
		p->rtt_us = rtt;
		p->rtt_deviation_us = rtt / 2;
		return;
	}
	p->rtt_deviation_us = (uint32_t)((3ULL * p->rtt_deviation_us + away) / 4);
	p->rtt_us = (uint32_t)((7ULL * p->rtt_us + rtt) / 8);
}

static void take_numbers(struct probe_loss *l, uint32_t session, uint64_t next, uint64_t received, uint64_t now_ms)
{
	uint64_t expected, came, gone, late;

	if (l->session != session)
		*l = (struct probe_loss){.session = session, .expected = l->expected, .lost = l->lost, .aged_ms = l->aged_ms};
	if (next < l->next || received < l->received || received > next)
		return;
	expected = next - l->next;
	came = received - l->received;
	gone = expected > came ? expected - came : 0;
	late = came > expected ? came - expected : 0; /* they were taken for lost before */
	gone -= gone < l->excused ? gone : l->excused;
	if (now_ms - l->aged_ms >= PROBE_INTERVAL_MS) {
		l->expected /= 2;
		l->lost /= 2;
		l->aged_ms = now_ms;
	}
	l->expected += expected;
	l->lost = l->lost + gone > late ? l->lost + gone - late : 0;
	l->excused = 0;
	l->next = next;
	l->received = received;
}

void probe_on_answer(struct probe *p, const struct probe_message *m, uint64_t now_us)
{
	uint16_t bit = (uint16_t)(m->step < PROBE_STEPS ? 1U << m->step : 0);
	uint64_t took = now_us - p->begun_us;

	if (!p->waiting || m->round != p->round || !(p->asked & bit & ~p->answered))
		return;
	p->answered |= bit;
	p->heard = true;
	if (m->step == 0) {
		take_rtt(p, m->held_us < took ? took - m->held_us : took);
		take_numbers(&p->out, p->session, m->next, m->received, now_us / 1000);
		p->loss_in = m->loss <= 1000000 ? m->loss : PROBE_LOSS_UNKNOWN;
	}
	if (p->answered == p->asked) /* there is nothing to wait for */
		p->due_ms = now_us / 1000;
}

uint16_t probe_mtu(const struct probe *p)
{
	if (p->state == PROBE_COMPLETE)
		return p->low < top(p) ? p->low : p->max;
	return p->limit;
}

uint32_t probe_loss_out(const struct probe *p)
{
	if (p->out.expected < PROBE_LOSS_LEAST)
		return PROBE_LOSS_UNKNOWN;
	return (uint32_t)(p->out.lost * 1000000 / p->out.expected);
}

/* ---- bytes ---- */

bool probe_is(const uint8_t *payload)
{
	return (payload[0] & 0xf0) == MARK;
}

bool probe_read(const uint8_t *payload, size_t size, struct probe_message *out)
{
	struct reader r = reader_over(payload, size);
	uint8_t kind = reader_u8(&r);
	struct probe_message m = {.kind = (enum probe_kind)(kind & 0x0f), .step = reader_u8(&r)};

	reader_take(&r, 2);
	m.round = reader_u32(&r);
	if ((kind & 0xf0) != MARK || m.kind >= PROBE_KIND_MAX || m.step >= PROBE_STEPS)
		return false;
	if (m.kind == PROBE_ANSWER) {
		m.held_us = reader_u32(&r);
		m.loss = reader_u32(&r);
		m.next = reader_u64(&r);
		m.received = reader_u64(&r);
	}
	if (!reader_ok(&r))
		return false;
	*out = m;
	return true;
}

static struct writer begin(uint8_t *out, size_t size, enum probe_kind kind, uint8_t step, uint32_t round)
{
	struct writer w = writer_over(out, size);

	writer_u8(&w, (uint8_t)(MARK | kind));
	writer_u8(&w, step);
	writer_u16(&w, 0);
	writer_u32(&w, round);
	return w;
}

void probe_write_ask(const struct probe *p, uint8_t step, uint8_t out[static PROBE_SIZE])
{
	begin(out, PROBE_SIZE, PROBE_ASK, step, p->round);
}

void probe_write_answer(const struct probe_message *m, uint8_t out[static PROBE_ANSWER_SIZE])
{
	struct writer w = begin(out, PROBE_ANSWER_SIZE, PROBE_ANSWER, m->step, m->round);

	writer_u32(&w, m->held_us);
	writer_u32(&w, m->loss);
	writer_u64(&w, m->next);
	writer_u64(&w, m->received);
}
