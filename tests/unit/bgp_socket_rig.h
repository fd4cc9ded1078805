/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bgp_socket_rig.h - TCP under the speaker, on a loopback of its own: two ends in one loop, or one end and a hand that
 * does what a peer should not.
 */
#ifndef ISTHMUS_TEST_BGP_SOCKET_RIG_H
#define ISTHMUS_TEST_BGP_SOCKET_RIG_H

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "agent/bgp_socket.h"
#include "lib/loop.h"
#include "sandbox.h"

#define PORT 179
#define A "127.0.0.1"
#define B "127.0.0.2"

/* What an end was told, the last of each. */
struct end {
	struct bgp_sockets *sockets;
	uint64_t accepted, connected, failed, closed, writable;
	unsigned n_accepted, n_closed;
	char why[128];
	size_t size;
	uint8_t data[64];
};

struct world {
	struct sandbox box;
	struct loop *loop;
	struct end a, b;
};

/* Turns the loop until it is so, for a few seconds at most. */
#define UNTIL(w, condition)                                                                                            \
	do {                                                                                                           \
		bool is_so_ = false;                                                                                   \
		for (int n_ = 0; n_ < 500 && !(is_so_ = (condition)); n_++)                                            \
			assert_true(loop_step((w)->loop, 10) >= 0);                                                    \
		assert_true(is_so_);                                                                                   \
	} while (0)

extern const struct bgp_socket_ops rig_ops; /* note in a struct end what they are told */
int rig_setup(void **state);
int rig_teardown(void **state);
struct addr address(const char *text);
void step(struct world *w, unsigned ms); /* turns the loop for so long */

/* Gives an end that peer; one that is new listens. */
void begin(struct world *w, struct end *e, const char *local, const char *peer, const char *key, uint8_t hops);
uint64_t reach_out(struct end *e, const struct addr *remote);
uint64_t join(struct world *w); /* b connects to a; b's handle */

/* A hand: a plain socket from `local` to A; `room`: of its buffer, 0 = as usual. */
int hand_with(const char *local, int ttl, int room);
int hand(const char *local);
bool is_reset(int fd);

#define TEST(f) cmocka_unit_test_setup_teardown(f, rig_setup, rig_teardown)

#endif
