/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The layers of the box, each of which would do alone for what it covers: privileges, files (Landlock), capabilities,
 * system calls (seccomp, in syscalls.c).
 */
#include "agent/sandbox.h"

#include <cap-ng.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/landlock.h>
#include <linux/magic.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "agent/syscalls.h"
#include "lib/cleanup.h"
#include "lib/text.h"

/* ---- privileges ---- */

static int enter_privileges(const struct sandbox_paths *paths, const char **hint)
{
	static const struct rlimit none;

	if (setrlimit(RLIMIT_CORE, &none) < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return -errno;
	return 0;
}

/* ---- files: Landlock ---- */

/* landlock(7).  Debian 12's headers are those of 6.1, which knows two versions; newer kernels have more to forbid. */
enum {
	FS_TRUNCATE = 1 << 14,  /* version 3 */
	FS_IOCTL_DEV = 1 << 15, /* version 5 */
	NET_BIND_TCP = 1 << 0,  /* version 4 */
	NET_CONNECT_TCP = 1 << 1,
	SCOPE_ABSTRACT_UNIX_SOCKET = 1 << 0, /* version 6 */
	SCOPE_SIGNAL = 1 << 1,
};

struct ruleset {
	uint64_t handled_fs; /* all that there was up to version 3 */
	uint64_t handled_net;
	uint64_t scoped;
};

enum {
	READ = LANDLOCK_ACCESS_FS_READ_FILE,
	LIST = LANDLOCK_ACCESS_FS_READ_DIR,
	WRITE = LANDLOCK_ACCESS_FS_WRITE_FILE,
	MAKE = LANDLOCK_ACCESS_FS_MAKE_REG,
	MAKE_DIRECTORY = LANDLOCK_ACCESS_FS_MAKE_DIR,
	REMOVE = LANDLOCK_ACCESS_FS_REMOVE_FILE,
};

/* Size of what a kernel of this version knows, and all of it forbidden that is not allowed by a rule. */
static size_t ruleset_for(long version, struct ruleset *out)
{
	*out = (struct ruleset){.handled_fs = (LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1};
	if (version >= 2)
		out->handled_fs |= LANDLOCK_ACCESS_FS_REFER;
	if (version >= 3)
		out->handled_fs |= FS_TRUNCATE;
	if (version >= 5)
		out->handled_fs |= FS_IOCTL_DEV;
	if (version < 4)
		return offsetof(struct ruleset, handled_net);
	out->handled_net = NET_BIND_TCP | NET_CONNECT_TCP;
	if (version < 6)
		return offsetof(struct ruleset, scoped);
	out->scoped = SCOPE_ABSTRACT_UNIX_SOCKET | SCOPE_SIGNAL;
	return sizeof(*out);
}

struct port_rule { /* landlock_net_port_attr */
	uint64_t allowed_access;
	uint64_t port;
};

#define RULE_NET_PORT 2 /* LANDLOCK_RULE_NET_PORT */

/* BGP's own port at both ends; what connects is bound to an address of this node, and to a port that the kernel picks. */
static int allow_bgp(int ruleset, const struct ruleset *handled, uint16_t port)
{
	const struct port_rule rules[] = {{NET_BIND_TCP | NET_CONNECT_TCP, port}, {NET_BIND_TCP, 0}};

	for (size_t i = 0; handled->handled_net && i < sizeof(rules) / sizeof(*rules); i++)
		if (syscall(SYS_landlock_add_rule, ruleset, RULE_NET_PORT, &rules[i], 0) < 0)
			return -errno;
	return 0;
}

/* What is not there needs no rule: nobody can make it any more. */
static int allow(int ruleset, const struct ruleset *handled, const char *path, uint64_t access)
{
	enum { ON_FILES = READ | WRITE | FS_TRUNCATE | FS_IOCTL_DEV };
	struct landlock_path_beneath_attr rule = {.allowed_access = access & handled->handled_fs};
	_cleanup_(fd) int fd = open(path, O_PATH | O_CLOEXEC);
	struct stat st;

	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISDIR(st.st_mode))
		rule.allowed_access &= ON_FILES;
	rule.parent_fd = fd;
	if (syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) < 0)
		return -errno;
	return 0;
}

/*
 * Pins that somebody removed are put back.  A rule belongs to an inode: should the directory itself be removed, only one
 * for what it stands in lets it be made again.
 */
static int allow_pins(int ruleset, const struct ruleset *handled, const char *bpf_dir)
{
	char above[PATH_MAX];
	int n = snprintf(above, sizeof(above), "%s/..", bpf_dir);
	struct statfs s;

	if (n < 0 || (size_t)n >= sizeof(above))
		return -ENAMETOOLONG;
	if (statfs(above, &s) == 0 && s.f_type == BPF_FS_MAGIC)
		return allow(ruleset, handled, above, LIST | MAKE | MAKE_DIRECTORY | REMOVE);
	return allow(ruleset, handled, bpf_dir, LIST | MAKE | REMOVE);
}

/*
 * A file that is replaced by renaming has another inode, and no rule of its own: it is found again by one for its
 * directory only, which holds for all below.  There is no rule for a name, or for one level.
 */
static int directory_of(const char *path, char out[static PATH_MAX])
{
	const char *slash = strrchr(path, '/');
	size_t length = slash ? (size_t)(slash - path) : 0;

	if (length >= PATH_MAX)
		return -ENAMETOOLONG;
	memcpy(out, path, length);
	out[length] = 0;
	if (length == 0)
		snprintf(out, PATH_MAX, "%s", slash ? "/" : ".");
	return 0;
}

/* Where the file is looked up and, when that is a link, where it lies. */
static int config_directories(const char *path, char looked_up[static PATH_MAX], char lies[static PATH_MAX])
{
	char target[PATH_MAX];
	int r = directory_of(path, looked_up);

	lies[0] = 0;
	return r < 0 || !realpath(path, target) ? r : directory_of(target, lies);
}

static int allow_config(int ruleset, const struct ruleset *handled, const char *path)
{
	char looked_up[PATH_MAX], lies[PATH_MAX];
	int r = config_directories(path, looked_up, lies);

	if (r == 0)
		r = allow(ruleset, handled, looked_up, READ);
	return r < 0 || !lies[0] ? r : allow(ruleset, handled, lies, READ);
}

char *sandbox_wide_directory(const char *config_path)
{
	char directories[2][PATH_MAX], whole[PATH_MAX];

	if (config_directories(config_path, directories[0], directories[1]) < 0)
		return NULL;
	for (size_t i = 0; i < 2; i++)
		if (directories[i][0] && realpath(directories[i], whole) && !strchr(whole + 1, '/'))
			return strdup(whole);
	return NULL;
}

/*
 * procfs makes a new inode whenever it has forgotten a name, and a rule belongs to the inode: the name has to be kept
 * in memory, from before the rule.  The descriptor is closed with the process.
 */
static int keep(const char *path)
{
	return open(path, O_PATH | O_DIRECTORY | O_CLOEXEC) < 0 && errno != ENOENT ? -errno : 0;
}

static int enter_files(const struct sandbox_paths *paths, const char **hint)
{
	const struct {
		const char *path;
		uint64_t access;
	} rows[] = {
		{paths->state_dir, READ | LIST | WRITE | MAKE | REMOVE | FS_TRUNCATE},
		{paths->run_dir, REMOVE},                /* the socket, in the end */
		{"/proc", READ | LIST},
		{"/proc/sys/net", READ | WRITE},
		{"/sys/devices/system/cpu", READ}, /* how many there are */
		{"/dev/net/tun", READ | WRITE | FS_IOCTL_DEV},
		{"/sys/kernel/security/lockdown", READ},
	};
	long version = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
	_cleanup_(fd) int ruleset = -1;
	struct ruleset handled;
	size_t size;
	int r;

	if (version < 0) {
		*hint = "the kernel has no Landlock, or it was not switched on: boot with lsm=landlock,...";
		return -errno;
	}
	size = ruleset_for(version, &handled);
	ruleset = (int)syscall(SYS_landlock_create_ruleset, &handled, size, 0);
	if (ruleset < 0)
		return -errno;
	r = keep("/proc/sys/net");
	if (r < 0)
		return r;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		r = allow(ruleset, &handled, rows[i].path, rows[i].access);
		if (r < 0)
			return r;
	}
	r = allow_config(ruleset, &handled, paths->config_path);
	if (r == 0)
		r = allow_pins(ruleset, &handled, paths->bpf_dir);
	if (r == 0)
		r = allow_bgp(ruleset, &handled, paths->bgp_port);
	if (r == 0 && syscall(SYS_landlock_restrict_self, ruleset, 0) < 0)
		r = -errno;
	return r;
}

/* ---- capabilities ---- */

/*
 * CAP_BPF for maps, CAP_NET_ADMIN for links, filters, neighbours, keys of BGP and /proc/sys/net, CAP_NET_BIND_SERVICE for
 * BGP's port, when `bgp:` comes by a later apply.  The bounding set says what a
 * program that is started may gain: nothing.  Emptying it takes CAP_SETPCAP, which the service manager keeps from us
 * after having cut the set down itself.
 */
static int enter_capabilities(const struct sandbox_paths *paths, const char **hint)
{
	static const unsigned kept[] = {CAP_BPF, CAP_NET_ADMIN, CAP_NET_BIND_SERVICE};
	bool bounding, held[sizeof(kept) / sizeof(*kept)];

	if (capng_get_caps_process() < 0)
		return -EPERM;
	bounding = capng_have_capability(CAPNG_EFFECTIVE, CAP_SETPCAP);
	for (size_t i = 0; i < sizeof(kept) / sizeof(*kept); i++)
		held[i] = capng_have_capability(CAPNG_PERMITTED, kept[i]);
	if (bounding) {
		capng_clear(CAPNG_SELECT_BOUNDS);
		if (capng_apply(CAPNG_SELECT_BOUNDS) < 0)
			return -EPERM;
	}
	capng_clear(CAPNG_SELECT_CAPS);
	for (size_t i = 0; i < sizeof(kept) / sizeof(*kept); i++)
		if (held[i])
			capng_update(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED, kept[i]);
	if (capng_apply(CAPNG_SELECT_CAPS) < 0)
		return -EPERM;
	return prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0 ? -errno : 0;
}

/* ---- system calls ---- */

static int enter_syscalls(const struct sandbox_paths *paths, const char **hint)
{
	*hint = "does the kernel have CONFIG_SECCOMP_FILTER?";
	return syscalls_restrict();
}

/* ---- all of it ---- */

/* Each needs what the later ones take away. */
static const struct layer {
	const char *name;
	int (*enter)(const struct sandbox_paths *paths, const char **hint);
} layers[] = {
	{"privileges", enter_privileges},
	{"Landlock", enter_files},
	{"capabilities", enter_capabilities},
	{"seccomp", enter_syscalls},
};

int sandbox_enter(const struct sandbox_paths *paths, char **missing)
{
	size_t size = 0;
	int first = 0;
	FILE *f = NULL;

	*missing = NULL;
	for (size_t i = 0; i < sizeof(layers) / sizeof(*layers); i++) {
		const char *hint = NULL;
		int r = layers[i].enter(paths, &hint);

		if (r == 0)
			continue;
		if (!f)
			f = text_stream(missing, &size);
		if (f)
			fprintf(f, "%s%s (%s%s%s)", first ? ", " : "", layers[i].name, strerror(-r), hint ? "; " : "",
				hint ? hint : "");
		if (!first)
			first = r;
	}
	if (f)
		fclose(f);
	return first;
}
