/* SPDX-License-Identifier: Apache-2.0 */
/*
 * view.h - the agent's state as JSON objects: what `isthmus get` shows.
 *
 * view.c writes one object of a kind; list.c walks all objects of a kind in pieces, so that a list of a million costs
 * the control thread no more than a few milliseconds at once and no memory.  A walk survives changes of the
 * configuration: it remembers names, never pointers.  The tables of fields here are the JSON schemas (doc/schema) and
 * the OpenAPI description; a test checks that objects have exactly these fields.
 *
 * Reads the agent, changes nothing.  Control thread.
 */
#ifndef ISTHMUS_VIEW_H
#define ISTHMUS_VIEW_H

#include <stdbool.h>
#include <stddef.h>

#include "agent/agent.h"
#include "api/json.h"
#include "api/server.h"

extern const struct api_kind view_kinds[];
extern const size_t view_n_kinds;

/* Opens an object and writes apiVersion and kind. */
void view_begin(struct json *j, const char *kind);
void view_put_addrs(struct json *j, const char *key, const struct addr *list, size_t n);

void view_site(struct json *j, const struct agent *a, const struct config_site *s);
void view_node(struct json *j, const struct agent *a, const struct config_node *n);
void view_tenant(struct json *j, const struct agent *a, const struct config_tenant *t);
void view_network(struct json *j, const struct agent *a, const struct config_network *n);
void view_port(struct json *j, const struct agent *a, const struct config_port *p);
void view_mac(struct json *j, const struct agent *a, const struct config_port *p);
void view_host(struct json *j, const struct agent *a, const struct config_port *p, const struct addr *address);
void view_host_route(struct json *j, const struct agent *a, const struct config_port *p, const struct addr *address);
void view_prefix_route(struct json *j, const struct agent *a, const struct config_network *n,
		       const struct prefix *subnet);
void view_drop(struct json *j, enum drop_reason reason, uint64_t packets);

/* Does the data plane hold the entry that forwards to it? */
bool view_mac_installed(const struct agent *a, const struct config_port *p);
bool view_host_installed(const struct agent *a, const struct config_port *p, const struct addr *address);
bool view_prefix_installed(const struct agent *a, const struct config_network *n, const struct prefix *subnet);

/* learned.c: the same of what neighbors say; false = the route leads to no entry, or to none of that
 * tenant (of a MAC: tenant/network; NULL = any), and nothing was written. */
struct routes_candidate;
/* ... and the configuration does not say so, too, which knows more of it. */
bool view_is_learned(const struct agent *a, const struct fwd *key);
bool view_learned_mac(struct json *j, const struct agent *a, const struct routes_candidate *c, const char *scope);
bool view_learned_host(struct json *j, const struct agent *a, const struct routes_candidate *c, const char *scope);
bool view_learned_route(struct json *j, const struct agent *a, const struct routes_candidate *c, const char *scope);

/* event.c: one sampled drop, decoded */
void view_event(struct json *j, const struct agent *a, const struct abi_event *e);

/* ---- list.c: handlers of /v1/<plural> and /v1/<plural>/{name} ---- */

void view_list_handle(void *arg, const struct api_request *request, struct api_reply *reply);
void view_name_handle(void *arg, const struct api_request *request, struct api_reply *reply);

/* ---- exposition.c: the handler of /metrics ---- */

double view_boot_to_wall_s(void); /* seconds from the loop's clock to the time since 1970 */
void view_metrics_handle(void *arg, const struct api_request *request, struct api_reply *reply);

#endif
