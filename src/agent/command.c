/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/command.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "agent/agent.h"
#include "agent/bgp.h"
#include "agent/bgp_view.h"
#include "agent/doctor.h"
#include "agent/key.h"
#include "agent/port.h"
#include "agent/secure.h"
#include "agent/secure_view.h"
#include "agent/view.h"
#include "api/json.h"
#include "lib/cleanup.h"
#include "lib/text.h"

#define PORT_REASONS 10 /* ports that a status names */

/* ---- status ---- */

static int compare_ports(const void *a, const void *b)
{
	return strcmp((*(const struct config_port *const *)a)->name, (*(const struct config_port *const *)b)->name);
}

/* Those of this node that are not up, the first by name. */
static void put_ports_not_up(struct json *j, const struct agent *a)
{
	_cleanup_(free) const struct config_port **bad = NULL;
	const struct config_port *p;
	const char *reason = NULL;
	size_t n = 0;

	for (size_t i = 0; (p = ports_next(a->ports, &i));)
		n += agent_port_state(a, p, &reason) != AGENT_PORT_UP;
	bad = n ? calloc(n, sizeof(*bad)) : NULL;
	if (!bad)
		return;
	n = 0;
	for (size_t i = 0; (p = ports_next(a->ports, &i));)
		if (agent_port_state(a, p, &reason) != AGENT_PORT_UP)
			bad[n++] = p;
	qsort(bad, n, sizeof(*bad), compare_ports);
	for (size_t i = 0; i < n && i < PORT_REASONS; i++) {
		enum agent_port_state state = agent_port_state(a, bad[i], &reason);

		json_format(j, "port %s is %s%s%s", bad[i]->name, agent_port_state_name(state),
			    reason && *reason ? ": " : "", reason ? reason : "");
	}
	if (n > PORT_REASONS)
		json_format(j, "and %zu more ports are not up", n - PORT_REASONS);
}

static void put_reasons(struct json *j, const struct agent *a)
{

	json_key(j, "reasons");
	json_array_open(j);
	for (size_t i = 0; i < sizeof(a->degraded) / sizeof(a->degraded[0]) && a->degraded[i]; i++)
		json_string(j, a->degraded[i]);
	put_ports_not_up(j, a);
	json_array_close(j);
}

static void put_port_count(struct json *j, const struct agent *a)
{
	size_t count[AGENT_PORT_STATE_MAX] = {0};

	ports_count(a, count);
	json_key(j, "ports");
	json_object_open(j);
	json_put_uint(j, "up", count[AGENT_PORT_UP]);
	json_put_uint(j, "waiting", count[AGENT_PORT_WAITING]);
	json_put_uint(j, "down", count[AGENT_PORT_DOWN]);
	json_put_uint(j, "failed", count[AGENT_PORT_FAILED]);
	json_put_uint(j, "remote", count[AGENT_PORT_REMOTE]);
	json_object_close(j);
}

static uint64_t total_drops(const struct agent *a)
{
	uint64_t drops[DROP_MAX] = {0}, tunnel[TUNNEL_DROP_MAX] = {0}, total = 0;

	if (a->dp)
		stats_drops(a->dp, drops);
	for (unsigned r = DROP_NONE + 1; r < DROP_MAX; r++)
		total += drops[r];
	secure_drops(a->secure, tunnel);
	for (int d = 0; d < TUNNEL_DROP_MAX; d++)
		total += tunnel[d];
	return total;
}

static void put_bgp(struct json *j, const struct agent *a)
{
	size_t n, n_established;

	if (bgp_count(a->bgp, &n, &n_established)) {
		json_put_uint(j, "bgpSessions", n);
		json_put_uint(j, "bgpEstablished", n_established);
		return;
	}
	json_put_null(j, "bgpSessions");
	json_put_null(j, "bgpEstablished");
}

static const char *own_name(const struct agent *a)
{
	return a->self ? a->self->name : a->options.node;
}

static void put_tunnels(struct json *j, const struct agent *a)
{
	size_t asked, down;

	if (secure_count(a->secure, &asked, &down)) {
		json_put_uint(j, "tunnels", asked);
		json_put_uint(j, "tunnelsDown", down);
		return;
	}
	json_put_null(j, "tunnels");
	json_put_null(j, "tunnelsDown");
}

static void handle_status(void *arg, const struct api_request *request, struct api_reply *reply)
{
	const struct agent *a = arg;
	const struct config *c = a->config;
	struct json j = {0};
	size_t networks = 0;

	for (size_t i = 0; c && i < c->n_tenants; i++)
		networks += c->tenants[i].n_networks;
	view_begin(&j, "Status");
	json_put_string(&j, "node", own_name(a));
	json_put_string(&j, "site", a->self ? a->self->site->name : NULL);
	json_put_string(&j, "state", agent_is_degraded(a) ? "DEGRADED" : "OK");
	put_reasons(&j, a);
	json_put_string(&j, "daemon", a->options.offline ? "not running" : "running");
	json_put_string(&j, "version", ISTHMUS_VERSION);
	json_key(&j, "pid");
	if (a->options.offline)
		json_null(&j);
	else
		json_uint(&j, (uint64_t)getpid());
	json_key(&j, "uptimeSeconds");
	if (a->options.offline)
		json_null(&j);
	else
		json_uint(&j, (loop_now_ms(a->loop) - a->started_ms) / 1000);
	json_put_uint(&j, "generation", a->generation);
	put_port_count(&j, a);
	json_put_uint(&j, "tenants", c ? c->n_tenants : 0);
	json_put_uint(&j, "networks", networks);
	json_put_uint(&j, "remoteNodes", c ? c->n_nodes - (a->self ? 1 : 0) : 0);
	json_put_uint(&j, "endpoints", c ? config_n_ports(c) : 0);
	put_bgp(&j, a);
	put_tunnels(&j, a);
	json_put_uint(&j, "drops", total_drops(a));
	json_put_uint(&j, "repairs", a->repairs);
	json_object_close(&j);
	api_reply_json(reply, &j);
}

static void handle_version(void *arg, const struct api_request *request, struct api_reply *reply)
{
	struct utsname kernel;
	struct json j = {0};

	uname(&kernel);
	view_begin(&j, "Version");
	json_put_string(&j, "node", own_name(arg));
	json_put_string(&j, "version", ISTHMUS_VERSION);
	json_put_uint(&j, "abi", ABI_VERSION);
	json_put_string(&j, "kernel", kernel.release);
	json_object_close(&j);
	api_reply_json(reply, &j);
}

static void handle_key(void *arg, const struct api_request *request, struct api_reply *reply)
{
	const struct agent *a = arg;
	_cleanup_(free) char *why = NULL;
	struct config_key key;
	char text[KEY_TEXT_SIZE];
	struct json j = {0};
	int r = secure_public_key(a->secure, &key) ? 0 : key_public(a->options.state_dir, &key, &why);

	if (r == -ENOENT) {
		api_reply_error(reply, 404, "IST-4043",
				"it is made when isthmusd starts for the first time: systemctl start isthmusd", NULL,
				"this node has no key yet");
		return;
	}
	if (r < 0) {
		api_reply_error(reply, 500, "IST-5000",
				"bring the file back; or remove it, start isthmusd again, and change nodes.*.public_key", NULL,
				"%s", why ? why : strerror(-r));
		return;
	}
	view_begin(&j, "Key");
	json_put_string(&j, "name", a->options.node);
	json_put_string(&j, "publicKey", key_format(&key, text));
	json_put_bool(&j, "configured", a->self && config_key_equal(&a->self->public_key, &key));
	json_object_close(&j);
	api_reply_json(reply, &j);
}

/* ---- drops ---- */

/* Where there is a tunnel. */
static void put_tunnel_drops(struct json *j, const struct agent *a, bool lines)
{
	uint64_t drops[TUNNEL_DROP_MAX];

	if (!secure_has_tunnel(a->secure))
		return;
	secure_drops(a->secure, drops);
	for (int d = 0; d < TUNNEL_DROP_MAX; d++) {
		if (lines)
			json_newline(j);
		view_tunnel_drop(j, d, drops[d]);
	}
}

/* false: no reason of the tunnel has that name. */
static bool find_tunnel_drop(struct json *j, const struct agent *a, const char *name)
{
	uint64_t drops[TUNNEL_DROP_MAX] = {0};

	if (strncmp(name, VIEW_TUNNEL_DROP, strlen(VIEW_TUNNEL_DROP)) != 0)
		return false;
	secure_drops(a->secure, drops);
	for (int d = 0; d < TUNNEL_DROP_MAX; d++)
		if (strcmp(tunnel_drop_name(d), name + strlen(VIEW_TUNNEL_DROP)) == 0) {
			view_tunnel_drop(j, d, drops[d]);
			return true;
		}
	return false;
}

static void handle_drops(void *arg, const struct api_request *request, struct api_reply *reply)
{
	const struct agent *a = arg;
	uint64_t drops[DROP_MAX] = {0};
	uint64_t kept = a->n_events < AGENT_EVENTS ? a->n_events : AGENT_EVENTS;
	struct json j = {0};
	bool lines;

	if (!api_query_flag(request, "stream", &lines, reply))
		return;
	if (a->dp)
		stats_drops(a->dp, drops);
	if (!lines) {
		view_begin(&j, "DropList");
		json_key(&j, "items");
		json_array_open(&j);
	}
	for (unsigned r = DROP_NONE + 1; r < DROP_MAX; r++) {
		view_drop(&j, r, drops[r]);
		if (lines && r + 1 < DROP_MAX)
			json_newline(&j);
	}
	put_tunnel_drops(&j, a, lines);
	if (!lines) {
		json_array_close(&j);
		json_key(&j, "events");
		json_array_open(&j);
		for (uint64_t i = a->n_events - kept; i < a->n_events; i++)
			view_event(&j, a, &a->events[i % AGENT_EVENTS]);
		json_array_close(&j);
		json_object_close(&j);
	}
	api_reply_json(reply, &j);
	if (lines && reply->status == 200)
		reply->content_type = "application/jsonl";
}

static void handle_drop(void *arg, const struct api_request *request, struct api_reply *reply)
{
	const struct agent *a = arg;
	uint64_t drops[DROP_MAX] = {0};
	struct json j = {0};

	if (a->dp)
		stats_drops(a->dp, drops);
	for (unsigned r = DROP_NONE + 1; r < DROP_MAX; r++)
		if (strcmp(drop_name(r), request->name) == 0) {
			view_drop(&j, r, drops[r]);
			api_reply_json(reply, &j);
			return;
		}
	if (find_tunnel_drop(&j, a, request->name)) {
		api_reply_json(reply, &j);
		return;
	}
	api_reply_error(reply, 404, "IST-4041", "isthmus get drops lists them", NULL, "no drop reason is called \"%s\"",
			request->name);
}

/* ---- configuration ---- */

static void handle_config(void *arg, const struct api_request *request, struct api_reply *reply)
{
	const struct agent *a = arg;
	_cleanup_(free) char *text = NULL;
	size_t size = 0;
	FILE *f;
	int r;

	if (!a->config) {
		api_reply_error(reply, 404, "IST-4042", "isthmus apply FILE", NULL, "no configuration is loaded");
		return;
	}
	f = text_stream(&text, &size);
	r = f ? conf_emit(a->config, false, f) : -ENOMEM;
	if (f && fclose(f) != 0)
		r = -ENOMEM;
	if (r < 0) {
		api_reply_error(reply, 500, "IST-5000", NULL, NULL, "the configuration cannot be written: %s",
				strerror(-r));
		return;
	}
	reply->content_type = "application/yaml";
	reply->body = TAKE_PTR(text);
	reply->body_size = size;
}

static void reply_refused(struct api_reply *reply, const struct conf_errors *errors)
{
	struct json details = {0};

	json_array_open(&details);
	for (size_t i = 0; i < errors->length; i++) {
		const struct conf_error *e = &errors->items[i];

		json_object_open(&details);
		json_put_string(&details, "file", e->file);
		json_put_uint(&details, "line", e->line);
		json_put_uint(&details, "column", e->column);
		json_put_string(&details, "path", e->path);
		json_key(&details, "code");
		json_format(&details, "IST-%04u", e->code);
		json_put_string(&details, "message", e->what);
		json_object_close(&details);
	}
	json_array_close(&details);
	api_reply_error(reply, 422, "IST-4022",
			"mend the places named and try again; isthmus explain KEY tells what a key takes", &details,
			"the configuration was refused (%zu error%s); nothing was changed", errors->length,
			errors->length == 1 ? "" : "s");
	json_fini(&details);
}

static void reply_plan(struct api_reply *reply, const struct agent *a, const struct agent_plan *plan, bool dry_run)
{
	struct json j = {0};

	view_begin(&j, "Plan");
	json_put_bool(&j, "dryRun", dry_run);
	json_put_bool(&j, "changed", plan->length > 0);
	json_key(&j, "steps");
	json_array_open(&j);
	for (size_t i = 0; i < plan->length; i++)
		json_string(&j, plan->steps[i].text);
	json_array_close(&j);
	json_key(&j, "warnings");
	json_array_open(&j);
	if (!dry_run && agent_unsaved(a))
		json_format(&j, "not saved: %s", agent_unsaved(a));
	json_array_close(&j);
	json_put_uint(&j, "generation", a->generation);
	json_object_close(&j);
	api_reply_json(reply, &j);
}

/* What agent_apply and its siblings returned, as a reply. */
static void reply_outcome(struct api_reply *reply, const struct agent *a, int r, bool dry_run,
			  const struct agent_plan *plan, const struct conf_errors *errors, const char *why)
{
	if (r >= 0)
		reply_plan(reply, a, plan, dry_run);
	else if (r == -EINVAL && errors && errors->length)
		reply_refused(reply, errors);
	else
		api_reply_error(reply, r == -EINVAL ? 422 : 500, "IST-5001",
				"isthmus doctor finds what is wrong with this host", NULL, "%s",
				why ? why : strerror(-r));
}

static bool is_offline(const struct agent *a, struct api_reply *reply)
{
	if (a->options.offline)
		api_reply_error(reply, 503, "IST-5030", "systemctl start isthmusd", NULL,
				"the daemon is not running; it alone can change the fabric");
	return a->options.offline;
}

static uint64_t now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static void count_change(struct agent *a, int r, bool dry_run, uint64_t began_us)
{
	if (dry_run)
		return;
	if (r < 0) {
		a->changes.refused++;
		return;
	}
	a->changes.done++;
	a->changes.last_us = now_us() - began_us;
}

static void handle_apply(void *arg, const struct api_request *request, struct api_reply *reply)
{
	const char *name = request->query(request, "name");
	struct agent_plan plan = {0};
	struct conf_errors errors = {0};
	_cleanup_(free) char *why = NULL;
	struct agent *a = arg;
	bool dry_run;

	if (is_offline(a, reply) || !api_query_flag(request, "dry_run", &dry_run, reply))
		return;
	uint64_t began_us = now_us();
	int r = agent_apply(a, name ? name : "request", request->body, request->body_size, dry_run, &plan, &errors,
			    &why);

	count_change(a, r, dry_run, began_us);
	reply_outcome(reply, a, r, dry_run, &plan, &errors, why);
	agent_plan_fini(&plan);
	conf_errors_fini(&errors);
}

static void handle_port_add(void *arg, const struct api_request *request, struct api_reply *reply)
{
	struct agent_plan plan = {0};
	struct conf_errors errors = {0};
	_cleanup_(free) char *why = NULL;
	struct agent *a = arg;
	bool dry_run;

	if (is_offline(a, reply) || !api_query_flag(request, "dry_run", &dry_run, reply))
		return;
	uint64_t began_us = now_us();
	int r = agent_port_add(a, request->body, request->body_size, dry_run, &plan, &errors, &why);

	count_change(a, r, dry_run, began_us);
	reply_outcome(reply, a, r, dry_run, &plan, &errors, why);
	agent_plan_fini(&plan);
	conf_errors_fini(&errors);
}

static void handle_port_del(void *arg, const struct api_request *request, struct api_reply *reply)
{
	struct agent_plan plan = {0};
	_cleanup_(free) char *why = NULL;
	struct agent *a = arg;
	bool dry_run;

	if (is_offline(a, reply) || !api_query_flag(request, "dry_run", &dry_run, reply))
		return;
	uint64_t began_us = now_us();
	int r = agent_port_del(a, request->name, dry_run, &plan, &why);

	count_change(a, r, dry_run, began_us);
	if (r == -ENOENT)
		api_reply_error(reply, 404, "IST-4041", "isthmus get ports lists what there is", NULL,
				"no port is called \"%s\"", request->name);
	else if (r == -EPERM)
		api_reply_error(reply, 409, "IST-4009",
				why ? NULL : "take it out of the file and run isthmus apply FILE", NULL, "%s",
				why ? why : "the port belongs to the configuration file");
	else
		reply_outcome(reply, a, r, dry_run, &plan, NULL, why);
	agent_plan_fini(&plan);
}

/* ---- doctor ---- */

static void add_check(void *arg, const char *check, enum doctor_state state, const char *seen, const char *fix)
{
	struct json *j = arg;

	json_object_open(j);
	json_put_string(j, "name", check);
	json_put_string(j, "state", doctor_state_name(state));
	json_put_string(j, "seen", seen);
	json_put_string(j, "fix", fix);
	json_object_close(j);
}

static void handle_doctor(void *arg, const struct api_request *request, struct api_reply *reply)
{
	struct json checks = {0}, j = {0};
	enum doctor_state worst;
	size_t size = 0;

	json_array_open(&checks);
	worst = doctor_run(arg, add_check, &checks);
	json_array_close(&checks);

	_cleanup_(free) char *text = json_take(&checks, &size);

	view_begin(&j, "DoctorReport");
	json_put_string(&j, "state", doctor_state_name(worst));
	json_key(&j, "checks");
	json_raw(&j, text ? text : "[]", text ? size : 2);
	json_object_close(&j);
	api_reply_json(reply, &j);
}

/* ---- the API about itself ---- */

static void handle_openapi(void *arg, const struct api_request *request, struct api_reply *reply)
{
	struct json j = {0};
	size_t n;
	const struct api_route *routes = command_routes(&n);

	openapi_write(&j, "Isthmus", ISTHMUS_VERSION, routes, n, view_kinds, view_n_kinds);
	api_reply_json(reply, &j);
}

static void handle_schema(void *arg, const struct api_request *request, struct api_reply *reply)
{
	struct json j = {0};

	for (size_t i = 0; i < view_n_kinds; i++)
		if (!view_kinds[i].nested && strcmp(view_kinds[i].name, request->name) == 0) {
			openapi_schema_write(&j, &view_kinds[i], view_kinds, view_n_kinds);
			api_reply_json(reply, &j);
			return;
		}
	api_reply_error(reply, 404, "IST-4041", "kinds begin with a capital: Port, Network, Status", NULL,
			"no kind is called \"%s\"", request->name);
}

static const struct api_route routes[] = {
	{"GET", "/v1/status", "How the node is", NULL, false, "Status", handle_status},
	{"GET", "/v1/version", "The node, and versions of daemon, data plane and kernel", NULL, false, "Version", handle_version},
	{"GET", "/v1/key", "This node's public key", NULL, false, "Key", handle_key},
	{"GET", "/v1/doctor", "Prerequisites and faults of this host", NULL, false, "DoctorReport", handle_doctor},
	{"GET", "/v1/sites", "All sites", "stream all", false, "SiteList", view_list_handle},
	{"GET", "/v1/sites/{name}", "One site", NULL, false, "Site", view_name_handle},
	{"GET", "/v1/nodes", "All nodes", "stream all", false, "NodeList", view_list_handle},
	{"GET", "/v1/nodes/{name}", "One node", NULL, false, "Node", view_name_handle},
	{"GET", "/v1/tunnels", "Encryption to other nodes and plain WireGuard peers", "stream all", false, "TunnelList", view_list_handle},
	{"GET", "/v1/tunnels/{name}", "Encryption to one node or peer", NULL, false, "Tunnel", view_name_handle},
	{"GET", "/v1/peers", "Plain WireGuard peers, of all nodes", "stream all", false, "PeerList", view_list_handle},
	{"GET", "/v1/peers/{name}", "One plain WireGuard peer", NULL, false, "Peer", view_name_handle},
	{"GET", "/v1/tenants", "All tenants", "stream all", false, "TenantList", view_list_handle},
	{"GET", "/v1/tenants/{name}", "One tenant", NULL, false, "Tenant", view_name_handle},
	{"GET", "/v1/networks", "All networks", "stream all", false, "NetworkList", view_list_handle},
	{"GET", "/v1/networks/{name}", "One network: tenant/network", NULL, false, "Network", view_name_handle},
	{"GET", "/v1/ports", "All ports, of all nodes", "stream all", false, "PortList", view_list_handle},
	{"GET", "/v1/ports/{name}", "One port", NULL, false, "Port", view_name_handle},
	{"GET", "/v1/macs", "MACs that this node forwards to; all: of the whole fabric", "stream all", false, "MacList",
	 view_list_handle},
	{"GET", "/v1/macs/{name}", "What has this MAC: MAC or tenant/network/MAC", NULL, false, "MacList",
	 view_name_handle},
	{"GET", "/v1/hosts", "Addresses that this node forwards to; all: of the whole fabric", "stream all", false,
	 "HostList", view_list_handle},
	{"GET", "/v1/hosts/{name}", "What has this address: address or tenant/address", NULL, false, "HostList",
	 view_name_handle},
	{"GET", "/v1/routes", "Routes of this node; all: of the whole fabric", "stream all", false, "RouteList",
	 view_list_handle},
	{"GET", "/v1/routes/{name}", "Routes to a prefix: address, prefix, tenant/address or tenant/prefix", NULL,
	 false, "RouteList", view_name_handle},
	{"GET", "/v1/bgp/neighbors", "BGP sessions of this node", "stream", false, "BgpNeighborList", bgp_view_neighbors},
	{"GET", "/v1/bgp/neighbors/{name}", "One BGP session: address or name", NULL, false, "BgpNeighbor",
	 bgp_view_neighbor},
	{"GET", "/v1/bgp/routes", "What neighbors say; match: a family or a part of the route", "stream match=", false,
	 "BgpRouteList", bgp_view_routes},
	{"GET", "/v1/bgp/received/{name}", "What one neighbor says", "stream match=", false, "BgpRouteList",
	 bgp_view_received},
	{"GET", "/v1/bgp/advertised/{name}", "What one neighbor is told", "stream", false, "BgpRouteList",
	 bgp_view_advertised},
	{"GET", "/v1/bgp/why/{name}", "Every candidate for an address, a prefix or a MAC, and why it counts or does not",
	 "stream", false, "BgpWhyList", bgp_view_why},
	{"POST", "/v1/bgp/refresh/{name}", "Asks a neighbor for all its routes", "dry_run", true, "Plan",
	 bgp_command_refresh},
	{"POST", "/v1/bgp/reset/{name}", "Ends a session, which begins anew", "dry_run", true, "Plan", bgp_command_reset},
	{"POST", "/v1/bgp/free/{name}", "Hears a MAC again that was held back as a duplicate", "dry_run", true, "Plan",
	 bgp_command_free},
	{"GET", "/v1/drops", "Drop reasons with their counters, and sampled drops", "stream", false, "DropList",
	 handle_drops},
	{"GET", "/v1/drops/{name}", "One drop reason", NULL, false, "Drop", handle_drop},
	{"GET", "/v1/config", "The effective configuration as YAML, run-time ports included", NULL, false, NULL,
	 handle_config},
	{"POST", "/v1/apply",
	 "Makes the configuration in the body the one of this node; the plan that was (dry_run: would be) executed",
	 "dry_run name=", true, "Plan", handle_apply},
	{"POST", "/v1/ports", "Adds the ports of a `ports:` map, remembered over restarts", "dry_run", true, "Plan",
	 handle_port_add},
	{"DELETE", "/v1/ports/{name}", "Deletes a port that was added at run time", "dry_run", true, "Plan",
	 handle_port_del},
	{"GET", "/v1/openapi.json", "This description", NULL, false, NULL, handle_openapi},
	{"GET", "/v1/schema/{name}", "JSON schema of a kind", NULL, false, NULL, handle_schema},
	{"GET", "/metrics", "OpenMetrics, or Prometheus text, by the Accept header", NULL, false, NULL,
	 view_metrics_handle},
};

const struct api_route *command_routes(size_t *length)
{
	*length = sizeof(routes) / sizeof(routes[0]);
	return routes;
}
