/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "cli/client.h"
#include "cli/show.h"
#include "lib/cleanup.h"

DEFINE_CLEANUP(json, json_t *, json_decref)

/* The key alone on standard output, so that it can be put into a file by a script. */
int run_key_show(const struct call *call)
{
	_cleanup_(json) json_t *key = NULL;
	int code = client_json(call, &(struct client_request){.target = "/v1/key"}, &key);
	const char *text;

	if (code)
		return code;
	if (call->output != OUTPUT_TABLE) {
		show_object(call, key);
		return client_code(CODE_OK);
	}
	text = json_string_value(json_object_get(key, "publicKey"));
	if (!text)
		return fail(ERROR_DAEMON_ANSWER, NULL, "the daemon's answer has no key");
	puts(text);
	if (!json_is_true(json_object_get(key, "configured")))
		note("the configuration does not have it: it stands there as nodes.%s.public_key, in quotes",
		     json_string_value(json_object_get(key, "name")));
	return client_code(CODE_OK);
}
