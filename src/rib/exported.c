/* SPDX-License-Identifier: Apache-2.0 */
#include "rib/exported.h"

#include <stdlib.h>

void exported_init(struct export *ex)
{
	ex->routes = HMAP_INIT(struct exported, key);
	TAILQ_INIT(&ex->dirty);
	TAILQ_INIT(&ex->all);
}

static void touch(struct export *ex, struct exported *r)
{
	if (r->dirty)
		return;
	r->dirty = true;
	TAILQ_INSERT_TAIL(&ex->dirty, r, dirty_link);
}

static void forget(struct export *ex, struct exported *r)
{
	if (r->dirty)
		TAILQ_REMOVE(&ex->dirty, r, dirty_link);
	attrs_unref(ex->attrs, r->wanted);
	attrs_unref(ex->attrs, r->announced);
	TAILQ_REMOVE(&ex->all, &r->mark, link);
	hmap_remove(&ex->routes, &r->key);
	free(r);
}

struct exported *exported_obtain(struct export *ex, const struct route_key *key)
{
	struct exported *r = hmap_get(&ex->routes, key);

	if (r)
		return r;
	r = calloc(1, sizeof(*r));
	if (!r)
		return NULL;
	r->key = *key;
	if (hmap_add(&ex->routes, r) < 0) {
		free(r);
		return NULL;
	}
	r->mark.route = r;
	TAILQ_INSERT_TAIL(&ex->all, &r->mark, link);
	touch(ex, r); /* export_commit frees it if nobody takes it */
	return r;
}

void exported_take(struct export *ex, struct exported *r, const void *owner, uint32_t tenant, const struct route_nlri *nlri,
		   const struct route_attrs *attrs)
{
	const struct route_attrs *last = r->wanted;

	r->owner = owner;
	r->wanted_tenant = tenant;
	r->wanted_nlri = *nlri;
	r->wanted = attrs_ref(attrs);
	attrs_unref(ex->attrs, last);
	touch(ex, r);
}

void exported_leave(struct export *ex, const struct route_key *key, const void *owner)
{
	struct exported *r = hmap_get(&ex->routes, key);

	if (!r || r->owner != owner)
		return;
	r->owner = NULL;
	attrs_unref(ex->attrs, r->wanted);
	r->wanted = NULL;
	touch(ex, r);
}

void exported_fini(struct export *ex)
{
	struct exported *r;

	for (size_t i = 0; (r = hmap_next(&ex->routes, &i));)
		forget(ex, r);
	hmap_fini(&ex->routes);
}

/* ---- verbs of export.h ---- */

static bool settle(struct export *ex, struct exported *r, struct export_change *out)
{
	bool same = r->wanted == r->announced && route_nlri_equal(&r->wanted_nlri, &r->announced_nlri) &&
		    r->wanted_tenant == r->announced_tenant;

	if (same || (!r->owner && !r->announced))
		return false;
	*out = (struct export_change){.put = r->owner != NULL,
				      .tenant = r->owner ? r->wanted_tenant : r->announced_tenant};
	out->nlri = out->put ? r->wanted_nlri : r->announced_nlri;
	attrs_unref(ex->attrs, r->announced);
	r->announced = r->wanted ? attrs_ref(r->wanted) : NULL;
	r->announced_nlri = r->wanted_nlri;
	r->announced_tenant = r->wanted_tenant;
	out->attrs = r->announced;
	return true;
}

void export_commit(struct export *ex, void (*emit)(void *arg, const struct export_change *change), void *arg)
{
	struct exported *r;

	while ((r = TAILQ_FIRST(&ex->dirty))) {
		struct export_change change;

		TAILQ_REMOVE(&ex->dirty, r, dirty_link);
		r->dirty = false;
		if (settle(ex, r, &change))
			emit(arg, &change);
		if (!r->owner)
			forget(ex, r);
	}
}

static void tell(const struct exported *r, void (*fn)(void *arg, const struct export_change *put), void *arg)
{
	if (r->announced)
		fn(arg, &(struct export_change){.put = true,
						.tenant = r->announced_tenant,
						.nlri = r->announced_nlri,
						.attrs = r->announced});
}

void export_each(const struct export *ex, void (*fn)(void *arg, const struct export_change *put), void *arg)
{
	const struct exported *r;

	for (size_t i = 0; (r = hmap_next(&ex->routes, &i));)
		tell(r, fn, arg);
}

/* ---- a walk: its mark stands behind the last route that was told ---- */

void export_walk_begin(struct export *ex, struct export_mark *walk)
{
	walk->route = NULL;
	TAILQ_INSERT_HEAD(&ex->all, walk, link);
}

bool export_walk(struct export *ex, struct export_mark *walk, size_t budget,
		 void (*fn)(void *arg, const struct export_change *put), void *arg)
{
	struct export_mark *next;

	for (; budget > 0 && (next = TAILQ_NEXT(walk, link)); budget--) {
		TAILQ_REMOVE(&ex->all, walk, link);
		TAILQ_INSERT_AFTER(&ex->all, next, walk, link);
		if (next->route) /* else another walk is there */
			tell(next->route, fn, arg);
	}
	return TAILQ_NEXT(walk, link) != NULL;
}

void export_walk_end(struct export *ex, struct export_mark *walk)
{
	TAILQ_REMOVE(&ex->all, walk, link);
}
