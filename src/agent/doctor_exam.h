/* SPDX-License-Identifier: Apache-2.0 */
/*
 * doctor_exam.h - what the checks of the doctor share; private to doctor*.c.
 *
 * A check looks at one thing and calls found() for each fault, or fine() once; doctor.c says fine for one that said
 * nothing.
 */
#ifndef ISTHMUS_DOCTOR_EXAM_H
#define ISTHMUS_DOCTOR_EXAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "agent/doctor.h"

#define EXAM_NAMED_MAX 8 /* of one kind of fault; more are counted */

struct exam {
	const struct agent *a;
	const struct config *config;    /* the running one, else that of the file; NULL = neither */
	const struct config_node *self; /* this node in it, or NULL */
	doctor_report_fn report;
	void *arg;
	const char *check; /* running now */
	size_t said;       /* reports of this check */
	size_t silenced;
	enum doctor_state worst;
	uint32_t inner_mtu; /* of the narrowest path; set by the check that needs it */
	const struct config_node *narrowest;
};

/* fix and what was seen are formats; the arguments of `fix` come first, split by the caller with snprintf where needed
 */
void found(struct exam *x, enum doctor_state state, const char *fix, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
void fine(struct exam *x, const char *format, ...) __attribute__((format(printf, 2, 3)));
void skip(struct exam *x); /* the check does not apply: not even "ok" is said */

/* First line of a file without its newline; false when it cannot be read. */
bool read_line(const char *path, char *out, size_t size);
bool read_number(const char *path, uint64_t *out);

struct doctor_check {
	const char *name;
	void (*run)(struct exam *x);
};

extern const struct doctor_check doctor_host_checks[];    /* doctor_host.c; the last has name NULL */
extern const struct doctor_check doctor_underlay_checks[]; /* doctor_underlay.c */
extern const struct doctor_check doctor_port_checks[];    /* doctor_port.c */
extern const struct doctor_check doctor_bgp_checks[];     /* doctor_bgp.c */
extern const struct doctor_check doctor_secure_checks[];  /* doctor_secure.c */

#endif
