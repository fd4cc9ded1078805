/* SPDX-License-Identifier: Apache-2.0 */
/* aside.h - how files of the state directory are called that were set aside.  Any thread. */
#ifndef ISTHMUS_ASIDE_H
#define ISTHMUS_ASIDE_H

#include <stddef.h>

/* What cannot be used is kept under a name of its own: NAME.refused, NAME.refused.1, ... */
#define ASIDE_MAX 10 /* of one name */
#define ASIDE_NAME_SIZE 64
const char *aside_name(const char *name, size_t n, char out[static ASIDE_NAME_SIZE]);

#endif
