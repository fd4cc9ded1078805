/* SPDX-License-Identifier: Apache-2.0 */
#include "kern/rtnl.h"

#include <errno.h>
#include <linux/if_addr.h>
#include <linux/if_arp.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/netconf.h>
#include <linux/nexthop.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "kern/attribute.h"
#include "lib/cleanup.h"

/* ---- attributes -------------------------------------------------------------------------------------------------- */

static uint32_t get_u32(const struct nlattr *attribute)
{
	uint32_t v = 0;

	if (attribute && mnl_attr_get_payload_len(attribute) >= sizeof(v))
		memcpy(&v, mnl_attr_get_payload(attribute), sizeof(v));
	return v;
}

static uint8_t get_u8(const struct nlattr *attribute)
{
	uint8_t v = 0;

	if (attribute && mnl_attr_get_payload_len(attribute) >= sizeof(v))
		memcpy(&v, mnl_attr_get_payload(attribute), sizeof(v));
	return v;
}

static bool get_text(const struct nlattr *attribute, char *out, size_t size)
{
	size_t length;

	if (!attribute)
		return false;
	length = strnlen(mnl_attr_get_payload(attribute), mnl_attr_get_payload_len(attribute));
	if (length == 0 || length >= size)
		return false;
	memcpy(out, mnl_attr_get_payload(attribute), length);
	out[length] = 0;
	return true;
}

static bool text_is(const struct nlattr *attribute, const char *text)
{
	char word[16];

	return get_text(attribute, word, sizeof(word)) && strcmp(word, text) == 0;
}

static bool address_from_bytes(const uint8_t *bytes, size_t size, struct addr *out)
{
	memset(out, 0, sizeof(*out));
	if (size == 16) {
		memcpy(out->bytes, bytes, 16);
		return true;
	}
	if (size != 4)
		return false;
	out->bytes[10] = out->bytes[11] = 0xff;
	memcpy(out->bytes + 12, bytes, 4);
	return true;
}

static bool get_address(const struct nlattr *attribute, struct addr *out)
{
	return attribute &&
	       address_from_bytes(mnl_attr_get_payload(attribute), mnl_attr_get_payload_len(attribute), out);
}

/* ---- messages ---------------------------------------------------------------------------------------------------- */

static void decode_counters(const struct nlattr *attribute, struct link *link)
{
	struct rtnl_link_stats64 s = {0};
	size_t size;

	if (!attribute)
		return;
	size = mnl_attr_get_payload_len(attribute);
	memcpy(&s, mnl_attr_get_payload(attribute), size < sizeof(s) ? size : sizeof(s));
	link->rx_packets = s.rx_packets;
	link->rx_bytes = s.rx_bytes;
	link->tx_packets = s.tx_packets;
	link->tx_bytes = s.tx_bytes;
}

static enum link_kind kind_of(uint16_t hardware, const struct nlattr *kind)
{
	if (hardware == ARPHRD_LOOPBACK)
		return LINK_LOOPBACK;
	if (text_is(kind, "veth"))
		return LINK_VETH;
	if (hardware == ARPHRD_ETHER && text_is(kind, "tun")) /* a "tun" without Ethernet cannot be a port */
		return LINK_TUN;
	if (text_is(kind, "vxlan"))
		return LINK_VXLAN;
	return LINK_OTHER;
}

static int decode_link(const struct nlmsghdr *h, const void *body, const struct attributes *a, struct rtnl_message *out)
{
	const struct ifinfomsg *i = body;
	const struct nlattr *mac = a->of[IFLA_ADDRESS];
	struct link *link = &out->link;
	struct attributes info;

	/* A bridge speaks of its ports in the same messages under its family: DELLINK is "left the bridge" there. */
	if (i->ifi_family != AF_UNSPEC)
		return 0;
	if (i->ifi_index <= 0)
		return -EBADMSG;
	link->ifindex = (uint32_t)i->ifi_index;
	if (!get_text(a->of[IFLA_IFNAME], link->name, sizeof(link->name)))
		return -EBADMSG;
	out->kind = h->nlmsg_type == RTM_DELLINK ? RTNL_LINK_GONE : RTNL_LINK;

	info = attributes_of(a->of[IFLA_LINKINFO]);
	link->kind = kind_of(i->ifi_type, info.of[IFLA_INFO_KIND]);
	link->mtu = get_u32(a->of[IFLA_MTU]);
	link->up = i->ifi_flags & IFF_UP;
	link->running = i->ifi_flags & IFF_RUNNING;
	link->peer_away = link->kind == LINK_VETH && a->of[IFLA_LINK_NETNSID];
	link->master = get_u32(a->of[IFLA_MASTER]);
	if (mac && mnl_attr_get_payload_len(mac) == sizeof(link->mac))
		memcpy(&link->mac, mnl_attr_get_payload(mac), sizeof(link->mac));
	decode_counters(a->of[IFLA_STATS64], link);
	out->families = a->of[IFLA_AF_SPEC];
	return 0;
}

size_t rtnl_settings(const struct nlattr *families, uint8_t family, uint32_t *out, size_t n)
{
	uint16_t type = family == AF_INET ? IFLA_INET_CONF : IFLA_INET6_CONF;
	struct attributes of_family, all;
	size_t size;

	all = attributes_of(families);
	of_family = attributes_of(family < ATTRIBUTES_MAX ? all.of[family] : NULL);
	if (!of_family.of[type])
		return 0;
	size = mnl_attr_get_payload_len(of_family.of[type]);
	if (size > n * sizeof(*out))
		size = n * sizeof(*out);
	memcpy(out, mnl_attr_get_payload(of_family.of[type]), size);
	return size / sizeof(*out);
}

static int decode_address(const struct nlmsghdr *h, const void *body, const struct attributes *a,
			  struct rtnl_message *out)
{
	const struct ifaddrmsg *i = body;
	/* On a point-to-point link IFA_ADDRESS is the other end; our own is IFA_LOCAL, where there is one. */
	const struct nlattr *own = a->of[IFA_LOCAL] ? a->of[IFA_LOCAL] : a->of[IFA_ADDRESS];

	if (i->ifa_family != AF_INET && i->ifa_family != AF_INET6)
		return 0;
	if (!get_address(own, &out->address.addr))
		return -EBADMSG;
	out->address.ifindex = i->ifa_index;
	out->kind = h->nlmsg_type == RTM_DELADDR ? RTNL_ADDRESS_GONE : RTNL_ADDRESS;
	return 0;
}

/* RTA_VIA (an IPv4 route over an IPv6 next hop, RFC 5549): family, then the address. */
static void decode_via(const struct nlattr *attribute, struct addr *out)
{
	size_t size;

	if (!attribute)
		return;
	size = mnl_attr_get_payload_len(attribute);
	if (size > sizeof(uint16_t))
		address_from_bytes((const uint8_t *)mnl_attr_get_payload(attribute) + sizeof(uint16_t),
				   size - sizeof(uint16_t), out);
}

static void decode_ways(const struct nlattr *attribute, struct rtnl_route *out)
{
	size_t size = attribute ? mnl_attr_get_payload_len(attribute) : 0;
	const uint8_t *data = attribute ? mnl_attr_get_payload(attribute) : NULL;
	struct rtnexthop hop;

	while (size >= sizeof(hop) && out->n_ways < RTNL_WAYS) {
		struct attributes a = {0};
		struct rtnl_way *way = &out->ways[out->n_ways];
		size_t step;

		memcpy(&hop, data, sizeof(hop));
		if (hop.rtnh_len < sizeof(hop) || hop.rtnh_len > size)
			return;
		mnl_attr_parse_payload(data + sizeof(hop), hop.rtnh_len - sizeof(hop), attributes_collect, &a);
		*way = (struct rtnl_way){.ifindex = (uint32_t)hop.rtnh_ifindex, .onlink = hop.rtnh_flags & RTNH_F_ONLINK};
		decode_via(a.of[RTA_VIA], &way->gateway);
		get_address(a.of[RTA_GATEWAY], &way->gateway);
		out->n_ways++;
		step = MNL_ALIGN((size_t)hop.rtnh_len);
		if (step > size)
			return;
		data += step;
		size -= step;
	}
}

static int decode_destination(const struct rtmsg *r, const struct nlattr *attribute, struct prefix *out)
{
	uint8_t most = r->rtm_family == AF_INET ? 32 : 128;

	if (r->rtm_dst_len > most)
		return -EBADMSG;
	out->length = (uint8_t)(128 - most + r->rtm_dst_len);
	if (r->rtm_family == AF_INET)
		out->addr.bytes[10] = out->addr.bytes[11] = 0xff;
	if (!attribute)
		return 0;
	return get_address(attribute, &out->addr) && addr_is_v4(&out->addr) == (most == 32) ? 0 : -EBADMSG;
}

static int decode_route(const struct nlmsghdr *h, const void *body, const struct attributes *a,
			struct rtnl_message *out)
{
	const struct rtmsg *r = body;
	struct attributes metrics;

	if (r->rtm_family != AF_INET && r->rtm_family != AF_INET6)
		return 0;
	metrics = attributes_of(a->of[RTA_METRICS]);
	out->kind = RTNL_ROUTE;
	out->route.ifindex = get_u32(a->of[RTA_OIF]);
	out->route.mtu = get_u32(metrics.of[RTAX_MTU]);
	decode_via(a->of[RTA_VIA], &out->route.gateway);
	get_address(a->of[RTA_GATEWAY], &out->route.gateway);
	get_address(a->of[RTA_PREFSRC], &out->route.source);
	out->route.removed = h->nlmsg_type == RTM_DELROUTE;
	out->route.onlink = r->rtm_flags & RTNH_F_ONLINK;
	out->route.protocol = r->rtm_protocol;
	out->route.type = r->rtm_type;
	out->route.table = a->of[RTA_TABLE] ? get_u32(a->of[RTA_TABLE]) : r->rtm_table;
	out->route.metric = get_u32(a->of[RTA_PRIORITY]);
	decode_ways(a->of[RTA_MULTIPATH], &out->route);
	return decode_destination(r, a->of[RTA_DST], &out->route.to);
}

static int decode_routing_change(const struct nlmsghdr *h, const void *body, const struct attributes *a,
				 struct rtnl_message *out)
{
	out->kind = RTNL_ROUTING_CHANGE;
	return 0;
}

/* Was a setting that kern_port_guard sets (and that the kernel tells of) given another value? */
static bool opens_guard(const struct attributes *a)
{
	return (a->of[NETCONFA_FORWARDING] && get_u32(a->of[NETCONFA_FORWARDING]) != 0) ||
	       (a->of[NETCONFA_RP_FILTER] && get_u32(a->of[NETCONFA_RP_FILTER]) != 1) ||
	       (a->of[NETCONFA_PROXY_NEIGH] && get_u32(a->of[NETCONFA_PROXY_NEIGH]) != 0);
}

/* net.*.conf.*.forwarding was written: that of "all" also switches lo, which kern_fib_enable needs. */
static int decode_netconf(const struct nlmsghdr *h, const void *body, const struct attributes *a,
			  struct rtnl_message *out)
{
	const struct netconfmsg *n = body;
	int ifindex = (int)get_u32(a->of[NETCONFA_IFINDEX]); /* less than 0: "all" and "default" */

	if (!a->of[NETCONFA_FORWARDING] && !opens_guard(a))
		return 0;
	out->kind = RTNL_ROUTING_CHANGE;
	out->ifindex = n->ncm_family == AF_INET && ifindex > 0 && opens_guard(a) ? (uint32_t)ifindex : 0;
	return 0;
}

static int decode_filter(const struct nlmsghdr *h, const void *body, const struct attributes *a,
			 struct rtnl_message *out)
{
	const struct tcmsg *t = body;

	/* A filter that is new beside the others is told with NLM_F_EXCL; without it one may have been replaced. */
	if (h->nlmsg_type == RTM_NEWTFILTER && (h->nlmsg_flags & NLM_F_EXCL))
		return 0;
	if (h->nlmsg_type == RTM_DELQDISC && t->tcm_parent != TC_H_CLSACT)
		return 0;
	if (t->tcm_ifindex <= 0) /* a shared block, which is not how we attach */
		return 0;
	out->kind = RTNL_FILTER_GONE;
	out->ifindex = (uint32_t)t->tcm_ifindex;
	return 0;
}

static int decode_neighbour(const struct nlmsghdr *h, const void *body, const struct attributes *a,
			    struct rtnl_message *out)
{
	const struct ndmsg *n = body;

	if (n->ndm_family != AF_INET && n->ndm_family != AF_INET6)
		return 0;
	if (!get_address(a->of[NDA_DST], &out->neighbour.addr))
		return -EBADMSG;
	out->kind = RTNL_NEIGHBOUR;
	out->neighbour.ifindex = (uint32_t)n->ndm_ifindex;
	out->neighbour.state = n->ndm_state;
	out->neighbour.protocol = get_u8(a->of[NDA_PROTOCOL]);
	out->neighbour.managed = get_u32(a->of[NDA_FLAGS_EXT]) & NTF_EXT_MANAGED;
	return 0;
}

static const struct decoder {
	uint16_t type;
	uint16_t body_size;
	int (*decode)(const struct nlmsghdr *h, const void *body, const struct attributes *a, struct rtnl_message *out);
} decoders[] = {
	{RTM_NEWLINK, sizeof(struct ifinfomsg), decode_link},
	{RTM_DELLINK, sizeof(struct ifinfomsg), decode_link},
	{RTM_NEWADDR, sizeof(struct ifaddrmsg), decode_address},
	{RTM_DELADDR, sizeof(struct ifaddrmsg), decode_address},
	{RTM_NEWROUTE, sizeof(struct rtmsg), decode_route},
	{RTM_DELROUTE, sizeof(struct rtmsg), decode_route},
	{RTM_NEWRULE, sizeof(struct rtmsg), decode_routing_change},
	{RTM_DELRULE, sizeof(struct rtmsg), decode_routing_change},
	{RTM_NEWNEXTHOP, sizeof(struct nhmsg), decode_routing_change},
	{RTM_DELNEXTHOP, sizeof(struct nhmsg), decode_routing_change},
	{RTM_NEWNETCONF, sizeof(struct netconfmsg), decode_netconf},
	{RTM_NEWTFILTER, sizeof(struct tcmsg), decode_filter},
	{RTM_DELTFILTER, sizeof(struct tcmsg), decode_filter},
	{RTM_DELQDISC, sizeof(struct tcmsg), decode_filter},
	{RTM_NEWNEIGH, sizeof(struct ndmsg), decode_neighbour},
};

const struct nlmsghdr *rtnl_next(const uint8_t **data, size_t *size)
{
	const struct nlmsghdr *h = (const struct nlmsghdr *)*data;
	size_t step;

	if (*size < sizeof(*h) || h->nlmsg_len < sizeof(*h) || h->nlmsg_len > *size)
		return NULL;
	step = MNL_ALIGN((size_t)h->nlmsg_len);
	if (step > *size) /* the last one need not be padded */
		step = *size;
	*data += step;
	*size -= step;
	return h;
}

int rtnl_decode(const void *data, size_t size, struct rtnl_message *out)
{
	const struct nlmsghdr *h = data;
	const struct decoder *d;
	struct attributes a = {0};
	struct rtnl_message m = {.kind = RTNL_OTHER};
	size_t payload_size, body_size;
	int r;

	if (size < sizeof(*h) || h->nlmsg_len < sizeof(*h) || h->nlmsg_len > size)
		return -EBADMSG;
	for (d = decoders; d < decoders + sizeof(decoders) / sizeof(*decoders); d++) {
		if (d->type == h->nlmsg_type)
			break;
	}
	if (d == decoders + sizeof(decoders) / sizeof(*decoders)) {
		*out = m;
		return 0;
	}

	payload_size = h->nlmsg_len - sizeof(*h);
	if (payload_size < d->body_size)
		return -EBADMSG;
	/* A tail too short for an attribute is padding; a length that lies ends the walk without being followed. */
	body_size = MNL_ALIGN((size_t)d->body_size);
	if (payload_size > body_size)
		mnl_attr_parse_payload((const uint8_t *)mnl_nlmsg_get_payload(h) + body_size, payload_size - body_size,
				       attributes_collect, &a);
	r = d->decode(h, mnl_nlmsg_get_payload(h), &a, &m);
	if (r < 0)
		return r;
	*out = m;
	return 0;
}

/* ---- the asking socket ------------------------------------------------------------------------------------------- */

int rtnl_open(struct rtnl *r)
{
	/* The kernel answers within the call; this only bounds what a broken one could do to us. */
	static const struct timeval patience = {.tv_sec = 5};
	struct mnl_socket *s = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
	int error;

	if (!s)
		return -errno;
	if (mnl_socket_bind(s, 0, MNL_SOCKET_AUTOPID) < 0 ||
	    setsockopt(mnl_socket_get_fd(s), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) < 0) {
		error = -errno;
		mnl_socket_close(s);
		return error;
	}
	r->answer = malloc(RTNL_BUFFER_SIZE);
	if (!r->answer) {
		mnl_socket_close(s);
		return -ENOMEM;
	}
	r->socket = s;
	r->sequence = 0;
	return 0;
}

void rtnl_close(struct rtnl *r)
{
	if (r->socket)
		mnl_socket_close(r->socket);
	r->socket = NULL;
	free(TAKE_PTR(r->answer));
}

enum turn { TURN_MORE, TURN_END, TURN_ERROR };

/* One datagram of answers. */
static enum turn digest(const struct rtnl *r, const uint8_t *data, size_t size, rtnl_fn fn, void *arg,
			bool *inconsistent, int *error)
{
	const struct nlmsghdr *h;

	while ((h = rtnl_next(&data, &size))) {
		struct rtnl_message m;

		if (h->nlmsg_seq != r->sequence) /* the rest of an answer that was given up on */
			continue;
		if (h->nlmsg_flags & NLM_F_DUMP_INTR)
			*inconsistent = true;
		/* Both begin with the error code; a dump that failed half-way says so in its DONE. */
		if (h->nlmsg_type == NLMSG_DONE || h->nlmsg_type == NLMSG_ERROR) {
			if (mnl_nlmsg_get_payload_len(h) >= sizeof(*error))
				memcpy(error, mnl_nlmsg_get_payload(h), sizeof(*error));
			return *error < 0 ? TURN_ERROR : TURN_END;
		}
		if (fn && rtnl_decode(h, h->nlmsg_len, &m) == 0 && m.kind != RTNL_OTHER)
			fn(arg, &m);
	}
	return TURN_MORE;
}

int rtnl_request(struct rtnl *r, struct nlmsghdr *h, rtnl_fn fn, void *arg)
{
	bool inconsistent = false;
	enum turn turn = TURN_MORE;
	int error = 0;

	h->nlmsg_seq = ++r->sequence;
	h->nlmsg_flags |= NLM_F_REQUEST | ((h->nlmsg_flags & NLM_F_DUMP) == NLM_F_DUMP ? 0 : NLM_F_ACK);
	if (mnl_socket_sendto(r->socket, h, h->nlmsg_len) < 0)
		return -errno;
	while (turn == TURN_MORE) {
		ssize_t size = mnl_socket_recvfrom(r->socket, r->answer, RTNL_BUFFER_SIZE);

		if (size < 0 && errno == EINTR)
			continue;
		if (size < 0)
			return errno == EAGAIN ? -ETIMEDOUT : -errno;
		turn = digest(r, r->answer, (size_t)size, fn, arg, &inconsistent, &error);
	}
	if (turn == TURN_ERROR)
		return error;
	return inconsistent ? -EINTR : 0;
}

int rtnl_dump(struct rtnl *r, uint16_t type, uint8_t family, rtnl_fn fn, void *arg)
{
	int error = -EINTR;

	for (unsigned attempt = 0; attempt < 8 && error == -EINTR; attempt++) {
		char buffer[MNL_NLMSG_HDRLEN + 64] __attribute__((aligned(4)));
		struct nlmsghdr *h = mnl_nlmsg_put_header(buffer);
		struct rtgenmsg *g;

		h->nlmsg_type = type;
		h->nlmsg_flags = NLM_F_DUMP;
		/* The full header of the type: kernels that check strictly refuse the short form. */
		g = mnl_nlmsg_put_extra_header(h, type == RTM_GETLINK ? sizeof(struct ifinfomsg) :
						  type == RTM_GETADDR ? sizeof(struct ifaddrmsg) :
									sizeof(struct ndmsg));
		g->rtgen_family = family;
		error = rtnl_request(r, h, fn, arg);
	}
	return error;
}
