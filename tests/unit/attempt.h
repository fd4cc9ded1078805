/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attempt.h - tries something inside and outside of the daemon's sandbox; for test_sandbox.c and test_sandbox_calls.c.
 *
 * make_directories and remove_directories are the group's setup and teardown: namespaces of its own and the daemon's
 * directories.  Every attempt runs in a child, which entered the box as the daemon does, or did not.  An attempt that is
 * to be refused is also made outside, where it has to work; otherwise it would prove nothing.
 */
#ifndef ISTHMUS_TEST_ATTEMPT_H
#define ISTHMUS_TEST_ATTEMPT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <ftw.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/sandbox.h"
#include "lib/cleanup.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

enum { KILLED = 1000, NOT_ENTERED = 200, ODD = 201, SECONDS_MAX = 20 };

static char top[] = "/tmp/isthmus-sandbox-XXXXXX";
static char config[64], beside[64], other[64], run_dir[64], state_dir[64], bpf_dir[64];

static inline void write_file(const char *path, const char *text)
{
	_cleanup_(file) FILE *f = fopen(path, "we");

	assert_non_null(f);
	fputs(text, f);
}

static inline int make_directories(void **state)
{
	struct {
		char *path;
		const char *name;
	} directories[] = {{run_dir, "run"}, {state_dir, "state"}, {bpf_dir, "bpf"}, {other, "other"}, {config, "etc"}};

	if (unshare(CLONE_NEWNS | CLONE_NEWNET) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    !mkdtemp(top) || chmod(top, 0755) < 0)
		return -1;
	for (size_t i = 0; i < sizeof(directories) / sizeof(*directories); i++) {
		snprintf(directories[i].path, sizeof(config), "%s/%s", top, directories[i].name);
		if (mkdir(directories[i].path, 0755) < 0)
			return -1;
	}
	strcat(config, "/isthmus.yaml");
	snprintf(beside, sizeof(beside), "%s/etc/beside", top);
	if (mount("test", bpf_dir, "bpf", 0, NULL) < 0 || mount("test", other, "bpf", 0, NULL) < 0)
		return -1;
	write_file(config, "version: 1\n");
	write_file(beside, "beside\n");
	return 0;
}

static inline int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
	return remove(path);
}

static inline int remove_directories(void **state)
{
	umount2(bpf_dir, MNT_DETACH);
	umount2(other, MNT_DETACH);
	return nftw(top, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* ---- running an attempt ---- */

typedef int (*attempt_fn)(void); /* 0, or the errno */

static inline int enter(void)
{
	const struct sandbox_paths paths = {config, run_dir, state_dir, bpf_dir, 179};
	_cleanup_(free) char *missing = NULL;
	int r = sandbox_enter(&paths, &missing);

	if (r < 0 || missing)
		fprintf(stderr, "sandbox: %d: %s\n", r, missing ? missing : "");
	return r < 0 || missing ? -1 : 0;
}

/* The attempt's errno, KILLED by seccomp, or ODD. */
static inline int in_child(attempt_fn attempt, bool inside)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		for (int signo = 1; signo < 32; signo++)
			signal(signo, SIG_DFL); /* cmocka's would jump back into the run */
		alarm(SECONDS_MAX);
		if (inside && enter() < 0)
			_exit(NOT_ENTERED);
		_exit(attempt());
	}
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFSIGNALED(status))
		return WTERMSIG(status) == SIGSYS ? KILLED : ODD;
	return WEXITSTATUS(status);
}

struct attempt {
	const char *name;
	attempt_fn run;
	int inside;   /* what it ends with */
	bool only_in; /* not made outside: it would do harm, or this machine need not be able to do it */
};

static inline void try_all(const struct attempt *attempts, size_t n)
{
	bool good = true;

	for (size_t i = 0; i < n; i++) {
		int inside = in_child(attempts[i].run, true),
		    outside = attempts[i].only_in ? 0 : in_child(attempts[i].run, false);

		if (inside != attempts[i].inside || outside != 0) {
			print_error("%s: ended with %d inside, expected %d; with %d outside\n", attempts[i].name, inside,
				    attempts[i].inside, outside);
			good = false;
		}
	}
	assert_true(good);
}

#define TRY_ALL(attempts) try_all(attempts, sizeof(attempts) / sizeof(*(attempts)))

static inline int outcome(long r)
{
	return r < 0 ? errno : 0;
}

#endif
