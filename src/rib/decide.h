/* SPDX-License-Identifier: Apache-2.0 */
/*
 * decide.h - which of several candidates for one key counts, and why the others do not.
 *
 * The order of preference stands at the top of decide.c and nowhere else.  It is a number of steps, each of which removes the
 * candidates that are worse in one respect, until one is left (RFC 4271 9.1.2.2): so the result does not depend on the
 * order in which routes arrived, also where MED is compared within one neighboring AS only.
 *
 * Values only: the caller describes its candidates, decide_paths says which is the best and, for each of the others, the
 * step that removed it; `isthmus bgp why` shows just that.  Any thread.
 */
#ifndef ISTHMUS_RIB_DECIDE_H
#define ISTHMUS_RIB_DECIDE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model/route.h"

enum decide_step { /* in their order */
	DECIDE_USABLE,
	DECIDE_SOURCE,
	DECIDE_REACHABLE,
	DECIDE_BRIDGED,
	DECIDE_STICKY,
	DECIDE_SEQUENCE,
	DECIDE_NEXT_HOP,
	DECIDE_LOCAL_PREF,
	DECIDE_AS_PATH,
	DECIDE_ORIGIN,
	DECIDE_MED,
	DECIDE_EXTERNAL,
	DECIDE_ROUTER_ID,
	DECIDE_CLUSTERS,
	DECIDE_NEIGHBOR,
	DECIDE_ROUTE_KEY,
	DECIDE_NAME,
	DECIDE_STEPS,
	DECIDE_BEST = DECIDE_STEPS, /* nothing removed it */
	DECIDE_MAX
};

const char *decide_step_name(enum decide_step s); /* "local-pref"; "best" */

/* What tells neighbors apart when their attributes do not. */
struct decide_neighbor {
	struct addr address;
	uint32_t router_id; /* of its OPEN */
	bool external;      /* of another AS: eBGP */
};

struct decide_path {
	enum decide_step lost;              /* out: what removed it, or DECIDE_BEST */
	enum route_source source;
	bool unusable;                      /* not accepted: it can never be the best */
	bool unreachable;                   /* its next hop, just now: others are before it */
	bool routed;                        /* a host that is known by the tenant's VNI alone */
	bool mac;                           /* EVPN MAC/IP: steps of MAC mobility apply, and one next hop is chosen */
	struct route_esi esi;               /* EVPN */
	const struct route_attrs *attrs;    /* with neighbor: a route of BGP; else both NULL */
	const struct decide_neighbor *neighbor;
	const struct route_key *key;        /* of a route; or NULL */
	const char *name;                   /* of the origin of others; or NULL */
	size_t sorted;                      /* decide's own */
};

/* The place of the best, or n when none is usable; sets `lost` of all. */
size_t decide_paths(struct decide_path *paths, size_t n);

/* After decide_paths: as good as the best, so that traffic may be shared among them (not for MACs: they are at one place). */
bool decide_is_equal(const struct decide_path *path);

#endif
