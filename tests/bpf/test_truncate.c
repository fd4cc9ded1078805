/* SPDX-License-Identifier: Apache-2.0 */
/* Every seed cut at every length (row C6): a packet that is not whole is never delivered, and both runs agree. */
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

/* false: the frame is told of */
static bool cut_is_refused(size_t i, const struct seed *s, const struct frame *f)
{
	static struct host_result host;
	const char *what = harness_compare(s->program, s->ifindex, f, &host);

	if (!what && !(has_a_length(s) && f->size < whole_size(s) &&
		       (host.verdict == VERDICT_REDIRECT || host.copies_length)))
		return true;
	frame_print("frame", f->data, f->size);
	fprintf(stderr, "seed %zu cut to %zu of %zu bytes: %s\n", i, f->size, whole_size(s),
		what ? "the kernel and the host build differ in:" : "delivered");
	if (what)
		fprintf(stderr, "%s\n", what);
	return false;
}

static void cut_packets_are_never_delivered(void **state)
{
	static struct frame f;
	size_t runs = 0;

	for (size_t i = 0; i < seeds_length(); i++) {
		const struct seed *s = seeds_get(i);
		const char *what;

		frame_copy(&f, &s->frame);
		/* runts are for the host build alone; test_cable.c sends some */
		for (f.size = 14; !harness_kernel_takes(&f) && f.size <= s->frame.size; f.size++)
			assert_true(cut_is_refused(i, s, &f));
		harness_mark();
		for (; f.size <= s->frame.size; f.size++) {
			assert_true(cut_is_refused(i, s, &f));
			runs++;
		}
		what = harness_differs();
		if (what)
			fail_msg("seed %zu cut at every length: the kernel and the host build differ in \"%s\"", i,
				 what);
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
