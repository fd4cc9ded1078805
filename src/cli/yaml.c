/* SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "cli/show.h"
#include "lib/cleanup.h"

/* Plain where no reader could take it for anything but this string (no number, truth, null, date or indicator). */
static bool is_plain(const char *s)
{
	static const char *const reserved[] = {"true", "false", "null", "yes", "no", "on", "off", "y", "n"};

	if (!isalpha((unsigned char)*s))
		return false;
	for (const char *p = s; *p; p++)
		if (!isalnum((unsigned char)*p) && !strchr("_-./", *p))
			return false;
	for (size_t i = 0; i < sizeof(reserved) / sizeof(reserved[0]); i++)
		if (strcasecmp(s, reserved[i]) == 0)
			return false;
	return true;
}

static bool is_block(const json_t *v)
{
	return (json_is_object(v) && json_object_size(v)) || (json_is_array(v) && json_array_size(v));
}

/* A JSON string is a YAML double-quoted one as long as no \u pair of surrogates is in it, and jansson writes UTF-8. */
static void scalar(const json_t *v, FILE *f)
{
	if (json_is_string(v) && is_plain(json_string_value(v)))
		fputs(json_string_value(v), f);
	else
		json_dumpf(v, f, JSON_ENCODE_ANY | JSON_COMPACT);
}

static void write_key(const char *key, FILE *f)
{
	json_t *s = json_string(key);

	scalar(s, f);
	json_decref(s);
	fputc(':', f);
}

static void block(const json_t *v, int indent, bool first_indented, FILE *f)
{
	const char *key;
	json_t *item;
	size_t i;

	json_object_foreach((json_t *)v, key, item) {
		fprintf(f, "%*s", first_indented ? 0 : indent, "");
		first_indented = false;
		write_key(key, f);
		fputc(is_block(item) ? '\n' : ' ', f);
		yaml_emit(item, json_is_array(item) ? indent : indent + 2, f);
	}
	json_array_foreach((json_t *)v, i, item) {
		fprintf(f, "%*s- ", first_indented ? 0 : indent, "");
		first_indented = false;
		if (is_block(item))
			block(item, indent + 2, true, f);
		else
			yaml_emit(item, 0, f);
	}
}

void yaml_emit(const json_t *value, int indent, FILE *f)
{
	if (is_block(value)) {
		block(value, indent, false, f);
		return;
	}
	scalar(value, f);
	fputc('\n', f);
}

void yaml_emit_item(const json_t *value, FILE *f)
{
	fputs("- ", f);
	if (is_block(value))
		block(value, 2, true, f);
	else
		yaml_emit(value, 0, f);
}

/* ---- reading what the daemon wrote ---- */

static json_t *read_scalar(const yaml_event_t *e)
{
	const char *text = (const char *)e->data.scalar.value;
	json_t *number;

	if (e->data.scalar.style != YAML_PLAIN_SCALAR_STYLE)
		return json_string(text);
	if (strcmp(text, "true") == 0 || strcmp(text, "false") == 0)
		return json_boolean(*text == 't');
	if (!*text || strcmp(text, "null") == 0 || strcmp(text, "~") == 0)
		return json_null();
	number = isdigit((unsigned char)*text) ? json_loads(text, JSON_DECODE_ANY, NULL) : NULL;
	if (json_is_integer(number))
		return number;
	json_decref(number);
	return json_string(text);
}

static json_t *read_value(yaml_parser_t *parser, const yaml_event_t *first);

static json_t *read_next(yaml_parser_t *parser, bool *end)
{
	yaml_event_t e;
	json_t *v = NULL;

	*end = false;
	if (!yaml_parser_parse(parser, &e))
		return NULL;
	if (e.type == YAML_SEQUENCE_END_EVENT || e.type == YAML_MAPPING_END_EVENT)
		*end = true;
	else
		v = read_value(parser, &e);
	yaml_event_delete(&e);
	return v;
}

static json_t *read_value(yaml_parser_t *parser, const yaml_event_t *first)
{
	bool mapping = first->type == YAML_MAPPING_START_EVENT, end;
	json_t *v, *key, *item;

	if (first->type == YAML_SCALAR_EVENT)
		return read_scalar(first);
	if (!mapping && first->type != YAML_SEQUENCE_START_EVENT)
		return NULL;
	v = mapping ? json_object() : json_array();
	for (;;) {
		key = mapping ? read_next(parser, &end) : NULL;
		if (mapping && end)
			return v;
		item = read_next(parser, &end);
		if (!mapping && end)
			return v;
		if (!item || (mapping && !key))
			break;
		if (mapping) {
			_cleanup_(free) char *name = json_is_string(key) ? NULL : json_dumps(key, JSON_ENCODE_ANY);

			json_object_set_new(v, name ? name : json_string_value(key), item);
			json_decref(key);
		} else {
			json_array_append_new(v, item);
		}
	}
	json_decref(key);
	json_decref(item);
	json_decref(v);
	return NULL;
}

json_t *yaml_to_json(const char *text, size_t size)
{
	yaml_parser_t parser;
	yaml_event_t e = {0};
	json_t *v = NULL;

	if (!yaml_parser_initialize(&parser))
		return NULL;
	yaml_parser_set_input_string(&parser, (const unsigned char *)text, size);
	while (yaml_parser_parse(&parser, &e) &&
	       (e.type == YAML_STREAM_START_EVENT || e.type == YAML_DOCUMENT_START_EVENT))
		yaml_event_delete(&e);
	if (e.type != YAML_NO_EVENT)
		v = read_value(&parser, &e);
	yaml_event_delete(&e);
	yaml_parser_delete(&parser);
	return v;
}
