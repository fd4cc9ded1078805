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
#include <sys/statvfs.h>
#include <unistd.h>

#include "agent/snapshot.h"
#include "agent/state.h"
#include "lib/cleanup.h"
#include "lib/hmap.h"
#include "lib/text.h"

#define SPARE_BYTES 16384 /* beside the texts themselves */

/* What cannot be used may still be all that its owner has of it. */
static int set_aside(const char *dir, const char *name, bool *refused)
{
	_cleanup_(free) char *from = NULL, *to = NULL;

	if (!*refused)
		return 0;
	if (text_format(&from, "%s/%s", dir, name) < 0 || text_format(&to, "%s/%s.refused", dir, name) < 0)
		return -ENOMEM;
	if (rename(from, to) < 0 && errno != ENOENT)
		return -errno;
	*refused = false;
	return 0;
}

static int write_fabric(struct agent *a)
{
	struct agent_state *s = a->state;
	struct snapshot snapshot = {.text = a->config_text,
				    .size = s->text_size,
				    .name = a->config_name,
				    .has_file = s->has_file,
				    .file_hash = s->file_hash};
	int r = set_aside(a->options.state_dir, "fabric.yaml", &s->fabric_refused);

	if (r == 0)
		r = snapshot_write(a->options.state_dir, &snapshot);
	s->fabric_pending = r < 0;
	return r;
}

static int write_ports(struct agent *a)
{
	struct agent_state *s = a->state;
	const char *dir = a->options.state_dir;
	int r = set_aside(dir, "ports.yaml", &s->ports_refused);

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

	if (s->fabric_pending)
		r = write_fabric(a);
	if (s->ports_pending && r == 0)
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
	return a->state->fabric_pending || a->state->ports_pending ? a->state->reasons[REASON_STATE_DIR] : NULL;
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
	const char *dir = a->options.state_dir;

	a->state->ports_refused = true;
	agent_degrade(a, REASON_PORTS, "the ports added at run time are not used: %s; they are kept in %s/ports.yaml%s",
		      why, dir, set_aside(dir, "ports.yaml", &a->state->ports_refused) < 0 ? "" : ".refused");
}

void agent_remember_refused_fabric(struct agent *a, const char *why)
{
	const char *dir = a->options.state_dir;

	a->state->fabric_refused = true;
	agent_degrade(a, REASON_SNAPSHOT, "what was applied last is not used: %s; it is kept in %s/fabric.yaml%s", why,
		      dir, set_aside(dir, "fabric.yaml", &a->state->fabric_refused) < 0 ? "" : ".refused");
}
