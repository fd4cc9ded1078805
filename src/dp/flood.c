/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Replication lists.  A list is the slots 1..count of (VNI, kind); slot 0 holds the count.  Members keep their slot for
 * life and a removed one leaves a hole (0) for a later one, so that a program that walks the list during a change meets
 * every other member exactly once.  The count grows after its slot is written and shrinks before its slot is removed.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "dp/state.h"
#include "lib/cleanup.h"

struct list_key {
	uint32_t vni;
	uint32_t kind; /* enum abi_flood_kind */
};

struct list {
	struct list_key key;
	uint32_t *slots; /* ids of next hops; slots[0] is slot 1; 0 = a hole */
	uint32_t n, capacity;
	uint32_t n_holes, hole_from; /* no hole is before slots[hole_from] */
	uint32_t whole; /* while it is adopted: slots in the kernel from 1 without a gap, up to the count */
};

struct flood_key {
	uint64_t owner;
	uint64_t vni;
};

struct flood {
	struct flood_key key;
	struct list *list;
	uint32_t slot; /* from 1 */
	bool stale;
};

static struct flood_key key_of(const struct fwd *f)
{
	return (struct flood_key){.owner = f->flood.nexthop, .vni = f->flood.vni};
}

static void decode(const struct flood_key *key, struct fwd *out)
{
	memset(out, 0, sizeof(*out));
	out->kind = FWD_FLOOD;
	out->flood.vni = (uint32_t)key->vni;
	out->flood.nexthop = key->owner;
}

/* ---- slots ------------------------------------------------------------------------------------------------------- */

static int write_slot(struct datapath *dp, const struct list *l, uint32_t slot, uint32_t value)
{
	const struct abi_flood_key key = {.vni = l->key.vni, .kind = (uint16_t)l->key.kind, .slot = (uint16_t)slot};
	const struct abi_flood entry = {.nexthop = value};

	return map_put(&dp->maps[MAP_FLOODS], &key, &entry);
}

static int remove_slot(struct datapath *dp, const struct list *l, uint32_t slot)
{
	const struct abi_flood_key key = {.vni = l->key.vni, .kind = (uint16_t)l->key.kind, .slot = (uint16_t)slot};

	return map_del(&dp->maps[MAP_FLOODS], &key);
}

static struct list *get_list(struct datapath *dp, uint32_t vni, uint32_t kind)
{
	const struct list_key key = {.vni = vni, .kind = kind};
	struct list *l = hmap_get(&dp->flood_lists, &key);

	if (l)
		return l;
	l = calloc(1, sizeof(*l));
	if (!l)
		return NULL;
	l->key = key;
	if (hmap_add(&dp->flood_lists, l) < 0) {
		free(l);
		return NULL;
	}
	return l;
}

static void free_list(struct list *l)
{
	free(l->slots);
	free(l);
}

static void drop_empty_list(struct datapath *dp, struct list *l)
{
	if (l->n > 0)
		return;
	hmap_remove(&dp->flood_lists, &l->key);
	free_list(l);
}

static int reserve(struct list *l, uint32_t n)
{
	uint32_t capacity = l->capacity ? l->capacity : 8;
	uint32_t *slots;

	if (n <= l->capacity)
		return 0;
	while (capacity < n)
		capacity *= 2;
	slots = reallocarray(l->slots, capacity, sizeof(*slots));
	if (!slots)
		return error_set(-ENOMEM, "table floods: no memory");
	memset(slots + l->capacity, 0, (capacity - l->capacity) * sizeof(*slots));
	l->slots = slots;
	l->capacity = capacity;
	return 0;
}

static uint32_t find_hole(struct list *l)
{
	if (l->n_holes == 0)
		return 0;
	while (l->slots[l->hole_from] != 0)
		l->hole_from++;
	return l->hole_from + 1;
}

/* The slot, or -errno */
static int list_add(struct datapath *dp, struct list *l, uint32_t id)
{
	uint32_t slot = find_hole(l);
	int r;

	if (slot) {
		r = write_slot(dp, l, slot, id);
		if (r < 0)
			return r;
		l->n_holes--;
	} else {
		slot = l->n + 1;
		if (slot > ABI_MAX_FLOOD_SLOTS)
			return error_set(-ENOSPC,
					 "table floods: the list of VNI %u is full: it holds %u next hops at most",
					 l->key.vni, ABI_MAX_FLOOD_SLOTS);
		r = reserve(l, slot);
		if (r < 0)
			return r;
		r = write_slot(dp, l, slot, id);
		if (r < 0)
			return r;
		r = write_slot(dp, l, 0, slot);
		if (r < 0) {
			remove_slot(dp, l, slot);
			return r;
		}
		l->n = slot;
	}
	l->slots[slot - 1] = id;
	return (int)slot;
}

/* The last member goes, and the holes before it. */
static int shrink(struct datapath *dp, struct list *l)
{
	uint32_t n = l->n - 1, old = l->n;
	int r;

	while (n > 0 && l->slots[n - 1] == 0)
		n--;
	r = n ? write_slot(dp, l, 0, n) : remove_slot(dp, l, 0);
	if (r < 0)
		return r;
	l->slots[old - 1] = 0;
	l->n_holes -= old - 1 - n;
	l->n = n;
	if (l->hole_from > n)
		l->hole_from = n;
	/* Behind the count nobody looks; what cannot be removed now is written by the next use of the slot. */
	for (uint32_t slot = old; slot > n; slot--)
		remove_slot(dp, l, slot);
	return 0;
}

static int list_remove(struct datapath *dp, struct list *l, uint32_t slot)
{
	int r;

	if (slot == l->n)
		return shrink(dp, l);
	r = write_slot(dp, l, slot, 0);
	if (r < 0)
		return r;
	l->slots[slot - 1] = 0;
	l->n_holes++;
	if (slot - 1 < l->hole_from)
		l->hole_from = slot - 1;
	return 0;
}

/* ---- members ----------------------------------------------------------------------------------------------------- */

static struct flood *add_flood(struct datapath *dp, const struct flood_key *key)
{
	struct flood *flood = calloc(1, sizeof(*flood));

	if (!flood)
		return NULL;
	flood->key = *key;
	if (hmap_add(&dp->floods, flood) < 0) {
		free(flood);
		return NULL;
	}
	return flood;
}

static void drop_flood(struct datapath *dp, struct flood *flood)
{
	hmap_remove(&dp->floods, &flood->key);
	free(flood);
}

int flood_put(struct datapath *dp, const struct fwd *f)
{
	const struct flood_key key = key_of(f);
	struct flood *flood = hmap_get(&dp->floods, &key);
	uint32_t id = nexthop_id(dp, f->flood.nexthop);
	struct list *l;
	int slot;

	if (flood) {
		flood->stale = false;
		return 0;
	}
	if (!id)
		return error_set(-EINVAL, "table floods: VNI %u names next hop %016llx, which does not exist",
				 f->flood.vni, (unsigned long long)f->flood.nexthop);
	l = get_list(dp, f->flood.vni, nexthop_flood_kind(dp, id));
	if (!l)
		return error_set(-ENOMEM, "table floods: no memory");
	flood = add_flood(dp, &key);
	slot = flood ? list_add(dp, l, id) : error_set(-ENOMEM, "table floods: no memory");
	if (slot < 0) {
		if (flood)
			drop_flood(dp, flood);
		drop_empty_list(dp, l);
		return slot;
	}
	flood->list = l;
	flood->slot = (uint32_t)slot;
	nexthop_ref(dp, id, 1);
	return 1;
}

static int remove_flood(struct datapath *dp, struct flood *flood)
{
	struct list *l = flood->list;
	uint32_t id = l->slots[flood->slot - 1];
	int r = list_remove(dp, l, flood->slot);

	if (r < 0)
		return r;
	nexthop_ref(dp, id, -1);
	drop_flood(dp, flood);
	drop_empty_list(dp, l);
	return 1;
}

int flood_del(struct datapath *dp, const struct fwd *f)
{
	const struct flood_key key = key_of(f);
	struct flood *flood = hmap_get(&dp->floods, &key);

	return flood ? remove_flood(dp, flood) : 0;
}

int flood_lift(struct datapath *dp, uint64_t owner, uint32_t **vnis, size_t *length)
{
	_cleanup_(free) uint32_t *list = NULL;
	struct flood *flood;
	size_t n = 0;

	if (dp->floods.length) {
		list = calloc(dp->floods.length, sizeof(*list));
		if (!list)
			return error_set(-ENOMEM, "table floods: no memory");
	}
	for (size_t i = 0; (flood = hmap_next(&dp->floods, &i));) {
		uint32_t vni = (uint32_t)flood->key.vni;
		int r;

		if (!list || flood->key.owner != owner)
			continue;
		r = remove_flood(dp, flood);
		if (r < 0)
			return r;
		list[n++] = vni;
	}
	*vnis = TAKE_PTR(list);
	*length = n;
	return 0;
}

bool flood_get(const struct datapath *dp, const struct fwd *f, struct fwd *out)
{
	const struct flood_key key = key_of(f);
	const struct flood *flood = hmap_get(&dp->floods, &key);

	if (flood)
		decode(&flood->key, out);
	return flood;
}

/* ---- adoption ---------------------------------------------------------------------------------------------------- */

/* A list of ours has every slot up to its count, holes written as such: where one is missing, it is not ours. */
static uint32_t whole_length(const struct datapath *dp, const struct abi_flood_key *head, uint32_t count)
{
	uint32_t n = 0;

	while (n < count && n < ABI_MAX_FLOOD_SLOTS) {
		const struct abi_flood_key key = {.vni = head->vni, .kind = head->kind, .slot = (uint16_t)(n + 1)};

		if (!map_get(&dp->maps[MAP_FLOODS], &key))
			break;
		n++;
	}
	return n;
}

static int adopt_head(struct datapath *dp, const struct abi_flood_key *key, uint32_t count)
{
	struct list *l = get_list(dp, key->vni, key->kind);

	if (!l)
		return error_set(-ENOMEM, "table floods: no memory");
	l->whole = whole_length(dp, key, count);
	return 0;
}

static bool is_in_list(struct datapath *dp, const struct abi_flood_key *key)
{
	const struct list_key list_key = {.vni = key->vni, .kind = key->kind};
	const struct list *l = hmap_get(&dp->flood_lists, &list_key);

	return l && key->slot > 0 && key->slot <= l->whole;
}

static int adopt_slot(struct datapath *dp, const struct abi_flood_key *key, uint32_t id)
{
	const uint64_t owner = nexthop_owner(dp, id);
	const struct flood_key flood_key = {.owner = owner, .vni = key->vni};
	struct list *l = get_list(dp, key->vni, key->kind);
	struct flood *flood;
	int r;

	if (!l)
		return error_set(-ENOMEM, "table floods: no memory");
	r = reserve(l, key->slot);
	if (r < 0)
		return r;
	if (key->slot > l->n)
		l->n = key->slot;
	/* Somebody else's writing: a next hop that is none, a double, or of another list.  The slot becomes a hole. */
	if (!owner || nexthop_id(dp, owner) != id || nexthop_flood_kind(dp, id) != key->kind)
		return 0;
	if (hmap_get(&dp->floods, &flood_key)) /* twice: one copy is enough */
		return 0;
	flood = add_flood(dp, &flood_key);
	if (!flood)
		return error_set(-ENOMEM, "table floods: no memory");
	flood->list = l;
	flood->slot = key->slot;
	flood->stale = true;
	l->slots[key->slot - 1] = id;
	nexthop_ref(dp, id, 1);
	return 0;
}

/* Brings one list into the form that we keep: holes counted, no hole at the end, the count right. */
static int settle(struct datapath *dp, struct list *l)
{
	uint32_t old = l->n;
	int r;

	while (l->n > 0 && l->slots[l->n - 1] == 0)
		l->n--;
	r = l->n ? write_slot(dp, l, 0, l->n) : remove_slot(dp, l, 0);
	for (uint32_t slot = old; r >= 0 && slot > l->n; slot--)
		r = remove_slot(dp, l, slot);
	for (uint32_t slot = 1; r >= 0 && slot <= l->n; slot++) {
		if (l->slots[slot - 1] == 0) {
			l->n_holes++;
			r = write_slot(dp, l, slot, 0);
		}
	}
	return r < 0 ? r : 0;
}

int flood_adopt(struct datapath *dp)
{
	struct map *m = &dp->maps[MAP_FLOODS];
	struct abi_flood_key key;
	struct abi_flood entry;
	struct map_cell *cell;
	struct list *l;
	int r = 0;

	for (size_t i = 0; r >= 0 && (cell = map_next(m, &i));) {
		memcpy(&key, map_cell_key(cell), sizeof(key));
		memcpy(&entry, map_cell_value(m, cell), sizeof(entry));
		cell->stale = false; /* the member is what grows stale */
		if (key.slot == 0 && key.kind < FLOOD_KIND_MAX)
			r = adopt_head(dp, &key, entry.nexthop);
	}
	for (size_t i = 0; r >= 0 && (cell = map_next(m, &i));) {
		memcpy(&key, map_cell_key(cell), sizeof(key));
		memcpy(&entry, map_cell_value(m, cell), sizeof(entry));
		if (key.slot == 0 && key.kind < FLOOD_KIND_MAX)
			continue;
		/* Behind the count: a change that a dying daemon did not finish.  It did not count, and will not. */
		r = is_in_list(dp, &key) ? adopt_slot(dp, &key, entry.nexthop) : map_del(m, &key);
	}
	for (size_t i = 0; r >= 0 && (l = hmap_next(&dp->flood_lists, &i));) {
		r = settle(dp, l);
		if (r >= 0)
			drop_empty_list(dp, l);
	}
	return r < 0 ? r : (int)dp->floods.length;
}

/* ---- all of them ------------------------------------------------------------------------------------------------- */

struct reading {
	const struct datapath *dp;
	bool (*fn)(void *arg, const struct fwd *f);
	void *arg;
};

static bool read_one(void *arg, const void *k, const void *v)
{
	const struct reading *r = arg;
	struct abi_flood_key key;
	struct abi_flood entry;
	struct flood_key flood;
	struct fwd f;

	memcpy(&key, k, sizeof(key));
	memcpy(&entry, v, sizeof(entry));
	flood = (struct flood_key){.owner = key.slot ? nexthop_owner(r->dp, entry.nexthop) : 0, .vni = key.vni};
	if (!flood.owner) /* the count, or a hole */
		return true;
	decode(&flood, &f);
	return r->fn(r->arg, &f);
}

void flood_each(const struct datapath *dp, bool (*fn)(void *arg, const struct fwd *f), void *arg)
{
	struct reading reading = {.dp = dp, .fn = fn, .arg = arg};
	const struct flood *flood;

	if (dp->read_only) {
		map_walk_all(&dp->maps[MAP_FLOODS], read_one, &reading);
		return;
	}
	for (size_t i = 0; (flood = hmap_next(&dp->floods, &i));) {
		struct fwd f;

		decode(&flood->key, &f);
		if (!fn(arg, &f))
			return;
	}
}

void flood_mark_stale(struct datapath *dp)
{
	struct flood *flood;

	for (size_t i = 0; (flood = hmap_next(&dp->floods, &i));)
		flood->stale = true;
}

int flood_sweep(struct datapath *dp)
{
	int removed = 0, error = 0;
	struct flood *flood;

	for (size_t i = 0; (flood = hmap_next(&dp->floods, &i));) {
		int r;

		if (!flood->stale)
			continue;
		r = remove_flood(dp, flood);
		if (r < 0)
			error = r;
		else
			removed += r;
	}
	return error < 0 ? error : removed;
}

void flood_init(struct datapath *dp)
{
	static_assert(ABI_MAX_FLOOD_SLOTS <= UINT16_MAX, "a slot number is 16 bits");

	dp->floods = HMAP_INIT(struct flood, key);
	dp->flood_lists = HMAP_INIT(struct list, key);
}

void flood_fini(struct datapath *dp)
{
	struct flood *flood;
	struct list *l;

	for (size_t i = 0; (flood = hmap_next(&dp->floods, &i));)
		free(flood);
	for (size_t i = 0; (l = hmap_next(&dp->flood_lists, &i));)
		free_list(l);
	hmap_fini(&dp->floods);
	hmap_fini(&dp->flood_lists);
}
