/* SPDX-License-Identifier: Apache-2.0 */
#include "leaf.h"

#include "inside.h"
#include "rib/rib.h"

#define BUDGET 64 /* routes that a turn looks at again, or sweeps: few, so that there are turns in between */

struct held_key { /* no padding: hashed as bytes */
	uint32_t kind, id, length, encap;
	uint64_t owner;
	struct addr addr;
};

struct held {
	struct held_key key;
	struct fwd value;
	unsigned life; /* of the process that put it last */
};

struct leaf {
	struct host *host;
	struct rib *rib;
	struct learn *learn;
	uint16_t *sources; /* by host */
	struct hmap held;
	size_t counts[FWD_KIND_MAX];
	bool sweeping, changed;
};

static struct fabric *fabric_of(const struct leaf *l)
{
	return l->host->net->fabric;
}

/* ---- the kernel ---- */

static struct held_key key_of(const struct fwd *f)
{
	struct held_key k = {.kind = f->kind};

	switch (f->kind) {
	case FWD_ROUTE:
		k.addr = f->route.prefix.addr;
		k.length = f->route.prefix.length;
		break;
	case FWD_NEXTHOP:
		k.owner = f->nexthop.owner;
		break;
	case FWD_MEMBER:
		k.id = f->member.vni;
		k.encap = f->member.encap;
		k.addr = f->member.source;
		break;
	case FWD_PREFIX:
		k.id = f->prefix.vrf;
		k.addr = f->prefix.prefix.addr;
		k.length = f->prefix.prefix.length;
		break;
	case FWD_HOST:
		k.id = f->host.vrf;
		k.addr = f->host.addr;
		break;
	case FWD_MAC:
		k.id = f->mac.vni;
		memcpy(k.addr.bytes, f->mac.mac.bytes, sizeof(f->mac.mac.bytes));
		break;
	case FWD_PORT:
		k.id = f->port.ifindex;
		break;
	case FWD_FLOOD:
		k.id = f->flood.vni;
		k.owner = f->flood.nexthop;
		break;
	case FWD_KIND_MAX:
		break;
	}
	return k;
}

static void drop(struct leaf *l, struct held *h)
{
	l->counts[h->value.kind]--;
	assert_ptr_equal(hmap_remove(&l->held, &h->key), h);
	free(h);
}

static bool leads_elsewhere(const struct fwd *a, const struct fwd *b)
{
	return a->kind == FWD_MAC ? a->mac.nexthop != b->mac.nexthop :
	       a->kind == FWD_HOST ? a->host.nexthop != b->host.nexthop : false;
}

static void on_change(void *arg, const struct fwd_change *c)
{
	struct leaf *l = arg;
	const struct fwd *f = c->put ? &c->now : &c->old;
	const struct held_key key = key_of(f);
	struct held *h = hmap_get(&l->held, &key);
	bool ours = h && h->life == l->host->life;
	char text[256];

	if (c->had_old != ours || (ours && !fwd_equal(&h->value, &c->old)))
		fail_msg("host %u: a change of what is not there: %s", l->host->self, fwd_format(f, text, sizeof(text)));
	if (h && (!c->put || leads_elsewhere(&h->value, &c->now)) && (f->kind == FWD_MAC || f->kind == FWD_HOST))
		fabric_of(l)->n_lost++;
	if (!c->put) {
		drop(l, h);
		l->changed = true;
		return;
	}
	if (!h) {
		h = calloc(1, sizeof(*h));
		assert_non_null(h);
		h->key = key;
		assert_int_equal(hmap_add(&l->held, h), 0);
		l->counts[f->kind]++;
	}
	h->value = c->now;
	h->life = l->host->life;
	l->changed = true;
}

static uint64_t nexthop_of(const struct fwd *f)
{
	switch (f->kind) {
	case FWD_HOST:
		return f->host.nexthop;
	case FWD_MAC:
		return f->mac.nexthop;
	case FWD_PREFIX:
		return f->prefix.nexthop;
	case FWD_FLOOD:
		return f->flood.nexthop;
	default:
		return 0;
	}
}

static void check_nexthops(const struct leaf *l)
{
	const struct held *h;
	char text[256];

	for (size_t i = 0; (h = hmap_next(&l->held, &i));) {
		const struct fwd key = {.kind = FWD_NEXTHOP, .nexthop = {.owner = nexthop_of(&h->value)}};

		if (key.nexthop.owner && !leaf_find(l, &key))
			fail_msg("host %u: %s: by a next hop that is not there", l->host->self,
				 fwd_format(&h->value, text, sizeof(text)));
	}
}

/* What a former life left: the audit of the daemon takes away what the rib does not say. */
static void sweep(struct leaf *l)
{
	struct held *h;

	for (size_t i = 0; (h = hmap_next(&l->held, &i));) {
		if (h->life == l->host->life)
			continue;
		if (h->value.kind == FWD_MAC || h->value.kind == FWD_HOST)
			fabric_of(l)->n_lost++;
		drop(l, h);
	}
	l->sweeping = false;
}

void leaf_forget(struct leaf *l)
{
	struct held *h;

	for (size_t i = 0; (h = hmap_next(&l->held, &i));)
		drop(l, h);
	l->sweeping = false;
}

/* ---- life ---- */

static void on_alert(void *arg, const struct learn_alert *alert)
{
	fabric_of(arg)->n_alerts++;
}

struct leaf *leaf_new(struct host *h)
{
	struct leaf *l = calloc(1, sizeof(*l));

	assert_non_null(l);
	l->host = h;
	l->held = HMAP_INIT(struct held, key);
	l->sources = calloc(h->net->shape.n_hosts, sizeof(*l->sources));
	assert_non_null(l->sources);
	return l;
}

void leaf_free(struct leaf *l)
{
	if (!l)
		return;
	assert_null(l->rib);
	leaf_forget(l);
	hmap_fini(&l->held);
	free(l->sources);
	free(l);
}

static struct learn_neighbor neighbor_at(unsigned host, uint32_t router_id)
{
	return (struct learn_neighbor){.neighbor = {.address = addr_of(host), .router_id = router_id}};
}

void leaf_start(struct leaf *l)
{
	const struct fabric *f = fabric_of(l);
	const struct config_node *self = fabric_node(f, l->host->self);
	struct net *net = l->host->net;

	assert_int_equal(rib_new(&l->rib), 0);
	assert_int_equal(learn_new(l->rib, net->attrs, on_alert, l, &l->learn), 0);
	rib_load(l->rib, f->config, self);
	assert_int_equal(learn_load(l->learn, f->config, self), 0);
	for (unsigned k = 0; k < net->shape.n_hosts; k++) {
		struct learn_neighbor n = neighbor_at(k, 0);

		if (are_peers(net, l->host->self, k))
			assert_int_equal(learn_neighbor_add(l->learn, &n, &l->sources[k]), 0);
	}
	for (unsigned i = 0; i < f->n_endpoints; i++)
		leaf_port(l, i);
}

void leaf_stop(struct leaf *l)
{
	learn_free(l->learn);
	rib_free(l->rib);
	l->learn = NULL;
	l->rib = NULL;
	l->sweeping = false;
}

void leaf_port(struct leaf *l, unsigned endpoint)
{
	const struct endpoint *e = &fabric_of(l)->endpoints[endpoint];
	struct config_port c = fabric_port(fabric_of(l), e, l->host->self);

	if (!l->rib)
		return; /* it will be told when it starts */
	if (e->at != l->host->self && e->ghost != l->host->self) {
		rib_port_remove(l->rib, e->name);
		return;
	}
	rib_port_put(l->rib, &c);
	rib_port_link(l->rib, e->name,
		      &(struct rib_link){.ifindex = endpoint + 1, .mtu = 1500, .up = e->up || e->ghost == l->host->self});
}

/* ---- turns ---- */

static void say(void *arg, const struct export_change *c)
{
	struct leaf *l = arg;

	if (c->put)
		assert_int_equal(speaker_announce(l->host->s, &c->nlri, c->attrs, c->tenant), 0);
	else
		speaker_withdraw(l->host->s, &c->nlri.key);
}

void leaf_turn(struct leaf *l)
{
	uint64_t now_ms = l->host->net->now_ms;

	if (learn_next_ms(l->learn) <= now_ms)
		learn_run(l->learn, now_ms, BUDGET);
	assert_int_equal(rib_commit(l->rib, on_change, l), 0);
	assert_int_equal(learn_commit(l->learn, now_ms, say, l), 0);
	if (l->sweeping)
		sweep(l);
	if (l->changed && l->host->net->shape.n_hosts <= SMALL)
		check_nexthops(l);
	l->changed = false;
}

uint64_t leaf_next_ms(const struct leaf *l)
{
	return learn_next_ms(l->learn);
}

/* ---- what the speaker asks for ---- */

size_t leaf_put(struct leaf *l, unsigned from, const struct route_attrs *attrs, const struct route_nlri *nlri, size_t n)
{
	return learn_put(l->learn, l->sources[from], attrs, nlri, n);
}

size_t leaf_remove(struct leaf *l, unsigned from, const struct route_nlri *nlri, size_t n)
{
	return learn_remove(l->learn, l->sources[from], nlri, n);
}

void leaf_stale(struct leaf *l, unsigned from, enum route_family f)
{
	learn_stale(l->learn, l->sources[from], f);
}

size_t leaf_swept(struct leaf *l, unsigned from, enum route_family f)
{
	return learn_swept(l->learn, l->sources[from], f);
}

void leaf_established(struct leaf *l, unsigned from, uint32_t router_id)
{
	struct learn_neighbor n = neighbor_at(from, router_id);

	assert_int_equal(learn_neighbor_set(l->learn, l->sources[from], &n), 0);
}

void leaf_ready(struct leaf *l)
{
	l->sweeping = true;
}

/* ---- what it holds ---- */

const struct fwd *leaf_find(const struct leaf *l, const struct fwd *key)
{
	const struct held_key k = key_of(key);
	const struct held *h = hmap_get(&l->held, &k);

	return h ? &h->value : NULL;
}

size_t leaf_count(const struct leaf *l, enum fwd_kind kind)
{
	return l->counts[kind];
}

struct learn *leaf_learn(const struct leaf *l)
{
	return l->learn;
}

bool leaf_has_former(const struct leaf *l)
{
	const struct held *h;

	for (size_t i = 0; (h = hmap_next(&l->held, &i));)
		if (h->life != l->host->life)
			return true;
	return false;
}

bool leaf_is_quiet(const struct leaf *l)
{
	return learn_next_ms(l->learn) > l->host->net->now_ms;
}

uint64_t leaf_counted(const struct leaf *l, unsigned from)
{
	return routes_source_counted(learn_routes(l->learn), l->sources[from], ROUTE_EVPN);
}
