/* SPDX-License-Identifier: Apache-2.0 */
/* Replication: one copy to each port of the network, one to each node, and never back. */
#include <string.h>

#include "harness.h"

static struct frame in, want;
static struct outcome o;

static struct mac6 mac(enum endpoint_id e)
{
	return mac_of(endpoints[e].mac);
}

static void broadcast(enum endpoint_id from, bool v6)
{
	frame_begin(&in);
	frame_eth(&in, v6 ? mac_multicast6("ff05::77") : mac_of(BROADCAST), mac(from), v6 ? TYPE_IP6 : TYPE_IP4);
	frame_ip(&in, v6 ? endpoints[from].ip6 : endpoints[from].ip4, v6 ? "ff05::77" : "255.255.255.255", IP_UDP);
	frame_udp(&in, 5000, 5000);
	frame_fill(&in, 64);
	frame_end(&in);
}

static void copied_to_port(enum endpoint_id to)
{
	const struct arrival *a = copy_to(&o, endpoints[to].ifindex);

	assert_int_equal(a->size, in.size);
	assert_memory_equal(a->data, in.data, in.size);
}

/* Several copies leave by the underlay device: one of them must be this tunnel's. */
static void copied_to_tunnel(uint32_t nexthop, uint32_t vni)
{
	size_t found = 0;

	for (size_t i = 0; i < o.copies_length; i++) {
		const struct arrival *a = &o.copies[i];
		bool v6 = a->data[12] == 0x86;
		uint16_t sport = (uint16_t)(a->data[v6 ? 54 : 34] << 8 | a->data[v6 ? 55 : 35]);

		if (a->ifindex != IF_UNDERLAY)
			continue;
		assert_in_range(sport, 49152, 65535);
		frame_encap(&want, nexthop, vni, &in, sport);
		found += a->size == want.size && memcmp(a->data, want.data, want.size) == 0;
	}
	assert_int_equal(found, 1);
}

static void a_broadcast_reaches_each_port_and_node_once(void **state)
{
	for (int v6 = 0; v6 < 2; v6++) {
		broadcast(WEB1, v6);
		from_port(WEB1, &in, &o);
		expect_no_drop(&o);
		assert_int_equal(o.verdict, VERDICT_STOLEN);
		expect_copies(
			&o,
			5); /* web2, allow1, small1, NODE4, NODE6; not web1, not the hole, not the port that waits */
		copied_to_port(WEB2);
		copied_to_port(ALLOW1);
		copied_to_port(SMALL1);
		copied_to_tunnel(NH_WEB4, VNI_WEB);
		copied_to_tunnel(NH_WEB6, VNI_WEB);
		expect_count(&o, COUNTER_TO_PORT, 3);
		expect_count(&o, COUNTER_ENCAP, 2);
		assert_int_equal(o.counters[COUNTER_ENCAP].bytes, 2 * in.size); /* as unicast: without outer headers */
	}
}

static void a_broadcast_stays_in_its_network_and_tenant(void **state)
{
	broadcast(BLUE1, false);
	from_port(BLUE1, &in, &o);
	expect_copies(&o, 1);
	copied_to_port(BLUE2);
}

static void arp_and_other_types_are_replicated_too(void **state)
{
	frame_begin(&in);
	frame_eth(&in, mac_of(BROADCAST), mac(WEB1), TYPE_ARP);
	frame_arp(&in, 1, mac(WEB1), "10.0.1.11", mac_of("00:00:00:00:00:00"), "10.0.1.99");
	from_port(WEB1, &in, &o);
	expect_no_drop(&o);
	expect_copies(&o, 5);
	copied_to_port(WEB2);
	copied_to_tunnel(NH_WEB4, VNI_WEB);
	copied_to_tunnel(NH_WEB6, VNI_WEB);

	frame_begin(&in);
	frame_eth(&in, mac_of("03:00:00:00:00:01"), mac(WEB1), 0x88b5);
	frame_fill(&in, 1); /* the shortest payload */
	from_port(WEB1, &in, &o);
	expect_no_drop(&o);
	expect_copies(&o, 5);
	copied_to_port(SMALL1);
	copied_to_tunnel(NH_WEB4, VNI_WEB);
	copied_to_tunnel(NH_WEB6, VNI_WEB);
}

static void unknown_unicast_floods_where_the_network_says_so(void **state)
{
	frame_udp_between(&in, FLO1, FLO2, false, 64);
	in.data[5] = 0x99;
	from_port(FLO1, &in, &o);
	expect_no_drop(&o);
	expect_copies(&o, 5); /* flo2, open1, the foreign node, NODE4, NODE6 */
	copied_to_port(FLO2);
	copied_to_port(OPEN1);
	copied_to_tunnel(NH_FOREIGN, VNI_FLO);
	copied_to_tunnel(NH_FLO4, VNI_FLO);
	copied_to_tunnel(NH_FLO6, VNI_FLO);
}

static void what_came_by_a_tunnel_goes_to_local_ports_only(void **state)
{
	static struct frame outer;
	static const struct {
		const char *node;
		uint32_t vni;
		enum endpoint_id from;
		size_t copies;
	} rows[] = {
		{ NODE4, VNI_WEB, WEB4, 4 },
		{ NODE6, VNI_WEB, WEB6, 4 },
		{ FOREIGN, VNI_FLO, FOREIGN1, 3 },
		{ NODE4, VNI_BLUE_WEB, WEB4, 2 },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		for (int v6 = 0; v6 < 2; v6++) {
			broadcast(rows[i].from, v6);
			frame_from_wire(&outer, rows[i].node, rows[i].vni, &in);
			from_wire(&outer, &o);
			expect_no_drop(&o);
			assert_int_equal(o.verdict, VERDICT_STOLEN);
			expect_copies(&o, rows[i].copies);
			expect_count(&o, COUNTER_ENCAP, 0);
			for (size_t j = 0; j < o.copies_length; j++) {
				assert_int_not_equal(o.copies[j].ifindex, IF_UNDERLAY);
				assert_int_equal(o.copies[j].size, in.size);
				assert_memory_equal(o.copies[j].data, in.data, in.size);
			}
		}
	}
}

static void copies_that_do_not_fit_are_dropped_singly(void **state)
{
	frame_between(&in, WEB1, WEB2, false, IP_UDP);
	memset(in.data, 0xff, 6);
	frame_udp(&in, 1, 2);
	frame_fill(&in, 1440 - 28);
	frame_end(&in);
	from_port(WEB1, &in, &o);
	assert_int_equal(o.drops[DROP_TOO_BIG], 2); /* small1 (1300) and NODE6 (1430) */
	expect_copies(&o, 3);
	copied_to_port(WEB2);
	copied_to_port(ALLOW1);
	copied_to_tunnel(NH_WEB4, VNI_WEB);
}

static void unreachable_nodes_do_not_stop_the_others(void **state)
{
	struct abi_flood_key k = { .vni = VNI_WEB, .kind = FLOOD_TUNNEL4 };
	struct abi_flood v = { .nexthop = 3 };

	table_put("floods", &k, &v);
	k.slot = 1;
	v.nexthop = NH_NO_ROUTE;
	table_put("floods", &k, &v);
	k.slot = 3;
	v.nexthop = NH_WEB4;
	table_put("floods", &k, &v);
	broadcast(WEB1, false);
	from_port(WEB1, &in, &o);
	assert_int_equal(o.drops[DROP_NO_UNDERLAY_ROUTE], 1);
	expect_copies(&o, 5);
	copied_to_tunnel(NH_WEB4, VNI_WEB);
	copied_to_tunnel(NH_WEB6, VNI_WEB);
}

static void a_port_whose_device_is_gone_is_named(void **state)
{
	struct abi_nexthop nh = nexthop_of(endpoints[WEB2].nexthop);

	nh.ifindex = HOST_NO_DEVICE;
	table_put("nexthops", &endpoints[WEB2].nexthop, &nh);
	broadcast(WEB1, false);
	from_port(WEB1, &in, &o);
	assert_int_equal(o.drops[DROP_PORT_DOWN], 1);
	expect_copies(&o, 4);
}

static void lists_longer_than_a_chunk_are_served_whole(void **state)
{
	struct abi_flood_key k = { .vni = VNI_BLUE_WEB, .kind = FLOOD_LOCAL };
	struct abi_flood v = { .nexthop = 300 };

	table_put("floods", &k, &v);
	/* two ports far down the list, holes elsewhere */
	k.slot = 129;
	v.nexthop = endpoints[WEB2].nexthop;
	table_put("floods", &k, &v);
	k.slot = 300;
	v.nexthop = endpoints[APP1].nexthop;
	table_put("floods", &k, &v);
	k.slot = 301; /* beyond the count: being filled, not in use yet */
	v.nexthop = endpoints[APP2].nexthop;
	table_put("floods", &k, &v);
	broadcast(BLUE1, false);
	from_port(BLUE1, &in, &o);
	expect_no_drop(&o);
	copied_to_port(BLUE2);
	copied_to_port(WEB2);
	copied_to_port(APP1);
	expect_copies(&o, 3);
}

static void a_list_longer_than_the_limit_is_named(void **state)
{
	struct abi_flood_key k = { .vni = VNI_BLUE_WEB, .kind = FLOOD_LOCAL };
	struct abi_flood v = { .nexthop = ABI_MAX_FLOOD_SLOTS + 1 };

	table_put("floods", &k, &v);
	broadcast(BLUE1, false);
	from_port(BLUE1, &in, &o);
	assert_int_equal(o.drops[DROP_FLOOD_LIMIT], 1);
	copied_to_port(BLUE2); /* who is in the first slots is served */
}

static void each_copy_carries_the_mark_for_its_port(void **state)
{
	/* copies go through the port's egress hook, which lets only marked frames pass: seen in the host build */
	broadcast(BLUE1, false);
	from_port(BLUE1, &in, &o);
	assert_int_equal(o.mark, ABI_MARK);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		DATAPATH_TEST(a_broadcast_reaches_each_port_and_node_once),
		DATAPATH_TEST(a_broadcast_stays_in_its_network_and_tenant),
		DATAPATH_TEST(arp_and_other_types_are_replicated_too),
		DATAPATH_TEST(unknown_unicast_floods_where_the_network_says_so),
		DATAPATH_TEST(what_came_by_a_tunnel_goes_to_local_ports_only),
		DATAPATH_TEST(copies_that_do_not_fit_are_dropped_singly),
		DATAPATH_TEST(unreachable_nodes_do_not_stop_the_others),
		DATAPATH_TEST(a_port_whose_device_is_gone_is_named),
		DATAPATH_TEST(lists_longer_than_a_chunk_are_served_whole),
		DATAPATH_TEST(a_list_longer_than_the_limit_is_named),
		DATAPATH_TEST(each_copy_carries_the_mark_for_its_port),
	};

	return DATAPATH_RUN(tests);
}
