/* SPDX-License-Identifier: Apache-2.0 */
/*
 * doctor_underlay.c - between the nodes: addresses, interfaces, paths, and who else has a hand in tunnel packets.
 */
#include <linux/if_addr.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/doctor_exam.h"
#include "agent/secure.h"
#include "kern/feature.h"
#include "lib/cleanup.h"
#include "model/fwd.h"

#define INNER_MTU_MIN 1280 /* RFC 8200 5: what IPv6 needs */

/* The links that tunnels arrive on: those with an own underlay address, and those that the configuration names. */
static size_t underlay_links(const struct exam *x, const struct link *out[static 16])
{
	size_t n = 0;

	for (size_t i = 0; x->self && x->a->kern && i < x->self->n_underlay + x->self->n_interfaces && n < 16; i++) {
		const struct link *link =
			i < x->self->n_underlay
				? kern_link_with_address(x->a->kern, &x->self->underlay[i])
				: kern_link_by_name(x->a->kern, x->self->interfaces[i - x->self->n_underlay]);
		bool known = !link;

		for (size_t k = 0; k < n; k++)
			known = known || out[k] == link;
		if (!known)
			out[n++] = link;
	}
	return n;
}

static void check_address(struct exam *x)
{
	char text[ADDR_TEXT_SIZE], fix[240];

	if (!x->self || !x->a->kern)
		return skip(x);
	for (size_t i = 0; i < x->self->n_underlay; i++) {
		const struct addr *a = &x->self->underlay[i];

		if (kern_link_with_address(x->a->kern, a))
			continue;
		addr_format(a, text);
		snprintf(fix, sizeof(fix),
			 "ip address add %s/%s dev DEVICE, or mend nodes.%s.underlay in the configuration", text,
			 addr_is_v4(a) ? "24" : "64", x->self->name);
		found(x, DOCTOR_FAIL, fix, "no interface has this node's underlay address %s", text);
	}
}

static void check_interfaces(struct exam *x)
{
	char fix[160];

	for (size_t i = 0; x->self && x->a->kern && i < x->self->n_interfaces; i++) {
		if (kern_link_by_name(x->a->kern, x->self->interfaces[i]))
			continue;
		snprintf(fix, sizeof(fix), "ip link show; mend nodes.%s.interfaces in the configuration",
			 x->self->name);
		found(x, DOCTOR_FAIL, fix, "underlay interface %s does not exist", x->self->interfaces[i]);
	}
}

static void check_link(struct exam *x)
{
	const struct link *links[16];
	size_t n = underlay_links(x, links);
	char fix[80];

	for (size_t i = 0; i < n; i++) {
		if (!links[i]->up) {
			snprintf(fix, sizeof(fix), "ip link set %s up", links[i]->name);
			found(x, DOCTOR_FAIL, fix, "underlay interface %s is down", links[i]->name);
		} else if (!links[i]->running) {
			snprintf(fix, sizeof(fix), "ethtool %s; look at the cable, or at the other end",
				 links[i]->name);
			found(x, DOCTOR_FAIL, fix, "underlay interface %s has no carrier", links[i]->name);
		}
	}
}

/* An IPv6 address that is being checked, or was found taken, is not used by the kernel: tunnels from it do not leave.
 */
static void check_dad(struct exam *x)
{
	_cleanup_(file) FILE *f = fopen("/proc/net/if_inet6", "re");
	char hex[33], name[32], text[ADDR_TEXT_SIZE], fix[240];
	unsigned index, length, scope, flags;

	if (!f || !x->self)
		return skip(x);
	while (fscanf(f, "%32s %x %x %x %x %31s", hex, &index, &length, &scope, &flags, name) == 6) {
		struct addr a;

		for (size_t i = 0; i < 16; i++) {
			unsigned byte = 0;

			sscanf(hex + 2 * i, "%2x", &byte);
			a.bytes[i] = (uint8_t)byte;
		}
		for (size_t i = 0; i < x->self->n_underlay; i++) {
			if (!addr_equal(&a, &x->self->underlay[i]) || !(flags & (IFA_F_TENTATIVE | IFA_F_DADFAILED)))
				continue;
			addr_format(&a, text);
			snprintf(fix, sizeof(fix), "ip address replace %s/%u dev %s nodad%s", text, length, name,
				 flags & IFA_F_DADFAILED ? ", when no other host has it" : "");
			found(x, DOCTOR_FAIL, fix, "underlay address %s on %s is %s", text, name,
			      flags & IFA_F_DADFAILED ? "taken by another host (dadfailed)" : "tentative");
		}
	}
}

static void check_forwarding(struct exam *x)
{
	static const char *const families[] = {"ipv4", "ipv6"};

	for (size_t i = 0; i < 2; i++) {
		char path[80], fix[80];
		uint64_t on;

		snprintf(path, sizeof(path), "/proc/sys/net/%s/conf/lo/forwarding", families[i]);
		if (!read_number(path, &on) || on)
			continue;
		snprintf(fix, sizeof(fix), "sysctl -w net.%s.conf.lo.forwarding=1", families[i]);
		found(x, DOCTOR_FAIL, fix,
		      "lo does not forward %s: the data plane cannot ask the kernel for routes to other nodes",
		      families[i]);
	}
}

/* ---- paths ---- */

static void check_route(struct exam *x)
{
	char text[ADDR_TEXT_SIZE], fix[240];

	if (!x->self || !x->a->kern)
		return skip(x);
	for (size_t i = 0; i < x->config->n_nodes; i++) {
		const struct config_node *n = &x->config->nodes[i];
		const struct addr *local = NULL, *remote = n == x->self ? NULL : config_path(x->self, n, &local);
		struct kern_path path;
		int r;

		if (n == x->self)
			continue;
		if (!remote) {
			snprintf(fix, sizeof(fix), "give nodes.%s.underlay an address of the other family too",
				 n->name);
			found(x, DOCTOR_FAIL, fix, "node %s and this one have no address family in common", n->name);
			continue;
		}
		r = kern_path(x->a->kern, remote, local, &path);
		if (r == 0)
			continue;
		addr_format(remote, text);
		snprintf(fix, sizeof(fix), "ip route add %s via GATEWAY dev DEVICE (now: ip route get %s)", text, text);
		found(x, DOCTOR_FAIL, fix, "no route to node %s (%s): %s", n->name, text, strerror(-r));
	}
}

static void check_mtu(struct exam *x)
{
	char fix[160];

	if (!x->self || !x->a->kern)
		return skip(x);
	for (size_t i = 0; i < x->config->n_nodes; i++) {
		const struct config_node *n = &x->config->nodes[i];
		const struct addr *local = NULL, *remote = n == x->self ? NULL : config_path(x->self, n, &local);
		struct kern_path path;
		uint32_t inner, mtu;
		const struct link *link;

		if (!remote || kern_path(x->a->kern, remote, local, &path) < 0)
			continue;
		mtu = secure_path_mtu(x->a, n, remote, path.mtu);
		inner = fwd_tunnel_mtu(mtu, addr_is_v4(remote), config_encrypts_any(x->config, x->self, n));
		if (inner >= INNER_MTU_MIN)
			continue;
		link = kern_link_by_index(x->a->kern, path.ifindex);
		snprintf(fix, sizeof(fix), "ip link set %s mtu 1500 (and look at nodes.%s.mtu and the route's mtu)",
			 link ? link->name : "DEVICE", n->name);
		found(x, DOCTOR_FAIL, fix, "the path to node %s carries %u bytes, %u inside: IPv6 needs %d inside",
		      n->name, mtu, inner, INNER_MTU_MIN);
	}
}

/* ---- others on the same interfaces ---- */

static void check_program(struct exam *x)
{
	const struct link *links[16];
	size_t n = underlay_links(x, links);
	struct kern_filter filters[16];
	char fix[160];

	if (!x->a->dp)
		return skip(x);
	for (size_t i = 0; i < n; i++) {
		int length = kern_filters(links[i]->ifindex, true, filters, 16);
		bool there = false;

		for (int k = 0; k < length && !there; k++) {
			there = strncmp(filters[k].name, "wire_ingress", 12) == 0;
			if (there)
				break;
			snprintf(fix, sizeof(fix), "tc filter del dev %s ingress pref %u, if it is not needed",
				 links[i]->name, filters[k].priority);
			found(x, DOCTOR_WARN, fix, "tc filter %s (pref %u) on %s sees tunnel packets before Isthmus",
			      filters[k].name, filters[k].priority, links[i]->name);
		}
		if (!there)
			found(x, DOCTOR_FAIL, "systemctl restart isthmusd",
			      "the program wire_ingress is not on %s: nothing comes in there", links[i]->name);
	}
}

/*
 * The kernel's VXLAN devices, and programs, hold their port as a UDP socket.  Ours does, for the merging that comes with
 * it (kern/device.c); others would see what is not ours.
 */
static void check_udp(struct exam *x)
{
	static const char *const files[] = {"/proc/net/udp", "/proc/net/udp6"};
	unsigned wanted = x->config ? x->config->vxlan_port : 4789, port;
	char line[512], ours[32];
	const struct link *merging;
	bool taken = false;

	snprintf(ours, sizeof(ours), KERN_MERGE_NAME, wanted);
	merging = x->a->kern ? kern_link_by_name(x->a->kern, ours) : NULL;
	for (size_t i = 0; i < 2; i++) {
		_cleanup_(file) FILE *f = fopen(files[i], "re");

		while (f && fgets(line, sizeof(line), f))
			taken = taken || (sscanf(line, " %*d: %*[0-9A-Fa-f]:%x", &port) == 1 && port == wanted);
	}
	if (merging && merging->up) {
		fine(x, "tunnel packets to UDP port %u are merged on receipt (%s)", wanted, ours);
	} else if (taken) {
		char fix[160];

		snprintf(fix, sizeof(fix),
			 "ip -d link show type vxlan; ss -ulnp sport = :%u; remove it, or set fabric.vxlan_port",
			 wanted);
		found(x, DOCTOR_WARN, fix,
		      "another VXLAN device or program has UDP port %u: it gets no packet that Isthmus takes", wanted);
	} else {
		found(x, DOCTOR_WARN, "modprobe vxlan",
		      "tunnel packets to UDP port %u are not merged on receipt, which costs throughput", wanted);
	}
}

/*
 * Programs of this node come before netfilter, except in a netdev chain on egress; but rules of one host are rules of
 * all.
 */
struct rule_search {
	struct exam *x;
	uint16_t port;
};

static void on_rule(void *arg, const struct kern_rule *rule)
{
	const struct rule_search *s = arg;
	char fix[400];

	snprintf(fix, sizeof(fix), "nft delete rule %s %s %s handle %llu", rule->family, rule->table, rule->chain,
		 (unsigned long long)rule->handle);
	found(s->x, DOCTOR_WARN, fix,
	      "a firewall rule in %s %s %s drops UDP port %u; see that no node and no cloud firewall does",
	      rule->family, rule->table, rule->chain, s->port);
}

static void check_firewall(struct exam *x)
{
	struct rule_search vxlan = {x, x->config ? x->config->vxlan_port : 4789},
			   wireguard = {x, x->config ? x->config->wireguard_port : 51820};

	if (kern_rules_dropping(vxlan.port, on_rule, &vxlan) < 0)
		skip(x);
	else if (secure_has_tunnel(x->a->secure))
		kern_rules_dropping(wireguard.port, on_rule, &wireguard);
}

/* ---- speed ---- */

static void check_offload(struct exam *x)
{
	static const char *const wanted[] = {"tx-udp_tnl-segmentation", "tx-generic-segmentation", "rx-gro"};
	const struct link *links[16];
	size_t n = underlay_links(x, links);
	char fix[120];

	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < sizeof(wanted) / sizeof(wanted[0]); k++) {
			/* A veth merges packets only when it is told to; there it is a choice, not a fault. */
			if (!kern_feature_is_off(links[i]->name, wanted[k]) ||
			    (links[i]->kind == LINK_VETH && strcmp(wanted[k], "rx-gro") == 0))
				continue;
			snprintf(fix, sizeof(fix), "ethtool -K %s %s on", links[i]->name, wanted[k]);
			found(x, DOCTOR_WARN, fix,
			      "%s of %s is off: large packets are cut in software, at half the speed or less", wanted[k],
			      links[i]->name);
		}
}

const struct doctor_check doctor_underlay_checks[] = {
	{"underlay-address", check_address},
	{"underlay-interface", check_interfaces},
	{"underlay-link", check_link},
	{"underlay-ipv6", check_dad},
	{"forwarding", check_forwarding},
	{"route", check_route},
	{"path-mtu", check_mtu},
	{"underlay-program", check_program},
	{"vxlan-port", check_udp},
	{"firewall", check_firewall},
	{"offload", check_offload},
	{0},
};
