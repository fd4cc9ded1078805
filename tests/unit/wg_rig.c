/* SPDX-License-Identifier: Apache-2.0 */
#include "wg_rig.h"

#include <stdio.h>

#include "wg/relay.h"
#include "wg/secret.h"

#define WALL_NS 1795000000000000000ULL /* some day of 2026 */

int rig_start(void **state)
{
	return secret_start(1 << 20);
}

struct endpoint rig_through(uint16_t relay, const struct rig_node *n)
{
	return relay_endpoint(relay, device_public_key(n->device));
}

static void on_send(void *arg, const struct endpoint *to, const uint8_t *data, size_t size)
{
	struct rig_node *n = arg;
	struct rig *rig = n->rig;
	struct rig_message *m = &rig->queue[(rig->head + rig->length) % RIG_QUEUE];

	assert_true(rig->length < RIG_QUEUE && size <= sizeof(m->data));
	*m = (struct rig_message){.from = to->relay ? rig_through(to->relay, n) : n->endpoint, .to = *to, .size = size};
	memcpy(m->data, data, size);
	rig->length++;
	rig->sent[packet_kind(data, size)]++;
}

static bool on_send_around(void *arg, struct peer *peer, const uint8_t *data, size_t size)
{
	struct rig_node *n = arg;
	const struct rig_node *other = n == &n->rig->left ? &n->rig->right : &n->rig->left;

	for (uint16_t i = 1; data && i <= n->rig->relays; i++) {
		struct endpoint to = rig_through(i, other);

		on_send(n, &to, data, size);
	}
	return n->rig->relays > 0;
}

static void on_deliver(void *arg, struct peer *peer, struct packet *packets, size_t length)
{
	struct rig_node *n = arg;
	uint32_t number;

	assert_ptr_equal(peer, n->peer);
	for (size_t i = 0; i < length; i++) {
		assert_true(packets[i].verdict == KEYPAIR_GOOD && packets[i].size >= sizeof(number));
		memcpy(&number, packets[i].data + sizeof(struct packet_data), sizeof(number));
		n->seen[number]++;
		n->delivered++;
	}
}

static int seal_and_send(struct rig_node *n, uint32_t number)
{
	uint8_t buffer[256] = {0};
	struct packet p = {.data = buffer, .size = 100};
	int r;

	memcpy(buffer + sizeof(struct packet_data), &number, sizeof(number));
	r = peer_seal(n->peer, &p, 1, n->rig->now_ms);
	if (r == 0)
		on_send(n, peer_endpoint(n->peer), buffer, p.size);
	return r;
}

static void on_event(void *arg, struct peer *peer, enum peer_event event)
{
	struct rig_node *n = arg;

	n->events[event]++;
	if (event == PEER_GONE || event == PEER_ERASED)
		n->n_waiting = 0;
	if (event != PEER_READY || n->quiet)
		return;
	for (size_t i = 0; i < n->n_waiting; i++)
		assert_int_equal(seal_and_send(n, n->waiting[i]), 0);
	n->n_waiting = 0;
}

static const struct device_ops ops = {.send = on_send, .send_around = on_send_around, .deliver = on_deliver, .event = on_event};

static void node_init(struct rig *rig, struct rig_node *n, const char *address, uint8_t key)
{
	struct device_config config = {.private_key = {key, key}, .wall_ns = WALL_NS};

	n->rig = rig;
	n->endpoint.port = 51820;
	assert_int_equal(addr_parse(address, &n->endpoint.addr), 0);
	n->seen = calloc(1 << 21, 1);
	assert_non_null(n->seen);
	assert_int_equal(device_new(&config, &ops, n, rig->now_ms, &n->device), 0);
}

static void node_peer(struct rig_node *n, const struct rig_node *other, enum packet_suite suite)
{
	struct peer_config config = {.suite = suite, .endpoint = other->endpoint, .mtu = RIG_MTU, .psk = "shared"};

	memcpy(config.public_key, device_public_key(other->device), NOISE_KEY_SIZE);
	assert_int_equal(peer_new(n->device, &config, n->rig->now_ms, &n->peer), 0);
}

struct rig *rig_new(enum packet_suite left, enum packet_suite right)
{
	struct rig *rig = calloc(1, sizeof(*rig));

	assert_non_null(rig);
	rig->now_ms = 1000000;
	node_init(rig, &rig->left, "192.0.2.1", 1);
	node_init(rig, &rig->right, "198.51.100.2", 2);
	node_peer(&rig->left, &rig->right, left);
	node_peer(&rig->right, &rig->left, right);
	return rig;
}

void rig_free(struct rig *rig)
{
	device_free(rig->left.device);
	device_free(rig->right.device);
	free(rig->left.seen);
	free(rig->right.seen);
	free(rig);
}

void rig_receive(struct rig_node *n, const struct endpoint *from, uint8_t *data, size_t size)
{
	struct packet p = {.data = data, .size = size};

	device_receive(n->device, from, &p, 1, n->rig->now_ms);
}

static bool is_at(const struct endpoint *to, const struct rig_node *n)
{
	struct endpoint through = rig_through(to->relay, n);

	return endpoint_equal(to, to->relay ? &through : &n->endpoint);
}

void rig_flush(struct rig *rig)
{
	while (rig->length > 0) {
		struct rig_message m = rig->queue[rig->head];
		struct rig_node *to;

		rig->head = (rig->head + 1) % RIG_QUEUE;
		rig->length--;
		if (rig->filter && !rig->filter(rig, &m))
			continue;
		to = is_at(&m.to, &rig->left) ? &rig->left : is_at(&m.to, &rig->right) ? &rig->right : NULL;
		if (to)
			rig_receive(to, &m.from, m.data, m.size);
	}
}

static uint64_t sooner(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

void rig_advance(struct rig *rig, uint64_t ms)
{
	uint64_t end = rig->now_ms + ms;

	rig_flush(rig);
	for (;;) {
		uint64_t next = sooner(device_next_ms(rig->left.device), device_next_ms(rig->right.device));

		if (next > end)
			break;
		if (next > rig->now_ms)
			rig->now_ms = next;
		device_tick(rig->left.device, rig->now_ms);
		device_tick(rig->right.device, rig->now_ms);
		rig_flush(rig);
	}
	rig->now_ms = end;
}

int rig_send(struct rig_node *n)
{
	uint32_t number = n->numbers++;
	int r;

	assert_true(number < 1 << 21);
	r = seal_and_send(n, number);
	if (r != 0) {
		assert_true(n->n_waiting < sizeof(n->waiting) / sizeof(n->waiting[0]));
		n->waiting[n->n_waiting++] = number;
	}
	return r;
}

void rig_connect(struct rig *rig)
{
	rig_send(&rig->left);
	rig_flush(rig);
	assert_true(peer_is_ready(rig->left.peer, rig->now_ms));
	assert_true(peer_is_ready(rig->right.peer, rig->now_ms));
}

uint64_t rig_lost(const struct rig_node *from, const struct rig_node *to)
{
	uint64_t lost = 0;

	for (uint32_t i = 0; i < from->numbers; i++) {
		assert_true(to->seen[i] <= 1);
		lost += to->seen[i] == 0;
	}
	return lost;
}

struct rig_message *rig_last(struct rig *rig)
{
	assert_true(rig->length > 0);
	return &rig->queue[(rig->head + rig->length - 1) % RIG_QUEUE];
}
