/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/log.h"

static char path[] = "/tmp/isthmus-test-log.XXXXXX";

static int open_log(void **state)
{
	int fd;

	strcpy(strrchr(path, '.') + 1, "XXXXXX");
	fd = mkstemp(path);
	if (fd < 0)
		return -1;
	close(fd);
	log_set_file(path);
	return 0;
}

static int close_log(void **state)
{
	log_set_file(NULL);
	log_set_level(LOG_LEVEL_INFO);
	return unlink(path);
}

/* What stands after the time, line by line. */
static void read_log(char *out, size_t size)
{
	_cleanup_(file) FILE *f = fopen(path, "re");
	char line[4096];

	out[0] = '\0';
	assert_non_null(f);
	while (fgets(line, sizeof(line), f)) {
		int year, end = 0;

		assert_int_equal(sscanf(line, "%d-%*2d-%*2dT%*2d:%*2d:%*2d.%*3dZ %n", &year, &end), 1);
		assert_true(end > 0 && year >= 2024);
		strncat(out, line + end, size - strlen(out) - 1);
	}
}

static void lines_below_the_level_are_left_out(void **state)
{
	char text[1024];

	log_error("a %d", 1);
	log_debug("not me");
	log_set_level(LOG_LEVEL_DEBUG);
	log_debug("me");
	log_set_level(LOG_LEVEL_ERROR);
	log_warning("not me");
	read_log(text, sizeof(text));
	assert_string_equal(text, "error: a 1\ndebug: me\n");
}

static void an_event_stays_one_line(void **state)
{
	char text[8192], huge[5000];

	log_info("name %s", "web\n2026-01-01 error: forged\x1b[2J\x7f");
	memset(huge, 'x', sizeof(huge) - 1);
	huge[sizeof(huge) - 1] = '\0';
	log_info("%s", huge);
	read_log(text, sizeof(text));
	assert_memory_equal(text, "info: name web?2026-01-01 error: forged?[2J?\n", 45);
	assert_true(strlen(text) < 45 + 2049);
	assert_int_equal(text[strlen(text) - 1], '\n');
}

static void errno_survives_and_can_be_told(void **state)
{
	char text[1024];

	errno = ENOENT;
	log_info("%m");
	assert_int_equal(errno, ENOENT);
	read_log(text, sizeof(text));
	assert_string_equal(text, "info: No such file or directory\n");
}

static void a_limit_lets_one_line_a_second_pass_and_counts(void **state)
{
	struct log_limit limit = {};
	char text[1024];

	for (int i = 0; i < 100; i++)
		log_limited(&limit, LOG_LEVEL_INFO, "packet %d", i);
	assert_int_equal(limit.left_out, 99);
	limit.last_ms -= 1000;
	log_limited(&limit, LOG_LEVEL_INFO, "packet");
	assert_int_equal(limit.left_out, 0);
	read_log(text, sizeof(text));
	assert_string_equal(text, "info: packet 0\ninfo: packet (99 like it left out)\n");
}

static size_t lines_of_log(char *last, size_t size)
{
	_cleanup_(file) FILE *f = fopen(path, "re");
	size_t n = 0;

	assert_non_null(f);
	while (fgets(last, (int)size, f))
		n++;
	return n;
}

static void what_flaps_is_cut_down_and_counted(void **state)
{
	char last[512];

	for (int i = 0; i < 5000; i++)
		log_info("interface %d is gone", i);
	log_info("another %d", 1); /* has its own measure */
	assert_int_equal(lines_of_log(last, sizeof(last)), 256 + 1);
	assert_non_null(strstr(last, "info: another 1\n"));
	log_flush();
	assert_int_equal(lines_of_log(last, sizeof(last)), 256 + 1); /* it is not quiet yet */
	for (time_t end = time(NULL) + 10; lines_of_log(last, sizeof(last)) == 256 + 1 && time(NULL) < end;)
		log_flush();
	assert_non_null(strstr(last, "4744 lines like \"interface %d is gone\" were left out\n"));
	log_info("interface %d is gone", 7);
	assert_int_equal(lines_of_log(last, sizeof(last)), 256 + 3);
	assert_non_null(strstr(last, "interface 7 is gone\n"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(lines_below_the_level_are_left_out, open_log, close_log),
		cmocka_unit_test_setup_teardown(an_event_stays_one_line, open_log, close_log),
		cmocka_unit_test_setup_teardown(errno_survives_and_can_be_told, open_log, close_log),
		cmocka_unit_test_setup_teardown(a_limit_lets_one_line_a_second_pass_and_counts, open_log, close_log),
		cmocka_unit_test_setup_teardown(what_flaps_is_cut_down_and_counted, open_log, close_log),
	};

	return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
