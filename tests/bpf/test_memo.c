/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the programs remember of a flow (bpf/memo.h) changes nothing but the time it takes: with the memo of a frame
 * there, every other frame has the verdict, the bytes and the counters that it has without any.
 */
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness.h"
#include "mutate.h"
#include "seeds.h"

#define MUTATIONS 40000
#define STEP 4 /* every so many bits, others on the next frame */
#define SMALLER 16 /* so much less where kernels before 6.3 are played, or run: those in an emulated guest */
#define BATCH 500
#define TRIES 50
#define HEADERS 128 /* bytes: outer and inner ones of IPv4 over IPv4 and most of the longer ones */

struct result {
	int verdict;
	enum host_redirect how;
	uint32_t ifindex, mark, size, copies;
	uint16_t protocol;
	uint64_t drops[DROP_MAX];
	struct abi_counter counters[COUNTER_MAX];
	uint8_t data[FRAME_MAX];
};

static void read_counters(uint64_t drops[DROP_MAX], struct abi_counter counters[COUNTER_MAX])
{
	for (uint32_t i = 0; i < DROP_MAX; i++)
		memcpy(&drops[i], host_map_get(host_map_find("drops"), &i), sizeof(drops[i]));
	for (uint32_t i = 0; i < COUNTER_MAX; i++)
		memcpy(&counters[i], host_map_get(host_map_find("counters"), &i), sizeof(counters[i]));
}

/* In the kernel and as a host build; what became of it, and NULL or in what the two differ. */
static const char *run_frame(const struct seed *s, const struct frame *f, struct result *r)
{
	static struct host_result host;
	uint64_t drops[DROP_MAX];
	struct abi_counter counters[COUNTER_MAX];
	const char *what;

	read_counters(drops, counters);
	what = harness_compare(s->program, s->ifindex, f, &host);
	memset(r, 0, offsetof(struct result, data));
	r->verdict = host.verdict;
	r->how = host.redirect;
	r->ifindex = host.redirect_ifindex;
	r->mark = host.mark;
	r->protocol = host.protocol;
	r->copies = host.copies_length;
	r->size = host.size;
	memcpy(r->data, host.data, host.size);
	read_counters(r->drops, r->counters);
	for (int i = 0; i < DROP_MAX; i++)
		r->drops[i] -= drops[i];
	for (int i = 0; i < COUNTER_MAX; i++) {
		r->counters[i].packets -= counters[i].packets;
		r->counters[i].bytes -= counters[i].bytes;
	}
	return what;
}

static void send_frame(const struct seed *s, const struct frame *f, struct result *r)
{
	const char *what = run_frame(s, f, r);

	if (!what)
		return;
	frame_print("frame", f->data, f->size);
	fail_msg("the kernel and the host build differ in the %s", what);
}

static bool same(const struct result *a, const struct result *b)
{
	return memcmp(a, b, offsetof(struct result, data)) == 0 && memcmp(a->data, b->data, a->size) == 0;
}

/* With the memo of `first`, `then` fares as it does without any. */
static void expect_no_difference(const struct seed *s, const struct frame *first, const struct frame *then)
{
	static struct result without, with;

	harness_forget(false);
	send_frame(s, then, &without);
	harness_forget(true);
	send_frame(s, first, &with);
	send_frame(s, then, &with);
	if (same(&without, &with))
		return;
	frame_print("remembered", first->data, first->size);
	frame_print("frame", then->data, then->size);
	frame_print("without memo", without.data, without.size);
	frame_print("with memo", with.data, with.size);
	fail_msg("program %d, device %u: verdict %d, device %u without and %d, %u with a memo", s->program, s->ifindex,
		 without.verdict, without.ifindex, with.verdict, with.ifindex);
}

static bool is_remembered(const struct seed *s)
{
	static struct result r;

	if (!harness_kernel_takes(&s->frame))
		return false;
	harness_forget(false);
	send_frame(s, &s->frame, &r);
	return r.verdict == VERDICT_REDIRECT;
}

static void a_flipped_bit_of_a_header_is_seen(void **state)
{
	size_t bases = 0, step = harness_has_decap_flags() ? STEP : STEP * SMALLER;

	harness_mark();
	for (size_t i = 0; i < seeds_length(); i++) {
		const struct seed *s = seeds_get(i);
		size_t end = s->frame.size < HEADERS ? s->frame.size : HEADERS;
		static struct frame f;

		if (!is_remembered(s))
			continue;
		bases++;
		for (size_t bit = i % step; bit < 8 * end; bit += step) {
			frame_copy(&f, &s->frame);
			f.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
			if (harness_kernel_takes(&f))
				expect_no_difference(s, &s->frame, &f);
		}
	}
	assert_null(harness_differs());
	fprintf(stderr, "# %zu frames, 1 of %zu bits of their headers\n", bases, step);
	assert_true(bases > 50);
}

static void damage_fares_the_same_with_and_without(void **state)
{
	unsigned n = harness_has_decap_flags() ? MUTATIONS : MUTATIONS / SMALLER;
	struct prng random = {7};

	for (unsigned i = 0; i < n; i++) {
		const struct seed *s = seeds_get(prng_below(&random, (uint32_t)seeds_length()));
		static struct frame f;

		if (i % BATCH == 0)
			harness_mark();
		frame_copy(&f, &s->frame);
		mutate(&random, &f);
		if (harness_kernel_takes(&s->frame) && harness_kernel_takes(&f))
			expect_no_difference(s, &s->frame, &f);
		if (i % BATCH == BATCH - 1)
			assert_null(harness_differs());
	}
}

static void other_lengths_fare_the_same(void **state)
{
	for (size_t i = 0; i < seeds_length(); i++) {
		const struct seed *s = seeds_get(i);
		static struct frame f;

		if (!is_remembered(s))
			continue;
		for (size_t size = 14; size < s->frame.size; size += 1 + size / 64) {
			frame_copy(&f, &s->frame);
			f.size = size;
			if (harness_kernel_takes(&f))
				expect_no_difference(s, &s->frame, &f);
		}
	}
}

/* ---- that there is one, and how long it holds ---- */

struct row {
	const char *name;
	enum endpoint_id from, to;
	bool v6;
	const char *node; /* from the wire: who sent it */
	const char *table;
	bool secure; /* from the wire: it was decrypted */
};

static const struct row rows[] = {
	{"bridged into a tunnel", WEB1, WEB4, false, NULL, "macs"},
	{"bridged into a tunnel, IPv6 inside", WEB1, WEB4, true, NULL, "macs"},
	{"bridged into a tunnel over IPv6", WEB1, WEB6, false, NULL, "macs"},
	{"bridged to a neighbour", WEB1, WEB2, true, NULL, "macs"},
	{"routed into a tunnel", APP1, APP4, false, NULL, "hosts"},
	{"routed into a tunnel over IPv6", APP1, APP6, true, NULL, "hosts"},
	{"routed to a neighbour", APP1, APP2, false, NULL, "hosts"},
	{"from another network to a neighbour", WEB1, APP2, true, NULL, "hosts"},
	{"from the wire", WEB4, WEB1, false, NODE4, "macs"},
	{"from the wire over IPv6", WEB6, WEB1, false, NODE6, "macs"},
	{"from the wire, IPv6 in both", WEB6, WEB2, true, NODE6, "macs"},
	{"from the wire, routed", APP4, APP1, true, NODE4, "hosts"},
	{"decrypted", SAFE4, SAFE1, false, NODE4, "macs", true},
	{"decrypted, over IPv6, routed", DEEP6, DEEP1, true, NODE6, "hosts", true},
	{"encrypted", SAFE1, SAFE4, false, NULL, "macs"},
	{"encrypted over IPv6, routed", DEEP1, DEEP6, true, NULL, "hosts"},
};

static void row_frame(const struct row *row, struct seed *s)
{
	static struct frame inner;
	uint32_t vni = row->node && row->table[0] == 'h' ? endpoints[row->to].vrf : endpoints[row->to].vni;

	frame_udp_between(&inner, row->from, row->to, row->v6, 64);
	if (!row->node) {
		s->program = HOST_PORT_INGRESS;
		s->ifindex = endpoints[row->from].ifindex;
		frame_copy(&s->frame, &inner);
		return;
	}
	if (row->table[0] == 'h') { /* the node that sent it has routed it */
		struct mac6 router = mac_of(ROUTER_MAC);

		memcpy(inner.data, router.b, 6);
	}
	s->program = HOST_WIRE_INGRESS;
	s->ifindex = row->secure ? IF_SECURE : IF_UNDERLAY;
	frame_from_wire(&s->frame, row->node, vni, &inner);
}

static void row_take_away(const struct row *row)
{
	const struct endpoint *to = &endpoints[row->to];

	if (row->table[0] == 'm') {
		struct abi_mac_key key = mac_key(to->vni, to->mac);

		table_lose("macs", &key);
	} else {
		struct abi_host_key key = host_key(to->vrf, row->v6 ? to->ip6 : to->ip4);

		table_lose("hosts", &key);
	}
}

/* A packet of one family out of a header of the other. */
static bool changes_family(const struct row *row)
{
	return row->node && row->v6 != (strchr(row->node, ':') != NULL);
}

static void a_memo_holds_until_the_tables_are_said_to_change(void **state)
{
	static struct result first, second, after;
	const char *what = NULL;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		static struct seed s;

		if (changes_family(&rows[i]) && !harness_has_decap_flags())
			continue; /* always by the long way */
		row_frame(&rows[i], &s);
		/* The kernel's tick may pass between the two, and with it the way out that was remembered. */
		for (int try = 0; try < TRIES; try++) {
			assert_int_equal(harness_reset(state), 0);
			send_frame(&s, &s.frame, &first);
			assert_int_equal(first.verdict, VERDICT_REDIRECT);
			row_take_away(&rows[i]);
			what = run_frame(&s, &s.frame, &second);
			if (!what)
				break;
		}
		if (what)
			fail_msg("%s: the kernel and the host build differ in the %s", rows[i].name, what);
		assert_true(same(&first, &second)); /* as it was written down, though the table says otherwise */
		harness_disturb();
		send_frame(&s, &s.frame, &after);
		assert_false(same(&first, &after));
		harness_forget(true);
		send_frame(&s, &s.frame, &second);
		assert_true(same(&after, &second));
	}
}

static void nothing_is_remembered_while_the_tables_change(void **state)
{
	static struct result first, second;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		static struct seed s;

		assert_int_equal(harness_reset(state), 0);
		row_frame(&rows[i], &s);
		harness_disturb();
		send_frame(&s, &s.frame, &first);
		assert_int_equal(first.verdict, VERDICT_REDIRECT);
		harness_settle();
		row_take_away(&rows[i]);
		send_frame(&s, &s.frame, &second);
		assert_false(same(&first, &second));
	}
}

/* A workload cannot have a packet judged by what another port, tenant or node was allowed. */
static void a_memo_is_of_one_port_and_one_node(void **state)
{
	static struct result r;
	static struct seed s;

	row_frame(&rows[0], &s);
	send_frame(&s, &s.frame, &r);
	assert_int_equal(r.verdict, VERDICT_REDIRECT);
	s.ifindex = endpoints[WEB2].ifindex;
	send_frame(&s, &s.frame, &r);
	assert_int_equal(r.drops[DROP_MAC_SPOOFED], 1);
	row_frame(&rows[8], &s);
	send_frame(&s, &s.frame, &r);
	assert_int_equal(r.verdict, VERDICT_REDIRECT);
	s.frame.data[29] ^= 1; /* of the outer source */
	s.frame.data[24] = s.frame.data[25] = 0; /* nobody looks at the outer checksum */
	send_frame(&s, &s.frame, &r);
	assert_int_equal(r.drops[DROP_UNKNOWN_VTEP], 1);
}

static void put16(struct frame *f, size_t at, unsigned value)
{
	f->data[at] = (uint8_t)(value >> 8);
	f->data[at + 1] = (uint8_t)value;
}

/* IPv6 whose addresses start with the bytes of an IPv4 memo's, the rest of them zero. */
static void a_frame_of_the_other_family_is_another(void **state)
{
	static struct frame crafted, inner;
	static struct seed s;

	row_frame(&rows[0], &s);
	frame_udp_between(&inner, WEB1, WEB4, true, 64);
	frame_copy(&crafted, &inner);
	memset(crafted.data + 22, 0, 32);
	memcpy(crafted.data + 22, s.frame.data + 26, 8);
	memcpy(crafted.data + 54, s.frame.data + 34, 4); /* ports */
	expect_no_difference(&s, &s.frame, &crafted);
}

/* Outer lengths that agree with each other and leave no room for a frame. */
static void short_outer_lengths_are_seen(void **state)
{
	static struct frame f;
	static struct seed s;

	for (unsigned size = 28; size < 120; size++) {
		row_frame(&rows[8], &s);
		frame_copy(&f, &s.frame);
		put16(&f, 16, size);
		put16(&f, 38, size - 20);
		expect_no_difference(&s, &s.frame, &f);
		row_frame(&rows[10], &s);
		frame_copy(&f, &s.frame);
		put16(&f, 18, size);
		put16(&f, 58, size);
		expect_no_difference(&s, &s.frame, &f);
	}
}

/* ---- what stands beside the frame: of the host build, as BPF_PROG_TEST_RUN cannot say it ---- */

static void run_beside(const struct seed *s, const struct host_input *input, bool memo, struct host_result *out)
{
	struct host_input plain = {.data = s->frame.data, .size = s->frame.size, .ifindex = s->ifindex};

	harness_forget(memo);
	host_run(s->program, &plain, out);
	assert_int_equal(out->verdict, VERDICT_REDIRECT);
	host_run(s->program, input, out);
}

static void what_is_beside_the_frame_is_looked_at(void **state)
{
	static const struct host_input besides[] = {
		{.vlan_tci = 5 | 1 << 16},
		{.vlan_tci = 1 << 16},
		{.gso_size = 32, .gso_segs = 2},
		{.gso_size = 1400, .gso_segs = 2},
		{.gso_size = 32, .gso_segs = 2, .gso_tcp = true},
		{.encapsulated = true},
		{.mark = ABI_MARK},
		{.linear = 20},
	};
	static struct host_result without, with;
	static uint8_t bytes[HOST_FRAME_MAX];

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		static struct seed s;

		row_frame(&rows[i], &s);
		for (size_t k = 0; k < sizeof(besides) / sizeof(besides[0]); k++) {
			struct host_input input = besides[k];

			input.data = s.frame.data;
			input.size = s.frame.size;
			input.ifindex = s.ifindex;
			run_beside(&s, &input, false, &without);
			memcpy(bytes, without.data, without.size);
			run_beside(&s, &input, true, &with);
			if (without.verdict != with.verdict || without.redirect != with.redirect ||
			    without.redirect_ifindex != with.redirect_ifindex || without.mark != with.mark ||
			    without.size != with.size || memcmp(bytes, with.data, with.size) != 0)
				fail_msg("%s, %zu: verdict %d to %u without, %d to %u with a memo", rows[i].name, k,
					 without.verdict, without.redirect_ifindex, with.verdict, with.redirect_ifindex);
		}
	}
}

/* The neighbour gets another MAC: followed with the next tick. */
static void a_way_is_remembered_for_one_tick(void **state)
{
	struct host_route way = {.ifindex = IF_UNDERLAY, .mtu = UNDERLAY_MTU, .length = 128, .prefix = addr_of(NODE4)};
	struct mac6 source = mac_of(UNDERLAY_MAC), there = mac_of("02:fe:00:00:00:99");
	static struct host_result r;
	static struct seed s;

	row_frame(&rows[0], &s);
	run_beside(&s, &(struct host_input){.data = s.frame.data, .size = s.frame.size, .ifindex = s.ifindex}, true, &r);
	memcpy(way.smac, source.b, 6);
	memcpy(way.dmac, there.b, 6);
	host_route_clear();
	host_route_add(&way);
	host_run(s.program, &(struct host_input){.data = s.frame.data, .size = s.frame.size, .ifindex = s.ifindex}, &r);
	assert_int_equal(r.verdict, VERDICT_REDIRECT);
	assert_memory_equal(r.data, there.b, 6);
	harness_routes();
}

int main(void)
{
	cpu_set_t here;
	const struct CMUnitTest tests[] = {
		DATAPATH_TEST(a_flipped_bit_of_a_header_is_seen),
		DATAPATH_TEST(damage_fares_the_same_with_and_without),
		DATAPATH_TEST(other_lengths_fare_the_same),
		DATAPATH_TEST(a_memo_holds_until_the_tables_are_said_to_change),
		DATAPATH_TEST(nothing_is_remembered_while_the_tables_change),
		DATAPATH_TEST(a_memo_is_of_one_port_and_one_node),
		DATAPATH_TEST(a_frame_of_the_other_family_is_another),
		DATAPATH_TEST(short_outer_lengths_are_seen),
		DATAPATH_TEST(what_is_beside_the_frame_is_looked_at),
		DATAPATH_TEST(a_way_is_remembered_for_one_tick),
	};

	/* Memos are per CPU: stay on this one. */
	CPU_ZERO(&here);
	CPU_SET((unsigned)sched_getcpu(), &here);
	if (sched_setaffinity(0, sizeof(here), &here) < 0)
		perror("sched_setaffinity");

	return DATAPATH_RUN(tests);
}
