/* SPDX-License-Identifier: Apache-2.0 */
/*
 * index.h - the table of receiver indices: which peer and which keypair (or handshake) a message is for.
 *
 * An index is 24 random bits, of which the low ones are its place in the table: looking one up is one access, and
 * growing moves every entry to a place of its own.  The high byte is the peer's: by it sockets are told apart (udp.h),
 * so that all sessions of a peer are one thread's to open, and no packet overtakes another when there is a new one.  It
 * goes over the wire as it lies in memory.  Keypairs and peers are borrowed. One thread.
 */
#ifndef ISTHMUS_WG_INDEX_H
#define ISTHMUS_WG_INDEX_H

#include <stddef.h>
#include <stdint.h>

#define INDEX_HIGH_AT 3 /* where the high byte is, in an index on the wire */

struct peer;
struct keypair;

struct index_entry {
	struct peer *peer; /* NULL = the place is free */
	struct keypair *keypair; /* NULL = a handshake */
	uint32_t index;
};

struct indices {
	struct index_entry *entries;
	size_t size, length; /* places, a power of two; taken */
};

void indices_fini(struct indices *t);

int indices_add(struct indices *t, struct peer *peer, uint8_t high, uint32_t *out); /* 0 or -ENOMEM */
struct index_entry *indices_get(const struct indices *t, uint32_t index); /* or NULL */
void indices_remove(struct indices *t, uint32_t index); /* one that is not there is allowed */

#endif
