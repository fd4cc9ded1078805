/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/snapshot.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf/conf.h"
#include "lib/cleanup.h"
#include "lib/hmap.h"
#include "lib/text.h"

#define FABRIC "fabric.yaml"

/* ---- files ---- */

int directory_make(const char *path, unsigned mode)
{
	char part[PATH_MAX];

	if (strlen(path) >= sizeof(part))
		return -ENAMETOOLONG;
	for (size_t i = 1; path[i - 1]; i++) {
		if (path[i] != '/' && path[i] != 0)
			continue;
		memcpy(part, path, i);
		part[i] = 0;
		/* ancestors as others would make them, the directory itself as asked */
		if (mkdir(part, path[i] ? 0755 : mode) < 0 && errno != EEXIST)
			return -errno;
	}
	return 0;
}

int file_read(const char *path, size_t limit, char **text, size_t *size)
{
	_cleanup_(fd) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	_cleanup_(free) char *buffer = NULL;
	size_t used = 0, capacity = 0;

	if (fd < 0)
		return -errno;
	for (;;) {
		ssize_t n;

		if (capacity - used < 2) {
			char *more = realloc(buffer, capacity ? 2 * capacity : 65536);

			if (!more)
				return -ENOMEM;
			buffer = more;
			capacity = capacity ? 2 * capacity : 65536;
		}
		n = read(fd, buffer + used, capacity - used - 1);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		used += (size_t)n;
		if (n == 0 || used > limit)
			break;
	}
	buffer[used] = 0;
	*text = TAKE_PTR(buffer);
	*size = used;
	return 0;
}

static int write_all(int fd, const char *text, size_t size)
{
	while (size > 0) {
		ssize_t n = write(fd, text, size);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		text += n;
		size -= (size_t)n;
	}
	return 0;
}

int file_replace(const char *dir, const char *name, const char *text, size_t size)
{
	_cleanup_(fd) int dir_fd = -1;
	_cleanup_(fd) int fd = -1;
	char temporary[NAME_MAX];
	int r;

	r = directory_make(dir, 0700);
	if (r < 0)
		return r;
	dir_fd = open(dir, O_DIRECTORY | O_RDONLY | O_CLOEXEC);
	if (dir_fd < 0)
		return -errno;
	snprintf(temporary, sizeof(temporary), ".%s.new", name);
	fd = openat(dir_fd, temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -errno;
	r = write_all(fd, text, size);
	if (r == 0 && fsync(fd) < 0)
		r = -errno;
	if (r == 0 && renameat(dir_fd, temporary, dir_fd, name) < 0)
		r = -errno;
	if (r < 0) {
		unlinkat(dir_fd, temporary, 0);
		return r;
	}
	return fsync(dir_fd) < 0 ? -errno : 0;
}

int file_remove(const char *dir, const char *name)
{
	_cleanup_(fd) int dir_fd = open(dir, O_DIRECTORY | O_RDONLY | O_CLOEXEC);

	if (dir_fd < 0)
		return errno == ENOENT ? 0 : -errno;
	if (unlinkat(dir_fd, name, 0) < 0)
		return errno == ENOENT ? 0 : -errno;
	return fsync(dir_fd) < 0 ? -errno : 0;
}

/* ---- fabric.yaml ---- */

#define HASH_LENGTH 16
#define HEADER "# isthmusd 1 config=%s text=%s name=%s\n"

void snapshot_fini(struct snapshot *s)
{
	free(s->text);
	free(s->name);
	*s = (struct snapshot){0};
}

/* The value behind key up to a space, or to the end of the line for the last key. */
static bool header_field(const char *line, const char *key, bool last, char *out, size_t size)
{
	const char *at = strstr(line, key);
	size_t length;

	if (!at)
		return false;
	at += strlen(key);
	length = strcspn(at, last ? "\n" : " \n");
	if (length >= size)
		return false;
	memcpy(out, at, length);
	out[length] = 0;
	return true;
}

int snapshot_read(const char *state_dir, size_t size_max, struct snapshot *out)
{
	char path[PATH_MAX], file_hash[HASH_LENGTH + 1], text_hash[HASH_LENGTH + 1], name[SNAPSHOT_NAME_MAX + 1];
	_cleanup_(free) char *all = NULL;
	struct snapshot s = {0};
	size_t size = 0, header;
	int r;

	snprintf(path, sizeof(path), "%s/" FABRIC, state_dir);
	r = file_read(path, size_max + 2 * PATH_MAX, &all, &size);
	if (r < 0 || !all)
		return r < 0 ? r : -ENOMEM;
	header = strcspn(all, "\n");
	if (header >= size || strncmp(all, "# isthmusd 1 ", 13) != 0)
		return -EBADMSG;
	all[header] = 0;
	if (!header_field(all, " config=", false, file_hash, sizeof(file_hash)) ||
	    !header_field(all, " text=", false, text_hash, sizeof(text_hash)) ||
	    !header_field(all, " name=", true, name, sizeof(name)))
		return -EBADMSG;
	s.size = size - header - 1;
	s.has_file = strcmp(file_hash, "-") != 0;
	s.file_hash = strtoull(file_hash, NULL, 16);
	if (strtoull(text_hash, NULL, 16) != hash_stable(all + header + 1, s.size))
		return -EBADMSG;
	s.text = malloc(s.size + 1);
	s.name = strdup(name);
	if (!s.text || !s.name) {
		snapshot_fini(&s);
		return -ENOMEM;
	}
	memcpy(s.text, all + header + 1, s.size);
	s.text[s.size] = 0;
	*out = s;
	return 0;
}

int snapshot_write(const char *state_dir, const struct snapshot *s)
{
	char file_hash[HASH_LENGTH + 1] = "-", text_hash[HASH_LENGTH + 1];
	_cleanup_(free) char *all = NULL;
	size_t size = 0;
	FILE *f = text_stream(&all, &size);

	if (!f)
		return -ENOMEM;
	if (s->has_file)
		snprintf(file_hash, sizeof(file_hash), "%016" PRIx64, s->file_hash);
	snprintf(text_hash, sizeof(text_hash), "%016" PRIx64, hash_stable(s->text, s->size));
	fprintf(f, HEADER, file_hash, text_hash, s->name);
	fwrite(s->text, 1, s->size, f);
	if (fclose(f) != 0)
		return -ENOMEM;
	return file_replace(state_dir, FABRIC, all, size);
}
