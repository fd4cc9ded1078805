/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wg_many.c - very many nodes in one process, each with an address and a key of its own and one peer, for
 * test_tunnel.py: how long does it take until all have a session?
 *
 * lab-wg-many N PUBLIC ADDRESS PORT      the key in hexadecimal; they are at 10.77.0.0/16, from 10.77.0.0 on
 *
 * It prints their public keys; when its input has a line, all begin at once, and when all have a session it prints how
 * many milliseconds that took and ends.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "wg/secret.h"
#include "wg/timers.h"
#include "wg/udp.h"
#include "wg/device.h"

#define MOST 4096

struct node {
	struct device *device;
	struct peer *peer;
	struct addr addr;
	bool ready;
};

static struct node nodes[MOST];
static struct udp sockets[2];
static size_t n_nodes, n_ready;
static struct endpoint target;
/* Whose a message is: by the index that it was sent with, of the last few of each. */
static struct {
	uint32_t index;
	struct node *node;
} senders[16 * MOST];
static size_t n_senders;

static void die(const char *what, int r)
{
	fprintf(stderr, "lab-wg-many: %s: %s\n", what, strerror(-r));
	exit(1);
}

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static void on_send(void *arg, const struct endpoint *to, const uint8_t *data, size_t size)
{
	struct node *n = arg;

	if (packet_kind(data, size) == PACKET_INITIATION && n_senders < sizeof(senders) / sizeof(senders[0])) {
		memcpy(&senders[n_senders].index, ((const struct packet_initiation *)data)->sender, 4);
		senders[n_senders++].node = n;
	}
	udp_send(&sockets[1], to, &n->addr, (uint8_t *)data, size, size);
}

static void on_deliver(void *arg, struct peer *peer, struct packet *packets, size_t n)
{
}

static void on_event(void *arg, struct peer *peer, enum peer_event event)
{
	struct node *n = arg;

	n_ready += event == PEER_READY && !n->ready;
	n->ready = n->ready || event == PEER_READY;
}

static const struct device_ops ops = {.send = on_send, .deliver = on_deliver, .event = on_event};

static void make(struct node *n, size_t i, const struct peer_config *peer)
{
	struct device_config c = {.private_key = {8, (uint8_t)i, (uint8_t)(i >> 8), 77}, .wall_ns = 1000000000};
	int r = device_new(&c, &ops, n, 0, &n->device);

	n->addr = addr_from_v4_number(0x0a4d0000U + (uint32_t)i);
	if (r == 0)
		r = peer_new(n->device, peer, 0, &n->peer);
	if (r != 0)
		die("device", r);
	for (size_t j = 0; j < NOISE_KEY_SIZE; j++)
		printf("%02x", device_public_key(n->device)[j]);
	printf("\n");
}

static struct node *node_of(const uint8_t *data)
{
	uint32_t index;

	memcpy(&index, data + 4, sizeof(index)); /* the receiver of cookies */
	if (data[0] == PACKET_RESPONSE)
		memcpy(&index, ((const struct packet_response *)data)->receiver, sizeof(index));
	for (size_t i = n_senders; i-- > 0;)
		if (senders[i].index == index)
			return senders[i].node;
	return NULL;
}

static void receive(struct udp *u, uint64_t now)
{
	static uint8_t data[UDP_DATAGRAM_MAX];
	struct endpoint from;
	size_t each;

	for (int size; (size = udp_receive(u, data, sizeof(data), &each, &from)) > 0;)
		for (size_t at = 0; at + 8 <= (size_t)size; at += each) {
			struct packet p = {.data = data + at, .size = (size_t)size - at < each ? (size_t)size - at : each};
			struct node *n = node_of(p.data);

			if (n)
				device_receive(n->device, &from, &p, 1, now);
		}
}

int main(int argc, char **argv)
{
	struct peer_config peer = {.mtu = 1420};
	uint64_t start;
	char line[16];
	int r;

	if (argc != 5 || (n_nodes = (size_t)atoi(argv[1])) > MOST || addr_parse(argv[3], &target.addr) != 0) {
		fprintf(stderr, "usage: lab-wg-many N PUBLIC ADDRESS PORT\n");
		return 2;
	}
	target.port = (uint16_t)atoi(argv[4]);
	for (size_t i = 0; i < NOISE_KEY_SIZE; i++)
		if (sscanf(argv[2] + 2 * i, "%2hhx", &peer.public_key[i]) != 1)
			die("key", -EINVAL);
	peer.endpoint = target;
	r = secret_start(1 << 24);
	if (r == 0)
		r = udp_open(target.port, 2, sockets);
	if (r != 0)
		die("start", r);
	for (size_t i = 0; i < n_nodes; i++)
		make(&nodes[i], i, &peer);
	fflush(stdout);
	if (!fgets(line, sizeof(line), stdin))
		return 1;
	start = now_ms();
	for (size_t i = 0; i < n_nodes; i++)
		peer_initiate(nodes[i].peer, true, 0);
	while (n_ready < n_nodes) {
		struct pollfd fds[] = {{sockets[0].fd, POLLIN, 0}, {sockets[1].fd, POLLIN, 0}};

		poll(fds, 2, 10);
		receive(&sockets[0], now_ms() - start);
		receive(&sockets[1], now_ms() - start);
		for (size_t i = 0; i < n_nodes; i++)
			device_tick(nodes[i].device, now_ms() - start);
	}
	printf("%lu\n", (unsigned long)(now_ms() - start));
	for (size_t i = 0; i < n_nodes; i++)
		device_free(nodes[i].device);
	return 0;
}
