/* SPDX-License-Identifier: Apache-2.0 */
/*
 * backend.h - what one library does for one algorithm; private to aead.c and the backends.
 *
 * A backend is a table of functions over a state of its own, one per thread.  `key` is the backend's form of a key:
 * key_size bytes of locked memory, aligned to 64.
 */
#ifndef ISTHMUS_WG_BACKEND_H
#define ISTHMUS_WG_BACKEND_H

#include "wg/aead.h"

struct aead_backend {
	size_t key_size;
	void *(*open)(enum aead_algorithm algorithm); /* NULL: no memory, or this machine cannot */
	void (*close)(void *state);
	void (*key_set)(void *state, void *key, const uint8_t raw[static AEAD_KEY_SIZE]);
	int (*seal)(void *state, const void *key, struct aead_packet *packets, size_t n); /* 0 or -EIO */
	void (*unseal)(void *state, const void *key, struct aead_packet *packets, size_t n); /* sets `ok` */
};

extern const struct aead_backend aead_libcrypto;
extern const struct aead_backend aead_ipsec_mb;

#endif
