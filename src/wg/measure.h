/* SPDX-License-Identifier: Apache-2.0 */
/*
 * measure.h - how probes (probe.h) go through a tunnel; private to it.
 *
 * A worker that has opened some puts them, with the moment and the numbers of their session, into an inbox of the
 * protocol thread, which sends and answers.  Those of exact size go out of that thread's socket, uncut (udp.h).  One timer a
 * peer, and none for packets.
 *
 * Call order: measure_add; measure_on_..., measure_path, measure_take, measure_run; measure_remove.  All of it under
 * plane.lock; the worker's part is worker_take_probes (worker.h).
 */
#ifndef ISTHMUS_WG_MEASURE_H
#define ISTHMUS_WG_MEASURE_H

#include "wg/protocol.h"

int measure_add(struct tunnel *t, struct link *l); /* 0 or -ENOMEM */
void measure_remove(struct tunnel *t, struct link *l);

/* What the way to a peer takes at most by what this node knows (IP datagrams), 0 = do not ask. */
void measure_path(struct link *l, uint16_t mtu);
void measure_on_moved(struct link *l);
void measure_on_session(struct link *l); /* a new one, or none any more */
void measure_on_data(struct link *l);

void measure_take(struct tunnel *t); /* the inbox */
void measure_run(struct tunnel *t, uint64_t now_ms);
uint64_t measure_next_ms(const struct tunnel *t);

void measure_status(const struct link *l, struct tunnel_path *out);

#endif
