/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The schema table for editors (JSON schema, draft 2020-12) and for isthmus.yaml(5) (mdoc).
 */
#include <errno.h>
#include <string.h>

#include "conf/conf.h"
#include "conf/schema.h"

/* ---- JSON schema ---- */

static void print_string(FILE *f, const char *text)
{
	fputc('"', f);
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			fputc('\\', f);
		fputc(*text, f);
	}
	fputc('"', f);
}

static void print_type(FILE *f, const struct schema_type *t)
{
	const char *joint = "\"enum\": [";

	if (t->json) {
		fputs(t->json, f);
		return;
	}
	if (!t->words) {
		fprintf(f, "\"type\": \"integer\", \"minimum\": %u, \"maximum\": %u", t->low, t->high);
		return;
	}
	for (const struct schema_word *w = t->words; w->word; w++) {
		if (w->unsupported)
			continue;
		fputs(joint, f);
		print_string(f, w->word);
		joint = ", ";
	}
	fputc(']', f);
}

static void print_map(FILE *f, const struct schema_map *m, int indent);

static void print_shape(FILE *f, const struct schema_key *k, int indent)
{
	switch (k->shape) {
	case SCHEMA_VALUE:
		print_type(f, k->type);
		break;
	case SCHEMA_LIST:
		fputs("\"anyOf\": [{", f);
		print_type(f, k->type);
		fputs("}, {\"type\": \"array\", \"items\": {", f);
		print_type(f, k->type);
		fputc('}', f);
		if (k->min_items > 0)
			fprintf(f, ", \"minItems\": %zu", k->min_items);
		if (k->max_items > 0)
			fprintf(f, ", \"maxItems\": %zu", k->max_items);
		fputs("}]", f);
		break;
	case SCHEMA_MAP:
		print_map(f, k->map, indent);
		break;
	case SCHEMA_TABLE: /* nothing written is an empty table */
		fputs("\"type\": [\"object\", \"null\"], \"propertyNames\": {", f);
		print_type(f, &schema_name);
		fprintf(f, "},\n%*s\"additionalProperties\": {", indent, "");
		print_map(f, k->map, indent);
		fputc('}', f);
		break;
	}
}

static void print_map(FILE *f, const struct schema_map *m, int indent)
{
	const char *joint = "";

	fprintf(f, m->keys->name ? "\"type\": \"object\"" : "\"type\": [\"object\", \"null\"]");
	fprintf(f, ", \"additionalProperties\": false,\n%*s\"properties\": {", indent, "");
	for (const struct schema_key *k = m->keys; k->name; k++) {
		fprintf(f, "%s\n%*s\"%s\": {\"description\": ", joint, indent + 2, "", k->name);
		print_string(f, k->meaning);
		if (k->fallback) {
			fputs(", \"default\": ", f);
			if (k->type->bare)
				fputs(k->fallback, f);
			else
				print_string(f, k->fallback);
		}
		fputs(", ", f);
		print_shape(f, k, indent + 4);
		fputc('}', f);
		joint = ",";
	}
	fputc('}', f);
	fputs(", \"required\": [", f);
	joint = "";
	for (const struct schema_key *k = m->keys; k->name; k++) {
		if (!k->required)
			continue;
		fprintf(f, "%s\"%s\"", joint, k->name);
		joint = ", ";
	}
	fputc(']', f);
	if (m->json_rules)
		fprintf(f, ",\n%*s%s", indent, "", m->json_rules);
}

int conf_json_schema(FILE *f)
{
	fputs("{\n  \"$schema\": \"https://json-schema.org/draft/2020-12/schema\",\n"
	      "  \"title\": \"isthmus.yaml\",\n  ",
	      f);
	print_map(f, &schema_root, 2);
	fputs("\n}\n", f);
	return ferror(f) ? -EIO : 0;
}

/* ---- mdoc ---- */

/* Escaped, and a new line for each sentence: mdoc(7) wants that. */
static void print_mdoc(FILE *f, const char *text)
{
	bool line_start = true;

	for (; *text; text++) {
		if (strncmp(text, ".  ", 3) == 0) {
			fputs(".\n", f);
			text += 2;
			line_start = true;
			continue;
		}
		if (line_start && (*text == '.' || *text == '\''))
			fputs("\\&", f);
		line_start = false;
		if (*text == '\\')
			fputs("\\e", f);
		else
			fputc(*text, f);
	}
}

static void print_sentence(FILE *f, const char *label, const char *text)
{
	fputs(label, f);
	print_mdoc(f, text);
	fputs(".\n", f);
}

static void print_mdoc_key(FILE *f, const struct schema_key *k)
{
	bool has_words = false;

	if (k->type)
		fprintf(f, ".It Cm %s : Ar %s\n", k->name, k->type->name);
	else
		fprintf(f, ".It Cm %s\n", k->name);
	print_mdoc(f, k->meaning);
	fputc('\n', f);
	if (k->type)
		print_sentence(f, k->shape == SCHEMA_LIST ? "Values, one or a list: " : "Value: ", k->type->expected);
	if (k->required)
		fputs("Required.\n", f);
	if (k->fallback)
		print_sentence(f, "Default: ", k->fallback);
	if (k->absent)
		print_sentence(f, "If absent: ", k->absent);
	for (const struct schema_word *w = k->type ? k->type->words : NULL; w && w->word; w++)
		has_words |= !w->unsupported && *w->meaning;
	if (!has_words)
		return;
	fputs(".Bl -tag -width Ds -compact\n", f);
	for (const struct schema_word *w = k->type->words; w->word; w++) {
		if (w->unsupported)
			continue;
		fprintf(f, ".It Cm %s\n", w->word);
		print_mdoc(f, w->meaning);
		fputc('\n', f);
	}
	fputs(".El\n", f);
}

static void print_mdoc_map(FILE *f, const struct schema_map *m, const char *title)
{
	char deeper[128];

	fprintf(f, ".Ss %s\n.Bl -tag -width Ds\n", title);
	for (const struct schema_key *k = m->keys; k->name; k++)
		print_mdoc_key(f, k);
	fputs(".El\n", f);
	for (const struct schema_key *k = m->keys; k->name; k++) {
		if (!k->map || !k->map->keys->name)
			continue;
		snprintf(deeper, sizeof(deeper), "One %s", k->map->noun);
		print_mdoc_map(f, k->map, k->shape == SCHEMA_MAP ? k->map->noun : deeper);
	}
}

int conf_mdoc_reference(FILE *f)
{
	print_mdoc_map(f, &schema_root, "The top");
	return ferror(f) ? -EIO : 0;
}
