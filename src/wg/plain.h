/* SPDX-License-Identifier: Apache-2.0 */
/*
 * plain.h - peers that run any WireGuard program: a TAP device for each is the port behind which the data plane has them.
 *
 *     peer -> worker: open, is the source an address of it?, merge -> its TAP -> port_ingress, as from any workload
 *     port_egress -> its TAP -> the reader: cut, seal, UDP_SEGMENT -> peer
 *
 * The reader is a worker (worker.h) that listens to the TAPs of all of them and to no socket.  What a link knows of its
 * port is one value that never changes: another one takes its place.
 *
 * Call order: plain_start before the first; plain_set, plain_end, under plane.lock; plain_stop, when no link is left
 * plain_fini.
 */
#ifndef ISTHMUS_WG_PLAIN_H
#define ISTHMUS_WG_PLAIN_H

#include "wg/worker.h"

struct plain {
	struct grace_node retired;
	struct tap tap;
	bool lost; /* somebody removed the device */
	size_t n_addresses;
	struct addr addresses[]; /* in order */
};

struct plain_reader {
	struct worker *worker; /* NULL = not started */
	int epoll;
	pthread_t thread;
	bool runs;
};

/* `number`: as reader of plane.grace; `udp`: to send with.  0; -ENOMEM; another errno. */
int plain_start(struct plain_reader *r, struct plane *plane, unsigned number, const struct udp *udp);
void plain_stop(struct plain_reader *r); /* when plane.stop is set; one of zeroes is allowed, here and below */
void plain_fini(struct plain_reader *r);

/*
 * Gives a link its port, or another one; a device that is there already stays, one that was taken away is made anew.
 * 0; an error of tap_open; -ENOMEM.
 */
int plain_set(struct link *l, const struct plain_reader *r, const struct tunnel_port *port);
/* Nobody reads it any more; the device stays. */
void plain_end(struct link *l, const struct plain_reader *r);

/* What was opened of such a link's, in a worker's turn. */
void plain_deliver(struct worker *w, struct link *l, const struct packet *packets, size_t n);

#endif
