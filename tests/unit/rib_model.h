/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rib_model.h - a fabric as knobs that a test turns, the configuration that they describe, and the entries that a plain walk
 * over it says.
 */
#ifndef ISTHMUS_TESTS_RIB_MODEL_H
#define ISTHMUS_TESTS_RIB_MODEL_H

#include "rib/rib.h"

#define N_NODES 6
#define N_TENANTS 3
#define N_NETWORKS 4 /* of each tenant */
#define N_PORTS 40
#define SELF 0

struct knobs {
	struct {
		bool there, foreign, lists[N_TENANTS * N_NETWORKS];
		int address, families, site;
		uint32_t mtu;
	} nodes[N_NODES];
	struct { bool there; uint32_t vni; } tenants[N_TENANTS];
	struct {
		bool there, flood, native, subnet, gateway4, gateway6;
		unsigned encryption; /* 0: says nothing itself, else the word + 1 */
		enum config_mode mode;
		uint32_t vni;
	} networks[N_TENANTS * N_NETWORKS];
	struct { bool there; int node, network, address, mac; int n_addresses; uint32_t storm; } ports[N_PORTS];
	uint16_t icmp;
	enum config_encryption encryption;
	struct rib_link links[N_PORTS];
};

struct fabric {
	struct config config;
	struct config_site sites[2];
	struct config_node nodes[N_NODES];
	struct addr underlay[N_NODES][2];
	struct config_network *lists[N_NODES][N_TENANTS * N_NETWORKS];
	struct config_tenant tenants[N_TENANTS];
	struct config_network networks[N_TENANTS][N_NETWORKS];
	struct prefix subnets[N_TENANTS][N_NETWORKS][1];
	struct addr gateways[N_TENANTS][N_NETWORKS][2];
	struct config_port ports[N_PORTS];
	struct addr addresses[N_PORTS][3];
	char names[4][64][32];
};

struct set {
	struct fwd items[4096];
	size_t length;
};

void model_build(struct fabric *f, const struct knobs *k); /* into f, over what was there */
void model_expect(struct set *s, const struct fabric *f, const struct knobs *k);

__attribute__((format(printf, 1, 2))) struct addr address_of(const char *format, ...);

/* A set of entries. */
struct fwd *set_find(struct set *s, const struct fwd *f); /* or NULL */
bool set_equal(struct set *a, struct set *b);
void set_add(struct set *s, const struct fwd *f); /* one that is not there */
void set_change(void *arg, const struct fwd_change *c); /* as rib_commit tells of it; arg: the set */
void assert_set_equal(struct set *got, struct set *expected);

#endif
