/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bgp_socket_state.h - what bgp_socket.c (connections, and the peers that may have some) and bgp_listener.c (what comes in)
 * share; nobody else includes it.
 */
#ifndef ISTHMUS_AGENT_BGP_SOCKET_STATE_H
#define ISTHMUS_AGENT_BGP_SOCKET_STATE_H

#include <netinet/in.h>
#include <sys/queue.h>
#include <sys/socket.h>

#include "agent/bgp_socket.h"
#include "lib/hmap.h"
#include "lib/log.h"
#include "lib/loop.h"

#define FAMILIES 2
#define LISTENERS (2 * FAMILIES) /* an address of each family, inside and not */
#define READ_SIZE 65536

struct peer {
	struct addr remote; /* key */
	struct addr local;
	char key[BGP_SOCKET_KEY_SIZE];
	uint8_t ttl_hops;
	bool inside;
	bool unkeyed; /* a listener does not have its key */
	unsigned n_accepted;
};

enum state {
	CONNECTING,
	OPEN,
	DRAINED, /* closed by us, and nobody knows its number any more */
};

struct tcp {
	uint64_t handle; /* key */
	struct bgp_sockets *all;
	struct addr remote;
	int fd;
	uint32_t device; /* that it is bound to; 0 = it is not inside */
	struct loop_io *io;
	enum state state;
	bool accepted;
	bool lost; /* its device is gone: nothing else would tell */
	uint64_t until_ms; /* DRAINED */
	TAILQ_ENTRY(tcp) link;
};

struct listener {
	struct bgp_sockets *all;
	struct addr local;
	uint32_t device; /* as of a connection */
	int fd; /* -1 = free */
	struct loop_io *io; /* NULL: it pauses */
};

struct bgp_sockets {
	struct loop *loop;
	const struct bgp_socket_ops *ops;
	void *arg;
	uint16_t port;
	uint32_t device;
	bool lost; /* there are connections that are */
	struct listener listeners[LISTENERS];
	struct hmap peers, connections;
	size_t n_anywhere[2][FAMILIES]; /* peers without a distance, inside or not, of IPv6 and IPv4 */
	uint64_t last_handle;
	TAILQ_HEAD(tcp_list, tcp) draining; /* the oldest first */
	size_t n_draining;
	struct loop_timer *timer;
	uint64_t accept_ms; /* when to accept again; 0 = does */
	struct log_limit stranger_limit, pause_limit;
	uint8_t buffer[READ_SIZE];
};

union name {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
	struct sockaddr_storage room;
};

/* ---- bgp_socket.c ---- */

socklen_t bgp_socket_name(const struct addr *a, uint16_t port, union name *out);
int bgp_socket_set(int fd, int level, int name, int value);
int bgp_socket_set_key(int fd, const struct addr *remote, const char *key);
int bgp_socket_set_common(int fd, bool v4); /* of listeners and connections */
int bgp_socket_set_distance(int fd, const struct peer *p);

int bgp_socket_bind_inside(int fd, uint32_t device);

/* Takes fd; or NULL. */
struct tcp *bgp_tcp_new(struct bgp_sockets *s, int fd, const struct addr *remote, uint32_t device, enum state state);
void bgp_sockets_arm(struct bgp_sockets *s); /* for what is due first */

/* ---- bgp_listener.c ---- */

bool bgp_listener_serves(const struct listener *l, const struct peer *p);
void bgp_listener_close(struct listener *l);
void bgp_listeners_resume(struct bgp_sockets *s); /* when accept_ms has come */
void bgp_listeners_set_distances(struct bgp_sockets *s, bool inside, bool v4);

#endif
