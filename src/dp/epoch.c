/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The number that the programs' memos hold for (bpf/memo.h), in memory that is shared with them: a change of it is one
 * store.  epoch_disturb() comes before the first write of a batch (map.h), datapath_settle() after the last.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "dp/state.h"

static size_t area_size(void)
{
	return (size_t)sysconf(_SC_PAGESIZE);
}

int epoch_init(struct datapath *dp)
{
	void *area = mmap(NULL, area_size(), PROT_READ | PROT_WRITE, MAP_SHARED, dp->maps[MAP_EPOCH].fd, 0);

	if (area == MAP_FAILED)
		return error_set(-errno, "table epoch: mapping it: %s", strerror(errno));
	dp->epoch = area;
	for (enum map_id i = 0; i < MAP_MAX; i++)
		dp->maps[i].epoch = dp->epoch;
	return 0;
}

void epoch_fini(struct datapath *dp)
{
	if (dp->epoch)
		munmap(dp->epoch, area_size());
}

void datapath_settle(struct datapath *dp)
{
	uint64_t now;

	if (!dp->epoch)
		return;
	now = __atomic_load_n(dp->epoch, __ATOMIC_RELAXED);
	if (now == 0 || (now & 1))
		__atomic_store_n(dp->epoch, now == 0 ? 2 : now + 1, __ATOMIC_SEQ_CST);
}
