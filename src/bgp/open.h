/* SPDX-License-Identifier: Apache-2.0 */
/*
 * open.h - the OPEN message and the capabilities in it.
 *
 * RFC 4271 4.2 and 6.2, RFC 5492, RFC 9072 (parameters of more than 255 bytes); capabilities: RFC 4760 multiprotocol,
 * 2918 refresh, 6793 AS of 4 bytes, 4724 + 8538 graceful restart, 7911 add-path, 8950 extended next hop, 8654 extended
 * messages.  open_decode checks what the message alone can tell; whether the AS is the expected one and the identifier
 * differs from one's own is the speaker's question.  Unknown capabilities and those of families that we do not speak
 * are ignored (RFC 5492 3).  Values: they own nothing.
 */
#ifndef ISTHMUS_BGP_OPEN_H
#define ISTHMUS_BGP_OPEN_H

#include "bgp/notification.h"
#include "lib/wire.h"
#include "model/route.h"

#define AS_TRANS 23456 /* RFC 6793 9 */

enum capability_code {
	CAPABILITY_MULTIPROTOCOL = 1,
	CAPABILITY_REFRESH = 2,
	CAPABILITY_EXTENDED_NEXT_HOP = 5,
	CAPABILITY_EXTENDED_MESSAGE = 6,
	CAPABILITY_GRACEFUL_RESTART = 64,
	CAPABILITY_AS4 = 65,
	CAPABILITY_ADD_PATH = 69,
};

const char *capability_name(uint8_t code); /* "multiprotocol"; "unknown" */

struct capabilities { /* sets of families: ROUTE_FAMILY_BIT of model/route.h */
	uint32_t families;         /* multiprotocol; without has_multiprotocol IPv4 unicast is meant (RFC 4760 8) */
	bool has_multiprotocol;    /* there was at least one multiprotocol capability, of whatever family */
	bool as4;                  /* its AS is open.as */
	bool refresh;
	bool extended_message;
	uint32_t extended_next_hop;/* families with next hops of AFI 2: IPv4 (RFC 8950 4) */
	uint32_t add_path_receive; /* the sender of the OPEN is able to receive ... */
	uint32_t add_path_send;    /* ... and to send several paths (RFC 7911 4) */
	bool graceful_restart;
	bool restarting;           /* R bit: has restarted (RFC 4724 3) */
	bool restart_notification; /* N bit: keeps routes also over a NOTIFICATION (RFC 8538 2) */
	uint16_t restart_s;        /* 0 to 4,095 */
	uint32_t restart_families;
	uint32_t forwarding;       /* F bit: its forwarding state was preserved */
};

struct open {
	uint32_t as;          /* of the AS4 capability where there is one, else of the header */
	uint16_t hold_s;      /* 0, or 3 and more */
	uint32_t id;          /* BGP identifier, never 0 (RFC 6286 2.1) */
	struct capabilities capabilities;
};

/* 0, or -EPROTO and *error is what to send (code 2; its data borrow from the body or are static). */
int open_decode(struct reader body, struct open *out, struct notification *error);

/* With a header.  AS_TRANS stands in the old field for an AS above 65,535.  What we can say needs no RFC 9072. */
void open_encode(struct writer *w, const struct open *o);

/* A capability in the form of an OPEN, for the data of NOTIFICATION 2/7 (RFC 5492 5). */
void capability_encode_family(struct writer *w, enum route_family f);

#endif
