/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>

#include "kern/state.h"

/* Marks the neighbours that are kept because of us; kernel and well-known daemons use numbers below 200. */
#define NEIGHBOUR_PROTOCOL 0x69 /* "i" */

#define REQUEST_SIZE 256

static void on_route(void *arg, const struct rtnl_message *m)
{
	struct rtnl_message *answer = arg;

	if (m->kind == RTNL_ROUTE)
		*answer = *m;
}

static void on_one_link(void *arg, const struct rtnl_message *m)
{
	struct link *link = arg;

	if (m->kind == RTNL_LINK)
		*link = m->link;
}

/* The link table may lag behind the route that names a new link. */
static uint32_t link_mtu(struct kern *k, uint32_t ifindex)
{
	const struct link *held = kern_link_by_index(k, ifindex);
	char buffer[REQUEST_SIZE] __attribute__((aligned(4)));
	struct nlmsghdr *h = mnl_nlmsg_put_header(buffer);
	struct link link = {0};
	struct ifinfomsg *i;

	if (held)
		return held->mtu;
	h->nlmsg_type = RTM_GETLINK;
	i = mnl_nlmsg_put_extra_header(h, sizeof(*i));
	i->ifi_index = (int)ifindex;
	return rtnl_request(&k->asking, h, on_one_link, &link) < 0 ? 0 : link.mtu;
}

int kern_path(struct kern *k, const struct addr *to, const struct addr *from, struct kern_path *out)
{
	char buffer[REQUEST_SIZE] __attribute__((aligned(4)));
	struct nlmsghdr *h = mnl_nlmsg_put_header(buffer);
	struct rtnl_message answer = {.kind = RTNL_OTHER};
	struct rtmsg *route;
	uint32_t mtu;
	int r;

	h->nlmsg_type = RTM_GETROUTE;
	route = mnl_nlmsg_put_extra_header(h, sizeof(*route));
	route->rtm_family = rtnl_family(to);
	route->rtm_dst_len = (uint8_t)(rtnl_size(to) * 8);
	mnl_attr_put(h, RTA_DST, rtnl_size(to), rtnl_bytes(to));
	if (from && !addr_is_unspecified(from) && addr_is_v4(from) == addr_is_v4(to)) {
		route->rtm_src_len = (uint8_t)(rtnl_size(from) * 8);
		mnl_attr_put(h, RTA_SRC, rtnl_size(from), rtnl_bytes(from));
	}
	r = rtnl_request(&k->asking, h, on_route, &answer);
	if (r < 0)
		return r;
	if (answer.kind != RTNL_ROUTE || answer.route.ifindex == 0)
		return -ENETUNREACH;

	/* A route may carry a smaller size (also one that the kernel learned from "too big"), never a larger one. */
	mtu = link_mtu(k, answer.route.ifindex);
	if (answer.route.mtu && (answer.route.mtu < mtu || mtu == 0))
		mtu = answer.route.mtu;
	*out = (struct kern_path){
		.ifindex = answer.route.ifindex,
		.mtu = mtu,
		.gateway = answer.route.gateway,
		.source = addr_is_unspecified(&answer.route.source) && from ? *from : answer.route.source,
	};
	return 0;
}

/* ---- neighbours -------------------------------------------------------------------------------------------------- */

static struct nlmsghdr *neighbour_request(char *buffer, uint16_t type, uint32_t ifindex, const struct addr *a,
					  struct ndmsg **message)
{
	struct nlmsghdr *h = mnl_nlmsg_put_header(buffer);
	struct ndmsg *n;

	h->nlmsg_type = type;
	n = mnl_nlmsg_put_extra_header(h, sizeof(*n));
	n->ndm_family = rtnl_family(a);
	n->ndm_ifindex = (int)ifindex;
	mnl_attr_put(h, NDA_DST, rtnl_size(a), rtnl_bytes(a));
	*message = n;
	return h;
}

static void on_neighbour(void *arg, const struct rtnl_message *m)
{
	struct rtnl_neighbour *n = arg;

	if (m->kind == RTNL_NEIGHBOUR)
		*n = m->neighbour;
}

/*
 * NTF_USE makes the kernel resolve now, NTF_EXT_MANAGED (5.16) again and again; an older kernel ignores the attribute
 * it does not know, and the entry is resolved this once.
 */
static int neighbour_set(struct kern *k, uint32_t ifindex, const struct addr *a, uint8_t protocol, uint32_t flags)
{
	char buffer[REQUEST_SIZE] __attribute__((aligned(4)));
	struct ndmsg *n;
	struct nlmsghdr *h = neighbour_request(buffer, RTM_NEWNEIGH, ifindex, a, &n);

	h->nlmsg_flags = NLM_F_CREATE | NLM_F_REPLACE;
	n->ndm_state = NUD_NONE;
	n->ndm_flags = NTF_USE;
	mnl_attr_put_u8(h, NDA_PROTOCOL, protocol);
	if (flags)
		mnl_attr_put_u32(h, NDA_FLAGS_EXT, flags);
	return rtnl_request(&k->asking, h, NULL, NULL);
}

int kern_neighbour_keep(struct kern *k, uint32_t ifindex, const struct addr *next_hop)
{
	char buffer[REQUEST_SIZE] __attribute__((aligned(4)));
	struct rtnl_neighbour held = {0};
	struct ndmsg *n;
	struct nlmsghdr *h = neighbour_request(buffer, RTM_GETNEIGH, ifindex, next_hop, &n);
	int r;

	r = rtnl_request(&k->asking, h, on_neighbour, &held);
	if (r < 0 && r != -ENOENT)
		return r;
	/* A fixed entry of the administrator's would lose its state to ours, and needs no keeping. */
	if (r == 0 && (held.managed || (held.state & (NUD_PERMANENT | NUD_NOARP))))
		return 0;
	r = neighbour_set(k, ifindex, next_hop, NEIGHBOUR_PROTOCOL, NTF_EXT_MANAGED);
	if (r == -EINVAL || r == -EOPNOTSUPP)
		r = neighbour_set(k, ifindex, next_hop, NEIGHBOUR_PROTOCOL, 0);
	return r;
}

bool kern_neighbour_answers(struct kern *k, uint32_t ifindex, const struct addr *a)
{
	char buffer[REQUEST_SIZE] __attribute__((aligned(4)));
	struct rtnl_neighbour held = {0};
	struct ndmsg *n;
	struct nlmsghdr *h = neighbour_request(buffer, RTM_GETNEIGH, ifindex, a, &n);

	return rtnl_request(&k->asking, h, on_neighbour, &held) == 0 &&
	       (held.state & (NUD_REACHABLE | NUD_STALE | NUD_DELAY | NUD_PROBE));
}

struct ours {
	struct rtnl_neighbour *list;
	size_t length, capacity;
};

static void on_kept(void *arg, const struct rtnl_message *m)
{
	struct ours *o = arg;

	if (m->kind != RTNL_NEIGHBOUR || m->neighbour.protocol != NEIGHBOUR_PROTOCOL)
		return;
	if (o->length == o->capacity) {
		size_t capacity = o->capacity ? 2 * o->capacity : 64;
		struct rtnl_neighbour *list = reallocarray(o->list, capacity, sizeof(*list));

		if (!list)
			return;
		o->list = list;
		o->capacity = capacity;
	}
	o->list[o->length++] = m->neighbour;
}

int kern_neighbours_release(struct kern *k)
{
	struct ours o = {0};
	int r = rtnl_dump(&k->asking, RTM_GETNEIGH, AF_UNSPEC, on_kept, &o);

	/* Handed back rather than removed: the host itself may be talking through it. */
	for (size_t i = 0; r == 0 && i < o.length; i++) {
		int error = neighbour_set(k, o.list[i].ifindex, &o.list[i].addr, RTPROT_UNSPEC, 0);

		if (error < 0 && error != -ENOENT && error != -ENODEV)
			r = error;
	}
	free(o.list);
	return r;
}
