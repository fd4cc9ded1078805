/* SPDX-License-Identifier: Apache-2.0 */
/* One byte of session, then the body of an UPDATE: see bgp_oracle.h for what must hold. */
#include "bgp_oracle.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, size};
	struct update_session s = session_of(input_u8(&in));
	struct attrs *table;

	require(attrs_new(&table) == 0, "memory");
	check_update(&s, table, reader_over(in.data, in.size < MESSAGE_EXTENDED_MAX ? in.size : MESSAGE_EXTENDED_MAX));
	attrs_free(table);
	return 0;
}
