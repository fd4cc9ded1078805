/* SPDX-License-Identifier: Apache-2.0 */
/* Entries of every kind, next hops and replication lists, against the maps of the running kernel. */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/bpf.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <time.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "dp_rig.h"

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

static void a_prefix_is_a_subnet_or_leads_to_a_router(void **state)
{
	static const struct {
		const char *prefix;
		uint32_t flags;
	} rows[] = { { "10.9.0.0/16", PREFIX_V4 }, { "0.0.0.0/0", PREFIX_V4 | PREFIX_ALL },
		     { "fd00:9::/48", 0 }, { "::/0", PREFIX_ALL } };
	struct world *w = *state;
	struct fwd got;

	load_full(w);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct fwd f = a_prefix(rows[i].prefix);
		struct abi_prefix_key key = { .length = 32 + f.prefix.prefix.length, .vrf = htonl(f.prefix.vrf) };
		struct abi_prefix value;
		int fd = pinned(w, PIN("prefixes"));

		memcpy(&key.addr, &f.prefix.prefix.addr, sizeof(key.addr));
		f.prefix.nexthop = TUNNEL6_OWNER;
		assert_int_equal(table_put(w->dp, &f), 1);
		assert_int_equal(bpf_map_lookup_elem(fd, &key, &value), 0);
		close(fd);
		assert_int_equal(value.nexthop, id_of(w, TUNNEL6_OWNER));
		assert_int_equal(value.flags, rows[i].flags);
		assert_true(table_get(w->dp, &f, &got));
		assert_true(fwd_equal(&f, &got));
	}
	/* it holds its next hop, until it is a subnet again */
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct fwd f = a_prefix(rows[i].prefix), tunnel = a_tunnel(TUNNEL6_OWNER, "2001:db8::21", "2001:db8::11");

		assert_int_equal(table_del(w->dp, &tunnel), -EBUSY);
		assert_int_equal(table_put(w->dp, &f), 1);
		assert_true(table_get(w->dp, &f, &got));
		assert_int_equal(got.prefix.nexthop, 0);
	}
	assert_int_equal(datapath_audit(w->dp, SIZE_MAX), 0);
}

/* What stands in the kernel, and what a reader makes of it. */
static void expect_encryption(const struct world *w, bool on)
{
	struct fwd tunnel = a_tunnel(TUNNEL_OWNER, "198.51.100.21", "192.0.2.11"), member = a_member("198.51.100.21"), got;
	struct abi_member_key key = {.vni = member.member.vni, .encap = ENCAP_VXLAN};
	uint32_t id = id_of(w, TUNNEL_OWNER);
	int nexthops = pinned(w, PIN("nexthops")), members = pinned(w, PIN("members"));
	struct datapath *reader = open_it(w, true);
	struct abi_nexthop hop;
	struct abi_member value;

	memcpy(&key.source, &member.member.source, sizeof(key.source));
	assert_int_equal(bpf_map_lookup_elem(nexthops, &id, &hop), 0);
	assert_int_equal(bpf_map_lookup_elem(members, &key, &value), 0);
	close(nexthops);
	close(members);
	assert_int_equal(hop.flags, on ? NEXTHOP_SECURE : 0);
	assert_int_equal(value.flags, MEMBER_FOREIGN | (on ? MEMBER_SECURE : 0));
	assert_true(table_get(reader, &tunnel, &got));
	assert_int_equal(got.nexthop.secure, on);
	assert_true(table_get(reader, &member, &got));
	assert_int_equal(got.member.secure, on);
	datapath_close(reader);
}

/* Nothing else is touched: who points at the next hop still does. */
static void encryption_is_one_write_each(void **state)
{
	struct world *w = *state;
	struct fwd tunnel = a_tunnel(TUNNEL_OWNER, "198.51.100.21", "192.0.2.11"), member = a_member("198.51.100.21");

	load_full(w);
	for (int on = 0; on < 4; on++) {
		tunnel.nexthop.secure = member.member.secure = on & 1;
		assert_int_equal(table_put(w->dp, &member), on > 0);
		assert_int_equal(table_put(w->dp, &tunnel), on > 0);
		expect_encryption(w, on & 1);
		assert_int_equal(datapath_audit(w->dp, SIZE_MAX), 0);
	}
	close_it(w); /* the next daemon finds it */
	w->dp = open_it(w, false);
	assert_int_equal(table_put(w->dp, &tunnel), 0);
	assert_int_equal(table_put(w->dp, &member), 0);
}

static void an_unknown_next_hop_is_refused(void **state)
{
	struct world *w = *state;
	struct fwd host = a_host("10.0.1.99", 0xdead), flood = a_flood(5001, 0xdead), prefix = a_prefix("10.9.0.0/16"), got;

	load_full(w);
	assert_int_equal(table_put(w->dp, &host), -EINVAL);
	assert_non_null(strstr(datapath_error(), "hosts"));
	assert_int_equal(table_put(w->dp, &flood), -EINVAL);
	prefix.prefix.nexthop = 0xdead;
	assert_int_equal(table_put(w->dp, &prefix), -EINVAL);
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
	fd = pinned(w, PIN("nexthops"));
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		DP_TEST(every_kind_is_put_read_and_removed),
		DP_TEST(a_changed_value_is_written_once),
		DP_TEST(a_next_hop_is_free_when_nothing_points_at_it),
		DP_TEST(a_prefix_is_a_subnet_or_leads_to_a_router),
		DP_TEST(encryption_is_one_write_each),
		DP_TEST(an_unknown_next_hop_is_refused),
		DP_TEST(a_next_hop_in_use_is_not_removed),
		DP_TEST(a_waiting_port_keeps_its_number),
		DP_TEST(a_number_is_not_reused_at_once),
		DP_TEST(a_full_table_says_so),
		DP_TEST(a_removed_copy_leaves_a_hole_that_is_used_again),
		DP_TEST(a_list_is_right_after_any_sequence_of_changes),
		DP_TEST(a_next_hop_that_changes_family_changes_lists),
		DP_TEST(a_replication_list_has_an_end),
		DP_TEST(a_thousand_ports_and_ten_thousand_endpoints_are_loaded),
	};

	if (geteuid() != 0) {
		printf("1..0 # SKIP needs root\n");
		return 0;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
