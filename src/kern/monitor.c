/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "kern/state.h"
#include "lib/cleanup.h"

/* A thousand ports that come up at once are some megabytes of messages. */
#define HEARING_BUFFER_SIZE (16 * 1024 * 1024)
#define DATAGRAMS_PER_READ 256 /* then the loop gets its turn */

static void on_link(struct kern *k, const struct link *link)
{
	const struct link *held;

	/* Without memory the link is found by the next dump. */
	if (links_put(&k->links, link, &held) != LINKS_CHANGED)
		return;
	routes_doubt(&k->routes); /* routes through a link that goes down go without a word */
	k->inside.suspect = true;
	if (k->callbacks.on_link)
		k->callbacks.on_link(k->arg, held);
}

static void on_link_gone(struct kern *k, uint32_t ifindex)
{
	const struct link *held = kern_link_by_index(k, ifindex);
	char name[IF_NAMESIZE];

	if (!held)
		return;
	memcpy(name, held->name, sizeof(name));
	links_remove(&k->links, ifindex);
	if (k->callbacks.on_link_gone)
		k->callbacks.on_link_gone(k->arg, ifindex, name);
}

/* Its filters and guards are to be looked at. */
static void mark(struct kern *k, uint32_t ifindex)
{
	links_mark_filter(&k->links, ifindex);
	k->filters_gone = true;
}

static void on_message(void *arg, const struct rtnl_message *m)
{
	struct kern *k = arg;

	switch (m->kind) {
	case RTNL_LINK:
		on_link(k, &m->link);
		break;
	case RTNL_LINK_GONE:
		on_link_gone(k, m->link.ifindex);
		break;
	case RTNL_ADDRESS:
		if (!links_address_put(&k->links, &m->address))
			break;
		k->routing_changed = true;
		mark(k, m->address.ifindex); /* on a port: IPv6 was switched on */
		break;
	case RTNL_ADDRESS_GONE:
		k->inside.suspect = true;
		k->routing_changed |= links_address_remove(&k->links, &m->address);
		break;
	case RTNL_ROUTE:
		k->inside.suspect |= m->route.removed;
		k->routing_changed |= !routes_hear(&k->routes, &m->route);
		break;
	case RTNL_ROUTING_CHANGE:
		k->inside.suspect = true;
		k->routing_changed = true;
		if (m->ifindex)
			mark(k, m->ifindex);
		break;
	case RTNL_FILTER_GONE:
		mark(k, m->ifindex);
		break;
	case RTNL_NEIGHBOUR:
	case RTNL_OTHER:
		break;
	}
}

/* Everything anew.  What the dump does not mention is gone, unless the dump itself is not to be trusted. */
static int resync(struct kern *k)
{
	const struct link *link;
	int r;

	links_round_begin(&k->links);
	r = rtnl_dump(&k->asking, RTM_GETLINK, AF_UNSPEC, on_message, k);
	if (r == 0) {
		for (size_t i = 0; (link = links_sweep(&k->links, &i));)
			on_link_gone(k, link->ifindex);
	}
	if (r == 0 || r == -EINTR)
		r = rtnl_dump(&k->asking, RTM_GETADDR, AF_UNSPEC, on_message, k);
	if (r == 0)
		k->routing_changed |= links_address_sweep(&k->links);
	return r == -EINTR ? 0 : r;
}

static void tell(struct kern *k)
{
	const struct link *link;

	if (k->filters_gone) {
		k->filters_gone = false;
		for (size_t i = 0; (link = links_take_filter(&k->links, &i));) {
			if (k->callbacks.on_filter_gone)
				k->callbacks.on_filter_gone(k->arg, link->ifindex);
		}
	}
	if (k->routing_changed) {
		k->routing_changed = false;
		routes_doubt(&k->routes);
		if (k->callbacks.on_route_change)
			k->callbacks.on_route_change(k->arg);
	}
}

static bool mark_filter(void *arg, const struct link *link)
{
	links_mark_filter(arg, link->ifindex);
	return true;
}

/* Notifications were lost: look at everything, and have every filter looked at. */
static int recover(struct kern *k)
{
	int r = resync(k);

	kern_link_each(k, mark_filter, &k->links);
	k->filters_gone = true;
	k->routing_changed = true;
	k->inside.suspect = true;
	return r;
}

static int open_hearing(struct mnl_socket **out)
{
	static const int groups[] = {
		RTNLGRP_LINK,         RTNLGRP_TC,         RTNLGRP_NEXTHOP,
		RTNLGRP_IPV4_IFADDR,  RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV4_RULE, RTNLGRP_IPV4_NETCONF,
		RTNLGRP_IPV6_IFADDR,  RTNLGRP_IPV6_ROUTE, RTNLGRP_IPV6_RULE, RTNLGRP_IPV6_NETCONF,
	};
	int size = HEARING_BUFFER_SIZE;
	struct mnl_socket *s = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC | SOCK_NONBLOCK);
	int r;

	if (!s)
		return -errno;
	if (mnl_socket_bind(s, 0, MNL_SOCKET_AUTOPID) < 0)
		goto fail;
	/* Needs CAP_NET_ADMIN; without it the default size is lost sooner, and ENOBUFS leads to a new dump. */
	if (setsockopt(mnl_socket_get_fd(s), SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) < 0)
		setsockopt(mnl_socket_get_fd(s), SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	for (size_t i = 0; i < sizeof(groups) / sizeof(*groups); i++) {
		int group = groups[i];

		/* -EINVAL: a family that this kernel does not have (booted with IPv6 off) */
		if (mnl_socket_setsockopt(s, NETLINK_ADD_MEMBERSHIP, &group, sizeof(group)) < 0 && errno != EINVAL)
			goto fail;
	}
	*out = s;
	return 0;
fail:
	r = -errno;
	mnl_socket_close(s);
	return r;
}

void kern_close(struct kern *k)
{
	if (!k)
		return;
	links_fini(&k->links);
	routes_fini(&k->routes);
	rtnl_close(&k->asking);
	if (k->hearing)
		mnl_socket_close(k->hearing);
	free(k);
}

DEFINE_CLEANUP(kern, struct kern *, kern_close)

int kern_open(const struct kern_callbacks *callbacks, void *arg, struct kern **out)
{
	_cleanup_(kern) struct kern *k = calloc(1, sizeof(*k));
	int r;

	if (!k)
		return -ENOMEM;
	links_init(&k->links);
	routes_init(&k->routes);
	/* Heard first, asked second: a change in between is told twice rather than never. */
	r = open_hearing(&k->hearing);
	if (r < 0)
		return r;
	r = rtnl_open(&k->asking);
	if (r < 0)
		return r;
	r = resync(k);
	if (r < 0)
		return r;
	k->routing_changed = false;
	k->filters_gone = false;
	if (callbacks)
		k->callbacks = *callbacks;
	k->arg = arg;
	*out = TAKE_PTR(k);
	return 0;
}

int kern_fd(const struct kern *k)
{
	return mnl_socket_get_fd(k->hearing);
}

static void digest(struct kern *k, const uint8_t *data, size_t size)
{
	const struct nlmsghdr *h;

	while ((h = rtnl_next(&data, &size))) {
		struct rtnl_message m;

		if (rtnl_decode(h, h->nlmsg_len, &m) == 0)
			on_message(k, &m);
	}
}

int kern_read(struct kern *k)
{
	_cleanup_(free) uint8_t *buffer = malloc(RTNL_BUFFER_SIZE);
	bool lost = false;
	int r = 0;

	if (!buffer)
		return -ENOMEM;
	for (unsigned i = 0; i < DATAGRAMS_PER_READ; i++) {
		ssize_t size = mnl_socket_recvfrom(k->hearing, buffer, RTNL_BUFFER_SIZE);

		if (size >= 0) {
			digest(k, buffer, (size_t)size);
			continue;
		}
		if (errno == EINTR)
			continue;
		if (errno == EAGAIN)
			break;
		if (errno != ENOBUFS && errno != ENOSPC /* did not fit our buffer: as good as lost */) {
			r = -errno;
			break;
		}
		lost = true;
	}
	if (lost)
		r = recover(k);
	tell(k);
	return r;
}

/* Counters only: a change has a notification of its own, which must find the old state to be seen as a change. */
static void on_counters(void *arg, const struct rtnl_message *m)
{
	struct kern *k = arg;

	if (m->kind == RTNL_LINK)
		links_count(&k->links, &m->link);
}

int kern_links_refresh(struct kern *k)
{
	int r = rtnl_dump(&k->asking, RTM_GETLINK, AF_UNSPEC, on_counters, k);

	return r == -EINTR ? 0 : r;
}
