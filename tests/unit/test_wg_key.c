/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys: none is used twice, no number is used twice under one, and none is found where it should not be.  Every key
 * that a session or a handshake gets is noted on its way, under a mask, so that the note itself is not found.
 */
#include "wg_rig.h"

#include <pthread.h>
#include <stdio.h>

#include "wg/secret.h"
#include "wg/state.h"

#define MASK 0x5c
#define NOTES 4096

int __real_aead_key_new(struct aead *a, enum aead_algorithm algorithm, enum aead_library library,
			const uint8_t key[static AEAD_KEY_SIZE], struct aead_key **out);
int __wrap_aead_key_new(struct aead *a, enum aead_algorithm algorithm, enum aead_library library,
			const uint8_t key[static AEAD_KEY_SIZE], struct aead_key **out);
int __real_RAND_priv_bytes(unsigned char *out, int size);
int __wrap_RAND_priv_bytes(unsigned char *out, int size);

static uint8_t notes[NOTES][32]; /* masked */
static size_t n_notes;

static void note(const uint8_t *key)
{
	assert_true(n_notes < NOTES);
	for (size_t i = 0; i < 32; i++)
		notes[n_notes][i] = key[i] ^ MASK;
	n_notes++;
}

int __wrap_aead_key_new(struct aead *a, enum aead_algorithm algorithm, enum aead_library library,
			const uint8_t key[static AEAD_KEY_SIZE], struct aead_key **out)
{
	note(key);
	return __real_aead_key_new(a, algorithm, library, key, out);
}

int __wrap_RAND_priv_bytes(unsigned char *out, int size)
{
	int r = __real_RAND_priv_bytes(out, size);

	if (size == 32)
		note(out);
	return r;
}

static int by_bytes(const void *a, const void *b)
{
	return memcmp(a, b, 32);
}

/* How many different ones there are, and how often the commonest is noted. */
static size_t different(size_t *most)
{
	size_t n = 0, run = 0;

	*most = 0;
	qsort(notes, n_notes, 32, by_bytes);
	for (size_t i = 0; i < n_notes; i++) {
		bool same = i > 0 && memcmp(notes[i], notes[i - 1], 32) == 0;

		n += !same;
		run = same ? run + 1 : 1;
		if (run > *most)
			*most = run;
	}
	return n;
}

/*
 * E2: 50 restarts of both nodes with the same static keys, the same preshared key and the same clock.  Each handshake
 * has two keys for sealing within it and two for its session, and each is noted by both sides; besides there are the
 * ephemeral keys and the secrets of cookies.
 */
static void every_session_has_keys_of_its_own(void **state)
{
	size_t most, n;

	n_notes = 0;
	for (int i = 0; i < 50; i++) {
		struct rig *rig = rig_new((enum packet_suite)(i & 1), (enum packet_suite)(i & 1));

		assert_int_equal(rig->left.device->index.length, 0);
		rig_send(&rig->left);
		assert_int_equal(rig->sent[PACKET_DATA], 0); /* nothing before there is another key */
		rig_flush(rig);
		assert_int_equal(rig->right.delivered, 1);
		rig_free(rig);
	}
	assert_int_equal(n_notes, 50 * (2 * (3 + 2) + 2 + 2));
	n = different(&most);
	assert_int_equal(most, 2); /* by the two sides */
	assert_int_equal(n, 50 * (3 + 2 + 2 + 2));
}

#ifdef __SANITIZE_ADDRESS__
#define SANITIZED true /* frames are laid out anew and larger: what a stack holds then says nothing of it without */
#define ALL 1000000
#else
#define SANITIZED false
#define ALL 10000000
#endif

#define THREADS 4
#define PACKETS (ALL / KEYPAIR_BATCH / THREADS * KEYPAIR_BATCH * THREADS)

static struct keypair *shared;
static uint8_t *taken; /* one byte a number */

static void *seal_many(void *arg)
{
	static __thread uint8_t room[KEYPAIR_BATCH][64];
	struct packet batch[KEYPAIR_BATCH];
	struct aead *a;
	uint64_t counter;

	if (aead_new(&a) != 0)
		return NULL;
	for (size_t i = 0; i < PACKETS / THREADS / KEYPAIR_BATCH; i++) {
		for (size_t j = 0; j < KEYPAIR_BATCH; j++)
			batch[j] = (struct packet){.data = room[j], .size = 1};
		if (keypair_seal(shared, a, batch, KEYPAIR_BATCH, RIG_MTU, 0) != 0)
			return NULL;
		for (size_t j = 0; j < KEYPAIR_BATCH; j++) {
			memcpy(&counter, ((struct packet_data *)room[j])->counter, 8);
			__atomic_add_fetch(&taken[counter], 1, __ATOMIC_RELAXED);
		}
	}
	aead_free(a);
	return &taken;
}

static void threads_never_take_the_same_number(void **state)
{
	const uint8_t forth[32] = {1}, back[32] = {2};
	pthread_t threads[THREADS];
	struct aead *a;
	void *done;

	taken = calloc(PACKETS + 1, 1);
	assert_non_null(taken);
	assert_int_equal(aead_new(&a), 0);
	n_notes = 0;
	assert_int_equal(keypair_new(a, SUITE_ISTHMUS, forth, back, true, 1, 2, 0, &shared), 0);
	for (size_t i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, seal_many, NULL), 0);
	for (size_t i = 0; i < THREADS; i++) {
		pthread_join(threads[i], &done);
		assert_non_null(done);
	}
	for (size_t i = 0; i < PACKETS; i++)
		if (taken[i] != 1)
			fail_msg("number %zu was taken %d times", i, taken[i]);
	assert_int_equal(shared->sent, PACKETS);
	keypair_free(shared);
	aead_free(a);
	free(taken);
}

#define LARGE (1UL << 28) /* what a sanitizer keeps for itself */

/* The noted keys in all memory that can be written to; `heap`: also in that for secrets. */
__attribute__((no_sanitize("address"))) static size_t found(bool heap)
{
	unsigned long from, to, secret;
	void *in_heap = secret_new(64);
	size_t hits = 0;
	char line[512], mode[8];
	FILE *f = fopen("/proc/self/maps", "r");

	assert_non_null(f);
	secret = (unsigned long)in_heap;
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%lx-%lx %7s", &from, &to, mode) != 3 || mode[0] != 'r' || mode[1] != 'w' ||
		    to - from > LARGE)
			continue;
		if (!heap && from <= secret && secret < to)
			continue;
		for (const uint8_t *p = (const uint8_t *)from; p < (const uint8_t *)to - 31; p++)
			for (size_t i = 0; i < n_notes; i++)
				if ((p[0] ^ MASK) == notes[i][0] && (p[1] ^ MASK) == notes[i][1] && (p[2] ^ MASK) == notes[i][2] &&
				    (p[3] ^ MASK) == notes[i][3] && (p[4] ^ MASK) == notes[i][4] && (p[5] ^ MASK) == notes[i][5])
					hits++;
	}
	fclose(f);
	secret_free(in_heap);
	return hits;
}

/* E7, as far as the protocol goes. */
static void keys_are_found_in_locked_memory_alone(void **state)
{
	for (int suite = 0; suite < SUITE_MAX; suite++) {
		struct rig *rig = rig_new((enum packet_suite)suite, (enum packet_suite)suite);

		n_notes = 0;
		rig_connect(rig);
		rig_send(&rig->right);
		rig_flush(rig);
		assert_int_equal(n_notes, 2 * (3 + 2) + 2); /* and the two ephemeral ones */
		if (!SANITIZED) {
			assert_true(found(true) > 0); /* it would be seen */
			assert_int_equal(found(false), 0);
		}
		/* at the end of their time nowhere at all */
		rig_advance(rig, ERASE_AFTER_MS);
		assert_null(rig->left.peer->current);
		if (!SANITIZED)
			assert_int_equal(found(true), 0);
		rig_free(rig);
	}
}

static void the_search_finds_what_is_there(void **state)
{
	uint8_t *ordinary = malloc(64), *locked = secret_new(64);

	for (size_t i = 0; i < 32; i++)
		ordinary[i] = locked[i] = (uint8_t)(i * 37 + 11);
	n_notes = 0;
	note(ordinary);
	assert_int_equal(found(false), 1);
	assert_int_equal(found(true), 2);
	secret_free(locked);
	assert_int_equal(found(true), 1);
	secret_wipe(ordinary, 64);
	free(ordinary);
}

static uint8_t *locked_key(uint8_t first)
{
	uint8_t *k = secret_new(NOISE_KEY_SIZE);

	assert_non_null(k);
	for (size_t i = 0; i < NOISE_KEY_SIZE; i++)
		k[i] = (uint8_t)(first + i * 53);
	note(k);
	return k;
}

/* The static one as long as it is in use, the ephemeral one as long as its handshake is under way; given from locked memory. */
static void private_keys_are_in_locked_memory_alone(void **state)
{
	const uint8_t nothing[NOISE_KEY_SIZE] = {0}, payload[12] = {0};
	uint8_t message[NOISE_FIRST_SIZE(sizeof(payload))], *forever, *once;
	struct noise_identity *identity;
	struct noise_tools tools;
	struct noise *n;

	n_notes = 0;
	forever = locked_key(17);
	once = locked_key(91);
	assert_int_equal(noise_tools_new(&tools), 0);
	assert_int_equal(noise_identity_new(forever, &identity), 0);
	assert_int_equal(noise_new(&tools, &packet_suites[SUITE_WIREGUARD], identity, &n), 0);
	assert_int_equal(noise_write_first(n, noise_identity_public(identity), nothing, once, payload, sizeof(payload), message),
			 0);
	secret_free(forever);
	secret_free(once);
	n_notes = 2; /* those of the message are another's matter */
	if (!SANITIZED) {
		assert_int_equal(found(false), 0);
		assert_int_equal(found(true), 2);
	}
	noise_free(n);
	noise_identity_free(identity);
	noise_tools_free(&tools);
	if (!SANITIZED)
		assert_int_equal(found(true), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_session_has_keys_of_its_own),
		cmocka_unit_test(threads_never_take_the_same_number),
		cmocka_unit_test(the_search_finds_what_is_there),
		cmocka_unit_test(private_keys_are_in_locked_memory_alone),
		cmocka_unit_test(keys_are_found_in_locked_memory_alone),
	};

	return cmocka_run_group_tests_name("wg_key", tests, rig_start, NULL);
}
