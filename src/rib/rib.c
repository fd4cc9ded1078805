/* SPDX-License-Identifier: Apache-2.0 */
#include "rib/rib.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/cleanup.h"
#include "rib/object.h"
#include "rib/state.h"

int rib_new(struct rib **out)
{
	struct rib *rib = calloc(1, sizeof(*rib));

	if (!rib)
		return -ENOMEM;
	entries_init(&rib->entries);
	rib->nodes = SMAP_INIT(struct node, name);
	rib->tenants = SMAP_INIT(struct tenant, name);
	rib->networks = SMAP_INIT(struct network, name);
	rib->ports = SMAP_INIT(struct port, name);
	rib->presences = HMAP_INIT(struct presence, key);
	rib->edges = HMAP_INIT(struct edge, key);
	rib->paths = HMAP_INIT(struct path, remote);
	LIST_INIT(&rib->unlisted);
	TAILQ_INIT(&rib->dirty);
	*out = rib;
	return 0;
}

static void free_all(struct hmap *m)
{
	void *item;

	for (size_t i = 0; (item = hmap_next(m, &i));)
		free(item);
	hmap_fini(m);
}

void rib_free(struct rib *rib)
{
	struct network *network;
	struct tenant *tenant;
	struct node *node;
	struct port *port;

	if (!rib)
		return;
	for (size_t i = 0; (port = hmap_next(&rib->ports, &i));)
		port_free(rib, port);
	for (size_t i = 0; (network = hmap_next(&rib->networks, &i));)
		network_free(rib, network);
	for (size_t i = 0; (tenant = hmap_next(&rib->tenants, &i));)
		free(tenant->name);
	for (size_t i = 0; (node = hmap_next(&rib->nodes, &i));)
		free(node->name);
	while ((node = LIST_FIRST(&rib->unlisted))) {
		LIST_REMOVE(node, of_unlisted);
		free(node->name);
		free(node);
	}
	hmap_fini(&rib->ports);
	hmap_fini(&rib->networks);
	free_all(&rib->tenants);
	free_all(&rib->nodes);
	free_all(&rib->presences);
	free_all(&rib->edges);
	free_all(&rib->paths);
	entries_fini(&rib->entries);
	free(rib);
}

/* An object with its name, in its table; NULL and the sticky error when memory is out. */
static void *object_add(struct rib *rib, struct hmap *table, size_t size, const char *name)
{
	char *copy = strdup(name);
	void *object = calloc(1, size);

	if (copy && object) {
		*(char **)((char *)object + table->key_offset) = copy;
		if (hmap_add(table, object) == 0)
			return object;
	}
	free(copy);
	free(object);
	rib->entries.error = -ENOMEM;
	return NULL;
}

/* True when *to differed and now is a copy of from. */
static bool array_set(struct rib *rib, void **to, size_t *to_length, const void *from, size_t length, size_t item_size)
{
	void *copy = NULL;

	if (*to_length == length && (length == 0 || memcmp(*to, from, length * item_size) == 0))
		return false;
	if (length > 0) {
		copy = malloc(length * item_size);
		if (!copy) {
			rib->entries.error = -ENOMEM;
			return false;
		}
		memcpy(copy, from, length * item_size);
	}
	free(*to);
	*to = copy;
	*to_length = length;
	return true;
}

/* ---- nodes and paths ---- */

static struct path *path_obtain(struct rib *rib, const struct addr *remote)
{
	struct path *p = hmap_get(&rib->paths, remote);

	if (p)
		return p;
	p = calloc(1, sizeof(*p));
	if (p) {
		p->remote = *remote;
		if (hmap_add(&rib->paths, p) == 0)
			return p;
	}
	free(p);
	rib->entries.error = -ENOMEM;
	return NULL;
}

static void path_set_node(struct rib *rib, struct path *p, struct node *n)
{
	if (p->node && p->node != n && rib->learn)
		rib->remapped = true;
	p->node = n;
}

/*
 * An address may go from one node to another in one load: whoever is put last has it, and only its holder lets go of
 * it.
 */
static void node_set_underlay(struct rib *rib, struct node *n, const struct addr *underlay, size_t n_underlay)
{
	for (size_t i = 0; i < n->n_underlay; i++) {
		struct path *p = hmap_get(&rib->paths, &n->underlay[i]);

		if (p && p->node == n)
			path_set_node(rib, p, NULL);
	}
	n->n_underlay = n_underlay < 2 ? n_underlay : 2;
	for (size_t i = 0; i < n->n_underlay; i++) {
		struct path *p = path_obtain(rib, &underlay[i]);

		n->underlay[i] = underlay[i];
		if (p)
			path_set_node(rib, p, n);
	}
}

static bool node_is_spoken_for(const struct node *n)
{
	return !LIST_EMPTY(&n->presences) || !LIST_EMPTY(&n->edges);
}

/*
 * To the name of its VTEP: a node of its old name may come, and have tunnels of that name to other addresses.  Claims
 * point at names.
 */
static void node_rename(struct rib *rib, struct node *n)
{
	char text[ADDR_TEXT_SIZE], *name = strdup(addr_format(&n->underlay[0], text));
	struct presence *p;
	struct edge *e;

	if (!name) {
		rib->entries.error = -ENOMEM;
		return;
	}
	for (p = LIST_FIRST(&n->presences); p; p = LIST_NEXT(p, of_node)) {
		entries_withdraw(&rib->entries, &p->item.claims);
		p->owner = fwd_owner_tunnel(p->network->name, name);
	}
	for (e = LIST_FIRST(&n->edges); e; e = LIST_NEXT(e, of_node)) {
		entries_withdraw(&rib->entries, &e->item.claims);
		e->owner = fwd_owner_router(e->tenant->name, name, &e->key.router_mac);
	}
	free(n->name);
	n->name = name;
	node_touch(rib, n);
	offers_touch(rib, n, true);
}

static void node_make_unlisted(struct rib *rib, struct node *n)
{
	n->unlisted = n->foreign = true;
	n->secure = rib->strangers;
	LIST_INSERT_HEAD(&rib->unlisted, n, of_unlisted);
}

struct node *node_at(struct rib *rib, const struct addr *vtep)
{
	struct path *path = path_obtain(rib, vtep);
	char name[ADDR_TEXT_SIZE];
	struct node *n;

	if (!path)
		return NULL;
	if (path->node)
		return path->node;
	n = calloc(1, sizeof(*n));
	if (n)
		n->name = strdup(addr_format(vtep, name));
	if (!n || !n->name) {
		free(n);
		rib->entries.error = -ENOMEM;
		return NULL;
	}
	n->underlay[0] = *vtep;
	n->n_underlay = 1;
	LIST_INIT(&n->presences);
	LIST_INIT(&n->edges);
	LIST_INIT(&n->offers);
	path->node = n;
	node_make_unlisted(rib, n);
	return n;
}

void node_release(struct rib *rib, struct node *n)
{
	struct path *path;

	if (!n->unlisted || node_is_spoken_for(n))
		return;
	for (size_t i = 0; i < n->n_underlay; i++) {
		path = hmap_get(&rib->paths, &n->underlay[i]);
		if (path && path->node == n) {
			hmap_remove(&rib->paths, &path->remote);
			free(path);
		}
	}
	LIST_REMOVE(n, of_unlisted);
	free(n->name);
	free(n);
}

static bool node_same(const struct node *n, const struct config_node *c)
{
	if (n->n_underlay != c->n_underlay || n->mtu != c->mtu || n->foreign != c->foreign)
		return false;
	for (size_t i = 0; i < n->n_underlay; i++)
		if (!addr_equal(&n->underlay[i], &c->underlay[i]))
			return false;
	return true;
}

static void node_put(struct rib *rib, const struct config_node *c)
{
	struct node *n = hmap_get(&rib->nodes, c->name);

	if (!n) {
		n = object_add(rib, &rib->nodes, sizeof(*n), c->name);
		if (!n)
			return;
		LIST_INIT(&n->presences);
		LIST_INIT(&n->edges);
		LIST_INIT(&n->offers);
	}
	n->seen = rib->load;
	if (node_same(n, c))
		return;
	node_set_underlay(rib, n, c->underlay, c->n_underlay);
	n->mtu = c->mtu;
	n->foreign = c->foreign;
	config_router_mac(c, &n->router_mac);
	node_touch(rib, n);
	node_touch_ports(rib, n); /* another set of families may make it unreachable */
	if (rib->learn)
		learn_touch_places(rib->learn); /* likewise */
	if (n != rib->self)
		return;
	for (size_t i = 0;;) { /* our own addresses are in every tunnel, and decide which nodes can be reached */
		struct tenant *t = hmap_next(&rib->tenants, &i);

		if (!t)
			break;
		tenant_touch(rib, t);
	}
}

/* The networks that a foreign node lists. */
static void node_put_lists(struct rib *rib, const struct config_node *c)
{
	struct node *n = hmap_get(&rib->nodes, c->name);
	struct presence *p, *next;

	if (!n || (c->n_networks == 0 && !n->lists_networks))
		return;
	n->lists_networks = c->n_networks > 0;
	for (size_t i = 0; i < c->n_networks; i++) {
		struct network *network = hmap_get(&rib->networks, c->networks[i]->full_name);

		p = network ? presence_obtain(rib, network, n) : NULL;
		if (!p)
			continue;
		if (!p->listed)
			item_touch(rib, &p->item);
		p->listed = true;
		p->listed_seen = rib->load;
	}
	for (p = LIST_FIRST(&n->presences); p; p = next) {
		next = LIST_NEXT(p, of_node);
		if (!p->listed || p->listed_seen == rib->load)
			continue;
		p->listed = false;
		item_touch(rib, &p->item);
		presence_update(rib, p);
	}
}

static void node_remove(struct rib *rib, struct node *n)
{
	struct presence *p, *next;

	for (p = LIST_FIRST(&n->presences); p; p = next) { /* its ports are gone already */
		next = LIST_NEXT(p, of_node);
		p->listed = false;
		item_touch(rib, &p->item);
		presence_update(rib, p);
	}
	hmap_remove(&rib->nodes, n->name);
	if (node_is_spoken_for(n)) { /* it still announces */
		n->mtu = 0;
		node_make_unlisted(rib, n);
		node_rename(rib, n);
		return;
	}
	node_set_underlay(rib, n, NULL, 0);
	free(n->name);
	free(n);
}

/* ---- tenants and networks ---- */

static struct tenant *tenant_put(struct rib *rib, const struct config_tenant *c)
{
	struct tenant *t = hmap_get(&rib->tenants, c->name);

	if (!t) {
		t = object_add(rib, &rib->tenants, sizeof(*t), c->name);
		if (!t)
			return NULL;
		LIST_INIT(&t->networks);
		LIST_INIT(&t->edges);
	}
	t->seen = rib->load;
	secure_put_tenant(rib, t, c);
	if (t->vni != c->vni) {
		learn_forget_tenant(t);
		t->vni = c->vni;
		tenant_touch(rib, t);
	}
	return t;
}

static void network_put(struct rib *rib, struct tenant *t, const struct config_network *c)
{
	struct network *n = hmap_get(&rib->networks, c->full_name);
	bool native = c->encap == CONFIG_ENCAP_NONE, changed = false, known = n, routed;

	if (!n) {
		n = object_add(rib, &rib->networks, sizeof(*n), c->full_name);
		if (!n)
			return;
		n->item.kind = ITEM_NETWORK;
		n->tenant = t;
		LIST_INIT(&n->ports);
		LIST_INIT(&n->presences);
		LIST_INSERT_HEAD(&t->networks, n, of_tenant);
		changed = true;
	}
	n->seen = rib->load;
	routed = network_is_routed(n);
	if (n->mode != c->mode || n->vni != c->vni)
		learn_forget_network(n);
	changed |= n->mode != c->mode || n->vni != c->vni || n->flood != c->flood || n->native != native;
	n->mode = c->mode;
	n->vni = c->vni;
	n->flood = c->flood;
	if (n->native != native)
		tenant_touch(rib, t); /* what neighbors say of it is held in another way */
	n->native = native;
	secure_put_network(rib, n, c);
	changed |= array_set(rib, (void **)&n->subnets, &n->n_subnets, c->subnets, c->n_subnets, sizeof(*c->subnets));
	changed |=
		array_set(rib, (void **)&n->gateways, &n->n_gateways, c->gateways, c->n_gateways, sizeof(*c->gateways));
	if (changed)
		network_update(rib, n);
	if (known && network_is_routed(n) != routed && rib->learn)
		learn_touch_places(rib->learn); /* what is said of its hosts */
}

static void network_remove(struct rib *rib, struct network *n)
{
	struct presence *p;

	learn_forget_network(n);
	while ((p = LIST_FIRST(&n->presences))) {
		p->listed = false;
		presence_update(rib, p);
	}
	LIST_REMOVE(n, of_tenant);
	hmap_remove(&rib->networks, n->name);
	network_free(rib, n);
}

/* ---- ports ---- */

void rib_port_put(struct rib *rib, const struct config_port *c)
{
	struct network *network = hmap_get(&rib->networks, c->network->full_name);
	struct node *node = hmap_get(&rib->nodes, c->node->name);
	struct port *p = hmap_get(&rib->ports, c->name);

	if (!network || !node)
		return; /* only when memory ran out before */
	if (!p) {
		p = object_add(rib, &rib->ports, sizeof(*p), c->name);
		if (!p)
			return;
		p->item.kind = ITEM_PORT;
		p->owner = fwd_owner_port(c->name);
	}
	p->seen = rib->load;
	if (p->node != node || p->network != network) {
		port_leave(rib, p);
		if (node != rib->self)
			p->link = (struct rib_link){0};
		port_join(rib, p, node, network);
	}
	if (!mac_equal(&p->mac, &c->mac)) {
		p->mac = c->mac;
		item_touch(rib, &p->item);
	}
	if (p->storm_limit != c->storm_limit) {
		p->storm_limit = c->storm_limit;
		item_touch(rib, &p->item);
	}
	if (array_set(rib, (void **)&p->addresses, &p->n_addresses, c->addresses, c->n_addresses,
		      sizeof(*c->addresses)))
		item_touch(rib, &p->item);
}

static void port_remove(struct rib *rib, struct port *p)
{
	port_leave(rib, p);
	hmap_remove(&rib->ports, p->name);
	port_free(rib, p);
}

void rib_port_remove(struct rib *rib, const char *port_name)
{
	struct port *p = hmap_get(&rib->ports, port_name);

	if (p)
		port_remove(rib, p);
}

static bool link_equal(const struct rib_link *a, const struct rib_link *b)
{
	return a->ifindex == b->ifindex && a->mtu == b->mtu && a->flags == b->flags && a->peer == b->peer &&
	       a->up == b->up;
}

void rib_port_link(struct rib *rib, const char *port_name, const struct rib_link *link)
{
	struct port *p = hmap_get(&rib->ports, port_name);

	if (!p || p->node != rib->self || link_equal(&p->link, link))
		return;
	p->link = *link;
	item_touch(rib, &p->item);
}

/* ---- the view as a whole ---- */

/* What the last load had and this one has not, in reverse order of dependence. */
static void sweep(struct rib *rib)
{
	struct network *network;
	struct tenant *tenant;
	struct node *node;
	struct port *port;
	struct path *path;

	for (size_t i = 0; (port = hmap_next(&rib->ports, &i));)
		if (port->seen != rib->load)
			port_remove(rib, port);
	for (size_t i = 0; (network = hmap_next(&rib->networks, &i));)
		if (network->seen != rib->load)
			network_remove(rib, network);
	for (size_t i = 0; (tenant = hmap_next(&rib->tenants, &i));)
		if (tenant->seen != rib->load) {
			learn_forget_tenant(tenant);
			hmap_remove(&rib->tenants, tenant->name);
			free(tenant->name);
			free(tenant);
		}
	for (size_t i = 0; (node = hmap_next(&rib->nodes, &i));)
		if (node->seen != rib->load && node != rib->self)
			node_remove(rib, node);
	for (size_t i = 0; (path = hmap_next(&rib->paths, &i));)
		if (!path->node) {
			hmap_remove(&rib->paths, &path->remote);
			free(path);
		}
}

void rib_load(struct rib *rib, const struct config *config, const struct config_node *self)
{
	const struct config_port *port;

	rib->load++;
	for (size_t i = 0; i < config->n_nodes; i++)
		node_put(rib, &config->nodes[i]);
	rib->self = hmap_get(&rib->nodes, self->name);
	secure_load(rib, config, self);
	for (size_t i = 0; i < config->n_tenants; i++) {
		struct tenant *t = tenant_put(rib, &config->tenants[i]);

		for (size_t k = 0; t && k < config->tenants[i].n_networks; k++)
			network_put(rib, t, &config->tenants[i].networks[k]);
	}
	for (size_t i = 0; i < config->n_nodes; i++)
		node_put_lists(rib, &config->nodes[i]);
	for (struct config_walk w = {0}; (port = config_walk(config, &w));)
		rib_port_put(rib, port);
	if (rib->icmp_limit != config->icmp_limit) {
		rib->icmp_limit = config->icmp_limit;
		node_touch_ports(rib, rib->self);
	}
	sweep(rib);
}

void rib_path_set(struct rib *rib, const struct addr *remote, uint32_t mtu, bool reachable)
{
	struct path *p = hmap_get(&rib->paths, remote);

	bool was_reachable;

	if (!p || (p->known && p->mtu == mtu && p->reachable == reachable))
		return;
	was_reachable = p->node && node_is_reachable(rib, p->node);
	p->known = true;
	p->mtu = mtu;
	p->reachable = reachable;
	if (!p->node)
		return;
	node_touch(rib, p->node);
	if (node_is_reachable(rib, p->node) != was_reachable)
		offers_touch(rib, p->node, false);
}

static bool node_is_used(const struct node *n)
{
	const struct presence *p;
	const struct edge *e;

	for (p = LIST_FIRST(&n->presences); p; p = LIST_NEXT(p, of_node))
		if (p->item.claims)
			return true;
	for (e = LIST_FIRST(&n->edges); e; e = LIST_NEXT(e, of_node))
		if (e->n_offers > 0 && e->item.claims)
			return true;
	return false;
}

static void tell_remote(const struct rib *rib, const struct node *n,
			void (*fn)(void *arg, const struct addr *remote, const struct addr *local), void *arg)
{
	const struct addr *remote, *local;
	uint32_t mtu;

	if (n == rib->self || !node_is_used(n))
		return;
	remote = node_path(rib, n, &local, &mtu);
	if (remote)
		fn(arg, remote, local);
}

void rib_remote_each(const struct rib *rib, void (*fn)(void *arg, const struct addr *remote, const struct addr *local),
		     void *arg)
{
	const struct node *n;

	for (size_t i = 0; (n = hmap_next(&rib->nodes, &i));)
		tell_remote(rib, n, fn, arg);
	for (n = LIST_FIRST(&rib->unlisted); n; n = LIST_NEXT(n, of_unlisted))
		tell_remote(rib, n, fn, arg);
}

static void resolve_dirty(struct rib *rib)
{
	struct item *item;

	while (rib->entries.error == 0 && (item = TAILQ_FIRST(&rib->dirty))) {
		TAILQ_REMOVE(&rib->dirty, item, dirty_link);
		item->dirty = false;
		resolve(rib, item);
	}
}

void rib_settle(struct rib *rib)
{
	do
		resolve_dirty(rib);
	while (rib->entries.error == 0 && rib->learn && learn_look_at_all(rib->learn));
}

int rib_commit(struct rib *rib, void (*emit)(void *arg, const struct fwd_change *change), void *arg)
{
	resolve_dirty(rib);
	return entries_commit(&rib->entries, emit, arg);
}

void rib_trim(struct rib *rib)
{
	hmap_trim(&rib->entries.by_key);
}

const char *rib_origin(const struct rib *rib, const struct fwd *f, enum route_source *source)
{
	const struct entry *entry = entries_find(&rib->entries, f);
	const struct claim *best = entry ? decide(entry->claims) : NULL;

	if (!best)
		return NULL;
	*source = best->source;
	return best->origin;
}

const struct fwd *rib_installed(const struct rib *rib, const struct fwd *f)
{
	const struct entry *entry = entries_find(&rib->entries, f);

	return entry && entry->installed ? &entry->value : NULL;
}

bool rib_is_claimed(const struct rib *rib, const struct fwd *f, enum route_source source)
{
	const struct entry *entry = entries_find(&rib->entries, f);
	const struct claim *c = entry ? entry->claims : NULL;

	while (c && c->source != source)
		c = c->next_of_entry;
	return c;
}

const char *rib_node_name(const struct rib *rib, const struct addr *underlay)
{
	const struct path *path = hmap_get(&rib->paths, underlay);

	return path && path->node ? path->node->name : NULL;
}

void rib_each(const struct rib *rib, void (*fn)(void *arg, const struct fwd *f), void *arg)
{
	const struct entry *entry;

	for (size_t i = 0; (entry = hmap_next(&rib->entries.by_key, &i));)
		if (entry->installed)
			fn(arg, &entry->value);
}
