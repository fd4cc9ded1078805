/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Routes that are wanted, and what the kernel has of them.
 *
 * A route names next hops that need not be neighbours of this node's; the kernel is asked for its own route to each, and
 * what is written are the ways that it takes itself, several where it has several.  What was written is remembered as a
 * hash of the ways; what the kernel tells or lists is compared with that.  Between an audit and the next nothing is asked
 * that nobody has touched.
 */
#include <assert.h>
#include <errno.h>
#include <linux/rtnetlink.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kern/state.h"
#include "lib/cleanup.h"

#define REQUEST_SIZE 1024
#define AUDITS_MAX 60 /* half a minute: then all are looked at, told of or not */
#define METRIC6 1     /* IPv6 has no 0; a route that is in the way is seen whatever it has */

struct route_key { /* no padding: hashed as bytes */
	struct addr addr;
	uint64_t length;
};

static_assert(sizeof(struct route_key) == 24, "keys of routes are hashed as bytes");

struct route {
	struct route_key key;
	uint8_t n_hops; /* 0: found in the kernel, and not put */
	bool stale;     /* not put since the full state began */
	bool seen;      /* by the running walk */
	bool drifted;   /* others have changed it */
	uint64_t written; /* hash of the ways that the kernel has; 0 = none */
	struct addr hops[FWD_ROUTE_HOPS];
};

struct hop { /* and the ways to it, as the kernel has them */
	struct addr addr;
	uint32_t round;
	size_t n_ways;
	struct rtnl_way ways[RTNL_WAYS];
};

struct ways {
	size_t n;
	struct rtnl_way list[RTNL_WAYS];
};

static char error_text[320];

__attribute__((format(printf, 2, 3))) static int fail(int r, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(error_text, sizeof(error_text), format, args);
	va_end(args);
	return r;
}

const char *kern_route_error(void)
{
	return error_text;
}

void routes_init(struct routes *r)
{
	*r = (struct routes){.by_prefix = HMAP_INIT(struct route, key), .hops = HMAP_INIT(struct hop, addr), .round = 1};
}

void routes_fini(struct routes *r)
{
	void *item;

	for (size_t i = 0; (item = hmap_next(&r->by_prefix, &i));)
		free(item);
	for (size_t i = 0; (item = hmap_next(&r->hops, &i));)
		free(item);
	hmap_fini(&r->by_prefix);
	hmap_fini(&r->hops);
}

static struct route *route_get(const struct routes *r, const struct prefix *to)
{
	struct route_key key = {to->addr, to->length};

	return hmap_get(&r->by_prefix, &key);
}

static struct prefix prefix_of(const struct route *route)
{
	return (struct prefix){route->key.addr, (uint8_t)route->key.length};
}

static struct route *route_new(struct routes *r, const struct prefix *to)
{
	struct route *route = calloc(1, sizeof(*route));

	if (!route)
		return NULL;
	route->key = (struct route_key){to->addr, to->length};
	if (hmap_add(&r->by_prefix, route) < 0) {
		free(route);
		return NULL;
	}
	return route;
}

static void route_free(struct routes *r, struct route *route)
{
	hmap_remove(&r->by_prefix, &route->key);
	free(route);
}

/* ---- ways -------------------------------------------------------------------------------------------------------- */

static int compare_ways(const void *a, const void *b)
{
	const struct rtnl_way *x = a, *y = b;

	if (x->ifindex != y->ifindex)
		return x->ifindex < y->ifindex ? -1 : 1;
	return addr_compare(&x->gateway, &y->gateway);
}

static void ways_add(struct ways *w, const struct rtnl_way *way)
{
	for (size_t i = 0; i < w->n; i++)
		if (compare_ways(&w->list[i], way) == 0)
			return;
	if (w->n < RTNL_WAYS)
		w->list[w->n++] = *way;
}

/* Never 0. */
static uint64_t ways_hash(struct ways *w)
{
	uint64_t h = 1;

	qsort(w->list, w->n, sizeof(w->list[0]), compare_ways);
	for (size_t i = 0; i < w->n; i++) {
		struct {
			uint64_t before;
			struct addr gateway;
			uint64_t ifindex;
		} step = {h, w->list[i].gateway, w->list[i].ifindex};

		h = hash_stable(&step, sizeof(step));
	}
	return h ? h : 1;
}

static struct ways ways_of(const struct rtnl_route *m)
{
	struct rtnl_way single = {.gateway = m->gateway, .ifindex = m->ifindex, .onlink = m->onlink};
	struct ways w = {0};

	for (size_t i = 0; i < m->n_ways; i++)
		ways_add(&w, &m->ways[i]);
	if (m->n_ways == 0)
		ways_add(&w, &single);
	return w;
}

struct answer {
	bool found;
	struct rtnl_route route;
};

static void on_answer(void *arg, const struct rtnl_message *m)
{
	struct answer *a = arg;

	if (m->kind != RTNL_ROUTE)
		return;
	a->found = true;
	a->route = m->route;
}

/* The entry of the kernel's tables that an address meets. */
static int ask(struct kern *k, const struct addr *to, struct answer *out)
{
	char buffer[REQUEST_SIZE] __attribute__((aligned(4)));
	struct nlmsghdr *h = mnl_nlmsg_put_header(buffer);
	struct rtmsg *route;

	*out = (struct answer){0};
	h->nlmsg_type = RTM_GETROUTE;
	route = mnl_nlmsg_put_extra_header(h, sizeof(*route));
	route->rtm_family = rtnl_family(to);
	route->rtm_dst_len = (uint8_t)(rtnl_size(to) * 8);
	route->rtm_flags = RTM_F_FIB_MATCH;
	mnl_attr_put(h, RTA_DST, rtnl_size(to), rtnl_bytes(to));
	return rtnl_request(&k->asking, h, on_answer, out);
}

static struct hop *hop_get(struct kern *k, const struct addr *addr)
{
	struct hop *hop = hmap_get(&k->routes.hops, addr);

	if (hop)
		return hop;
	hop = calloc(1, sizeof(*hop));
	if (!hop)
		return NULL;
	hop->addr = *addr;
	if (hmap_add(&k->routes.hops, hop) < 0) {
		free(hop);
		return NULL;
	}
	return hop;
}

/* A hop on a link of ours is its own gateway.  None: it cannot be reached, or only by what we route to ourselves. */
static void hop_look(struct kern *k, struct hop *hop)
{
	struct answer a;
	struct ways w;
	int r = ask(k, &hop->addr, &a);

	hop->round = k->routes.round;
	if (r < 0 && r != -ENETUNREACH && r != -EHOSTUNREACH) /* no answer: as it was */
		return;
	hop->n_ways = 0;
	if (r < 0 || !a.found || a.route.type != RTN_UNICAST || a.route.protocol == KERN_ROUTE_PROTOCOL)
		return;
	w = ways_of(&a.route);
	for (size_t i = 0; i < w.n; i++) {
		if (addr_is_unspecified(&w.list[i].gateway))
			w.list[i].gateway = hop->addr;
		if (w.list[i].ifindex)
			hop->ways[hop->n_ways++] = w.list[i];
	}
}

static int find_ways(struct kern *k, const struct route *route, struct ways *out)
{
	*out = (struct ways){0};
	for (size_t i = 0; i < route->n_hops; i++) {
		struct hop *hop = hop_get(k, &route->hops[i]);

		if (!hop)
			return fail(-ENOMEM, "out of memory");
		if (hop->round != k->routes.round)
			hop_look(k, hop);
		for (size_t n = 0; n < hop->n_ways; n++)
			ways_add(out, &hop->ways[n]);
	}
	return 0;
}

/* ---- the kernel's -------------------------------------------------------------------------------------------------- */

static void put_gateway(struct nlmsghdr *h, const struct addr *to, const struct addr *gateway)
{
	struct {
		uint16_t family;
		uint8_t bytes[16];
	} via = {.family = rtnl_family(gateway)};

	if (addr_is_v4(to) == addr_is_v4(gateway)) {
		mnl_attr_put(h, RTA_GATEWAY, rtnl_size(gateway), rtnl_bytes(gateway));
		return;
	}
	memcpy(via.bytes, rtnl_bytes(gateway), rtnl_size(gateway)); /* RFC 8950: IPv4 over an IPv6 next hop */
	mnl_attr_put(h, RTA_VIA, sizeof(via.family) + rtnl_size(gateway), &via);
}

static struct nlmsghdr *request(char *buffer, uint16_t type, const struct prefix *to)
{
	struct nlmsghdr *h = mnl_nlmsg_put_header(buffer);
	const struct addr *a = &to->addr;
	struct rtmsg *r;

	h->nlmsg_type = type;
	r = mnl_nlmsg_put_extra_header(h, sizeof(*r));
	r->rtm_family = rtnl_family(a);
	r->rtm_dst_len = (uint8_t)(to->length - (addr_is_v4(a) ? 96 : 0));
	r->rtm_table = RT_TABLE_MAIN;
	r->rtm_protocol = KERN_ROUTE_PROTOCOL;
	r->rtm_scope = type == RTM_DELROUTE ? RT_SCOPE_NOWHERE : RT_SCOPE_UNIVERSE;
	r->rtm_type = RTN_UNICAST;
	mnl_attr_put(h, RTA_DST, rtnl_size(a), rtnl_bytes(a));
	if (!addr_is_v4(a))
		mnl_attr_put_u32(h, RTA_PRIORITY, METRIC6);
	return h;
}

static int write_route(struct kern *k, const struct prefix *to, const struct ways *w, bool replace)
{
	char buffer[REQUEST_SIZE] __attribute__((aligned(4)));
	struct nlmsghdr *h = request(buffer, RTM_NEWROUTE, to);
	struct nlattr *nest;

	h->nlmsg_flags = NLM_F_CREATE | (replace ? NLM_F_REPLACE : NLM_F_EXCL);
	if (w->n == 1) {
		struct rtmsg *r = mnl_nlmsg_get_payload(h);

		r->rtm_flags = w->list[0].onlink ? RTNH_F_ONLINK : 0;
		put_gateway(h, &to->addr, &w->list[0].gateway);
		mnl_attr_put_u32(h, RTA_OIF, w->list[0].ifindex);
		return rtnl_request(&k->asking, h, NULL, NULL);
	}
	nest = mnl_attr_nest_start(h, RTA_MULTIPATH);
	for (size_t i = 0; i < w->n; i++) {
		struct rtnexthop *hop = mnl_nlmsg_get_payload_tail(h);

		memset(hop, 0, sizeof(*hop));
		hop->rtnh_ifindex = (int)w->list[i].ifindex;
		hop->rtnh_flags = w->list[i].onlink ? RTNH_F_ONLINK : 0;
		h->nlmsg_len += NLMSG_ALIGN(sizeof(*hop));
		put_gateway(h, &to->addr, &w->list[i].gateway);
		hop->rtnh_len = (uint16_t)((uint8_t *)mnl_nlmsg_get_payload_tail(h) - (uint8_t *)hop);
	}
	mnl_attr_nest_end(h, nest);
	return rtnl_request(&k->asking, h, NULL, NULL);
}

/* The protocol stands in the request: a route of another's is not removed by it. */
static int erase_route(struct kern *k, const struct prefix *to)
{
	char buffer[REQUEST_SIZE] __attribute__((aligned(4)));
	int r = rtnl_request(&k->asking, request(buffer, RTM_DELROUTE, to), NULL, NULL);

	return r == -ESRCH || r == -ENOENT ? 0 : r < 0 ? r : 1;
}

static const char *protocol_name(uint8_t protocol, char out[static 24])
{
	static const char *const names[256] = {
		[RTPROT_KERNEL] = "kernel", [RTPROT_BOOT] = "boot",   [RTPROT_STATIC] = "static", [RTPROT_RA] = "ra",
		[RTPROT_ZEBRA] = "zebra",   [RTPROT_BIRD] = "bird",   [RTPROT_DHCP] = "dhcp",	  [RTPROT_BABEL] = "babel",
		[RTPROT_BGP] = "bgp",	    [RTPROT_OSPF] = "ospf",   [RTPROT_RIP] = "rip",	  [RTPROT_ISIS] = "isis",
	};

	snprintf(out, 24, "%s", names[protocol] ? names[protocol] : "");
	if (!names[protocol])
		snprintf(out, 24, "%u", protocol);
	return out;
}

/* Somebody else's route to exactly this, whatever its metric: one of them would be without effect. */
static int find_blocker(struct kern *k, const struct prefix *to, bool *ours)
{
	char prefix[PREFIX_TEXT_SIZE], gateway[ADDR_TEXT_SIZE], protocol[24];
	const struct link *link;
	struct rtnl_way way;
	struct answer a;
	struct ways w;

	*ours = false;
	if (ask(k, &to->addr, &a) < 0 || !a.found || a.route.to.length != to->length)
		return 0;
	if (a.route.protocol == KERN_ROUTE_PROTOCOL) {
		*ours = true;
		return 0;
	}
	w = ways_of(&a.route);
	way = w.list[0];
	link = kern_link_by_index(k, way.ifindex);
	prefix_format(to, prefix);
	return fail(-EEXIST,
		    "the kernel has a route to %s that is not ours (%s%s%s%s, proto %s), and it is in the way; "
		    "ip route del %s removes it",
		    prefix, addr_is_unspecified(&way.gateway) ? "" : "via ",
		    addr_is_unspecified(&way.gateway) ? "" : addr_format(&way.gateway, gateway),
		    link ? addr_is_unspecified(&way.gateway) ? "dev " : " dev " : "", link ? link->name : "",
		    protocol_name(a.route.protocol, protocol), prefix);
}

/* 1 written, 0 nothing to do, or not yet. */
static int install(struct kern *k, struct route *route)
{
	struct prefix to = prefix_of(route);
	char text[PREFIX_TEXT_SIZE];
	struct ways w;
	uint64_t hash;
	bool ours;
	int r = find_ways(k, route, &w);

	if (r < 0)
		return r;
	if (w.n == 0) { /* what was written leads by a gateway that is none any more */
		r = route->written ? erase_route(k, &to) : 0;
		route->written = r < 0 ? route->written : 0;
		return r;
	}
	hash = ways_hash(&w);
	if (route->written == hash)
		return 0;
	ours = route->written != 0;
	r = ours ? 0 : find_blocker(k, &to, &ours);
	if (r < 0)
		return r;
	r = write_route(k, &to, &w, ours);
	if (r == -EEXIST) /* hidden by the one that was met first */
		return fail(r, "the kernel has another route to %s, and it is in the way; ip route show %s lists it",
			    prefix_format(&to, text), text);
	if (r < 0)
		return fail(r, "route to %s: %s", prefix_format(&to, text), strerror(-r));
	route->written = hash;
	return 1;
}

/* ---- all of ours --------------------------------------------------------------------------------------------------- */

struct walk {
	struct kern *kern;
	int error;
};

static void on_listed(void *arg, const struct rtnl_message *m)
{
	struct walk *walk = arg;
	struct route *route;
	struct ways w;
	uint64_t hash;

	if (m->kind != RTNL_ROUTE || m->route.protocol != KERN_ROUTE_PROTOCOL || m->route.table != RT_TABLE_MAIN)
		return;
	route = route_get(&walk->kern->routes, &m->route.to);
	if (!route)
		route = route_new(&walk->kern->routes, &m->route.to);
	if (!route) {
		walk->error = -ENOMEM;
		return;
	}
	w = ways_of(&m->route);
	hash = ways_hash(&w);
	route->drifted = route->written != hash;
	route->written = hash;
	route->seen = true;
}

static int list_family(struct kern *k, uint8_t family, struct walk *walk)
{
	int strict = 1, lax = 0, error = -EINTR;

	/* So the kernel sorts out what is not ours: a full table of the Internet may be beside it. */
	mnl_socket_setsockopt(k->asking.socket, NETLINK_GET_STRICT_CHK, &strict, sizeof(strict));
	for (unsigned attempt = 0; attempt < 8 && error == -EINTR; attempt++) {
		char buffer[REQUEST_SIZE] __attribute__((aligned(4)));
		struct nlmsghdr *h = mnl_nlmsg_put_header(buffer);
		struct rtmsg *r;

		h->nlmsg_type = RTM_GETROUTE;
		h->nlmsg_flags = NLM_F_DUMP;
		r = mnl_nlmsg_put_extra_header(h, sizeof(*r));
		r->rtm_family = family;
		r->rtm_protocol = KERN_ROUTE_PROTOCOL;
		r->rtm_table = RT_TABLE_MAIN;
		error = rtnl_request(&k->asking, h, on_listed, walk);
	}
	mnl_socket_setsockopt(k->asking.socket, NETLINK_GET_STRICT_CHK, &lax, sizeof(lax));
	return error == -ENOENT || error == -EAFNOSUPPORT || error == -EOPNOTSUPP ? 0 : error; /* no table, or no family */
}

/* Takes note of what the kernel has.  What it has not is `written` no more. */
static int list_all(struct kern *k)
{
	struct walk walk = {.kern = k};
	struct route *route;
	int r;

	for (size_t i = 0; (route = hmap_next(&k->routes.by_prefix, &i));)
		route->seen = false;
	r = list_family(k, AF_INET, &walk);
	if (r == 0)
		r = list_family(k, AF_INET6, &walk);
	if (r < 0 || walk.error < 0)
		return fail(r < 0 ? r : walk.error, "the kernel's routes cannot be listed: %s",
			    strerror(r < 0 ? -r : -walk.error));
	for (size_t i = 0; (route = hmap_next(&k->routes.by_prefix, &i));) {
		if (route->seen)
			continue;
		route->drifted = route->written != 0;
		route->written = 0;
	}
	k->routes.suspect = false;
	k->routes.audits = 0;
	return 0;
}

/* ---- hearing ------------------------------------------------------------------------------------------------------- */

bool routes_hear(struct routes *r, const struct rtnl_route *m)
{
	struct route *route = route_get(r, &m->to);
	struct ways w;

	if (m->table != RT_TABLE_MAIN)
		return false;
	if (m->protocol != KERN_ROUTE_PROTOCOL) {
		r->suspect |= route != NULL;
		return false;
	}
	w = ways_of(m);
	if (m->removed)
		r->suspect |= route && route->written;
	else
		r->suspect |= !route || route->written != ways_hash(&w);
	return true;
}

void routes_doubt(struct routes *r)
{
	r->round++;
	r->suspect |= r->by_prefix.length > 0;
}

/* ---- verbs --------------------------------------------------------------------------------------------------------- */

int kern_route_put(struct kern *k, const struct fwd_route *wanted)
{
	struct route *route = route_get(&k->routes, &wanted->prefix);
	int r;

	if (!route)
		route = route_new(&k->routes, &wanted->prefix);
	if (!route)
		return fail(-ENOMEM, "out of memory");
	route->n_hops = wanted->n_hops < FWD_ROUTE_HOPS ? wanted->n_hops : FWD_ROUTE_HOPS;
	memcpy(route->hops, wanted->hops, sizeof(route->hops));
	route->stale = false;
	r = install(k, route);
	k->routes.suspect |= r < 0;
	return r;
}

static int remove_route(struct kern *k, struct route *route)
{
	struct prefix to = prefix_of(route);
	char text[PREFIX_TEXT_SIZE];
	int r = route->written ? erase_route(k, &to) : 0;

	if (r < 0)
		return fail(r, "route to %s cannot be removed: %s", prefix_format(&to, text), strerror(-r));
	route_free(&k->routes, route);
	return r;
}

int kern_route_del(struct kern *k, const struct prefix *to)
{
	struct route *route = route_get(&k->routes, to);

	return route ? remove_route(k, route) : 0;
}

int kern_routes_begin(struct kern *k)
{
	int r = list_all(k);
	struct route *route;

	for (size_t i = 0; (route = hmap_next(&k->routes.by_prefix, &i));)
		route->stale = true;
	return r;
}

int kern_routes_end(struct kern *k)
{
	int removed = 0, error = 0;
	struct route *route;

	for (size_t i = 0; (route = hmap_next(&k->routes.by_prefix, &i));) {
		int r = route->stale ? remove_route(k, route) : 0;

		if (r < 0)
			error = r;
		else
			removed += r;
	}
	return error < 0 ? error : removed;
}

/* What nobody has put stays as it is, and the audit leaves it alone. */
void kern_routes_keep(struct kern *k)
{
	struct route *route;

	for (size_t i = 0; (route = hmap_next(&k->routes.by_prefix, &i));)
		route->stale = route->stale && route->n_hops == 0;
}

/* Those that no route asked for in this round. */
static void forget_hops(struct routes *r)
{
	struct hop *hop;

	for (size_t i = 0; (hop = hmap_next(&r->hops, &i));)
		if (hop->round != r->round) {
			hmap_remove(&r->hops, &hop->addr);
			free(hop);
		}
}

int kern_routes_audit(struct kern *k)
{
	int repairs = 0, error = 0, r;
	struct route *route;
	bool drifted;

	if (!k->routes.suspect && ++k->routes.audits < AUDITS_MAX)
		return 0;
	k->routes.round++;
	r = list_all(k);
	if (r < 0)
		return r;
	for (size_t i = 0; (route = hmap_next(&k->routes.by_prefix, &i));) {
		if (route->n_hops == 0 && route->stale)
			continue;
		drifted = route->drifted;
		route->drifted = false;
		r = route->n_hops == 0 ? remove_route(k, route) : install(k, route);
		if (r < 0)
			error = r;
		else
			repairs += r > 0 && drifted;
	}
	forget_hops(&k->routes);
	k->routes.suspect = error < 0;
	return error < 0 ? error : repairs;
}

int kern_routes_remove(struct kern *k)
{
	int r = kern_routes_begin(k);

	return r < 0 ? r : kern_routes_end(k);
}

size_t kern_routes_length(const struct kern *k)
{
	return k->routes.by_prefix.length;
}
