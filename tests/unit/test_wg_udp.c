/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sockets on one port, over loopback: which of them gets a datagram, runs of datagrams, sources, and a kernel without
 * IPv6.
 */
#include "hex.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "wg/index.h"
#include "wg/packet.h"
#include "wg/udp.h"

#define SOCKETS 4

int __real_socket(int domain, int type, int protocol);
int __wrap_socket(int domain, int type, int protocol);

static bool no_ipv6;

int __wrap_socket(int domain, int type, int protocol)
{
	if (no_ipv6 && domain == AF_INET6) {
		errno = EAFNOSUPPORT;
		return -1;
	}
	return __real_socket(domain, type, protocol);
}

static struct udp group[SOCKETS], sender;
static const struct addr nowhere;

static uint16_t port_of(const struct udp *u)
{
	struct sockaddr_storage a;
	socklen_t size = sizeof(a);
	uint16_t port;

	assert_int_equal(getsockname(u->fd, (struct sockaddr *)&a, &size), 0);
	memcpy(&port, (char *)&a + 2, sizeof(port));
	return be16toh(port);
}

/* A port that nobody has: the kernel's choice for the sender, and the next that is free. */
static uint16_t open_all(void)
{
	struct udp two[2];
	uint16_t port;

	assert_int_equal(udp_open(0, 2, two), 0);
	sender = two[0];
	close(two[1].fd);
	port = port_of(&sender);
	do
		port++;
	while (udp_open(port, SOCKETS, group) != 0);
	return port;
}

static void close_all(void)
{
	close(sender.fd);
	for (int i = 0; i < SOCKETS; i++)
		close(group[i].fd);
}

static struct endpoint to(const char *address, uint16_t port)
{
	struct endpoint e = {.port = port};

	assert_int_equal(addr_parse(address, &e.addr), 0);
	return e;
}

/* Which socket has something, alone. */
static int who_got(void)
{
	struct pollfd fds[SOCKETS];
	int who = -1;

	for (int i = 0; i < SOCKETS; i++)
		fds[i] = (struct pollfd){group[i].fd, POLLIN, 0};
	assert_int_equal(poll(fds, SOCKETS, 5000), 1);
	for (int i = 0; i < SOCKETS; i++)
		if (fds[i].revents)
			who = i;
	return who;
}

static void data_is_told_apart_by_the_peer(void **state)
{
	static const char *const addresses[] = {"127.0.0.1", "::1"};
	uint16_t port = open_all();

	for (size_t i = 0; i < 2; i++) {
		struct endpoint e = to(addresses[i], port), from;
		uint8_t message[148] = {PACKET_DATA}, got[2048];
		size_t each;

		for (int high = 0; high < 256; high += 5) {
			message[offsetof(struct packet_data, receiver) + INDEX_HIGH_AT] = (uint8_t)high;
			assert_int_equal(udp_send(&sender, &e, &nowhere, message, 96, 96), 0);
			assert_int_equal(who_got(), high % (SOCKETS - 1));
			assert_int_equal(udp_receive(&group[high % (SOCKETS - 1)], got, sizeof(got), &each, &from), 96);
			assert_int_equal(each, 96);
			assert_true(addr_equal(&from.addr, &e.addr));
			assert_int_equal(from.port, port_of(&sender));
		}
		for (uint8_t kind = 0; kind < 8; kind++) {
			message[0] = kind;
			assert_int_equal(udp_send(&sender, &e, &nowhere, message, 148, 148), 0);
			if (kind != PACKET_DATA)
				assert_int_equal(who_got(), SOCKETS - 1);
			assert_int_equal(udp_receive(&group[who_got()], got, sizeof(got), &each, &from), 148);
		}
		/* nothing at all is nothing to anybody */
		assert_int_equal(udp_receive(&group[0], got, sizeof(got), &each, &from), -EAGAIN);
	}
	close_all();
}

static void runs_arrive_as_they_were(void **state)
{
	static uint8_t run[UDP_RUN_MAX], got[UDP_DATAGRAM_MAX];
	uint16_t port = open_all();
	struct endpoint e = to("127.0.0.1", port), from;

	for (size_t size = 1452; size <= 44 * 1452 + 700; size += 7001) {
		size_t each, at = 0;
		int n;

		for (size_t i = 0; i < size; i++)
			run[i] = (uint8_t)(i * 31 + i / 1452);
		for (size_t i = 0; i < size; i += 1452)
			memcpy(run + i, "\4\0\0\0\0\0\0\1", 8);
		assert_int_equal(udp_send(&sender, &e, &nowhere, run, size, 1452), 0);
		while (at < size) {
			assert_int_equal(who_got(), 1);
			n = udp_receive(&group[1], got, sizeof(got), &each, &from);
			assert_true(n > 0 && (each == 1452 || each == (size_t)n));
			assert_memory_equal(got, run + at, n);
			at += (size_t)n;
		}
	}
	close_all();
}

static void the_source_is_the_one_that_is_wanted(void **state)
{
	uint16_t port = open_all();
	struct endpoint e = to("127.0.0.1", port), source = to("127.0.0.77", 0), from;
	uint8_t message[100] = {PACKET_DATA}, got[100];
	size_t each;

	assert_int_equal(udp_send(&sender, &e, &source.addr, message, 100, 50), 0);
	who_got();
	assert_int_equal(udp_receive(&group[0], got, sizeof(got), &each, &from), 100);
	assert_true(addr_equal(&from.addr, &source.addr));
	/* one that is not ours */
	assert_int_equal(addr_parse("192.0.2.1", &source.addr), 0);
	assert_true(udp_send(&sender, &e, &source.addr, message, 100, 100) < 0);
	close_all();
}

static void a_kernel_without_ipv6_does_with_ipv4(void **state)
{
	struct endpoint e, six, source = to("127.0.0.78", 0), from;
	uint8_t message[64] = {PACKET_DATA}, got[64];
	uint16_t port;
	size_t each;

	no_ipv6 = true;
	port = open_all();
	e = to("127.0.0.1", port);
	six = to("::1", port);
	assert_int_equal(udp_send(&sender, &six, &nowhere, message, 64, 64), -EAFNOSUPPORT);
	assert_int_equal(udp_send(&sender, &e, &source.addr, message, 64, 64), 0);
	assert_int_equal(who_got(), 0);
	assert_int_equal(udp_receive(&group[0], got, sizeof(got), &each, &from), 64);
	assert_true(addr_equal(&from.addr, &source.addr));
	close_all();
	no_ipv6 = false;
}

static void a_port_that_is_taken_is_refused(void **state)
{
	struct udp more[2];
	uint16_t port = open_all();

	assert_int_equal(udp_open(port, 2, more), -EADDRINUSE);
	close_all();
	assert_int_equal(udp_open(port, 2, more), 0);
	close(more[0].fd);
	close(more[1].fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(data_is_told_apart_by_the_peer),
		cmocka_unit_test(runs_arrive_as_they_were),
		cmocka_unit_test(the_source_is_the_one_that_is_wanted),
		cmocka_unit_test(a_kernel_without_ipv6_does_with_ipv4),
		cmocka_unit_test(a_port_that_is_taken_is_refused),
	};

	return cmocka_run_group_tests_name("wg_udp", tests, NULL, NULL);
}
