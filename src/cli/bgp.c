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

static const struct column neighbor_columns[] = {
	{"NEIGHBOR", "name"},
	{"DESC", "description"},
	{"AS", "remoteAs", false, true},
	{"STATE", "state"},
	{0},
};
/* Of one family: what routers show, under their names. */
static const struct column summary_columns[] = {
	{"Neighbor", "name"},
	{"V", "version", false, true},
	{"AS", "remoteAs", false, true},
	{"MsgRcvd", "messagesReceived", false, true},
	{"MsgSent", "messagesSent", false, true},
	{"TblVer", "tableVersion", false, true},
	{"InQ", "unread", false, true},
	{"OutQ", "queued", false, true},
	{"Up/Down", "upDown", false, true},
	{"State/PfxRcd", "statePrefixes", false, true},
	{"PfxSnt", "prefixesSent", false, true},
	{"Desc", "description"},
	{"Encrypted", "encrypted", true},
	{"WaitsFor", "waitsFor", true},
	{"Resets", "resets", true, true},
	{"LastError", "lastError", true},
	{0},
};
static const struct column route_columns[] = {
	{"STATUS", "status"},
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

#define LEGEND "Status: S stale, * valid, > best, = multipath, i internal.  Origin: i IGP, e EGP, ? incomplete."

static const struct kind neighbor_kind = {"bgp/neighbors", "bgpNeighbor", "", neighbor_columns},
			 route_kind = {"bgp/routes", "bgpRoute", "", route_columns},
			 why_kind = {"bgp/why", "bgpWhy", "", why_columns};

/* ---- where there is nothing ---------------------------------------------------------------------------------------- */

/* No BGP at all is another matter than no session. */
static bool has_bgp(const struct call *call)
{
	_cleanup_(json) json_t *status = NULL;

	return client_json(call, &(struct client_request){.target = "/v1/status", .quiet = true}, &status) ||
	       json_is_integer(json_object_get(status, "bgpSessions"));
}

static void say_none(const struct call *call, const char *what)
{
	if (has_bgp(call))
		note("%s", what);
	else
		note("this node has no BGP: add \"bgp: {as: 65000}\" to its configuration, and apply that; "
		     "\"isthmus explain bgp\" tells the rest");
}

static void say_no_sessions(const struct call *call)
{
	say_none(call, "no BGP sessions: the configuration names no other node, reflector or neighbor for this node");
}

static void say_no_routes(const struct call *call)
{
	say_none(call, "no routes");
}

/* ---- summary --------------------------------------------------------------------------------------------------------- */

/* Where the family stands among those of the neighbor; false: it is none of them. */
static bool find_family(const json_t *neighbor, const char *family, size_t *at)
{
	const json_t *families = json_object_get(neighbor, "families");

	for (size_t i = 0; i < json_array_size(families); i++)
		if (strcmp(json_string_value(json_array_get(families, i)), family) == 0) {
			*at = i;
			return true;
		}
	return false;
}

static json_int_t number_of(const json_t *neighbor, const char *key, size_t at)
{
	return json_integer_value(json_array_get(json_object_get(neighbor, key), at));
}

static bool is_established(const json_t *neighbor)
{
	const char *state = json_string_value(json_object_get(neighbor, "state"));

	return state && strcmp(state, "Established") == 0;
}

static bool is_negotiated(const json_t *neighbor, const char *family)
{
	const json_t *negotiated = json_object_get(neighbor, "negotiated");

	for (size_t i = 0; i < json_array_size(negotiated); i++)
		if (strcmp(json_string_value(json_array_get(negotiated, i)), family) == 0)
			return true;
	return false;
}

/* The neighbor with what its row says of the family; a new reference, or NULL. */
static json_t *row_of(const json_t *neighbor, const char *family, size_t at)
{
	json_t *row = json_copy((json_t *)neighbor), *state;

	if (!is_established(neighbor))
		state = json_copy(json_object_get(neighbor, "state"));
	else if (is_negotiated(neighbor, family))
		state = json_integer(number_of(neighbor, "familiesReceived", at));
	else
		state = json_string("NoNeg");
	json_object_set_new(row, "version", json_integer(4));
	if (is_established(neighbor)) /* what was in its way is over */
		json_object_set_new(row, "lastError", json_null());
	json_object_set_new(row, "tableVersion", json_integer(number_of(neighbor, "familiesVersion", at)));
	json_object_set_new(row, "prefixesSent", json_integer(number_of(neighbor, "familiesSent", at)));
	if (json_object_set_new(row, "statePrefixes", state) < 0) {
		json_decref(row);
		return NULL;
	}
	return row;
}

static int show_family(const struct call *call, const json_t *neighbors, const char *family, const char *title, bool *any)
{
	struct show *show = NULL;
	const json_t *neighbor;
	size_t i, at;

	json_array_foreach(neighbors, i, neighbor) {
		_cleanup_(json) json_t *row = NULL;

		if (!find_family(neighbor, family, &at))
			continue;
		if (!show) {
			const char *id = json_string_value(json_object_get(neighbor, "localRouterId"));

			printf("%s%s Summary: router %s, local AS %lld\n", *any ? "\n" : "", title, id ? id : "-",
			       (long long)json_integer_value(json_object_get(neighbor, "localAs")));
			show = show_new(summary_columns, call->output == OUTPUT_WIDE, color_wanted(call, stdout));
			*any = true;
		}
		row = row_of(neighbor, family, at);
		if (!row)
			return fail(ERROR_MEMORY, NULL, "out of memory");
		show_row(show, row);
	}
	if (show)
		show_free(show);
	return CODE_OK;
}

int run_bgp_summary(const struct call *call)
{
	static const struct {
		const char *family, *title;
	} families[] = {{"ipv4-unicast", "IPv4 Unicast"}, {"ipv6-unicast", "IPv6 Unicast"}, {"l2vpn-evpn", "L2VPN EVPN"}};
	_cleanup_(json) json_t *reply = NULL;
	bool any = false;
	int code;

	if (!(call->output & (OUTPUT_TABLE | OUTPUT_WIDE)))
		return show_list(call, &neighbor_kind, "/v1/bgp/neighbors?stream", NULL, say_no_sessions);
	code = client_json(call, &(struct client_request){.target = "/v1/bgp/neighbors"}, &reply);
	for (size_t i = 0; code == CODE_OK && i < sizeof(families) / sizeof(families[0]); i++)
		code = show_family(call, json_object_get(reply, "items"), families[i].family, families[i].title, &any);
	if (code == CODE_OK && !any)
		say_no_sessions(call);
	return code ? code : client_code(CODE_OK);
}

/* ---- one by one -------------------------------------------------------------------------------------------------------- */

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
		say_no_sessions(call);
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

static void say_no_candidates(const struct call *call)
{
	say_none(call, "nobody says anything of it here; \"isthmus bgp routes\" lists what neighbors say");
}

/* `before`, the argument, and `after`: the target. */
static int show_list_of(const struct call *call, const struct kind *k, const char *before, const char *after,
			const char *legend, void (*none)(const struct call *call))
{
	_cleanup_(free) char *name = client_escape(call->n_arguments ? call->arguments[0] : "");
	_cleanup_(free) char *target = NULL;

	if (asprintf(&target, "/v1/bgp/%s%s%s", before, name, after) < 0)
		return fail(ERROR_MEMORY, NULL, "out of memory");
	return show_list(call, k, target, legend, none);
}

int run_bgp_routes(const struct call *call)
{
	return show_list_of(call, &route_kind, "routes?stream&match=", "", LEGEND, say_no_routes);
}

int run_bgp_received(const struct call *call)
{
	return show_list_of(call, &route_kind, "received/", "?stream", LEGEND, say_no_routes);
}

int run_bgp_advertised(const struct call *call)
{
	return show_list_of(call, &route_kind, "advertised/", "?stream", LEGEND, say_no_routes);
}

int run_bgp_why(const struct call *call)
{
	return show_list_of(call, &why_kind, "why/", "?stream", NULL, say_no_candidates);
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
