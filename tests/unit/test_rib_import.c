/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What becomes of a route of somebody else's, row by row: a good one of each type, and then one thing wrong at a time.
 * Tenant red is 5000 with the network 5001, tenant blue 6000 with 6001; this node is 192.0.2.1 in AS 65000.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "rib/import.h"

static long allocations_left = -1; /* -1: without end */

static bool may_allocate(void)
{
	if (allocations_left < 0)
		return true;
	return allocations_left > 0 && allocations_left-- > 0;
}

void *__real_calloc(size_t n, size_t size);
void *__real_reallocarray(void *p, size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_reallocarray(void *p, size_t n, size_t size);

void *__wrap_calloc(size_t n, size_t size)
{
	return may_allocate() ? __real_calloc(n, size) : NULL;
}

void *__wrap_reallocarray(void *p, size_t n, size_t size)
{
	return may_allocate() ? __real_reallocarray(p, n, size) : NULL;
}

/* ---- routes as rows ---- */

enum { RED = 5000, RED_WEB = 5001, BLUE = 6000, BLUE_WEB = 6001, AS = 65000 };

struct change { /* from a good route; what is left out is as there */
	const char *what;
	enum import_verdict verdict;
	const char *values; /* what comes out */
	uint32_t target, target2; /* the VNI in it; 0 = as in the good one, 1 = none */
	uint32_t label, label2;
	uint32_t tag, tunnels, has, no_has;
	const char *next_hop, *address, *gateway, *mac, *endpoint;
	uint8_t pmsi_type, length, esi, n_labels;
};

#define MAC_VALUES "mac 5001/5000 02:00:00:00:00:02 192.0.2.2; host 5001/5000 10.0.1.12 02:00:00:00:00:02 192.0.2.2; "
#define L3_HOST "host 5000/5000 10.0.1.12 via 02:00:00:00:00:ff 192.0.2.2; "

static const struct change macs[] = {
	{"a MAC and its address in the network", IMPORT_ACCEPTED, MAC_VALUES},
	{"the same for a tenant that has the network not here", IMPORT_ACCEPTED, L3_HOST, .target = RED, .label2 = RED,
	 .n_labels = 2},
	{"both", IMPORT_ACCEPTED, L3_HOST MAC_VALUES, .target2 = RED, .label2 = RED, .n_labels = 2},
	{"both, but only one label", IMPORT_ACCEPTED, MAC_VALUES, .target2 = RED},
	{"a MAC alone", IMPORT_ACCEPTED, "mac 5001/5000 02:00:00:00:00:02 192.0.2.2; ", .length = 1},
	{"a link-local address is no host", IMPORT_ACCEPTED, "mac 5001/5000 02:00:00:00:00:02 192.0.2.2; ",
	 .address = "fe80::1"},
	{"without the encapsulation community it is VXLAN", IMPORT_ACCEPTED, MAC_VALUES, .tunnels = 1},
	{"VXLAN among others", IMPORT_ACCEPTED, MAC_VALUES, .tunnels = 1 << ROUTE_TUNNEL_VXLAN | 1 << ROUTE_TUNNEL_GENEVE},
	{"the VNI as tag", IMPORT_ACCEPTED, MAC_VALUES, .tag = RED_WEB},
	{"no target", IMPORT_TARGET, "", .target = 1},
	{"nobody's target", IMPORT_TARGET, "", .target = 7777},
	{"MPLS only", IMPORT_ENCAPSULATION, "", .tunnels = 1 << ROUTE_TUNNEL_MPLS},
	{"this node as next hop", IMPORT_NEXT_HOP, "", .next_hop = "192.0.2.1"},
	{"this node's other address as next hop", IMPORT_NEXT_HOP, "", .next_hop = "2001:db8::1"},
	{"a multicast next hop", IMPORT_NEXT_HOP, "", .next_hop = "224.0.0.1"},
	{"next hop 0", IMPORT_NEXT_HOP, "", .next_hop = "0.0.0.0"},
	{"a loopback next hop", IMPORT_NEXT_HOP, "", .next_hop = "127.0.0.1"},
	{"another VNI than the network's", IMPORT_VNI, "", .label = 5002},
	{"another tenant's VNI by this one's target", IMPORT_VNI, "", .label = BLUE_WEB},
	{"the tenant's VNI for a MAC", IMPORT_VNI, "", .label = RED},
	{"VNI 0", IMPORT_VNI, "", .label = UINT32_MAX},
	{"another tenant's VNI as the second label", IMPORT_VNI, "", .target = RED, .label2 = BLUE, .n_labels = 2},
	{"no router's MAC for a tenant's host", IMPORT_ROUTER_MAC, "", .target = RED, .label2 = RED, .n_labels = 2,
	 .no_has = ROUTE_HAS_ROUTER_MAC},
	{"a strange tag", IMPORT_TAG, "", .tag = 3},
	{"a multicast MAC", IMPORT_MAC, "", .mac = "03:00:00:00:00:02"},
	{"MAC 0", IMPORT_MAC, "", .mac = "00:00:00:00:00:00"},
	{"a multicast address", IMPORT_ADDRESS, "", .address = "224.0.0.1"},
	{"a loopback address", IMPORT_ADDRESS, "", .address = "::1"},
	{"a prefix in place of an address", IMPORT_ADDRESS, "", .length = 120},
	{"a default gateway", IMPORT_DEFAULT_GATEWAY, "", .has = ROUTE_HAS_DEFAULT_GATEWAY},
};

static const struct change imets[] = {
	{"a member", IMPORT_ACCEPTED, "flood 5001/5000 192.0.2.2; "},
	{"by the tenant's target", IMPORT_TARGET, "", .target = RED},
	{"no PMSI", IMPORT_PMSI, "", .pmsi_type = 255},
	{"a multicast tree", IMPORT_PMSI, "", .pmsi_type = 3},
	{"to somebody else", IMPORT_PMSI, "", .endpoint = "192.0.2.3"},
	{"another VNI", IMPORT_VNI, "", .label = RED},
	{"a strange tag", IMPORT_TAG, "", .tag = 3},
	{"MPLS only", IMPORT_ENCAPSULATION, "", .tunnels = 1 << ROUTE_TUNNEL_MPLS},
};

static const struct change prefixes[] = {
	{"a prefix", IMPORT_ACCEPTED, "prefix 5000/5000 10.0.2.0/24 via 02:00:00:00:00:ff 192.0.2.2; "},
	{"a host", IMPORT_ACCEPTED, "host 5000/5000 10.0.2.0 via 02:00:00:00:00:ff 192.0.2.2; ", .length = 128},
	{"a default route", IMPORT_ACCEPTED, "prefix 5000/5000 0.0.0.0/0 via 02:00:00:00:00:ff 192.0.2.2; ",
	 .address = "0.0.0.0", .length = 96},
	{"by a network's target", IMPORT_TARGET, "", .target = RED_WEB},
	{"by a gateway", IMPORT_OVERLAY_INDEX, "", .gateway = "10.0.1.12"},
	{"by an Ethernet segment", IMPORT_OVERLAY_INDEX, "", .esi = 1},
	{"another tenant's VNI", IMPORT_VNI, "", .label = BLUE},
	{"no router's MAC", IMPORT_ROUTER_MAC, "", .no_has = ROUTE_HAS_ROUTER_MAC},
	{"multicast", IMPORT_ADDRESS, "", .address = "239.0.0.0", .length = 104},
	{"host 0", IMPORT_ADDRESS, "", .address = "0.0.0.0", .length = 128},
	{"loopback", IMPORT_ADDRESS, "", .address = "127.0.0.0", .length = 104},
};

static struct addr address(const char *text)
{
	struct addr a;

	assert_int_equal(addr_parse(text, &a), 0);
	return a;
}

static struct attrs *attrs;
static struct import im;
static char out[512];

static void on_value(void *arg, const struct imported *v)
{
	static const char *const kinds[] = {"mac", "host", "prefix", "flood"};
	char text[PREFIX_TEXT_SIZE + 2 * MAC_TEXT_SIZE + 16] = "", prefix[PREFIX_TEXT_SIZE], mac[MAC_TEXT_SIZE];
	char node[ADDR_TEXT_SIZE];
	size_t length = strlen(out);

	if (v->kind == IMPORTED_HOST)
		snprintf(text, sizeof(text), "%s ", addr_format(&v->prefix.addr, prefix));
	if (v->kind == IMPORTED_PREFIX)
		snprintf(text, sizeof(text), "%s ", prefix_format(&v->prefix, prefix));
	if (v->l3)
		snprintf(text + strlen(text), sizeof(text) - strlen(text), "via %s ", mac_format(&v->router_mac, mac));
	else if (v->kind != IMPORTED_FLOOD)
		snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s ", mac_format(&v->mac, mac));
	snprintf(out + length, sizeof(out) - length, "%s %u/%u %s%s; ", kinds[v->kind], v->vni, v->tenant, text,
		 addr_format(&v->node, node));
}

static uint32_t or(uint32_t changed, uint32_t good)
{
	return changed == 0 ? good : changed == UINT32_MAX ? 0 : changed;
}

static size_t targets_of(const struct change *c, enum route_evpn_type type, uint64_t extended[static 2])
{
	size_t n = 0;

	if (c->target != 1)
		extended[n++] = extended_target_as2(AS, or(c->target, type == ROUTE_EVPN_PREFIX ? RED : RED_WEB));
	if (c->target2)
		extended[n++] = extended_target_as2(AS, c->target2);
	return n;
}

static void pmsi_of(const struct change *c, uint8_t pmsi[static 9])
{
	struct addr endpoint = address(c->endpoint ? c->endpoint : "192.0.2.2");
	uint32_t vni = or(c->label, RED_WEB);

	pmsi[1] = c->pmsi_type ? c->pmsi_type : ROUTE_PMSI_INGRESS_REPLICATION;
	for (int i = 0; i < 3; i++)
		pmsi[2 + i] = (uint8_t)(vni >> (16 - 8 * i));
	memcpy(pmsi + 5, endpoint.bytes + 12, 4);
}

static const struct route_attrs *attrs_of(const struct change *c, enum route_evpn_type type)
{
	const struct route_attrs *set;
	uint64_t extended[6];
	uint8_t pmsi[9] = {0};
	struct mac router = {{2, 0, 0, 0, 0, 0xff}};
	uint32_t tunnels = c->tunnels ? c->tunnels & ~1u : 1u << ROUTE_TUNNEL_VXLAN;
	struct route_attrs a = {.next_hop = address(c->next_hop ? c->next_hop : "192.0.2.2"), .extended = extended};

	a.n_extended = (uint32_t)targets_of(c, type, extended);
	for (uint32_t t = 0; t < 32; t++)
		if (tunnels & 1u << t)
			extended[a.n_extended++] = extended_tunnel(t);
	if (!(c->no_has & ROUTE_HAS_ROUTER_MAC))
		extended[a.n_extended++] = extended_router_mac(&router);
	if (c->has & ROUTE_HAS_DEFAULT_GATEWAY)
		extended[a.n_extended++] = extended_default_gateway();
	if (type == ROUTE_EVPN_IMET && c->pmsi_type != 255) {
		pmsi_of(c, pmsi);
		a.pmsi = pmsi;
		a.pmsi_size = sizeof(pmsi);
	}
	assert_int_equal(attrs_intern(attrs, &a, &set), 0);
	return set;
}

static struct route_nlri nlri_of(const struct change *c, enum route_evpn_type type)
{
	struct route_nlri n = {.key = {.family = ROUTE_EVPN, .type = type, .tag = c->tag, .length = 128},
			       .esi = {{c->esi}},
			       .n_labels = type == ROUTE_EVPN_IMET ? 0 : c->n_labels ? c->n_labels : 1};

	if (type == ROUTE_EVPN_MAC) {
		assert_int_equal(mac_parse(c->mac ? c->mac : "02:00:00:00:00:02", &n.key.mac), 0);
		n.key.addr = address(c->address ? c->address : "10.0.1.12");
		n.label[0] = or(c->label, RED_WEB);
		n.label[1] = c->label2;
		if (c->length)
			n.key.length = c->length == 1 ? 0 : c->length;
		if (n.key.length == 0)
			n.key.addr = (struct addr){0};
	} else if (type == ROUTE_EVPN_PREFIX) {
		n.key.addr = address(c->address ? c->address : "10.0.2.0");
		n.key.length = c->length ? c->length : 120;
		n.label[0] = or(c->label, RED);
		if (c->gateway)
			n.gateway = address(c->gateway);
	} else {
		n.key.addr = address("192.0.2.2");
	}
	return n;
}

static enum import_verdict look(const struct change *c, enum route_evpn_type type, uint16_t source)
{
	const struct route_attrs *set = attrs_of(c, type);
	struct routes_candidate candidate = {.nlri = nlri_of(c, type), .attrs = set, .source = source};
	enum import_verdict v;

	out[0] = '\0';
	v = import_route(&im, &candidate, on_value, NULL);
	attrs_unref(attrs, set);
	return v;
}

static void check(const struct change *rows, size_t n, enum route_evpn_type type)
{
	for (size_t i = 0; i < n; i++) {
		enum import_verdict v = look(&rows[i], type, 0);

		if (v != rows[i].verdict || strcmp(out, rows[i].values) != 0)
			fail_msg("%s: %s, %s", rows[i].what, import_verdict_name(v), out);
	}
}

static int up(void **state)
{
	const struct addr addresses[2] = {address("192.0.2.1"), address("2001:db8::1")};

	assert_int_equal(attrs_new(&attrs), 0);
	import_init(&im, attrs, AS, addresses);
	assert_int_equal(import_vrf_put(&im, RED, RED, NULL, 0), 0);
	assert_int_equal(import_vrf_put(&im, RED_WEB, RED, NULL, 0), 0);
	assert_int_equal(import_vrf_put(&im, BLUE, BLUE, NULL, 0), 0);
	assert_int_equal(import_vrf_put(&im, BLUE_WEB, BLUE, NULL, 0), 0);
	return 0;
}

static int down(void **state)
{
	import_fini(&im);
	assert_int_equal(attrs_length(attrs), 0);
	attrs_free(attrs);
	return 0;
}

static void mac_routes_are_looked_at(void **state)
{
	check(macs, sizeof(macs) / sizeof(macs[0]), ROUTE_EVPN_MAC);
}

static void imet_routes_are_looked_at(void **state)
{
	check(imets, sizeof(imets) / sizeof(imets[0]), ROUTE_EVPN_IMET);
}

static void prefix_routes_are_looked_at(void **state)
{
	check(prefixes, sizeof(prefixes) / sizeof(prefixes[0]), ROUTE_EVPN_PREFIX);
}

static void other_routes_are_nobodys(void **state)
{
	struct routes_candidate c = {0};

	for (int type = 0; type < ROUTE_EVPN_MAX; type++) {
		if (type == ROUTE_EVPN_MAC || type == ROUTE_EVPN_IMET || type == ROUTE_EVPN_PREFIX)
			continue;
		c.nlri.key = (struct route_key){.family = ROUTE_EVPN, .type = (uint8_t)type};
		assert_int_equal(import_route(&im, &c, on_value, NULL), IMPORT_TYPE);
	}
}

/* Tenant green has no encapsulation: 10.7.0.0/24 with gateway 10.7.0.1, 10.9.0.0/16, fd00:7::/64. */
enum { GREEN = 7000 };

static int put_green(size_t n_subnets)
{
	struct prefix subnets[] = {{address("fd00:7::"), 64}, {address("10.9.0.0"), 112}, {address("10.7.0.0"), 120}};
	struct addr gateway = address("10.7.0.1");
	struct config_network network = {.subnets = subnets + 3 - n_subnets, .n_subnets = n_subnets, .gateways = &gateway, .n_gateways = 1};
	struct config_tenant green = {.vni = GREEN, .networks = &network, .n_networks = 1};

	return import_native_set(&im, &green);
}

static enum import_verdict look_unicast(const char *host, uint8_t length, const char *hop, uint16_t source)
{
	struct route_attrs a = {.next_hop = address(hop)};
	struct routes_candidate c = {.nlri.key = {.family = strchr(host, ':') ? ROUTE_IPV6 : ROUTE_IPV4,
						  .addr = address(host), .length = length},
				     .source = source};
	enum import_verdict v;

	assert_int_equal(attrs_intern(attrs, &a, &c.attrs), 0);
	out[0] = '\0';
	v = import_route(&im, &c, on_value, NULL);
	attrs_unref(attrs, c.attrs);
	return v;
}

static void unicast_routes_are_looked_at(void **state)
{
	static const struct {
		const char *host, *hop;
		uint8_t length;
		enum import_verdict verdict;
	} rows[] = {
		{"10.7.0.12", "192.0.2.2", 128, IMPORT_ACCEPTED},
		{"10.7.0.0", "192.0.2.2", 128, IMPORT_ACCEPTED}, /* the ends of a subnet are hosts where nobody broadcasts */
		{"10.9.255.255", "192.0.2.2", 128, IMPORT_ACCEPTED},
		{"fd00:7::12", "2001:db8::2", 128, IMPORT_ACCEPTED},
		{"10.7.0.12", "2001:db8::2", 128, IMPORT_ACCEPTED}, /* RFC 8950 */
		{"fd00:7::12", "192.0.2.2", 128, IMPORT_NEXT_HOP},
		{"10.7.0.12", "192.0.2.1", 128, IMPORT_NEXT_HOP}, /* ourselves */
		{"10.7.0.12", "10.7.0.13", 128, IMPORT_NEXT_HOP}, /* an endpoint, of this network and of another */
		{"10.7.0.12", "10.9.0.1", 128, IMPORT_NEXT_HOP},
		{"10.7.0.12", "0.0.0.0", 128, IMPORT_NEXT_HOP},
		{"10.7.0.12", "fe80::1", 128, IMPORT_NEXT_HOP},
		{"10.7.0.1", "192.0.2.2", 128, IMPORT_DEFAULT_GATEWAY},
		{"10.7.0.0", "192.0.2.2", 120, IMPORT_NO_HOST},
		{"0.0.0.0", "192.0.2.2", 96, IMPORT_NO_HOST},
		{"10.6.255.255", "192.0.2.2", 128, IMPORT_SUBNET},
		{"10.7.1.0", "192.0.2.2", 128, IMPORT_SUBNET},
		{"10.10.0.0", "192.0.2.2", 128, IMPORT_SUBNET},
		{"192.0.2.9", "192.0.2.2", 128, IMPORT_SUBNET},
		{"fd00:8::", "2001:db8::2", 128, IMPORT_SUBNET},
	};
	char want[128];

	assert_int_equal(look_unicast("10.7.0.12", 128, "192.0.2.2", 0), IMPORT_NO_NATIVE);
	assert_int_equal(put_green(3), 1);
	assert_int_equal(put_green(3), 0);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		enum import_verdict v = look_unicast(rows[i].host, rows[i].length, rows[i].hop, 0);

		snprintf(want, sizeof(want), "host 7000/7000 %s via 00:00:00:00:00:00 %s; ", rows[i].host, rows[i].hop);
		if (v != rows[i].verdict || strcmp(out, v == IMPORT_ACCEPTED ? want : "") != 0)
			fail_msg("%s/%u by %s: %s, %s", rows[i].host, rows[i].length, rows[i].hop, import_verdict_name(v), out);
	}
	assert_int_equal(import_limit(&im, 7, (const uint32_t[]){RED}, 1), 0);
	assert_int_equal(look_unicast("10.7.0.12", 128, "192.0.2.2", 7), IMPORT_GRANT);
	assert_int_equal(import_limit(&im, 7, (const uint32_t[]){GREEN}, 1), 0);
	assert_int_equal(look_unicast("10.7.0.12", 128, "192.0.2.2", 7), IMPORT_ACCEPTED);
	assert_int_equal(import_native_set(&im, NULL), 1);
	assert_int_equal(look_unicast("10.7.0.12", 128, "192.0.2.2", 0), IMPORT_NO_NATIVE);
}

/* ... and so no tunnel ends at one of its addresses, whoever says so. */
static void endpoints_without_encapsulation_are_no_next_hops(void **state)
{
	const struct change c = {.next_hop = "10.7.0.12"};

	assert_int_equal(look(&c, ROUTE_EVPN_MAC, 0), IMPORT_ACCEPTED);
	assert_int_equal(put_green(3), 1);
	assert_int_equal(look(&c, ROUTE_EVPN_MAC, 0), IMPORT_NEXT_HOP);
}

static void hop_of_a_family_that_this_node_lacks_is_refused(void **state)
{
	assert_int_equal(put_green(3), 1);
	im.own[1] = (struct addr){0};
	assert_int_equal(look_unicast("10.7.0.12", 128, "2001:db8::2", 0), IMPORT_NEXT_HOP);
	assert_int_equal(look_unicast("10.7.0.12", 128, "192.0.2.2", 0), IMPORT_ACCEPTED);
}

static void unicast_is_wanted_with_the_tenant_and_within_its_subnets(void **state)
{
	struct route_key in = {.addr = address("10.7.0.12"), .length = 128}, outside = {.addr = address("10.8.0.12"), .length = 128};
	struct route_key prefix = {.addr = address("10.7.0.0"), .length = 120};

	assert_int_equal(put_green(3), 1);
	assert_false(import_wants_host(&im, &in));
	import_want(&im, GREEN, true);
	assert_true(import_wants_host(&im, &in));
	assert_false(import_wants_host(&im, &outside));
	assert_false(import_wants_host(&im, &prefix));
	import_want(&im, RED, false);
	assert_true(import_wants_host(&im, &in));
	import_want(&im, GREEN, false);
	assert_false(import_wants_host(&im, &in));
}

static void memory_running_out_leaves_the_native_tenant_as_it_was(void **state)
{
	int r = -1;

	assert_int_equal(put_green(2), 1);
	for (long allowed = 0; r < 0; allowed++) {
		assert_in_range(allowed, 0, 10);
		assert_int_equal(look_unicast("10.9.0.1", 128, "192.0.2.2", 0), IMPORT_ACCEPTED);
		assert_int_equal(look_unicast("fd00:7::1", 128, "2001:db8::2", 0), IMPORT_SUBNET);
		allocations_left = allowed;
		r = put_green(3);
		allocations_left = -1;
	}
	assert_int_equal(look_unicast("fd00:7::1", 128, "2001:db8::2", 0), IMPORT_ACCEPTED);
}

static void automatic_targets_come_from_as_and_vni(void **state)
{
	static const struct {
		uint32_t as, vni;
		uint64_t plain, derived;
	} rows[] = {
		{65000, 5001, 0x0002fde800001389, 0x0002fde810001389},
		{1, 1, 0x0002000100000001, 0x0002000110000001},
		{65535, 0xffffff, 0x0002ffff00ffffff, 0x0002ffff10ffffff},
		{65536 + 7, 5001, 0x0002000700001389, 0x0002000710001389}, /* four bytes: the lower two */
		{4200000001, 0xffffff, 0x0002ea0100ffffff, 0x0002ea0110ffffff},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint64_t targets[IMPORT_AUTO_TARGETS];

		import_auto_targets(rows[i].as, rows[i].vni, targets);
		assert_int_equal(targets[0], rows[i].plain);
		assert_int_equal(targets[1], rows[i].derived);
	}
}

static void both_automatic_forms_are_taken(void **state)
{
	struct change c = {.target = 0x10000000 | RED_WEB};

	assert_int_equal(look(&c, ROUTE_EVPN_MAC, 0), IMPORT_ACCEPTED);
	assert_string_equal(out, MAC_VALUES);
	c.target2 = RED_WEB; /* both in one route: taken once */
	assert_int_equal(look(&c, ROUTE_EVPN_MAC, 0), IMPORT_ACCEPTED);
	assert_string_equal(out, MAC_VALUES);
}

static void targets_by_hand_replace_the_automatic_ones(void **state)
{
	const uint64_t by_hand[] = {extended_target_as2(AS, 77), extended_target_as2(AS, 78)};
	const struct change automatic = {0}, hand = {.target = 78};

	assert_int_equal(look(&automatic, ROUTE_EVPN_MAC, 0), IMPORT_ACCEPTED);
	assert_int_equal(import_vrf_put(&im, RED_WEB, RED, by_hand, 2), 0);
	assert_int_equal(look(&automatic, ROUTE_EVPN_MAC, 0), IMPORT_TARGET);
	assert_int_equal(look(&hand, ROUTE_EVPN_MAC, 0), IMPORT_ACCEPTED);
	assert_int_equal(import_vrf_put(&im, BLUE_WEB, BLUE, by_hand, 2), 0); /* one target, two takers */
	assert_int_equal(look(&hand, ROUTE_EVPN_MAC, 0), IMPORT_ACCEPTED);
	assert_string_equal(out, MAC_VALUES); /* it has red's VNI: nothing for blue */
	import_vrf_remove(&im, RED_WEB);
	assert_int_equal(look(&hand, ROUTE_EVPN_MAC, 0), IMPORT_VNI);
	import_vrf_remove(&im, BLUE_WEB);
	assert_int_equal(look(&hand, ROUTE_EVPN_MAC, 0), IMPORT_TARGET);
	import_vrf_remove(&im, BLUE_WEB);
}

static void neighbor_speaks_only_for_tenants_it_was_granted(void **state)
{
	const struct change red = {0}, blue = {.target = BLUE_WEB, .label = BLUE_WEB};
	const uint32_t only_blue[] = {BLUE};

	assert_int_equal(import_limit(&im, 7, only_blue, 1), 0);
	assert_int_equal(look(&red, ROUTE_EVPN_MAC, 7), IMPORT_GRANT);
	assert_string_equal(out, "");
	assert_int_equal(look(&blue, ROUTE_EVPN_MAC, 7), IMPORT_ACCEPTED);
	assert_int_equal(look(&red, ROUTE_EVPN_MAC, 8), IMPORT_ACCEPTED);
	assert_int_equal(import_limit(&im, 7, NULL, 0), 0);
	assert_int_equal(look(&blue, ROUTE_EVPN_MAC, 7), IMPORT_GRANT);
	import_unlimit(&im, 7);
	assert_int_equal(look(&red, ROUTE_EVPN_MAC, 7), IMPORT_ACCEPTED);
}

static void failing_step_leaves_things_as_they_were(void (*step)(int *r), const struct change *c, uint16_t source,
						    enum import_verdict before, enum import_verdict after)
{
	int r = -1;

	for (long allowed = 0; r != 0; allowed++) {
		assert_in_range(allowed, 0, 50);
		assert_int_equal(look(c, ROUTE_EVPN_MAC, source), before);
		allocations_left = allowed;
		step(&r);
		allocations_left = -1;
	}
	assert_int_equal(look(c, ROUTE_EVPN_MAC, source), after);
}

static void retarget(int *r)
{
	*r = import_vrf_put(&im, RED_WEB, RED, (const uint64_t[]){1, 2, 3}, 3);
}

static void add_network(int *r)
{
	*r = import_vrf_put(&im, 7777, RED, NULL, 0);
}

static void limit(int *r)
{
	*r = import_limit(&im, 3, (const uint32_t[]){RED}, 1);
}

static void limit_otherwise(int *r)
{
	*r = import_limit(&im, 3, (const uint32_t[]){BLUE}, 1);
}

static void subnet(int *r)
{
	const struct prefix only = {.addr = address("10.0.2.0"), .length = 120};

	*r = import_subnets(&im, RED_WEB, &only, 1);
	if (*r == 1)
		*r = 0;
}

static void memory_running_out_leaves_targets_and_limits_as_they_were(void **state)
{
	const struct change red = {0}, new = {.target = 7777, .label = 7777};

	failing_step_leaves_things_as_they_were(add_network, &new, 0, IMPORT_TARGET, IMPORT_ACCEPTED);
	failing_step_leaves_things_as_they_were(limit, &red, 3, IMPORT_ACCEPTED, IMPORT_ACCEPTED);
	failing_step_leaves_things_as_they_were(limit_otherwise, &red, 3, IMPORT_ACCEPTED, IMPORT_GRANT);
	failing_step_leaves_things_as_they_were(limit, &red, 3, IMPORT_GRANT, IMPORT_ACCEPTED);
	failing_step_leaves_things_as_they_were(subnet, &red, 0, IMPORT_ACCEPTED, IMPORT_SUBNET);
	assert_int_equal(import_subnets(&im, RED_WEB, NULL, 0), 1);
	failing_step_leaves_things_as_they_were(retarget, &red, 0, IMPORT_ACCEPTED, IMPORT_TARGET);
}

/* A host elsewhere is another network's; a MAC alone is anywhere. */
static void a_network_with_subnets_refuses_hosts_outside(void **state)
{
	static const struct change inside = {"inside", IMPORT_ACCEPTED, MAC_VALUES},
				   second = {"in the second", IMPORT_ACCEPTED,
					     "mac 5001/5000 02:00:00:00:00:02 192.0.2.2; host 5001/5000 fd00:1::2 02:00:00:00:00:02 192.0.2.2; ",
					     .address = "fd00:1::2"},
				   outside = {"outside", IMPORT_SUBNET, "", .address = "10.0.2.12"},
				   outside6 = {"outside, IPv6", IMPORT_SUBNET, "", .address = "fd00:2::2"},
				   alone = {"alone", IMPORT_ACCEPTED, "mac 5001/5000 02:00:00:00:00:02 192.0.2.2; ", .length = 1},
				   elsewhere = {"outside, but of no subnets", IMPORT_ACCEPTED,
						"mac 5001/5000 02:00:00:00:00:02 192.0.2.2; host 5001/5000 10.0.2.12 02:00:00:00:00:02 192.0.2.2; ",
						.address = "10.0.2.12"};
	struct prefix subnets[2];

	assert_int_equal(prefix_parse("10.0.1.0/24", &subnets[0]), 0);
	assert_int_equal(prefix_parse("fd00:1::/64", &subnets[1]), 0);
	check(&elsewhere, 1, ROUTE_EVPN_MAC);
	assert_int_equal(import_subnets(&im, RED_WEB, subnets, 2), 1);
	assert_int_equal(import_subnets(&im, RED_WEB, subnets, 2), 0);
	assert_int_equal(import_subnets(&im, 7777, subnets, 2), 0);
	for (int i = 0; i < 2; i++) {
		check(&inside, 1, ROUTE_EVPN_MAC);
		check(&second, 1, ROUTE_EVPN_MAC);
		check(&outside, 1, ROUTE_EVPN_MAC);
		check(&outside6, 1, ROUTE_EVPN_MAC);
		check(&alone, 1, ROUTE_EVPN_MAC);
		assert_int_equal(import_vrf_put(&im, RED_WEB, RED, NULL, 0), 0); /* other targets, the same subnets */
	}
	assert_int_equal(import_subnets(&im, RED_WEB, NULL, 0), 1);
	check(&elsewhere, 1, ROUTE_EVPN_MAC);
}

#define SHARING 60000u

static void count_vrf(void *arg, const struct imported *v)
{
	size_t *n = arg;

	(*n)++;
}

/* Each is found once, by either or both; looking for each among all the others would take minutes. */
static void many_networks_share_two_targets(void **state)
{
	const uint64_t targets[2] = {extended_target_as2(AS, 1), extended_target_as2(AS, 2)};
	struct route_attrs a = {.next_hop = address("192.0.2.2"), .has = ROUTE_HAS_MED, .extended = targets, .n_extended = 2};
	struct routes_candidate c = {.nlri = {.key = {.family = ROUTE_EVPN, .type = ROUTE_EVPN_MAC, .mac = {{2}}}, .n_labels = 1}};

	for (uint32_t vni = 1; vni <= SHARING; vni++)
		assert_int_equal(import_vrf_put(&im, 100000 + vni, RED, targets, 2), 0);
	for (a.med = 1; a.med <= 20; a.med++) {
		const struct route_attrs *set;
		size_t n = 0;

		assert_int_equal(attrs_intern(attrs, &a, &set), 0);
		c.attrs = set;
		c.nlri.label[0] = 100000 + a.med;
		assert_int_equal(import_route(&im, &c, count_vrf, &n), IMPORT_ACCEPTED);
		assert_int_equal(im.n_found, SHARING);
		assert_int_equal(n, 1);
		attrs_unref(attrs, set);
	}
}

static void verdicts_have_names(void **state)
{
	for (int v = 0; v < IMPORT_VERDICT_MAX; v++)
		for (int other = 0; other < v; other++)
			assert_string_not_equal(import_verdict_name(v), import_verdict_name(other));
}

int main(void)
{
#define RIG(test) cmocka_unit_test_setup_teardown(test, up, down)
	const struct CMUnitTest tests[] = {
		RIG(mac_routes_are_looked_at),
		RIG(imet_routes_are_looked_at),
		RIG(prefix_routes_are_looked_at),
		RIG(other_routes_are_nobodys),
		RIG(unicast_routes_are_looked_at),
		RIG(endpoints_without_encapsulation_are_no_next_hops),
		RIG(hop_of_a_family_that_this_node_lacks_is_refused),
		RIG(unicast_is_wanted_with_the_tenant_and_within_its_subnets),
		RIG(memory_running_out_leaves_the_native_tenant_as_it_was),
		cmocka_unit_test(automatic_targets_come_from_as_and_vni),
		RIG(both_automatic_forms_are_taken),
		RIG(targets_by_hand_replace_the_automatic_ones),
		RIG(neighbor_speaks_only_for_tenants_it_was_granted),
		RIG(memory_running_out_leaves_targets_and_limits_as_they_were),
		RIG(a_network_with_subnets_refuses_hosts_outside),
		RIG(many_networks_share_two_targets),
		cmocka_unit_test(verdicts_have_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
