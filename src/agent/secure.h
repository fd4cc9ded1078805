/* SPDX-License-Identifier: Apache-2.0 */
/*
 * secure.h - encryption between nodes: what the configuration asks for, the tunnel that does it (wg/tunnel.h), and the
 * data plane that sends to it.
 *
 * The tunnel is there as soon as the configuration has this node's public key and another node's, whatever it says of
 * encryption: keys are handed out first, and what is encrypted is then a matter of next hops and members, under traffic.
 * Each node with a key that is not this one is a peer, and so are the plain WireGuard peers that this node has.  Without a tunnel, or for whom there is no peer, the data plane
 * drops what is to be encrypted.
 *
 * Call order: secure_new before the sandbox (locked memory); secure_start inside it, as threads are only boxed
 * in by what their maker was boxed in with; then for each change of the configuration secure_prepare before the plan is
 * made and secure_configure after, whatever became of it; secure_free.  Control thread.
 */
#ifndef ISTHMUS_AGENT_SECURE_H
#define ISTHMUS_AGENT_SECURE_H

#include "agent/agent.h"
#include "wg/tunnel.h"

struct secure;

#define SECURE_DEVICE "isthmus-secure"
#define SECURE_KEEPALIVE_S 25
#define SECURE_LAST_FILE "peers.last" /* in the state directory */

/* The key was made (key.h); there may be twice so many peers later.  0 or -ENOMEM; what else fails is told. */
int secure_new(struct agent *a, size_t peers, struct secure **out);
void secure_start(struct secure *s);
void secure_free(struct secure *s); /* NULL allowed; what is to be encrypted is dropped from now on */

void secure_prepare(struct secure *s, const struct config *next, const struct config_node *self);
void secure_configure(struct secure *s); /* as agent->config says */
void secure_check(struct secure *s);     /* twice a second */

bool secure_has_tunnel(const struct secure *s); /* NULL allowed, here and below */
/* This node's public key; false: there is none that can be used. */
bool secure_public_key(const struct secure *s, struct config_key *out);
/* What is wrong with a peer, or NULL; malloc'd nowhere: good until the next call of secure_configure. */
const char *secure_problem(const struct secure *s, const struct config_node *node);
bool secure_status(const struct secure *s, const struct config_node *node, struct tunnel_peer_status *out);
/* Who carries between the node and this one; NULL: nobody, it is reached directly or not at all. */
const struct config_node *secure_relay(const struct secure *s, const struct config_node *node);
/* Nodes that something is encrypted to, and those of them that it does not reach; false: there is no such node. */
bool secure_count(const struct secure *s, size_t *asked, size_t *down);
/* The plain WireGuard peers of this node, each a port. */
void secure_plain_follow(struct secure *s); /* sets devices up whose programs are there; NULL allowed */
const char *secure_plain_problem(const struct secure *s, const struct config_port *p);
bool secure_plain_status(const struct secure *s, const struct config_port *p, struct tunnel_peer_status *out);
/* Devices of plain peers that no port is any more; NULL: all but those that a daemon has open. */
void secure_remove_ports(struct kern *k, const struct secure *s);
/* Longest packet that is exchanged with peers of a node. */
uint16_t secure_plain_mtu(const struct agent *a, const struct config_node *node);
/*
 * What the path to a node takes, of which the kernel says `mtu`: no more than either end says of its underlay, and than was
 * measured.
 */
uint32_t secure_path_mtu(const struct agent *a, const struct config_node *node, const struct addr *remote, uint32_t mtu);
void secure_drops(const struct secure *s, uint64_t out[static TUNNEL_DROP_MAX]);

#endif
