/* SPDX-License-Identifier: Apache-2.0 */
/*
 * plan.h - a list of steps that changes this node, in the only order that is safe.
 *
 * Steps are collected in any order, plan_sort puts them into that of their phases, plan_check says whether the tables
 * have room, plan_run does them and, when one fails, undoes those that were done, in reverse.  Make before break:
 * what is new is complete before anything old is taken away; a port's entry comes after all that it needs, its
 * programs before it, so that a port is never open before it is whole.
 *
 * The plan owns its steps.  Control thread.
 */
#ifndef ISTHMUS_PLAN_H
#define ISTHMUS_PLAN_H

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/agent.h"
#include "dp/datapath.h"
#include "model/fwd.h"

struct kern;
struct ports;

enum plan_action { /* in order of execution */
	PLAN_NODE,    /* own addresses and MACs */
	PLAN_WIRE,    /* attach to an underlay interface */
	PLAN_SECURE,  /* attach to the device that encrypts, as far as it is no underlay interface */
	PLAN_GUARD,   /* attach to a port's interface, which is kept from the node's own stack first */
	PLAN_PUT,
	PLAN_DELETE,
	PLAN_UNGUARD, /* leave a port's interface */
	PLAN_UNWIRE,
	PLAN_ACTION_MAX
};

struct plan_step {
	enum plan_action action;
	int outcome; /* 0 nothing had to be written, 1 written, negative errno */
	union {
		struct fwd_change change;
		struct {
			uint32_t ifindex;
			char name[IF_NAMESIZE];
		} interface;
		struct {
			struct abi_node now, old;
		} node;
	};
};

struct plan {
	struct plan_step *steps;
	size_t length, capacity;
	bool out_of_memory;
};

void plan_fini(struct plan *p);

void plan_node(struct plan *p, const struct abi_node *now, const struct abi_node *old);
void plan_interface(struct plan *p, enum plan_action action, uint32_t ifindex, const char *name);
/* GUARD or UNGUARD in place of what the plan held for that interface: of a burst of events the last one counts. */
void plan_interface_again(struct plan *p, enum plan_action action, uint32_t ifindex, const char *name);
void plan_change(void *plan, const struct fwd_change *change); /* a callback for rib_commit */

/* 0, or -ENOMEM when a step was lost on the way. */
int plan_sort(struct plan *p);

/* 0, or -ENOSPC with *why naming the table and the numbers.  `anew`: the plan holds everything, as at the start. */
int plan_check(const struct plan *p, const struct datapath *dp, bool anew, char **why);

/*
 * 0, or the error of the step that failed, named in *why, when all before it were undone.  An interface that went away
 * meanwhile is no failure: its step's outcome is -ENODEV.
 */
int plan_run(struct plan *p, struct datapath *dp, struct kern *kern, char **why);

/* One entry into the table, or the route into the kernel, that it is for; as table_put, table_del and kern_route_put say. */
int plan_entry_put(struct datapath *dp, struct kern *kern, const struct fwd *f);
int plan_entry_del(struct datapath *dp, struct kern *kern, const struct fwd *f);

/* Without undo: goes on after a failure; the number of entries that failed (interfaces have their step's outcome). */
size_t plan_run_all(struct plan *p, struct datapath *dp, struct kern *kern);

/*
 * ---- describe.c: steps as people's text; names come from the configurations before and after, either may be NULL
 * ----
 */

struct describe {
	const struct datapath *dp;
	const struct config *before, *after;
	const struct ports *ports_before, *ports_after;
};

int plan_describe(const struct plan *p, const struct describe *d, struct agent_plan *out);

#endif
