/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server.h - HTTP and JSON over the Unix socket, on the control thread's loop.
 *
 * server_open binds <run-dir>/isthmus.sock and serves the caller's route table; server_close removes the socket.  Peer
 * credentials decide before any handler runs: root may do all, group `isthmus` may read, nobody else anything.  A handler
 * fills the reply and returns; long lists are written by a generator that is called again as the client reads.
 * The server knows nothing of the agent: arg is handed through.
 */
#ifndef ISTHMUS_SERVER_H
#define ISTHMUS_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct loop;
struct server;

struct api_request {
	const char *method;
	const char *path;
	const char *name;  /* what stood for {name} in the pattern (decoded), else NULL */
	const char *body;
	size_t body_size;
	const char *(*query)(const struct api_request *r, const char *key); /* decoded value, "" for a bare key, NULL */
	void *opaque;
};

struct api_reply {
	int status;               /* HTTP; default 200 */
	const char *content_type; /* default application/json */
	char *body;               /* malloc'd, taken over */
	size_t body_size;
	/* or a stream: append the next piece to *out (malloc'd or reused), return false when there is no more */
	bool (*next)(void *stream, char *buffer, size_t size, size_t *used);
	void (*stream_free)(void *stream);
	void *stream;
};

struct api_route {
	const char *method;  /* "GET", "POST", "DELETE" */
	const char *pattern; /* "/v1/ports/{name}" */
	const char *summary; /* OpenAPI; says what it returns */
	const char *query;   /* "dry_run detail" names, or NULL */
	bool mutates;        /* root only */
	void (*handle)(void *arg, const struct api_request *request, struct api_reply *reply);
};

int server_open(struct loop *loop, const char *run_dir, const struct api_route *routes, size_t n_routes, void *arg,
		struct server **out);
void server_close(struct server *s); /* NULL allowed */

/* Find the route and run it without any socket: used by `isthmusd --offline`. 0, or -ENOENT (reply holds the 404). */
int server_dispatch(const struct api_route *routes, size_t n_routes, void *arg, const char *method, const char *target,
		    const char *body, size_t body_size, struct api_reply *reply);

#endif
