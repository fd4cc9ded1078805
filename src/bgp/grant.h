/* SPDX-License-Identifier: Apache-2.0 */
/*
 * grant.h - the tenants whose routes a neighbor is told of.
 *
 * A set of tenants' VNIs that does not change; another one takes its place.  It is shared by counting references; NULL is
 * the grant of everything, the empty set that of nothing.  One thread.
 */
#ifndef ISTHMUS_BGP_GRANT_H
#define ISTHMUS_BGP_GRANT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/cleanup.h"

struct grant {
	size_t n_references, length;
	uint32_t tenants[]; /* ascending, each once */
};

int grant_new(const uint32_t *tenants, size_t length, struct grant **out); /* in any order; 0 or -ENOMEM */
struct grant *grant_ref(struct grant *g);
void grant_unref(struct grant *g);

bool grant_permits(const struct grant *g, uint32_t tenant);
bool grant_equal(const struct grant *a, const struct grant *b);

DEFINE_CLEANUP(grant, struct grant *, grant_unref)

#endif
