/* SPDX-License-Identifier: Apache-2.0 */
#include "wg/tunnel.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "model/fwd.h"
#include "wg/detour.h"
#include "wg/measure.h"
#include "wg/secret.h"

/* What the sender's MTU is made from is what is put around a packet. */
static_assert(FWD_OVERHEAD_SECURE(true) == 20 + 8 + PACKET_DATA_SIZE(0), "IPv4 and UDP");
static_assert(FWD_OVERHEAD_SECURE(false) == 40 + 8 + PACKET_DATA_SIZE(0), "IPv6 and UDP");

static const char *const drop_names[] = {
	[TUNNEL_NOT_IP] = "not_ip",
	[TUNNEL_BAD_OFFLOAD] = "bad_offload",
	[TUNNEL_NO_PEER] = "no_peer",
	[TUNNEL_WAITING_FULL] = "waiting_full",
	[TUNNEL_NO_SESSION] = "no_session",
	[TUNNEL_TOO_BIG] = "too_big",
	[TUNNEL_SEAL_FAILED] = "seal_failed",
	[TUNNEL_SEND_FAILED] = "send_failed",
	[TUNNEL_BAD_INNER] = "bad_inner",
	[TUNNEL_WRONG_SOURCE] = "wrong_source",
	[TUNNEL_TAP_FAILED] = "tap_failed",
	[TUNNEL_BUSY] = "busy",
	[TUNNEL_TAP_FULL] = "tap_full",
	[TUNNEL_SOCKET_FULL] = "socket_full",
	[TUNNEL_NOT_OURS] = "not_ours",
	[TUNNEL_RELAY_LOST] = "relay_lost",
	[TUNNEL_RELAY_REFUSED] = "relay_refused",
	[TUNNEL_RELAY_UNKNOWN] = "relay_unknown",
	[TUNNEL_RELAY_NO_SESSION] = "relay_no_session",
};
static_assert(sizeof(drop_names) / sizeof(drop_names[0]) == TUNNEL_DROP_MAX, "every drop has a name");

const char *tunnel_drop_name(int drop)
{
	return drop < DEVICE_DROP_MAX ? device_drop_name((enum device_drop)drop) : drop_names[drop];
}

uint16_t tunnel_mtu(uint16_t link_mtu, bool underlay_v6)
{
	uint32_t around = FWD_OVERHEAD_SECURE(!underlay_v6);

	return link_mtu > around ? (uint16_t)(link_mtu - around) : 0;
}

/* Four sessions of two keys, each up to 1 KB, a handshake under way, and the peer's own. */
size_t tunnel_secret_size(size_t peers)
{
	size_t size = 1 << 16;

	while (size < (peers + 16) * (4 * 2 * 1024 + 512))
		size *= 2;
	return size;
}

static uint64_t wall_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static int init_plane(struct plane *p, const struct tunnel_config *config)
{
	pthread_mutex_init(&p->lock, NULL);
	pthread_mutex_init(&p->inbox_lock, NULL);
	grace_init(&p->grace, config->workers + 2); /* the protocol's, and that of ports */
	lookup_init(&p->sessions, &p->grace, offsetof(struct session, local), sizeof(uint32_t));
	lookup_init(&p->ids, &p->grace, offsetof(struct link, public_key), RELAY_ID_SIZE);
	lookup_init(&p->addresses, &p->grace, offsetof(struct link_address, addr), sizeof(struct addr));
	memcpy(p->local, config->local, sizeof(p->local));
	p->mtu = config->mtu;
	p->vxlan_port = config->vxlan_port;
	p->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return p->wake >= 0 ? 0 : -errno;
}

static int make_device(struct tunnel *t, const struct tunnel_config *config)
{
	struct device_config c = {.wall_ns = wall_ns()};
	int r;

	memcpy(c.private_key, config->private_key, sizeof(c.private_key));
	r = device_new(&c, &protocol_ops, t, plane_now_ms(), &t->device);
	secret_wipe(&c, sizeof(c));
	return r;
}

/* The protocol thread's has a queue to write what it opened into, by and by. */
static int make_workers(struct tunnel *t)
{
	for (unsigned i = 0; i <= t->n_workers; i++) {
		int queue = t->plane.tap.queues[i < t->n_workers ? i : 0], r;

		t->workers[i] = calloc(1, sizeof(*t->workers[i]));
		if (!t->workers[i])
			return -ENOMEM;
		t->workers[i]->wake = -1;
		r = worker_init(t->workers[i], &t->plane, i, queue, &t->sockets[i]);
		if (r != 0)
			return r;
	}
	return 0;
}

static void *run_worker(void *arg)
{
	worker_run(arg);
	return NULL;
}

static int start_threads(struct tunnel *t)
{
	int r = 0;

	while (r == 0 && t->n_threads <= t->n_workers) {
		bool protocol = t->n_threads == t->n_workers;

		r = worker_thread(&t->threads[t->n_threads], protocol ? protocol_run : run_worker,
				  protocol ? (void *)t : t->workers[t->n_threads]);
		t->n_threads += r == 0;
	}
	return r;
}

static int make(struct tunnel *t, const struct tunnel_config *config)
{
	int r = init_plane(&t->plane, config);

	if (r != 0)
		return r;
	t->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (t->event < 0)
		return -errno;
	r = make_device(t, config);
	if (r != 0)
		return r;
	r = udp_open(config->port, t->n_workers + 1, t->sockets);
	if (r != 0)
		return r;
	t->n_sockets = t->n_workers + 1;
	r = tap_open(&t->plane.tap, config->device, t->n_workers, config->mtu);
	t->plane.tap.programs_only = config->programs_only;
	if (r == 0)
		r = make_workers(t);
	return r != 0 ? r : start_threads(t);
}

int tunnel_new(const struct tunnel_config *config, struct tunnel **out)
{
	struct tunnel *t;
	int r;

	if (config->workers < 1 || config->workers > TUNNEL_WORKERS_MAX || config->mtu == 0)
		return -EINVAL;
	t = calloc(1, sizeof(*t));
	if (!t)
		return -ENOMEM;
	t->n_workers = config->workers;
	t->plane.wake = t->event = -1;
	r = make(t, config);
	if (r != 0)
		tunnel_free(t);
	else
		*out = t;
	return r;
}

static void link_free(struct link *l)
{
	for (size_t i = 0; i < l->n_addresses; i++)
		free(l->addresses[i]);
	free(l);
}

static void link_retired(struct grace_node *node)
{
	struct link *l = (struct link *)((char *)node - offsetof(struct link, retired));

	if (__atomic_load_n(&l->waiting, __ATOMIC_SEQ_CST) > 0) /* a stash has packets of it, for a moment */
		grace_retire(&l->plane->grace, node, link_retired);
	else
		link_free(l);
}

static void address_retired(struct grace_node *node)
{
	free((char *)node - offsetof(struct link_address, retired));
}

static void end_address(struct plane *p, struct link_address *a)
{
	lookup_remove(&p->addresses, &a->addr);
	grace_retire(&p->grace, &a->retired, address_retired);
}

static void end_link(struct tunnel *t, struct link *l)
{
	struct plane *p = &t->plane;

	plain_end(l, &t->plain);
	if (l->plain)
		LIST_REMOVE(l, of_plain);
	while (l->n_addresses > 0)
		end_address(p, l->addresses[--l->n_addresses]);
	if (lookup_get(&p->ids, l->public_key) == l)
		lookup_remove(&p->ids, l->public_key);
	detour_forget(t, l);
	measure_remove(t, l);
	peer_free(l->peer);
	l->peer = NULL;
	protocol_forget_events(t, l);
	__atomic_store_n(&l->gone, true, __ATOMIC_RELAXED);
	grace_retire(&p->grace, &l->retired, link_retired);
}

static void stop_threads(struct tunnel *t)
{
	__atomic_store_n(&t->plane.stop, true, __ATOMIC_RELEASE);
	if (t->n_threads > 0)
		protocol_wake_workers(t);
	plane_wake(&t->plane);
	for (unsigned i = 0; i < t->n_threads; i++)
		pthread_join(t->threads[i], NULL);
	plain_stop(&t->plain);
}

void tunnel_free(struct tunnel *t)
{
	struct peer *p;

	if (!t)
		return;
	stop_threads(t);
	for (unsigned i = 0; i <= t->n_workers; i++)
		if (t->workers[i])
			worker_fini(t->workers[i]);
	while (t->device && (p = device_any_peer(t->device)))
		end_link(t, peer_owner(p));
	device_free(t->device);
	timers_fini(&t->measuring);
	if (t->plane.grace.last) {
		grace_fini(&t->plane.grace);
		lookup_fini(&t->plane.sessions);
		lookup_fini(&t->plane.addresses);
		lookup_fini(&t->plane.ids);
	}
	for (unsigned i = 0; i <= t->n_workers; i++)
		free(t->workers[i]);
	plain_fini(&t->plain);
	tap_close(&t->plane.tap);
	while (t->n_sockets > 0)
		close(t->sockets[--t->n_sockets].fd);
	if (t->plane.wake >= 0)
		close(t->plane.wake);
	if (t->event >= 0)
		close(t->event);
	free(t);
}

unsigned tunnel_ifindex(const struct tunnel *t)
{
	return t->plane.tap.ifindex;
}

const uint8_t *tunnel_public_key(const struct tunnel *t)
{
	return device_public_key(t->device);
}

enum packet_suite tunnel_suite(const struct tunnel *t)
{
	const struct worker *any = t->workers[0];

	return aead_best(any->aead, AEAD_AES256_GCM) == AEAD_LIBCRYPTO ? SUITE_WIREGUARD : SUITE_ISTHMUS;
}

int tunnel_mtu_set(struct tunnel *t, uint16_t mtu)
{
	int r = tap_mtu_set(&t->plane.tap, mtu);

	if (r == 0)
		__atomic_store_n(&t->plane.mtu, mtu, __ATOMIC_RELAXED);
	return r;
}

static struct link *link_of(const struct tunnel *t, const uint8_t *public_key)
{
	struct peer *p = device_peer(t->device, public_key);

	return p ? peer_owner(p) : NULL;
}

static struct link_address *address_of(const struct link *l, const struct addr *a)
{
	for (size_t i = 0; i < l->n_addresses; i++)
		if (addr_equal(&l->addresses[i]->addr, a))
			return l->addresses[i];
	return NULL;
}

static int add_address(struct link *l, const struct addr *addr, struct link_address **out)
{
	struct link_address *a = calloc(1, sizeof(*a));
	int r;

	if (!a)
		return -ENOMEM;
	a->addr = *addr;
	a->link = l;
	r = lookup_add(&l->plane->addresses, a);
	if (r != 0)
		free(a);
	else
		*out = a;
	return r;
}

/* The new ones first; then those that are not wanted any more. */
static int set_addresses(struct link *l, const struct tunnel_peer *peer)
{
	struct link_address *wanted[TUNNEL_ADDRESSES_MAX] = {NULL};
	bool fresh[TUNNEL_ADDRESSES_MAX] = {false};
	size_t n = 0;
	int r = 0;

	for (; n < peer->n_addresses; n++) {
		wanted[n] = address_of(l, &peer->addresses[n]);
		fresh[n] = !wanted[n];
		if (fresh[n])
			r = add_address(l, &peer->addresses[n], &wanted[n]);
		if (r != 0)
			break;
	}
	while (r != 0 && n > 0)
		if (fresh[--n])
			end_address(l->plane, wanted[n]);
	if (r != 0)
		return r;
	for (size_t i = 0; i < l->n_addresses; i++) {
		bool kept = false;

		for (size_t j = 0; j < n; j++)
			kept = kept || wanted[j] == l->addresses[i];
		if (!kept)
			end_address(l->plane, l->addresses[i]);
	}
	memcpy(l->addresses, wanted, n * sizeof(wanted[0]));
	l->n_addresses = n;
	return 0;
}

/* `out` has a key in it, and is wiped by the caller. */
static void config_of(const struct tunnel *t, const struct tunnel_peer *peer, struct link *l, struct peer_config *out)
{
	*out = (struct peer_config){
		.suite = peer->suite, .keepalive_s = peer->keepalive_s, .mtu = t->plane.mtu, .owner = l,
		.unreachable = peer->unreachable};
	memcpy(out->public_key, peer->public_key, sizeof(out->public_key));
	memcpy(out->psk, peer->psk, sizeof(out->psk));
	if (!endpoint_equal(&peer->endpoint, &l->given))
		out->endpoint = peer->endpoint;
}

static int set_port(struct tunnel *t, struct link *l, const struct tunnel_peer *peer)
{
	bool first = !l->plain;
	int r;

	if (peer->kind != TUNNEL_PLAIN)
		return 0;
	r = t->plain.worker ? 0 : plain_start(&t->plain, &t->plane, t->n_workers + 1, &t->sockets[0]);
	if (r == 0)
		r = plain_set(l, &t->plain, &peer->port);
	if (r == 0 && first)
		LIST_INSERT_HEAD(&t->plain_links, l, of_plain);
	return r;
}

static int add_peer(struct tunnel *t, const struct tunnel_peer *peer)
{
	struct link *l = calloc(1, sizeof(*l));
	struct peer_config c;
	int r;

	if (!l)
		return -ENOMEM;
	l->plane = &t->plane;
	l->kind = peer->kind;
	memcpy(l->public_key, peer->public_key, sizeof(l->public_key));
	config_of(t, peer, l, &c);
	r = peer_new(t->device, &c, plane_now_ms(), &l->peer);
	secret_wipe(&c, sizeof(c));
	if (r != 0) {
		free(l);
		return r;
	}
	l->given = peer->endpoint;
	link_set_endpoint(l, &peer->endpoint);
	r = measure_add(t, l);
	if (r == 0)
		r = lookup_add(&t->plane.ids, l);
	if (r == 0)
		r = set_addresses(l, peer);
	if (r == 0)
		r = set_port(t, l, peer);
	if (r == 0)
		r = detour_set(t, l, peer->relay);
	if (r != 0) {
		end_link(t, l);
		return r;
	}
	measure_path(l, peer->path_mtu);
	peer_initiate(l->peer, true, plane_now_ms());
	return 0;
}

static int change_peer(struct tunnel *t, struct link *l, const struct tunnel_peer *peer)
{
	struct peer_config c;
	int r = set_port(t, l, peer);

	if (r == 0)
		r = detour_set(t, l, peer->relay || l->relay != 0);
	if (r == 0)
		r = set_addresses(l, peer);
	if (r != 0)
		return r;
	detour_set(t, l, peer->relay);
	config_of(t, peer, l, &c);
	peer_change(l->peer, &c, plane_now_ms());
	if (c.endpoint.port != 0) {
		link_set_endpoint(l, &c.endpoint);
		measure_on_moved(l);
	}
	measure_path(l, peer->path_mtu);
	l->given = peer->endpoint;
	if (!peer_is_ready(l->peer, plane_now_ms()))
		peer_initiate(l->peer, false, plane_now_ms());
	secret_wipe(&c, sizeof(c));
	return 0;
}

int tunnel_peer_set(struct tunnel *t, const struct tunnel_peer *peer)
{
	struct link *l;
	int r;

	if (peer->n_addresses > TUNNEL_ADDRESSES_MAX)
		return -EINVAL;
	pthread_mutex_lock(&t->plane.lock);
	l = link_of(t, peer->public_key);
	if (l && !l->plain != (peer->kind != TUNNEL_PLAIN)) {
		end_link(t, l);
		l = NULL;
	}
	r = l ? change_peer(t, l, peer) : add_peer(t, peer);
	pthread_mutex_unlock(&t->plane.lock);
	plane_wake(&t->plane); /* it has timers that the thread does not know of yet */
	return r;
}

void tunnel_relaying_set(struct tunnel *t, bool relaying)
{
	__atomic_store_n(&t->plane.relaying, relaying, __ATOMIC_RELAXED);
}

int tunnel_peer_path(struct tunnel *t, const uint8_t public_key[static NOISE_KEY_SIZE], uint16_t mtu)
{
	struct link *l;

	pthread_mutex_lock(&t->plane.lock);
	l = link_of(t, public_key);
	if (l)
		measure_path(l, mtu);
	pthread_mutex_unlock(&t->plane.lock);
	plane_wake(&t->plane);
	return l ? 0 : -ENOENT;
}

int tunnel_peer_remove(struct tunnel *t, const uint8_t public_key[static NOISE_KEY_SIZE])
{
	struct link *l;

	pthread_mutex_lock(&t->plane.lock);
	l = link_of(t, public_key);
	if (l)
		end_link(t, l);
	pthread_mutex_unlock(&t->plane.lock);
	if (!l)
		return -ENOENT;
	protocol_wake_workers(t);
	plane_wake(&t->plane);
	return 0;
}

static void status_of(struct link *l, struct tunnel_peer_status *out)
{
	const struct link_counters *c = &l->counters;
	const struct link *relay;

	*out = (struct tunnel_peer_status){.endpoint = *peer_endpoint(l->peer),
					   .ready = peer_is_ready(l->peer, plane_now_ms())};
	relay = out->endpoint.relay ? l->plane->relays[out->endpoint.relay - 1] : NULL;
	if (relay)
		memcpy(out->relay, relay->public_key, sizeof(out->relay));
	out->carried_packets = counter_get(&c->carried_packets);
	out->carried_bytes = counter_get(&c->carried_bytes);
	peer_stats(l->peer, &out->stats);
	measure_status(l, &out->path);
	out->stats.sent_packets = counter_get(&c->sent_packets);
	out->stats.sent_bytes = counter_get(&c->sent_bytes);
	out->stats.received_packets = counter_get(&c->received_packets);
	out->stats.received_bytes = counter_get(&c->received_bytes);
	for (size_t i = 0; i < TUNNEL_DROP_MAX; i++)
		out->drops[i] = counter_get(&c->drops[i]);
	if (l->plain)
		out->drops[TUNNEL_TAP_FULL] = tap_dropped(&l->plain->tap);
}

int tunnel_peer_status(struct tunnel *t, const uint8_t public_key[static NOISE_KEY_SIZE],
		       struct tunnel_peer_status *out)
{
	struct link *l;

	pthread_mutex_lock(&t->plane.lock);
	l = link_of(t, public_key);
	if (l)
		status_of(l, out);
	pthread_mutex_unlock(&t->plane.lock);
	return l ? 0 : -ENOENT;
}

bool tunnel_port_is_ours(const char *device, bool *is_open)
{
	return tap_is_port(device, is_open);
}

bool tunnel_port_is_lost(struct tunnel *t, const uint8_t public_key[static NOISE_KEY_SIZE])
{
	const struct link *l;
	bool lost;

	pthread_mutex_lock(&t->plane.lock);
	l = link_of(t, public_key);
	lost = l && l->plain && __atomic_load_n(&l->plain->lost, __ATOMIC_RELAXED);
	pthread_mutex_unlock(&t->plane.lock);
	return lost;
}

int tunnel_peer_rekey(struct tunnel *t, const uint8_t public_key[static NOISE_KEY_SIZE])
{
	struct link *l;

	pthread_mutex_lock(&t->plane.lock);
	l = link_of(t, public_key);
	if (l)
		peer_initiate(l->peer, true, plane_now_ms());
	pthread_mutex_unlock(&t->plane.lock);
	plane_wake(&t->plane);
	return l ? 0 : -ENOENT;
}

int tunnel_fd(const struct tunnel *t)
{
	return t->event;
}

bool tunnel_event(struct tunnel *t, struct tunnel_event *out)
{
	uint64_t count;
	struct link *l;
	bool any = true;

	pthread_mutex_lock(&t->plane.lock);
	l = t->eventful;
	if (l) {
		*out = (struct tunnel_event){.kinds = l->events};
		memcpy(out->public_key, l->public_key, sizeof(out->public_key));
		t->eventful = l->next_event;
		l->events = 0;
	} else if (__atomic_load_n(&t->plane.lost, __ATOMIC_ACQUIRE) && !t->lost_is_taken) {
		*out = (struct tunnel_event){.kinds = TUNNEL_LOST};
		t->lost_is_taken = true;
	} else {
		any = false;
		while (read(t->event, &count, sizeof(count)) < 0 && errno == EINTR)
			;
	}
	pthread_mutex_unlock(&t->plane.lock);
	return any;
}

void tunnel_drops(struct tunnel *t, uint64_t out[static TUNNEL_DROP_MAX])
{
	const struct link *l;

	pthread_mutex_lock(&t->plane.lock);
	for (int i = 0; i < TUNNEL_DROP_MAX; i++) {
		out[i] = i < DEVICE_DROP_MAX ? device_drops(t->device, (enum device_drop)i) : 0;
		for (unsigned j = 0; j <= t->n_workers; j++)
			out[i] += counter_get(&t->workers[j]->drops[i]);
		if (t->plain.worker)
			out[i] += counter_get(&t->plain.worker->drops[i]);
	}
	out[TUNNEL_TAP_FULL] = tap_dropped(&t->plane.tap);
	LIST_FOREACH(l, &t->plain_links, of_plain)
		out[TUNNEL_TAP_FULL] += tap_dropped(&l->plain->tap);
	for (unsigned i = 0; i < t->n_sockets; i++)
		out[TUNNEL_SOCKET_FULL] += udp_dropped(&t->sockets[i]);
	pthread_mutex_unlock(&t->plane.lock);
}
