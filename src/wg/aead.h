/* SPDX-License-Identifier: Apache-2.0 */
/*
 * aead.h - authenticated encryption, two algorithms behind one interface: seal and open in place, many packets a call.
 *
 * A key is a value in locked memory that any number of threads may use at once and nobody changes.  What a library
 * needs besides it (contexts, the multi-buffer manager) is a struct aead: one a thread, no key in it between two
 * calls.
 *
 *     AEAD_CHACHA20_POLY1305   RFC 8439, libcrypto: what every WireGuard speaks
 *     AEAD_AES256_GCM          NIST SP 800-38D, libipsec-mb where the processor has AES instructions, else libcrypto
 *
 * Call order: secret_start, aead_new in each thread, aead_key_new, aead_seal and aead_open, aead_key_free, aead_free.
 */
#ifndef ISTHMUS_WG_AEAD_H
#define ISTHMUS_WG_AEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define AEAD_KEY_SIZE 32
#define AEAD_TAG_SIZE 16
#define AEAD_NONCE_SIZE 12

enum aead_algorithm { AEAD_CHACHA20_POLY1305, AEAD_AES256_GCM, AEAD_MAX };

enum aead_library { AEAD_LIBCRYPTO, AEAD_IPSEC_MB, AEAD_LIBRARY_MAX };

struct aead_packet {
	uint8_t *data;  /* `size` bytes, and behind them room for the tag, or the tag */
	size_t size;    /* without the tag */
	const uint8_t *extra; /* authenticated only; NULL when extra_size is 0 */
	size_t extra_size;
	uint8_t nonce[AEAD_NONCE_SIZE]; /* for aead_seal never twice under one key */
	bool ok;        /* out, of aead_open: the tag was right */
};

struct aead;
struct aead_key;

int aead_new(struct aead **out); /* 0, -ENOMEM, -ENOSYS: libcrypto lacks an algorithm */
void aead_free(struct aead *a);  /* NULL allowed */

/* Does this machine have the library for the algorithm?  libcrypto has both. */
bool aead_has(const struct aead *a, enum aead_algorithm algorithm, enum aead_library library);
enum aead_library aead_best(const struct aead *a, enum aead_algorithm algorithm);

/* 0 or -ENOMEM.  `library`: one that aead_has; aead_best is what to ask for. */
int aead_key_new(struct aead *a, enum aead_algorithm algorithm, enum aead_library library,
		 const uint8_t key[static AEAD_KEY_SIZE], struct aead_key **out);
void aead_key_free(struct aead_key *k); /* wipes; NULL allowed */

/*
 * The nonce of a counter: ChaCha20-Poly1305 as WireGuard has it, 32 bits of zero and the counter little-endian;
 * AES-GCM as the Noise specification (12.4) has it, the same big-endian.
 */
void aead_nonce(enum aead_algorithm algorithm, uint64_t counter, uint8_t out[static AEAD_NONCE_SIZE]);

/* 0, or -EIO: a library failed, and what `data` holds must not be sent. */
int aead_seal(struct aead *a, const struct aead_key *k, struct aead_packet *packets, size_t n);
/* Returns how many were right.  What is not `ok` is overwritten with zeroes: nobody reads what nobody authenticated. */
size_t aead_open(struct aead *a, const struct aead_key *k, struct aead_packet *packets, size_t n);

#endif
