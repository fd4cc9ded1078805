/* SPDX-License-Identifier: Apache-2.0 */
/* ARP and neighbour discovery: who is answered, with what, and what stays off the underlay. */
#include <string.h>

#include "harness.h"

#define ZERO_MAC "00:00:00:00:00:00"

static struct frame in, want;
static struct outcome o;

static struct mac6 mac(enum endpoint_id e)
{
	return mac_of(endpoints[e].mac);
}

static void ask4(enum endpoint_id from, const char *sender, const char *target)
{
	frame_begin(&in);
	frame_eth(&in, mac_of(BROADCAST), mac(from), TYPE_ARP);
	frame_arp(&in, 1, mac(from), sender, mac_of(ZERO_MAC), target);
	frame_end(&in);
	from_port(from, &in, &o);
}

static void answered4(enum endpoint_id asker, const char *target, const char *answer_mac)
{
	struct mac6 answer = mac_of(answer_mac);
	const char *sender = endpoints[asker].ip4;

	frame_begin(&want);
	frame_eth(&want, mac(asker), answer, TYPE_ARP);
	frame_arp(&want, 2, answer, target, mac(asker), sender);
	expect_no_drop(&o);
	expect_answer(&o, asker, &want);
	expect_count(&o, COUNTER_ARP_ANSWERED, 1);
	expect_count(&o, COUNTER_FLOODED, 0);
}

static void ask6(enum endpoint_id from, const char *src, const char *dst, const char *target)
{
	bool multicast = dst[0] == 'f' && dst[1] == 'f';

	frame_begin(&in);
	frame_eth(&in, multicast ? mac_multicast6(dst) : mac_of(GATEWAY_MAC), mac(from), TYPE_IP6);
	frame_ip(&in, src, dst, IP_ICMP6);
	frame_at(&in, LAYER_IP6)[7] = 255;
	frame_nd(&in, 135, 0, target, strcmp(src, "::") ? 1 : 0, mac(from));
	frame_end(&in);
	from_port(from, &in, &o);
}

static void answered6(enum endpoint_id asker, const char *asker_ip, const char *target, const char *answer_mac,
		      bool router)
{
	bool probe = !strcmp(asker_ip, "::");
	uint32_t flags = 0x20000000u | (probe ? 0 : 0x40000000u) | (router ? 0x80000000u : 0);
	struct mac6 answer = mac_of(answer_mac);

	frame_begin(&want);
	frame_eth(&want, probe ? mac_multicast6("ff02::1") : mac(asker), answer, TYPE_IP6);
	frame_ip(&want, target, probe ? "ff02::1" : asker_ip, IP_ICMP6);
	frame_at(&want, LAYER_IP6)[7] = 255;
	frame_nd(&want, 136, flags, target, 2, answer);
	frame_end(&want);
	expect_no_drop(&o);
	expect_answer(&o, asker, &want);
	expect_count(&o, COUNTER_ND_ANSWERED, 1);
	expect_count(&o, COUNTER_FLOODED, 0);
}

static void known_neighbours_are_answered_at_the_port(void **state)
{
	static const enum endpoint_id known[] = { WEB2, WEB4, WEB6, SMALL1 };

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		const struct endpoint *e = &endpoints[known[i]];

		ask4(WEB1, "10.0.1.11", e->ip4);
		answered4(WEB1, e->ip4, e->mac);
		ask6(WEB1, "fd00:1::11", "ff02::1:ff00:12", e->ip6);
		answered6(WEB1, "fd00:1::11", e->ip6, e->mac, false);
		ask6(WEB1, "fd00:1::11", "fd00:1::12", e->ip6); /* unreachability detection, by unicast */
		answered6(WEB1, "fd00:1::11", e->ip6, e->mac, false);
	}
}

static void the_gateway_is_answered_with_its_mac(void **state)
{
	ask4(WEB1, "10.0.1.11", "10.0.1.1");
	answered4(WEB1, "10.0.1.1", GATEWAY_MAC);
	ask6(WEB1, "fd00:1::11", "ff02::1:ff00:1", "fd00:1::1");
	answered6(WEB1, "fd00:1::11", "fd00:1::1", GATEWAY_MAC, true);
}

static void the_other_tenants_neighbour_has_the_other_tenants_mac(void **state)
{
	struct abi_host_key k = host_key(VNI_BLUE, "10.0.1.12");
	struct abi_host v = { .nexthop = endpoints[BLUE2].nexthop,
			      .vni = VNI_BLUE_WEB,
			      .mac = { 2, 0xb, 0xb, 0xb, 0xb, 0xb } };

	table_put("hosts", &k, &v);
	ask4(BLUE1, "10.0.1.11", "10.0.1.12");
	answered4(BLUE1, "10.0.1.12", "02:0b:0b:0b:0b:0b");
	ask4(WEB1, "10.0.1.11", "10.0.1.12");
	answered4(WEB1, "10.0.1.12", endpoints[WEB2].mac);
}

static void requests_for_oneself_are_suppressed(void **state)
{
	ask4(WEB1, "10.0.1.11", "10.0.1.11"); /* gratuitous */
	expect_drop(&o, DROP_SUPPRESSED);
	ask4(WEB1, "0.0.0.0", "10.0.1.11"); /* probe, RFC 5227 */
	expect_drop(&o, DROP_SUPPRESSED);
	ask6(WEB1, "::", "ff02::1:ff00:11", "fd00:1::11"); /* DAD */
	expect_drop(&o, DROP_SUPPRESSED);
	ask4(APP1, "10.0.2.13", "10.0.2.13");
	expect_drop(&o, DROP_SUPPRESSED);
	ask4(APP1, "0.0.0.0", "10.0.2.13");
	expect_drop(&o, DROP_SUPPRESSED);
	ask6(APP1, "::", "ff02::1:ff00:13", "fd00:2::13");
	expect_drop(&o, DROP_SUPPRESSED);
}

static void detection_of_a_duplicate_is_answered_by_its_owner(void **state)
{
	frame_begin(&in);
	frame_eth(&in, mac_of(BROADCAST), mac(WEB1), TYPE_ARP);
	frame_arp(&in, 1, mac(WEB1), "0.0.0.0", mac_of(ZERO_MAC), "10.0.1.41");
	frame_end(&in);
	from_port(WEB1, &in, &o);
	frame_begin(&want);
	frame_eth(&want, mac(WEB1), mac(WEB4), TYPE_ARP);
	frame_arp(&want, 2, mac(WEB4), "10.0.1.41", mac(WEB1), "0.0.0.0");
	expect_no_drop(&o);
	expect_answer(&o, WEB1, &want);

	ask6(WEB1, "::", "ff02::1:ff00:41", "fd00:1::41");
	answered6(WEB1, "::", "fd00:1::41", endpoints[WEB4].mac, false);
	ask6(WEB1, "::", "ff02::1:ff00:1", "fd00:1::1");
	answered6(WEB1, "::", "fd00:1::1", GATEWAY_MAC, true);
}

static void unknown_neighbours_are_asked_everywhere(void **state)
{
	ask4(WEB1, "10.0.1.11", "10.0.1.99");
	expect_no_drop(&o);
	assert_int_equal(o.verdict, VERDICT_STOLEN);
	expect_copies(&o, 5); /* web2, allow1, small1 and two nodes */
	assert_memory_equal(copy_to(&o, endpoints[WEB2].ifindex)->data, in.data, in.size);
	ask6(WEB1, "fd00:1::11", "ff02::1:ff00:99", "fd00:1::99");
	expect_copies(&o, 5);
	/* of another network of the tenant: not a neighbour here */
	ask4(WEB1, "10.0.1.11", "10.0.2.13");
	expect_copies(&o, 5);
	ask4(WEB1, "10.0.1.11", "10.0.4.1");
	expect_copies(&o, 5);
}

static void in_l3_networks_every_address_is_the_gateways(void **state)
{
	static const char *const four[] = { "10.0.2.1",	 "10.0.2.14", "10.0.2.41",
					    "10.0.2.99", "10.0.1.11", "198.51.100.1" };
	static const char *const six[] = { "fd00:2::1",	 "fd00:2::14", "fd00:2::41",   "fd00:2::99",
					   "fd00:1::11", "fe80::1",    "2001:db8:5::1" };

	for (size_t i = 0; i < sizeof(four) / sizeof(four[0]); i++) {
		ask4(APP1, "10.0.2.13", four[i]);
		answered4(APP1, four[i], GATEWAY_MAC);
	}
	for (size_t i = 0; i < sizeof(six) / sizeof(six[0]); i++) {
		ask6(APP1, "fd00:2::13", "ff02::1:ff00:1", six[i]);
		answered6(APP1, "fd00:2::13", six[i], GATEWAY_MAC, true);
	}
}

static void in_l3_networks_detection_finds_only_real_owners(void **state)
{
	ask6(APP1, "::", "ff02::1:ff00:41", "fd00:2::41"); /* another host's */
	answered6(APP1, "::", "fd00:2::41", GATEWAY_MAC, true);
	ask6(APP1, "::", "ff02::1:ff00:1", "fd00:2::1");
	answered6(APP1, "::", "fd00:2::1", GATEWAY_MAC, true);
	ask6(APP1, "::", "ff02::1:ff00:77", "fd00:2::77"); /* nobody's */
	expect_drop(&o, DROP_SUPPRESSED);
	ask6(APP1, "::", "ff02::1:ff00:201", "fe80::ff:fe00:201"); /* its own link-local address */
	expect_drop(&o, DROP_SUPPRESSED);
	ask4(APP1, "0.0.0.0", "10.0.2.77");
	expect_drop(&o, DROP_SUPPRESSED);
}

static void a_short_solicitation_is_answered_in_full(void **state)
{
	/* without an option the request is 8 bytes shorter than the answer */
	frame_begin(&in);
	frame_eth(&in, mac_multicast6("ff02::1:ff00:12"), mac(WEB1), TYPE_IP6);
	frame_ip(&in, "fd00:1::11", "ff02::1:ff00:12", IP_ICMP6);
	frame_at(&in, LAYER_IP6)[7] = 255;
	frame_nd(&in, 135, 0, "fd00:1::12", 0, mac(WEB1));
	frame_end(&in);
	from_port(WEB1, &in, &o);
	answered6(WEB1, "fd00:1::11", "fd00:1::12", endpoints[WEB2].mac, false);
}

static void trailing_bytes_do_not_reach_the_answer(void **state)
{
	frame_begin(&in);
	frame_eth(&in, mac_multicast6("ff02::1:ff00:12"), mac(WEB1), TYPE_IP6);
	frame_ip(&in, "fd00:1::11", "ff02::1:ff00:12", IP_ICMP6);
	frame_at(&in, LAYER_IP6)[7] = 255;
	frame_nd(&in, 135, 0, "fd00:1::12", 1, mac(WEB1));
	frame_end(&in);
	frame_fill(&in, 20);
	from_port(WEB1, &in, &o);
	answered6(WEB1, "fd00:1::11", "fd00:1::12", endpoints[WEB2].mac, false);
}

static void malformed_requests_are_refused(void **state)
{
	static const struct {
		size_t offset;
		uint8_t value;
	} arp[] = { { 15, 6 }, { 16, 9 }, { 18, 8 }, { 19, 16 }, { 21, 3 }, { 21, 0 } };

	for (size_t i = 0; i < sizeof(arp) / sizeof(arp[0]); i++) {
		frame_begin(&in);
		frame_eth(&in, mac_of(BROADCAST), mac(WEB1), TYPE_ARP);
		frame_arp(&in, 1, mac(WEB1), "10.0.1.11", mac_of(ZERO_MAC), "10.0.1.12");
		in.data[arp[i].offset] = arp[i].value;
		from_port(WEB1, &in, &o);
		expect_drop(&o, DROP_MALFORMED);
	}
	for (int i = 0; i < 4; i++) {
		frame_begin(&in);
		frame_eth(&in, mac_multicast6("ff02::1:ff00:12"), mac(WEB1), TYPE_IP6);
		frame_ip(&in, "fd00:1::11", "ff02::1:ff00:12", IP_ICMP6);
		frame_at(&in, LAYER_IP6)[7] = i == 0 ? 254 : 255; /* came through a router */
		frame_nd(&in, 135, 0, "fd00:1::12", 1, mac(WEB1));
		if (i == 1)
			in.data[55] = 1; /* code */
		if (i == 2)
			in.data[79] = 0; /* an option without length */
		if (i == 3)
			in.data[79] = 3; /* an option past the end */
		frame_end(&in);
		from_port(WEB1, &in, &o);
		expect_drop(&o, DROP_MALFORMED);
	}
}

/* A foreign member only bridges: we are its gateway. */
static void a_foreign_member_is_answered_for_the_gateway_only(void **state)
{
	static struct frame inner, answer;

	frame_begin(&inner);
	frame_eth(&inner, mac_of(BROADCAST), mac(FOREIGN1), TYPE_ARP);
	frame_arp(&inner, 1, mac(FOREIGN1), "10.0.4.41", mac_of(ZERO_MAC), "10.0.4.1");
	frame_from_wire(&in, FOREIGN, VNI_FLO, &inner);
	from_wire(&in, &o);
	frame_begin(&answer);
	frame_eth(&answer, mac(FOREIGN1), mac_of(GATEWAY_MAC), TYPE_ARP);
	frame_arp(&answer, 2, mac_of(GATEWAY_MAC), "10.0.4.1", mac(FOREIGN1), "10.0.4.41");
	expect_tunnel(&o, NH_FOREIGN, VNI_FLO, &answer);
	expect_count(&o, COUNTER_ARP_ANSWERED, 1);

	frame_begin(&inner);
	frame_eth(&inner, mac_multicast6("ff02::1:ff00:1"), mac(FOREIGN1), TYPE_IP6);
	frame_ip(&inner, "fd00:4::41", "ff02::1:ff00:1", IP_ICMP6);
	frame_at(&inner, LAYER_IP6)[7] = 255;
	frame_nd(&inner, 135, 0, "fd00:4::1", 1, mac(FOREIGN1));
	frame_end(&inner);
	frame_from_wire(&in, FOREIGN, VNI_FLO, &inner);
	from_wire(&in, &o);
	frame_begin(&answer);
	frame_eth(&answer, mac(FOREIGN1), mac_of(GATEWAY_MAC), TYPE_IP6);
	frame_ip(&answer, "fd00:4::1", "fd00:4::41", IP_ICMP6);
	frame_at(&answer, LAYER_IP6)[7] = 255;
	frame_nd(&answer, 136, 0xe0000000, "fd00:4::1", 2, mac_of(GATEWAY_MAC));
	frame_end(&answer);
	expect_tunnel(&o, NH_FOREIGN, VNI_FLO, &answer);

	/* a local port's address: the port answers for itself */
	frame_begin(&inner);
	frame_eth(&inner, mac_of(BROADCAST), mac(FOREIGN1), TYPE_ARP);
	frame_arp(&inner, 1, mac(FOREIGN1), "10.0.4.41", mac_of(ZERO_MAC), "10.0.4.15");
	frame_from_wire(&in, FOREIGN, VNI_FLO, &inner);
	from_wire(&in, &o);
	expect_no_drop(&o);
	expect_copies(&o, 3);
	expect_count(&o, COUNTER_ARP_ANSWERED, 0);

	/* a node of ours has its own gateway: nothing is answered over the wire */
	frame_begin(&inner);
	frame_eth(&inner, mac_of(BROADCAST), mac(FLO4), TYPE_ARP);
	frame_arp(&inner, 1, mac(FLO4), "10.0.4.42", mac_of(ZERO_MAC), "10.0.4.1");
	frame_from_wire(&in, NODE4, VNI_FLO, &inner);
	from_wire(&in, &o);
	expect_count(&o, COUNTER_ARP_ANSWERED, 0);
	expect_copies(&o, 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		DATAPATH_TEST(known_neighbours_are_answered_at_the_port),
		DATAPATH_TEST(the_gateway_is_answered_with_its_mac),
		DATAPATH_TEST(the_other_tenants_neighbour_has_the_other_tenants_mac),
		DATAPATH_TEST(requests_for_oneself_are_suppressed),
		DATAPATH_TEST(detection_of_a_duplicate_is_answered_by_its_owner),
		DATAPATH_TEST(unknown_neighbours_are_asked_everywhere),
		DATAPATH_TEST(in_l3_networks_every_address_is_the_gateways),
		DATAPATH_TEST(in_l3_networks_detection_finds_only_real_owners),
		DATAPATH_TEST(a_short_solicitation_is_answered_in_full),
		DATAPATH_TEST(trailing_bytes_do_not_reach_the_answer),
		DATAPATH_TEST(malformed_requests_are_refused),
		DATAPATH_TEST(a_foreign_member_is_answered_for_the_gateway_only),
	};

	return DATAPATH_RUN(tests);
}
