/* SPDX-License-Identifier: Apache-2.0 */
/*
 * import.h - which routes of others count here, and as what: route targets -> networks and tenants -> endpoints.
 *
 * A network of mode l2 is a MAC-VRF with its VNI, a tenant an IP-VRF with its own; both are put in with the route targets that
 * they take routes of.  A route is then looked at as a whole: encapsulation, next hop, VNI, addresses, whether the
 * neighbor that it came from may speak for this tenant.  What passes comes out as one value per thing it says:
 *
 *      type 2    a MAC in a MAC-VRF, and the host with its address; or a host in the IP-VRF alone (RFC 9135)
 *      type 3    a node that takes part in the flooding of a MAC-VRF
 *      type 5    a prefix, or with all bits a host, in an IP-VRF (RFC 9136)
 *      unicast   a host of the tenant that has no encapsulation, if it is one in its subnets: it has no route target
 *
 * What does not pass has a reason with a name.  VNIs are those of the whole fabric, so a route that wants another one
 * for its traffic than the network has here is refused: nobody can use one tenant's target to get at another's VNI.
 *
 * Call order: import_init, import_vrf_put, then import_route for any route.  The object copies
 * what it keeps, and holds a reference of the attributes it looked at last.  One thread.
 */
#ifndef ISTHMUS_RIB_IMPORT_H
#define ISTHMUS_RIB_IMPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/hmap.h"
#include "model/attrs.h"
#include "rib/native.h"
#include "rib/routes.h"

#define IMPORT_VNI_MAX 0xffffffu

enum import_verdict {
	IMPORT_ACCEPTED,
	IMPORT_TYPE,            /* no route that endpoints come from */
	IMPORT_TARGET,          /* no network or tenant here takes it: the usual case, not a fault */
	IMPORT_GRANT,           /* this neighbor may not speak for the tenant */
	IMPORT_ENCAPSULATION,
	IMPORT_NEXT_HOP,
	IMPORT_VNI,
	IMPORT_TAG,
	IMPORT_MAC,
	IMPORT_ADDRESS,
	IMPORT_DEFAULT_GATEWAY, /* every node is its own gateway */
	IMPORT_PMSI,
	IMPORT_ROUTER_MAC,
	IMPORT_OVERLAY_INDEX,   /* of a type 5 route: gateway or Ethernet segment (RFC 9136 3.2) */
	IMPORT_NO_NATIVE,       /* a unicast route, and no tenant is without encapsulation */
	IMPORT_NO_HOST,         /* a unicast route to a prefix: whose it is cannot be told */
	IMPORT_SUBNET,          /* a host outside of the subnets of its network, or of the tenant without encapsulation */
	IMPORT_CROWDED,         /* accepted, but the neighbor has better routes to the same, and too many: see learn_verdict */
	IMPORT_VERDICT_MAX
};

const char *import_verdict_name(enum import_verdict v); /* "encapsulation" */

enum import_kind {
	IMPORTED_MAC,
	IMPORTED_HOST,
	IMPORTED_PREFIX,
	IMPORTED_FLOOD,
	IMPORTED_KIND_MAX
};

struct imported {
	enum import_kind kind;
	uint32_t vni;           /* that traffic to it carries */
	uint32_t tenant;        /* the VNI of the IP-VRF, that is the tenant */
	bool l3;                /* vni is the tenant's; of a unicast route there is none on the wire */
	struct addr node;       /* VTEP */
	struct mac mac;         /* MAC, and HOST but l3: the endpoint's */
	struct mac router_mac;  /* l3: of the node */
	struct prefix prefix;   /* HOST, PREFIX */
};

struct import {
	struct attrs *attrs;
	uint32_t as;
	struct addr own[2];     /* this node's underlay addresses; zero = none */
	struct hmap by_vni, by_target, limits;
	struct native native;
	bool native_wanted;
	/* the set of attributes looked at last: an UPDATE has one for many routes */
	const struct route_attrs *last;
	struct import_vrf **found;
	size_t n_found, n_allocated;
	uint64_t round; /* of looking for VRFs */
};

void import_init(struct import *im, struct attrs *attrs, uint32_t as, const struct addr own[static 2]);
void import_fini(struct import *im);

/*
 * A network (tenant: the VNI of its own) or, with vni = tenant, a tenant.  n_targets 0: the automatic ones.  Replaces what was
 * there of this VNI.  0, or -ENOMEM: as it was.
 */
int import_vrf_put(struct import *im, uint32_t vni, uint32_t tenant, const uint64_t *targets, size_t n_targets);
void import_vrf_remove(struct import *im, uint32_t vni);

/*
 * The tenant without encapsulation, NULL = there is none: its hosts are in unicast routes, and no VRF is put in for it.  1 it
 * was another, 0 it was so, -ENOMEM and it is as it was.
 */
int import_native_set(struct import *im, const struct config_tenant *tenant);

/*
 * Where the hosts of a network are: one outside is refused with its MAC, so that who has one network's target cannot speak
 * for the addresses of another network of the tenant.  None (as at first): anywhere.  1: they were others, and all
 * routes should be looked at again; 0: they were not, or the VNI is unknown; -ENOMEM: as it was.
 */
int import_subnets(struct import *im, uint32_t vni, const struct prefix *subnets, size_t n);

/*
 * Whether anybody here needs the routes of a VRF: nobody needs one that is new, until it is said.  import_is_wanted: one
 * of the VRFs that take EVPN routes with these attributes is needed, so that a closer look may find something;
 * import_wants_host: the same of a unicast route, by its key.
 */
void import_want(struct import *im, uint32_t vni, bool wanted); /* an unknown VNI: ignored */
bool import_is_wanted(struct import *im, const struct route_attrs *attrs);
bool import_wants_host(const struct import *im, const struct route_key *key);

/*
 * The route targets of a VNI when none are given: AS:VNI as everybody writes it, and the form of RFC 8365 5.1.2.1, which
 * marks it as derived and as a VXLAN's.  A target has two bytes for an AS beside the four for a VNI: an AS of four
 * bytes counts with its lower two, as others do too; it is the VNI that keeps tenants apart.
 */
#define IMPORT_AUTO_TARGETS 2
void import_auto_targets(uint32_t as, uint32_t vni, uint64_t out[static IMPORT_AUTO_TARGETS]);

/* A neighbor that may speak for these tenants only; one that was never limited may for all.  0 or -ENOMEM. */
int import_limit(struct import *im, uint16_t source, const uint32_t *tenants, size_t n);
void import_unlimit(struct import *im, uint16_t source);

/* Calls fn for each value; IMPORT_ACCEPTED when there was one, else why there was none. */
enum import_verdict import_route(struct import *im, const struct routes_candidate *route,
				 void (*fn)(void *arg, const struct imported *value), void *arg);

#endif
