/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two nodes and whoever sits between them: messages are delivered, spoiled, repeated, dropped, made up, while time
 * goes on. Whatever was spoiled or made up starts no session, moves nobody and is answered by a cookie at most; what
 * is delivered is what the other side sent, once.  Chance is a fixed sequence, so that an input does the same each
 * time.
 */
#include <errno.h>
#include <openssl/rand.h>

#include "fuzz.h"
#include "wg/secret.h"
#include "wg/state.h"

int __wrap_RAND_bytes(unsigned char *out, int size);
int __wrap_RAND_priv_bytes(unsigned char *out, int size);

#define FLIGHT 16
#define NUMBERS 256

static uint64_t chance;

int __wrap_RAND_bytes(unsigned char *out, int size)
{
	for (int i = 0; i < size; i++) {
		chance = chance * 6364136223846793005ULL + 1442695040888963407ULL;
		out[i] = (unsigned char)(chance >> 56);
	}
	return 1;
}

int __wrap_RAND_priv_bytes(unsigned char *out, int size)
{
	return __wrap_RAND_bytes(out, size);
}

struct node {
	struct device *device;
	struct peer *peer;
	struct endpoint endpoint;
	bool seen[NUMBERS];
	unsigned n_sent; /* numbers */
	unsigned answers, ready, moved, delivered; /* answers: whatever was sent but cookies */
};

struct message {
	struct node *to;
	struct endpoint from;
	uint8_t data[256];
	size_t size;
	bool answered;
};

static struct node nodes[2];
static struct message flight[FLIGHT];
static size_t n_flight;
static uint64_t now;

static struct node *other(const struct node *n)
{
	return &nodes[n == nodes];
}

static void on_send(void *arg, const struct endpoint *to, const uint8_t *data, size_t size)
{
	struct node *n = arg;

	require(packet_kind(data, size) != PACKET_NONE, "what is sent is well-formed");
	n->answers += packet_kind(data, size) != PACKET_COOKIE;
	if (n_flight == FLIGHT)
		return;
	flight[n_flight] = (struct message){.to = other(n), .from = n->endpoint, .size = size};
	memcpy(flight[n_flight++].data, data, size);
}

static void on_deliver(void *arg, struct peer *peer, struct packet *packets, size_t length)
{
	struct node *n = arg;
	const uint8_t *payload = packets->data + sizeof(struct packet_data);

	require(peer == n->peer && length == 1 && packets->size == 16, "by the peer, as long as it was");
	require(payload[0] < other(n)->n_sent && !n->seen[payload[0]], "what was sent, once");
	n->seen[payload[0]] = true;
	n->delivered++;
}

static void on_event(void *arg, struct peer *peer, enum peer_event event)
{
	struct node *n = arg;

	n->ready += event == PEER_READY;
	n->moved += event == PEER_MOVED;
	if (event == PEER_ERASED)
		require(!peer->current && !peer->next && !peer->handshake && n->device->index.length == 0, "all is gone");
}

static const struct device_ops ops = {.send = on_send, .deliver = on_deliver, .event = on_event};

static void nodes_new(uint8_t suites)
{
	for (uint8_t i = 0; i < 2; i++) {
		struct device_config config = {.private_key = {(uint8_t)(8 * (i + 1))}, .wall_ns = 1795000000000000000ULL};

		nodes[i] = (struct node){.endpoint = {addr_from_v4_number(0xc0000201 + i), 51820}};
		require(device_new(&config, &ops, &nodes[i], now, &nodes[i].device) == 0, "there is memory");
	}
	for (uint8_t i = 0; i < 2; i++) {
		struct peer_config config = {.suite = (enum packet_suite)(suites >> i & 1), .mtu = 1420,
					     .endpoint = nodes[!i].endpoint, .keepalive_s = suites >> (2 + i) & 1};

		memcpy(config.public_key, device_public_key(nodes[!i].device), NOISE_KEY_SIZE);
		require(peer_new(nodes[i].device, &config, now, &nodes[i].peer) == 0, "there is memory");
	}
}

static void send_number(struct node *n)
{
	uint8_t buffer[PACKET_DATA_SIZE(16)] = {0};
	struct packet p = {.data = buffer, .size = 1};

	if (n->n_sent == NUMBERS)
		return;
	buffer[sizeof(struct packet_data)] = (uint8_t)n->n_sent;
	if (peer_seal(n->peer, &p, 1, now) == 0) {
		n->n_sent++;
		on_send(n, peer_endpoint(n->peer), buffer, p.size);
	}
}

static void deliver(const struct message *m)
{
	struct message copy = *m;
	struct packet p = {.data = copy.data, .size = copy.size};

	device_receive(copy.to->device, &copy.from, &p, 1, now);
}

/* As it was sent, for the first time or again. */
static void deliver_right(struct message *m)
{
	unsigned before = m->to->answers;

	deliver(m);
	if (packet_kind(m->data, m->size) != PACKET_INITIATION)
		return;
	require(!m->answered || m->to->answers == before, "an initiation is answered once");
	m->answered |= m->to->answers > before;
}

/* What nobody authenticated. */
static void deliver_wrong(const struct message *m)
{
	struct node before = *m->to;
	bool had_cookie = m->to->peer->jar.has_cookie;

	deliver(m);
	require(m->to->answers == before.answers, "is answered by a cookie at most");
	require(m->to->ready == before.ready && m->to->delivered == before.delivered, "starts and brings nothing");
	require(m->to->moved == before.moved, "moves nobody");
	require(m->to->peer->jar.has_cookie == had_cookie, "is no cookie");
}

/* Makes the first MAC right again, as anybody can. */
static void sign(struct message *m)
{
	struct cookie_jar jar;
	struct hash *h = m->to->device->tools.hash;

	require(cookie_jar_init(&jar, h, device_public_key(m->to->device)) == 0 &&
			cookie_sign(&jar, h, m->data, m->size, now) == 0,
		"there is memory");
}

static bool has_macs(const struct message *m)
{
	enum packet_kind kind = packet_kind(m->data, m->size);

	return kind == PACKET_INITIATION || kind == PACKET_RESPONSE;
}

static bool index_spoiled; /* of a sender, in a message of this input */

/*
 * In what the receiver can know: the second MAC counts only under load, and the sender's index stands outside of what
 * Noise authenticates (whoever changes it spoils the session that comes of it, as he could by dropping the message).  So
 * does the receiver's, which whoever has changed the sender's can make right again.
 */
static bool is_untouched(const struct message *bad, const struct message *m)
{
	size_t from = has_macs(m) ? 8 : 0, to = m->size - (has_macs(m) ? HASH_MAC_SIZE : 0);

	if (index_spoiled)
		from = packet_kind(m->data, m->size) == PACKET_RESPONSE ? 12 : 8;
	/* the first MAC was made anew, of the changed index */
	if (has_macs(m) && memcmp(bad->data + 4, m->data + 4, from - 4) != 0)
		to -= HASH_MAC_SIZE;
	return bad->size == m->size && memcmp(bad->data, m->data, from ? 4 : 0) == 0 &&
	       memcmp(bad->data + from, m->data + from, to - from) == 0;
}

static void deliver_spoiled(struct input *in, const struct message *m)
{
	struct message bad = *m;
	uint8_t at = input_u8(in), bits = input_u8(in), how = input_u8(in);

	bad.data[at % bad.size] ^= bits;
	if (how & 2)
		bad.size -= (size_t)(how >> 2) % bad.size;
	if ((how & 1) && has_macs(&bad))
		sign(&bad);
	if (!is_untouched(&bad, m)) {
		deliver_wrong(&bad);
		return;
	}
	index_spoiled |= has_macs(m) && memcmp(bad.data + 4, m->data + 4, 4) != 0;
	deliver(&bad);
}

static void deliver_made_up(struct input *in, struct node *to)
{
	struct message m = {.to = to, .from = other(to)->endpoint};
	static const size_t sizes[] = {148, 92, 64, 32, 48, 0, 3, 200};

	m.size = sizes[input_u8(in) % 8];
	input_take(in, m.data, m.size < 16 ? m.size : 16); /* the rest is nobody's guess */
	if (has_macs(&m))
		sign(&m);
	deliver_wrong(&m);
}

static void land(size_t i)
{
	memmove(&flight[i], &flight[i + 1], (--n_flight - i) * sizeof(flight[0]));
}

static void tick(uint64_t ms)
{
	now += ms;
	device_tick(nodes[0].device, now);
	device_tick(nodes[1].device, now);
}

static void step(struct input *in)
{
	uint8_t what = input_u8(in);
	struct node *n = &nodes[what >> 7];
	size_t i = n_flight ? (size_t)(what >> 4 & 7) % n_flight : 0;

	switch (what & 15) {
	case 0:
		peer_initiate(n->peer, true, now);
		return;
	case 1:
		send_number(n);
		return;
	case 2:
		tick(input_u16(in) * 10ULL);
		return;
	case 3:
		for (int j = 0; j <= LIMITER_LOAD; j++)
			limiter_loaded(n->device->limiter, now);
		return;
	case 4:
		deliver_made_up(in, n);
		return;
	case 5:
		n->endpoint.port = input_u16(in) | 1;
		return;
	default:
		break;
	}
	if (n_flight == 0)
		return;
	switch (what & 15) {
	case 6:
		land(i);
		break;
	case 7:
		deliver_right(&flight[i]);
		break;
	case 8:
		deliver_spoiled(in, &flight[i]);
		break;
	default: {
		struct message m = flight[i];

		land(i);
		deliver_right(&m);
	}
	}
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	require(secret_start(1 << 18) != -ENOMEM, "there is memory");
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, size < 400 ? size : 400};

	chance = now = 1000;
	n_flight = 0;
	index_spoiled = false;
	nodes_new(input_u8(&in));
	while (in.size > 0)
		step(&in);
	tick(ERASE_AFTER_MS + REKEY_ATTEMPT_MS);
	device_free(nodes[0].device);
	device_free(nodes[1].device);
	return 0;
}
