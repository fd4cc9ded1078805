/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "dp/object.h"
#include "dp/pin.h"
#include "dp/state.h"
#include "lib/cleanup.h"
#include "lib/log.h"
#include "lib/text.h"

const char *const map_names[MAP_MAX] = {
	[MAP_NODE] = "node",         [MAP_PORTS] = "ports",       [MAP_NEXTHOPS] = "nexthops", [MAP_MACS] = "macs",
	[MAP_HOSTS] = "hosts",       [MAP_PREFIXES] = "prefixes", [MAP_MEMBERS] = "members",   [MAP_FLOODS] = "floods",
	[MAP_DROPS] = "drops",       [MAP_COUNTERS] = "counters", [MAP_EVENTS] = "events",     [MAP_EPOCH] = "epoch",
};

const char *const program_names[PROGRAM_MAX] = {
	[PROGRAM_PORT_INGRESS] = "port_ingress",
	[PROGRAM_PORT_EGRESS] = "port_egress",
	[PROGRAM_WIRE_INGRESS] = "wire_ingress",
	[PROGRAM_SECURE_EGRESS] = "secure_egress",
};

DEFINE_CLEANUP(datapath, struct datapath *, datapath_close)
DEFINE_CLEANUP(object, struct object *, object_close)

/* ---- libbpf's words ---------------------------------------------------------------------------------------------- */

static __attribute__((format(printf, 2, 0))) int to_debug_log(enum libbpf_print_level level, const char *format,
								va_list args)
{
	_cleanup_(free) char *text = NULL;

	if (level == LIBBPF_DEBUG || text_vformat(&text, format, args) < 0)
		return 0;
	text[strcspn(text, "\n")] = 0;
	log_debug("libbpf: %s", text);
	return 0;
}

/* ---- maps -------------------------------------------------------------------------------------------------------- */

/*
 * Counters outlive every version: an index keeps its meaning for ever (new ones are appended), and the maps have room,
 * so that their shape stays when an index is added.
 */
#define DROPS_ROOM 128
#define COUNTERS_ROOM 64

static_assert((int)DROP_MAX <= DROPS_ROOM && (int)COUNTER_MAX <= COUNTERS_ROOM, "room for more, as the layout goes on");

static const enum map_id inherited[] = {MAP_DROPS, MAP_COUNTERS};

#define N_INHERITED (sizeof(inherited) / sizeof(*inherited))

/* What this binary wants its maps to be. */
static int shapes_wanted(struct bpf_object *object, struct map_shape shapes[MAP_MAX])
{
	static const uint32_t room[MAP_MAX] = {[MAP_DROPS] = DROPS_ROOM, [MAP_COUNTERS] = COUNTERS_ROOM};

	for (enum map_id i = 0; i < MAP_MAX; i++) {
		struct bpf_map *m = bpf_object__find_map_by_name(object, map_names[i]);

		if (!m)
			return error_set(-EINVAL, "the BPF object of this build has no map \"%s\"", map_names[i]);
		/* Mapped into our memory, the audit compares all of it at memory speed. */
		if (i == MAP_NEXTHOPS)
			bpf_map__set_map_flags(m, bpf_map__map_flags(m) | BPF_F_MMAPABLE);
		if (room[i])
			bpf_map__set_max_entries(m, room[i]);
		shapes[i] = (struct map_shape){.type = bpf_map__type(m),
					       .key_size = bpf_map__key_size(m),
					       .value_size = bpf_map__value_size(m),
					       .capacity = bpf_map__max_entries(m),
					       .flags = bpf_map__map_flags(m)};
	}
	return 0;
}

static int take_map(struct datapath *dp, enum map_id i, int from_fd)
{
	int fd = fcntl(from_fd, F_DUPFD_CLOEXEC, 3), r;
	struct map_shape shape;

	if (fd < 0)
		return error_set(-errno, "table %s: %s", map_names[i], strerror(errno));
	r = map_shape_of(fd, &shape, &dp->map_ids[i]);
	if (r < 0) {
		close(fd);
		return error_set(r, "table %s: %s", map_names[i], strerror(-r));
	}
	map_init(&dp->maps[i], map_names[i], fd, &shape);
	return 0;
}

/* ---- opening ----------------------------------------------------------------------------------------------------- */

/* Maps that the object is to use instead of its own. */
static int reuse_maps(const struct datapath *dp, struct bpf_object *object)
{
	for (enum map_id i = 0; i < MAP_MAX; i++) {
		int r = bpf_map__reuse_fd(bpf_object__find_map_by_name(object, map_names[i]), dp->maps[i].fd);

		if (r < 0)
			return error_set(r, "taking over the pinned table %s: %s", map_names[i], strerror(-r));
	}
	return 0;
}

/* New maps, but counters go on where those of the former version, or of a set that is not whole, stand. */
static int inherit_maps(const struct datapath *dp, struct bpf_object *object, const struct map_shape wanted[MAP_MAX])
{
	for (size_t i = 0; i < N_INHERITED; i++) {
		enum map_id id = inherited[i];
		_cleanup_(fd) int fd = pinset_inherit(dp, id, &wanted[id]);
		int r = fd < 0 ? 0 : bpf_map__reuse_fd(bpf_object__find_map_by_name(object, map_names[id]), fd);

		if (r < 0)
			return error_set(r, "taking over the pinned table %s: %s", map_names[id], strerror(-r));
	}
	return 0;
}

static int take_pinned(struct datapath *dp, const struct map_shape wanted[MAP_MAX])
{
	int pinned[MAP_MAX], r = 0;

	dp->fresh = !pinset_open(dp, wanted, pinned);
	for (enum map_id i = 0; !dp->fresh && i < MAP_MAX; i++) {
		if (r == 0)
			r = take_map(dp, i, pinned[i]);
		close(pinned[i]);
	}
	return r;
}

static int load(struct datapath *dp)
{
	_cleanup_(object) struct object *object = NULL;
	struct map_shape wanted[MAP_MAX];
	int r;

	r = object_open(&object);
	if (r < 0)
		return r;
	dp->build = object_build(object);
	r = shapes_wanted(object_bpf(object), wanted);
	if (r < 0)
		return r;
	r = take_pinned(dp, wanted);
	if (r < 0)
		return r;
	if (!dp->fresh && program_adopt(dp))
		return 0;
	r = dp->fresh ? inherit_maps(dp, object_bpf(object), wanted) : reuse_maps(dp, object_bpf(object));
	if (r < 0)
		return r;
	r = object_load(object);
	if (r < 0)
		return r;
	for (enum map_id i = 0; dp->fresh && i < MAP_MAX; i++) {
		r = take_map(dp, i, bpf_map__fd(bpf_object__find_map_by_name(object_bpf(object), map_names[i])));
		if (r < 0)
			return r;
	}
	return program_take(dp, object_bpf(object));
}

static int load_shadow(struct datapath *dp)
{
	static const enum map_id tables[] = {MAP_PORTS, MAP_MACS, MAP_HOSTS, MAP_PREFIXES, MAP_MEMBERS, MAP_FLOODS};
	static const struct abi_node none;
	const uint32_t zero = 0;
	int r;

	for (size_t i = 0; i < sizeof(tables) / sizeof(*tables); i++) {
		r = map_load(&dp->maps[tables[i]]);
		if (r < 0)
			return r;
		dp->adopted |= r > 0;
	}
	r = epoch_init(dp);
	if (r < 0)
		return r;
	r = nexthop_init(dp);
	if (r < 0)
		return r;
	flood_init(dp);
	r = table_adopt(dp);
	if (r < 0)
		return r;
	if (bpf_map_lookup_elem(dp->maps[MAP_NODE].fd, &zero, &dp->node) == 0)
		dp->node_set = memcmp(&dp->node, &none, sizeof(none)) != 0;
	dp->adopted |= dp->node_set || dp->n_nexthops > 0;
	return 0;
}

/* One writer: two would take turns to put right what the other has written.  The descriptor that holds the lock. */
static int lock_dir(const char *bpf_dir)
{
	int fd = open(bpf_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), r;

	if (fd < 0)
		return error_set(-errno, "opening %s: %s", bpf_dir, strerror(errno));
	if (flock(fd, LOCK_EX | LOCK_NB) == 0)
		return fd;
	r = errno == EWOULDBLOCK ? -EBUSY : -errno;
	close(fd);
	if (r == -EBUSY)
		return error_set(r, "%s is in use by another isthmusd: give each a directory of its own (--bpf-dir)", bpf_dir);
	return error_set(r, "locking %s: %s", bpf_dir, strerror(-r));
}

static int open_writer(struct datapath *dp)
{
	int r = pin_prepare(dp->bpf_dir);

	if (r < 0)
		return r;
	dp->lock_fd = lock_dir(dp->bpf_dir);
	if (dp->lock_fd < 0)
		return dp->lock_fd;
	r = load(dp);
	if (r < 0)
		return r;
	r = load_shadow(dp);
	if (r < 0)
		return r;
	r = attach_init(dp);
	return r < 0 ? r : stats_init(dp);
}

static int open_reader(struct datapath *dp)
{
	for (enum map_id i = 0; i < MAP_MAX; i++) {
		char name[PIN_NAME_SIZE];
		/* A map that was opened read only cannot be mapped, not even to be read. */
		_cleanup_(fd) int fd = pin_open(dp->bpf_dir, pinset_name(i, name), i != MAP_NEXTHOPS);
		int r;

		if (fd == -ENOENT)
			return error_set(-ENOENT, "%s/%s does not exist: %s", dp->bpf_dir, name,
					 pinset_any(dp->bpf_dir) ? "the data plane there was made by another version" :
								   "no data plane is loaded");
		if (fd < 0)
			return error_set(fd, "opening %s/%s: %s%s", dp->bpf_dir, name, strerror(-fd),
					 fd == -EPERM || fd == -EACCES ? "; run as root" : "");
		r = take_map(dp, i, fd);
		if (r < 0)
			return r;
	}
	return nexthop_init(dp);
}

void datapath_close(struct datapath *dp)
{
	if (!dp)
		return;
	stats_fini(dp);
	attach_fini(dp);
	flood_fini(dp);
	nexthop_fini(dp);
	epoch_fini(dp);
	for (enum map_id i = 0; i < MAP_MAX; i++)
		map_fini(&dp->maps[i]);
	for (enum program_id i = 0; i < PROGRAM_MAX; i++) {
		if (dp->programs[i].fd >= 0)
			close(dp->programs[i].fd);
	}
	if (dp->lock_fd >= 0)
		close(dp->lock_fd);
	free(dp->bpf_dir);
	free(dp);
}

int datapath_open(const struct datapath_options *options, struct datapath **out)
{
	_cleanup_(datapath) struct datapath *dp = calloc(1, sizeof(*dp));
	int r;

	libbpf_set_print(to_debug_log);
	if (!dp)
		return error_set(-ENOMEM, "opening the data plane: no memory");
	dp->lock_fd = dp->filters.fd = -1;
	for (enum program_id i = 0; i < PROGRAM_MAX; i++)
		dp->programs[i].fd = -1;
	dp->read_only = options->read_only;
	dp->bpf_dir = strdup(options->bpf_dir);
	if (!dp->bpf_dir)
		return error_set(-ENOMEM, "opening the data plane: no memory");
	r = dp->read_only ? open_reader(dp) : open_writer(dp);
	if (r < 0)
		return r;
	*out = TAKE_PTR(dp);
	return 0;
}

bool datapath_adopted(const struct datapath *dp)
{
	return dp->adopted;
}

int datapath_set_node(struct datapath *dp, const struct abi_node *node)
{
	const uint32_t zero = 0;
	int r;

	if (dp->read_only)
		return error_set(-EROFS, "the data plane was opened to be read only");
	if (dp->node_set && memcmp(&dp->node, node, sizeof(*node)) == 0)
		return 0;
	epoch_disturb(dp->epoch);
	r = bpf_map_update_elem(dp->maps[MAP_NODE].fd, &zero, node, BPF_ANY);
	if (r < 0)
		return error_set(r, "table node: writing it: %s", strerror(-r));
	dp->node = *node;
	dp->node_set = true;
	return 1;
}

void datapath_sync_begin(struct datapath *dp)
{
	if (dp->read_only)
		return;
	dp->syncing = true;
	table_mark_stale(dp);
}

/*
 * The tables are full now.  Programs that wait for that are swapped in, then what nobody asked for goes, and only then
 * do the pins say that this is the data plane: a daemon that dies earlier finds the old one, whole.
 */
static int sync_end(struct datapath *dp, bool sweep)
{
	int removed, error, r;

	if (dp->read_only)
		return error_set(-EROFS, "the data plane was opened to be read only");
	error = attach_finish_sync(dp, sweep);
	removed = sweep ? table_sweep(dp) : 0;
	dp->syncing = false;
	dp->fresh = false;
	datapath_settle(dp);
	r = pinset_audit(dp);
	if (r >= 0)
		r = pinset_clean(dp);
	if (error < 0 || removed < 0)
		return error < 0 ? error : removed;
	return r < 0 ? r : removed;
}

int datapath_sync_end(struct datapath *dp)
{
	return sync_end(dp, true);
}

int datapath_sync_keep(struct datapath *dp, datapath_encrypts_fn encrypts, void *arg)
{
	int error = dp->read_only ? 0 : nexthop_encrypt_stale(dp, encrypts, arg);
	int r = sync_end(dp, false);

	return error < 0 ? error : r;
}

int datapath_teardown(const char *bpf_dir)
{
	_cleanup_(fd) int lock = -1;
	int error, r;

	libbpf_set_print(to_debug_log);
	lock = lock_dir(bpf_dir);
	if (lock == -EBUSY)
		return lock;
	error = attach_teardown(bpf_dir);
	if (pin_is_bpffs(bpf_dir) == 1) {
		r = pinset_remove(bpf_dir);
		error = error < 0 ? error : r;
	}
	r = pin_finish(bpf_dir);
	return error < 0 ? error : r;
}
