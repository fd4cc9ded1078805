/* SPDX-License-Identifier: Apache-2.0 */
/*
 * AES-256-GCM by libipsec-mb's direct calls: one call a packet, no jobs, the expanded key in our own locked memory.
 * The library picks its code by the processor once, at alloc; what it has for a processor without AES instructions is
 * slower than libcrypto and is not used.
 */
#include "wg/backend.h"

#include <intel-ipsec-mb.h>

#include "wg/secret.h"

static void state_close(void *state)
{
	free_mb_mgr(state);
}

static void *state_open(enum aead_algorithm algorithm)
{
	IMB_MGR *m;
	IMB_ARCH arch;

	if (algorithm != AEAD_AES256_GCM)
		return NULL;
	m = alloc_mb_mgr(0);
	if (!m)
		return NULL;
	init_mb_mgr_auto(m, &arch);
	if (imb_get_errno(m) != 0 || !(m->features & IMB_FEATURE_AESNI) || !(m->features & IMB_FEATURE_PCLMULQDQ)) {
		free_mb_mgr(m);
		return NULL;
	}
	return m;
}

static void key_set(void *state, void *key, const uint8_t raw[static AEAD_KEY_SIZE])
{
	IMB_MGR *m = state;

	IMB_AES256_GCM_PRE(m, raw, key);
}

static int seal(void *state, const void *key, struct aead_packet *packets, size_t n)
{
	IMB_MGR *m = state;
	struct gcm_context_data c;

	for (size_t i = 0; i < n; i++) {
		struct aead_packet *p = &packets[i];

		IMB_AES256_GCM_ENC(m, key, &c, p->data, p->data, p->size, p->nonce, p->extra, p->extra_size,
				   p->data + p->size, AEAD_TAG_SIZE);
	}
	secret_wipe(&c, sizeof(c)); /* has encrypted counters in it: key stream */
	return 0;
}

static void unseal(void *state, const void *key, struct aead_packet *packets, size_t n)
{
	IMB_MGR *m = state;
	struct gcm_context_data c;
	uint8_t tag[AEAD_TAG_SIZE];

	for (size_t i = 0; i < n; i++) {
		struct aead_packet *p = &packets[i];

		IMB_AES256_GCM_DEC(m, key, &c, p->data, p->data, p->size, p->nonce, p->extra, p->extra_size, tag,
				   sizeof(tag));
		p->ok = secret_equal(tag, p->data + p->size, sizeof(tag));
	}
	secret_wipe(&c, sizeof(c));
	secret_wipe(tag, sizeof(tag)); /* the right tag of a forgery is nobody's to have */
}

const struct aead_backend aead_ipsec_mb = {
	.key_size = sizeof(struct gcm_key_data),
	.open = state_open,
	.close = state_close,
	.key_set = key_set,
	.seal = seal,
	.unseal = unseal,
};
