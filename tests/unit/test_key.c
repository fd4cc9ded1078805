/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/key.h"
#include "agent/snapshot.h"
#include "lib/cleanup.h"

static char directory[64];

static int setup(void **state)
{
	strcpy(directory, "/tmp/isthmus-key-XXXXXX");
	return mkdtemp(directory) ? 0 : -1;
}

static int teardown(void **state)
{
	file_remove(directory, KEY_FILE);
	return rmdir(directory);
}

static const char *path(void)
{
	static char text[128];

	snprintf(text, sizeof(text), "%s/" KEY_FILE, directory);
	return text;
}

static void put(const char *text)
{
	assert_int_equal(file_replace(directory, KEY_FILE, text, strlen(text)), 0);
}

/* RFC 7748 6.1 */
#define ALICE_PRIVATE "dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo="
#define ALICE_PUBLIC "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo="

static void public_key_is_that_of_the_private_one(void **state)
{
	_cleanup_(free) char *why = NULL;
	char text[KEY_TEXT_SIZE];
	struct config_key key;

	put(ALICE_PRIVATE "\n");
	assert_int_equal(key_public(directory, &key, &why), 0);
	assert_null(why);
	assert_string_equal(key_format(&key, text), ALICE_PUBLIC);
	put(ALICE_PRIVATE); /* an editor may have taken the line end away */
	assert_int_equal(key_public(directory, &key, &why), 0);
	assert_string_equal(key_format(&key, text), ALICE_PUBLIC);
}

static void key_is_made_once_and_for_root_alone(void **state)
{
	struct secret_key first, second;
	char *why;
	struct stat st;

	assert_int_equal(key_private(directory, &first, &why), -ENOENT);
	free(why);
	assert_int_equal(key_make(directory), 1);
	assert_int_equal(stat(path(), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(st.st_size, KEY_TEXT_SIZE); /* with a line end instead of NUL */
	assert_int_equal(key_private(directory, &first, &why), 0);
	assert_null(why);
	assert_int_equal(key_make(directory), 0);
	assert_int_equal(key_private(directory, &second, &why), 0);
	assert_memory_equal(&first, &second, sizeof(first));
	assert_int_equal(file_remove(directory, KEY_FILE), 0);
	assert_int_equal(key_make(directory), 1);
	assert_int_equal(key_private(directory, &second, &why), 0);
	assert_memory_not_equal(&first, &second, sizeof(first));
}

/* What cannot be read may be what the others know this node by. */
static void key_that_cannot_be_read_is_not_written_over(void **state)
{
	static const char *const wrong[] = {"", "\n", "x\n", ALICE_PRIVATE "\n\n", ALICE_PRIVATE "x", " " ALICE_PRIVATE,
					    "dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCp=", ALICE_PRIVATE ALICE_PRIVATE};

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		_cleanup_(free) char *why = NULL, *text = NULL;
		struct secret_key key;
		size_t size;

		put(wrong[i]);
		assert_int_equal(key_make(directory), 0);
		assert_int_equal(key_private(directory, &key, &why), -EINVAL);
		assert_non_null(strstr(why, KEY_FILE ": a key is 32 bytes in base64"));
		assert_int_equal(file_read(path(), 1000, &text, &size), 0);
		assert_string_equal(text, wrong[i]);
	}
}

static void dangling_link_is_no_place_for_a_key(void **state)
{
	assert_int_equal(symlink("/nonexistent/key", path()), 0);
	assert_int_equal(key_make(directory), 0);
	assert_int_equal(unlink(path()), 0);
}

static void key_that_others_can_read_is_taken_and_told(void **state)
{
	_cleanup_(free) char *why = NULL;
	struct secret_key key;

	put(ALICE_PRIVATE "\n");
	assert_int_equal(chmod(path(), 0640), 0);
	assert_int_equal(key_private(directory, &key, &why), 0);
	assert_non_null(strstr(why, "chmod 600"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(public_key_is_that_of_the_private_one, setup, teardown),
		cmocka_unit_test_setup_teardown(key_is_made_once_and_for_root_alone, setup, teardown),
		cmocka_unit_test_setup_teardown(key_that_cannot_be_read_is_not_written_over, setup, teardown),
		cmocka_unit_test_setup_teardown(dangling_link_is_no_place_for_a_key, setup, teardown),
		cmocka_unit_test_setup_teardown(key_that_others_can_read_is_taken_and_told, setup, teardown),
	};

	if (secret_start(KEY_HEAP_SIZE) == -ENOMEM)
		return 1;
	return cmocka_run_group_tests_name("key", tests, NULL, NULL);
}
