/* SPDX-License-Identifier: Apache-2.0 */
/*
 * error.h - the text behind datapath_error(); private to dp/.
 *
 * Whoever first knows what failed sets the text; callers above hand the number on.
 */
#ifndef ISTHMUS_DP_ERROR_H
#define ISTHMUS_DP_ERROR_H

/* Sets the text and returns r. */
int error_set(int r, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
