/* SPDX-License-Identifier: Apache-2.0 */
#include "api/client.h"

#include <assert.h>
#include <errno.h>
#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>

#include "lib/cleanup.h"
#include "lib/log.h"
#include "lib/loop.h"

#define ROOM (CLIENTS_MAX / 4) /* kept free, for those who come while others are being closed */
#define REAP_MS 500
#define FIRST_MS 5000   /* from connecting, or from the first line of a request, to the end of its headers */
#define BODY_MS 5000    /* more for a body, and a second for each MiB of it */
#define REST_MS 30000   /* between requests */
#define ANSWER_MS 60000 /* of a reply that the client does not read */
/* Work for others than root: a fifth of the time for one user, half of it for all, after so much without waiting. */
#define SHARE_ONE 5
#define SHARE_ALL 2
#define BURST_US 100000
#define DEBT_MAX_US 1000000

enum client_state {
	CLIENT_NEW,      /* nothing came yet that looks like a request */
	CLIENT_ASKING,   /* a part of a request came */
	CLIENT_ANSWERED, /* the rest is up to us, or it reads */
	CLIENT_RESTING,
	CLIENT_ENDING, /* shut down; microhttpd will notice */
	CLIENT_STATE_MAX
};

struct user {
	struct user *next;
	int uid;
	size_t n;         /* connections that are not ending */
	size_t n_clients; /* those that are, too: they point here */
	uint64_t free_us; /* see client_turn */
};

struct client {
	struct clients *all;
	struct client *older, *newer;
	struct client *next_turn;
	struct MHD_Connection *handle;
	int fd; /* microhttpd's */
	struct api_user who;
	struct user *user;
	enum client_state state;
	uint64_t since_ms; /* of the state; of an answer: since the last piece of it */
	uint64_t received;
	bool suspended;
};

/* ---- who it is ---- */

static bool in_group(int fd, gid_t primary, gid_t group)
{
	_cleanup_(free) gid_t *groups = NULL;
	socklen_t size = 0;

	if (primary == group)
		return true;
	/* The first call tells the size; the groups are those of the moment of connect() and do not change after. */
	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, NULL, &size) == 0 || errno != ERANGE)
		return false;
	groups = malloc(size);
	if (!groups || getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &size) < 0)
		return false;
	for (size_t i = 0; i < size / sizeof(gid_t); i++)
		if (groups[i] == group)
			return true;
	return false;
}

static struct api_user identify(const struct clients *all, int fd)
{
	struct ucred cred;
	socklen_t size = sizeof(cred);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &size) < 0)
		return (struct api_user){.access = API_ACCESS_NONE, .uid = -1};
	if (cred.uid == 0)
		return (struct api_user){.access = API_ACCESS_ALL, .uid = 0};
	if (all->has_group && in_group(fd, cred.gid, all->group))
		return (struct api_user){.access = API_ACCESS_READ, .uid = (int)cred.uid};
	return (struct api_user){.access = API_ACCESS_NONE, .uid = (int)cred.uid};
}

static struct user *find_user(struct clients *all, int uid)
{
	struct user *u;

	for (u = all->users; u; u = u->next)
		if (u->uid == uid)
			return u;
	u = calloc(1, sizeof(*u));
	if (!u)
		return NULL;
	*u = (struct user){.next = all->users, .uid = uid};
	all->users = u;
	return u;
}

/* Whoever still has to wait is remembered, or connecting again would be a way round it. */
static void forget_users(struct clients *all, uint64_t now_us)
{
	for (struct user **at = &all->users; *at;) {
		struct user *u = *at;

		if (u->n_clients > 0 || u->free_us > now_us) {
			at = &u->next;
			continue;
		}
		*at = u->next;
		free(u);
	}
}

/* ---- ending it ---- */

static void change_state(struct client *c, enum client_state state)
{
	if (c->state == CLIENT_ENDING)
		return;
	c->state = state;
	c->since_ms = loop_now_ms(c->all->loop);
	if (state == CLIENT_ENDING)
		c->user->n--;
}

static void resume(struct client *c)
{
	struct client **at = &c->all->next_turn, *last = NULL;

	if (!c->suspended)
		return;
	for (; *at != c; at = &(*at)->next_turn)
		last = *at;
	*at = c->next_turn;
	if (c->all->last_turn == c)
		c->all->last_turn = last;
	c->suspended = false;
	c->all->changed = true;
	MHD_resume_connection(c->handle);
}

static void end(struct client *c)
{
	change_state(c, CLIENT_ENDING);
	shutdown(c->fd, SHUT_RDWR);
	resume(c);
}

void client_refuse(struct client *c, struct api_reply *reply)
{
	char head[256];
	int size = snprintf(head, sizeof(head),
			    "HTTP/1.1 %d %s\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n"
			    "Connection: close\r\n\r\n",
			    reply->status, MHD_get_reason_phrase_for((unsigned)reply->status), reply->body_size);

	/* Whoever does not read gets nothing, or a part. */
	if (c->state != CLIENT_ENDING && send(c->fd, head, (size_t)size, MSG_DONTWAIT | MSG_NOSIGNAL) == size &&
	    reply->body)
		(void)!send(c->fd, reply->body, reply->body_size, MSG_DONTWAIT | MSG_NOSIGNAL);
	api_reply_fini(reply);
	end(c);
}

/* Says why, where a request was begun: a client between two requests would take it for the answer to its next. */
static void end_saying(struct client *c, int status, const char *code, const char *hint, const char *what)
{
	struct api_reply reply = {.status = status};

	if (c->state != CLIENT_NEW && c->state != CLIENT_ASKING) {
		end(c);
		return;
	}
	api_reply_error(&reply, status, code, hint, NULL, "%s", what);
	client_refuse(c, &reply);
}

/* ---- too many ---- */

static size_t allowance(enum api_access access)
{
	static const size_t allowances[] = {
		[API_ACCESS_NONE] = 8, /* each gets its 403 */
		[API_ACCESS_READ] = CLIENTS_MAX / 4,
		[API_ACCESS_ALL] = CLIENTS_MAX - ROOM,
	};

	return allowances[access];
}

/* The one of this user that has waited longest for its client; one that is being answered only if there is no other. */
static struct client *most_dispensable(const struct clients *all, const struct user *user)
{
	struct client *found = NULL;

	for (struct client *c = all->oldest; c; c = c->newer) {
		bool better;

		if (c->user != user || c->state == CLIENT_ENDING)
			continue;
		better = !found || (c->state != CLIENT_ANSWERED && found->state == CLIENT_ANSWERED) ||
			 ((c->state == CLIENT_ANSWERED) == (found->state == CLIENT_ANSWERED) &&
			  c->since_ms < found->since_ms);
		if (better)
			found = c;
	}
	return found;
}

static void make_room(struct clients *all, struct user *of)
{
	static struct log_limit limit;
	struct client *c = most_dispensable(all, of);

	if (!c)
		return;
	log_limited(&limit, LOG_LEVEL_WARNING,
		    "api: user %d has %zu connections: the one that has waited longest is closed", of->uid, of->n);
	end_saying(c, 429, "IST-4291", "close connections that are not used",
		   "so many connections of this user are open that this one had to make room");
}

static void keep_within_limits(struct clients *all, const struct client *newcomer)
{
	struct user *most = NULL;
	size_t n = 0;

	if (newcomer->user->n >= allowance(newcomer->who.access))
		make_room(all, newcomer->user);
	for (struct user *u = all->users; u; u = u->next) {
		n += u->n;
		if (!most || u->n > most->n)
			most = u;
	}
	if (most && n >= CLIENTS_MAX - ROOM)
		make_room(all, most);
}

struct client *client_new(struct clients *all, struct MHD_Connection *handle, int fd)
{
	struct client *c = calloc(1, sizeof(*c));

	if (c) {
		c->who = identify(all, fd);
		c->user = find_user(all, c->who.uid);
	}
	if (!c || !c->user) {
		free(c);
		shutdown(fd, SHUT_RDWR);
		return NULL;
	}
	c->all = all;
	c->handle = handle;
	c->fd = fd;
	c->since_ms = loop_now_ms(all->loop);
	keep_within_limits(all, c);
	c->user->n++;
	c->user->n_clients++;
	c->older = all->newest;
	if (c->older)
		c->older->newer = c;
	else
		all->oldest = c;
	all->newest = c;
	if (all->n++ == 0)
		loop_timer_set(all->loop, all->reaper, c->since_ms + REAP_MS);
	return c;
}

void client_free(struct client *c)
{
	struct clients *all = c->all;

	assert(!c->suspended);
	change_state(c, CLIENT_ENDING);
	c->user->n_clients--;
	if (c->newer)
		c->newer->older = c->older;
	else
		all->newest = c->older;
	if (c->older)
		c->older->newer = c->newer;
	else
		all->oldest = c->newer;
	all->n--;
	all->changed = true;
	free(c);
}

/* ---- too slow ---- */

static uint64_t patience_ms(const struct client *c)
{
	switch (c->state) {
	case CLIENT_NEW:
		return FIRST_MS;
	case CLIENT_ASKING:
		return FIRST_MS + (c->received ? BODY_MS + (c->received >> 20) * 1000 : 0);
	case CLIENT_ANSWERED:
		return c->suspended ? UINT64_MAX : ANSWER_MS;
	default:
		return REST_MS;
	}
}

static void on_reap(void *arg)
{
	struct clients *all = arg;
	uint64_t now_ms = loop_now_ms(all->loop);

	for (struct client *c = all->oldest; c; c = c->newer)
		if (c->state != CLIENT_ENDING && now_ms - c->since_ms > patience_ms(c))
			end_saying(c, 408, "IST-4081", "send the whole request at once",
				   "the request did not come to its end in time");
	forget_users(all, client_clock_us());
	if (all->n > 0 || all->users)
		loop_timer_set(all->loop, all->reaper, now_ms + REAP_MS);
}

const struct api_user *client_user(const struct client *c)
{
	return &c->who;
}

bool client_is_ending(const struct client *c)
{
	return c->state == CLIENT_ENDING;
}

void client_asks(struct client *c)
{
	c->received = 0;
	change_state(c, CLIENT_ASKING);
}

void client_received(struct client *c, size_t size)
{
	c->received += size;
}

void client_is_answered(struct client *c)
{
	change_state(c, CLIENT_ANSWERED);
}

void client_rests(struct client *c)
{
	change_state(c, CLIENT_RESTING);
}

/* ---- too busy ---- */

uint64_t client_clock_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

/*
 * Work that took a while is paid for by waiting a multiple of that while: free_us is when all is paid.  What is owed
 * has an end, or one long list would shut its reader out.
 */
static void pay(uint64_t *free_us, uint64_t now_us, uint64_t us)
{
	if (*free_us < now_us)
		*free_us = now_us;
	*free_us += us;
	if (*free_us > now_us + DEBT_MAX_US)
		*free_us = now_us + DEBT_MAX_US;
}

/* When the user may have a turn. */
static uint64_t turn_us(const struct client *c)
{
	uint64_t free_us = c->user->free_us > c->all->others_free_us ? c->user->free_us : c->all->others_free_us;

	return free_us > BURST_US ? free_us - BURST_US : 0;
}

static void arm_turn(struct clients *all, uint64_t now_us)
{
	uint64_t first = UINT64_MAX;

	for (const struct client *c = all->next_turn; c; c = c->next_turn)
		if (turn_us(c) < first)
			first = turn_us(c);
	if (first != UINT64_MAX)
		loop_timer_set(all->loop, all->turn,
			       loop_now_ms(all->loop) + (first > now_us ? (first - now_us) / 1000 : 0) + 1);
}

/* One at a time: what it does is paid before the next one is asked. */
static void on_turn(void *arg)
{
	struct clients *all = arg;
	uint64_t now_us = client_clock_us();

	for (struct client *c = all->next_turn; c; c = c->next_turn)
		if (turn_us(c) <= now_us) {
			resume(c);
			break;
		}
	all->wake(all->arg);
	arm_turn(all, client_clock_us());
}

bool client_turn(struct client *c)
{
	struct clients *all = c->all;
	uint64_t now_us = client_clock_us();

	if (c->who.access == API_ACCESS_ALL || turn_us(c) <= now_us)
		return true;
	c->next_turn = NULL;
	if (all->next_turn)
		all->last_turn->next_turn = c;
	else
		all->next_turn = c;
	all->last_turn = c;
	c->suspended = true;
	MHD_suspend_connection(c->handle);
	arm_turn(all, now_us);
	return false;
}

void client_worked(struct client *c, uint64_t us)
{
	uint64_t now_us = client_clock_us();

	c->since_ms = loop_now_ms(c->all->loop);
	if (c->who.access == API_ACCESS_ALL)
		return;
	pay(&c->user->free_us, now_us, us * SHARE_ONE);
	pay(&c->all->others_free_us, now_us, us * SHARE_ALL);
}

/* ---- all of them ---- */

int clients_init(struct clients *all, struct loop *loop, void (*wake)(void *arg), void *arg)
{
	int r;

	*all = (struct clients){.loop = loop, .wake = wake, .arg = arg};
	r = loop_timer_add(loop, on_reap, all, &all->reaper);
	return r < 0 ? r : loop_timer_add(loop, on_turn, all, &all->turn);
}

void clients_resume(struct clients *all)
{
	while (all->next_turn)
		end(all->next_turn);
}

void clients_fini(struct clients *all)
{
	if (all->loop) {
		loop_timer_remove(all->loop, all->reaper);
		loop_timer_remove(all->loop, all->turn);
	}
	while (all->users) {
		struct user *u = all->users;

		all->users = u->next;
		free(u);
	}
}
