/* SPDX-License-Identifier: Apache-2.0 */
/*
 * room.h - network namespaces of this process: the node's, with its underlay and port devices, and a far one that holds
 * the other end of each device and a socket that sees what arrives there.
 *
 *	node namespace                                far namespace
 *	u0 (10) 192.0.2.1/24 2001:db8::1/64  ------   x10 (110)
 *	p11 .. p29 (no addresses)            ------   x11 (111) ..
 *	s30 in the place of what encrypts    ------   x30 (130)
 *
 * The namespaces have no names and end with the process.  Call room_open once; everything after it runs in the node's.
 */
#ifndef ISTHMUS_TEST_ROOM_H
#define ISTHMUS_TEST_ROOM_H

#include <stddef.h>
#include <stdint.h>

struct arrival {
	uint32_t ifindex; /* of the node's end */
	size_t size;
	uint8_t data[2048];
};

void room_open(void); /* exits with a message when it cannot */
/* Frames that came out of the node's devices since the last call; waits until `expect` came or 5 s passed without one. */
size_t room_arrivals(struct arrival *out, size_t max, size_t expect);
/* As if the far side had sent it: the frame comes in at the node's end of device `ifindex`. */
void room_send(uint32_t ifindex, const uint8_t *data, size_t size);

/*
 * The same for a super-packet that becomes segments of gso_size: TCP, or UDP from Linux 6.2 on; `far_name`: a device of the
 * far side.
 */
void room_send_super(uint32_t ifindex, const uint8_t *data, size_t size, uint16_t gso_size);
void room_send_super_by(const char *far_name, const uint8_t *data, size_t size, uint16_t gso_size);
/* A frame of more than a page whose linear part ends behind the Ethernet header. */
void room_send_split(uint32_t ifindex, const uint8_t *data, size_t size);
/* As the node's own kernel would send it out of a device. */
void room_send_from_node(uint32_t ifindex, const uint8_t *data, size_t size);
/* In the far namespace: `ip -batch` commands, one a line; a socket. */
void room_far_ip(const char *commands);
int room_far_socket(int domain, int type, int protocol);

#endif
