/* SPDX-License-Identifier: Apache-2.0 */
/*
 * quota.h - how near the daemon is to what it may use: descriptors, and memory of its control group.
 *
 * Who is out of either cannot say so any more, so it is said before.  quota_open before the sandbox, which lets nobody
 * open these files later; quota_check as often as one likes: a few system calls.  Control thread.
 */
#ifndef ISTHMUS_QUOTA_H
#define ISTHMUS_QUOTA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct quota {
	int used, limit, stat; /* of the control group; -1 = it has no limit that can be read */
	bool unified;          /* version 2 of control groups */
};

#define QUOTA_NONE ((struct quota){-1, -1, -1, false})

void quota_open(struct quota *q);
void quota_close(struct quota *q);
/* Writes why not; true also where there is no limit. */
bool quota_has_room(const struct quota *q, uint64_t bytes, char *out, size_t size);
/* Writes what is short and what to do; false = nothing is. */
bool quota_check(const struct quota *q, char *out, size_t size);

#endif
