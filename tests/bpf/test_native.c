/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Without encapsulation: what a port of green sends leaves by the kernel's routes as it is, and what the underlay brings
 * for it is let in; whoever else it is for, or says it is from, is not.
 */
#include <arpa/inet.h>
#include <string.h>

#include "harness.h"

static struct frame in, packet, want;
static struct outcome o;

static void hop(const char *dst, const char *src, const struct frame *of)
{
	bool v6;

	frame_copy(&want, of);
	v6 = want.data[12] == 0x86;
	memcpy(want.data, mac_of(dst).b, 6);
	memcpy(want.data + 6, mac_of(src).b, 6);
	frame_ttl(&want, (uint8_t)((v6 ? want.data[21] : want.data[22]) - 1));
}

static void expect_underlay(void)
{
	expect_no_drop(&o);
	assert_int_equal(o.verdict, VERDICT_REDIRECT);
	assert_int_equal(o.how, HOST_REDIRECT_EGRESS);
	assert_int_equal(o.ifindex, IF_UNDERLAY);
	assert_int_not_equal(o.mark, ABI_MARK);
	expect_bytes(&o, &want);
	expect_count(&o, COUNTER_NATIVE_OUT, 1);
	expect_count(&o, COUNTER_ROUTED, 1);
	expect_count(&o, COUNTER_ENCAP, 0);
	expect_count(&o, COUNTER_TO_PORT, 0);
}

/* Left to the node's own stack, as it came. */
static void expect_untouched(void)
{
	expect_no_drop(&o);
	assert_int_equal(o.verdict, VERDICT_UNSPEC);
	expect_bytes(&o, &in);
	expect_count(&o, COUNTER_NATIVE_IN, 0);
	expect_count(&o, COUNTER_TO_PORT, 0);
}

static void expect_error(enum drop_reason reason)
{
	for (int i = 0; i < DROP_MAX; i++)
		assert_int_equal(o.drops[i], i == (int)reason);
	expect_count(&o, COUNTER_ICMP_ERRORS, 1);
}

/* `in` is a packet of the underlay between these addresses, by way of NODE4. */
static void arrive(const char *src, const char *dst)
{
	bool v6 = strchr(src, ':');

	frame_begin(&in);
	frame_eth(&in, mac_of(UNDERLAY_MAC), mac_of(NODE4_MAC), v6 ? TYPE_IP6 : TYPE_IP4);
	frame_ip(&in, src, dst, IP_UDP);
	frame_udp(&in, 1000, 2000);
	frame_fill(&in, 64);
	frame_end(&in);
}

static void leave(enum endpoint_id from, const char *dst)
{
	bool v6 = strchr(dst, ':');

	frame_begin(&in);
	frame_eth(&in, mac_of(GATEWAY_MAC), mac_of(endpoints[from].mac), v6 ? TYPE_IP6 : TYPE_IP4);
	frame_ip(&in, v6 ? endpoints[from].ip6 : endpoints[from].ip4, dst, IP_UDP);
	frame_udp(&in, 1000, 2000);
	frame_fill(&in, 64);
	frame_end(&in);
}

static void a_packet_leaves_as_it_is_twice(void **state)
{
	for (int v6 = 0; v6 < 2; v6++) {
		frame_udp_between(&in, GREEN1, GREEN4, v6, 64);
		hop(v6 ? NODE6_MAC : NODE4_MAC, UNDERLAY_MAC, &in);
		for (int again = 0; again < 3; again++) { /* by memo, too */
			from_port(GREEN1, &in, &o);
			expect_underlay();
		}
	}
}

static void a_packet_arrives_as_it_is_twice(void **state)
{
	static const enum endpoint_id to[] = { GREEN1, GREEN2 };

	for (size_t i = 0; i < 2; i++) {
		for (int v6 = 0; v6 < 2; v6++) {
			frame_udp_between(&packet, GREEN4, to[i], v6, 64);
			frame_native(&in, v6 ? NODE6_MAC : NODE4_MAC, &packet);
			hop(endpoints[to[i]].mac, GATEWAY_MAC, &in);
			for (int again = 0; again < 3; again++) {
				from_wire(&in, &o);
				expect_port(&o, to[i], &want);
				expect_count(&o, COUNTER_NATIVE_IN, 1);
				expect_count(&o, COUNTER_DECAP, 0);
			}
		}
	}
}

static void ports_of_one_node_meet_there(void **state)
{
	for (int v6 = 0; v6 < 2; v6++) {
		frame_udp_between(&in, GREEN1, GREEN2, v6, 64);
		from_port(GREEN1, &in, &o);
		hop(endpoints[GREEN2].mac, GATEWAY_MAC, &in);
		expect_port(&o, GREEN2, &want);
		expect_count(&o, COUNTER_NATIVE_OUT, 0);
	}
}

static void the_kernel_resolves_the_next_hop(void **state)
{
	for (int v6 = 0; v6 < 2; v6++) {
		frame_udp_between(&in, GREEN1, GREEN6, v6, 64);
		from_port(GREEN1, &in, &o);
		expect_no_drop(&o);
		assert_int_equal(o.verdict, VERDICT_REDIRECT);
		assert_int_equal(o.how, HOST_REDIRECT_NEIGH);
		assert_int_equal(o.ifindex, IF_UNDERLAY);
		hop(GATEWAY_MAC, endpoints[GREEN1].mac, &in);
		expect_bytes(&o, &want);
		expect_count(&o, COUNTER_NATIVE_OUT, 1);
	}
}

/* The rest of the underlay is as near as the node's routing makes it; the node itself is not a part of it. */
static void the_rest_of_the_underlay_is_reached(void **state)
{
	static const char *const nowhere[] = { "203.0.113.9", SELF4, SELF6, "2001:db8:5::1", ELSEWHERE4, ELSEWHERE6 };

	leave(GREEN1, NODE4);
	from_port(GREEN1, &in, &o);
	hop(NODE4_MAC, UNDERLAY_MAC, &in);
	expect_underlay();
	leave(GREEN1, NODE6);
	from_port(GREEN1, &in, &o);
	hop(NODE6_MAC, UNDERLAY_MAC, &in);
	expect_underlay();
	for (size_t i = 0; i < sizeof(nowhere) / sizeof(nowhere[0]); i++) {
		leave(GREEN1, nowhere[i]);
		from_port(GREEN1, &in, &o);
		expect_error(DROP_NO_ROUTE);
		assert_int_equal(o.ifindex, endpoints[GREEN1].ifindex);
	}
	/* a host of the tenant that has no route is named otherwise, and so is none */
	leave(GREEN1, "10.7.0.43");
	from_port(GREEN1, &in, &o);
	expect_drop(&o, DROP_NO_UNDERLAY_ROUTE);
	leave(GREEN1, "10.7.0.99");
	from_port(GREEN1, &in, &o);
	expect_error(DROP_NO_HOST);
	/* from other tenants there is no way into it */
	leave(APP1, NODE4);
	from_port(APP1, &in, &o);
	expect_error(DROP_NO_ROUTE);
	leave(APP1, "10.7.0.41");
	from_port(APP1, &in, &o);
	expect_error(DROP_NO_ROUTE);
}

static void sources_are_checked_as_at_any_port(void **state)
{
	leave(GREEN1, NODE4);
	in.data[14 + 15] = 99; /* 10.7.0.99 */
	frame_sum4(&in);
	from_port(GREEN1, &in, &o);
	expect_drop(&o, DROP_IP_SPOOFED);
}

static void the_underlay_reaches_ports_of_this_tenant_only(void **state)
{
	arrive(NODE4, endpoints[GREEN1].ip4); /* a host of the underlay */
	from_wire(&in, &o);
	hop(endpoints[GREEN1].mac, GATEWAY_MAC, &in);
	expect_port(&o, GREEN1, &want);
	for (enum endpoint_id e = 0; e < ENDPOINT_MAX; e++) {
		if (endpoints[e].vrf == VNI_GREEN && endpoints[e].ifindex)
			continue;
		arrive(NODE4, endpoints[e].ip4);
		from_wire(&in, &o);
		expect_untouched();
		arrive(NODE6, endpoints[e].ip6);
		from_wire(&in, &o);
		expect_untouched();
	}
	arrive(NODE4, "10.7.0.1"); /* the gateway is for ports */
	from_wire(&in, &o);
	expect_untouched();
	arrive(NODE4, SELF4);
	from_wire(&in, &o);
	expect_untouched();
}

static void set_node(uint32_t native_vrf, uint32_t wire, uint32_t second_wire)
{
	struct abi_node n = { .underlay = { addr_of(SELF6), addr_of(SELF4) }, .vxlan_port = htons(VXLAN_PORT),
			      .native_vrf = native_vrf, .wires = { wire, second_wire } };
	const uint32_t zero = 0;

	memcpy(n.gateway_mac, mac_of(GATEWAY_MAC).b, 6);
	memcpy(n.router_mac, mac_of(ROUTER_MAC).b, 6);
	table_put("node", &zero, &n);
}

/* A tunnel packet in the name of a member would be taken for the member's, into any tenant. */
static void nobody_speaks_for_another_even_without_port_security(void **state)
{
	static const char *const of_others[] = { NODE4, "10.7.0.26", "203.0.113.9" };
	struct abi_port port = port_of(GREEN1);

	port.flags &= ~(uint32_t)PORT_SECURITY;
	table_put("ports", &endpoints[GREEN1].ifindex, &port);
	frame_udp_between(&in, GREEN1, GREEN4, false, 64);
	from_port(GREEN1, &in, &o);
	expect_no_drop(&o);
	assert_int_equal(o.ifindex, IF_UNDERLAY);
	for (size_t i = 0; i < sizeof(of_others) / sizeof(of_others[0]); i++) {
		frame_udp_between(&in, GREEN1, GREEN4, false, 64);
		memcpy(in.data + 26, &addr_of(of_others[i]).be32[3], 4);
		frame_sum4(&in);
		from_port(GREEN1, &in, &o);
		expect_drop(&o, DROP_IP_SPOOFED);
	}
	frame_udp_between(&in, GREEN1, GREEN4, true, 64);
	in.data[22] ^= 1;
	from_port(GREEN1, &in, &o);
	expect_drop(&o, DROP_IP_SPOOFED);
}

static void other_devices_and_other_macs_are_left_alone(void **state)
{
	frame_udp_between(&packet, GREEN4, GREEN1, false, 64);
	frame_native(&in, NODE4_MAC, &packet);
	in.data[5]++; /* seen by a promiscuous device */
	from_wire(&in, &o);
	expect_untouched();
	memset(in.data, 0xff, 6);
	from_wire(&in, &o);
	expect_untouched();
	frame_native(&in, NODE4_MAC, &packet);
	run(HOST_WIRE_INGRESS, IF_PORTS, &in, &o); /* no underlay device; whose MAC it has */
	assert_int_equal(o.verdict, VERDICT_UNSPEC);
	set_node(0, IF_UNDERLAY, 0); /* no tenant is without encapsulation */
	from_wire(&in, &o);
	expect_untouched();
	set_node(VNI_RED, IF_UNDERLAY, 0);
	from_wire(&in, &o);
	expect_untouched();
	frame_udp_between(&in, GREEN1, GREEN4, false, 64);
	from_port(GREEN1, &in, &o);
	expect_drop(&o, DROP_NO_UNDERLAY_ROUTE);
}

/* What was remembered of a flow goes when the node says otherwise. */
static void a_memo_does_not_outlive_the_tenants_way(void **state)
{
	frame_udp_between(&packet, GREEN4, GREEN1, false, 64);
	frame_native(&in, NODE4_MAC, &packet);
	for (int again = 0; again < 2; again++)
		from_wire(&in, &o);
	expect_count(&o, COUNTER_NATIVE_IN, 1);
	set_node(VNI_GREEN, IF_UNDERLAY + 1, 0);
	from_wire(&in, &o);
	expect_untouched();
}

static void a_source_has_to_be_routed_to_the_underlay(void **state)
{
	static const char *const four[] = {
		"203.0.113.9", /* no route */
		"10.7.0.43",   /* a host of the tenant without one */
		"10.7.0.26",   /* a port here */
		"10.7.0.25",   /* the receiver */
		"10.7.0.1",    /* the gateway */
		"10.7.0.99",   /* nobody of the subnet */
		SELF4, ELSEWHERE4, "127.0.0.1", "0.0.0.0", "240.0.0.1", "169.254.0.9",
	};
	static const char *const six[] = { "2001:db8:5::1", "fd00:7::43", "fd00:7::26", "fd00:7::25", "fd00:7::1", "fd00:7::99",
					   SELF6, ELSEWHERE6, "::1", "::", "fe80::1" };

	for (size_t i = 0; i < sizeof(four) / sizeof(four[0]); i++) {
		arrive(four[i], endpoints[GREEN1].ip4);
		from_wire(&in, &o);
		expect_drop(&o, DROP_UNDERLAY_SPOOFED);
	}
	for (size_t i = 0; i < sizeof(six) / sizeof(six[0]); i++) {
		arrive(six[i], endpoints[GREEN1].ip6);
		from_wire(&in, &o);
		expect_drop(&o, DROP_UNDERLAY_SPOOFED);
	}
	/* the same from a host whose way back leads to another device of the underlay */
	set_node(VNI_GREEN, IF_UNDERLAY, IF_PORTS);
	arrive(ELSEWHERE4, endpoints[GREEN1].ip4);
	from_wire(&in, &o);
	hop(endpoints[GREEN1].mac, GATEWAY_MAC, &in);
	expect_port(&o, GREEN1, &want);
	/* a route alone does not do for an unused address of the tenant's subnets */
	struct abi_prefix_key subnet = prefix_key(VNI_GREEN, "192.0.2.0", 24);
	struct abi_prefix of_green = prefix_of(&subnet, VNI_GREEN, 0);

	table_put("prefixes", &subnet, &of_green);
	arrive(NODE4, endpoints[GREEN1].ip4);
	from_wire(&in, &o);
	expect_drop(&o, DROP_UNDERLAY_SPOOFED);
	/* nor for one that has moved into a tunnel */
	struct abi_host_key key = host_key(VNI_GREEN, "10.7.0.41");
	struct abi_host host = { .nexthop = NH_APP4, .vni = VNI_GREEN, .flags = HOST_L3 };

	table_put("hosts", &key, &host);
	arrive("10.7.0.41", endpoints[GREEN1].ip4);
	from_wire(&in, &o);
	expect_drop(&o, DROP_UNDERLAY_SPOOFED);
}

static void sources_of_many_are_refused(void **state)
{
	arrive("224.0.0.9", endpoints[GREEN1].ip4);
	from_wire(&in, &o);
	expect_drop(&o, DROP_NOT_ROUTABLE);
	arrive("ff02::9", endpoints[GREEN1].ip6);
	from_wire(&in, &o);
	expect_drop(&o, DROP_NOT_ROUTABLE);
}

/* Solicitations and advertisements have hop limit 255, which only a neighbour's have: the underlay is none. */
static void what_routers_say_on_a_link_stays_there(void **state)
{
	static const uint8_t six[] = { 133, 134, 135, 136, 137 }, four[] = { 5, 9 };

	for (size_t i = 0; i < sizeof(six); i++) {
		frame_begin(&in);
		frame_eth(&in, mac_of(UNDERLAY_MAC), mac_of(NODE6_MAC), TYPE_IP6);
		frame_ip(&in, NODE6, endpoints[GREEN1].ip6, IP_ICMP6);
		frame_at(&in, LAYER_IP6)[7] = 255;
		frame_icmp(&in, six[i], 0, 0);
		if (six[i] >= 135)
			frame_fill(&in, 16);
		frame_end(&in);
		from_wire(&in, &o);
		expect_drop(&o, DROP_NOT_ROUTABLE);
	}
	for (size_t i = 0; i < sizeof(four); i++) {
		frame_begin(&in);
		frame_eth(&in, mac_of(UNDERLAY_MAC), mac_of(NODE4_MAC), TYPE_IP4);
		frame_ip(&in, NODE4, endpoints[GREEN1].ip4, IP_ICMP);
		frame_icmp(&in, four[i], 0, 0);
		frame_end(&in);
		from_wire(&in, &o);
		expect_drop(&o, DROP_NOT_ROUTABLE);
	}
}

static void a_damaged_packet_for_a_port_is_named(void **state)
{
	arrive(NODE4, endpoints[GREEN1].ip4);
	in.data[14] = 0x4f; /* sixty bytes of header */
	in.data[16] = 0;
	in.data[17] = 30;
	frame_sum4(&in);
	from_wire(&in, &o);
	expect_drop(&o, DROP_MALFORMED);
}

static void a_waiting_port_is_named(void **state)
{
	struct abi_nexthop waiting = { .owner = 1 };
	uint32_t id = endpoints[GREEN1].nexthop;

	table_put("nexthops", &id, &waiting);
	arrive(NODE4, endpoints[GREEN1].ip4);
	from_wire(&in, &o);
	expect_drop(&o, DROP_PORT_DOWN);
}

/* An error as this node's own, to where the packet came from. */
static void want_error_to_the_underlay(bool v6, uint8_t type, uint8_t code, uint32_t info)
{
	const char *peer = v6 ? NODE6 : NODE4;
	size_t l3 = in.size - 14, most = v6 ? 1024 : 512;

	frame_begin(&want);
	frame_eth(&want, mac_of(v6 ? NODE6_MAC : NODE4_MAC), mac_of(UNDERLAY_MAC), v6 ? TYPE_IP6 : TYPE_IP4);
	frame_ip(&want, v6 ? SELF6 : SELF4, peer, v6 ? IP_ICMP6 : IP_ICMP);
	if (!v6)
		frame_at(&want, LAYER_IP4)[1] = 0xc0;
	frame_icmp(&want, type, code, info);
	frame_bytes(&want, in.data + 14, l3 < most ? l3 : most);
	frame_end(&want);
}

static void errors_go_back_into_the_underlay(void **state)
{
	for (int order = 0; order < 2; order++) {
		if (order)
			set_node(VNI_GREEN, IF_UNDERLAY, 0); /* its addresses the other way round */
		for (int v6 = 0; v6 < 2; v6++) {
			arrive(v6 ? NODE6 : NODE4, v6 ? endpoints[GREEN1].ip6 : endpoints[GREEN1].ip4);
			frame_ttl(&in, 1);
			from_wire(&in, &o);
			want_error_to_the_underlay(v6, v6 ? 3 : 11, 0, 0);
			expect_error(DROP_TTL_EXCEEDED);
			expect_bytes(&o, &want);
			assert_int_equal(o.verdict, VERDICT_REDIRECT);
			assert_int_equal(o.ifindex, IF_UNDERLAY);
			expect_count(&o, COUNTER_NATIVE_OUT, 1);
			/* larger than the port takes */
			arrive(v6 ? NODE6 : NODE4, v6 ? endpoints[GREEN2].ip6 : endpoints[GREEN2].ip4);
			frame_fill(&in, 1400);
			frame_end(&in);
			from_wire(&in, &o);
			want_error_to_the_underlay(v6, v6 ? 2 : 3, v6 ? 0 : 4, 1300);
			expect_error(DROP_TOO_BIG);
			expect_bytes(&o, &want);
		}
	}
}

static void udp_of_l3_size(enum endpoint_id from, enum endpoint_id to, bool v6, size_t size)
{
	frame_udp_between(&in, from, to, v6, size - (v6 ? 48 : 28));
}

static void too_big_is_answered_with_what_fits(void **state)
{
	for (int v6 = 0; v6 < 2; v6++) {
		/* the node's path */
		udp_of_l3_size(GREEN1, GREEN4, v6, 1400);
		from_port(GREEN1, &in, &o);
		hop(v6 ? NODE6_MAC : NODE4_MAC, UNDERLAY_MAC, &in);
		expect_underlay();
		udp_of_l3_size(GREEN1, GREEN4, v6, 1401);
		from_port(GREEN1, &in, &o);
		expect_error(DROP_TOO_BIG);
		assert_int_equal(o.out.data[v6 ? 60 : 40] << 8 | o.out.data[v6 ? 61 : 41], 1400);
		/* the kernel's, to somebody that no entry is about */
		leave(GREEN1, v6 ? NODE6 : NODE4);
		frame_fill(&in, 1500 - 64 - (v6 ? 48 : 28));
		frame_end(&in);
		from_port(GREEN1, &in, &o);
		hop(v6 ? NODE6_MAC : NODE4_MAC, UNDERLAY_MAC, &in);
		expect_underlay();
		frame_fill(&in, 1);
		frame_end(&in);
		from_port(GREEN1, &in, &o);
		expect_error(DROP_TOO_BIG);
		assert_int_equal(o.out.data[v6 ? 60 : 40] << 8 | o.out.data[v6 ? 61 : 41], 1500);
	}
}

static void super_packets_stay_whole(void **state)
{
	struct run_options options = { .gso_size = 1360, .gso_segs = 2 };

	frame_between(&in, GREEN1, GREEN4, false, IP_TCP);
	frame_tcp(&in, 1000, 2000);
	frame_fill(&in, 2720);
	frame_end(&in);
	for (int again = 0; again < 2; again++) {
		run_with(HOST_PORT_INGRESS, endpoints[GREEN1].ifindex, &in, &options, &o);
		hop(NODE4_MAC, UNDERLAY_MAC, &in);
		expect_underlay();
	}
	options.gso_size = 1361;
	run_with(HOST_PORT_INGRESS, endpoints[GREEN1].ifindex, &in, &options, &o);
	expect_error(DROP_TOO_BIG);
}

static void the_last_hop_is_answered(void **state)
{
	frame_udp_between(&in, GREEN1, GREEN4, true, 64);
	frame_ttl(&in, 1);
	from_port(GREEN1, &in, &o);
	expect_error(DROP_TTL_EXCEEDED);
	assert_int_equal(o.ifindex, endpoints[GREEN1].ifindex);
}

static void fragments_find_their_way(void **state)
{
	static const uint8_t later[6] = { 0, 0x09, 0, 0, 0, 7 };

	frame_begin(&packet);
	frame_eth(&packet, mac_of(GATEWAY_MAC), mac_of(endpoints[GREEN4].mac), TYPE_IP6);
	frame_ip(&packet, endpoints[GREEN4].ip6, endpoints[GREEN1].ip6, 44);
	frame_ext(&packet, IP_UDP, 0, later);
	frame_fill(&packet, 64);
	frame_end(&packet);
	frame_native(&in, NODE6_MAC, &packet);
	from_wire(&in, &o);
	hop(endpoints[GREEN1].mac, GATEWAY_MAC, &in);
	expect_port(&o, GREEN1, &want);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		DATAPATH_TEST(a_packet_leaves_as_it_is_twice),
		DATAPATH_TEST(a_packet_arrives_as_it_is_twice),
		DATAPATH_TEST(ports_of_one_node_meet_there),
		DATAPATH_TEST(the_kernel_resolves_the_next_hop),
		DATAPATH_TEST(the_rest_of_the_underlay_is_reached),
		DATAPATH_TEST(sources_are_checked_as_at_any_port),
		DATAPATH_TEST(the_underlay_reaches_ports_of_this_tenant_only),
		DATAPATH_TEST(nobody_speaks_for_another_even_without_port_security),
		DATAPATH_TEST(other_devices_and_other_macs_are_left_alone),
		DATAPATH_TEST(a_memo_does_not_outlive_the_tenants_way),
		DATAPATH_TEST(a_source_has_to_be_routed_to_the_underlay),
		DATAPATH_TEST(sources_of_many_are_refused),
		DATAPATH_TEST(what_routers_say_on_a_link_stays_there),
		DATAPATH_TEST(a_damaged_packet_for_a_port_is_named),
		DATAPATH_TEST(a_waiting_port_is_named),
		DATAPATH_TEST(errors_go_back_into_the_underlay),
		DATAPATH_TEST(too_big_is_answered_with_what_fits),
		DATAPATH_TEST(super_packets_stay_whole),
		DATAPATH_TEST(the_last_hop_is_answered),
		DATAPATH_TEST(fragments_find_their_way),
	};

	return DATAPATH_RUN(tests);
}
