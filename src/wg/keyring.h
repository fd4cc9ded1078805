/* SPDX-License-Identifier: Apache-2.0 */
/*
 * keyring.h - the keypairs of a peer (peer.h says which four): made from a handshake, used one after the other,
 * forgotten; private to peer.c.  The owner of the device hears of each (device_ops.session_made and its neighbors).
 */
#ifndef ISTHMUS_WG_KEYRING_H
#define ISTHMUS_WG_KEYRING_H

#include "wg/keypair.h"

struct noise;
struct peer;

/* The keys of a handshake that is through; its index `local` becomes theirs.  0, -ENOMEM, an errno of libcrypto's. */
int keyring_derive(struct peer *p, struct noise *n, bool initiator, uint32_t local, uint32_t remote,
		   struct keypair **out);
void keyring_put_initiated(struct peer *p, struct keypair *k);
void keyring_put_answered(struct peer *p, struct keypair *k);
void keyring_next(struct peer *p); /* what was answered is used: they have sent with it */
void keyring_forget(struct peer *p);

#endif
