/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What encryption needs of the configuration: keys of the fabric and of nodes, and the pairs of sites.
 */
#include <string.h>

#include "conf/build.h"
#include "conf/entries.h"
#include "conf/schema.h"
#include "conf/value.h"
#include "lib/base64.h"

int build_fabric_encryption(struct build *b, const struct yaml_node *map)
{
	struct config *c = b->config;

	c->encryption = value_word(map, &schema_fabric, "encryption", 0);
	c->wireguard_port = (uint16_t)value_number(map, &schema_fabric, "wireguard_port");
	return value_copy(map, "preshared_key_file", &c->preshared_key_file);
}

void build_node_encryption(struct build *b, const struct yaml_node *map, struct config_node *node)
{
	static const char *const keys[] = {"public_key", "nat", "relay"};
	const struct yaml_node *key = yaml_get(map, "public_key");

	node->nat = value_word(map, &schema_node, "nat", 0);
	node->relay = value_word(map, &schema_node, "relay", 0) && !node->foreign;
	if (key)
		base64_decode(key->text, strlen(key->text), node->public_key.bytes, sizeof(node->public_key.bytes));
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]) && node->foreign; i++) {
		const struct yaml_node *n = yaml_get(map, keys[i]);

		if (n)
			report_key(b->report, n, CONF_NOT_HERE,
				   "a foreign node does not run isthmusd, which would use this; expected no %s", n->key);
	}
}

/* Two sites, or one for what holds within it; false: they are not known, which was said. */
static bool fill_sites(struct build *b, const struct yaml_node *list, struct config_pair *p)
{
	const struct yaml_node *last = NULL;
	size_t n = 0;

	for (const struct yaml_node *i = yaml_item_first(list); i && n < 2; i = yaml_item_next(list, i)) {
		p->sites[n++] = find_site(b, i);
		last = i;
	}
	if (n == 1)
		p->sites[1] = p->sites[0];
	if (n == 0 || !p->sites[0] || !p->sites[1])
		return false;
	if (n == 2 && p->sites[0] == p->sites[1])
		report_value(b->report, last, CONF_LISTED_TWICE,
			     "%s stands here twice; expected two sites, or the one alone for what holds within it",
			     last->text);
	if (p->sites[0] > p->sites[1]) {
		struct config_site *other = p->sites[0];

		p->sites[0] = p->sites[1];
		p->sites[1] = other;
	}
	return true;
}

static int fill_pair(struct build *b, const struct yaml_node *map, struct config_pair *p)
{
	const struct yaml_node *list = yaml_get(map, "sites");
	const struct config_pair *first;
	int r;

	p->place = map->key_place;
	p->encrypts = value_word(map, &schema_pair, "encryption", 0);
	r = value_copy(map, "preshared_key_file", &p->preshared_key_file);
	if (r < 0 || !fill_sites(b, list, p))
		return r;
	first = hmap_get(&b->config->pair_by_sites, p->sites);
	if (first)
		report_value(b->report, list, CONF_PAIR_TWICE,
			     "%s (line %u) is about the same sites; expected each pair of sites once", first->name,
			     first->place.line);
	return first ? 0 : hmap_add(&b->config->pair_by_sites, p);
}

int build_pairs(struct build *b)
{
	struct yaml_node *first = build_entries(&b->yamls[0]->root, "site_pairs");
	struct config *c = b->config;
	int r = entries_table(first, sizeof(c->pairs[0]), (void **)&c->pairs, &c->n_pairs);

	for (struct yaml_node *n = first; n && r >= 0; n = n->next)
		if (n->object)
			r = fill_pair(b, n, n->object);
	return r;
}
