/* SPDX-License-Identifier: Apache-2.0 */
/*
 * secure_relay.c - nodes that are reached through another one: which, and what that leaves of a path.
 */
#include <string.h>

#include "agent/secure_state.h"
#include "agent/state.h"
#include "model/fwd.h"

static const struct config_node *node_of_key(const struct agent *a, const struct config_key *key)
{
	for (size_t i = 0; i < a->config->n_nodes; i++)
		if (config_key_is_set(key) && config_key_equal(&a->config->nodes[i].public_key, key))
			return &a->config->nodes[i];
	return NULL;
}

const struct config_node *secure_relay(const struct secure *s, const struct config_node *node)
{
	const struct peer_entry *e = s && config_key_is_set(&node->public_key) ? hmap_get(&s->peers, &node->public_key) : NULL;

	return e ? node_of_key(s->agent, &e->relay) : NULL;
}

/*
 * Of the second half nothing is known here but what the configuration says; where that is no less, it is as the first.  0:
 * there is no way to the relay.
 */
static uint32_t path_through(const struct secure *s, const struct config_node *relay, const struct config_node *node)
{
	const struct agent *a = s->agent;
	const struct addr *local, *first = config_path(a->self, relay, &local), *second = config_path(relay, node, &local),
			  *whole = config_path(a->self, node, &local);
	const struct wire_path *p = first ? hmap_get(&a->wire->paths, first) : NULL;
	uint32_t mtu;

	if (!p || !p->reachable || !second || !whole)
		return 0;
	mtu = secure_path_mtu(a, relay, first, p->path.mtu);
	return fwd_relay_mtu(mtu, addr_is_v4(first), config_path_mtu(relay, node, mtu), addr_is_v4(second), addr_is_v4(whole));
}

static void set_path(struct secure *s, const struct config_node *node, uint32_t mtu)
{
	for (size_t i = 0; i < node->n_underlay; i++)
		s->paths_changed |= wire_relay(s->agent->wire, &node->underlay[i], mtu);
}

static void follow(struct secure *s, const struct peer_entry *e)
{
	const struct config_node *node = node_of_key(s->agent, &e->key), *relay = node_of_key(s->agent, &e->relay);

	if (node)
		set_path(s, node, relay ? path_through(s, relay, node) : 0);
}

void secure_relays_follow(struct secure *s)
{
	struct peer_entry *e;

	for (size_t i = 0; (e = hmap_next(&s->peers, &i));)
		if (config_key_is_set(&e->relay))
			follow(s, e);
}

void secure_relay_note(struct secure *s, struct peer_entry *e, const struct tunnel_peer_status *status)
{
	static struct log_limit limit;
	const struct config_node *relay;
	struct config_key key = {{0}};

	if (status->endpoint.relay)
		memcpy(key.bytes, status->relay, sizeof(key.bytes));
	if (config_key_equal(&key, &e->relay))
		return;
	e->relay = key;
	relay = node_of_key(s->agent, &key);
	if (relay)
		log_limited(&limit, LOG_LEVEL_INFO,
			    "tunnel to node %s: it is not heard directly; what goes there goes through %s, and less fits into a packet",
			    e->node, relay->name);
	follow(s, e);
}

/* The node may have another key by now, or none. */
void secure_relay_forget(struct secure *s, struct peer_entry *e)
{
	const struct config *c = config_key_is_set(&e->relay) ? s->agent->config : NULL;
	const struct config_node *node = c ? config_node(c, e->node) : NULL;

	if (node)
		set_path(s, node, 0);
	e->relay = (struct config_key){{0}};
}
