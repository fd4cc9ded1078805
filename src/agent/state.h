/* SPDX-License-Identifier: Apache-2.0 */
/*
 * state.h - what the agent keeps for itself, and the verbs between its files; nobody outside of agent/ needs it.
 *
 * open.c opens and closes; agent.c wires callbacks and follows the kernel; load.c finds the configuration to start
 * from; apply.c is the transaction, increment.c the one for a port more or less; audit.c looks for drift; remember.c
 * and snapshot.c are the state directory.  Control thread.
 */
#ifndef ISTHMUS_AGENT_STATE_H
#define ISTHMUS_AGENT_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/agent.h"
#include "agent/quota.h"
#include "agent/plan.h"
#include "agent/port.h"
#include "agent/wire.h"
#include "lib/log.h"

enum reason { /* why the node is degraded, in order of weight; one text each */
	REASON_CONFIG,   /* the configuration file is broken or missing */
	REASON_PORTS,    /* run-time ports are ignored */
	REASON_SNAPSHOT, /* what was applied last cannot be used */
	REASON_DATAPLANE, /* writes to the kernel fail */
	REASON_AUDIT, /* drift that cannot be mended */
	REASON_ROUTES, /* something is in the way of the kernel's routes */
	REASON_UNDERLAY, /* no interface to receive on */
	REASON_PATH,     /* nodes that cannot be reached */
	REASON_BGP,      /* nobody can connect to it */
	REASON_SESSIONS, /* BGP sessions that are down for long */
	REASON_KEY,      /* the node's private key */
	REASON_SECURE,   /* nothing can be encrypted */
	REASON_PEERS,    /* nodes that get nothing of what is to be encrypted */
	REASON_STATE_DIR, /* cannot be written */
	REASON_QUOTA,    /* descriptors or memory run out */
	REASON_SANDBOX,   /* not entered, or not all of it */
	REASON_MAX
};

struct agent_state {
	int lock_fd; /* run directory; -1 = not held */
	struct loop_io *kern_io, *events_io;
	struct loop_timer *tick, *paths_timer;
	uint64_t paths_due_ms; /* of the regular look at paths */
	struct plan pending;   /* steps of events, until agent_settle */
	bool resync;           /* the kernel may lag behind the rib: put everything again */
	unsigned resync_turn, resync_wait; /* of the audit: when, and how long after the last time in vain */
	char *reasons[REASON_MAX];
	char *runtime_text;    /* of ports.yaml, NULL = none */
	uint64_t text_hash, file_hash; /* of what was applied last, and of the configuration file at that time */
	size_t text_size;
	bool has_file;
	bool fabric_pending, ports_pending; /* to be written to the state directory */
	bool fabric_refused, ports_refused; /* ... after what is there has been set aside */
	bool ports_unread; /* what is there could not be read yet: it is not written over, and nothing is swept */
	bool fabric_unread; /* the same of what was applied last; until then what runs is the configuration file */
	bool fabric_superseded; /* ... or what was applied since, which is newer: what is there need only be read */
	size_t guard_cursor;   /* of the audit's round */
	unsigned turn;         /* of the audit */
	unsigned merge_turn, cut_turn; /* when the audit tries again to have tunnel packets merged, and cut */
	uint16_t merge_port;   /* for which they are merged, 0 = none yet */
	uint64_t inside;       /* what the kernel was told of sessions inside (inside.c); 0 = nothing yet */
	struct increment *increment; /* see increment.h; NULL = to be prepared */
	size_t entries, entries_most; /* in the tables, and of late at most; memory.c */
	struct log_limit repair_limit;
	struct quota quota;
};

/* NULL format: no reason any more. Logs a change. */
void agent_degrade(struct agent *a, enum reason r, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* agent.c: commits the rib, adds a->state->pending, runs all of it.  What fails is tried again by the audit. */
void agent_settle(struct agent *a);
void agent_out_of_memory(struct agent *a); /* ends the daemon; the data plane goes on, a restart takes it over */
void agent_look_at_paths(struct agent *a);
void agent_check_paths(struct agent *a); /* degraded by those that are not there, or not any more */
/* Between them everything is put; what nobody put goes with the end, unless there is more that could not be read yet. */
void agent_sync_begin(struct agent *a);
int agent_sync_end(struct agent *a); /* the number of entries that went, or -errno */
int agent_put_everything(struct agent *a); /* from full state; number of steps that failed, or -errno */

int agent_follow(struct agent *a); /* from now on the loop drives it */
extern const struct kern_callbacks agent_kern_callbacks;

/* load.c */
struct snapshot;
struct loaded {
	struct config *config;
	struct config_node *self;
	char *text, *name;   /* of the file */
	size_t size;
	char *runtime_text;  /* of the run-time ports, NULL = none */
	char *broken;        /* why the configuration file was not used; NULL = it was */
	char *ports_ignored; /* why the run-time ports were not used */
	bool ports_unread;   /* ... because they could not be read, which may pass */
	bool saved_unread;   /* what was applied last could not be read, which may pass */
	char *saved_ignored; /* why what was applied last could not be looked at; NULL = it could, or there is none */
};
void loaded_fini(struct loaded *l);
size_t load_size_max(const struct agent_options *o); /* of a configuration, in bytes */
/* Chooses between file and snapshot.  0; -EINVAL: nothing to start from, and standard error says why. */
int load_choose(const struct agent_options *o, struct loaded *out);
/*
 * ports.yaml: 0 with *out, NULL = none; -EINVAL what is there is no text, -EAGAIN it could not be read, and nothing is
 * known of it; both with *why.
 */
int load_read_ports(const struct agent_options *o, char **out, char **why);
/* What was applied last, in the same way; out->text NULL = none. */
int load_read_snapshot(const struct agent_options *o, struct snapshot *out, char **why);
/* -EINVAL with *why when `name` is not a node that runs isthmusd in `c`. */
int load_self(const struct config *c, const char *name, struct config_node **out, char **why);
/* The run-time ports of `c` as YAML; *out NULL when there are none. */
int load_emit_ports(const struct config *c, char **out);

/* apply.c */
int apply_first(struct agent *a, struct loaded *l); /* takes what l owns */
int apply_saved_ports(struct agent *a, const char *text, char **why); /* read late; beside those that were added since */

/* remember.c */
void agent_remember_fabric(struct agent *a); /* after an apply */
void agent_remember_ports(struct agent *a);  /* after the run-time ports may have changed */
/* What is in the state directory and cannot be used is set aside, before anything is written over it. */
void agent_remember_refused_ports(struct agent *a, const char *why);
void agent_remember_refused_fabric(struct agent *a, const char *why);
/* What could not be read stays as it is, until a later look finds it; the audit looks. */
void agent_remember_unread_ports(struct agent *a, const char *why);
void agent_read_ports_late(struct agent *a);
void agent_remember_unread_fabric(struct agent *a, const char *why);
void agent_read_fabric_late(struct agent *a); /* before the ports, which may be for what it holds */
/* Does something that is wanted perhaps stand in what could not be read, or was not told yet?  Then nothing may be swept. */
bool agent_lacks(const struct agent *a);
void agent_remember(struct agent *a); /* looks at the directory, and tries again what could not be written */

/* memory.c */
void agent_memory_begin(void);         /* once, before much is taken */
void agent_give_back(struct agent *a); /* twice a second */

/* audit.c: twice a second */
void agent_audit(struct agent *a);
void agent_guard(struct agent *a, const struct port_local *p); /* what closes the host's side of a port, as it should be */

#endif
