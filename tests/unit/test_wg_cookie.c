/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Under load: cookies, their age, their binding to an address, and limits by source.
 */
#include "wg_rig.h"

#include <errno.h>

#include "wg/cookie.h"
#include "wg/limiter.h"
#include "wg/state.h"

/* As many right first MACs as it takes, from as many addresses, none of them a handshake. */
static void flood(struct rig *rig, struct rig_node *n, size_t count)
{
	struct packet_initiation m = {.header = packet_header(PACKET_INITIATION, SUITE_WIREGUARD)};
	struct endpoint from = {.port = 7};
	struct cookie_jar jar;
	struct hash *h;

	assert_int_equal(hash_new(&h), 0);
	assert_int_equal(cookie_jar_init(&jar, h, device_public_key(n->device)), 0);
	assert_int_equal(cookie_sign(&jar, h, (uint8_t *)&m, sizeof(m), rig->now_ms), 0);
	for (size_t i = 0; i < count; i++) {
		from.addr = addr_from_v4_number(0x0a000000 + (uint32_t)i);
		rig_receive(n, &from, (uint8_t *)&m, sizeof(m));
	}
	hash_free(h);
}

static void drop_queue(struct rig *rig)
{
	rig->head = rig->length = 0;
}

static void a_session_is_made_under_load(void **state)
{
	for (int both = 0; both < 2; both++) {
		struct rig *rig = rig_new(SUITE_WIREGUARD, SUITE_WIREGUARD);

		flood(rig, &rig->right, LIMITER_LOAD + 100);
		if (both)
			flood(rig, &rig->left, LIMITER_LOAD + 100);
		assert_int_equal(device_drops(rig->right.device, DEVICE_COOKIE_SENT), 100);
		assert_int_equal(device_drops(rig->right.device, DEVICE_BAD_HANDSHAKE), LIMITER_LOAD);
		drop_queue(rig);
		rig_send(&rig->left);
		rig_flush(rig);
		/* asked for a cookie, and got it; used when the timer has come, not at once */
		assert_int_equal(rig->sent[PACKET_RESPONSE], 0);
		assert_true(rig->left.peer->jar.has_cookie);
		rig->now_ms += 4500;
		flood(rig, &rig->right, LIMITER_LOAD + 100);
		if (both)
			flood(rig, &rig->left, LIMITER_LOAD + 100);
		drop_queue(rig);
		rig_advance(rig, 900);
		assert_int_equal(rig->sent[PACKET_RESPONSE], 1);
		if (both) { /* the answer needs one, too */
			assert_int_equal(rig->right.delivered, 0);
			rig->now_ms += 4500;
			flood(rig, &rig->right, LIMITER_LOAD + 100);
			flood(rig, &rig->left, LIMITER_LOAD + 100);
			drop_queue(rig);
			rig_advance(rig, 900);
		}
		assert_int_equal(rig->right.delivered, 1);
		rig_free(rig);
	}
}

static void load_ends_with_the_flood(void **state)
{
	struct rig *rig = rig_new(SUITE_WIREGUARD, SUITE_WIREGUARD);

	flood(rig, &rig->right, LIMITER_LOAD + 1);
	drop_queue(rig);
	rig->now_ms += 1001;
	rig_connect(rig);
	rig_free(rig);
}

static void bad_first_macs_are_no_load(void **state)
{
	struct rig *rig = rig_new(SUITE_WIREGUARD, SUITE_WIREGUARD);
	struct packet_initiation m = {.header = packet_header(PACKET_INITIATION, SUITE_WIREGUARD)};

	for (int i = 0; i < 10000; i++)
		rig_receive(&rig->right, &rig->left.endpoint, (uint8_t *)&m, sizeof(m));
	assert_int_equal(device_drops(rig->right.device, DEVICE_BAD_MAC), 10000);
	assert_int_equal(rig->length, 0);
	rig_connect(rig);
	rig_free(rig);
}

/* One checker and one jar that belong together, and a message between them. */
struct pair {
	struct noise_tools tools;
	struct cookie_checker checker;
	struct cookie_jar jar;
	struct packet_initiation m;
	struct packet_cookie reply;
	struct endpoint from;
};

static void pair_init(struct pair *p)
{
	uint8_t key[32] = {9};

	*p = (struct pair){.from = {.addr = addr_from_v4_number(0xc0000201), .port = 5}};
	assert_int_equal(noise_tools_new(&p->tools), 0);
	assert_int_equal(cookie_checker_init(&p->checker, p->tools.hash, key, 1000), 0);
	assert_int_equal(cookie_jar_init(&p->jar, p->tools.hash, key), 0);
}

static void pair_fini(struct pair *p)
{
	cookie_checker_fini(&p->checker);
	noise_tools_free(&p->tools);
}

static void sign(struct pair *p, uint64_t now_ms)
{
	assert_int_equal(cookie_sign(&p->jar, p->tools.hash, (uint8_t *)&p->m, sizeof(p->m), now_ms), 0);
}

static enum cookie_verdict check(struct pair *p, uint64_t now_ms)
{
	return cookie_check(&p->checker, p->tools.hash, (uint8_t *)&p->m, sizeof(p->m), &p->from, now_ms);
}

static int answer(struct pair *p, uint64_t now_ms)
{
	return cookie_reply(&p->checker, &p->tools, (uint8_t *)&p->m, sizeof(p->m), &p->from, now_ms, &p->reply);
}

static void a_cookie_proves_one_address_for_two_minutes(void **state)
{
	struct pair p;

	pair_init(&p);
	assert_int_equal(check(&p, 1000), COOKIE_BAD_MAC);
	sign(&p, 1000);
	assert_int_equal(check(&p, 1000), COOKIE_NO_COOKIE);
	assert_int_equal(answer(&p, 1000), 0);
	assert_int_equal(cookie_take(&p.jar, p.tools.aead, &p.reply, 1000), 0);
	sign(&p, 2000);
	assert_int_equal(check(&p, 2000), COOKIE_PROVEN);
	p.from.port++;
	assert_int_equal(check(&p, 2000), COOKIE_NO_COOKIE);
	p.from.port--;
	p.from.addr.bytes[15] ^= 1;
	assert_int_equal(check(&p, 2000), COOKIE_NO_COOKIE);
	p.from.addr.bytes[15] ^= 1;
	p.m.macs.mac2[3] ^= 1;
	assert_int_equal(check(&p, 2000), COOKIE_NO_COOKIE);
	p.m.macs.mac2[3] ^= 1;
	p.m.noise[3] ^= 1;
	assert_int_equal(check(&p, 2000), COOKIE_BAD_MAC);
	p.m.noise[3] ^= 1;
	assert_int_equal(check(&p, 1000 + COOKIE_SECRET_MS - 1), COOKIE_PROVEN);
	assert_int_equal(check(&p, 1000 + COOKIE_SECRET_MS), COOKIE_NO_COOKIE);
	/* the sender stops before that; and gets another, under another secret */
	sign(&p, 1000 + COOKIE_AGE_MS);
	assert_memory_equal(p.m.macs.mac2, ((uint8_t[16]){0}), 16);
	assert_int_equal(answer(&p, 1000 + COOKIE_SECRET_MS), 0);
	assert_int_equal(cookie_take(&p.jar, p.tools.aead, &p.reply, 1000 + COOKIE_SECRET_MS), 0);
	sign(&p, 2000 + COOKIE_SECRET_MS);
	assert_int_equal(check(&p, 2000 + COOKIE_SECRET_MS), COOKIE_PROVEN);
	pair_fini(&p);
}

static void only_the_answer_to_what_was_sent_is_taken(void **state)
{
	struct packet_cookie right;
	struct pair p;

	pair_init(&p);
	sign(&p, 1000);
	assert_int_equal(answer(&p, 1000), 0);
	right = p.reply;
	for (size_t i = 8; i < sizeof(p.reply); i++) {
		((uint8_t *)&p.reply)[i] ^= 4;
		assert_int_equal(cookie_take(&p.jar, p.tools.aead, &p.reply, 1000), -EBADMSG);
		((uint8_t *)&p.reply)[i] ^= 4;
	}
	p.m.noise[0] ^= 1;
	sign(&p, 1000); /* another message since */
	assert_int_equal(cookie_take(&p.jar, p.tools.aead, &right, 1000), -EBADMSG);
	p.m.noise[0] ^= 1;
	sign(&p, 1000);
	assert_int_equal(cookie_take(&p.jar, p.tools.aead, &right, 1000), 0);
	assert_int_equal(cookie_take(&p.jar, p.tools.aead, &right, 1000), -EBADMSG); /* once */
	pair_fini(&p);
}

static void a_source_has_its_turn_and_no_more(void **state)
{
	struct addr one = addr_from_v4_number(0xc0000201), other = addr_from_v4_number(0xc0000202), six, neighbour, far;
	struct limiter *l;
	size_t allowed = 0;

	assert_int_equal(limiter_new(&l), 0);
	for (int i = 0; i < 100; i++)
		allowed += limiter_allow(l, &one, 5000);
	assert_int_equal(allowed, LIMITER_BURST);
	assert_true(limiter_allow(l, &other, 5000));
	for (uint64_t ms = 5000; ms < 15000; ms++)
		allowed += limiter_allow(l, &one, ms);
	assert_int_equal(allowed, LIMITER_BURST + 10 * LIMITER_RATE - 1);
	/* a host chooses among the addresses of its /64, but not of another */
	assert_int_equal(addr_parse("2001:db8:1:1::1", &six), 0);
	assert_int_equal(addr_parse("2001:db8:1:1:ffff::2", &neighbour), 0);
	assert_int_equal(addr_parse("2001:db8:1:2::1", &far), 0);
	for (int i = 0; i < LIMITER_BURST; i++)
		assert_true(limiter_allow(l, &six, 20000));
	assert_false(limiter_allow(l, &neighbour, 20000));
	assert_true(limiter_allow(l, &far, 20000));
	limiter_free(l);
}

/* A million sources: who is limited stays so while fewer come than there is room for; nothing grows. */
static void very_many_sources_push_out_only_the_idle(void **state)
{
	struct addr busy = addr_from_v4_number(0xc0000201), a;
	size_t allowed = 0;
	struct limiter *l;

	assert_int_equal(limiter_new(&l), 0);
	for (uint32_t i = 0; i < 1000000; i++) {
		uint64_t ms = 5000 + i / 1000;

		a = addr_from_v4_number(0x0a000000 + i);
		assert_true(limiter_allow(l, &a, ms));
		if (i % 100 == 0)
			allowed += limiter_allow(l, &busy, ms);
	}
	assert_in_range(allowed, LIMITER_RATE, LIMITER_BURST + LIMITER_RATE + 1);
	limiter_free(l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_session_is_made_under_load),
		cmocka_unit_test(load_ends_with_the_flood),
		cmocka_unit_test(bad_first_macs_are_no_load),
		cmocka_unit_test(a_cookie_proves_one_address_for_two_minutes),
		cmocka_unit_test(only_the_answer_to_what_was_sent_is_taken),
		cmocka_unit_test(a_source_has_its_turn_and_no_more),
		cmocka_unit_test(very_many_sources_push_out_only_the_idle),
	};

	return cmocka_run_group_tests_name("wg_cookie", tests, rig_start, NULL);
}
