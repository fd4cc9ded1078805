/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The programs attached to real devices, with frames that really come and go: where a redirect goes, what the egress
 * hook lets pass, tags that a device keeps beside the frame, runts that BPF_PROG_TEST_RUN does not take, and tunnel
 * packets as the kernel's own VXLAN device makes them.
 *
 *	far namespace                                   node
 *	x11 .. x24   frames in, frames out   ========   p11 .. p24   port_ingress, port_egress
 *	x10          underlay                ========   u10          wire_ingress
 *	vx0 (VXLAN 5002 over x10, 192.0.2.14): a foreign member
 */
#include <arpa/inet.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "harness.h"

#define ARRIVALS_MAX 32

static struct frame in, inner, want;
static struct arrival arrivals[ARRIVALS_MAX];
static size_t arrived;

static int setup(void **state)
{
	if (harness_setup(state) < 0 || harness_attach() < 0)
		return -1;
	/* x10 is the foreign node: its stack answers to its address and sends as it */
	room_far_ip("link set x10 address " FOREIGN_MAC "\n"
		    "address add " FOREIGN "/24 dev x10\n"
		    "neighbour add " SELF4 " lladdr " UNDERLAY_MAC " dev x10 nud permanent\n");
	return 0;
}

/* Sends `in` at the far end of a device and takes what comes out of any. */
static void send_in(uint32_t ifindex, size_t expect)
{
	room_arrivals(arrivals, ARRIVALS_MAX, 0);
	room_send(ifindex, in.data, in.size);
	arrived = room_arrivals(arrivals, ARRIVALS_MAX, expect);
	assert_int_equal(arrived, expect);
}

static void expect_arrival(uint32_t ifindex, const struct frame *f)
{
	for (size_t i = 0; i < arrived; i++)
		if (arrivals[i].ifindex == ifindex && arrivals[i].size == f->size &&
		    memcmp(arrivals[i].data, f->data, f->size) == 0)
			return;
	for (size_t i = 0; i < arrived; i++) {
		fprintf(stderr, "device %u: ", arrivals[i].ifindex);
		frame_print("came", arrivals[i].data, arrivals[i].size);
	}
	frame_print("wanted", f->data, f->size);
	fail_msg("it did not come out of device %u", ifindex);
}

static void expect_tunnelled(uint32_t nexthop, uint32_t vni, const struct frame *f)
{
	static struct frame outer;
	uint16_t sport = (uint16_t)(arrivals[0].data[arrivals[0].data[12] == 8 ? 34 : 54] << 8 |
				    arrivals[0].data[arrivals[0].data[12] == 8 ? 35 : 55]);

	frame_encap(&outer, nexthop, vni, f, sport);
	expect_arrival(IF_UNDERLAY, &outer);
}

static void frames_cross_between_ports(void **state)
{
	static const struct {
		enum endpoint_id from, to;
	} rows[] = { { WEB1, WEB2 }, { FLO2, FLO1 }, { FLO1, FLO2 }, { BLUE1, BLUE2 } };

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		for (int v6 = 0; v6 < 2; v6++) {
			frame_udp_between(&in, rows[i].from, rows[i].to, v6, 100);
			send_in(endpoints[rows[i].from].ifindex, 1);
			expect_arrival(endpoints[rows[i].to].ifindex, &in);
		}
	}
}

static void frames_enter_and_leave_tunnels(void **state)
{
	for (int v6 = 0; v6 < 2; v6++) {
		frame_udp_between(&in, WEB1, WEB4, v6, 100);
		send_in(endpoints[WEB1].ifindex, 1);
		expect_tunnelled(NH_WEB4, VNI_WEB, &in);
		frame_udp_between(&in, WEB1, WEB6, v6, 100);
		send_in(endpoints[WEB1].ifindex, 1);
		expect_tunnelled(NH_WEB6, VNI_WEB, &in);

		frame_udp_between(&inner, WEB4, WEB1, v6, 100);
		frame_from_wire(&in, NODE4, VNI_WEB, &inner);
		send_in(IF_UNDERLAY, 1);
		expect_arrival(endpoints[WEB1].ifindex, &inner);
		frame_udp_between(&inner, WEB6, WEB2, v6, 100);
		frame_from_wire(&in, NODE6, VNI_WEB, &inner);
		send_in(IF_UNDERLAY, 1);
		expect_arrival(endpoints[WEB2].ifindex, &inner);
	}
}

static void arp_crosses_in_both_directions(void **state)
{
	frame_begin(&in);
	frame_eth(&in, mac_of(endpoints[WEB4].mac), mac_of(endpoints[WEB1].mac), TYPE_ARP);
	frame_arp(&in, 2, mac_of(endpoints[WEB1].mac), "10.0.1.11", mac_of(endpoints[WEB4].mac), "10.0.1.41");
	send_in(endpoints[WEB1].ifindex, 1);
	expect_tunnelled(NH_WEB4, VNI_WEB, &in);

	frame_begin(&inner);
	frame_eth(&inner, mac_of(endpoints[WEB1].mac), mac_of(endpoints[WEB4].mac), TYPE_ARP);
	frame_arp(&inner, 2, mac_of(endpoints[WEB4].mac), "10.0.1.41", mac_of(endpoints[WEB1].mac), "10.0.1.11");
	frame_from_wire(&in, NODE4, VNI_WEB, &inner);
	send_in(IF_UNDERLAY, 1);
	expect_arrival(endpoints[WEB1].ifindex, &inner);
}

/* The receiver's stack goes by skb->protocol: it answers only what is marked as what it is. */
static void a_stack_behind_a_port_understands_what_came_out(void **state)
{
	static const struct {
		enum endpoint_id from;
		const char *node;
		uint32_t nexthop;
	} rows[] = { { WEB4, NODE4, NH_WEB4 }, { WEB6, NODE6, NH_WEB6 } };

	room_far_ip("link set x11 address 02:00:00:00:01:01\n"
		    "address add 10.0.1.11/24 dev x11\n"
		    "neighbour add 10.0.1.41 lladdr 02:00:00:00:01:41 dev x11 nud permanent\n"
		    "neighbour add 10.0.1.42 lladdr 02:00:00:00:01:42 dev x11 nud permanent\n");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		frame_between(&inner, rows[i].from, WEB1, false, IP_ICMP);
		frame_icmp(&inner, 8, 0, 0x50001);
		frame_fill(&inner, 56);
		frame_end(&inner);
		frame_from_wire(&in, rows[i].node, VNI_WEB, &inner);
		send_in(IF_UNDERLAY, 2);
		expect_arrival(endpoints[WEB1].ifindex, &inner);
		for (size_t j = 0; j < arrived; j++) {
			const uint8_t *p = arrivals[j].data + (i ? 70 : 50); /* the inner frame */

			if (arrivals[j].ifindex != IF_UNDERLAY)
				continue;
			assert_int_equal(p[34], 0); /* echo reply */
			assert_memory_equal(p, mac_of(endpoints[rows[i].from].mac).b, 6);
		}
	}
	room_far_ip("address del 10.0.1.11/24 dev x11\n");
}

static void replication_passes_the_egress_hooks(void **state)
{
	frame_udp_between(&in, FLO1, FLO2, false, 64);
	memset(in.data, 0xff, 6);
	send_in(endpoints[FLO1].ifindex, 5);
	expect_arrival(endpoints[FLO2].ifindex, &in);
	expect_arrival(endpoints[OPEN1].ifindex, &in);
}

static void answers_come_back_to_the_asker(void **state)
{
	frame_begin(&in);
	frame_eth(&in, mac_of(BROADCAST), mac_of(endpoints[WEB1].mac), TYPE_ARP);
	frame_arp(&in, 1, mac_of(endpoints[WEB1].mac), "10.0.1.11", mac_of("00:00:00:00:00:00"), "10.0.1.12");
	send_in(endpoints[WEB1].ifindex, 1);
	frame_begin(&want);
	frame_eth(&want, mac_of(endpoints[WEB1].mac), mac_of(endpoints[WEB2].mac), TYPE_ARP);
	frame_arp(&want, 2, mac_of(endpoints[WEB2].mac), "10.0.1.12", mac_of(endpoints[WEB1].mac), "10.0.1.11");
	expect_arrival(endpoints[WEB1].ifindex, &want);
	/* a port without the short way for veths: through its own egress hook */
	frame_begin(&in);
	frame_eth(&in, mac_of(GATEWAY_MAC), mac_of(endpoints[APP2].mac), TYPE_IP4);
	frame_ip(&in, "10.0.2.14", "10.0.2.1", IP_ICMP);
	frame_icmp(&in, 8, 0, 7);
	frame_end(&in);
	send_in(endpoints[APP2].ifindex, 1);
	frame_begin(&want);
	frame_eth(&want, mac_of(endpoints[APP2].mac), mac_of(GATEWAY_MAC), TYPE_IP4);
	frame_ip(&want, "10.0.2.1", "10.0.2.14", IP_ICMP);
	frame_icmp(&want, 0, 0, 7);
	frame_end(&want);
	expect_arrival(endpoints[APP2].ifindex, &want);
}

static void tags_beside_the_frame_are_refused(void **state)
{
	uint64_t before = harness_drops(DROP_VLAN_TAGGED);

	/* the device takes the tag out of the frame before the program sees it */
	frame_udp_between(&in, WEB1, WEB2, false, 64);
	memmove(in.data + 16, in.data + 12, in.size - 12);
	memcpy(in.data + 12, "\x81\x00\x00\x05", 4);
	in.size += 4;
	send_in(endpoints[WEB1].ifindex, 0);
	assert_int_equal(harness_drops(DROP_VLAN_TAGGED) - before, 1);
	/* VLAN 0 is a tag too */
	in.data[15] = 0;
	send_in(endpoints[WEB1].ifindex, 0);
	assert_int_equal(harness_drops(DROP_VLAN_TAGGED) - before, 2);
}

static void runts_are_refused(void **state)
{
	uint64_t before = harness_drops(DROP_MALFORMED);
	size_t sent = 0;

	for (int v6 = 0; v6 < 2; v6++) {
		for (size_t size = 15; size < (v6 ? 54 : 34); size++, sent++) {
			frame_udp_between(&in, WEB1, WEB2, v6, 64);
			in.size = size;
			room_send(endpoints[WEB1].ifindex, in.data, in.size);
		}
	}
	assert_int_equal(room_arrivals(arrivals, ARRIVALS_MAX, 0), 0);
	assert_int_equal(harness_drops(DROP_MALFORMED) - before, sent);
}

static void the_hosts_own_packets_do_not_leave_a_port(void **state)
{
	uint64_t before = harness_drops(DROP_NOT_OURS);

	frame_udp_between(&in, WEB2, WEB1, false, 64);
	room_arrivals(arrivals, ARRIVALS_MAX, 0);
	room_send_from_node(endpoints[WEB1].ifindex, in.data, in.size);
	assert_int_equal(harness_drops(DROP_NOT_OURS) - before, 1);
	assert_int_equal(room_arrivals(arrivals, ARRIVALS_MAX, 0), 0);
}

/* ---- super-packets ---- */

static void super_between(enum endpoint_id from, enum endpoint_id to, bool v6, size_t payload)
{
	frame_between(&in, from, to, v6, IP_TCP);
	frame_tcp(&in, 1000, 80);
	frame_fill(&in, payload);
	frame_end(&in);
}

/* One frame, of this whole size, with these first bytes. */
static void expect_whole(uint32_t ifindex, const uint8_t *data, size_t size)
{
	assert_int_equal(arrived, 1);
	assert_int_equal(arrivals[0].ifindex, ifindex);
	assert_int_equal(arrivals[0].size, size);
	assert_memory_equal(arrivals[0].data, data, 1000);
}

static void super_packets_cross_whole(void **state)
{
	static const struct {
		enum endpoint_id from, to;
		uint32_t nexthop; /* 0: a local port */
	} rows[] = { { WEB1, WEB2, 0 }, { FLO2, FLO1, 0 }, { WEB1, WEB4, NH_WEB4 }, { WEB1, WEB6, NH_WEB6 } };

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		for (int v6 = 0; v6 < 2; v6++) {
			super_between(rows[i].from, rows[i].to, v6, 7 * 1300 + 5);
			room_arrivals(arrivals, ARRIVALS_MAX, 0);
			room_send_super(endpoints[rows[i].from].ifindex, in.data, in.size, 1300);
			arrived = room_arrivals(arrivals, ARRIVALS_MAX, 1);
			if (!rows[i].nexthop) {
				expect_whole(endpoints[rows[i].to].ifindex, in.data, in.size);
				continue;
			}
			bool six = arrivals[0].data[12] == 0x86;

			frame_encap(&want, rows[i].nexthop, VNI_WEB, &in,
				    (uint16_t)(arrivals[0].data[six ? 54 : 34] << 8 | arrivals[0].data[six ? 55 : 35]));
			expect_whole(IF_UNDERLAY, want.data, want.size);
		}
	}
}

static void super_packets_of_large_segments_are_answered(void **state)
{
	for (int v6 = 0; v6 < 2; v6++) {
		const struct endpoint *e = &endpoints[WEB4];
		uint64_t before = harness_drops(DROP_TOO_BIG);
		size_t most = v6 ? 1024 : 512;

		super_between(WEB1, WEB4, v6, 5 * 1440);
		room_arrivals(arrivals, ARRIVALS_MAX, 0);
		room_send_super(endpoints[WEB1].ifindex, in.data, in.size, 1440);
		arrived = room_arrivals(arrivals, ARRIVALS_MAX, 1);
		assert_int_equal(harness_drops(DROP_TOO_BIG) - before, 1);
		frame_begin(&want);
		frame_eth(&want, mac_of(endpoints[WEB1].mac), mac_of(e->mac), v6 ? TYPE_IP6 : TYPE_IP4);
		frame_ip(&want, v6 ? e->ip6 : e->ip4, v6 ? "fd00:1::11" : "10.0.1.11", v6 ? IP_ICMP6 : IP_ICMP);
		if (!v6)
			frame_at(&want, LAYER_IP4)[1] = 0xc0;
		frame_icmp(&want, v6 ? 2 : 3, v6 ? 0 : 4, 1450);
		frame_bytes(&want, in.data + 14, most);
		frame_end(&want);
		assert_int_equal(arrived, 1);
		expect_arrival(endpoints[WEB1].ifindex, &want);
	}
}

static void headers_that_are_not_linear_are_pulled(void **state)
{
	uint64_t before = harness_drops(DROP_TOO_BIG), malformed = harness_drops(DROP_MALFORMED);

	for (int v6 = 0; v6 < 2; v6++) {
		frame_udp_between(&in, WEB1, WEB2, v6, 6000);
		room_arrivals(arrivals, ARRIVALS_MAX, 0);
		room_send_split(endpoints[WEB1].ifindex, in.data, in.size);
		arrived = room_arrivals(arrivals, ARRIVALS_MAX, 1);
		assert_int_equal(harness_drops(DROP_MALFORMED) - malformed, 0);
		assert_int_equal(harness_drops(DROP_TOO_BIG) - before, v6 + 1);
		assert_int_equal(arrived, 1);
		assert_int_equal(arrivals[0].ifindex, endpoints[WEB1].ifindex);
		assert_int_equal(arrivals[0].size, v6 ? 14 + 48 + 1024 : 14 + 28 + 512);
		assert_memory_equal(arrivals[0].data + (v6 ? 62 : 42), in.data + 14, v6 ? 1024 : 512);
	}
}

/* ---- a foreign member: the kernel's VXLAN device ---- */

static void foreign_up(void)
{
	static bool up;

	if (up)
		return;
	up = true;
	room_far_ip("link add vx0 address 02:00:00:00:04:41 mtu 1450 type vxlan id 5002 local " FOREIGN " remote " SELF4
		    " dstport 4789 dev x10\n"
		    "link set vx0 up\n"
		    "address add 10.0.4.41/24 dev vx0\n"
		    "route add 10.0.2.0/24 via 10.0.4.1\n");
}

static int foreign_send(const char *dst, int ttl, size_t size)
{
	int fd = room_far_socket(AF_INET, SOCK_RAW, IP_ICMP);
	struct sockaddr_in to = { .sin_family = AF_INET };
	static struct frame echo;

	frame_begin(&echo);
	frame_ip(&echo, "10.0.4.41", dst, IP_ICMP);
	frame_icmp(&echo, 8, 0, 0x77770001);
	frame_fill(&echo, size);
	frame_end(&echo);
	assert_int_equal(inet_pton(AF_INET, dst, &to.sin_addr), 1);
	assert_int_equal(setsockopt(fd, IPPROTO_IP, IP_TTL, &ttl, sizeof(ttl)), 0);
	assert_int_equal(sendto(fd, echo.data + 20, echo.size - 20, 0, (struct sockaddr *)&to, sizeof(to)),
			 echo.size - 20);
	return fd;
}

/* Type of the ICMP message that answers an echo request of the foreign host, -1 when none comes. */
static int foreign_ping(const char *dst, int ttl, size_t size)
{
	int fd = foreign_send(dst, ttl, size), type = -1;
	struct pollfd wait = { .fd = fd, .events = POLLIN };
	uint8_t reply[2048];

	while (type < 0 && poll(&wait, 1, 2000) > 0)
		if (recv(fd, reply, sizeof(reply), 0) >= 28)
			type = reply[20];
	close(fd);
	return type;
}

static void a_foreign_host_pings_its_gateway(void **state)
{
	foreign_up();
	assert_int_equal(foreign_ping("10.0.4.1", 64, 56), 0);
	assert_int_equal(foreign_ping("10.0.4.1", 1, 1400), 0);
}

static void a_foreign_host_gets_errors(void **state)
{
	foreign_up();
	assert_int_equal(foreign_ping("10.0.2.14", 1, 56), 11);	 /* time exceeded */
	assert_int_equal(foreign_ping("10.0.2.99", 64, 56), 3);	 /* unreachable */
	assert_int_equal(foreign_ping("10.0.2.99", 64, 1200), 3); /* with a cut quote */
}

/* By UDP from a socket: such packets come with offloaded checksums and the kernel's mark of encapsulation. */
static void foreign_udp(const char *dst, int ttl, size_t size)
{
	static const uint8_t payload[2000];
	int fd = room_far_socket(AF_INET, SOCK_DGRAM, 0);
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(9999) };

	assert_int_equal(inet_pton(AF_INET, dst, &to.sin_addr), 1);
	assert_int_equal(setsockopt(fd, IPPROTO_IP, IP_TTL, &ttl, sizeof(ttl)), 0);
	assert_int_equal(sendto(fd, payload, size, 0, (struct sockaddr *)&to, sizeof(to)), size);
	close(fd);
}

static bool came_out_towards(const char *mac)
{
	for (size_t i = 0; i < arrived; i++)
		if (arrivals[i].ifindex == IF_UNDERLAY && !memcmp(arrivals[i].data, mac_of(mac).b, 6))
			return true;
	return false;
}

static void a_foreign_host_is_routed_to_another_node(void **state)
{
	uint64_t failed = harness_drops(DROP_ENCAP_FAILED);

	foreign_up();
	assert_int_equal(foreign_ping("10.0.4.1", 64, 56), 0); /* resolves the gateway */
	room_arrivals(arrivals, ARRIVALS_MAX, 0);
	close(foreign_send("10.0.2.41", 64, 56));
	arrived = room_arrivals(arrivals, ARRIVALS_MAX, 1);
	assert_int_equal(harness_drops(DROP_ENCAP_FAILED) - failed, 0);
	assert_true(came_out_towards(NODE4_MAC));
	foreign_udp("10.0.2.41", 64, 100);
	arrived = room_arrivals(arrivals, ARRIVALS_MAX, 1);
	assert_int_equal(harness_drops(DROP_ENCAP_FAILED) - failed, 0);
	assert_true(came_out_towards(NODE4_MAC));
}

static void a_foreign_host_gets_errors_about_offloaded_packets(void **state)
{
	uint64_t failed = harness_drops(DROP_ENCAP_FAILED), errors = harness_counter(COUNTER_ICMP_ERRORS);

	foreign_up();
	assert_int_equal(foreign_ping("10.0.4.1", 64, 56), 0);
	room_arrivals(arrivals, ARRIVALS_MAX, 0);
	foreign_udp("10.0.2.14", 1, 100);
	arrived = room_arrivals(arrivals, ARRIVALS_MAX, 1);
	assert_int_equal(harness_drops(DROP_ENCAP_FAILED) - failed, 0);
	assert_int_equal(harness_counter(COUNTER_ICMP_ERRORS) - errors, 1);
	assert_true(came_out_towards(FOREIGN_MAC));
}

static void super_packets_of_a_foreign_host_come_in_whole(void **state)
{
	foreign_up();
	super_between(FOREIGN1, FLO1, false, 7 * 1300);
	room_arrivals(arrivals, ARRIVALS_MAX, 0);
	room_send_super_by("vx0", in.data, in.size, 1300);
	arrived = room_arrivals(arrivals, ARRIVALS_MAX, 1);
	expect_whole(endpoints[FLO1].ifindex, in.data, in.size);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		DATAPATH_TEST(frames_cross_between_ports),
		DATAPATH_TEST(frames_enter_and_leave_tunnels),
		DATAPATH_TEST(arp_crosses_in_both_directions),
		DATAPATH_TEST(a_stack_behind_a_port_understands_what_came_out),
		DATAPATH_TEST(replication_passes_the_egress_hooks),
		DATAPATH_TEST(answers_come_back_to_the_asker),
		DATAPATH_TEST(tags_beside_the_frame_are_refused),
		DATAPATH_TEST(runts_are_refused),
		DATAPATH_TEST(the_hosts_own_packets_do_not_leave_a_port),
		DATAPATH_TEST(super_packets_cross_whole),
		DATAPATH_TEST(super_packets_of_large_segments_are_answered),
		DATAPATH_TEST(headers_that_are_not_linear_are_pulled),
		DATAPATH_TEST(a_foreign_host_pings_its_gateway),
		DATAPATH_TEST(a_foreign_host_gets_errors),
		DATAPATH_TEST(a_foreign_host_is_routed_to_another_node),
		DATAPATH_TEST(a_foreign_host_gets_errors_about_offloaded_packets),
		DATAPATH_TEST(super_packets_of_a_foreign_host_come_in_whole),
	};

	return cmocka_run_group_tests(tests, setup, harness_teardown);
}
