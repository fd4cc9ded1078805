/* SPDX-License-Identifier: Apache-2.0 */
/*
 * secret.h - memory for keys: locked into RAM, left out of core dumps, wiped when it is freed.
 *
 * It is libcrypto's secure heap: one mapping between two guard pages, mlock'd and MADV_DONTDUMP.  Every key that this
 * folder has room for lies in it; what has to pass through a local variable is declared _secret_, which wipes it when its
 * scope ends.
 *
 * Call order: secret_start once, before the first key and before the process gives up its privileges; then any.  Any
 * thread.
 */
#ifndef ISTHMUS_WG_SECRET_H
#define ISTHMUS_WG_SECRET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SECRET_KEY_SIZE 32

struct secret_key {
	uint8_t bytes[SECRET_KEY_SIZE];
};

/*
 * `size`: of the whole heap, a power of two; a session takes up to 2 KB of it (peer.h).  0; -ENOMEM; -EPERM: there,
 * but it could not be locked (RLIMIT_MEMLOCK), so that it may be swapped out.  Again: 0 and nothing happens.
 */
int secret_start(size_t size);

void *secret_new(size_t size); /* zeroed, aligned to 64; NULL when the heap is full or was not started */
void secret_free(void *p);     /* wipes; NULL allowed */

void secret_wipe(void *p, size_t size); /* that no compiler removes */
/*
 * Overwrites the stack below the caller: assembly in libraries leaves keys there when it returns (ChaCha20 of
 * libcrypto its whole first state).  Called where such a call ends, once a batch.
 */
void secret_burn_stack(void);
bool secret_equal(const void *a, const void *b, size_t size); /* in a time that tells nothing of the bytes */

static inline void cleanup_secret_key(struct secret_key *k)
{
	secret_wipe(k, sizeof(*k));
}
#define _secret_ __attribute__((cleanup(cleanup_secret_key)))

static inline void cleanup_secret(void *p)
{
	secret_free(*(void **)p);
}

#endif
