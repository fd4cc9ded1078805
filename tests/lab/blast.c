/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Puts frames on a link, very many and counted: what an attacker with a fast machine does.
 *
 *     lab-blast INTERFACE COUNT RATE < FRAMES
 *
 * FRAMES are records of a 16-bit length (little endian) and so many bytes; they are sent in turn, from the first again
 * after the last, RATE a second (0: as fast as they go), until COUNT of them are on the wire.  A virtual cable loses
 * frames when its far end is behind: the device counts those, and as many more are sent.  Prints one JSON object:
 * {"sent": frames on the wire, "lost": those that the cable dropped on the way there, "seconds": how long it took}.
 *
 * Runs in the namespace of the interface.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
	BATCH = 64,
	FRAME_MAX = 9000,
	SECOND_NS = 1000000000,
};

struct frames {
	struct iovec *all;
	size_t length, size;
	size_t next; /* whose turn it is */
};

static void fail(const char *what)
{
	fprintf(stderr, "lab-blast: %s: %s\n", what, strerror(errno));
	exit(1);
}

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * SECOND_NS + (uint64_t)t.tv_nsec;
}

static void read_frames(struct frames *f)
{
	uint8_t head[2];

	while (fread(head, sizeof(head), 1, stdin) == 1) {
		size_t size = (size_t)head[0] | (size_t)head[1] << 8;

		if (f->length == f->size) {
			f->size = f->size ? 2 * f->size : 1024;
			f->all = reallocarray(f->all, f->size, sizeof(*f->all));
			if (!f->all)
				fail("memory");
		}
		f->all[f->length] = (struct iovec){ malloc(size), size };
		if (size < 14 || size > FRAME_MAX || !f->all[f->length].iov_base ||
		    fread(f->all[f->length].iov_base, size, 1, stdin) != 1) {
			errno = EINVAL;
			fail("a frame");
		}
		f->length++;
	}
	if (f->length == 0) {
		errno = ENODATA;
		fail("standard input");
	}
}

static int open_link(unsigned ifindex)
{
	struct sockaddr_ll to = { .sll_family = AF_PACKET, .sll_ifindex = (int)ifindex };
	int fd = socket(AF_PACKET, SOCK_RAW, 0), room = 64 << 20;

	if (fd < 0 || bind(fd, (struct sockaddr *)&to, sizeof(to)) ||
	    setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof(room)))
		fail("AF_PACKET");
	return fd;
}

/* Frames that the device had to drop on their way out, ever. */
static uint64_t dropped(int rtnl, unsigned ifindex)
{
	struct {
		struct nlmsghdr head;
		struct ifinfomsg link;
	} ask = { .head = { sizeof(ask), RTM_GETLINK, NLM_F_REQUEST, 0, 0 }, .link.ifi_index = (int)ifindex };
	static char buffer[16384] __attribute__((aligned(8)));
	struct nlmsghdr *answer = (void *)buffer;
	struct rtnl_link_stats64 stats;
	ssize_t size = -1;
	int left;

	if (send(rtnl, &ask, sizeof(ask), 0) < 0 || (size = recv(rtnl, buffer, sizeof(buffer), 0)) < 0)
		fail("rtnetlink");
	if (!NLMSG_OK(answer, (size_t)size) || answer->nlmsg_type != RTM_NEWLINK) {
		errno = EPROTO;
		fail("rtnetlink");
	}
	left = (int)(answer->nlmsg_len - NLMSG_LENGTH(sizeof(struct ifinfomsg)));
	for (struct rtattr *a = (void *)(buffer + NLMSG_LENGTH(sizeof(struct ifinfomsg))); RTA_OK(a, left);
	     a = RTA_NEXT(a, left)) {
		if (a->rta_type != IFLA_STATS64)
			continue;
		memcpy(&stats, RTA_DATA(a), sizeof(stats));
		return stats.tx_dropped;
	}
	errno = ENODATA;
	fail("IFLA_STATS64");
	return 0;
}

/* A batch; how many of it the kernel took.  Where it stopped it dropped one; ENOBUFS says so only of the first. */
static size_t send_batch(int fd, struct frames *f, size_t wanted, uint64_t *refused)
{
	struct mmsghdr messages[BATCH] = {};
	int n;

	for (size_t i = 0; i < wanted; i++)
		messages[i].msg_hdr = (struct msghdr){ .msg_iov = &f->all[(f->next + i) % f->length], .msg_iovlen = 1 };
	n = sendmmsg(fd, messages, (unsigned)wanted, 0);
	if (n < 0 && errno == ENOBUFS) {
		++*refused;
		return 0;
	}
	if (n < 0)
		fail("sendmmsg");
	*refused += (size_t)n < wanted;
	f->next = (f->next + (size_t)n) % f->length;
	return (size_t)n;
}

static void sleep_until(uint64_t ns)
{
	struct timespec t = { (time_t)(ns / SECOND_NS), (long)(ns % SECOND_NS) };

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) == EINTR)
		;
}

/* Never more than a batch is behind the clock, so that a pause is not made up for by a burst. */
static uint64_t pace(uint64_t due, size_t sent, uint64_t rate)
{
	uint64_t now = now_ns(), batch = (uint64_t)BATCH * SECOND_NS / rate;

	due += (uint64_t)sent * SECOND_NS / rate;
	if (due > now)
		sleep_until(due);
	return due + 4 * batch < now ? now : due;
}

int main(int argc, char **argv)
{
	uint64_t count = argc == 4 ? strtoull(argv[2], NULL, 10) : 0, rate = argc == 4 ? strtoull(argv[3], NULL, 10) : 0;
	uint64_t taken = 0, refused = 0, lost = 0, before, start, due;
	unsigned ifindex = argc == 4 ? if_nametoindex(argv[1]) : 0;
	struct frames frames = {};
	int fd, rtnl;

	if (argc != 4 || count == 0 || ifindex == 0) {
		fprintf(stderr, "usage: lab-blast INTERFACE COUNT RATE < FRAMES\n");
		return 2;
	}
	read_frames(&frames);
	fd = open_link(ifindex);
	rtnl = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
	if (rtnl < 0)
		fail("rtnetlink");
	prctl(PR_SET_TIMERSLACK, 1000);
	before = dropped(rtnl, ifindex);
	start = due = now_ns();
	while (taken - lost < count) {
		uint64_t missing = count + lost - taken;
		size_t sent = send_batch(fd, &frames, missing < BATCH ? missing : BATCH, &refused);

		taken += sent;
		if (rate)
			due = pace(due, sent, rate);
		if (taken - lost >= count) { /* some of them may not have arrived, beside those that we were told of */
			uint64_t all = dropped(rtnl, ifindex) - before;

			lost = all > refused ? all - refused : 0;
		}
	}
	printf("{\"sent\": %llu, \"lost\": %llu, \"seconds\": %.6f}\n", (unsigned long long)(taken - lost),
	       (unsigned long long)(lost + refused), (double)(now_ns() - start) / SECOND_NS);
	return 0;
}
