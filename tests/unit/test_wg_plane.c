/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the threads of a tunnel share: memory that is freed when nobody is at it, tables that are read while they
 * change, notes, endpoints, packets that wait; and a device whose owner seals and opens by itself.
 */
#include "hex.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "wg/plane.h"
#include "wg/secret.h"
#include "wg/stash.h"
#include "wg/worker.h"

struct thing {
	struct grace_node retired;
	uint32_t key;
	bool gone;
};

static unsigned n_gone;

static struct thing *thing_of(struct grace_node *node)
{
	return (struct thing *)((char *)node - offsetof(struct thing, retired));
}

static void mark_gone(struct grace_node *node)
{
	thing_of(node)->gone = true;
	n_gone++;
}

static void what_is_retired_waits_for_every_reader(void **state)
{
	struct thing a = {.key = 1}, b = {.key = 2};
	struct grace g;

	n_gone = 0;
	grace_init(&g, 3);
	grace_online(&g, 0);
	grace_online(&g, 1); /* the third never works */
	grace_retire(&g, &a.retired, mark_gone);
	assert_true(grace_reap(&g, grace_poll(&g)));
	grace_online(&g, 0); /* its next turn */
	assert_true(grace_reap(&g, grace_poll(&g)));
	assert_false(a.gone);
	grace_retire(&g, &b.retired, mark_gone);
	grace_offline(&g, 1);
	assert_true(grace_reap(&g, grace_poll(&g))); /* the first has begun before b went */
	assert_true(a.gone && !b.gone);
	grace_offline(&g, 0);
	assert_false(grace_reap(&g, grace_poll(&g)));
	assert_true(b.gone);
	grace_fini(&g);
	assert_int_equal(n_gone, 2);
}

static struct grace *again_in;

static void once_more(struct grace_node *node)
{
	grace_retire(again_in, node, mark_gone);
}

static void what_is_not_ready_is_retired_again(void **state)
{
	struct thing a = {.key = 1}, b = {.key = 2};
	struct grace g;

	n_gone = 0;
	grace_init(&g, 1);
	again_in = &g;
	grace_retire(&g, &a.retired, once_more);
	grace_retire(&g, &b.retired, mark_gone);
	assert_true(grace_reap(&g, grace_poll(&g)));
	assert_true(b.gone && !a.gone);
	assert_false(grace_reap(&g, grace_poll(&g)));
	assert_true(a.gone);
	grace_fini(&g);
}

#define KEYS 2000

static void a_table_agrees_with_a_list(void **state)
{
	static struct thing things[KEYS];
	static bool in[KEYS];
	struct lookup l;
	struct grace g;
	size_t length = 0;

	grace_init(&g, 1);
	lookup_init(&l, &g, offsetof(struct thing, key), sizeof(uint32_t));
	assert_null(lookup_get(&l, &(uint32_t){7}));
	assert_null(lookup_remove(&l, &(uint32_t){7}));
	srand(1);
	for (int i = 0; i < 200000; i++) {
		/* now more, now fewer */
		uint32_t k = (uint32_t)rand() % ((i / 20000) & 1 ? KEYS : 50);

		things[k].key = k;
		assert_ptr_equal(lookup_get(&l, &k), in[k] ? &things[k] : NULL);
		if (rand() & 1) {
			assert_int_equal(lookup_add(&l, &things[k]), in[k] ? -EEXIST : 0);
			length += !in[k];
			in[k] = true;
		} else {
			assert_ptr_equal(lookup_remove(&l, &k), in[k] ? &things[k] : NULL);
			length -= in[k];
			in[k] = false;
		}
		assert_int_equal(l.length, length);
		assert_true(!l.slots || 2 * l.used <= l.slots->size);
		grace_reap(&g, grace_poll(&g));
	}
	lookup_fini(&l);
	grace_fini(&g);
}

void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);

static bool no_memory;

void *__wrap_calloc(size_t n, size_t size)
{
	return no_memory ? NULL : __real_calloc(n, size);
}

static void a_table_that_cannot_grow_stays_as_it_is(void **state)
{
	static struct thing things[9];
	struct lookup l;
	struct grace g;

	grace_init(&g, 1);
	lookup_init(&l, &g, offsetof(struct thing, key), sizeof(uint32_t));
	no_memory = true;
	assert_int_equal(lookup_add(&l, &things[0]), -ENOMEM);
	no_memory = false;
	for (uint32_t k = 0; k < 8; k++) {
		things[k].key = k;
		assert_int_equal(lookup_add(&l, &things[k]), 0);
	}
	things[8].key = 8;
	no_memory = true;
	assert_int_equal(lookup_add(&l, &things[8]), -ENOMEM);
	no_memory = false;
	assert_int_equal(l.length, 8);
	for (uint32_t k = 0; k < 8; k++)
		assert_ptr_equal(lookup_get(&l, &k), &things[k]);
	assert_int_equal(lookup_add(&l, &things[8]), 0);
	grace_fini(&g);
	lookup_fini(&l);
}

/* Readers look for keys that are always there and for some that come and go, while the table grows and is made anew. */
struct churn {
	struct lookup table;
	struct grace grace;
	bool stop;
	unsigned wrong;
	unsigned long turns[2];
};

static void thing_free(struct grace_node *node)
{
	thing_of(node)->gone = true;
	free(thing_of(node));
}

static void *read_on(void *arg)
{
	static unsigned number;
	struct churn *c = arg;
	unsigned me = __atomic_fetch_add(&number, 1, __ATOMIC_RELAXED) & 1;

	while (!__atomic_load_n(&c->stop, __ATOMIC_RELAXED)) {
		grace_online(&c->grace, me);
		for (uint32_t k = 0; k < 200; k++) {
			const struct thing *t = lookup_get(&c->table, &k);

			if (t ? t->key != k || t->gone : k < 100)
				__atomic_fetch_add(&c->wrong, 1, __ATOMIC_RELAXED);
		}
		__atomic_fetch_add(&c->turns[me], 1, __ATOMIC_RELAXED);
		grace_offline(&c->grace, me);
	}
	return NULL;
}

static struct thing *thing_new(uint32_t key)
{
	struct thing *t = calloc(1, sizeof(*t));

	assert_non_null(t);
	t->key = key;
	return t;
}

static void readers_see_a_table_that_changes_whole(void **state)
{
	static struct churn c;
	pthread_t threads[2];

	grace_init(&c.grace, 2);
	lookup_init(&c.table, &c.grace, offsetof(struct thing, key), sizeof(uint32_t));
	for (uint32_t k = 0; k < 100; k++)
		assert_int_equal(lookup_add(&c.table, thing_new(k)), 0);
	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, read_on, &c), 0);
	for (int i = 0; i < 300 || c.turns[0] < 50 || c.turns[1] < 50; i++) {
		for (uint32_t k = 100; k < 200; k++)
			assert_int_equal(lookup_add(&c.table, thing_new(k)), 0);
		for (uint32_t k = 100; k < 200; k++)
			grace_retire(&c.grace, &((struct thing *)lookup_remove(&c.table, &k))->retired, thing_free);
		grace_reap(&c.grace, grace_poll(&c.grace));
	}
	__atomic_store_n(&c.stop, true, __ATOMIC_RELAXED);
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(c.wrong, 0);
	for (uint32_t k = 0; k < 100; k++)
		free(lookup_remove(&c.table, &k));
	grace_fini(&c.grace);
	lookup_fini(&c.table);
}

static struct plane plane;

static struct link link_here(void)
{
	return (struct link){.plane = &plane};
}

static bool woken(void)
{
	uint64_t count;

	return read(plane.wake, &count, sizeof(count)) == sizeof(count);
}

static void a_note_is_left_once_and_wakes_when_it_has_to(void **state)
{
	struct link a = link_here(), b = link_here();

	plane.noted = NULL;
	plane.attentive = false;
	link_note(&a, LINK_SENT);
	assert_true(woken());
	link_note(&a, LINK_SENT);
	assert_false(woken());
	link_note(&a, LINK_RECEIVED);
	assert_false(woken()); /* it is on its way */
	plane.attentive = true;
	link_note(&b, LINK_SENT);
	assert_false(woken()); /* it will look */
	link_note(&b, LINK_WANTED);
	assert_true(woken()); /* that cannot wait */
	link_note(&b, LINK_WANTED);
	assert_false(woken());
	assert_ptr_equal(plane.noted, &b);
	assert_ptr_equal(b.next_noted, &a);
	assert_null(a.next_noted);
	assert_int_equal(a.notes, LINK_SENT | LINK_RECEIVED);
}

static struct endpoint endpoint(uint8_t last)
{
	struct endpoint e = {.port = last};

	memset(e.addr.bytes, last, sizeof(e.addr.bytes));
	return e;
}

static void what_was_opened_is_told(void **state)
{
	struct endpoint here = endpoint(1), there = endpoint(2), now;
	struct session s = {.local = 77, .unheard = true};
	struct link l = link_here();
	struct link_news news;

	plane.noted = NULL;
	link_set_endpoint(&l, &here);
	link_on_opened(&l, &s, &here, true);
	assert_int_equal(l.notes, LINK_RECEIVED | LINK_CONFIRMED);
	link_on_opened(&l, &s, &there, false);
	assert_int_equal(l.notes, LINK_RECEIVED | LINK_CONFIRMED | LINK_HEARD | LINK_MOVED);
	now = link_endpoint(&l);
	assert_true(endpoint_equal(&now, &there)); /* at once */
	news = link_take_news(&l);
	assert_true(endpoint_equal(&news.from, &there));
	assert_int_equal(news.confirmed, 77);
	assert_int_equal(news.answer.port, 0);
	assert_int_equal(l.heard, 77);
	l.notes = 0;
	link_on_opened(&l, &s, &there, true);
	assert_int_equal(l.notes, LINK_RECEIVED);
	woken();
}

static bool is_at(const struct link *l, const struct endpoint *e)
{
	struct endpoint now = link_endpoint(l);

	return endpoint_equal(&now, e);
}

static void what_comes_through_a_relay_moves_who_is_nowhere(void **state)
{
	struct endpoint here = endpoint(1), around = relay_endpoint(65535, (const uint8_t *)"somebody's key"), none = {.port = 0};
	struct session s = {.local = 77};
	struct link l = link_here();
	struct link_news news;

	plane.noted = NULL;
	link_set_endpoint(&l, &none);
	link_on_opened(&l, &s, &around, true);
	assert_true(is_at(&l, &around)); /* all of it */
	link_take_news(&l);
	link_on_opened(&l, &s, &here, true);
	assert_true(is_at(&l, &here));
	link_on_opened(&l, &s, &around, true);
	assert_true(is_at(&l, &here)); /* it was on its way */
	news = link_take_news(&l);
	assert_true(endpoint_equal(&news.from, &here)); /* and does not hide what was said */
	link_on_opened(&l, &s, &around, true);
	news = link_take_news(&l);
	assert_true(endpoint_equal(&news.from, &around));
	l.kind = TUNNEL_PLAIN; /* of which nobody carries anything */
	l.notes = 0;
	link_set_endpoint(&l, &none);
	link_on_opened(&l, &s, &around, true);
	assert_true(is_at(&l, &none) && l.notes == LINK_RECEIVED);
	woken();
}

static void questions_and_answers_move_nobody(void **state)
{
	struct endpoint here = endpoint(1), there = endpoint(2);
	struct session s = {.local = 77, .unheard = true};
	struct link l = link_here();
	struct link_news news;

	plane.noted = NULL;
	link_set_endpoint(&l, &here);
	link_on_asked(&l, &s, &there);
	assert_int_equal(l.notes, LINK_CONFIRMED); /* a session is one whichever way it is shown */
	link_on_asked(&l, &s, &here);
	assert_int_equal(l.notes, LINK_CONFIRMED | LINK_HEARD);
	link_on_answer(&l, &there, 5);
	assert_int_equal(l.notes, LINK_CONFIRMED | LINK_HEARD | LINK_ANSWERED);
	assert_true(is_at(&l, &here));
	news = link_take_news(&l);
	assert_true(endpoint_equal(&news.answer, &there) && news.token == 5 && news.from.port == 0);
	woken();
}

static void a_relay_is_used_while_it_is_reached_itself(void **state)
{
	struct endpoint here = endpoint(1), around = relay_endpoint(2, (const uint8_t *)"somebody's key"), where;
	struct link l = link_here();

	assert_null(plane_relay(&plane, 0, &where));
	assert_null(plane_relay(&plane, 1, &where));
	plane.relays[0] = plane.relays[RELAYS_MAX - 1] = &l;
	assert_null(plane_relay(&plane, 1, &where)); /* not known where */
	link_set_endpoint(&l, &around);
	assert_null(plane_relay(&plane, 1, &where));
	link_set_endpoint(&l, &here);
	assert_ptr_equal(plane_relay(&plane, 1, &where), &l);
	assert_true(endpoint_equal(&where, &here));
	assert_ptr_equal(plane_relay(&plane, RELAYS_MAX, &where), &l);
	assert_null(plane_relay(&plane, RELAYS_MAX + 1, &where));
	assert_null(plane_relay(&plane, 65535, &where));
	plane.relays[0] = plane.relays[RELAYS_MAX - 1] = NULL;
}

static bool writing_ended;

static void *write_endpoints(void *arg)
{
	for (int i = 0; i < 200000; i++) {
		struct endpoint e = endpoint((uint8_t)(1 + i % 2));

		link_set_endpoint(arg, &e);
	}
	__atomic_store_n(&writing_ended, true, __ATOMIC_RELAXED);
	return NULL;
}

static void an_endpoint_is_read_whole(void **state)
{
	struct link l = link_here();
	struct endpoint first = endpoint(1);
	pthread_t thread;

	link_set_endpoint(&l, &first);
	assert_int_equal(pthread_create(&thread, NULL, write_endpoints, &l), 0);
	while (!__atomic_load_n(&writing_ended, __ATOMIC_RELAXED)) {
		struct endpoint e = link_endpoint(&l), whole = endpoint((uint8_t)e.port);

		if (!endpoint_equal(&e, &whole))
			fail_msg("half of one endpoint, half of another");
	}
	pthread_join(thread, NULL);
}

static uint8_t visited[256];
static size_t n_visited;
static const struct link *only;

static bool note_and_keep(void *arg, const struct stash_packet *p)
{
	visited[n_visited++] = p->packet[0];
	return only && p->link == only;
}

static void packets_wait_in_order_and_within_bounds(void **state)
{
	static uint8_t big[65535];
	struct segment_header h = {.plain.gso_size = 5};
	struct link a = link_here(), b = link_here();
	struct stash s;
	size_t n = 0;

	assert_int_equal(stash_init(&s), 0);
	for (uint8_t i = 0; i < 100; i++) {
		struct link *l = i % 3 ? &a : &b;
		uint8_t packet[8] = {i};

		assert_int_equal(stash_add(&s, l, &h, packet, 1 + i % 8, 0), l == &b || i < 96);
	}
	assert_int_equal(a.waiting, STASH_PER_LINK);
	assert_int_equal(b.waiting, 34);
	only = &b;
	n_visited = 0;
	stash_visit(&s, note_and_keep, NULL);
	assert_int_equal(n_visited, 98);
	assert_int_equal(b.waiting, 0);
	only = NULL;
	n_visited = 0;
	stash_visit(&s, note_and_keep, NULL);
	assert_int_equal(n_visited, STASH_PER_LINK);
	for (size_t i = 1; i < n_visited; i++)
		assert_true(visited[i] > visited[i - 1] && visited[i] % 3);
	while (stash_add(&s, &b, &h, big, sizeof(big), 0))
		n++;
	assert_in_range(n, 14, 15);
	stash_fini(&s);
	assert_int_equal(a.waiting + b.waiting, 0);
}

/* Two devices whose owner does what a tunnel does; messages go straight to the other. */
struct end {
	struct device *device, *other;
	struct peer *peer;
	struct keypair *used;
	unsigned made, ended, ready;
	struct endpoint from;
	int refuse;
};

static struct end ends[2];
static uint64_t now_ms = 1000;

static void on_send(void *arg, const struct endpoint *to, const uint8_t *data, size_t size)
{
	struct end *e = arg, *other = &ends[e == ends];
	uint8_t copy[256];
	struct packet p = {.data = copy, .size = size};

	memcpy(copy, data, size);
	if (packet_kind(copy, size) != PACKET_DATA) {
		device_receive(other->device, &e->from, &p, 1, now_ms);
	} else {
		uint32_t local;

		memcpy(&local, ((struct packet_data *)copy)->receiver, sizeof(local));
		peer_on_opened(other->peer, local, &e->from, false, now_ms);
	}
}

static void on_event(void *arg, struct peer *peer, enum peer_event event)
{
	struct end *e = arg;

	assert_ptr_equal(peer_owner(peer), e);
	e->ready += event == PEER_READY;
}

static int on_made(void *arg, struct peer *peer, struct keypair *k)
{
	struct end *e = arg;

	if (e->refuse)
		return e->refuse;
	e->made++;
	k->owner = e;
	return 0;
}

static void on_used(void *arg, struct peer *peer, struct keypair *k)
{
	((struct end *)arg)->used = k;
}

static void on_ended(void *arg, struct peer *peer, struct keypair *k)
{
	struct end *e = arg;

	assert_ptr_equal(k->owner, e);
	assert_ptr_not_equal(k, e->used);
	e->ended++;
	keypair_free(k);
}

static const struct device_ops ops = {.send = on_send, .event = on_event, .session_made = on_made,
				      .session_used = on_used, .session_ended = on_ended};

static void a_device_tells_its_owner_of_sessions(void **state)
{
	for (int i = 0; i < 2; i++) {
		struct device_config c = {.private_key = {8, (uint8_t)i}, .wall_ns = 1000000000};

		ends[i] = (struct end){.from = endpoint((uint8_t)(1 + i))};
		assert_int_equal(device_new(&c, &ops, &ends[i], now_ms, &ends[i].device), 0);
	}
	for (int i = 0; i < 2; i++) {
		struct peer_config c = {.endpoint = endpoint((uint8_t)(2 - i)), .mtu = 1420, .owner = &ends[i]};

		memcpy(c.public_key, device_public_key(ends[!i].device), sizeof(c.public_key));
		assert_int_equal(peer_new(ends[i].device, &c, now_ms, &ends[i].peer), 0);
	}
	/* no memory for it at the one who answers: nothing is made, and nothing leaks */
	ends[1].refuse = -ENOMEM;
	peer_initiate(ends[0].peer, true, now_ms);
	assert_null(ends[0].used);
	assert_int_equal(device_drops(ends[1].device, DEVICE_NO_MEMORY), 1);
	ends[1].refuse = 0;
	for (int i = 0; i < 6; i++) {
		now_ms += 100;
		peer_initiate(ends[i & 1].peer, true, now_ms); /* its keepalive is what the other hears first */
		assert_non_null(ends[0].used);
		assert_non_null(ends[1].used);
		assert_int_equal(ends[0].used->local, ends[1].used->remote);
		assert_int_equal(ends[0].ready, i + 1);
		assert_int_equal(ends[1].ready, i + 1);
	}
	/* what they sent asks for the next session in time */
	now_ms += 121000;
	peer_on_sent(ends[1].peer, now_ms);
	assert_int_equal(ends[0].ready, 7);
	/* of a session that has ended nothing is made */
	peer_on_opened(ends[0].peer, 12345, NULL, true, now_ms);
	for (int i = 0; i < 2; i++) {
		device_free(ends[i].device);
		assert_null(ends[i].used);
		assert_int_equal(ends[i].made, 7);
		assert_int_equal(ends[i].ended, 7);
	}
}

static void longest_payloads_fit(void **state)
{
	assert_int_equal(tunnel_mtu(1500, false), 1440);
	assert_int_equal(tunnel_mtu(1500, true), 1420);
	assert_int_equal(tunnel_mtu(80, true), 0);
	assert_int_equal(tunnel_mtu(65535, false), 65475);
	for (int i = 0; i < TUNNEL_DROP_MAX; i++)
		assert_non_null(tunnel_drop_name(i));
}

static int start(void **state)
{
	plane.wake = eventfd(0, EFD_NONBLOCK);
	return plane.wake < 0 || secret_start(1 << 18) == -ENOMEM;
}

/* Of a node that asks on and on; another one is heard all the same. */
static void probes_of_one_session_leave_room_for_others(void **state)
{
	struct worker *w = calloc(1, sizeof(*w));
	struct plane *all = calloc(1, sizeof(*all));
	struct link links[2] = {0};
	struct keypair keys[2] = {0};
	uint8_t message[sizeof(struct packet_data) + PROBE_SIZE] = {[sizeof(struct packet_data)] = 0x10};
	struct packet p;

	assert_true(w && all);
	pthread_mutex_init(&all->inbox_lock, NULL);
	all->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	w->plane = all;
	for (uint32_t i = 0; i < 2; i++) {
		struct session s = {.local = 7 + i, .keypair = &keys[i], .link = &links[i]};

		for (unsigned n = 0; n < 1000; n++) {
			p = (struct packet){.data = message, .size = PROBE_SIZE};
			assert_int_equal(worker_take_probes(w, &s, &p, 1), 0);
		}
		assert_int_equal(all->n_probes, (i + 1) * PLANE_PROBES_OF_SESSION);
		assert_int_equal(all->probes[all->n_probes - 1].session, s.local);
		assert_int_equal(counter_get(&links[i].counters.drops[TUNNEL_BUSY]), 1000 - PLANE_PROBES_OF_SESSION);
	}
	close(all->wake);
	free(all);
	free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_retired_waits_for_every_reader),
		cmocka_unit_test(what_is_not_ready_is_retired_again),
		cmocka_unit_test(a_table_agrees_with_a_list),
		cmocka_unit_test(a_table_that_cannot_grow_stays_as_it_is),
		cmocka_unit_test(readers_see_a_table_that_changes_whole),
		cmocka_unit_test(a_note_is_left_once_and_wakes_when_it_has_to),
		cmocka_unit_test(what_was_opened_is_told),
		cmocka_unit_test(what_comes_through_a_relay_moves_who_is_nowhere),
		cmocka_unit_test(questions_and_answers_move_nobody),
		cmocka_unit_test(a_relay_is_used_while_it_is_reached_itself),
		cmocka_unit_test(an_endpoint_is_read_whole),
		cmocka_unit_test(packets_wait_in_order_and_within_bounds),
		cmocka_unit_test(a_device_tells_its_owner_of_sessions),
		cmocka_unit_test(longest_payloads_fit),
		cmocka_unit_test(probes_of_one_session_leave_room_for_others),
	};

	return cmocka_run_group_tests_name("wg_plane", tests, start, NULL);
}
