/* SPDX-License-Identifier: Apache-2.0 */
#include "wg/udp.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "wg/index.h"
#include "wg/packet.h"

/* linux/udp.h, of which netinet/udp.h lacks them */
enum { OPTION_SEGMENT = 103, OPTION_GRO = 104 };

#define BUFFER (8 << 20)
#define WAIT_MS 5 /* for a socket whose buffer is full, before what is in hand is dropped */

struct control {
	union {
		uint8_t bytes[CMSG_SPACE(sizeof(uint16_t)) + CMSG_SPACE(sizeof(struct in6_pktinfo))];
		struct cmsghdr align;
	};
};

/* The offsets count from the UDP payload. */
static int steer(int fd, unsigned n)
{
	uint32_t last = n - 1;
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, offsetof(struct packet_data, header)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, PACKET_DATA, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, last),
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, offsetof(struct packet_data, receiver) + INDEX_HIGH_AT),
		BPF_STMT(BPF_ALU | BPF_MOD | BPF_K, last),
		BPF_STMT(BPF_RET | BPF_A, 0),
	};
	struct sock_fprog program = {sizeof(code) / sizeof(code[0]), code};

	return setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &program, sizeof(program)) == 0 ? 0 : -errno;
}

/* Beyond what the administrator allows sockets where we may. */
static void set_buffer(int fd, int force, int plain)
{
	int size = BUFFER;

	if (setsockopt(fd, SOL_SOCKET, force, &size, sizeof(size)) != 0)
		setsockopt(fd, SOL_SOCKET, plain, &size, sizeof(size));
}

union address {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

/* 0, or -EAFNOSUPPORT. */
static int address_of(const struct udp *u, const struct endpoint *e, union address *out, socklen_t *size)
{
	*out = (union address){.v6 = {.sin6_family = AF_INET6, .sin6_port = htons(e->port)}};
	*size = sizeof(out->v6);
	if (!u->v4) {
		memcpy(&out->v6.sin6_addr, e->addr.bytes, sizeof(out->v6.sin6_addr));
		return 0;
	}
	if (!addr_is_v4(&e->addr))
		return -EAFNOSUPPORT;
	out->v4 = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(e->port),
				       .sin_addr.s_addr = htonl(addr_v4_number(&e->addr))};
	*size = sizeof(out->v4);
	return 0;
}

static struct endpoint endpoint_of(const union address *a)
{
	struct endpoint e = {.port = ntohs(a->v6.sin6_port)}; /* at the same place in both */

	if (a->any.sa_family == AF_INET)
		e.addr = addr_from_v4((const uint8_t *)&a->v4.sin_addr);
	else
		memcpy(e.addr.bytes, &a->v6.sin6_addr, sizeof(e.addr.bytes));
	return e;
}

static int make_socket(struct udp *u)
{
	int off = 0;

	u->fd = socket(AF_INET6, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	u->v4 = u->fd < 0 && errno == EAFNOSUPPORT;
	if (u->v4)
		u->fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (u->fd < 0 || (!u->v4 && setsockopt(u->fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off)) != 0))
		return -errno;
	return 0;
}

static int bind_to(const struct udp *u, uint16_t port)
{
	struct endpoint any = {.addr = u->v4 ? addr_from_v4_number(INADDR_ANY) : (struct addr){.bytes = {0}}, .port = port};
	union address a;
	socklen_t size;
	int r = address_of(u, &any, &a, &size);

	return r != 0 ? r : bind(u->fd, &a.any, size) == 0 ? 0 : -errno;
}

static int one_open(uint16_t port, struct udp *out)
{
	struct udp u = {.fd = -1};
	int on = 1, fragments = IP_PMTUDISC_DONT, r = make_socket(&u);
	_cleanup_(fd) int fd = u.fd;

	if (r != 0)
		return r;
	/* What is too long for a link on the way is cut there, as with any WireGuard: a wrong MTU costs speed alone. */
	if (setsockopt(fd, IPPROTO_IP, IP_MTU_DISCOVER, &fragments, sizeof(fragments)) != 0 ||
	    (!u.v4 && setsockopt(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, &fragments, sizeof(fragments)) != 0) ||
	    setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) != 0 ||
	    setsockopt(fd, IPPROTO_UDP, OPTION_GRO, &on, sizeof(on)) != 0)
		return -errno;
	set_buffer(fd, SO_RCVBUFFORCE, SO_RCVBUF);
	set_buffer(fd, SO_SNDBUFFORCE, SO_SNDBUF);
	r = bind_to(&u, port);
	if (r != 0)
		return r;
	*out = u;
	(void)TAKE_FD(fd);
	return 0;
}

/* Sockets of one user may share a port by SO_REUSEPORT: is somebody there already? */
static int probe(uint16_t port)
{
	struct udp u = {.fd = -1};
	int r = make_socket(&u);

	if (r == 0)
		r = bind_to(&u, port);
	if (u.fd >= 0)
		close(u.fd);
	return r;
}

int udp_open(uint16_t port, unsigned n, struct udp *out)
{
	unsigned i = 0;
	int r = probe(port);

	while (r == 0 && i < n) {
		r = one_open(port, &out[i]);
		i += r == 0;
	}
	if (r == 0)
		r = steer(out[0].fd, n);
	while (r != 0 && i > 0)
		close(out[--i].fd);
	return r;
}

static struct cmsghdr *put_control(struct msghdr *m, struct cmsghdr *c, int level, int type, const void *data,
				   size_t size)
{
	c = c ? CMSG_NXTHDR(m, c) : CMSG_FIRSTHDR(m);
	c->cmsg_level = level;
	c->cmsg_type = type;
	c->cmsg_len = CMSG_LEN(size);
	memcpy(CMSG_DATA(c), data, size);
	return c;
}

/* Where a socket is of both families, an IPv4 source goes by IPv6's option, in its mapped form. */
static void put_source(struct msghdr *m, struct cmsghdr *c, const struct udp *u, const struct addr *from, size_t *size)
{
	struct in6_pktinfo v6 = {.ipi6_ifindex = 0};
	struct in_pktinfo v4 = {.ipi_spec_dst.s_addr = htonl(addr_v4_number(from))};

	if (u->v4) {
		*size += CMSG_SPACE(sizeof(v4));
		put_control(m, c, IPPROTO_IP, IP_PKTINFO, &v4, sizeof(v4));
		return;
	}
	*size += CMSG_SPACE(sizeof(v6));
	memcpy(&v6.ipi6_addr, from->bytes, sizeof(v6.ipi6_addr));
	put_control(m, c, IPPROTO_IPV6, IPV6_PKTINFO, &v6, sizeof(v6));
}

static void set_control(struct msghdr *m, struct control *control, const struct udp *u, const struct addr *from,
			uint16_t segment)
{
	struct cmsghdr *c = NULL;
	size_t size = 0;

	*control = (struct control){.bytes = {0}};
	m->msg_control = control->bytes;
	m->msg_controllen = sizeof(control->bytes);
	if (segment) {
		c = put_control(m, c, IPPROTO_UDP, OPTION_SEGMENT, &segment, sizeof(segment));
		size += CMSG_SPACE(sizeof(segment));
	}
	if (!addr_is_unspecified(from))
		put_source(m, c, u, from, &size);
	m->msg_controllen = size;
}

static int send_once(int fd, const struct msghdr *m)
{
	for (int turn = 0; sendmsg(fd, m, 0) < 0; turn++) {
		struct pollfd p = {fd, POLLOUT, 0};

		if (errno == EINTR)
			continue;
		if (errno != EAGAIN || turn > 0)
			return -errno;
		poll(&p, 1, WAIT_MS);
	}
	return 0;
}

int udp_send(const struct udp *u, const struct endpoint *to, const struct addr *from, uint8_t *data, size_t size,
	     size_t each)
{
	union address a;
	struct iovec v = {data, size};
	struct msghdr m = {.msg_name = &a, .msg_iov = &v, .msg_iovlen = 1};
	struct control control;
	int r = address_of(u, to, &a, &m.msg_namelen);

	if (r != 0)
		return r;
	set_control(&m, &control, u, from, size > each ? (uint16_t)each : 0);
	r = send_once(u->fd, &m);
	if (size <= each || (r != -EINVAL && r != -EMSGSIZE && r != -EIO))
		return r;
	/* the device, or a link shorter than we were told, cannot take them together */
	set_control(&m, &control, u, from, 0);
	r = 0;
	for (size_t at = 0, one; at < size && r == 0; at += one) {
		one = size - at < each ? size - at : each;
		v = (struct iovec){data + at, one};
		r = send_once(u->fd, &m);
	}
	return r;
}

static int set_cutting(const struct udp *u, bool v4, int how)
{
	return setsockopt(u->fd, v4 ? IPPROTO_IP : IPPROTO_IPV6, v4 ? IP_MTU_DISCOVER : IPV6_MTU_DISCOVER, &how,
			  sizeof(how)) == 0 ? 0 : -errno;
}

int udp_send_whole(const struct udp *u, const struct endpoint *to, const struct addr *from, uint8_t *data, size_t size)
{
	bool v4 = addr_is_v4(&to->addr);
	int r = set_cutting(u, v4, IP_PMTUDISC_PROBE), back;

	if (r != 0)
		return r;
	r = udp_send(u, to, from, data, size, size);
	back = set_cutting(u, v4, IP_PMTUDISC_DONT);
	return r != 0 ? r : back;
}

static size_t gro_size(struct msghdr *m, size_t size)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
		int each;

		if (c->cmsg_level != IPPROTO_UDP || c->cmsg_type != OPTION_GRO)
			continue;
		memcpy(&each, CMSG_DATA(c), sizeof(each));
		return each > 0 ? (size_t)each : size;
	}
	return size;
}

int udp_receive(const struct udp *u, uint8_t *data, size_t size, size_t *each, struct endpoint *from)
{
	union address a = {.any.sa_family = AF_INET6};
	struct iovec v = {data, size};
	struct control control;
	struct msghdr m = {.msg_name = &a, .msg_namelen = sizeof(a), .msg_iov = &v, .msg_iovlen = 1,
			   .msg_control = control.bytes, .msg_controllen = sizeof(control.bytes)};
	ssize_t got = recvmsg(u->fd, &m, 0);

	if (got < 0)
		return -errno;
	*each = gro_size(&m, (size_t)got);
	*from = endpoint_of(&a);
	return (int)got;
}

uint64_t udp_dropped(const struct udp *u)
{
	uint32_t info[SK_MEMINFO_VARS] = {0};
	socklen_t size = sizeof(info);

	return getsockopt(u->fd, SOL_SOCKET, SO_MEMINFO, info, &size) == 0 ? info[SK_MEMINFO_DROPS] : 0;
}
