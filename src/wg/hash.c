/* SPDX-License-Identifier: Apache-2.0 */
#include "wg/hash.h"

#include <errno.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "wg/secret.h"

struct hash {
	EVP_MD *md;
	EVP_MD_CTX *context;
	EVP_MAC_CTX *mac, *hmac;
	bool failed;
};

/* A context of a MAC with its parameters set, so that a key is all that is given later. */
static EVP_MAC_CTX *mac_context(const char *name, const OSSL_PARAM *params)
{
	EVP_MAC *mac = EVP_MAC_fetch(NULL, name, NULL);
	EVP_MAC_CTX *c = mac ? EVP_MAC_CTX_new(mac) : NULL;

	EVP_MAC_free(mac); /* the context has a reference */
	if (c && EVP_MAC_CTX_set_params(c, params) != 1) {
		EVP_MAC_CTX_free(c);
		c = NULL;
	}
	return c;
}

void hash_free(struct hash *h)
{
	if (!h)
		return;
	EVP_MAC_CTX_free(h->hmac);
	EVP_MAC_CTX_free(h->mac);
	EVP_MD_CTX_free(h->context);
	EVP_MD_free(h->md);
	free(h);
}

int hash_new(struct hash **out)
{
	size_t mac_size = HASH_MAC_SIZE;
	char digest[] = "BLAKE2S-256";
	const OSSL_PARAM size[] = {OSSL_PARAM_size_t(OSSL_MAC_PARAM_SIZE, &mac_size), OSSL_PARAM_END};
	const OSSL_PARAM inner[] = {OSSL_PARAM_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, sizeof(digest) - 1),
				    OSSL_PARAM_END};
	struct hash *h = calloc(1, sizeof(*h));

	if (!h)
		return -ENOMEM;
	h->md = EVP_MD_fetch(NULL, digest, NULL);
	h->context = EVP_MD_CTX_new();
	h->mac = mac_context("BLAKE2SMAC", size);
	h->hmac = mac_context("HMAC", inner);
	if (!h->md || !h->context || !h->mac || !h->hmac) {
		hash_free(h);
		return -ENOSYS;
	}
	*out = h;
	return 0;
}

void hash_begin(struct hash *h)
{
	h->failed = false;
}

bool hash_ok(const struct hash *h)
{
	return !h->failed;
}

static void settle(struct hash *h, bool ok, uint8_t *out, size_t size)
{
	if (ok)
		return;
	h->failed = true;
	memset(out, 0, size);
}

void hash_join(struct hash *h, const void *a, size_t a_size, const void *b, size_t b_size,
	       uint8_t out[static HASH_SIZE])
{
	settle(h,
	       EVP_DigestInit_ex2(h->context, h->md, NULL) == 1 && EVP_DigestUpdate(h->context, a, a_size) == 1 &&
		       EVP_DigestUpdate(h->context, b, b_size) == 1 && EVP_DigestFinal_ex(h->context, out, NULL) == 1,
	       out, HASH_SIZE);
}

static bool mac_run(EVP_MAC_CTX *c, const void *key, size_t key_size, const void *data, size_t size,
		    const void *more, size_t more_size, uint8_t *out, size_t out_size)
{
	size_t n;

	return EVP_MAC_init(c, key, key_size, NULL) == 1 && EVP_MAC_update(c, data, size) == 1 &&
	       EVP_MAC_update(c, more, more_size) == 1 && EVP_MAC_final(c, out, &n, out_size) == 1 && n == out_size;
}

void hash_mac(struct hash *h, const void *key, size_t key_size, const void *data, size_t size,
	      uint8_t out[static HASH_MAC_SIZE])
{
	settle(h, mac_run(h->mac, key, key_size, data, size, NULL, 0, out, HASH_MAC_SIZE), out, HASH_MAC_SIZE);
}

void hash_derive(struct hash *h, const uint8_t chain[static HASH_SIZE], const void *input, size_t size, size_t n,
		 uint8_t *const out[])
{
	_secret_ struct secret_key base, last;
	bool ok = mac_run(h->hmac, chain, HASH_SIZE, input, size, NULL, 0, base.bytes, HASH_SIZE);

	/* T(i) = HMAC(base, T(i - 1) | i) */
	for (size_t i = 0; i < n; i++) {
		uint8_t number = (uint8_t)(i + 1);

		ok = ok && mac_run(h->hmac, base.bytes, HASH_SIZE, last.bytes, i ? HASH_SIZE : 0, &number, 1,
				   last.bytes, HASH_SIZE);
		memcpy(out[i], last.bytes, HASH_SIZE);
		settle(h, ok, out[i], HASH_SIZE);
	}
	/* The contexts keep what they were given last: give them something that nobody minds. */
	mac_run(h->hmac, (const uint8_t[HASH_SIZE]){0}, HASH_SIZE, NULL, 0, NULL, 0, base.bytes, HASH_SIZE);
}
