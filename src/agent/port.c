/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/port.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/plan.h"
#include "bpf/abi.h"
#include "dp/datapath.h"
#include "kern/kern.h"
#include "lib/cleanup.h"
#include "lib/log.h"
#include "rib/rib.h"

static uint32_t flags_of(const struct config_port *p)
{
	static const struct {
		uint32_t allow;
		uint32_t flag;
	} allows[] = {
		{CONFIG_ALLOW_ROUTER_ADVERTISEMENT, PORT_ALLOW_RA},
		{CONFIG_ALLOW_DHCP_SERVER, PORT_ALLOW_DHCP},
		{CONFIG_ALLOW_TUNNEL, PORT_ALLOW_TUNNEL},
		{CONFIG_ALLOW_ROUTING, PORT_ALLOW_ROUTING},
		{CONFIG_ALLOW_LINK_CONTROL, PORT_ALLOW_BPDU},
	};
	uint32_t flags = 0;

	if (p->network->mode == CONFIG_MODE_L3)
		flags |= PORT_L3;
	if (p->network->flood)
		flags |= PORT_FLOOD;
	if (p->security)
		flags |= PORT_SECURITY;
	if (p->n_addresses == 0)
		flags |= PORT_ANY_SOURCE | (p->network->n_subnets > 0 ? PORT_SUBNETS : 0);
	for (size_t i = 0; i < sizeof(allows) / sizeof(allows[0]); i++)
		if (p->allow & allows[i].allow)
			flags |= allows[i].flag;
	return flags;
}

static void port_free(struct port_local *p)
{
	if (!p)
		return;
	free(p->name);
	free(p->interface);
	free(p->why);
	free(p);
}

void ports_free(struct ports *p)
{
	struct port_local *port;

	if (!p)
		return;
	for (size_t i = 0; (port = hmap_next(&p->by_name, &i));)
		port_free(port);
	hmap_fini(&p->by_name);
	hmap_fini(&p->by_interface);
	hmap_fini(&p->by_owner);
	free(p);
}

DEFINE_CLEANUP(ports, struct ports *, ports_free)

int ports_add(struct ports *p, const struct config_port *c)
{
	struct port_local *port = calloc(1, sizeof(*port));

	if (!port)
		return -ENOMEM;
	*port = (struct port_local){.name = strdup(c->name), .interface = strdup(c->interface),
				    .owner = fwd_owner_port(c->name), .flags = flags_of(c)};
	if (!port->name || !port->interface || hmap_add(&p->by_name, port) < 0) {
		port_free(port);
		return -ENOMEM;
	}
	if (hmap_add(&p->by_interface, port) < 0 || hmap_add(&p->by_owner, port) < 0)
		return -ENOMEM;
	return 0;
}

void ports_remove(struct ports *p, const char *name)
{
	struct port_local *port = hmap_remove(&p->by_name, name);

	if (!port)
		return;
	if (ports_by_interface(p, port->interface) == port)
		hmap_remove(&p->by_interface, port->interface);
	if (ports_by_owner(p, port->owner) == port)
		hmap_remove(&p->by_owner, &port->owner);
	port_free(port);
}

int ports_new(const struct config *c, const struct config_node *self, struct ports **out)
{
	_cleanup_(ports) struct ports *p = calloc(1, sizeof(*p));

	if (!p)
		return -ENOMEM;
	p->by_name = SMAP_INIT(struct port_local, name);
	p->by_interface = SMAP_INIT(struct port_local, interface);
	p->by_owner = HMAP_INIT(struct port_local, owner);
	for (size_t i = 0; i < c->n_ports; i++) {
		int r = c->ports[i].node == self ? ports_add(p, &c->ports[i]) : 0;

		if (r < 0)
			return r;
	}
	*out = TAKE_PTR(p);
	return 0;
}

struct port_local *ports_by_owner(const struct ports *p, uint64_t owner)
{
	return p ? hmap_get(&p->by_owner, &owner) : NULL;
}

struct port_local *ports_by_interface(const struct ports *p, const char *interface)
{
	return p ? hmap_get(&p->by_interface, interface) : NULL;
}

struct port_local *ports_by_name(const struct ports *p, const char *name)
{
	return p ? hmap_get(&p->by_name, name) : NULL;
}

struct port_local *ports_by_ifindex(const struct ports *p, uint32_t ifindex)
{
	struct port_local *port;

	for (size_t i = 0; p && (port = hmap_next(&p->by_name, &i));)
		if (port->ifindex == ifindex)
			return port;
	return NULL;
}

/* ---- binding ---- */

void port_bind(struct port_local *p, const struct kern *kern, struct plan *plan)
{
	const struct link *link = kern_link_by_name(kern, p->interface);

	p->ifindex = link ? link->ifindex : 0;
	if (link)
		plan_interface(plan, PLAN_GUARD, link->ifindex, p->interface);
}

void ports_bind(struct ports *now, const struct ports *before, const struct kern *kern, struct plan *plan)
{
	struct port_local *port, *was;

	for (size_t i = 0; (port = hmap_next(&now->by_name, &i));) {
		const struct link *link = kern_link_by_name(kern, port->interface);

		was = ports_by_interface(before, port->interface);
		port->ifindex = link ? link->ifindex : 0;
		if (port->ifindex && (!was || was->ifindex != port->ifindex || was->error))
			plan_interface(plan, PLAN_GUARD, port->ifindex, port->interface);
	}
	for (size_t i = 0; before && (was = hmap_next(&before->by_name, &i));) {
		port = ports_by_interface(now, was->interface);
		if (was->ifindex && !was->error && (!port || port->ifindex != was->ifindex))
			plan_interface(plan, PLAN_UNGUARD, was->ifindex, was->interface);
	}
}

void port_tell(const struct port_local *p, const struct kern *kern, struct rib *rib)
{
	const struct link *link = p->ifindex && !p->error ? kern_link_by_index(kern, p->ifindex) : NULL;
	struct rib_link state = {.flags = p->flags};

	if (link) {
		state.ifindex = link->ifindex;
		state.mtu = link->mtu;
		state.peer = link->kind == LINK_VETH && link->peer_away;
		state.up = link->up;
	}
	rib_port_link(rib, p->name, &state);
}

void ports_tell(const struct ports *p, const struct kern *kern, struct rib *rib)
{
	const struct port_local *port;

	for (size_t i = 0; (port = hmap_next(&p->by_name, &i));)
		port_tell(port, kern, rib);
}

static void port_forgive(struct port_local *p)
{
	p->error = 0;
	free(p->why);
	p->why = NULL;
}

void port_refresh(struct port_local *p, const struct kern *kern, struct plan *plan, struct rib *rib)
{
	const struct link *link = kern_link_by_name(kern, p->interface);
	uint32_t ifindex = link ? link->ifindex : 0;

	if (p->ifindex && p->ifindex != ifindex) {
		log_info("port %s: interface %s (ifindex %u) is gone; waiting for it", p->name, p->interface, p->ifindex);
		if (!p->error)
			plan_interface(plan, PLAN_UNGUARD, p->ifindex, p->interface);
	}
	if (ifindex && (p->ifindex != ifindex || p->error)) {
		port_forgive(p);
		plan_interface(plan, PLAN_GUARD, ifindex, p->interface);
		log_info("port %s: interface %s is there (ifindex %u)", p->name, p->interface, ifindex);
	} else if (!ifindex) {
		port_forgive(p);
	}
	p->ifindex = ifindex;
	port_tell(p, kern, rib);
}

size_t ports_note(struct ports *p, const struct plan *plan, const struct kern *kern, struct rib *rib)
{
	size_t n = 0;

	for (size_t i = 0; i < plan->length; i++) {
		const struct plan_step *s = &plan->steps[i];
		struct port_local *port;

		if (s->action != PLAN_GUARD || s->outcome >= 0)
			continue;
		port = ports_by_interface(p, s->interface.name);
		if (!port || port->ifindex != s->interface.ifindex)
			continue;
		if (s->outcome == -ENODEV) {
			port->ifindex = 0;
		} else {
			const char *reason = datapath_error();

			port->error = s->outcome;
			free(port->why);
			if (asprintf(&port->why, "interface %s refuses our programs: %s%s%s", port->interface, strerror(-s->outcome),
				     reason && *reason ? ": " : "", reason ? reason : "") < 0)
				port->why = NULL;
			log_error("port %s: %s; its traffic is dropped, trying again every second", port->name,
				  port->why ? port->why : "out of memory");
		}
		port_tell(port, kern, rib);
		n++;
	}
	return n;
}
