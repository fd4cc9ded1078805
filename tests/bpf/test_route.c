/* SPDX-License-Identifier: Apache-2.0 */
/* Between and inside the networks of a tenant: MACs, TTL, the gateway's echo, and what cannot be routed. */
#include <string.h>

#include "harness.h"

static struct frame in, want;
static struct outcome o;

static struct mac6 mac(enum endpoint_id e)
{
	return mac_of(endpoints[e].mac);
}

/* `in` as it must look after one hop under these MACs. */
static void routed(const char *dst, const char *src)
{
	bool v6;

	frame_copy(&want, &in);
	v6 = want.data[12] == 0x86;
	memcpy(want.data, mac_of(dst).b, 6);
	memcpy(want.data + 6, mac_of(src).b, 6);
	frame_ttl(&want, (uint8_t)((v6 ? want.data[21] : want.data[22]) - 1));
}

static void local_destinations_get_their_own_mac(void **state)
{
	static const struct {
		enum endpoint_id from, to;
	} rows[] = { { APP1, APP2 }, { APP2, APP1 }, { WEB1, APP1 }, { APP1, WEB1 }, { WEB1, FLO1 }, { FLO1, WEB2 } };

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		for (int v6 = 0; v6 < 2; v6++) {
			frame_udp_between(&in, rows[i].from, rows[i].to, v6, 64);
			from_port(rows[i].from, &in, &o);
			routed(endpoints[rows[i].to].mac, GATEWAY_MAC);
			expect_port(&o, rows[i].to, &want);
			expect_count(&o, COUNTER_ROUTED, 1);
		}
	}
}

static void remote_destinations_go_to_the_routers_mac_in_the_tenants_vni(void **state)
{
	static const struct {
		enum endpoint_id from, to;
		uint32_t nexthop;
		const char *router;
	} rows[] = {
		{ APP1, APP4, NH_APP4, ROUTER_MAC4 }, { APP1, APP6, NH_APP6, ROUTER_MAC6 },
		{ WEB1, APP4, NH_APP4, ROUTER_MAC4 }, { WEB1, APP6, NH_APP6, ROUTER_MAC6 },
		{ APP1, WEB4, NH_WEB4, ROUTER_MAC4 }, { APP1, WEB6, NH_WEB6, ROUTER_MAC6 },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		for (int v6 = 0; v6 < 2; v6++) {
			frame_udp_between(&in, rows[i].from, rows[i].to, v6, 64);
			from_port(rows[i].from, &in, &o);
			routed(rows[i].router, ROUTER_MAC);
			expect_tunnel(&o, rows[i].nexthop, VNI_RED, &want);
			expect_count(&o, COUNTER_ROUTED, 1);
		}
	}
}

/* A host of the prefix in an own subnet, or known singly, is not the router's. */
static void what_no_host_has_goes_by_the_longest_prefix(void **state)
{
	static const struct {
		enum endpoint_id from, to;
		uint32_t nexthop;
		const char *router;
	} rows[] = {
		{ APP1, BEYOND4, NH_APP4, ROUTER_MAC4 }, { WEB1, BEYOND4, NH_APP4, ROUTER_MAC4 },
		{ APP1, BEYOND6, NH_APP6, ROUTER_MAC6 }, { FLO1, BEYOND6, NH_APP6, ROUTER_MAC6 },
	};
	struct abi_host_key host = host_key(VNI_RED, endpoints[BEYOND4].ip4);
	struct abi_host local = { .nexthop = endpoints[APP2].nexthop, .vni = VNI_RED, .flags = HOST_L3 };

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		for (int v6 = 0; v6 < 2; v6++) {
			frame_udp_between(&in, rows[i].from, rows[i].to, v6, 64);
			from_port(rows[i].from, &in, &o);
			routed(rows[i].router, ROUTER_MAC);
			expect_tunnel(&o, rows[i].nexthop, VNI_RED, &want);
			expect_count(&o, COUNTER_ROUTED, 1);
		}
	}
	memcpy(local.mac, mac(APP2).b, 6);
	table_put("hosts", &host, &local);
	frame_udp_between(&in, APP1, BEYOND4, false, 64);
	from_port(APP1, &in, &o);
	routed(endpoints[APP2].mac, GATEWAY_MAC);
	expect_port(&o, APP2, &want);
}

/* A network without a gateway is bridged alone; its next hops need not be as the tenant's are. */
static void nothing_is_routed_to_what_is_only_bridged(void **state)
{
	struct abi_host_key host = host_key(VNI_RED, endpoints[BEYOND4].ip4);
	struct abi_host remote = { .nexthop = NH_APP4, .vni = VNI_WEB, .flags = HOST_BRIDGED };

	table_put("hosts", &host, &remote);
	frame_udp_between(&in, APP1, BEYOND4, false, 64);
	from_port(APP1, &in, &o);
	expect_drop(&o, DROP_NO_HOST);
}

static void to_address(enum endpoint_id from, const char *address)
{
	bool v6 = strchr(address, ':');

	frame_begin(&in);
	frame_eth(&in, mac_of(GATEWAY_MAC), mac(from), v6 ? TYPE_IP6 : TYPE_IP4);
	frame_ip(&in, v6 ? endpoints[from].ip6 : endpoints[from].ip4, address, IP_UDP);
	frame_udp(&in, 1000, 2000);
	frame_fill(&in, 64);
	frame_end(&in);
}

/* ::/0 covers ::ffff:0:0/96 in the tables, and is no way for IPv4. */
static void the_whole_of_one_family_is_not_the_other(void **state)
{
	struct abi_prefix_key all = prefix_key(VNI_RED, "0.0.0.0", 0), all6 = prefix_key(VNI_RED, "::", 0);
	struct abi_prefix via = prefix_of(&all, VNI_RED, NH_APP4), via6 = prefix_of(&all6, VNI_RED, NH_APP6);

	table_put("prefixes", &all6, &via6);
	to_address(APP1, "2001:db8:77::1");
	from_port(APP1, &in, &o);
	routed(ROUTER_MAC6, ROUTER_MAC);
	expect_tunnel(&o, NH_APP6, VNI_RED, &want);
	to_address(APP1, "198.51.100.7");
	from_port(APP1, &in, &o);
	assert_int_equal(o.drops[DROP_NO_ROUTE], 1);
	table_put("prefixes", &all, &via);
	from_port(APP1, &in, &o);
	routed(ROUTER_MAC4, ROUTER_MAC);
	expect_tunnel(&o, NH_APP4, VNI_RED, &want);
	/* a subnet of the tenant's own inside of it has only the hosts that are known */
	to_address(APP1, "10.0.2.99");
	from_port(APP1, &in, &o);
	assert_int_equal(o.drops[DROP_NO_HOST], 1);
	/* and another tenant none of it */
	to_address(BLUE1, "198.51.100.7");
	from_port(BLUE1, &in, &o);
	assert_int_equal(o.drops[DROP_NO_ROUTE], 1);
}

static void a_prefix_can_have_a_vni_of_its_own(void **state)
{
	struct abi_prefix_key key = prefix_key(VNI_RED, "10.9.0.0", 16);
	struct abi_prefix via = prefix_of(&key, 7777, NH_APP4);

	table_put("prefixes", &key, &via);
	frame_udp_between(&in, APP1, BEYOND4, false, 64);
	from_port(APP1, &in, &o);
	routed(ROUTER_MAC4, ROUTER_MAC);
	expect_tunnel(&o, NH_APP4, 7777, &want);
}

/* Ports and nodes that bridge only do not route on; a hole is as a port that waits. */
static void a_prefix_leads_to_routers_only(void **state)
{
	static const struct {
		uint32_t nexthop;
		enum drop_reason reason;
	} rows[] = { { NH_PORT + 14, DROP_NO_HOST }, { NH_FOREIGN, DROP_NO_HOST }, { NH_DOWN, DROP_PORT_DOWN } };
	struct abi_prefix_key key = prefix_key(VNI_RED, "10.9.0.0", 16);

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct abi_prefix via = prefix_of(&key, VNI_RED, rows[i].nexthop);

		table_put("prefixes", &key, &via);
		frame_udp_between(&in, APP1, BEYOND4, false, 64);
		from_port(APP1, &in, &o);
		expect_drop(&o, rows[i].reason);
	}
}

static void a_routed_prefix_has_the_limits_of_its_tunnel(void **state)
{
	frame_udp_between(&in, APP1, BEYOND4, false, 1450 - 28);
	from_port(APP1, &in, &o);
	routed(ROUTER_MAC4, ROUTER_MAC);
	expect_tunnel(&o, NH_APP4, VNI_RED, &want);
	frame_udp_between(&in, APP1, BEYOND4, false, 1451 - 28);
	from_port(APP1, &in, &o);
	assert_int_equal(o.drops[DROP_TOO_BIG], 1);
	expect_count(&o, COUNTER_ICMP_ERRORS, 1);
	frame_udp_between(&in, APP1, BEYOND4, true, 8);
	frame_ttl(&in, 1);
	from_port(APP1, &in, &o);
	assert_int_equal(o.drops[DROP_TTL_EXCEEDED], 1);
}

static void a_foreign_node_gets_the_frame_in_the_network_itself(void **state)
{
	for (int v6 = 0; v6 < 2; v6++) {
		frame_udp_between(&in, WEB1, FOREIGN1, v6, 64);
		from_port(WEB1, &in, &o);
		routed(endpoints[FOREIGN1].mac, GATEWAY_MAC);
		expect_tunnel(&o, NH_FOREIGN, VNI_FLO, &want);
	}
}

static void every_ttl_is_decremented_with_a_right_checksum(void **state)
{
	for (int ttl = 2; ttl < 256; ttl++) {
		frame_between(&in, APP1, APP2, false, IP_UDP);
		frame_udp(&in, 1000, 2000);
		frame_fill(&in, (size_t)ttl); /* other checksums */
		frame_end(&in);
		frame_ttl(&in, (uint8_t)ttl);
		from_port(APP1, &in, &o);
		routed(endpoints[APP2].mac, GATEWAY_MAC);
		expect_port(&o, APP2, &want);
	}
}

static void checksums_at_the_edges_stay_right(void **state)
{
	/* identification sweeps the checksum over all values near 0 and 0xffff */
	for (unsigned id = 0; id < 0x10000; id += 0x101) {
		frame_udp_between(&in, APP1, APP2, false, 8);
		uint8_t *ip = frame_at(&in, LAYER_IP4);

		ip[4] = (uint8_t)(id >> 8);
		ip[5] = (uint8_t)id;
		frame_sum4(&in);
		from_port(APP1, &in, &o);
		routed(endpoints[APP2].mac, GATEWAY_MAC);
		expect_port(&o, APP2, &want);
	}
	for (int low = 0; low < 512; low++) {
		uint8_t *ip;
		unsigned sum;

		frame_udp_between(&in, APP1, APP2, false, 8);
		ip = frame_at(&in, LAYER_IP4);
		/* make the checksum 0xfe00 + low, by choosing the identification */
		ip[4] = ip[5] = 0;
		frame_sum4(&in);
		sum = (unsigned)(ip[10] << 8 | ip[11]);
		unsigned goal = (0xfe00u + (unsigned)low) & 0xffff, id = (sum + 0xffff - goal) % 0xffff;

		ip[4] = (uint8_t)(id >> 8);
		ip[5] = (uint8_t)id;
		frame_sum4(&in);
		from_port(APP1, &in, &o);
		routed(endpoints[APP2].mac, GATEWAY_MAC);
		expect_port(&o, APP2, &want);
	}
}

static void ports_of_l3_networks_route_whatever_the_destination_mac(void **state)
{
	frame_udp_between(&in, APP1, APP2, false, 64);
	memcpy(in.data, mac(APP2).b, 6);
	from_port(APP1, &in, &o);
	routed(endpoints[APP2].mac, GATEWAY_MAC);
	expect_port(&o, APP2, &want);
}

static void tenants_route_only_inside_themselves(void **state)
{
	frame_udp_between(&in, BLUE1, APP1, false, 64); /* blue has no 10.0.2.0/24 */
	from_port(BLUE1, &in, &o);
	assert_int_equal(o.drops[DROP_NO_ROUTE], 1);
	assert_int_equal(o.ifindex, endpoints[BLUE1].ifindex); /* the answer */
	frame_udp_between(&in, BLUE1, BLUE2, false, 64);
	memcpy(in.data, mac_of(GATEWAY_MAC).b, 6);
	from_port(BLUE1, &in, &o);
	routed(endpoints[BLUE2].mac, GATEWAY_MAC);
	expect_port(&o, BLUE2, &want); /* not web2, which has this address in red */
}

static void unroutable_packets_are_named(void **state)
{
	static const char *const four[] = { "255.255.255.255", "224.0.0.5", "239.1.1.1", "169.254.1.1", "0.0.0.0" };
	static const char *const six[] = { "ff02::5", "ff0e::1", "fe80::99", "::" };

	for (size_t i = 0; i < sizeof(four) / sizeof(four[0]); i++) {
		for (int from = 0; from < 2; from++) {
			enum endpoint_id e = from ? WEB1 : APP1;

			frame_begin(&in);
			frame_eth(&in, mac_of(GATEWAY_MAC), mac(e), TYPE_IP4);
			frame_ip(&in, endpoints[e].ip4, four[i], IP_UDP);
			frame_udp(&in, 1, 2);
			frame_end(&in);
			from_port(e, &in, &o);
			expect_drop(&o, DROP_NOT_ROUTABLE);
		}
	}
	for (size_t i = 0; i < sizeof(six) / sizeof(six[0]); i++) {
		frame_begin(&in);
		frame_eth(&in, mac_of(GATEWAY_MAC), mac(APP1), TYPE_IP6);
		frame_ip(&in, endpoints[APP1].ip6, six[i], IP_UDP);
		frame_udp(&in, 1, 2);
		frame_end(&in);
		from_port(APP1, &in, &o);
		expect_drop(&o, DROP_NOT_ROUTABLE);
	}
	/* a link-local source stays on its link */
	frame_begin(&in);
	frame_eth(&in, mac_of(GATEWAY_MAC), mac(APP1), TYPE_IP6);
	frame_ip(&in, "fe80::ff:fe00:201", "fd00:2::14", IP_UDP);
	frame_udp(&in, 1, 2);
	frame_end(&in);
	from_port(APP1, &in, &o);
	expect_drop(&o, DROP_NOT_ROUTABLE);
	/* non-IP in an l3 network */
	frame_begin(&in);
	frame_eth(&in, mac_of(GATEWAY_MAC), mac(APP1), 0x88b5);
	frame_fill(&in, 50);
	from_port(APP1, &in, &o);
	expect_drop(&o, DROP_NOT_ROUTABLE);
	/* broadcast frames of an l3 port go nowhere, also with a unicast packet inside */
	frame_udp_between(&in, APP1, APP2, false, 10);
	memset(in.data, 0xff, 6);
	from_port(APP1, &in, &o);
	expect_drop(&o, DROP_NOT_ROUTABLE);
}

static void packets_to_the_gateway_that_are_no_ping_are_dropped(void **state)
{
	frame_between(&in, WEB1, APP1, false, IP_UDP);
	in.size = 0;
	frame_begin(&in);
	frame_eth(&in, mac_of(GATEWAY_MAC), mac(WEB1), TYPE_IP4);
	frame_ip(&in, "10.0.1.11", "10.0.1.1", IP_UDP);
	frame_udp(&in, 1000, 53);
	frame_end(&in);
	from_port(WEB1, &in, &o);
	expect_drop(&o, DROP_NOT_ROUTABLE);
}

static void the_gateway_answers_ping(void **state)
{
	static const size_t sizes[] = { 0, 1, 56, 57, 1400 };
	static const char *const gateways4[] = { "10.0.1.1", "10.0.2.1",
						 "10.0.4.1" }; /* of any network of the tenant */
	static const char *const gateways6[] = { "fd00:1::1", "fd00:2::1", "fd00:4::1" };

	for (size_t g = 0; g < 3; g++) {
		for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
			for (int v6 = 0; v6 < 2; v6++) {
				const char *own = v6 ? "fd00:1::11" : "10.0.1.11";
				const char *gateway = v6 ? gateways6[g] : gateways4[g];

				frame_begin(&in);
				frame_eth(&in, mac_of(GATEWAY_MAC), mac(WEB1), v6 ? TYPE_IP6 : TYPE_IP4);
				frame_ip(&in, own, gateway, v6 ? IP_ICMP6 : IP_ICMP);
				frame_icmp(&in, v6 ? 128 : 8, 0, 0x12340007);
				frame_fill(&in, sizes[i]);
				frame_end(&in);
				frame_ttl(&in, i & 1 ? 1 : 63); /* a hop limit of 1 reaches the gateway */
				from_port(WEB1, &in, &o);

				frame_begin(&want);
				frame_eth(&want, mac(WEB1), mac_of(GATEWAY_MAC), v6 ? TYPE_IP6 : TYPE_IP4);
				frame_ip(&want, gateway, own, v6 ? IP_ICMP6 : IP_ICMP);
				frame_icmp(&want, v6 ? 129 : 0, 0, 0x12340007);
				frame_fill(&want, sizes[i]);
				frame_end(&want);
				expect_no_drop(&o);
				expect_answer(&o, WEB1, &want);
				expect_count(&o, COUNTER_ECHO_ANSWERED, 1);
			}
		}
	}
}

static void a_destination_behind_the_same_port_is_named(void **state)
{
	frame_udp_between(&in, WEB1, WEB1, false, 10);
	memcpy(in.data, mac_of(GATEWAY_MAC).b, 6);
	from_port(WEB1, &in, &o);
	expect_drop(&o, DROP_SAME_PORT);
}

static void a_host_whose_port_waits_is_named(void **state)
{
	frame_udp_between(&in, APP1, DOWN1, false, 10);
	from_port(APP1, &in, &o);
	expect_drop(&o, DROP_PORT_DOWN);
}

static void super_packets_are_measured_by_their_segments(void **state)
{
	struct run_options options = { .gso_size = 1460, .gso_segs = 2 };

	frame_between(&in, WEB1, APP2, false, IP_TCP);
	frame_tcp(&in, 1000, 2000);
	frame_fill(&in, 2920);
	frame_end(&in);
	run_with(HOST_PORT_INGRESS, endpoints[WEB1].ifindex, &in, &options, &o);
	routed(endpoints[APP2].mac, GATEWAY_MAC);
	expect_port(&o, APP2, &want);
	options.gso_size = 1461;
	run_with(HOST_PORT_INGRESS, endpoints[WEB1].ifindex, &in, &options, &o);
	assert_int_equal(o.drops[DROP_TOO_BIG], 1);
	expect_count(&o, COUNTER_ICMP_ERRORS, 1);
}

static void a_foreign_member_routes_through_us(void **state)
{
	static struct frame inner;

	for (int v6 = 0; v6 < 2; v6++) {
		frame_udp_between(&inner, FOREIGN1, APP1, v6, 64);
		frame_from_wire(&in, FOREIGN, VNI_FLO, &inner);
		from_wire(&in, &o);
		frame_copy(&in, &inner);
		routed(endpoints[APP1].mac, GATEWAY_MAC);
		expect_port(&o, APP1, &want);
	}
	/* on to another node */
	frame_udp_between(&inner, FOREIGN1, APP6, false, 64);
	frame_from_wire(&in, FOREIGN, VNI_FLO, &inner);
	from_wire(&in, &o);
	frame_copy(&in, &inner);
	routed(ROUTER_MAC6, ROUTER_MAC);
	expect_tunnel(&o, NH_APP6, VNI_RED, &want);
	/* and pings its gateway */
	frame_begin(&inner);
	frame_eth(&inner, mac_of(GATEWAY_MAC), mac(FOREIGN1), TYPE_IP4);
	frame_ip(&inner, "10.0.4.41", "10.0.4.1", IP_ICMP);
	frame_icmp(&inner, 8, 0, 0x10001);
	frame_fill(&inner, 56);
	frame_end(&inner);
	frame_from_wire(&in, FOREIGN, VNI_FLO, &inner);
	from_wire(&in, &o);
	frame_begin(&want);
	frame_eth(&want, mac(FOREIGN1), mac_of(GATEWAY_MAC), TYPE_IP4);
	frame_ip(&want, "10.0.4.1", "10.0.4.41", IP_ICMP);
	frame_icmp(&want, 0, 0, 0x10001);
	frame_fill(&want, 56);
	frame_end(&want);
	expect_tunnel(&o, NH_FOREIGN, VNI_FLO, &want);
}

static void a_node_of_ours_does_not_route_through_us(void **state)
{
	static struct frame inner;

	frame_udp_between(&inner, FLO4, APP1, false, 64); /* to the gateway's MAC, over the wire: it has one itself */
	frame_from_wire(&in, NODE4, VNI_FLO, &inner);
	from_wire(&in, &o);
	expect_count(&o, COUNTER_ROUTED, 0);
	for (size_t i = 0; i < o.copies_length; i++)
		assert_int_not_equal(o.copies[i].ifindex, endpoints[APP1].ifindex);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		DATAPATH_TEST(local_destinations_get_their_own_mac),
		DATAPATH_TEST(remote_destinations_go_to_the_routers_mac_in_the_tenants_vni),
		DATAPATH_TEST(what_no_host_has_goes_by_the_longest_prefix),
		DATAPATH_TEST(nothing_is_routed_to_what_is_only_bridged),
		DATAPATH_TEST(the_whole_of_one_family_is_not_the_other),
		DATAPATH_TEST(a_prefix_can_have_a_vni_of_its_own),
		DATAPATH_TEST(a_prefix_leads_to_routers_only),
		DATAPATH_TEST(a_routed_prefix_has_the_limits_of_its_tunnel),
		DATAPATH_TEST(a_foreign_node_gets_the_frame_in_the_network_itself),
		DATAPATH_TEST(every_ttl_is_decremented_with_a_right_checksum),
		DATAPATH_TEST(checksums_at_the_edges_stay_right),
		DATAPATH_TEST(ports_of_l3_networks_route_whatever_the_destination_mac),
		DATAPATH_TEST(tenants_route_only_inside_themselves),
		DATAPATH_TEST(unroutable_packets_are_named),
		DATAPATH_TEST(packets_to_the_gateway_that_are_no_ping_are_dropped),
		DATAPATH_TEST(the_gateway_answers_ping),
		DATAPATH_TEST(a_destination_behind_the_same_port_is_named),
		DATAPATH_TEST(a_host_whose_port_waits_is_named),
		DATAPATH_TEST(super_packets_are_measured_by_their_segments),
		DATAPATH_TEST(a_foreign_member_routes_through_us),
		DATAPATH_TEST(a_node_of_ours_does_not_route_through_us),
	};

	return DATAPATH_RUN(tests);
}
