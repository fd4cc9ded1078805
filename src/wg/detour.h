/* SPDX-License-Identifier: Apache-2.0 */
/*
 * detour.h - the part of relays (relay.h) that is the protocol thread's: handshakes that go through them, and which way to
 * a peer is used while it is used.
 *
 * A way that data is sent by and nothing comes back by is asked whether it still leads there and back, then all ways are,
 * and the first that does is taken: with the session that there is, no handshake is needed.  Whoever goes through a
 * relay tries the direct way now and then.  Nothing is asked where nothing is sent.
 *
 * Under plane.lock, all of it.
 */
#ifndef ISTHMUS_WG_DETOUR_H
#define ISTHMUS_WG_DETOUR_H

#include "wg/protocol.h"

/* 0, -E2BIG: there are RELAYS_MAX.  Whoever goes through one that is none any more has to find another way. */
int detour_set(struct tunnel *t, struct link *l, bool relay);
void detour_forget(struct tunnel *t, struct link *l);

/* A message no longer than a handshake's. */
void detour_send(struct tunnel *t, const struct endpoint *to, const uint8_t *data, size_t size);
bool detour_send_around(struct tunnel *t, const struct link *l, const uint8_t *data, size_t size); /* as device_ops has it */

void detour_on_notes(struct tunnel *t, struct link *l, unsigned notes, const struct link_news *news, uint64_t now_ms);
void detour_watch(struct tunnel *t, uint64_t now_ms); /* those of t->watched, which are looked at while there are any */

#endif
