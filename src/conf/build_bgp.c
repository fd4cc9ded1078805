/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What BGP needs of the configuration: `bgp` itself, and the router ids and route targets that stand with nodes, tenants
 * and networks.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "conf/build.h"
#include "conf/entries.h"
#include "conf/schema.h"
#include "conf/value.h"
#include "model/extended.h"

/* Without `bgp` nobody would use this key, which may not be what was meant. */
static void check_has_bgp(struct build *b, const struct yaml_node *n)
{
	if (n && !build_has_key(&b->yamls[0]->root, "bgp"))
		report_key(b->report, n, CONF_NOT_HERE,
			   "there is no bgp, which would use this; expected bgp at the top, or no %s", n->key);
}

/* ---- nodes, tenants, networks ---- */

void build_router_id(struct build *b, const struct yaml_node *map, struct config_node *node)
{
	const struct yaml_node *n = yaml_get(map, "router_id");
	struct addr a;

	check_has_bgp(b, n);
	if (node->foreign && n)
		report_key(b->report, n, CONF_NOT_HERE,
			   "a foreign node does not run isthmusd, which would use this; expected no router_id");
	if (node->foreign)
		return;
	node->router_id = config_default_router_id(node);
	if (n && addr_parse(n->text, &a) == 0)
		node->router_id = addr_v4_number(&a);
}

static int fill_targets(const struct yaml_node *list, struct config_targets *out)
{
	size_t n = value_count(list);

	if (n == 0)
		return 0;
	out->items = calloc(n, sizeof(out->items[0]));
	if (!out->items)
		return -ENOMEM;
	for (const struct yaml_node *i = yaml_item_first(list); i; i = yaml_item_next(list, i))
		extended_target_parse(i->text, &out->items[out->length++]);
	return 0;
}

int build_targets(struct build *b, const struct yaml_node *map, struct config_targets *import,
		  struct config_targets *export)
{
	const struct yaml_node *n = yaml_get(map, "route_targets");
	int r;

	check_has_bgp(b, n);
	r = fill_targets(n ? yaml_get(n, "import") : NULL, import);
	return r < 0 ? r : fill_targets(n ? yaml_get(n, "export") : NULL, export);
}

/* ---- neighbors ---- */

static bool is_grant_word(const char *text)
{
	return strcmp(text, "all") == 0 || strcmp(text, "none") == 0;
}

/* `all` or `none` alone.  Who has a tenant of that name may have meant it: one never guesses who may see what. */
static void fill_grant_word(struct build *b, const struct yaml_node *n, struct config_grant *out)
{
	const struct config_tenant *t = config_tenant(b->config, n->text);

	out->all = strcmp(n->text, "all") == 0;
	if (t)
		report_value(b->report, n, CONF_WORD_AND_NAME,
			     "%s is a word here and the name of a tenant (line %u) too; expected another name of the tenant",
			     n->text, t->place.line);
}

static int fill_grant(struct build *b, const struct yaml_node *list, bool internal, struct config_grant *out)
{
	size_t n = value_count(list);

	if (n == 0) {
		out->all = internal;
		return 0;
	}
	if (n == 1 && is_grant_word(yaml_item_first(list)->text)) {
		fill_grant_word(b, yaml_item_first(list), out);
		return 0;
	}
	out->tenants = calloc(n, sizeof(struct config_tenant *));
	if (!out->tenants)
		return -ENOMEM;
	for (const struct yaml_node *i = yaml_item_first(list); i; i = yaml_item_next(list, i)) {
		struct config_tenant *t;

		if (is_grant_word(i->text)) {
			report_value(b->report, i, CONF_BAD_COUNT, "%s beside other values; expected it alone",
				     i->text);
			continue;
		}
		t = find_tenant(b, i);
		if (t)
			out->tenants[out->n_tenants++] = t;
	}
	return 0;
}

static int fill_nodes(struct build *b, const struct yaml_node *list, struct config_neighbor *neighbor)
{
	size_t n = value_count(list);

	if (n == 0)
		return 0;
	neighbor->nodes = calloc(n, sizeof(struct config_node *));
	if (!neighbor->nodes)
		return -ENOMEM;
	for (const struct yaml_node *i = yaml_item_first(list); i; i = yaml_item_next(list, i)) {
		struct config_node *node = find_node(b, i);

		if (node && node->foreign)
			report_value(b->report, i, CONF_NOT_HERE,
				     "node %s (line %u) is foreign and does not run isthmusd, which would peer; expected "
				     "nodes that are not foreign",
				     node->name, node->place.line);
		if (node)
			neighbor->nodes[neighbor->n_nodes++] = node;
	}
	return 0;
}

static uint32_t families_of(const struct yaml_node *list, uint32_t otherwise)
{
	uint32_t families = 0;

	for (const struct yaml_node *i = yaml_item_first(list); i; i = yaml_item_next(list, i))
		families |= schema_word_value(schema_find(&schema_neighbor, "families")->type, i->text);
	return families ? families : otherwise;
}

static int fill_neighbor(struct build *b, const struct yaml_node *map, struct config_neighbor *n)
{
	const struct config_bgp *bgp = b->config->bgp;
	const char *address = value_text(map, &schema_neighbor, "address");
	bool internal;
	int r;

	n->place = map->key_place;
	if (address)
		addr_parse(address, &n->address);
	n->remote_as = value_number(map, &schema_neighbor, "remote_as");
	internal = n->remote_as == bgp->as;
	n->families = families_of(yaml_get(map, "families"), config_default_families(bgp, n->remote_as));
	n->ttl_hops = (uint8_t)value_number(map, &schema_neighbor, "ttl_security");
	n->max_prefix = value_number(map, &schema_neighbor, "maximum_prefix");
	n->hold_s = (uint16_t)value_limit(map, &schema_neighbor, "hold_time", bgp->hold_s);
	n->restart_s = (uint16_t)value_limit(map, &schema_neighbor, "restart_time", bgp->restart_s);
	n->disable_family = value_word(map, &schema_neighbor, "disable_family", 0);
	n->passive = value_word(map, &schema_neighbor, "passive", 0);
	n->shutdown = value_word(map, &schema_neighbor, "shutdown", 0);
	r = fill_nodes(b, yaml_get(map, "nodes"), n);
	if (r >= 0)
		r = fill_grant(b, yaml_get(map, "import"), internal, &n->import);
	if (r >= 0)
		r = fill_grant(b, yaml_get(map, "export"), internal, &n->export);
	if (r >= 0)
		r = value_copy(map, "password_file", &n->password_file);
	return r < 0 ? r : value_copy(map, "description", &n->description);
}

int build_bgp(struct build *b)
{
	struct yaml_node *map = yaml_get(&b->yamls[0]->root, "bgp"), *neighbors;
	struct config_bgp *bgp;
	int r;

	if (!map)
		return 0;
	bgp = b->config->bgp = calloc(1, sizeof(*bgp));
	if (!bgp)
		return -ENOMEM;
	bgp->as = value_number(map, &schema_bgp, "as");
	bgp->mesh = value_word(map, &schema_bgp, "mesh", CONFIG_MESH_AUTO);
	bgp->hold_s = (uint16_t)value_number(map, &schema_bgp, "hold_time");
	bgp->restart_s = (uint16_t)value_number(map, &schema_bgp, "restart_time");
	bgp->port = (uint16_t)value_number(map, &schema_bgp, "port");
	r = value_addresses(yaml_get(map, "reflectors"), &bgp->reflectors, &bgp->n_reflectors);
	if (r >= 0)
		r = value_copy(map, "password_file", &bgp->password_file);
	if (r < 0)
		return r;
	if (bgp->password_file && bgp->mesh == CONFIG_MESH_NONE && bgp->n_reflectors == 0 &&
	    build_is_whole(map, "reflectors"))
		report_key(b->report, yaml_get(map, "password_file"), CONF_NOT_HERE,
			   "there is neither a mesh nor a reflector, whose sessions would use this; expected "
			   "password_file in the neighbors");
	neighbors = build_entries(map, "neighbors");
	r = entries_table(neighbors, sizeof(bgp->neighbors[0]), (void **)&bgp->neighbors, &bgp->n_neighbors);
	for (const struct yaml_node *n = neighbors; n && r >= 0; n = n->next)
		if (n->object)
			r = fill_neighbor(b, n, n->object);
	return r;
}
