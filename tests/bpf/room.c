/* SPDX-License-Identifier: Apache-2.0 */
#include "room.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fabric.h"

/* Only a test that fails waits so long. */
#define PATIENCE_MS 5000
#define GSO_UDP_L4 5 /* linux/virtio_net.h of 6.2 */
#define PORT_MTU 9000 /* a frame of more than a page is the only one that a packet socket splits */

static int capture = -1, far_ns = -1, node_ns = -1;

static void die(const char *what)
{
	fprintf(stderr, "room: %s: %s\n", what, strerror(errno));
	exit(99);
}

static void write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		die(path);
	close(fd);
}

static int new_namespace(void)
{
	int fd;

	if (unshare(CLONE_NEWNET) < 0)
		die("unshare (are you root?)");
	fd = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		die("/proc/thread-self/ns/net");
	/* no chatter of the kernel's own on the devices */
	write_file("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1");
	return fd;
}

static void ip_batch(const char *commands)
{
	FILE *ip = popen("ip -batch -", "w");

	if (!ip || fputs(commands, ip) < 0 || pclose(ip) != 0) {
		fprintf(stderr, "room: ip refused one of:\n%s", commands);
		exit(99);
	}
}

static int mtu_of(int ifindex)
{
	return ifindex == IF_UNDERLAY ? UNDERLAY_MTU : ifindex == IF_SECURE ? SECURE_MTU : PORT_MTU;
}

static void make_devices(int far)
{
	char text[16384];
	size_t n = 0;
	pid_t pid = getpid();

#define SAY(...) n += (size_t)snprintf(text + n, sizeof(text) - n, __VA_ARGS__)
	SAY("link set lo up\n");
	for (int i = IF_UNDERLAY; i < IF_END; i++) {
		const char *kind = i == IF_UNDERLAY ? "u" : i == IF_SECURE ? "s" : "p";

		SAY("link add %s%d index %d mtu %d address %s type veth peer name x%d index %d\n", kind, i, i,
		    mtu_of(i), i == IF_UNDERLAY ? UNDERLAY_MAC : "02:fd:00:00:00:01", i, i + IF_FAR);
		SAY("link set x%d netns /proc/%d/fd/%d\n", i, pid, far);
		SAY("link set %s%d up multicast off\n", kind, i);
	}
	ip_batch(text);
	n = 0;
	write_file("/proc/sys/net/ipv6/conf/u10/disable_ipv6", "0");
	write_file("/proc/sys/net/ipv6/conf/u10/accept_ra", "0");
	SAY("address add " SELF4 "/24 dev u10\naddress add " SELF6 "/64 dev u10 nodad\n");
	SAY("neighbour add " NODE4 " lladdr " NODE4_MAC " dev u10 nud permanent\n");
	SAY("neighbour add " FOREIGN " lladdr " FOREIGN_MAC " dev u10 nud permanent\n");
	SAY("neighbour add " NODE6 " lladdr " NODE6_MAC " dev u10 nud permanent\n");
	SAY("route add 10.7.0.41 via " NODE4 "\nroute add fd00:7::41 via " NODE6 "\n");
	SAY("route add 10.7.0.42 via " NO_NEIGHBOUR4 "\nroute add fd00:7::42 via " NO_NEIGHBOUR6 "\n");
	SAY("route add " ELSEWHERE4 " dev p11\n");
	ip_batch(text);
	/* no address of its own: it would tell the link of its groups, seconds later */
	ip_batch("link set p11 addrgenmode none\n");
	write_file("/proc/sys/net/ipv6/conf/p11/disable_ipv6", "0");
	ip_batch("route add " ELSEWHERE6 " dev p11\n");
	write_file("/proc/sys/net/ipv6/conf/p11/accept_ra", "0");
	/* the way out of the programs is a look-up "forwarded" from lo */
	write_file("/proc/sys/net/ipv4/conf/lo/forwarding", "1");
	write_file("/proc/sys/net/ipv6/conf/lo/disable_ipv6", "0");
	write_file("/proc/sys/net/ipv6/conf/lo/forwarding", "1");
#undef SAY
}

static void open_far(void)
{
	char text[4096];
	size_t n = 0;
	int size = 1 << 22;

	for (int i = IF_UNDERLAY; i < IF_END; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "link set x%d up arp off mtu %d\n", i, mtu_of(i));
	ip_batch(text);
	capture = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, htons(ETH_P_ALL));
	if (capture < 0)
		die("packet socket");
	if (setsockopt(capture, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) < 0)
		die("SO_RCVBUFFORCE");
}

static void enter(int ns)
{
	if (setns(ns, CLONE_NEWNET) < 0)
		die("setns");
}

void room_open(void)
{
	far_ns = new_namespace();
	node_ns = new_namespace();
	make_devices(far_ns);
	enter(far_ns);
	open_far();
	enter(node_ns);
}

void room_far_ip(const char *commands)
{
	enter(far_ns);
	ip_batch(commands);
	enter(node_ns);
}

int room_far_socket(int domain, int type, int protocol)
{
	int fd;

	enter(far_ns);
	fd = socket(domain, type | SOCK_CLOEXEC, protocol);
	if (fd < 0)
		die("socket");
	enter(node_ns);
	return fd;
}

/* What the node's own kernel says on the underlay (ARP and ND for its neighbours) is not the data plane's. */
static bool is_own(const struct arrival *a)
{
	const uint8_t *p = a->data;

	if (a->ifindex != IF_UNDERLAY || a->size < 14)
		return false;
	return !(p[12] == 0x08 && p[13] == 0 && a->size > 42 && p[23] == IP_UDP &&
		 (p[36] << 8 | p[37]) == VXLAN_PORT) &&
	       !(p[12] == 0x86 && p[13] == 0xdd && a->size > 62 && p[20] == IP_UDP &&
		 (p[56] << 8 | p[57]) == VXLAN_PORT);
}

size_t room_arrivals(struct arrival *out, size_t max, size_t expect)
{
	size_t n = 0;

	for (;;) {
		struct sockaddr_ll from;
		socklen_t length = sizeof(from);
		struct arrival *a = &out[n < max ? n : max - 1];
		ssize_t size =
			recvfrom(capture, a->data, sizeof(a->data), MSG_TRUNC, (struct sockaddr *)&from, &length);

		if (size < 0) {
			struct pollfd wait = { .fd = capture, .events = POLLIN };

			if (n >= expect || poll(&wait, 1, PATIENCE_MS) <= 0)
				return n;
			continue;
		}
		if (from.sll_pkttype == PACKET_OUTGOING)
			continue;
		a->ifindex = (uint32_t)from.sll_ifindex - IF_FAR;
		a->size = (size_t)size;
		if (!is_own(a))
			n++;
	}
}

static void send_frame(int fd, uint32_t ifindex, const uint8_t *data, size_t size)
{
	struct sockaddr_ll to = { .sll_family = AF_PACKET, .sll_ifindex = (int)ifindex, .sll_halen = 6 };

	memcpy(to.sll_addr, data, 6);
	/* ENOBUFS: an egress hook dropped it */
	if (sendto(fd, data, size, 0, (struct sockaddr *)&to, sizeof(to)) != (ssize_t)size && errno != ENOBUFS)
		die("send");
}

void room_send(uint32_t ifindex, const uint8_t *data, size_t size)
{
	send_frame(capture, ifindex + IF_FAR, data, size);
}

void room_send_from_node(uint32_t ifindex, const uint8_t *data, size_t size)
{
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);

	if (fd < 0)
		die("packet socket");
	send_frame(fd, ifindex, data, size);
	close(fd);
}

static void send_with_head(uint32_t far_ifindex, struct virtio_net_hdr *head, const uint8_t *data, size_t size)
{
	struct iovec parts[] = { { head, sizeof(*head) }, { (void *)(uintptr_t)data, size } };
	struct sockaddr_ll to = { .sll_family = AF_PACKET, .sll_ifindex = (int)far_ifindex, .sll_halen = 6,
				  .sll_protocol = data[12] == 0x86 ? htons(ETH_P_IPV6) : htons(ETH_P_IP) };
	struct msghdr message = { .msg_name = &to, .msg_namelen = sizeof(to), .msg_iov = parts, .msg_iovlen = 2 };
	int one = 1, fd = room_far_socket(AF_PACKET, SOCK_RAW, 0);

	if (setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &one, sizeof(one)) < 0 || sendmsg(fd, &message, 0) < 0)
		die("send with a virtio header");
	close(fd);
}

/* The kernel gets the segment size and what is left to sum up in a header before the frame. */
static void send_super(uint32_t far_ifindex, const uint8_t *data, size_t size, uint16_t gso_size)
{
	bool v6 = data[12] == 0x86, udp = data[v6 ? 20 : 23] == IP_UDP;
	struct virtio_net_hdr head = { .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
				       .gso_type = udp	? GSO_UDP_L4 :
						   v6	? VIRTIO_NET_HDR_GSO_TCPV6 :
							  VIRTIO_NET_HDR_GSO_TCPV4,
				       .gso_size = gso_size,
				       .csum_start = v6 ? 54 : 34,
				       .csum_offset = udp ? 6 : 16 };

	head.hdr_len = (uint16_t)(head.csum_start + (udp ? 8 : 20));
	send_with_head(far_ifindex, &head, data, size);
}

void room_send_split(uint32_t ifindex, const uint8_t *data, size_t size)
{
	struct virtio_net_hdr head = { .hdr_len = ETH_HLEN };

	send_with_head(ifindex + IF_FAR, &head, data, size);
}

void room_send_super(uint32_t ifindex, const uint8_t *data, size_t size, uint16_t gso_size)
{
	send_super(ifindex + IF_FAR, data, size, gso_size);
}

void room_send_super_by(const char *far_name, const uint8_t *data, size_t size, uint16_t gso_size)
{
	uint32_t ifindex;

	enter(far_ns);
	ifindex = if_nametoindex(far_name);
	enter(node_ns);
	if (!ifindex)
		die(far_name);
	send_super(ifindex, data, size, gso_size);
}
