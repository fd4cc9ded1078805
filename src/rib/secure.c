/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is encrypted between this node and others.  config_encrypts decides; it tells few kinds of networks and tenants
 * apart, so its answers for all of them are a word of bits in every node, and no route that comes later asks again.
 *
 * A change can be eased: other nodes learn of it earlier or later.  Until that is over a network is sent encrypted if it is
 * or was, and taken in clear text if it may or might be: nothing is lost on the way, in neither direction, and what is to be
 * encrypted is so at once.
 */
#include <assert.h>

#include "rib/object.h"

#define NETWORK_KINDS (1 + CONFIG_ENCRYPTION_MAX) /* says nothing itself, or one of these words */
#define TENANT_KINDS (2 * CONFIG_ENCRYPTION_MAX)  /* the strictest word of a network, and whether one says nothing */

static_assert(NETWORK_KINDS + TENANT_KINDS <= 16, "a bit each");

static uint16_t network_kind(const struct config_network *c)
{
	return c->encryption_own ? (uint16_t)(1 + c->encryption) : 0;
}

static uint16_t tenant_kind(const struct config_tenant *c)
{
	return (uint16_t)(NETWORK_KINDS + 2 * c->encryption_own + c->encryption_inherited);
}

/* Of a node, or of a VTEP that no file names. */
static uint16_t answers(const struct config *c, const struct config_node *self, const struct config_node *node)
{
	uint16_t bits = 0;

	for (unsigned e = 0; e < CONFIG_ENCRYPTION_MAX; e++) {
		const struct config_network network = {.encryption_own = true, .encryption = e};

		bits |= (uint16_t)(config_encrypts(c, &network, self, node) << network_kind(&network));
		for (unsigned inherited = 0; inherited < 2; inherited++) {
			const struct config_tenant tenant = {.encryption_own = e, .encryption_inherited = inherited};

			bits |= (uint16_t)(config_encrypts_tenant(c, &tenant, self, node) << tenant_kind(&tenant));
		}
	}
	return bits | config_encrypts(c, &(struct config_network){}, self, node);
}

/* True: it is another one. */
static bool eased_set(struct rib *rib, struct eased *e, uint16_t value)
{
	const struct eased old = *e;

	e->now = value;
	if (!rib->easing || !e->known)
		e->before = value;
	rib->eased |= rib->easing && e->known && e->now != old.now;
	e->known = true;
	return e->now != old.now || e->before != old.before;
}

static bool eased_end(struct eased *e)
{
	if (e->before == e->now)
		return false;
	e->before = e->now;
	return true;
}

void secure_put_network(struct rib *rib, struct network *n, const struct config_network *c)
{
	if (eased_set(rib, &n->secure, network_kind(c)))
		network_touch(rib, n);
}

void secure_put_tenant(struct rib *rib, struct tenant *t, const struct config_tenant *c)
{
	if (eased_set(rib, &t->secure, tenant_kind(c)))
		tenant_touch(rib, t);
}

void secure_load(struct rib *rib, const struct config *c, const struct config_node *self)
{
	struct node *n;

	for (size_t i = 0; i < c->n_nodes; i++) {
		n = hmap_get(&rib->nodes, c->nodes[i].name);
		if (n && eased_set(rib, &n->secure, answers(c, self, &c->nodes[i])))
			node_touch(rib, n);
	}
	if (!eased_set(rib, &rib->strangers, answers(c, self, NULL)))
		return;
	for (n = LIST_FIRST(&rib->unlisted); n; n = LIST_NEXT(n, of_unlisted)) {
		n->secure = rib->strangers;
		node_touch(rib, n);
	}
}

static bool asks(uint16_t answers, uint16_t kind)
{
	return answers >> kind & 1;
}

bool secure_out(const struct node *node, const struct eased *kind)
{
	return asks(node->secure.now, kind->now) || asks(node->secure.before, kind->before);
}

bool secure_in(const struct node *node, const struct eased *kind)
{
	return asks(node->secure.now, kind->now) && asks(node->secure.before, kind->before);
}

bool rib_eased(struct rib *rib)
{
	bool eased = rib->eased;

	rib->eased = false;
	return eased;
}

void rib_ease(struct rib *rib, bool on)
{
	struct network *network;
	struct tenant *tenant;
	struct node *node;

	rib->easing = on;
	if (on)
		return;
	for (size_t i = 0; (network = hmap_next(&rib->networks, &i));)
		if (eased_end(&network->secure))
			network_touch(rib, network);
	for (size_t i = 0; (tenant = hmap_next(&rib->tenants, &i));)
		if (eased_end(&tenant->secure))
			tenant_touch(rib, tenant);
	for (size_t i = 0; (node = hmap_next(&rib->nodes, &i));)
		if (eased_end(&node->secure))
			node_touch(rib, node);
	eased_end(&rib->strangers);
	for (node = LIST_FIRST(&rib->unlisted); node; node = LIST_NEXT(node, of_unlisted))
		if (eased_end(&node->secure))
			node_touch(rib, node);
}
