/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel's run and the host build's run of many mutated frames: verdict, bytes and drop reason are equal on each.
 *
 * test_bpf_differential [FRAMES [SEED]]   a difference prints the seed, the number and the frame
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "harness.h"
#include "mutate.h"
#include "seeds.h"

#define FRAMES 200000
#define CPUS_MAX 64

static uint64_t frames = FRAMES, prng_seed = 1;

static void kernel_drops(int fd, int cpus, uint64_t out[DROP_MAX])
{
	static uint64_t slots[DROP_MAX * CPUS_MAX];
	uint32_t keys[DROP_MAX], count = DROP_MAX, batch;
	int r = bpf_map_lookup_batch(fd, NULL, &batch, keys, slots, &count, NULL);

	assert_true(r == 0 || errno == ENOENT);
	assert_int_equal(count, DROP_MAX);
	memset(out, 0, DROP_MAX * sizeof(out[0]));
	for (int i = 0; i < DROP_MAX; i++)
		for (int cpu = 0; cpu < cpus; cpu++)
			out[keys[i]] += slots[i * cpus + cpu];
}

static void host_drops(uint64_t out[DROP_MAX])
{
	struct host_map *m = host_map_find("drops");

	for (uint32_t i = 0; i < DROP_MAX; i++)
		memcpy(&out[i], host_map_get(m, &i), sizeof(out[i]));
}

static void differ(const char *what, uint64_t number, size_t seed, const struct seed *s, const struct frame *f)
{
	fprintf(stderr, "PRNG seed %lu, frame %lu, from packet seed %zu, program %d, device %u\n", prng_seed, number, seed,
		s->program, s->ifindex);
	frame_print("frame", f->data, f->size);
	fail_msg("the kernel and the host build differ in the %s", what);
}

static void kernel_and_host_agree_on_mutated_frames(void **state)
{
	static struct frame f;
	static struct host_result host;
	static uint8_t out[FRAME_MAX];
	uint64_t drops[2][DROP_MAX] = { 0 }, host_before[DROP_MAX], kernel_before[DROP_MAX];
	uint64_t verdicts[16] = { 0 }, reasons = 0, copies = 0, kernel_copies[2];
	int fd = bpf_map__fd(bpf_object__find_map_by_name(harness_object(), "drops"));
	int cpus = libbpf_num_possible_cpus();
	struct prng random = { prng_seed };
	struct timespec start, end;

	clock_gettime(CLOCK_MONOTONIC, &start);
	kernel_drops(fd, cpus, kernel_before);
	host_drops(host_before);
	kernel_copies[0] = harness_counter(COUNTER_FLOODED);
	for (uint64_t i = 0; i < frames; i++) {
		size_t seed = i < seeds_length() ? (size_t)i : prng_below(&random, (uint32_t)seeds_length());

		const struct seed *s = seeds_get(seed);

		frame_copy(&f, &s->frame);
		if (i >= seeds_length())
			mutate(&random, &f);
		if (!harness_kernel_takes(&f))
			continue;

		struct __sk_buff before = { .ifindex = s->ifindex, .ingress_ifindex = s->ifindex };
		struct host_input input = { .data = f.data, .size = f.size, .ifindex = s->ifindex };
		LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = f.data, .data_size_in = (uint32_t)f.size, .data_out = out,
			    .data_size_out = sizeof(out), .ctx_in = &before, .ctx_size_in = sizeof(before), .repeat = 1);

		host_run(s->program, &input, &host);
		if (bpf_prog_test_run_opts(harness_program_fd(s->program), &opts) < 0)
			differ("ability to run", i, seed, s, &f);
		if ((int)opts.retval != host.verdict)
			differ("verdict", i, seed, s, &f);
		if (!harness_same_frame(out, opts.data_size_out, host.data, host.size)) {
			frame_print("kernel", out, opts.data_size_out);
			frame_print("host build", host.data, host.size);
			differ("bytes", i, seed, s, &f);
		}
		kernel_drops(fd, cpus, drops[0]);
		host_drops(drops[1]);
		for (int reason = 0; reason < DROP_MAX; reason++)
			if (drops[0][reason] - kernel_before[reason] != drops[1][reason] - host_before[reason])
				differ("drop reason", i, seed, s, &f);
		copies += host.copies_length;
		verdicts[host.verdict & 15]++;
	}
	clock_gettime(CLOCK_MONOTONIC, &end);
	kernel_copies[1] = harness_counter(COUNTER_FLOODED);
	assert_int_equal(kernel_copies[1] - kernel_copies[0], copies);
	for (int reason = 0; reason < DROP_MAX; reason++)
		reasons += drops[0][reason] != kernel_before[reason];
	fprintf(stderr, "# %lu frames in %.1f s: %lu redirected, %lu dropped, %lu not ours, %lu replicated (%lu copies), "
		"%lu drop reasons\n", frames, (double)(end.tv_sec - start.tv_sec) + (double)(end.tv_nsec - start.tv_nsec) / 1e9,
		verdicts[VERDICT_REDIRECT], verdicts[VERDICT_SHOT], verdicts[VERDICT_UNSPEC & 15], verdicts[VERDICT_STOLEN],
		copies, reasons);
	/* frames that all die at the first check would prove nothing */
	assert_true(frames < FRAMES || (verdicts[VERDICT_REDIRECT] > frames / 20 && reasons > 20));
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
