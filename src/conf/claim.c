/* SPDX-License-Identifier: Apache-2.0 */
#include "conf/claim.h"

#include <stdlib.h>
#include <string.h>

#include "lib/cleanup.h"

static const struct {
	enum conf_code code;
	const char *expected;
	const char *what; /* NULL: "belongs to" */
} rules[] = {
	[CLAIM_VNI] = {CONF_VNI_TWICE, "a VNI that no other tenant or network uses"},
	[CLAIM_ADDRESS] = {CONF_ADDRESS_TWICE, "an address that nobody else in the tenant has"},
	[CLAIM_MAC_L2] = {CONF_MAC_TWICE, "a MAC address that nobody else in the network has"},
	[CLAIM_MAC_L3] = {CONF_MAC_TWICE, "a MAC address that nobody else in the l3 networks of the tenant has"},
	[CLAIM_INTERFACE] = {CONF_INTERFACE_TWICE, "an interface of the node that has no other use"},
	[CLAIM_UNDERLAY] = {CONF_UNDERLAY_TWICE, "an address that no other node has"},
	[CLAIM_ROUTER_MAC] = {CONF_ROUTER_MAC_TWICE, "another underlay address for one of the two"},
	[CLAIM_ROUTER_ID] = {CONF_ROUTER_ID_TWICE, "a router_id of its own for one of the two"},
	[CLAIM_MEMBERSHIP] = {CONF_LISTED_TWICE, "each network once", "stands at"},
	[CLAIM_WORD] = {CONF_LISTED_TWICE, "each word once", "stands at"},
};

struct claims claims_init(struct build *b)
{
	return (struct claims){.b = b, .by_key = HMAP_INIT(struct claim, key)};
}

void claims_fini(struct claims *all)
{
	hmap_fini(&all->by_key);
}

static struct claim_key key_of(enum claim_kind kind, const void *scope, const void *value, size_t size)
{
	struct claim_key key = {.kind = kind, .scope = (uintptr_t)scope};

	memcpy(key.value, value, size);
	return key;
}

const struct claim *claim_find(const struct claims *all, enum claim_kind kind, const void *scope, const void *value,
			       size_t size)
{
	struct claim_key key = key_of(kind, scope, value, size);

	return hmap_get(&all->by_key, &key);
}

struct claim *claim_take(struct claims *all, enum claim_kind kind, const void *scope, const void *value, size_t size,
			 const struct yaml_node *n)
{
	struct claim_key key = key_of(kind, scope, value, size);
	struct claim *c = hmap_get(&all->by_key, &key);

	if (c) {
		c->count++;
		return c;
	}
	c = arena_alloc(&all->b->arena, sizeof(*c));
	if (!c)
		goto no_memory;
	*c = (struct claim){key, n, 1};
	if (hmap_add(&all->by_key, c) == 0)
		return c;
no_memory:
	all->b->report->no_memory = true;
	return NULL;
}

void claim_value(struct claims *all, enum claim_kind kind, const void *scope, const void *value, size_t size,
		 const char *text, const struct yaml_node *n)
{
	const struct claim *c = claim_take(all, kind, scope, value, size, n);
	_cleanup_(free) char *path = NULL;
	char where[512], way_out[128];

	if (!c || c->owner == n)
		return;
	path = report_owner(all->b->report, c->owner);
	report_value(all->b->report, n, rules[kind].code, "%s %s %s (%s) already; expected %s%s", text,
		     rules[kind].what ? rules[kind].what : "belongs to", path ? path : "another",
		     report_where(all->b->report, n, c->owner, where, sizeof(where)), rules[kind].expected,
		     build_way_out(all->b, n, c->owner, way_out, sizeof(way_out)));
}

bool claim_is_later(const struct yaml_node *a, const struct yaml_node *b)
{
	return a->place.line != b->place.line ? a->place.line > b->place.line : a->place.column > b->place.column;
}
