/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wg_peer.c - one node with one peer over a UDP socket and a TUN device: src/wg and a poll loop, for test_wireguard.py.
 *
 * lab-wg-peer TUN PRIVATE PUBLIC PSK SUITE PORT [ADDRESS PORT]      keys in hexadecimal; the last two: where the peer
 * is
 *
 * Standard input: "rekey" asks for a new session, "move PORT" goes on from another port.  After
 * each, and once a second, a line of JSON says how things stand.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "lib/timer.h"
#include "wg/device.h"
#include "wg/secret.h"

#define MTU 1420
#define WAITING 256

struct node {
	int tun, udp;
	struct device *device;
	struct peer *peer;
	uint8_t waiting[WAITING][2048];
	size_t sizes[WAITING], n_waiting;
	unsigned long moved, ready, refused, delivered, lost;
};

static uint64_t now_of(clockid_t clock, uint64_t per_second)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (uint64_t)t.tv_sec * per_second + (uint64_t)t.tv_nsec / (1000000000 / per_second);
}

static uint64_t now_ms(void)
{
	return now_of(CLOCK_BOOTTIME, 1000);
}

static void die(const char *what)
{
	fprintf(stderr, "lab-wg-peer: %s: %s\n", what, strerror(errno));
	exit(1);
}

static int tun_open(const char *name)
{
	struct ifreq r = {.ifr_flags = IFF_TUN | IFF_NO_PI};
	int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);

	snprintf(r.ifr_name, sizeof(r.ifr_name), "%s", name);
	if (fd < 0 || ioctl(fd, TUNSETIFF, &r) != 0)
		die("tun");
	return fd;
}

/* One socket for both families. */
static int udp_open(uint16_t port)
{
	struct sockaddr_in6 a = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
	int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), off = 0;

	setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
	if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof(a)) != 0)
		die("udp");
	return fd;
}

static void on_send(void *arg, const struct endpoint *to, const uint8_t *data, size_t size)
{
	struct node *n = arg;
	struct sockaddr_in6 a = {.sin6_family = AF_INET6, .sin6_port = htons(to->port)};

	memcpy(&a.sin6_addr, to->addr.bytes, sizeof(a.sin6_addr));
	if (sendto(n->udp, data, size, 0, (struct sockaddr *)&a, sizeof(a)) < 0)
		n->lost++;
}

static void on_deliver(void *arg, struct peer *peer, struct packet *packets, size_t length)
{
	struct node *n = arg;

	for (size_t i = 0; i < length; i++) {
		const uint8_t *payload = packets[i].data + sizeof(struct packet_data);
		size_t inner = packet_inner_size(payload, packets[i].size);

		if (inner == 0)
			n->refused++;
		else if (write(n->tun, payload, inner) == (ssize_t)inner)
			n->delivered++;
		else
			n->lost++;
	}
}

static int seal_and_send(struct node *n, uint8_t *buffer, size_t size)
{
	struct packet p = {.data = buffer, .size = size};
	int r = peer_seal(n->peer, &p, 1, now_ms());

	if (r == 0)
		on_send(n, peer_endpoint(n->peer), buffer, p.size);
	return r;
}

static void on_event(void *arg, struct peer *peer, enum peer_event event)
{
	struct node *n = arg;

	n->moved += event == PEER_MOVED;
	if (event == PEER_GONE || event == PEER_ERASED) {
		n->lost += n->n_waiting;
		n->n_waiting = 0;
	}
	if (event != PEER_READY)
		return;
	n->ready++;
	for (size_t i = 0; i < n->n_waiting; i++)
		seal_and_send(n, n->waiting[i], n->sizes[i]);
	n->n_waiting = 0;
}

static const struct device_ops ops = {.send = on_send, .deliver = on_deliver, .event = on_event};

static void from_tun(struct node *n)
{
	uint8_t buffer[2048];
	ssize_t size;

	while ((size = read(n->tun, buffer + sizeof(struct packet_data), MTU)) > 0) {
		if (seal_and_send(n, buffer, (size_t)size) != -EAGAIN)
			continue;
		if (n->n_waiting == WAITING) {
			n->lost++;
			continue;
		}
		memcpy(n->waiting[n->n_waiting], buffer, sizeof(buffer));
		n->sizes[n->n_waiting++] = (size_t)size;
	}
}

static void from_udp(struct node *n)
{
	uint8_t buffer[65536];
	struct sockaddr_in6 a;
	struct endpoint from;
	struct packet p;
	socklen_t length;
	ssize_t size;

	for (;;) {
		length = sizeof(a);
		size = recvfrom(n->udp, buffer, sizeof(buffer), 0, (struct sockaddr *)&a, &length);
		if (size < 0)
			return;
		memcpy(from.addr.bytes, &a.sin6_addr, sizeof(from.addr.bytes));
		from.port = ntohs(a.sin6_port);
		p = (struct packet){.data = buffer, .size = (size_t)size};
		device_receive(n->device, &from, &p, 1, now_ms());
	}
}

static void say(struct node *n)
{
	char address[ADDR_TEXT_SIZE];
	struct peer_stats s;

	peer_stats(n->peer, &s);
	printf("{\"handshakes\": %lu, \"suite\": %d, \"endpoint\": \"%s\", \"port\": %d, \"ready\": %lu, \"moved\": %lu, "
	       "\"delivered\": %lu, \"refused\": %lu, \"lost\": %lu, \"sent\": %lu",
	       (unsigned long)s.handshakes, s.suite, addr_format(&peer_endpoint(n->peer)->addr, address),
	       peer_endpoint(n->peer)->port, n->ready, n->moved, n->delivered, n->refused, n->lost,
	       (unsigned long)s.sent_packets);
	for (int d = 0; d < DEVICE_DROP_MAX; d++)
		printf(", \"%s\": %lu", device_drop_name((enum device_drop)d),
		       (unsigned long)device_drops(n->device, (enum device_drop)d));
	printf("}\n");
	fflush(stdout);
}

/* False at the end of the input. */
static bool command(struct node *n)
{
	char line[128];
	unsigned value;

	if (!fgets(line, sizeof(line), stdin))
		return false;
	if (strcmp(line, "rekey\n") == 0) {
		peer_initiate(n->peer, true, now_ms());
	} else if (sscanf(line, "move %u", &value) == 1) {
		close(n->udp);
		n->udp = udp_open((uint16_t)value);
	}
	say(n);
	return true;
}

static void loop(struct node *n)
{
	uint64_t next_words = 0;

	for (;;) {
		uint64_t now = now_ms(), next = device_next_ms(n->device);
		struct pollfd fds[] = {{n->tun, POLLIN, 0}, {n->udp, POLLIN, 0}, {STDIN_FILENO, POLLIN, 0}};
		int wait = 200;

		if (now >= next_words) {
			say(n);
			next_words = now + 1000;
		}
		if (next <= now)
			wait = 0;
		else if (next - now < 200)
			wait = (int)(next - now);
		poll(fds, 3, wait);
		device_tick(n->device, now_ms());
		if (fds[2].revents && !command(n))
			return;
		if (fds[1].revents)
			from_udp(n);
		if (fds[0].revents)
			from_tun(n);
	}
}

static void key_of(const char *text, uint8_t out[static NOISE_KEY_SIZE])
{
	for (size_t i = 0; i < NOISE_KEY_SIZE; i++)
		if (sscanf(text + 2 * i, "%2hhx", &out[i]) != 1)
			die("key");
}

int main(int argc, char **argv)
{
	struct device_config config = {.wall_ns = now_of(CLOCK_REALTIME, 1000000000)};
	struct peer_config peer = {.mtu = MTU};
	static struct node n;
	int r;

	if (argc != 7 && argc != 9) {
		fprintf(stderr, "usage: lab-wg-peer TUN PRIVATE PUBLIC PSK SUITE PORT [ADDRESS PORT]\n");
		return 2;
	}
	key_of(argv[2], config.private_key);
	key_of(argv[3], peer.public_key);
	key_of(argv[4], peer.psk);
	peer.suite = (enum packet_suite)atoi(argv[5]);
	if (argc == 9 && addr_parse(argv[7], &peer.endpoint.addr) != 0)
		die("address");
	if (argc == 9)
		peer.endpoint.port = (uint16_t)atoi(argv[8]);
	n.tun = tun_open(argv[1]);
	n.udp = udp_open((uint16_t)atoi(argv[6]));
	r = secret_start(1 << 18);
	if (r == 0)
		r = device_new(&config, &ops, &n, now_ms(), &n.device);
	if (r == 0)
		r = peer_new(n.device, &peer, now_ms(), &n.peer);
	if (r != 0) {
		errno = -r;
		die("device");
	}
	loop(&n);
	device_free(n.device);
	return 0;
}
