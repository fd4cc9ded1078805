/* SPDX-License-Identifier: Apache-2.0 */
/*
 * BGP as a part of the daemon, with a hand that plays the neighbor:
 *
 *      hand (192.0.2.21, on lo) -- TCP -- [agent: node dc1, 192.0.2.11]
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "agent/bgp.h"
#include "agent/bgp_guard.h"
#include "agent/state.h"
#include "bgp/open.h"
#include "lib/loop.h"

#include "agent_rig.h"

#define HERE "192.0.2.11"
#define THERE "192.0.2.21"

static const char bgp[] = "bgp: {as: 65000}\n";

static int socket_at(const char *local, uint16_t port)
{
	struct sockaddr_in name = {.sin_family = AF_INET, .sin_port = htons(port)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct addr a;

	assert_true(fd >= 0);
	assert_int_equal(addr_parse(local, &a), 0);
	memcpy(&name.sin_addr, a.bytes + 12, 4);
	assert_int_equal(bind(fd, (struct sockaddr *)&name, sizeof(name)), 0);
	return fd;
}

static int hand_with_key(const char *key)
{
	struct sockaddr_in name = {.sin_family = AF_INET, .sin_port = htons(179)};
	struct sockaddr_storage remote = {0};
	int fd = socket_at(THERE, 0);
	struct addr a;

	assert_int_equal(addr_parse(HERE, &a), 0);
	memcpy(&name.sin_addr, a.bytes + 12, 4);
	memcpy(&remote, &name, sizeof(name));
	if (key)
		assert_int_equal(bgp_guard_key(fd, &remote, key), 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&name, sizeof(name)), 0);
	assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
	return fd;
}

static int hand(void)
{
	return hand_with_key(NULL);
}

static void say(int fd, const struct writer *w)
{
	assert_int_equal(send(fd, w->start, writer_size(w), MSG_NOSIGNAL), writer_size(w));
}

static void say_open(int fd, uint16_t hold_s)
{
	uint8_t message[512];
	struct writer w = writer_over(message, sizeof(message));
	struct open o = {.as = 65000, .hold_s = hold_s, .id = 0x09000001};

	o.capabilities.has_multiprotocol = o.capabilities.as4 = true;
	o.capabilities.families = ROUTE_FAMILY_BIT(ROUTE_EVPN);
	open_encode(&w, &o);
	say(fd, &w);
}

static void say_keepalive(int fd)
{
	uint8_t message[MESSAGE_HEADER_SIZE];
	struct writer w = writer_over(message, sizeof(message));

	keepalive_encode(&w);
	say(fd, &w);
}

/* The OPEN that the daemon sends on a connection. */
static struct open hear_open(struct rig *g, int fd)
{
	uint8_t data[512];
	struct message m;
	struct notification error;
	struct open o = {0};
	ssize_t n = -1;

	for (int i = 0; i < 500 && n <= 0; i++) {
		loop_step(g->loop, 10);
		n = recv(fd, data, sizeof(data), 0);
	}
	assert_true(n > 0);
	assert_int_equal(message_next(data, (size_t)n, false, &m, &error), MESSAGE_WHOLE);
	assert_int_equal(m.type, MESSAGE_OPEN);
	assert_int_equal(open_decode(m.body, &o, &error), 0);
	return o;
}

static void start_with_neighbor(struct rig *g)
{
	assert_int_equal(run("ip address replace " THERE "/32 dev lo"), 0);
	write_config(g, base, bgp);
	assert_int_equal(start(g), 0);
}

static bool is_deaf(struct rig *g)
{
	const char *why = g->agent->state->reasons[REASON_BGP];

	return why && strstr(why, "cannot listen");
}

static bool listens(struct rig *g)
{
	return !is_deaf(g);
}

static void a_port_that_was_taken_is_tried_again(void **state)
{
	struct rig *g = *state;
	int fd = socket_at(HERE, 179);

	assert_int_equal(listen(fd, 1), 0);
	start_with_neighbor(g);
	assert_true(is_deaf(g));
	close(fd);
	assert_true(wait_until(g, listens));
	close(hand());
}

/* RFC 4724 3: the F bit says that what an earlier run left forwards still. */
static void only_a_data_plane_that_was_taken_over_is_said_to_forward(void **state)
{
	struct rig *g = *state;

	for (int again = 0; again < 2; again++) {
		struct open o;
		int fd;

		start_with_neighbor(g);
		assert_int_equal(datapath_adopted(g->agent->dp), again);
		fd = hand();
		o = hear_open(g, fd);
		assert_int_equal(o.capabilities.restart_families, CONFIG_ALL_FAMILIES);
		assert_int_equal(o.capabilities.restarting, again);
		assert_int_equal(o.capabilities.forwarding, again ? CONFIG_ALL_FAMILIES : 0);
		close(fd);
		stop(g);
	}
}

/* While a restart waits for neighbors nothing of the former life is swept; without `bgp:` nobody is waited for. */
static void what_a_former_life_left_goes_with_bgp(void **state)
{
	static const char *const texts[] = {"", "bgp: {as: 65001}\n"};

	for (size_t i = 0; i < 2; i++) {
		struct rig *g;

		if (i > 0) {
			teardown(state);
			assert_int_equal(setup(state), 0);
		}
		g = *state;

		start_with_neighbor(g);
		stop(g);
		start_with_neighbor(g);
		assert_true(datapath_adopted(g->agent->dp));
		assert_true(bgp_is_waiting(g->agent->bgp));
		g->agent->state->resync = false;
		assert_true(apply(g, base, texts[i], false).r >= 0);
		assert_false(bgp_is_waiting(g->agent->bgp));
		assert_true(g->agent->state->resync);
	}
}

static uint64_t lost_ms;

static uint64_t clock_after_a_stop(void *arg)
{
	struct timespec t;

	clock_gettime(CLOCK_BOOTTIME, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000 + lost_ms;
}

static bool is_established(struct rig *g)
{
	struct neighbor_stats stats;
	struct addr there;

	return addr_parse(THERE, &there) == 0 &&
	       speaker_neighbor_stats(g->agent->bgp->speaker, &there, &stats) == 0 && stats.state == NEIGHBOR_ESTABLISHED;
}

/* The daemon was stopped for longer than the hold time, and of what came meanwhile the KEEPALIVE is not the first. */
static void a_keepalive_that_waits_counts_before_the_hold_timer(void **state)
{
	struct rig *g = *state;
	int fd, other;

	lost_ms = 0;
	start_with_neighbor(g);
	loop_set_clock(g->loop, clock_after_a_stop, NULL);
	fd = hand();
	(void)hear_open(g, fd);
	say_open(fd, 9);
	say_keepalive(fd);
	assert_true(wait_until(g, is_established));
	for (int i = 0; i < 5; i++)
		loop_step(g->loop, 1); /* it has read all that there was */
	lost_ms = 10000;
	other = hand();
	say_keepalive(fd);
	for (int i = 0; i < 20; i++)
		loop_step(g->loop, 1);
	assert_true(is_established(g));
	close(other);
	close(fd);
}

/* A key that can be read no more ends the session, and a neighbor that knows it hears why. */
static void a_lost_key_ends_its_session_with_a_word_under_that_key(void **state)
{
	struct rig *g = *state;
	char text[256], path[160];
	uint8_t data[4096];
	struct message m = {.type = 0};
	struct notification error;
	size_t size = 0;
	FILE *f;
	int fd;

	snprintf(path, sizeof(path), "%s/key", g->sandbox.directory);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs("secret\n", f);
	fclose(f);
	snprintf(text, sizeof(text), "bgp: {as: 65000, password_file: %s}\n", path);
	assert_int_equal(run("ip address replace " THERE "/32 dev lo"), 0);
	write_config(g, base, text);
	assert_int_equal(start(g), 0);
	fd = hand_with_key("secret");
	(void)hear_open(g, fd);
	say_open(fd, 90);
	say_keepalive(fd);
	assert_true(wait_until(g, is_established));
	unlink(path);
	assert_true(apply(g, base, text, false).r >= 0);
	for (int i = 0; i < 100 && m.type != MESSAGE_NOTIFICATION; i++) {
		ssize_t n = recv(fd, data + size, sizeof(data) - size, 0);

		size += n > 0 ? (size_t)n : 0;
		for (size_t at = 0; at < size && message_next(data + at, size - at, false, &m, &error) == MESSAGE_WHOLE;)
			at += m.size;
		loop_step(g->loop, 10);
	}
	assert_int_equal(m.type, MESSAGE_NOTIFICATION);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		AGENT_TEST(a_port_that_was_taken_is_tried_again),
		AGENT_TEST(only_a_data_plane_that_was_taken_over_is_said_to_forward),
		AGENT_TEST(what_a_former_life_left_goes_with_bgp),
		AGENT_TEST(a_keepalive_that_waits_counts_before_the_hold_timer),
		AGENT_TEST(a_lost_key_ends_its_session_with_a_word_under_that_key),
	};

	if (geteuid() != 0) {
		printf("1..0 # SKIP needs root\n");
		return 0;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
