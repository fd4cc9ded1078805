/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log.h - one line per event to standard error, with the journal's priority prefix when systemd reads it.
 *
 * lib/ and decoders do not log; the caller that chooses the reaction does, once: subject, event, cause, consequence.
 * Control thread.  Whatever a remote can trigger goes through log_limited; of everything else, lines of one format that
 * come by the hundred are cut down to one a second, and the next one, or log_flush, says how many were left out.
 */
#ifndef ISTHMUS_LOG_H
#define ISTHMUS_LOG_H

#include <stdbool.h>
#include <stdint.h>

enum log_level {
	LOG_LEVEL_ERROR,   /* an operator must act */
	LOG_LEVEL_WARNING, /* degraded, carrying on */
	LOG_LEVEL_INFO,    /* state changed */
	LOG_LEVEL_DEBUG,
	LOG_LEVEL_MAX
};

void log_set_level(enum log_level level);
void log_set_file(const char *path); /* tests: append there instead of standard error; NULL = standard error */

void log_line(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));
void log_flush(void); /* now and then: tells what was left out of kinds that are quiet again */
#define log_error(...) log_line(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) log_line(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_info(...) log_line(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_line(LOG_LEVEL_DEBUG, __VA_ARGS__)

/* At most one line a second per limit; the next line says how many were left out. */
struct log_limit {
	uint64_t last_ms;
	uint64_t left_out;
};
void log_limited(struct log_limit *limit, enum log_level level, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

#endif
