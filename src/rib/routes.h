/* SPDX-License-Identifier: Apache-2.0 */
/*
 * routes.h - the routes of all neighbors: candidates by key and source, a million of each kind and more.
 *
 *      index: hash -> first candidate of a key -> next one (of another source) ...
 *      pool:  the candidates, by feed (source and family), in chunks
 *
 * A route costs its packed key and value, a pointer to the attributes that it shares, 16 bytes, and some 16 in the index.  A
 * batch (the NLRIs of an UPDATE) is hashed as a whole, its cache lines are asked for, then it is put: the time goes
 * into cache misses, and so they overlap.
 *
 * Stale routes (RFC 4724): routes_stale marks all of a feed at once, those that are put again are fresh, routes_sweep
 * takes the others away, a bounded number of records at a time, and looks at no other feed.
 *
 * Whatever changes what is said of a key is told by `changed`, once it has happened; a route that is put again as it is
 * is none.  The callback must not change the table.
 *
 * Call order: routes_new, routes_source_add, then any; routes_source_remove when its feeds are empty; routes_free.  The table
 * owns a reference of the attributes for each candidate.  One thread.
 */
#ifndef ISTHMUS_RIB_ROUTES_H
#define ISTHMUS_RIB_ROUTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/cleanup.h"
#include "model/attrs.h"
#include "model/route.h"
#include "rib/decide.h"

struct routes;

#define ROUTES_SOURCES_MAX 65535u

struct routes_change {
	const uint8_t *key; /* packed, for the time of the call: see rib/pack.h */
	size_t key_size;
	uint32_t first;     /* the first candidate now, 0 = none is left */
};

struct routes_candidate {
	struct route_nlri nlri;
	const struct route_attrs *attrs;
	const struct decide_neighbor *neighbor;
	uint16_t source;
	bool stale;
};

int routes_new(struct attrs *attrs, void (*changed)(void *arg, const struct routes_change *change), void *arg,
	      struct routes **out);
void routes_free(struct routes *t); /* accepts NULL; tells nobody */

int routes_source_add(struct routes *t, const struct decide_neighbor *neighbor, uint16_t *source); /* -ENOMEM, -ENOSPC */
void routes_source_remove(struct routes *t, uint16_t source); /* it has no routes any more */
void routes_source_set(struct routes *t, uint16_t source, const struct decide_neighbor *neighbor); /* tells nobody */
const struct decide_neighbor *routes_source(const struct routes *t, uint16_t source);

/* The routes of an UPDATE.  0, or -ENOMEM: a part of them may be there, the others are as they were. */
int routes_put(struct routes *t, uint16_t source, const struct route_attrs *attrs, const struct route_nlri *nlri, size_t n);
void routes_remove(struct routes *t, uint16_t source, const struct route_nlri *nlri, size_t n); /* unknown ones: ignored */

/* All of the family are stale until they are put again.  Does not change what is said: nobody is told. */
void routes_stale(struct routes *t, uint16_t source, enum route_family family);

enum routes_sweep {
	ROUTES_SWEEP_ALL,   /* of the family: the neighbor is gone */
	ROUTES_SWEEP_STALE, /* RFC 4724 4.2: its End-of-RIB has come, or the time is over */
	ROUTES_SWEEP_TWICE, /* RFC 4724 4.2: what was stale already when routes_stale was called again */
	ROUTES_SWEEP_MAX
};

/* Looks at no more than `budget` records.  True: there are more, call again. */
bool routes_sweep(struct routes *t, uint16_t source, enum route_family family, enum routes_sweep what, size_t budget);

/*
 * For a neighbor whose routes are counted: what is stale counts no more from now on, though it goes only with
 * routes_sweep_doomed, and what is put before that is new.  Returns how many these are.
 */
uint64_t routes_doom(struct routes *t, uint16_t source, enum route_family family);
bool routes_sweep_doomed(struct routes *t, uint16_t source, enum route_family family, size_t budget);

uint64_t routes_length(const struct routes *t); /* candidates */
uint64_t routes_source_length(const struct routes *t, uint16_t source, enum route_family family);
uint64_t routes_source_counted(const struct routes *t, uint16_t source, enum route_family family); /* without the doomed */
uint64_t routes_source_stale(const struct routes *t, uint16_t source, enum route_family family); /* of these */

uint32_t routes_find(const struct routes *t, const struct route_key *key); /* the first candidate, 0 = none */
uint32_t routes_get(const struct routes *t, uint32_t id, struct routes_candidate *out); /* the next of its key, 0 = none */

uint32_t routes_next(const struct routes *t, uint32_t id); /* the next of its key, 0 = none */
/* The attributes of a candidate, without unpacking it. */
const struct route_attrs *routes_attrs(const struct routes *t, uint32_t id);

/*
 * All candidates, `budget` records a time, for the command line: true = more, call again with the same cursor, which
 * begins with 0.  The table may change in between; what is there all the while is told once.
 */
bool routes_walk(const struct routes *t, uint64_t *cursor, size_t budget,
		void (*fn)(void *arg, const struct routes_candidate *candidate), void *arg);

DEFINE_CLEANUP(table, struct routes *, routes_free)

#endif
