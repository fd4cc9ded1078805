/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fabric.h - a simulated fabric: the configuration that every node reads, and its endpoints, which come, go and move.
 *
 *      tenant red 5000: web (l2, 5001, routed)  lan (l2, 5002)  app (l3)        tenant blue 6000: web (l2, 6001, routed)
 *
 * Endpoints are ports that are added at run time: no file says where they are, what others know of them came by BGP.
 * Both tenants use the same addresses.  The truth is the list of endpoints; fabric_is_right holds the forwarding entries
 * and the tables of routes of all nodes to it.
 */
#ifndef ISTHMUS_SIM_FABRIC_H
#define ISTHMUS_SIM_FABRIC_H

#include "model/config.h"
#include "net.h"

#define FABRIC_NOWHERE UINT32_MAX
#define FABRIC_NETWORKS 4

struct endpoint {
	char name[16];
	struct mac mac;
	struct addr addresses[2];
	unsigned n_addresses;
	unsigned network;    /* its number, below FABRIC_NETWORKS */
	uint32_t at;         /* host; NOWHERE: on no node */
	uint32_t ghost;      /* host that still has the port that has moved, or NOWHERE */
	bool up, flying;     /* flying: about to appear */
	uint64_t moved_ms;
	uint32_t sequence;   /* for the check: as its node says */
	unsigned n_said;     /* for the check: routes */
};

struct fabric {
	struct net *net;
	struct config *config;
	struct config_network *networks[FABRIC_NETWORKS];
	struct endpoint *endpoints;
	unsigned n_endpoints;
	size_t n_lost; /* entries of endpoints that were deleted, or lead elsewhere now; since it was set to 0 */
	size_t n_alerts; /* of MACs that moved too often */
};

struct fabric *fabric_new(struct net *net, unsigned n_endpoints);
void fabric_free(struct fabric *f); /* NULL allowed */

const struct config_node *fabric_node(const struct fabric *f, unsigned host);
struct config_port fabric_port(const struct fabric *f, const struct endpoint *e, unsigned host);
/* The endpoint with the MAC or address, which may be of any. */
struct endpoint *fabric_find_mac(const struct fabric *f, const struct mac *mac);
bool fabric_network_is_l2(unsigned network);

/* Every session is up (net_is_right looks at that), nothing is on its way, and all that is held is the truth. */
bool fabric_is_right(struct fabric *f, char *why, size_t size);

#endif
