/* SPDX-License-Identifier: Apache-2.0 */
#include "api/route.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/json.h"
#include "lib/cleanup.h"
#include "lib/text.h"

#define QUERY_MAX 16

struct query {
	char *text; /* owns the bytes that keys and values point into */
	const char *key[QUERY_MAX];
	const char *value[QUERY_MAX];
	size_t length;
};

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* Percent-decodes s in place (RFC 3986 2.1); -EINVAL for a broken escape or a NUL, which would cut the name short. */
static int decode(char *s, bool plus_is_space)
{
	char *out = s;

	for (; *s; s++) {
		if (*s == '%') {
			int high = hex_digit(s[1]), low = high < 0 ? -1 : hex_digit(s[2]);

			if (low < 0 || (high == 0 && low == 0))
				return -EINVAL;
			*out++ = (char)(high * 16 + low);
			s += 2;
		} else {
			*out++ = plus_is_space && *s == '+' ? ' ' : *s;
		}
	}
	*out = '\0';
	return 0;
}

static bool word_in(const char *words, const char *word)
{
	size_t n = strlen(word);

	for (const char *p = words; p && *p; p += strcspn(p, " "), p += strspn(p, " "))
		if (strcspn(p, " =") == n && memcmp(p, word, n) == 0)
			return true;
	return false;
}

/* Does the path fit the pattern?  {name} is last and takes the rest, slashes included ("red/web"). */
static bool fits(const char *pattern, const char *path, size_t length, const char **rest)
{
	const char *brace = strchr(pattern, '{');
	size_t n = brace ? (size_t)(brace - pattern) : strlen(pattern);

	*rest = NULL;
	if (length < n || memcmp(pattern, path, n) != 0)
		return false;
	if (!brace)
		return length == n;
	*rest = path + n;
	return length > n;
}

/* Characters that both begin with, as a measure of what was meant. */
static size_t likeness(const char *pattern, const char *path, size_t length)
{
	size_t n = 0;

	while (n < length && pattern[n] && pattern[n] == path[n])
		n++;
	return n;
}

static void not_found(const struct route_table *t, const char *path, size_t length, struct api_reply *reply)
{
	_cleanup_(free) char *hint = NULL;
	const char *nearest = NULL;
	size_t best = 3;

	for (size_t i = 0; i < t->length; i++) {
		size_t n = likeness(t->routes[i].pattern, path, length);

		if (n > best) {
			best = n;
			nearest = t->routes[i].pattern;
		}
	}
	if (nearest && text_format(&hint, "did you mean %s? GET /v1/openapi.json lists every path", nearest) < 0)
		hint = NULL;
	api_reply_error(reply, 404, "IST-4004", hint ? hint : "GET /v1/openapi.json lists every path", NULL,
			"no such path: %.*s", (int)(length > 200 ? 200 : length), path);
}

const struct api_route *route_find(const struct route_table *t, const char *method, const char *target, char **name,
				   struct api_reply *reply)
{
	const struct api_route *found = NULL;
	const char *found_rest = NULL;
	size_t length = strcspn(target, "?#");
	char allow[64] = "";
	size_t n_allow = 0;

	if (length > 1 && target[length - 1] == '/')
		length--;
	if (strcmp(method, "HEAD") == 0)
		method = "GET";
	for (size_t i = 0; i < t->length && !found; i++) {
		const struct api_route *route = &t->routes[i];
		const char *rest;

		if (!fits(route->pattern, target, length, &rest))
			continue;
		if (strcmp(route->method, method) == 0) {
			found = route;
			found_rest = rest;
		} else if (n_allow + strlen(route->method) + 3 < sizeof(allow)) {
			n_allow += (size_t)snprintf(allow + n_allow, sizeof(allow) - n_allow, "%s%s", n_allow ? ", " : "",
						    route->method);
		}
	}
	if (!found && *allow) {
		api_reply_error(reply, 405, "IST-4005", NULL, NULL, "%s is not possible on %.*s; possible: %s", method,
				(int)(length > 200 ? 200 : length), target, allow);
		return NULL;
	}
	if (!found) {
		not_found(t, target, length, reply);
		return NULL;
	}
	*name = NULL;
	if (!found_rest)
		return found;
	*name = strndup(found_rest, length - (size_t)(found_rest - target));
	if (!*name || decode(*name, false) < 0) {
		api_reply_error(reply, *name ? 400 : 500, *name ? "IST-4000" : "IST-5000", NULL, NULL, "%s",
				*name ? "the path has a broken %-escape" : "out of memory");
		free(TAKE_PTR(*name));
		return NULL;
	}
	return found;
}

bool route_permit(const struct route_table *t, const struct api_user *user, const char *method, const char *target,
		  struct api_reply *reply)
{
	_cleanup_(free) char *name = NULL;
	const struct api_route *route;

	if (user->access == API_ACCESS_NONE) {
		api_reply_error(reply, 403, "IST-4031",
				"run it as root, or join the group: usermod -aG " API_GROUP " USER, then log in again",
				NULL,
				"user %d may not talk to this daemon: only root and members of the group \"" API_GROUP
				"\" may",
				user->uid);
		return false;
	}
	route = route_find(t, method, target, &name, reply);
	if (!route)
		return false;
	if (route->mutates && user->access != API_ACCESS_ALL) {
		api_reply_error(reply, 403, "IST-4032", "run it as root", NULL,
				"user %d may read but not change: %s %s needs root", user->uid, method, route->pattern);
		return false;
	}
	return true;
}

static int query_parse(struct query *q, const char *target)
{
	const char *start = strchr(target, '?');

	if (!start)
		return 0;
	q->text = strndup(start + 1, strcspn(start + 1, "#"));
	if (!q->text)
		return -ENOMEM;
	for (char *p = q->text, *next; p; p = next) {
		next = strchr(p, '&');
		if (next)
			*next++ = '\0';
		if (!*p)
			continue;
		if (q->length == QUERY_MAX)
			return -E2BIG;

		char *value = strchr(p, '=');

		if (value)
			*value++ = '\0';
		else
			value = p + strlen(p);
		if (decode(p, true) < 0 || decode(value, true) < 0)
			return -EINVAL;
		q->key[q->length] = p;
		q->value[q->length++] = value;
	}
	return 0;
}

static const char *query_get(const struct api_request *request, const char *key)
{
	const struct query *q = request->opaque;

	for (size_t i = 0; i < q->length; i++)
		if (strcmp(q->key[i], key) == 0)
			return q->value[i];
	return NULL;
}

/* A misspelt ?dry_run must never become a real apply, so unknown names are refused. */
static bool query_is_known(const struct query *q, const struct api_route *route, struct api_reply *reply)
{
	for (size_t i = 0; i < q->length; i++) {
		if (word_in(route->query, q->key[i]))
			continue;
		api_reply_error(reply, 400, "IST-4002", NULL, NULL, "unknown query parameter \"%s\"; %s takes %s",
				q->key[i], route->pattern, route->query ? route->query : "none");
		return false;
	}
	return true;
}

void route_run(const struct route_table *t, const char *method, const char *target, const char *accept,
	       const char *body, size_t body_size, struct api_reply *reply)
{
	_cleanup_(free) char *name = NULL;
	struct query query = {0};
	const struct api_route *route = route_find(t, method, target, &name, reply);

	if (!route)
		return;
	int r = query_parse(&query, target);

	if (r < 0)
		api_reply_error(reply, 400, "IST-4001", NULL, NULL, "%s",
				r == -E2BIG ? "too many query parameters" : "the query has a broken %-escape");
	else if (query_is_known(&query, route, reply))
		route->handle(t->arg,
			      &(struct api_request){.route = route,
						    .method = route->method,
						    .path = target,
						    .name = name,
						    .body = body,
						    .body_size = body_size,
						    .query = query_get,
						    .accept = accept,
						    .opaque = &query},
			      reply);
	free(query.text);
}

int server_dispatch(const struct api_route *routes, size_t n_routes, void *arg, const char *method, const char *target,
		    const char *body, size_t body_size, struct api_reply *reply)
{
	*reply = (struct api_reply){.status = 200};
	route_run(&(struct route_table){routes, n_routes, arg}, method, target, NULL, body, body_size, reply);
	return reply->status == 404 ? -ENOENT : 0;
}

void api_reply_fini(struct api_reply *reply)
{
	free(reply->body);
	if (reply->stream_free)
		reply->stream_free(reply->stream);
	*reply = (struct api_reply){0};
}

void api_reply_json(struct api_reply *reply, struct json *j)
{
	int status = reply->status;

	api_reply_fini(reply);
	reply->status = status;
	json_newline(j);
	reply->body = json_take(j, &reply->body_size);
	if (reply->body)
		return;
	static const char no_memory[] = "{\"error\":{\"code\":\"IST-5000\",\"message\":\"out of memory\"}}\n";

	reply->status = 500;
	reply->body = strdup(no_memory);
	reply->body_size = reply->body ? sizeof(no_memory) - 1 : 0;
}

void api_reply_error(struct api_reply *reply, int status, const char *code, const char *hint, struct json *details,
		     const char *format, ...)
{
	_cleanup_(free) char *message = NULL;
	struct json j = {0};
	va_list ap;

	va_start(ap, format);
	if (text_vformat(&message, format, ap) < 0)
		message = NULL;
	va_end(ap);

	json_object_open(&j);
	json_key(&j, "error");
	json_object_open(&j);
	json_put_string(&j, "code", code);
	json_put_string(&j, "message", message ? message : "out of memory");
	if (hint)
		json_put_string(&j, "hint", hint);
	if (details) {
		size_t size = 0;
		_cleanup_(free) char *text = json_take(details, &size);

		json_key(&j, "details");
		json_raw(&j, text ? text : "[]", text ? size : 2);
	}
	json_object_close(&j);
	json_object_close(&j);
	reply->status = status;
	api_reply_json(reply, &j);
}

bool api_query_flag(const struct api_request *request, const char *key, bool *out, struct api_reply *reply)
{
	const char *value = request->query(request, key);

	*out = value && (!*value || strcmp(value, "1") == 0 || strcmp(value, "true") == 0);
	if (!value || *out || strcmp(value, "0") == 0 || strcmp(value, "false") == 0)
		return true;
	api_reply_error(reply, 400, "IST-4003", NULL, NULL, "query parameter \"%s\" is \"%s\"; expected true or false",
			key, value);
	return false;
}
