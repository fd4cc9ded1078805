/* SPDX-License-Identifier: Apache-2.0 */
/*
 * doctor_port.c - the ports of this node and the interfaces behind them.
 */
#include <ifaddrs.h>
#include <string.h>
#include <sys/socket.h>

#include "agent/doctor_exam.h"
#include "agent/secure.h"
#include "model/fwd.h"

typedef void (*port_fn)(struct exam *x, const struct config_port *p, const struct link *link);

/* Each port of this node whose interface exists. */
static void each_port(struct exam *x, port_fn fn)
{
	const struct config_port *p;

	if (!x->self || !x->a->kern)
		return skip(x);
	for (struct config_walk w = {0}; (p = config_walk(x->config, &w));) {
		const struct link *link =
			p->node == x->self && p->interface ? kern_link_by_name(x->a->kern, p->interface) : NULL;

		if (link)
			fn(x, p, link);
	}
}

static void check_interface(struct exam *x)
{
	const struct config_port *p;
	char fix[160];

	if (!x->self || !x->a->kern)
		return skip(x);
	for (struct config_walk w = {0}; (p = config_walk(x->config, &w));) {
		if (p->node != x->self || kern_link_by_name(x->a->kern, p->interface))
			continue;
		if (p->peer) {
			found(x, DOCTOR_FAIL, "isthmus get tunnels says why; journalctl -u isthmusd",
			      "peer %s: its interface %s does not exist", p->name, p->interface);
			continue;
		}
		snprintf(fix, sizeof(fix),
			 "start the workload, or make its interface: ip link add %s type veth peer name WORKLOAD",
			 p->interface);
		found(x, DOCTOR_FAIL, fix, "port %s is waiting: interface %s does not exist", p->name, p->interface);
	}
}

static void look_link(struct exam *x, const struct config_port *p, const struct link *link)
{
	char fix[96];

	if (!link->up) {
		snprintf(fix, sizeof(fix), "ip link set %s up", link->name);
		found(x, DOCTOR_FAIL, fix, "port %s: interface %s is down", p->name, link->name);
	} else if (!link->running) {
		snprintf(fix, sizeof(fix),
			 "set the workload's end up: ip link set INTERFACE up, inside its namespace or VM");
		found(x, DOCTOR_WARN, fix, "port %s: interface %s has no carrier, the workload's end is down", p->name,
		      link->name);
	}
}

static void look_master(struct exam *x, const struct config_port *p, const struct link *link)
{
	const struct link *master = link->master ? kern_link_by_index(x->a->kern, link->master) : NULL;
	char fix[96];

	if (!link->master)
		return;
	snprintf(fix, sizeof(fix), "ip link set %s nomaster", link->name);
	found(x, DOCTOR_FAIL, fix,
	      "port %s: interface %s is enslaved to %s, which may forward its packets past Isthmus", p->name,
	      link->name, master ? master->name : "another device");
}

static void look_underlay(struct exam *x, const struct config_port *p, const struct link *link)
{
	char fix[160];

	for (size_t i = 0; i < x->self->n_underlay; i++) {
		if (kern_link_with_address(x->a->kern, &x->self->underlay[i]) != link)
			continue;
		snprintf(fix, sizeof(fix), "mend ports.%s.interface in the configuration", p->name);
		found(x, DOCTOR_FAIL, fix, "port %s: interface %s is the underlay's own", p->name, link->name);
	}
}

static void look_program(struct exam *x, const struct config_port *p, const struct link *link)
{
	static const char *const programs[] = {"port_egress", "port_ingress"};
	struct kern_filter filters[16];
	char fix[160];

	if (!x->a->dp)
		return;
	for (int ingress = 0; ingress < 2; ingress++) {
		int length = kern_filters(link->ifindex, ingress, filters, 16);
		bool there = false;

		for (int k = 0; k < length && !there; k++) {
			there = strncmp(filters[k].name, programs[ingress], strlen(programs[ingress])) == 0;
			if (there)
				break;
			snprintf(fix, sizeof(fix), "tc filter del dev %s %s pref %u", link->name,
				 ingress ? "ingress" : "egress", filters[k].priority);
			found(x, DOCTOR_FAIL, fix, "port %s: tc filter %s (pref %u) on %s comes before Isthmus",
			      p->name, filters[k].name, filters[k].priority, link->name);
		}
		if (!there)
			found(x, DOCTOR_FAIL, "systemctl restart isthmusd", "port %s: the program %s is not on %s",
			      p->name, programs[ingress], link->name);
	}
}

/* Should our program be torn off, these keep the host from answering in the workload's name. */
static void look_guard(struct exam *x, const struct config_port *p, const struct link *link)
{
	static const struct {
		const char *key;
		uint64_t value;
	} guards[] = {{"ipv6/conf/%s/disable_ipv6", 1},
		      {"ipv4/conf/%s/rp_filter", 1},
		      {"ipv4/conf/%s/arp_ignore", 8},
		      {"ipv4/conf/%s/forwarding", 0}};

	for (size_t i = 0; i < sizeof(guards) / sizeof(guards[0]); i++) {
		const char *mark = strstr(guards[i].key, "%s");
		char path[96], fix[128];
		uint64_t value;

		snprintf(path, sizeof(path), "/proc/sys/net/%.*s%s%s", (int)(mark - guards[i].key), guards[i].key,
			 link->name, mark + 2);
		if (!read_number(path, &value) || value == guards[i].value)
			continue;
		/* Written with slashes, since the name of an interface may hold a dot. */
		snprintf(fix, sizeof(fix), "sysctl -w %s=%llu", path + strlen("/proc/sys/"),
			 (unsigned long long)guards[i].value);
		found(x, DOCTOR_WARN, fix, "port %s: the host's own stack is not kept off %s (%s is %llu)", p->name,
		      link->name, path + strlen("/proc/sys/net/"), (unsigned long long)value);
	}
}

/* Works: the sender is told with "too big"; but every connection learns it anew. */
static void look_mtu(struct exam *x, const struct config_port *p, const struct link *link)
{
	char fix[160];

	if (!x->narrowest || link->mtu <= x->inner_mtu)
		return;
	if (p->peer)
		snprintf(fix, sizeof(fix), "nodes.*.mtu in the configuration as the path is; then isthmus peer config %s", p->name);
	else
		snprintf(fix, sizeof(fix), "ip link set %s mtu %u, and the same on the workload's end", link->name, x->inner_mtu);
	found(x, DOCTOR_WARN, fix, "port %s: MTU %u of %s is more than the %u bytes that fit on the path to node %s",
	      p->name, link->mtu, link->name, x->inner_mtu, x->narrowest->name);
}

static void check_link(struct exam *x)
{
	each_port(x, look_link);
}

static void check_master(struct exam *x)
{
	each_port(x, look_master);
}

static const struct config_port *port_on(const struct exam *x, const char *interface)
{
	const struct config_port *p;

	for (struct config_walk w = {0}; (p = config_walk(x->config, &w));)
		if (p->node == x->self && p->interface && strcmp(p->interface, interface) == 0)
			break;
	return p;
}

/* An address on the node's side makes the host itself a neighbour of the workload. */
static void check_address(struct exam *x)
{
	struct ifaddrs *list = NULL;
	char fix[96];

	if (!x->self || getifaddrs(&list) < 0)
		return skip(x);
	for (struct ifaddrs *i = list; i; i = i->ifa_next) {
		const struct config_port *p;

		if (!i->ifa_addr || (i->ifa_addr->sa_family != AF_INET && i->ifa_addr->sa_family != AF_INET6))
			continue;
		p = port_on(x, i->ifa_name);
		if (!p)
			continue;
		snprintf(fix, sizeof(fix), "ip address flush dev %s", i->ifa_name);
		found(x, DOCTOR_FAIL, fix, "port %s: the node has an address on %s; it belongs into the workload",
		      p->name, i->ifa_name);
	}
	freeifaddrs(list);
}

static void check_underlay(struct exam *x)
{
	each_port(x, look_underlay);
}

static void check_program(struct exam *x)
{
	if (!x->a->dp)
		return skip(x);
	each_port(x, look_program);
}

static void check_guard(struct exam *x)
{
	each_port(x, look_guard);
}

static void find_narrowest(struct exam *x)
{
	for (size_t i = 0; i < x->config->n_nodes; i++) {
		const struct config_node *n = &x->config->nodes[i];
		const struct addr *local = NULL, *remote = n == x->self ? NULL : config_path(x->self, n, &local);
		struct kern_path path;
		uint32_t mtu, inner;

		if (!remote || kern_path(x->a->kern, remote, local, &path) < 0)
			continue;
		mtu = secure_path_mtu(x->a, n, remote, path.mtu);
		inner = fwd_tunnel_mtu(mtu, addr_is_v4(remote), config_encrypts_any(x->config, x->self, n));
		if (x->narrowest && inner >= x->inner_mtu)
			continue;
		x->inner_mtu = inner;
		x->narrowest = n;
	}
}

static void check_mtu(struct exam *x)
{
	if (x->self && x->a->kern)
		find_narrowest(x);
	each_port(x, look_mtu);
}

const struct doctor_check doctor_port_checks[] = {
	{"port-interface", check_interface},
	{"port-link", check_link},
	{"port-bridged", check_master},
	{"port-address", check_address},
	{"port-underlay", check_underlay},
	{"port-program", check_program},
	{"port-guard", check_guard},
	{"port-mtu", check_mtu},
	{0},
};
