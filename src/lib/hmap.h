/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hmap.h - a hash map with keys of one fixed size, seeded against hash flooding.
 *
 * Open addressing over an array of pointers and hashes; the map owns nothing: an item is the caller's object that embeds its key
 * at a fixed offset.  Keys are hashed with SipHash-2-4 under a per-process random seed, because tenants choose them.
 * One thread.  Strings: see smap below, the same map keyed by a NUL-terminated string that the item points to.
 */
#ifndef ISTHMUS_HMAP_H
#define ISTHMUS_HMAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct hmap_slot {
	void *item; /* NULL = never used; a mark = removed */
	uint64_t hash;
};

struct hmap {
	struct hmap_slot *slots;
	size_t n_slots;     /* power of two, or 0 */
	size_t length;      /* live items */
	size_t n_used;      /* live and removed */
	size_t key_offset;  /* of the key in an item */
	size_t key_size;    /* bytes; 0 = the key is a `const char *` */
};

/* key_size 0: the item holds at key_offset a `const char *` */
#define HMAP_INIT(type, key) ((struct hmap){.key_offset = offsetof(type, key), .key_size = sizeof(((type *)0)->key)})
#define SMAP_INIT(type, key) ((struct hmap){.key_offset = offsetof(type, key), .key_size = 0})

void hmap_fini(struct hmap *m); /* frees the table, not the items; the map is empty and usable after */

void *hmap_get(const struct hmap *m, const void *key); /* key: pointer to the key bytes; smap: the string itself */
/* 0, -EEXIST when the key is there (nothing changed), -ENOMEM */
int hmap_add(struct hmap *m, void *item);
void *hmap_remove(struct hmap *m, const void *key); /* the item, or NULL */
/* A table that is much too large by now becomes a small one, where there is memory for it.  Not in a loop of hmap_next. */
void hmap_trim(struct hmap *m);

/* for (size_t i = 0; (item = hmap_next(m, &i));)  The current item may be removed inside the loop, none added. */
void *hmap_next(const struct hmap *m, size_t *cursor);

/* SipHash-2-4 of bytes under a key: what the map hashes with; here for its test vectors. */
uint64_t hash_keyed(const uint64_t key[static 2], const void *data, size_t size);

/* The same under the seed of this process's maps: for tables of hashes alone. */
uint64_t hash_seeded(const void *data, size_t size);

/* A hash that is the same in every process and run (FNV-1a): for names that must be stable, never for tables. */
uint64_t hash_stable(const void *data, size_t size);
static inline uint64_t hash_stable_string(const char *s)
{
	return hash_stable(s, __builtin_strlen(s));
}

#endif
