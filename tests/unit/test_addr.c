/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>

#include "lib/addr.h"

static struct addr parsed(const char *text)
{
	struct addr a = {};

	if (addr_parse(text, &a) < 0)
		fail_msg("%s does not parse", text);
	return a;
}

static struct prefix parsed_prefix(const char *text)
{
	struct prefix p = {};

	if (prefix_parse(text, &p) < 0)
		fail_msg("%s does not parse", text);
	return p;
}

static void text_forms_are_canonical(void **state)
{
	/* RFC 5952 4 and 5, RFC 4291 2.2 */
	static const char *const rows[][2] = {
		{"10.0.1.11", "10.0.1.11"},
		{"0.0.0.0", "0.0.0.0"},
		{"255.255.255.255", "255.255.255.255"},
		{"::", "::"},
		{"::1", "::1"},
		{"1::", "1::"},
		{"2001:0db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"},
		{"2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"},
		{"2001:DB8:0:0:0:0:0:A", "2001:db8::a"},
		{"0:0:1:0:0:0:1:0", "0:0:1::1:0"},
		{"fe80:0:0:0:0:0:0:0", "fe80::"},
		{"0:1:0:1:0:1:0:1", "0:1:0:1:0:1:0:1"},
		{"::102:304", "::102:304"},
		{"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
		{"64:ff9b::192.0.2.1", "64:ff9b::c000:201"},
	};
	char text[ADDR_TEXT_SIZE];

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct addr a = parsed(rows[i][0]);

		assert_string_equal(addr_format(&a, text), rows[i][1]);
	}
}

static void loose_texts_are_refused(void **state)
{
	static const char *const rows[] = {"",
					   "10.0.1",
					   "10.0.1.256",
					   "10.0.1.011",
					   " 10.0.1.1",
					   "10.0.1.1 ",
					   "0x0a000001",
					   "10",
					   "1:2:3:4:5:6:7",
					   "1::2::3",
					   "fe80::1%eth0",
					   "12345::",
					   "::ffff:10.0.0.1",
					   "::ffff:a00:1",
					   "localhost",
					   "10.0.1.1/24",
					   "[::1]"};
	struct addr a = {.bytes = {1, 2, 3}}, before = a;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(addr_parse(rows[i], &a), -EINVAL);
		assert_memory_equal(&a, &before, sizeof(a));
	}
}

static void random_addresses_survive_text(void **state)
{
	char text[ADDR_TEXT_SIZE], libc[INET6_ADDRSTRLEN];
	struct addr a, again;

	srandom(1);
	for (int i = 0; i < 200000; i++) {
		for (size_t k = 0; k < 16; k++) /* many zeros: runs to shorten */
			a.bytes[k] = random() % 3 ? 0 : (uint8_t)random();
		if (i % 2)
			memcpy(a.bytes, "\0\0\0\0\0\0\0\0\0\0\xff\xff", 12);
		addr_format(&a, text);
		assert_true(strlen(text) < ADDR_TEXT_SIZE);
		assert_int_equal(addr_parse(text, &again), 0);
		assert_true(addr_equal(&a, &again));
		if (addr_is_v4(&a))
			inet_ntop(AF_INET, a.bytes + 12, libc, sizeof(libc));
		else
			inet_ntop(AF_INET6, a.bytes, libc, sizeof(libc));
		if (!strchr(libc, '.') ||
		    addr_is_v4(&a)) /* libc writes ::1.2.3.4 for some; RFC 5952 5 does not ask for it */
			assert_string_equal(text, libc);
	}
}

static void prefixes_are_strict(void **state)
{
	static const struct {
		const char *text;
		int r;
	} rows[] = {
		{"10.0.0.0/8", 0},
		{"0.0.0.0/0", 0},
		{"::/0", 0},
		{"10.0.1.11/32", 0},
		{"fd00::1/128", 0},
		{"10.0.0.0/33", -ERANGE},
		{"fd00::/129", -ERANGE},
		{"10.0.0.1/8", -EDOM},
		{"10.128.0.0/8", -EDOM},
		{"fd00::1/127", -EDOM},
		{"10.0.0.0", -EINVAL},
		{"10.0.0.0/", -EINVAL},
		{"10.0.0.0/08", -EINVAL},
		{"10.0.0.0/+8", -EINVAL},
		{"10.0.0.0/8 ", -EINVAL},
		{"10.0.0.0/8/8", -EINVAL},
		{"/8", -EINVAL},
		{"10.0.0.0/4294967304", -ERANGE},
		{"", -EINVAL},
	};
	char text[PREFIX_TEXT_SIZE];

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct prefix p = {};

		assert_int_equal(prefix_parse(rows[i].text, &p), rows[i].r);
		if (rows[i].r == 0)
			assert_string_equal(prefix_format(&p, text), rows[i].text);
		else
			assert_int_equal(p.length, 0);
	}
	assert_int_equal(parsed_prefix("10.0.0.0/8").length, 104);
}

/* By the definition, bit by bit. */
static bool model_contains(const struct prefix *p, const struct addr *a)
{
	if (addr_is_v4(&p->addr) != addr_is_v4(a))
		return false;
	for (unsigned bit = 0; bit < p->length; bit++)
		if ((p->addr.bytes[bit / 8] ^ a->bytes[bit / 8]) >> (7 - bit % 8) & 1)
			return false;
	return true;
}

static void random_prefix(struct prefix *p)
{
	memset(p, 0, sizeof(*p));
	if (random() % 2) {
		memcpy(p->addr.bytes, "\0\0\0\0\0\0\0\0\0\0\xff\xff", 12);
		p->length = (uint8_t)(96 + random() % 33);
	} else {
		p->length = (uint8_t)(random() % 129);
	}
	for (unsigned bit = addr_is_v4(&p->addr) ? 96 : 0; bit < p->length; bit++)
		if (random() % 16 == 0)
			p->addr.bytes[bit / 8] |= (uint8_t)(0x80 >> bit % 8);
}

static void containment_agrees_with_the_definition(void **state)
{
	srandom(2);
	for (int i = 0; i < 200000; i++) {
		struct prefix p, q;

		random_prefix(&p);
		random_prefix(&q);
		assert_int_equal(prefix_contains(&p, &q.addr), model_contains(&p, &q.addr));
		assert_int_equal(prefix_overlaps(&p, &q), model_contains(&p, &q.addr) || model_contains(&q, &p.addr));
		assert_int_equal(prefix_overlaps(&p, &q), prefix_overlaps(&q, &p));
	}
}

static void reserved_addresses_of_subnets(void **state)
{
	static const struct {
		const char *prefix, *address;
		bool reserved;
	} rows[] = {
		{"10.0.1.0/24", "10.0.1.0", true},  {"10.0.1.0/24", "10.0.1.255", true},
		{"10.0.1.0/24", "10.0.1.1", false}, {"10.0.1.0/24", "10.0.2.0", false},
		{"10.0.1.0/30", "10.0.1.3", true},  {"10.0.1.0/31", "10.0.1.0", false},
		{"10.0.1.0/31", "10.0.1.1", false}, {"10.0.1.1/32", "10.0.1.1", false},
		{"fd00::/64", "fd00::", true},	    {"fd00::/64", "fd00::ffff:ffff:ffff:ffff", false},
		{"fd00::/127", "fd00::", false},    {"fd00::/126", "fd00::", true},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct prefix p = parsed_prefix(rows[i].prefix);
		struct addr a = parsed(rows[i].address);

		if (prefix_reserves(&p, &a) != rows[i].reserved)
			fail_msg("%s in %s", rows[i].address, rows[i].prefix);
	}
}

static void kinds_of_addresses(void **state)
{
	static const struct {
		const char *text;
		bool v4, unspecified, multicast, loopback, link_local;
	} rows[] = {
		{"0.0.0.0", true, true, false, false, false},	  {"::", false, true, false, false, false},
		{"224.0.0.1", true, false, true, false, false},	  {"239.255.255.255", true, false, true, false, false},
		{"240.0.0.1", true, false, false, false, false},  {"ff02::1", false, false, true, false, false},
		{"127.1.2.3", true, false, false, true, false},	  {"::1", false, false, false, true, false},
		{"169.254.1.1", true, false, false, false, true}, {"fe80::1", false, false, false, false, true},
		{"febf::1", false, false, false, false, true},	  {"fec0::1", false, false, false, false, false},
		{"10.0.0.1", true, false, false, false, false},	  {"fd00::1", false, false, false, false, false},
		{"0.0.0.1", true, false, false, false, false},	  {"::ffff", false, false, false, false, false},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct addr a = parsed(rows[i].text);

		assert_int_equal(addr_is_v4(&a), rows[i].v4);
		assert_int_equal(addr_is_unspecified(&a), rows[i].unspecified);
		assert_int_equal(addr_is_multicast(&a), rows[i].multicast);
		assert_int_equal(addr_is_loopback(&a), rows[i].loopback);
		assert_int_equal(addr_is_link_local(&a), rows[i].link_local);
	}
}

static void macs(void **state)
{
	static const char *const wrong[] = {"",
					    "02:00:00:00:00",
					    "02:00:00:00:00:001",
					    "02-00-00-00-00-01",
					    "0200.0000.0001",
					    "02:00:00:00:00:0g",
					    "02:00:00:00:00:01 ",
					    "2:0:0:0:0:1",
					    "02:00:00:00:00:01:",
					    "02:00:00:00:0001"};
	char text[MAC_TEXT_SIZE];
	struct mac m = {};

	assert_int_equal(mac_parse("02:AB:cd:00:10:Ff", &m), 0);
	assert_string_equal(mac_format(&m, text), "02:ab:cd:00:10:ff");
	assert_false(mac_is_multicast(&m) || mac_is_zero(&m));
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_int_equal(mac_parse(wrong[i], &m), -EINVAL);
	assert_string_equal(mac_format(&m, text), "02:ab:cd:00:10:ff");
	assert_int_equal(mac_parse("00:00:00:00:00:00", &m), 0);
	assert_true(mac_is_zero(&m));
	assert_int_equal(mac_parse("ff:ff:ff:ff:ff:ff", &m), 0);
	assert_true(mac_is_multicast(&m));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(text_forms_are_canonical),
		cmocka_unit_test(loose_texts_are_refused),
		cmocka_unit_test(random_addresses_survive_text),
		cmocka_unit_test(prefixes_are_strict),
		cmocka_unit_test(containment_agrees_with_the_definition),
		cmocka_unit_test(reserved_addresses_of_subnets),
		cmocka_unit_test(kinds_of_addresses),
		cmocka_unit_test(macs),
	};

	return cmocka_run_group_tests_name("addr", tests, NULL, NULL);
}
