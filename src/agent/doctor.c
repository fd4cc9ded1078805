/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/doctor.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "agent/doctor_exam.h"
#include "lib/cleanup.h"
#include "lib/text.h"

static const char *const state_names[] = {[DOCTOR_OK] = "ok", [DOCTOR_WARN] = "warn", [DOCTOR_FAIL] = "fail"};
_Static_assert(sizeof(state_names) / sizeof(state_names[0]) == DOCTOR_STATE_MAX, "a name for each state");

const char *doctor_state_name(enum doctor_state s)
{
	return state_names[s];
}

static void say(struct exam *x, enum doctor_state state, const char *fix, const char *format, va_list ap)
	__attribute__((format(printf, 4, 0)));
static void say(struct exam *x, enum doctor_state state, const char *fix, const char *format, va_list ap)
{
	_cleanup_(free) char *seen = NULL;

	if (text_vformat(&seen, format, ap) < 0)
		seen = NULL;
	x->said++;
	if (state > x->worst)
		x->worst = state;
	x->report(x->arg, x->check, state, seen ? seen : "out of memory", fix);
}

void found(struct exam *x, enum doctor_state state, const char *fix, const char *format, ...)
{
	va_list ap;

	if (x->said >= EXAM_NAMED_MAX) {
		x->silenced++;
		return;
	}
	va_start(ap, format);
	say(x, state, fix, format, ap);
	va_end(ap);
}

void fine(struct exam *x, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	say(x, DOCTOR_OK, NULL, format, ap);
	va_end(ap);
}

void skip(struct exam *x)
{
	x->said++;
}

bool read_line(const char *path, char *out, size_t size)
{
	_cleanup_(file) FILE *f = fopen(path, "re");

	if (!f || !fgets(out, (int)size, f))
		return false;
	out[strcspn(out, "\n")] = '\0';
	return true;
}

bool read_number(const char *path, uint64_t *out)
{
	char text[64], *end;
	uint64_t n;

	if (!read_line(path, text, sizeof(text)))
		return false;
	n = strtoull(text, &end, 10);
	if (end == text)
		return false;
	*out = n;
	return true;
}

static void more(struct exam *x, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void more(struct exam *x, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	say(x, DOCTOR_WARN, "isthmus doctor again, when these are mended", format, ap);
	va_end(ap);
}

static void run_all(struct exam *x, const struct doctor_check *checks)
{
	for (; checks->name; checks++) {
		x->check = checks->name;
		x->said = x->silenced = 0;
		checks->run(x);
		if (x->silenced)
			more(x, "and %zu more like these", x->silenced);
		else if (!x->said)
			fine(x, "nothing wrong");
	}
}

static struct config *load_file(const char *path)
{
	_cleanup_(free) char *text = malloc(CONF_TEXT_MAX + 1);
	_cleanup_(file) FILE *f = text ? fopen(path, "re") : NULL;
	struct conf_errors errors = {0};
	struct config *config = NULL;

	if (f) {
		size_t size = fread(text, 1, CONF_TEXT_MAX, f);

		conf_load(&(struct conf_source){.name = path, .text = text, .size = size}, 1, &config, &errors);
		conf_errors_fini(&errors);
	}
	return config;
}

enum doctor_state doctor_run(const struct agent *a, doctor_report_fn report, void *arg)
{
	struct exam x = {.a = a, .config = a->config, .self = a->self, .report = report, .arg = arg};
	struct config *own = a->config ? NULL : load_file(a->options.config_path);

	if (own && a->options.node) {
		x.config = own;
		x.self = config_node(own, a->options.node);
	}
	run_all(&x, doctor_host_checks);
	run_all(&x, doctor_underlay_checks);
	run_all(&x, doctor_port_checks);
	run_all(&x, doctor_bgp_checks);
	run_all(&x, doctor_secure_checks);
	config_free(own);
	return x.worst;
}
