/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/client.h"
#include "lib/cleanup.h"

DEFINE_CLEANUP(json, json_t *, json_decref)

extern char **environ;

/* Beside our own binary (installed, or in the build tree), then where daemons are. */
static char *find_daemon(void)
{
	static const char *const beside[] = {"isthmusd", "../sbin/isthmusd", "../agent/isthmusd"};
	static const char *const dirs[] = {"/usr/local/sbin", "/usr/sbin", "/usr/local/bin", "/usr/bin"};
	char self[4096], *path, *slash;
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	self[n < 0 ? 0 : n] = '\0';
	slash = strrchr(self, '/');
	for (size_t i = 0; slash && i < sizeof(beside) / sizeof(beside[0]); i++) {
		if (asprintf(&path, "%.*s/%s", (int)(slash - self), self, beside[i]) < 0)
			return NULL;
		if (access(path, X_OK) == 0)
			return path;
		free(path);
	}
	for (size_t i = 0; i < sizeof(dirs) / sizeof(dirs[0]); i++) {
		if (asprintf(&path, "%s/isthmusd", dirs[i]) < 0)
			return NULL;
		if (access(path, X_OK) == 0)
			return path;
		free(path);
	}
	return NULL;
}

/* What the daemon wrote down when it started; an option or the environment of the caller has precedence. */
static const char *setting(const struct call *call, const json_t *written, const char *name, const char *key,
			   const char *otherwise)
{
	const char *value = json_string_value(json_object_get(written, key));

	return call_setting(call, name, value ? value : otherwise);
}

static json_t *read_written(const char *run_dir)
{
	char path[4096];

	snprintf(path, sizeof(path), "%s/isthmusd.json", run_dir);
	return json_load_file(path, 0, NULL);
}

int offline_run(const struct call *call, const char *target, int (*fn)(void *arg, const char *data, size_t size),
		void *arg)
{
	const char *run_dir = call_setting(call, "run-dir", DEFAULT_RUN_DIR);
	_cleanup_(json) json_t *written = read_written(run_dir);
	_cleanup_(free) char *path = find_daemon();
	const char *node = setting(call, written, "node", "node", NULL);
	const char *argv[16] = {path, "--offline", target, "--run-dir", run_dir};
	posix_spawn_file_actions_t actions;
	int fds[2], status = 0, r = 0;
	size_t n_args = 5;
	char buffer[65536];
	pid_t pid;

	if (!path)
		return -ENOENT;
	argv[n_args++] = "--state-dir";
	argv[n_args++] = setting(call, written, "state-dir", "state_dir", DEFAULT_STATE_DIR);
	argv[n_args++] = "--bpf-dir";
	argv[n_args++] = setting(call, written, "bpf-dir", "bpf_dir", DEFAULT_BPF_DIR);
	argv[n_args++] = "--config";
	argv[n_args++] = setting(call, written, "config", "config", DEFAULT_CONFIG);
	if (node) {
		argv[n_args++] = "--node";
		argv[n_args++] = node;
	}
	if (pipe2(fds, O_CLOEXEC) < 0)
		return -EIO;
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, fds[1], STDOUT_FILENO);
	if (posix_spawn(&pid, path, &actions, NULL, (char *const *)argv, environ) != 0)
		r = -EIO;
	posix_spawn_file_actions_destroy(&actions);
	close(fds[1]);
	while (r == 0) {
		ssize_t n = read(fds[0], buffer, sizeof(buffer));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		status = 1;
		if (fn(arg, buffer, (size_t)n) != 0)
			break;
	}
	close(fds[0]);
	if (r == 0) {
		bool answered = status;

		while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
			;
		r = answered ? 0 : -EIO;
	}
	return r;
}
