/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Plain WireGuard peers: each is a port of its node, whose interface and MAC are made up.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "conf/build.h"
#include "conf/entries.h"
#include "conf/schema.h"
#include "conf/value.h"
#include "lib/base64.h"

/* Whoever asks for a port or a tunnel by its name is to find one. */
static bool name_is_taken(struct build *b, const struct yaml_node *n, const struct hmap *by_name)
{
	const struct yaml_node *port = hmap_get(by_name, n->key);
	const struct config_node *node = config_node(b->config, n->key);

	if (port)
		report_key(b->report, n, CONF_PEER_NAME,
			   "ports.%s (line %u) has this name, and a peer is a port; expected another name", n->key,
			   port->key_place.line);
	else if (node)
		report_key(b->report, n, CONF_PEER_NAME,
			   "nodes.%s (line %u) has this name, and tunnels are called after their other end; expected "
			   "another name",
			   n->key, node->place.line);
	return port || node;
}

int build_peers_collect(struct build *b, struct entries *e, struct hmap *by_name)
{
	size_t from = e->length, to = from;
	int r = entries_add(e, build_entries(&b->yamls[0]->root, "peers"));

	for (size_t k = from; r >= 0 && k < e->length; k++) {
		if (name_is_taken(b, e->nodes[k], by_name))
			continue;
		r = hmap_add(by_name, e->nodes[k]);
		e->nodes[to++] = e->nodes[k];
	}
	e->length = r < 0 ? e->length : to;
	return r;
}

/* One that was refused, too: that was said. */
static bool has_key(const struct build *b, const struct config_node *node)
{
	for (const struct yaml_node *n = build_entries(&b->yamls[0]->root, "nodes"); n; n = n->next)
		if (n->object == node)
			return build_has_key(n, "public_key");
	return false;
}

/* Who could have no tunnel with it. */
static void check_node(struct build *b, const struct yaml_node *map, const struct config_node *node)
{
	const struct yaml_node *n = yaml_get(map, "node");

	if (!node)
		return;
	if (node->foreign)
		report_value(b->report, n, CONF_PEER_NODE,
			     "node %s (line %u) is foreign and has no tunnels; expected a node that runs isthmusd", node->name,
			     node->place.line);
	else if (!config_key_is_set(&node->public_key) && !has_key(b, node))
		report_value(b->report, n, CONF_PEER_NODE,
			     "node %s (line %u) has no public_key, which the peer needs to know it by; expected one there, as "
			     "isthmus key show prints it on the node",
			     node->name, node->place.line);
}

static void check_network(struct build *b, const struct yaml_node *map, const struct config_network *network)
{
	if (network && network->mode != CONFIG_MODE_L3)
		report_value(b->report, yaml_get(map, "network"), CONF_PEER_NETWORK,
			     "%s (line %u) is an l2 network, and a WireGuard program carries packets and no frames; expected an "
			     "l3 network, from which its tenant's l2 networks are reached through their gateways",
			     network->full_name, network->place.line);
}

int build_peer(struct build *b, const struct yaml_node *map, struct config_port *p)
{
	const struct yaml_node *key = yaml_get(map, "public_key"), *endpoint = yaml_get(map, "endpoint");
	struct config_peer *peer = p->peer = calloc(1, sizeof(*peer));
	char interface[CONFIG_INTERFACE_SIZE];
	int r;

	if (!peer)
		return -ENOMEM;
	p->place = map->key_place;
	p->security = true;
	p->node = find_node(b, yaml_get(map, "node"));
	p->network = find_network(b, yaml_get(map, "network"));
	check_node(b, map, p->node);
	check_network(b, map, p->network);
	config_peer_interface(p->name, interface);
	p->interface = strdup(interface);
	if (!p->interface)
		return -ENOMEM;
	if (key && base64_decode(key->text, strlen(key->text), peer->public_key.bytes, sizeof(peer->public_key.bytes)) == 0)
		config_peer_mac(&peer->public_key, &p->mac);
	if (endpoint)
		value_endpoint(endpoint->text, &peer->endpoint, &peer->endpoint_port);
	peer->keepalive_s = (uint16_t)value_number(map, &schema_peer, "keepalive");
	r = value_copy(map, "preshared_key_file", &peer->preshared_key_file);
	return r < 0 ? r : value_addresses(yaml_get(map, "addresses"), &p->addresses, &p->n_addresses);
}
