/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the table of routes costs: bench-rib fills it with 10,000, 100,000 and 1,000,000 routes of a family and withdraws
 * them again, and prints processor seconds and resident bytes per route, sets of attributes and all; each row is a
 * process of its own.
 *
 * The routes come as the feeds of BGP daemons are measured with: IPv4 in scattered order, /20 to /24, per 100 routes five sets
 * of attributes that carry 60, 20, 10, 7 and 3; EVPN type 2 with MAC and IPv4, 100 routes a set, ten VNIs a VTEP, a
 * next hop per 1,000 MACs.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "model/attrs.h"
#include "rib/routes.h"

#define BATCH_MAX 100u

struct bench {
	enum route_family family;
	uint32_t n;
	struct attrs *attrs;
	struct routes *table;
	uint16_t source;
	uint64_t told;
	double longest_ms; /* of one batch */
};

static double seconds(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double cpu(void)
{
	return seconds(CLOCK_PROCESS_CPUTIME_ID);
}

static double resident(void)
{
	unsigned long pages = 0;
	FILE *f = fopen("/proc/self/statm", "re");

	if (!f || fscanf(f, "%*u %lu", &pages) != 1)
		abort();
	fclose(f);
	return (double)pages * (double)sysconf(_SC_PAGESIZE);
}

static uint32_t scatter(uint32_t i, uint32_t n) /* a permutation of 0..n-1: the factor is a prime that divides no power of ten */
{
	return (uint32_t)((uint64_t)i * 618033 % n);
}

static struct addr v4(uint32_t a)
{
	struct addr out = {.bytes = {[10] = 0xff, [11] = 0xff}};

	for (int i = 0; i < 4; i++)
		out.bytes[12 + i] = (uint8_t)(a >> (24 - 8 * i));
	return out;
}

static struct route_nlri route_v4(uint32_t j)
{
	uint32_t k = j % 10, a = 0x14000000 + (j / 10 << 12);
	unsigned length = k == 0 ? 20 : k == 1 ? 22 : k == 2 ? 23 : 24;

	return (struct route_nlri){
		.key = {.family = ROUTE_IPV4, .addr = v4(k > 2 ? a + ((k + 1) << 8) : a), .length = (uint8_t)(96 + length)}};
}

static struct route_nlri route_mac(uint32_t j)
{
	uint32_t m = j * 0x9e3779b1, vtep = j / 1000, vni = 10000 + j / 100 % 10;
	struct route_nlri n = {.key = {.family = ROUTE_EVPN, .type = ROUTE_EVPN_MAC, .addr = v4(0x0a000000 + j),
				       .length = 128, .rd = route_rd_ip(0x0ac80000 + vtep, (uint16_t)vni)},
			       .n_labels = 1,
			       .label = {vni}};

	memcpy(n.key.mac.bytes, &(uint64_t){(uint64_t)m << 16 | 2}, sizeof(n.key.mac.bytes));
	return n;
}

static const struct route_attrs *set_of(struct bench *b, uint32_t number)
{
	uint8_t path[2 + 4 * 6] = {2, (uint8_t)(3 + number % 4)};
	uint32_t communities[6];
	uint64_t extended[2];
	const struct route_attrs *out;
	struct route_attrs a = {.next_hop = v4(0x0ac80000 + (b->family == ROUTE_EVPN ? number / 10 : number % 8)),
				.has = ROUTE_HAS_LOCAL_PREF,
				.local_pref = 100};

	if (b->family == ROUTE_EVPN) {
		extended[0] = extended_target_as2(65000, 10000 + number % 10);
		extended[1] = extended_tunnel(ROUTE_TUNNEL_VXLAN);
		a.extended = extended;
		a.n_extended = 2;
	} else {
		a.path_size = 2u + 4u * path[1];
		for (uint32_t i = 0; i < path[1]; i++)
			memcpy(path + 2 + 4 * i, &(uint32_t){number * 31 + i}, 4);
		a.path = path;
		a.n_communities = 2 + number % 5;
		for (uint32_t i = 0; i < a.n_communities; i++)
			communities[i] = number << 8 | i;
		a.communities = communities;
		if (number % 2)
			a.has |= ROUTE_HAS_MED;
		a.med = number % 2 ? number : 0;
	}
	if (attrs_intern(b->attrs, &a, &out) < 0)
		abort();
	return out;
}

static void on_changed(void *arg, const struct routes_change *change)
{
	struct bench *b = arg;

	b->told++;
}

static uint32_t batch_length(const struct bench *b, uint32_t set)
{
	static const uint32_t lengths[] = {60, 20, 10, 7, 3};

	return b->family == ROUTE_EVPN ? BATCH_MAX : lengths[set % 5];
}

static void pass(struct bench *b, bool there)
{
	struct route_nlri nlri[BATCH_MAX];
	uint32_t length;

	for (uint32_t at = 0, set = 0; at < b->n; at += length, set++) {
		const struct route_attrs *attrs = there ? set_of(b, set) : NULL;
		double begin, took;

		length = batch_length(b, set);
		for (uint32_t i = 0; i < length; i++)
			nlri[i] = b->family == ROUTE_EVPN ? route_mac(at + i) : route_v4(scatter(at + i, b->n));
		begin = seconds(CLOCK_MONOTONIC);
		if (!there)
			routes_remove(b->table, b->source, nlri, length);
		else if (routes_put(b->table, b->source, attrs, nlri, length) < 0)
			abort();
		took = (seconds(CLOCK_MONOTONIC) - begin) * 1e3;
		if (took > b->longest_ms)
			b->longest_ms = took;
		attrs_unref(b->attrs, attrs);
	}
}

static void run(enum route_family family, uint32_t n)
{
	struct bench b = {.family = family, .n = n};
	struct decide_neighbor neighbor = {.address = v4(0x0a000001)};
	double base, begin, fill, full, withdraw, after;

	if (attrs_new(&b.attrs) < 0 || routes_new(b.attrs, on_changed, &b, &b.table) < 0 ||
	    routes_source_add(b.table, &neighbor, &b.source) < 0)
		abort();
	base = resident();
	begin = cpu();
	pass(&b, true);
	fill = cpu() - begin;
	full = resident();
	if (routes_length(b.table) != n)
		abort();
	begin = cpu();
	pass(&b, false);
	withdraw = cpu() - begin;
	after = resident();
	printf("%-12s %9u  %8.3f %8.3f  %7.1f  %8.3f  %8.1f %8.1f  %6.2f\n", route_family_name(family), n, fill,
	       fill / n * 1e6, (full - base) / n, withdraw, full / (1 << 20), after / (1 << 20), b.longest_ms);
	fflush(stdout);
	routes_free(b.table);
	attrs_free(b.attrs);
}

int main(void)
{
	static const enum route_family families[] = {ROUTE_IPV4, ROUTE_EVPN};

	printf("%-12s %9s  %8s %8s  %7s  %8s  %8s %8s  %6s\n", "family", "routes", "fill s", "us/route", "B/route",
	       "empty s", "full MiB", "then MiB", "max ms");
	fflush(stdout);
	for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++)
		for (uint32_t n = 10000; n <= 1000000; n *= 10) {
			pid_t child = fork();

			if (child == 0) {
				run(families[i], n);
				_exit(0);
			}
			if (child < 0 || waitpid(child, NULL, 0) < 0)
				return 1;
		}
	return 0;
}
