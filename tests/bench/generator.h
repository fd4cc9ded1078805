/* SPDX-License-Identifier: Apache-2.0 */
/*
 * generator.h - the routes that the benchmarks of BGP are made with, as the feeds of BGP daemons are measured with.
 *
 * IPv4 in scattered order, /20 to /24, per 100 routes five sets of attributes that carry 60, 20, 10, 7 and 3; EVPN type 2
 * with MAC and IPv4, 100 routes a set, ten VNIs a VTEP, a next hop per 1,000 MACs.  All of it follows from a number, so that
 * every receiver gets the same.
 */
#ifndef ISTHMUS_BENCH_GENERATOR_H
#define ISTHMUS_BENCH_GENERATOR_H

#include <stdint.h>

#include "model/attrs.h"
#include "model/route.h"

#define GENERATOR_BATCH_MAX 100u
#define GENERATOR_AS 65000u

/* The routes of a set of attributes: out of n, those from the at-th on.  Returns how many; *attrs is a reference. */
uint32_t generator_batch(enum route_family family, uint32_t n, uint32_t at, uint32_t set, struct attrs *table,
			 const struct route_attrs **attrs, struct route_nlri nlri[static GENERATOR_BATCH_MAX]);

#endif
