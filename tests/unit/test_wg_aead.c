/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The primitives against published vectors: every library that this machine has for an algorithm runs the same ones,
 * and every one of them is spoiled in each of its bytes.
 */
#include "hex.h"

#include <errno.h>
#include <stdio.h>

#include "wg/aead.h"
#include "wg/hash.h"
#include "wg/secret.h"
#include "wg/xchacha.h"

#define ROOM 1024

struct vector {
	const char *name;
	enum aead_algorithm algorithm;
	const char *key, *nonce, *extra, *plain, *sealed, *tag;
};

#define ZERO32 "0000000000000000000000000000000000000000000000000000000000000000"
#define GCM_KEY "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308"
#define SUNSCREEN                                                                                                      \
	"4c616469657320616e642047656e746c656d656e206f662074686520636c617373206f66202739393a20496620492063"             \
	"6f756c64206f6666657220796f75206f6e6c79206f6e652074697020666f7220746865206675747572652c2073756e73"             \
	"637265656e20776f756c642062652069742e"

static const struct vector vectors[] = {
	{"RFC 8439 2.8.2", AEAD_CHACHA20_POLY1305, "808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f",
	 "070000004041424344454647", "50515253c0c1c2c3c4c5c6c7", SUNSCREEN,
	 "d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d63dbea45e8ca9671282fafb69da92728b"
	 "1a71de0a9e060b2905d6a5b67ecd3b3692ddbd7f2d778b8c9803aee328091b58fab324e4fad675945585808b4831d7bc"
	 "3ff4def08e4b7a9de576d26586cec64b6116",
	 "1ae10b594f09e26a7e902ecbd0600691"},
	{"RFC 8439 A.5", AEAD_CHACHA20_POLY1305, "1c9240a5eb55d38af333888604f6b5f0473917c1402b80099dca5cbc207075c0",
	 "000000000102030405060708", "f33388860000000000004e91",
	 "496e7465726e65742d4472616674732061726520647261667420646f63756d656e74732076616c696420666f722061206d6178"
	 "696d756d206f6620736978206d6f6e74687320616e64206d617920626520757064617465642c207265706c616365642c206f72"
	 "206f62736f6c65746564206279206f7468657220646f63756d656e747320617420616e792074696d652e20497420697320696e"
	 "617070726f70726961746520746f2075736520496e7465726e65742d447261667473206173207265666572656e6365206d6174"
	 "657269616c206f7220746f2063697465207468656d206f74686572207468616e206173202fe2809c776f726b20696e2070726f"
	 "67726573732e2fe2809d",
	 "64a0861575861af460f062c79be643bd5e805cfd345cf389f108670ac76c8cb24c6cfc18755d43eea09ee94e382d26b0bdb7b7"
	 "3c321b0100d4f03b7f355894cf332f830e710b97ce98c8a84abd0b948114ad176e008d33bd60f982b1ff37c8559797a06ef4f0"
	 "ef61c186324e2b3506383606907b6a7c02b0f9f6157b53c867e4b9166c767b804d46a59b5216cde7a4e99040c5a40433225ee2"
	 "82a1b0a06c523eaf4534d7f83fa1155b0047718cbc546a0d072b04b3564eea1b422273f548271a0bb2316053fa76991955ebd6"
	 "3159434ecebb4e466dae5a1073a6727627097a1049e617d91d361094fa68f0ff77987130305beaba2eda04df997b714d6c6f2c"
	 "29a6ad5cb4022b02709b",
	 "eead9d67890cbb22392336fea1851f38"},
	{"GCM specification, case 13", AEAD_AES256_GCM, ZERO32, "000000000000000000000000", "", "", "",
	 "530f8afbc74536b9a963b4f1c4cb738b"},
	{"GCM specification, case 14", AEAD_AES256_GCM, ZERO32, "000000000000000000000000", "",
	 "00000000000000000000000000000000", "cea7403d4d606b6e074ec5d3baf39d18", "d0d1c8a799996bf0265b98b5d48ab919"},
	{"GCM specification, case 15", AEAD_AES256_GCM, GCM_KEY, "cafebabefacedbaddecaf888", "",
	 "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5"
	 "aa0de657ba637b391aafd255",
	 "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838c5f61e63"
	 "93ba7a0abcc9f662898015ad",
	 "b094dac5d93471bdec1a502270e3cc6c"},
	{"GCM specification, case 16", AEAD_AES256_GCM, GCM_KEY, "cafebabefacedbaddecaf888",
	 "feedfacedeadbeeffeedfacedeadbeefabaddad2",
	 "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5"
	 "aa0de657ba637b39",
	 "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838c5f61e63"
	 "93ba7a0abcc9f662",
	 "76fc6ece0f4e1768cddf8853bb2d551b"},
};
#define N_VECTORS (sizeof(vectors) / sizeof(vectors[0]))

/* A vector in bytes, and packets over it. */
struct row {
	uint8_t key[32], nonce[12], extra[ROOM], plain[ROOM], sealed[ROOM];
	size_t extra_size, size;
};

static struct row row_of(const struct vector *v)
{
	struct row r = {.size = hex(v->plain, r.plain, ROOM), .extra_size = hex(v->extra, r.extra, ROOM)};

	assert_int_equal(hex(v->key, r.key, 32), 32);
	assert_int_equal(hex(v->nonce, r.nonce, 12), 12);
	assert_int_equal(hex(v->sealed, r.sealed, ROOM), r.size);
	assert_int_equal(hex(v->tag, r.sealed + r.size, 16), 16);
	return r;
}

static struct aead_packet packet_of(struct row *r, uint8_t *data)
{
	struct aead_packet p = {.data = data, .size = r->size, .extra = r->extra_size ? r->extra : NULL,
				.extra_size = r->extra_size};

	memcpy(p.nonce, r->nonce, sizeof(p.nonce));
	return p;
}

static void spoil(struct aead *a, struct aead_key *k, struct row *r)
{
	static const uint8_t zero[ROOM];
	uint8_t data[ROOM];
	size_t whole = r->size + AEAD_TAG_SIZE;

	for (size_t i = 0; i < whole + r->extra_size + sizeof(r->nonce); i++) {
		struct aead_packet p = packet_of(r, data);
		uint8_t *at = i < whole                   ? data + i
			      : i < whole + r->extra_size ? r->extra + (i - whole)
							  : p.nonce + (i - whole - r->extra_size);
		uint8_t bit = (uint8_t)(1 << i % 8);

		memcpy(data, r->sealed, whole);
		*at ^= bit;
		assert_int_equal(aead_open(a, k, &p, 1), 0);
		assert_false(p.ok);
		assert_memory_equal(data, zero, r->size); /* nobody sees it */
		*at ^= bit;
	}
}

static void published_vectors_hold_in_every_library(void **state)
{
	size_t runs = 0;
	struct aead *a;

	assert_int_equal(aead_new(&a), 0);
	for (size_t i = 0; i < N_VECTORS; i++) {
		for (int library = 0; library < AEAD_LIBRARY_MAX; library++) {
			struct row r = row_of(&vectors[i]);
			uint8_t data[ROOM];
			struct aead_packet p = packet_of(&r, data);
			struct aead_key *k;

			if (!aead_has(a, vectors[i].algorithm, (enum aead_library)library))
				continue;
			assert_int_equal(aead_key_new(a, vectors[i].algorithm, (enum aead_library)library, r.key, &k), 0);
			memcpy(data, r.plain, r.size);
			assert_int_equal(aead_seal(a, k, &p, 1), 0);
			assert_memory_equal(data, r.sealed, r.size + AEAD_TAG_SIZE);
			assert_int_equal(aead_open(a, k, &p, 1), 1);
			assert_true(p.ok);
			assert_memory_equal(data, r.plain, r.size);
			spoil(a, k, &r);
			aead_key_free(k);
			runs++;
		}
	}
	/* libcrypto ran all of them, the other library those of AES where this processor has the instructions */
	assert_int_equal(runs, N_VECTORS + (aead_has(a, AEAD_AES256_GCM, AEAD_IPSEC_MB) ? 4 : 0));
	aead_free(a);
}

/* Both libraries and both directions, at every size around their blocks, many packets a call. */
static void libraries_agree_at_every_size(void **state)
{
	static uint8_t data[64][2048 + 16], copy[64][2048 + 16];
	const uint8_t raw[32] = {1, 2, 3};
	struct aead *a;

	assert_int_equal(aead_new(&a), 0);
	for (int algorithm = 0; algorithm < AEAD_MAX; algorithm++) {
		enum aead_library best = aead_best(a, (enum aead_algorithm)algorithm);
		struct aead_packet one[64], other[64];
		struct aead_key *k, *plain;

		assert_int_equal(aead_key_new(a, (enum aead_algorithm)algorithm, best, raw, &k), 0);
		assert_int_equal(aead_key_new(a, (enum aead_algorithm)algorithm, AEAD_LIBCRYPTO, raw, &plain), 0);
		for (size_t from = 0; from < 2048; from += 64) {
			for (size_t i = 0; i < 64; i++) {
				memset(data[i], (int)i, sizeof(data[i]));
				memcpy(copy[i], data[i], sizeof(data[i]));
				one[i] = (struct aead_packet){.data = data[i], .size = from + i};
				aead_nonce((enum aead_algorithm)algorithm, from + i, one[i].nonce);
				other[i] = one[i];
				other[i].data = copy[i];
			}
			assert_int_equal(aead_seal(a, k, one, 64), 0);
			assert_int_equal(aead_seal(a, plain, other, 64), 0);
			for (size_t i = 0; i < 64; i++)
				assert_memory_equal(data[i], copy[i], sizeof(data[i]));
			data[7][0] ^= 1;
			assert_int_equal(aead_open(a, k, one, 64), 63);
			assert_false(one[7].ok);
			assert_int_equal(aead_open(a, plain, other, 64), 64);
			for (size_t i = 0; i < 64; i++)
				if (i != 7)
					assert_memory_equal(data[i], copy[i], from + i);
		}
		aead_key_free(k);
		aead_key_free(plain);
	}
	aead_free(a);
}

static void nonces_are_written_as_each_algorithm_has_them(void **state)
{
	uint8_t nonce[12];

	aead_nonce(AEAD_CHACHA20_POLY1305, 0x0102030405060708, nonce);
	assert_memory_equal(nonce, "\0\0\0\0\x08\x07\x06\x05\x04\x03\x02\x01", 12);
	aead_nonce(AEAD_AES256_GCM, 0x0102030405060708, nonce);
	assert_memory_equal(nonce, "\0\0\0\0\x01\x02\x03\x04\x05\x06\x07\x08", 12);
}

/* draft-irtf-cfrg-xchacha-03: 2.2.1 and A.3.1 */
static void xchacha_is_that_of_the_draft(void **state)
{
	uint8_t key[32], input[16], out[32], want[ROOM], nonce[24], extra[12], data[ROOM];
	size_t size;
	struct aead *a;

	hex("000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f", key, 32);
	hex("000000090000004a0000000031415927", input, 16);
	hex("82413b4227b27bfed30e42508a877d73a0f9e4d58a74a853c12ec41326d3ecdc", want, 32);
	assert_int_equal(xchacha_derive(key, input, out), 0);
	assert_memory_equal(out, want, 32);

	assert_int_equal(aead_new(&a), 0);
	hex("808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f", key, 32);
	hex("404142434445464748494a4b4c4d4e4f5051525354555657", nonce, 24);
	hex("50515253c0c1c2c3c4c5c6c7", extra, 12);
	size = hex(SUNSCREEN, data, ROOM);
	hex("bd6d179d3e83d43b9576579493c0e939572a1700252bfaccbed2902c21396cbb731c7f1b0b4aa6440bf3a82f4eda7e39"
	    "ae64c6708c54c216cb96b72e1213b4522f8c9ba40db5d945b11b69b982c1bb9e3f3fac2bc369488f76b2383565d3fff9"
	    "21f9664c97637da9768812f615c68b13b52e"
	    "c0875924c1c7987947deafd8780acf49",
	    want, ROOM);
	assert_int_equal(xchacha_seal(a, key, nonce, extra, 12, data, size), 0);
	assert_memory_equal(data, want, size + 16);
	assert_int_equal(xchacha_open(a, key, nonce, extra, 12, data, size), 0);
	assert_memory_equal(data, "Ladies and Gentlemen", 20);
	memcpy(data, want, size + 16);
	nonce[23] ^= 1;
	assert_int_equal(xchacha_open(a, key, nonce, extra, 12, data, size), -EBADMSG);
	aead_free(a);
}

/* RFC 7693 appendix B; the rest by Python's hashlib and hmac, which have BLAKE2s of their own. */
static void hashes_are_those_of_others(void **state)
{
	uint8_t key[32], data[100], out[3][32], want[32];
	struct hash *h;

	for (size_t i = 0; i < 100; i++)
		data[i] = (uint8_t)i;
	memcpy(key, data, 32);
	assert_int_equal(hash_new(&h), 0);
	hash_begin(h);
	hash_join(h, "a", 1, "bc", 2, out[0]);
	hex("508c5e8c327c14e2e1a72ba34eeb452f37458b209ed63a294d999b4c86675982", want, 32);
	assert_memory_equal(out[0], want, 32);
	for (int again = 0; again < 2; again++) { /* a context that was used is as good as a new one */
		hash_mac(h, key, 32, data, 100, out[0]);
		hex("0b67d33f8b859c3157fbabd9e6e47ed0", want, 16);
		assert_memory_equal(out[0], want, 16);
		hash_mac(h, key, 16, data, 100, out[0]);
		hex("56301549e674c3b72a0e1dafb7a2c620", want, 16);
		assert_memory_equal(out[0], want, 16);
		hash_derive(h, key, "input", 5, 3, (uint8_t *[]){out[0], out[1], out[2]});
		hex("87b7f70b24183c6db5dc4f6d9f4c47cdb203321aa2a0bef714896adb3107a040", want, 32);
		assert_memory_equal(out[0], want, 32);
		hex("538a02e1eb2e31b7e4d4b82476d1fe2acf50085d3fb584537279195f5d1f5824", want, 32);
		assert_memory_equal(out[1], want, 32);
		hex("9ad858025593be88de0f9442a589cfe84a88dc19e4753d93684d1c5efc4837f9", want, 32);
		assert_memory_equal(out[2], want, 32);
	}
	assert_true(hash_ok(h));
	hash_free(h);
}

static bool locked_and_not_dumped(const void *p)
{
	unsigned long from, to, at = (unsigned long)p;
	char line[4096], flags[256] = "";
	FILE *f = fopen("/proc/self/smaps", "r");
	bool inside = false;

	assert_non_null(f);
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%lx-%lx ", &from, &to) == 2)
			inside = at >= from && at < to;
		else if (inside && strncmp(line, "VmFlags:", 8) == 0)
			snprintf(flags, sizeof(flags), "%.250s", line);
	}
	fclose(f);
	return strstr(flags, " lo") && strstr(flags, " dd");
}

static void secrets_are_locked_and_wiped(void **state)
{
	uint8_t *p = secret_new(100), *old = p;

	assert_non_null(p);
	assert_true(locked_and_not_dumped(p));
	assert_int_equal((uintptr_t)p % 64, 0);
	memset(p, 0x77, 100);
	secret_free(p);
	for (size_t i = 16; i < 100; i++) /* the heap keeps links at the start of what is free */
		assert_int_not_equal(old[i], 0x77);
	secret_free(NULL);
	assert_int_equal(secret_start(1 << 20), 0); /* again: nothing happens */
}

static int start(void **state)
{
	return secret_start(1 << 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(published_vectors_hold_in_every_library),
		cmocka_unit_test(libraries_agree_at_every_size),
		cmocka_unit_test(nonces_are_written_as_each_algorithm_has_them),
		cmocka_unit_test(xchacha_is_that_of_the_draft),
		cmocka_unit_test(hashes_are_those_of_others),
		cmocka_unit_test(secrets_are_locked_and_wiped),
	};

	return cmocka_run_group_tests_name("wg_aead", tests, start, NULL);
}
