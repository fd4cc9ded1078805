/* SPDX-License-Identifier: Apache-2.0 */
/*
 * harness.h - runs one frame through the data plane twice, in the kernel (BPF_PROG_TEST_RUN) and as a host build, and
 * says what became of it.
 *
 * Both runs see the tables of fabric.c.  Verdict, bytes, mark, drop counters, counters and copies must be the same in
 * both, or the test fails there; where a redirect goes only the host build can tell.
 *
 * Call order: harness_setup and harness_teardown as the group's fixtures, harness_reset as the set-up of each test.
 */
#ifndef ISTHMUS_TEST_HARNESS_H
#define ISTHMUS_TEST_HARNESS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "bpf/abi.h"
#include "fabric.h"
#include "frame.h"
#include "host/host.h"
#include "room.h"

#define COPIES_MAX 24
#define VERDICT_UNSPEC -1
#define VERDICT_OK 0
#define VERDICT_SHOT 2
#define VERDICT_STOLEN 4
#define VERDICT_REDIRECT 7

struct outcome {
	int verdict;
	uint32_t mark;
	uint16_t protocol; /* skb->protocol at the end, of the host build */
	enum host_redirect how;
	uint32_t ifindex; /* of the redirect */
	struct frame out; /* size and data only */
	uint64_t drops[DROP_MAX]; /* made by this run */
	struct abi_counter counters[COUNTER_MAX];
	size_t copies_length;
	struct arrival copies[COPIES_MAX];
};

struct run_options {
	uint32_t mark;
	uint32_t gso_size, gso_segs;
};

int harness_setup(void **state);
int harness_teardown(void **state);
int harness_reset(void **state);
void harness_routes(void); /* what bpf_fib_lookup finds, as at the start; of the host build */
bool harness_has_decap_flags(void); /* are the programs loaded as for a kernel that has them? */

/* Valid after harness_setup. */
struct bpf_object;
struct bpf_object *harness_object(void);
int harness_program_fd(enum host_program program);
int harness_attach(void); /* to all devices of the room, so that real packets meet the programs; 0 or -errno */
uint64_t harness_counter(enum counter counter); /* packets, in the kernel, of all CPUs */
uint64_t harness_drops(enum drop_reason reason);
/* BPF_PROG_TEST_RUN of recent kernels refuses frames that are named IP and have no whole IP header. */
bool harness_kernel_takes(const struct frame *f);
/* Equal but for the outer UDP source port: the kernel's flow hash has a random seed. */
bool harness_same_frame(const uint8_t *a, size_t a_size, const uint8_t *b, size_t b_size);

/*
 * What the programs remember of flows (bpf/memo.h) holds from harness_reset on.  forget: all of it goes; with `again`
 * false nothing is remembered from then on.  disturb: the tables are being changed; settle: they were.
 */
void harness_forget(bool again);
void harness_disturb(void);
void harness_settle(void);

/* One entry of one map, in the kernel and in the host build; harness_reset puts fabric.c's back. */
void table_put(const char *map, const void *key, const void *value);
void table_remove(const char *map, const void *key);
void table_lose(const char *map, const void *key); /* the programs are not told: what they remember goes on */

/*
 * The short way for very many frames: verdict, bytes and drop reasons of both runs, NULL when they agree or what
 * differs. The host's result stays in *host.  A frame that the kernel does not take is only run by the host build.
 */
const char *harness_disagree(enum host_program program, uint32_t ifindex, const struct frame *in,
			     struct host_result *host);

/*
 * The shorter way for a hundred million: harness_compare looks at verdict and bytes only; drop reasons and counters of
 * all frames between harness_mark and harness_differs are compared at once.  NULL when they agree.
 */
const char *harness_compare(enum host_program program, uint32_t ifindex, const struct frame *in,
			    struct host_result *host);
void harness_mark(void);
const char *harness_differs(void);

void run(enum host_program program, uint32_t ifindex, const struct frame *in, struct outcome *o);
void run_with(enum host_program program, uint32_t ifindex, const struct frame *in, const struct run_options *options,
	      struct outcome *o);

/* ---- what must have become of it ---- */

void expect_bytes(const struct outcome *o, const struct frame *want);
void expect_no_drop(const struct outcome *o);
/* Dropped, once, for this reason and no other; nothing else happened. */
void expect_drop(const struct outcome *o, enum drop_reason reason);
/* Delivered to the port of a local endpoint, as its next hop says, with exactly these bytes. */
void expect_port(const struct outcome *o, enum endpoint_id to, const struct frame *want);
/*
 * By bpf_redirect_peer, whose receiver believes skb->protocol, only where that names the frame; else by egress with our
 * mark, where the receiver looks at the type anew.
 */
void expect_way_to_port(const struct outcome *o, enum endpoint_id to);
/* Into a tunnel, by the device that encrypts where the next hop asks for it: outer headers exact, inner bytes these. */
void expect_tunnel(const struct outcome *o, uint32_t nexthop, uint32_t vni, const struct frame *inner);
/* Turned round: goes out of the port it came from. */
void expect_answer(const struct outcome *o, enum endpoint_id asker, const struct frame *want);
/* A counter grew by so many packets. */
void expect_count(const struct outcome *o, enum counter counter, uint64_t packets);
/* Copies: exactly one to each of these, in any order. */
const struct arrival *copy_to(const struct outcome *o, uint32_t ifindex);
void expect_copies(const struct outcome *o, size_t length);

/* Runs at the endpoint's port. */
static inline void from_port(enum endpoint_id from, const struct frame *in, struct outcome *o)
{
	run(HOST_PORT_INGRESS, endpoints[from].ifindex, in, o);
}

static inline void from_wire(const struct frame *in, struct outcome *o)
{
	run(HOST_WIRE_INGRESS, IF_UNDERLAY, in, o);
}

/* As what was decrypted. */
static inline void from_secure(const struct frame *in, struct outcome *o)
{
	run(HOST_WIRE_INGRESS, IF_SECURE, in, o);
}

#define DATAPATH_TEST(f) cmocka_unit_test_setup(f, harness_reset)
#define DATAPATH_RUN(tests) cmocka_run_group_tests(tests, harness_setup, harness_teardown)

#endif
