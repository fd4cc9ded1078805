/* SPDX-License-Identifier: Apache-2.0 */
/*
 * key.h - the node's private key, and preshared keys: files of 44 characters of base64 in one line, as wg(8) has them.
 *
 * The private key is the node's identity: made once, in the state directory, for nobody but root, and never made again
 * where there is one that cannot be read.  It passes through here and is kept nowhere; what is written into logs and
 * answers is the public key, which key_public computes from it.  Control thread; blocks for the disk.
 */
#ifndef ISTHMUS_AGENT_KEY_H
#define ISTHMUS_AGENT_KEY_H

#include "model/config.h"
#include "wg/secret.h"

#define KEY_FILE "private.key"
#define KEY_HEAP_SIZE 65536 /* for secret_start, to look at keys */

int key_make(const char *state_dir); /* 1 = made, 0 = there was one; -errno */

/* In *why (malloc'd, or NULL) what is wrong and what to do; of 0 what is odd.  0; -ENOENT; -EINVAL: no key; -errno */
int key_read(const char *path, struct secret_key *out, char **why);
int key_private(const char *state_dir, struct secret_key *out, char **why);
/* After secret_start. */
int key_public(const char *state_dir, struct config_key *out, char **why);

#define KEY_TEXT_SIZE 45 /* with NUL */
const char *key_format(const struct config_key *key, char out[static KEY_TEXT_SIZE]);

#endif
