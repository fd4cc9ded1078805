/* SPDX-License-Identifier: Apache-2.0 */
#include "wg/device.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "wg/secret.h"
#include "wg/state.h"

static const char *const drop_names[] = {
	[DEVICE_MALFORMED] = "malformed",
	[DEVICE_BAD_MAC] = "bad_mac",
	[DEVICE_COOKIE_SENT] = "cookie_sent",
	[DEVICE_RATE_LIMITED] = "rate_limited",
	[DEVICE_UNKNOWN_PEER] = "unknown_peer",
	[DEVICE_BAD_HANDSHAKE] = "bad_handshake",
	[DEVICE_OLD_HANDSHAKE] = "old_handshake",
	[DEVICE_UNKNOWN_INDEX] = "unknown_index",
	[DEVICE_BAD_COOKIE] = "bad_cookie",
	[DEVICE_FORGED] = "forged",
	[DEVICE_REPLAYED] = "replayed",
	[DEVICE_EXPIRED] = "expired",
	[DEVICE_NO_MEMORY] = "no_memory",
};
static_assert(sizeof(drop_names) / sizeof(drop_names[0]) == DEVICE_DROP_MAX, "every drop has a name");

const char *device_drop_name(enum device_drop d)
{
	return drop_names[d];
}

int device_new(const struct device_config *config, const struct device_ops *ops, void *arg, uint64_t now_ms,
	       struct device **out)
{
	struct device *d = calloc(1, sizeof(*d));
	int r;

	if (!d)
		return -ENOMEM;
	d->ops = ops;
	d->arg = arg;
	d->peers = HMAP_INIT(struct peer, public_key);
	d->clock.now_ms = now_ms;
	d->wall_ns = config->wall_ns - now_ms * 1000000; /* may wrap; so does adding to it */
	r = noise_tools_new(&d->tools);
	if (r == 0)
		r = noise_identity_new(config->private_key, &d->identity);
	if (r == 0)
		r = cookie_checker_init(&d->checker, d->tools.hash, noise_identity_public(d->identity), now_ms);
	if (r == 0)
		r = limiter_new(&d->limiter);
	if (r != 0)
		device_free(d);
	else
		*out = d;
	return r;
}

void device_free(struct device *d)
{
	struct peer *p;

	if (!d)
		return;
	for (size_t i = 0; (p = hmap_next(&d->peers, &i));)
		peer_free(p);
	hmap_fini(&d->peers);
	indices_fini(&d->index);
	timers_fini(&d->clock.heap);
	limiter_free(d->limiter);
	cookie_checker_fini(&d->checker);
	noise_identity_free(d->identity);
	noise_tools_free(&d->tools);
	free(d);
}

const uint8_t *device_public_key(const struct device *d)
{
	return noise_identity_public(d->identity);
}

struct peer *device_peer(const struct device *d, const uint8_t public_key[static NOISE_KEY_SIZE])
{
	return hmap_get(&d->peers, public_key);
}

struct peer *device_session_peer(const struct device *d, uint32_t local)
{
	const struct index_entry *e = indices_get(&d->index, local);

	return e && e->keypair ? e->peer : NULL;
}

struct peer *device_any_peer(const struct device *d)
{
	size_t i = 0;

	return hmap_next(&d->peers, &i);
}

struct peer *device_next_peer(const struct device *d, size_t *at)
{
	return hmap_next(&d->peers, at);
}

/* 5.3 of the paper: what a handshake message has to bring before it is worth the work on it. */
static bool handshake_is_admitted(struct device *d, const struct endpoint *from, const uint8_t *data, size_t size)
{
	enum cookie_verdict verdict = cookie_check(&d->checker, d->tools.hash, data, size, from, d->clock.now_ms);
	struct packet_cookie reply;

	if (verdict == COOKIE_BAD_MAC) {
		device_count(d, DEVICE_BAD_MAC);
		return false;
	}
	if (!limiter_loaded(d->limiter, d->clock.now_ms))
		return true;
	if (verdict == COOKIE_PROVEN) {
		if (limiter_allow(d->limiter, &from->addr, d->clock.now_ms))
			return true;
		device_count(d, DEVICE_RATE_LIMITED);
		return false;
	}
	if (cookie_reply(&d->checker, &d->tools, data, size, from, d->clock.now_ms, &reply) != 0) {
		device_count(d, DEVICE_NO_MEMORY);
		return false;
	}
	device_count(d, DEVICE_COOKIE_SENT);
	d->ops->send(d->arg, from, (const uint8_t *)&reply, sizeof(reply));
	return false;
}

static const uint8_t *receiver_of(const struct packet *p)
{
	return ((const struct packet_data *)p->data)->receiver;
}

/* How many from the first on are data for the same session. */
static size_t run_of(const struct packet *packets, size_t n)
{
	size_t i = 1;

	while (i < n && i < KEYPAIR_BATCH && packet_kind(packets[i].data, packets[i].size) == PACKET_DATA &&
	       memcmp(receiver_of(&packets[i]), receiver_of(packets), 4) == 0)
		i++;
	return i;
}

static void receive_one(struct device *d, const struct endpoint *from, enum packet_kind kind, const struct packet *p)
{
	switch (kind) {
	case PACKET_INITIATION:
		if (handshake_is_admitted(d, from, p->data, p->size))
			peer_on_initiation(d, from, (const struct packet_initiation *)p->data);
		break;
	case PACKET_RESPONSE:
		if (handshake_is_admitted(d, from, p->data, p->size))
			peer_on_response(d, from, (const struct packet_response *)p->data);
		break;
	case PACKET_COOKIE:
		peer_on_cookie(d, (const struct packet_cookie *)p->data);
		break;
	default:
		device_count(d, DEVICE_MALFORMED);
		break;
	}
}

void device_receive(struct device *d, const struct endpoint *from, struct packet *packets, size_t n, uint64_t now_ms)
{
	d->clock.now_ms = now_ms;
	for (size_t i = 0, run; i < n; i += run) {
		enum packet_kind kind = packet_kind(packets[i].data, packets[i].size);

		run = kind == PACKET_DATA ? run_of(packets + i, n - i) : 1;
		if (kind == PACKET_DATA)
			peer_on_data(d, from, packets + i, run);
		else
			receive_one(d, from, kind, &packets[i]);
	}
}

void device_relay_up(struct device *d, uint64_t now_ms)
{
	struct peer *p;

	d->clock.now_ms = now_ms;
	for (size_t i = 0; (p = hmap_next(&d->peers, &i));)
		peer_on_relay_up(p);
}

void device_tick(struct device *d, uint64_t now_ms)
{
	d->clock.now_ms = now_ms;
	timers_run(&d->clock.heap, now_ms);
}

uint64_t device_next_ms(const struct device *d)
{
	return timers_next_ms(&d->clock.heap);
}

uint64_t device_drops(const struct device *d, enum device_drop drop)
{
	return d->drops[drop];
}
