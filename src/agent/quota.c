/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/quota.h"

#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "lib/cleanup.h"

#define ROOM_DESCRIPTORS 64 /* for clients, and for what a change of the data plane opens */
#define FULL_PERCENT 90
#define MEBI (1024 * 1024)

/* ---- descriptors ---- */

/* They are given out from below, so the one that is this far from the end shows how many are left. */
static bool descriptors_are_short(uint64_t *limit)
{
	_cleanup_(fd) int fd = -1;
	struct rlimit r;

	if (getrlimit(RLIMIT_NOFILE, &r) < 0 || r.rlim_cur == RLIM_INFINITY || r.rlim_cur > INT_MAX)
		return false;
	*limit = r.rlim_cur;
	if (r.rlim_cur <= ROOM_DESCRIPTORS)
		return true;
	fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, (int)r.rlim_cur - ROOM_DESCRIPTORS);
	return fd != (int)r.rlim_cur - ROOM_DESCRIPTORS;
}

/* ---- memory ---- */

static const struct {
	const char *mount, *limit, *used, *cache;
} files[] = {
	{"/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "\ntotal_cache "},
	{"/sys/fs/cgroup", "memory.max", "memory.current", "\nfile "},
};

static int open_in(const char *mount, const char *group, const char *name)
{
	char path[PATH_MAX];
	int n = snprintf(path, sizeof(path), "%s%s/%s", mount, group, name);

	return n < 0 || (size_t)n >= sizeof(path) ? -1 : open(path, O_RDONLY | O_CLOEXEC);
}

/* cgroups(7): "0::/group" is that of version 2; "4:memory:/group" one of version 1, and then the memory's. */
static bool find_group(char *out, size_t size, bool *unified)
{
	_cleanup_(file) FILE *f = fopen("/proc/self/cgroup", "re");
	char line[PATH_MAX + 64];
	bool found = false;

	while (f && fgets(line, sizeof(line), f)) {
		const char *controllers = strchr(line, ':'), *group;

		group = controllers ? strchr(controllers + 1, ':') : NULL;
		if (!group)
			continue;
		line[strcspn(line, "\n")] = 0;
		if (strncmp(controllers, ":memory:", 8) == 0 || (!found && strncmp(line, "0::", 3) == 0)) {
			*unified = line[0] == '0';
			snprintf(out, size, "%s", strcmp(group + 1, "/") == 0 ? "" : group + 1);
			found = true;
		}
	}
	return found;
}

void quota_open(struct quota *q)
{
	char group[PATH_MAX];

	*q = QUOTA_NONE;
	if (!find_group(group, sizeof(group), &q->unified))
		return;
	q->limit = open_in(files[q->unified].mount, group, files[q->unified].limit);
	q->used = open_in(files[q->unified].mount, group, files[q->unified].used);
	q->stat = open_in(files[q->unified].mount, group, "memory.stat");
}

void quota_close(struct quota *q)
{
	for (int *fd = (int[]){q->used, q->limit, q->stat, INT_MIN}; *fd != INT_MIN; fd++)
		if (*fd >= 0)
			close(*fd);
	*q = QUOTA_NONE;
}

static bool read_text(int fd, char *out, size_t size)
{
	ssize_t n = fd < 0 ? -1 : pread(fd, out, size - 1, 0);

	if (n <= 0)
		return false;
	out[n] = 0;
	return true;
}

/* What is kept of files goes when others need the room: it does not count. */
static bool read_memory(const struct quota *q, uint64_t *used, uint64_t *limit)
{
	char text[8192];
	const char *at;
	uint64_t cache = 0;

	if (!read_text(q->limit, text, sizeof(text)) || text[0] < '0' || text[0] > '9') /* "max" */
		return false;
	*limit = strtoull(text, NULL, 10);
	if (!read_text(q->used, text, sizeof(text)))
		return false;
	*used = strtoull(text, NULL, 10);
	if (read_text(q->stat, text, sizeof(text)) && (at = strstr(text, files[q->unified].cache)))
		cache = strtoull(at + strlen(files[q->unified].cache), NULL, 10);
	*used -= cache < *used ? cache : *used;
	return true;
}

bool quota_has_room(const struct quota *q, uint64_t bytes, char *out, size_t size)
{
	uint64_t used, limit, left;

	if (!read_memory(q, &used, &limit))
		return true;
	left = used < limit ? limit - used : 0;
	if (bytes <= left)
		return true;
	snprintf(out, size,
		 "it may take %" PRIu64 " MB, and the daemon's control group has %" PRIu64 " of its %" PRIu64 " MB "
		 "left; raise MemoryMax=; nothing was changed",
		 bytes / MEBI, left / MEBI, limit / MEBI);
	return false;
}

bool quota_check(const struct quota *q, char *out, size_t size)
{
	uint64_t used, limit;

	if (read_memory(q, &used, &limit) && used > limit / 100 * FULL_PERCENT) {
		snprintf(out, size,
			 "%" PRIu64 " of the %" PRIu64 " MB that the daemon's control group may have are used: changes "
			 "may be refused; raise MemoryMax=",
			 used / MEBI, limit / MEBI);
		return true;
	}
	if (descriptors_are_short(&limit)) {
		snprintf(out, size,
			 "the daemon may have %" PRIu64 " descriptors, and fewer than %d of them are left: clients and "
			 "changes may be refused; raise LimitNOFILE=",
			 limit, ROOM_DESCRIPTORS);
		return true;
	}
	return false;
}
