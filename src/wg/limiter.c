/* SPDX-License-Identifier: Apache-2.0 */
#include "wg/limiter.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/hmap.h"

#define SETS 1024
#define WAYS 8
#define COST_MS (1000 / LIMITER_RATE)

struct bucket {
	uint64_t hash;     /* of the source; two that share it share a bucket */
	uint64_t empty_ms; /* when it will have drained: in the past for one that is idle, 0 for one never used */
};

struct limiter {
	uint64_t second_ms;      /* when the second that is counted began */
	uint32_t count;          /* in it */
	uint64_t loaded_until_ms;
	struct bucket buckets[SETS][WAYS];
};

int limiter_new(struct limiter **out)
{
	*out = calloc(1, sizeof(**out));
	return *out ? 0 : -ENOMEM;
}

void limiter_free(struct limiter *l)
{
	free(l);
}

bool limiter_loaded(struct limiter *l, uint64_t now_ms)
{
	if (now_ms - l->second_ms >= 1000) {
		l->second_ms = now_ms;
		l->count = 0;
	}
	if (++l->count > LIMITER_LOAD)
		l->loaded_until_ms = now_ms + 1000;
	return now_ms < l->loaded_until_ms;
}

static uint64_t source_hash(const struct addr *source)
{
	struct addr a = *source;

	if (!addr_is_v4(&a))
		a.u64[1] = 0; /* the lower half is the host's to choose */
	return hash_seeded(&a, sizeof(a));
}

static struct bucket *bucket_of(struct limiter *l, uint64_t hash)
{
	struct bucket *set = l->buckets[hash % SETS], *oldest = set;

	for (size_t i = 0; i < WAYS; i++) {
		if (set[i].empty_ms > 0 && set[i].hash == hash)
			return &set[i];
		if (set[i].empty_ms < oldest->empty_ms)
			oldest = &set[i];
	}
	*oldest = (struct bucket){.hash = hash};
	return oldest;
}

bool limiter_allow(struct limiter *l, const struct addr *source, uint64_t now_ms)
{
	struct bucket *b = bucket_of(l, source_hash(source));

	if (b->empty_ms < now_ms)
		b->empty_ms = now_ms;
	if (b->empty_ms - now_ms > (LIMITER_BURST - 1) * COST_MS)
		return false;
	b->empty_ms += COST_MS;
	return true;
}
