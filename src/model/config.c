/* SPDX-License-Identifier: Apache-2.0 */
#include "model/config.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static void network_fini(struct config_network *n)
{
	free(n->name);
	free(n->full_name);
	free(n->subnets);
	free(n->gateways);
}

static void tenant_fini(struct config_tenant *t)
{
	for (size_t i = 0; i < t->n_networks; i++)
		network_fini(&t->networks[i]);
	free(t->networks);
	free(t->name);
}

static void node_fini(struct config_node *n)
{
	for (size_t i = 0; i < n->n_interfaces; i++)
		free(n->interfaces[i]);
	free(n->interfaces);
	free(n->underlay);
	free(n->networks);
	free(n->name);
}

static void port_fini(struct config_port *p)
{
	free(p->name);
	free(p->interface);
	free(p->addresses);
}

void config_free(struct config *c)
{
	if (!c)
		return;
	for (size_t i = 0; i < c->n_ports; i++)
		port_fini(&c->ports[i]);
	for (size_t i = 0; i < c->n_tenants; i++)
		tenant_fini(&c->tenants[i]);
	for (size_t i = 0; i < c->n_nodes; i++)
		node_fini(&c->nodes[i]);
	for (size_t i = 0; i < c->n_sites; i++)
		free(c->sites[i].name);
	free(c->ports);
	free(c->tenants);
	free(c->nodes);
	free(c->sites);
	hmap_fini(&c->node_by_name);
	hmap_fini(&c->tenant_by_name);
	hmap_fini(&c->network_by_name);
	hmap_fini(&c->port_by_name);
	free(c);
}

struct config_node *config_node(const struct config *c, const char *name)
{
	return hmap_get(&c->node_by_name, name);
}

struct config_tenant *config_tenant(const struct config *c, const char *name)
{
	return hmap_get(&c->tenant_by_name, name);
}

struct config_network *config_network(const struct config *c, const char *full_name)
{
	return hmap_get(&c->network_by_name, full_name);
}

struct config_port *config_port(const struct config *c, const char *name)
{
	return hmap_get(&c->port_by_name, name);
}

const char *config_mode_name(enum config_mode m)
{
	static const char *const names[] = {[CONFIG_MODE_L2] = "l2", [CONFIG_MODE_L3] = "l3"};

	static_assert(sizeof(names) / sizeof(names[0]) == CONFIG_MODE_MAX, "a name per mode");
	return names[m];
}

const char *config_encap_name(enum config_encap e)
{
	static const char *const names[] = {[CONFIG_ENCAP_VXLAN] = "vxlan"};

	static_assert(sizeof(names) / sizeof(names[0]) == CONFIG_ENCAP_MAX, "a name per encapsulation");
	return names[e];
}

const char *config_encryption_name(enum config_encryption e)
{
	static const char *const names[] = {[CONFIG_ENCRYPTION_NEVER] = "never"};

	static_assert(sizeof(names) / sizeof(names[0]) == CONFIG_ENCRYPTION_MAX, "a name per choice");
	return names[e];
}

static const struct addr *of_family(const struct config_node *n, bool v4)
{
	for (size_t i = 0; i < n->n_underlay; i++)
		if (addr_is_v4(&n->underlay[i]) == v4)
			return &n->underlay[i];
	return NULL;
}

const struct addr *config_path(const struct config_node *from, const struct config_node *to, const struct addr **source)
{
	for (size_t i = 0; i < to->n_underlay; i++) {
		const struct addr *own = of_family(from, addr_is_v4(&to->underlay[i]));

		if (own) {
			*source = own;
			return &to->underlay[i];
		}
	}
	return NULL;
}

void config_router_mac(const struct config_node *n, struct mac *out)
{
	struct addr both[2] = {};
	uint64_t h;

	/* In the order of the values, so that a change of preference does not change the MAC. */
	for (size_t i = 0; i < n->n_underlay && i < 2; i++)
		both[i] = n->underlay[i];
	if (n->n_underlay > 1 && addr_compare(&both[0], &both[1]) > 0) {
		both[0] = n->underlay[1];
		both[1] = n->underlay[0];
	}
	h = hash_stable(both, sizeof(both[0]) * n->n_underlay);
	*out = (struct mac){{0x02, 0x49, (uint8_t)(h >> 24), (uint8_t)(h >> 16), (uint8_t)(h >> 8), (uint8_t)h}};
}
