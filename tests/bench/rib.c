/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the table of routes costs: bench-rib fills it with 10,000, 100,000 and 1,000,000 routes of a family and withdraws
 * them again, and prints processor seconds and resident bytes per route, sets of attributes and all; each row is a
 * process of its own.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "generator.h"
#include "model/attrs.h"
#include "rib/routes.h"

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

static void on_changed(void *arg, const struct routes_change *change)
{
	struct bench *b = arg;

	b->told++;
}

static void pass(struct bench *b, bool there)
{
	struct route_nlri nlri[GENERATOR_BATCH_MAX];
	const struct route_attrs *attrs;
	uint32_t length;

	for (uint32_t at = 0, set = 0; at < b->n; at += length, set++) {
		double begin, took;

		length = generator_batch(b->family, b->n, at, set, b->attrs, &attrs, nlri);
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
	struct decide_neighbor neighbor = {.router_id = 1};
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
