/* SPDX-License-Identifier: Apache-2.0 */
/*
 * seeds.h - well-formed and borderline frames, one of every kind that the programs tell apart.
 *
 * Truncation, mutation and fuzzing start from them.  All are built at the first call and stay.
 */
#ifndef ISTHMUS_TEST_SEEDS_H
#define ISTHMUS_TEST_SEEDS_H

#include "fabric.h"
#include "host/host.h"

struct seed {
	enum host_program program;
	uint32_t ifindex;
	struct frame frame;
};

size_t seeds_length(void);
const struct seed *seeds_get(size_t i); /* i modulo the number */

#endif
