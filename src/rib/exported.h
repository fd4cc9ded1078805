/* SPDX-License-Identifier: Apache-2.0 */
/*
 * exported.h - the routes of export: what each is to be, what was announced of it last, and who wants it; private to export.
 *
 * A route has one owner, a port or a VRF, which may be another before the next commit: the last who takes it has it.
 */
#ifndef ISTHMUS_RIB_EXPORTED_H
#define ISTHMUS_RIB_EXPORTED_H

#include "rib/export.h"

struct exported {
	struct export_mark mark; /* in the order of their coming */
	struct route_key key;
	const void *owner;                   /* NULL = nobody: to be withdrawn */
	struct route_nlri wanted_nlri, announced_nlri;
	uint32_t wanted_tenant, announced_tenant;
	const struct route_attrs *wanted;    /* NULL as the owner is */
	const struct route_attrs *announced; /* NULL = not */
	bool dirty;
	TAILQ_ENTRY(exported) dirty_link;
};

void exported_init(struct export *ex);
void exported_fini(struct export *ex);

/* Its place in the table; nobody's, and said by nobody, when it is new.  NULL: no memory. */
struct exported *exported_obtain(struct export *ex, const struct route_key *key);
void exported_take(struct export *ex, struct exported *r, const void *owner, uint32_t tenant, const struct route_nlri *nlri,
		   const struct route_attrs *attrs);
void exported_leave(struct export *ex, const struct route_key *key, const void *owner); /* unless another has taken it */

#endif
