/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The agent as a whole, in namespaces of its own: transactions, ports that come and go, drift, restarts.
 *
 *      web1, web2 ... -- [agent: node dc1] -- u0 -- u1 (nobody answers)
 *
 * table_put is wrapped, so that any one of a plan's writes can be made to fail.
 */
#include <bpf/bpf.h>
#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <time.h>

#include <cmocka.h>

#include "agent/agent.h"
#include "agent/doctor.h"
#include "agent/snapshot.h"
#include "bpf/abi.h"
#include "dp/datapath.h"
#include "lib/log.h"
#include "sandbox.h"

#define PATIENCE_MS 5000

int __real_table_put(struct datapath *dp, const struct fwd *f);
int __wrap_table_put(struct datapath *dp, const struct fwd *f);
size_t __real_table_capacity(const struct datapath *dp, enum fwd_kind kind);
size_t __wrap_table_capacity(const struct datapath *dp, enum fwd_kind kind);
struct sandbox_paths;
int __wrap_sandbox_enter(const struct sandbox_paths *paths, char **missing);

int __real_file_read(const char *path, size_t limit, char **text, size_t *size);
int __wrap_file_read(const char *path, size_t limit, char **text, size_t *size);

static int no_ports; /* what reading ports.yaml gives; 0 = its text */
static unsigned no_ports_times;
static long fail_at = -1; /* number of puts that still succeed; -1 = all */
static size_t room;       /* 0 = as it is */

int __wrap_table_put(struct datapath *dp, const struct fwd *f)
{
	if (fail_at == 0) {
		fail_at = -1;
		return -ENOSPC;
	}
	fail_at -= fail_at > 0;
	return __real_table_put(dp, f);
}

/* The test goes on to make namespaces and links, which the daemon's sandbox is there to prevent (test_sandbox.c). */
int __wrap_sandbox_enter(const struct sandbox_paths *paths, char **missing)
{
	return 0;
}

int __wrap_file_read(const char *path, size_t limit, char **text, size_t *size)
{
	if (no_ports == 0 || no_ports_times == 0 || !strstr(path, "/ports.yaml"))
		return __real_file_read(path, limit, text, size);
	no_ports_times--;
	return no_ports;
}

size_t __wrap_table_capacity(const struct datapath *dp, enum fwd_kind kind)
{
	return room && kind == FWD_HOST ? room : __real_table_capacity(dp, kind);
}

/* ---- the rig ---- */

struct rig {
	struct sandbox sandbox;
	char config[128], run[128], state[128], bpf[128];
	struct agent_options options;
	struct loop *loop;
	struct agent *agent;
};

static const char base[] =
	"version: 1\n"
	"fabric: {encryption: never, encap: vxlan}\n"
	"sites: {dc: {}, aws: {}}\n"
	"nodes:\n"
	"  dc1: {site: dc, underlay: 192.0.2.11}\n"
	"  aws1: {site: aws, underlay: 192.0.2.21}\n"
	"tenants:\n"
	"  red:\n"
	"    vni: 5000\n"
	"    networks:\n"
	"      web: {mode: l2, vni: 5001, subnets: [10.0.1.0/24], gateway: [10.0.1.1]}\n"
	"      app: {mode: l3, subnets: [10.0.2.0/24]}\n"
	"  blue:\n"
	"    vni: 6000\n"
	"    networks:\n"
	"      web: {mode: l2, vni: 6001, subnets: [10.0.1.0/24]}\n"
	"ports:\n"
	"  web1: {node: dc1, interface: web1, network: red/web, mac: \"02:00:00:00:00:01\", addresses: [10.0.1.11]}\n"
	"  web2: {node: aws1, interface: web2, network: red/web, mac: \"02:00:00:00:00:02\", addresses: [10.0.1.12]}\n"
	"  app2: {node: aws1, interface: app2, network: red/app, mac: \"02:00:00:00:00:03\", addresses: [10.0.2.12]}\n"
	"  blue1: {node: aws1, interface: blue1, network: blue/web, mac: \"02:00:00:00:00:01\", addresses: "
	"[10.0.1.11]}\n";

static const char more[] =
	"  web3: {node: aws1, interface: web3, network: red/web, mac: \"02:00:00:00:00:33\", addresses: [10.0.1.33]}\n"
	"  blue2: {node: dc1, interface: blue2, network: blue/web, mac: \"02:00:00:00:00:34\", addresses: "
	"[10.0.1.34]}\n";

static void write_config(struct rig *g, const char *text, const char *and)
{
	FILE *f = fopen(g->config, "w");

	assert_non_null(f);
	fprintf(f, "%s%s", text, and);
	fclose(f);
}

static int start(struct rig *g)
{
	assert_int_equal(loop_new(&g->loop), 0);
	return agent_open(&g->options, g->loop, &g->agent);
}

static void stop(struct rig *g)
{
	agent_close(g->agent);
	loop_free(g->loop);
	g->agent = NULL;
	g->loop = NULL;
}

static int setup(void **state)
{
	struct rig *g = calloc(1, sizeof(*g));

	if (sandbox_enter(&g->sandbox) < 0)
		return -1;
	log_set_level(LOG_LEVEL_ERROR);
	snprintf(g->config, sizeof(g->config), "%s/isthmus.yaml", g->sandbox.directory);
	snprintf(g->run, sizeof(g->run), "%s/run", g->sandbox.directory);
	snprintf(g->state, sizeof(g->state), "%s/state", g->sandbox.directory);
	snprintf(g->bpf, sizeof(g->bpf), "%s/bpf", g->sandbox.directory);
	g->options = (struct agent_options){g->config, "dc1", g->run, g->state, g->bpf, false};
	fail_at = -1;
	room = 0;
	no_ports = 0;
	*state = g;
	if (run("ip link set lo up && ip link add u0 up type veth peer name u1 && ip link set u1 up && ip address add "
		"192.0.2.11/24 dev u0"))
		return -1;
	write_config(g, base, "");
	return 0;
}

static int teardown(void **state)
{
	struct rig *g = *state;

	if (g->loop)
		stop(g);
	datapath_teardown(g->bpf);
	sandbox_leave(&g->sandbox);
	free(g);
	return 0;
}

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* Turns the loop until the question is answered by yes; false when patience ran out. */
static bool wait_until(struct rig *g, bool (*question)(struct rig *g))
{
	for (uint64_t end = now_ms() + PATIENCE_MS; now_ms() < end;) {
		if (question(g))
			return true;
		loop_step(g->loop, 20);
	}
	return false;
}

/* ---- what the data plane holds ---- */

struct held {
	struct fwd items[512];
	size_t length;
};

static bool hold(void *arg, const struct fwd *f)
{
	struct held *h = arg;

	assert_true(h->length < 512);
	h->items[h->length++] = *f;
	return true;
}

static struct held look(const struct rig *g)
{
	struct held h = {.length = 0};

	for (enum fwd_kind kind = 0; kind < FWD_KIND_MAX; kind++)
		table_each(g->agent->dp, kind, hold, &h);
	return h;
}

static bool held_equal(const struct held *a, const struct held *b)
{
	for (size_t i = 0; i < a->length; i++) {
		bool found = false;

		for (size_t k = 0; k < b->length && !found; k++)
			found = fwd_equal(&a->items[i], &b->items[k]);
		if (!found)
			return false;
	}
	return a->length == b->length;
}

struct outcome {
	int r;
	size_t steps;
	char why[512];
};

static struct outcome finish(int r, struct agent_plan *plan, struct conf_errors *errors, char *why)
{
	struct outcome o = {.r = r, .steps = plan->length};

	snprintf(o.why, sizeof(o.why), "%s", why ? why : errors->length ? errors->items[0].what : "");
	agent_plan_fini(plan);
	conf_errors_fini(errors);
	free(why);
	return o;
}

static struct outcome apply(struct rig *g, const char *text, const char *and, bool dry_run)
{
	struct agent_plan plan = {0};
	struct conf_errors errors = {0};
	char *why = NULL, *all = NULL;
	int r;

	assert_true(asprintf(&all, "%s%s", text, and) > 0);
	r = agent_apply(g->agent, "test.yaml", all, strlen(all), dry_run, &plan, &errors, &why);
	free(all);
	return finish(r, &plan, &errors, why);
}

static struct outcome port_add(struct rig *g, const char *yaml, bool dry_run)
{
	struct agent_plan plan = {0};
	struct conf_errors errors = {0};
	char *why = NULL;
	int r = agent_port_add(g->agent, yaml, strlen(yaml), dry_run, &plan, &errors, &why);

	return finish(r, &plan, &errors, why);
}

static struct outcome port_del(struct rig *g, const char *name, bool dry_run)
{
	struct agent_plan plan = {0};
	struct conf_errors errors = {0};
	char *why = NULL;
	int r = agent_port_del(g->agent, name, dry_run, &plan, &why);

	return finish(r, &plan, &errors, why);
}

static enum agent_port_state port_state(const struct rig *g, const char *name)
{
	const struct config_port *p = config_port(g->agent->config, name);
	const char *reason;

	assert_non_null(p);
	return agent_port_state(g->agent, p, &reason);
}

static bool web1_is_up(struct rig *g)
{
	return port_state(g, "web1") == AGENT_PORT_UP;
}

static bool web1_is_attached(struct rig *g)
{
	return run("tc filter show dev web1 egress | grep -q port_egress") == 0;
}

static bool is_whole(struct rig *g)
{
	return !g->agent->degraded[0];
}

static bool bad_is_up(struct rig *g)
{
	return port_state(g, "bad") == AGENT_PORT_UP;
}

static bool ports_are_refused(struct rig *g)
{
	return g->agent->degraded[0] && strstr(g->agent->degraded[0], "ports.yaml.refused");
}

static bool no_port_is_held(struct rig *g)
{
	return table_length(g->agent->dp, FWD_PORT) == 0;
}

static bool web1_is_waiting(struct rig *g)
{
	return port_state(g, "web1") == AGENT_PORT_WAITING;
}

static void plug(const char *name)
{
	assert_int_equal(run("ip link add %s up type veth peer name %sp && ip link set %sp up", name, name, name), 0);
}

/* ---- transactions ---- */

static void applying_the_same_again_does_nothing(void **state)
{
	struct rig *g = *state;
	struct outcome o;

	plug("web1");
	assert_int_equal(start(g), 0);
	assert_true(web1_is_up(g));
	o = apply(g, base, "", false);
	assert_int_equal(o.r, 0);
	assert_int_equal(o.steps, 0);
	assert_int_equal(datapath_audit(g->agent->dp, 65536), 0);
}

static void dry_run_tells_the_steps_and_changes_nothing(void **state)
{
	struct rig *g = *state;
	struct held before, after;
	struct outcome dry, done;

	assert_int_equal(start(g), 0);
	before = look(g);
	dry = apply(g, base, more, true);
	assert_int_equal(dry.r, 0);
	assert_true(dry.steps > 0);
	after = look(g);
	assert_true(held_equal(&before, &after));
	assert_null(config_port(g->agent->config, "web3"));
	assert_int_equal(apply(g, base, "", false).steps, 0);
	done = apply(g, base, more, false);
	assert_int_equal(done.r, 0);
	assert_int_equal(done.steps, dry.steps);
	after = look(g);
	assert_false(held_equal(&before, &after));
}

static void whatever_step_fails_all_before_it_are_undone(void **state)
{
	struct rig *g = *state;
	struct held before, after;
	long failures = 0;

	plug("web1");
	plug("blue2");
	assert_int_equal(start(g), 0);
	before = look(g);
	for (long at = 0;; at++) {
		struct outcome o;

		fail_at = at;
		o = apply(g, base, more, false);
		if (o.r == 0)
			break;
		failures++;
		assert_int_equal(o.r, -ENOSPC);
		assert_non_null(strstr(o.why, "undone"));
		after = look(g);
		assert_true(held_equal(&before, &after));
		assert_null(config_port(g->agent->config, "blue2"));
		assert_int_equal(run("tc filter show dev blue2 ingress | grep -q port_ingress"), 256);
	}
	fail_at = -1;
	assert_true(failures >= 8);
	assert_int_equal(port_state(g, "blue2"), AGENT_PORT_UP);
	assert_int_equal(apply(g, base, more, false).steps, 0);
	assert_int_equal(apply(g, base, "", false).r, 0);
	after = look(g);
	assert_true(held_equal(&before, &after));
}

static void table_without_room_is_named_before_anything_is_written(void **state)
{
	struct rig *g = *state;
	struct held before, after;
	struct outcome o;

	assert_int_equal(start(g), 0);
	before = look(g);
	room = table_length(g->agent->dp, FWD_HOST);
	o = apply(g, base, more, false);
	assert_int_equal(o.r, -ENOSPC);
	assert_non_null(strstr(o.why, "table of hosts"));
	after = look(g);
	assert_true(held_equal(&before, &after));
	room = 0;
	assert_int_equal(apply(g, base, more, false).r, 0);

	/* Exactly as much as is needed is enough, and one less is not. */
	room = table_length(g->agent->dp, FWD_HOST);
	assert_int_equal(apply(g, base, "", false).r, 0);
	assert_true(table_length(g->agent->dp, FWD_HOST) < room);
	room--;
	assert_int_equal(apply(g, base, more, false).r, -ENOSPC);
	room++;
	assert_int_equal(apply(g, base, more, false).r, 0);
	assert_int_equal(table_length(g->agent->dp, FWD_HOST), room);
}

static void wrong_configuration_leaves_the_running_one(void **state)
{
	struct rig *g = *state;

	assert_int_equal(start(g), 0);
	assert_int_equal(apply(g, base, "  web1: {}\n", false).r, -EINVAL);
	assert_int_equal(apply(g, "version: 2\n", "", false).r, -EINVAL);
	assert_int_equal(apply(g, base, "", false).steps, 0);
	assert_false(g->agent->degraded[0]);
}

static void configuration_without_this_node_names_those_it_has(void **state)
{
	struct rig *g = *state;

	g->options.node = "dc9";
	assert_int_equal(start(g), -EINVAL);
	assert_int_not_equal(access(g->bpf, F_OK), 0);
}

/* ---- ports at run time ---- */

static const char web4[] = "ports: {web4: {node: dc1, interface: web4, network: red/web, mac: \"02:00:00:00:00:44\", "
			   "addresses: [10.0.1.44]}}";

static void port_added_the_short_way_is_as_one_of_the_file(void **state)
{
	struct rig *g = *state;
	struct held before, after;

	plug("web1");
	plug("web4");
	assert_int_equal(start(g), 0);
	before = look(g);
	assert_true(port_add(g, web4, true).steps > 0);
	after = look(g);
	assert_true(held_equal(&before, &after));
	assert_int_equal(port_add(g, web4, false).r, 0);
	assert_int_equal(port_state(g, "web4"), AGENT_PORT_UP);
	assert_int_equal(apply(g, base, "", false).steps, 0); /* the whole way finds nothing to add */
	assert_int_equal(port_add(g, web4, false).steps, 0);
	assert_int_equal(port_del(g, "web4", true).r, 0);
	assert_int_equal(apply(g, base, "", false).steps, 0);
	assert_int_equal(port_del(g, "web4", false).r, 0);
	after = look(g);
	assert_true(held_equal(&before, &after));
	assert_int_equal(apply(g, base, "", false).steps, 0);
	assert_int_equal(run("tc filter show dev web4 ingress | grep -q port_ingress"), 256);
	assert_int_equal(port_del(g, "web4", false).r, -ENOENT);
	assert_int_equal(port_del(g, "web1", false).r, -EPERM);
}

static void port_that_cannot_be_added_is_undone(void **state)
{
	struct rig *g = *state;
	struct held before, after;
	long failures = 0;

	plug("web4");
	assert_int_equal(start(g), 0);
	before = look(g);
	for (long at = 0;; at++, failures++) {
		fail_at = at;
		if (port_add(g, web4, false).r == 0)
			break;
		after = look(g);
		assert_true(held_equal(&before, &after));
		assert_int_equal(apply(g, base, "", true).steps, 0);
	}
	fail_at = -1;
	assert_true(failures >= 4);
}

static void gateway_of_another_network_is_no_address_of_a_new_port(void **state)
{
	static const char text[] =
		"version: 1\n"
		"fabric: {encryption: never}\n"
		"sites: {dc: {}}\n"
		"nodes: {dc1: {site: dc, underlay: 192.0.2.11}, aws1: {site: dc, underlay: 192.0.2.21}}\n"
		"tenants:\n"
		"  red:\n"
		"    vni: 5000\n"
		"    networks:\n"
		"      web: {mode: l2, vni: 5001, subnets: [10.0.1.0/24], gateway: [10.0.1.1]}\n"
		"      bare: {mode: l2, vni: 5002}\n"
		"ports:\n"
		"  b1: {node: aws1, interface: b1, network: red/bare, mac: \"02:00:00:00:00:61\"}\n";
	static const char port[] =
		"  b2: {node: aws1, interface: b2, network: red/bare, mac: \"02:00:00:00:00:62\", addresses: [10.0.1.1]}\n";
	struct rig *g = *state;
	char added[256];

	snprintf(added, sizeof(added), "ports:\n%s", port);
	assert_int_equal(start(g), 0);
	assert_int_equal(apply(g, text, "", false).r, 0);
	assert_int_equal(apply(g, text, port, true).r, -EINVAL);
	assert_int_equal(port_add(g, added, true).r, -EINVAL);
	assert_int_equal(port_add(g, added, false).r, -EINVAL);
	assert_null(config_port(g->agent->config, "b2"));
}

static void clashes_of_new_ports_are_refused(void **state)
{
	static const char *const wrong[] = {
		"ports: {x: {node: dc1, interface: x, network: red/web, mac: \"02:00:00:00:00:02\", addresses: "
		"[10.0.1.50]}}",
		"ports: {x: {node: dc1, interface: x, network: red/web, mac: \"02:00:00:00:00:50\", addresses: "
		"[10.0.1.12]}}",
		"ports: {x: {node: dc1, interface: x, network: red/web, mac: \"02:00:00:00:00:50\", addresses: "
		"[10.0.1.1]}}",
		"ports: {x: {node: dc1, interface: x, network: red/web, mac: \"02:00:00:00:00:50\", addresses: "
		"[10.9.1.1]}}",
		"ports: {x: {node: dc1, interface: web1, network: red/web, mac: \"02:00:00:00:00:50\", addresses: "
		"[10.0.1.50]}}",
		"ports: {web1: {node: dc1, interface: x, network: red/web, mac: \"02:00:00:00:00:50\", addresses: "
		"[10.0.1.50]}}",
		"ports: {x: {node: dc1, interface: x, network: red/nowhere, mac: \"02:00:00:00:00:50\", addresses: "
		"[10.0.1.50]}}",
		"ports: {x: {node: dc1, interface: x, network: red/web, mac: \"02:00:00:00:00:50\", addresses: "
		"[10.0.1.44]}}",
	};
	struct rig *g = *state;

	assert_int_equal(start(g), 0);
	assert_int_equal(port_add(g, web4, false).r, 0);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct outcome o = port_add(g, wrong[i], false);

		if (o.r != -EINVAL || !o.why[0])
			fail_msg("%s: %d %s", wrong[i], o.r, o.why);
	}
	assert_int_equal(apply(g, base, "", false).steps, 0);
}

static struct outcome add_numbered(struct rig *g, const char *prefix, size_t i)
{
	char text[320];

	snprintf(text, sizeof(text),
		 "ports: {%s%zu: {node: aws1, interface: n%zu, network: red/web, mac: \"02:00:00:00:00:%02zx\", "
		 "addresses: [10.0.1.%zu]}}",
		 prefix, i, i, 0x50 + i, 50 + i);
	return port_add(g, text, false);
}

static void what_was_added_at_run_time_can_be_applied_and_read_again(void **state)
{
	static const char *const prefixes[] = {
		"n", /* the values run out first */
		"a-name-that-makes-the-line-so-long-that-the-bytes-run-out-", /* ... and here the bytes */
	};
	struct rig *g = *state;
	char name[64];

	g->options.config_max = 12288;
	for (size_t row = 0; row < sizeof(prefixes) / sizeof(prefixes[0]); row++) {
		size_t n = 0, entries;
		struct outcome o;

		assert_int_equal(start(g), 0);
		while (n < 150 && (o = add_numbered(g, prefixes[row], n)).r == 0)
			n++;
		assert_true(n > 40 && n < 100);
		assert_int_equal(o.r, -EINVAL);
		if (!strstr(o.why, "more than a restart would read again") || !strstr(o.why, "--max-config"))
			fail_msg("after %zu: %s", n, o.why);
		entries = table_length(g->agent->dp, FWD_HOST);
		o = apply(g, base, "# again\n", false);
		if (o.r != 0 || o.steps != 0)
			fail_msg("%d, %zu steps: %s", o.r, o.steps, o.why);
		stop(g);
		assert_int_equal(start(g), 0);
		assert_null(g->agent->degraded[0]);
		assert_int_equal(table_length(g->agent->dp, FWD_HOST), entries);
		assert_int_equal(g->agent->config->n_runtime, n);
		snprintf(name, sizeof(name), "%s0", prefixes[row]);
		assert_int_equal(port_del(g, name, false).r, 0); /* one fewer makes room for one */
		assert_int_equal(add_numbered(g, prefixes[row], 0).r, 0);
		for (size_t i = 0; i < n; i++) {
			snprintf(name, sizeof(name), "%s%zu", prefixes[row], i);
			assert_int_equal(port_del(g, name, false).r, 0);
		}
		stop(g);
	}
}

/* ---- interfaces ---- */

static void waiting_port_comes_up_with_its_interface(void **state)
{
	struct rig *g = *state;

	assert_int_equal(start(g), 0);
	assert_true(web1_is_waiting(g));
	assert_true(agent_is_degraded(g->agent));
	plug("web1");
	assert_true(wait_until(g, web1_is_up));
	assert_int_equal(table_length(g->agent->dp, FWD_PORT), 1);
	assert_int_equal(run("tc filter show dev web1 ingress | grep -q port_ingress"), 0);
	assert_int_equal(run("test $(cat /proc/sys/net/ipv6/conf/web1/disable_ipv6) = 1"), 0);
	assert_int_equal(run("ip link delete web1"), 0);
	assert_true(wait_until(g, web1_is_waiting));
	assert_int_equal(table_length(g->agent->dp, FWD_PORT), 0);
	plug("web1"); /* another ifindex */
	assert_true(wait_until(g, web1_is_up));
	assert_int_equal(run("ip link set web1 down && ip link set web1 name other && ip link set other up"), 0);
	assert_true(wait_until(g, web1_is_waiting));
	assert_int_equal(table_length(g->agent->dp, FWD_PORT), 0);
	assert_int_equal(run("tc filter show dev other ingress | grep -q port_ingress"), 256);
	assert_int_equal(run("ip link set other down && ip link set other name web1 && ip link set web1 up"), 0);
	assert_true(wait_until(g, web1_is_up));
	assert_int_equal(apply(g, base, "", false).steps, 0);
}

static void interface_renamed_there_and_back_at_once_stays_attached(void **state)
{
	struct rig *g = *state;

	plug("web1");
	assert_int_equal(start(g), 0);
	assert_int_equal(run("ip link set web1 down && ip link set web1 name away && ip link set away name web1 && ip "
			     "link set web1 up"),
			 0);
	assert_int_equal(loop_step(g->loop, 1000), 0);
	assert_true(wait_until(g, web1_is_up));
	assert_int_equal(run("tc filter show dev web1 ingress | grep -q port_ingress"), 0);
	assert_int_equal(run("tc filter show dev web1 egress | grep -q port_egress"), 0);
	assert_int_equal(table_length(g->agent->dp, FWD_PORT), 1);
	assert_int_equal(run("ip link delete web1"), 0);
	plug("web1");
	assert_true(wait_until(g, web1_is_attached));
}

static void what_fails_at_a_start_is_tried_again(void **state)
{
	struct rig *g = *state;

	plug("web1");
	for (long at = 0; at < 6; at++) {
		fail_at = at;
		assert_int_equal(start(g), 0);
		assert_non_null(g->agent->degraded[0]);
		assert_true(wait_until(g, is_whole));
		assert_int_equal(apply(g, base, "", false).steps, 0);
		assert_int_equal(table_length(g->agent->dp, FWD_PORT), 1);
		stop(g);
	}
}

static void underlay_interface_may_come_late(void **state)
{
	struct rig *g = *state;

	assert_int_equal(run("ip link delete u0"), 0);
	assert_int_equal(start(g), 0);
	assert_non_null(g->agent->degraded[0]);
	assert_int_equal(run("ip link add u0 up type veth peer name u1 && ip link set u1 up && ip address add "
			     "192.0.2.11/24 dev u0"),
			 0);
	for (uint64_t end = now_ms() + PATIENCE_MS; now_ms() < end && g->agent->degraded[0];)
		loop_step(g->loop, 20);
	assert_null(g->agent->degraded[0]);
	assert_int_equal(run("tc filter show dev u0 ingress | grep -q wire_ingress"), 0);
}

static void underlay_interface_can_be_no_port(void **state)
{
	static const char bad[] = "ports: {bad: {node: dc1, interface: u0, network: red/web, mac: "
				  "\"02:00:00:00:00:77\", addresses: [10.0.1.77]}}";
	struct rig *g = *state;
	struct outcome o;

	plug("web1");
	assert_int_equal(start(g), 0);
	o = port_add(g, bad, false);
	assert_int_equal(o.r, -EINVAL);
	assert_non_null(strstr(o.why, "carries this node's underlay address 192.0.2.11"));
	o = apply(g, base,
		  "  bad: {node: dc1, interface: u0, network: red/web, mac: \"02:00:00:00:00:77\", addresses: "
		  "[10.0.1.77]}\n",
		  false);
	assert_int_equal(o.r, -EINVAL);
	assert_non_null(strstr(o.why, "carries"));
	assert_int_equal(apply(g, base, "", false).steps, 0);
	stop(g);
	write_config(g, base,
		     "  bad: {node: dc1, interface: u0, network: red/web, mac: \"02:00:00:00:00:77\", addresses: "
		     "[10.0.1.77]}\n");
	log_set_file("/dev/null");
	assert_int_equal(start(g), 0);
	loop_step(g->loop, 0);
	assert_int_equal(port_state(g, "bad"), AGENT_PORT_FAILED);
	assert_int_equal(port_state(g, "web1"), AGENT_PORT_UP);
	assert_int_equal(run("tc filter show dev u0 ingress | grep -q port_ingress"), 256);
	assert_int_equal(run("ip address delete 192.0.2.11/24 dev u0"), 0);
	assert_true(wait_until(g, bad_is_up));
	log_set_file(NULL);
}

/* ---- drift ---- */

static bool repaired(struct rig *g)
{
	return g->agent->repairs > 0;
}

static void removed_filter_is_put_back(void **state)
{
	struct rig *g = *state;

	plug("web1");
	assert_int_equal(start(g), 0);
	assert_int_equal(run("tc qdisc delete dev web1 clsact"), 0);
	assert_true(wait_until(g, repaired));
	assert_int_equal(run("tc filter show dev web1 ingress | grep -q port_ingress"), 0);
	assert_int_equal(run("tc filter show dev web1 egress | grep -q port_egress"), 0);
}

static void deleted_entry_is_put_back(void **state)
{
	struct rig *g = *state;
	struct abi_host_key key = {.vrf = 5000};
	struct abi_host host;
	struct addr address;
	char path[160];
	int fd;

	assert_int_equal(start(g), 0);
	addr_parse("10.0.1.12", &address);
	memcpy(key.addr.bytes, address.bytes, 16);
	snprintf(path, sizeof(path), "%s/hosts_v%d", g->bpf, ABI_VERSION);
	fd = bpf_obj_get(path);
	assert_true(fd >= 0);
	assert_int_equal(bpf_map_delete_elem(fd, &key), 0);
	assert_true(wait_until(g, repaired));
	assert_int_equal(bpf_map_lookup_elem(fd, &key, &host), 0);
	close(fd);
}

/* ---- restarts ---- */

static void restart_finds_what_was_applied_and_added(void **state)
{
	struct rig *g = *state;
	struct held before, after;

	plug("web1");
	assert_int_equal(start(g), 0);
	assert_int_equal(apply(g, base, more, false).r, 0);
	assert_int_equal(port_add(g, web4, false).r, 0);
	before = look(g);
	stop(g);
	assert_int_equal(start(g), 0);
	assert_true(datapath_adopted(g->agent->dp));
	after = look(g);
	assert_true(held_equal(&before, &after));
	assert_true(config_port(g->agent->config, "web4")->runtime);
	assert_false(config_port(g->agent->config, "web3")->runtime);
	assert_null(g->agent->degraded[0]);
}

static void edited_file_takes_the_place_of_the_snapshot(void **state)
{
	struct rig *g = *state;

	assert_int_equal(start(g), 0);
	assert_int_equal(apply(g, base, more, false).r, 0);
	stop(g);
	write_config(g, base, "# edited\n");
	assert_int_equal(start(g), 0);
	assert_null(config_port(g->agent->config, "web3"));
}

static void broken_file_leads_to_the_snapshot_and_a_reason(void **state)
{
	struct rig *g = *state;

	assert_int_equal(start(g), 0);
	assert_int_equal(apply(g, base, more, false).r, 0);
	stop(g);
	write_config(g, "version: [", "");
	assert_int_equal(start(g), 0);
	assert_non_null(config_port(g->agent->config, "web3"));
	assert_non_null(strstr(g->agent->degraded[0], "configuration file"));
	write_config(g, base, "");
	assert_int_equal(agent_reload(g->agent), 0);
	assert_null(g->agent->degraded[0]);
	stop(g);
	unlink(g->config);
	assert_int_equal(start(g), 0);
	assert_non_null(strstr(g->agent->degraded[0], "No such file"));
}

static void nothing_to_start_from_touches_nothing(void **state)
{
	struct rig *g = *state;

	unlink(g->config);
	assert_int_equal(start(g), -EINVAL);
	assert_int_not_equal(access(g->bpf, F_OK), 0);
	write_config(g, "version: 1\nnodse: {}\n", "");
	stop(g);
	assert_int_equal(start(g), -EINVAL);
	assert_int_not_equal(access(g->bpf, F_OK), 0);
}

static void run_time_ports_that_do_not_fit_any_more_are_kept_aside(void **state)
{
	struct rig *g = *state;
	char path[160];

	assert_int_equal(start(g), 0);
	assert_int_equal(port_add(g, web4, false).r, 0);
	stop(g);
	write_config(g, base,
		     "  other: {node: dc1, interface: web4, network: red/web, mac: \"02:00:00:00:00:45\", addresses: "
		     "[10.0.1.45]}\n");
	assert_int_equal(start(g), 0);
	assert_null(config_port(g->agent->config, "web4"));
	assert_non_null(strstr(g->agent->degraded[0], "ports.yaml.refused"));
	snprintf(path, sizeof(path), "%s/ports.yaml.refused", g->state);
	assert_int_equal(access(path, F_OK), 0);
}

/* The disk, memory or descriptors of a moment say nothing of what is in the file. */
static void run_time_ports_that_cannot_be_read_are_kept_until_they_can(void **state)
{
	static const char web5[] = "ports: {web5: {node: dc1, interface: web5, network: red/web, mac: "
				   "\"02:00:00:00:00:55\", addresses: [10.0.1.55]}}";
	static const int errors[] = {-EIO, -EINTR, -ENOMEM, -EMFILE, -EACCES};
	struct rig *g = *state;
	char path[160], aside[160], *text;
	size_t size;

	plug("web1");
	plug("web4");
	snprintf(path, sizeof(path), "%s/ports.yaml", g->state);
	snprintf(aside, sizeof(aside), "%s/ports.yaml.refused", g->state);
	assert_int_equal(start(g), 0);
	assert_int_equal(port_add(g, web4, false).r, 0);
	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		struct held before = look(g), after;

		stop(g);
		no_ports = errors[i]; /* for a moment: nobody need know */
		no_ports_times = 2;
		assert_int_equal(start(g), 0);
		assert_null(g->agent->degraded[0]);
		assert_non_null(config_port(g->agent->config, "web4"));
		stop(g);
		no_ports_times = UINT_MAX;
		assert_int_equal(start(g), 0);
		assert_non_null(strstr(g->agent->degraded[0], "could not be read"));
		assert_int_equal(port_state(g, "web1"), AGENT_PORT_UP);
		assert_null(config_port(g->agent->config, "web4"));
		after = look(g); /* it goes on being served */
		assert_true(held_equal(&before, &after));
		assert_int_equal(run("tc filter show dev web4 ingress | grep -q port_ingress"), 0);
		assert_int_equal(port_add(g, web5, false).r, 0);
		assert_non_null(agent_unsaved(g->agent));
		assert_int_equal(apply(g, base, "", false).r, 0);
		for (uint64_t end = now_ms() + 1500; now_ms() < end;)
			loop_step(g->loop, 20);
		after = look(g);
		assert_true(after.length > before.length);
		assert_int_equal(__real_file_read(path, 65536, &text, &size), 0);
		assert_non_null(strstr(text, "web4"));
		assert_null(strstr(text, "web5"));
		free(text);
		no_ports = 0;
		assert_true(wait_until(g, is_whole));
		assert_int_equal(port_state(g, "web4"), AGENT_PORT_UP);
		assert_non_null(config_port(g->agent->config, "web5"));
		assert_null(agent_unsaved(g->agent));
		assert_int_equal(__real_file_read(path, 65536, &text, &size), 0);
		assert_non_null(strstr(text, "web4"));
		assert_non_null(strstr(text, "web5"));
		free(text);
		assert_int_equal(access(aside, F_OK), -1);
		assert_int_equal(port_del(g, "web5", false).r, 0);
		after = look(g);
		assert_true(held_equal(&before, &after));
	}
}

/* What was of use to nobody goes when it is known that it is of none. */
static void what_is_read_late_and_refused_goes_with_its_entries(void **state)
{
	struct rig *g = *state;
	char path[160];
	FILE *f;

	plug("web4");
	assert_int_equal(start(g), 0);
	assert_int_equal(port_add(g, web4, false).r, 0);
	assert_int_equal(table_length(g->agent->dp, FWD_PORT), 1);
	stop(g);
	no_ports = -EIO;
	no_ports_times = UINT_MAX;
	assert_int_equal(start(g), 0);
	assert_int_equal(table_length(g->agent->dp, FWD_PORT), 1);
	snprintf(path, sizeof(path), "%s/ports.yaml", g->state);
	f = fopen(path, "w");
	fputs("ports: [", f);
	fclose(f);
	no_ports = 0;
	assert_true(wait_until(g, ports_are_refused));
	assert_true(wait_until(g, no_port_is_held));
	assert_int_equal(run("tc filter show dev web4 ingress | grep -q port_ingress"), 256);
}

/* As often as it may happen: the first ones are never written over, and there is an end to it. */
static void what_was_set_aside_before_is_kept_beside(void **state)
{
	struct rig *g = *state;
	char path[192], name[64], text[64];

	for (size_t round = 0; round < 12; round++) {
		size_t slot = round < 9 ? round : 9;
		FILE *f;

		mkdir(g->state, 0700);
		snprintf(path, sizeof(path), "%s/ports.yaml", g->state);
		f = fopen(path, "w");
		assert_non_null(f);
		fprintf(f, "round %zu: [", round);
		fclose(f);
		assert_int_equal(start(g), 0);
		snprintf(name, sizeof(name), slot ? "ports.yaml.refused.%zu" : "ports.yaml.refused", slot);
		assert_non_null(strstr(g->agent->degraded[0], name));
		snprintf(text, sizeof(text), "beside %zu of earlier times", slot);
		assert_int_equal(strstr(g->agent->degraded[0], text) != NULL, slot > 0);
		assert_int_equal(strstr(g->agent->degraded[0], "move them away") != NULL, slot == 9);
		stop(g);
	}
	for (size_t slot = 0; slot <= 10; slot++) {
		FILE *f;

		snprintf(path, sizeof(path), slot ? "%s/ports.yaml.refused.%zu" : "%s/ports.yaml.refused", g->state, slot);
		f = fopen(path, "r");
		assert_int_equal(f != NULL, slot < 10);
		if (!f)
			break;
		snprintf(name, sizeof(name), "round %zu: [", slot < 9 ? slot : 11);
		assert_non_null(fgets(text, sizeof(text), f));
		assert_string_equal(text, name);
		fclose(f);
	}
}

static void state_directory_that_cannot_be_written_degrades(void **state)
{
	struct rig *g = *state;
	char inside[256];

	snprintf(inside, sizeof(inside), "%s/state", g->config); /* below a file */
	g->options.state_dir = inside;
	assert_int_equal(start(g), 0);
	assert_non_null(strstr(g->agent->degraded[0], "cannot be written"));
	assert_int_equal(apply(g, base, more, false).r, 0);
	assert_int_equal(unlink(g->config), 0); /* now it can */
	assert_true(wait_until(g, is_whole));
}

static void second_daemon_is_refused(void **state)
{
	struct rig *g = *state;
	struct agent *other = NULL;

	assert_int_equal(start(g), 0);
	log_set_file("/dev/null");
	assert_int_equal(agent_open(&g->options, g->loop, &other), -EBUSY);
	log_set_file(NULL);
	assert_null(other);
}

static void offline_answers_from_pins_and_snapshot(void **state)
{
	struct rig *g = *state;

	plug("web1");
	assert_int_equal(start(g), 0);
	assert_int_equal(apply(g, base, more, false).r, 0);
	stop(g);
	g->options.offline = true;
	assert_int_equal(start(g), 0);
	assert_non_null(config_port(g->agent->config, "web3"));
	assert_true(web1_is_up(g));
	assert_true(table_length(g->agent->dp, FWD_HOST) > 0);
}

static void note_warning(void *arg, const char *check, enum doctor_state state, const char *seen, const char *fix)
{
	if (strcmp(check, "sandbox") == 0 && state == DOCTOR_WARN)
		snprintf(arg, 256, "%s", seen);
}

static void doctor_warns_of_a_configuration_that_lies_among_much_else(void **state)
{
	struct rig *g = *state;
	char seen[256] = "", where[64];

	log_set_file("/dev/null");
	assert_int_equal(start(g), 0);
	doctor_run(g->agent, note_warning, seen);
	assert_string_equal(seen, "");
	stop(g);
	snprintf(where, sizeof(where), "/tmp/isthmus-unit-%d.yaml", (int)getpid());
	assert_int_equal(rename(g->config, where), 0);
	g->options.config_path = where;
	assert_int_equal(start(g), 0);
	doctor_run(g->agent, note_warning, seen);
	log_set_file(NULL);
	unlink(where);
	assert_non_null(strstr(seen, "lies in /tmp,"));
	assert_null(g->agent->degraded[0]);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(applying_the_same_again_does_nothing),
		TEST(dry_run_tells_the_steps_and_changes_nothing),
		TEST(whatever_step_fails_all_before_it_are_undone),
		TEST(table_without_room_is_named_before_anything_is_written),
		TEST(wrong_configuration_leaves_the_running_one),
		TEST(configuration_without_this_node_names_those_it_has),
		TEST(port_added_the_short_way_is_as_one_of_the_file),
		TEST(port_that_cannot_be_added_is_undone),
		TEST(gateway_of_another_network_is_no_address_of_a_new_port),
		TEST(clashes_of_new_ports_are_refused),
		TEST(what_was_added_at_run_time_can_be_applied_and_read_again),
		TEST(waiting_port_comes_up_with_its_interface),
		TEST(interface_renamed_there_and_back_at_once_stays_attached),
		TEST(what_fails_at_a_start_is_tried_again),
		TEST(underlay_interface_may_come_late),
		TEST(underlay_interface_can_be_no_port),
		TEST(removed_filter_is_put_back),
		TEST(deleted_entry_is_put_back),
		TEST(restart_finds_what_was_applied_and_added),
		TEST(edited_file_takes_the_place_of_the_snapshot),
		TEST(broken_file_leads_to_the_snapshot_and_a_reason),
		TEST(nothing_to_start_from_touches_nothing),
		TEST(run_time_ports_that_do_not_fit_any_more_are_kept_aside),
		TEST(run_time_ports_that_cannot_be_read_are_kept_until_they_can),
		TEST(what_is_read_late_and_refused_goes_with_its_entries),
		TEST(what_was_set_aside_before_is_kept_beside),
		TEST(state_directory_that_cannot_be_written_degrades),
		TEST(second_daemon_is_refused),
		TEST(offline_answers_from_pins_and_snapshot),
		TEST(doctor_warns_of_a_configuration_that_lies_among_much_else),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
