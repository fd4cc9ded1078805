/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rib.h - from what is said about the fabric to what this node must hold: sources -> decision -> forwarding entries.
 *
 * Sources put their view in (rib_load and rib_port_put: the configuration; rib/learn.h: neighbors by BGP), the node's own
 * state comes in as events (rib_port_link: interfaces, rib_path_set: paths to other nodes), and rib_commit reports
 * the difference as a list of changes.  The work is proportional to the change: one port more costs the same in a
 * fabric of ten and of ten thousand.
 *
 * Only what the node needs is installed.  A network is in scope when a port of this node is in it; all routed
 * networks of a tenant (l3, or l2 with a gateway) are in scope when a port of this node is in one of them.  Of
 * everything else, not even the members are installed: nobody can inject into a tenant that has no port here.
 *
 * Call order: rib_new, rib_load, rib_port_link and rib_path_set as they become known, rib_commit; then any of them in
 * any order, each batch closed by rib_commit.  The rib copies what it keeps.  Pure: no I/O, no clock.  Control
 * thread.
 *
 * Out of memory is sticky: rib_commit returns -ENOMEM from then on and the rib is good for nothing but rib_free.
 */
#ifndef ISTHMUS_RIB_H
#define ISTHMUS_RIB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/addr.h"
#include "model/config.h"
#include "model/fwd.h"
#include "model/route.h"

struct rib;

int rib_new(struct rib **out);
void rib_free(struct rib *rib); /* NULL allowed */

/*
 * The whole view of the configuration; what the last load said and this one does not is withdrawn.  `self` is this node
 * in `config`, by name the same in every load.  To undo, load the configuration that was there before.
 */
void rib_load(struct rib *rib, const struct config *config, const struct config_node *self);

/*
 * Loads while this is on do not change at once what is encrypted, as other nodes learn of it earlier or later: what was or
 * is to be encrypted is sent so, and clear text is taken from whom it was or is to be.  Off: what was loaded last holds, and
 * every load at once.  So for a change that loses nothing: on, load, commit; and off, commit when all nodes have it.
 */
void rib_ease(struct rib *rib, bool on);
bool rib_eased(struct rib *rib); /* has a load in such a time changed what is encrypted, since the last call? */

/* One port of the configuration, new or changed; its node and network were loaded before. */
void rib_port_put(struct rib *rib, const struct config_port *port);
void rib_port_remove(struct rib *rib, const char *port_name); /* unknown names are ignored */

/* The interface of a port of this node. */
struct rib_link {
	uint32_t ifindex; /* 0 = there is none: the port is waiting */
	uint32_t mtu;     /* bytes */
	uint32_t flags;   /* handed through into struct fwd_port */
	bool peer;        /* deliver with redirect_peer */
	bool up;
};
void rib_port_link(struct rib *rib, const char *port_name, const struct rib_link *link);

/* The path to an underlay address of another node; one that was never reported counts as reachable with 1500 bytes. */
void rib_path_set(struct rib *rib, const struct addr *remote, uint32_t mtu, bool reachable);

/* Each address of another node that a tunnel of this node ends at now, and the own address it leaves from. */
void rib_remote_each(const struct rib *rib, void (*fn)(void *arg, const struct addr *remote, const struct addr *local),
		     void *arg);

/*
 * For a commit that has to be whole, as one of another configuration has: routes of neighbors that would be looked at some
 * at a time are looked at now.  A second for a million of them.
 */
void rib_settle(struct rib *rib);

/*
 * What is different from the last commit, each key once, in no particular order.  0, or -ENOMEM (nothing that was
 * emitted counts).
 */
int rib_commit(struct rib *rib, void (*emit)(void *arg, const struct fwd_change *change), void *arg);

/* Much has gone: gives back what it took beside the entries themselves.  Not from within a callback. */
void rib_trim(struct rib *rib);

/* Who says so of the entry with the key of `f`: the name of a port, node or network, "" for BGP; NULL: there is none. */
const char *rib_origin(const struct rib *rib, const struct fwd *f, enum route_source *source);

/* What is installed under its key as of the last commit, or NULL. */
const struct fwd *rib_installed(const struct rib *rib, const struct fwd *f);

/* Does this source, among others, say so of it? */
bool rib_is_claimed(const struct rib *rib, const struct fwd *f, enum route_source source);

/* The node of the configuration with that underlay address; of one that routes alone speak of its address as text; or NULL. */
const char *rib_node_name(const struct rib *rib, const struct addr *underlay);

/* Everything that is installed as of the last commit. */
void rib_each(const struct rib *rib, void (*fn)(void *arg, const struct fwd *f), void *arg);

#endif
