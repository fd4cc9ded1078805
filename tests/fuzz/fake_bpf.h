/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fake_bpf.h - BPF maps, programs and pins without a kernel: the calls of libbpf that src/dp makes are played here.
 *
 * Maps are memory, pins are files (that hold the number of an object) in a directory that looks like a bpffs, programs
 * do nothing.  Tables are cut to FAKE_CAPACITY elements, so that full ones are met.  Call order: fake_bpf_init once,
 * fake_bpf_reset for an empty kernel, then src/dp as usual.  One thread.
 */
#ifndef ISTHMUS_FAKE_BPF_H
#define ISTHMUS_FAKE_BPF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FAKE_CAPACITY 256
#define FAKE_CPUS 2

struct fake_map;

void fake_bpf_init(const char *dir); /* the pins' directory, made anew by every reset */
void fake_bpf_reset(void);
void fake_bpf_fini(void); /* removes the directory */

struct fake_map *fake_map_pinned(const char *pin); /* NULL: no such map */
size_t fake_map_key_size(const struct fake_map *m);
size_t fake_map_value_size(const struct fake_map *m);
/* As somebody else with bpftool would; false when the kernel refused. */
bool fake_map_put(struct fake_map *m, const void *key, const void *value);
bool fake_map_remove(struct fake_map *m, const void *key);
/* for (size_t i = 0; fake_map_next(m, &i, &key, &value);) */
bool fake_map_next(const struct fake_map *m, size_t *cursor, const void **key, void **value);

/* A map or program by number: another shape, as an earlier version may have left it. */
void fake_map_reshape(struct fake_map *m, uint32_t value_size);
void fake_unpin(const char *pin);
void fake_rename_pin(const char *pin, const char *to);

/* The n-th call from now on fails with this error, once; 0 = never. */
void fake_bpf_fail(unsigned nth, int error);
/* No batched look-ups, as for tries in older kernels. */
void fake_bpf_no_batch(bool none);
uint64_t fake_bpf_writes(void); /* updates and deletions so far */

#endif
