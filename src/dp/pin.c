/* SPDX-License-Identifier: Apache-2.0 */
#include "dp/pin.h"

#include <bpf/bpf.h>
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "dp/error.h"
#include "lib/cleanup.h"

#define STANDARD_MOUNT "/sys/fs/bpf"
#define MOUNT_SOURCE "isthmus" /* in /proc/self/mounts: this one is ours to unmount */

DEFINE_CLEANUP(dir, DIR *, closedir)

int pin_is_bpffs(const char *dir)
{
	struct statfs s;

	if (statfs(dir, &s) < 0)
		return -errno;
	return s.f_type == BPF_FS_MAGIC;
}

static int make_directories(const char *dir)
{
	char path[PATH_MAX];
	size_t length = strlen(dir);

	if (length == 0 || length >= sizeof(path))
		return -ENAMETOOLONG;
	memcpy(path, dir, length + 1);
	for (char *p = path + 1;; p++) {
		char c = *p;

		if (c != '/' && c != 0)
			continue;
		*p = 0;
		if (mkdir(path, c == 0 ? 0700 : 0755) < 0 && errno != EEXIST)
			return -errno;
		*p = c;
		if (c == 0)
			return 0;
	}
}

static bool is_below(const char *dir, const char *top)
{
	size_t length = strlen(top);

	return strncmp(dir, top, length) == 0 && (dir[length] == '/' || dir[length] == 0);
}

/* Root that may not is in the daemon's sandbox, whose rules are about the file system that was there at the start. */
static const char *advice(int error)
{
	if (error != -EPERM && error != -EACCES)
		return "";
	return geteuid() == 0 ? "; see that a BPF file system is mounted there (mount -t bpf), and restart isthmusd"
			      : "; run as root (CAP_SYS_ADMIN)";
}

static int mount_bpffs(const char *where)
{
	if (mount(MOUNT_SOURCE, where, "bpf", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0700") == 0)
		return 0;
	if (errno == ENODEV)
		return error_set(-ENODEV, "mounting a bpffs at %s: this kernel has none; it needs CONFIG_BPF_SYSCALL",
				 where);
	return error_set(-errno, "mounting a bpffs at %s: %s%s", where, strerror(errno),
			 advice(-errno));
}

int pin_prepare(const char *dir)
{
	int r;

	if (dir[0] != '/')
		return error_set(-EINVAL, "the BPF directory must be an absolute path, not \"%s\"", dir);
	if (is_below(dir, STANDARD_MOUNT) && pin_is_bpffs(STANDARD_MOUNT) == 0) {
		r = mount_bpffs(STANDARD_MOUNT);
		if (r < 0)
			return r;
	}
	r = make_directories(dir);
	if (r < 0)
		return error_set(r, "making the BPF directory %s: %s%s", dir, strerror(-r),
				 r == -EPERM || r == -EACCES
					 ? "; run as root, and below a bpffs or a directory that may be written"
					 : "");
	r = pin_is_bpffs(dir);
	if (r < 0)
		return error_set(r, "looking at the BPF directory %s: %s", dir, strerror(-r));
	return r ? 0 : mount_bpffs(dir);
}

static int path_of(const char *dir, const char *name, const char *suffix, char out[static PATH_MAX])
{
	int n = snprintf(out, PATH_MAX, "%s/%s%s", dir, name, suffix);

	return n < 0 || n >= PATH_MAX ? -ENAMETOOLONG : 0;
}

int pin_open(const char *dir, const char *name, bool read_only)
{
	LIBBPF_OPTS(bpf_obj_get_opts, options, .file_flags = read_only ? BPF_F_RDONLY : 0);
	char path[PATH_MAX];
	int r = path_of(dir, name, "", path);

	return r < 0 ? r : bpf_obj_get_opts(path, &options);
}

int pin_put(const char *dir, const char *name, int fd)
{
	char path[PATH_MAX], next[PATH_MAX];
	int r = path_of(dir, name, "", path);

	if (r == 0)
		r = path_of(dir, name, "_next", next); /* no dot: a bpffs refuses those */
	if (r < 0)
		return error_set(r, "pinning %s in %s: %s", name, dir, strerror(-r));
	unlink(next);
	r = bpf_obj_pin(fd, next);
	if (r == 0 && rename(next, path) < 0)
		r = -errno;
	return r < 0 ? error_set(r, "pinning %s in %s: %s%s", name, dir, strerror(-r), advice(r)) : 0;
}

int pin_each(const char *dir, void (*fn)(void *arg, const char *name), void *arg)
{
	_cleanup_(dir) DIR *d = opendir(dir);
	struct dirent *e;

	if (!d)
		return -errno;
	while ((e = readdir(d))) {
		if (e->d_type != DT_DIR)
			fn(arg, e->d_name);
	}
	return 0;
}

int pin_remove(const char *dir, const char *name)
{
	char path[PATH_MAX];
	int r = path_of(dir, name, "", path);

	if (r == 0 && unlink(path) < 0 && errno != ENOENT)
		r = -errno;
	return r < 0 ? error_set(r, "removing the pin %s/%s: %s", dir, name, strerror(-r)) : 0;
}

/* ---- the end ----------------------------------------------------------------------------------------------------- */

/* Is the last thing mounted at `where` a bpffs that pin_prepare mounted? */
static bool is_our_mount(const char *where)
{
	_cleanup_(file) FILE *f = fopen("/proc/self/mounts", "re");
	char source[64], target[PATH_MAX], type[64], line[PATH_MAX + 256];
	bool ours = false;

	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%63s %4095s %63s", source, target, type) == 3 && strcmp(target, where) == 0)
			ours = strcmp(source, MOUNT_SOURCE) == 0 && strcmp(type, "bpf") == 0;
	}
	return ours;
}

static bool is_empty(const char *dir)
{
	_cleanup_(dir) DIR *d = opendir(dir);
	struct dirent *e;

	while (d && (e = readdir(d))) {
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			return false;
	}
	return d;
}

/* Every bpffs shows the two iterators that the kernel puts into it; they are not somebody's use. */
static bool is_unused(const char *mount)
{
	_cleanup_(dir) DIR *d = opendir(mount);
	struct dirent *e;

	while (d && (e = readdir(d))) {
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0 &&
		    strcmp(e->d_name, "maps.debug") != 0 && strcmp(e->d_name, "progs.debug") != 0)
			return false;
	}
	return d;
}

int pin_finish(const char *dir)
{
	static const char *const kept[] = {STANDARD_MOUNT, "/sys/fs", "/run", "/var/run", "/tmp", "/"};
	char path[PATH_MAX];
	size_t length = strlen(dir);

	if (length == 0 || length >= sizeof(path))
		return -ENAMETOOLONG;
	memcpy(path, dir, length + 1);
	while (length > 1 && path[length - 1] == '/')
		path[--length] = 0;
	if (is_our_mount(path) && is_unused(path) && umount2(path, MNT_DETACH) < 0)
		return error_set(-errno, "unmounting %s: %s", path, strerror(errno));
	for (size_t i = 0; i < sizeof(kept) / sizeof(*kept); i++) {
		if (strcmp(path, kept[i]) == 0)
			return 0;
	}
	if (is_empty(path) && rmdir(path) < 0 && errno != ENOENT)
		return error_set(-errno, "removing %s: %s", path, strerror(errno));
	if (is_below(path, STANDARD_MOUNT) && is_our_mount(STANDARD_MOUNT) && is_unused(STANDARD_MOUNT))
		umount2(STANDARD_MOUNT, MNT_DETACH);
	return 0;
}
