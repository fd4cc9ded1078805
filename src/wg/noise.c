/* SPDX-License-Identifier: Apache-2.0 */
#include "wg/noise.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "wg/secret.h"

struct noise_identity {
	EVP_PKEY *private_key;
	uint8_t public_key[NOISE_KEY_SIZE];
};

/* What the transcript has come to; a copy of it is a handshake that can be gone back to. */
struct transcript {
	uint8_t chain[HASH_SIZE], hash[HASH_SIZE], key[HASH_SIZE];
};

struct noise {
	struct transcript at;
	uint8_t shared[NOISE_KEY_SIZE]; /* between the agreement and the derivation */
	EVP_PKEY *ephemeral;            /* ours */
	uint8_t remote_ephemeral[NOISE_KEY_SIZE], remote_static[NOISE_KEY_SIZE];
	struct noise_tools *tools;
	const struct noise_suite *suite;
	const struct noise_identity *identity;
};

int noise_tools_new(struct noise_tools *out)
{
	struct noise_tools t = {NULL};
	int r = hash_new(&t.hash);

	if (r == 0)
		r = aead_new(&t.aead);
	if (r != 0)
		noise_tools_free(&t);
	else
		*out = t;
	return r;
}

void noise_tools_free(struct noise_tools *t)
{
	hash_free(t->hash);
	aead_free(t->aead);
	*t = (struct noise_tools){NULL};
}

/* What is given as bytes OpenSSL 3.0 takes into ordinary memory, which it wipes when it frees it; a copy into the secure heap. */
static EVP_PKEY *key_pair(const uint8_t private_key[static NOISE_KEY_SIZE], uint8_t public_key[static NOISE_KEY_SIZE])
{
	EVP_PKEY *given = EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, NULL, private_key, NOISE_KEY_SIZE);
	EVP_PKEY *k = given ? EVP_PKEY_dup(given) : NULL;
	size_t size = NOISE_KEY_SIZE;

	EVP_PKEY_free(given);
	if (k && EVP_PKEY_get_raw_public_key(k, public_key, &size) != 1) {
		EVP_PKEY_free(k);
		k = NULL;
	}
	return k;
}

/* 0; -EKEYREJECTED: all zeroes, whatever our key (RFC 7748 6.1), which libcrypto refuses; -ENOMEM. */
static int agree(EVP_PKEY *ours, const uint8_t theirs[static NOISE_KEY_SIZE], uint8_t out[static NOISE_KEY_SIZE])
{
	EVP_PKEY *peer = EVP_PKEY_new_raw_public_key(EVP_PKEY_X25519, NULL, theirs, NOISE_KEY_SIZE);
	EVP_PKEY_CTX *c = EVP_PKEY_CTX_new(ours, NULL);
	size_t size = NOISE_KEY_SIZE;
	int r = -ENOMEM;

	if (peer && c && EVP_PKEY_derive_init(c) == 1 && EVP_PKEY_derive_set_peer(c, peer) == 1)
		r = EVP_PKEY_derive(c, out, &size) == 1 ? 0 : -EKEYREJECTED;
	EVP_PKEY_CTX_free(c);
	EVP_PKEY_free(peer);
	return r;
}

int noise_identity_new(const uint8_t private_key[static NOISE_KEY_SIZE], struct noise_identity **out)
{
	struct noise_identity *i = calloc(1, sizeof(*i));

	if (!i)
		return -ENOMEM;
	i->private_key = key_pair(private_key, i->public_key);
	if (!i->private_key) {
		free(i);
		return -ENOMEM;
	}
	*out = i;
	return 0;
}

void noise_identity_free(struct noise_identity *i)
{
	if (!i)
		return;
	EVP_PKEY_free(i->private_key);
	free(i);
}

const uint8_t *noise_identity_public(const struct noise_identity *i)
{
	return i->public_key;
}

int noise_identity_agree(const struct noise_identity *i, const uint8_t remote[static NOISE_KEY_SIZE],
			 uint8_t out[static NOISE_KEY_SIZE])
{
	return agree(i->private_key, remote, out);
}

int noise_new(struct noise_tools *t, const struct noise_suite *suite, const struct noise_identity *identity,
	      struct noise **out)
{
	struct noise *n = secret_new(sizeof(*n));

	if (!n)
		return -ENOMEM;
	n->tools = t;
	n->suite = suite;
	n->identity = identity;
	*out = n;
	return 0;
}

void noise_free(struct noise *n)
{
	if (!n)
		return;
	EVP_PKEY_free(n->ephemeral);
	secret_free(n);
}

const struct noise_suite *noise_suite(const struct noise *n)
{
	return n->suite;
}

static void mix_hash(struct noise *n, const void *data, size_t size)
{
	hash_join(n->tools->hash, n->at.hash, HASH_SIZE, data, size, n->at.hash);
}

static void mix_key(struct noise *n, const void *input, size_t size)
{
	hash_derive(n->tools->hash, n->at.chain, input, size, 2, (uint8_t *[]){n->at.chain, n->at.key});
}

static int mix_agreement(struct noise *n, EVP_PKEY *ours, const uint8_t theirs[static NOISE_KEY_SIZE])
{
	int r = agree(ours, theirs, n->shared);

	if (r == 0)
		mix_key(n, n->shared, NOISE_KEY_SIZE);
	secret_wipe(n->shared, sizeof(n->shared));
	return r;
}

static void mix_psk(struct noise *n, const uint8_t psk[static NOISE_KEY_SIZE])
{
	/* n->shared is free here, and wiped with the rest */
	hash_derive(n->tools->hash, n->at.chain, psk, NOISE_KEY_SIZE, 3,
		    (uint8_t *[]){n->at.chain, n->shared, n->at.key});
	mix_hash(n, n->shared, HASH_SIZE);
}

/* Each key is used for one message, whose number is 0. */
static struct aead_packet packet_of(struct noise *n, uint8_t *data, size_t size)
{
	return (struct aead_packet){.data = data, .size = size, .extra = n->at.hash, .extra_size = HASH_SIZE};
}

static int seal(struct noise *n, const void *plain, size_t size, uint8_t *out)
{
	struct aead_packet p = packet_of(n, out, size);
	struct aead_key *k;
	int r = aead_key_new(n->tools->aead, n->suite->aead, AEAD_LIBCRYPTO, n->at.key, &k);

	if (r != 0)
		return r;
	if (size > 0)
		memcpy(out, plain, size);
	r = aead_seal(n->tools->aead, k, &p, 1);
	aead_key_free(k);
	mix_hash(n, out, size + AEAD_TAG_SIZE);
	return r == 0 ? 0 : -ENOMEM;
}

/* `out` has room for the tag as well. */
static int unseal(struct noise *n, const uint8_t *sealed, size_t size, uint8_t *out)
{
	struct aead_packet p = packet_of(n, out, size);
	struct aead_key *k;
	int r = aead_key_new(n->tools->aead, n->suite->aead, AEAD_LIBCRYPTO, n->at.key, &k);

	if (r != 0)
		return r;
	memcpy(out, sealed, size + AEAD_TAG_SIZE);
	aead_open(n->tools->aead, k, &p, 1);
	aead_key_free(k);
	if (!p.ok)
		return -EBADMSG;
	mix_hash(n, sealed, size + AEAD_TAG_SIZE);
	return 0;
}

/* 5.2 of the specification: both names are longer than a hash, so the chain begins with the hash of the name. */
static void begin(struct noise *n, const uint8_t responder[static NOISE_KEY_SIZE])
{
	hash_begin(n->tools->hash);
	hash_join(n->tools->hash, n->suite->name, strlen(n->suite->name), NULL, 0, n->at.chain);
	memcpy(n->at.hash, n->at.chain, HASH_SIZE);
	mix_hash(n, n->suite->prologue, strlen(n->suite->prologue));
	mix_hash(n, responder, NOISE_KEY_SIZE);
}

static void mix_ephemeral(struct noise *n, const uint8_t public_key[static NOISE_KEY_SIZE])
{
	mix_hash(n, public_key, NOISE_KEY_SIZE);
	mix_key(n, public_key, NOISE_KEY_SIZE); /* 9.2: also into the key, as a psk is used */
}

static int write_ephemeral(struct noise *n, const uint8_t private_key[static NOISE_KEY_SIZE], uint8_t *out)
{
	EVP_PKEY_free(n->ephemeral);
	n->ephemeral = key_pair(private_key, out);
	if (!n->ephemeral)
		return -ENOMEM;
	mix_ephemeral(n, out);
	return 0;
}

static int settle(const struct noise *n, int r)
{
	return r == 0 && !hash_ok(n->tools->hash) ? -ENOMEM : r;
}

int noise_write_first(struct noise *n, const uint8_t remote[static NOISE_KEY_SIZE],
		      const uint8_t common[static NOISE_KEY_SIZE], const uint8_t ephemeral[static NOISE_KEY_SIZE],
		      const void *payload, size_t size, uint8_t *out)
{
	int r;

	begin(n, remote);
	memcpy(n->remote_static, remote, NOISE_KEY_SIZE);
	r = write_ephemeral(n, ephemeral, out);
	if (r == 0)
		r = mix_agreement(n, n->ephemeral, remote);
	if (r == 0)
		r = seal(n, n->identity->public_key, NOISE_KEY_SIZE, out + NOISE_KEY_SIZE);
	if (r == 0) {
		mix_key(n, common, NOISE_KEY_SIZE);
		r = seal(n, payload, size, out + NOISE_KEY_SIZE + NOISE_STATIC_SIZE);
	}
	return settle(n, r);
}

int noise_read_static(struct noise *n, const uint8_t *message, uint8_t remote[static NOISE_KEY_SIZE])
{
	uint8_t opened[NOISE_STATIC_SIZE];
	int r;

	begin(n, n->identity->public_key);
	memcpy(n->remote_ephemeral, message, NOISE_KEY_SIZE);
	mix_ephemeral(n, n->remote_ephemeral);
	r = mix_agreement(n, n->identity->private_key, n->remote_ephemeral);
	if (r == 0)
		r = unseal(n, message + NOISE_KEY_SIZE, NOISE_KEY_SIZE, opened);
	r = settle(n, r);
	if (r != 0)
		return r == -EKEYREJECTED ? -EBADMSG : r;
	memcpy(n->remote_static, opened, NOISE_KEY_SIZE);
	memcpy(remote, opened, NOISE_KEY_SIZE);
	return 0;
}

int noise_read_first(struct noise *n, const uint8_t *message, const uint8_t common[static NOISE_KEY_SIZE], size_t size,
		     uint8_t *payload)
{
	uint8_t opened[NOISE_PAYLOAD_MAX + AEAD_TAG_SIZE];
	int r;

	if (size > NOISE_PAYLOAD_MAX)
		return -EBADMSG;
	mix_key(n, common, NOISE_KEY_SIZE);
	r = settle(n, unseal(n, message + NOISE_KEY_SIZE + NOISE_STATIC_SIZE, size, opened));
	if (r == 0)
		memcpy(payload, opened, size);
	return r;
}

int noise_write_second(struct noise *n, const uint8_t psk[static NOISE_KEY_SIZE],
		       const uint8_t ephemeral[static NOISE_KEY_SIZE], const void *payload, size_t size, uint8_t *out)
{
	int r = write_ephemeral(n, ephemeral, out);

	if (r == 0)
		r = mix_agreement(n, n->ephemeral, n->remote_ephemeral);
	if (r == 0)
		r = mix_agreement(n, n->ephemeral, n->remote_static);
	if (r == 0) {
		mix_psk(n, psk);
		r = seal(n, payload, size, out + NOISE_KEY_SIZE);
	}
	r = settle(n, r);
	return r == -EKEYREJECTED ? -EBADMSG : r; /* the peer's keys */
}

static int read_second(struct noise *n, const uint8_t psk[static NOISE_KEY_SIZE], const uint8_t *message, size_t size,
		       uint8_t *opened)
{
	int r;

	memcpy(n->remote_ephemeral, message, NOISE_KEY_SIZE);
	mix_ephemeral(n, n->remote_ephemeral);
	r = mix_agreement(n, n->ephemeral, n->remote_ephemeral);
	if (r == 0)
		r = mix_agreement(n, n->identity->private_key, n->remote_ephemeral);
	if (r == 0) {
		mix_psk(n, psk);
		r = unseal(n, message + NOISE_KEY_SIZE, size, opened);
	}
	return settle(n, r);
}

int noise_read_second(struct noise *n, const uint8_t psk[static NOISE_KEY_SIZE], const uint8_t *message, size_t size,
		      uint8_t *payload)
{
	uint8_t opened[NOISE_PAYLOAD_MAX + AEAD_TAG_SIZE];
	struct transcript *before;
	int r;

	if (size > NOISE_PAYLOAD_MAX)
		return -EBADMSG;
	before = secret_new(sizeof(*before));
	if (!before)
		return -ENOMEM;
	hash_begin(n->tools->hash);
	*before = n->at;
	r = read_second(n, psk, message, size, opened);
	if (r == 0 && size > 0)
		memcpy(payload, opened, size);
	if (r != 0)
		n->at = *before;
	secret_free(before);
	return r == -EKEYREJECTED ? -EBADMSG : r;
}

int noise_split(struct noise *n, uint8_t forth[static NOISE_KEY_SIZE], uint8_t back[static NOISE_KEY_SIZE])
{
	hash_derive(n->tools->hash, n->at.chain, NULL, 0, 2, (uint8_t *[]){forth, back});
	return settle(n, 0);
}
