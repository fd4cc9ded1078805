/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bgp_socket.h - TCP under the speaker: connects, accepts, and carries bytes.
 *
 * A connection is a number above 0 that is never used twice.  Only peers that were put may connect; strangers are reset at
 * once.  With a key (RFC 2385) or a distance (RFC 5082) the kernel throws away what does not fit before anybody sees it.
 * Nothing is called from within a function of this file: what happens comes from the loop.
 *
 * A peer is inside, or it is not.  The connections of one that is are bound to a device, and go by it or nowhere; they have a
 * mark, by which our programs know them (bpf/abi.h).  Who comes on the other side than his is reset.  Without the device he
 * waits.
 *
 * What is bounded: connections that a peer may have open to us (4), what is read of one at a turn (64 KB), those that are
 * closed and still deliver (64, for 5 s).  A process that has no descriptors left accepts again a second later.
 *
 * Call order: bgp_sockets_new, bgp_sockets_listen (again when addresses or the device change), bgp_sockets_peer_put, then any;
 * bgp_sockets_free.  Control thread.
 */
#ifndef ISTHMUS_AGENT_BGP_SOCKET_H
#define ISTHMUS_AGENT_BGP_SOCKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/addr.h"

struct loop;
struct bgp_sockets;

#define BGP_SOCKET_KEY_SIZE 81 /* of a key, with the closing NUL */

struct bgp_socket_ops { /* any function of this file but bgp_sockets_free may be called from within */
	void (*accepted)(void *arg, uint64_t handle, const struct addr *remote);
	void (*connected)(void *arg, uint64_t handle);
	void (*connect_failed)(void *arg, uint64_t handle, const char *reason);
	void (*bytes)(void *arg, uint64_t handle, const uint8_t *data, size_t size);
	void (*writable)(void *arg, uint64_t handle); /* after bgp_sockets_send has taken less than all */
	void (*closed)(void *arg, uint64_t handle, const char *reason); /* by the peer, or it broke; nothing is left of it */
};

int bgp_sockets_new(struct loop *loop, const struct bgp_socket_ops *ops, void *arg, struct bgp_sockets **out);
void bgp_sockets_free(struct bgp_sockets *s); /* NULL allowed; all are closed */

/*
 * On these addresses of this node, of one family each; they need not be there yet.  `device`: the number of that of peers
 * inside, 0 = there is none; connections by another one are lost.  0 or -errno: on some it does not.
 */
int bgp_sockets_listen(struct bgp_sockets *s, uint16_t port, const struct addr *locals, size_t n, uint32_t device);

/*
 * New or changed.  `local`: where to connect from, unspecified = any.  `key`: "" = none; a new one counts for connections
 * that are open, too.  `ttl_hops`: at most so many hops away, 0 = anywhere; the same.  Who changes sides loses connections
 * that he has, so the speaker has to have closed them.  0; -ENOMEM, -EINVAL: nothing
 * changed; -ENOBUFS and others: the key could not be set (bgp_guard.h), and nobody gets in until it is put again and can be.
 */
int bgp_sockets_peer_put(struct bgp_sockets *s, const struct addr *remote, const struct addr *local, const char *key,
			 uint8_t ttl_hops, bool inside);
void bgp_sockets_peer_remove(struct bgp_sockets *s, const struct addr *remote); /* its connections are closed */

/*
 * 0 and its number, or -errno: it failed at once; -ENETDOWN: there is no device.  `mss`: bytes of a segment that the way takes,
 * 0 = as the kernel knows it.
 */
int bgp_sockets_connect(struct bgp_sockets *s, const struct addr *remote, uint16_t mss, uint64_t *handle);
size_t bgp_sockets_send(struct bgp_sockets *s, uint64_t handle, const uint8_t *data, size_t size); /* bytes taken */
/* What was taken is still delivered: a reset would overtake it, so what the peer sends is read and thrown away first. */
void bgp_sockets_close(struct bgp_sockets *s, uint64_t handle);

#endif
