/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Both algorithms by libcrypto's EVP.  A context lives as long as its thread; it is given the key at the start of a
 * call and all zeroes at the end, so that no key stays in memory that is not locked.
 */
#include "wg/backend.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdlib.h>

struct state {
	EVP_CIPHER *cipher;
	EVP_CIPHER_CTX *context;
};

static const char *const names[AEAD_MAX] = {
	[AEAD_CHACHA20_POLY1305] = "ChaCha20-Poly1305",
	[AEAD_AES256_GCM] = "AES-256-GCM",
};

static void state_close(void *state)
{
	struct state *s = state;

	EVP_CIPHER_CTX_free(s->context);
	EVP_CIPHER_free(s->cipher);
	free(s);
}

static void *state_open(enum aead_algorithm algorithm)
{
	struct state *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->cipher = EVP_CIPHER_fetch(NULL, names[algorithm], NULL);
	s->context = EVP_CIPHER_CTX_new();
	/* the cipher once; later calls change key and nonce alone */
	if (!s->cipher || !s->context || EVP_CipherInit_ex2(s->context, s->cipher, NULL, NULL, 1, NULL) != 1) {
		state_close(s);
		return NULL;
	}
	return s;
}

static void key_set(void *state, void *key, const uint8_t raw[static AEAD_KEY_SIZE])
{
	__builtin_memcpy(key, raw, AEAD_KEY_SIZE);
}

static void forget(struct state *s)
{
	static const uint8_t zero[AEAD_KEY_SIZE];

	EVP_CipherInit_ex2(s->context, NULL, zero, NULL, -1, NULL);
}

static bool begin(struct state *s, const struct aead_packet *p, int direction)
{
	int size;

	return EVP_CipherInit_ex2(s->context, NULL, NULL, p->nonce, direction, NULL) == 1 &&
	       (p->extra_size == 0 ||
		EVP_CipherUpdate(s->context, NULL, &size, p->extra, (int)p->extra_size) == 1);
}

static bool seal_one(struct state *s, struct aead_packet *p)
{
	int size;

	return begin(s, p, 1) && EVP_CipherUpdate(s->context, p->data, &size, p->data, (int)p->size) == 1 &&
	       EVP_CipherFinal_ex(s->context, p->data + size, &size) == 1 &&
	       EVP_CIPHER_CTX_ctrl(s->context, EVP_CTRL_AEAD_GET_TAG, AEAD_TAG_SIZE, p->data + p->size) == 1;
}

static bool open_one(struct state *s, struct aead_packet *p)
{
	int size;

	return begin(s, p, 0) &&
	       EVP_CIPHER_CTX_ctrl(s->context, EVP_CTRL_AEAD_SET_TAG, AEAD_TAG_SIZE, p->data + p->size) == 1 &&
	       EVP_CipherUpdate(s->context, p->data, &size, p->data, (int)p->size) == 1 &&
	       EVP_CipherFinal_ex(s->context, p->data + size, &size) == 1;
}

static int seal(void *state, const void *key, struct aead_packet *packets, size_t n)
{
	struct state *s = state;
	bool ok = EVP_CipherInit_ex2(s->context, NULL, key, NULL, 1, NULL) == 1;

	for (size_t i = 0; i < n && ok; i++)
		ok = seal_one(s, &packets[i]);
	forget(s);
	return ok ? 0 : -EIO;
}

static void unseal(void *state, const void *key, struct aead_packet *packets, size_t n)
{
	struct state *s = state;
	bool ready = EVP_CipherInit_ex2(s->context, NULL, key, NULL, 0, NULL) == 1;

	for (size_t i = 0; i < n; i++)
		packets[i].ok = ready && open_one(s, &packets[i]);
	forget(s);
}

const struct aead_backend aead_libcrypto = {
	.key_size = AEAD_KEY_SIZE,
	.open = state_open,
	.close = state_close,
	.key_set = key_set,
	.seal = seal,
	.unseal = unseal,
};
