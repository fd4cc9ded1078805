/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a restart has to find.  A state directory that cannot be written costs the next restart, not the traffic: the
 * node is degraded, and the audit tries again.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/snapshot.h"
#include "agent/state.h"
#include "lib/cleanup.h"
#include "lib/hmap.h"
#include "lib/text.h"

void agent_remember(struct agent *a)
{
	struct agent_state *s = a->state;
	const char *dir = a->options.state_dir;
	int r = 0;

	if (s->fabric_pending) {
		struct snapshot snapshot = {.text = a->config_text,
					    .size = strlen(a->config_text),
					    .name = a->config_name,
					    .has_file = s->has_file,
					    .file_hash = s->file_hash};

		r = snapshot_write(dir, &snapshot);
		s->fabric_pending = r < 0;
	}
	if (s->ports_pending && r == 0) {
		r = s->runtime_text ? file_replace(dir, "ports.yaml", s->runtime_text, strlen(s->runtime_text))
				    : file_remove(dir, "ports.yaml");
		s->ports_pending = r < 0;
	}
	agent_degrade(a, REASON_STATE_DIR,
		      r < 0 ? "%s cannot be written: %s; a restart would not find what is applied now" : NULL, dir,
		      strerror(-r));
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
	bool has_file = file_read(a->options.config_path, load_size_max(&a->options), &file, &size) == 0;

	if (has_file)
		file_hash = hash_stable(file, size);
	if (text_hash != s->text_hash || has_file != s->has_file || file_hash != s->file_hash)
		s->fabric_pending = true;
	s->text_hash = text_hash;
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

/* Set aside, so that the next port that is added does not write over them. */
void agent_remember_refused_ports(struct agent *a, const char *why)
{
	_cleanup_(free) char *from = NULL, *to = NULL;
	bool moved = text_format(&from, "%s/ports.yaml", a->options.state_dir) >= 0 &&
		     text_format(&to, "%s/ports.yaml.refused", a->options.state_dir) >= 0 && rename(from, to) == 0;

	agent_degrade(a, REASON_PORTS, "the ports added at run time are not used: %s; they are kept in %s", why,
		      moved ? to : "ports.yaml");
}
