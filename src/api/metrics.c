/* SPDX-License-Identifier: Apache-2.0 */
#include "api/metrics.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/cleanup.h"

static void append(struct metrics *m, const char *text, size_t n)
{
	if (m->failed)
		return;
	if (m->capacity - m->size <= n) {
		size_t capacity = m->capacity ? m->capacity : 4096;

		while (capacity - m->size <= n)
			capacity *= 2;
		char *data = realloc(m->data, capacity);

		if (!data) {
			m->failed = true;
			return;
		}
		m->data = data;
		m->capacity = capacity;
	}
	memcpy(m->data + m->size, text, n);
	m->size += n;
	m->data[m->size] = '\0';
}

static void append_text(struct metrics *m, const char *s)
{
	append(m, s, strlen(s));
}

/* Backslash and newline are escaped everywhere; a quote only where the format reads it back (0.0.4 HELP does not). */
static void append_escaped(struct metrics *m, const char *s, bool quote)
{
	for (; *s; s++) {
		if (*s == '\\')
			append(m, "\\\\", 2);
		else if (*s == '\n')
			append(m, "\\n", 2);
		else if (*s == '"' && quote)
			append(m, "\\\"", 2);
		else
			append(m, s, 1);
	}
}

static const char *suffix(const struct metrics *m)
{
	if (m->type == METRICS_COUNTER)
		return "_total";
	return m->type == METRICS_INFO ? "_info" : "";
}

static void append_meta(struct metrics *m, const char *what)
{
	append_text(m, "# ");
	append_text(m, what);
	append_text(m, " ");
	append_text(m, m->name);
	if (!m->open_metrics)
		append_text(m, suffix(m));
	append_text(m, " ");
}

void metrics_init(struct metrics *m, const char *accept)
{
	*m = (struct metrics){.open_metrics = accept && strstr(accept, "application/openmetrics-text")};
}

const char *metrics_content_type(const struct metrics *m)
{
	return m->open_metrics ? "application/openmetrics-text; version=1.0.0; charset=utf-8" :
				 "text/plain; version=0.0.4; charset=utf-8";
}

void metrics_family(struct metrics *m, const char *name, enum metrics_type type, const char *unit, const char *help)
{
	static const char *const types[] = {
		[METRICS_GAUGE] = "gauge", [METRICS_COUNTER] = "counter", [METRICS_INFO] = "info"};

	m->name = name;
	m->type = type;
	append_meta(m, "HELP");
	append_escaped(m, help, m->open_metrics);
	append_text(m, "\n");
	append_meta(m, "TYPE");
	append_text(m, type == METRICS_INFO && !m->open_metrics ? "gauge" : types[type]);
	append_text(m, "\n");
	if (m->open_metrics && unit) {
		append_meta(m, "UNIT");
		append_text(m, unit);
		append_text(m, "\n");
	}
}

void metrics_sample(struct metrics *m, const struct metrics_label *labels, double value)
{
	char number[40];

	append_text(m, m->name);
	append_text(m, suffix(m));
	for (const struct metrics_label *l = labels; l && l->name; l++) {
		append_text(m, l == labels ? "{" : ",");
		append_text(m, l->name);
		append_text(m, "=\"");
		append_escaped(m, l->value, true);
		append_text(m, "\"");
	}
	if (labels && labels->name)
		append_text(m, "}");
	/* Counters are exact up to 2^53; integers are written as such, the readers' parsers are the slow part. */
	if (value > -9007199254740992.0 && value < 9007199254740992.0 && value == (double)(int64_t)value)
		snprintf(number, sizeof(number), " %.0f\n", value);
	else
		snprintf(number, sizeof(number), " %.15g\n", value);
	append_text(m, number);
}

char *metrics_take(struct metrics *m, size_t *size)
{
	append_text(m, "# EOF\n");

	char *text = m->failed ? NULL : TAKE_PTR(m->data);

	*size = m->size;
	free(m->data);
	*m = (struct metrics){0};
	return text;
}
