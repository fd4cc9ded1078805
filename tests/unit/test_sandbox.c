/* SPDX-License-Identifier: Apache-2.0 */
/* The box that the daemon serves in: its files, what others see of it, and what becomes of it on an old kernel. */
#include "attempt.h"

#include <bpf/bpf.h>
#include <cap-ng.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <seccomp.h>
#include <sys/prctl.h>
#include <sys/socket.h>

/* ---- files ---- */

static int open_as(const char *path, int flags)
{
	_cleanup_(fd) int fd = open(path, flags | O_CLOEXEC, 0600);
	char byte;

	if (fd < 0)
		return errno;
	return (flags & O_ACCMODE) == O_RDONLY && !(flags & O_DIRECTORY) ? outcome(read(fd, &byte, 1)) : 0;
}

static int in_directory(const char *directory, const char *name, int flags)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	return open_as(path, flags);
}

static int read_passwd(void) { return open_as("/etc/passwd", O_RDONLY); }
static int read_shadow(void) { return open_as("/etc/shadow", O_RDONLY); }
static int read_own_binary(void) { return open_as("/bin/sh", O_RDONLY); }
static int list_root(void) { return open_as("/", O_RDONLY | O_DIRECTORY); }
static int list_config(void) { return in_directory(config, "..", O_RDONLY | O_DIRECTORY); }
static int list_etc_of_config(void) { return in_directory(top, "etc", O_RDONLY | O_DIRECTORY); }
static int write_tmp(void) { return in_directory(top, "new", O_WRONLY | O_CREAT); }
static int write_config(void) { return open_as(config, O_WRONLY); }
static int cut_config(void) { return open_as(beside, O_RDONLY | O_TRUNC); }
static int append_config(void) { return open_as(config, O_WRONLY | O_APPEND); }
static int make_in_run(void) { return in_directory(run_dir, "new", O_WRONLY | O_CREAT); }
static int write_core_pattern(void) { return open_as("/proc/sys/kernel/core_pattern", O_WRONLY); }
static int write_randomize(void) { return open_as("/proc/sys/kernel/randomize_va_space", O_WRONLY); }
static int write_own_memory(void) { return open_as("/proc/self/mem", O_RDWR); }
static int write_uevent(void) { return open_as("/sys/class/net/lo/uevent", O_WRONLY); }
static int read_sys(void) { return open_as("/sys/class/net/lo/mtu", O_RDONLY); }
static int open_null(void) { return open_as("/dev/null", O_RDWR); }
static int open_tun(void) { return open_as("/dev/net/tun", O_RDWR); }

static int of_parent(const char *name)
{
	char directory[64];

	snprintf(directory, sizeof(directory), "/proc/%d", getppid());
	return in_directory(directory, name, O_RDONLY);
}

static int read_memory_of_another(void) { return of_parent("mem") == EIO ? 0 : errno; }
static int read_environment_of_another(void) { return of_parent("environ"); }

static int make_directory_in_state(void)
{
	char path[128];
	int r;

	snprintf(path, sizeof(path), "%s/sub", state_dir);
	r = outcome(mkdir(path, 0700));
	rmdir(path);
	return r;
}

static int move_out_of_state(void)
{
	char from[128], to[128];
	int r;

	snprintf(from, sizeof(from), "%s/moved", state_dir);
	snprintf(to, sizeof(to), "%s/moved", top);
	if (open_as(from, O_WRONLY | O_CREAT) != 0)
		return ODD;
	r = outcome(rename(from, to));
	unlink(to);
	return r;
}

static int pin_elsewhere(void)
{
	_cleanup_(fd) int fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "test", 4, 4, 1, NULL);
	char path[128];
	int r;

	snprintf(path, sizeof(path), "%s/pin", other);
	if (fd < 0)
		return ODD;
	r = bpf_obj_pin(fd, path) < 0 ? errno : 0;
	unlink(path);
	return r;
}

static void files_elsewhere_are_out_of_reach(void **state)
{
	static const struct attempt attempts[] = {
		{"read /etc/passwd", read_passwd, EACCES},
		{"read /etc/shadow", read_shadow, EACCES},
		{"read a program", read_own_binary, EACCES},
		{"list /", list_root, EACCES},
		{"list the configuration's directory", list_etc_of_config, EACCES},
		{"make a file in /tmp", write_tmp, EACCES},
		{"write the configuration", write_config, EACCES},
		{"append to the configuration", append_config, EACCES},
		{"cut what may only be read", cut_config, EPERM},
		{"make a file in the run directory", make_in_run, EACCES},
		{"make a directory in the state directory", make_directory_in_state, EACCES},
		{"move a file out of the state directory", move_out_of_state, EACCES},
		{"pin elsewhere", pin_elsewhere, EACCES},
		{"write core_pattern", write_core_pattern, EACCES},
		{"write randomize_va_space", write_randomize, EACCES},
		{"write its own memory", write_own_memory, EACCES},
		{"read another's memory", read_memory_of_another, EACCES},
		{"read another's environment", read_environment_of_another, EACCES},
		{"write to /sys", write_uevent, EACCES},
		{"read /sys", read_sys, EACCES, true}, /* shows another namespace's interfaces */
		{"open a device", open_null, EACCES},
		{"open the device that makes TAP devices", open_tun, 0},
	};

	TRY_ALL(attempts);
	assert_int_equal(in_child(list_config, true), ENOTDIR); /* as without the box: the path is looked up */
}

static int use_state(void)
{
	char from[128], to[128];
	int r;

	snprintf(from, sizeof(from), "%s/.new", state_dir);
	snprintf(to, sizeof(to), "%s/fabric.yaml", state_dir);
	for (int i = 0; i < 2; i++) { /* the second time over what is there */
		_cleanup_(fd) int dir = open(state_dir, O_DIRECTORY | O_RDONLY | O_CLOEXEC);
		_cleanup_(fd) int fd = openat(dir, ".new", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);

		if (dir < 0 || fd < 0 || write(fd, "x", 1) != 1 || fsync(fd) < 0 ||
		    renameat(dir, ".new", dir, "fabric.yaml") < 0 || fsync(dir) < 0)
			return errno;
	}
	r = open_as(to, O_RDONLY);
	return r ? r : outcome(unlink(to));
}

static int read_config(void)
{
	return open_as(config, O_RDONLY);
}

static int leave_run(void)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/isthmus.sock", run_dir);
	return outcome(unlink(path));
}

static int use_pins(void)
{
	_cleanup_(fd) int fd = bpf_map_create(BPF_MAP_TYPE_HASH, "test", 4, 4, 8, NULL);
	char next[128], pin[128];
	uint32_t one = 1, key, found = 0;
	int again;

	snprintf(next, sizeof(next), "%s/map_next", bpf_dir);
	snprintf(pin, sizeof(pin), "%s/map", bpf_dir);
	if (fd < 0 || bpf_map_update_elem(fd, &one, &one, BPF_ANY) < 0 || bpf_obj_pin(fd, next) < 0 ||
	    rename(next, pin) < 0)
		return errno;
	again = bpf_obj_get(pin);
	if (again < 0 || bpf_map_get_next_key(again, NULL, &key) < 0 || bpf_map_lookup_elem(again, &key, &found) < 0 ||
	    bpf_map_delete_elem(again, &key) < 0)
		return errno;
	return found == 1 ? outcome(unlink(pin)) : ODD;
}

/* The directory of the pins below another one of the same file system, as in /sys/fs/bpf: it may be gone, too. */
static int make_pins_again(void)
{
	struct sandbox_paths paths = {config, run_dir, state_dir, NULL, 179};
	_cleanup_(free) char *missing = NULL;
	char above[96], directory[128], pin[160];
	int fd;

	snprintf(above, sizeof(above), "%s/above", bpf_dir);
	snprintf(directory, sizeof(directory), "%s/isthmus", above);
	snprintf(pin, sizeof(pin), "%s/map", directory);
	paths.bpf_dir = directory;
	if (mkdir(above, 0700) < 0 || mkdir(directory, 0700) < 0 || sandbox_enter(&paths, &missing) < 0)
		return NOT_ENTERED;
	fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "test", 4, 4, 1, NULL);
	if (fd < 0 || mkdir(pin, 0700) < 0)
		return ODD;
	snprintf(pin, sizeof(pin), "%s/map", above);
	return bpf_obj_pin(fd, pin) < 0 ? errno : outcome(unlink(pin));
}

static int write_sysctl(void)
{
	_cleanup_(fd) int fd = open("/proc/sys/net/ipv4/conf/lo/forwarding", O_WRONLY | O_CLOEXEC);

	return fd < 0 ? errno : outcome(write(fd, "1", 1));
}

static int read_proc(void)
{
	int r = open_as("/proc/self/statm", O_RDONLY);

	r = r ? r : open_as("/proc/self/fd", O_RDONLY | O_DIRECTORY);
	r = r ? r : open_as("/proc/self/mounts", O_RDONLY);
	return r ? r : open_as("/proc/net/udp", O_RDONLY);
}

static void what_the_daemon_needs_works(void **state)
{
	static const struct attempt attempts[] = {
		{"read the configuration", read_config, 0},
		{"write the state directory", use_state, 0},
		{"make, pin, find and remove maps", use_pins, 0},
		{"write a sysctl of the network", write_sysctl, 0},
		{"look at /proc", read_proc, 0},
	};
	char path[128];

	TRY_ALL(attempts);
	snprintf(path, sizeof(path), "%s/isthmus.sock", run_dir);
	write_file(path, "");
	assert_int_equal(in_child(leave_run, true), 0);
	assert_int_equal(access(path, F_OK), -1);
}

static int read_replaced_config(void)
{
	char new[128];
	int fds[2];
	pid_t helper;

	if (pipe(fds) < 0)
		return ODD;
	helper = fork(); /* outside; it renames when the pipe closes */
	if (helper == 0) {
		char byte;

		close(fds[1]);
		if (read(fds[0], &byte, 1) != 0)
			_exit(1);
		snprintf(new, sizeof(new), "%s.new", config);
		write_file(new, "version: 1 # new\n");
		_exit(rename(new, config) == 0 ? 0 : 1);
	}
	if (enter() < 0)
		return NOT_ENTERED;
	close(fds[1]);
	/* Waiting for a child is not among the daemon's calls: the helper's end of the pipe is waited for instead. */
	for (bool renamed = false; !renamed;) {
		_cleanup_(fd) int fd = open(config, O_RDONLY | O_CLOEXEC);
		char text[64] = "";

		if (fd < 0 || read(fd, text, sizeof(text) - 1) < 0)
			return errno;
		renamed = strstr(text, "# new");
	}
	return 0;
}

static void pins_are_made_again_with_their_directory(void **state)
{
	static const char *const made[] = {"above/isthmus/map", "above/isthmus", "above"};
	char path[160];

	assert_int_equal(in_child(make_pins_again, false), 0);
	for (size_t i = 0; i < sizeof(made) / sizeof(*made); i++) {
		snprintf(path, sizeof(path), "%s/%s", bpf_dir, made[i]);
		assert_int_equal(rmdir(path), 0);
	}
}

static void a_configuration_that_is_replaced_is_read(void **state)
{
	assert_int_equal(in_child(read_replaced_config, false), 0);
}

static void a_directory_that_holds_much_else_is_told(void **state)
{
	char link[160], away[160];
	const struct {
		const char *config, *wide;
	} rows[] = {
		{config, NULL}, {"/etc/isthmus.yaml", "/etc"}, {"/isthmus.yaml", "/"},	{"/etc/../etc/passwd", "/etc"},
		{"/", "/"},	{link, "/etc"},		       {away, NULL},		{"", NULL},
	};

	snprintf(link, sizeof(link), "%s/to-etc", top);
	snprintf(away, sizeof(away), "%s/nowhere/isthmus.yaml", top);
	assert_int_equal(symlink("/etc/passwd", link), 0);
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		char *wide = sandbox_wide_directory(rows[i].config);

		if (!wide != !rows[i].wide || (wide && strcmp(wide, rows[i].wide) != 0))
			fail_msg("%s: %s", rows[i].config, wide ? wide : "none");
		free(wide);
	}
	assert_int_equal(unlink(link), 0);
}

/* ---- the process as others see it ---- */

/* Reports by a pipe once inside, and stays until the pipe is closed. */
static pid_t stay_inside(int *to_close, int (*before)(void))
{
	int said[2], hold[2];
	char byte = 0;
	pid_t pid;

	assert_int_equal(pipe(said) | pipe(hold), 0);
	pid = fork();
	if (pid == 0) {
		close(hold[1]);
		if ((before && before() < 0) || enter() < 0 || write(said[1], "x", 1) != 1)
			_exit(NOT_ENTERED);
		_exit(read(hold[0], &byte, 1) == 0 ? 0 : ODD);
	}
	close(said[1]);
	close(hold[0]);
	assert_int_equal(read(said[0], &byte, 1), 1);
	close(said[0]);
	*to_close = hold[1];
	return pid;
}

static void leave_inside(pid_t pid, int to_close)
{
	int status;

	close(to_close);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

/* What stands behind the key in a file of /proc, with single spaces, begins with these words. */
static void assert_line(pid_t pid, const char *name, const char *key, const char *expected)
{
	char path[64], line[256], words[256] = "", *rest = NULL;
	_cleanup_(file) FILE *f = NULL;

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
	f = fopen(path, "re");
	assert_non_null(f);
	while (!words[0] && fgets(line, sizeof(line), f)) {
		if (strncmp(line, key, strlen(key)) != 0)
			continue;
		for (char *word = strtok_r(line + strlen(key), ": \t\n", &rest); word;
		     word = strtok_r(NULL, " \t\n", &rest)) {
			strcat(words, word);
			strcat(words, " ");
		}
	}
	if (strncmp(words, expected, strlen(expected)) != 0 || words[strlen(expected)] != ' ')
		fail_msg("%s is \"%s\", expected \"%s\"", key, words, expected);
}

#define RIGHTS "0000008000001400" /* CAP_BPF 39, CAP_NET_ADMIN 12, CAP_NET_BIND_SERVICE 10 */
#define NONE "0000000000000000"

static void rights_are_exactly_three(void **state)
{
	int hold;
	pid_t pid = stay_inside(&hold, NULL);

	assert_line(pid, "status", "CapEff", RIGHTS);
	assert_line(pid, "status", "CapPrm", RIGHTS);
	assert_line(pid, "status", "CapInh", NONE);
	assert_line(pid, "status", "CapBnd", NONE);
	assert_line(pid, "status", "CapAmb", NONE);
	assert_line(pid, "status", "NoNewPrivs", "1");
	assert_line(pid, "status", "Seccomp", "2");
	leave_inside(pid, hold);
}

/* As under the unit, whose bounding set has no CAP_SETPCAP. */
static int without_setpcap(void)
{
	capng_get_caps_process();
	capng_update(CAPNG_DROP, CAPNG_EFFECTIVE | CAPNG_PERMITTED, CAP_SETPCAP);
	return capng_apply(CAPNG_SELECT_CAPS);
}

static void rights_are_three_also_where_the_bounding_set_stays(void **state)
{
	int hold;
	pid_t pid = stay_inside(&hold, without_setpcap);

	assert_line(pid, "status", "CapEff", RIGHTS);
	assert_line(pid, "status", "CapPrm", RIGHTS);
	assert_line(pid, "status", "NoNewPrivs", "1");
	leave_inside(pid, hold);
}

/* Root sees everything; of another user's process, files that the owner may read tell whether it may be dumped. */
static int as_nobody(void)
{
	if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0 || setgid(65534) < 0 || setuid(65534) < 0 ||
	    capng_get_caps_process() < 0)
		return -1;
	capng_clear(CAPNG_SELECT_CAPS);
	capng_updatev(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED, CAP_BPF, CAP_NET_ADMIN, CAP_SETPCAP, -1);
	return capng_apply(CAPNG_SELECT_CAPS) < 0 ? -1 : prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
}

static int own_environment_is_ours(void)
{
	struct stat st;

	if (as_nobody() < 0 || stat("/proc/self/environ", &st) < 0)
		return ODD;
	return st.st_uid == 65534 ? 0 : EACCES;
}

static void nobody_looks_into_it_or_gets_a_core(void **state)
{
	int hold;
	pid_t pid = stay_inside(&hold, as_nobody);
	char path[64];
	struct stat st;

	snprintf(path, sizeof(path), "/proc/%d/environ", pid);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_uid, 0); /* proc(5): owned by root when it may not be dumped */
	assert_int_equal(in_child(own_environment_is_ours, false), 0);
	assert_line(pid, "limits", "Max core file size", "0 0");
	leave_inside(pid, hold);
}

/* ---- a kernel that cannot ---- */

static int enter_without_landlock(void)
{
	const struct sandbox_paths paths = {config, run_dir, state_dir, bpf_dir, 179};
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
	char *missing = NULL;
	int r;

	if (!filter ||
	    seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(landlock_create_ruleset), 0) < 0 ||
	    seccomp_load(filter) < 0)
		return ODD;
	r = sandbox_enter(&paths, &missing);
	if (r != -ENOSYS || !missing || strncmp(missing, "Landlock (", 10) != 0 || strstr(missing, "seccomp") ||
	    strstr(missing, "capabilities"))
		return ODD;
	if (socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0) >= 0 || errno != EPERM || read_passwd() != 0)
		return ODD;
	execl("/bin/true", "true", NULL); /* ends it */
	return ODD;
}

static void without_landlock_it_says_so_and_the_rest_holds(void **state)
{
	assert_int_equal(in_child(enter_without_landlock, false), KILLED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_the_daemon_needs_works),
		cmocka_unit_test(pins_are_made_again_with_their_directory),
		cmocka_unit_test(a_configuration_that_is_replaced_is_read),
		cmocka_unit_test(a_directory_that_holds_much_else_is_told),
		cmocka_unit_test(files_elsewhere_are_out_of_reach),
		cmocka_unit_test(rights_are_exactly_three),
		cmocka_unit_test(rights_are_three_also_where_the_bounding_set_stays),
		cmocka_unit_test(nobody_looks_into_it_or_gets_a_core),
		cmocka_unit_test(without_landlock_it_says_so_and_the_rest_holds),
	};

	return cmocka_run_group_tests(tests, make_directories, remove_directories);
}
