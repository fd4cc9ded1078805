/* SPDX-License-Identifier: Apache-2.0 */
#include "rib/entry.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static_assert(sizeof(struct entry_key) == 40, "entry keys are hashed as bytes");

static struct entry_key key_of(const struct fwd *f)
{
	struct entry_key k = {.kind = f->kind};

	switch (f->kind) {
	case FWD_ROUTE:
		k.addr = f->route.prefix.addr;
		k.length = f->route.prefix.length;
		break;
	case FWD_NEXTHOP:
		k.owner = f->nexthop.owner;
		break;
	case FWD_MEMBER:
		k.id = f->member.vni;
		k.addr = f->member.source;
		k.encap = f->member.encap;
		break;
	case FWD_PREFIX:
		k.id = f->prefix.vrf;
		k.addr = f->prefix.prefix.addr;
		k.length = f->prefix.prefix.length;
		break;
	case FWD_HOST:
		k.id = f->host.vrf;
		k.addr = f->host.addr;
		break;
	case FWD_MAC:
		k.id = f->mac.vni;
		memcpy(k.addr.bytes, f->mac.mac.bytes, sizeof(f->mac.mac.bytes));
		break;
	case FWD_PORT:
		k.id = f->port.ifindex;
		break;
	case FWD_FLOOD:
		k.id = f->flood.vni;
		k.owner = f->flood.nexthop;
		break;
	case FWD_KIND_MAX:
		assert(false);
	}
	return k;
}

void entries_init(struct entries *e)
{
	*e = (struct entries){.by_key = HMAP_INIT(struct entry, key)};
	TAILQ_INIT(&e->dirty);
}

void entries_fini(struct entries *e)
{
	struct entry *entry;

	for (size_t i = 0; (entry = hmap_next(&e->by_key, &i));) {
		while (entry->claims) {
			struct claim *c = entry->claims;

			entry->claims = c->next_of_entry;
			free(c);
		}
		free(entry);
	}
	hmap_fini(&e->by_key);
	TAILQ_INIT(&e->dirty);
}

static void entry_touch(struct entries *e, struct entry *entry)
{
	if (entry->dirty)
		return;
	entry->dirty = true;
	TAILQ_INSERT_TAIL(&e->dirty, entry, dirty_link);
}

static struct entry *entry_obtain(struct entries *e, const struct fwd *f)
{
	struct entry_key key = key_of(f);
	struct entry *entry = hmap_get(&e->by_key, &key);

	if (entry)
		return entry;
	entry = calloc(1, sizeof(*entry));
	if (!entry)
		return NULL;
	entry->key = key;
	if (hmap_add(&e->by_key, entry) < 0) {
		free(entry);
		return NULL;
	}
	return entry;
}

void entries_claim(struct entries *e, struct claim **of_item, enum route_source source, const char *origin,
		   const struct fwd *value)
{
	struct claim *c = calloc(1, sizeof(*c));
	struct entry *entry = c ? entry_obtain(e, value) : NULL;

	if (!entry) {
		free(c);
		e->error = -ENOMEM;
		return;
	}
	c->source = source;
	c->origin = origin;
	c->value = *value;
	c->entry = entry;
	c->next_of_entry = entry->claims;
	entry->claims = c;
	c->next_of_item = *of_item;
	*of_item = c;
	entry_touch(e, entry);
}

static void claim_unlink(struct claim *c)
{
	struct claim **at = &c->entry->claims;

	while (*at != c)
		at = &(*at)->next_of_entry;
	*at = c->next_of_entry;
}

void entries_withdraw(struct entries *e, struct claim **of_item)
{
	while (*of_item) {
		struct claim *c = *of_item;

		*of_item = c->next_of_item;
		claim_unlink(c);
		entry_touch(e, c->entry);
		free(c);
	}
}

struct entry *entries_find(const struct entries *e, const struct fwd *key)
{
	struct entry_key k = key_of(key);

	return hmap_get(&e->by_key, &k);
}

/* True when something is to be done, which `change` then says. */
static bool entry_settle(struct entry *entry, struct fwd_change *change)
{
	const struct claim *best = decide(entry->claims);

	*change = (struct fwd_change){.put = best != NULL, .had_old = entry->installed};
	if (entry->installed)
		change->old = entry->value;
	if (best) {
		if (entry->installed && fwd_equal(&best->value, &entry->value))
			return false;
		change->now = best->value;
		entry->value = best->value;
		entry->installed = true;
		return true;
	}
	if (!entry->installed)
		return false;
	entry->installed = false;
	return true;
}

int entries_commit(struct entries *e, void (*emit)(void *arg, const struct fwd_change *change), void *arg)
{
	struct entry *entry;

	if (e->error < 0)
		return e->error;
	while ((entry = TAILQ_FIRST(&e->dirty))) {
		struct fwd_change change;

		TAILQ_REMOVE(&e->dirty, entry, dirty_link);
		entry->dirty = false;
		if (entry_settle(entry, &change))
			emit(arg, &change);
		if (!entry->claims) {
			hmap_remove(&e->by_key, &entry->key);
			free(entry);
		}
	}
	return 0;
}
