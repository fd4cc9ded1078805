/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client.h - who is connected to the socket, what each may, and how long the others wait for him: not at all.
 *
 * server.c tells of each connection (client_new, client_free) and of what it does (client_asks, client_received,
 * client_is_answered, client_rests), and asks for a turn before work is done for it (client_turn).  What follows is
 * decided here: the user comes from the kernel, at the moment of connect(); a request that does not come to its end is
 * ended; the connection that has waited longest makes room when there are too many, first of all one of the user that
 * has most; and users other than root share a part of the control thread's time.  Belongs to the server's thread.
 */
#ifndef ISTHMUS_CLIENT_H
#define ISTHMUS_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "api/route.h"

#define CLIENTS_MAX 256 /* at once; a quarter of them is being closed at most */

struct client;
struct loop;
struct loop_timer;
struct user;
struct MHD_Connection;

struct clients {
	struct loop *loop;
	struct loop_timer *reaper, *turn;
	struct client *oldest, *newest;
	struct client *next_turn, *last_turn; /* waiting for one */
	struct user *users;
	size_t n;
	uint64_t others_free_us; /* see client_turn */
	gid_t group;
	bool has_group;
	bool changed; /* one ended or goes on: microhttpd has to run once more; the server takes it back */
	void (*wake)(void *arg); /* ... outside of its own turn */
	void *arg;
};

int clients_init(struct clients *all, struct loop *loop, void (*wake)(void *arg), void *arg);
void clients_resume(struct clients *all); /* lets all who wait go on, for the end */
void clients_fini(struct clients *all);   /* when every client is freed */

/* NULL: no memory, or not to be served; then the connection is ending. */
struct client *client_new(struct clients *all, struct MHD_Connection *handle, int fd);
void client_free(struct client *c);

const struct api_user *client_user(const struct client *c);
bool client_is_ending(const struct client *c); /* nothing needs to be done for it any more */

void client_asks(struct client *c);                  /* a request has begun */
void client_received(struct client *c, size_t size); /* of its body */
void client_is_answered(struct client *c);           /* the reply is on its way */
void client_rests(struct client *c);                 /* it was sent; maybe there is another request */

/*
 * May work be done for this client now?  If not, it is suspended; microhttpd asks again later.  client_worked says how
 * long it took (from client_clock_us).
 */
bool client_turn(struct client *c);
void client_worked(struct client *c, uint64_t us);
uint64_t client_clock_us(void);

/* Answers without microhttpd, which has no way to in the middle of a body, and ends the connection.  Takes the reply. */
void client_refuse(struct client *c, struct api_reply *reply);

#endif
