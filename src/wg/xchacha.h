/* SPDX-License-Identifier: Apache-2.0 */
/*
 * xchacha.h - XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha-03), for cookies alone.
 *
 * libcrypto 3.0 has neither it nor HChaCha20, the key derivation in it.  But HChaCha20 is the state of ChaCha20 after
 * its twenty rounds, and the block function is that plus the state before: so HChaCha20 of a 16-byte input is a block
 * of key stream, with those bytes in the place of counter and nonce, minus the words that were put in (2.2 of the
 * draft; RFC 8439 2.3). The words that the result is taken from, the first four and the last four, started as
 * constants and as the input: both are known.  The rest is ChaCha20-Poly1305 with the derived key.  One thread.
 */
#ifndef ISTHMUS_WG_XCHACHA_H
#define ISTHMUS_WG_XCHACHA_H

#include "wg/aead.h"

#define XCHACHA_NONCE_SIZE 24

/* 0 or -ENOMEM. */
int xchacha_derive(const uint8_t key[static AEAD_KEY_SIZE], const uint8_t input[static 16],
		   uint8_t out[static AEAD_KEY_SIZE]); /* HChaCha20 */

/* In place; the tag is behind the data.  0 or -ENOMEM. */
int xchacha_seal(struct aead *a, const uint8_t key[static AEAD_KEY_SIZE],
		 const uint8_t nonce[static XCHACHA_NONCE_SIZE], const void *extra, size_t extra_size, uint8_t *data,
		 size_t size);
/* 0; -EBADMSG: the tag is wrong, and the data overwritten; -ENOMEM. */
int xchacha_open(struct aead *a, const uint8_t key[static AEAD_KEY_SIZE],
		 const uint8_t nonce[static XCHACHA_NONCE_SIZE], const void *extra, size_t extra_size, uint8_t *data,
		 size_t size);

#endif
