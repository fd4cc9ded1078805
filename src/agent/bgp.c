/* SPDX-License-Identifier: Apache-2.0 */
/*
 * BGP joined to the daemon: bytes go to the speaker, what it hears to learn, what learn makes of it by way of the rib into
 * the data plane, and what this node has to the neighbors.
 *
 * A turn is what all sockets have to tell at a time, and all that follows of it.  What others say is installed first, and
 * then this node speaks, so that it has what it needs to receive before anybody sends.  Timers come behind the sockets:
 * after a turn that took long, who has spoken meanwhile is not taken for dead.
 */
#include "agent/bgp.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "agent/bgp_peers.h"
#include "agent/bgp_socket.h"
#include "agent/inside.h"
#include "agent/state.h"
#include "lib/cleanup.h"

#define ROUTES_A_TURN 4096 /* that are swept, or looked at again: a few milliseconds */
#define DOWN_NAMED 5

/* ---- turns ------------------------------------------------------------------------------------------------------- */

static uint64_t now_ms(const struct bgp *b)
{
	return loop_now_ms(b->agent->loop);
}

static void arm(struct bgp *b)
{
	uint64_t speaker = speaker_next_ms(b->speaker), learn = learn_next_ms(b->learn);
	uint64_t at = speaker < learn ? speaker : learn;

	if (at == UINT64_MAX)
		loop_timer_set(b->agent->loop, b->timer, 0);
	else
		loop_timer_set(b->agent->loop, b->timer, at > now_ms(b) ? at : now_ms(b));
}

static void turn(struct bgp *b)
{
	speaker_tick(b->speaker, now_ms(b));
	if (learn_next_ms(b->learn) <= now_ms(b))
		learn_run(b->learn, now_ms(b), ROUTES_A_TURN);
	agent_settle(b->agent);
}

void bgp_wake(struct bgp *b)
{
	loop_timer_set(b->agent->loop, b->timer, now_ms(b));
}

static void on_timer(void *arg)
{
	struct bgp *b = arg;

	if (b->speaker)
		turn(b);
}

static void say(void *arg, const struct export_change *change)
{
	struct bgp *b = arg;

	if (!change->put)
		speaker_withdraw(b->speaker, &change->nlri.key);
	else if (speaker_announce(b->speaker, &change->nlri, change->attrs, change->tenant) < 0)
		agent_out_of_memory(b->agent);
}

void bgp_announce(struct bgp *b)
{
	if (!b || !b->speaker)
		return;
	if (learn_commit(b->learn, now_ms(b), say, b) < 0) {
		agent_out_of_memory(b->agent);
		return;
	}
	for (enum route_family f = 0; !b->synced && f < ROUTE_FAMILY_MAX; f++)
		speaker_synced(b->speaker, f);
	b->synced = true;
	arm(b);
}

/* ---- what the speaker asks for ------------------------------------------------------------------------------------ */

static struct bgp_peer *peer_of(struct bgp *b, const struct neighbor_config *n)
{
	return hmap_get(&b->peers, &n->remote);
}

static int do_connect(void *arg, const struct neighbor_config *n, uint64_t *handle)
{
	struct bgp *b = arg;
	const struct bgp_peer *p = peer_of(b, n);

	return bgp_sockets_connect(b->sockets, &n->remote, p && p->inside ? inside_mss(b->agent, &n->remote) : 0, handle);
}

static size_t do_send(void *arg, uint64_t handle, const uint8_t *data, size_t size)
{
	struct bgp *b = arg;

	return bgp_sockets_send(b->sockets, handle, data, size);
}

static void do_close(void *arg, uint64_t handle)
{
	struct bgp *b = arg;

	bgp_sockets_close(b->sockets, handle);
}

static size_t on_put(void *arg, const struct neighbor_config *n, const struct route_attrs *attrs,
		     const struct route_nlri *nlri, size_t length)
{
	struct bgp *b = arg;

	return learn_put(b->learn, peer_of(b, n)->source, attrs, nlri, length);
}

static size_t on_remove(void *arg, const struct neighbor_config *n, const struct route_nlri *nlri, size_t length)
{
	struct bgp *b = arg;

	return learn_remove(b->learn, peer_of(b, n)->source, nlri, length);
}

static void on_stale(void *arg, const struct neighbor_config *n, enum route_family f)
{
	struct bgp *b = arg;

	learn_stale(b->learn, peer_of(b, n)->source, f);
}

static size_t on_swept(void *arg, const struct neighbor_config *n, enum route_family f)
{
	struct bgp *b = arg;

	return learn_swept(b->learn, peer_of(b, n)->source, f);
}

/* What a former life left in the data plane, and nobody has named again, may go: the audit does it. */
static void on_ready(void *arg, enum route_family f, const char *reason)
{
	struct bgp *b = arg;

	if (!(b->waiting & ROUTE_FAMILY_BIT(f)))
		return;
	b->waiting &= ~ROUTE_FAMILY_BIT(f);
	log_info("BGP: %s: what was learned before the restart is complete again: %s", route_family_name(f), reason);
	if (!b->waiting)
		b->agent->state->resync = true;
}

static void on_state(void *arg, const struct neighbor_config *n, enum neighbor_state old, enum neighbor_state state,
		     const char *reason)
{
	struct bgp *b = arg;
	struct bgp_peer *p = peer_of(b, n);
	char address[ADDR_TEXT_SIZE];
	struct neighbor_stats stats;

	if (!p)
		return;
	addr_format(&n->remote, address);
	if (state == NEIGHBOR_ESTABLISHED) {
		log_limited(&p->state_limit, LOG_LEVEL_INFO, "BGP: %s (%s): established", p->name, address);
		p->down_ms = 0;
		if (speaker_neighbor_stats(b->speaker, &n->remote, &stats) == 0)
			p->router_id = stats.remote_id;
		if (bgp_peer_tell(b, p) < 0)
			agent_out_of_memory(b->agent);
	} else if (old == NEIGHBOR_ESTABLISHED) {
		log_limited(&p->state_limit, LOG_LEVEL_WARNING, "BGP: %s (%s): down: %s", p->name, address,
			    reason ? reason : "no reason was given");
		p->down_ms = now_ms(b);
	} else {
		log_debug("BGP: %s (%s): %s, was %s%s%s", p->name, address, neighbor_state_name(state),
			  neighbor_state_name(old), reason ? ": " : "", reason ? reason : "");
	}
}

static void on_notice(void *arg, const struct neighbor_config *n, const char *text)
{
	struct bgp_peer *p = peer_of(arg, n);
	char address[ADDR_TEXT_SIZE];

	if (p)
		log_limited(&p->notice_limit, LOG_LEVEL_INFO, "BGP: %s (%s): %s", p->name,
			    addr_format(&n->remote, address), text);
}

static uint32_t random_number(void *arg)
{
	uint32_t n = 0;

	if (getrandom(&n, sizeof(n), GRND_NONBLOCK) < 0)
		n = (uint32_t)now_ms(arg) * 2654435761u;
	return n;
}

static const struct speaker_ops speaker_ops = {
	.connect = do_connect,
	.send = do_send,
	.close = do_close,
	.route_put = on_put,
	.route_remove = on_remove,
	.neighbor_stale = on_stale,
	.neighbor_swept = on_swept,
	.ready = on_ready,
	.neighbor_state = on_state,
	.notice = on_notice,
	.random = random_number,
};

/* ---- what the sockets tell ----------------------------------------------------------------------------------------- */

static void on_accepted(void *arg, uint64_t handle, const struct addr *remote)
{
	struct bgp *b = arg;

	speaker_on_accepted(b->speaker, handle, remote, now_ms(b));
	bgp_wake(b);
}

static void on_connected(void *arg, uint64_t handle)
{
	struct bgp *b = arg;

	speaker_on_connected(b->speaker, handle, now_ms(b));
	bgp_wake(b);
}

static void on_connect_failed(void *arg, uint64_t handle, const char *reason)
{
	struct bgp *b = arg;

	speaker_on_connect_failed(b->speaker, handle, reason, now_ms(b));
	bgp_wake(b);
}

static void on_bytes(void *arg, uint64_t handle, const uint8_t *data, size_t size)
{
	struct bgp *b = arg;

	speaker_on_bytes(b->speaker, handle, data, size, now_ms(b));
	bgp_wake(b);
}

static void on_writable(void *arg, uint64_t handle)
{
	struct bgp *b = arg;

	speaker_on_writable(b->speaker, handle, now_ms(b));
	bgp_wake(b);
}

static void on_closed(void *arg, uint64_t handle, const char *reason)
{
	struct bgp *b = arg;

	speaker_on_closed(b->speaker, handle, reason, now_ms(b));
	bgp_wake(b);
}

static const struct bgp_socket_ops socket_ops = {
	.accepted = on_accepted,
	.connected = on_connected,
	.connect_failed = on_connect_failed,
	.bytes = on_bytes,
	.writable = on_writable,
	.closed = on_closed,
};

/* ---- what learn tells ---------------------------------------------------------------------------------------------- */

static void on_alert(void *arg, const struct learn_alert *alert)
{
	struct bgp *b = arg;
	char mac[MAC_TEXT_SIZE], node[ADDR_TEXT_SIZE];

	log_limited(&b->alert_limit, LOG_LEVEL_WARNING,
		    "%s: MAC %s in %s is at port %s here and at %s: %s; isthmus bgp free %s %s hears both again",
		    mobility_alert_name(alert->what), mac_format(&alert->mac, mac), alert->network,
		    alert->port ? alert->port : "(gone)", addr_format(&alert->node, node),
		    alert->what == MOBILITY_ALERT_DUPLICATE ? "it moved too often, and the newcomer is not heard for half an hour"
							    : "it is not to move",
		    alert->network, mac);
}

/* ---- beginning and ending ------------------------------------------------------------------------------------------- */

int bgp_new(struct agent *a, struct bgp **out)
{
	struct bgp *b = calloc(1, sizeof(*b));
	int r;

	if (!b)
		return -ENOMEM;
	b->agent = a;
	b->peers = HMAP_INIT(struct bgp_peer, remote);
	r = loop_timer_add(a->loop, on_timer, b, &b->timer);
	if (r < 0) {
		free(b);
		return r;
	}
	*out = b;
	return 0;
}

/* What is learned goes with the next commit of the rib, and what a former life left with the next audit. */
static void forget(struct bgp *b)
{
	if (b->waiting)
		b->agent->state->resync = true;
	speaker_free(b->speaker);
	bgp_sockets_free(b->sockets);
	bgp_peers_forget(b);
	learn_free(b->learn);
	attrs_free(b->attrs);
	b->speaker = NULL;
	b->sockets = NULL;
	b->learn = NULL;
	b->attrs = NULL;
	b->life++;
	b->waiting = 0;
	b->synced = false;
	b->peers = HMAP_INIT(struct bgp_peer, remote);
	loop_timer_set(b->agent->loop, b->timer, 0);
}

void bgp_free(struct bgp *b)
{
	if (!b)
		return;
	forget(b);
	loop_timer_remove(b->agent->loop, b->timer);
	free(b);
}

void bgp_show(struct bgp *b, const struct config *c, const struct config_node *self)
{
	int r = 0;

	if (!b)
		return;
	if (c->bgp && !b->learn) {
		r = b->attrs ? 0 : attrs_new(&b->attrs);
		if (r == 0)
			r = learn_new(b->agent->rib, b->attrs, on_alert, b, &b->learn);
	}
	if (r == 0 && c->bgp)
		r = learn_load(b->learn, c, self);
	else if (b->learn && !b->speaker) /* it was for a configuration that did not come to be */
		forget(b);
	if (r == -ENOSPC)
		log_error("BGP: more than 65,535 networks and tenants; those beyond are not announced");
	else if (r < 0)
		agent_out_of_memory(b->agent);
}

/* Of sessions inside; 0: there is none, or nobody who is. */
static uint32_t device_of(const struct bgp *b)
{
	return bgp_is_inside(b, true) || bgp_is_inside(b, false) ? b->agent->wire->secure_ifindex : 0;
}

static int listen_here(struct bgp *b)
{
	const struct config *c = b->agent->config;
	uint32_t device = device_of(b);
	int r = bgp_sockets_listen(b->sockets, c->bgp->port, b->agent->self->underlay, b->agent->self->n_underlay, device);

	b->device = device;
	b->deaf = r < 0;
	agent_degrade(b->agent, REASON_BGP,
		      r < 0 ? "BGP cannot listen on port %u: %s; %s" : NULL, c->bgp->port, strerror(-r),
		      r == -EACCES ? "the sandbox was closed around the port of before: systemctl restart isthmusd"
				   : "sessions come up only where this node connects");
	return r == -ENOMEM ? r : 0;
}

static int begin(struct bgp *b)
{
	const struct agent *a = b->agent;
	struct speaker_config config = {.as = a->config->bgp->as,
					.id = a->self->router_id,
					.restarting = a->generation == 0 && datapath_adopted(a->dp),
					.forwarding = datapath_adopted(a->dp),
					.deferral_s = SPEAKER_DEFERRAL_S};
	int r;

	if (config.restarting)
		b->waiting = CONFIG_ALL_FAMILIES;
	b->as = config.as;
	b->router_id = config.id;
	r = bgp_sockets_new(a->loop, &socket_ops, b, &b->sockets);
	if (r == 0)
		r = speaker_new(&config, b->attrs, &speaker_ops, b, now_ms(b), &b->speaker);
	if (r < 0) {
		bgp_sockets_free(b->sockets);
		b->sockets = NULL;
	}
	return r;
}

void bgp_configure(struct bgp *b)
{
	const struct agent *a = b ? b->agent : NULL;
	int r = 0;

	if (!b)
		return;
	if (b->speaker && (!a->config->bgp || b->as != a->config->bgp->as || b->router_id != a->self->router_id)) {
		speaker_stop(b->speaker, false, a->config->bgp ? "another AS or identifier" : "no longer configured",
			     now_ms(b));
		forget(b);
		bgp_show(b, a->config, a->self);
	}
	if (!a->config->bgp) {
		agent_degrade(b->agent, REASON_BGP, NULL);
		agent_degrade(b->agent, REASON_SESSIONS, NULL);
		return;
	}
	if (!b->learn)
		return; /* for want of memory, as bgp_show has said */
	if (!b->speaker)
		r = begin(b);
	if (r == 0)
		r = bgp_peers_configure(b);
	if (r == 0)
		r = listen_here(b);
	if (r < 0)
		agent_out_of_memory(b->agent);
	inside_check(b->agent);
}

void bgp_follow_device(struct bgp *b)
{
	const struct bgp_peer *p;

	if (!b || !b->speaker || b->device == device_of(b))
		return;
	inside_check(b->agent);
	if (listen_here(b) < 0)
		agent_out_of_memory(b->agent);
	for (size_t i = 0; b->device && (p = hmap_next(&b->peers, &i));)
		if (p->inside && p->down_ms)
			speaker_reconnect(b->speaker, &p->remote, "the tunnel is there", now_ms(b));
	bgp_wake(b);
}

bool bgp_is_inside(const struct bgp *b, bool v4)
{
	const struct bgp_peer *p;

	if (!b || !b->speaker)
		return false;
	for (size_t i = 0; (p = hmap_next(&b->peers, &i));)
		if (p->inside && addr_is_v4(&p->remote) == v4)
			return true;
	return false;
}

void bgp_stop(struct bgp *b, const char *text)
{
	if (b && b->speaker)
		speaker_stop(b->speaker, true, text, now_ms(b));
}

/* ---- looking after it ------------------------------------------------------------------------------------------------ */

bool bgp_is_waiting(const struct bgp *b)
{
	return b && b->waiting;
}

void bgp_check(struct bgp *b)
{
	const struct bgp_peer *p;
	char names[256] = "";
	size_t n = 0, length = 0;
	bool crowded = false;

	if (!b || !b->speaker)
		return;
	if (b->deaf && listen_here(b) < 0)
		agent_out_of_memory(b->agent);
	for (size_t i = 0; (p = hmap_next(&b->peers, &i));) {
		const struct neighbor_config *c = speaker_neighbor(b->speaker, &p->remote);
		uint64_t patience = c ? (c->hold_s ? c->hold_s : NEIGHBOR_HOLD_S) * 1000ull : 0;
		char address[ADDR_TEXT_SIZE];

		if (!c || !p->down_ms || (!p->keyless && (c->shutdown || now_ms(b) < p->down_ms + patience)))
			continue;
		crowded |= p->crowded;
		if (n++ < DOWN_NAMED && length < sizeof(names))
			length += (size_t)snprintf(names + length, sizeof(names) - length, "%s%s (%s)", n > 1 ? ", " : "",
						   p->name, addr_format(&p->remote, address));
	}
	agent_degrade(b->agent, REASON_SESSIONS, n ? "no BGP session with %zu neighbor%s: %s%s; %s" : NULL, n,
		      n == 1 ? "" : "s", names, n > DOWN_NAMED ? " and others" : "",
		      crowded ? "the kernel holds no more keys: raise net.core.optmem_max and restart"
			      : "isthmus bgp neighbors says why");
}

bool bgp_count(const struct bgp *b, size_t *n, size_t *n_established)
{
	const struct bgp_peer *p;

	if (!b || !b->speaker)
		return false;
	*n = b->peers.length;
	*n_established = 0;
	for (size_t i = 0; (p = hmap_next(&b->peers, &i));)
		*n_established += !p->down_ms;
	return true;
}

bool bgp_free_duplicate(struct bgp *b, uint32_t vni, const struct mac *mac)
{
	bool was = b && b->learn && learn_free_duplicate(b->learn, vni, mac, now_ms(b));

	if (was)
		agent_settle(b->agent);
	return was;
}
