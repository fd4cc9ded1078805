/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any state of the pinned maps as a start finds it, and any drift while the daemon runs.
 *
 *	byte 0		enum option
 *	byte 1		which call to the kernel fails, where the option is set
 *	rest		changes to the maps of an earlier run, see change_maps; 0xff ends those before the start, the
 *			further ones are made under the running daemon
 *
 * Each time a data plane of a small fabric is made, closed, tampered with and opened again.  Rules: after the first
 * sync the maps mean exactly what was put, whatever stood there; an audit finds and mends every later change; a call
 * that fails leaves a state from which the next start comes right.
 */
#include <errno.h>
#include <limits.h>

#include "dp/state.h"
#include "fake_bpf.h"
#include "fake_netlink.h"
#include "fuzz.h"
#include "kernel_view.h"

#define END_OF_PINS 0xff
#define CHANGES_MAX 64
#define HOLE_AUDITS 4
#define AUDIT_ROUNDS (HOLE_AUDITS + 1)

enum option {
	OPTION_NO_BATCH = 1,
	OPTION_FAIL = 2,	/* one call of the start */
	OPTION_NO_STAMP = 4,	/* nothing says that the pins belong together */
	OPTION_OTHER_SHAPE = 8, /* a map of another layout under our name */
	OPTION_OTHER_VERSION = 16,
	OPTION_LOST_PIN = 32,
	OPTION_FAIL_AUDIT = 64,
};

enum {
	CHANGE_PUT,    /* map, key, value */
	CHANGE_BYTE,   /* map, element, offset, byte: in the value */
	CHANGE_REMOVE, /* map, element */
	CHANGE_MOVE,   /* map, element, offset, byte: in the key */
	CHANGE_MAX
};

static char directory[64];

/* ---- the fabric ---- */

#define V4(a, b, c, d) {.bytes = {[10] = 0xff, 0xff, a, b, c, d}}
#define V6(last) {.bytes = {0x20, 1, 0x0d, 0xb8, [15] = last}}
#define MAC(last) {.bytes = {2, 0, 0, 0, 0, last}}

static const struct fwd intent[] = {
	{FWD_NEXTHOP, .nexthop = {.owner = 101, .type = FWD_NEXTHOP_PORT, .ifindex = 11, .peer = true, .mtu = 1450}},
	{FWD_NEXTHOP, .nexthop = {.owner = 102, .type = FWD_NEXTHOP_PORT, .ifindex = 12, .mtu = 1450}},
	{FWD_NEXTHOP, .nexthop = {.owner = 103, .type = FWD_NEXTHOP_PORT, .mtu = 1450}}, /* waits */
	{FWD_NEXTHOP, .nexthop = {.owner = 201, .type = FWD_NEXTHOP_TUNNEL, .encap = FWD_ENCAP_VXLAN,
				  .router_mac = MAC(0xc), .remote = V4(192, 0, 2, 12), .local = V4(192, 0, 2, 11),
				  .mtu = 1450}},
	{FWD_NEXTHOP, .nexthop = {.owner = 202, .type = FWD_NEXTHOP_TUNNEL, .encap = FWD_ENCAP_VXLAN, .foreign = true,
				  .remote = V6(13), .local = V6(11), .mtu = 1430}},
	{FWD_NEXTHOP, .nexthop = {.owner = 301, .type = FWD_NEXTHOP_NATIVE, .remote = V4(192, 0, 2, 12),
				  .local = V4(192, 0, 2, 11), .mtu = 1500}},
	{FWD_MEMBER, .member = {.source = V4(192, 0, 2, 12), .vni = 5001, .encap = FWD_ENCAP_VXLAN, .vrf = 5000,
				.flood = true}},
	{FWD_MEMBER, .member = {.source = V6(13), .vni = 5000, .encap = FWD_ENCAP_VXLAN, .vrf = 5000, .l3 = true}},
	{FWD_PREFIX, .prefix = {.vrf = 5000, .prefix = {.addr = V4(10, 0, 1, 0), .length = 120}, .vni = 5001}},
	{FWD_PREFIX, .prefix = {.vrf = 5000, .prefix = {.addr = V6(0), .length = 64}, .vni = 5001}},
	{FWD_HOST, .host = {.vrf = 5000, .addr = V4(10, 0, 1, 1), .vni = 5001, .mac = MAC(0xfe), .gateway = true}},
	{FWD_HOST, .host = {.vrf = 5000, .addr = V4(10, 0, 1, 11), .nexthop = 101, .vni = 5001, .mac = MAC(1)}},
	{FWD_HOST, .host = {.vrf = 5000, .addr = V6(12), .nexthop = 201, .vni = 5001, .mac = MAC(2), .l3 = true}},
	{FWD_HOST, .host = {.vrf = 7000, .addr = V4(10, 7, 0, 41), .nexthop = 301, .vni = 7000, .l3 = true}},
	{FWD_MAC, .mac = {.vni = 5001, .mac = MAC(1), .nexthop = 101}},
	{FWD_MAC, .mac = {.vni = 5001, .mac = MAC(2), .nexthop = 201}},
	{FWD_PORT, .port = {.ifindex = 11, .owner = 101, .vni = 5001, .vrf = 5000, .flags = PORT_SECURITY, .mac = MAC(1),
			    .gateway4 = V4(10, 0, 1, 1)}},
	{FWD_PORT, .port = {.ifindex = 12, .owner = 102, .vni = 5001, .vrf = 5000, .flags = PORT_FLOOD, .mac = MAC(3),
			    .gateway6 = V6(1)}},
	{FWD_FLOOD, .flood = {.vni = 5001, .nexthop = 101}},
	{FWD_FLOOD, .flood = {.vni = 5001, .nexthop = 102}},
	{FWD_FLOOD, .flood = {.vni = 5001, .nexthop = 103}},
	{FWD_FLOOD, .flood = {.vni = 5001, .nexthop = 201}},
	{FWD_FLOOD, .flood = {.vni = 5001, .nexthop = 202}},
	{FWD_FLOOD, .flood = {.vni = 5002, .nexthop = 201}},
};

#define N_INTENT (sizeof(intent) / sizeof(intent[0]))

static const struct abi_node node = {.underlay = {V4(192, 0, 2, 11), V6(11)}, .gateway_mac = {2, 0x69, 0x73},
				     .native_vrf = 7000, .wires = {10}};

static int open_dp(struct datapath **out)
{
	const struct datapath_options options = {.bpf_dir = directory};

	return datapath_open(&options, out);
}

/* 0, or the first error; what can be done is done. */
static int fill(struct datapath *dp)
{
	int error = datapath_set_node(dp, &node), r;

	datapath_sync_begin(dp);
	for (size_t i = 0; i < N_INTENT; i++) {
		r = table_put(dp, &intent[i]);
		error = error < 0 ? error : r;
	}
	r = datapath_sync_end(dp);
	return error < 0 ? error : r < 0 ? r : 0;
}

/* ---- somebody with bpftool ---- */

static const enum map_id tampered[] = {MAP_NODE, MAP_PORTS, MAP_NEXTHOPS, MAP_MACS, MAP_HOSTS,
				       MAP_PREFIXES, MAP_MEMBERS, MAP_FLOODS, MAP_DROPS};

static struct fake_map *pick_map(uint8_t which)
{
	char pin[PIN_NAME_SIZE];

	return fake_map_pinned(pinset_name(tampered[which % (sizeof(tampered) / sizeof(tampered[0]))], pin));
}

/* false at the end of the input or of this part */
static bool change_maps(struct input *in)
{
	uint8_t key[64], value[256], how = input_u8(in), which = input_u8(in), element, offset, byte;
	struct fake_map *m = in->size ? pick_map(which) : NULL;
	const void *at;
	void *v;

	if (how == END_OF_PINS || !in->size)
		return false;
	if (!m)
		return true;
	require(fake_map_key_size(m) <= sizeof(key) && fake_map_value_size(m) <= sizeof(value), "room");
	if (how % CHANGE_MAX == CHANGE_PUT) {
		input_take(in, key, fake_map_key_size(m));
		input_take(in, value, fake_map_value_size(m));
		fake_map_put(m, key, value);
		return true;
	}
	element = input_u8(in);
	for (size_t i = 0; fake_map_next(m, &i, &at, &v);) {
		if (element--)
			continue;
		memcpy(key, at, fake_map_key_size(m));
		memcpy(value, v, fake_map_value_size(m));
		if (how % CHANGE_MAX == CHANGE_REMOVE) {
			fake_map_remove(m, key);
			return true;
		}
		offset = input_u8(in);
		byte = input_u8(in);
		if (how % CHANGE_MAX == CHANGE_BYTE)
			value[offset % fake_map_value_size(m)] ^= byte;
		else
			key[offset % fake_map_key_size(m)] ^= byte;
		fake_map_put(m, key, value);
		return true;
	}
	return true;
}

static void change_pins(uint8_t options, uint8_t which)
{
	static const char *const stamps[] = {"build", "port_ingress"};
	char pin[PIN_NAME_SIZE], other[PIN_NAME_SIZE + 8];
	enum map_id id = tampered[which % (sizeof(tampered) / sizeof(tampered[0]))];

	pinset_name(id, pin);
	snprintf(other, sizeof(other), "%s0", pin); /* "hosts_v10" */
	if (options & OPTION_NO_STAMP)
		fake_unpin(stamps[which % 2]);
	if (options & OPTION_OTHER_SHAPE)
		fake_map_reshape(fake_map_pinned(pin), 2);
	if (options & OPTION_OTHER_VERSION)
		fake_rename_pin(pin, other);
	if (options & OPTION_LOST_PIN)
		fake_unpin(pin);
}

/* ---- looking at it ---- */

static bool see(void *arg, const struct fwd *f)
{
	const struct datapath *dp = arg;
	struct fwd again;
	char text[200];

	fwd_format(f, text, sizeof(text));
	require(f->kind < FWD_KIND_MAX, "an entry of no kind");
	table_get(dp, f, &again);
	return true;
}

/* As `isthmus --offline` does: nothing is known but the pins, and nothing is written. */
static void look(void)
{
	const struct datapath_options options = {.bpf_dir = directory, .read_only = true};
	uint64_t writes = fake_bpf_writes();
	struct abi_counter counters[COUNTER_MAX];
	uint64_t drops[DROP_MAX];
	struct datapath *dp = NULL;

	if (datapath_open(&options, &dp) < 0)
		return;
	for (enum fwd_kind k = 0; k < FWD_KIND_MAX; k++) {
		table_each(dp, k, see, dp);
		require(table_length(dp, k) <= FAKE_CAPACITY && table_capacity(dp, k) <= FAKE_CAPACITY, "a length");
		require(table_put(dp, &intent[0]) == -EROFS && table_del(dp, &intent[0]) == -EROFS, "a reader writes");
	}
	stats_drops(dp, drops);
	stats_counters(dp, counters);
	datapath_close(dp);
	require(fake_bpf_writes() == writes, "a reader writes");
}

static void check_view(const char *wanted, const char *rule)
{
	char *now = kernel_view();

	if (strcmp(now, wanted) != 0)
		dprintf(STDERR_FILENO, "wanted:\n%snow:\n%s", wanted, now);
	require(strcmp(now, wanted) == 0, rule);
	free(now);
}

static void check_known(struct datapath *dp)
{
	for (size_t i = 0; i < N_INTENT; i++) {
		struct fwd f;

		require(table_get(dp, &intent[i], &f) && fwd_equal(&f, &intent[i]), "an entry is not what was put");
	}
	for (enum fwd_kind k = 0; k < FWD_KIND_MAX; k++)
		table_each(dp, k, see, dp);
}

/* ---- */

static char *make_first(void)
{
	struct datapath *dp = NULL;
	char *view;

	fake_bpf_reset();
	require(open_dp(&dp) == 0 && fill(dp) == 0, "a first start");
	require(!datapath_adopted(dp), "something was adopted from nothing");
	datapath_close(dp);
	view = kernel_view();
	return view;
}

static int start_again(uint8_t options, uint8_t which)
{
	struct datapath *dp = NULL;
	int r;

	fake_bpf_fail(options & OPTION_FAIL ? which + 1u : 0, which % 3 ? EPERM : ENOMEM);
	r = open_dp(&dp);
	if (r == 0)
		r = fill(dp);
	fake_bpf_fail(0, 0);
	if (r < 0)
		require(options & OPTION_FAIL && *datapath_error(), "a start that fails because of what it found");
	datapath_close(dp);
	return r;
}

/* A change of the underlay's family moves copies from list to list; then everything goes. */
static void change_and_clear(struct datapath *dp)
{
	struct fwd f = intent[3];

	f.nexthop.remote = (struct addr)V6(12);
	f.nexthop.local = (struct addr)V6(11);
	require(table_put(dp, &f) == 1 && table_put(dp, &f) == 0 && table_put(dp, &intent[3]) == 1,
		"a next hop that does not change its family");
	for (size_t i = N_INTENT; i-- > 0;)
		require(table_del(dp, &intent[i]) == 1 && table_del(dp, &intent[i]) == 0, "an entry that does not go");
	for (enum fwd_kind k = 0; k < FWD_KIND_MAX; k++)
		require(table_length(dp, k) == 0, "something is left");
	require(datapath_audit(dp, SIZE_MAX) == 0, "what is gone is missed");
}

static bool over_ipv4(void *arg, const struct fwd_nexthop *n)
{
	require(n->type == FWD_NEXTHOP_TUNNEL && !n->secure, "a next hop that is asked of for nothing");
	return addr_is_v4(&n->remote);
}

/* A start that does not know everything: all stays, some of it encrypted, until somebody does know. */
static void keep(struct datapath *dp, const char *wanted)
{
	datapath_sync_begin(dp);
	require(datapath_sync_keep(dp, over_ipv4, NULL) >= 0, "a sync that keeps");
	for (size_t i = 0; i < N_INTENT; i++) {
		struct fwd wants = intent[i], f;

		if (wants.kind == FWD_NEXTHOP && wants.nexthop.type == FWD_NEXTHOP_TUNNEL)
			wants.nexthop.secure = addr_is_v4(&wants.nexthop.remote);
		require(table_get(dp, &intent[i], &f) && fwd_equal(&f, &wants), "an entry that is not kept as it is to be");
	}
	require(datapath_audit(dp, SIZE_MAX) == 0, "a repair of what is kept");
	require(fill(dp) == 0, "a sync after that");
	check_view(wanted, "what was kept stays so");
}

static void run_on(struct input *in, uint8_t options, uint8_t which, const char *wanted)
{
	struct datapath *dp = NULL;

	require(open_dp(&dp) == 0 && fill(dp) == 0, "a start after a start");
	for (unsigned i = 0; i < HOLE_AUDITS; i++) /* clear next hops without an owner, by turns */
		require(datapath_audit(dp, SIZE_MAX) >= 0, "a first audit");
	check_view(wanted, "the maps do not mean what was put");
	check_known(dp);
	require(datapath_audit(dp, SIZE_MAX) == 0, "a repair where nothing was wrong");
	for (unsigned i = 0; i < CHANGES_MAX && change_maps(in); i++)
		;
	if (options & OPTION_FAIL_AUDIT) {
		fake_bpf_fail(which + 1u, EPERM);
		datapath_audit(dp, SIZE_MAX);
		fake_bpf_fail(0, 0);
	}
	for (unsigned i = 0; i < AUDIT_ROUNDS; i++)
		require(datapath_audit(dp, i % 2 ? SIZE_MAX : 7) >= 0, "drift that an audit cannot mend");
	datapath_audit(dp, SIZE_MAX);
	check_view(wanted, "drift that an audit does not find");
	keep(dp, wanted);
	change_and_clear(dp);
	datapath_close(dp);
}

static void clean_up(void)
{
	fake_bpf_fini();
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	snprintf(directory, sizeof(directory), "/dev/shm/isthmus-fuzz-XXXXXX");
	require(mkdtemp(directory), "a directory to work in");
	fake_bpf_init(directory);
	fake_netlink_set(fake_kernel, NULL);
	atexit(clean_up);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, size};
	uint8_t options = input_u8(&in), which = input_u8(&in);
	char *wanted = make_first();

	fake_bpf_no_batch(options & OPTION_NO_BATCH);
	for (unsigned i = 0; i < CHANGES_MAX && change_maps(&in); i++)
		;
	change_pins(options, which);
	look();
	start_again(options, which);
	run_on(&in, options, which, wanted);
	free(wanted);
	return 0;
}
