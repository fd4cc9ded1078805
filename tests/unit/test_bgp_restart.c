/* SPDX-License-Identifier: Apache-2.0 */
/* Graceful restart, of a neighbor and of ours: which routes are kept, until when, and who is told what. */
#include "bgp_rig.h"

#include <errno.h>

#define PEER "10.0.0.2"
#define EVPN ROUTE_FAMILY_BIT(ROUTE_EVPN)

/* B6, B7 as the one that stays */
static void routes_of_a_neighbor_that_restarts_are_kept_as_long_as_agreed(void **state)
{
	enum back { NO, WITH_ROUTES, NO_END, NO_FORWARDING, NO_RESTART, TWICE };
	static const struct {
		const char *name;
		bool agreed;  /* it can restart ... */
		bool n_bit;   /* ... also over a NOTIFICATION */
		int code;     /* of the NOTIFICATION that ends the session; 0 = the connection breaks */
		bool hard, silent;
		enum back back;
		bool kept;
		unsigned want_s; /* when what is not announced again goes, after the loss */
	} rows[] = {
		{"no graceful restart", false, false, 0, false, false, NO, false, 0},
		{"not back", true, false, 0, false, false, NO, true, 60},
		{"back with all", true, false, 0, false, false, WITH_ROUTES, true, 10},
		{"back, no End-of-RIB", true, false, 0, false, false, NO_END, true, 10 + 100},
		{"back, did not forward", true, false, 0, false, false, NO_FORWARDING, true, 10},
		{"back, without graceful restart", true, false, 0, false, false, NO_RESTART, true, 10},
		{"lost twice", true, false, 0, false, false, TWICE, true, 20},
		{"NOTIFICATION", true, false, NOTIFICATION_CEASE, false, false, NO, false, 0},
		{"NOTIFICATION, N bit", true, true, NOTIFICATION_CEASE, false, false, NO, true, 60},
		{"hard reset, N bit", true, true, NOTIFICATION_CEASE, true, false, NO, false, 0},
		{"hold timer", true, false, 0, false, true, NO, false, 0},
		{"hold timer, N bit", true, true, 0, false, true, NO, true, 60},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct rig *rig = rig_new(NULL);
		struct neighbor_config c = rig_config();
		struct open o = rig_open_restart(), again;
		const struct route_attrs *a = rig_attrs(rig->attrs, 0);
		uint64_t h, lost;

		c.stale_s = 100;
		c.passive = true;
		o.capabilities.graceful_restart = rows[i].agreed;
		o.capabilities.restart_notification = rows[i].n_bit;
		again = o;
		again.capabilities.restarting = true;
		if (rows[i].back == NO_FORWARDING)
			again.capabilities.forwarding = 0;
		if (rows[i].back == NO_RESTART)
			again.capabilities.graceful_restart = false;
		rig_put(rig, &c);
		h = rig_establish(rig, PEER, &o);
		rig_say_routes(rig, h, 0, 100, a);
		rig_say_end_of_rib(rig, h, ROUTE_EVPN);
		if (rows[i].silent)
			while (rig->state == NEIGHBOR_ESTABLISHED)
				rig_run(rig, 1000);
		else if (rows[i].code)
			rig_say_notification(rig, h, (uint8_t)rows[i].code, CEASE_ADMINISTRATIVE_RESET, NULL, rows[i].hard);
		else
			rig_close(rig, h);
		lost = rig->now;
		if ((table_length(rig->table, 2, ROUTE_EVPN) == 100) != rows[i].kept)
			fail_msg("%s: kept %d", rows[i].name, !rows[i].kept);
		assert_int_equal(rig_stats(rig, PEER).stale, rows[i].kept ? RIG_ALL : 0);
		assert_int_equal(rig_stats(rig, PEER).n_received[ROUTE_EVPN], rows[i].kept ? 100 : 0);
		if (!rows[i].kept) {
			attrs_unref(rig->attrs, a);
			rig_free(rig);
			continue;
		}
		rig->swept_ms[ROUTE_EVPN] = 0;
		if (rows[i].back != NO) {
			rig_run(rig, 10000);
			h = rig_establish(rig, PEER, &again);
			rig_say_routes(rig, h, 0, 60, a);
			if (rows[i].back == WITH_ROUTES || rows[i].back == NO_END || rows[i].back == TWICE)
				assert_int_equal(table_length(rig->table, 2, ROUTE_EVPN), 100);
			else
				assert_int_equal(table_length(rig->table, 2, ROUTE_EVPN), 60);
			if (rows[i].back == WITH_ROUTES)
				rig_say_end_of_rib(rig, h, ROUTE_EVPN);
			if (rows[i].back == TWICE) {
				rig_run(rig, 10000);
				rig_close(rig, h);
				assert_int_equal(table_length(rig->table, 2, ROUTE_EVPN), 60);
				assert_int_equal(table_n_stale(rig->table, 2, ROUTE_EVPN), 60);
			}
		}
		for (unsigned s = 0; s < 200 && rig->swept_ms[ROUTE_EVPN] == 0; s++) {
			rig_run(rig, 1000);
			if (rig->state == NEIGHBOR_ESTABLISHED)
				rig_say_keepalive(rig, h);
		}
		if (rig->swept_ms[ROUTE_EVPN] != lost + rows[i].want_s * 1000)
			fail_msg("%s: swept after %ld ms", rows[i].name, (long)(rig->swept_ms[ROUTE_EVPN] - lost));
		if (rows[i].back != TWICE)
			assert_int_equal(table_length(rig->table, 2, ROUTE_EVPN), rows[i].back == NO ? 0 : 60);
		attrs_unref(rig->attrs, a);
		rig_free(rig);
	}
}

static void a_restart_of_ours_says_so_until_everybody_has_told_us_all(void **state)
{
	static const struct speaker_config restarted = {.as = RIG_AS, .id = RIG_ID, .restarting = true, .forwarding = true, .deferral_s = 100};
	struct rig *rig = rig_new(&restarted);
	struct neighbor_config c = rig_config();
	struct open with = rig_open_restart(), without = rig_open(), too = rig_open_restart(), ours;
	struct notification error;
	struct message m;
	uint64_t first, h;

	too.capabilities.restarting = true;
	c.families = EVPN;
	for (unsigned i = 2; i < 6; i++) {
		c.remote.bytes[15] = (uint8_t)i;
		c.id = i;
		rig_put(rig, &c);
	}
	first = rig_connect(rig, "10.0.0.2");
	assert_int_equal(rig_hear(rig, first, &m), MESSAGE_OPEN);
	assert_int_equal(open_decode(m.body, &ours, &error), 0);
	assert_true(ours.capabilities.restarting);
	assert_int_equal(ours.capabilities.forwarding, EVPN);
	assert_int_equal(ours.capabilities.restart_families, EVPN);
	rig_say_open(rig, first, &with);
	rig_say_keepalive(rig, first);
	rig_establish(rig, "10.0.0.3", &without); /* will never say End-of-RIB */
	rig_establish(rig, "10.0.0.4", &too);     /* waits for ours */
	h = rig_establish(rig, "10.0.0.5", &with);
	rig_run(rig, 1000);
	/* families that no neighbor has are nothing to wait for */
	assert_int_equal(rig->ready, RIG_ALL & ~EVPN);
	rig_say_end_of_rib(rig, first, ROUTE_EVPN);
	assert_int_equal(rig->ready, RIG_ALL & ~EVPN);
	rig_say_end_of_rib(rig, h, ROUTE_EVPN);
	assert_int_equal(rig->ready, RIG_ALL);
	rig_close(rig, h);
	h = rig_connect(rig, "10.0.0.5");
	assert_int_equal(rig_hear(rig, h, &m), MESSAGE_OPEN);
	assert_int_equal(open_decode(m.body, &ours, &error), 0);
	assert_false(ours.capabilities.restarting);
	assert_int_equal(ours.capabilities.forwarding, EVPN);
	rig_free(rig);
}

static void after_a_restart_nobody_is_waited_for_longer_than_the_deferral(void **state)
{
	static const struct speaker_config restarted = {.as = RIG_AS, .id = RIG_ID, .restarting = true, .deferral_s = 100};
	struct rig *rig = rig_new(&restarted);
	struct neighbor_config c = rig_config();

	rig_put(rig, &c);
	rig_run(rig, 99999);
	assert_int_equal(rig->ready, 0);
	rig_run(rig, 1);
	assert_int_equal(rig->ready, RIG_ALL);
	rig_free(rig);
	rig = rig_new(NULL); /* nothing was there before */
	rig_run(rig, 0);
	assert_int_equal(rig->ready, RIG_ALL);
	rig_free(rig);
}

/* Who is not asked to keep our routes sends no End-of-RIB, and who is down by configuration nothing at all. */
static void after_a_restart_nobody_is_waited_for_who_has_nothing_to_say(void **state)
{
	static const struct speaker_config restarted = {.as = RIG_AS, .id = RIG_ID, .restarting = true, .deferral_s = 100};
	static const struct {
		bool neighbor;
		uint16_t restart_s;
		bool shutdown, ready;
	} rows[] = {{false, 0, false, true}, {true, 0, false, true}, {true, 60, true, true}, {true, 60, false, false}};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct rig *rig = rig_new(&restarted);
		struct neighbor_config c = rig_config();

		c.restart_s = rows[i].restart_s;
		c.shutdown = rows[i].shutdown;
		if (rows[i].neighbor)
			rig_put(rig, &c);
		rig_run(rig, 1);
		assert_int_equal(rig->ready, rows[i].ready ? RIG_ALL : 0);
		rig_free(rig);
	}
}

/* An End-of-RIB of a family that was disabled will not be heard. */
static void after_a_restart_a_disabled_family_is_not_waited_for(void **state)
{
	static const struct speaker_config restarted = {.as = RIG_AS, .id = RIG_ID, .restarting = true, .deferral_s = 100};
	static const uint8_t beyond[] = {0, 25, 70, 2, 200, 0}; /* MP_UNREACH: an EVPN route that is longer than its attribute */
	struct rig *rig = rig_new(&restarted);
	struct neighbor_config c = rig_config();
	struct open o = rig_open_restart();
	uint8_t message[64];
	struct writer w = writer_over(message, sizeof(message));
	size_t mark;
	uint64_t h;

	c.families = EVPN;
	c.disable_family = true;
	rig_put(rig, &c);
	h = rig_establish(rig, PEER, &o);
	rig_run(rig, 1);
	assert_int_equal(rig->ready, RIG_ALL & ~EVPN);
	mark = message_begin(&w, MESSAGE_UPDATE);
	writer_u16(&w, 0);
	writer_u16(&w, 3 + sizeof(beyond));
	writer_u8(&w, ATTR_OPTIONAL);
	writer_u8(&w, ATTR_MP_UNREACH);
	writer_u8(&w, sizeof(beyond));
	writer_bytes(&w, beyond, sizeof(beyond));
	message_end(&w, mark);
	rig_say(rig, h, &w);
	assert_int_equal(rig_stats(rig, PEER).families, 0);
	assert_int_equal(rig->ready, RIG_ALL);
	rig_free(rig);
}

/* Of a limit of 100: who was given other routes while it restarted has not more for the old ones that we still hold. */
static void too_many_prefixes_are_those_that_a_neighbor_names_now(void **state)
{
	static const struct {
		unsigned before, again, others;
		bool ends_now, ends_with_the_rest;
	} rows[] = {{60, 0, 60, false, false},  {100, 0, 100, false, false}, {60, 0, 101, true, true},
		    {60, 60, 40, false, false}, {60, 60, 41, false, true},   {100, 100, 101, true, true}};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct rig *rig = rig_new(NULL);
		struct neighbor_config c = rig_config();
		struct open o = rig_open_restart();
		const struct route_attrs *a = rig_attrs(rig->attrs, 1);
		uint64_t h;

		c.passive = true;
		c.max_prefix[ROUTE_EVPN] = 100;
		rig_put(rig, &c);
		rig_run(rig, 0);
		h = rig_establish(rig, PEER, &o);
		rig_say_routes(rig, h, 0, rows[i].before, a);
		rig_close(rig, h);
		rig_run(rig, 3000);
		h = rig_establish(rig, PEER, &o);
		rig_say_routes(rig, h, 0, rows[i].again, a);
		for (unsigned n = 0; n < rows[i].others && rig->state == NEIGHBOR_ESTABLISHED; n++)
			rig_say_routes(rig, h, 1000 + n, 1, a);
		assert_int_equal(rig->state != NEIGHBOR_ESTABLISHED, rows[i].ends_now);
		if (!rows[i].ends_now)
			rig_say_end_of_rib(rig, h, ROUTE_EVPN);
		assert_int_equal(rig->state != NEIGHBOR_ESTABLISHED, rows[i].ends_with_the_rest);
		if (rows[i].ends_now || rows[i].ends_with_the_rest)
			assert_non_null(strstr(rig->reason, "Maximum Number of Prefixes"));
		attrs_unref(rig->attrs, a);
		rig_free(rig);
	}
}

/* Routes each with attributes of its own, as large as a message: what they may take is full before their number is. */
static void attributes_beyond_what_the_routes_may_have_end_the_session(void **state)
{
	enum { LARGE = 3800 };
	struct rig *rig = rig_new(NULL);
	struct neighbor_config c = rig_config();
	struct open o = rig_open_restart();
	uint32_t communities[LARGE / 4];
	uint64_t target = extended_target_as2(65000, 5001), h;
	size_t size = attrs_size(rig->attrs);
	unsigned n = 0;

	c.passive = true;
	c.families = EVPN;
	c.max_prefix[ROUTE_EVPN] = 1000;
	rig_put(rig, &c);
	rig_run(rig, 0);
	h = rig_establish(rig, PEER, &o);
	for (; n < 1000 && rig->state == NEIGHBOR_ESTABLISHED; n++) {
		struct route_attrs candidate = {.next_hop = rig_addr(PEER), .has = ROUTE_HAS_LOCAL_PREF, .local_pref = n,
						.extended = &target, .n_extended = 1, .communities = communities,
						.n_communities = LARGE / 4};
		const struct route_attrs *a;
		uint8_t message[MESSAGE_MAX];
		struct writer w = writer_over(message, sizeof(message));
		struct route_nlri nlri = rig_nlri(ROUTE_EVPN, n);
		struct update_session s = {.as4 = true, .families = RIG_ALL};
		size_t done = 0;

		for (uint32_t i = 0; i < LARGE / 4; i++)
			communities[i] = n << 16 | i;
		assert_int_equal(attrs_intern(rig->attrs, &candidate, &a), 0);
		assert_int_equal(update_encode(&s, a, &nlri, 1, &done, &w), 0);
		attrs_unref(rig->attrs, a);
		rig_say(rig, h, &w);
	}
	assert_in_range(n, 500, 530);
	rig_expect_notification(rig, h, "Cease/Out of Resources, hard");
	assert_non_null(strstr(rig->notice, "more than its maximum_prefix allows for"));
	assert_int_equal(rig->state, NEIGHBOR_IDLE); /* as after too many prefixes */
	assert_int_equal(rig_stats(rig, PEER).n_received[ROUTE_EVPN], 0);
	assert_in_range(attrs_size(rig->attrs), 0, size + 100000);
	rig_free(rig);
}

static void a_planned_stop_tells_nothing_so_that_routes_are_kept(void **state)
{
	struct rig *rig = rig_new(NULL);
	struct neighbor_config c = rig_config();
	struct open o = rig_open_restart();
	const struct route_attrs *a = rig_attrs(rig->attrs, 0);
	struct message m;
	uint64_t h;

	rig_put(rig, &c);
	rig_announce(rig, ROUTE_EVPN, 0, 10, 0);
	h = rig_establish(rig, PEER, &o);
	rig_say_routes(rig, h, 0, 10, a);
	rig_run(rig, 1);
	speaker_stop(rig->s, true, "upgrade", rig->now);
	assert_true(rig->transports[h].closed);
	while (rig_hear(rig, h, &m))
		assert_int_not_equal(m.type, MESSAGE_NOTIFICATION);
	assert_int_equal(table_length(rig->table, 2, ROUTE_EVPN), 10); /* what forwards goes on */
	assert_int_equal(table_n_stale(rig->table, 2, ROUTE_EVPN), 0);
	attrs_unref(rig->attrs, a);
	rig_free(rig);
}

static void another_transport_keeps_routes_and_is_taken_at_once(void **state)
{
	struct rig *rig = rig_new(NULL);
	struct neighbor_config c = rig_config();
	struct open o = rig_open_restart();
	const struct route_attrs *a = rig_attrs(rig->attrs, 0);
	const struct addr peer = rig_addr(PEER), nobody = rig_addr("10.0.0.9");
	unsigned connects;
	struct message m;
	uint64_t h;

	assert_int_equal(speaker_reconnect(rig->s, &nobody, "x", rig->now), -ENOENT);
	rig_put(rig, &c);
	h = rig_establish(rig, PEER, &o);
	rig_say_routes(rig, h, 0, 10, a);
	rig_say_end_of_rib(rig, h, ROUTE_EVPN);
	connects = rig->n_connects;
	assert_int_equal(speaker_reconnect(rig->s, &peer, "another way", rig->now), 0);
	assert_true(rig->transports[h].closed);
	while (rig_hear(rig, h, &m))
		assert_int_not_equal(m.type, MESSAGE_NOTIFICATION);
	assert_string_equal(rig->reason, "another way");
	assert_int_equal(table_n_stale(rig->table, 2, ROUTE_EVPN), 10);
	rig_run(rig, 0);
	assert_int_equal(rig->n_connects, connects + 1);
	/* also one that is under way */
	assert_int_equal(speaker_reconnect(rig->s, &peer, "yet another", rig->now), 0);
	rig_run(rig, 0);
	assert_int_equal(rig->n_connects, connects + 2);
	h = rig_accept(rig);
	rig_raise(rig, h, &o);
	assert_int_equal(rig->state, NEIGHBOR_ESTABLISHED);
	rig_say_routes(rig, h, 0, 10, a);
	rig_say_end_of_rib(rig, h, ROUTE_EVPN);
	assert_int_equal(table_n_stale(rig->table, 2, ROUTE_EVPN), 0);
	assert_int_equal(table_length(rig->table, 2, ROUTE_EVPN), 10);
	attrs_unref(rig->attrs, a);
	rig_free(rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(routes_of_a_neighbor_that_restarts_are_kept_as_long_as_agreed),
		cmocka_unit_test(a_restart_of_ours_says_so_until_everybody_has_told_us_all),
		cmocka_unit_test(after_a_restart_nobody_is_waited_for_longer_than_the_deferral),
		cmocka_unit_test(after_a_restart_nobody_is_waited_for_who_has_nothing_to_say),
		cmocka_unit_test(after_a_restart_a_disabled_family_is_not_waited_for),
		cmocka_unit_test(too_many_prefixes_are_those_that_a_neighbor_names_now),
		cmocka_unit_test(attributes_beyond_what_the_routes_may_have_end_the_session),
		cmocka_unit_test(a_planned_stop_tells_nothing_so_that_routes_are_kept),
		cmocka_unit_test(another_transport_keeps_routes_and_is_taken_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
