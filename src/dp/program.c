/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The programs that serve: those that are pinned, where they are what this binary carries, else newly loaded ones.
 *
 * Loading costs the verifier a quarter of a second.  A pinned stamp, "build", says of which bytes the pinned programs
 * were made; when it is ours, nothing is loaded.  Without it they are loaded, compared, and dropped again when equal,
 * so that no filter is swapped without need.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "dp/pin.h"
#include "dp/state.h"
#include "lib/cleanup.h"

#define PROGRAM_MAPS_MAX 64

struct facts {
	struct bpf_prog_info info;
	uint32_t maps[PROGRAM_MAPS_MAX];
};

static int gather(int fd, struct facts *out)
{
	uint32_t size = sizeof(out->info);

	memset(out, 0, sizeof(*out));
	out->info.nr_map_ids = PROGRAM_MAPS_MAX;
	out->info.map_ids = (uintptr_t)out->maps;
	return bpf_obj_get_info_by_fd(fd, &out->info, &size);
}

static bool uses(const struct facts *p, uint32_t map)
{
	for (uint32_t i = 0; i < p->info.nr_map_ids && i < PROGRAM_MAPS_MAX; i++) {
		if (p->maps[i] == map)
			return true;
	}
	return false;
}

static bool same_constants(int a, int b, uint32_t size)
{
	_cleanup_(free) uint8_t *value_a = malloc(size);
	_cleanup_(free) uint8_t *value_b = malloc(size);
	const uint32_t zero = 0;

	return value_a && value_b && bpf_map_lookup_elem(a, &zero, value_a) == 0 &&
	       bpf_map_lookup_elem(b, &zero, value_b) == 0 && memcmp(value_a, value_b, size) == 0;
}

static bool is_shared(const char *name)
{
	for (enum map_id m = 0; m < MAP_MAX; m++) {
		if (strcmp(name, map_names[m]) == 0)
			return true;
	}
	return false;
}

/* A map of the program's own (constants, scratch space): may the one stand for the other? */
static bool interchangeable(uint32_t map_a, uint32_t map_b)
{
	_cleanup_(fd) int a = bpf_map_get_fd_by_id(map_a);
	_cleanup_(fd) int b = bpf_map_get_fd_by_id(map_b);
	struct bpf_map_info info_a = {0}, info_b = {0};
	uint32_t size_a = sizeof(info_a), size_b = sizeof(info_b);

	if (a < 0 || b < 0 || bpf_obj_get_info_by_fd(a, &info_a, &size_a) < 0 ||
	    bpf_obj_get_info_by_fd(b, &info_b, &size_b) < 0)
		return false;
	if (is_shared(info_a.name) || strcmp(info_a.name, info_b.name) != 0 || info_a.type != info_b.type ||
	    info_a.key_size != info_b.key_size || info_a.value_size != info_b.value_size ||
	    info_a.max_entries != info_b.max_entries)
		return false;
	return !(info_a.map_flags & BPF_F_RDONLY_PROG) || same_constants(a, b, info_a.value_size);
}

/* The same instructions over the same maps with the same constants. */
static bool same_program(int old_fd, int new_fd)
{
	struct facts old, new;

	if (gather(old_fd, &old) < 0 || gather(new_fd, &new) < 0 ||
	    memcmp(old.info.tag, new.info.tag, sizeof(new.info.tag)) != 0 || old.info.nr_map_ids != new.info.nr_map_ids)
		return false;
	for (uint32_t i = 0; i < new.info.nr_map_ids && i < PROGRAM_MAPS_MAX; i++) {
		bool found = uses(&old, new.maps[i]);

		for (uint32_t j = 0; !found && j < old.info.nr_map_ids && j < PROGRAM_MAPS_MAX; j++)
			found = !uses(&new, old.maps[j]) && interchangeable(old.maps[j], new.maps[i]);
		if (!found)
			return false;
	}
	return true;
}

static int take_one(struct datapath *dp, enum program_id i, int from_fd)
{
	_cleanup_(fd) int pinned = pin_open(dp->bpf_dir, program_names[i], false);
	int r;

	if (pinned >= 0 && !dp->fresh && same_program(pinned, from_fd))
		dp->programs[i].fd = TAKE_FD(pinned);
	else
		dp->programs[i].fd = fcntl(from_fd, F_DUPFD_CLOEXEC, 3);
	if (dp->programs[i].fd < 0)
		return error_set(-errno, "program %s: %s", program_names[i], strerror(errno));
	r = program_info(dp->programs[i].fd, &dp->programs[i].id);
	return r < 0 ? error_set(r, "program %s: %s", program_names[i], strerror(-r)) : 0;
}

/* Does the program look into these maps, and not into namesakes of theirs? */
static bool looks_into(const uint32_t map_ids[MAP_MAX], const struct facts *facts)
{
	for (uint32_t i = 0; i < facts->info.nr_map_ids && i < PROGRAM_MAPS_MAX; i++) {
		_cleanup_(fd) int fd = bpf_map_get_fd_by_id(facts->maps[i]);
		struct bpf_map_info info = {0};
		uint32_t size = sizeof(info);

		if (fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &size) < 0)
			return false;
		for (enum map_id m = 0; m < MAP_MAX; m++) {
			if (strcmp(info.name, map_names[m]) == 0 && info.id != map_ids[m])
				return false;
		}
	}
	return true;
}

int program_info(int fd, uint32_t *id)
{
	struct bpf_prog_info info = {0};
	uint32_t size = sizeof(info);
	int r = bpf_obj_get_info_by_fd(fd, &info, &size);

	if (r == 0)
		*id = info.id;
	return r;
}

bool program_looks_into(int fd, const uint32_t map_ids[MAP_MAX])
{
	struct facts facts;

	return gather(fd, &facts) == 0 && looks_into(map_ids, &facts);
}

/* A descriptor of something else answers the question for its facts as well, only with other ones. */
static bool is_program(int fd, struct facts *out)
{
	_cleanup_(fd) int again = -1;
	struct facts same;

	if (gather(fd, out) < 0)
		return false;
	again = bpf_prog_get_fd_by_id(out->info.id);
	return again >= 0 && gather(again, &same) == 0 &&
	       memcmp(same.info.tag, out->info.tag, sizeof(same.info.tag)) == 0 &&
	       strncmp(same.info.name, out->info.name, sizeof(same.info.name)) == 0;
}

bool program_is_named(int fd, const char *name)
{
	struct facts facts;

	return is_program(fd, &facts) && strncmp(facts.info.name, name, sizeof(facts.info.name) - 1) == 0;
}

bool program_is_relic(int fd, const uint32_t map_ids[MAP_MAX])
{
	struct facts facts;

	return is_program(fd, &facts) && !looks_into(map_ids, &facts);
}

bool program_adopt(struct datapath *dp)
{
	struct program pinned[PROGRAM_MAX];
	bool all = pinset_build(dp) == dp->build;

	for (enum program_id i = 0; i < PROGRAM_MAX; i++) {
		struct facts facts;

		pinned[i].fd = all ? pin_open(dp->bpf_dir, program_names[i], false) : -1;
		all = all && pinned[i].fd >= 0 && gather(pinned[i].fd, &facts) == 0 && looks_into(dp->map_ids, &facts);
		pinned[i].id = all ? facts.info.id : 0;
	}
	for (enum program_id i = 0; i < PROGRAM_MAX; i++) {
		if (all)
			dp->programs[i] = pinned[i];
		else if (pinned[i].fd >= 0)
			close(pinned[i].fd);
	}
	return all;
}

int program_take(struct datapath *dp, const struct bpf_object *object)
{
	for (enum program_id i = 0; i < PROGRAM_MAX; i++) {
		struct bpf_program *p = bpf_object__find_program_by_name(object, program_names[i]);
		int r;

		if (!p)
			return error_set(-EINVAL, "the BPF object of this build has no program \"%s\"",
					 program_names[i]);
		r = take_one(dp, i, bpf_program__fd(p));
		if (r < 0)
			return r;
	}
	return 0;
}
