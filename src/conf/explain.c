/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "conf/conf.h"
#include "conf/report.h"
#include "conf/schema.h"

#define COLUMNS 78
#define PATH_SIZE 160

/* Words wrapped at COLUMNS, the first line after `label`, the others below it. */
static void print_wrapped(FILE *f, const char *label, const char *text)
{
	size_t indent = strlen(label), column = indent;

	fputs(label, f);
	while (*text) {
		size_t length = strcspn(text, " ");

		if (column > indent && column + 1 + length > COLUMNS) {
			fprintf(f, "\n%*s", (int)indent, "");
			column = indent;
		} else if (column > indent) {
			fputc(' ', f);
			column++;
		}
		fwrite(text, 1, length, f);
		column += length;
		text += length;
		text += strspn(text, " ");
	}
	fputc('\n', f);
}

static const char *type_name(const struct schema_key *k, char *out, size_t size)
{
	if (k->shape == SCHEMA_TABLE)
		snprintf(out, size, "map of %s names", k->map->noun);
	else if (k->shape == SCHEMA_MAP)
		snprintf(out, size, "map");
	else
		snprintf(out, size, "%s%s", k->type->name, k->shape == SCHEMA_LIST ? ", or a list" : "");
	return out;
}

static void print_tree(FILE *f, const struct schema_map *m, unsigned indent)
{
	char type[64];

	for (const struct schema_key *k = m->keys; k->name; k++) {
		int used = fprintf(f, "%*s%s", (int)indent, "", k->name);

		fprintf(f, "%*s %s%s", used < 30 ? 30 - used : 0, "", type_name(k, type, sizeof(type)),
			k->required ? ", required" : "");
		fprintf(f, k->fallback ? ", default %s\n" : "\n", k->fallback);
		if (k->shape == SCHEMA_TABLE) {
			fprintf(f, "%*s<%s>\n", (int)indent + 2, "", k->map->noun);
			print_tree(f, k->map, indent + 4);
		} else if (k->shape == SCHEMA_MAP) {
			print_tree(f, k->map, indent + 2);
		}
	}
}

static void print_key(FILE *f, const char *path, const struct schema_key *k)
{
	char type[64];

	fprintf(f, "%s: %s\n", path, type_name(k, type, sizeof(type)));
	print_wrapped(f, "  ", k->meaning);
	if (k->type)
		print_wrapped(f, "  value:    ", k->type->expected);
	for (const struct schema_word *w = k->type ? k->type->words : NULL; w && w->word; w++)
		if (!w->unsupported && *w->meaning)
			fprintf(f, "    %-22s%s\n", w->word, w->meaning);
	if (k->required)
		fputs("  required\n", f);
	if (k->fallback)
		fprintf(f, "  default:  %s\n", k->fallback);
	if (k->absent)
		print_wrapped(f, "  if absent: ", k->absent);
	if (k->example)
		fprintf(f, "  example:  %s: %s\n", k->name, k->example);
	if (k->map && k->map->keys->name) {
		fprintf(f, k->shape == SCHEMA_TABLE ? "  keys of one %s:\n" : "  keys:\n", k->map->noun);
		print_tree(f, k->map, 4);
	}
}

/* ---- finding ---- */

struct search {
	FILE *f;
	size_t found;
	struct nearest nearest;
};

/* "tenants.<tenant>.vni" from its parts */
static void join_path(char out[static PATH_SIZE], const char *base, const struct schema_key *k)
{
	snprintf(out, PATH_SIZE, k->shape == SCHEMA_TABLE ? "%s%s%s.<%s>" : "%s%s%s", base, *base ? "." : "", k->name,
		 k->map ? k->map->noun : "");
}

static void key_path(char out[static PATH_SIZE], const char *base, const struct schema_key *k)
{
	snprintf(out, PATH_SIZE, "%s%s%s", base, *base ? "." : "", k->name);
}

/* Follows `key` down the table; the parts that are names of tenants, nodes ... may be left out. */
static void follow(struct search *s, const struct schema_map *m, const char *base, const char *key)
{
	size_t length = strcspn(key, ".");
	const char *rest = key[length] ? key + length + 1 : NULL;
	char path[PATH_SIZE];

	for (const struct schema_key *k = m->keys; k->name; k++) {
		if (strlen(k->name) != length || memcmp(k->name, key, length) != 0)
			continue;
		if (!rest) {
			key_path(path, base, k);
			print_key(s->f, path, k);
			s->found++;
			return;
		}
		if (!k->map)
			continue;
		join_path(path, base, k);
		follow(s, k->map, path, rest);
		if (s->found == 0 && k->shape == SCHEMA_TABLE) {
			const char *after = strchr(rest, '.');

			if (after) {
				follow(s, k->map, path, after + 1);
			} else { /* "nodes.dc1": one of the table */
				key_path(path, base, k);
				print_key(s->f, path, k);
				s->found++;
			}
		}
	}
}

/* Every key of that name, wherever it is. */
static void search_name(struct search *s, const struct schema_map *m, const char *base, const char *name)
{
	char path[PATH_SIZE];

	for (const struct schema_key *k = m->keys; k->name; k++) {
		nearest_offer(NULL, &s->nearest, k->name);
		if (strcmp(k->name, name) == 0) {
			key_path(path, base, k);
			fputs(s->found > 0 ? "\n" : "", s->f);
			print_key(s->f, path, k);
			s->found++;
		}
		if (!k->map)
			continue;
		join_path(path, base, k);
		search_name(s, k->map, path, name);
	}
}

int conf_explain(const char *key, FILE *f, const char **suggestion)
{
	struct search s = {.f = f};
	const char *last;

	*suggestion = NULL;
	if (!key || !*key) {
		print_tree(f, &schema_root, 0);
		return 0;
	}
	if (strncasecmp(key, "IST-", 4) == 0) {
		const char *meaning = conf_code_meaning((unsigned)strtoul(key + 4, NULL, 10));

		if (!meaning)
			return -ENOENT;
		fprintf(f, "%s: %s\n", key, meaning);
		return 0;
	}
	follow(&s, &schema_root, "", key);
	if (s.found == 0) {
		last = strrchr(key, '.');
		s.nearest.word = last ? last + 1 : key;
		search_name(&s, &schema_root, "", last ? "" : key);
	}
	*suggestion = s.nearest.best;
	return s.found > 0 ? 0 : -ENOENT;
}
