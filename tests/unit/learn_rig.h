/* SPDX-License-Identifier: Apache-2.0 */
/*
 * learn_rig.h - nodes with a rib and a learn each, whose announcements go to all the others as values; and neighbors that
 * are no node, who say what a test says.
 *
 *      tenant red 5000: web (l2, 5001, routed)  lan (l2, 5002)  app (l3)        tenant blue 6000: web (l2, 6001, routed)
 *      tenant green 7000: all (l3, without encapsulation)
 *
 * After every commit the entries of a node are what its changes add up to, and each points at a next hop that is there.
 */
#ifndef ISTHMUS_LEARN_RIG_H
#define ISTHMUS_LEARN_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "rib/learn.h"

#define RIG_NODES 6
#define RIG_AS 65000u

enum rig_network { RED_WEB, RED_LAN, RED_APP, BLUE_WEB, GREEN_ALL, RIG_NETWORKS };

struct rig_node {
	struct rib *rib;
	struct learn *learn;
	uint16_t sources[RIG_NODES + 4]; /* of the others; and of neighbors that are no node */
	struct fwd *entries;
	size_t n_entries, entries_capacity;
	size_t n_deleted, n_replaced, n_put; /* since rig_count */
	size_t n_announced, n_withdrawn;
	struct learn_alert alert; /* the last */
	char alert_port[32];
	size_t n_alerts;
};

struct rig_message {
	unsigned from, to;
	bool put;
	struct route_nlri nlri;
	const struct route_attrs *attrs;
};

struct rig {
	struct attrs *attrs;
	unsigned n_nodes;
	uint64_t chance; /* not 0: what is said takes its time, in order between two nodes, and on this */
	size_t budget;
	uint64_t now_ms;
	struct config config;
	struct config_bgp bgp;
	struct config_node config_nodes[RIG_NODES];
	struct addr underlay[RIG_NODES][2];
	struct config_tenant tenants[3];
	struct config_network red[3], blue[1], green[1];
	struct prefix subnets[RIG_NETWORKS];
	struct addr gateways[RIG_NETWORKS];
	struct rig_node nodes[RIG_NODES];
	struct rig_message *queue;
	size_t n_queued, queue_capacity;
};

void rig_init(struct rig *g, unsigned n_nodes);
void rig_fini(struct rig *g);
uint32_t rig_pick(struct rig *g, uint32_t below); /* by `chance` */

struct addr rig_address(const char *text);
struct config_network *rig_network(struct rig *g, enum rig_network n);
/* The configuration of all, as it is now, on one node: ports that it does not have go. */
void rig_load(struct rig *g, unsigned node);

/* A port named pN with MAC 02:00:00:00:00:N and address 10.0.NETWORK.N, of `at`, in the view of `node`. */
void rig_port_put(struct rig *g, unsigned node, unsigned at, enum rig_network n, unsigned number);
void rig_port_up(struct rig *g, unsigned node, enum rig_network n, unsigned number); /* put, and up */
void rig_port_link(struct rig *g, unsigned node, unsigned number, bool up);
void rig_port_remove(struct rig *g, unsigned node, unsigned number);
struct mac rig_mac(unsigned number);
struct addr rig_host(enum rig_network n, unsigned number);

/* One round: everybody's commits, then what was said is heard.  False: nothing was left to do. */
bool rig_round(struct rig *g);
void rig_commit(struct rig *g, unsigned node); /* its part of that */
void rig_run(struct rig *g); /* rounds until all is quiet */

/* ---- neighbors that are no node: 0 to 3 ---- */

struct rig_route {
	enum route_evpn_type type; /* none: unicast */
	const char *node;      /* next hop */
	uint32_t rd;
	unsigned number;       /* of the MAC */
	const char *address;   /* of the host, or of the prefix with its length */
	uint8_t length;        /* of it, in 128 bits */
	uint32_t vni, l3_vni;  /* labels */
	uint64_t targets[2];
	uint32_t sequence;
	bool sticky, no_router_mac;
	uint8_t router;        /* a byte of its MAC: there may be several at one next hop */
	uint32_t local_pref;
	uint32_t path_id;
};
uint16_t rig_neighbor(struct rig *g, unsigned node, unsigned i, const char *address);
size_t rig_say(struct rig *g, unsigned node, unsigned i, const struct rig_route *r);
size_t rig_unsay(struct rig *g, unsigned node, unsigned i, const struct rig_route *r);
uint64_t rig_target(uint32_t vni);

/* ---- what a node holds ---- */

const struct fwd *rig_find(const struct rig *g, unsigned node, const struct fwd *key); /* or NULL */
const struct fwd *rig_find_mac(const struct rig *g, unsigned node, uint32_t vni, unsigned number);
const struct fwd *rig_find_host(const struct rig *g, unsigned node, uint32_t vrf, const char *address);
const struct fwd *rig_find_prefix(const struct rig *g, unsigned node, uint32_t vrf, const char *prefix);
const struct fwd *rig_find_member(const struct rig *g, unsigned node, uint32_t vni, const char *source);
/* The next hops of the kernel's route to a host: "192.0.2.2 192.0.2.3", or "none". */
const char *rig_route_to(const struct rig *g, unsigned node, const char *address);
const struct fwd_nexthop *rig_nexthop(const struct rig *g, unsigned node, uint64_t owner); /* or NULL */
/* Where traffic to it goes: "192.0.2.2", "port", or "nowhere". */
const char *rig_where_mac(const struct rig *g, unsigned node, uint32_t vni, unsigned number);
const char *rig_where_host(const struct rig *g, unsigned node, uint32_t vrf, const char *address);
size_t rig_count_kind(const struct rig *g, unsigned node, enum fwd_kind kind);
void rig_count(struct rig *g, unsigned node); /* from 0 */

/* Routes of a VTEP that is no node of the file. */
#define RIG_VTEP "192.0.2.77"
struct rig_route rig_mac_route(unsigned number);
struct rig_route rig_host_route(unsigned number, const char *address);
struct rig_route rig_prefix_route(const char *address, uint8_t length);
struct rig_route rig_unicast_route(const char *address, const char *node);

#endif
