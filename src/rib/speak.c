/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What this node says of its ports: those that are up, by the verdict of mobility on their MACs.
 *
 * Ports and MACs that may have changed are queued and looked at by learn_commit, when all that a batch did to them is
 * known: a MAC that goes from one port to another within a batch has not moved.
 */
#include <errno.h>
#include <stdlib.h>

#include "rib/state.h"

void speak_init(struct learn *l)
{
	mobility_init(&l->mobility);
	l->stations = HMAP_INIT(struct station, key);
	l->calm = 1;
	TAILQ_INIT(&l->ports);
	TAILQ_INIT(&l->moved);
}

void speak_fini(struct learn *l)
{
	struct station *s;
	struct port *p;

	for (size_t i = 0; (p = hmap_next(&l->rib->ports, &i));) {
		p->station = NULL;
		p->announced = p->queued = false;
	}
	for (size_t i = 0; (s = hmap_next(&l->stations, &i));)
		free(s);
	hmap_fini(&l->stations);
	mobility_fini(&l->mobility);
}

bool speak_is_pending(const struct learn *l)
{
	return !TAILQ_EMPTY(&l->ports) || !TAILQ_EMPTY(&l->moved);
}

/* ---- stations ---- */

static struct mobility_key key_of(uint32_t vni, const struct mac *mac)
{
	return (struct mobility_key){.vni = vni, .mac = *mac};
}

static void station_touch(struct learn *l, struct station *s)
{
	if (s->dirty)
		return;
	s->dirty = true;
	TAILQ_INSERT_TAIL(&l->moved, s, dirty_link);
}

static struct station *station_obtain(struct learn *l, const struct mobility_key *key)
{
	struct station *s = hmap_get(&l->stations, key);

	if (s)
		return s;
	s = calloc(1, sizeof(*s));
	if (!s)
		goto fail;
	s->key = *key;
	if (hmap_add(&l->stations, s) < 0)
		goto fail;
	return s;
fail:
	free(s);
	l->rib->entries.error = -ENOMEM;
	return NULL;
}

static void station_leave(struct learn *l, struct port *p)
{
	struct station *s = p->station;

	p->station = NULL;
	if (!s || s->port != p)
		return;
	s->port = NULL;
	station_touch(l, s);
}

void learn_on_mac(struct learn *l, const struct place_key *key)
{
	struct mobility_key k = {.vni = key->id};
	struct station *s;

	__builtin_memcpy(k.mac.bytes, key->addr.bytes, sizeof(k.mac.bytes));
	s = hmap_get(&l->stations, &k);
	if (!s && mobility_knows(&l->mobility, &k))
		s = station_obtain(l, &k);
	if (s)
		station_touch(l, s);
}

void speak_thaw(void *arg, const struct mobility_key *key)
{
	struct learn *l = arg;
	struct station *s = station_obtain(l, key);

	if (!s)
		return;
	s->again = true;
	station_touch(l, s);
}

/* ---- ports ---- */

/* Where its routes belong, when export has that; else NULL. */
static const struct vrf *vrf_of(const struct port *p)
{
	const struct vrf *v = p->network->mode == CONFIG_MODE_L2 ? p->network->vrf : p->network->tenant->vrf;

	return v && v->in_export ? v : NULL;
}

static bool speaks(const struct learn *l, const struct port *p)
{
	return p->presence && p->node == l->rib->self && p->link.ifindex != 0 && p->link.up && vrf_of(p);
}

static void quiet(struct learn *l, struct port *p)
{
	if (p->announced)
		export_port_remove(&l->export, p->name);
	p->announced = false;
}

static int say(struct learn *l, struct port *p, const struct mobility_verdict *verdict)
{
	int r = export_port_put(&l->export, &(struct export_port){.name = p->name,
								  .vni = p->network->native ? 0 : vrf_of(p)->vni,
								  .tenant = p->network->tenant->vni,
								  .mac = p->mac,
								  .addresses = p->addresses,
								  .n_addresses = p->n_addresses,
								  .silent = !verdict->announce,
								  .sequence = verdict->sequence});

	p->announced |= r == 0;
	return r;
}

void learn_on_port(struct learn *l, struct port *p)
{
	if (p->queued || (!p->announced && !p->station && !speaks(l, p)))
		return;
	p->queued = true;
	TAILQ_INSERT_TAIL(&l->ports, p, of_queue);
}

void learn_on_port_left(struct learn *l, struct port *p)
{
	if (p->queued)
		TAILQ_REMOVE(&l->ports, p, of_queue);
	p->queued = false;
	station_leave(l, p);
	quiet(l, p);
}

void speak_anew(struct learn *l)
{
	struct port *p;

	for (size_t i = 0; (p = hmap_next(&l->rib->ports, &i));)
		quiet(l, p);
}

/* The MAC is at this port now. */
static int arrive(struct learn *l, struct port *p, const struct mobility_key *key)
{
	struct station *s = station_obtain(l, key);

	if (!s)
		return -ENOMEM;
	if (s->port && s->port != p)
		s->port->station = NULL; /* it is on its way out, or changes its MAC in this batch */
	if (!s->port && !s->present)
		s->calm = l->calm;
	s->port = p;
	p->station = s;
	station_touch(l, s);
	return 0;
}

static int settle_port(struct learn *l, struct port *p)
{
	bool speaking = speaks(l, p), bridged = speaking && p->network->mode == CONFIG_MODE_L2;
	struct mobility_key key;

	if (bridged)
		key = key_of(p->network->vni, &p->mac);
	if (p->station && (!bridged || __builtin_memcmp(&p->station->key, &key, sizeof(key)) != 0))
		station_leave(l, p);
	if (bridged)
		return arrive(l, p, &key);
	if (speaking)
		return say(l, p, &(struct mobility_verdict){.announce = true});
	quiet(l, p);
	return 0;
}

/* ---- mobility ---- */

static const struct place *place_of(const struct learn *l, const struct station *s)
{
	const struct place_key key = place_key_of_mac(s->key.vni, &s->key.mac);

	return place_find(l, &key);
}

static struct mobility_remote remote_view(const struct place *place, const struct offer *best)
{
	if (!best)
		return (struct mobility_remote){0};
	return (struct mobility_remote){.present = true,
					.sticky = best->attrs->has & ROUTE_HAS_STICKY,
					.sequence = best->attrs->mobility,
					.highest = place_highest_sequence(place),
					.node = best->attrs->next_hop};
}

static void tell_alert(struct learn *l, const struct station *s, enum mobility_alert what,
		       const struct mobility_remote *remote)
{
	const struct vrf *v = hmap_get(&l->vrfs, &s->key.vni);

	if (what == MOBILITY_ALERT_NONE || !l->alert)
		return;
	l->alert(l->arg, &(struct learn_alert){.what = what,
					       .vni = s->key.vni,
					       .network = v && v->network ? v->network->name : "",
					       .mac = s->key.mac,
					       .port = s->port ? s->port->name : NULL,
					       .node = remote->node,
					       .sequence = remote->sequence});
}

/*
 * What others said before the MAC appeared here may be found only now, as all routes are looked at for the first port of
 * a network: it is as if the MAC had appeared after it.  What they say meanwhile is later.
 */
static bool is_local_event(const struct learn *l, const struct station *s, const struct offer *best)
{
	return s->again || (s->port != NULL) != s->present || (s->port && s->calm == l->calm && best && best->walked);
}

static int settle_station(struct learn *l, struct station *s, uint64_t now_ms)
{
	const struct place *place = place_of(l, s);
	const struct offer *best = place ? place_best(l->rib, place, NULL) : NULL;
	const struct mobility_remote remote = remote_view(place, best);
	const struct mobility_local local = {.present = s->port != NULL, .node = l->export.node.underlay};
	struct mobility_verdict verdict;
	int r;

	if (is_local_event(l, s, best))
		r = mobility_local(&l->mobility, &s->key, &local, &remote, now_ms, &verdict);
	else
		r = mobility_remote(&l->mobility, &s->key, &local, &remote, now_ms, &verdict);
	if (r < 0)
		return r;
	s->present = local.present;
	s->again = false;
	tell_alert(l, s, verdict.alert, &remote);
	if (s->port)
		return say(l, s->port, &verdict);
	hmap_remove(&l->stations, &s->key);
	free(s);
	return 0;
}

static int settle(struct learn *l, uint64_t now_ms)
{
	struct station *s;
	struct port *p;
	int r = 0;

	while (r == 0 && (p = TAILQ_FIRST(&l->ports))) {
		TAILQ_REMOVE(&l->ports, p, of_queue);
		p->queued = false;
		r = settle_port(l, p);
	}
	while (r == 0 && (s = TAILQ_FIRST(&l->moved))) {
		TAILQ_REMOVE(&l->moved, s, dirty_link);
		s->dirty = false;
		r = settle_station(l, s, now_ms);
	}
	return r;
}

static void forget_gone(struct learn *l)
{
	struct vrf *v;

	for (size_t i = 0; l->n_gone > 0 && (v = hmap_next(&l->vrfs, &i));) {
		if (v->tenant)
			continue;
		export_vrf_remove(&l->export, v->vni);
		vrf_free(l, v);
		l->n_gone--;
	}
}

int learn_commit(struct learn *l, uint64_t now_ms, void (*emit)(void *arg, const struct export_change *change), void *arg)
{
	int r = l->rib->entries.error;

	if (r == 0)
		r = settle(l, now_ms);
	if (r == 0)
		r = l->rib->entries.error;
	if (r < 0) {
		l->rib->entries.error = r;
		return r;
	}
	forget_gone(l);
	export_commit(&l->export, emit, arg);
	l->calm += !l->looking;
	return 0;
}

bool learn_free_duplicate(struct learn *l, uint32_t vni, const struct mac *mac, uint64_t now_ms)
{
	const struct mobility_key key = key_of(vni, mac);

	if (!mobility_free(&l->mobility, &key, now_ms))
		return false;
	speak_thaw(l, &key);
	return true;
}

bool learn_moving_next(const struct learn *l, size_t *cursor, struct mobility_view *out)
{
	return mobility_next(&l->mobility, cursor, out);
}
