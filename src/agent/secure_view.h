/* SPDX-License-Identifier: Apache-2.0 */
/*
 * secure_view.h - what of encryption is shown; a part of view.h.  Control thread.
 */
#ifndef ISTHMUS_AGENT_SECURE_VIEW_H
#define ISTHMUS_AGENT_SECURE_VIEW_H

#include "agent/view.h"

/* Is there, or should there be, a tunnel from this node to that one? */
bool view_has_tunnel(const struct agent *a, const struct config_node *n);
void view_tunnel(struct json *j, const struct agent *a, const struct config_node *n);

/* A plain WireGuard peer of this node: as a tunnel, and as what its own program needs. */
void view_tunnel_peer(struct json *j, const struct agent *a, const struct config_port *p);
void view_peer(struct json *j, const struct agent *a, const struct config_port *p);

/* Where the bytes of a path to another node go, from outside: key and value. */
void view_put_ledger(struct json *j, const struct agent *a, const struct config_node *n);

#define VIEW_TUNNEL_DROP "tunnel_" /* before the names of what the tunnel drops, among those of the data plane */
void view_tunnel_drop(struct json *j, int drop, uint64_t packets);

struct metrics;
void view_expose_secure(struct metrics *m, const struct agent *a);

#endif
