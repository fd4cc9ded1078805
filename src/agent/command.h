/* SPDX-License-Identifier: Apache-2.0 */
/*
 * command.h - the API's route table: what each path answers from the agent's state.
 *
 * The handlers take the agent as arg, read it, and write JSON (or OpenMetrics, or YAML); the mutating ones call
 * agent_apply, agent_port_add, agent_port_del and nothing else.  Control thread.
 */
#ifndef ISTHMUS_COMMAND_H
#define ISTHMUS_COMMAND_H

#include <stddef.h>

#include "api/server.h"

const struct api_route *command_routes(size_t *length);

#endif
