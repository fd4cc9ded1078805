/* SPDX-License-Identifier: Apache-2.0 */
/*
 * segment.h - super-packets of TCP: cut into packets of the wire's size before they are sealed, and merged again
 * after they were opened, so that a workload's 64 KB cross a TUN device once and not 45 times.
 *
 * Both ends speak struct virtio_net_hdr (linux/virtio_net.h), as a TUN device with IFF_VNET_HDR does.  Cutting copies
 * headers and payload to where they are sealed in place.  Merging copies nothing: it makes a list of pieces for
 * writev.  What cannot be cut or merged goes through as it is.  Hostile on both sides: what a workload or a peer
 * writes is believed after it was checked.  Pure, any thread.
 */
#ifndef ISTHMUS_WG_SEGMENT_H
#define ISTHMUS_WG_SEGMENT_H

#include <linux/virtio_net.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#define SEGMENT_MAX 64 /* pieces that one UDP_SEGMENT takes */

struct segment_cut {
	const uint8_t *packet;
	size_t size;
	size_t l4, headers; /* where TCP begins, and where its payload does */
	size_t mss;
	size_t n;           /* packets that come of it; 1: as it is */
	bool v6, sum;       /* sum: the checksum is to be made */
	size_t sum_start, sum_at;
};

/*
 * What becomes of a packet from a TUN device.  0; -EBADMSG: header and packet do not agree; -EMSGSIZE: more than
 * SEGMENT_MAX.  `packet` is borrowed.
 */
int segment_cut_begin(struct segment_cut *c, const struct virtio_net_hdr *h, const uint8_t *packet, size_t size);
size_t segment_cut_size(const struct segment_cut *c, size_t i); /* of the i-th */
void segment_cut_write(const struct segment_cut *c, size_t i, uint8_t *out);

struct segment_merge {
	struct virtio_net_hdr header;
	uint8_t head[128];             /* of the merged packet */
	struct iovec pieces[SEGMENT_MAX + 2]; /* header, head, payloads */
	size_t n;                      /* packets in it */
	size_t l4, head_size, mss, payload;
	uint32_t next;                 /* sequence number that would follow */
	bool v6, pushed, closed;       /* closed: nothing may follow, as the last was short or pushed */
};

/* Begins with a packet, whatever it is; its bytes are borrowed until segment_merge_end's pieces were written. */
void segment_merge_begin(struct segment_merge *m, const uint8_t *packet, size_t size);
/* Adds the one that follows; false: it does not belong to it. */
bool segment_merge_add(struct segment_merge *m, const uint8_t *packet, size_t size);
/* Fixes lengths and checksums; the pieces for writev, of which the first is the virtio header.  Returns how many. */
size_t segment_merge_end(struct segment_merge *m);

#endif
