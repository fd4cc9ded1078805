/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Encryption is asked: what leaves goes to the device that encrypts or nowhere, whole; what comes is taken from there
 * alone (row E1).  Gold is the tenant that asks.
 */
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "harness.h"

#define AGAIN 3 /* times the same frame comes, so that it also goes by memo */

static struct frame in, inner, want;
static struct outcome o;

static const struct way {
	enum endpoint_id from, to;
	uint32_t mtu; /* what fits: the least of what next hop and device take */
} ways[] = {
	{ SAFE1, SAFE4, 1390 }, { SAFE2, SAFE6, 1350 }, { DEEP1, DEEP4, 1390 },
	{ DEEP1, DEEP6, 1370 }, { SAFE1, DEEP6, 1370 }, { DEEP1, SAFE4, 1390 },
};

#define WAYS (sizeof(ways) / sizeof(ways[0]))

static bool is_routed(const struct way *w)
{
	return endpoints[w->from].vni != endpoints[w->to].vni || endpoints[w->from].vni == VNI_GOLD;
}

/* `in` goes this way; `inner` is what the tunnel carries of it. */
static void leave(const struct way *w, bool v6, size_t l3_size)
{
	frame_udp_between(&in, w->from, w->to, v6, l3_size - (v6 ? 48 : 28));
	frame_copy(&inner, &in);
	if (!is_routed(w))
		return;
	memcpy(inner.data, nexthop_of(endpoints[w->to].nexthop).router_mac, 6);
	memcpy(inner.data + 6, mac_of(ROUTER_MAC).b, 6);
	frame_ttl(&inner, 63);
}

static void expect_secure(const struct way *w)
{
	expect_tunnel(&o, endpoints[w->to].nexthop, is_routed(w) ? VNI_GOLD : VNI_SAFE, &inner);
	assert_int_equal(o.ifindex, IF_SECURE);
}

static void what_leaves_goes_to_what_encrypts(void **state)
{
	for (size_t i = 0; i < WAYS; i++) {
		for (int v6 = 0; v6 < 2; v6++) {
			leave(&ways[i], v6, 100);
			for (int again = 0; again < AGAIN; again++) {
				from_port(ways[i].from, &in, &o);
				expect_secure(&ways[i]);
			}
		}
	}
	/* beside it, in the same network, to a node for which nobody asks */
	frame_udp_between(&in, SAFE1, NEAR4, false, 100);
	from_port(SAFE1, &in, &o);
	expect_tunnel(&o, NH_NEAR4, VNI_SAFE, &in);
	assert_int_equal(o.ifindex, IF_UNDERLAY);
}

static void other_types_leave_so_too(void **state)
{
	static const enum endpoint_id to[] = { SAFE4, SAFE6 };

	for (size_t i = 0; i < 2; i++) {
		const struct endpoint *e = &endpoints[to[i]];

		frame_begin(&in);
		frame_eth(&in, mac_of(e->mac), mac_of(endpoints[SAFE1].mac), TYPE_ARP);
		frame_arp(&in, 2, mac_of(endpoints[SAFE1].mac), "10.0.8.27", mac_of(e->mac), e->ip4);
		from_port(SAFE1, &in, &o);
		expect_tunnel(&o, e->nexthop, VNI_SAFE, &in);
		frame_begin(&in);
		frame_eth(&in, mac_of(e->mac), mac_of(endpoints[SAFE1].mac), 0x88b5);
		frame_fill(&in, 7);
		from_port(SAFE1, &in, &o);
		expect_tunnel(&o, e->nexthop, VNI_SAFE, &in);
	}
}

/* The node's entry, without a word to the programs: what they remember goes on. */
static void node_put(uint32_t secure_ifindex, uint32_t secure_mtu)
{
	const uint32_t zero = 0;
	struct abi_node n;

	memcpy(&n, host_map_get(host_map_find("node"), &zero), sizeof(n));
	n.secure_ifindex = secure_ifindex;
	n.secure_mtu = secure_mtu;
	host_map_put(host_map_find("node"), &zero, &n);
	assert_int_equal(bpf_map_update_elem(bpf_object__find_map_fd_by_name(harness_object(), "node"), &zero, &n, 0), 0);
}

static void without_what_encrypts_nothing_leaves(void **state)
{
	static const struct {
		uint32_t ifindex, mtu;
	} rows[] = {
		{ 0, 0 },		  /* there is none */
		{ HOST_NO_DEVICE, SECURE_MTU }, /* it has gone, as with the daemon */
		{ IF_UNDERLAY, SECURE_MTU },	/* another device has its number by now */
		{ IF_SECURE, SECURE_MTU - 1 },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		for (size_t k = 0; k < WAYS; k++) {
			for (int known = 0; known < 2; known++) { /* with a memo of the flow, and without */
				harness_forget(known);
				node_put(IF_SECURE, SECURE_MTU);
				leave(&ways[k], k & 1, 100);
				from_port(ways[k].from, &in, &o);
				expect_secure(&ways[k]);
				node_put(rows[i].ifindex, rows[i].mtu);
				from_port(ways[k].from, &in, &o);
				expect_drop(&o, DROP_NOT_ENCRYPTED);
				node_put(IF_SECURE, SECURE_MTU);
				from_port(ways[k].from, &in, &o);
				expect_secure(&ways[k]);
			}
		}
	}
}

static void broadcast(bool v6)
{
	frame_udp_between(&in, SAFE1, SAFE2, v6, 64);
	memset(in.data, 0xff, 6);
}

static void expect_copy(uint32_t ifindex, uint32_t nexthop)
{
	const struct arrival *a = NULL;
	bool v6;

	for (size_t i = 0; i < o.copies_length; i++)
		if (o.copies[i].ifindex == ifindex && (o.copies[i].data[12] == 0x86) == (nexthop == NH_SAFE6))
			a = &o.copies[i];
	assert_non_null(a);
	v6 = a->data[12] == 0x86;
	frame_encap(&want, nexthop, VNI_SAFE, &in, (uint16_t)(a->data[v6 ? 54 : 34] << 8 | a->data[v6 ? 55 : 35]));
	assert_int_equal(a->size, want.size);
	assert_memory_equal(a->data, want.data, want.size);
}

static void each_copy_leaves_as_its_node_asks(void **state)
{
	for (int v6 = 0; v6 < 2; v6++) {
		broadcast(v6);
		from_port(SAFE1, &in, &o);
		expect_no_drop(&o);
		expect_copies(&o, 4); /* safe2, NODE4, NODE6, the near one */
		copy_to(&o, endpoints[SAFE2].ifindex);
		expect_copy(IF_SECURE, NH_SAFE4);
		expect_copy(IF_SECURE, NH_SAFE6);
		expect_copy(IF_UNDERLAY, NH_NEAR4);
	}
	node_put(0, 0);
	broadcast(false);
	from_port(SAFE1, &in, &o);
	assert_int_equal(o.drops[DROP_NOT_ENCRYPTED], 2);
	expect_copies(&o, 2);
	copy_to(&o, endpoints[SAFE2].ifindex);
	expect_copy(IF_UNDERLAY, NH_NEAR4);
}

/* The frame that the port gets of `inner`. */
static void arrive(const char *node, enum endpoint_id from, enum endpoint_id to, bool v6)
{
	bool routed = endpoints[to].vni == VNI_GOLD;

	frame_udp_between(&inner, from, to, v6, 64);
	if (routed)
		memcpy(inner.data, mac_of(ROUTER_MAC).b, 6);
	frame_from_wire(&in, node, routed ? VNI_GOLD : VNI_SAFE, &inner);
	frame_copy(&want, &inner);
	if (!routed)
		return;
	memcpy(want.data, mac_of(endpoints[to].mac).b, 6);
	memcpy(want.data + 6, mac_of(GATEWAY_MAC).b, 6);
}

static const struct {
	const char *node;
	enum endpoint_id from, to;
} arrivals[] = {
	{ NODE4, SAFE4, SAFE1 }, { NODE6, SAFE6, SAFE2 }, { NODE4, DEEP4, DEEP1 }, { NODE6, DEEP6, DEEP1 },
};

static void what_comes_is_taken_from_there_alone(void **state)
{
	for (size_t i = 0; i < sizeof(arrivals) / sizeof(arrivals[0]); i++) {
		for (int v6 = 0; v6 < 2; v6++) {
			arrive(arrivals[i].node, arrivals[i].from, arrivals[i].to, v6);
			from_wire(&in, &o);
			expect_drop(&o, DROP_CLEAR_TEXT);
			for (int again = 0; again < AGAIN; again++) {
				from_secure(&in, &o);
				expect_port(&o, arrivals[i].to, &want);
				expect_count(&o, COUNTER_DECAP, 1);
				from_wire(&in, &o); /* though it is remembered by now */
				expect_drop(&o, DROP_CLEAR_TEXT);
			}
		}
	}
}

static void a_mark_makes_nothing_decrypted(void **state)
{
	const struct run_options marked = { .mark = ABI_MARK };

	arrive(NODE4, SAFE4, SAFE1, false);
	run_with(HOST_WIRE_INGRESS, IF_UNDERLAY, &in, &marked, &o);
	expect_drop(&o, DROP_CLEAR_TEXT);
}

static void who_encrypts_unasked_is_heard_as_well(void **state)
{
	frame_udp_between(&inner, WEB4, WEB1, false, 64);
	frame_from_wire(&in, NODE4, VNI_WEB, &inner);
	for (int again = 0; again < AGAIN; again++) {
		from_secure(&in, &o);
		expect_port(&o, WEB1, &inner);
		from_wire(&in, &o);
		expect_port(&o, WEB1, &inner);
	}
}

static void a_stranger_stays_one_decrypted_or_not(void **state)
{
	frame_udp_between(&inner, SAFE4, SAFE1, false, 64);
	frame_from_wire(&in, "192.0.2.13", VNI_SAFE, &inner);
	from_secure(&in, &o);
	expect_drop(&o, DROP_UNKNOWN_VTEP);
	frame_from_wire(&in, NODE6, VNI_BLUE_WEB, &inner);
	from_secure(&in, &o);
	expect_drop(&o, DROP_UNKNOWN_VTEP);
}

static void only_tunnel_packets_come_in_decrypted(void **state)
{
	static struct frame packet;

	frame_begin(&in);
	frame_eth(&in, mac_of(NO_MAC), mac_of(NO_MAC), TYPE_ARP);
	frame_arp(&in, 1, mac_of(NODE4_MAC), NODE4, mac_of(NO_MAC), SELF4);
	from_secure(&in, &o);
	expect_drop(&o, DROP_NOT_TUNNEL);
	frame_udp_between(&packet, GREEN4, GREEN1, false, 64); /* of the tenant without encapsulation */
	frame_native(&in, NODE4_MAC, &packet);
	from_secure(&in, &o);
	expect_drop(&o, DROP_NOT_TUNNEL);
	arrive(NODE4, SAFE4, SAFE1, false);
	frame_at(&in, LAYER_UDP)[3] ^= 1; /* another port */
	from_secure(&in, &o);
	expect_drop(&o, DROP_NOT_TUNNEL);
}

/* The answer to what did not fit, in `o`, says `mtu`. */
static void expect_too_big(const struct way *w, bool v6)
{
	const uint8_t *p = o.out.data;
	uint32_t said = v6 ? (uint32_t)(p[58] << 24 | p[59] << 16 | p[60] << 8 | p[61]) : (uint32_t)(p[40] << 8 | p[41]);

	assert_int_equal(o.drops[DROP_TOO_BIG], 1);
	assert_int_equal(o.verdict, VERDICT_REDIRECT);
	assert_int_equal(o.ifindex, endpoints[w->from].ifindex);
	assert_int_equal(p[v6 ? 54 : 34], v6 ? 2 : 3);
	assert_int_equal(said, w->mtu);
}

static void what_does_not_fit_is_answered_with_what_does(void **state)
{
	for (size_t i = 0; i < WAYS; i++) {
		for (int v6 = 0; v6 < 2; v6++) {
			leave(&ways[i], v6, ways[i].mtu + 1);
			from_port(ways[i].from, &in, &o);
			expect_too_big(&ways[i], v6);
			leave(&ways[i], v6, ways[i].mtu);
			from_port(ways[i].from, &in, &o);
			expect_secure(&ways[i]);
			leave(&ways[i], v6, ways[i].mtu + 1); /* though the flow is known */
			from_port(ways[i].from, &in, &o);
			expect_too_big(&ways[i], v6);
		}
	}
}

static void answers_to_other_nodes_are_encrypted_too(void **state)
{
	struct abi_nexthop small = nexthop_of(endpoints[DEEP1].nexthop);

	small.mtu = 1000;
	table_put("nexthops", &endpoints[DEEP1].nexthop, &small);
	for (size_t i = 2; i < 4; i++) {
		frame_udp_between(&inner, arrivals[i].from, DEEP1, false, 1100);
		memcpy(inner.data, mac_of(ROUTER_MAC).b, 6);
		memcpy(inner.data + 6, nexthop_of(endpoints[arrivals[i].from].nexthop).router_mac, 6);
		frame_from_wire(&in, arrivals[i].node, VNI_GOLD, &inner);
		from_secure(&in, &o);
		assert_int_equal(o.drops[DROP_TOO_BIG], 1);
		assert_int_equal(o.verdict, VERDICT_REDIRECT);
		assert_int_equal(o.ifindex, IF_SECURE);
		expect_count(&o, COUNTER_ENCAP, 1);
	}
}

static void one_write_turns_it_on_and_off(void **state)
{
	const uint32_t id = NH_WEB4;
	struct abi_nexthop nh = nexthop_of(id);

	for (int on = 1; on >= 0; on--) {
		nh.flags = on ? NEXTHOP_SECURE : 0;
		table_put("nexthops", &id, &nh);
		frame_udp_between(&in, WEB1, WEB4, false, 64);
		for (int again = 0; again < AGAIN; again++) {
			from_port(WEB1, &in, &o);
			expect_no_drop(&o);
			assert_int_equal(o.verdict, VERDICT_REDIRECT);
			assert_int_equal(o.ifindex, on ? IF_SECURE : IF_UNDERLAY);
		}
	}
}

/* ---- a TAP device in its place ---- */

#define SEGMENT 1250
#define SUPER (7 * SEGMENT + 5)
#define PATIENCE_MS 5000

static int tap = -1;

static void tap_open(void)
{
	struct ifreq request = { .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR };
	LIBBPF_OPTS(bpf_tc_hook, hook, .attach_point = BPF_TC_INGRESS);
	LIBBPF_OPTS(bpf_tc_opts, opts, .prog_fd = harness_program_fd(HOST_WIRE_INGRESS));
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	tap = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	assert_true(tap >= 0 && fd >= 0);
	strcpy(request.ifr_name, "secure");
	assert_int_equal(ioctl(tap, TUNSETIFF, &request), 0);
	assert_int_equal(ioctl(tap, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6), 0);
	request.ifr_mtu = SECURE_MTU;
	assert_int_equal(ioctl(fd, SIOCSIFMTU, &request), 0);
	request.ifr_flags = IFF_UP | IFF_NOARP;
	assert_int_equal(ioctl(fd, SIOCSIFFLAGS, &request), 0);
	close(fd);
	hook.ifindex = (int)if_nametoindex("secure");
	assert_int_equal(bpf_tc_hook_create(&hook), 0);
	assert_int_equal(bpf_tc_attach(&hook, &opts), 0);
	node_put((uint32_t)hook.ifindex, SECURE_MTU);
}

static void super_between(struct frame *f, enum endpoint_id from, enum endpoint_id to, bool v6)
{
	frame_between(f, from, to, v6, IP_TCP);
	frame_tcp(f, 1000, 80);
	frame_fill(f, SUPER);
	frame_end(f);
}

/* One frame of the TAP's. */
static size_t tap_read(struct virtio_net_hdr *head, uint8_t *frame, size_t size)
{
	uint8_t both[sizeof(*head) + FRAME_MAX];
	struct pollfd wait = { .fd = tap, .events = POLLIN };
	ssize_t n;

	assert_int_equal(poll(&wait, 1, PATIENCE_MS), 1);
	n = read(tap, both, sizeof(both));
	assert_true(n > (ssize_t)sizeof(*head) && (size_t)n - sizeof(*head) <= size);
	memcpy(head, both, sizeof(*head));
	memcpy(frame, both + sizeof(*head), (size_t)n - sizeof(*head));
	return (size_t)n - sizeof(*head);
}

static void a_super_packet_is_handed_over_whole(void **state)
{
	static const enum endpoint_id to[] = { SAFE4, SAFE6 };
	static uint8_t got[FRAME_MAX];
	struct virtio_net_hdr head;

	for (size_t i = 0; i < 2; i++) {
		for (int v6 = 0; v6 < 2; v6++) {
			size_t outer = i ? 70 : 50, size;

			super_between(&in, SAFE1, to[i], v6);
			room_send_super(endpoints[SAFE1].ifindex, in.data, in.size, SEGMENT);
			size = tap_read(&head, got, sizeof(got));
			frame_encap(&want, endpoints[to[i]].nexthop, VNI_SAFE, &in,
				    (uint16_t)(got[i ? 54 : 34] << 8 | got[i ? 55 : 35]));
			assert_int_equal(size, want.size);
			assert_memory_equal(got, want.data, outer + (v6 ? 54 : 34) + 16); /* up to the TCP checksum */
			assert_memory_equal(got + size - SUPER, want.data + size - SUPER, SUPER);
			assert_int_equal(head.gso_type, v6 ? VIRTIO_NET_HDR_GSO_TCPV6 : VIRTIO_NET_HDR_GSO_TCPV4);
			assert_int_equal(head.gso_size, SEGMENT);
			assert_int_equal(head.flags, VIRTIO_NET_HDR_F_NEEDS_CSUM);
			assert_int_equal(head.csum_start, outer + (v6 ? 54 : 34));
			assert_int_equal(head.csum_offset, 16);
		}
	}
}

/* By the kernel, who knows nothing of what is in front: that is in front of each, with the lengths of the whole. */
static void a_super_packet_of_udp_is_cut_before(void **state)
{
	static uint8_t got[FRAME_MAX];
	struct virtio_net_hdr head;

	if (!harness_has_decap_flags()) /* an older kernel, which takes none from us: from 6.2 on it does */
		return;
	frame_between(&in, SAFE1, SAFE4, false, IP_UDP);
	frame_udp(&in, 1000, 2000);
	frame_fill(&in, 3 * 1000);
	frame_end(&in);
	room_send_super(endpoints[SAFE1].ifindex, in.data, in.size, 1000);
	for (int i = 0; i < 3; i++) {
		size_t size = tap_read(&head, got, sizeof(got));

		assert_int_equal(size, 50 + 42 + 1000);
		assert_int_equal(head.gso_type, VIRTIO_NET_HDR_GSO_NONE);
		assert_int_equal(got[16] << 8 | got[17], 36 + in.size);		/* outer IP */
		assert_int_equal(got[50 + 16] << 8 | got[50 + 17], 28 + 1000); /* inner */
		assert_memory_equal(got + 50 + 42, in.data + 42 + i * 1000, 1000);
	}
}

static void a_super_packet_is_taken_whole(void **state)
{
	static const struct {
		const char *node;
		enum endpoint_id from, to;
	} rows[] = { { NODE4, SAFE4, SAFE1 }, { NODE6, SAFE6, SAFE2 } };
	static struct arrival arrived[4];
	static uint8_t both[sizeof(struct virtio_net_hdr) + FRAME_MAX];

	for (size_t i = 0; i < 2; i++) {
		for (int v6 = 0; v6 < 2; v6++) {
			struct virtio_net_hdr head = { .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
						       .gso_type = v6 ? VIRTIO_NET_HDR_GSO_TCPV6 : VIRTIO_NET_HDR_GSO_TCPV4,
						       .gso_size = SEGMENT,
						       .csum_start = (uint16_t)((i ? 70 : 50) + (v6 ? 54 : 34)),
						       .csum_offset = 16 };

			head.hdr_len = (uint16_t)(head.csum_start + 20);
			super_between(&inner, rows[i].from, rows[i].to, v6);
			frame_from_wire(&in, rows[i].node, VNI_SAFE, &inner);
			memcpy(both, &head, sizeof(head));
			memcpy(both + sizeof(head), in.data, in.size);
			room_arrivals(arrived, 4, 0);
			assert_int_equal(write(tap, both, sizeof(head) + in.size), (ssize_t)(sizeof(head) + in.size));
			assert_int_equal(room_arrivals(arrived, 4, 1), 1);
			assert_int_equal(arrived[0].ifindex, endpoints[rows[i].to].ifindex);
			assert_int_equal(arrived[0].size, inner.size);
			assert_memory_equal(arrived[0].data, inner.data, 1000);
		}
	}
}

/* As when the daemon is killed under traffic: each packet is counted, at once. */
static void with_the_device_goes_all_that_is_to_be_encrypted(void **state)
{
	static struct arrival arrived[4];
	struct virtio_net_hdr head;
	static uint8_t got[FRAME_MAX];
	uint64_t before;

	frame_udp_between(&in, SAFE1, SAFE4, false, 100);
	for (int i = 0; i < AGAIN; i++) {
		room_send(endpoints[SAFE1].ifindex, in.data, in.size);
		tap_read(&head, got, sizeof(got));
	}
	close(tap);
	before = harness_drops(DROP_NOT_ENCRYPTED);
	room_arrivals(arrived, 4, 0);
	for (int i = 0; i < AGAIN; i++)
		room_send(endpoints[SAFE1].ifindex, in.data, in.size);
	assert_int_equal(room_arrivals(arrived, 4, 0), 0);
	assert_int_equal(harness_drops(DROP_NOT_ENCRYPTED) - before, AGAIN);
}

static int live(void **state)
{
	static bool attached;

	if (!attached && harness_attach() < 0)
		return -1;
	attached = true;
	if (harness_reset(state) < 0)
		return -1;
	if (tap < 0)
		tap_open();
	else
		node_put(if_nametoindex("secure"), SECURE_MTU);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		DATAPATH_TEST(what_leaves_goes_to_what_encrypts),
		DATAPATH_TEST(other_types_leave_so_too),
		DATAPATH_TEST(without_what_encrypts_nothing_leaves),
		DATAPATH_TEST(each_copy_leaves_as_its_node_asks),
		DATAPATH_TEST(what_comes_is_taken_from_there_alone),
		DATAPATH_TEST(a_mark_makes_nothing_decrypted),
		DATAPATH_TEST(who_encrypts_unasked_is_heard_as_well),
		DATAPATH_TEST(a_stranger_stays_one_decrypted_or_not),
		DATAPATH_TEST(only_tunnel_packets_come_in_decrypted),
		DATAPATH_TEST(what_does_not_fit_is_answered_with_what_does),
		DATAPATH_TEST(answers_to_other_nodes_are_encrypted_too),
		DATAPATH_TEST(one_write_turns_it_on_and_off),
		cmocka_unit_test_setup(a_super_packet_is_handed_over_whole, live),
		cmocka_unit_test_setup(a_super_packet_of_udp_is_cut_before, live),
		cmocka_unit_test_setup(a_super_packet_is_taken_whole, live),
		cmocka_unit_test_setup(with_the_device_goes_all_that_is_to_be_encrypted, live),
	};

	return DATAPATH_RUN(tests);
}
