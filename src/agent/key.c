/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/key.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/snapshot.h"
#include "lib/base64.h"
#include "lib/cleanup.h"
#include "lib/text.h"
#include "wg/noise.h"

#define TEXT_LENGTH BASE64_LENGTH(SECRET_KEY_SIZE)

static_assert(KEY_TEXT_SIZE == TEXT_LENGTH + 1, "the text of a key and NUL");

struct key_text { /* and a byte more, to see that there is more */
	char bytes[TEXT_LENGTH + 3];
};

static void cleanup_key_text(struct key_text *t)
{
	secret_wipe(t, sizeof(*t));
}

static int path_of(const char *state_dir, char out[static PATH_MAX])
{
	int n = snprintf(out, PATH_MAX, "%s/" KEY_FILE, state_dir);

	return n < 0 || n >= PATH_MAX ? -ENAMETOOLONG : 0;
}

int key_make(const char *state_dir)
{
	__attribute__((cleanup(cleanup_key_text))) struct key_text text;
	_secret_ struct secret_key key;
	char path[PATH_MAX];
	struct stat st;
	int r = path_of(state_dir, path);

	if (r < 0)
		return r;
	if (lstat(path, &st) == 0)
		return 0;
	if (errno != ENOENT)
		return -errno;
	if (getrandom(key.bytes, sizeof(key.bytes), 0) != sizeof(key.bytes))
		return -EIO;
	base64_encode(key.bytes, sizeof(key.bytes), text.bytes);
	text.bytes[TEXT_LENGTH] = '\n';
	r = file_replace(state_dir, KEY_FILE, text.bytes, TEXT_LENGTH + 1);
	return r < 0 ? r : 1;
}

/* As much as fits; the number of bytes or -errno. */
static int read_text(const char *path, struct key_text *out, bool *exposed)
{
	_cleanup_(fd) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat st;
	ssize_t n;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	*exposed = st.st_mode & 077;
	n = read(fd, out->bytes, sizeof(out->bytes)); /* of a file: all there is */
	return n < 0 ? -errno : (int)n;
}

int key_read(const char *path, struct secret_key *out, char **why)
{
	__attribute__((cleanup(cleanup_key_text))) struct key_text text;
	bool exposed = false;
	int n = read_text(path, &text, &exposed), r = n < 0 ? n : -EINVAL;

	*why = NULL;
	if (n > 0 && text.bytes[n - 1] == '\n')
		n--;
	if (n == TEXT_LENGTH)
		r = base64_decode(text.bytes, TEXT_LENGTH, out->bytes, sizeof(out->bytes));
	if (r == 0 && exposed)
		r = text_format(why, "%s can be read by others; chmod 600 keeps the key to root", path);
	else if (r < 0)
		text_format(why, "%s: %s", path,
			    r == -EACCES ? "the daemon may read in the configuration's directory only; put it there"
			    : r == -EINVAL ? "a key is 32 bytes in base64, one line of 44 characters"
					   : strerror(-r));
	return r;
}

int key_private(const char *state_dir, struct secret_key *out, char **why)
{
	char path[PATH_MAX];
	int r = path_of(state_dir, path);

	*why = NULL;
	return r < 0 ? r : key_read(path, out, why);
}

int key_public(const char *state_dir, struct config_key *out, char **why)
{
	_secret_ struct secret_key key = {0};
	struct noise_identity *identity;
	int r = key_private(state_dir, &key, why);

	if (r < 0)
		return r;
	r = noise_identity_new(key.bytes, &identity);
	if (r < 0)
		return r;
	memcpy(out->bytes, noise_identity_public(identity), sizeof(out->bytes));
	noise_identity_free(identity);
	return 0;
}

const char *key_format(const struct config_key *key, char out[static KEY_TEXT_SIZE])
{
	base64_encode(key->bytes, sizeof(key->bytes), out);
	return out;
}
