/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Malformed path attributes: for each, what RFC 7606 makes of it on an external and on an internal session, that the
 * routes of its message come out accordingly, and that a route in the next message is taken all the same.
 *
 * With the argument `rows` it prints them, for whoever sends them to a daemon: a line for each row and kind of session
 * (name, base, kind, reaction, subcode, body of the UPDATE), separated by tabs; those called `good` are malformed nowhere.
 */
#include <stdio.h>

#include "bgp_bytes.h"

#define N REACTION_NONE
#define D REACTION_DISCARD
#define W REACTION_WITHDRAW
#define R REACTION_RESET

#define ORIGIN "40 01 01 00"
#define PATH "40 02 06 0201 0000fde9"
#define HOP "40 03 04 c0000201"
#define PREF "40 05 04 00000064"
#define TARGET "c0 10 08 0002fde800001389"
#define RD "0001c00002010005"
#define IMET "0311" RD "00000000" "20" "c0000201"
#define REACH "80 0e 1c 0019 46 04 c0000201 00" IMET
#define PMSI "c0 16 09 00 06 001389 c0000201"

enum base { IPV4, EVPN };

static const struct row {
	const char *name;
	enum base base;
	uint8_t instead; /* this attribute of the good ones is left out; 0 = none */
	const char *attrs;
	enum reaction external, internal;
	int subcode; /* of the NOTIFICATION that belongs to it; 0 = not looked at */
} rows[] = {
	/* RFC 7606 7.1 */
	{"origin_of_no_bytes", IPV4, 1, "40 01 00", W, W, 5},
	{"origin_of_two_bytes", IPV4, 1, "40 01 02 0000", W, W, 5},
	{"origin_with_an_undefined_value", IPV4, 1, "40 01 01 03", W, W, 6},
	{"origin_of_255", IPV4, 1, "40 01 01 ff", W, W, 6},
	{"origin_flagged_optional", IPV4, 1, "c0 01 01 00", W, W, 4},
	{"origin_flagged_non_transitive", IPV4, 1, "00 01 01 00", W, W, 4},
	{"origin_flagged_optional_non_transitive", IPV4, 1, "80 01 01 00", W, W, 4},
	{"origin_missing", IPV4, 1, "", W, W, 3},
	{"origin_twice", IPV4, 0, "40 01 01 01", D, D, 1},
	{"origin_twice_second_malformed", IPV4, 0, "40 01 00", D, D, 1},
	{"origin_with_the_partial_bit", IPV4, 1, "60 01 01 00", N, N, 0},
	{"origin_with_an_extended_length", IPV4, 1, "50 01 0001 00", N, N, 0},
	/* RFC 7606 7.2, RFC 7607, RFC 5065 5 */
	{"path_segment_of_type_0", IPV4, 2, "40 02 06 0001 0000fde9", W, W, 11},
	{"path_segment_of_type_5", IPV4, 2, "40 02 06 0501 0000fde9", W, W, 11},
	{"path_segment_without_an_as", IPV4, 2, "40 02 08 0201 0000fde9 0200", W, W, 11},
	{"path_segment_longer_than_the_attribute", IPV4, 2, "40 02 06 0202 0000fde9", W, W, 11},
	{"path_segment_shorter_than_the_attribute", IPV4, 2, "40 02 07 0201 0000fde9 02", W, W, 11},
	{"path_of_one_byte", IPV4, 2, "40 02 01 02", W, W, 11},
	{"path_with_ases_of_two_bytes", IPV4, 2, "40 02 04 0201 fde9", W, W, 11},
	{"path_with_as_0", IPV4, 2, "40 02 0a 0202 0000fde9 00000000", W, W, 11},
	{"path_with_as_0_in_a_set", IPV4, 2, "40 02 0c 0201 0000fde9 0101 00000000", W, W, 11},
	{"path_with_a_confederation_sequence", IPV4, 2, "40 02 0c 0301 0000fdea 0201 0000fde9", W, N, 11},
	{"path_with_a_confederation_set", IPV4, 2, "40 02 0c 0201 0000fde9 0401 0000fdea", W, N, 11},
	{"path_flagged_optional", IPV4, 2, "c0 02 06 0201 0000fde9", W, W, 4},
	{"path_empty", IPV4, 2, "40 02 00", W, N, 11},
	{"path_beginning_with_another_as", IPV4, 2, "40 02 06 0201 0000fdea", W, N, 11},
	{"path_beginning_with_a_set", IPV4, 2, "40 02 06 0101 0000fde9", W, N, 11},
	{"path_missing", IPV4, 2, "", W, W, 3},
	{"path_twice", IPV4, 0, "40 02 00", D, D, 1},
	/* RFC 7606 7.3, RFC 4271 6.3 */
	{"next_hop_of_three_bytes", IPV4, 3, "40 03 03 c00002", W, W, 5},
	{"next_hop_of_no_bytes", IPV4, 3, "40 03 00", W, W, 5},
	{"next_hop_of_sixteen_bytes", IPV4, 3, "40 03 10 20010db8000000000000000000000001", W, W, 5},
	{"next_hop_of_zeroes", IPV4, 3, "40 03 04 00000000", W, W, 8},
	{"next_hop_in_0_8", IPV4, 3, "40 03 04 00000001", W, W, 8},
	{"next_hop_loopback", IPV4, 3, "40 03 04 7f000001", W, W, 8},
	{"next_hop_multicast", IPV4, 3, "40 03 04 e0000001", W, W, 8},
	{"next_hop_class_e", IPV4, 3, "40 03 04 f0000001", W, W, 8},
	{"next_hop_broadcast", IPV4, 3, "40 03 04 ffffffff", W, W, 8},
	{"next_hop_flagged_optional", IPV4, 3, "c0 03 04 c0000201", W, W, 4},
	{"next_hop_missing", IPV4, 3, "", W, W, 3},
	{"next_hop_twice", IPV4, 0, "40 03 04 c0000202", D, D, 1},
	/* 7.4 */
	{"med_of_three_bytes", IPV4, 0, "80 04 03 000000", W, W, 5},
	{"med_of_five_bytes", IPV4, 0, "80 04 05 0000000000", W, W, 5},
	{"med_of_no_bytes", IPV4, 0, "80 04 00", W, W, 5},
	{"med_flagged_transitive", IPV4, 0, "c0 04 04 00000000", W, W, 4},
	{"med_flagged_well_known", IPV4, 0, "40 04 04 00000000", W, W, 4},
	/* 7.5 */
	{"local_pref_of_three_bytes", IPV4, 5, "40 05 03 000000", D, W, 5},
	{"local_pref_of_no_bytes", IPV4, 5, "40 05 00", D, W, 5},
	{"local_pref_flagged_optional", IPV4, 5, "c0 05 04 00000064", D, W, 0},
	{"local_pref_well_formed", IPV4, 5, PREF, D, N, 0},
	{"local_pref_missing", IPV4, 5, "", N, W, 0},
	/* 7.6 */
	{"atomic_aggregate_of_one_byte", IPV4, 0, "40 06 01 00", D, D, 5},
	{"atomic_aggregate_flagged_optional", IPV4, 0, "c0 06 00", W, W, 4},
	/* 7.7, RFC 7607 */
	{"aggregator_of_six_bytes", IPV4, 0, "c0 07 06 fde9 c0000201", D, D, 5},
	{"aggregator_of_no_bytes", IPV4, 0, "c0 07 00", D, D, 5},
	{"aggregator_of_nine_bytes", IPV4, 0, "c0 07 09 0000fde9 c0000201 00", D, D, 5},
	{"aggregator_of_as_0", IPV4, 0, "c0 07 08 00000000 c0000201", D, D, 0},
	{"aggregator_flagged_non_transitive", IPV4, 0, "80 07 08 0000fde9 c0000201", W, W, 4},
	/* 7.8 */
	{"communities_of_no_bytes", IPV4, 0, "c0 08 00", W, W, 5},
	{"communities_of_three_bytes", IPV4, 0, "c0 08 03 000000", W, W, 5},
	{"communities_of_six_bytes", IPV4, 0, "c0 08 06 000000000000", W, W, 5},
	{"communities_flagged_well_known", IPV4, 0, "40 08 04 fde80001", W, W, 4},
	{"communities_twice", IPV4, 0, "c0 08 04 fde80001 c0 08 04 fde80002", D, D, 1},
	/* 7.9, 7.10 */
	{"originator_id_of_three_bytes", IPV4, 0, "80 09 03 000000", D, W, 5},
	{"originator_id_of_no_bytes", IPV4, 0, "80 09 00", D, W, 5},
	{"originator_id_of_eight_bytes", IPV4, 0, "80 09 08 0000000000000000", D, W, 5},
	{"originator_id_well_formed", IPV4, 0, "80 09 04 c0000201", D, N, 0},
	{"originator_id_flagged_transitive", IPV4, 0, "c0 09 04 c0000201", D, W, 0},
	{"cluster_list_of_no_bytes", IPV4, 0, "80 0a 00", D, W, 5},
	{"cluster_list_of_seven_bytes", IPV4, 0, "80 0a 07 00000000000000", D, W, 5},
	{"cluster_list_well_formed", IPV4, 0, "80 0a 04 c0000201", D, N, 0},
	/* 7.14, 7.15, RFC 8092 6 */
	{"extended_communities_of_no_bytes", IPV4, 0, "c0 10 00", W, W, 5},
	{"extended_communities_of_seven_bytes", IPV4, 0, "c0 10 07 0002fde8000013", W, W, 5},
	{"extended_communities_of_twelve_bytes", IPV4, 0, "c0 10 0c 0002fde80000138900000000", W, W, 5},
	{"extended_communities_flagged_well_known", IPV4, 0, "40 10 08 0002fde800001389", W, W, 4},
	{"extended_communities_of_unknown_types", IPV4, 0, "c0 10 10 fffffde800001389 8899fde800001389", N, N, 0},
	{"ipv6_communities_of_no_bytes", IPV4, 0, "c0 19 00", W, W, 5},
	{"ipv6_communities_of_eight_bytes", IPV4, 0, "c0 19 08 0002fde800001389", W, W, 5},
	{"ipv6_communities_flagged_non_transitive", IPV4, 0, "80 19 14 0002 20010db8000000000000000000000001 0001", W, W, 4},
	{"large_communities_of_no_bytes", IPV4, 0, "c0 20 00", W, W, 5},
	{"large_communities_of_eight_bytes", IPV4, 0, "c0 20 08 0000fde800000001", W, W, 5},
	{"large_communities_of_thirteen_bytes", IPV4, 0, "c0 20 0d 0000fde8000000010000000200", W, W, 5},
	{"large_communities_flagged_non_transitive", IPV4, 0, "80 20 0c 0000fde80000000100000002", W, W, 4},
	/* RFC 6793 6 */
	{"as4_path_between_new_speakers", IPV4, 0, "c0 11 06 0201 0000fde9", D, D, 0},
	{"as4_path_malformed", IPV4, 0, "c0 11 03 020100", D, D, 0},
	{"as4_aggregator_between_new_speakers", IPV4, 0, "c0 12 08 0000fde9 c0000201", D, D, 0},
	{"as4_aggregator_of_no_bytes", IPV4, 0, "c0 12 00", D, D, 0},
	{"as4_path_flagged_well_known", IPV4, 0, "40 11 06 0201 0000fde9", W, W, 4},
	/* RFC 9012 13 */
	{"tunnel_tlv_longer_than_the_attribute", IPV4, 0, "c0 17 04 0008 0001", W, W, 9},
	{"tunnel_of_three_bytes", IPV4, 0, "c0 17 03 000800", W, W, 9},
	{"tunnel_sub_tlv_longer_than_its_tlv", IPV4, 0, "c0 17 06 0008 0002 0105", W, W, 9},
	{"tunnel_sub_tlv_with_a_long_length_cut", IPV4, 0, "c0 17 06 0008 0002 8100", W, W, 9},
	{"tunnel_sub_tlv_of_one_byte", IPV4, 0, "c0 17 05 0008 0001 01", W, W, 9},
	{"tunnel_of_no_bytes", IPV4, 0, "c0 17 00", N, N, 0},
	{"tunnel_well_formed", IPV4, 0, "c0 17 0c 0008 0008 0102aabb 810001cc", N, N, 0},
	/* unknown attributes: RFC 4271 5 and 6.3 */
	{"unknown_well_known", IPV4, 0, "40 63 01 00", W, W, 2},
	{"unknown_without_any_flag", IPV4, 0, "00 63 01 00", W, W, 2},
	{"unknown_optional_transitive", IPV4, 0, "c0 63 01 00", N, N, 0},
	{"unknown_optional_transitive_of_no_bytes", IPV4, 0, "c0 63 00", N, N, 0},
	{"unknown_optional_non_transitive", IPV4, 0, "80 63 01 00", N, N, 0},
	{"unknown_of_type_0", IPV4, 0, "c0 00 01 00", N, N, 0},
	{"unknown_of_type_255", IPV4, 0, "c0 ff 01 00", N, N, 0},
	{"unknown_twice", IPV4, 0, "c0 63 01 00 c0 63 01 01", D, D, 1},
	/* RFC 7606 4: lengths of attributes */
	{"attribute_longer_than_the_attributes", IPV4, 0, "c0 63 05 00", W, W, 5},
	{"attribute_with_an_extended_length_too_long", IPV4, 0, "d0 63 ffff 00", W, W, 5},
	{"attribute_of_one_byte", IPV4, 0, "40", W, W, 5},
	{"attribute_of_two_bytes", IPV4, 0, "40 01", W, W, 5},
	{"attribute_with_half_an_extended_length", IPV4, 0, "d0 63 00", W, W, 5},
	{"origin_longer_than_the_attributes", IPV4, 1, "40 01 09 00", W, W, 5},
	/* 3 h: the strongest of several */
	{"discard_and_withdraw", IPV4, 0, "40 06 01 00 80 04 03 000000", W, W, 5},
	{"withdraw_and_reset", IPV4, 0, "80 04 03 000000 80 0e 02 0019", R, R, 9},
	/* MP attributes: 7.11, 7.12, 3 g, 3 j */
	{"reach_cut_in_the_family", EVPN, 14, "80 0e 02 0019", R, R, 9},
	{"reach_of_no_bytes", EVPN, 14, "80 0e 00", R, R, 9},
	{"reach_without_a_next_hop_length", EVPN, 14, "80 0e 03 0019 46", R, R, 9},
	{"reach_cut_in_the_next_hop", EVPN, 14, "80 0e 06 0019 46 04 c000", R, R, 9},
	{"reach_without_the_reserved_byte", EVPN, 14, "80 0e 08 0019 46 04 c0000201", R, R, 9},
	{"reach_with_a_next_hop_of_5", EVPN, 14, "80 0e 0a 0019 46 05 c000020100 00", R, R, 9},
	{"reach_with_a_next_hop_of_0", EVPN, 14, "80 0e 05 0019 46 00 00", R, R, 9},
	{"reach_with_a_next_hop_of_255", EVPN, 14, "80 0e 09 0019 46 ff c0000201 00", R, R, 9},
	{"reach_of_ipv4_with_an_ipv6_next_hop_not_agreed", IPV4, 0,
	 "80 0e 17 0001 01 10 20010db8000000000000000000000001 00 080a", R, R, 9},
	{"reach_of_ipv6_with_a_next_hop_of_4", IPV4, 0, "80 0e 0b 0002 01 04 c0000201 00 0820", R, R, 9},
	{"reach_of_ipv6_with_prefix_length_129", IPV4, 0,
	 "80 0e 17 0002 01 10 20010db8000000000000000000000001 00 8120", R, R, 9},
	{"reach_of_ipv6_with_a_prefix_cut", IPV4, 0, "80 0e 17 0002 01 10 20010db8000000000000000000000001 00 1020", R, R, 9},
	{"reach_with_an_evpn_route_cut", EVPN, 14, "80 0e 0b 0019 46 04 c0000201 00 0311", R, R, 9},
	{"reach_twice", EVPN, 0, REACH, R, R, 1},
	{"reach_longer_than_the_attributes", EVPN, 14, "80 0e 7f 0019 46 04 c0000201 00", R, R, 9},
	{"reach_with_a_next_hop_of_zeroes", EVPN, 14, "80 0e 1c 0019 46 04 00000000 00" IMET, W, W, 0},
	{"reach_with_a_multicast_next_hop", EVPN, 14, "80 0e 1c 0019 46 04 e0000001 00" IMET, W, W, 0},
	{"reach_with_a_loopback_next_hop", EVPN, 14,
	 "80 0e 28 0019 46 10 00000000000000000000000000000001 00" IMET, W, W, 0},
	{"reach_flagged_transitive", EVPN, 14, "c0 0e 1c 0019 46 04 c0000201 00" IMET, W, W, 4},
	{"reach_of_a_family_not_agreed", IPV4, 0, "80 0e 0a 0001 80 04 c0000201 00 00", D, D, 0},
	{"unreach_of_two_bytes", IPV4, 0, "80 0f 02 0019", R, R, 9},
	{"unreach_of_no_bytes", IPV4, 0, "80 0f 00", R, R, 9},
	{"unreach_with_a_prefix_cut", IPV4, 0, "80 0f 05 0002 01 1020", R, R, 9},
	{"unreach_with_prefix_length_129", IPV4, 0, "80 0f 05 0002 01 8120", R, R, 9},
	{"unreach_twice", IPV4, 0, "80 0f 03 0002 01 80 0f 03 0002 01", R, R, 1},
	{"unreach_longer_than_the_attributes", IPV4, 0, "80 0f 7f 0002 01", R, R, 9},
	{"unreach_of_a_family_not_agreed", IPV4, 0, "80 0f 03 0002 02", D, D, 0},
	{"unreach_flagged_transitive", IPV4, 0, "c0 0f 03 0002 01", W, W, 4},
	/* EVPN: RFC 6514 5, RFC 7432 7 */
	{"pmsi_of_four_bytes", EVPN, 22, "c0 16 04 00060013", W, W, 5},
	{"pmsi_of_no_bytes", EVPN, 22, "c0 16 00", W, W, 5},
	{"pmsi_without_an_endpoint", EVPN, 22, "c0 16 05 00 06 001389", W, W, 5},
	{"pmsi_with_an_endpoint_of_five_bytes", EVPN, 22, "c0 16 0a 00 06 001389 c000020100", W, W, 5},
	{"pmsi_with_a_multicast_endpoint", EVPN, 22, "c0 16 09 00 06 001389 e0000001", W, W, 9},
	{"pmsi_flagged_non_transitive", EVPN, 22, "80 16 09 00 06 001389 c0000201", W, W, 4},
	{"pmsi_of_another_tunnel_type", EVPN, 22, "c0 16 05 00 03 001389", N, N, 0},
	{"evpn_without_a_target", EVPN, 16, "", W, W, 0},
	{"evpn_with_an_encapsulation_only", EVPN, 16, "c0 10 08 030c000000000008", W, W, 0},
	{"evpn_with_a_next_hop_attribute", EVPN, 0, HOP, N, N, 0},
	{"evpn_with_a_next_hop_attribute_of_zeroes", EVPN, 0, "40 03 04 00000000", N, N, 0},
	{"evpn_with_a_next_hop_attribute_of_three_bytes", EVPN, 0, "40 03 03 c00002", W, W, 5},
};

#define N_ROWS (sizeof(rows) / sizeof(rows[0]))

static const struct {
	uint8_t type;
	const char *attr;
	bool in[2]; /* by base */
} good[] = {
	{14, REACH, {false, true}}, {1, ORIGIN, {true, true}}, {2, PATH, {true, true}}, {3, HOP, {true, false}},
	{5, PREF, {true, true}},    {16, TARGET, {false, true}}, {22, PMSI, {false, true}},
};

static struct attrs *table;

static struct update_session session(bool external)
{
	return (struct update_session){.external = external, .as4 = true, .own_as = external ? 65000 : 65001,
				       .peer_as = 65001, .families = (1u << ROUTE_FAMILY_MAX) - 1};
}

/* Good attributes but for one, and those of the row before (`first`) or behind them. */
static struct reader message(const struct row *row, bool external, bool first, uint8_t room[static 4096])
{
	char text[2048];
	size_t at = 0;

	if (first)
		at += (size_t)sprintf(text, "%s ", row->attrs);
	text[at] = '\0';
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		if (good[i].type != row->instead && good[i].in[row->base] && !(external && good[i].type == 5))
			at += (size_t)sprintf(text + at, "%s ", good[i].attr);
	if (!first)
		sprintf(text + at, "%s", row->attrs);
	return update_body(room, 4096, "", text, row->base == IPV4 ? "18 0a0100" : "");
}

static void check_sentinel(const struct update_session *s)
{
	uint8_t room[4096];
	struct update u;
	struct update_cursor c = {};
	struct update_route route;
	struct reader body = update_body(room, sizeof(room), "", s->external ? ORIGIN PATH HOP : ORIGIN PATH HOP PREF,
					 "18 0a0909");

	assert_int_equal(update_decode(s, table, body, &u), 0);
	assert_int_equal(u.fault.reaction, REACTION_NONE);
	assert_true(update_next(&u, &c, &route) && route.attrs);
	assert_false(update_next(&u, &c, &route));
	update_fini(&u);
}

static void check_row(const struct row *row, bool external, bool first)
{
	struct update_session s = session(external);
	enum reaction expected = external ? row->external : row->internal;
	uint8_t room[4096];
	struct update_cursor c = {};
	struct update_route route;
	struct update u;
	unsigned n = 0;

	assert_int_equal(update_decode(&s, table, message(row, external, first, room), &u), 0);
	if (u.fault.reaction != expected)
		fail_msg("%s (%s%s): %s because of %s %s; expected: %s", row->name, external ? "external" : "internal",
			 first ? ", first" : "", reaction_name(u.fault.reaction), attr_name(u.fault.attr),
			 u.fault.what ? u.fault.what : "nothing", reaction_name(expected));
	if (expected != REACTION_NONE) {
		assert_non_null(u.fault.what);
		assert_non_null(u.fault.section);
		assert_true(u.n_faults > 0);
		if (expected >= REACTION_WITHDRAW)
			assert_int_equal(u.fault.notification.code, NOTIFICATION_UPDATE);
		if (row->subcode && expected >= REACTION_WITHDRAW && u.fault.notification.subcode != row->subcode)
			fail_msg("%s: subcode %u, expected %d", row->name, u.fault.notification.subcode, row->subcode);
	}
	while (update_next(&u, &c, &route)) {
		n++;
		assert_int_equal(route.treated, expected == REACTION_WITHDRAW);
		assert_int_equal(route.attrs != NULL, expected < REACTION_WITHDRAW);
	}
	if ((n == 1) != (expected != REACTION_RESET))
		fail_msg("%s: %u routes", row->name, n);
	update_fini(&u);
	check_sentinel(&s);
	assert_int_equal(attrs_length(table), 0);
}

static void every_malformed_attribute_has_the_reaction_of_rfc_7606(void **state)
{
	assert_true(N_ROWS >= 88);
	for (size_t i = 0; i < N_ROWS; i++)
		for (int external = 0; external < 2; external++)
			check_row(&rows[i], external, false);
}

/*
 * The order of attributes is free (RFC 4271 5): what does not lose the framing, and stands once, means the same in
 * front.
 */
static void malformed_attribute_in_front_has_the_same_reaction(void **state)
{
	for (size_t i = 0; i < N_ROWS; i++) {
		bool again = strstr(rows[i].name, "twice"), lost = strstr(rows[i].name, "longer_than_the_attributes");

		if (!again && !lost && strncmp(rows[i].name, "attribute_", 10) != 0)
			for (int external = 0; external < 2; external++)
				check_row(&rows[i], external, true);
	}
}

static enum reaction reaction_of(const struct update_session *s, const char *withdrawn, const char *attrs,
				 const char *nlri, unsigned *n)
{
	uint8_t room[4096];
	struct update_cursor c = {};
	struct update_route route;
	struct update u;
	enum reaction r;

	assert_int_equal(update_decode(s, table, update_body(room, sizeof(room), withdrawn, attrs, nlri), &u), 0);
	for (*n = 0; update_next(&u, &c, &route); ++*n)
		;
	r = u.fault.reaction;
	update_fini(&u);
	return r;
}

/* RFC 7606 5.2 */
static void without_a_route_to_withdraw_the_session_is_reset(void **state)
{
	static const struct {
		const char *withdrawn, *attrs, *nlri;
		enum reaction expected;
	} cases[] = {
		{"", "40 01 00", "", R},
		{"18 0a0100", "40 01 00", "", R},
		{"", "40 01 01 00 d0 63 ffff 00", "", R},
		{"", "40", "", R},
		{"", "40 06 01 00", "", D},
		{"", "c0 0f 03 0002 01", "", W},             /* nothing but MP_UNREACH_NLRI */
		{"", "80 0f 05 0002 01 0820 40 01 00", "", R},
		{"", "40 01 00 80 0e 0a 0001 80 04 c0000201 00 00", "", W}, /* routes, of a family that is not ours */
		{"", "40 01 00", "18 0a0100", W},
		{"", "", "", N},
		{"", ORIGIN PATH HOP, "", N},
	};
	struct update_session s = session(true);
	unsigned n;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(reaction_of(&s, cases[i].withdrawn, cases[i].attrs, cases[i].nlri, &n),
				 cases[i].expected);
}

/* RFC 4271 6.3, RFC 7606 3 b and 5.3 */
static void routes_that_cannot_be_read_reset_the_session(void **state)
{
	static const struct {
		const char *withdrawn, *nlri;
		enum reaction expected;
		unsigned n;
	} cases[] = {
		{"", "21 0a01000000", R, 0}, {"", "ff 0a010000", R, 0}, {"", "18 0a01", R, 0}, {"", "08", R, 0},
		{"21 0a01000000", "", R, 0}, {"18 0a01", "", R, 0},	{"18 0a0100 20", "18 0a0200", R, 0},
		{"", "00", N, 1},	     {"", "20 0a010203", N, 1}, {"", "04 e0 18 0a0100", W, 1}, /* multicast */
		{"04 e0", "18 0a0100", N, 2},
	};
	struct update_session s = session(true);
	unsigned n;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(reaction_of(&s, cases[i].withdrawn, ORIGIN PATH HOP, cases[i].nlri, &n),
				 cases[i].expected);
		assert_int_equal(n, cases[i].n);
	}
}

static void parts_that_exceed_the_message_reset_the_session(void **state)
{
	static const char *const bodies[] = {"", "00", "0000", "000000", "0001 0000", "0000 0001", "ffff ffff", "0000 ffff 00",
					     "0004 08 0a 0000"};
	struct update_session s = session(true);

	for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
		uint8_t room[64];
		struct writer w = writer_over(room, sizeof(room));
		struct update u;

		put_hex(&w, bodies[i]);
		assert_int_equal(update_decode(&s, table, reader_over(room, writer_size(&w)), &u), 0);
		assert_int_equal(u.fault.reaction, REACTION_RESET);
		assert_int_equal(u.fault.notification.subcode, UPDATE_MALFORMED_ATTRIBUTES);
		update_fini(&u);
	}
}

/* RFC 7606 5.3, 7.11: only that family is lost, on request; the others in the message live. */
static void family_is_disabled_instead_of_a_reset_on_request(void **state)
{
	static const struct {
		const char *attrs;
		uint32_t disabled;
	} cases[] = {
		{"80 0e 0b 0019 46 04 c0000201 00 0311", 1u << ROUTE_EVPN},
		{"80 0e 0a 0019 46 05 c000020100 00", 1u << ROUTE_EVPN},
		{"80 0e 06 0019 46 04 c000", 1u << ROUTE_EVPN},
		{"80 0f 05 0002 01 8120", 1u << ROUTE_IPV6},
	};
	struct update_session s = session(true);
	uint8_t room[4096];

	s.disable_family = true;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char text[512];
		struct update_cursor c = {};
		struct update_route route;
		struct update u;

		snprintf(text, sizeof(text), ORIGIN PATH HOP TARGET "%s", cases[i].attrs);
		assert_int_equal(update_decode(&s, table, update_body(room, sizeof(room), "", text, "18 0a0100"), &u), 0);
		assert_int_equal(u.fault.reaction, REACTION_DISABLE_FAMILY);
		assert_int_equal(u.disabled, cases[i].disabled);
		assert_true(update_next(&u, &c, &route) && route.attrs && route.nlri.key.family == ROUTE_IPV4);
		assert_false(update_next(&u, &c, &route));
		update_fini(&u);

		/* A weaker fault beside it still does what it has to. */
		snprintf(text, sizeof(text), PATH HOP TARGET "%s", cases[i].attrs);
		c = (struct update_cursor){};
		assert_int_equal(update_decode(&s, table, update_body(room, sizeof(room), "", text, "18 0a0100"), &u), 0);
		assert_int_equal(u.fault.reaction, REACTION_DISABLE_FAMILY);
		assert_true(update_next(&u, &c, &route) && !route.attrs && route.treated);
		update_fini(&u);
	}
}

static void of_equal_faults_the_first_is_told(void **state)
{
	struct update_session s = session(true);
	uint8_t room[4096];
	struct update u;

	assert_int_equal(update_decode(&s, table, update_body(room, sizeof(room), "", ORIGIN PATH HOP
							      "40 06 01 00 80 04 03 000000 c0 08 00", "18 0a0100"), &u), 0);
	assert_int_equal(u.n_faults, 3);
	assert_int_equal(u.fault.attr, ATTR_MED);
	assert_string_equal(u.fault.section, "RFC 7606 7.4");
	assert_int_equal(u.fault.notification.size, 6); /* the attribute */
	assert_memory_equal(u.fault.notification.data, "\x80\x04\x03", 3);
	update_fini(&u);
}

static void routes_of_a_family_that_was_not_agreed_are_dropped(void **state)
{
	struct update_session s = session(true);
	unsigned n;

	s.families = ROUTE_FAMILY_BIT(ROUTE_EVPN);
	assert_int_equal(reaction_of(&s, "08 0a", ORIGIN PATH HOP, "18 0a0100", &n), REACTION_DISCARD);
	assert_int_equal(n, 0);
}

static int set_up(void **state)
{
	return attrs_new(&table);
}

static int tear_down(void **state)
{
	attrs_free(table);
	return 0;
}

static void print_row(const struct row *row, bool external)
{
	uint8_t room[4096];
	struct reader body = message(row, external, false, room);

	printf("%s\t%s\t%s\t%s\t%d\t", row->name, row->base == IPV4 ? "ipv4" : "evpn", external ? "external" : "internal",
	       reaction_name(external ? row->external : row->internal), row->subcode);
	for (size_t i = 0; i < reader_left(&body); i++)
		printf("%02x", body.at[i]);
	printf("\n");
}

static int print_rows(void)
{
	static const struct row whole[] = {{"good", IPV4, 0, "", N, N, 0}, {"good", EVPN, 0, "", N, N, 0}};

	for (int external = 0; external < 2; external++) {
		for (size_t i = 0; i < sizeof(whole) / sizeof(whole[0]); i++)
			print_row(&whole[i], external);
		for (size_t i = 0; i < N_ROWS; i++)
			print_row(&rows[i], external);
	}
	return 0;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_malformed_attribute_has_the_reaction_of_rfc_7606),
		cmocka_unit_test(malformed_attribute_in_front_has_the_same_reaction),
		cmocka_unit_test(without_a_route_to_withdraw_the_session_is_reset),
		cmocka_unit_test(routes_that_cannot_be_read_reset_the_session),
		cmocka_unit_test(parts_that_exceed_the_message_reset_the_session),
		cmocka_unit_test(family_is_disabled_instead_of_a_reset_on_request),
		cmocka_unit_test(of_equal_faults_the_first_is_told),
		cmocka_unit_test(routes_of_a_family_that_was_not_agreed_are_dropped),
	};

	if (argc > 1 && strcmp(argv[1], "rows") == 0)
		return print_rows();
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
