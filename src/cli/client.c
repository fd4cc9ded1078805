/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/client.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/cleanup.h"

DEFINE_CLEANUP(json, json_t *, json_decref)

#define IDLE_S 10        /* a daemon that says nothing for this long hangs */
#define MUTATE_IDLE_S 120 /* a large apply takes its time */
#define ERROR_MAX (1u << 20)

static bool answered_offline;

struct reply {
	client_line_fn fn;
	void *arg;
	CURL *curl;  /* NULL when offline */
	char *line;  /* begun, and not yet ended */
	size_t size, capacity;
	char *error; /* body of a reply that is not a success */
	size_t error_size;
	int code;    /* of fn */
	bool begun, failed; /* offline */
};

static bool grow(char **text, size_t *capacity, size_t size)
{
	size_t wanted = *capacity ? *capacity : 4096;

	while (wanted <= size)
		wanted *= 2;
	if (wanted == *capacity)
		return true;
	char *p = realloc(*text, wanted);

	if (!p)
		return false;
	*text = p;
	*capacity = wanted;
	return true;
}

static int reply_lines(void *arg, const char *data, size_t size)
{
	struct reply *r = arg;

	while (size && r->code == 0) {
		const char *newline = memchr(data, '\n', size);
		size_t n = newline ? (size_t)(newline - data) : size;

		if (!grow(&r->line, &r->capacity, r->size + n)) {
			r->code = fail(ERROR_MEMORY, NULL, "out of memory");
			break;
		}
		memcpy(r->line + r->size, data, n);
		r->size += n;
		r->line[r->size] = '\0';
		data += n + (newline ? 1 : 0);
		size -= n + (newline ? 1 : 0);
		if (newline) {
			r->code = r->fn(r->arg, r->line, r->size);
			r->size = 0;
		}
	}
	return r->code;
}

static int reply_error(struct reply *r, const char *data, size_t size)
{
	if (r->error_size + size >= ERROR_MAX)
		return -1;
	char *p = realloc(r->error, r->error_size + size + 1);

	if (!p)
		return -1;
	r->error = p;
	memcpy(p + r->error_size, data, size);
	r->error_size += size;
	p[r->error_size] = '\0';
	return 0;
}

static size_t on_data(char *data, size_t one, size_t size, void *arg)
{
	struct reply *r = arg;
	long status = 0;

	curl_easy_getinfo(r->curl, CURLINFO_RESPONSE_CODE, &status);
	if (status >= 400)
		return reply_error(r, data, size) == 0 ? size : 0;
	return reply_lines(r, data, size) == 0 ? size : 0;
}

static void print_details(const json_t *details)
{
	size_t i;
	json_t *d;

	json_array_foreach((json_t *)details, i, d) {
		const char *file = json_string_value(json_object_get(d, "file"));
		const char *path = json_string_value(json_object_get(d, "path"));
		const char *code = json_string_value(json_object_get(d, "code"));
		const char *message = json_string_value(json_object_get(d, "message"));
		json_int_t line = json_integer_value(json_object_get(d, "line"));

		fprintf(stderr, "%s", file ? file : "request");
		if (line)
			fprintf(stderr, ":%lld:%lld", (long long)line,
				(long long)json_integer_value(json_object_get(d, "column")));
		fprintf(stderr, ": %s%s%s (%s)\n", path ? path : "", path && *path ? ": " : "",
			message ? message : "refused", code ? code : "");
	}
}

static int code_of_status(long status)
{
	if (status == 403)
		return CODE_PERMISSION;
	if (status == 503)
		return CODE_DAEMON;
	return status >= 500 ? CODE_DIFFERENCE : CODE_INPUT;
}

/* {"error": {...}} for people; status 0 = offline, where only the body tells. */
static int report(const struct client_request *request, const struct reply *r, long status)
{
	_cleanup_(json) json_t *body = json_loadb(r->error, r->error_size, 0, NULL);
	const json_t *error = json_object_get(body, "error");
	const char *message = json_string_value(json_object_get(error, "message"));
	const char *code = json_string_value(json_object_get(error, "code"));

	if (!status)
		status = code && strncmp(code, "IST-4", 5) == 0 ? 400 : 503;
	if (request->quiet)
		return code_of_status(status);
	fflush(stdout);
	print_details(json_object_get(error, "details"));
	if (!message)
		return fail_as(code_of_status(status), NULL, NULL, "the daemon answered with HTTP status %ld", status);
	return fail_as(code_of_status(status), code, json_string_value(json_object_get(error, "hint")), "%s", message);
}

static CURL *prepare(const struct call *call, const struct client_request *request, struct reply *r,
		     struct curl_slist **headers)
{
	const char *run_dir = call_setting(call, "run-dir", DEFAULT_RUN_DIR);
	bool mutates = request->method && strcmp(request->method, "GET") != 0;
	_cleanup_(free) char *path = NULL, *url = NULL;
	CURL *curl;

	/* Whole, however long a file's name is: a target that lost its end could be one without dry_run. */
	if (asprintf(&path, "%s/isthmus.sock", run_dir) < 0 || asprintf(&url, "http://isthmus%s", request->target) < 0)
		return NULL;
	curl = curl_easy_init();
	if (!curl)
		return NULL;
	curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, path);
	curl_easy_setopt(curl, CURLOPT_URL, url);
	curl_easy_setopt(curl, CURLOPT_PROXY, "");
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(curl, CURLOPT_PATH_AS_IS, 1L);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_data);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, r);
	if (request->timeout_ms) {
		curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, request->timeout_ms);
	} else {
		curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
		curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, (long)(mutates ? MUTATE_IDLE_S : IDLE_S));
	}
	*headers = curl_slist_append(*headers, "Expect:"); /* bodies are small enough to be sent at once */
	curl_easy_setopt(curl, CURLOPT_HTTPHEADER, *headers);
	if (request->body) {
		curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body_size);
		curl_easy_setopt(curl, CURLOPT_POSTFIELDS, request->body);
	}
	if (request->method)
		curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, request->method);
	r->curl = curl;
	return curl;
}

/* Offline there is no status line; an error is told by how the body begins. */
static int offline_data(void *arg, const char *data, size_t size)
{
	static const char mark[] = "{\"error\":";
	struct reply *r = arg;

	if (!r->begun)
		r->failed = size >= sizeof(mark) - 1 && memcmp(data, mark, sizeof(mark) - 1) == 0;
	r->begun = true;
	return r->failed ? reply_error(r, data, size) : reply_lines(r, data, size);
}

static int answer_offline(const struct call *call, const struct client_request *request, struct reply *r)
{
	const char *run_dir = call_setting(call, "run-dir", DEFAULT_RUN_DIR);
	int code;

	if (request->no_offline || (request->method && strcmp(request->method, "GET") != 0)) {
		if (request->quiet)
			return CODE_DAEMON;
		return fail(ERROR_DAEMON_AWAY, "systemctl start isthmusd",
			    "the daemon is not running: nobody answers on %s/isthmus.sock", run_dir);
	}
	r->curl = NULL;
	code = offline_run(call, request->target, offline_data, r);
	if (code == -ENOENT && !request->quiet)
		return fail(ERROR_DAEMON_AWAY, "systemctl start isthmusd",
			    "the daemon is not running, and isthmusd was not found to read the pinned maps");
	if (code < 0)
		return CODE_DAEMON;
	if (r->code)
		return r->code;
	if (!request->quiet && !answered_offline)
		note("isthmus: daemon not running; this is what the pinned maps and its last configuration say");
	answered_offline = true;
	return r->failed ? report(request, r, 0) : CODE_OK;
}

static int perform(const struct call *call, const struct client_request *request, struct reply *r)
{
	const char *run_dir = call_setting(call, "run-dir", DEFAULT_RUN_DIR);
	struct curl_slist *headers = NULL;
	CURL *curl = prepare(call, request, r, &headers);
	long status = 0, os_errno = 0;
	CURLcode c;
	int code;

	if (!curl)
		return fail(ERROR_MEMORY, NULL, "out of memory");
	c = curl_easy_perform(curl);
	curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
	curl_easy_getinfo(curl, CURLINFO_OS_ERRNO, &os_errno);
	if (r->code)
		code = r->code;
	else if (c == CURLE_OK && status >= 400)
		code = report(request, r, status);
	else if (c == CURLE_OK)
		code = CODE_OK;
	else if (c == CURLE_COULDNT_CONNECT && (os_errno == EACCES || os_errno == EPERM))
		code = request->quiet ? CODE_PERMISSION
				      : fail(ERROR_PERMISSION, "run it as root, or join the group \"isthmus\"",
					     "not permitted to talk to the daemon on %s/isthmus.sock", run_dir);
	else if (c == CURLE_COULDNT_CONNECT)
		code = answer_offline(call, request, r);
	else if (c == CURLE_OPERATION_TIMEDOUT)
		code = request->quiet ? CODE_TIMEOUT
				      : fail(ERROR_NO_ANSWER, "look at its log: journalctl -u isthmusd",
					     "the daemon does not answer (%s/isthmus.sock)", run_dir);
	else
		code = request->quiet ? CODE_DAEMON
				      : fail(ERROR_DAEMON_ANSWER, NULL, "talking to the daemon failed: %s",
					     curl_easy_strerror(c));
	curl_slist_free_all(headers);
	curl_easy_cleanup(curl);
	return code;
}

int client_stream(const struct call *call, const struct client_request *request, client_line_fn fn, void *arg)
{
	struct reply r = {.fn = fn, .arg = arg};
	int code = perform(call, request, &r);

	if (code == CODE_OK && r.size)
		code = fn(arg, r.line, r.size);
	free(r.line);
	free(r.error);
	return code;
}

struct whole {
	char *text;
	size_t size, capacity;
};

static int whole_line(void *arg, const char *line, size_t length)
{
	struct whole *w = arg;

	if (!grow(&w->text, &w->capacity, w->size + length + 1))
		return fail(ERROR_MEMORY, NULL, "out of memory");
	memcpy(w->text + w->size, line, length);
	w->size += length;
	w->text[w->size++] = '\n';
	w->text[w->size] = '\0';
	return 0;
}

int client_text(const struct call *call, const struct client_request *request, char **out)
{
	struct whole w = {0};
	int code = client_stream(call, request, whole_line, &w);

	if (code) {
		free(w.text);
		return code;
	}
	*out = w.text ? w.text : strdup("");
	return CODE_OK;
}

int client_json(const struct call *call, const struct client_request *request, json_t **out)
{
	_cleanup_(free) char *text = NULL;
	json_error_t error;
	int code = client_text(call, request, &text);

	if (code)
		return code;
	*out = json_loads(text, 0, &error);
	if (!*out)
		return request->quiet
			       ? CODE_DAEMON
			       : fail(ERROR_DAEMON_ANSWER, NULL, "the daemon's answer is not JSON: %s", error.text);
	return CODE_OK;
}

int client_code(int code)
{
	return answered_offline && (code == CODE_OK || code == CODE_DIFFERENCE) ? CODE_DAEMON : code;
}

char *client_escape(const char *text)
{
	char *out = malloc(strlen(text) * 3 + 1), *p = out;

	if (!out)
		exit(fail(ERROR_MEMORY, NULL, "out of memory"));
	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;

		if (strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~/:", c))
			*p++ = (char)c;
		else
			p += sprintf(p, "%%%02X", c);
	}
	*p = '\0';
	return out;
}
