/* SPDX-License-Identifier: Apache-2.0 */
#include "wg/keypair.h"

#include <endian.h>
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "model/fwd.h"
#include "wg/timers.h"

#define PADDING FWD_SECURE_UNIT

int keypair_new(struct aead *a, enum packet_suite suite, const uint8_t forth[static NOISE_KEY_SIZE],
		const uint8_t back[static NOISE_KEY_SIZE], bool initiator, uint32_t local, uint32_t remote,
		uint64_t now_ms, struct keypair **out)
{
	enum aead_algorithm algorithm = packet_suites[suite].aead;
	enum aead_library library = aead_best(a, algorithm);
	struct keypair *k = calloc(1, sizeof(*k));
	int r;

	if (!k)
		return -ENOMEM;
	k->born_ms = now_ms;
	k->local = local;
	k->remote = remote;
	k->suite = suite;
	k->initiator = initiator;
	r = aead_key_new(a, algorithm, library, initiator ? forth : back, &k->send);
	if (r == 0)
		r = aead_key_new(a, algorithm, library, initiator ? back : forth, &k->receive);
	if (r != 0)
		keypair_free(k);
	else
		*out = k;
	return r;
}

void keypair_free(struct keypair *k)
{
	if (!k)
		return;
	aead_key_free(k->send);
	aead_key_free(k->receive);
	free(k);
}

static uint64_t sent_of(const struct keypair *k)
{
	return __atomic_load_n(&k->sent, __ATOMIC_RELAXED);
}

/* A thread's time may be of before the session, which another made. */
static uint64_t age_ms(const struct keypair *k, uint64_t now_ms)
{
	return now_ms > k->born_ms ? now_ms - k->born_ms : 0;
}

bool keypair_is_usable(const struct keypair *k, uint64_t now_ms)
{
	return k && age_ms(k, now_ms) < REJECT_AFTER_MS && sent_of(k) < REJECT_AFTER_MESSAGES;
}

bool keypair_wants_next_sending(const struct keypair *k, uint64_t now_ms)
{
	return sent_of(k) > REKEY_AFTER_MESSAGES || (k->initiator && age_ms(k, now_ms) >= REKEY_AFTER_MS);
}

bool keypair_wants_next_receiving(struct keypair *k, uint64_t now_ms)
{
	if (!k->initiator || k->asked_anew ||
	    age_ms(k, now_ms) < REJECT_AFTER_MS - KEEPALIVE_TIMEOUT_MS - REKEY_TIMEOUT_MS)
		return false;
	k->asked_anew = true;
	return true;
}

/*
 * The first of `n` numbers that nobody else has, or REJECT_AFTER_MESSAGES.  The look before the addition keeps the
 * count from running on: what threads that look at the same moment add is far less than the 2^13 that are left behind
 * the limit.
 */
static uint64_t numbers_take(struct keypair *k, size_t n)
{
	uint64_t first;

	if (sent_of(k) >= REJECT_AFTER_MESSAGES - n)
		return REJECT_AFTER_MESSAGES;
	first = __atomic_fetch_add(&k->sent, n, __ATOMIC_RELAXED);
	return first < REJECT_AFTER_MESSAGES - n ? first : REJECT_AFTER_MESSAGES;
}

size_t keypair_padded(size_t size, size_t mtu)
{
	size_t full = (size + PADDING - 1) / PADDING * PADDING;

	if (size >= mtu) /* longer than it should be; not ours to cut */
		return size;
	return full < mtu ? full : mtu;
}

static struct aead_packet seal_prepare(const struct keypair *k, struct packet *p, uint64_t counter, size_t mtu)
{
	struct packet_data *m = (struct packet_data *)p->data;
	size_t size = keypair_padded(p->size, mtu);
	struct aead_packet a = {.data = m->payload, .size = size};
	uint64_t wire = htole64(counter);

	m->header = packet_header(PACKET_DATA, k->suite);
	memcpy(m->receiver, &k->remote, sizeof(m->receiver));
	memcpy(m->counter, &wire, sizeof(m->counter));
	memset(m->payload + p->size, 0, size - p->size);
	aead_nonce(packet_suites[k->suite].aead, counter, a.nonce);
	p->size = PACKET_DATA_SIZE(size);
	return a;
}

int keypair_seal(struct keypair *k, struct aead *a, struct packet *packets, size_t n, size_t mtu, uint64_t now_ms)
{
	struct aead_packet batch[KEYPAIR_BATCH];
	uint64_t first;

	if (!keypair_is_usable(k, now_ms))
		return -EKEYEXPIRED;
	first = numbers_take(k, n);
	if (first >= REJECT_AFTER_MESSAGES)
		return -EKEYEXPIRED;
	for (size_t i = 0; i < n; i++)
		batch[i] = seal_prepare(k, &packets[i], first + i, mtu);
	return aead_seal(a, k->send, batch, n);
}

static uint64_t counter_of(const struct packet *p)
{
	uint64_t wire;

	memcpy(&wire, ((const struct packet_data *)p->data)->counter, sizeof(wire));
	return le64toh(wire);
}

static enum keypair_verdict open_prepare(const struct keypair *k, const struct packet *p, uint64_t now_ms,
					 struct aead_packet *out)
{
	struct packet_data *m = (struct packet_data *)p->data;

	if (age_ms(k, now_ms) >= REJECT_AFTER_MS || counter_of(p) >= REJECT_AFTER_MESSAGES)
		return KEYPAIR_EXPIRED;
	if (m->header.suite != k->suite)
		return KEYPAIR_FORGED;
	*out = (struct aead_packet){.data = m->payload, .size = p->size - PACKET_DATA_SIZE(0)};
	aead_nonce(packet_suites[k->suite].aead, counter_of(p), out->nonce);
	return KEYPAIR_GOOD;
}

/* A few dozen instructions a packet; a holder that was put to sleep meanwhile gets the processor. */
static void replay_hold(struct keypair *k)
{
	while (__atomic_test_and_set(&k->replay_is_held, __ATOMIC_ACQUIRE))
		sched_yield();
}

static void replay_let_go(struct keypair *k)
{
	__atomic_clear(&k->replay_is_held, __ATOMIC_RELEASE);
}

size_t keypair_open(struct keypair *k, struct aead *a, struct packet *packets, size_t n, uint64_t now_ms)
{
	struct aead_packet batch[KEYPAIR_BATCH];
	size_t length = 0, good = 0;

	for (size_t i = 0; i < n; i++) {
		packets[i].verdict = open_prepare(k, &packets[i], now_ms, &batch[length]);
		length += packets[i].verdict == KEYPAIR_GOOD;
	}
	aead_open(a, k->receive, batch, length);
	replay_hold(k);
	for (size_t i = 0, j = 0; i < n; i++) {
		struct packet *p = &packets[i];

		if (p->verdict != KEYPAIR_GOOD)
			continue;
		if (!batch[j++].ok)
			p->verdict = KEYPAIR_FORGED;
		else if (!replay_take(&k->replay, counter_of(p)))
			p->verdict = KEYPAIR_REPLAYED;
		p->size -= PACKET_DATA_SIZE(0);
		good += p->verdict == KEYPAIR_GOOD;
	}
	k->received += good;
	replay_let_go(k);
	return good;
}

void keypair_received(struct keypair *k, uint64_t *next, uint64_t *received)
{
	replay_hold(k);
	*next = k->replay.next;
	*received = k->received;
	replay_let_go(k);
}
