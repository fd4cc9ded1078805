/* SPDX-License-Identifier: Apache-2.0 */
#include "agent_rig.h"

#include <errno.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>

#include "lib/cleanup.h"
#include "lib/log.h"

int __real_table_put(struct datapath *dp, const struct fwd *f);
int __wrap_table_put(struct datapath *dp, const struct fwd *f);
size_t __real_table_capacity(const struct datapath *dp, enum fwd_kind kind);
size_t __wrap_table_capacity(const struct datapath *dp, enum fwd_kind kind);
struct sandbox_paths;
int __wrap_sandbox_enter(const struct sandbox_paths *paths, char **missing);
int __wrap_file_read(const char *path, size_t limit, char **text, size_t *size);
struct snapshot;
int __real_snapshot_read(const char *state_dir, size_t size_max, struct snapshot *out);
int __wrap_snapshot_read(const char *state_dir, size_t size_max, struct snapshot *out);

int no_ports, no_fabric;
unsigned no_ports_times, no_fabric_times;
long fail_at = -1;
size_t room;

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

int __wrap_snapshot_read(const char *state_dir, size_t size_max, struct snapshot *out)
{
	if (no_fabric == 0 || no_fabric_times == 0)
		return __real_snapshot_read(state_dir, size_max, out);
	no_fabric_times--;
	return no_fabric;
}

size_t __wrap_table_capacity(const struct datapath *dp, enum fwd_kind kind)
{
	return room && kind == FWD_HOST ? room : __real_table_capacity(dp, kind);
}

/* ---- the rig ---- */

const char base[] =
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

const char more[] =
	"  web3: {node: aws1, interface: web3, network: red/web, mac: \"02:00:00:00:00:33\", addresses: [10.0.1.33]}\n"
	"  blue2: {node: dc1, interface: blue2, network: blue/web, mac: \"02:00:00:00:00:34\", addresses: "
	"[10.0.1.34]}\n";

const char web4[] = "ports: {web4: {node: dc1, interface: web4, network: red/web, mac: \"02:00:00:00:00:44\", "
			   "addresses: [10.0.1.44]}}";

void write_config(struct rig *g, const char *text, const char *and)
{
	FILE *f = fopen(g->config, "w");

	assert_non_null(f);
	fprintf(f, "%s%s", text, and);
	fclose(f);
}

int start(struct rig *g)
{
	assert_int_equal(loop_new(&g->loop), 0);
	return agent_open(&g->options, g->loop, &g->agent);
}

void stop(struct rig *g)
{
	agent_close(g->agent);
	loop_free(g->loop);
	g->agent = NULL;
	g->loop = NULL;
}

int setup(void **state)
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
	no_fabric = 0;
	*state = g;
	if (run("ip link set lo up && ip link add u0 up type veth peer name u1 && ip link set u1 up && ip address add "
		"192.0.2.11/24 dev u0"))
		return -1;
	write_config(g, base, "");
	return 0;
}

int teardown(void **state)
{
	struct rig *g = *state;

	if (g->loop)
		stop(g);
	datapath_teardown(g->bpf);
	sandbox_leave(&g->sandbox);
	free(g);
	return 0;
}

uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

bool wait_until(struct rig *g, bool (*question)(struct rig *g))
{
	for (uint64_t end = now_ms() + PATIENCE_MS; now_ms() < end;) {
		if (question(g))
			return true;
		loop_step(g->loop, 20);
	}
	return false;
}

/* ---- what the data plane holds ---- */

static bool hold(void *arg, const struct fwd *f)
{
	struct held *h = arg;

	assert_true(h->length < 512);
	h->items[h->length++] = *f;
	return true;
}

struct held look(const struct rig *g)
{
	struct held h = {.length = 0};

	for (enum fwd_kind kind = 0; kind < FWD_KIND_MAX; kind++)
		table_each(g->agent->dp, kind, hold, &h);
	return h;
}

bool held_equal(const struct held *a, const struct held *b)
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

static struct outcome finish(int r, struct agent_plan *plan, struct conf_errors *errors, char *why)
{
	struct outcome o = {.r = r, .steps = plan->length};

	snprintf(o.why, sizeof(o.why), "%s", why ? why : errors->length ? errors->items[0].what : "");
	agent_plan_fini(plan);
	conf_errors_fini(errors);
	free(why);
	return o;
}

struct outcome apply(struct rig *g, const char *text, const char *and, bool dry_run)
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

struct outcome port_add(struct rig *g, const char *yaml, bool dry_run)
{
	struct agent_plan plan = {0};
	struct conf_errors errors = {0};
	char *why = NULL;
	int r = agent_port_add(g->agent, yaml, strlen(yaml), dry_run, &plan, &errors, &why);

	return finish(r, &plan, &errors, why);
}

struct outcome port_del(struct rig *g, const char *name, bool dry_run)
{
	struct agent_plan plan = {0};
	struct conf_errors errors = {0};
	char *why = NULL;
	int r = agent_port_del(g->agent, name, dry_run, &plan, &why);

	return finish(r, &plan, &errors, why);
}

enum agent_port_state port_state(const struct rig *g, const char *name)
{
	const struct config_port *p = config_port(g->agent->config, name);
	const char *reason;

	assert_non_null(p);
	return agent_port_state(g->agent, p, &reason);
}

bool web1_is_up(struct rig *g)
{
	return port_state(g, "web1") == AGENT_PORT_UP;
}

bool is_whole(struct rig *g)
{
	return !g->agent->degraded[0];
}

static bool runs(const char *name)
{
	struct ifreq request = {0};
	_cleanup_(fd) int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
	return ioctl(fd, SIOCGIFFLAGS, &request) == 0 && request.ifr_flags & IFF_RUNNING;
}

/* A worker of the kernel says that a device runs, when it comes round to it. */
void plug(const char *name)
{
	uint64_t end = now_ms() + PATIENCE_MS;

	assert_int_equal(run("ip link add %s up type veth peer name %sp && ip link set %sp up", name, name, name), 0);
	while (!runs(name)) {
		assert_true(now_ms() < end);
		sched_yield();
	}
}
