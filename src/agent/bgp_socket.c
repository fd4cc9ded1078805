/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/bgp_guard.h"
#include "agent/bgp_socket_state.h"
#include "bpf/abi.h"
#include "lib/cleanup.h"

#define DRAINING 64
#define DRAIN_MS 5000
#define CLASS 0xc0         /* CS6, routing protocols (RFC 4594 3.2) */
#define MSS_LEAST 536      /* RFC 9293 3.7.1 */
#define UNSENT_MAX 16384   /* bytes in the kernel that wait for the window: the queue proper is the speaker's */

/* ---- addresses and options ---------------------------------------------------------------------------------------- */

socklen_t bgp_socket_name(const struct addr *a, uint16_t port, union name *out)
{
	memset(out, 0, sizeof(*out));
	if (addr_is_v4(a)) {
		out->v4 = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(port)};
		memcpy(&out->v4.sin_addr, a->bytes + 12, 4);
		return sizeof(out->v4);
	}
	out->v6 = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = htons(port)};
	memcpy(&out->v6.sin6_addr, a->bytes, 16);
	return sizeof(out->v6);
}

int bgp_socket_set(int fd, int level, int name, int value)
{
	return setsockopt(fd, level, name, &value, sizeof(value)) < 0 ? -errno : 0;
}

int bgp_socket_set_key(int fd, const struct addr *remote, const char *key)
{
	union name name;

	bgp_socket_name(remote, 0, &name);
	return bgp_guard_key(fd, &name.room, key);
}

int bgp_socket_set_common(int fd, bool v4)
{
	int r = bgp_socket_set(fd, v4 ? IPPROTO_IP : IPPROTO_IPV6, v4 ? IP_TTL : IPV6_UNICAST_HOPS, BGP_GUARD_TTL);

	if (r == 0)
		r = bgp_socket_set(fd, v4 ? IPPROTO_IP : IPPROTO_IPV6, v4 ? IP_TOS : IPV6_TCLASS, CLASS);
	if (r == 0)
		r = bgp_socket_set(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, UNSENT_MAX);
	return r < 0 ? r : bgp_socket_set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
}

int bgp_socket_set_distance(int fd, const struct peer *p)
{
	return bgp_guard_distance(fd, addr_is_v4(&p->remote), p->ttl_hops);
}

/* The device by its number: a name could be another's by now. */
int bgp_socket_bind_inside(int fd, uint32_t device)
{
	int r = bgp_socket_set(fd, SOL_SOCKET, SO_BINDTOIFINDEX, (int)device);

	return r < 0 ? r : bgp_socket_set(fd, SOL_SOCKET, SO_MARK, (int)ABI_MARK_INSIDE);
}

/* ---- connections --------------------------------------------------------------------------------------------------- */

static void on_tcp(void *arg, uint32_t events);

static void watch(struct tcp *t, uint32_t events)
{
	loop_io_modify(t->all->loop, t->io, events);
}

static void tcp_free(struct tcp *t, bool reset)
{
	struct bgp_sockets *s = t->all;
	struct peer *p = t->accepted ? hmap_get(&s->peers, &t->remote) : NULL;
	const struct linger now = {.l_onoff = 1};

	if (t->state == DRAINED) {
		TAILQ_REMOVE(&s->draining, t, link);
		s->n_draining--;
	} else {
		hmap_remove(&s->connections, &t->handle);
		if (p && p->n_accepted > 0)
			p->n_accepted--;
	}
	loop_io_remove(s->loop, t->io);
	if (reset)
		setsockopt(t->fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	close(t->fd);
	free(t);
}

struct tcp *bgp_tcp_new(struct bgp_sockets *s, int fd, const struct addr *remote, uint32_t device, enum state state)
{
	struct tcp *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	*t = (struct tcp){.handle = ++s->last_handle, .all = s, .remote = *remote, .fd = fd, .device = device, .state = state};
	if (hmap_add(&s->connections, t) < 0) {
		free(t);
		return NULL;
	}
	if (loop_io_add(s->loop, fd, state == CONNECTING ? EPOLLOUT : EPOLLIN, on_tcp, t, &t->io) < 0) {
		hmap_remove(&s->connections, &t->handle);
		free(t);
		return NULL;
	}
	return t;
}

static int error_of(int fd)
{
	int error = 0;
	socklen_t size = sizeof(error);

	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0)
		return errno;
	return error;
}

static void end(struct tcp *t, const char *reason)
{
	struct bgp_sockets *s = t->all;
	uint64_t handle = t->handle;
	bool connecting = t->state == CONNECTING;

	tcp_free(t, false);
	if (connecting)
		s->ops->connect_failed(s->arg, handle, reason);
	else
		s->ops->closed(s->arg, handle, reason);
}

static void drain(struct tcp *t)
{
	ssize_t n;

	do
		n = recv(t->fd, t->all->buffer, sizeof(t->all->buffer), MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	if (n == 0 || (n < 0 && errno != EAGAIN))
		tcp_free(t, false);
}

static void finish_connecting(struct tcp *t)
{
	struct bgp_sockets *s = t->all;
	int error = error_of(t->fd);

	if (error) {
		end(t, strerror(error));
		return;
	}
	watch(t, EPOLLIN);
	t->state = OPEN;
	s->ops->connected(s->arg, t->handle);
}

static void receive(struct tcp *t, uint32_t events)
{
	struct bgp_sockets *s = t->all;
	ssize_t n = recv(t->fd, s->buffer, sizeof(s->buffer), MSG_DONTWAIT);

	if (n > 0)
		s->ops->bytes(s->arg, t->handle, s->buffer, (size_t)n);
	else if (n == 0)
		end(t, "the neighbor closed the connection");
	else if (errno != EAGAIN && errno != EINTR)
		end(t, strerror(errno));
	else if (events & (EPOLLERR | EPOLLHUP))
		end(t, "the connection broke");
}

static void on_tcp(void *arg, uint32_t events)
{
	struct tcp *t = arg;
	struct bgp_sockets *s = t->all;
	uint64_t handle = t->handle;

	if (t->state == DRAINED) {
		drain(t);
		return;
	}
	if (t->state == CONNECTING) {
		finish_connecting(t);
		return;
	}
	if (events & EPOLLOUT) {
		watch(t, EPOLLIN);
		s->ops->writable(s->arg, handle);
		t = hmap_get(&s->connections, &handle); /* it may have been closed */
	}
	if (t && events & (EPOLLIN | EPOLLERR | EPOLLHUP))
		receive(t, events);
}

static int prepare(const struct bgp_sockets *s, const struct peer *p, uint16_t mss, int fd)
{
	int r = bgp_socket_set_common(fd, addr_is_v4(&p->remote));

	if (r == 0)
		r = bgp_socket_set_distance(fd, p);
	if (r == 0 && *p->key)
		r = bgp_socket_set_key(fd, &p->remote, p->key);
	if (r == 0 && p->inside)
		r = bgp_socket_bind_inside(fd, s->device);
	if (r == 0 && mss)
		r = bgp_socket_set(fd, IPPROTO_TCP, TCP_MAXSEG, mss > MSS_LEAST ? mss : MSS_LEAST);
	return r;
}

int bgp_sockets_connect(struct bgp_sockets *s, const struct addr *remote, uint16_t mss, uint64_t *handle)
{
	const struct peer *p = hmap_get(&s->peers, remote);
	bool v4 = addr_is_v4(remote);
	_cleanup_(fd) int fd = -1;
	struct tcp *t;
	union name name;
	socklen_t size;
	int r;

	if (!p)
		return -ENOENT;
	if (p->inside && !s->device)
		return -ENETDOWN;
	fd = socket(v4 ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP);
	if (fd < 0)
		return -errno;
	r = prepare(s, p, mss, fd);
	if (r < 0)
		return r;
	size = bgp_socket_name(&p->local, 0, &name);
	if (!addr_is_unspecified(&p->local) && bind(fd, &name.any, size) < 0)
		return -errno;
	size = bgp_socket_name(remote, s->port, &name);
	if (connect(fd, &name.any, size) < 0 && errno != EINPROGRESS)
		return -errno;
	t = bgp_tcp_new(s, fd, remote, p->inside ? s->device : 0, CONNECTING);
	if (!t)
		return -ENOMEM;
	TAKE_FD(fd);
	*handle = t->handle;
	return 0;
}

size_t bgp_sockets_send(struct bgp_sockets *s, uint64_t handle, const uint8_t *data, size_t size)
{
	struct tcp *t = hmap_get(&s->connections, &handle);
	ssize_t n;

	if (!t || t->state != OPEN)
		return 0;
	do
		n = send(t->fd, data, size, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	/* Also after an error: the loop tells of it. */
	if (n < (ssize_t)size)
		watch(t, EPOLLIN | EPOLLOUT);
	return n < 0 ? 0 : (size_t)n;
}

void bgp_sockets_close(struct bgp_sockets *s, uint64_t handle)
{
	struct tcp *t = hmap_get(&s->connections, &handle);
	struct peer *p = t && t->accepted ? hmap_get(&s->peers, &t->remote) : NULL;

	if (!t)
		return;
	if (t->state == CONNECTING || shutdown(t->fd, SHUT_WR) < 0) {
		tcp_free(t, true);
		return;
	}
	watch(t, EPOLLIN);
	hmap_remove(&s->connections, &handle);
	if (p && p->n_accepted > 0)
		p->n_accepted--;
	t->state = DRAINED;
	t->until_ms = loop_now_ms(s->loop) + DRAIN_MS;
	TAILQ_INSERT_TAIL(&s->draining, t, link);
	if (s->n_draining++ >= DRAINING)
		tcp_free(TAILQ_FIRST(&s->draining), true);
	bgp_sockets_arm(s);
}

/* ---- peers ---------------------------------------------------------------------------------------------------------- */

static int change_key(struct bgp_sockets *s, struct peer *p, const char *key)
{
	struct tcp *t;
	int error = 0;

	for (size_t i = 0; i < LISTENERS && error == 0; i++) {
		const struct listener *l = &s->listeners[i];

		if (bgp_listener_serves(l, p))
			error = bgp_socket_set_key(l->fd, &p->remote, key);
	}
	p->unkeyed = error < 0;
	if (error < 0)
		return error;
	for (size_t i = 0; (t = hmap_next(&s->connections, &i));)
		if (addr_equal(&t->remote, &p->remote))
			(void)bgp_socket_set_key(t->fd, &p->remote, key); /* where it cannot change, the session begins anew */
	explicit_bzero(p->key, sizeof(p->key));
	snprintf(p->key, sizeof(p->key), "%s", key);
	return 0;
}

static void change_distance(struct bgp_sockets *s, struct peer *p, uint8_t hops)
{
	bool v4 = addr_is_v4(&p->remote);
	struct tcp *t;

	s->n_anywhere[p->inside][v4] += !hops;
	s->n_anywhere[p->inside][v4] -= !p->ttl_hops;
	p->ttl_hops = hops;
	for (size_t i = 0; (t = hmap_next(&s->connections, &i));)
		if (addr_equal(&t->remote, &p->remote))
			(void)bgp_socket_set_distance(t->fd, p);
	bgp_listeners_set_distances(s, p->inside, v4);
}

/* Its key goes with it to the other listener; what is open on this side is over. */
static void change_side(struct bgp_sockets *s, struct peer *p, bool inside)
{
	bool v4 = addr_is_v4(&p->remote);
	struct tcp *t;

	for (size_t i = 0; (t = hmap_next(&s->connections, &i));)
		if (addr_equal(&t->remote, &p->remote))
			tcp_free(t, true);
	if (*p->key)
		change_key(s, p, "");
	s->n_anywhere[p->inside][v4] -= !p->ttl_hops;
	s->n_anywhere[inside][v4] += !p->ttl_hops;
	p->inside = inside;
	bgp_listeners_set_distances(s, !inside, v4);
	bgp_listeners_set_distances(s, inside, v4);
}

static void peer_free(struct peer *p)
{
	if (p)
		explicit_bzero(p->key, sizeof(p->key));
	free(p);
}

static struct peer *peer_new(struct bgp_sockets *s, const struct addr *remote)
{
	struct peer *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	p->remote = *remote;
	if (hmap_add(&s->peers, p) < 0) {
		free(p);
		return NULL;
	}
	s->n_anywhere[false][addr_is_v4(remote)]++;
	bgp_listeners_set_distances(s, false, addr_is_v4(remote));
	return p;
}

int bgp_sockets_peer_put(struct bgp_sockets *s, const struct addr *remote, const struct addr *local, const char *key,
			 uint8_t ttl_hops, bool inside)
{
	struct peer *p = hmap_get(&s->peers, remote);

	if (strlen(key) >= BGP_SOCKET_KEY_SIZE)
		return -EINVAL;
	if (!p)
		p = peer_new(s, remote);
	if (!p)
		return -ENOMEM;
	p->local = *local;
	if (p->inside != inside)
		change_side(s, p, inside);
	if (p->ttl_hops != ttl_hops)
		change_distance(s, p, ttl_hops);
	return strcmp(p->key, key) == 0 && !p->unkeyed ? 0 : change_key(s, p, key);
}

void bgp_sockets_peer_remove(struct bgp_sockets *s, const struct addr *remote)
{
	struct peer *p = hmap_get(&s->peers, remote);
	struct tcp *t;

	if (!p)
		return;
	if (*p->key)
		change_key(s, p, "");
	for (size_t i = 0; (t = hmap_next(&s->connections, &i));)
		if (addr_equal(&t->remote, remote))
			tcp_free(t, true);
	hmap_remove(&s->peers, remote);
	s->n_anywhere[p->inside][addr_is_v4(&p->remote)] -= !p->ttl_hops;
	bgp_listeners_set_distances(s, p->inside, addr_is_v4(&p->remote));
	peer_free(p);
}

/* ---- time ------------------------------------------------------------------------------------------------------------ */

void bgp_sockets_arm(struct bgp_sockets *s)
{
	const struct tcp *oldest = TAILQ_FIRST(&s->draining);
	uint64_t at = oldest ? oldest->until_ms : 0;

	if (s->accept_ms && (!at || s->accept_ms < at))
		at = s->accept_ms;
	if (s->lost)
		at = loop_now_ms(s->loop);
	loop_timer_set(s->loop, s->timer, at);
}

static struct tcp *next_lost(const struct bgp_sockets *s)
{
	struct tcp *t;

	for (size_t i = 0; (t = hmap_next(&s->connections, &i));)
		if (t->lost)
			return t;
	return NULL;
}

static void on_timer(void *arg)
{
	struct bgp_sockets *s = arg;
	uint64_t now = loop_now_ms(s->loop);
	struct tcp *t, *next;

	for (t = TAILQ_FIRST(&s->draining); t && t->until_ms <= now; t = next) {
		next = TAILQ_NEXT(t, link);
		tcp_free(t, true);
	}
	while (s->lost && (t = next_lost(s)))
		end(t, "the tunnel's device is gone");
	s->lost = false;
	if (s->accept_ms && s->accept_ms <= now)
		bgp_listeners_resume(s);
	bgp_sockets_arm(s);
}

int bgp_sockets_new(struct loop *loop, const struct bgp_socket_ops *ops, void *arg, struct bgp_sockets **out)
{
	struct bgp_sockets *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return -ENOMEM;
	s->loop = loop;
	s->ops = ops;
	s->arg = arg;
	s->peers = HMAP_INIT(struct peer, remote);
	s->connections = HMAP_INIT(struct tcp, handle);
	TAILQ_INIT(&s->draining);
	for (size_t i = 0; i < LISTENERS; i++)
		s->listeners[i] = (struct listener){.all = s, .fd = -1};
	r = loop_timer_add(loop, on_timer, s, &s->timer);
	if (r < 0) {
		free(s);
		return r;
	}
	*out = s;
	return 0;
}

void bgp_sockets_free(struct bgp_sockets *s)
{
	struct tcp *t, *next;
	struct peer *p;

	if (!s)
		return;
	for (size_t i = 0; (t = hmap_next(&s->connections, &i));)
		tcp_free(t, false);
	for (t = TAILQ_FIRST(&s->draining); t; t = next) {
		next = TAILQ_NEXT(t, link);
		tcp_free(t, false);
	}
	for (size_t i = 0; i < LISTENERS; i++)
		bgp_listener_close(&s->listeners[i]);
	for (size_t i = 0; (p = hmap_next(&s->peers, &i));) {
		hmap_remove(&s->peers, &p->remote);
		peer_free(p);
	}
	hmap_fini(&s->peers);
	hmap_fini(&s->connections);
	loop_timer_remove(s->loop, s->timer);
	free(s);
}
