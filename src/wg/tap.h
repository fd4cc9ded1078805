/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tap.h - a TAP device with a queue for each worker, and super-packets both ways.
 *
 * Frames have struct segment_header in front of them, or its first ten bytes on kernels before 6.17, which know of no
 * tunnels.  What BPF puts in front of a frame no kernel takes for one: its super-packets come, and are written on those
 * kernels, as TCP whose checksum begins that much later.  Which queue a frame comes from the kernel decides by the
 * hash of its flow (for VXLAN: the outer source port), so a flow stays in order.  The device lives as long as its
 * queues are open.
 *
 * Call order: tap_open; tap_read and tap_write, each queue's by one thread at a time (writing by any); tap_close.
 */
#ifndef ISTHMUS_WG_TAP_H
#define ISTHMUS_WG_TAP_H

#include "wg/segment.h"

#define TAP_QUEUES_MAX 16
#define TAP_PACKET_MAX 65535
#define TAP_ETHERNET 14

struct tap {
	char name[16];
	int queues[TAP_QUEUES_MAX];
	unsigned n_queues;
	unsigned ifindex;
	size_t header_size; /* of struct segment_header that this kernel knows */
	bool tunnels;       /* the header says where they are */
	bool programs_only; /* as tunnel_config has it */
	uint8_t programs[6]; /* the Ethernet source of what they put out */
	uint8_t to[6], from[6]; /* Ethernet addresses of what is written */
};

/* A frame, in the place where it is read to. */
struct tap_frame {
	struct segment_header header;
	uint8_t *packet; /* behind the Ethernet header, in `bytes` */
	size_t size;
	uint8_t bytes[sizeof(struct segment_header) + TAP_ETHERNET + TAP_PACKET_MAX];
};

/* 0; -EEXIST; -EUSERS: somebody else has opened it; -ENOENT: no /dev/net/tun; -EPERM; another errno. */
int tap_open(struct tap *t, const char *name, unsigned queues, uint16_t mtu);
/*
 * With one queue, and down: no frame crosses it before somebody sets it up.  What comes out of it are packets of
 * programs, whose source is `gateway`; what is written is for that gateway, from `mac`.  Whoever wants it gone removes it:
 * tap_close leaves it there, without a reader, and the next tap_open_port takes it as it is.  Errors as above.
 */
#define TAP_PORT_ALIAS "isthmus peer" /* by which it is known */
bool tap_is_port(const char *name, bool *is_open); /* is there one of that name, and has somebody opened it (or NULL)? */
int tap_open_port(struct tap *t, const char *name, uint16_t mtu, const uint8_t gateway[static 6],
		  const uint8_t mac[static 6]);
/* Others from now on, of one that is not in use. */
void tap_address(struct tap *t, const uint8_t gateway[static 6], const uint8_t mac[static 6]);
void tap_close(struct tap *t);
int tap_mtu_set(const struct tap *t, uint16_t mtu);
uint64_t tap_dropped(const struct tap *t); /* by the kernel, as nobody read them in time */

/*
 * 0; -EAGAIN: no more; -EPROTO: one that is no IP packet, -EPERM: one that is no program's, and was taken out; -EBADFD:
 * the device is gone; another errno, and nothing was read.
 */
int tap_read(const struct tap *t, int queue, struct tap_frame *f);
/* What a merge has become.  0 or -errno: it is lost. */
int tap_write(const struct tap *t, int queue, struct segment_merge *m);

#endif
