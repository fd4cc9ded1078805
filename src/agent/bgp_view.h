/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bgp_view.h - BGP for people: handlers of /v1/bgp/...
 *
 * Lists of routes are walked in pieces, some thousand records each, so that a million of them costs the control thread no
 * more than a few milliseconds at once.  Control thread.
 */
#ifndef ISTHMUS_AGENT_BGP_VIEW_H
#define ISTHMUS_AGENT_BGP_VIEW_H

#include "api/server.h"

void bgp_view_neighbors(void *arg, const struct api_request *request, struct api_reply *reply);
void bgp_view_neighbor(void *arg, const struct api_request *request, struct api_reply *reply);
void bgp_view_routes(void *arg, const struct api_request *request, struct api_reply *reply);
void bgp_view_received(void *arg, const struct api_request *request, struct api_reply *reply);
void bgp_view_advertised(void *arg, const struct api_request *request, struct api_reply *reply);

/* ---- bgp_why.c ---- */

void bgp_view_why(void *arg, const struct api_request *request, struct api_reply *reply);

/* ---- bgp_command.c: what changes something ---- */

void bgp_command_refresh(void *arg, const struct api_request *request, struct api_reply *reply);
void bgp_command_reset(void *arg, const struct api_request *request, struct api_reply *reply);
void bgp_command_free(void *arg, const struct api_request *request, struct api_reply *reply);

/* The session of `name` (an address, or what the configuration calls it), or NULL with a 404, or a 503 without daemon. */
struct agent;
struct addr;
struct json;
const struct bgp_peer *bgp_view_peer(const struct agent *a, const char *name, struct api_reply *reply);

/* Members whose value is null where there is none. */
void bgp_view_put_addr(struct json *j, const char *key, const struct addr *a);
void bgp_view_put_optional(struct json *j, const char *key, bool has, uint32_t n);

#endif
