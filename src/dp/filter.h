/* SPDX-License-Identifier: Apache-2.0 */
/*
 * filter.h - which tc filters are where; private to dp/.
 *
 * libbpf attaches and detaches; it cannot list, and it opens a socket for every question, which is too slow to look
 * after a thousand ports every second.  So the questions are asked here, over one socket.
 */
#ifndef ISTHMUS_DP_FILTER_H
#define ISTHMUS_DP_FILTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum filter_side {
	FILTER_INGRESS,
	FILTER_EGRESS,
};

struct filter {
	uint32_t priority, handle;
	uint32_t program_id; /* 0 = not a BPF filter */
	char name[64];       /* "program:[id]" */
};

struct filters {
	int fd; /* -1 = closed */
	uint32_t sequence;
};

int filters_open(struct filters *f);
void filters_close(struct filters *f);

/* 0; -ENOENT: no such filter, or no clsact; -ENODEV: no such device */
int filters_get(struct filters *f, uint32_t ifindex, enum filter_side side, uint32_t priority, uint32_t handle,
		struct filter *out);
/*
 * The one that packets meet first on this side of the clsact, and, of the same question, the one of this priority and
 * handle (its handle is 0: there is none); 0, -ENOENT: there is not one.
 */
int filters_first(struct filters *f, uint32_t ifindex, enum filter_side side, uint32_t priority, uint32_t handle,
		  struct filter *first, struct filter *named);
/* Number of filters of any kind on both sides of the device's clsact; 0 also when it has none. */
int filters_count(struct filters *f, uint32_t ifindex);
/* Is the device's qdisc for what comes in a clsact (1), or another, such as "ingress" (0)? -ENOENT: it has none. */
int filters_clsact(struct filters *f, uint32_t ifindex);
/* The devices that have a clsact, in a malloc'd array. */
int filters_devices(struct filters *f, uint32_t **ifindexes, size_t *length);

#endif
