/* SPDX-License-Identifier: Apache-2.0 */
#include "dp/error.h"

#include <stdarg.h>
#include <stdio.h>

#include "dp/datapath.h"

static char text[512];

int error_set(int r, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	return r;
}

const char *datapath_error(void)
{
	return text;
}
