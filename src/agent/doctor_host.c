/* SPDX-License-Identifier: Apache-2.0 */
/*
 * doctor_host.c - the host: kernel, files and directories, limits, and the daemon itself.
 */
#include <dirent.h>
#include <errno.h>
#include <grp.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "agent/doctor_exam.h"
#include "api/server.h"
#include "lib/cleanup.h"
#include "lib/text.h"

#define KERNEL_MAJOR 5
#define KERNEL_MINOR 15
#define DISK_LOW (16u << 20)
#define FDS_LOW 1024
#define YEAR_2026 1767225600 /* this program is not older than that */
#define YEAR_2100 4102444800

static void check_kernel(struct exam *x)
{
	struct utsname u;
	int major = 0, minor = 0;

	uname(&u);
	if (sscanf(u.release, "%d.%d", &major, &minor) != 2 || major < KERNEL_MAJOR ||
	    (major == KERNEL_MAJOR && minor < KERNEL_MINOR))
		found(x, DOCTOR_FAIL, "apt install linux-image-amd64, then reboot",
		      "Linux %s; %d.%d or newer is needed", u.release, KERNEL_MAJOR, KERNEL_MINOR);
	else
		fine(x, "Linux %s", u.release);
}

static void check_lockdown(struct exam *x)
{
	char text[128];

	if (!read_line("/sys/kernel/security/lockdown", text, sizeof(text)))
		return skip(x);
	if (strstr(text, "[confidentiality]"))
		found(x, DOCTOR_FAIL, "boot with lockdown=integrity",
		      "kernel lockdown is \"confidentiality\": BPF cannot read packets");
	else
		fine(x, "%s", text);
}

static void check_jit(struct exam *x)
{
	uint64_t on;

	if (!read_number("/proc/sys/net/core/bpf_jit_enable", &on))
		return skip(x);
	if (!on)
		found(x, DOCTOR_WARN, "sysctl -w net.core.bpf_jit_enable=1",
		      "the BPF compiler is off: packets cost several times as much");
	else
		fine(x, "on");
}

static void check_bpffs(struct exam *x)
{
	const char *dir = x->a->options.bpf_dir;
	char fix[512], parent[4096];
	struct statfs fs;
	char *slash;

	snprintf(parent, sizeof(parent), "%s", dir);
	while (statfs(parent, &fs) < 0 && errno == ENOENT && (slash = strrchr(parent, '/')) && slash != parent)
		*slash = '\0';
	if (strcmp(parent, dir) == 0 && fs.f_type != BPF_FS_MAGIC) {
		snprintf(fix, sizeof(fix), "mount -t bpf bpf %s",
			 strncmp(dir, "/sys/fs/bpf/", 12) == 0 ? "/sys/fs/bpf" : dir);
		found(x, DOCTOR_FAIL, fix, "%s is not on a BPF file system: the data plane cannot outlive the daemon",
		      dir);
	} else if (strcmp(parent, dir) != 0) {
		found(x, DOCTOR_WARN, "systemctl start isthmusd",
		      "%s does not exist; the daemon makes it when it starts", dir);
	} else {
		fine(x, "%s", dir);
	}
}

static void check_datapath(struct exam *x)
{
	if (!x->a->dp)
		found(x, DOCTOR_FAIL, "systemctl restart isthmusd", "no pinned maps in %s: nothing is forwarded",
		      x->a->options.bpf_dir);
	else
		fine(x, "maps of layout %d are pinned", ABI_VERSION);
}

static void check_tables(struct exam *x)
{
	if (!x->a->dp)
		return skip(x);
	for (unsigned k = 0; k < FWD_KIND_MAX; k++) {
		size_t length = table_length(x->a->dp, k), capacity = table_capacity(x->a->dp, k);

		if (capacity && length >= capacity / 10 * 9)
			found(x, DOCTOR_WARN, "split the fabric, or build with a larger table (src/bpf/abi.h)",
			      "table %s is nearly full: %zu of %zu", fwd_kind_name(k), length, capacity);
	}
}

/* ---- the daemon ---- */

static void check_daemon(struct exam *x)
{
	if (x->a->options.offline)
		found(x, DOCTOR_FAIL, "systemctl start isthmusd",
		      "isthmusd is not running: packets are forwarded, changes are not followed");
	else
		fine(x, "isthmusd runs with pid %d", (int)getpid());
}

static void check_degraded(struct exam *x)
{
	for (size_t i = 0; i < sizeof(x->a->degraded) / sizeof(x->a->degraded[0]) && x->a->degraded[i]; i++)
		found(x, DOCTOR_FAIL, "journalctl -u isthmusd -n 50", "%s", x->a->degraded[i]);
}

static void check_sandbox(struct exam *x)
{
	if (x->a->options.offline)
		return skip(x);
	if (x->a->unboxed)
		found(x, DOCTOR_FAIL,
		      x->a->options.no_sandbox ? "start isthmusd without --no-sandbox"
					       : "use a kernel with seccomp and Landlock, then restart isthmusd",
		      "the daemon's sandbox lacks %s", x->a->unboxed);
	else if (x->a->wide)
		found(x, DOCTOR_WARN, "move the file to a directory of its own: isthmusd --config /etc/isthmus/isthmus.yaml",
		      "%s lies in %s, so the sandbox has to leave all of that readable", x->a->options.config_path,
		      x->a->wide);
	else
		fine(x, "capabilities, Landlock and seccomp hold");
}

/* The value of an option on another daemon's command line, else the default. */
static void option_of(const char *command_line, size_t size, const char *option, const char *otherwise, char *out,
		      size_t room)
{
	size_t length = strlen(option);

	snprintf(out, room, "%s", otherwise);
	for (const char *p = command_line; p < command_line + size; p += strlen(p) + 1) {
		if (strncmp(p, option, length) != 0)
			continue;
		if (p[length] == '=')
			snprintf(out, room, "%s", p + length + 1);
		else if (!p[length] && p + length + 1 < command_line + size)
			snprintf(out, room, "%s", p + length + 1);
	}
}

static bool has_option(const char *command_line, size_t size, const char *option)
{
	for (const char *p = command_line; p < command_line + size; p += strlen(p) + 1)
		if (strcmp(p, option) == 0)
			return true;
	return false;
}

/* Is this process an isthmusd on our BPF directory? */
static bool is_rival(const struct exam *x, const char *pid)
{
	char path[64], comm[32], command_line[4096] = "", dir[4096];
	_cleanup_(file) FILE *f = NULL;
	size_t size;

	snprintf(path, sizeof(path), "/proc/%.16s/comm", pid);
	if (!read_line(path, comm, sizeof(comm)) || strcmp(comm, "isthmusd") != 0)
		return false;
	snprintf(path, sizeof(path), "/proc/%.16s/cmdline", pid);
	f = fopen(path, "re");
	size = f ? fread(command_line, 1, sizeof(command_line) - 1, f) : 0;
	if (!size || has_option(command_line, size, "--offline"))
		return false;
	option_of(command_line, size, "--bpf-dir", "/sys/fs/bpf/isthmus", dir, sizeof(dir));
	return strcmp(dir, x->a->options.bpf_dir) == 0;
}

static void check_rival(struct exam *x)
{
	DIR *dir = opendir("/proc");
	int expected = x->a->options.offline ? 1 : 0; /* offline, one daemon that hangs is another check's matter */
	const struct dirent *e;
	char pid[32] = "", fix[64];
	int n = 0;

	while (dir && (e = readdir(dir))) {
		if (e->d_name[0] < '0' || e->d_name[0] > '9' || atoi(e->d_name) == (int)getpid() ||
		    !is_rival(x, e->d_name))
			continue;
		n++;
		snprintf(pid, sizeof(pid), "%.31s", e->d_name);
	}
	if (dir)
		closedir(dir);
	if (n <= expected)
		return;
	snprintf(fix, sizeof(fix), "kill %s", pid);
	found(x, DOCTOR_FAIL, fix, "a second isthmusd (pid %s) works on %s: they undo each other's changes", pid,
	      x->a->options.bpf_dir);
}

/* ---- the configuration ---- */

static char *emit(const struct config *c)
{
	char *text = NULL;
	size_t size = 0;
	FILE *f = text_stream(&text, &size);

	if (!f)
		return NULL;
	conf_emit(c, false, f);
	fclose(f);
	return text;
}

/* Do two texts describe the same fabric?  Comments and order do not count. */
static bool same_fabric(const struct config *file, const char *running)
{
	struct conf_errors errors = {0};
	struct config *other = NULL;
	_cleanup_(free) char *a = NULL;
	_cleanup_(free) char *b = NULL;
	bool same;

	conf_load(&(struct conf_source){.name = "running", .text = running, .size = strlen(running)}, 1, &other,
		  &errors);
	conf_errors_fini(&errors);
	a = emit(file);
	b = other ? emit(other) : NULL;
	same = a && b && strcmp(a, b) == 0;
	config_free(other);
	return same;
}

static void check_loaded(struct exam *x, const char *path, const struct config *c)
{
	char fix[4352];

	if (!x->a->options.node || !config_node(c, x->a->options.node)) {
		snprintf(fix, sizeof(fix),
			 "add the node to %s, or start the daemon with --node NAME (this host is \"%s\")", path,
			 x->a->options.node ? x->a->options.node : "?");
		found(x, DOCTOR_FAIL, fix, "%s has no node \"%s\"", path,
		      x->a->options.node ? x->a->options.node : "?");
	} else if (x->a->config_text && !same_fabric(c, x->a->config_text)) {
		snprintf(fix, sizeof(fix), "isthmus diff %s; isthmus apply %s", path, path);
		found(x, DOCTOR_WARN, fix, "%s differs from the configuration that runs", path);
	} else {
		fine(x, "%s is correct", path);
	}
}

static void check_config(struct exam *x)
{
	const char *path = x->a->options.config_path;
	_cleanup_(free) char *text = malloc(CONF_TEXT_MAX + 2);
	_cleanup_(file) FILE *f = fopen(path, "re");
	struct conf_errors errors = {0};
	struct config *c = NULL;
	char fix[4352];

	if (!f) {
		snprintf(fix, sizeof(fix), "write %s (isthmus explain), or start the daemon with --config FILE", path);
		found(x, DOCTOR_FAIL, fix, "%s: %s", path, strerror(errno));
		return;
	}
	if (!text)
		return skip(x);
	size_t size = fread(text, 1, CONF_TEXT_MAX + 1, f);

	snprintf(fix, sizeof(fix), "isthmus check %s", path);
	if (conf_load(&(struct conf_source){.name = path, .text = text, .size = size}, 1, &c, &errors) == 0)
		check_loaded(x, path, c);
	else if (errors.length)
		found(x, DOCTOR_FAIL, fix, "%s:%u:%u: %s: %s", path, errors.items[0].line, errors.items[0].column,
		      errors.items[0].path, errors.items[0].what);
	else
		found(x, DOCTOR_FAIL, fix, "%s cannot be read", path);
	conf_errors_fini(&errors);
	config_free(c);
}

/* ---- directories ---- */

static void check_directory(struct exam *x, const char *dir)
{
	char fix[4352];
	struct statvfs fs;
	struct stat st;

	if (stat(dir, &st) < 0) {
		snprintf(fix, sizeof(fix), "install -d -m 0755 %s", dir);
		found(x, DOCTOR_FAIL, fix, "%s: %s", dir, strerror(errno));
		return;
	}
	if (!S_ISDIR(st.st_mode)) {
		snprintf(fix, sizeof(fix), "rm %s && install -d -m 0755 %s", dir, dir);
		found(x, DOCTOR_FAIL, fix, "%s is not a directory", dir);
		return;
	}
	if (st.st_mode & 022) {
		snprintf(fix, sizeof(fix), "chmod go-w %s", dir);
		found(x, DOCTOR_FAIL, fix, "%s may be written by others (mode %04o)", dir, st.st_mode & 07777);
	}
	if (statvfs(dir, &fs) < 0)
		return;
	if (fs.f_flag & ST_RDONLY) {
		snprintf(fix, sizeof(fix), "mount -o remount,rw \"$(findmnt -no TARGET -T %s)\"", dir);
		found(x, DOCTOR_FAIL, fix, "%s is on a file system that is read only", dir);
	} else if (fs.f_blocks &&
		   ((uint64_t)fs.f_bavail * fs.f_frsize < DISK_LOW || (fs.f_files && fs.f_favail < 16))) {
		snprintf(fix, sizeof(fix), "df -h %s; make room", dir);
		found(x, DOCTOR_FAIL, fix, "%s has %llu KiB and %llu inodes left", dir,
		      (unsigned long long)fs.f_bavail * fs.f_frsize / 1024, (unsigned long long)fs.f_favail);
	}
}

static void check_state_dir(struct exam *x)
{
	check_directory(x, x->a->options.state_dir);
}

static void check_run_dir(struct exam *x)
{
	check_directory(x, x->a->options.run_dir);
}

/* The running daemon's answer is that of its start: later, the group file is out of its reach. */
static bool group_of_readers(const struct exam *x, gid_t *out)
{
	const struct group *group;

	if (x->a->server)
		return server_group(x->a->server, out);
	group = getgrnam("isthmus");
	if (group)
		*out = group->gr_gid;
	return group;
}

static void check_socket(struct exam *x)
{
	char path[4352], fix[4500];
	struct stat st;
	gid_t gid;

	snprintf(path, sizeof(path), "%s/isthmus.sock", x->a->options.run_dir);
	if (x->a->options.offline)
		return skip(x);
	if (stat(path, &st) < 0) {
		found(x, DOCTOR_FAIL, "systemctl restart isthmusd", "%s: %s: nobody can reach this daemon", path,
		      strerror(errno));
	} else if (st.st_mode & 07) {
		snprintf(fix, sizeof(fix), "chmod 0660 %s", path);
		found(x, DOCTOR_FAIL, fix, "%s is open to everybody (mode %04o)", path, st.st_mode & 07777);
	} else if (group_of_readers(x, &gid) && st.st_gid != gid) {
		snprintf(fix, sizeof(fix), "chgrp isthmus %s", path);
		found(x, DOCTOR_WARN, fix, "%s does not belong to the group isthmus: its members cannot ask this daemon",
		      path);
	} else {
		fine(x, "%s", path);
	}
}

static void check_group(struct exam *x)
{
	gid_t gid;

	if (group_of_readers(x, &gid))
		fine(x, "the group isthmus may read");
	else
		found(x, DOCTOR_WARN, "groupadd --system isthmus && systemctl restart isthmusd",
		      x->a->server ? "there was no group isthmus when the daemon started: root alone can ask it" :
				     "there is no group isthmus: root alone can ask this daemon");
}

/* ---- limits ---- */

static void check_clock(struct exam *x)
{
	time_t now = time(NULL);
	char text[32];
	struct tm tm;

	gmtime_r(&now, &tm);
	strftime(text, sizeof(text), "%Y-%m-%d %H:%M UTC", &tm);
	if (now < YEAR_2026 || now > YEAR_2100)
		found(x, DOCTOR_WARN, "timedatectl set-ntp true", "the clock says %s", text);
	else
		fine(x, "%s", text);
}

static void check_fds(struct exam *x)
{
	struct rlimit limit;
	char fix[128];

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return skip(x);
	if (limit.rlim_cur < FDS_LOW) {
		snprintf(fix, sizeof(fix),
			 "prlimit --pid %d --nofile=65536:65536 (for good: LimitNOFILE=65536 in its unit)",
			 (int)getpid());
		found(x, DOCTOR_WARN, fix, "%llu file descriptors at most; %d are wanted",
		      (unsigned long long)limit.rlim_cur, FDS_LOW);
	} else {
		fine(x, "%llu file descriptors", (unsigned long long)limit.rlim_cur);
	}
}

static void check_neighbours(struct exam *x)
{
	static const char *const families[] = {"ipv4", "ipv6"};
	size_t nodes = x->config ? x->config->n_nodes : 0;
	bool any = false;

	for (size_t i = 0; i < 2; i++) {
		char path[96], fix[96];
		uint64_t limit;

		snprintf(path, sizeof(path), "/proc/sys/net/%s/neigh/default/gc_thresh3", families[i]);
		if (!read_number(path, &limit))
			continue;
		any = true;
		if (limit < nodes * 2 + 128) {
			snprintf(fix, sizeof(fix), "sysctl -w net.%s.neigh.default.gc_thresh3=%zu", families[i],
				 nodes * 4 + 1024);
			found(x, DOCTOR_WARN, fix,
			      "the %s neighbour table holds %llu entries; the fabric has %zu nodes", families[i],
			      (unsigned long long)limit, nodes);
		}
	}
	if (!any)
		skip(x);
}

static void check_conntrack(struct exam *x)
{
	uint64_t count, max;
	char fix[80];

	if (!read_number("/proc/sys/net/netfilter/nf_conntrack_count", &count) ||
	    !read_number("/proc/sys/net/netfilter/nf_conntrack_max", &max))
		return skip(x);
	if (max && count >= max / 10 * 9) {
		snprintf(fix, sizeof(fix), "sysctl -w net.netfilter.nf_conntrack_max=%llu",
			 (unsigned long long)max * 4);
		found(x, DOCTOR_WARN, fix, "the host's connection table holds %llu of %llu", (unsigned long long)count,
		      (unsigned long long)max);
	} else {
		fine(x, "%llu of %llu", (unsigned long long)count, (unsigned long long)max);
	}
}

const struct doctor_check doctor_host_checks[] = {
	{"kernel", check_kernel},
	{"lockdown", check_lockdown},
	{"bpf-jit", check_jit},
	{"bpf-directory", check_bpffs},
	{"daemon", check_daemon},
	{"daemon-rival", check_rival},
	{"daemon-state", check_degraded},
	{"sandbox", check_sandbox},
	{"data-plane", check_datapath},
	{"tables", check_tables},
	{"configuration", check_config},
	{"state-directory", check_state_dir},
	{"run-directory", check_run_dir},
	{"socket", check_socket},
	{"group", check_group},
	{"clock", check_clock},
	{"descriptors", check_fds},
	{"neighbour-table", check_neighbours},
	{"conntrack", check_conntrack},
	{0},
};
