/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/log.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define LINE_SIZE 2048

static const struct {
	const char *name;
	int priority; /* syslog(3) */
} levels[] = {
	[LOG_LEVEL_ERROR] = {"error", 3},
	[LOG_LEVEL_WARNING] = {"warning", 4},
	[LOG_LEVEL_INFO] = {"info", 6},
	[LOG_LEVEL_DEBUG] = {"debug", 7},
};
static_assert(sizeof(levels) / sizeof(levels[0]) == LOG_LEVEL_MAX, "a row per level");

static enum log_level highest = LOG_LEVEL_INFO;
static int file_fd = -1;

void log_set_level(enum log_level level)
{
	highest = level;
}

void log_set_file(const char *path)
{
	if (file_fd >= 0)
		close(file_fd);
	file_fd = path ? open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640) : -1;
}

/* systemd.exec(5), JOURNAL_STREAM: "device:inode" of the stream that we got, which may be another by now. */
static bool is_journal(int fd)
{
	static int known = -1;
	const char *stream;
	unsigned long long device, inode;
	struct stat st;

	if (fd != STDERR_FILENO)
		return false;
	if (known < 0) {
		stream = getenv("JOURNAL_STREAM");
		known = stream && sscanf(stream, "%llu:%llu", &device, &inode) == 2 && fstat(fd, &st) == 0 &&
			st.st_dev == device && st.st_ino == inode;
	}
	return known;
}

static void append(char line[static LINE_SIZE], size_t *used, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
static void write_line(enum log_level level, uint64_t left_out, const char *format, va_list args)
	__attribute__((format(printf, 3, 0)));

/* What snprintf returned; what did not fit is cut. */
static void advance(size_t *used, int n)
{
	if (n > 0)
		*used = *used + (size_t)n < LINE_SIZE ? *used + (size_t)n : LINE_SIZE - 1;
}

static void append(char line[static LINE_SIZE], size_t *used, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	advance(used, vsnprintf(line + *used, LINE_SIZE - *used, format, args));
	va_end(args);
}

static void write_line(enum log_level level, uint64_t left_out, const char *format, va_list args)
{
	int fd = file_fd >= 0 ? file_fd : STDERR_FILENO, saved = errno;
	char line[LINE_SIZE];
	size_t used = 0, start;

	if (is_journal(fd)) {
		append(line, &used, "<%d>", levels[level].priority);
	} else {
		struct timespec now;
		struct tm tm;

		clock_gettime(CLOCK_REALTIME, &now);
		gmtime_r(&now.tv_sec, &tm);
		append(line, &used, "%04d-%02d-%02dT%02d:%02d:%02d.%03ldZ %s: ", tm.tm_year + 1900, tm.tm_mon + 1,
		       tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, now.tv_nsec / 1000000, levels[level].name);
	}
	start = used;
	errno = saved; /* for %m */
	advance(&used, vsnprintf(line + used, LINE_SIZE - used, format, args));
	if (left_out > 0)
		append(line, &used, " (%llu like it left out)", (unsigned long long)left_out);
	/* One event stays one line, and nobody's bytes drive the reader's terminal. */
	for (size_t i = start; i < used; i++)
		if ((unsigned char)line[i] < ' ' || line[i] == 0x7f)
			line[i] = '?';
	line[used++] = '\n';
	for (size_t done = 0; done < used;) {
		ssize_t n = write(fd, line + done, used - done);

		if (n < 0 && errno != EINTR)
			break; /* nowhere left to say so */
		done += n > 0 ? (size_t)n : 0;
	}
	errno = saved;
}

/* ---- no more than anybody would read ---- */

#define KINDS 64
#define BURST 256      /* lines of one kind; a restart says one for each of its ports */
#define REFILL_MS 1000 /* for one more */

/* Lines of one format.  What flaps says the same of itself again and again. */
static struct kind {
	const char *format;
	uint64_t room_ms; /* BURST * REFILL_MS when nothing was said for a while */
	uint64_t last_ms;
	uint64_t left_out;
} kinds[KINDS];

static uint64_t boot_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_BOOTTIME, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void summarize(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void summarize(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	write_line(LOG_LEVEL_WARNING, 0, format, args);
	va_end(args);
}

/* The kind's last words, before it is forgotten or when it is quiet again. */
static void tell_left_out(struct kind *k)
{
	if (k->left_out > 0)
		summarize("%llu lines like \"%s\" were left out", (unsigned long long)k->left_out, k->format);
	k->left_out = 0;
}

/* The one of this format, else the one that was silent for longest. */
static struct kind *kind_of(const char *format, uint64_t now_ms)
{
	struct kind *found = &kinds[0];

	for (size_t i = 0; i < KINDS; i++) {
		if (kinds[i].format == format)
			return &kinds[i];
		if (kinds[i].last_ms < found->last_ms)
			found = &kinds[i];
	}
	if (found->format)
		tell_left_out(found);
	*found = (struct kind){.format = format, .room_ms = BURST * REFILL_MS, .last_ms = now_ms};
	return found;
}

static void refill(struct kind *k, uint64_t now_ms)
{
	k->room_ms += now_ms - k->last_ms;
	if (k->room_ms > BURST * REFILL_MS)
		k->room_ms = BURST * REFILL_MS;
	k->last_ms = now_ms;
}

void log_flush(void)
{
	uint64_t now_ms = boot_ms();

	for (size_t i = 0; i < KINDS; i++)
		if (kinds[i].left_out > 0 && now_ms - kinds[i].last_ms >= 1000)
			tell_left_out(&kinds[i]);
}

void log_line(enum log_level level, const char *format, ...)
{
	uint64_t now_ms;
	struct kind *k;
	va_list args;

	if (level > highest)
		return;
	now_ms = boot_ms();
	k = kind_of(format, now_ms);
	refill(k, now_ms);
	if (k->room_ms < REFILL_MS) {
		k->left_out++;
		return;
	}
	k->room_ms -= REFILL_MS;
	va_start(args, format);
	write_line(level, k->left_out, format, args);
	va_end(args);
	k->left_out = 0;
}

void log_limited(struct log_limit *limit, enum log_level level, const char *format, ...)
{
	uint64_t now_ms;
	va_list args;

	if (level > highest)
		return;
	now_ms = boot_ms();
	if (limit->last_ms > 0 && now_ms - limit->last_ms < 1000) {
		limit->left_out++;
		return;
	}
	va_start(args, format);
	write_line(level, limit->left_out, format, args);
	va_end(args);
	limit->last_ms = now_ms;
	limit->left_out = 0;
}
