/* SPDX-License-Identifier: Apache-2.0 */
/*
 * doctor.h - looks at the host for what keeps a fabric from working, and says how to mend it.
 *
 * Every check is a row of a table in doctor.c: a name and a function that reports what it saw, once for each object
 * that is wrong or once that all is well.  Nothing is changed.  Works without a daemon (agent opened offline) and
 * without a configuration; checks that need what is not there stay silent.  Control thread: a whole run takes some
 * milliseconds, a fifth of a second with a thousand ports.
 */
#ifndef ISTHMUS_DOCTOR_H
#define ISTHMUS_DOCTOR_H

#include "agent/agent.h"

enum doctor_state {
	DOCTOR_OK,
	DOCTOR_WARN, /* works now, or works for most */
	DOCTOR_FAIL, /* something does not work */
	DOCTOR_STATE_MAX
};

const char *doctor_state_name(enum doctor_state s); /* "ok", "warn", "fail" */

/* fix is NULL when all is well; strings are borrowed for the call */
typedef void (*doctor_report_fn)(void *arg, const char *check, enum doctor_state state, const char *seen,
				 const char *fix);

/* The worst state of all. */
enum doctor_state doctor_run(const struct agent *a, doctor_report_fn report, void *arg);

#endif
