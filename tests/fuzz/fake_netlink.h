/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fake_netlink.h - rtnetlink without a kernel: libmnl's sockets and, for src/dp, libc's are played here.
 *
 * A program that links fake_netlink.c (and has socket, bind, setsockopt, send and recv wrapped, see meson.build) asks
 * the answerer that was set last: it gets the last request of the socket that reads, NULL for one that only listens,
 * and fills the buffer.  fake_kernel is an answerer that behaves: a few links and addresses, no route, no filter.
 */
#ifndef ISTHMUS_FAKE_NETLINK_H
#define ISTHMUS_FAKE_NETLINK_H

#include <linux/netlink.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Bytes of one datagram, or -errno; -EAGAIN when there is nothing to be read. */
typedef ssize_t (*fake_answer_fn)(void *arg, const struct nlmsghdr *request, uint8_t *buffer, size_t size);

void fake_netlink_set(fake_answer_fn answer, void *arg);
/* Every request that fails to be sent from now on; 0 = none. */
void fake_netlink_fail_sends(int error);

/* ---- the small kernel ---- */

#define FAKE_UNDERLAY 2 /* ifindex of u0: 192.0.2.11, 2001:db8::11 */

/* Links: lo (1), u0 (2), web1 (11), web2 (12), app1 (13), all up; app1 is not a veth. */
ssize_t fake_kernel(void *arg, const struct nlmsghdr *request, uint8_t *buffer, size_t size);

#endif
