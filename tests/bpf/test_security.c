/* SPDX-License-Identifier: Apache-2.0 */
/* What a workload may send, and what not (row C4: nothing passes, and every refusal has its own counter). */
#include <arpa/inet.h>
#include <string.h>

#include "harness.h"

static struct frame in;
static struct outcome o;

static struct mac6 mac(enum endpoint_id e)
{
	return mac_of(endpoints[e].mac);
}

static void eth_ip(enum endpoint_id from, enum endpoint_id to, const char *src, const char *dst, uint8_t proto)
{
	frame_begin(&in);
	frame_eth(&in, mac(to), mac(from), strchr(src, ':') ? TYPE_IP6 : TYPE_IP4);
	frame_ip(&in, src, dst, proto);
}

static void udp_as(enum endpoint_id from, enum endpoint_id to, const char *src, const char *dst)
{
	eth_ip(from, to, src, dst, IP_UDP);
	frame_udp(&in, 1000, 2000);
	frame_end(&in);
}

static void refused(enum endpoint_id from, enum drop_reason reason)
{
	from_port(from, &in, &o);
	expect_drop(&o, reason);
	expect_count(&o, COUNTER_FROM_PORT, 0);
}

/* Accepted by the rules; where it goes is another test's matter. */
static void accepted(enum endpoint_id from)
{
	from_port(from, &in, &o);
	expect_count(&o, COUNTER_FROM_PORT, 1);
}

static void source_mac_must_be_the_ports(void **state)
{
	frame_udp_between(&in, WEB1, WEB2, false, 10);
	memcpy(in.data + 6, mac(WEB4).b, 6);
	refused(WEB1, DROP_MAC_SPOOFED);
	for (int bit = 0; bit < 48; bit++) {
		frame_udp_between(&in, WEB1, WEB2, false, 10);
		in.data[6 + bit / 8] ^= (uint8_t)(1 << bit % 8);
		refused(WEB1, DROP_MAC_SPOOFED);
	}
}

static void source_address_must_be_the_ports(void **state)
{
	static const struct {
		enum endpoint_id from, to;
		const char *src4, *src6;
	} rows[] = {
		{ WEB1, WEB2, "10.0.1.12", "fd00:1::12" },   /* another port's of the same network */
		{ WEB1, WEB2, "10.0.1.41", "fd00:1::41" },   /* a remote endpoint's */
		{ WEB1, WEB2, "10.0.1.1", "fd00:1::1" },     /* the gateway's */
		{ WEB1, WEB2, "10.0.1.99", "fd00:1::99" },   /* nobody's */
		{ WEB1, WEB2, "10.0.2.13", "fd00:2::13" },   /* of another network */
		{ WEB1, WEB2, "203.0.113.1", "2001:db8::5" }, /* of another world */
		{ WEB1, WEB2, "224.0.0.1", "ff02::1" },
		{ WEB1, WEB2, "255.255.255.255", "ff0e::1" },
		{ WEB1, WEB2, "127.0.0.1", "::1" },
		{ WEB1, WEB2, "169.254.0.1", "fe80::1" },
		{ WEB1, WEB2, "0.0.0.0", "::" },
		{ APP1, APP2, "10.0.2.14", "fd00:2::14" },
		{ APP1, APP2, "10.0.2.1", "fd00:2::1" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		udp_as(rows[i].from, rows[i].to, rows[i].src4, "10.0.1.12");
		refused(rows[i].from, DROP_IP_SPOOFED);
		udp_as(rows[i].from, rows[i].to, rows[i].src6, "fd00:1::12");
		refused(rows[i].from, DROP_IP_SPOOFED);
	}
}

static void a_declared_source_passes_and_so_does_eui64(void **state)
{
	udp_as(WEB1, WEB2, "10.0.1.11", "10.0.1.12");
	accepted(WEB1);
	udp_as(WEB1, WEB2, "fd00:1::11", "fd00:1::12");
	accepted(WEB1);
	udp_as(WEB1, WEB2, "fe80::ff:fe00:101", "fe80::ff:fe00:102"); /* of 02:00:00:00:01:01 */
	accepted(WEB1);
	expect_port(&o, WEB2, &in);
	udp_as(WEB1, WEB2, "fe80::ff:fe00:102", "fe80::ff:fe00:101"); /* another's */
	refused(WEB1, DROP_IP_SPOOFED);
	udp_as(WEB1, WEB2, "fe80:0:0:1:0:ff:fe00:101", "fe80::ff:fe00:102"); /* not fe80::/64 */
	refused(WEB1, DROP_IP_SPOOFED);
}

static void a_port_without_declared_addresses_keeps_to_its_subnets(void **state)
{
	static const struct {
		const char *src;
		bool passes;
	} rows[] = {
		{ "10.0.5.77", true },	 { "fd00:5::77", true },  { "10.0.1.77", false }, { "fd00:1::77", false },
		{ "10.0.1.11", false },	 { "fd00:1::11", false }, { "10.0.5.1", false },  { "fd00:5::1", false },
		{ "192.0.2.200", false }, { "224.0.0.9", false },  { "0.0.0.0", false },	  { "fe80::99", true },
		{ "ff02::9", false },	 { "fd00:9::9", false },  { "127.0.0.1", false }, { "::1", false },
		{ "240.0.0.1", false },	 { "169.254.0.9", false },
		{ "fe80::1", false }, /* the gateway's */
		{ "fe80::ff:fe00:501", true }, /* of its own MAC */
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		udp_as(ANY1, ANY1, rows[i].src, strchr(rows[i].src, ':') ? "fd00:5::9" : "10.0.5.9");
		in.data[5] = 0x99; /* an unknown neighbour */
		if (rows[i].passes) {
			accepted(ANY1);
			expect_drop(&o, DROP_UNKNOWN_MAC);
		} else {
			refused(ANY1, DROP_IP_SPOOFED);
		}
	}
}

static void in_a_network_without_subnets_any_address_that_nobody_has(void **state)
{
	udp_as(BARE1, BARE2, "172.16.9.9", "172.16.0.23");
	accepted(BARE1);
	expect_port(&o, BARE2, &in);
	udp_as(BARE1, BARE2, "2001:db8:77::1", "2001:db8:77::2");
	accepted(BARE1);
	udp_as(BARE1, BARE2, "10.0.1.11", "172.16.0.23"); /* web1's */
	refused(BARE1, DROP_IP_SPOOFED);
	udp_as(BARE1, BARE2, "10.0.1.99", "172.16.0.23"); /* in web's subnet */
	refused(BARE1, DROP_IP_SPOOFED);
	udp_as(BARE1, BARE2, "10.9.1.2", "172.16.0.23"); /* behind a router */
	refused(BARE1, DROP_IP_SPOOFED);
	udp_as(BARE1, BARE2, "fd00:9::2", "fd00:66::23");
	refused(BARE1, DROP_IP_SPOOFED);
}

/* A route for all the rest does not say that somebody has it. */
static void a_default_route_takes_no_address_from_a_port(void **state)
{
	static const char *const families[] = { "0.0.0.0", "::" };

	for (size_t i = 0; i < 2; i++) {
		struct abi_prefix_key key = prefix_key(VNI_RED, families[i], 0);
		struct abi_prefix via = prefix_of(&key, VNI_RED, NH_APP4);

		table_put("prefixes", &key, &via);
	}
	udp_as(BARE1, BARE2, "172.16.9.9", "172.16.0.23");
	accepted(BARE1);
	expect_port(&o, BARE2, &in);
	udp_as(BARE1, BARE2, "2001:db8:77::1", "2001:db8:77::2");
	accepted(BARE1);
	udp_as(ANY1, ANY1, "172.16.9.9", "10.0.5.9"); /* its network has subnets */
	refused(ANY1, DROP_IP_SPOOFED);
}

/* The prefix has the tenant's VNI, as an l3 port has. */
static void a_routed_prefix_is_no_subnet_of_an_l3_port(void **state)
{
	struct abi_port port = port_of(APP1);

	port.flags |= PORT_ANY_SOURCE;
	table_put("ports", &endpoints[APP1].ifindex, &port);
	udp_as(APP1, APP2, "10.0.2.77", endpoints[APP2].ip4);
	accepted(APP1);
	udp_as(APP1, APP2, "10.9.1.2", endpoints[APP2].ip4);
	refused(APP1, DROP_IP_SPOOFED);
}

static void nobodys_addresses_are_nobodys_in_any_network(void **state)
{
	static const struct {
		const char *src;
		bool passes;
	} rows[] = {
		{ "0.1.2.3", false },	     { "127.0.0.1", false },	 { "127.255.255.254", false },
		{ "224.0.0.1", false },	     { "239.255.255.255", false }, { "240.0.0.1", false },
		{ "255.255.255.254", false }, { "255.255.255.255", false }, { "1.0.0.1", true },
		{ "126.255.255.255", true }, { "128.0.0.1", true },	 { "223.255.255.255", true },
		{ "169.254.7.7", true },     { "::1", false },		 { "::2", false },
		{ "::127.0.0.1", false },    { "ff02::1", false },	 { "ff0e::1", false },
		{ "fe80::1", true }, /* there is no gateway */
		{ "fe80::77", true },	     { "1::1", true },
		{ "fe80::ff:fe00:602", false }, /* of the MAC of bare2 */
		{ "fe80::1:0:ff:fe00:602", false }, { "febf::ff:fe00:602", false },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		udp_as(BARE1, BARE2, rows[i].src, strchr(rows[i].src, ':') ? "fd00:66::23" : "172.16.0.23");
		if (rows[i].passes) {
			accepted(BARE1);
			expect_port(&o, BARE2, &in);
		} else {
			refused(BARE1, DROP_IP_SPOOFED);
		}
	}
}

static void unspecified_sources_only_where_the_protocol_says_so(void **state)
{
	static const struct {
		const char *dst;
		uint16_t sport, dport;
		bool passes;
	} dhcp[] = {
		{ "255.255.255.255", 68, 67, true },
		{ "10.0.1.12", 68, 67, false },
		{ "255.255.255.255", 68, 68, false },
		{ "255.255.255.255", 1000, 53, false },
	};
	static const struct {
		const char *dst;
		uint8_t type, hops;
		bool passes;
	} icmp6[] = {
		{ "ff02::1:ff00:99", 135, 255, true }, { "ff02::2", 133, 255, true }, { "ff02::16", 143, 1, true },
		{ "ff02::16", 131, 1, true },	       { "ff02::2", 132, 1, true },   { "ff02::1", 128, 64, false },
		{ "ff02::1", 129, 64, false },	       { "ff02::1", 1, 64, false },
	};

	for (size_t i = 0; i < sizeof(dhcp) / sizeof(dhcp[0]); i++) {
		frame_begin(&in);
		frame_eth(&in, mac_of(BROADCAST), mac(WEB1), TYPE_IP4);
		frame_ip(&in, "0.0.0.0", dhcp[i].dst, IP_UDP);
		frame_udp(&in, dhcp[i].sport, dhcp[i].dport);
		frame_fill(&in, 240);
		frame_end(&in);
		if (dhcp[i].passes)
			accepted(WEB1);
		else
			refused(WEB1, DROP_IP_SPOOFED);
	}
	for (size_t i = 0; i < sizeof(icmp6) / sizeof(icmp6[0]); i++) {
		frame_begin(&in);
		frame_eth(&in, mac_multicast6(icmp6[i].dst), mac(WEB1), TYPE_IP6);
		frame_ip(&in, "::", icmp6[i].dst, IP_ICMP6);
		frame_at(&in, LAYER_IP6)[7] = icmp6[i].hops;
		if (icmp6[i].type == 135) {
			frame_nd(&in, 135, 0, "fd00:1::99", 0, mac(WEB1));
		} else {
			frame_icmp(&in, icmp6[i].type, 0, 0);
			frame_fill(&in, icmp6[i].type == 133 ? 0 : 16);
		}
		frame_end(&in);
		if (icmp6[i].passes)
			accepted(WEB1);
		else
			refused(WEB1, DROP_IP_SPOOFED);
	}
	/* a solicitation from :: must go to a multicast group: DAD by unicast is nothing that exists */
	eth_ip(WEB1, WEB2, "::", "fd00:1::12", IP_ICMP6);
	frame_at(&in, LAYER_IP6)[7] = 255;
	frame_nd(&in, 135, 0, "fd00:1::99", 0, mac(WEB1));
	frame_end(&in);
	refused(WEB1, DROP_IP_SPOOFED);
}

static void arp(enum endpoint_id from, uint16_t op, const char *sha, const char *spa, const char *tpa)
{
	frame_begin(&in);
	frame_eth(&in, mac_of(BROADCAST), mac(from), TYPE_ARP);
	frame_arp(&in, op, mac_of(sha), spa, mac_of("00:00:00:00:00:00"), tpa);
	frame_end(&in);
}

static void arp_speaks_only_for_itself(void **state)
{
	const char *own = endpoints[WEB1].mac;

	for (uint16_t op = 1; op <= 2; op++) {
		arp(WEB1, op, own, "10.0.1.12", "10.0.1.41"); /* another's address */
		refused(WEB1, DROP_ARP_SPOOFED);
		arp(WEB1, op, own, "10.0.1.12", "10.0.1.12"); /* gratuitous for another */
		refused(WEB1, DROP_ARP_SPOOFED);
		arp(WEB1, op, own, "10.0.1.1", "10.0.1.1"); /* the gateway */
		refused(WEB1, DROP_ARP_SPOOFED);
		arp(WEB1, op, own, "10.0.1.99", "10.0.1.12");
		refused(WEB1, DROP_ARP_SPOOFED);
		arp(WEB1, op, endpoints[WEB2].mac, "10.0.1.11", "10.0.1.12"); /* another's MAC inside */
		refused(WEB1, DROP_ARP_SPOOFED);
	}
	arp(WEB1, 2, own, "0.0.0.0", "10.0.1.12"); /* a probe is a request */
	refused(WEB1, DROP_ARP_SPOOFED);
	arp(WEB1, 1, own, "10.0.1.11", "10.0.1.99");
	accepted(WEB1);
	arp(WEB1, 1, own, "0.0.0.0", "10.0.1.99");
	accepted(WEB1);
	arp(ANY1, 2, endpoints[ANY1].mac, "10.0.5.77", "10.0.5.77");
	accepted(ANY1);
	arp(ANY1, 2, endpoints[ANY1].mac, "10.0.1.11", "10.0.1.11");
	refused(ANY1, DROP_ARP_SPOOFED);
	arp(BARE1, 2, endpoints[BARE1].mac, "127.0.0.1", "127.0.0.1");
	refused(BARE1, DROP_ARP_SPOOFED);
	arp(BARE1, 2, endpoints[BARE1].mac, "255.255.255.255", "172.16.0.23");
	refused(BARE1, DROP_ARP_SPOOFED);
	arp(BARE1, 2, endpoints[BARE1].mac, "172.16.0.18", "172.16.0.18");
	accepted(BARE1);
}

static void nd(enum endpoint_id from, uint8_t type, const char *src, const char *target, uint8_t option,
	       const char *option_mac)
{
	frame_begin(&in);
	frame_eth(&in, mac_multicast6("ff02::1"), mac(from), TYPE_IP6);
	frame_ip(&in, src, "ff02::1", IP_ICMP6);
	frame_at(&in, LAYER_IP6)[7] = 255;
	frame_nd(&in, type, 0x20000000, target, option, mac_of(option_mac));
	frame_end(&in);
}

static void nd_speaks_only_for_itself(void **state)
{
	const char *own = endpoints[WEB1].mac, *other = endpoints[WEB2].mac;

	nd(WEB1, 136, "fd00:1::11", "fd00:1::12", 2, own);
	refused(WEB1, DROP_ARP_SPOOFED);
	nd(WEB1, 136, "fd00:1::11", "fd00:1::1", 2, own);
	refused(WEB1, DROP_ARP_SPOOFED);
	nd(WEB1, 136, "fd00:1::11", "fe80::1", 2, own);
	refused(WEB1, DROP_ARP_SPOOFED);
	nd(WEB1, 136, "fd00:1::11", "fd00:1::11", 2, other);
	refused(WEB1, DROP_ARP_SPOOFED);
	nd(WEB1, 135, "fd00:1::11", "fd00:1::12", 1, other);
	refused(WEB1, DROP_ARP_SPOOFED);
	nd(WEB1, 136, "fd00:1::12", "fd00:1::11", 2, own);
	refused(WEB1, DROP_IP_SPOOFED);
	nd(WEB1, 136, "fd00:1::11", "fd00:1::11", 2, own);
	accepted(WEB1);
	nd(WEB1, 136, "fe80::ff:fe00:101", "fe80::ff:fe00:101", 2, own);
	accepted(WEB1);
	nd(WEB1, 136, "fe80::ff:fe00:101", "fe80::ff:fe00:102", 2, own); /* made from the MAC of web2 */
	refused(WEB1, DROP_ARP_SPOOFED);
	nd(ANY1, 136, "fd00:5::77", "fe80::1", 2, endpoints[ANY1].mac);
	refused(ANY1, DROP_ARP_SPOOFED);
	nd(ANY1, 136, "fd00:5::77", "::1", 2, endpoints[ANY1].mac);
	refused(ANY1, DROP_ARP_SPOOFED);
	nd(BARE1, 136, "fd00:66::18", "fe80::ff:fe00:602", 2, endpoints[BARE1].mac); /* of bare2 */
	refused(BARE1, DROP_ARP_SPOOFED);
	nd(ANY1, 136, "fd00:5::77", "fd00:5::77", 2, endpoints[ANY1].mac);
	accepted(ANY1);
}

static void router_advertisements_and_redirects_are_refused(void **state)
{
	for (uint8_t type = 134; type <= 137; type = (uint8_t)(type + 3)) {
		for (int i = 0; i < 2; i++) {
			enum endpoint_id from = i ? ALLOW1 : WEB1;

			frame_begin(&in);
			frame_eth(&in, mac_multicast6("ff02::1"), mac(from), TYPE_IP6);
			frame_ip(&in, endpoints[from].ip6, "ff02::1", IP_ICMP6);
			frame_at(&in, LAYER_IP6)[7] = 255;
			frame_icmp(&in, type, 0, 0);
			frame_fill(&in, 32);
			frame_end(&in);
			if (i)
				accepted(from);
			else
				refused(from, DROP_ROUTER_ADVERTISEMENT);
		}
	}
}

static void what_only_routers_say_is_refused(void **state)
{
	static const struct {
		uint8_t type;
		bool v6, passes;
	} rows[] = {
		{ 5, false, false }, { 9, false, false }, { 8, false, true },	{ 3, false, true },  { 10, false, true },
		{ 138, true, false }, { 151, true, false }, { 128, true, true }, { 1, true, true }, { 130, true, true },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		for (int allowed = 0; allowed < 2; allowed++) {
			enum endpoint_id from = allowed ? ALLOW1 : WEB1;

			frame_between(&in, from, WEB2, rows[i].v6, rows[i].v6 ? IP_ICMP6 : IP_ICMP);
			frame_icmp(&in, rows[i].type, 0, 0);
			frame_fill(&in, 32);
			frame_end(&in);
			if (allowed || rows[i].passes)
				accepted(from);
			else
				refused(from, DROP_ROUTER_ADVERTISEMENT);
		}
	}
}

static void dhcp_servers_are_refused(void **state)
{
	static const struct {
		bool v6;
		uint16_t sport, dport;
	} rows[] = {
		{ false, 67, 68 }, { true, 547, 546 },
		/* either port alone: clients look at where it is sent to, and relays at where it comes from */
		{ false, 1000, 68 }, { false, 67, 1000 }, { true, 1000, 546 }, { true, 547, 1000 },
		{ false, 68, 68 }, { true, 546, 546 },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		for (int allowed = 0; allowed < 2; allowed++) {
			frame_between(&in, allowed ? ALLOW1 : WEB1, WEB2, rows[i].v6, IP_UDP);
			frame_udp(&in, rows[i].sport, rows[i].dport);
			frame_fill(&in, 60);
			frame_end(&in);
			if (allowed)
				accepted(ALLOW1);
			else
				refused(WEB1, DROP_DHCP_SERVER);
		}
	}
	/* a client is no server */
	frame_between(&in, WEB1, WEB2, true, IP_UDP);
	frame_udp(&in, 546, 547);
	frame_end(&in);
	accepted(WEB1);
	frame_between(&in, WEB1, WEB2, false, IP_UDP);
	frame_udp(&in, 68, 67);
	frame_end(&in);
	accepted(WEB1);
	/* nor are the other family's numbers */
	frame_between(&in, WEB1, WEB2, true, IP_UDP);
	frame_udp(&in, 67, 68);
	frame_end(&in);
	accepted(WEB1);
	frame_between(&in, WEB1, WEB2, false, IP_UDP);
	frame_udp(&in, 547, 546);
	frame_end(&in);
	accepted(WEB1);
}

static void link_control_is_refused(void **state)
{
	static const struct {
		const char *dst;
		uint16_t type;
	} rows[] = {
		{ "01:80:c2:00:00:00", 38 },	 /* STP, LLC */
		{ "01:00:0c:cc:cc:cd", 50 },	 /* PVST, SNAP */
		{ "01:00:0c:cc:cc:cc", 50 },	 /* CDP */
		{ "01:80:c2:00:00:0e", 0x88cc }, /* LLDP */
		{ "01:80:c2:00:00:02", 0x8809 }, /* LACP */
		{ "01:80:c2:00:00:03", 0x888e }, /* 802.1X */
		{ "01:80:c2:00:00:01", 0x8808 }, /* pause */
		{ BROADCAST, 0x8035 },		 /* RARP */
		{ "02:00:00:00:01:02", 0x88cc }, /* to one host */
		{ "02:00:00:00:01:02", 100 },	 /* any LLC */
		{ "01:80:c2:00:00:0e", 0x0800 }, /* the address alone */
		{ "01:80:c2:00:00:21", 0x88f5 }, /* MVRP */
		{ BROADCAST, 0x88f6 }, { BROADCAST, 0x22ea }, { BROADCAST, 0x8902 }, { BROADCAST, 0x88e3 },
		{ BROADCAST, 0x892f }, { BROADCAST, 0x88fb }, { BROADCAST, 0x9000 },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		for (int allowed = 0; allowed < 2; allowed++) {
			enum endpoint_id from = allowed ? ALLOW1 : WEB1;

			frame_begin(&in);
			frame_eth(&in, mac_of(rows[i].dst), mac(from), rows[i].type);
			if (rows[i].type == TYPE_IP4) {
				frame_ip(&in, endpoints[from].ip4, "10.0.1.12", IP_UDP);
				frame_udp(&in, 1, 1);
			}
			frame_fill(&in, 46);
			frame_end(&in);
			if (allowed)
				accepted(from);
			else
				refused(from, DROP_LINK_CONTROL);
		}
	}
}

static void link_control_of_who_may_send_it_is_carried_as_any_frame(void **state)
{
	frame_begin(&in);
	frame_eth(&in, mac_of("01:80:c2:00:00:00"), mac(ALLOW1), 38);
	frame_fill(&in, 46);
	from_port(ALLOW1, &in, &o);
	expect_no_drop(&o);
	expect_copies(&o, 5); /* web1, web2, small1, NODE4, NODE6 */
	/* its source is checked all the same */
	memcpy(in.data + 6, mac(WEB1).b, 6);
	refused(ALLOW1, DROP_MAC_SPOOFED);
}

static void types_that_hide_a_packet_are_refused(void **state)
{
	static const struct {
		uint16_t type;
		enum drop_reason reason;
		bool never; /* no permission lets it pass */
	} rows[] = {
		{ 0x9100, DROP_VLAN_TAGGED, true },   { 0x9200, DROP_VLAN_TAGGED, true },
		{ 0x9300, DROP_VLAN_TAGGED, true },   { 0x88e7, DROP_VLAN_TAGGED, true },
		{ 0x8847, DROP_TUNNEL_PROTOCOL, false }, { 0x8848, DROP_TUNNEL_PROTOCOL, false },
		{ 0x8863, DROP_TUNNEL_PROTOCOL, false }, { 0x8864, DROP_TUNNEL_PROTOCOL, false },
		{ 0x88e5, DROP_TUNNEL_PROTOCOL, false }, { 0x894f, DROP_TUNNEL_PROTOCOL, false },
		{ 0x22f3, DROP_TUNNEL_PROTOCOL, false }, { 0x6558, DROP_TUNNEL_PROTOCOL, false },
		{ 0x22f4, DROP_ROUTING_PROTOCOL, false }, { 0x4305, DROP_ROUTING_PROTOCOL, false },
		{ 0x88b5, DROP_NONE, false },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		for (int allowed = 0; allowed < 2; allowed++) {
			for (int unicast = 0; unicast < 2; unicast++) {
				enum endpoint_id from = allowed ? ALLOW1 : WEB1;

				frame_begin(&in);
				frame_eth(&in, unicast ? mac(WEB2) : mac_of(BROADCAST), mac(from), rows[i].type);
				frame_fill(&in, 46);
				if (rows[i].reason == DROP_NONE || (allowed && !rows[i].never))
					accepted(from);
				else
					refused(from, rows[i].reason);
			}
		}
	}
}

static void the_fabrics_own_port_is_refused_wherever_it_is(void **state)
{
	struct abi_node n = { .underlay = { addr_of(SELF4), addr_of(SELF6) }, .vxlan_port = htons(5555) };
	uint32_t zero = 0;

	for (int v6 = 0; v6 < 2; v6++) {
		frame_between(&in, WEB1, WEB2, v6, IP_UDP);
		frame_udp(&in, 1000, 5555);
		frame_fill(&in, 60);
		frame_end(&in);
		accepted(WEB1);
	}
	table_put("node", &zero, &n);
	for (int v6 = 0; v6 < 2; v6++) {
		for (int i = 0; i < 2; i++) {
			frame_between(&in, WEB1, WEB2, v6, IP_UDP);
			frame_udp(&in, 1000, i ? 4789 : 5555); /* VXLAN stays VXLAN */
			frame_fill(&in, 60);
			frame_end(&in);
			refused(WEB1, DROP_TUNNEL_PROTOCOL);
		}
	}
}

static void protocols_of_the_network_are_refused(void **state)
{
	static const struct {
		uint8_t proto;
		uint16_t sport, dport;
		enum drop_reason reason;
	} rows[] = {
		{ IP_UDP, 1000, 4789, DROP_TUNNEL_PROTOCOL }, { IP_UDP, 1000, 8472, DROP_TUNNEL_PROTOCOL },
		{ IP_UDP, 1000, 4790, DROP_TUNNEL_PROTOCOL }, { IP_UDP, 1000, 6081, DROP_TUNNEL_PROTOCOL },
		{ IP_UDP, 1000, 4341, DROP_TUNNEL_PROTOCOL }, { IP_UDP, 1000, 6080, DROP_TUNNEL_PROTOCOL },
		{ IP_TCP, 1000, 7471, DROP_TUNNEL_PROTOCOL }, { 4, 0, 0, DROP_TUNNEL_PROTOCOL },
		{ 41, 0, 0, DROP_TUNNEL_PROTOCOL },	      { 47, 0, 0, DROP_TUNNEL_PROTOCOL },
		{ 50, 0, 0, DROP_TUNNEL_PROTOCOL },	      { 51, 0, 0, DROP_TUNNEL_PROTOCOL },
		{ 94, 0, 0, DROP_TUNNEL_PROTOCOL },	      { 97, 0, 0, DROP_TUNNEL_PROTOCOL },
		{ 115, 0, 0, DROP_TUNNEL_PROTOCOL },	      { 137, 0, 0, DROP_TUNNEL_PROTOCOL },
		{ IP_TCP, 1000, 179, DROP_ROUTING_PROTOCOL }, { IP_TCP, 179, 1000, DROP_ROUTING_PROTOCOL },
		{ IP_UDP, 1000, 3784, DROP_ROUTING_PROTOCOL }, { IP_UDP, 1000, 3785, DROP_ROUTING_PROTOCOL },
		{ IP_UDP, 1000, 4784, DROP_ROUTING_PROTOCOL }, { IP_UDP, 1000, 6784, DROP_ROUTING_PROTOCOL },
		{ IP_UDP, 1000, 646, DROP_ROUTING_PROTOCOL }, { 88, 0, 0, DROP_ROUTING_PROTOCOL },
		{ 89, 0, 0, DROP_ROUTING_PROTOCOL },	      { 103, 0, 0, DROP_ROUTING_PROTOCOL },
		{ 112, 0, 0, DROP_ROUTING_PROTOCOL },	      { IP_UDP, 1000, 500, DROP_NONE },
		{ IP_UDP, 1000, 4500, DROP_NONE },	      { IP_UDP, 1000, 53, DROP_NONE },
		{ IP_UDP, 1000, 4754, DROP_TUNNEL_PROTOCOL }, { IP_UDP, 1000, 4755, DROP_TUNNEL_PROTOCOL },
		{ IP_UDP, 1000, 6635, DROP_TUNNEL_PROTOCOL }, { IP_UDP, 1000, 6636, DROP_TUNNEL_PROTOCOL },
		{ IP_UDP, 1000, 1701, DROP_TUNNEL_PROTOCOL }, { IP_UDP, 1000, 2152, DROP_TUNNEL_PROTOCOL },
		{ IP_UDP, 1000, 2268, DROP_TUNNEL_PROTOCOL }, { IP_UDP, 1000, 3544, DROP_TUNNEL_PROTOCOL },
		{ IP_UDP, 1000, 5247, DROP_TUNNEL_PROTOCOL }, { 55, 0, 0, DROP_TUNNEL_PROTOCOL },
		{ 98, 0, 0, DROP_TUNNEL_PROTOCOL },	      { 108, 0, 0, DROP_TUNNEL_PROTOCOL },
		{ 143, 0, 0, DROP_TUNNEL_PROTOCOL },	      { 144, 0, 0, DROP_TUNNEL_PROTOCOL },
		{ 46, 0, 0, DROP_ROUTING_PROTOCOL },	      { 124, 0, 0, DROP_ROUTING_PROTOCOL },
		{ 138, 0, 0, DROP_ROUTING_PROTOCOL },	      { IP_TCP, 1000, 646, DROP_ROUTING_PROTOCOL },
		{ IP_UDP, 1000, 7784, DROP_ROUTING_PROTOCOL }, { IP_UDP, 1000, 520, DROP_ROUTING_PROTOCOL },
		{ IP_UDP, 1000, 521, DROP_ROUTING_PROTOCOL }, { IP_UDP, 1000, 1985, DROP_ROUTING_PROTOCOL },
		{ IP_UDP, 1000, 2029, DROP_ROUTING_PROTOCOL }, { IP_UDP, 1000, 3222, DROP_ROUTING_PROTOCOL },
		{ IP_UDP, 1000, 4342, DROP_ROUTING_PROTOCOL }, { IP_UDP, 1000, 6696, DROP_ROUTING_PROTOCOL },
		{ IP_TCP, 1000, 4789, DROP_NONE },	      { IP_UDP, 1000, 179, DROP_NONE },
		{ 132, 0, 0, DROP_NONE },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		for (int v6 = 0; v6 < 2; v6++) {
			for (int allowed = 0; allowed < 2; allowed++) {
				enum endpoint_id from = allowed ? ALLOW1 : WEB1;

				frame_between(&in, from, WEB2, v6, rows[i].proto);
				if (rows[i].proto == IP_UDP)
					frame_udp(&in, rows[i].sport, rows[i].dport);
				else if (rows[i].proto == IP_TCP)
					frame_tcp(&in, rows[i].sport, rows[i].dport);
				frame_fill(&in, 40);
				frame_end(&in);
				if (allowed || rows[i].reason == DROP_NONE)
					accepted(from);
				else
					refused(from, rows[i].reason);
			}
		}
	}
}

static void tagged_frames_are_refused_at_any_depth(void **state)
{
	for (int i = 0; i < 3; i++) {
		frame_begin(&in);
		frame_eth(&in, mac(WEB2), mac(WEB1), i == 1 ? 0x88a8 : 0x8100);
		frame_bytes(&in, i == 2 ? "\x00\x05\x81\x00\x00\x06\x08\x00" : "\x00\x05\x08\x00", i == 2 ? 8 : 4);
		frame_fill(&in, 46);
		refused(WEB1, DROP_VLAN_TAGGED);
		frame_begin(&in);
		frame_eth(&in, mac(FLO1), mac(OPEN1), i == 1 ? 0x88a8 : 0x8100);
		frame_bytes(&in, i == 2 ? "\x00\x05\x81\x00\x00\x06\x08\x00" : "\x00\x05\x08\x00", i == 2 ? 8 : 4);
		frame_fill(&in, 46);
		refused(OPEN1, DROP_VLAN_TAGGED); /* also where security is off */
	}
}

static void nd_in_fragments_or_behind_extension_headers_is_refused(void **state)
{
	static const uint8_t first[6] = { 0, 1, 0, 0, 0, 1 }, none[6];

	for (int ext = 0; ext < 2; ext++) {
		for (uint8_t type = 133; type <= 137; type++) {
			frame_begin(&in);
			frame_eth(&in, mac_multicast6("ff02::1"), mac(WEB1), TYPE_IP6);
			frame_ip(&in, "fd00:1::11", "ff02::1", ext ? 60 : 44);
			frame_at(&in, LAYER_IP6)[7] = 255;
			frame_ext(&in, IP_ICMP6, 0, ext ? none : first);
			frame_icmp(&in, type, 0, 0);
			frame_fill(&in, 32);
			frame_end(&in);
			refused(WEB1, DROP_EXTENSION_HEADERS);
		}
	}
}

static void a_port_without_security_may_send_anything_whole(void **state)
{
	frame_udp_between(&in, OPEN1, FLO1, false, 10);
	memcpy(in.data + 6, mac(FLO2).b, 6);
	accepted(OPEN1);
	udp_as(OPEN1, FLO1, "10.0.4.99", "10.0.4.15");
	accepted(OPEN1);
	expect_port(&o, FLO1, &in);
	frame_between(&in, OPEN1, FLO1, false, 47);
	frame_fill(&in, 20);
	frame_end(&in);
	accepted(OPEN1);
	frame_udp_between(&in, OPEN1, FLO1, false, 10);
	frame_at(&in, LAYER_IP4)[0] = 0x44;
	refused(OPEN1, DROP_MALFORMED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		DATAPATH_TEST(source_mac_must_be_the_ports),
		DATAPATH_TEST(source_address_must_be_the_ports),
		DATAPATH_TEST(a_declared_source_passes_and_so_does_eui64),
		DATAPATH_TEST(a_port_without_declared_addresses_keeps_to_its_subnets),
		DATAPATH_TEST(in_a_network_without_subnets_any_address_that_nobody_has),
		DATAPATH_TEST(a_default_route_takes_no_address_from_a_port),
		DATAPATH_TEST(a_routed_prefix_is_no_subnet_of_an_l3_port),
		DATAPATH_TEST(nobodys_addresses_are_nobodys_in_any_network),
		DATAPATH_TEST(unspecified_sources_only_where_the_protocol_says_so),
		DATAPATH_TEST(arp_speaks_only_for_itself),
		DATAPATH_TEST(nd_speaks_only_for_itself),
		DATAPATH_TEST(router_advertisements_and_redirects_are_refused),
		DATAPATH_TEST(what_only_routers_say_is_refused),
		DATAPATH_TEST(dhcp_servers_are_refused),
		DATAPATH_TEST(link_control_is_refused),
		DATAPATH_TEST(link_control_of_who_may_send_it_is_carried_as_any_frame),
		DATAPATH_TEST(types_that_hide_a_packet_are_refused),
		DATAPATH_TEST(the_fabrics_own_port_is_refused_wherever_it_is),
		DATAPATH_TEST(protocols_of_the_network_are_refused),
		DATAPATH_TEST(tagged_frames_are_refused_at_any_depth),
		DATAPATH_TEST(nd_in_fragments_or_behind_extension_headers_is_refused),
		DATAPATH_TEST(a_port_without_security_may_send_anything_whole),
	};

	return DATAPATH_RUN(tests);
}
