/* SPDX-License-Identifier: Apache-2.0 */
/*
 * learn.h - from what neighbors say to what this node holds, and from what this node has to what it says: BGP joined to the rib.
 *
 *      neighbor -> routes -> import -> offers at one place -> decide -> rib entry
 *      port     -> rib    -> mobility -> export -> announcement
 *
 * A MAC, a host, a prefix has one place here, whatever the route distinguishers of the routes that speak of it; the
 * values that import accepted are its offers, and the best of them claims the forwarding entry, behind a port of this
 * node and before what the configuration says of others.  A VTEP is a member of a VNI, and has a next hop, as long as it
 * has an offer there, be it a node of the file or not.  Only networks and tenants that are in scope have places; routes
 * of others are kept and looked at again, some at a time, when a port brings them into scope.
 *
 * Order of a batch: events in any number (learn_put .. learn_swept, rib_load with learn_load behind it, rib_port_*),
 * learn_run when learn_next_ms has come, then rib_commit; what it said is installed, and only then learn_commit, whose
 * announcements go to the neighbors (inbound before anything sends).  The work is proportional to the change; what is
 * not (sweeps, looking at all routes again) is done by learn_run, some at a time.
 *
 * Call order: learn_new, rib_load, learn_load, then any; learn_free before rib_free.  A rib has one learn or none.  Out of
 * memory is the rib's: sticky, and told by rib_commit.  Pure: no I/O, no clock.  Control thread.
 */
#ifndef ISTHMUS_RIB_LEARN_H
#define ISTHMUS_RIB_LEARN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model/attrs.h"
#include "model/config.h"
#include "rib/decide.h"
#include "rib/export.h"
#include "rib/import.h"
#include "rib/mobility.h"
#include "rib/rib.h"
#include "rib/routes.h"

struct learn;

struct learn_alert {
	enum mobility_alert what;
	uint32_t vni;        /* of the network */
	const char *network; /* its full name */
	struct mac mac;
	const char *port;    /* of this node; NULL = it has just gone */
	struct addr node;    /* the other one's VTEP; zero = it has just gone */
	uint32_t sequence;   /* the other one's */
};

/* Called within learn_commit.  Others can cause it, at most once per MAC and change: limit its rate in logs. */
typedef void learn_alert_fn(void *arg, const struct learn_alert *alert);

int learn_new(struct rib *rib, struct attrs *attrs, learn_alert_fn *alert, void *arg, struct learn **out);
void learn_free(struct learn *l); /* NULL allowed; its entries go with the next rib_commit */

/*
 * Who this node is in BGP and which route targets its networks have; `self` and `config` are those of the rib_load just
 * before, and config->bgp is there.  0, or -ENOSPC: more than 65,535 networks and tenants.  To undo, load what was before.
 */
int learn_load(struct learn *l, const struct config *config, const struct config_node *self);

/* ---- neighbors ---- */

struct learn_neighbor {
	struct decide_neighbor neighbor; /* router_id 0 as long as it has not said it */
	bool limited;                    /* may speak for these tenants only */
	const uint32_t *tenants;         /* their VNIs */
	size_t n_tenants;
};

int learn_neighbor_add(struct learn *l, const struct learn_neighbor *n, uint16_t *source); /* -ENOMEM, -ENOSPC */
/* Something of it is another: when it has sent its OPEN, when its grant has changed.  0 or -ENOMEM. */
int learn_neighbor_set(struct learn *l, uint16_t source, const struct learn_neighbor *n);
/* With its routes, which go some at a time; the number is not used again before. */
void learn_neighbor_remove(struct learn *l, uint16_t source);

/* ---- what speaker_ops asks for, with the neighbor's source; counts are those that it wants back ---- */

size_t learn_put(struct learn *l, uint16_t source, const struct route_attrs *attrs, const struct route_nlri *nlri, size_t n);
size_t learn_remove(struct learn *l, uint16_t source, const struct route_nlri *nlri, size_t n);
void learn_stale(struct learn *l, uint16_t source, enum route_family f);
size_t learn_swept(struct learn *l, uint16_t source, enum route_family f); /* they count no more, and go some at a time */

/* ---- time ---- */

/* What is due, and of what is waiting about `budget` routes, each as often as there are VRFs that it is held against.  rib_commit and learn_commit come after it. */
void learn_run(struct learn *l, uint64_t now_ms, size_t budget);
uint64_t learn_next_ms(const struct learn *l); /* 0 = at once: there is more; UINT64_MAX = nothing */

/*
 * What this node says now and did not at the last commit, each route once: for speaker_announce and speaker_withdraw.
 * 0 or -ENOMEM.
 */
int learn_commit(struct learn *l, uint64_t now_ms, void (*emit)(void *arg, const struct export_change *change), void *arg);

/* ---- duplicates ---- */

/* This node hears and speaks of both sides again, whatever is left of the half hour; false when it was not frozen. */
bool learn_free_duplicate(struct learn *l, uint32_t vni, const struct mac *mac, uint64_t now_ms);
bool learn_moving_next(const struct learn *l, size_t *cursor, struct mobility_view *out); /* as mobility_next */

/* ---- looking ---- */

/* As rib_trim. */
void learn_trim(struct learn *l);

const struct routes *learn_routes(const struct learn *l); /* all, for routes_walk and counts by source */
enum import_verdict learn_verdict(struct learn *l, const struct routes_candidate *c); /* why it counts here or does not */
/* Of all routes and neighbors that say the same of an entry (a MAC, a host, a prefix): is this the one that counts? */
bool learn_stands_for(const struct learn *l, const struct fwd *entry, const struct routes_candidate *c);

struct learn_query {
	uint32_t vni;         /* of a network, or (prefix) of a tenant */
	bool is_mac;
	struct mac mac;
	struct prefix prefix; /* with all bits: a host */
};

/* What is offered for it by those whose routes import takes, each as the route that says so; without looking for it. */
void learn_saying_each(struct learn *l, const struct learn_query *q, void (*fn)(void *arg, const struct routes_candidate *c),
		       void *arg);
enum learn_standing { /* of a route among those of all who announce it */
	LEARN_REFUSED,   /* by import */
	LEARN_VALID,
	LEARN_MULTIPATH, /* not the best, and used beside it */
	LEARN_BEST,
};
enum learn_standing learn_standing(struct learn *l, const struct routes_candidate *c);
/* Whose VNI it is; *network NULL = the tenant's own.  False: nobody's. */
bool learn_vni(const struct learn *l, uint32_t vni, const char **tenant, const char **network);
struct export *learn_export(struct learn *l); /* for export_walk */
void learn_announced_each(const struct learn *l, void (*fn)(void *arg, const struct export_change *put), void *arg);

struct learn_why {
	enum route_source source;
	const char *name;                  /* the port's, the node's or the network's; NULL for a route of BGP */
	struct routes_candidate candidate; /* of BGP */
	enum import_verdict verdict;       /* of BGP */
	enum decide_step step;             /* DECIDE_BEST, or what removed it */
};

/*
 * The routes that speak of a MAC or prefix, in whichever network: their keys can be found by looking at all routes only, some
 * `budget` a time.  Begins with what is asked for and zeroes; true = more.  Then learn_why; learn_search_fini at the end.
 */
struct learn_search {
	bool is_mac;
	struct mac mac;
	struct prefix prefix;
	uint64_t cursor;
	struct route_key *keys;
	size_t n, n_allocated;
	bool failed; /* out of memory */
};
bool learn_search(const struct learn *l, struct learn_search *s, size_t budget);
void learn_search_fini(struct learn_search *s);

/*
 * Every candidate for the MAC, host or prefix: of this node, of every neighbor and route distinguisher, of the
 * configuration; the best first.  `found` is a search for it that came to its end.  0, -ENOENT, -ENOMEM.
 */
int learn_why_found(struct learn *l, const struct learn_query *q, const struct learn_search *found,
		    void (*fn)(void *arg, const struct learn_why *why), void *arg);
/* The same, with a search of its own: it looks at all routes at once. */
int learn_why(struct learn *l, const struct learn_query *q, void (*fn)(void *arg, const struct learn_why *why), void *arg);

#endif
