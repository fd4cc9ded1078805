/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A plan for people: "add host red 10.0.1.12 via tunnel to 198.51.100.21".  Numbers of the data plane are turned back
 * into the names that the configuration uses.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/plan.h"
#include "agent/port.h"
#include "lib/cleanup.h"
#include "lib/hmap.h"

#define LABEL_SIZE 96

struct vni_name {
	uint32_t vni;
	const char *name; /* of a tenant, or the full one of a network */
};

struct nexthop_name {
	uint64_t owner;
	const struct fwd_nexthop *nexthop;
};

struct names {
	struct hmap vnis, nexthops;
	const struct describe *d;
};

static void names_fini(struct names *n)
{
	struct nexthop_name *nexthop;
	struct vni_name *vni;

	for (size_t i = 0; (vni = hmap_next(&n->vnis, &i));)
		free(vni);
	for (size_t i = 0; (nexthop = hmap_next(&n->nexthops, &i));)
		free(nexthop);
	hmap_fini(&n->vnis);
	hmap_fini(&n->nexthops);
}

static int add_vni(struct names *n, uint32_t vni, const char *name)
{
	struct vni_name *v;
	int r;

	if (vni == 0 || hmap_get(&n->vnis, &vni))
		return 0;
	v = malloc(sizeof(*v));
	if (!v)
		return -ENOMEM;
	*v = (struct vni_name){vni, name};
	r = hmap_add(&n->vnis, v);
	if (r < 0)
		free(v);
	return r;
}

static int add_config(struct names *n, const struct config *c)
{
	int r = 0;

	for (size_t t = 0; c && r == 0 && t < c->n_tenants; t++) {
		r = add_vni(n, c->tenants[t].vni, c->tenants[t].name);
		for (size_t i = 0; r == 0 && i < c->tenants[t].n_networks; i++)
			r = add_vni(n, c->tenants[t].networks[i].vni, c->tenants[t].networks[i].full_name);
	}
	return r;
}

static int add_nexthop(struct names *n, const struct fwd_nexthop *nexthop)
{
	struct nexthop_name *item;
	int r;

	if (hmap_get(&n->nexthops, &nexthop->owner))
		return 0;
	item = malloc(sizeof(*item));
	if (!item)
		return -ENOMEM;
	*item = (struct nexthop_name){nexthop->owner, nexthop};
	r = hmap_add(&n->nexthops, item);
	if (r < 0)
		free(item);
	return r;
}

static int names_init(struct names *n, const struct plan *p, const struct describe *d)
{
	int r;

	*n = (struct names){.d = d};
	n->vnis = HMAP_INIT(struct vni_name, vni);
	n->nexthops = HMAP_INIT(struct nexthop_name, owner);
	r = add_config(n, d->after);
	if (r == 0)
		r = add_config(n, d->before);
	for (size_t i = 0; r == 0 && i < p->length; i++) {
		const struct plan_step *s = &p->steps[i];
		const struct fwd *f = s->action == PLAN_PUT ? &s->change.now : &s->change.old;

		if ((s->action == PLAN_PUT || s->action == PLAN_DELETE) && f->kind == FWD_NEXTHOP)
			r = add_nexthop(n, &f->nexthop);
	}
	return r;
}

static const char *vni_name(const struct names *n, uint32_t vni, char out[static LABEL_SIZE])
{
	const struct vni_name *v = hmap_get(&n->vnis, &vni);

	if (v)
		snprintf(out, LABEL_SIZE, "%s", v->name);
	else
		snprintf(out, LABEL_SIZE, "vni %u", vni);
	return out;
}

static const char *nexthop_name(const struct names *n, uint64_t owner, char out[static LABEL_SIZE])
{
	const struct nexthop_name *planned = hmap_get(&n->nexthops, &owner);
	const struct fwd_nexthop *h = planned ? planned->nexthop : NULL;
	const struct port_local *port = ports_by_owner(n->d->ports_after, owner);
	struct fwd held, key = {.kind = FWD_NEXTHOP, .nexthop.owner = owner};
	char remote[ADDR_TEXT_SIZE];

	if (!port)
		port = ports_by_owner(n->d->ports_before, owner);
	if (!h && table_get(n->d->dp, &key, &held))
		h = &held.nexthop;
	if (port)
		snprintf(out, LABEL_SIZE, "port %s", port->name);
	else if (h && h->type == FWD_NEXTHOP_TUNNEL)
		snprintf(out, LABEL_SIZE, "tunnel to %s", addr_format(&h->remote, remote));
	else if (h && h->type == FWD_NEXTHOP_NATIVE)
		snprintf(out, LABEL_SIZE, "node %s without encapsulation", addr_format(&h->remote, remote));
	else
		snprintf(out, LABEL_SIZE, "a port");
	return out;
}

/* ---- one function per kind of entry ---- */

static void route_text(const struct names *n, const struct fwd *f, FILE *out)
{
	char text[160];

	fputs(fwd_format(f, text, sizeof(text)), out);
}

static void nexthop_text(const struct names *n, const struct fwd *f, FILE *out)
{
	char label[LABEL_SIZE];

	fprintf(out, "next hop %s, MTU %u", nexthop_name(n, f->nexthop.owner, label), f->nexthop.mtu);
	if (f->nexthop.type == FWD_NEXTHOP_PORT && f->nexthop.ifindex)
		fprintf(out, ", ifindex %u", f->nexthop.ifindex);
	else if (f->nexthop.type == FWD_NEXTHOP_PORT)
		fputs(", waiting", out);
}

static void member_text(const struct names *n, const struct fwd *f, FILE *out)
{
	char label[LABEL_SIZE], source[ADDR_TEXT_SIZE];

	fprintf(out, "member %s of %s", addr_format(&f->member.source, source), vni_name(n, f->member.vni, label));
}

static void prefix_text(const struct names *n, const struct fwd *f, FILE *out)
{
	char tenant[LABEL_SIZE], network[LABEL_SIZE], via[LABEL_SIZE], prefix[PREFIX_TEXT_SIZE];

	fprintf(out, "prefix %s %s", vni_name(n, f->prefix.vrf, tenant), prefix_format(&f->prefix.prefix, prefix));
	if (f->prefix.nexthop)
		fprintf(out, " via %s", nexthop_name(n, f->prefix.nexthop, via));
	if (f->prefix.vni != f->prefix.vrf)
		fprintf(out, " in %s", vni_name(n, f->prefix.vni, network));
}

static void host_text(const struct names *n, const struct fwd *f, FILE *out)
{
	char tenant[LABEL_SIZE], via[LABEL_SIZE], address[ADDR_TEXT_SIZE];

	fprintf(out, "%s %s %s", f->host.gateway ? "gateway" : "host", vni_name(n, f->host.vrf, tenant),
		addr_format(&f->host.addr, address));
	if (!f->host.gateway)
		fprintf(out, " via %s", nexthop_name(n, f->host.nexthop, via));
}

static void mac_text(const struct names *n, const struct fwd *f, FILE *out)
{
	char network[LABEL_SIZE], via[LABEL_SIZE], mac[MAC_TEXT_SIZE];

	fprintf(out, "mac %s %s via %s", vni_name(n, f->mac.vni, network), mac_format(&f->mac.mac, mac),
		nexthop_name(n, f->mac.nexthop, via));
}

static void port_text(const struct names *n, const struct fwd *f, FILE *out)
{
	char network[LABEL_SIZE], port[LABEL_SIZE];

	fprintf(out, "%s of %s, ifindex %u", nexthop_name(n, f->port.owner, port), vni_name(n, f->port.vni, network),
		f->port.ifindex);
}

static void flood_text(const struct names *n, const struct fwd *f, FILE *out)
{
	char network[LABEL_SIZE], via[LABEL_SIZE];

	fprintf(out, "flood %s via %s", vni_name(n, f->flood.vni, network), nexthop_name(n, f->flood.nexthop, via));
}

static void (*const entry_texts[FWD_KIND_MAX])(const struct names *n, const struct fwd *f, FILE *out) = {
	[FWD_ROUTE] = route_text,
	[FWD_NEXTHOP] = nexthop_text, [FWD_MEMBER] = member_text, [FWD_PREFIX] = prefix_text, [FWD_HOST] = host_text,
	[FWD_MAC] = mac_text,         [FWD_PORT] = port_text,     [FWD_FLOOD] = flood_text,
};

static const char *const action_texts[PLAN_ACTION_MAX] = {
	[PLAN_NODE] = "set the node's own addresses",
	[PLAN_WIRE] = "attach to underlay interface ",
	[PLAN_SECURE] = "attach to the device that encrypts, ",
	[PLAN_GUARD] = "attach to interface ",
	[PLAN_UNGUARD] = "detach from interface ",
	[PLAN_UNWIRE] = "detach from underlay interface ",
};

static void step_text(const struct names *n, const struct plan_step *s, FILE *out)
{
	const struct fwd *f = s->action == PLAN_PUT ? &s->change.now : &s->change.old;

	switch (s->action) {
	case PLAN_PUT:
	case PLAN_DELETE:
		fputs(s->action == PLAN_DELETE ? "delete " : s->change.had_old ? "change " : "add ", out);
		entry_texts[f->kind](n, f, out);
		break;
	case PLAN_NODE:
		fputs(action_texts[s->action], out);
		break;
	default:
		fprintf(out, "%s%s", action_texts[s->action], s->interface.name);
	}
}

int plan_describe(const struct plan *p, const struct describe *d, struct agent_plan *out)
{
	struct agent_plan made = {0};
	struct names names;
	int r = names_init(&names, p, d);

	if (r == 0 && p->length > 0) {
		made.steps = calloc(p->length, sizeof(*made.steps));
		r = made.steps ? 0 : -ENOMEM;
	}
	for (size_t i = 0; r == 0 && i < p->length; i++) {
		char text[400];
		FILE *f = fmemopen(text, sizeof(text), "w");

		if (!f) {
			r = -ENOMEM;
			break;
		}
		step_text(&names, &p->steps[i], f);
		fclose(f);
		text[sizeof(text) - 1] = 0;
		made.steps[i].text = strdup(text);
		if (!made.steps[i].text)
			r = -ENOMEM;
		made.length = i + 1;
	}
	names_fini(&names);
	if (r < 0) {
		agent_plan_fini(&made);
		return r;
	}
	*out = made;
	return 0;
}

void agent_plan_fini(struct agent_plan *p)
{
	for (size_t i = 0; i < p->length; i++)
		free(p->steps[i].text);
	free(p->steps);
	*p = (struct agent_plan){0};
}
