/* SPDX-License-Identifier: Apache-2.0 */
/*
 * port.h - the ports of this node and the interfaces that they are, or wait for.
 *
 * ports_new makes the table of a configuration; ports_bind finds the interfaces and plans what is to be attached and
 * left, compared with the table before; ports_tell hands their state to the rib.  Afterwards port_refresh follows a
 * link's changes.  A port is bound when programs are (being) attached to an interface of its name; one that could not
 * be attached keeps the reason, and has no entry: default deny.
 *
 * The table owns its ports.  Control thread.
 */
#ifndef ISTHMUS_PORT_H
#define ISTHMUS_PORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/hmap.h"
#include "agent/agent.h"
#include "model/config.h"

struct kern;
struct plan;
struct rib;

struct port_local {
	const struct config_port *config; /* of the configuration that is in use as long as these ports */
	char *name;
	char *interface;
	uint64_t owner;
	uint32_t flags;   /* enum abi_port_flags */
	uint32_t ifindex; /* bound; 0 = waiting */
	int error;        /* negative: could not be attached */
	char *why;        /* of the error */
};

struct ports {
	struct hmap by_name, by_interface, by_owner;
	struct addr underlay[2]; /* the node's own: an interface that has one is no workload's */
	size_t n_underlay;
};

int ports_new(const struct config *c, const struct config_node *self, struct ports **out);
void ports_free(struct ports *p); /* NULL allowed */

int ports_add(struct ports *p, const struct config_port *c); /* a port of this node */
void ports_remove(struct ports *p, const char *name);       /* unknown names are ignored */

/* How many ports of the fabric are in which state. */
void ports_count(const struct agent *a, size_t count[static AGENT_PORT_STATE_MAX]);

/* The ports of this node, in no order: for (size_t i = 0; (p = ports_next(ports, &i));)  NULL allowed. */
const struct config_port *ports_next(const struct ports *p, size_t *cursor);

struct port_local *ports_by_owner(const struct ports *p, uint64_t owner);            /* p may be NULL, likewise below */
struct port_local *ports_by_interface(const struct ports *p, const char *interface);
struct port_local *ports_by_name(const struct ports *p, const char *name);
struct port_local *ports_by_ifindex(const struct ports *p, uint32_t ifindex); /* the one bound to it; walks the table */

/* 0; -EINVAL when an interface can be no port, with *why; without `before`, at a start, only that port fails. */
int ports_bind(struct ports *now, const struct ports *before, const struct kern *kern, struct plan *plan, char **why);
void ports_tell(const struct ports *p, const struct kern *kern, struct rib *rib);

int port_bind(struct ports *all, struct port_local *p, const struct kern *kern, struct plan *plan,
	      char **why); /* one that is new */

/* After a change of its interface, or of `error`. */
void port_refresh(const struct ports *all, struct port_local *p, const struct kern *kern, struct plan *plan,
		  struct rib *rib);
void port_tell(const struct port_local *p, const struct kern *kern, struct rib *rib);

/* After a plan ran: ports whose step failed get its error and are told to the rib as waiting.  Number of them. */
size_t ports_note(struct ports *p, const struct plan *plan, const struct kern *kern, struct rib *rib);

#endif
