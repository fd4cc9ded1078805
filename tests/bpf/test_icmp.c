/* SPDX-License-Identifier: Apache-2.0 */
/* ICMP errors, byte for byte: too big, time exceeded, unreachable; and what must never be answered. */
#include <string.h>

#include "harness.h"

#define QUOTE4 512
#define QUOTE6 1024

static struct frame in, want;
static struct outcome o;

static struct mac6 mac(enum endpoint_id e)
{
	return mac_of(endpoints[e].mac);
}

/* The error about `in`, from `source`, to the endpoint that sent it. */
static void error_about(struct frame *f, enum endpoint_id to, const char *source, const char *source_mac, uint8_t type,
			uint8_t code, uint32_t info)
{
	bool v6 = strchr(source, ':');
	size_t l3 = f->size - 14, most = v6 ? QUOTE6 : QUOTE4;

	frame_begin(&want);
	frame_eth(&want, mac(to), mac_of(source_mac), v6 ? TYPE_IP6 : TYPE_IP4);
	frame_ip(&want, source, v6 ? endpoints[to].ip6 : endpoints[to].ip4, v6 ? IP_ICMP6 : IP_ICMP);
	if (!v6)
		frame_at(&want, LAYER_IP4)[1] = 0xc0; /* RFC 1812 4.3.2.5 */
	frame_icmp(&want, type, code, info);
	frame_bytes(&want, f->data + 14, l3 < most ? l3 : most);
	frame_end(&want);
}

static void expect_error(enum endpoint_id asker, enum drop_reason reason)
{
	for (int i = 0; i < DROP_MAX; i++)
		assert_int_equal(o.drops[i], i == (int)reason);
	expect_answer(&o, asker, &want);
	expect_count(&o, COUNTER_ICMP_ERRORS, 1);
}

static void udp_of_l3_size(enum endpoint_id from, enum endpoint_id to, bool v6, size_t l3)
{
	frame_udp_between(&in, from, to, v6, l3 - (v6 ? 48 : 28));
}

static void too_big_for_the_tunnel_of_a_routed_packet(void **state)
{
	static const struct {
		enum endpoint_id from, to;
		uint32_t mtu;
	} rows[] = { { APP1, APP4, 1450 },
		     { APP1, APP6, 1430 },
		     { WEB1, APP4, 1450 },
		     { WEB1, APP6, 1430 },
		     { APP1, SMALL1, 1300 } };

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct endpoint *e = &endpoints[rows[i].from];

		for (int v6 = 0; v6 < 2; v6++) {
			for (size_t over = 1; over <= 200 && rows[i].mtu + over <= 1500; over += over < 8 ? 1 : 31) {
				udp_of_l3_size(rows[i].from, rows[i].to, v6, rows[i].mtu + over);
				if (!v6 && over & 1)
					frame_df(&in); /* with or without: the answer is the same */
				from_port(rows[i].from, &in, &o);
				error_about(&in, rows[i].from, v6 ? e->gateway6 : e->gateway4, GATEWAY_MAC, v6 ? 2 : 3,
					    v6 ? 0 : 4, rows[i].mtu);
				expect_error(rows[i].from, DROP_TOO_BIG);
			}
			for (size_t under = 0; under <= 4; under++) {
				udp_of_l3_size(rows[i].from, rows[i].to, v6, rows[i].mtu - under);
				from_port(rows[i].from, &in, &o);
				expect_no_drop(&o);
				assert_int_equal(o.verdict, VERDICT_REDIRECT);
				expect_count(&o, COUNTER_ROUTED, 1);
			}
		}
	}
}

static void too_big_in_a_bridged_network_speaks_for_the_destination(void **state)
{
	static const struct {
		enum endpoint_id to;
		uint32_t mtu;
	} rows[] = { { WEB4, 1450 }, { WEB6, 1430 }, { SMALL1, 1300 } };

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct endpoint *e = &endpoints[rows[i].to];

		for (int v6 = 0; v6 < 2; v6++) {
			udp_of_l3_size(WEB1, rows[i].to, v6, rows[i].mtu + 1);
			from_port(WEB1, &in, &o);
			error_about(&in, WEB1, v6 ? e->ip6 : e->ip4, e->mac, v6 ? 2 : 3, v6 ? 0 : 4, rows[i].mtu);
			expect_error(WEB1, DROP_TOO_BIG);
			udp_of_l3_size(WEB1, rows[i].to, v6, rows[i].mtu);
			from_port(WEB1, &in, &o);
			expect_no_drop(&o);
		}
	}
}

static void time_exceeded(void **state)
{
	for (uint8_t ttl = 0; ttl <= 1; ttl++) {
		for (int v6 = 0; v6 < 2; v6++) {
			frame_udp_between(&in, APP1, APP4, v6, 33); /* an odd quote */
			frame_ttl(&in, ttl);
			from_port(APP1, &in, &o);
			error_about(&in, APP1, v6 ? "fd00:2::1" : "10.0.2.1", GATEWAY_MAC, v6 ? 3 : 11, 0, 0);
			expect_error(APP1, DROP_TTL_EXCEEDED);
			frame_udp_between(&in, WEB1, APP1, v6, 33);
			frame_ttl(&in, ttl);
			from_port(WEB1, &in, &o);
			error_about(&in, WEB1, v6 ? "fd00:1::1" : "10.0.1.1", GATEWAY_MAC, v6 ? 3 : 11, 0, 0);
			expect_error(WEB1, DROP_TTL_EXCEEDED);
		}
	}
	/* bridging is no hop */
	frame_udp_between(&in, WEB1, WEB2, false, 10);
	frame_ttl(&in, 1);
	from_port(WEB1, &in, &o);
	expect_port(&o, WEB2, &in);
}

static void to_address(enum endpoint_id from, const char *dst, uint8_t proto)
{
	bool v6 = strchr(dst, ':');

	frame_begin(&in);
	frame_eth(&in, mac_of(GATEWAY_MAC), mac(from), v6 ? TYPE_IP6 : TYPE_IP4);
	frame_ip(&in, v6 ? endpoints[from].ip6 : endpoints[from].ip4, dst, proto);
	if (proto == IP_UDP)
		frame_udp(&in, 1000, 33434);
	else if (proto == IP_TCP)
		frame_tcp(&in, 1000, 80);
	frame_fill(&in, 32);
	frame_end(&in);
}

static void unreachable(void **state)
{
	static const struct {
		const char *dst;
		enum drop_reason reason;
		uint8_t type, code;
	} rows[] = {
		{ "10.0.2.99", DROP_NO_HOST, 3, 1 },	    { "fd00:2::99", DROP_NO_HOST, 1, 3 },
		{ "10.0.1.99", DROP_NO_HOST, 3, 1 },	    { "fd00:1::99", DROP_NO_HOST, 1, 3 },
		{ "198.51.100.1", DROP_NO_ROUTE, 3, 0 },    { "2001:db8:99::1", DROP_NO_ROUTE, 1, 0 },
		{ "10.0.3.1", DROP_NO_ROUTE, 3, 0 },	    { "fd00:3::1", DROP_NO_ROUTE, 1, 0 },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		bool v6 = strchr(rows[i].dst, ':');

		to_address(APP1, rows[i].dst, IP_UDP);
		from_port(APP1, &in, &o);
		error_about(&in, APP1, v6 ? "fd00:2::1" : "10.0.2.1", GATEWAY_MAC, rows[i].type, rows[i].code, 0);
		expect_error(APP1, rows[i].reason);
		to_address(WEB1, rows[i].dst, IP_TCP);
		from_port(WEB1, &in, &o);
		error_about(&in, WEB1, v6 ? "fd00:1::1" : "10.0.1.1", GATEWAY_MAC, rows[i].type, rows[i].code, 0);
		expect_error(WEB1, rows[i].reason);
	}
}

static void without_a_gateway_the_source_is_a_dummy_address(void **state)
{
	struct abi_port port = { .vni = VNI_RED, .vrf = VNI_RED, .flags = PORT_L3 | PORT_SECURITY,
				 .nexthop = endpoints[APP1].nexthop, .owner = 13 };
	struct mac6 m = mac(APP1);

	memcpy(port.mac, m.b, 6);
	table_put("ports", &endpoints[APP1].ifindex, &port);
	to_address(APP1, "198.51.100.1", IP_UDP);
	from_port(APP1, &in, &o);
	error_about(&in, APP1, "192.0.0.8", GATEWAY_MAC, 3, 0, 0); /* RFC 7600 4.8 */
	expect_error(APP1, DROP_NO_ROUTE);
	to_address(APP1, "2001:db8:99::1", IP_UDP);
	from_port(APP1, &in, &o);
	error_about(&in, APP1, "fe80::1", GATEWAY_MAC, 1, 0, 0);
	expect_error(APP1, DROP_NO_ROUTE);
}

static void quotes_end_where_the_rfcs_say(void **state)
{
	static const size_t sizes[] = { 0, 1, 2, 3, 480, 483, 484, 485, 500, 900, 975, 976, 977, 1300 };

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		for (int v6 = 0; v6 < 2; v6++) {
			frame_udp_between(&in, APP1, APP2, v6, sizes[i]);
			frame_ttl(&in, 1);
			from_port(APP1, &in, &o);
			error_about(&in, APP1, v6 ? "fd00:2::1" : "10.0.2.1", GATEWAY_MAC, v6 ? 3 : 11, 0, 0);
			expect_error(APP1, DROP_TTL_EXCEEDED);
		}
	}
}

static void padding_is_not_quoted(void **state)
{
	for (int v6 = 0; v6 < 2; v6++) {
		frame_udp_between(&in, APP1, APP2, v6, 4);
		frame_ttl(&in, 1);
		error_about(&in, APP1, v6 ? "fd00:2::1" : "10.0.2.1", GATEWAY_MAC, v6 ? 3 : 11, 0, 0);
		frame_fill(&in, 30);
		from_port(APP1, &in, &o);
		expect_error(APP1, DROP_TTL_EXCEEDED);
	}
}

static void silently_dropped(enum drop_reason reason)
{
	from_port(APP1, &in, &o);
	expect_drop(&o, reason);
	expect_count(&o, COUNTER_ICMP_ERRORS, 0);
}

static void errors_are_not_answered_by_errors(void **state)
{
	static const uint8_t errors4[] = { 3, 4, 5, 11, 12 }, errors6[] = { 1, 2, 3, 4, 100, 127 };
	struct abi_port port = port_of(APP1);

	port.flags |= PORT_ALLOW_RA; /* redirects too */
	table_put("ports", &endpoints[APP1].ifindex, &port);
	for (size_t i = 0; i < sizeof(errors4); i++) {
		frame_between(&in, APP1, APP2, false, IP_ICMP);
		frame_icmp(&in, errors4[i], 0, 0);
		frame_fill(&in, 40);
		frame_end(&in);
		frame_ttl(&in, 1);
		silently_dropped(DROP_TTL_EXCEEDED);
	}
	for (size_t i = 0; i < sizeof(errors6); i++) {
		frame_between(&in, APP1, APP2, true, IP_ICMP6);
		frame_icmp(&in, errors6[i], 0, 0);
		frame_fill(&in, 40);
		frame_end(&in);
		frame_ttl(&in, 1);
		silently_dropped(DROP_TTL_EXCEEDED);
	}
	/* queries are */
	for (int v6 = 0; v6 < 2; v6++) {
		frame_between(&in, APP1, APP2, v6, v6 ? IP_ICMP6 : IP_ICMP);
		frame_icmp(&in, v6 ? 128 : 8, 0, 1);
		frame_fill(&in, 40);
		frame_end(&in);
		frame_ttl(&in, 1);
		from_port(APP1, &in, &o);
		error_about(&in, APP1, v6 ? "fd00:2::1" : "10.0.2.1", GATEWAY_MAC, v6 ? 3 : 11, 0, 0);
		expect_error(APP1, DROP_TTL_EXCEEDED);
	}
}

static void only_first_fragments_are_answered(void **state)
{
	static const uint8_t protocols[] = { IP_UDP, IP_TCP, 132 /* SCTP */ };
	static const uint8_t first[6] = { 0, 1, 0, 0, 0, 9 }, later[6] = { 0, 0x28, 0, 0, 0, 9 };

	for (size_t i = 0; i < sizeof(protocols); i++) {
		for (int is_first = 0; is_first < 2; is_first++) {
			for (int v6 = 0; v6 < 2; v6++) {
				frame_between(&in, APP1, APP2, v6, v6 ? 44 : protocols[i]);
				if (v6)
					frame_ext(&in, protocols[i], 0, is_first ? first : later);
				if (protocols[i] == IP_UDP)
					frame_udp(&in, 1000, 2000);
				else if (protocols[i] == IP_TCP)
					frame_tcp(&in, 1000, 2000);
				frame_fill(&in, 40);
				frame_end(&in);
				if (!v6) {
					frame_at(&in, LAYER_IP4)[6] = is_first ? 0x20 : 0;
					frame_at(&in, LAYER_IP4)[7] = is_first ? 0 : 5;
				}
				frame_ttl(&in, 1);
				if (!is_first) {
					silently_dropped(DROP_TTL_EXCEEDED);
					continue;
				}
				from_port(APP1, &in, &o);
				error_about(&in, APP1, v6 ? "fd00:2::1" : "10.0.2.1", GATEWAY_MAC, v6 ? 3 : 11, 0, 0);
				expect_error(APP1, DROP_TTL_EXCEEDED);
			}
		}
	}
}

static void multicast_and_broadcast_are_not_answered(void **state)
{
	/* bridged, larger than the copy's path: counted per copy, no ICMP */
	for (int v6 = 0; v6 < 2; v6++) {
		frame_begin(&in);
		frame_eth(&in, v6 ? mac_multicast6("ff05::1") : mac_of(BROADCAST), mac(WEB1), v6 ? TYPE_IP6 : TYPE_IP4);
		frame_ip(&in, v6 ? "fd00:1::11" : "10.0.1.11", v6 ? "ff05::1" : "10.0.1.255", IP_UDP);
		frame_udp(&in, 1, 2);
		frame_fill(&in, 1452 - 28);
		frame_end(&in);
		from_port(WEB1, &in, &o);
		expect_count(&o, COUNTER_ICMP_ERRORS, 0);
	}
	/* a unicast packet in a broadcast frame */
	to_address(APP1, "198.51.100.1", IP_UDP);
	memset(in.data, 0xff, 6);
	from_port(APP1, &in, &o);
	expect_count(&o, COUNTER_ICMP_ERRORS, 0);
	assert_int_equal(o.verdict, VERDICT_SHOT);
}

static void options_are_quoted_with_their_header(void **state)
{
	frame_begin(&in);
	frame_eth(&in, mac_of(GATEWAY_MAC), mac(APP1), TYPE_IP4);
	frame_ip(&in, "10.0.2.13", "10.0.2.14", IP_UDP);
	frame_at(&in, LAYER_IP4)[0] = 0x46;
	frame_bytes(&in, "\x94\x04\0\0", 4); /* router alert */
	frame_udp(&in, 1000, 2000);
	frame_fill(&in, 20);
	frame_end(&in);
	frame_ttl(&in, 1);
	from_port(APP1, &in, &o);
	error_about(&in, APP1, "10.0.2.1", GATEWAY_MAC, 11, 0, 0);
	expect_error(APP1, DROP_TTL_EXCEEDED);
}

/* What came whole through a tunnel and does not fit the port is answered into the tunnel. */
static void too_big_from_the_wire_is_answered_to_its_source(void **state)
{
	static struct frame inner;

	for (int v6 = 0; v6 < 2; v6++) {
		const char *dst = v6 ? endpoints[SMALL1].ip6 : endpoints[SMALL1].ip4;

		frame_udp_between(&inner, WEB4, SMALL1, v6, 1301 - (v6 ? 48 : 28));
		frame_from_wire(&in, NODE4, VNI_WEB, &inner);
		from_wire(&in, &o);
		error_about(&inner, WEB4, dst, endpoints[SMALL1].mac, v6 ? 2 : 3, v6 ? 0 : 4, 1300);
		assert_int_equal(o.drops[DROP_TOO_BIG], 1);
		expect_count(&o, COUNTER_ICMP_ERRORS, 1);
		o.drops[DROP_TOO_BIG] = 0;
		expect_tunnel(&o, NH_WEB4, VNI_WEB, &want);

		/* routed: back in the tenant's VNI, to the router that sent it */
		frame_udp_between(&inner, APP4, SMALL1, v6, 1301 - (v6 ? 48 : 28));
		memcpy(inner.data, mac_of(ROUTER_MAC).b, 6);
		memcpy(inner.data + 6, mac_of(ROUTER_MAC4).b, 6);
		frame_from_wire(&in, NODE4, VNI_RED, &inner);
		from_wire(&in, &o);
		error_about(&inner, APP4, v6 ? "fe80::1" : "192.0.0.8", ROUTER_MAC, v6 ? 2 : 3, v6 ? 0 : 4, 1300);
		memcpy(want.data, mac_of(ROUTER_MAC4).b, 6);
		assert_int_equal(o.drops[DROP_TOO_BIG], 1);
		o.drops[DROP_TOO_BIG] = 0;
		expect_tunnel(&o, NH_APP4, VNI_RED, &want);
	}
}

static void from_foreign(bool v6, uint8_t ttl, size_t l3)
{
	frame_udp_between(&in, FOREIGN1, SMALL1, v6, l3 - (v6 ? 48 : 28));
	frame_ttl(&in, ttl);
}

/* What a foreign host sends to the gateway is routed here, and so errors about it are made here and go back to its node. */
static void errors_reach_foreign_hosts(void **state)
{
	static struct frame outer;

	for (int v6 = 0; v6 < 2; v6++) {
		const char *self = v6 ? "fe80::1" : "192.0.0.8";

		from_foreign(v6, 1, 100);
		frame_from_wire(&outer, FOREIGN, VNI_FLO, &in);
		from_wire(&outer, &o);
		error_about(&in, FOREIGN1, self, GATEWAY_MAC, v6 ? 3 : 11, 0, 0);
		assert_int_equal(o.drops[DROP_TTL_EXCEEDED], 1);
		o.drops[DROP_TTL_EXCEEDED] = 0;
		expect_tunnel(&o, NH_FOREIGN, VNI_FLO, &want);

		from_foreign(v6, 64, 1301);
		frame_from_wire(&outer, FOREIGN, VNI_FLO, &in);
		from_wire(&outer, &o);
		error_about(&in, FOREIGN1, self, GATEWAY_MAC, v6 ? 2 : 3, v6 ? 0 : 4, 1300);
		assert_int_equal(o.drops[DROP_TOO_BIG], 1);
		o.drops[DROP_TOO_BIG] = 0;
		expect_tunnel(&o, NH_FOREIGN, VNI_FLO, &want);
	}
}

/* An error that a foreign host sends is carried like any packet, and never answered by one. */
static void errors_of_foreign_hosts_are_carried(void **state)
{
	static struct frame outer, quoted;

	for (int v6 = 0; v6 < 2; v6++) {
		for (int last = 0; last < 2; last++) {
			frame_udp_between(&quoted, APP1, FOREIGN1, v6, 20);
			frame_between(&in, FOREIGN1, APP1, v6, v6 ? IP_ICMP6 : IP_ICMP);
			frame_icmp(&in, v6 ? 1 : 3, v6 ? 4 : 3, 0);
			frame_bytes(&in, quoted.data + 14, quoted.size - 14);
			frame_end(&in);
			frame_ttl(&in, last ? 1 : 64);
			frame_from_wire(&outer, FOREIGN, VNI_FLO, &in);
			from_wire(&outer, &o);
			expect_count(&o, COUNTER_ICMP_ERRORS, 0);
			if (last) {
				assert_int_equal(o.drops[DROP_TTL_EXCEEDED], 1);
				assert_int_equal(o.verdict, VERDICT_SHOT);
				continue;
			}
			frame_ttl(&in, 63);
			memcpy(in.data, mac(APP1).b, 6);
			memcpy(in.data + 6, mac_of(GATEWAY_MAC).b, 6);
			expect_no_drop(&o);
			expect_port(&o, APP1, &in);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		DATAPATH_TEST(too_big_for_the_tunnel_of_a_routed_packet),
		DATAPATH_TEST(too_big_in_a_bridged_network_speaks_for_the_destination),
		DATAPATH_TEST(time_exceeded),
		DATAPATH_TEST(unreachable),
		DATAPATH_TEST(without_a_gateway_the_source_is_a_dummy_address),
		DATAPATH_TEST(quotes_end_where_the_rfcs_say),
		DATAPATH_TEST(padding_is_not_quoted),
		DATAPATH_TEST(errors_are_not_answered_by_errors),
		DATAPATH_TEST(only_first_fragments_are_answered),
		DATAPATH_TEST(multicast_and_broadcast_are_not_answered),
		DATAPATH_TEST(options_are_quoted_with_their_header),
		DATAPATH_TEST(too_big_from_the_wire_is_answered_to_its_source),
		DATAPATH_TEST(errors_reach_foreign_hosts),
		DATAPATH_TEST(errors_of_foreign_hosts_are_carried),
	};

	return DATAPATH_RUN(tests);
}
