/* SPDX-License-Identifier: Apache-2.0 */
#include "model/route.h"

#include <assert.h>

const char *route_source_name(enum route_source s)
{
	static const char *const names[] = {[ROUTE_SOURCE_LOCAL] = "local", [ROUTE_SOURCE_CONFIG] = "config"};

	static_assert(sizeof(names) / sizeof(names[0]) == ROUTE_SOURCE_MAX, "a name per source");
	return names[s];
}
