/* SPDX-License-Identifier: Apache-2.0 */
/* The state directory: what is written is read back, what was damaged is not believed. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/snapshot.h"
#include "conf/conf.h"

static char directory[64], path[128];

/* What file_replace asks of the disk, in order: f a file synced, d a directory synced, r renamed. */
static char asked[16];
static bool fail_sync;

int __real_fsync(int fd);
int __wrap_fsync(int fd);
int __real_renameat(int from_fd, const char *from, int to_fd, const char *to);
int __wrap_renameat(int from_fd, const char *from, int to_fd, const char *to);

static void note(char what)
{
	size_t n = strlen(asked);

	if (n + 1 < sizeof(asked))
		asked[n] = what;
}

int __wrap_fsync(int fd)
{
	struct stat st;

	note(fstat(fd, &st) == 0 && S_ISDIR(st.st_mode) ? 'd' : 'f');
	if (!fail_sync)
		return __real_fsync(fd);
	errno = EIO;
	return -1;
}

int __wrap_renameat(int from_fd, const char *from, int to_fd, const char *to)
{
	note('r');
	return __real_renameat(from_fd, from, to_fd, to);
}

static int setup(void **state)
{
	snprintf(directory, sizeof(directory), "/tmp/isthmus-unit-XXXXXX");
	if (!mkdtemp(directory))
		return -1;
	snprintf(path, sizeof(path), "%s/a/b", directory);
	*state = path;
	return 0;
}

static int teardown(void **state)
{
	char parent[128];

	file_remove(path, "fabric.yaml");
	rmdir(path);
	snprintf(parent, sizeof(parent), "%s/a", directory);
	rmdir(parent);
	return rmdir(directory);
}

static void write_one(const char *text, bool has_file, uint64_t hash)
{
	char *copy = strdup(text), name[] = "/etc/some where/isthmus.yaml";
	struct snapshot s = {.text = copy, .size = strlen(copy), .name = name, .has_file = has_file, .file_hash = hash};

	assert_int_equal(snapshot_write(path, &s), 0);
	free(copy);
}

static void what_is_written_is_read_back(void **state)
{
	struct snapshot s;

	assert_int_equal(snapshot_read(path, CONF_TEXT_MAX, &s), -ENOENT);
	write_one("one: 1\ntwo: 2\n", true, 0xfedcba9876543210u);
	assert_int_equal(snapshot_read(path, CONF_TEXT_MAX, &s), 0);
	assert_string_equal(s.text, "one: 1\ntwo: 2\n");
	assert_string_equal(s.name, "/etc/some where/isthmus.yaml");
	assert_true(s.has_file);
	assert_true(s.file_hash == 0xfedcba9876543210u);
	snapshot_fini(&s);
	write_one("", false, 0);
	assert_int_equal(snapshot_read(path, CONF_TEXT_MAX, &s), 0);
	assert_int_equal(s.size, 0);
	assert_false(s.has_file);
	snapshot_fini(&s);
}

static void only_its_owner_may_read_it(void **state)
{
	char file[160];
	struct stat st;

	write_one("one: 1\n", false, 0);
	snprintf(file, sizeof(file), "%s/fabric.yaml", path);
	assert_int_equal(stat(file, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0700);
}

static void damaged_snapshot_is_not_believed(void **state)
{
	char file[160], byte;
	struct snapshot s;
	struct stat st;

	snprintf(file, sizeof(file), "%s/fabric.yaml", path);
	write_one("one: 1\ntwo: 2\n", true, 7);
	assert_int_equal(stat(file, &st), 0);
	for (off_t cut = 0; cut < st.st_size; cut++) {
		write_one("one: 1\ntwo: 2\n", true, 7);
		assert_int_equal(truncate(file, cut), 0);
		assert_int_equal(snapshot_read(path, CONF_TEXT_MAX, &s), -EBADMSG);
	}
	for (off_t at = st.st_size - 14; at < st.st_size; at++) { /* the text */
		int fd;

		write_one("one: 1\ntwo: 2\n", true, 7);
		fd = open(file, O_RDWR);
		assert_int_equal(pread(fd, &byte, 1, at), 1);
		byte ^= 1;
		assert_int_equal(pwrite(fd, &byte, 1, at), 1);
		close(fd);
		assert_int_equal(snapshot_read(path, CONF_TEXT_MAX, &s), -EBADMSG);
	}
}

/* Or a power cut leaves an empty file under the name of a good one. */
static void it_is_on_the_disk_before_it_takes_the_old_ones_place(void **state)
{
	char name[] = "/etc/isthmus.yaml", text[] = "two: 2\n";
	struct snapshot s = {.text = text, .size = strlen(text), .name = name};

	memset(asked, 0, sizeof(asked));
	write_one("one: 1\n", false, 0);
	assert_string_equal(asked, "frd");
	fail_sync = true;
	memset(asked, 0, sizeof(asked));
	assert_int_equal(snapshot_write(path, &s), -EIO);
	fail_sync = false;
	assert_string_equal(asked, "f");
	assert_int_equal(snapshot_read(path, CONF_TEXT_MAX, &s), 0);
	assert_string_equal(s.text, "one: 1\n");
	snapshot_fini(&s);
}

static void directory_below_a_file_is_an_error(void **state)
{
	write_one("one: 1\n", false, 0);
	snprintf(path + strlen(path), 20, "/fabric.yaml/x");
	assert_int_equal(directory_make(path, 0700), -ENOTDIR);
	path[strlen(path) - strlen("/fabric.yaml/x")] = 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(what_is_written_is_read_back, setup, teardown),
		cmocka_unit_test_setup_teardown(only_its_owner_may_read_it, setup, teardown),
		cmocka_unit_test_setup_teardown(damaged_snapshot_is_not_believed, setup, teardown),
		cmocka_unit_test_setup_teardown(it_is_on_the_disk_before_it_takes_the_old_ones_place, setup, teardown),
		cmocka_unit_test_setup_teardown(directory_below_a_file_is_an_error, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
