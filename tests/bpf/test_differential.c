/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel's run and the host build's run of very many mutated frames (row C6): verdict and bytes are equal on each,
 * drop reasons and counters on every thousand.  Nothing of it makes the kernel complain in its log.
 *
 * test_bpf_differential [FRAMES [SEED]]   at least so many that BPF_PROG_TEST_RUN takes; a difference prints the seed,
 *                                         the number and the frame
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "harness.h"
#include "mutate.h"
#include "seeds.h"

#define FRAMES 1000000
#define FRAMES_AGAIN 200000 /* when only the way to take headers off is another */
#define BATCH 1000
#define KERN_NOTICE 5

static uint64_t frames, prng_seed = 1;
static int kmsg = -1;

/* ---- what the kernel says ---- */

static void kmsg_open(void)
{
	kmsg = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (kmsg < 0 || lseek(kmsg, 0, SEEK_END) < 0)
		fail_msg("/dev/kmsg cannot be read");
}

/* How the kernel complains of packets, of programs, of itself; what else it says meanwhile others have caused. */
static bool is_complaint(const char *text)
{
	static const char *const words[] = {
		"bpf", "BPF", "skb", "WARNING:", "BUG", "Oops", "refcount", "veth", "u10:", "netdev", "checksum", "csum",
		"martian", "oversized", "corrupt", "net_ratelimit", "GSO", "UBSAN", "stack guard", "soft lockup",
	};

	if (strstr(text, "kauditd_printk_skb")) /* so many lines of the audit were left out */
		return false;
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (strstr(text, words[i]))
			return true;
	return false;
}

/* Complaints since then: lines "priority,sequence,...;text" of the kernel's own. */
static unsigned kmsg_lines(void)
{
	char line[8192];
	unsigned n = 0;
	ssize_t size;

	while ((size = read(kmsg, line, sizeof(line) - 1)) > 0) {
		unsigned priority;
		char *text;

		line[size] = 0;
		text = strchr(line, ';');
		priority = (unsigned)strtoul(line, NULL, 10);
		if (!text || priority >> 3 != 0)
			continue;
		if (priority < KERN_NOTICE)
			fprintf(stderr, "# the kernel says: %s", text + 1);
		n += is_complaint(text);
	}
	return n;
}

/* ---- frames ---- */

struct tally {
	uint64_t run, copies, verdicts[16];
};

/* Frame number i of the sequence that `random` is at. */
static const struct seed *frame_make(struct prng *random, uint64_t i, struct frame *f)
{
	bool whole = i < seeds_length();
	const struct seed *s = seeds_get(whole ? (size_t)i : prng_below(random, (uint32_t)seeds_length()));

	frame_copy(f, &s->frame);
	if (!whole)
		mutate(random, f);
	return s;
}

static void differ(const char *what, uint64_t number, const struct seed *s, const struct frame *f)
{
	fprintf(stderr, "PRNG seed %lu, frame %lu, program %d, device %u\n", prng_seed, number, s->program, s->ifindex);
	frame_print("frame", f->data, f->size);
	fail_msg("the kernel and the host build differ in the %s", what);
}

static void batch_run(struct prng *random, uint64_t from, uint64_t to, struct tally *t)
{
	static struct frame f;
	static struct host_result host;

	for (uint64_t i = from; i < to; i++) {
		const struct seed *s = frame_make(random, i, &f);
		const char *what;

		if (!harness_kernel_takes(&f))
			continue;
		what = harness_compare(s->program, s->ifindex, &f, &host);
		if (what)
			differ(what, i, s, &f);
		t->run++;
		t->copies += host.copies_length;
		t->verdicts[host.verdict & 15]++;
	}
}

/* The counters of a batch differ: once more, one by one, to name the frame. */
static void batch_name(struct prng random, uint64_t from, uint64_t to, const char *counter)
{
	static struct frame f;
	static struct host_result host;

	for (uint64_t i = from; i < to; i++) {
		const struct seed *s = frame_make(&random, i, &f);
		const char *what;

		if (!harness_kernel_takes(&f))
			continue;
		harness_mark();
		harness_compare(s->program, s->ifindex, &f, &host);
		what = harness_differs();
		if (what)
			differ(what, i, s, &f);
	}
	fail_msg("PRNG seed %lu: \"%s\" differs over frames %lu to %lu, but not when they run singly", prng_seed,
		 counter, from, to - 1);
}

static void kernel_and_host_agree_on_mutated_frames(void **state)
{
	struct prng random = { prng_seed };
	struct timespec start, end;
	struct tally t = { 0 };
	double seconds;

	kmsg_open();
	clock_gettime(CLOCK_MONOTONIC, &start);
	for (uint64_t i = 0; t.run < frames; i += BATCH) {
		uint64_t to = i + BATCH;
		struct prng before = random;
		const char *what;

		harness_mark();
		batch_run(&random, i, to, &t);
		what = harness_differs();
		if (what)
			batch_name(before, i, to, what);
	}
	clock_gettime(CLOCK_MONOTONIC, &end);
	seconds = (double)(end.tv_sec - start.tv_sec) + (double)(end.tv_nsec - start.tv_nsec) / 1e9;
	fprintf(stderr,
		"# %lu frames in %.1f s (%.0f a second): %lu redirected, %lu dropped, %lu not ours, %lu replicated "
		"(%lu copies)\n",
		t.run, seconds, (double)t.run / seconds, t.verdicts[VERDICT_REDIRECT],
		t.verdicts[VERDICT_SHOT], t.verdicts[VERDICT_UNSPEC & 15], t.verdicts[VERDICT_STOLEN], t.copies);
	assert_int_equal(kmsg_lines(), 0);
	/* frames that all die at the first check would prove nothing */
	assert_true(frames < FRAMES_AGAIN ||
		    (t.verdicts[VERDICT_REDIRECT] > frames / 20 && t.verdicts[VERDICT_STOLEN] > frames / 50));
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		DATAPATH_TEST(kernel_and_host_agree_on_mutated_frames),
	};

	frames = getenv("BPF_NO_DECAP_FLAGS") ? FRAMES_AGAIN : FRAMES;
	if (argc > 1)
		frames = strtoull(argv[1], NULL, 0);
	if (argc > 2)
		prng_seed = strtoull(argv[2], NULL, 0);
	return DATAPATH_RUN(tests);
}
