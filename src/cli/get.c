/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/client.h"
#include "cli/show.h"
#include "lib/cleanup.h"

DEFINE_CLEANUP(json, json_t *, json_decref)

static const char *text_at(const json_t *object, const char *key)
{
	const char *s = json_string_value(json_object_get(object, key));

	return s ? s : "-";
}

static long long number_at(const json_t *object, const char *key)
{
	return json_integer_value(json_object_get(object, key));
}

/* ---- get ---- */

struct listing {
	const struct call *call;
	const char *kind; /* "PortList", from the first object */
	struct show *show;
	size_t n;
};

static int list_line(void *arg, const char *line, size_t length)
{
	struct listing *l = arg;
	_cleanup_(json) json_t *object = NULL;

	if (l->call->output == OUTPUT_JSONL) {
		fwrite(line, 1, length, stdout);
		putchar('\n');
		return 0;
	}
	if (l->call->output == OUTPUT_JSON) {
		printf("%s\n    ", l->n++ ? "," : "");
		fwrite(line, 1, length, stdout);
		return 0;
	}
	object = json_loadb(line, length, 0, NULL);
	if (!object)
		return fail(ERROR_DAEMON_ANSWER, NULL, "the daemon's answer is not JSON");
	l->n++;
	if (l->call->output == OUTPUT_YAML) {
		if (l->n == 1)
			putchar('\n');
		yaml_emit_item(object, stdout);
	} else if (l->call->output == OUTPUT_NAME) {
		puts(text_at(object, "name"));
	} else {
		show_row(l->show, object);
	}
	return 0;
}

static const char *list_kind(const struct kind *k, char out[32])
{
	snprintf(out, 32, "%c%sList", k->singular[0] - 'a' + 'A', k->singular + 1);
	return out;
}

static void list_begin(struct listing *l, const struct kind *k)
{
	char kind[32];

	if (l->call->output & (OUTPUT_TABLE | OUTPUT_WIDE))
		l->show = show_new(k->columns, l->call->output == OUTPUT_WIDE, color_wanted(l->call, stdout));
	if (l->call->output == OUTPUT_JSON)
		printf("{\n  \"apiVersion\": \"isthmus/v1\",\n  \"kind\": \"%s\",\n  \"items\": [", list_kind(k, kind));
	if (l->call->output == OUTPUT_YAML)
		printf("apiVersion: isthmus/v1\nkind: %s\nitems:", list_kind(k, kind));
}

static void list_end(struct listing *l)
{
	if (l->show)
		show_free(l->show);
	if (l->call->output == OUTPUT_JSON)
		printf(l->n ? "\n  ]\n}\n" : "]\n}\n");
	if (l->call->output == OUTPUT_YAML && !l->n)
		printf(" []\n");
}

/* The envelope is printed when the first line is here, so that a failure leaves standard output empty. */
struct late_listing {
	struct listing listing;
	const struct kind *kind;
	const char *legend; /* of its table, or NULL */
	bool begun;
};

static int late_line(void *arg, const char *line, size_t length)
{
	struct late_listing *l = arg;

	if (length == 0) /* the daemon looks on */
		return 0;
	if (!l->begun && l->legend && l->listing.call->output & (OUTPUT_TABLE | OUTPUT_WIDE))
		note("%s", l->legend);
	if (!l->begun)
		list_begin(&l->listing, l->kind);
	l->begun = true;
	return list_line(&l->listing, line, length);
}

int show_list(const struct call *call, const struct kind *k, const char *target, const char *legend,
	      void (*none)(const struct call *call))
{
	struct late_listing l = {.listing = {.call = call}, .kind = k, .legend = legend};
	int code;

	code = client_stream(call, &(struct client_request){.target = target}, late_line, &l);
	if (code == CODE_OK && !l.begun) {
		list_begin(&l.listing, k);
		l.begun = true;
		if (call->output & (OUTPUT_TABLE | OUTPUT_WIDE))
			none(call);
	}
	if (code == CODE_OK)
		list_end(&l.listing);
	else if (l.listing.show)
		show_free(l.listing.show);
	return client_code(code);
}

static void say_none(const struct call *call)
{
	note("no %s", kind_by_word(call->arguments[0], true)->plural);
}

static int get_list(const struct call *call, const struct kind *k)
{
	char target[64];

	snprintf(target, sizeof(target), "/v1/%s?stream%s", k->plural,
		 call_option(call, "all") && strcmp(k->plural, "drops") != 0 ? "&all" : "");
	return show_list(call, k, target, NULL, say_none);
}

static int fetch_named(const struct call *call, const struct kind *k, const char *name, json_t **out)
{
	_cleanup_(free) char *escaped = client_escape(name);
	_cleanup_(free) char *target = NULL;

	if (asprintf(&target, "/v1/%s/%s", k->plural, escaped) < 0)
		return fail(ERROR_MEMORY, NULL, "out of memory");
	return client_json(call, &(struct client_request){.target = target}, out);
}

static int get_named(const struct call *call, const struct kind *k, const char *name)
{
	_cleanup_(json) json_t *reply = NULL;
	int code = fetch_named(call, k, name, &reply);
	const json_t *items, *item;
	size_t i;

	if (code)
		return code;
	items = json_object_get(reply, "items");
	if (call->output & (OUTPUT_TABLE | OUTPUT_WIDE | OUTPUT_NAME)) {
		struct listing l = {.call = call};

		list_begin(&l, k);
		for (i = 0; items ? (item = json_array_get(items, i)) != NULL : (item = reply, i == 0); i++) {
			if (l.show)
				show_row(l.show, item);
			else
				puts(text_at(item, "name"));
		}
		list_end(&l);
	} else {
		show_object(call, reply);
	}
	return client_code(CODE_OK);
}

static int get_everything(const struct call *call)
{
	_cleanup_(free) char *text = NULL;
	_cleanup_(json) json_t *config = NULL;
	int code = CODE_OK;

	if (call->output & (OUTPUT_YAML | OUTPUT_JSON | OUTPUT_JSONL)) {
		code = client_text(call, &(struct client_request){.target = "/v1/config"}, &text);
		if (code)
			return code;
		if (call->output == OUTPUT_YAML) {
			fputs(text, stdout);
			return client_code(CODE_OK);
		}
		config = yaml_to_json(text, strlen(text));
		if (!config)
			return fail(ERROR_DAEMON_ANSWER, NULL, "the daemon's configuration is not YAML");
		json_dumpf(config, stdout, call->output == OUTPUT_JSON ? JSON_INDENT(2) : JSON_COMPACT);
		putchar('\n');
		return client_code(CODE_OK);
	}
	for (const struct kind *k = kinds; k->columns && strcmp(k->plural, "macs") != 0; k++) {
		if (call->output != OUTPUT_NAME)
			printf("%s%s\n", k == kinds ? "" : "\n", k->plural);
		code = get_list(call, k);
		if (code != CODE_OK && code != CODE_DAEMON)
			return code;
	}
	return code;
}

int run_get(const struct call *call)
{
	const struct kind *k = kind_by_word(call->arguments[0], false);

	if (!k)
		return CODE_INPUT;
	if (!k->columns && call->n_arguments > 1)
		return fail(ERROR_ARGUMENT, NULL, "isthmus get all takes no name");
	if (!k->columns)
		return get_everything(call);
	return call->n_arguments > 1 ? get_named(call, k, call->arguments[1]) : get_list(call, k);
}

int run_describe(const struct call *call)
{
	const struct kind *k = kind_by_word(call->arguments[0], false);
	_cleanup_(json) json_t *reply = NULL;
	json_t *item;
	size_t i;
	int code;

	if (!k)
		return CODE_INPUT;
	if (!k->columns)
		return fail(ERROR_ARGUMENT, "isthmus get all", "isthmus describe: name a kind");
	code = fetch_named(call, k, call->arguments[1], &reply);
	if (code)
		return code;
	if (call->output != OUTPUT_TABLE || !json_object_get(reply, "items")) {
		show_object(call, reply);
	} else {
		json_array_foreach(json_object_get(reply, "items"), i, item) {
			if (i)
				putchar('\n');
			show_object(call, item);
		}
	}
	return client_code(CODE_OK);
}

/* ---- status ---- */

static void print_duration(long long s)
{
	if (s >= 86400)
		printf("%lldd%lldh", s / 86400, s / 3600 % 24);
	else if (s >= 3600)
		printf("%lldh%lldm", s / 3600, s / 60 % 60);
	else if (s >= 60)
		printf("%lldm%llds", s / 60, s % 60);
	else
		printf("%llds", s);
}

static void print_sessions(const json_t *s)
{
	long long n = number_at(s, "bgpSessions"), n_established = number_at(s, "bgpEstablished");

	if (json_is_integer(json_object_get(s, "bgpSessions")))
		printf("BGP:       sessions %lld of %lld established%s\n", n_established, n,
		       n_established < n ? " (isthmus bgp neighbors says why)" : "");
}

static void print_tunnels(const json_t *s)
{
	long long n = number_at(s, "tunnels"), n_down = number_at(s, "tunnelsDown");

	if (json_is_integer(json_object_get(s, "tunnels")))
		printf("Encrypted: to %lld nodes, %lld not reached%s\n", n, n_down,
		       n_down > 0 ? " (isthmus get tunnels says why)" : "");
}

static void print_status(const struct call *call, const json_t *s)
{
	const json_t *ports = json_object_get(s, "ports"), *reason;
	const char *tone = strcmp(text_at(s, "state"), "OK") == 0 ? "\033[32m" : "\033[33m";
	bool color = color_wanted(call, stdout);
	size_t i;

	printf("Node:      %s (site %s)\n", text_at(s, "node"), text_at(s, "site"));
	printf("State:     %s%s%s\n", color ? tone : "", text_at(s, "state"), color ? "\033[0m" : "");
	json_array_foreach(json_object_get(s, "reasons"), i, reason) {
		printf("           %s\n", json_string_value(reason));
	}
	printf("Daemon:    %s, version %s", text_at(s, "daemon"), text_at(s, "version"));
	if (json_is_integer(json_object_get(s, "pid"))) {
		printf(", pid %lld, up ", number_at(s, "pid"));
		print_duration(number_at(s, "uptimeSeconds"));
	}
	printf("\nFabric:    %lld tenants, %lld networks, %lld other nodes, %lld endpoints\n", number_at(s, "tenants"),
	       number_at(s, "networks"), number_at(s, "remoteNodes"), number_at(s, "endpoints"));
	printf("Ports:     %lld up, %lld waiting, %lld down, %lld failed; %lld on other nodes\n",
	       number_at(ports, "up"), number_at(ports, "waiting"), number_at(ports, "down"),
	       number_at(ports, "failed"), number_at(ports, "remote"));
	print_sessions(s);
	print_tunnels(s);
	printf("Applied:   generation %lld, %lld repairs\n", number_at(s, "generation"), number_at(s, "repairs"));
	printf("Drops:     %lld packets%s\n", number_at(s, "drops"),
	       number_at(s, "drops") ? " (isthmus drops says why)" : "");
}

static long now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Asks until the node is OK.  A daemon that starts, or a port whose interface is about to appear, is what one waits
 * for. */
static int wait_for_ok(const struct call *call, json_t **out)
{
	const char *text = call_option(call, "timeout");
	long timeout_ms = 60000, end;
	int code;

	if (text && duration_parse(text, &timeout_ms) < 0)
		return fail(ERROR_VALUE, NULL, "--timeout \"%s\": expected a time such as 30s, 5m or 250ms", text);
	end = now_ms() + timeout_ms;
	for (;;) {
		long left = end - now_ms();
		json_t *answer = NULL;

		code = client_json(call,
				   &(struct client_request){.target = "/v1/status", .quiet = true, .no_offline = true,
							    .timeout_ms = left > 1000 ? 1000 : left > 0 ? left : 1},
				   &answer);
		if (answer) { /* the last one that came counts: the time may end in the middle of a question */
			json_decref(*out);
			*out = answer;
		}
		if (code == CODE_PERMISSION)
			return fail(ERROR_PERMISSION, "run it as root, or join the group \"isthmus\"",
				    "not permitted to talk to the daemon");
		if (code == CODE_OK && strcmp(text_at(*out, "state"), "OK") == 0)
			return CODE_OK;
		if (now_ms() >= end)
			break;
		nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
	}
	if (!*out)
		return fail(ERROR_NO_ANSWER, "systemctl status isthmusd",
			    "after %ld ms the daemon still does not answer", timeout_ms);
	return fail(ERROR_NOT_YET, "isthmus status says why", "after %ld ms the node is still %s", timeout_ms,
		    text_at(*out, "state"));
}

int run_status(const struct call *call)
{
	_cleanup_(json) json_t *s = NULL;
	const json_t *reason;
	int code;

	if (call_option(call, "timeout") && !call_option(call, "wait"))
		return fail(ERROR_VALUE, NULL, "--timeout goes with --wait");
	if (call_option(call, "wait"))
		code = wait_for_ok(call, &s);
	else
		code = client_json(call, &(struct client_request){.target = "/v1/status"}, &s);
	if (code)
		return code;
	reason = json_array_get(json_object_get(s, "reasons"), 0);
	if (call->output != OUTPUT_TABLE)
		show_object(call, s);
	else if (call_option(call, "brief"))
		printf("%s %s%s%s\n", text_at(s, "node"), text_at(s, "state"), reason ? ": " : "",
		       reason ? json_string_value(reason) : "");
	else
		print_status(call, s);
	return client_code(strcmp(text_at(s, "state"), "OK") == 0 ? CODE_OK : CODE_DIFFERENCE);
}

/* ---- drops ---- */

static void print_event(const json_t *e)
{
	const json_t *src_port = json_object_get(e, "srcPort"), *dst_port = json_object_get(e, "dstPort");
	const char *where = json_string_value(json_object_get(e, "port"));
	bool addresses = json_is_string(json_object_get(e, "src"));

	printf("%s  %s  %s %s", text_at(e, "time"), text_at(e, "reason"), text_at(e, "direction"),
	       where ? where : text_at(e, "interface"));
	if (json_is_string(json_object_get(e, "network")))
		printf(" %s", text_at(e, "network"));
	printf("  %s > %s", text_at(e, addresses ? "src" : "srcMac"), text_at(e, addresses ? "dst" : "dstMac"));
	printf(" %s", text_at(e, "protocol"));
	if (json_is_integer(src_port))
		printf(" %lld > %lld", (long long)json_integer_value(src_port),
		       (long long)json_integer_value(dst_port));
	printf(", %lld bytes", number_at(e, "size"));
	if (json_is_string(json_object_get(e, "outerSrc")))
		printf(", from node %s", text_at(e, "outerSrc"));
	printf("\n");
}

static int watch_drops(const struct call *call)
{
	char last[40] = "";
	bool first = true;

	for (;;) {
		_cleanup_(json) json_t *reply = NULL;
		json_t *e;
		size_t i;
		int code =
			client_json(call, &(struct client_request){.target = "/v1/drops", .no_offline = true}, &reply);

		if (code)
			return code;
		json_array_foreach(json_object_get(reply, "events"), i, e) {
			const char *time = text_at(e, "time");

			/* Times are of one format and grow, so they compare as text; the clock's last digits tremble.
			 */
			if (strncmp(time, last, 22) <= 0)
				continue;
			snprintf(last, sizeof(last), "%s", time);
			if (first)
				continue;
			if (call->output == OUTPUT_TABLE)
				print_event(e);
			else
				show_object(call, e);
		}
		first = false;
		fflush(stdout);
		nanosleep(&(struct timespec){.tv_nsec = 500000000}, NULL);
	}
}

int run_drops(const struct call *call)
{
	_cleanup_(json) json_t *reply = NULL;
	const struct kind *k = kind_by_word("drops", true);
	struct show *show;
	json_t *item;
	size_t i, shown = 0;
	int code;

	if (call_option(call, "watch"))
		return watch_drops(call);
	code = client_json(call, &(struct client_request){.target = "/v1/drops"}, &reply);
	if (code)
		return code;
	if (call->output != OUTPUT_TABLE) {
		show_object(call, reply);
		return client_code(CODE_OK);
	}
	show = show_new(k->columns, false, color_wanted(call, stdout));
	json_array_foreach(json_object_get(reply, "items"), i, item) {
		if (!number_at(item, "packets") && !call_option(call, "all"))
			continue;
		show_row(show, item);
		shown++;
	}
	show_free(show);
	if (!shown)
		note("no packet was dropped");
	if (json_array_size(json_object_get(reply, "events")))
		printf("\n");
	json_array_foreach(json_object_get(reply, "events"), i, item) {
		print_event(item);
	}
	return client_code(CODE_OK);
}
