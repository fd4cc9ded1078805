/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Wiring: what the kernel tells becomes state of ports and paths, the rib makes changes of it, the plan does them.
 * Everything meets here.
 */
#include "agent/agent.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "agent/bgp.h"
#include "agent/secure.h"
#include "agent/state.h"
#include "lib/text.h"
#include "rib/rib.h"

#define TICK_MS 500 /* what nobody tells of is mended within a second: found in half of one */
#define PATHS_DEBOUNCE_MS 100 /* route changes come in bursts */
#define PATHS_PERIOD_MS 5000
#define UNREACHABLE_NAMED 5

/* ---- being degraded ---- */

void agent_degrade(struct agent *a, enum reason r, const char *format, ...)
{
	struct agent_state *s = a->state;
	char *text = NULL;
	va_list args;
	size_t n = 0;

	static_assert(REASON_MAX < sizeof(a->degraded) / sizeof(a->degraded[0]), "room for all reasons and NULL");
	if (format) {
		va_start(args, format);
		if (text_vformat(&text, format, args) < 0)
			text = NULL;
		va_end(args);
	}
	if (text && (!s->reasons[r] || strcmp(text, s->reasons[r]) != 0))
		log_warning("degraded: %s", text);
	else if (!text && s->reasons[r])
		log_info("no longer degraded: %s", s->reasons[r]);
	free(s->reasons[r]);
	s->reasons[r] = text;
	for (unsigned i = 0; i < REASON_MAX; i++)
		if (s->reasons[i])
			a->degraded[n++] = s->reasons[i];
	a->degraded[n] = NULL;
}

/* Why its programs are not where they should be, or NULL. */
static const char *port_problem(const struct agent *a, const struct port_local *p)
{
	const char *why = p->config->peer && !a->options.offline ? secure_plain_problem(a->secure, p->config) : NULL;

	if (p->error)
		return p->why ? p->why : strerror(-p->error);
	if (why)
		return why;
	return p->ifindex && a->dp && !a->options.offline ? attach_problem(a->dp, p->ifindex, ATTACH_PORT) : NULL;
}

static bool port_is_up(const struct agent *a, const struct port_local *p, const struct link **link)
{
	*link = p->ifindex ? kern_link_by_index(a->kern, p->ifindex) : NULL;
	return *link && !port_problem(a, p) && (*link)->up && (*link)->running;
}

bool agent_is_degraded(const struct agent *a)
{
	const struct port_local *p;
	const struct link *link;

	if (a->degraded[0])
		return true;
	for (size_t i = 0; a->ports && (p = hmap_next(&a->ports->by_name, &i));)
		if (!port_is_up(a, p, &link))
			return true;
	return false;
}

enum agent_port_state agent_port_state(const struct agent *a, const struct config_port *p, const char **reason)
{
	static char text[160]; /* of the last call: control thread */
	const struct port_local *port = ports_by_name(a->ports, p->name);
	const struct link *link;

	*reason = "";
	if (p->node != a->self || !port)
		return AGENT_PORT_REMOTE;
	*reason = port_problem(a, port);
	if (*reason)
		return AGENT_PORT_FAILED;
	*reason = "";
	if (port_is_up(a, port, &link))
		return AGENT_PORT_UP;
	*reason = text;
	if (!link) {
		snprintf(text, sizeof(text), "interface %s does not exist", port->interface);
		return AGENT_PORT_WAITING;
	}
	snprintf(text, sizeof(text),
		 link->up ? "interface %s has no carrier: its other end is down" : "interface %s is down",
		 port->interface);
	return AGENT_PORT_DOWN;
}

const char *agent_port_state_name(enum agent_port_state s)
{
	static const char *const names[] = {[AGENT_PORT_UP] = "up",
					    [AGENT_PORT_WAITING] = "waiting",
					    [AGENT_PORT_DOWN] = "down",
					    [AGENT_PORT_FAILED] = "failed",
					    [AGENT_PORT_REMOTE] = "remote"};

	static_assert(sizeof(names) / sizeof(names[0]) == AGENT_PORT_STATE_MAX, "a name per state");
	return names[s];
}

/* ---- doing what events ask for ---- */

/* The first of a burst starts the clock. */
static void paths_changed(struct agent *a)
{
	uint64_t soon = loop_now_ms(a->loop) + PATHS_DEBOUNCE_MS;

	if (a->state->paths_due_ms <= soon)
		return;
	a->state->paths_due_ms = soon;
	loop_timer_set(a->loop, a->state->paths_timer, soon);
}

void agent_out_of_memory(struct agent *a)
{
	log_error("out of memory; ending, the data plane goes on, a restart takes it over");
	loop_stop(a->loop, 1);
}

/* BGP knows VTEPs and next hops that the configuration does not: nobody has looked for the way to them yet. */
static bool leads_elsewhere(const struct agent *a, const struct plan *plan)
{
	for (size_t i = 0; i < plan->length; i++) {
		const struct fwd *f = &plan->steps[i].change.now;

		if (plan->steps[i].action == PLAN_PUT && f->kind == FWD_NEXTHOP && f->nexthop.type != FWD_NEXTHOP_PORT &&
		    !hmap_get(&a->wire->paths, &f->nexthop.remote))
			return true;
	}
	return false;
}

/* Twice at most: a port that could not be attached is taken back out. */
static void install(struct agent *a)
{
	for (int round = 0; round < 2; round++) {
		struct plan *plan = &a->state->pending;
		size_t failed, lost;
		int r = rib_commit(a->rib, plan_change, plan);

		if (r == 0)
			r = plan_sort(plan);
		if (r < 0) {
			agent_out_of_memory(a);
			return;
		}
		if (plan->length == 0)
			return;
		failed = plan_run_all(plan, a->dp, a->kern);
		if (failed) {
			agent_degrade(a, REASON_DATAPLANE,
				      "the data plane refused %zu entries: %s; trying again", failed,
				      datapath_error());
			a->state->resync = true;
		}
		wire_note(a->wire, plan);
		if (leads_elsewhere(a, plan))
			paths_changed(a);
		lost = ports_note(a->ports, plan, a->kern, a->rib);
		plan_fini(plan);
		if (lost == 0)
			return;
	}
}

void agent_settle(struct agent *a)
{
	install(a);
	bgp_announce(a->bgp);
}

struct everything {
	struct datapath *dp;
	struct kern *kern;
	size_t failed;
};

static void put_one(void *arg, const struct fwd *f)
{
	struct everything *e = arg;

	if (f->kind == FWD_ROUTE)
		kern_route_put(e->kern, &f->route); /* the audit tells what is in the way */
	else
		e->failed += table_put(e->dp, f) < 0;
}

/* Next hops before what points at them, and so on: as many walks as there are kinds. */
struct kind_walk {
	struct everything *everything;
	enum fwd_kind kind;
};

static void put_of_kind(void *arg, const struct fwd *f)
{
	struct kind_walk *w = arg;

	if (f->kind == w->kind)
		put_one(w->everything, f);
}

void agent_sync_begin(struct agent *a)
{
	datapath_sync_begin(a->dp);
	kern_routes_begin(a->kern); /* what cannot be listed the audit lists again */
}

/* Of what only BGP knows to be there, when the file may say more than it did as it came. */
static bool is_encrypted(void *arg, const struct fwd_nexthop *n)
{
	const struct agent *a = arg;

	return a->self && config_encrypts_nexthop(a->config, a->self, n);
}

int agent_sync_end(struct agent *a)
{
	int routes, r;

	if (agent_lacks(a)) {
		kern_routes_keep(a->kern);
		return datapath_sync_keep(a->dp, is_encrypted, a);
	}
	r = datapath_sync_end(a->dp);
	routes = kern_routes_end(a->kern); /* last: next hops relied on them */
	return r < 0 ? r : r + (routes > 0 ? routes : 0);
}

int agent_put_everything(struct agent *a)
{
	struct everything e = {.dp = a->dp, .kern = a->kern};
	const struct port_local *p;
	int r;

	agent_sync_begin(a);
	e.failed += datapath_set_node(a->dp, &a->wire->node) < 0;
	for (size_t i = 0; i < WIRE_INTERFACES; i++)
		if (a->wire->attached[i])
			attach_add(a->dp, a->wire->attached[i], ATTACH_WIRE);
	if (a->wire->secure_ifindex && wire_has(a->wire, a->wire->secure_ifindex))
		attach_add(a->dp, a->wire->secure_ifindex, ATTACH_SECURE);
	for (size_t i = 0; (p = hmap_next(&a->ports->by_name, &i));)
		if (p->ifindex && !p->error)
			attach_add(a->dp, p->ifindex, ATTACH_PORT);
	for (enum fwd_kind kind = 0; kind < FWD_KIND_MAX; kind++) {
		struct kind_walk walk = {&e, kind};

		rib_each(a->rib, put_of_kind, &walk);
	}
	r = agent_sync_end(a);
	return r < 0 ? r : (int)e.failed;
}

/* ---- paths ---- */

static void check_underlay(struct agent *a)
{
	char address[ADDR_TEXT_SIZE];
	bool any = false;

	for (size_t i = 0; i < WIRE_INTERFACES; i++)
		any |= a->wire->attached[i] && a->wire->attached[i] != a->wire->secure_ifindex &&
		       !kern_cut_brings(a->kern, a->wire->attached[i]);
	if (!any) {
		agent_degrade(a, REASON_UNDERLAY, "no interface to receive tunnels on: %s is on none",
			      addr_format(&a->self->underlay[0], address));
		return;
	}
	for (size_t i = 0; i < a->self->n_underlay; i++) {
		if (kern_link_with_address(a->kern, &a->self->underlay[i]))
			continue;
		agent_degrade(a, REASON_UNDERLAY,
			      "no interface has this node's underlay address %s; ip address add gives it to one",
			      addr_format(&a->self->underlay[i], address));
		return;
	}
	agent_degrade(a, REASON_UNDERLAY, NULL);
}

struct lost_nodes {
	const struct wire *wire;
	char names[256];
	size_t length, n;
};

static void count_lost(void *arg, const struct addr *remote, const struct addr *local)
{
	struct lost_nodes *l = arg;
	const struct wire_path *p = hmap_get(&l->wire->paths, remote);
	char address[ADDR_TEXT_SIZE];

	if (!p || p->reachable || p->relayed || l->n++ >= UNREACHABLE_NAMED || l->length >= sizeof(l->names))
		return;
	l->length += (size_t)snprintf(l->names + l->length, sizeof(l->names) - l->length, "%s%s (%s)",
				      l->n > 1 ? ", " : "", p->node, addr_format(remote, address));
}

void agent_check_paths(struct agent *a)
{
	struct lost_nodes l = {.wire = a->wire};

	rib_remote_each(a->rib, count_lost, &l);
	agent_degrade(a, REASON_PATH, l.n ? "no route to %zu node%s: %s%s" : NULL, l.n, l.n == 1 ? "" : "s", l.names,
		      l.n > UNREACHABLE_NAMED ? " and others" : "");
}

void agent_look_at_paths(struct agent *a)
{
	wire_look(a->wire, a->kern, a->config, a->self, a->rib, true);
	wire_tell(a->wire, a->rib);
	wire_plan(a->wire, a->kern, a->config, a->self, false, &a->state->pending);
	agent_settle(a);
	check_underlay(a);
	agent_check_paths(a);
	wire_keep_neighbours(a->wire, a->kern, a->rib);
	a->state->paths_due_ms = loop_now_ms(a->loop) + PATHS_PERIOD_MS;
}

/* ---- what the kernel tells ---- */

static bool is_named(const struct config_node *self, const char *interface)
{
	for (size_t i = 0; i < self->n_interfaces; i++)
		if (strcmp(self->interfaces[i], interface) == 0)
			return true;
	return false;
}

/* Of other interfaces the addresses and routes count, and those have a message of their own. */
static void on_link(void *arg, const struct link *link)
{
	struct agent *a = arg;
	struct port_local *named = ports_by_interface(a->ports, link->name),
			  *bound = ports_by_ifindex(a->ports, link->ifindex);

	if (bound && bound != named) /* it was renamed */
		port_refresh(a->ports, bound, a->kern, &a->state->pending, a->rib);
	if (named)
		port_refresh(a->ports, named, a->kern, &a->state->pending, a->rib);
	else if (wire_has(a->wire, link->ifindex) || is_named(a->self, link->name))
		paths_changed(a);
}

static void on_link_gone(void *arg, uint32_t ifindex, const char *name)
{
	struct agent *a = arg;
	struct port_local *p = ports_by_ifindex(a->ports, ifindex);

	attach_forget(a->dp, ifindex);
	if (wire_has(a->wire, ifindex)) {
		wire_forget(a->wire, ifindex);
		paths_changed(a);
	}
	if (p)
		port_refresh(a->ports, p, a->kern, &a->state->pending, a->rib);
}

/* Above 0: they were not right. */
static int mend_programs(struct agent *a, uint32_t ifindex, bool wire)
{
	int r = attach_check(a->dp, ifindex, wire ? ATTACH_WIRE : ATTACH_PORT), more = 0;

	if (wire && ifindex == a->wire->secure_ifindex)
		more = attach_check(a->dp, ifindex, ATTACH_SECURE);
	return more > 0 ? more : r;
}

static void on_filter_gone(void *arg, uint32_t ifindex)
{
	struct agent *a = arg;
	bool wire = wire_has(a->wire, ifindex);
	const struct port_local *p = wire ? NULL : ports_by_ifindex(a->ports, ifindex);
	const struct link *link = kern_link_by_index(a->kern, ifindex);

	if (!wire && (!p || p->error))
		return;
	if (p)
		agent_guard(a, p);
	if (mend_programs(a, ifindex, wire) <= 0)
		return;
	a->repairs++;
	log_limited(
		&a->state->repair_limit, LOG_LEVEL_WARNING,
		"drift: somebody removed our program from interface %s; it is back, what came in meanwhile was dropped",
		link ? link->name : "?");
}

static void on_route_change(void *arg)
{
	paths_changed(arg);
}

static void on_kern(void *arg, uint32_t events)
{
	static struct log_limit limit;
	struct agent *a = arg;
	int r = kern_read(a->kern);

	if (r < 0)
		log_limited(&limit, LOG_LEVEL_WARNING, "reading notifications of the kernel: %s; going on",
			    strerror(-r));
	agent_settle(a);
	secure_plain_follow(a->secure);
}

static void keep_event(void *arg, const struct abi_event *e)
{
	struct agent *a = arg;

	a->events[a->n_events++ % AGENT_EVENTS] = *e;
}

static void on_drops(void *arg, uint32_t events)
{
	struct agent *a = arg;

	stats_events_read(a->dp, keep_event, a);
}

static void on_paths_timer(void *arg)
{
	agent_look_at_paths(arg);
}

static void on_tick(void *arg)
{
	struct agent *a = arg;
	uint64_t now = loop_now_ms(a->loop);

	agent_audit(a);
	agent_give_back(a);
	if (now >= a->state->paths_due_ms)
		agent_look_at_paths(a);
	loop_timer_set(a->loop, a->state->tick, now + TICK_MS);
}

const struct kern_callbacks agent_kern_callbacks = {on_link, on_link_gone, on_filter_gone, on_route_change};

int agent_follow(struct agent *a)
{
	struct agent_state *s = a->state;
	int r = loop_io_add(a->loop, kern_fd(a->kern), EPOLLIN, on_kern, a, &s->kern_io);

	if (r == 0)
		r = loop_io_add(a->loop, stats_events_fd(a->dp), EPOLLIN, on_drops, a, &s->events_io);
	if (r == 0)
		r = loop_timer_add(a->loop, on_tick, a, &s->tick);
	if (r == 0)
		r = loop_timer_add(a->loop, on_paths_timer, a, &s->paths_timer);
	if (r < 0)
		return r;
	loop_timer_set(a->loop, s->tick, loop_now_ms(a->loop) + TICK_MS);
	return 0;
}
