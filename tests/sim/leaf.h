/* SPDX-License-Identifier: Apache-2.0 */
/*
 * leaf.h - a node of the simulated fabric: rib and learn, joined to a host's speaker as the daemon joins them, and the
 * forwarding entries that it has put into its kernel, which outlive it.
 *
 * Every change is held to what is installed: an entry is put over the one that the change says was there, is never
 * deleted twice, and points at a next hop that is there.
 */
#ifndef ISTHMUS_SIM_LEAF_H
#define ISTHMUS_SIM_LEAF_H

#include "fabric.h"
#include "model/fwd.h"
#include "rib/learn.h"

struct host;
struct leaf;

struct leaf *leaf_new(struct host *h); /* of a machine that has just been switched on */
void leaf_free(struct leaf *l);        /* NULL allowed; the process was stopped before */
void leaf_start(struct leaf *l);
void leaf_stop(struct leaf *l);        /* the process; its entries stay */
void leaf_forget(struct leaf *l);      /* the machine is switched off, and its kernel's entries are gone */

/* One turn of the daemon: what was heard is installed, then this node speaks. */
void leaf_turn(struct leaf *l);
uint64_t leaf_next_ms(const struct leaf *l);

/* Of an endpoint whose place, as the fabric has it now, is here or is not any more. */
void leaf_port(struct leaf *l, unsigned endpoint);

/* ---- speaker_ops, by the neighbor's host ---- */

size_t leaf_put(struct leaf *l, unsigned from, const struct route_attrs *attrs, const struct route_nlri *nlri, size_t n);
size_t leaf_remove(struct leaf *l, unsigned from, const struct route_nlri *nlri, size_t n);
void leaf_stale(struct leaf *l, unsigned from, enum route_family f);
size_t leaf_swept(struct leaf *l, unsigned from, enum route_family f);
void leaf_established(struct leaf *l, unsigned from, uint32_t router_id);
void leaf_ready(struct leaf *l); /* what a former life left may go */

/* ---- what it holds ---- */

const struct fwd *leaf_find(const struct leaf *l, const struct fwd *key); /* or NULL */
size_t leaf_count(const struct leaf *l, enum fwd_kind kind);
struct learn *leaf_learn(const struct leaf *l);
bool leaf_has_former(const struct leaf *l); /* entries of a former life */
bool leaf_is_quiet(const struct leaf *l);  /* nothing waits, but for the time of MACs that moved */
uint64_t leaf_counted(const struct leaf *l, unsigned from); /* routes of the neighbor */

#endif
