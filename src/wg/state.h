/* SPDX-License-Identifier: Apache-2.0 */
/*
 * state.h - what device.c and peer.c share; nobody else includes it.
 */
#ifndef ISTHMUS_WG_STATE_H
#define ISTHMUS_WG_STATE_H

#include "lib/hmap.h"
#include "wg/cookie.h"
#include "wg/device.h"
#include "wg/index.h"
#include "wg/limiter.h"
#include "wg/timers.h"

struct device {
	struct noise_tools tools;
	struct noise_identity *identity;
	struct cookie_checker checker;
	struct limiter *limiter;
	struct indices index;
	struct hmap peers; /* by public key */
	struct peer_clock clock;
	uint64_t wall_ns; /* at 0 ms of the clock */
	uint8_t next_high; /* of indices, for the peer that is made next */
	const struct device_ops *ops;
	void *arg;
	uint64_t drops[DEVICE_DROP_MAX];
};

struct peer_secrets {
	uint8_t psk[NOISE_KEY_SIZE];
	uint8_t common[NOISE_KEY_SIZE]; /* of both static keys */
};

struct peer {
	struct device *device;
	void *owner;
	uint8_t public_key[NOISE_KEY_SIZE];
	struct peer_secrets *secrets;
	enum packet_suite suite;
	struct endpoint endpoint, direct; /* direct: the last one without a relay, or as it was said */
	uint64_t here_ms; /* when something came from `endpoint` last */
	bool unreachable;
	unsigned tries;   /* initiations since something came from it */
	uint16_t mtu;
	uint8_t high; /* of its indices */
	struct cookie_jar jar;
	struct peer_timers timers;

	struct noise *handshake; /* ours, that waits for an answer; NULL = none */
	uint32_t handshake_index;
	bool initiated;
	uint64_t initiated_ms; /* when we began one last */
	uint8_t sent_time[TIMESTAMP_SIZE];

	uint8_t received_time[TIMESTAMP_SIZE]; /* of the last initiation that was right */
	bool received;
	uint64_t received_ms;

	struct keypair *previous[2], *current, *next; /* of previous the younger first */
	struct peer_stats stats;
};

static inline void device_count(struct device *d, enum device_drop drop)
{
	d->drops[drop]++;
}

/* device.c has looked at the form, the MACs and the load of these. */
void peer_on_initiation(struct device *d, const struct endpoint *from, const struct packet_initiation *m);
void peer_on_response(struct device *d, const struct endpoint *from, const struct packet_response *m);
void peer_on_cookie(struct device *d, const struct packet_cookie *m);
void peer_on_relay_up(struct peer *p);
/* Of one receiver index, at most KEYPAIR_BATCH. */
void peer_on_data(struct device *d, const struct endpoint *from, struct packet *packets, size_t n);

#endif
