/* SPDX-License-Identifier: Apache-2.0 */
#include "harness.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "datapath.skel.h"

#define CPUS_MAX 64

static struct datapath *skeleton;
static int drops_fd, counters_fd, cpus;
static bool compared; /* harness_disagree knows the counters */
static struct host_result host; /* large */

struct bpf_object *harness_object(void)
{
	return skeleton->obj;
}

int harness_program_fd(enum host_program program)
{
	struct bpf_program *const programs[HOST_PROGRAM_MAX] = {
		[HOST_PORT_INGRESS] = skeleton->progs.port_ingress,
		[HOST_PORT_EGRESS] = skeleton->progs.port_egress,
		[HOST_WIRE_INGRESS] = skeleton->progs.wire_ingress,
		[HOST_SECURE_EGRESS] = skeleton->progs.secure_egress,
	};

	return bpf_program__fd(programs[program]);
}

static int attach(uint32_t ifindex, enum bpf_tc_attach_point point, enum host_program program)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)ifindex, .attach_point = BPF_TC_INGRESS | BPF_TC_EGRESS);
	LIBBPF_OPTS(bpf_tc_opts, opts, .prog_fd = harness_program_fd(program), .handle = 1, .priority = 1);
	int r = point == BPF_TC_INGRESS ? bpf_tc_hook_create(&hook) : 0;

	if (r < 0)
		return r;
	hook.attach_point = point;
	return bpf_tc_attach(&hook, &opts);
}

int harness_attach(void)
{
	int r = attach(IF_UNDERLAY, BPF_TC_INGRESS, HOST_WIRE_INGRESS);

	if (r == 0)
		r = attach(IF_SECURE, BPF_TC_INGRESS, HOST_WIRE_INGRESS);
	for (uint32_t i = IF_PORTS; i < IF_PORTS_END && r == 0; i++) {
		r = attach(i, BPF_TC_INGRESS, HOST_PORT_INGRESS);
		if (r == 0)
			r = attach(i, BPF_TC_EGRESS, HOST_PORT_EGRESS);
	}
	return r;
}

void harness_routes(void)
{
	struct host_route r = { .ifindex = IF_UNDERLAY, .mtu = UNDERLAY_MTU };
	const char *const nodes[][2] = { { NODE4, NODE4_MAC }, { NODE6, NODE6_MAC }, { FOREIGN, FOREIGN_MAC } };
	struct mac6 self = mac_of(UNDERLAY_MAC);

	const struct {
		const char *to;
		int result;
		uint32_t ifindex;
		const char *mac;
	} vias[] = {
		{ "10.7.0.41", 0, IF_UNDERLAY, NODE4_MAC },
		{ "fd00:7::41", 0, IF_UNDERLAY, NODE6_MAC },
		{ "10.7.0.42", BPF_FIB_LKUP_RET_NO_NEIGH, IF_UNDERLAY, NULL },
		{ "fd00:7::42", BPF_FIB_LKUP_RET_NO_NEIGH, IF_UNDERLAY, NULL },
		{ ELSEWHERE4, BPF_FIB_LKUP_RET_NO_NEIGH, IF_PORTS, NULL },
		{ ELSEWHERE6, BPF_FIB_LKUP_RET_NO_NEIGH, IF_PORTS, NULL },
		{ SELF4, BPF_FIB_LKUP_RET_NOT_FWDED, 0, NULL },
		{ SELF6, BPF_FIB_LKUP_RET_NOT_FWDED, 0, NULL },
	};

	host_route_clear();
	memcpy(r.smac, self.b, 6);
	r.prefix = addr_of("192.0.2.0");
	r.length = 120;
	r.result = BPF_FIB_LKUP_RET_NO_NEIGH;
	host_route_add(&r);
	r.prefix = addr_of("2001:db8::");
	r.length = 64;
	host_route_add(&r);
	for (size_t i = 0; i < sizeof(nodes) / sizeof(nodes[0]); i++) {
		struct mac6 m = mac_of(nodes[i][1]);

		r.prefix = addr_of(nodes[i][0]);
		r.length = 128;
		r.result = 0;
		memcpy(r.dmac, m.b, 6);
		host_route_add(&r);
	}
	for (size_t i = 0; i < sizeof(vias) / sizeof(vias[0]); i++) {
		r.prefix = addr_of(vias[i].to);
		r.result = vias[i].result;
		r.ifindex = vias[i].ifindex;
		if (vias[i].mac)
			memcpy(r.dmac, mac_of(vias[i].mac).b, 6);
		host_route_add(&r);
	}
}

static bool quiet_print(void)
{
	return !getenv("BPF_VERBOSE");
}

__attribute__((format(printf, 2, 0)))
static int print_libbpf(enum libbpf_print_level level, const char *format, va_list args)
{
	return level == LIBBPF_DEBUG && quiet_print() ? 0 : vfprintf(stderr, format, args);
}

/* Small tables: a million slots would only cost memory here.  Those for each CPU are as the programs want them. */
static int load(bool decap_flags)
{
	struct bpf_map *map;

	libbpf_set_print(print_libbpf);
	skeleton = datapath__open();
	if (!skeleton)
		return -1;
	bpf_object__for_each_map(map, skeleton->obj)
		if (bpf_map__type(map) != BPF_MAP_TYPE_RINGBUF && bpf_map__type(map) != BPF_MAP_TYPE_PERCPU_ARRAY &&
		    bpf_map__max_entries(map) > 4096)
			bpf_map__set_max_entries(map, 4096);
	skeleton->rodata->have_decap_flags = decap_flags;
	return datapath__load(skeleton);
}

/* There are two ways to take headers off: kernels from 6.3 on have flags for it.  Those can be asked to go without. */
bool harness_has_decap_flags(void)
{
	unsigned major = 0, minor = 0;
	struct utsname u;

	if (getenv("BPF_NO_DECAP_FLAGS") || uname(&u) < 0 || sscanf(u.release, "%u.%u", &major, &minor) != 2)
		return false;
	return major > 6 || (major == 6 && minor >= 3);
}

int harness_setup(void **state)
{
	bool decap_flags = harness_has_decap_flags();

	room_open();
	host_init();
	host_device(IF_UNDERLAY, mac_of(UNDERLAY_MAC).b);
	host_device_mtu(IF_SECURE, SECURE_MTU);
	host_set_decap_flags(decap_flags);
	harness_routes();
	cpus = libbpf_num_possible_cpus();
	if (cpus < 1 || cpus > CPUS_MAX)
		return -1;
	if (load(decap_flags) < 0) {
		fprintf(stderr, "harness: the data plane does not load: %s\n", strerror(errno));
		return -1;
	}
	drops_fd = bpf_map__fd(skeleton->maps.drops);
	counters_fd = bpf_map__fd(skeleton->maps.counters);
	return 0;
}

int harness_teardown(void **state)
{
	datapath__destroy(skeleton);
	skeleton = NULL;
	return 0;
}

static int map_fd(const char *map)
{
	int fd = bpf_object__find_map_fd_by_name(skeleton->obj, map);

	if (fd < 0)
		fail_msg("no map named %s", map);
	return fd;
}

static void put_both(void *arg, const char *map, const void *key, const void *value)
{
	if (bpf_map_update_elem(map_fd(map), key, value, BPF_ANY) < 0)
		fail_msg("map %s refuses an entry: %s", map, strerror(errno));
	host_map_put(host_map_find(map), key, value);
}

static uint64_t epoch_now;

static void set_epoch(uint64_t value)
{
	const uint32_t zero = 0;

	put_both(NULL, "epoch", &zero, &value);
}

void harness_forget(bool again)
{
	epoch_now = (epoch_now | 1) + 1;
	set_epoch(again ? epoch_now : 0);
}

void harness_disturb(void)
{
	epoch_now |= 1;
	set_epoch(epoch_now);
}

void harness_settle(void)
{
	harness_forget(true);
}

void table_put(const char *map, const void *key, const void *value)
{
	put_both(NULL, map, key, value);
	harness_settle();
}

void table_lose(const char *map, const void *key)
{
	if (bpf_map_delete_elem(map_fd(map), key) < 0)
		fail_msg("map %s has no such entry to remove", map);
	host_map_remove(host_map_find(map), key);
}

void table_remove(const char *map, const void *key)
{
	table_lose(map, key);
	harness_settle();
}

int harness_reset(void **state)
{
	static const char *const hashes[] = { "ports", "macs", "hosts", "prefixes", "members", "floods", "buckets" };

	for (size_t i = 0; i < sizeof(hashes) / sizeof(hashes[0]); i++) {
		unsigned char key[64];
		int fd = map_fd(hashes[i]);

		while (bpf_map_get_next_key(fd, NULL, key) == 0)
			if (bpf_map_delete_elem(fd, key) < 0)
				return -1;
		host_map_clear(host_map_find(hashes[i]));
	}
	fabric_fill(put_both, NULL);
	harness_forget(true);
	return 0;
}

static void read_kernel(uint64_t drops[DROP_MAX], struct abi_counter counters[COUNTER_MAX])
{
	static uint64_t drop_slots[DROP_MAX][CPUS_MAX];
	static struct abi_counter counter_slots[COUNTER_MAX][CPUS_MAX];

	memset(drops, 0, DROP_MAX * sizeof(drops[0]));
	memset(counters, 0, COUNTER_MAX * sizeof(counters[0]));
	for (uint32_t i = 0; i < DROP_MAX; i++) {
		assert_int_equal(bpf_map_lookup_elem(drops_fd, &i, drop_slots[i]), 0);
		for (int cpu = 0; cpu < cpus; cpu++)
			drops[i] += drop_slots[i][cpu];
	}
	for (uint32_t i = 0; i < COUNTER_MAX; i++) {
		assert_int_equal(bpf_map_lookup_elem(counters_fd, &i, counter_slots[i]), 0);
		for (int cpu = 0; cpu < cpus; cpu++) {
			counters[i].packets += counter_slots[i][cpu].packets;
			counters[i].bytes += counter_slots[i][cpu].bytes;
		}
	}
}

uint64_t harness_counter(enum counter counter)
{
	uint64_t drops[DROP_MAX];
	struct abi_counter counters[COUNTER_MAX];

	read_kernel(drops, counters);
	return counters[counter].packets;
}

uint64_t harness_drops(enum drop_reason reason)
{
	uint64_t drops[DROP_MAX];
	struct abi_counter counters[COUNTER_MAX];

	read_kernel(drops, counters);
	return drops[reason];
}

static void read_host(uint64_t drops[DROP_MAX], struct abi_counter counters[COUNTER_MAX])
{
	for (uint32_t i = 0; i < DROP_MAX; i++)
		memcpy(&drops[i], host_map_get(host_map_find("drops"), &i), sizeof(drops[i]));
	for (uint32_t i = 0; i < COUNTER_MAX; i++)
		memcpy(&counters[i], host_map_get(host_map_find("counters"), &i), sizeof(counters[i]));
}

/* Where the outer UDP source port stands, 0 when the frame is no tunnel packet. */
static size_t sport_offset(const uint8_t *p, size_t size)
{
	if (size > 50 && p[12] == 0x08 && p[13] == 0 && p[23] == IP_UDP && (p[36] << 8 | p[37]) == VXLAN_PORT)
		return 34;
	if (size > 70 && p[12] == 0x86 && p[13] == 0xdd && p[20] == IP_UDP && (p[56] << 8 | p[57]) == VXLAN_PORT)
		return 54;
	return 0;
}

static uint16_t be16_at(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

bool harness_kernel_takes(const struct frame *f)
{
	uint16_t type = be16_at(f->data + 12);

	return f->size >= 14 && !(type == TYPE_IP4 && f->size < 34) && !(type == TYPE_IP6 && f->size < 54);
}

bool harness_same_frame(const uint8_t *a, size_t a_size, const uint8_t *b, size_t b_size)
{
	size_t at = sport_offset(a, a_size);

	if (a_size != b_size)
		return false;
	if (!at)
		return memcmp(a, b, a_size) == 0;
	return memcmp(a, b, at) == 0 && memcmp(a + at + 2, b + at + 2, a_size - at - 2) == 0 &&
	       (be16_at(a + at) >= 49152) == (be16_at(b + at) >= 49152);
}

static void compare_copies(const struct outcome *o)
{
	bool seen[COPIES_MAX] = { false };

	assert_true(host.copies_length <= COPIES_MAX);
	for (size_t i = 0; i < o->copies_length && o->copies_length != host.copies_length; i++)
		frame_print("a copy of the kernel's", o->copies[i].data, o->copies[i].size);
	if (o->copies_length != host.copies_length)
		fail_msg("%zu copies came out of the kernel, the host build made %u", o->copies_length,
			 host.copies_length);
	for (size_t i = 0; i < host.copies_length; i++) {
		const struct host_copy *c = &host.copies[i];
		size_t j;

		for (j = 0; j < o->copies_length; j++)
			if (!seen[j] && o->copies[j].ifindex == c->ifindex &&
			    harness_same_frame(o->copies[j].data, o->copies[j].size, c->data, c->size))
				break;
		if (j == o->copies_length) {
			frame_print("the host build's copy", c->data, c->size);
			fail_msg("the kernel made no such copy to device %u", c->ifindex);
		}
		seen[j] = true;
	}
}

void run_with(enum host_program program, uint32_t ifindex, const struct frame *in, const struct run_options *options,
	      struct outcome *o)
{
	struct __sk_buff before = { .ifindex = ifindex, .ingress_ifindex = ifindex, .mark = options->mark,
				    .gso_size = options->gso_size, .gso_segs = options->gso_segs }, after = { 0 };
	struct host_input input = { .data = in->data, .size = in->size, .ifindex = ifindex, .mark = options->mark,
				    .gso_size = options->gso_size, .gso_segs = options->gso_segs };
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = in->data, .data_size_in = (uint32_t)in->size,
		    .data_out = o->out.data, .data_size_out = sizeof(o->out.data), .ctx_in = &before,
		    .ctx_size_in = sizeof(before), .ctx_out = &after, .ctx_size_out = sizeof(after), .repeat = 1);
	uint64_t drops[2][DROP_MAX];
	struct abi_counter counters[2][COUNTER_MAX];
	uint64_t host_before[DROP_MAX], host_after[DROP_MAX];
	struct abi_counter host_counters[2][COUNTER_MAX];
	int r;

	compared = false;
	read_host(host_before, host_counters[0]);
	host_run(program, &input, &host);
	read_host(host_after, host_counters[1]);

	o->copies_length = room_arrivals(o->copies, COPIES_MAX, 0);
	read_kernel(drops[0], counters[0]);
	r = bpf_prog_test_run_opts(harness_program_fd(program), &opts);
	if (r < 0)
		fail_msg("BPF_PROG_TEST_RUN: %s", strerror(-r));
	o->copies_length = room_arrivals(o->copies, COPIES_MAX, host.copies_length);
	read_kernel(drops[1], counters[1]);

	o->verdict = (int)opts.retval;
	o->mark = after.mark;
	o->protocol = host.protocol;
	o->how = host.redirect;
	o->ifindex = host.redirect_ifindex;
	o->out.size = opts.data_size_out;
	for (int i = 0; i < DROP_MAX; i++) {
		o->drops[i] = drops[1][i] - drops[0][i];
		if (o->drops[i] != host_after[i] - host_before[i])
			fail_msg("drop reason %d: %lu in the kernel, %lu in the host build", i, o->drops[i],
				 host_after[i] - host_before[i]);
	}
	for (int i = 0; i < COUNTER_MAX; i++) {
		o->counters[i].packets = counters[1][i].packets - counters[0][i].packets;
		o->counters[i].bytes = counters[1][i].bytes - counters[0][i].bytes;
		assert_int_equal(o->counters[i].packets, host_counters[1][i].packets - host_counters[0][i].packets);
		assert_int_equal(o->counters[i].bytes, host_counters[1][i].bytes - host_counters[0][i].bytes);
	}
	assert_int_equal(o->verdict, host.verdict);
	assert_int_equal(o->mark, host.mark);
	if (!harness_same_frame(o->out.data, o->out.size, host.data, host.size)) {
		frame_print("in", in->data, in->size);
		frame_print("kernel", o->out.data, o->out.size);
		frame_print("host build", host.data, host.size);
		fail_msg("the kernel and the host build made different frames");
	}
	compare_copies(o);
}

void run(enum host_program program, uint32_t ifindex, const struct frame *in, struct outcome *o)
{
	static const struct run_options none;

	run_with(program, ifindex, in, &none, o);
}

static void kernel_drops(uint64_t out[DROP_MAX])
{
	static uint64_t slots[DROP_MAX * CPUS_MAX];
	uint32_t keys[DROP_MAX], count = DROP_MAX, batch;
	int r = bpf_map_lookup_batch(drops_fd, NULL, &batch, keys, slots, &count, NULL);

	assert_true((r == 0 || errno == ENOENT) && count == DROP_MAX);
	memset(out, 0, DROP_MAX * sizeof(out[0]));
	for (int i = 0; i < DROP_MAX; i++)
		for (int cpu = 0; cpu < cpus; cpu++)
			out[keys[i]] += slots[i * cpus + cpu];
}

static void host_drops(uint64_t out[DROP_MAX])
{
	struct host_map *m = host_map_find("drops");

	for (uint32_t i = 0; i < DROP_MAX; i++)
		memcpy(&out[i], host_map_get(m, &i), sizeof(out[i]));
}

const char *harness_compare(enum host_program program, uint32_t ifindex, const struct frame *in,
			    struct host_result *result)
{
	static uint8_t out[FRAME_MAX];
	struct __sk_buff before = { .ifindex = ifindex, .ingress_ifindex = ifindex };
	struct host_input input = { .data = in->data, .size = in->size, .ifindex = ifindex };
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = in->data, .data_size_in = (uint32_t)in->size, .data_out = out,
		    .data_size_out = sizeof(out), .ctx_in = &before, .ctx_size_in = sizeof(before), .repeat = 1);

	host_run(program, &input, result);
	if (!harness_kernel_takes(in))
		return NULL;
	if (bpf_prog_test_run_opts(harness_program_fd(program), &opts) < 0)
		return "ability to run";
	if (!harness_same_frame(out, opts.data_size_out, result->data, result->size)) {
		frame_print("kernel", out, opts.data_size_out);
		frame_print("host build", result->data, result->size);
		return "bytes";
	}
	return (int)opts.retval != result->verdict ? "verdict" : NULL;
}

static const char *reason_name(int reason)
{
	static const char *const names[DROP_MAX] = {
#define X(symbol, name, meaning) name,
		ABI_DROP_REASONS(X)
#undef X
	};

	return names[reason];
}

static const char *const counter_names[COUNTER_MAX] = {
#define X(symbol, name, meaning) name,
	ABI_COUNTERS(X)
#undef X
};

static struct marks {
	uint64_t kernel_drops[DROP_MAX], host_drops[DROP_MAX];
	struct abi_counter kernel[COUNTER_MAX], host[COUNTER_MAX];
} marks;

static void read_marks(struct marks *m)
{
	read_kernel(m->kernel_drops, m->kernel);
	read_host(m->host_drops, m->host);
}

void harness_mark(void)
{
	read_marks(&marks);
}

const char *harness_differs(void)
{
	struct marks now;

	read_marks(&now);
	for (int i = 0; i < DROP_MAX; i++)
		if (now.kernel_drops[i] - marks.kernel_drops[i] != now.host_drops[i] - marks.host_drops[i])
			return reason_name(i);
	for (int i = 0; i < COUNTER_MAX; i++)
		if (now.kernel[i].packets - marks.kernel[i].packets != now.host[i].packets - marks.host[i].packets ||
		    now.kernel[i].bytes - marks.kernel[i].bytes != now.host[i].bytes - marks.host[i].bytes)
			return counter_names[i];
	return NULL;
}

const char *harness_disagree(enum host_program program, uint32_t ifindex, const struct frame *in,
			     struct host_result *result)
{
	static uint64_t kernel_before[DROP_MAX], host_before[DROP_MAX];
	uint64_t kernel_after[DROP_MAX], host_after[DROP_MAX];
	const char *what = harness_compare(program, ifindex, in, result);

	if (!harness_kernel_takes(in)) {
		host_drops(host_before);
		return what;
	}
	kernel_drops(kernel_after);
	host_drops(host_after);
	/* the first call only learns where the counters stand */
	for (int i = 0; i < DROP_MAX && compared; i++)
		if (kernel_after[i] - kernel_before[i] != host_after[i] - host_before[i])
			what = "drop reason";
	compared = true;
	memcpy(kernel_before, kernel_after, sizeof(kernel_before));
	memcpy(host_before, host_after, sizeof(host_before));
	return what;
}

/* ---- expectations ---- */

void expect_bytes(const struct outcome *o, const struct frame *want)
{
	if (o->out.size == want->size && memcmp(o->out.data, want->data, want->size) == 0)
		return;
	frame_print("got", o->out.data, o->out.size);
	frame_print("wanted", want->data, want->size);
	for (size_t i = 0; i < want->size && i < o->out.size; i++)
		if (o->out.data[i] != want->data[i])
			fail_msg("first difference at offset %zu: got %02x, wanted %02x", i, o->out.data[i],
				 want->data[i]);
	fail_msg("got %zu bytes, wanted %zu", o->out.size, want->size);
}

static void expect_reasons(const struct outcome *o, enum drop_reason reason)
{
	for (int i = 0; i < DROP_MAX; i++)
		if (o->drops[i] != (i == (int)reason && reason != DROP_NONE))
			fail_msg("%s counted %lu times, expected was one %s", reason_name(i), o->drops[i],
				 reason_name(reason));
}

void expect_no_drop(const struct outcome *o)
{
	expect_reasons(o, DROP_NONE);
}

void expect_drop(const struct outcome *o, enum drop_reason reason)
{
	expect_reasons(o, reason);
	assert_int_equal(o->verdict, VERDICT_SHOT);
	assert_int_equal(o->copies_length, 0);
	expect_count(o, COUNTER_TO_PORT, 0);
	expect_count(o, COUNTER_ENCAP, 0);
}

void expect_count(const struct outcome *o, enum counter counter, uint64_t packets)
{
	assert_int_equal(o->counters[counter].packets, packets);
}

void expect_way_to_port(const struct outcome *o, enum endpoint_id to)
{
	uint16_t type = be16_at(o->out.data + 12);

	if (o->how == HOST_REDIRECT_PEER) {
		assert_true(endpoints[to].peer);
		assert_int_equal(o->protocol, type >= 0x600 ? type : 4 /* ETH_P_802_2 */);
		return;
	}
	assert_int_equal(o->how, HOST_REDIRECT_EGRESS);
	assert_int_equal(o->mark, ABI_MARK);
}

void expect_port(const struct outcome *o, enum endpoint_id to, const struct frame *want)
{
	expect_no_drop(o);
	assert_int_equal(o->verdict, VERDICT_REDIRECT);
	assert_int_equal(o->ifindex, endpoints[to].ifindex);
	expect_way_to_port(o, to);
	expect_bytes(o, want);
	assert_int_equal(o->copies_length, 0);
	expect_count(o, COUNTER_TO_PORT, 1);
	expect_count(o, COUNTER_ENCAP, 0);
}

void expect_tunnel(const struct outcome *o, uint32_t nexthop, uint32_t vni, const struct frame *inner)
{
	static struct frame want;
	size_t at = sport_offset(o->out.data, o->out.size);
	uint16_t sport = at ? be16_at(o->out.data + at) : 0;

	expect_no_drop(o);
	assert_int_equal(o->verdict, VERDICT_REDIRECT);
	assert_int_equal(o->how, HOST_REDIRECT_EGRESS);
	assert_int_equal(o->ifindex, nexthop_of(nexthop).flags & NEXTHOP_SECURE ? IF_SECURE : IF_UNDERLAY);
	assert_in_range(sport, 49152, 65535);
	frame_encap(&want, nexthop, vni, inner, sport);
	expect_bytes(o, &want);
	assert_int_equal(o->copies_length, 0);
	expect_count(o, COUNTER_ENCAP, 1);
	expect_count(o, COUNTER_TO_PORT, 0);
}

void expect_answer(const struct outcome *o, enum endpoint_id asker, const struct frame *want)
{
	assert_int_equal(o->verdict, VERDICT_REDIRECT);
	assert_int_equal(o->ifindex, endpoints[asker].ifindex);
	expect_way_to_port(o, asker);
	expect_bytes(o, want);
	assert_int_equal(o->copies_length, 0);
	expect_count(o, COUNTER_ENCAP, 0);
}

const struct arrival *copy_to(const struct outcome *o, uint32_t ifindex)
{
	const struct arrival *found = NULL;

	for (size_t i = 0; i < o->copies_length; i++) {
		if (o->copies[i].ifindex != ifindex)
			continue;
		if (found)
			fail_msg("two copies went out of device %u", ifindex);
		found = &o->copies[i];
	}
	if (!found)
		fail_msg("no copy went out of device %u", ifindex);
	return found;
}

void expect_copies(const struct outcome *o, size_t length)
{
	assert_int_equal(o->copies_length, length);
	expect_count(o, COUNTER_FLOODED, length);
}
