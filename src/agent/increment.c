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

struct held {
	struct held_key key;
	size_t count;
};

struct increment {
	struct hmap held;
	char *base; /* the configuration without its ports, as text */
	size_t base_size;
};

static struct held_key key_of(enum held_kind kind, const void *scope, const void *value, size_t size)
{
	struct held_key key = {.kind = kind, .scope = scope};

	memcpy(key.value, value, size);
	return key;
}

/* Calls fn with everything that a port holds; stops at the first that is not 0. */
static int port_holds(const struct config_port *p, int (*fn)(struct hmap *held, const struct held_key *key),
		      struct hmap *held)
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

static int hold(struct hmap *held, const struct held_key *key)
{
	struct held *h = hmap_get(held, key);
	int r;

	if (h) {
		h->count++;
		return 0;
	}
	h = malloc(sizeof(*h));
	if (!h)
		return -ENOMEM;
	*h = (struct held){*key, 1};
	r = hmap_add(held, h);
	if (r < 0)
		free(h);
	return r;
}

static int release(struct hmap *held, const struct held_key *key)
{
	struct held *h = hmap_get(held, key);

	if (h && --h->count == 0) {
		hmap_remove(held, key);
		free(h);
	}
	return 0;
}

/* A node that is in the network already brings no new pair of nodes, and one more copy must be allowed for. */
static int is_free(struct hmap *held, const struct held_key *key)
{
	const struct held *h = hmap_get(held, key);

	if (key->kind == HELD_PLACE)
		return h && h->count < CONFIG_MAX_FLOOD / 2 ? 0 : -EAGAIN;
	return h ? -EAGAIN : 0;
}

/* ---- preparing ---- */

static void increment_free(struct increment *i)
{
	struct held *h;

	if (!i)
		return;
	for (size_t at = 0; (h = hmap_next(&i->held, &at));)
		free(h);
	hmap_fini(&i->held);
	free(i->base);
	free(i);
}

DEFINE_CLEANUP(increment, struct increment *, increment_free)

void increment_forget(struct agent *a)
{
	increment_free(a->state->increment);
	a->state->increment = NULL;
}

static int emit_base(struct increment *i, const struct config *c)
{
	struct config without = *c;
	FILE *f = text_stream(&i->base, &i->base_size);
	int r;

	if (!f)
		return -ENOMEM;
	without.n_ports = 0;
	r = conf_emit(&without, false, f);
	return fclose(f) != 0 ? -ENOMEM : r;
}

void increment_prepare(struct agent *a)
{
	_cleanup_(increment) struct increment *i = NULL;

	if (a->state->increment)
		return;
	i = calloc(1, sizeof(*i));
	if (!i)
		return;
	i->held = HMAP_INIT(struct held, key);
	if (emit_base(i, a->config) < 0)
		return;
	for (size_t p = 0; p < a->config->n_ports; p++)
		if (port_holds(&a->config->ports[p], hold, &i->held) < 0)
			return;
	a->state->increment = TAKE_PTR(i);
}

/* ---- the configuration with other ports ---- */

struct port_array {
	struct config_port *ports;
	size_t length;
	struct hmap by_name;
};

static int array_index(struct port_array *x)
{
	x->by_name = SMAP_INIT(struct config_port, name);
	for (size_t i = 0; i < x->length; i++) {
		int r = hmap_add(&x->by_name, &x->ports[i]);

		if (r < 0)
			return r;
	}
	return 0;
}

static void array_fini(struct port_array *x) /* not what the ports own */
{
	free(x->ports);
	hmap_fini(&x->by_name);
}

/* Both are sorted by name. */
static int array_merge(const struct config *c, const struct config *more, struct port_array *out)
{
	size_t i = 0, k = 0;

	*out = (struct port_array){.ports = reallocarray(NULL, c->n_ports + more->n_ports, sizeof(*c->ports))};
	if (!out->ports)
		return -ENOMEM;
	while (i < c->n_ports || k < more->n_ports) {
		bool old = k == more->n_ports || (i < c->n_ports && strcmp(c->ports[i].name, more->ports[k].name) < 0);

		out->ports[out->length++] = old ? c->ports[i++] : more->ports[k++];
	}
	return array_index(out);
}

static int array_without(const struct config *c, const struct config_port *port, struct port_array *out)
{
	*out = (struct port_array){.ports = reallocarray(NULL, c->n_ports, sizeof(*c->ports))};
	if (!out->ports)
		return -ENOMEM;
	for (size_t i = 0; i < c->n_ports; i++)
		if (&c->ports[i] != port)
			out->ports[out->length++] = c->ports[i];
	return array_index(out);
}

static void array_take(struct config *c, struct port_array *x)
{
	free(c->ports);
	hmap_fini(&c->port_by_name);
	c->ports = x->ports;
	c->n_ports = x->length;
	c->port_by_name = x->by_name;
	*x = (struct port_array){0};
}

/* ---- adding ---- */

/* The new ports alone, their references turned to the objects that are in use; -EAGAIN when there is any doubt. */
static int read_ports(struct agent *a, const struct conf_source *ports, struct config **out)
{
	const struct increment *i = a->state->increment;
	const struct conf_source sources[] = {{.name = "base", .text = i->base, .size = i->base_size}, *ports};
	struct conf_errors errors = {0};
	struct config *c = NULL;
	int r = conf_load(sources, 2, &c, &errors);

	conf_errors_fini(&errors);
	for (size_t p = 0; r == 0 && p < c->n_ports; p++) {
		struct config_port *port = &c->ports[p];

		port->node = config_node(a->config, port->node->name);
		port->network = config_network(a->config, port->network->full_name);
		if (!port->node || !port->network || config_port(a->config, port->name))
			r = -EAGAIN;
		else
			r = port_holds(port, is_free, &a->state->increment->held);
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
	for (size_t p = 0; p < more->n_ports; p++) {
		rib_port_remove(a->rib, more->ports[p].name);
		ports_remove(a->ports, more->ports[p].name);
	}
	rib_commit(a->rib, ignore_change, NULL);
}

static int plan_more(struct agent *a, const struct config *more, struct plan *plan, char **why)
{
	int r = 0;

	for (size_t p = 0; r == 0 && p < more->n_ports; p++) {
		const struct config_port *port = &more->ports[p];

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

int increment_add(struct agent *a, const struct conf_source *ports, bool dry_run, struct agent_plan *out, char **why)
{
	struct port_array all = {0};
	struct config *more = NULL;
	struct plan plan = {0};
	int r;

	increment_prepare(a);
	if (!a->state->increment)
		return -EAGAIN;
	r = read_ports(a, ports, &more);
	if (r < 0)
		return r;
	r = array_merge(a->config, more, &all);
	if (r == 0) {
		r = plan_more(a, more, &plan, why);
		if (r == 0)
			r = carry_out(a, &plan, dry_run, out, why);
		if (r < 0 || dry_run)
			take_back(a, more);
		a->state->resync |= r < 0;
	}
	if (r < 0 || dry_run) {
		array_fini(&all);
	} else {
		for (size_t p = 0; p < more->n_ports; p++)
			if (port_holds(&more->ports[p], hold, &a->state->increment->held) < 0)
				r = -ENOMEM;
		array_take(a->config, &all);
		more->n_ports = 0; /* they are the configuration's now */
		if (r < 0)
			increment_forget(a);
		ports_note(a->ports, &plan, a->kern, a->rib);
		agent_settle(a);
		r = 0;
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
	struct config_port gone = *port;
	struct port_array rest;
	struct plan plan = {0};
	int r = array_without(a->config, port, &rest);

	if (r < 0) {
		array_fini(&rest);
		return r;
	}
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
		array_fini(&rest);
	} else {
		if (a->state->increment)
			port_holds(&gone, release, &a->state->increment->held);
		array_take(a->config, &rest);
		ports_remove(a->ports, gone.name);
		free(gone.name);
		free(gone.interface);
		free(gone.addresses);
	}
	r = r < 0 ? r : (int)plan.length;
	plan_fini(&plan);
	return r;
}
