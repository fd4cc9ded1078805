/* SPDX-License-Identifier: Apache-2.0 */
/* Connections, keys and distances, and what hostile ends do. */
#include "bgp_socket_rig.h"

#include <fcntl.h>
#include <sys/resource.h>

static void bytes_go_both_ways(void **state)
{
	struct world *w = *state;
	uint64_t handle;

	begin(w, &w->a, A, B, "", 0);
	begin(w, &w->b, B, A, "", 0);
	handle = join(w);
	assert_int_equal(bgp_sockets_send(w->b.sockets, handle, (const uint8_t *)"open", 4), 4);
	assert_int_equal(bgp_sockets_send(w->a.sockets, w->a.accepted, (const uint8_t *)"also", 4), 4);
	UNTIL(w, w->a.size == 4 && w->b.size == 4);
	assert_memory_equal(w->a.data, "open", 4);
	assert_memory_equal(w->b.data, "also", 4);
	bgp_sockets_close(w->b.sockets, handle);
	UNTIL(w, w->a.closed == w->a.accepted);
	assert_string_equal(w->a.why, "the neighbor closed the connection");
	assert_int_equal(bgp_sockets_send(w->b.sockets, handle, (const uint8_t *)"late", 4), 0);
	assert_int_equal(w->b.n_closed, 0); /* it closed itself */
}

static void numbers_are_never_used_twice(void **state)
{
	struct world *w = *state;
	struct addr a = address(A);
	uint64_t last = 0;

	begin(w, &w->a, A, B, "", 0);
	begin(w, &w->b, B, A, "", 0);
	for (int i = 0; i < 50; i++) {
		uint64_t handle = reach_out(&w->b, &a);

		assert_true(handle > last);
		last = handle;
		bgp_sockets_close(w->b.sockets, handle);
	}
}

static void nobody_listens(void **state)
{
	struct world *w = *state;
	struct addr a = address(A), far = address("192.0.2.1");
	uint64_t handle;

	begin(w, &w->b, B, A, "", 0);
	begin(w, &w->b, B, "192.0.2.1", "", 0);
	handle = reach_out(&w->b, &a);
	UNTIL(w, w->b.failed == handle);
	assert_string_equal(w->b.why, "Connection refused");
	assert_int_equal(bgp_sockets_connect(w->b.sockets, &far, 0, &handle), -ENETUNREACH);
	far = address("192.0.2.2");
	assert_int_equal(bgp_sockets_connect(w->b.sockets, &far, 0, &handle), -ENOENT); /* no peer */
}

static void strangers_are_reset_and_peers_have_few(void **state)
{
	struct world *w = *state;
	int stranger, fds[8], n_reset = 0;

	begin(w, &w->a, A, B, "", 0);
	stranger = hand("127.0.0.3");
	UNTIL(w, is_reset(stranger));
	assert_int_equal(w->a.n_accepted, 0);
	for (int i = 0; i < 8; i++)
		fds[i] = hand(B);
	step(w, 100);
	for (int i = 0; i < 8; i++)
		n_reset += is_reset(fds[i]);
	assert_int_equal(w->a.n_accepted, 4);
	assert_int_equal(n_reset, 4);
	bgp_sockets_close(w->a.sockets, w->a.accepted); /* there is room again */
	close(hand(B));
	UNTIL(w, w->a.n_accepted == 5);
	for (int i = 0; i < 8; i++)
		close(fds[i]);
	close(stranger);
}

/* Row B11: a thousand connections that say nothing; the one that is up does not notice. */
static void a_thousand_idle_connections_disturb_nobody(void **state)
{
	struct world *w = *state;
	const struct rlimit many = {4096, 4096};
	uint64_t handle;
	int fds[1000];

	assert_int_equal(setrlimit(RLIMIT_NOFILE, &many), 0);
	begin(w, &w->a, A, B, "", 0);
	begin(w, &w->b, B, A, "", 0);
	handle = join(w);
	for (int i = 0; i < 1000; i++) {
		fds[i] = hand(i % 2 ? "127.0.0.3" : B);
		if (i % 100 == 0) {
			size_t before = w->a.size;

			assert_int_equal(bgp_sockets_send(w->b.sockets, handle, (const uint8_t *)"x", 1), 1);
			UNTIL(w, w->a.size == before + 1);
		}
	}
	step(w, 100);
	assert_int_equal(w->a.n_accepted, 4);
	assert_int_equal(w->a.n_closed, 0);
	for (int i = 0; i < 1000; i++)
		close(fds[i]);
}

/* Row B9. */
static void without_the_key_there_is_no_connection(void **state)
{
	static const struct {
		const char *a, *b;
		bool works;
	} rows[] = {{"secret", "secret", true}, {"secret", "wrong", false}, {"secret", "", false}, {"", "secret", false}};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct world *w = *state;
		struct addr a = address(A);

		begin(w, &w->a, A, B, rows[i].a, 0);
		begin(w, &w->b, B, A, rows[i].b, 0);
		if (rows[i].works) {
			join(w);
		} else {
			reach_out(&w->b, &a);
			step(w, 200);
			assert_int_equal(w->a.n_accepted, 0);
			assert_int_equal(w->b.connected, 0);
		}
		rig_teardown(state);
		assert_int_equal(rig_setup(state), 0);
	}
}

static void a_key_changes_under_a_connection(void **state)
{
	struct world *w = *state;
	uint64_t handle;

	begin(w, &w->a, A, B, "old", 0);
	begin(w, &w->b, B, A, "old", 0);
	handle = join(w);
	begin(w, &w->a, A, B, "new", 0);
	begin(w, &w->b, B, A, "new", 0);
	assert_int_equal(bgp_sockets_send(w->b.sockets, handle, (const uint8_t *)"hello", 5), 5);
	UNTIL(w, w->a.size == 5);
	handle = join(w); /* and for the next one */
	assert_true(handle > 0);
}

/*
 * Row B8: what passed a router on its way is not from a neighbor that is at most one hop away; neither what came with the
 * handshake, before the loop turned.  Beside a neighbor that may be anywhere, the listener itself lets in both.
 */
static void who_is_too_far_is_not_heard(void **state)
{
	for (int beside = 0; beside < 2; beside++) {
		struct world *w = *state;
		int near, far;

		begin(w, &w->a, A, B, "", 1);
		if (beside)
			begin(w, &w->a, A, "127.0.0.3", "", 0);
		far = hand(B);
		assert_int_equal(send(far, "x", 1, MSG_NOSIGNAL | MSG_DONTWAIT), beside ? 1 : -1);
		step(w, 50);
		assert_int_equal(w->a.n_accepted, 0);
		assert_int_equal(w->a.size, 0);
		near = hand_with(B, 255, 0);
		assert_int_equal(send(near, "y", 1, MSG_NOSIGNAL), 1);
		UNTIL(w, w->a.size == 1);
		assert_int_equal(w->a.data[0], 'y');
		close(near);
		close(far);
		rig_teardown(state);
		assert_int_equal(rig_setup(state), 0);
	}
}

static void a_distance_changes_under_a_connection(void **state)
{
	struct world *w = *state;
	int fd;

	begin(w, &w->a, A, B, "", 0);
	fd = hand(B);
	UNTIL(w, w->a.n_accepted == 1);
	begin(w, &w->a, A, B, "", 1);
	assert_int_equal(send(fd, "x", 1, MSG_NOSIGNAL), 1);
	step(w, 50);
	assert_int_equal(w->a.size, 0);
	begin(w, &w->a, A, B, "", 0);
	UNTIL(w, w->a.size == 1); /* sent again by the kernel */
	close(fd);
}

/* Keys are of the socket's own memory: the first few dozen fit. */
static void a_key_that_cannot_be_set_lets_nobody_in(void **state)
{
	struct world *w = *state;
	struct addr here = address(A), there = address("127.0.1.0"), other = address("127.0.0.9");
	int fd, r = 0;

	if (run("sysctl -qw net.core.optmem_max=4096") != 0)
		skip();
	begin(w, &w->a, A, B, "", 0);
	for (int i = 0; i < 250 && r == 0; i++) {
		there.bytes[15] = (uint8_t)(i + 1);
		r = bgp_sockets_peer_put(w->a.sockets, &there, &here, "secret", 0, false);
	}
	assert_int_equal(r, -ENOBUFS);
	assert_int_equal(bgp_sockets_peer_put(w->a.sockets, &there, &here, "secret", 0, false), -ENOBUFS);
	fd = hand_with(addr_format(&there, (char[ADDR_TEXT_SIZE]){0}), 64, 0);
	UNTIL(w, is_reset(fd));
	close(fd);
	/* the others are as they were, and once there is room it can be put */
	close(hand(B));
	UNTIL(w, w->a.n_accepted == 1);
	other = there;
	other.bytes[15] = 1;
	bgp_sockets_peer_remove(w->a.sockets, &other);
	assert_int_equal(bgp_sockets_peer_put(w->a.sockets, &there, &here, "secret", 0, false), 0);
}

/* A listener that is opened anew has the keys that fit, and is there for all others. */
static void a_listener_opens_with_the_keys_that_fit(void **state)
{
	struct world *w = *state;
	struct addr here = address(A), none = address("127.0.0.8"), there = address("127.0.1.0");

	begin(w, &w->a, A, B, "", 0);
	for (int i = 0; i < 60; i++) {
		there.bytes[15] = (uint8_t)(i + 1);
		assert_int_equal(bgp_sockets_peer_put(w->a.sockets, &there, &here, "secret", 0, false), 0);
	}
	assert_int_equal(bgp_sockets_listen(w->a.sockets, PORT, &none, 1, 0), 0);
	if (run("sysctl -qw net.core.optmem_max=4096") != 0)
		skip();
	assert_int_equal(bgp_sockets_listen(w->a.sockets, PORT, &here, 1, 0), 0);
	close(hand(B));
	UNTIL(w, w->a.n_accepted == 1);
}

/* What waits for a slow peer waits where it can still be replaced by something newer. */
static void little_waits_in_the_kernel(void **state)
{
	static uint8_t much[1 << 16];
	struct world *w = *state;
	size_t taken = 0, n;
	int fd;

	begin(w, &w->a, A, B, "", 0);
	fd = hand_with(B, 64, 4096);
	UNTIL(w, w->a.n_accepted == 1);
	while ((n = bgp_sockets_send(w->a.sockets, w->a.accepted, much, sizeof(much))) > 0)
		taken += n;
	assert_in_range(taken, 1, 2 * sizeof(much));
	close(fd);
}

/* A NOTIFICATION is the last thing that is sent, and the peer, which goes on sending, still gets it. */
static void what_was_taken_arrives_before_the_end(void **state)
{
	struct world *w = *state;
	char text[8] = "";
	ssize_t n = -1;
	int fd;

	begin(w, &w->a, A, B, "", 0);
	fd = hand(B);
	UNTIL(w, w->a.n_accepted == 1);
	assert_int_equal(send(fd, "much that nobody reads", 22, MSG_NOSIGNAL), 22);
	assert_int_equal(bgp_sockets_send(w->a.sockets, w->a.accepted, (const uint8_t *)"notify", 6), 6);
	bgp_sockets_close(w->a.sockets, w->a.accepted);
	for (int i = 0; i < 20; i++) {
		assert_true(send(fd, "more", 4, MSG_NOSIGNAL) == 4);
		step(w, 5);
	}
	n = recv(fd, text, sizeof(text), MSG_DONTWAIT);
	assert_int_equal(n, 6);
	assert_memory_equal(text, "notify", 6);
	assert_int_equal(recv(fd, text, sizeof(text), MSG_DONTWAIT), 0);
	close(fd);
}

static void a_slow_peer_takes_what_it_can(void **state)
{
	static uint8_t much[1 << 20];
	struct world *w = *state;
	size_t taken = 0, n;
	uint8_t sink[65536];
	int fd;

	begin(w, &w->a, A, B, "", 0);
	fd = hand_with(B, 64, 4096);
	UNTIL(w, w->a.n_accepted == 1);
	while ((n = bgp_sockets_send(w->a.sockets, w->a.accepted, much, sizeof(much))) > 0)
		assert_true((taken += n) < (64u << 20));
	step(w, 20);
	assert_int_equal(w->a.writable, 0);
	for (int i = 0; i < 2000 && !w->a.writable; i++) {
		(void)!recv(fd, sink, sizeof(sink), MSG_DONTWAIT);
		assert_true(loop_step(w->loop, 1) >= 0);
	}
	assert_int_equal(w->a.writable, w->a.accepted);
	close(fd);
}

static void without_descriptors_it_waits_and_goes_on(void **state)
{
	struct world *w = *state;
	struct rlimit before, few;
	int fd;

	begin(w, &w->a, A, B, "", 0);
	fd = hand(B);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	few = (struct rlimit){(rlim_t)fd + 1, before.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	step(w, 100);
	assert_int_equal(w->a.n_accepted, 0);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	UNTIL(w, w->a.n_accepted == 1);
	close(fd);
}

static void a_peer_that_is_removed_is_gone(void **state)
{
	struct world *w = *state;
	struct addr b = address(B);
	int fd;

	begin(w, &w->a, A, B, "", 0);
	fd = hand(B);
	UNTIL(w, w->a.n_accepted == 1);
	bgp_sockets_peer_remove(w->a.sockets, &b);
	UNTIL(w, is_reset(fd));
	close(fd);
	fd = hand(B);
	UNTIL(w, is_reset(fd));
	close(fd);
}

static void both_families_and_addresses_to_come(void **state)
{
	struct world *w = *state;
	struct addr locals[] = {address("192.0.2.7"), address("::1")}, six = address("::1");
	uint64_t handle;

	assert_int_equal(bgp_sockets_new(w->loop, &rig_ops, &w->a, &w->a.sockets), 0);
	assert_int_equal(bgp_sockets_listen(w->a.sockets, PORT, locals, 2, 0), 0); /* 192.0.2.7 is on no interface yet */
	assert_int_equal(bgp_sockets_peer_put(w->a.sockets, &six, &six, "", 1, false), 0);
	handle = reach_out(&w->a, &six);
	UNTIL(w, w->a.connected == handle && w->a.n_accepted == 1);
	assert_int_equal(bgp_sockets_new(w->loop, &rig_ops, &w->b, &w->b.sockets), 0);
	assert_int_equal(bgp_sockets_listen(w->b.sockets, PORT, locals, 2, 0), -EADDRINUSE);
	assert_int_equal(bgp_sockets_listen(w->a.sockets, PORT, locals, 1, 0), 0); /* the other one is closed */
	assert_int_equal(bgp_sockets_listen(w->b.sockets, PORT, locals + 1, 1, 0), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(bytes_go_both_ways),
		TEST(numbers_are_never_used_twice),
		TEST(nobody_listens),
		TEST(strangers_are_reset_and_peers_have_few),
		TEST(a_thousand_idle_connections_disturb_nobody),
		TEST(without_the_key_there_is_no_connection),
		TEST(a_key_changes_under_a_connection),
		TEST(who_is_too_far_is_not_heard),
		TEST(a_distance_changes_under_a_connection),
		TEST(a_key_that_cannot_be_set_lets_nobody_in),
		TEST(a_listener_opens_with_the_keys_that_fit),
		TEST(little_waits_in_the_kernel),
		TEST(what_was_taken_arrives_before_the_end),
		TEST(a_slow_peer_takes_what_it_can),
		TEST(without_descriptors_it_waits_and_goes_on),
		TEST(a_peer_that_is_removed_is_gone),
		TEST(both_families_and_addresses_to_come),
	};

	if (geteuid() != 0) {
		printf("1..0 # SKIP needs root\n");
		return 0;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
