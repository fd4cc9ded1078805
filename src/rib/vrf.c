/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Networks and tenants as BGP sees them: a VRF each, with the targets that it takes and gives, as far as this node is in
 * scope of it.  One that has gone is kept until export has heard of it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "rib/state.h"

/* ---- scope ---- */

static void vrf_on_scope(struct learn *l, struct vrf *v)
{
	enum scope scope = vrf_scope(v);

	if (scope > v->scope)
		learn_look_again(l, false);
	if (scope < v->scope && v->n_offers > 0) {
		if (!v->is_falling)
			TAILQ_INSERT_TAIL(&l->falling, v, falling);
		v->is_falling = true;
		v->n_to_drop = v->n_offers;
	}
	v->scope = scope;
	import_want(&l->import, v->vni, scope != SCOPE_NONE);
}

void learn_on_scope(struct learn *l, struct network *n)
{
	if (n->vrf)
		vrf_on_scope(l, n->vrf);
	if (n->tenant->vrf)
		vrf_on_scope(l, n->tenant->vrf);
}

static void fallen(struct learn *l, struct vrf *v)
{
	if (v->is_falling)
		TAILQ_REMOVE(&l->falling, v, falling);
	v->is_falling = false;
	v->n_to_drop = 0;
}

/* Offers are in one list, and go round in it once. */
void vrf_run(struct learn *l, size_t budget)
{
	struct vrf *v;
	struct offer *o;

	for (; budget > 0 && (v = TAILQ_FIRST(&l->falling)); budget--) {
		o = TAILQ_FIRST(&v->offers);
		if (!o || v->n_to_drop == 0) {
			fallen(l, v);
			continue;
		}
		v->n_to_drop--;
		if (vrf_takes(v, (enum import_kind)o->place->key.kind)) {
			TAILQ_REMOVE(&v->offers, o, of_vrf);
			TAILQ_INSERT_TAIL(&v->offers, o, of_vrf);
		} else {
			offer_drop(l, o);
		}
	}
}

/* ---- networks and tenants ---- */

static void targets_free(struct vrf_targets *t)
{
	free(t->items);
	*t = (struct vrf_targets){0};
}

static bool targets_equal(const struct vrf_targets *a, const struct config_targets *b)
{
	return a->length == b->length &&
	       (a->length == 0 || memcmp(a->items, b->items, a->length * sizeof(*a->items)) == 0);
}

static int targets_set(struct vrf_targets *t, const struct config_targets *to)
{
	uint64_t *items = calloc(to->length + 1, sizeof(*items));

	if (!items)
		return -ENOMEM;
	if (to->length > 0)
		memcpy(items, to->items, to->length * sizeof(*items));
	free(t->items);
	*t = (struct vrf_targets){items, to->length};
	return 0;
}

void vrf_free(struct learn *l, struct vrf *v)
{
	hmap_remove(&l->vrfs, &v->vni);
	targets_free(&v->import);
	targets_free(&v->export);
	free(v);
}

void vrf_forget(struct vrf *v)
{
	struct learn *l = v->learn;
	struct offer *o;

	while ((o = TAILQ_FIRST(&v->offers)))
		offer_drop(l, o);
	fallen(l, v);
	v->scope = SCOPE_NONE;
	v->network = NULL;
	v->tenant = NULL;
	import_vrf_remove(&l->import, v->vni);
	v->in_import = false;
	if (v->in_export)
		l->n_gone++;
	else
		vrf_free(l, v);
}

void learn_forget_network(struct network *n)
{
	if (n->vrf)
		vrf_forget(n->vrf);
	n->vrf = NULL;
}

void learn_forget_tenant(struct tenant *t)
{
	struct network *n;

	for (n = LIST_FIRST(&t->networks); n; n = LIST_NEXT(n, of_tenant))
		learn_forget_network(n); /* their hosts are the tenant's */
	if (t->vrf)
		vrf_forget(t->vrf);
	t->vrf = NULL;
}

/* Of a VNI that is somebody's; one that is gone and comes back is the same to export. */
static struct vrf *vrf_obtain(struct learn *l, uint32_t vni, struct tenant *tenant, struct network *network)
{
	struct vrf *v = hmap_get(&l->vrfs, &vni);

	if (!v) {
		v = calloc(1, sizeof(*v));
		if (!v)
			return NULL;
		*v = (struct vrf){.vni = vni, .learn = l};
		TAILQ_INIT(&v->offers);
		if (hmap_add(&l->vrfs, v) < 0) {
			free(v);
			return NULL;
		}
	} else if (!v->tenant && v->in_export) {
		l->n_gone--;
	}
	v->tenant = tenant;
	v->network = network;
	return v;
}

static int vrf_import(struct learn *l, struct vrf *v, const struct config_targets *targets)
{
	int r;

	if (v->in_import && targets_equal(&v->import, targets))
		return 0;
	r = targets_set(&v->import, targets);
	if (r == 0)
		r = import_vrf_put(&l->import, v->vni, v->tenant->vni, v->import.items, v->import.length);
	if (r < 0)
		return r;
	import_want(&l->import, v->vni, v->scope != SCOPE_NONE);
	v->in_import = true;
	learn_look_again(l, false);
	return 0;
}

/* Without encapsulation there is no VNI that a route could be for: its hosts come by unicast. */
static void vrf_import_not(struct learn *l, struct vrf *v)
{
	if (!v->in_import)
		return;
	import_vrf_remove(&l->import, v->vni);
	v->in_import = false;
	learn_look_again(l, false);
}

static int native_import(struct learn *l, const struct config_tenant *c)
{
	const struct vrf *v = c ? hmap_get(&l->vrfs, &c->vni) : NULL;
	int r = import_native_set(&l->import, c);

	if (r < 0)
		return r;
	if (v)
		import_want(&l->import, v->vni, v->scope != SCOPE_NONE);
	if (r > 0)
		learn_look_again(l, false);
	return 0;
}

static int vrf_subnets(struct learn *l, const struct vrf *v)
{
	int r = import_subnets(&l->import, v->vni, v->network->subnets, v->network->n_subnets);

	if (r > 0)
		learn_look_again(l, false);
	return r < 0 ? r : 0;
}

static int vrf_export(struct learn *l, struct vrf *v, const struct config_targets *targets, bool routed, bool force)
{
	int r;

	if (!force && v->in_export && v->exported_routed == routed && targets_equal(&v->export, targets))
		return 0;
	r = targets_set(&v->export, targets);
	if (r == 0)
		r = export_vrf_put(&l->export, &(struct export_vrf){.vni = v->vni, .tenant = v->tenant->vni, .routed = routed,
								    .targets = v->export.items,
								    .n_targets = v->export.length});
	if (r < 0)
		return r;
	v->in_export = true;
	v->exported_routed = routed;
	return 0;
}

static int tenant_put(struct learn *l, const struct config_tenant *c, bool native)
{
	struct tenant *t = hmap_get(&l->rib->tenants, c->name);
	bool is_new = t && !t->vrf;
	int r = 0;

	if (!t)
		return -ENOMEM; /* of the rib, and that sticks */
	if (is_new)
		t->vrf = vrf_obtain(l, t->vni, t, NULL);
	if (!t->vrf)
		return -ENOMEM;
	if (is_new)
		tenant_touch(l->rib, t); /* its scope and its ports; likewise below */
	if (native)
		vrf_import_not(l, t->vrf);
	else
		r = vrf_import(l, t->vrf, &c->import);
	return r < 0 ? r : vrf_export(l, t->vrf, &c->export, false, is_new);
}

static int network_put(struct learn *l, const struct config_network *c)
{
	struct network *n = hmap_get(&l->rib->networks, c->full_name);
	bool is_new = n && !n->vrf;
	int r;

	if (!n)
		return -ENOMEM;
	if (n->mode != CONFIG_MODE_L2)
		return 0; /* its hosts are the tenant's */
	if (is_new)
		n->vrf = vrf_obtain(l, n->vni, n->tenant, n);
	if (!n->vrf)
		return -ENOMEM;
	if (is_new)
		network_touch(l->rib, n);
	r = vrf_import(l, n->vrf, &c->import);
	if (r == 0)
		r = vrf_subnets(l, n->vrf);
	return r < 0 ? r : vrf_export(l, n->vrf, &c->export, n->n_gateways > 0, is_new);
}

static int vrfs_load(struct learn *l, const struct config *config)
{
	const struct config_tenant *native = config_native(config);
	int r = 0;

	for (size_t i = 0; r == 0 && i < config->n_tenants; i++)
		r = tenant_put(l, &config->tenants[i], &config->tenants[i] == native);
	if (r == 0)
		r = native_import(l, native);
	for (size_t i = 0; i < config->n_tenants; i++)
		for (size_t k = 0; r == 0 && k < config->tenants[i].n_networks; k++)
			r = network_put(l, &config->tenants[i].networks[k]);
	return r;
}

/* ---- who this node is ---- */

static bool identity_equal(const struct export_node *a, const struct export_node *b)
{
	return a->as == b->as && a->router_id == b->router_id && addr_equal(&a->underlay, &b->underlay) &&
	       addr_equal(&a->hop4, &b->hop4) && addr_equal(&a->hop6, &b->hop6) &&
	       mac_equal(&a->router_mac, &b->router_mac);
}

/* Every route of this node has another distinguisher or next hop: all is put anew. */
static void identity_set(struct learn *l, const struct export_node *node)
{
	struct tenant *t;
	struct vrf *v;

	if (identity_equal(&l->export.node, node))
		return;
	speak_anew(l);
	for (size_t i = 0; (v = hmap_next(&l->vrfs, &i));) {
		if (v->in_export)
			export_vrf_remove(&l->export, v->vni);
		v->in_export = false;
		if (v->tenant && l->import.as != node->as)
			v->in_import = false; /* automatic targets have it in them */
		if (!v->tenant)
			vrf_free(l, v);
	}
	l->n_gone = 0;
	l->export.node = *node;
	l->import.as = node->as;
	for (size_t i = 0; (t = hmap_next(&l->rib->tenants, &i));)
		tenant_touch(l->rib, t);
}

static void own_set(struct learn *l, const struct config_node *self)
{
	struct addr own[2] = {};

	for (size_t i = 0; i < self->n_underlay && i < 2; i++)
		own[i] = self->underlay[i];
	if (memcmp(own, l->import.own, sizeof(own)) == 0)
		return;
	memcpy(l->import.own, own, sizeof(own));
	learn_look_again(l, false);
	learn_touch_places(l); /* other families, other nodes in reach */
}

static struct export_node identity_of(const struct config *config, const struct config_node *self)
{
	struct export_node node = {.as = config->bgp->as, .router_id = self->router_id, .underlay = self->underlay[0]};
	const struct addr *v4 = config_underlay(self, true), *v6 = config_underlay(self, false);

	if (v6)
		node.hop4 = node.hop6 = *v6; /* RFC 8950 */
	if (v4)
		node.hop4 = *v4;
	config_router_mac(self, &node.router_mac);
	return node;
}

int learn_load(struct learn *l, const struct config *config, const struct config_node *self)
{
	const struct export_node node = identity_of(config, self);
	int r;

	identity_set(l, &node);
	own_set(l, self);
	r = vrfs_load(l, config);
	if (r == -ENOMEM)
		learn_fail(l);
	if (l->rib->remapped)
		learn_look_again(l, false);
	l->rib->remapped = false;
	return r;
}
