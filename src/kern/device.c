/* SPDX-License-Identifier: Apache-2.0 */
/*
 * device.c - devices of the kernel's that the data plane leans on.  They carry no traffic of the node's own, and are
 * guarded as ports are.
 *
 * Merging: a VXLAN device, for what comes with it.  While one is up on a port, the kernel merges the TCP segments inside
 * tunnel packets of that port into super-packets before any program sees them (GRO), and tells NICs which port carries
 * tunnels.  Our program takes every tunnel packet before the stack does; should that be torn off, the device has no VNI
 * to accept (vnifilter, kernel 5.18).  Its name is the port's, so that a daemon that comes later knows it for what it is.
 *
 * Cutting: a pair of veths, the first without segmentation offload.  A super-packet of UDP datagrams keeps the marks of
 * its tunnel when the headers are off (no helper of BPF takes them away), and UDP, unlike TCP, then cuts it wrongly.  So
 * wire_ingress sends it through here as it came, and gets it back as the packets that a smaller wire would have carried.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

#include "kern/feature.h"
#include "kern/state.h"

#define REQUEST_SIZE 512
#define REMOVED_GROUP 0x69737468 /* of devices, and of ours alone: who is put into it is about to be removed */
#define CUT_MTU 65535
#define CUT_OUT "isthmus-cut"
#define FEATURE "tx-udp-segmentation"

static struct nlmsghdr *link_request(char *buffer, uint16_t type, uint16_t flags, const char *name, uint32_t up)
{
	struct nlmsghdr *h = mnl_nlmsg_put_header(buffer);
	struct ifinfomsg *i;

	h->nlmsg_type = type;
	h->nlmsg_flags = flags;
	i = mnl_nlmsg_put_extra_header(h, sizeof(*i));
	i->ifi_flags = i->ifi_change = up;
	mnl_attr_put_strz(h, IFLA_IFNAME, name);
	return h;
}

static int link_make(struct kern *k, const char *name, uint16_t port)
{
	char buffer[REQUEST_SIZE] __attribute__((aligned(4)));
	struct nlmsghdr *h = link_request(buffer, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, name, 0);
	struct nlattr *info = mnl_attr_nest_start(h, IFLA_LINKINFO), *data;

	mnl_attr_put_strz(h, IFLA_INFO_KIND, "vxlan");
	data = mnl_attr_nest_start(h, IFLA_INFO_DATA);
	mnl_attr_put_u16(h, IFLA_VXLAN_PORT, htons(port));
	mnl_attr_put_u8(h, IFLA_VXLAN_LEARNING, 0);
	mnl_attr_put_u8(h, IFLA_VXLAN_COLLECT_METADATA, 1);
	mnl_attr_put_u8(h, IFLA_VXLAN_VNIFILTER, 1);
	mnl_attr_put_u8(h, IFLA_VXLAN_UDP_ZERO_CSUM6_RX, 1);
	mnl_attr_nest_end(h, data);
	mnl_attr_nest_end(h, info);
	return rtnl_request(&k->asking, h, NULL, NULL);
}

int kern_link_up(struct kern *k, const char *name)
{
	char buffer[REQUEST_SIZE] __attribute__((aligned(4)));

	return rtnl_request(&k->asking, link_request(buffer, RTM_NEWLINK, 0, name, IFF_UP), NULL, NULL);
}

static int link_remove(struct kern *k, const char *name)
{
	char buffer[REQUEST_SIZE] __attribute__((aligned(4)));

	return rtnl_request(&k->asking, link_request(buffer, RTM_DELLINK, 0, name, 0), NULL, NULL);
}

static void on_link(void *arg, const struct rtnl_message *m)
{
	struct kern *k = arg;
	const struct link *held;

	if (m->kind == RTNL_LINK)
		links_put(&k->links, &m->link, &held);
}

int kern_link_learn(struct kern *k, const char *name)
{
	char buffer[REQUEST_SIZE] __attribute__((aligned(4)));

	return rtnl_request(&k->asking, link_request(buffer, RTM_GETLINK, 0, name, 0), on_link, k);
}

/* One lock, one wait for readers, for all of them: one by one a thousand take twenty seconds. */
int kern_links_remove(struct kern *k, const char *const *names, size_t n)
{
	char buffer[REQUEST_SIZE] __attribute__((aligned(4)));
	struct nlmsghdr *h;
	int r = 0;

	for (size_t i = 0; r == 0 && i < n; i++) {
		h = link_request(buffer, RTM_SETLINK, 0, names[i], 0);
		mnl_attr_put_u32(h, IFLA_GROUP, REMOVED_GROUP);
		r = rtnl_request(&k->asking, h, NULL, NULL);
		if (r == -ENODEV)
			r = 0;
	}
	if (r < 0)
		return r;
	h = mnl_nlmsg_put_header(buffer);
	h->nlmsg_type = RTM_DELLINK;
	mnl_nlmsg_put_extra_header(h, sizeof(struct ifinfomsg));
	mnl_attr_put_u32(h, IFLA_GROUP, REMOVED_GROUP);
	r = rtnl_request(&k->asking, h, NULL, NULL);
	return r == -ENODEV ? 0 : r;
}

struct removing {
	struct kern *kern;
	uint16_t port; /* 0: all */
	int r;
};

static bool remove_one(void *arg, const struct link *link)
{
	struct removing *o = arg;
	char name[IF_NAMESIZE];
	unsigned port;
	int r;

	if (link->kind != LINK_VXLAN || sscanf(link->name, KERN_MERGE_NAME, &port) != 1 || port > UINT16_MAX)
		return true;
	snprintf(name, sizeof(name), KERN_MERGE_NAME, port);
	if (strcmp(name, link->name) != 0 || (o->port && o->port != port))
		return true;
	r = link_remove(o->kern, name);
	if (r < 0 && r != -ENODEV) /* gone already, and not heard of yet */
		o->r = r;
	return true;
}

int kern_merge_disable(struct kern *k, uint16_t port)
{
	struct removing o = {.kern = k, .port = port};

	kern_link_each(k, remove_one, &o);
	return o.r;
}

/* An older kernel passes over the attribute, and such a device would take what comes for any VNI. */
static bool has_vnifilter(void)
{
	struct utsname name;
	unsigned major, minor;

	return uname(&name) == 0 && sscanf(name.release, "%u.%u", &major, &minor) == 2 &&
	       (major > 5 || (major == 5 && minor >= 18));
}

int kern_merge_enable(struct kern *k, uint16_t port)
{
	const struct link *link;
	char name[IF_NAMESIZE];
	int r;

	snprintf(name, sizeof(name), KERN_MERGE_NAME, port);
	link = kern_link_by_name(k, name);
	if (link && link->kind != LINK_VXLAN)
		return -EEXIST;
	if (link && link->up)
		return kern_port_guard(k, name) > 0;
	if (!has_vnifilter())
		return -EOPNOTSUPP;
	r = link ? 0 : link_make(k, name, port);
	if (r < 0 && r != -EEXIST) /* made by us a moment ago, and not heard of yet */
		return r;
	r = kern_port_guard(k, name);
	if (r >= 0)
		r = kern_link_up(k, name);
	if (r < 0)
		link_remove(k, name);
	return r < 0 ? r : 1;
}


/* ---- cutting ----------------------------------------------------------------------------------------------------- */

static int pair_make(struct kern *k)
{
	char buffer[REQUEST_SIZE] __attribute__((aligned(4)));
	struct nlmsghdr *h = link_request(buffer, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, CUT_OUT, 0);
	struct nlattr *info, *data, *peer;
	struct ifinfomsg *i;

	mnl_attr_put_u32(h, IFLA_MTU, CUT_MTU);
	info = mnl_attr_nest_start(h, IFLA_LINKINFO);
	mnl_attr_put_strz(h, IFLA_INFO_KIND, "veth");
	data = mnl_attr_nest_start(h, IFLA_INFO_DATA);
	peer = mnl_attr_nest_start(h, VETH_INFO_PEER);
	i = mnl_nlmsg_put_extra_header(h, sizeof(*i));
	*i = (struct ifinfomsg){0};
	mnl_attr_put_strz(h, IFLA_IFNAME, KERN_CUT_IN);
	mnl_attr_put_u32(h, IFLA_MTU, CUT_MTU);
	mnl_attr_nest_end(h, peer);
	mnl_attr_nest_end(h, data);
	mnl_attr_nest_end(h, info);
	return rtnl_request(&k->asking, h, NULL, NULL);
}

static const char *const pair[] = {CUT_OUT, KERN_CUT_IN};

/* How many settings had to be written. */
static int guard_pair(struct kern *k)
{
	int changed = 0;

	for (size_t i = 0; i < 2; i++) {
		int r = kern_port_guard(k, pair[i]);

		if (r < 0)
			return r;
		changed += r;
	}
	return changed;
}

static int pair_ready(struct kern *k)
{
	int r = kern_feature_switch_off(CUT_OUT, FEATURE);

	if (r >= 0)
		r = guard_pair(k);
	for (size_t i = 0; i < 2 && r >= 0; i++)
		r = kern_link_up(k, pair[i]);
	return r < 0 ? r : 1;
}

static bool is_cutter(const struct link *link)
{
	return link && link->kind == LINK_VETH && link->up && link->mtu == CUT_MTU;
}

uint32_t kern_cut_ifindex(const struct kern *k)
{
	const struct link *out = kern_link_by_name(k, CUT_OUT);

	return is_cutter(out) && is_cutter(kern_link_by_name(k, KERN_CUT_IN)) ? out->ifindex : 0;
}

bool kern_cut_brings(const struct kern *k, uint32_t ifindex)
{
	const struct link *in = kern_link_by_name(k, KERN_CUT_IN);

	return in && in->ifindex == ifindex;
}

int kern_cut_enable(struct kern *k)
{
	int r;

	if (kern_cut_ifindex(k))
		return kern_feature_is_off(CUT_OUT, FEATURE) ? guard_pair(k) : pair_ready(k);
	for (size_t i = 0; i < 2; i++) {
		const struct link *link = kern_link_by_name(k, pair[i]);

		if (link && link->kind != LINK_VETH)
			return -EEXIST;
		link_remove(k, pair[i]);
	}
	r = pair_make(k);
	if (r < 0)
		return r;
	r = pair_ready(k);
	if (r < 0) {
		link_remove(k, CUT_OUT);
		return r;
	}
	r = kern_link_learn(k, CUT_OUT);
	if (r >= 0)
		r = kern_link_learn(k, KERN_CUT_IN);
	return r < 0 ? r : 1;
}

int kern_cut_disable(struct kern *k)
{
	int r = link_remove(k, CUT_OUT);

	return r == -ENODEV ? 0 : r;
}
