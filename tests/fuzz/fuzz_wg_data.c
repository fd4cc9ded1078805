/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Data messages of one session: sealed, spoiled, repeated, reordered, made up, near the ends of the counters, in
 * batches.  A model knows which counters were seen; the verdict has to be its verdict, and nothing is readable that
 * was not authenticated.
 */
#include <errno.h>

#include "fuzz.h"
#include "wg/keypair.h"
#include "wg/secret.h"
#include "wg/timers.h"

#define KEPT 32
#define ROOM 512

struct message {
	uint8_t data[ROOM];
	size_t size, payload; /* of the message; of the packet in it, padded */
	uint64_t counter;
	uint8_t fill; /* of which the packet consists */
};

static struct noise_tools tools;

struct session {
	struct keypair *us, *them;
	uint64_t now_ms;
	struct message kept[KEPT];
	size_t n_kept;
	uint64_t taken[1024]; /* counters that were good, a list */
	size_t n_taken;
	uint64_t highest;
};

static void seal_some(struct session *s, struct input *in)
{
	static uint8_t room[KEYPAIR_BATCH][ROOM];
	struct packet batch[KEYPAIR_BATCH];
	size_t n = 1 + input_u8(in) % 4, size = input_u16(in) % 300, mtu = 64 + input_u8(in);
	uint64_t first = s->us->sent;
	uint8_t fill = (uint8_t)(first | 1);
	int r;

	for (size_t i = 0; i < n; i++) {
		memset(room[i] + sizeof(struct packet_data), fill, size);
		batch[i] = (struct packet){.data = room[i], .size = size};
	}
	r = keypair_seal(s->us, tools.aead, batch, n, mtu, s->now_ms);
	require((r == 0) == (s->now_ms - s->us->born_ms < REJECT_AFTER_MS && first < REJECT_AFTER_MESSAGES - n),
		"sealed while it may be");
	require(s->us->sent == (r == 0 ? first + n : first), "each number once");
	for (size_t i = 0; i < n && r == 0; i++) {
		struct message *m = &s->kept[s->n_kept++ % KEPT];

		*m = (struct message){.size = batch[i].size, .payload = batch[i].size - PACKET_DATA_SIZE(0),
				      .counter = first + i, .fill = fill};
		memcpy(m->data, room[i], m->size);
		require(packet_kind(m->data, m->size) == PACKET_DATA, "what is sent is well-formed");
		require(m->payload >= size && (m->payload == size || m->payload <= mtu), "padded, but not beyond the mtu");
	}
}

static bool was_taken(const struct session *s, uint64_t counter)
{
	for (size_t i = 0; i < s->n_taken; i++)
		if (s->taken[i] == counter)
			return true;
	return false;
}

static enum keypair_verdict verdict_of(const struct session *s, const struct message *m, bool spoiled)
{
	uint64_t counter = m->counter;

	if (s->now_ms - s->them->born_ms >= REJECT_AFTER_MS)
		return KEYPAIR_EXPIRED;
	if (spoiled)
		return KEYPAIR_FORGED;
	if (was_taken(s, counter) || (s->n_taken > 0 && counter < s->highest && s->highest - counter > REPLAY_WINDOW))
		return KEYPAIR_REPLAYED;
	return KEYPAIR_GOOD;
}

static void open_one(struct session *s, struct message *m, bool spoiled)
{
	static uint8_t data[ROOM];
	struct packet p = {.data = data, .size = m->size};
	enum keypair_verdict want = verdict_of(s, m, spoiled);
	const uint8_t *payload = ((struct packet_data *)data)->payload;

	memcpy(data, m->data, m->size);
	require(keypair_open(s->them, tools.aead, &p, 1, s->now_ms) == (want == KEYPAIR_GOOD), "as many as are good");
	/* a counter that was spoiled may be out of bounds before it is found to be spoiled */
	require(p.verdict == want || (spoiled && p.verdict == KEYPAIR_EXPIRED), "the verdict of the model");
	if (p.verdict == KEYPAIR_FORGED)
		for (size_t i = 0; i < p.size && data[1] == s->them->suite; i++)
			require(payload[i] == 0, "nothing is readable that was not authenticated");
	if (p.verdict != KEYPAIR_GOOD)
		return;
	require(p.size == m->payload, "as long as it was");
	for (size_t i = 0; i < p.size; i++)
		require(payload[i] == m->fill || payload[i] == 0, "what was sent");
	if (s->n_taken == 0 || m->counter > s->highest)
		s->highest = m->counter;
	if (s->n_taken < sizeof(s->taken) / sizeof(s->taken[0]))
		s->taken[s->n_taken++] = m->counter;
}

static void open_spoiled(struct session *s, struct input *in, struct message *m)
{
	struct message bad = *m;
	uint16_t at = input_u16(in);
	uint8_t bits = input_u8(in), cut = input_u8(in);
	bool same;

	bad.data[at % bad.size] ^= bits;
	bad.size -= cut % 64 < bad.size - PACKET_DATA_SIZE(0) ? cut % 64 : 0;
	/* the kind is not the keypair's to look at, nor is the index; both are found by it */
	same = bad.size == m->size && bad.data[1] == m->data[1] && memcmp(bad.data + 8, m->data + 8, m->size - 8) == 0;
	if (packet_kind(bad.data, bad.size) == PACKET_DATA)
		open_one(s, &bad, !same);
}

static void open_made_up(struct session *s, struct input *in)
{
	struct message m = {.size = input_u8(in)};

	input_take(in, m.data, m.size);
	if (packet_kind(m.data, m.size) == PACKET_DATA)
		open_one(s, &m, true);
	require(packet_inner_size(m.data, m.size) <= m.size, "a packet ends within the message");
}

static void step(struct session *s, struct input *in)
{
	static const uint64_t places[] = {0, REKEY_AFTER_MESSAGES, REJECT_AFTER_MESSAGES - 8, REJECT_AFTER_MESSAGES,
					  (1ULL << 32) - 3, 8000, 8190, 16400};
	uint8_t what = input_u8(in);
	struct message *m = &s->kept[s->n_kept ? (what >> 3) % (s->n_kept < KEPT ? s->n_kept : KEPT) : 0];

	switch (what & 7) {
	case 0:
		s->now_ms += input_u16(in) * 4ULL;
		break;
	case 1:
		if (places[what >> 3 & 7] > s->us->sent)
			s->us->sent = places[what >> 3 & 7];
		break;
	case 2:
		open_made_up(s, in);
		break;
	case 3:
		if (s->n_kept > 0)
			open_spoiled(s, in, m);
		break;
	case 4:
	case 5:
		if (s->n_kept > 0)
			open_one(s, m, false);
		break;
	default:
		seal_some(s, in);
		break;
	}
	keypair_wants_next_receiving(s->us, s->now_ms);
	require(!keypair_wants_next_receiving(s->us, s->now_ms), "asks once");
	keypair_wants_next_sending(s->us, s->now_ms);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	require(secret_start(1 << 18) != -ENOMEM && noise_tools_new(&tools) == 0, "there is memory");
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t forth[NOISE_KEY_SIZE] = {1}, back[NOISE_KEY_SIZE] = {2};
	uint64_t sum = 1;
	static struct session s;
	struct input in = {data, size < 2000 ? size : 2000};
	enum packet_suite suite = (enum packet_suite)(input_u8(&in) & 1);

	/* Of all bytes: libFuzzer sees what a tag is compared with and puts it in, and a right tag is no forgery. */
	for (size_t i = 0; i < size; i++)
		sum = (sum ^ data[i]) * 0x100000001b3;
	memcpy(forth + 8, &sum, sizeof(sum));
	memcpy(back + 8, &sum, sizeof(sum));
	s = (struct session){.now_ms = 5000};
	require(keypair_new(tools.aead, suite, forth, back, true, 1, 2, 5000, &s.us) == 0 &&
			keypair_new(tools.aead, suite, forth, back, false, 2, 1, 5000, &s.them) == 0,
		"there is memory");
	while (in.size > 0)
		step(&s, &in);
	keypair_free(s.us);
	keypair_free(s.them);
	return 0;
}
