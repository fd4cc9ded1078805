/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as a block of EVPN routes (first byte: withdrawn, path identifiers), between good attributes.  Reading
 * ends, moves forward, and each route that is read is written in the length that nlri_size says and read again as the
 * same.
 */
#include "bgp_oracle.h"

static void check_block(struct reader block, bool add_path, bool withdraw)
{
	while (reader_left(&block)) {
		size_t before = reader_left(&block);
		struct route_nlri n, again;
		const char *why = NULL;
		enum nlri_verdict v = nlri_next(&block, ROUTE_EVPN, add_path, withdraw, &n, &why);
		uint8_t room[300];
		struct writer w = writer_over(room, sizeof(room));
		struct reader r;

		require(reader_left(&block) < before, "reading moves forward");
		require((v == NLRI_GOOD) == (why == NULL), "a verdict has its words");
		require(v != NLRI_WITHDRAW || !withdraw, "a withdrawn route is not withdrawn again");
		if (v == NLRI_LOST)
			return;
		if (v != NLRI_GOOD && v != NLRI_WITHDRAW)
			continue;
		check_key(&n.key);
		nlri_encode(&w, &n, add_path);
		require(writer_ok(&w) && writer_size(&w) == nlri_size(&n, add_path), "nlri_size is what is written");
		r = reader_over(room, writer_size(&w));
		require(nlri_next(&r, ROUTE_EVPN, add_path, true, &again, &why) == NLRI_GOOD && !reader_left(&r),
			"what is written can be read");
		require(route_key_equal(&n.key, &again.key), "as the same key");
		require(memcmp(&n.gateway, &again.gateway, sizeof(n.gateway)) == 0 && n.label[0] == again.label[0] &&
			n.label[1] == again.label[1], "with the same values");
	}
}

static const uint8_t attrs[] = {0x40, 1, 1, 0, 0x40, 2, 0, 0x40, 5, 4, 0, 0, 0, 100, 0xc0, 16, 8, 0, 2, 0xfd, 0xe8, 0, 0, 0, 1};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t reach[] = {0, 25, 70, 4, 192, 0, 2, 1, 0}, unreach[] = {0, 25, 70};
	static uint8_t room[8192];
	struct input in = {data, size < 4000 ? size : 4000};
	uint8_t bits = input_u8(&in);
	bool withdraw = bits & 1, add_path = bits & 2;
	struct update_session s = {.as4 = true, .own_as = 65000, .families = 7, .add_path_in = add_path ? 4 : 0,
				   .disable_family = bits & 4};
	struct writer w = writer_over(room, sizeof(room));
	struct attrs *table;
	size_t all, part;

	check_block(reader_over(in.data, in.size), add_path, withdraw);
	writer_u16(&w, 0);
	all = writer_mark(&w, 2);
	writer_u8(&w, ATTR_OPTIONAL | ATTR_EXTENDED_LENGTH);
	writer_u8(&w, withdraw ? ATTR_MP_UNREACH : ATTR_MP_REACH);
	part = writer_mark(&w, 2);
	writer_bytes(&w, withdraw ? unreach : reach, withdraw ? sizeof(unreach) : sizeof(reach));
	writer_bytes(&w, in.data, in.size);
	writer_set_u16(&w, part);
	writer_bytes(&w, attrs, withdraw ? 0 : sizeof(attrs));
	writer_set_u16(&w, all);
	require(attrs_new(&table) == 0, "memory");
	check_update(&s, table, reader_over(room, writer_size(&w)));
	attrs_free(table);
	return 0;
}
