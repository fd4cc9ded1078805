/* SPDX-License-Identifier: Apache-2.0 */
#include "wg/aead.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "wg/backend.h"
#include "wg/secret.h"

static const struct aead_backend *const backends[AEAD_LIBRARY_MAX] = {
	[AEAD_LIBCRYPTO] = &aead_libcrypto,
#ifdef HAVE_IPSEC_MB
	[AEAD_IPSEC_MB] = &aead_ipsec_mb,
#endif
};

struct aead {
	void *states[AEAD_MAX][AEAD_LIBRARY_MAX]; /* NULL: not on this machine */
};

struct aead_key {
	enum aead_algorithm algorithm;
	enum aead_library library;
	void *state; /* the backend's, in locked memory */
};

void aead_free(struct aead *a)
{
	if (!a)
		return;
	for (int i = 0; i < AEAD_MAX; i++)
		for (int j = 0; j < AEAD_LIBRARY_MAX; j++)
			if (a->states[i][j])
				backends[j]->close(a->states[i][j]);
	free(a);
}

int aead_new(struct aead **out)
{
	struct aead *a = calloc(1, sizeof(*a));

	if (!a)
		return -ENOMEM;
	for (int i = 0; i < AEAD_MAX; i++) {
		for (int j = 0; j < AEAD_LIBRARY_MAX; j++)
			if (backends[j])
				a->states[i][j] = backends[j]->open((enum aead_algorithm)i);
		if (!a->states[i][AEAD_LIBCRYPTO]) {
			aead_free(a);
			return -ENOSYS;
		}
	}
	*out = a;
	return 0;
}

bool aead_has(const struct aead *a, enum aead_algorithm algorithm, enum aead_library library)
{
	return a->states[algorithm][library] != NULL;
}

enum aead_library aead_best(const struct aead *a, enum aead_algorithm algorithm)
{
	return aead_has(a, algorithm, AEAD_IPSEC_MB) ? AEAD_IPSEC_MB : AEAD_LIBCRYPTO;
}

int aead_key_new(struct aead *a, enum aead_algorithm algorithm, enum aead_library library,
		 const uint8_t key[static AEAD_KEY_SIZE], struct aead_key **out)
{
	struct aead_key *k = calloc(1, sizeof(*k));

	if (!k)
		return -ENOMEM;
	k->state = secret_new(backends[library]->key_size);
	if (!k->state) {
		free(k);
		return -ENOMEM;
	}
	k->algorithm = algorithm;
	k->library = library;
	backends[library]->key_set(a->states[algorithm][library], k->state, key);
	secret_burn_stack();
	*out = k;
	return 0;
}

void aead_key_free(struct aead_key *k)
{
	if (!k)
		return;
	secret_free(k->state);
	free(k);
}

void aead_nonce(enum aead_algorithm algorithm, uint64_t counter, uint8_t out[static AEAD_NONCE_SIZE])
{
	uint64_t wire = algorithm == AEAD_AES256_GCM ? htobe64(counter) : htole64(counter);

	memset(out, 0, 4);
	memcpy(out + 4, &wire, sizeof(wire));
}

int aead_seal(struct aead *a, const struct aead_key *k, struct aead_packet *packets, size_t n)
{
	int r = backends[k->library]->seal(a->states[k->algorithm][k->library], k->state, packets, n);

	secret_burn_stack();
	return r;
}

size_t aead_open(struct aead *a, const struct aead_key *k, struct aead_packet *packets, size_t n)
{
	size_t good = 0;

	backends[k->library]->unseal(a->states[k->algorithm][k->library], k->state, packets, n);
	secret_burn_stack();
	for (size_t i = 0; i < n; i++) {
		good += packets[i].ok;
		if (!packets[i].ok)
			memset(packets[i].data, 0, packets[i].size);
	}
	return good;
}
