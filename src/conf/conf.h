/* SPDX-License-Identifier: Apache-2.0 */
/*
 * conf.h - text to model: the one way in for a configuration.
 *
 * conf_load reads YAML (libyaml events, bounded), checks it against the schema table (schema.c), builds a struct config
 * and checks across objects (build.c).  Pure: no files, no clock, no globals; the daemon, `isthmus check` and the
 * fuzzer run the same code.  On failure the output is untouched and every error found is in the list, in order of line.
 *
 * Limits: 8 MiB of text, 64 levels, no aliases or anchors, so that hostile input ends within 1 s and 64 MiB.  Whoever
 * knows where the text comes from may allow more of it.
 */
#ifndef ISTHMUS_CONF_H
#define ISTHMUS_CONF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "model/config.h"

#define CONF_TEXT_MAX ((size_t)8 << 20) /* readers of files may stop after one byte more */
#define CONF_TEXT_MAX_MIB 1024 /* the largest that may be allowed instead */

/* "256" -> bytes of 256 MiB, from 8 to 1024; 0: it is no such number */
size_t conf_text_max(const char *mib);

struct conf_source {
	const char *name; /* for messages: the file's path */
	const char *text; /* need not end with NUL */
	size_t size;      /* bytes */
	size_t size_max;  /* 0 = CONF_TEXT_MAX */
	bool runtime;     /* holds only `ports:` of `isthmus port add`; a port equal to one of the file is absorbed */
	bool request;     /* runtime, and not remembered yet: no error advises to delete from it */
};

struct conf_error {
	char *file;
	unsigned line, column; /* from 1; 0 = the whole file */
	char *path;    /* "tenants.red.networks.web.vni" */
	unsigned code; /* IST-nnnn, stable; see schema.h for the list */
	char *what;    /* what is wrong; "expected ..." ; did you mean; what to do */
};

struct conf_errors {
	struct conf_error *items;
	size_t length;
};

void conf_errors_fini(struct conf_errors *e);
/* "file:line:column: path: what (IST-nnnn)" and a newline, each */
void conf_errors_print(const struct conf_errors *e, FILE *f);

/* 0; -EINVAL with errors; -ENOMEM.  The first source is the file; further ones are runtime. */
int conf_load(const struct conf_source *sources, size_t n_sources, struct config **out, struct conf_errors *errors);

/* YAML that conf_load reads back to an equal configuration.  `runtime_only`: just the `ports:` added at run time. */
int conf_emit(const struct config *c, bool runtime_only, FILE *f);

/*
 * What the ports added at run time are as text, in the measures that bound a text that is read.  conf_load refuses more
 * than it would read again.
 */
struct conf_extent {
	size_t size, values;
};
int conf_runtime_extent(const struct config *c, struct conf_extent *out);
size_t conf_runtime_values(const struct config *c); /* half of it, without writing the text */
bool conf_extent_fits(const struct conf_extent *e, size_t size_max); /* size_max as of conf_source */

/* `isthmus explain KEY`: text for people; -ENOENT with the nearest key (or NULL) in suggestion.  NULL: all keys. */
int conf_explain(const char *key, FILE *f, const char **suggestion);
int conf_json_schema(FILE *f);     /* JSON schema (draft 2020-12) for editors */
int conf_mdoc_reference(FILE *f);  /* the key reference of isthmus.yaml(5) */

#endif
