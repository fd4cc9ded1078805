/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client.h - one request to the daemon, or to its pinned maps when it is not running.
 *
 * client_stream hands the lines of a reply to the caller as they come, in bounded memory; client_json reads a small
 * reply whole.  Both print what went wrong on standard error and return an exit code.  Reading commands fall back to
 * `isthmusd --offline`, say so once on standard error, and end with CODE_DAEMON (client_code).
 */
#ifndef ISTHMUS_CLIENT_H
#define ISTHMUS_CLIENT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "cli/cli.h"

struct client_request {
	const char *method; /* NULL = GET */
	const char *target; /* percent-encoded */
	const char *body;
	size_t body_size;
	bool quiet;      /* no message: completion, version, --wait */
	bool no_offline; /* only the daemon itself will do */
	long timeout_ms; /* without a byte; 0 = a default */
};

/* One line without its newline, NUL-terminated; non-zero stops and becomes the exit code. */
typedef int (*client_line_fn)(void *arg, const char *line, size_t length);

int client_stream(const struct call *call, const struct client_request *request, client_line_fn fn, void *arg);
int client_json(const struct call *call, const struct client_request *request, json_t **out); /* json_decref it */
int client_text(const struct call *call, const struct client_request *request, char **out);   /* free it */

/* CODE_DAEMON instead of CODE_OK or CODE_DIFFERENCE when an answer came from the pinned maps. */
int client_code(int code);

char *client_escape(const char *text); /* percent-encoded, malloc'd; exits when memory runs out */

/* ---- offline.c ---- */

/*
 * Runs `isthmusd --offline TARGET` and hands on what it prints.  0; -ENOENT when no isthmusd is found; -EIO when it had
 * no answer (it has said why on standard error); fn returns non-zero to stop.
 */
int offline_run(const struct call *call, const char *target, int (*fn)(void *arg, const char *data, size_t size),
		void *arg);

#endif
