/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as a request, to the daemon's own agent over a kernel that is played (no sockets but those of the fakes).
 *
 *	byte 0		who asks: nobody, a member of the group, root
 *	rest		METHOD SP target [SP version] CR LF, headers, CR LF, body
 *
 * Rules: the status is one that the API has; every answer in JSON is JSON, an error has code and message, a good reply
 * has its kind; what is YAML loads; nothing changes but by root, by a mutating route, without dry_run and with success;
 * and applying the first configuration again brings back exactly the first tables.
 */
#include <errno.h>
#include <jansson.h>
#include <limits.h>
#include <strings.h>

#include "agent/agent.h"
#include "agent/command.h"
#include "agent/doctor.h"
#include "api/route.h"
#include "conf/conf.h"
#include "dp/datapath.h"
#include "fake_bpf.h"
#include "fake_netlink.h"
#include "fuzz.h"
#include "kern/kern.h"
#include "kernel_view.h"
#include "lib/log.h"
#include "lib/loop.h"

#define STREAM_MAX (4u << 20) /* the fabric is small: more is a stream without an end */

static const char base[] =
	"version: 1\n"
	"fabric: {encryption: never}\n"
	"sites: {dc: {}, aws: {}}\n"
	"nodes:\n"
	"  dc1: {site: dc, underlay: [192.0.2.11, \"2001:db8::11\"]}\n"
	"  aws1: {site: aws, underlay: 198.51.100.21}\n"
	"  sw: {site: dc, underlay: 192.0.2.14, foreign: true}\n"
	"tenants:\n"
	"  red:\n"
	"    vni: 5000\n"
	"    networks:\n"
	"      web: {mode: l2, vni: 5001, subnets: [10.0.1.0/24, \"fd00:1::/64\"], gateway: [10.0.1.1]}\n"
	"      app: {mode: l3, subnets: [10.0.2.0/24]}\n"
	"ports:\n"
	"  web1: {node: dc1, interface: web1, network: red/web, mac: \"02:00:00:00:00:01\", addresses: [10.0.1.11]}\n"
	"  web2: {node: aws1, interface: web2, network: red/web, mac: \"02:00:00:00:00:02\", addresses: [10.0.1.12]}\n"
	"  app1: {node: dc1, interface: app1, network: red/app, mac: \"02:00:00:00:00:03\", addresses: [10.0.2.11]}\n"
	"  gone: {node: dc1, interface: gone0, network: red/web, mac: \"02:00:00:00:00:04\"}\n";

static char directory[64], paths[4][80];
static struct agent *agent;
static struct loop *loop;
static char *first_view;

/* ---- what is not under test: the machine's own settings, its doctor, the listening socket ---- */

/* Wrapped (see meson.build), so that a further function of that file is none of ours. */
int __wrap_kern_port_guard(const struct kern *k, const char *name);
int __wrap_kern_port_unguard(const struct kern *k, const char *name);
int __wrap_kern_port_is_guarded(struct kern *k, uint32_t ifindex);
int __wrap_kern_fib_enable(const struct kern *k);
int __wrap_kern_fib_disable(const struct kern *k);
int __wrap_server_open(struct loop *l, const char *run_dir, const struct api_route *routes, size_t n_routes, void *arg,
		       struct server **out);
void __wrap_server_close(struct server *s);
void __wrap_server_allow_body(struct server *s, size_t size);
enum doctor_state __wrap_doctor_run(const struct agent *a, doctor_report_fn fn, void *arg);

int __wrap_kern_port_guard(const struct kern *k, const char *name)
{
	return 0;
}

int __wrap_kern_port_unguard(const struct kern *k, const char *name)
{
	return 0;
}

int __wrap_kern_port_is_guarded(struct kern *k, uint32_t ifindex)
{
	return 1;
}

int __wrap_kern_fib_enable(const struct kern *k)
{
	return 0;
}

int __wrap_kern_fib_disable(const struct kern *k)
{
	return 0;
}

enum doctor_state __wrap_doctor_run(const struct agent *a, doctor_report_fn fn, void *arg)
{
	fn(arg, "one", DOCTOR_OK, "as it \"should\" be", NULL);
	fn(arg, "other", DOCTOR_WARN, "not \xff quite\n", "do so");
	return DOCTOR_WARN;
}

int __wrap_server_open(struct loop *l, const char *run_dir, const struct api_route *routes, size_t n_routes, void *arg,
		       struct server **out)
{
	*out = NULL;
	return 0;
}

void __wrap_server_close(struct server *s)
{
}

void __wrap_server_allow_body(struct server *s, size_t size)
{
}

/* ---- the agent ---- */

static void clean_up(void)
{
	char command[128];

	agent_close(agent);
	loop_free(loop);
	free(first_view);
	fake_bpf_fini();
	snprintf(command, sizeof(command), "rm -rf %s", directory);
	if (system(command) != 0)
		perror(directory);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	static const char *const names[] = {"bpf", "run", "state", "isthmus.yaml"};
	struct agent_options options = {.node = "dc1", .no_sandbox = true};
	FILE *f;

	snprintf(directory, sizeof(directory), "/dev/shm/isthmus-fuzz-XXXXXX");
	require(mkdtemp(directory), "a directory to work in");
	for (size_t i = 0; i < 4; i++)
		snprintf(paths[i], sizeof(paths[i]), "%s/%s", directory, names[i]);
	f = fopen(paths[3], "w");
	require(f && fputs(base, f) >= 0 && fclose(f) == 0, "a file to work with");
	log_set_file(getenv("FUZZ_LOG") ? getenv("FUZZ_LOG") : "/dev/null");
	fake_bpf_init(paths[0]);
	fake_netlink_set(fake_kernel, NULL);
	options.bpf_dir = paths[0];
	options.run_dir = paths[1];
	options.state_dir = paths[2];
	options.config_path = paths[3];
	require(loop_new(&loop) == 0 && agent_open(&options, loop, &agent) == 0, "a daemon that starts");
	first_view = kernel_view();
	atexit(clean_up);
	return 0;
}

/* Back to the first configuration, and no port of run time. */
static void restore(void)
{
	struct agent_plan plan = {0};
	struct conf_errors errors = {0};
	char *why = NULL, *view;

	while (agent->config->n_runtime > 0) {
		char name[256];

		snprintf(name, sizeof(name), "%s", agent->config->runtime[0]->name);
		require(agent_port_del(agent, name, false, &plan, &why) >= 0, "a port of run time that cannot be deleted");
		agent_plan_fini(&plan);
	}
	require(agent_apply(agent, paths[3], base, strlen(base), false, &plan, &errors, &why) >= 0,
		"the first configuration cannot be applied again");
	agent_plan_fini(&plan);
	conf_errors_fini(&errors);
	free(why);
	view = kernel_view();
	if (strcmp(view, first_view) != 0)
		dprintf(STDERR_FILENO, "first:\n%snow:\n%s", first_view, view);
	require(strcmp(view, first_view) == 0, "the first configuration does not bring back the first tables");
	free(view);
}

/* ---- the request ---- */

struct request {
	char *text; /* owns what the others point into */
	const char *method, *target, *accept;
	const char *body;
	size_t body_size;
};

static char *line_end(char *at)
{
	char *end = strstr(at, "\r\n");

	return end ? end : at + strlen(at);
}

/* The least that an HTTP server does; a NUL ends the head, as it does for microhttpd. */
static void request_parse(struct request *q, const struct input *in)
{
	char *at, *end, *space;

	q->text = malloc(in->size + 1);
	require(q->text, "memory");
	memcpy(q->text, in->data, in->size);
	q->text[in->size] = 0;
	q->body = q->text + in->size;
	at = q->text;
	end = line_end(at);
	q->method = at;
	q->target = "";
	space = memchr(at, ' ', (size_t)(end - at));
	if (space) {
		*space = 0;
		q->target = space + 1;
		space = memchr(q->target, ' ', (size_t)(end - q->target));
		if (space)
			*space = 0;
	}
	while (*end) {
		at = end + 2;
		*end = 0;
		if (strncmp(at, "\r\n", 2) == 0) {
			q->body = at + 2;
			q->body_size = in->size - (size_t)(q->body - q->text);
			return;
		}
		end = line_end(at);
		if (strncasecmp(at, "Accept: ", 8) == 0)
			q->accept = at + 8;
	}
}

/* ---- the answer ---- */

static char *collect(struct api_reply *reply, size_t *size)
{
	char *text = NULL, buffer[512];
	bool more = true;
	FILE *f;

	if (!reply->next) {
		*size = reply->body_size;
		text = malloc(reply->body_size + 1);
		require(text && (reply->body || !reply->body_size), "an answer");
		memcpy(text, reply->body ? reply->body : "", reply->body_size);
		text[reply->body_size] = 0;
		return text;
	}
	f = open_memstream(&text, size);
	require(f, "memory");
	while (more) {
		size_t used = 0;

		more = reply->next(reply->stream, buffer, sizeof(buffer), &used);
		require(used <= sizeof(buffer), "a piece larger than its room");
		fwrite(buffer, 1, used, f);
		require(ftell(f) < (long)STREAM_MAX, "a stream without an end");
	}
	fclose(f);
	return text;
}

static void check_error(const json_t *j)
{
	const json_t *error = json_object_get(j, "error");

	require(json_is_string(json_object_get(error, "code")) && json_is_string(json_object_get(error, "message")),
		"an error without code and message");
	require(strncmp(json_string_value(json_object_get(error, "code")), "IST-", 4) == 0, "a code that is none");
}

static void check_json(const char *text, size_t size, const struct api_route *route, int status)
{
	json_t *j = json_loadb(text, size, 0, NULL);

	require(j, "an answer that is not JSON");
	if (status >= 400)
		check_error(j);
	else if (route && route->reply)
		require(strcmp(json_string_value(json_object_get(j, "kind")), route->reply) == 0,
			"an answer of another kind");
	json_decref(j);
}

static void check_lines(char *text)
{
	for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
		json_t *j = json_loads(line, 0, NULL);

		require(json_is_object(j) && json_object_get(j, "kind"), "a line that is not JSON");
		json_decref(j);
	}
}

static void check_yaml(const char *text, size_t size)
{
	const struct conf_source source = {.name = "answer", .text = text, .size = size};
	struct conf_errors errors = {0};
	struct config *c = NULL;

	require(conf_load(&source, 1, &c, &errors) == 0, "a configuration that does not load");
	config_free(c);
	conf_errors_fini(&errors);
}

static void check_answer(struct api_reply *reply, const struct api_route *route)
{
	static const int statuses[] = {200, 400, 403, 404, 405, 409, 422, 500, 503};
	const char *type = reply->content_type ? reply->content_type : "application/json";
	bool known = false;
	size_t size;
	char *text = collect(reply, &size);

	for (size_t i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++)
		known = known || statuses[i] == reply->status;
	require(known, "a status that the API does not have");
	require(reply->status < 400 || strcmp(type, "application/json") == 0, "an error that is not JSON");
	if (strcmp(type, "application/json") == 0)
		check_json(text, size, route, reply->status);
	else if (strcmp(type, "application/jsonl") == 0)
		check_lines(text);
	else if (strcmp(type, "application/yaml") == 0)
		check_yaml(text, size);
	else
		require(size > 6 && strcmp(text + size - 6, "# EOF\n") == 0, "metrics without an end");
	free(text);
}

/* ---- */

static bool asks_dry_run(const char *target)
{
	const char *query = strchr(target, '?');

	return query && strstr(query, "dry_run");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const enum api_access accesses[] = {API_ACCESS_NONE, API_ACCESS_READ, API_ACCESS_ALL};
	struct input in = {data, size};
	const struct api_user user = {.access = accesses[input_u8(&in) % 3], .uid = 1000};
	uint64_t generation = agent->generation, writes = fake_bpf_writes(), done = agent->changes.done;
	struct api_reply reply = {.status = 200};
	const struct api_route *route = NULL;
	struct request q = {0};
	struct route_table table = {.arg = agent};
	bool may;

	table.routes = command_routes(&table.length);
	request_parse(&q, &in);
	may = route_permit(&table, &user, q.method, q.target, &reply);
	if (may) {
		struct api_reply ignored = {.status = 200};
		char *name = NULL;

		route = route_find(&table, q.method, q.target, &name, &ignored);
		require(route, "a permission for what is not there");
		free(name);
		route_run(&table, q.method, q.target, q.accept, q.body, q.body_size, &reply);
	} else {
		require(reply.status >= 400 && reply.body, "a refusal that does not say why");
	}
	require(user.access != API_ACCESS_NONE || reply.status == 403, "an answer to nobody");
	check_answer(&reply, route);
	if (agent->generation != generation || fake_bpf_writes() != writes || agent->changes.done != done) {
		require(may && user.access == API_ACCESS_ALL && route->mutates, "a change by who may not change");
		require(reply.status == 200 || agent->generation == generation, "a change by what was refused");
		restore();
	}
	if (asks_dry_run(q.target) && may && route->mutates && reply.status == 200 && strstr(q.target, "dry_run=1"))
		require(agent->generation == generation, "a dry run that changes something");
	api_reply_fini(&reply);
	free(q.text);
	return 0;
}
