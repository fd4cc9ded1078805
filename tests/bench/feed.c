/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A BGP speaker that says a great deal, for `make bench CASE=routes`: waits for a neighbor of its own AS, brings the session
 * up, and when it is told to sends the routes of generator.h, which were encoded before, as fast as they are taken.
 *
 *	bench-feed ADDRESS IDENTIFIER ipv4-unicast|l2vpn-evpn ROUTES
 *
 * Says "listening", "up" and "sent" on lines of their own; "go" on its input starts the routes, its end the end.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "bgp/message.h"
#include "bgp/open.h"
#include "bgp/update.h"
#include "generator.h"

#define PORT 179
#define KEEPALIVE_S 20

struct stream {
	uint8_t *bytes;
	size_t size, capacity, sent;
};

static void die(const char *what)
{
	fprintf(stderr, "bench-feed: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void say(const char *word)
{
	puts(word);
	fflush(stdout);
}

static void append(struct stream *s, const struct writer *w)
{
	size_t size = writer_size(w);

	if (!writer_ok(w)) {
		errno = EMSGSIZE;
		die("a message");
	}
	if (s->size + size > s->capacity) {
		s->capacity = 2 * (s->size + size);
		s->bytes = realloc(s->bytes, s->capacity);
		if (!s->bytes)
			die("routes");
	}
	memcpy(s->bytes + s->size, w->start, size);
	s->size += size;
}

/* All UPDATEs and the End-of-RIB. */
static struct stream encode(enum route_family family, uint32_t n)
{
	const struct update_session session = {.as4 = true, .own_as = GENERATOR_AS, .families = ROUTE_FAMILY_BIT(family)};
	struct route_nlri nlri[GENERATOR_BATCH_MAX];
	const struct route_attrs *attrs;
	uint8_t message[MESSAGE_MAX];
	struct stream s = {0};
	struct attrs *table;
	struct writer w;
	uint32_t length;
	size_t done;

	if (attrs_new(&table) < 0)
		die("attributes");
	for (uint32_t at = 0, set = 0; at < n; at += length, set++) {
		length = generator_batch(family, n, at, set, table, &attrs, nlri);
		for (done = 0; done < length;) {
			w = writer_over(message, sizeof(message));
			if (update_encode(&session, attrs, nlri, length, &done, &w) < 0)
				die("an UPDATE");
			append(&s, &w);
		}
		attrs_unref(table, attrs);
	}
	w = writer_over(message, sizeof(message));
	update_encode_end_of_rib(&w, family);
	append(&s, &w);
	attrs_free(table);
	return s;
}

static int await(const char *address)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(PORT)};
	int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), neighbor;

	if (fd < 0 || inet_pton(AF_INET, address, &a.sin_addr) != 1)
		die(address);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(fd, 1) < 0)
		die(address);
	say("listening");
	neighbor = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (neighbor < 0)
		die("accept");
	setsockopt(neighbor, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	close(fd);
	return neighbor;
}

static void send_small(int fd, void (*encode_message)(struct writer *w, const void *arg), const void *arg)
{
	uint8_t message[MESSAGE_MAX];
	struct writer w = writer_over(message, sizeof(message));

	encode_message(&w, arg);
	if (send(fd, message, writer_size(&w), MSG_NOSIGNAL) != (ssize_t)writer_size(&w))
		die("send");
}

static void write_open(struct writer *w, const void *arg)
{
	open_encode(w, arg);
}

static void write_keepalive(struct writer *w, const void *arg)
{
	keepalive_encode(w);
}

/* Takes what the neighbor says; true once it has sent a KEEPALIVE. */
static bool hear(int fd, struct stream *in)
{
	static uint8_t buffer[1 << 16];
	ssize_t n = recv(fd, buffer + in->size, sizeof(buffer) - in->size, 0);
	struct notification error;
	struct message m;
	size_t at = 0;
	bool alive = false;

	if (n == 0)
		errno = ECONNRESET;
	if (n == 0 || (n < 0 && errno != EAGAIN))
		die("the neighbor");
	in->size += n > 0 ? (size_t)n : 0;
	while (message_next(buffer + at, in->size - at, false, &m, &error) == MESSAGE_WHOLE) {
		alive |= m.type == MESSAGE_KEEPALIVE;
		if (m.type == MESSAGE_NOTIFICATION) {
			errno = EPROTO;
			die("a NOTIFICATION from the neighbor");
		}
		at += m.size;
	}
	in->size -= at;
	memmove(buffer, buffer + at, in->size);
	return alive;
}

static void pour(int fd, struct stream *out)
{
	ssize_t n = send(fd, out->bytes + out->sent, out->size - out->sent, MSG_NOSIGNAL);

	if (n < 0 && errno != EAGAIN)
		die("send");
	out->sent += n > 0 ? (size_t)n : 0;
	if (out->sent == out->size)
		say("sent");
}

static void run(int fd, const struct open *open, struct stream *out)
{
	struct stream in = {0};
	bool up = false, go = false;
	time_t alive = 0;
	char line[16];

	send_small(fd, write_open, open);
	send_small(fd, write_keepalive, NULL); /* it takes any OPEN */
	for (;;) {
		bool pending = go && out->sent < out->size;
		struct pollfd p[] = {{.fd = fd, .events = (short)(POLLIN | (pending ? POLLOUT : 0))},
				     {.fd = STDIN_FILENO, .events = POLLIN}};

		if (poll(p, 2, 1000) < 0)
			die("poll");
		if (p[1].revents && read(STDIN_FILENO, line, sizeof(line)) <= 0)
			return;
		go |= p[1].revents & POLLIN;
		if (p[0].revents & (POLLIN | POLLHUP | POLLERR) && hear(fd, &in) && !up) {
			up = true;
			say("up");
		}
		if (pending && p[0].revents & POLLOUT)
			pour(fd, out);
		else if (!pending && time(NULL) >= alive + KEEPALIVE_S) {
			alive = time(NULL);
			send_small(fd, write_keepalive, NULL);
		}
	}
}

int main(int argc, char **argv)
{
	struct open open = {.as = GENERATOR_AS, .hold_s = 180, .capabilities = {.has_multiprotocol = true, .as4 = true,
										.refresh = true}};
	enum route_family family;
	struct stream out;
	struct in_addr id;

	for (family = 0; argc == 5 && family < ROUTE_FAMILY_MAX; family++)
		if (strcmp(route_family_name(family), argv[3]) == 0)
			break;
	if (argc != 5 || family == ROUTE_FAMILY_MAX || inet_pton(AF_INET, argv[2], &id) != 1) {
		fprintf(stderr, "usage: bench-feed ADDRESS IDENTIFIER ipv4-unicast|l2vpn-evpn ROUTES\n");
		return 2;
	}
	open.id = ntohl(id.s_addr);
	open.capabilities.families = ROUTE_FAMILY_BIT(family);
	out = encode(family, (uint32_t)strtoul(argv[4], NULL, 10));
	run(await(argv[1]), &open, &out);
	return 0;
}
