/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The configuration to start from: the file, or what was applied since the file was last changed, or, when the file is
 * broken, what was applied last.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "agent/snapshot.h"
#include "agent/state.h"
#include "lib/cleanup.h"
#include "lib/hmap.h"
#include "lib/text.h"

#define NAMES_LISTED 10

void loaded_fini(struct loaded *l)
{
	config_free(l->config);
	free(l->text);
	free(l->name);
	free(l->runtime_text);
	free(l->broken);
	free(l->ports_ignored);
	free(l->saved_ignored);
	*l = (struct loaded){0};
}

int load_self(const struct config *c, const char *name, struct config_node **out, char **why)
{
	struct config_node *self = config_node(c, name);
	_cleanup_(free) char *known = NULL;
	size_t size = 0, listed = 0;
	FILE *f;

	if (self && !self->foreign) {
		*out = self;
		return 0;
	}
	if (self) {
		if (text_format(why,
				"node \"%s\" is marked foreign: it does not run isthmusd; take `foreign: true` away, or "
				"start with --node NAME of another",
				name) < 0)
			*why = NULL;
		return -EINVAL;
	}
	f = text_stream(&known, &size);
	for (size_t i = 0; f && i < c->n_nodes; i++) {
		if (c->nodes[i].foreign)
			continue;
		if (listed++ < NAMES_LISTED)
			fprintf(f, "%s%s", listed > 1 ? ", " : "", c->nodes[i].name);
	}
	if (f && listed > NAMES_LISTED)
		fprintf(f, " and %zu more", listed - NAMES_LISTED);
	if (f)
		fclose(f);
	if (text_format(why,
			"this node is called \"%s\", and the configuration has no such node; it has: %s; start with "
			"--node NAME, or add the node",
			name, known && *known ? known : "none") < 0)
		*why = NULL;
	return -EINVAL;
}

int load_emit_ports(const struct config *c, char **out)
{
	_cleanup_(free) char *text = NULL;
	size_t size = 0;
	FILE *f;
	int r;

	*out = NULL;
	if (c->n_runtime == 0)
		return 0;
	f = text_stream(&text, &size);
	if (!f)
		return -ENOMEM;
	r = conf_emit(c, true, f);
	if (fclose(f) != 0 && r == 0)
		r = -ENOMEM;
	if (r == 0)
		*out = TAKE_PTR(text);
	return r;
}

/* ---- choosing ---- */

size_t load_size_max(const struct agent_options *o)
{
	return o->config_max ? o->config_max : CONF_TEXT_MAX;
}

static char *first_error(const struct conf_errors *e)
{
	char *text = NULL;

	if (e->length == 0)
		return strdup("it cannot be read");
	if (text_format(&text, "%s:%u:%u: %s: %s", e->items[0].file, e->items[0].line, e->items[0].column,
			e->items[0].path, e->items[0].what) < 0)
		return NULL;
	return text;
}

/* With the run-time ports; when they do not fit, without them. */
static int load_text(const struct agent_options *o, const char *name, const char *text, size_t size, const char *ports,
		     struct loaded *out, struct conf_errors *errors)
{
	const struct conf_source sources[] = {
		{.name = name, .text = text, .size = size, .size_max = o->config_max},
		{.name = "ports.yaml", .text = ports, .size = ports ? strlen(ports) : 0, .size_max = o->config_max,
		 .runtime = true},
	};
	int r = conf_load(sources, ports ? 2 : 1, &out->config, errors);

	if (r == -EINVAL && ports) {
		_cleanup_(free) char *reason = first_error(errors);

		conf_errors_fini(errors);
		r = conf_load(sources, 1, &out->config, errors);
		if (r == 0)
			out->ports_ignored = TAKE_PTR(reason);
	} else if (r == 0 && ports) {
		out->runtime_text = strdup(ports);
	}
	if (r < 0)
		return r;
	out->name = strdup(name);
	out->text = malloc(size + 1);
	if (!out->name || !out->text)
		return -ENOMEM;
	memcpy(out->text, text, size);
	out->text[size] = 0;
	out->size = size;
	return 0;
}

/* 0 when it holds together and names this node; else nothing is kept but *why. */
static int load_for_us(const struct agent_options *o, const char *name, const char *text, size_t size,
		       const char *ports, struct loaded *l, struct conf_errors *errors, char **why)
{
	int r = load_text(o, name, text, size, ports, l, errors);

	if (r < 0)
		*why = first_error(errors);
	else
		r = load_self(l->config, o->node, &l->self, why);
	if (r < 0)
		loaded_fini(l);
	return r;
}

static int from_snapshot(const struct agent_options *o, const struct snapshot *s, const char *ports, struct loaded *l,
			 char **why)
{
	struct conf_errors errors = {0};
	int r;

	free(*why); /* of an earlier try */
	*why = NULL;
	r = load_for_us(o, s->name, s->text, s->size, ports, l, &errors, why);
	conf_errors_fini(&errors);
	return r;
}

/* What says something of the file, and not of the disk, the memory or the descriptors of this moment. */
static bool is_no_file(int r)
{
	return r == -EISDIR || r == -ELOOP || r == -ENXIO || r == -ENODEV;
}

int load_read_ports(const struct agent_options *o, char **out, char **why)
{
	_cleanup_(free) char *text = NULL;
	char path[PATH_MAX];
	size_t size;
	int r;

	*out = NULL;
	snprintf(path, sizeof(path), "%s/ports.yaml", o->state_dir);
	r = file_read(path, load_size_max(o), &text, &size);
	if (r == -ENOENT || r == -ENOTDIR)
		return 0;
	if (r == 0 && strlen(text) == size) {
		*out = TAKE_PTR(text);
		return 0;
	}
	if (text_format(why, "%s: %s", path, r < 0 ? strerror(-r) : "it holds a zero byte") < 0)
		*why = NULL;
	return r == 0 || is_no_file(r) ? -EINVAL : -EAGAIN;
}

int load_read_snapshot(const struct agent_options *o, struct snapshot *out, char **why)
{
	int r = snapshot_read(o->state_dir, load_size_max(o), out);

	if (r == 0)
		return 0;
	*out = (struct snapshot){0};
	if (r == -ENOENT || r == -ENOTDIR)
		return 0;
	if (text_format(why, "%s/fabric.yaml: %s", o->state_dir,
			r == -EBADMSG ? "it is not as it was written" : strerror(-r)) < 0)
		*why = NULL;
	return r == -EBADMSG || is_no_file(r) ? -EINVAL : -EAGAIN;
}

/* At the start nobody waits for us yet, and what passes soon need not be told of. */
static bool is_worth_waiting(int r, unsigned *tries, char **why)
{
	static const struct timespec pause = {.tv_nsec = 100 * 1000 * 1000};

	if (r != -EAGAIN || --*tries == 0)
		return false;
	free(TAKE_PTR(*why));
	nanosleep(&pause, NULL);
	return true;
}

#define TRIES 5

static char *read_ports(const struct agent_options *o, char **ignored, bool *unread)
{
	unsigned tries = TRIES;
	char *text;
	int r;

	do
		r = load_read_ports(o, &text, ignored);
	while (is_worth_waiting(r, &tries, ignored));
	*unread = r == -EAGAIN;
	return text;
}

/* True: there is one. */
static bool read_saved(const struct agent_options *o, struct snapshot *out, char **ignored, bool *unread)
{
	unsigned tries = TRIES;
	int r;

	do
		r = load_read_snapshot(o, out, ignored);
	while (is_worth_waiting(r, &tries, ignored));
	*unread = r == -EAGAIN;
	return r == 0 && out->text;
}

/* Ports that were added to what was applied last say nothing against themselves when they do not fit the file. */
static void ports_wait(struct loaded *l)
{
	_cleanup_(free) char *reason = TAKE_PTR(l->ports_ignored);

	l->ports_unread = true;
	if (text_format(&l->ports_ignored, "they wait for what was applied last, as the configuration file does not "
					   "have what they need: %s", reason) < 0)
		l->ports_ignored = NULL;
}

static void say_nothing_to_start_from(const struct agent_options *o, int file, const struct conf_errors *errors,
				      const char *why, const char *saved)
{
	if (saved)
		fprintf(stderr, "isthmusd: what was applied last cannot be used: %s\n", saved);
	if (file < 0 && saved)
		fprintf(stderr, "isthmusd: %s: %s\n", o->config_path, strerror(-file));
	else if (file < 0)
		fprintf(stderr,
			"isthmusd: %s: %s, and nothing was applied before (%s holds no snapshot).\n"
			"Write the fabric there (isthmus explain lists the keys; isthmus.yaml(5) has a complete "
			"example), check it with\n"
			"isthmus check %s, and start again.\n",
			o->config_path, strerror(-file), o->state_dir, o->config_path);
	else if (errors->length)
		conf_errors_print(errors, stderr);
	else
		fprintf(stderr, "isthmusd: %s: %s\n", o->config_path, why ? why : "out of memory");
}

int load_choose(const struct agent_options *o, struct loaded *out)
{
	_cleanup_(free) char *text = NULL, *ports_ignored = NULL, *saved_ignored = NULL, *broken = NULL, *unfit = NULL;
	bool ports_unread, saved_unread, saved;
	_cleanup_(free) char *ports = read_ports(o, &ports_ignored, &ports_unread);
	struct conf_errors errors = {0};
	struct snapshot snapshot = {0};
	struct loaded l = {0};
	size_t size = 0;
	int r = -EINVAL, file;

	saved = read_saved(o, &snapshot, &saved_ignored, &saved_unread);
	file = file_read(o->config_path, load_size_max(o), &text, &size);

	/* Without a daemon the question is what runs: what was applied last, whatever the file says by now. */
	if (saved &&
	    (o->offline || (file == 0 && snapshot.has_file && snapshot.file_hash == hash_stable(text, size))))
		r = from_snapshot(o, &snapshot, ports, &l, &unfit);
	if (r < 0 && file == 0)
		r = load_for_us(o, o->config_path, text, size, ports, &l, &errors, &broken);
	else if (r < 0 && text_format(&broken, "%s: %s", o->config_path, strerror(-file)) < 0)
		broken = NULL;
	if (r < 0 && saved) {
		r = from_snapshot(o, &snapshot, ports, &l, &unfit);
		if (r == 0)
			l.broken = TAKE_PTR(broken);
	}
	if (r < 0)
		say_nothing_to_start_from(o, file, &errors, broken, saved_ignored);
	if (r == 0) {
		*out = l;
		if (ports_ignored)
			out->ports_ignored = TAKE_PTR(ports_ignored);
		out->ports_unread = ports_unread;
		out->saved_unread = saved_unread;
		if (saved_unread && !ports_unread && out->ports_ignored)
			ports_wait(out);
		out->saved_ignored = unfit ? TAKE_PTR(unfit) : TAKE_PTR(saved_ignored);
	}
	conf_errors_fini(&errors);
	snapshot_fini(&snapshot);
	return r;
}
