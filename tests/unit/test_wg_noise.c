/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The handshake against the published vectors of the Noise community (cacophony's), which have another prologue and
 * payloads of 16 and 15 bytes; and what a handshake must refuse.
 */
#include "hex.h"

#include <errno.h>

#include "wg/noise.h"
#include "wg/packet.h"
#include "wg/secret.h"

static const struct vector {
	struct noise_suite suite;
	const char *first, *second, *third, *fourth;
} vectors[] = {
	{{"Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s", "John Galt", AEAD_CHACHA20_POLY1305},
	 "ca35def5ae56cec33dc2036731ab14896bc4c75dbb07a61f879f8e3afa4c7944001e21de9f98ddd8e2ad57527207feb56253c9c94a9e"
	 "496782ecfcb2a75fbcaf1b52948cc48daefe660c62119ab5000980c84831215f2441eba616548e832985464cf17e51ee93109008399a"
	 "21f7e13f",
	 "95ebc60d2b1fa672c1f46a8aa265ef51bfe38e7ccb39ec5be34069f144808843cb765f2caef0751b8f007572dab0322217755c0632f3"
	 "65717edbf34d33e87a",
	 "8153ca9833bc3c1b91a7e66e5f4d4f5b59bf9e64c2f20d15f0bba7", "07af0c9c86e1b4e80f36b04ff7688d51141af3debd0332f0a705ef"},
	{{"Noise_IKpsk2_25519_AESGCM_BLAKE2s", "John Galt", AEAD_AES256_GCM},
	 "ca35def5ae56cec33dc2036731ab14896bc4c75dbb07a61f879f8e3afa4c7944f70d65fedfd7ad294f4c8f5c1324c7c90e54cd8af056"
	 "52112a27b261e11ce99d9d517c4a1e0753038edb26066b4087b4c230aafa22b0552550b723eb69374a674d306a84e1852e30af2e2dbe"
	 "feb4fd2f",
	 "95ebc60d2b1fa672c1f46a8aa265ef51bfe38e7ccb39ec5be34069f1448088434190dae84b6887641a5f81e03d83f7be91fa1134c18d"
	 "de966e18fc404b97a8",
	 "061b631b380a639a0801920ddf205e2dbf6606c3328683c6af50fc", "c4b5ecd181f80279f2cc41217d490ed56459e3e3fb5e758e522d0d"},
};

#define INITIATOR "e61ef9919cde45dd5f82166404bd08e38bceb5dfdfded0a34c8df7ed542214d1"
#define RESPONDER "4a3acbfdb163dec651dfa3194dece676d437029c62a408b4c5ea9114246e4893"
#define PAYLOAD_1 "4c756477696720766f6e204d69736573"
#define PAYLOAD_2 "4d757272617920526f746862617264"
#define SIZE_1 16
#define SIZE_2 15

struct two {
	struct noise_tools tools;
	struct noise_identity *us, *them;
	uint8_t common[32], psk[32], ours[32], theirs[32]; /* the last two: ephemeral */
	struct noise *initiator, *responder;
	uint8_t first[NOISE_FIRST_SIZE(SIZE_1)], second[NOISE_SECOND_SIZE(SIZE_2)];
	uint8_t payload_1[SIZE_1], payload_2[SIZE_2];
};

static struct two *two_new(const struct noise_suite *ours, const struct noise_suite *theirs)
{
	struct two *t = calloc(1, sizeof(*t));
	uint8_t key[32], other[32];

	assert_int_equal(noise_tools_new(&t->tools), 0);
	hex(INITIATOR, key, 32);
	assert_int_equal(noise_identity_new(key, &t->us), 0);
	hex(RESPONDER, key, 32);
	assert_int_equal(noise_identity_new(key, &t->them), 0);
	hex("31e0303fd6418d2f8c0e78b91f22e8caed0fbe48656dcf4767e4834f701b8f62", key, 32);
	assert_memory_equal(noise_identity_public(t->them), key, 32);
	hex("54686973206973206d7920417573747269616e20706572737065637469766521", t->psk, 32);
	hex("893e28b9dc6ca8d611ab664754b8ceb7bac5117349a4439a6b0569da977c464a", t->ours, 32);
	hex("bbdb4cdbd309f1a1f2e1456967fe288cadd6f712d65dc7b7793d5e63da6b375b", t->theirs, 32);
	hex(PAYLOAD_1, t->payload_1, SIZE_1);
	hex(PAYLOAD_2, t->payload_2, SIZE_2);
	assert_int_equal(noise_identity_agree(t->us, noise_identity_public(t->them), t->common), 0);
	assert_int_equal(noise_identity_agree(t->them, noise_identity_public(t->us), other), 0);
	assert_memory_equal(t->common, other, 32);
	assert_int_equal(noise_new(&t->tools, ours, t->us, &t->initiator), 0);
	assert_int_equal(noise_new(&t->tools, theirs, t->them, &t->responder), 0);
	return t;
}

static void two_free(struct two *t)
{
	noise_free(t->initiator);
	noise_free(t->responder);
	noise_identity_free(t->us);
	noise_identity_free(t->them);
	noise_tools_free(&t->tools);
	free(t);
}

static void write_first(struct two *t)
{
	assert_int_equal(noise_write_first(t->initiator, noise_identity_public(t->them), t->common, t->ours, t->payload_1,
					   SIZE_1, t->first),
			 0);
}

static void read_first(struct two *t)
{
	uint8_t who[32], payload[SIZE_1];

	assert_int_equal(noise_read_static(t->responder, t->first, who), 0);
	assert_memory_equal(who, noise_identity_public(t->us), 32);
	assert_int_equal(noise_read_first(t->responder, t->first, t->common, SIZE_1, payload), 0);
	assert_memory_equal(payload, t->payload_1, SIZE_1);
}

static int read_second(struct two *t)
{
	uint8_t payload[SIZE_2];
	int r = noise_read_second(t->initiator, t->psk, t->second, SIZE_2, payload);

	if (r == 0)
		assert_memory_equal(payload, t->payload_2, SIZE_2);
	return r;
}

static void write_second(struct two *t)
{
	assert_int_equal(noise_write_second(t->responder, t->psk, t->theirs, t->payload_2, SIZE_2, t->second), 0);
}

static void transport_is(struct two *t, enum aead_algorithm algorithm, const uint8_t key[32], const char *plain,
			 const char *sealed)
{
	uint8_t data[64], want[64];
	struct aead_packet p = {.data = data, .size = hex(plain, data, 64)};
	struct aead_key *k;

	aead_nonce(algorithm, 0, p.nonce);
	assert_int_equal(aead_key_new(t->tools.aead, algorithm, aead_best(t->tools.aead, algorithm), key, &k), 0);
	assert_int_equal(aead_seal(t->tools.aead, k, &p, 1), 0);
	assert_int_equal(hex(sealed, want, 64), p.size + 16);
	assert_memory_equal(data, want, p.size + 16);
	aead_key_free(k);
}

static void published_vectors_hold(void **state)
{
	for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
		const struct vector *v = &vectors[i];
		struct two *t = two_new(&v->suite, &v->suite);
		uint8_t want[256], keys[4][32];

		write_first(t);
		assert_int_equal(hex(v->first, want, 256), sizeof(t->first));
		assert_memory_equal(t->first, want, sizeof(t->first));
		read_first(t);
		write_second(t);
		assert_int_equal(hex(v->second, want, 256), sizeof(t->second));
		assert_memory_equal(t->second, want, sizeof(t->second));
		assert_int_equal(read_second(t), 0);
		assert_int_equal(noise_split(t->initiator, keys[0], keys[1]), 0);
		assert_int_equal(noise_split(t->responder, keys[2], keys[3]), 0);
		assert_memory_equal(keys[0], keys[2], 32);
		assert_memory_equal(keys[1], keys[3], 32);
		transport_is(t, v->suite.aead, keys[0], "462e20412e20486179656b", v->third);
		transport_is(t, v->suite.aead, keys[1], "4361726c204d656e676572", v->fourth);
		two_free(t);
	}
}

static void a_message_spoiled_anywhere_is_refused(void **state)
{
	for (int suite = 0; suite < SUITE_MAX; suite++) {
		struct two *t = two_new(&packet_suites[suite], &packet_suites[suite]);
		uint8_t who[32], payload[64];
		struct noise *n;

		write_first(t);
		for (size_t i = 0; i < sizeof(t->first); i++) {
			int r;

			t->first[i] ^= (uint8_t)(1 << i % 8);
			assert_int_equal(noise_new(&t->tools, &packet_suites[suite], t->them, &n), 0);
			r = noise_read_static(n, t->first, who);
			if (r == 0)
				r = noise_read_first(n, t->first, t->common, SIZE_1, payload);
			/* X25519 takes no notice of the highest bit (RFC 7748 5), but the transcript does */
			assert_int_equal(r, -EBADMSG);
			noise_free(n);
			t->first[i] ^= (uint8_t)(1 << i % 8);
		}
		read_first(t);
		write_second(t);
		/* a forged answer does not spoil the wait for the right one */
		for (size_t i = 0; i < sizeof(t->second); i++) {
			t->second[i] ^= (uint8_t)(1 << i % 8);
			assert_int_equal(read_second(t), -EBADMSG);
			t->second[i] ^= (uint8_t)(1 << i % 8);
		}
		assert_int_equal(read_second(t), 0);
		two_free(t);
	}
}

static void another_psk_is_refused(void **state)
{
	struct two *t = two_new(&packet_suites[SUITE_WIREGUARD], &packet_suites[SUITE_WIREGUARD]);

	write_first(t);
	read_first(t);
	write_second(t);
	t->psk[31] ^= 1;
	assert_int_equal(read_second(t), -EBADMSG);
	two_free(t);
}

static void one_suite_is_noise_to_the_other(void **state)
{
	for (int suite = 0; suite < SUITE_MAX; suite++) {
		struct two *t = two_new(&packet_suites[suite], &packet_suites[!suite]);
		uint8_t who[32];

		write_first(t);
		assert_int_equal(noise_read_static(t->responder, t->first, who), -EBADMSG);
		two_free(t);
	}
}

/* RFC 7748 6.1: points of low order give a secret that everybody knows. */
static void keys_of_low_order_are_refused(void **state)
{
	static const char *const points[] = {
		"0000000000000000000000000000000000000000000000000000000000000000",
		"0100000000000000000000000000000000000000000000000000000000000000",
		"e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
		"5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
		"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	};
	struct two *t = two_new(&packet_suites[SUITE_WIREGUARD], &packet_suites[SUITE_WIREGUARD]);
	uint8_t who[32];

	write_first(t);
	for (size_t i = 0; i < sizeof(points) / sizeof(points[0]); i++) {
		struct noise *n;
		uint8_t out[32];

		hex(points[i], t->first, 32);
		assert_int_equal(noise_identity_agree(t->us, t->first, out), -EKEYREJECTED);
		assert_int_equal(noise_new(&t->tools, &packet_suites[SUITE_WIREGUARD], t->them, &n), 0);
		assert_int_equal(noise_read_static(n, t->first, who), -EBADMSG);
		noise_free(n);
	}
	two_free(t);
}

static void a_full_heap_is_an_error(void **state)
{
	struct two *t = two_new(&packet_suites[SUITE_WIREGUARD], &packet_suites[SUITE_WIREGUARD]);
	void *held[4096];
	size_t n = 0;
	struct noise *more;
	uint8_t who[32];

	write_first(t);
	while (n < 4096 && (held[n] = secret_new(1024)))
		n++;
	while (n < 4096 && (held[n] = secret_new(64)))
		n++;
	assert_int_equal(noise_new(&t->tools, &packet_suites[0], t->them, &more), -ENOMEM);
	assert_int_equal(noise_read_static(t->responder, t->first, who), -ENOMEM);
	while (n > 0)
		secret_free(held[--n]);
	two_free(t);
}

static int start(void **state)
{
	return secret_start(1 << 18);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(published_vectors_hold),
		cmocka_unit_test(a_message_spoiled_anywhere_is_refused),
		cmocka_unit_test(another_psk_is_refused),
		cmocka_unit_test(one_suite_is_noise_to_the_other),
		cmocka_unit_test(keys_of_low_order_are_refused),
		cmocka_unit_test(a_full_heap_is_an_error),
	};

	return cmocka_run_group_tests_name("wg_noise", tests, start, NULL);
}
