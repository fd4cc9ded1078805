/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hash.h - BLAKE2s and what is made of it: keyed MACs, HMAC, and the key derivation of Noise (HKDF with HMAC-BLAKE2s).
 *
 * All of it is libcrypto's; the algorithms are fetched once, and the contexts are used again.  A call that libcrypto
 * fails leaves its output zero and the struct failed from then on, until hash_begin: a sequence runs straight through
 * and asks once at its end.  One thread each.
 */
#ifndef ISTHMUS_WG_HASH_H
#define ISTHMUS_WG_HASH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HASH_SIZE 32
#define HASH_MAC_SIZE 16

struct hash;

int hash_new(struct hash **out); /* 0, -ENOMEM, -ENOSYS: libcrypto lacks BLAKE2s */
void hash_free(struct hash *h);  /* NULL allowed */

void hash_begin(struct hash *h);
bool hash_ok(const struct hash *h);

/* BLAKE2s-256 of `a` and then `b`.  `out` may be either. */
void hash_join(struct hash *h, const void *a, size_t a_size, const void *b, size_t b_size,
	       uint8_t out[static HASH_SIZE]);
/* BLAKE2s with a key (RFC 7693) of at most 32 bytes and 16 bytes of output. */
void hash_mac(struct hash *h, const void *key, size_t key_size, const void *data, size_t size,
	      uint8_t out[static HASH_MAC_SIZE]);
/*
 * HKDF as in the Noise specification (4.3): `n` (1 to 3) outputs of 32 bytes, each may be `chain`.  The first is the
 * next chain.
 */
void hash_derive(struct hash *h, const uint8_t chain[static HASH_SIZE], const void *input, size_t size, size_t n,
		 uint8_t *const out[]);

#endif
