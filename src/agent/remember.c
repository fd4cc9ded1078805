/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a restart has to find.  A state directory that cannot be written costs the next restart, not the traffic: the
 * node is degraded, and the audit tries again.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "agent/bgp.h"
#include "agent/aside.h"
#include "agent/snapshot.h"
#include "agent/state.h"
#include "lib/cleanup.h"
#include "lib/hmap.h"
#include "lib/text.h"

#define SPARE_BYTES 16384 /* beside the texts themselves */

/*
 * What cannot be used may still be all that its owner has of it, and so may what was set aside before: each gets a name
 * of its own, NAME.refused, NAME.refused.1 and so on.  When all names are taken the last one is given again: what was
 * good last was lost first, and is in the oldest.
 */
static int set_aside(const char *dir, const char *name, bool *refused, char **kept, size_t *earlier)
{
	_cleanup_(fd) int dir_fd = -1;
	char to[ASIDE_NAME_SIZE];
	struct stat st;
	size_t n = 0;

	if (!*refused)
		return 0;
	dir_fd = open(dir, O_DIRECTORY | O_RDONLY | O_CLOEXEC);
	if (dir_fd < 0)
		return -errno;
	while (fstatat(dir_fd, aside_name(name, n, to), &st, AT_SYMLINK_NOFOLLOW) == 0 && n + 1 < ASIDE_MAX)
		n++;
	if (renameat(dir_fd, name, dir_fd, to) < 0 && errno != ENOENT)
		return -errno;
	*refused = false;
	if (!kept)
		return 0;
	*earlier = n;
	return text_format(kept, "%s/%s", dir, to);
}

/* Where it is now, for people. */
static int say_aside(const char *dir, const char *name, bool *refused, char **out)
{
	_cleanup_(free) char *kept = NULL;
	size_t earlier = 0;

	if (set_aside(dir, name, refused, &kept, &earlier) < 0 || !kept)
		return text_format(out, "%s/%s", dir, name);
	if (earlier == 0)
		return text_format(out, "%s", kept);
	return text_format(out, "%s, beside %zu of earlier times%s", kept, earlier,
			   earlier + 1 < ASIDE_MAX ? "" : "; no more are kept: move them away");
}

static int write_fabric(struct agent *a)
{
	struct agent_state *s = a->state;
	struct snapshot snapshot = {.text = a->config_text,
				    .size = s->text_size,
				    .name = a->config_name,
				    .has_file = s->has_file,
				    .file_hash = s->file_hash};
	int r = set_aside(a->options.state_dir, "fabric.yaml", &s->fabric_refused, NULL, NULL);

	if (r == 0)
		r = snapshot_write(a->options.state_dir, &snapshot);
	s->fabric_pending = r < 0;
	return r;
}

static int write_ports(struct agent *a)
{
	struct agent_state *s = a->state;
	const char *dir = a->options.state_dir;
	int r = set_aside(dir, "ports.yaml", &s->ports_refused, NULL, NULL);

	if (r == 0)
		r = s->runtime_text ? file_replace(dir, "ports.yaml", s->runtime_text, strlen(s->runtime_text))
				    : file_remove(dir, "ports.yaml");
	s->ports_pending = r < 0;
	return r;
}

/* Could everything be written once more?  Known before somebody needs it. */
static int look_at_directory(const struct agent *a)
{
	const char *dir = a->options.state_dir, *ports = a->state->runtime_text;
	uint64_t needed = a->state->text_size + (ports ? strlen(ports) : 0) + SPARE_BYTES;
	struct statvfs s;

	if (faccessat(AT_FDCWD, dir, W_OK | X_OK, AT_EACCESS) < 0)
		return -errno;
	if (statvfs(dir, &s) < 0)
		return -errno;
	if (s.f_flag & ST_RDONLY)
		return -EROFS;
	return s.f_bavail * s.f_frsize < needed || (s.f_files && s.f_favail == 0) ? -ENOSPC : 0;
}

void agent_remember(struct agent *a)
{
	struct agent_state *s = a->state;
	int r = 0;

	if (s->fabric_pending && !s->fabric_unread)
		r = write_fabric(a);
	if (s->ports_pending && r == 0 && !s->ports_unread)
		r = write_ports(a);
	if (r < 0) {
		agent_degrade(a, REASON_STATE_DIR,
			      "%s cannot be written: %s; a restart would not find what is applied now",
			      a->options.state_dir, strerror(-r));
		return;
	}
	r = look_at_directory(a);
	agent_degrade(a, REASON_STATE_DIR,
		      r < 0 ? "%s cannot be written: %s; a restart would not find the next change" : NULL,
		      a->options.state_dir, strerror(-r));
}

const char *agent_unsaved(const struct agent *a)
{
	const struct agent_state *s = a->state;

	if (s->ports_pending && s->ports_unread)
		return s->reasons[REASON_PORTS];
	if (s->fabric_pending && s->fabric_unread)
		return s->reasons[REASON_SNAPSHOT];
	return s->fabric_pending || s->ports_pending ? s->reasons[REASON_STATE_DIR] : NULL;
}

/*
 * The file is looked at now, not when the writing succeeds: one that is edited in between is newer than what was
 * applied.
 */
void agent_remember_fabric(struct agent *a)
{
	struct agent_state *s = a->state;
	_cleanup_(free) char *file = NULL;
	uint64_t text_hash = hash_stable_string(a->config_text) ^ hash_stable_string(a->config_name) * 31,
		 file_hash = 0;
	size_t size;
	int r = file_read(a->options.config_path, load_size_max(&a->options), &file, &size);
	bool has_file = r == 0;

	if (has_file) {
		file_hash = hash_stable(file, size);
	} else if (r != -ENOENT && r != -ENOTDIR) { /* there is one, as far as we know the one that was there */
		has_file = s->has_file;
		file_hash = s->file_hash;
	}
	if (text_hash != s->text_hash || has_file != s->has_file || file_hash != s->file_hash)
		s->fabric_pending = true;
	s->text_hash = text_hash;
	s->text_size = strlen(a->config_text);
	s->has_file = has_file;
	s->file_hash = file_hash;
	agent_remember(a);
}

void agent_remember_ports(struct agent *a)
{
	struct agent_state *s = a->state;
	_cleanup_(free) char *text = NULL;

	if (load_emit_ports(a->config, &text) < 0)
		return; /* out of memory, which others will notice */
	if ((text == NULL) == (s->runtime_text == NULL) && (!text || strcmp(text, s->runtime_text) == 0))
		return;
	free(s->runtime_text);
	s->runtime_text = TAKE_PTR(text);
	s->ports_pending = true;
	agent_remember(a);
}

void agent_remember_refused_ports(struct agent *a, const char *why)
{
	_cleanup_(free) char *where = NULL;

	a->state->ports_refused = true;
	if (say_aside(a->options.state_dir, "ports.yaml", &a->state->ports_refused, &where) < 0)
		where = NULL;
	agent_degrade(a, REASON_PORTS, "the ports added at run time are not used: %s; they are kept in %s", why,
		      where ? where : a->options.state_dir);
}

void agent_remember_refused_fabric(struct agent *a, const char *why)
{
	_cleanup_(free) char *where = NULL;

	a->state->fabric_refused = true;
	if (say_aside(a->options.state_dir, "fabric.yaml", &a->state->fabric_refused, &where) < 0)
		where = NULL;
	agent_degrade(a, REASON_SNAPSHOT, "what was applied last is not used: %s; it is kept in %s", why,
		      where ? where : a->options.state_dir);
}

static bool lacks_fabric(const struct agent *a)
{
	return a->state->fabric_unread && !a->state->fabric_superseded;
}

bool agent_lacks(const struct agent *a)
{
	return a->state->ports_unread || lacks_fabric(a) || bgp_is_waiting(a->bgp);
}

void agent_remember_unread_fabric(struct agent *a, const char *why)
{
	agent_degrade(a, REASON_SNAPSHOT,
		      "what was applied last could not be read: %s; the configuration file is used, what is in the data "
		      "plane stays, and nothing is saved over what was applied; trying again every second",
		      why ? why : "out of memory");
}

/* As a start would have chosen: it, when the file is the one that it was applied over, and nothing newer was applied. */
static int take_up(struct agent *a, const struct snapshot *snapshot, char **why)
{
	const struct agent_state *s = a->state;
	struct conf_errors errors = {0};
	int r;

	if (!snapshot->text || s->fabric_superseded || !s->has_file || !snapshot->has_file ||
	    snapshot->file_hash != s->file_hash)
		return 0;
	r = agent_apply(a, snapshot->name, snapshot->text, snapshot->size, false, NULL, &errors, why);
	if (r < 0 && !*why && errors.length)
		*why = strdup(errors.items[0].what);
	conf_errors_fini(&errors);
	return r;
}

void agent_read_fabric_late(struct agent *a)
{
	struct agent_state *s = a->state;
	_cleanup_(free) char *why = NULL;
	struct snapshot snapshot = {0};
	int r = s->fabric_unread ? load_read_snapshot(&a->options, &snapshot, &why) : -EAGAIN;

	if (r == -EAGAIN)
		return;
	s->fabric_unread = false;
	if (r == 0)
		r = take_up(a, &snapshot, &why);
	snapshot_fini(&snapshot);
	if (r < 0 && r != -EINVAL) {
		s->fabric_unread = true;
		agent_remember_unread_fabric(a, why ? why : strerror(-r));
		return;
	}
	s->fabric_superseded = false;
	s->resync = true; /* nothing is missing any more: what is of no use can go */
	if (r == 0)
		agent_degrade(a, REASON_SNAPSHOT, NULL);
	else
		agent_remember_refused_fabric(a, why ? why : strerror(-r));
}

void agent_remember_unread_ports(struct agent *a, const char *why)
{
	agent_degrade(a, REASON_PORTS,
		      "the ports added at run time could not be read: %s; they stay where they are, in the data plane as "
		      "well, and nothing is saved over them; trying again every second",
		      why ? why : "out of memory");
}

void agent_read_ports_late(struct agent *a)
{
	struct agent_state *s = a->state;
	_cleanup_(free) char *text = NULL, *why = NULL;
	int r = s->ports_unread && !lacks_fabric(a) ? load_read_ports(&a->options, &text, &why) : -EAGAIN;

	if (r == -EAGAIN)
		return;
	if (r == 0 && text)
		r = apply_saved_ports(a, text, &why);
	if (r < 0 && r != -EINVAL) {
		agent_remember_unread_ports(a, why ? why : strerror(-r));
		return;
	}
	s->ports_unread = false;
	s->resync = true; /* nothing is missing any more: what is of no use can go */
	if (r == 0)
		agent_degrade(a, REASON_PORTS, NULL);
	else
		agent_remember_refused_ports(a, why ? why : strerror(-r));
}
