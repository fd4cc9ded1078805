/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/aside.h"

#include <stdio.h>

const char *aside_name(const char *name, size_t n, char out[static ASIDE_NAME_SIZE])
{
	int length = snprintf(out, ASIDE_NAME_SIZE, "%s.refused", name);

	if (n > 0)
		snprintf(out + length, ASIDE_NAME_SIZE - (size_t)length, ".%zu", n);
	return out;
}
