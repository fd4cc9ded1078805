/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kern.h - what this node's kernel has and says: links, addresses, routes to VTEPs, changes as they happen.
 *
 * rtnetlink through libmnl.  kern_open dumps links and addresses and joins the notification groups; the caller watches
 * kern_fd and calls kern_read when it is readable; lost notifications (ENOBUFS) lead to a new dump by itself.  The kern
 * owns its link table; pointers to links are valid until the next kern_read.  Control thread.
 */
#ifndef ISTHMUS_KERN_H
#define ISTHMUS_KERN_H

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/addr.h"
#include "model/fwd.h"

struct kern;

enum link_kind {
	LINK_OTHER, /* a NIC, or a kind that we do not treat specially */
	LINK_VETH,
	LINK_TUN, /* tap */
	LINK_LOOPBACK,
	LINK_VXLAN, /* the kernel's tunnels; one may be ours, see kern_merge_enable */
};

struct link {
	uint32_t ifindex;
	char name[IF_NAMESIZE];
	enum link_kind kind;
	uint32_t mtu;
	bool up;         /* IFF_UP */
	bool running;    /* IFF_RUNNING / carrier */
	bool peer_away;  /* veth: the other end is in another namespace */
	uint32_t master; /* ifindex of a bridge or bond, 0 = none */
	struct mac mac;
	uint64_t rx_packets, rx_bytes, tx_packets, tx_bytes; /* IFLA_STATS64 of the last dump or notification */
};

struct kern_callbacks {
	void (*on_link)(void *arg, const struct link *link);                      /* new or changed */
	void (*on_link_gone)(void *arg, uint32_t ifindex, const char *name);
	void (*on_filter_gone)(void *arg, uint32_t ifindex); /* or changed, or a guard of it opened: look */
	void (*on_route_change)(void *arg); /* routes, addresses or forwarding changed: paths, kern_fib_enable */
};

int kern_open(const struct kern_callbacks *callbacks, void *arg, struct kern **out);
void kern_close(struct kern *k);
int kern_fd(const struct kern *k);
int kern_read(struct kern *k); /* drains notifications, calls back; 0 or -errno */

const struct link *kern_link_by_name(const struct kern *k, const char *name);
const struct link *kern_link_by_index(const struct kern *k, uint32_t ifindex);
void kern_link_each(const struct kern *k, bool (*fn)(void *arg, const struct link *link), void *arg);
int kern_link_learn(struct kern *k, const char *name); /* into the table now, before the kernel tells; 0 or -errno */
int kern_link_up(struct kern *k, const char *name); /* 0 or -errno */
int kern_links_remove(struct kern *k, const char *const *names, size_t n); /* at once; those that are gone are ignored */
int kern_links_refresh(struct kern *k); /* dump again: counters */

/* The interface that holds an address, or NULL. */
const struct link *kern_link_with_address(const struct kern *k, const struct addr *a);

struct kern_path { /* RTM_GETROUTE */
	uint32_t ifindex;
	uint32_t mtu; /* of the route, else of the interface */
	struct addr gateway; /* zero = on link */
	struct addr source;
};
/* How the kernel would send to `to` from `from`: 0, -ENETUNREACH, -errno */
int kern_path(struct kern *k, const struct addr *to, const struct addr *from, struct kern_path *out);

/* ---- route.c: host routes that are kept in the kernel's main table ---- */

/* Routes with this protocol number (ip route show proto 73) are ours, and no others are touched. */
#define KERN_ROUTE_PROTOCOL 73

/*
 * 1 written, 0 was so, or no next hop can be reached just now: then it is written when one can.  -EEXIST: a route that
 * is not ours is in the way; the audit tries again, until it is deleted.  What a former life left is taken over.
 */
int kern_route_put(struct kern *k, const struct fwd_route *route);
int kern_route_del(struct kern *k, const struct prefix *to); /* 1 removed, 0 there was none */
const char *kern_route_error(void); /* of the last call that failed, for people */

/* Full state: what is put between the two stays, what is of ours beside that goes with the end; the number of them. */
int kern_routes_begin(struct kern *k);
int kern_routes_end(struct kern *k);
void kern_routes_keep(struct kern *k); /* ends it with everything kept */

/*
 * Follows the kernel's own routes to the next hops, and puts right what others removed or changed: when the kernel told of
 * something, or it has not been looked at for long.  The number of those that had been changed; -EEXIST: something is in
 * the way of a route.
 */
int kern_routes_audit(struct kern *k);
int kern_routes_remove(struct kern *k); /* all of ours, for a teardown; their number */
size_t kern_routes_length(const struct kern *k);

/* Keep the underlay neighbour of a path resolved, so that the first packet finds it (NTF_MANAGED, else NTF_USE). */
int kern_neighbour_keep(struct kern *k, uint32_t ifindex, const struct addr *next_hop);
/* Does who has that address, on the link itself, answer ARP or neighbour solicitations?  False: not of late, or not known. */
bool kern_neighbour_answers(struct kern *k, uint32_t ifindex, const struct addr *a);
int kern_neighbours_release(struct kern *k); /* all of ours go back to the kernel's own care; for a teardown */

/*
 * A workload's interface must never reach the node's own stack: should our program be torn off it, the kernel drops
 * what comes in (no IPv6, strict reverse path filter, no forwarding, no ARP).  Also the inverse, for `port del`.
 * The number of settings that had to be changed, or -errno.
 */
int kern_port_guard(const struct kern *k, const char *name);
/* Asks for all of it at once: 1 = it is so, 0 = not, -errno.  A tenth of the price of kern_port_guard. */
int kern_port_is_guarded(struct kern *k, uint32_t ifindex);
int kern_port_unguard(const struct kern *k, const char *name);

/* ---- inside.c: sockets of the node's own that are bound to the device that encrypts ---- */

/* As kern_port_guard, but such sockets are heard, of IPv6 where it is asked for. */
int kern_inside_guard(struct kern *k, const char *name, bool ipv6);
/*
 * What they send and get goes by that device: an address of no use to anybody else, and for IPv6 a rule that nothing but them
 * meets, and a table with one route.  Looks only when the kernel told of rules, routes, addresses or links since the last
 * time.  1 made so, 0 was so, -errno.
 */
int kern_inside_enable(struct kern *k, const char *name, uint32_t ifindex, bool ipv6);
int kern_inside_disable(struct kern *k); /* 0 also where there is nothing */

/* ---- filter.c: who looks at packets before or beside us, for people ---- */

struct kern_filter {
	uint32_t priority;
	char name[64]; /* "port_ingress:[17]", "" when it is not BPF */
};
/* The filters of a link's clsact in their order: the number of them, at most n; -errno. Needs no struct kern. */
int kern_filters(uint32_t ifindex, bool ingress, struct kern_filter *out, size_t n);

/* ---- firewall.c: rules of nftables that drop a port, for people ---- */

struct kern_rule {
	const char *family; /* "inet" */
	char table[128], chain[128];
	uint64_t handle; /* for nft delete rule */
};
/* Every rule that compares a port with this one and drops or rejects: 0 or -errno (no nftables). Needs no struct kern. */
int kern_rules_dropping(uint16_t port, void (*fn)(void *arg, const struct kern_rule *rule), void *arg);

/* lo forwards (and nothing else): bpf_fib_lookup answers only for an ingress device that may. 1 changed, 0 was so. */
int kern_fib_enable(const struct kern *k);
int kern_fib_disable(const struct kern *k); /* back to what conf/all says; for a teardown */

/*
 * The kernel merges TCP segments inside VXLAN packets to `port` that arrive (device.c). 1 made so, 0 was so;
 * -EADDRINUSE: somebody has another device on the port, which does the same; -EOPNOTSUPP: the kernel has no VXLAN, or is
 * older than 5.18.
 */
#define KERN_MERGE_NAME "isthmus%u" /* the device's, with the port */
int kern_merge_enable(struct kern *k, uint16_t port);
int kern_merge_disable(struct kern *k, uint16_t port); /* 0: of all ports, for a teardown */

/*
 * A pair of veths that cuts super-packets of UDP into datagrams: what is sent to the device kern_cut_ifindex comes in at
 * KERN_CUT_IN. 1 made so, and in the table of links; 0 was so; -errno.
 */
#define KERN_CUT_IN "isthmus-cut-in"
int kern_cut_enable(struct kern *k);
int kern_cut_disable(struct kern *k); /* for a teardown */
uint32_t kern_cut_ifindex(const struct kern *k); /* 0: there is none */
bool kern_cut_brings(const struct kern *k, uint32_t ifindex); /* is this KERN_CUT_IN? */

#endif
