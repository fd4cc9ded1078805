/* SPDX-License-Identifier: Apache-2.0 */
/* Every seed cut at every length (row C6): a packet that is not whole is never delivered, and nobody disagrees on it.
 */
#include <stdio.h>

#include "harness.h"
#include "seeds.h"

/* EtherTypes without a length of their own cannot be seen to be cut. */
static bool has_a_length(const struct seed *s)
{
	const uint8_t *p = s->frame.data;
	unsigned type = (unsigned)(p[12] << 8 | p[13]);

	return type == TYPE_IP4 || type == TYPE_IP6 || type == TYPE_ARP;
}

static size_t whole_size(const struct seed *s)
{
	const uint8_t *p = s->frame.data;

	switch (p[12] << 8 | p[13]) {
	case TYPE_IP4:
		return 14u + (size_t)(p[16] << 8 | p[17]);
	case TYPE_IP6:
		return 54u + (size_t)(p[18] << 8 | p[19]);
	default:
		return 42;
	}
}

static void cut_packets_are_never_delivered(void **state)
{
	static struct frame f;
	static struct host_result host;
	size_t runs = 0;

	for (size_t i = 0; i < seeds_length(); i++) {
		const struct seed *s = seeds_get(i);
		size_t step = s->frame.size > 700 ? 7 : 1; /* the bodies of large packets are all alike */

		frame_copy(&f, &s->frame);
		for (f.size = 14; f.size <= s->frame.size; f.size += f.size < 300 ? 1 : step) {
			const char *what = harness_disagree(s->program, s->ifindex, &f, &host);

			runs++;
			if (what) {
				frame_print("frame", f.data, f.size);
				fail_msg("seed %zu cut to %zu bytes: the kernel and the host build differ in the %s", i,
					 f.size, what);
			}
			if (has_a_length(s) && f.size < whole_size(s) &&
			    (host.verdict == VERDICT_REDIRECT || host.copies_length)) {
				frame_print("frame", f.data, f.size);
				fail_msg("seed %zu cut to %zu of %zu bytes was delivered", i, f.size, whole_size(s));
			}
		}
	}
	fprintf(stderr, "# %zu seeds, %zu frames\n", seeds_length(), runs);
	assert_true(seeds_length() >= 200);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		DATAPATH_TEST(cut_packets_are_never_delivered),
	};

	return DATAPATH_RUN(tests);
}
