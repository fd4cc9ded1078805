/* SPDX-License-Identifier: Apache-2.0 */
/*
 * notification.h - the NOTIFICATION message: error codes, their names, shutdown communication, hard reset.
 *
 * RFC 4271 4.5 and 6, RFC 4486 and 9003 (CEASE, shutdown communication), RFC 8538 (hard reset), RFC 7313 5
 * (ROUTE-REFRESH errors).  A struct notification borrows its data: from the message that caused it or was received, or
 * from the caller. Send it before that message's bytes are given up.  Pure, any thread.
 */
#ifndef ISTHMUS_BGP_NOTIFICATION_H
#define ISTHMUS_BGP_NOTIFICATION_H

#include "lib/wire.h"

enum notification_code {
	NOTIFICATION_HEADER = 1,
	NOTIFICATION_OPEN,
	NOTIFICATION_UPDATE,
	NOTIFICATION_HOLD_TIMER,
	NOTIFICATION_FSM,
	NOTIFICATION_CEASE,
	NOTIFICATION_REFRESH, /* RFC 7313 5 */
	NOTIFICATION_SEND_HOLD_TIMER, /* RFC 9687 */
	NOTIFICATION_CODE_MAX
};

enum notification_header { /* RFC 4271 6.1 */
	HEADER_NOT_SYNCHRONIZED = 1,
	HEADER_BAD_LENGTH,
	HEADER_BAD_TYPE,
};

enum notification_open { /* RFC 4271 6.2, RFC 5492 5, RFC 9234 */
	OPEN_UNSPECIFIC = 0,
	OPEN_BAD_VERSION = 1,
	OPEN_BAD_PEER_AS = 2,
	OPEN_BAD_ID = 3,
	OPEN_BAD_PARAMETER = 4,
	OPEN_BAD_HOLD_TIME = 6,
	OPEN_BAD_CAPABILITY = 7, /* data: the capabilities that are missed */
	OPEN_ROLE_MISMATCH = 11,
};

enum notification_update { /* RFC 4271 6.3 */
	UPDATE_MALFORMED_ATTRIBUTES = 1,
	UPDATE_UNRECOGNIZED_WELL_KNOWN = 2,
	UPDATE_MISSING_WELL_KNOWN = 3,
	UPDATE_BAD_FLAGS = 4,
	UPDATE_BAD_LENGTH = 5,
	UPDATE_BAD_ORIGIN = 6,
	UPDATE_BAD_NEXT_HOP = 8,
	UPDATE_BAD_OPTIONAL = 9,
	UPDATE_BAD_NETWORK = 10,
	UPDATE_MALFORMED_PATH = 11,
};

enum notification_fsm { /* RFC 6608 */
	FSM_UNSPECIFIC = 0,
	FSM_IN_OPEN_SENT,
	FSM_IN_OPEN_CONFIRM,
	FSM_IN_ESTABLISHED,
};

enum notification_cease { /* RFC 4486, RFC 8538 3.1, RFC 9384 */
	CEASE_MAXIMUM_PREFIXES = 1, /* data: AFI, SAFI, limit of 4 bytes */
	CEASE_ADMINISTRATIVE_SHUTDOWN,
	CEASE_PEER_DECONFIGURED,
	CEASE_ADMINISTRATIVE_RESET,
	CEASE_CONNECTION_REJECTED,
	CEASE_CONFIGURATION_CHANGE,
	CEASE_COLLISION,
	CEASE_OUT_OF_RESOURCES,
	CEASE_HARD_RESET,
	CEASE_BFD_DOWN,
};

struct notification {
	uint8_t code, subcode;
	const uint8_t *data;
	size_t size;
};

const char *notification_code_name(uint8_t code); /* "Cease"; "unknown code" */
/* "Administrative Shutdown"; "" for 0; "unknown subcode" */
const char *notification_subcode_name(uint8_t code, uint8_t subcode);

/*
 * A received body.  A NOTIFICATION is never answered, so what is wrong with it has no error: less than two bytes become
 * code 0.  A hard reset is unwrapped: *hard, and `out` is the notification inside (RFC 8538 3.1; CEASE 9 itself when
 * nothing is inside).
 */
void notification_decode(struct reader body, struct notification *out, bool *hard);

void notification_encode(struct writer *w, const struct notification *n); /* data that is too long is cut */
void notification_encode_hard(struct writer *w, const struct notification *n); /* wrapped in CEASE 9 */

/*
 * The shutdown communication of a CEASE 2 or 4 (RFC 9003 2) as text that can be shown: valid UTF-8, no control
 * characters, everything else as '?'.  "" when there is none or it is malformed (its length exceeds the data).
 */
#define SHUTDOWN_TEXT_SIZE 256
void notification_text(const struct notification *n, char out[static SHUTDOWN_TEXT_SIZE]);
/*
 * The data of such a CEASE for a text, cut to 255 bytes at a character; into `out`, returns its size.  A NULL or empty
 * text: 0.
 */
size_t notification_text_encode(const char *text, uint8_t out[static SHUTDOWN_TEXT_SIZE]);

#endif
