/* SPDX-License-Identifier: Apache-2.0 */
/* What others change is put right; readers, and the end. */
#include <errno.h>
#include <linux/bpf.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "dp_rig.h"

/* ---- drift ------------------------------------------------------------------------------------------------------- */

struct drift {
	const char *map;
	size_t key_size, value_size;
	bool array;
};

static const struct drift drifts[] = {
	{PIN("ports"), sizeof(uint32_t), sizeof(struct abi_port), false},
	{PIN("macs"), sizeof(struct abi_mac_key), sizeof(struct abi_mac), false},
	{PIN("hosts"), sizeof(struct abi_host_key), sizeof(struct abi_host), false},
	{PIN("prefixes"), sizeof(struct abi_prefix_key), sizeof(struct abi_prefix), false},
	{PIN("members"), sizeof(struct abi_member_key), sizeof(struct abi_member), false},
	{PIN("floods"), sizeof(struct abi_flood_key), sizeof(struct abi_flood), false},
	{PIN("nexthops"), sizeof(uint32_t), sizeof(struct abi_nexthop), true},
	{PIN("node"), sizeof(uint32_t), sizeof(struct abi_node), true},
};

static void first_key(int fd, const struct drift *d, uint8_t *key)
{
	uint32_t one = strcmp(d->map, PIN("node")) == 0 ? 0 : 1;

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
		int fd, repairs = 0;

		if (strcmp(d->map, PIN("node")) == 0)
			continue;
		fd = pinned(w, d->map);
		memset(key, 0x77, d->key_size);
		if (d->array)
			memcpy(key, &id, sizeof(id));
		if (strcmp(d->map, PIN("prefixes")) == 0)
			memcpy(key, &(uint32_t){160}, sizeof(uint32_t));
		assert_int_equal(bpf_map_update_elem(fd, key, value, BPF_ANY), 0);
		for (int turn = 0; turn < (d->array ? 4 : 1); turn++) /* an array's holes are looked at by turns */
			repairs += datapath_audit(w->dp, 65536);
		assert_int_equal(repairs, 1);
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
	fd = pinned(w, PIN("hosts"));
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
	assert_int_equal(run("rm %s/" PIN("hosts") " %s/port_egress", w->bpf_dir, w->bpf_dir), 0);
	assert_int_equal(datapath_audit(w->dp, 65536), 2);
	assert_true(pin_exists(w, PIN("hosts")));
	assert_true(pin_exists(w, "port_egress"));
	assert_int_equal(umount2(w->bpf_dir, MNT_DETACH), 0);
	assert_true(datapath_audit(w->dp, 65536) > 0);
	assert_true(pin_exists(w, PIN("hosts")));
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

/* ---- a port is never without our filter, whatever message was the last ---- */

static const char bypass[] = "tc filter add dev p0 %s prio 1 handle 0x%x bpf da bytecode '1,6 0 0 0'";

static const char *watched; /* side of p0 that is looked at after each message; NULL = nobody looks */
static int messages, die_after; /* 0 = live on */

int __real_bpf_tc_attach(const struct bpf_tc_hook *hook, struct bpf_tc_opts *options);
int __wrap_bpf_tc_attach(const struct bpf_tc_hook *hook, struct bpf_tc_opts *options);
int __real_bpf_tc_detach(const struct bpf_tc_hook *hook, const struct bpf_tc_opts *options);
int __wrap_bpf_tc_detach(const struct bpf_tc_hook *hook, const struct bpf_tc_opts *options);

/* How many of ours that side has, and how many strangers' are before the first of them. */
static int ours_on(const char *side, int *strangers)
{
	char command[128], line[256];
	int ours = 0;
	FILE *f;

	*strangers = 0;
	snprintf(command, sizeof(command), "tc filter show dev p0 %s", side);
	f = popen(command, "r");
	assert_non_null(f);
	while (fgets(line, sizeof(line), f)) {
		if (strstr(line, "port_ingress:[") || strstr(line, "port_egress:["))
			ours++;
		else if (strstr(line, " handle ") && ours == 0)
			++*strangers;
	}
	pclose(f);
	return ours;
}

static void after_message(void)
{
	int strangers;

	if (!watched)
		return;
	messages++;
	if (ours_on(watched, &strangers) == 0) {
		if (die_after)
			_exit(2); /* the child has no tests to go on with */
		fail_msg("after message %d a packet meets no program of ours", messages);
	}
	if (messages == die_after)
		_exit(0); /* as kill -9 does */
}

int __wrap_bpf_tc_attach(const struct bpf_tc_hook *hook, struct bpf_tc_opts *options)
{
	int r = __real_bpf_tc_attach(hook, options);

	after_message();
	return r;
}

int __wrap_bpf_tc_detach(const struct bpf_tc_hook *hook, const struct bpf_tc_opts *options)
{
	int r = __real_bpf_tc_detach(hook, options);

	after_message();
	return r;
}

static int teardown_watched(void **state)
{
	watched = NULL;
	return teardown(state);
}

#define WATCHED_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown_watched)

static void assert_alone_and_first(const char *side)
{
	int strangers, ours = ours_on(side, &strangers);

	assert_int_equal(ours, 1);
	assert_int_equal(strangers, 0);
}

static void a_port_that_is_moved_first_is_never_without_a_filter(void **state)
{
	struct world *w = *state;
	uint32_t port = make_veth("p0", "w0");

	load_full(w);
	assert_int_equal(attach_add(w->dp, port, ATTACH_PORT), 1);
	for (unsigned i = 0; i < 4; i++) {
		watched = i % 2 ? "egress" : "ingress";
		messages = 0;
		assert_int_equal(run(bypass, watched, 7 + i), 0);
		assert_int_equal(attach_check(w->dp, port, ATTACH_PORT), 1);
		assert_true(messages > 0);
		assert_alone_and_first(watched);
		messages = 0;
		assert_int_equal(attach_check(w->dp, port, ATTACH_PORT), 0);
		assert_int_equal(messages, 0);
		assert_int_equal(run("tc filter show dev p0 %s | grep -q 'handle 0x%x'", watched, 7 + i), 0);
	}
}

enum next { /* what comes after the daemon that was killed */
	NEXT_SAME,       /* a daemon that finds everything */
	NEXT_LOST_PINS,  /* ... that has to fill new maps first */
	NEXT_STRANGER,   /* ... and finds somebody's filter before both of ours */
	NEXT_NOT_ITS,    /* one that has no such port any more */
	NEXT_TEARDOWN,
	NEXT_MAX
};

static void follow_with(struct world *w, enum next next, uint32_t port)
{
	int strangers;

	if (next == NEXT_TEARDOWN) {
		watched = NULL;
		assert_int_equal(datapath_teardown(w->bpf_dir), 0);
		return;
	}
	if (next == NEXT_LOST_PINS)
		assert_int_equal(run("cd %s && rm " PIN("*") " port_ingress port_egress wire_ingress secure_egress", w->bpf_dir), 0);
	if (next == NEXT_STRANGER)
		assert_int_equal(run(bypass, watched, 99), 0);
	w->dp = open_it(w, false);
	datapath_sync_begin(w->dp);
	messages = 0;
	if (next != NEXT_NOT_ITS)
		assert_true(attach_add(w->dp, port, ATTACH_PORT) >= 0);
	if (next == NEXT_LOST_PINS)
		assert_int_equal(messages, 0); /* what serves goes on until the maps are full */
	put_all(w->dp);
	assert_true(ours_on(watched, &strangers) > 0);
	if (next == NEXT_NOT_ITS)
		watched = NULL;
	assert_int_equal(datapath_sync_end(w->dp), 0);
}

static void a_daemon_killed_while_it_moves_a_filter_leaves_one_to_the_next(void **state)
{
	struct world *w = *state;
	uint32_t port = make_veth("p0", "w0");

	for (int step = 1; step <= 4; step++) {
		for (enum next next = 0; next < NEXT_MAX; next++) {
			const char *side = (step + (int)next) % 2 ? "ingress" : "egress";
			int status, strangers;
			pid_t child;

			load_full(w);
			assert_true(attach_add(w->dp, port, ATTACH_PORT) >= 0);
			assert_int_equal(run(bypass, side, 7), 0);
			watched = side;
			messages = 0;
			child = fork();
			if (child == 0) {
				die_after = step;
				attach_check(w->dp, port, ATTACH_PORT);
				_exit(1);
			}
			assert_int_equal(waitpid(child, &status, 0), child);
			assert_int_equal(status, 0);
			close_it(w);
			follow_with(w, next, port);
			if (next < NEXT_NOT_ITS) {
				assert_alone_and_first(side);
				assert_int_equal(filters_on("p0"), 2);
				assert_int_equal(datapath_audit(w->dp, SIZE_MAX), 0);
			} else {
				assert_int_equal(ours_on(side, &strangers), 0);
				assert_int_equal(strangers, 1);
				assert_int_equal(filters_on("p0"), 0);
			}
			watched = NULL;
			close_it(w);
			assert_int_equal(run("tc qdisc del dev p0 clsact"), 0);
		}
	}
}

/* Another's filter that happens to have the stand-in's handle is no stand-in. */
static void a_stranger_in_the_stand_ins_place_stays(void **state)
{
	struct world *w = *state;
	uint32_t port = make_veth("p0", "w0");

	load_full(w);
	assert_int_equal(attach_add(w->dp, port, ATTACH_PORT), 1);
	assert_int_equal(run("h=$(tc filter show dev p0 ingress | sed -n 's/.*handle \\(0x[0-9a-f]*\\).*/\\1/p');"
			     "tc filter add dev p0 ingress prio 1 handle $(printf 0x%%x $((h + 1))) bpf da bytecode '1,6 0 0 0'"),
			 0);
	assert_int_equal(attach_check(w->dp, port, ATTACH_PORT), -EEXIST);
	assert_non_null(strstr(datapath_error(), "tc filter show dev p0"));
	assert_int_equal(filters_on("p0"), 2);
	assert_int_equal(attach_remove(w->dp, port, ATTACH_PORT), 1);
	assert_int_equal(run("tc filter show dev p0 ingress | grep -q 'handle 0x'"), 0);
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
	assert_true(pin_exists(w, PIN("hosts")));
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		DP_TEST(drift_is_repaired_in_every_table),
		DP_TEST(alien_entries_are_removed),
		DP_TEST(a_small_budget_comes_round),
		DP_TEST(lost_pins_come_back),
		DP_TEST(a_removed_or_replaced_filter_is_put_back),
		DP_TEST(nobodys_filter_stays_before_ours_on_a_port),
		WATCHED_TEST(a_port_that_is_moved_first_is_never_without_a_filter),
		WATCHED_TEST(a_daemon_killed_while_it_moves_a_filter_leaves_one_to_the_next),
		DP_TEST(a_stranger_in_the_stand_ins_place_stays),
		DP_TEST(a_filter_comes_off_and_leaves_others_alone),
		DP_TEST(a_reader_sees_everything_and_changes_nothing),
		DP_TEST(a_drop_is_counted_and_sampled),
		DP_TEST(teardown_leaves_nothing),
		DP_TEST(a_missing_standard_bpffs_is_mounted),
		DP_TEST(open_without_rights_says_what_to_do),
	};

	if (geteuid() != 0) {
		printf("1..0 # SKIP needs root\n");
		return 0;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
