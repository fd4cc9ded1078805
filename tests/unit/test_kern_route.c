/* SPDX-License-Identifier: Apache-2.0 */
/* Routes of ours in the kernel: kept, followed, mended, taken over, and others' left alone.  In a namespace of our own. */
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "kern/kern.h"
#include "sandbox.h"

struct world {
	struct sandbox box;
	struct kern *kern;
	int n_changes;
};

static void on_route_change(void *arg)
{
	((struct world *)arg)->n_changes++;
}

static const struct kern_callbacks callbacks = {.on_route_change = on_route_change};

#define UNDERLAY                                                                                                       \
	"ip link set lo up;"                                                                                           \
	"ip link add u0 type veth peer name x0; ip link add u1 type veth peer name x1;"                                \
	"for i in u0 x0 u1 x1; do ip link set $i up; done;"                                                            \
	"ip address add 192.0.2.1/24 dev u0; ip address add 2001:db8::1/64 dev u0 nodad;"                              \
	"ip address add 198.51.100.1/24 dev u1; ip address add 2001:db8:1::1/64 dev u1 nodad"

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	if (!w || sandbox_enter(&w->box) < 0 || run(UNDERLAY) != 0 || kern_open(&callbacks, w, &w->kern) < 0)
		return -1;
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	kern_close(w->kern);
	sandbox_leave(&w->box);
	free(w);
	return 0;
}

static void again(struct world *w)
{
	kern_close(w->kern);
	assert_int_equal(kern_open(&callbacks, w, &w->kern), 0);
}

/* "10.1.0.5" over the hops that follow, NULL at the end. */
static struct fwd_route route(const char *to, const char *first, const char *second)
{
	const char *const hops[] = {first, second};
	struct fwd_route r = {.prefix.length = 128};

	assert_int_equal(addr_parse(to, &r.prefix.addr), 0);
	for (size_t i = 0; i < 2 && hops[i]; i++)
		assert_int_equal(addr_parse(hops[i], &r.hops[r.n_hops++]), 0);
	return r;
}

static int put(struct world *w, const char *to, const char *first, const char *second)
{
	struct fwd_route r = route(to, first, second);

	return kern_route_put(w->kern, &r);
}

static int del(struct world *w, const char *to)
{
	struct fwd_route r = route(to, NULL, NULL);

	return kern_route_del(w->kern, &r.prefix);
}

/* Reads what was said, and looks as the audit does. */
static int audit(struct world *w)
{
	assert_int_equal(kern_read(w->kern), 0);
	return kern_routes_audit(w->kern);
}

/* Does `ip route show` of both families say exactly this?  Blanks at the ends of lines do not count. */
static void expect_ours(const char *want)
{
	char got[4096] = "";
	size_t n = 0;
	FILE *f = popen("{ ip route show proto 73; ip -6 route show proto 73; } | tr -s ' \\t' ' ' | sed 's/ $//'", "r");

	assert_non_null(f);
	n = fread(got, 1, sizeof(got) - 1, f);
	got[n] = 0;
	pclose(f);
	assert_string_equal(got, want);
}

static void a_route_is_written_once_and_removed(void **state)
{
	struct world *w = *state;

	assert_int_equal(put(w, "10.1.0.5", "192.0.2.9", NULL), 1);
	assert_int_equal(put(w, "fd00:1::5", "2001:db8::9", NULL), 1);
	assert_int_equal(put(w, "10.1.0.5", "192.0.2.9", NULL), 0);
	expect_ours("10.1.0.5 via 192.0.2.9 dev u0\n"
		    "fd00:1::5 via 2001:db8::9 dev u0 metric 1 pref medium\n");
	assert_int_equal(kern_routes_length(w->kern), 2);
	assert_int_equal(put(w, "10.1.0.5", "192.0.2.8", NULL), 1); /* in its place */
	assert_int_equal(put(w, "fd00:1::5", "2001:db8:1::8", NULL), 1);
	expect_ours("10.1.0.5 via 192.0.2.8 dev u0\n"
		    "fd00:1::5 via 2001:db8:1::8 dev u1 metric 1 pref medium\n");
	assert_int_equal(audit(w), 0);
	assert_int_equal(del(w, "10.1.0.5"), 1);
	assert_int_equal(del(w, "10.1.0.5"), 0);
	assert_int_equal(del(w, "fd00:1::5"), 1);
	expect_ours("");
}

/* The kernel has things of its own to tell of new links, but not every time. */
static void what_we_write_ourselves_moves_no_path(void **state)
{
	struct world *w = *state;
	bool quiet = false;

	for (int i = 0; i < 50 && !quiet; i++) {
		assert_int_equal(kern_read(w->kern), 0);
		w->n_changes = 0;
		assert_int_equal(put(w, "10.1.0.5", i % 2 ? "192.0.2.9" : "192.0.2.8", NULL), 1);
		assert_int_equal(put(w, "fd00:1::5", i % 2 ? "2001:db8::9" : "2001:db8::8", NULL), 1);
		assert_int_equal(kern_read(w->kern), 0);
		quiet = w->n_changes == 0;
	}
	assert_true(quiet);
}

static void several_next_hops_are_one_route(void **state)
{
	struct world *w = *state;

	assert_int_equal(put(w, "10.1.0.5", "192.0.2.9", "198.51.100.9"), 1);
	assert_int_equal(put(w, "fd00:1::5", "2001:db8::9", "2001:db8:1::9"), 1);
	assert_int_equal(audit(w), 0); /* and is read back as it was written */
	assert_int_equal(put(w, "10.1.0.5", "198.51.100.9", "192.0.2.9"), 0);
	expect_ours("10.1.0.5\n"
		    " nexthop via 192.0.2.9 dev u0 weight 1\n"
		    " nexthop via 198.51.100.9 dev u1 weight 1\n"
		    "fd00:1::5 metric 1 pref medium\n"
		    " nexthop via 2001:db8::9 dev u0 weight 1\n"
		    " nexthop via 2001:db8:1::9 dev u1 weight 1\n");
	assert_int_equal(put(w, "10.1.0.5", "192.0.2.9", NULL), 1);
	assert_int_equal(put(w, "fd00:1::5", "2001:db8:1::9", NULL), 1);
	expect_ours("10.1.0.5 via 192.0.2.9 dev u0\n"
		    "fd00:1::5 via 2001:db8:1::9 dev u1 metric 1 pref medium\n");
	assert_int_equal(put(w, "fd00:1::5", "2001:db8::9", "2001:db8:1::9"), 1);
	assert_int_equal(del(w, "fd00:1::5"), 1);
	assert_int_equal(del(w, "10.1.0.5"), 1);
	expect_ours("");
}

static void ipv4_goes_over_an_ipv6_next_hop(void **state)
{
	struct world *w = *state;

	assert_int_equal(put(w, "10.1.0.5", "2001:db8::9", NULL), 1);
	expect_ours("10.1.0.5 via inet6 2001:db8::9 dev u0\n");
	assert_int_equal(audit(w), 0);
	assert_int_equal(put(w, "10.1.0.5", "2001:db8::9", "192.0.2.9"), 1);
	assert_int_equal(audit(w), 0);
}

/* A hop behind routers: by the ways that the kernel takes to it, all of them, and anew when they change. */
static void a_distant_hop_is_followed(void **state)
{
	struct world *w = *state;

	assert_int_equal(put(w, "10.1.0.5", "203.0.113.7", NULL), 0); /* not yet */
	expect_ours("");
	assert_int_equal(run("ip route add 203.0.113.0/24 via 192.0.2.254"), 0);
	assert_int_equal(audit(w), 0); /* nobody had changed anything */
	expect_ours("10.1.0.5 via 192.0.2.254 dev u0\n");
	assert_int_equal(run("ip route replace 203.0.113.0/24 nexthop via 192.0.2.254 nexthop via 198.51.100.254"), 0);
	assert_int_equal(audit(w), 0);
	expect_ours("10.1.0.5\n"
		    " nexthop via 192.0.2.254 dev u0 weight 1\n"
		    " nexthop via 198.51.100.254 dev u1 weight 1\n");
	assert_int_equal(run("ip route del 203.0.113.0/24"), 0);
	assert_int_equal(audit(w), 0); /* RFC 4271 9.1.2.1: it does not resolve */
	expect_ours("");
	assert_int_equal(run("ip route add 203.0.113.0/24 via 198.51.100.254"), 0);
	assert_int_equal(audit(w), 0);
	expect_ours("10.1.0.5 via 198.51.100.254 dev u1\n");
}

static void what_others_remove_or_change_is_mended(void **state)
{
	static const char *const harm[] = {
		"ip route del 10.1.0.5",
		"ip route replace 10.1.0.5 via 192.0.2.77 proto 73",
		"ip route add 10.1.0.6 via 192.0.2.9 proto 73", /* one that nobody wants */
		"ip -6 route del fd00:1::5",
		"ip -6 route change fd00:1::5 via 2001:db8::77 metric 1 proto 73",
		"ip -6 route add fd00:1::6 via 2001:db8::9 metric 1 proto 73",
		"ip link set u0 down; ip link set u0 up; ip address add 2001:db8::1/64 dev u0 nodad", /* without a word */
	};
	struct world *w = *state;

	assert_int_equal(put(w, "10.1.0.5", "192.0.2.9", NULL), 1);
	assert_int_equal(put(w, "fd00:1::5", "2001:db8::9", NULL), 1);
	for (size_t i = 0; i < sizeof(harm) / sizeof(harm[0]); i++) {
		assert_int_equal(audit(w), 0);
		assert_int_equal(run("%s", harm[i]), 0);
		if (audit(w) < 1)
			fail_msg("not seen: %s", harm[i]);
		expect_ours("10.1.0.5 via 192.0.2.9 dev u0\n"
			    "fd00:1::5 via 2001:db8::9 dev u0 metric 1 pref medium\n");
	}
}

static void a_route_of_anothers_is_in_the_way_and_stays(void **state)
{
	static const struct {
		const char *theirs, *to, *hop, *word;
	} rows[] = {
		{"route add 10.1.0.5 via 192.0.2.77 proto static", "10.1.0.5", "192.0.2.9", "static"},
		{"route add 10.1.0.5 via 192.0.2.77 proto bird metric 500", "10.1.0.5", "192.0.2.9", "bird"},
		{"route add blackhole 10.1.0.5", "10.1.0.5", "192.0.2.9", "10.1.0.5"},
		{"-6 route add fd00:1::5 via 2001:db8::77 proto static", "fd00:1::5", "2001:db8::9", "static"},
		{"-6 route add fd00:1::5 via 2001:db8::77 proto 99 metric 1", "fd00:1::5", "2001:db8::9", "99"},
	};
	struct world *w = *state;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char before[160], *dev;

		assert_int_equal(run("ip %s", rows[i].theirs), 0);
		assert_int_equal(put(w, rows[i].to, rows[i].hop, NULL), -EEXIST);
		if (!strstr(kern_route_error(), rows[i].word) || !strstr(kern_route_error(), rows[i].to))
			fail_msg("the error says: %s", kern_route_error());
		expect_ours("");
		assert_int_equal(audit(w), -EEXIST);
		snprintf(before, sizeof(before), "%s", rows[i].theirs);
		dev = strstr(before, " add ");
		memcpy(dev, " del ", 5);
		assert_int_equal(run("ip %s", before), 0); /* as it was, or it would not be found */
		assert_int_equal(audit(w), 0);
		assert_int_equal(del(w, rows[i].to), 1); /* it had come */
	}
}

static void deleting_ours_leaves_others_alone(void **state)
{
	struct world *w = *state;

	assert_int_equal(put(w, "10.1.0.5", "192.0.2.9", NULL), 1);
	assert_int_equal(put(w, "fd00:1::5", "2001:db8::9", NULL), 1);
	assert_int_equal(run("ip route del 10.1.0.5; ip route add 10.1.0.5 via 192.0.2.77 proto static;"
			     "ip -6 route del fd00:1::5; ip -6 route add fd00:1::5 via 2001:db8::77 metric 1 proto static"),
			 0);
	assert_int_equal(del(w, "10.1.0.5"), 0);
	assert_int_equal(del(w, "fd00:1::5"), 0);
	assert_int_equal(run("ip route show proto static | grep -q 192.0.2.77 && "
			     "ip -6 route show proto static | grep -q 2001:db8::77"),
			 0);
}

static void a_former_lifes_routes_are_taken_over(void **state)
{
	struct world *w = *state;

	assert_int_equal(put(w, "10.1.0.5", "192.0.2.9", "198.51.100.9"), 1);
	assert_int_equal(put(w, "10.1.0.6", "192.0.2.9", NULL), 1);
	assert_int_equal(put(w, "fd00:1::5", "2001:db8::9", NULL), 1);
	again(w);
	assert_int_equal(kern_routes_begin(w->kern), 0);
	assert_int_equal(put(w, "10.1.0.5", "192.0.2.9", "198.51.100.9"), 0); /* it is there */
	assert_int_equal(put(w, "fd00:1::5", "2001:db8:1::9", NULL), 1);
	assert_int_equal(kern_routes_end(w->kern), 1);
	expect_ours("10.1.0.5\n"
		    " nexthop via 192.0.2.9 dev u0 weight 1\n"
		    " nexthop via 198.51.100.9 dev u1 weight 1\n"
		    "fd00:1::5 via 2001:db8:1::9 dev u1 metric 1 pref medium\n");
	/* kept, as what is wanted could not be read: also from the audit */
	again(w);
	assert_int_equal(kern_routes_begin(w->kern), 0);
	kern_routes_keep(w->kern);
	assert_int_equal(run("ip link add y0 type veth peer name y1; ip link set y0 up"), 0);
	assert_int_equal(audit(w), 0);
	assert_int_equal(kern_routes_length(w->kern), 2);
	again(w);
	assert_int_equal(kern_routes_remove(w->kern), 2);
	expect_ours("");
}

static void a_hop_is_not_sought_among_our_own_routes(void **state)
{
	struct world *w = *state;

	assert_int_equal(put(w, "203.0.113.7", "192.0.2.9", NULL), 1);
	assert_int_equal(put(w, "10.1.0.5", "203.0.113.7", NULL), 0);
	expect_ours("203.0.113.7 via 192.0.2.9 dev u0\n");
}

#define ROW(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ROW(a_route_is_written_once_and_removed),
		ROW(what_we_write_ourselves_moves_no_path),
		ROW(several_next_hops_are_one_route),
		ROW(ipv4_goes_over_an_ipv6_next_hop),
		ROW(a_distant_hop_is_followed),
		ROW(what_others_remove_or_change_is_mended),
		ROW(a_route_of_anothers_is_in_the_way_and_stays),
		ROW(deleting_ours_leaves_others_alone),
		ROW(a_former_lifes_routes_are_taken_over),
		ROW(a_hop_is_not_sought_among_our_own_routes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
