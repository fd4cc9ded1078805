/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What this node announces, as lines of text: node 192.0.2.1 in AS 65000 with router's MAC 02:..:ff; tenant red is 5000, its
 * network web 5001 has a gateway, lan 5002 has none.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "rib/export.h"

static long allocations_left = -1; /* -1: without end */

static bool may_allocate(void)
{
	if (allocations_left < 0)
		return true;
	return allocations_left > 0 && allocations_left-- > 0;
}

void *__real_calloc(size_t n, size_t size);
char *__real_strdup(const char *text);
void *__wrap_calloc(size_t n, size_t size);
char *__wrap_strdup(const char *text);

void *__wrap_calloc(size_t n, size_t size)
{
	return may_allocate() ? __real_calloc(n, size) : NULL;
}

char *__wrap_strdup(const char *text)
{
	return may_allocate() ? __real_strdup(text) : NULL;
}

enum { RED = 5000, WEB = 5001, LAN = 5002 };

#define LINES_MAX 16
#define LINE_SIZE 400

static struct attrs *attrs;
static struct export ex;
static char lines[LINES_MAX][LINE_SIZE];
static size_t n_lines;

static struct addr address(const char *text)
{
	struct addr a;

	assert_int_equal(addr_parse(text, &a), 0);
	return a;
}

__attribute__((format(printf, 2, 3))) static void say(char *line, const char *format, ...)
{
	size_t length = strlen(line);
	va_list args;

	va_start(args, format);
	vsnprintf(line + length, LINE_SIZE - length, format, args);
	va_end(args);
}

/* A target of AS 65000 as "rt 5001", or "rt derived 5001" in the form of RFC 8365. */
static void say_extended(char *line, uint64_t e)
{
	char text[EXTENDED_TEXT_SIZE];

	if (e >> 32 == extended_target_as2(65000, 0) >> 32)
		say(line, " rt %s%u", e & 0x10000000 ? "derived " : "", (uint32_t)e & 0xffffff);
	else
		say(line, " %s", extended_format(e, text));
}

static void describe(const struct export_change *c, char *line)
{
	static const char *const types[] = {"unicast", "ad", "mac", "imet", "es", "prefix"};
	const struct route_key *k = &c->nlri.key;
	char address_text[ADDR_TEXT_SIZE], mac[MAC_TEXT_SIZE];
	struct route_pmsi pmsi;

	line[0] = '\0';
	say(line, "%c%s", c->put ? '+' : '-', types[k->type]);
	if (k->type) {
		assert_memory_equal(k->rd.bytes, ((uint8_t[]){0, 1, 192, 0, 2, 1}), 6); /* RFC 7432 7.9 */
		say(line, " %u", k->rd.bytes[6] << 8 | k->rd.bytes[7]);
	}
	if (k->type == ROUTE_EVPN_MAC)
		say(line, " %s", mac_format(&k->mac, mac));
	if (k->length)
		say(line, " %s/%u", addr_format(&k->addr, address_text), k->length);
	if (!c->put)
		return;
	for (size_t i = 0; i < c->nlri.n_labels; i++)
		say(line, " vni %u", c->nlri.label[i]);
	for (size_t i = 0; i < c->attrs->n_extended; i++)
		say_extended(line, c->attrs->extended[i]);
	if (route_attrs_pmsi(c->attrs, &pmsi))
		say(line, " pmsi %u %u %s", pmsi.type, pmsi.label, addr_format(&pmsi.endpoint, address_text));
	say(line, " via %s", addr_format(&c->attrs->next_hop, address_text));
}

static void on_change(void *arg, const struct export_change *c)
{
	assert_in_range(n_lines, 0, LINES_MAX - 1);
	describe(c, lines[n_lines++]);
}

static int by_text(const void *a, const void *b)
{
	return strcmp(a, b);
}

static void expect(const char *const *want, size_t n)
{
	n_lines = 0;
	export_commit(&ex, on_change, NULL);
	qsort(lines, n_lines, LINE_SIZE, by_text);
	for (size_t i = 0; i < n && i < n_lines; i++)
		assert_string_equal(lines[i], want[i]);
	if (n_lines != n)
		fail_msg("%zu changes, %s", n_lines, n_lines > n ? lines[n] : want[n_lines]);
}

#define EXPECT(...) expect((const char *const[]){__VA_ARGS__}, sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *))
#define EXPECT_NOTHING() expect(NULL, 0)

#define VXLAN " encap:vxlan"
#define VIA " via 192.0.2.1"
#define OWN_MAC " 02:00:00:00:00:01"
#define ROUTER " router-mac:02:00:00:00:00:ff"
#define RT(vni) " rt " vni " rt derived " vni
#define RT_BOTH " rt 5000 rt 5001 rt derived 5000 rt derived 5001"
#define IMET(vni) "+imet " vni " 192.0.2.1/128" RT(vni) VXLAN " pmsi 6 " vni " 192.0.2.1" VIA
#define MAC_ALONE "+mac 5001" OWN_MAC " vni 5001" RT("5001")
#define MAC_WITH(address) "+mac 5001" OWN_MAC " " address "/128 vni 5001 vni 5000" RT_BOTH

static int up(void **state)
{
	const struct export_node node = {.as = 65000,
					 .router_id = 0xc0000201,
					 .underlay = address("192.0.2.1"),
					 .hop4 = address("192.0.2.1"),
					 .hop6 = address("2001:db8::1"),
					 .router_mac = {{2, 0, 0, 0, 0, 0xff}}};

	assert_int_equal(attrs_new(&attrs), 0);
	export_init(&ex, attrs, &node);
	assert_int_equal(export_vrf_put(&ex, &(struct export_vrf){.vni = RED, .tenant = RED}), 0);
	assert_int_equal(export_vrf_put(&ex, &(struct export_vrf){.vni = WEB, .tenant = RED, .routed = true}), 0);
	assert_int_equal(export_vrf_put(&ex, &(struct export_vrf){.vni = LAN, .tenant = RED}), 0);
	EXPECT_NOTHING();
	return 0;
}

static int down(void **state)
{
	export_fini(&ex);
	assert_int_equal(attrs_length(attrs), 0);
	attrs_free(attrs);
	return 0;
}

static struct addr two[2];

static struct export_port port(const char *name, uint32_t vni, size_t n_addresses)
{
	two[0] = address("10.0.1.11");
	two[1] = address("fd00:1::11");
	return (struct export_port){
		.name = name, .vni = vni, .mac = {{2, 0, 0, 0, 0, 1}}, .addresses = two, .n_addresses = n_addresses};
}

static void put(const struct export_port *p)
{
	assert_int_equal(export_port_put(&ex, p), 0);
}

static void port_of_a_routed_network_is_its_mac_its_addresses_and_a_member(void **state)
{
	struct export_port p = port("web1", WEB, 2);

	put(&p);
	EXPECT(IMET("5001"), MAC_WITH("10.0.1.11") VXLAN ROUTER VIA, MAC_WITH("fd00:1::11") VXLAN ROUTER VIA,
	       MAC_ALONE VXLAN VIA);
	put(&p);
	EXPECT_NOTHING();
	export_port_remove(&ex, "web1");
	EXPECT("-imet 5001 192.0.2.1/128", "-mac 5001" OWN_MAC, "-mac 5001" OWN_MAC " 10.0.1.11/128",
	       "-mac 5001" OWN_MAC " fd00:1::11/128");
	export_port_remove(&ex, "web1");
	EXPECT_NOTHING();
}

static void port_of_a_network_without_gateway_says_nothing_of_the_tenant(void **state)
{
	struct export_port p = port("lan1", LAN, 1);

	put(&p);
	EXPECT(IMET("5002"), "+mac 5002" OWN_MAC " 10.0.1.11/128 vni 5002" RT("5002") VXLAN VIA,
	       "+mac 5002" OWN_MAC " vni 5002" RT("5002") VXLAN VIA);
}

static void port_of_mode_l3_is_prefixes_of_the_tenant(void **state)
{
	struct export_port p = port("app1", RED, 2);

	put(&p);
	EXPECT("+prefix 5000 10.0.1.11/128 vni 5000" RT("5000") VXLAN ROUTER VIA,
	       "+prefix 5000 fd00:1::11/128 vni 5000" RT("5000") VXLAN ROUTER VIA);
}

static void port_without_encapsulation_is_unicast(void **state)
{
	struct export_port p = port("raw1", 0, 2);
	const struct addr link_local[] = {address("fe80::1"), address("10.0.1.11")};

	put(&p);
	EXPECT("+unicast 10.0.1.11/128" VIA, "+unicast fd00:1::11/128 via 2001:db8::1");
	p.addresses = link_local; /* nobody routes to the first */
	put(&p);
	EXPECT("-unicast fd00:1::11/128");
	p.vni = RED; /* it gets an encapsulation */
	put(&p);
	EXPECT("+prefix 5000 10.0.1.11/128 vni 5000" RT("5000") VXLAN ROUTER VIA,
	       "+prefix 5000 fe80::1/128 vni 5000" RT("5000") VXLAN ROUTER VIA, "-unicast 10.0.1.11/128");
}

static void unicast_goes_by_what_the_underlay_has(void **state)
{
	struct export_port p = port("raw1", 0, 2);

	ex.node.hop6 = (struct addr){0}; /* an underlay of IPv4 alone */
	put(&p);
	EXPECT("+unicast 10.0.1.11/128" VIA);
	ex.node.hop4 = ex.node.hop6 = address("2001:db8::1"); /* of IPv6 alone: RFC 8950 */
	put(&p);
	EXPECT("+unicast 10.0.1.11/128 via 2001:db8::1", "+unicast fd00:1::11/128 via 2001:db8::1");
}

static void note_tenant(void *arg, const struct export_change *c)
{
	assert_int_equal(c->tenant, *(const uint32_t *)arg);
	n_lines++;
}

static void each_route_says_whose_it_is(void **state)
{
	struct export_port web = port("web1", WEB, 1), app = port("app1", RED, 1), raw = port("raw1", 0, 1);
	uint32_t blue = 6000, red = RED, green = 7000;

	web.tenant = app.tenant = green; /* of those that have a VRF it is the VRF's */
	raw.tenant = green;
	put(&web);
	put(&app);
	n_lines = 0;
	export_commit(&ex, note_tenant, &red);
	assert_int_equal(n_lines, 4);
	put(&raw);
	export_commit(&ex, note_tenant, &green);
	assert_int_equal(n_lines, 5);
	/* the network goes to another tenant: its routes are the same, and say so */
	assert_int_equal(export_vrf_put(&ex, &(struct export_vrf){.vni = blue, .tenant = blue}), 0);
	assert_int_equal(export_vrf_put(&ex, &(struct export_vrf){.vni = WEB, .tenant = blue, .routed = true}), 0);
	export_commit(&ex, note_tenant, &blue);
	assert_int_equal(n_lines, 8);
	export_port_remove(&ex, "web1");
	export_commit(&ex, note_tenant, &blue);
	assert_int_equal(n_lines, 11);
	export_port_remove(&ex, "raw1");
	export_commit(&ex, note_tenant, &green);
	assert_int_equal(n_lines, 12);
}

static void moves_are_announced_with_their_sequence(void **state)
{
	struct export_port p = port("web1", WEB, 1);

	put(&p);
	EXPECT(IMET("5001"), MAC_WITH("10.0.1.11") VXLAN ROUTER VIA, MAC_ALONE VXLAN VIA);
	p.sequence = UINT32_MAX;
	put(&p);
	EXPECT(MAC_WITH("10.0.1.11") VXLAN " mobility:4294967295" ROUTER VIA,
	       MAC_ALONE VXLAN " mobility:4294967295" VIA);
	p.sticky = true; /* RFC 7432 15.2: with sequence 0 */
	put(&p);
	EXPECT(MAC_WITH("10.0.1.11") VXLAN " mobility:0,sticky" ROUTER VIA, MAC_ALONE VXLAN " mobility:0,sticky" VIA);
}

static void member_goes_with_the_last_port(void **state)
{
	struct export_port a = port("web1", WEB, 0), b = port("web2", WEB, 0);

	b.mac.bytes[5] = 2;
	put(&a);
	put(&b);
	n_lines = 0;
	export_commit(&ex, on_change, NULL);
	assert_int_equal(n_lines, 3);
	export_port_remove(&ex, "web1");
	EXPECT("-mac 5001" OWN_MAC);
	export_port_remove(&ex, "web2");
	EXPECT("-imet 5001 192.0.2.1/128", "-mac 5001 02:00:00:00:00:02");
}

static void what_goes_and_comes_in_one_batch_is_no_change(void **state)
{
	struct export_port a = port("web1", WEB, 1), b = port("web2", WEB, 1);

	put(&a);
	n_lines = 0;
	export_commit(&ex, on_change, NULL);
	export_port_remove(&ex, "web1");
	put(&b);
	EXPECT_NOTHING();
	put(&a); /* the other order: it has taken it before the other one leaves */
	export_port_remove(&ex, "web2");
	EXPECT_NOTHING();
	export_port_remove(&ex, "web1");
	n_lines = 0;
	export_commit(&ex, on_change, NULL);
	assert_int_equal(n_lines, 3);
}

static void port_that_moves_to_another_network_leaves_the_old_one(void **state)
{
	struct export_port p = port("web1", WEB, 0);

	put(&p);
	n_lines = 0;
	export_commit(&ex, on_change, NULL);
	p.vni = LAN;
	put(&p);
	EXPECT(IMET("5002"), "+mac 5002" OWN_MAC " vni 5002" RT("5002") VXLAN VIA, "-imet 5001 192.0.2.1/128",
	       "-mac 5001" OWN_MAC);
	export_vrf_remove(&ex, WEB);
	EXPECT_NOTHING();
	p.vni = WEB;
	assert_int_equal(export_port_put(&ex, &p), -ENOENT);
	EXPECT_NOTHING();
}

static void change_of_targets_changes_all_that_carry_them(void **state)
{
	const uint64_t by_hand[] = {extended_target_as2(65000, 9)};
	struct export_port web = port("web1", WEB, 1), app = port("app1", RED, 1);

	put(&web);
	put(&app);
	n_lines = 0;
	export_commit(&ex, on_change, NULL);
	assert_int_equal(export_vrf_put(&ex, &(struct export_vrf){.vni = RED, .tenant = RED, .targets = by_hand,
								  .n_targets = 1}), 0);
	EXPECT("+mac 5001" OWN_MAC " 10.0.1.11/128 vni 5001 vni 5000 rt 9" RT("5001") VXLAN ROUTER VIA,
	       "+prefix 5000 10.0.1.11/128 vni 5000 rt 9" VXLAN ROUTER VIA);
	assert_int_equal(export_vrf_put(&ex, &(struct export_vrf){.vni = WEB, .tenant = RED}), 0); /* no gateway now */
	EXPECT("+mac 5001" OWN_MAC " 10.0.1.11/128 vni 5001" RT("5001") VXLAN VIA);
}

static void networks_whose_vnis_share_the_lower_half_have_different_distinguishers(void **state)
{
	struct export_port p = port("other1", 65536 + WEB, 0);

	assert_int_equal(export_vrf_put(&ex, &(struct export_vrf){.vni = p.vni, .tenant = RED}), 0);
	put(&p);
	n_lines = 0;
	export_commit(&ex, on_change, NULL);
	assert_int_equal(n_lines, 2);
	for (size_t i = 0; i < 2; i++)
		assert_true(strstr(lines[i], " 5003 ") != NULL); /* 5001 and 5002 are taken */
}

static size_t n_each;

static void count(void *arg, const struct export_change *put)
{
	assert_true(put->put);
	n_each++;
}

static void new_neighbor_is_told_all_that_was_committed(void **state)
{
	struct export_port p = port("web1", WEB, 2);

	put(&p);
	export_each(&ex, count, NULL);
	assert_int_equal(n_each, 0);
	export_commit(&ex, on_change, NULL);
	export_each(&ex, count, NULL);
	assert_int_equal(n_each, 4);
}

static void memory_running_out_announces_nothing_half(void **state)
{
	struct export_port p = port("web1", WEB, 2);
	int r = -1;

	for (long allowed = 0; r != 0; allowed++) {
		assert_in_range(allowed, 0, 60);
		allocations_left = allowed;
		r = export_port_put(&ex, &p);
		allocations_left = -1;
		if (r != 0)
			EXPECT_NOTHING();
	}
	n_lines = 0;
	export_commit(&ex, on_change, NULL);
	assert_int_equal(n_lines, 4);
	p.sequence = 1;
	r = -1;
	for (long allowed = 0; r != 0; allowed++) {
		allocations_left = allowed;
		r = export_port_put(&ex, &p);
		allocations_left = -1;
		if (r != 0)
			EXPECT_NOTHING();
	}
	n_lines = 0;
	export_commit(&ex, on_change, NULL);
	assert_int_equal(n_lines, 3);
}

int main(void)
{
#define RIG(test) cmocka_unit_test_setup_teardown(test, up, down)
	const struct CMUnitTest tests[] = {
		RIG(port_of_a_routed_network_is_its_mac_its_addresses_and_a_member),
		RIG(port_of_a_network_without_gateway_says_nothing_of_the_tenant),
		RIG(port_of_mode_l3_is_prefixes_of_the_tenant),
		RIG(port_without_encapsulation_is_unicast),
		RIG(unicast_goes_by_what_the_underlay_has),
		RIG(each_route_says_whose_it_is),
		RIG(moves_are_announced_with_their_sequence),
		RIG(member_goes_with_the_last_port),
		RIG(what_goes_and_comes_in_one_batch_is_no_change),
		RIG(port_that_moves_to_another_network_leaves_the_old_one),
		RIG(change_of_targets_changes_all_that_carry_them),
		RIG(networks_whose_vnis_share_the_lower_half_have_different_distinguishers),
		RIG(new_neighbor_is_told_all_that_was_committed),
		RIG(memory_running_out_announces_nothing_half),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
