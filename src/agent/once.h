/* SPDX-License-Identifier: Apache-2.0 */
/*
 * once.h - what isthmusd does without becoming a daemon; each returns the exit code.
 */
#ifndef ISTHMUS_ONCE_H
#define ISTHMUS_ONCE_H

#include <stdbool.h>

#include "agent/agent.h"

/* Answers one GET on standard output from pins and snapshot.  0; 1 when the reply is an error. */
int once_offline(const struct agent_options *options, const char *target);

/* Errors on standard error. 0, or 2 */
int once_check(const char *path, size_t size_max);

/* Removes programs, maps, settings and run-time files; `purge`: what was remembered too.  0, 1 */
int once_teardown(const struct agent_options *options, bool purge);

#endif
