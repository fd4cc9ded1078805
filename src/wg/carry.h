/* SPDX-License-Identifier: Apache-2.0 */
/*
 * carry.h - the part of relays (relay.h) that is a worker's: what goes through one, what one carries, what came by one.
 *
 *     sending    batch of messages for B -> RELAY_BEFORE bytes in front of each, sealed for R where they lie -> R
 *     carrying   payloads of A, FOR B -> FROM A, sealed for B where they lie -> B, in the order they came in
 *     arriving   payloads of R, FROM A -> messages of A, as from a datagram
 *
 * A relay carries between nodes that it knows and reaches directly, and nothing that was carried already: there is one
 * relay at most on a way, and no loop.  Who is no node may neither ask for it nor be asked for.
 */
#ifndef ISTHMUS_WG_CARRY_H
#define ISTHMUS_WG_CARRY_H

#include "wg/worker.h"

static inline bool carry_is_of(const struct packet *p)
{
	return relay_is_payload(p->data + sizeof(struct packet_data), p->size);
}

/* Are they all questions and answers? */
bool carry_asks(const struct link *l, const struct packet *packets, size_t n);

/* Payloads of that link, of which the first carry_is_of: how many from it on are done with. */
size_t carry_take(struct worker *w, struct link *l, const struct endpoint *from, struct packet *packets, size_t n,
		  worker_other_fn other, void *arg);

/* As worker_send, to a relay's endpoint; RELAY_BEFORE and RELAY_BEHIND bytes around each are free. */
void carry_send(struct worker *w, struct link *l, const struct endpoint *to, struct packet *packets, size_t n);

#endif
