/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rtnl.h - rtnetlink messages to values, and a socket that asks; private to kern/.
 *
 * rtnl_next and rtnl_decode are pure functions over bytes, so that they can be fuzzed: whatever the bytes are, they
 * give a message, a value or -EBADMSG, and never read past `size`.  rtnl_request sends one request and hands every decoded
 * answer to `fn`.
 */
#ifndef ISTHMUS_KERN_RTNL_H
#define ISTHMUS_KERN_RTNL_H

#include <libmnl/libmnl.h>
#include <linux/netlink.h>

#include "kern/kern.h"

enum rtnl_kind {
	RTNL_OTHER, /* nothing that we use */
	RTNL_LINK,
	RTNL_LINK_GONE,
	RTNL_ADDRESS,
	RTNL_ADDRESS_GONE,
	RTNL_ROUTE, /* a route: the answer to RTM_GETROUTE, or a notification */
	RTNL_ROUTING_CHANGE, /* a route, rule, next hop or forwarding switch changed in a way that may move paths */
	RTNL_FILTER_GONE, /* a tc filter or clsact was removed or may have been replaced */
	RTNL_NEIGHBOUR,
};

struct rtnl_address {
	uint32_t ifindex;
	struct addr addr;
};

#define RTNL_WAYS 8

struct rtnl_way {
	struct addr gateway; /* zero = none: on link */
	uint32_t ifindex;
	bool onlink; /* the gateway need not be in a subnet of the link's */
};

struct rtnl_route {
	uint32_t ifindex;
	uint32_t mtu; /* 0 = none of its own */
	struct addr gateway, source; /* zero = none */
	bool removed, onlink;
	struct prefix to;
	uint32_t table, metric;
	uint8_t protocol, type; /* RTPROT_*, RTN_* */
	uint8_t n_ways; /* of a route with several next hops; those beyond RTNL_WAYS are not told */
	struct rtnl_way ways[RTNL_WAYS];
};

struct rtnl_neighbour {
	uint32_t ifindex;
	struct addr addr;
	uint16_t state; /* NUD_* */
	uint8_t protocol; /* who made it, NDA_PROTOCOL */
	bool managed;
};

struct rtnl_message {
	enum rtnl_kind kind;
	union {
		struct link link; /* LINK_GONE: ifindex and name */
		struct rtnl_address address;
		struct rtnl_route route;
		struct rtnl_neighbour neighbour;
		uint32_t ifindex; /* FILTER_GONE; ROUTING_CHANGE: a guard of it was opened, 0 = of none */
	};
	const struct nlattr *families; /* LINK: its settings by address family; in the bytes decoded, or NULL */
};

/*
 * The values of net.FAMILY.conf.LINK that the attribute holds, in the order of the kernel's enumeration, which has no
 * number 0 in IPv4; their number, at most n.
 */
size_t rtnl_settings(const struct nlattr *families, uint8_t family, uint32_t *out, size_t n);

/*
 * The first whole message of the bytes at *data, which are moved behind it; NULL at their end, or where a length lies.
 * (mnl_nlmsg_ok of libmnl 1.0.4 takes a length beyond 2 GiB for a negative one, which is small enough.)
 */
const struct nlmsghdr *rtnl_next(const uint8_t **data, size_t *size);

/* Decodes the message at `data` (header included). 0 or -EBADMSG */
int rtnl_decode(const void *data, size_t size, struct rtnl_message *out);

struct rtnl {
	struct mnl_socket *socket;
	uint32_t sequence;
	uint8_t *answer; /* RTNL_BUFFER_SIZE bytes: a request must not fail, and look like "no route", for want of memory */
};

#define RTNL_BUFFER_SIZE 65536

typedef void (*rtnl_fn)(void *arg, const struct rtnl_message *m);

int rtnl_open(struct rtnl *r);
void rtnl_close(struct rtnl *r);
/*
 * Sends `h` (its sequence is set here) and reads until the kernel's acknowledgement or the end of the dump; `fn` may be
 * NULL.  0; -EINTR: the dump is inconsistent, ask again; -errno of the kernel.
 */
int rtnl_request(struct rtnl *r, struct nlmsghdr *h, rtnl_fn fn, void *arg);
/* Dump of one type; repeated when it was inconsistent.  The `fn` must bear seeing an object twice. */
int rtnl_dump(struct rtnl *r, uint16_t type, uint8_t family, rtnl_fn fn, void *arg);

/* The family, the bytes and their number of an address as rtnetlink wants them. */
static inline uint8_t rtnl_family(const struct addr *a)
{
	return addr_is_v4(a) ? 2 /* AF_INET */ : 10 /* AF_INET6 */;
}
static inline const void *rtnl_bytes(const struct addr *a)
{
	return addr_is_v4(a) ? a->bytes + 12 : a->bytes;
}
static inline size_t rtnl_size(const struct addr *a)
{
	return addr_is_v4(a) ? 4 : 16;
}

#endif
