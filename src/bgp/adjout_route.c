/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The routes of adjout: whose they are, which attributes they share, and where in the list they stand.
 */
#include <errno.h>
#include <stdlib.h>

#include "bgp/adjout_state.h"

void adjout_routes_init(struct adjout *out)
{
	out->routes = HMAP_INIT(struct route, nlri.key);
	out->rows = HMAP_INIT(struct row, attrs);
	out->shares = HMAP_INIT(struct share, tenant);
	TAILQ_INIT(&out->list);
}

void adjout_routes_fini(struct adjout *out)
{
	hmap_fini(&out->routes);
	hmap_fini(&out->rows);
	hmap_fini(&out->shares);
}

/* ---- what they share ---- */

static struct row *row_get(struct adjout *out, const struct route_attrs *attrs)
{
	struct row *row = hmap_get(&out->rows, &attrs);

	if (row)
		return row;
	row = calloc(1, sizeof(*row));
	if (!row)
		return NULL;
	row->attrs = attrs;
	if (hmap_add(&out->rows, row) < 0) {
		free(row);
		return NULL;
	}
	attrs_ref(attrs);
	return row;
}

static void row_drop_if_unused(struct adjout *out, struct row *row)
{
	if (row->n_routes > 0)
		return;
	hmap_remove(&out->rows, &row->attrs);
	attrs_unref(out->table, row->attrs);
	free(row);
}

static struct share *share_get(struct adjout *out, uint32_t tenant)
{
	struct share *share = hmap_get(&out->shares, &tenant);

	if (share)
		return share;
	share = calloc(1, sizeof(*share));
	if (!share)
		return NULL;
	share->tenant = tenant;
	if (hmap_add(&out->shares, share) < 0) {
		free(share);
		return NULL;
	}
	return share;
}

static void share_drop_if_unused(struct adjout *out, struct share *share)
{
	if (share->n_references > 0)
		return;
	hmap_remove(&out->shares, &share->tenant);
	free(share);
}

static void route_enter_row(struct route *route, struct row *row)
{
	route->row = row;
	row->n_routes++;
	route->share->n_routes++;
}

/* The row stays, for one that is about to enter it. */
static struct row *route_quit_row(struct route *route)
{
	struct row *row = route->row;

	if (!row)
		return NULL;
	if (row->last == route)
		row->last = NULL;
	route->row = NULL;
	row->n_routes--;
	route->share->n_routes--;
	return row;
}

static void route_leave_row(struct adjout *out, struct route *route)
{
	struct row *row = route_quit_row(route);

	if (row)
		row_drop_if_unused(out, row);
}

/* Without a row. */
static void route_set_share(struct adjout *out, struct route *route, struct share *share)
{
	struct share *old = route->share;

	if (share)
		share->n_references++;
	route->share = share;
	if (!old)
		return;
	old->n_references--;
	share_drop_if_unused(out, old);
}

/* A map that has become far too large is made anew, so that its memory goes back. */
static void shrink(struct hmap *map, struct hmap fresh)
{
	size_t cursor = 0;
	void *item;

	if (map->length == 0) {
		hmap_fini(map);
		return;
	}
	if (map->n_slots < 1024 || map->length > map->n_slots / 16)
		return;
	while ((item = hmap_next(map, &cursor))) {
		if (hmap_add(&fresh, item) < 0) {
			hmap_fini(&fresh); /* the large one serves as well */
			return;
		}
	}
	hmap_fini(map);
	*map = fresh;
}

void adjout_route_free(struct adjout *out, struct route *route)
{
	if (route->node.ghost)
		out->n_ghosts--;
	else if (!route->row)
		out->n_tombstones--;
	route_leave_row(out, route);
	route_set_share(out, route, NULL);
	if (!route->node.ghost) {
		hmap_remove(&out->routes, &route->nlri.key);
		shrink(&out->routes, HMAP_INIT(struct route, nlri.key));
	}
	free(route);
}

/* ---- changes ---- */

/* Into the part of the list that no reader has passed: beside one with the same attributes, or at the end. */
static void route_append(struct adjout *out, struct route *route)
{
	struct row *row = route->row;

	route->changed = ++out->last_change;
	if (row && row->last && row->last->node.fresh)
		TAILQ_INSERT_AFTER(&out->list, &row->last->node, &route->node, link);
	else
		TAILQ_INSERT_TAIL(&out->list, &route->node, link);
	if (row)
		row->last = route;
	route->node.fresh = true;
}

static bool was_told(const struct adjout *out, const struct route *route)
{
	return route->node.known && !TAILQ_EMPTY(&out->readers);
}

static struct route *route_new(struct adjout *out, const struct route_nlri *nlri, struct share *share)
{
	struct route *route = calloc(1, sizeof(*route));

	if (!route)
		return NULL;
	route->nlri = *nlri;
	if (hmap_add(&out->routes, route) < 0) {
		free(route);
		return NULL;
	}
	out->n_tombstones++; /* until it has attributes */
	route_set_share(out, route, share);
	TAILQ_INSERT_TAIL(&out->list, &route->node, link);
	return route;
}

/*
 * What has the key from now on is another route: it is of another tenant, or there is a neighbor that may hear of the end of
 * the one before and not of this one.  That end is a route of its own, beside the one that has the key now.
 */
static int route_renew(struct adjout *out, struct route *route, struct share *share)
{
	if (was_told(out, route)) {
		struct route *ghost = calloc(1, sizeof(*ghost));

		if (!ghost)
			return -ENOMEM;
		ghost->node.ghost = ghost->node.known = true;
		ghost->nlri = route->nlri;
		ghost->born = route->born;
		route_set_share(out, ghost, route->share);
		route_append(out, ghost);
		if (!route->row)
			ghost->changed = route->changed; /* when it ended */
		out->n_ghosts++;
	}
	if (route->row) {
		route->share->n_routes--;
		share->n_routes++;
	}
	route_set_share(out, route, share);
	route->born = 0;
	return 0;
}

/* A tombstone from before a grant whose consequences somebody has not heard to the end. */
static bool is_of_the_past(const struct adjout *out, const struct route *route)
{
	return !route->row && out->n_pasts > 0 && route->born <= out->last_grant;
}

/* The route of the key, of that tenant: it may be a tombstone. */
static struct route *route_obtain(struct adjout *out, const struct route_nlri *nlri, uint32_t tenant)
{
	struct route *route = hmap_get(&out->routes, &nlri->key);
	struct share *share;

	if (route && route->share->tenant == tenant && !is_of_the_past(out, route))
		return route;
	share = share_get(out, tenant);
	if (!share)
		return NULL;
	if (!route)
		route = route_new(out, nlri, share);
	else if (route_renew(out, route, share) < 0)
		route = NULL;
	if (!route)
		share_drop_if_unused(out, share);
	return route;
}

int adjout_put(struct adjout *out, const struct route_nlri *nlri, const struct route_attrs *attrs, uint32_t tenant)
{
	struct route *route = hmap_get(&out->routes, &nlri->key);
	struct row *row, *left;

	if (route && route->row && route->row->attrs == attrs && route->share->tenant == tenant &&
	    route_nlri_equal(&route->nlri, nlri))
		return 0;
	row = row_get(out, attrs);
	if (!row)
		return -ENOMEM;
	route = route_obtain(out, nlri, tenant);
	if (!route) {
		row_drop_if_unused(out, row);
		return -ENOMEM;
	}
	TAILQ_REMOVE(&out->list, &route->node, link);
	if (!route->row)
		out->n_tombstones--;
	left = route_quit_row(route);
	route_enter_row(route, row);
	if (left)
		row_drop_if_unused(out, left);
	route->nlri = *nlri;
	route_append(out, route);
	if (!route->born)
		route->born = route->changed;
	adjout_wake_foremost(out);
	return 0;
}

void adjout_remove(struct adjout *out, const struct route_key *key)
{
	struct route *route = hmap_get(&out->routes, key);

	if (!route || !route->row)
		return;
	TAILQ_REMOVE(&out->list, &route->node, link);
	route_leave_row(out, route);
	out->n_tombstones++;
	if (!was_told(out, route)) {
		adjout_route_free(out, route);
		return;
	}
	route_append(out, route);
	adjout_wake_foremost(out);
}

size_t adjout_length(const struct adjout *out)
{
	return out->routes.length - out->n_tombstones;
}
