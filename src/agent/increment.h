/* SPDX-License-Identifier: Apache-2.0 */
/*
 * increment.h - a port more or less, at a cost that follows the change.
 *
 * The whole configuration would be read and compared for one port; in a fabric of ten thousand that is most of the
 * work. Here only the new ports are read, against the configuration without its ports, and what only one may have is
 * looked up in an index of what the others have.  Whenever that leaves any doubt (a clash, an error, a node's first
 * port in a network) the answer is -EAGAIN, nothing has changed, and apply.c goes the long way, which knows what to
 * say.
 *
 * The index belongs to one configuration: increment_forget when another is applied, increment_prepare when there is
 * time. Control thread.
 */
#ifndef ISTHMUS_INCREMENT_H
#define ISTHMUS_INCREMENT_H

#include <stdbool.h>

#include "agent/agent.h"

struct increment;

void increment_prepare(struct agent *a); /* does nothing when it is prepared */
void increment_forget(struct agent *a);

/* Number of steps (to be) done; -EAGAIN: take the long way; other errors with *why, everything undone. */
int increment_add(struct agent *a, const struct conf_source *ports, bool dry_run, struct agent_plan *out, char **why);
int increment_del(struct agent *a, const struct config_port *port, bool dry_run, struct agent_plan *out, char **why);

#endif
