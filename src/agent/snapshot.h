/* SPDX-License-Identifier: Apache-2.0 */
/*
 * snapshot.h - the state directory: what was applied last, so that a restart finds it again.
 *
 * fabric.yaml is the text that was applied last, behind one comment line that holds a hash of the configuration file
 * as it was then, one of the text itself and the text's name.  While the configuration file is the same, the snapshot
 * is newer than it: an `isthmus apply` survives a restart.  ports.yaml holds the ports added at run time.
 *
 * Files are replaced whole: temporary file, fsync, rename, fsync of the directory.  Control thread; blocks for the
 * disk.
 */
#ifndef ISTHMUS_SNAPSHOT_H
#define ISTHMUS_SNAPSHOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SNAPSHOT_NAME_MAX 4095 /* of a text's name, which may be any client's; the rest is cut */

struct snapshot {
	char *text; /* without the first line */
	size_t size;
	char *name;
	bool has_file; /* there was a configuration file */
	uint64_t file_hash;
};

void snapshot_fini(struct snapshot *s);
/* 0, -ENOENT, -EBADMSG when it is not what was written, -errno */
int snapshot_read(const char *state_dir, size_t size_max, struct snapshot *out);
int snapshot_write(const char *state_dir, const struct snapshot *s);

/* At most `limit` bytes, one more when the file is larger; closed by a NUL that is not counted. 0 or -errno */
int file_read(const char *path, size_t limit, char **text, size_t *size);
/* Makes the directory if need be. */
int file_replace(const char *dir, const char *name, const char *text, size_t size);
int file_remove(const char *dir, const char *name); /* 0 also when there was none */
int directory_make(const char *path, unsigned mode); /* with its parents */

#endif
