/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The body of an OPEN.  A refusal names its code and leaves the output alone; what is accepted is in range, and written
 * again it is read as the same.
 */
#include <errno.h>

#include "bgp/message.h"
#include "bgp/open.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct open o, again, untouched;
	struct notification error = {};
	struct message m;
	uint8_t room[1024], twice[1024];
	struct writer w = writer_over(room, sizeof(room)), w2 = writer_over(twice, sizeof(twice));
	int r;

	memset(&o, 0x5a, sizeof(o));
	untouched = o;
	r = open_decode(reader_over(data, size), &o, &error);
	if (r < 0) {
		require(r == -EPROTO && error.code == NOTIFICATION_OPEN, "a refusal has its code");
		require(strcmp(notification_subcode_name(error.code, error.subcode), "unknown subcode") != 0, "and subcode");
		require(memcmp(&o, &untouched, sizeof(o)) == 0, "and leaves the output alone");
		return 0;
	}
	require(o.as != 0 && o.id != 0 && o.hold_s != 1 && o.hold_s != 2, "values in range");
	require(o.capabilities.families < 8 && o.capabilities.restart_s < 4096, "capabilities in range");
	require((o.capabilities.forwarding & ~o.capabilities.restart_families) == 0, "forwarding of families that restart");
	open_encode(&w, &o);
	require(writer_ok(&w), "it fits");
	require(message_next(room, writer_size(&w), false, &m, &error) == MESSAGE_WHOLE && m.size == writer_size(&w),
		"one whole message");
	require(open_decode(m.body, &again, &error) == 0, "what we write is well-formed");
	open_encode(&w2, &again);
	require(writer_size(&w2) == writer_size(&w) && memcmp(room, twice, writer_size(&w)) == 0, "and the same again");
	return 0;
}
