/* SPDX-License-Identifier: Apache-2.0 */
/*
 * doctor_bgp.c - sessions that are down, and what is in their way: of the causes that look alike from here the likely one is
 * said first.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "agent/bgp.h"
#include "agent/doctor_exam.h"
#include "agent/inside.h"
#include "bgp/notification.h"

struct down {
	struct exam *x;
	const struct bgp_peer *peer;
	const struct neighbor_config *config;
	const char *error; /* the last one */
	char address[ADDR_TEXT_SIZE];
};

/* What the configuration calls it; NULL: it is a node or a reflector. */
static const struct config_neighbor *neighbor_of(const struct down *d)
{
	const struct config_bgp *bgp = d->x->config->bgp;

	for (size_t i = 0; bgp && i < bgp->n_neighbors; i++)
		if (addr_equal(&bgp->neighbors[i].address, &d->peer->remote))
			return &bgp->neighbors[i];
	return NULL;
}

static bool is_about(const struct down *d, const char *what)
{
	return strstr(d->error, what) != NULL;
}

static void tell(const struct down *d, const char *fix, const char *format, ...) __attribute__((format(printf, 3, 4)));
static void tell(const struct down *d, const char *fix, const char *format, ...)
{
	char cause[600];
	va_list ap;

	va_start(ap, format);
	vsnprintf(cause, sizeof(cause), format, ap);
	va_end(ap);
	found(d->x, DOCTOR_FAIL, fix, "no BGP session with %s (%s): %s", d->peer->name, d->address, cause);
}

static bool tell_key(const struct down *d)
{
	const struct config_neighbor *n = neighbor_of(d);
	const char *path = n ? n->password_file : d->x->config->bgp->password_file;
	char fix[300];

	if (!d->peer->keyless)
		return false;
	snprintf(fix, sizeof(fix), "write the key, one line, into %s, and isthmus apply again; the log says what is wrong",
		 path ? path : "its password_file");
	tell(d, fix, "its key cannot be read");
	return true;
}

/* What else is in its way shows when the tunnel is there. */
static bool tell_tunnel(const struct down *d)
{
	const char *problem = inside_problem(d->x->a, d->peer);

	if (!problem)
		return false;
	tell(d, "what the check \"tunnel\" says; isthmus get tunnels", "it is encrypted, and the tunnel is not up: %s", problem);
	return true;
}

static bool tell_route(const struct down *d)
{
	const struct addr *local = addr_is_unspecified(&d->config->local) ? NULL : &d->config->local;
	struct kern_path path;
	char fix[200];
	int r = kern_path(d->x->a->kern, &d->peer->remote, local, &path);

	if (r < 0) {
		snprintf(fix, sizeof(fix), "ip route add %s via GATEWAY dev DEVICE (now: ip route get %s)", d->address, d->address);
		tell(d, fix, "no route to it: %s", strerror(-r));
		return true;
	}
	if (!is_about(d, strerror(ENETUNREACH)) && !is_about(d, strerror(EHOSTUNREACH)))
		return false;
	snprintf(fix, sizeof(fix), "traceroute -n %s shows which router has no route to it", d->address);
	tell(d, fix, "no route to it beyond this node's first hop: %s", d->error);
	return true;
}

static bool tell_refused(const struct down *d)
{
	unsigned port = d->x->config->bgp->port;
	char fix[300];

	if (!is_about(d, strerror(ECONNREFUSED)))
		return false;
	snprintf(fix, sizeof(fix), "start BGP on %s and see that it listens (there: ss -tln sport = :%u), or open its firewall "
		 "for TCP port %u", d->address, port, port);
	tell(d, fix, "it refuses the connection");
	return true;
}

static bool tell_as(const struct down *d)
{
	const struct config_neighbor *n = neighbor_of(d);
	unsigned own = d->x->config->bgp->as;
	char fix[300];

	if (!is_about(d, notification_subcode_name(NOTIFICATION_OPEN, OPEN_BAD_PEER_AS)))
		return false;
	if (n)
		snprintf(fix, sizeof(fix), "mend bgp.neighbors.%s.remote_as (now %u), or on the other side its own AS and the one "
			 "that it expects (this node's is %u)", n->name, d->config->remote_as, own);
	else
		snprintf(fix, sizeof(fix), "give all nodes and reflectors the same AS: here it is %u", own);
	tell(d, fix, "the two do not agree on the AS: %s", d->error);
	return true;
}

/* A wrong key and a TTL that is too low look like a cut wire: the kernel drops what comes. */
static bool tell_silence(const struct down *d)
{
	char fix[400];

	if (!is_about(d, NEIGHBOR_NO_ANSWER) && !is_about(d, strerror(ETIMEDOUT)))
		return false;
	if (d->config->keyed) {
		snprintf(fix, sizeof(fix), "compare the keys of both ends byte for byte (nstat -az TcpExtTCPMD5Failure "
			 "TcpExtTCPMD5NotFound counts what does not match); then ping %s", d->address);
		tell(d, fix, "no answer, as when the keys differ");
	} else if (d->config->ttl_hops) {
		snprintf(fix, sizeof(fix), "let %s send with a TTL of 255 (ttl-security), at most %u hops away; then traceroute %s",
			 d->address, d->config->ttl_hops, d->address);
		tell(d, fix, "no answer, as when it is farther away than ttl_security allows");
	} else {
		snprintf(fix, sizeof(fix), "ping %s; open TCP port %u on the way; see whether it expects a key (password_file) "
			 "or ttl_security", d->address, d->x->config->bgp->port);
		tell(d, fix, "no answer");
	}
	return true;
}

static void tell_other(const struct down *d)
{
	tell(d, "isthmus bgp neighbors shows all of it; look at the log of the other side", "%s",
	     d->error[0] ? d->error : "it has not connected yet");
}

static void look_at(struct exam *x, const struct bgp_peer *p)
{
	const struct bgp *b = x->a->bgp;
	struct down d = {.x = x, .peer = p, .config = speaker_neighbor(b->speaker, &p->remote)};
	struct neighbor_stats stats;

	if (!d.config || !p->down_ms || (d.config->shutdown && !p->keyless) ||
	    speaker_neighbor_stats(b->speaker, &p->remote, &stats) < 0)
		return;
	d.error = stats.last_error;
	addr_format(&p->remote, d.address);
	if (!tell_key(&d) && !tell_tunnel(&d) && !tell_route(&d) && !tell_refused(&d) && !tell_as(&d) && !tell_silence(&d))
		tell_other(&d);
}

static void check_sessions(struct exam *x)
{
	const struct bgp *b = x->a->bgp;
	const struct bgp_peer *p;

	if (!b || !b->speaker || !x->a->kern || !x->config || !x->config->bgp)
		return skip(x);
	for (size_t i = 0; (p = hmap_next(&b->peers, &i));)
		look_at(x, p);
}

const struct doctor_check doctor_bgp_checks[] = {
	{"bgp-session", check_sessions},
	{0},
};
