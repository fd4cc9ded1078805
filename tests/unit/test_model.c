/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <stdio.h>

#include "bpf/abi.h"
#include "model/config.h"
#include "model/fwd.h"
#include "model/route.h"

_Static_assert(CONFIG_MAX_FLOOD == ABI_MAX_FLOOD_SLOTS, "admission and the data plane agree");
_Static_assert((int)FWD_ENCAP_VXLAN == (int)ENCAP_VXLAN, "one number on both sides");

static struct addr address(const char *text)
{
	struct addr a;

	assert_int_equal(addr_parse(text, &a), 0);
	return a;
}

static void peer_has_an_interface_named_after_it(void **state)
{
	char a[CONFIG_INTERFACE_SIZE], b[CONFIG_INTERFACE_SIZE];

	config_peer_interface("laptop", a);
	assert_string_equal(a, "wg-laptop");
	config_peer_interface("twelve-chars", a);
	assert_string_equal(a, "wg-twelve-chars");
	config_peer_interface("thirteen-char", a);
	config_peer_interface("thirteen-chaR", b);
	assert_memory_equal(a, "wg-thirt-", strlen("wg-thirt-"));
	assert_int_equal(strlen(a), CONFIG_INTERFACE_SIZE - 1);
	assert_string_not_equal(a, b);
}

static void peer_has_a_mac_of_its_key(void **state)
{
	struct config_key key = {{1, 2, 3, 4, 5, 6}};
	struct mac mac;

	config_peer_mac(&key, &mac);
	assert_memory_equal(mac.bytes, ((uint8_t[]){0x02, 1, 2, 3, 4, 5}), sizeof(mac.bytes));
}

static void router_mac_depends_on_the_set_of_underlay_addresses(void **state)
{
	struct addr one[] = {address("192.0.2.11")}, two[] = {address("192.0.2.11"), address("2001:db8::11")},
		    turned[] = {two[1], two[0]};
	struct mac a, b, c;
	char text[MAC_TEXT_SIZE];

	config_router_mac(&(struct config_node){.underlay = one, .n_underlay = 1}, &a);
	/* Never changes: every node of a fabric, of any version, has to come to the same one. */
	assert_string_equal(mac_format(&a, text), "02:49:95:f6:df:28");
	config_router_mac(&(struct config_node){.underlay = two, .n_underlay = 2}, &b);
	config_router_mac(&(struct config_node){.underlay = turned, .n_underlay = 2}, &c);
	assert_true(mac_equal(&b, &c));
	assert_false(mac_equal(&a, &b));
	assert_false(mac_is_multicast(&b));
}

static void router_id_is_the_ipv4_address_or_made_from_the_name(void **state)
{
	struct addr six[] = {address("2001:db8::11"), address("192.0.2.11")};
	struct config_node both = {.name = (char *)"a", .underlay = six, .n_underlay = 2},
			   only = {.name = (char *)"a", .underlay = six, .n_underlay = 1};
	uint32_t first;

	assert_int_equal(config_default_router_id(&both), 0xc000020b);
	first = config_default_router_id(&only);
	/* Never changes: it is in the route distinguishers that others hold. */
	assert_int_equal(first, 0x4e740ce5);
	for (unsigned i = 0; i < 100000; i++) {
		char name[16];

		snprintf(name, sizeof(name), "node%u", i);
		only.name = name;
		assert_in_range(config_default_router_id(&only), 1, 0xdfffffff);
		assert_int_not_equal(config_default_router_id(&only), first);
	}
}

static void mesh_is_there_while_nobody_reflects(void **state)
{
	struct config_bgp bgp = {.mesh = CONFIG_MESH_AUTO};
	struct config c = {};

	assert_false(config_has_mesh(&c));
	c.bgp = &bgp;
	assert_true(config_has_mesh(&c));
	bgp.n_reflectors = 1;
	assert_false(config_has_mesh(&c));
	bgp = (struct config_bgp){.mesh = CONFIG_MESH_NONE};
	assert_false(config_has_mesh(&c));
}

static void neighbor_without_nodes_is_for_all_that_run_isthmusd(void **state)
{
	struct config_node a = {}, b = {}, foreign = {.foreign = true}, *nodes[] = {&b, &a};
	struct config_neighbor n = {};

	assert_true(config_peers(&n, &a));
	assert_false(config_peers(&n, &foreign));
	n.nodes = nodes;
	n.n_nodes = 1;
	assert_false(config_peers(&n, &a));
	assert_true(config_peers(&n, &b));
	n.n_nodes = 2;
	assert_true(config_peers(&n, &a));
}

static void families_depend_on_the_side_of_the_border(void **state)
{
	const struct config_bgp bgp = {.as = 65000};

	assert_int_equal(config_default_families(&bgp, 65000), 7);
	assert_int_equal(config_default_families(&bgp, 65001), ROUTE_FAMILY_BIT(ROUTE_IPV4) | ROUTE_FAMILY_BIT(ROUTE_IPV6));
}

static void paths_prefer_the_order_of_the_far_node(void **state)
{
	struct addr both[] = {address("192.0.2.1"), address("2001:db8::1")},
		    turned[] = {address("2001:db8::2"), address("192.0.2.2")}, four[] = {address("192.0.2.3")},
		    six[] = {address("2001:db8::4")};
	struct config_node a = {.underlay = both, .n_underlay = 2}, b = {.underlay = turned, .n_underlay = 2},
			   c = {.underlay = four, .n_underlay = 1}, d = {.underlay = six, .n_underlay = 1};
	const struct addr *source = NULL;

	assert_ptr_equal(config_path(&a, &b, &source), &turned[0]);
	assert_ptr_equal(source, &both[1]);
	assert_ptr_equal(config_path(&b, &a, &source), &both[0]);
	assert_ptr_equal(source, &turned[1]);
	assert_ptr_equal(config_path(&c, &b, &source), &turned[1]);
	assert_ptr_equal(source, &four[0]);
	source = NULL;
	assert_null(config_path(&c, &d, &source));
	assert_null(source);
}

static void paths_take_no_more_than_either_end_says(void **state)
{
	static const uint32_t rows[][4] = { /* of the one, of the other, of the route, and what is left */
		{0, 0, 1500, 1500}, {1400, 0, 1500, 1400}, {0, 1300, 1500, 1300}, {1400, 1300, 1500, 1300},
		{1300, 1400, 1500, 1300}, {9000, 9000, 1500, 1500}, {9000, 1400, 1500, 1400},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct config_node from = {.mtu = rows[i][0]}, to = {.mtu = rows[i][1]};

		assert_int_equal(config_path_mtu(&from, &to, rows[i][2]), rows[i][3]);
	}
}

/* Whatever the order in which either end prefers its addresses, both mean the same connection. */
static void both_ends_of_a_session_choose_the_same_addresses(void **state)
{
	struct addr four = address("192.0.2.1"), six = address("2001:db8::1"), its_four = address("192.0.2.2"),
		    its_six = address("2001:db8::2");
	struct addr lists[][2] = {{four, six}, {six, four}, {four}, {six}};
	struct addr its[][2] = {{its_four, its_six}, {its_six, its_four}, {its_four}, {its_six}};

	for (size_t i = 0; i < 4; i++)
		for (size_t k = 0; k < 4; k++) {
			struct config_node low = {.router_id = 1, .underlay = lists[i], .n_underlay = i < 2 ? 2 : 1},
					   high = {.router_id = 2, .underlay = its[k], .n_underlay = k < 2 ? 2 : 1};
			const struct addr *here = NULL, *there = NULL, *near = config_session(&high, &low, &there),
					  *far = config_session(&low, &high, &here);

			assert_int_equal(far != NULL, i < 2 || k < 2 || i == k);
			assert_ptr_equal(far, there);
			assert_ptr_equal(near, here);
			if (far && i < 2 && k < 2)
				assert_ptr_equal(near, &lists[i][0]);
		}
}

static void owners_differ_and_are_never_nobody(void **state)
{
	const uint64_t owners[] = {
		fwd_owner_port("a"),		fwd_owner_port("b"),	     fwd_owner_port(""),
		fwd_owner_tunnel("a", ""),	fwd_owner_tunnel("", "a"),   fwd_owner_tunnel("ab", "c"),
		fwd_owner_router("a", "b", &(struct mac){{2}}), fwd_owner_router("a", "b", &(struct mac){{4}}),
		fwd_owner_router("a", "c", &(struct mac){{2}}), fwd_owner_router("b", "b", &(struct mac){{2}}),
		fwd_owner_tunnel("a", "bc"),	fwd_owner_tunnel("red/web", "dc1"), fwd_owner_tunnel("red/web", "dc2"),
	};

	for (size_t i = 0; i < sizeof(owners) / sizeof(owners[0]); i++) {
		assert_true(owners[i] != 0);
		for (size_t k = 0; k < i; k++)
			assert_true(owners[i] != owners[k]);
	}
	/* Never changes: pinned maps hold it over an upgrade. */
	assert_true(fwd_owner_port("web1") == 0x90c9ed7dda99e86f);
}

/* For each kind an entry, one that differs in its key and one that differs in its value. */
static const struct {
	struct fwd entry, other_key, other_value;
	bool only_key;
	const char *text;
} rows[] = {
	{{.kind = FWD_ROUTE, .route = {.prefix = {.length = 128}, .n_hops = 1}},
	 {.kind = FWD_ROUTE, .route = {.prefix = {.length = 127}, .n_hops = 1}},
	 {.kind = FWD_ROUTE, .route = {.prefix = {.length = 128}, .n_hops = 1, .hops = {{.bytes = {1}}}}},
	 .text = "route ::/128 via ::"},
	{{.kind = FWD_ROUTE, .route = {.prefix = {.length = 64}, .n_hops = 2}},
	 {.kind = FWD_ROUTE, .route = {.prefix = {.addr = {.bytes = {1}}, .length = 64}, .n_hops = 2}},
	 {.kind = FWD_ROUTE, .route = {.prefix = {.length = 64}, .n_hops = 1}},
	 .text = "route ::/64 via :: via ::"},
	{{.kind = FWD_NEXTHOP, .nexthop = {.owner = 1, .type = FWD_NEXTHOP_NATIVE, .mtu = 1500}},
	 {.kind = FWD_NEXTHOP, .nexthop = {.owner = 2, .type = FWD_NEXTHOP_NATIVE, .mtu = 1500}},
	 {.kind = FWD_NEXTHOP, .nexthop = {.owner = 1, .type = FWD_NEXTHOP_TUNNEL, .mtu = 1500}},
	 .text = "nexthop 0000000000000001 native :: mtu 1500"},
	{{.kind = FWD_NEXTHOP, .nexthop = {.owner = 1, .type = FWD_NEXTHOP_PORT, .ifindex = 7, .mtu = 1500}},
	 {.kind = FWD_NEXTHOP, .nexthop = {.owner = 2, .type = FWD_NEXTHOP_PORT, .ifindex = 7, .mtu = 1500}},
	 {.kind = FWD_NEXTHOP, .nexthop = {.owner = 1, .type = FWD_NEXTHOP_PORT, .ifindex = 8, .mtu = 1500}},
	 .text = "nexthop 0000000000000001 port ifindex 7 mtu 1500"},
	{{.kind = FWD_NEXTHOP,
	  .nexthop = {.owner = 1, .type = FWD_NEXTHOP_TUNNEL, .encap = FWD_ENCAP_VXLAN, .mtu = 1450}},
	 {.kind = FWD_NEXTHOP,
	  .nexthop = {.owner = 3, .type = FWD_NEXTHOP_TUNNEL, .encap = FWD_ENCAP_VXLAN, .mtu = 1450}},
	 {.kind = FWD_NEXTHOP,
	  .nexthop = {.owner = 1, .type = FWD_NEXTHOP_TUNNEL, .encap = FWD_ENCAP_VXLAN, .mtu = 1450, .foreign = true}},
	 .text = "nexthop 0000000000000001 tunnel :: from :: router 00:00:00:00:00:00 mtu 1450"},
	{{.kind = FWD_NEXTHOP,
	  .nexthop = {.owner = 1, .type = FWD_NEXTHOP_TUNNEL, .encap = FWD_ENCAP_VXLAN, .mtu = 1390, .secure = true}},
	 {.kind = FWD_NEXTHOP,
	  .nexthop = {.owner = 3, .type = FWD_NEXTHOP_TUNNEL, .encap = FWD_ENCAP_VXLAN, .mtu = 1390, .secure = true}},
	 {.kind = FWD_NEXTHOP,
	  .nexthop = {.owner = 1, .type = FWD_NEXTHOP_TUNNEL, .encap = FWD_ENCAP_VXLAN, .mtu = 1390}},
	 .text = "nexthop 0000000000000001 tunnel :: from :: secure router 00:00:00:00:00:00 mtu 1390"},
	{{.kind = FWD_MEMBER, .member = {.vni = 5, .encap = FWD_ENCAP_VXLAN, .vrf = 4}},
	 {.kind = FWD_MEMBER, .member = {.vni = 6, .encap = FWD_ENCAP_VXLAN, .vrf = 4}},
	 {.kind = FWD_MEMBER, .member = {.vni = 5, .encap = FWD_ENCAP_VXLAN, .vrf = 4, .flood = true}},
	 .text = "member :: vni 5 vrf 4"},
	{{.kind = FWD_MEMBER, .member = {.vni = 5, .encap = FWD_ENCAP_VXLAN, .vrf = 4, .secure = true}},
	 {.kind = FWD_MEMBER, .member = {.vni = 6, .encap = FWD_ENCAP_VXLAN, .vrf = 4, .secure = true}},
	 {.kind = FWD_MEMBER, .member = {.vni = 5, .encap = FWD_ENCAP_VXLAN, .vrf = 4}},
	 .text = "member :: vni 5 vrf 4 secure"},
	{{.kind = FWD_PREFIX, .prefix = {.vrf = 4, .prefix = {.length = 64}, .vni = 5}},
	 {.kind = FWD_PREFIX, .prefix = {.vrf = 4, .prefix = {.length = 65}, .vni = 5}},
	 {.kind = FWD_PREFIX, .prefix = {.vrf = 4, .prefix = {.length = 64}, .vni = 6}},
	 .text = "prefix vrf 4 ::/64 vni 5"},
	{{.kind = FWD_PREFIX, .prefix = {.vrf = 4, .prefix = {.length = 64}, .vni = 5, .nexthop = 1}},
	 {.kind = FWD_PREFIX, .prefix = {.vrf = 5, .prefix = {.length = 64}, .vni = 5, .nexthop = 1}},
	 {.kind = FWD_PREFIX, .prefix = {.vrf = 4, .prefix = {.length = 64}, .vni = 5, .nexthop = 2}},
	 .text = "prefix vrf 4 ::/64 via 0000000000000001 vni 5"},
	{{.kind = FWD_HOST, .host = {.vrf = 4, .nexthop = 1, .vni = 5}},
	 {.kind = FWD_HOST, .host = {.vrf = 5, .nexthop = 1, .vni = 5}},
	 {.kind = FWD_HOST, .host = {.vrf = 4, .nexthop = 1, .vni = 5, .l3 = true}},
	 .text = "host vrf 4 :: via 0000000000000001 vni 5 mac 00:00:00:00:00:00"},
	{{.kind = FWD_MAC, .mac = {.vni = 5, .nexthop = 1}},
	 {.kind = FWD_MAC, .mac = {.vni = 5, .mac = {{2}}, .nexthop = 1}},
	 {.kind = FWD_MAC, .mac = {.vni = 5, .nexthop = 2}},
	 .text = "mac vni 5 00:00:00:00:00:00 via 0000000000000001"},
	{{.kind = FWD_PORT, .port = {.ifindex = 7, .owner = 1, .vni = 5, .vrf = 4}},
	 {.kind = FWD_PORT, .port = {.ifindex = 8, .owner = 1, .vni = 5, .vrf = 4}},
	 {.kind = FWD_PORT, .port = {.ifindex = 7, .owner = 1, .vni = 5, .vrf = 4, .flags = 1}},
	 .text = "port ifindex 7 owner 0000000000000001 vni 5 vrf 4 mac 00:00:00:00:00:00 flags 0x0 storm 0 icmp 0"},
	{{.kind = FWD_PORT, .port = {.ifindex = 7, .storm_limit = 9, .icmp_limit = 8}},
	 {.kind = FWD_PORT, .port = {.ifindex = 8, .storm_limit = 9, .icmp_limit = 8}},
	 {.kind = FWD_PORT, .port = {.ifindex = 7, .storm_limit = 10, .icmp_limit = 8}},
	 .text = "port ifindex 7 owner 0000000000000000 vni 0 vrf 0 mac 00:00:00:00:00:00 flags 0x0 storm 9 icmp 8"},
	{{.kind = FWD_PORT, .port = {.ifindex = 7, .icmp_limit = 8}},
	 {.kind = FWD_PORT, .port = {.ifindex = 8, .icmp_limit = 8}},
	 {.kind = FWD_PORT, .port = {.ifindex = 7, .icmp_limit = 9}},
	 .text = "port ifindex 7 owner 0000000000000000 vni 0 vrf 0 mac 00:00:00:00:00:00 flags 0x0 storm 0 icmp 8"},
	{{.kind = FWD_FLOOD, .flood = {.vni = 5, .nexthop = 1}},
	 {.kind = FWD_FLOOD, .flood = {.vni = 5, .nexthop = 2}},
	 .only_key = true,
	 .text = "flood vni 5 via 0000000000000001"},
};

static void entries_are_told_apart_by_key_and_value(void **state)
{
	bool seen[FWD_KIND_MAX] = {};
	char text[256], cut[8];

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct fwd *e = &rows[i].entry;

		seen[e->kind] = true;
		assert_true(fwd_same_key(e, e) && fwd_equal(e, e));
		assert_false(fwd_same_key(e, &rows[i].other_key) || fwd_equal(e, &rows[i].other_key));
		if (!rows[i].only_key)
			assert_true(fwd_same_key(e, &rows[i].other_value) && !fwd_equal(e, &rows[i].other_value));
		for (size_t k = 0; k < sizeof(rows) / sizeof(rows[0]); k++)
			assert_true(rows[k].entry.kind == e->kind || !fwd_same_key(e, &rows[k].entry));
		assert_string_equal(fwd_format(e, text, sizeof(text)), rows[i].text);
		assert_true(strlen(fwd_format(e, cut, sizeof(cut))) < sizeof(cut));
		assert_memory_equal(rows[i].text, fwd_kind_name(e->kind), strlen(fwd_kind_name(e->kind)));
	}
	for (size_t i = 0; i < FWD_KIND_MAX; i++)
		assert_true(seen[i]);
}

/*
 * Sites east and west, between which and within which a pair may say something; the third party is a VTEP that no file
 * names.  Each answer: within the site, between sites, with the one that nobody named.
 */
static const struct encryption_row {
	enum config_encryption fabric;
	const char *within, *between; /* a site pair's word: "never", "always", or none */
	const char *network;
	const char *answer;
} encryption_rows[] = {
	{CONFIG_ENCRYPTION_NEVER, NULL, NULL, NULL, "---"},
	{CONFIG_ENCRYPTION_BETWEEN_SITES, NULL, NULL, NULL, "-xx"},
	{CONFIG_ENCRYPTION_ALWAYS, NULL, NULL, NULL, "xxx"},
	{CONFIG_ENCRYPTION_NEVER, NULL, "always", NULL, "-x-"},
	{CONFIG_ENCRYPTION_NEVER, "always", NULL, NULL, "x--"},
	{CONFIG_ENCRYPTION_BETWEEN_SITES, NULL, "never", NULL, "--x"},
	{CONFIG_ENCRYPTION_BETWEEN_SITES, "always", "never", NULL, "x-x"},
	{CONFIG_ENCRYPTION_ALWAYS, "never", "never", NULL, "--x"},
	{CONFIG_ENCRYPTION_NEVER, NULL, NULL, "between-sites", "-xx"},
	{CONFIG_ENCRYPTION_NEVER, NULL, "never", "always", "xxx"},
	{CONFIG_ENCRYPTION_ALWAYS, "always", "always", "never", "---"},
	{CONFIG_ENCRYPTION_ALWAYS, "always", "never", "between-sites", "-xx"},
};

static enum config_encryption encryption_word(const char *word)
{
	for (enum config_encryption e = 0; e < CONFIG_ENCRYPTION_MAX; e++)
		if (strcmp(config_encryption_name(e), word) == 0)
			return e;
	fail_msg("%s is no word", word);
	return 0;
}

struct encrypted_fabric {
	struct config_site sites[2];
	struct config_node nodes[3]; /* east, east, west */
	struct config_pair pairs[2];
	struct config_network network;
	struct config_tenant tenant;
	struct config config;
};

static void encrypted_fabric_init(struct encrypted_fabric *f, const struct encryption_row *row)
{
	const char *const words[] = {row->within, row->between};

	*f = (struct encrypted_fabric){
		.sites = {{.name = (char *)"east"}, {.name = (char *)"west"}},
		.nodes = {{.site = &f->sites[0]}, {.site = &f->sites[0]}, {.site = &f->sites[1]}},
		.config = {.encryption = row->fabric,
			   .n_pairs = 2,
			   .pair_by_sites = HMAP_INIT(struct config_pair, sites)},
	};
	for (size_t i = 0; i < 2; i++) {
		f->pairs[i] = (struct config_pair){.sites = {&f->sites[0], &f->sites[i]},
						   .encrypts = words[i] && strcmp(words[i], "always") == 0};
		if (words[i])
			assert_int_equal(hmap_add(&f->config.pair_by_sites, &f->pairs[i]), 0);
	}
	f->network.encryption_own = row->network != NULL;
	f->network.encryption = row->network ? encryption_word(row->network) : row->fabric;
	f->tenant.encryption_own = row->network ? f->network.encryption : CONFIG_ENCRYPTION_NEVER;
	f->tenant.encryption_inherited = !row->network;
	f->config.tenants = &f->tenant;
	f->config.n_tenants = 1;
}

static void network_goes_before_site_pair_and_that_before_fabric(void **state)
{
	struct encrypted_fabric f;

	for (size_t i = 0; i < sizeof(encryption_rows) / sizeof(encryption_rows[0]); i++) {
		const struct encryption_row *row = &encryption_rows[i];
		const struct config_node *self = &f.nodes[0], *others[] = {&f.nodes[1], &f.nodes[2], NULL};

		encrypted_fabric_init(&f, row);
		for (size_t k = 0; k < 3; k++) {
			bool expected = row->answer[k] == 'x';

			assert_int_equal(config_encrypts(&f.config, &f.network, self, others[k]), expected);
			assert_int_equal(config_encrypts_tenant(&f.config, &f.tenant, self, others[k]), expected);
			assert_int_equal(config_encrypts_any(&f.config, self, others[k]), expected);
			if (others[k]) /* the far end says the same */
				assert_int_equal(config_encrypts(&f.config, &f.network, others[k], self), expected);
		}
		hmap_fini(&f.config.pair_by_sites);
	}
}

static void sessions_ride_inside_where_both_have_keys_and_encrypt(void **state)
{
	struct addr address = {.bytes = {[0] = 0x20, [15] = 3}}, other = address;
	struct encrypted_fabric f;

	for (size_t i = 0; i < sizeof(encryption_rows) / sizeof(encryption_rows[0]); i++) {
		encrypted_fabric_init(&f, &encryption_rows[i]);
		for (size_t k = 1; k < 3; k++) {
			struct config_node *a = &f.nodes[0], *b = &f.nodes[k];
			bool encrypts = encryption_rows[i].answer[k - 1] == 'x';

			assert_false(config_session_is_inside(&f.config, a, b));
			b->public_key.bytes[0] = 2;
			assert_false(config_session_is_inside(&f.config, a, b));
			a->public_key.bytes[0] = 1;
			assert_int_equal(config_session_is_inside(&f.config, a, b), encrypts);
			assert_int_equal(config_session_is_inside(&f.config, b, a), encrypts);
			assert_false(config_session_is_inside(&f.config, a, a));
			b->foreign = true;
			assert_false(config_session_is_inside(&f.config, a, b));
			assert_false(config_session_is_inside(&f.config, b, a));
			a->public_key.bytes[0] = 0;
		}
		hmap_fini(&f.config.pair_by_sites);
	}
	f.config.nodes = f.nodes;
	f.config.n_nodes = 3;
	f.nodes[2].underlay = &address;
	f.nodes[2].n_underlay = 1;
	assert_ptr_equal(config_node_at(&f.config, &address), &f.nodes[2]);
	other.bytes[15] = 4;
	assert_null(config_node_at(&f.config, &other));
}

/* What is left of an earlier run: by whom it belongs to, whoever else there is between the two. */
static void next_hops_are_encrypted_as_who_they_belong_to(void **state)
{
	static const struct {
		const char *tenant, *network, *node; /* of none: of a router of the tenant's */
		bool gateway, encrypted;
	} cases[] = {
		{"red", "red/open", "b", false, false},
		{"red", "red/open", "b", true, true}, /* what is routed goes by it, too */
		{"red", "red/secret", "b", false, true},
		{"red", NULL, "b", false, true},
		{"blue", NULL, "b", false, false},
		{"red", "red/gone", "b", false, true},
		{"red", "red/open", NULL, false, false}, /* a VTEP that no file names */
		{"red", "red/secret", NULL, false, true},
		{"blue", NULL, NULL, false, false},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct addr known = {.bytes = {[0] = 0x20, [15] = 2}}, stranger = {.bytes = {[0] = 0x20, [15] = 3}}, gateway = known;
		struct config_site sites[] = {{.name = (char *)"east"}, {.name = (char *)"west"}};
		struct config_node nodes[] = {{.name = (char *)"a", .site = &sites[0]},
					      {.name = (char *)"b", .site = &sites[1], .underlay = &known, .n_underlay = 1}};
		struct config_network red[] = {
			{.full_name = (char *)"red/open", .encryption_own = true, .gateways = &gateway,
			 .n_gateways = cases[i].gateway},
			{.full_name = (char *)"red/secret", .encryption_own = true, .encryption = CONFIG_ENCRYPTION_ALWAYS},
		};
		struct config_tenant tenants[] = {{.name = (char *)"blue"},
						  {.name = (char *)"red", .networks = red, .n_networks = 2,
						   .encryption_own = CONFIG_ENCRYPTION_ALWAYS}};
		struct config c = {.nodes = nodes, .n_nodes = 2, .tenants = tenants, .n_tenants = 2};
		struct fwd_nexthop n = {.remote = cases[i].node ? known : stranger, .router_mac.bytes = {2, 1}};
		char text[ADDR_TEXT_SIZE];
		const char *name = cases[i].node ? cases[i].node : addr_format(&stranger, text);

		n.owner = cases[i].network ? fwd_owner_tunnel(cases[i].network, name) :
					    fwd_owner_router(cases[i].tenant, name, &n.router_mac);
		assert_int_equal(config_encrypts_nexthop(&c, &nodes[0], &n), cases[i].encrypted);
		tenants[1].encryption_own = red[1].encryption = CONFIG_ENCRYPTION_NEVER;
		assert_false(config_encrypts_nexthop(&c, &nodes[0], &n));
	}
}

static void tenant_is_encrypted_when_one_of_its_networks_is(void **state)
{
	struct encrypted_fabric f;

	encrypted_fabric_init(&f, &encryption_rows[0]);
	f.tenant.encryption_own = CONFIG_ENCRYPTION_BETWEEN_SITES; /* beside one that inherits "never" */
	assert_false(config_encrypts_tenant(&f.config, &f.tenant, &f.nodes[0], &f.nodes[1]));
	assert_true(config_encrypts_tenant(&f.config, &f.tenant, &f.nodes[0], &f.nodes[2]));
	f.config.encryption = CONFIG_ENCRYPTION_ALWAYS;
	assert_true(config_encrypts_tenant(&f.config, &f.tenant, &f.nodes[0], &f.nodes[1]));
	f.tenant.encryption_own = CONFIG_ENCRYPTION_NEVER; /* the same the other way round */
	assert_true(config_encrypts_tenant(&f.config, &f.tenant, &f.nodes[0], &f.nodes[1]));
	hmap_fini(&f.config.pair_by_sites);
}

static void site_pair_has_its_preshared_key_or_that_of_the_fabric(void **state)
{
	struct encrypted_fabric f;

	encrypted_fabric_init(&f, &encryption_rows[3]);
	assert_null(config_preshared_key_file(&f.config, &f.nodes[0], &f.nodes[2]));
	f.config.preshared_key_file = (char *)"/fabric";
	assert_string_equal(config_preshared_key_file(&f.config, &f.nodes[0], &f.nodes[2]), "/fabric");
	f.pairs[1].preshared_key_file = (char *)"/pair";
	assert_string_equal(config_preshared_key_file(&f.config, &f.nodes[2], &f.nodes[0]), "/pair");
	assert_string_equal(config_preshared_key_file(&f.config, &f.nodes[0], &f.nodes[1]), "/fabric");
	hmap_fini(&f.config.pair_by_sites);
}

/* Each layer around the inner packet in its place; what is encrypted is a multiple of 16 long. */
static void tunnel_mtu_leaves_room_for_every_header(void **state)
{
	static const struct {
		uint32_t path;
		bool v4, secure;
		uint32_t mtu;
	} paths[] = {
		{1500, true, false, 1450}, {1500, false, false, 1430}, {1500, true, true, 1390}, {1500, false, true, 1338},
		{9000, true, true, 8878},  {1499, true, true, 1374},   {1280, false, true, 1130}, {130, true, false, 80},
		{117, true, false, 68},	   {60, true, true, 68},       {0, false, true, 68},	  {0, true, false, 68},
	};

	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
		assert_int_equal(fwd_tunnel_mtu(paths[i].path, paths[i].v4, paths[i].secure), paths[i].mtu);
	for (uint32_t path = 400; path < 9100; path++)
		for (int v4 = 0; v4 < 2; v4++) {
			uint32_t payload = fwd_tunnel_mtu(path, v4, true) + FWD_OVERHEAD_VXLAN(v4);
			uint32_t padded = (payload + 15) / 16 * 16;

			assert_true(padded + FWD_OVERHEAD_SECURE(v4) <= path);
			assert_true(padded + 16 + FWD_OVERHEAD_SECURE(v4) > path); /* and none is left */
		}
}

static void enumerations_have_names(void **state)
{
	assert_string_equal(route_source_name(ROUTE_SOURCE_LOCAL), "local");
	assert_string_equal(route_source_name(ROUTE_SOURCE_BGP), "bgp");
	assert_string_equal(route_source_name(ROUTE_SOURCE_CONFIG), "config");
	assert_string_equal(route_source_name(ROUTE_SOURCE_WAITING), "waiting");
	assert_string_equal(config_mode_name(CONFIG_MODE_L3), "l3");
	assert_string_equal(config_encap_name(CONFIG_ENCAP_VXLAN), "vxlan");
	assert_string_equal(config_encryption_name(CONFIG_ENCRYPTION_NEVER), "never");
	assert_string_equal(config_encryption_name(CONFIG_ENCRYPTION_BETWEEN_SITES), "between-sites");
	config_free(NULL);
}

/* A message that fits a path in full fits both halves of one through a relay that counts as that path. */
static void what_goes_through_a_relay_fits_both_halves(void **state)
{
	for (uint32_t first = 1280; first <= 9000; first += 7)
		for (int families = 0; families < 8; families++) {
			bool v4a = families & 1, v4b = families & 2, v4 = families & 4;
			uint32_t second = 10000 - first, path = fwd_relay_mtu(first, v4a, second, v4b, v4);
			uint32_t message = path - (FWD_OVERHEAD_SECURE(v4) - FWD_OVERHEAD_MESSAGE);
			uint32_t a = first - FWD_OVERHEAD_SECURE(v4a) - 16, b = second - FWD_OVERHEAD_SECURE(v4b) - 16;

			assert_int_equal(message % 16, 0);
			assert_true(message <= a && message <= b);
			assert_true(message + 16 > a || message + 16 > b);
		}
	assert_int_equal(fwd_relay_mtu(1500, true, 1500, true, true), 1452);
	assert_int_equal(fwd_tunnel_mtu(1452, true, true), 1342);
	assert_int_equal(fwd_relay_mtu(76, true, 1500, true, true), 0);
	assert_int_equal(fwd_relay_mtu(1500, true, 0, true, true), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(peer_has_an_interface_named_after_it),
		cmocka_unit_test(peer_has_a_mac_of_its_key),
		cmocka_unit_test(router_mac_depends_on_the_set_of_underlay_addresses),
		cmocka_unit_test(router_id_is_the_ipv4_address_or_made_from_the_name),
		cmocka_unit_test(mesh_is_there_while_nobody_reflects),
		cmocka_unit_test(neighbor_without_nodes_is_for_all_that_run_isthmusd),
		cmocka_unit_test(families_depend_on_the_side_of_the_border),
		cmocka_unit_test(paths_prefer_the_order_of_the_far_node),
		cmocka_unit_test(paths_take_no_more_than_either_end_says),
		cmocka_unit_test(both_ends_of_a_session_choose_the_same_addresses),
		cmocka_unit_test(owners_differ_and_are_never_nobody),
		cmocka_unit_test(entries_are_told_apart_by_key_and_value),
		cmocka_unit_test(network_goes_before_site_pair_and_that_before_fabric),
		cmocka_unit_test(sessions_ride_inside_where_both_have_keys_and_encrypt),
		cmocka_unit_test(next_hops_are_encrypted_as_who_they_belong_to),
		cmocka_unit_test(tenant_is_encrypted_when_one_of_its_networks_is),
		cmocka_unit_test(site_pair_has_its_preshared_key_or_that_of_the_fabric),
		cmocka_unit_test(tunnel_mtu_leaves_room_for_every_header),
		cmocka_unit_test(what_goes_through_a_relay_fits_both_halves),
		cmocka_unit_test(enumerations_have_names),
	};

	return cmocka_run_group_tests_name("model", tests, NULL, NULL);
}
