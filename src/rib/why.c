/* SPDX-License-Identifier: Apache-2.0 */
#include "rib/why.h"

#include <errno.h>
#include <stdlib.h>

#include "lib/cleanup.h"

static void ignore(void *arg, const struct imported *value)
{
}

static size_t count(const struct routes *t, uint32_t first)
{
	struct routes_candidate c;
	size_t n = 0;

	for (uint32_t id = first; id != 0; id = routes_get(t, id, &c))
		n++;
	return n;
}

static struct decide_path path_of(const struct why *w)
{
	/* all of one table are of one source of routes: by_source has nothing to say among them */
	return (struct decide_path){.source = ROUTE_SOURCE_CONFIG,
				    .unusable = w->verdict != IMPORT_ACCEPTED,
				    .mac = w->candidate.nlri.key.type == ROUTE_EVPN_MAC,
				    .esi = w->candidate.nlri.esi,
				    .attrs = w->candidate.attrs,
				    .neighbor = w->candidate.neighbor};
}

int why(const struct routes *t, struct import *im, const struct route_key *key,
	void (*fn)(void *arg, const struct why *why), void *arg)
{
	uint32_t id = routes_find(t, key);
	size_t n = count(t, id);
	_cleanup_(free) struct why *all = calloc(n + 1, sizeof(*all));
	_cleanup_(free) struct decide_path *paths = calloc(n + 1, sizeof(*paths));

	if (id == 0)
		return -ENOENT;
	if (!all || !paths)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		id = routes_get(t, id, &all[i].candidate);
		all[i].verdict = import_route(im, &all[i].candidate, ignore, NULL);
		paths[i] = path_of(&all[i]);
	}
	decide_paths(paths, n);
	for (size_t i = 0; i < n; i++) {
		all[i].step = paths[i].lost;
		all[i].shared = paths[i].lost == DECIDE_BEST || decide_is_equal(&paths[i]);
		fn(arg, &all[i]);
	}
	return 0;
}
