/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "wg/carry.h"

static const struct addr *source_for(const struct plane *p, const struct endpoint *to)
{
	return &p->local[addr_is_v4(&to->addr) ? 0 : 1];
}

static void send_run(struct worker *w, struct link *l, const struct endpoint *to, const struct packet *packets, size_t n)
{
	const struct packet *last = &packets[n - 1];
	size_t size = (size_t)(last->data - packets->data) + last->size;

	if (udp_send(&w->udp, to, source_for(w->plane, to), packets->data, size, packets->size) != 0)
		worker_drop(w, l, TUNNEL_SEND_FAILED, n);
}

/* A run ends with a shorter one, before a longer, and before one that does not lie right behind it. */
void worker_send(struct worker *w, struct link *l, const struct endpoint *to, const struct packet *packets, size_t n)
{
	size_t start = 0;

	for (size_t i = 0; i < n; i++) {
		size_t each = packets[start].size, size = packets[i].size;
		bool last;

		last = i + 1 == n || size < each || packets[i + 1].size > each || packets[i + 1].data != packets[i].data + size;
		if (!last)
			continue;
		send_run(w, l, to, packets + start, i + 1 - start);
		start = i + 1;
	}
}

void worker_flush(struct worker *w)
{
	struct link *l = w->link;
	size_t n = w->n_batch;
	struct session *s;
	int r;

	if (n == 0)
		return;
	s = link_session(l);
	r = s ? keypair_seal(s->keypair, w->aead, w->batch, n, w->mtu, w->now_ms) : -EKEYEXPIRED;
	if (r == 0) {
		if (w->to.relay == 0)
			worker_send(w, l, &w->to, w->batch, n);
		else
			carry_send(w, l, &w->to, w->batch, n);
		counter_add(&l->counters.sent_packets, n);
		counter_add(&l->counters.sent_bytes, w->batch_bytes);
		link_note(l, LINK_SENT);
	} else {
		worker_drop(w, l, r == -EKEYEXPIRED ? TUNNEL_NO_SESSION : TUNNEL_SEAL_FAILED, n);
	}
	w->n_batch = w->at = w->batch_bytes = 0;
}

static size_t room_for(const struct worker *w, size_t size)
{
	return PACKET_DATA_SIZE(keypair_padded(size, w->mtu));
}

/*
 * What follows a super-packet goes with it as far as one call takes it: its last pieces alone would cost the far end a
 * super-packet of their own.
 */
static void put_packet(struct worker *w, struct link *l, const struct segment_cut *c, size_t i)
{
	size_t size = segment_cut_size(c, i), room = room_for(w, size), before, behind;
	struct packet *p;

	if (w->link != l || w->n_batch == KEYPAIR_BATCH || w->at + RELAY_BEFORE + room + RELAY_BEHIND > UDP_RUN_MAX)
		worker_flush(w);
	w->link = l;
	if (w->n_batch == 0)
		w->to = link_endpoint(l);
	before = w->to.relay != 0 ? RELAY_BEFORE : 0;
	behind = w->to.relay != 0 ? RELAY_BEHIND : 0;
	p = &w->batch[w->n_batch++];
	*p = (struct packet){.data = w->out + w->at + before, .size = size};
	segment_cut_write(c, i, p->data + sizeof(struct packet_data));
	w->at += before + room + behind; /* the next message begins where this one ends */
	w->batch_bytes += size;
}

static void seal(struct worker *w, struct link *l, const struct segment_header *h, const uint8_t *packet, size_t size)
{
	struct segment_cut c;

	if (segment_cut_begin(&c, h, packet, size) != 0)
		worker_drop(w, l, TUNNEL_BAD_OFFLOAD, 1);
	else if (segment_cut_size(&c, 0) > w->mtu)
		worker_drop(w, l, TUNNEL_TOO_BIG, c.n);
	else
		for (size_t i = 0; i < c.n; i++)
			put_packet(w, l, &c, i);
}

static struct link *link_of(struct worker *w, const uint8_t *packet, size_t size)
{
	const struct link_address *a;
	struct addr to;

	if (packet[0] >> 4 == 4 && size >= 20) {
		to = addr_from_v4(packet + 16);
	} else if (packet[0] >> 4 == 6 && size >= 40) {
		memcpy(to.bytes, packet + 24, sizeof(to.bytes));
	} else {
		worker_drop(w, NULL, TUNNEL_NOT_IP, 1);
		return NULL;
	}
	a = lookup_get(&w->plane->addresses, &to);
	if (!a)
		worker_drop(w, NULL, TUNNEL_NO_PEER, 1);
	return a ? a->link : NULL;
}

static bool link_is_ready(const struct worker *w, const struct link *l)
{
	const struct session *s = link_session(l);

	return s && keypair_is_usable(s->keypair, w->now_ms);
}

void worker_forward(struct worker *w, struct link *l, const struct tap_frame *f)
{
	if (link_is_ready(w, l)) {
		if (w->stash.used > 0 && __atomic_load_n(&l->waiting, __ATOMIC_RELAXED) > 0)
			worker_outbound_waiting(w); /* theirs is the first turn */
		seal(w, l, &f->header, f->packet, f->size);
		return;
	}
	if (stash_add(&w->stash, l, &f->header, f->packet, f->size, w->now_ms)) {
		link_note(l, LINK_WANTED);
		if (link_is_ready(w, l)) /* who made the session has not seen the packet, and wakes nobody */
			worker_outbound_waiting(w);
		return;
	}
	worker_drop(w, l, TUNNEL_WAITING_FULL, 1);
	/* Those that wait have said so; a note for each of a flood would keep the protocol thread from its sleep. */
	if (__atomic_load_n(&l->waiting, __ATOMIC_RELAXED) == 0)
		link_note(l, LINK_WANTED);
}

static void forward(struct worker *w, const struct tap_frame *f)
{
	struct link *l = link_of(w, f->packet, f->size);

	if (l)
		worker_forward(w, l, f);
}

static bool try_waiting(void *arg, const struct stash_packet *p)
{
	struct worker *w = arg;

	if (__atomic_load_n(&p->link->gone, __ATOMIC_RELAXED) || w->now_ms - p->since_ms >= STASH_AGE_MS ||
	    __atomic_load_n(&p->link->rounds, __ATOMIC_RELAXED) != p->rounds) {
		worker_drop(w, p->link, TUNNEL_NO_SESSION, 1);
		return true;
	}
	if (!link_is_ready(w, p->link))
		return false;
	seal(w, p->link, &p->header, p->packet, p->size);
	return true;
}

void worker_outbound_waiting(struct worker *w)
{
	stash_visit(&w->stash, try_waiting, w);
	worker_flush(w); /* a link that is gone is not held on to */
}

int worker_outbound(struct worker *w)
{
	int r = 0;

	for (int turn = 0; turn < WORKER_AHEAD; turn++) {
		r = tap_read(&w->plane->tap, w->queue, &w->frame);
		if (r == 0)
			forward(w, &w->frame);
		else if (r == -EPROTO)
			worker_drop(w, NULL, TUNNEL_NOT_IP, 1);
		else if (r == -EPERM)
			worker_drop(w, NULL, TUNNEL_NOT_OURS, 1);
		else
			break;
	}
	worker_flush(w);
	return r == -EBADFD ? r : 0;
}
