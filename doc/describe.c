/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Prints what the API says about itself, from the tables that the daemon has: describe /v1/openapi.json, or
 * describe /v1/schema/Port.
 */
#include <stdio.h>

#include "agent/command.h"

int main(int argc, char **argv)
{
	struct api_reply reply;
	const struct api_route *routes;
	size_t n;
	int r;

	if (argc != 2)
		return 2;
	routes = command_routes(&n);
	r = server_dispatch(routes, n, NULL, "GET", argv[1], NULL, 0, &reply);
	fwrite(reply.body, 1, reply.body_size, stdout);
	api_reply_fini(&reply);
	return r < 0;
}
