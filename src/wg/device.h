/* SPDX-License-Identifier: Apache-2.0 */
/*
 * device.h - one node's end of all its sessions: bytes, events and time in; bytes and events out.  No socket, no clock.
 *
 * It has the node's key, its peers, the table of indices and the defence against floods.  To whatever is not
 * authenticated it is silent; everything that is dropped is counted by its name.  A peer is made for each public key
 * that may talk to us; who is none is nobody.
 *
 * Handshakes of both directions do not disturb each other: an answer to ours is awaited while theirs is answered, and
 * whichever session comes last is used, the other kept for what is still on its way.
 *
 * Call order: secret_start, device_new, peer_new (peer.h) for each peer, then any; device_tick when the time of
 * device_next_ms has come; peer_free, device_free (frees what peers are left).  From within callbacks none but
 * peer_seal, peer_owner, peer_endpoint and peer_stats.  One thread; `now_ms` is of a clock that never goes back, and
 * that counts while the machine sleeps.
 */
#ifndef ISTHMUS_WG_DEVICE_H
#define ISTHMUS_WG_DEVICE_H

#include "wg/endpoint.h"
#include "wg/packet.h"
#include "wg/peer.h"

struct device;

enum device_drop {
	DEVICE_MALFORMED,     /* no message that we know, by kind and size */
	DEVICE_BAD_MAC,       /* a handshake message that is not for us */
	DEVICE_COOKIE_SENT,   /* under load: the sender is to prove where it is */
	DEVICE_RATE_LIMITED,  /* under load: proven, but too often */
	DEVICE_UNKNOWN_PEER,  /* a right initiation by a key that we do not know */
	DEVICE_BAD_HANDSHAKE, /* does not decrypt */
	DEVICE_OLD_HANDSHAKE, /* decrypts, but its time is not later than that of the last, or too soon after it */
	DEVICE_UNKNOWN_INDEX, /* for no session or handshake of ours */
	DEVICE_BAD_COOKIE,
	DEVICE_FORGED,        /* data that does not decrypt */
	DEVICE_REPLAYED,
	DEVICE_EXPIRED,       /* data under keys that are too old */
	DEVICE_NO_MEMORY,     /* of the locked kind, mostly */
	DEVICE_DROP_MAX
};
const char *device_drop_name(enum device_drop d);

enum peer_event {
	PEER_READY,  /* can be sent to, by a new session: send what waits */
	PEER_GONE,   /* did not answer for REKEY_ATTEMPT_MS: drop what waits */
	PEER_MOVED,  /* has another endpoint */
	PEER_ERASED, /* all its keys were forgotten */
};

struct device_ops {
	void (*send)(void *arg, const struct endpoint *to, const uint8_t *data, size_t size);
	/*
	 * Sends it through every relay that there is for the peer, or with NULL does nothing; false: there is none.  May be NULL:
	 * there never is.
	 */
	bool (*send_around)(void *arg, struct peer *peer, const uint8_t *data, size_t size);
	/*
	 * What came from a peer, in its order: payloads with their padding, at data + sizeof(struct packet_data), none of
	 * them empty.  They are the caller's of device_receive.
	 */
	void (*deliver)(void *arg, struct peer *peer, struct packet *packets, size_t n);
	void (*event)(void *arg, struct peer *peer, enum peer_event event);

	/*
	 * For owners that seal and open data in threads of their own, and tell the peer of it (peer_on_sent, peer_on_opened);
	 * NULL, all three, for those who let peer_seal and device_receive do that.  A session is made before the first
	 * message of it can come (-ENOMEM: it is given up), begins to be sent with (NULL: with none), and ends: then the
	 * keypair is the owner's to free, when no thread is at it any more.
	 */
	int (*session_made)(void *arg, struct peer *peer, struct keypair *k);
	void (*session_used)(void *arg, struct peer *peer, struct keypair *k);
	void (*session_ended)(void *arg, struct peer *peer, struct keypair *k);
};

struct device_config {
	uint8_t private_key[NOISE_KEY_SIZE]; /* wiped by the caller */
	uint64_t wall_ns; /* since 1970, at now_ms of device_new: from there handshakes' time of day counts on */
};

/* 0, -ENOMEM, -ENOSYS: libcrypto lacks an algorithm. */
int device_new(const struct device_config *config, const struct device_ops *ops, void *arg, uint64_t now_ms,
	       struct device **out);
void device_free(struct device *d); /* NULL allowed */

const uint8_t *device_public_key(const struct device *d);
struct peer *device_peer(const struct device *d, const uint8_t public_key[static NOISE_KEY_SIZE]); /* or NULL */
struct peer *device_session_peer(const struct device *d, uint32_t local); /* whose it is; NULL: there is none */
struct peer *device_any_peer(const struct device *d); /* NULL: there is none left */
struct peer *device_next_peer(const struct device *d, size_t *at); /* from 0 on; NULL: no more */

/*
 * Datagrams that came from one place, one or (by UDP_GRO) many: runs of one session are opened together.  The bytes
 * and the array are changed: data is opened in place.
 */
void device_receive(struct device *d, const struct endpoint *from, struct packet *packets, size_t n, uint64_t now_ms);

/* There is a session with a relay: who waits for one through it need not any longer. */
void device_relay_up(struct device *d, uint64_t now_ms);
void device_tick(struct device *d, uint64_t now_ms);
uint64_t device_next_ms(const struct device *d); /* TIMER_NEVER of lib/timer.h when there is nothing to do */

uint64_t device_drops(const struct device *d, enum device_drop drop);

#endif
