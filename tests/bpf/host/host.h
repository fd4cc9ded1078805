/* SPDX-License-Identifier: Apache-2.0 */
/*
 * host.h - the data plane's programs as ordinary functions, with the kernel's helpers played by this folder.
 *
 * Why: a second run of the same source outside the kernel shows what BPF_PROG_TEST_RUN hides (where a redirect goes,
 * the copies of a replication), runs under sanitizers, and can be fuzzed.  test_differential.c holds both to the same
 * result on every frame, so the helpers here must do what the kernel's do, refusals included.
 *
 * Call order: host_init once, host_map_* and host_route_add to fill the tables, host_run per frame.  A result points
 * into buffers that the next host_run reuses.  One thread.
 */
#ifndef ISTHMUS_HOST_H
#define ISTHMUS_HOST_H

#include <linux/bpf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bpf/abi.h"

#define HOST_FRAME_MAX (64 * 1024)
#define HOST_COPIES_MAX 512
#define HOST_NO_DEVICE 9999 /* an ifindex that no device has */

enum host_program {
	HOST_PORT_INGRESS,
	HOST_PORT_EGRESS,
	HOST_WIRE_INGRESS,
	HOST_SECURE_EGRESS,
	HOST_PROGRAM_MAX,
};

void host_init(void);
/* The MAC of a device: what comes there for another is not for this node.  All frames are for a device without one. */
void host_device(uint32_t ifindex, const uint8_t mac[6]);
void host_device_mtu(uint32_t ifindex, uint32_t mtu); /* what bpf_check_mtu says of it; 0: it is gone, as the others are */
/* Look-ups of sockets find one that is bound to it, 0: to none; HOST_NO_DEVICE, as at first: they find no socket. */
void host_socket(uint32_t bound_dev_if);
void host_set_decap_flags(bool have); /* writes the program's read-only constant, as the loader does */

/* ---- map.c ---- */

struct host_map;

struct host_map *host_map_find(const char *name); /* NULL when the program has no such map */
void *host_map_get(struct host_map *m, const void *key); /* NULL: not there */
void host_map_put(struct host_map *m, const void *key, const void *value);
bool host_map_remove(struct host_map *m, const void *key);
void host_map_clear(struct host_map *m); /* arrays: zeroes */
/* Only for program.c. */
void host_map_register(void *decl, const char *name, uint32_t type, size_t key_size, size_t value_size,
		       size_t max_elements);

/* ---- redirect.c ---- */

/* What bpf_fib_lookup finds.  The longest prefix that was added decides; none: BPF_FIB_LKUP_RET_NOT_FWDED. */
struct host_route {
	struct abi_addr prefix; /* mapped form */
	uint32_t length;	/* of 128 */
	int result;		/* BPF_FIB_LKUP_RET_* */
	uint32_t ifindex;
	uint32_t mtu;
	uint8_t smac[6], dmac[6];
};

void host_route_add(const struct host_route *r);
void host_route_clear(void);

enum host_redirect {
	HOST_REDIRECT_NONE,
	HOST_REDIRECT_EGRESS,
	HOST_REDIRECT_INGRESS,
	HOST_REDIRECT_PEER,
	HOST_REDIRECT_NEIGH,
};

struct host_input {
	const uint8_t *data;
	size_t size;
	uint32_t ifindex;
	uint32_t mark;
	uint32_t gso_size, gso_segs;
	bool gso_tcp; /* BPF_PROG_TEST_RUN cannot say so: there a super-packet has no type, and room is refused */
	bool encapsulated; /* marked as in a tunnel already, as what crossed a veth is; nor can it say this */
	uint32_t linear; /* bytes that the program sees before it pulls more; 0: all */
	uint32_t vlan_tci; /* a tag beside the frame, as a device leaves it; | 1 << 16: present */
};

struct host_copy { /* of bpf_clone_redirect */
	uint32_t ifindex;
	uint64_t flags;
	uint32_t mark;
	uint32_t size;
	const uint8_t *data;
};

struct host_result {
	int verdict;
	enum host_redirect redirect;
	uint32_t redirect_ifindex;
	uint32_t mark;
	uint16_t protocol; /* skb->protocol, host order: what bpf_redirect_peer's receiver takes the frame for */
	uint32_t size;
	const uint8_t *data;
	uint32_t copies_length;
	struct host_copy copies[HOST_COPIES_MAX];
};

void host_run(enum host_program program, const struct host_input *in, struct host_result *out);
/* Events that the run left in the ring buffer, NULL when none. */
const struct abi_event *host_last_event(void);

/* Only for program.c, which has it, and redirect.c. */
int host_program_call(enum host_program program, struct __sk_buff *skb);

#endif
