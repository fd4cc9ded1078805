/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "kern/state.h"

struct link_item {
	uint32_t ifindex;
	const char *name; /* of link; key of by_name */
	struct link link;
	uint32_t round;
	bool named; /* by_name holds this item */
	bool filter_gone;
};

struct address_item {
	struct rtnl_address key;
	uint32_t round;
};

void links_init(struct links *l)
{
	*l = (struct links){
		.by_index = HMAP_INIT(struct link_item, ifindex),
		.by_name = SMAP_INIT(struct link_item, name),
		.addresses = HMAP_INIT(struct address_item, key),
	};
}

void links_fini(struct links *l)
{
	struct link_item *item;
	struct address_item *address;

	for (size_t i = 0; (item = hmap_next(&l->by_index, &i));)
		free(item);
	for (size_t i = 0; (address = hmap_next(&l->addresses, &i));)
		free(address);
	hmap_fini(&l->by_index);
	hmap_fini(&l->by_name);
	hmap_fini(&l->addresses);
}

static void unname(struct links *l, struct link_item *item)
{
	if (item->named)
		hmap_remove(&l->by_name, item->name);
	item->named = false;
}

/* A name belongs to whoever was told of last: the kernel has no two, the other's rename or end is still on its way. */
static int name_item(struct links *l, struct link_item *item)
{
	struct link_item *other = hmap_get(&l->by_name, item->name);
	int r;

	if (other == item)
		return 0;
	if (other)
		unname(l, other);
	r = hmap_add(&l->by_name, item);
	item->named = r == 0;
	return r;
}

static bool same(const struct link *a, const struct link *b)
{
	return strcmp(a->name, b->name) == 0 && a->kind == b->kind && a->mtu == b->mtu && a->up == b->up &&
	       a->running == b->running && a->peer_away == b->peer_away && a->master == b->master &&
	       mac_equal(&a->mac, &b->mac);
}

int links_put(struct links *l, const struct link *link, const struct link **out)
{
	struct link_item *item = hmap_get(&l->by_index, &link->ifindex);
	bool changed = !item || !same(&item->link, link);
	int r;

	if (!item) {
		item = calloc(1, sizeof(*item));
		if (!item)
			return -ENOMEM;
		item->ifindex = link->ifindex;
		item->name = item->link.name;
		r = hmap_add(&l->by_index, item);
		if (r < 0) {
			free(item);
			return r;
		}
	}
	if (strcmp(item->link.name, link->name) != 0)
		unname(l, item);
	item->link = *link;
	item->round = l->round;
	r = name_item(l, item);
	if (r < 0)
		return r;
	*out = &item->link;
	return changed ? LINKS_CHANGED : LINKS_SAME;
}

void links_count(struct links *l, const struct link *link)
{
	struct link_item *item = hmap_get(&l->by_index, &link->ifindex);

	if (!item)
		return;
	item->link.rx_packets = link->rx_packets;
	item->link.rx_bytes = link->rx_bytes;
	item->link.tx_packets = link->tx_packets;
	item->link.tx_bytes = link->tx_bytes;
}

bool links_remove(struct links *l, uint32_t ifindex)
{
	struct link_item *item = hmap_remove(&l->by_index, &ifindex);

	if (!item)
		return false;
	unname(l, item);
	free(item);
	return true;
}

void links_round_begin(struct links *l)
{
	l->round++;
}

const struct link *links_sweep(struct links *l, size_t *cursor)
{
	struct link_item *item;

	while ((item = hmap_next(&l->by_index, cursor))) {
		if (item->round != l->round)
			return &item->link;
	}
	return NULL;
}

void links_mark_filter(struct links *l, uint32_t ifindex)
{
	struct link_item *item = hmap_get(&l->by_index, &ifindex);

	if (item)
		item->filter_gone = true;
}

const struct link *links_take_filter(struct links *l, size_t *cursor)
{
	struct link_item *item;

	while ((item = hmap_next(&l->by_index, cursor))) {
		if (item->filter_gone) {
			item->filter_gone = false;
			return &item->link;
		}
	}
	return NULL;
}

bool links_address_put(struct links *l, const struct rtnl_address *a)
{
	struct address_item *item = hmap_get(&l->addresses, a);

	if (item) {
		item->round = l->round;
		return false;
	}
	item = calloc(1, sizeof(*item));
	if (!item)
		return true;
	item->key = *a;
	item->round = l->round;
	if (hmap_add(&l->addresses, item) < 0)
		free(item);
	return true;
}

bool links_address_remove(struct links *l, const struct rtnl_address *a)
{
	struct address_item *item = hmap_remove(&l->addresses, a);

	free(item);
	return item;
}

bool links_address_sweep(struct links *l)
{
	struct address_item *item;
	bool any = false;

	for (size_t i = 0; (item = hmap_next(&l->addresses, &i));) {
		if (item->round == l->round)
			continue;
		hmap_remove(&l->addresses, &item->key);
		free(item);
		any = true;
	}
	return any;
}

const struct link *kern_link_by_name(const struct kern *k, const char *name)
{
	struct link_item *item = hmap_get(&k->links.by_name, name);

	return item ? &item->link : NULL;
}

const struct link *kern_link_by_index(const struct kern *k, uint32_t ifindex)
{
	struct link_item *item = hmap_get(&k->links.by_index, &ifindex);

	return item ? &item->link : NULL;
}

void kern_link_each(const struct kern *k, bool (*fn)(void *arg, const struct link *link), void *arg)
{
	struct link_item *item;

	for (size_t i = 0; (item = hmap_next(&k->links.by_index, &i));) {
		if (!fn(arg, &item->link))
			return;
	}
}

/* An address may be on several interfaces (a link-local or an anycast one): one that is up is preferred. */
const struct link *kern_link_with_address(const struct kern *k, const struct addr *a)
{
	const struct link *found = NULL;
	struct address_item *item;

	for (size_t i = 0; (item = hmap_next(&k->links.addresses, &i));) {
		const struct link *link;

		if (!addr_equal(&item->key.addr, a))
			continue;
		link = kern_link_by_index(k, item->key.ifindex);
		if (link && (!found || link->up > found->up ||
			     (link->up == found->up && link->ifindex < found->ifindex)))
			found = link;
	}
	return found;
}
