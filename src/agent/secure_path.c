/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "agent/secure_state.h"
#include "agent/state.h"
#include "model/fwd.h"
#include "rib/rib.h"

uint32_t secure_path_mtu(const struct agent *a, const struct config_node *node, const struct addr *remote, uint32_t mtu)
{
	return config_path_mtu(a->self, node, a->wire ? wire_mtu(a->wire, remote, mtu) : mtu);
}

/* Without what was measured, which is to be found. */
uint16_t secure_path_told(const struct secure *s, const struct config *c, const struct config_node *self,
			  const struct config_node *node)
{
	const struct addr *local, *remote = config_path(self, node, &local);
	const struct wire_path *p = remote ? hmap_get(&s->agent->wire->paths, remote) : NULL;
	uint32_t mtu = p && p->reachable ? config_path_mtu(self, node, p->path.mtu) : 0;

	return mtu < UINT16_MAX ? (uint16_t)mtu : UINT16_MAX;
}

void secure_path_forget(struct secure *s, struct peer_entry *e)
{
	while (e->n_limited > 0)
		s->paths_changed |= wire_measure(s->agent->wire, &e->limited[--e->n_limited], 0) > 0;
}

/* For a peer that is spoken to by one family packets with outer headers of the other are not as long. */
static uint32_t limit_for(const struct tunnel_peer_status *status, const struct addr *remote)
{
	bool v4 = addr_is_v4(&status->endpoint.addr);

	return status->path.limit - FWD_OVERHEAD_SECURE(v4) + FWD_OVERHEAD_SECURE(addr_is_v4(remote));
}

static void take_limit(struct secure *s, struct peer_entry *e, const struct config_node *node,
		       const struct tunnel_peer_status *status)
{
	struct agent *a = s->agent;
	int r = 0;

	secure_path_forget(s, e);
	for (size_t i = 0; status->path.limit > 0 && i < node->n_underlay && i < TUNNEL_ADDRESSES_MAX && r >= 0; i++) {
		const struct addr *remote = &node->underlay[i];

		r = wire_measure(a->wire, remote, limit_for(status, remote));
		if (r >= 0)
			e->limited[e->n_limited++] = *remote;
		s->paths_changed |= r > 0;
	}
	e->measured = r == -ENOMEM; /* the next time */
}

static void tell_limit(struct secure *s, const struct peer_entry *e, const struct tunnel_peer_status *status)
{
	static struct log_limit limit;

	if (status->path.limit > 0)
		log_limited(&limit, LOG_LEVEL_WARNING,
			    "path to node %s: packets of %u bytes get through, of the %u that links and routes here promise, and "
			    "nobody on the way says so; taken into account",
			    e->node, status->path.limit, e->path_mtu);
	else if (status->path.mtu > 0) /* it is not only another path, or none */
		log_limited(&limit, LOG_LEVEL_INFO, "path to node %s: packets of %u bytes get through", e->node, e->path_mtu);
}

static void follow(struct secure *s, const struct config_node *node)
{
	const struct agent *a = s->agent;
	struct peer_entry *e = hmap_get(&s->peers, &node->public_key);
	struct tunnel_peer_status status;
	uint16_t told;

	if (!e || !e->held)
		return;
	told = secure_path_told(s, a->config, a->self, node);
	if (told != e->path_mtu && tunnel_peer_path(s->tunnel, e->key.bytes, told) == 0)
		e->path_mtu = told;
	if (!e->measured || tunnel_peer_status(s->tunnel, e->key.bytes, &status) < 0)
		return;
	tell_limit(s, e, &status);
	take_limit(s, e, node, &status);
}

void secure_paths_follow(struct secure *s)
{
	struct agent *a = s->agent;

	for (size_t i = 0; s->tunnel && i < a->config->n_nodes; i++)
		if (secure_is_peer(a->self, &a->config->nodes[i]))
			follow(s, &a->config->nodes[i]);
	if (!s->paths_changed)
		return;
	s->paths_changed = false;
	wire_tell(a->wire, a->rib);
	agent_settle(a);
	agent_check_paths(a);
}
