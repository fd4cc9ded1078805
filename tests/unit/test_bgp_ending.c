/* SPDX-License-Identifier: Apache-2.0 */
/* What a neighbor can do to its session, and to its routes, by ending connections and by opening second ones. */
#include "bgp_rig.h"

#define PEER "10.0.0.2"

/* A neighbor that connects, with graceful restart, and ten routes. */
static uint64_t with_routes(struct rig *rig, struct neighbor_config *c, const struct open *o)
{
	const struct route_attrs *a = rig_attrs(rig->attrs, 1);
	uint64_t h;

	c->passive = true;
	rig_put(rig, c);
	rig_run(rig, 0);
	h = rig_establish(rig, PEER, o);
	rig_say_routes(rig, h, 0, 10, a);
	attrs_unref(rig->attrs, a);
	return h;
}

/* Says that it gives up this connection for another one, or that it was refused; neither is so in a session that is up. */
static void who_ends_its_session_by_a_cease_flaps_whatever_the_subcode(void **state)
{
	static const enum notification_cease subcodes[] = {CEASE_COLLISION, CEASE_CONNECTION_REJECTED,
							   CEASE_ADMINISTRATIVE_RESET};

	for (size_t i = 0; i < sizeof(subcodes) / sizeof(subcodes[0]); i++) {
		struct rig *rig = rig_new(NULL);
		struct neighbor_config c = rig_config();
		struct open o = rig_open();
		uint64_t h = with_routes(rig, &c, &o);

		for (int n = 0; n < 4; n++) {
			rig_say_notification(rig, h, NOTIFICATION_CEASE, (uint8_t)subcodes[i], NULL, false);
			assert_int_equal(rig->state, n < 1 ? NEIGHBOR_ACTIVE : NEIGHBOR_IDLE);
			rig_run(rig, 10000);
			h = rig_establish(rig, PEER, &o);
		}
		rig_free(rig);
	}
}

static void a_cease_keeps_routes_only_where_both_agreed_and_it_is_not_hard(void **state)
{
	static const struct {
		bool n_bit, hard, kept;
	} rows[] = {{true, false, true}, {true, true, false}, {false, false, false}, {false, true, false}};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct rig *rig = rig_new(NULL);
		struct neighbor_config c = rig_config();
		struct open o = rig_open_restart();
		uint64_t h;

		o.capabilities.restart_notification = rows[i].n_bit;
		h = with_routes(rig, &c, &o);
		rig_say_notification(rig, h, NOTIFICATION_CEASE, CEASE_COLLISION, NULL, rows[i].hard);
		assert_int_equal(rig_stats(rig, PEER).n_received[ROUTE_EVPN], rows[i].kept ? 10 : 0);
		rig_free(rig);
	}
}

/* Two connections, and the neighbor gives up the one that was first: it has not gone, and is not to blame. */
static void who_loses_a_collision_keeps_its_routes_and_is_not_left_alone(void **state)
{
	struct rig *rig = rig_new(NULL);
	struct neighbor_config c = rig_config();
	struct open o = rig_open_restart();
	uint64_t h, second;

	o.capabilities.restart_notification = false;
	h = with_routes(rig, &c, &o);
	for (int n = 0; n < 4; n++) {
		second = rig_connect(rig, PEER);
		rig_say_notification(rig, h, NOTIFICATION_CEASE, CEASE_COLLISION, NULL, false);
		assert_int_equal(rig_stats(rig, PEER).n_received[ROUTE_EVPN], 10);
		rig_raise(rig, second, &o);
		assert_int_equal(rig->state, NEIGHBOR_ESTABLISHED);
		h = second;
	}
	rig_free(rig);
}

/* Graceful restart takes both: without it at our end a second connection is a stranger's to the session that is up. */
static void without_graceful_restart_a_second_connection_takes_no_session_away(void **state)
{
	static const struct {
		uint16_t restart_s;
		bool replaced;
	} rows[] = {{0, false}, {120, true}};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct rig *rig = rig_new(NULL);
		struct neighbor_config c = rig_config();
		struct open o = rig_open_restart();
		uint64_t h, second;

		c.restart_s = rows[i].restart_s;
		h = with_routes(rig, &c, &o);
		rig_run(rig, 20000);
		second = rig_connect(rig, PEER);
		rig_say_open(rig, second, &o);
		assert_int_equal(rig->transports[h].closed, rows[i].replaced);
		assert_int_equal(rig->transports[second].closed, !rows[i].replaced);
		assert_int_equal(rig_stats(rig, PEER).n_received[ROUTE_EVPN], 10);
		rig_free(rig);
	}
}

/* Ours has the higher identifier, so that our attempt would win, were it not for the session that is up. */
static void an_attempt_that_hangs_does_not_outlive_the_other_connections_rise(void **state)
{
	struct rig *rig = rig_new(NULL);
	struct neighbor_config c = rig_config();
	struct open o = rig_open_restart();
	uint64_t attempt, h;

	o.id = 0x09000001;
	rig_put(rig, &c);
	rig_run(rig, 0);
	attempt = rig->last;
	h = rig_connect(rig, PEER);
	rig_raise(rig, h, &o);
	assert_true(rig->transports[attempt].closed);
	rig_run(rig, 20000);
	speaker_on_connected(rig->s, attempt, rig->now);
	assert_int_equal(rig_stats(rig, PEER).state, NEIGHBOR_ESTABLISHED);
	assert_false(rig->transports[h].closed);
	rig_free(rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_ends_its_session_by_a_cease_flaps_whatever_the_subcode),
		cmocka_unit_test(a_cease_keeps_routes_only_where_both_agreed_and_it_is_not_hard),
		cmocka_unit_test(who_loses_a_collision_keeps_its_routes_and_is_not_left_alone),
		cmocka_unit_test(without_graceful_restart_a_second_connection_takes_no_session_away),
		cmocka_unit_test(an_attempt_that_hangs_does_not_outlive_the_other_connections_rise),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
