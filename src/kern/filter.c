/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/pkt_cls.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <string.h>

#include "kern/rtnl.h"
#include "lib/cleanup.h"

DEFINE_CLEANUP(mnl, struct mnl_socket *, mnl_socket_close)

struct dump {
	struct kern_filter *out;
	size_t n, length;
};

static int on_option(const struct nlattr *attribute, void *arg)
{
	struct kern_filter *f = arg;

	if (mnl_attr_get_type(attribute) == TCA_BPF_NAME && mnl_attr_validate(attribute, MNL_TYPE_NUL_STRING) == 0)
		snprintf(f->name, sizeof(f->name), "%s", mnl_attr_get_str(attribute));
	return MNL_CB_OK;
}

static int on_attribute(const struct nlattr *attribute, void *arg)
{
	if (mnl_attr_get_type(attribute) == TCA_OPTIONS)
		return mnl_attr_parse_nested(attribute, on_option, arg);
	return MNL_CB_OK;
}

static void on_filter(const struct nlmsghdr *message, struct dump *d)
{
	const struct tcmsg *tc = mnl_nlmsg_get_payload(message);
	struct kern_filter f = {0};

	if (message->nlmsg_type != RTM_NEWTFILTER || mnl_nlmsg_get_payload_len(message) < sizeof(*tc))
		return;
	if (!tc->tcm_handle) /* the chain's head, not a filter */
		return;
	f.priority = tc->tcm_info >> 16;
	mnl_attr_parse(message, sizeof(*tc), on_attribute, &f);
	if (d->length < d->n)
		d->out[d->length++] = f;
}

/* 1 = the dump is complete, 0 = more to come, -errno */
static int digest(const uint8_t *data, size_t size, unsigned sequence, struct dump *d)
{
	const struct nlmsghdr *h;
	int error = 0;

	while ((h = rtnl_next(&data, &size))) {
		if (h->nlmsg_seq != sequence)
			continue;
		if (h->nlmsg_type == NLMSG_DONE || h->nlmsg_type == NLMSG_ERROR) {
			if (mnl_nlmsg_get_payload_len(h) >= sizeof(error))
				memcpy(&error, mnl_nlmsg_get_payload(h), sizeof(error));
			return error < 0 ? error : 1;
		}
		on_filter(h, d);
	}
	return 0;
}

int kern_filters(uint32_t ifindex, bool ingress, struct kern_filter *out, size_t n)
{
	_cleanup_(mnl) struct mnl_socket *socket = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
	char buffer[32768] __attribute__((aligned(8)));
	struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
	const unsigned sequence = 1;
	struct dump dump = {.out = out, .n = n};
	struct tcmsg *tc;
	ssize_t size;
	int r = 0;

	if (!socket || mnl_socket_bind(socket, 0, MNL_SOCKET_AUTOPID) < 0)
		return -errno;
	message->nlmsg_type = RTM_GETTFILTER;
	message->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	message->nlmsg_seq = sequence;
	tc = mnl_nlmsg_put_extra_header(message, sizeof(*tc));
	tc->tcm_family = AF_UNSPEC;
	tc->tcm_ifindex = (int)ifindex;
	tc->tcm_parent = TC_H_MAKE(TC_H_CLSACT, ingress ? TC_H_MIN_INGRESS : TC_H_MIN_EGRESS);
	if (mnl_socket_sendto(socket, message, message->nlmsg_len) < 0)
		return -errno;
	while (r == 0) {
		size = mnl_socket_recvfrom(socket, buffer, sizeof(buffer));
		if (size < 0)
			return -errno;
		r = digest((const uint8_t *)buffer, (size_t)size, sequence, &dump);
	}
	if (r < 0)
		return r;
	return (int)dump.length;
}
