/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Drift: what others change behind our back is put right, counted and said.  What the kernel tells (filters, links) is
 * mended at once by agent.c; here twice a second everything is looked at, what is costly in turns.
 */
#include <errno.h>
#include <string.h>

#include "agent/bgp.h"
#include "agent/increment.h"
#include "agent/secure.h"
#include "agent/state.h"
#include "rib/rib.h"

#define ENTRIES_PER_TURN 32768
#define GUARD_TURNS 3
#define GUARDS_LEAST 64 /* so many at every turn: all of a small node */

static void count_repairs(struct agent *a, int n, const char *what)
{
	if (n <= 0)
		return;
	a->repairs += (uint64_t)n;
	log_limited(&a->state->repair_limit, LOG_LEVEL_WARNING,
		    "drift: %d of %s had been changed by others and %s put right; traffic that needed them was dropped "
		    "meanwhile",
		    n, what, n == 1 ? "is" : "are");
}

/* Up to `budget` ports from where the last round ended; the cursor is hmap_next's. */
static struct port_local *next_port(struct agent *a, size_t *cursor, size_t *budget)
{
	struct port_local *p;

	if (*budget == 0 || a->ports->by_name.length == 0)
		return NULL;
	--*budget;
	p = hmap_next(&a->ports->by_name, cursor);
	if (p)
		return p;
	*cursor = 0;
	return hmap_next(&a->ports->by_name, cursor);
}

void agent_guard(struct agent *a, const struct port_local *p)
{
	if (p->ifindex && !p->error)
		count_repairs(a, kern_port_guard(a->kern, p->interface), "the settings of a port");
}

/*
 * The kernel tells when forwarding, the reverse path filter, proxy ARP or IPv6 is opened; the others are asked for,
 * every port's within a second and a half.
 */
static void check_guards(struct agent *a)
{
	size_t length = a->ports->by_name.length, budget = length / GUARD_TURNS + GUARDS_LEAST;
	struct port_local *p;

	if (budget > length)
		budget = length;
	while ((p = next_port(a, &a->state->guard_cursor, &budget)))
		if (p->ifindex && !p->error && kern_port_is_guarded(a->kern, p->ifindex) != 1)
			agent_guard(a, p);
	count_repairs(a, kern_fib_enable(a->kern), "the settings of lo");
}

#define DEVICE_TURNS 120 /* a minute */
#define RESYNC_TURNS_MAX 32 /* 16 s */

static void merge(struct agent *a)
{
	static struct log_limit limit;
	int r;

	if (a->state->turn < a->state->merge_turn)
		return;
	if (a->state->merge_port && a->state->merge_port != a->config->vxlan_port)
		kern_merge_disable(a->kern, a->state->merge_port);
	r = kern_merge_enable(a->kern, a->config->vxlan_port);
	if (r < 0) {
		a->state->merge_turn = a->state->turn + DEVICE_TURNS;
		log_limited(&limit, LOG_LEVEL_INFO, "tunnel packets that arrive are not merged by us: %s",
			    r == -EADDRINUSE ? "another VXLAN device has the port, and merges them" : strerror(-r));
		return;
	}
	if (r > 0 && a->state->merge_port == a->config->vxlan_port) {
		a->repairs++;
		log_limited(&a->state->repair_limit, LOG_LEVEL_WARNING,
			    "drift: the device that merges tunnel packets had been changed by others and is back");
	}
	a->state->merge_port = a->config->vxlan_port;
}

/* A new one is another interface: the node's entry names it, and our program has to be on it. */
static void cut(struct agent *a)
{
	static struct log_limit limit;
	int r;

	if (a->state->turn < a->state->cut_turn)
		return;
	r = kern_cut_enable(a->kern);
	if (r < 0) {
		a->state->cut_turn = a->state->turn + DEVICE_TURNS;
		log_limited(&limit, LOG_LEVEL_WARNING,
			    "super-packets of UDP (QUIC) from other nodes are dropped (encap_failed): the veths that cut "
			    "them cannot be made: %s", strerror(-r));
	} else if (r > 0) {
		a->repairs++;
		log_limited(&a->state->repair_limit, LOG_LEVEL_WARNING,
			    "drift: the devices that cut packets had been changed by others and are back");
	}
	if (kern_cut_ifindex(a->kern) != a->wire->node.cut_ifindex)
		agent_look_at_paths(a);
}

/*
 * Those that failed; and those whose interface seemed to be gone as they were to be set up, and is not: the kernel tells of a
 * new name before the interface's settings are there under it, and says nothing after.
 */
static void retry_failed_ports(struct agent *a)
{
	struct port_local *p;

	for (size_t i = 0; (p = hmap_next(&a->ports->by_name, &i));)
		if (p->error || (!p->ifindex && kern_link_by_name(a->kern, p->interface)))
			port_refresh(a->ports, p, a->kern, &a->state->pending, a->rib);
	agent_settle(a);
}

static void retry_writes(struct agent *a)
{
	int r;

	if (!a->state->resync || a->state->turn < a->state->resync_turn)
		return;
	r = agent_put_everything(a);
	a->state->resync = r != 0;
	if (r == 0) {
		a->state->resync_wait = 0;
		agent_degrade(a, REASON_DATAPLANE, NULL);
		return;
	}
	/* A full table stays full, and all of it is walked each time: less and less often. */
	a->state->resync_wait = a->state->resync_wait ? 2 * a->state->resync_wait : 2;
	if (a->state->resync_wait > RESYNC_TURNS_MAX)
		a->state->resync_wait = RESYNC_TURNS_MAX;
	a->state->resync_turn = a->state->turn + a->state->resync_wait;
	agent_degrade(a, REASON_DATAPLANE, "the data plane refuses entries: %s; trying again", datapath_error());
}

static void check_quota(struct agent *a)
{
	char text[256];

	agent_degrade(a, REASON_QUOTA, quota_check(&a->state->quota, text, sizeof(text)) ? "%s" : NULL, text);
}

static void check_routes(struct agent *a)
{
	int r = kern_routes_audit(a->kern);

	count_repairs(a, r, "the kernel's routes");
	agent_degrade(a, REASON_ROUTES, r < 0 ? "%s" : NULL, kern_route_error());
}

void agent_audit(struct agent *a)
{
	int r = datapath_audit(a->dp, ENTRIES_PER_TURN);

	count_repairs(a, r, "the forwarding entries, programs or pins");
	agent_degrade(a, REASON_AUDIT, r < 0 ? "the data plane is not as it should be, and cannot be mended: %s" : NULL,
		      datapath_error());
	check_routes(a);
	check_guards(a);
	merge(a);
	cut(a);
	bgp_check(a->bgp);
	secure_check(a->secure);
	a->state->turn++;
	if (a->state->turn % 2) /* the rest once a second */
		return;
	retry_failed_ports(a);
	retry_writes(a);
	agent_read_fabric_late(a);
	agent_read_ports_late(a);
	agent_remember(a);
	check_quota(a);
	increment_prepare(a);
}
