/* SPDX-License-Identifier: Apache-2.0 */
#include "bgp/notification.h"

#include <assert.h>
#include <string.h>

#include "bgp/message.h"

#define DATA_MAX (MESSAGE_MAX - MESSAGE_HEADER_SIZE - 2)
#define TEXT_MAX (SHUTDOWN_TEXT_SIZE - 1) /* RFC 9003 2 */

static const char *const header_names[] = {
	[HEADER_NOT_SYNCHRONIZED] = "Connection Not Synchronized",
	[HEADER_BAD_LENGTH] = "Bad Message Length",
	[HEADER_BAD_TYPE] = "Bad Message Type",
};

static const char *const open_names[] = {
	[OPEN_BAD_VERSION] = "Unsupported Version Number",
	[OPEN_BAD_PEER_AS] = "Bad Peer AS",
	[OPEN_BAD_ID] = "Bad BGP Identifier",
	[OPEN_BAD_PARAMETER] = "Unsupported Optional Parameter",
	[OPEN_BAD_HOLD_TIME] = "Unacceptable Hold Time",
	[OPEN_BAD_CAPABILITY] = "Unsupported Capability",
	[OPEN_ROLE_MISMATCH] = "Role Mismatch",
};

static const char *const update_names[] = {
	[UPDATE_MALFORMED_ATTRIBUTES] = "Malformed Attribute List",
	[UPDATE_UNRECOGNIZED_WELL_KNOWN] = "Unrecognized Well-known Attribute",
	[UPDATE_MISSING_WELL_KNOWN] = "Missing Well-known Attribute",
	[UPDATE_BAD_FLAGS] = "Attribute Flags Error",
	[UPDATE_BAD_LENGTH] = "Attribute Length Error",
	[UPDATE_BAD_ORIGIN] = "Invalid ORIGIN Attribute",
	[UPDATE_BAD_NEXT_HOP] = "Invalid NEXT_HOP Attribute",
	[UPDATE_BAD_OPTIONAL] = "Optional Attribute Error",
	[UPDATE_BAD_NETWORK] = "Invalid Network Field",
	[UPDATE_MALFORMED_PATH] = "Malformed AS_PATH",
};

static const char *const fsm_names[] = {
	[FSM_IN_OPEN_SENT] = "Unexpected Message in OpenSent State",
	[FSM_IN_OPEN_CONFIRM] = "Unexpected Message in OpenConfirm State",
	[FSM_IN_ESTABLISHED] = "Unexpected Message in Established State",
};

static const char *const cease_names[] = {
	[CEASE_MAXIMUM_PREFIXES] = "Maximum Number of Prefixes Reached",
	[CEASE_ADMINISTRATIVE_SHUTDOWN] = "Administrative Shutdown",
	[CEASE_PEER_DECONFIGURED] = "Peer De-configured",
	[CEASE_ADMINISTRATIVE_RESET] = "Administrative Reset",
	[CEASE_CONNECTION_REJECTED] = "Connection Rejected",
	[CEASE_CONFIGURATION_CHANGE] = "Other Configuration Change",
	[CEASE_COLLISION] = "Connection Collision Resolution",
	[CEASE_OUT_OF_RESOURCES] = "Out of Resources",
	[CEASE_HARD_RESET] = "Hard Reset",
	[CEASE_BFD_DOWN] = "BFD Down",
};

static const char *const refresh_names[] = {[1] = "Invalid Message Length"}; /* RFC 7313 5 */

#define NAMES(array) array, sizeof(array) / sizeof(array[0])

static const struct {
	const char *name;
	const char *const *subcodes;
	size_t n_subcodes;
} codes[] = {
	[NOTIFICATION_HEADER] = {"Message Header Error", NAMES(header_names)},
	[NOTIFICATION_OPEN] = {"OPEN Message Error", NAMES(open_names)},
	[NOTIFICATION_UPDATE] = {"UPDATE Message Error", NAMES(update_names)},
	[NOTIFICATION_HOLD_TIMER] = {"Hold Timer Expired", NULL, 0},
	[NOTIFICATION_FSM] = {"Finite State Machine Error", NAMES(fsm_names)},
	[NOTIFICATION_CEASE] = {"Cease", NAMES(cease_names)},
	[NOTIFICATION_REFRESH] = {"ROUTE-REFRESH Message Error", NAMES(refresh_names)},
	[NOTIFICATION_SEND_HOLD_TIMER] = {"Send Hold Timer Expired", NULL, 0},
};

static_assert(sizeof(codes) / sizeof(codes[0]) == NOTIFICATION_CODE_MAX, "a row per code");

const char *notification_code_name(uint8_t code)
{
	return code > 0 && code < NOTIFICATION_CODE_MAX ? codes[code].name : "unknown code";
}

const char *notification_subcode_name(uint8_t code, uint8_t subcode)
{
	if (subcode == 0)
		return "";
	if (code >= NOTIFICATION_CODE_MAX || subcode >= codes[code].n_subcodes || !codes[code].subcodes[subcode])
		return "unknown subcode";
	return codes[code].subcodes[subcode];
}

void notification_decode(struct reader body, struct notification *out, bool *hard)
{
	struct notification n = {.code = reader_u8(&body), .subcode = reader_u8(&body)};

	if (!reader_ok(&body))
		n.code = n.subcode = 0;
	n.data = body.at;
	n.size = reader_left(&body);
	*hard = n.code == NOTIFICATION_CEASE && n.subcode == CEASE_HARD_RESET;
	/* RFC 8538 3.1: the data are the code, subcode and data of the reason.  One in another stays wrapped. */
	if (*hard && n.size >= 2)
		n = (struct notification){n.data[0], n.data[1], n.data + 2, n.size - 2};
	*out = n;
}

static void encode(struct writer *w, const struct notification *n, bool hard)
{
	size_t mark = message_begin(w, MESSAGE_NOTIFICATION), most = DATA_MAX - (hard ? 2 : 0);

	if (hard) {
		writer_u8(w, NOTIFICATION_CEASE);
		writer_u8(w, CEASE_HARD_RESET);
	}
	writer_u8(w, n->code);
	writer_u8(w, n->subcode);
	writer_bytes(w, n->data, n->size < most ? n->size : most);
	message_end(w, mark);
}

void notification_encode(struct writer *w, const struct notification *n)
{
	encode(w, n, false);
}

void notification_encode_hard(struct writer *w, const struct notification *n)
{
	encode(w, n, true);
}

/* ---- shutdown communication ---- */

/* Bytes of the UTF-8 character at p (RFC 3629 4: shortest form, no surrogates), 0 = none is there. */
static size_t character_size(const uint8_t *p, size_t left)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	size_t n = p[0] < 0x80 ? 1 : p[0] >> 5 == 6 ? 2 : p[0] >> 4 == 14 ? 3 : p[0] >> 3 == 30 ? 4 : 0;
	uint32_t v;

	if (n <= 1)
		return n;
	if (n > left)
		return 0;
	v = p[0] & (0x7fu >> n);
	for (size_t i = 1; i < n; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		v = v << 6 | (p[i] & 0x3f);
	}
	return v < least[n] || v > 0x10ffff || (v >= 0xd800 && v < 0xe000) ? 0 : n;
}

/* Characters that could do something to a terminal: C0, DEL, C1 (U+0080 to U+009F). */
static bool is_control(const uint8_t *p, size_t n)
{
	return (n == 1 && (p[0] < 0x20 || p[0] == 0x7f)) || (n == 2 && p[0] == 0xc2 && p[1] < 0xa0);
}

void notification_text(const struct notification *n, char out[static SHUTDOWN_TEXT_SIZE])
{
	struct reader r = reader_over(n->data, n->size);
	struct reader text = reader_sub(&r, reader_u8(&r));
	size_t at = 0;

	out[0] = '\0';
	if (n->code != NOTIFICATION_CEASE || !reader_ok(&text) ||
	    (n->subcode != CEASE_ADMINISTRATIVE_SHUTDOWN && n->subcode != CEASE_ADMINISTRATIVE_RESET))
		return;
	while (reader_left(&text)) { /* never longer than what came: at most 255 bytes */
		size_t size = character_size(text.at, reader_left(&text));
		const uint8_t *p = reader_take(&text, size ? size : 1);

		if (size == 0 || is_control(p, size)) {
			out[at++] = '?';
		} else {
			memcpy(out + at, p, size);
			at += size;
		}
	}
	out[at] = '\0';
}

size_t notification_text_encode(const char *text, uint8_t out[static SHUTDOWN_TEXT_SIZE])
{
	const uint8_t *p = (const uint8_t *)text;
	size_t length = text ? strlen(text) : 0, size = 0;

	while (size < length) {
		size_t n = character_size(p + size, length - size);

		n = n ? n : 1;
		if (size + n > TEXT_MAX)
			break;
		size += n;
	}
	if (size == 0)
		return 0;
	out[0] = (uint8_t)size;
	memcpy(out + 1, text, size);
	return size + 1;
}
