/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What nodes, relays and others seal in their sessions with us, whole and broken: it is carried, taken or refused as a model
 * says that knows nothing of runs and of sealing in place.  Whom something is carried to can open it, and has the message
 * that was sent, from whom it was.  Each message lies in memory of its own size.
 */
#include <errno.h>

#include "fuzz.h"
#include "wg/carry.h"
#include "wg/secret.h"

enum whom { NODE, OTHER, AROUND, PLAIN, RELAY, WHOM_MAX }; /* AROUND: we reach it through a relay ourselves */
#define NOW_MS 5000
#define MOST 8
#define LONGEST 300

static struct noise_tools tools;
static struct worker worker;
static struct plane plane;

static struct end {
	struct link link;
	struct session session;
	struct endpoint endpoint;
	struct keypair *ours, *theirs;
} ends[WHOM_MAX];

static struct {
	unsigned drops[TUNNEL_DROP_MAX], carried[WHOM_MAX], answers, others, answered;
} wanted, seen;

static struct { /* what the model says of the message that is carried next */
	uint8_t message[LONGEST];
	size_t size;
	enum whom from, to;
} due[MOST];
static size_t n_due, n_taken;

int __wrap_udp_send(const struct udp *u, const struct endpoint *to, const struct addr *from, uint8_t *data, size_t size,
		    size_t each);

static struct end *end_at(const struct endpoint *e)
{
	for (size_t i = 0; i < WHOM_MAX; i++)
		if (e->relay == 0 && endpoint_equal(&ends[i].endpoint, e))
			return &ends[i];
	return NULL;
}

static void check_carried(const struct end *e, uint8_t *payload, size_t size)
{
	struct relay_payload p = relay_read(payload, size);

	require(n_taken < n_due, "nothing is carried that nobody sent");
	require(p.kind == RELAY_FROM && e == &ends[due[n_taken].to], "to whom it was for");
	require(memcmp(p.who, ends[due[n_taken].from].link.public_key, RELAY_ID_SIZE) == 0, "from whom it is");
	require(p.size == due[n_taken].size && memcmp(p.message, due[n_taken].message, p.size) == 0, "as it was sent, in order");
	n_taken++;
	seen.carried[e - ends]++;
}

/* A run; whoever is there opens each. */
int __wrap_udp_send(const struct udp *u, const struct endpoint *to, const struct addr *from, uint8_t *data, size_t size,
		    size_t each)
{
	struct end *e = end_at(to);

	require(e && each > 0 && size > 0, "to somebody's place");
	for (size_t at = 0, one; at < size; at += one) {
		struct packet p = {.data = data + at, .size = size - at < each ? size - at : each};
		const uint8_t *payload = p.data + sizeof(struct packet_data);

		one = p.size;
		require(packet_kind(p.data, p.size) == PACKET_DATA && keypair_open(e->theirs, tools.aead, &p, 1, NOW_MS) == 1,
			"who gets it can open it");
		if (*payload == RELAY_FOR || *payload == RELAY_ANSWER)
			seen.answers++; /* to one that is reached through a relay it is for that */
		else
			check_carried(e, p.data + sizeof(struct packet_data), p.size);
	}
	return 0;
}

static void on_other(void *arg, const struct endpoint *from, struct packet *p)
{
	require(from->relay == 1 && packet_kind(p->data, p->size) != PACKET_DATA, "by the relay alone, and a handshake's");
	seen.others++;
}

/* Of one payload, from one of them, who sent it by a relay or not. */
static void expect(enum whom from, bool by_relay, uint8_t *payload, size_t size, bool relaying)
{
	struct relay_payload p = relay_read(payload, size);
	enum whom to = WHOM_MAX;

	if (packet_inner_size(payload, size) > 0) { /* broken so that it has become one of IP */
		wanted.drops[TUNNEL_WRONG_SOURCE]++;
		return;
	}
	if (from == PLAIN || p.kind == RELAY_NONE) {
		wanted.drops[TUNNEL_BAD_INNER]++;
		return;
	}
	for (enum whom i = NODE; i < WHOM_MAX && p.who; i++)
		to = memcmp(p.who, ends[i].link.public_key, RELAY_ID_SIZE) == 0 ? i : to;
	if (p.kind == RELAY_ASK) {
		wanted.answers++;
	} else if (p.kind == RELAY_ANSWER) {
		wanted.answered = 1;
	} else if (by_relay || (p.kind == RELAY_FOR ? !relaying : from != RELAY)) {
		wanted.drops[TUNNEL_RELAY_REFUSED]++;
	} else if (p.kind == RELAY_FROM) {
		if (packet_kind(p.message, p.size) == PACKET_DATA)
			wanted.drops[DEVICE_UNKNOWN_INDEX]++;
		else
			wanted.others++;
	} else if (to == WHOM_MAX || to == from || to == PLAIN) {
		wanted.drops[TUNNEL_RELAY_UNKNOWN]++;
	} else if (to == AROUND) {
		wanted.drops[TUNNEL_RELAY_REFUSED]++;
	} else {
		memcpy(due[n_due].message, p.message, p.size);
		due[n_due].size = p.size;
		due[n_due].from = from;
		due[n_due++].to = to;
		wanted.carried[to]++;
	}
}

static size_t read_payload(struct input *in, uint8_t out[static LONGEST])
{
	static const size_t sizes[] = {148, 92, 64, 32, 48, 200};
	uint8_t how = input_u8(in), whom = input_u8(in) % (WHOM_MAX + 1);
	size_t size = sizes[how >> 3 & 3 ? (how >> 3) % 6 : 3], room = sizeof(struct relay_header) + size;
	uint8_t stranger[RELAY_ID_SIZE] = "a stranger";
	struct relay_header *h = (struct relay_header *)out;

	memset(out, 0, LONGEST);
	relay_write(out, (enum relay_kind)(RELAY_FOR + (how & 1)), whom < WHOM_MAX ? ends[whom].link.public_key : stranger, size);
	out[sizeof(*h)] = size == 148 ? PACKET_INITIATION : size == 92 ? PACKET_RESPONSE : size == 64 ? PACKET_COOKIE : PACKET_DATA;
	if (how & 2)
		room = relay_ask(out, (enum relay_kind)(RELAY_ASK + (how & 1)), whom);
	if ((how & 4) && in->size > 2) /* broken */
		out[input_u8(in) % room] ^= input_u8(in);
	if (out[0] >> 4 == 1) /* probes are another target's */
		out[0] = 0;
	if (how >> 6 == 3)
		room -= input_u8(in) % room;
	return room ? room : 1;
}

/* A datagram of that end, in memory of its own. */
static struct packet seal_of(struct end *e, const uint8_t *payload, size_t size)
{
	struct packet p = {.data = malloc(PACKET_DATA_SIZE(size)), .size = size};

	require(p.data, "memory");
	memcpy(p.data + sizeof(struct packet_data), payload, size);
	require(keypair_seal(e->theirs, tools.aead, &p, 1, 0, NOW_MS) == 0, "it seals");
	return p;
}

static void step(struct input *in)
{
	uint8_t what = input_u8(in), payload[LONGEST];
	enum whom from = (enum whom)((what & 7) % WHOM_MAX);
	bool by_relay = what & 0x40, relaying = what & 0x80;
	struct endpoint where = by_relay ? relay_endpoint(1, ends[from].link.public_key) : ends[from].endpoint;
	size_t n = 1 + (what >> 3) % MOST;
	struct packet packets[MOST], given[MOST];

	n_due = n_taken = 0;
	plane.relaying = relaying;
	for (size_t i = 0; i < n; i++) {
		size_t size = read_payload(in, payload);

		packets[i] = given[i] = seal_of(&ends[from], payload, size);
		expect(from, by_relay, payload, size, relaying);
	}
	ends[from].link.notes = 0;
	worker_take(&worker, &where, packets, n, on_other, NULL);
	for (size_t i = 0; i < n; i++)
		free(given[i].data);
	seen.answered |= (ends[from].link.notes & LINK_ANSWERED) != 0;
	require(n_taken == n_due, "all that is to be carried is");
	link_set_endpoint(&ends[from].link, from == AROUND ? &(struct endpoint){.port = 1, .relay = 1} : &ends[from].endpoint);
}

static void add_end(enum whom whom)
{
	static const uint8_t forth[NOISE_KEY_SIZE] = {1}, back[NOISE_KEY_SIZE] = {2};
	struct end *e = &ends[whom];
	uint32_t index = 100 + whom;

	*e = (struct end){.endpoint.port = (uint16_t)(1000 + whom)};
	require(keypair_new(tools.aead, SUITE_WIREGUARD, forth, back, true, index, index, NOW_MS, &e->ours) == 0 &&
			keypair_new(tools.aead, SUITE_WIREGUARD, forth, back, false, index, index, NOW_MS, &e->theirs) == 0,
		"memory");
	e->session = (struct session){.local = index, .keypair = e->ours, .link = &e->link};
	e->link = (struct link){.plane = &plane, .session = &e->session, .kind = whom == PLAIN ? TUNNEL_PLAIN : TUNNEL_NODE,
				.relay = whom == RELAY};
	memset(e->link.public_key, 0x10 + whom, NOISE_KEY_SIZE);
	link_set_endpoint(&e->link, whom == AROUND ? &(struct endpoint){.port = 1, .relay = 1} : &e->endpoint);
	require(lookup_add(&plane.sessions, &e->session) == 0 && lookup_add(&plane.ids, &e->link) == 0, "memory");
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	require(secret_start(1 << 18) != -ENOMEM && noise_tools_new(&tools) == 0 && aead_new(&worker.aead) == 0, "there is memory");
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, size < 2000 ? size : 2000};
	unsigned total = 0;

	memset(&wanted, 0, sizeof(wanted));
	memset(&seen, 0, sizeof(seen));
	memset(worker.drops, 0, sizeof(worker.drops));
	memset(&plane, 0, sizeof(plane));
	plane.wake = -1;
	plane.attentive = true;
	grace_init(&plane.grace, 1);
	lookup_init(&plane.sessions, &plane.grace, offsetof(struct session, local), sizeof(uint32_t));
	lookup_init(&plane.ids, &plane.grace, offsetof(struct link, public_key), RELAY_ID_SIZE);
	for (enum whom i = NODE; i < WHOM_MAX; i++)
		add_end(i);
	plane.relays[0] = &ends[RELAY].link;
	worker.plane = &plane;
	worker.now_ms = NOW_MS;
	while (in.size > 0)
		step(&in);
	for (int i = 0; i < TUNNEL_DROP_MAX; i++)
		require(worker.drops[i] == wanted.drops[i], "dropped by the name that the model says");
	for (int i = 0; i < WHOM_MAX; i++) {
		require(seen.carried[i] == wanted.carried[i], "carried as the model says");
		total += (unsigned)ends[i].link.counters.carried_packets;
		keypair_free(ends[i].ours);
		keypair_free(ends[i].theirs);
	}
	require(total == wanted.carried[NODE] + wanted.carried[OTHER] + wanted.carried[RELAY], "and counted");
	require(seen.others == wanted.others && seen.answers == wanted.answers && seen.answered == wanted.answered, "taken and answered");
	grace_fini(&plane.grace);
	lookup_fini(&plane.sessions);
	lookup_fini(&plane.ids);
	return 0;
}
