/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bgp_guard.h - what a socket of BGP refuses by itself: segments without the neighbor's key (RFC 2385), and those that come
 * from farther away than the neighbor is (RFC 5082).
 *
 * The kernel does it, before anybody sees a byte.  0 or -errno.  Control thread.
 */
#ifndef ISTHMUS_AGENT_BGP_GUARD_H
#define ISTHMUS_AGENT_BGP_GUARD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#define BGP_GUARD_TTL 255 /* what we send with; RFC 5082 3: what comes with less has passed a router */

/*
 * Of a connection or of a listener, for what comes from `remote`; "" takes the one that is there away.  -ENOBUFS: the
 * socket holds as many as net.core.optmem_max allows.
 */
int bgp_guard_key(int fd, const struct sockaddr_storage *remote, const char *key);

/* From at most so many hops away; 0 = anywhere.  Of a listener: a connection has it from its first segment on. */
int bgp_guard_distance(int fd, bool v4, uint8_t hops);

/* For bgp_guard_came_near, of a listener. */
int bgp_guard_remember(int fd);

/*
 * Did the SYN of this accepted connection start at most so many hops away?  No, where it is not known (SYN cookies).  Who is
 * farther does not learn the sequence numbers that its later segments would need.
 */
bool bgp_guard_came_near(int fd, bool v4, uint8_t hops);

#endif
