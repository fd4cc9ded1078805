/* SPDX-License-Identifier: Apache-2.0 */
/*
 * peer.h - one peer: its keys, where it is, and its sessions.
 *
 * Four keypairs at most: the current, which is sent with; two before it, for what is still on its way (two, because
 * both sides may ask at the same moment); and the next, which the other side asked for and has not used yet.  An idle
 * peer has none and takes 0.7 KB; a session takes 1.2 KB and two keys of the secret heap (AES: 1 KB each).
 *
 * Sending: peer_seal turns packets into messages for peer_endpoint; where there is no session it begins a handshake and
 * says -EAGAIN, and the owner keeps the packets until PEER_READY or PEER_GONE.
 */
#ifndef ISTHMUS_WG_PEER_H
#define ISTHMUS_WG_PEER_H

#include "wg/endpoint.h"
#include "wg/keypair.h"

struct device;
struct peer;

struct peer_config {
	uint8_t public_key[NOISE_KEY_SIZE];
	uint8_t psk[NOISE_KEY_SIZE]; /* zero = none */
	enum packet_suite suite;     /* of handshakes that we begin; answered are both */
	struct endpoint endpoint;    /* port 0 = unknown until it talks to us */
	bool unreachable;            /* neither can begin directly: no use to wait before relays are asked */
	uint16_t keepalive_s;        /* 0 = none */
	uint16_t mtu;                /* of payloads: padding does not go beyond it */
	void *owner;                 /* whatever peer_owner is to give back */
};

struct peer_stats {
	uint64_t sent_packets, sent_bytes, received_packets, received_bytes; /* of data, payloads */
	uint64_t handshakes;                                                 /* sessions made */
	uint64_t established_ms; /* the last session; 0 = never */
	enum packet_suite suite; /* of it */
	bool clock_known;        /* it has begun a handshake */
	int64_t clock_ahead_ms;  /* of its time of day then, before ours */
};

/* 0; -EEXIST; -EKEYREJECTED: no proper public key, or our own; -ENOMEM. */
int peer_new(struct device *d, const struct peer_config *config, uint64_t now_ms, struct peer **out);
void peer_free(struct peer *p); /* NULL allowed; forgets all its keys */
/*
 * Changes what it can without another handshake: psk and suite count from the next one, an endpoint of port 0 leaves the
 * one that is known.
 */
void peer_change(struct peer *p, const struct peer_config *config, uint64_t now_ms);

void *peer_owner(const struct peer *p);
const struct endpoint *peer_endpoint(const struct peer *p); /* port 0 = unknown */
void peer_stats(const struct peer *p, struct peer_stats *out);
bool peer_is_ready(const struct peer *p, uint64_t now_ms); /* can be sent to */

/*
 * Payloads of `size` at data + sizeof(struct packet_data), as keypair_seal has it; at most KEYPAIR_BATCH.  0:
 * messages, to be sent in this order; -EAGAIN: there is no session, and a handshake is on its way; -EIO: lost, see
 * keypair_seal.
 */
int peer_seal(struct peer *p, struct packet *packets, size_t n, uint64_t now_ms);

/*
 * One that is no packet of the owner's users, and asks for no session: 0, with whose number it went; -EKEYEXPIRED: there
 * is none; -EIO.  `mtu` as keypair_seal has it.
 */
int peer_seal_aside(struct peer *p, struct packet *m, size_t mtu, uint64_t now_ms, uint32_t *session);

/* Of threads that seal and open by themselves (device_ops.session_made): they sent data under the current keys; */
void peer_on_sent(struct peer *p, uint64_t now_ms);
/* and opened something of the session with that index; `data`: not keepalives alone; `from`: NULL = not told now. */
void peer_on_opened(struct peer *p, uint32_t local, const struct endpoint *from, bool data, uint64_t now_ms);

/* It was found that it is reached there: that is where it is, and it is told so where it can be. */
void peer_move(struct peer *p, const struct endpoint *to, uint64_t now_ms);
const struct endpoint *peer_direct(const struct peer *p); /* where it was last without a relay; port 0 = unknown */

/* Asks for a new session, whatever there is; not sooner than REKEY_TIMEOUT_MS after the last time unless `now`. */
void peer_initiate(struct peer *p, bool now, uint64_t now_ms);

#endif
