/* SPDX-License-Identifier: Apache-2.0 */
/*
 * secure_view.c - keys and tunnels as JSON and metrics.  Public keys only: there is no way from here to a secret one.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "agent/key.h"
#include "agent/port.h"
#include "agent/secure.h"
#include "agent/secure_view.h"
#include "agent/wire.h"
#include "api/metrics.h"
#include "lib/cleanup.h"
#include "model/fwd.h"
#include "wg/packet.h"

/* ---- where the bytes of a path go ---- */

/* From outside; those of encryption are 0 where nothing is encrypted. */
struct ledger {
	uint32_t told, path, relay, outer_ip, outer_udp, wireguard, padding, ip, udp, vxlan, ethernet, inner;
};

/* False: no path. */
static bool ledger_of(const struct agent *a, const struct config_node *n, struct ledger *out)
{
	const struct addr *local, *remote = a->self && n != a->self ? config_path(a->self, n, &local) : NULL;
	struct ledger l = {.udp = 8, .vxlan = 8, .ethernet = 14};
	const struct wire_path *way = remote && a->wire ? hmap_get(&a->wire->paths, remote) : NULL;
	struct kern_path path;
	bool secure;

	if (!remote || !a->kern || ((!way || !way->relayed) && kern_path(a->kern, remote, local, &path) < 0))
		return false;
	l.told = config_path_mtu(a->self, n, way && way->relayed ? way->relayed : path.mtu);
	l.path = way && way->relayed ? l.told : secure_path_mtu(a, n, remote, path.mtu); /* as rib/resolve.c has it */
	l.ip = addr_is_v4(remote) ? 20 : 40;
	secure = config_encrypts_any(a->config, a->self, n);
	if (secure) {
		uint32_t outside = FWD_OVERHEAD_SECURE(addr_is_v4(remote));

		l.outer_ip = l.ip;
		l.outer_udp = 8;
		l.wireguard = outside - l.outer_ip - l.outer_udp;
		l.padding = l.path > outside ? (l.path - outside) % FWD_SECURE_UNIT : 0;
	}
	l.inner = fwd_tunnel_mtu(l.path, addr_is_v4(remote), secure);
	if (way && way->relayed)
		l.relay = FWD_OVERHEAD_RELAY + FWD_OVERHEAD_MESSAGE;
	l.path += l.relay;
	l.told += l.relay;
	*out = l;
	return true;
}

void view_put_ledger(struct json *j, const struct agent *a, const struct config_node *n)
{
	struct ledger l;

	if (n->foreign || !ledger_of(a, n, &l)) {
		json_put_null(j, "ledger");
		return;
	}
	json_key(j, "ledger");
	json_object_open(j);
	json_put_uint(j, "configured", l.told);
	json_key(j, "measured");
	if (l.path < l.told)
		json_uint(j, l.path);
	else
		json_null(j);
	json_put_uint(j, "path", l.path);
	json_put_uint(j, "relay", l.relay);
	json_put_uint(j, "outerIp", l.outer_ip);
	json_put_uint(j, "outerUdp", l.outer_udp);
	json_put_uint(j, "wireguard", l.wireguard);
	json_put_uint(j, "padding", l.padding);
	json_put_uint(j, "ip", l.ip);
	json_put_uint(j, "udp", l.udp);
	json_put_uint(j, "vxlan", l.vxlan);
	json_put_uint(j, "ethernet", l.ethernet);
	json_put_uint(j, "inner", l.inner);
	json_object_close(j);
}

/* ---- tunnels ---- */

bool view_has_tunnel(const struct agent *a, const struct config_node *n)
{
	return a->self && n != a->self && !n->foreign &&
	       (config_key_is_set(&n->public_key) || config_encrypts_any(a->config, a->self, n));
}

static const char *const path_states[] = {
	[PROBE_DISABLED] = "disabled", [PROBE_BASE] = "base", [PROBE_SEARCHING] = "searching",
	[PROBE_COMPLETE] = "complete", [PROBE_ERROR] = "error",
};
static_assert(sizeof(path_states) / sizeof(path_states[0]) == PROBE_STATE_MAX, "each has a name");

static const char *state_of(const struct tunnel_peer_status *status, const char *problem)
{
	return status && status->ready ? "up" : problem ? "down" : "idle";
}

static void put_endpoint(struct json *j, const char *name, const struct endpoint *e)
{
	char text[ADDR_TEXT_SIZE];

	if (e->port == 0) {
		json_put_null(j, name);
		return;
	}
	json_key(j, name);
	json_format(j, addr_is_v4(&e->addr) ? "%s:%u" : "[%s]:%u", addr_format(&e->addr, text), e->port);
}

static void put_session(struct json *j, const struct agent *a, const struct peer_stats *s)
{
	uint64_t now = loop_now_ms(a->loop);

	if (s->established_ms == 0) {
		json_put_null(j, "lastHandshakeSeconds");
		json_put_null(j, "suite");
		return;
	}
	json_put_uint(j, "lastHandshakeSeconds", now > s->established_ms ? (now - s->established_ms) / 1000 : 0);
	json_put_string(j, "suite", packet_suites[s->suite].name);
}

static void put_drops(struct json *j, const uint64_t drops[static TUNNEL_DROP_MAX])
{
	uint64_t total = 0;

	for (int d = 0; d < TUNNEL_DROP_MAX; d++)
		total += drops[d];
	json_put_uint(j, "drops", total);
	json_key(j, "dropsByName");
	json_array_open(j);
	for (int d = 0; d < TUNNEL_DROP_MAX; d++) {
		if (drops[d] == 0)
			continue;
		json_object_open(j);
		json_put_string(j, "name", tunnel_drop_name(d));
		json_put_uint(j, "packets", drops[d]);
		json_object_close(j);
	}
	json_array_close(j);
}

static void put_mtu(struct json *j, const struct agent *a, const struct config_node *n)
{
	struct ledger l;

	if (ledger_of(a, n, &l))
		json_put_uint(j, "mtu", l.inner);
	else
		json_put_null(j, "mtu");
}

static void put_traffic(struct json *j, const struct tunnel_peer_status *s)
{
	json_put_uint(j, "handshakes", s->stats.handshakes);
	json_put_uint(j, "rxPackets", s->stats.received_packets);
	json_put_uint(j, "rxBytes", s->stats.received_bytes);
	json_put_uint(j, "txPackets", s->stats.sent_packets);
	json_put_uint(j, "txBytes", s->stats.sent_bytes);
	put_drops(j, s->drops);
}

static void put_known(struct json *j, const char *key, uint64_t value, bool known)
{
	if (known)
		json_put_uint(j, key, value);
	else
		json_put_null(j, key);
}

static uint32_t worse(uint32_t a, uint32_t b)
{
	if (a == PROBE_LOSS_UNKNOWN || b == PROBE_LOSS_UNKNOWN)
		return a == PROBE_LOSS_UNKNOWN ? b : a;
	return a > b ? a : b;
}

static void put_measured(struct json *j, const struct tunnel_path *p, bool held)
{
	uint32_t loss = worse(p->loss_out, p->loss_in);

	json_put_string(j, "pathState", held ? path_states[p->state] : NULL);
	put_known(j, "pathMtu", p->mtu, held && p->mtu > 0);
	put_known(j, "rttMicroseconds", p->rtt_us, held && p->rtt_us > 0);
	put_known(j, "lossPpm", loss, held && loss != PROBE_LOSS_UNKNOWN);
	put_known(j, "rxLossPpm", p->loss_in, held && p->loss_in != PROBE_LOSS_UNKNOWN);
	put_known(j, "txLossPpm", p->loss_out, held && p->loss_out != PROBE_LOSS_UNKNOWN);
}

void view_tunnel(struct json *j, const struct agent *a, const struct config_node *n)
{
	static const struct tunnel_peer_status nothing;
	const char *problem = a->options.offline ? "the daemon is not running" : secure_problem(a->secure, n);
	const struct config_node *relay = secure_relay(a->secure, n);
	struct tunnel_peer_status status;
	bool held = secure_status(a->secure, n, &status);
	const struct tunnel_peer_status *s = held ? &status : &nothing;
	char key[KEY_TEXT_SIZE];

	view_begin(j, "Tunnel");
	json_put_string(j, "name", n->name);
	json_put_string(j, "site", n->site->name);
	json_put_bool(j, "plain", false);
	json_put_string(j, "publicKey", config_key_is_set(&n->public_key) ? key_format(&n->public_key, key) : NULL);
	json_put_bool(j, "encrypted", config_encrypts_any(a->config, a->self, n));
	json_put_string(j, "state", state_of(held ? s : NULL, problem));
	json_put_string(j, "reason", problem);
	put_endpoint(j, "endpoint", s->endpoint.relay ? &nothing.endpoint : &s->endpoint);
	json_put_string(j, "relay", relay ? relay->name : NULL);
	put_session(j, a, &s->stats);
	put_mtu(j, a, n);
	put_measured(j, &s->path, held);
	json_put_uint(j, "carriedPackets", s->carried_packets);
	json_put_uint(j, "carriedBytes", s->carried_bytes);
	put_traffic(j, s);
	json_object_close(j);
}

/* A peer that is away is no fault: it is idle. */
void view_tunnel_peer(struct json *j, const struct agent *a, const struct config_port *p)
{
	static const struct tunnel_peer_status nothing;
	const char *problem = a->options.offline ? "the daemon is not running" : secure_plain_problem(a->secure, p);
	struct tunnel_peer_status status;
	bool held = secure_plain_status(a->secure, p, &status);
	const struct tunnel_peer_status *s = held ? &status : &nothing;
	char key[KEY_TEXT_SIZE];

	view_begin(j, "Tunnel");
	json_put_string(j, "name", p->name);
	json_put_string(j, "site", p->node->site->name);
	json_put_bool(j, "plain", true);
	json_put_string(j, "publicKey", key_format(&p->peer->public_key, key));
	json_put_bool(j, "encrypted", true);
	json_put_string(j, "state", state_of(held ? s : NULL, problem));
	json_put_string(j, "reason", problem);
	put_endpoint(j, "endpoint", &s->endpoint);
	json_put_null(j, "relay");
	put_session(j, a, &s->stats);
	json_put_uint(j, "mtu", secure_plain_mtu(a, p->node));
	put_measured(j, &s->path, false);
	json_put_uint(j, "carriedPackets", 0);
	json_put_uint(j, "carriedBytes", 0);
	put_traffic(j, s);
	json_object_close(j);
}

/* ---- what a peer's own program needs ---- */

static void put_prefixes(struct json *j, const struct config_tenant *t)
{
	char text[PREFIX_TEXT_SIZE];

	json_key(j, "routes");
	json_array_open(j);
	for (size_t i = 0; i < t->n_networks; i++) {
		const struct config_network *n = &t->networks[i];

		for (size_t k = 0; k < n->n_subnets && (n->mode == CONFIG_MODE_L3 || n->n_gateways > 0); k++)
			json_string(j, prefix_format(&n->subnets[k], text));
	}
	json_array_close(j);
}

void view_peer(struct json *j, const struct agent *a, const struct config_port *p)
{
	const struct config_node *node = p->node;
	char key[KEY_TEXT_SIZE];

	view_begin(j, "Peer");
	json_put_string(j, "name", p->name);
	json_put_string(j, "node", node->name);
	json_put_string(j, "network", p->network->full_name);
	json_put_string(j, "publicKey", key_format(&p->peer->public_key, key));
	json_put_string(j, "presharedKeyFile", p->peer->preshared_key_file);
	view_put_addrs(j, "addresses", p->addresses, p->n_addresses);
	put_endpoint(j, "endpoint", &(struct endpoint){p->peer->endpoint, p->peer->endpoint_port});
	json_put_uint(j, "mtu", secure_plain_mtu(a, node));
	put_prefixes(j, p->network->tenant);
	json_put_string(j, "nodePublicKey", key_format(&node->public_key, key));
	view_put_addrs(j, "nodeAddresses", node->underlay, node->n_underlay);
	json_put_uint(j, "nodePort", a->config->wireguard_port);
	json_put_bool(j, "nodeNat", node->nat);
	json_object_close(j);
}

/* ---- what is dropped, beside the reasons of the data plane ---- */

static const char *const meanings[] = {
	[DEVICE_MALFORMED] = "no message of the protocol, by kind and size",
	[DEVICE_BAD_MAC] = "a handshake message that is not for this node",
	[DEVICE_COOKIE_SENT] = "under a flood of handshakes: the sender is to prove where it is",
	[DEVICE_RATE_LIMITED] = "under a flood of handshakes: from one place too often",
	[DEVICE_UNKNOWN_PEER] = "a handshake by a key that is no node's",
	[DEVICE_BAD_HANDSHAKE] = "a handshake that does not decrypt",
	[DEVICE_OLD_HANDSHAKE] = "a handshake that was seen before, or of a clock that went back",
	[DEVICE_UNKNOWN_INDEX] = "for a session that is not, or not any more",
	[DEVICE_BAD_COOKIE] = "an answer to a flood that does not decrypt",
	[DEVICE_FORGED] = "data that does not decrypt",
	[DEVICE_REPLAYED] = "data that came before",
	[DEVICE_EXPIRED] = "data under keys that are too old",
	[DEVICE_NO_MEMORY] = "no memory, of the locked kind mostly",
	[TUNNEL_NOT_IP] = "to be encrypted, and no IP packet",
	[TUNNEL_BAD_OFFLOAD] = "to be encrypted, and a super-packet that contradicts itself",
	[TUNNEL_NO_PEER] = "to be encrypted, and for no node with a key",
	[TUNNEL_WAITING_FULL] = "to be encrypted, and enough waits for a session already",
	[TUNNEL_NO_SESSION] = "waited for a session that did not come to be",
	[TUNNEL_TOO_BIG] = "to be encrypted, and longer than the device's MTU",
	[TUNNEL_SEAL_FAILED] = "the library failed to encrypt it",
	[TUNNEL_SEND_FAILED] = "the socket did not take it: no route, no room",
	[TUNNEL_BAD_INNER] = "decrypted, and no IP packet",
	[TUNNEL_WRONG_SOURCE] = "decrypted, and from an address that is not that node's or peer's",
	[TUNNEL_TAP_FAILED] = "decrypted, and the device did not take it",
	[TUNNEL_BUSY] = "handshakes come faster than they can be looked at",
	[TUNNEL_TAP_FULL] = "to be encrypted, and more than the workers keep up with",
	[TUNNEL_SOCKET_FULL] = "more comes to be decrypted than the workers keep up with",
	[TUNNEL_NOT_OURS] = "a program on this node sent it to the device, and not the data plane",
	[TUNNEL_RELAY_LOST] = "to be sent through a relay, and there is no session with that",
	[TUNNEL_RELAY_REFUSED] = "to be carried for others, and this node is no relay, or it was carried already",
	[TUNNEL_RELAY_UNKNOWN] = "to be carried to somebody who is no node with a key",
	[TUNNEL_RELAY_NO_SESSION] = "to be carried to a node that there is no session with",
};
static_assert(sizeof(meanings) / sizeof(meanings[0]) == TUNNEL_DROP_MAX, "a meaning for each");

void view_tunnel_drop(struct json *j, int drop, uint64_t packets)
{
	view_begin(j, "Drop");
	json_key(j, "name");
	json_format(j, VIEW_TUNNEL_DROP "%s", tunnel_drop_name(drop));
	json_put_string(j, "meaning", meanings[drop]);
	json_put_uint(j, "packets", packets);
	json_object_close(j);
}

/* ---- metrics: a handful for each node with a key and each plain peer, and the reasons to drop ---- */

struct tunnel_sample {
	const char *label, *name; /* of a node or a peer */
	struct tunnel_peer_status status;
};

static void of_end(struct metrics *m, const struct tunnel_sample *s, const char *direction, double value)
{
	metrics_sample(m, (struct metrics_label[]){{s->label, s->name}, {direction ? "direction" : NULL, direction}, {0}}, value);
}

static void expose_sessions(struct metrics *m, const struct tunnel_sample *samples, size_t n)
{
	metrics_family(m, "isthmus_tunnel_up", METRICS_GAUGE, NULL, "1 while there is a session with the node or peer.");
	for (size_t i = 0; i < n; i++)
		of_end(m, &samples[i], NULL, samples[i].status.ready);
	metrics_family(m, "isthmus_tunnel_handshakes", METRICS_COUNTER, NULL, "Sessions made with the node or peer.");
	for (size_t i = 0; i < n; i++)
		of_end(m, &samples[i], NULL, (double)samples[i].status.stats.handshakes);
	metrics_family(m, "isthmus_tunnel_last_handshake_timestamp_seconds", METRICS_GAUGE, "seconds",
		       "When the last session with the node or peer was made; 0 = none was.");
	for (size_t i = 0; i < n; i++) {
		uint64_t at = samples[i].status.stats.established_ms;

		of_end(m, &samples[i], NULL, at ? view_boot_to_wall_s() + (double)at / 1000 : 0);
	}
}

static void expose_traffic(struct metrics *m, const struct tunnel_sample *samples, size_t n)
{
	metrics_family(m, "isthmus_tunnel_packets", METRICS_COUNTER, NULL, "Packets encrypted to and decrypted from the node or peer.");
	for (size_t i = 0; i < n; i++) {
		of_end(m, &samples[i], "received", (double)samples[i].status.stats.received_packets);
		of_end(m, &samples[i], "sent", (double)samples[i].status.stats.sent_packets);
	}
	metrics_family(m, "isthmus_tunnel_bytes", METRICS_COUNTER, "bytes", "Bytes of these packets.");
	for (size_t i = 0; i < n; i++) {
		of_end(m, &samples[i], "received", (double)samples[i].status.stats.received_bytes);
		of_end(m, &samples[i], "sent", (double)samples[i].status.stats.sent_bytes);
	}
}

static void expose_relays(struct metrics *m, const struct agent *a, const struct tunnel_sample *samples, size_t n)
{
	metrics_family(m, "isthmus_tunnel_relayed", METRICS_GAUGE, NULL, "1 while another node carries what is exchanged with the node.");
	for (size_t i = 0; i < n; i++)
		of_end(m, &samples[i], NULL, samples[i].status.endpoint.relay != 0);
	if (!a->self->relay)
		return;
	metrics_family(m, "isthmus_tunnel_carried_packets", METRICS_COUNTER, NULL, "Packets of the node that were carried to others.");
	for (size_t i = 0; i < n; i++)
		of_end(m, &samples[i], NULL, (double)samples[i].status.carried_packets);
	metrics_family(m, "isthmus_tunnel_carried_bytes", METRICS_COUNTER, "bytes", "Bytes of these packets.");
	for (size_t i = 0; i < n; i++)
		of_end(m, &samples[i], NULL, (double)samples[i].status.carried_bytes);
}

static size_t take_samples(const struct agent *a, struct tunnel_sample *samples)
{
	const struct config *c = a->config;
	const struct config_port *p;
	size_t n = 0;

	for (size_t i = 0; i < c->n_nodes; i++) {
		samples[n].label = "node";
		samples[n].name = c->nodes[i].name;
		n += secure_status(a->secure, &c->nodes[i], &samples[n].status);
	}
	for (size_t i = 0; a->self->n_peers > 0 && (p = ports_next(a->ports, &i));) {
		if (!p->peer)
			continue;
		samples[n].label = "peer";
		samples[n].name = p->name;
		n += secure_plain_status(a->secure, p, &samples[n].status);
	}
	return n;
}

static void expose_paths(struct metrics *m, const struct tunnel_sample *samples, size_t n)
{
	metrics_family(m, "isthmus_tunnel_path_mtu_bytes", METRICS_GAUGE, "bytes",
		       "Longest packet that was measured to reach the node; absent until it was measured.");
	for (size_t i = 0; i < n; i++)
		if (samples[i].status.path.mtu > 0)
			of_end(m, &samples[i], NULL, samples[i].status.path.mtu);
	metrics_family(m, "isthmus_tunnel_round_trip_seconds", METRICS_GAUGE, "seconds",
		       "Round trip to the node, smoothed; absent until it was measured.");
	for (size_t i = 0; i < n; i++)
		if (samples[i].status.path.rtt_us > 0)
			of_end(m, &samples[i], NULL, (double)samples[i].status.path.rtt_us / 1000000);
	metrics_family(m, "isthmus_tunnel_loss_ratio", METRICS_GAUGE, "ratio",
		       "Part of what was encrypted that was lost on the way of late; absent until it was measured.");
	for (size_t i = 0; i < n; i++) {
		const struct tunnel_path *p = &samples[i].status.path;

		if (p->loss_in != PROBE_LOSS_UNKNOWN)
			of_end(m, &samples[i], "received", (double)p->loss_in / 1000000);
		if (p->loss_out != PROBE_LOSS_UNKNOWN)
			of_end(m, &samples[i], "sent", (double)p->loss_out / 1000000);
	}
}

void view_expose_secure(struct metrics *m, const struct agent *a)
{
	_cleanup_(free) struct tunnel_sample *samples = NULL;
	uint64_t drops[TUNNEL_DROP_MAX] = {0};
	size_t n = 0;

	if (!a->config || !secure_has_tunnel(a->secure))
		return;
	samples = calloc(a->config->n_nodes + a->self->n_peers + 1, sizeof(*samples));
	m->failed |= !samples;
	if (samples)
		n = take_samples(a, samples);
	if (n > 0) {
		expose_sessions(m, samples, n);
		expose_traffic(m, samples, n);
		expose_paths(m, samples, n);
		expose_relays(m, a, samples, n);
	}
	secure_drops(a->secure, drops);
	metrics_family(m, "isthmus_tunnel_drops", METRICS_COUNTER, NULL,
		       "Packets and handshakes dropped by what encrypts, by reason (see `isthmus describe tunnel`).");
	for (int d = 0; d < TUNNEL_DROP_MAX; d++)
		metrics_sample(m, (struct metrics_label[]){{"reason", tunnel_drop_name(d)}, {0}}, (double)drops[d]);
}
