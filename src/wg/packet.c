/* SPDX-License-Identifier: Apache-2.0 */
#include "wg/packet.h"

#include "lib/wire.h"

const struct noise_suite packet_suites[SUITE_MAX] = {
	[SUITE_WIREGUARD] = {"Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s", "WireGuard v1 zx2c4 Jason@zx2c4.com",
			     AEAD_CHACHA20_POLY1305},
	[SUITE_ISTHMUS] = {"Noise_IKpsk2_25519_AESGCM_BLAKE2s", "Isthmus v1", AEAD_AES256_GCM},
};

static const struct {
	size_t size;
	bool exact;
	uint8_t suites; /* how many may stand in the header */
} kinds[PACKET_KIND_MAX] = {
	[PACKET_INITIATION] = {sizeof(struct packet_initiation), true, SUITE_MAX},
	[PACKET_RESPONSE] = {sizeof(struct packet_response), true, SUITE_MAX},
	[PACKET_COOKIE] = {sizeof(struct packet_cookie), true, 1}, /* the same for all suites */
	[PACKET_DATA] = {PACKET_DATA_SIZE(0), false, SUITE_MAX},
};

enum packet_kind packet_kind(const uint8_t *data, size_t size)
{
	struct reader r = reader_over(data, size);
	uint8_t kind = reader_u8(&r), suite = reader_u8(&r);
	uint16_t zero = reader_u16(&r);

	if (!reader_ok(&r) || zero != 0 || kind == PACKET_NONE || kind >= PACKET_KIND_MAX ||
	    suite >= kinds[kind].suites)
		return PACKET_NONE;
	if (kinds[kind].exact ? size != kinds[kind].size : size < kinds[kind].size)
		return PACKET_NONE;
	return (enum packet_kind)kind;
}

struct packet_header packet_header(enum packet_kind kind, enum packet_suite suite)
{
	return (struct packet_header){.kind = (uint8_t)kind, .suite = (uint8_t)suite};
}

size_t packet_inner_size(const uint8_t *data, size_t size)
{
	struct reader r = reader_over(data, size);
	size_t header, total;

	switch (reader_u8(&r) >> 4) {
	case 4:
		header = 20;
		reader_take(&r, 1);
		total = reader_u16(&r);
		break;
	case 6:
		header = 40;
		reader_take(&r, 3);
		total = header + reader_u16(&r);
		break;
	default:
		return 0;
	}
	return reader_ok(&r) && total >= header && total <= size ? total : 0;
}
