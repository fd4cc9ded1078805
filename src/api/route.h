/* SPDX-License-Identifier: Apache-2.0 */
/*
 * route.h - from method and target to handler: the part of the server that knows no sockets.
 *
 * route_permit says whether this user may ask that, or writes why not; route_find gives the row for a target, or writes
 * why there is none; route_run also parses the query and calls the handler.  Used by server.c for each request, in this
 * order, and (without asking who) by server_dispatch for `isthmusd --offline`, so that both answer alike.
 */
#ifndef ISTHMUS_ROUTE_TABLE_H
#define ISTHMUS_ROUTE_TABLE_H

#include "api/server.h"

struct route_table {
	const struct api_route *routes;
	size_t length;
	void *arg;
};

#define API_GROUP "isthmus" /* its members may read */

enum api_access {
	API_ACCESS_NONE,
	API_ACCESS_READ,
	API_ACCESS_ALL,
};

struct api_user {
	enum api_access access;
	int uid; /* -1 = not known */
};

/* May the user run the row for this target?  Otherwise false, with a 403, or what route_find answers, in reply. */
bool route_permit(const struct route_table *t, const struct api_user *user, const char *method, const char *target,
		  struct api_reply *reply);

/* The row, or NULL with a 404, 405 or 400 in reply.  *name is malloc'd: what stood for {name}, decoded, or NULL. */
const struct api_route *route_find(const struct route_table *t, const char *method, const char *target, char **name,
				   struct api_reply *reply);

void route_run(const struct route_table *t, const char *method, const char *target, const char *accept,
	       const char *body, size_t body_size, struct api_reply *reply);

#endif
