/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config.h - the fabric as one configuration describes it, checked and with its references resolved.
 *
 * Built by conf_load (conf/conf.h), then never changed but for the ports that are added at run time: an apply compares
 * two of them.
 * A config owns everything it points to; objects of one kind are in an array sorted by name, and pointers between
 * objects stay inside the config.  config_free accepts NULL.  Any thread, read only.
 */
#ifndef ISTHMUS_CONFIG_H
#define ISTHMUS_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/addr.h"
#include "lib/hmap.h"
#include "model/route.h"

#define CONFIG_NAME_MAX 63
#define CONFIG_MAX_TARGETS 16 /* by hand, in one list */
#define CONFIG_MAX_RELAYS 16 /* = RELAYS_MAX of wg/relay.h */
#define CONFIG_MAX_FLOOD 4096 /* of one kind in one network; = ABI_MAX_FLOOD_SLOTS of bpf/abi.h */

struct fwd_nexthop;

struct config_place { /* where the text says so; line 0 = not from a text */
	unsigned line, column;
};

enum config_encap {
	CONFIG_ENCAP_VXLAN,
	CONFIG_ENCAP_NONE, /* by the kernel's routes; one tenant of a fabric, whose networks are all so */
	CONFIG_ENCAP_MAX
};

enum config_encryption { /* in order of strictness */
	CONFIG_ENCRYPTION_NEVER,
	CONFIG_ENCRYPTION_BETWEEN_SITES,
	CONFIG_ENCRYPTION_ALWAYS,
	CONFIG_ENCRYPTION_MAX
};

enum config_mode {
	CONFIG_MODE_L2,
	CONFIG_MODE_L3,
	CONFIG_MODE_MAX
};

enum config_allow { /* bits: what port security lets a port send in addition */
	CONFIG_ALLOW_ROUTER_ADVERTISEMENT = 1 << 0,
	CONFIG_ALLOW_DHCP_SERVER = 1 << 1,
	CONFIG_ALLOW_TUNNEL = 1 << 2,
	CONFIG_ALLOW_ROUTING = 1 << 3,
	CONFIG_ALLOW_LINK_CONTROL = 1 << 4,
};

enum config_mesh {
	CONFIG_MESH_AUTO, /* all nodes that are not foreign with each other, unless there are reflectors */
	CONFIG_MESH_NONE,
	CONFIG_MESH_MAX
};

struct config_targets { /* route targets by hand (model/extended.h), in the order of the text; none = automatic */
	uint64_t *items;
	size_t length;
};

struct config_site {
	char *name;
	struct config_place place;
};

struct config_key { /* an X25519 public key, which is never zero; zero = none */
	uint8_t bytes[32];
};

struct config_pair { /* what holds between the nodes of two sites, or within one */
	char *name;
	struct config_place place;
	struct config_site *sites[2]; /* in the order of their names; twice the same: within it */
	bool encrypts;
	char *preshared_key_file; /* absolute path, or NULL: that of the fabric; not looked into here */
};

struct config_node {
	char *name;
	struct config_place place;
	struct config_site *site;
	struct addr *underlay; /* 1 or 2, at most one of each family, in order of preference */
	size_t n_underlay;
	char **interfaces; /* devices that tunnel packets arrive on; empty = found from the addresses and routes */
	size_t n_interfaces;
	uint32_t mtu; /* of the underlay; 0 = from the interface and route */
	bool foreign; /* does not run isthmusd */
	bool nat;     /* is behind one: keeps its way open, and is found by what it sends */
	bool relay;   /* carries for nodes that do not reach each other */
	struct config_key public_key; /* zero: nobody can send it anything encrypted */
	uint32_t router_id; /* BGP identifier, effective; 0 = foreign */
	struct config_network **networks; /* foreign only: L2 networks it belongs to, beside those of its ports */
	size_t n_networks;
	size_t n_ports;
	size_t n_peers; /* of them */
};

struct config_network {
	char *name;      /* "web" */
	char *full_name; /* "red/web" */
	struct config_place place;
	struct config_tenant *tenant;
	enum config_mode mode;
	uint32_t vni; /* l2 only, else 0 */
	struct prefix *subnets;
	size_t n_subnets;
	struct addr *gateways; /* at most one of each family */
	size_t n_gateways;
	enum config_encap encap;           /* effective */
	enum config_encryption encryption; /* effective, where no site pair says otherwise */
	bool encryption_own;               /* the network's own, which goes before site pairs */
	size_t n_ports;
	bool flood; /* unknown unicast is flooded */
	uint32_t storm_limit; /* effective; packets a second from each port, 0 = no limit or l3 */
	struct config_targets import, export; /* l2 only: those of the MAC-VRF */
};

struct config_tenant {
	char *name;
	struct config_place place;
	uint32_t vni; /* the L3 VNI */
	struct config_network *networks; /* sorted by name */
	size_t n_networks;
	enum config_encryption encryption_own; /* the strictest that a network of it has of its own */
	bool encryption_inherited;             /* a network of it has none of its own, or there is no network */
	size_t n_ports;
	struct config_targets import, export; /* of the IP-VRF */
};

/* Of a port whose workload is the far end of a tunnel of its node's: any WireGuard program, anywhere. */
struct config_peer {
	struct config_key public_key;
	char *preshared_key_file; /* absolute path, or NULL; not looked into here */
	struct addr endpoint;
	uint16_t endpoint_port; /* 0 = it is where its packets come from */
	uint16_t keepalive_s;   /* of the node's; 0 = none */
};

struct config_port {
	char *name;
	struct config_place place;
	struct config_node *node;
	char *interface; /* NULL on a foreign node */
	struct config_network *network;
	struct mac mac;
	struct addr *addresses;
	size_t n_addresses;
	bool security; /* port security, default true */
	uint32_t allow; /* enum config_allow */
	uint32_t storm_limit; /* effective; packets a second, 0 = no limit or l3 */
	bool runtime;  /* added by `isthmus port add`, not by the file: one of config.runtime */
	struct config_peer *peer; /* one of `peers`, whose interface and MAC are made up; NULL: of `ports` */
};

/* Which tenants' routes a neighbor may bring, or is told. */
struct config_grant {
	bool all;
	struct config_tenant **tenants; /* unless all; none of them = no routes (RFC 8212) */
	size_t n_tenants;
};

struct config_neighbor {
	char *name;
	struct config_place place;
	struct addr address;
	uint32_t remote_as;
	uint32_t families;          /* ROUTE_FAMILY_BIT() of each, effective */
	struct config_node **nodes; /* which peer with it; none of them = all that are not foreign */
	size_t n_nodes;
	char *password_file; /* absolute path, or NULL; not looked into here */
	uint8_t ttl_hops;    /* RFC 5082: it is at most so many hops away; 0 = anywhere */
	uint32_t max_prefix; /* of each family; 0 = any number */
	struct config_grant import, export; /* effective */
	uint16_t hold_s, restart_s; /* effective */
	bool disable_family; /* RFC 7606: a family whose routes cannot be read is disabled, instead of the session reset */
	bool passive, shutdown;
	char *description; /* at most CONFIG_DESCRIPTION_MAX bytes, or NULL */
};

#define CONFIG_DESCRIPTION_MAX 63
#define CONFIG_PASSWORD_MAX 80 /* bytes of a key that a password file may hold: TCP_MD5SIG_MAXKEYLEN */

struct config_bgp {
	uint32_t as;
	enum config_mesh mesh;
	struct addr *reflectors; /* iBGP, all families */
	size_t n_reflectors;
	uint16_t hold_s;     /* 0 = no hold timer */
	uint16_t restart_s;  /* 0 = no graceful restart */
	uint16_t port;       /* TCP, of both ends */
	char *password_file; /* of mesh and reflectors: absolute path, or NULL */
	struct config_neighbor *neighbors; /* sorted by name */
	size_t n_neighbors;
};

struct config {
	enum config_encap encap;
	enum config_encryption encryption;
	uint16_t wireguard_port;  /* default 51820 */
	char *preshared_key_file; /* absolute path, or NULL; not looked into here */
	uint16_t vxlan_port;      /* default 4789 */
	struct mac gateway_mac; /* default 02:69:73:74:68:6d */
	uint32_t storm_limit;   /* packets a second, 0 = no limit */
	uint16_t icmp_limit;    /* errors a second, 0 = no limit */
	struct config_bgp *bgp; /* NULL = static */
	struct config_site *sites;
	size_t n_sites;
	struct config_pair *pairs;
	size_t n_pairs;
	struct config_node *nodes;
	size_t n_nodes;
	struct config_tenant *tenants;
	size_t n_tenants;
	struct config_port *ports; /* of the file, peers among them */
	size_t n_ports;
	struct config_port **runtime; /* sorted by name as well */
	size_t n_runtime;
	struct hmap node_by_name, tenant_by_name, network_by_name /* full name */, port_by_name, pair_by_sites;
};

void config_free(struct config *c);

struct config_node *config_node(const struct config *c, const char *name);       /* or NULL */
struct config_tenant *config_tenant(const struct config *c, const char *name);   /* or NULL */
struct config_network *config_network(const struct config *c, const char *full_name); /* "tenant/network", or NULL */
struct config_port *config_port(const struct config *c, const char *name);       /* or NULL */
/* What holds between two sites, given in any order; NULL: what the fabric says. */
struct config_pair *config_pair(const struct config *c, const struct config_site *a, const struct config_site *b);

/* The ports of both kinds in order of their names: for (struct config_walk w = {0}; (p = config_walk(c, &w));) */
struct config_walk {
	size_t at, at_runtime;
};
struct config_port *config_walk(const struct config *c, struct config_walk *w);          /* the next, or NULL */
struct config_walk config_walk_from(const struct config *c, const char *name); /* next: the first not before `name` */
size_t config_n_ports(const struct config *c);

/* A port more or less at run time, at a cost that does not depend on the number of those in the file. */
int config_add_runtime(struct config *c, struct config_port *p); /* takes p and what it owns when it returns 0 */
void config_remove_runtime(struct config *c, struct config_port *p);
void config_count_ports(struct config *c); /* those of the file, once: into the n_ports of nodes, networks, tenants */

const char *config_mode_name(enum config_mode m);             /* "l2" */
const char *config_encap_name(enum config_encap e);           /* "vxlan" */
const char *config_encryption_name(enum config_encryption e); /* "never" */
const char *config_mesh_name(enum config_mesh m);             /* "auto" */

/*
 * Who decides what is encrypted, and the only one who does: are packets of a network, or those routed in a tenant,
 * encrypted between a node and another one?  NULL is a VTEP that no file names (BGP told of it), which counts as of
 * another site.  By the network's own word, else by that of the two sites, else by the fabric's.  A tenant has one VNI
 * for all that is routed, so one network that asks for it is enough.  Both ends say the same.
 */
bool config_encrypts(const struct config *c, const struct config_network *network, const struct config_node *a,
		     const struct config_node *b);
bool config_encrypts_tenant(const struct config *c, const struct config_tenant *tenant, const struct config_node *a,
			    const struct config_node *b);
/* Is anything encrypted between the two, so that they have to have a session? */
bool config_encrypts_any(const struct config *c, const struct config_node *a, const struct config_node *b);
/*
 * Is what has this tunnel for its next hop?  By whom it belongs to; of a network or a tenant that is not there any more: when
 * anything is, between the two.
 */
bool config_encrypts_nexthop(const struct config *c, const struct config_node *self, const struct fwd_nexthop *n);

bool config_key_is_set(const struct config_key *k);
bool config_key_equal(const struct config_key *a, const struct config_key *b);
/* The file with the preshared key of two nodes, or NULL. */
const char *config_preshared_key_file(const struct config *c, const struct config_node *a, const struct config_node *b);

/* The automatic mesh: is there one, and does a node peer with the neighbor? */
bool config_has_mesh(const struct config *c);
bool config_peers(const struct config_neighbor *neighbor, const struct config_node *node);
/* What a node's router_id is when nobody gave one. */
uint32_t config_default_router_id(const struct config_node *n);
#define CONFIG_ALL_FAMILIES (ROUTE_FAMILY_BIT(ROUTE_FAMILY_MAX) - 1)
uint32_t config_default_families(const struct config_bgp *b, uint32_t remote_as);

/* Say the same, wherever in a text it stands and whether its ports came from the file or at run time. */
bool config_equal(const struct config *a, const struct config *b);
bool config_bgp_equal(const struct config *a, const struct config *b); /* `bgp`, and what else only BGP uses */

/* The address of `to` that `from` sends to: the first of to's list of a family that `from` has too, or NULL. */
const struct addr *config_path(const struct config_node *from, const struct config_node *to,
			       const struct addr **source);
/* Of a route between the two that takes `mtu`: no more than either says of its underlay. */
uint32_t config_path_mtu(const struct config_node *from, const struct config_node *to, uint32_t mtu);

/*
 * The address of `other` that a BGP session of the two has, and that of `self`: both ends choose the same, the first family
 * in the order of the one with the lower router_id that the other has too.  NULL: there is none.
 */
const struct addr *config_session(const struct config_node *self, const struct config_node *other,
				  const struct addr **source);

/* Does a BGP session of the two ride inside their tunnel?  Where they encrypt anything and both have keys. */
bool config_session_is_inside(const struct config *c, const struct config_node *a, const struct config_node *b);
const struct config_node *config_node_at(const struct config *c, const struct addr *underlay); /* or NULL */

/* The node's underlay address of a family, or NULL. */
const struct addr *config_underlay(const struct config_node *n, bool v4);

/* The tenant that lives in the underlay's address space, as one of its networks has no encapsulation; or NULL. */
const struct config_tenant *config_native(const struct config *c);

#define CONFIG_INTERFACE_SIZE 16
#define CONFIG_PEER_MTU 1500 /* of the link to a peer at most: it is somewhere in the Internet */
/* What stands for a peer at its node: a device named after it, and a MAC made of its key. */
void config_peer_interface(const char *name, char out[static CONFIG_INTERFACE_SIZE]);
void config_peer_mac(const struct config_key *key, struct mac *out);

/* The MAC of a node's router (inner destination of routed traffic), the same on every node that reads the same file. */
void config_router_mac(const struct config_node *n, struct mac *out);

#endif
