/* SPDX-License-Identifier: Apache-2.0 */
#include "wg/cookie.h"

#include <errno.h>
#include <openssl/rand.h>
#include <string.h>

#include "wg/secret.h"
#include "wg/xchacha.h"

static_assert(COOKIE_NONCE_SIZE == XCHACHA_NONCE_SIZE, "one nonce");
static_assert(COOKIE_SIZE == HASH_MAC_SIZE, "a cookie is a MAC");

static int label_keys(struct hash *h, const uint8_t public_key[static NOISE_KEY_SIZE],
		      uint8_t mac1_key[static HASH_SIZE], uint8_t cookie_key[static HASH_SIZE])
{
	hash_begin(h);
	hash_join(h, "mac1----", 8, public_key, NOISE_KEY_SIZE, mac1_key);
	hash_join(h, "cookie--", 8, public_key, NOISE_KEY_SIZE, cookie_key);
	return hash_ok(h) ? 0 : -ENOMEM;
}

static int secret_renew(struct cookie_checker *c, uint64_t now_ms)
{
	if (RAND_priv_bytes(c->secret, SECRET_KEY_SIZE) != 1)
		return -ENOMEM;
	c->secret_born_ms = now_ms;
	return 0;
}

int cookie_checker_init(struct cookie_checker *c, struct hash *h, const uint8_t public_key[static NOISE_KEY_SIZE],
			uint64_t now_ms)
{
	int r = label_keys(h, public_key, c->mac1_key, c->cookie_key);

	if (r != 0)
		return r;
	c->secret = secret_new(SECRET_KEY_SIZE);
	r = c->secret ? secret_renew(c, now_ms) : -ENOMEM;
	if (r != 0)
		cookie_checker_fini(c);
	return r;
}

void cookie_checker_fini(struct cookie_checker *c)
{
	secret_free(c->secret);
	c->secret = NULL;
}

/* The cookie of an address and port: the form is nobody's but ours. */
static void cookie_of(const struct cookie_checker *c, struct hash *h, const struct endpoint *from,
		      uint8_t out[static COOKIE_SIZE])
{
	uint8_t source[sizeof(from->addr.bytes) + 2];

	memcpy(source, from->addr.bytes, sizeof(from->addr.bytes));
	memcpy(source + sizeof(from->addr.bytes), &from->port, 2);
	hash_mac(h, c->secret, SECRET_KEY_SIZE, source, sizeof(source), out);
}

static const struct packet_macs *macs_of(const uint8_t *message, size_t size)
{
	return (const struct packet_macs *)(message + size - sizeof(struct packet_macs));
}

enum cookie_verdict cookie_check(struct cookie_checker *c, struct hash *h, const uint8_t *message, size_t size,
				 const struct endpoint *from, uint64_t now_ms)
{
	const struct packet_macs *macs = macs_of(message, size);
	size_t before = size - sizeof(*macs);
	uint8_t mac[HASH_MAC_SIZE], cookie[COOKIE_SIZE];

	hash_begin(h);
	hash_mac(h, c->mac1_key, HASH_SIZE, message, before, mac);
	if (!hash_ok(h) || !secret_equal(mac, macs->mac1, sizeof(mac)))
		return COOKIE_BAD_MAC;
	if (now_ms - c->secret_born_ms >= COOKIE_SECRET_MS)
		return COOKIE_NO_COOKIE;
	cookie_of(c, h, from, cookie);
	hash_mac(h, cookie, COOKIE_SIZE, message, before + sizeof(macs->mac1), mac);
	return hash_ok(h) && secret_equal(mac, macs->mac2, sizeof(mac)) ? COOKIE_PROVEN : COOKIE_NO_COOKIE;
}

int cookie_reply(struct cookie_checker *c, struct noise_tools *t, const uint8_t *message, size_t size,
		 const struct endpoint *from, uint64_t now_ms, struct packet_cookie *out)
{
	int r;

	if (now_ms - c->secret_born_ms >= COOKIE_SECRET_MS) {
		r = secret_renew(c, now_ms);
		if (r != 0)
			return r;
	}
	out->header = packet_header(PACKET_COOKIE, SUITE_WIREGUARD);
	memcpy(out->receiver, message + sizeof(struct packet_header), sizeof(out->receiver)); /* its sender */
	if (RAND_bytes(out->nonce, sizeof(out->nonce)) != 1)
		return -ENOMEM;
	hash_begin(t->hash);
	cookie_of(c, t->hash, from, out->cookie);
	r = xchacha_seal(t->aead, c->cookie_key, out->nonce, macs_of(message, size)->mac1, HASH_MAC_SIZE, out->cookie,
			 COOKIE_SIZE);
	return r == 0 && !hash_ok(t->hash) ? -ENOMEM : r;
}

int cookie_jar_init(struct cookie_jar *j, struct hash *h, const uint8_t public_key[static NOISE_KEY_SIZE])
{
	*j = (struct cookie_jar){.sent = false};
	return label_keys(h, public_key, j->mac1_key, j->cookie_key);
}

int cookie_sign(struct cookie_jar *j, struct hash *h, uint8_t *message, size_t size, uint64_t now_ms)
{
	struct packet_macs *macs = (struct packet_macs *)(message + size - sizeof(*macs));
	size_t before = size - sizeof(*macs);

	hash_begin(h);
	hash_mac(h, j->mac1_key, HASH_SIZE, message, before, macs->mac1);
	memcpy(j->sent_mac1, macs->mac1, sizeof(j->sent_mac1));
	j->sent = true;
	if (j->has_cookie && now_ms - j->got_ms < COOKIE_AGE_MS)
		hash_mac(h, j->cookie, COOKIE_SIZE, message, before + sizeof(macs->mac1), macs->mac2);
	else
		memset(macs->mac2, 0, sizeof(macs->mac2));
	return hash_ok(h) ? 0 : -ENOMEM;
}

int cookie_take(struct cookie_jar *j, struct aead *a, const struct packet_cookie *reply, uint64_t now_ms)
{
	uint8_t opened[sizeof(reply->cookie)];
	int r;

	if (!j->sent)
		return -EBADMSG;
	memcpy(opened, reply->cookie, sizeof(opened));
	r = xchacha_open(a, j->cookie_key, reply->nonce, j->sent_mac1, HASH_MAC_SIZE, opened, COOKIE_SIZE);
	if (r != 0)
		return r;
	memcpy(j->cookie, opened, COOKIE_SIZE);
	j->has_cookie = true;
	j->got_ms = now_ms;
	j->sent = false; /* one reply per message: what comes again is a replay */
	return 0;
}
