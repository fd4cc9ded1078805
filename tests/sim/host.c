/* SPDX-License-Identifier: Apache-2.0 */
#include "inside.h"

static struct route_nlri route_of(unsigned host, unsigned i)
{
	struct route_nlri n = {.key = {.family = ROUTE_EVPN, .type = ROUTE_EVPN_MAC}, .n_labels = 1, .label = {5001}};

	n.key.rd = route_rd_ip(0x0a000001 + host, 7);
	n.key.mac = (struct mac){{0x02, 0, 0, 0, 0, (uint8_t)i}};
	return n;
}

/* RFC 4456: the reflector names who it has it from, and itself. */
static void reflect(struct host *h, unsigned from, const struct route_attrs *a, const struct route_nlri *nlri, size_t n)
{
	struct route_attrs candidate = *a;
	const struct route_attrs *out;
	uint32_t cluster = id_of(h->self);

	candidate.references = candidate.size = 0;
	candidate.hash = 0;
	candidate.path_length = candidate.first_as = candidate.origin_as = candidate.mobility = candidate.tunnels = 0;
	candidate.router_mac = (struct mac){{0}};
	candidate.n_targets = 0;
	candidate.has &= 0xff;
	candidate.has |= ROUTE_HAS_ORIGINATOR_ID;
	candidate.originator_id = id_of(from);
	candidate.clusters = &cluster;
	candidate.n_clusters = 1;
	assert_int_equal(attrs_intern(h->net->attrs, &candidate, &out), 0);
	for (size_t i = 0; i < n; i++)
		assert_int_equal(speaker_announce(h->s, &nlri[i], out, NET_TENANT), 0);
	attrs_unref(h->net->attrs, out);
}

static void note_loss(struct host *h, const struct route_key *key)
{
	const uint8_t *rd = key->rd.bytes; /* type, then the address that route_of put there */
	unsigned origin = ((unsigned)rd[4] << 8 | rd[5]) - 1;

	if ((int)origin == h->net->watched && h->net->hosts[origin].truth[key->mac.bytes[5]])
		h->net->n_lost++;
}

static size_t op_put(void *arg, const struct neighbor_config *n, const struct route_attrs *attrs,
		     const struct route_nlri *nlri, size_t length)
{
	struct host *h = arg;

	if (h->leaf)
		return leaf_put(h->leaf, n->id, attrs, nlri, length);
	if (is_reflector(h))
		reflect(h, n->id, attrs, nlri, length);
	return table_put(h->table, n->id, attrs, nlri, length);
}

static size_t op_remove(void *arg, const struct neighbor_config *n, const struct route_nlri *nlri, size_t length)
{
	struct host *h = arg;

	if (h->leaf)
		return leaf_remove(h->leaf, n->id, nlri, length);
	for (size_t i = 0; i < length; i++) {
		if (table_get(h->table, n->id, &nlri[i].key))
			note_loss(h, &nlri[i].key);
		if (is_reflector(h))
			speaker_withdraw(h->s, &nlri[i].key);
	}
	return table_remove(h->table, n->id, nlri, length);
}

static void op_stale(void *arg, const struct neighbor_config *n, enum route_family f)
{
	struct host *h = arg;

	if (h->leaf)
		leaf_stale(h->leaf, n->id, f);
	else
		table_stale(h->table, n->id, f);
}

static void on_gone(void *arg, const struct route_key *key)
{
	struct host *h = arg;

	note_loss(h, key);
	if (is_reflector(h))
		speaker_withdraw(h->s, key);
}

static size_t op_swept(void *arg, const struct neighbor_config *n, enum route_family f)
{
	struct host *h = arg;

	if (h->leaf)
		return leaf_swept(h->leaf, n->id, f);
	return table_swept(h->table, n->id, f, on_gone, arg);
}

void host_say_all(struct host *h)
{
	if (h->synced)
		return;
	h->synced = true;
	speaker_synced(h->s, ROUTE_EVPN);
}

/* A reflector has said all when it has heard all; others as soon as they have said their own. */
static void op_ready(void *arg, enum route_family f, const char *reason)
{
	struct host *h = arg;

	if (f != ROUTE_EVPN)
		return;
	if (is_reflector(h))
		host_say_all(h);
	if (h->leaf)
		leaf_ready(h->leaf);
}

static void op_state(void *arg, const struct neighbor_config *n, enum neighbor_state old, enum neighbor_state state,
		     const char *reason)
{
	struct host *h = arg;
	struct neighbor_stats stats;

	if (h->leaf && state == NEIGHBOR_ESTABLISHED) {
		assert_int_equal(speaker_neighbor_stats(h->s, &n->remote, &stats), 0);
		leaf_established(h->leaf, n->id, stats.remote_id);
	}
	h->net->n_resets += old == NEIGHBOR_ESTABLISHED;
	/* What nobody can cause here but a speaker that says something wrong. */
	if (strstr(reason, "Header Error") || strstr(reason, "OPEN Message Error") || strstr(reason, "UPDATE Message Error") ||
	    strstr(reason, "State Machine Error"))
		fail_msg("host %u, neighbor %u: %s", h->self, n->id, reason);
}

static void op_notice(void *arg, const struct neighbor_config *n, const char *text)
{
}

static uint32_t op_random(void *arg)
{
	return net_pick(((struct host *)arg)->net, 1u << 30);
}

static const struct speaker_ops ops = {
	.connect = wire_connect,
	.send = wire_send,
	.close = wire_close,
	.route_put = op_put,
	.route_remove = op_remove,
	.neighbor_stale = op_stale,
	.neighbor_swept = op_swept,
	.ready = op_ready,
	.neighbor_state = op_state,
	.notice = op_notice,
	.random = op_random,
};

/* ---- life ---- */

void host_announce(struct host *h, unsigned i)
{
	uint64_t target = extended_target_as2(65000, 5001);
	struct route_attrs candidate = {.next_hop = addr_of(h->self), .has = ROUTE_HAS_LOCAL_PREF, .local_pref = h->truth[i],
					.extended = &target, .n_extended = 1};
	struct route_nlri nlri = route_of(h->self, i);
	const struct route_attrs *a;

	if (!h->truth[i]) {
		speaker_withdraw(h->s, &nlri.key);
		return;
	}
	assert_int_equal(attrs_intern(h->net->attrs, &candidate, &a), 0);
	assert_int_equal(speaker_announce(h->s, &nlri, a, NET_TENANT), 0);
	attrs_unref(h->net->attrs, a);
}

struct neighbor_config host_config_of(const struct net *net, unsigned host)
{
	struct neighbor_config c = neighbor_config_default();

	c.remote = addr_of(host);
	c.id = host;
	c.remote_as = NET_AS;
	c.families = ROUTE_FAMILY_BIT(ROUTE_EVPN);
	c.hold_s = net->shape.hold_s;
	c.connect_retry_s = 2;
	c.restart_s = 30;
	c.stale_s = 60;
	c.idle_hold_max_s = 8;
	c.send_hold_s = 40;
	return c;
}

void host_start(struct host *h, bool restarting, bool forwarding)
{
	struct net *net = h->net;
	struct speaker_config c = {.as = NET_AS, .id = id_of(h->self), .restarting = restarting, .forwarding = forwarding,
				   .deferral_s = 20};

	h->up = h->machine = true;
	h->life++;
	h->synced = false;
	h->tick_ms = NEVER;
	if (h->leaf)
		leaf_start(h->leaf);
	else
		h->table = table_new(net->attrs);
	assert_int_equal(speaker_new(&c, net->attrs, &ops, h, net->now_ms, &h->s), 0);
	for (unsigned k = 0; k < net->shape.n_hosts; k++) {
		struct neighbor_config n = host_config_of(net, k);

		if (are_peers(net, h->self, k))
			assert_int_equal(speaker_neighbor_put(h->s, &n, net->now_ms), 0);
	}
	if (!is_reflector(h)) {
		for (unsigned i = 0; i < NET_ROUTES && !h->leaf; i++)
			host_announce(h, i);
		net_push(net, net->now_ms + net_pick(net, 3000), EVENT_SYNCED, h->self, h->life);
	}
	host_touch(h);
}

void host_stop(struct host *h)
{
	speaker_free(h->s);
	if (h->leaf)
		leaf_stop(h->leaf);
	table_free(h->table);
	h->s = NULL;
	h->table = NULL;
	h->up = false;
}

void host_check_timers(struct host *h)
{
	struct session *session;
	size_t cursor = 0;

	while ((session = hmap_next(&h->s->sessions, &cursor))) {
		if (session->state == NEIGHBOR_OPENSENT || (session->state >= NEIGHBOR_OPENCONFIRM && session->hold_ms > 0))
			assert_true(timer_is_armed(&session->hold));
		if (session->state >= NEIGHBOR_OPENCONFIRM && session->hold_ms > 0)
			assert_true(timer_is_armed(&session->keepalive));
		if (conn_queued(session->conn) > 0)
			assert_true(timer_is_armed(&session->send_hold) || session->neighbor->dirty);
	}
}

/* ---- what must hold ---- */

/* Does h have from its neighbor exactly what `origin` says? */
static size_t count_right(struct host *h, unsigned neighbor, unsigned origin, char *why, size_t size)
{
	size_t n = 0;

	for (unsigned i = 0; i < NET_ROUTES; i++) {
		struct route_nlri nlri = route_of(origin, i);
		const struct route_attrs *a = table_get(h->table, neighbor, &nlri.key);
		uint8_t kind = h->net->hosts[origin].truth[i];

		if ((a ? a->local_pref : 0) != kind) {
			snprintf(why, size, "host %u has of host %u by %u route %u as %u, not %u", h->self, origin, neighbor, i,
				 a ? a->local_pref : 0, kind);
			return SIZE_MAX;
		}
		n += kind > 0;
	}
	return n;
}

bool host_view_is_right(struct host *h, unsigned neighbor, char *why, size_t size)
{
	struct net *net = h->net;
	struct addr remote = addr_of(neighbor);
	struct neighbor_stats stats;
	size_t want = 0, length;

	assert_int_equal(speaker_neighbor_stats(h->s, &remote, &stats), 0);
	if (stats.state != NEIGHBOR_ESTABLISHED || stats.stale) {
		snprintf(why, size, "host %u: neighbor %u is %s, stale %u, last error: %s", h->self, neighbor,
			 neighbor_state_name(stats.state), stats.stale, stats.last_error);
		return false;
	}
	for (unsigned origin = 0; !net->fabric && origin < net->shape.n_hosts; origin++) {
		size_t n = 0;


		if (neighbor < net->shape.n_reflectors ? origin != h->self && origin >= net->shape.n_reflectors : origin == neighbor)
			n = count_right(h, neighbor, origin, why, size);
		if (n == SIZE_MAX)
			return false;
		want += n;
	}
	length = h->leaf ? leaf_counted(h->leaf, neighbor) : table_length(h->table, neighbor, ROUTE_EVPN);
	if (net->fabric)
		want = length; /* which routes these are is for fabric_is_right to say */
	if (length == want && stats.n_received[ROUTE_EVPN] == want)
		return true;
	snprintf(why, size, "host %u has %zu routes of %u (counted %zu), not %zu", h->self, length, neighbor,
		 stats.n_received[ROUTE_EVPN], want);
	return false;
}
