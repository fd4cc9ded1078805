/* SPDX-License-Identifier: Apache-2.0 */
/* The writers, the route table and the clients of src/api, without a server. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "api/client.h"
#include "api/json.h"
#include "api/metrics.h"
#include "api/server.h"
#include "lib/loop.h"

static void assert_json(struct json *j, const char *text)
{
	size_t size = 0;
	char *got = json_take(j, &size);

	assert_non_null(got);
	assert_string_equal(got, text);
	assert_int_equal(size, strlen(text));
	free(got);
}

static void json_places_commas_and_brackets(void **state)
{
	struct json j = {0};

	json_object_open(&j);
	json_put_string(&j, "a", "b");
	json_key(&j, "list");
	json_array_open(&j);
	json_uint(&j, 1);
	json_array_open(&j);
	json_array_close(&j);
	json_object_open(&j);
	json_object_close(&j);
	json_null(&j);
	json_array_close(&j);
	json_put_bool(&j, "t", true);
	json_put_uint(&j, "n", UINT64_MAX);
	json_put_string(&j, "null", NULL);
	json_key(&j, "raw");
	json_raw(&j, "[1]", 3);
	json_object_close(&j);
	assert_json(&j, "{\"a\":\"b\",\"list\":[1,[],{},null],\"t\":true,\"n\":18446744073709551615,\"null\":null,\"raw\":[1]}");
}

static void json_escapes_what_must_not_stand_in_a_string(void **state)
{
	struct json j = {0};

	json_string(&j, "q\" b\\ n\n t\t e\x1b d\x7f \xc3\xa9 \xf0\x9f\x98\x80");
	assert_json(&j, "\"q\\\" b\\\\ n\\n t\\t e\\u001b d\\u007f \xc3\xa9 \xf0\x9f\x98\x80\"");
}

static void json_replaces_what_is_not_utf8(void **state)
{
	/* alone, cut short, overlong, surrogate, beyond Unicode */
	static const char *const broken[] = {"\x80", "\xff", "\xc3", "\xe2\x82", "\xc0\xaf", "\xe0\x80\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80"};

	for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++) {
		struct json j = {0};
		char *text;

		json_string(&j, broken[i]);
		text = json_take(&j, NULL);
		for (const char *p = text; *p; p++)
			assert_true((unsigned char)*p < 0x80);
		assert_non_null(strstr(text, "\\ufffd"));
		free(text);
	}
}

static void json_writes_a_stream_of_values(void **state)
{
	struct json j = {0};

	for (unsigned i = 0; i < 3; i++) {
		json_object_open(&j);
		json_put_uint(&j, "i", i);
		json_object_close(&j);
		json_newline(&j);
	}
	assert_json(&j, "{\"i\":0}\n{\"i\":1}\n{\"i\":2}\n");
}

/* ---- metrics ---- */

static void assert_metrics(const char *accept, const char *expected)
{
	struct metrics m;
	size_t size;
	char *text;

	metrics_init(&m, accept);
	metrics_family(&m, "x_bytes", METRICS_COUNTER, "bytes", "back\\slash \"quote\"\nline");
	metrics_sample(&m, (struct metrics_label[]){{"l", "a\"b\\c\nd"}, {"k", ""}, {0}}, 9007199254740991.0);
	metrics_family(&m, "y", METRICS_GAUGE, NULL, "y");
	metrics_sample(&m, NULL, -0.25);
	metrics_family(&m, "z", METRICS_INFO, NULL, "z");
	metrics_sample(&m, (struct metrics_label[]){{"v", "1"}, {0}}, 1);
	text = metrics_take(&m, &size);
	assert_string_equal(text, expected);
	assert_int_equal(size, strlen(expected));
	free(text);
}

static void metrics_follow_openmetrics(void **state)
{
	assert_metrics("text/plain;q=0.5,application/openmetrics-text; version=1.0.0",
		       "# HELP x_bytes back\\\\slash \\\"quote\\\"\\nline\n# TYPE x_bytes counter\n# UNIT x_bytes bytes\n"
		       "x_bytes_total{l=\"a\\\"b\\\\c\\nd\",k=\"\"} 9007199254740991\n"
		       "# HELP y y\n# TYPE y gauge\ny -0.25\n# HELP z z\n# TYPE z info\nz_info{v=\"1\"} 1\n# EOF\n");
}

static void metrics_follow_the_text_format(void **state)
{
	assert_metrics(NULL, "# HELP x_bytes_total back\\\\slash \"quote\"\\nline\n# TYPE x_bytes_total counter\n"
			     "x_bytes_total{l=\"a\\\"b\\\\c\\nd\",k=\"\"} 9007199254740991\n"
			     "# HELP y y\n# TYPE y gauge\ny -0.25\n# HELP z_info z\n# TYPE z_info gauge\nz_info{v=\"1\"} 1\n# EOF\n");
}

/* ---- routes ---- */

static void handle(void *arg, const struct api_request *request, struct api_reply *reply)
{
	const char *q = request->query(request, "q");
	struct json j = {0};
	bool flag;

	if (!api_query_flag(request, "flag", &flag, reply))
		return;
	json_array_open(&j);
	json_string(&j, arg);
	json_string(&j, request->route->pattern);
	json_string(&j, request->name);
	json_string(&j, q);
	json_bool(&j, flag);
	json_array_close(&j);
	api_reply_json(reply, &j);
}

static const struct api_route routes[] = {
	{"GET", "/v1/things", "", "q= flag", false, NULL, handle},
	{"GET", "/v1/things/{name}", "", "q= flag", false, NULL, handle},
	{"POST", "/v1/things", "", NULL, true, NULL, handle},
};

static void assert_reply(const char *method, const char *target, int status, const char *part)
{
	struct api_reply reply;
	int r = server_dispatch(routes, 3, (void *)"arg", method, target, NULL, 0, &reply);

	assert_int_equal(reply.status, status);
	assert_int_equal(r, status == 404 ? -ENOENT : 0);
	if (!strstr(reply.body, part))
		fail_msg("%s %s: %s", method, target, reply.body);
	api_reply_fini(&reply);
}

static void routes_are_found_by_method_and_path(void **state)
{
	assert_reply("GET", "/v1/things", 200, "[\"arg\",\"/v1/things\",null,null,false]");
	assert_reply("GET", "/v1/things/", 200, "\"/v1/things\",null");
	assert_reply("HEAD", "/v1/things", 200, "\"/v1/things\"");
	assert_reply("GET", "/v1/things/a", 200, "{name}\",\"a\"");
	assert_reply("GET", "/v1/things/a/b%2Fc%20d", 200, "\"a/b/c d\"");
	assert_reply("PUT", "/v1/things", 405, "possible: GET, POST");
	assert_reply("GET", "/v1/thinks", 404, "did you mean /v1/things?");
	assert_reply("GET", "", 404, "no such path");
	assert_reply("GET", "/v1/things/%", 400, "IST-4000");
	assert_reply("GET", "/v1/things/%0", 400, "IST-4000");
	assert_reply("GET", "/v1/things/%00", 400, "IST-4000");
}

static void queries_are_decoded_and_unknown_ones_refused(void **state)
{
	assert_reply("GET", "/v1/things?q=a%20b+c&flag", 200, "null,\"a b c\",true]");
	assert_reply("GET", "/v1/things?flag=0&q", 200, "\"\",false]");
	assert_reply("GET", "/v1/things?flag=1&&", 200, "true]");
	assert_reply("GET", "/v1/things?flag=yes", 400, "expected true or false");
	assert_reply("GET", "/v1/things?flags", 400, "takes q= flag");
	assert_reply("GET", "/v1/things?q=%zz", 400, "IST-4001");
	assert_reply("POST", "/v1/things?q=1", 400, "takes none");
	assert_reply("GET", "/v1/things/x?q=/v1/other", 200, "\"/v1/other\"");
}

static void errors_carry_code_hint_and_details(void **state)
{
	struct api_reply reply = {.status = 200};
	struct json details = {0};

	json_array_open(&details);
	json_uint(&details, 7);
	json_array_close(&details);
	api_reply_error(&reply, 422, "IST-4022", "do so", &details, "%d \"wrong\"", 1);
	assert_int_equal(reply.status, 422);
	assert_string_equal(reply.body,
			    "{\"error\":{\"code\":\"IST-4022\",\"message\":\"1 \\\"wrong\\\"\",\"hint\":\"do so\",\"details\":[7]}}\n");
	api_reply_fini(&reply);
}

/* ---- clients ---- */

static uint64_t later(void *arg)
{
	uint64_t *now_ms = arg;

	return *now_ms += 1000;
}

static void a_user_is_kept_for_clients_that_are_ending(void **state)
{
	struct clients all;
	struct loop *loop;
	struct client *c;
	uint64_t now_ms = 0;
	int fds[2];

	assert_int_equal(loop_new(&loop), 0);
	loop_set_clock(loop, later, &now_ms);
	assert_int_equal(clients_init(&all, loop, NULL, NULL), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	c = client_new(&all, NULL, fds[0]);
	assert_non_null(c);
	client_refuse(c, &(struct api_reply){.status = 403});
	assert_true(client_is_ending(c));
	for (int i = 0; i < 5; i++)
		assert_return_code(loop_step(loop, 0), 0);
	assert_non_null(all.users);
	client_worked(c, 1);
	client_free(c);
	for (int i = 0; i < 5; i++)
		assert_return_code(loop_step(loop, 0), 0);
	assert_null(all.users);
	clients_fini(&all);
	loop_free(loop);
	close(fds[0]);
	close(fds[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(json_places_commas_and_brackets),
		cmocka_unit_test(json_escapes_what_must_not_stand_in_a_string),
		cmocka_unit_test(json_replaces_what_is_not_utf8),
		cmocka_unit_test(json_writes_a_stream_of_values),
		cmocka_unit_test(metrics_follow_openmetrics),
		cmocka_unit_test(metrics_follow_the_text_format),
		cmocka_unit_test(routes_are_found_by_method_and_path),
		cmocka_unit_test(queries_are_decoded_and_unknown_ones_refused),
		cmocka_unit_test(errors_carry_code_hint_and_details),
		cmocka_unit_test(a_user_is_kept_for_clients_that_are_ending),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
