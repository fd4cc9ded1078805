/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What has to be sent, against a model: routes come and go, neighbors join, leave, read slowly and ask again; once all is
 * quiet each has exactly what there is of the tenants that it is granted, and of others it never hears.  And what it
 * costs.
 */
#include <errno.h>
#include <malloc.h>

#include "bgp/adjout.h"
#include "bgp_rig.h"
#include "lib/hmap.h"

#define N_MEMBERS 12
#define N_ROUTES 400
#define N_KINDS 9
#define N_TENANTS 4 /* VNIs from 1 on */
#define ANY (1u << N_TENANTS) /* a grant of everything; else bit t: of tenant t + 1 */

static long allocations_left = -1; /* -1: without end */

void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);

void *__wrap_calloc(size_t n, size_t size)
{
	if (allocations_left == 0)
		return NULL;
	allocations_left -= allocations_left > 0;
	return __real_calloc(n, size);
}

struct owner {
	struct bench *bench;
	uint32_t id;
	struct adjout_member *member; /* NULL: not there */
	struct adjout_view view;
	size_t window;                /* messages */
	size_t n_messages, n_put, n_removed, n_told;
	size_t n_needless;            /* withdrawn routes that it did not have */
	uint64_t digest;              /* of all its bytes */
	unsigned grant;               /* bits, or ANY */
	bool entitled[N_ROUTES];      /* it was granted the route once while it was there, and may hear of its end */
};

struct bench {
	struct attrs *attrs;
	struct table *table;
	struct adjout *out;
	struct owner owners[N_MEMBERS];
	const struct route_attrs *kinds[N_KINDS];
	const struct route_attrs *truth[N_ROUTES];
	unsigned tenant[N_ROUTES]; /* 0 .. N_TENANTS - 1 */
	unsigned tenants[N_ROUTES]; /* that ever had it, bits */
	uint64_t seed;
	bool decode, grants;
};

static uint32_t pick(struct bench *b, uint32_t below)
{
	b->seed = b->seed * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(b->seed >> 33) % below;
}

static bool is_granted(const struct owner *o, unsigned i)
{
	return o->grant == ANY || o->grant & 1u << o->bench->tenant[i];
}

static void entitle(struct owner *o)
{
	for (unsigned i = 0; i < N_ROUTES; i++)
		o->entitled[i] |= o->bench->truth[i] && is_granted(o, i);
}

/* Not one byte of what is not its business: no route that it is not granted, no end of one whose tenant it never was. */
static void check_privacy(const struct owner *o, const struct route_key *key, bool put)
{
	unsigned i = key->addr.bytes[13] << 16 | key->addr.bytes[14] << 8 | key->addr.bytes[15]; /* see rig_nlri */

	if (i < N_ROUTES)
		assert_true(put ? is_granted(o, i) : o->entitled[i] || o->grant == ANY || o->grant & o->bench->tenants[i]);
}

static size_t on_room(void *owner)
{
	return ((struct owner *)owner)->window;
}

static void on_send(void *owner, const uint8_t *message, size_t size, size_t n_put, size_t n_removed)
{
	struct owner *o = owner;
	struct update_session session = o->view.session;
	struct notification error;
	struct update u;
	struct update_route route;
	struct message m;
	size_t seen_put = 0, seen_removed = 0;

	assert_true(o->window > 0);
	o->window--;
	o->n_messages++;
	o->n_put += n_put;
	o->n_removed += n_removed;
	o->digest = o->digest * 31 + hash_stable(message, size);
	if (!o->bench->decode)
		return;
	assert_int_equal(message_next(message, size, session.extended, &m, &error), MESSAGE_WHOLE);
	assert_int_equal(m.size, size);
	assert_int_equal(update_decode(&session, o->bench->attrs, m.body, &u), 0);
	assert_int_equal(u.fault.reaction, REACTION_NONE);
	for (struct update_cursor c = {0}; update_next(&u, &c, &route);) {
		seen_put += route.attrs != NULL;
		seen_removed += !route.attrs;
		check_privacy(o, &route.nlri.key, route.attrs);
		if (route.attrs)
			table_put(o->bench->table, o->id, route.attrs, &route.nlri, 1);
		else
			o->n_needless += table_remove(o->bench->table, o->id, &route.nlri, 1) == 0;
	}
	assert_int_equal(seen_put, n_put);
	assert_int_equal(seen_removed, n_removed);
	update_fini(&u);
}

static void on_told(void *owner, enum route_family f)
{
	struct owner *o = owner;

	assert_int_equal(f, ROUTE_EVPN);
	o->n_told++;
	if (o->bench->decode) /* now it has all */
		for (unsigned i = 0; i < N_ROUTES; i++) {
			struct route_nlri nlri = rig_nlri(ROUTE_EVPN, i);

			assert_ptr_equal(table_get(o->bench->table, o->id, &nlri.key),
					 is_granted(o, i) ? o->bench->truth[i] : NULL);
		}
}

static const struct adjout_ops ops = {.room = on_room, .send = on_send, .told = on_told};

static struct bench *bench_new(bool decode)
{
	struct bench *b = calloc(1, sizeof(*b));

	assert_non_null(b);
	b->decode = decode;
	b->seed = 1;
	assert_int_equal(attrs_new(&b->attrs), 0);
	b->table = table_new(b->attrs);
	assert_int_equal(adjout_new(ROUTE_EVPN, b->attrs, &ops, &b->out), 0);
	for (unsigned i = 0; i < N_KINDS; i++)
		b->kinds[i] = rig_attrs(b->attrs, i);
	for (uint32_t i = 0; i < N_MEMBERS; i++) {
		struct owner *o = &b->owners[i];

		o->bench = b;
		o->id = i;
		o->view.session.as4 = true;
		o->view.session.own_as = RIG_AS;
		o->view.session.families = RIG_ALL;
		o->view.session.extended = i % 3 == 0; /* two views */
		o->window = SIZE_MAX;
		o->grant = ANY;
	}
	return b;
}

static void bench_free(struct bench *b)
{
	adjout_free(b->out);
	table_free(b->table);
	for (unsigned i = 0; i < N_KINDS; i++)
		attrs_unref(b->attrs, b->kinds[i]);
	assert_int_equal(attrs_length(b->attrs), 0);
	attrs_free(b->attrs);
	free(b);
}

static void put_of(struct bench *b, unsigned i, unsigned kind, unsigned tenant)
{
	struct route_nlri nlri = rig_nlri(ROUTE_EVPN, i);

	assert_int_equal(adjout_put(b->out, &nlri, b->kinds[kind], tenant + 1), 0);
	if (i >= N_ROUTES)
		return;
	b->truth[i] = b->kinds[kind];
	b->tenant[i] = tenant;
	b->tenants[i] |= 1u << tenant;
	for (unsigned k = 0; k < N_MEMBERS; k++)
		b->owners[k].entitled[i] |= is_granted(&b->owners[k], i);
}

static void put(struct bench *b, unsigned i, unsigned kind)
{
	put_of(b, i, kind, i < N_ROUTES ? b->tenant[i] : 0);
}

static void drop(struct bench *b, unsigned i)
{
	struct route_nlri nlri = rig_nlri(ROUTE_EVPN, i);

	adjout_remove(b->out, &nlri.key);
	if (i < N_ROUTES)
		b->truth[i] = NULL;
}

static struct grant *grant_of(unsigned bits)
{
	uint32_t tenants[N_TENANTS];
	struct grant *g = NULL;
	size_t n = 0;

	for (unsigned t = 0; t < N_TENANTS; t++)
		if (bits & 1u << t)
			tenants[n++] = t + 1;
	if (bits != ANY)
		assert_int_equal(grant_new(tenants, n, &g), 0);
	return g;
}

static void join(struct bench *b, struct owner *o)
{
	struct adjout_view view = o->view;

	view.grant = grant_of(o->grant);
	memset(o->entitled, 0, sizeof(o->entitled));
	entitle(o);
	assert_int_equal(adjout_join(b->out, &view, o, &o->member), 0);
	grant_unref(view.grant);
}

static int try_grant(struct bench *b, struct owner *o, unsigned bits)
{
	struct grant *g = grant_of(bits);
	int r = o->member ? adjout_grant(b->out, o->member, g) : 0;

	grant_unref(g);
	if (r < 0)
		return r;
	o->grant = bits;
	entitle(o);
	return 0;
}

static void set_grant(struct bench *b, struct owner *o, unsigned bits)
{
	assert_int_equal(try_grant(b, o, bits), 0);
}

static void leave(struct bench *b, struct owner *o)
{
	adjout_leave(b->out, o->member);
	o->member = NULL;
	table_stale(b->table, o->id, ROUTE_EVPN);
	table_swept(b->table, o->id, ROUTE_EVPN, NULL, NULL);
}

static void run_to_the_end(struct bench *b)
{
	for (unsigned i = 0; adjout_run(b->out, 64); i++)
		assert_true(i < 100000);
}

static void random_step(struct bench *b)
{
	struct owner *o = &b->owners[pick(b, N_MEMBERS)];

	switch (pick(b, b->grants ? 14 : 12)) {
	case 0:
		if (!o->member)
			join(b, o);
		break;
	case 1:
		if (o->member && pick(b, 3) == 0)
			leave(b, o);
		break;
	case 2:
		if (o->member && pick(b, 4) == 0)
			assert_int_equal(adjout_rewind(b->out, o->member), 0);
		break;
	case 3:
		o->window = pick(b, 4);
		if (o->member && o->window > 0)
			adjout_wake(b->out, o->member);
		break;
	case 4:
		if (o->member)
			adjout_ask(b->out, o->member);
		break;
	case 5:
	case 6:
		adjout_run(b->out, pick(b, 5));
		break;
	case 7:
	case 8:
		drop(b, pick(b, N_ROUTES));
		break;
	case 12:
		set_grant(b, o, pick(b, 5) == 0 ? ANY : pick(b, 1u << N_TENANTS));
		break;
	case 13: /* a network goes to another tenant */
		put_of(b, pick(b, N_ROUTES), pick(b, N_KINDS), pick(b, N_TENANTS));
		break;
	default:
		put(b, pick(b, N_ROUTES), pick(b, N_KINDS));
	}
}

static void once_quiet_everybody_has_what_there_is_whatever_happened_before(void **state)
{
	for (unsigned seed = 1; seed <= 120; seed++) {
		struct bench *b = bench_new(true);

		b->seed = seed;
		b->grants = seed > 60;
		for (unsigned i = 0; i < N_ROUTES && b->grants; i++)
			b->tenant[i] = pick(b, N_TENANTS);
		for (unsigned step = 0; step < 4000; step++)
			random_step(b);
		for (unsigned i = 0; i < N_MEMBERS; i++) {
			b->owners[i].window = SIZE_MAX;
			if (b->owners[i].member)
				adjout_wake(b->out, b->owners[i].member);
		}
		run_to_the_end(b);
		for (unsigned k = 0; k < N_MEMBERS; k++) {
			size_t length = 0;

			for (unsigned i = 0; i < N_ROUTES && b->owners[k].member; i++) {
				struct route_nlri nlri = rig_nlri(ROUTE_EVPN, i);

				const struct route_attrs *truth = is_granted(&b->owners[k], i) ? b->truth[i] : NULL;

				if (table_get(b->table, k, &nlri.key) != truth)
					fail_msg("seed %u: member %u is wrong about route %u", seed, k, i);
				length += truth != NULL;
			}
			if (b->owners[k].member) {
				assert_int_equal(table_length(b->table, k, ROUTE_EVPN), length);
				assert_int_equal(adjout_n_told(b->out, b->owners[k].member), length);
			}
		}
		bench_free(b);
	}
}

static void routes_of_many_sets_are_packed_in_whatever_order_they_came(void **state)
{
	struct bench *b = bench_new(false);
	size_t first;

	join(b, &b->owners[1]);
	for (unsigned i = 0; i < 9000; i++)
		put(b, i, i % N_KINDS);
	run_to_the_end(b);
	assert_int_equal(b->owners[1].n_put, 9000);
	first = b->owners[1].n_messages; /* 9 sets of 1,000 routes of 35 bytes: some 90 messages of 4,096 */
	assert_in_range(first, 70, 100);
	/* who comes later, when the order is that of random changes, is told in hardly more */
	for (unsigned i = 0; i < 18000; i++) {
		put(b, pick(b, 9000), pick(b, N_KINDS));
		if (i % 3 == 0)
			run_to_the_end(b);
	}
	run_to_the_end(b);
	join(b, &b->owners[2]);
	run_to_the_end(b);
	assert_int_equal(b->owners[2].n_put, 9000);
	assert_in_range(b->owners[2].n_messages, 70, 130);
	/* and in few where long messages were agreed on */
	join(b, &b->owners[3]);
	run_to_the_end(b);
	assert_in_range(b->owners[3].n_messages, 9, 60);
	bench_free(b);
}

static void neighbors_with_one_view_hear_the_same_and_the_slow_do_not_hold_up_the_fast(void **state)
{
	struct bench *b = bench_new(true);
	struct owner *fast = &b->owners[1], *too = &b->owners[2], *slow = &b->owners[4];

	slow->window = 1;
	join(b, fast);
	join(b, too);
	join(b, slow);
	for (unsigned i = 0; i < N_ROUTES; i++)
		put(b, i, 0);
	run_to_the_end(b);
	assert_int_equal(fast->n_put, N_ROUTES);
	assert_true(fast->digest == too->digest);
	assert_int_equal(slow->n_messages, 1);
	for (unsigned i = 0; i < 100; i++)
		drop(b, i);
	run_to_the_end(b);
	assert_int_equal(fast->n_removed, 100);
	slow->window = SIZE_MAX;
	adjout_wake(b->out, slow->member);
	run_to_the_end(b);
	assert_int_equal(table_length(b->table, slow->id, ROUTE_EVPN), 300);
	/* from here on they are one again */
	fast->digest = too->digest = slow->digest = 0;
	put(b, 7, 3);
	run_to_the_end(b);
	assert_true(fast->digest == slow->digest && fast->digest == too->digest && fast->digest != 0);
	bench_free(b);
}

static void whoever_asks_is_told_when_it_has_all_once(void **state)
{
	struct bench *b = bench_new(true);

	for (unsigned i = 1; i < 5; i++) { /* each finds those before it at the end */
		struct owner *o = &b->owners[i];

		put(b, i, 0);
		join(b, o);
		adjout_ask(b->out, o->member);
		run_to_the_end(b);
		assert_int_equal(o->n_told, 1);
		adjout_ask(b->out, o->member);
		run_to_the_end(b);
		put(b, i, 1);
		run_to_the_end(b);
		assert_int_equal(o->n_told, 2);
	}
	bench_free(b);
}

static void nobody_is_told_of_the_end_of_a_route_that_came_and_went_before_its_time(void **state)
{
	struct bench *b = bench_new(true);
	struct owner *early = &b->owners[1], *late = &b->owners[3]; /* of another view: they do not merge */

	join(b, early);
	for (unsigned i = 0; i < 10; i++)
		put(b, i, 0);
	run_to_the_end(b);
	early->window = 0; /* so tombstones stay */
	for (unsigned i = 0; i < 10; i++)
		drop(b, i);
	join(b, late);
	run_to_the_end(b);
	assert_int_equal(late->n_messages, 0);
	early->window = SIZE_MAX;
	adjout_wake(b->out, early->member);
	run_to_the_end(b);
	assert_int_equal(early->n_removed, 10);
	assert_int_equal(early->n_needless + late->n_needless, 0);
	bench_free(b);
}

/* 100 routes of each tenant, told. */
static struct bench *bench_of_tenants(unsigned grant)
{
	struct bench *b = bench_new(true);

	for (unsigned i = 0; i < N_ROUTES; i++)
		put_of(b, i, i % N_TENANTS, i / 100);
	b->owners[1].grant = grant;
	join(b, &b->owners[1]);
	run_to_the_end(b);
	return b;
}

static void another_grant_withdraws_what_is_no_longer_allowed_and_announces_what_is_new_and_no_more(void **state)
{
	static const struct {
		unsigned from, to;
		size_t n_put, n_removed;
	} rows[] = {
		{ANY, 1, 0, 300}, {1, ANY, 300, 0}, {3, 6, 100, 100}, {0, 15, 400, 0}, {15, 0, 0, 400}, {ANY, 15, 0, 0}, {5, 5, 0, 0},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct bench *b = bench_of_tenants(rows[i].from);
		struct owner *o = &b->owners[1];
		size_t n_put = o->n_put;

		set_grant(b, o, rows[i].to);
		run_to_the_end(b);
		assert_int_equal(o->n_put - n_put, rows[i].n_put);
		assert_int_equal(o->n_removed, rows[i].n_removed);
		assert_int_equal(o->n_needless, 0);
		assert_int_equal(table_length(b->table, o->id, ROUTE_EVPN), adjout_n_told(b->out, o->member));
		bench_free(b);
	}
}

static void what_changes_while_a_grant_does_is_told_once_and_rightly(void **state)
{
	struct bench *b = bench_of_tenants(3);
	struct owner *o = &b->owners[1], *other = &b->owners[2];
	size_t n_put = o->n_put;

	other->grant = ANY;
	join(b, other); /* it is told of new routes first */
	set_grant(b, o, 1);
	put_of(b, 0, 7, 0);   /* stays, and changes */
	put_of(b, 100, 7, 1); /* goes, and changes */
	drop(b, 101);         /* goes, and goes */
	drop(b, 1);
	drop(b, 250); /* never its business */
	put_of(b, 250, 1, 1); /* new to a tenant that it may not hear of any more */
	run_to_the_end(b);
	assert_int_equal(o->n_put - n_put, 1);
	assert_int_equal(o->n_removed, 101);
	assert_int_equal(o->n_needless, 0);
	/* asked again, it gets what it may have */
	assert_int_equal(adjout_rewind(b->out, o->member), 0);
	run_to_the_end(b);
	assert_int_equal(o->n_put - n_put, 1 + 99);
	bench_free(b);
}

static void a_grant_that_changes_in_the_middle_of_another_change_holds(void **state)
{
	struct bench *b = bench_of_tenants(3);
	struct owner *o = &b->owners[1];

	o->window = 0;
	set_grant(b, o, 12);
	put_of(b, 300, 8, 3);
	adjout_run(b->out, 10);
	o->window = 1;
	adjout_wake(b->out, o->member);
	run_to_the_end(b);
	set_grant(b, o, 1);
	drop(b, 399);
	run_to_the_end(b);
	o->window = SIZE_MAX;
	adjout_wake(b->out, o->member);
	run_to_the_end(b);
	assert_int_equal(table_length(b->table, o->id, ROUTE_EVPN), 100);
	assert_int_equal(adjout_n_told(b->out, o->member), 100);
	bench_free(b);
}

static void neighbors_with_one_grant_share_every_message_again_once_both_have_all(void **state)
{
	struct bench *b = bench_of_tenants(3);
	struct owner *o = &b->owners[1], *other = &b->owners[2];

	other->grant = 1;
	join(b, other);
	run_to_the_end(b);
	set_grant(b, o, 1);
	run_to_the_end(b);
	o->digest = other->digest = 0;
	put_of(b, 0, 8, 0);
	put_of(b, 1, 7, 0);
	put_of(b, 150, 8, 1);
	run_to_the_end(b);
	assert_true(o->digest == other->digest && o->digest != 0);
	bench_free(b);
}

static void a_route_that_goes_to_another_tenant_goes_for_who_may_not_hear_of_that_one(void **state)
{
	struct bench *b = bench_of_tenants(1);
	struct owner *both = &b->owners[2], *second = &b->owners[4];

	both->grant = 3;
	second->grant = 2;
	join(b, both);
	join(b, second);
	run_to_the_end(b);
	put_of(b, 0, 0, 1); /* with the attributes of before */
	run_to_the_end(b);
	assert_int_equal(b->owners[1].n_removed, 1);
	assert_int_equal(both->n_removed, 0);
	assert_int_equal(second->n_put, 101);
	/* and back, and away, before anybody is told */
	put_of(b, 0, 0, 0);
	put_of(b, 0, 0, 1);
	drop(b, 0);
	run_to_the_end(b);
	for (unsigned i = 1; i <= 4; i++)
		if (b->owners[i].member)
			assert_int_equal(table_length(b->table, i, ROUTE_EVPN), adjout_n_told(b->out, b->owners[i].member));
	bench_free(b);
}

/* Whichever allocation fails, nothing has changed: tried again it does the same. */
static void without_memory_nothing_changes(void **state)
{
	for (long n = 0; n < 6; n++) {
		struct bench *b = bench_of_tenants(3);
		struct owner *o = &b->owners[1];
		struct route_nlri nlri = rig_nlri(ROUTE_EVPN, 0);
		size_t length = adjout_length(b->out);
		struct adjout_member *member;
		int put, granted, joined;

		allocations_left = n;
		put = adjout_put(b->out, &nlri, b->kinds[8], 6); /* another set, a tenant that is new */
		allocations_left = n;
		granted = try_grant(b, o, 6);
		allocations_left = n;
		joined = adjout_join(b->out, &o->view, &b->owners[2], &member);
		allocations_left = -1;
		assert_int_equal(put, n < 3 ? -ENOMEM : 0); /* the row, the share, the ghost */
		assert_int_equal(granted, n < 2 ? -ENOMEM : 0);
		assert_int_equal(joined, n < 2 ? -ENOMEM : 0);
		if (joined == 0)
			adjout_leave(b->out, member);
		assert_int_equal(adjout_length(b->out), length);
		put_of(b, 0, 8, 1);
		set_grant(b, o, 6);
		run_to_the_end(b);
		assert_int_equal(table_length(b->table, o->id, ROUTE_EVPN), 201);
		assert_int_equal(adjout_n_told(b->out, o->member), 201);
		bench_free(b);
	}
}

static void a_route_costs_little_whatever_the_number_of_neighbors_and_is_given_back(void **state)
{
	const unsigned n = 1000000;
	struct bench *b = bench_new(false);
	size_t before = mallinfo2().uordblks + mallinfo2().hblkhd, with, after;

	for (unsigned i = 0; i < N_MEMBERS; i++)
		join(b, &b->owners[i]);
	for (unsigned i = 0; i < n; i++)
		put(b, i, i / 1000 % N_KINDS);
	with = mallinfo2().uordblks + mallinfo2().hblkhd - before;
	run_to_the_end(b);
	for (unsigned i = 0; i < N_MEMBERS; i++)
		assert_int_equal(b->owners[i].n_put, n);
	for (unsigned i = 0; i < n; i++)
		drop(b, i);
	/* one that is gone in the middle of it takes nothing along */
	b->owners[5].window = 100;
	adjout_run(b->out, 2000);
	leave(b, &b->owners[5]);
	run_to_the_end(b);
	for (unsigned i = 0; i < N_MEMBERS; i++)
		if (i != 5)
			assert_int_equal(b->owners[i].n_removed, n);
	after = mallinfo2().uordblks + mallinfo2().hblkhd - before;
	print_message("# a route: %zu bytes for %u neighbors; after it %zu bytes in all\n", with / n, N_MEMBERS, after);
	if (with > 0) { /* the sanitizer's allocator tells nothing */
		assert_in_range(with / n, 50, 220);
		assert_true(after < 65536);
	}
	bench_free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(once_quiet_everybody_has_what_there_is_whatever_happened_before),
		cmocka_unit_test(routes_of_many_sets_are_packed_in_whatever_order_they_came),
		cmocka_unit_test(neighbors_with_one_view_hear_the_same_and_the_slow_do_not_hold_up_the_fast),
		cmocka_unit_test(whoever_asks_is_told_when_it_has_all_once),
		cmocka_unit_test(nobody_is_told_of_the_end_of_a_route_that_came_and_went_before_its_time),
		cmocka_unit_test(another_grant_withdraws_what_is_no_longer_allowed_and_announces_what_is_new_and_no_more),
		cmocka_unit_test(what_changes_while_a_grant_does_is_told_once_and_rightly),
		cmocka_unit_test(a_grant_that_changes_in_the_middle_of_another_change_holds),
		cmocka_unit_test(neighbors_with_one_grant_share_every_message_again_once_both_have_all),
		cmocka_unit_test(a_route_that_goes_to_another_tenant_goes_for_who_may_not_hear_of_that_one),
		cmocka_unit_test(without_memory_nothing_changes),
		cmocka_unit_test(a_route_costs_little_whatever_the_number_of_neighbors_and_is_given_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
