/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server.h - HTTP and JSON over the Unix socket, on the control thread's loop.
 *
 * server_open binds <run-dir>/isthmus.sock and serves the caller's route table; server_close removes the socket.  Peer
 * credentials decide before any handler runs: root may do all, group `isthmus` may read, nobody else anything.  A
 * handler fills the reply and returns; long lists are written by a generator that is called again as the client reads.
 * The server knows nothing of the agent: arg is handed through.
 */
#ifndef ISTHMUS_SERVER_H
#define ISTHMUS_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct json;
struct loop;
struct server;

struct api_route;

struct api_request {
	const struct api_route *route; /* the row that was found */
	const char *method;
	const char *path;
	const char *name;  /* what stood for {name} in the pattern (decoded), else NULL */
	const char *body;
	size_t body_size;
	const char *(*query)(const struct api_request *r, const char *key); /* decoded value, "" for a bare key, NULL */
	const char *accept; /* the Accept header, or NULL */
	void *opaque;
};

struct api_reply {
	int status;               /* HTTP; default 200 */
	const char *content_type; /* default application/json */
	char *body;               /* malloc'd, taken over */
	size_t body_size;
	/* or a stream: append the next piece to *out (malloc'd or reused), return false when there is no more */
	bool (*next)(void *stream, char *buffer, size_t size, size_t *used);
	bool (*stream_cut)(const void *stream); /* asked when there is no more: did it end before its time? or NULL */
	void (*stream_free)(void *stream);
	void *stream;
};

struct api_route {
	const char *method;  /* "GET", "POST", "DELETE" */
	const char *pattern; /* "/v1/ports/{name}" */
	const char *summary; /* OpenAPI; says what it returns */
	const char *query;   /* "dry_run name=": flags, and with = those that take text; any other is refused */
	bool mutates;        /* root only */
	const char *reply;   /* name of the JSON schema of a good reply; NULL = not JSON */
	void (*handle)(void *arg, const struct api_request *request, struct api_reply *reply);
};

int server_open(struct loop *loop, const char *run_dir, const struct api_route *routes, size_t n_routes, void *arg,
		struct server **out);
void server_close(struct server *s); /* NULL allowed */
/* The group whose members may read, as it was found at the start: false = there was none. */
bool server_group(const struct server *s, gid_t *out);

#define API_BODY_MAX ((size_t)8 << 20) /* bytes of a request's body; more is answered by 413 */
void server_allow_body(struct server *s, size_t size); /* at least API_BODY_MAX, and this if it is more */

/*
 * Find the route and run it without any socket: used by `isthmusd --offline`. 0, or -ENOENT (reply holds the 404).
 * `target` is a path with an optional query, percent-encoded as in HTTP.  The reply is the caller's: api_reply_fini.
 */
int server_dispatch(const struct api_route *routes, size_t n_routes, void *arg, const char *method, const char *target,
		    const char *body, size_t body_size, struct api_reply *reply);

void api_reply_fini(struct api_reply *reply);

/* ---- for handlers ---- */

/* The text of j becomes the reply's body (500 when memory ran out); j is empty after. */
void api_reply_json(struct api_reply *reply, struct json *j);
/*
 * {"error": {"code", "message", "hint", "details"}}; code is stable ("IST-4004"), hint the next step or NULL.  details
 * is a writer that holds a complete JSON array, or NULL; it is emptied.
 */
void api_reply_error(struct api_reply *reply, int status, const char *code, const char *hint, struct json *details,
		     const char *format, ...) __attribute__((format(printf, 6, 7)));
/* A yes/no query parameter: bare, 1, true; 0, false, absent.  False with the reply set when it is something else. */
bool api_query_flag(const struct api_request *request, const char *key, bool *out, struct api_reply *reply);

/* ---- openapi.c ---- */

struct api_field { /* one key of a kind; the last has name NULL */
	const char *name;
	const char *type; /* "string", "integer", "number", "boolean", "string?" (or null), "string[]", "#Kind",
			     "#Kind[]", "#Kind?" */
	const char *meaning;
};

struct api_kind {
	const char *name; /* "Port" */
	const char *meaning;
	const struct api_field *fields; /* every one is always there; beside apiVersion and kind */
	bool nested; /* only ever inside another: has no apiVersion and kind of its own */
};

/* The OpenAPI 3.1 description of a route table; lists ("PortList") are derived from their kind. */
void openapi_write(struct json *j, const char *title, const char *version, const struct api_route *routes,
		   size_t n_routes, const struct api_kind *kinds, size_t n_kinds);
/* The JSON schema (draft 2020-12) of one kind, complete with what it refers to. */
void openapi_schema_write(struct json *j, const struct api_kind *kind, const struct api_kind *kinds, size_t n_kinds);

#endif
