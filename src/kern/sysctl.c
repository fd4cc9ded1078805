/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <linux/if_link.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "kern/state.h"
#include "lib/cleanup.h"

/* /proc/sys/net shows the network namespace of the process that looks. */
#define ROOT "/proc/sys/net/"
#define VALUE_SIZE 32
#define SETTINGS_MAX 128 /* of one family; kernels of today have half of that */

struct setting {
	const char *family; /* "ipv4" */
	const char *key;
	const char *value;
	uint8_t number; /* among the values of an interface that rtnetlink tells */
};

/* Together they keep the node's own stack from a workload that got past our programs. */
static const struct setting guard[] = {
#define SWITCH 0
	{"ipv6", "disable_ipv6", "1", DEVCONF_DISABLE_IPV6},
#define SOURCES 1
	/* No route leads back to the port, so any IPv4 source is refused. */
	{"ipv4", "rp_filter", "1", IPV4_DEVCONF_RP_FILTER},
	{"ipv4", "forwarding", "0", IPV4_DEVCONF_FORWARDING},
	{"ipv4", "arp_ignore", "8", IPV4_DEVCONF_ARP_IGNORE}, /* answer no ARP */
	{"ipv4", "proxy_arp", "0", IPV4_DEVCONF_PROXY_ARP},
	{"ipv4", "accept_local", "0", IPV4_DEVCONF_ACCEPT_LOCAL},
	{"ipv4", "route_localnet", "0", IPV4_DEVCONF_ROUTE_LOCALNET},
	{"ipv4", "accept_source_route", "0", IPV4_DEVCONF_ACCEPT_SOURCE_ROUTE},
	{"ipv4", "accept_redirects", "0", IPV4_DEVCONF_ACCEPT_REDIRECTS},
	{"ipv4", "send_redirects", "0", IPV4_DEVCONF_SEND_REDIRECTS},
};

/*
 * In place of those two, of a device by which the node's own stack does speak: its addresses are on others, so sources are
 * routed to those, and it gets none of its own.
 */
static const struct setting inside[] = {
	{"ipv6", "addr_gen_mode", "1", DEVCONF_ADDR_GEN_MODE}, /* before IPv6 is switched on */
	{"ipv6", "accept_ra", "0", DEVCONF_ACCEPT_RA},
	{"ipv6", "accept_redirects", "0", DEVCONF_ACCEPT_REDIRECTS},
	{"ipv4", "rp_filter", "2", IPV4_DEVCONF_RP_FILTER},
};

static int read_value(const char *path, char out[static VALUE_SIZE])
{
	_cleanup_(fd) int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t size;

	if (fd < 0)
		return -errno;
	size = read(fd, out, VALUE_SIZE - 1);
	if (size < 0)
		return -errno;
	out[size] = 0;
	out[strcspn(out, "\n")] = 0;
	return 0;
}

/* 1 changed, 0 was so */
static int write_value(const char *path, const char *value)
{
	_cleanup_(fd) int fd = -1;
	char now[VALUE_SIZE];
	int r = read_value(path, now);

	if (r < 0)
		return r;
	if (strcmp(now, value) == 0)
		return 0;
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (write(fd, value, strlen(value)) < 0)
		return -errno;
	return 1;
}

static int path_of(const struct setting *s, const char *interface, char *out, size_t size)
{
	int n = snprintf(out, size, ROOT "%s/conf/%s/%s", s->family, interface, s->key);

	return n < 0 || (size_t)n >= size ? -ENAMETOOLONG : 0;
}

/* "all" and "default" are not interfaces there, and a slash would lead elsewhere. */
static bool name_is_safe(const char *name)
{
	return name[0] && !strchr(name, '/') && strcmp(name, ".") != 0 && strcmp(name, "..") != 0 &&
	       strcmp(name, "all") != 0 && strcmp(name, "default") != 0;
}

/* An IPv6 setting is missing when the kernel has no IPv6: as good as off.  An IPv4 one, when the interface is gone. */
static int missing(const struct setting *s, int error)
{
	if (error != -ENOENT)
		return error;
	return strcmp(s->family, "ipv6") == 0 ? 0 : -ENODEV;
}

static int set(const struct setting *s, const char *name, const char *value)
{
	char path[128];
	int r = path_of(s, name, path, sizeof(path));

	if (r < 0)
		return r;
	r = write_value(path, value);
	return r < 0 ? missing(s, r) : r;
}

/* Gives `name` the value that `model` has. */
static int set_like(const struct setting *s, const char *model, const char *name)
{
	char path[128], value[VALUE_SIZE];
	int r = path_of(s, model, path, sizeof(path));

	if (r < 0)
		return r;
	r = read_value(path, value);
	if (r < 0)
		return missing(s, r);
	return set(s, name, value);
}

/* How many had to be changed. */
static int set_all(const struct setting *list, size_t n, const char *name)
{
	int changed = 0;

	for (size_t i = 0; i < n; i++) {
		int r = set(&list[i], name, list[i].value);

		if (r < 0)
			return r;
		changed += r;
	}
	return changed;
}

int kern_port_guard(const struct kern *k, const char *name)
{
	return name_is_safe(name) ? set_all(guard, sizeof(guard) / sizeof(*guard), name) : -EINVAL;
}

int kern_inside_guard(struct kern *k, const char *name, bool ipv6)
{
	const size_t rest = SOURCES + 1, n_rest = sizeof(guard) / sizeof(*guard) - rest;
	int changed, more = 0, r;

	if (!name_is_safe(name))
		return -EINVAL;
	changed = set_all(guard + rest, n_rest, name);
	if (changed >= 0)
		more = set_all(inside, sizeof(inside) / sizeof(*inside), name);
	r = changed < 0 ? changed : more < 0 ? more : set(&guard[SWITCH], name, ipv6 ? "0" : guard[SWITCH].value);
	k->inside.suspect |= r > 0; /* where there was no IPv6 there is no route */
	return r < 0 ? r : changed + more + r;
}

struct question {
	bool told, guarded;
};

/* A family that the interface does not speak needs no guard. */
static bool is_so(const struct setting *s, const struct nlattr *families)
{
	bool ipv4 = strcmp(s->family, "ipv4") == 0;
	size_t at = ipv4 ? (size_t)s->number - 1 : s->number;
	uint32_t values[SETTINGS_MAX];
	size_t n = rtnl_settings(families, ipv4 ? AF_INET : AF_INET6, values, SETTINGS_MAX);

	return at >= n || values[at] == strtoul(s->value, NULL, 10);
}

static void on_settings(void *arg, const struct rtnl_message *m)
{
	struct question *q = arg;

	if (m->kind != RTNL_LINK)
		return;
	q->told = m->families;
	q->guarded = true;
	for (size_t i = 0; i < sizeof(guard) / sizeof(*guard); i++)
		q->guarded = q->guarded && is_so(&guard[i], m->families);
}

int kern_port_is_guarded(struct kern *k, uint32_t ifindex)
{
	char buffer[MNL_NLMSG_HDRLEN + 64] __attribute__((aligned(4)));
	struct nlmsghdr *h = mnl_nlmsg_put_header(buffer);
	struct question q = {0};
	struct ifinfomsg *i;
	int r;

	h->nlmsg_type = RTM_GETLINK;
	i = mnl_nlmsg_put_extra_header(h, sizeof(*i));
	i->ifi_index = (int)ifindex;
	mnl_attr_put_u32(h, IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
	r = rtnl_request(&k->asking, h, on_settings, &q);
	if (r < 0)
		return r;
	return q.told ? q.guarded : -ENODATA;
}

int kern_port_unguard(const struct kern *k, const char *name)
{
	if (!name_is_safe(name))
		return -EINVAL;
	for (size_t i = 0; i < sizeof(guard) / sizeof(*guard); i++) {
		int r = set_like(&guard[i], "default", name);

		if (r < 0)
			return r;
	}
	return 0;
}

/*
 * Only lo's own switch.  IPv6 packets are forwarded only where conf/all says so, whatever lo says; IPv4 packets that
 * arrive on lo come from this host and are for this host.
 */
static const struct setting fib[] = {
	{"ipv4", "forwarding", "1"},
	{"ipv6", "forwarding", "1"},
};

int kern_fib_enable(const struct kern *k)
{
	int changed = 0;

	for (size_t i = 0; i < sizeof(fib) / sizeof(*fib); i++) {
		int r = set(&fib[i], "lo", fib[i].value);

		if (r < 0)
			return r;
		changed |= r;
	}
	return changed;
}

int kern_fib_disable(const struct kern *k)
{
	for (size_t i = 0; i < sizeof(fib) / sizeof(*fib); i++) {
		int r = set_like(&fib[i], "all", "lo");

		if (r < 0)
			return r;
	}
	return 0;
}
