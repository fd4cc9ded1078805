/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who may come in: listening sockets with their neighbors' keys and distances, and what becomes of a stranger.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "agent/bgp_guard.h"
#include "agent/bgp_socket_state.h"
#include "lib/cleanup.h"

#define BACKLOG 128
#define ACCEPTS_A_TURN 64
#define OPEN_OF_PEER 4     /* accepted and not closed yet: more than two are of no use to it (RFC 4271 6.8) */
#define PAUSE_MS 1000      /* without descriptors */

static struct addr addr_of(const union name *n)
{
	struct addr a = {0};

	if (n->any.sa_family == AF_INET)
		return addr_from_v4((const uint8_t *)&n->v4.sin_addr);
	memcpy(a.bytes, &n->v6.sin6_addr, 16);
	return a;
}

static void turn_away(struct bgp_sockets *s, int fd, const struct addr *remote, const char *why)
{
	const struct linger now = {.l_onoff = 1};
	char address[ADDR_TEXT_SIZE];

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	log_limited(&s->stranger_limit, LOG_LEVEL_WARNING, "BGP: a connection from %s is reset: %s",
		    addr_format(remote, address), why);
}

/* NULL: it may come in. */
static const char *reason_to_refuse(const struct listener *l, const struct peer *p, int fd)
{
	if (!p)
		return "it is no neighbor of this node";
	if (p->inside && !l->device)
		return "it comes in clear text, and its session is encrypted";
	if (!p->inside && l->device)
		return "it comes by the tunnel, and its session is not encrypted";
	if (p->n_accepted >= OPEN_OF_PEER)
		return "it has too many open already";
	if (p->unkeyed)
		return "its key could not be set";
	if (p->ttl_hops && !bgp_guard_came_near(fd, addr_is_v4(&p->remote), p->ttl_hops))
		return "it comes from farther away than the neighbor is";
	return NULL;
}

/* Takes the descriptor. */
static void admit(const struct listener *l, int accepted, const struct addr *remote)
{
	struct bgp_sockets *s = l->all;
	struct peer *p = hmap_get(&s->peers, remote);
	_cleanup_(fd) int fd = accepted;
	struct tcp *t;

	if (reason_to_refuse(l, p, fd)) {
		turn_away(s, fd, remote, reason_to_refuse(l, p, fd));
		return;
	}
	if (bgp_socket_set_common(fd, addr_is_v4(remote)) < 0 || bgp_socket_set_distance(fd, p) < 0)
		return;
	t = bgp_tcp_new(s, fd, remote, l->device, OPEN);
	if (!t)
		return;
	TAKE_FD(fd);
	t->accepted = true;
	p->n_accepted++;
	s->ops->accepted(s->arg, t->handle, remote);
}

/* The queue would wake the loop again and again. */
static void pause_accepting(struct bgp_sockets *s, int error)
{
	log_limited(&s->pause_limit, LOG_LEVEL_WARNING, "BGP: connections wait: %s; accepting again in a second",
		    strerror(error));
	for (size_t i = 0; i < LISTENERS; i++) {
		loop_io_remove(s->loop, s->listeners[i].io);
		s->listeners[i].io = NULL;
	}
	s->accept_ms = loop_now_ms(s->loop) + PAUSE_MS;
	bgp_sockets_arm(s);
}

static void on_listener(void *arg, uint32_t events)
{
	struct listener *l = arg;
	struct bgp_sockets *s = l->all;

	for (unsigned i = 0; i < ACCEPTS_A_TURN && l->io; i++) {
		union name name = {0};
		socklen_t size = sizeof(name);
		int fd = accept4(l->fd, &name.any, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
		struct addr remote;

		if (fd < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM))
			pause_accepting(s, errno);
		if (fd < 0 && errno != ECONNABORTED && errno != EINTR)
			return;
		if (fd < 0)
			continue;
		remote = addr_of(&name);
		admit(l, fd, &remote);
	}
}

void bgp_listeners_resume(struct bgp_sockets *s)
{
	s->accept_ms = 0;
	for (size_t i = 0; i < LISTENERS; i++) {
		struct listener *l = &s->listeners[i];

		if (l->fd >= 0 && !l->io && loop_io_add(s->loop, l->fd, EPOLLIN, on_listener, l, &l->io) < 0)
			s->accept_ms = loop_now_ms(s->loop) + PAUSE_MS;
	}
}

bool bgp_listener_serves(const struct listener *l, const struct peer *p)
{
	return l->fd >= 0 && p->inside == (l->device != 0) && addr_is_v4(&l->local) == addr_is_v4(&p->remote);
}

/* Whose key cannot be set is refused until it is put again. */
static void set_keys(struct bgp_sockets *s, const struct listener *l)
{
	struct peer *p;

	for (size_t i = 0; (p = hmap_next(&s->peers, &i));)
		if (*p->key && bgp_listener_serves(l, p))
			p->unkeyed = bgp_socket_set_key(l->fd, &p->remote, p->key) < 0;
}

/* The farthest that any peer of the side and family may be away; 0: one of them may be anywhere. */
static uint8_t farthest(const struct bgp_sockets *s, bool inside, bool v4)
{
	const struct peer *p;
	uint8_t hops = 0;

	if (s->n_anywhere[inside][v4] > 0)
		return 0;
	for (size_t i = 0; (p = hmap_next(&s->peers, &i));)
		if (p->inside == inside && addr_is_v4(&p->remote) == v4 && p->ttl_hops > hops)
			hops = p->ttl_hops;
	return hops;
}

void bgp_listeners_set_distances(struct bgp_sockets *s, bool inside, bool v4)
{
	for (size_t i = 0; i < LISTENERS; i++) {
		const struct listener *l = &s->listeners[i];

		if (l->fd >= 0 && (l->device != 0) == inside && addr_is_v4(&l->local) == v4)
			(void)bgp_guard_distance(l->fd, v4, farthest(s, inside, v4)); /* and admit looks at each */
	}
}

void bgp_listener_close(struct listener *l)
{
	if (l->fd < 0)
		return;
	loop_io_remove(l->all->loop, l->io);
	close(l->fd);
	*l = (struct listener){.all = l->all, .fd = -1};
}

/*
 * The address may come later (IP_FREEBIND): a node that boots has its daemon before its network.  Two share it and the port
 * (SO_REUSEPORT), of which the one that is bound to a device has what comes by that, and nothing else.
 */
static int listener_open(struct listener *l, const struct addr *local, uint32_t device, uint16_t port)
{
	bool v4 = addr_is_v4(local);
	union name name;
	socklen_t size = bgp_socket_name(local, port, &name);
	int r;

	l->local = *local;
	l->device = device;
	l->fd = socket(v4 ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP);
	if (l->fd < 0)
		return -errno;
	r = bgp_socket_set(l->fd, SOL_SOCKET, SO_REUSEADDR, 1);
	if (r == 0 && device)
		r = bgp_socket_set(l->fd, SOL_SOCKET, SO_REUSEPORT, 1);
	if (r == 0 && device)
		r = bgp_socket_bind_inside(l->fd, device);
	if (r == 0)
		r = bgp_socket_set(l->fd, v4 ? IPPROTO_IP : IPPROTO_IPV6, v4 ? IP_FREEBIND : IPV6_FREEBIND, 1);
	if (r == 0 && !v4)
		r = bgp_socket_set(l->fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
	if (r == 0)
		r = bgp_socket_set_common(l->fd, v4);
	if (r == 0)
		r = bgp_guard_remember(l->fd);
	if (r == 0) {
		set_keys(l->all, l);
		bgp_listeners_set_distances(l->all, device != 0, v4);
	}
	if (r == 0 && (bind(l->fd, &name.any, size) < 0 || listen(l->fd, BACKLOG) < 0))
		r = -errno;
	if (r == 0 && !device) /* only now, so that another program that has the port is found out */
		r = bgp_socket_set(l->fd, SOL_SOCKET, SO_REUSEPORT, 1);
	if (r == 0)
		r = loop_io_add(l->all->loop, l->fd, EPOLLIN, on_listener, l, &l->io);
	if (r < 0)
		bgp_listener_close(l);
	return r;
}

static struct listener *listener_of(struct bgp_sockets *s, const struct addr *local, uint32_t device)
{
	for (size_t i = 0; i < LISTENERS; i++)
		if (s->listeners[i].fd >= 0 && s->listeners[i].device == device && addr_equal(&s->listeners[i].local, local))
			return &s->listeners[i];
	return NULL;
}

static struct listener *listener_free(struct bgp_sockets *s)
{
	for (size_t i = 0; i < LISTENERS; i++)
		if (s->listeners[i].fd < 0)
			return &s->listeners[i];
	return NULL;
}

static void close_unwanted(struct bgp_sockets *s, uint16_t port, const struct addr *locals, size_t n)
{
	for (size_t i = 0; i < LISTENERS; i++) {
		struct listener *l = &s->listeners[i];
		bool wanted = false;

		for (size_t k = 0; k < n; k++)
			wanted |= addr_equal(&l->local, &locals[k]) && (!l->device || l->device == s->device);
		if (!wanted || port != s->port)
			bgp_listener_close(l);
	}
}

/* What is bound to the one before goes with it; the number may be another device's by now. */
static void change_device(struct bgp_sockets *s, uint32_t device)
{
	struct tcp *t;

	for (size_t i = 0; (t = hmap_next(&s->connections, &i));)
		t->lost |= t->device != 0;
	s->lost = true;
	s->device = device;
}

int bgp_sockets_listen(struct bgp_sockets *s, uint16_t port, const struct addr *locals, size_t n, uint32_t device)
{
	const uint32_t devices[] = {0, device};
	int error = 0;

	if (s->device != device)
		change_device(s, device);
	close_unwanted(s, port, locals, n);
	s->port = port;
	for (size_t k = 0; k < 2 * n; k++) {
		uint32_t on = devices[k % 2];
		struct listener *l = (k % 2 && !on) || listener_of(s, &locals[k / 2], on) ? NULL : listener_free(s);
		int r = l ? listener_open(l, &locals[k / 2], on, port) : 0;

		if (r < 0)
			error = r;
	}
	bgp_sockets_arm(s);
	return error;
}
