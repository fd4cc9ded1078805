/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pins of one data plane: maps by name and layout version, programs by name, and the stamp, which names the maps
 * that belong together and the build that the programs are of.  It goes before the first pin changes and comes back
 * after the last one, so that a crash in between never makes one data plane out of two.
 *
 * Another version's maps are never read (but counters, whose meaning does not change): the next hop numbers, flags and
 * sizes in them may mean anything.  They serve on through the filters of the former run until ours take over.
 */
#include <assert.h>
#include <bpf/bpf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "dp/pin.h"
#include "dp/state.h"
#include "lib/cleanup.h"

#define STAMP_PIN "build"
#define STAMP_MAP "isthmus_build"
#define STAMP_MAPS 30

struct stamp {
	uint64_t build;
	uint32_t map_ids[STAMP_MAPS];
};

static_assert((int)MAP_MAX <= STAMP_MAPS, "room for every map, and the same size in all versions");

const char *pinset_name(enum map_id id, char out[static PIN_NAME_SIZE])
{
	snprintf(out, PIN_NAME_SIZE, "%s_v%d", map_names[id], ABI_VERSION);
	return out;
}

/* ---- the stamp --------------------------------------------------------------------------------------------------- */

static struct stamp make_stamp(const struct datapath *dp)
{
	struct stamp s = {.build = dp->build};

	memcpy(s.map_ids, dp->map_ids, sizeof(dp->map_ids));
	return s;
}

/* Whatever has the pin's name: nothing is read from it before it has the size that is expected. */
static bool read_stamp(const struct datapath *dp, struct stamp *out)
{
	_cleanup_(fd) int fd = pin_open(dp->bpf_dir, STAMP_PIN, false);
	const uint32_t zero = 0;
	struct map_shape shape;
	uint32_t id;

	return fd >= 0 && map_shape_of(fd, &shape, &id) == 0 && shape.type == BPF_MAP_TYPE_ARRAY &&
	       shape.key_size == sizeof(zero) && shape.value_size == sizeof(*out) &&
	       bpf_map_lookup_elem(fd, &zero, out) == 0;
}

/* All pins are in place: 1 = said so, 0 = it said so already. */
static int put_stamp(struct datapath *dp)
{
	const struct stamp wanted = make_stamp(dp);
	_cleanup_(fd) int fd = -1;
	const uint32_t zero = 0;
	struct stamp now;
	int r;

	if (read_stamp(dp, &now) && memcmp(&now, &wanted, sizeof(now)) == 0)
		return 0;
	fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, STAMP_MAP, sizeof(zero), sizeof(wanted), 1, NULL);
	if (fd < 0)
		return error_set(fd, "stamping the pins: %s", strerror(-fd));
	r = bpf_map_update_elem(fd, &zero, &wanted, BPF_ANY);
	if (r < 0)
		return error_set(r, "stamping the pins: %s", strerror(-r));
	r = pin_put(dp->bpf_dir, STAMP_PIN, fd);
	return r < 0 ? r : 1;
}

uint64_t pinset_build(const struct datapath *dp)
{
	struct stamp s;

	return read_stamp(dp, &s) ? s.build : 0;
}

/* ---- taking over ------------------------------------------------------------------------------------------------- */

/* By the stamp; where somebody removed it, by what the pinned programs look into. */
static bool belong_together(const struct datapath *dp, const uint32_t ids[MAP_MAX])
{
	struct stamp s;

	if (read_stamp(dp, &s))
		return memcmp(s.map_ids, ids, MAP_MAX * sizeof(*ids)) == 0;
	for (enum program_id p = 0; p < PROGRAM_MAX; p++) {
		_cleanup_(fd) int fd = pin_open(dp->bpf_dir, program_names[p], false);

		if (fd < 0 || !program_looks_into(fd, ids))
			return false;
	}
	return true;
}

/* All or none: programs that looked into old and new ones at once would see half a world. */
bool pinset_open(const struct datapath *dp, const struct map_shape wanted[MAP_MAX], int fds[MAP_MAX])
{
	uint32_t ids[MAP_MAX] = {0};
	bool all = true;

	for (enum map_id i = 0; i < MAP_MAX; i++) {
		char name[PIN_NAME_SIZE];
		struct map_shape shape;

		fds[i] = all ? pin_open(dp->bpf_dir, pinset_name(i, name), false) : -1;
		all = fds[i] >= 0 && map_shape_of(fds[i], &shape, &ids[i]) == 0 &&
		      memcmp(&shape, &wanted[i], sizeof(shape)) == 0;
	}
	all = all && belong_together(dp, ids);
	for (enum map_id i = 0; !all && i < MAP_MAX; i++) {
		if (fds[i] >= 0)
			close(fds[i]);
		fds[i] = -1;
	}
	return all;
}

/* "hosts_v3" -> "hosts" and 3 */
static bool parse_name(const char *name, char base[static PIN_NAME_SIZE], unsigned *version)
{
	const char *suffix = strrchr(name, '_');
	char end;

	if (!suffix || suffix == name || (size_t)(suffix - name) >= PIN_NAME_SIZE ||
	    sscanf(suffix, "_v%u%c", version, &end) != 1)
		return false;
	memcpy(base, name, (size_t)(suffix - name));
	base[suffix - name] = 0;
	return true;
}

struct inheritance {
	const struct datapath *dp;
	const char *base;
	const struct map_shape *wanted;
	unsigned version;
	int fd;
};

static void consider(void *arg, const char *name)
{
	struct inheritance *i = arg;
	char base[PIN_NAME_SIZE];
	struct map_shape shape;
	unsigned version;
	uint32_t id;
	int fd;

	if (!parse_name(name, base, &version) || strcmp(base, i->base) != 0 || (i->fd >= 0 && version < i->version))
		return;
	fd = pin_open(i->dp->bpf_dir, name, false);
	if (fd < 0 || map_shape_of(fd, &shape, &id) < 0 || memcmp(&shape, i->wanted, sizeof(shape)) != 0) {
		if (fd >= 0)
			close(fd);
		return;
	}
	if (i->fd >= 0)
		close(i->fd);
	i->fd = fd;
	i->version = version;
}

int pinset_inherit(const struct datapath *dp, enum map_id id, const struct map_shape *wanted)
{
	struct inheritance i = {.dp = dp, .base = map_names[id], .wanted = wanted, .fd = -ENOENT};

	pin_each(dp->bpf_dir, consider, &i);
	return i.fd;
}

/* ---- putting ----------------------------------------------------------------------------------------------------- */

static uint32_t pinned_id(const struct datapath *dp, const char *name, bool program)
{
	_cleanup_(fd) int fd = pin_open(dp->bpf_dir, name, false);
	struct map_shape shape;
	uint32_t id;

	if (fd < 0)
		return 0;
	return (program ? program_info(fd, &id) : map_shape_of(fd, &shape, &id)) < 0 ? 0 : id;
}

int pinset_audit(struct datapath *dp)
{
	int repairs = 0, r;

	if (dp->fresh)
		return 0;
	r = pin_is_bpffs(dp->bpf_dir);
	if (r != 1) {
		r = pin_prepare(dp->bpf_dir);
		if (r < 0)
			return r;
	}
	for (size_t i = 0; i < MAP_MAX + PROGRAM_MAX; i++) {
		bool program = i >= MAP_MAX;
		size_t p = program ? i - MAP_MAX : 0;
		char buffer[PIN_NAME_SIZE];
		const char *name = program ? program_names[p] : pinset_name((enum map_id)i, buffer);

		if (pinned_id(dp, name, program) == (program ? dp->programs[p].id : dp->map_ids[i]))
			continue;
		/* From here to the end the pins do not belong together, and nobody may take it that they do. */
		r = pin_remove(dp->bpf_dir, STAMP_PIN);
		if (r == 0)
			r = pin_put(dp->bpf_dir, name, program ? dp->programs[p].fd : dp->maps[i].fd);
		if (r < 0)
			return r;
		repairs++;
	}
	r = put_stamp(dp);
	return r < 0 ? r : repairs + (repairs == 0 ? r : 0);
}

/* ---- removing ---------------------------------------------------------------------------------------------------- */

/*
 * A name says nothing in a directory that others pin into as well.  What every version keeps of a map: its name in the
 * kernel, its type, and the size of keys that are numbers.
 */
#define ANY_SIZE UINT32_MAX

static const struct {
	enum bpf_map_type type;
	uint32_t key_size;
} kept[MAP_MAX] = {
	[MAP_NODE] = {BPF_MAP_TYPE_ARRAY, sizeof(uint32_t)},
	[MAP_PORTS] = {BPF_MAP_TYPE_HASH, sizeof(uint32_t)},
	[MAP_NEXTHOPS] = {BPF_MAP_TYPE_ARRAY, sizeof(uint32_t)},
	[MAP_MACS] = {BPF_MAP_TYPE_HASH, ANY_SIZE},
	[MAP_HOSTS] = {BPF_MAP_TYPE_HASH, ANY_SIZE},
	[MAP_PREFIXES] = {BPF_MAP_TYPE_LPM_TRIE, ANY_SIZE},
	[MAP_MEMBERS] = {BPF_MAP_TYPE_HASH, ANY_SIZE},
	[MAP_FLOODS] = {BPF_MAP_TYPE_HASH, ANY_SIZE},
	[MAP_DROPS] = {BPF_MAP_TYPE_PERCPU_ARRAY, sizeof(uint32_t)},
	[MAP_COUNTERS] = {BPF_MAP_TYPE_PERCPU_ARRAY, sizeof(uint32_t)},
	[MAP_EVENTS] = {BPF_MAP_TYPE_RINGBUF, 0},
	[MAP_EPOCH] = {BPF_MAP_TYPE_ARRAY, sizeof(uint32_t)},
};

static enum map_id known_map(const char *base)
{
	enum map_id i = 0;

	while (i < MAP_MAX && strcmp(base, map_names[i]) != 0)
		i++;
	return i;
}

static bool is_map(const char *dir, const char *pin, const char *name, struct bpf_map_info *info)
{
	_cleanup_(fd) int fd = pin_open(dir, pin, true);
	uint32_t size = sizeof(*info);

	memset(info, 0, sizeof(*info));
	return fd >= 0 && bpf_obj_get_info_by_fd(fd, info, &size) == 0 &&
	       strncmp(info->name, name, sizeof(info->name) - 1) == 0;
}

/* Of any version.  One that only another version knows: we call a pin like the map, which a stranger's is not. */
static bool is_our_map(const char *dir, const char *pin, const char *base)
{
	enum map_id id = known_map(base);
	struct bpf_map_info info;

	if (!is_map(dir, pin, base, &info))
		return false;
	if (id == MAP_MAX)
		return info.key_size > 0;
	return info.type == kept[id].type && (kept[id].key_size == ANY_SIZE || info.key_size == kept[id].key_size);
}

static bool is_our_stamp(const char *dir, const char *pin)
{
	struct bpf_map_info info;

	return is_map(dir, pin, STAMP_MAP, &info) && info.type == BPF_MAP_TYPE_ARRAY;
}

static bool is_our_program(const char *dir, const char *pin, enum program_id p)
{
	_cleanup_(fd) int fd = pin_open(dir, pin, false);

	return fd >= 0 && program_is_named(fd, program_names[p]);
}

static enum program_id known_program(const char *name)
{
	enum program_id p = 0;

	while (p < PROGRAM_MAX && strcmp(name, program_names[p]) != 0)
		p++;
	return p;
}

/* "hosts_v3_next" -> "hosts_v3" */
static bool cut_next(const char *name, char out[static PIN_NAME_SIZE])
{
	static const char end[] = "_next";
	size_t length = strlen(name);

	if (length < strlen(end) || length - strlen(end) >= PIN_NAME_SIZE ||
	    strcmp(name + length - strlen(end), end) != 0)
		return false;
	length -= strlen(end);
	memcpy(out, name, length);
	out[length] = 0;
	return true;
}

/* Half of a pin_put that did not come to its end: what it would have become says what it has to be. */
static bool is_half_put(const char *dir, const char *pin)
{
	char whole[PIN_NAME_SIZE], base[PIN_NAME_SIZE];
	enum program_id p;
	unsigned version;

	if (!cut_next(pin, whole))
		return false;
	p = known_program(whole);
	if (p < PROGRAM_MAX)
		return is_our_program(dir, pin, p);
	if (strcmp(whole, STAMP_PIN) == 0)
		return is_our_stamp(dir, pin);
	return parse_name(whole, base, &version) && known_map(base) < MAP_MAX && is_our_map(dir, pin, base);
}

/* A program that only another version knows: it looks into maps that ours have taken the place of. */
static bool is_relic_program(const struct datapath *dp, const char *name)
{
	_cleanup_(fd) int fd = -1;

	if (known_program(name) < PROGRAM_MAX)
		return false;
	fd = pin_open(dp->bpf_dir, name, false);
	return fd >= 0 && program_is_relic(fd, dp->map_ids);
}

struct removal {
	const char *dir;
	const struct datapath *dp; /* NULL = everything goes */
	int error;
	bool any;
};

static bool is_unwanted(const struct removal *r, const char *name)
{
	char base[PIN_NAME_SIZE];
	enum program_id p;
	unsigned version;

	if (is_half_put(r->dir, name))
		return true;
	if (parse_name(name, base, &version))
		return !(r->dp && version == ABI_VERSION && known_map(base) < MAP_MAX) && is_our_map(r->dir, name, base);
	if (r->dp)
		return is_relic_program(r->dp, name);
	p = known_program(name);
	return p < PROGRAM_MAX ? is_our_program(r->dir, name, p) :
				 strcmp(name, STAMP_PIN) == 0 && is_our_stamp(r->dir, name);
}

static void remove_unwanted(void *arg, const char *name)
{
	struct removal *r = arg;
	int error = is_unwanted(r, name) ? pin_remove(r->dir, name) : 0;

	if (error < 0)
		r->error = error;
}

static int run_removal(struct removal *removal)
{
	int r = pin_each(removal->dir, remove_unwanted, removal);

	return r < 0 && r != -ENOENT ? r : removal->error;
}

int pinset_clean(const struct datapath *dp)
{
	struct removal removal = {.dir = dp->bpf_dir, .dp = dp};

	return run_removal(&removal);
}

int pinset_remove(const char *bpf_dir)
{
	struct removal removal = {.dir = bpf_dir};

	return run_removal(&removal);
}

static void see_pin(void *arg, const char *name)
{
	struct removal *r = arg;
	char base[PIN_NAME_SIZE];
	unsigned version;

	r->any = r->any || (parse_name(name, base, &version) && known_map(base) < MAP_MAX);
}

bool pinset_any(const char *bpf_dir)
{
	struct removal seen = {.dir = bpf_dir};

	pin_each(bpf_dir, see_pin, &seen);
	return seen.any;
}
