/* SPDX-License-Identifier: Apache-2.0 */
#include "fake_netlink.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <libmnl/libmnl.h>
#include <linux/if_addr.h>
#include <linux/if_arp.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#define REQUEST_MAX 512

struct last {
	union {
		struct nlmsghdr header;
		uint8_t bytes[REQUEST_MAX];
	};
	bool sent;
	bool answered; /* by the small kernel */
};

struct mnl_socket {
	struct last last;
	int fd; /* to be watched; never readable */
};

static struct last plain; /* of src/dp's socket */
static struct {
	fake_answer_fn answer;
	void *arg;
	int send_error;
} now;

void fake_netlink_set(fake_answer_fn answer, void *arg)
{
	now.answer = answer;
	now.arg = arg;
}

void fake_netlink_fail_sends(int error)
{
	now.send_error = error;
}

static ssize_t keep(struct last *last, const void *data, size_t size)
{
	if (now.send_error) {
		errno = now.send_error;
		return -1;
	}
	memcpy(last->bytes, data, size < sizeof(last->bytes) ? size : sizeof(last->bytes));
	last->sent = true;
	last->answered = false;
	return (ssize_t)size;
}

static ssize_t answer(struct last *last, void *buffer, size_t size)
{
	ssize_t n = last->answered ? -EAGAIN : now.answer(now.arg, last->sent ? &last->header : NULL, buffer, size);

	if (n >= 0)
		return n;
	errno = (int)-n;
	return -1;
}

/* ---- libmnl ---- */

struct mnl_socket *mnl_socket_open(int bus)
{
	return mnl_socket_open2(bus, 0);
}

struct mnl_socket *mnl_socket_open2(int bus, int flags)
{
	struct mnl_socket *s = calloc(1, sizeof(*s));

	if (s)
		s->fd = eventfd(0, EFD_CLOEXEC);
	return s;
}

int mnl_socket_bind(struct mnl_socket *s, unsigned int groups, pid_t pid)
{
	return 0;
}

int mnl_socket_close(struct mnl_socket *s)
{
	close(s->fd);
	free(s);
	return 0;
}

int mnl_socket_get_fd(const struct mnl_socket *s)
{
	return s->fd;
}

unsigned int mnl_socket_get_portid(const struct mnl_socket *s)
{
	return 0;
}

int mnl_socket_setsockopt(const struct mnl_socket *s, int type, void *value, socklen_t size)
{
	return 0;
}

ssize_t mnl_socket_sendto(const struct mnl_socket *s, const void *data, size_t size)
{
	return keep(&((struct mnl_socket *)s)->last, data, size);
}

ssize_t mnl_socket_recvfrom(const struct mnl_socket *s, void *buffer, size_t size)
{
	return answer(&((struct mnl_socket *)s)->last, buffer, size);
}

/* ---- libc ---- */

int __wrap_socket(int domain, int type, int protocol);
int __wrap_bind(int fd, const struct sockaddr *a, socklen_t size);
int __wrap_setsockopt(int fd, int level, int name, const void *value, socklen_t size);
ssize_t __wrap_send(int fd, const void *data, size_t size, int flags);
ssize_t __wrap_recv(int fd, void *buffer, size_t size, int flags);

int __wrap_socket(int domain, int type, int protocol)
{
	return open("/dev/null", O_RDWR | O_CLOEXEC);
}

int __wrap_bind(int fd, const struct sockaddr *a, socklen_t size)
{
	return 0;
}

int __wrap_setsockopt(int fd, int level, int name, const void *value, socklen_t size)
{
	return 0;
}

ssize_t __wrap_send(int fd, const void *data, size_t size, int flags)
{
	return keep(&plain, data, size);
}

ssize_t __wrap_recv(int fd, void *buffer, size_t size, int flags)
{
	return answer(&plain, buffer, size);
}

/* ---- the small kernel ---- */

static const struct {
	uint32_t ifindex;
	const char *name, *kind;
	uint16_t hardware;
} fake_links[] = {
	{1, "lo", NULL, ARPHRD_LOOPBACK}, {FAKE_UNDERLAY, "u0", NULL, ARPHRD_ETHER}, {11, "web1", "veth", ARPHRD_ETHER},
	{12, "web2", "veth", ARPHRD_ETHER}, {13, "app1", "tun", ARPHRD_ETHER},
};

static struct nlmsghdr *begin(uint8_t *at, uint16_t type, const struct nlmsghdr *request)
{
	struct nlmsghdr *h = mnl_nlmsg_put_header(at);

	h->nlmsg_type = type;
	h->nlmsg_flags = NLM_F_MULTI;
	h->nlmsg_seq = request->nlmsg_seq;
	return h;
}

static size_t put_links(uint8_t *buffer, const struct nlmsghdr *request)
{
	size_t n = 0;

	for (size_t i = 0; i < sizeof(fake_links) / sizeof(fake_links[0]); i++) {
		struct nlmsghdr *h = begin(buffer + n, RTM_NEWLINK, request);
		struct ifinfomsg *m = mnl_nlmsg_put_extra_header(h, sizeof(*m));
		const uint8_t mac[6] = {2, 0, 0, 0, 1, (uint8_t)fake_links[i].ifindex};
		struct nlattr *nest;

		m->ifi_index = (int)fake_links[i].ifindex;
		m->ifi_type = fake_links[i].hardware;
		m->ifi_flags = IFF_UP | IFF_RUNNING;
		mnl_attr_put_strz(h, IFLA_IFNAME, fake_links[i].name);
		mnl_attr_put_u32(h, IFLA_MTU, 1500);
		mnl_attr_put(h, IFLA_ADDRESS, sizeof(mac), mac);
		if (fake_links[i].kind) {
			nest = mnl_attr_nest_start(h, IFLA_LINKINFO);
			mnl_attr_put_strz(h, IFLA_INFO_KIND, fake_links[i].kind);
			mnl_attr_nest_end(h, nest);
			mnl_attr_put_u32(h, IFLA_LINK_NETNSID, 1);
		}
		n += MNL_ALIGN(h->nlmsg_len);
	}
	return n;
}

static size_t put_address(uint8_t *buffer, const struct nlmsghdr *request, int family, const char *text)
{
	struct nlmsghdr *h = begin(buffer, RTM_NEWADDR, request);
	struct ifaddrmsg *m = mnl_nlmsg_put_extra_header(h, sizeof(*m));
	uint8_t bytes[16];

	m->ifa_family = (uint8_t)family;
	m->ifa_index = FAKE_UNDERLAY;
	inet_pton(family, text, bytes);
	mnl_attr_put(h, IFA_ADDRESS, family == AF_INET ? 4 : 16, bytes);
	return MNL_ALIGN(h->nlmsg_len);
}

static size_t put_end(uint8_t *buffer, const struct nlmsghdr *request, uint16_t type, int error)
{
	struct nlmsghdr *h = begin(buffer, type, request);
	struct nlmsgerr *e = mnl_nlmsg_put_extra_header(h, sizeof(*e));

	e->error = error;
	return h->nlmsg_len;
}

ssize_t fake_kernel(void *arg, const struct nlmsghdr *request, uint8_t *buffer, size_t size)
{
	static const struct {
		uint16_t type;
		int error;
	} refusals[] = {
		{RTM_GETROUTE, -ENETUNREACH}, {RTM_GETNEIGH, -ENOENT}, {RTM_GETTFILTER, -ENOENT}, {RTM_GETQDISC, -ENOENT},
	};
	bool dump = request && (request->nlmsg_flags & NLM_F_DUMP) == NLM_F_DUMP;
	int error = 0;
	size_t n = 0;

	if (!request)
		return -EAGAIN;
	if (dump && request->nlmsg_type == RTM_GETLINK)
		n = put_links(buffer, request);
	if (dump && request->nlmsg_type == RTM_GETADDR) {
		n = put_address(buffer, request, AF_INET, "192.0.2.11");
		n += put_address(buffer + n, request, AF_INET6, "2001:db8::11");
	}
	for (size_t i = 0; !dump && i < sizeof(refusals) / sizeof(refusals[0]); i++)
		if (request->nlmsg_type == refusals[i].type)
			error = refusals[i].error;
	return (ssize_t)(n + put_end(buffer + n, request, dump ? NLMSG_DONE : NLMSG_ERROR, error));
}
