/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bgp_peers.h - the sessions that the configuration asks for; a part of bgp.c.  Control thread.
 */
#ifndef ISTHMUS_AGENT_BGP_PEERS_H
#define ISTHMUS_AGENT_BGP_PEERS_H

#include "agent/bgp.h"

int bgp_peers_configure(struct bgp *b); /* as agent->config says.  0 or -ENOMEM: some are as they were */
void bgp_peers_forget(struct bgp *b);   /* speaker and learn are gone, or about to go */
int bgp_peer_tell(struct bgp *b, struct bgp_peer *p); /* its router_id or its grant has changed; 0 or -ENOMEM */

#endif
