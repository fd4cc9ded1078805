/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The order of preference among claims to one key, most important first:
 *
 * 1. the source, in the order of enum route_source: what this node knows of itself counts before what it was told;
 * 2. the name of the origin, the lesser first: arbitrary, but every node decides the same.
 *
 * Each rule is a row; a source that carries a sequence of moves (RFC 7432 15) is a row between the two.
 */
#include <stddef.h>
#include <string.h>

#include "rib/entry.h"

static int by_source(const struct claim *a, const struct claim *b)
{
	return (int)a->source - (int)b->source;
}

static int by_origin(const struct claim *a, const struct claim *b)
{
	return strcmp(a->origin, b->origin);
}

/* Less than zero: the first argument is better. */
static int (*const rules[])(const struct claim *a, const struct claim *b) = {
	by_source,
	by_origin,
};

const struct claim *decide(const struct claim *claims)
{
	const struct claim *best = claims;

	for (const struct claim *c = claims; c; c = c->next_of_entry) {
		int order = 0;

		for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]) && order == 0; i++)
			order = rules[i](c, best);
		if (order < 0)
			best = c;
	}
	return best;
}
