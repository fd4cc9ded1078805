/* SPDX-License-Identifier: Apache-2.0 */
/* rtnetlink as the kernel speaks it: links, addresses, filters and paths as they change, in a namespace of our own. */
#include <errno.h>
#include <linux/rtnetlink.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "kern/feature.h"
#include "kern/kern.h"
#include "lib/hmap.h"
#include "sandbox.h"

struct world {
	struct sandbox box;
	struct kern *kern;
	struct link last; /* of on_link */
	char gone[IF_NAMESIZE];
	uint32_t filter_gone;
	uint32_t watched; /* of the links that filters are told of */
	unsigned n_watched;
	int n_links, n_gone, n_filters, n_routes;
};

static void on_link(void *arg, const struct link *link)
{
	struct world *w = arg;

	w->last = *link;
	w->n_links++;
}

static void on_link_gone(void *arg, uint32_t ifindex, const char *name)
{
	struct world *w = arg;

	snprintf(w->gone, sizeof(w->gone), "%s", name);
	w->n_gone++;
}

static void on_filter_gone(void *arg, uint32_t ifindex)
{
	struct world *w = arg;

	w->filter_gone = ifindex;
	w->n_filters++;
	w->n_watched += ifindex == w->watched;
}

static void on_route_change(void *arg)
{
	((struct world *)arg)->n_routes++;
}

static const struct kern_callbacks callbacks = {
	.on_link = on_link,
	.on_link_gone = on_link_gone,
	.on_filter_gone = on_filter_gone,
	.on_route_change = on_route_change,
};

/* Reads what the kernel has to say until `condition` holds; false after two silent seconds. */
#define wait_until(w, condition)                                                                                       \
	({                                                                                                             \
		bool held_ = false;                                                                                    \
		for (struct pollfd p_ = {.fd = kern_fd((w)->kern), .events = POLLIN};                                  \
		     !(held_ = (condition)) && poll(&p_, 1, 2000) > 0;)                                                \
			assert_int_equal(kern_read((w)->kern), 0);                                                     \
		held_;                                                                                                 \
	})

/* All that was said so far; notifications are queued before the command that caused them ends. */
static void drain(struct world *w)
{
	assert_int_equal(kern_read(w->kern), 0);
}

/* One that carries: with both ends up. */
#define A_LINK "ip link add d0 type veth peer name d1; ip link set d0 up; ip link set d1 up;"

static struct addr address(const char *text)
{
	struct addr a;

	assert_int_equal(addr_parse(text, &a), 0);
	return a;
}

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	if (!w || sandbox_enter(&w->box) < 0 || run("ip link set lo up") != 0 || kern_open(&callbacks, w, &w->kern) < 0)
		return -1;
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	kern_close(w->kern);
	sandbox_leave(&w->box);
	free(w);
	return 0;
}

/* ---- links ------------------------------------------------------------------------------------------------------- */

static void a_link_is_seen_from_birth_to_end(void **state)
{
	struct world *w = *state;
	const struct link *link;
	uint32_t ifindex;

	assert_int_equal(run("ip link add v0 address 02:00:00:00:00:01 mtu 1400 type veth peer name v1"), 0);
	assert_true(wait_until(w, kern_link_by_name(w->kern, "v0")));
	link = kern_link_by_name(w->kern, "v0");
	ifindex = link->ifindex;
	assert_int_equal(ifindex, if_nametoindex("v0"));
	assert_int_equal(link->kind, LINK_VETH);
	assert_int_equal(link->mtu, 1400);
	assert_int_equal(link->mac.bytes[5], 1);
	assert_false(link->up);
	assert_false(link->peer_away);
	assert_ptr_equal(kern_link_by_index(w->kern, ifindex), link);

	assert_int_equal(run("ip link set v0 up; ip link set v1 up"), 0);
	assert_true(wait_until(w, kern_link_by_name(w->kern, "v0")->running));
	assert_true(kern_link_by_name(w->kern, "v0")->up);

	assert_int_equal(run("ip link set v0 down; ip link set v0 name other"), 0);
	assert_true(wait_until(w, kern_link_by_name(w->kern, "other")));
	assert_null(kern_link_by_name(w->kern, "v0"));
	assert_int_equal(kern_link_by_name(w->kern, "other")->ifindex, ifindex);

	assert_int_equal(run("ip link del other"), 0);
	assert_true(wait_until(w, w->n_gone == 2));
	assert_null(kern_link_by_name(w->kern, "other"));
	assert_null(kern_link_by_name(w->kern, "v0"));
	assert_null(kern_link_by_index(w->kern, ifindex));
	assert_non_null(kern_link_by_name(w->kern, "lo"));
	assert_int_equal(kern_link_by_name(w->kern, "lo")->kind, LINK_LOOPBACK);
}

static void two_links_may_swap_their_names(void **state)
{
	struct world *w = *state;
	uint32_t a, b;

	assert_int_equal(run("ip link add na type bridge; ip link add nb type bridge"), 0);
	a = if_nametoindex("na");
	b = if_nametoindex("nb");
	assert_int_equal(run("ip link set na name nc; ip link set nb name na; ip link set nc name nb"), 0);
	assert_true(wait_until(w, kern_link_by_name(w->kern, "nb") && kern_link_by_name(w->kern, "nb")->ifindex == a));
	assert_int_equal(kern_link_by_name(w->kern, "na")->ifindex, b);
	assert_null(kern_link_by_name(w->kern, "nc"));
}

static void a_peer_in_another_namespace_is_known(void **state)
{
	struct world *w = *state;
	char line[32];
	FILE *f = popen("exec unshare -n sh -c 'echo $$; exec sleep 20'", "r"); /* holds the other namespace */

	assert_non_null(f);
	assert_non_null(fgets(line, sizeof(line), f));
	assert_int_equal(run("ip link add v0 type veth peer name v1 && ip link set v1 netns %d && ip link set v0 up",
			     atoi(line)), 0);
	assert_true(wait_until(w, kern_link_by_name(w->kern, "v0") && kern_link_by_name(w->kern, "v0")->peer_away));
	assert_int_equal(run("kill %d", atoi(line)), 0);
	pclose(f);
}

static void a_port_that_leaves_its_bridge_is_not_gone(void **state)
{
	struct world *w = *state;

	assert_int_equal(
		run("ip link add br0 type bridge; ip link add v0 type veth peer name v1; ip link set v0 master br0"),
		0);
	assert_true(wait_until(w, kern_link_by_name(w->kern, "v0") &&
					  kern_link_by_name(w->kern, "v0")->master == if_nametoindex("br0")));
	assert_int_equal(run("ip link set v0 nomaster"), 0);
	assert_true(wait_until(w, kern_link_by_name(w->kern, "v0") && kern_link_by_name(w->kern, "v0")->master == 0));
	assert_int_equal(w->n_gone, 0);
}

static void a_tap_is_told_from_other_links(void **state)
{
	struct world *w = *state;

	if (run("ip tuntap add t0 mode tap 2>/dev/null") != 0)
		skip(); /* no /dev/net/tun here */
	assert_int_equal(run("ip tuntap add t1 mode tun; ip link add d0 type bridge"), 0);
	assert_true(wait_until(w, kern_link_by_name(w->kern, "d0")));
	assert_int_equal(kern_link_by_name(w->kern, "t0")->kind, LINK_TUN);
	assert_int_equal(kern_link_by_name(w->kern, "t1")->kind, LINK_OTHER);
	assert_int_equal(kern_link_by_name(w->kern, "d0")->kind, LINK_OTHER);
}

static void counters_are_no_change(void **state)
{
	struct world *w = *state;
	uint64_t before;
	int links;

	assert_int_equal(run("ip addr add 127.0.0.1/8 dev lo 2>/dev/null; ping -c1 -q 127.0.0.1 >/dev/null"), 0);
	drain(w);
	links = w->n_links;
	before = kern_link_by_name(w->kern, "lo")->rx_packets;
	assert_int_equal(run("ping -c2 -i0.01 -q 127.0.0.1 >/dev/null"), 0);
	assert_int_equal(kern_links_refresh(w->kern), 0);
	assert_true(kern_link_by_name(w->kern, "lo")->rx_packets >= before + 4);
	assert_int_equal(w->n_links, links);
}

static bool count_link(void *arg, const struct link *link)
{
	++*(int *)arg;
	return true;
}

/* The socket is made small, three hundred links are born unheard, some die: the new dump finds the truth. */
static void lost_notifications_lead_to_a_new_dump(void **state)
{
	struct world *w = *state;
	int size = 1, n = 0;

	assert_int_equal(run("ip link add reborn type bridge; ip link add doomed type bridge && ip addr add "
			     "192.0.2.1/24 dev doomed"),
			 0);
	assert_true(wait_until(w, kern_link_by_name(w->kern, "doomed")));
	assert_int_equal(setsockopt(kern_fd(w->kern), SOL_SOCKET, SO_RCVBUF, &size, sizeof(size)), 0);
	assert_int_equal(run("i=0; while [ $i -lt 300 ]; do echo link add n$i type bridge; i=$((i+1)); done >%s/batch; "
			     "echo link del doomed >>%s/batch; echo link del reborn >>%s/batch;"
			     "echo link add reborn type bridge >>%s/batch; ip -batch %s/batch",
			     w->box.directory, w->box.directory, w->box.directory, w->box.directory, w->box.directory),
			 0);
	w->n_links = w->n_gone = w->n_filters = w->n_routes = 0;
	assert_true(wait_until(w, kern_link_by_name(w->kern, "n299")));
	for (int i = 0; i < 300; i++) {
		char name[IF_NAMESIZE];

		snprintf(name, sizeof(name), "n%d", i);
		assert_non_null(kern_link_by_name(w->kern, name));
	}
	assert_null(kern_link_by_name(w->kern, "doomed"));
	assert_int_equal(w->n_gone, 2);
	assert_int_equal(kern_link_by_name(w->kern, "reborn")->ifindex, if_nametoindex("reborn"));
	kern_link_each(w->kern, count_link, &n);
	assert_int_equal(w->n_links, 301);
	assert_true(w->n_filters >= n); /* every filter is to be looked at */
	assert_true(w->n_routes >= 1);
}

/* ---- addresses, routes, filters ---------------------------------------------------------------------------------- */

static void an_address_leads_to_its_link(void **state)
{
	struct world *w = *state;
	struct addr four = address("192.0.2.11"), six = address("2001:db8::11");

	assert_null(kern_link_with_address(w->kern, &four));
	assert_int_equal(run(A_LINK " ip addr add 192.0.2.11/24 dev d0; ip addr add 2001:db8::11/64 dev d0 nodad"), 0);
	assert_true(wait_until(w, kern_link_with_address(w->kern, &six)));
	assert_string_equal(kern_link_with_address(w->kern, &four)->name, "d0");
	assert_string_equal(kern_link_with_address(w->kern, &six)->name, "d0");
	assert_true(w->n_routes > 0);
	assert_int_equal(run("ip addr del 192.0.2.11/24 dev d0"), 0);
	assert_true(wait_until(w, !kern_link_with_address(w->kern, &four)));
	assert_non_null(kern_link_with_address(w->kern, &six));
}

static void a_route_change_is_told_once_for_many(void **state)
{
	struct world *w = *state;

	assert_int_equal(run(A_LINK " ip addr add 192.0.2.11/24 dev d0"), 0);
	drain(w);
	w->n_routes = 0;
	assert_int_equal(run("for i in 1 2 3 4 5; do ip route add 10.$i.0.0/16 via 192.0.2.1; done"), 0);
	drain(w);
	assert_int_equal(w->n_routes, 1);
	assert_int_equal(run("ip rule add to 10.0.0.0/8 table 7"), 0);
	drain(w);
	assert_int_equal(w->n_routes, 2);
	assert_int_equal(run("echo 1 >/proc/sys/net/ipv4/ip_forward"), 0); /* takes lo along */
	drain(w);
	assert_int_equal(w->n_routes, 3);
}

static void a_removed_or_replaced_filter_is_told(void **state)
{
	struct world *w = *state;
	uint32_t ifindex;

	assert_int_equal(run("ip link add d0 type bridge; tc qdisc add dev d0 clsact"), 0);
	ifindex = if_nametoindex("d0");
	drain(w); /* a new interface's settings are told too */
	w->n_filters = 0;
	assert_int_equal(run("tc filter add dev d0 ingress prio 1 handle 1 bpf da bytecode '1,6 0 0 0'"), 0);
	drain(w);
	assert_int_equal(w->n_filters, 0); /* new beside others takes nothing away */
	assert_int_equal(run("tc filter replace dev d0 ingress prio 1 handle 1 bpf da bytecode '1,6 0 0 0'"), 0);
	drain(w);
	assert_int_equal(w->n_filters, 1);
	assert_int_equal(w->filter_gone, ifindex);
	assert_int_equal(run("tc filter del dev d0 ingress prio 1"), 0);
	drain(w);
	assert_int_equal(w->n_filters, 2);
	assert_int_equal(run("tc qdisc del dev d0 clsact"), 0);
	drain(w);
	assert_int_equal(w->n_filters, 3);
}

/* ---- paths ------------------------------------------------------------------------------------------------------- */

static void a_path_has_device_gateway_source_and_size(void **state)
{
	struct world *w = *state;
	struct addr far4 = address("198.51.100.21"), near4 = address("192.0.2.77"), far6 = address("2001:db8:1::21");
	struct addr own4 = address("192.0.2.11"), own6 = address("2001:db8::11"), gateway4 = address("192.0.2.1");
	struct addr gateway6 = address("2001:db8::1"), lost = address("203.0.113.1");
	struct kern_path path;

	assert_int_equal(run(A_LINK "ip link set d0 mtu 1600; ip addr add 192.0.2.11/24 dev d0;"
			     "ip addr add 2001:db8::11/64 dev d0 nodad"), 0);
	assert_int_equal(run("ip route add 198.51.100.0/24 via 192.0.2.1 mtu 1400;"
			     "ip route add 2001:db8:1::/64 via 2001:db8::1 mtu 9000"), 0);
	drain(w);
	assert_int_equal(kern_path(w->kern, &far4, &own4, &path), 0);
	assert_int_equal(path.ifindex, if_nametoindex("d0"));
	assert_int_equal(path.mtu, 1400);
	assert_true(addr_equal(&path.gateway, &gateway4));
	assert_true(addr_equal(&path.source, &own4));

	assert_int_equal(kern_path(w->kern, &near4, NULL, &path), 0);
	assert_int_equal(path.mtu, 1600);
	assert_true(addr_is_unspecified(&path.gateway));
	assert_true(addr_equal(&path.source, &own4));

	assert_int_equal(kern_path(w->kern, &far6, &own6, &path), 0);
	assert_int_equal(path.mtu, 1600); /* the device bounds the route */
	assert_true(addr_equal(&path.gateway, &gateway6));
	assert_true(addr_equal(&path.source, &own6));

	assert_int_equal(kern_path(w->kern, &lost, &own4, &path), -ENETUNREACH);
}

static void a_neighbour_is_kept_and_handed_back(void **state)
{
	struct world *w = *state;
	struct addr four = address("192.0.2.1"), six = address("2001:db8::1"), fixed = address("192.0.2.9");
	uint32_t ifindex;

	assert_int_equal(run(A_LINK "ip addr add 192.0.2.11/24 dev d0; ip addr add 2001:db8::11/64 dev d0 nodad;"
			     "ip neigh add 192.0.2.9 dev d0 lladdr 02:00:00:00:00:09 nud permanent"), 0);
	ifindex = if_nametoindex("d0");
	assert_int_equal(kern_neighbour_keep(w->kern, ifindex, &four), 0);
	assert_int_equal(kern_neighbour_keep(w->kern, ifindex, &four), 0);
	assert_int_equal(kern_neighbour_keep(w->kern, ifindex, &six), 0);
	assert_int_equal(kern_neighbour_keep(w->kern, ifindex, &fixed), 0);
	assert_int_equal(run("ip neigh show 192.0.2.1 | grep -q managed"), 0);
	assert_int_equal(run("ip neigh show 2001:db8::1 | grep -q managed"), 0);
	assert_int_equal(run("ip neigh show 192.0.2.9 | grep -q PERMANENT"), 0); /* the administrator's is left alone */
	assert_int_equal(kern_neighbours_release(w->kern), 0);
	assert_int_not_equal(run("ip neigh show | grep -q managed"), 0);
	assert_true(kern_neighbour_keep(w->kern, 99999, &four) < 0);
}

/* ---- sysctls ----------------------------------------------------------------------------------------------------- */

static int value_of(const char *path)
{
	char full[128];
	int value = -1;
	FILE *f;

	snprintf(full, sizeof(full), "/proc/sys/net/%s", path);
	f = fopen(full, "re");
	if (f) {
		assert_int_equal(fscanf(f, "%d", &value), 1);
		fclose(f);
	}
	return value;
}

static void a_guarded_port_is_cut_off_from_the_host(void **state)
{
	struct world *w = *state;
	static const char *const settings[] = {
		"ipv6/conf/p.0/disable_ipv6",     "ipv4/conf/p.0/rp_filter",
		"ipv4/conf/p.0/forwarding",       "ipv4/conf/p.0/arp_ignore",
		"ipv4/conf/p.0/proxy_arp",        "ipv4/conf/p.0/accept_local",
		"ipv4/conf/p.0/route_localnet",   "ipv4/conf/p.0/accept_source_route",
		"ipv4/conf/p.0/accept_redirects", "ipv4/conf/p.0/send_redirects",
	};
	int rp_filter, arp_ignore;

	assert_int_equal(run("ip link add p.0 type bridge"), 0); /* a dot is part of the name, not of the path */
	rp_filter = value_of("ipv4/conf/p.0/rp_filter");
	arp_ignore = value_of("ipv4/conf/p.0/arp_ignore");
	assert_true(kern_port_guard(w->kern, "p.0") > 0);
	assert_int_equal(value_of("ipv6/conf/p.0/disable_ipv6"), 1);
	assert_int_equal(value_of("ipv4/conf/p.0/rp_filter"), 1);
	assert_int_equal(value_of("ipv4/conf/p.0/forwarding"), 0);
	assert_int_equal(value_of("ipv4/conf/p.0/arp_ignore"), 8);
	assert_int_equal(value_of("ipv4/conf/p.0/accept_local"), 0);
	assert_int_equal(kern_port_guard(w->kern, "p.0"), 0); /* nothing to change */
	assert_int_equal(kern_port_is_guarded(w->kern, if_nametoindex("p.0")), 1);
	for (size_t i = 0; i < sizeof(settings) / sizeof(*settings); i++) {
		int right = value_of(settings[i]);

		assert_int_equal(run("echo %d > /proc/sys/net/%s", !right, settings[i]), 0);
		assert_int_equal(kern_port_is_guarded(w->kern, if_nametoindex("p.0")), 0);
		assert_int_equal(kern_port_guard(w->kern, "p.0"), 1);
		assert_int_equal(value_of(settings[i]), right);
		assert_int_equal(kern_port_is_guarded(w->kern, if_nametoindex("p.0")), 1);
	}
	assert_int_equal(kern_port_is_guarded(w->kern, 1u << 30), -ENODEV);
	assert_int_equal(kern_port_unguard(w->kern, "p.0"), 0);
	assert_int_equal(value_of("ipv6/conf/p.0/disable_ipv6"), 0);
	assert_int_equal(value_of("ipv4/conf/p.0/rp_filter"), rp_filter);
	assert_int_equal(value_of("ipv4/conf/p.0/arp_ignore"), arp_ignore);

	assert_int_equal(kern_port_guard(w->kern, "nobody"), -ENODEV);
	assert_int_equal(kern_port_guard(w->kern, "all"), -EINVAL);
	assert_int_equal(kern_port_guard(w->kern, "../../all"), -EINVAL);
}

#define WAY "ip -6 route show table 4919 | grep -q 'default dev t0 proto 73'"
#define RULE "ip -6 rule | grep -q '^69:.*oif t0 lookup 4919 proto 73'"
#define ADDRESS "ip address show dev t0 | grep -q '127.73.83.84/32 scope host'"

/* The device is heard by sockets that are bound to it, and has a way for them alone. */
static void bound_sockets_have_a_way(void **state)
{
	struct world *w = *state;
	uint32_t ifindex;

	assert_int_equal(run("ip tuntap add t0 mode tap && ip link set t0 arp off multicast off up"), 0);
	ifindex = if_nametoindex("t0");
	assert_true(kern_port_guard(w->kern, "t0") > 0);
	assert_true(kern_inside_guard(w->kern, "t0", false) > 0);
	assert_int_equal(kern_inside_guard(w->kern, "t0", false), 0);
	assert_int_equal(value_of("ipv4/conf/t0/rp_filter"), 2);
	assert_int_equal(value_of("ipv4/conf/t0/forwarding"), 0);
	assert_int_equal(value_of("ipv6/conf/t0/disable_ipv6"), 1);
	assert_int_equal(kern_inside_enable(w->kern, "t0", ifindex, false), 1);
	assert_int_equal(run(ADDRESS), 0);
	assert_int_not_equal(run(RULE), 0);
	assert_true(kern_inside_guard(w->kern, "t0", true) > 0);
	assert_int_equal(value_of("ipv6/conf/t0/disable_ipv6"), 0);
	assert_int_not_equal(run("ip -6 address show dev t0 | grep -q inet6"), 0); /* none of its own */
	assert_int_equal(kern_inside_enable(w->kern, "t0", ifindex, true), 1);
	assert_int_equal(run(RULE " && " WAY), 0);
	assert_true(wait_until(w, kern_inside_enable(w->kern, "t0", ifindex, true) == 0));
	assert_int_equal(run("ip -6 route get 2001:db8::1 oif t0 | grep -q 'dev t0'"), 0);
	assert_int_not_equal(run("ip -6 route get 2001:db8::1"), 0); /* and for nobody else */
	kern_inside_disable(w->kern);
	assert_int_not_equal(run(RULE " || " ADDRESS), 0);
	assert_int_equal(kern_inside_disable(w->kern), 0);
	assert_int_equal(kern_inside_guard(w->kern, "../all", true), -EINVAL);
	assert_int_equal(kern_inside_enable(w->kern, "t0", 1u << 30, true), -ENODEV);
}

static void a_way_that_others_take_away_is_back(void **state)
{
	static const char *const breaks[] = {
		"ip -6 rule del pref 69", "ip -6 route flush table 4919", "ip address flush dev t0",
		"ip link set t0 down && ip link set t0 up",
	};
	struct world *w = *state;
	uint32_t ifindex;

	assert_int_equal(run("ip tuntap add t0 mode tap && ip link set t0 arp off multicast off up"), 0);
	ifindex = if_nametoindex("t0");
	assert_true(kern_inside_guard(w->kern, "t0", true) >= 0);
	assert_int_equal(kern_inside_enable(w->kern, "t0", ifindex, true), 1);
	for (size_t i = 0; i < sizeof(breaks) / sizeof(*breaks); i++) {
		assert_true(wait_until(w, kern_inside_enable(w->kern, "t0", ifindex, true) == 0));
		assert_int_equal(run("%s", breaks[i]), 0);
		assert_true(wait_until(w, kern_inside_enable(w->kern, "t0", ifindex, true) > 0));
		assert_int_equal(run(RULE " && " WAY " && " ADDRESS), 0);
	}
}

/* What nobody tells of is looked at in turns; these are told. */
static void an_opened_guard_is_told(void **state)
{
	static const char *const openings[] = {
		"sysctl -qw net.ipv4.conf.p0.forwarding=1", "sysctl -qw net.ipv4.conf.p0.rp_filter=0",
		"sysctl -qw net.ipv4.conf.p0.proxy_arp=1",  "sysctl -qw net.ipv6.conf.p0.disable_ipv6=0",
		"sysctl -qw net.ipv4.ip_forward=0 net.ipv4.ip_forward=1",
	};
	struct world *w = *state;
	uint32_t ifindex;

	/* Without detection of duplicates an IPv6 address is told at once. */
	assert_int_equal(run("sysctl -qw net.ipv6.conf.default.accept_dad=0; ip link add p0 type veth peer name p1;"
			     "ip link set p1 up; ip link set p0 up"), 0);
	ifindex = if_nametoindex("p0");
	assert_true(kern_port_guard(w->kern, "p0") > 0);
	assert_true(wait_until(w, kern_link_by_name(w->kern, "p0") && kern_link_by_name(w->kern, "p0")->up));
	drain(w);
	w->watched = ifindex;
	for (size_t i = 0; i < sizeof(openings) / sizeof(openings[0]); i++) {
		w->n_watched = 0;
		assert_int_equal(run("%s", openings[i]), 0);
		if (!wait_until(w, w->n_watched > 0) || kern_port_guard(w->kern, "p0") != 1)
			fail_msg("not told, or nothing to mend: %s", openings[i]);
	}
	/* Our own writing is none. */
	drain(w);
	w->n_filters = 0;
	assert_true(kern_port_unguard(w->kern, "p0") >= 0);
	drain(w);
	w->n_filters = 0;
	assert_true(kern_port_guard(w->kern, "p0") > 0);
	drain(w);
	assert_int_equal(w->n_filters, 0);
}

static void only_lo_forwards(void **state)
{
	struct world *w = *state;

	assert_int_equal(run("ip link add d0 type bridge; ip link add d1 type bridge"), 0);
	assert_int_equal(kern_fib_enable(w->kern), 1);
	assert_int_equal(kern_fib_enable(w->kern), 0);
	assert_int_equal(value_of("ipv4/conf/lo/forwarding"), 1);
	assert_int_equal(value_of("ipv6/conf/lo/forwarding"), 1);
	for (size_t i = 0; i < 2; i++) {
		static const char *const names[] = {"d0", "d1"};
		char path[64];

		snprintf(path, sizeof(path), "ipv4/conf/%s/forwarding", names[i]);
		assert_int_equal(value_of(path), 0);
		snprintf(path, sizeof(path), "ipv6/conf/%s/forwarding", names[i]);
		assert_int_equal(value_of(path), 0);
	}
	assert_int_equal(value_of("ipv4/conf/all/forwarding"), 0);
	assert_int_equal(value_of("ipv6/conf/all/forwarding"), 0);
	assert_int_equal(value_of("ipv4/conf/default/forwarding"), 0);
	assert_int_equal(kern_fib_disable(w->kern), 0);
	assert_int_equal(value_of("ipv4/conf/lo/forwarding"), 0);
	assert_int_equal(value_of("ipv6/conf/lo/forwarding"), 0);
}

/* Its device is made, found, guarded, moved to another port, and taken away. */
static void tunnels_are_merged(void **state)
{
	struct world *w = *state;

	assert_int_equal(kern_merge_enable(w->kern, 4789), 1);
	assert_true(wait_until(w, kern_link_by_name(w->kern, "isthmus4789") && kern_link_by_name(w->kern, "isthmus4789")->up));
	assert_int_equal(kern_merge_enable(w->kern, 4789), 0);
	assert_int_equal(value_of("ipv6/conf/isthmus4789/disable_ipv6"), 1);
	assert_int_equal(run("ip link add isthmus7 type bridge; ip link add isthmus070 type bridge"), 0); /* no port's name */
	drain(w);
	assert_int_equal(kern_merge_enable(w->kern, 8472), 1);
	drain(w);
	assert_non_null(kern_link_by_name(w->kern, "isthmus4789")); /* may be another daemon's */
	assert_int_equal(kern_merge_disable(w->kern, 4789), 0);
	assert_true(wait_until(w, !kern_link_by_name(w->kern, "isthmus4789") && kern_link_by_name(w->kern, "isthmus8472")));
	/* Somebody else's, with other options, has the port: it stays as it was. */
	assert_int_equal(run("ip link add vx9 type vxlan id 9 dstport 4790; ip link set vx9 up"), 0);
	assert_int_equal(kern_merge_enable(w->kern, 4790), -EADDRINUSE);
	assert_true(wait_until(w, !kern_link_by_name(w->kern, "isthmus4790")));
	assert_int_equal(kern_merge_disable(w->kern, 0), 0);
	drain(w);
	assert_true(wait_until(w, !kern_link_by_name(w->kern, "isthmus8472")));
	assert_non_null(kern_link_by_name(w->kern, "isthmus7"));
	assert_non_null(kern_link_by_name(w->kern, "isthmus070"));
	assert_int_equal(kern_merge_enable(w->kern, 7), -EEXIST);
}

static void datagrams_are_cut(void **state)
{
	struct world *w = *state;

	assert_int_equal(kern_cut_ifindex(w->kern), 0);
	assert_int_equal(kern_cut_enable(w->kern), 1);
	assert_int_equal(kern_cut_ifindex(w->kern), if_nametoindex("isthmus-cut"));
	assert_int_equal(kern_cut_enable(w->kern), 0);
	assert_true(kern_feature_is_off("isthmus-cut", "tx-udp-segmentation"));
	assert_false(kern_feature_is_off("isthmus-cut", "tx-tcp-segmentation"));
	assert_false(kern_feature_is_off("nobody", "tx-udp-segmentation"));
	assert_int_equal(kern_feature_switch_off("isthmus-cut", "no-such-thing"), 0);
	assert_int_equal(kern_feature_switch_off("nobody", "tx-udp-segmentation"), -ENODEV);
	assert_int_equal(value_of("ipv6/conf/isthmus-cut-in/disable_ipv6"), 1);
	assert_int_equal(run("ethtool -K isthmus-cut tx-udp-segmentation on; sysctl -qw net.ipv4.conf.isthmus-cut-in.rp_filter=0"), 0);
	assert_int_equal(kern_cut_enable(w->kern), 1);
	assert_true(kern_feature_is_off("isthmus-cut", "tx-udp-segmentation"));
	assert_int_equal(value_of("ipv4/conf/isthmus-cut-in/rp_filter"), 1);
	assert_int_equal(run("ip link set isthmus-cut mtu 1400"), 0);
	assert_true(wait_until(w, kern_cut_ifindex(w->kern) == 0));
	assert_int_equal(kern_cut_enable(w->kern), 1);
	assert_int_equal(run("ip link set isthmus-cut-in down"), 0);
	assert_true(wait_until(w, kern_cut_ifindex(w->kern) == 0));
	assert_int_equal(kern_cut_enable(w->kern), 1); /* a new pair */
	assert_int_equal(kern_cut_disable(w->kern), 0);
	assert_int_equal(if_nametoindex("isthmus-cut-in"), 0);
	assert_int_equal(kern_cut_disable(w->kern), 0);
}

#define ROW(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ROW(a_link_is_seen_from_birth_to_end),
		ROW(two_links_may_swap_their_names),
		ROW(a_peer_in_another_namespace_is_known),
		ROW(a_port_that_leaves_its_bridge_is_not_gone),
		ROW(a_tap_is_told_from_other_links),
		ROW(counters_are_no_change),
		ROW(lost_notifications_lead_to_a_new_dump),
		ROW(an_address_leads_to_its_link),
		ROW(a_route_change_is_told_once_for_many),
		ROW(a_removed_or_replaced_filter_is_told),
		ROW(a_path_has_device_gateway_source_and_size),
		ROW(a_neighbour_is_kept_and_handed_back),
		ROW(a_guarded_port_is_cut_off_from_the_host),
		ROW(bound_sockets_have_a_way),
		ROW(a_way_that_others_take_away_is_back),
		ROW(an_opened_guard_is_told),
		ROW(only_lo_forwards),
		ROW(tunnels_are_merged),
		ROW(datagrams_are_cut),
	};

	if (geteuid() != 0) {
		printf("1..0 # SKIP needs root\n");
		return 0;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
