/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Entries of the data plane that are there because a neighbor said so, as objects of `isthmus get`: the route leads to the
 * entry, and the entry has to lead to where the route says.
 */
#include <string.h>

#include "agent/bgp.h"
#include "agent/view.h"
#include "rib/rib.h"

struct learned {
	const struct config_network *network; /* NULL of a route that names the tenant only */
	const struct config_tenant *tenant;
	struct fwd entry, nexthop;
	const struct fwd_route *route; /* the kernel's, of a host without encapsulation; else NULL */
	const struct routes_candidate *candidate;
};

bool view_is_learned(const struct agent *a, const struct fwd *key)
{
	enum route_source source;

	return a->rib && rib_origin(a->rib, key, &source) && source == ROUTE_SOURCE_BGP &&
	       !rib_is_claimed(a->rib, key, ROUTE_SOURCE_CONFIG);
}

/* By the VNI that the route carries. */
static bool find_network(const struct agent *a, uint32_t vni, struct learned *l)
{
	const char *tenant, *network;

	if (!learn_vni(a->bgp->learn, vni, &tenant, &network))
		return false;
	l->tenant = config_tenant(a->config, tenant);
	l->network = network ? config_network(a->config, network) : NULL;
	return l->tenant && (l->network || !network);
}

static bool key_of(const struct route_nlri *nlri, enum fwd_kind kind, const struct learned *l, struct fwd *key)
{
	*key = (struct fwd){.kind = kind};
	if (kind == FWD_MAC) {
		key->mac.vni = l->network ? l->network->vni : 0;
		key->mac.mac = nlri->key.mac;
		return nlri->key.type == ROUTE_EVPN_MAC && l->network;
	}
	if (kind == FWD_HOST) {
		key->host.vrf = l->tenant->vni;
		key->host.addr = nlri->key.addr;
		return nlri->key.length == 128 && (nlri->key.type == ROUTE_EVPN_MAC || nlri->key.type == ROUTE_EVPN_PREFIX);
	}
	key->prefix.vrf = l->tenant->vni;
	key->prefix.prefix = (struct prefix){nlri->key.addr, nlri->key.length};
	return nlri->key.length < 128 && nlri->key.type == ROUTE_EVPN_PREFIX;
}

static uint64_t nexthop_of(const struct fwd *f)
{
	return f->kind == FWD_MAC ? f->mac.nexthop : f->kind == FWD_HOST ? f->host.nexthop : f->prefix.nexthop;
}

static bool nexthop_entry(const struct agent *a, struct learned *l)
{
	const struct fwd key = {.kind = FWD_NEXTHOP, .nexthop.owner = nexthop_of(&l->entry)};

	return table_get(a->dp, &key, &l->nexthop);
}

static const struct config_network *network_with(const struct config_tenant *t, const struct addr *host)
{
	for (size_t i = 0; i < t->n_networks; i++)
		for (size_t k = 0; k < t->networks[i].n_subnets; k++)
			if (prefix_contains(&t->networks[i].subnets[k], host))
				return &t->networks[i];
	return NULL;
}

/* Several neighbors may be its next hops at once: it is shown with the one that is best. */
static bool find_native(const struct agent *a, const struct routes_candidate *c, enum fwd_kind kind, struct learned *l)
{
	const struct fwd route = {.kind = FWD_ROUTE, .route.prefix = {c->nlri.key.addr, c->nlri.key.length}};
	const struct fwd *installed = rib_installed(a->rib, &route);
	struct fwd key = {.kind = FWD_HOST, .host.addr = c->nlri.key.addr};

	l->tenant = config_native(a->config);
	if (kind != FWD_HOST || !l->tenant || !installed)
		return false;
	l->route = &installed->route;
	l->network = network_with(l->tenant, &c->nlri.key.addr);
	key.host.vrf = l->tenant->vni;
	return view_is_learned(a, &key) && table_get(a->dp, &key, &l->entry) && nexthop_entry(a, l) &&
	       learn_stands_for(a->bgp->learn, &key, c);
}

static bool find(const struct agent *a, const struct routes_candidate *c, enum fwd_kind kind, struct learned *out)
{
	struct fwd key;

	*out = (struct learned){.candidate = c};
	if (!a->dp || !a->config)
		return false;
	if (c->nlri.key.family != ROUTE_EVPN)
		return find_native(a, c, kind, out);
	if (c->nlri.n_labels == 0 || !find_network(a, c->nlri.label[0], out) || !key_of(&c->nlri, kind, out, &key))
		return false;
	if (!view_is_learned(a, &key) || !table_get(a->dp, &key, &out->entry))
		return false;
	/* Many say it: with an address and without, each node with a distinguisher of its own, every reflector. */
	return nexthop_entry(a, out) && addr_equal(&out->nexthop.nexthop.remote, &c->attrs->next_hop) &&
	       learn_stands_for(a->bgp->learn, &key, c);
}

/* The node of the file at that address, or the address. */
static const char *place_at(const struct agent *a, const struct addr *vtep, char text[static ADDR_TEXT_SIZE])
{
	const char *name = rib_node_name(a->rib, vtep);

	return name ? name : addr_format(vtep, text);
}

static void put_where(struct json *j, const struct agent *a, const struct learned *l)
{
	char text[ADDR_TEXT_SIZE];
	const struct addr *first = l->route ? &l->route->hops[0] : &l->nexthop.nexthop.remote;
	const char *place = place_at(a, first, text);
	char all[FWD_ROUTE_HOPS * (CONFIG_NAME_MAX + 3)];
	int length = snprintf(all, sizeof(all), "%s", place);

	json_put_string(j, "node", place);
	for (size_t i = 1; l->route && i < l->route->n_hops; i++)
		length += snprintf(all + length, sizeof(all) - (size_t)length, ", %s",
				   place_at(a, &l->route->hops[i], text));
	json_key(j, "via");
	json_format(j, "%s %s", l->route && l->route->n_hops > 1 ? "nodes" : "node", all);
}

static void put_source(struct json *j, const struct learned *l)
{
	char text[ADDR_TEXT_SIZE];

	json_key(j, "source");
	json_format(j, "bgp %s", addr_format(&l->candidate->neighbor->address, text));
	json_put_bool(j, "installed", true);
}

static const char *network_name(const struct learned *l)
{
	return l->network ? l->network->full_name : "";
}

bool view_learned_mac(struct json *j, const struct agent *a, const struct routes_candidate *c,
		      const char *scope)
{
	char mac[MAC_TEXT_SIZE];
	struct learned l;

	if (!find(a, c, FWD_MAC, &l) || (scope && strcmp(scope, l.network->full_name) != 0))
		return false;
	mac_format(&c->nlri.key.mac, mac);
	view_begin(j, "Mac");
	json_key(j, "name");
	json_format(j, "%s/%s", l.network->full_name, mac);
	json_put_string(j, "network", l.network->full_name);
	json_put_uint(j, "vni", l.network->vni);
	json_put_string(j, "mac", mac);
	json_put_string(j, "port", "");
	put_where(j, a, &l);
	put_source(j, &l);
	json_object_close(j);
	return true;
}

bool view_learned_host(struct json *j, const struct agent *a, const struct routes_candidate *c, const char *scope)
{
	char address[ADDR_TEXT_SIZE], mac[MAC_TEXT_SIZE];
	struct learned l;

	if (!find(a, c, FWD_HOST, &l) || (scope && strcmp(scope, l.tenant->name) != 0))
		return false;
	addr_format(&c->nlri.key.addr, address);
	view_begin(j, "Host");
	json_key(j, "name");
	json_format(j, "%s/%s", l.tenant->name, address);
	json_put_string(j, "tenant", l.tenant->name);
	json_put_string(j, "network", network_name(&l));
	json_put_string(j, "address", address);
	json_put_string(j, "mac", mac_format(&l.entry.host.mac, mac));
	json_put_string(j, "port", "");
	put_where(j, a, &l);
	put_source(j, &l);
	json_object_close(j);
	return true;
}

static void put_native(struct json *j)
{
	json_put_string(j, "vtep", NULL);
	json_put_string(j, "encap", config_encap_name(CONFIG_ENCAP_NONE));
	json_put_null(j, "vni");
}

static void put_tunnel(struct json *j, const struct agent *a, const struct learned *l, bool host)
{
	char vtep[ADDR_TEXT_SIZE];
	uint32_t vni = l->entry.prefix.vni;

	if (host)
		vni = l->entry.host.l3 || !l->nexthop.nexthop.foreign ? l->tenant->vni : l->entry.host.vni;
	json_put_string(j, "vtep", addr_format(&l->nexthop.nexthop.remote, vtep));
	json_put_string(j, "encap", config_encap_name(l->network ? l->network->encap : a->config->encap));
	json_put_uint(j, "vni", vni);
}

bool view_learned_route(struct json *j, const struct agent *a, const struct routes_candidate *c, const char *scope)
{
	struct prefix prefix = {c->nlri.key.addr, c->nlri.key.length};
	char text[PREFIX_TEXT_SIZE];
	bool host = prefix.length == 128;
	struct learned l;

	if (!find(a, c, host ? FWD_HOST : FWD_PREFIX, &l) || (scope && strcmp(scope, l.tenant->name) != 0))
		return false;
	prefix_format(&prefix, text);
	view_begin(j, "Route");
	json_key(j, "name");
	json_format(j, "%s/%s", l.tenant->name, text);
	json_put_string(j, "tenant", l.tenant->name);
	json_put_string(j, "prefix", text);
	json_put_string(j, "network", network_name(&l));
	json_put_string(j, "type", host ? "host" : "prefix");
	put_where(j, a, &l);
	if (l.route)
		put_native(j);
	else
		put_tunnel(j, a, &l, host);
	json_put_uint(j, "mtu", l.nexthop.nexthop.mtu);
	put_source(j, &l);
	json_object_close(j);
	return true;
}
