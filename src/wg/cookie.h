/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cookie.h - the two MACs of handshake messages, and cookies (WireGuard's paper, 5.3, 5.4.4, 5.4.7).
 *
 * mac1 proves that the sender knows whom it talks to: without it a node is silent.  mac2 proves that it is where it
 * says it is: it has a cookie, a MAC of its address and port under a secret of the responder's that changes every two
 * minutes.  Cookies travel under XChaCha20-Poly1305 with the responder's public key as secret and the mac1 of the
 * message they answer as authenticated data, so that only who saw that message can read or forge one.
 *
 * struct cookie_checker: one per node, for what comes in.  struct cookie_jar: one per peer, for what goes out.  A
 * message is a whole one, MACs at its end.  One thread.
 */
#ifndef ISTHMUS_WG_COOKIE_H
#define ISTHMUS_WG_COOKIE_H

#include "wg/endpoint.h"
#include "wg/packet.h"

#define COOKIE_SECRET_MS 120000 /* how old a secret gets */
#define COOKIE_AGE_MS 115000    /* up to when a cookie is used: 5 s less, for the way */

enum cookie_verdict {
	COOKIE_BAD_MAC,   /* not for us: be silent */
	COOKIE_NO_COOKIE, /* mac1 is right; mac2 is not, or not any more */
	COOKIE_PROVEN,    /* both */
};

struct cookie_checker {
	uint8_t mac1_key[HASH_SIZE], cookie_key[HASH_SIZE];
	uint8_t *secret; /* locked memory */
	uint64_t secret_born_ms;
};

struct cookie_jar {
	uint8_t mac1_key[HASH_SIZE], cookie_key[HASH_SIZE];
	uint8_t sent_mac1[HASH_MAC_SIZE]; /* of the message sent last */
	bool sent;
	uint8_t cookie[COOKIE_SIZE];
	bool has_cookie;
	uint64_t got_ms;
};

int cookie_checker_init(struct cookie_checker *c, struct hash *h, const uint8_t public_key[static NOISE_KEY_SIZE],
			uint64_t now_ms); /* 0 or -ENOMEM */
void cookie_checker_fini(struct cookie_checker *c);

enum cookie_verdict cookie_check(struct cookie_checker *c, struct hash *h, const uint8_t *message, size_t size,
				 const struct endpoint *from, uint64_t now_ms);
/* The answer to a message that was COOKIE_NO_COOKIE.  0 or -ENOMEM. */
int cookie_reply(struct cookie_checker *c, struct noise_tools *t, const uint8_t *message, size_t size,
		 const struct endpoint *from, uint64_t now_ms, struct packet_cookie *out);

int cookie_jar_init(struct cookie_jar *j, struct hash *h, const uint8_t public_key[static NOISE_KEY_SIZE]);

/* Fills in the MACs at the end of a message to the peer.  0 or -ENOMEM. */
int cookie_sign(struct cookie_jar *j, struct hash *h, uint8_t *message, size_t size, uint64_t now_ms);
/* 0: there is a cookie for the next message; -EBADMSG: it answers nothing that we sent; -ENOMEM. */
int cookie_take(struct cookie_jar *j, struct aead *a, const struct packet_cookie *reply, uint64_t now_ms);

#endif
