/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "kern/kern.h"
#include "lib/cleanup.h"

/* /proc/sys/net shows the network namespace of the process that looks. */
#define ROOT "/proc/sys/net/"
#define VALUE_SIZE 32

struct setting {
	const char *family; /* "ipv4" */
	const char *key;
	const char *value;
};

/* Together they keep the node's own stack from a workload that got past our programs. */
static const struct setting guard[] = {
	{"ipv6", "disable_ipv6", "1"},
	{"ipv4", "rp_filter", "1"}, /* no route leads back to the port, so any IPv4 source is refused */
	{"ipv4", "forwarding", "0"},
	{"ipv4", "arp_ignore", "8"}, /* answer no ARP */
	{"ipv4", "proxy_arp", "0"},
	{"ipv4", "accept_local", "0"},
	{"ipv4", "route_localnet", "0"},
	{"ipv4", "accept_source_route", "0"},
	{"ipv4", "accept_redirects", "0"},
	{"ipv4", "send_redirects", "0"},
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

int kern_port_guard(const struct kern *k, const char *name)
{
	int changed = 0;

	if (!name_is_safe(name))
		return -EINVAL;
	for (size_t i = 0; i < sizeof(guard) / sizeof(*guard); i++) {
		int r = set(&guard[i], name, guard[i].value);

		if (r < 0)
			return r;
		changed += r;
	}
	return changed;
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
