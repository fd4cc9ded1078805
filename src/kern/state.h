/* SPDX-License-Identifier: Apache-2.0 */
/*
 * state.h - what a kern holds; private to kern/.
 *
 * monitor.c fills it and calls back, link.c keeps the links and addresses, path.c asks.
 */
#ifndef ISTHMUS_KERN_STATE_H
#define ISTHMUS_KERN_STATE_H

#include "kern/rtnl.h"
#include "lib/hmap.h"

struct links {
	struct hmap by_index, by_name;
	struct hmap addresses;
	uint32_t round; /* of dumps: what a new one does not mention is gone */
};

struct routes {
	struct hmap by_prefix, hops;
	uint32_t round;   /* of what is known of the ways to hops */
	bool suspect;     /* the kernel's may be others than ours */
	unsigned audits;  /* since all were looked at */
};

struct inside {
	uint32_t ifindex;   /* for which it is so, 0 = for none */
	bool ipv6, suspect; /* others may have changed it */
};

struct kern {
	struct rtnl asking;         /* requests and their answers */
	struct mnl_socket *hearing; /* notifications */
	struct links links;
	struct routes routes;
	struct inside inside;
	struct kern_callbacks callbacks;
	void *arg;
	/* gathered during one kern_read, told once at its end */
	bool routing_changed;
	bool filters_gone;
};

void routes_init(struct routes *r);
void routes_fini(struct routes *r);
/* A notification.  True when it is about a route of ours, or one in the place of one. */
bool routes_hear(struct routes *r, const struct rtnl_route *route);
/* Routes, links or addresses changed: the ways to the hops may be others now. */
void routes_doubt(struct routes *r);

enum links_change {
	LINKS_SAME, /* counters at most */
	LINKS_CHANGED,
};

void links_init(struct links *l);
void links_fini(struct links *l);
/* LINKS_*, or -ENOMEM.  `out` is the link as held now. */
int links_put(struct links *l, const struct link *link, const struct link **out);
void links_count(struct links *l, const struct link *link); /* takes over the counters of a known link */
/* False when there was none. */
bool links_remove(struct links *l, uint32_t ifindex);
/* A new dump begins; afterwards links_sweep gives, one by one, the links that it did not mention (cursor from 0). */
void links_round_begin(struct links *l);
const struct link *links_sweep(struct links *l, size_t *cursor);

void links_mark_filter(struct links *l, uint32_t ifindex);
/* The next marked link, its mark cleared; NULL = no more. */
const struct link *links_take_filter(struct links *l, size_t *cursor);

/* True when this changes anything. */
bool links_address_put(struct links *l, const struct rtnl_address *a);
bool links_address_remove(struct links *l, const struct rtnl_address *a);
bool links_address_sweep(struct links *l);

#endif
