/* SPDX-License-Identifier: Apache-2.0 */
/* What a speaker does with routes: who is told what and when, what is taken and what not. */
#include <errno.h>

#include "bgp_rig.h"

#define PEER "10.0.0.2"
#define EVPN ROUTE_FAMILY_BIT(ROUTE_EVPN)

/* What the neighbor heard up to now: how many routes and withdrawn ones, and of which families the End-of-RIB. */
struct heard {
	size_t n_put, n_removed, n_updates, n_refresh;
	uint32_t end_of_rib;
	bool routes_after_end;
	const struct route_attrs *attrs; /* of the last */
};

static struct heard hear_all(struct rig *rig, uint64_t handle, bool external)
{
	struct update_session session = {
		.external = external, .as4 = true, .own_as = RIG_AS + external, .peer_as = RIG_AS, .families = RIG_ALL, .extended_next_hop = 1};
	struct heard heard = {0};
	struct message m;

	while (rig_hear(rig, handle, &m)) {
		struct update u;
		struct update_route route;

		heard.n_refresh += m.type == MESSAGE_ROUTE_REFRESH;
		if (m.type != MESSAGE_UPDATE)
			continue;
		assert_int_equal(update_decode(&session, rig->attrs, m.body, &u), 0);
		assert_int_equal(u.fault.reaction, REACTION_NONE);
		if (u.end_of_rib >= 0) {
			assert_false(heard.end_of_rib & ROUTE_FAMILY_BIT(u.end_of_rib)); /* once */
			heard.end_of_rib |= ROUTE_FAMILY_BIT(u.end_of_rib);
		} else {
			heard.n_updates++;
		}
		for (struct update_cursor c = {0}; update_next(&u, &c, &route);) {
			heard.n_put += route.attrs != NULL;
			heard.n_removed += !route.attrs;
			if (route.attrs && (heard.end_of_rib & ROUTE_FAMILY_BIT(route.nlri.key.family)))
				heard.routes_after_end = true;
			if (route.attrs) {
				attrs_unref(rig->attrs, heard.attrs);
				heard.attrs = attrs_ref(route.attrs);
			}
		}
		update_fini(&u);
	}
	return heard;
}

static void withdraw(struct rig *rig, enum route_family f, unsigned i)
{
	struct route_nlri nlri = rig_nlri(f, i);

	speaker_withdraw(rig->s, &nlri.key);
}

static void forget(struct rig *rig, struct heard *heard)
{
	attrs_unref(rig->attrs, heard->attrs);
}

static void a_neighbor_hears_all_routes_and_the_end_only_when_the_owner_has_said_all(void **state)
{
	struct rig *rig = rig_new(NULL);
	struct neighbor_config c = rig_config();
	struct open o = rig_open();
	struct heard heard;
	uint64_t h;

	rig_put(rig, &c);
	rig_announce(rig, ROUTE_EVPN, 0, 500, 0);
	rig_announce(rig, ROUTE_IPV6, 0, 20, 1);
	h = rig_establish(rig, PEER, &o);
	rig_run(rig, 10);
	heard = hear_all(rig, h, false);
	assert_int_equal(heard.n_put, 520);
	assert_in_range(heard.n_updates, 2, 10); /* packed */
	assert_int_equal(heard.end_of_rib, 0);
	forget(rig, &heard);
	rig_announce(rig, ROUTE_EVPN, 500, 100, 0);
	speaker_synced(rig->s, ROUTE_EVPN);
	rig_run(rig, 10);
	heard = hear_all(rig, h, false);
	assert_int_equal(heard.n_put, 100);
	assert_int_equal(heard.end_of_rib, EVPN);
	assert_false(heard.routes_after_end);
	assert_int_equal(rig_stats(rig, PEER).n_sent[ROUTE_EVPN], 600);
	assert_int_equal(rig_stats(rig, PEER).n_sent[ROUTE_IPV6], 20);
	forget(rig, &heard);
	speaker_synced(rig->s, ROUTE_IPV4);
	speaker_synced(rig->s, ROUTE_IPV6);
	/* a session later it comes by itself, behind the routes */
	rig_close(rig, h);
	h = rig_establish(rig, PEER, &o);
	rig_run(rig, 10);
	heard = hear_all(rig, h, false);
	assert_int_equal(heard.n_put, 620);
	assert_int_equal(heard.end_of_rib, RIG_ALL);
	assert_false(heard.routes_after_end);
	forget(rig, &heard);
	rig_free(rig);
}

static void a_change_that_was_not_sent_yet_is_replaced_by_the_next(void **state)
{
	struct rig *rig = rig_new(NULL);
	struct neighbor_config c = rig_config();
	struct open o = rig_open();
	struct heard heard;
	uint64_t h;

	rig_put(rig, &c);
	h = rig_establish(rig, PEER, &o);
	for (unsigned i = 0; i < 50; i++)
		rig_announce(rig, ROUTE_EVPN, 0, 1, i);
	rig_run(rig, 1);
	heard = hear_all(rig, h, false);
	assert_int_equal(heard.n_put, 1);
	assert_int_equal(heard.attrs->local_pref, 149);
	forget(rig, &heard);
	rig_announce(rig, ROUTE_EVPN, 0, 1, 49); /* the same again is nothing */
	rig_announce(rig, ROUTE_EVPN, 1, 1, 0);
	withdraw(rig, ROUTE_EVPN, 1); /* was never told */
	rig_run(rig, 1);
	heard = hear_all(rig, h, false);
	assert_int_equal(heard.n_updates, 0);
	withdraw(rig, ROUTE_EVPN, 0);
	rig_announce(rig, ROUTE_EVPN, 0, 1, 3);
	withdraw(rig, ROUTE_EVPN, 0);
	rig_run(rig, 1);
	heard = hear_all(rig, h, false);
	assert_int_equal(heard.n_put, 0);
	assert_int_equal(heard.n_removed, 1);
	rig_free(rig);
}

static void routes_go_as_the_transport_takes_them(void **state)
{
	struct rig *rig = rig_new(NULL);
	struct neighbor_config c = rig_config();
	struct open o = rig_open();
	struct heard heard = {0};
	size_t n = 0;
	uint64_t h;

	rig_put(rig, &c);
	rig_announce(rig, ROUTE_EVPN, 0, 50000, 0);
	speaker_synced(rig->s, ROUTE_EVPN);
	h = rig_establish(rig, PEER, &o);
	rig->transports[h].window = 0;
	rig_run(rig, 100);
	assert_in_range(rig_stats(rig, PEER).n_queued, 120000, 140000);
	for (unsigned i = 0; i < 3000 && n < 50000; i++) {
		rig->transports[h].window = 1000;
		speaker_on_writable(rig->s, h, rig->now);
		rig_run(rig, 1);
		assert_true(rig_stats(rig, PEER).n_queued < 140000);
		forget(rig, &heard);
		heard = hear_all(rig, h, false);
		n += heard.n_put;
	}
	assert_int_equal(n, 50000);
	rig->transports[h].window = SIZE_MAX;
	speaker_on_writable(rig->s, h, rig->now);
	rig_run(rig, 1);
	assert_int_equal(rig_stats(rig, PEER).n_queued, 0);
	forget(rig, &heard);
	rig_free(rig);
}

/* RFC 8212 */
static void between_ases_nothing_is_exchanged_that_nobody_allowed(void **state)
{
	static const struct {
		uint32_t as;
		enum neighbor_policy import, export;
		bool imports, exports;
	} rows[] = {
		{RIG_AS, NEIGHBOR_POLICY_DEFAULT, NEIGHBOR_POLICY_DEFAULT, true, true},
		{RIG_AS, NEIGHBOR_POLICY_REJECT, NEIGHBOR_POLICY_DEFAULT, false, true},
		{RIG_AS, NEIGHBOR_POLICY_DEFAULT, NEIGHBOR_POLICY_REJECT, true, false},
		{RIG_AS + 1, NEIGHBOR_POLICY_DEFAULT, NEIGHBOR_POLICY_DEFAULT, false, false},
		{RIG_AS + 1, NEIGHBOR_POLICY_ACCEPT, NEIGHBOR_POLICY_DEFAULT, true, false},
		{RIG_AS + 1, NEIGHBOR_POLICY_DEFAULT, NEIGHBOR_POLICY_ACCEPT, false, true},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		bool external = rows[i].as != RIG_AS;
		uint8_t path[] = {2, 1, 0, 0, 0xfd, 0xe9}; /* AS_SEQUENCE of 65001 */
		uint64_t target = extended_target_as2(65000, 1);
		struct route_attrs candidate = {.next_hop = rig_addr("192.0.2.2"), .path = path, .extended = &target, .n_extended = 1};
		struct rig *rig = rig_new(NULL);
		struct neighbor_config c = rig_config();
		struct open o = rig_open();
		const struct route_attrs *a;
		struct heard heard;
		uint64_t h;

		candidate.path_size = external ? sizeof(path) : 0;
		assert_int_equal(attrs_intern(rig->attrs, &candidate, &a), 0);
		c.remote_as = o.as = rows[i].as;
		c.import = rows[i].import;
		c.export = rows[i].export;
		rig_put(rig, &c);
		rig_announce(rig, ROUTE_EVPN, 0, 10, 0);
		speaker_synced(rig->s, ROUTE_EVPN);
		h = rig_establish(rig, PEER, &o);
		rig_run(rig, 1);
		heard = hear_all(rig, h, external);
		assert_int_equal(heard.n_put, rows[i].exports ? 10 : 0);
		assert_int_equal(heard.end_of_rib, EVPN);
		if (rows[i].exports && external)
			assert_int_equal(heard.attrs->first_as, RIG_AS);
		rig_say_routes(rig, h, 0, 10, a);
		assert_int_equal(table_length(rig->table, 2, ROUTE_EVPN), rows[i].imports ? 10 : 0);
		forget(rig, &heard);
		attrs_unref(rig->attrs, a);
		rig_free(rig);
	}
}

static void announce_of(struct rig *rig, unsigned from, unsigned n, uint32_t tenant)
{
	const struct route_attrs *a = rig_attrs(rig->attrs, 0);

	for (unsigned i = 0; i < n; i++) {
		struct route_nlri nlri = rig_nlri(ROUTE_EVPN, from + i);

		assert_int_equal(speaker_announce(rig->s, &nlri, a, tenant), 0);
	}
	attrs_unref(rig->attrs, a);
}

static void of_whose_tenants_a_neighbor_hears_changes_within_the_session(void **state)
{
	static const struct {
		uint32_t tenants[3];
		size_t n;
		enum neighbor_policy policy;
		size_t n_put, n_removed;
	} steps[] = { /* of 5001 there are 10 routes, of 5002 20, of 5003 30 */
		{{5001}, 1, NEIGHBOR_POLICY_ACCEPT, 10, 0},
		{{5003, 5001, 5003}, 3, NEIGHBOR_POLICY_ACCEPT, 30, 0},
		{{5002, 5001}, 2, NEIGHBOR_POLICY_ACCEPT, 20, 30},
		{{0}, 0, NEIGHBOR_POLICY_ACCEPT, 0, 30},
		{{5002}, 1, NEIGHBOR_POLICY_ACCEPT, 20, 0},
		{{5002}, 1, NEIGHBOR_POLICY_REJECT, 0, 20},
		{{5002, 7}, 2, NEIGHBOR_POLICY_ACCEPT, 20, 0},
		{{5002}, 1, NEIGHBOR_POLICY_DEFAULT, 0, 20}, /* RFC 8212 */
	};
	struct rig *rig = rig_new(NULL);
	struct neighbor_config c = rig_config();
	struct open o = rig_open();
	struct heard heard;
	uint64_t h;

	c.remote_as = o.as = RIG_AS + 1;
	c.export = NEIGHBOR_POLICY_ACCEPT;
	c.export_limited = true;
	rig_put(rig, &c);
	announce_of(rig, 0, 10, 5001);
	announce_of(rig, 10, 20, 5002);
	announce_of(rig, 30, 30, 5003);
	speaker_synced(rig->s, ROUTE_EVPN);
	h = rig_establish(rig, PEER, &o);
	rig_run(rig, 1);
	heard = hear_all(rig, h, true);
	assert_int_equal(heard.n_put, 0);
	assert_int_equal(heard.end_of_rib, EVPN);
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		uint32_t tenants[3];

		memcpy(tenants, steps[i].tenants, sizeof(tenants));
		c.export_tenants = tenants;
		c.n_export_tenants = steps[i].n;
		c.export = steps[i].policy;
		rig_put(rig, &c);
		memset(tenants, 0xff, sizeof(tenants)); /* borrowed for the call */
		rig_run(rig, 1);
		heard = hear_all(rig, h, true);
		assert_int_equal(rig->state, NEIGHBOR_ESTABLISHED);
		assert_int_equal(heard.n_put, steps[i].n_put);
		assert_int_equal(heard.n_removed, steps[i].n_removed);
		assert_int_equal(heard.end_of_rib, 0);
		for (uint32_t tenant = 5001; tenant <= 5003; tenant++) {
			bool granted = false;

			for (size_t k = 0; k < steps[i].n; k++)
				granted |= steps[i].policy == NEIGHBOR_POLICY_ACCEPT && steps[i].tenants[k] == tenant;
			assert_int_equal(speaker_tells(rig->s, &c.remote, tenant), granted);
		}
		forget(rig, &heard);
	}
	assert_int_equal(rig_stats(rig, PEER).n_sent[ROUTE_EVPN], 0);
	rig_free(rig);
}

static void a_route_that_came_from_us_or_lies_of_its_origin_is_not_taken(void **state)
{
	static const struct {
		const char *name;
		uint32_t peer_as;
		uint8_t path[14];
		uint32_t path_size, originator, cluster;
		bool taken;
	} rows[] = {
		{"nothing special", RIG_AS, {0}, 0, 0, 0, true},
		{"our AS in the path, iBGP", RIG_AS, {2, 2, 0, 0, 0xfd, 0xe9, 0, 0, 0xfd, 0xe8}, 10, 0, 0, false},
		{"our AS in the path, eBGP", RIG_AS + 1, {2, 2, 0, 0, 0xfd, 0xe9, 0, 0, 0xfd, 0xe8}, 10, 0, 0, false},
		{"our AS in a set", RIG_AS + 1, {2, 1, 0, 0, 0xfd, 0xe9, 1, 1, 0, 0, 0xfd, 0xe8}, 12, 0, 0, false},
		{"first AS is the neighbor's", RIG_AS + 1, {2, 1, 0, 0, 0xfd, 0xe9}, 6, 0, 0, true},
		{"first AS is another", RIG_AS + 1, {2, 1, 0, 0, 0xfd, 0xea}, 6, 0, 0, false},
		{"ORIGINATOR_ID another's", RIG_AS, {0}, 0, 0x0a000009, 0, true},
		{"ORIGINATOR_ID ours", RIG_AS, {0}, 0, RIG_ID, 0, false},
		{"CLUSTER_LIST another's", RIG_AS, {0}, 0, 0x0a000009, 0x0a000008, true},
		{"CLUSTER_LIST ours", RIG_AS, {0}, 0, 0x0a000009, RIG_ID, false},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		/* encoded as by a neighbor that adds nothing */
		struct update_session raw = {.as4 = true, .own_as = RIG_AS, .peer_as = RIG_AS, .families = RIG_ALL};
		uint64_t target = extended_target_as2(65000, 1);
		struct route_attrs candidate = {.next_hop = rig_addr("192.0.2.2"), .has = ROUTE_HAS_LOCAL_PREF, .local_pref = 100,
						.extended = &target, .n_extended = 1};
		struct rig *rig = rig_new(NULL);
		struct neighbor_config c = rig_config();
		struct open o = rig_open();
		const struct route_attrs *good = rig_attrs(rig->attrs, 0), *a;
		struct route_nlri nlri = rig_nlri(ROUTE_EVPN, 3);
		uint8_t message[MESSAGE_MAX];
		struct writer w = writer_over(message, sizeof(message));
		size_t done = 0;
		uint64_t h;

		candidate.path = rows[i].path;
		candidate.path_size = rows[i].path_size;
		candidate.has |= rows[i].originator ? ROUTE_HAS_ORIGINATOR_ID : 0;
		candidate.originator_id = rows[i].originator;
		candidate.clusters = &rows[i].cluster;
		candidate.n_clusters = rows[i].cluster != 0;
		assert_int_equal(attrs_intern(rig->attrs, &candidate, &a), 0);
		c.remote_as = o.as = rows[i].peer_as;
		c.import = NEIGHBOR_POLICY_ACCEPT;
		rig_put(rig, &c);
		h = rig_establish(rig, PEER, &o);
		if (rows[i].peer_as == RIG_AS) {
			rig_say_routes(rig, h, 3, 1, good);
			assert_int_equal(table_length(rig->table, 2, ROUTE_EVPN), 1);
		}
		assert_int_equal(update_encode(&raw, a, &nlri, 1, &done, &w), 0);
		rig_say(rig, h, &w);
		/* what is refused takes the place of what was there before */
		if ((table_get(rig->table, 2, &nlri.key) != NULL) != rows[i].taken)
			fail_msg("%s: taken %d", rows[i].name, !rows[i].taken);
		assert_int_equal(rig_stats(rig, PEER).n_looped + rig_stats(rig, PEER).n_withdrawn_for_error, !rows[i].taken);
		assert_int_equal(rig_stats(rig, PEER).n_received[ROUTE_EVPN], rows[i].taken);
		assert_int_equal(rig->state, NEIGHBOR_ESTABLISHED);
		attrs_unref(rig->attrs, good);
		attrs_unref(rig->attrs, a);
		rig_free(rig);
	}
}

static void a_refresh_brings_all_routes_of_the_family_again_and_withdraws_none(void **state)
{
	struct rig *rig = rig_new(NULL);
	struct neighbor_config c = rig_config();
	struct open o = rig_open();
	struct addr peer = rig_addr(PEER);
	uint8_t message[64];
	struct writer w = writer_over(message, sizeof(message));
	struct heard heard;
	uint64_t h;

	rig_put(rig, &c);
	assert_int_equal(speaker_refresh(rig->s, &peer, ROUTE_EVPN), -ENOTCONN);
	rig_announce(rig, ROUTE_EVPN, 0, 300, 0);
	rig_announce(rig, ROUTE_IPV4, 0, 30, 0);
	h = rig_establish(rig, PEER, &o);
	rig_run(rig, 1);
	heard = hear_all(rig, h, false);
	assert_int_equal(heard.n_put, 330);
	forget(rig, &heard);
	withdraw(rig, ROUTE_EVPN, 7);
	rig_run(rig, 1);
	heard = hear_all(rig, h, false);
	assert_int_equal(heard.n_removed, 1);
	refresh_encode(&w, ROUTE_EVPN);
	rig_say(rig, h, &w);
	rig_run(rig, 1);
	heard = hear_all(rig, h, false);
	assert_int_equal(heard.n_put, 299);
	assert_int_equal(heard.n_removed, 0);
	forget(rig, &heard);
	assert_int_equal(speaker_refresh(rig->s, &peer, ROUTE_EVPN), 0);
	heard = hear_all(rig, h, false);
	assert_int_equal(heard.n_refresh, 1);
	/* who did not say that it can is not asked */
	rig_close(rig, h);
	o.capabilities.refresh = false;
	h = rig_establish(rig, PEER, &o);
	assert_int_equal(speaker_refresh(rig->s, &peer, ROUTE_EVPN), -EOPNOTSUPP);
	rig_free(rig);
}

static void families_are_those_of_both_ends(void **state)
{
	static const struct {
		uint32_t ours, theirs;
		bool has_multiprotocol;
		uint32_t want;
	} rows[] = {
		{7, 7, true, 7}, {7, 4, true, 4}, {6, 3, true, 2}, {4, 7, true, 4}, {7, 0, false, 1}, {1, 0, false, 1},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct rig *rig = rig_new(NULL);
		struct neighbor_config c = rig_config();
		struct open o = rig_open();
		struct heard heard;
		uint64_t h;

		c.families = rows[i].ours;
		o.capabilities.families = rows[i].theirs;
		o.capabilities.has_multiprotocol = rows[i].has_multiprotocol;
		rig_put(rig, &c);
		for (enum route_family f = 0; f < ROUTE_FAMILY_MAX; f++) {
			rig_announce(rig, f, 0, 1, 0);
			speaker_synced(rig->s, f);
		}
		h = rig_establish(rig, PEER, &o);
		rig_run(rig, 1);
		assert_int_equal(rig_stats(rig, PEER).families, rows[i].want);
		heard = hear_all(rig, h, false);
		assert_int_equal(heard.n_put, __builtin_popcount(rows[i].want));
		assert_int_equal(heard.end_of_rib, rows[i].want);
		forget(rig, &heard);
		rig_free(rig);
	}
}

static void an_ipv4_route_over_ipv6_goes_only_to_who_understands_it(void **state)
{
	for (int can = 0; can < 2; can++) {
		struct rig *rig = rig_new(NULL);
		struct neighbor_config c = rig_config();
		struct open o = rig_open();
		struct route_attrs candidate = {.next_hop = rig_addr("2001:db8::1")};
		struct route_nlri nlri = rig_nlri(ROUTE_IPV4, 1);
		const struct route_attrs *a;
		struct neighbor_stats stats;
		struct heard heard;
		uint64_t h;

		assert_int_equal(attrs_intern(rig->attrs, &candidate, &a), 0);
		o.capabilities.extended_next_hop = can ? ROUTE_FAMILY_BIT(ROUTE_IPV4) : 0;
		rig_put(rig, &c);
		h = rig_establish(rig, PEER, &o);
		rig_announce(rig, ROUTE_IPV4, 1, 1, 0); /* by IPv4 first */
		rig_run(rig, 1);
		heard = hear_all(rig, h, false);
		assert_int_equal(heard.n_put, 1);
		forget(rig, &heard);
		assert_int_equal(speaker_announce(rig->s, &nlri, a, RIG_TENANT), 0);
		rig_run(rig, 1);
		heard = hear_all(rig, h, false);
		assert_int_equal(heard.n_put, can);
		assert_int_equal(heard.n_removed, !can); /* what it was told before does not hold any more */
		assert_int_equal(speaker_neighbor_stats(rig->s, &c.remote, &stats), 0);
		assert_int_equal(stats.extended_next_hop, can ? ROUTE_FAMILY_BIT(ROUTE_IPV4) : 0);
		forget(rig, &heard);
		attrs_unref(rig->attrs, a);
		rig_free(rig);
	}
}

/* ---- configuration ---- */

static void a_session_goes_on_over_a_change_that_does_not_concern_it(void **state)
{
	enum after { GOES_ON, BEGINS_ANEW, ENDS }; /* ENDS: also routes of a neighbor that can restart go */
	struct change {
		const char *name;
		size_t offset, size;
		uint32_t value;
		enum after after;
	};
#define CHANGE(field, value_, after_)                                                                                  \
	{#field, offsetof(struct neighbor_config, field), sizeof(((struct neighbor_config *)0)->field), value_, after_}
	static const struct change changes[] = {
		CHANGE(description[0], 'x', GOES_ON),
		CHANGE(hold_s, 30, GOES_ON),
		CHANGE(connect_retry_s, 9, GOES_ON),
		CHANGE(send_hold_s, 900, GOES_ON),
		CHANGE(stale_s, 10, GOES_ON),
		CHANGE(idle_hold_max_s, 7, GOES_ON),
		CHANGE(max_prefix[2], 100, GOES_ON),
		CHANGE(max_prefix[2], 10, GOES_ON),
		CHANGE(passive, 1, GOES_ON),
		CHANGE(ttl_hops, 1, GOES_ON),
		CHANGE(keyed, true, GOES_ON),
		CHANGE(families, 4, BEGINS_ANEW),
		CHANGE(restart_s, 60, BEGINS_ANEW),
		CHANGE(export, NEIGHBOR_POLICY_REJECT, GOES_ON),
		CHANGE(export_limited, 1, GOES_ON),
		CHANGE(disable_family, 1, BEGINS_ANEW),
		CHANGE(max_prefix[2], 9, ENDS),
		CHANGE(remote_as, 65001, ENDS),
		CHANGE(shutdown, 1, ENDS),
	};

	for (size_t i = 0; i < 2 * sizeof(changes) / sizeof(changes[0]); i++) {
		const struct change *change = &changes[i / 2];
		struct rig *rig = rig_new(NULL);
		struct neighbor_config c = rig_config();
		struct open o = i % 2 ? rig_open_restart() : rig_open();
		const struct route_attrs *a = rig_attrs(rig->attrs, 0);
		bool goes_on = change->after == GOES_ON;
		size_t kept = goes_on || (change->after == BEGINS_ANEW && i % 2) ? 10 : 0;
		uint64_t h;

		rig_put(rig, &c);
		h = rig_establish(rig, PEER, &o);
		rig_say_routes(rig, h, 0, 10, a);
		memcpy((char *)&c + change->offset, &change->value, change->size);
		rig_put(rig, &c);
		if ((rig->state == NEIGHBOR_ESTABLISHED) != goes_on || rig->transports[h].closed == goes_on)
			fail_msg("%s = %u: goes on %d", change->name, change->value, !goes_on);
		if (table_length(rig->table, 2, ROUTE_EVPN) != kept)
			fail_msg("%s = %u: %zu routes", change->name, change->value, table_length(rig->table, 2, ROUTE_EVPN));
		attrs_unref(rig->attrs, a);
		rig_free(rig);
	}
}

static void a_configuration_that_cannot_be_is_refused(void **state)
{
	struct rig *rig = rig_new(NULL);
	const struct neighbor_config good = rig_config();
	struct neighbor_config c;

#define REFUSED(statement)                                                                                             \
	do {                                                                                                           \
		c = good;                                                                                              \
		statement;                                                                                             \
		assert_int_equal(speaker_neighbor_put(rig->s, &c, rig->now), -EINVAL);                                 \
	} while (0)
	REFUSED(c.remote_as = 0);
	REFUSED(c.hold_s = 1);
	REFUSED(c.hold_s = 2);
	REFUSED(c.families = 0);
	REFUSED(c.families = 8);
	REFUSED(c.restart_s = 4096);
	REFUSED(c.connect_retry_s = 0);
	rig_free(rig);
}

static void a_removed_neighbor_is_told_so_and_its_routes_go(void **state)
{
	struct rig *rig = rig_new(NULL);
	struct neighbor_config c = rig_config();
	struct open o = rig_open_restart();
	struct addr peer = rig_addr(PEER);
	const struct route_attrs *a = rig_attrs(rig->attrs, 0);
	uint64_t h;

	rig_put(rig, &c);
	h = rig_establish(rig, PEER, &o);
	rig_say_routes(rig, h, 0, 10, a);
	speaker_neighbor_remove(rig->s, &peer, rig->now);
	rig_expect_notification(rig, h, "Cease/Peer De-configured, hard");
	assert_int_equal(table_length(rig->table, 2, ROUTE_EVPN), 0);
	assert_null(speaker_neighbor(rig->s, &peer));
	/* also those that are kept for one that is away */
	rig_put(rig, &c);
	h = rig_establish(rig, PEER, &o);
	rig_say_routes(rig, h, 0, 10, a);
	rig_close(rig, h);
	assert_int_equal(table_length(rig->table, 2, ROUTE_EVPN), 10);
	speaker_neighbor_remove(rig->s, &peer, rig->now);
	assert_int_equal(table_length(rig->table, 2, ROUTE_EVPN), 0);
	rig_run(rig, 1000000);
	attrs_unref(rig->attrs, a);
	rig_free(rig);
}

static void remove_neighbor(struct rig *rig)
{
	struct addr peer = rig_addr(PEER);

	rig->on_route = NULL;
	speaker_neighbor_remove(rig->s, &peer, rig->now);
}

static void close_transport(struct rig *rig)
{
	rig->on_route = NULL;
	rig_close(rig, rig->last);
}

static void reset_neighbor(struct rig *rig)
{
	struct addr peer = rig_addr(PEER);

	rig->on_route = NULL;
	speaker_reset(rig->s, &peer, "from within", rig->now);
}

/* B5: FRR #21396 class */
static void a_session_may_end_while_its_update_is_being_read(void **state)
{
	static void (*const ends[])(struct rig * rig) = {remove_neighbor, close_transport, reset_neighbor};

	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		struct rig *rig = rig_new(NULL);
		struct neighbor_config c = rig_config();
		struct open o = rig_open();
		const struct route_attrs *a = rig_attrs(rig->attrs, 0);
		uint8_t bytes[3 * MESSAGE_MAX], *p = bytes;
		struct update_session session = {.as4 = true, .own_as = RIG_AS, .peer_as = RIG_AS, .families = RIG_ALL};
		struct route_nlri nlri = rig_nlri(ROUTE_EVPN, 0);
		uint64_t h;

		rig_put(rig, &c);
		h = rig_establish(rig, PEER, &o);
		for (int k = 0; k < 3; k++) { /* three in one piece */
			struct writer w = writer_over(p, MESSAGE_MAX);
			size_t done = 0;

			nlri.key.mac.bytes[5] = (uint8_t)k;
			assert_int_equal(update_encode(&session, a, &nlri, 1, &done, &w), 0);
			p += writer_size(&w);
		}
		rig->on_route = ends[i];
		speaker_on_bytes(rig->s, h, bytes, (size_t)(p - bytes), rig->now);
		assert_true(rig->transports[h].closed);
		assert_int_equal(table_length(rig->table, 2, ROUTE_EVPN), 0);
		if (ends[i] != remove_neighbor)
			assert_int_equal(rig_stats(rig, PEER).n_received[ROUTE_EVPN], 0);
		rig_run(rig, 10000);
		attrs_unref(rig->attrs, a);
		rig_free(rig);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_neighbor_hears_all_routes_and_the_end_only_when_the_owner_has_said_all),
		cmocka_unit_test(a_change_that_was_not_sent_yet_is_replaced_by_the_next),
		cmocka_unit_test(routes_go_as_the_transport_takes_them),
		cmocka_unit_test(between_ases_nothing_is_exchanged_that_nobody_allowed),
		cmocka_unit_test(of_whose_tenants_a_neighbor_hears_changes_within_the_session),
		cmocka_unit_test(a_route_that_came_from_us_or_lies_of_its_origin_is_not_taken),
		cmocka_unit_test(a_refresh_brings_all_routes_of_the_family_again_and_withdraws_none),
		cmocka_unit_test(families_are_those_of_both_ends),
		cmocka_unit_test(an_ipv4_route_over_ipv6_goes_only_to_who_understands_it),
		cmocka_unit_test(a_session_goes_on_over_a_change_that_does_not_concern_it),
		cmocka_unit_test(a_configuration_that_cannot_be_is_refused),
		cmocka_unit_test(a_removed_neighbor_is_told_so_and_its_routes_go),
		cmocka_unit_test(a_session_may_end_while_its_update_is_being_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
