/* SPDX-License-Identifier: Apache-2.0 */
#include "wg/xchacha.h"

#include <endian.h>
#include <errno.h>
#include <openssl/evp.h>
#include <string.h>

#include "wg/secret.h"

static uint32_t word(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return le32toh(v);
}

static void word_put(uint8_t *p, uint32_t v)
{
	v = htole32(v);
	memcpy(p, &v, sizeof(v));
}

/* One block of key stream; `start` is the last row of the state: counter and nonce. */
static int block(const uint8_t key[static AEAD_KEY_SIZE], const uint8_t start[static 16], uint8_t out[static 64])
{
	EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
	int size;
	bool ok;

	memset(out, 0, 64);
	ok = c && EVP_EncryptInit_ex2(c, EVP_chacha20(), key, start, NULL) == 1 &&
	     EVP_EncryptUpdate(c, out, &size, out, 64) == 1;
	EVP_CIPHER_CTX_free(c); /* wipes the key in it */
	return ok ? 0 : -ENOMEM;
}

int xchacha_derive(const uint8_t key[static AEAD_KEY_SIZE], const uint8_t input[static 16],
		   uint8_t out[static AEAD_KEY_SIZE])
{
	static const uint8_t constants[] = "expand 32-byte k"; /* the first row of the state */
	uint8_t stream[64];
	int r = block(key, input, stream);

	for (size_t i = 0; i < 16 && r == 0; i += 4) {
		word_put(out + i, word(stream + i) - word(constants + i));
		word_put(out + 16 + i, word(stream + 48 + i) - word(input + i));
	}
	secret_wipe(stream, sizeof(stream));
	return r;
}

static int derived_key(struct aead *a, const uint8_t key[static AEAD_KEY_SIZE],
		       const uint8_t nonce[static XCHACHA_NONCE_SIZE], struct aead_key **out)
{
	_secret_ struct secret_key derived;
	int r = xchacha_derive(key, nonce, derived.bytes);

	return r == 0 ? aead_key_new(a, AEAD_CHACHA20_POLY1305, AEAD_LIBCRYPTO, derived.bytes, out) : r;
}

/* Four zeroes and the last eight bytes of the nonce (2.3 of the draft). */
static struct aead_packet packet_of(const uint8_t nonce[static XCHACHA_NONCE_SIZE], const void *extra,
				    size_t extra_size, uint8_t *data, size_t size)
{
	struct aead_packet p = {.data = data, .size = size, .extra = extra, .extra_size = extra_size};

	memcpy(p.nonce + 4, nonce + 16, 8);
	return p;
}

int xchacha_seal(struct aead *a, const uint8_t key[static AEAD_KEY_SIZE],
		 const uint8_t nonce[static XCHACHA_NONCE_SIZE], const void *extra, size_t extra_size, uint8_t *data,
		 size_t size)
{
	struct aead_packet p = packet_of(nonce, extra, extra_size, data, size);
	struct aead_key *k;
	int r = derived_key(a, key, nonce, &k);

	if (r != 0)
		return r;
	r = aead_seal(a, k, &p, 1);
	aead_key_free(k);
	return r == 0 ? 0 : -ENOMEM;
}

int xchacha_open(struct aead *a, const uint8_t key[static AEAD_KEY_SIZE],
		 const uint8_t nonce[static XCHACHA_NONCE_SIZE], const void *extra, size_t extra_size, uint8_t *data,
		 size_t size)
{
	struct aead_packet p = packet_of(nonce, extra, extra_size, data, size);
	struct aead_key *k;
	int r = derived_key(a, key, nonce, &k);

	if (r != 0)
		return r;
	aead_open(a, k, &p, 1);
	aead_key_free(k);
	return p.ok ? 0 : -EBADMSG;
}
