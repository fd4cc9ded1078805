/* SPDX-License-Identifier: Apache-2.0 */
#include "conf/build.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "conf/entries.h"
#include "conf/schema.h"
#include "conf/value.h"
#include "lib/cleanup.h"
#include "lib/text.h"

struct yaml_node *build_entries(const struct yaml_node *map, const char *table)
{
	const struct yaml_node *n = yaml_get(map, table);

	return n ? n->first : NULL;
}

bool build_has_key(const struct yaml_node *map, const char *key)
{
	const struct yaml_node *n = map->first;

	while (n && strcmp(n->key, key) != 0)
		n = n->next;
	return n;
}

bool build_is_whole(const struct yaml_node *map, const char *key)
{
	const struct yaml_node *list = map->first;

	while (list && strcmp(list->key, key) != 0)
		list = list->next;
	if (!list)
		return true;
	if (list->broken)
		return false;
	for (const struct yaml_node *i = list->first; i; i = i->next)
		if (i->broken)
			return false;
	return true;
}

static bool is_remembered(const struct build *b, const struct yaml_node *n)
{
	const struct conf_source *s = n ? &b->report->sources[yaml_of(n)->source] : NULL;

	return s && s->runtime && !s->request;
}

const char *build_way_out(const struct build *b, const struct yaml_node *n, const struct yaml_node *other, char *out,
			  size_t size)
{
	out[0] = '\0';
	if (!is_remembered(b, n))
		n = is_remembered(b, other) ? other : NULL;
	if (!n)
		return out;
	while (n->parent && n->parent->parent && n->parent->parent->parent)
		n = n->parent; /* up to the entry in `ports` */
	if (n->key)
		snprintf(out, size, ", or \"isthmus port del %s\"", n->key);
	return out;
}

/* ---- objects ---- */

static int fill_fabric(struct build *b)
{
	static const struct yaml_node nothing = {.kind = YAML_MAP};
	const struct yaml_node *map = yaml_get(&b->yamls[0]->root, "fabric");
	struct config *c = b->config;

	map = map ? map : &nothing;
	c->encap = value_word(map, &schema_fabric, "encap", 0);
	c->vxlan_port = (uint16_t)value_number(map, &schema_fabric, "vxlan_port");
	mac_parse(value_text(map, &schema_fabric, "gateway_mac"), &c->gateway_mac);
	c->storm_limit = value_number(map, &schema_fabric, "storm_limit");
	c->icmp_limit = (uint16_t)value_number(map, &schema_fabric, "icmp_limit");
	return build_fabric_encryption(b, map);
}

static int fill_sites(struct build *b)
{
	struct yaml_node *first = build_entries(&b->yamls[0]->root, "sites");
	struct config *c = b->config;
	int r = entries_table(first, sizeof(c->sites[0]), (void **)&c->sites, &c->n_sites);

	for (struct yaml_node *n = first; n && r >= 0; n = n->next)
		if (n->object)
			((struct config_site *)n->object)->place = n->key_place;
	return r;
}

/* What goes with which mode. */
static void check_mode(struct build *b, const struct yaml_node *map, const struct config_network *n)
{
	const struct yaml_node *vni = yaml_get(map, "vni"), *subnets = yaml_get(map, "subnets");
	static const char *const l2_keys[] = {"flood", "storm_limit"};
	bool tried_subnets = false, tried_vni = false;

	if (!yaml_get(map, "mode"))
		return; /* missing or wrong: was reported */
	for (const struct yaml_node *i = map->first; i; i = i->next) {
		tried_vni |= strcmp(i->key, "vni") == 0;
		tried_subnets |= strcmp(i->key, "subnets") == 0 && (i->broken || i->first || i->kind == YAML_TEXT);
	}
	if (n->mode == CONFIG_MODE_L2) {
		if (!tried_vni)
			report_missing(
				b->report, map, "vni", CONF_MISSING_KEY,
				"missing; expected a VNI of the l2 network's own, a whole number from 1 to 16777215");
		return;
	}
	if (vni)
		report_key(b->report, vni, CONF_NOT_HERE,
			   "an l3 network has no VNI of its own; expected none: it uses the VNI %u of tenant %s",
			   n->tenant->vni, n->tenant->name);
	for (size_t i = 0; i < sizeof(l2_keys) / sizeof(l2_keys[0]); i++) {
		const struct yaml_node *wrong = yaml_get(map, l2_keys[i]);

		if (wrong)
			report_key(b->report, wrong, CONF_NOT_HERE,
				   "an l3 network has nothing to flood; expected this key in l2 networks only");
	}
	if (yaml_get(map, "route_targets"))
		report_key(b->report, yaml_get(map, "route_targets"), CONF_NOT_HERE,
			   "the routes of an l3 network are its tenant's; expected route_targets in tenant %s",
			   n->tenant->name);
	if (!tried_subnets)
		report_missing(b->report, map, "subnets", CONF_MISSING_KEY,
			       "%s; expected the subnets that the l3 network routes, such as 10.0.1.0/24",
			       subnets ? "empty" : "missing");
}

static int fill_network(struct build *b, const struct yaml_node *map, struct config_tenant *t, struct config_network *n)
{
	const struct yaml_node *list = yaml_get(map, "subnets");
	size_t n_subnets = build_is_whole(map, "subnets") ? value_count(list) : 0;
	int r;

	n->place = map->key_place;
	n->tenant = t;
	n->mode = value_word(map, &schema_network, "mode", CONFIG_MODE_L2);
	n->encap = value_word(map, &schema_network, "encap", b->config->encap);
	n->encryption = value_word(map, &schema_network, "encryption", b->config->encryption);
	n->encryption_own = yaml_get(map, "encryption") != NULL;
	n->vni = n->mode == CONFIG_MODE_L2 ? value_number(map, &schema_network, "vni") : 0;
	n->flood = value_word(map, &schema_network, "flood", 0);
	if (n->mode == CONFIG_MODE_L2)
		n->storm_limit = value_limit(map, &schema_network, "storm_limit", b->config->storm_limit);
	if (text_format(&n->full_name, "%s/%s", t->name, n->name) < 0) {
		n->full_name = NULL;
		return -ENOMEM;
	}
	if (n_subnets > 0) {
		n->subnets = calloc(n_subnets, sizeof(n->subnets[0]));
		if (!n->subnets)
			return -ENOMEM;
		for (const struct yaml_node *i = yaml_item_first(list); i; i = yaml_item_next(list, i))
			prefix_parse(i->text, &n->subnets[n->n_subnets++]);
	}
	check_mode(b, map, n);
	r = build_targets(b, map, &n->import, &n->export);
	return r < 0 ? r : value_addresses(yaml_get(map, "gateway"), &n->gateways, &n->n_gateways);
}

/* One network more: what is routed in a tenant is encrypted when any of them asks for it. */
static void count_encryption(struct config_tenant *t, const struct config_network *n)
{
	if (!n->encryption_own)
		t->encryption_inherited = true;
	else if (n->encryption > t->encryption_own)
		t->encryption_own = n->encryption;
}

static int fill_tenants(struct build *b)
{
	struct yaml_node *first = build_entries(&b->yamls[0]->root, "tenants");
	struct config *c = b->config;
	int r = entries_table(first, sizeof(c->tenants[0]), (void **)&c->tenants, &c->n_tenants);

	for (struct yaml_node *n = first; n && r >= 0; n = n->next) {
		struct config_tenant *t = n->object;
		struct yaml_node *networks = build_entries(n, "networks");

		if (!t)
			continue;
		t->place = n->key_place;
		t->vni = value_number(n, &schema_tenant, "vni");
		t->encryption_inherited = networks == NULL;
		r = hmap_add(&c->tenant_by_name, t);
		if (r >= 0)
			r = build_targets(b, n, &t->import, &t->export);
		if (r >= 0)
			r = entries_table(networks, sizeof(t->networks[0]), (void **)&t->networks, &t->n_networks);
		for (struct yaml_node *m = networks; m && r >= 0; m = m->next) {
			if (!m->object)
				continue;
			r = fill_network(b, m, t, m->object);
			count_encryption(t, m->object);
			if (r >= 0)
				r = hmap_add(&c->network_by_name, m->object);
		}
	}
	return r;
}

static int fill_interfaces(const struct yaml_node *list, struct config_node *node)
{
	size_t n = value_count(list);

	if (n == 0)
		return 0;
	node->interfaces = calloc(n, sizeof(node->interfaces[0]));
	if (!node->interfaces)
		return -ENOMEM;
	for (const struct yaml_node *i = yaml_item_first(list); i; i = yaml_item_next(list, i)) {
		node->interfaces[node->n_interfaces] = strdup(i->text);
		if (!node->interfaces[node->n_interfaces])
			return -ENOMEM;
		node->n_interfaces++;
	}
	return 0;
}

static int fill_node_networks(struct build *b, struct yaml_node *list, struct config_node *node)
{
	size_t n = value_count(list);

	if (n == 0)
		return 0;
	node->networks = calloc(n, sizeof(struct config_network *));
	if (!node->networks)
		return -ENOMEM;
	for (const struct yaml_node *i = yaml_item_first(list); i; i = yaml_item_next(list, i)) {
		struct config_network *network = find_network(b, i);

		if (network && network->mode == CONFIG_MODE_L3)
			report_value(
				b->report, i, CONF_FOREIGN_ROUTED,
				"%s (line %u) is an l3 network and foreign nodes bridge only; expected an l2 network",
				network->full_name, network->place.line);
		if (network)
			node->networks[node->n_networks++] = network;
	}
	return 0;
}

static int fill_node(struct build *b, const struct yaml_node *map, struct config_node *node)
{
	struct yaml_node *networks = yaml_get(map, "networks"), *interfaces = yaml_get(map, "interfaces");
	int r;

	node->place = map->key_place;
	node->site = find_site(b, yaml_get(map, "site"));
	node->mtu = value_number(map, &schema_node, "mtu");
	node->foreign = value_word(map, &schema_node, "foreign", 0);
	if (node->foreign && interfaces)
		report_key(b->report, interfaces, CONF_NOT_HERE,
			   "a foreign node does not run isthmusd, which would use this; expected no interfaces");
	if (!node->foreign && networks)
		report_key(b->report, networks, CONF_NOT_HERE,
			   "a node is in the networks of its ports; expected this key beside \"foreign: true\" only");
	r = value_addresses(yaml_get(map, "underlay"), &node->underlay, &node->n_underlay);
	build_router_id(b, map, node);
	build_node_encryption(b, map, node);
	if (r >= 0)
		r = fill_interfaces(interfaces, node);
	if (r >= 0)
		r = fill_node_networks(b, networks, node);
	return r;
}

static int fill_nodes(struct build *b)
{
	struct yaml_node *first = build_entries(&b->yamls[0]->root, "nodes");
	struct config *c = b->config;
	int r = entries_table(first, sizeof(c->nodes[0]), (void **)&c->nodes, &c->n_nodes);

	for (struct yaml_node *n = first; n && r >= 0; n = n->next) {
		if (!n->object)
			continue;
		r = fill_node(b, n, n->object);
		if (r >= 0)
			r = hmap_add(&c->node_by_name, n->object);
	}
	return r;
}

/* ---- ports ---- */

static void check_foreign_port(struct build *b, const struct yaml_node *map, const struct config_port *p)
{
	static const char *const keys[] = {"interface", "port_security", "allow", "storm_limit"};
	const struct yaml_node *network = yaml_get(map, "network");

	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		const struct yaml_node *n = yaml_get(map, keys[i]);

		if (n)
			report_key(b->report, n, CONF_NOT_HERE,
				   "node %s (line %u) is foreign and nobody there would use this; expected no %s",
				   p->node->name, p->node->place.line, keys[i]);
	}
	if (network && p->network && p->network->mode == CONFIG_MODE_L3)
		report_value(b->report, network, CONF_FOREIGN_ROUTED,
			     "%s (line %u) is an l3 network and node %s (line %u) is foreign, which bridges only; "
			     "expected an l2 network",
			     p->network->full_name, p->network->place.line, p->node->name, p->node->place.line);
}

static void fill_storm_limit(struct build *b, const struct yaml_node *map, struct config_port *p)
{
	const struct yaml_node *limit = yaml_get(map, "storm_limit");

	if (!p->network)
		return;
	if (p->network->mode == CONFIG_MODE_L2)
		p->storm_limit = value_limit(map, &schema_port, "storm_limit", p->network->storm_limit);
	else if (limit)
		report_key(b->report, limit, CONF_NOT_HERE,
			   "%s (line %u) is an l3 network, which has nothing to flood; expected this key in l2 networks "
			   "only",
			   p->network->full_name, p->network->place.line);
}

static int fill_port(struct build *b, const struct yaml_node *map, struct config_port *p)
{
	const struct yaml_node *list = yaml_get(map, "allow"), *interface = yaml_get(map, "interface");
	const char *mac = value_text(map, &schema_port, "mac");

	p->place = map->key_place;
	p->runtime = yaml_of(map)->source > 0;
	p->node = find_node(b, yaml_get(map, "node"));
	p->network = find_network(b, yaml_get(map, "network"));
	p->security = value_word(map, &schema_port, "port_security", 1);
	fill_storm_limit(b, map, p);
	if (mac)
		mac_parse(mac, &p->mac);
	for (const struct yaml_node *i = yaml_item_first(list); i; i = yaml_item_next(list, i))
		p->allow |= schema_word_value(schema_find(&schema_port, "allow")->type, i->text);
	if (p->node && p->node->foreign)
		check_foreign_port(b, map, p);
	else if (p->node && !build_has_key(map, "interface"))
		report_missing(b->report, map, "interface", CONF_MISSING_KEY,
			       "missing; expected the name of an interface on node %s", p->node->name);
	if (interface) {
		p->interface = strdup(interface->text);
		if (!p->interface)
			return -ENOMEM;
	}
	if (p->network && p->network->mode == CONFIG_MODE_L3 &&
	    (!build_has_key(map, "addresses") ||
	     (yaml_get(map, "addresses") && yaml_get(map, "addresses")->kind == YAML_LIST &&
	      !yaml_get(map, "addresses")->first)))
		report_missing(b->report, map, "addresses", CONF_MISSING_KEY,
			       "missing; expected the addresses of the workload: %s (line %u) is an l3 network",
			       p->network->full_name, p->network->place.line);
	return value_addresses(yaml_get(map, "addresses"), &p->addresses, &p->n_addresses);
}

/* The first key in which two ports of one name differ, or NULL. */
static const char *port_difference(const struct config_port *a, const struct config_port *b)
{
	if (a->node != b->node)
		return "node";
	if (!a->interface != !b->interface || (a->interface && strcmp(a->interface, b->interface) != 0))
		return "interface";
	if (a->network != b->network)
		return "network";
	if (!mac_equal(&a->mac, &b->mac))
		return "mac";
	if (a->n_addresses != b->n_addresses ||
	    (a->n_addresses > 0 && memcmp(a->addresses, b->addresses, a->n_addresses * sizeof(a->addresses[0])) != 0))
		return "addresses";
	if (a->security != b->security)
		return "port_security";
	if (a->allow != b->allow)
		return "allow";
	return a->storm_limit != b->storm_limit ? "storm_limit" : NULL;
}

/* A port that an earlier source has already: equal and absorbed, or wrong. */
static int compare_port(struct build *b, const struct yaml_node *n, const struct yaml_node *earlier)
{
	const struct config_port *first = earlier->object;
	struct config_port p = {};
	char where[512], way_out[128];
	size_t errors = b->report->total;
	const char *difference;
	int r;

	if (first->peer) {
		report_key(b->report, n, CONF_RUNTIME_DIFFERS, "peers.%s (%s) has this name; expected another name%s", n->key,
			   report_where(b->report, n, earlier, where, sizeof(where)),
			   build_way_out(b, n, earlier, way_out, sizeof(way_out)));
		return 0;
	}
	r = fill_port(b, n, &p);
	difference = r < 0 || b->report->total > errors ? NULL : port_difference(first, &p);
	if (difference)
		report_key(b->report, n, CONF_RUNTIME_DIFFERS,
			   "differs in %s from ports.%s (%s); expected the same, or another name%s", difference, n->key,
			   report_where(b->report, n, earlier, where, sizeof(where)),
			   build_way_out(b, n, earlier, way_out, sizeof(way_out)));
	free(p.interface);
	free(p.addresses);
	return r;
}

/* A port that only a run-time source has. */
static int add_runtime_port(struct build *b, struct yaml_node *n)
{
	struct config_port *p = calloc(1, sizeof(*p));
	int r;

	if (!p)
		return -ENOMEM;
	p->name = strdup(n->key);
	r = p->name ? fill_port(b, n, p) : -ENOMEM;
	if (r >= 0)
		r = config_add_runtime(b->config, p);
	if (r < 0) {
		free(p->name);
		free(p->interface);
		free(p->addresses);
		free(p);
		return r;
	}
	n->object = p;
	return 0;
}

static int fill_ports(struct build *b)
{
	_cleanup_entries_ struct entries e = {};
	struct hmap by_name = SMAP_INIT(struct yaml_node, key);
	struct config *c = b->config;
	int r = 0;

	for (size_t i = 0; i < b->n_yamls && r >= 0; i++) {
		size_t from = e.length, to = from;

		r = entries_add(&e, build_entries(&b->yamls[i]->root, "ports"));
		/* keep those that are new and of the file */
		for (size_t k = from; k < e.length && r >= 0; k++) {
			r = hmap_add(&by_name, e.nodes[k]);
			if (r >= 0 && !b->report->sources[i].runtime)
				e.nodes[to++] = e.nodes[k];
			else if (r == -EEXIST)
				r = 0;
		}
		e.length = r < 0 ? e.length : to;
		if (i == 0 && r >= 0)
			r = build_peers_collect(b, &e, &by_name);
	}
	if (r >= 0)
		r = entries_objects(&e, sizeof(c->ports[0]), (void **)&c->ports, &c->n_ports);
	for (struct yaml_node *n = build_entries(&b->yamls[0]->root, "peers"); n && r >= 0; n = n->next) {
		if (!n->object)
			continue;
		r = build_peer(b, n, n->object);
		if (r >= 0)
			r = hmap_add(&c->port_by_name, n->object);
	}
	for (size_t i = 0; i < b->n_yamls && r >= 0; i++) {
		struct yaml_node *n = build_entries(&b->yamls[i]->root, "ports");

		for (; n && r >= 0; n = n->next) {
			if (n->broken)
				continue;
			if (n->object) {
				r = fill_port(b, n, n->object);
				if (r >= 0)
					r = hmap_add(&c->port_by_name, n->object);
			} else if (hmap_get(&by_name, n->key) == n) {
				r = add_runtime_port(b, n);
			} else {
				r = compare_port(b, n, hmap_get(&by_name, n->key));
			}
		}
	}
	config_count_ports(c);
	hmap_fini(&by_name);
	return r;
}

int build_objects(struct build *b)
{
	struct config *c = calloc(1, sizeof(*c));
	int r;

	if (!c)
		return -ENOMEM;
	b->config = c;
	c->node_by_name = SMAP_INIT(struct config_node, name);
	c->tenant_by_name = SMAP_INIT(struct config_tenant, name);
	c->network_by_name = SMAP_INIT(struct config_network, full_name);
	c->port_by_name = SMAP_INIT(struct config_port, name);
	c->pair_by_sites = HMAP_INIT(struct config_pair, sites);
	r = fill_fabric(b);
	if (r >= 0)
		r = fill_sites(b);
	if (r >= 0)
		r = build_pairs(b);
	if (r >= 0)
		r = fill_tenants(b);
	if (r >= 0)
		r = fill_nodes(b);
	if (r >= 0)
		r = build_bgp(b);
	return r < 0 ? r : fill_ports(b);
}

void build_fini(struct build *b)
{
	config_free(b->config);
	arena_fini(&b->arena);
}
