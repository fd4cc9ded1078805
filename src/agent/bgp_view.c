/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/bgp_view.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/bgp.h"
#include "agent/inside.h"
#include "agent/pieces.h"
#include "agent/view.h"
#include "lib/cleanup.h"

/* ---- values -------------------------------------------------------------------------------------------------------- */

void bgp_view_put_addr(struct json *j, const char *key, const struct addr *a)
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

void bgp_view_put_optional(struct json *j, const char *key, bool has, uint32_t n)
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

/* One number for each of the neighbor's families, in their order. */
static void put_by_family(struct json *j, const char *key, uint32_t families, const size_t n[static ROUTE_FAMILY_MAX])
{
	json_key(j, key);
	json_array_open(j);
	for (enum route_family f = 0; f < ROUTE_FAMILY_MAX; f++)
		if (families & ROUTE_FAMILY_BIT(f))
			json_uint(j, n[f]);
	json_array_close(j);
}

static void put_families_of(struct json *j, uint32_t families, const struct neighbor_stats *s)
{
	put_families(j, "families", families);
	put_by_family(j, "familiesReceived", families, s->n_received);
	put_by_family(j, "familiesSent", families, s->n_sent);
	put_by_family(j, "familiesVersion", families, s->version);
}

static void put_counts(struct json *j, const struct neighbor_stats *s)
{
	size_t received = 0, sent = 0;

	for (enum route_family f = 0; f < ROUTE_FAMILY_MAX; f++) {
		received += s->n_received[f];
		sent += s->n_sent[f];
	}
	json_put_uint(j, "messagesReceived", sum(s->n_in, MESSAGE_TYPE_MAX));
	json_put_uint(j, "messagesSent", sum(s->n_out, MESSAGE_TYPE_MAX));
	json_put_uint(j, "unread", s->n_unread);
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
	bgp_view_put_addr(j, "local", &c->local);
	json_put_uint(j, "localAs", b->as);
	put_router_id(j, "localRouterId", b->router_id);
	json_put_uint(j, "remoteAs", c->remote_as);
	json_put_bool(j, "external", c->remote_as != b->as);
	json_put_string(j, "state", p->keyless ? "NoKey" : c->shutdown ? "Shutdown" : neighbor_state_name(s.state));
	put_up_down(j, now > s.since_ms ? now - s.since_ms : 0);
	put_counts(j, &s);
	put_families_of(j, c->families, &s);
	put_families(j, "negotiated", up ? s.families : 0);
	put_families(j, "stale", s.stale);
	put_router_id(j, "routerId", s.remote_id);
	bgp_view_put_optional(j, "holdSeconds", up, s.hold_s);
	json_put_bool(j, "encrypted", p->inside);
	json_put_string(j, "waitsFor", inside_problem(b->agent, p));
	json_put_bool(j, "password", c->keyed);
	bgp_view_put_optional(j, "ttlHops", c->ttl_hops, c->ttl_hops);
	json_put_string(j, "lastError", s.last_error[0] ? s.last_error : NULL);
	bgp_view_put_optional(j, "lastErrorSeconds", s.last_error_ms, (uint32_t)((now - s.last_error_ms) / 1000));
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
	if (!b)
		api_reply_error(reply, 404, "IST-4041", "add \"bgp: {as: 65000}\" to its configuration, and apply that; isthmus "
				"explain bgp", NULL, "this node has no BGP");
	else if (!p)
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
	bgp_view_put_addr(j, "nextHop", &attrs->next_hop);
	bgp_view_put_optional(j, "metric", attrs->has & ROUTE_HAS_MED, attrs->med);
	bgp_view_put_optional(j, "localPref", attrs->has & ROUTE_HAS_LOCAL_PREF, attrs->local_pref);
	json_put_string(j, "path", route_path_format(attrs, path, sizeof(path)));
	json_put_string(j, "origin", attrs->origin == ROUTE_ORIGIN_IGP ? "i" : attrs->origin == ROUTE_ORIGIN_EGP ? "e" : "?");
	bgp_view_put_optional(j, "sequence", attrs->has & ROUTE_HAS_MOBILITY, attrs->mobility);
	put_targets(j, attrs);
}

/* The marks of routers, without the blanks in which they stand. */
static void put_status(struct json *j, enum learn_standing standing, bool internal, bool stale)
{
	static const char *const marks[] = {
		[LEARN_REFUSED] = "", [LEARN_VALID] = "*", [LEARN_MULTIPATH] = "*=", [LEARN_BEST] = "*>"};

	json_key(j, "status");
	json_format(j, "%s%s%s", stale ? "S" : "", marks[standing], internal ? "i" : "");
	json_put_bool(j, "best", standing == LEARN_BEST);
}

/* What a neighbor has sent, and what became of it. */
static void put_received(struct json *j, const struct bgp *b, const struct routes_candidate *c)
{
	char address[ADDR_TEXT_SIZE];

	put_route(j, &c->nlri, c->attrs);
	json_put_string(j, "neighbor", addr_format(&c->neighbor->address, address));
	json_put_bool(j, "stale", c->stale);
	json_put_string(j, "import", import_verdict_name(learn_verdict(b->learn, c)));
	put_status(j, learn_standing(b->learn, c), !c->neighbor->external, c->stale);
	json_object_close(j);
}

static void put_own(struct json *j, const struct export_change *put)
{
	put_route(j, &put->nlri, put->attrs);
	json_put_string(j, "neighbor", NULL);
	json_put_bool(j, "stale", false);
	json_put_string(j, "import", NULL);
	put_status(j, LEARN_BEST, false, false);
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
	pieces_reply(reply, &w->pieces, walk_free);
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

struct telling {
	struct pieces pieces; /* first */
	struct bgp *bgp;
	uint64_t life; /* of the tables that it walks */
	struct addr neighbor;
	uint32_t families, extended_next_hop; /* of its session; 0 = it has none */
	struct export_mark mark;
};

/* RFC 8950: IPv4 by an IPv6 next hop goes to who can read it. */
static bool can_be_told(const struct telling *t, const struct export_change *put)
{
	uint32_t family = ROUTE_FAMILY_BIT(put->nlri.key.family);

	if (family == ROUTE_FAMILY_BIT(ROUTE_IPV4) && !addr_is_v4(&put->attrs->next_hop) && !(t->extended_next_hop & family))
		return false;
	return t->families & family;
}

static void on_own(void *arg, const struct export_change *put)
{
	struct telling *t = arg;

	if (!can_be_told(t, put) || !speaker_tells(t->bgp->speaker, &t->neighbor, put->tenant))
		return;
	put_own(&t->pieces.json, put);
	if (t->pieces.lines)
		json_newline(&t->pieces.json);
}

/* It may come and go while the list goes out. */
static void look_at_session(struct telling *t)
{
	struct neighbor_stats s = {0};
	bool up = t->bgp->speaker && speaker_neighbor_stats(t->bgp->speaker, &t->neighbor, &s) == 0 &&
		  s.state == NEIGHBOR_ESTABLISHED;

	t->families = up ? s.families : 0;
	t->extended_next_hop = up ? s.extended_next_hop : 0;
}

static void write_own(struct pieces *pieces, size_t limit)
{
	struct telling *t = (struct telling *)pieces;

	look_at_session(t);
	pieces->ended = !t->bgp->speaker || t->bgp->life != t->life ||
			!export_walk(learn_export(t->bgp->learn), &t->mark, PIECES_RECORDS, on_own, t);
}

static void telling_free(void *stream)
{
	struct telling *t = stream;

	if (t->bgp->learn && t->bgp->life == t->life)
		export_walk_end(learn_export(t->bgp->learn), &t->mark);
	json_fini(&t->pieces.json);
	free(t);
}

void bgp_view_advertised(void *arg, const struct api_request *request, struct api_reply *reply)
{
	const struct agent *a = arg;
	const struct bgp_peer *p = bgp_view_peer(a, request->name, reply);
	struct telling *t;
	bool lines;

	if (!p || !api_query_flag(request, "stream", &lines, reply))
		return;
	t = calloc(1, sizeof(*t));
	if (!t) {
		api_reply_error(reply, 500, "IST-5000", NULL, NULL, "out of memory");
		return;
	}
	t->pieces = (struct pieces){.write = write_own, .kind = "BgpRouteList", .lines = lines};
	t->bgp = a->bgp;
	t->life = a->bgp->life;
	t->neighbor = p->remote;
	export_walk_begin(learn_export(a->bgp->learn), &t->mark);
	pieces_reply(reply, &t->pieces, telling_free);
}
