/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bgp_rig.h - a speaker on a bench: a clock that the test turns, transports that hold what was sent, and a hand that
 * plays the neighbor, message by message.
 */
#ifndef ISTHMUS_BGP_RIG_H
#define ISTHMUS_BGP_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../sim/table.h"
#include "bgp/open.h"
#include "bgp/refresh.h"
#include "bgp/speaker.h"
#include "bgp/update.h"

#define RIG_AS 65000u
#define RIG_TENANT 5000u
#define RIG_ID 0x0a000001u /* 10.0.0.1 */
#define RIG_TRANSPORTS 8192
#define RIG_ALL (ROUTE_FAMILY_BIT(ROUTE_FAMILY_MAX) - 1)

struct rig_transport {
	struct addr remote;
	bool closed;    /* by the speaker */
	uint8_t *out;   /* what it sent ... */
	size_t size;
	size_t read;    /* ... and how much of it the test looked at */
	size_t window;  /* bytes that may still be sent */
};

struct rig {
	struct speaker *s;
	struct attrs *attrs;
	struct table *table;
	uint64_t now;
	uint64_t seed;
	uint64_t last; /* transport */
	struct rig_transport transports[RIG_TRANSPORTS];
	bool refuse_connect;
	/* of the callbacks */
	enum neighbor_state state; /* of whatever neighbor changed last */
	char reason[448];
	char notice[300];
	unsigned n_changes, n_notices, n_connects, n_ready;
	uint32_t ready;
	uint64_t stale_ms[ROUTE_FAMILY_MAX], swept_ms[ROUTE_FAMILY_MAX];
	void (*on_route)(struct rig *rig); /* called from within a callback about routes */
};

struct rig *rig_new(const struct speaker_config *config); /* NULL: RIG_AS, RIG_ID, a fresh start */
void rig_free(struct rig *rig);

struct addr rig_addr(const char *text);
/* 10.0.0.2 of AS 65000 with all families; change it, then rig_put. */
struct neighbor_config rig_config(void);
void rig_put(struct rig *rig, const struct neighbor_config *c);
void rig_run(struct rig *rig, uint64_t ms); /* lets so much time go by */
struct neighbor_stats rig_stats(const struct rig *rig, const char *remote);

/* ---- the neighbor's hand ---- */

uint64_t rig_connect(struct rig *rig, const char *remote); /* it connects to us */
uint64_t rig_accept(struct rig *rig);                      /* it accepts our last attempt */
struct open rig_open(void);                                /* an answer that fits rig_config, without graceful restart */
struct open rig_open_restart(void);                        /* with it, and the N bit; 60 s */
void rig_say(struct rig *rig, uint64_t handle, const struct writer *w);
void rig_say_open(struct rig *rig, uint64_t handle, const struct open *o);
void rig_say_keepalive(struct rig *rig, uint64_t handle);
void rig_say_notification(struct rig *rig, uint64_t handle, uint8_t code, uint8_t subcode, const char *text, bool hard);
void rig_say_routes(struct rig *rig, uint64_t handle, unsigned from, unsigned n, const struct route_attrs *a);
void rig_say_end_of_rib(struct rig *rig, uint64_t handle, enum route_family f);
void rig_close(struct rig *rig, uint64_t handle); /* its end of the transport */
/* The next message that it hears: its type and itself, or 0. */
int rig_hear(struct rig *rig, uint64_t handle, struct message *out);
/* The next one is a NOTIFICATION with this; as text "Cease/Administrative Shutdown: why", ", hard" behind the codes. */
void rig_expect_notification(struct rig *rig, uint64_t handle, const char *text);
/* From the connection to Established. */
uint64_t rig_establish(struct rig *rig, const char *remote, const struct open *o);
void rig_raise(struct rig *rig, uint64_t handle, const struct open *o); /* the same on a transport that is there */

/* ---- routes ---- */

struct route_nlri rig_nlri(enum route_family f, unsigned i); /* the i-th of the family */
void rig_announce(struct rig *rig, enum route_family f, unsigned from, unsigned n, unsigned kind); /* of this node */
const struct route_attrs *rig_attrs(struct attrs *t, unsigned kind); /* a reference for the caller */

#endif
