/* SPDX-License-Identifier: Apache-2.0 */
/*
 * handover.h - a VNI does not change hands in one step.  Control thread.
 */
#ifndef ISTHMUS_HANDOVER_H
#define ISTHMUS_HANDOVER_H

#include "model/config.h"

/*
 * For as long as a change takes, here and until the last node has it, a VNI that one tenant gives up and another takes is
 * both's: what the nodes with the old file send is taken for the new owner's.  -EINVAL and *why where the configuration
 * would do that, -ENOMEM.  A tenant that goes while one of another name comes with its VNI is a new name of the same.
 */
int handover_check(const struct config *before, const struct config *after, char **why);

#endif
