/* SPDX-License-Identifier: Apache-2.0 */
/* mutate.h - small random damage to a frame, repeatable from a seed. */
#ifndef ISTHMUS_TEST_MUTATE_H
#define ISTHMUS_TEST_MUTATE_H

#include "frame.h"

struct prng {
	uint64_t state;
};

static inline uint32_t prng_next(struct prng *p) /* splitmix64 */
{
	uint64_t z = p->state += 0x9e3779b97f4a7c15;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return (uint32_t)(z >> 32);
}

static inline uint32_t prng_below(struct prng *p, uint32_t limit)
{
	return (uint32_t)((uint64_t)prng_next(p) * limit >> 32);
}

/* Keeps at least an Ethernet header, which is the least that BPF_PROG_TEST_RUN takes. */
void mutate(struct prng *random, struct frame *f);

#endif
