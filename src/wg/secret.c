/* SPDX-License-Identifier: Apache-2.0 */
#include "wg/secret.h"

#include <errno.h>
#include <openssl/crypto.h>

#define SMALLEST 64 /* what the heap hands out, and with it the alignment */

int secret_start(size_t size)
{
	if (CRYPTO_secure_malloc_initialized())
		return 0;
	switch (CRYPTO_secure_malloc_init(size, SMALLEST)) {
	case 1:
		return 0;
	case 2: /* mlock or madvise failed */
		return -EPERM;
	default:
		return -ENOMEM;
	}
}

void *secret_new(size_t size)
{
	/* Without a heap libcrypto would take ordinary memory. */
	return CRYPTO_secure_malloc_initialized() ? OPENSSL_secure_zalloc(size) : NULL;
}

void secret_free(void *p)
{
	if (p)
		OPENSSL_secure_clear_free(p, OPENSSL_secure_actual_size(p));
}

void secret_wipe(void *p, size_t size)
{
	OPENSSL_cleanse(p, size);
}

__attribute__((noinline)) void secret_burn_stack(void)
{
	uint8_t below[4096];

	OPENSSL_cleanse(below, sizeof(below));
}

bool secret_equal(const void *a, const void *b, size_t size)
{
	return CRYPTO_memcmp(a, b, size) == 0;
}
