/* SPDX-License-Identifier: Apache-2.0 */
/*
 * inside.c - the way of sockets that are bound to the device that encrypts.
 *
 *     ip address:             127.73.83.84/32 dev DEVICE
 *     ip -6 rule:             69: from all oif DEVICE lookup 4919
 *     ip -6 route, table 4919: default dev DEVICE proto 73
 *
 * A bound socket never leaves by another device, whatever becomes of these.  IPv4 takes who is not routed to the device to be on
 * its link; but it hears nobody on a device without an address, unless rp_filter is 0 everywhere.  127.0.0.0/8 is the node's own
 * anyhow, and no source of anything.  IPv6 wants a route; no other packet meets the rule, as its look-up has no such
 * device in it.  The rule names the device, and stays without effect when that goes; the others go with it.
 */
#include <errno.h>
#include <linux/fib_rules.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <string.h>

#include "kern/state.h"

#define REQUEST_SIZE 256
#define TABLE 4919
#define PREFERENCE 69 /* before those of others, who do not mean it */

static const uint8_t address[] = {127, 73, 83, 84};

static struct nlmsghdr *address_request(char *buffer, uint16_t type, uint16_t flags, uint32_t ifindex)
{
	struct nlmsghdr *h = mnl_nlmsg_put_header(buffer);
	struct ifaddrmsg *a;

	h->nlmsg_type = type;
	h->nlmsg_flags = flags;
	a = mnl_nlmsg_put_extra_header(h, sizeof(*a));
	*a = (struct ifaddrmsg){.ifa_family = AF_INET, .ifa_prefixlen = 32, .ifa_scope = RT_SCOPE_HOST, .ifa_index = ifindex};
	mnl_attr_put(h, IFA_LOCAL, sizeof(address), address);
	mnl_attr_put(h, IFA_ADDRESS, sizeof(address), address);
	return h;
}

static struct nlmsghdr *rule_request(char *buffer, uint16_t type, uint16_t flags, const char *name)
{
	struct nlmsghdr *h = mnl_nlmsg_put_header(buffer);
	struct fib_rule_hdr *f;

	h->nlmsg_type = type;
	h->nlmsg_flags = flags;
	f = mnl_nlmsg_put_extra_header(h, sizeof(*f));
	f->family = AF_INET6;
	f->action = FR_ACT_TO_TBL;
	mnl_attr_put_u32(h, FRA_TABLE, TABLE);
	mnl_attr_put_u32(h, FRA_PRIORITY, PREFERENCE);
	mnl_attr_put_u8(h, FRA_PROTOCOL, KERN_ROUTE_PROTOCOL);
	if (name)
		mnl_attr_put_strz(h, FRA_OIFNAME, name);
	return h;
}

static struct nlmsghdr *route_request(char *buffer, uint32_t ifindex)
{
	struct nlmsghdr *h = mnl_nlmsg_put_header(buffer);
	struct rtmsg *r;

	h->nlmsg_type = RTM_NEWROUTE;
	h->nlmsg_flags = NLM_F_CREATE | NLM_F_EXCL;
	r = mnl_nlmsg_put_extra_header(h, sizeof(*r));
	r->rtm_family = AF_INET6;
	r->rtm_protocol = KERN_ROUTE_PROTOCOL;
	r->rtm_type = RTN_UNICAST;
	mnl_attr_put_u32(h, RTA_TABLE, TABLE);
	mnl_attr_put_u32(h, RTA_OIF, ifindex);
	return h;
}

/* 1 made, 0 was there. */
static int add(struct kern *k, struct nlmsghdr *h)
{
	int r = rtnl_request(&k->asking, h, NULL, NULL);

	return r == -EEXIST ? 0 : r < 0 ? r : 1;
}

int kern_inside_enable(struct kern *k, const char *name, uint32_t ifindex, bool ipv6)
{
	char buffer[REQUEST_SIZE] __attribute__((aligned(4)));
	int r, changed;

	if (k->inside.ifindex == ifindex && k->inside.ipv6 == ipv6 && !k->inside.suspect)
		return 0;
	r = changed = add(k, address_request(buffer, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, ifindex));
	if (r >= 0 && ipv6) {
		r = add(k, rule_request(buffer, RTM_NEWRULE, NLM_F_CREATE | NLM_F_EXCL, name));
		changed += r > 0;
		if (r >= 0)
			r = add(k, route_request(buffer, ifindex));
		changed += r > 0;
	}
	if (r < 0)
		return r;
	k->inside = (struct inside){.ifindex = ifindex, .ipv6 = ipv6};
	return changed > 0;
}

int kern_inside_disable(struct kern *k)
{
	char buffer[REQUEST_SIZE] __attribute__((aligned(4)));
	int r;

	if (k->inside.ifindex)
		rtnl_request(&k->asking, address_request(buffer, RTM_DELADDR, 0, k->inside.ifindex), NULL, NULL);
	k->inside = (struct inside){0};
	do /* one after the other, whatever device they name */
		r = rtnl_request(&k->asking, rule_request(buffer, RTM_DELRULE, 0, NULL), NULL, NULL);
	while (r == 0);
	return r == -ENOENT || r == -EAFNOSUPPORT || r == -EOPNOTSUPP ? 0 : r;
}
