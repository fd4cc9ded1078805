/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening and closing: the lock, the configuration, the kernel, the first apply, the socket, the sandbox; in that order,
 * so that what is wrong is found before anything is touched, and nobody is listened to before the box is closed.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "agent/bgp.h"
#include "agent/command.h"
#include "agent/increment.h"
#include "agent/key.h"
#include "agent/sandbox.h"
#include "agent/secure.h"
#include "agent/snapshot.h"
#include "agent/state.h"
#include "api/server.h"
#include "lib/cleanup.h"
#include "lib/text.h"
#include "rib/rib.h"

static int lock_run_dir(struct agent *a)
{
	char path[PATH_MAX];
	int r = directory_make(a->options.run_dir, 0755);

	if (r < 0) {
		log_error("run directory %s cannot be made: %s", a->options.run_dir, strerror(-r));
		return r;
	}
	snprintf(path, sizeof(path), "%s/isthmusd.lock", a->options.run_dir);
	a->state->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (a->state->lock_fd < 0) {
		r = -errno;
		log_error("%s: %s", path, strerror(-r));
		return r;
	}
	if (flock(a->state->lock_fd, LOCK_EX | LOCK_NB) < 0) {
		log_error(
			"another isthmusd runs with %s; each daemon needs its own --run-dir, --state-dir and --bpf-dir",
			a->options.run_dir);
		return -EBUSY;
	}
	return 0;
}

static void json_text(FILE *f, const char *key, const char *value, const char *end)
{
	fprintf(f, "\"%s\": \"", key);
	for (const char *c = value; *c; c++)
		if (*c == '"' || *c == '\\')
			fprintf(f, "\\%c", *c);
		else if ((unsigned char)*c < 0x20)
			fprintf(f, "\\u%04x", *c);
		else
			fputc(*c, f);
	fprintf(f, "\"%s", end);
}

/* For the command line, when the daemon is dead. */
static void write_down(struct agent *a)
{
	_cleanup_(free) char *text = NULL;
	size_t size = 0;
	FILE *f = text_stream(&text, &size);
	int r;

	if (!f)
		return;
	fprintf(f, "{\"pid\": %d, ", getpid());
	json_text(f, "node", a->options.node, ", ");
	json_text(f, "bpf_dir", a->options.bpf_dir, ", ");
	json_text(f, "state_dir", a->options.state_dir, ", ");
	json_text(f, "config", a->options.config_path, "}\n");
	if (fclose(f) != 0)
		return;
	r = file_replace(a->options.run_dir, "isthmusd.json", text, size);
	if (r < 0)
		log_warning("%s/isthmusd.json: %s; without the daemon the command line will not find the data plane by "
			    "itself",
			    a->options.run_dir, strerror(-r));
}

static int open_kernel(struct agent *a, bool read_only)
{
	struct datapath_options options = {.bpf_dir = a->options.bpf_dir, .read_only = read_only};
	int r = kern_open(read_only ? NULL : &agent_kern_callbacks, a, &a->kern);

	if (r < 0) {
		log_error("the kernel's network state cannot be read: %s", strerror(-r));
		return r;
	}
	r = datapath_open(&options, &a->dp);
	if (r < 0 && !read_only)
		log_error("data plane: %s", datapath_error());
	return r;
}

static int serve(struct agent *a)
{
	size_t n_routes;
	const struct api_route *routes = command_routes(&n_routes);
	int r = server_open(a->loop, a->options.run_dir, routes, n_routes, a, &a->server);

	if (r < 0)
		log_error("%s/isthmus.sock cannot be served: %s", a->options.run_dir,
			  r == -EEXIST ? "there is a file of that name, and it is not a socket; move it away" :
					 strerror(-r));
	else
		server_allow_body(a->server, load_size_max(&a->options));
	return r;
}

/* A kernel that cannot box us in still has packets to forward. */
static void enter_sandbox(struct agent *a)
{
	const struct sandbox_paths paths = {.config_path = a->options.config_path,
					    .run_dir = a->options.run_dir,
					    .state_dir = a->options.state_dir,
					    .bpf_dir = a->options.bpf_dir,
					    .bgp_port = a->config->bgp ? a->config->bgp->port : BGP_PORT};

	a->wide = sandbox_wide_directory(a->options.config_path);
	if (a->wide)
		log_warning("%s lies in %s, all of which the sandbox has to leave readable; a directory of its own, as "
			    "/etc/isthmus, keeps the rest from whoever takes the daemon over",
			    a->options.config_path, a->wide);
	if (a->options.no_sandbox)
		a->unboxed = strdup("all of it (--no-sandbox)");
	else if (sandbox_enter(&paths, &a->unboxed) < 0 && !a->unboxed)
		a->unboxed = strdup("a layer");
	if (a->unboxed)
		agent_degrade(a, REASON_SANDBOX, "the daemon's sandbox lacks %s", a->unboxed);
}

/* What fails is tried again, and said, by the audit. */
static void open_devices(struct agent *a, const struct config *c)
{
	kern_cut_enable(a->kern);
	if (kern_merge_enable(a->kern, c->vxlan_port) >= 0)
		a->state->merge_port = c->vxlan_port;
}

/* Before the configuration is looked at, which may be what keeps the daemon from starting: it needs the public part. */
static void make_key(struct agent *a)
{
	int r = key_make(a->options.state_dir);

	if (r > 0)
		log_info("a private key was made in %s; isthmus key show prints the public one", a->options.state_dir);
	else if (r < 0)
		log_error("%s/" KEY_FILE " cannot be made: %s; nothing can be encrypted", a->options.state_dir, strerror(-r));
}

static int open_running(struct agent *a)
{
	struct loaded loaded = {0};
	int r = lock_run_dir(a);

	if (r < 0)
		return r;
	make_key(a);
	r = load_choose(&a->options, &loaded);
	if (r < 0)
		return r;
	r = open_kernel(a, false);
	if (r == 0)
		r = rib_new(&a->rib);
	if (r == 0)
		r = bgp_new(a, &a->bgp);
	if (r == 0)
		r = secure_new(a, 2 * loaded.config->n_nodes + loaded.self->n_peers / 4, &a->secure);
	if (r == 0 && (r = kern_fib_enable(a->kern)) < 0)
		log_error("lo cannot be made to forward: %s; is /proc/sys writable?", strerror(-r));
	if (r >= 0)
		open_devices(a, loaded.config);
	if (r >= 0)
		r = apply_first(a, &loaded);
	loaded_fini(&loaded);
	if (r < 0)
		return r;
	write_down(a);
	r = agent_follow(a);
	if (r == 0)
		r = serve(a);
	if (r < 0)
		return r;
	quota_open(&a->state->quota);
	enter_sandbox(a);
	agent_look_at_paths(a);
	secure_start(a->secure);
	return 0;
}

/* Nothing is written: the snapshot says what is wanted, the pins what is there. */
static int open_offline(struct agent *a)
{
	_cleanup_(free) char *why = NULL;
	struct plan nothing = {0};
	struct loaded loaded = {0};
	int r = load_choose(&a->options, &loaded);

	/* Without a configuration there is still much to answer: counters, and what the doctor sees. */
	if (r == -ENOMEM)
		return r;
	if (r < 0)
		agent_degrade(a, REASON_CONFIG, "there is no configuration to tell of");
	a->config = TAKE_PTR(loaded.config);
	a->self = loaded.self;
	a->config_text = TAKE_PTR(loaded.text);
	a->config_name = TAKE_PTR(loaded.name);
	if (loaded.broken)
		agent_degrade(a, REASON_CONFIG, "the configuration file is not used: %s", loaded.broken);
	loaded_fini(&loaded);
	r = open_kernel(a, true);
	if (r < 0 && !a->kern)
		return r;
	if (r < 0)
		agent_degrade(a, REASON_DATAPLANE, "there is no data plane in %s: %s", a->options.bpf_dir,
			      datapath_error());
	r = a->config ? ports_new(a->config, a->self, &a->ports) : 0;
	if (r == 0 && a->ports)
		ports_bind(a->ports, NULL, a->kern, &nothing, &why);
	plan_fini(&nothing);
	return r;
}

static int copy_options(struct agent *a, const struct agent_options *o)
{
	a->options = (struct agent_options){.config_path = strdup(o->config_path),
					    .node = strdup(o->node),
					    .run_dir = strdup(o->run_dir),
					    .state_dir = strdup(o->state_dir),
					    .bpf_dir = strdup(o->bpf_dir),
					    .config_max = o->config_max,
					    .offline = o->offline,
					    .no_sandbox = o->no_sandbox};
	return a->options.config_path && a->options.node && a->options.run_dir && a->options.state_dir &&
			       a->options.bpf_dir
		       ? 0
		       : -ENOMEM;
}

DEFINE_CLEANUP(agent, struct agent *, agent_close)

int agent_open(const struct agent_options *options, struct loop *loop, struct agent **out)
{
	_cleanup_(agent) struct agent *a = calloc(1, sizeof(*a));
	int r;

	if (!a)
		return -ENOMEM;
	agent_memory_begin();
	a->loop = loop;
	a->started_ms = loop_now_ms(loop);
	a->state = calloc(1, sizeof(*a->state));
	a->wire = calloc(1, sizeof(*a->wire));
	if (!a->state || !a->wire)
		return -ENOMEM;
	a->state->lock_fd = -1;
	a->state->quota = QUOTA_NONE;
	wire_init(a->wire);
	r = copy_options(a, options);
	if (r == 0 && options->offline && secret_start(KEY_HEAP_SIZE) == -ENOMEM)
		r = -ENOMEM;
	if (r == 0)
		r = options->offline ? open_offline(a) : open_running(a);
	if (r < 0)
		return r;
	*out = TAKE_PTR(a);
	return 0;
}

void agent_close(struct agent *a)
{
	if (!a)
		return;
	bgp_stop(a->bgp, "the daemon ends");
	bgp_free(a->bgp);
	a->bgp = NULL;
	secure_free(a->secure);
	server_close(a->server);
	if (a->state) {
		loop_io_remove(a->loop, a->state->kern_io);
		loop_io_remove(a->loop, a->state->events_io);
		loop_timer_remove(a->loop, a->state->tick);
		loop_timer_remove(a->loop, a->state->paths_timer);
		increment_forget(a);
		plan_fini(&a->state->pending);
		for (unsigned i = 0; i < REASON_MAX; i++)
			free(a->state->reasons[i]);
		free(a->state->runtime_text);
		quota_close(&a->state->quota);
		if (a->state->lock_fd >= 0)
			close(a->state->lock_fd);
	}
	datapath_close(a->dp);
	kern_close(a->kern);
	rib_free(a->rib);
	ports_free(a->ports);
	if (a->wire)
		wire_fini(a->wire);
	config_free(a->config);
	free(a->config_text);
	free(a->config_name);
	free(a->unboxed);
	free(a->wide);
	free((void *)a->options.config_path);
	free((void *)a->options.node);
	free((void *)a->options.run_dir);
	free((void *)a->options.state_dir);
	free((void *)a->options.bpf_dir);
	free(a->wire);
	free(a->state);
	free(a);
}
