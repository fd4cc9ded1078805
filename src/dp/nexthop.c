/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Next hops: an array that the programs index, so that a change of where (or how) is one write.  The model names them
 * by owner; the number is found again after a restart by the owner inside the value.  Numbers go round, because a
 * packet may still carry one that was given up a moment ago.
 */
#include <bpf/bpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "dp/state.h"
#include "lib/cleanup.h"

struct nexthop {
	uint64_t owner;
	uint32_t id;
	uint32_t n_refs;
	bool stale;
	bool orphan; /* a second one of the same owner, found at adoption: kept until nothing points at it */
	struct abi_nexthop value;
};

static const struct abi_nexthop hole;

#define HOLE_TURNS 4 /* audits in which every hole is looked at */

/* ---- value ------------------------------------------------------------------------------------------------------- */

static void encode(const struct fwd_nexthop *n, struct abi_nexthop *out)
{
	memset(out, 0, sizeof(*out));
	out->owner = n->owner;
	out->mtu = n->mtu;
	if (n->type == FWD_NEXTHOP_PORT) {
		/* A waiting port keeps its number and its hosts: packets are dropped as "port_down", not "no_host". */
		out->type = n->ifindex ? NEXTHOP_PORT : NEXTHOP_NONE;
		out->ifindex = n->ifindex;
		out->flags = n->peer ? NEXTHOP_PEER : 0;
		return;
	}
	out->type = n->type == FWD_NEXTHOP_NATIVE ? NEXTHOP_NATIVE : NEXTHOP_TUNNEL;
	out->encap = (uint8_t)n->encap;
	out->flags = (n->foreign ? NEXTHOP_FOREIGN : 0) | (n->secure ? NEXTHOP_SECURE : 0);
	memcpy(out->router_mac, n->router_mac.bytes, sizeof(out->router_mac));
	memcpy(&out->remote, &n->remote, sizeof(out->remote));
	memcpy(&out->local, &n->local, sizeof(out->local));
}

static void decode(const struct abi_nexthop *v, struct fwd *out)
{
	memset(out, 0, sizeof(*out));
	out->kind = FWD_NEXTHOP;
	out->nexthop.owner = v->owner;
	out->nexthop.mtu = v->mtu;
	if (v->type != NEXTHOP_TUNNEL && v->type != NEXTHOP_NATIVE) {
		out->nexthop.type = FWD_NEXTHOP_PORT;
		out->nexthop.ifindex = v->ifindex;
		out->nexthop.peer = v->flags & NEXTHOP_PEER;
		return;
	}
	out->nexthop.type = v->type == NEXTHOP_NATIVE ? FWD_NEXTHOP_NATIVE : FWD_NEXTHOP_TUNNEL;
	out->nexthop.encap = v->encap;
	out->nexthop.foreign = v->flags & NEXTHOP_FOREIGN;
	out->nexthop.secure = v->flags & NEXTHOP_SECURE;
	memcpy(out->nexthop.router_mac.bytes, v->router_mac, sizeof(v->router_mac));
	memcpy(&out->nexthop.remote, &v->remote, sizeof(v->remote));
	memcpy(&out->nexthop.local, &v->local, sizeof(v->local));
}

static enum abi_flood_kind flood_kind(const struct abi_nexthop *v)
{
	if (v->type != NEXTHOP_TUNNEL) /* nothing is replicated to a native one */
		return FLOOD_LOCAL;
	return addr_is_v4((const struct addr *)&v->remote) ? FLOOD_TUNNEL4 : FLOOD_TUNNEL6;
}

/* ---- numbers ----------------------------------------------------------------------------------------------------- */

static struct map *map_of(struct datapath *dp)
{
	return &dp->maps[MAP_NEXTHOPS];
}

static uint32_t capacity(const struct datapath *dp)
{
	return dp->maps[MAP_NEXTHOPS].shape.capacity;
}

uint32_t nexthop_id(const struct datapath *dp, uint64_t owner)
{
	const struct nexthop *n = hmap_get(&dp->nexthop_by_owner, &owner);

	return n ? n->id : 0;
}

uint64_t nexthop_owner(const struct datapath *dp, uint32_t id)
{
	if (id >= capacity(dp))
		return 0;
	if (dp->read_only)
		return dp->nexthop_area[id].owner;
	return dp->nexthops[id] ? dp->nexthops[id]->owner : 0;
}

enum abi_flood_kind nexthop_flood_kind(const struct datapath *dp, uint32_t id)
{
	return flood_kind(&dp->nexthops[id]->value);
}

void nexthop_ref(struct datapath *dp, uint32_t id, int by)
{
	if (id && id < capacity(dp) && dp->nexthops[id])
		dp->nexthops[id]->n_refs += (uint32_t)by;
}

static int write_value(struct datapath *dp, uint32_t id, const struct abi_nexthop *value)
{
	int r;

	epoch_disturb(dp->epoch);
	r = bpf_map_update_elem(map_of(dp)->fd, &id, value, BPF_ANY);
	return r < 0 ? error_set(r, "table nexthops: writing entry %u: %s", id, strerror(-r)) : 0;
}

static uint32_t free_id(struct datapath *dp)
{
	uint32_t last = capacity(dp) - 1; /* number 0 is nobody's */

	if (dp->n_nexthops >= last)
		return 0;
	for (;;) {
		uint32_t id = dp->nexthop_next;

		dp->nexthop_next = id == last ? 1 : id + 1;
		if (!dp->nexthops[id])
			return id;
	}
}

static struct nexthop *new_nexthop(struct datapath *dp, uint32_t id, uint64_t owner)
{
	struct nexthop *n = calloc(1, sizeof(*n));

	if (!n)
		return NULL;
	n->id = id;
	n->owner = owner;
	if (hmap_get(&dp->nexthop_by_owner, &owner)) {
		n->orphan = true;
	} else if (hmap_add(&dp->nexthop_by_owner, n) < 0) {
		free(n);
		return NULL;
	}
	dp->nexthops[id] = n;
	dp->n_nexthops++;
	return n;
}

static void free_nexthop(struct datapath *dp, struct nexthop *n)
{
	if (!n->orphan)
		hmap_remove(&dp->nexthop_by_owner, &n->owner);
	dp->nexthops[n->id] = NULL;
	dp->n_nexthops--;
	free(n);
}

/* ---- life -------------------------------------------------------------------------------------------------------- */

int nexthop_init(struct datapath *dp)
{
	void *area;

	dp->nexthop_by_owner = HMAP_INIT(struct nexthop, owner);
	dp->nexthop_next = 1;
	area = mmap(NULL, (size_t)capacity(dp) * sizeof(struct abi_nexthop), PROT_READ, MAP_SHARED, map_of(dp)->fd, 0);
	if (area == MAP_FAILED)
		return error_set(-errno, "table nexthops: mapping it: %s", strerror(errno));
	dp->nexthop_area = area;
	if (dp->read_only)
		return 0;
	dp->nexthops = calloc(capacity(dp), sizeof(*dp->nexthops));
	return dp->nexthops ? 0 : error_set(-ENOMEM, "table nexthops: no memory");
}

void nexthop_fini(struct datapath *dp)
{
	for (uint32_t id = 0; dp->nexthops && id < capacity(dp); id++)
		free(dp->nexthops[id]);
	free(dp->nexthops);
	hmap_fini(&dp->nexthop_by_owner);
	if (dp->nexthop_area)
		munmap((void *)dp->nexthop_area, (size_t)capacity(dp) * sizeof(struct abi_nexthop));
}

int nexthop_adopt(struct datapath *dp)
{
	for (uint32_t id = 1; id < capacity(dp); id++) {
		struct nexthop *n;

		if (dp->nexthop_area[id].owner == 0) /* what is there without an owner, the first audit clears */
			continue;
		n = new_nexthop(dp, id, dp->nexthop_area[id].owner);
		if (!n)
			return error_set(-ENOMEM, "table nexthops: no memory");
		n->value = dp->nexthop_area[id];
		n->stale = true;
		dp->nexthop_next = id + 1 < capacity(dp) ? id + 1 : 1;
	}
	return (int)dp->n_nexthops;
}

/* The copies move to the list of the new family; meanwhile there are rather none than two. */
static int change_family(struct datapath *dp, struct nexthop *n, const struct abi_nexthop *value)
{
	_cleanup_(free) uint32_t *vnis = NULL;
	size_t length;
	int r = flood_lift(dp, n->owner, &vnis, &length);

	if (r < 0)
		return r;
	r = write_value(dp, n->id, value);
	if (r == 0)
		n->value = *value;
	for (size_t i = 0; i < length; i++) {
		struct fwd f = {.kind = FWD_FLOOD, .flood = {.vni = vnis[i], .nexthop = n->owner}};
		int error = flood_put(dp, &f);

		if (error < 0)
			r = error;
	}
	return r;
}

int nexthop_put(struct datapath *dp, const struct fwd *f)
{
	struct nexthop *n = hmap_get(&dp->nexthop_by_owner, &f->nexthop.owner);
	struct abi_nexthop value;
	uint32_t id;
	int r;

	if (f->nexthop.owner == 0)
		return error_set(-EINVAL, "table nexthops: an entry without an owner");
	encode(&f->nexthop, &value);
	if (n) {
		n->stale = false;
		if (memcmp(&n->value, &value, sizeof(value)) == 0)
			return 0;
		if (flood_kind(&n->value) != flood_kind(&value)) {
			r = change_family(dp, n, &value);
			return r < 0 ? r : 1;
		}
		r = write_value(dp, n->id, &value);
		if (r < 0)
			return r;
		n->value = value;
		return 1;
	}

	id = free_id(dp);
	if (!id)
		return error_set(-ENOSPC, "table nexthops is full: it holds %u entries at most", capacity(dp) - 1);
	n = new_nexthop(dp, id, f->nexthop.owner);
	if (!n)
		return error_set(-ENOMEM, "table nexthops: no memory");
	r = write_value(dp, id, &value);
	if (r < 0) {
		free_nexthop(dp, n);
		return r;
	}
	n->value = value;
	return 1;
}

static int remove_nexthop(struct datapath *dp, struct nexthop *n)
{
	int r;

	/* Its number will be another's one day: nothing may point at it then, least of all in another tenant. */
	if (n->n_refs)
		return error_set(-EBUSY, "table nexthops: entry %u is to be removed, but %u others point at it", n->id,
				 n->n_refs);
	r = write_value(dp, n->id, &hole);
	if (r < 0)
		return r;
	free_nexthop(dp, n);
	return 1;
}

int nexthop_del(struct datapath *dp, const struct fwd *f)
{
	struct nexthop *n = hmap_get(&dp->nexthop_by_owner, &f->nexthop.owner);

	return n ? remove_nexthop(dp, n) : 0;
}

bool nexthop_get(const struct datapath *dp, const struct fwd *key, struct fwd *out)
{
	const struct nexthop *n = hmap_get(&dp->nexthop_by_owner, &key->nexthop.owner);

	if (n)
		decode(&n->value, out);
	return n;
}

void nexthop_each(const struct datapath *dp, bool (*fn)(void *arg, const struct fwd *f), void *arg)
{
	for (uint32_t id = 1; id < capacity(dp); id++) {
		struct fwd f;

		if (dp->read_only ? dp->nexthop_area[id].owner == 0 : !dp->nexthops[id])
			continue;
		decode(dp->read_only ? &dp->nexthop_area[id] : &dp->nexthops[id]->value, &f);
		if (!fn(arg, &f))
			return;
	}
}

void nexthop_mark_stale(struct datapath *dp)
{
	for (uint32_t id = 1; id < capacity(dp); id++) {
		if (dp->nexthops[id])
			dp->nexthops[id]->stale = true;
	}
}

int nexthop_encrypt_stale(struct datapath *dp, datapath_encrypts_fn encrypts, void *arg)
{
	int error = 0;

	for (uint32_t id = 1; id < capacity(dp); id++) {
		struct nexthop *n = dp->nexthops[id];
		struct abi_nexthop value;
		struct fwd f;
		int r;

		if (!n || !n->stale || n->value.type != NEXTHOP_TUNNEL || n->value.flags & NEXTHOP_SECURE)
			continue;
		decode(&n->value, &f);
		if (!encrypts(arg, &f.nexthop))
			continue;
		value = n->value;
		value.flags |= NEXTHOP_SECURE;
		r = write_value(dp, id, &value);
		if (r == 0)
			n->value = value;
		else
			error = r;
	}
	return error;
}

int nexthop_sweep(struct datapath *dp)
{
	int removed = 0, error = 0;

	for (uint32_t id = 1; id < capacity(dp); id++) {
		int r;

		if (!dp->nexthops[id] || !dp->nexthops[id]->stale)
			continue;
		r = remove_nexthop(dp, dp->nexthops[id]);
		if (r < 0)
			error = r;
		else
			removed += r;
	}
	return error < 0 ? error : removed;
}

static int audit_id(struct datapath *dp, uint32_t id)
{
	const struct abi_nexthop *value = dp->nexthops[id] ? &dp->nexthops[id]->value : &hole;
	int r;

	if (memcmp(&dp->nexthop_area[id], value, sizeof(*value)) == 0)
		return 0;
	r = write_value(dp, id, value);
	return r < 0 ? r : 1;
}

/* Those that are used, every time; and a part of the array, whose holes nothing points at: ten megabytes of it are empty. */
int nexthop_audit(struct datapath *dp)
{
	uint32_t end = dp->nexthop_audit_at + capacity(dp) / HOLE_TURNS + 1;
	const struct nexthop *n;
	int repairs = 0, r;

	for (size_t i = 0; (n = hmap_next(&dp->nexthop_by_owner, &i)); repairs += r) {
		r = audit_id(dp, n->id);
		if (r < 0)
			return r;
	}
	for (; dp->nexthop_audit_at < end && dp->nexthop_audit_at < capacity(dp); dp->nexthop_audit_at++, repairs += r) {
		r = audit_id(dp, dp->nexthop_audit_at);
		if (r < 0)
			return r;
	}
	if (dp->nexthop_audit_at >= capacity(dp))
		dp->nexthop_audit_at = 0;
	return repairs;
}
