/* SPDX-License-Identifier: Apache-2.0 */
/*
 * udp.h - sockets on one UDP port for both families, with runs of datagrams both ways (UDP_SEGMENT, UDP_GRO).
 *
 * The sockets share the port (SO_REUSEPORT), and a filter tells the kernel which of them a datagram is for: data by the
 * high byte of the receiver index in it, which is the peer's (index.h); all else is the last socket's.  The kernel may
 * have put a handshake message behind data of the same sender, so whoever reads looks at each.
 *
 * Call order: udp_open; udp_send, udp_receive, any thread; close each fd.
 */
#ifndef ISTHMUS_WG_UDP_H
#define ISTHMUS_WG_UDP_H

#include "wg/endpoint.h"

#define UDP_RUN_MAX 65507 /* bytes that one UDP_SEGMENT takes */
#define UDP_DATAGRAM_MAX 65535

struct udp {
	int fd;
	bool v4; /* of IPv4 alone, as this kernel has no IPv6 */
};

/* n - 1 for data, the last for all else.  0; -EADDRINUSE; another errno. */
int udp_open(uint16_t port, unsigned n, struct udp *out);

/*
 * Datagrams of `each` bytes, one behind the other, the last may be shorter; at most UDP_RUN_MAX and 64.  `from`: the
 * source; unspecified = as the kernel routes.  0; -errno: some are lost.
 */
int udp_send(const struct udp *u, const struct endpoint *to, const struct addr *from, uint8_t *data, size_t size,
	     size_t each);
/*
 * One, that nobody on the way may cut, whatever the kernel thinks of the path (RFC 8899 4.1).  -EMSGSIZE: longer than the
 * link.  Of a socket, one thread at a time, and none that sends otherwise meanwhile.
 */
int udp_send_whole(const struct udp *u, const struct endpoint *to, const struct addr *from, uint8_t *data, size_t size);
/* Returns how many bytes, of datagrams of `each`, the last may be shorter; -EAGAIN; -errno. */
int udp_receive(const struct udp *u, uint8_t *data, size_t size, size_t *each, struct endpoint *from);
uint64_t udp_dropped(const struct udp *u); /* by the kernel, as the socket was full */

#endif
