/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/wire.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "agent/plan.h"
#include "lib/log.h"
#include "rib/rib.h"

void wire_init(struct wire *w)
{
	*w = (struct wire){.paths = HMAP_INIT(struct wire_path, remote), .measured = HMAP_INIT(struct wire_measured, remote)};
}

void wire_fini(struct wire *w)
{
	struct wire_measured *m;
	struct wire_path *p;

	for (size_t i = 0; (p = hmap_next(&w->paths, &i));)
		free(p);
	hmap_fini(&w->paths);
	for (size_t i = 0; (m = hmap_next(&w->measured, &i));)
		free(m);
	hmap_fini(&w->measured);
}

/* ---- paths ---- */

static const struct addr *own_address(const struct config_node *self, bool v4)
{
	for (size_t i = 0; i < self->n_underlay; i++)
		if (addr_is_v4(&self->underlay[i]) == v4)
			return &self->underlay[i];
	return NULL;
}

/* `node`: NULL for one that is not of the file. */
static void look_one(struct wire *w, struct kern *kern, const char *node, const struct addr *remote,
		     const struct addr *local, bool again, uint64_t round)
{
	struct wire_path *p = hmap_get(&w->paths, remote);
	bool known = p != NULL;

	if (!p) {
		p = calloc(1, sizeof(*p));
		if (!p)
			return;
		p->remote = *remote;
		if (hmap_add(&w->paths, p) < 0) {
			free(p);
			return;
		}
	}
	p->node = node ? node : "VTEP";
	p->learned = !node;
	p->relayed = node ? p->relayed : 0;
	p->round = round;
	if (!known || again)
		p->reachable = kern_path(kern, remote, local, &p->path) == 0;
}

struct others {
	struct wire *wire;
	struct kern *kern;
	bool again;
	uint64_t round;
};

static void look_other(void *arg, const struct addr *remote, const struct addr *local)
{
	const struct others *o = arg;
	const struct wire_path *p = hmap_get(&o->wire->paths, remote);

	if (!p || p->round != o->round)
		look_one(o->wire, o->kern, NULL, remote, local, o->again, o->round);
}

void wire_look(struct wire *w, struct kern *kern, const struct config *c, const struct config_node *self,
	       const struct rib *rib, bool again)
{
	static uint64_t round;
	struct others others = {.wire = w, .kern = kern, .again = again};
	struct wire_path *p;

	others.round = ++round;
	for (size_t n = 0; n < c->n_nodes; n++) {
		const struct config_node *node = &c->nodes[n];

		for (size_t i = 0; node != self && i < node->n_underlay; i++) {
			const struct addr *local = own_address(self, addr_is_v4(&node->underlay[i]));

			if (local)
				look_one(w, kern, node->name, &node->underlay[i], local, again, round);
		}
	}
	rib_remote_each(rib, look_other, &others);
	for (size_t i = 0; (p = hmap_next(&w->paths, &i));)
		if (p->round != round) {
			hmap_remove(&w->paths, &p->remote);
			free(p);
		}
}

void wire_tell(const struct wire *w, struct rib *rib)
{
	const struct wire_path *p;

	for (size_t i = 0; (p = hmap_next(&w->paths, &i));)
		rib_path_set(rib, &p->remote, p->relayed ? p->relayed : p->reachable ? wire_mtu(w, &p->remote, p->path.mtu) : 0,
			     p->relayed || p->reachable);
}

int wire_measure(struct wire *w, const struct addr *remote, uint32_t mtu)
{
	struct wire_measured *m = hmap_get(&w->measured, remote);

	if (mtu == 0) {
		hmap_remove(&w->measured, remote);
		free(m);
		return m != NULL;
	}
	if (!m) {
		m = calloc(1, sizeof(*m));
		if (!m)
			return -ENOMEM;
		m->remote = *remote;
		if (hmap_add(&w->measured, m) < 0) {
			free(m);
			return -ENOMEM;
		}
	}
	if (m->mtu == mtu)
		return 0;
	m->mtu = mtu;
	return 1;
}

uint32_t wire_mtu(const struct wire *w, const struct addr *remote, uint32_t mtu)
{
	const struct wire_measured *m = hmap_get(&w->measured, remote);

	return m && m->mtu < mtu ? m->mtu : mtu;
}

bool wire_relay(struct wire *w, const struct addr *remote, uint32_t mtu)
{
	struct wire_path *p = hmap_get(&w->paths, remote);
	bool another = p && p->relayed != mtu;

	if (another)
		p->relayed = mtu;
	return another;
}

/* ---- interfaces ---- */

bool wire_has(const struct wire *w, uint32_t ifindex)
{
	for (size_t i = 0; i < WIRE_INTERFACES; i++)
		if (w->attached[i] == ifindex)
			return true;
	return false;
}

void wire_forget(struct wire *w, uint32_t ifindex)
{
	for (size_t i = 0; i < WIRE_INTERFACES; i++)
		if (w->attached[i] == ifindex)
			w->attached[i] = 0;
}

struct wanted {
	uint32_t ifindexes[WIRE_INTERFACES];
	size_t length;
};

static void want(struct wanted *w, const struct link *link)
{
	static struct log_limit limit;

	if (!link || link->kind == LINK_LOOPBACK)
		return;
	for (size_t i = 0; i < w->length; i++)
		if (w->ifindexes[i] == link->ifindex)
			return;
	if (w->length == WIRE_INTERFACES) {
		log_limited(&limit, LOG_LEVEL_ERROR,
			    "underlay interface %s: more than %d; tunnels that arrive there are not read", link->name,
			    WIRE_INTERFACES);
		return;
	}
	w->ifindexes[w->length++] = link->ifindex;
}

/* Where tunnels may arrive; or without those of VTEPs that only neighbors speak of. */
static void want_all(const struct wire *w, const struct kern *kern, const struct config_node *self, bool learned,
		     struct wanted *wanted)
{
	const struct wire_path *p;

	for (size_t i = 0; i < self->n_interfaces; i++)
		want(wanted, kern_link_by_name(kern, self->interfaces[i]));
	if (self->n_interfaces > 0)
		return;
	for (size_t i = 0; i < self->n_underlay; i++)
		want(wanted, kern_link_with_address(kern, &self->underlay[i]));
	for (size_t i = 0; (p = hmap_next(&w->paths, &i));)
		if (p->reachable && (learned || !p->learned))
			want(wanted, kern_link_by_index(kern, p->path.ifindex));
}

static int ifindex_compare(const void *a, const void *b)
{
	const uint32_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/*
 * Packets without a tunnel go out and come in on these only, so what a neighbor says must not add to them.  The node's
 * entry has no room for more than the first so many.
 */
static void wires_of(const struct wire *w, const struct kern *kern, const struct config_node *self, struct abi_node *out)
{
	static struct log_limit limit;
	struct wanted wanted = {0};

	want_all(w, kern, self, false, &wanted);
	qsort(wanted.ifindexes, wanted.length, sizeof(wanted.ifindexes[0]), ifindex_compare);
	if (wanted.length > ABI_WIRES)
		log_limited(&limit, LOG_LEVEL_ERROR,
			    "%zu underlay interfaces: packets without encapsulation take the first %d only; name those in "
			    "`interfaces` of node %s", wanted.length, ABI_WIRES, self->name);
	for (size_t i = 0; i < wanted.length && i < ABI_WIRES; i++)
		out->wires[i] = wanted.ifindexes[i];
}

static void node_of(const struct wire *w, const struct kern *kern, const struct config *c, const struct config_node *self,
		    struct abi_node *out)
{
	const struct config_tenant *native = config_native(c);
	struct mac router_mac;

	*out = (struct abi_node){.vxlan_port = htons(c->vxlan_port), .icmp_limit = c->icmp_limit,
				 .cut_ifindex = kern_cut_ifindex(kern)};
	if (kern_link_by_index(kern, w->secure_ifindex)) {
		out->secure_ifindex = w->secure_ifindex;
		out->secure_mtu = w->secure_mtu;
		out->bgp_port = c->bgp ? htons(c->bgp->port) : 0;
	}
	for (size_t i = 0; i < self->n_underlay && i < 2; i++)
		memcpy(out->underlay[i].bytes, self->underlay[i].bytes, sizeof(out->underlay[i].bytes));
	config_router_mac(self, &router_mac);
	memcpy(out->router_mac, router_mac.bytes, sizeof(out->router_mac));
	memcpy(out->gateway_mac, c->gateway_mac.bytes, sizeof(out->gateway_mac));
	if (native) {
		out->native_vrf = native->vni;
		wires_of(w, kern, self, out);
	}
}

void wire_plan(const struct wire *w, const struct kern *kern, const struct config *c, const struct config_node *self,
	       bool prune, struct plan *plan)
{
	struct wanted wanted = {0};
	struct abi_node node;

	want(&wanted, kern_link_by_name(kern, KERN_CUT_IN));
	want(&wanted, kern_link_by_index(kern, w->secure_ifindex));
	want_all(w, kern, self, true, &wanted);
	node_of(w, kern, c, self, &node);
	if (!w->node_known || memcmp(&node, &w->node, sizeof(node)) != 0)
		plan_node(plan, &node, &w->node);
	for (size_t i = 0; i < wanted.length; i++) {
		const struct link *link = kern_link_by_index(kern, wanted.ifindexes[i]);

		if (!wire_has(w, wanted.ifindexes[i]))
			plan_interface(plan, PLAN_WIRE, wanted.ifindexes[i], link->name);
		if (!wire_has(w, wanted.ifindexes[i]) && wanted.ifindexes[i] == w->secure_ifindex)
			plan_interface(plan, PLAN_SECURE, wanted.ifindexes[i], link->name);
	}
	for (size_t i = 0; prune && i < WIRE_INTERFACES; i++) {
		const struct link *link = w->attached[i] ? kern_link_by_index(kern, w->attached[i]) : NULL;
		bool used = false;

		for (size_t k = 0; k < wanted.length; k++)
			used |= wanted.ifindexes[k] == w->attached[i];
		if (link && !used)
			plan_interface(plan, PLAN_UNWIRE, link->ifindex, link->name);
	}
}

void wire_note(struct wire *w, const struct plan *plan)
{
	for (size_t i = 0; i < plan->length; i++) {
		const struct plan_step *s = &plan->steps[i];

		if (s->outcome < 0)
			continue;
		if (s->action == PLAN_NODE) {
			w->node = s->node.now;
			w->node_known = true;
		} else if (s->action == PLAN_UNWIRE) {
			wire_forget(w, s->interface.ifindex);
		} else if (s->action == PLAN_WIRE && !wire_has(w, s->interface.ifindex)) {
			for (size_t k = 0; k < WIRE_INTERFACES; k++)
				if (w->attached[k] == 0) {
					w->attached[k] = s->interface.ifindex;
					break;
				}
		}
	}
}

/* ---- neighbours ---- */

struct keeper {
	const struct wire *wire;
	struct kern *kern;
	struct addr last[16]; /* next hops just kept: many nodes are behind one router */
	size_t n;
};

static void keep(void *arg, const struct addr *remote, const struct addr *local)
{
	struct keeper *k = arg;
	const struct wire_path *p = hmap_get(&k->wire->paths, remote);
	const struct addr *next_hop;

	if (!p || !p->reachable)
		return;
	next_hop = addr_is_unspecified(&p->path.gateway) ? remote : &p->path.gateway;
	for (size_t i = 0; i < k->n && i < 16; i++)
		if (addr_equal(&k->last[i], next_hop))
			return;
	k->last[k->n++ % 16] = *next_hop;
	kern_neighbour_keep(k->kern, p->path.ifindex, next_hop);
}

void wire_keep_neighbours(const struct wire *w, struct kern *kern, const struct rib *rib)
{
	struct keeper k = {.wire = w, .kern = kern};

	rib_remote_each(rib, keep, &k);
}
