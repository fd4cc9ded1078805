/* SPDX-License-Identifier: Apache-2.0 */
#include "wg/tap.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_link.h>
#include <linux/if_tun.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/cleanup.h"

#define QUEUE_FRAMES 1000 /* that wait in a queue, before a sender is told to */
#define PORT_FRAMES 500
#define NO_USER 0xfffffffeUL /* the last but one number: -1 is no user to the kernel, and this one nobody has */
#define PLAIN_SIZE sizeof(struct virtio_net_hdr)

/* linux/if_tun.h of 6.17 */
#define OFFLOAD_TUNNEL 0x80

static int device_ioctl(const struct tap *t, unsigned long request, struct ifreq *r)
{
	_cleanup_(fd) int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	snprintf(r->ifr_name, sizeof(r->ifr_name), "%s", t->name);
	return ioctl(fd, request, r) == 0 ? 0 : -errno;
}

int tap_mtu_set(const struct tap *t, uint16_t mtu)
{
	struct ifreq r = {.ifr_mtu = mtu};

	return device_ioctl(t, SIOCSIFMTU, &r);
}

/* The node's own stack has nothing to say there; it may not have IPv6 at all. */
static void keep_quiet(const struct tap *t)
{
	char path[96];
	_cleanup_(fd) int fd = -1;

	snprintf(path, sizeof(path), "/proc/sys/net/ipv6/conf/%s/disable_ipv6", t->name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd >= 0 && write(fd, "1", 1) < 0)
		return;
}

static int configure(struct tap *t, uint16_t mtu, int frames)
{
	struct ifreq r = {.ifr_qlen = frames};
	int e = tap_mtu_set(t, mtu);

	if (e == 0)
		e = device_ioctl(t, SIOCSIFTXQLEN, &r);
	if (e == 0)
		e = device_ioctl(t, SIOCGIFINDEX, &r);
	if (e != 0)
		return e;
	t->ifindex = (unsigned)r.ifr_ifindex;
	r = (struct ifreq){0};
	e = device_ioctl(t, SIOCGIFHWADDR, &r);
	if (e != 0)
		return e;
	memcpy(t->to, r.ifr_hwaddr.sa_data, sizeof(t->to)); /* to this node, from nobody */
	keep_quiet(t);
	return 0;
}

static int set_flags(const struct tap *t, short flags)
{
	struct ifreq r = {.ifr_flags = flags};

	return device_ioctl(t, SIOCSIFFLAGS, &r);
}

/* `more`: IFF_TUN_EXCL; IFF_MULTI_QUEUE, which makes the kernel take memory for 256 of them. */
static int queue_open(struct tap *t, short more)
{
	struct ifreq r = {.ifr_flags = (short)(IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | more)};
	int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC), e;

	if (fd < 0)
		return -errno;
	t->queues[t->n_queues++] = fd;
	snprintf(r.ifr_name, sizeof(r.ifr_name), "%s", t->name);
	if (ioctl(fd, TUNSETIFF, &r) == 0)
		return 0;
	e = errno;
	return e == EBUSY || e == EINVAL ? -EEXIST : -e; /* in use, or of another kind */
}

/*
 * A device without an owner anybody may open a queue of, to read what is to be encrypted and to write what was decrypted;
 * one with an owner, he and CAP_NET_ADMIN.  In a user namespace that number may not be to be had, and then it is ours.
 */
static int close_to_others(const struct tap *t)
{
	int fd = t->queues[0];

	return ioctl(fd, TUNSETOWNER, NO_USER) == 0 || ioctl(fd, TUNSETOWNER, (unsigned long)geteuid()) == 0 ? 0 : -errno;
}

/* What super-packets the kernel may hand over; it takes the same. */
static int set_offloads(struct tap *t, bool tunnels)
{
	unsigned plain = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN;
	int fd = t->queues[0], size = sizeof(struct segment_header);

	t->tunnels = tunnels && ioctl(fd, TUNSETVNETHDRSZ, &size) == 0 && ioctl(fd, TUNSETOFFLOAD, plain | OFFLOAD_TUNNEL) == 0;
	if (!t->tunnels) {
		size = PLAIN_SIZE;
		if (ioctl(fd, TUNSETVNETHDRSZ, &size) != 0 || ioctl(fd, TUNSETOFFLOAD, plain) != 0)
			return -errno;
	}
	t->header_size = (size_t)size;
	return 0;
}

/* RTM_GETLINK of one device, and its answer. */
struct link_message {
	struct nlmsghdr header;
	struct ifinfomsg info;
	uint8_t attributes[8192];
};

/* False: the kernel did not say. */
static bool ask_link(const struct tap *t, struct link_message *m)
{
	_cleanup_(fd) int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	ssize_t size;

	*m = (struct link_message){
		.header = {.nlmsg_len = NLMSG_LENGTH(sizeof(m->info)), .nlmsg_type = RTM_GETLINK, .nlmsg_flags = NLM_F_REQUEST},
		.info = {.ifi_family = AF_UNSPEC, .ifi_index = (int)t->ifindex},
	};
	size = send(fd, m, m->header.nlmsg_len, 0);
	size = size < 0 ? size : recv(fd, m, sizeof(*m), 0);
	return size >= 0 && NLMSG_OK(&m->header, (size_t)size) && m->header.nlmsg_type == RTM_NEWLINK;
}

/* The attribute of that type among those in `size` bytes, or NULL. */
static struct rtattr *attribute(void *first, size_t size, unsigned short type)
{
	for (struct rtattr *a = first; RTA_OK(a, size); a = RTA_NEXT(a, size))
		if ((a->rta_type & NLA_TYPE_MASK) == type)
			return a;
	return NULL;
}

static struct rtattr *attribute_of(struct link_message *m, unsigned short type)
{
	return attribute(m->attributes, m->header.nlmsg_len - NLMSG_LENGTH(sizeof(m->info)), type);
}

uint64_t tap_dropped(const struct tap *t)
{
	const size_t wanted = offsetof(struct rtnl_link_stats64, multicast);
	struct rtnl_link_stats64 stats;
	struct link_message m;
	struct rtattr *a = ask_link(t, &m) ? attribute_of(&m, IFLA_STATS64) : NULL;

	if (!a || RTA_PAYLOAD(a) < wanted)
		return 0;
	memcpy(&stats, RTA_DATA(a), wanted);
	return stats.tx_dropped;
}

/* Of a TUN or TAP device, or NULL. */
static struct rtattr *tun_data(struct link_message *m)
{
	struct rtattr *a = attribute_of(m, IFLA_LINKINFO);
	const struct rtattr *kind = a ? attribute(RTA_DATA(a), RTA_PAYLOAD(a), IFLA_INFO_KIND) : NULL;

	if (!kind || RTA_PAYLOAD(kind) < sizeof("tun") || strcmp(RTA_DATA(kind), "tun") != 0)
		return NULL;
	return attribute(RTA_DATA(a), RTA_PAYLOAD(a), IFLA_INFO_DATA);
}

/* Everybody's; 0: not known. */
static unsigned queues_of(const struct tap *t)
{
	static const unsigned short kinds[] = {IFLA_TUN_NUM_QUEUES, IFLA_TUN_NUM_DISABLED_QUEUES};
	struct rtattr *data, *a;
	struct link_message m;
	unsigned sum = 0;

	data = ask_link(t, &m) ? tun_data(&m) : NULL;
	for (size_t i = 0; data && i < 2; i++) {
		uint32_t n;

		a = attribute(RTA_DATA(data), RTA_PAYLOAD(data), kinds[i]);
		if (!a || RTA_PAYLOAD(a) < sizeof(n))
			continue;
		memcpy(&n, RTA_DATA(a), sizeof(n));
		sum += n;
	}
	return sum;
}

int tap_open(struct tap *t, const char *name, unsigned queues, uint16_t mtu)
{
	int r = 0;

	*t = (struct tap){0};
	snprintf(t->name, sizeof(t->name), "%s", name);
	for (unsigned i = 0; i < queues && r == 0; i++) {
		r = queue_open(t, (short)(IFF_MULTI_QUEUE | (i == 0 ? IFF_TUN_EXCL : 0))); /* one that is there is somebody else's */
		if (i == 0 && r == 0)
			r = close_to_others(t);
	}
	if (r == 0)
		r = set_offloads(t, true);
	if (r == 0)
		r = configure(t, mtu, QUEUE_FRAMES);
	if (r == 0 && queues_of(t) > queues) /* in the moment when it had no owner */
		r = -EUSERS;
	if (r == 0)
		r = set_flags(t, IFF_UP | IFF_NOARP);
	if (r != 0)
		tap_close(t);
	return r;
}

void tap_address(struct tap *t, const uint8_t gateway[static 6], const uint8_t mac[static 6])
{
	memcpy(t->programs, gateway, sizeof(t->programs));
	memcpy(t->to, gateway, sizeof(t->to));
	memcpy(t->from, mac, sizeof(t->from));
}

/* A request to rtnetlink with one attribute that is a text: 0, or what the kernel says. */
static int set_text(uint16_t request, uint16_t flags, const void *family, size_t size, unsigned short type, const char *text)
{
	struct {
		struct nlmsghdr header;
		uint8_t rest[128];
	} m = {.header = {.nlmsg_type = request, .nlmsg_flags = (uint16_t)(NLM_F_REQUEST | NLM_F_ACK | flags)}};
	struct {
		struct nlmsghdr header;
		struct nlmsgerr error;
		uint8_t rest[256];
	} answer = {.error.error = -EIO};
	_cleanup_(fd) int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	struct rtattr *a = (struct rtattr *)(m.rest + NLMSG_ALIGN(size));

	memcpy(m.rest, family, size);
	*a = (struct rtattr){.rta_len = (unsigned short)RTA_LENGTH(strlen(text) + 1), .rta_type = type};
	memcpy(RTA_DATA(a), text, strlen(text) + 1);
	m.header.nlmsg_len = (uint32_t)(NLMSG_LENGTH(NLMSG_ALIGN(size)) + a->rta_len);
	if (fd < 0 || send(fd, &m, m.header.nlmsg_len, 0) < 0 || recv(fd, &answer, sizeof(answer), 0) < 0)
		return -errno;
	return answer.error.error;
}

/*
 * The reader's queue is all that a port needs.  The one in front of it, which devices have by default, never holds
 * anything, as a TAP device drops what it has no room for, and takes up to 70 KB.
 */
static int take_queueing_off(const struct tap *t)
{
	struct tcmsg tc = {.tcm_ifindex = (int)t->ifindex, .tcm_parent = TC_H_ROOT};

	return set_text(RTM_NEWQDISC, NLM_F_CREATE | NLM_F_REPLACE, &tc, sizeof(tc), TCA_KIND, "noqueue");
}

/* By which it is known for ours when nobody has it open. */
static int name_owner(const struct tap *t)
{
	struct ifinfomsg info = {.ifi_index = (int)t->ifindex};

	return set_text(RTM_SETLINK, 0, &info, sizeof(info), IFLA_IFALIAS, TAP_PORT_ALIAS);
}

bool tap_is_port(const char *name, bool *is_open)
{
	struct tap t = {.ifindex = if_nametoindex(name)};
	const struct rtattr *alias, *carrier;
	struct link_message m;

	if (t.ifindex == 0 || !ask_link(&t, &m) || !tun_data(&m))
		return false;
	alias = attribute_of(&m, IFLA_IFALIAS);
	carrier = attribute_of(&m, IFLA_CARRIER);
	if (is_open)
		*is_open = carrier && RTA_PAYLOAD(carrier) > 0 && *(const uint8_t *)RTA_DATA(carrier);
	return alias && RTA_PAYLOAD(alias) >= sizeof(TAP_PORT_ALIAS) - 1 &&
	       memcmp(RTA_DATA(alias), TAP_PORT_ALIAS, sizeof(TAP_PORT_ALIAS) - 1) == 0;
}

/*
 * Before anything else can happen to it: its owner and its name.  It stays when the process ends, so that routes to who is
 * behind it stay as well; without a reader it drops what it gets.
 */
static int make_port(struct tap *t, uint16_t mtu)
{
	int r = queue_open(t, IFF_TUN_EXCL);

	if (r == 0)
		r = close_to_others(t);
	if (r == 0)
		r = set_offloads(t, false);
	if (r == 0)
		r = configure(t, mtu, PORT_FRAMES);
	if (r == 0)
		r = take_queueing_off(t);
	if (r == 0)
		r = set_flags(t, IFF_NOARP);
	if (r == 0)
		r = name_owner(t);
	if (r == 0 && ioctl(t->queues[0], TUNSETPERSIST, 1) != 0)
		r = -errno;
	return r;
}

/* One that a process before this one has left, as it was. */
static int take_port(struct tap *t, uint16_t mtu)
{
	int r = tap_is_port(t->name, NULL) ? queue_open(t, 0) : -EEXIST;

	if (r == 0)
		r = set_offloads(t, false);
	return r == 0 ? configure(t, mtu, PORT_FRAMES) : r;
}

/* Where there is one queue nobody else opens another, not for a moment. */
int tap_open_port(struct tap *t, const char *name, uint16_t mtu, const uint8_t gateway[static 6],
		  const uint8_t mac[static 6])
{
	int r;

	*t = (struct tap){.programs_only = true};
	snprintf(t->name, sizeof(t->name), "%s", name);
	r = make_port(t, mtu);
	if (r == -EEXIST) {
		tap_close(t);
		r = take_port(t, mtu);
	}
	if (r == 0)
		tap_address(t, gateway, mac);
	else
		tap_close(t);
	return r;
}

void tap_close(struct tap *t)
{
	while (t->n_queues > 0)
		close(t->queues[--t->n_queues]);
}

/* From the frame to the packet in it. */
static void shift(struct segment_header *h, int by)
{
	h->plain.csum_start = (uint16_t)(h->plain.csum_start + by);
	h->plain.hdr_len = (uint16_t)(h->plain.hdr_len + by);
	h->outer_l4 = htole16((uint16_t)(le16toh(h->outer_l4) + by));
	h->inner = htole16((uint16_t)(le16toh(h->inner) + by));
}

int tap_read(const struct tap *t, int queue, struct tap_frame *f)
{
	size_t front = t->header_size + TAP_ETHERNET;
	ssize_t size = read(queue, f->bytes, sizeof(f->bytes));
	uint16_t type;

	if (size < 0)
		return -errno;
	if ((size_t)size <= front)
		return -EPROTO;
	f->header = (struct segment_header){0};
	memcpy(&f->header, f->bytes, t->header_size);
	shift(&f->header, -TAP_ETHERNET);
	f->packet = f->bytes + front;
	f->size = (size_t)size - front;
	memcpy(&type, f->packet - sizeof(type), sizeof(type));
	if (t->programs_only && memcmp(f->packet - 8, t->programs, sizeof(t->programs)) != 0)
		return -EPERM;
	return type == htobe16(ETH_P_IP) || type == htobe16(ETH_P_IPV6) ? 0 : -EPROTO;
}

int tap_write(const struct tap *t, int queue, struct segment_merge *m)
{
	uint8_t front[sizeof(struct segment_header) + TAP_ETHERNET] = {0}, *ethernet = front + t->header_size;
	size_t n = segment_merge_end(m);
	const uint8_t *packet = m->pieces[1].iov_base;
	uint16_t type = htobe16(packet[0] >> 4 == 6 ? ETH_P_IPV6 : ETH_P_IP);

	if (!t->tunnels) /* the kernel has nothing to do with them: BPF takes them off */
		m->header.plain.gso_type &= (uint8_t)~SEGMENT_TUNNELS;
	if (m->header.plain.gso_type != VIRTIO_NET_HDR_GSO_NONE)
		shift(&m->header, TAP_ETHERNET);
	memcpy(front, &m->header, t->header_size);
	memcpy(ethernet, t->to, sizeof(t->to));
	memcpy(ethernet + 6, t->from, sizeof(t->from));
	memcpy(ethernet + 12, &type, sizeof(type));
	m->pieces[0] = (struct iovec){front, t->header_size + TAP_ETHERNET};
	return writev(queue, m->pieces, (int)n) >= 0 ? 0 : -errno;
}
