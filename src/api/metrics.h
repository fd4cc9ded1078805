/* SPDX-License-Identifier: Apache-2.0 */
/*
 * metrics.h - writes an exposition for Prometheus: OpenMetrics 1.0, or its text format 0.0.4.
 *
 * metrics_format picks by the Accept header as Prometheus itself negotiates; then for each family metrics_family and
 * its samples, at the end metrics_take.  The two formats differ in names: an OpenMetrics counter family is "x" with
 * samples "x_total", in the text format the family is "x_total"; the writer knows, callers give "x".  An allocation
 * failure is sticky.  One thread.
 *
 * Label values must come from a small set that traffic cannot enlarge (row T2): never a MAC, port or flow, and no address but
 * that of a neighbor in the configuration.
 */
#ifndef ISTHMUS_METRICS_H
#define ISTHMUS_METRICS_H

#include <stdbool.h>
#include <stddef.h>

enum metrics_type {
	METRICS_GAUGE,
	METRICS_COUNTER,
	METRICS_INFO, /* value 1, everything in labels */
};

struct metrics {
	char *data;
	size_t size, capacity;
	bool open_metrics;
	bool failed;
	const char *name; /* of the family being written */
	enum metrics_type type;
};

struct metrics_label {
	const char *name, *value;
};

void metrics_init(struct metrics *m, const char *accept); /* the header, or NULL */
const char *metrics_content_type(const struct metrics *m);
/* name without _total or _info; unit is its last word ("seconds", "bytes") or NULL */
void metrics_family(struct metrics *m, const char *name, enum metrics_type type, const char *unit, const char *help);
/* labels ends with name NULL; NULL = none */
void metrics_sample(struct metrics *m, const struct metrics_label *labels, double value);
char *metrics_take(struct metrics *m, size_t *size); /* with the closing # EOF; NULL when memory ran out */

#endif
