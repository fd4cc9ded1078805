/* SPDX-License-Identifier: Apache-2.0 */
/*
 * noise.h - the Noise handshake IKpsk2 over X25519 and BLAKE2s, with either AEAD.
 *
 *     <- s
 *     ...
 *     -> e, es, s, ss      first:   ephemeral 32 | static 32 + 16 | payload + 16
 *     <- e, ee, se, psk    second:  ephemeral 32 | payload + 16
 *
 * A suite is the protocol's name, its prologue and an AEAD.  WireGuard's suite is Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s
 * with the prologue of WireGuard's paper (5.4); that of Isthmus nodes among themselves has the name
 * Noise_IKpsk2_25519_AESGCM_BLAKE2s and a prologue of its own.  Name and prologue are the first things that both sides
 * hash, so a message of one suite is noise to the other.
 *
 * Messages are bytes here: types, indices, timestamps and MACs are packet.h's and peer.h's.  A struct noise is one
 * handshake; it lies in locked memory, is good for one pass, and noise_free wipes it.
 *
 * Call order: secret_start; noise_tools_new; noise_identity_new.  Initiator: noise_new, noise_write_first,
 * noise_read_second, noise_split.  Responder: noise_new, noise_read_static (who is it?), noise_read_first (the rest),
 * noise_write_second, noise_split.  A function that fails leaves a struct noise that only noise_free may be given.
 * One thread.
 */
#ifndef ISTHMUS_WG_NOISE_H
#define ISTHMUS_WG_NOISE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wg/aead.h"
#include "wg/hash.h"

#define NOISE_KEY_SIZE 32
#define NOISE_PAYLOAD_MAX 64
#define NOISE_STATIC_SIZE (NOISE_KEY_SIZE + AEAD_TAG_SIZE)
#define NOISE_FIRST_SIZE(payload) (NOISE_KEY_SIZE + NOISE_STATIC_SIZE + (payload) + AEAD_TAG_SIZE)
#define NOISE_SECOND_SIZE(payload) (NOISE_KEY_SIZE + (payload) + AEAD_TAG_SIZE)

struct noise_suite {
	const char *name, *prologue;
	enum aead_algorithm aead;
};

/* What handshakes of one thread share. */
struct noise_tools {
	struct hash *hash;
	struct aead *aead;
};

int noise_tools_new(struct noise_tools *out); /* 0 or an error of hash_new or aead_new */
void noise_tools_free(struct noise_tools *t); /* a zeroed one is allowed */

/* The key pair of this node. */
struct noise_identity;

/* 0 or -ENOMEM. */
int noise_identity_new(const uint8_t private_key[static NOISE_KEY_SIZE], struct noise_identity **out);
void noise_identity_free(struct noise_identity *i); /* NULL allowed */
const uint8_t *noise_identity_public(const struct noise_identity *i);
/*
 * What two static keys have in common, computed once per peer.  0; -EKEYREJECTED: a public key of low order; -ENOMEM.
 */
int noise_identity_agree(const struct noise_identity *i, const uint8_t remote[static NOISE_KEY_SIZE],
			 uint8_t out[static NOISE_KEY_SIZE]);

struct noise;

/* `suite`, `identity` and `t` are borrowed.  0 or -ENOMEM. */
int noise_new(struct noise_tools *t, const struct noise_suite *suite, const struct noise_identity *identity,
	      struct noise **out);
void noise_free(struct noise *n); /* wipes; NULL allowed */
const struct noise_suite *noise_suite(const struct noise *n);

/*
 * `common`: of noise_identity_agree with `remote`.  `ephemeral`: private, of 32 random bytes that nobody uses again.
 * `size` is at most NOISE_PAYLOAD_MAX; `out` has NOISE_FIRST_SIZE(size) bytes.  0; -EKEYREJECTED; -ENOMEM.
 */
int noise_write_first(struct noise *n, const uint8_t remote[static NOISE_KEY_SIZE],
		      const uint8_t common[static NOISE_KEY_SIZE], const uint8_t ephemeral[static NOISE_KEY_SIZE],
		      const void *payload, size_t size, uint8_t *out);
/* The sender's static public key.  0; -EBADMSG: it is not for us, or not of this suite; -ENOMEM. */
int noise_read_static(struct noise *n, const uint8_t *message, uint8_t remote[static NOISE_KEY_SIZE]);
/* The rest of the same message: `payload` has `size` bytes.  0; -EBADMSG: whoever sent it has not that key; -ENOMEM. */
int noise_read_first(struct noise *n, const uint8_t *message, const uint8_t common[static NOISE_KEY_SIZE], size_t size,
		     uint8_t *payload);

/* `psk`: 32 bytes, zero when there is none.  `out` has NOISE_SECOND_SIZE(size) bytes. */
int noise_write_second(struct noise *n, const uint8_t psk[static NOISE_KEY_SIZE],
		       const uint8_t ephemeral[static NOISE_KEY_SIZE], const void *payload, size_t size, uint8_t *out);
/*
 * 0; -EBADMSG, and the handshake stands where it stood: a forged answer does not spoil the wait for the right one;
 * -ENOMEM.
 */
int noise_read_second(struct noise *n, const uint8_t psk[static NOISE_KEY_SIZE], const uint8_t *message, size_t size,
		      uint8_t *payload);

/* The transport keys, from the initiator to the responder and back.  0 or -ENOMEM. */
int noise_split(struct noise *n, uint8_t forth[static NOISE_KEY_SIZE], uint8_t back[static NOISE_KEY_SIZE]);

#endif
