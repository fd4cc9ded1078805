/* SPDX-License-Identifier: Apache-2.0 */
/*
 * json.h - a JSON writer that needs no tree.
 *
 * Values are appended to one growing buffer; commas and nesting are the writer's business, so the same functions write
 * a small object and a list of a million.  An allocation failure is sticky: everything after it is ignored and
 * json_take returns NULL.  Strings may hold any bytes: control characters are escaped, what is not UTF-8 becomes
 * U+FFFD.
 *
 * Start with a zeroed struct, write, then json_take (the text is the caller's) or json_fini.  Between top-level values
 * of a stream call json_reset or append them to each other with json_newline.  One thread.
 */
#ifndef ISTHMUS_JSON_H
#define ISTHMUS_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct json {
	char *data; /* NUL-terminated once anything was written */
	size_t size, capacity;
	unsigned depth;
	uint64_t filled; /* bit per level: a value stands before, so a comma is due */
	bool after_key;
	bool failed;
};

void json_fini(struct json *j);
char *json_take(struct json *j,
		size_t *size); /* malloc'd text, or NULL when memory ran out; j is empty and usable after */

void json_object_open(struct json *j);
void json_object_close(struct json *j);
void json_array_open(struct json *j);
void json_array_close(struct json *j);
void json_key(struct json *j, const char *key);

void json_string(struct json *j, const char *s); /* NULL: null */
void json_format(struct json *j, const char *format, ...) __attribute__((format(printf, 2, 3))); /* a string */
void json_uint(struct json *j, uint64_t n);
void json_bool(struct json *j, bool b);
void json_null(struct json *j);
void json_raw(struct json *j, const char *text, size_t size); /* a complete value */
void json_newline(struct json *j); /* ends one value of a stream; top level only */
void json_space(struct json *j);   /* between two values: means nothing, and keeps a reader waiting */

/* key and value at once */
void json_put_string(struct json *j, const char *key, const char *s);
void json_put_uint(struct json *j, const char *key, uint64_t n);
void json_put_bool(struct json *j, const char *key, bool b);
void json_put_null(struct json *j, const char *key);

#endif
