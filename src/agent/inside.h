/* SPDX-License-Identifier: Apache-2.0 */
/*
 * inside.h - BGP sessions that ride in the tunnel between two nodes: what the node's kernel has to be told for them, and
 * what they wait for.
 *
 * Who is inside the configuration says (config_session_is_inside), bgp_peers.c takes over, and bgp_socket.c does.  Their
 * sockets are bound to the device that encrypts, so there is nothing to leak: no device, no way.  Two of our programs are
 * on it: wire_ingress lets what is for such a socket into the node's stack, secure_egress lets what such a socket sends
 * be sealed (bpf/inside.h, bpf/abi.h).
 *
 * Control thread.
 */
#ifndef ISTHMUS_AGENT_INSIDE_H
#define ISTHMUS_AGENT_INSIDE_H

#include "agent/agent.h"

struct bgp_peer;

/* The device and the routes to it are as the sessions need them; what others changed is put right, and told. */
void inside_check(struct agent *a);

/* Bytes of a TCP segment, with options, that fit into the tunnel to that node as a whole, also when its path is not known. */
uint16_t inside_mss(const struct agent *a, const struct addr *remote);

/* What a session inside that is down waits for, or NULL; good until the next call of secure_configure. */
const char *inside_problem(const struct agent *a, const struct bgp_peer *p);

#endif
