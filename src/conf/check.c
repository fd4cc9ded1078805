/* SPDX-License-Identifier: Apache-2.0 */
#include "conf/check.h"

#include <stdio.h>
#include <string.h>

#include "conf/schema.h"

#define LIST_SIZE 256

static const char *kind_name(const struct yaml_node *n)
{
	static const char *const names[] = {
		[YAML_TEXT] = "a single value", [YAML_LIST] = "a list", [YAML_MAP] = "a map"};

	return names[n->kind];
}

static void wrong_kind(struct report *r, struct yaml_node *n, const char *expected)
{
	if (yaml_is_null(n))
		report_value(r, n, CONF_NO_VALUE, "no value; expected %s", expected);
	else
		report_value(r, n, CONF_WRONG_KIND, "%s stands here; expected %s", kind_name(n), expected);
	n->broken = true;
}

static void check_value(struct report *r, struct yaml_node *n, const struct schema_type *t)
{
	struct schema_problem p = {};

	if (n->kind != YAML_TEXT || yaml_is_null(n)) {
		wrong_kind(r, n, t->expected);
		return;
	}
	if (t->bare && !n->plain) {
		char buffer[QUOTED_SIZE];

		report_value(r, n, CONF_QUOTED, "%s is a text in quotes; expected %s, without quotes",
			     quoted(buffer, n->text), t->expected);
		n->broken = true;
		return;
	}
	if (t->check(t, n->text, &p))
		return;
	report_value(r, n, p.code, "%s; expected %s", p.what, p.expected[0] ? p.expected : t->expected);
	n->broken = true;
}

static void check_list(struct report *r, struct yaml_node *n, const struct schema_key *k)
{
	size_t length = 0;

	if (n->kind != YAML_LIST) {
		char expected[LIST_SIZE];

		if (n->kind == YAML_MAP || yaml_is_null(n)) {
			snprintf(expected, sizeof(expected), "%s, or a list of such", k->type->expected);
			wrong_kind(r, n, expected);
			return;
		}
		check_value(r, n, k->type);
		return;
	}
	for (struct yaml_node *item = n->first; item && !report_is_full(r); item = item->next) {
		length++;
		if (!item->broken)
			check_value(r, item, k->type);
	}
	if (length < k->min_items) {
		report_value(r, n, CONF_BAD_COUNT, "the list is empty; expected %s", k->type->expected);
		n->broken = true;
	}
	if (k->max_items > 0 && length > k->max_items) {
		report_value(r, n, CONF_BAD_COUNT, "%zu values; expected at most %zu%s%s", length, k->max_items,
			     k->max_why ? ", " : "", k->max_why ? k->max_why : "");
		n->broken = true;
	}
}

/* "site, underlay or mtu" */
static const char *key_names(const struct schema_map *m, char out[static LIST_SIZE])
{
	size_t used = 0;

	if (!m->keys->name)
		snprintf(out, LIST_SIZE, "no keys, {}");
	for (const struct schema_key *k = m->keys; k->name && used < LIST_SIZE; k++) {
		const char *joint = k == m->keys ? "" : k[1].name ? ", " : " or ";

		used += (size_t)snprintf(out + used, LIST_SIZE - used, "%s%s", joint, k->name);
	}
	return out;
}

/* The key that was meant, as far as one can tell, or NULL. */
static const struct schema_key *unknown_key(struct report *r, struct yaml_node *n, const struct schema_map *m)
{
	struct nearest nearest = {.word = n->key};
	char names[LIST_SIZE], buffer[QUOTED_SIZE];

	n->broken = true;
	for (const struct schema_key *k = m->keys; k->name; k++)
		nearest_offer(r, &nearest, k->name);
	if (!nearest.best) {
		report_key(r, n, CONF_UNKNOWN_KEY, "unknown key %s; expected %s", quoted(buffer, n->key),
			   key_names(m, names));
		return NULL;
	}
	report_key(r, n, CONF_UNKNOWN_KEY, "unknown key %s, did you mean \"%s\"?; expected %s", quoted(buffer, n->key),
		   nearest.best, key_names(m, names));
	return schema_find(m, nearest.best);
}

static void check_map(struct report *r, struct yaml_node *n, const struct schema_map *m);

static void check_table(struct report *r, struct yaml_node *n, const struct schema_key *k)
{
	char expected[64];

	if (yaml_is_null(n))
		return; /* `ports:` with every port commented out */
	if (n->kind != YAML_MAP) {
		snprintf(expected, sizeof(expected), "a map of %s names", k->map->noun);
		wrong_kind(r, n, expected);
		return;
	}
	for (struct yaml_node *entry = n->first; entry && !report_is_full(r); entry = entry->next) {
		struct schema_problem p = {};

		if (entry->broken)
			continue;
		if (!type_check_name(&schema_name, entry->key, &p)) {
			report_key(r, entry, p.code, "%s; expected %s", p.what, schema_name.expected);
			entry->broken = true;
			continue;
		}
		if (yaml_is_null(entry) && !k->map->keys->name)
			continue; /* `dc:` is `dc: {}` */
		check_map(r, entry, k->map);
	}
}

static void check_key(struct report *r, struct yaml_node *n, const struct schema_key *k)
{
	switch (k->shape) {
	case SCHEMA_VALUE:
		check_value(r, n, k->type);
		break;
	case SCHEMA_LIST:
		check_list(r, n, k);
		break;
	case SCHEMA_MAP:
		check_map(r, n, k->map);
		break;
	case SCHEMA_TABLE:
		check_table(r, n, k);
		break;
	}
}

/* A map with broken contents is not broken itself: the rest of it is looked at. */
static void check_map(struct report *r, struct yaml_node *n, const struct schema_map *m)
{
	char expected[LIST_SIZE + 32], names[LIST_SIZE];
	uint64_t misspelt = 0; /* bit per key of m */

	if (n->kind != YAML_MAP) {
		snprintf(expected, sizeof(expected), "a map with %s", key_names(m, names));
		wrong_kind(r, n, expected);
		return;
	}
	for (struct yaml_node *child = n->first; child && !report_is_full(r); child = child->next) {
		const struct schema_key *k = child->broken ? NULL : schema_find(m, child->key);

		if (k)
			check_key(r, child, k);
		else if (!child->broken && (k = unknown_key(r, child, m)))
			misspelt |= UINT64_C(1) << (k - m->keys);
	}
	for (const struct schema_key *k = m->keys; k->name; k++) {
		const struct yaml_node *child = n->first;

		while (child && strcmp(child->key, k->name) != 0)
			child = child->next;
		if (!k->required || child || misspelt & UINT64_C(1) << (k - m->keys))
			continue;
		if (k->shape == SCHEMA_MAP)
			report_missing(r, n, k->name, CONF_MISSING_KEY, "missing; expected a map with %s",
				       key_names(k->map, names));
		else
			report_missing(r, n, k->name, CONF_MISSING_KEY, "missing; expected %s", k->type->expected);
	}
}

static void check_runtime(struct report *r, struct yaml_node *n)
{
	if (n->kind != YAML_MAP) {
		wrong_kind(r, n, "a map with ports");
		return;
	}
	for (struct yaml_node *child = n->first; child; child = child->next) {
		char buffer[QUOTED_SIZE];

		if (child->broken)
			continue;
		if (strcmp(child->key, "ports") == 0) {
			check_key(r, child, schema_find(&schema_root, "ports"));
			continue;
		}
		report_key(r, child, CONF_NOT_HERE, "key %s; expected only ports: nothing else is added at run time",
			   quoted(buffer, child->key));
		child->broken = true;
	}
}

void check_tree(struct yaml *y, bool runtime, struct report *report)
{
	if (y->root.broken)
		return;
	if (yaml_is_null(&y->root)) {
		report_value(report, &y->root, CONF_EMPTY, "no configuration; expected a map with %s",
			     runtime ? "ports" : "version, fabric, sites, site_pairs, nodes, tenants, ports, peers or bgp");
		y->root.broken = true;
	} else if (runtime)
		check_runtime(report, &y->root);
	else
		check_map(report, &y->root, &schema_root);
}
