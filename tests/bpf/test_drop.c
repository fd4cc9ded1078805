/* SPDX-License-Identifier: Apache-2.0 */
/* Every drop has a name: each reason of abi.h is reached, counted exactly once, and sampled with the right facts. */
#include <bpf/libbpf.h>
#include <stdio.h>
#include <string.h>

#include "harness.h"

static struct frame in, inner;
static struct outcome o;
static struct run_options options;

static struct mac6 mac(enum endpoint_id e)
{
	return mac_of(endpoints[e].mac);
}

/* Each makes `in`, from the endpoint of its row. */

static void plain(void)
{
	frame_udp_between(&in, WEB1, WEB2, false, 64);
}

static void to_waiting_port(void)
{
	frame_udp_between(&in, WEB1, DOWN1, false, 64);
}

static void bad_header(void)
{
	plain();
	in.data[14] = 0x41;
}

static void other_mac(void)
{
	plain();
	in.data[11] ^= 1;
}

static void other_address(void)
{
	plain();
	in.data[29] ^= 1;
}

static void arp_for_another(void)
{
	frame_begin(&in);
	frame_eth(&in, mac_of(BROADCAST), mac(WEB1), TYPE_ARP);
	frame_arp(&in, 1, mac(WEB1), "10.0.1.12", mac(WEB2), "10.0.1.41");
}

static void icmp6(uint8_t type, const char *target)
{
	frame_begin(&in);
	frame_eth(&in, mac_multicast6("ff02::1"), mac(WEB1), TYPE_IP6);
	frame_ip(&in, "fd00:1::11", "ff02::1", IP_ICMP6);
	frame_at(&in, LAYER_IP6)[7] = 255;
	frame_nd(&in, type, 0, target, 1, mac(WEB1));
	frame_end(&in);
}

static void router_advertisement(void)
{
	icmp6(134, "fd00:1::1");
}

static void udp_ports(uint16_t sport, uint16_t dport)
{
	frame_between(&in, WEB1, WEB2, false, IP_UDP);
	frame_udp(&in, sport, dport);
	frame_end(&in);
}

static void dhcp_offer(void)
{
	udp_ports(67, 68);
}

static void own_vxlan(void)
{
	udp_ports(1000, 4789);
}

static void bfd(void)
{
	udp_ports(49152, 3784);
}

static void lldp(void)
{
	frame_begin(&in);
	frame_eth(&in, mac_of("01:80:c2:00:00:0e"), mac(WEB1), 0x88cc);
	frame_fill(&in, 46);
}

static void tagged(void)
{
	frame_begin(&in);
	frame_eth(&in, mac(WEB2), mac(WEB1), 0x8100);
	frame_fill(&in, 46);
}

static void seven_extensions(void)
{
	static const uint8_t zero[6];

	frame_between(&in, WEB1, WEB2, true, 60);
	for (int i = 0; i < 7; i++)
		frame_ext(&in, i < 6 ? 60 : IP_UDP, 0, zero);
	frame_udp(&in, 1, 2);
	frame_end(&in);
}

static void unknown_mac(void)
{
	plain();
	in.data[5] = 0x99;
}

static void to_address(const char *dst)
{
	frame_begin(&in);
	frame_eth(&in, mac_of(GATEWAY_MAC), mac(WEB1), TYPE_IP4);
	frame_ip(&in, "10.0.1.11", dst, IP_UDP);
	frame_udp(&in, 1, 2);
	frame_end(&in);
}

static void to_no_subnet(void)
{
	to_address("198.51.100.1");
}

static void to_nobody(void)
{
	to_address("10.0.2.99");
}

static void to_link_local(void)
{
	to_address("169.254.1.1");
}

static void to_itself(void)
{
	to_address("10.0.1.11");
}

static void last_hop(void)
{
	frame_udp_between(&in, WEB1, APP1, false, 64);
	frame_ttl(&in, 1);
}

static void large(void)
{
	frame_udp_between(&in, WEB1, WEB4, false, 1460);
}

static void own_probe(void)
{
	frame_begin(&in);
	frame_eth(&in, mac_of(BROADCAST), mac(WEB1), TYPE_ARP);
	frame_arp(&in, 1, mac(WEB1), "0.0.0.0", mac_of("00:00:00:00:00:00"), "10.0.1.11");
}

static void wire(const char *node, uint32_t vni)
{
	frame_udp_between(&inner, WEB4, WEB1, false, 64);
	frame_from_wire(&in, node, vni, &inner);
}

static void stranger(void)
{
	wire("192.0.2.13", VNI_WEB);
}

static void unknown_flag(void)
{
	wire(NODE4, VNI_WEB);
	frame_at(&in, LAYER_VXLAN)[0] = 0x0c;
}

static void outer_fragment(void)
{
	wire(NODE4, VNI_WEB);
	frame_at(&in, LAYER_IP4)[6] = 0x20;
	frame_sum4(&in);
}

static void other_router(void)
{
	wire(NODE4, VNI_RED);
}

static void not_here(void)
{
	frame_udp_between(&inner, WEB4, WEB6, false, 64);
	frame_from_wire(&in, NODE4, VNI_WEB, &inner);
}

static void congested(void)
{
	wire(NODE4, VNI_WEB);
	frame_tos(&in, 3);
}

static void no_underlay(void)
{
	frame_udp_between(&in, WEB1, NOROUTE, false, 64);
}

static void flood_to(uint32_t count, uint32_t nexthop)
{
	struct abi_flood_key k = { .vni = VNI_BARE, .kind = FLOOD_TUNNEL4 };
	struct abi_flood v = { .nexthop = count };

	table_put("floods", &k, &v);
	k.slot = 1;
	v.nexthop = nexthop;
	table_put("floods", &k, &v);
	frame_udp_between(&in, BARE1, BARE2, false, 64);
	memset(in.data, 0xff, 6);
}

static void flood_unresolved(void)
{
	flood_to(1, NH_NO_NEIGHBOUR);
}

static void flood_too_long(void)
{
	flood_to(ABI_MAX_FLOOD_SLOTS + 1, NH_WEB4);
}

static void storm(void)
{
	const struct abi_bucket_key k = { .id = 18, .use = BUCKET_STORM };
	const struct abi_bucket empty = { .full_at_ns = UINT64_MAX / 2 };
	struct abi_port port = port_of(BARE1);

	port.storm_limit = 1;
	table_put("ports", &k.id, &port);
	table_put("buckets", &k, &empty);
	frame_udp_between(&in, BARE1, BARE2, false, 64);
	memset(in.data, 0xff, 6);
}

static void super_packet_that_the_kernel_refuses(void)
{
	/* BPF_PROG_TEST_RUN gives a super-packet no type, and bpf_skb_adjust_room takes TCP only */
	frame_between(&in, WEB1, WEB4, false, IP_TCP);
	frame_tcp(&in, 1000, 80);
	frame_fill(&in, 2000);
	frame_end(&in);
	options.gso_size = 1000;
	options.gso_segs = 2;
}

static void from_a_source_without_route(void)
{
	static struct frame packet;

	frame_udp_between(&packet, GREENLOST, GREEN1, false, 10);
	frame_native(&in, NODE4_MAC, &packet);
}

static void from_secure_member(void)
{
	frame_udp_between(&inner, SAFE4, SAFE1, false, 64);
	frame_from_wire(&in, NODE4, VNI_SAFE, &inner);
}

static void nothing_encrypts(void)
{
	const uint32_t zero = 0;
	struct abi_node n;

	memcpy(&n, host_map_get(host_map_find("node"), &zero), sizeof(n));
	n.secure_ifindex = 0;
	table_put("node", &zero, &n);
	frame_udp_between(&in, SAFE1, SAFE4, false, 64);
}

static void for_the_host(void)
{
	frame_begin(&in);
	frame_eth(&in, mac_of(NO_MAC), mac_of(NO_MAC), TYPE_IP4);
	frame_ip(&in, NODE4, SELF4, IP_TCP);
	frame_tcp(&in, 1000, 22);
	frame_end(&in);
}

static const struct {
	enum drop_reason reason;
	void (*make)(void);
	enum host_program program;
	uint32_t ifindex;
	uint32_t vni; /* in the event */
} rows[] = {
	{ DROP_PORT_UNKNOWN, plain, HOST_PORT_INGRESS, IF_UNDERLAY, 0 },
	{ DROP_PORT_DOWN, to_waiting_port, HOST_PORT_INGRESS, 11, VNI_WEB },
	{ DROP_MALFORMED, bad_header, HOST_PORT_INGRESS, 11, VNI_WEB },
	{ DROP_MAC_SPOOFED, other_mac, HOST_PORT_INGRESS, 11, VNI_WEB },
	{ DROP_IP_SPOOFED, other_address, HOST_PORT_INGRESS, 11, VNI_WEB },
	{ DROP_ARP_SPOOFED, arp_for_another, HOST_PORT_INGRESS, 11, VNI_WEB },
	{ DROP_ROUTER_ADVERTISEMENT, router_advertisement, HOST_PORT_INGRESS, 11, VNI_WEB },
	{ DROP_DHCP_SERVER, dhcp_offer, HOST_PORT_INGRESS, 11, VNI_WEB },
	{ DROP_LINK_CONTROL, lldp, HOST_PORT_INGRESS, 11, VNI_WEB },
	{ DROP_TUNNEL_PROTOCOL, own_vxlan, HOST_PORT_INGRESS, 11, VNI_WEB },
	{ DROP_ROUTING_PROTOCOL, bfd, HOST_PORT_INGRESS, 11, VNI_WEB },
	{ DROP_VLAN_TAGGED, tagged, HOST_PORT_INGRESS, 11, VNI_WEB },
	{ DROP_EXTENSION_HEADERS, seven_extensions, HOST_PORT_INGRESS, 11, VNI_WEB },
	{ DROP_UNKNOWN_MAC, unknown_mac, HOST_PORT_INGRESS, 11, VNI_WEB },
	{ DROP_NO_ROUTE, to_no_subnet, HOST_PORT_INGRESS, 11, VNI_WEB },
	{ DROP_NO_HOST, to_nobody, HOST_PORT_INGRESS, 11, VNI_WEB },
	{ DROP_TTL_EXCEEDED, last_hop, HOST_PORT_INGRESS, 11, VNI_WEB },
	{ DROP_TOO_BIG, large, HOST_PORT_INGRESS, 11, VNI_WEB },
	{ DROP_NOT_ROUTABLE, to_link_local, HOST_PORT_INGRESS, 11, VNI_WEB },
	{ DROP_SUPPRESSED, own_probe, HOST_PORT_INGRESS, 11, VNI_WEB },
	{ DROP_SAME_PORT, to_itself, HOST_PORT_INGRESS, 11, VNI_WEB },
	{ DROP_UNKNOWN_VTEP, stranger, HOST_WIRE_INGRESS, IF_UNDERLAY, VNI_WEB },
	{ DROP_BAD_TUNNEL_HEADER, unknown_flag, HOST_WIRE_INGRESS, IF_UNDERLAY, 0 },
	{ DROP_OUTER_FRAGMENT, outer_fragment, HOST_WIRE_INGRESS, IF_UNDERLAY, 0 },
	{ DROP_BAD_ROUTER_MAC, other_router, HOST_WIRE_INGRESS, IF_UNDERLAY, VNI_RED },
	{ DROP_NOT_LOCAL, not_here, HOST_WIRE_INGRESS, IF_UNDERLAY, VNI_WEB },
	{ DROP_ECN, congested, HOST_WIRE_INGRESS, IF_UNDERLAY, VNI_WEB },
	{ DROP_NO_UNDERLAY_ROUTE, no_underlay, HOST_PORT_INGRESS, 11, VNI_WEB },
	{ DROP_NO_NEIGHBOUR, flood_unresolved, HOST_PORT_INGRESS, 18, VNI_BARE },
	{ DROP_ENCAP_FAILED, super_packet_that_the_kernel_refuses, HOST_PORT_INGRESS, 11, VNI_WEB },
	{ DROP_FLOOD_LIMIT, flood_too_long, HOST_PORT_INGRESS, 18, VNI_BARE },
	{ DROP_STORM_LIMIT, storm, HOST_PORT_INGRESS, 18, VNI_BARE },
	{ DROP_NOT_OURS, plain, HOST_PORT_EGRESS, 11, 0 },
	{ DROP_UNDERLAY_SPOOFED, from_a_source_without_route, HOST_WIRE_INGRESS, IF_UNDERLAY, VNI_GREEN },
	{ DROP_CLEAR_TEXT, from_secure_member, HOST_WIRE_INGRESS, IF_UNDERLAY, VNI_SAFE },
	{ DROP_NOT_ENCRYPTED, nothing_encrypts, HOST_PORT_INGRESS, 27, VNI_SAFE },
	{ DROP_NOT_TUNNEL, for_the_host, HOST_WIRE_INGRESS, IF_SECURE, 0 },
};

#define ROWS (sizeof(rows) / sizeof(rows[0]))

static struct abi_event last;
static size_t events;

static int on_event(void *ctx, void *data, size_t size)
{
	assert_int_equal(size, sizeof(last));
	memcpy(&last, data, sizeof(last));
	events++;
	return 0;
}

static struct ring_buffer *ring(void)
{
	struct ring_buffer *r =
		ring_buffer__new(bpf_object__find_map_fd_by_name(harness_object(), "events"), on_event, NULL, NULL);

	assert_non_null(r);
	ring_buffer__consume(r);
	events = 0;
	return r;
}

static void run_row(size_t i)
{
	options = (struct run_options){ 0 };
	rows[i].make();
	run_with(rows[i].program, rows[i].ifindex, &in, &options, &o);
}

static void every_reason_is_reached_and_counted_once(void **state)
{
	bool reached[DROP_MAX] = { [DROP_NONE] = true };

	for (size_t i = 0; i < ROWS; i++) {
		harness_reset(NULL);
		run_row(i);
		for (int reason = 0; reason < DROP_MAX; reason++)
			if (o.drops[reason] != (reason == (int)rows[i].reason))
				fail_msg("row %zu wants reason %d; %d was counted %lu times", i, rows[i].reason, reason,
					 o.drops[reason]);
		reached[rows[i].reason] = true;
	}
	for (int reason = 0; reason < DROP_MAX; reason++)
		if (!reached[reason])
			fail_msg("no row reaches drop reason %d", reason);
}

static void samples_tell_what_was_dropped(void **state)
{
	static const int direction[HOST_PROGRAM_MAX] = { FROM_PORT, TO_PORT, FROM_WIRE };
	struct ring_buffer *r = ring();

	for (size_t i = 0; i < ROWS; i++) {
		harness_reset(NULL);
		events = 0;
		run_row(i);
		ring_buffer__consume(r);
		assert_int_equal(events, 1);
		assert_int_equal(last.reason, rows[i].reason);
		assert_int_equal(last.ifindex, rows[i].ifindex);
		assert_int_equal(last.vni, rows[i].vni);
		assert_int_equal(last.direction, direction[rows[i].program]);
		assert_true(last.time_ns > 0);
		/* the frame as it was when the decision fell: whole, or already without or with an outer header */
		assert_true(last.size > 0);
		assert_int_equal(last.snap_size, last.size < ABI_EVENT_SNAP ? last.size : ABI_EVENT_SNAP);
		if (last.size == in.size)
			assert_memory_equal(last.data, in.data, last.snap_size < 60 ? last.snap_size : 60);
		for (size_t j = last.snap_size; j < ABI_EVENT_SNAP; j++)
			assert_int_equal(last.data[j], 0);
	}
	ring_buffer__free(r);
}

static void samples_are_limited_and_counters_are_not(void **state)
{
	struct ring_buffer *r = ring();

	for (int i = 0; i < 500; i++) {
		unknown_mac();
		from_port(WEB1, &in, &o);
		expect_drop(&o, DROP_UNKNOWN_MAC);
	}
	ring_buffer__consume(r);
	assert_in_range(events, 1, 2 * ABI_EVENTS_PER_S); /* the second may have turned meanwhile */
	ring_buffer__free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		DATAPATH_TEST(every_reason_is_reached_and_counted_once),
		DATAPATH_TEST(samples_tell_what_was_dropped),
		DATAPATH_TEST(samples_are_limited_and_counters_are_not),
	};

	return DATAPATH_RUN(tests);
}
