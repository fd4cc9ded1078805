/* SPDX-License-Identifier: Apache-2.0 */
/*
 * text.h - formatting into new memory, also when there is none.
 *
 * Instead of asprintf, because that of glibc 2.36 writes its final NUL behind the buffer when the text is as long as its
 * first guess (100, 200, 400 ... bytes) and realloc fails; and instead of open_memstream, whose fclose says nothing of
 * what could not be written, and loses the text when it cannot be made smaller.  Any thread; the caller frees the text.
 */
#ifndef ISTHMUS_LIB_TEXT_H
#define ISTHMUS_LIB_TEXT_H

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

/* 0, or -ENOMEM and *out is NULL. */
int text_format(char **out, const char *format, ...) __attribute__((format(printf, 2, 3)));
int text_vformat(char **out, const char *format, va_list args) __attribute__((format(printf, 2, 0)));

/*
 * A stream that fills *out, or NULL.  *out (NUL after its *size bytes) is there after fclose: that returns 0, or EOF and
 * *out is NULL because memory ran out some time.
 */
FILE *text_stream(char **out, size_t *size);

#endif
