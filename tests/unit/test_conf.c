/* SPDX-License-Identifier: Apache-2.0 */
/*
 * conf/ as its callers see it.  Exact error texts are golden files in tests/conf; here are properties: round trips of
 * random fabrics, memory that runs out anywhere, mutilated texts, places, run-time ports.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>

#include "conf/conf.h"
#include "conf/schema.h"
#include "lib/cleanup.h"

DEFINE_CLEANUP(config, struct config *, config_free)

/* ---- memory that runs out: our own allocations go through here (--wrap) ---- */

static long allocations_left = -1; /* -1: without end */

static bool may_allocate(void)
{
	if (allocations_left < 0)
		return true;
	return allocations_left > 0 && allocations_left-- > 0;
}

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_reallocarray(void *p, size_t n, size_t size);
char *__real_strdup(const char *text);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_reallocarray(void *p, size_t n, size_t size);
char *__wrap_strdup(const char *text);

void *__wrap_malloc(size_t size)
{
	return may_allocate() ? __real_malloc(size) : NULL;
}

void *__wrap_calloc(size_t n, size_t size)
{
	return may_allocate() ? __real_calloc(n, size) : NULL;
}

void *__wrap_reallocarray(void *p, size_t n, size_t size)
{
	return may_allocate() ? __real_reallocarray(p, n, size) : NULL;
}

char *__wrap_strdup(const char *text)
{
	return may_allocate() ? __real_strdup(text) : NULL;
}

/* ---- helpers ---- */

static int load(const char *text, const char *runtime, struct config **out, struct conf_errors *errors)
{
	const struct conf_source sources[] = {
		{.name = "fabric.yaml", .text = text, .size = strlen(text)},
		{.name = "ports.yaml", .text = runtime, .size = runtime ? strlen(runtime) : 0, .runtime = true},
	};

	return conf_load(sources, runtime ? 2 : 1, out, errors);
}

static struct config *loaded(const char *text, const char *runtime)
{
	struct conf_errors errors = {};
	struct config *c = NULL;

	if (load(text, runtime, &c, &errors) < 0) {
		conf_errors_print(&errors, stderr);
		conf_errors_fini(&errors);
		fail_msg("does not load:\n%s", text);
	}
	assert_int_equal(errors.length, 0);
	return c;
}

static char *emitted(const struct config *c, bool runtime_only)
{
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	assert_non_null(f);
	assert_int_equal(conf_emit(c, runtime_only, f), 0);
	fclose(f);
	return text;
}

static unsigned below(unsigned n)
{
	return (unsigned)random() % n;
}

/* `bgp` by chance: mesh or reflectors, neighbors at addresses of their own, each key now and then. */
static void random_bgp(FILE *f, unsigned n_tenants)
{
	static const char *const families[] = {"", "families: evpn, ", "families: [ipv6, ipv4], ",
					       "families: [ipv4, evpn, ipv6], "};
	static const char *const grants[] = {"none", "all", "t0", "[t0]"};
	bool reflected = below(2);

	fprintf(f, "bgp:\n  as: %u\n", 65000 + below(2));
	if (reflected)
		fprintf(f, "  reflectors: [192.0.2.100%s]\n", below(2) ? ", \"2001:db8:1::1\"" : "");
	if (below(2))
		fprintf(f, "  hold_time: %u\n  restart_time: %u\n  port: %u\n", 3 + below(1000), below(4096),
			1 + below(65535));
	fprintf(f, below(2) ? "  mesh: auto\n" : reflected ? "  mesh: none\n" : "");
	if (below(2))
		fprintf(f, "  password_file: '/etc/a \"b\\c'\n");
	fprintf(f, "  neighbors:\n");
	for (unsigned i = below(5); i > 0; i--) {
		unsigned max = n_tenants > 0 ? 4 : 2;

		fprintf(f, "    x%u: {address: 198.51.100.%u, remote_as: %u, %s", i, i, 65000 + below(3), families[below(4)]);
		if (below(2))
			fprintf(f, "import: %s, export: %s, ", grants[below(max)], grants[below(max)]);
		if (below(2))
			fprintf(f, "ttl_security: %u, maximum_prefix: %u, ", 1 + below(255), 1 + below(1000000));
		if (below(2))
			fprintf(f, "hold_time: %u, restart_time: %u, ", 3 + below(3), below(3));
		if (below(2))
			fprintf(f, "nodes: n0, password_file: /k, description: \"a: é {%u}\", ", i);
		fprintf(f, "disable_family: %s, passive: %s, shutdown: %s}\n", below(2) ? "true" : "false",
			below(2) ? "true" : "false", below(2) ? "true" : "false");
	}
}

/* A random fabric that is right: every object of it, its keys chosen by chance. */
static char *random_fabric(void)
{
	static const char *const words[] = {"", "router-advertisement", "dhcp-server", "tunnel", "routing, tunnel"};
	static const char *const odd[] = {"no", "1e3", "0755", "null", "true", "0x10", "n", "2026-11-21", "a.b-c_d"};
	unsigned n_nodes = 1 + below(6), n_tenants = below(5), vni = 1 + below(1000), port = 0;
	bool bgp = below(2);
	const char *name = odd[below(9)];
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	assert_non_null(f);
	fprintf(f, "version: 1\nfabric: {encryption: never");
	if (below(2))
		fprintf(f, ", encap: vxlan, vxlan_port: %u, gateway_mac: 02:01:02:03:04:%02x", 1 + below(65535),
			below(256));
	if (below(2))
		fprintf(f, ", wireguard_port: %u, preshared_key_file: '/a \"b'", 50000 + below(9));
	fprintf(f, "}\nsites: {dc: {}, \"%s\": {}}\n", name);
	if (below(2))
		fprintf(f, "site_pairs: {x: {sites: [\"%s\", dc], encryption: never%s}, '%s': {sites: dc, encryption: never}}\n",
			name, below(2) ? ", preshared_key_file: /b" : "", name);
	fprintf(f, "nodes:\n");
	for (unsigned i = 0; i < n_nodes; i++) {
		fprintf(f, "  n%u:\n    site: '%s'\n", i, below(2) ? "dc" : name);
		if (below(2))
			fprintf(f, "    underlay: 192.0.2.%u\n", 1 + i);
		else
			fprintf(f, "    underlay: [\"2001:db8::%x\", 192.0.2.%u]\n", 1 + i, 1 + i);
		if (below(3) == 0)
			fprintf(f, "    mtu: %u\n", 1280 + below(9000));
		if (i > 0 && below(4) == 0)
			fprintf(f, "    foreign: true\n");
		else if (below(2))
			fprintf(f, "    public_key: \"%c%s\"\n    nat: %s\n", 'a' + (int)i,
				"TNTykAcM5Ps/XfaJPqTrhbaqnfxtIzR1qtGUX+FLQY=", below(2) ? "true" : "false");
		else if (below(4) == 0)
			fprintf(f, "    interfaces: [eth%u, '\"%u\\']\n", i, i);
		else if (bgp && below(2))
			fprintf(f, "    router_id: 203.0.113.%u\n", 1 + i);
	}
	fprintf(f, "tenants:\n");
	for (unsigned t = 0; t < n_tenants; t++) {
		unsigned n_networks = 1 + below(4);

		fprintf(f, "  t%u:\n    vni: %u\n", t, vni++);
		if (bgp && below(2))
			fprintf(f, "    route_targets: {import: [\"65000:%u\", \"192.0.2.1:5\"], export: \"4200000000:%u\"}\n",
				vni, t);
		fprintf(f, "    networks:\n");
		for (unsigned n = 0; n < n_networks; n++) {
			fprintf(f, "      n%u: {subnets: [10.%u.0.0/16, \"fd00:%x::/64\"]", n, n, n);
			if (below(2))
				fprintf(f, ", gateway: [\"fd00:%x::1\", 10.%u.0.1]", n, n);
			if (below(2))
				fprintf(f, ", mode: l2, vni: %u, flood: %s, storm_limit: %s%s}\n", vni++,
					below(2) ? "true" : "false", below(2) ? "none" : "70",
					bgp && below(2) ? ", route_targets: {export: 1:1}" : "");
			else
				fprintf(f, ", mode: l3}\n");
		}
	}
	fprintf(f, "ports:\n");
	for (unsigned t = 0; t < n_tenants; t++) {
		for (unsigned k = below(4); k > 0; k--, port++)
			fprintf(f,
				"  p%u: {node: n0, interface: i%u, network: t%u/n0, mac: 02:00:00:00:00:%02x, "
				"addresses: "
				"[10.0.%u.9, \"fe80::%x:%x\"], port_security: %s, allow: [%s]}\n",
				port, port, t, port, k, t, k, below(2) ? "true" : "false", words[below(5)]);
	}
	if (bgp)
		random_bgp(f, n_tenants);
	fclose(f);
	return text;
}

static void random_fabrics_survive_a_round_trip(void **state)
{
	srandom(5);
	for (unsigned i = 0; i < 2000; i++) {
		_cleanup_(free) char *text = random_fabric(), *once = NULL, *twice = NULL;
		_cleanup_(config) struct config *a = loaded(text, NULL), *b = NULL;

		once = emitted(a, false);
		b = loaded(once, NULL);
		assert_true(config_equal(a, b));
		twice = emitted(b, false);
		assert_string_equal(once, twice);
	}
}

#define HEAD                                                                                                           \
	"version: 1\nfabric: {encryption: never}\nsites: {dc: {}}\nnodes: {n: {site: dc, underlay: 192.0.2.1}, "       \
	"m: {site: dc, underlay: 192.0.2.2}}\n"
#define TENANT                                                                                                         \
	"tenants:\n  t: {vni: 1, networks: {l2: {mode: l2, vni: 2, subnets: 10.0.1.0/24, gateway: 10.0.1.1}, "         \
	"l3: {mode: l3, subnets: 10.0.2.0/24}}}\n"
#define PORT "  p: {node: n, interface: p, network: t/l2, mac: 02:00:00:00:00:01, addresses: 10.0.1.11}\n"
#define GOOD HEAD TENANT "ports:\n" PORT
#define GOOD_BGP HEAD TENANT "  u: {vni: 7}\nports:\n" PORT BGP
#define BGP                                                                                                            \
	"bgp:\n  as: 65000\n  neighbors:\n    x: {address: 192.0.2.9, remote_as: 65001, nodes: n, import: t, "         \
	"export: t, families: ipv4, ttl_security: 1, maximum_prefix: 5, hold_time: 9, restart_time: 9, "              \
	"password_file: /x, description: d}\n    y: {address: 192.0.2.10, remote_as: 65000}\n"

/* Each key changed in turn: not equal any more, so that an apply sees it. */
struct edit {
	const char *old, *new;
};

static struct config *edited(const char *text, const struct edit *e)
{
	const char *at = strstr(text, e->old);
	_cleanup_(free) char *other = NULL;

	assert_non_null(at);
	assert_true(asprintf(&other, "%.*s%s%s", (int)(at - text), text, e->new, at + strlen(e->old)) > 0);
	return loaded(other, NULL);
}

#define KEY "pTNTykAcM5Ps/XfaJPqTrhbaqnfxtIzR1qtGUX+FLQY="
#define PAIR "sites: {dc: {}, aws: {}}\nsite_pairs: {p: {sites: [dc, aws], encryption: always, preshared_key_file: /k}}"

/* The same of what stands in a pair of sites. */
static void every_change_of_a_pair_is_seen(void **state)
{
	static const struct edit edits[] = {
		{"{p: {sites:", "{q: {sites:"},
		{"[dc, aws]", "[dc]"},
		{"[dc, aws]", "[aws]"},
		{"encryption: always", "encryption: never"},
		{"preshared_key_file: /k", "preshared_key_file: /l"},
		{", preshared_key_file: /k", ""},
	};
	_cleanup_(config) struct config *plain = loaded(GOOD, NULL);
	_cleanup_(config) struct config *first = edited(GOOD, &(struct edit){"sites: {dc: {}}", PAIR});
	_cleanup_(free) char *text = NULL;
	const char *at = strstr(GOOD, "sites: {dc: {}}");
	_cleanup_(config) struct config *same = NULL;

	assert_false(config_equal(plain, first));
	assert_true(asprintf(&text, "%.*s%s%s", (int)(at - GOOD), GOOD, PAIR, at + strlen("sites: {dc: {}}")) > 0);
	for (size_t i = 0; i < sizeof(edits) / sizeof(edits[0]); i++) {
		_cleanup_(config) struct config *other = edited(text, &edits[i]);

		if (config_equal(first, other) || config_equal(other, first))
			fail_msg("\"%s\" is not seen", edits[i].new);
	}
	same = edited(text, &(struct edit){"[dc, aws]", "[aws, dc]"});
	assert_true(config_equal(first, same));
}

static void every_change_is_seen(void **state)
{
	static const struct edit edits[] = {
		{"{encryption: never}", "{encryption: never, vxlan_port: 4790}"},
		{"{encryption: never}", "{encryption: never, gateway_mac: 02:00:00:00:00:99}"},
		{"sites: {dc: {}}", "sites: {dc: {}, aws: {}}"},
		{"{n: {site: dc, underlay: 192.0.2.1}", "{n: {site: dc, underlay: 192.0.2.9}"},
		{"{n: {site: dc, underlay: 192.0.2.1}", "{n: {site: dc, underlay: 192.0.2.1, mtu: 9000}"},
		{"{n: {site: dc, underlay: 192.0.2.1}", "{n: {site: dc, underlay: 192.0.2.1, interfaces: e}"},
		{"m: {site: dc, underlay: 192.0.2.2}", "m: {site: dc, underlay: 192.0.2.2, foreign: true}"},
		{"m: {site: dc, underlay: 192.0.2.2}", "k: {site: dc, underlay: 192.0.2.2}"},
		{"m: {site: dc, underlay: 192.0.2.2}", "m: {site: dc, underlay: [192.0.2.2, \"2001:db8::1\"]}"},
		{"vni: 1,", "vni: 9,"},
		{"vni: 2,", "vni: 9,"},
		{"vni: 2,", "vni: 2, flood: true,"},
		{"{encryption: never}", "{encryption: never, storm_limit: 9999}"},
		{"{encryption: never}", "{encryption: never, storm_limit: none}"},
		{"{encryption: never}", "{encryption: never, icmp_limit: 999}"},
		{"{encryption: never}", "{encryption: never, icmp_limit: none}"},
		{"vni: 2,", "vni: 2, storm_limit: 9999,"},
		{"addresses: 10.0.1.11", "addresses: 10.0.1.11, storm_limit: none"},
		{"l3: {mode: l3, subnets: 10.0.2.0/24}", "l4: {mode: l3, subnets: 10.0.2.0/24}"},
		{"l3: {mode: l3, subnets: 10.0.2.0/24}", "l3: {mode: l2, vni: 3, subnets: 10.0.2.0/24}"},
		{"subnets: 10.0.2.0/24", "subnets: 10.0.2.0/25"},
		{"subnets: 10.0.2.0/24", "subnets: [10.0.2.0/24, 10.0.3.0/24]"},
		{"gateway: 10.0.1.1", "gateway: 10.0.1.2"},
		{", gateway: 10.0.1.1", ""},
		{"node: n,", "node: m,"},
		{"interface: p", "interface: q"},
		{"network: t/l2, mac: 02:00:00:00:00:01, addresses: 10.0.1.11",
		 "network: t/l3, mac: 02:00:00:00:00:01, addresses: 10.0.2.11"},
		{"mac: 02:00:00:00:00:01", "mac: 02:00:00:00:00:02"},
		{"addresses: 10.0.1.11", "addresses: 10.0.1.12"},
		{", addresses: 10.0.1.11", ""},
		{"addresses: 10.0.1.11", "addresses: 10.0.1.11, port_security: false"},
		{"addresses: 10.0.1.11", "addresses: 10.0.1.11, allow: tunnel"},
		{"{encryption: never}", "{encryption: between-sites}"},
		{"{encryption: never}", "{encryption: always}"},
		{"{encryption: never}", "{}"},
		{"{encryption: never}", "{encryption: never, wireguard_port: 51821}"},
		{"{encryption: never}", "{encryption: never, preshared_key_file: /k}"},
		{"sites: {dc: {}}", "sites: {dc: {}}\nsite_pairs: {p: {sites: dc, encryption: never}}"},
		{"m: {site: dc, underlay: 192.0.2.2}", "m: {site: dc, underlay: 192.0.2.2, nat: true}"},
		{"m: {site: dc, underlay: 192.0.2.2}", "m: {site: dc, underlay: 192.0.2.2, public_key: \"" KEY "\"}"},
		{"vni: 2,", "vni: 2, encryption: never,"},
		{"vni: 2,", "vni: 2, encryption: always,"},
	};
	_cleanup_(config) struct config *first = loaded(GOOD, NULL);

	for (size_t i = 0; i < sizeof(edits) / sizeof(edits[0]); i++) {
		_cleanup_(config) struct config *other = edited(GOOD, &edits[i]);

		if (config_equal(first, other) || config_equal(other, first))
			fail_msg("not seen: %s", edits[i].new);
	}
}

/* The same of what BGP alone uses, so that the daemon knows whether there is anything to do for it. */
static void every_change_of_bgp_is_seen(void **state)
{
	static const struct edit edits[] = {
		{BGP, ""},
		{"as: 65000\n", "as: 65002\n"},
		{"as: 65000\n", "as: 65000\n  mesh: none\n"},
		{"as: 65000\n", "as: 65000\n  reflectors: 192.0.2.8\n"},
		{"as: 65000\n", "as: 65000\n  hold_time: 91\n"},
		{"as: 65000\n", "as: 65000\n  restart_time: 121\n"},
		{"as: 65000\n", "as: 65000\n  port: 180\n"},
		{"as: 65000\n", "as: 65000\n  password_file: /y\n"},
		{"    x: {", "    z: {"},
		{"address: 192.0.2.9", "address: 192.0.2.8"},
		{"remote_as: 65001", "remote_as: 65002"},
		{"nodes: n,", ""},
		{"nodes: n,", "nodes: m,"},
		{"nodes: n,", "nodes: [n, m],"},
		{"import: t,", ""},
		{"import: t,", "import: all,"},
		{"import: t,", "import: u,"},
		{"export: t,", "export: none,"},
		{"export: t,", "export: [t, u],"},
		{"families: ipv4,", ""},
		{"families: ipv4,", "families: [ipv4, evpn],"},
		{"ttl_security: 1,", "ttl_security: 2,"},
		{"maximum_prefix: 5,", "maximum_prefix: none,"},
		{" hold_time: 9,", " hold_time: 0,"},
		{" restart_time: 9,", " restart_time: 0,"},
		{"password_file: /x,", ""},
		{"password_file: /x,", "password_file: /y,"},
		{"description: d", "description: e"},
		{"description: d", "passive: true, description: d"},
		{"description: d", "disable_family: true, description: d"},
		{"description: d", "shutdown: true, description: d"},
		{", remote_as: 65000", ", remote_as: 65000, import: none"},
		{"    y: {address: 192.0.2.10, remote_as: 65000}\n", ""},
		{"m: {site: dc,", "m: {site: dc, router_id: 192.0.2.7,"},
		{"vni: 1,", "vni: 1, route_targets: {import: \"1:1\"},"},
		{"vni: 1,", "vni: 1, route_targets: {export: \"1:1\"},"},
		{"vni: 2,", "vni: 2, route_targets: {import: \"1:1\"},"},
		{"vni: 2,", "vni: 2, route_targets: {export: \"1:1\"},"},
	};
	static const char text[] = GOOD_BGP;
	_cleanup_(config) struct config *first = loaded(text, NULL), *same = NULL;

	same = edited(text, &(struct edit){"    y: {address: 192.0.2.10, remote_as: 65000}\n",
					   "    y: {address: 192.0.2.10, remote_as: 65000, import: all, export: all, "
					   "families: [ipv6, evpn, ipv4], hold_time: 90, restart_time: 120}\n"});
	assert_true(config_bgp_equal(first, same));
	config_free(same);
	same = edited(text, &(struct edit){"mac: 02:00:00:00:00:01", "mac: 02:00:00:00:00:02"});
	assert_true(config_bgp_equal(first, same));
	assert_false(config_equal(first, same));
	for (size_t i = 0; i < sizeof(edits) / sizeof(edits[0]); i++) {
		_cleanup_(config) struct config *other = edited(text, &edits[i]);

		if (config_bgp_equal(first, other) || config_bgp_equal(other, first) || config_equal(first, other))
			fail_msg("not seen: %s -> %s", edits[i].old, edits[i].new);
	}
}

/* Who may bring and be told what, where nothing is said: RFC 8212. */
static void neighbors_outside_get_nothing_unless_somebody_said_so(void **state)
{
	_cleanup_(config) struct config *c =
		loaded(GOOD "bgp:\n  as: 65000\n  neighbors:\n    in: {address: 192.0.2.8, remote_as: 65000}\n"
			    "    out: {address: 192.0.2.9, remote_as: 65001}\n    some: {address: 192.0.2.10, remote_as: 65001, "
			    "import: t, export: all}\n    shut: {address: 192.0.2.11, remote_as: 65000, import: none}\n",
		       NULL);
	const struct config_neighbor *n = c->bgp->neighbors;

	assert_int_equal(c->bgp->n_neighbors, 4);
	assert_string_equal(n[0].name, "in");
	assert_true(n[0].import.all && n[0].export.all);
	assert_int_equal(n[0].families, CONFIG_ALL_FAMILIES);
	assert_string_equal(n[1].name, "out");
	assert_true(!n[1].import.all && n[1].import.n_tenants == 0 && !n[1].export.all && n[1].export.n_tenants == 0);
	assert_false(n[1].families & ROUTE_FAMILY_BIT(ROUTE_EVPN));
	assert_string_equal(n[2].name, "shut");
	assert_true(!n[2].import.all && n[2].import.n_tenants == 0 && n[2].export.all);
	assert_true(!n[3].import.all && n[3].import.n_tenants == 1 && n[3].export.all);
	assert_ptr_equal(n[3].import.tenants[0], config_tenant(c, "t"));
	assert_int_equal(n[3].hold_s, 90);
	assert_int_equal(n[3].restart_s, 120);
	assert_int_equal(n[3].max_prefix, 0);
	assert_int_equal(n[3].place.line, 14);
	assert_int_equal(config_node(c, "n")->router_id, 0xc0000201);
}

static void memory_may_run_out_anywhere(void **state)
{
	/* right with run-time ports; wrong in many ways */
	static const struct {
		const char *text, *runtime;
		int r;
	} cases[] = {
		{GOOD,
		 "ports: {q: {node: m, interface: q, network: t/l3, mac: 02:00:00:00:00:01, addresses: 10.0.2.11}}\n",
		 0},
		{GOOD_BGP, "ports: {}\n", 0},
		{"version: 1\nfabric: {preshared_key_file: /k}\n" PAIR "\nnodes: {n: {site: dc, underlay: 192.0.2.1, "
		 "public_key: \"" KEY "\"}, f: {site: dc, underlay: 192.0.2.2, foreign: true, networks: t/l2}}\n" TENANT
		 "ports:\n" PORT, NULL, 0},
		{"version: 1\nfabric: {encryption: always}\n" PAIR "\nnodes: {n: {site: dc, underlay: 192.0.2.1}, "
		 "f: {site: dc, underlay: 192.0.2.2, foreign: true, networks: t/l2}}\n" TENANT "ports:\n" PORT, NULL, -EINVAL},
		{HEAD TENANT "bgp: {as: 0, reflectors: [192.0.2.1, x], neighbors: {a: {address: 192.0.2.2, remote_as: 1, "
			     "nodes: [n, n, q], import: [t, t, v], description: \"\"}, b: {}}}\nports: {a: {node: x, network: t/x, mac: 1}, b: {}, b: *c, d: !e {}}\nf: 1\n",
		 "version: 1", -EINVAL},
		{"a: [", NULL, -EINVAL},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int r = -ENOMEM;

		for (long limit = 0; r == -ENOMEM; limit++) {
			struct config *c = NULL;
			struct conf_errors errors = {};

			assert_true(limit < 10000);
			allocations_left = limit;
			r = load(cases[i].text, cases[i].runtime, &c, &errors);
			allocations_left = -1;
			if (r == -ENOMEM)
				assert_true(!c && errors.length == 0);
			conf_errors_fini(&errors);
			config_free(c);
		}
		assert_int_equal(r, cases[i].r);
	}
}

/* Cut, turned, repeated and set at random: never a crash, and an error has a place inside the text. */
static void mutilated_texts_end_in_order(void **state)
{
	static const char bytes[] = "{}[]:,-#&*!|>'\"%@` \n\t~0aé.\x01";
	unsigned wrong = 0;

	srandom(6);
	for (unsigned i = 0; i < 30000; i++) {
		static const char good[] = GOOD_BGP;
		char text[sizeof(good) + 64];
		struct conf_errors errors = {};
		struct config *c = NULL;
		size_t size = sizeof(good) - 1;
		int r;

		memcpy(text, good, size);
		for (unsigned k = 1 + below(4); k > 0; k--) {
			size_t at = below((unsigned)size), length = below(20);

			switch (below(4)) {
			case 0:
				text[at] = bytes[below(sizeof(bytes) - 1)];
				break;
			case 1:
				size = at + 1;
				break;
			case 2:
				if (at + length < size)
					memmove(text + at, text + at + length, size - at - length), size -= length;
				break;
			case 3:
				if (at + length < size && size + length < sizeof(text))
					memmove(text + at + length, text + at, size - at), size += length;
				break;
			}
		}
		r = conf_load(&(struct conf_source){.name = "x", .text = text, .size = size}, 1, &c, &errors);
		assert_true(r == 0 || r == -EINVAL);
		assert_true((r == 0) == (errors.length == 0) && (r == 0) == (c != NULL));
		for (size_t k = 0; k < errors.length; k++) {
			unsigned lines = 2;

			for (size_t p = 0; p < size; p++)
				lines += text[p] == '\n';
			assert_true(errors.items[k].line >= 1 && errors.items[k].line <= lines);
			assert_true(errors.items[k].column >= 1 && errors.items[k].column <= size + 1);
			assert_non_null(conf_code_meaning(errors.items[k].code));
			assert_true(k == 0 || errors.items[k].line >= errors.items[k - 1].line);
		}
		wrong += r < 0;
		conf_errors_fini(&errors);
		config_free(c);
	}
	assert_true(wrong > 10000 && wrong < 30000);
}

static void objects_are_sorted_and_know_their_places(void **state)
{
	_cleanup_(config) struct config *c =
		loaded(GOOD "  a: {node: m, interface: a, network: t/l3, mac: 02:00:00:00:00:02, "
			    "addresses: [10.0.2.12, 10.0.2.11]}\n",
		       NULL);
	const struct config_network *l3 = config_network(c, "t/l3");
	const struct config_port *a = config_port(c, "a");

	assert_int_equal(c->n_ports, 2);
	assert_string_equal(c->ports[0].name, "a");
	assert_string_equal(c->ports[1].name, "p");
	assert_ptr_equal(a, &c->ports[0]);
	assert_int_equal(a->place.line, 9);
	assert_int_equal(a->place.column, 3);
	assert_int_equal(c->ports[1].place.line, 8);
	assert_ptr_equal(a->network, l3);
	assert_ptr_equal(l3->tenant, config_tenant(c, "t"));
	assert_int_equal(l3->place.line, 6);
	assert_int_equal(l3->vni, 0);
	assert_ptr_equal(a->node, config_node(c, "m"));
	assert_string_equal(a->node->site->name, "dc");
	assert_int_equal(a->n_addresses, 2);
	assert_int_equal(a->addresses[0].bytes[15], 12); /* in the order of the text */
	assert_true(a->security && a->allow == 0 && !a->runtime);
	assert_int_equal(c->vxlan_port, 4789);
	assert_int_equal(c->gateway_mac.bytes[5], 0x6d);
	assert_null(config_port(c, "b"));
	assert_null(config_network(c, "l3"));
	assert_null(config_node(c, ""));
}

static void runtime_ports_are_marked_and_emitted_alone(void **state)
{
	static const char runtime[] =
		"ports:\n  q: {node: m, interface: q, network: t/l2, mac: 02:00:00:00:00:02}\n" PORT;
	_cleanup_(config) struct config *c = loaded(GOOD, runtime), *again = NULL;
	_cleanup_(free) char *text = emitted(c, true);

	assert_false(config_port(c, "p")->runtime); /* absorbed: the file says the same */
	assert_true(config_port(c, "q")->runtime);
	assert_string_equal(text,
			    "ports:\n  q: {node: m, interface: q, network: t/l2, mac: \"02:00:00:00:00:02\"}\n");
	again = loaded(GOOD, text);
	assert_true(config_equal(c, again));
	free(text);
	config_free(c);
	c = loaded(GOOD, NULL);
	text = emitted(c, true);
	assert_string_equal(text, "ports: {}\n");
	config_free(again);
	again = loaded(GOOD, text);
	assert_true(config_equal(c, again));
}

/* What is asked for just now cannot be deleted; what stands in its way may be. */
static void a_request_is_not_advised_to_be_deleted(void **state)
{
	static const char remembered[] = "ports: {q: {node: m, interface: q, network: t/l2, mac: 02:00:00:00:00:02}}\n";
	static const char request[] = "ports: {r: {node: m, interface: q, network: t/l2, mac: 02:00:00:00:00:01}}\n";
	const struct conf_source sources[] = {
		{.name = "fabric.yaml", .text = GOOD, .size = strlen(GOOD)},
		{.name = "ports.yaml", .text = remembered, .size = strlen(remembered), .runtime = true},
		{.name = "request", .text = request, .size = strlen(request), .runtime = true, .request = true},
	};
	struct conf_errors errors = {};
	struct config *c = NULL;

	assert_int_equal(conf_load(sources, 3, &c, &errors), -EINVAL);
	assert_int_equal(errors.length, 2);
	assert_string_equal(errors.items[0].path, "ports.r.interface");
	assert_non_null(strstr(errors.items[0].what, "(ports.yaml line 1) already"));
	assert_non_null(strstr(errors.items[0].what, ", or \"isthmus port del q\""));
	assert_string_equal(errors.items[1].path, "ports.r.mac"); /* of p, which is in the file */
	assert_null(strstr(errors.items[1].what, "port del"));
	conf_errors_fini(&errors);
}

static void a_failure_leaves_the_output_alone(void **state)
{
	struct config *c = (struct config *)&c; /* anything */
	struct conf_errors errors = {};

	assert_int_equal(load("version: 2\n", NULL, &c, &errors), -EINVAL);
	assert_ptr_equal(c, &c);
	assert_true(errors.length > 0);
	assert_string_equal(errors.items[0].file, "fabric.yaml");
	conf_errors_fini(&errors);
	assert_int_equal(errors.length, 0);
	conf_errors_fini(&errors);
}

static void the_text_need_not_end_with_nul(void **state)
{
	_cleanup_(free) char *text = __real_malloc(strlen(GOOD)); /* exactly: the sanitizer sees one byte too far */
	struct conf_errors errors = {};
	struct config *c = NULL;

	memcpy(text, GOOD, strlen(GOOD));
	assert_int_equal(
		conf_load(&(struct conf_source){.name = "x", .text = text, .size = strlen(GOOD)}, 1, &c, &errors), 0);
	config_free(c);
	assert_int_equal(conf_load(&(struct conf_source){.name = "x", .text = NULL, .size = 0}, 1, &c, &errors),
			 -EINVAL);
	conf_errors_fini(&errors);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_fabrics_survive_a_round_trip),
		cmocka_unit_test(every_change_is_seen),
		cmocka_unit_test(every_change_of_a_pair_is_seen),
		cmocka_unit_test(every_change_of_bgp_is_seen),
		cmocka_unit_test(neighbors_outside_get_nothing_unless_somebody_said_so),
		cmocka_unit_test(memory_may_run_out_anywhere),
		cmocka_unit_test(mutilated_texts_end_in_order),
		cmocka_unit_test(objects_are_sorted_and_know_their_places),
		cmocka_unit_test(runtime_ports_are_marked_and_emitted_alone),
		cmocka_unit_test(a_request_is_not_advised_to_be_deleted),
		cmocka_unit_test(a_failure_leaves_the_output_alone),
		cmocka_unit_test(the_text_need_not_end_with_nul),
	};

	return cmocka_run_group_tests_name("conf", tests, NULL, NULL);
}
