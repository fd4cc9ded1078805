/* SPDX-License-Identifier: Apache-2.0 */
#include "conf/yaml.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "conf/conf.h"
#include "conf/report.h"
#include "lib/hmap.h"

/* ---- before the parser: what bytes may stand there at all ---- */

/* Characters that would make our line numbers, or what a reader sees, differ from what the parser reads. */
static bool is_forbidden(int32_t c, const uint8_t *next, const uint8_t *end)
{
	if (c == '\r')
		return next == end || *next != '\n';
	return (c < ' ' && c != '\t' && c != '\n') || utf8_is_hidden(c);
}

/*
 * Our own pass, because libyaml names no line for bad bytes, takes UTF-16, and spends a time that grows with the square
 * of the number of %TAG directives.
 */
static int check_bytes(unsigned source, const char *text, size_t size, struct report *report)
{
	const uint8_t *p = (const uint8_t *)text, *end = p + size;
	struct config_place at = {1, 1};

	while (p < end) {
		unsigned length;
		int32_t c = utf8_decode((const char *)p, (const char *)end, &length);

		if (c < 0) {
			report_at(report, source, at, NULL, CONF_NOT_UTF8,
				  "byte 0x%02x is not UTF-8; expected a UTF-8 text", *p);
			return -EINVAL;
		}
		if (is_forbidden(c, p + length, end)) {
			report_at(report, source, at, NULL, CONF_CONTROL_CHARACTER,
				  "%s U+%04X; expected printable text, spaces and line feeds",
				  c == 0 ? "NUL byte" : "control or invisible character", (unsigned)c);
			return -EINVAL;
		}
		if (c == '%' && at.column == 1) {
			report_at(report, source, at, NULL, CONF_DIRECTIVE,
				  "a YAML directive (a line that begins with %%); expected none");
			return -EINVAL;
		}
		p += length;
		if (c == '\n')
			at = (struct config_place){at.line + 1, 1};
		else
			at.column++;
	}
	return 0;
}

/* ---- events to tree ---- */

struct level {
	struct yaml_node *container;
	struct yaml_node **tail; /* where the next child is linked */
	const char *key;         /* read, its value not yet; maps only */
	struct config_place key_place;
	bool key_broken;
};

struct reader {
	struct report *report;
	struct yaml *yaml;
	struct level levels[YAML_MAX_DEPTH];
	size_t depth;
	size_t n_nodes, nodes_max;
	unsigned skip_depth; /* inside a key that is a list or a map: left out */
};

static struct config_place place_of(const yaml_mark_t *mark)
{
	return (struct config_place){(unsigned)mark->line + 1, (unsigned)mark->column + 1};
}

/* The path of what is being read, for errors of the parser itself. */
static char *current_path(const struct reader *r)
{
	const struct level *top = r->depth > 0 ? &r->levels[r->depth - 1] : NULL;

	return top ? report_path(top->container, top->key && !top->key_broken ? top->key : NULL) : strdup("(file)");
}

static void report_here(struct reader *r, const yaml_mark_t *mark, enum conf_code code, const char *what)
{
	_cleanup_(free) char *path = r->report->total < REPORT_MAX ? current_path(r) : NULL;

	report_at(r->report, r->yaml->source, place_of(mark), path, code, "%s", what);
}

static int new_node(struct reader *r, const yaml_event_t *event, enum yaml_kind kind, struct yaml_node **out)
{
	struct level *top = r->depth > 0 ? &r->levels[r->depth - 1] : NULL;
	struct yaml_node *n;

	if (++r->n_nodes > r->nodes_max) {
		char what[80];

		snprintf(what, sizeof(what), "too many values in one file; expected at most %zu", r->nodes_max);
		report_here(r, &event->start_mark, CONF_TOO_MANY_VALUES, what);
		return -EINVAL;
	}
	n = top ? arena_alloc(&r->yaml->arena, sizeof(*n)) : &r->yaml->root;
	if (!n)
		return -ENOMEM;
	n->kind = (uint8_t)kind;
	n->place = place_of(&event->start_mark);
	if (top) {
		n->parent = top->container;
		n->key = top->key;
		n->key_place = top->key_place;
		n->broken = top->key_broken;
		top->key = NULL;
		top->key_broken = false;
		*top->tail = n;
		top->tail = &n->next;
	}
	*out = n;
	return 0;
}

static bool expects_key(const struct reader *r)
{
	const struct level *top = r->depth > 0 ? &r->levels[r->depth - 1] : NULL;

	return top && top->container->kind == YAML_MAP && !top->key;
}

/* Something else than a text where a key should stand: a key that nothing is called by takes the value. */
static void set_broken_key(struct reader *r, const yaml_event_t *event)
{
	struct level *top = &r->levels[r->depth - 1];

	top->key = "";
	top->key_place = place_of(&event->start_mark);
	top->key_broken = true;
}

static void refuse_decoration(struct reader *r, const yaml_event_t *event, const yaml_char_t *anchor,
			      const yaml_char_t *tag)
{
	char buffer[QUOTED_SIZE], what[160];

	if (anchor) {
		snprintf(what, sizeof(what), "anchor %s; expected the value to be written out where it is needed",
			 quoted(buffer, (const char *)anchor));
		report_here(r, &event->start_mark, CONF_ANCHOR, what);
	}
	if (tag) {
		static const char yaml[] = "tag:yaml.org,2002:"; /* what !! stands for */
		const char *text = (const char *)tag;
		bool is_yaml = strncmp(text, yaml, strlen(yaml)) == 0;

		snprintf(what, sizeof(what), "tag %s%s; expected no tag: each key has its own type",
			 is_yaml ? "!!" : "", quoted(buffer, is_yaml ? text + strlen(yaml) : text));
		report_here(r, &event->start_mark, CONF_TAG, what);
	}
}

static int on_scalar(struct reader *r, const yaml_event_t *event)
{
	const char *value = (const char *)event->data.scalar.value;
	size_t length = event->data.scalar.length;
	bool has_nul = memchr(value, '\0', length);
	struct yaml_node *n;
	const char *text;
	int v;

	if (r->skip_depth > 0)
		return 0;
	refuse_decoration(r, event, event->data.scalar.anchor, event->data.scalar.tag);
	if (has_nul)
		report_here(r, &event->start_mark, CONF_CONTROL_CHARACTER,
			    "NUL character in a text; expected printable text");
	text = arena_text(&r->yaml->arena, value, length);
	if (!text)
		return -ENOMEM;
	if (expects_key(r)) {
		struct level *top = &r->levels[r->depth - 1];

		top->key = text;
		top->key_place = place_of(&event->start_mark);
		top->key_broken = has_nul;
		return 0;
	}
	v = new_node(r, event, YAML_TEXT, &n);
	if (v < 0)
		return v;
	n->text = text;
	n->plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
	n->broken |= has_nul || event->data.scalar.tag;
	return 0;
}

static int on_alias(struct reader *r, const yaml_event_t *event)
{
	char buffer[QUOTED_SIZE], what[160];
	struct yaml_node *n;
	int v;

	if (r->skip_depth > 0)
		return 0;
	snprintf(what, sizeof(what), "alias %s; expected the value itself: aliases are not used here",
		 quoted(buffer, (const char *)event->data.alias.anchor));
	report_here(r, &event->start_mark, CONF_ANCHOR, what);
	if (expects_key(r)) {
		set_broken_key(r, event);
		return 0;
	}
	v = new_node(r, event, YAML_TEXT, &n);
	if (v < 0)
		return v;
	n->text = "";
	n->broken = true;
	return 0;
}

static int on_start(struct reader *r, const yaml_event_t *event, enum yaml_kind kind, const yaml_char_t *anchor,
		    const yaml_char_t *tag)
{
	struct yaml_node *n;
	int v;

	if (r->depth + r->skip_depth >= YAML_MAX_DEPTH) {
		report_here(r, &event->start_mark, CONF_TOO_DEEP, "nested too deep; expected at most 64 levels");
		return -EINVAL;
	}
	if (r->skip_depth > 0) {
		r->skip_depth++;
		return 0;
	}
	if (expects_key(r)) {
		report_here(r, &event->start_mark, CONF_KEY_NOT_TEXT, "a list or a map as a key; expected a text");
		r->skip_depth = 1;
		return 0;
	}
	refuse_decoration(r, event, anchor, tag);
	v = new_node(r, event, kind, &n);
	if (v < 0)
		return v;
	n->broken |= tag != NULL;
	r->levels[r->depth++] = (struct level){.container = n, .tail = &n->first};
	return 0;
}

/* RFC 8259 4 warns of it, YAML 1.2 3.2.1.1 forbids it, libyaml lets it pass. */
static int refuse_duplicates(struct reader *r, struct yaml_node *map)
{
	struct hmap seen = SMAP_INIT(struct yaml_node, key);
	int v = 0;

	for (struct yaml_node *n = map->first; n && v >= 0 && !report_is_full(r->report); n = n->next) {
		const struct yaml_node *first;

		if (n->broken)
			continue;
		v = hmap_add(&seen, n);
		if (v != -EEXIST)
			continue;
		first = hmap_get(&seen, n->key);
		report_key(r->report, n, CONF_DUPLICATE_KEY,
			   "given twice, first in line %u; expected each key once", first->key_place.line);
		n->broken = true;
		v = 0;
	}
	hmap_fini(&seen);
	return v;
}

static int on_end(struct reader *r, const yaml_event_t *event)
{
	struct yaml_node *n;

	if (r->skip_depth > 0) {
		if (--r->skip_depth == 0)
			set_broken_key(r, event);
		return 0;
	}
	assert(r->depth > 0); /* libyaml ends only what it began */
	n = r->levels[--r->depth].container;
	return n->kind == YAML_MAP ? refuse_duplicates(r, n) : 0;
}

/* ---- the parser's own complaints, in an operator's words ---- */

static const struct {
	const char *problem; /* libyaml's */
	const char *what;
	const char *after; /* said of what begins in a line that is told in between, or NULL */
	const char *expected;
	bool at_begin; /* that beginning is the place */
} problems[] = {
	{"mapping values are not allowed in this context",
	 "a \": \" that cannot stand here: a second one in the line, or none in the line above", NULL,
	 "one \"key: value\" in a line, and quotes around a text that holds \": \""},
	{"did not find expected key", "this line does not continue the map", "",
	 "\"key: value\", indented as its neighbours"},
	{"could not find expected ':'", "a key without \":\"", NULL, "\"key: value\""},
	{"did not find expected '-' indicator", "this line does not continue the list", "",
	 "\"- value\", indented as its neighbours"},
	{"did not find expected ',' or ']'", "the list", " is not closed", "\",\" or \"]\""},
	{"did not find expected ',' or '}'", "the map", " is not closed", "\",\" or \"}\""},
	{"did not find expected node content", "a value is missing here", NULL, "one, or the bracket that closes"},
	{"found unexpected end of stream", "the quotes that begin here are never closed", NULL, "the closing quote",
	 true},
	{"found unknown escape character", "unknown escape in double quotes", NULL,
	 "single quotes, or \\\\ for a backslash"},
	{"block sequence entries are not allowed in this context", "a list begins in the line of its key", NULL,
	 "it in the next line, or [in, brackets]"},
	{"found undefined tag handle", "an undefined tag", NULL, "no tag: each key has its own type"},
	{"did not find expected <document start>", "text after the end of the document", NULL, "nothing more"},
};

static void report_problem(struct reader *r, const yaml_parser_t *parser, size_t i)
{
	const yaml_mark_t *begin = &parser->context_mark;
	char told[64] = "", what[320];

	if (problems[i].after)
		snprintf(told, sizeof(told), " that begins in line %u%s", place_of(begin).line, problems[i].after);
	snprintf(what, sizeof(what), "%s%s; expected %s", problems[i].what, told, problems[i].expected);
	report_here(r, problems[i].at_begin ? begin : &parser->problem_mark, CONF_NOT_YAML, what);
}

/* The ASCII character at a place, '?' for others. */
static char character_at(const char *text, size_t size, struct config_place at)
{
	const char *p = text, *end = text + size;

	for (; at.line > 1 && p < end; p++)
		at.line -= *p == '\n';
	for (; at.column > 1 && p < end; at.column--)
		for (p++; p < end && ((unsigned char)*p & 0xc0) == 0x80;)
			p++;
	return p < end && (unsigned char)*p < 0x80 ? *p : '?';
}

static void report_parser(struct reader *r, const yaml_parser_t *parser, const char *text, size_t size)
{
	const char *problem = parser->problem ? parser->problem : "unreadable";
	const yaml_mark_t *mark = &parser->problem_mark;
	char what[256];

	if (strcmp(problem, "found character that cannot start any token") == 0) {
		char c = character_at(text, size, place_of(mark));

		if (c == '\t') {
			report_here(r, mark, CONF_TAB, "a tab in the indentation; expected spaces");
			return;
		}
		snprintf(what, sizeof(what), "a value cannot begin with \"%c\"; expected quotes around it", c);
		report_here(r, mark, CONF_NOT_YAML, what);
		return;
	}
	for (size_t i = 0; i < sizeof(problems) / sizeof(problems[0]); i++) {
		if (strcmp(problem, problems[i].problem) == 0) {
			report_problem(r, parser, i);
			return;
		}
	}
	snprintf(what, sizeof(what), "not YAML: %s; expected YAML 1.1 or 1.2", problem);
	report_here(r, mark, CONF_NOT_YAML, what);
}

/* 1 go on, 0 the end, negative: give up */
static int on_event(struct reader *r, const yaml_event_t *event, unsigned *n_documents)
{
	int v = 0;

	switch (event->type) {
	case YAML_STREAM_END_EVENT:
		return 0;
	case YAML_DOCUMENT_START_EVENT:
		if (++*n_documents > 1) {
			report_here(r, &event->start_mark, CONF_SECOND_DOCUMENT,
				    "a second document begins; expected one document in a file");
			return -EINVAL;
		}
		break;
	case YAML_ALIAS_EVENT:
		v = on_alias(r, event);
		break;
	case YAML_SCALAR_EVENT:
		v = on_scalar(r, event);
		break;
	case YAML_SEQUENCE_START_EVENT:
		v = on_start(r, event, YAML_LIST, event->data.sequence_start.anchor, event->data.sequence_start.tag);
		break;
	case YAML_MAPPING_START_EVENT:
		v = on_start(r, event, YAML_MAP, event->data.mapping_start.anchor, event->data.mapping_start.tag);
		break;
	case YAML_SEQUENCE_END_EVENT:
	case YAML_MAPPING_END_EVENT:
		v = on_end(r, event);
		break;
	default:
		break; /* start of the stream, end of a document */
	}
	return v < 0 ? v : 1;
}

static int read_events(struct reader *r, const char *text, size_t size)
{
	yaml_parser_t parser;
	unsigned n_documents = 0;
	int v = 1;

	if (!yaml_parser_initialize(&parser))
		return -ENOMEM;
	yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&parser, (const unsigned char *)text, size);
	while (v > 0) {
		yaml_event_t event;

		if (yaml_parser_parse(&parser, &event)) {
			v = on_event(r, &event, &n_documents);
			yaml_event_delete(&event);
			if (report_is_full(r->report))
				v = -EINVAL;
		} else if (parser.error == YAML_MEMORY_ERROR) {
			v = -ENOMEM;
		} else {
			report_parser(r, &parser, text, size);
			v = -EINVAL;
		}
	}
	yaml_parser_delete(&parser);
	if (v == 0 && n_documents == 0) {
		report_at(r->report, r->yaml->source, (struct config_place){1, 1}, NULL, CONF_EMPTY,
			  "the file is empty; expected a configuration");
		v = -EINVAL;
	}
	return v;
}

size_t yaml_nodes_max(size_t size_max)
{
	return size_max / (CONF_TEXT_MAX / 4096) * YAML_MAX_NODES / 4096;
}

int yaml_read(unsigned source, const struct conf_source *from, struct report *report, struct yaml **out)
{
	size_t size = from->size, size_max = from->size_max ? from->size_max : CONF_TEXT_MAX;
	_cleanup_(yaml) struct yaml *y = NULL;
	const char *text = from->text;
	int v;

	if (size > size_max) {
		report_at(report, source, (struct config_place){1, 1}, NULL, CONF_TOO_LARGE,
			  "the file is larger than %zu MiB; expected at most %zu bytes (isthmusd --max-config allows more)",
			  size_max >> 20, size_max);
		return -EINVAL;
	}
	if (size >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) { /* YAML 1.2 5.2 allows the mark there */
		text += 3;
		size -= 3;
	}
	v = check_bytes(source, text, size, report);
	text = size > 0 ? text : ""; /* libyaml asserts that there is one */
	if (v < 0)
		return v;
	y = calloc(1, sizeof(*y));
	if (!y)
		return -ENOMEM;
	y->source = source;

	struct reader r = {.report = report, .yaml = y, .nodes_max = yaml_nodes_max(size_max)};

	v = read_events(&r, text, size);
	if (v < 0)
		return v;
	*out = TAKE_PTR(y);
	return 0;
}

void yaml_free(struct yaml *y)
{
	if (!y)
		return;
	arena_fini(&y->arena);
	free(y);
}

/* ---- looking at the tree ---- */

const struct yaml *yaml_of(const struct yaml_node *n)
{
	while (n->parent)
		n = n->parent;
	return (const struct yaml *)n; /* the root is its first member */
}

bool yaml_is_null(const struct yaml_node *n)
{
	static const char *const spellings[] = {"", "~", "null", "Null", "NULL"};

	if (n->kind != YAML_TEXT || !n->plain)
		return false;
	for (size_t i = 0; i < sizeof(spellings) / sizeof(spellings[0]); i++)
		if (strcmp(n->text, spellings[i]) == 0)
			return true;
	return false;
}

struct yaml_node *yaml_get(const struct yaml_node *map, const char *key)
{
	if (map->kind != YAML_MAP)
		return NULL;
	for (struct yaml_node *n = map->first; n; n = n->next)
		if (!n->broken && strcmp(n->key, key) == 0)
			return n;
	return NULL;
}

static const struct yaml_node *whole(const struct yaml_node *item)
{
	while (item && item->broken)
		item = item->next;
	return item;
}

const struct yaml_node *yaml_item_first(const struct yaml_node *n)
{
	if (!n || n->broken)
		return NULL;
	return n->kind == YAML_LIST ? whole(n->first) : n;
}

const struct yaml_node *yaml_item_next(const struct yaml_node *list, const struct yaml_node *item)
{
	return list->kind == YAML_LIST ? whole(item->next) : NULL;
}
