/* SPDX-License-Identifier: Apache-2.0 */
/*
 * table.h - the plainest store of what neighbors announced: one entry per neighbor and key.  For tests of the speaker
 * that look at nothing but the speaker.
 */
#ifndef ISTHMUS_SIM_TABLE_H
#define ISTHMUS_SIM_TABLE_H

#include "model/attrs.h"
#include "model/route.h"

#define TABLE_NEIGHBORS_MAX 256

struct table;

struct table *table_new(struct attrs *attrs);
void table_free(struct table *t);

size_t table_put(struct table *t, uint32_t neighbor, const struct route_attrs *a, const struct route_nlri *nlri, size_t n);
size_t table_remove(struct table *t, uint32_t neighbor, const struct route_nlri *nlri, size_t n);
void table_stale(struct table *t, uint32_t neighbor, enum route_family f);
/* `gone` may be NULL; it is called before each goes. */
size_t table_swept(struct table *t, uint32_t neighbor, enum route_family f, void (*gone)(void *arg, const struct route_key *key),
		   void *arg);

const struct route_attrs *table_get(const struct table *t, uint32_t neighbor, const struct route_key *key); /* or NULL */
size_t table_length(const struct table *t, uint32_t neighbor, enum route_family f);
size_t table_n_stale(const struct table *t, uint32_t neighbor, enum route_family f);

#endif
