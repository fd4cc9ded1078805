/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What goes through a relay: its form, when which way is asked for, and sessions between two nodes that do not hear each
 * other, or only one of them the other.
 */
#include "wg_rig.h"

#include "wg/relay.h"

#define HERE "0123456789ab"

static const uint8_t *who(const char *name)
{
	return (const uint8_t *)name;
}

/* ---- the form ---- */

static void a_message_is_read_as_it_was_written(void **state)
{
	uint8_t bytes[sizeof(struct relay_header) + sizeof(struct packet_response) + 8] = {0};
	struct relay_payload p;

	bytes[sizeof(struct relay_header)] = PACKET_RESPONSE;
	for (int kind = RELAY_FOR; kind <= RELAY_FROM; kind++) {
		relay_write(bytes, (enum relay_kind)kind, who(HERE), sizeof(struct packet_response));
		assert_true(relay_is_payload(bytes, sizeof(bytes)));
		p = relay_read(bytes, sizeof(bytes)); /* padded */
		assert_int_equal(p.kind, kind);
		assert_memory_equal(p.who, HERE, RELAY_ID_SIZE);
		assert_ptr_equal(p.message, bytes + sizeof(struct relay_header));
		assert_int_equal(p.size, sizeof(struct packet_response));
	}
	assert_int_equal(bytes[0], 0x21); /* on the wire */
	assert_int_equal(bytes[2], 0);
	assert_int_equal(bytes[3], 92);
}

static void what_is_not_whole_is_nothing(void **state)
{
	uint8_t bytes[sizeof(struct relay_header) + sizeof(struct packet_response)] = {0};
	const size_t size = sizeof(struct packet_response);

	bytes[sizeof(struct relay_header)] = PACKET_RESPONSE;
	relay_write(bytes, RELAY_FOR, who(HERE), size);
	for (size_t n = 0; n < sizeof(bytes); n++)
		assert_int_equal(relay_read(bytes, n).kind, RELAY_NONE);
	assert_int_equal(relay_read(bytes, sizeof(bytes)).kind, RELAY_FOR);
	relay_write(bytes, RELAY_FOR, who(HERE), size - 1); /* no response is that short */
	assert_int_equal(relay_read(bytes, sizeof(bytes)).kind, RELAY_NONE);
	relay_write(bytes, RELAY_FOR, who(HERE), 0);
	assert_int_equal(relay_read(bytes, sizeof(bytes)).kind, RELAY_NONE);
	relay_write(bytes, RELAY_FOR, who(HERE), size);
	bytes[sizeof(struct relay_header)] = RELAY_FOR; /* nothing but the protocol's messages is carried */
	assert_int_equal(relay_read(bytes, sizeof(bytes)).kind, RELAY_NONE);
	for (int kind = 0; kind < 256; kind++) {
		bytes[0] = (uint8_t)kind;
		if (kind < RELAY_FOR || kind > RELAY_ANSWER)
			assert_int_equal(relay_read(bytes, sizeof(bytes)).kind, RELAY_NONE);
	}
	assert_false(relay_is_payload(bytes, 0));
	bytes[0] = 0x45;
	assert_false(relay_is_payload(bytes, sizeof(bytes)));
}

static void a_question_has_its_answer(void **state)
{
	uint8_t bytes[16];
	struct relay_payload p;

	assert_int_equal(relay_ask(bytes, RELAY_ANSWER, 0xdeadbeef), 8);
	p = relay_read(bytes, 8);
	assert_int_equal(p.kind, RELAY_ANSWER);
	assert_int_equal(p.token, 0xdeadbeef);
	assert_int_equal(relay_read(bytes, 7).kind, RELAY_NONE);
	relay_ask(bytes, RELAY_ASK, 1);
	assert_int_equal(relay_read(bytes, 16).kind, RELAY_ASK);
}

static void an_endpoint_says_through_whom_to_whom(void **state)
{
	struct endpoint a = relay_endpoint(1, who(HERE)), b = relay_endpoint(1, who("0123456789ac")), c = relay_endpoint(2, who(HERE));

	assert_true(a.port != 0 && a.relay == 1);
	assert_memory_equal(a.addr.bytes, HERE, RELAY_ID_SIZE);
	assert_false(endpoint_equal(&a, &b) || endpoint_equal(&a, &c));
}

/* ---- which way is asked ---- */

static const struct endpoint direct = {.port = 51820}, first = {.port = 1, .relay = 1}, second = {.port = 1, .relay = 2};

static void who_is_heard_is_not_asked(void **state)
{
	struct relay_watch w = {0};

	for (uint64_t now = 1; now < 100000; now += 700) {
		relay_watch_on_sent(&w, now);
		assert_int_equal(relay_watch_next(&w, false, now), RELAY_NOTHING);
		relay_watch_on_heard(&w);
	}
	assert_int_equal(w.next_ms, 0);
	assert_int_equal(relay_watch_next(&w, false, 1000000), RELAY_NOTHING); /* nor where nothing is sent */
}

/* Moments at which it asks, when nothing is ever heard. */
static void silence_is_asked_about_here_and_then_everywhere(void **state)
{
	struct relay_watch w = {0};

	relay_watch_on_sent(&w, 100);
	relay_watch_on_sent(&w, 900); /* the first counts */
	assert_int_equal(relay_watch_next(&w, false, 1099), RELAY_NOTHING);
	assert_int_equal(relay_watch_next(&w, false, 1100), RELAY_ASK_HERE);
	assert_int_equal(relay_watch_next(&w, false, 2099), RELAY_NOTHING);
	assert_int_equal(relay_watch_next(&w, false, 2100), RELAY_ASK_HERE);
	assert_int_equal(relay_watch_next(&w, false, 3099), RELAY_NOTHING);
	for (uint64_t now = 3100; now < 400000; now += 1000)
		assert_int_equal(relay_watch_next(&w, false, now), RELAY_ASK_ALL);
	relay_watch_on_heard(&w);
	assert_int_equal(relay_watch_next(&w, false, 500000), RELAY_NOTHING);
	relay_watch_on_sent(&w, 500000);
	assert_int_equal(relay_watch_next(&w, false, 501000), RELAY_ASK_HERE);
}

static void who_looks_takes_the_first_way_that_answers(void **state)
{
	struct relay_watch w = {0};

	relay_watch_on_sent(&w, 100);
	relay_watch_next(&w, true, 1100);
	assert_false(relay_watch_on_answer(&w, w.token, &second, &first)); /* nobody looks */
	relay_watch_next(&w, true, 2100);
	assert_int_equal(relay_watch_next(&w, true, 3100), RELAY_ASK_ALL);
	assert_true(relay_watch_on_answer(&w, w.token, &second, &first));
	assert_true(relay_watch_on_answer(&w, w.token, &first, &direct));
	assert_false(relay_watch_on_answer(&w, w.token + 1, &second, &first)); /* was never asked, */
	assert_false(relay_watch_on_answer(&w, w.token - 16, &second, &first)); /* or long ago */
	assert_false(relay_watch_on_answer(&w, w.token, &first, &first)); /* it leads there again */
	assert_int_equal(w.next_ms, 0);
	assert_false(relay_watch_on_answer(&w, w.token, &second, &first));
}

static void the_direct_way_is_tried_now_and_then(void **state)
{
	struct relay_watch w = {0};
	int tries = 0;

	relay_watch_on_moved(&w, true, 1000);
	assert_int_equal(relay_watch_next(&w, true, 5999), RELAY_NOTHING);
	assert_int_equal(relay_watch_next(&w, true, 6000), RELAY_ASK_DIRECT);
	for (uint64_t now = 6001; now < 6000 + 10 * 60000; now += 100)
		tries += relay_watch_next(&w, true, now) == RELAY_ASK_DIRECT;
	assert_int_equal(tries, 9);
	assert_false(relay_watch_on_answer(&w, w.token, &second, &first));
	assert_true(relay_watch_on_answer(&w, w.token, &direct, &first));
	relay_watch_on_moved(&w, false, 700000);
	assert_int_equal(relay_watch_next(&w, false, 900000), RELAY_NOTHING);
}

/* ---- sessions ---- */

static bool only_relays(struct rig *rig, struct rig_message *m)
{
	return m->to.relay != 0;
}

static bool goes_through(const struct rig_node *n, uint16_t relay)
{
	return peer_endpoint(n->peer)->relay == relay;
}

static struct rig *rig_with_relays(uint16_t relays)
{
	struct rig *rig = rig_new(SUITE_ISTHMUS, SUITE_WIREGUARD);

	rig->relays = relays;
	return rig;
}

static void whoever_is_not_heard_is_asked_through_relays(void **state)
{
	struct rig *rig = rig_with_relays(2);

	rig->filter = only_relays;
	rig_send(&rig->left);
	assert_int_equal(rig->length, 1);
	assert_int_equal(rig_last(rig)->to.relay, 0); /* one try for the direct way */
	rig_advance(rig, 4900);
	assert_false(peer_is_ready(rig->left.peer, rig->now_ms));
	rig_advance(rig, 600);
	assert_true(peer_is_ready(rig->left.peer, rig->now_ms) && peer_is_ready(rig->right.peer, rig->now_ms));
	assert_true(goes_through(&rig->left, 1) && goes_through(&rig->right, 1)); /* the first that came */
	assert_true(endpoint_equal(peer_direct(rig->left.peer), &rig->right.endpoint));
	for (int i = 0; i < 10; i++)
		rig_send(i & 1 ? &rig->left : &rig->right);
	rig_flush(rig);
	assert_int_equal(rig_lost(&rig->left, &rig->right), 0);
	assert_int_equal(rig_lost(&rig->right, &rig->left), 0);
	rig_free(rig);
}

/* Sent to for minutes: new sessions come by the way that there is. */
static void sessions_are_renewed_through_a_relay(void **state)
{
	struct rig *rig = rig_with_relays(1);
	struct peer_stats stats;

	rig->filter = only_relays;
	for (int i = 0; i < 6000; i++) {
		rig_send(&rig->left);
		rig_send(&rig->right);
		rig_advance(rig, 100);
	}
	peer_stats(rig->left.peer, &stats);
	assert_true(stats.handshakes >= 5);
	assert_true(goes_through(&rig->left, 1) && goes_through(&rig->right, 1));
	assert_int_equal(rig_lost(&rig->left, &rig->right), 0);
	assert_int_equal(rig_lost(&rig->right, &rig->left), 0);
	rig_free(rig);
}

static void without_relays_nobody_goes_around(void **state)
{
	struct rig *rig = rig_with_relays(0);
	uint64_t initiations;

	rig->filter = only_relays;
	rig_send(&rig->left);
	rig_advance(rig, 300000);
	initiations = rig->sent[PACKET_INITIATION];
	assert_true(initiations >= 17 && initiations <= 18); /* every 5 s, for 90 s */
	assert_int_equal(rig->left.events[PEER_GONE], 1);
	rig_free(rig);
}

static struct rig *rig_of_unknown(bool unreachable)
{
	struct rig *rig = rig_with_relays(1);
	struct peer_config config = {.suite = SUITE_ISTHMUS, .mtu = RIG_MTU, .psk = "shared", .unreachable = unreachable};

	peer_free(rig->left.peer);
	memcpy(config.public_key, device_public_key(rig->right.device), NOISE_KEY_SIZE);
	assert_int_equal(peer_new(rig->left.device, &config, rig->now_ms, &rig->left.peer), 0);
	return rig;
}

static void who_cannot_be_called_and_cannot_call_is_asked_for_at_once(void **state)
{
	struct rig *rig = rig_of_unknown(true);

	rig_send(&rig->left);
	rig_flush(rig);
	assert_true(peer_is_ready(rig->left.peer, rig->now_ms));
	assert_true(goes_through(&rig->left, 1) && goes_through(&rig->right, 1));
	assert_int_equal(rig->right.delivered, 1);
	rig_free(rig);
}

static bool nothing(struct rig *rig, struct rig_message *m)
{
	return false;
}

static void who_has_no_other_way_goes_when_a_relay_is_there(void **state)
{
	struct rig *rig = rig_of_unknown(true);

	rig->filter = nothing;
	rig_send(&rig->left);
	rig_flush(rig);
	rig->filter = NULL;
	rig_advance(rig, 100);
	assert_false(peer_is_ready(rig->left.peer, rig->now_ms));
	device_relay_up(rig->left.device, rig->now_ms);
	rig_flush(rig);
	assert_true(peer_is_ready(rig->left.peer, rig->now_ms));
	rig_free(rig);
}

static void who_can_call_is_waited_for(void **state)
{
	struct rig *rig = rig_of_unknown(false);

	rig_send(&rig->left);
	assert_int_equal(rig->length, 0);
	device_relay_up(rig->left.device, rig->now_ms);
	assert_int_equal(rig->length, 0);
	rig_advance(rig, 5400);
	assert_true(goes_through(&rig->left, 1) && goes_through(&rig->right, 1));
	rig_free(rig);
}

static void who_waits_for_a_relay_goes_when_it_is_there(void **state)
{
	struct rig *rig = rig_with_relays(1);

	rig->filter = only_relays;
	rig->relays = 0; /* it has no session */
	rig_send(&rig->left);
	rig_flush(rig);
	device_relay_up(rig->left.device, rig->now_ms);
	assert_int_equal(rig->length, 0); /* not before the direct way had its time */
	rig_advance(rig, 5400);
	rig->relays = 1;
	rig_advance(rig, 100);
	assert_false(peer_is_ready(rig->left.peer, rig->now_ms));
	device_relay_up(rig->left.device, rig->now_ms);
	rig_flush(rig);
	assert_true(peer_is_ready(rig->left.peer, rig->now_ms));
	device_relay_up(rig->left.device, rig->now_ms);
	assert_int_equal(rig->length, 0); /* who has one wants none */
	rig_free(rig);
}

/* By a way that leads there alone an answer does not come back: it goes where the question came from. */
static bool there_alone(struct rig *rig, struct rig_message *m)
{
	return m->to.relay != 0 || !endpoint_equal(&m->to, &rig->left.endpoint);
}

static void a_way_in_one_direction_is_none(void **state)
{
	struct rig *rig = rig_with_relays(1);

	rig->filter = there_alone;
	rig_send(&rig->left);
	rig_advance(rig, 5500);
	assert_true(peer_is_ready(rig->left.peer, rig->now_ms));
	assert_true(goes_through(&rig->left, 1));
	rig_advance(rig, RELAY_FRESH_MS);
	rig_send(&rig->left);
	rig_flush(rig);
	assert_true(goes_through(&rig->right, 1));
	rig_send(&rig->right);
	rig_flush(rig);
	assert_int_equal(rig->left.delivered, 1);
	rig_free(rig);
}

/* What it sends directly arrives all the while. */
static void an_answer_goes_back_by_the_way_of_its_question(void **state)
{
	struct rig *rig = rig_with_relays(1);
	struct peer_stats stats;

	rig_connect(rig);
	rig->filter = there_alone;
	peer_initiate(rig->left.peer, true, rig->now_ms);
	for (int i = 0; i < 90; i++) {
		rig_send(&rig->left);
		rig_advance(rig, 100);
	}
	peer_stats(rig->left.peer, &stats);
	assert_int_equal(stats.handshakes, 2);
	assert_true(goes_through(&rig->left, 1) && goes_through(&rig->right, 1));
	assert_int_equal(rig_lost(&rig->left, &rig->right), 0);
	rig_free(rig);
}

static bool no_relays(struct rig *rig, struct rig_message *m)
{
	return m->to.relay == 0;
}

static void without_its_relay_a_peer_is_asked_directly(void **state)
{
	struct rig *rig = rig_with_relays(1);
	struct endpoint to;

	rig_connect(rig);
	to = rig_through(1, &rig->right);
	rig_advance(rig, RELAY_FRESH_MS);
	peer_move(rig->left.peer, &to, rig->now_ms);
	rig_advance(rig, 600000);
	assert_true(goes_through(&rig->left, 1));
	rig->filter = no_relays;
	rig_send(&rig->left);
	rig_advance(rig, 9900);
	assert_false(peer_is_ready(rig->left.peer, rig->now_ms));
	rig_advance(rig, 900);
	assert_true(peer_is_ready(rig->left.peer, rig->now_ms));
	assert_true(goes_through(&rig->left, 0) && goes_through(&rig->right, 0));
	rig_free(rig);
}

static void what_was_on_its_way_through_a_relay_moves_nobody(void **state)
{
	struct rig *rig = rig_with_relays(1);
	struct endpoint around;

	rig_connect(rig);
	around = rig_through(1, &rig->left);
	rig_send(&rig->left);
	rig_last(rig)->from = around;
	rig_flush(rig);
	assert_int_equal(rig->right.delivered, 2);
	assert_true(goes_through(&rig->right, 0));
	rig_advance(rig, RELAY_FRESH_MS); /* nothing comes directly any more */
	rig_send(&rig->left);
	rig_last(rig)->from = around;
	rig_flush(rig);
	assert_true(goes_through(&rig->right, 1));
	assert_true(endpoint_equal(peer_direct(rig->right.peer), &rig->left.endpoint));
	rig_send(&rig->left);
	rig_flush(rig);
	assert_true(goes_through(&rig->right, 0)); /* a direct one counts at once */
	rig_free(rig);
}

/* A plain peer, of which nobody carries anything; by what stands on its way it may come through a relay all the same. */
static void who_has_no_relays_is_not_behind_one(void **state)
{
	struct rig *rig = rig_with_relays(0);
	struct endpoint around;

	rig_connect(rig);
	around = rig_through(1, &rig->left);
	rig_advance(rig, RELAY_FRESH_MS);
	rig_send(&rig->left);
	rig_last(rig)->from = around;
	rig_flush(rig);
	assert_int_equal(rig->right.delivered, 2);
	assert_true(endpoint_equal(peer_endpoint(rig->right.peer), &rig->left.endpoint));
	peer_initiate(rig->left.peer, true, rig->now_ms);
	rig_last(rig)->from = around;
	rig_flush(rig);
	assert_true(endpoint_equal(peer_endpoint(rig->right.peer), &rig->left.endpoint));
	rig_free(rig);
}

/* Both began at the same moment, and each has taken another. */
static void two_relays_become_one(void **state)
{
	struct rig *rig = rig_with_relays(2);
	struct endpoint by_first, by_second;

	rig_connect(rig);
	by_first = rig_through(1, &rig->right);
	by_second = rig_through(2, &rig->left);
	peer_move(rig->left.peer, &by_first, rig->now_ms);
	peer_move(rig->right.peer, &by_second, rig->now_ms);
	rig_flush(rig);
	assert_true(goes_through(&rig->left, 1) && goes_through(&rig->right, 1));
	for (int i = 0; i < 100; i++) {
		rig_send(i & 1 ? &rig->left : &rig->right);
		rig_advance(rig, 100);
		assert_true(goes_through(&rig->left, 1) && goes_through(&rig->right, 1));
	}
	rig_free(rig);
}

static void a_way_that_was_found_is_told(void **state)
{
	struct rig *rig = rig_with_relays(2);
	struct endpoint to;

	rig_connect(rig);
	to = rig_through(2, &rig->right);
	rig_advance(rig, RELAY_FRESH_MS);
	peer_move(rig->left.peer, &to, rig->now_ms);
	assert_int_equal(rig->left.events[PEER_MOVED], 1);
	assert_int_equal(rig_last(rig)->size, PACKET_DATA_SIZE(0));
	rig_flush(rig);
	assert_true(goes_through(&rig->left, 2) && goes_through(&rig->right, 2));
	rig_free(rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_message_is_read_as_it_was_written),
		cmocka_unit_test(what_is_not_whole_is_nothing),
		cmocka_unit_test(a_question_has_its_answer),
		cmocka_unit_test(an_endpoint_says_through_whom_to_whom),
		cmocka_unit_test(who_is_heard_is_not_asked),
		cmocka_unit_test(silence_is_asked_about_here_and_then_everywhere),
		cmocka_unit_test(who_looks_takes_the_first_way_that_answers),
		cmocka_unit_test(the_direct_way_is_tried_now_and_then),
		cmocka_unit_test(whoever_is_not_heard_is_asked_through_relays),
		cmocka_unit_test(sessions_are_renewed_through_a_relay),
		cmocka_unit_test(without_relays_nobody_goes_around),
		cmocka_unit_test(who_cannot_be_called_and_cannot_call_is_asked_for_at_once),
		cmocka_unit_test(who_has_no_other_way_goes_when_a_relay_is_there),
		cmocka_unit_test(who_can_call_is_waited_for),
		cmocka_unit_test(who_waits_for_a_relay_goes_when_it_is_there),
		cmocka_unit_test(a_way_in_one_direction_is_none),
		cmocka_unit_test(an_answer_goes_back_by_the_way_of_its_question),
		cmocka_unit_test(without_its_relay_a_peer_is_asked_directly),
		cmocka_unit_test(what_was_on_its_way_through_a_relay_moves_nobody),
		cmocka_unit_test(who_has_no_relays_is_not_behind_one),
		cmocka_unit_test(two_relays_become_one),
		cmocka_unit_test(a_way_that_was_found_is_told),
	};

	return cmocka_run_group_tests(tests, rig_start, NULL);
}
