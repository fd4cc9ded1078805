/* SPDX-License-Identifier: Apache-2.0 */
/*
 * export.h - what this node announces: local ports and networks -> routes of BGP, as a list of differences.
 *
 *      network of mode l2 with a port here      type 3: it takes part in the flooding, by ingress replication
 *      port of such a network                   type 2: its MAC, and its MAC with each address
 *      port of a network of mode l3             type 5: each address, to the tenant's VNI
 *      port of a network without encapsulation  a unicast route for each address
 *
 * Where the network is routed, type 2 with an address carries the tenant's VNI, its targets and this node's router's MAC
 * too: nodes that have only the tenant route to it (RFC 9135 5.1).  Both forms of the automatic targets are announced:
 * others take one or the other.
 *
 * A route has one owner, who put it last: so a port that gives a MAC to another in one batch does not take away what the
 * other has put, and what is there before and after is replaced, never withdrawn and announced.
 *
 * Call order: export_init; export_vrf_put for tenants, then networks, then export_port_put; any again, each batch closed by
 * export_commit; export_fini.  It copies what it keeps and holds references of the attributes that it announces.
 * Out of memory: a port that could not be put is as it was, or gone when it was there before and no memory is left for its
 * name; a VRF may have a part of its ports as they were, until it is put again.  One thread.
 */
#ifndef ISTHMUS_RIB_EXPORT_H
#define ISTHMUS_RIB_EXPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "lib/hmap.h"
#include "model/attrs.h"
#include "model/route.h"

/* A place in the list of all routes: that of a route, or how far a walk has come. */
struct export_mark {
	TAILQ_ENTRY(export_mark) link;
	struct exported *route; /* NULL = of a walk */
};

struct export_node {
	uint32_t as;
	uint32_t router_id;    /* in the RDs: of IPv4 form, the underlay address where it is one (RFC 7432 7.9) */
	struct addr underlay;  /* next hop of EVPN */
	struct addr hop4, hop6; /* next hops of unicast routes by their family; zero = such a one cannot be announced */
	struct mac router_mac;
};

struct export {
	struct attrs *attrs;
	struct export_node node;
	struct hmap vrfs, ports, routes;
	uint64_t numbers[65536 / 64]; /* of RDs, bits: taken */
	TAILQ_HEAD(exported_dirty, exported) dirty;
	TAILQ_HEAD(exported_all, export_mark) all;
};

struct export_vrf {
	uint32_t vni;
	uint32_t tenant;         /* the VNI of the tenant's; = vni for a tenant */
	bool routed;             /* a network with a gateway */
	const uint64_t *targets; /* by hand; none = automatic */
	size_t n_targets;
};

struct export_port {
	const char *name;
	uint32_t vni;            /* of the network, or of the tenant for mode l3; 0 = no encapsulation: unicast */
	uint32_t tenant;         /* VNI; looked at where the one above is 0 */
	struct mac mac;
	const struct addr *addresses;
	size_t n_addresses;
	bool silent;             /* it takes part in flooding, but where it is, is not for this node to say */
	bool sticky;
	uint32_t sequence;       /* of MAC mobility (struct mobility_verdict) */
};

struct export_change {
	bool put;
	uint32_t tenant; /* VNI of the one whose route it is, or was */
	struct route_nlri nlri;
	const struct route_attrs *attrs; /* of a put; for the time of the call */
};

void export_init(struct export *ex, struct attrs *attrs, const struct export_node *node);
void export_fini(struct export *ex);

/* New or changed; its ports' routes change with it.  0, -ENOMEM, or -ENOSPC: more than 65,535 VRFs. */
int export_vrf_put(struct export *ex, const struct export_vrf *vrf);
void export_vrf_remove(struct export *ex, uint32_t vni); /* its ports were removed before */

/* All that the port announces, new or changed.  0, -ENOMEM, or -ENOENT: no such VRF. */
int export_port_put(struct export *ex, const struct export_port *port);
void export_port_remove(struct export *ex, const char *name); /* unknown names are ignored */

/* What is different from the last commit, each route once. */
void export_commit(struct export *ex, void (*emit)(void *arg, const struct export_change *change), void *arg);

/* All that is announced as of the last commit: for a neighbor that is new. */
void export_each(const struct export *ex, void (*fn)(void *arg, const struct export_change *put), void *arg);

/*
 * The same, `budget` routes a time: true = more.  What is there all the while is told once.  `walk` belongs to the caller and
 * stays where it is until export_walk_end; once export_fini was called it is no walk any more.
 */
void export_walk_begin(struct export *ex, struct export_mark *walk);
bool export_walk(struct export *ex, struct export_mark *walk, size_t budget,
		 void (*fn)(void *arg, const struct export_change *put), void *arg);
void export_walk_end(struct export *ex, struct export_mark *walk);

#endif
