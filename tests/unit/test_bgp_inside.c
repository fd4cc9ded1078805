/* SPDX-License-Identifier: Apache-2.0 */
/* Sessions that are bound to a device: lo stands for the tunnel's. */
#include "bgp_socket_rig.h"

#define LO 1u

static void put(struct end *e, const char *local, const char *peer, const char *key, uint8_t hops, bool inside)
{
	struct addr here = address(local), there = address(peer);

	assert_int_equal(bgp_sockets_peer_put(e->sockets, &there, &here, key, hops, inside), 0);
}

static void on_device(struct end *e, const char *local, uint32_t device)
{
	struct addr here = address(local);

	assert_int_equal(bgp_sockets_listen(e->sockets, PORT, &here, 1, device), 0);
}

static void both_inside(struct world *w, const char *key, uint8_t hops)
{
	begin(w, &w->a, A, B, "", 0);
	begin(w, &w->b, B, A, "", 0);
	on_device(&w->a, A, LO);
	on_device(&w->b, B, LO);
	put(&w->a, A, B, key, hops, true);
	put(&w->b, B, A, key, hops, true);
}

static void who_is_inside_goes_by_the_device_or_waits(void **state)
{
	struct world *w = *state;
	struct addr a = address(A);
	uint64_t handle;

	begin(w, &w->a, A, B, "", 0);
	begin(w, &w->b, B, A, "", 0);
	put(&w->b, B, A, "", 0, true);
	assert_int_equal(bgp_sockets_connect(w->b.sockets, &a, 0, &handle), -ENETDOWN);
	both_inside(w, "", 0);
	handle = join(w);
	assert_int_equal(run("test $(ss -Htn state established | grep -c '%%lo:') = 2"), 0);
	assert_int_equal(bgp_sockets_send(w->b.sockets, handle, (const uint8_t *)"open", 4), 4);
	UNTIL(w, w->a.size == 4);
}

static void a_segment_is_no_longer_than_the_way_takes(void **state)
{
	struct world *w = *state;
	struct addr a = address(A);
	uint64_t handle;

	both_inside(w, "", 0);
	assert_int_equal(bgp_sockets_connect(w->b.sockets, &a, 1000, &handle), 0);
	UNTIL(w, w->b.connected == handle && w->a.accepted > 0);
	assert_int_equal(run("test $(ss -Htni state established | grep -c 'mss:9[0-9][0-9] ') = 2"), 0); /* and time stamps */
}

static void each_side_refuses_who_comes_on_the_other(void **state)
{
	for (int inside = 0; inside < 2; inside++) {
		struct world *w = *state;
		int fd;

		begin(w, &w->a, A, B, "", 0);
		on_device(&w->a, A, inside ? 0 : LO);
		put(&w->a, A, B, "", 0, inside);
		fd = hand(B);
		UNTIL(w, is_reset(fd));
		assert_int_equal(w->a.n_accepted, 0);
		close(fd);
		on_device(&w->a, A, inside ? LO : 0);
		fd = hand(B);
		UNTIL(w, w->a.n_accepted == 1);
		close(fd);
		rig_teardown(state);
		assert_int_equal(rig_setup(state), 0);
	}
}

static void what_went_by_another_device_is_lost(void **state)
{
	struct world *w = *state;
	uint64_t handle;

	both_inside(w, "", 0);
	handle = join(w);
	on_device(&w->b, B, LO); /* the same: nothing */
	step(w, 50);
	assert_int_equal(w->b.n_closed, 0);
	on_device(&w->b, B, 0);
	UNTIL(w, w->b.closed == handle);
	assert_string_equal(w->b.why, "the tunnel's device is gone");
	UNTIL(w, w->a.closed == w->a.accepted);
	on_device(&w->b, B, LO);
	join(w);
}

static void key_and_distance_go_with_a_peer_to_its_side(void **state)
{
	static const struct {
		const char *key;
		uint8_t hops;
	} rows[] = {{"secret", 0}, {"", 1}, {"secret", 1}};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct world *w = *state;
		uint64_t before;

		both_inside(w, rows[i].key, rows[i].hops);
		join(w);
		put(&w->a, A, B, rows[i].key, rows[i].hops, false);
		put(&w->b, B, A, rows[i].key, rows[i].hops, false);
		on_device(&w->a, A, 0);
		on_device(&w->b, B, 0);
		before = w->a.accepted;
		w->a.accepted = 0;
		assert_true(join(w) > before);
		if (*rows[i].key) { /* of its old side it has none any more */
			int fd = hand(B);

			step(w, 100);
			assert_int_equal(w->a.n_accepted, 2);
			close(fd);
		}
		rig_teardown(state);
		assert_int_equal(rig_setup(state), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(who_is_inside_goes_by_the_device_or_waits),
		TEST(a_segment_is_no_longer_than_the_way_takes),
		TEST(each_side_refuses_who_comes_on_the_other),
		TEST(what_went_by_another_device_is_lost),
		TEST(key_and_distance_go_with_a_peer_to_its_side),
	};

	if (geteuid() != 0) {
		printf("1..0 # SKIP needs root\n");
		return 0;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
