/* SPDX-License-Identifier: Apache-2.0 */
#include "wg/stash.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

/* Its pages are there when they are used. */
int stash_init(struct stash *s)
{
	void *bytes = mmap(NULL, STASH_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (bytes == MAP_FAILED)
		return -ENOMEM;
	*s = (struct stash){.bytes = bytes};
	return 0;
}

static bool let_go(void *arg, const struct stash_packet *p)
{
	return true;
}

void stash_fini(struct stash *s)
{
	if (!s->bytes)
		return;
	stash_visit(s, let_go, NULL);
	munmap(s->bytes, STASH_SIZE);
	s->bytes = NULL;
}

static size_t room_of(size_t size)
{
	return (sizeof(struct stash_packet) + size + 7) & ~(size_t)7;
}

bool stash_add(struct stash *s, struct link *l, const struct segment_header *header, const uint8_t *packet, size_t size,
	       uint64_t now_ms)
{
	struct stash_packet *p = (struct stash_packet *)(s->bytes + s->used);

	if (room_of(size) > STASH_SIZE - s->used)
		return false;
	if (__atomic_fetch_add(&l->waiting, 1, __ATOMIC_SEQ_CST) >= STASH_PER_LINK) {
		__atomic_fetch_sub(&l->waiting, 1, __ATOMIC_SEQ_CST);
		return false;
	}
	*p = (struct stash_packet){.link = l, .since_ms = now_ms, .size = (uint32_t)size, .header = *header,
				   .rounds = __atomic_load_n(&l->rounds, __ATOMIC_RELAXED)};
	memcpy(p->packet, packet, size);
	s->used += room_of(size);
	return true;
}

void stash_visit(struct stash *s, stash_fn fn, void *arg)
{
	size_t kept = 0, room;

	for (size_t at = 0; at < s->used; at += room) {
		struct stash_packet *p = (struct stash_packet *)(s->bytes + at);

		room = room_of(p->size);
		if (fn(arg, p)) {
			__atomic_fetch_sub(&p->link->waiting, 1, __ATOMIC_SEQ_CST);
			continue;
		}
		if (kept != at)
			memmove(s->bytes + kept, p, room);
		kept += room;
	}
	s->used = kept;
}
