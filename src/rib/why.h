/* SPDX-License-Identifier: Apache-2.0 */
/*
 * why.h - for one key, each candidate, what import says of it and the step of decide that removed it: `bgp why`.
 *
 * Values and their names (import_verdict_name, decide_step_name); nothing is kept.  One thread.
 */
#ifndef ISTHMUS_RIB_WHY_H
#define ISTHMUS_RIB_WHY_H

#include "rib/decide.h"
#include "rib/import.h"
#include "rib/routes.h"

struct why {
	struct routes_candidate candidate;
	enum import_verdict verdict;
	enum decide_step step; /* DECIDE_BEST, or what removed it */
	bool shared;           /* traffic goes there too, or it is the best */
};

/* In no particular order; for the time of the call.  0, -ENOENT: there is no such key, or -ENOMEM. */
int why(const struct routes *t, struct import *im, const struct route_key *key,
	void (*fn)(void *arg, const struct why *why), void *arg);

#endif
