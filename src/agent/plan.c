/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/plan.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kern/kern.h"
#include "lib/cleanup.h"
#include "lib/text.h"

void plan_fini(struct plan *p)
{
	free(p->steps);
	*p = (struct plan){0};
}

static struct plan_step *step_new(struct plan *p, enum plan_action action)
{
	if (p->length == p->capacity) {
		size_t capacity = p->capacity ? 2 * p->capacity : 64;
		struct plan_step *steps = reallocarray(p->steps, capacity, sizeof(*steps));

		if (!steps) {
			p->out_of_memory = true;
			return NULL;
		}
		p->steps = steps;
		p->capacity = capacity;
	}
	p->steps[p->length] = (struct plan_step){.action = action};
	return &p->steps[p->length++];
}

void plan_node(struct plan *p, const struct abi_node *now, const struct abi_node *old)
{
	struct plan_step *s = step_new(p, PLAN_NODE);

	if (!s)
		return;
	s->node.now = *now;
	s->node.old = *old;
}

void plan_interface(struct plan *p, enum plan_action action, uint32_t ifindex, const char *name)
{
	struct plan_step *s = step_new(p, action);

	if (!s)
		return;
	s->interface.ifindex = ifindex;
	snprintf(s->interface.name, sizeof(s->interface.name), "%s", name);
}

void plan_interface_again(struct plan *p, enum plan_action action, uint32_t ifindex, const char *name)
{
	for (size_t i = 0; i < p->length; i++) {
		struct plan_step *s = &p->steps[i];

		if ((s->action != PLAN_GUARD && s->action != PLAN_UNGUARD) || s->interface.ifindex != ifindex)
			continue;
		s->action = action;
		snprintf(s->interface.name, sizeof(s->interface.name), "%s", name);
		return;
	}
	plan_interface(p, action, ifindex, name);
}

void plan_change(void *plan, const struct fwd_change *change)
{
	struct plan_step *s = step_new(plan, change->put ? PLAN_PUT : PLAN_DELETE);

	if (s)
		s->change = *change;
}

/* ---- order ---- */

#define N_RANKS (PLAN_ACTION_MAX * FWD_KIND_MAX)

/* Puts in the order of enum fwd_kind, deletes in reverse. */
static unsigned step_rank(const struct plan_step *s)
{
	unsigned within = 0;

	if (s->action == PLAN_PUT)
		within = s->change.now.kind;
	else if (s->action == PLAN_DELETE)
		within = FWD_KIND_MAX - 1 - s->change.old.kind;
	return s->action * FWD_KIND_MAX + within;
}

int plan_sort(struct plan *p)
{
	size_t start[N_RANKS + 1] = {0};
	struct plan_step *sorted;

	if (p->out_of_memory)
		return -ENOMEM;
	if (p->length < 2)
		return 0;
	sorted = reallocarray(NULL, p->length, sizeof(*sorted));
	if (!sorted)
		return -ENOMEM;
	for (size_t i = 0; i < p->length; i++)
		start[step_rank(&p->steps[i]) + 1]++;
	for (size_t r = 1; r <= N_RANKS; r++)
		start[r] += start[r - 1];
	for (size_t i = 0; i < p->length; i++)
		sorted[start[step_rank(&p->steps[i])]++] = p->steps[i];
	free(p->steps);
	p->steps = sorted;
	p->capacity = p->length;
	return 0;
}

/* What is new is put before what is old is deleted, so the tables must hold both for a moment. */
int plan_check(const struct plan *p, const struct datapath *dp, bool anew, char **why)
{
	size_t more[FWD_KIND_MAX] = {0};

	for (size_t i = 0; i < p->length; i++)
		if (p->steps[i].action == PLAN_PUT && !p->steps[i].change.had_old)
			more[p->steps[i].change.now.kind]++;
	for (unsigned kind = 0; kind < FWD_KIND_MAX; kind++) {
		size_t used = anew ? 0 : table_length(dp, kind);

		if (more[kind] == 0 || kind == FWD_ROUTE || used + more[kind] <= table_capacity(dp, kind))
			continue;
		if (text_format(why,
				"the table of %ss is too small: it holds %zu, %zu are in use, and this needs %zu more; "
				"nothing was changed",
				fwd_kind_name(kind), table_capacity(dp, kind), used, more[kind]) < 0)
			*why = NULL;
		return -ENOSPC;
	}
	return 0;
}

/* ---- doing and undoing ---- */

/* Where the settings cannot be written the programs go on all the same: a port without an entry is denied by them. */
static int guard(struct datapath *dp, const struct kern *kern, const struct plan_step *s)
{
	int guarded = kern_port_guard(kern, s->interface.name);
	int r = guarded == -ENODEV ? guarded : attach_add(dp, s->interface.ifindex, ATTACH_PORT);

	return guarded < 0 ? guarded : r;
}

static int unguard(struct datapath *dp, const struct kern *kern, const struct plan_step *s)
{
	const struct link *link = kern_link_by_index(kern, s->interface.ifindex);

	if (link) /* by the name that it has now */
		kern_port_unguard(kern, link->name);
	return attach_remove(dp, s->interface.ifindex, ATTACH_PORT);
}

int plan_entry_put(struct datapath *dp, struct kern *kern, const struct fwd *f)
{
	return f->kind == FWD_ROUTE ? kern_route_put(kern, &f->route) : table_put(dp, f);
}

int plan_entry_del(struct datapath *dp, struct kern *kern, const struct fwd *f)
{
	return f->kind == FWD_ROUTE ? kern_route_del(kern, &f->route.prefix) : table_del(dp, f);
}

static int step_do(const struct plan_step *s, struct datapath *dp, struct kern *kern)
{
	switch (s->action) {
	case PLAN_NODE:
		return datapath_set_node(dp, &s->node.now);
	case PLAN_WIRE:
		return attach_add(dp, s->interface.ifindex, ATTACH_WIRE);
	case PLAN_SECURE:
		return attach_add(dp, s->interface.ifindex, ATTACH_SECURE);
	case PLAN_GUARD:
		return guard(dp, kern, s);
	case PLAN_PUT:
		return plan_entry_put(dp, kern, &s->change.now);
	case PLAN_DELETE:
		return plan_entry_del(dp, kern, &s->change.old);
	case PLAN_UNGUARD:
		return unguard(dp, kern, s);
	case PLAN_UNWIRE:
		return attach_remove(dp, s->interface.ifindex, ATTACH_WIRE);
	case PLAN_ACTION_MAX:
		break;
	}
	return -EINVAL;
}

static int step_undo(const struct plan_step *s, struct datapath *dp, struct kern *kern)
{
	switch (s->action) {
	case PLAN_NODE:
		return datapath_set_node(dp, &s->node.old);
	case PLAN_WIRE:
		return attach_remove(dp, s->interface.ifindex, ATTACH_WIRE);
	case PLAN_SECURE:
		return attach_remove(dp, s->interface.ifindex, ATTACH_SECURE);
	case PLAN_GUARD:
		return unguard(dp, kern, s);
	case PLAN_PUT:
		return s->change.had_old ? plan_entry_put(dp, kern, &s->change.old) :
					   plan_entry_del(dp, kern, &s->change.now);
	case PLAN_DELETE:
		return plan_entry_put(dp, kern, &s->change.old);
	case PLAN_UNGUARD:
		return guard(dp, kern, s);
	case PLAN_UNWIRE:
		return attach_add(dp, s->interface.ifindex, ATTACH_WIRE);
	case PLAN_ACTION_MAX:
		break;
	}
	return -EINVAL;
}

static bool on_interface(enum plan_action a)
{
	return a == PLAN_WIRE || a == PLAN_SECURE || a == PLAN_GUARD || a == PLAN_UNGUARD || a == PLAN_UNWIRE;
}

static bool is_route(const struct plan_step *s)
{
	return (s->action == PLAN_PUT && s->change.now.kind == FWD_ROUTE) ||
	       (s->action == PLAN_DELETE && s->change.old.kind == FWD_ROUTE);
}

static void explain_failure(const struct plan_step *s, int r, size_t not_undone, char **why)
{
	const char *reason = is_route(s) ? kern_route_error() : datapath_error();
	char what[160] = "set the node's addresses";

	if (on_interface(s->action))
		snprintf(what, sizeof(what), "%s interface %s", s->action < PLAN_DELETE ? "attach to" : "leave",
			 s->interface.name);
	else if (s->action != PLAN_NODE)
		fwd_format(s->action == PLAN_PUT ? &s->change.now : &s->change.old, what, sizeof(what));
	if (text_format(why, "failed at: %s: %s%s%s; %s", what, strerror(-r), reason && *reason ? ": " : "",
			reason ? reason : "",
			not_undone ? "some steps could not be undone and are being mended" : "everything was undone") < 0)
		*why = NULL;
}

static int run_or_undo(struct plan *p, struct datapath *dp, struct kern *kern, char **why)
{
	for (size_t i = 0; i < p->length; i++) {
		struct plan_step *s = &p->steps[i];
		size_t not_undone = 0;

		s->outcome = step_do(s, dp, kern);
		if (s->outcome >= 0 || (s->outcome == -ENODEV && on_interface(s->action)))
			continue;
		explain_failure(s, s->outcome, 0, why);
		if (is_route(s)) /* it would be tried again */
			step_undo(s, dp, kern);
		for (size_t k = i; k-- > 0;) {
			int r = p->steps[k].outcome >= 0 ? step_undo(&p->steps[k], dp, kern) : 0;

			not_undone += r < 0 && r != -ENODEV;
		}
		if (not_undone) {
			free(*why);
			explain_failure(s, s->outcome, not_undone, why);
		}
		return s->outcome;
	}
	return 0;
}

int plan_run(struct plan *p, struct datapath *dp, struct kern *kern, char **why)
{
	int r = run_or_undo(p, dp, kern, why);

	datapath_settle(dp);
	return r;
}

size_t plan_run_all(struct plan *p, struct datapath *dp, struct kern *kern)
{
	size_t failed = 0;

	for (size_t i = 0; i < p->length; i++) {
		struct plan_step *s = &p->steps[i];

		s->outcome = step_do(s, dp, kern);
		failed += s->outcome < 0 && !on_interface(s->action) && !is_route(s); /* the audit sees to routes */
	}
	datapath_settle(dp);
	return failed;
}
