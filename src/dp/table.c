/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Forwarding entries to map entries and back.  Next hops and replication lists have files of their own; the other kinds
 * are plain: one entry is one element, described by a row of `plain`.
 */
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "dp/state.h"

#define PLAIN_KEY_MAX 32
#define PLAIN_VALUE_MAX 64
#define NO_NEXTHOP SIZE_MAX
#define V4_BITS 96 /* where IPv4 begins in the 128-bit form */

struct plain {
	enum map_id map; /* MAP_NODE = this kind is not plain */
	size_t nexthop;  /* where in the value the id of a next hop is */
	void (*key)(const struct fwd *f, void *out);
	void (*value)(const struct fwd *f, uint32_t nexthop, void *out);
	uint64_t (*owner)(const struct fwd *f); /* of the next hop; 0 = it has none */
	void (*decode)(const void *key, const void *value, uint64_t owner, struct fwd *out);
};

/* ---- members ----------------------------------------------------------------------------------------------------- */

static void member_key(const struct fwd *f, void *out)
{
	struct abi_member_key *key = out;

	memcpy(&key->source, &f->member.source, sizeof(key->source));
	key->vni = f->member.vni;
	key->encap = f->member.encap;
}

static void member_value(const struct fwd *f, uint32_t nexthop, void *out)
{
	struct abi_member *v = out;

	v->vrf = f->member.vrf;
	v->flags = (f->member.l3 ? MEMBER_L3 : 0) | (f->member.flood ? MEMBER_FLOOD : 0) |
		   (f->member.foreign ? MEMBER_FOREIGN : 0) | (f->member.secure ? MEMBER_SECURE : 0);
}

static void member_decode(const void *k, const void *v, uint64_t owner, struct fwd *out)
{
	const struct abi_member_key *key = k;
	const struct abi_member *value = v;

	memcpy(&out->member.source, &key->source, sizeof(key->source));
	out->member.vni = key->vni;
	out->member.encap = key->encap;
	out->member.vrf = value->vrf;
	out->member.l3 = value->flags & MEMBER_L3;
	out->member.flood = value->flags & MEMBER_FLOOD;
	out->member.foreign = value->flags & MEMBER_FOREIGN;
	out->member.secure = value->flags & MEMBER_SECURE;
}

/* ---- prefixes ---------------------------------------------------------------------------------------------------- */

static void prefix_key(const struct fwd *f, void *out)
{
	struct abi_prefix_key *key = out;

	key->length = 32 + (uint32_t)f->prefix.prefix.length;
	key->vrf = __builtin_bswap32(f->prefix.vrf);
	memcpy(&key->addr, &f->prefix.prefix.addr, sizeof(key->addr));
}

static void prefix_value(const struct fwd *f, uint32_t nexthop, void *out)
{
	const struct prefix *prefix = &f->prefix.prefix;
	bool v4 = addr_is_v4(&prefix->addr);
	struct abi_prefix *v = out;

	v->vni = f->prefix.vni;
	v->nexthop = nexthop;
	v->flags = (v4 ? PREFIX_V4 : 0) | (prefix->length == (v4 ? V4_BITS : 0) ? PREFIX_ALL : 0);
}

static uint64_t prefix_owner(const struct fwd *f)
{
	return f->prefix.nexthop;
}

static void prefix_decode(const void *k, const void *v, uint64_t owner, struct fwd *out)
{
	const struct abi_prefix_key *key = k;

	out->prefix.vrf = __builtin_bswap32(key->vrf);
	out->prefix.prefix.length = (uint8_t)(key->length - 32);
	memcpy(&out->prefix.prefix.addr, &key->addr, sizeof(key->addr));
	out->prefix.vni = ((const struct abi_prefix *)v)->vni;
	out->prefix.nexthop = owner;
}

/* ---- hosts ------------------------------------------------------------------------------------------------------- */

static void host_key(const struct fwd *f, void *out)
{
	struct abi_host_key *key = out;

	key->vrf = f->host.vrf;
	memcpy(&key->addr, &f->host.addr, sizeof(key->addr));
}

static void host_value(const struct fwd *f, uint32_t nexthop, void *out)
{
	struct abi_host *v = out;

	v->nexthop = nexthop;
	v->vni = f->host.vni;
	memcpy(v->mac, f->host.mac.bytes, sizeof(v->mac));
	v->flags = (f->host.gateway ? HOST_GATEWAY : 0) | (f->host.l3 ? HOST_L3 : 0) | (f->host.bridged ? HOST_BRIDGED : 0);
}

static uint64_t host_owner(const struct fwd *f)
{
	return f->host.nexthop;
}

static void host_decode(const void *k, const void *v, uint64_t owner, struct fwd *out)
{
	const struct abi_host_key *key = k;
	const struct abi_host *value = v;

	out->host.vrf = key->vrf;
	memcpy(&out->host.addr, &key->addr, sizeof(key->addr));
	out->host.nexthop = owner;
	out->host.vni = value->vni;
	memcpy(out->host.mac.bytes, value->mac, sizeof(value->mac));
	out->host.gateway = value->flags & HOST_GATEWAY;
	out->host.l3 = value->flags & HOST_L3;
	out->host.bridged = value->flags & HOST_BRIDGED;
}

/* ---- macs -------------------------------------------------------------------------------------------------------- */

static void mac_key(const struct fwd *f, void *out)
{
	struct abi_mac_key *key = out;

	key->vni = f->mac.vni;
	memcpy(key->mac, f->mac.mac.bytes, sizeof(key->mac));
}

static void mac_value(const struct fwd *f, uint32_t nexthop, void *out)
{
	((struct abi_mac *)out)->nexthop = nexthop;
}

static uint64_t mac_owner(const struct fwd *f)
{
	return f->mac.nexthop;
}

static void mac_decode(const void *k, const void *v, uint64_t owner, struct fwd *out)
{
	const struct abi_mac_key *key = k;

	out->mac.vni = key->vni;
	memcpy(out->mac.mac.bytes, key->mac, sizeof(key->mac));
	out->mac.nexthop = owner;
}

/* ---- ports ------------------------------------------------------------------------------------------------------- */

static void port_key(const struct fwd *f, void *out)
{
	memcpy(out, &f->port.ifindex, sizeof(f->port.ifindex));
}

static void port_value(const struct fwd *f, uint32_t nexthop, void *out)
{
	struct abi_port *v = out;

	v->vni = f->port.vni;
	v->vrf = f->port.vrf;
	v->flags = f->port.flags;
	v->nexthop = nexthop;
	memcpy(v->mac, f->port.mac.bytes, sizeof(v->mac));
	v->gateway4 = f->port.gateway4.be32[3];
	memcpy(&v->gateway6, &f->port.gateway6, sizeof(v->gateway6));
	v->storm_limit = f->port.storm_limit;
	v->icmp_limit = f->port.icmp_limit;
	v->owner = f->port.owner;
}

static uint64_t port_owner(const struct fwd *f)
{
	return f->port.owner;
}

static void port_decode(const void *k, const void *v, uint64_t owner, struct fwd *out)
{
	const struct abi_port *value = v;

	memcpy(&out->port.ifindex, k, sizeof(out->port.ifindex));
	out->port.owner = value->owner;
	out->port.vni = value->vni;
	out->port.vrf = value->vrf;
	out->port.flags = value->flags;
	memcpy(out->port.mac.bytes, value->mac, sizeof(value->mac));
	if (value->gateway4) {
		out->port.gateway4.bytes[10] = out->port.gateway4.bytes[11] = 0xff;
		out->port.gateway4.be32[3] = value->gateway4;
	}
	memcpy(&out->port.gateway6, &value->gateway6, sizeof(value->gateway6));
	out->port.storm_limit = value->storm_limit;
	out->port.icmp_limit = value->icmp_limit;
}

/* ------------------------------------------------------------------------------------------------------------------ */

static const struct plain plain[FWD_KIND_MAX] = {
	[FWD_MEMBER] = {MAP_MEMBERS, NO_NEXTHOP, member_key, member_value, NULL, member_decode},
	[FWD_PREFIX] = {MAP_PREFIXES, offsetof(struct abi_prefix, nexthop), prefix_key, prefix_value, prefix_owner,
			prefix_decode},
	[FWD_HOST] = {MAP_HOSTS, offsetof(struct abi_host, nexthop), host_key, host_value, host_owner, host_decode},
	[FWD_MAC] = {MAP_MACS, offsetof(struct abi_mac, nexthop), mac_key, mac_value, mac_owner, mac_decode},
	[FWD_PORT] = {MAP_PORTS, offsetof(struct abi_port, nexthop), port_key, port_value, port_owner, port_decode},
};

_Static_assert(sizeof(struct abi_member_key) <= PLAIN_KEY_MAX && sizeof(struct abi_prefix_key) <= PLAIN_KEY_MAX,
	       "room");
_Static_assert(sizeof(struct abi_port) <= PLAIN_VALUE_MAX && sizeof(struct abi_host) <= PLAIN_VALUE_MAX, "room");

union plain_key {
	uint64_t align;
	uint8_t bytes[PLAIN_KEY_MAX];
};

union plain_value {
	uint64_t align;
	uint8_t bytes[PLAIN_VALUE_MAX];
};

static uint32_t nexthop_in(const struct plain *p, const void *value)
{
	uint32_t id = 0;

	if (p->nexthop != NO_NEXTHOP)
		memcpy(&id, (const uint8_t *)value + p->nexthop, sizeof(id));
	return id;
}

static void decode(const struct datapath *dp, enum fwd_kind kind, const void *k, const void *v, struct fwd *out)
{
	const struct plain *p = &plain[kind];
	const struct map *m = &dp->maps[p->map];
	union plain_key key;
	union plain_value value;

	memcpy(&key, k, m->shape.key_size);
	memcpy(&value, v, m->shape.value_size);
	memset(out, 0, sizeof(*out));
	out->kind = kind;
	p->decode(&key, &value, nexthop_owner(dp, nexthop_in(p, &value)), out);
}

/* The model installs in the order of kinds, so an unknown next hop is a mistake of ours, not of the user's. */
static int resolve(const struct datapath *dp, const struct fwd *f, uint32_t *id)
{
	const struct plain *p = &plain[f->kind];
	uint64_t owner = p->owner ? p->owner(f) : 0;
	char text[160];

	*id = 0;
	if (!p->owner || (owner == 0 && (f->kind == FWD_PREFIX || (f->kind == FWD_HOST && f->host.gateway))))
		return 0;
	*id = nexthop_id(dp, owner);
	if (*id)
		return 0;
	return error_set(-EINVAL, "table %s: \"%s\" names a next hop that does not exist", dp->maps[p->map].name,
			 fwd_format(f, text, sizeof(text)));
}

static int plain_put(struct datapath *dp, const struct fwd *f)
{
	const struct plain *p = &plain[f->kind];
	struct map *m = &dp->maps[p->map];
	union plain_key key = {0};
	union plain_value value = {0};
	struct map_cell *cell;
	uint32_t id, old;
	int r;

	r = resolve(dp, f, &id);
	if (r < 0)
		return r;
	p->key(f, &key);
	p->value(f, id, &value);
	cell = map_get(m, &key);
	old = cell ? nexthop_in(p, map_cell_value(m, cell)) : 0;
	r = map_put(m, &key, &value);
	if (r > 0) {
		nexthop_ref(dp, id, 1);
		nexthop_ref(dp, old, -1);
	}
	return r;
}

static int plain_remove(struct datapath *dp, const struct plain *p, const void *k)
{
	struct map *m = &dp->maps[p->map];
	struct map_cell *cell = map_get(m, k);
	uint32_t id = cell ? nexthop_in(p, map_cell_value(m, cell)) : 0;
	union plain_key key;
	int r;

	memcpy(&key, k, m->shape.key_size); /* the caller's may be the cell's own */
	r = map_del(m, &key);
	if (r > 0)
		nexthop_ref(dp, id, -1);
	return r;
}

static int plain_del(struct datapath *dp, const struct fwd *f)
{
	union plain_key key = {0};

	plain[f->kind].key(f, &key);
	return plain_remove(dp, &plain[f->kind], &key);
}

static bool plain_get(const struct datapath *dp, const struct fwd *f, struct fwd *out)
{
	const struct plain *p = &plain[f->kind];
	const struct map *m = &dp->maps[p->map];
	union plain_key key = {0};
	struct map_cell *cell;

	p->key(f, &key);
	cell = map_get(m, &key);
	if (cell)
		decode(dp, f->kind, map_cell_key(cell), map_cell_value(m, cell), out);
	return cell;
}

static int plain_sweep(struct datapath *dp, const struct plain *p)
{
	struct map *m = &dp->maps[p->map];
	int removed = 0, error = 0;
	struct map_cell *cell;

	for (size_t i = 0; (cell = map_next(m, &i));) {
		int r;

		if (!cell->stale)
			continue;
		r = plain_remove(dp, p, map_cell_key(cell));
		if (r < 0)
			error = r;
		else
			removed += r;
	}
	return error < 0 ? error : removed;
}

/* Entries that point outside of the array of next hops are nobody's; the others keep what they point at alive. */
static int plain_adopt(struct datapath *dp, const struct plain *p)
{
	struct map *m = &dp->maps[p->map];
	struct map_cell *cell;

	for (size_t i = 0; (cell = map_next(m, &i));) {
		uint32_t id = nexthop_in(p, map_cell_value(m, cell));
		int r;

		if (id < dp->maps[MAP_NEXTHOPS].shape.capacity) {
			nexthop_ref(dp, id, 1);
			continue;
		}
		r = map_del(m, map_cell_key(cell));
		if (r < 0)
			return r;
	}
	return 0;
}

struct reading {
	const struct datapath *dp;
	enum fwd_kind kind;
	bool (*fn)(void *arg, const struct fwd *f);
	void *arg;
};

static bool read_one(void *arg, const void *key, const void *value)
{
	const struct reading *r = arg;
	struct fwd f;

	decode(r->dp, r->kind, key, value, &f);
	return r->fn(r->arg, &f);
}

static void plain_each(const struct datapath *dp, enum fwd_kind kind, bool (*fn)(void *arg, const struct fwd *f),
		       void *arg)
{
	struct reading reading = {.dp = dp, .kind = kind, .fn = fn, .arg = arg};
	const struct map *m = &dp->maps[plain[kind].map];
	struct map_cell *cell;

	if (dp->read_only) {
		map_walk_all(m, read_one, &reading);
		return;
	}
	for (size_t i = 0; (cell = map_next(m, &i));) {
		if (!read_one(&reading, map_cell_key(cell), map_cell_value(m, cell)))
			return;
	}
}

/* ---- for datapath.c ---------------------------------------------------------------------------------------------- */

int table_adopt(struct datapath *dp)
{
	int r = nexthop_adopt(dp);

	for (enum fwd_kind k = 0; r >= 0 && k < FWD_KIND_MAX; k++) {
		if (plain[k].map != MAP_NODE)
			r = plain_adopt(dp, &plain[k]);
	}
	return r < 0 ? r : flood_adopt(dp);
}

void table_mark_stale(struct datapath *dp)
{
	for (enum fwd_kind k = 0; k < FWD_KIND_MAX; k++) {
		struct map_cell *cell;

		for (size_t i = 0; plain[k].map != MAP_NODE && (cell = map_next(&dp->maps[plain[k].map], &i));)
			cell->stale = true;
	}
	nexthop_mark_stale(dp);
	flood_mark_stale(dp);
}

int table_sweep(struct datapath *dp)
{
	int removed = flood_sweep(dp), error = removed < 0 ? removed : 0, r;

	for (enum fwd_kind k = FWD_KIND_MAX; k-- > 0;) {
		if (plain[k].map == MAP_NODE)
			continue;
		r = plain_sweep(dp, &plain[k]);
		if (r < 0)
			error = r;
		else
			removed += r;
	}
	r = nexthop_sweep(dp);
	return error < 0 ? error : r < 0 ? r : removed + r;
}

/* ---- the public verbs -------------------------------------------------------------------------------------------- */

static int refuse_reader(const struct datapath *dp)
{
	return dp->read_only ? error_set(-EROFS, "the data plane was opened to be read only") : 0;
}

/* Routes are the kernel's, and no table of the data plane holds them. */
static bool is_elsewhere(enum fwd_kind kind)
{
	return kind == FWD_ROUTE;
}

static int refuse(const struct datapath *dp, const struct fwd *f)
{
	return is_elsewhere(f->kind) ? error_set(-EINVAL, "no table holds a %s", fwd_kind_name(f->kind)) : refuse_reader(dp);
}

int table_put(struct datapath *dp, const struct fwd *f)
{
	int r = refuse(dp, f);

	if (r < 0)
		return r;
	if (f->kind == FWD_NEXTHOP)
		return nexthop_put(dp, f);
	return f->kind == FWD_FLOOD ? flood_put(dp, f) : plain_put(dp, f);
}

int table_del(struct datapath *dp, const struct fwd *f)
{
	int r = refuse(dp, f);

	if (r < 0)
		return r;
	if (f->kind == FWD_NEXTHOP)
		return nexthop_del(dp, f);
	return f->kind == FWD_FLOOD ? flood_del(dp, f) : plain_del(dp, f);
}

void table_each(const struct datapath *dp, enum fwd_kind kind, bool (*fn)(void *arg, const struct fwd *f), void *arg)
{
	if (is_elsewhere(kind))
		return;
	if (kind == FWD_NEXTHOP)
		nexthop_each(dp, fn, arg);
	else if (kind == FWD_FLOOD)
		flood_each(dp, fn, arg);
	else
		plain_each(dp, kind, fn, arg);
}

struct search {
	const struct fwd *key;
	struct fwd *out;
	bool found;
};

static bool match_one(void *arg, const struct fwd *f)
{
	struct search *s = arg;

	s->found = fwd_same_key(f, s->key);
	if (s->found)
		*s->out = *f;
	return !s->found;
}

/* Without a shadow: by one look-up where the kernel finds exactly this key, else by going through all of them. */
static bool read_get(const struct datapath *dp, const struct fwd *f, struct fwd *out)
{
	const struct plain *p = &plain[f->kind];
	struct search search = {.key = f, .out = out};
	union plain_key key = {0};
	union plain_value value = {0};

	if (p->map == MAP_NODE || !dp->maps[p->map].exact) {
		table_each(dp, f->kind, match_one, &search);
		return search.found;
	}
	p->key(f, &key);
	if (!map_read(&dp->maps[p->map], &key, &value))
		return false;
	decode(dp, f->kind, &key, &value, out);
	return true;
}

bool table_get(const struct datapath *dp, const struct fwd *key, struct fwd *out)
{
	if (is_elsewhere(key->kind))
		return false;
	if (dp->read_only)
		return read_get(dp, key, out);
	if (key->kind == FWD_NEXTHOP)
		return nexthop_get(dp, key, out);
	return key->kind == FWD_FLOOD ? flood_get(dp, key, out) : plain_get(dp, key, out);
}

static bool count_one(void *arg, const struct fwd *f)
{
	++*(size_t *)arg;
	return true;
}

size_t table_length(const struct datapath *dp, enum fwd_kind kind)
{
	size_t length = 0;

	if (is_elsewhere(kind))
		return 0;
	if (dp->read_only) {
		table_each(dp, kind, count_one, &length);
		return length;
	}
	if (kind == FWD_NEXTHOP)
		return dp->n_nexthops;
	return kind == FWD_FLOOD ? dp->floods.length : dp->maps[plain[kind].map].cells.length;
}

void table_trim(struct datapath *dp)
{
	for (int i = 0; i < MAP_MAX; i++)
		hmap_trim(&dp->maps[i].cells);
}

size_t table_capacity(const struct datapath *dp, enum fwd_kind kind)
{
	if (is_elsewhere(kind))
		return 0;
	if (kind == FWD_NEXTHOP)
		return dp->maps[MAP_NEXTHOPS].shape.capacity - 1; /* number 0 is nobody's */
	return dp->maps[kind == FWD_FLOOD ? MAP_FLOODS : plain[kind].map].shape.capacity;
}
