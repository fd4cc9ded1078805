/* SPDX-License-Identifier: Apache-2.0 */
/*
 * keypair.h - the keys of one session and what was sent and received with them: seals and opens data messages, in
 * batches and in place.
 *
 * A nonce is the counter, and the counter only goes up: batches take their numbers with one atomic addition, so
 * several threads may seal with one keypair.  Several may open, too: what they have to share is the replay window, which
 * each holds for as long as it enters the numbers of its batch.
 * Keys are never written anywhere, and another handshake gives others: that is all it takes for a nonce not to be
 * used twice, over restarts too (doc/encryption.md).
 *
 * Call order: keypair_new after noise_split, keypair_seal and keypair_open, keypair_free.
 */
#ifndef ISTHMUS_WG_KEYPAIR_H
#define ISTHMUS_WG_KEYPAIR_H

#include "wg/packet.h"
#include "wg/replay.h"

#define REKEY_AFTER_MESSAGES (1ULL << 60)
#define REJECT_AFTER_MESSAGES (UINT64_MAX - (1ULL << 13))

#define KEYPAIR_BATCH 64 /* packets a call */

struct keypair {
	struct aead_key *send, *receive;
	uint64_t sent; /* how many: the next counter */
	struct replay replay;
	uint64_t received; /* messages that were good */
	bool replay_is_held; /* with `received`, by a thread that enters what it opened */
	void *owner;         /* its owner's, see device.h */
	uint64_t born_ms;
	uint32_t local, remote; /* indices: in what comes, in what goes */
	enum packet_suite suite;
	bool initiator;    /* it was us who asked for the session */
	bool asked_anew;   /* for the one after it, because it was received with so late */
};

enum keypair_verdict {
	KEYPAIR_GOOD,
	KEYPAIR_EXPIRED, /* by time or by counter */
	KEYPAIR_FORGED,  /* or damaged, or of another suite */
	KEYPAIR_REPLAYED,
};

/*
 * Sealing: the payload lies at data + sizeof(struct packet_data), `size` is its size, and behind it is room for 15
 * bytes of padding and the tag; after it `size` is the message's.  Opening: `size` is the message's, of PACKET_DATA;
 * after it, where the verdict is good, the payload's with its padding (packet_inner_size).
 */
struct packet {
	uint8_t *data;
	size_t size;
	enum keypair_verdict verdict; /* of keypair_open */
};

/* `forth`, `back`: from initiator to responder and back.  0 or -ENOMEM. */
int keypair_new(struct aead *a, enum packet_suite suite, const uint8_t forth[static NOISE_KEY_SIZE],
		const uint8_t back[static NOISE_KEY_SIZE], bool initiator, uint32_t local, uint32_t remote,
		uint64_t now_ms, struct keypair **out);
void keypair_free(struct keypair *k); /* wipes; NULL allowed */

bool keypair_is_usable(const struct keypair *k, uint64_t now_ms); /* NULL allowed */
/* Is it time for the next, seen from the sender (6.2 of the paper) and from the receiver? */
bool keypair_wants_next_sending(const struct keypair *k, uint64_t now_ms);
bool keypair_wants_next_receiving(struct keypair *k, uint64_t now_ms); /* once */

size_t keypair_padded(size_t size, size_t mtu); /* of a payload of `size` */

/*
 * Pads to 16 bytes, but not beyond `mtu`.  `n` is at most KEYPAIR_BATCH.  0; -EKEYEXPIRED: too old or too much sent,
 * nothing was sealed; -EIO: a library failed, nothing of it may be sent.
 */
int keypair_seal(struct keypair *k, struct aead *a, struct packet *packets, size_t n, size_t mtu, uint64_t now_ms);
/* Returns how many are good.  The messages are of this keypair, by their receiver index. */
size_t keypair_open(struct keypair *k, struct aead *a, struct packet *packets, size_t n, uint64_t now_ms);

/* The highest number that has come, and one; and how many came. */
void keypair_received(struct keypair *k, uint64_t *next, uint64_t *received);

#endif
