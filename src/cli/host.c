/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "cli/client.h"
#include "cli/show.h"
#include "lib/cleanup.h"

DEFINE_CLEANUP(json, json_t *, json_decref)

static const char *text_at(const json_t *object, const char *key)
{
	const char *s = json_string_value(json_object_get(object, key));

	return s ? s : "";
}

int run_doctor(const struct call *call)
{
	static const struct column columns[] = {{"STATE", "state"}, {"CHECK", "name"}, {"SEEN", "seen"}, {0}};
	_cleanup_(json) json_t *report = NULL;
	size_t i, wrong = 0, n;
	struct show *show;
	json_t *c;
	int code = client_json(call, &(struct client_request){.target = "/v1/doctor"}, &report);

	if (code)
		return code;
	code = strcmp(text_at(report, "state"), "fail") == 0 ? CODE_DIFFERENCE : CODE_OK;
	if (call->output != OUTPUT_TABLE) {
		show_object(call, report);
		return client_code(code);
	}
	n = json_array_size(json_object_get(report, "checks"));
	show = show_new(columns, false, color_wanted(call, stdout));
	json_array_foreach(json_object_get(report, "checks"), i, c) {
		bool ok = strcmp(text_at(c, "state"), "ok") == 0;

		wrong += !ok;
		if (!ok || call_option(call, "all"))
			show_row(show, c);
	}
	show_free(show);
	json_array_foreach(json_object_get(report, "checks"), i, c) {
		if (*text_at(c, "fix"))
			printf("%s: fix: %s\n", text_at(c, "name"), text_at(c, "fix"));
	}
	note("%zu checks, %zu %s", n, wrong, wrong == 1 ? "fault" : "faults");
	return client_code(code);
}

int run_version(const struct call *call)
{
	_cleanup_(json) json_t *daemon = NULL;
	_cleanup_(json) json_t *report = NULL;
	int code = client_json(call,
			       &(struct client_request){
				       .target = "/v1/version", .quiet = true, .no_offline = true, .timeout_ms = 2000},
			       &daemon);
	const char *version = code ? NULL : text_at(daemon, "version");

	if (call->output != OUTPUT_TABLE) {
		report = json_pack("{s:s,s:s,s:s,s:s?}", "apiVersion", "isthmus/v1", "kind", "VersionReport", "client",
				   ISTHMUS_VERSION, "daemon", version);
		show_object(call, report);
		return CODE_OK;
	}
	printf("isthmus %s\n", ISTHMUS_VERSION);
	if (version)
		printf("isthmusd %s, map layout %lld, kernel %s\n", version,
		       (long long)json_integer_value(json_object_get(daemon, "abi")), text_at(daemon, "kernel"));
	else
		printf("isthmusd: %s\n", code == CODE_PERMISSION ? "not permitted to ask" : "not running");
	if (version && strcmp(version, ISTHMUS_VERSION) != 0)
		note("isthmus: program and daemon are of different versions; restart the daemon: systemctl restart "
		     "isthmusd");
	return CODE_OK;
}
