/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bgp.h - the BGP of this node: its sessions, what it learns by them and what it announces.
 *
 *      sockets (bgp_socket.h) <-> speaker (bgp/) <-> learn (rib/) <-> rib -> plan -> data plane
 *
 * It exists as long as the daemon runs; without `bgp:` in the configuration it holds nothing and does nothing.
 *
 * Call order: bgp_new before the box is entered; in a transaction bgp_show behind each rib_load; bgp_configure once the
 * configuration is in use; bgp_announce at the end of each agent_settle, when what the rib said is installed; bgp_stop,
 * bgp_free.  Control thread.
 */
#ifndef ISTHMUS_AGENT_BGP_H
#define ISTHMUS_AGENT_BGP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/agent.h"
#include "bgp/speaker.h"
#include "lib/hmap.h"
#include "lib/log.h"
#include "rib/learn.h"

struct bgp_sockets;
struct loop_timer;

struct bgp_peer {
	struct addr remote; /* key */
	char *name;         /* of the node, the neighbor in the configuration, or "reflector" */
	uint64_t round;     /* of the configuration that has it */
	uint16_t source;    /* of learn */
	uint32_t router_id; /* as it said, 0 = not yet */
	uint32_t *tenants;  /* VNIs; of `limited` */
	size_t n_tenants;
	bool limited;       /* may speak for these tenants only */
	bool keyless;       /* its key cannot be read, or not be set: it is kept down */
	bool crowded;       /* ... as the kernel holds no more keys */
	bool inside;        /* a node with which this one encrypts: the session rides in their tunnel */
	uint64_t down_ms;   /* since when it is not Established; 0 = it is */
	struct log_limit notice_limit, state_limit; /* its own: what one neighbor causes does not hide what is said of another */
};

struct bgp {
	struct agent *agent;
	/* NULL without `bgp:` */
	struct attrs *attrs;
	struct learn *learn;
	struct speaker *speaker;
	struct bgp_sockets *sockets;
	struct loop_timer *timer;
	struct hmap peers; /* struct bgp_peer by remote */
	uint64_t round;
	uint64_t life; /* counts what `bgp:` was taken away or begun anew: learn is another */
	uint32_t as, router_id; /* that the speaker was made with */
	uint32_t waiting;       /* families for which routes of a former life may still be named again, bits */
	uint32_t device;        /* of the tunnel, as the sockets know it; 0 = there is none */
	bool deaf;              /* on some address it cannot listen */
	bool synced;            /* all that this node has was announced once */
	struct log_limit alert_limit;
};

int bgp_new(struct agent *a, struct bgp **out);
void bgp_free(struct bgp *b); /* NULL allowed; says nothing to anybody */

/* Behind rib_load: the same view for what is learned. */
void bgp_show(struct bgp *b, const struct config *c, const struct config_node *self);
/* a->config is in use now: begins, changes or ends sessions. */
void bgp_configure(struct bgp *b);
/* The tunnel has another device, or none: sessions inside move to it. */
void bgp_follow_device(struct bgp *b);
/* Has a session inside an address of that family? */
bool bgp_is_inside(const struct bgp *b, bool v4);
/* What the rib said is installed: tell the neighbors what is new. */
void bgp_announce(struct bgp *b);
/* The speaker was called from elsewhere: what follows of it comes with the next turn of the loop. */
void bgp_wake(struct bgp *b);
/* Ends all sessions, as for a restart: neighbors that can keep our routes. */
void bgp_stop(struct bgp *b, const char *text);

/* May routes of a former life still be named again?  Until then nothing is swept. */
bool bgp_is_waiting(const struct bgp *b);
/* Looks after sessions that are down; twice a second. */
void bgp_check(struct bgp *b);

/* How many sessions there are, and how many of them are established; false: no BGP. */
bool bgp_count(const struct bgp *b, size_t *n, size_t *n_established);

/* Frees what was frozen as a duplicate; false when it was not. */
bool bgp_free_duplicate(struct bgp *b, uint32_t vni, const struct mac *mac);

#endif
