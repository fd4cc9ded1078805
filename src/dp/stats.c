/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "dp/state.h"
#include "lib/cleanup.h"

struct words {
	const char *name, *meaning;
};

static const struct words drop_words[] = {
#define X(symbol, word, what) [DROP_##symbol] = {word, what},
	ABI_DROP_REASONS(X)
#undef X
};
static_assert(sizeof(drop_words) / sizeof(*drop_words) == DROP_MAX, "a word for every reason");

static const struct words counter_words[] = {
#define X(symbol, word, what) [COUNTER_##symbol] = {word, what},
	ABI_COUNTERS(X)
#undef X
};
static_assert(sizeof(counter_words) / sizeof(*counter_words) == COUNTER_MAX, "a word for every counter");

const char *drop_name(enum drop_reason r)
{
	return (unsigned)r < DROP_MAX ? drop_words[r].name : "unknown";
}

const char *drop_meaning(enum drop_reason r)
{
	return (unsigned)r < DROP_MAX ? drop_words[r].meaning : "a reason that this version does not know";
}

const char *counter_name(enum counter c)
{
	return (unsigned)c < COUNTER_MAX ? counter_words[c].name : "unknown";
}

const char *counter_meaning(enum counter c)
{
	return (unsigned)c < COUNTER_MAX ? counter_words[c].meaning : "a counter that this version does not know";
}

/* Adds the `width` 64-bit words of one element over all CPUs. */
static void sum(const struct map *m, uint32_t key, size_t width, uint64_t *out)
{
	int n_cpus = libbpf_num_possible_cpus();
	_cleanup_(free) uint64_t *values = NULL;

	memset(out, 0, width * sizeof(*out));
	if (n_cpus <= 0)
		return;
	values = calloc((size_t)n_cpus * width, sizeof(*values));
	if (!values || bpf_map_lookup_elem(m->fd, &key, values) < 0)
		return;
	for (size_t i = 0; i < (size_t)n_cpus * width; i++)
		out[i % width] += values[i];
}

void stats_drops(const struct datapath *dp, uint64_t out[static DROP_MAX])
{
	for (uint32_t i = 0; i < DROP_MAX; i++)
		sum(&dp->maps[MAP_DROPS], i, 1, &out[i]);
}

void stats_counters(const struct datapath *dp, struct abi_counter out[static COUNTER_MAX])
{
	static_assert(sizeof(struct abi_counter) == 2 * sizeof(uint64_t), "two words");

	for (uint32_t i = 0; i < COUNTER_MAX; i++) {
		uint64_t words[2];

		sum(&dp->maps[MAP_COUNTERS], i, 2, words);
		out[i] = (struct abi_counter){.packets = words[0], .bytes = words[1]};
	}
}

/* ---- events ------------------------------------------------------------------------------------------------------ */

static int on_event(void *context, void *data, size_t size)
{
	struct datapath *dp = context;
	struct abi_event e;

	if (size < sizeof(e) || !dp->event_fn)
		return 0;
	memcpy(&e, data, sizeof(e));
	if (e.snap_size > sizeof(e.data))
		e.snap_size = sizeof(e.data);
	dp->event_fn(dp->event_arg, &e);
	return 0;
}

int stats_init(struct datapath *dp)
{
	dp->ring = ring_buffer__new(dp->maps[MAP_EVENTS].fd, on_event, dp, NULL);
	return dp->ring ? 0 : error_set(-errno, "opening the ring of drop samples: %s", strerror(errno));
}

void stats_fini(struct datapath *dp)
{
	ring_buffer__free(dp->ring);
}

int stats_events_fd(const struct datapath *dp)
{
	return dp->ring ? ring_buffer__epoll_fd(dp->ring) : -1;
}

int stats_events_read(struct datapath *dp, void (*fn)(void *arg, const struct abi_event *e), void *arg)
{
	int r;

	if (!dp->ring)
		return 0;
	dp->event_fn = fn;
	dp->event_arg = arg;
	r = ring_buffer__consume(dp->ring);
	dp->event_fn = NULL;
	return r;
}
