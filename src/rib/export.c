/* SPDX-License-Identifier: Apache-2.0 */
#include "rib/export.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/cleanup.h"
#include "rib/exported.h"
#include "rib/import.h"

#define LOCAL_PREF_DEFAULT 100u
#define EXTENDED_MAX(n_targets) ((n_targets) + 4) /* encapsulation, mobility, router's MAC */

struct vrf {
	uint32_t vni, tenant;
	bool routed;
	uint16_t number; /* of its RD */
	size_t n_targets;
	uint64_t *targets;
	LIST_HEAD(vrf_ports, speaking) ports;
};

struct speaking { /* a port that announces */
	char *name;
	struct vrf *vrf; /* NULL = no encapsulation */
	struct export_port port; /* with its own addresses */
	struct addr *addresses;
	struct route_key *keys; /* of the routes it put */
	size_t n_keys;
	LIST_ENTRY(speaking) of_vrf;
};

struct draft { /* a route that is about to be put */
	struct route_nlri nlri;
	const struct route_attrs *attrs; /* a reference */
	struct exported *route;
};

void export_init(struct export *ex, struct attrs *attrs, const struct export_node *node)
{
	*ex = (struct export){.attrs = attrs,
			      .node = *node,
			      .vrfs = HMAP_INIT(struct vrf, vni),
			      .ports = SMAP_INIT(struct speaking, name)};
	exported_init(ex);
}

static bool has_key(const struct route_key *keys, size_t n, const struct route_key *key)
{
	for (size_t i = 0; i < n; i++)
		if (route_key_equal(&keys[i], key))
			return true;
	return false;
}

static void drafts_free(struct export *ex, struct draft *drafts, size_t n)
{
	for (size_t i = 0; drafts && i < n; i++)
		attrs_unref(ex->attrs, drafts[i].attrs);
	free(drafts);
}

/* ---- VRFs ---- */

static bool is_tenant(const struct vrf *v)
{
	return v->vni == v->tenant;
}

static struct route_rd rd_of(const struct export *ex, const struct vrf *v)
{
	return route_rd_ip(ex->node.router_id, v->number);
}

/*
 * The lower half of the VNI, or the next one that is free: so it is the same after a restart wherever no two VNIs share
 * the half, and where they do if they come in the same order.  0 = none is free.
 */
static uint16_t number_take(struct export *ex, uint32_t vni)
{
	uint16_t number = (uint16_t)vni;

	for (uint32_t tries = 0; tries <= UINT16_MAX; tries++, number++) {
		if (number == 0 || ex->numbers[number / 64] & UINT64_C(1) << number % 64)
			continue;
		ex->numbers[number / 64] |= UINT64_C(1) << number % 64;
		return number;
	}
	return 0;
}

static void number_give(struct export *ex, uint16_t number)
{
	ex->numbers[number / 64] &= ~(UINT64_C(1) << number % 64);
}

/* ---- sets of attributes ---- */

static int intern(struct export *ex, const struct addr *next_hop, const uint64_t *extended, size_t n,
		  const uint8_t *pmsi, size_t pmsi_size, const struct route_attrs **out)
{
	const struct route_attrs a = {.next_hop = *next_hop,
				      .has = ROUTE_HAS_LOCAL_PREF,
				      .local_pref = LOCAL_PREF_DEFAULT,
				      .origin = ROUTE_ORIGIN_IGP,
				      .extended = extended,
				      .n_extended = (uint32_t)n,
				      .pmsi = pmsi,
				      .pmsi_size = (uint32_t)pmsi_size};

	return attrs_intern(ex->attrs, &a, out);
}

static size_t add_targets(const struct vrf *v, uint64_t *extended, size_t at)
{
	if (v->n_targets > 0)
		memcpy(extended + at, v->targets, v->n_targets * sizeof(*extended));
	return at + v->n_targets;
}

/* RFC 7432 7.7, 15: none is sequence 0; a sticky MAC says so with 0. */
static size_t add_mobility(const struct export_port *port, uint64_t *extended, size_t at)
{
	if (port->sticky || port->sequence > 0)
		extended[at++] = extended_mobility(port->sticky ? 0 : port->sequence, port->sticky);
	return at;
}

/*
 * Of type 2 (with the tenant when its VNI goes with the route) and of type 5 (the tenant alone, port NULL: hosts of
 * mode l3 have no sequence).
 */
static int intern_evpn(struct export *ex, const struct vrf *network, const struct vrf *tenant,
		       const struct export_port *port, const struct route_attrs **out)
{
	size_t n_targets = (network ? network->n_targets : 0) + (tenant ? tenant->n_targets : 0), n = 0;
	_cleanup_(free) uint64_t *extended = calloc(EXTENDED_MAX(n_targets), sizeof(*extended));

	if (!extended)
		return -ENOMEM;
	if (network)
		n = add_targets(network, extended, n);
	if (tenant) {
		n = add_targets(tenant, extended, n);
		extended[n++] = extended_router_mac(&ex->node.router_mac);
	}
	extended[n++] = extended_tunnel(ROUTE_TUNNEL_VXLAN);
	if (port)
		n = add_mobility(port, extended, n);
	return intern(ex, &ex->node.underlay, extended, n, NULL, 0, out);
}

/* RFC 7432 11.2, RFC 6514 5: flags, type, the VNI in place of the label (RFC 8365 5.1.3), and where to send. */
static int intern_imet(struct export *ex, const struct vrf *v, const struct route_attrs **out)
{
	_cleanup_(free) uint64_t *extended = calloc(EXTENDED_MAX(v->n_targets), sizeof(*extended));
	uint8_t pmsi[5 + 16] = {0, ROUTE_PMSI_INGRESS_REPLICATION, (uint8_t)(v->vni >> 16), (uint8_t)(v->vni >> 8),
				(uint8_t)v->vni};
	bool v4 = addr_is_v4(&ex->node.underlay);
	size_t n;

	if (!extended)
		return -ENOMEM;
	n = add_targets(v, extended, 0);
	extended[n++] = extended_tunnel(ROUTE_TUNNEL_VXLAN);
	memcpy(pmsi + 5, ex->node.underlay.bytes + (v4 ? 12 : 0), v4 ? 4 : 16);
	return intern(ex, &ex->node.underlay, extended, n, pmsi, v4 ? 9 : 21, out);
}

/* ---- type 3 ---- */

static struct route_nlri imet_nlri(const struct export *ex, const struct vrf *v)
{
	return (struct route_nlri){.key = {.family = ROUTE_EVPN,
					   .type = ROUTE_EVPN_IMET,
					   .rd = rd_of(ex, v),
					   .addr = ex->node.underlay,
					   .length = 128}};
}

static int imet_put(struct export *ex, const struct vrf *v)
{
	const struct route_nlri nlri = imet_nlri(ex, v);
	const struct route_attrs *attrs;
	struct exported *route;
	int r = intern_imet(ex, v, &attrs);

	if (r < 0)
		return r;
	route = exported_obtain(ex, &nlri.key);
	if (route)
		exported_take(ex, route, v, v->tenant, &nlri, attrs);
	attrs_unref(ex->attrs, attrs);
	return route ? 0 : -ENOMEM;
}

/* A network takes part in flooding while it has a port here. */
static int imet_update(struct export *ex, const struct vrf *v)
{
	const struct route_nlri nlri = imet_nlri(ex, v);

	if (!is_tenant(v) && !LIST_EMPTY(&v->ports))
		return imet_put(ex, v);
	exported_leave(ex, &nlri.key, v);
	return 0;
}

/* ---- types 2 and 5, and unicast ---- */

static struct route_nlri mac_nlri(const struct export *ex, const struct speaking *s, const struct addr *address)
{
	struct route_nlri n = {.key = {.family = ROUTE_EVPN, .type = ROUTE_EVPN_MAC, .rd = rd_of(ex, s->vrf),
				       .mac = s->port.mac},
			       .n_labels = 1,
			       .label = {s->vrf->vni}};

	if (address) {
		n.key.addr = *address;
		n.key.length = 128;
	}
	if (address && s->vrf->routed) { /* RFC 9135 5.1: the second label is the tenant's */
		n.n_labels = 2;
		n.label[1] = s->vrf->tenant;
	}
	return n;
}

static struct route_nlri host_nlri(const struct export *ex, const struct speaking *s, const struct addr *address)
{
	return (struct route_nlri){.key = {.family = ROUTE_EVPN, .type = ROUTE_EVPN_PREFIX, .rd = rd_of(ex, s->vrf),
					   .addr = *address, .length = 128},
				   .n_labels = 1,
				   .label = {s->vrf->vni}};
}

/* One set of attributes for the MAC alone, one for all that have an address. */
static int intern_port(struct export *ex, const struct speaking *s, const struct route_attrs **mac,
		       const struct route_attrs **address)
{
	const struct vrf *tenant = hmap_get(&ex->vrfs, &s->vrf->tenant);
	int r;

	if (is_tenant(s->vrf))
		return intern_evpn(ex, NULL, s->vrf, NULL, address);
	r = intern_evpn(ex, s->vrf, NULL, &s->port, mac);
	if (r < 0)
		return r;
	r = intern_evpn(ex, s->vrf, s->vrf->routed ? tenant : NULL, &s->port, address);
	if (r < 0) {
		attrs_unref(ex->attrs, *mac);
		*mac = NULL;
	}
	return r;
}

static int draft_evpn(struct export *ex, const struct speaking *s, struct draft *drafts, size_t *n)
{
	const struct route_attrs *mac = NULL, *address = NULL;
	int r = intern_port(ex, s, &mac, &address);

	if (r < 0)
		return r;
	if (mac)
		drafts[(*n)++] = (struct draft){.nlri = mac_nlri(ex, s, NULL), .attrs = mac};
	for (size_t i = 0; i < s->port.n_addresses; i++) {
		const struct addr *a = &s->addresses[i];

		drafts[(*n)++] = (struct draft){.nlri = mac ? mac_nlri(ex, s, a) : host_nlri(ex, s, a),
						.attrs = attrs_ref(address)};
	}
	attrs_unref(ex->attrs, address);
	return 0;
}

/* Nobody routes to a link-local address. */
static int draft_unicast(struct export *ex, const struct speaking *s, struct draft *drafts, size_t *n)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < s->port.n_addresses; i++) {
		const struct addr *a = &s->addresses[i];
		bool v4 = addr_is_v4(a);
		const struct addr *hop = v4 ? &ex->node.hop4 : &ex->node.hop6;
		struct draft *d = &drafts[*n];

		if (addr_is_unspecified(hop) || addr_is_link_local(a))
			continue;
		d->nlri.key = (struct route_key){.family = v4 ? ROUTE_IPV4 : ROUTE_IPV6, .addr = *a, .length = 128};
		r = intern(ex, hop, NULL, 0, NULL, 0, &d->attrs);
		*n += r == 0;
	}
	return r;
}

/* Everything that can fail, of putting a port's routes: n + 1 drafts at most. */
static int draft_port(struct export *ex, const struct speaking *s, struct draft **out, size_t *n)
{
	struct draft *drafts = calloc(s->port.n_addresses + 1, sizeof(*drafts));
	size_t length = 0;
	int r = drafts ? 0 : -ENOMEM;

	if (r == 0 && !s->port.silent)
		r = s->vrf ? draft_evpn(ex, s, drafts, &length) : draft_unicast(ex, s, drafts, &length);
	for (size_t i = 0; r >= 0 && i < length; i++) {
		drafts[i].route = exported_obtain(ex, &drafts[i].nlri.key);
		if (!drafts[i].route)
			r = -ENOMEM;
	}
	if (r < 0) {
		drafts_free(ex, drafts, length);
		return r;
	}
	*out = drafts;
	*n = length;
	return 0;
}

/* The port's routes are the drafts now, and what it had before and has no more is nobody's. */
static int announce(struct export *ex, struct speaking *s)
{
	struct draft *drafts;
	struct route_key *keys;
	size_t n;
	int r = draft_port(ex, s, &drafts, &n);

	if (r < 0)
		return r;
	keys = calloc(n + 1, sizeof(*keys));
	if (!keys) {
		drafts_free(ex, drafts, n);
		return -ENOMEM;
	}
	for (size_t i = 0; i < n; i++) {
		keys[i] = drafts[i].nlri.key;
		exported_take(ex, drafts[i].route, s, s->vrf ? s->vrf->tenant : s->port.tenant, &drafts[i].nlri,
			   drafts[i].attrs);
	}
	for (size_t i = 0; i < s->n_keys; i++)
		if (!has_key(keys, n, &s->keys[i]))
			exported_leave(ex, &s->keys[i], s);
	free(s->keys);
	s->keys = keys;
	s->n_keys = n;
	drafts_free(ex, drafts, n);
	return 0;
}

/* ---- verbs ---- */

static void vrf_free(struct export *ex, struct vrf *v)
{
	number_give(ex, v->number);
	free(v->targets);
	free(v);
}

static int vrf_obtain(struct export *ex, uint32_t vni, struct vrf **out)
{
	struct vrf *v = hmap_get(&ex->vrfs, &vni);

	if (!v) {
		uint16_t number = number_take(ex, vni);

		if (number == 0)
			return -ENOSPC;
		v = calloc(1, sizeof(*v));
		if (!v) {
			number_give(ex, number);
			return -ENOMEM;
		}
		*v = (struct vrf){.vni = vni, .number = number};
		if (hmap_add(&ex->vrfs, v) < 0) {
			vrf_free(ex, v);
			return -ENOMEM;
		}
	}
	*out = v;
	return 0;
}

static int announce_vrf(struct export *ex, struct vrf *v)
{
	struct speaking *s;
	int r = imet_update(ex, v);

	for (s = LIST_FIRST(&v->ports); r == 0 && s; s = LIST_NEXT(s, of_vrf))
		r = announce(ex, s);
	return r;
}

int export_vrf_put(struct export *ex, const struct export_vrf *vrf)
{
	size_t n = vrf->n_targets > 0 ? vrf->n_targets : IMPORT_AUTO_TARGETS;
	_cleanup_(free) uint64_t *targets = calloc(n, sizeof(*targets));
	struct vrf *v, *other;
	int r = targets ? vrf_obtain(ex, vrf->vni, &v) : -ENOMEM;

	if (r < 0)
		return r;
	if (vrf->n_targets > 0)
		memcpy(targets, vrf->targets, n * sizeof(*targets));
	else
		import_auto_targets(ex->node.as, vrf->vni, targets);
	free(v->targets);
	v->targets = TAKE_PTR(targets);
	v->n_targets = n;
	v->tenant = vrf->tenant;
	v->routed = vrf->routed;
	r = announce_vrf(ex, v);
	if (!is_tenant(v))
		return r;
	for (size_t i = 0; r == 0 && (other = hmap_next(&ex->vrfs, &i));) /* the tenant's targets go with them */
		if (other != v && other->tenant == v->vni && other->routed)
			r = announce_vrf(ex, other);
	return r;
}

void export_vrf_remove(struct export *ex, uint32_t vni)
{
	struct vrf *v = hmap_get(&ex->vrfs, &vni);

	if (!v)
		return;
	assert(LIST_EMPTY(&v->ports));
	(void)imet_update(ex, v); /* there is no port: it can only be withdrawn */
	hmap_remove(&ex->vrfs, &vni);
	vrf_free(ex, v);
}

static void speaking_free(struct speaking *s)
{
	free(s->name);
	free(s->addresses);
	free(s->keys);
	free(s);
}

DEFINE_CLEANUP(speaking, struct speaking *, speaking_free)

static int speaking_new(const struct export_port *port, struct speaking **out)
{
	_cleanup_(speaking) struct speaking *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->name = strdup(port->name);
	s->addresses = calloc(port->n_addresses + 1, sizeof(*s->addresses));
	if (!s->name || !s->addresses)
		return -ENOMEM;
	s->port = *port;
	if (port->n_addresses > 0)
		memcpy(s->addresses, port->addresses, port->n_addresses * sizeof(*s->addresses));
	s->port.name = NULL;
	s->port.addresses = NULL;
	*out = TAKE_PTR(s);
	return 0;
}

static void join(struct speaking *s, struct vrf *v)
{
	s->vrf = v;
	if (v)
		LIST_INSERT_HEAD(&v->ports, s, of_vrf);
}

static void leave(struct export *ex, struct speaking *s)
{
	struct vrf *v = s->vrf;

	if (!v)
		return;
	LIST_REMOVE(s, of_vrf);
	s->vrf = NULL;
	if (LIST_EMPTY(&v->ports))
		(void)imet_update(ex, v); /* withdraws, and that needs no memory */
}

static void withdraw(struct export *ex, struct speaking *s)
{
	for (size_t i = 0; i < s->n_keys; i++)
		exported_leave(ex, &s->keys[i], s);
	leave(ex, s);
}

/* Joined and announced, or neither. */
static int enter(struct export *ex, struct speaking *s, struct vrf *v)
{
	int r = 0;

	join(s, v);
	if (v)
		r = imet_update(ex, v);
	if (r == 0)
		r = announce(ex, s);
	if (r < 0)
		leave(ex, s);
	return r;
}

int export_port_put(struct export *ex, const struct export_port *port)
{
	struct vrf *v = port->vni ? hmap_get(&ex->vrfs, &port->vni) : NULL;
	struct speaking *there = hmap_get(&ex->ports, port->name);
	_cleanup_(speaking) struct speaking *s = NULL;
	int r = speaking_new(port, &s);

	if (r < 0)
		return r;
	if (port->vni && !v)
		return -ENOENT;
	r = enter(ex, s, v);
	if (r < 0)
		return r;
	if (there) { /* what both have put is the new one's already */
		withdraw(ex, there);
		hmap_remove(&ex->ports, there->name);
		speaking_free(there);
	}
	r = hmap_add(&ex->ports, s);
	if (r < 0)
		withdraw(ex, s);
	else
		TAKE_PTR(s);
	return r;
}

void export_port_remove(struct export *ex, const char *name)
{
	struct speaking *s = hmap_remove(&ex->ports, name);

	if (!s)
		return;
	withdraw(ex, s);
	speaking_free(s);
}

void export_fini(struct export *ex)
{
	struct speaking *s;
	struct vrf *v;

	exported_fini(ex);
	for (size_t i = 0; (s = hmap_next(&ex->ports, &i));)
		speaking_free(s);
	for (size_t i = 0; (v = hmap_next(&ex->vrfs, &i));)
		vrf_free(ex, v);
	hmap_fini(&ex->ports);
	hmap_fini(&ex->vrfs);
}
