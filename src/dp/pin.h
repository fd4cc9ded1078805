/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pin.h - the bpffs directory in which maps and programs outlive the daemon; private to dp/.
 */
#ifndef ISTHMUS_DP_PIN_H
#define ISTHMUS_DP_PIN_H

#include <stdbool.h>
#include <stdint.h>

/* Makes `dir`, on a bpffs: where there is none, one is mounted, at /sys/fs/bpf when dir is below it, else at dir. */
int pin_prepare(const char *dir);
/* The pin's descriptor; -ENOENT. */
int pin_open(const char *dir, const char *name, bool read_only);
/* Pins fd under the name, in place of whatever had it. */
int pin_put(const char *dir, const char *name, int fd);
/* Calls back with every name in the directory; the callback may remove it. */
int pin_each(const char *dir, void (*fn)(void *arg, const char *name), void *arg);
int pin_remove(const char *dir, const char *name); /* -ENOENT is success */
/* Removes the directory, and the bpffs around it when pin_prepare mounted that and nobody else uses it. */
int pin_finish(const char *dir);

/* Is dir on a bpffs? -ENOENT when it does not exist. */
int pin_is_bpffs(const char *dir);

#endif
