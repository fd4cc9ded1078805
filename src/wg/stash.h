/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stash.h - packets that wait for a session, in their order: one worker's, in memory that is taken once.
 *
 * A peer may have STASH_PER_LINK of them with all workers together, so that one that does not answer takes nothing from
 * the others.  The packets are kept as they came, super-packets whole.  One thread.
 */
#ifndef ISTHMUS_WG_STASH_H
#define ISTHMUS_WG_STASH_H

#include "wg/plane.h"

#define STASH_SIZE (1 << 20)
#define STASH_PER_LINK 64
#define STASH_AGE_MS 90000 /* as long as an answer is waited for (paper, 6.1) */

struct stash {
	uint8_t *bytes;
	size_t used;
};

struct stash_packet {
	struct link *link;
	uint64_t since_ms;
	uint32_t rounds; /* of the link, when it came */
	uint32_t size;
	struct segment_header header;
	uint8_t packet[];
};

int stash_init(struct stash *s); /* 0 or -ENOMEM */
void stash_fini(struct stash *s);

bool stash_add(struct stash *s, struct link *l, const struct segment_header *header, const uint8_t *packet, size_t size,
	       uint64_t now_ms); /* false: full */

/* Calls for each in turn; those for which it answers true are done with. */
typedef bool (*stash_fn)(void *arg, const struct stash_packet *p);
void stash_visit(struct stash *s, stash_fn fn, void *arg);

#endif
