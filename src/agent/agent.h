/* SPDX-License-Identifier: Apache-2.0 */
/*
 * agent.h - the one object that sees everything; siblings never meet but here.
 *
 * agent_open adopts or makes the data plane and applies the configuration; the loop then drives it; agent_close
 * leaves the data plane running.  With `offline` nothing is written anywhere: pins and snapshot are read, and the
 * same commands answer (isthmusd --offline PATH), which is how the command line works while the daemon is dead.
 * Control thread only.
 */
#ifndef ISTHMUS_AGENT_H
#define ISTHMUS_AGENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "conf/conf.h"
#include "dp/datapath.h"
#include "kern/kern.h"
#include "lib/loop.h"
#include "model/config.h"

struct agent_state;
struct bgp;
struct ports;
struct rib;
struct secure;
struct server;
struct wire;

struct agent_options {
	const char *config_path; /* default /etc/isthmus/isthmus.yaml */
	const char *node;        /* default: the host's name */
	const char *run_dir;     /* default /run/isthmus: socket isthmus.sock, isthmusd.json */
	const char *state_dir;   /* default /var/lib/isthmus: fabric.yaml (last applied), ports.yaml (run-time ports), private.key */
	const char *bpf_dir;     /* default /sys/fs/bpf/isthmus */
	size_t config_max;       /* bytes that a configuration may have; 0 = CONF_TEXT_MAX */
	bool offline;
	bool no_sandbox; /* for whoever debugs the daemon; it is degraded then */
};

enum agent_port_state { /* see agent_port_reason for the words */
	AGENT_PORT_UP,
	AGENT_PORT_WAITING, /* its interface does not exist */
	AGENT_PORT_DOWN,    /* the interface is there but not up */
	AGENT_PORT_FAILED,  /* could not be attached */
	AGENT_PORT_REMOTE,  /* on another node */
	AGENT_PORT_STATE_MAX
};

#define AGENT_EVENTS 256

struct agent {
	struct agent_options options;
	struct loop *loop;
	struct kern *kern;
	struct datapath *dp;
	struct rib *rib;
	struct server *server;
	struct config *config;     /* effective: file and run-time ports; NULL before the first good one */
	struct config_node *self;  /* this node in it */
	char *config_text;         /* of the file last applied, and its name */
	char *config_name;
	uint64_t generation;       /* of the configuration, counts applies since the daemon started */
	uint64_t started_ms, applied_ms;
	uint64_t repairs;          /* drift found and mended */
	char *unboxed;             /* what the sandbox lacks, for people; NULL = nothing */
	char *wide;                /* a directory as /etc that the sandbox leaves readable; NULL = none */
	char *degraded[20];        /* reasons, NULL-terminated: "the configuration file is broken: ..." */
	struct abi_event events[AGENT_EVENTS]; /* newest drops, ring */
	uint64_t n_events;
	struct {
		uint64_t done, refused; /* dry runs not counted */
		uint64_t last_us;       /* how long the last one that was done took */
	} changes; /* asked for through the API; command.c counts */
	struct ports *ports;       /* this node's, see port.h */
	struct wire *wire;         /* underlay, see wire.h */
	struct bgp *bgp;           /* see bgp.h; NULL = offline */
	struct secure *secure;     /* see secure.h; NULL = offline */
	struct agent_state *state; /* the agent's own, see state.h */
};

struct agent_step { /* of a plan, for people */
	char *text; /* "add host red 10.0.1.12 via ..." */
};

struct agent_plan {
	struct agent_step *steps;
	size_t length;
};

void agent_plan_fini(struct agent_plan *p);

int agent_open(const struct agent_options *options, struct loop *loop, struct agent **out);
void agent_close(struct agent *a); /* NULL allowed */

/*
 * The transaction: parse, check, plan; without dry_run also do it, in order, and undo in reverse on failure.  On
 * success the plan says what was (or would be) done, empty = nothing to do.  -EINVAL with errors; -EIO etc. with *why
 * (malloc'd).
 */
int agent_apply(struct agent *a, const char *name, const char *text, size_t size, bool dry_run, struct agent_plan *plan,
		struct conf_errors *errors, char **why);

/* `yaml` holds one `ports:` map; the ports are remembered in the state directory. */
int agent_port_add(struct agent *a, const char *yaml, size_t size, bool dry_run, struct agent_plan *plan,
		   struct conf_errors *errors, char **why);
/* -ENOENT no such port; -EPERM it belongs to the configuration file (why says what to do) */
int agent_port_del(struct agent *a, const char *name, bool dry_run, struct agent_plan *plan, char **why);

/* Why a restart would not find what was applied last; NULL = it would. */
const char *agent_unsaved(const struct agent *a);

int agent_reload(struct agent *a); /* SIGHUP: apply the configuration file; logs the outcome */

enum agent_port_state agent_port_state(const struct agent *a, const struct config_port *p, const char **reason);
const char *agent_port_state_name(enum agent_port_state s);
bool agent_is_degraded(const struct agent *a); /* any reason, or a local port that is not up */

#endif
