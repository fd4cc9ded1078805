/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/increment.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "agent/state.h"
#include "lib/cleanup.h"
#include "lib/text.h"
#include "rib/rib.h"

/* ---- what only one may have: the same rules as in conf/clash.c ---- */

enum held_kind {
	HELD_ADDRESS,	/* scope: tenant */
	HELD_MAC,	/* scope: network, of l3 networks their tenant */
	HELD_INTERFACE, /* scope: node; value: hash of the name: a clash that is none only costs the long way */
	HELD_PLACE,	/* scope: network; value: node; any number may */
};

struct held_key {
	uint64_t kind;
	const void *scope;
	uint8_t value[16];
};

/*
 * A million ports hold millions of keys, so only their hashes are kept, 64 bits under a secret seed; two keys of one hash
 * cost the long way.  A key that is held twice stands there twice.
 */
struct hashes {
	uint64_t *slots; /* 0 = free; linear probing, at most half full */
	size_t n_slots;  /* power of two */
	size_t length;
};

struct place { /* any number may be here, and it is asked how many */
	struct held_key key;
	size_t count;
};

struct increment {
	struct hashes held;
	struct hmap places;
};

static uint64_t hash_of(const struct held_key *key)
{
	uint64_t h = hash_seeded(key, sizeof(*key));

	return h ? h : 1;
}

static void hashes_place(struct hashes *x, uint64_t hash)
{
	size_t i = hash & (x->n_slots - 1);

	while (x->slots[i])
		i = (i + 1) & (x->n_slots - 1);
	x->slots[i] = hash;
}

static int hashes_add(struct hashes *x, uint64_t hash)
{
	if (2 * (x->length + 1) > x->n_slots) {
		struct hashes bigger = {.n_slots = x->n_slots ? 2 * x->n_slots : 64, .length = x->length};

		bigger.slots = calloc(bigger.n_slots, sizeof(*bigger.slots));
		if (!bigger.slots)
			return -ENOMEM;
		for (size_t i = 0; i < x->n_slots; i++)
			if (x->slots[i])
				hashes_place(&bigger, x->slots[i]);
		free(x->slots);
		*x = bigger;
	}
	hashes_place(x, hash);
	x->length++;
	return 0;
}

/* The slot that holds it, or n_slots. */
static size_t hashes_find(const struct hashes *x, uint64_t hash)
{
	if (x->n_slots > 0)
		for (size_t i = hash & (x->n_slots - 1); x->slots[i]; i = (i + 1) & (x->n_slots - 1))
			if (x->slots[i] == hash)
				return i;
	return x->n_slots;
}

/* What follows moves up, as long as it comes nearer to where its search begins. */
static void hashes_remove(struct hashes *x, uint64_t hash)
{
	size_t hole = hashes_find(x, hash), mask = x->n_slots - 1;

	if (hole == x->n_slots)
		return;
	for (size_t i = (hole + 1) & mask; x->slots[i]; i = (i + 1) & mask)
		if (((i - (x->slots[i] & mask)) & mask) >= ((i - hole) & mask)) {
			x->slots[hole] = x->slots[i];
			hole = i;
		}
	x->slots[hole] = 0;
	x->length--;
}

static struct held_key key_of(enum held_kind kind, const void *scope, const void *value, size_t size)
{
	struct held_key key = {.kind = kind, .scope = scope};

	memcpy(key.value, value, size);
	return key;
}

/* Calls fn with everything that a port holds; stops at the first that is not 0. */
static int port_holds(const struct config_port *p, int (*fn)(struct increment *i, const struct held_key *key),
		      struct increment *held)
{
	bool l2 = p->network->mode == CONFIG_MODE_L2;
	struct held_key key =
		key_of(HELD_MAC, l2 ? (const void *)p->network : p->network->tenant, &p->mac, sizeof(p->mac));
	uint64_t value = (uintptr_t)p->node;
	int r = fn(held, &key);

	for (size_t i = 0; r == 0 && i < p->n_addresses; i++) {
		key = key_of(HELD_ADDRESS, p->network->tenant, &p->addresses[i], sizeof(p->addresses[i]));
		r = fn(held, &key);
	}
	if (r == 0) {
		key = key_of(HELD_PLACE, p->network, &value, sizeof(value));
		r = fn(held, &key);
	}
	if (r == 0 && p->interface) {
		value = hash_stable_string(p->interface);
		key = key_of(HELD_INTERFACE, p->node, &value, sizeof(value));
		r = fn(held, &key);
	}
	return r;
}

static int hold(struct increment *i, const struct held_key *key)
{
	struct place *p;
	int r;

	if (key->kind != HELD_PLACE)
		return hashes_add(&i->held, hash_of(key));
	p = hmap_get(&i->places, key);
	if (p) {
		p->count++;
		return 0;
	}
	p = malloc(sizeof(*p));
	if (!p)
		return -ENOMEM;
	*p = (struct place){*key, 1};
	r = hmap_add(&i->places, p);
	if (r < 0)
		free(p);
	return r;
}

static int release(struct increment *i, const struct held_key *key)
{
	struct place *p = key->kind == HELD_PLACE ? hmap_get(&i->places, key) : NULL;

	if (key->kind != HELD_PLACE)
		hashes_remove(&i->held, hash_of(key));
	if (p && --p->count == 0) {
		hmap_remove(&i->places, key);
		free(p);
	}
	return 0;
}

/* A node that is in the network already brings no new pair of nodes, and one more copy must be allowed for. */
static int is_free(struct increment *i, const struct held_key *key)
{
	const struct place *p;

	if (key->kind != HELD_PLACE)
		return hashes_find(&i->held, hash_of(key)) == i->held.n_slots ? 0 : -EAGAIN;
	p = hmap_get(&i->places, key);
	return p && p->count < CONFIG_MAX_FLOOD / 2 ? 0 : -EAGAIN;
}

/* ---- preparing ---- */

/* A port may name any address of its tenant, and the text it is read against has only the network it names. */
static int gateways_hold(const struct config *c, struct increment *held)
{
	int r = 0;

	for (size_t t = 0; t < c->n_tenants; t++)
		for (size_t n = 0; n < c->tenants[t].n_networks; n++) {
			const struct config_network *network = &c->tenants[t].networks[n];

			for (size_t g = 0; r == 0 && g < network->n_gateways; g++) {
				struct held_key key = key_of(HELD_ADDRESS, network->tenant, &network->gateways[g],
							     sizeof(network->gateways[g]));

				r = hold(held, &key);
			}
		}
	return r;
}

static void increment_free(struct increment *i)
{
	struct place *p;

	if (!i)
		return;
	for (size_t at = 0; (p = hmap_next(&i->places, &at));)
		free(p);
	hmap_fini(&i->places);
	free(i->held.slots);
	free(i);
}

DEFINE_CLEANUP(increment, struct increment *, increment_free)

void increment_forget(struct agent *a)
{
	increment_free(a->state->increment);
	a->state->increment = NULL;
}

void increment_prepare(struct agent *a)
{
	_cleanup_(increment) struct increment *i = NULL;
	const struct config_port *p;

	if (a->state->increment)
		return;
	i = calloc(1, sizeof(*i));
	if (!i)
		return;
	i->places = HMAP_INIT(struct place, key);
	for (struct config_walk w = {0}; (p = config_walk(a->config, &w));)
		if (port_holds(p, hold, i) < 0)
			return;
	if (gateways_hold(a->config, i) < 0)
		return;
	a->state->increment = TAKE_PTR(i);
}

/* ---- adding ---- */

/* Nodes or networks that a text may speak of, each once. */
struct named {
	const void **objects;
	size_t length;
};

static int named_add(struct named *n, const void *object)
{
	const void **more;

	if (!object)
		return 0;
	more = reallocarray(n->objects, n->length + 1, sizeof(*more));
	if (!more)
		return -ENOMEM;
	n->objects = more;
	n->objects[n->length++] = object;
	return 0;
}

static int compare_pointers(const void *a, const void *b)
{
	uintptr_t x = (uintptr_t)*(const void *const *)a, y = (uintptr_t)*(const void *const *)b;

	return x < y ? -1 : x > y;
}

static void named_once(struct named *n)
{
	size_t kept = 0;

	if (n->length > 0)
		qsort(n->objects, n->length, sizeof(*n->objects), compare_pointers);
	for (size_t i = 0; i < n->length; i++)
		if (kept == 0 || n->objects[i] != n->objects[kept - 1])
			n->objects[kept++] = n->objects[i];
	n->length = kept;
}

/* Every word of the text that is the name of a node or a network: one too many does no harm. */
static int find_names(const struct config *c, const char *text, size_t size, struct named *nodes, struct named *networks)
{
	static const char end[] = " \t\r\n\"',:{}[]";
	const char *stop = text + size;
	int r = 0;

	while (r == 0 && text < stop) {
		char word[2 * CONFIG_NAME_MAX + 2];
		size_t length = 0;

		while (text + length < stop && !strchr(end, text[length]))
			length++;
		if (length > 0 && length < sizeof(word)) {
			memcpy(word, text, length);
			word[length] = 0;
			r = named_add(nodes, config_node(c, word));
			if (r == 0)
				r = named_add(networks, config_network(c, word));
		}
		text += length + 1;
	}
	named_once(nodes);
	named_once(networks);
	return r;
}

/* The part of the configuration that these nodes and networks are, as text. */
static int emit_part(const struct config *c, const struct named *nodes, const struct named *networks, char **text,
		     size_t *size)
{
	_cleanup_(free) struct config_site *some_sites = calloc(nodes->length + 1, sizeof(*some_sites));
	_cleanup_(free) struct config_node *some_nodes = calloc(nodes->length + 1, sizeof(*some_nodes));
	_cleanup_(free) struct config_network *some_networks = calloc(networks->length + 1, sizeof(*some_networks));
	_cleanup_(free) struct config_tenant *some_tenants = calloc(networks->length + 1, sizeof(*some_tenants));
	struct config part = *c;
	FILE *f;
	int r;

	if (!some_sites || !some_nodes || !some_networks || !some_tenants)
		return -ENOMEM;
	part.sites = some_sites;
	part.nodes = some_nodes;
	part.tenants = some_tenants;
	part.n_sites = part.n_nodes = part.n_tenants = part.n_ports = part.n_runtime = 0;
	part.n_pairs = 0; /* no new pair of nodes, see is_free */
	for (size_t i = 0; i < nodes->length; i++) {
		struct config_node *node = &some_nodes[part.n_nodes++];
		size_t k = 0;

		*node = *(const struct config_node *)nodes->objects[i];
		node->n_networks = 0;
		while (k < part.n_sites && some_sites[k].name != node->site->name)
			k++;
		if (k == part.n_sites)
			some_sites[part.n_sites++] = *node->site;
	}
	for (size_t i = 0; i < networks->length; i++) { /* those of a tenant are neighbours in memory */
		const struct config_network *network = networks->objects[i];
		struct config_tenant *tenant = part.n_tenants ? &some_tenants[part.n_tenants - 1] : NULL;

		some_networks[i] = *network;
		if (!tenant || tenant->name != network->tenant->name) {
			tenant = &some_tenants[part.n_tenants++];
			*tenant = *network->tenant;
			tenant->networks = &some_networks[i];
			tenant->n_networks = 0;
		}
		tenant->n_networks++;
	}
	f = text_stream(text, size);
	if (!f)
		return -ENOMEM;
	r = conf_emit(&part, false, f);
	return fclose(f) != 0 ? -ENOMEM : r;
}

static int base_of(const struct config *c, const struct conf_source *ports, char **text, size_t *size)
{
	struct named nodes = {0}, networks = {0};
	int r = find_names(c, ports->text, ports->size, &nodes, &networks);

	if (r == 0)
		r = emit_part(c, &nodes, &networks, text, size);
	free(nodes.objects);
	free(networks.objects);
	return r;
}

/* Could what is added at run time be read again, with these as well?  The long way says what is too much. */
static bool is_room(const struct agent *a, const struct config *more)
{
	const char *text = a->state->runtime_text;
	struct conf_extent e;

	if (conf_runtime_extent(more, &e) < 0)
		return false;
	e.size += text ? strlen(text) : 0;
	e.values += conf_runtime_values(a->config);
	return conf_extent_fits(&e, a->options.config_max);
}

/* The new ports alone, their references turned to the objects that are in use; -EAGAIN when there is any doubt. */
static int read_ports(struct agent *a, const struct conf_source *ports, struct config **out)
{
	struct conf_source sources[] = {{.name = "base", .size_max = a->options.config_max}, *ports};
	_cleanup_(free) char *base = NULL;
	struct conf_errors errors = {0};
	struct config *c = NULL;
	int r = base_of(a->config, ports, &base, &sources[0].size);

	if (r < 0)
		return r;
	sources[0].text = base;
	r = conf_load(sources, 2, &c, &errors);
	conf_errors_fini(&errors);
	if (r == 0 && !is_room(a, c))
		r = -EAGAIN;
	if (r == 0 && c->n_runtime > CONFIG_MAX_FLOOD / 2)
		r = -EAGAIN; /* they may all go to one place, of which is_free gives half */
	for (size_t p = 0; r == 0 && p < c->n_runtime; p++) {
		struct config_port *port = c->runtime[p];

		port->node = config_node(a->config, port->node->name);
		port->network = config_network(a->config, port->network->full_name);
		if (!port->node || !port->network || config_port(a->config, port->name))
			r = -EAGAIN;
		else
			r = port_holds(port, is_free, a->state->increment);
	}
	if (r < 0) {
		config_free(c);
		return -EAGAIN;
	}
	*out = c;
	return 0;
}

static void ignore_change(void *arg, const struct fwd_change *change)
{
}

static void take_back(struct agent *a, const struct config *more)
{
	for (size_t p = 0; p < more->n_runtime; p++) {
		rib_port_remove(a->rib, more->runtime[p]->name);
		ports_remove(a->ports, more->runtime[p]->name);
	}
	rib_commit(a->rib, ignore_change, NULL);
}

static int plan_more(struct agent *a, const struct config *more, struct plan *plan, char **why)
{
	int r = 0;

	for (size_t p = 0; r == 0 && p < more->n_runtime; p++) {
		const struct config_port *port = more->runtime[p];

		rib_port_put(a->rib, port);
		if (port->node == a->self)
			r = ports_add(a->ports, port);
		if (r == 0 && port->node == a->self) {
			r = port_bind(a->ports, ports_by_name(a->ports, port->name), a->kern, plan, why);
			port_tell(ports_by_name(a->ports, port->name), a->kern, a->rib);
		}
	}
	return r < 0 ? r : rib_commit(a->rib, plan_change, plan);
}

/* The second half of both directions: 0 when all was done (or nothing need be, in a dry run). */
static int carry_out(struct agent *a, struct plan *plan, bool dry_run, struct agent_plan *out, char **why)
{
	struct describe d = {.dp = a->dp, .before = a->config, .ports_before = a->ports};
	struct agent_plan steps = {0};
	int r = plan_sort(plan);

	if (r == 0)
		r = plan_check(plan, a->dp, false, why);
	if (r == 0)
		r = plan_describe(plan, &d, &steps);
	if (r == 0 && !dry_run)
		r = plan_run(plan, a->dp, a->kern, why);
	if (r < 0)
		agent_plan_fini(&steps);
	else
		*out = steps;
	return r;
}

/* They become the configuration's. */
static int take_over(struct agent *a, struct config *more)
{
	int r = 0;

	while (r == 0 && more->n_runtime > 0) {
		struct config_port *port = more->runtime[more->n_runtime - 1];

		r = config_add_runtime(a->config, port);
		if (r == 0)
			more->n_runtime--;
		if (r == 0 && port_holds(port, hold, a->state->increment) < 0)
			return -ENOMEM;
	}
	return r;
}

int increment_add(struct agent *a, const struct conf_source *ports, bool dry_run, struct agent_plan *out, char **why)
{
	struct config *more = NULL;
	struct plan plan = {0};
	int r;

	increment_prepare(a);
	if (!a->state->increment)
		return -EAGAIN;
	r = read_ports(a, ports, &more);
	if (r < 0)
		return r;
	r = plan_more(a, more, &plan, why);
	if (r == 0)
		r = carry_out(a, &plan, dry_run, out, why);
	if (r < 0 || dry_run) {
		take_back(a, more);
		a->state->resync |= r < 0;
	} else {
		r = take_over(a, more);
		if (r < 0) {
			take_back(a, more); /* those that found no room */
			increment_forget(a);
			a->state->resync = true;
		}
		ports_note(a->ports, &plan, a->kern, a->rib);
		agent_settle(a);
	}
	config_free(more);
	r = r < 0 ? r : (int)plan.length;
	plan_fini(&plan);
	return r;
}

/* ---- deleting ---- */

int increment_del(struct agent *a, const struct config_port *port, bool dry_run, struct agent_plan *out, char **why)
{
	struct port_local *local = ports_by_name(a->ports, port->name);
	struct plan plan = {0};
	int r;

	rib_port_remove(a->rib, port->name);
	if (local && local->ifindex && !local->error)
		plan_interface(&plan, PLAN_UNGUARD, local->ifindex, local->interface);
	r = rib_commit(a->rib, plan_change, &plan);
	if (r == 0)
		r = carry_out(a, &plan, dry_run, out, why);
	if (r < 0 || dry_run) {
		rib_port_put(a->rib, port);
		if (local)
			port_tell(local, a->kern, a->rib);
		rib_commit(a->rib, ignore_change, NULL);
		a->state->resync |= r < 0;
	} else {
		if (a->state->increment)
			port_holds(port, release, a->state->increment);
		ports_remove(a->ports, port->name);
		config_remove_runtime(a->config, config_port(a->config, port->name));
		agent_settle(a); /* neighbors are told */
	}
	r = r < 0 ? r : (int)plan.length;
	plan_fini(&plan);
	return r;
}
