/* SPDX-License-Identifier: Apache-2.0 */
/*
 * EVPN routes: each type against bytes written from RFC 7432 7 and RFC 9136 3.1, and a generator of malformed ones. 
 * Every malformed route stands between two good ones; whatever is wrong with it, as long as its length frames it, those
 * come out.
 *
 * With the argument `rows` it prints what it generates, for whoever sends it to a daemon: a line for each route (announced
 * or withdrawn, verdict, the three routes), separated by tabs. */
#include <stdio.h>

#include "bgp_bytes.h"

#define RD "0001c00002010005"
#define ESI0 "00000000000000000000"
#define ESI1 "00112233445566778899"
#define BEFORE "0311" RD "00000000" "20" "c0000201"
#define AFTER "0221" RD ESI0 "00000000" "30" "02000000000a" "00" "001389"

static const struct template {
	const char *name;
	uint8_t type;
	const char *value;
	const char *text;
	uint8_t ip_at, mac_at, esi_at, prefix_at; /* offsets of length fields and the ESI in the value; 0 = none */
	uint8_t ip_bits;
	uint8_t without_label; /* length of the value then; 0 = it has none */
	uint8_t with_second;   /* length with a second label; 0 = it cannot have one */
} templates[] = {
	{"ad_per_evi", 1, RD ESI1 "00000007" "001389", "[1]:[7]:[00:11:22:33:44:55:66:77:88:99]", 0, 0, 8, 0, 0, 22, 0},
	{"ad_per_es", 1, RD ESI1 "ffffffff" "000000", "[1]:[4294967295]:[00:11:22:33:44:55:66:77:88:99]", 0, 0, 8, 0, 0, 22, 0},
	{"mac", 2, RD ESI0 "00000000" "30" "020000000001" "00" "001389", "[2]:[0]:[48]:[02:00:00:00:00:01]", 29, 22, 8, 0, 0, 30,
	 36},
	{"mac_and_ipv4", 2, RD ESI0 "00000000" "30" "020000000001" "20" "0a000101" "001389",
	 "[2]:[0]:[48]:[02:00:00:00:00:01]:[32]:[10.0.1.1]", 29, 22, 8, 0, 32, 34, 40},
	{"mac_and_ipv6", 2, RD ESI1 "00000009" "30" "020000000001" "80" "fd000001000000000000000000000011" "001389",
	 "[2]:[9]:[48]:[02:00:00:00:00:01]:[128]:[fd00:1::11]", 29, 22, 8, 0, 128, 46, 52},
	{"imet_ipv4", 3, RD "00000000" "20" "c0000209", "[3]:[0]:[32]:[192.0.2.9]", 12, 0, 0, 0, 32, 0, 0},
	{"imet_ipv6", 3, RD "00000000" "80" "20010db8000000000000000000000009", "[3]:[0]:[128]:[2001:db8::9]", 12, 0, 0, 0, 128, 0,
	 0},
	{"es_ipv4", 4, RD ESI1 "20" "c0000209", "[4]:[00:11:22:33:44:55:66:77:88:99]:[32]:[192.0.2.9]", 18, 0, 8, 0, 32, 0, 0},
	{"es_ipv6", 4, RD ESI1 "80" "20010db8000000000000000000000009",
	 "[4]:[00:11:22:33:44:55:66:77:88:99]:[128]:[2001:db8::9]", 18, 0, 8, 0, 128, 0, 0},
	{"prefix_ipv4", 5, RD ESI0 "00000000" "18" "0a010200" "00000000" "001388", "[5]:[0]:[24]:[10.1.2.0]", 0, 0, 8, 22, 32, 31,
	 0},
	{"prefix_ipv6", 5, RD ESI0 "00000000" "40" "fd000002000000000000000000000000" "00000000000000000000000000000000" "001388",
	 "[5]:[0]:[64]:[fd00:2::]", 0, 0, 8, 22, 128, 55, 0},
};

#define N_TEMPLATES (sizeof(templates) / sizeof(templates[0]))

static struct attrs *table;
static unsigned n_messages;
static bool printing;

static struct update_session session(void)
{
	return (struct update_session){.as4 = true, .own_as = 65000, .families = (1u << ROUTE_FAMILY_MAX) - 1};
}

/* The body of an UPDATE with this block of EVPN routes. */
static struct reader with_routes(struct reader block, bool withdraw, uint8_t room[static 8192])
{
	struct writer w = writer_over(room, 8192);
	size_t attrs, part;

	writer_u16(&w, 0);
	attrs = writer_mark(&w, 2);
	put_hex(&w, withdraw ? "90 0f" : "90 0e");
	part = writer_mark(&w, 2);
	put_hex(&w, withdraw ? "0019 46" : "0019 46 04 c0000201 00");
	writer_bytes(&w, block.at, reader_left(&block));
	writer_set_u16(&w, part);
	if (!withdraw)
		put_hex(&w, "40 01 01 00 40 02 00 40 05 04 00000064 c0 10 08 0002fde800001389");
	writer_set_u16(&w, attrs);
	return reader_over(room, writer_size(&w));
}

static void expect_text(const struct update_route *r, const char *text)
{
	char out[ROUTE_KEY_TEXT_SIZE];

	assert_string_equal(route_key_format(&r->nlri.key, out), text);
}

static void print_row(uint8_t type, const uint8_t *value, size_t size, bool withdraw, enum nlri_verdict verdict)
{
	static const char *const names[] = {
		[NLRI_GOOD] = "good", [NLRI_SKIPPED] = "skipped", [NLRI_WITHDRAW] = "withdraw", [NLRI_BAD] = "bad"};

	printf("%s\t%s\t%02x%02zx", withdraw ? "withdrawn" : "announced", names[verdict], type, size);
	for (size_t i = 0; i < size; i++)
		printf("%02x", value[i]);
	printf("\n");
}

/* One malformed route between the good ones: what it does to the message, and that they come out. */
static void check(const char *name, uint8_t type, const uint8_t *value, size_t size, bool withdraw,
		  enum nlri_verdict expected)
{
	struct update_session s = session();
	uint8_t block[1024], room[8192];
	struct writer w = writer_over(block, sizeof(block));
	struct update_cursor c = {};
	struct update_route route;
	struct update u;
	enum reaction reaction = expected == NLRI_BAD || expected == NLRI_WITHDRAW ? REACTION_WITHDRAW : REACTION_NONE;

	put_hex(&w, BEFORE);
	writer_u8(&w, type);
	writer_u8(&w, (uint8_t)size);
	writer_bytes(&w, value, size);
	put_hex(&w, AFTER);
	assert_int_equal(
		update_decode(&s, table, with_routes(reader_over(block, writer_size(&w)), withdraw, room), &u), 0);
	if (u.fault.reaction != reaction)
		fail_msg("%s: %s because %s; expected: %s", name, reaction_name(u.fault.reaction),
			 u.fault.what ? u.fault.what : "nothing", reaction_name(reaction));
	assert_int_equal(u.n_bad, expected == NLRI_BAD);
	assert_int_equal(u.n_skipped, expected == NLRI_SKIPPED);
	assert_true(update_next(&u, &c, &route));
	expect_text(&route, "[3]:[0]:[32]:[192.0.2.1]");
	assert_int_equal(route.attrs != NULL, !withdraw);
	if (expected == NLRI_GOOD || expected == NLRI_WITHDRAW) {
		assert_true(update_next(&u, &c, &route));
		assert_int_equal(route.nlri.key.type, type);
		assert_int_equal(route.treated, expected == NLRI_WITHDRAW);
		assert_int_equal(route.attrs != NULL, !withdraw && expected == NLRI_GOOD);
	}
	assert_true(update_next(&u, &c, &route));
	expect_text(&route, "[2]:[0]:[48]:[02:00:00:00:00:0a]");
	assert_int_equal(route.attrs != NULL, !withdraw);
	assert_false(update_next(&u, &c, &route));
	update_fini(&u);
	n_messages++;
	if (printing)
		print_row(type, value, size, withdraw, expected);
}

static void check_both(const char *name, uint8_t type, const uint8_t *value, size_t size, enum nlri_verdict announced,
		       enum nlri_verdict withdrawn)
{
	check(name, type, value, size, false, announced);
	check(name, type, value, size, true, withdrawn);
}

static size_t value_of(const struct template *t, uint8_t room[static 256])
{
	struct writer w = writer_over(room, 255);

	memset(room, 0, 256);
	put_hex(&w, t->value);
	return writer_size(&w);
}

static void each_type_is_read_and_written_as_the_rfcs_have_it(void **state)
{
	for (size_t i = 0; i < N_TEMPLATES; i++) {
		const struct template *t = &templates[i];
		uint8_t value[256], bytes[300], again[300];
		size_t size = value_of(t, value);
		struct writer w = writer_over(bytes, sizeof(bytes)), out = writer_over(again, sizeof(again));
		struct reader r;
		struct route_nlri n;
		const char *why;
		char text[ROUTE_KEY_TEXT_SIZE];

		writer_u8(&w, t->type);
		writer_u8(&w, (uint8_t)size);
		writer_bytes(&w, value, size);
		r = reader_over(bytes, writer_size(&w));
		assert_int_equal(nlri_next(&r, ROUTE_EVPN, false, false, &n, &why), NLRI_GOOD);
		assert_int_equal(reader_left(&r), 0);
		assert_string_equal(route_key_format(&n.key, text), t->text);
		nlri_encode(&out, &n, false);
		assert_int_equal(writer_size(&out), writer_size(&w));
		assert_int_equal(nlri_size(&n, false), writer_size(&w));
		assert_memory_equal(again, bytes, writer_size(&w));
	}
}

static void what_is_not_in_the_key_is_read_too(void **state)
{
	static const struct {
		const char *bytes;
		uint32_t label[2];
		unsigned n_labels;
		const char *gateway;
		uint8_t esi1;
	} rows[] = {
		{"0228" RD ESI1 "00000000" "30" "020000000001" "20" "0a000101" "001389" "001388", {5001, 5000}, 2, "::", 0x11},
		{"0522" RD ESI0 "00000000" "18" "0a010200" "0a010101" "000000", {0}, 1, "10.1.1.1", 0},
		{"053a" RD ESI0 "00000000" "40" "fd000002000000000000000000000000" "fd000002000000000000000000000001"
		 "000000", {0}, 1, "fd00:2::1", 0},
		{"0522" RD ESI1 "00000000" "18" "0a010200" "00000000" "000000", {0}, 1, "::", 0x11},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint8_t bytes[300], again[300];
		struct writer w = writer_over(bytes, sizeof(bytes)), out = writer_over(again, sizeof(again));
		struct route_nlri n;
		struct reader r;
		const char *why;
		char text[ADDR_TEXT_SIZE];

		put_hex(&w, rows[i].bytes);
		r = reader_over(bytes, writer_size(&w));
		assert_int_equal(nlri_next(&r, ROUTE_EVPN, false, false, &n, &why), NLRI_GOOD);
		assert_int_equal(n.n_labels, rows[i].n_labels);
		assert_int_equal(n.label[0], rows[i].label[0]);
		assert_int_equal(n.label[1], rows[i].label[1]);
		assert_string_equal(addr_format(&n.gateway, text), rows[i].gateway);
		assert_int_equal(n.esi.bytes[1], rows[i].esi1);
		nlri_encode(&out, &n, false);
		assert_int_equal(writer_size(&out), writer_size(&w));
		assert_memory_equal(again, bytes, writer_size(&w));
	}
}

static void length_fields_inside_a_route_with_every_value(void **state)
{
	for (size_t i = 0; i < N_TEMPLATES; i++)
		for (unsigned v = 0; v < 256; v++) {
			const struct template *t = &templates[i];
			uint8_t value[256];
			size_t size = value_of(t, value);

			if (t->mac_at && v != 48) {
				value[t->mac_at] = (uint8_t)v;
				check_both(t->name, t->type, value, size, NLRI_BAD, NLRI_BAD);
				size = value_of(t, value);
			}
			if (t->ip_at && v != t->ip_bits) {
				value[t->ip_at] = (uint8_t)v;
				check_both(t->name, t->type, value, size, NLRI_BAD, NLRI_BAD);
				size = value_of(t, value);
			}
			if (t->prefix_at && v > t->ip_bits) {
				value[t->prefix_at] = (uint8_t)v;
				check_both(t->name, t->type, value, size, NLRI_BAD, NLRI_BAD);
			}
		}
}

static enum nlri_verdict of_length(const struct template *t, size_t size, size_t length, bool withdraw)
{
	if (length == size || (t->with_second && length == t->with_second))
		return NLRI_GOOD;
	if (t->without_label && length == t->without_label)
		return withdraw ? NLRI_GOOD : NLRI_WITHDRAW;
	/* Zeroes behind a type 5 of IPv4 make one of IPv6, with neither a label nor a gateway. */
	if (t->type == 5 && t->ip_bits == 32 && (length == 55 || length == 58))
		return withdraw ? NLRI_GOOD : NLRI_WITHDRAW;
	return NLRI_BAD;
}

static void values_of_every_length(void **state)
{
	for (size_t i = 0; i < N_TEMPLATES; i++)
		for (size_t length = 0; length < 256; length++) {
			const struct template *t = &templates[i];
			uint8_t value[256];
			size_t size = value_of(t, value);

			check_both(t->name, t->type, value, length, of_length(t, size, length, false),
				   of_length(t, size, length, true));
		}
}

static void esis_of_reserved_types(void **state)
{
	for (size_t i = 0; i < N_TEMPLATES; i++)
		for (unsigned v = 6; v < 256; v++) {
			const struct template *t = &templates[i];
			bool key = t->type == 1 || t->type == 4;
			uint8_t value[256];
			size_t size = value_of(t, value);

			if (!t->esi_at)
				continue;
			value[t->esi_at] = (uint8_t)v;
			check_both(t->name, t->type, value, size, key ? NLRI_BAD : NLRI_WITHDRAW,
				   key ? NLRI_BAD : NLRI_GOOD);
		}
}

static void unknown_types_are_skipped(void **state)
{
	static const uint8_t value[256] = {1, 2, 3};
	static const uint8_t sizes[] = {0, 1, 25, 33, 255};

	for (unsigned type = 0; type < 256; type++)
		for (size_t i = 0; i < sizeof(sizes); i++)
			if (type == 0 || type > 5)
				check_both("unknown", (uint8_t)type, value, sizes[i], NLRI_SKIPPED, NLRI_SKIPPED);
}

static void values_that_no_host_has(void **state)
{
	static const struct {
		uint8_t type;
		const char *value;
		enum nlri_verdict announced, withdrawn;
	} rows[] = {
		{2, RD ESI0 "00000000" "30" "010000000001" "00" "001389", NLRI_WITHDRAW, NLRI_GOOD},
		{2, RD ESI0 "00000000" "30" "ffffffffffff" "00" "001389", NLRI_WITHDRAW, NLRI_GOOD},
		{2, RD ESI0 "00000000" "30" "000000000000" "00" "001389", NLRI_WITHDRAW, NLRI_GOOD},
		{2, RD ESI0 "00000000" "30" "020000000001" "20" "e0000001" "001389", NLRI_WITHDRAW, NLRI_GOOD},
		{2, RD ESI0 "00000000" "30" "020000000001" "20" "00000000" "001389", NLRI_WITHDRAW, NLRI_GOOD},
		{2, RD ESI0 "00000000" "30" "020000000001" "80" "00000000000000000000000000000000" "001389", NLRI_WITHDRAW,
		 NLRI_GOOD},
		{2, RD ESI0 "00000000" "30" "020000000001" "80" "ff020000000000000000000000000001" "001389", NLRI_WITHDRAW,
		 NLRI_GOOD},
		{2, RD ESI0 "00000000" "30" "020000000001" "80" "00000000000000000000ffff0a000001" "001389", NLRI_BAD, NLRI_BAD},
		{3, RD "00000000" "20" "00000000", NLRI_WITHDRAW, NLRI_GOOD},
		{3, RD "00000000" "20" "e0000001", NLRI_WITHDRAW, NLRI_GOOD},
		{4, RD ESI0 "20" "c0000209", NLRI_WITHDRAW, NLRI_GOOD},
		{5, RD ESI0 "00000000" "18" "e0010200" "00000000" "001388", NLRI_WITHDRAW, NLRI_GOOD},
		{5, RD ESI0 "00000000" "18" "0a010200" "00000000" "000000", NLRI_WITHDRAW, NLRI_GOOD},
		{5, RD ESI1 "00000000" "18" "0a010200" "0a010101" "000000", NLRI_WITHDRAW, NLRI_GOOD},
		{5, RD ESI0 "00000000" "78" "00000000000000000000ffff0a000000" "00000000000000000000000000000000" "001388",
		 NLRI_BAD, NLRI_BAD},
		{5, RD ESI0 "00000000" "00" "00000000" "00000000" "001388", NLRI_GOOD, NLRI_GOOD},
		{5, RD ESI0 "00000000" "00" "00000000000000000000000000000000" "00000000000000000000000000000000" "001388",
		 NLRI_GOOD, NLRI_GOOD},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint8_t value[256];
		struct writer w = writer_over(value, sizeof(value));

		put_hex(&w, rows[i].value);
		check_both(rows[i].value, rows[i].type, value, writer_size(&w), rows[i].announced, rows[i].withdrawn);
	}
}

/* A block that ends inside its last route cannot be read beyond; the length alone says so. */
static void last_route_longer_than_its_block_loses_the_framing(void **state)
{
	for (size_t i = 0; i < N_TEMPLATES; i++)
		for (unsigned longer = 1; longer + 60 < 256; longer++)
			for (int withdraw = 0; withdraw < 2; withdraw++) {
				struct update_session s = session();
				uint8_t block[1024], room[8192], value[256];
				struct writer w = writer_over(block, sizeof(block));
				size_t size = value_of(&templates[i], value);
				struct update_cursor c = {};
				struct update_route route;
				struct update u;

				put_hex(&w, BEFORE);
				writer_u8(&w, templates[i].type);
				writer_u8(&w, (uint8_t)(size + longer));
				writer_bytes(&w, value, size);
				s.disable_family = longer & 1;
				assert_int_equal(update_decode(&s, table,
							       with_routes(reader_over(block, writer_size(&w)), withdraw, room),
							       &u), 0);
				assert_int_equal(u.fault.reaction,
						 s.disable_family ? REACTION_DISABLE_FAMILY : REACTION_RESET);
				assert_int_equal(u.disabled, s.disable_family ? ROUTE_FAMILY_BIT(ROUTE_EVPN) : 0);
				assert_false(update_next(&u, &c, &route));
				update_fini(&u);
				n_messages++;
			}
}

static void the_same_route_twice_comes_out_twice(void **state)
{
	uint8_t value[256];
	struct writer w = writer_over(value, sizeof(value));

	put_hex(&w, RD "00000000" "20" "c0000201"); /* as BEFORE */
	check_both("twice", 3, value, writer_size(&w), NLRI_GOOD, NLRI_GOOD);
}

static void host_bits_behind_a_prefix_mean_nothing(void **state)
{
	uint8_t a[256], b[256];
	struct writer wa = writer_over(a, sizeof(a)), wb = writer_over(b, sizeof(b));
	struct route_nlri na, nb;
	struct reader ra, rb;
	const char *why;

	put_hex(&wa, "0522" RD ESI0 "00000000" "15" "0a01ff07" "00000000" "001388");
	put_hex(&wb, "0522" RD ESI0 "00000000" "15" "0a01f800" "00000000" "001388");
	ra = reader_over(a, writer_size(&wa));
	rb = reader_over(b, writer_size(&wb));
	assert_int_equal(nlri_next(&ra, ROUTE_EVPN, false, false, &na, &why), NLRI_GOOD);
	assert_int_equal(nlri_next(&rb, ROUTE_EVPN, false, false, &nb, &why), NLRI_GOOD);
	assert_true(route_key_equal(&na.key, &nb.key));
}

static void the_generator_made_enough(void **state)
{
	assert_true(n_messages >= 2000);
	print_message("%u messages\n", n_messages);
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

static int print_rows(void)
{
	printing = true;
	if (set_up(NULL) < 0)
		return 1;
	length_fields_inside_a_route_with_every_value(NULL);
	values_of_every_length(NULL);
	esis_of_reserved_types(NULL);
	unknown_types_are_skipped(NULL);
	values_that_no_host_has(NULL);
	return tear_down(NULL);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_type_is_read_and_written_as_the_rfcs_have_it),
		cmocka_unit_test(what_is_not_in_the_key_is_read_too),
		cmocka_unit_test(length_fields_inside_a_route_with_every_value),
		cmocka_unit_test(values_of_every_length),
		cmocka_unit_test(esis_of_reserved_types),
		cmocka_unit_test(unknown_types_are_skipped),
		cmocka_unit_test(values_that_no_host_has),
		cmocka_unit_test(last_route_longer_than_its_block_loses_the_framing),
		cmocka_unit_test(the_same_route_twice_comes_out_twice),
		cmocka_unit_test(host_bits_behind_a_prefix_mean_nothing),
		cmocka_unit_test(the_generator_made_enough),
	};

	if (argc > 1 && strcmp(argv[1], "rows") == 0)
		return print_rows();
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
