/* SPDX-License-Identifier: Apache-2.0 */
/* UPDATE messages that are well-formed: bytes from the RFCs in, values; values out, bytes; and round. */
#include <errno.h>
#include <stdio.h>

#include "bgp_bytes.h"

#define MARKER "ffffffffffffffffffffffffffffffff"
#define ORIGIN "40 01 01 00"
#define PREF "40 05 04 00000064"
#define HOP "40 03 04 c0000201"
#define RD "0001c00002010005"
#define ESI0 "00000000000000000000"
#define ALL ((1u << ROUTE_FAMILY_MAX) - 1)

static struct attrs *table;

static struct update_session internal(void)
{
	return (struct update_session){.as4 = true, .own_as = 65000, .families = ALL};
}

static struct update decode(const struct update_session *s, const char *withdrawn, const char *attrs, const char *nlri)
{
	static uint8_t room[4096];
	struct update u;

	assert_int_equal(update_decode(s, table, update_body(room, sizeof(room), withdrawn, attrs, nlri), &u), 0);
	if (u.fault.reaction != REACTION_NONE)
		fail_msg("%s: %s %s", attrs, attr_name(u.fault.attr), u.fault.what);
	return u;
}

static void expect_message(const struct writer *w, const char *hex)
{
	uint8_t room[4096];
	struct writer expected = writer_over(room, sizeof(room));

	put_hex(&expected, hex);
	assert_true(writer_ok(w));
	assert_int_equal(writer_size(w), writer_size(&expected));
	assert_memory_equal(w->start, room, writer_size(w));
}

static void expect_path(const struct route_attrs *a, const char *text)
{
	char out[200];

	assert_string_equal(route_path_format(a, out, sizeof(out)), text);
}

static void every_attribute_is_read(void **state)
{
	struct update_session s = internal();
	struct update u = decode(&s, "", "40 01 01 02 40 02 10 0202 0000fde9 ee6b2800 0101 0000fdeb" HOP "80 04 04 00000007"
				 "40 05 04 000000c8 40 06 00 c0 07 08 0000fde9 c0000203"
				 "c0 08 0c ffffff01 fde80001 ffffff01" "80 09 04 c0000204" "80 0a 08 c0000205 c0000206"
				 "c0 10 30 0002fde800001389 030c000000000008 0600010000000005 0603020000000001 030d000000000000"
				 " 0002fde800001388"
				 "c0 20 18 0000fde8 00000002 00000001 0000fde8 00000001 00000002" "c0 63 02 abcd", "18 0a0100");
	const struct route_attrs *a = u.attrs;

	assert_int_equal(a->origin, ROUTE_ORIGIN_INCOMPLETE);
	expect_path(a, "65001 4000000000 {65003}");
	assert_int_equal(a->path_length, 3);
	assert_int_equal(a->first_as, 65001);
	assert_int_equal(a->origin_as, 0);
	assert_true(route_path_contains(a, 65003) && !route_path_contains(a, 65002));
	assert_int_equal(a->med, 7);
	assert_int_equal(a->local_pref, 200);
	assert_int_equal(a->aggregator_as, 65001);
	assert_int_equal(a->aggregator_id, 0xc0000203);
	assert_int_equal(a->originator_id, 0xc0000204);
	assert_int_equal(a->n_clusters, 2);
	assert_int_equal(a->clusters[1], 0xc0000206);
	assert_int_equal(a->n_communities, 2); /* sorted, none twice */
	assert_int_equal(a->communities[0], 0xfde80001);
	assert_int_equal(a->n_extended, 6);
	assert_int_equal(a->n_targets, 2);
	assert_true(a->extended[0] == extended_target_as2(65000, 5000) && a->extended[1] == extended_target_as2(65000, 5001));
	assert_int_equal(a->tunnels, 1u << ROUTE_TUNNEL_VXLAN);
	assert_int_equal(a->mobility, 5);
	assert_int_equal(a->has, ROUTE_HAS_MED | ROUTE_HAS_LOCAL_PREF | ROUTE_HAS_ATOMIC_AGGREGATE | ROUTE_HAS_AGGREGATOR |
			 ROUTE_HAS_ORIGINATOR_ID | ROUTE_HAS_MOBILITY | ROUTE_HAS_STICKY | ROUTE_HAS_ROUTER_MAC |
			 ROUTE_HAS_DEFAULT_GATEWAY);
	assert_int_equal(a->router_mac.bytes[5], 1);
	assert_int_equal(a->n_large, 2);
	assert_int_equal(a->large[0].part[1], 1);
	update_fini(&u);
}

/* Two routes that differ in what nobody here reads have the same attributes. */
static void unknown_attributes_are_not_kept(void **state)
{
	struct update_session s = internal();
	struct update plain = decode(&s, "", ORIGIN "40 02 00" HOP PREF, "08 0a"),
		      u = decode(&s, "", ORIGIN "40 02 00" HOP PREF "80 70 01 00 d0 ff 0001 09 c0 63 00 c0 17 04 0008 0000",
				 "08 0a");

	assert_non_null(u.attrs);
	assert_int_equal(u.n_faults, 0);
	assert_ptr_equal(u.attrs, plain.attrs);
	update_fini(&u);
	update_fini(&plain);
}

/* RFC 6793 4.2.3; in whatever order they come (CVE-2026-41643 was an order). */
static void as4_path_is_merged(void **state)
{
	static const struct {
		const char *path, *path4, *aggregator, *text;
	} rows[] = {
		{"40 02 08 0203 fde9 5ba0 5ba0", "c0 11 0a 0202 fa56ea00 fa56ea01", "", "65001 4200000000 4200000001"},
		{"40 02 04 0201 fde9", "c0 11 0a 0202 fa56ea00 fa56ea01", "", "65001"}, /* longer: ignored */
		{"40 02 04 0201 5ba0", "c0 11 06 0201 fa56ea00", "", "4200000000"},
		{"40 02 0a 0201 fde9 0102 5ba0 fdea", "c0 11 0a 0102 fa56ea00 0000fdea", "", "65001 {4200000000 65002}"},
		{"40 02 00", "c0 11 06 0201 fa56ea00", "", ""},
		{"40 02 06 0202 fde9 5ba0", "c0 11 0c 0301 0000ffff 0201 fa56ea00", "", "65001 4200000000"},
		{"40 02 06 0202 fde9 5ba0", "", "", "65001 23456"},
		/* aggregated later by an AS of 2 bytes: the AS4 attributes are stale */
		{"40 02 06 0202 fde9 5ba0", "c0 11 06 0201 fa56ea00",
		 "c0 07 06 fde9 c0000203 c0 12 08 fa56ea00 c0000204", "65001 23456"},
		{"40 02 06 0202 fde9 5ba0", "c0 11 06 0201 fa56ea00",
		 "c0 07 06 5ba0 c0000203 c0 12 08 fa56ea00 c0000204", "65001 4200000000"},
		{"40 02 06 0202 fde9 5ba0", "c0 11 06 0201 fa56ea00", "c0 07 06 fde9 c0000203", "65001 4200000000"},
	};
	struct update_session s = internal();

	s.as4 = false;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		for (int behind = 0; behind < 2; behind++) {
			char text[256];
			struct update u;

			snprintf(text, sizeof(text), ORIGIN HOP PREF "%s%s%s", behind ? rows[i].path : rows[i].path4,
				 rows[i].aggregator, behind ? rows[i].path4 : rows[i].path);
			u = decode(&s, "", text, "08 0a");
			expect_path(u.attrs, rows[i].text);
			if (strstr(rows[i].aggregator, "5ba0"))
				assert_int_equal(u.attrs->aggregator_as, 4200000000);
			update_fini(&u);
		}
}

static void withdrawn_routes_come_first(void **state)
{
	static const char *const expected[] = {"10.0.0.0/8", "fd00::/16", "10.1.0.0/24", "fd01::/16"};
	struct update_session s = internal();
	struct update u = decode(&s, "08 0a", "80 0e 18 0002 01 10 20010db8000000000000000000000001 00 10fd01"
				 "80 0f 06 0002 01 10fd00" ORIGIN "40 02 00" HOP PREF, "18 0a0100");
	struct update_cursor c = {};
	struct update_route r;
	char text[ROUTE_KEY_TEXT_SIZE];

	for (unsigned i = 0; i < 4; i++) {
		assert_true(update_next(&u, &c, &r));
		assert_string_equal(route_key_format(&r.nlri.key, text), expected[i]);
		assert_int_equal(r.attrs != NULL, i >= 2);
		assert_false(r.treated);
	}
	assert_false(update_next(&u, &c, &r));
	assert_true(addr_is_v4(&u.attrs->next_hop) && !addr_is_v4(&u.mp_attrs->next_hop));
	update_fini(&u);
}

static void bits_behind_a_prefix_mean_nothing(void **state)
{
	struct update_session s = internal();
	struct update u = decode(&s, "15 0a01ff", "80 0f 07 0002 01 15 fd00ff", "");
	struct update_cursor c = {};
	struct update_route r;
	char text[ROUTE_KEY_TEXT_SIZE];

	assert_true(update_next(&u, &c, &r));
	assert_string_equal(route_key_format(&r.nlri.key, text), "10.1.248.0/21");
	assert_true(update_next(&u, &c, &r));
	assert_string_equal(route_key_format(&r.nlri.key, text), "fd00:f800::/21");
	update_fini(&u);
}

static void end_of_rib_is_known_and_written(void **state)
{
	static const struct {
		enum route_family family;
		const char *message;
	} rows[] = {
		{ROUTE_IPV4, MARKER "0017 02 0000 0000"},
		{ROUTE_IPV6, MARKER "001e 02 0000 0007 90 0f 0003 0002 01"},
		{ROUTE_EVPN, MARKER "001e 02 0000 0007 90 0f 0003 0019 46"},
	};
	struct update_session s = internal();
	struct update u;

	for (size_t i = 0; i < 3; i++) {
		uint8_t room[64];
		struct writer w = writer_over(room, sizeof(room));
		struct message m;
		struct notification error;

		update_encode_end_of_rib(&w, rows[i].family);
		expect_message(&w, rows[i].message);
		assert_int_equal(message_next(room, writer_size(&w), false, &m, &error), MESSAGE_WHOLE);
		assert_int_equal(update_decode(&s, table, m.body, &u), 0);
		assert_int_equal(u.end_of_rib, rows[i].family);
		update_fini(&u);
	}
	u = decode(&s, "", "80 0f 03 0019 46", "");
	assert_int_equal(u.end_of_rib, ROUTE_EVPN);
	u = decode(&s, "", "80 0f 06 0002 01 10fd00", "");
	assert_int_equal(u.end_of_rib, -1);
	u = decode(&s, "", "80 0f 03 0019 46 c0 63 00", "");
	assert_int_equal(u.end_of_rib, -1);
	u = decode(&s, "08 0a", "80 0f 03 0019 46", "");
	assert_int_equal(u.end_of_rib, -1);
	s.families = ROUTE_FAMILY_BIT(ROUTE_EVPN);
	u = decode(&s, "", "", "");
	assert_int_equal(u.end_of_rib, -1);
}

static void path_identifiers_are_read(void **state)
{
	struct update_session s = internal();
	struct update u;
	struct update_cursor c = {};
	struct update_route r;

	s.add_path_in = ROUTE_FAMILY_BIT(ROUTE_IPV4);
	u = decode(&s, "", ORIGIN "40 02 00" HOP PREF, "00000007 08 0a 00000008 08 0a");
	assert_true(update_next(&u, &c, &r) && r.nlri.key.path_id == 7);
	assert_true(update_next(&u, &c, &r) && r.nlri.key.path_id == 8);
	assert_false(update_next(&u, &c, &r));
	update_fini(&u);
}

static void extended_next_hop_is_taken_when_agreed(void **state)
{
	struct update_session s = internal();
	struct update u;

	s.extended_next_hop = ROUTE_FAMILY_BIT(ROUTE_IPV4);
	u = decode(&s, "", "80 0e 29 0001 01 20 20010db8000000000000000000000001 fe800000000000000000000000000001 00 18 0a01"
			   "00" ORIGIN "40 02 00" PREF, "");
	assert_false(addr_is_v4(&u.mp_attrs->next_hop));
	assert_true(addr_is_link_local(&u.mp_attrs->link_local));
	update_fini(&u);
}

/* ---- out ---- */

static struct route_nlri route(const char *hex, enum route_family f)
{
	uint8_t room[128];
	struct writer w = writer_over(room, sizeof(room));
	struct reader r;
	struct route_nlri n;
	const char *why;

	put_hex(&w, hex);
	r = reader_over(room, writer_size(&w));
	assert_int_equal(nlri_next(&r, f, false, false, &n, &why), NLRI_GOOD);
	return n;
}

/* One session each way: what eBGP and iBGP change, AS numbers of 2 bytes, next hops. */
static void updates_are_written_for_each_kind_of_session(void **state)
{
	static const uint8_t path[] = {2, 2, 0, 0, 0xfd, 0xe9, 0xfa, 0x56, 0xea, 0};
	static const uint64_t extended[] = {0x0002fde800001389, 0x4300000000000001};
	const struct route_attrs candidate = {.has = ROUTE_HAS_MED | ROUTE_HAS_LOCAL_PREF, .med = 5, .local_pref = 200,
					      .next_hop = addr_from_v4((const uint8_t[]){192, 0, 2, 1}), .path = path,
					      .path_size = sizeof(path), .extended = extended, .n_extended = 2};
	const struct addr v6 = {{{0x20, 1, 0xd, 0xb8, [15] = 1}}}, local = {{{0xfe, 0x80, [15] = 1}}};
	const struct {
		struct update_session session;
		struct addr next_hop, link_local; /* zero = the candidate's */
		const char *nlri;
		enum route_family family;
		const char *message;
	} rows[] = {
		{{.as4 = true, .own_as = 65000}, {{{0}}}, {{{0}}}, "18 0a0100", ROUTE_IPV4,
		 MARKER "0055 02 0000 003a" ORIGIN "50 02 000a 0202 0000fde9 fa56ea00" HOP "80 04 04 00000005"
			"40 05 04 000000c8" "c0 10 10 0002fde800001389 4300000000000001" "18 0a0100"},
		{{.as4 = true, .external = true, .own_as = 65000}, {{{0}}}, {{{0}}}, "18 0a0100", ROUTE_IPV4,
		 MARKER "0043 02 0000 0028" ORIGIN "50 02 000e 0203 0000fde8 0000fde9 fa56ea00" HOP
			"c0 10 08 0002fde800001389" "18 0a0100"},
		{{.external = true, .own_as = 4200000001}, {{{0}}}, {{{0}}}, "18 0a0100", ROUTE_IPV4,
		 MARKER "004f 02 0000 0034" ORIGIN "50 02 0008 0203 5ba0 fde9 5ba0" HOP "c0 10 08 0002fde800001389"
			"d0 11 000e 0203 fa56ea01 0000fde9 fa56ea00" "18 0a0100"},
		{{.as4 = true, .external = true, .own_as = 65000, .extended_next_hop = 1}, v6, local,
		 "18 0a0100", ROUTE_IPV4,
		 MARKER "0065 02 0000 004e" "90 0e 0029 0001 01 20 20010db8000000000000000000000001"
			"fe800000000000000000000000000001 00 18 0a0100" ORIGIN
			"50 02 000e 0203 0000fde8 0000fde9 fa56ea00" "c0 10 08 0002fde800001389"},
		{{.as4 = true, .own_as = 65000, .external = true}, v6, {{{0}}}, "10 fd00", ROUTE_IPV6,
		 MARKER "0054 02 0000 003d" "90 0e 0018 0002 01 10 20010db8000000000000000000000001 00 10 fd00" ORIGIN
			"50 02 000e 0203 0000fde8 0000fde9 fa56ea00" "c0 10 08 0002fde800001389"},
		{{.as4 = true, .own_as = 65000, .external = true}, {{{0}}}, {{{0}}}, "0311" RD "00000000 20 c0000201", ROUTE_EVPN,
		 MARKER "0058 02 0000 0041" "90 0e 001c 0019 46 04 c0000201 00" "0311" RD "00000000 20 c0000201" ORIGIN
			"50 02 000e 0203 0000fde8 0000fde9 fa56ea00" "c0 10 08 0002fde800001389"},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct route_attrs changed = candidate;
		const struct route_attrs *a;
		struct route_nlri n = route(rows[i].nlri, rows[i].family);
		uint8_t room[MESSAGE_MAX];
		struct writer w = writer_over(room, sizeof(room));
		size_t done = 0;

		if (!addr_is_unspecified(&rows[i].next_hop)) {
			changed.next_hop = rows[i].next_hop;
			changed.link_local = rows[i].link_local;
		}
		assert_int_equal(attrs_intern(table, &changed, &a), 0);
		assert_int_equal(update_encode(&rows[i].session, a, &n, 1, &done, &w), 0);
		assert_int_equal(done, 1);
		expect_message(&w, rows[i].message);
		attrs_unref(table, a);
	}
}

static void withdrawals_are_written(void **state)
{
	static const struct {
		const char *nlri;
		enum route_family family;
		const char *message;
	} rows[] = {
		{"18 0a0100", ROUTE_IPV4, MARKER "001b 02 0004 18 0a0100 0000"},
		{"10 fd00", ROUTE_IPV6, MARKER "0021 02 0000 000a 90 0f 0006 0002 01 10 fd00"},
		{"0311" RD "00000000 20 c0000201", ROUTE_EVPN,
		 MARKER "0031 02 0000 001a 90 0f 0016 0019 46 0311" RD "00000000 20 c0000201"},
	};
	struct update_session s = internal();

	for (size_t i = 0; i < 3; i++) {
		struct route_nlri n = route(rows[i].nlri, rows[i].family);
		uint8_t room[MESSAGE_MAX];
		struct writer w = writer_over(room, sizeof(room));
		size_t done = 0;

		assert_int_equal(update_encode(&s, NULL, &n, 1, &done, &w), 0);
		expect_message(&w, rows[i].message);
	}
}

static void what_cannot_be_said_is_refused(void **state)
{
	static uint32_t big[1500];
	struct update_session s = internal();
	struct route_nlri n = route("18 0a0100", ROUTE_IPV4), v6 = route("10 fd00", ROUTE_IPV6);
	const struct route_attrs *a, *over_v6;
	struct route_attrs candidate = {.communities = big, .n_communities = 1500,
					.next_hop = addr_from_v4((const uint8_t[]){192, 0, 2, 1})};
	uint8_t room[MESSAGE_EXTENDED_MAX];
	struct writer w = writer_over(room, sizeof(room));
	size_t done = 0;

	for (uint32_t i = 0; i < 1500; i++)
		big[i] = i;
	assert_int_equal(attrs_intern(table, &candidate, &a), 0);
	candidate.next_hop = (struct addr){{{0x20, 1, [15] = 1}}};
	assert_int_equal(attrs_intern(table, &candidate, &over_v6), 0);
	assert_int_equal(update_encode(&s, over_v6, &n, 1, &done, &w), -EAFNOSUPPORT);
	assert_int_equal(update_encode(&s, over_v6, &v6, 1, &done, &w), -EMSGSIZE);
	assert_int_equal(update_encode(&s, a, &n, 1, &done, &w), -EMSGSIZE);
	assert_true(done == 0 && writer_size(&w) == 0 && writer_ok(&w));
	s.extended = true; /* RFC 8654 */
	assert_int_equal(update_encode(&s, over_v6, &v6, 1, &done, &w), 0);
	assert_true(done == 1 && writer_size(&w) > 6000);
	attrs_unref(table, over_v6);
	attrs_unref(table, a);
}

/* Many routes fill message after message, and all of them come back. */
static void routes_are_packed(void **state)
{
	enum { MANY = 5000 };
	static struct route_nlri routes[MANY];
	static uint8_t room[MESSAGE_EXTENDED_MAX];
	const struct route_attrs *a, candidate = {.next_hop = addr_from_v4((const uint8_t[]){192, 0, 2, 1}),
						  .extended = (const uint64_t[]){0x0002fde800001389}, .n_extended = 1};

	assert_int_equal(attrs_intern(table, &candidate, &a), 0);
	for (unsigned mode = 0; mode < 12; mode++) {
		enum route_family f = mode % 3;
		struct update_session s = internal();
		size_t done = 0, back = 0, messages = 0;

		s.extended = mode / 3 & 1;
		s.add_path_in = s.add_path_out = mode / 6 ? ALL : 0;
		for (unsigned i = 0; i < MANY; i++) {
			routes[i] = route(f == ROUTE_IPV4 ? "20 0a000000" : f == ROUTE_IPV6 ? "80 fd000000000000000000000000000000"
					  : "0221" RD ESI0 "00000000 30 020000000000 00 001389", f);
			if (f == ROUTE_EVPN)
				routes[i].key.mac.bytes[4] = (uint8_t)(i >> 8), routes[i].key.mac.bytes[5] = (uint8_t)i;
			else
				routes[i].key.addr.bytes[14] = (uint8_t)(i >> 8), routes[i].key.addr.bytes[15] = (uint8_t)i;
			routes[i].key.path_id = s.add_path_out ? i : 0;
		}
		while (done < MANY) {
			struct writer w = writer_over(room, sizeof(room));
			size_t before = done, most = s.extended ? MESSAGE_EXTENDED_MAX : MESSAGE_MAX;
			struct update_cursor c = {};
			struct update_route r;
			struct notification error;
			struct message m;
			struct update u;

			assert_int_equal(update_encode(&s, a, routes, MANY, &done, &w), 0);
			assert_true(done > before && writer_size(&w) <= most);
			if (done < MANY) /* no room for one more is left */
				assert_true(writer_size(&w) + nlri_size(&routes[done], s.add_path_out) > most);
			messages++;
			assert_int_equal(message_next(room, writer_size(&w), s.extended, &m, &error), MESSAGE_WHOLE);
			assert_int_equal(m.size, writer_size(&w));
			assert_int_equal(update_decode(&s, table, m.body, &u), 0);
			assert_int_equal(u.fault.reaction, REACTION_NONE);
			while (update_next(&u, &c, &r)) {
				assert_true(route_key_equal(&r.nlri.key, &routes[back++].key));
				assert_non_null(r.attrs);
			}
			update_fini(&u);
		}
		assert_int_equal(back, MANY);
		assert_true(messages >= 2 || s.extended);
	}
	attrs_unref(table, a);
}

/* What an internal session is sent again is what it said: decoded twice, it is the very same set. */
static void what_was_read_is_written_as_the_same(void **state)
{
	static const char *const all[] = {
		ORIGIN "40 02 00" HOP PREF,
		"40 01 01 02 40 02 0c 0201 0000fde9 0101 0000fdeb" HOP "80 04 04 00000007 40 05 04 000000c8 40 06 00"
		"c0 07 08 0000fde9 c0000203 c0 08 08 ffffff01 fde80001 80 09 04 c0000204 80 0a 08 c0000205 c0000206"
		"c0 10 10 030c000000000008 0002fde800001388 c0 16 09 00 06 001389 c0000201"
		"c0 20 0c 0000fde8 00000002 00000001 c0 63 02 abcd c0 17 04 0008 0000",
		ORIGIN "40 02 0c 0301 0000fde9 0201 ee6b2800" HOP PREF "c0 07 08 ee6b2800 c0000203",
	};
	uint8_t room[MESSAGE_MAX];

	for (size_t i = 0; i < 2 * sizeof(all) / sizeof(all[0]); i++) {
		struct update_session s = internal(), old = s;
		struct update u = decode(&s, "", all[i / 2], "18 0a0100"), v;
		struct writer w = writer_over(room, sizeof(room));
		struct update_cursor c = {};
		struct update_route r;
		struct message m;
		struct notification error;
		size_t done = 0;

		old.as4 = i % 2;
		assert_true(update_next(&u, &c, &r));
		assert_int_equal(update_encode(&old, r.attrs, &r.nlri, 1, &done, &w), 0);
		assert_int_equal(message_next(room, writer_size(&w), false, &m, &error), MESSAGE_WHOLE);
		assert_int_equal(update_decode(&old, table, m.body, &v), 0);
		assert_int_equal(v.fault.reaction, REACTION_NONE);
		assert_ptr_equal(v.attrs, u.attrs);
		update_fini(&u);
		update_fini(&v);
	}
}

static void prepending_respects_the_size_of_a_segment(void **state)
{
	uint8_t path[2 + 4 * 255] = {2, 255}, room[MESSAGE_MAX];
	const struct route_attrs *a, candidate = {.path = path, .path_size = sizeof(path),
						  .next_hop = addr_from_v4((const uint8_t[]){192, 0, 2, 1})};
	struct update_session s = {.as4 = true, .external = true, .own_as = 65000, .families = ALL}, peer = s;
	struct route_nlri n = route("18 0a0100", ROUTE_IPV4);
	struct writer w = writer_over(room, sizeof(room));
	struct notification error;
	struct message m;
	struct update u;
	size_t done = 0;

	for (unsigned i = 0; i < 255; i++)
		path[2 + 4 * i + 3] = 1;
	assert_int_equal(attrs_intern(table, &candidate, &a), 0);
	assert_int_equal(update_encode(&s, a, &n, 1, &done, &w), 0);
	assert_int_equal(message_next(room, writer_size(&w), false, &m, &error), MESSAGE_WHOLE);
	peer.peer_as = 65000;
	assert_int_equal(update_decode(&peer, table, m.body, &u), 0);
	assert_int_equal(u.fault.reaction, REACTION_NONE);
	assert_int_equal(u.attrs->path_length, 256);
	assert_int_equal(u.attrs->path[1], 1);
	update_fini(&u);
	attrs_unref(table, a);
}

static int set_up(void **state)
{
	return attrs_new(&table);
}

static int check_empty(void **state)
{
	assert_int_equal(attrs_length(table), 0);
	return 0;
}

static int tear_down(void **state)
{
	attrs_free(table);
	return 0;
}

#define TEST(f) cmocka_unit_test_teardown(f, check_empty)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(every_attribute_is_read),
		TEST(unknown_attributes_are_not_kept),
		TEST(as4_path_is_merged),
		TEST(withdrawn_routes_come_first),
		TEST(bits_behind_a_prefix_mean_nothing),
		TEST(end_of_rib_is_known_and_written),
		TEST(path_identifiers_are_read),
		TEST(extended_next_hop_is_taken_when_agreed),
		TEST(updates_are_written_for_each_kind_of_session),
		TEST(withdrawals_are_written),
		TEST(what_cannot_be_said_is_refused),
		TEST(routes_are_packed),
		TEST(what_was_read_is_written_as_the_same),
		TEST(prepending_respects_the_size_of_a_segment),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
