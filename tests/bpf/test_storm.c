/* SPDX-License-Identifier: Apache-2.0 */
/* Limits (row C8): what one port may have replicated or answered by errors, exact to the packet, also from two CPUs. */
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "harness.h"

#define SECOND_NS 1000000000ULL

static struct frame in, inner;
static struct outcome o;

static void broadcast_from(enum endpoint_id from)
{
	frame_udp_between(&in, from, from == BARE1 ? BARE2 : from == BLUE1 ? BLUE2 : FLO2, false, 64);
	memset(in.data, 0xff, 6);
}

static void limit_port(enum endpoint_id e, uint32_t storm, uint16_t icmp)
{
	struct abi_port port = port_of(e);

	port.storm_limit = storm;
	port.icmp_limit = icmp;
	table_put("ports", &endpoints[e].ifindex, &port);
}

/* An empty bucket fills in about 300 years, a full one holds a second's worth. */
static void set_bucket(uint32_t id, enum abi_bucket_use use, bool full)
{
	const struct abi_bucket_key k = { .id = id, .use = use };
	const struct abi_bucket b = { .full_at_ns = full ? 0 : UINT64_MAX / 2 };

	table_put("buckets", &k, &b);
}

static void an_empty_bucket_stops_what_is_replicated(void **state)
{
	static const char *const to[] = { BROADCAST, "01:00:5e:00:00:fb", "33:33:00:00:00:fb", "02:00:00:00:04:99" };

	limit_port(FLO1, 1, 0);
	for (size_t i = 0; i < sizeof(to) / sizeof(to[0]); i++) {
		broadcast_from(FLO1);
		memcpy(in.data, mac_of(to[i]).b, 6); /* the last is nobody's: unknown unicast */
		set_bucket(endpoints[FLO1].ifindex, BUCKET_STORM, false);
		from_port(FLO1, &in, &o);
		expect_drop(&o, DROP_STORM_LIMIT);
		expect_count(&o, COUNTER_FLOODED, 0);
		set_bucket(endpoints[FLO1].ifindex, BUCKET_STORM, true);
		from_port(FLO1, &in, &o);
		expect_no_drop(&o);
		expect_copies(&o, 5);
	}
}

static void what_is_not_replicated_is_not_limited(void **state)
{
	static struct frame outer;

	limit_port(FLO1, 1, 0);
	set_bucket(endpoints[FLO1].ifindex, BUCKET_STORM, false);
	frame_udp_between(&in, FLO1, FLO2, false, 64);
	from_port(FLO1, &in, &o);
	expect_port(&o, FLO2, &in);
	/* ARP that is answered on the spot */
	frame_begin(&in);
	frame_eth(&in, mac_of(BROADCAST), mac_of(endpoints[FLO1].mac), TYPE_ARP);
	frame_arp(&in, 1, mac_of(endpoints[FLO1].mac), "10.0.4.15", mac_of("00:00:00:00:00:00"), "10.0.4.16");
	from_port(FLO1, &in, &o);
	expect_no_drop(&o);
	expect_count(&o, COUNTER_ARP_ANSWERED, 1);
	/* another port has its own bucket */
	limit_port(OPEN1, 1, 0);
	broadcast_from(OPEN1);
	from_port(OPEN1, &in, &o);
	expect_no_drop(&o);
	expect_copies(&o, 5);
	/* and what another node sent has been through that node's */
	broadcast_from(FLO1);
	memcpy(inner.data, in.data, in.size);
	inner.size = in.size;
	memcpy(inner.data + 6, mac_of(endpoints[FLO4].mac).b, 6);
	frame_from_wire(&outer, NODE4, VNI_FLO, &inner);
	from_wire(&outer, &o);
	expect_no_drop(&o);
	expect_copies(&o, 3);
}

static void without_a_limit_there_is_no_bucket(void **state)
{
	set_bucket(endpoints[FLO1].ifindex, BUCKET_STORM, false);
	broadcast_from(FLO1);
	from_port(FLO1, &in, &o);
	expect_no_drop(&o);
	expect_copies(&o, 5);
}

static void an_empty_bucket_stops_errors_and_not_their_counting(void **state)
{
	for (int v6 = 0; v6 < 2; v6++) {
		limit_port(WEB1, 0, 1);
		frame_between(&in, WEB1, WEB2, v6, IP_UDP);
		memcpy(in.data, mac_of(GATEWAY_MAC).b, 6);
		frame_udp(&in, 1, 2);
		frame_fill(&in, 64);
		frame_end(&in);
		frame_ttl(&in, 1);
		set_bucket(endpoints[WEB1].ifindex, BUCKET_ICMP, true);
		from_port(WEB1, &in, &o);
		expect_count(&o, COUNTER_ICMP_ERRORS, 1);
		expect_count(&o, COUNTER_ICMP_LIMITED, 0);
		assert_int_equal(o.drops[DROP_TTL_EXCEEDED], 1);
		set_bucket(endpoints[WEB1].ifindex, BUCKET_ICMP, false);
		from_port(WEB1, &in, &o);
		expect_drop(&o, DROP_TTL_EXCEEDED);
		expect_count(&o, COUNTER_ICMP_ERRORS, 0);
		expect_count(&o, COUNTER_ICMP_LIMITED, 1);
		/* errors and replication have a bucket each */
		limit_port(WEB1, 1, 1);
		set_bucket(endpoints[WEB1].ifindex, BUCKET_STORM, true);
		frame_udp_between(&in, WEB1, WEB2, v6, 64);
		memset(in.data, 0xff, 6);
		from_port(WEB1, &in, &o);
		expect_no_drop(&o);
		limit_port(WEB1, 0, 0);
	}
}

/* Too big for the port it is for: told to the node that sent it, from the tenant's bucket. */
static void errors_to_other_nodes_are_limited_by_tenant(void **state)
{
	struct abi_node n = { .underlay = { addr_of(SELF4), addr_of(SELF6) }, .vxlan_port = htons(VXLAN_PORT),
			      .icmp_limit = 1 };
	static struct frame outer;
	uint32_t zero = 0;

	memcpy(n.gateway_mac, mac_of(GATEWAY_MAC).b, 6);
	memcpy(n.router_mac, mac_of(ROUTER_MAC).b, 6);
	table_put("node", &zero, &n);
	frame_udp_between(&inner, WEB4, SMALL1, false, 1350);
	frame_from_wire(&outer, NODE4, VNI_WEB, &inner);
	set_bucket(VNI_BLUE, BUCKET_ICMP_TO, false); /* another tenant's */
	set_bucket(VNI_RED, BUCKET_ICMP_TO, true);
	from_wire(&outer, &o);
	expect_count(&o, COUNTER_ICMP_ERRORS, 1);
	set_bucket(VNI_RED, BUCKET_ICMP_TO, false);
	from_wire(&outer, &o);
	expect_drop(&o, DROP_TOO_BIG);
	expect_count(&o, COUNTER_ICMP_LIMITED, 1);
}

/* ---- exactness */

#define CHUNK 500

struct sender {
	pthread_t thread;
	int cpu;
	uint64_t until_ns;
	uint64_t first_ns, before_ns, last_ns; /* end of the first chunk, of the last but one, of the last */
	uint64_t sent, longest_ns; /* longest pause between chunks */
	int error;
};

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * SECOND_NS + (uint64_t)t.tv_nsec;
}

static void *send_chunks(void *arg)
{
	struct __sk_buff context = { .ifindex = endpoints[BLUE1].ifindex };
	struct sender *s = arg;
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(s->cpu, &set);
	pthread_setaffinity_np(pthread_self(), sizeof(set), &set);
	s->last_ns = now_ns();
	while (s->last_ns < s->until_ns && !s->error) {
		LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = in.data, .data_size_in = (uint32_t)in.size,
			    .ctx_in = &context, .ctx_size_in = sizeof(context), .repeat = CHUNK);
		uint64_t end;

		s->error = bpf_prog_test_run_opts(harness_program_fd(HOST_PORT_INGRESS), &opts);
		end = now_ns();
		if (s->sent == 0)
			s->first_ns = end;
		s->sent += CHUNK;
		if (end - s->last_ns > s->longest_ns)
			s->longest_ns = end - s->last_ns;
		s->before_ns = s->last_ns;
		s->last_ns = end;
	}
	return NULL;
}

/* What one CPU manages in a second; less than a tenth of it is a limit that both together are far above. */
static uint32_t speed(void)
{
	struct sender s = { .until_ns = now_ns() + SECOND_NS / 5 };
	uint64_t start = now_ns();

	limit_port(BLUE1, 1, 0);
	send_chunks(&s);
	assert_int_equal(s.error, 0);
	return (uint32_t)(s.sent * SECOND_NS / (s.last_ns - start));
}

static uint64_t later(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/*
 * Two CPUs (where there are) send far more than the limit for 2 s from one port: what passes is the full bucket and what
 * the time from the first frame to the last allows, within 1 %.  When these were sent is known to a chunk.  A machine that
 * stood still for nearly a second lets the bucket run over: then again.
 */
static void the_limit_is_exact_from_all_cpus(void **state)
{
	struct sender s[2] = { { .cpu = 0 }, { .cpu = (int)sysconf(_SC_NPROCESSORS_ONLN) - 1 } };
	uint64_t start, dropped, sent, passed, first, before, last;
	double least, most;
	uint32_t rate;

	broadcast_from(BLUE1);
	rate = speed() / 15;
	rate = rate > 20000 ? 20000 : rate;
	for (int attempt = 0; attempt < 3; attempt++) {
		harness_reset(NULL);
		limit_port(BLUE1, rate, 0);
		broadcast_from(BLUE1);
		dropped = harness_drops(DROP_STORM_LIMIT);
		start = now_ns();
		for (int i = 0; i < 2; i++) {
			s[i] = (struct sender){ .cpu = s[i].cpu, .until_ns = start + 2 * SECOND_NS };
			assert_int_equal(pthread_create(&s[i].thread, NULL, send_chunks, &s[i]), 0);
		}
		for (int i = 0; i < 2; i++) {
			pthread_join(s[i].thread, NULL);
			assert_int_equal(s[i].error, 0);
		}
		if (later(s[0].longest_ns, s[1].longest_ns) < SECOND_NS / 2)
			break;
	}
	sent = s[0].sent + s[1].sent;
	first = s[0].first_ns < s[1].first_ns ? s[0].first_ns : s[1].first_ns;
	before = later(s[0].before_ns, s[1].before_ns);
	last = later(s[0].last_ns, s[1].last_ns);
	passed = sent - (harness_drops(DROP_STORM_LIMIT) - dropped);
	least = rate * (1 + (double)(before - first) / SECOND_NS);
	most = rate * (1 + (double)(last - start) / SECOND_NS);
	print_message("# %lu sent, %lu passed, %.0f to %.0f allowed\n", sent, passed, least, most);
	assert_true(sent > 2 * most);
	assert_true(passed > 0.99 * least && passed < 1.01 * most);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		DATAPATH_TEST(an_empty_bucket_stops_what_is_replicated),
		DATAPATH_TEST(what_is_not_replicated_is_not_limited),
		DATAPATH_TEST(without_a_limit_there_is_no_bucket),
		DATAPATH_TEST(an_empty_bucket_stops_errors_and_not_their_counting),
		DATAPATH_TEST(errors_to_other_nodes_are_limited_by_tenant),
		DATAPATH_TEST(the_limit_is_exact_from_all_cpus),
	};

	return DATAPATH_RUN(tests);
}
