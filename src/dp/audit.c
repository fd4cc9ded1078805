/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel is compared with the intent: every table in turn, then pins and filters.  What others changed is changed
 * back.  A batched look-up makes this cheap when nothing is wrong.
 */
#include <bpf/bpf.h>
#include <string.h>

#include "dp/pin.h"
#include "dp/state.h"
#include "lib/cleanup.h"

/* Tables of elements that are compared by walking; in the order in which a hole does least harm while it lasts. */
static const enum map_id walked[] = {MAP_MEMBERS, MAP_PORTS, MAP_HOSTS, MAP_MACS, MAP_PREFIXES, MAP_FLOODS};

#define N_WALKED (sizeof(walked) / sizeof(*walked))

static int audit_node(struct datapath *dp)
{
	const struct map *m = &dp->maps[MAP_NODE];
	struct abi_node now = {0};
	const uint32_t zero = 0;
	int r;

	if (!dp->node_set)
		return 0;
	if (bpf_map_lookup_elem(m->fd, &zero, &now) == 0 && memcmp(&now, &dp->node, sizeof(now)) == 0)
		return 0;
	epoch_disturb(dp->epoch);
	r = bpf_map_update_elem(m->fd, &zero, &dp->node, BPF_ANY);
	return r < 0 ? error_set(r, "table node: writing it: %s", strerror(-r)) : 1;
}

static int audit_tables(struct datapath *dp, size_t budget)
{
	int repairs = 0;

	for (size_t i = 0; i < N_WALKED && budget > 0; i++) {
		struct map *m = &dp->maps[walked[dp->audit_at]];
		int r = map_audit(m, &budget);

		if (r < 0)
			return r;
		repairs += r;
		if (m->walk.begun || m->hunting) /* not through: go on here the next time */
			break;
		dp->audit_at = (dp->audit_at + 1) % N_WALKED;
	}
	return repairs;
}

int datapath_audit(struct datapath *dp, size_t budget)
{
	int (*const parts[])(struct datapath *) = {audit_node, nexthop_audit, pinset_audit, attach_audit};
	int repairs, error = 0;

	if (dp->read_only)
		return 0;
	repairs = audit_tables(dp, budget);
	if (repairs < 0) {
		error = repairs;
		repairs = 0;
	}
	for (size_t i = 0; i < sizeof(parts) / sizeof(*parts); i++) {
		int r = parts[i](dp);

		if (r < 0)
			error = r;
		else
			repairs += r;
	}
	datapath_settle(dp);
	return error < 0 ? error : repairs;
}
