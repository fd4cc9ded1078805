/* SPDX-License-Identifier: Apache-2.0 */
/*
 * report.h - collects what is wrong with a configuration.
 *
 * Every stage of conf_load adds to one report; report_finish sorts by source, line and column and hands the list over.
 * At most REPORT_MAX are kept: hostile input may not make us write a book.  One thread.
 */
#ifndef ISTHMUS_CONF_REPORT_H
#define ISTHMUS_CONF_REPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "conf/conf.h"
#include "conf/schema.h"
#include "conf/yaml.h"

#define REPORT_MAX 100
#define QUOTED_SIZE 64

struct report {
	const struct conf_source *sources;
	struct report_item {
		struct conf_error error;
		unsigned source, sequence;
	} items[REPORT_MAX];
	size_t length; /* kept */
	size_t total;
	size_t compared; /* words compared for "did you mean"; bounded */
	bool no_memory;
};

/* There is at least one that is not told: looking for more would be for nothing. */
static inline bool report_is_full(const struct report *r)
{
	return r->total > REPORT_MAX;
}

/* At a place of a source.  `path` NULL: the file. */
void report_at(struct report *r, unsigned source, struct config_place at, const char *path, enum conf_code code,
	       const char *format, ...) __attribute__((format(printf, 6, 7)));
/* About a value, about a key that stands there, about a key that should stand in `map`. */
void report_value(struct report *r, const struct yaml_node *n, enum conf_code code, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
void report_key(struct report *r, const struct yaml_node *n, enum conf_code code, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
void report_missing(struct report *r, const struct yaml_node *map, const char *key, enum conf_code code,
		    const char *format, ...) __attribute__((format(printf, 5, 6)));

/* -EINVAL with the list in out when there is anything, -ENOMEM, or 0.  The report is empty after. */
int report_finish(struct report *r, struct conf_errors *out);

/* The first character of UTF-8 text (RFC 3629) and its length in bytes; -1 for what is none. */
int32_t utf8_decode(const char *text, const char *end, unsigned *length);
/* Not seen, or what makes a reader see other than what stands there; control characters from U+007F on. */
bool utf8_is_hidden(int32_t c);

/* The text in quotes, what does not print escaped, what is long cut: safe to show on a terminal. */
const char *quoted(char out[static QUOTED_SIZE], const char *text);

/* Between the words of a list: "a, b or c" */
static inline const char *joint(size_t i, size_t length)
{
	return i == 0 ? "" : i + 1 < length ? ", " : " or ";
}

/* "tenants.red.networks.web.subnets[1]"; malloc'd, NULL = no memory.  `child` may be NULL. */
char *report_path(const struct yaml_node *n, const char *child);
/* The same, or NULL when no more errors are kept: a path costs a walk along its list. */
char *report_owner(const struct report *r, const struct yaml_node *n);
/* "line 12", or "FILE line 12" when that is in another source than `from` */
const char *report_where(const struct report *r, const struct yaml_node *from, const struct yaml_node *n, char *out,
			 size_t size);

/*
 * Did you mean: start with {.word = ...}, offer candidates, read .best (NULL = none within edit distance 2).  The
 * candidates must live as long as .best is used.
 */
struct nearest {
	const char *word;
	const char *best;
	unsigned distance;
};
void nearest_offer(struct report *r, struct nearest *n, const char *candidate); /* r may be NULL: not bounded */

#endif
