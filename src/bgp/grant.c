/* SPDX-License-Identifier: Apache-2.0 */
#include "bgp/grant.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int compare(const void *a, const void *b)
{
	const uint32_t *m = a, *n = b;

	return *m < *n ? -1 : *m > *n;
}

int grant_new(const uint32_t *tenants, size_t length, struct grant **out)
{
	struct grant *g = malloc(sizeof(*g) + length * sizeof(g->tenants[0]));
	size_t n = 0;

	if (!g)
		return -ENOMEM;
	if (length > 0) {
		memcpy(g->tenants, tenants, length * sizeof(g->tenants[0]));
		qsort(g->tenants, length, sizeof(g->tenants[0]), compare);
	}
	for (size_t i = 0; i < length; i++)
		if (n == 0 || g->tenants[n - 1] != g->tenants[i])
			g->tenants[n++] = g->tenants[i];
	g->n_references = 1;
	g->length = n;
	*out = g;
	return 0;
}

struct grant *grant_ref(struct grant *g)
{
	if (g)
		g->n_references++;
	return g;
}

void grant_unref(struct grant *g)
{
	if (g && --g->n_references == 0)
		free(g);
}

bool grant_permits(const struct grant *g, uint32_t tenant)
{
	return !g || (g->length > 0 && bsearch(&tenant, g->tenants, g->length, sizeof(g->tenants[0]), compare));
}

bool grant_equal(const struct grant *a, const struct grant *b)
{
	if (!a || !b)
		return a == b;
	return a->length == b->length && memcmp(a->tenants, b->tenants, a->length * sizeof(a->tenants[0])) == 0;
}
