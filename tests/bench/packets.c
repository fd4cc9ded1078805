/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Small UDP packets between two network namespaces: how many a second, and how long there and back.
 *
 *     bench-packets rate FROM TO ADDRESS SECONDS    64-byte payloads as fast as they go, or as fast as they arrive
 *     bench-packets trip FROM TO ADDRESS COUNT [together]   ping-pong of 64-byte payloads, one at a time
 *     bench-packets steady FROM TO ADDRESS RATE     numbered payloads at a rate, until standard input ends: which were lost
 *
 * FROM and TO are paths of namespaces, ADDRESS (IPv4 or IPv6) is TO's.  One process holds both ends, so that they share
 * one clock; each socket is opened inside its namespace and stays there.  The ends are bound to the first and the last
 * CPU: two hosts never share a CPU's warmth; `together` has both on the last, and leaves the others.  Prints one JSON object.
 *
 * Packets of `rate` are handed to the kernel in bursts of 16 (UDP_SEGMENT), which the caller has cut to single packets
 * at the sender's own port: so the path is what is measured and not the system call.  A socket buffer of 64 MB takes up
 * what the reader is late for: whatever is lost was lost on the way.
 */
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif

enum {
	PAYLOAD = 64,	   /* bytes */
	BURST = 16,	   /* packets handed over as one */
	BATCH = 64,	   /* packets read at once */
	BUFFER = 64 << 20, /* bytes of the receiving socket */
	PORT = 7777,
	WARM_UP = 200, /* round trips that do not count */
	PATIENCE_MS = 200,
	SEARCH_STEPS = 6,
};
static const double loss_allowed = 0.01;

struct ends {
	int from, to;
};

static atomic_bool stopping;
static atomic_ulong received;

static void fail(const char *what)
{
	fprintf(stderr, "bench-packets: %s: %s\n", what, strerror(errno));
	exit(1);
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void stay_on(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		fail("sched_setaffinity");
}

static int last_cpu(void)
{
	return (int)sysconf(_SC_NPROCESSORS_ONLN) - 1;
}

static int socket_in(const char *ns, int family)
{
	int fd = open(ns, O_RDONLY | O_CLOEXEC), s;

	if (fd < 0 || setns(fd, CLONE_NEWNET))
		fail(ns);
	close(fd);
	s = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (s < 0)
		fail("socket");
	return s;
}

static struct ends open_ends(const char *from, const char *to, const char *address)
{
	struct addrinfo hints = { .ai_flags = AI_NUMERICHOST, .ai_socktype = SOCK_DGRAM }, *a;
	struct timeval patience = { .tv_usec = PATIENCE_MS * 1000 };
	struct ends e;
	char port[8];
	int size = BUFFER, r;

	snprintf(port, sizeof(port), "%d", PORT);
	r = getaddrinfo(address, port, &hints, &a);
	if (r) {
		fprintf(stderr, "bench-packets: %s: %s\n", address, gai_strerror(r));
		exit(2);
	}
	e.to = socket_in(to, a->ai_family);
	e.from = socket_in(from, a->ai_family);
	if (setsockopt(e.to, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) ||
	    setsockopt(e.to, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) ||
	    setsockopt(e.from, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)))
		fail("setsockopt");
	if (bind(e.to, a->ai_addr, a->ai_addrlen) || connect(e.from, a->ai_addr, a->ai_addrlen))
		fail(address);
	freeaddrinfo(a);
	return e;
}

/* ---- rate */

static void *count(void *to)
{
	static char buffer[BATCH][PAYLOAD];
	struct mmsghdr m[BATCH] = { 0 };
	struct iovec v[BATCH];
	int n;

	for (n = 0; n < BATCH; n++) {
		v[n] = (struct iovec){ buffer[n], PAYLOAD };
		m[n].msg_hdr.msg_iov = &v[n];
		m[n].msg_hdr.msg_iovlen = 1;
	}
	stay_on(last_cpu());
	while (!stopping) {
		n = recvmmsg(*(int *)to, m, BATCH, MSG_WAITFORONE, NULL);
		if (n > 0)
			received += (unsigned long)n;
	}
	return NULL;
}

/* Until nothing has arrived for a while: packets may stand in queues. */
static void settle(void)
{
	unsigned long before;

	do {
		before = received;
		nanosleep(&(struct timespec){ .tv_nsec = 40 * 1000 * 1000 }, NULL);
	} while (received != before);
}

struct trial {
	double sent_rate, rate, loss; /* packets a second, share lost */
};

/* Sends at a rate (0: without pause); the sender has its CPU to itself, so that it waits by looking at the clock. */
static struct trial send_for(int from, double seconds, double rate)
{
	static char burst[BURST * PAYLOAD];
	unsigned long sent = 0;
	double start, t, took;

	received = 0;
	start = now();
	while ((t = now()) - start < seconds) {
		if (rate > 0 && t < start + (double)sent / rate)
			continue;
		if (send(from, burst, sizeof(burst), 0) == sizeof(burst))
			sent += BURST;
		else if (errno != ENOBUFS && errno != EAGAIN && errno != ECONNREFUSED)
			fail("send");
	}
	took = now() - start;
	settle();
	if (!sent)
		fail("nothing could be sent");
	return (struct trial){ (double)sent / took, (double)received / took,
			       received < sent ? 1 - (double)received / (double)sent : 0 };
}

/*
 * First without pause.  A path that loses more than 1 % then is also asked for the highest rate at which it does not:
 * many tunnels collapse below what they can sustain when they are flooded.
 */
static void measure_rate(struct ends e, double seconds)
{
	struct trial flood, best = { 0 }, t;
	double low = 0, high, rate;
	pthread_t reader;
	int size = PAYLOAD, i;

	if (setsockopt(e.from, IPPROTO_UDP, UDP_SEGMENT, &size, sizeof(size)))
		fail("UDP_SEGMENT");
	if (pthread_create(&reader, NULL, count, &e.to))
		fail("pthread_create");
	stay_on(0);
	send_for(e.from, 0.05, 2000); /* addresses are resolved now */
	flood = best = send_for(e.from, seconds, 0);
	if (flood.loss > loss_allowed) {
		best = (struct trial){ 0, 0, 1 };
		high = flood.sent_rate;
		rate = flood.rate;
		for (i = 0; i < SEARCH_STEPS; i++) {
			t = send_for(e.from, seconds / 2, rate);
			if (t.loss <= loss_allowed) {
				low = rate;
				if (t.rate > best.rate)
					best = t;
			} else {
				high = rate;
			}
			rate = low > 0 ? (low + high) / 2 : high * 0.6;
		}
	}
	stopping = true;
	pthread_join(reader, NULL);
	printf("{\"rate\": %.0f, \"loss\": %.6f, \"flood_sent\": %.0f, \"flood_rate\": %.0f, \"flood_loss\": %.6f}\n",
	       best.rate, best.loss, flood.sent_rate, flood.rate, flood.loss);
}

/* ---- steady */

static uint8_t *seen; /* a bit a number */
static unsigned long twice;

static void *note(void *to)
{
	uint32_t packet[PAYLOAD / sizeof(uint32_t)];

	stay_on(last_cpu());
	while (!stopping) {
		if (recv(*(int *)to, packet, sizeof(packet), 0) != PAYLOAD)
			continue;
		if (seen[packet[0] / 8] & 1 << packet[0] % 8) {
			twice++;
		} else {
			seen[packet[0] / 8] |= (uint8_t)(1 << packet[0] % 8);
			received++;
		}
	}
	return NULL;
}

static bool input_has_ended(void)
{
	struct pollfd in = { STDIN_FILENO, POLLIN, 0 };

	return poll(&in, 1, 0) > 0;
}

/* What the kernel refuses to take counts as sent: it is lost. */
static void hold_rate(struct ends e, double rate)
{
	static uint32_t burst[BURST][PAYLOAD / sizeof(uint32_t)];
	int size = PAYLOAD, i;
	uint32_t sent = 0;
	pthread_t reader;
	double start;

	seen = calloc(1, (size_t)UINT32_MAX / 8 + 1);
	if (!seen || setsockopt(e.from, IPPROTO_UDP, UDP_SEGMENT, &size, sizeof(size)) || pthread_create(&reader, NULL, note, &e.to))
		fail("start");
	stay_on(0);
	start = now();
	while (sent < UINT32_MAX - BURST) {
		if (now() < start + (double)sent / rate)
			continue;
		for (i = 0; i < BURST; i++)
			burst[i][0] = sent++;
		if (send(e.from, burst, sizeof(burst), 0) < 0 && errno != ENOBUFS && errno != EAGAIN)
			fail("send");
		if (sent / BURST % 64 == 0 && input_has_ended())
			break;
	}
	rate = (double)sent / (now() - start);
	settle();
	stopping = true;
	pthread_join(reader, NULL);
	free(seen);
	printf("{\"rate\": %.0f, \"sent\": %u, \"lost\": %lu, \"twice\": %lu}\n", rate, sent, sent - received, twice);
}

/* ---- trip */

static void *answer(void *to)
{
	struct sockaddr_storage a;
	char packet[PAYLOAD];
	socklen_t length;
	ssize_t n;

	stay_on(last_cpu());
	while (!stopping) {
		length = sizeof(a);
		n = recvfrom(*(int *)to, packet, sizeof(packet), 0, (struct sockaddr *)&a, &length);
		if (n > 0 && sendto(*(int *)to, packet, (size_t)n, 0, (struct sockaddr *)&a, length) < 0)
			fail("answer");
	}
	return NULL;
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* One round trip in seconds; negative when no answer came.  Late answers to earlier questions are passed over. */
static double trip(int from, uint32_t number)
{
	uint32_t question[PAYLOAD / sizeof(uint32_t)] = { number }, back[PAYLOAD / sizeof(uint32_t)];
	double start = now();

	if (send(from, question, sizeof(question), 0) < 0)
		return -1;
	do {
		if (recv(from, back, sizeof(back), 0) < 0)
			return -1;
	} while (back[0] != number);
	return now() - start;
}

static void measure_trip(struct ends e, size_t wanted, int cpu)
{
	double *trips = calloc(wanted, sizeof(*trips)), t;
	size_t done = 0, lost = 0;
	pthread_t other;
	uint32_t i;

	if (!trips || pthread_create(&other, NULL, answer, &e.to))
		fail("start");
	prctl(PR_SET_TIMERSLACK, 1000);
	stay_on(cpu);
	for (i = 0; done < wanted && lost < 20; i++) {
		t = trip(e.from, i);
		if (t < 0)
			lost++;
		else if (i >= WARM_UP)
			trips[done++] = t;
	}
	stopping = true;
	pthread_join(other, NULL);
	if (done < wanted) {
		fprintf(stderr, "bench-packets: %zu round trips had no answer\n", lost);
		exit(1);
	}
	qsort(trips, done, sizeof(*trips), by_size);
	printf("{\"p50\": %.3f, \"p99\": %.3f, \"lost\": %zu}\n", trips[done / 2] * 1e6, trips[done * 99 / 100] * 1e6, lost);
	free(trips);
}

int main(int argc, char **argv)
{
	bool together = argc == 7 && !strcmp(argv[6], "together");
	double amount = argc == 6 || together ? atof(argv[5]) : 0;

	if (amount > 0 && !together && !strcmp(argv[1], "rate")) {
		measure_rate(open_ends(argv[2], argv[3], argv[4]), amount);
	} else if (amount >= 1 && !strcmp(argv[1], "trip")) {
		measure_trip(open_ends(argv[2], argv[3], argv[4]), (size_t)amount, together ? last_cpu() : 0);
	} else if (amount > 0 && !together && !strcmp(argv[1], "steady")) {
		hold_rate(open_ends(argv[2], argv[3], argv[4]), amount);
	} else {
		fprintf(stderr, "usage: bench-packets rate|trip|steady FROM TO ADDRESS SECONDS|COUNT|RATE [together]\n");
		return 2;
	}
	return 0;
}
