/* SPDX-License-Identifier: Apache-2.0 */
/* What the programs are told of changes, so that they remember nothing of former tables (bpf/memo.h). */
#include <errno.h>
#include <linux/bpf.h>

#include <bpf/bpf.h>

#include "dp_rig.h"

static uint64_t epoch(const struct world *w)
{
	const uint32_t zero = 0;
	uint64_t value = 0;
	int fd = pinned(w, PIN("epoch"));

	assert_int_equal(bpf_map_lookup_elem(fd, &zero, &value), 0);
	close(fd);
	return value;
}

static bool is_settled(uint64_t e)
{
	return e && !(e & 1);
}

static void each_write_disturbs_until_settled(void **state)
{
	struct world *w = *state;
	struct fwd all[N_FULL];

	full_state(all);
	load_full(w);
	datapath_settle(w->dp);
	for (size_t i = N_FULL; i-- > 0;) {
		uint64_t before = epoch(w);

		assert_true(is_settled(before));
		assert_int_equal(table_del(w->dp, &all[i]), 1);
		assert_int_equal(epoch(w), before + 1);
		datapath_settle(w->dp);
		assert_true(is_settled(epoch(w)) && epoch(w) > before);
	}
	for (size_t i = 0; i < N_FULL; i++) {
		uint64_t before = epoch(w);

		assert_int_equal(table_put(w->dp, &all[i]), 1);
		assert_int_equal(epoch(w), before + 1);
		datapath_settle(w->dp);
		assert_int_equal(epoch(w), before + 2);
		assert_int_equal(table_put(w->dp, &all[i]), 0);
		assert_int_equal(epoch(w), before + 2); /* nothing was written */
	}
}

static void the_nodes_own_addresses_count_too(void **state)
{
	struct world *w = *state;
	struct abi_node node = {.vxlan_port = 1};
	uint64_t before;

	load_full(w);
	datapath_settle(w->dp);
	before = epoch(w);
	assert_int_equal(datapath_set_node(w->dp, &node), 1);
	assert_int_equal(epoch(w), before + 1);
	datapath_settle(w->dp);
	assert_int_equal(datapath_set_node(w->dp, &node), 0);
	assert_int_equal(epoch(w), before + 2);
}

static void a_batch_is_one_change(void **state)
{
	struct world *w = *state;
	struct fwd host = a_host("10.0.1.77", TUNNEL_OWNER), other = a_host("10.0.1.78", TUNNEL_OWNER);
	uint64_t before;

	load_full(w);
	datapath_settle(w->dp);
	before = epoch(w);
	assert_int_equal(table_put(w->dp, &host), 1);
	assert_int_equal(table_put(w->dp, &other), 1);
	assert_int_equal(epoch(w), before + 1);
	datapath_settle(w->dp);
	datapath_settle(w->dp);
	assert_int_equal(epoch(w), before + 2);
}

static void a_repair_is_a_change_and_a_look_is_none(void **state)
{
	struct world *w = *state;
	struct abi_host_key key = {.vrf = 5000};
	struct addr addr = address("10.0.1.11");
	uint64_t before;
	int fd;

	load_full(w);
	assert_int_equal(datapath_audit(w->dp, SIZE_MAX), 0);
	before = epoch(w);
	assert_true(is_settled(before));
	assert_int_equal(datapath_audit(w->dp, SIZE_MAX), 0);
	assert_int_equal(epoch(w), before);
	memcpy(&key.addr, &addr, sizeof(key.addr));
	fd = pinned(w, PIN("hosts"));
	assert_int_equal(bpf_map_delete_elem(fd, &key), 0);
	close(fd);
	assert_int_equal(datapath_audit(w->dp, SIZE_MAX), 1);
	assert_int_equal(epoch(w), before + 2);
}

static void a_daemon_that_dies_in_between_leaves_it_open(void **state)
{
	struct world *w = *state;
	struct fwd host = a_host("10.0.1.77", TUNNEL_OWNER);
	uint64_t before;

	load_full(w);
	datapath_settle(w->dp);
	assert_int_equal(table_put(w->dp, &host), 1);
	before = epoch(w);
	assert_int_equal(before & 1, 1);
	close_it(w);
	assert_int_equal(epoch(w), before);
	w->dp = open_it(w, true);
	assert_non_null(w->dp);
	assert_int_equal(epoch(w), before); /* a reader */
	close_it(w);
	w->dp = open_it(w, false);
	assert_non_null(w->dp);
	datapath_sync_begin(w->dp);
	assert_int_equal(put_all(w->dp), 0);
	assert_true(datapath_sync_end(w->dp) >= 0);
	assert_true(is_settled(epoch(w)) && epoch(w) > before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		DP_TEST(each_write_disturbs_until_settled),
		DP_TEST(the_nodes_own_addresses_count_too),
		DP_TEST(a_batch_is_one_change),
		DP_TEST(a_repair_is_a_change_and_a_look_is_none),
		DP_TEST(a_daemon_that_dies_in_between_leaves_it_open),
	};

	if (geteuid() != 0) {
		printf("1..0 # SKIP needs root\n");
		return 0;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
