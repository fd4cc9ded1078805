/* SPDX-License-Identifier: Apache-2.0 */
#include "wg/plain.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define EVENTS 32

static struct plain *plain_of(const struct link *l)
{
	return __atomic_load_n(&l->plain, __ATOMIC_ACQUIRE);
}

/* ---- from the peer ---- */

static int compare_addresses(const void *a, const void *b)
{
	return addr_compare(a, b);
}

static bool source_is_of(const struct plain *p, const uint8_t *packet)
{
	struct addr source;

	if (packet[0] >> 4 == 4) {
		source = addr_from_v4(packet + 12);
	} else {
		memcpy(source.bytes, packet + 8, sizeof(source.bytes));
		if (addr_is_v4(&source)) /* an IPv4 address in an IPv6 packet is nobody's */
			return false;
	}
	return bsearch(&source, p->addresses, p->n_addresses, sizeof(source), compare_addresses);
}

void plain_deliver(struct worker *w, struct link *l, const struct packet *packets, size_t n)
{
	const struct plain *p = plain_of(l);
	const struct outlet o = {&p->tap, p->tap.queues[0], 0}; /* a VXLAN packet is a peer's own business */
	size_t bytes = 0, good = 0;

	for (size_t i = 0; i < n; i++) {
		const uint8_t *packet = packets[i].data + sizeof(struct packet_data);
		size_t size = packet_inner_size(packet, packets[i].size);

		if (size == 0) {
			worker_drop(w, l, TUNNEL_BAD_INNER, 1);
			continue;
		}
		if (!source_is_of(p, packet)) {
			worker_drop(w, l, TUNNEL_WRONG_SOURCE, 1);
			continue;
		}
		good++;
		bytes += size;
		worker_put(w, l, &o, packet, size);
	}
	worker_put_end(w, l, &o);
	counter_add(&l->counters.received_packets, good);
	counter_add(&l->counters.received_bytes, bytes);
}

/* ---- to the peer ---- */

static void on_lost(struct worker *w, struct plain *p)
{
	epoll_ctl(w->queue, EPOLL_CTL_DEL, p->tap.queues[0], NULL);
	__atomic_store_n(&p->lost, true, __ATOMIC_RELAXED);
}

static void read_port(struct worker *w, struct link *l)
{
	struct plain *p = plain_of(l);

	for (int turn = 0; turn < WORKER_AHEAD; turn++) {
		int r = tap_read(&p->tap, p->tap.queues[0], &w->frame);

		if (r == 0) {
			worker_forward(w, l, &w->frame);
		} else if (r == -EPROTO) {
			worker_drop(w, l, TUNNEL_NOT_IP, 1);
		} else if (r == -EPERM) {
			worker_drop(w, l, TUNNEL_NOT_OURS, 1);
		} else {
			if (r == -EBADFD)
				on_lost(w, p);
			return;
		}
	}
}

/* Whose event is asked for within the turn is not freed within it. */
static void read_ports(struct worker *w)
{
	struct epoll_event events[EVENTS];
	int n = epoll_wait(w->queue, events, EVENTS, 0);

	for (int i = 0; i < n; i++)
		read_port(w, events[i].data.ptr);
	worker_flush(w);
}

static void turn(struct worker *w, struct pollfd *fds)
{
	if (fds[1].revents)
		read_ports(w);
}

static void *run(void *arg)
{
	struct worker *w = arg;
	struct pollfd fds[] = {{w->wake, POLLIN, 0}, {w->queue, POLLIN, 0}};

	worker_loop(w, fds, 2, &w->plane->plain_mtu, turn);
	return NULL;
}

int plain_start(struct plain_reader *r, struct plane *plane, unsigned number, const struct udp *udp)
{
	int e;

	r->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (r->epoll < 0)
		return -errno;
	r->worker = calloc(1, sizeof(*r->worker));
	e = r->worker ? worker_init(r->worker, plane, number, r->epoll, udp) : -ENOMEM;
	if (e == 0)
		e = worker_thread(&r->thread, run, r->worker);
	r->runs = e == 0;
	if (e != 0)
		plain_fini(r);
	return e;
}

void plain_stop(struct plain_reader *r)
{
	if (!r->runs)
		return;
	worker_wake(r->worker);
	pthread_join(r->thread, NULL);
	r->runs = false;
	stash_fini(&r->worker->stash); /* a link that something waits for is not freed */
}

void plain_fini(struct plain_reader *r)
{
	if (!r->worker)
		return;
	worker_fini(r->worker);
	free(r->worker);
	r->worker = NULL;
	close(r->epoll);
}

/* ---- which port ---- */

static void plain_retired(struct grace_node *node)
{
	struct plain *p = (struct plain *)((char *)node - offsetof(struct plain, retired));

	tap_close(&p->tap);
	free(p);
}

static struct plain *plain_new(const struct tunnel_port *port)
{
	struct plain *p = calloc(1, sizeof(*p) + port->n_addresses * sizeof(p->addresses[0]));

	if (!p)
		return NULL;
	p->n_addresses = port->n_addresses;
	memcpy(p->addresses, port->addresses, port->n_addresses * sizeof(p->addresses[0]));
	qsort(p->addresses, p->n_addresses, sizeof(p->addresses[0]), compare_addresses);
	return p;
}

static int open_device(struct link *l, const struct plain_reader *r, struct plain *p, const struct tunnel_port *port)
{
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = l};
	int e = tap_open_port(&p->tap, port->device, port->mtu, port->gateway, port->mac);

	if (e == 0 && epoll_ctl(r->epoll, EPOLL_CTL_ADD, p->tap.queues[0], &event) != 0)
		e = -errno;
	return e;
}

/* The one before has it no more. */
static int take_device(struct plain *p, struct plain *before, const struct tunnel_port *port)
{
	int e = tap_mtu_set(&before->tap, port->mtu);

	if (e != 0)
		return e;
	p->tap = before->tap;
	tap_address(&p->tap, port->gateway, port->mac);
	before->tap.n_queues = 0;
	return 0;
}

int plain_set(struct link *l, const struct plain_reader *r, const struct tunnel_port *port)
{
	struct plain *before = l->plain, *p = plain_new(port);
	bool has_device = before && !__atomic_load_n(&before->lost, __ATOMIC_RELAXED);
	int e;

	if (!p)
		return -ENOMEM;
	e = has_device ? take_device(p, before, port) : open_device(l, r, p, port);
	if (e != 0) {
		tap_close(&p->tap);
		free(p);
		return e;
	}
	__atomic_store_n(&l->plane->plain_mtu, port->mtu, __ATOMIC_RELAXED);
	__atomic_store_n(&l->plain, p, __ATOMIC_RELEASE);
	if (before)
		grace_retire(&l->plane->grace, &before->retired, plain_retired);
	return 0;
}

void plain_end(struct link *l, const struct plain_reader *r)
{
	struct plain *p = l->plain;

	if (!p)
		return;
	epoll_ctl(r->epoll, EPOLL_CTL_DEL, p->tap.queues[0], NULL);
	grace_retire(&l->plane->grace, &p->retired, plain_retired);
}
