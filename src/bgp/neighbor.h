/* SPDX-License-Identifier: Apache-2.0 */
/*
 * neighbor.h - what is configured of a neighbor, what state it is in, what is counted of it.
 *
 * Values only, for the owner of a speaker (speaker.h) and for what it shows and logs.  A text in an event lives for the
 * time of the call.
 */
#ifndef ISTHMUS_BGP_NEIGHBOR_H
#define ISTHMUS_BGP_NEIGHBOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bgp/message.h"
#include "lib/addr.h"
#include "model/route.h"

enum neighbor_state { /* RFC 4271 8.2.2; of the connection that is farther when there are two */
	NEIGHBOR_IDLE,
	NEIGHBOR_CONNECT,
	NEIGHBOR_ACTIVE,
	NEIGHBOR_OPENSENT,
	NEIGHBOR_OPENCONFIRM,
	NEIGHBOR_ESTABLISHED,
	NEIGHBOR_STATE_MAX
};

const char *neighbor_state_name(enum neighbor_state s); /* "Idle" ... as `show bgp summary` writes them */

/* RFC 8212: between different ASes nothing is accepted or announced unless somebody said so. */
enum neighbor_policy {
	NEIGHBOR_POLICY_DEFAULT, /* inside the AS as ACCEPT, between ASes as REJECT */
	NEIGHBOR_POLICY_ACCEPT,
	NEIGHBOR_POLICY_REJECT,
};

/*
 * The hold time of 90 s is that of RFC 4271 10: short beside the restart time, so that a dead neighbor is known before
 * its routes would have to go, and long beside the half minute after which a watchdog restarts a daemon that hangs.
 * The way to a node is watched elsewhere and faster; the session's life is not what traffic depends on.
 */
#define NEIGHBOR_HOLD_S 90
#define NEIGHBOR_CONNECT_RETRY_S 5 /* RFC 4271 10 suggests 120: too long where a site comes back after a cut */
#define NEIGHBOR_RESTART_S 120
#define NEIGHBOR_STALE_S 360
#define NEIGHBOR_IDLE_HOLD_MAX_S 120
#define NEIGHBOR_PREFIX_HOLD_S 60
#define NEIGHBOR_PREFIX_HOLD_MAX_S 3600
#define NEIGHBOR_NO_ANSWER "no answer" /* in last_error, of an attempt to connect that came to nothing in time */

struct neighbor_config {
	struct addr remote; /* the key */
	uint32_t id;        /* the owner's own name for it, handed back to it */
	struct addr local;  /* unspecified: any */
	uint32_t remote_as;
	uint32_t families;         /* bits 1 << enum route_family */
	uint16_t hold_s;           /* 0 = no KEEPALIVEs and no hold timer, else at least 3 */
	uint16_t connect_retry_s;  /* above 0 */
	uint16_t restart_s;        /* how long a neighbor is asked to keep our routes (RFC 4724), up to 4095; 0 = no graceful restart */
	uint16_t stale_s;          /* after it is back: how long until what it did not announce again goes, at the latest */
	uint32_t send_hold_s;      /* RFC 9687; 0 = 8 minutes or twice the hold time, whatever is longer */
	uint16_t idle_hold_max_s;  /* a neighbor that flaps is left alone for 1, 2, 4 ... seconds up to this */
	uint16_t prefix_hold_s;    /* after too many prefixes: for this long, twice as long ... */
	uint16_t prefix_hold_max_s; /* ... up to this */
	uint32_t max_prefix[ROUTE_FAMILY_MAX]; /* 0 = any number */
	enum neighbor_policy import, export;
	bool export_limited; /* where export is allowed: of these tenants only */
	const uint32_t *export_tenants; /* VNIs, borrowed */
	size_t n_export_tenants;
	bool disable_family;     /* a family whose NLRI cannot be read is disabled instead of the session reset (RFC 7606) */
	bool passive;            /* wait to be connected to */
	bool shutdown;           /* configured, but kept down */
	uint8_t ttl_hops;        /* RFC 5082: the neighbor is at most so many hops away; 0 = anywhere.  For the sockets' owner */
	bool keyed;              /* has a key (RFC 2385), which the sockets' owner knows */
	char description[64];
};

/* All of it as said above; remote, AS and families are the caller's. */
struct neighbor_config neighbor_config_default(void);

struct neighbor_stats {
	enum neighbor_state state;
	uint64_t since_ms; /* in Established, or out of it, since then */
	uint64_t n_in[MESSAGE_TYPE_MAX], n_out[MESSAGE_TYPE_MAX]; /* by enum message_type */
	uint64_t bytes_in, bytes_out;
	uint64_t n_established; /* times */
	uint64_t n_resets;      /* times it left Established */
	uint64_t n_withdrawn_for_error; /* NLRI taken as withdrawn because of a bad attribute (RFC 7606) */
	uint64_t n_attr_discarded;
	uint64_t n_looped; /* NLRI that came back to us or to their AS */
	size_t n_received[ROUTE_FAMILY_MAX];
	size_t n_sent[ROUTE_FAMILY_MAX];
	uint64_t version[ROUTE_FAMILY_MAX]; /* the last change of our routes that it was told of; they are counted */
	size_t n_unread; /* bytes of a message that has not come whole yet */
	size_t n_queued; /* bytes that the transport did not take yet */
	uint32_t families; /* negotiated, bits */
	uint32_t extended_next_hop; /* of these: with IPv6 next hops too (RFC 8950) */
	uint32_t stale;    /* families with routes of the session before, bits */
	uint16_t hold_s; /* negotiated */
	uint32_t remote_id; /* BGP identifier */
	uint64_t last_error_ms; /* 0 = there was none */
	char last_error[448]; /* "sent: Cease/Maximum Number of Prefixes Reached: ..." */
};

#endif
