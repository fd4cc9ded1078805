/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/text.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

#include "lib/cleanup.h"

int text_vformat(char **out, const char *format, va_list args)
{
	va_list again;
	int length;

	*out = NULL;
	va_copy(again, args);
	length = vsnprintf(NULL, 0, format, again);
	va_end(again);
	if (length < 0)
		return -ENOMEM;
	*out = malloc((size_t)length + 1);
	if (!*out)
		return -ENOMEM;
	vsnprintf(*out, (size_t)length + 1, format, args);
	return 0;
}

int text_format(char **out, const char *format, ...)
{
	va_list args;
	int r;

	va_start(args, format);
	r = text_vformat(out, format, args);
	va_end(args);
	return r;
}

/* ---- streams ---- */

struct text {
	char **out;
	size_t *out_size;
	char *bytes;
	size_t size, capacity;
	bool failed;
};

static int text_reserve(struct text *t, size_t size)
{
	size_t capacity = t->capacity ? t->capacity : 256;
	char *bytes;

	if (size <= t->capacity)
		return 0;
	while (capacity < size)
		capacity *= 2;
	bytes = realloc(t->bytes, capacity);
	if (!bytes)
		return -ENOMEM;
	t->bytes = bytes;
	t->capacity = capacity;
	return 0;
}

static ssize_t text_write(void *cookie, const char *bytes, size_t size)
{
	struct text *t = cookie;

	if (t->failed || text_reserve(t, t->size + size + 1) < 0) {
		t->failed = true;
		errno = ENOMEM;
		return 0;
	}
	memcpy(t->bytes + t->size, bytes, size);
	t->size += size;
	return (ssize_t)size;
}

static int text_close(void *cookie)
{
	struct text *t = cookie;
	bool failed = t->failed || text_reserve(t, t->size + 1) < 0;

	if (!failed) {
		t->bytes[t->size] = 0;
		*t->out_size = t->size;
		*t->out = TAKE_PTR(t->bytes);
	}
	free(t->bytes);
	free(t);
	if (failed)
		errno = ENOMEM;
	return failed ? EOF : 0;
}

FILE *text_stream(char **out, size_t *size)
{
	struct text *t = calloc(1, sizeof(*t));
	FILE *f;

	*out = NULL;
	*size = 0;
	if (!t)
		return NULL;
	t->out = out;
	t->out_size = size;
	f = fopencookie(t, "w", (cookie_io_functions_t){.write = text_write, .close = text_close});
	if (!f)
		free(t);
	return f;
}
