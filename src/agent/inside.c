/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/inside.h"

#include <errno.h>
#include <string.h>

#include "agent/bgp.h"
#include "agent/secure.h"
#include "agent/state.h"
#include "agent/wire.h"

/*
 * What every path of IPv6 takes (RFC 8200 5) and hardly one of IPv4 does not: a session gains nothing by longer packets, and
 * would hang where a path becomes narrower without a word.
 */
#define PATH_MTU 1280
#define TCP_HEADER 20
#define GUARD_TURNS 4 /* of the audit: each 2 s */

/* Without our program on it what comes out of the tunnel would meet all of the node's stack. */
static uint32_t device(const struct agent *a)
{
	uint32_t ifindex = a->wire->secure_ifindex;

	return ifindex && wire_has(a->wire, ifindex) ? ifindex : 0;
}

/* What there is to be told; never 0. */
static uint64_t wanted(const struct agent *a, bool v4, bool v6)
{
	return (uint64_t)device(a) << 3 | (uint64_t)v6 << 2 | (uint64_t)v4 << 1 | 1;
}

/* How many things had to be changed, or -errno. */
static int tell(struct agent *a, bool anew, bool v4, bool v6)
{
	uint32_t ifindex = device(a);
	int changed = 0, r = 0;

	if (ifindex && (anew || a->state->turn % GUARD_TURNS == 0))
		changed = kern_inside_guard(a->kern, SECURE_DEVICE, v6);
	if (changed < 0)
		return changed;
	if (ifindex && (v4 || v6))
		r = kern_inside_enable(a->kern, SECURE_DEVICE, ifindex, v6);
	else if (anew)
		r = kern_inside_disable(a->kern);
	return r < 0 ? r : changed + r;
}

void inside_check(struct agent *a)
{
	static struct log_limit limit;
	bool v4 = bgp_is_inside(a->bgp, true), v6 = bgp_is_inside(a->bgp, false);
	bool anew = a->state->inside != wanted(a, v4, v6);
	int r = tell(a, anew, v4, v6);

	if (r == -ENODEV) /* it has just gone */
		return;
	if (r < 0) {
		a->state->inside = 0;
		log_limited(&limit, LOG_LEVEL_WARNING,
			    "BGP sessions inside the tunnel have no way to " SECURE_DEVICE " (ip rule, ip route): %s",
			    strerror(-r));
		return;
	}
	a->state->inside = wanted(a, v4, v6);
	if (anew || r == 0)
		return;
	a->repairs++;
	log_limited(&a->state->repair_limit, LOG_LEVEL_WARNING,
		    "drift: settings of, or the routes to the device " SECURE_DEVICE " had been changed by others and are back");
}

uint16_t inside_mss(const struct agent *a, const struct addr *remote)
{
	const struct config_node *node = config_node_at(a->config, remote);
	const struct wire_path *p = hmap_get(&a->wire->paths, remote);
	bool v4 = addr_is_v4(remote);
	uint32_t mtu = PATH_MTU;
	int mss;

	if (node && p && p->reachable)
		mtu = wire_mtu(a->wire, remote, config_path_mtu(a->self, node, p->path.mtu));
	mss = tunnel_mtu((uint16_t)(mtu < PATH_MTU ? mtu : PATH_MTU), !v4) - (v4 ? 20 : 40) - TCP_HEADER;
	return mss > 0 ? (uint16_t)mss : 1; /* the sockets have a least */
}

const char *inside_problem(const struct agent *a, const struct bgp_peer *p)
{
	const struct config_node *node = p->inside && p->down_ms ? config_node_at(a->config, &p->remote) : NULL;
	const char *problem = node ? secure_problem(a->secure, node) : NULL;
	struct tunnel_peer_status status;

	if (!node || problem)
		return problem;
	return secure_status(a->secure, node, &status) && status.ready ? NULL : "its keys are being agreed on";
}
