/* SPDX-License-Identifier: Apache-2.0 */
#include "bgp_rig.h"

#include <errno.h>

/* ---- what the speaker calls ---- */

static struct rig_transport *transport(struct rig *rig, uint64_t handle)
{
	assert_in_range(handle, 1, rig->last);
	return &rig->transports[handle];
}

static uint64_t new_transport(struct rig *rig, const struct addr *remote)
{
	assert_true(++rig->last < RIG_TRANSPORTS);
	rig->transports[rig->last] = (struct rig_transport){.remote = *remote, .window = SIZE_MAX};
	return rig->last;
}

static int on_connect(void *arg, const struct neighbor_config *n, uint64_t *handle)
{
	struct rig *rig = arg;

	rig->n_connects++;
	if (rig->refuse_connect)
		return -ENETUNREACH;
	*handle = new_transport(rig, &n->remote);
	return 0;
}

static size_t on_send(void *arg, uint64_t handle, const uint8_t *data, size_t size)
{
	struct rig_transport *t = transport(arg, handle);
	size_t n = size < t->window ? size : t->window;

	assert_false(t->closed);
	t->out = realloc(t->out, t->size + n + 1);
	assert_non_null(t->out);
	memcpy(t->out + t->size, data, n);
	t->size += n;
	t->window -= n;
	return n;
}

static void on_close(void *arg, uint64_t handle)
{
	assert_false(transport(arg, handle)->closed);
	transport(arg, handle)->closed = true;
}

static size_t on_put(void *arg, const struct neighbor_config *n, const struct route_attrs *attrs,
		     const struct route_nlri *nlri, size_t length)
{
	struct rig *rig = arg;
	size_t fresh = table_put(rig->table, n->id, attrs, nlri, length);

	if (rig->on_route)
		rig->on_route(rig);
	return fresh;
}

static size_t on_remove(void *arg, const struct neighbor_config *n, const struct route_nlri *nlri, size_t length)
{
	struct rig *rig = arg;
	size_t gone = table_remove(rig->table, n->id, nlri, length);

	if (rig->on_route)
		rig->on_route(rig);
	return gone;
}

static void on_stale(void *arg, const struct neighbor_config *n, enum route_family f)
{
	struct rig *rig = arg;

	rig->stale_ms[f] = rig->now;
	table_stale(rig->table, n->id, f);
}

static size_t on_swept(void *arg, const struct neighbor_config *n, enum route_family f)
{
	struct rig *rig = arg;

	rig->swept_ms[f] = rig->now;
	return table_swept(rig->table, n->id, f, NULL, NULL);
}

static void on_ready(void *arg, enum route_family f, const char *reason)
{
	struct rig *rig = arg;

	assert_false(rig->ready & ROUTE_FAMILY_BIT(f));
	rig->ready |= ROUTE_FAMILY_BIT(f);
	rig->n_ready++;
}

static void on_state(void *arg, const struct neighbor_config *n, enum neighbor_state old, enum neighbor_state state,
		     const char *reason)
{
	struct rig *rig = arg;

	assert_int_not_equal(old, state);
	rig->state = state;
	rig->n_changes++;
	snprintf(rig->reason, sizeof(rig->reason), "%s", reason);
}

static void on_notice(void *arg, const struct neighbor_config *n, const char *text)
{
	struct rig *rig = arg;

	rig->n_notices++;
	snprintf(rig->notice, sizeof(rig->notice), "%s", text);
}

static uint32_t on_random(void *arg)
{
	struct rig *rig = arg;

	rig->seed = rig->seed * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(rig->seed >> 33);
}

static const struct speaker_ops ops = {
	.connect = on_connect,
	.send = on_send,
	.close = on_close,
	.route_put = on_put,
	.route_remove = on_remove,
	.neighbor_stale = on_stale,
	.neighbor_swept = on_swept,
	.ready = on_ready,
	.neighbor_state = on_state,
	.notice = on_notice,
	.random = on_random,
};

/* ---- the bench ---- */

struct rig *rig_new(const struct speaker_config *config)
{
	struct speaker_config fresh = {.as = RIG_AS, .id = RIG_ID, .deferral_s = SPEAKER_DEFERRAL_S};
	struct rig *rig = calloc(1, sizeof(*rig));

	assert_non_null(rig);
	rig->now = 1000000;
	assert_int_equal(attrs_new(&rig->attrs), 0);
	rig->table = table_new(rig->attrs);
	assert_int_equal(speaker_new(config ? config : &fresh, rig->attrs, &ops, rig, rig->now, &rig->s), 0);
	return rig;
}

void rig_free(struct rig *rig)
{
	speaker_free(rig->s);
	table_free(rig->table);
	assert_int_equal(attrs_length(rig->attrs), 0); /* every reference was given back */
	attrs_free(rig->attrs);
	for (uint64_t i = 1; i <= rig->last; i++)
		free(rig->transports[i].out);
	free(rig);
}

struct addr rig_addr(const char *text)
{
	struct addr a;

	assert_int_equal(addr_parse(text, &a), 0);
	return a;
}

struct neighbor_config rig_config(void)
{
	struct neighbor_config c = neighbor_config_default();

	c.remote = rig_addr("10.0.0.2");
	c.id = 2;
	c.remote_as = RIG_AS;
	c.families = RIG_ALL;
	return c;
}

void rig_put(struct rig *rig, const struct neighbor_config *c)
{
	assert_int_equal(speaker_neighbor_put(rig->s, c, rig->now), 0);
}

void rig_run(struct rig *rig, uint64_t ms)
{
	uint64_t end = rig->now + ms, next;

	for (;;) {
		speaker_tick(rig->s, rig->now);
		next = speaker_next_ms(rig->s);
		if (next > end)
			break;
		if (next > rig->now)
			rig->now = next;
	}
	rig->now = end;
}

struct neighbor_stats rig_stats(const struct rig *rig, const char *remote)
{
	struct addr a = rig_addr(remote);
	struct neighbor_stats stats;

	assert_int_equal(speaker_neighbor_stats(rig->s, &a, &stats), 0);
	return stats;
}

/* ---- the neighbor's hand ---- */

uint64_t rig_connect(struct rig *rig, const char *remote)
{
	struct addr a = rig_addr(remote);
	uint64_t handle = new_transport(rig, &a);

	speaker_on_accepted(rig->s, handle, &a, rig->now);
	return handle;
}

uint64_t rig_accept(struct rig *rig)
{
	speaker_on_connected(rig->s, rig->last, rig->now);
	return rig->last;
}

struct open rig_open(void)
{
	return (struct open){
		.as = RIG_AS,
		.hold_s = 90,
		.id = 0x0a000002,
		.capabilities = {.has_multiprotocol = true, .families = RIG_ALL, .as4 = true, .refresh = true},
	};
}

struct open rig_open_restart(void)
{
	struct open o = rig_open();

	o.capabilities.graceful_restart = true;
	o.capabilities.restart_notification = true;
	o.capabilities.restart_s = 60;
	o.capabilities.restart_families = RIG_ALL;
	o.capabilities.forwarding = RIG_ALL;
	return o;
}

void rig_say(struct rig *rig, uint64_t handle, const struct writer *w)
{
	assert_true(writer_ok(w));
	speaker_on_bytes(rig->s, handle, w->start, writer_size(w), rig->now);
}

void rig_say_open(struct rig *rig, uint64_t handle, const struct open *o)
{
	uint8_t message[MESSAGE_MAX];
	struct writer w = writer_over(message, sizeof(message));

	open_encode(&w, o);
	rig_say(rig, handle, &w);
}

void rig_say_keepalive(struct rig *rig, uint64_t handle)
{
	uint8_t message[MESSAGE_MAX];
	struct writer w = writer_over(message, sizeof(message));

	keepalive_encode(&w);
	rig_say(rig, handle, &w);
}

void rig_say_notification(struct rig *rig, uint64_t handle, uint8_t code, uint8_t subcode, const char *text, bool hard)
{
	uint8_t message[MESSAGE_MAX], data[SHUTDOWN_TEXT_SIZE];
	struct writer w = writer_over(message, sizeof(message));
	struct notification n = {.code = code, .subcode = subcode, .data = data};

	n.size = notification_text_encode(text, data);
	if (hard)
		notification_encode_hard(&w, &n);
	else
		notification_encode(&w, &n);
	rig_say(rig, handle, &w);
}

void rig_say_routes(struct rig *rig, uint64_t handle, unsigned from, unsigned n, const struct route_attrs *a)
{
	struct update_session session = {.as4 = true, .own_as = RIG_AS, .peer_as = RIG_AS, .families = RIG_ALL};
	uint8_t message[MESSAGE_MAX];

	while (n > 0) {
		struct route_nlri nlri[32];
		struct writer w = writer_over(message, sizeof(message));
		size_t length = n < 32 ? n : 32, done = 0;

		for (unsigned i = 0; i < length; i++)
			nlri[i] = rig_nlri(ROUTE_EVPN, from + i);
		assert_int_equal(update_encode(&session, a, nlri, length, &done, &w), 0);
		rig_say(rig, handle, &w);
		from += (unsigned)done;
		n -= (unsigned)done;
	}
}

void rig_say_end_of_rib(struct rig *rig, uint64_t handle, enum route_family f)
{
	uint8_t message[MESSAGE_MAX];
	struct writer w = writer_over(message, sizeof(message));

	update_encode_end_of_rib(&w, f);
	rig_say(rig, handle, &w);
}

void rig_close(struct rig *rig, uint64_t handle)
{
	transport(rig, handle)->closed = true;
	speaker_on_closed(rig->s, handle, "connection closed by the neighbor", rig->now);
}

int rig_hear(struct rig *rig, uint64_t handle, struct message *out)
{
	struct rig_transport *t = transport(rig, handle);
	struct notification error;
	struct message m;

	if (message_next(t->out + t->read, t->size - t->read, true, &m, &error) != MESSAGE_WHOLE)
		return 0;
	t->read += m.size;
	if (out)
		*out = m;
	return (int)m.type;
}

void rig_expect_notification(struct rig *rig, uint64_t handle, const char *text)
{
	char got[600], why[SHUTDOWN_TEXT_SIZE];
	struct notification n;
	struct message m;
	bool hard;

	assert_int_equal(rig_hear(rig, handle, &m), MESSAGE_NOTIFICATION);
	notification_decode(m.body, &n, &hard);
	notification_text(&n, why);
	snprintf(got, sizeof(got), "%s/%s%s%s%s", notification_code_name(n.code),
		 notification_subcode_name(n.code, n.subcode), hard ? ", hard" : "", *why ? ": " : "", why);
	assert_string_equal(got, text);
	assert_true(transport(rig, handle)->closed);
	assert_int_equal(rig_hear(rig, handle, NULL), 0);
}

void rig_raise(struct rig *rig, uint64_t handle, const struct open *o)
{
	assert_int_equal(rig_hear(rig, handle, NULL), MESSAGE_OPEN);
	rig_say_open(rig, handle, o);
	assert_int_equal(rig_hear(rig, handle, NULL), MESSAGE_KEEPALIVE);
	rig_say_keepalive(rig, handle);
	assert_int_equal(rig->state, NEIGHBOR_ESTABLISHED);
}

uint64_t rig_establish(struct rig *rig, const char *remote, const struct open *o)
{
	uint64_t handle = rig_connect(rig, remote);

	rig_raise(rig, handle, o);
	return handle;
}

/* ---- routes ---- */

struct route_nlri rig_nlri(enum route_family f, unsigned i)
{
	struct route_nlri n = {.key = {.family = f}};

	n.key.addr.bytes[10] = n.key.addr.bytes[11] = 0xff;
	n.key.addr.bytes[12] = 100;
	n.key.addr.bytes[13] = (uint8_t)(i >> 16);
	n.key.addr.bytes[14] = (uint8_t)(i >> 8);
	n.key.addr.bytes[15] = (uint8_t)i;
	n.key.length = 128;
	if (f == ROUTE_IPV6) {
		memset(n.key.addr.bytes, 0, 12);
		n.key.addr.bytes[0] = 0xfd;
	}
	if (f == ROUTE_EVPN) {
		n.key.type = ROUTE_EVPN_MAC;
		n.key.rd = route_rd_ip(0x0a000001, 7);
		n.key.mac = (struct mac){{0x02, 0, 1, (uint8_t)(i >> 16), (uint8_t)(i >> 8), (uint8_t)i}};
		n.n_labels = 1;
		n.label[0] = 5001;
	}
	return n;
}

const struct route_attrs *rig_attrs(struct attrs *t, unsigned kind)
{
	uint64_t extended[2] = {extended_target_as2(65000, 5001), extended_tunnel(ROUTE_TUNNEL_VXLAN)};
	struct route_attrs a = {.next_hop = rig_addr("192.0.2.1"), .has = ROUTE_HAS_LOCAL_PREF, .local_pref = 100 + kind};
	const struct route_attrs *out;

	a.extended = extended;
	a.n_extended = 2;
	assert_int_equal(attrs_intern(t, &a, &out), 0);
	return out;
}

void rig_announce(struct rig *rig, enum route_family f, unsigned from, unsigned n, unsigned kind)
{
	const struct route_attrs *a = rig_attrs(rig->attrs, kind);

	for (unsigned i = 0; i < n; i++) {
		struct route_nlri nlri = rig_nlri(f, from + i);

		assert_int_equal(speaker_announce(rig->s, &nlri, a, RIG_TENANT), 0);
	}
	attrs_unref(rig->attrs, a);
}
