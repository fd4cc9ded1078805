/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Small UDP packets from one workload to very many others, one at a time and in no order: what a path costs when no
 * table entry is warm from the packet before.
 *
 *     bench-spread NS INTERFACE SECONDS SOURCE-MAC SOURCE-ADDRESS FIRST-MAC STEP FIRST-ADDRESS COUNT
 *
 * Sends from INTERFACE in the namespace NS, as fast as it goes, to COUNT workloads: the n-th has the MAC FIRST-MAC plus
 * n times STEP, and the IPv4 address FIRST-ADDRESS plus n.  No packet needs an answer; who counts what comes out at the
 * other end knows the loss.  Prints one JSON object.
 *
 *     Ethernet 14 | IPv4 20 | UDP 8 (no checksum) | 64 bytes
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
	PAYLOAD = 64,
	SIZE = 14 + 20 + 8 + PAYLOAD,
	BATCH = 64,
	IP = 14,
	UDP = 34,
	PORT = 7777,
};

static void fail(const char *what)
{
	fprintf(stderr, "bench-spread: %s: %s\n", what, errno ? strerror(errno) : "not understood");
	exit(1);
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static uint64_t mac_of(const char *text)
{
	uint64_t value = 0;
	unsigned int b[6];

	if (sscanf(text, "%x:%x:%x:%x:%x:%x", &b[0], &b[1], &b[2], &b[3], &b[4], &b[5]) != 6)
		fail(text);
	for (int i = 0; i < 6; i++)
		value = value << 8 | (b[i] & 0xff);
	return value;
}

static uint32_t address_of(const char *text)
{
	struct in_addr a;

	if (inet_pton(AF_INET, text, &a) != 1)
		fail(text);
	return ntohl(a.s_addr);
}

static void put(uint8_t *at, uint64_t value, int size)
{
	while (size--) {
		at[size] = (uint8_t)value;
		value >>= 8;
	}
}

static uint16_t checksum(const uint8_t *at, int size)
{
	uint32_t sum = 0;

	for (int i = 0; i < size; i += 2)
		sum += (uint32_t)at[i] << 8 | at[i + 1];
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

static void address_frame(uint8_t *frame, uint64_t mac, uint32_t address)
{
	put(frame, mac, 6);
	put(frame + IP + 16, address, 4);
	put(frame + IP + 10, 0, 2);
	put(frame + IP + 10, checksum(frame + IP, 20), 2);
}

static void make_frame(uint8_t *frame, uint64_t mac, uint32_t address)
{
	memset(frame, 0, SIZE);
	put(frame + 6, mac, 6);
	put(frame + 12, ETH_P_IP, 2);
	frame[IP] = 0x45;
	put(frame + IP + 2, SIZE - IP, 2);
	frame[IP + 8] = 64;
	frame[IP + 9] = IPPROTO_UDP;
	put(frame + IP + 12, address, 4);
	put(frame + UDP, PORT, 2);
	put(frame + UDP + 2, PORT, 2);
	put(frame + UDP + 4, 8 + PAYLOAD, 2);
}

static int open_port(const char *ns, const char *interface)
{
	struct sockaddr_ll a = { .sll_family = AF_PACKET };
	int fd = open(ns, O_RDONLY | O_CLOEXEC), s;

	if (fd < 0 || setns(fd, CLONE_NEWNET))
		fail(ns);
	close(fd);
	s = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	a.sll_ifindex = (int)if_nametoindex(interface);
	if (s < 0 || !a.sll_ifindex || bind(s, (struct sockaddr *)&a, sizeof(a)))
		fail(interface);
	return s;
}

int main(int argc, char **argv)
{
	static uint8_t frames[BATCH][SIZE];
	struct mmsghdr m[BATCH] = { 0 };
	struct iovec v[BATCH];
	uint64_t state = 88172645463325252ULL, first_mac, step, n, count, sent = 0;
	uint32_t first_address;
	double seconds, start, took;
	int s, r;

	if (argc != 10) {
		fprintf(stderr, "usage: bench-spread NS INTERFACE SECONDS SOURCE-MAC SOURCE-ADDRESS FIRST-MAC STEP "
				"FIRST-ADDRESS COUNT\n");
		return 2;
	}
	s = open_port(argv[1], argv[2]);
	seconds = atof(argv[3]);
	first_mac = mac_of(argv[6]);
	step = strtoull(argv[7], NULL, 10);
	first_address = address_of(argv[8]);
	count = strtoull(argv[9], NULL, 10);
	errno = 0;
	if (!count || !(seconds > 0))
		fail("SECONDS or COUNT");
	for (int i = 0; i < BATCH; i++) {
		make_frame(frames[i], mac_of(argv[4]), address_of(argv[5]));
		v[i] = (struct iovec){ frames[i], SIZE };
		m[i].msg_hdr.msg_iov = &v[i];
		m[i].msg_hdr.msg_iovlen = 1;
	}
	start = now();
	while ((took = now() - start) < seconds) {
		for (int i = 0; i < BATCH; i++) {
			/* xorshift64: no order that a cache could foresee */
			state ^= state << 13;
			state ^= state >> 7;
			state ^= state << 17;
			n = state % count;
			address_frame(frames[i], first_mac + n * step, first_address + (uint32_t)n);
		}
		r = sendmmsg(s, m, BATCH, 0);
		if (r > 0)
			sent += (uint64_t)r;
		else if (errno != ENOBUFS && errno != EAGAIN)
			fail("send");
	}
	printf("{\"sent\": %llu, \"seconds\": %.6f}\n", (unsigned long long)sent, took);
	return 0;
}
