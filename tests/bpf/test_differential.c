/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel's run and the host build's run of many mutated frames: verdict, bytes and drop reason are equal on each.
 *
 * test_bpf_differential [FRAMES [SEED]]   a difference prints the seed, the number and the frame
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "harness.h"
#include "mutate.h"
#include "seeds.h"

#define FRAMES 200000

static uint64_t frames = FRAMES, prng_seed = 1;

static void differ(const char *what, uint64_t number, size_t seed, const struct seed *s, const struct frame *f)
{
	fprintf(stderr, "PRNG seed %lu, frame %lu, from packet seed %zu, program %d, device %u\n", prng_seed, number,
		seed, s->program, s->ifindex);
	frame_print("frame", f->data, f->size);
	fail_msg("the kernel and the host build differ in the %s", what);
}

static void kernel_and_host_agree_on_mutated_frames(void **state)
{
	static struct frame f;
	static struct host_result host;
	uint64_t verdicts[16] = { 0 }, copies = 0, kernel_copies = harness_counter(COUNTER_FLOODED);
	struct prng random = { prng_seed };
	struct timespec start, end;

	clock_gettime(CLOCK_MONOTONIC, &start);
	for (uint64_t i = 0; i < frames; i++) {
		size_t seed = i < seeds_length() ? (size_t)i : prng_below(&random, (uint32_t)seeds_length());
		const struct seed *s = seeds_get(seed);
		const char *what;

		frame_copy(&f, &s->frame);
		if (i >= seeds_length())
			mutate(&random, &f);
		if (!harness_kernel_takes(&f))
			continue;
		what = harness_disagree(s->program, s->ifindex, &f, &host);
		if (what)
			differ(what, i, seed, s, &f);
		copies += host.copies_length;
		verdicts[host.verdict & 15]++;
	}
	clock_gettime(CLOCK_MONOTONIC, &end);
	assert_int_equal(harness_counter(COUNTER_FLOODED) - kernel_copies, copies);
	fprintf(stderr,
		"# %lu frames in %.1f s: %lu redirected, %lu dropped, %lu not ours, %lu replicated (%lu copies)\n",
		frames, (double)(end.tv_sec - start.tv_sec) + (double)(end.tv_nsec - start.tv_nsec) / 1e9,
		verdicts[VERDICT_REDIRECT], verdicts[VERDICT_SHOT], verdicts[VERDICT_UNSPEC & 15],
		verdicts[VERDICT_STOLEN], copies);
	/* frames that all die at the first check would prove nothing */
	assert_true(frames < FRAMES ||
		    (verdicts[VERDICT_REDIRECT] > frames / 20 && verdicts[VERDICT_STOLEN] > frames / 50));
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		DATAPATH_TEST(kernel_and_host_agree_on_mutated_frames),
	};

	if (argc > 1)
		frames = strtoull(argv[1], NULL, 0);
	if (argc > 2)
		prng_seed = strtoull(argv[2], NULL, 0);
	return DATAPATH_RUN(tests);
}
