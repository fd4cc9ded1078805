/* SPDX-License-Identifier: Apache-2.0 */
#include "api/json.h"

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/cleanup.h"
#include "lib/text.h"

#define LEVELS 63

static char *reserve(struct json *j, size_t n)
{
	if (j->failed)
		return NULL;
	if (j->capacity - j->size <= n) {
		size_t capacity = j->capacity ? j->capacity : 256;

		while (capacity - j->size <= n)
			capacity *= 2;
		char *data = realloc(j->data, capacity);
		if (!data) {
			j->failed = true;
			return NULL;
		}
		j->data = data;
		j->capacity = capacity;
	}
	return j->data + j->size;
}

static void append(struct json *j, const char *text, size_t n)
{
	char *p = reserve(j, n);

	if (!p)
		return;
	memcpy(p, text, n);
	p[n] = '\0';
	j->size += n;
}

static void before_value(struct json *j)
{
	uint64_t bit = UINT64_C(1) << j->depth;

	if (!j->after_key && j->depth && (j->filled & bit))
		append(j, ",", 1);
	j->after_key = false;
	j->filled |= bit;
}

static void open_level(struct json *j, char bracket)
{
	before_value(j);
	append(j, &bracket, 1);
	assert(j->depth < LEVELS);
	j->depth++;
	j->filled &= ~(UINT64_C(1) << j->depth);
}

static void close_level(struct json *j, char bracket)
{
	assert(j->depth > 0);
	j->depth--;
	append(j, &bracket, 1);
}

/* Bytes of the well-formed UTF-8 sequence at s (Unicode 15, table 3-7), 0 when it is not one. */
static size_t utf8_length(const unsigned char *s)
{
	unsigned char low = 0x80, high = 0xbf;
	size_t n;

	if (s[0] < 0x80)
		return 1;
	if (s[0] >= 0xc2 && s[0] <= 0xdf)
		n = 2;
	else if (s[0] >= 0xe0 && s[0] <= 0xef)
		n = 3;
	else if (s[0] >= 0xf0 && s[0] <= 0xf4)
		n = 4;
	else
		return 0;
	if (s[0] == 0xe0)
		low = 0xa0;
	else if (s[0] == 0xed)
		high = 0x9f;
	else if (s[0] == 0xf0)
		low = 0x90;
	else if (s[0] == 0xf4)
		high = 0x8f;
	if (s[1] < low || s[1] > high)
		return 0;
	for (size_t i = 2; i < n; i++)
		if (s[i] < 0x80 || s[i] > 0xbf)
			return 0;
	return n;
}

static void quoted(struct json *j, const char *s)
{
	append(j, "\"", 1);
	for (const unsigned char *p = (const unsigned char *)s; *p;) {
		const unsigned char *start = p;
		char escape[8];

		while (*p >= 0x20 && *p != '"' && *p != '\\' && *p < 0x7f)
			p++;
		if (p > start) {
			append(j, (const char *)start, (size_t)(p - start));
			continue;
		}
		size_t n = *p < 0x20 || *p == 0x7f || *p == '"' || *p == '\\' ? 0 : utf8_length(p);
		if (n) {
			append(j, (const char *)p, n);
			p += n;
			continue;
		}
		if (*p == '"' || *p == '\\')
			snprintf(escape, sizeof(escape), "\\%c", *p);
		else if (*p == '\n')
			snprintf(escape, sizeof(escape), "\\n");
		else if (*p == '\t')
			snprintf(escape, sizeof(escape), "\\t");
		else if (*p < 0x20 || *p == 0x7f)
			snprintf(escape, sizeof(escape), "\\u%04x", *p);
		else
			snprintf(escape, sizeof(escape), "\\ufffd");
		append(j, escape, strlen(escape));
		p++;
	}
	append(j, "\"", 1);
}

void json_fini(struct json *j)
{
	free(j->data);
	*j = (struct json){0};
}

char *json_take(struct json *j, size_t *size)
{
	assert(j->depth == 0 || j->failed);
	append(j, "", 0);

	char *text = j->failed ? NULL : TAKE_PTR(j->data);

	if (text && size)
		*size = j->size;
	json_fini(j);
	return text;
}

void json_object_open(struct json *j)
{
	open_level(j, '{');
}

void json_object_close(struct json *j)
{
	close_level(j, '}');
}

void json_array_open(struct json *j)
{
	open_level(j, '[');
}

void json_array_close(struct json *j)
{
	close_level(j, ']');
}

void json_key(struct json *j, const char *key)
{
	before_value(j);
	quoted(j, key);
	append(j, ":", 1);
	j->after_key = true;
}

void json_string(struct json *j, const char *s)
{
	if (!s) {
		json_null(j);
		return;
	}
	before_value(j);
	quoted(j, s);
}

void json_format(struct json *j, const char *format, ...)
{
	_cleanup_(free) char *text = NULL;
	va_list ap;
	int r;

	va_start(ap, format);
	r = text_vformat(&text, format, ap);
	va_end(ap);
	if (r < 0) {
		text = NULL;
		j->failed = true;
		return;
	}
	json_string(j, text);
}

void json_uint(struct json *j, uint64_t n)
{
	char text[24];
	int length = snprintf(text, sizeof(text), "%" PRIu64, n);

	before_value(j);
	append(j, text, (size_t)length);
}

void json_bool(struct json *j, bool b)
{
	before_value(j);
	append(j, b ? "true" : "false", b ? 4 : 5);
}

void json_null(struct json *j)
{
	before_value(j);
	append(j, "null", 4);
}

void json_raw(struct json *j, const char *text, size_t size)
{
	before_value(j);
	append(j, text, size);
}

void json_newline(struct json *j)
{
	assert(j->depth == 0);
	append(j, "\n", 1);
	j->filled = 0;
}

void json_space(struct json *j)
{
	append(j, j->depth ? " " : "\n", 1);
}

void json_put_string(struct json *j, const char *key, const char *s)
{
	json_key(j, key);
	json_string(j, s);
}

void json_put_uint(struct json *j, const char *key, uint64_t n)
{
	json_key(j, key);
	json_uint(j, n);
}

void json_put_bool(struct json *j, const char *key, bool b)
{
	json_key(j, key);
	json_bool(j, b);
}

void json_put_null(struct json *j, const char *key)
{
	json_key(j, key);
	json_null(j);
}
