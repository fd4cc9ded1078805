/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/secure_state.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "agent/bgp.h"
#include "agent/inside.h"
#include "agent/key.h"
#include "agent/state.h"
#include "lib/cleanup.h"
#include "lib/text.h"
#include "rib/rib.h"

#define RETRY_MS 5000
#define LINK_MTU 1500    /* while no path is known */
#define PEERS_LEAST 64   /* that there is locked memory for, as more may be applied later */
/*
 * After an apply what was encrypted, or will be, is sent so, and clear text is taken where either says so: the nodes learn
 * of a change one by one, and nothing is lost meanwhile (rib_ease).
 */
#define EASE_MS 30000

/* ---- the node's own key ---- */

static void open_key(struct secure *s, size_t peers)
{
	_cleanup_(free) char *why = NULL;
	struct agent *a = s->agent;
	int locked = secret_start(tunnel_secret_size(peers > PEERS_LEAST ? peers : PEERS_LEAST));
	int r = locked == -ENOMEM ? -ENOMEM : key_public(a->options.state_dir, &s->public_key, &why);

	s->keyed = r == 0;
	s->exposed = locked < 0;
	if (r < 0)
		r = text_format(&s->key_problem,
				"the node's private key cannot be used: %s; bring it back, or remove it and start isthmusd "
				"again, and put the new public key into the configuration",
				why ? why : strerror(-r));
	else if (why)
		r = text_format(&s->key_problem, "the node's private key: %s", why);
	if (r < 0)
		s->key_problem = NULL;
}

bool secure_public_key(const struct secure *s, struct config_key *out)
{
	if (!s || !s->keyed)
		return false;
	*out = s->public_key;
	return true;
}

/* ---- the tunnel ---- */

bool secure_has_tunnel(const struct secure *s)
{
	return s && s->tunnel;
}

static void close_tunnel(struct secure *s)
{
	struct agent *a = s->agent;

	if (!s->tunnel)
		return;
	secure_peers_forget(s, true);
	secure_plain_forget(s, true);
	loop_io_remove(a->loop, s->io);
	s->io = NULL;
	if (a->wire->secure_ifindex)
		wire_forget(a->wire, a->wire->secure_ifindex);
	a->wire->secure_ifindex = a->wire->secure_mtu = 0;
	tunnel_free(s->tunnel);
	s->tunnel = NULL;
	inside_check(a);
	bgp_follow_device(a->bgp);
}

static void on_events(void *arg, uint32_t events)
{
	struct secure *s = arg;
	struct tunnel_event event;
	bool lost = false, measured = false;

	while (tunnel_event(s->tunnel, &event)) {
		lost |= event.kinds & TUNNEL_LOST;
		measured |= event.kinds & TUNNEL_PEER_MEASURED;
		secure_peer_event(s, &event);
	}
	if (!lost) {
		secure_relays_follow(s);
		if (measured || s->paths_changed)
			secure_paths_follow(s);
		return;
	}
	log_warning("somebody removed the device %s; what is to be encrypted is dropped until there is another",
		    SECURE_DEVICE);
	s->agent->repairs++;
	close_tunnel(s);
	secure_configure(s);
}

static unsigned count_workers(void)
{
	cpu_set_t set;
	int n = sched_getaffinity(0, sizeof(set), &set) == 0 ? CPU_COUNT(&set) : 1;

	return n < 1 ? 1 : n > TUNNEL_WORKERS_MAX ? TUNNEL_WORKERS_MAX : (unsigned)n;
}

/* The widest way there is: what is too long for another one is told by its next hop. */
static uint16_t widest(const struct agent *a)
{
	const struct wire_path *p;
	uint16_t mtu = 0;

	for (size_t i = 0; (p = hmap_next(&a->wire->paths, &i));) {
		uint32_t link = p->reachable && !p->learned ? p->path.mtu : 0;
		uint16_t fits = tunnel_mtu((uint16_t)(link < UINT16_MAX ? link : UINT16_MAX), !addr_is_v4(&p->remote));

		mtu = fits > mtu ? fits : mtu;
	}
	return mtu ? mtu : tunnel_mtu(LINK_MTU, false);
}

static int open_device(struct secure *s)
{
	struct agent *a = s->agent;
	int r = kern_link_learn(a->kern, SECURE_DEVICE);

	if (r >= 0)
		r = kern_port_guard(a->kern, SECURE_DEVICE); /* until our programs are on it: inside_check */
	if (r >= 0)
		r = loop_io_add(a->loop, tunnel_fd(s->tunnel), EPOLLIN, on_events, s, &s->io);
	return r < 0 ? r : 0;
}

static void tell_failure(struct secure *s, int r, uint16_t port)
{
	free(s->failure);
	if (r == -EADDRINUSE)
		r = text_format(&s->failure, "UDP port %u is taken; ss -ulnp sport = :%u names who has it", port, port);
	else if (r == -EEXIST)
		r = text_format(&s->failure, "there is a device %s already; ip link del %s, or another isthmusd has it",
				SECURE_DEVICE, SECURE_DEVICE);
	else if (r == -EUSERS)
		r = text_format(&s->failure, "somebody else opened the device %s while it was made; ip link del %s ends that",
				SECURE_DEVICE, SECURE_DEVICE);
	else if (r == -ENOENT || r == -ENODEV)
		r = text_format(&s->failure, "there is no /dev/net/tun; modprobe tun");
	else
		r = text_format(&s->failure, "%s", strerror(-r));
	if (r < 0)
		s->failure = NULL;
}

static void own_addresses(const struct config_node *self, struct addr out[static 2])
{
	const struct addr *own[] = {config_underlay(self, true), config_underlay(self, false)};

	for (size_t i = 0; i < 2; i++)
		out[i] = own[i] ? *own[i] : (struct addr){0};
}

static int open_tunnel(struct secure *s, const struct config *c, const struct config_node *self)
{
	struct tunnel_config config = {.device = SECURE_DEVICE, .port = c->wireguard_port, .vxlan_port = c->vxlan_port,
				       .workers = count_workers(), .mtu = widest(s->agent), .programs_only = true};
	_secret_ struct secret_key key = {0};
	_cleanup_(free) char *why = NULL;
	int r = key_private(s->agent->options.state_dir, &key, &why);

	own_addresses(self, config.local);
	memcpy(config.private_key, key.bytes, sizeof(config.private_key));
	if (r == 0)
		r = tunnel_new(&config, &s->tunnel);
	secret_wipe(config.private_key, sizeof(config.private_key));
	if (r == 0)
		r = open_device(s);
	if (r < 0) {
		tell_failure(s, r, config.port);
		close_tunnel(s);
		s->retry_ms = loop_now_ms(s->agent->loop) + RETRY_MS;
		return r;
	}
	s->port = config.port;
	s->vxlan_port = config.vxlan_port;
	s->mtu = config.mtu;
	memcpy(s->local, config.local, sizeof(s->local));
	free(s->failure);
	s->failure = NULL;
	s->agent->wire->secure_ifindex = tunnel_ifindex(s->tunnel);
	s->agent->wire->secure_mtu = s->mtu;
	log_info("encryption: UDP port %u, %u threads", s->port, config.workers);
	return 0;
}

/* ---- as the configuration says ---- */

static bool has_peers(const struct config *c, const struct config_node *self)
{
	if (self->n_peers > 0)
		return true;
	for (size_t i = 0; i < c->n_nodes; i++)
		if (secure_is_peer(self, &c->nodes[i]))
			return true;
	return false;
}

static bool is_wanted(const struct secure *s, const struct config *c, const struct config_node *self)
{
	return s->keyed && has_peers(c, self);
}

static bool is_another(const struct secure *s, const struct config *c, const struct config_node *self)
{
	struct addr local[2];

	own_addresses(self, local);
	return s->port != c->wireguard_port || s->vxlan_port != c->vxlan_port ||
	       memcmp(local, s->local, sizeof(local)) != 0;
}

void secure_prepare(struct secure *s, const struct config *next, const struct config_node *self)
{
	if (!s || !s->started)
		return;
	rib_eased(s->agent->rib); /* by a dry run */
	rib_ease(s->agent->rib, true);
	if (!is_wanted(s, next, self) || (s->tunnel && is_another(s, next, self)))
		return;
	if (!s->tunnel && open_tunnel(s, next, self) < 0)
		return;
	secure_peers_set(s, next, self);
	secure_peers_set_again(s, next, self);
}

/* Only what changes something takes time: whoever applies the same every few seconds would never be through. */
static void begin_ease(struct secure *s)
{
	if (rib_eased(s->agent->rib))
		s->ease_ms = loop_now_ms(s->agent->loop) + EASE_MS;
	else if (!s->ease_ms)
		rib_ease(s->agent->rib, false);
}

void secure_configure(struct secure *s)
{
	const struct agent *a = s ? s->agent : NULL;
	uint32_t before;

	if (!s || !s->started || !a->config)
		return;
	before = a->wire->node.secure_ifindex;
	begin_ease(s);
	s->round++;
	secure_plain_drop(s);
	if (s->tunnel && (!is_wanted(s, a->config, a->self) || is_another(s, a->config, a->self)))
		close_tunnel(s);
	if (!s->tunnel && is_wanted(s, a->config, a->self))
		open_tunnel(s, a->config, a->self);
	if (s->tunnel) {
		secure_peers_set(s, a->config, a->self);
		secure_peers_forget(s, false);
		secure_peers_set_again(s, a->config, a->self);
		secure_plain_set(s);
	}
	secure_peers_find_keyless(s);
	/* A new device may have the number of the old one, and our program has to be on it all the same. */
	if (a->wire->secure_ifindex != before || (before && !wire_has(a->wire, before)))
		agent_look_at_paths(s->agent);
	bgp_follow_device(s->agent->bgp);
}

/* ---- looking after it ---- */

/* What somebody else did to the device is undone; when it is gone, an event says so. */
static void mend_device(struct secure *s)
{
	struct agent *a = s->agent;
	const struct link *link = kern_link_by_index(a->kern, a->wire->secure_ifindex);

	if (!link || (link->up && link->mtu == s->mtu))
		return;
	if ((!link->up && kern_link_up(a->kern, SECURE_DEVICE) < 0) ||
	    (link->mtu != s->mtu && tunnel_mtu_set(s->tunnel, s->mtu) < 0))
		return;
	a->repairs++;
	log_limited(&a->state->repair_limit, LOG_LEVEL_WARNING,
		    "drift: somebody changed the device %s; it is as it was, what was to be encrypted meanwhile was dropped",
		    SECURE_DEVICE);
}

static void follow_mtu(struct secure *s)
{
	uint16_t mtu = widest(s->agent);

	if (mtu <= s->mtu || tunnel_mtu_set(s->tunnel, mtu) < 0)
		return;
	s->mtu = mtu;
	s->agent->wire->secure_mtu = mtu;
	agent_look_at_paths(s->agent);
}

/* Who encrypts nothing does not care. */
static void check_key(struct secure *s)
{
	struct agent *a = s->agent;

	if (s->key_problem && (s->keyless || has_peers(a->config, a->self)))
		agent_degrade(a, REASON_KEY, "%s", s->key_problem);
	else if (s->exposed && s->tunnel)
		agent_degrade(a, REASON_KEY,
			      "memory for keys cannot be locked, and may be written to swap: raise LimitMEMLOCK (ulimit -l)");
	else
		agent_degrade(a, REASON_KEY, NULL);
}

static void check_own(struct secure *s)
{
	struct agent *a = s->agent;
	const struct config_key *said = &a->self->public_key;
	bool asked = s->keyless || s->tunnel;
	char key[KEY_TEXT_SIZE];

	key_format(&s->public_key, key);
	if (s->failure && !s->tunnel && is_wanted(s, a->config, a->self))
		agent_degrade(a, REASON_SECURE, "nothing can be encrypted: %s", s->failure);
	else if (s->keyed && config_key_is_set(said) && !config_key_equal(said, &s->public_key))
		agent_degrade(a, REASON_SECURE,
			      "nodes.%s.public_key is not the key of this node, and no other node will talk to it: put \"%s\" "
			      "there, or bring private.key back",
			      a->self->name, key);
	else if (s->keyed && asked && !config_key_is_set(said))
		agent_degrade(a, REASON_SECURE,
			      "nodes.%s has no public_key in the configuration, and no other node can send anything "
			      "encrypted to it: put \"%s\" there",
			      a->self->name, key);
	else
		agent_degrade(a, REASON_SECURE, NULL);
}

static void end_ease(struct secure *s)
{
	s->ease_ms = 0;
	rib_ease(s->agent->rib, false);
	agent_settle(s->agent);
}

void secure_check(struct secure *s)
{
	if (!s || !s->started || !s->agent->config)
		return;
	if (s->ease_ms && loop_now_ms(s->agent->loop) >= s->ease_ms)
		end_ease(s);
	if (!s->tunnel && is_wanted(s, s->agent->config, s->agent->self) && loop_now_ms(s->agent->loop) >= s->retry_ms)
		secure_configure(s);
	if (s->tunnel) {
		mend_device(s);
		follow_mtu(s);
		secure_plain_check(s);
		inside_check(s->agent);
		secure_relays_follow(s);
		secure_paths_follow(s);
	}
	check_key(s);
	check_own(s);
	secure_peers_check(s);
}

int secure_new(struct agent *a, size_t peers, struct secure **out)
{
	struct secure *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->agent = a;
	s->peers = HMAP_INIT(struct peer_entry, key);
	secure_plain_init(s);
	secure_last_read(s);
	open_key(s, peers);
	*out = s;
	return 0;
}

void secure_start(struct secure *s)
{
	s->started = true;
	secure_configure(s);
}

void secure_free(struct secure *s)
{
	if (!s)
		return;
	secure_last_write(s, true);
	close_tunnel(s);
	secure_last_fini(s);
	hmap_fini(&s->peers);
	secure_plain_fini(s);
	free(s->keyless);
	free(s->failure);
	free(s->key_problem);
	free(s);
}
