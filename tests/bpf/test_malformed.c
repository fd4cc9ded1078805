/* SPDX-License-Identifier: Apache-2.0 */
/* Headers that lie, one lie at a time: the frame is good but for it, so that nothing else can be why it is refused. */
#include <string.h>

#include "harness.h"

#define PROTO_NONE_OF_OURS 200 /* without a transport header that is looked at: only the IP header is judged */

static struct frame in;
static struct outcome o;

static void begin(bool v6, uint8_t proto)
{
	frame_begin(&in);
	frame_eth(&in, mac_of(endpoints[WEB2].mac), mac_of(endpoints[WEB1].mac), v6 ? TYPE_IP6 : TYPE_IP4);
	frame_ip(&in, v6 ? "fd00:1::11" : "10.0.1.11", v6 ? "fd00:1::12" : "10.0.1.12", proto);
}

static void good(bool v6, uint8_t proto)
{
	begin(v6, proto);
	if (proto == IP_UDP)
		frame_udp(&in, 1000, 2000);
	else if (proto == IP_TCP)
		frame_tcp(&in, 1000, 2000);
	frame_fill(&in, 60);
	frame_end(&in);
}

static uint8_t *ip(void)
{
	return in.data + 14;
}

static uint8_t *l4(bool v6)
{
	return in.data + 14 + (v6 ? 40 : 20);
}

static void put16(uint8_t *at, size_t value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

static void refused(const char *why)
{
	from_port(WEB1, &in, &o);
	if (o.drops[DROP_MALFORMED] != 1)
		fail_msg("not refused: %s", why);
	expect_drop(&o, DROP_MALFORMED);
}

static void accepted(void)
{
	from_port(WEB1, &in, &o);
	expect_no_drop(&o);
}

static void the_same_frames_without_a_lie_pass(void **state)
{
	static const uint8_t protos[] = { PROTO_NONE_OF_OURS, IP_UDP, IP_TCP };

	for (size_t i = 0; i < sizeof(protos); i++) {
		good(false, protos[i]);
		accepted();
		good(true, protos[i]);
		accepted();
	}
}

static void ipv4_header_length(void **state)
{
	for (uint8_t words = 0; words < 5; words++) {
		good(false, PROTO_NONE_OF_OURS);
		ip()[0] = 0x40 | words;
		frame_sum4(&in);
		refused("a header of less than 20 bytes");
	}
	good(false, PROTO_NONE_OF_OURS);
	ip()[0] = 0x4f;
	put16(ip() + 2, 56);
	frame_sum4(&in);
	refused("a header of 60 bytes in a packet of 56");
}

static void ipv4_total_length(void **state)
{
	static const size_t more[] = { 1, 2, 256, 65535 - 80 };

	for (size_t i = 0; i < sizeof(more) / sizeof(more[0]); i++) {
		good(false, PROTO_NONE_OF_OURS);
		put16(ip() + 2, in.size - 14 + more[i]);
		frame_sum4(&in);
		refused("a packet longer than its frame");
	}
	for (size_t length = 0; length < 20; length++) {
		good(false, PROTO_NONE_OF_OURS);
		put16(ip() + 2, length);
		frame_sum4(&in);
		refused("a packet shorter than its header");
	}
	good(false, PROTO_NONE_OF_OURS); /* padding behind the packet is none */
	put16(ip() + 2, in.size - 14 - 30);
	frame_sum4(&in);
	accepted();
}

static void ipv6_payload_length(void **state)
{
	static const size_t more[] = { 1, 2, 256, 65535 - 60 };

	for (size_t i = 0; i < sizeof(more) / sizeof(more[0]); i++) {
		good(true, PROTO_NONE_OF_OURS);
		put16(ip() + 4, in.size - 54 + more[i]);
		refused("a packet longer than its frame");
	}
}

static void version(void **state)
{
	good(false, PROTO_NONE_OF_OURS);
	ip()[0] = 0x65;
	frame_sum4(&in);
	refused("version 6 in an IPv4 frame");
	good(true, PROTO_NONE_OF_OURS);
	ip()[0] = 0x40 | (ip()[0] & 0xf);
	refused("version 4 in an IPv6 frame");
}

static void tcp_data_offset(void **state)
{
	for (int v6 = 0; v6 < 2; v6++) {
		for (uint8_t words = 0; words < 16; words++) {
			/* 20 bytes of header, 24 in all: five words and six fit */
			begin(v6, IP_TCP);
			frame_tcp(&in, 1000, 2000);
			frame_fill(&in, 4);
			frame_end(&in);
			l4(v6)[12] = (uint8_t)(words << 4);
			if (words == 5 || words == 6)
				accepted();
			else
				refused(words < 5 ? "a TCP header of less than 20 bytes" : "one beyond the packet");
		}
	}
}

static void udp_length(void **state)
{
	for (int v6 = 0; v6 < 2; v6++) {
		good(v6, IP_UDP);
		put16(l4(v6) + 4, 7);
		refused("a datagram shorter than its header");
		good(v6, IP_UDP);
		put16(l4(v6) + 4, 8 + 60 + 1);
		refused("a datagram longer than its packet");
		good(v6, IP_UDP);
		put16(l4(v6) + 4, 8);
		accepted();
	}
}

/* RFC 3128: the second fragment at 8 would replace the flags that the first was judged by. */
static void tcp_flags_cannot_be_overwritten(void **state)
{
	good(false, IP_TCP);
	put16(ip() + 6, 1);
	frame_sum4(&in);
	refused("a TCP fragment at 8");
	good(false, IP_TCP);
	put16(ip() + 6, 0x2001);
	frame_sum4(&in);
	refused("one with more to come");
	good(false, IP_TCP);
	put16(ip() + 6, 3);
	frame_sum4(&in);
	accepted();
	good(false, IP_UDP);
	put16(ip() + 6, 1);
	frame_sum4(&in);
	accepted();
}

#define ROW(f) cmocka_unit_test_setup(f, harness_reset)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ROW(the_same_frames_without_a_lie_pass),
		ROW(ipv4_header_length),
		ROW(ipv4_total_length),
		ROW(ipv6_payload_length),
		ROW(version),
		ROW(tcp_data_offset),
		ROW(udp_length),
		ROW(tcp_flags_cannot_be_overwritten),
	};

	return cmocka_run_group_tests(tests, harness_setup, harness_teardown);
}
