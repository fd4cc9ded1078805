/* SPDX-License-Identifier: Apache-2.0 */
/* Messages in a stream, OPEN, NOTIFICATION, ROUTE-REFRESH: bytes from the RFCs, both ways. */
#include <errno.h>
#include <stdio.h>

#include "bgp/open.h"
#include "bgp/refresh.h"
#include "bgp_bytes.h"

#define MARKER "ffffffffffffffffffffffffffffffff"

static size_t bytes_of(const char *hex, uint8_t *room, size_t size)
{
	struct writer w = writer_over(room, size);

	put_hex(&w, hex);
	return writer_size(&w);
}

static void expect_bytes(const struct writer *w, const char *hex)
{
	uint8_t room[4096];
	size_t size = bytes_of(hex, room, sizeof(room));

	assert_true(writer_ok(w));
	assert_int_equal(writer_size(w), size);
	assert_memory_equal(w->start, room, size);
}

static void headers_are_judged_as_soon_as_they_are_there(void **state)
{
	static const struct {
		const char *bytes;
		bool extended;
		enum message_state expected;
		int subcode;
	} rows[] = {
		{"", false, MESSAGE_PARTIAL, 0},
		{"ffff", false, MESSAGE_PARTIAL, 0},
		{"ff00", false, MESSAGE_BROKEN, HEADER_NOT_SYNCHRONIZED},
		{"fffffffffffffffffffffffffffffffe", false, MESSAGE_BROKEN, HEADER_NOT_SYNCHRONIZED},
		{MARKER "0013", false, MESSAGE_PARTIAL, 0},
		{MARKER "0013 04", false, MESSAGE_WHOLE, 0},
		{MARKER "0013 04 ff", false, MESSAGE_WHOLE, 0},
		{MARKER "0012 04", false, MESSAGE_BROKEN, HEADER_BAD_LENGTH},
		{MARKER "0000 04", false, MESSAGE_BROKEN, HEADER_BAD_LENGTH},
		{MARKER "0014 04", false, MESSAGE_BROKEN, HEADER_BAD_LENGTH},
		{MARKER "0013 00", false, MESSAGE_BROKEN, HEADER_BAD_TYPE},
		{MARKER "0013 06", false, MESSAGE_BROKEN, HEADER_BAD_TYPE},
		{MARKER "0013 ff", false, MESSAGE_BROKEN, HEADER_BAD_TYPE},
		{MARKER "001c 01", false, MESSAGE_BROKEN, HEADER_BAD_LENGTH},
		{MARKER "001d 01", false, MESSAGE_PARTIAL, 0},
		{MARKER "0016 02", false, MESSAGE_BROKEN, HEADER_BAD_LENGTH},
		{MARKER "0017 02", false, MESSAGE_PARTIAL, 0},
		{MARKER "0017 02 00000000", false, MESSAGE_WHOLE, 0},
		{MARKER "0014 03", false, MESSAGE_BROKEN, HEADER_BAD_LENGTH},
		{MARKER "0016 05", false, MESSAGE_BROKEN, HEADER_BAD_LENGTH},
		{MARKER "1000 02", false, MESSAGE_PARTIAL, 0},
		{MARKER "1001 02", false, MESSAGE_BROKEN, HEADER_BAD_LENGTH},
		{MARKER "1001 02", true, MESSAGE_PARTIAL, 0},
		{MARKER "ffff 02", true, MESSAGE_PARTIAL, 0},
		{MARKER "ffff 03", true, MESSAGE_PARTIAL, 0},
		{MARKER "1001 01", true, MESSAGE_BROKEN, HEADER_BAD_LENGTH}, /* RFC 8654 4 */
		{MARKER "1001 04", true, MESSAGE_BROKEN, HEADER_BAD_LENGTH},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint8_t data[64];
		size_t size = bytes_of(rows[i].bytes, data, sizeof(data));
		struct notification error = {};
		struct message m;
		enum message_state got = message_next(data, size, rows[i].extended, &m, &error);

		if (got != rows[i].expected || error.subcode != rows[i].subcode)
			fail_msg("%s: %d, subcode %u", rows[i].bytes, got, error.subcode);
		if (got == MESSAGE_BROKEN)
			assert_int_equal(error.code, NOTIFICATION_HEADER);
		if (error.subcode == HEADER_BAD_LENGTH) /* RFC 4271 6.1: data is the erroneous field */
			assert_memory_equal(error.data, data + 16, error.size);
		if (got == MESSAGE_WHOLE)
			assert_int_equal(m.size, MESSAGE_HEADER_SIZE + reader_left(&m.body));
	}
}

static void keepalive_is_a_header(void **state)
{
	uint8_t room[64];
	struct writer w = writer_over(room, sizeof(room));

	keepalive_encode(&w);
	expect_bytes(&w, MARKER "0013 04");
}

static void every_type_has_a_name(void **state)
{
	assert_string_equal(message_type_name(MESSAGE_OPEN), "OPEN");
	assert_string_equal(message_type_name(MESSAGE_ROUTE_REFRESH), "ROUTE-REFRESH");
	assert_string_equal(message_type_name(MESSAGE_TYPE_MAX), "unknown");
	assert_string_equal(capability_name(CAPABILITY_GRACEFUL_RESTART), "graceful-restart");
	assert_string_equal(capability_name(200), "unknown");
	assert_string_equal(attr_name(ATTR_AS_PATH), "AS_PATH");
	assert_string_equal(attr_name(99), "unknown");
}

/* ---- OPEN ---- */

#define HEAD "04 fde8 005a c0000201"

static int decode_open(const char *hex, struct open *out, struct notification *error)
{
	static uint8_t data[2048];

	return open_decode(reader_over(data, bytes_of(hex, data, sizeof(data))), out, error);
}

static void open_with_every_capability_is_read(void **state)
{
	struct notification error;
	struct open o;

	assert_int_equal(decode_open(HEAD "48 02 46"
				     "01 04 0001 00 01"
				     "01 04 0002 00 01"
				     "01 04 0019 00 46"
				     "01 04 0001 00 80" /* VPN, not ours */
				     "02 00"
				     "05 06 0001 0001 0002"
				     "06 00"
				     "40 0a c078 0001 01 80 0019 46 00"
				     "41 04 ea60fde8"
				     "45 08 0001 01 01 0019 46 03"
				     "46 00"
				     "49 02 0161",
				     &o, &error), 0);
	assert_int_equal(o.as, 0xea60fde8);
	assert_int_equal(o.hold_s, 90);
	assert_int_equal(o.id, 0xc0000201);
	assert_int_equal(o.capabilities.families, 7);
	assert_true(o.capabilities.has_multiprotocol && o.capabilities.as4 && o.capabilities.refresh);
	assert_true(o.capabilities.extended_message && o.capabilities.graceful_restart);
	assert_true(o.capabilities.restarting && o.capabilities.restart_notification);
	assert_int_equal(o.capabilities.restart_s, 120);
	assert_int_equal(o.capabilities.restart_families, ROUTE_FAMILY_BIT(ROUTE_IPV4) | ROUTE_FAMILY_BIT(ROUTE_EVPN));
	assert_int_equal(o.capabilities.forwarding, ROUTE_FAMILY_BIT(ROUTE_IPV4));
	assert_int_equal(o.capabilities.extended_next_hop, ROUTE_FAMILY_BIT(ROUTE_IPV4));
	assert_int_equal(o.capabilities.add_path_receive, ROUTE_FAMILY_BIT(ROUTE_IPV4) | ROUTE_FAMILY_BIT(ROUTE_EVPN));
	assert_int_equal(o.capabilities.add_path_send, ROUTE_FAMILY_BIT(ROUTE_EVPN));
}

static void opens_are_judged(void **state)
{
	static const struct {
		const char *bytes;
		int subcode; /* -1 = good */
	} rows[] = {
		{HEAD "00", -1},
		{"03 fde8 005a c0000201 00", OPEN_BAD_VERSION},
		{"05 fde8 005a c0000201 00", OPEN_BAD_VERSION},
		{"04 0000 005a c0000201 00", OPEN_BAD_PEER_AS},
		{"04 fde8 0000 c0000201 00", -1},
		{"04 fde8 0001 c0000201 00", OPEN_BAD_HOLD_TIME},
		{"04 fde8 0002 c0000201 00", OPEN_BAD_HOLD_TIME},
		{"04 fde8 0003 c0000201 00", -1},
		{"04 fde8 ffff c0000201 00", -1},
		{"04 fde8 005a 00000000 00", OPEN_BAD_ID},
		{"04 fde8 005a c00002", OPEN_UNSPECIFIC},
		{"", OPEN_UNSPECIFIC},
		/* parameters and capabilities: CVE-2022-40302, -40318, -43681 were here elsewhere */
		{HEAD "01", OPEN_UNSPECIFIC},
		{HEAD "01 02", OPEN_UNSPECIFIC},
		{HEAD "02 02", OPEN_UNSPECIFIC},
		{HEAD "00 0200", OPEN_UNSPECIFIC},
		{HEAD "02 0200", -1},
		{HEAD "02 0201", OPEN_UNSPECIFIC},
		{HEAD "02 0100", OPEN_BAD_PARAMETER},
		{HEAD "03 010100", OPEN_BAD_PARAMETER},
		{HEAD "04 0202 0200", -1},
		{HEAD "03 0201 02", OPEN_UNSPECIFIC},
		{HEAD "04 0202 0201", OPEN_UNSPECIFIC},
		{HEAD "05 0203 0201 00", OPEN_UNSPECIFIC},
		{HEAD "05 0203 0601 00", OPEN_UNSPECIFIC},
		{HEAD "07 0205 0103 000100", OPEN_UNSPECIFIC},
		{HEAD "09 0207 0105 0001000100", OPEN_UNSPECIFIC},
		{HEAD "07 0205 4103 0000fd", OPEN_UNSPECIFIC},
		{HEAD "08 0206 4104 00000000", OPEN_BAD_PEER_AS},
		{HEAD "05 0203 4001 00", OPEN_UNSPECIFIC},
		{HEAD "06 0204 4002 0078", -1},
		{HEAD "08 0206 4004 0078 0001", OPEN_UNSPECIFIC},
		{HEAD "07 0205 4503 000101", OPEN_UNSPECIFIC},
		{HEAD "08 0206 4504 00010104", -1}, /* RFC 7911 4: an unknown mode is ignored */
		{HEAD "09 0207 0505 0001000100", OPEN_UNSPECIFIC},
		{HEAD "06 0204 ff02 aabb", -1},
		{HEAD "08 0202 0200 0202 0600", -1},
		/* RFC 9072 2 */
		{HEAD "ff ff 0000", -1},
		{HEAD "ff ff 0005 02 0002 0200", -1},
		{HEAD "05 ff 0005 02 0002 0200", -1},
		{HEAD "ff ff", OPEN_UNSPECIFIC},
		{HEAD "ff ff 00", OPEN_UNSPECIFIC},
		{HEAD "ff ff 0001", OPEN_UNSPECIFIC},
		{HEAD "ff ff 0000 00", OPEN_UNSPECIFIC},
		{HEAD "ff ff 0002 0200", OPEN_UNSPECIFIC},
		{HEAD "ff ff 0003 02 ffff", OPEN_UNSPECIFIC},
		{HEAD "ff ff 0003 01 0000", OPEN_BAD_PARAMETER},
		{HEAD "ff 0200", OPEN_UNSPECIFIC},
		{HEAD "00 ff 0000", OPEN_UNSPECIFIC},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct notification error = {.subcode = 99};
		struct open o = {.id = 7};
		int r = decode_open(rows[i].bytes, &o, &error);

		if (r != (rows[i].subcode < 0 ? 0 : -EPROTO) || (r < 0 && error.subcode != rows[i].subcode))
			fail_msg("%s: %d, subcode %u", rows[i].bytes, r, error.subcode);
		if (r < 0) {
			assert_int_equal(error.code, NOTIFICATION_OPEN);
			assert_int_equal(o.id, 7); /* untouched */
		}
		if (r < 0 && error.subcode == OPEN_BAD_VERSION) /* RFC 4271 6.2: the largest version that we speak */
			assert_true(error.size == 2 && error.data[0] == 0 && error.data[1] == 4);
	}
}

static void open_without_multiprotocol_means_ipv4(void **state)
{
	struct notification error;
	struct open o;

	assert_int_equal(decode_open(HEAD "00", &o, &error), 0);
	assert_int_equal(o.capabilities.families, ROUTE_FAMILY_BIT(ROUTE_IPV4));
	assert_int_equal(decode_open(HEAD "08 0206 0104 0001 00 80", &o, &error), 0);
	assert_int_equal(o.capabilities.families, 0);
}

static void last_graceful_restart_counts(void **state)
{
	struct notification error;
	struct open o;

	assert_int_equal(decode_open(HEAD "10 020e 4006 8078 0001 01 80 4004 0001 0019", &o, &error), -EPROTO);
	assert_int_equal(decode_open(HEAD "0e 020c 4006 8078 0001 01 80 4002 0001", &o, &error), 0);
	assert_false(o.capabilities.restarting);
	assert_int_equal(o.capabilities.restart_s, 1);
	assert_int_equal(o.capabilities.restart_families | o.capabilities.forwarding, 0);
}

static void opens_are_written(void **state)
{
	struct open o = {.as = 65000, .hold_s = 90, .id = 0xc0000201}, again;
	uint8_t room[512];
	struct writer w = writer_over(room, sizeof(room));
	struct notification error;
	struct message m;

	open_encode(&w, &o);
	expect_bytes(&w, MARKER "001d 01" HEAD "00");

	o.as = 4200000000;
	o.capabilities = (struct capabilities){
		.families = 7, .has_multiprotocol = true, .as4 = true, .refresh = true, .extended_message = true,
		.extended_next_hop = 1, .add_path_receive = 5, .add_path_send = 4, .graceful_restart = true,
		.restarting = true, .restart_notification = true, .restart_s = 120, .restart_families = 5, .forwarding = 4,
	};
	w = writer_over(room, sizeof(room));
	open_encode(&w, &o);
	expect_bytes(&w, MARKER "0059 01 04 5ba0 005a c0000201 3c 02 3a"
				"0104 0001 00 01 0104 0002 00 01 0104 0019 00 46 0200 0506 0001 0001 0002 0600"
				"400a c078 0001 01 00 0019 46 80 4104 fa56ea00 4508 0001 01 01 0019 46 03");
	assert_int_equal(message_next(room, writer_size(&w), false, &m, &error), MESSAGE_WHOLE);
	assert_int_equal(open_decode(m.body, &again, &error), 0);
	assert_int_equal(again.as, o.as);
	assert_memory_equal(&again.capabilities.families, &o.capabilities.families, sizeof(uint32_t));
	assert_int_equal(again.capabilities.forwarding, 4);

	w = writer_over(room, 40); /* too little room is no overrun */
	open_encode(&w, &o);
	assert_false(writer_ok(&w));
}

static void missing_family_is_named(void **state)
{
	uint8_t room[16];
	struct writer w = writer_over(room, sizeof(room));

	capability_encode_family(&w, ROUTE_EVPN);
	expect_bytes(&w, "01 04 0019 00 46");
}

/* ---- NOTIFICATION ---- */

static void notifications_are_read_and_unwrapped(void **state)
{
	static const struct {
		const char *bytes;
		int code, subcode;
		size_t size;
		bool hard;
	} rows[] = {
		{"0601 0001 01 00000064", 6, 1, 7, false},
		{"0400", 4, 0, 0, false},
		{"06", 0, 0, 0, false},
		{"", 0, 0, 0, false},
		{"0609", 6, 9, 0, true},
		{"0609 06", 6, 9, 1, true},
		{"0609 0602 0268 69", 6, 2, 3, true},
		{"0609 0609 0609", 6, 9, 2, true},
		{"ffff", 255, 255, 0, false},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint8_t data[64];
		struct notification n;
		bool hard;

		notification_decode(reader_over(data, bytes_of(rows[i].bytes, data, sizeof(data))), &n, &hard);
		assert_int_equal(n.code, rows[i].code);
		assert_int_equal(n.subcode, rows[i].subcode);
		assert_int_equal(n.size, rows[i].size);
		assert_int_equal(hard, rows[i].hard);
	}
}

static void notifications_are_written(void **state)
{
	static uint8_t much[8192];
	uint8_t room[8192];
	struct writer w = writer_over(room, sizeof(room));
	struct notification n = {NOTIFICATION_CEASE, CEASE_MAXIMUM_PREFIXES, (const uint8_t *)"\0\1\1\0\0\0d", 7};

	notification_encode(&w, &n);
	expect_bytes(&w, MARKER "001c 03 0601 0001 01 00000064");
	w = writer_over(room, sizeof(room));
	notification_encode_hard(&w, &n);
	expect_bytes(&w, MARKER "001e 03 0609 0601 0001 01 00000064");
	n = (struct notification){NOTIFICATION_UPDATE, UPDATE_BAD_OPTIONAL, much, sizeof(much)};
	w = writer_over(room, sizeof(room));
	notification_encode(&w, &n);
	assert_int_equal(writer_size(&w), MESSAGE_MAX);
	w = writer_over(room, sizeof(room));
	notification_encode_hard(&w, &n);
	assert_int_equal(writer_size(&w), MESSAGE_MAX);
}

static void shutdown_communication_is_shown_safely(void **state)
{
	static const struct {
		const char *bytes, *text;
	} rows[] = {
		{"0602 02 6869", "hi"},
		{"0604 02 6869", "hi"},
		{"0603 02 6869", ""},       /* not of this subcode */
		{"0602", ""},
		{"0602 00", ""},
		{"0602 03 6869", ""},       /* longer than the data */
		{"0602 02 6869 6a", "hi"},
		{"0602 04 681b5b6a", "h?[j"},
		{"0602 01 00", "?"},
		{"0602 02 c3a9", "\xc3\xa9"},
		{"0602 02 c280", "?"},      /* C1 */
		{"0602 02 c080", "??"},     /* not the shortest form */
		{"0602 03 eda080", "???"},  /* surrogate */
		{"0602 04 f09f9880", "\xf0\x9f\x98\x80"},
		{"0602 04 f4908080", "????"}, /* above U+10FFFF */
		{"0602 01 c3", "?"},
		{"0602 02 ff7f", "??"},
	};
	uint8_t data[SHUTDOWN_TEXT_SIZE + 2] = {6, 2, 255};
	char text[SHUTDOWN_TEXT_SIZE];
	struct notification n;
	bool hard;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		notification_decode(reader_over(data, bytes_of(rows[i].bytes, data, sizeof(data))), &n, &hard);
		notification_text(&n, text);
		assert_string_equal(text, rows[i].text);
	}
	data[2] = 255; /* all of RFC 9003: CVE-2019-16159 was here elsewhere */
	memset(data + 3, 'x', 255);
	notification_decode(reader_over(data, sizeof(data)), &n, &hard);
	notification_text(&n, text);
	assert_int_equal(strlen(text), 255);
	notification_decode(reader_over(data, sizeof(data) - 1), &n, &hard);
	notification_text(&n, text);
	assert_string_equal(text, "");
}

static void shutdown_communication_is_cut_at_a_character(void **state)
{
	uint8_t out[SHUTDOWN_TEXT_SIZE];
	char text[300];

	assert_int_equal(notification_text_encode(NULL, out), 0);
	assert_int_equal(notification_text_encode("", out), 0);
	assert_int_equal(notification_text_encode("hi", out), 3);
	assert_memory_equal(out, "\2hi", 3);
	memset(text, 'x', sizeof(text));
	text[299] = '\0';
	assert_int_equal(notification_text_encode(text, out), 256);
	memcpy(text + 254, "\xc3\xa9", 2);
	assert_int_equal(notification_text_encode(text, out), 255);
	assert_int_equal(out[0], 254);
}

static void codes_have_names(void **state)
{
	static const struct {
		uint8_t code, subcode;
		const char *name, *subname;
	} rows[] = {
		{6, 2, "Cease", "Administrative Shutdown"}, {6, 9, "Cease", "Hard Reset"},
		{6, 0, "Cease", ""},                        {6, 99, "Cease", "unknown subcode"},
		{3, 7, "UPDATE Message Error", "unknown subcode"}, {4, 1, "Hold Timer Expired", "unknown subcode"},
		{0, 1, "unknown code", "unknown subcode"},  {9, 1, "unknown code", "unknown subcode"},
		{8, 0, "Send Hold Timer Expired", ""},      {2, 5, "OPEN Message Error", "unknown subcode"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_string_equal(notification_code_name(rows[i].code), rows[i].name);
		assert_string_equal(notification_subcode_name(rows[i].code, rows[i].subcode), rows[i].subname);
	}
}

/* ---- ROUTE-REFRESH ---- */

static void refreshes_are_read_and_written(void **state)
{
	static const struct {
		const char *bytes;
		int result;
		enum route_family family;
	} rows[] = {
		{"0019 00 46", 0, ROUTE_EVPN}, {"0001 00 01", 0, ROUTE_IPV4}, {"0002 ff 01", 0, ROUTE_IPV6},
		{"0001 00 80", -ENOENT, 0},    {"0019 01 46", -ENOENT, 0},    {"0019 02 46", -ENOENT, 0},
		{"0019 00", -EPROTO, 0},       {"0019 00 46 00", -EPROTO, 0},
	};
	uint8_t room[64];
	struct writer w = writer_over(room, sizeof(room));

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint8_t data[16];
		struct notification error = {};
		enum route_family f = ROUTE_FAMILY_MAX;
		int r = refresh_decode(reader_over(data, bytes_of(rows[i].bytes, data, sizeof(data))), &f, &error);

		assert_int_equal(r, rows[i].result);
		if (r == 0)
			assert_int_equal(f, rows[i].family);
		if (r == -EPROTO)
			assert_true(error.code == NOTIFICATION_REFRESH && error.subcode == 1);
	}
	refresh_encode(&w, ROUTE_EVPN);
	expect_bytes(&w, MARKER "0017 05 0019 00 46");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(headers_are_judged_as_soon_as_they_are_there),
		cmocka_unit_test(keepalive_is_a_header),
		cmocka_unit_test(every_type_has_a_name),
		cmocka_unit_test(open_with_every_capability_is_read),
		cmocka_unit_test(opens_are_judged),
		cmocka_unit_test(open_without_multiprotocol_means_ipv4),
		cmocka_unit_test(last_graceful_restart_counts),
		cmocka_unit_test(opens_are_written),
		cmocka_unit_test(missing_family_is_named),
		cmocka_unit_test(notifications_are_read_and_unwrapped),
		cmocka_unit_test(notifications_are_written),
		cmocka_unit_test(shutdown_communication_is_shown_safely),
		cmocka_unit_test(shutdown_communication_is_cut_at_a_character),
		cmocka_unit_test(codes_have_names),
		cmocka_unit_test(refreshes_are_read_and_written),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
