/* SPDX-License-Identifier: Apache-2.0 */
/* One neighbor: how a session comes up, what ends it, and when it is tried again. */
#include "bgp_rig.h"

#define PEER "10.0.0.2"

static void a_session_comes_up_whoever_connects(void **state)
{
	for (int outgoing = 0; outgoing < 2; outgoing++) {
		struct rig *rig = rig_new(NULL);
		struct neighbor_config c = rig_config();
		struct open o = rig_open(), ours;
		struct notification error;
		struct message m;
		uint64_t h;

		c.passive = !outgoing;
		rig_put(rig, &c);
		rig_run(rig, 0);
		assert_int_equal(rig->n_connects, outgoing);
		assert_int_equal(rig->state, outgoing ? NEIGHBOR_CONNECT : NEIGHBOR_ACTIVE);
		h = outgoing ? rig_accept(rig) : rig_connect(rig, PEER);
		assert_int_equal(rig->state, NEIGHBOR_OPENSENT);
		assert_int_equal(rig_hear(rig, h, &m), MESSAGE_OPEN);
		assert_int_equal(open_decode(m.body, &ours, &error), 0);
		assert_int_equal(ours.as, RIG_AS);
		assert_int_equal(ours.id, RIG_ID);
		assert_int_equal(ours.hold_s, 90);
		assert_int_equal(ours.capabilities.families, RIG_ALL);
		assert_true(ours.capabilities.as4 && ours.capabilities.refresh && ours.capabilities.extended_message);
		assert_true(ours.capabilities.graceful_restart && ours.capabilities.restart_notification);
		rig_say_open(rig, h, &o);
		assert_int_equal(rig->state, NEIGHBOR_OPENCONFIRM);
		assert_int_equal(rig_hear(rig, h, NULL), MESSAGE_KEEPALIVE);
		assert_int_equal(rig_hear(rig, h, NULL), 0); /* no UPDATE before their KEEPALIVE */
		rig_say_keepalive(rig, h);
		assert_int_equal(rig->state, NEIGHBOR_ESTABLISHED);
		assert_int_equal(rig_stats(rig, PEER).n_established, 1);
		assert_int_equal(rig_stats(rig, PEER).remote_id, o.id);
		rig_free(rig);
	}
}

static void an_open_that_does_not_fit_is_refused_with_its_code(void **state)
{
	static const struct {
		const char *want;
		uint32_t as, id, families;
		uint16_t hold_s;
	} rows[] = {
		{"OPEN Message Error/Bad Peer AS", 65001, 0x0a000002, RIG_ALL, 90},
		{"OPEN Message Error/Bad BGP Identifier", RIG_AS, RIG_ID, RIG_ALL, 90},
		{"OPEN Message Error/Bad BGP Identifier", RIG_AS, 0, RIG_ALL, 90},
		{"OPEN Message Error/Unacceptable Hold Time", RIG_AS, 0x0a000002, RIG_ALL, 1},
		{"OPEN Message Error/Unacceptable Hold Time", RIG_AS, 0x0a000002, RIG_ALL, 2},
		{"OPEN Message Error/Unsupported Capability", RIG_AS, 0x0a000002, ROUTE_FAMILY_BIT(ROUTE_IPV4), 90},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct rig *rig = rig_new(NULL);
		struct neighbor_config c = rig_config();
		struct open o = rig_open();
		uint64_t h;

		c.families = ROUTE_FAMILY_BIT(ROUTE_EVPN);
		rig_put(rig, &c);
		o.as = rows[i].as;
		o.id = rows[i].id;
		o.hold_s = rows[i].hold_s;
		o.capabilities.families = rows[i].families;
		h = rig_connect(rig, PEER);
		assert_int_equal(rig_hear(rig, h, NULL), MESSAGE_OPEN);
		rig_say_open(rig, h, &o);
		rig_expect_notification(rig, h, rows[i].want);
		assert_int_equal(rig->state, NEIGHBOR_ACTIVE);
		assert_non_null(strstr(rig_stats(rig, PEER).last_error, rows[i].want));
		rig_free(rig);
	}
}

static void the_hold_time_is_the_smaller_one_and_fires_on_time(void **state)
{
	static const struct {
		uint16_t ours, theirs, want;
	} rows[] = {{90, 90, 90}, {90, 9, 9}, {9, 180, 9}, {3, 90, 3}, {90, 3, 3}, {0, 90, 0}, {90, 0, 0}};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct rig *rig = rig_new(NULL);
		struct neighbor_config c = rig_config();
		struct open o = rig_open();
		uint64_t h, begin;
		unsigned n = 0;

		c.hold_s = rows[i].ours;
		o.hold_s = rows[i].theirs;
		rig_put(rig, &c);
		h = rig_establish(rig, PEER, &o);
		assert_int_equal(rig_stats(rig, PEER).hold_s, rows[i].want);
		/* ten hold times with KEEPALIVEs at two thirds of each; ours come three to four times in one */
		for (begin = rig->now; rig->now - begin < (rows[i].want ? 10000u * rows[i].want : 3600000);) {
			rig_run(rig, rows[i].want ? rows[i].want * 667u : 60000);
			if (rows[i].want > 0)
				rig_say_keepalive(rig, h);
		}
		assert_int_equal(rig->state, NEIGHBOR_ESTABLISHED);
		while (rig_hear(rig, h, NULL) == MESSAGE_KEEPALIVE)
			n++;
		if (rows[i].want == 0) {
			assert_int_equal(n, 0);
			rig_free(rig);
			continue;
		}
		assert_in_range(n, 29, 42);
		/* silence */
		rig_run(rig, rows[i].want * 1000u - 1);
		assert_int_equal(rig->state, NEIGHBOR_ESTABLISHED);
		rig_run(rig, 1);
		assert_int_not_equal(rig->state, NEIGHBOR_ESTABLISHED);
		while (rig_hear(rig, h, NULL) == MESSAGE_KEEPALIVE)
			;
		assert_string_equal(rig_stats(rig, PEER).last_error, "sent Hold Timer Expired");
		rig_free(rig);
	}
}

static void an_open_that_does_not_come_ends_the_connection_after_four_minutes(void **state)
{
	struct rig *rig = rig_new(NULL);
	struct neighbor_config c = rig_config();
	uint64_t h;

	c.passive = true;
	rig_put(rig, &c);
	h = rig_connect(rig, PEER);
	assert_int_equal(rig_hear(rig, h, NULL), MESSAGE_OPEN);
	rig_run(rig, 239999);
	assert_false(rig->transports[h].closed);
	rig_run(rig, 1);
	rig_expect_notification(rig, h, "Hold Timer Expired/");
	rig_free(rig);
}

/* RFC 6608 */
static void a_message_out_of_turn_ends_the_session(void **state)
{
	static const struct {
		enum neighbor_state at;
		enum message_type type;
		const char *want;
	} rows[] = {
		{NEIGHBOR_OPENSENT, MESSAGE_KEEPALIVE, "Finite State Machine Error/Unexpected Message in OpenSent State"},
		{NEIGHBOR_OPENSENT, MESSAGE_UPDATE, "Finite State Machine Error/Unexpected Message in OpenSent State"},
		{NEIGHBOR_OPENSENT, MESSAGE_ROUTE_REFRESH, "Finite State Machine Error/Unexpected Message in OpenSent State"},
		{NEIGHBOR_OPENCONFIRM, MESSAGE_OPEN, "Finite State Machine Error/Unexpected Message in OpenConfirm State"},
		{NEIGHBOR_OPENCONFIRM, MESSAGE_UPDATE, "Finite State Machine Error/Unexpected Message in OpenConfirm State"},
		{NEIGHBOR_OPENCONFIRM, MESSAGE_ROUTE_REFRESH, "Finite State Machine Error/Unexpected Message in OpenConfirm State"},
		{NEIGHBOR_ESTABLISHED, MESSAGE_OPEN, "Finite State Machine Error/Unexpected Message in Established State"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct rig *rig = rig_new(NULL);
		struct neighbor_config c = rig_config();
		struct open o = rig_open();
		uint64_t h;

		rig_put(rig, &c);
		h = rig_connect(rig, PEER);
		assert_int_equal(rig_hear(rig, h, NULL), MESSAGE_OPEN);
		if (rows[i].at >= NEIGHBOR_OPENCONFIRM) {
			rig_say_open(rig, h, &o);
			assert_int_equal(rig_hear(rig, h, NULL), MESSAGE_KEEPALIVE);
		}
		if (rows[i].at >= NEIGHBOR_ESTABLISHED)
			rig_say_keepalive(rig, h);
		assert_int_equal(rig->state, rows[i].at);
		if (rows[i].type == MESSAGE_OPEN) {
			rig_say_open(rig, h, &o);
		} else if (rows[i].type == MESSAGE_KEEPALIVE) {
			rig_say_keepalive(rig, h);
		} else if (rows[i].type == MESSAGE_UPDATE) {
			rig_say_end_of_rib(rig, h, ROUTE_IPV4);
		} else {
			uint8_t message[64];
			struct writer w = writer_over(message, sizeof(message));

			refresh_encode(&w, ROUTE_IPV4);
			rig_say(rig, h, &w);
		}
		rig_expect_notification(rig, h, rows[i].want);
		rig_free(rig);
	}
}

static void garbage_ends_the_session_and_nothing_behind_it_is_read(void **state)
{
	struct rig *rig = rig_new(NULL);
	struct neighbor_config c = rig_config();
	struct open o = rig_open();
	uint8_t bytes[100] = {0};
	uint64_t h;

	rig_put(rig, &c);
	h = rig_establish(rig, PEER, &o);
	speaker_on_bytes(rig->s, h, bytes, sizeof(bytes), rig->now);
	rig_expect_notification(rig, h, "Message Header Error/Connection Not Synchronized");
	rig_say_keepalive(rig, h); /* crossed with the closing */
	speaker_on_writable(rig->s, h, rig->now);
	speaker_on_closed(rig->s, h, "reset", rig->now);
	assert_int_equal(rig_stats(rig, PEER).n_resets, 1);
	rig_free(rig);
}

/* RFC 8654 */
static void long_messages_are_read_only_where_both_said_so(void **state)
{
	for (int can = 0; can < 2; can++) {
		struct rig *rig = rig_new(NULL);
		struct neighbor_config c = rig_config();
		struct open o = rig_open();
		const struct route_attrs *a = rig_attrs(rig->attrs, 0);
		struct update_session session = {.as4 = true, .extended = true, .own_as = RIG_AS, .peer_as = RIG_AS, .families = RIG_ALL};
		static uint8_t message[MESSAGE_EXTENDED_MAX];
		static struct route_nlri nlri[1000];
		struct writer w = writer_over(message, sizeof(message));
		size_t done = 0;
		uint64_t h;

		o.capabilities.extended_message = can;
		rig_put(rig, &c);
		h = rig_establish(rig, PEER, &o);
		for (unsigned i = 0; i < 1000; i++)
			nlri[i] = rig_nlri(ROUTE_EVPN, i);
		assert_int_equal(update_encode(&session, a, nlri, 1000, &done, &w), 0);
		assert_int_equal(done, 1000);
		rig_say(rig, h, &w);
		assert_int_equal(table_length(rig->table, 2, ROUTE_EVPN), can ? 1000 : 0);
		if (!can)
			rig_expect_notification(rig, h, "Message Header Error/Bad Message Length");
		attrs_unref(rig->attrs, a);
		rig_free(rig);
	}
}

static void the_words_of_a_shutdown_go_both_ways(void **state)
{
	struct rig *rig = rig_new(NULL);
	struct neighbor_config c = rig_config();
	struct open o = rig_open();
	struct addr peer = rig_addr(PEER);
	uint64_t h;

	rig_put(rig, &c);
	h = rig_establish(rig, PEER, &o);
	rig_say_notification(rig, h, NOTIFICATION_CEASE, CEASE_ADMINISTRATIVE_SHUTDOWN, "back at noon", false);
	assert_string_equal(rig->reason, "received Cease/Administrative Shutdown: back at noon");
	assert_string_equal(rig_stats(rig, PEER).last_error, rig->reason);
	rig_run(rig, 2000);
	h = rig_establish(rig, PEER, &o);
	assert_int_equal(speaker_reset(rig->s, &peer, "new cable", rig->now), 0);
	rig_expect_notification(rig, h, "Cease/Administrative Reset: new cable");
	rig_run(rig, 1000);
	h = rig_establish(rig, PEER, &o);
	speaker_stop(rig->s, false, "gone fishing", rig->now);
	rig_expect_notification(rig, h, "Cease/Administrative Shutdown: gone fishing");
	rig_run(rig, 3600000);
	assert_int_equal(rig->state, NEIGHBOR_IDLE);
	rig_free(rig);
}

/* ---- two connections ---- */

static void of_two_connections_the_one_of_the_higher_identifier_stays_in_every_order(void **state)
{
	/* what comes: C our attempt succeeds, A theirs comes; o their OPEN on ours, a on theirs; k, b their KEEPALIVEs */
	static const char *const orders[] = {"CAoa", "CAao", "CoAa", "AaCo", "ACoa", "ACao", "CAoka", "ACabo", "CAoak", "CAoab",
					     "CoAka", "AaCbo"};
	static const struct {
		uint32_t id, as;
		bool ours_stays;
	} rows[] = {
		{0x0a000002, RIG_AS, false},
		{0x09000002, RIG_AS, true},
		{RIG_ID, RIG_AS + 1, false}, /* RFC 6286 2.3 */
		{RIG_ID, RIG_AS - 1, true},
	};

	for (size_t r = 0; r < sizeof(rows) / sizeof(rows[0]); r++) {
		for (size_t i = 0; i < sizeof(orders) / sizeof(orders[0]); i++) {
			struct rig *rig = rig_new(NULL);
			struct neighbor_config c = rig_config();
			struct open o = rig_open();
			uint64_t out, in = 0, stays, goes;

			c.remote_as = o.as = rows[r].as;
			o.id = rows[r].id;
			rig_put(rig, &c);
			rig_run(rig, 0);
			out = rig->last;
			for (const char *p = orders[i]; *p; p++) {
				bool closed = rig->transports[strchr("Cok", *p) ? out : in].closed;

				rig_run(rig, 300);
				if (*p == 'C')
					speaker_on_connected(rig->s, out, rig->now);
				else if (*p == 'A')
					in = rig_connect(rig, PEER);
				else if (strchr("oa", *p) && !closed)
					rig_say_open(rig, *p == 'o' ? out : in, &o);
				else if (!closed)
					rig_say_keepalive(rig, *p == 'k' ? out : in);
			}
			stays = rows[r].ours_stays ? out : in;
			goes = rows[r].ours_stays ? in : out;
			if (rig->transports[stays].closed || !rig->transports[goes].closed)
				fail_msg("row %zu, order %s: the wrong one stays", r, orders[i]);
			rig_say_keepalive(rig, stays);
			assert_int_equal(rig->state, NEIGHBOR_ESTABLISHED);
			while (rig_hear(rig, goes, NULL) == MESSAGE_OPEN || rig_hear(rig, goes, NULL) == MESSAGE_KEEPALIVE)
				;
			rig_run(rig, 30000);
			assert_int_equal(rig->n_connects, 1);
			assert_int_equal(rig->state, NEIGHBOR_ESTABLISHED);
			rig_free(rig);
		}
	}
}

static void a_second_connection_of_a_session_in_use_replaces_it_only_with_graceful_restart(void **state)
{
	for (int restart = 0; restart < 2; restart++) {
		struct rig *rig = rig_new(NULL);
		struct neighbor_config c = rig_config();
		struct open o = restart ? rig_open_restart() : rig_open();
		const struct route_attrs *a = rig_attrs(rig->attrs, 0);
		uint64_t h, second;

		rig_put(rig, &c);
		h = rig_establish(rig, PEER, &o);
		rig_say_routes(rig, h, 0, 10, a);
		rig_run(rig, 20000);
		second = rig_connect(rig, PEER);
		assert_int_equal(rig->state, NEIGHBOR_ESTABLISHED); /* an OPEN has to come: anybody can connect */
		rig_say_open(rig, second, &o);
		if (!restart) {
			assert_int_equal(rig_hear(rig, second, NULL), MESSAGE_OPEN);
			rig_expect_notification(rig, second, "Cease/Connection Collision Resolution");
			assert_int_equal(rig->state, NEIGHBOR_ESTABLISHED);
		} else {
			assert_true(rig->transports[h].closed);
			assert_int_equal(table_n_stale(rig->table, 2, ROUTE_EVPN), 10);
			rig_say_keepalive(rig, second);
			assert_int_equal(rig->state, NEIGHBOR_ESTABLISHED);
		}
		attrs_unref(rig->attrs, a);
		rig_free(rig);
	}
}

static void idle_connections_take_no_more_than_one_place(void **state)
{
	struct rig *rig = rig_new(NULL);
	struct neighbor_config c = rig_config();
	struct open o = rig_open();
	uint64_t last = 0;

	rig_put(rig, &c);
	for (int i = 0; i < 1000; i++) {
		uint64_t h = rig_connect(rig, PEER);

		if (last)
			assert_true(rig->transports[last].closed);
		last = h;
	}
	rig_raise(rig, last, &o);
	for (int i = 0; i < 1000; i++)
		rig_connect(rig, PEER);
	rig_run(rig, 60000);
	assert_int_equal(rig->state, NEIGHBOR_ESTABLISHED);
	assert_int_equal(rig_stats(rig, PEER).n_resets, 0);
	rig_free(rig);
}

static void who_is_no_neighbor_is_refused(void **state)
{
	struct rig *rig = rig_new(NULL);
	struct neighbor_config c = rig_config();

	rig_expect_notification(rig, rig_connect(rig, PEER), "Cease/Connection Rejected");
	c.shutdown = true;
	rig_put(rig, &c);
	rig_run(rig, 3600000);
	assert_int_equal(rig->n_connects, 0);
	rig_expect_notification(rig, rig_connect(rig, PEER), "Cease/Connection Rejected");
	c.shutdown = false;
	rig_put(rig, &c);
	rig_run(rig, 0);
	assert_int_equal(rig->n_connects, 1);
	rig_free(rig);
}

/* ---- when to try ---- */

static void connecting_is_tried_again_at_random_moments_and_never_given_up(void **state)
{
	struct rig *rig = rig_new(NULL);
	struct neighbor_config c = rig_config();
	uint64_t last;

	rig_put(rig, &c);
	rig_run(rig, 0);
	assert_int_equal(rig->n_connects, 1);
	speaker_on_connect_failed(rig->s, rig->last, "Connection refused", rig->now);
	assert_int_equal(rig->state, NEIGHBOR_ACTIVE);
	assert_string_equal(rig_stats(rig, PEER).last_error, "could not connect: Connection refused");
	last = rig->now;
	for (unsigned n = 2; n < 200; n++) {
		while (rig->n_connects < n)
			rig_run(rig, 1);
		assert_in_range(rig->now - last, 3750, 5001); /* RFC 4271 10 */
		last = rig->now;
		if (n % 2) /* every other one hangs, and is given up for the next */
			speaker_on_connect_failed(rig->s, rig->last, "No route to host", rig->now);
		else if (n > 3)
			assert_true(rig->transports[rig->last - 2].closed || n % 2 == 0);
	}
	rig->refuse_connect = true;
	rig_run(rig, 60000);
	assert_string_equal(rig_stats(rig, PEER).last_error, "could not connect: Network is unreachable");
	assert_in_range(rig->n_connects, 209, 220);
	rig_free(rig);
}

static void who_refuses_or_has_connected_is_not_run_at(void **state)
{
	struct rig *rig = rig_new(NULL);
	struct neighbor_config c = rig_config();
	struct open o = rig_open();
	uint64_t h;

	rig_put(rig, &c);
	rig_run(rig, 0);
	h = rig_accept(rig);
	rig_say_notification(rig, h, NOTIFICATION_CEASE, CEASE_CONNECTION_REJECTED, NULL, false);
	rig_run(rig, 3700);
	assert_int_equal(rig->n_connects, 1);
	h = rig_connect(rig, PEER);
	rig_run(rig, 3000); /* its OPEN takes a while */
	assert_int_equal(rig->n_connects, 1);
	rig_raise(rig, h, &o);
	rig_run(rig, 60000);
	assert_int_equal(rig->n_connects, 1);
	rig_free(rig);
}

static void who_flaps_is_left_alone_longer_each_time_until_it_was_stable(void **state)
{
	static const uint32_t want_s[] = {0, 1, 2, 4, 8, 16, 32, 64, 120, 120};
	struct rig *rig = rig_new(NULL);
	struct neighbor_config c = rig_config();
	struct open o = rig_open();

	c.passive = true;
	rig_put(rig, &c);
	rig_run(rig, 0);
	for (int round = 0; round < 2; round++) {
		for (size_t i = 0; i < sizeof(want_s) / sizeof(want_s[0]); i++) {
			uint64_t h = rig_establish(rig, PEER, &o);

			rig_run(rig, i == 0 ? 60000 : 200);
			rig_close(rig, h);
			assert_int_equal(rig->state, want_s[i] ? NEIGHBOR_IDLE : NEIGHBOR_ACTIVE);
			if (want_s[i] == 0)
				continue;
			rig_run(rig, want_s[i] * 1000 - 1);
			assert_int_equal(rig->state, NEIGHBOR_IDLE);
			rig_expect_notification(rig, rig_connect(rig, PEER), "Cease/Connection Rejected");
			rig_run(rig, 1001);
			assert_int_equal(rig->state, NEIGHBOR_ACTIVE);
		}
	}
	rig_free(rig);
}

/* B5: RST each 200 ms, for ten minutes; 9 others are not touched. */
static void a_storm_of_flaps_costs_one_neighbor_and_few_sessions(void **state)
{
	struct rig *rig = rig_new(NULL);
	struct neighbor_config c = rig_config();
	struct open o = rig_open();
	uint64_t others[9], end;
	unsigned n = 0;

	c.passive = true;
	rig_put(rig, &c);
	for (unsigned i = 0; i < 9; i++) {
		char text[32];

		snprintf(text, sizeof(text), "10.0.1.%u", i);
		c.remote = rig_addr(text);
		c.id = 10 + i;
		rig_put(rig, &c);
		others[i] = rig_establish(rig, text, &o);
	}
	for (end = rig->now + 600000; rig->now < end; n++) {
		uint64_t h = rig_connect(rig, PEER);

		if (n >= RIG_TRANSPORTS - 20) { /* enough transports: the rest of the time without */
			rig->last--;
			free(rig->transports[h].out);
			rig->transports[h] = (struct rig_transport){.window = SIZE_MAX};
		} else if (!rig->transports[h].closed) {
			rig_say_open(rig, h, &o);
			rig_say_keepalive(rig, h);
			rig_run(rig, 100);
			rig_close(rig, h);
		}
		rig_run(rig, 100);
		for (unsigned i = 0; i < 9 && n % 200 == 0; i++)
			rig_say_keepalive(rig, others[i]);
	}
	assert_in_range(rig_stats(rig, PEER).n_established, 8, 20);
	for (unsigned i = 0; i < 9; i++) {
		char text[32];

		snprintf(text, sizeof(text), "10.0.1.%u", i);
		assert_int_equal(rig_stats(rig, text).state, NEIGHBOR_ESTABLISHED);
		assert_int_equal(rig_stats(rig, text).n_resets, 0);
	}
	rig_free(rig);
}

/* B4 */
static void too_many_prefixes_end_the_session_at_once_and_keep_it_down(void **state)
{
	static const uint32_t want_s[] = {60, 120, 240, 300, 300};
	struct rig *rig = rig_new(NULL);
	struct neighbor_config c = rig_config();
	const struct route_attrs *a = rig_attrs(rig->attrs, 0);

	c.passive = true;
	c.max_prefix[ROUTE_EVPN] = 1000;
	c.prefix_hold_max_s = 300;
	rig_put(rig, &c);
	for (size_t i = 0; i < sizeof(want_s) / sizeof(want_s[0]); i++) {
		struct open o = i % 2 ? rig_open_restart() : rig_open();
		uint64_t h = rig_establish(rig, PEER, &o);
		struct notification n;
		struct message m;
		bool hard;

		rig_say_routes(rig, h, 0, 1000, a);
		rig_say_routes(rig, h, 0, 1000, a); /* the same ones again are not more */
		assert_int_equal(table_length(rig->table, 2, ROUTE_EVPN), 1000);
		assert_int_equal(rig_stats(rig, PEER).n_received[ROUTE_EVPN], 1000);
		rig_say_routes(rig, h, 1000, 1000, a);
		assert_int_equal(rig_hear(rig, h, &m), MESSAGE_NOTIFICATION);
		notification_decode(m.body, &n, &hard);
		assert_int_equal(n.code, NOTIFICATION_CEASE);
		assert_int_equal(n.subcode, CEASE_MAXIMUM_PREFIXES);
		assert_int_equal(hard, i % 2); /* RFC 8538: who would keep our routes is told not to */
		assert_int_equal(n.size, 7);
		assert_memory_equal(n.data, "\0\x19\x46\0\0\x03\xe8", 7); /* RFC 4486 4 */
		assert_true(rig->transports[h].closed);
		assert_int_equal(rig->state, NEIGHBOR_IDLE);
		assert_int_equal(table_length(rig->table, 2, ROUTE_EVPN), 0);
		assert_int_equal(rig_stats(rig, PEER).n_received[ROUTE_EVPN], 0);
		rig_run(rig, want_s[i] * 1000 - 1);
		assert_int_equal(rig->state, NEIGHBOR_IDLE);
		rig_expect_notification(rig, rig_connect(rig, PEER), "Cease/Connection Rejected");
		rig_run(rig, 1001);
		assert_int_equal(rig->state, NEIGHBOR_ACTIVE);
	}
	attrs_unref(rig->attrs, a);
	rig_free(rig);
}

/* ---- B11: stuck ---- */

static void a_neighbor_that_reads_nothing_is_dropped_by_the_send_hold_timer(void **state)
{
	static const struct {
		uint32_t send_hold_s;
		uint16_t hold_s;
		uint32_t want_s;
	} rows[] = {{0, 90, 480}, {0, 300, 600}, {20, 90, 20}, {0, 0, 480}};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct rig *rig = rig_new(NULL);
		struct neighbor_config c = rig_config();
		struct open o = rig_open();
		const struct route_attrs *a = rig_attrs(rig->attrs, 0);
		struct route_nlri nlri = rig_nlri(ROUTE_EVPN, 1);
		uint64_t h, begin, drip;

		c.send_hold_s = rows[i].send_hold_s;
		c.hold_s = rows[i].hold_s;
		o.hold_s = 900;
		rig_put(rig, &c);
		h = rig_establish(rig, PEER, &o);
		rig_run(rig, 0);
		/* For ten minutes it takes a message at a time, slowly: that is life. */
		rig->transports[h].window = 0;
		assert_int_equal(speaker_announce(rig->s, &nlri, a, RIG_TENANT), 0);
		rig_run(rig, 1);
		for (begin = rig->now, drip = 0; rig->now - begin < 600000; drip++) {
			rig_run(rig, 10000);
			rig_say_keepalive(rig, h);
			rig->transports[h].window = 4096;
			speaker_on_writable(rig->s, h, rig->now);
			rig->transports[h].window = 0;
		}
		assert_int_equal(rig->state, NEIGHBOR_ESTABLISHED);
		/* Then bytes, but no message: that is none. */
		nlri = rig_nlri(ROUTE_EVPN, 2);
		assert_int_equal(speaker_announce(rig->s, &nlri, a, RIG_TENANT), 0);
		rig_run(rig, 0);
		begin = rig->now;
		while (rig->state == NEIGHBOR_ESTABLISHED && rig->now - begin < 3600000) {
			rig_run(rig, 500);
			if (rig->state != NEIGHBOR_ESTABLISHED)
				break;
			rig_say_keepalive(rig, h);
			if (rig->now - begin == 5000) {
				rig->transports[h].window = 10;
				speaker_on_writable(rig->s, h, rig->now);
			}
		}
		assert_in_range(rig->now - begin, rows[i].want_s * 1000 - 1000, rows[i].want_s * 1000 + 1000);
		assert_string_equal(rig_stats(rig, PEER).last_error, "sent Send Hold Timer Expired");
		assert_true(rig->transports[h].closed);
		attrs_unref(rig->attrs, a);
		rig_free(rig);
	}
}

static void a_neighbor_that_is_half_open_is_dropped_by_the_hold_timer(void **state)
{
	struct rig *rig = rig_new(NULL);
	struct neighbor_config c = rig_config();
	struct open o = rig_open();
	const struct route_attrs *a = rig_attrs(rig->attrs, 0);
	uint64_t h;

	rig_put(rig, &c);
	h = rig_establish(rig, PEER, &o);
	rig->transports[h].window = 0;
	for (unsigned i = 0; i < 20000; i++) {
		struct route_nlri nlri = rig_nlri(ROUTE_EVPN, i);

		assert_int_equal(speaker_announce(rig->s, &nlri, a, RIG_TENANT), 0);
	}
	rig_run(rig, 89999);
	assert_int_equal(rig->state, NEIGHBOR_ESTABLISHED);
	assert_in_range(rig_stats(rig, PEER).n_queued, 100000, 200000); /* bounded, whatever there is to say */
	rig_run(rig, 1);
	assert_int_not_equal(rig->state, NEIGHBOR_ESTABLISHED);
	assert_true(rig->transports[h].closed);
	attrs_unref(rig->attrs, a);
	rig_free(rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_session_comes_up_whoever_connects),
		cmocka_unit_test(an_open_that_does_not_fit_is_refused_with_its_code),
		cmocka_unit_test(the_hold_time_is_the_smaller_one_and_fires_on_time),
		cmocka_unit_test(an_open_that_does_not_come_ends_the_connection_after_four_minutes),
		cmocka_unit_test(a_message_out_of_turn_ends_the_session),
		cmocka_unit_test(garbage_ends_the_session_and_nothing_behind_it_is_read),
		cmocka_unit_test(long_messages_are_read_only_where_both_said_so),
		cmocka_unit_test(the_words_of_a_shutdown_go_both_ways),
		cmocka_unit_test(of_two_connections_the_one_of_the_higher_identifier_stays_in_every_order),
		cmocka_unit_test(a_second_connection_of_a_session_in_use_replaces_it_only_with_graceful_restart),
		cmocka_unit_test(idle_connections_take_no_more_than_one_place),
		cmocka_unit_test(who_is_no_neighbor_is_refused),
		cmocka_unit_test(connecting_is_tried_again_at_random_moments_and_never_given_up),
		cmocka_unit_test(who_refuses_or_has_connected_is_not_run_at),
		cmocka_unit_test(who_flaps_is_left_alone_longer_each_time_until_it_was_stable),
		cmocka_unit_test(a_storm_of_flaps_costs_one_neighbor_and_few_sessions),
		cmocka_unit_test(too_many_prefixes_end_the_session_at_once_and_keep_it_down),
		cmocka_unit_test(a_neighbor_that_reads_nothing_is_dropped_by_the_send_hold_timer),
		cmocka_unit_test(a_neighbor_that_is_half_open_is_dropped_by_the_hold_timer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
