/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sandbox.h - a test's own network and mount namespace, and a directory that goes away with it.
 *
 * sandbox_enter in a test's setup, sandbox_leave in its teardown.  Nothing done inside is seen outside; the namespaces
 * end with the next sandbox_enter or with the process.
 */
#ifndef ISTHMUS_TEST_SANDBOX_H
#define ISTHMUS_TEST_SANDBOX_H

#include <ftw.h>
#include <net/if.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

struct sandbox {
	char directory[64];
};

static inline int sandbox_enter(struct sandbox *s)
{
	if (unshare(CLONE_NEWNET | CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return -1;
	snprintf(s->directory, sizeof(s->directory), "/tmp/isthmus-unit-XXXXXX");
	return mkdtemp(s->directory) ? 0 : -1;
}

static inline int sandbox_unlink(const char *path, const struct stat *st, int type, struct FTW *at)
{
	umount2(path, MNT_DETACH);
	return remove(path);
}

static inline void sandbox_leave(struct sandbox *s)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/bpf", s->directory);
	while (umount2(path, MNT_DETACH) == 0)
		;
	nftw(s->directory, sandbox_unlink, 16, FTW_DEPTH | FTW_PHYS);
}

/* Runs a command by the shell; its exit status. */
static inline __attribute__((format(printf, 1, 2))) int run(const char *format, ...)
{
	char command[512];
	va_list args;

	va_start(args, format);
	vsnprintf(command, sizeof(command), format, args);
	va_end(args);
	return system(command);
}

#endif
