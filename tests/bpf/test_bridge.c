/* SPDX-License-Identifier: Apache-2.0 */
/* Inside one l2 network: by MAC, to local ports and to other nodes. */
#include <string.h>

#include "harness.h"

static struct frame in;
static struct outcome o;

static void unicast_reaches_the_local_port_unchanged(void **state)
{
	for (int v6 = 0; v6 < 2; v6++) {
		frame_udp_between(&in, WEB1, WEB2, v6, 100);
		from_port(WEB1, &in, &o);
		expect_port(&o, WEB2, &in);
		assert_int_equal(o.how, HOST_REDIRECT_PEER);
		expect_count(&o, COUNTER_FROM_PORT, 1);
		assert_int_equal(o.counters[COUNTER_TO_PORT].bytes, in.size);
	}
}

static void a_port_that_is_no_veth_with_a_peer_gets_the_mark(void **state)
{
	frame_udp_between(&in, FLO2, FLO1, false, 100);
	from_port(FLO2, &in, &o);
	expect_port(&o, FLO1, &in);
	assert_int_equal(o.how, HOST_REDIRECT_EGRESS);
	assert_int_equal(o.mark, ABI_MARK);
}

static void unicast_to_another_node_is_encapsulated(void **state)
{
	static const struct {
		enum endpoint_id to;
		uint32_t nexthop;
	} rows[] = { { WEB4, NH_WEB4 }, { WEB6, NH_WEB6 } };

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		for (int v6 = 0; v6 < 2; v6++) {
			frame_udp_between(&in, WEB1, rows[i].to, v6, 100);
			from_port(WEB1, &in, &o);
			expect_tunnel(&o, rows[i].nexthop, VNI_WEB, &in);
		}
	}
}

static void unknown_unicast_is_dropped_where_the_network_does_not_flood(void **state)
{
	frame_udp_between(&in, WEB1, WEB2, false, 100);
	in.data[5] = 0x99;
	from_port(WEB1, &in, &o);
	expect_drop(&o, DROP_UNKNOWN_MAC);
}

static void a_frame_to_the_own_mac_does_not_come_back(void **state)
{
	frame_udp_between(&in, WEB1, WEB1, false, 100);
	from_port(WEB1, &in, &o);
	expect_drop(&o, DROP_SAME_PORT);
}

static void a_mac_of_another_tenant_is_unknown(void **state)
{
	/* blue2 has web2's MAC: blue1's frame must reach blue2, never web2 */
	frame_udp_between(&in, BLUE1, BLUE2, false, 100);
	from_port(BLUE1, &in, &o);
	expect_port(&o, BLUE2, &in);
	/* and a MAC that only red has is not reachable from blue */
	frame_udp_between(&in, BLUE1, WEB4, false, 100);
	memcpy(in.data, mac_of(endpoints[WEB4].mac).b, 6);
	from_port(BLUE1, &in, &o);
	expect_drop(&o, DROP_UNKNOWN_MAC);
}

static void a_port_that_waits_for_its_interface_takes_nothing(void **state)
{
	frame_udp_between(&in, WEB1, DOWN1, false, 100);
	from_port(WEB1, &in, &o);
	expect_drop(&o, DROP_PORT_DOWN);
}

static void a_port_without_configuration_is_denied(void **state)
{
	frame_udp_between(&in, WEB1, WEB2, false, 100);
	run(HOST_PORT_INGRESS, IF_UNDERLAY, &in, &o);
	expect_drop(&o, DROP_PORT_UNKNOWN);
	table_remove("ports", &endpoints[WEB1].ifindex);
	from_port(WEB1, &in, &o);
	expect_drop(&o, DROP_PORT_UNKNOWN);
}

static void other_ethertypes_are_bridged(void **state)
{
	frame_begin(&in);
	frame_eth(&in, mac_of(endpoints[FLO1].mac), mac_of(endpoints[FLO2].mac), 0x88b5); /* local experimental */
	frame_fill(&in, 60);
	from_port(FLO2, &in, &o);
	expect_port(&o, FLO1, &in);

	memcpy(in.data, mac_of(endpoints[FLO4].mac).b, 6);
	from_port(FLO2, &in, &o);
	expect_tunnel(&o, NH_FLO4, VNI_FLO, &in);
}

static void no_underlay_route_is_named(void **state)
{
	frame_udp_between(&in, WEB1, NOROUTE, false, 100);
	from_port(WEB1, &in, &o);
	expect_drop(&o, DROP_NO_UNDERLAY_ROUTE);
}

static void an_unresolved_neighbour_is_left_to_the_kernel(void **state)
{
	frame_udp_between(&in, WEB1, NONEIGH, false, 100);
	from_port(WEB1, &in, &o);
	expect_no_drop(&o);
	assert_int_equal(o.verdict, VERDICT_REDIRECT);
	assert_int_equal(o.how, HOST_REDIRECT_NEIGH);
	assert_int_equal(o.ifindex, IF_UNDERLAY);
	assert_int_equal(o.out.size, in.size + 50);
	expect_count(&o, COUNTER_ENCAP, 1);
}

static void ecn_is_copied_outside_and_dscp_is_not(void **state)
{
	for (uint8_t ecn = 0; ecn < 4; ecn++) {
		for (int v6 = 0; v6 < 2; v6++) {
			frame_udp_between(&in, WEB1, v6 ? WEB6 : WEB4, v6, 100);
			frame_tos(&in, (uint8_t)(0xb8 | ecn));
			from_port(WEB1, &in, &o);
			assert_int_equal(o.verdict, VERDICT_REDIRECT);
			if (v6)
				assert_int_equal((o.out.data[14] & 15) << 4 | o.out.data[15] >> 4, ecn);
			else
				assert_int_equal(o.out.data[15], ecn);
			/* the inner one stays, and so does all the rest */
			assert_memory_equal(o.out.data + o.out.size - in.size, in.data, in.size);
		}
	}
}

static void the_source_port_follows_the_flow(void **state)
{
	uint16_t ports[2];

	for (uint16_t i = 0; i < 64; i++) {
		frame_between(&in, WEB1, WEB4, false, IP_UDP);
		frame_udp(&in, (uint16_t)(1000 + i), 2000);
		frame_end(&in);
		from_port(WEB1, &in, &o);
		ports[i > 0] = (uint16_t)(o.out.data[34] << 8 | o.out.data[35]);
		assert_true(ports[i > 0] >= 49152);
		if (i && ports[0] != ports[1])
			return;
	}
	fail_msg("64 flows have one source port");
}

static void the_hosts_own_packets_do_not_reach_a_workload(void **state)
{
	struct run_options options = { .mark = 0 };

	frame_udp_between(&in, WEB2, WEB1, false, 100);
	run_with(HOST_PORT_EGRESS, endpoints[WEB1].ifindex, &in, &options, &o);
	expect_drop(&o, DROP_NOT_OURS);
	options.mark = ABI_MARK ^ 1;
	run_with(HOST_PORT_EGRESS, endpoints[WEB1].ifindex, &in, &options, &o);
	expect_drop(&o, DROP_NOT_OURS);

	options.mark = ABI_MARK;
	run_with(HOST_PORT_EGRESS, endpoints[WEB1].ifindex, &in, &options, &o);
	expect_no_drop(&o);
	assert_int_equal(o.verdict, VERDICT_OK);
	assert_int_equal(o.mark, 0);
	expect_bytes(&o, &in);
}

static void a_super_packet_goes_to_a_port_whole(void **state)
{
	const struct run_options fits = { .gso_size = 1460, .gso_segs = 2 },
				 large = { .gso_size = 1461, .gso_segs = 2 };

	frame_between(&in, WEB1, WEB2, false, IP_TCP);
	frame_tcp(&in, 1000, 2000);
	frame_fill(&in, 2920);
	frame_end(&in);
	run_with(HOST_PORT_INGRESS, endpoints[WEB1].ifindex, &in, &fits, &o);
	expect_port(&o, WEB2, &in);
	run_with(HOST_PORT_INGRESS, endpoints[WEB1].ifindex, &in, &large, &o);
	assert_int_equal(o.drops[DROP_TOO_BIG], 1);
	expect_count(&o, COUNTER_TO_PORT, 1); /* the answer */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		DATAPATH_TEST(unicast_reaches_the_local_port_unchanged),
		DATAPATH_TEST(a_port_that_is_no_veth_with_a_peer_gets_the_mark),
		DATAPATH_TEST(unicast_to_another_node_is_encapsulated),
		DATAPATH_TEST(unknown_unicast_is_dropped_where_the_network_does_not_flood),
		DATAPATH_TEST(a_frame_to_the_own_mac_does_not_come_back),
		DATAPATH_TEST(a_mac_of_another_tenant_is_unknown),
		DATAPATH_TEST(a_port_that_waits_for_its_interface_takes_nothing),
		DATAPATH_TEST(a_port_without_configuration_is_denied),
		DATAPATH_TEST(other_ethertypes_are_bridged),
		DATAPATH_TEST(no_underlay_route_is_named),
		DATAPATH_TEST(an_unresolved_neighbour_is_left_to_the_kernel),
		DATAPATH_TEST(ecn_is_copied_outside_and_dscp_is_not),
		DATAPATH_TEST(the_source_port_follows_the_flow),
		DATAPATH_TEST(the_hosts_own_packets_do_not_reach_a_workload),
		DATAPATH_TEST(a_super_packet_goes_to_a_port_whole),
	};

	return DATAPATH_RUN(tests);
}
