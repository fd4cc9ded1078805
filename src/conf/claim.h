/* SPDX-License-Identifier: Apache-2.0 */
/*
 * claim.h - what only one may have, claimed in one table under (kind, scope, value): the second to claim is told who was
 * first.
 *
 * claims_init, then claim_value in the order of the text, claims_fini.  One thread.
 */
#ifndef ISTHMUS_CONF_CLAIM_H
#define ISTHMUS_CONF_CLAIM_H

#include <stddef.h>
#include <stdint.h>

#include "conf/build.h"
#include "lib/hmap.h"

enum claim_kind {
	CLAIM_VNI,
	CLAIM_ADDRESS,    /* scope: tenant */
	CLAIM_MAC_L2,     /* scope: network */
	CLAIM_MAC_L3,     /* scope: tenant; its l3 networks share a VNI */
	CLAIM_INTERFACE,  /* scope: node */
	CLAIM_UNDERLAY,
	CLAIM_ROUTER_MAC,
	CLAIM_ROUTER_ID,
	CLAIM_MEMBERSHIP, /* scope: node; of the networks listed there */
	CLAIM_WORD,       /* scope: port; of the words of `allow` */
	/* not owned by one, only counted or remembered */
	CLAIM_SEEN_TENANT, /* scope: tenant; value: a node that is in it */
	CLAIM_SEEN_NETWORK, /* scope: network; value: a node that is in it */
	CLAIM_SEEN_SITE,    /* scope: tenant; value: a site with nodes that are in it and run isthmusd */
	CLAIM_SEEN_FOREIGN, /* scope: network; value: a site with foreign nodes that are in it */
	CLAIM_COUNT_NODES, /* scope: network */
	CLAIM_COUNT_PORTS, /* scope: network; value: node */
	CLAIM_PEER_SOMEWHERE,  /* value: address of a BGP neighbor of any node */
	CLAIM_PEER_EVERYWHERE, /* value: address of a BGP neighbor of all nodes */
};

struct claim_key {
	uint64_t kind;
	uint64_t scope; /* identity of an object: its address */
	uint8_t value[16];
};

struct claim {
	struct claim_key key;
	const struct yaml_node *owner;
	size_t count;
};

struct claims {
	struct build *b;
	struct hmap by_key; /* memory is of the build's arena */
};

struct claims claims_init(struct build *b);
void claims_fini(struct claims *all);

/* What of BGP contradicts what (clash_bgp.c), from clash_check; the last one when the nodes have their claims. */
void clash_targets(struct claims *all, const struct yaml_node *map); /* of a tenant or network */
void clash_router_id(struct claims *all, const struct yaml_node *map, const struct config_node *node);
int clash_bgp(struct claims *all); /* 0 or -ENOMEM */

/* Who is where, to see in the end whether they could encrypt (clash_encryption.c). */
struct crowd {
	struct member **own; /* by tenant */
	struct member *foreign;
};
int clash_crowd_init(struct crowd *crowd, const struct config *c); /* 0 or -ENOMEM */
void clash_crowd_fini(struct crowd *crowd);
void clash_crowd_join(struct crowd *crowd, struct claims *all, const struct config_node *node,
		      const struct config_network *network, const struct yaml_node *reason);
int clash_encryption(struct build *b, const struct crowd *crowd); /* 0 or -ENOMEM */

/* The claim of that key, claimed now when its owner is `n`; NULL = no memory, which the report knows. */
struct claim *claim_take(struct claims *all, enum claim_kind kind, const void *scope, const void *value, size_t size,
			 const struct yaml_node *n);
/* That claim, or NULL when there is none. */
const struct claim *claim_find(const struct claims *all, enum claim_kind kind, const void *scope, const void *value,
			       size_t size);
/* Reports that somebody else has it.  `text`: the value, for people. */
void claim_value(struct claims *all, enum claim_kind kind, const void *scope, const void *value, size_t size,
		 const char *text, const struct yaml_node *n);

bool claim_is_later(const struct yaml_node *a, const struct yaml_node *b); /* in the text */

#endif
