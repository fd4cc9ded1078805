/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Probes over a path that the input makes: time, data, sessions, other paths; answers that are right, late, of another
 * round, made up.  A shadow that only gets what is right has to be in the same state; nothing longer than was told is
 * sent, and what is found is within bounds.
 */
#include "fuzz.h"
#include "lib/timer.h"
#include "model/fwd.h"
#include "wg/probe.h"

struct path {
	struct probe probe, shadow;
	uint64_t now_us;
	uint16_t told, carries;
	struct probe_order orders[PROBE_STEPS];
	size_t n;
	bool answered[PROBE_STEPS];
	struct probe_message late; /* an answer that was not given at its time */
	bool has_late;
	uint64_t next, received;
};

static void check_same(const struct path *p)
{
	const struct probe *a = &p->probe, *b = &p->shadow;

	require(a->due_ms == b->due_ms && a->state == b->state && a->low == b->low && a->high == b->high && a->goal == b->goal &&
			a->limit == b->limit && a->count == b->count && a->passed == b->passed && a->answered == b->answered &&
			a->rtt_us == b->rtt_us && a->out.lost == b->out.lost && a->out.expected == b->out.expected &&
			a->loss_in == b->loss_in && a->heard == b->heard && a->waiting == b->waiting,
		"what is not right changes nothing");
}

static void check_bounds(const struct path *p)
{
	const struct probe *a = &p->probe;
	uint32_t loss = probe_loss_out(a);

	require(probe_limit(a) == 0 || probe_limit(a) < p->told, "a limit is less than was told");
	require(probe_mtu(a) <= p->told || p->told == 0, "no more gets through than was told");
	require(loss <= 1000000 || loss == PROBE_LOSS_UNKNOWN, "a part");
	require(a->loss_in <= 1000000 || a->loss_in == PROBE_LOSS_UNKNOWN, "a part");
	require(a->state < PROBE_STATE_MAX && (a->state == PROBE_DISABLED || p->told > 0), "nothing is searched where nothing is told");
}

static void run(struct path *p)
{
	struct probe_order same[PROBE_STEPS];
	unsigned steps = 0;

	if (p->probe.due_ms == TIMER_NEVER)
		return;
	if (p->probe.due_ms * 1000 > p->now_us)
		p->now_us = p->probe.due_ms * 1000;
	p->n = probe_run(&p->probe, p->now_us, p->orders);
	require(probe_run(&p->shadow, p->now_us, same) == p->n, "one does what the other does");
	memset(p->answered, 0, sizeof(p->answered));
	require(p->n <= PROBE_STEPS, "no more than there is room for");
	for (size_t i = 0; i < p->n; i++) {
		require(p->orders[i].step < PROBE_STEPS && !(steps >> p->orders[i].step & 1), "each once");
		require((p->orders[i].size == 0) == (p->orders[i].step == 0), "the first is the small one");
		require(p->orders[i].size <= p->told, "no longer than was told");
		require(p->orders[i].size == 0 || p->orders[i].size >= FWD_OVERHEAD_SECURE(!p->probe.v6), "a datagram");
		steps |= 1U << p->orders[i].step;
	}
	if (p->n > 0) {
		p->next += p->n;
		probe_sent(&p->probe, 1 + (uint32_t)(p->now_us >> 30));
		probe_sent(&p->shadow, 1 + (uint32_t)(p->now_us >> 30));
	}
}

/* The answer to one that got there, through its bytes. */
static struct probe_message answer_to(struct path *p, size_t i)
{
	uint8_t ask[PROBE_SIZE], bytes[PROBE_ANSWER_SIZE];
	struct probe_message m;

	probe_write_ask(&p->probe, p->orders[i].step, ask);
	require(probe_read(ask, sizeof(ask), &m) && m.kind == PROBE_ASK, "what is written is read");
	m.next = p->next;
	m.received = p->received < p->next ? ++p->received : p->received;
	m.held_us = 10;
	m.loss = 77;
	probe_write_answer(&m, bytes);
	require(probe_read(bytes, sizeof(bytes), &m) && m.kind == PROBE_ANSWER, "what is written is read");
	return m;
}

static void answer(struct path *p, uint8_t which, bool later)
{
	size_t i = p->n > 0 ? which % p->n : 0;
	struct probe_message m;

	if (p->n == 0 || p->answered[i] || p->orders[i].size > p->carries || !p->probe.waiting)
		return;
	p->answered[i] = true;
	m = answer_to(p, i);
	if (later) {
		p->late = m;
		p->has_late = true;
		return;
	}
	probe_on_answer(&p->probe, &m, p->now_us);
	probe_on_answer(&p->shadow, &m, p->now_us);
	probe_on_answer(&p->probe, &m, p->now_us); /* it comes twice */
}

static void answer_late(struct path *p)
{
	if (!p->has_late || (p->late.round == p->probe.round && p->probe.waiting))
		return;
	probe_on_answer(&p->probe, &p->late, p->now_us);
}

static void answer_made_up(struct path *p, struct input *in)
{
	uint8_t bytes[40];
	size_t size = input_u8(in) % sizeof(bytes);
	struct probe_message m;

	input_take(in, bytes, sizeof(bytes));
	require(!probe_read(bytes, size, &m) || (size >= PROBE_SIZE && probe_is(bytes) && m.step < PROBE_STEPS), "whole");
	if (!probe_read(bytes, size, &m) || m.kind != PROBE_ANSWER)
		return;
	if (m.round == p->probe.round) /* who knows it is the other side, which may say what it likes */
		probe_on_answer(&p->shadow, &m, p->now_us);
	probe_on_answer(&p->probe, &m, p->now_us);
}

static void both_path(struct path *p, uint16_t mtu, bool v6, bool moved)
{
	p->told = mtu;
	probe_path(&p->probe, mtu, v6, moved, p->now_us);
	probe_path(&p->shadow, mtu, v6, moved, p->now_us);
}

static void step(struct path *p, struct input *in)
{
	static const uint16_t sizes[] = {0, 500, 1280, 1400, 1492, 1500, 9000, 65535};
	uint8_t what = input_u8(in);

	switch (what & 7) {
	case 0:
		p->now_us += input_u16(in) * 1000ULL;
		break;
	case 1:
		probe_on_data(&p->probe, p->now_us);
		probe_on_data(&p->shadow, p->now_us);
		break;
	case 2:
		if (what & 8) {
			probe_on_session_ended(&p->probe);
			probe_on_session_ended(&p->shadow);
		}
		probe_on_session(&p->probe, p->now_us);
		probe_on_session(&p->shadow, p->now_us);
		break;
	case 3:
		p->carries = input_u16(in);
		break;
	case 4:
		both_path(p, sizes[what >> 3 & 7], what & 64, what & 128);
		break;
	case 5:
		answer_made_up(p, in);
		answer_late(p);
		break;
	case 6:
		answer(p, what >> 4, what & 8);
		break;
	default:
		run(p);
		for (uint8_t i = 0; what & 8 && i < p->n; i++)
			answer(p, i, false);
		break;
	}
	check_same(p);
	check_bounds(p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct path p;
	struct input in = {data, size < 2000 ? size : 2000};

	p = (struct path){.now_us = 1000000, .carries = 1500};
	probe_init(&p.probe);
	probe_init(&p.shadow);
	while (in.size > 0)
		step(&p, &in);
	return 0;
}
