/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pieces.h - a list that goes out as it is made: {"items": [...]}, or lines of one object each.
 *
 * `write` adds some objects to p->json and sets p->ended with the last of them.  It does a bounded amount of work a
 * call, whether it finds something or not, and is called once a turn of the loop: white space keeps the list going where
 * there was nothing.  A walk has a struct pieces as its first member.
 */
#ifndef ISTHMUS_PIECES_H
#define ISTHMUS_PIECES_H

#include <stdbool.h>
#include <stddef.h>

#include "api/json.h"
#include "api/server.h"

#define PIECES_RECORDS 8192 /* that a call of `write` may look at: some milliseconds */

struct pieces {
	void (*write)(struct pieces *p, size_t limit); /* about so many bytes */
	const char *kind; /* of the list */
	bool lines;
	bool begun, ended;
	struct json json;
	size_t drained;
};

/* The reply is what `p` writes; `p` is the first member of what free_fn frees when it has gone out, or nobody reads it. */
void pieces_reply(struct api_reply *reply, struct pieces *p, void (*free_fn)(void *stream));

void pieces_collect(struct pieces *p); /* all of it at once, into p->json: of a few objects */

#endif
