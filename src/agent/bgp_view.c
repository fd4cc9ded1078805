/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/bgp_view.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/bgp.h"
#include "agent/pieces.h"
#include "agent/view.h"
#include "lib/cleanup.h"

/* ---- values -------------------------------------------------------------------------------------------------------- */

static void put_addr(struct json *j, const char *key, const struct addr *a)
{
	char text[ADDR_TEXT_SIZE];

	json_put_string(j, key, addr_is_unspecified(a) ? NULL : addr_format(a, text));
}

static void put_families(struct json *j, const char *key, uint32_t families)
{
	json_key(j, key);
	json_array_open(j);
	for (enum route_family f = 0; f < ROUTE_FAMILY_MAX; f++)
		if (families & ROUTE_FAMILY_BIT(f))
			json_string(j, route_family_name(f));
	json_array_close(j);
}

static void put_router_id(struct json *j, const char *key, uint32_t id)
{
	json_key(j, key);
	if (id)
		json_format(j, "%u.%u.%u.%u", id >> 24, id >> 16 & 255, id >> 8 & 255, id & 255);
	else
		json_null(j);
}

static void put_targets(struct json *j, const struct route_attrs *a)
{
	json_key(j, "targets");
	json_array_open(j);
	for (uint32_t i = 0; i < a->n_targets; i++) {
		char text[EXTENDED_TEXT_SIZE];

		json_string(j, extended_format(a->extended[i], text));
	}
	json_array_close(j);
}

static void put_optional(struct json *j, const char *key, bool has, uint32_t n)
{
	json_key(j, key);
	if (has)
		json_uint(j, n);
	else
		json_null(j);
}

/* As routers write it: 01:02:03, then 1d02h03m. */
static void put_up_down(struct json *j, uint64_t ms)
{
	uint64_t s = ms / 1000;

	json_key(j, "upDown");
	if (s < 86400)
		json_format(j, "%02u:%02u:%02u", (unsigned)(s / 3600), (unsigned)(s / 60 % 60), (unsigned)(s % 60));
	else
		json_format(j, "%" PRIu64 "d%02uh%02um", s / 86400, (unsigned)(s / 3600 % 24), (unsigned)(s / 60 % 60));
}

static uint64_t sum(const uint64_t *n, size_t length)
{
	uint64_t total = 0;

	for (size_t i = 0; i < length; i++)
		total += n[i];
	return total;
}

/* ---- neighbors ----------------------------------------------------------------------------------------------------- */

static void put_counts(struct json *j, const struct neighbor_stats *s)
{
	size_t received = 0, sent = 0;

	for (enum route_family f = 0; f < ROUTE_FAMILY_MAX; f++) {
		received += s->n_received[f];
		sent += s->n_sent[f];
	}
	json_put_uint(j, "messagesReceived", sum(s->n_in, MESSAGE_TYPE_MAX));
	json_put_uint(j, "messagesSent", sum(s->n_out, MESSAGE_TYPE_MAX));
	json_put_uint(j, "queued", s->n_queued);
	json_put_uint(j, "prefixesReceived", received);
	json_put_uint(j, "prefixesSent", sent);
	json_put_uint(j, "bytesReceived", s->bytes_in);
	json_put_uint(j, "bytesSent", s->bytes_out);
	json_put_uint(j, "established", s->n_established);
	json_put_uint(j, "resets", s->n_resets);
	json_put_uint(j, "withdrawnForError", s->n_withdrawn_for_error);
	json_put_uint(j, "attributesDiscarded", s->n_attr_discarded);
	json_put_uint(j, "looped", s->n_looped);
}

static void put_neighbor(struct json *j, const struct bgp *b, const struct bgp_peer *p)
{
	const struct neighbor_config *c = speaker_neighbor(b->speaker, &p->remote);
	uint64_t now = loop_now_ms(b->agent->loop);
	char address[ADDR_TEXT_SIZE];
	struct neighbor_stats s = {0};
	bool up;

	if (!c || speaker_neighbor_stats(b->speaker, &p->remote, &s) < 0)
		return;
	up = s.state == NEIGHBOR_ESTABLISHED;
	view_begin(j, "BgpNeighbor");
	json_put_string(j, "name", addr_format(&p->remote, address));
	json_put_string(j, "description", p->name);
	put_addr(j, "local", &c->local);
	json_put_uint(j, "remoteAs", c->remote_as);
	json_put_bool(j, "external", c->remote_as != b->as);
	json_put_string(j, "state", p->keyless ? "NoKey" : c->shutdown ? "Shutdown" : neighbor_state_name(s.state));
	put_up_down(j, now > s.since_ms ? now - s.since_ms : 0);
	put_counts(j, &s);
	put_families(j, "families", c->families);
	put_families(j, "negotiated", up ? s.families : 0);
	put_families(j, "stale", s.stale);
	put_router_id(j, "routerId", s.remote_id);
	put_optional(j, "holdSeconds", up, s.hold_s);
	json_put_bool(j, "password", c->keyed);
	put_optional(j, "ttlHops", c->ttl_hops, c->ttl_hops);
	json_put_string(j, "lastError", s.last_error[0] ? s.last_error : NULL);
	json_object_close(j);
}

static int compare_peers(const void *a, const void *b)
{
	const struct bgp_peer *const *p = a, *const *q = b;

	return memcmp(&(*p)->remote, &(*q)->remote, sizeof((*p)->remote));
}

static struct json items_of(bool lines, const char *kind)
{
	struct json j = {0};

	if (!lines) {
		view_begin(&j, kind);
		json_key(&j, "items");
		json_array_open(&j);
	}
	return j;
}

static void items_end(struct json *j, bool lines, struct api_reply *reply)
{
	if (!lines) {
		json_array_close(j);
		json_object_close(j);
	}
	if (lines && j->size == 0 && !j->failed) {
		reply->content_type = "application/jsonl";
		return;
	}
	api_reply_json(reply, j);
	if (lines && reply->status == 200)
		reply->content_type = "application/jsonl";
}

void bgp_view_neighbors(void *arg, const struct api_request *request, struct api_reply *reply)
{
	const struct agent *a = arg;
	const struct bgp *b = a->bgp && a->bgp->speaker ? a->bgp : NULL;
	_cleanup_(free) const struct bgp_peer **peers = b ? calloc(b->peers.length + 1, sizeof(*peers)) : NULL;
	const struct bgp_peer *p;
	struct json j;
	size_t n = 0;
	bool lines;

	if (!api_query_flag(request, "stream", &lines, reply))
		return;
	if (b && !peers) {
		api_reply_error(reply, 500, "IST-5000", NULL, NULL, "out of memory");
		return;
	}
	for (size_t i = 0; b && (p = hmap_next(&b->peers, &i));)
		peers[n++] = p;
	if (n > 0)
		qsort(peers, n, sizeof(*peers), compare_peers);
	j = items_of(lines, "BgpNeighborList");
	for (size_t i = 0; i < n; i++) {
		put_neighbor(&j, b, peers[i]);
		if (lines && i + 1 < n)
			json_newline(&j);
	}
	items_end(&j, lines, reply);
}

const struct bgp_peer *bgp_view_peer(const struct agent *a, const char *name, struct api_reply *reply)
{
	const struct bgp *b = a->bgp && a->bgp->speaker ? a->bgp : NULL;
	const struct bgp_peer *p = NULL;
	struct addr address;

	if (a->options.offline) {
		api_reply_error(reply, 503, "IST-5030", "systemctl start isthmusd", NULL,
				"the daemon is not running; it alone has sessions");
		return NULL;
	}
	if (b && addr_parse(name, &address) == 0)
		p = hmap_get(&b->peers, &address);
	for (size_t i = 0; b && !p && (p = hmap_next(&b->peers, &i));)
		if (strcmp(p->name, name) != 0)
			p = NULL;
	if (!p)
		api_reply_error(reply, 404, "IST-4041", "isthmus bgp summary lists them", NULL,
				"no BGP neighbor is called \"%s\"", name);
	return p;
}

void bgp_view_neighbor(void *arg, const struct api_request *request, struct api_reply *reply)
{
	const struct agent *a = arg;
	const struct bgp_peer *p = bgp_view_peer(a, request->name, reply);
	struct json j = {0};

	if (!p)
		return;
	put_neighbor(&j, a->bgp, p);
	api_reply_json(reply, &j);
}

/* ---- routes -------------------------------------------------------------------------------------------------------- */

static void put_route(struct json *j, const struct route_nlri *nlri, const struct route_attrs *attrs)
{
	char text[ROUTE_KEY_TEXT_SIZE], path[256];

	view_begin(j, "BgpRoute");
	json_put_string(j, "name", route_key_format(&nlri->key, text));
	json_put_string(j, "family", route_family_name((enum route_family)nlri->key.family));
	json_put_string(j, "rd",
			nlri->key.family == ROUTE_EVPN ? route_rd_format(&nlri->key.rd, (char[ROUTE_RD_TEXT_SIZE]){""}) : NULL);
	json_key(j, "labels");
	json_array_open(j);
	for (unsigned i = 0; i < nlri->n_labels && i < 2; i++)
		json_uint(j, nlri->label[i]);
	json_array_close(j);
	put_addr(j, "nextHop", &attrs->next_hop);
	put_optional(j, "metric", attrs->has & ROUTE_HAS_MED, attrs->med);
	put_optional(j, "localPref", attrs->has & ROUTE_HAS_LOCAL_PREF, attrs->local_pref);
	json_put_string(j, "path", route_path_format(attrs, path, sizeof(path)));
	json_put_string(j, "origin", attrs->origin == ROUTE_ORIGIN_IGP ? "i" : attrs->origin == ROUTE_ORIGIN_EGP ? "e" : "?");
	put_optional(j, "sequence", attrs->has & ROUTE_HAS_MOBILITY, attrs->mobility);
	put_targets(j, attrs);
}

/* What a neighbor has sent, and what became of it. */
static void put_received(struct json *j, const struct bgp *b, const struct routes_candidate *c)
{
	char address[ADDR_TEXT_SIZE];

	put_route(j, &c->nlri, c->attrs);
	json_put_string(j, "neighbor", addr_format(&c->neighbor->address, address));
	json_put_bool(j, "stale", c->stale);
	json_put_string(j, "import", import_verdict_name(learn_verdict(b->learn, c)));
	json_object_close(j);
}

static void put_own(struct json *j, const struct export_change *put)
{
	put_route(j, &put->nlri, put->attrs);
	json_put_string(j, "neighbor", NULL);
	json_put_bool(j, "stale", false);
	json_put_string(j, "import", NULL);
	json_object_close(j);
}

struct walk {
	struct pieces pieces; /* first */
	const struct bgp *bgp;
	uint64_t life; /* of the tables that it walks */
	char *match;   /* a family, or a part of the key; NULL = all */
	bool from_one;
	struct addr neighbor;
	uint64_t cursor;
};

static bool is_wanted(const struct walk *w, const struct routes_candidate *c)
{
	char text[ROUTE_KEY_TEXT_SIZE];

	if (w->from_one && !addr_equal(&c->neighbor->address, &w->neighbor))
		return false;
	return !w->match || strstr(route_family_name((enum route_family)c->nlri.key.family), w->match) ||
	       strstr(route_key_format(&c->nlri.key, text), w->match);
}

static void on_candidate(void *arg, const struct routes_candidate *c)
{
	struct walk *w = arg;

	if (!is_wanted(w, c))
		return;
	put_received(&w->pieces.json, w->bgp, c);
	if (w->pieces.lines)
		json_newline(&w->pieces.json);
}

static void write_routes(struct pieces *pieces, size_t limit)
{
	struct walk *w = (struct walk *)pieces;
	const struct bgp *b = w->bgp;

	pieces->ended = !b || !b->learn || b->life != w->life ||
			!routes_walk(learn_routes(b->learn), &w->cursor, PIECES_RECORDS, on_candidate, w);
}

static void walk_free(void *stream)
{
	struct walk *w = stream;

	free(w->match);
	json_fini(&w->pieces.json);
	free(w);
}

static void walk_routes(const struct agent *a, const struct api_request *request, const struct addr *neighbor,
			struct api_reply *reply)
{
	const char *match = request->query(request, "match");
	struct walk *w = calloc(1, sizeof(*w));

	if (w && match && *match)
		w->match = strdup(match);
	if (!w || (match && *match && !w->match)) {
		free(w);
		api_reply_error(reply, 500, "IST-5000", NULL, NULL, "out of memory");
		return;
	}
	w->pieces.write = write_routes;
	w->pieces.kind = "BgpRouteList";
	w->bgp = a->bgp;
	w->life = a->bgp ? a->bgp->life : 0;
	if (neighbor) {
		w->from_one = true;
		w->neighbor = *neighbor;
	}
	if (!api_query_flag(request, "stream", &w->pieces.lines, reply)) {
		walk_free(w);
		return;
	}
	if (w->pieces.lines)
		reply->content_type = "application/jsonl";
	reply->next = pieces_next;
	reply->stream_cut = pieces_are_cut;
	reply->stream_free = walk_free;
	reply->stream = w;
}

void bgp_view_routes(void *arg, const struct api_request *request, struct api_reply *reply)
{
	walk_routes(arg, request, NULL, reply);
}

void bgp_view_received(void *arg, const struct api_request *request, struct api_reply *reply)
{
	const struct bgp_peer *p = bgp_view_peer(arg, request->name, reply);

	if (p)
		walk_routes(arg, request, &p->remote, reply);
}

/* ---- what this node says ------------------------------------------------------------------------------------------- */

struct collecting {
	struct json *json;
	bool lines, any;
	uint32_t families, extended_next_hop;
	const struct speaker *speaker;
	const struct addr *neighbor;
};

/* RFC 8950: IPv4 by an IPv6 next hop goes to who can read it. */
static bool can_be_told(const struct collecting *c, const struct export_change *put)
{
	uint32_t family = ROUTE_FAMILY_BIT(put->nlri.key.family);

	if (family == ROUTE_FAMILY_BIT(ROUTE_IPV4) && !addr_is_v4(&put->attrs->next_hop) && !(c->extended_next_hop & family))
		return false;
	return c->families & family;
}

static void on_own(void *arg, const struct export_change *put)
{
	struct collecting *c = arg;

	if (!can_be_told(c, put) || !speaker_tells(c->speaker, c->neighbor, put->tenant))
		return;
	if (c->lines && c->any)
		json_newline(c->json);
	c->any = true;
	put_own(c->json, put);
}

void bgp_view_advertised(void *arg, const struct api_request *request, struct api_reply *reply)
{
	const struct agent *a = arg;
	const struct bgp_peer *p = bgp_view_peer(a, request->name, reply);
	struct collecting c = {0};
	struct neighbor_stats s = {0};
	struct json j;
	bool lines;

	if (!p || !api_query_flag(request, "stream", &lines, reply))
		return;
	c.speaker = a->bgp->speaker;
	c.neighbor = &p->remote;
	if (speaker_neighbor_stats(a->bgp->speaker, &p->remote, &s) == 0 && s.state == NEIGHBOR_ESTABLISHED) {
		c.families = s.families;
		c.extended_next_hop = s.extended_next_hop;
	}
	j = items_of(lines, "BgpRouteList");
	c.json = &j;
	c.lines = lines;
	learn_announced_each(a->bgp->learn, on_own, &c);
	items_end(&j, lines, reply);
}

/* ---- why ----------------------------------------------------------------------------------------------------------- */

struct question {
	struct json *json;
	const struct bgp *bgp;
	const char *scope; /* tenant, or tenant/network */
	const char *what;  /* as asked */
	bool lines, any, failed;
};

static void on_why(void *arg, const struct learn_why *w)
{
	struct question *q = arg;
	bool bgp = w->source == ROUTE_SOURCE_BGP;
	char address[ADDR_TEXT_SIZE], key[ROUTE_KEY_TEXT_SIZE];
	struct json *j = q->json;

	if (q->lines && q->any)
		json_newline(j);
	q->any = true;
	view_begin(j, "BgpWhy");
	json_key(j, "name");
	json_format(j, "%s/%s", q->scope, q->what);
	json_put_bool(j, "best", w->step == DECIDE_BEST);
	json_put_string(j, "source", route_source_name(w->source));
	json_put_string(j, "from", bgp ? addr_format(&w->candidate.neighbor->address, address) : w->name);
	json_put_string(j, "route", bgp ? route_key_format(&w->candidate.nlri.key, key) : NULL);
	put_addr(j, "nextHop", bgp ? &w->candidate.attrs->next_hop : &(struct addr){0});
	json_put_string(j, "import", bgp ? import_verdict_name(w->verdict) : NULL);
	json_put_string(j, "lostBy", w->step == DECIDE_BEST ? NULL : decide_step_name(w->step));
	put_optional(j, "sequence", bgp && w->candidate.attrs->has & ROUTE_HAS_MOBILITY,
		     bgp ? w->candidate.attrs->mobility : 0);
	json_object_close(j);
}

static void ask(struct question *q, const char *scope, uint32_t vni, const struct learn_query *asked)
{
	struct learn_query query = *asked;

	query.vni = vni;
	q->scope = scope;
	q->failed |= learn_why(q->bgp->learn, &query, on_why, q) == -ENOMEM;
}

/* "10.0.1.11", "10.0.1.0/24", a MAC. */
static bool parse_what(const char *text, struct learn_query *q)
{
	*q = (struct learn_query){.is_mac = mac_parse(text, &q->mac) == 0};
	if (q->is_mac)
		return mac_parse(text, &q->mac) == 0;
	q->prefix.length = 128;
	return addr_parse(text, &q->prefix.addr) == 0 || prefix_parse(text, &q->prefix) == 0;
}

static bool in_scope(const char *scope, size_t length, const char *name)
{
	return !scope || (strlen(name) == length && memcmp(scope, name, length) == 0);
}

static void ask_all(struct question *q, const struct config *c, const char *scope, size_t length,
		    const struct learn_query *query)
{
	for (size_t i = 0; i < c->n_tenants; i++) {
		const struct config_tenant *t = &c->tenants[i];

		if (!query->is_mac && in_scope(scope, length, t->name))
			ask(q, t->name, t->vni, query);
		for (size_t k = 0; query->is_mac && k < t->n_networks; k++)
			if (t->networks[k].mode == CONFIG_MODE_L2 && in_scope(scope, length, t->networks[k].full_name))
				ask(q, t->networks[k].full_name, t->networks[k].vni, query);
	}
}

/* With a tenant (of a MAC: tenant/network) before it, or in all of them. */
static bool parse_name(const char *name, struct learn_query *query, size_t *scope)
{
	*scope = 0;
	if (parse_what(name, query))
		return true;
	for (const char *slash = name; (slash = strchr(slash, '/')); slash++)
		if (parse_what(slash + 1, query)) {
			*scope = (size_t)(slash - name);
			return true;
		}
	return false;
}

void bgp_view_why(void *arg, const struct api_request *request, struct api_reply *reply)
{
	const struct agent *a = arg;
	struct learn_query query;
	struct question q = {.bgp = a->bgp};
	struct json j;
	size_t scope;

	if (!api_query_flag(request, "stream", &q.lines, reply))
		return;
	if (!parse_name(request->name, &query, &scope)) {
		api_reply_error(reply, 404, "IST-4041", "name an address, a prefix or a MAC, with its tenant/ or "
				"tenant/network/ before it where several have it", NULL, "\"%s\" is none of them",
				request->name);
		return;
	}
	j = items_of(q.lines, "BgpWhyList");
	q.json = &j;
	q.what = request->name + (scope ? scope + 1 : 0);
	if (a->bgp && a->bgp->learn && a->config)
		ask_all(&q, a->config, scope ? request->name : NULL, scope, &query);
	if (!q.any || q.failed) {
		json_fini(&j);
		api_reply_error(reply, q.failed ? 500 : 404, q.failed ? "IST-5000" : "IST-4041",
				q.failed ? NULL : "isthmus bgp routes lists what neighbors say", NULL, "%s",
				q.failed ? "out of memory" : "nobody says anything of it here");
		return;
	}
	items_end(&j, q.lines, reply);
}
