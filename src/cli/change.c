/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/client.h"
#include "cli/file.h"
#include "cli/show.h"
#include "lib/cleanup.h"

DEFINE_CLEANUP(json, json_t *, json_decref)

int show_plan(const struct call *call, const json_t *plan, bool list_steps)
{
	const json_t *steps = json_object_get(plan, "steps"), *step;
	bool dry_run = json_is_true(json_object_get(plan, "dryRun"));
	size_t n = json_array_size(steps), i;

	json_array_foreach(json_object_get(plan, "warnings"), i, step) {
		fprintf(stderr, "isthmus: warning: %s\n", json_string_value(step));
	}
	if (call->output != OUTPUT_TABLE) {
		show_object(call, plan);
		return CODE_OK;
	}
	json_array_foreach((json_t *)steps, i, step) {
		if (dry_run || list_steps)
			printf("%s\n", json_string_value(step));
	}
	if (!n)
		note("nothing to change");
	else if (dry_run)
		note("%zu change%s would be made", n, n == 1 ? "" : "s");
	else
		note("%zu change%s made", n, n == 1 ? "" : "s");
	return CODE_OK;
}

static int post_file(const struct call *call, bool dry_run, json_t **plan)
{
	const char *path = call->arguments[0];
	_cleanup_(free) char *name = client_escape(strcmp(path, "-") == 0 ? "standard input" : path);
	_cleanup_(free) char *target = NULL;
	_cleanup_(free) char *text = NULL;
	size_t size = 0;
	int code = file_read(path, &text, &size);

	if (code)
		return code;
	if (asprintf(&target, "/v1/apply?name=%s%s", name, dry_run ? "&dry_run" : "") < 0)
		return fail(ERROR_MEMORY, NULL, "out of memory");
	return client_json(
		call, &(struct client_request){.method = "POST", .target = target, .body = text, .body_size = size},
		plan);
}

int run_apply(const struct call *call)
{
	_cleanup_(json) json_t *plan = NULL;
	int code = post_file(call, call_option(call, "dry-run"), &plan);

	return code ? code : show_plan(call, plan, false);
}

int run_diff(const struct call *call)
{
	_cleanup_(json) json_t *plan = NULL;
	int code = post_file(call, true, &plan);

	if (code)
		return code;
	code = show_plan(call, plan, true);
	return code ? code : json_is_true(json_object_get(plan, "changed")) ? CODE_DIFFERENCE : CODE_OK;
}

/* ---- ports ---- */

static int own_node(const struct call *call, char **out)
{
	_cleanup_(json) json_t *version = NULL; /* a status counts all ports */
	const char *given = call_option(call, "node");
	const char *name;
	int code;

	if (!given) {
		code = client_json(call, &(struct client_request){.target = "/v1/version", .no_offline = true}, &version);
		if (code)
			return code;
	}
	name = given ? given : json_string_value(json_object_get(version, "node"));
	*out = name ? strdup(name) : NULL;
	return *out ? CODE_OK
		    : fail(ERROR_NO_CONFIGURATION, "isthmus apply FILE", "this node has no configuration yet");
}

int run_port_add(const struct call *call)
{
	_cleanup_(json) json_t *document = NULL;
	_cleanup_(json) json_t *plan = NULL;
	_cleanup_(free) char *node = NULL;
	_cleanup_(free) char *body = NULL;
	json_t *addresses = json_array();
	int code = own_node(call, &node);

	if (code) {
		json_decref(addresses);
		return code;
	}
	for (size_t i = 0; call_option_nth(call, "address", i); i++)
		json_array_append_new(addresses, json_string(call_option_nth(call, "address", i)));
	/* JSON is YAML: the daemon reads it with the code that reads the file. */
	document = json_pack("{s:{s:{s:s,s:s,s:s,s:s,s:o}}}", "ports", call->arguments[0], "node", node, "interface",
			     call_option(call, "interface"), "network", call_option(call, "network"), "mac",
			     call_option(call, "mac"), "addresses", addresses);
	if (!document)
		return fail(ERROR_VALUE, NULL, "isthmus port add: what was given is not UTF-8");
	body = json_dumps(document, JSON_INDENT(2));
	if (!body)
		return fail(ERROR_MEMORY, NULL, "out of memory");
	code = client_json(
		call,
		&(struct client_request){.method = "POST",
					 .target = call_option(call, "dry-run") ? "/v1/ports?dry_run" : "/v1/ports",
					 .body = body,
					 .body_size = strlen(body)},
		&plan);
	return code ? code : show_plan(call, plan, false);
}

static int confirm(const struct call *call)
{
	char answer[16] = "";

	if (call_option(call, "yes") || call_option(call, "dry-run"))
		return CODE_OK;
	if (!isatty(STDIN_FILENO) || !isatty(STDERR_FILENO))
		return fail(ERROR_UNANSWERED, "add --yes, or --dry-run to see what would happen",
			    "port %s is not deleted: there is no terminal to ask on", call->arguments[0]);
	fprintf(stderr, "Delete port %s? Its workload loses the network. [y/N] ", call->arguments[0]);
	if (!fgets(answer, sizeof(answer), stdin) ||
	    (strcasecmp(answer, "y\n") != 0 && strcasecmp(answer, "yes\n") != 0)) {
		note("not deleted");
		return CODE_DIFFERENCE;
	}
	return CODE_OK;
}

int run_port_del(const struct call *call)
{
	_cleanup_(json) json_t *plan = NULL;
	_cleanup_(free) char *name = client_escape(call->arguments[0]);
	_cleanup_(free) char *target = NULL;
	int code = confirm(call);

	if (code)
		return code;
	if (asprintf(&target, "/v1/ports/%s%s", name, call_option(call, "dry-run") ? "?dry_run" : "") < 0)
		return fail(ERROR_MEMORY, NULL, "out of memory");
	code = client_json(call, &(struct client_request){.method = "DELETE", .target = target}, &plan);
	return code ? code : show_plan(call, plan, false);
}
