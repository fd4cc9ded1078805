/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "wg/carry.h"
#include "wg/plain.h"

void worker_put(struct worker *w, struct link *l, const struct outlet *o, const uint8_t *packet, size_t size)
{
	if (w->merging && segment_merge_add(&w->merge, packet, size))
		return;
	worker_put_end(w, l, o);
	segment_merge_begin(&w->merge, packet, size, o->vxlan_port);
	w->merging = true;
}

void worker_put_end(struct worker *w, struct link *l, const struct outlet *o)
{
	if (w->merging && tap_write(o->tap, o->queue, &w->merge) != 0)
		worker_drop(w, l, TUNNEL_TAP_FAILED, w->merge.n);
	w->merging = false;
}

static struct outlet outlet_of(const struct worker *w)
{
	return (struct outlet){&w->plane->tap, w->queue, w->plane->vxlan_port};
}

/* Is the packet's source an address of that link?  A peer may speak for itself alone. */
static bool source_is_of(struct worker *w, const struct link *l, const uint8_t *packet)
{
	const struct link_address *a;
	struct addr source;

	if (packet[0] >> 4 == 4)
		source = addr_from_v4(packet + 12);
	else
		memcpy(source.bytes, packet + 8, sizeof(source.bytes));
	if (w->source_link == l && addr_equal(&w->source, &source))
		return true;
	a = lookup_get(&w->plane->addresses, &source);
	if (!a || a->link != l)
		return false;
	w->source = source;
	w->source_link = l;
	return true;
}

/* What came in one datagram, or in many of one place. */
struct arrival {
	const struct endpoint *from;
	worker_other_fn other;
	void *arg;
};

/* No IP packet: how many from the first on are done with. */
static size_t deliver_other(struct worker *w, struct link *l, const struct arrival *a, struct packet *packets, size_t n)
{
	if (l->kind == TUNNEL_NODE && carry_is_of(packets)) {
		const struct outlet o = outlet_of(w);

		worker_put_end(w, l, &o);
		return carry_take(w, l, a->from, packets, n, a->other, a->arg);
	}
	worker_drop(w, l, TUNNEL_BAD_INNER, 1);
	return 1;
}

static void deliver(struct worker *w, struct link *l, const struct arrival *a, struct packet *packets, size_t n)
{
	const struct outlet o = outlet_of(w);
	size_t bytes = 0, good = 0;

	for (size_t i = 0; i < n; i++) {
		const uint8_t *packet = packets[i].data + sizeof(struct packet_data);
		size_t size = packet_inner_size(packet, packets[i].size);

		if (size == 0) {
			i += deliver_other(w, l, a, packets + i, n - i) - 1;
			continue;
		}
		if (!source_is_of(w, l, packet)) {
			worker_drop(w, l, TUNNEL_WRONG_SOURCE, 1);
			continue;
		}
		good++;
		bytes += size;
		worker_put(w, l, &o, packet, size);
	}
	worker_put_end(w, l, &o);
	counter_add(&l->counters.received_packets, good);
	counter_add(&l->counters.received_bytes, bytes);
}

static const int verdict_drops[] = {
	[KEYPAIR_EXPIRED] = DEVICE_EXPIRED,
	[KEYPAIR_FORGED] = DEVICE_FORGED,
	[KEYPAIR_REPLAYED] = DEVICE_REPLAYED,
};

/* Counts what is not good, and leaves of the good what is data. */
static size_t sift(struct worker *w, struct link *l, struct packet *packets, size_t n)
{
	size_t length = 0;

	for (size_t i = 0; i < n; i++)
		if (packets[i].verdict != KEYPAIR_GOOD)
			worker_drop(w, l, verdict_drops[packets[i].verdict], 1);
		else if (packets[i].size > 0) /* else a keepalive */
			packets[length++] = packets[i];
	return length;
}

/* Messages of one receiver index. */
static void open_run(struct worker *w, const struct arrival *a, struct packet *packets, size_t n)
{
	uint32_t local;
	struct session *s;

	memcpy(&local, ((const struct packet_data *)packets->data)->receiver, sizeof(local));
	s = lookup_get(&w->plane->sessions, &local);
	if (!s) {
		worker_drop(w, NULL, DEVICE_UNKNOWN_INDEX, n);
		return;
	}
	if (keypair_open(s->keypair, w->aead, packets, n, w->now_ms) == 0) {
		sift(w, s->link, packets, n);
		return;
	}
	n = sift(w, s->link, packets, n);
	n = worker_take_probes(w, s, packets, n);
	if (n > 0 && carry_asks(s->link, packets, n))
		link_on_asked(s->link, s, a->from);
	else
		link_on_opened(s->link, s, a->from, n > 0);
	if (link_is_plain(s->link))
		plain_deliver(w, s->link, packets, n);
	else
		deliver(w, s->link, a, packets, n);
}

/* For the protocol thread, when the kernel has put it behind data. */
static void put_aside(struct worker *w, const struct endpoint *from, const struct packet *p)
{
	struct plane *plane = w->plane;
	bool put;

	if (packet_kind(p->data, p->size) == PACKET_NONE) {
		worker_drop(w, NULL, DEVICE_MALFORMED, 1);
		return;
	}
	pthread_mutex_lock(&plane->inbox_lock);
	put = plane->n_inbox < INBOX;
	if (put) {
		struct inbox_message *m = &plane->inbox[plane->n_inbox++];

		m->from = *from;
		m->size = p->size; /* of none that is no data it is more: packet_kind has seen to that */
		memcpy(m->data, p->data, p->size);
	}
	pthread_mutex_unlock(&plane->inbox_lock);
	if (put)
		plane_wake(plane);
	else
		worker_drop(w, NULL, TUNNEL_BUSY, 1);
}

static bool is_of(const struct packet *p, const struct packet *first)
{
	return packet_kind(p->data, p->size) == PACKET_DATA &&
	       memcmp(((const struct packet_data *)p->data)->receiver,
		      ((const struct packet_data *)first->data)->receiver, 4) == 0;
}

void worker_take(struct worker *w, const struct endpoint *from, struct packet *packets, size_t n, worker_other_fn other,
		 void *arg)
{
	const struct arrival a = {from, other, arg};

	for (size_t i = 0, run; i < n; i += run) {
		run = 1;
		if (packet_kind(packets[i].data, packets[i].size) == PACKET_DATA) {
			while (i + run < n && is_of(&packets[i + run], &packets[i]))
				run++;
			open_run(w, &a, packets + i, run);
		} else if (other) {
			other(arg, from, &packets[i]);
		} else {
			put_aside(w, from, &packets[i]);
		}
	}
}

void worker_inbound(struct worker *w, worker_other_fn other, void *arg)
{
	struct packet batch[KEYPAIR_BATCH];
	struct endpoint from;
	size_t each;

	/* of a link that is gone the memory may be another's by now */
	w->source_link = NULL;
	for (int turn = 0; turn < WORKER_AHEAD; turn++) {
		int size = udp_receive(&w->udp, w->in, sizeof(w->in), &each, &from);
		size_t at = 0, left, n;

		if (size < 0)
			return;
		for (left = (size_t)size; left > 0;) {
			for (n = 0; n < KEYPAIR_BATCH && left > 0; n++) {
				size_t one = left < each ? left : each;

				batch[n] = (struct packet){.data = w->in + at, .size = one};
				at += one;
				left -= one;
			}
			worker_take(w, &from, batch, n, other, arg);
		}
	}
}
