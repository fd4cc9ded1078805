/* SPDX-License-Identifier: Apache-2.0 */
#include "bgp/refresh.h"

#include <errno.h>

#include "bgp/message.h"
#include "bgp/nlri.h"

#define REFRESH_SIZE 4

int refresh_decode(struct reader body, enum route_family *out, struct notification *error)
{
	uint16_t afi;
	uint8_t subtype, safi;

	/* Longer ones carry filters of RFC 5291, whose capability we do not advertise.  RFC 7313 5 gives the error. */
	if (reader_left(&body) != REFRESH_SIZE) {
		*error = (struct notification){NOTIFICATION_REFRESH, 1, body.at, reader_left(&body)};
		return -EPROTO;
	}
	afi = reader_u16(&body);
	subtype = reader_u8(&body); /* reserved in RFC 2918, ignored; BoRR 1 and EoRR 2 of RFC 7313 are no requests */
	safi = reader_u8(&body);
	if (subtype == 1 || subtype == 2 || !family_from_afi(afi, safi, out))
		return -ENOENT;
	return 0;
}

void refresh_encode(struct writer *w, enum route_family f)
{
	size_t mark = message_begin(w, MESSAGE_ROUTE_REFRESH);

	writer_u16(w, family_afi(f));
	writer_u8(w, 0);
	writer_u8(w, family_safi(f));
	message_end(w, mark);
}
