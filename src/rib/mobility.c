/* SPDX-License-Identifier: Apache-2.0 */
#include "rib/mobility.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

enum holder {
	HOLDER_LOCAL,
	HOLDER_REMOTE,
};

struct moving {
	struct mobility_key key;
	bool announcing;
	bool present; /* at a local port */
	bool frozen;  /* in favour of the holder */
	bool listed;  /* in one of the two lists, by `frozen` */
	enum holder holder;
	uint32_t sequence; /* ours */
	uint32_t highest;  /* of all that were seen, ours too */
	uint32_t moves;    /* since window_ms */
	uint64_t window_ms;
	uint64_t since_ms; /* last moved, or frozen */
	TAILQ_ENTRY(moving) by_time;
};

static_assert(sizeof(struct mobility_key) == 12, "mobility keys are hashed as bytes");

const char *mobility_alert_name(enum mobility_alert a)
{
	static const char *const names[] = {
		[MOBILITY_ALERT_NONE] = "none",
		[MOBILITY_ALERT_DUPLICATE] = "duplicate",
		[MOBILITY_ALERT_STICKY_LOCAL] = "sticky-here",
		[MOBILITY_ALERT_STICKY_REMOTE] = "sticky-elsewhere",
	};

	static_assert(sizeof(names) / sizeof(names[0]) == MOBILITY_ALERT_MAX, "a name per alert");
	return names[a];
}

static struct mobility_list *list_of(struct mobility *m, const struct moving *s)
{
	return s->frozen ? &m->frozen : &m->moved;
}

static void unlist(struct mobility *m, struct moving *s)
{
	if (s->listed)
		TAILQ_REMOVE(list_of(m, s), s, by_time);
	s->listed = false;
}

/* Both lists are in order of time: each has one delay for all. */
static void list_now(struct mobility *m, struct moving *s, uint64_t now_ms)
{
	unlist(m, s);
	s->since_ms = now_ms;
	s->listed = true;
	TAILQ_INSERT_TAIL(list_of(m, s), s, by_time);
}

static struct moving *moving_new(struct mobility *m, const struct mobility_key *key, uint64_t now_ms)
{
	struct moving *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->key = *key;
	if (hmap_add(&m->by_key, s) < 0) {
		free(s);
		return NULL;
	}
	list_now(m, s, now_ms);
	return s;
}

static void moving_free(struct mobility *m, struct moving *s)
{
	unlist(m, s);
	hmap_remove(&m->by_key, &s->key);
	free(s);
}

void mobility_init(struct mobility *m)
{
	*m = (struct mobility){.by_key = HMAP_INIT(struct moving, key)};
	TAILQ_INIT(&m->moved);
	TAILQ_INIT(&m->frozen);
}

void mobility_fini(struct mobility *m)
{
	struct moving *s;

	for (size_t i = 0; (s = hmap_next(&m->by_key, &i));)
		free(s);
	hmap_fini(&m->by_key);
	mobility_init(m);
}

/* RFC 7432 15: the higher sequence; among equal ones the lower address. */
static bool remote_is_better(uint32_t sequence, const struct mobility_local *local, const struct mobility_remote *remote)
{
	if (remote->sequence != sequence)
		return remote->sequence > sequence;
	return addr_compare(&remote->node, &local->node) < 0;
}

static uint32_t one_more(uint32_t sequence)
{
	return sequence == UINT32_MAX ? sequence : sequence + 1;
}

/* Whether this node announces, and as what, when nothing is frozen. */
static void settle(struct moving *s, const struct mobility_local *local, const struct mobility_remote *remote,
		   bool appeared)
{
	if (!local->present || (!local->sticky && remote->present && remote->sticky)) {
		s->announcing = false;
	} else if (local->sticky) { /* RFC 7432 15.2: with sequence 0, whatever there is elsewhere */
		s->announcing = true;
		s->sequence = 0;
	} else if (!remote->present || (appeared && !s->announcing)) {
		if (!s->announcing)
			s->sequence = one_more(s->highest);
		s->announcing = !remote->present || !remote_is_better(s->sequence, local, remote);
	} else if (s->announcing && remote_is_better(s->sequence, local, remote)) {
		s->announcing = false;
	}
	if (s->announcing && s->sequence > s->highest)
		s->highest = s->sequence;
}

/* `moves`: how many count from now on. */
static void freeze_end(struct mobility *m, struct moving *s, uint32_t moves, uint64_t now_ms)
{
	unlist(m, s);
	s->frozen = false;
	s->moves = moves;
	s->window_ms = now_ms;
	list_now(m, s, now_ms);
}

/* It goes over to the other holder; true when that is once too often. */
static bool count_move(struct mobility *m, struct moving *s, uint64_t now_ms)
{
	if (s->moves == 0 || now_ms - s->window_ms > MOBILITY_WINDOW_MS) {
		s->moves = 0;
		s->window_ms = now_ms;
	}
	list_now(m, s, now_ms);
	return ++s->moves >= MOBILITY_MOVES;
}

/* RFC 7432 15.1: the newcomer does not get it. */
static void freeze(struct mobility *m, struct moving *s, uint64_t now_ms)
{
	unlist(m, s);
	s->frozen = true;
	s->announcing = s->holder == HOLDER_LOCAL;
	list_now(m, s, now_ms);
}

static bool favourite_has_gone(const struct moving *s, const struct mobility_local *local,
			       const struct mobility_remote *remote)
{
	return s->holder == HOLDER_LOCAL ? !local->present : !remote->present;
}

static enum mobility_alert sticky_alert(const struct mobility_local *local, const struct mobility_remote *remote)
{
	if (!local->present || !remote->present || (!local->sticky && !remote->sticky))
		return MOBILITY_ALERT_NONE;
	return local->sticky ? MOBILITY_ALERT_STICKY_LOCAL : MOBILITY_ALERT_STICKY_REMOTE;
}

static uint32_t highest_of(const struct mobility_remote *remote)
{
	return remote->highest > remote->sequence ? remote->highest : remote->sequence;
}

static void update(struct mobility *m, struct moving *s, const struct mobility_local *local,
		   const struct mobility_remote *remote, bool appeared, uint64_t now_ms, struct mobility_verdict *out)
{
	enum mobility_alert alert = sticky_alert(local, remote);
	enum holder holder;

	if (remote->present && highest_of(remote) > s->highest)
		s->highest = highest_of(remote);
	if (s->present && !local->present && !s->frozen)
		list_now(m, s, now_ms); /* what it says needs the state no more */
	s->present = local->present;
	if (s->frozen && favourite_has_gone(s, local, remote)) {
		/* Somebody has to have it; but one that is back within the window is the newcomer then. */
		freeze_end(m, s, MOBILITY_MOVES - 1, now_ms);
		appeared = true;
	}
	if (!s->frozen) {
		settle(s, local, remote, appeared);
		holder = s->announcing ? HOLDER_LOCAL : remote->present ? HOLDER_REMOTE : s->holder;
		/* Of two sides of which one has gone none is a rival, however often that was. */
		if (holder != s->holder && count_move(m, s, now_ms) && local->present && remote->present) {
			freeze(m, s, now_ms);
			alert = MOBILITY_ALERT_DUPLICATE;
		} else {
			s->holder = holder;
		}
	}
	*out = (struct mobility_verdict){.announce = s->announcing && local->present,
					 .alert = alert};
	if (out->announce)
		out->sequence = s->sequence;
}

static int event(struct mobility *m, const struct mobility_key *key, const struct mobility_local *local,
		 const struct mobility_remote *remote, bool appeared, uint64_t now_ms, struct mobility_verdict *out)
{
	struct moving *s = hmap_get(&m->by_key, key);

	if (!s && !(local->present && remote->present)) {
		*out = (struct mobility_verdict){.announce = local->present};
		return 0;
	}
	if (!s) {
		s = moving_new(m, key, now_ms);
		if (!s)
			return -ENOMEM;
		/* Whoever was there before the event had it; this node with sequence 0, as there was no other. */
		s->holder = appeared ? HOLDER_REMOTE : HOLDER_LOCAL;
		s->announcing = !appeared;
	}
	update(m, s, local, remote, appeared, now_ms, out);
	return 0;
}

int mobility_local(struct mobility *m, const struct mobility_key *key, const struct mobility_local *local,
		   const struct mobility_remote *remote, uint64_t now_ms, struct mobility_verdict *out)
{
	return event(m, key, local, remote, local->present, now_ms, out);
}

int mobility_remote(struct mobility *m, const struct mobility_key *key, const struct mobility_local *local,
		    const struct mobility_remote *remote, uint64_t now_ms, struct mobility_verdict *out)
{
	return event(m, key, local, remote, false, now_ms, out);
}

/* Does what this node says of it, or does not say, rest on the state? */
static bool is_needed(const struct moving *s)
{
	return s->present && !(s->announcing && s->sequence == 0);
}

static uint64_t due_of(const struct moving *s, uint64_t delay_ms)
{
	return s ? s->since_ms + delay_ms : UINT64_MAX;
}

static uint64_t moved_due(const struct mobility *m)
{
	return due_of(TAILQ_FIRST(&m->moved), MOBILITY_WINDOW_MS + 1);
}

static uint64_t frozen_due(const struct mobility *m)
{
	return due_of(TAILQ_FIRST(&m->frozen), MOBILITY_FREEZE_MS);
}

uint64_t mobility_due(const struct mobility *m)
{
	uint64_t moved = moved_due(m), frozen = frozen_due(m);

	return moved < frozen ? moved : frozen;
}

uint64_t mobility_expire(struct mobility *m, uint64_t now_ms, void (*fn)(void *arg, const struct mobility_key *key),
			 void *arg)
{
	struct moving *s;

	while ((s = TAILQ_FIRST(&m->frozen)) && frozen_due(m) <= now_ms) {
		freeze_end(m, s, 0, now_ms);
		fn(arg, &s->key);
	}
	while ((s = TAILQ_FIRST(&m->moved)) && moved_due(m) <= now_ms) {
		if (is_needed(s))
			unlist(m, s);
		else
			moving_free(m, s);
	}
	return mobility_due(m);
}

bool mobility_knows(const struct mobility *m, const struct mobility_key *key)
{
	return m->by_key.length > 0 && hmap_get(&m->by_key, key);
}

bool mobility_free(struct mobility *m, const struct mobility_key *key, uint64_t now_ms)
{
	struct moving *s = hmap_get(&m->by_key, key);

	if (!s || !s->frozen)
		return false;
	freeze_end(m, s, 0, now_ms);
	return true;
}

bool mobility_next(const struct mobility *m, size_t *cursor, struct mobility_view *out)
{
	const struct moving *s = hmap_next(&m->by_key, cursor);

	if (!s)
		return false;
	*out = (struct mobility_view){.key = s->key,
				      .sequence = s->highest,
				      .moves = s->moves,
				      .here = s->holder == HOLDER_LOCAL,
				      .frozen = s->frozen,
				      .frozen_until_ms = s->frozen ? s->since_ms + MOBILITY_FREEZE_MS : 0};
	return true;
}
