/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mutated and cut frames over real devices (row C6): every one meets the program, and the counters of the kernel grow
 * as the host build says.  Runts that BPF_PROG_TEST_RUN refuses come this way too.
 *
 *	far namespace                                   node
 *	x11 .. x29   frames in                =======>  p11 .. p29   port_ingress, port_egress
 *	x10, x30     underlay, decrypted      =======>  u10, s30     wire_ingress
 *
 * test_bpf_cable [FRAMES [SEED]]
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/bpf.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness.h"
#include "mutate.h"
#include "seeds.h"

#define FRAMES 20000
#define BATCH 50 /* less than any queue on the way holds */
#define PATIENCE_MS 5000
#define PORT_MTU 9000
#define VLAN_LEAST 20 /* the kernel drops a tagged frame that is shorter before anybody sees it */

static uint64_t frames = FRAMES, prng_seed = 1;

static int setup(void **state)
{
	if (harness_setup(state) < 0 || harness_attach() < 0)
		return -1;
	/* the kernel counts runs of programs only while somebody holds this */
	return bpf_enable_stats(BPF_STATS_RUN_TIME) < 0 ? -1 : 0;
}

static uint64_t runs(void)
{
	static const enum host_program programs[] = { HOST_PORT_INGRESS, HOST_WIRE_INGRESS };
	uint64_t n = 0;

	for (size_t i = 0; i < 2; i++) {
		struct bpf_prog_info info = { 0 };
		uint32_t size = sizeof(info);

		assert_int_equal(bpf_obj_get_info_by_fd(harness_program_fd(programs[i]), &info, &size), 0);
		n += info.run_cnt;
	}
	return n;
}

static void wait_for_runs(uint64_t wanted)
{
	for (int i = 0; runs() < wanted; i++) {
		if (i == PATIENCE_MS)
			fail_msg("%lu of %lu frames did not meet a program", wanted - runs(), wanted);
		poll(NULL, 0, 1);
	}
	assert_int_equal(runs(), wanted);
}

static bool is_tagged(const struct frame *f)
{
	return (f->data[12] == 0x81 && f->data[13] == 0x00) || (f->data[12] == 0x88 && f->data[13] == 0xa8);
}

/* As the device hands it on: the outer tag beside the frame. */
static void run_on_host(const struct seed *s, const struct frame *f)
{
	static struct host_result result;
	static struct frame untagged;
	struct host_input in = { .data = f->data, .size = f->size, .ifindex = s->ifindex };

	if (is_tagged(f)) {
		memcpy(untagged.data, f->data, 12);
		memcpy(untagged.data + 12, f->data + 16, f->size - 16);
		in.data = untagged.data;
		in.size = f->size - 4;
		in.vlan_tci = (uint32_t)(f->data[14] << 8 | f->data[15]) | 1 << 16;
	}
	host_run(s->program, &in, &result);
}

static bool device_takes(const struct seed *s, const struct frame *f)
{
	size_t mtu = s->ifindex == IF_UNDERLAY ? UNDERLAY_MTU : s->ifindex == IF_SECURE ? SECURE_MTU : PORT_MTU;

	return f->size <= mtu + 14 &&
	       !(is_tagged(f) && f->size < VLAN_LEAST);
}

/* Whole seeds first, then mutated ones; every third is cut somewhere, so that runts are among them. */
static const struct seed *frame_make(struct prng *random, uint64_t i, struct frame *f)
{
	bool whole = i < seeds_length();
	const struct seed *s = seeds_get(whole ? (size_t)i : prng_below(random, (uint32_t)seeds_length()));

	frame_copy(f, &s->frame);
	if (whole)
		return s;
	if (i % 3)
		mutate(random, f);
	else
		f->size = 14 + prng_below(random, (uint32_t)f->size - 13);
	return s;
}

/* Number of frames that the device took. */
static uint64_t batch_send(struct prng *random, uint64_t from, uint64_t to)
{
	static struct frame f;
	uint64_t sent = 0;

	for (uint64_t i = from; i < to; i++) {
		const struct seed *s = frame_make(random, i, &f);

		if (!device_takes(s, &f))
			continue;
		run_on_host(s, &f);
		room_send(s->ifindex, f.data, f.size);
		sent++;
	}
	return sent;
}

static void batch_name(struct prng random, uint64_t from, uint64_t to, const char *counter)
{
	static struct frame f;
	struct prng at = random;

	for (uint64_t i = from; i < to; i++) {
		uint64_t before = runs();
		const char *what;

		harness_mark();
		wait_for_runs(before + batch_send(&random, i, i + 1));
		what = harness_differs();
		frame_make(&at, i, &f);
		if (what) {
			frame_print("frame", f.data, f.size);
			fail_msg("PRNG seed %lu, frame %lu: \"%s\" is not as the host build says", prng_seed, i, what);
		}
	}
	fail_msg("PRNG seed %lu: \"%s\" differs over frames %lu to %lu, but not when they come singly", prng_seed,
		 counter, from, to - 1);
}

static void devices_and_host_agree_on_mutated_frames(void **state)
{
	struct prng random = { prng_seed };
	uint64_t begun = runs(), sent = 0;

	for (uint64_t i = 0; sent < frames; i += BATCH) {
		struct prng before = random;
		const char *what;

		harness_mark();
		sent += batch_send(&random, i, i + BATCH);
		wait_for_runs(begun + sent);
		what = harness_differs();
		if (what)
			batch_name(before, i, i + BATCH, what);
	}
	fprintf(stderr, "# %lu frames over %d devices\n", sent, IF_END - IF_UNDERLAY);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		DATAPATH_TEST(devices_and_host_agree_on_mutated_frames),
	};

	if (argc > 1)
		frames = strtoull(argv[1], NULL, 0);
	if (argc > 2)
		prng_seed = strtoull(argv[2], NULL, 0);
	return cmocka_run_group_tests(tests, setup, harness_teardown);
}
