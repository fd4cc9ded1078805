/* SPDX-License-Identifier: Apache-2.0 */
/*
 * qr.h - a text as a QR code on a terminal: two rows of it in a line of half blocks, dark on light whatever the terminal's
 * colours are.
 */
#ifndef ISTHMUS_QR_H
#define ISTHMUS_QR_H

#include <stdbool.h>
#include <stdio.h>

int qr_print(const char *text, bool color, FILE *f); /* without colours it takes a dark terminal; 0 or -errno: too long, no memory */

#endif
