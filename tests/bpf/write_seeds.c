/* SPDX-License-Identifier: Apache-2.0 */
/*
 * write_seeds DIR - inputs of tests/fuzz/fuzz_packet.c, one file each: the seeds, cut ones, mutated ones, and such that no
 * tables or flags belong to.  More than anybody wants to keep: tests/fuzz/pick.c chooses.
 */
#include <stdio.h>
#include <string.h>

#include "mutate.h"
#include "seeds.h"

#define SIZE_LIMIT 1600
#define MUTATIONS 8

static const char *directory;
static size_t written;

/* 0, or -1 after a word about it */
static int write_one(const struct seed *s, const struct frame *frame, uint8_t options, uint8_t marked)
{
	uint8_t head[3] = { s->program == HOST_WIRE_INGRESS, marked, options };
	char path[4096];
	FILE *f;

	for (uint8_t e = 0; e < WEB4; e++)
		if (endpoints[e].ifindex == s->ifindex)
			head[1] = e;
	if (s->program == HOST_WIRE_INGRESS)
		head[1] = s->ifindex == IF_SECURE;
	if (marked)
		head[0] = 2;
	head[1] |= marked;
	snprintf(path, sizeof(path), "%s/seed-%06zu", directory, written++);
	f = fopen(path, "wb");
	if (f && fwrite(head, 1, sizeof(head), f) == sizeof(head) && fwrite(frame->data, 1, frame->size, f) == frame->size &&
	    fclose(f) == 0)
		return 0;
	perror(path);
	return -1;
}

static int write_all(const struct seed *s, struct prng *random)
{
	static const uint8_t options[] = { 0, 1, 2, 4, 8, 16, 32, 64, 128 };
	static struct frame f;
	int r = 0;

	for (size_t i = 0; r == 0 && i < sizeof(options); i++)
		r = write_one(s, &s->frame, options[i], 0);
	if (r == 0 && s->program != HOST_WIRE_INGRESS)
		r = write_one(s, &s->frame, 0, 0x80) < 0 ? -1 : write_one(s, &s->frame, 0, 0x40);
	for (int i = 0; r == 0 && i < MUTATIONS; i++) {
		frame_copy(&f, &s->frame);
		mutate(random, &f);
		r = write_one(s, &f, 0, 0);
	}
	frame_copy(&f, &s->frame);
	f.size = 14 + prng_below(random, (uint32_t)s->frame.size - 13);
	return r < 0 ? r : write_one(s, &f, 0, 0);
}

int main(int argc, char **argv)
{
	struct prng random = { 1 };

	if (argc != 2) {
		fprintf(stderr, "usage: write_seeds DIR\n");
		return 2;
	}
	directory = argv[1];
	for (size_t i = 0; i < seeds_length(); i++)
		if (seeds_get(i)->frame.size <= SIZE_LIMIT && write_all(seeds_get(i), &random) < 0)
			return 1;
	printf("%zu files\n", written);
	return 0;
}
