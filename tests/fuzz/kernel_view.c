/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel_view.h"

#include <bpf/bpf.h>

#include "bpf/abi.h"
#include "dp/state.h"
#include "fake_bpf.h"
#include "fuzz.h"

#define LINES_MAX 4096
#define NO_NEXTHOP SIZE_MAX

static char *lines[LINES_MAX];
static size_t n_lines;

static struct fake_map *map_of(enum map_id id)
{
	char pin[PIN_NAME_SIZE];

	return fake_map_pinned(pinset_name(id, pin));
}

static void put_hex(FILE *f, const void *data, size_t size)
{
	for (size_t i = 0; i < size; i++)
		fprintf(f, "%02x", ((const uint8_t *)data)[i]);
}

static uint64_t owner_of(uint32_t nexthop)
{
	struct fake_map *m = map_of(MAP_NEXTHOPS);
	const struct abi_nexthop *value = NULL;
	const void *key;
	void *at;

	for (size_t i = 0; fake_map_next(m, &i, &key, &at);)
		if (*(const uint32_t *)key == nexthop)
			value = at;
	return value ? value->owner : UINT64_MAX;
}

static void add_line(const char *map, const void *key, size_t key_size, const void *value, size_t value_size,
		     size_t nexthop)
{
	uint8_t copy[256];
	uint32_t id = 0;
	size_t size;
	FILE *f;

	require(n_lines < LINES_MAX && value_size <= sizeof(copy), "the view has room");
	f = open_memstream(&lines[n_lines++], &size);
	require(f, "memory");
	memcpy(copy, value, value_size);
	if (nexthop != NO_NEXTHOP) {
		memcpy(&id, copy + nexthop, sizeof(id));
		memset(copy + nexthop, 0, sizeof(id));
	}
	fprintf(f, "%s ", map);
	put_hex(f, key, key_size);
	fprintf(f, " ");
	put_hex(f, copy, value_size);
	if (id)
		fprintf(f, " owner %016lx", owner_of(id));
	fclose(f);
}

static void add_table(enum map_id id, size_t nexthop)
{
	struct fake_map *m = map_of(id);
	const void *key;
	void *value;

	for (size_t i = 0; fake_map_next(m, &i, &key, &value);)
		add_line(map_names[id], key, fake_map_key_size(m), value, fake_map_value_size(m), nexthop);
}

static void add_nexthops(void)
{
	static const struct abi_nexthop hole;
	struct fake_map *m = map_of(MAP_NEXTHOPS);
	const void *key;
	void *value;

	for (size_t i = 0; fake_map_next(m, &i, &key, &value);)
		if (memcmp(value, &hole, sizeof(hole)) != 0)
			add_line("nexthops", "", 0, value, fake_map_value_size(m), NO_NEXTHOP);
}

static uint32_t slot_value(const struct abi_flood_key *wanted, bool *there)
{
	struct fake_map *m = map_of(MAP_FLOODS);
	const void *key;
	void *value;

	*there = false;
	for (size_t i = 0; fake_map_next(m, &i, &key, &value);) {
		if (memcmp(key, wanted, sizeof(*wanted)) != 0)
			continue;
		*there = true;
		return ((const struct abi_flood *)value)->nexthop;
	}
	return 0;
}

/* A list is what a program would see that walks it: the slots up to the count, and the holes left out. */
static void add_floods(void)
{
	struct fake_map *m = map_of(MAP_FLOODS);
	const void *key;
	void *value;

	for (size_t i = 0; fake_map_next(m, &i, &key, &value);) {
		struct abi_flood_key k;
		struct abi_flood v;
		bool there;

		memcpy(&k, key, sizeof(k));
		memcpy(&v, value, sizeof(v));
		if (k.slot == 0) {
			require(v.nexthop > 0 && v.nexthop <= ABI_MAX_FLOOD_SLOTS, "the count of a list is none");
			continue;
		}
		const struct abi_flood_key head = {.vni = k.vni, .kind = k.kind};

		require(k.slot <= slot_value(&head, &there) && there, "a slot behind the end of its list");
		if (v.nexthop == 0)
			continue;
		k.slot = 0;
		add_line("floods", &k, sizeof(k), &v, sizeof(v), offsetof(struct abi_flood, nexthop));
	}
}

static int compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

char *kernel_view(void)
{
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	require(f, "memory");
	n_lines = 0;
	add_table(MAP_NODE, NO_NEXTHOP);
	add_table(MAP_PORTS, offsetof(struct abi_port, nexthop));
	add_table(MAP_MACS, offsetof(struct abi_mac, nexthop));
	add_table(MAP_HOSTS, offsetof(struct abi_host, nexthop));
	add_table(MAP_PREFIXES, offsetof(struct abi_prefix, nexthop));
	add_table(MAP_MEMBERS, NO_NEXTHOP);
	add_nexthops();
	add_floods();
	qsort(lines, n_lines, sizeof(*lines), compare);
	for (size_t i = 0; i < n_lines; i++) {
		fprintf(f, "%s\n", lines[i]);
		free(lines[i]);
	}
	fclose(f);
	return text;
}
