/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base64.h - bytes of a known number as text and back (RFC 4648 4): keys.
 *
 * In a time that depends on the number of bytes alone, as some of them are secret: no table is looked into and nothing
 * is left early.  Any thread.
 */
#ifndef ISTHMUS_BASE64_H
#define ISTHMUS_BASE64_H

#include <stddef.h>

#define BASE64_LENGTH(size) (4 * (((size) + 2) / 3))

void base64_encode(const void *data, size_t size, char *out); /* BASE64_LENGTH(size) characters and NUL */
/*
 * Exactly `size` bytes of the first BASE64_LENGTH(size) characters of a text of `length`; 0, or -EINVAL and the output is
 * zero: longer or shorter, another character, or bits set behind the last byte (3.5: there is one text for each value).
 */
int base64_decode(const char *text, size_t length, void *out, size_t size);

#endif
