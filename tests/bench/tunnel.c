/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tunnel.c - how fast packets go through src/wg between a TUN device and a UDP socket: one thread, one session with
 * fixed keys and no handshake, super-packets on both sides.  tunnel.py puts two of them between two hosts, beside
 * wireguard-go.
 *
 *     bench-tunnel TUN chacha|aes|clear 0|1 PORT REMOTE-ADDRESS     0|1: which end this is
 *
 *     TUN with virtio header -> cut -> seal 64 at once -> UDP_SEGMENT ->
 *     -> UDP_GRO -> open 64 at once -> merge -> TUN with virtio header
 *
 * "clear" leaves out the AEAD: what the way costs without it.  At the end of its input it prints, on one line of
 * JSON, what it did.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "wg/keypair.h"
#include "wg/secret.h"
#include "wg/segment.h"

#define SOL_UDP_ 17
#define UDP_SEGMENT_ 103
#define UDP_GRO_ 104

#define MTU 1420
#define SLOT (PACKET_DATA_SIZE(MTU) + 16) /* a message in the making */
#define BIG 65535
#define RUN 65507 /* the payload of the longest datagram: what one UDP_SEGMENT takes */
#define AHEAD 32 /* reads from one side before the other has its turn */

struct node {
	int tun, udp;
	struct aead *aead;
	struct keypair *keypair;
	bool clear;
	struct {
		unsigned long tun_reads, udp_sends, sealed, udp_reads, opened, tun_writes, refused, lost;
	} did;
	/* what waits to be sealed and sent: messages one behind the other */
	uint8_t out[SEGMENT_MAX * SLOT];
	struct packet batch[SEGMENT_MAX];
	size_t n_batch, at;
};

static void die(const char *what)
{
	fprintf(stderr, "bench-tunnel: %s: %s\n", what, strerror(errno));
	exit(1);
}

static int tun_open(const char *name)
{
	struct ifreq r = {.ifr_flags = IFF_TUN | IFF_NO_PI | IFF_VNET_HDR};
	int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);

	snprintf(r.ifr_name, sizeof(r.ifr_name), "%s", name);
	if (fd < 0 || ioctl(fd, TUNSETIFF, &r) != 0 ||
	    ioctl(fd, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6) != 0)
		die("tun");
	return fd;
}

static int udp_open(uint16_t port, const char *remote)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1, size = 8 << 20;

	if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof(a)) != 0 || inet_pton(AF_INET, remote, &a.sin_addr) != 1 ||
	    connect(fd, (struct sockaddr *)&a, sizeof(a)) != 0 ||
	    setsockopt(fd, SOL_UDP_, UDP_GRO_, &on, sizeof(on)) != 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) != 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size)) != 0)
		die("udp");
	return fd;
}

/* Messages of one size, the last may be shorter: one call. */
static void send_run(struct node *n, uint8_t *data, size_t size, size_t each)
{
	uint8_t control[CMSG_SPACE(sizeof(uint16_t))] = {0};
	struct iovec v = {data, size};
	struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};
	uint16_t segment = (uint16_t)each;

	if (size > each) {
		struct cmsghdr *c;

		m.msg_control = control;
		m.msg_controllen = sizeof(control);
		c = CMSG_FIRSTHDR(&m);
		c->cmsg_level = SOL_UDP_;
		c->cmsg_type = UDP_SEGMENT_;
		c->cmsg_len = CMSG_LEN(sizeof(segment));
		memcpy(CMSG_DATA(c), &segment, sizeof(segment));
	}
	n->did.udp_sends++;
	while (sendmsg(n->udp, &m, 0) < 0) {
		if (errno != EAGAIN) {
			n->did.lost++;
			return;
		}
		poll(&(struct pollfd){n->udp, POLLOUT, 0}, 1, 10);
	}
}

static size_t padded(size_t size)
{
	size_t full = (size + 15) & ~(size_t)15;

	return full < MTU ? full : size < MTU ? MTU : size;
}

/* What a message becomes without AEAD: the same sizes. */
static void pretend(struct node *n)
{
	for (size_t i = 0; i < n->n_batch; i++) {
		struct packet *p = &n->batch[i];

		((struct packet_data *)p->data)->header = packet_header(PACKET_DATA, n->keypair->suite);
		p->size = PACKET_DATA_SIZE(padded(p->size));
	}
	n->keypair->sent += n->n_batch;
}

static void flush(struct node *n)
{
	size_t start = 0;

	if (n->n_batch == 0)
		return;
	if (n->clear)
		pretend(n);
	else if (keypair_seal(n->keypair, n->aead, n->batch, n->n_batch, MTU, 0) != 0)
		die("seal");
	n->did.sealed += n->n_batch;
	/* they lie one behind the other; a run ends with a shorter one or before a longer */
	for (size_t i = 0; i < n->n_batch; i++) {
		size_t each = n->batch[start].size;
		size_t size = (size_t)(n->batch[i].data - n->batch[start].data) + n->batch[i].size;
		bool last = i + 1 == n->n_batch || n->batch[i].size < each || n->batch[i + 1].size > each ||
			    size + each > RUN;

		if (!last)
			continue;
		send_run(n, n->batch[start].data, size, each);
		start = i + 1;
	}
	n->n_batch = n->at = 0;
}

static void from_tun(struct node *n)
{
	static uint8_t buffer[sizeof(struct virtio_net_hdr) + BIG];
	struct virtio_net_hdr h;
	struct segment_cut c;
	ssize_t size;

	for (int turn = 0; turn < AHEAD && (size = read(n->tun, buffer, sizeof(buffer))) > (ssize_t)sizeof(h); turn++) {
		n->did.tun_reads++;
		memcpy(&h, buffer, sizeof(h));
		if (segment_cut_begin(&c, &h, buffer + sizeof(h), (size_t)size - sizeof(h)) != 0) {
			n->did.refused++;
			continue;
		}
		if (n->n_batch + c.n > SEGMENT_MAX)
			flush(n);
		for (size_t i = 0; i < c.n; i++) {
			struct packet *p = &n->batch[n->n_batch++];

			*p = (struct packet){.data = n->out + n->at, .size = segment_cut_size(&c, i)};
			segment_cut_write(&c, i, p->data + sizeof(struct packet_data));
			n->at += PACKET_DATA_SIZE(padded(p->size));
		}
		if (c.n > 1)
			flush(n);
	}
	flush(n);
}

static void write_merged(struct node *n, struct segment_merge *m)
{
	size_t pieces = segment_merge_end(m);

	n->did.tun_writes++;
	if (writev(n->tun, m->pieces, (int)pieces) < 0)
		n->did.lost++;
}

static void deliver(struct node *n, struct packet *batch, size_t length)
{
	static struct segment_merge m;
	bool begun = false;

	for (size_t i = 0; i < length; i++) {
		const uint8_t *payload = ((struct packet_data *)batch[i].data)->payload;
		size_t inner = batch[i].verdict == KEYPAIR_GOOD ? packet_inner_size(payload, batch[i].size) : 0;

		if (inner == 0) {
			n->did.refused++;
			continue;
		}
		n->did.opened++;
		if (begun && segment_merge_add(&m, payload, inner))
			continue;
		if (begun)
			write_merged(n, &m);
		segment_merge_begin(&m, payload, inner);
		begun = true;
	}
	if (begun)
		write_merged(n, &m);
}

static size_t gro_size(struct msghdr *m, size_t size)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
		int v;

		if (c->cmsg_level == SOL_UDP_ && c->cmsg_type == UDP_GRO_) {
			memcpy(&v, CMSG_DATA(c), sizeof(v));
			return (size_t)v;
		}
	}
	return size;
}

static void open_some(struct node *n, uint8_t *buffer, size_t size, size_t each)
{
	struct packet batch[KEYPAIR_BATCH];

	while (size > 0) {
		size_t length = 0;

		while (size > 0 && length < KEYPAIR_BATCH) {
			size_t one = size < each ? size : each;

			if (packet_kind(buffer, one) == PACKET_DATA)
				batch[length++] = (struct packet){.data = buffer, .size = one};
			buffer += one;
			size -= one;
		}
		if (n->clear)
			for (size_t i = 0; i < length; i++)
				batch[i].size -= PACKET_DATA_SIZE(0);
		else
			keypair_open(n->keypair, n->aead, batch, length, 0);
		deliver(n, batch, length);
	}
}

static void from_udp(struct node *n)
{
	static uint8_t buffer[BIG];
	uint8_t control[CMSG_SPACE(sizeof(int)) + 64];

	for (int turn = 0; turn < AHEAD; turn++) {
		struct iovec v = {buffer, sizeof(buffer)};
		struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
		ssize_t size = recvmsg(n->udp, &m, 0);

		if (size <= 0)
			return;
		n->did.udp_reads++;
		open_some(n, buffer, (size_t)size, gro_size(&m, (size_t)size));
	}
}

static void loop(struct node *n)
{
	for (;;) {
		struct pollfd fds[] = {{n->tun, POLLIN, 0}, {n->udp, POLLIN, 0}, {STDIN_FILENO, POLLIN, 0}};

		if (poll(fds, 3, -1) < 0 && errno != EINTR)
			die("poll");
		if (fds[1].revents)
			from_udp(n);
		if (fds[0].revents)
			from_tun(n);
		if (fds[2].revents)
			return;
	}
}

int main(int argc, char **argv)
{
	static const uint8_t forth[NOISE_KEY_SIZE] = {1}, back[NOISE_KEY_SIZE] = {2};
	static struct node n;
	struct rusage u;

	if (argc != 6) {
		fprintf(stderr, "usage: bench-tunnel TUN chacha|aes|clear 0|1 PORT REMOTE-ADDRESS\n");
		return 2;
	}
	n.clear = strcmp(argv[2], "clear") == 0;
	n.tun = tun_open(argv[1]);
	n.udp = udp_open((uint16_t)atoi(argv[4]), argv[5]);
	if (secret_start(1 << 16) == -ENOMEM || aead_new(&n.aead) != 0 ||
	    keypair_new(n.aead, strcmp(argv[2], "aes") ? SUITE_WIREGUARD : SUITE_ISTHMUS, forth, back, argv[3][0] == '0', 1, 1, 0,
			&n.keypair) != 0)
		die("keys");
	loop(&n);
	getrusage(RUSAGE_SELF, &u);
	printf("{\"tun_reads\": %lu, \"udp_sends\": %lu, \"sealed\": %lu, \"udp_reads\": %lu, \"opened\": %lu, "
	       "\"tun_writes\": %lu, \"refused\": %lu, \"lost\": %lu, \"user_ms\": %ld, \"system_ms\": %ld}\n",
	       n.did.tun_reads, n.did.udp_sends, n.did.sealed, n.did.udp_reads, n.did.opened, n.did.tun_writes,
	       n.did.refused, n.did.lost, u.ru_utime.tv_sec * 1000 + u.ru_utime.tv_usec / 1000,
	       u.ru_stime.tv_sec * 1000 + u.ru_stime.tv_usec / 1000);
	keypair_free(n.keypair);
	aead_free(n.aead);
	return 0;
}
