/* SPDX-License-Identifier: Apache-2.0 */
#include "model/config.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/fwd.h"

static void targets_fini(struct config_targets *t)
{
	free(t->items);
}

static void network_fini(struct config_network *n)
{
	targets_fini(&n->import);
	targets_fini(&n->export);
	free(n->name);
	free(n->full_name);
	free(n->subnets);
	free(n->gateways);
}

static void tenant_fini(struct config_tenant *t)
{
	for (size_t i = 0; i < t->n_networks; i++)
		network_fini(&t->networks[i]);
	targets_fini(&t->import);
	targets_fini(&t->export);
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
	if (p->peer)
		free(p->peer->preshared_key_file);
	free(p->peer);
	free(p->name);
	free(p->interface);
	free(p->addresses);
}

static void runtime_free(struct config_port *p)
{
	port_fini(p);
	free(p);
}

static void neighbor_fini(struct config_neighbor *n)
{
	free(n->name);
	free(n->nodes);
	free(n->password_file);
	free(n->import.tenants);
	free(n->export.tenants);
	free(n->description);
}

static void bgp_free(struct config_bgp *b)
{
	if (!b)
		return;
	for (size_t i = 0; i < b->n_neighbors; i++)
		neighbor_fini(&b->neighbors[i]);
	free(b->neighbors);
	free(b->reflectors);
	free(b->password_file);
	free(b);
}

void config_free(struct config *c)
{
	if (!c)
		return;
	bgp_free(c->bgp);
	for (size_t i = 0; i < c->n_ports; i++)
		port_fini(&c->ports[i]);
	for (size_t i = 0; i < c->n_runtime; i++)
		runtime_free(c->runtime[i]);
	for (size_t i = 0; i < c->n_tenants; i++)
		tenant_fini(&c->tenants[i]);
	for (size_t i = 0; i < c->n_nodes; i++)
		node_fini(&c->nodes[i]);
	for (size_t i = 0; i < c->n_pairs; i++) {
		free(c->pairs[i].name);
		free(c->pairs[i].preshared_key_file);
	}
	for (size_t i = 0; i < c->n_sites; i++)
		free(c->sites[i].name);
	free(c->ports);
	free(c->runtime);
	free(c->tenants);
	free(c->nodes);
	free(c->pairs);
	free(c->sites);
	free(c->preshared_key_file);
	hmap_fini(&c->node_by_name);
	hmap_fini(&c->tenant_by_name);
	hmap_fini(&c->network_by_name);
	hmap_fini(&c->port_by_name);
	hmap_fini(&c->pair_by_sites);
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
	static const char *const names[] = {[CONFIG_ENCAP_VXLAN] = "vxlan", [CONFIG_ENCAP_NONE] = "none"};

	static_assert(sizeof(names) / sizeof(names[0]) == CONFIG_ENCAP_MAX, "a name per encapsulation");
	return names[e];
}

const char *config_encryption_name(enum config_encryption e)
{
	static const char *const names[] = {[CONFIG_ENCRYPTION_NEVER] = "never",
					    [CONFIG_ENCRYPTION_BETWEEN_SITES] = "between-sites",
					    [CONFIG_ENCRYPTION_ALWAYS] = "always"};

	static_assert(sizeof(names) / sizeof(names[0]) == CONFIG_ENCRYPTION_MAX, "a name per choice");
	return names[e];
}

const char *config_mesh_name(enum config_mesh m)
{
	static const char *const names[] = {[CONFIG_MESH_AUTO] = "auto", [CONFIG_MESH_NONE] = "none"};

	static_assert(sizeof(names) / sizeof(names[0]) == CONFIG_MESH_MAX, "a name per choice");
	return names[m];
}

/* ---- encryption ---- */

struct config_pair *config_pair(const struct config *c, const struct config_site *a, const struct config_site *b)
{
	const struct config_site *key[] = {a < b ? a : b, a < b ? b : a}; /* sites are in one array, by name */

	return c->n_pairs > 0 ? hmap_get(&c->pair_by_sites, key) : NULL;
}

static bool encrypts_by(enum config_encryption e, const struct config_node *a, const struct config_node *b)
{
	return e == CONFIG_ENCRYPTION_ALWAYS || (e == CONFIG_ENCRYPTION_BETWEEN_SITES && (!b || a->site != b->site));
}

/* What has no word of its own. */
static bool encrypts_inherited(const struct config *c, const struct config_node *a, const struct config_node *b)
{
	const struct config_pair *p = b ? config_pair(c, a->site, b->site) : NULL;

	return p ? p->encrypts : encrypts_by(c->encryption, a, b);
}

bool config_encrypts(const struct config *c, const struct config_network *network, const struct config_node *a,
		     const struct config_node *b)
{
	return network->encryption_own ? encrypts_by(network->encryption, a, b) : encrypts_inherited(c, a, b);
}

bool config_encrypts_tenant(const struct config *c, const struct config_tenant *tenant, const struct config_node *a,
			    const struct config_node *b)
{
	return encrypts_by(tenant->encryption_own, a, b) ||
	       (tenant->encryption_inherited && encrypts_inherited(c, a, b));
}

bool config_encrypts_any(const struct config *c, const struct config_node *a, const struct config_node *b)
{
	for (size_t i = 0; i < c->n_tenants; i++)
		if (config_encrypts_tenant(c, &c->tenants[i], a, b))
			return true;
	return false;
}

bool config_key_is_set(const struct config_key *k)
{
	static const struct config_key none;

	return !config_key_equal(k, &none);
}

bool config_key_equal(const struct config_key *a, const struct config_key *b)
{
	return memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}

const char *config_preshared_key_file(const struct config *c, const struct config_node *a, const struct config_node *b)
{
	const struct config_pair *p = config_pair(c, a->site, b->site);

	return p && p->preshared_key_file ? p->preshared_key_file : c->preshared_key_file;
}

/* ---- BGP ---- */

bool config_has_mesh(const struct config *c)
{
	return c->bgp && c->bgp->mesh == CONFIG_MESH_AUTO && c->bgp->n_reflectors == 0;
}

bool config_peers(const struct config_neighbor *neighbor, const struct config_node *node)
{
	for (size_t i = 0; i < neighbor->n_nodes; i++)
		if (neighbor->nodes[i] == node)
			return true;
	return neighbor->n_nodes == 0 && !node->foreign;
}

uint32_t config_default_families(const struct config_bgp *b, uint32_t remote_as)
{
	return remote_as == b->as ? CONFIG_ALL_FAMILIES : ROUTE_FAMILY_BIT(ROUTE_IPV4) | ROUTE_FAMILY_BIT(ROUTE_IPV6);
}

const struct addr *config_underlay(const struct config_node *n, bool v4)
{
	for (size_t i = 0; i < n->n_underlay; i++)
		if (addr_is_v4(&n->underlay[i]) == v4)
			return &n->underlay[i];
	return NULL;
}

uint32_t config_default_router_id(const struct config_node *n)
{
	const struct addr *v4 = config_underlay(n, true);

	if (!v4) /* any but 0 will do (RFC 6286 2.1); some routers refuse those that look like classes D and E */
		return 1 + (uint32_t)(hash_stable_string(n->name) % 0xdfffffff);
	return addr_v4_number(v4);
}

/* ---- ports ---- */

size_t config_n_ports(const struct config *c)
{
	return c->n_ports + c->n_runtime;
}

struct config_port *config_walk(const struct config *c, struct config_walk *w)
{
	struct config_port *p = w->at < c->n_ports ? &c->ports[w->at] : NULL;
	struct config_port *runtime = w->at_runtime < c->n_runtime ? c->runtime[w->at_runtime] : NULL;

	if (!runtime || (p && strcmp(p->name, runtime->name) < 0)) {
		w->at += p != NULL;
		return p;
	}
	w->at_runtime++;
	return runtime;
}

/* How many of the ports added at run time are before a name. */
static size_t runtime_position(const struct config *c, const char *name)
{
	size_t low = 0, high = c->n_runtime;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (strcmp(c->runtime[middle]->name, name) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

struct config_walk config_walk_from(const struct config *c, const char *name)
{
	size_t low = 0, high = c->n_ports;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (strcmp(c->ports[middle].name, name) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return (struct config_walk){low, runtime_position(c, name)};
}

static void count_port(struct config_port *p, size_t by)
{
	if (!p->node || !p->network) /* of a text with errors */
		return;
	p->node->n_ports += by;
	p->node->n_peers += p->peer ? by : 0;
	p->network->n_ports += by;
	p->network->tenant->n_ports += by;
}

void config_count_ports(struct config *c)
{
	for (size_t i = 0; i < c->n_ports; i++)
		count_port(&c->ports[i], 1);
}

int config_add_runtime(struct config *c, struct config_port *p)
{
	size_t at = runtime_position(c, p->name);
	int r;

	if ((c->n_runtime & (c->n_runtime - 1)) == 0) { /* full: it holds a power of two */
		size_t room = c->n_runtime ? 2 * c->n_runtime : 1;
		struct config_port **all = reallocarray(c->runtime, room, sizeof(struct config_port *));

		if (!all)
			return -ENOMEM;
		c->runtime = all;
	}
	r = hmap_add(&c->port_by_name, p);
	if (r < 0)
		return r;
	memmove(c->runtime + at + 1, c->runtime + at, (c->n_runtime - at) * sizeof(struct config_port *));
	c->runtime[at] = p;
	c->n_runtime++;
	count_port(p, 1);
	return 0;
}

void config_remove_runtime(struct config *c, struct config_port *p)
{
	size_t at = runtime_position(c, p->name);

	hmap_remove(&c->port_by_name, p->name);
	count_port(p, (size_t)-1);
	c->n_runtime--;
	memmove(c->runtime + at, c->runtime + at + 1, (c->n_runtime - at) * sizeof(struct config_port *));
	runtime_free(p);
}

/* ---- comparing ---- */

static bool text_equal(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

static bool addrs_equal(const struct addr *a, size_t n_a, const struct addr *b, size_t n_b)
{
	return n_a == n_b && (n_a == 0 || memcmp(a, b, n_a * sizeof(*a)) == 0);
}

static bool node_equal(const struct config_node *a, const struct config_node *b)
{
	if (!text_equal(a->name, b->name) || !text_equal(a->site->name, b->site->name) || a->mtu != b->mtu ||
	    a->foreign != b->foreign || a->nat != b->nat || a->relay != b->relay ||
	    !config_key_equal(&a->public_key, &b->public_key) ||
	    a->n_interfaces != b->n_interfaces || a->n_networks != b->n_networks ||
	    !addrs_equal(a->underlay, a->n_underlay, b->underlay, b->n_underlay))
		return false;
	for (size_t i = 0; i < a->n_interfaces; i++)
		if (!text_equal(a->interfaces[i], b->interfaces[i]))
			return false;
	for (size_t i = 0; i < a->n_networks; i++)
		if (!text_equal(a->networks[i]->full_name, b->networks[i]->full_name))
			return false;
	return true;
}

static bool network_equal(const struct config_network *a, const struct config_network *b)
{
	if (!text_equal(a->full_name, b->full_name) || a->mode != b->mode || a->vni != b->vni || a->encap != b->encap ||
	    a->encryption != b->encryption || a->encryption_own != b->encryption_own || a->flood != b->flood ||
	    a->storm_limit != b->storm_limit || a->n_subnets != b->n_subnets ||
	    !addrs_equal(a->gateways, a->n_gateways, b->gateways, b->n_gateways))
		return false;
	for (size_t i = 0; i < a->n_subnets; i++)
		if (a->subnets[i].length != b->subnets[i].length ||
		    !addr_equal(&a->subnets[i].addr, &b->subnets[i].addr))
			return false;
	return true;
}

static bool pair_equal(const struct config_pair *a, const struct config_pair *b)
{
	return text_equal(a->name, b->name) && text_equal(a->sites[0]->name, b->sites[0]->name) &&
	       text_equal(a->sites[1]->name, b->sites[1]->name) && a->encrypts == b->encrypts &&
	       text_equal(a->preshared_key_file, b->preshared_key_file);
}

static bool tenant_equal(const struct config_tenant *a, const struct config_tenant *b)
{
	if (!text_equal(a->name, b->name) || a->vni != b->vni || a->n_networks != b->n_networks)
		return false;
	for (size_t i = 0; i < a->n_networks; i++)
		if (!network_equal(&a->networks[i], &b->networks[i]))
			return false;
	return true;
}

static bool peer_equal(const struct config_peer *a, const struct config_peer *b)
{
	if (!a || !b)
		return a == b;
	return config_key_equal(&a->public_key, &b->public_key) &&
	       text_equal(a->preshared_key_file, b->preshared_key_file) && addr_equal(&a->endpoint, &b->endpoint) &&
	       a->endpoint_port == b->endpoint_port && a->keepalive_s == b->keepalive_s;
}

static bool port_equal(const struct config_port *a, const struct config_port *b)
{
	return text_equal(a->name, b->name) && text_equal(a->node->name, b->node->name) &&
	       text_equal(a->interface, b->interface) && text_equal(a->network->full_name, b->network->full_name) &&
	       mac_equal(&a->mac, &b->mac) && addrs_equal(a->addresses, a->n_addresses, b->addresses, b->n_addresses) &&
	       a->security == b->security && a->allow == b->allow && a->storm_limit == b->storm_limit &&
	       peer_equal(a->peer, b->peer);
}

static bool ports_equal(const struct config *a, const struct config *b)
{
	struct config_walk at_a = {0}, at_b = {0};
	const struct config_port *p;

	while ((p = config_walk(a, &at_a)))
		if (!port_equal(p, config_walk(b, &at_b)))
			return false;
	return true;
}

static bool targets_equal(const struct config_targets *a, const struct config_targets *b)
{
	return a->length == b->length &&
	       (a->length == 0 || memcmp(a->items, b->items, a->length * sizeof(a->items[0])) == 0);
}

static bool grants_equal(const struct config_grant *a, const struct config_grant *b)
{
	if (a->all != b->all || a->n_tenants != b->n_tenants)
		return false;
	for (size_t i = 0; i < a->n_tenants; i++)
		if (!text_equal(a->tenants[i]->name, b->tenants[i]->name))
			return false;
	return true;
}

static bool neighbor_equal(const struct config_neighbor *a, const struct config_neighbor *b)
{
	if (!text_equal(a->name, b->name) || !addr_equal(&a->address, &b->address) || a->remote_as != b->remote_as ||
	    a->families != b->families || a->n_nodes != b->n_nodes ||
	    !text_equal(a->password_file, b->password_file) || a->ttl_hops != b->ttl_hops ||
	    a->max_prefix != b->max_prefix || !grants_equal(&a->import, &b->import) ||
	    !grants_equal(&a->export, &b->export) || a->hold_s != b->hold_s || a->restart_s != b->restart_s ||
	    a->disable_family != b->disable_family || a->passive != b->passive || a->shutdown != b->shutdown ||
	    !text_equal(a->description, b->description))
		return false;
	for (size_t i = 0; i < a->n_nodes; i++)
		if (!text_equal(a->nodes[i]->name, b->nodes[i]->name))
			return false;
	return true;
}

static bool sessions_equal(const struct config_bgp *a, const struct config_bgp *b)
{
	if (!a || !b)
		return a == b;
	if (a->as != b->as || a->mesh != b->mesh ||
	    !addrs_equal(a->reflectors, a->n_reflectors, b->reflectors, b->n_reflectors) || a->hold_s != b->hold_s ||
	    a->restart_s != b->restart_s || a->port != b->port || !text_equal(a->password_file, b->password_file) ||
	    a->n_neighbors != b->n_neighbors)
		return false;
	for (size_t i = 0; i < a->n_neighbors; i++)
		if (!neighbor_equal(&a->neighbors[i], &b->neighbors[i]))
			return false;
	return true;
}

static bool tenant_targets_equal(const struct config_tenant *a, const struct config_tenant *b)
{
	if (!targets_equal(&a->import, &b->import) || !targets_equal(&a->export, &b->export) ||
	    a->n_networks != b->n_networks)
		return false;
	for (size_t i = 0; i < a->n_networks; i++)
		if (!targets_equal(&a->networks[i].import, &b->networks[i].import) ||
		    !targets_equal(&a->networks[i].export, &b->networks[i].export))
			return false;
	return true;
}

bool config_bgp_equal(const struct config *a, const struct config *b)
{
	if (a->n_nodes != b->n_nodes || a->n_tenants != b->n_tenants || !sessions_equal(a->bgp, b->bgp))
		return false;
	for (size_t i = 0; i < a->n_nodes; i++)
		if (a->nodes[i].router_id != b->nodes[i].router_id)
			return false;
	for (size_t i = 0; i < a->n_tenants; i++)
		if (!tenant_targets_equal(&a->tenants[i], &b->tenants[i]))
			return false;
	return true;
}

bool config_equal(const struct config *a, const struct config *b)
{
	if (a->encap != b->encap || a->encryption != b->encryption || a->wireguard_port != b->wireguard_port ||
	    !text_equal(a->preshared_key_file, b->preshared_key_file) || a->vxlan_port != b->vxlan_port ||
	    !mac_equal(&a->gateway_mac, &b->gateway_mac) || a->storm_limit != b->storm_limit ||
	    a->icmp_limit != b->icmp_limit || a->n_sites != b->n_sites || a->n_pairs != b->n_pairs ||
	    a->n_nodes != b->n_nodes || a->n_tenants != b->n_tenants || config_n_ports(a) != config_n_ports(b))
		return false;
	for (size_t i = 0; i < a->n_sites; i++)
		if (!text_equal(a->sites[i].name, b->sites[i].name))
			return false;
	for (size_t i = 0; i < a->n_pairs; i++)
		if (!pair_equal(&a->pairs[i], &b->pairs[i]))
			return false;
	for (size_t i = 0; i < a->n_nodes; i++)
		if (!node_equal(&a->nodes[i], &b->nodes[i]))
			return false;
	for (size_t i = 0; i < a->n_tenants; i++)
		if (!tenant_equal(&a->tenants[i], &b->tenants[i]))
			return false;
	return config_bgp_equal(a, b) && ports_equal(a, b);
}

const struct addr *config_path(const struct config_node *from, const struct config_node *to, const struct addr **source)
{
	for (size_t i = 0; i < to->n_underlay; i++) {
		const struct addr *own = config_underlay(from, addr_is_v4(&to->underlay[i]));

		if (own) {
			*source = own;
			return &to->underlay[i];
		}
	}
	return NULL;
}

uint32_t config_path_mtu(const struct config_node *from, const struct config_node *to, uint32_t mtu)
{
	if (from->mtu && from->mtu < mtu)
		mtu = from->mtu;
	return to->mtu && to->mtu < mtu ? to->mtu : mtu;
}

const struct addr *config_session(const struct config_node *self, const struct config_node *other,
				  const struct addr **source)
{
	const struct addr *local, *remote;

	if (self->router_id > other->router_id)
		return config_path(self, other, source);
	local = config_path(other, self, &remote);
	if (!local)
		return NULL;
	*source = local;
	return remote;
}

bool config_session_is_inside(const struct config *c, const struct config_node *a, const struct config_node *b)
{
	return a != b && !a->foreign && !b->foreign && config_key_is_set(&a->public_key) &&
	       config_key_is_set(&b->public_key) && config_encrypts_any(c, a, b);
}

const struct config_node *config_node_at(const struct config *c, const struct addr *underlay)
{
	for (size_t i = 0; i < c->n_nodes; i++)
		for (size_t k = 0; k < c->nodes[i].n_underlay; k++)
			if (addr_equal(&c->nodes[i].underlay[k], underlay))
				return &c->nodes[i];
	return NULL;
}

/* By the network's next hops goes what is routed in the tenant, too. */
static bool network_is_routed(const struct config_network *n)
{
	return n->mode == CONFIG_MODE_L3 || n->n_gateways > 0;
}

bool config_encrypts_nexthop(const struct config *c, const struct config_node *self, const struct fwd_nexthop *n)
{
	const struct config_node *node = config_node_at(c, &n->remote);
	char text[ADDR_TEXT_SIZE];
	const char *name = node ? node->name : addr_format(&n->remote, text);

	if (!config_encrypts_any(c, self, node))
		return false;
	for (size_t i = 0; i < c->n_tenants; i++) {
		const struct config_tenant *t = &c->tenants[i];
		bool routed = config_encrypts_tenant(c, t, self, node);

		if (n->owner == fwd_owner_router(t->name, name, &n->router_mac))
			return routed;
		for (size_t k = 0; k < t->n_networks; k++) {
			const struct config_network *network = &t->networks[k];

			if (n->owner == fwd_owner_tunnel(network->full_name, name))
				return config_encrypts(c, network, self, node) || (routed && network_is_routed(network));
		}
	}
	return true;
}

const struct config_tenant *config_native(const struct config *c)
{
	for (size_t t = 0; t < c->n_tenants; t++)
		for (size_t i = 0; i < c->tenants[t].n_networks; i++)
			if (c->tenants[t].networks[i].encap == CONFIG_ENCAP_NONE)
				return &c->tenants[t];
	return NULL;
}

/* A name that is too long gives way to a part of it and to what makes it this one. */
void config_peer_interface(const char *name, char out[static CONFIG_INTERFACE_SIZE])
{
	static const char front[] = "wg-";

	if (strlen(front) + strlen(name) < CONFIG_INTERFACE_SIZE)
		snprintf(out, CONFIG_INTERFACE_SIZE, "%s%s", front, name);
	else
		snprintf(out, CONFIG_INTERFACE_SIZE, "%s%.5s-%06x", front, name,
			 (unsigned)(hash_stable_string(name) & 0xffffff));
}

/* Keys are numbers that nobody chose: five bytes of one are as good as of a hash. */
void config_peer_mac(const struct config_key *key, struct mac *out)
{
	const uint8_t *k = key->bytes;

	*out = (struct mac){{0x02, k[0], k[1], k[2], k[3], k[4]}};
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
