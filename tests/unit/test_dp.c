/* SPDX-License-Identifier: Apache-2.0 */
/* The user-space half of the data plane against the running kernel: maps, pins, adoption, drift, filters. */
#include <errno.h>
#include <linux/bpf.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <time.h>

#include <cmocka.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "dp/datapath.h"
#include "sandbox.h"

#define PORT_OWNER 0x1111
#define TUNNEL_OWNER 0x2222
#define TUNNEL6_OWNER 0x3333

struct world {
	struct sandbox box;
	char bpf_dir[80];
	struct datapath *dp;
};

static struct addr address(const char *text)
{
	struct addr a;

	assert_int_equal(addr_parse(text, &a), 0);
	return a;
}

static struct mac mac(const char *text)
{
	struct mac m;

	assert_int_equal(mac_parse(text, &m), 0);
	return m;
}

/* ---- entries ----------------------------------------------------------------------------------------------------- */

static struct fwd a_port_nexthop(uint64_t owner, uint32_t ifindex)
{
	return (struct fwd){
		.kind = FWD_NEXTHOP,
		.nexthop = {.owner = owner, .type = FWD_NEXTHOP_PORT, .ifindex = ifindex, .peer = true, .mtu = 1500}};
}

static struct fwd a_tunnel(uint64_t owner, const char *remote, const char *local)
{
	return (struct fwd){.kind = FWD_NEXTHOP,
			    .nexthop = {.owner = owner,
					.type = FWD_NEXTHOP_TUNNEL,
					.encap = FWD_ENCAP_VXLAN,
					.router_mac = mac("02:00:00:00:00:aa"),
					.remote = address(remote),
					.local = address(local),
					.mtu = 1450}};
}

static struct fwd a_member(const char *source)
{
	return (struct fwd){.kind = FWD_MEMBER,
			    .member = {.source = address(source),
				       .vni = 5001,
				       .encap = FWD_ENCAP_VXLAN,
				       .vrf = 5000,
				       .foreign = true}};
}

static struct fwd a_prefix(const char *text)
{
	struct fwd f = {.kind = FWD_PREFIX, .prefix = {.vrf = 5000, .vni = 5001}};

	assert_int_equal(prefix_parse(text, &f.prefix.prefix), 0);
	return f;
}

static struct fwd a_host(const char *text, uint64_t owner)
{
	return (struct fwd){.kind = FWD_HOST,
			    .host = {.vrf = 5000,
				     .addr = address(text),
				     .nexthop = owner,
				     .vni = 5001,
				     .mac = mac("02:00:00:00:00:01"),
				     .gateway = owner == 0}};
}

static struct fwd a_mac(const char *text, uint64_t owner)
{
	return (struct fwd){.kind = FWD_MAC, .mac = {.vni = 5001, .mac = mac(text), .nexthop = owner}};
}

static struct fwd a_port(uint32_t ifindex)
{
	return (struct fwd){.kind = FWD_PORT,
			    .port = {.ifindex = ifindex,
				     .owner = PORT_OWNER,
				     .vni = 5001,
				     .vrf = 5000,
				     .flags = PORT_SECURITY,
				     .mac = mac("02:00:00:00:00:01"),
				     .gateway4 = address("10.0.1.1"),
				     .gateway6 = address("fd00:1::1")}};
}

static struct fwd a_flood(uint32_t vni, uint64_t owner)
{
	return (struct fwd){.kind = FWD_FLOOD, .flood = {.vni = vni, .nexthop = owner}};
}

#define N_FULL 15

/* One of everything, in the order of installation. */
static void full_state(struct fwd out[N_FULL])
{
	const struct fwd all[N_FULL] = {
		a_port_nexthop(PORT_OWNER, 7),
		a_tunnel(TUNNEL_OWNER, "198.51.100.21", "192.0.2.11"),
		a_tunnel(TUNNEL6_OWNER, "2001:db8::21", "2001:db8::11"),
		a_member("198.51.100.21"),
		a_member("2001:db8::21"),
		a_prefix("10.0.1.0/24"),
		a_prefix("fd00:1::/64"),
		a_host("10.0.1.1", 0),
		a_host("10.0.1.11", PORT_OWNER),
		a_host("fd00:1::12", TUNNEL_OWNER),
		a_mac("02:00:00:00:00:01", PORT_OWNER),
		a_mac("02:00:00:00:00:02", TUNNEL_OWNER),
		a_port(7),
		a_flood(5001, PORT_OWNER),
		a_flood(5001, TUNNEL_OWNER),
	};

	memcpy(out, all, sizeof(all));
}

static int put_all(struct datapath *dp)
{
	struct fwd all[N_FULL];
	int written = 0;

	full_state(all);
	for (size_t i = 0; i < N_FULL; i++) {
		int r = table_put(dp, &all[i]);

		if (r < 0)
			fail_msg("entry %zu: %s", i, datapath_error());
		written += r;
	}
	return written;
}

/* ---- helpers ----------------------------------------------------------------------------------------------------- */

static struct datapath *open_it(const struct world *w, bool read_only)
{
	const struct datapath_options options = {.bpf_dir = w->bpf_dir, .read_only = read_only};
	struct datapath *dp = NULL;

	if (datapath_open(&options, &dp) < 0)
		fail_msg("%s", datapath_error());
	return dp;
}

static int load_full(struct world *w)
{
	int written;

	w->dp = open_it(w, false);
	datapath_sync_begin(w->dp);
	written = put_all(w->dp);
	if (datapath_sync_end(w->dp) < 0)
		fail_msg("%s", datapath_error());
	return written;
}

static void close_it(struct world *w)
{
	datapath_close(w->dp);
	w->dp = NULL;
}

static bool pin_exists(const struct world *w, const char *name)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/%s", w->bpf_dir, name);
	return access(path, F_OK) == 0;
}

static int pinned(const struct world *w, const char *name)
{
	char path[256];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", w->bpf_dir, name);
	fd = bpf_obj_get(path);
	assert_true(fd >= 0);
	return fd;
}

static uint32_t make_veth(const char *a, const char *b)
{
	assert_int_equal(run("ip link add %s type veth peer name %s", a, b), 0);
	return if_nametoindex(a);
}

static int filters_on(const char *device)
{
	char command[256], line[256];
	FILE *f;
	int n = 0;

	snprintf(command, sizeof(command), "tc filter show dev %s ingress; tc filter show dev %s egress", device,
		 device);
	f = popen(command, "r");
	assert_non_null(f);
	while (fgets(line, sizeof(line), f))
		n += strstr(line, "port_ingress:[") || strstr(line, "port_egress:[") || strstr(line, "wire_ingress:[");
	pclose(f);
	return n;
}

static bool has_clsact(const char *device)
{
	return run("tc qdisc show dev %s | grep -q clsact", device) == 0;
}

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	if (!w || sandbox_enter(&w->box) < 0)
		return -1;
	snprintf(w->bpf_dir, sizeof(w->bpf_dir), "%s/bpf", w->box.directory);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	datapath_close(w->dp);
	sandbox_leave(&w->box);
	free(w);
	return 0;
}

/* ---- tables ------------------------------------------------------------------------------------------------------ */

static void every_kind_is_put_read_and_removed(void **state)
{
	struct world *w = *state;
	struct fwd all[N_FULL], got;

	full_state(all);
	assert_int_equal(load_full(w), N_FULL);
	assert_int_equal(put_all(w->dp), 0);
	for (size_t i = 0; i < N_FULL; i++) {
		assert_true(table_get(w->dp, &all[i], &got));
		assert_true(fwd_equal(&all[i], &got));
	}
	assert_int_equal(table_length(w->dp, FWD_HOST), 3);
	assert_int_equal(table_length(w->dp, FWD_FLOOD), 2);
	for (size_t i = N_FULL; i-- > 0;) {
		assert_int_equal(table_del(w->dp, &all[i]), 1);
		assert_int_equal(table_del(w->dp, &all[i]), 0);
		assert_false(table_get(w->dp, &all[i], &got));
	}
	for (enum fwd_kind k = 0; k < FWD_KIND_MAX; k++)
		assert_int_equal(table_length(w->dp, k), 0);
	assert_int_equal(datapath_audit(w->dp, SIZE_MAX), 0);
}

static void a_changed_value_is_written_once(void **state)
{
	struct world *w = *state;
	struct fwd host = a_host("10.0.1.11", TUNNEL_OWNER), got;

	load_full(w);
	assert_int_equal(table_put(w->dp, &host), 1);
	assert_int_equal(table_put(w->dp, &host), 0);
	assert_true(table_get(w->dp, &host, &got));
	assert_int_equal(got.host.nexthop, TUNNEL_OWNER);
}

/* Pointing elsewhere lets go of the old next hop: with everything else gone it can be removed. */
static void a_next_hop_is_free_when_nothing_points_at_it(void **state)
{
	struct world *w = *state;
	struct fwd tunnel = a_tunnel(TUNNEL_OWNER, "198.51.100.21", "192.0.2.11"), all[N_FULL];
	struct fwd host = a_host("fd00:1::12", PORT_OWNER), entry = a_mac("02:00:00:00:00:02", PORT_OWNER);

	load_full(w);
	full_state(all);
	assert_int_equal(table_del(w->dp, &all[N_FULL - 1]), 1);
	assert_int_equal(table_put(w->dp, &host), 1);
	assert_int_equal(table_del(w->dp, &tunnel), -EBUSY);
	assert_int_equal(table_put(w->dp, &entry), 1);
	assert_int_equal(table_del(w->dp, &tunnel), 1);
}

static void an_unknown_next_hop_is_refused(void **state)
{
	struct world *w = *state;
	struct fwd host = a_host("10.0.1.99", 0xdead), flood = a_flood(5001, 0xdead), got;

	load_full(w);
	assert_int_equal(table_put(w->dp, &host), -EINVAL);
	assert_non_null(strstr(datapath_error(), "hosts"));
	assert_int_equal(table_put(w->dp, &flood), -EINVAL);
	assert_false(table_get(w->dp, &host, &got));
}

static void a_next_hop_in_use_is_not_removed(void **state)
{
	struct world *w = *state;
	struct fwd nexthop = a_tunnel(TUNNEL_OWNER, "198.51.100.21", "192.0.2.11"), got;

	load_full(w);
	assert_int_equal(table_del(w->dp, &nexthop), -EBUSY);
	assert_true(table_get(w->dp, &nexthop, &got));
}

static uint32_t id_of(const struct world *w, uint64_t owner)
{
	int fd = pinned(w, "nexthops_v1");
	uint32_t found = 0;

	for (uint32_t id = 1; id < 64 && !found; id++) {
		struct abi_nexthop n;

		assert_int_equal(bpf_map_lookup_elem(fd, &id, &n), 0);
		if (n.owner == owner)
			found = id;
	}
	close(fd);
	return found;
}

static void a_waiting_port_keeps_its_number(void **state)
{
	struct world *w = *state;
	struct fwd waiting = a_port_nexthop(PORT_OWNER, 0), got;
	struct abi_nexthop n;
	uint32_t id;
	int fd;

	load_full(w);
	id = id_of(w, PORT_OWNER);
	assert_int_not_equal(id, 0);
	assert_int_equal(table_put(w->dp, &waiting), 1);
	assert_int_equal(id_of(w, PORT_OWNER), id);
	fd = pinned(w, "nexthops_v1");
	assert_int_equal(bpf_map_lookup_elem(fd, &id, &n), 0);
	close(fd);
	assert_int_equal(n.type, NEXTHOP_NONE);
	assert_true(table_get(w->dp, &waiting, &got));
	assert_true(fwd_equal(&waiting, &got));
}

static void a_number_is_not_reused_at_once(void **state)
{
	struct world *w = *state;
	struct fwd a = a_port_nexthop(0xa, 1), b = a_port_nexthop(0xb, 2);
	uint32_t id;

	load_full(w);
	assert_int_equal(table_put(w->dp, &a), 1);
	id = id_of(w, 0xa);
	assert_int_equal(table_del(w->dp, &a), 1);
	assert_int_equal(table_put(w->dp, &b), 1);
	assert_int_not_equal(id_of(w, 0xb), id);
}

static void a_full_table_says_so(void **state)
{
	struct world *w = *state;
	size_t capacity;
	struct fwd f;

	load_full(w);
	capacity = table_capacity(w->dp, FWD_PORT);
	for (uint32_t i = 0; i < capacity - 1; i++) {
		f = a_port(1000 + i);
		assert_int_equal(table_put(w->dp, &f), 1);
	}
	f = a_port(999);
	assert_int_equal(table_put(w->dp, &f), -ENOSPC);
	assert_non_null(strstr(datapath_error(), "ports is full"));
	assert_non_null(strstr(datapath_error(), "16384"));
	assert_int_equal(table_length(w->dp, FWD_PORT), capacity);
	f = a_port(1000);
	assert_int_equal(table_del(w->dp, &f), 1);
	f = a_port(999);
	assert_int_equal(table_put(w->dp, &f), 1);
}

/* ---- replication lists ------------------------------------------------------------------------------------------- */

static uint32_t slot_value(const struct world *w, uint32_t vni, uint16_t kind, uint16_t slot)
{
	const struct abi_flood_key key = {.vni = vni, .kind = kind, .slot = slot};
	struct abi_flood value;
	int fd = pinned(w, "floods_v1"), r = bpf_map_lookup_elem(fd, &key, &value);

	close(fd);
	return r < 0 ? UINT32_MAX : value.nexthop;
}

static void a_removed_copy_leaves_a_hole_that_is_used_again(void **state)
{
	struct world *w = *state;
	uint32_t ids[6];
	struct fwd f;

	load_full(w);
	for (uint64_t i = 1; i <= 5; i++) {
		f = a_port_nexthop(i, (uint32_t)i);
		assert_int_equal(table_put(w->dp, &f), 1);
		f = a_flood(77, i);
		assert_int_equal(table_put(w->dp, &f), 1);
		ids[i] = id_of(w, i);
		assert_int_equal(slot_value(w, 77, FLOOD_LOCAL, (uint16_t)i), ids[i]);
	}
	assert_int_equal(slot_value(w, 77, FLOOD_LOCAL, 0), 5);
	f = a_flood(77, 2);
	assert_int_equal(table_del(w->dp, &f), 1);
	assert_int_equal(slot_value(w, 77, FLOOD_LOCAL, 2), 0);
	assert_int_equal(slot_value(w, 77, FLOOD_LOCAL, 0), 5);
	f = a_flood(77, 4);
	assert_int_equal(table_del(w->dp, &f), 1);

	/* the others did not move */
	assert_int_equal(slot_value(w, 77, FLOOD_LOCAL, 1), ids[1]);
	assert_int_equal(slot_value(w, 77, FLOOD_LOCAL, 3), ids[3]);
	assert_int_equal(slot_value(w, 77, FLOOD_LOCAL, 5), ids[5]);

	f = a_flood(77, 4);
	assert_int_equal(table_put(w->dp, &f), 1);
	assert_int_equal(slot_value(w, 77, FLOOD_LOCAL, 2), ids[4]);
	assert_int_equal(slot_value(w, 77, FLOOD_LOCAL, 0), 5);

	/* the last one takes the hole before it along */
	f = a_flood(77, 5);
	assert_int_equal(table_del(w->dp, &f), 1);
	assert_int_equal(slot_value(w, 77, FLOOD_LOCAL, 0), 3);
	assert_int_equal(slot_value(w, 77, FLOOD_LOCAL, 4), UINT32_MAX);
	assert_int_equal(slot_value(w, 77, FLOOD_LOCAL, 5), UINT32_MAX);
	for (uint64_t i = 1; i <= 4; i++) {
		f = a_flood(77, i);
		table_del(w->dp, &f);
	}
	assert_int_equal(slot_value(w, 77, FLOOD_LOCAL, 0), UINT32_MAX);
	assert_int_equal(datapath_audit(w->dp, SIZE_MAX), 0);
}

/* A thousand changes; after each the list holds every member once, and its count is its highest slot. */
static void a_list_is_right_after_any_sequence_of_changes(void **state)
{
	enum { MEMBERS = 12 };
	struct world *w = *state;
	bool in[MEMBERS + 1] = {false};
	uint32_t ids[MEMBERS + 1], random = 7;
	struct fwd f;

	load_full(w);
	for (uint64_t i = 1; i <= MEMBERS; i++) {
		f = a_port_nexthop(i, (uint32_t)i);
		assert_int_equal(table_put(w->dp, &f), 1);
		ids[i] = id_of(w, i);
	}
	for (int step = 0; step < 1000; step++) {
		uint32_t n = 0, count, highest = 0, seen[MEMBERS + 1] = {0}, member;

		random = random * 1664525 + 1013904223;
		member = 1 + (random >> 16) % MEMBERS;
		f = a_flood(77, member);
		assert_int_equal(in[member] ? table_del(w->dp, &f) : table_put(w->dp, &f), 1);
		in[member] = !in[member];

		count = slot_value(w, 77, FLOOD_LOCAL, 0);
		for (uint16_t slot = 1; slot <= MEMBERS + 1; slot++) {
			uint32_t id = slot_value(w, 77, FLOOD_LOCAL, slot);

			for (uint32_t i = 1; i <= MEMBERS; i++)
				seen[i] += id == ids[i];
			highest = id && id != UINT32_MAX ? slot : highest;
		}
		for (uint32_t i = 1; i <= MEMBERS; i++) {
			assert_int_equal(seen[i], in[i]);
			n += in[i];
		}
		assert_int_equal(count, n ? highest : UINT32_MAX);
	}
	assert_int_equal(datapath_audit(w->dp, SIZE_MAX), 0);
}

static void a_next_hop_that_changes_family_changes_lists(void **state)
{
	struct world *w = *state;
	struct fwd six = a_tunnel(TUNNEL_OWNER, "2001:db8::99", "2001:db8::11");

	load_full(w);
	assert_int_equal(slot_value(w, 5001, FLOOD_TUNNEL4, 0), 1);
	assert_int_equal(table_put(w->dp, &six), 1);
	assert_int_equal(slot_value(w, 5001, FLOOD_TUNNEL4, 0), UINT32_MAX);
	assert_int_equal(slot_value(w, 5001, FLOOD_TUNNEL6, 0), 1);
	assert_int_equal(slot_value(w, 5001, FLOOD_TUNNEL6, 1), id_of(w, TUNNEL_OWNER));
	assert_int_equal(table_length(w->dp, FWD_FLOOD), 2);
}

static void a_replication_list_has_an_end(void **state)
{
	struct world *w = *state;
	struct fwd f;

	load_full(w);
	for (uint64_t i = 1; i <= ABI_MAX_FLOOD_SLOTS; i++) {
		f = a_port_nexthop(0x100000 + i, (uint32_t)i);
		assert_int_equal(table_put(w->dp, &f), 1);
		f = a_flood(78, 0x100000 + i);
		assert_int_equal(table_put(w->dp, &f), 1);
	}
	f = a_flood(78, TUNNEL_OWNER); /* another kind, another list */
	assert_int_equal(table_put(w->dp, &f), 1);
	f = a_flood(78, PORT_OWNER);
	assert_int_equal(table_put(w->dp, &f), -ENOSPC);
	assert_non_null(strstr(datapath_error(), "4096"));
}

/* ---- adoption ---------------------------------------------------------------------------------------------------- */

static void what_was_left_is_adopted_and_nothing_is_written(void **state)
{
	struct world *w = *state;
	struct abi_node node = {.vxlan_port = 0x1234, .router_mac = {2}};
	uint32_t id;

	load_full(w);
	assert_false(datapath_adopted(w->dp));
	assert_int_equal(datapath_set_node(w->dp, &node), 1);
	id = id_of(w, TUNNEL_OWNER);
	close_it(w);

	w->dp = open_it(w, false);
	assert_true(datapath_adopted(w->dp));
	datapath_sync_begin(w->dp);
	assert_int_equal(datapath_set_node(w->dp, &node), 0);
	assert_int_equal(put_all(w->dp), 0);
	assert_int_equal(datapath_sync_end(w->dp), 0);
	assert_int_equal(id_of(w, TUNNEL_OWNER), id);
	assert_int_equal(datapath_audit(w->dp, SIZE_MAX), 0);
}

static void what_is_not_put_again_is_removed(void **state)
{
	struct world *w = *state;
	struct fwd all[N_FULL], got;
	static const size_t kept[] = {0, 5, 8}; /* the port, its subnet, its address */

	load_full(w);
	close_it(w);
	full_state(all);
	w->dp = open_it(w, false);
	datapath_sync_begin(w->dp);
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(table_put(w->dp, &all[kept[i]]), 0);
	assert_int_equal(datapath_sync_end(w->dp), N_FULL - 3);
	for (size_t i = 0; i < N_FULL; i++)
		assert_int_equal(table_get(w->dp, &all[i], &got), i == kept[0] || i == kept[1] || i == kept[2]);
	assert_int_equal(slot_value(w, 5001, FLOOD_LOCAL, 0), UINT32_MAX);
	assert_int_equal(slot_value(w, 5001, FLOOD_TUNNEL4, 1), UINT32_MAX);
	assert_int_equal(datapath_audit(w->dp, SIZE_MAX), 0);
}

static void a_half_written_list_is_settled(void **state)
{
	struct world *w = *state;
	struct abi_flood_key key = {.vni = 5001, .kind = FLOOD_LOCAL, .slot = 2};
	struct abi_flood value = {.nexthop = 1};
	int fd, copies = 0;

	load_full(w);
	close_it(w);
	fd = pinned(w, "floods_v1");
	assert_int_equal(bpf_map_update_elem(fd, &key, &value, BPF_ANY), 0); /* behind the count */
	key.slot = 7;
	assert_int_equal(bpf_map_update_elem(fd, &key, &value, BPF_ANY), 0);
	key.slot = 0;
	value.nexthop = 6; /* a count over slots that are not there, and one double */
	assert_int_equal(bpf_map_update_elem(fd, &key, &value, BPF_ANY), 0);
	close(fd);

	assert_int_equal(load_full(w), 0);
	for (uint16_t slot = 1; slot <= slot_value(w, 5001, FLOOD_LOCAL, 0); slot++)
		copies += slot_value(w, 5001, FLOOD_LOCAL, slot) == id_of(w, PORT_OWNER);
	assert_int_equal(copies, 1);
	assert_true(slot_value(w, 5001, FLOOD_LOCAL, 0) <= 2);
	for (uint16_t slot = 3; slot <= 7; slot++)
		assert_int_equal(slot_value(w, 5001, FLOOD_LOCAL, slot), UINT32_MAX);
	assert_int_equal(datapath_audit(w->dp, SIZE_MAX), 0);
}

static uint32_t program_on(const char *device)
{
	char command[256];
	uint32_t id = 0;
	FILE *f;

	snprintf(command, sizeof(command),
		 "tc filter show dev %s ingress | sed -n 's/.* id \\([0-9]*\\) .*/\\1/p' | head -1", device);
	f = popen(command, "r");
	assert_non_null(f);
	assert_int_equal(fscanf(f, "%u", &id), 1);
	pclose(f);
	return id;
}

static void programs_stay_when_they_are_the_same(void **state)
{
	struct world *w = *state;
	uint32_t ifindex = make_veth("p0", "w0"), program;

	load_full(w);
	assert_int_equal(attach_add(w->dp, ifindex, ATTACH_PORT), 1);
	program = program_on("p0");
	close_it(w);
	w->dp = open_it(w, false);
	datapath_sync_begin(w->dp);
	put_all(w->dp);
	assert_int_equal(attach_add(w->dp, ifindex, ATTACH_PORT), 0);
	assert_int_equal(datapath_sync_end(w->dp), 0);
	assert_int_equal(program_on("p0"), program);
}

/* The stamp says that nothing need be loaded; without it the programs are loaded, found equal, and dropped again. */
static void programs_stay_when_the_stamp_is_gone(void **state)
{
	struct world *w = *state;
	uint32_t ifindex = make_veth("p0", "w0"), program;

	load_full(w);
	assert_int_equal(attach_add(w->dp, ifindex, ATTACH_PORT), 1);
	program = program_on("p0");
	close_it(w);
	assert_int_equal(run("rm %s/build", w->bpf_dir), 0);
	w->dp = open_it(w, false);
	datapath_sync_begin(w->dp);
	put_all(w->dp);
	assert_int_equal(attach_add(w->dp, ifindex, ATTACH_PORT), 0);
	assert_int_equal(datapath_sync_end(w->dp), 0);
	assert_int_equal(program_on("p0"), program);
	assert_true(pin_exists(w, "build"));
	assert_int_equal(run("rm %s/build", w->bpf_dir), 0);
	assert_int_equal(datapath_audit(w->dp, 65536), 1);
	assert_true(pin_exists(w, "build"));
}

static uint32_t map_of_program(uint32_t program, const char *name)
{
	struct bpf_prog_info info = {0};
	uint32_t size = sizeof(info), ids[64], found = 0;
	int fd = bpf_prog_get_fd_by_id(program);

	assert_true(fd >= 0);
	info.nr_map_ids = 64;
	info.map_ids = (uintptr_t)ids;
	assert_int_equal(bpf_obj_get_info_by_fd(fd, &info, &size), 0);
	close(fd);
	for (uint32_t i = 0; i < info.nr_map_ids; i++) {
		struct bpf_map_info map = {0};

		size = sizeof(map);
		fd = bpf_map_get_fd_by_id(ids[i]);
		assert_int_equal(bpf_obj_get_info_by_fd(fd, &map, &size), 0);
		close(fd);
		if (strcmp(map.name, name) == 0)
			found = ids[i];
	}
	return found;
}

static size_t elements(uint32_t map, size_t key_size)
{
	int fd = bpf_map_get_fd_by_id(map);
	uint8_t key[64];
	size_t n = 0;

	assert_true(fd >= 0);
	for (int r = bpf_map_get_next_key(fd, NULL, key); r == 0; r = bpf_map_get_next_key(fd, key, key))
		n++;
	close(fd);
	return n;
}

/* The filter that serves a port while new maps are filled is the old one, with the old, full maps. */
static void lost_pins_make_a_swap_after_the_tables_are_full(void **state)
{
	struct world *w = *state;
	uint32_t ifindex = make_veth("p0", "w0"), newcomer = make_veth("p1", "w1"), program;

	load_full(w);
	assert_int_equal(attach_add(w->dp, ifindex, ATTACH_PORT), 1);
	program = program_on("p0");
	close_it(w);
	assert_int_equal(run("cd %s && rm *_v1 port_ingress port_egress wire_ingress", w->bpf_dir), 0);

	w->dp = open_it(w, false);
	assert_false(datapath_adopted(w->dp));
	datapath_sync_begin(w->dp);
	assert_int_equal(attach_add(w->dp, ifindex, ATTACH_PORT), 1);
	assert_int_equal(attach_add(w->dp, newcomer, ATTACH_PORT), 1);
	assert_int_equal(program_on("p0"), program);     /* make before break */
	assert_int_equal(filters_on("p1"), 2);           /* default deny at birth */
	assert_int_equal(attach_check(w->dp, ifindex, ATTACH_PORT), 0);
	assert_int_equal(datapath_audit(w->dp, 65536), 0);
	assert_false(pin_exists(w, "hosts_v1"));         /* nobody may adopt half of it */
	assert_int_equal(put_all(w->dp), N_FULL);
	assert_int_equal(program_on("p0"), program);
	assert_int_equal(datapath_sync_end(w->dp), 0);
	assert_int_not_equal(program_on("p0"), program);
	assert_int_equal(filters_on("p0"), 2);
	assert_true(pin_exists(w, "hosts_v1"));
	assert_true(pin_exists(w, "port_ingress"));
	assert_int_equal(elements(map_of_program(program_on("p0"), "ports"), 4), 1);
	assert_int_equal(datapath_audit(w->dp, SIZE_MAX), 0);
}

static void another_layout_is_replaced_and_its_pins_removed(void **state)
{
	struct world *w = *state;
	uint32_t ifindex = make_veth("p0", "w0"), program;

	load_full(w);
	assert_int_equal(attach_add(w->dp, ifindex, ATTACH_PORT), 1);
	program = program_on("p0");
	close_it(w);
	assert_int_equal(run("cd %s && for f in *_v1; do mv $f ${f%%_v1}_v0; done", w->bpf_dir), 0);

	w->dp = open_it(w, false);
	assert_false(datapath_adopted(w->dp));
	datapath_sync_begin(w->dp);
	assert_int_equal(attach_add(w->dp, ifindex, ATTACH_PORT), 1);
	assert_int_equal(program_on("p0"), program);
	assert_true(pin_exists(w, "hosts_v0"));
	assert_int_equal(put_all(w->dp), N_FULL);
	assert_int_equal(datapath_sync_end(w->dp), 0);
	assert_int_not_equal(program_on("p0"), program);
	assert_false(pin_exists(w, "hosts_v0"));
	assert_true(pin_exists(w, "hosts_v1"));
}

static void a_map_of_another_shape_is_not_used(void **state)
{
	struct world *w = *state;
	char path[160];
	int fd;

	load_full(w);
	close_it(w);
	snprintf(path, sizeof(path), "%s/macs_v1", w->bpf_dir);
	assert_int_equal(unlink(path), 0);
	fd = bpf_map_create(BPF_MAP_TYPE_HASH, "macs", 8, 8, 10, NULL);
	assert_int_equal(bpf_obj_pin(fd, path), 0);
	close(fd);
	assert_int_equal(load_full(w), N_FULL);
	assert_false(datapath_adopted(w->dp));
	close_it(w);
	assert_int_equal(load_full(w), 0);
	assert_true(datapath_adopted(w->dp));
}

/* The pin of one map was replaced by another of the same shape: maps of two data planes are not taken for one. */
static void a_namesake_of_a_map_is_not_taken_over(void **state)
{
	struct world *w = *state;
	LIBBPF_OPTS(bpf_map_create_opts, options, .map_flags = BPF_F_NO_PREALLOC);
	uint32_t ifindex = make_veth("p0", "w0"), program;
	struct bpf_map_info info = {0};
	uint32_t size = sizeof(info);
	char path[160];
	int fd;

	load_full(w);
	assert_int_equal(attach_add(w->dp, ifindex, ATTACH_PORT), 1);
	program = program_on("p0");
	close_it(w);
	snprintf(path, sizeof(path), "%s/hosts_v1", w->bpf_dir);
	fd = pinned(w, "hosts_v1");
	assert_int_equal(bpf_obj_get_info_by_fd(fd, &info, &size), 0);
	close(fd);
	for (int stamped = 1; stamped >= 0; stamped--) {
		assert_int_equal(unlink(path), 0);
		fd = bpf_map_create(BPF_MAP_TYPE_HASH, "hosts", info.key_size, info.value_size, info.max_entries,
				    &options);
		assert_int_equal(bpf_obj_pin(fd, path), 0);
		close(fd);
		if (!stamped) /* then the pinned programs tell */
			assert_int_equal(run("rm %s/build", w->bpf_dir), 0);
		w->dp = open_it(w, false);
		assert_false(datapath_adopted(w->dp));
		datapath_sync_begin(w->dp);
		assert_int_equal(put_all(w->dp), N_FULL);
		assert_int_equal(attach_add(w->dp, ifindex, ATTACH_PORT), 1);
		assert_int_equal(program_on("p0"), program);
		assert_int_equal(datapath_sync_end(w->dp), 0);
		assert_int_not_equal(program_on("p0"), program);
		assert_int_equal(elements(map_of_program(program_on("p0"), "hosts"), info.key_size), 3);
		program = program_on("p0");
		close_it(w);
	}
}

/* What an other version pinned beside: maps and programs that we do not know.  A stranger's stay. */
static void relics_of_other_versions_are_removed(void **state)
{
	struct world *w = *state;
	char path[160];
	int fd;

	load_full(w);
	close_it(w);
	assert_int_equal(run("cd %s && for f in *_v1; do mv $f ${f%%_v1}_v7; done && "
			     "mv port_ingress old_ingress", w->bpf_dir), 0);
	fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "flows", 4, 4, 1, NULL);
	snprintf(path, sizeof(path), "%s/flows_v7", w->bpf_dir);
	assert_int_equal(bpf_obj_pin(fd, path), 0);
	snprintf(path, sizeof(path), "%s/strange_v7", w->bpf_dir);
	assert_int_equal(bpf_obj_pin(fd, path), 0);
	snprintf(path, sizeof(path), "%s/plain", w->bpf_dir);
	assert_int_equal(bpf_obj_pin(fd, path), 0);
	close(fd);
	assert_int_equal(load_full(w), N_FULL);
	assert_false(pin_exists(w, "flows_v7"));
	assert_false(pin_exists(w, "hosts_v7"));
	assert_false(pin_exists(w, "old_ingress"));
	assert_true(pin_exists(w, "strange_v7"));
	assert_true(pin_exists(w, "plain"));
	assert_true(pin_exists(w, "build"));
	assert_true(pin_exists(w, "port_ingress"));
	assert_int_equal(datapath_audit(w->dp, SIZE_MAX), 0);
}

static void counters_go_on_in_another_version(void **state)
{
	struct world *w = *state;
	uint64_t drops[DROP_MAX], *values;
	uint32_t key = DROP_MAC_SPOOFED;
	int fd;

	load_full(w);
	close_it(w);
	values = calloc((size_t)libbpf_num_possible_cpus(), sizeof(*values));
	values[0] = 41;
	fd = pinned(w, "drops_v1");
	assert_int_equal(bpf_map_update_elem(fd, &key, values, BPF_ANY), 0);
	close(fd);
	free(values);
	assert_int_equal(run("cd %s && for f in *_v1; do mv $f ${f%%_v1}_v7; done", w->bpf_dir), 0);
	assert_int_equal(load_full(w), N_FULL);
	stats_drops(w->dp, drops);
	assert_int_equal(drops[DROP_MAC_SPOOFED], 41);
	assert_false(pin_exists(w, "drops_v7"));
}

static void a_daemon_that_dies_while_it_fills_leaves_the_old_plane(void **state)
{
	struct world *w = *state;
	uint32_t ifindex = make_veth("p0", "w0"), program;

	load_full(w);
	assert_int_equal(attach_add(w->dp, ifindex, ATTACH_PORT), 1);
	program = program_on("p0");
	close_it(w);
	w->dp = open_it(w, false);
	datapath_sync_begin(w->dp);
	close_it(w); /* as kill -9 does */
	assert_int_equal(program_on("p0"), program);
	w->dp = open_it(w, false);
	assert_true(datapath_adopted(w->dp));
	datapath_sync_begin(w->dp);
	assert_int_equal(put_all(w->dp), 0);
	assert_int_equal(attach_add(w->dp, ifindex, ATTACH_PORT), 0);
	assert_int_equal(datapath_sync_end(w->dp), 0);
}

static void filters_that_nobody_asks_for_any_more_are_taken_off(void **state)
{
	struct world *w = *state;
	uint32_t kept = make_veth("p0", "w0"), left = make_veth("p1", "w1");

	load_full(w);
	assert_int_equal(attach_add(w->dp, kept, ATTACH_PORT), 1);
	assert_int_equal(attach_add(w->dp, left, ATTACH_PORT), 1);
	close_it(w);
	w->dp = open_it(w, false);
	datapath_sync_begin(w->dp);
	put_all(w->dp);
	assert_int_equal(attach_add(w->dp, kept, ATTACH_PORT), 0);
	assert_int_equal(datapath_sync_end(w->dp), 0);
	assert_int_equal(filters_on("p0"), 2);
	assert_int_equal(filters_on("p1"), 0);
	assert_false(has_clsact("p1"));
}

/* As above, and the pins are lost too: what serves that port must not go on with maps that nobody can see. */
static void filters_of_lost_pins_are_taken_off(void **state)
{
	struct world *w = *state;
	uint32_t left = make_veth("p1", "w1");

	load_full(w);
	assert_int_equal(attach_add(w->dp, left, ATTACH_PORT), 1);
	close_it(w);
	assert_int_equal(umount2(w->bpf_dir, MNT_DETACH), 0);
	assert_int_equal(load_full(w), N_FULL);
	assert_int_equal(filters_on("p1"), 0);
}

static void two_data_planes_leave_each_other_alone(void **state)
{
	struct world *w = *state, other = *w;
	uint32_t mine = make_veth("p0", "w0"), theirs = make_veth("p1", "w1");

	snprintf(other.bpf_dir, sizeof(other.bpf_dir), "%s/other", w->box.directory);
	load_full(w);
	assert_int_equal(attach_add(w->dp, mine, ATTACH_PORT), 1);
	load_full(&other);
	assert_int_equal(attach_add(other.dp, theirs, ATTACH_PORT), 1);
	close_it(w);
	assert_int_equal(load_full(w), 0);
	assert_int_equal(filters_on("p1"), 2);
	close_it(&other);
	assert_int_equal(datapath_teardown(other.bpf_dir), 0);
	assert_int_equal(filters_on("p1"), 0);
	assert_int_equal(datapath_audit(w->dp, 65536), 0);
	close_it(w);
	snprintf(w->bpf_dir, sizeof(w->bpf_dir), "%s//./bpf/", w->box.directory);
	assert_int_equal(datapath_teardown(w->bpf_dir), 0); /* the same directory */
	assert_int_equal(filters_on("p0"), 0);
}

/* ---- drift ------------------------------------------------------------------------------------------------------- */

struct drift {
	const char *map;
	size_t key_size, value_size;
	bool array;
};

static const struct drift drifts[] = {
	{"ports_v1", sizeof(uint32_t), sizeof(struct abi_port), false},
	{"macs_v1", sizeof(struct abi_mac_key), sizeof(struct abi_mac), false},
	{"hosts_v1", sizeof(struct abi_host_key), sizeof(struct abi_host), false},
	{"prefixes_v1", sizeof(struct abi_prefix_key), sizeof(struct abi_prefix), false},
	{"members_v1", sizeof(struct abi_member_key), sizeof(struct abi_member), false},
	{"floods_v1", sizeof(struct abi_flood_key), sizeof(struct abi_flood), false},
	{"nexthops_v1", sizeof(uint32_t), sizeof(struct abi_nexthop), true},
	{"node_v1", sizeof(uint32_t), sizeof(struct abi_node), true},
};

static void first_key(int fd, const struct drift *d, uint8_t *key)
{
	uint32_t one = strcmp(d->map, "node_v1") == 0 ? 0 : 1;

	if (d->array)
		memcpy(key, &one, sizeof(one));
	else
		assert_int_equal(bpf_map_get_next_key(fd, NULL, key), 0);
}

static void drift_is_repaired_in_every_table(void **state)
{
	struct world *w = *state;
	struct abi_node node = {.vxlan_port = 1};

	load_full(w);
	assert_int_equal(datapath_set_node(w->dp, &node), 1);
	assert_int_equal(datapath_audit(w->dp, 65536), 0);
	for (size_t i = 0; i < sizeof(drifts) / sizeof(*drifts); i++) {
		const struct drift *d = &drifts[i];
		uint8_t key[64] = {0}, value[128] = {0}, wrong[128], now[128];
		int fd = pinned(w, d->map);

		first_key(fd, d, key);
		assert_int_equal(bpf_map_lookup_elem(fd, key, value), 0);

		/* altered */
		memcpy(wrong, value, sizeof(wrong));
		wrong[0] ^= 0x55;
		assert_int_equal(bpf_map_update_elem(fd, key, wrong, BPF_ANY), 0);
		assert_int_equal(datapath_audit(w->dp, 65536), 1);
		assert_int_equal(bpf_map_lookup_elem(fd, key, now), 0);
		assert_memory_equal(now, value, d->value_size);

		/* deleted */
		if (d->array) {
			memset(wrong, 0, sizeof(wrong));
			assert_int_equal(bpf_map_update_elem(fd, key, wrong, BPF_ANY), 0);
		} else {
			assert_int_equal(bpf_map_delete_elem(fd, key), 0);
		}
		assert_int_equal(datapath_audit(w->dp, 65536), 1);
		assert_int_equal(bpf_map_lookup_elem(fd, key, now), 0);
		assert_memory_equal(now, value, d->value_size);
		assert_int_equal(datapath_audit(w->dp, 65536), 0);
		close(fd);
	}
}

static void alien_entries_are_removed(void **state)
{
	struct world *w = *state;

	load_full(w);
	for (size_t i = 0; i < sizeof(drifts) / sizeof(*drifts); i++) {
		const struct drift *d = &drifts[i];
		uint8_t key[64] = {0}, value[128] = {1}, now[128], zero[128] = {0};
		uint32_t id = 100000;
		int fd;

		if (strcmp(d->map, "node_v1") == 0)
			continue;
		fd = pinned(w, d->map);
		memset(key, 0x77, d->key_size);
		if (d->array)
			memcpy(key, &id, sizeof(id));
		if (strcmp(d->map, "prefixes_v1") == 0)
			memcpy(key, &(uint32_t){160}, sizeof(uint32_t));
		assert_int_equal(bpf_map_update_elem(fd, key, value, BPF_ANY), 0);
		assert_int_equal(datapath_audit(w->dp, 65536), 1);
		if (d->array) {
			assert_int_equal(bpf_map_lookup_elem(fd, key, now), 0);
			assert_memory_equal(now, zero, d->value_size);
		} else {
			assert_int_equal(bpf_map_lookup_elem(fd, key, now), -ENOENT);
		}
		assert_int_equal(datapath_audit(w->dp, 65536), 0);
		close(fd);
	}
}

static void a_small_budget_comes_round(void **state)
{
	struct world *w = *state;
	struct abi_host_key key = {.vrf = 5000};
	struct fwd f;
	int fd, repairs = 0;

	load_full(w);
	for (uint32_t i = 0; i < 1000; i++) {
		f = a_host("10.9.0.0", PORT_OWNER);
		f.host.addr.bytes[14] = (uint8_t)(i >> 8);
		f.host.addr.bytes[15] = (uint8_t)i;
		assert_int_equal(table_put(w->dp, &f), 1);
	}
	memcpy(&key.addr, &f.host.addr, sizeof(key.addr));
	fd = pinned(w, "hosts_v1");
	assert_int_equal(bpf_map_delete_elem(fd, &key), 0);
	close(fd);
	for (int i = 0; i < 50; i++) {
		int r = datapath_audit(w->dp, 50);

		assert_true(r >= 0);
		repairs += r;
		/* changes meanwhile are not taken for drift */
		f.host.addr.bytes[13] = (uint8_t)(i + 20);
		assert_int_equal(table_put(w->dp, &f), 1);
		f.host.addr.bytes[13] = (uint8_t)(i + 19);
		table_del(w->dp, &f);
	}
	assert_int_equal(repairs, 1);
}

static void lost_pins_come_back(void **state)
{
	struct world *w = *state;

	load_full(w);
	assert_int_equal(run("rm %s/hosts_v1 %s/port_egress", w->bpf_dir, w->bpf_dir), 0);
	assert_int_equal(datapath_audit(w->dp, 65536), 2);
	assert_true(pin_exists(w, "hosts_v1"));
	assert_true(pin_exists(w, "port_egress"));
	assert_int_equal(umount2(w->bpf_dir, MNT_DETACH), 0);
	assert_true(datapath_audit(w->dp, 65536) > 0);
	assert_true(pin_exists(w, "hosts_v1"));
	assert_int_equal(datapath_audit(w->dp, 65536), 0);
	close_it(w);
	assert_int_equal(load_full(w), 0);
}

static void a_removed_or_replaced_filter_is_put_back(void **state)
{
	struct world *w = *state;
	uint32_t port = make_veth("p0", "w0"), wire = make_veth("u0", "u1");

	load_full(w);
	assert_int_equal(attach_add(w->dp, port, ATTACH_PORT), 1);
	assert_int_equal(attach_add(w->dp, port, ATTACH_PORT), 0);
	assert_int_equal(attach_add(w->dp, wire, ATTACH_WIRE), 1);
	assert_int_equal(attach_check(w->dp, port, ATTACH_PORT), 0);

	assert_int_equal(run("tc filter del dev p0 ingress prio 1"), 0);
	assert_int_equal(attach_check(w->dp, port, ATTACH_PORT), 1);
	assert_int_equal(filters_on("p0"), 2);

	assert_int_equal(run("tc qdisc del dev p0 clsact"), 0);
	assert_int_equal(filters_on("p0"), 0);
	assert_int_equal(datapath_audit(w->dp, 65536), 1);
	assert_int_equal(filters_on("p0"), 2);

	/* another program under our handle */
	assert_int_equal(
		run("handle=$(tc filter show dev u0 ingress | sed -n 's/.*handle \\(0x[0-9a-f]*\\).*/\\1/p');"
		    "tc filter replace dev u0 ingress prio 2 handle $handle bpf da object-pinned %s/port_egress",
		    w->bpf_dir),
		0);
	assert_int_equal(attach_check(w->dp, wire, ATTACH_WIRE), 1);
	assert_int_equal(attach_check(w->dp, wire, ATTACH_WIRE), 0);
}

/* A filter of the same priority that is new goes before the others: on a port that would lead past us. */
static void nobodys_filter_stays_before_ours_on_a_port(void **state)
{
	static const char first[] = "tc filter show dev p0 %s | grep -m1 handle | grep -q %s:";
	struct world *w = *state;
	uint32_t port = make_veth("p0", "w0");

	load_full(w);
	assert_int_equal(attach_add(w->dp, port, ATTACH_PORT), 1);
	for (size_t i = 0; i < 2; i++) {
		const char *side = i ? "egress" : "ingress", *program = i ? "port_egress" : "port_ingress";

		assert_int_equal(run(first, side, program), 0);
		assert_int_equal(run("tc filter add dev p0 %s prio 1 handle 7 bpf da bytecode '1,6 0 0 0'", side), 0);
		assert_int_not_equal(run(first, side, program), 0);
		assert_int_equal(attach_check(w->dp, port, ATTACH_PORT), 1);
		assert_int_equal(run(first, side, program), 0);
		assert_int_equal(run("tc filter show dev p0 %s | grep -q 'handle 0x7'", side), 0);
		assert_int_equal(attach_check(w->dp, port, ATTACH_PORT), 0);
	}
	assert_int_equal(filters_on("p0"), 2);
}

static void a_filter_comes_off_and_leaves_others_alone(void **state)
{
	struct world *w = *state;
	uint32_t alone = make_veth("p0", "w0"), shared = make_veth("u0", "u1");

	load_full(w);
	assert_int_equal(attach_add(w->dp, alone, ATTACH_PORT), 1);
	assert_int_equal(attach_remove(w->dp, alone, ATTACH_PORT), 1);
	assert_false(has_clsact("p0"));
	assert_int_equal(attach_remove(w->dp, alone, ATTACH_PORT), 0);

	assert_int_equal(run("tc qdisc add dev u0 clsact && tc filter add dev u0 ingress prio 9 bpf da object-pinned "
			     "%s/port_egress",
			     w->bpf_dir),
			 0);
	assert_int_equal(attach_add(w->dp, shared, ATTACH_WIRE), 1);
	assert_int_equal(attach_remove(w->dp, shared, ATTACH_WIRE), 1);
	assert_true(has_clsact("u0"));
	assert_int_equal(run("tc filter show dev u0 ingress | grep -q 'pref 9 bpf'"), 0);

	/* In our place under our handle, but not ours any more. */
	assert_int_equal(attach_add(w->dp, shared, ATTACH_WIRE), 1);
	assert_int_equal(run("handle=$(tc filter show dev u0 ingress | sed -n 's/.*handle \\(0x[0-9a-f]*\\).*wire_.*/\\1/p');"
			     "tc filter replace dev u0 ingress prio 2 handle $handle bpf da bytecode '1,6 0 0 0'"), 0);
	assert_int_equal(attach_remove(w->dp, shared, ATTACH_WIRE), 0);
	assert_int_equal(run("tc filter show dev u0 ingress | grep -q 'pref 2 bpf'"), 0);

	assert_int_equal(run("ip link del p0"), 0);
	assert_true(attach_remove(w->dp, alone, ATTACH_PORT) >= 0);
	assert_int_equal(attach_add(w->dp, alone, ATTACH_PORT), -ENODEV);
	assert_non_null(strstr(datapath_error(), "does not exist"));
}

/* ---- readers, the end -------------------------------------------------------------------------------------------- */

struct found {
	struct fwd all[N_FULL];
	bool seen[N_FULL];
	size_t n;
};

static bool find_one(void *arg, const struct fwd *f)
{
	struct found *found = arg;

	for (size_t i = 0; i < N_FULL; i++) {
		if (fwd_equal(&found->all[i], f) && !found->seen[i]) {
			found->seen[i] = true;
			found->n++;
			return true;
		}
	}
	fail_msg("an entry that nobody put");
	return false;
}

static void a_reader_sees_everything_and_changes_nothing(void **state)
{
	struct world *w = *state;
	struct datapath_options options = {.bpf_dir = w->bpf_dir, .read_only = true};
	struct datapath *reader = NULL;
	struct found found = {0};
	uint64_t drops[DROP_MAX];
	struct fwd host = a_host("10.0.1.77", PORT_OWNER), got;

	assert_int_equal(datapath_open(&options, &reader), -ENOENT);
	assert_non_null(strstr(datapath_error(), "no data plane"));
	load_full(w);
	close_it(w);
	reader = open_it(w, true);
	full_state(found.all);
	for (enum fwd_kind k = 0; k < FWD_KIND_MAX; k++)
		table_each(reader, k, find_one, &found);
	assert_int_equal(found.n, N_FULL);
	assert_int_equal(table_length(reader, FWD_HOST), 3);
	for (size_t i = 0; i < N_FULL; i++) {
		assert_true(table_get(reader, &found.all[i], &got));
		assert_true(fwd_equal(&found.all[i], &got));
	}
	assert_false(table_get(reader, &host, &got));
	assert_int_equal(table_put(reader, &host), -EROFS);
	stats_drops(reader, drops);
	datapath_close(reader);
}

static void count_event(void *arg, const struct abi_event *e)
{
	++*(int *)arg;
	assert_int_equal(e->reason, DROP_PORT_UNKNOWN);
}

static void a_drop_is_counted_and_sampled(void **state)
{
	struct world *w = *state;
	uint64_t drops[DROP_MAX];
	struct abi_counter counters[COUNTER_MAX];
	uint8_t frame[64] = {2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, 0x45};
	LIBBPF_OPTS(bpf_test_run_opts, test_run, .data_in = frame, .data_size_in = sizeof(frame), .repeat = 3);
	int fd, events = 0;

	load_full(w);
	fd = pinned(w, "port_ingress");
	assert_int_equal(bpf_prog_test_run_opts(fd, &test_run), 0);
	close(fd);
	stats_drops(w->dp, drops);
	assert_int_equal(drops[DROP_PORT_UNKNOWN], 3);
	stats_counters(w->dp, counters);
	assert_int_equal(counters[COUNTER_FROM_PORT].packets, 0);
	assert_true(stats_events_fd(w->dp) >= 0);
	stats_events_read(w->dp, count_event, &events);
	assert_int_equal(events, 3);
	assert_string_equal(drop_name(DROP_PORT_UNKNOWN), "port_unknown");
}

static void teardown_leaves_nothing(void **state)
{
	struct world *w = *state;
	uint32_t port = make_veth("p0", "w0"), wire = make_veth("u0", "u1"), bare = make_veth("x0", "x1");
	struct stat st;

	load_full(w);
	assert_int_equal(attach_add(w->dp, port, ATTACH_PORT), 1);
	assert_int_equal(attach_add(w->dp, wire, ATTACH_WIRE), 1);
	assert_int_equal(attach_add(w->dp, bare, ATTACH_PORT), 1);
	assert_int_equal(run("tc qdisc del dev x0 clsact"), 0);
	close_it(w);
	if (datapath_teardown(w->bpf_dir) < 0)
		fail_msg("%s", datapath_error());
	assert_int_equal(filters_on("p0"), 0);
	assert_false(has_clsact("p0"));
	assert_false(has_clsact("u0"));
	assert_int_equal(stat(w->bpf_dir, &st), -1);
	assert_int_equal(datapath_teardown(w->bpf_dir), 0); /* nothing left to do */

	/* half of it missing */
	load_full(w);
	assert_int_equal(attach_add(w->dp, port, ATTACH_PORT), 1);
	close_it(w);
	assert_int_equal(umount2(w->bpf_dir, MNT_DETACH), 0);
	assert_int_equal(datapath_teardown(w->bpf_dir), 0);
	assert_int_equal(filters_on("p0"), 0);
	assert_int_equal(stat(w->bpf_dir, &st), -1);
}

static void a_missing_standard_bpffs_is_mounted(void **state)
{
	struct world *w = *state;
	struct statfs s;

	while (umount2("/sys/fs/bpf", MNT_DETACH) == 0)
		;
	snprintf(w->bpf_dir, sizeof(w->bpf_dir), "/sys/fs/bpf/isthmus/deep");
	load_full(w);
	assert_true(pin_exists(w, "hosts_v1"));
	close_it(w);
	assert_int_equal(datapath_teardown(w->bpf_dir), 0);
	assert_int_equal(run("rmdir /sys/fs/bpf/isthmus"), 0);
	assert_int_equal(statfs("/sys/fs/bpf", &s), 0);
	snprintf(w->bpf_dir, sizeof(w->bpf_dir), "/sys/fs/bpf/isthmus");
	load_full(w);
	close_it(w);
	assert_int_equal(datapath_teardown(w->bpf_dir), 0);
	assert_int_not_equal(run("grep -q '^isthmus /sys/fs/bpf ' /proc/self/mounts"), 0);
}

static void open_without_rights_says_what_to_do(void **state)
{
	struct world *w = *state;
	struct datapath_options options = {.bpf_dir = "relative/path"};
	struct datapath *dp = NULL;

	assert_int_equal(datapath_open(&options, &dp), -EINVAL);
	assert_non_null(strstr(datapath_error(), "absolute"));
	assert_int_equal(run("mkdir -p %s", w->bpf_dir), 0);
	options.bpf_dir = w->bpf_dir;
	assert_int_equal(seteuid(65534), 0);
	assert_true(datapath_open(&options, &dp) < 0);
	assert_int_equal(seteuid(0), 0);
	if (!strstr(datapath_error(), "root"))
		fail_msg("%s", datapath_error());
}

/* ---- size -------------------------------------------------------------------------------------------------------- */

static double now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static int put_endpoints(struct datapath *dp, uint32_t from, uint32_t to)
{
	int written = 0;

	for (uint32_t i = from; i < to; i++) {
		uint64_t owner = i < 1000 ? 0x10000 + i + 1 : TUNNEL_OWNER;
		struct fwd f = a_host("10.1.0.0", owner);

		f.host.addr.bytes[14] = (uint8_t)(i >> 8);
		f.host.addr.bytes[15] = (uint8_t)i;
		written += table_put(dp, &f);
		f = a_mac("02:00:00:00:00:00", owner);
		f.mac.mac.bytes[4] = (uint8_t)(i >> 8);
		f.mac.mac.bytes[5] = (uint8_t)i;
		written += table_put(dp, &f);
	}
	return written;
}

static int put_nexthops(struct datapath *dp)
{
	struct fwd f = a_tunnel(TUNNEL_OWNER, "198.51.100.21", "192.0.2.11");
	int written = table_put(dp, &f);

	for (uint32_t i = 1; i <= 1000; i++) {
		f = a_port_nexthop(0x10000 + i, i);
		written += table_put(dp, &f);
	}
	return written;
}

static int put_ports(struct datapath *dp)
{
	int written = 0;
	struct fwd f;

	for (uint32_t i = 1; i <= 1000; i++) {
		f = a_port(i);
		f.port.owner = 0x10000 + i;
		written += table_put(dp, &f);
		f = a_flood(5001, 0x10000 + i);
		written += table_put(dp, &f);
	}
	return written;
}

/* An entry costs the same in a full table as in an empty one.  The figures are for people. */
static void a_thousand_ports_and_ten_thousand_endpoints_are_loaded(void **state)
{
	struct world *w = *state;
	double at = now_ms(), open_ms, nexthops_ms, first_ms, last_ms, ports_ms, adopt_ms, audit_ms;

	w->dp = open_it(w, false);
	open_ms = now_ms() - at;
	datapath_sync_begin(w->dp);
	at = now_ms();
	assert_int_equal(put_nexthops(w->dp), 1001);
	nexthops_ms = now_ms() - at;
	at = now_ms();
	assert_int_equal(put_endpoints(w->dp, 0, 5500), 11000);
	first_ms = now_ms() - at;
	at = now_ms();
	assert_int_equal(put_endpoints(w->dp, 5500, 11000), 11000);
	last_ms = now_ms() - at;
	at = now_ms();
	assert_int_equal(put_ports(w->dp), 2000);
	ports_ms = now_ms() - at;
	assert_int_equal(datapath_sync_end(w->dp), 0);
	assert_int_equal(datapath_audit(w->dp, 65536), 0);
	at = now_ms();
	assert_int_equal(datapath_audit(w->dp, 65536), 0);
	audit_ms = now_ms() - at;
	close_it(w);
	at = now_ms();
	w->dp = open_it(w, false);
	datapath_sync_begin(w->dp);
	assert_int_equal(put_nexthops(w->dp) + put_endpoints(w->dp, 0, 11000) + put_ports(w->dp), 0);
	assert_int_equal(datapath_sync_end(w->dp), 0);
	adopt_ms = now_ms() - at;
	print_message("# open %.0f ms, 25001 entries %.0f ms, audit %.1f ms, adoption %.0f ms\n", open_ms,
		      nexthops_ms + first_ms + last_ms + ports_ms, audit_ms, adopt_ms);
	assert_true(last_ms < 10 * first_ms);
}

#define ROW(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ROW(every_kind_is_put_read_and_removed),
		ROW(a_changed_value_is_written_once),
		ROW(a_next_hop_is_free_when_nothing_points_at_it),
		ROW(an_unknown_next_hop_is_refused),
		ROW(a_next_hop_in_use_is_not_removed),
		ROW(a_waiting_port_keeps_its_number),
		ROW(a_number_is_not_reused_at_once),
		ROW(a_full_table_says_so),
		ROW(a_removed_copy_leaves_a_hole_that_is_used_again),
		ROW(a_list_is_right_after_any_sequence_of_changes),
		ROW(a_next_hop_that_changes_family_changes_lists),
		ROW(a_replication_list_has_an_end),
		ROW(what_was_left_is_adopted_and_nothing_is_written),
		ROW(what_is_not_put_again_is_removed),
		ROW(a_half_written_list_is_settled),
		ROW(programs_stay_when_they_are_the_same),
		ROW(programs_stay_when_the_stamp_is_gone),
		ROW(lost_pins_make_a_swap_after_the_tables_are_full),
		ROW(another_layout_is_replaced_and_its_pins_removed),
		ROW(a_map_of_another_shape_is_not_used),
		ROW(a_namesake_of_a_map_is_not_taken_over),
		ROW(relics_of_other_versions_are_removed),
		ROW(counters_go_on_in_another_version),
		ROW(a_daemon_that_dies_while_it_fills_leaves_the_old_plane),
		ROW(filters_that_nobody_asks_for_any_more_are_taken_off),
		ROW(filters_of_lost_pins_are_taken_off),
		ROW(two_data_planes_leave_each_other_alone),
		ROW(drift_is_repaired_in_every_table),
		ROW(alien_entries_are_removed),
		ROW(a_small_budget_comes_round),
		ROW(lost_pins_come_back),
		ROW(a_removed_or_replaced_filter_is_put_back),
		ROW(nobodys_filter_stays_before_ours_on_a_port),
		ROW(a_filter_comes_off_and_leaves_others_alone),
		ROW(a_reader_sees_everything_and_changes_nothing),
		ROW(a_drop_is_counted_and_sampled),
		ROW(teardown_leaves_nothing),
		ROW(a_missing_standard_bpffs_is_mounted),
		ROW(open_without_rights_says_what_to_do),
		ROW(a_thousand_ports_and_ten_thousand_endpoints_are_loaded),
	};

	if (geteuid() != 0) {
		printf("1..0 # SKIP needs root\n");
		return 0;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
