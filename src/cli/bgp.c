/* SPDX-License-Identifier: Apache-2.0 */
/*
 * isthmus bgp: sessions and routes, in the columns that users of routers know.
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/client.h"
#include "cli/show.h"
#include "lib/cleanup.h"

DEFINE_CLEANUP(json, json_t *, json_decref)

static const struct column summary_columns[] = {
	{"NEIGHBOR", "name"},
	{"AS", "remoteAs", false, true},
	{"MSG-RCVD", "messagesReceived", false, true},
	{"MSG-SENT", "messagesSent", false, true},
	{"OUT-Q", "queued", false, true},
	{"UP/DOWN", "upDown", false, true},
	{"STATE", "state"},
	{"PFX-RCD", "prefixesReceived", false, true},
	{"PFX-SNT", "prefixesSent", false, true},
	{"DESC", "description"},
	{"FAMILIES", "negotiated", true},
	{"LAST-ERROR", "lastError", true},
	{0},
};
static const struct column route_columns[] = {
	{"NETWORK", "name"},
	{"RD", "rd"},
	{"NEXT-HOP", "nextHop"},
	{"LABELS", "labels"},
	{"METRIC", "metric", true, true},
	{"LOC-PREF", "localPref", false, true},
	{"SEQ", "sequence", false, true},
	{"PATH", "path"},
	{"ORIGIN", "origin"},
	{"NEIGHBOR", "neighbor"},
	{"IMPORT", "import"},
	{"TARGETS", "targets", true},
	{"STALE", "stale", true},
	{0},
};
static const struct column why_columns[] = {
	{"NAME", "name"},
	{"BEST", "best"},
	{"SOURCE", "source"},
	{"FROM", "from"},
	{"NEXT-HOP", "nextHop"},
	{"SEQ", "sequence", false, true},
	{"LOST-BY", "lostBy"},
	{"IMPORT", "import"},
	{"ROUTE", "route", true},
	{0},
};

static const struct kind neighbor_kind = {"bgp/neighbors", "bgpNeighbor", "", summary_columns},
			 route_kind = {"bgp/routes", "bgpRoute", "", route_columns},
			 why_kind = {"bgp/why", "bgpWhy", "", why_columns};

int run_bgp_summary(const struct call *call)
{
	return show_list(call, &neighbor_kind, "/v1/bgp/neighbors?stream", "BGP sessions");
}

static int show_one(const struct call *call, const char *target)
{
	_cleanup_(json) json_t *reply = NULL;
	int code = client_json(call, &(struct client_request){.target = target}, &reply);

	if (code)
		return code;
	show_object(call, reply);
	return client_code(CODE_OK);
}

/* Of a list, everything about each. */
static int show_each(const struct call *call)
{
	_cleanup_(json) json_t *reply = NULL;
	int code = client_json(call, &(struct client_request){.target = "/v1/bgp/neighbors"}, &reply);
	json_t *item;
	size_t i;

	if (code)
		return code;
	if (json_array_size(json_object_get(reply, "items")) == 0)
		note("no BGP sessions");
	json_array_foreach(json_object_get(reply, "items"), i, item) {
		if (i)
			putchar('\n');
		show_fields(item, stdout);
	}
	return client_code(CODE_OK);
}

int run_bgp_neighbors(const struct call *call)
{
	_cleanup_(free) char *name = call->n_arguments ? client_escape(call->arguments[0]) : NULL;
	_cleanup_(free) char *target = NULL;

	if (!name)
		return call->output == OUTPUT_TABLE ? show_each(call) : run_bgp_summary(call);
	if (asprintf(&target, "/v1/bgp/neighbors/%s", name) < 0)
		return fail(ERROR_MEMORY, NULL, "out of memory");
	return show_one(call, target);
}

/* `format` has one %s: the argument. */
static int show_list_of(const struct call *call, const struct kind *k, const char *before, const char *after,
			const char *what)
{
	_cleanup_(free) char *name = client_escape(call->n_arguments ? call->arguments[0] : "");
	_cleanup_(free) char *target = NULL;

	if (asprintf(&target, "/v1/bgp/%s%s%s", before, name, after) < 0)
		return fail(ERROR_MEMORY, NULL, "out of memory");
	return show_list(call, k, target, what);
}

int run_bgp_routes(const struct call *call)
{
	return show_list_of(call, &route_kind, "routes?stream&match=", "", "routes of BGP");
}

int run_bgp_received(const struct call *call)
{
	return show_list_of(call, &route_kind, "received/", "?stream", "routes");
}

int run_bgp_advertised(const struct call *call)
{
	return show_list_of(call, &route_kind, "advertised/", "?stream", "routes");
}

int run_bgp_why(const struct call *call)
{
	return show_list_of(call, &why_kind, "why/", "?stream", "candidates");
}

static int ask(const struct call *call, const char *verb)
{
	_cleanup_(json) json_t *plan = NULL;
	_cleanup_(free) char *name = client_escape(call->arguments[0]);
	_cleanup_(free) char *target = NULL;
	int code;

	if (asprintf(&target, "/v1/bgp/%s/%s%s", verb, name, call_option(call, "dry-run") ? "?dry_run" : "") < 0)
		return fail(ERROR_MEMORY, NULL, "out of memory");
	code = client_json(call, &(struct client_request){.method = "POST", .target = target}, &plan);
	return code ? code : show_plan(call, plan, false);
}

int run_bgp_refresh(const struct call *call)
{
	return ask(call, "refresh");
}

int run_bgp_reset(const struct call *call)
{
	return ask(call, "reset");
}

int run_bgp_free(const struct call *call)
{
	return ask(call, "free");
}
