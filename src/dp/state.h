/* SPDX-License-Identifier: Apache-2.0 */
/*
 * state.h - what a datapath holds; private to dp/.
 *
 * datapath.c opens, adopts and lets go; program.c chooses programs, pinset.c maps, pin.c knows the bpffs; table.c,
 * nexthop.c and flood.c give meaning to the maps; epoch.c tells the programs that they changed; attach.c puts programs on devices; audit.c goes round; stats.c
 * reads counters.
 */
#ifndef ISTHMUS_DP_STATE_H
#define ISTHMUS_DP_STATE_H

#include <net/if.h>

#include "dp/datapath.h"
#include "dp/error.h"
#include "dp/filter.h"
#include "dp/map.h"

enum map_id {
	MAP_NODE,
	MAP_PORTS,
	MAP_NEXTHOPS,
	MAP_MACS,
	MAP_HOSTS,
	MAP_PREFIXES,
	MAP_MEMBERS,
	MAP_FLOODS,
	MAP_DROPS,
	MAP_COUNTERS,
	MAP_EVENTS,
	MAP_EPOCH,
	MAP_MAX
};

enum program_id {
	PROGRAM_PORT_INGRESS,
	PROGRAM_PORT_EGRESS,
	PROGRAM_WIRE_INGRESS,
	PROGRAM_SECURE_EGRESS,
	PROGRAM_MAX
};

extern const char *const map_names[MAP_MAX];
extern const char *const program_names[PROGRAM_MAX];

struct program {
	int fd;
	uint32_t id;
};

struct ring_buffer;
struct nexthop;

struct datapath {
	char *bpf_dir;
	int lock_fd; /* of bpf_dir; -1 in a reader */
	bool read_only;
	bool adopted; /* maps with content */
	bool fresh;   /* maps are new and not pinned yet: that happens when they are full */
	bool syncing;
	struct map maps[MAP_MAX];
	uint32_t map_ids[MAP_MAX];
	struct program programs[PROGRAM_MAX];
	uint64_t build; /* of what this binary carries */

	struct abi_node node;
	bool node_set;

	uint64_t *epoch; /* the kernel's own, mapped; NULL in a reader */

	/* nexthop.c */
	const struct abi_nexthop *nexthop_area; /* the kernel's array itself, mapped to be read */
	struct nexthop **nexthops;              /* by id, NULL = hole */
	struct hmap nexthop_by_owner;
	size_t n_nexthops;
	uint32_t nexthop_next; /* where the search for a free id goes on */
	uint32_t nexthop_audit_at; /* likewise the round through all of them */

	/* flood.c */
	struct hmap floods, flood_lists;

	/* attach.c */
	uint32_t handle; /* of our filters */
	struct filters filters;
	struct hmap attachments;

	size_t audit_at; /* enum map_id */
	size_t attach_at; /* where the round of attachments goes on */
	struct ring_buffer *ring;
	void (*event_fn)(void *arg, const struct abi_event *e);
	void *event_arg;
};

/* ---- nexthop.c ---- */

int nexthop_init(struct datapath *dp);
void nexthop_fini(struct datapath *dp);
int nexthop_adopt(struct datapath *dp);
int nexthop_put(struct datapath *dp, const struct fwd *f);
int nexthop_del(struct datapath *dp, const struct fwd *f);
bool nexthop_get(const struct datapath *dp, const struct fwd *key, struct fwd *out);
void nexthop_each(const struct datapath *dp, bool (*fn)(void *arg, const struct fwd *f), void *arg);
int nexthop_audit(struct datapath *dp);
void nexthop_mark_stale(struct datapath *dp);
int nexthop_sweep(struct datapath *dp); /* removes what is stale; number */
int nexthop_encrypt_stale(struct datapath *dp, datapath_encrypts_fn encrypts, void *arg); /* 0, or the last error */

uint32_t nexthop_id(const struct datapath *dp, uint64_t owner);    /* 0 = unknown */
uint64_t nexthop_owner(const struct datapath *dp, uint32_t id);    /* 0 = a hole */
enum abi_flood_kind nexthop_flood_kind(const struct datapath *dp, uint32_t id); /* of an existing one */
void nexthop_ref(struct datapath *dp, uint32_t id, int by); /* entries that point at it; 0 allowed */

/* ---- epoch.c ---- */

int epoch_init(struct datapath *dp);
void epoch_fini(struct datapath *dp);

/* ---- flood.c ---- */

void flood_init(struct datapath *dp);
void flood_fini(struct datapath *dp);
int flood_adopt(struct datapath *dp);
int flood_put(struct datapath *dp, const struct fwd *f);
int flood_del(struct datapath *dp, const struct fwd *f);
bool flood_get(const struct datapath *dp, const struct fwd *key, struct fwd *out);
void flood_each(const struct datapath *dp, bool (*fn)(void *arg, const struct fwd *f), void *arg);
void flood_mark_stale(struct datapath *dp);
int flood_sweep(struct datapath *dp);
/* Take every copy to this next hop off its lists, to be put on others: the VNIs in a malloc'd array. */
int flood_lift(struct datapath *dp, uint64_t owner, uint32_t **vnis, size_t *length);

/* ---- table.c ---- */

int table_adopt(struct datapath *dp);
void table_mark_stale(struct datapath *dp);
int table_sweep(struct datapath *dp);

/* ---- attach.c ---- */

int attach_init(struct datapath *dp);
void attach_fini(struct datapath *dp);
int attach_audit(struct datapath *dp);
int attach_finish_sync(struct datapath *dp, bool sweep); /* what was put off; then leaves devices nobody asked for */
int attach_teardown(const char *bpf_dir); /* every filter of this directory's in this network namespace */

/* ---- stats.c ---- */

int stats_init(struct datapath *dp);
void stats_fini(struct datapath *dp);

/* ---- program.c ---- */

struct bpf_object;

int program_info(int fd, uint32_t *id);
bool program_adopt(struct datapath *dp); /* true when the pinned ones serve, unloaded and unverified anew */
int program_take(struct datapath *dp, const struct bpf_object *object); /* of a loaded object */
/* Does it look into these maps and not into namesakes of theirs? */
bool program_looks_into(int fd, const uint32_t map_ids[MAP_MAX]);
bool program_is_named(int fd, const char *name); /* a program of this name in the kernel */
bool program_is_relic(int fd, const uint32_t map_ids[MAP_MAX]); /* a program, and it does not */

/* ---- pinset.c ---- */

#define PIN_NAME_SIZE 64

const char *pinset_name(enum map_id id, char out[static PIN_NAME_SIZE]); /* "hosts_v2" */
/* The pinned maps, all of them, when they have these shapes and belong together; else false and no descriptor. */
bool pinset_open(const struct datapath *dp, const struct map_shape wanted[MAP_MAX], int fds[MAP_MAX]);
/* One map of this shape, whatever version pinned it: its descriptor, or -ENOENT */
int pinset_inherit(const struct datapath *dp, enum map_id id, const struct map_shape *wanted);
uint64_t pinset_build(const struct datapath *dp); /* whose programs are pinned; 0 = unknown */
bool pinset_any(const char *bpf_dir);             /* maps of any version? */
int pinset_audit(struct datapath *dp);            /* pins what is not; number, or -errno */
int pinset_clean(const struct datapath *dp);      /* removes what other versions and crashes left */
int pinset_remove(const char *bpf_dir);           /* all of them; for a teardown */

#endif
