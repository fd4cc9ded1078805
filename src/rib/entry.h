/* SPDX-License-Identifier: Apache-2.0 */
/*
 * entry.h - forwarding entries by key, and who claims them.
 *
 * An item (a port, a network, a node's presence in a network ...) claims entries; several items may claim one key,
 * and decide() says which claim counts.  So a key is released only when its last claim is gone, and a withdraw by one
 * source never takes away what another still says.  entries_commit compares the best claims with what was emitted
 * before and emits the difference, looking only at keys that were touched.
 *
 * Call order: item_init, any of item_claim and item_withdraw, entries_commit.  The entries own the claims.
 */
#ifndef ISTHMUS_RIB_ENTRY_H
#define ISTHMUS_RIB_ENTRY_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "lib/hmap.h"
#include "model/fwd.h"
#include "model/route.h"

struct entry_key { /* no padding: hashed as bytes */
	uint32_t kind; /* enum fwd_kind */
	uint32_t id;   /* vni, vrf or ifindex */
	uint64_t owner;
	struct addr addr; /* or a MAC in the first 6 bytes */
	uint32_t length;
	uint32_t encap;
};

struct claim {
	struct claim *next_of_item;
	struct claim *next_of_entry;
	struct entry *entry;
	enum route_source source;
	const char *origin; /* the item's name: the same on every node */
	struct fwd value;
};

struct entry {
	struct entry_key key;
	struct claim *claims;
	bool installed, dirty;
	struct fwd value; /* when installed */
	TAILQ_ENTRY(entry) dirty_link;
};

struct entries {
	struct hmap by_key;
	TAILQ_HEAD(entry_dirty, entry) dirty;
	int error; /* sticky: 0 or -ENOMEM */
};

void entries_init(struct entries *e);
void entries_fini(struct entries *e); /* frees the claims of all items too */

void entries_claim(struct entries *e, struct claim **of_item, enum route_source source, const char *origin,
		   const struct fwd *value);
void entries_withdraw(struct entries *e, struct claim **of_item); /* all of the item's */
int entries_commit(struct entries *e, void (*emit)(void *arg, const struct fwd_change *change), void *arg);

struct entry *entries_find(const struct entries *e, const struct fwd *key); /* or NULL */

/* decide.c: the claim that counts, NULL when there is none. */
const struct claim *decide(const struct claim *claims);

#endif
