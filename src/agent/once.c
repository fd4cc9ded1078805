/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/aside.h"
#include "agent/once.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "agent/command.h"
#include "agent/key.h"
#include "agent/secure.h"
#include "agent/snapshot.h"
#include "api/server.h"
#include "lib/cleanup.h"
#include "lib/log.h"

DEFINE_CLEANUP(agent, struct agent *, agent_close)
DEFINE_CLEANUP(loop, struct loop *, loop_free)
DEFINE_CLEANUP(kern, struct kern *, kern_close)

/* ---- one answer ---- */

/* Was all of it printed? */
static bool print_reply(struct api_reply *reply)
{
	char buffer[65536];
	bool more = reply->next != NULL;

	if (reply->body)
		fwrite(reply->body, 1, reply->body_size, stdout);
	while (more) {
		size_t used = 0;

		more = reply->next(reply->stream, buffer, sizeof(buffer), &used);
		if (fwrite(buffer, 1, used, stdout) != used)
			break;
	}
	if (fflush(stdout) != 0)
		return false;
	return !reply->stream_cut || !reply->stream_cut(reply->stream);
}

int once_offline(const struct agent_options *options, const char *target)
{
	_cleanup_(loop) struct loop *loop = NULL;
	_cleanup_(agent) struct agent *a = NULL;
	struct agent_options offline = *options;
	struct api_reply reply = {.status = 200};
	const struct api_route *routes;
	size_t n;
	int r = loop_new(&loop);

	offline.offline = true;
	if (r == 0)
		r = agent_open(&offline, loop, &a);
	if (r < 0)
		return r == -EINVAL ? 2 : 1;
	routes = command_routes(&n);
	server_dispatch(routes, n, a, "GET", target, NULL, 0, &reply);
	r = print_reply(&reply) && reply.status < 300 ? 0 : 1;
	api_reply_fini(&reply);
	return r;
}

/* ---- check ---- */

int once_check(const char *path, size_t size_max)
{
	_cleanup_(free) char *text = NULL;
	struct conf_source source = {.name = path, .size_max = size_max ? size_max : CONF_TEXT_MAX};
	struct conf_errors errors = {0};
	struct config *config = NULL;
	int r = file_read(path, source.size_max, &text, &source.size);

	if (r < 0) {
		fprintf(stderr, "isthmusd: %s: %s\n", path, strerror(-r));
		return 2;
	}
	source.text = text;
	r = conf_load(&source, 1, &config, &errors);
	conf_errors_print(&errors, stderr);
	conf_errors_fini(&errors);
	config_free(config);
	return r == 0 ? 0 : 2;
}

/* ---- teardown ---- */

struct guarded {
	struct kern *kern;
	size_t n;
};

static bool unguard_entry(void *arg, const struct fwd *f)
{
	struct guarded *g = arg;
	const struct link *link = kern_link_by_index(g->kern, f->port.ifindex);

	if (link && kern_port_unguard(g->kern, link->name) == 0)
		g->n++;
	return true;
}

/* The pinned maps know which interfaces were ports, whatever has become of the configuration since. */
static size_t unguard_ports(const char *bpf_dir, struct kern *kern)
{
	struct datapath_options options = {.bpf_dir = bpf_dir, .read_only = true};
	struct guarded g = {.kern = kern};
	struct datapath *dp;

	if (datapath_open(&options, &dp) < 0)
		return 0;
	table_each(dp, FWD_PORT, unguard_entry, &g);
	datapath_close(dp);
	return g.n;
}

static void remove_files(const char *dir, const char *const *names)
{
	for (; *names; names++)
		file_remove(dir, *names);
	rmdir(dir); /* stays when others keep something there */
}

static void remove_aside(const char *dir, const char *const *names)
{
	char aside[ASIDE_NAME_SIZE];

	for (; *names; names++)
		for (size_t n = 0; n < ASIDE_MAX; n++)
			file_remove(dir, aside_name(*names, n, aside));
}

static int refuse_while_running(const char *run_dir, int *lock)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/isthmusd.lock", run_dir);
	*lock = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	if (*lock >= 0 && flock(*lock, LOCK_EX | LOCK_NB) < 0) {
		fprintf(stderr, "isthmusd: a daemon is running with %s; stop it first (systemctl stop isthmusd)\n",
			run_dir);
		return -EBUSY;
	}
	return 0;
}

int once_teardown(const struct agent_options *options, bool purge)
{
	static const char *const run_files[] = {"isthmus.sock", "isthmusd.json", "isthmusd.lock", NULL};
	static const char *const state_files[] = {"fabric.yaml", "ports.yaml", KEY_FILE, SECURE_LAST_FILE, NULL};
	_cleanup_(kern) struct kern *kern = NULL;
	_cleanup_(fd) int lock = -1;
	int r, code = 0;

	if (refuse_while_running(options->run_dir, &lock) < 0)
		return 1;
	r = kern_open(NULL, NULL, &kern);
	if (r < 0) {
		fprintf(stderr, "isthmusd: the kernel's network state cannot be read: %s\n", strerror(-r));
		return 1;
	}
	unguard_ports(options->bpf_dir, kern);
	secure_remove_ports(kern, NULL);
	r = datapath_teardown(options->bpf_dir);
	if (r < 0) {
		fprintf(stderr, "isthmusd: data plane: %s\n", datapath_error());
		code = 1;
	}
	r = kern_merge_disable(kern, 0);
	if (r >= 0)
		r = kern_cut_disable(kern);
	if (r >= 0)
		r = kern_inside_disable(kern);
	if (r >= 0)
		r = kern_fib_disable(kern);
	if (r >= 0)
		r = kern_neighbours_release(kern);
	if (r >= 0)
		r = kern_routes_remove(kern);
	if (r < 0) {
		fprintf(stderr, "isthmusd: settings of the kernel cannot be put back: %s\n", strerror(-r));
		code = 1;
	}
	remove_files(options->run_dir, run_files);
	if (purge) {
		remove_aside(options->state_dir, state_files);
		remove_files(options->state_dir, state_files);
	}
	return code;
}
