/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The node's own BGP through the device that encrypts: what comes reaches the node's stack only where a socket that is
 * bound to the device waits for it; what goes is sealed only when it has our mark.
 */
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "harness.h"

#define BGP 179
#define OTHER4 "192.0.2.77" /* no address of this node */
#define OTHER6 "2001:db8::77"

static struct frame in, want;
static struct outcome o;
static const uint32_t zero;

static void node_get(struct abi_node *n)
{
	memcpy(n, host_map_get(host_map_find("node"), &zero), sizeof(*n));
}

static void node_has(uint16_t bgp_port)
{
	struct abi_node n;

	node_get(&n);
	n.bgp_port = htons(bgp_port);
	table_put("node", &zero, &n);
}

static void node_is_at(const char *address)
{
	struct abi_node n;

	node_get(&n);
	n.underlay[strchr(address, ':') != NULL] = addr_of(address);
	table_put("node", &zero, &n);
}

static void segment(bool v6, const char *to, uint8_t proto, uint16_t sport, uint16_t dport)
{
	frame_begin(&in);
	frame_eth(&in, mac_of(NO_MAC), mac_of(NO_MAC), v6 ? TYPE_IP6 : TYPE_IP4);
	frame_ip(&in, v6 ? NODE6 : NODE4, to, proto);
	if (proto == IP_TCP)
		frame_tcp(&in, sport, dport);
	else
		frame_udp(&in, sport, dport);
	frame_fill(&in, 40);
	frame_end(&in);
}

/* A listener at that address, which the node need not have; `device` 0: on none. */
static int listener(const char *at, uint16_t port, int device)
{
	struct sockaddr_in name4 = { .sin_family = AF_INET, .sin_port = htons(port) };
	struct sockaddr_in6 name6 = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
	bool v6 = strchr(at, ':');
	int fd = socket(v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

	assert_int_equal(inet_pton(v6 ? AF_INET6 : AF_INET, at, v6 ? (void *)&name6.sin6_addr : &name4.sin_addr), 1);
	assert_true(fd >= 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)), 0);
	assert_int_equal(setsockopt(fd, v6 ? IPPROTO_IPV6 : IPPROTO_IP, v6 ? IPV6_FREEBIND : IP_FREEBIND, &on, sizeof(on)), 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_BINDTOIFINDEX, &device, sizeof(device)), 0);
	assert_int_equal(v6 ? bind(fd, (struct sockaddr *)&name6, sizeof(name6))
			    : bind(fd, (struct sockaddr *)&name4, sizeof(name4)), 0);
	assert_int_equal(listen(fd, 1), 0);
	return fd;
}

static void only_what_a_bound_socket_waits_for_comes_in(void **state)
{
	static const struct {
		const char *name;
		uint16_t known, sport, dport; /* known: to the programs as BGP's */
		int bound;		      /* the socket; -1: there is none */
		bool elsewhere, passes;
	} rows[] = {
		{ "a connection to BGP's port", BGP, 4000, BGP, IF_SECURE, false, true },
		{ "an answer from BGP's port", BGP, BGP, 4000, IF_SECURE, false, true },
		{ "another port of BGP's", 1790, 4000, 1790, IF_SECURE, false, true },
		{ "nobody waits", BGP, 4000, BGP, -1, false, false },
		{ "one waits in clear text", BGP, 4000, BGP, 0, false, false },
		{ "one waits on another device", BGP, 4000, BGP, IF_UNDERLAY, false, false },
		{ "neither end is BGP", BGP, 4000, 4001, IF_SECURE, false, false },
		{ "there is no BGP", 0, 4000, BGP, IF_SECURE, false, false },
		{ "for another address", BGP, 4000, BGP, IF_SECURE, true, false },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		for (int v6 = 0; v6 < 2; v6++) {
			int fd = rows[i].bound < 0 ? -1 : listener(v6 ? SELF6 : SELF4, rows[i].dport, rows[i].bound);

			node_has(rows[i].known);
			host_socket(rows[i].bound < 0 ? HOST_NO_DEVICE : (uint32_t)rows[i].bound);
			segment(v6, rows[i].elsewhere ? v6 ? OTHER6 : OTHER4 : v6 ? SELF6 : SELF4, IP_TCP, rows[i].sport,
				rows[i].dport);
			from_secure(&in, &o);
			if (o.verdict != (rows[i].passes ? VERDICT_UNSPEC : VERDICT_SHOT))
				fail_msg("%s: verdict %d", rows[i].name, o.verdict);
			if (rows[i].passes)
				expect_bytes(&o, &in);
			else
				expect_drop(&o, DROP_NOT_TUNNEL);
			from_wire(&in, &o); /* what came in no tunnel is the node's own affair */
			assert_int_equal(o.verdict, VERDICT_UNSPEC);
			host_socket(HOST_NO_DEVICE);
			close(fd);
		}
	}
}

static void nothing_but_whole_segments_comes_in(void **state)
{
	int fd = listener(SELF4, BGP, IF_SECURE);

	node_has(BGP);
	host_socket(IF_SECURE);
	segment(false, SELF4, IP_UDP, 4000, BGP);
	from_secure(&in, &o);
	expect_drop(&o, DROP_NOT_TUNNEL);
	for (int byte = 0; byte < 2; byte++) { /* a first fragment, a later one */
		segment(false, SELF4, IP_TCP, 4000, BGP);
		frame_at(&in, LAYER_IP4)[6 + byte] |= 0x20;
		frame_sum4(&in);
		from_secure(&in, &o);
		expect_drop(&o, DROP_NOT_TUNNEL);
	}
	segment(false, SELF4, IP_TCP, 4000, BGP);
	frame_at(&in, LAYER_TCP)[12] = 4 << 4; /* a header that is too short */
	from_secure(&in, &o);
	expect_drop(&o, DROP_NOT_TUNNEL);
	host_socket(HOST_NO_DEVICE);
	close(fd);
}

/* An address that was the node's own, and routes say who has it. */
static void what_the_node_would_forward_does_not_come_in(void **state)
{
	for (int v6 = 0; v6 < 2; v6++) {
		const char *lost = v6 ? OTHER6 : OTHER4;
		int fd = listener(lost, BGP, IF_SECURE);

		node_has(BGP);
		node_is_at(lost);
		host_socket(IF_SECURE);
		segment(v6, lost, IP_TCP, 4000, BGP);
		from_secure(&in, &o);
		expect_drop(&o, DROP_NOT_TUNNEL);
		node_is_at(v6 ? SELF6 : SELF4);
		host_socket(HOST_NO_DEVICE);
		close(fd);
	}
}

/* By zero addresses the workers know what a program of ours let pass. */
static void what_goes_is_ours_by_its_mark(void **state)
{
	static const struct run_options marks[] = { { .mark = ABI_MARK_INSIDE }, { 0 }, { .mark = ABI_MARK }, { .mark = 1 } };

	for (size_t i = 0; i < sizeof(marks) / sizeof(marks[0]); i++) {
		for (int v6 = 0; v6 < 2; v6++) {
			segment(v6, v6 ? NODE6 : NODE4, IP_TCP, 4000, BGP);
			memcpy(in.data, mac_of(NODE4_MAC).b, 6);
			memcpy(in.data + 6, mac_of(NODE4_MAC).b, 6);
			frame_copy(&want, &in);
			if (i == 0)
				memset(want.data, 0, 12);
			run_with(HOST_SECURE_EGRESS, IF_SECURE, &in, &marks[i], &o);
			assert_int_equal(o.verdict, VERDICT_UNSPEC);
			expect_no_drop(&o);
			expect_bytes(&o, &want);
		}
	}
}

/* Packet filters of others see the mark, and act on single bits of theirs. */
static void the_mark_is_nobody_elses(void **state)
{
	static const struct {
		const char *whose;
		uint32_t mask;
	} rows[] = {
		{ "kube-proxy: masqueraded, dropped", 0x4000 | 0x8000 }, { "CNI port mappings: masqueraded", 0x2000 },
		{ "Calico", 0xffff0000 }, { "Cilium", 0xffff0f00 }, { "Tailscale", 0xff0000 }, { "the VPC CNI of AWS", 0x80 },
		{ "transparent proxies", 0x1 },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (ABI_MARK_INSIDE & rows[i].mask)
			fail_msg("%s", rows[i].whose);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		DATAPATH_TEST(only_what_a_bound_socket_waits_for_comes_in),
		DATAPATH_TEST(nothing_but_whole_segments_comes_in),
		DATAPATH_TEST(what_the_node_would_forward_does_not_come_in),
		DATAPATH_TEST(what_goes_is_ours_by_its_mark),
		DATAPATH_TEST(the_mark_is_nobody_elses),
	};

	return DATAPATH_RUN(tests);
}
