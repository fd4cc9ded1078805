/* SPDX-License-Identifier: Apache-2.0 */
#include "conf/report.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "lib/cleanup.h"
#include "lib/text.h"

#define COMPARE_MAX 1000000 /* words compared in one load: about 0.1 s */
#define DISTANCE_MAX 2
#define PATH_SHOWN 12 /* our own are at most 6 deep */

static void add(struct report *r, unsigned source, struct config_place at, char *path, enum conf_code code,
		const char *format, va_list args) __attribute__((format(printf, 6, 0)));

/* Takes path over. */
static void add(struct report *r, unsigned source, struct config_place at, char *path, enum conf_code code,
		const char *format, va_list args)
{
	struct report_item *item = &r->items[r->length];
	struct conf_error *e = &item->error;

	*item = (struct report_item){.source = source, .sequence = (unsigned)r->length};
	*e = (struct conf_error){.line = at.line, .column = at.column, .path = path, .code = conf_code_number(code)};
	e->file = strdup(r->sources[source].name);
	if (!e->file || !e->path || text_vformat(&e->what, format, args) < 0) {
		free(e->file);
		free(e->path);
		r->no_memory = true;
		return;
	}
	r->length++;
}

/* True when there is room for one more. */
static bool counted(struct report *r)
{
	return r->total++ < REPORT_MAX;
}

void report_at(struct report *r, unsigned source, struct config_place at, const char *path, enum conf_code code,
	       const char *format, ...)
{
	va_list args;

	if (!counted(r))
		return;
	va_start(args, format);
	add(r, source, at, strdup(path ? path : "(file)"), code, format, args);
	va_end(args);
}

void report_value(struct report *r, const struct yaml_node *n, enum conf_code code, const char *format, ...)
{
	va_list args;

	if (!counted(r))
		return;
	va_start(args, format);
	/* Nothing written: its own place is the end of the line, or the next one. */
	add(r, yaml_of(n)->source, n->key && yaml_is_null(n) ? n->key_place : n->place, report_path(n, NULL), code,
	    format, args);
	va_end(args);
}

void report_key(struct report *r, const struct yaml_node *n, enum conf_code code, const char *format, ...)
{
	va_list args;

	if (!counted(r))
		return;
	va_start(args, format);
	add(r, yaml_of(n)->source, n->key ? n->key_place : n->place, report_path(n, NULL), code, format, args);
	va_end(args);
}

void report_missing(struct report *r, const struct yaml_node *map, const char *key, enum conf_code code,
		    const char *format, ...)
{
	va_list args;

	if (!counted(r))
		return;
	va_start(args, format);
	add(r, yaml_of(map)->source, map->key ? map->key_place : map->place, report_path(map, key), code, format, args);
	va_end(args);
}

static int item_compare(const void *a, const void *b)
{
	const struct report_item *x = a, *y = b;

	if (x->source != y->source)
		return x->source < y->source ? -1 : 1;
	if (x->error.line != y->error.line)
		return x->error.line < y->error.line ? -1 : 1;
	if (x->error.column != y->error.column)
		return x->error.column < y->error.column ? -1 : 1;
	return x->sequence < y->sequence ? -1 : 1;
}

static void error_fini(struct conf_error *e)
{
	free(e->file);
	free(e->path);
	free(e->what);
}

/* The last place tells that there is more. */
static void note_rest(struct report *r)
{
	struct conf_error *last = &r->items[REPORT_MAX - 1].error;
	char *what = NULL, *path = NULL;

	if (r->length < REPORT_MAX || r->total <= REPORT_MAX)
		return;
	path = strdup("(file)");
	what = strdup("more errors are not shown; expected these to be mended first");
	if (!path || !what) {
		free(path);
		free(what);
		return;
	}
	free(last->what);
	free(last->path);
	last->what = what;
	last->path = path;
	last->code = conf_code_number(CONF_TOO_MANY_ERRORS);
}

int report_finish(struct report *r, struct conf_errors *out)
{
	struct conf_error *items;

	if (r->total == 0 && !r->no_memory)
		return 0;
	qsort(r->items, r->length, sizeof(r->items[0]), item_compare);
	note_rest(r);
	items = calloc(r->length + 1, sizeof(*items));
	for (size_t i = 0; i < r->length; i++) {
		if (items)
			items[i] = r->items[i].error;
		else
			error_fini(&r->items[i].error);
	}
	if (items)
		*out = (struct conf_errors){items, r->length};
	r->total = r->length = 0;
	return !items || r->no_memory ? -ENOMEM : -EINVAL;
}

void conf_errors_fini(struct conf_errors *e)
{
	for (size_t i = 0; i < e->length; i++)
		error_fini(&e->items[i]);
	free(e->items);
	*e = (struct conf_errors){};
}

void conf_errors_print(const struct conf_errors *e, FILE *f)
{
	for (size_t i = 0; i < e->length; i++) {
		const struct conf_error *x = &e->items[i];

		fprintf(f, "%s:%u:%u: %s: %s (IST-%04u)\n", x->file, x->line, x->column, x->path, x->what, x->code);
	}
}

/* ---- words in messages ---- */

int32_t utf8_decode(const char *text, const char *end, unsigned *length)
{
	static const int32_t lowest[] = {0, 0, 0x80, 0x800, 0x10000};
	const uint8_t *p = (const uint8_t *)text;
	int32_t c = *p;

	*length = c < 0x80 ? 1 : c < 0xc2 ? 0 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : c < 0xf5 ? 4 : 0;
	if (*length == 0 || (size_t)(end - text) < *length) {
		*length = 0;
		return -1;
	}
	if (*length > 1)
		c &= 0xff >> (*length + 1);
	for (unsigned i = 1; i < *length; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return -1;
		c = c << 6 | (p[i] & 0x3f);
	}
	return c < lowest[*length] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000) ? -1 : c;
}

bool utf8_is_hidden(int32_t c)
{
	return (c >= 0x7f && c < 0xa0) || c == 0x2028 || c == 0x2029 || (c >= 0x202a && c <= 0x202e) ||
	       (c >= 0x2066 && c <= 0x2069) || c == 0xfeff || c == 0xfffe || c == 0xffff;
}

/* Beyond ASCII all is escaped: letters that look like others, marks that reorder or hide what follows. */
static unsigned escape_one(const char *text, char out[static 12])
{
	unsigned length;
	int32_t c = utf8_decode(text, text + strlen(text), &length);

	if (c == '"' || c == '\\')
		snprintf(out, 12, "\\%c", c);
	else if (c == '\n' || c == '\t')
		snprintf(out, 12, "\\%c", c == '\n' ? 'n' : 't');
	else if (c >= ' ' && c < 0x7f)
		snprintf(out, 12, "%c", c);
	else if (c >= 0)
		snprintf(out, 12, c > 0xffff ? "\\U%08x" : "\\u%04x", (unsigned)c);
	else
		snprintf(out, 12, "\\x%02x", (unsigned char)*text);
	return length > 0 ? length : 1;
}

const char *quoted(char out[static QUOTED_SIZE], const char *text)
{
	char *p = out, *end = out + QUOTED_SIZE - sizeof("...\"");

	*p++ = '"';
	while (*text) {
		char escape[12];

		text += escape_one(text, escape);
		if (p + strlen(escape) > end) {
			p = stpcpy(p, "...");
			break;
		}
		p = stpcpy(p, escape);
	}
	*p++ = '"';
	*p = '\0';
	return out;
}

static void write_component(FILE *f, const char *key)
{
	static const char safe[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-/";
	char buffer[QUOTED_SIZE];

	if (*key && strlen(key) <= CONFIG_NAME_MAX && strspn(key, safe) == strlen(key))
		fputs(key, f);
	else
		fputs(quoted(buffer, key), f);
}

char *report_path(const struct yaml_node *n, const char *child)
{
	const struct yaml_node *chain[YAML_MAX_DEPTH + 1];
	size_t depth = 0, size, index;
	char *text = NULL;
	FILE *f;

	for (; n->parent; n = n->parent)
		chain[depth++] = n;
	if (depth == 0 && !child)
		return strdup("(file)");
	f = text_stream(&text, &size);
	if (!f)
		return NULL;
	for (size_t i = depth; i-- > 0;) {
		if (depth - i > PATH_SHOWN) {
			fputs("...", f);
			child = NULL;
			break;
		}
		if (chain[i]->key) {
			if (i + 1 < depth)
				fputc('.', f);
			write_component(f, chain[i]->key);
			continue;
		}
		index = 0;
		for (const struct yaml_node *s = chain[i]->parent->first; s != chain[i]; s = s->next)
			index++;
		fprintf(f, "[%zu]", index);
	}
	if (child) {
		fputs(depth > 0 ? "." : "", f);
		write_component(f, child);
	}
	if (fclose(f) != 0) {
		free(text);
		return NULL;
	}
	return text;
}

char *report_owner(const struct report *r, const struct yaml_node *n)
{
	return r->total < REPORT_MAX ? report_path(n, NULL) : NULL;
}

const char *report_where(const struct report *r, const struct yaml_node *from, const struct yaml_node *n, char *out,
			 size_t size)
{
	unsigned source = yaml_of(n)->source, line = n->place.line;

	if (source == yaml_of(from)->source)
		snprintf(out, size, "line %u", line);
	else
		snprintf(out, size, "%s line %u", r->sources[source].name, line);
	return out;
}

/* ---- did you mean ---- */

/* Levenshtein's distance, given up above DISTANCE_MAX: only that band around the diagonal is looked at. */
static unsigned edit_distance(const char *a, const char *b)
{
	int n = (int)strlen(a), m = (int)strlen(b);
	unsigned rows[2][CONFIG_NAME_MAX * 2 + 3];

	if (n > CONFIG_NAME_MAX * 2 || m > CONFIG_NAME_MAX * 2 || abs(n - m) > DISTANCE_MAX)
		return DISTANCE_MAX + 1;
	for (int j = 0; j <= m; j++)
		rows[0][j] = (unsigned)j;
	for (int i = 1; i <= n; i++) {
		unsigned *row = rows[i & 1], *above = rows[!(i & 1)], lowest;
		int first = i > DISTANCE_MAX ? i - DISTANCE_MAX : 1, last = i + DISTANCE_MAX < m ? i + DISTANCE_MAX : m;

		row[first - 1] = first == 1 ? (unsigned)i : DISTANCE_MAX + 1;
		lowest = row[first - 1];
		for (int j = first; j <= last; j++) {
			unsigned best = above[j - 1] + (a[i - 1] != b[j - 1]);

			if (row[j - 1] + 1 < best)
				best = row[j - 1] + 1;
			if ((j < i + DISTANCE_MAX) && above[j] + 1 < best)
				best = above[j] + 1;
			row[j] = best;
			lowest = best < lowest ? best : lowest;
		}
		if (lowest > DISTANCE_MAX)
			return DISTANCE_MAX + 1;
	}
	return rows[n & 1][m];
}

void nearest_offer(struct report *r, struct nearest *n, const char *candidate)
{
	unsigned d;

	if (r && (r->total >= REPORT_MAX || r->compared++ >= COMPARE_MAX))
		return;
	d = edit_distance(n->word, candidate);
	if (d <= DISTANCE_MAX && d < strlen(n->word) && (!n->best || d < n->distance)) {
		n->best = candidate;
		n->distance = d;
	}
}
