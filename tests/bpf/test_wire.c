/* SPDX-License-Identifier: Apache-2.0 */
/* From the wire: who may inject (rows C1 to C3), what a tunnel packet must look like, and where it may go. */
#include <string.h>

#include "harness.h"
#include "mutate.h"

static struct frame in, inner, want;
static struct outcome o;

static void untouched(void)
{
	expect_no_drop(&o);
	assert_int_equal(o.verdict, VERDICT_UNSPEC);
	assert_int_equal(o.mark, 0);
	expect_bytes(&o, &in);
	for (int i = 0; i < COUNTER_MAX; i++)
		assert_int_equal(o.counters[i].packets, 0);
}

static void dropped(enum drop_reason reason)
{
	from_wire(&in, &o);
	expect_drop(&o, reason);
	expect_count(&o, COUNTER_DECAP, 0);
}

static void bridged_traffic_reaches_the_port(void **state)
{
	static const struct {
		const char *node;
		uint32_t vni;
		enum endpoint_id from, to;
	} rows[] = {
		{ NODE4, VNI_WEB, WEB4, WEB1 },	     { NODE6, VNI_WEB, WEB6, WEB2 },
		{ NODE4, VNI_FLO, FLO4, FLO1 },	     { FOREIGN, VNI_FLO, FOREIGN1, FLO2 },
		{ NODE4, VNI_BLUE_WEB, WEB4, BLUE2 },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		for (int v6 = 0; v6 < 2; v6++) {
			frame_udp_between(&inner, rows[i].from, rows[i].to, v6, 64);
			memcpy(inner.data, mac_of(endpoints[rows[i].to].mac).b, 6);
			frame_from_wire(&in, rows[i].node, rows[i].vni, &inner);
			from_wire(&in, &o);
			expect_port(&o, rows[i].to, &inner);
			expect_count(&o, COUNTER_DECAP, 1);
			assert_int_equal(o.counters[COUNTER_DECAP].bytes, inner.size);
		}
	}
}

/* The frame may be padded with zeroes, as Ethernet pads, but nothing else is added. */
static void came_out_padded_at_most(void)
{
	expect_no_drop(&o);
	assert_int_equal(o.ifindex, endpoints[WEB1].ifindex);
	expect_way_to_port(&o, WEB1);
	assert_true(o.out.size >= inner.size && (o.out.size == inner.size || o.out.size <= 60));
	assert_memory_equal(o.out.data, inner.data, inner.size);
	for (size_t i = inner.size; i < o.out.size; i++)
		assert_int_equal(o.out.data[i], 0);
}

static void arp_and_short_frames_come_out_as_they_went_in(void **state)
{
	static const char *const nodes[] = { NODE4, NODE6 };

	for (size_t i = 0; i < 2; i++) {
		frame_begin(&inner);
		frame_eth(&inner, mac_of(endpoints[WEB1].mac), mac_of(endpoints[WEB4].mac), TYPE_ARP);
		frame_arp(&inner, 2, mac_of(endpoints[WEB4].mac), "10.0.1.41", mac_of(endpoints[WEB1].mac),
			  "10.0.1.11");
		frame_from_wire(&in, nodes[i], VNI_WEB, &inner);
		from_wire(&in, &o);
		came_out_padded_at_most();
		for (size_t size = 0; size < 60; size++) {
			frame_begin(&inner);
			frame_eth(&inner, mac_of(endpoints[WEB1].mac), mac_of(endpoints[WEB4].mac), 0x88b5);
			frame_fill(&inner, size);
			frame_from_wire(&in, nodes[i], VNI_WEB, &inner);
			from_wire(&in, &o);
			came_out_padded_at_most();
		}
	}
}

static void routed_traffic_reaches_the_port_without_another_hop(void **state)
{
	static const struct {
		const char *node, *router;
		enum endpoint_id from, to;
	} rows[] = { { NODE4, ROUTER_MAC4, APP4, APP1 },
		     { NODE6, ROUTER_MAC6, APP6, WEB1 },
		     { NODE4, ROUTER_MAC4, APP4, FLO1 } };

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		for (int v6 = 0; v6 < 2; v6++) {
			frame_udp_between(&inner, rows[i].from, rows[i].to, v6, 64);
			memcpy(inner.data, mac_of(ROUTER_MAC).b, 6);
			memcpy(inner.data + 6, mac_of(rows[i].router).b, 6);
			frame_from_wire(&in, rows[i].node, VNI_RED, &inner);
			from_wire(&in, &o);
			frame_copy(&want, &inner);
			memcpy(want.data, mac_of(endpoints[rows[i].to].mac).b, 6);
			memcpy(want.data + 6, mac_of(GATEWAY_MAC).b, 6);
			expect_port(&o, rows[i].to, &want);
			expect_count(&o, COUNTER_DECAP, 1);
		}
	}
}

static void only_members_inject(void **state)
{
	static const char *const strangers[] = { "192.0.2.13", "192.0.2.77", "203.0.113.9", "10.0.1.41", "127.0.0.1",
						 "2001:db8::14", "fd00:1::41", SELF4, SELF6 };

	frame_udp_between(&inner, WEB4, WEB1, false, 64);
	for (size_t i = 0; i < sizeof(strangers) / sizeof(strangers[0]); i++) {
		frame_from_wire(&in, strangers[i], VNI_WEB, &inner);
		dropped(DROP_UNKNOWN_VTEP);
	}
	/* a member, but with a bit of its address changed */
	for (int bit = 0; bit < 32; bit++) {
		frame_from_wire(&in, NODE4, VNI_WEB, &inner);
		in.data[26 + bit / 8] ^= (uint8_t)(1 << bit % 8);
		frame_sum4(&in);
		dropped(DROP_UNKNOWN_VTEP);
	}
	for (int bit = 0; bit < 128; bit++) {
		frame_from_wire(&in, NODE6, VNI_WEB, &inner);
		in.data[22 + bit / 8] ^= (uint8_t)(1 << bit % 8);
		dropped(DROP_UNKNOWN_VTEP);
	}
}

static void a_member_injects_only_into_its_vnis(void **state)
{
	struct prng random = { 42 };

	frame_udp_between(&inner, WEB4, WEB1, false, 64);
	for (int i = 0; i < 2000; i++) {
		uint32_t vni = prng_next(&random) & 0xffffff;

		if (vni == VNI_WEB || vni == VNI_RED || vni == VNI_FLO || vni == VNI_BLUE_WEB)
			continue;
		frame_from_wire(&in, NODE4, vni, &inner);
		dropped(DROP_UNKNOWN_VTEP);
	}
	frame_from_wire(&in, FOREIGN, VNI_WEB, &inner);
	dropped(DROP_UNKNOWN_VTEP);
	frame_from_wire(&in, NODE6, VNI_BLUE_WEB, &inner);
	dropped(DROP_UNKNOWN_VTEP);
	frame_from_wire(&in, NODE4, 0, &inner);
	dropped(DROP_UNKNOWN_VTEP);
}

static void a_member_that_was_removed_is_a_stranger(void **state)
{
	struct abi_member_key k = member_key(NODE4, VNI_WEB);

	frame_udp_between(&inner, WEB4, WEB1, false, 64);
	frame_from_wire(&in, NODE4, VNI_WEB, &inner);
	from_wire(&in, &o);
	expect_port(&o, WEB1, &inner);
	table_remove("members", &k);
	dropped(DROP_UNKNOWN_VTEP);
}

static void membership_is_checked_before_any_inner_byte(void **state)
{
	for (size_t size = 0; size < 60; size++) {
		frame_begin(&inner);
		frame_fill(&inner, size);
		frame_from_wire(&in, "192.0.2.13", VNI_WEB, &inner);
		from_wire(&in, &o);
		/* too short for any Ethernet frame: the tunnel header says so; else the stranger */
		expect_drop(&o, size < 14 ? DROP_BAD_TUNNEL_HEADER : DROP_UNKNOWN_VTEP);
	}
}

static void tunnel_headers_are_exact(void **state)
{
	for (int flags = 0; flags < 256; flags++) {
		for (int v6 = 0; v6 < 2; v6++) {
			frame_udp_between(&inner, v6 ? WEB6 : WEB4, WEB1, false, 64);
			frame_from_wire(&in, v6 ? NODE6 : NODE4, VNI_WEB, &inner);
			frame_at(&in, LAYER_VXLAN)[0] = (uint8_t)flags;
			from_wire(&in, &o);
			if (flags == 0x08)
				expect_port(&o, WEB1, &inner);
			else
				expect_drop(&o, DROP_BAD_TUNNEL_HEADER);
		}
	}
	/* reserved fields are ignored, RFC 7348 5 */
	frame_udp_between(&inner, WEB4, WEB1, false, 64);
	frame_from_wire(&in, NODE4, VNI_WEB, &inner);
	frame_at(&in, LAYER_VXLAN)[7] = 0xff;
	from_wire(&in, &o);
	expect_port(&o, WEB1, &inner);
}

static void lengths_that_lie_are_refused(void **state)
{
	for (int delta = -3; delta <= 3; delta++) {
		if (!delta)
			continue;
		frame_udp_between(&inner, WEB4, WEB1, false, 64);
		frame_from_wire(&in, NODE4, VNI_WEB, &inner);
		frame_at(&in, LAYER_UDP)[5] = (uint8_t)(frame_at(&in, LAYER_UDP)[5] + delta);
		dropped(DROP_BAD_TUNNEL_HEADER);
		frame_udp_between(&inner, WEB6, WEB1, false, 64);
		frame_from_wire(&in, NODE6, VNI_WEB, &inner);
		frame_at(&in, LAYER_IP6)[5] = (uint8_t)(frame_at(&in, LAYER_IP6)[5] + delta);
		dropped(DROP_BAD_TUNNEL_HEADER);
	}
}

static void trailing_bytes_of_the_outer_frame_do_not_come_in(void **state)
{
	/* padding of a short outer frame, or bytes smuggled behind the IP packet */
	frame_udp_between(&inner, WEB4, WEB1, false, 0);
	frame_from_wire(&in, NODE4, VNI_WEB, &inner);
	frame_fill(&in, 10);
	from_wire(&in, &o);
	assert_int_equal(o.ifindex, endpoints[WEB1].ifindex);
	assert_memory_equal(o.out.data, inner.data, inner.size);
}

static void fragments_of_tunnel_packets_are_refused(void **state)
{
	frame_udp_between(&inner, WEB4, WEB1, false, 64);
	frame_from_wire(&in, NODE4, VNI_WEB, &inner);
	frame_at(&in, LAYER_IP4)[6] = 0x20;
	frame_sum4(&in);
	dropped(DROP_OUTER_FRAGMENT);
	/* a later one carries no port: the host's matter */
	frame_at(&in, LAYER_IP4)[6] = 0x00;
	frame_at(&in, LAYER_IP4)[7] = 0x01;
	frame_sum4(&in);
	from_wire(&in, &o);
	untouched();
}

static void options_outside_are_refused(void **state)
{
	frame_udp_between(&inner, WEB4, WEB1, false, 64);
	frame_begin(&in);
	frame_eth(&in, mac_of(UNDERLAY_MAC), mac_of(NODE4_MAC), TYPE_IP4);
	frame_ip(&in, NODE4, SELF4, IP_UDP);
	frame_at(&in, LAYER_IP4)[0] = 0x46;
	frame_bytes(&in, "\1\1\1\0", 4);
	frame_udp_unsummed(&in, 50000, VXLAN_PORT);
	frame_vxlan(&in, VNI_WEB);
	frame_bytes(&in, inner.data, inner.size);
	frame_end(&in);
	frame_sum4(&in);
	dropped(DROP_BAD_TUNNEL_HEADER);
}

static void other_packets_are_the_hosts_own(void **state)
{
	static const struct {
		const char *src, *dst;
		uint8_t proto;
		uint16_t port;
	} rows[] = {
		{ NODE4, SELF4, IP_UDP, 53 },	{ NODE4, SELF4, IP_TCP, VXLAN_PORT }, { NODE4, SELF4, IP_UDP, 8472 },
		{ NODE4, SELF4, IP_UDP, 6081 }, { NODE4, SELF4, 47, 0 },	      { NODE4, SELF4, 4, 0 },
		{ NODE4, SELF4, 41, 0 },	{ NODE4, "192.0.2.2", IP_UDP, VXLAN_PORT }, /* another host's */
		{ NODE6, SELF6, IP_UDP, 53 },	{ NODE6, "2001:db8::2", IP_UDP, VXLAN_PORT }, { NODE6, SELF6, 47, 0 },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		bool v6 = strchr(rows[i].src, ':');

		frame_udp_between(&inner, WEB4, WEB1, false, 64);
		frame_begin(&in);
		frame_eth(&in, mac_of(UNDERLAY_MAC), mac_of(NODE4_MAC), v6 ? TYPE_IP6 : TYPE_IP4);
		frame_ip(&in, rows[i].src, rows[i].dst, rows[i].proto);
		if (rows[i].proto == IP_UDP)
			frame_udp(&in, 50000, rows[i].port);
		else if (rows[i].proto == IP_TCP)
			frame_tcp(&in, 50000, rows[i].port);
		frame_vxlan(&in, VNI_WEB);
		frame_bytes(&in, inner.data, inner.size);
		frame_end(&in);
		from_wire(&in, &o);
		untouched();
	}
	frame_begin(&in);
	frame_eth(&in, mac_of(BROADCAST), mac_of(NODE4_MAC), TYPE_ARP);
	frame_arp(&in, 1, mac_of(NODE4_MAC), NODE4, mac_of("00:00:00:00:00:00"), SELF4);
	from_wire(&in, &o);
	untouched();
}

static void the_tunnel_port_is_what_the_node_says(void **state)
{
	uint32_t zero = 0;
	struct abi_node n;

	memcpy(&n, host_map_get(host_map_find("node"), &zero), sizeof(n));
	n.vxlan_port = (uint16_t)(8472 >> 8 | (8472 & 0xff) << 8);
	table_put("node", &zero, &n);
	frame_udp_between(&inner, WEB4, WEB1, false, 64);
	frame_from_wire(&in, NODE4, VNI_WEB, &inner);
	from_wire(&in, &o);
	untouched();
	frame_at(&in, LAYER_UDP)[2] = 8472 >> 8;
	frame_at(&in, LAYER_UDP)[3] = 8472 & 0xff;
	from_wire(&in, &o);
	expect_port(&o, WEB1, &inner);
}

static void routed_traffic_needs_our_routers_mac(void **state)
{
	static const char *const macs[] = { GATEWAY_MAC, ROUTER_MAC4, BROADCAST, "02:00:00:00:02:01" };

	for (size_t i = 0; i < sizeof(macs) / sizeof(macs[0]); i++) {
		frame_udp_between(&inner, APP4, APP1, false, 64);
		memcpy(inner.data, mac_of(macs[i]).b, 6);
		frame_from_wire(&in, NODE4, VNI_RED, &inner);
		from_wire(&in, &o);
		expect_drop(&o, DROP_BAD_ROUTER_MAC);
	}
}

static void routed_traffic_goes_to_local_hosts_only(void **state)
{
	static const struct {
		enum endpoint_id to;
		enum drop_reason reason;
	} rows[] = { { APP6, DROP_NOT_LOCAL },
		     { WEB6, DROP_NOT_LOCAL },
		     { FOREIGN1, DROP_NOT_LOCAL },
		     { DOWN1, DROP_PORT_DOWN } };

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		frame_udp_between(&inner, APP4, rows[i].to, false, 64);
		memcpy(inner.data, mac_of(ROUTER_MAC).b, 6);
		frame_from_wire(&in, NODE4, VNI_RED, &inner);
		from_wire(&in, &o);
		expect_drop(&o, rows[i].reason);
	}
	frame_begin(&inner); /* nobody's address, and a gateway's */
	frame_eth(&inner, mac_of(ROUTER_MAC), mac_of(ROUTER_MAC4), TYPE_IP4);
	frame_ip(&inner, "10.0.2.41", "10.0.2.99", IP_UDP);
	frame_udp(&inner, 1, 2);
	frame_end(&inner);
	frame_from_wire(&in, NODE4, VNI_RED, &inner);
	from_wire(&in, &o);
	expect_drop(&o, DROP_NOT_LOCAL);
	/* non-IP in the tenant's VNI */
	frame_begin(&inner);
	frame_eth(&inner, mac_of(ROUTER_MAC), mac_of(ROUTER_MAC4), TYPE_ARP);
	frame_arp(&inner, 1, mac_of(ROUTER_MAC4), "10.0.2.41", mac_of(ROUTER_MAC), "10.0.2.13");
	frame_from_wire(&in, NODE4, VNI_RED, &inner);
	from_wire(&in, &o);
	expect_drop(&o, DROP_NOT_ROUTABLE);
}

static void split_horizon(void **state)
{
	static const struct {
		enum endpoint_id to;
		enum drop_reason reason;
	} rows[] = { { WEB6, DROP_NOT_LOCAL }, { NOROUTE, DROP_NOT_LOCAL }, { DOWN1, DROP_PORT_DOWN } };

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		frame_udp_between(&inner, WEB4, rows[i].to, false, 64);
		frame_from_wire(&in, NODE4, VNI_WEB, &inner);
		from_wire(&in, &o);
		expect_drop(&o, rows[i].reason);
	}
	frame_udp_between(&inner, WEB4, WEB1, false, 64);
	inner.data[5] = 0x99;
	frame_from_wire(&in, NODE4, VNI_WEB, &inner);
	from_wire(&in, &o);
	expect_drop(&o, DROP_UNKNOWN_MAC);
}

/* RFC 6040 4.2, figure 4. */
static void congestion_marks_come_through(void **state)
{
	enum { NOT_ECT, ECT1, ECT0, CE, DROPPED };
	static const int table[4][4] = {
		/* outer:	NOT_ECT  ECT1	  ECT0	   CE */
		[NOT_ECT] = { NOT_ECT, NOT_ECT, NOT_ECT, DROPPED },
		[ECT1] = { ECT1, ECT1, ECT1, CE },
		[ECT0] = { ECT0, ECT0, ECT0, CE }, /* ECT(1) outside: RFC 6040 allows ECT(1); we keep the inner one */
		[CE] = { CE, CE, CE, CE },
	};

	for (int inside = 0; inside < 4; inside++) {
		for (int outside = 0; outside < 4; outside++) {
			for (int families = 0; families < 4; families++) {
				bool v6 = families & 1;

				frame_udp_between(&inner, families & 2 ? WEB6 : WEB4, WEB1, v6, 64);
				frame_tos(&inner, (uint8_t)(0xb8 | inside));
				frame_from_wire(&in, families & 2 ? NODE6 : NODE4, VNI_WEB, &inner);
				frame_tos(&in, (uint8_t)outside);
				from_wire(&in, &o);
				if (table[inside][outside] == DROPPED) {
					expect_drop(&o, DROP_ECN);
					continue;
				}
				frame_tos(&inner, (uint8_t)(0xb8 | table[inside][outside]));
				expect_port(&o, WEB1, &inner);
			}
		}
	}
}

static void congestion_marks_keep_the_checksum_right(void **state)
{
	for (unsigned id = 0; id < 0x10000; id += 0x83) {
		frame_udp_between(&inner, WEB4, WEB1, false, 8);
		frame_at(&inner, LAYER_IP4)[4] = (uint8_t)(id >> 8);
		frame_at(&inner, LAYER_IP4)[5] = (uint8_t)id;
		frame_tos(&inner, (uint8_t)(1 + (id & 1)));
		frame_from_wire(&in, NODE4, VNI_WEB, &inner);
		frame_tos(&in, 3);
		from_wire(&in, &o);
		frame_tos(&inner, 3);
		expect_port(&o, WEB1, &inner);
	}
}

static void inner_frames_are_parsed_whole(void **state)
{
	frame_udp_between(&inner, WEB4, WEB1, false, 64);
	frame_at(&inner, LAYER_IP4)[0] = 0x44;
	frame_from_wire(&in, NODE4, VNI_WEB, &inner);
	dropped(DROP_MALFORMED);
	frame_udp_between(&inner, WEB4, WEB1, false, 64);
	frame_at(&inner, LAYER_IP4)[3] = 0xff; /* longer than it is */
	frame_from_wire(&in, NODE4, VNI_WEB, &inner);
	dropped(DROP_MALFORMED);
	frame_begin(&inner);
	frame_eth(&inner, mac_of(endpoints[WEB1].mac), mac_of(endpoints[WEB4].mac), 0x8100);
	frame_bytes(&inner, "\0\5\x08\0", 4);
	frame_fill(&inner, 40);
	frame_from_wire(&in, NODE4, VNI_WEB, &inner);
	dropped(DROP_VLAN_TAGGED);
}

/* RFC 7348 6.1: a tag inside is not carried, however deep, however small, to whomever, in either kind of network. */
static void tags_inside_are_refused_at_any_depth(void **state)
{
	static const struct {
		uint16_t type;
		const char *rest;
		size_t size;
	} tags[] = {
		{ 0x8100, "\0\5\x08\0", 4 },		     { 0x88a8, "\0\5\x08\0", 4 },
		{ 0x8100, "\0\0\x08\0", 4 }, /* only a priority */ { 0x8100, "\xe0\0\x86\xdd", 4 },
		{ 0x8100, "\0\5\x81\0\0\6\x08\0", 8 },	     { 0x88a8, "\0\5\x81\0\0\6\x08\6", 8 },
		{ 0x8100, "\0\5\x88\xa8\0\6\x88\xcc", 8 },
	};
	static const struct {
		const char *node, *dst;
		uint32_t vni;
	} rows[] = {
		{ NODE4, "02:00:00:00:01:01", VNI_WEB }, { NODE6, "02:00:00:00:01:01", VNI_WEB },
		{ NODE4, BROADCAST, VNI_WEB },		 { NODE6, "33:33:00:00:00:01", VNI_WEB },
		{ NODE4, ROUTER_MAC, VNI_RED },		 { FOREIGN, GATEWAY_MAC, VNI_FLO },
	};

	for (size_t i = 0; i < sizeof(tags) / sizeof(tags[0]); i++) {
		for (size_t j = 0; j < sizeof(rows) / sizeof(rows[0]); j++) {
			frame_begin(&inner);
			frame_eth(&inner, mac_of(rows[j].dst), mac_of(endpoints[WEB4].mac), tags[i].type);
			frame_bytes(&inner, tags[i].rest, tags[i].size);
			frame_fill(&inner, 46);
			frame_from_wire(&in, rows[j].node, rows[j].vni, &inner);
			dropped(DROP_VLAN_TAGGED);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		DATAPATH_TEST(bridged_traffic_reaches_the_port),
		DATAPATH_TEST(arp_and_short_frames_come_out_as_they_went_in),
		DATAPATH_TEST(routed_traffic_reaches_the_port_without_another_hop),
		DATAPATH_TEST(only_members_inject),
		DATAPATH_TEST(a_member_injects_only_into_its_vnis),
		DATAPATH_TEST(a_member_that_was_removed_is_a_stranger),
		DATAPATH_TEST(membership_is_checked_before_any_inner_byte),
		DATAPATH_TEST(tunnel_headers_are_exact),
		DATAPATH_TEST(lengths_that_lie_are_refused),
		DATAPATH_TEST(trailing_bytes_of_the_outer_frame_do_not_come_in),
		DATAPATH_TEST(fragments_of_tunnel_packets_are_refused),
		DATAPATH_TEST(options_outside_are_refused),
		DATAPATH_TEST(other_packets_are_the_hosts_own),
		DATAPATH_TEST(the_tunnel_port_is_what_the_node_says),
		DATAPATH_TEST(routed_traffic_needs_our_routers_mac),
		DATAPATH_TEST(routed_traffic_goes_to_local_hosts_only),
		DATAPATH_TEST(split_horizon),
		DATAPATH_TEST(congestion_marks_come_through),
		DATAPATH_TEST(congestion_marks_keep_the_checksum_right),
		DATAPATH_TEST(inner_frames_are_parsed_whole),
		DATAPATH_TEST(tags_inside_are_refused_at_any_depth),
	};

	return DATAPATH_RUN(tests);
}
