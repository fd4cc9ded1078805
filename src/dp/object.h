/* SPDX-License-Identifier: Apache-2.0 */
/*
 * object.h - the BPF object that this binary carries, and what the kernel under it can do; private to dp/.
 *
 * object_open, set up maps (sizes, descriptors to reuse), object_load, take descriptors, object_close.
 */
#ifndef ISTHMUS_DP_OBJECT_H
#define ISTHMUS_DP_OBJECT_H

#include <bpf/libbpf.h>
#include <stdbool.h>
#include <stdint.h>

struct object;

int object_open(struct object **out); /* flags for the programs are set from probes */
void object_close(struct object *o);  /* NULL allowed */
int object_load(struct object *o);
struct bpf_object *object_bpf(const struct object *o);
/* Stands for the bytes of the programs and the flags that they are given; never 0. */
uint64_t object_build(const struct object *o);

/* Does bpf_skb_adjust_room know BPF_F_ADJ_ROOM_DECAP_L3_IPV4 (Linux 6.3)? */
bool object_probe_decap_flags(void);

#endif
