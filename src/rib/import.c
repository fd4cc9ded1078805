/* SPDX-License-Identifier: Apache-2.0 */
#include "rib/import.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "lib/cleanup.h"

#define AUTO_VXLAN 0x10000000u /* RFC 8365 5.1.2.1: bit A = 0, type 1 = VXLAN, domain 0 */

struct import_vrf {
	uint32_t vni, tenant;
	bool wanted;
	uint64_t noted; /* import's round when it was */
	size_t n_targets, n_subnets;
	struct taker *takers; /* n_targets */
	struct prefix *subnets;
};

struct target { /* and who takes its routes */
	uint64_t value;
	LIST_HEAD(target_takers, taker) takers;
};

struct taker {
	struct import_vrf *vrf;
	struct target *target;
	LIST_ENTRY(taker) of_target;
};

struct limit {
	uint16_t source;
	size_t n;
	uint32_t *tenants;
};

const char *import_verdict_name(enum import_verdict v)
{
	static const char *const names[] = {
		[IMPORT_ACCEPTED] = "accepted",
		[IMPORT_TYPE] = "type",
		[IMPORT_TARGET] = "route-target",
		[IMPORT_GRANT] = "not-granted",
		[IMPORT_ENCAPSULATION] = "encapsulation",
		[IMPORT_NEXT_HOP] = "next-hop",
		[IMPORT_VNI] = "vni",
		[IMPORT_TAG] = "ethernet-tag",
		[IMPORT_MAC] = "mac",
		[IMPORT_ADDRESS] = "address",
		[IMPORT_DEFAULT_GATEWAY] = "default-gateway",
		[IMPORT_PMSI] = "pmsi",
		[IMPORT_ROUTER_MAC] = "router-mac",
		[IMPORT_OVERLAY_INDEX] = "overlay-index",
		[IMPORT_NO_NATIVE] = "no-native-tenant",
		[IMPORT_NO_HOST] = "not-a-host",
		[IMPORT_SUBNET] = "subnet",
		[IMPORT_CROWDED] = "crowded",
	};

	static_assert(sizeof(names) / sizeof(names[0]) == IMPORT_VERDICT_MAX, "a name per verdict");
	return names[v];
}

void import_init(struct import *im, struct attrs *attrs, uint32_t as, const struct addr own[static 2])
{
	*im = (struct import){.attrs = attrs,
			      .as = as,
			      .own = {own[0], own[1]},
			      .by_vni = HMAP_INIT(struct import_vrf, vni),
			      .by_target = HMAP_INIT(struct target, value),
			      .limits = HMAP_INIT(struct limit, source)};
}

static void forget_last(struct import *im)
{
	attrs_unref(im->attrs, im->last);
	im->last = NULL;
	im->n_found = 0;
}

/* ---- VRFs and their targets ---- */

void import_auto_targets(uint32_t as, uint32_t vni, uint64_t out[static IMPORT_AUTO_TARGETS])
{
	out[0] = extended_target_as2((uint16_t)as, vni);
	out[1] = extended_target_as2((uint16_t)as, AUTO_VXLAN | vni);
}

static struct target *target_obtain(struct import *im, uint64_t value)
{
	struct target *t = hmap_get(&im->by_target, &value);

	if (t)
		return t;
	t = calloc(1, sizeof(*t));
	if (!t)
		return NULL;
	t->value = value;
	if (hmap_add(&im->by_target, t) < 0) {
		free(t);
		return NULL;
	}
	return t;
}

static void target_release(struct import *im, struct target *t)
{
	if (!LIST_EMPTY(&t->takers))
		return;
	hmap_remove(&im->by_target, &t->value);
	free(t);
}

static void vrf_free(struct import *im, struct import_vrf *vrf)
{
	for (size_t i = 0; i < vrf->n_targets; i++) {
		LIST_REMOVE(&vrf->takers[i], of_target);
		target_release(im, vrf->takers[i].target);
	}
	free(vrf->takers);
	free(vrf->subnets);
	free(vrf);
}

static int vrf_new(struct import *im, uint32_t vni, uint32_t tenant, const uint64_t *targets, size_t n,
		   struct import_vrf **out)
{
	struct import_vrf *vrf = calloc(1, sizeof(*vrf));

	if (!vrf)
		return -ENOMEM;
	vrf->vni = vni;
	vrf->tenant = tenant;
	vrf->takers = calloc(n, sizeof(*vrf->takers));
	for (size_t i = 0; vrf->takers && i < n; i++) {
		struct target *t = target_obtain(im, targets[i]);

		if (!t)
			break;
		vrf->takers[i] = (struct taker){.vrf = vrf, .target = t};
		LIST_INSERT_HEAD(&t->takers, &vrf->takers[i], of_target);
		vrf->n_targets++;
	}
	if (vrf->n_targets < n) {
		vrf_free(im, vrf);
		return -ENOMEM;
	}
	*out = vrf;
	return 0;
}

/* Room to note every VRF: so that looking at a route allocates nothing. */
static int reserve_found(struct import *im, size_t n)
{
	struct import_vrf **found;

	if (n <= im->n_allocated)
		return 0;
	n += n / 2 + 8;
	found = reallocarray(im->found, n, sizeof(*found));
	if (!found)
		return -ENOMEM;
	im->found = found;
	im->n_allocated = n;
	return 0;
}

/* The object stays, with the targets of the other one, which gets the old ones. */
static void vrf_swap(struct import_vrf *vrf, struct import_vrf *with)
{
	struct import_vrf old = *vrf;

	*vrf = *with;
	vrf->wanted = old.wanted;
	vrf->subnets = old.subnets;
	vrf->n_subnets = old.n_subnets;
	*with = old;
	with->subnets = NULL;
	with->n_subnets = 0;
	for (size_t i = 0; i < vrf->n_targets; i++)
		vrf->takers[i].vrf = vrf;
}

int import_vrf_put(struct import *im, uint32_t vni, uint32_t tenant, const uint64_t *targets, size_t n_targets)
{
	struct import_vrf *vrf, *there = hmap_get(&im->by_vni, &vni);
	uint64_t automatic[IMPORT_AUTO_TARGETS];
	int r = reserve_found(im, im->by_vni.length + 1);

	assert(vni > 0 && vni <= IMPORT_VNI_MAX);
	if (r < 0)
		return r;
	if (n_targets == 0) {
		import_auto_targets(im->as, vni, automatic);
		targets = automatic;
		n_targets = IMPORT_AUTO_TARGETS;
	}
	r = vrf_new(im, vni, tenant, targets, n_targets, &vrf);
	if (r < 0)
		return r;
	if (!there) {
		r = hmap_add(&im->by_vni, vrf);
	} else {
		vrf_swap(there, vrf);
		vrf_free(im, vrf);
	}
	if (r < 0)
		vrf_free(im, vrf);
	else
		forget_last(im);
	return r;
}

void import_vrf_remove(struct import *im, uint32_t vni)
{
	struct import_vrf *vrf = hmap_remove(&im->by_vni, &vni);

	if (!vrf)
		return;
	forget_last(im);
	vrf_free(im, vrf);
}

int import_native_set(struct import *im, const struct config_tenant *tenant)
{
	int r = native_set(&im->native, tenant);

	if (r > 0)
		im->native_wanted = false;
	return r;
}

void import_want(struct import *im, uint32_t vni, bool wanted)
{
	struct import_vrf *vrf = hmap_get(&im->by_vni, &vni);

	if (vrf)
		vrf->wanted = wanted;
	if (vni == im->native.tenant)
		im->native_wanted = wanted;
}

int import_subnets(struct import *im, uint32_t vni, const struct prefix *subnets, size_t n)
{
	struct import_vrf *vrf = hmap_get(&im->by_vni, &vni);
	struct prefix *copy = NULL;

	if (!vrf || (vrf->n_subnets == n && (n == 0 || memcmp(vrf->subnets, subnets, n * sizeof(*subnets)) == 0)))
		return 0;
	if (n > 0) {
		copy = calloc(n, sizeof(*copy));
		if (!copy)
			return -ENOMEM;
		memcpy(copy, subnets, n * sizeof(*copy));
	}
	free(vrf->subnets);
	vrf->subnets = copy;
	vrf->n_subnets = n;
	return 1;
}

/* ---- limits ---- */

static void limit_free(struct limit *limit)
{
	free(limit->tenants);
	free(limit);
}

DEFINE_CLEANUP(limit, struct limit *, limit_free)

static int limit_new(uint16_t source, const uint32_t *tenants, size_t n, struct limit **out)
{
	_cleanup_(limit) struct limit *limit = calloc(1, sizeof(*limit));

	if (!limit)
		return -ENOMEM;
	limit->tenants = calloc(n + 1, sizeof(*tenants));
	if (!limit->tenants)
		return -ENOMEM;
	limit->source = source;
	limit->n = n;
	if (n > 0)
		memcpy(limit->tenants, tenants, n * sizeof(*tenants));
	*out = TAKE_PTR(limit);
	return 0;
}

int import_limit(struct import *im, uint16_t source, const uint32_t *tenants, size_t n)
{
	struct limit *there = hmap_get(&im->limits, &source);
	_cleanup_(limit) struct limit *limit = NULL;
	int r = limit_new(source, tenants, n, &limit);

	if (r < 0)
		return r;
	if (there) { /* at no moment is it without a limit */
		struct limit old = *there;

		*there = *limit;
		*limit = old;
		return 0;
	}
	r = hmap_add(&im->limits, limit);
	if (r == 0)
		TAKE_PTR(limit);
	return r;
}

void import_unlimit(struct import *im, uint16_t source)
{
	struct limit *limit = hmap_remove(&im->limits, &source);

	if (limit)
		limit_free(limit);
}

static bool is_granted(const struct import *im, uint16_t source, uint32_t tenant)
{
	const struct limit *limit = hmap_get(&im->limits, &source);

	if (!limit)
		return true;
	for (size_t i = 0; i < limit->n; i++)
		if (limit->tenants[i] == tenant)
			return true;
	return false;
}

void import_fini(struct import *im)
{
	struct import_vrf *vrf;
	struct limit *limit;

	forget_last(im);
	for (size_t i = 0; (vrf = hmap_next(&im->by_vni, &i));)
		vrf_free(im, vrf);
	for (size_t i = 0; (limit = hmap_next(&im->limits, &i));)
		limit_free(limit);
	hmap_fini(&im->by_vni);
	hmap_fini(&im->by_target);
	hmap_fini(&im->limits);
	native_fini(&im->native);
	free(im->found);
	im->found = NULL;
	im->n_allocated = 0;
}

/* ---- what is the same for all routes of one set of attributes ---- */

static void note(struct import *im, struct import_vrf *vrf)
{
	if (vrf->noted == im->round) /* by two of its targets */
		return;
	vrf->noted = im->round;
	assert(im->n_found < im->n_allocated);
	im->found[im->n_found++] = vrf;
}

static void find_vrfs(struct import *im, const struct route_attrs *attrs)
{
	if (im->last == attrs)
		return;
	forget_last(im);
	im->last = attrs_ref(attrs); /* so that its address is nobody else's meanwhile */
	im->round++;
	for (size_t i = 0; i < attrs->n_targets; i++) {
		const struct target *t = hmap_get(&im->by_target, &attrs->extended[i]);
		struct taker *taker;

		for (taker = t ? LIST_FIRST(&t->takers) : NULL; taker; taker = LIST_NEXT(taker, of_target))
			note(im, taker->vrf);
	}
}

bool import_is_wanted(struct import *im, const struct route_attrs *attrs)
{
	find_vrfs(im, attrs);
	for (size_t i = 0; i < im->n_found; i++)
		if (im->found[i]->wanted)
			return true;
	return false;
}

static bool next_hop_is_sane(const struct import *im, const struct addr *a)
{
	if (addr_is_unspecified(a) || addr_is_multicast(a) || addr_is_loopback(a) || addr_is_link_local(a))
		return false;
	if (native_contains(&im->native, a)) /* an endpoint's: one tenant could draw packets of all to itself */
		return false;
	return !addr_equal(a, &im->own[0]) && !addr_equal(a, &im->own[1]);
}

static enum import_verdict check_attrs(const struct import *im, const struct route_attrs *attrs)
{
	if (im->n_found == 0)
		return IMPORT_TARGET;
	/* RFC 8365 5.1.3: without the community it is what is configured, and that is VXLAN */
	if (attrs->tunnels != 0 && !(attrs->tunnels & 1u << ROUTE_TUNNEL_VXLAN))
		return IMPORT_ENCAPSULATION;
	if (!next_hop_is_sane(im, &attrs->next_hop))
		return IMPORT_NEXT_HOP;
	return IMPORT_ACCEPTED;
}

/* ---- routes by type ---- */

struct looking {
	const struct routes_candidate *route;
	void (*fn)(void *arg, const struct imported *value);
	void *arg;
};

static bool is_mac_vrf(const struct import_vrf *vrf)
{
	return vrf->vni != vrf->tenant;
}

static bool vni_is_sane(uint32_t vni)
{
	return vni > 0 && vni <= IMPORT_VNI_MAX;
}

/* RFC 8365 5.1.3: 0 where a VNI is a broadcast domain; a bundle that is aware of VLANs may repeat the VNI. */
static bool tag_is_sane(const struct routes_candidate *r, uint32_t vni)
{
	return r->nlri.key.tag == 0 || r->nlri.key.tag == vni;
}

static bool host_is_sane(const struct addr *a)
{
	return !addr_is_unspecified(a) && !addr_is_multicast(a) && !addr_is_loopback(a);
}

static struct imported value_of(const struct looking *l, const struct import_vrf *vrf, enum import_kind kind)
{
	return (struct imported){.kind = kind,
				 .vni = vrf->vni,
				 .tenant = vrf->tenant,
				 .l3 = !is_mac_vrf(vrf),
				 .node = l->route->attrs->next_hop,
				 .router_mac = l->route->attrs->router_mac};
}

static bool is_inside(const struct import_vrf *vrf, const struct addr *a)
{
	for (size_t i = 0; i < vrf->n_subnets; i++)
		if (prefix_contains(&vrf->subnets[i], a))
			return true;
	return vrf->n_subnets == 0;
}

static enum import_verdict mac_in_mac_vrf(const struct looking *l, const struct import_vrf *vrf)
{
	const struct route_nlri *n = &l->route->nlri;
	struct imported v = value_of(l, vrf, IMPORTED_MAC);
	bool host = n->key.length != 0 && !addr_is_link_local(&n->key.addr); /* nobody routes to the latter */

	if (n->label[0] != vrf->vni)
		return IMPORT_VNI;
	if (!tag_is_sane(l->route, vrf->vni))
		return IMPORT_TAG;
	if (host && !is_inside(vrf, &n->key.addr))
		return IMPORT_SUBNET;
	v.mac = n->key.mac;
	l->fn(l->arg, &v);
	if (!host)
		return IMPORT_ACCEPTED;
	v.kind = IMPORTED_HOST;
	v.prefix = (struct prefix){.addr = n->key.addr, .length = 128};
	l->fn(l->arg, &v);
	return IMPORT_ACCEPTED;
}

/* RFC 9135 5.2: the host by the tenant's VNI, which is the second label, and the router's MAC. */
static enum import_verdict mac_in_ip_vrf(const struct looking *l, const struct import_vrf *vrf)
{
	const struct route_nlri *n = &l->route->nlri;
	struct imported v = value_of(l, vrf, IMPORTED_HOST);

	if (n->key.length == 0 || addr_is_link_local(&n->key.addr))
		return IMPORT_ADDRESS;
	if (n->n_labels < 2 || n->label[1] != vrf->vni)
		return IMPORT_VNI;
	if (!(l->route->attrs->has & ROUTE_HAS_ROUTER_MAC))
		return IMPORT_ROUTER_MAC;
	v.prefix = (struct prefix){.addr = n->key.addr, .length = 128};
	l->fn(l->arg, &v);
	return IMPORT_ACCEPTED;
}

static enum import_verdict take_mac(const struct looking *l, const struct import_vrf *vrf)
{
	const struct route_nlri *n = &l->route->nlri;

	if (l->route->attrs->has & ROUTE_HAS_DEFAULT_GATEWAY) /* RFC 7432 10.1 */
		return IMPORT_DEFAULT_GATEWAY;
	if (mac_is_zero(&n->key.mac) || mac_is_multicast(&n->key.mac))
		return IMPORT_MAC;
	if (n->key.length != 0 && (n->key.length != 128 || !host_is_sane(&n->key.addr)))
		return IMPORT_ADDRESS;
	if (!vni_is_sane(n->label[0]))
		return IMPORT_VNI;
	return is_mac_vrf(vrf) ? mac_in_mac_vrf(l, vrf) : mac_in_ip_vrf(l, vrf);
}

/* RFC 7432 11, RFC 8365 5.1.3: ingress replication to the node itself, with the VNI in the attribute. */
static enum import_verdict take_imet(const struct looking *l, const struct import_vrf *vrf)
{
	struct imported v = value_of(l, vrf, IMPORTED_FLOOD);
	struct route_pmsi pmsi;

	if (!is_mac_vrf(vrf))
		return IMPORT_TARGET;
	if (!route_attrs_pmsi(l->route->attrs, &pmsi) || pmsi.type != ROUTE_PMSI_INGRESS_REPLICATION ||
	    !addr_equal(&pmsi.endpoint, &l->route->attrs->next_hop))
		return IMPORT_PMSI;
	if (pmsi.label != vrf->vni)
		return IMPORT_VNI;
	if (!tag_is_sane(l->route, vrf->vni))
		return IMPORT_TAG;
	l->fn(l->arg, &v);
	return IMPORT_ACCEPTED;
}

/* RFC 9136 4.4.1: interface-less, that is to the node itself, whose MAC the community says. */
static enum import_verdict take_prefix(const struct looking *l, const struct import_vrf *vrf)
{
	const struct route_nlri *n = &l->route->nlri;
	struct imported v = value_of(l, vrf, n->key.length == 128 ? IMPORTED_HOST : IMPORTED_PREFIX);

	if (is_mac_vrf(vrf))
		return IMPORT_TARGET;
	if (!addr_is_unspecified(&n->gateway) || !route_esi_is_zero(&n->esi))
		return IMPORT_OVERLAY_INDEX;
	if (n->label[0] != vrf->vni)
		return IMPORT_VNI;
	if (!(l->route->attrs->has & ROUTE_HAS_ROUTER_MAC))
		return IMPORT_ROUTER_MAC;
	/* a default route is 0.0.0.0/0 or ::/0: unspecified, and a prefix all the same */
	if (addr_is_multicast(&n->key.addr) || addr_is_loopback(&n->key.addr) || addr_is_link_local(&n->key.addr) ||
	    (n->key.length == 128 && addr_is_unspecified(&n->key.addr)))
		return IMPORT_ADDRESS;
	v.prefix = (struct prefix){.addr = n->key.addr, .length = n->key.length};
	l->fn(l->arg, &v);
	return IMPORT_ACCEPTED;
}

static enum import_verdict (*const takes[ROUTE_EVPN_MAX])(const struct looking *l, const struct import_vrf *vrf) = {
	[ROUTE_EVPN_MAC] = take_mac,
	[ROUTE_EVPN_IMET] = take_imet,
	[ROUTE_EVPN_PREFIX] = take_prefix,
};

/* Each VRF that takes the route; when none accepts it, why the first did not that it was meant for. */
static enum import_verdict take(const struct import *im, const struct looking *l)
{
	enum import_verdict why = IMPORT_TARGET;
	bool accepted = false;

	for (size_t i = 0; i < im->n_found; i++) {
		const struct import_vrf *vrf = im->found[i];
		enum import_verdict v = IMPORT_GRANT;

		if (is_granted(im, l->route->source, vrf->tenant))
			v = takes[l->route->nlri.key.type](l, vrf);
		if (v == IMPORT_ACCEPTED)
			accepted = true;
		else if (why == IMPORT_TARGET)
			why = v;
	}
	return accepted ? IMPORT_ACCEPTED : why;
}

/* ---- unicast ---- */

bool import_wants_host(const struct import *im, const struct route_key *key)
{
	return im->native_wanted && key->length == 128 && native_contains(&im->native, &key->addr);
}

/*
 * RFC 8950: IPv4 over an IPv6 next hop.  The kernel has no route the other way round, and this node none to a family that
 * it has no address of.
 */
static bool hop_fits(const struct import *im, const struct route_key *key, const struct addr *hop)
{
	bool v4 = addr_is_v4(hop);

	if (v4 && key->family == ROUTE_IPV6)
		return false;
	for (size_t i = 0; i < 2; i++)
		if (!addr_is_unspecified(&im->own[i]) && addr_is_v4(&im->own[i]) == v4)
			return next_hop_is_sane(im, hop);
	return false;
}

static enum import_verdict take_unicast(const struct import *im, const struct looking *l)
{
	const struct route_key *key = &l->route->nlri.key;
	uint32_t tenant = im->native.tenant;

	if (!tenant)
		return IMPORT_NO_NATIVE;
	if (key->length != 128)
		return IMPORT_NO_HOST;
	if (!native_contains(&im->native, &key->addr))
		return IMPORT_SUBNET;
	if (native_is_gateway(&im->native, &key->addr))
		return IMPORT_DEFAULT_GATEWAY;
	if (!is_granted(im, l->route->source, tenant))
		return IMPORT_GRANT;
	if (!hop_fits(im, key, &l->route->attrs->next_hop))
		return IMPORT_NEXT_HOP;
	l->fn(l->arg, &(struct imported){.kind = IMPORTED_HOST,
					 .vni = tenant,
					 .tenant = tenant,
					 .l3 = true,
					 .node = l->route->attrs->next_hop,
					 .prefix = {.addr = key->addr, .length = 128}});
	return IMPORT_ACCEPTED;
}

enum import_verdict import_route(struct import *im, const struct routes_candidate *route,
				 void (*fn)(void *arg, const struct imported *value), void *arg)
{
	const struct looking looking = {route, fn, arg};
	enum import_verdict v;

	if (route->nlri.key.family != ROUTE_EVPN)
		return take_unicast(im, &looking);
	if (!takes[route->nlri.key.type])
		return IMPORT_TYPE;
	find_vrfs(im, route->attrs);
	v = check_attrs(im, route->attrs);
	return v == IMPORT_ACCEPTED ? take(im, &looking) : v;
}
