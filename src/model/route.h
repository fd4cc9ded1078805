/* SPDX-License-Identifier: Apache-2.0 */
/*
 * route.h - what a source of reachability says: this endpoint (or this membership) is at that node.
 *
 * Every source (configuration, `port add`, later BGP and learning) speaks in these values; rib decides among them.  A
 * route borrows its strings and arrays from whoever made it for the time of one call; rib copies what it keeps.
 */
#ifndef ISTHMUS_ROUTE_H
#define ISTHMUS_ROUTE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/addr.h"

enum route_source { /* in order of preference, best first */
	ROUTE_SOURCE_LOCAL,  /* a port of this node */
	ROUTE_SOURCE_CONFIG, /* the configuration says so of another node */
	ROUTE_SOURCE_MAX
};

const char *route_source_name(enum route_source s); /* "local", "config" */

#endif
