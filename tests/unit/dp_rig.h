/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dp_rig.h - a data plane in a namespace and a BPF directory of its own, entries to put into it, and looks at what the
 * kernel then has.
 *
 * Call order: setup and teardown are the fixtures of each test (DP_TEST); w->dp is opened by open_it or load_full and closed
 * by close_it or the teardown.  One thread.
 */
#ifndef ISTHMUS_TEST_DP_RIG_H
#define ISTHMUS_TEST_DP_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "dp/datapath.h"
#include "sandbox.h"

#define PORT_OWNER 0x1111
#define TUNNEL_OWNER 0x2222
#define TUNNEL6_OWNER 0x3333

struct world {
	struct sandbox box;
	char bpf_dir[80];
	struct datapath *dp;
};

#define N_FULL 15

/* As it is pinned by this version. */
#define PIN(map) map "_v" PIN_TEXT(ABI_VERSION)
#define PIN_TEXT(number) PIN_TEXT_(number)
#define PIN_TEXT_(number) #number

struct addr address(const char *text);
struct mac mac(const char *text);
struct fwd a_port_nexthop(uint64_t owner, uint32_t ifindex);
struct fwd a_tunnel(uint64_t owner, const char *remote, const char *local);
struct fwd a_member(const char *source);
struct fwd a_prefix(const char *text);
struct fwd a_host(const char *text, uint64_t owner);
struct fwd a_mac(const char *text, uint64_t owner);
struct fwd a_port(uint32_t ifindex);
struct fwd a_flood(uint32_t vni, uint64_t owner);
void full_state(struct fwd out[N_FULL]);
int put_all(struct datapath *dp);
struct datapath *open_it(const struct world *w, bool read_only);
int load_full(struct world *w);
void close_it(struct world *w);
bool pin_exists(const struct world *w, const char *name);
int pinned(const struct world *w, const char *name);
uint32_t make_veth(const char *a, const char *b);
int filters_on(const char *device);
bool has_clsact(const char *device);
int setup(void **state);
int teardown(void **state);
uint32_t id_of(const struct world *w, uint64_t owner);
uint32_t slot_value(const struct world *w, uint32_t vni, uint16_t kind, uint16_t slot);

#define DP_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

#endif
