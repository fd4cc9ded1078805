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

#include "kern/feature.h"
#include "kern/state.h"

#define REQUEST_SIZE 512
#define CUT_MTU 65535
#define CUT_OUT "isthmus-cut"

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

static int link_up(struct kern *k, const char *name)
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

/* Into the table now; what the kernel will tell of it is then nothing new. */
static int link_learn(struct kern *k, const char *name)
{
	char buffer[REQUEST_SIZE] __attribute__((aligned(4)));

	return rtnl_request(&k->asking, link_request(buffer, RTM_GETLINK, 0, name, 0), on_link, k);
}

struct others {
	struct kern *kern;
	const char *keep; /* NULL: none */
	int r;
};

static bool remove_other(void *arg, const struct link *link)
{
	struct others *o = arg;
	char name[IF_NAMESIZE];
	unsigned port;
	int r;

	if (link->kind != LINK_VXLAN || sscanf(link->name, KERN_MERGE_NAME, &port) != 1 || port > UINT16_MAX)
		return true;
	snprintf(name, sizeof(name), KERN_MERGE_NAME, port);
	if (strcmp(name, link->name) != 0 || (o->keep && strcmp(name, o->keep) == 0))
		return true;
	r = link_remove(o->kern, name);
	if (r < 0 && r != -ENODEV) /* gone already, and not heard of yet */
		o->r = r;
	return true;
}

/* All devices of ours but `keep`. */
static int remove_others(struct kern *k, const char *keep)
{
	struct others o = {.kern = k, .keep = keep};

	kern_link_each(k, remove_other, &o);
	return o.r;
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
		return 0;
	remove_others(k, name);
	r = link ? 0 : link_make(k, name, port);
	if (r < 0 && r != -EEXIST) /* made by us a moment ago, and not heard of yet */
		return r;
	r = kern_port_guard(k, name);
	if (r >= 0)
		r = link_up(k, name);
	if (r < 0)
		link_remove(k, name);
	return r < 0 ? r : 1;
}

int kern_merge_disable(struct kern *k)
{
	return remove_others(k, NULL);
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

static int pair_ready(struct kern *k)
{
	static const char *const names[] = {CUT_OUT, KERN_CUT_IN};
	int r = kern_feature_switch_off(CUT_OUT, "tx-udp-segmentation");

	for (size_t i = 0; i < 2 && r >= 0; i++) {
		r = kern_port_guard(k, names[i]);
		if (r >= 0)
			r = link_up(k, names[i]);
	}
	return r;
}

uint32_t kern_cut_ifindex(const struct kern *k)
{
	const struct link *out = kern_link_by_name(k, CUT_OUT), *in = kern_link_by_name(k, KERN_CUT_IN);

	return out && in && out->up && in->up ? out->ifindex : 0;
}

int kern_cut_enable(struct kern *k)
{
	int r;

	if (kern_cut_ifindex(k))
		return 0;
	link_remove(k, CUT_OUT);
	link_remove(k, KERN_CUT_IN);
	r = pair_make(k);
	if (r < 0)
		return r;
	r = pair_ready(k);
	if (r < 0) {
		link_remove(k, CUT_OUT);
		return r;
	}
	r = link_learn(k, CUT_OUT);
	if (r >= 0)
		r = link_learn(k, KERN_CUT_IN);
	return r < 0 ? r : 1;
}

int kern_cut_disable(struct kern *k)
{
	int r = link_remove(k, CUT_OUT);

	return r == -ENODEV ? 0 : r;
}
