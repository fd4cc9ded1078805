/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/port.h"

#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/plan.h"
#include "bpf/abi.h"
#include "dp/datapath.h"
#include "kern/kern.h"
#include "lib/cleanup.h"
#include "lib/log.h"
#include "lib/text.h"
#include "rib/rib.h"
#include "wg/tunnel.h"

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
	*port = (struct port_local){.config = c, .name = strdup(c->name), .interface = strdup(c->interface),
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
	const struct config_port *port;

	if (!p)
		return -ENOMEM;
	p->by_name = SMAP_INIT(struct port_local, name);
	p->by_interface = SMAP_INIT(struct port_local, interface);
	p->by_owner = HMAP_INIT(struct port_local, owner);
	for (size_t i = 0; i < self->n_underlay && i < 2; i++)
		p->underlay[p->n_underlay++] = self->underlay[i];
	for (struct config_walk w = {0}; (port = config_walk(c, &w));) {
		int r = port->node == self ? ports_add(p, port) : 0;

		if (r < 0)
			return r;
	}
	*out = TAKE_PTR(p);
	return 0;
}

void ports_count(const struct agent *a, size_t count[static AGENT_PORT_STATE_MAX])
{
	const struct config_port *p;
	const char *reason;
	size_t own = 0;

	for (size_t i = 0; (p = ports_next(a->ports, &i)); own++)
		count[agent_port_state(a, p, &reason)]++;
	count[AGENT_PORT_REMOTE] += a->config ? config_n_ports(a->config) - own : 0;
}

const struct config_port *ports_next(const struct ports *p, size_t *cursor)
{
	const struct port_local *port = p ? hmap_next(&p->by_name, cursor) : NULL;

	return port ? port->config : NULL;
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

/*
 * Our programs take everything that comes in on a port: on the interface that the underlay needs, the node would cut
 * itself off.  A peer's is named by us, and one of that name that is not our tunnel's is in clear text, and somebody's.
 * 0; -EINVAL: it can be no workload's, and *why says so, if there is memory for that.
 */
static int check_interface(const struct ports *all, const struct port_local *p, const struct kern *kern,
			   const struct link *link, char **why)
{
	char address[ADDR_TEXT_SIZE];

	if (link->kind == LINK_LOOPBACK) {
		text_format(why, "port %s: interface %s is the loopback; expected the workload's own interface",
			    p->name, p->interface);
		return -EINVAL;
	}
	/* of one that is gone the kernel is about to tell */
	if (p->config->peer && if_nametoindex(p->interface) == link->ifindex && !tunnel_port_is_ours(p->interface, NULL)) {
		text_format(why, "peer %s: there is a device %s already; ip link del %s, or call the peer otherwise", p->name,
			    p->interface, p->interface);
		return -EINVAL;
	}
	for (size_t i = 0; i < all->n_underlay; i++) {
		const struct link *own = kern_link_with_address(kern, &all->underlay[i]);

		if (!own || (own->ifindex != link->ifindex && own->ifindex != link->master))
			continue;
		text_format(why,
			    "port %s: interface %s carries this node's underlay address %s; expected the "
			    "workload's own interface",
			    p->name, p->interface, addr_format(&all->underlay[i], address));
		return -EINVAL;
	}
	return 0;
}

/* The same reason again is not said again. */
static void port_fail(struct port_local *p, int error, char *why)
{
	if (why && (!p->why || strcmp(p->why, why) != 0))
		log_error("%s; its traffic is dropped, trying again every second", why);
	free(p->why);
	p->why = why;
	p->error = error;
}

int port_bind(struct ports *all, struct port_local *p, const struct kern *kern, struct plan *plan, char **why)
{
	const struct link *link = kern_link_by_name(kern, p->interface);

	p->ifindex = link ? link->ifindex : 0;
	if (!link)
		return 0;
	if (check_interface(all, p, kern, link, why) < 0)
		return -EINVAL;
	if (plan)
		plan_interface(plan, PLAN_GUARD, link->ifindex, p->interface);
	return 0;
}

int ports_bind(struct ports *now, const struct ports *before, const struct kern *kern, struct plan *plan, char **why)
{
	struct port_local *port, *was;

	for (size_t i = 0; (port = hmap_next(&now->by_name, &i));) {
		const struct link *link = kern_link_by_name(kern, port->interface);
		bool is_bound;
		int r;

		was = ports_by_interface(before, port->interface);
		is_bound = was && link && was->ifindex == link->ifindex && !was->error;
		r = port_bind(now, port, kern, is_bound ? NULL : plan, why);
		if (r < 0 && before)
			return r;
		if (r < 0)
			port_fail(port, r, TAKE_PTR(*why));
	}
	for (size_t i = 0; before && (was = hmap_next(&before->by_name, &i));) {
		port = ports_by_interface(now, was->interface);
		if (was->ifindex && !was->error && (!port || port->ifindex != was->ifindex))
			plan_interface(plan, PLAN_UNGUARD, was->ifindex, was->interface);
	}
	return 0;
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

void port_refresh(const struct ports *all, struct port_local *p, const struct kern *kern, struct plan *plan,
		  struct rib *rib)
{
	const struct link *link = kern_link_by_name(kern, p->interface);
	uint32_t ifindex = link ? link->ifindex : 0;
	char *why = NULL;

	if (p->ifindex && p->ifindex != ifindex) {
		log_info("port %s: interface %s (ifindex %u) is gone; waiting for it", p->name, p->interface,
			 p->ifindex);
		if (!p->error)
			plan_interface_again(plan, PLAN_UNGUARD, p->ifindex, p->interface);
		port_forgive(p);
	}
	if (ifindex && (p->ifindex != ifindex || p->error)) {
		if (p->ifindex != ifindex)
			log_info("port %s: interface %s is there (ifindex %u)", p->name, p->interface, ifindex);
		p->error = 0; /* until the step says otherwise */
		if (check_interface(all, p, kern, link, &why) < 0)
			port_fail(p, -EINVAL, why);
		else
			plan_interface_again(plan, PLAN_GUARD, ifindex, p->interface);
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
			char *why = NULL;

			if (text_format(&why, "port %s: interface %s refuses our programs: %s%s%s", port->name,
					port->interface, strerror(-s->outcome), reason && *reason ? ": " : "",
					reason ? reason : "") < 0)
				why = NULL;
			port_fail(port, s->outcome, why);
		}
		port_tell(port, kern, rib);
		n++;
	}
	return n;
}
