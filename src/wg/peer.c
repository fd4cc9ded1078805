/* SPDX-License-Identifier: Apache-2.0 */
#include "wg/peer.h"

#include <endian.h>
#include <errno.h>
#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>

#include "lib/cleanup.h"
#include "wg/relay.h"
#include "wg/keyring.h"
#include "wg/secret.h"
#include "wg/state.h"

#define INITIATION_APART_MS 20 /* between two initiations of one peer that we answer */

#define TAI_EPOCH 0x400000000000000aULL /* TAI64 of 1970, as everybody writes it: without leap seconds since */

static void forget_handshake(struct peer *p)
{
	if (p->handshake)
		indices_remove(&p->device->index, p->handshake_index);
	noise_free(TAKE_PTR(p->handshake));
}

static void forget_all(struct peer *p)
{
	forget_handshake(p);
	keyring_forget(p);
}

static void on_erase(void *arg)
{
	struct peer *p = arg;

	forget_all(p);
	p->device->ops->event(p->device->arg, p, PEER_ERASED);
}

static void on_given_up(void *arg)
{
	struct peer *p = arg;

	forget_handshake(p);
	p->device->ops->event(p->device->arg, p, PEER_GONE);
}

/*
 * TAI64N, later than the one before.  Whole steps of 2^24 ns: the exact time of a node's clock is nobody's business.
 */
static void timestamp_next(struct peer *p)
{
	const struct device *d = p->device;
	uint64_t ns = d->wall_ns + d->clock.now_ms * 1000000;
	uint64_t seconds = htobe64(TAI_EPOCH + ns / 1000000000);
	uint32_t rest = htobe32((uint32_t)(ns % 1000000000) & ~((1U << 24) - 1));
	uint8_t now[TIMESTAMP_SIZE];

	memcpy(now, &seconds, 8);
	memcpy(now + 8, &rest, 4);
	if (memcmp(now, p->sent_time, TIMESTAMP_SIZE) > 0) {
		memcpy(p->sent_time, now, TIMESTAMP_SIZE);
		return;
	}
	for (size_t i = TIMESTAMP_SIZE; i-- > 0 && ++p->sent_time[i] == 0;)
		;
}

/* How far the other's clock is ahead; the message's time on its way is neglected. */
static int64_t ahead_ms(const struct device *d, const uint8_t time[static TIMESTAMP_SIZE])
{
	uint64_t seconds;

	memcpy(&seconds, time, sizeof(seconds));
	return (int64_t)((be64toh(seconds) - TAI_EPOCH) * 1000 - (d->wall_ns / 1000000 + d->clock.now_ms));
}

static void send_to(struct peer *p, const void *message, size_t size)
{
	p->device->ops->send(p->device->arg, &p->endpoint, message, size);
}

static bool send_around(struct peer *p, const void *message, size_t size)
{
	const struct device *d = p->device;

	return d->ops->send_around && d->ops->send_around(d->arg, p, message, size);
}

/*
 * The first goes where the peer is.  What it does not answer is asked for through the relays, and directly, in turn and not at
 * once: of a message that comes twice the second is a replay, and the first may have come by a way that leads in one
 * direction only.
 */
static void initiation_send(struct peer *p, const struct packet_initiation *m)
{
	unsigned turn = p->tries++;
	const struct endpoint *to = turn > 0 && p->direct.port != 0 ? &p->direct : &p->endpoint;

	if (to->port == 0 || turn % 2 == 1 || (to->relay != 0 && turn > 0))
		if (send_around(p, m, sizeof(*m)))
			return;
	if (to->port != 0)
		p->device->ops->send(p->device->arg, to, (const uint8_t *)m, sizeof(*m));
}

static int initiation_write(struct peer *p, struct packet_initiation *m)
{
	struct device *d = p->device;
	_secret_ struct secret_key ephemeral;
	int r = noise_new(&d->tools, &packet_suites[p->suite], d->identity, &p->handshake);

	if (r != 0)
		return r;
	timestamp_next(p);
	if (RAND_priv_bytes(ephemeral.bytes, sizeof(ephemeral.bytes)) != 1)
		return -ENOMEM;
	r = noise_write_first(p->handshake, p->public_key, p->secrets->common, ephemeral.bytes, p->sent_time,
			      TIMESTAMP_SIZE, m->noise);
	if (r == 0)
		r = indices_add(&d->index, p, p->high, &p->handshake_index);
	if (r != 0)
		return r;
	m->header = packet_header(PACKET_INITIATION, p->suite);
	memcpy(m->sender, &p->handshake_index, sizeof(m->sender));
	r = cookie_sign(&p->jar, d->tools.hash, (uint8_t *)m, sizeof(*m), d->clock.now_ms);
	if (r != 0)
		indices_remove(&d->index, p->handshake_index);
	return r;
}

static void initiate(struct peer *p, bool now)
{
	struct device *d = p->device;
	struct packet_initiation m;
	int r;

	if ((p->endpoint.port == 0 && !send_around(p, NULL, 0)) ||
	    (!now && p->initiated && d->clock.now_ms - p->initiated_ms < REKEY_TIMEOUT_MS))
		return;
	p->initiated = true;
	p->initiated_ms = d->clock.now_ms;
	forget_handshake(p);
	if (p->endpoint.port == 0 && p->tries == 0 && !p->unreachable) { /* it calls us, unless it cannot */
		p->tries++;
		peer_timers_on_initiated(&p->timers);
		return;
	}
	r = initiation_write(p, &m);
	if (r != 0) {
		device_count(d, DEVICE_NO_MEMORY);
		noise_free(TAKE_PTR(p->handshake));
	}
	peer_timers_on_initiated(&p->timers); /* failed or not: it is to be tried again */
	if (r == 0)
		initiation_send(p, &m);
}

void peer_on_relay_up(struct peer *p)
{
	bool nowhere = p->endpoint.port == 0 && p->unreachable;

	if (!p->timers.trying || p->tries < (nowhere ? 1 : 2)) /* the direct way has its time first */
		return;
	p->tries |= 1; /* its turn */
	initiate(p, true);
}

static void on_initiate(void *arg)
{
	initiate(arg, false);
}

int peer_seal_aside(struct peer *p, struct packet *m, size_t mtu, uint64_t now_ms, uint32_t *session)
{
	struct device *d = p->device;
	int r;

	d->clock.now_ms = now_ms;
	r = p->current ? keypair_seal(p->current, d->tools.aead, m, 1, mtu, now_ms) : -EKEYEXPIRED;
	if (r != 0)
		return r;
	*session = p->current->local;
	peer_timers_on_sent(&p->timers, false);
	return 0;
}

static void send_keepalive(struct peer *p)
{
	struct device *d = p->device;
	uint8_t message[PACKET_DATA_SIZE(0)];
	struct packet m = {.data = message};
	uint32_t unused;
	int r = peer_seal_aside(p, &m, p->mtu, d->clock.now_ms, &unused);

	if (r == -EKEYEXPIRED)
		initiate(p, false);
	if (r != 0)
		return;
	send_to(p, message, m.size);
	if (keypair_wants_next_sending(p->current, d->clock.now_ms))
		initiate(p, false);
}

static void on_keepalive(void *arg)
{
	send_keepalive(arg);
}

static const struct peer_timers_ops timers_ops = {
	.initiate = on_initiate,
	.keepalive = on_keepalive,
	.given_up = on_given_up,
	.erase = on_erase,
};

int peer_new(struct device *d, const struct peer_config *config, uint64_t now_ms, struct peer **out)
{
	struct peer *p;
	int r;

	d->clock.now_ms = now_ms;
	if (memcmp(config->public_key, noise_identity_public(d->identity), NOISE_KEY_SIZE) == 0)
		return -EKEYREJECTED;
	p = calloc(1, sizeof(*p));
	if (!p)
		return -ENOMEM;
	p->device = d;
	p->suite = config->suite;
	p->endpoint = p->direct = config->endpoint;
	p->unreachable = config->unreachable;
	p->mtu = config->mtu;
	p->owner = config->owner;
	p->high = d->next_high++;
	memcpy(p->public_key, config->public_key, NOISE_KEY_SIZE);
	p->secrets = secret_new(sizeof(*p->secrets));
	r = p->secrets ? noise_identity_agree(d->identity, p->public_key, p->secrets->common) : -ENOMEM;
	if (r == 0) {
		memcpy(p->secrets->psk, config->psk, NOISE_KEY_SIZE);
		r = cookie_jar_init(&p->jar, d->tools.hash, p->public_key);
	}
	if (r == 0)
		r = peer_timers_init(&p->timers, &d->clock, &timers_ops, p);
	if (r == 0)
		r = hmap_add(&d->peers, p);
	if (r != 0) {
		peer_timers_fini(&p->timers);
		secret_free(p->secrets);
		free(p);
		return r;
	}
	peer_timers_persist(&p->timers, config->keepalive_s);
	*out = p;
	return 0;
}

void peer_change(struct peer *p, const struct peer_config *config, uint64_t now_ms)
{
	p->device->clock.now_ms = now_ms;
	p->suite = config->suite;
	p->mtu = config->mtu;
	memcpy(p->secrets->psk, config->psk, NOISE_KEY_SIZE);
	p->unreachable = config->unreachable;
	if (config->endpoint.port != 0)
		p->endpoint = p->direct = config->endpoint;
	if (p->timers.persistent_s != config->keepalive_s)
		peer_timers_persist(&p->timers, config->keepalive_s);
}

void peer_free(struct peer *p)
{
	if (!p)
		return;
	hmap_remove(&p->device->peers, p->public_key);
	forget_all(p);
	peer_timers_fini(&p->timers);
	secret_free(p->secrets);
	free(p);
}

void *peer_owner(const struct peer *p)
{
	return p->owner;
}

const struct endpoint *peer_endpoint(const struct peer *p)
{
	return &p->endpoint;
}

void peer_stats(const struct peer *p, struct peer_stats *out)
{
	*out = p->stats;
}

bool peer_is_ready(const struct peer *p, uint64_t now_ms)
{
	return keypair_is_usable(p->current, now_ms);
}

static void on_sent(struct peer *p)
{
	peer_timers_on_sent(&p->timers, true);
	if (p->current && keypair_wants_next_sending(p->current, p->device->clock.now_ms))
		initiate(p, false);
}

int peer_seal(struct peer *p, struct packet *packets, size_t n, uint64_t now_ms)
{
	struct device *d = p->device;
	size_t bytes = 0;
	int r = -EKEYEXPIRED;

	d->clock.now_ms = now_ms;
	for (size_t i = 0; i < n; i++)
		bytes += packets[i].size;
	if (p->current)
		r = keypair_seal(p->current, d->tools.aead, packets, n, p->mtu, now_ms);
	if (r == -EKEYEXPIRED) {
		initiate(p, false);
		return -EAGAIN;
	}
	if (r != 0)
		return r;
	p->stats.sent_packets += n;
	p->stats.sent_bytes += bytes;
	on_sent(p);
	return 0;
}

void peer_on_sent(struct peer *p, uint64_t now_ms)
{
	p->device->clock.now_ms = now_ms;
	on_sent(p);
}

void peer_initiate(struct peer *p, bool now, uint64_t now_ms)
{
	p->device->clock.now_ms = now_ms;
	initiate(p, now);
}

static void move(struct peer *p, const struct endpoint *to)
{
	bool moved = !endpoint_equal(&p->endpoint, to);

	p->endpoint = *to;
	p->here_ms = p->device->clock.now_ms;
	if (to->relay == 0 && to->port != 0)
		p->direct = *to;
	if (moved)
		p->device->ops->event(p->device->arg, p, PEER_MOVED);
}

/*
 * Only who was authenticated moves its endpoint (2.1 of the paper).  What comes through a relay does not while something
 * comes by the way that is used: it was sent before that was taken, and each would draw the other back for ever.  Of two
 * relays, which two that begin at once may have taken one each, the one that all have first is as good as that.
 */
static void on_authenticated(struct peer *p, const struct endpoint *from)
{
	bool used = endpoint_equal(from, &p->endpoint), fresh = p->device->clock.now_ms - p->here_ms < RELAY_FRESH_MS;

	p->tries = 0;
	if (from->relay != 0 && !send_around(p, NULL, 0)) /* no relay leads back there */
		return;
	if (from->relay == 0 || p->endpoint.port == 0 || used || !fresh || from->relay < p->endpoint.relay)
		move(p, from);
}

void peer_move(struct peer *p, const struct endpoint *to, uint64_t now_ms)
{
	p->device->clock.now_ms = now_ms;
	move(p, to);
	if (to->port != 0 && keypair_is_usable(p->current, now_ms))
		send_keepalive(p);
}

const struct endpoint *peer_direct(const struct peer *p)
{
	return &p->direct;
}

/* Both sides have the keys now. */
static void on_established(struct peer *p)
{
	struct device *d = p->device;

	peer_timers_on_established(&p->timers);
	p->stats.handshakes++;
	p->stats.established_ms = d->clock.now_ms;
	p->stats.suite = p->current->suite;
	d->ops->event(d->arg, p, PEER_READY);
}

/* Reads an initiation up to whose it is; the peer, or NULL and the reason was counted. */
static struct peer *initiation_read(struct device *d, const struct packet_initiation *m, struct noise *n)
{
	uint8_t key[NOISE_KEY_SIZE], time[TIMESTAMP_SIZE];
	struct peer *p;
	int r = noise_read_static(n, m->noise, key);

	if (r == 0) {
		p = hmap_get(&d->peers, key);
		if (!p) {
			device_count(d, DEVICE_UNKNOWN_PEER);
			return NULL;
		}
		r = noise_read_first(n, m->noise, p->secrets->common, TIMESTAMP_SIZE, time);
	}
	if (r != 0) {
		device_count(d, r == -EBADMSG ? DEVICE_BAD_HANDSHAKE : DEVICE_NO_MEMORY);
		return NULL;
	}
	/* 5.1: an initiation that was recorded starts nothing. */
	if (p->received && (memcmp(time, p->received_time, TIMESTAMP_SIZE) <= 0 ||
			    d->clock.now_ms - p->received_ms < INITIATION_APART_MS)) {
		device_count(d, DEVICE_OLD_HANDSHAKE);
		return NULL;
	}
	p->received = true;
	p->received_ms = d->clock.now_ms;
	memcpy(p->received_time, time, TIMESTAMP_SIZE);
	p->stats.clock_known = true;
	p->stats.clock_ahead_ms = ahead_ms(d, time);
	return p;
}

static int response_write(struct peer *p, struct noise *n, const struct packet_initiation *m,
			  struct packet_response *out)
{
	struct device *d = p->device;
	_secret_ struct secret_key ephemeral;
	uint32_t local, remote;
	struct keypair *k;
	int r;

	if (RAND_priv_bytes(ephemeral.bytes, sizeof(ephemeral.bytes)) != 1)
		return -ENOMEM;
	r = noise_write_second(n, p->secrets->psk, ephemeral.bytes, NULL, 0, out->noise);
	if (r == 0)
		r = indices_add(&d->index, p, p->high, &local);
	if (r != 0)
		return r;
	out->header = packet_header(PACKET_RESPONSE, (enum packet_suite)m->header.suite);
	memcpy(out->sender, &local, sizeof(out->sender));
	memcpy(out->receiver, m->sender, sizeof(out->receiver));
	memcpy(&remote, m->sender, sizeof(remote));
	r = cookie_sign(&p->jar, d->tools.hash, (uint8_t *)out, sizeof(*out), d->clock.now_ms);
	if (r == 0)
		r = keyring_derive(p, n, false, local, remote, &k);
	if (r != 0)
		indices_remove(&d->index, local);
	else
		keyring_put_answered(p, k);
	return r;
}

void peer_on_initiation(struct device *d, const struct endpoint *from, const struct packet_initiation *m)
{
	struct packet_response response;
	struct noise *n;
	struct peer *p;
	int r = noise_new(&d->tools, &packet_suites[m->header.suite], d->identity, &n);

	if (r != 0) {
		device_count(d, DEVICE_NO_MEMORY);
		return;
	}
	p = initiation_read(d, m, n);
	if (p) {
		on_authenticated(p, from);
		peer_timers_on_received(&p->timers, false);
		r = response_write(p, n, m, &response);
		if (r == 0) {
			peer_timers_on_derived(&p->timers);
			peer_timers_on_sent(&p->timers, false);
			d->ops->send(d->arg, from, (const uint8_t *)&response, sizeof(response)); /* its way led here */
		} else {
			device_count(d, r == -EBADMSG ? DEVICE_BAD_HANDSHAKE : DEVICE_NO_MEMORY);
		}
	}
	noise_free(n);
}

static struct index_entry *entry_of(struct device *d, const uint8_t receiver[static 4])
{
	uint32_t index;

	memcpy(&index, receiver, sizeof(index));
	return indices_get(&d->index, index);
}

void peer_on_response(struct device *d, const struct endpoint *from, const struct packet_response *m)
{
	struct index_entry *e = entry_of(d, m->receiver);
	struct peer *p = e && !e->keypair ? e->peer : NULL;
	struct keypair *k;
	uint32_t remote;
	int r;

	if (!p) {
		device_count(d, DEVICE_UNKNOWN_INDEX);
		return;
	}
	r = &packet_suites[m->header.suite] == noise_suite(p->handshake) ? 0 : -EBADMSG;
	if (r == 0)
		r = noise_read_second(p->handshake, p->secrets->psk, m->noise, 0, NULL);
	if (r == 0) {
		memcpy(&remote, m->sender, sizeof(remote));
		r = keyring_derive(p, p->handshake, true, p->handshake_index, remote, &k);
		if (r != 0) /* the transcript has moved on: no second answer can be read */
			forget_handshake(p);
	}
	if (r != 0) {
		device_count(d, r == -EBADMSG ? DEVICE_BAD_HANDSHAKE : DEVICE_NO_MEMORY);
		return;
	}
	noise_free(TAKE_PTR(p->handshake)); /* its index is the keypair's now */
	on_authenticated(p, from);
	keyring_put_initiated(p, k);
	peer_timers_on_received(&p->timers, false);
	peer_timers_on_derived(&p->timers);
	on_established(p);
	if (__atomic_load_n(&k->sent, __ATOMIC_RELAXED) == 0) /* nothing waited: they may not send before they have heard of us */
		send_keepalive(p);
}

void peer_on_cookie(struct device *d, const struct packet_cookie *m)
{
	struct index_entry *e = entry_of(d, m->receiver);

	if (!e)
		device_count(d, DEVICE_UNKNOWN_INDEX);
	else if (cookie_take(&e->peer->jar, d->tools.aead, m, d->clock.now_ms) != 0)
		device_count(d, DEVICE_BAD_COOKIE);
	/* It is used when the timer says so: whoever is flooded is not to be asked again at once (5.3). */
}

static const enum device_drop verdict_drops[] = {
	[KEYPAIR_EXPIRED] = DEVICE_EXPIRED,
	[KEYPAIR_FORGED] = DEVICE_FORGED,
	[KEYPAIR_REPLAYED] = DEVICE_REPLAYED,
};

/* Counts what is not good, and leaves of the good what is data; true: any were good. */
static bool sift(struct device *d, struct packet *packets, size_t n, size_t *n_data)
{
	size_t length = 0;
	bool any = false;

	for (size_t i = 0; i < n; i++) {
		if (packets[i].verdict != KEYPAIR_GOOD) {
			device_count(d, verdict_drops[packets[i].verdict]);
			continue;
		}
		any = true;
		if (packets[i].size > 0) /* else a keepalive */
			packets[length++] = packets[i];
	}
	*n_data = length;
	return any;
}

static void on_opened(struct peer *p, struct keypair *k, bool data)
{
	peer_timers_on_received(&p->timers, data);
	if (k == p->next) {
		keyring_next(p);
		on_established(p);
	}
	if (k == p->current && keypair_wants_next_receiving(k, p->device->clock.now_ms))
		initiate(p, false);
}

void peer_on_opened(struct peer *p, uint32_t local, const struct endpoint *from, bool data, uint64_t now_ms)
{
	struct device *d = p->device;
	struct index_entry *e = indices_get(&d->index, local);

	d->clock.now_ms = now_ms;
	p->tries = 0;
	if (from)
		on_authenticated(p, from);
	if (e && e->peer == p && e->keypair) /* else it has ended since */
		on_opened(p, e->keypair, data);
}

void peer_on_data(struct device *d, const struct endpoint *from, struct packet *packets, size_t n)
{
	struct index_entry *e = entry_of(d, ((const struct packet_data *)packets->data)->receiver);
	struct keypair *k = e ? e->keypair : NULL;
	struct peer *p;

	if (!k) {
		d->drops[DEVICE_UNKNOWN_INDEX] += n;
		return;
	}
	keypair_open(k, d->tools.aead, packets, n, d->clock.now_ms);
	if (!sift(d, packets, n, &n))
		return;
	p = e->peer;
	on_authenticated(p, from);
	on_opened(p, k, n > 0);
	for (size_t i = 0; i < n; i++)
		p->stats.received_bytes += packets[i].size;
	p->stats.received_packets += n;
	if (n > 0)
		d->ops->deliver(d->arg, p, packets, n);
}
