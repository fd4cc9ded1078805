/* SPDX-License-Identifier: Apache-2.0 */
/* What is heard of a neighbor, and what it can do to this node by it. */
#include "bgp_rig.h"

#define PEER "10.0.0.2"

/* RFC 7911 4: of a family that the neighbor says it sends; of others, its NLRI have no identifiers. */
static void several_paths_are_heard_of_who_sends_them(void **state)
{
	for (int sends = 0; sends < 2; sends++) {
		struct rig *rig = rig_new(NULL);
		struct neighbor_config c = rig_config();
		struct open o = rig_open(), ours;
		const struct route_attrs *a = rig_attrs(rig->attrs, 0);
		struct update_session s = {.as4 = true, .families = RIG_ALL,
					   .add_path_out = sends ? ROUTE_FAMILY_BIT(ROUTE_IPV4) : 0};
		struct notification error;
		struct message m;
		uint64_t h;

		o.capabilities.add_path_send = s.add_path_out;
		rig_put(rig, &c);
		h = rig_connect(rig, PEER);
		assert_int_equal(rig_hear(rig, h, &m), MESSAGE_OPEN);
		assert_int_equal(open_decode(m.body, &ours, &error), 0);
		assert_int_equal(ours.capabilities.add_path_receive, c.families);
		assert_int_equal(ours.capabilities.add_path_send, 0);
		rig_say_open(rig, h, &o);
		rig_say_keepalive(rig, h);
		for (enum route_family f = 0; f < ROUTE_FAMILY_MAX; f++)
			for (uint32_t path = 1; path < 4; path++) {
				uint8_t message[MESSAGE_MAX];
				struct writer w = writer_over(message, sizeof(message));
				struct route_nlri nlri = rig_nlri(f, 1);
				size_t done = 0;

				nlri.key.path_id = path;
				assert_int_equal(update_encode(&s, a, &nlri, 1, &done, &w), 0);
				rig_say(rig, h, &w);
			}
		assert_int_equal(rig_stats(rig, PEER).state, NEIGHBOR_ESTABLISHED);
		for (enum route_family f = 0; f < ROUTE_FAMILY_MAX; f++)
			assert_int_equal(rig_stats(rig, PEER).n_received[f], sends && f == ROUTE_IPV4 ? 3 : 1);
		attrs_unref(rig->attrs, a);
		rig_free(rig);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(several_paths_are_heard_of_who_sends_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
