/* SPDX-License-Identifier: Apache-2.0 */
/*
 * datapath.h - the user-space half of the data plane: programs, maps, pins.
 *
 * Call order: datapath_open (load or adopt), datapath_sync_begin, any number of table_put / attach_* from full state,
 * datapath_sync_end (what was adopted and not put again is removed), then changes as they come, each batch closed by
 * datapath_settle, datapath_audit every second, datapath_close (leaves everything running) or datapath_teardown (removes every trace).
 *
 * The datapath owns its map and program descriptors and a shadow copy of every entry, which is the intent that the
 * audit compares the kernel with.  Control thread only.  Errors: negative errno; the text of the last one, for people,
 * from datapath_error().
 */
#ifndef ISTHMUS_DATAPATH_H
#define ISTHMUS_DATAPATH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bpf/abi.h"
#include "lib/addr.h"
#include "model/fwd.h"

struct datapath;

struct datapath_options {
	const char *bpf_dir; /* made, and a bpffs mounted on it, when it is not on one */
	bool read_only;      /* open pins only: for answers while the daemon is dead; -ENOENT when there are none */
};

int datapath_open(const struct datapath_options *options, struct datapath **out);
void datapath_close(struct datapath *dp); /* NULL allowed; kernel state stays */
/* Takes the programs of this directory off every device of the network namespace, unpins, unmounts. */
int datapath_teardown(const char *bpf_dir);
const char *datapath_error(void); /* what failed last and what to do about it */

/* True when maps with content were found and taken over. */
bool datapath_adopted(const struct datapath *dp);

int datapath_set_node(struct datapath *dp, const struct abi_node *node); /* 1 written, 0 the same already */

void datapath_sync_begin(struct datapath *dp);
int datapath_sync_end(struct datapath *dp); /* number of stale entries removed */
/*
 * The same, when full state was not to be had: what was not put again stays, until the next sync.  But a tunnel of which
 * `encrypts` says so is encrypted from now on, whatever was asked for when it was put.
 */
typedef bool (*datapath_encrypts_fn)(void *arg, const struct fwd_nexthop *n);
int datapath_sync_keep(struct datapath *dp, datapath_encrypts_fn encrypts, void *arg);

/* ---- attach.c: clsact filters ---- */

enum attach_role {
	ATTACH_PORT, /* port_ingress and port_egress */
	ATTACH_WIRE, /* wire_ingress */
	ATTACH_SECURE, /* secure_egress, of the device that encrypts, which is a wire too */
};

/* 1 attached or swapped, 0 was right already */
int attach_add(struct datapath *dp, uint32_t ifindex, enum attach_role role);
int attach_remove(struct datapath *dp, uint32_t ifindex, enum attach_role role); /* -ENODEV is success */
/* 1 = found broken and repaired, 0 fine */
int attach_check(struct datapath *dp, uint32_t ifindex, enum attach_role role);
/* What keeps our programs from the device since the last audit; NULL = nothing.  Valid until the next call of dp/. */
const char *attach_problem(const struct datapath *dp, uint32_t ifindex, enum attach_role role);
void attach_forget(struct datapath *dp, uint32_t ifindex); /* the device is gone */

/* ---- table.c: map entries ---- */

/* 1 = written, 0 = the kernel has exactly this already; -ENOSPC full table */
int table_put(struct datapath *dp, const struct fwd *f);
int table_del(struct datapath *dp, const struct fwd *f); /* by key; 1 removed, 0 was not there */
/* Both look at the shadow, or with read_only at the pinned maps themselves; fn returns false to stop. */
bool table_get(const struct datapath *dp, const struct fwd *key, struct fwd *out);
void table_each(const struct datapath *dp, enum fwd_kind kind, bool (*fn)(void *arg, const struct fwd *f), void *arg);
size_t table_length(const struct datapath *dp, enum fwd_kind kind);
void table_trim(struct datapath *dp); /* many entries have gone: gives back what the shadows took beside them */
size_t table_capacity(const struct datapath *dp, enum fwd_kind kind);

/*
 * A batch of changes is through: until then the programs decide anew for each packet, from then on they may remember what
 * they decided.  The audit and datapath_sync_end do this too.
 */
void datapath_settle(struct datapath *dp);

/* Compares up to `budget` entries with the kernel, going round; also pins and filters.  Number of repairs, -errno. */
int datapath_audit(struct datapath *dp, size_t budget);

/* ---- stats.c ---- */

void stats_drops(const struct datapath *dp, uint64_t out[static DROP_MAX]);
void stats_counters(const struct datapath *dp, struct abi_counter out[static COUNTER_MAX]);
const char *drop_name(enum drop_reason r);
const char *drop_meaning(enum drop_reason r);
const char *counter_name(enum counter c);
const char *counter_meaning(enum counter c);

int stats_events_fd(const struct datapath *dp); /* epoll descriptor of the ring */
/* Number read. */
int stats_events_read(struct datapath *dp, void (*fn)(void *arg, const struct abi_event *e), void *arg);

#endif
