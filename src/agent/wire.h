/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wire.h - the underlay: which interfaces tunnels arrive on, and how the other nodes are reached.
 *
 * wire_look asks the kernel for the paths to the nodes of a configuration (those not known yet, or all again) and
 * wire_tell hands them to the rib; wire_plan plans what is to be attached.  An interface that carried tunnels once
 * keeps its program until a configuration is applied that has no use for it: what the others send may still come in
 * there.
 *
 * Control thread.
 */
#ifndef ISTHMUS_WIRE_H
#define ISTHMUS_WIRE_H

#include <stdbool.h>
#include <stdint.h>

#include "bpf/abi.h"
#include "kern/kern.h"
#include "lib/addr.h"
#include "lib/hmap.h"
#include "model/config.h"

struct plan;
struct rib;

#define WIRE_INTERFACES 64

struct wire {
	struct hmap paths;                  /* struct wire_path by remote */
	struct hmap measured;               /* struct wire_measured by remote */
	uint32_t attached[WIRE_INTERFACES]; /* ifindexes, 0 = free */
	struct abi_node node;               /* as last planned */
	bool node_known;
	uint32_t secure_ifindex, secure_mtu; /* the device of the tunnel that encrypts, see secure.h; 0 = there is none */
};

struct wire_path {
	struct addr remote;
	const char *node; /* for messages; of the configuration that was looked at last */
	bool learned;     /* no node of the file: only neighbors speak of it */
	bool reachable;
	struct kern_path path;
	uint32_t relayed; /* what it takes where another node carries (wg/relay.h), whatever the kernel says; 0 = none does */
	uint64_t round;
};

/* A path that takes less than the kernel says (wg/probe.h), whether it is looked at or not. */
struct wire_measured {
	struct addr remote;
	uint32_t mtu;
};

void wire_init(struct wire *w);
void wire_fini(struct wire *w);

/*
 * `again`: also those that are known.  Forgets addresses that neither the configuration nor the rib has, where tunnels of
 * this node may end at VTEPs that are no node of the file.
 */
void wire_look(struct wire *w, struct kern *kern, const struct config *c, const struct config_node *self,
	       const struct rib *rib, bool again);
void wire_tell(const struct wire *w, struct rib *rib);
bool wire_relay(struct wire *w, const struct addr *remote, uint32_t mtu); /* true: that is something new, and to be told */

/* 0 = no less than the kernel says.  1: that is something new, and to be told; 0; -ENOMEM. */
int wire_measure(struct wire *w, const struct addr *remote, uint32_t mtu);
/* What a path takes, of which the kernel says `mtu`. */
uint32_t wire_mtu(const struct wire *w, const struct addr *remote, uint32_t mtu);

/* `prune`: leave interfaces that are of no use to this configuration. */
void wire_plan(const struct wire *w, const struct kern *kern, const struct config *c, const struct config_node *self,
	       bool prune, struct plan *plan);
void wire_note(struct wire *w, const struct plan *plan); /* after it ran */
bool wire_has(const struct wire *w, uint32_t ifindex);
void wire_forget(struct wire *w, uint32_t ifindex); /* the device is gone */

/* Keeps the neighbours towards all VTEPs in use resolved. */
void wire_keep_neighbours(const struct wire *w, struct kern *kern, const struct rib *rib);

#endif
