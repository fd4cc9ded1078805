/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "agent/key.h"
#include "agent/secure_state.h"
#include "agent/state.h"
#include "lib/cleanup.h"
#include "lib/text.h"

#define PATIENCE_MS 10000 /* until a peer that does not answer is named */
#define SESSION_LIFE_MS 500000 /* and some: after 540 s of silence its keys are forgotten */
#define NAMED 5

static void entry_free(struct peer_entry *e)
{
	free(e->node);
	free(e->problem);
	free(e);
}

static void tell_problem(struct peer_entry *e, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void tell_problem(struct peer_entry *e, const char *format, ...)
{
	va_list args;

	free(e->problem);
	va_start(args, format);
	if (text_vformat(&e->problem, format, args) < 0)
		e->problem = strdup("no memory");
	va_end(args);
}

/* The entry of a node; NULL when there was no memory. */
static struct peer_entry *entry_of(struct secure *s, const struct config_node *node)
{
	struct peer_entry *e = hmap_get(&s->peers, &node->public_key);
	char *name;

	if (!e) {
		e = calloc(1, sizeof(*e));
		if (!e)
			return NULL;
		e->key = node->public_key;
		if (hmap_add(&s->peers, e) < 0) {
			free(e);
			return NULL;
		}
	}
	if (e->node && strcmp(e->node, node->name) == 0)
		return e;
	name = strdup(node->name);
	if (!name)
		return e->node ? e : NULL;
	free(e->node);
	e->node = name;
	return e;
}

static void forget(struct secure *s, struct peer_entry *e)
{
	if (e->held)
		tunnel_peer_remove(s->tunnel, e->key.bytes);
	secure_path_forget(s, e);
	secure_relay_forget(s, e);
	hmap_remove(&s->peers, &e->key);
	entry_free(e);
}

/* Behind a NAT a node is where its packets come from, and within its own site where it says. */
static bool can_be_called(const struct config_node *self, const struct config_node *node)
{
	return !node->nat || node->site == self->site;
}

/* 0; -errno with the entry's problem said: rather no peer than one with less than was asked for. */
static int describe_peer(struct secure *s, struct peer_entry *e, const struct config *c, const struct config_node *self,
			 const struct config_node *node, struct tunnel_peer *out)
{
	const char *file = config_preshared_key_file(c, self, node);
	_secret_ struct secret_key psk = {0};
	_cleanup_(free) char *why = NULL;
	const struct addr *local, *remote = config_path(self, node, &local);
	int r = file ? key_read(file, &psk, &why) : 0;

	if (r < 0) {
		tell_problem(e, "its preshared key cannot be used: %s", why ? why : strerror(-r));
		return r;
	}
	if (why)
		log_warning("the preshared key of node %s: %s", node->name, why);
	*out = (struct tunnel_peer){
		/* A relay has to be there when somebody cannot be reached, and has to find us. */
		.keepalive_s = self->nat || node->relay ? SECURE_KEEPALIVE_S : 0,
		.relay = node->relay,
		.unreachable = !can_be_called(self, node) && !can_be_called(node, self),
		.suite = tunnel_suite(s->tunnel),
		.path_mtu = secure_path_told(s, c, self, node),
	};
	memcpy(out->public_key, node->public_key.bytes, sizeof(out->public_key));
	memcpy(out->psk, psk.bytes, sizeof(out->psk));
	for (size_t i = 0; i < node->n_underlay && i < TUNNEL_ADDRESSES_MAX; i++)
		out->addresses[out->n_addresses++] = node->underlay[i];
	if (remote && can_be_called(self, node))
		out->endpoint = (struct endpoint){*remote, c->wireguard_port};
	return 0;
}

static int set_peer(struct secure *s, const struct config *c, const struct config_node *self,
		    const struct config_node *node)
{
	struct peer_entry *e = entry_of(s, node);
	struct tunnel_peer peer;
	int r;

	if (!e)
		return -ENOMEM;
	e->round = s->round;
	e->asked = config_encrypts_any(c, self, node);
	r = describe_peer(s, e, c, self, node, &peer);
	if (r == 0) {
		e->called = peer.endpoint.port != 0;
		e->path_mtu = peer.path_mtu;
		r = tunnel_peer_set(s->tunnel, &peer);
		if (r < 0)
			tell_problem(e, "%s", r == -EKEYREJECTED ? "its public key is this node's own, or none"
					      : r == -EEXIST	 ? "another peer has its address"
								 : strerror(-r));
		secret_wipe(peer.psk, sizeof(peer.psk));
	}
	if (r < 0 && e->held) {
		tunnel_peer_remove(s->tunnel, e->key.bytes);
		secure_path_forget(s, e);
		secure_relay_forget(s, e);
		e->held = e->up = false;
	}
	if (r < 0)
		return r;
	if (!e->held)
		e->silent_ms = loop_now_ms(s->agent->loop);
	e->held = true;
	free(e->problem);
	e->problem = NULL;
	return 0;
}

bool secure_is_peer(const struct config_node *self, const struct config_node *node)
{
	return node != self && !node->foreign && config_key_is_set(&node->public_key);
}

void secure_peers_set(struct secure *s, const struct config *c, const struct config_node *self)
{
	tunnel_relaying_set(s->tunnel, self->relay);
	for (size_t i = 0; i < c->n_nodes; i++)
		if (secure_is_peer(self, &c->nodes[i]))
			set_peer(s, c, self, &c->nodes[i]);
}

/*
 * An address may go from one node to another, or from one key of a node to the next: whoever was refused for it is set once
 * more, when all others have given up what they have no more.
 */
void secure_peers_set_again(struct secure *s, const struct config *c, const struct config_node *self)
{
	for (size_t i = 0; i < c->n_nodes; i++) {
		const struct peer_entry *e = secure_is_peer(self, &c->nodes[i]) ? hmap_get(&s->peers, &c->nodes[i].public_key) : NULL;

		if (e && e->problem)
			set_peer(s, c, self, &c->nodes[i]);
	}
}

void secure_peers_forget(struct secure *s, bool all)
{
	struct peer_entry *e;

	for (size_t i = 0; (e = hmap_next(&s->peers, &i));)
		if (all || e->round != s->round)
			forget(s, e);
}

static bool is_down(const struct secure *s, const struct peer_entry *e)
{
	return e->problem || (!e->up && e->silent_ms && loop_now_ms(s->agent->loop) >= e->silent_ms + PATIENCE_MS);
}

bool secure_count(const struct secure *s, size_t *asked, size_t *down)
{
	const struct peer_entry *e;

	if (!s)
		return false;
	*asked = *down = s->n_keyless;
	for (size_t i = 0; (e = hmap_next(&s->peers, &i));) {
		*asked += e->asked;
		*down += e->asked && is_down(s, e);
	}
	return *asked > 0;
}

const char *secure_problem(const struct secure *s, const struct config_node *node)
{
	const struct peer_entry *e = s ? hmap_get(&s->peers, &node->public_key) : NULL;

	if (!config_key_is_set(&node->public_key))
		return "it has no public_key in the configuration";
	if (!s || !s->tunnel)
		return s && s->failure ? s->failure : "there is no tunnel";
	if (!e)
		return "no memory";
	if (e->problem || !is_down(s, e))
		return e->problem;
	return e->called ? "it does not answer" : "it has not called yet, and is behind a NAT";
}

bool secure_status(const struct secure *s, const struct config_node *node, struct tunnel_peer_status *out)
{
	return s && s->tunnel && tunnel_peer_status(s->tunnel, node->public_key.bytes, out) == 0;
}

void secure_drops(const struct secure *s, uint64_t out[static TUNNEL_DROP_MAX])
{
	if (s && s->tunnel)
		tunnel_drops(s->tunnel, out);
}

/* ---- what becomes of them ---- */

/*
 * Keys are forgotten when nothing was to be said for long: that is no fault, and the next packet gets new ones.  Else, or
 * where there were none, it was asked and did not answer.
 */
static bool is_silent(const struct secure *s, const struct peer_entry *e, const struct tunnel_peer_status *status)
{
	return !e->up || loop_now_ms(s->agent->loop) < status->stats.established_ms + SESSION_LIFE_MS;
}

void secure_peer_event(struct secure *s, const struct tunnel_event *event)
{
	struct peer_entry *e = hmap_get(&s->peers, event->public_key);
	static struct log_limit limit;
	struct tunnel_peer_status status;
	char where[ADDR_TEXT_SIZE] = "";

	if (!e)
		secure_plain_event(s, event);
	if (!e || tunnel_peer_status(s->tunnel, e->key.bytes, &status) < 0)
		return;
	e->measured |= event->kinds & TUNNEL_PEER_MEASURED;
	secure_relay_note(s, e, &status);
	if (status.endpoint.relay)
		snprintf(where, sizeof(where), "through a relay");
	else
		addr_format(&status.endpoint.addr, where);
	if (event->kinds & TUNNEL_PEER_UP && !e->up)
		log_limited(&limit, LOG_LEVEL_INFO, "tunnel to node %s (%s): up", e->node, where);
	else if (event->kinds & TUNNEL_PEER_MOVED && !status.endpoint.relay)
		log_limited(&limit, LOG_LEVEL_INFO, "tunnel to node %s: it is at %s now", e->node, where);
	if (!status.ready && event->kinds & TUNNEL_PEER_DOWN && is_silent(s, e, &status)) {
		log_limited(&limit, LOG_LEVEL_WARNING, "tunnel to node %s (%s): it does not answer", e->node, where);
		e->silent_ms = 1;
	} else if (status.ready || event->kinds & TUNNEL_PEER_DOWN) {
		e->silent_ms = 0;
	}
	e->up = status.ready;
}

/* Nodes without a key that are to get something encrypted, by name. */
void secure_peers_find_keyless(struct secure *s)
{
	const struct config *c = s->agent->config;
	const struct config_node *self = s->agent->self;
	size_t size, n = 0;
	FILE *f;

	free(s->keyless);
	s->keyless = NULL;
	f = text_stream(&s->keyless, &size);
	for (size_t i = 0; f && i < c->n_nodes; i++) {
		const struct config_node *node = &c->nodes[i];

		if (node == self || node->foreign || config_key_is_set(&node->public_key) ||
		    !config_encrypts_any(c, self, node) || n++ >= NAMED)
			continue;
		fprintf(f, "%s%s", n > 1 ? ", " : "", node->name);
	}
	s->n_keyless = n;
	if (f && n > NAMED)
		fprintf(f, " and %zu more", n - NAMED);
	if (f && (fclose(f) != 0 || n == 0)) {
		free(s->keyless);
		s->keyless = NULL;
	}
}

void secure_peers_check(struct secure *s)
{
	char names[512] = "";
	size_t length = 0, n = 0;
	struct peer_entry *e;

	for (size_t i = 0; (e = hmap_next(&s->peers, &i));) {
		const char *why = e->problem ? e->problem : e->called ? "does not answer" : "has not called yet";

		if (!e->asked || !is_down(s, e) || n++ >= NAMED || length >= sizeof(names))
			continue;
		length += (size_t)snprintf(names + length, sizeof(names) - length, "%s%s (%s)", n > 1 ? ", " : "", e->node,
					   why);
	}
	if (n > 0)
		agent_degrade(s->agent, REASON_PEERS, "what is to be encrypted does not reach %zu node%s: %s%s", n,
			      n == 1 ? "" : "s", names, n > NAMED ? " and others" : "");
	else if (s->keyless)
		agent_degrade(s->agent, REASON_PEERS,
			      "what is to be encrypted does not reach nodes without a public_key in the configuration: %s; "
			      "isthmus key show prints it there",
			      s->keyless);
	else
		agent_degrade(s->agent, REASON_PEERS, NULL);
}

