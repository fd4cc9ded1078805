/* SPDX-License-Identifier: Apache-2.0 */
/*
 * segment.h - super-packets of TCP, bare or in VXLAN: cut into packets of the wire's size before they are sealed, and
 * merged again after they were opened, so that a workload's 64 KB cross a TAP device once and not 45 times.
 *
 *     outer IP | UDP | VXLAN | Ethernet | IP | TCP | payload ...      cut: all headers in front of each piece
 *
 * Both ends speak struct segment_header, as a TAP device with IFF_VNET_HDR does.  Cutting copies headers and payload to
 * where they are sealed in place.  Merging copies nothing: it makes a list of pieces for writev.  What cannot be cut or
 * merged goes through as it is.  Hostile on both sides: what a workload or a peer writes is believed after it was
 * checked.  Pure, any thread.
 */
#ifndef ISTHMUS_WG_SEGMENT_H
#define ISTHMUS_WG_SEGMENT_H

#include <assert.h>
#include <linux/virtio_net.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#define SEGMENT_MAX 64          /* pieces that one UDP_SEGMENT takes */
#define SEGMENT_HEADERS_MAX 512 /* in front of each: two IP headers, TCP's, and a tunnel's with options between them */

/*
 * What stands in front of a super-packet.  Older kernels know the first ten bytes; with 24 it is struct
 * virtio_net_hdr_v1_hash_tunnel of Linux 6.17, and the gso_type may say that the TCP is in a UDP tunnel.  Offsets count
 * from the packet's IP header.
 */
struct segment_header {
	struct virtio_net_hdr plain;
	uint8_t unused[10];
	uint16_t outer_l4, inner; /* little-endian: the tunnel's UDP header, and the IP header in it */
};
static_assert(sizeof(struct segment_header) == 24, "the kernel's layout");

enum { /* in gso_type, by the outer IP */
	SEGMENT_TUNNEL4 = 0x20,
	SEGMENT_TUNNEL6 = 0x40,
	SEGMENT_TUNNELS = SEGMENT_TUNNEL4 | SEGMENT_TUNNEL6,
};

struct segment_shape {
	size_t inner;       /* where the IP header before TCP begins; 0 = there is no tunnel */
	size_t l4, headers; /* where TCP begins, and where its payload does */
	bool v6, outer_v6;
};

struct segment_cut {
	const uint8_t *packet;
	size_t size;
	struct segment_shape shape;
	size_t mss;
	size_t n; /* packets that come of it; 1: as it is */
	bool sum; /* the checksum is to be made */
	size_t sum_start, sum_at;
	size_t stale; /* where a UDP header is that has, as the IP header, the length of a larger one; 0 = there is none */
};

/*
 * What becomes of a packet from a TAP device.  0; -EBADMSG: header and packet do not agree; -EMSGSIZE: more than
 * SEGMENT_MAX.  `packet` is borrowed.
 */
int segment_cut_begin(struct segment_cut *c, const struct segment_header *h, const uint8_t *packet, size_t size);
size_t segment_cut_size(const struct segment_cut *c, size_t i); /* of the i-th */
void segment_cut_write(const struct segment_cut *c, size_t i, uint8_t *out);

struct segment_merge {
	struct segment_header header;
	uint8_t head[192];                    /* of the merged packet */
	struct iovec pieces[SEGMENT_MAX + 2]; /* the caller's, head, payloads */
	size_t n;                             /* packets in it */
	struct segment_shape shape;
	size_t mss, payload;
	uint32_t next;       /* sequence number that would follow */
	bool pushed, closed; /* pushed: one of them was; closed: nothing may follow, as the last was short */
};

/*
 * Begins with a packet, whatever it is; its bytes are borrowed until segment_merge_end's pieces were written.
 * `vxlan_port`: what is VXLAN; 0 = nothing is, as whoever reads the pieces takes no super-packets in tunnels.
 */
void segment_merge_begin(struct segment_merge *m, const uint8_t *packet, size_t size, uint16_t vxlan_port);
/* Adds the one that follows; false: it does not belong to it. */
bool segment_merge_add(struct segment_merge *m, const uint8_t *packet, size_t size);
/*
 * Fixes lengths and checksums; the pieces for writev, of which the first is left to the caller for the header and what
 * the device wants besides.  Returns how many.
 */
size_t segment_merge_end(struct segment_merge *m);

#endif
