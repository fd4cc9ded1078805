/* SPDX-License-Identifier: Apache-2.0 */
/* What a daemon finds of the one before it: maps, pins, programs, filters, of its own version or another. */
#include <errno.h>
#include <linux/bpf.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <time.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "dp_rig.h"

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

static bool says(void *arg, const struct fwd_nexthop *n)
{
	return *(const bool *)arg && n->owner == TUNNEL_OWNER;
}

/* Full state is not to be had, and more is to be encrypted than when it was put. */
static void what_is_kept_is_encrypted_where_that_is_asked(void **state)
{
	struct world *w = *state;
	struct fwd all[N_FULL], got;
	bool asked = false;
	uint32_t id;

	load_full(w);
	id = id_of(w, TUNNEL_OWNER);
	close_it(w);
	full_state(all);
	w->dp = open_it(w, false);
	for (int turn = 0; turn < 3; turn++) {
		datapath_sync_begin(w->dp);
		if (turn == 2) /* what is put again is as it is said */
			assert_int_equal(put_all(w->dp), 1);
		assert_int_equal(datapath_sync_keep(w->dp, says, &asked), 0);
		for (size_t i = 0; i < N_FULL; i++) {
			assert_true(table_get(w->dp, &all[i], &got));
			if (all[i].kind == FWD_NEXTHOP && all[i].nexthop.type == FWD_NEXTHOP_TUNNEL)
				assert_int_equal(got.nexthop.secure, turn == 1 && got.nexthop.owner == TUNNEL_OWNER);
			else if (all[i].kind == FWD_NEXTHOP)
				assert_false(got.nexthop.secure);
		}
		assert_int_equal(id_of(w, TUNNEL_OWNER), id);
		assert_int_equal(datapath_audit(w->dp, SIZE_MAX), 0);
		asked = true;
	}
}

static void a_half_written_list_is_settled(void **state)
{
	struct world *w = *state;
	struct abi_flood_key key = {.vni = 5001, .kind = FLOOD_LOCAL, .slot = 2};
	struct abi_flood value = {.nexthop = 1};
	int fd, copies = 0;

	load_full(w);
	close_it(w);
	fd = pinned(w, PIN("floods"));
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
	assert_int_equal(run("cd %s && rm " PIN("*") " port_ingress port_egress wire_ingress secure_egress", w->bpf_dir), 0);

	w->dp = open_it(w, false);
	assert_false(datapath_adopted(w->dp));
	datapath_sync_begin(w->dp);
	assert_int_equal(attach_add(w->dp, ifindex, ATTACH_PORT), 1);
	assert_int_equal(attach_add(w->dp, newcomer, ATTACH_PORT), 1);
	assert_int_equal(program_on("p0"), program);     /* make before break */
	assert_int_equal(filters_on("p1"), 2);           /* default deny at birth */
	assert_int_equal(attach_check(w->dp, ifindex, ATTACH_PORT), 0);
	assert_int_equal(datapath_audit(w->dp, 65536), 0);
	assert_false(pin_exists(w, PIN("hosts")));         /* nobody may adopt half of it */
	assert_int_equal(put_all(w->dp), N_FULL);
	assert_int_equal(program_on("p0"), program);
	assert_int_equal(datapath_sync_end(w->dp), 0);
	assert_int_not_equal(program_on("p0"), program);
	assert_int_equal(filters_on("p0"), 2);
	assert_true(pin_exists(w, PIN("hosts")));
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
	assert_int_equal(run("cd %s && for f in " PIN("*") "; do mv $f ${f%%" PIN("") "}_v0; done", w->bpf_dir), 0);

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
	assert_true(pin_exists(w, PIN("hosts")));
}

static void a_map_of_another_shape_is_not_used(void **state)
{
	struct world *w = *state;
	char path[160];
	int fd;

	load_full(w);
	close_it(w);
	snprintf(path, sizeof(path), "%s/" PIN("macs"), w->bpf_dir);
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
	snprintf(path, sizeof(path), "%s/" PIN("hosts"), w->bpf_dir);
	fd = pinned(w, PIN("hosts"));
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
	assert_int_equal(run("cd %s && for f in " PIN("*") "; do mv $f ${f%%" PIN("") "}_v7; done && "
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

struct namesake {
	const char *pin, *map; /* the kernel's name of it; NULL = a program */
	enum bpf_map_type type;
	uint32_t key_size;
	bool ours;
};

static const struct namesake namesakes[] = {
	{"hosts_v91", "cache", BPF_MAP_TYPE_HASH, 20, false},           /* another name */
	{"hosts_v93", "hosts", BPF_MAP_TYPE_ARRAY, 4, false},           /* another type */
	{"hosts_v94", "hosts", BPF_MAP_TYPE_HASH, 24, true},            /* keys of hosts may change */
	{"ports_v91", "ports", BPF_MAP_TYPE_HASH, 4, true},
	{"ports_v93", "ports", BPF_MAP_TYPE_HASH, 8, false},            /* an ifindex does not */
	{"macs_v9_next", "macs", BPF_MAP_TYPE_HASH, 12, true},
	{"macs_v8_next", "their_macs", BPF_MAP_TYPE_HASH, 12, false},
	{"hosts_next", "hosts", BPF_MAP_TYPE_HASH, 20, false},         /* never a name of ours */
	{"hosts_of_mine_next", "hosts", BPF_MAP_TYPE_HASH, 20, false},
	{"build_next", "isthmus_build", BPF_MAP_TYPE_ARRAY, 4, true},
	{"port_ingress_next", "port_ingress", BPF_MAP_TYPE_HASH, 4, false}, /* a map is no program */
	{"port_egress_next", NULL, 0, 0, true},
	{"wire_ingress_next", NULL, 0, 0, false}, /* holds port_egress */
	{"hosts_v95", NULL, 0, 0, false},
};

#define N_NAMESAKES (sizeof(namesakes) / sizeof(*namesakes))

static void pin_namesakes(const struct world *w, int program)
{
	LIBBPF_OPTS(bpf_map_create_opts, options, .map_flags = BPF_F_NO_PREALLOC);

	for (size_t i = 0; i < N_NAMESAKES; i++) {
		const struct namesake *n = &namesakes[i];
		int fd = n->map ? bpf_map_create(n->type, n->map, n->key_size, 8, 16,
						 n->type == BPF_MAP_TYPE_HASH ? &options : NULL) :
				  program;
		char path[160];

		assert_true(fd >= 0);
		snprintf(path, sizeof(path), "%s/%s", w->bpf_dir, n->pin);
		assert_int_equal(bpf_obj_pin(fd, path), 0);
		if (n->map)
			close(fd);
	}
}

static void assert_only_ours_went(const struct world *w)
{
	for (size_t i = 0; i < N_NAMESAKES; i++) {
		if (pin_exists(w, namesakes[i].pin) == namesakes[i].ours)
			fail_msg("%s %s", namesakes[i].pin, namesakes[i].ours ? "is left" : "was removed");
	}
}

static void a_strangers_pin_of_a_name_of_ours_stays(void **state)
{
	struct world *w = *state;
	int program;

	load_full(w);
	program = pinned(w, "port_egress");
	close_it(w);
	pin_namesakes(w, program);
	assert_int_equal(load_full(w), 0);
	assert_only_ours_went(w);
	close_it(w);
	assert_int_equal(run("cd %s && rm hosts_v91 hosts_v93 hosts_v95 ports_v93 *_next", w->bpf_dir), 0);
	pin_namesakes(w, program);
	close(program);
	assert_int_equal(run("cd %s && rm wire_ingress build", w->bpf_dir), 0);
	datapath_teardown(w->bpf_dir);
	assert_only_ours_went(w);
	assert_false(pin_exists(w, PIN("hosts")));
	assert_false(pin_exists(w, "port_ingress"));
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
	fd = pinned(w, PIN("drops"));
	assert_int_equal(bpf_map_update_elem(fd, &key, values, BPF_ANY), 0);
	close(fd);
	free(values);
	assert_int_equal(run("cd %s && for f in " PIN("*") "; do mv $f ${f%%" PIN("") "}_v7; done", w->bpf_dir), 0);
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

static void a_directory_has_one_writer(void **state)
{
	struct world *w = *state;
	const struct datapath_options again = {.bpf_dir = w->bpf_dir}, look = {.bpf_dir = w->bpf_dir, .read_only = true};
	struct datapath *other = NULL;

	load_full(w);
	assert_int_equal(datapath_open(&again, &other), -EBUSY);
	assert_non_null(strstr(datapath_error(), "in use by another isthmusd"));
	assert_int_equal(datapath_open(&look, &other), 0);
	datapath_close(other);
	assert_int_equal(datapath_teardown(w->bpf_dir), -EBUSY);
	assert_true(pin_exists(w, PIN("hosts")));
	close_it(w);
	assert_int_equal(datapath_open(&again, &other), 0);
	datapath_close(other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		DP_TEST(what_was_left_is_adopted_and_nothing_is_written),
		DP_TEST(what_is_not_put_again_is_removed),
		DP_TEST(what_is_kept_is_encrypted_where_that_is_asked),
		DP_TEST(a_half_written_list_is_settled),
		DP_TEST(programs_stay_when_they_are_the_same),
		DP_TEST(programs_stay_when_the_stamp_is_gone),
		DP_TEST(lost_pins_make_a_swap_after_the_tables_are_full),
		DP_TEST(another_layout_is_replaced_and_its_pins_removed),
		DP_TEST(a_map_of_another_shape_is_not_used),
		DP_TEST(a_namesake_of_a_map_is_not_taken_over),
		DP_TEST(relics_of_other_versions_are_removed),
		DP_TEST(a_strangers_pin_of_a_name_of_ours_stays),
		DP_TEST(counters_go_on_in_another_version),
		DP_TEST(a_daemon_that_dies_while_it_fills_leaves_the_old_plane),
		DP_TEST(filters_that_nobody_asks_for_any_more_are_taken_off),
		DP_TEST(filters_of_lost_pins_are_taken_off),
		DP_TEST(two_data_planes_leave_each_other_alone),
		DP_TEST(a_directory_has_one_writer),
	};

	if (geteuid() != 0) {
		printf("1..0 # SKIP needs root\n");
		return 0;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
