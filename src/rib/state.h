/* SPDX-License-Identifier: Apache-2.0 */
/*
 * state.h - what the files of learn share, and where the rib calls them; private to src/rib.
 *
 *      learn.c   neighbors, their routes, what of them is looked at when
 *      vrf.c     networks and tenants: targets, scope, who this node is
 *      offer.c   what they say of one thing, which of it counts
 *      speak.c   what this node says of its ports
 */
#ifndef ISTHMUS_RIB_STATE_H
#define ISTHMUS_RIB_STATE_H

#include "rib/learn.h"
#include "rib/object.h"
#include "rib/offer.h"

struct neighbor {
	uint16_t source;
	bool leaving;   /* all its routes go */
	uint8_t doomed; /* families with routes that are to be swept, bits */
	bool limited;
	uint32_t *tenants;
	size_t n_tenants;
	TAILQ_ENTRY(neighbor) of_queue; /* when leaving or doomed */
};

struct station { /* a MAC that is at a local port, or was until now */
	struct mobility_key key;
	struct port *port; /* NULL = at none */
	uint64_t calm;     /* learn's, when it appeared */
	bool present;      /* as mobility knows it */
	bool again;        /* it was set free */
	bool dirty;
	TAILQ_ENTRY(station) dirty_link;
};

struct learn {
	struct rib *rib;
	struct attrs *attrs;
	learn_alert_fn *alert;
	void *arg;
	struct routes *routes;
	struct import import;
	struct export export;
	struct mobility mobility;

	struct hmap vrfs, said, places, stations;
	struct neighbor **neighbors; /* by source */
	size_t n_neighbors;
	TAILQ_HEAD(neighbor_queue, neighbor) sweeping;

	bool looking, again, deciding; /* at all routes; once more from the start; places are decided anew too */
	bool walking; /* just now */
	uint64_t cursor;
	TAILQ_HEAD(falling_vrfs, vrf) falling; /* with offers to drop */
	size_t n_gone; /* VRFs that export still has */

	uint64_t calm; /* counts commits with all routes looked at */
	TAILQ_HEAD(port_queue, port) ports; /* that changed */
	TAILQ_HEAD(station_queue, station) moved;
};

/* ---- learn.c ---- */

void learn_fail(struct learn *l); /* out of memory: the rib's, and sticky */
void learn_look_again(struct learn *l, bool deciding); /* at all routes, some at a time; and decide all places anew */
void said_release(struct learn *l, struct said *s);    /* when it has no offers any more */
bool learn_look_at_all(struct learn *l); /* now, what learn_run would look at some at a time; false: nothing was left */
void learn_touch_places(struct learn *l); /* all, at once: which addresses can be reached has changed */

/* ---- vrf.c ---- */

void vrf_free(struct learn *l, struct vrf *v);   /* nobody has it any more */
void vrf_forget(struct vrf *v);                  /* drops its offers and its owner; freed now, or once its export is gone */
void vrf_run(struct learn *l, size_t budget);    /* drops offers that are out of scope by now */

/* The rib calls; forgetting is synchronous, as the object is about to be another or gone. */
void learn_on_scope(struct learn *l, struct network *n); /* that of it or of its tenant may be another */
void learn_forget_network(struct network *n);
void learn_forget_tenant(struct tenant *t);

/* ---- speak.c ---- */

void speak_init(struct learn *l);
void speak_fini(struct learn *l);
void speak_anew(struct learn *l); /* export has no port any more: all are put again */
void speak_thaw(void *arg, const struct mobility_key *key); /* it is frozen no more: for mobility_expire */
bool speak_is_pending(const struct learn *l);
void learn_on_port(struct learn *l, struct port *p);      /* something of it may be another */
void learn_on_port_left(struct learn *l, struct port *p); /* it leaves its network, and may be freed */
void learn_on_mac(struct learn *l, const struct place_key *key); /* what others say of it may be another */

#endif
