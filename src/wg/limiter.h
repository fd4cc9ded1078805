/* SPDX-License-Identifier: Apache-2.0 */
/*
 * limiter.h - how much a handshake may cost us: whether we are under load, and how often one source may have its turn.
 *
 * Two parts.  The load counts what came, over the last second: beyond LIMITER_LOAD messages a source first has to
 * prove by a cookie that it is where it says it is (paper, 5.3).  The buckets then hold each proven source (an IPv4
 * address, an IPv6 /64) to LIMITER_RATE a second and LIMITER_BURST at once.  Only proven sources get a bucket, in a
 * table of fixed size in which a newcomer takes the place of the one idle the longest among eight, so memory stays
 * flat whoever floods.  One thread.
 */
#ifndef ISTHMUS_WG_LIMITER_H
#define ISTHMUS_WG_LIMITER_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/addr.h"

#define LIMITER_LOAD 512 /* handshake messages a second: about a tenth of what a core can answer */
#define LIMITER_RATE 20
#define LIMITER_BURST 5

struct limiter;

int limiter_new(struct limiter **out); /* 0 or -ENOMEM */
void limiter_free(struct limiter *l);  /* NULL allowed */

/* Counts a handshake message that came; are we under load?  Once so, for a second at least. */
bool limiter_loaded(struct limiter *l, uint64_t now_ms);
/* May this proven source have one more? */
bool limiter_allow(struct limiter *l, const struct addr *source, uint64_t now_ms);

#endif
