/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Encryption is between two nodes that run isthmusd and have a key of their own each.  A file that asks for it where one
 * of them does not could only be kept by dropping everything, so it is refused.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "conf/build.h"
#include "conf/claim.h"
#include "conf/schema.h"

/* Somebody in a tenant; foreign ones in a network.  One for each site is enough: more would be told the same. */
struct member {
	struct member *next;
	const struct config_network *network;
	const struct config_node *node;
	const struct yaml_node *reason; /* what brought it there */
};

int clash_crowd_init(struct crowd *crowd, const struct config *c)
{
	*crowd = (struct crowd){.own = calloc(c->n_tenants + 1, sizeof(struct member *))};
	return crowd->own ? 0 : -ENOMEM;
}

void clash_crowd_fini(struct crowd *crowd)
{
	free(crowd->own);
}

void clash_crowd_join(struct crowd *crowd, struct claims *all, const struct config_node *node,
		      const struct config_network *network, const struct yaml_node *reason)
{
	struct config *c = all->b->config;
	uint64_t site = (uintptr_t)node->site;
	struct member **list = node->foreign ? &crowd->foreign : &crowd->own[network->tenant - c->tenants], *m;
	const struct claim *claim;

	if (!node->site)
		return; /* wrong, and that was said */
	claim = node->foreign ? claim_take(all, CLAIM_SEEN_FOREIGN, network, &site, sizeof(site), reason)
			      : claim_take(all, CLAIM_SEEN_SITE, network->tenant, &site, sizeof(site), reason);
	if (!claim || claim->count > 1)
		return;
	m = arena_alloc(&all->b->arena, sizeof(*m));
	if (!m) {
		all->b->report->no_memory = true;
		return;
	}
	*m = (struct member){*list, network, node, reason};
	*list = m;
}

/* Who asks for it, for people. */
static const char *asker(const struct config *c, const struct config_network *n, const struct config_pair *pair,
			 char *out, size_t size)
{
	if (n->encryption_own)
		snprintf(out, size, "%s (line %u), by its encryption,", n->full_name, n->place.line);
	else if (pair)
		snprintf(out, size, "site_pairs.%s (line %u)", pair->name, pair->place.line);
	else
		snprintf(out, size, "fabric.encryption (%s)", config_encryption_name(c->encryption));
	return out;
}

/* `n`: who asks, the member's network or another one that is routed with it. */
static void refuse(struct build *b, const struct member *m, const struct config_network *n, const struct config_pair *pair,
		   const char *whom)
{
	char text[160], way_out[128], with[CONFIG_NAME_MAX * 2 + 32] = "";

	if (n != m->network)
		snprintf(with, sizeof(with), ", also for %s, routed with it", m->network->full_name);
	report_value(b->report, m->reason, CONF_NOT_ENCRYPTABLE,
		     "node %s (line %u) is foreign and cannot encrypt, and %s asks for it between it and %s%s; expected "
		     "encryption: never in %s (line %u)%s",
		     m->node->name, m->node->place.line, asker(b->config, n, pair, text, sizeof(text)), whom, with,
		     n->full_name, n->place.line,
		     build_way_out(b, m->reason, NULL, way_out, sizeof(way_out)));
}

/*
 * `asks`: by site, a pair of it that encrypts.  Where the fabric does not ask for it, such a pair is enough, whoever is
 * at its other end: nothing is gained by looking for them, as the network can say that it is never encrypted.  Else the
 * walk ends with the first one that no pair exempts.  False: it was refused.
 */
static bool check_foreign(struct build *b, const struct crowd *crowd, const struct member *m,
			  const struct config_pair *const *asks)
{
	const struct config *c = b->config;
	const struct config_pair *pair = asks[m->node->site - c->sites];
	const struct member *own = crowd->own[m->network->tenant - c->tenants];
	char whom[CONFIG_NAME_MAX + 32];

	if (own && !m->network->encryption_own && c->encryption == CONFIG_ENCRYPTION_NEVER) {
		if (pair)
			refuse(b, m, m->network, pair, "other nodes");
		return !pair;
	}
	if (m->network->encryption_own && m->network->encryption == CONFIG_ENCRYPTION_NEVER)
		return true;
	while (own && !config_encrypts(c, m->network, own->node, m->node))
		own = own->next;
	if (!own)
		return true;
	snprintf(whom, sizeof(whom), "node %s (line %u)", own->node->name, own->node->place.line);
	refuse(b, m, m->network, config_pair(c, own->node->site, m->node->site), whom);
	return false;
}

/*
 * A routed network shares its next hops with what is routed in its tenant, which is encrypted where any of its networks asks
 * for it: for a network that does not ask itself.
 */
static void check_foreign_routed(struct build *b, const struct crowd *crowd, const struct member *m)
{
	const struct config *c = b->config;
	const struct config_tenant *tenant = m->network->tenant;
	const struct member *own = crowd->own[tenant - c->tenants];
	const struct config_network *n = tenant->networks, *end = n + tenant->n_networks;
	char whom[CONFIG_NAME_MAX + 32];

	if (m->network->n_gateways == 0)
		return;
	while (own && !config_encrypts_tenant(c, tenant, own->node, m->node))
		own = own->next;
	while (own && n < end && !config_encrypts(c, n, own->node, m->node))
		n++;
	if (!own || n == end)
		return;
	snprintf(whom, sizeof(whom), "node %s (line %u)", own->node->name, own->node->place.line);
	refuse(b, m, n, config_pair(c, own->node->site, m->node->site), whom);
}

static int check_crowd(struct build *b, const struct crowd *crowd)
{
	const struct config *c = b->config;
	const struct config_pair **asks;

	if (!crowd->foreign)
		return 0;
	asks = calloc(c->n_sites, sizeof(struct config_pair *));
	if (!asks)
		return -ENOMEM;
	for (size_t i = 0; i < c->n_pairs; i++)
		for (size_t k = 0; c->pairs[i].encrypts && k < 2; k++)
			asks[c->pairs[i].sites[k] - c->sites] = &c->pairs[i];
	for (const struct member *m = crowd->foreign; m; m = m->next)
		if (check_foreign(b, crowd, m, asks))
			check_foreign_routed(b, crowd, m);
	free(asks);
	return 0;
}

struct holder {
	struct config_key key;
	const struct yaml_node *entry;
	bool is_node;
};

static void report_key_twice(struct build *b, const struct yaml_node *n, bool is_node, const struct holder *first)
{
	report_value(b->report, yaml_get(n, "public_key"), CONF_KEY_TWICE, "%s %s (line %u) has this key; expected %s",
		     first->is_node ? "node" : "peer", first->entry->key, first->entry->key_place.line,
		     is_node ? "each node's own, as isthmus key show prints it there; a machine that was cloned makes a new one "
			       "when its old one is removed"
			     : "each peer's own: \"wg genkey\" makes a private one, \"wg pubkey\" the public one of it");
}

static int hold_key(struct build *b, struct hmap *by_key, const struct yaml_node *n, const struct config_key *key,
		    bool is_node)
{
	const struct holder *first = hmap_get(by_key, key);
	struct holder *h;

	if (!config_key_is_set(key))
		return 0;
	if (first) {
		report_key_twice(b, n, is_node, first);
		return 0;
	}
	h = arena_alloc(&b->arena, sizeof(*h));
	if (!h)
		return -ENOMEM;
	*h = (struct holder){*key, n, is_node};
	return hmap_add(by_key, h);
}

static int check_keys(struct build *b)
{
	struct hmap by_key = HMAP_INIT(struct holder, key);
	int r = 0;

	for (const struct yaml_node *n = build_entries(&b->yamls[0]->root, "nodes"); n && r >= 0; n = n->next)
		if (n->object)
			r = hold_key(b, &by_key, n, &((const struct config_node *)n->object)->public_key, true);
	for (const struct yaml_node *n = build_entries(&b->yamls[0]->root, "peers"); n && r >= 0; n = n->next)
		if (n->object)
			r = hold_key(b, &by_key, n, &((const struct config_port *)n->object)->peer->public_key, false);
	hmap_fini(&by_key);
	return r;
}

/* Whoever carries is talked to by all others in sessions, and each has to know all of them. */
static void check_relays(struct build *b)
{
	const struct yaml_node *key;
	size_t n_relays = 0;

	for (const struct yaml_node *n = build_entries(&b->yamls[0]->root, "nodes"); n; n = n->next) {
		const struct config_node *node = n->object;

		key = node && node->relay ? yaml_get(n, "relay") : NULL;
		if (!key)
			continue;
		if (!config_key_is_set(&node->public_key) && !yaml_get(n, "public_key"))
			report_key(b->report, key, CONF_RELAY_WITHOUT_KEY,
				   "node %s (line %u) has no public_key, and nothing encrypted could go through it; expected the "
				   "key that isthmus key show prints there, or no relay",
				   node->name, node->place.line);
		else if (++n_relays > CONFIG_MAX_RELAYS)
			report_key(b->report, key, CONF_TOO_MANY_RELAYS, "node %s is relay number %zu; expected at most %d",
				   node->name, n_relays, CONFIG_MAX_RELAYS);
	}
}

static void check_port(struct build *b)
{
	const struct yaml_node *fabric = yaml_get(&b->yamls[0]->root, "fabric");
	const struct yaml_node *n = fabric ? yaml_get(fabric, "wireguard_port") : NULL;

	if (!fabric || b->config->wireguard_port != b->config->vxlan_port)
		return;
	report_value(b->report, n ? n : yaml_get(fabric, "vxlan_port"), CONF_UDP_PORT_TWICE,
		     "UDP port %u is both vxlan_port and wireguard_port; expected two ports", b->config->vxlan_port);
}

/* What has to be read for it: where something in that was wrong, all else would only be a consequence. */
static bool is_known(const struct build *b)
{
	const struct yaml_node *fabric = yaml_get(&b->yamls[0]->root, "fabric");

	return !b->yamls[0]->root.broken && b->config->pair_by_sites.length == b->config->n_pairs &&
	       build_is_whole(&b->yamls[0]->root, "site_pairs") &&
	       (!fabric || !build_has_key(fabric, "encryption") || yaml_get(fabric, "encryption"));
}

int clash_encryption(struct build *b, const struct crowd *crowd)
{
	int r = check_keys(b);

	check_port(b);
	check_relays(b);
	return r < 0 || !is_known(b) ? r : check_crowd(b, crowd);
}
