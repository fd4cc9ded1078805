/* SPDX-License-Identifier: Apache-2.0 */
/*
 * show.h - JSON objects as tables, lists of fields, and YAML.
 *
 * The kinds of object with their columns are one table (show.c).  show_row collects rows of a kind and prints them in
 * batches, so that a list of a million is a table in bounded memory: the first batch decides how wide columns are.
 * yaml.c writes any JSON value as YAML that reads back to the same value.
 */
#ifndef ISTHMUS_SHOW_H
#define ISTHMUS_SHOW_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "cli/cli.h"

struct column { /* the last has title NULL */
	const char *title;
	const char *key; /* "path.mtu" goes into an object */
	bool wide;  /* only with -o wide */
	bool right; /* numbers */
	const char *unit; /* a number is shown in these, with two digits behind the point; NULL = as it is */
	uint32_t per;     /* how many the number has in one */
};

struct kind { /* the last has plural NULL */
	const char *plural, *singular;
	const char *aliases; /* separated by blanks */
	const struct column *columns;
};

extern const struct kind kinds[];

/* plural, singular, alias, or the only one that begins so; NULL with a message on standard error unless quiet */
const struct kind *kind_by_word(const char *word, bool quiet);

/* A value as a table shows it: null and empty lists "-", lists joined by ",", truth as yes and no.  malloc'd. */
char *show_value(const json_t *object, const char *key);

struct show;

struct show *show_new(const struct column *columns, bool wide, bool color); /* exits when memory runs out */
void show_row(struct show *s, const json_t *object);
void show_free(struct show *s); /* prints what is left */

/* "key:  value" lines of everything in an object but apiVersion and kind */
void show_fields(const json_t *object, FILE *f);

/* One object in the format of the call (table: by show_fields) */
void show_object(const struct call *call, const json_t *object);

/*
 * ---- get.c: all lines of `target`, which streams objects of the kind.  A legend goes to standard error, in front of a table.
 * `none` tells people that there are none. ----
 */
int show_list(const struct call *call, const struct kind *k, const char *target, const char *legend,
	      void (*none)(const struct call *call));

/* ---- change.c: what was done, or would be ---- */
int show_plan(const struct call *call, const json_t *plan, bool list_steps);

/* ---- yaml.c ---- */
void yaml_emit(const json_t *value, int indent, FILE *f); /* a block, or a scalar with its newline */
void yaml_emit_item(const json_t *value, FILE *f);         /* "- ..." of a list at the margin */
/* Reads the YAML of the daemon into JSON; NULL when it is none */
json_t *yaml_to_json(const char *text, size_t size);

#endif
