/* SPDX-License-Identifier: Apache-2.0 */
#include "bgp_socket_rig.h"

struct addr address(const char *text)
{
	struct addr a;

	assert_int_equal(addr_parse(text, &a), 0);
	return a;
}

static void on_accepted(void *arg, uint64_t handle, const struct addr *remote)
{
	struct end *e = arg;

	e->accepted = handle;
	e->n_accepted++;
}

static void on_connected(void *arg, uint64_t handle)
{
	((struct end *)arg)->connected = handle;
}

static void note(struct end *e, const char *why)
{
	snprintf(e->why, sizeof(e->why), "%s", why);
}

static void on_connect_failed(void *arg, uint64_t handle, const char *why)
{
	struct end *e = arg;

	e->failed = handle;
	note(e, why);
}

static void on_bytes(void *arg, uint64_t handle, const uint8_t *data, size_t size)
{
	struct end *e = arg;

	for (size_t i = 0; i < size && e->size + i < sizeof(e->data); i++)
		e->data[e->size + i] = data[i];
	e->size += size;
}

static void on_writable(void *arg, uint64_t handle)
{
	((struct end *)arg)->writable = handle;
}

static void on_closed(void *arg, uint64_t handle, const char *why)
{
	struct end *e = arg;

	e->closed = handle;
	e->n_closed++;
	note(e, why);
}

const struct bgp_socket_ops rig_ops = {on_accepted, on_connected, on_connect_failed, on_bytes, on_writable, on_closed};

void step(struct world *w, unsigned ms)
{
	for (uint64_t until = loop_now_ms(w->loop) + ms; loop_now_ms(w->loop) < until;)
		assert_true(loop_step(w->loop, 10) >= 0);
}

void begin(struct world *w, struct end *e, const char *local, const char *peer, const char *key, uint8_t hops)
{
	struct addr here = address(local), there = address(peer);

	if (!e->sockets) {
		assert_int_equal(bgp_sockets_new(w->loop, &rig_ops, e, &e->sockets), 0);
		assert_int_equal(bgp_sockets_listen(e->sockets, PORT, &here, 1, 0), 0);
	}
	assert_int_equal(bgp_sockets_peer_put(e->sockets, &there, &here, key, hops, false), 0);
}

int rig_setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	*state = w;
	return !w || sandbox_enter(&w->box) < 0 || loop_new(&w->loop) < 0 || run("ip link set lo up") != 0;
}

int rig_teardown(void **state)
{
	struct world *w = *state;

	bgp_sockets_free(w->a.sockets);
	bgp_sockets_free(w->b.sockets);
	loop_free(w->loop);
	sandbox_leave(&w->box);
	free(w);
	return 0;
}

int hand_with(const char *local, int ttl, int room)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct addr from = address(local), to = address(A);
	struct sockaddr_in name = {.sin_family = AF_INET};

	assert_true(fd >= 0);
	assert_int_equal(setsockopt(fd, IPPROTO_IP, IP_TTL, &ttl, sizeof(ttl)), 0);
	if (room)
		assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof(room)), 0);
	memcpy(&name.sin_addr, from.bytes + 12, 4);
	assert_int_equal(bind(fd, (struct sockaddr *)&name, sizeof(name)), 0);
	memcpy(&name.sin_addr, to.bytes + 12, 4);
	name.sin_port = htons(PORT);
	assert_true(connect(fd, (struct sockaddr *)&name, sizeof(name)) == 0 || errno == EINPROGRESS);
	return fd;
}

int hand(const char *local)
{
	return hand_with(local, 64, 0);
}

uint64_t reach_out(struct end *e, const struct addr *remote)
{
	uint64_t handle = 0;

	assert_int_equal(bgp_sockets_connect(e->sockets, remote, 0, &handle), 0);
	assert_true(handle > 0);
	return handle;
}

uint64_t join(struct world *w)
{
	struct addr a = address(A);
	uint64_t handle = reach_out(&w->b, &a);

	UNTIL(w, w->b.connected == handle && w->a.accepted > 0);
	return handle;
}

bool is_reset(int fd)
{
	char byte;

	return recv(fd, &byte, 1, MSG_DONTWAIT) < 0 && errno == ECONNRESET;
}
