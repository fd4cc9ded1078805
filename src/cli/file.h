/* SPDX-License-Identifier: Apache-2.0 */
/*
 * file.h - reads a configuration file, or standard input, whole.
 *
 * Bounded by what the daemon takes, so that a wrong file (or /dev/zero) ends in a message.  Prints what went wrong and
 * returns an exit code; *text is malloc'd and ends with a NUL beyond size.
 */
#ifndef ISTHMUS_FILE_H
#define ISTHMUS_FILE_H

#include <stddef.h>

int file_read(const char *path, char **text, size_t *size); /* "-": standard input */

#endif
