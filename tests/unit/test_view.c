/* SPDX-License-Identifier: Apache-2.0 */
/* Lists that are read piece by piece while the configuration changes, and sampled drops decoded. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "agent/command.h"
#include "agent/view.h"
#include "conf/conf.h"

#define HEAD                                                                                                           \
	"version: 1\nfabric: {encryption: never, encap: vxlan}\nsites: {dc: {}}\n"                                     \
	"nodes: {dc1: {site: dc, underlay: 192.0.2.1}, dc2: {site: dc, underlay: 192.0.2.2}}\n"                        \
	"tenants: {red: {vni: 5000, networks: {web: {mode: l2, vni: 5001, subnets: [10.0.0.0/16]}}}}\nports:\n"

/* Ports p0..p9 with three addresses each, without those whose digit stands in `without`. */
static struct config *make(const char *without)
{
	struct conf_errors errors = {0};
	struct config *c = NULL;
	char text[4096];
	size_t n = (size_t)snprintf(text, sizeof(text), HEAD);

	for (int i = 0; i < 10; i++)
		if (!strchr(without, '0' + i))
			n += (size_t)snprintf(text + n, sizeof(text) - n,
					      "  p%d: {node: dc2, interface: p%d, network: red/web, mac: \"02:00:00:00:00:0%d\", "
					      "addresses: [10.0.%d.1, 10.0.%d.2, 10.0.%d.3]}\n",
					      i, i, i, i, i, i);
	if (conf_load(&(struct conf_source){.name = "t", .text = text, .size = n}, 1, &c, &errors) < 0) {
		conf_errors_print(&errors, stderr);
		fail();
	}
	return c;
}

/* The addresses that a walk in small pieces names, in order; the configuration becomes `then` when `at` was seen. */
static void walk(const char *first, const char *at, const char *then, char out[static 4096])
{
	struct config *before = make(first), *after = make(then);
	struct agent a = {.config = before};
	struct api_reply reply;
	const struct api_route *routes;
	char text[65536] = "";
	size_t n, size = 0, used;
	bool swapped = false;

	a.self = config_node(before, "dc1");
	routes = command_routes(&n);
	server_dispatch(routes, n, &a, "GET", "/v1/hosts?stream&all", NULL, 0, &reply);
	assert_int_equal(reply.status, 200);
	while (reply.next(reply.stream, text + size, 100, &used)) {
		size += used;
		text[size] = '\0';
		if (swapped || !strstr(text, at))
			continue;
		swapped = true;
		a.config = after;
		a.self = config_node(after, "dc1");
		config_free(before);
		before = NULL;
	}
	api_reply_fini(&reply);
	config_free(before);
	config_free(after);
	*out = '\0';
	for (const char *p = text; (p = strstr(p, "\"address\":\"10.0.")); p++)
		snprintf(out + strlen(out), 4096 - strlen(out), "%.3s ", p + strlen("\"address\":\"10.0."));
}

static void a_list_is_whole(void **state)
{
	char seen[4096];

	walk("3456789", "nothing", "", seen);
	assert_string_equal(seen, "0.1 0.2 0.3 1.1 1.2 1.3 2.1 2.2 2.3 ");
}

static void a_list_goes_on_when_what_it_was_at_is_removed(void **state)
{
	char seen[4096];

	walk("", "10.0.4.1", "4", seen);
	assert_non_null(strstr(seen, "3.3 4.1 "));
	assert_non_null(strstr(seen, "5.1 5.2 5.3 6.1 "));
	assert_null(strstr(seen, "4.3"));
	assert_non_null(strstr(seen, "9.3"));
}

static void a_list_names_nothing_twice_when_others_come_and_go(void **state)
{
	char seen[4096];

	walk("012", "10.0.5.2", "39", seen);
	assert_string_equal(seen, "3.1 3.2 3.3 4.1 4.2 4.3 5.1 5.2 5.3 6.1 6.2 6.3 7.1 7.2 7.3 8.1 8.2 8.3 ");
}

static void a_list_ends_when_everything_is_removed(void **state)
{
	char seen[4096];

	walk("", "10.0.2.2", "0123456789", seen);
	assert_non_null(strstr(seen, "2.2 "));
	assert_null(strstr(seen, "3.1"));
}

/* ---- sampled drops ---- */

static char *event_text(const struct abi_event *e)
{
	struct agent a = {0};
	struct json j = {0};
	char *text;

	view_event(&j, &a, e);
	text = json_take(&j, NULL);
	assert_non_null(text);
	return text;
}

static void assert_event(const struct abi_event *e, const char *part)
{
	char *text = event_text(e);

	if (!strstr(text, part))
		fail_msg("%s is not in %s", part, text);
	free(text);
}

static void set_bytes(struct abi_event *e, const char *hex)
{
	unsigned byte;

	e->snap_size = 0;
	for (; sscanf(hex, " %2x", &byte) == 1; hex += strspn(hex, " "), hex += 2)
		e->data[e->snap_size++] = (uint8_t)byte;
	e->size = e->snap_size;
}

#define ETH4 "020000000002 020000000001 0800 "
#define TCP4 "45000028 00004000 40060000 0a000001 0a000002 1234 0050 "

static void an_event_names_who_sent_what_to_whom(void **state)
{
	struct abi_event e = {.reason = DROP_IP_SPOOFED, .direction = FROM_PORT};

	set_bytes(&e, ETH4 TCP4);
	assert_event(&e, "\"reason\":\"ip_spoofed\",\"direction\":\"from-port\"");
	assert_event(&e, "\"srcMac\":\"02:00:00:00:00:01\",\"dstMac\":\"02:00:00:00:00:02\",\"protocol\":\"tcp\","
			 "\"src\":\"10.0.0.1\",\"dst\":\"10.0.0.2\",\"srcPort\":4660,\"dstPort\":80,\"outerSrc\":null");
}

static void an_event_of_a_tunnel_packet_is_about_the_inner_one(void **state)
{
	struct abi_event e = {.reason = DROP_NOT_LOCAL, .direction = FROM_WIRE};

	set_bytes(&e, "0200000000aa 0200000000bb 0800 45000060 00004000 40110000 c6330001 c6330002 c000 12b5 004c0000 "
		      "0800000000138900 " ETH4 TCP4);
	assert_event(&e, "\"src\":\"10.0.0.1\",\"dst\":\"10.0.0.2\",\"srcPort\":4660,\"dstPort\":80,\"outerSrc\":\"198.51.0.1\"");
}

static void an_event_of_an_unknown_tunnel_tells_of_the_outer_packet(void **state)
{
	struct abi_event e = {.reason = DROP_UNKNOWN_VTEP, .direction = FROM_WIRE};

	set_bytes(&e, "0200000000aa 0200000000bb 0800 45000060 00004000 40110000 c6330001 c6330002 c000 12b5");
	assert_event(&e, "\"protocol\":\"udp\",\"src\":\"198.51.0.1\"");
}

static void an_event_knows_arp_and_ipv6(void **state)
{
	struct abi_event e = {.reason = DROP_ARP_SPOOFED};

	set_bytes(&e, "ffffffffffff 020000000001 0806 0001 0800 0604 0001 020000000001 0a000001 000000000000 0a000002");
	assert_event(&e, "\"protocol\":\"arp\",\"src\":\"10.0.0.1\",\"dst\":\"10.0.0.2\"");
	set_bytes(&e, "020000000002 020000000001 86dd 60000000 0010 00 40 fd000000000000000000000000000001 "
		      "fd000000000000000000000000000002 3a 00 00 00 00 00 00 00 80 00 00 00");
	assert_event(&e, "\"protocol\":\"icmpv6\",\"src\":\"fd00::1\",\"dst\":\"fd00::2\",\"srcPort\":null");
}

static void an_event_cut_anywhere_is_read_no_further(void **state)
{
	static const char *const frames[] = {
		"0200000000aa 0200000000bb 0800 45000060 00004000 40110000 c6330001 c6330002 c000 12b5 004c0000 "
		"0800000000138900 " ETH4 TCP4,
		("020000000002 020000000001 86dd 60000000 0010 00 40 fd000000000000000000000000000001 "
		 "fd000000000000000000000000000002 3c ff 00 00 00 00 00 00 80 00 00 00"),
		"020000000002 020000000001 0800 4f000028 00004000 40060000 0a000001 0a000002 1234 0050",
	};

	for (size_t i = 0; i < sizeof(frames) / sizeof(frames[0]); i++) {
		struct abi_event whole = {0};

		set_bytes(&whole, frames[i]);
		for (uint8_t n = 0; n <= whole.snap_size; n++)
			for (unsigned d = FROM_PORT; d <= TO_PORT + 1; d++) {
				struct abi_event zeros = whole, ones = whole;
				char *texts[2];

				/* What stands behind the captured bytes must not matter. */
				memset(zeros.data + n, 0, sizeof(zeros.data) - n);
				memset(ones.data + n, 0xff, sizeof(ones.data) - n);
				zeros.snap_size = ones.snap_size = n;
				zeros.direction = ones.direction = (uint8_t)d;
				zeros.reason = ones.reason = d > TO_PORT ? 60000 : DROP_MALFORMED;
				texts[0] = event_text(&zeros);
				texts[1] = event_text(&ones);
				assert_string_equal(strstr(texts[0], "\"reason\""), strstr(texts[1], "\"reason\""));
				free(texts[0]);
				free(texts[1]);
			}
		whole.snap_size = 255; /* more than there can be */
		assert_event(&whole, "\"size\":");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_list_is_whole),
		cmocka_unit_test(a_list_goes_on_when_what_it_was_at_is_removed),
		cmocka_unit_test(a_list_names_nothing_twice_when_others_come_and_go),
		cmocka_unit_test(a_list_ends_when_everything_is_removed),
		cmocka_unit_test(an_event_names_who_sent_what_to_whom),
		cmocka_unit_test(an_event_of_a_tunnel_packet_is_about_the_inner_one),
		cmocka_unit_test(an_event_of_an_unknown_tunnel_tells_of_the_outer_packet),
		cmocka_unit_test(an_event_knows_arp_and_ipv6),
		cmocka_unit_test(an_event_cut_anywhere_is_read_no_further),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
