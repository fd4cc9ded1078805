/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The transaction: parse, check, plan, do, remember.  Until the plan is run nothing outside the rib has changed, and
 * the rib goes back by loading the configuration that was there before; a plan that fails undoes itself.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "agent/bgp.h"
#include "agent/handover.h"
#include "agent/increment.h"
#include "agent/secure.h"
#include "agent/snapshot.h"
#include "agent/state.h"
#include "lib/cleanup.h"
#include "lib/text.h"
#include "rib/rib.h"

/* Measured: what a byte of configuration is at most, as a tree, twice as a fabric, and in the tables. */
#define MEMORY_OF_TEXT 20

DEFINE_CLEANUP(config, struct config *, config_free)
DEFINE_CLEANUP(ports, struct ports *, ports_free)

static inline void cleanup_plan(struct plan *p)
{
	plan_fini(p);
}

static void ignore_change(void *arg, const struct fwd_change *change)
{
}

/* Gives the rib a configuration and what this node knows for it. */
static void show(struct agent *a, const struct config *c, const struct config_node *self, const struct ports *ports)
{
	rib_load(a->rib, c, self);
	bgp_show(a->bgp, c, self);
	wire_look(a->wire, a->kern, c, self, a->rib, false);
	wire_tell(a->wire, a->rib);
	ports_tell(ports, a->kern, a->rib);
	rib_settle(a->rib);
}

static int make_plan(struct agent *a, const struct config *next, const struct config_node *self, struct ports *ports,
		     struct plan *plan, char **why)
{
	int r;

	rib_load(a->rib, next, self);
	bgp_show(a->bgp, next, self);
	wire_look(a->wire, a->kern, next, self, a->rib, false);
	wire_tell(a->wire, a->rib);
	wire_plan(a->wire, a->kern, next, self, true, plan);
	r = ports_bind(ports, a->ports, a->kern, plan, why);
	if (r < 0)
		return r;
	ports_tell(ports, a->kern, a->rib);
	rib_settle(a->rib);
	r = rib_commit(a->rib, plan_change, plan);
	if (r == 0)
		r = plan_sort(plan);
	return r < 0 ? r : plan_check(plan, a->dp, !a->config, why);
}

static int describe(const struct agent *a, const struct plan *plan, const struct config *next,
		    const struct ports *ports, struct agent_plan *out)
{
	struct describe d = {
		.dp = a->dp, .before = a->config, .after = next, .ports_before = a->ports, .ports_after = ports};

	return plan_describe(plan, &d, out);
}

/*
 * At the start there is nothing to go back to: an undo would take away what an earlier run left forwarding.  What
 * fails is tried again every second, the rest works.
 */
static int run(struct agent *a, struct plan *plan, char **why)
{
	size_t failed;

	if (a->config)
		return plan_run(plan, a->dp, a->kern, why);
	failed = plan_run_all(plan, a->dp, a->kern);
	if (failed) {
		agent_degrade(a, REASON_DATAPLANE, "the data plane refused %zu entries: %s; trying again",
			      failed, datapath_error());
		a->state->resync = true;
	}
	return 0;
}

/* Number of steps (to be) done, or negative.  Takes `next` over when it returns >= 0 and it was no dry run. */
static int transact(struct agent *a, struct config *next, struct config_node *self, bool dry_run,
		    struct agent_plan *out, char **why)
{
	_cleanup_(ports) struct ports *ports = NULL;
	__attribute__((cleanup(cleanup_plan))) struct plan plan = {0};
	struct agent_plan steps = {0};
	int r = ports_new(next, self, &ports);

	if (r < 0)
		return r;
	if (!dry_run)
		secure_prepare(a->secure, next, self);
	r = make_plan(a, next, self, ports, &plan, why);
	if (r == 0 && out)
		r = describe(a, &plan, next, ports, &steps);
	if (r == 0 && !dry_run)
		r = run(a, &plan, why);
	if (a->config && (r < 0 || dry_run)) {
		show(a, a->config, a->self, a->ports);
		rib_commit(a->rib, ignore_change, NULL);
		a->state->resync |= r < 0; /* should the undo have missed something */
	}
	if (r < 0) {
		agent_plan_fini(&steps);
		if (!dry_run)
			secure_configure(a->secure);
		return r;
	}
	if (out)
		*out = steps;
	if (!dry_run) {
		wire_note(a->wire, &plan);
		increment_forget(a);
		config_free(a->config);
		a->config = next;
		a->self = self;
		ports_free(a->ports);
		a->ports = TAKE_PTR(ports);
		ports_note(a->ports, &plan, a->kern, a->rib);
		increment_prepare(a); /* now, not when the next port is added */
		a->applied_ms = loop_now_ms(a->loop);
		bgp_configure(a->bgp);
		secure_configure(a->secure);
		agent_settle(a);
	}
	return (int)plan.length;
}

/* ---- verbs ---- */

int apply_first(struct agent *a, struct loaded *l)
{
	_cleanup_(free) char *why = NULL;
	int r;

	a->config_text = TAKE_PTR(l->text);
	a->config_name = TAKE_PTR(l->name);
	a->state->runtime_text = TAKE_PTR(l->runtime_text);
	agent_sync_begin(a);
	r = transact(a, l->config, l->self, false, NULL, &why);
	if (r < 0) {
		log_error("%s: not applied: %s", a->config_name, why ? why : strerror(-r));
		return r;
	}
	l->config = NULL;
	a->state->ports_unread = l->ports_unread;
	a->state->fabric_unread = l->saved_unread;
	r = agent_sync_end(a);
	if (r < 0) {
		agent_degrade(a, REASON_DATAPLANE, "the data plane is not clean: %s; trying again",
			      datapath_error());
		a->state->resync = true;
	}
	if (r > 0)
		log_info("%d entries of a former run were of no use any more and are removed", r);
	a->generation = 1;
	if (l->saved_unread)
		agent_remember_unread_fabric(a, l->saved_ignored);
	else if (l->saved_ignored)
		agent_remember_refused_fabric(a, l->saved_ignored);
	if (l->broken)
		agent_degrade(a, REASON_CONFIG,
			      "the configuration file is not used: %s; running what was applied last (%s)", l->broken,
			      a->config_name);
	else
		agent_remember_fabric(a);
	if (l->ports_unread)
		agent_remember_unread_ports(a, l->ports_ignored);
	else if (l->ports_ignored)
		agent_remember_refused_ports(a, l->ports_ignored);
	else
		agent_remember_ports(a);
	return 0;
}

static char *effective(const struct config *c)
{
	char *text = NULL;
	size_t size;
	FILE *f = text_stream(&text, &size);

	if (!f)
		return NULL;
	conf_emit(c, false, f);
	fclose(f);
	return text;
}

/*
 * Names that only people see, such as a remote port's, or what is said of BGP: nothing to do, and yet what is shown will be
 * different.
 */
static int note_names(const char *before, const char *after, bool bgp, struct agent_plan *plan)
{
	if (plan->length > 0 || !before || !after || strcmp(before, after) == 0)
		return 0;
	free(plan->steps);
	plan->steps = malloc(sizeof(*plan->steps));
	if (!plan->steps)
		return -ENOMEM;
	plan->steps[0].text = strdup(bgp ? "change BGP in the configuration; the data plane stays as it is"
					 : "change names in the configuration; the data plane stays as it is");
	plan->length = 1;
	return plan->steps[0].text ? 0 : -ENOMEM;
}

int agent_apply(struct agent *a, const char *name, const char *text, size_t size, bool dry_run, struct agent_plan *plan,
		struct conf_errors *errors, char **why)
{
	const char *ports = a->state->runtime_text;
	const struct conf_source sources[] = {
		{.name = name, .text = text, .size = size, .size_max = a->options.config_max},
		{.name = "ports.yaml", .text = ports, .size = ports ? strlen(ports) : 0,
		 .size_max = a->options.config_max, .runtime = true},
	};
	_cleanup_(config) struct config *next = NULL;
	_cleanup_(free) char *text_copy = NULL, *name_copy = NULL, *before = NULL, *after = NULL;
	char no_room[256];
	struct config_node *self;
	bool same_text, bgp = false;
	int r;

	if (!quota_has_room(&a->state->quota, (uint64_t)size * MEMORY_OF_TEXT, no_room, sizeof(no_room))) {
		*why = strdup(no_room);
		return -ENOMEM;
	}
	r = conf_load(sources, ports ? 2 : 1, &next, errors);
	if (r < 0)
		return r;
	r = load_self(next, a->options.node, &self, why);
	if (r == 0)
		r = handover_check(a->config, next, why);
	if (r < 0)
		return r;
	text_copy = strndup(text, size);
	name_copy = strndup(name, SNAPSHOT_NAME_MAX);
	if (!text_copy || !name_copy)
		return -ENOMEM;
	for (char *c = name_copy; *c; c++)
		if ((unsigned char)*c < 0x20) /* it goes into a line of the snapshot, and into the log */
			*c = '?';
	if (plan && strcmp(text_copy, a->config_text) != 0) {
		before = effective(a->config);
		after = effective(next);
		bgp = !config_bgp_equal(a->config, next);
	}
	r = transact(a, next, self, dry_run, plan, why);
	if (r < 0)
		return r;
	if (plan && note_names(before, after, bgp, plan) < 0 && dry_run)
		return -ENOMEM;
	if (dry_run)
		return 0;
	TAKE_PTR(next);
	same_text = strcmp(text_copy, a->config_text) == 0;
	a->generation += r > 0 || !same_text;
	free(a->config_text);
	free(a->config_name);
	a->config_text = TAKE_PTR(text_copy);
	a->config_name = TAKE_PTR(name_copy);
	agent_degrade(a, REASON_CONFIG, NULL);
	if (!a->state->ports_unread)
		agent_degrade(a, REASON_PORTS, NULL);
	if (a->state->fabric_unread) {
		a->state->fabric_superseded = true;
		a->state->resync = true; /* what was kept for it can go */
	} else {
		agent_degrade(a, REASON_SNAPSHOT, NULL);
	}
	agent_remember_fabric(a);
	agent_remember_ports(a);
	if (r > 0 || !same_text)
		log_info("%s: applied, %d steps, generation %llu", a->config_name, r,
			 (unsigned long long)a->generation);
	return 0;
}

static int finish_increment(struct agent *a, int r, bool dry_run)
{
	if (r < 0 || dry_run)
		return r < 0 ? r : 0;
	a->generation += r > 0;
	agent_remember_ports(a);
	return 0;
}

/* The long way: everything is read again. */
static int apply_ports(struct agent *a, const struct conf_source *more, bool dry_run, struct agent_plan *plan,
		       struct conf_errors *errors, char **why)
{
	struct conf_source sources[3] = {
		{.name = a->config_name, .text = a->config_text, .size = strlen(a->config_text),
		 .size_max = a->options.config_max}};
	const char *runtime = a->state->runtime_text;
	_cleanup_(config) struct config *next = NULL;
	struct config_node *self;
	size_t n = 1;
	int r;

	if (runtime)
		sources[n++] = (struct conf_source){
			.name = "ports.yaml", .text = runtime, .size = strlen(runtime),
			.size_max = a->options.config_max, .runtime = true};
	sources[n++] = *more;
	r = conf_load(sources, n, &next, errors);
	if (r < 0)
		return r;
	r = load_self(next, a->options.node, &self, why);
	if (r < 0)
		return r;
	r = transact(a, next, self, dry_run, plan, why);
	if (r < 0 || dry_run)
		return r < 0 ? r : 0;
	TAKE_PTR(next);
	return finish_increment(a, r, false);
}

int agent_port_add(struct agent *a, const char *yaml, size_t size, bool dry_run, struct agent_plan *plan,
		   struct conf_errors *errors, char **why)
{
	const struct conf_source more = {.name = "request", .text = yaml, .size = size,
					 .size_max = a->options.config_max, .runtime = true, .request = true};
	int r = increment_add(a, &more, dry_run, plan, why);

	if (r == -EAGAIN)
		return apply_ports(a, &more, dry_run, plan, errors, why);
	return finish_increment(a, r, dry_run);
}

int apply_saved_ports(struct agent *a, const char *text, char **why)
{
	const struct conf_source saved = {.name = "ports.yaml", .text = text, .size = strlen(text),
					  .size_max = a->options.config_max, .runtime = true};
	struct conf_errors errors = {0};
	int r = apply_ports(a, &saved, false, NULL, &errors, why);

	if (r < 0 && !*why && errors.length > 0 &&
	    text_format(why, "%s:%u:%u: %s: %s", errors.items[0].file, errors.items[0].line, errors.items[0].column,
			errors.items[0].path, errors.items[0].what) < 0)
		*why = NULL;
	conf_errors_fini(&errors);
	return r;
}

int agent_port_del(struct agent *a, const char *name, bool dry_run, struct agent_plan *plan, char **why)
{
	const struct config_port *port = config_port(a->config, name);

	if (!port)
		return -ENOENT;
	if (port->runtime)
		return finish_increment(a, increment_del(a, port, dry_run, plan, why), dry_run);
	if (text_format(why, "port \"%s\" stands in %s, line %u; take it out there and apply the file", name,
			a->config_name, port->place.line) < 0)
		*why = NULL;
	return -EPERM;
}

int agent_reload(struct agent *a)
{
	_cleanup_(free) char *text = NULL, *why = NULL;
	const char *path = a->options.config_path;
	struct conf_errors errors = {0};
	size_t size;
	int r = file_read(path, load_size_max(&a->options), &text, &size);

	if (r < 0) {
		log_error("%s: %s; the fabric stays as it is", path, strerror(-r));
		agent_degrade(a, REASON_CONFIG,
			      "the configuration file cannot be read: %s: %s; running what was applied last (%s)", path,
			      strerror(-r), a->config_name);
		return r;
	}
	r = agent_apply(a, path, text, size, false, NULL, &errors, &why);
	for (size_t i = 0; r < 0 && i < errors.length; i++) {
		const struct conf_error *e = &errors.items[i];

		log_error("%s:%u:%u: %s: %s (IST-%04u)", e->file, e->line, e->column, e->path, e->what, e->code);
	}
	if (r < 0) {
		log_error("%s: not applied: %s; the fabric stays as it is", path,
			  why ? why : errors.length ? "it has errors" : strerror(-r));
		agent_degrade(a, REASON_CONFIG,
			      "the configuration file was refused: %s; running what was applied last (%s)",
			      why	      ? why
			      : errors.length ? errors.items[0].what
					      : strerror(-r),
			      a->config_name);
	}
	conf_errors_fini(&errors);
	return r;
}
