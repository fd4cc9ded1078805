/* SPDX-License-Identifier: Apache-2.0 */
/*
 * secure_plain.c - the plain WireGuard peers of this node.  Each is a port (port.h), whose device is the tunnel's: the port
 * waits for it as for any, and it is set up when our programs are on it.
 */
#include <errno.h>
#include <net/if.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "agent/key.h"
#include "agent/port.h"
#include "agent/secure_state.h"
#include "agent/state.h"
#include "lib/cleanup.h"
#include "lib/text.h"

#define IPV6_MTU_MIN 1280 /* RFC 8200 5 */

/* One peer that the configuration has here. */
struct plain_entry {
	struct config_key key;
	uint64_t round;
	char *name;
	char *problem; /* why the tunnel does not have it, or NULL */
	char device[CONFIG_INTERFACE_SIZE];
	bool held; /* by the tunnel */
};

void secure_plain_init(struct secure *s)
{
	s->plain = HMAP_INIT(struct plain_entry, key);
}

void secure_plain_fini(struct secure *s)
{
	hmap_fini(&s->plain);
}

/*
 * What fits into the way to every other node, as far as the configuration tells, so that every node says the same.  Whether
 * anything is encrypted there, for which all tenants are asked, is the same for all nodes of a site.
 */
static uint32_t narrowest(const struct config *c, const struct config_node *node)
{
	const struct config_site *site = NULL;
	uint32_t mtu = CONFIG_PEER_MTU;
	bool encrypts = false;

	for (size_t i = 0; i < c->n_nodes; i++) {
		const struct config_node *n = &c->nodes[i];
		const struct addr *local, *remote = n != node && !n->foreign ? config_path(node, n, &local) : NULL;
		uint32_t inner;

		if (!remote)
			continue;
		if (n->site != site)
			encrypts = config_encrypts_any(c, node, n);
		site = n->site;
		inner = fwd_tunnel_mtu(config_path_mtu(node, n, CONFIG_PEER_MTU), addr_is_v4(remote), encrypts);
		mtu = inner < mtu ? inner : mtu;
	}
	return mtu < IPV6_MTU_MIN ? IPV6_MTU_MIN : mtu;
}

uint16_t secure_plain_mtu(const struct agent *a, const struct config_node *node)
{
	uint32_t others = narrowest(a->config, node);
	uint32_t mtu = node->mtu && node->mtu < CONFIG_PEER_MTU ? node->mtu : CONFIG_PEER_MTU;
	bool v6 = false;

	for (size_t i = 0; i < node->n_underlay; i++) {
		const struct link *link = a->kern && node == a->self ? kern_link_with_address(a->kern, &node->underlay[i]) : NULL;

		v6 |= !addr_is_v4(&node->underlay[i]);
		if (link && link->mtu < mtu)
			mtu = link->mtu;
	}
	mtu = tunnel_mtu((uint16_t)mtu, v6);
	return (uint16_t)(mtu < others ? mtu : others);
}

static void tell_problem(struct plain_entry *e, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void tell_problem(struct plain_entry *e, const char *format, ...)
{
	char *before = e->problem;
	va_list args;

	va_start(args, format);
	if (text_vformat(&e->problem, format, args) < 0)
		e->problem = strdup("no memory");
	va_end(args);
	if (e->problem && (!before || strcmp(before, e->problem) != 0))
		log_warning("peer %s: %s", e->name, e->problem);
	free(before);
}

static void entry_free(struct plain_entry *e)
{
	free(e->name);
	free(e->problem);
	free(e);
}

static void forget(struct secure *s, struct plain_entry *e)
{
	if (e->held && s->tunnel)
		tunnel_peer_remove(s->tunnel, e->key.bytes);
	hmap_remove(&s->plain, &e->key);
	entry_free(e);
}

static struct plain_entry *entry_of(struct secure *s, const struct config_port *p)
{
	struct plain_entry *e = calloc(1, sizeof(*e));

	if (!e)
		return NULL;
	e->key = p->peer->public_key;
	e->name = strdup(p->name);
	if (!e->name || hmap_add(&s->plain, e) < 0) {
		entry_free(e);
		return NULL;
	}
	memcpy(e->device, p->interface, strlen(p->interface) + 1);
	return e;
}

static void describe(const struct agent *a, const struct config_port *p, uint16_t mtu, struct tunnel_peer *out)
{
	*out = (struct tunnel_peer){.kind = TUNNEL_PLAIN, .suite = SUITE_WIREGUARD, .keepalive_s = p->peer->keepalive_s,
				    .endpoint = {p->peer->endpoint, p->peer->endpoint_port},
				    .port = {.mtu = mtu, .addresses = p->addresses, .n_addresses = p->n_addresses}};
	memcpy(out->public_key, p->peer->public_key.bytes, sizeof(out->public_key));
	memcpy(out->port.device, p->interface, strlen(p->interface) + 1);
	memcpy(out->port.gateway, a->config->gateway_mac.bytes, sizeof(out->port.gateway));
	memcpy(out->port.mac, p->mac.bytes, sizeof(out->port.mac));
}

static void tell_failure(struct plain_entry *e, int r)
{
	if (r == -EEXIST && tunnel_port_is_ours(e->device, NULL)) /* with another key, under this name, or another isthmusd's */
		tell_problem(e, "its device %s is in use; trying again every second", e->device);
	else if (r == -EEXIST)
		tell_problem(e, "there is a device %s already; ip link del %s", e->device, e->device);
	else if (r == -EKEYREJECTED)
		tell_problem(e, "its public key is this node's own, or none");
	else if (r == -EMFILE)
		tell_problem(e, "no file descriptors are left for its device; raise LimitNOFILE=");
	else
		tell_problem(e, "its device %s cannot be made: %s", e->device, strerror(-r));
}

/* Rather no peer than one with less than was asked for. */
static int set_peer(struct secure *s, struct plain_entry *e, const struct config_port *p, uint16_t mtu)
{
	_secret_ struct secret_key psk = {0};
	_cleanup_(free) char *why = NULL;
	struct tunnel_peer peer;
	int r = 0;

	if (p->peer->preshared_key_file)
		r = key_read(p->peer->preshared_key_file, &psk, &why);
	if (r < 0) {
		tell_problem(e, "its preshared key cannot be used: %s", why ? why : strerror(-r));
		return r;
	}
	if (why && !e->problem)
		log_warning("the preshared key of peer %s: %s", e->name, why);
	describe(s->agent, p, mtu, &peer);
	memcpy(peer.psk, psk.bytes, sizeof(peer.psk));
	if (!e->held && peer.endpoint.port == 0)
		peer.endpoint = secure_last_of(s, &e->key);
	r = tunnel_peer_set(s->tunnel, &peer);
	secret_wipe(peer.psk, sizeof(peer.psk));
	if (r < 0)
		tell_failure(e, r);
	return r;
}

static void set(struct secure *s, struct plain_entry *e, const struct config_port *p, uint16_t mtu)
{
	int r = set_peer(s, e, p, mtu);

	if (r < 0 && e->held)
		tunnel_peer_remove(s->tunnel, e->key.bytes);
	e->held = r == 0;
	if (r < 0)
		return;
	free(e->problem);
	e->problem = NULL;
}

void secure_plain_forget(struct secure *s, bool all)
{
	struct plain_entry *e;

	for (size_t i = 0; (e = hmap_next(&s->plain, &i));)
		if (all || e->round != s->round)
			forget(s, e);
}

/* What stays; of another name it has another device, and a device's name may go from one to another. */
static void mark(struct secure *s)
{
	const struct config_port *p;

	for (size_t i = 0; (p = ports_next(s->agent->ports, &i));) {
		struct plain_entry *e = p->peer ? hmap_get(&s->plain, &p->peer->public_key) : NULL;

		if (e && strcmp(e->name, p->name) == 0)
			e->round = s->round;
	}
}

/* What of ours no port is: of peers that go, and what nobody has open, as the daemon that had it is gone. */
struct sweep {
	const struct secure *s; /* NULL: there is none */
	const char **names;
	size_t length, room;
};

static bool is_held(const struct secure *s, const char *device)
{
	const struct plain_entry *e;

	for (size_t i = 0; s && (e = hmap_next(&s->plain, &i));)
		if (e->held && strcmp(e->device, device) == 0)
			return true;
	return false;
}

static bool sweep_link(void *arg, const struct link *link)
{
	struct sweep *w = arg;
	const struct port_local *port = w->s ? ports_by_interface(w->s->agent->ports, link->name) : NULL;
	const char **more;
	bool is_open;

	if (link->kind != LINK_TUN || (port && port->config->peer) || !tunnel_port_is_ours(link->name, &is_open) ||
	    (is_open && !is_held(w->s, link->name)))
		return true;
	if (w->length == w->room) {
		w->room = w->room ? 2 * w->room : 16;
		more = reallocarray(w->names, w->room, sizeof(*more));
		if (!more)
			return false;
		w->names = more;
	}
	w->names[w->length++] = link->name;
	return true;
}

void secure_remove_ports(struct kern *k, const struct secure *s)
{
	struct sweep w = {.s = s};

	kern_link_each(k, sweep_link, &w);
	if (w.length > 0)
		kern_links_remove(k, w.names, w.length);
	free(w.names);
}

/* Devices first: a descriptor of one that is gone takes no time to close. */
void secure_plain_drop(struct secure *s)
{
	mark(s);
	secure_remove_ports(s->agent->kern, s);
	secure_plain_forget(s, false);
}

void secure_plain_set(struct secure *s)
{
	uint16_t mtu = s->agent->self->n_peers > 0 ? secure_plain_mtu(s->agent, s->agent->self) : 0;
	const struct config_port *p;

	for (size_t i = 0; s->agent->self->n_peers > 0 && (p = ports_next(s->agent->ports, &i));) {
		struct plain_entry *e;

		if (!p->peer)
			continue;
		e = hmap_get(&s->plain, &p->peer->public_key);
		if (!e)
			e = entry_of(s, p);
		if (!e)
			continue; /* no memory: the next check tries again */
		e->round = s->round;
		set(s, e, p, mtu);
	}
}

/* Default deny: nothing comes in before our programs are there to look at it. */
static void bring_up(struct secure *s, struct plain_entry *e)
{
	const struct port_local *port = ports_by_name(s->agent->ports, e->name);
	const struct link *link = kern_link_by_name(s->agent->kern, e->device);

	if (link && !link->up && port && port->ifindex == link->ifindex && !port->error)
		kern_link_up(s->agent->kern, e->device);
}

void secure_plain_follow(struct secure *s)
{
	struct plain_entry *e;

	if (!s || !s->tunnel)
		return;
	for (size_t i = 0; (e = hmap_next(&s->plain, &i));)
		if (e->held)
			bring_up(s, e);
}

/* What somebody else did to a device is undone. */
static void mend(struct secure *s, struct plain_entry *e, const struct config_port *p, uint16_t mtu)
{
	struct agent *a = s->agent;
	const struct link *link = kern_link_by_name(a->kern, e->device);
	bool renamed = e->held && !link && if_nametoindex(e->device) == 0;
	bool lost = renamed || (e->held && tunnel_port_is_lost(s->tunnel, e->key.bytes));

	if (e->held && !lost && (!link || link->mtu == mtu)) /* that it is not known yet is no fault */
		return;
	if (lost) {
		a->repairs++;
		log_limited(&a->state->repair_limit, LOG_LEVEL_WARNING,
			    "drift: somebody removed or renamed the device %s of peer %s; it is made again", e->device, e->name);
	}
	set(s, e, p, mtu);
}

void secure_plain_check(struct secure *s)
{
	uint16_t mtu = s->agent->self->n_peers > 0 ? secure_plain_mtu(s->agent, s->agent->self) : 0;
	const struct config_port *p;

	for (size_t i = 0; s->agent->self->n_peers > 0 && (p = ports_next(s->agent->ports, &i));) {
		struct plain_entry *e = p->peer ? hmap_get(&s->plain, &p->peer->public_key) : NULL;

		if (p->peer && !e)
			e = entry_of(s, p);
		if (e)
			mend(s, e, p, mtu);
	}
	secure_plain_follow(s);
	secure_last_write(s, false);
}

/* ---- what is said of them ---- */

bool secure_plain_holds(const struct secure *s, const struct config_key *key)
{
	const struct plain_entry *e = hmap_get(&s->plain, key);

	return e && e->held;
}

const char *secure_plain_problem(const struct secure *s, const struct config_port *p)
{
	const struct plain_entry *e = s ? hmap_get(&s->plain, &p->peer->public_key) : NULL;

	if (!s || !s->tunnel)
		return s && s->failure ? s->failure : "there is no tunnel";
	return e ? e->problem : "no memory";
}

bool secure_plain_status(const struct secure *s, const struct config_port *p, struct tunnel_peer_status *out)
{
	return s && s->tunnel && tunnel_peer_status(s->tunnel, p->peer->public_key.bytes, out) == 0;
}

/* That it goes is no news: a laptop is closed. */
void secure_plain_event(struct secure *s, const struct tunnel_event *event)
{
	const struct plain_entry *e = hmap_get(&s->plain, event->public_key);
	static struct log_limit limit;
	struct tunnel_peer_status status;
	char where[ADDR_TEXT_SIZE] = "";

	if (!e || !(event->kinds & (TUNNEL_PEER_UP | TUNNEL_PEER_MOVED)) ||
	    tunnel_peer_status(s->tunnel, e->key.bytes, &status) < 0)
		return;
	secure_last_note(s, &e->key, &status.endpoint);
	addr_format(&status.endpoint.addr, where);
	if (event->kinds & TUNNEL_PEER_MOVED)
		log_limited(&limit, LOG_LEVEL_INFO, "peer %s: it is at %s now", e->name, where);
	else if (status.stats.handshakes == 1)
		log_limited(&limit, LOG_LEVEL_INFO, "peer %s (%s): its first session", e->name, where);
}
