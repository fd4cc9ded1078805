/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a name in the text to the object that it means, or to an error that helps to find the right one.
 */
#include <stdlib.h>
#include <string.h>

#include "conf/build.h"
#include "conf/schema.h"
#include "lib/cleanup.h"

#define NAMES_SHOWN 8

/* Objects of one kind, of which each begins with its name. */
struct names {
	const void *objects;
	size_t length, object_size;
	const char *noun;
};

static const char *name_at(const struct names *s, size_t i)
{
	return *(char *const *)((const char *)s->objects + i * s->object_size);
}

static void describe_names(const struct names *s, char *out, size_t size)
{
	size_t used = 0;

	if (s->length == 0) {
		snprintf(out, size, "the name of a %s, of which there are none", s->noun);
		return;
	}
	if (s->length > NAMES_SHOWN) {
		snprintf(out, size, "one of the %zu %ss", s->length, s->noun);
		return;
	}
	for (size_t i = 0; i < s->length && used < size; i++)
		used += (size_t)snprintf(out + used, size - used, "%s%s", joint(i, s->length), name_at(s, i));
}

static void unknown_name(struct build *b, const struct yaml_node *n, const char *name, enum conf_code code,
			 const char *owner, const struct names *s)
{
	char expected[NAMES_SHOWN * (CONFIG_NAME_MAX + 4)], buffer[QUOTED_SIZE], way_out[128];
	struct nearest nearest = {.word = name};

	for (size_t i = 0; i < s->length; i++)
		nearest_offer(b->report, &nearest, name_at(s, i));
	describe_names(s, expected, sizeof(expected));
	build_way_out(b, n, NULL, way_out, sizeof(way_out));
	if (nearest.best)
		report_value(b->report, n, code, "%s no %s %s, did you mean \"%s\"?; expected %s%s", owner, s->noun,
			     quoted(buffer, name), nearest.best, expected, way_out);
	else
		report_value(b->report, n, code, "%s no %s %s; expected %s%s", owner, s->noun, quoted(buffer, name),
			     expected, way_out);
}

/* An entry of that name that was refused itself: nothing more is said about it. */
static bool is_declared(const struct build *b, const struct yaml_node *map, const char *table, const char *name)
{
	const struct yaml_node *t = map->first;

	while (t && strcmp(t->key, table) != 0)
		t = t->next;
	if (!t)
		return false;
	if (t->broken)
		return true;
	if (b->report->total >= REPORT_MAX)
		return false; /* nobody will see; do not spend the time */
	for (const struct yaml_node *n = t->first; n; n = n->next)
		if (strcmp(n->key, name) == 0 || (n->broken && !*n->key)) /* or one whose name could not be read */
			return true;
	return false;
}

struct config_site *find_site(struct build *b, const struct yaml_node *n)
{
	const struct config *c = b->config;
	struct names names = {c->sites, c->n_sites, sizeof(c->sites[0]), "site"};
	size_t low = 0, high = c->n_sites;

	if (!n)
		return NULL;
	while (low < high) {
		size_t middle = (low + high) / 2;
		int order = strcmp(n->text, c->sites[middle].name);

		if (order == 0)
			return &c->sites[middle];
		*(order < 0 ? &high : &low) = order < 0 ? middle : middle + 1;
	}
	if (!is_declared(b, &b->yamls[0]->root, "sites", n->text))
		unknown_name(b, n, n->text, CONF_UNKNOWN_SITE, "there is", &names);
	return NULL;
}

struct config_node *find_node(struct build *b, const struct yaml_node *n)
{
	struct names names = {b->config->nodes, b->config->n_nodes, sizeof(b->config->nodes[0]), "node"};
	struct config_node *node;

	if (!n)
		return NULL;
	node = config_node(b->config, n->text);
	if (!node && !is_declared(b, &b->yamls[0]->root, "nodes", n->text))
		unknown_name(b, n, n->text, CONF_UNKNOWN_NODE, "there is", &names);
	return node;
}

struct config_tenant *find_tenant(struct build *b, const struct yaml_node *n)
{
	struct names names = {b->config->tenants, b->config->n_tenants, sizeof(b->config->tenants[0]), "tenant"};
	struct config_tenant *tenant = n ? config_tenant(b->config, n->text) : NULL;

	if (n && !tenant && !is_declared(b, &b->yamls[0]->root, "tenants", n->text))
		unknown_name(b, n, n->text, CONF_UNKNOWN_TENANT, "there is", &names);
	return tenant;
}

static const struct yaml_node *tenant_entry(const struct build *b, const char *name)
{
	const struct yaml_node *n = build_entries(&b->yamls[0]->root, "tenants");

	while (n && (n->broken || strcmp(n->key, name) != 0))
		n = n->next;
	return n;
}

struct config_network *find_network(struct build *b, const struct yaml_node *n)
{
	struct config_network *network = n ? config_network(b->config, n->text) : NULL;
	const struct config *c = b->config;
	const struct yaml_node *entry;
	_cleanup_(free) char *name = NULL;
	char owner[QUOTED_SIZE + 16], buffer[QUOTED_SIZE], *slash;
	struct config_tenant *tenant;

	if (!n || network)
		return network;
	name = strdup(n->text);
	if (!name) {
		b->report->no_memory = true;
		return NULL;
	}
	slash = strchr(name, '/');
	*slash = '\0';
	tenant = config_tenant(c, name);
	if (!tenant) {
		struct names names = {c->tenants, c->n_tenants, sizeof(c->tenants[0]), "tenant"};

		if (!is_declared(b, &b->yamls[0]->root, "tenants", name))
			unknown_name(b, n, name, CONF_UNKNOWN_TENANT, "there is", &names);
		return NULL;
	}

	struct names names = {tenant->networks, tenant->n_networks, sizeof(tenant->networks[0]), "network"};

	entry = b->report->total < REPORT_MAX ? tenant_entry(b, name) : NULL;
	if (entry && is_declared(b, entry, "networks", slash + 1))
		return NULL;
	snprintf(owner, sizeof(owner), "tenant %s has", quoted(buffer, name));
	unknown_name(b, n, slash + 1, CONF_UNKNOWN_NETWORK, owner, &names);
	return NULL;
}
