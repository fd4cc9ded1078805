/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "agent/bgp.h"
#include "agent/pieces.h"
#include "agent/secure_view.h"
#include "agent/view.h"
#include "lib/cleanup.h"
#include "lib/text.h"

/* What the objects of a list hang on, in order of their names. */
enum base {
	BASE_SITES,
	BASE_NODES,
	BASE_TENANTS,
	BASE_PORTS,
	BASE_LEARNED, /* what neighbors say, in the order of its table */
};

struct filter {
	char *scope; /* tenant (of a MAC: tenant/network), NULL = any */
	bool has_prefix, has_mac;
	struct prefix prefix;
	struct mac mac;
};

/*
 * A walk over the objects of a list.  Between two pieces the configuration may have been replaced, so all that is kept
 * is the name of the base object and how many of its objects were written; each piece looks the name up again.
 */
struct walk {
	struct pieces pieces; /* first */
	const struct agent *a;
	const struct view_list *list;
	struct filter filter;
	bool filtered;
	bool all;   /* also what the data plane does not hold */
	unsigned phase;
	char last[CONFIG_NAME_MAX + 1]; /* name of the base object, "" = at the first */
	size_t sub;                     /* the next object of it */
	uint64_t written;
	uint64_t cursor, life; /* of BASE_LEARNED */
};

enum step {
	STEP_WROTE,
	STEP_SKIPPED,
	STEP_DONE, /* the base object has no more */
};

struct phase {
	enum base base;
	enum step (*emit)(const struct walk *w, const void *object, size_t sub, struct json *j);
	/* of BASE_LEARNED */
	bool (*learned)(struct json *j, const struct agent *a, const struct routes_candidate *c, const char *scope);
};

struct view_list {
	const char *plural; /* in the path */
	const char *kind;   /* of the list */
	struct phase phases[3];
	/* one object by name; NULL: names are looked for by the walk, which may find several */
	bool (*find)(const struct agent *a, const char *name, struct json *j);
	bool (*parse)(struct filter *f, const char *name);
};

/* ---- what each list holds ---- */

static enum step emit_site(const struct walk *w, const void *object, size_t sub, struct json *j)
{
	if (sub)
		return STEP_DONE;
	view_site(j, w->a, object);
	return STEP_WROTE;
}

static enum step emit_node(const struct walk *w, const void *object, size_t sub, struct json *j)
{
	if (sub)
		return STEP_DONE;
	view_node(j, w->a, object);
	return STEP_WROTE;
}

static enum step emit_tunnel(const struct walk *w, const void *object, size_t sub, struct json *j)
{
	if (sub)
		return STEP_DONE;
	if (!view_has_tunnel(w->a, object))
		return STEP_SKIPPED;
	view_tunnel(j, w->a, object);
	return STEP_WROTE;
}

static enum step emit_tunnel_peer(const struct walk *w, const void *object, size_t sub, struct json *j)
{
	const struct config_port *p = object;

	if (sub)
		return STEP_DONE;
	if (!p->peer || p->node != w->a->self)
		return STEP_SKIPPED;
	view_tunnel_peer(j, w->a, p);
	return STEP_WROTE;
}

static enum step emit_peer(const struct walk *w, const void *object, size_t sub, struct json *j)
{
	const struct config_port *p = object;

	if (sub)
		return STEP_DONE;
	if (!p->peer)
		return STEP_SKIPPED;
	view_peer(j, w->a, p);
	return STEP_WROTE;
}

static enum step emit_tenant(const struct walk *w, const void *object, size_t sub, struct json *j)
{
	if (sub)
		return STEP_DONE;
	view_tenant(j, w->a, object);
	return STEP_WROTE;
}

static enum step emit_network(const struct walk *w, const void *object, size_t sub, struct json *j)
{
	const struct config_tenant *t = object;

	if (sub >= t->n_networks)
		return STEP_DONE;
	view_network(j, w->a, &t->networks[sub]);
	return STEP_WROTE;
}

static enum step emit_port(const struct walk *w, const void *object, size_t sub, struct json *j)
{
	if (sub)
		return STEP_DONE;
	view_port(j, w->a, object);
	return STEP_WROTE;
}

static enum step emit_mac(const struct walk *w, const void *object, size_t sub, struct json *j)
{
	const struct config_port *p = object;

	if (sub)
		return STEP_DONE;
	if (p->network->mode != CONFIG_MODE_L2)
		return STEP_SKIPPED;
	if (w->filtered && (!mac_equal(&w->filter.mac, &p->mac) ||
			    (w->filter.scope && strcmp(w->filter.scope, p->network->full_name) != 0)))
		return STEP_SKIPPED;
	if (!w->all && !view_mac_installed(w->a, p))
		return STEP_SKIPPED;
	view_mac(j, w->a, p);
	return STEP_WROTE;
}

static bool wants(const struct walk *w, const struct config_tenant *t, const struct prefix *prefix)
{
	const struct filter *f = &w->filter;

	return !w->filtered || (f->prefix.length == prefix->length && addr_equal(&f->prefix.addr, &prefix->addr) &&
				(!f->scope || strcmp(f->scope, t->name) == 0));
}

static enum step emit_address(const struct walk *w, const void *object, size_t sub, struct json *j,
			      void (*view)(struct json *, const struct agent *, const struct config_port *,
					   const struct addr *))
{
	const struct config_port *p = object;

	if (sub >= p->n_addresses)
		return STEP_DONE;
	if (!wants(w, p->network->tenant, &(struct prefix){p->addresses[sub], 128}))
		return STEP_SKIPPED;
	if (!w->all && !view_host_installed(w->a, p, &p->addresses[sub]))
		return STEP_SKIPPED;
	view(j, w->a, p, &p->addresses[sub]);
	return STEP_WROTE;
}

static enum step emit_host(const struct walk *w, const void *object, size_t sub, struct json *j)
{
	return emit_address(w, object, sub, j, view_host);
}

static enum step emit_host_route(const struct walk *w, const void *object, size_t sub, struct json *j)
{
	return emit_address(w, object, sub, j, view_host_route);
}

static enum step emit_prefix_route(const struct walk *w, const void *object, size_t sub, struct json *j)
{
	const struct config_tenant *t = object;

	for (size_t i = 0; i < t->n_networks; sub -= t->networks[i++].n_subnets) {
		const struct config_network *n = &t->networks[i];

		if (sub >= n->n_subnets)
			continue;
		if (!wants(w, t, &n->subnets[sub]) || (!w->all && !view_prefix_installed(w->a, n, &n->subnets[sub])))
			return STEP_SKIPPED;
		view_prefix_route(j, w->a, n, &n->subnets[sub]);
		return STEP_WROTE;
	}
	return STEP_DONE;
}

static bool find_site(const struct agent *a, const char *name, struct json *j)
{
	for (size_t i = 0; i < a->config->n_sites; i++)
		if (strcmp(a->config->sites[i].name, name) == 0) {
			view_site(j, a, &a->config->sites[i]);
			return true;
		}
	return false;
}

static bool find_node(const struct agent *a, const char *name, struct json *j)
{
	const struct config_node *n = config_node(a->config, name);

	if (n)
		view_node(j, a, n);
	return n;
}

static bool find_tunnel(const struct agent *a, const char *name, struct json *j)
{
	const struct config_node *n = config_node(a->config, name);
	const struct config_port *p = config_port(a->config, name);

	if (n && view_has_tunnel(a, n))
		view_tunnel(j, a, n);
	else if (p && p->peer && p->node == a->self)
		view_tunnel_peer(j, a, p);
	else
		return false;
	return true;
}

static bool find_peer(const struct agent *a, const char *name, struct json *j)
{
	const struct config_port *p = config_port(a->config, name);

	if (!p || !p->peer)
		return false;
	view_peer(j, a, p);
	return true;
}

static bool find_tenant(const struct agent *a, const char *name, struct json *j)
{
	const struct config_tenant *t = config_tenant(a->config, name);

	if (t)
		view_tenant(j, a, t);
	return t;
}

static bool find_network(const struct agent *a, const char *name, struct json *j)
{
	const struct config_network *n = config_network(a->config, name);

	if (n)
		view_network(j, a, n);
	return n;
}

static bool find_port(const struct agent *a, const char *name, struct json *j)
{
	const struct config_port *p = config_port(a->config, name);

	if (!p)
		return false;
	if (a->kern && p->node == a->self)
		kern_links_refresh(a->kern); /* somebody looks at one port: its counters should be those of now */
	view_port(j, a, p);
	return true;
}

/* "10.0.1.11", "10.0.1.0/24", "red/10.0.1.11", "red/10.0.1.0/24" */
static bool parse_prefix(struct filter *f, const char *name)
{
	const char *slash = strchr(name, '/');

	if (addr_parse(name, &f->prefix.addr) == 0) {
		f->prefix.length = 128;
		return true;
	}
	if (prefix_parse(name, &f->prefix) == 0)
		return true;
	if (!slash || f->scope)
		return false;
	f->scope = strndup(name, (size_t)(slash - name));
	return f->scope && parse_prefix(f, slash + 1);
}

/* "02:00:00:00:00:01", "red/web/02:00:00:00:00:01" */
static bool parse_mac(struct filter *f, const char *name)
{
	const char *slash = strrchr(name, '/');

	if (slash) {
		f->scope = strndup(name, (size_t)(slash - name));
		if (!f->scope)
			return false;
		name = slash + 1;
	}
	return mac_parse(name, &f->mac) == 0;
}

static const struct view_list lists[] = {
	{"sites", "SiteList", {{BASE_SITES, emit_site}}, find_site, NULL},
	{"nodes", "NodeList", {{BASE_NODES, emit_node}}, find_node, NULL},
	{"tunnels", "TunnelList", {{BASE_NODES, emit_tunnel}, {BASE_PORTS, emit_tunnel_peer}}, find_tunnel, NULL},
	{"peers", "PeerList", {{BASE_PORTS, emit_peer}}, find_peer, NULL},
	{"tenants", "TenantList", {{BASE_TENANTS, emit_tenant}}, find_tenant, NULL},
	{"networks", "NetworkList", {{BASE_TENANTS, emit_network}}, find_network, NULL},
	{"ports", "PortList", {{BASE_PORTS, emit_port}}, find_port, NULL},
	{"macs", "MacList", {{BASE_PORTS, emit_mac}, {BASE_LEARNED, NULL, view_learned_mac}}, NULL, parse_mac},
	{"hosts", "HostList", {{BASE_PORTS, emit_host}, {BASE_LEARNED, NULL, view_learned_host}}, NULL, parse_prefix},
	{"routes", "RouteList",
	 {{BASE_TENANTS, emit_prefix_route}, {BASE_PORTS, emit_host_route}, {BASE_LEARNED, NULL, view_learned_route}}, NULL,
	 parse_prefix},
};

static const struct view_list *list_by_path(const char *path)
{
	const char *plural = path + strlen("/v1/");
	size_t length = strcspn(plural, "/?#");

	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++)
		if (strlen(lists[i].plural) == length && memcmp(lists[i].plural, plural, length) == 0)
			return &lists[i];
	return NULL;
}

/* ---- the walk ---- */

/* The objects of a list in order of their names; the ports are in two arrays, see config_walk. */
struct place {
	size_t at;
	struct config_walk port;
};

static const void *base_next(const struct config *c, enum base base, struct place *p)
{
	switch (base) {
	case BASE_SITES:
		return p->at < c->n_sites ? &c->sites[p->at++] : NULL;
	case BASE_NODES:
		return p->at < c->n_nodes ? &c->nodes[p->at++] : NULL;
	case BASE_TENANTS:
		return p->at < c->n_tenants ? &c->tenants[p->at++] : NULL;
	case BASE_PORTS:
		return config_walk(c, &p->port);
	case BASE_LEARNED:
		break;
	}
	return NULL;
}

/* Each kind begins with its name. */
static const char *object_name(const void *object)
{
	return *(char *const *)object;
}

static_assert(offsetof(struct config_site, name) == 0 && offsetof(struct config_node, name) == 0 &&
		      offsetof(struct config_tenant, name) == 0 && offsetof(struct config_port, name) == 0,
	      "the name comes first");

/* Before the first whose name is not before `name`. */
static struct place base_place(const struct config *c, enum base base, const char *name)
{
	struct place p = {0}, next;
	const void *object;

	if (base == BASE_PORTS) {
		p.port = config_walk_from(c, name);
		return p;
	}
	for (next = p; (object = base_next(c, base, &next)) && strcmp(object_name(object), name) < 0;)
		p = next;
	return p;
}

static void on_learned(void *arg, const struct routes_candidate *c)
{
	struct walk *w = arg;
	struct json *j = &w->pieces.json;
	size_t before = j->size;

	if (!w->list->phases[w->phase].learned(j, w->a, c, w->filter.scope))
		return;
	w->written++;
	if (w->pieces.lines && j->size > before)
		json_newline(j);
}

/* One that is asked for by its name is looked up in each network, or tenant, that may have it. */
static void write_named(struct walk *w, const struct bgp *b)
{
	struct learn_query q = {.is_mac = w->list->parse == parse_mac, .mac = w->filter.mac, .prefix = w->filter.prefix};

	for (size_t i = 0; i < w->a->config->n_tenants; i++) {
		const struct config_tenant *t = &w->a->config->tenants[i];

		q.vni = t->vni;
		if (!q.is_mac)
			learn_saying_each(b->learn, &q, on_learned, w);
		for (size_t k = 0; q.is_mac && k < t->n_networks; k++) {
			q.vni = t->networks[k].vni;
			if (t->networks[k].mode == CONFIG_MODE_L2)
				learn_saying_each(b->learn, &q, on_learned, w);
		}
	}
}

static void write_learned(struct walk *w)
{
	const struct bgp *b = w->a->bgp;

	if (w->filtered) {
		if (b && b->learn)
			write_named(w, b);
		w->phase++;
		return;
	}
	if (w->cursor == 0 && b)
		w->life = b->life;
	if (!b || !b->learn || b->life != w->life ||
	    !routes_walk(learn_routes(b->learn), &w->cursor, PIECES_RECORDS, on_learned, w))
		w->phase++;
}

/* Writes until there is enough, or enough was looked at. */
static void write_phase(struct walk *w, size_t limit)
{
	const struct phase *phase = &w->list->phases[w->phase];
	const struct config *c = w->a->config;
	struct json *j = &w->pieces.json;
	size_t budget = PIECES_RECORDS;
	struct place place;
	const void *object;

	if (phase->base == BASE_LEARNED) {
		write_learned(w);
		return;
	}
	place = base_place(c, phase->base, w->last);
	object = base_next(c, phase->base, &place);

	if (object && strcmp(object_name(object), w->last) != 0)
		w->sub = 0; /* what we were at is gone; this is the next */
	while (object && j->size < limit && budget-- > 0) {
		enum step step = phase->emit(w, object, w->sub, j);

		if (step == STEP_DONE) {
			object = base_next(c, phase->base, &place);
			w->sub = 0;
			continue;
		}
		w->sub++;
		w->written += step == STEP_WROTE;
		if (step == STEP_WROTE && w->pieces.lines)
			json_newline(j);
	}
	if (object) {
		strncpy(w->last, object_name(object), sizeof(w->last) - 1);
		return;
	}
	w->phase++;
	w->last[0] = '\0';
	w->sub = 0;
}

static bool walk_has_phase(const struct walk *w)
{
	return w->a->config && w->phase < sizeof(w->list->phases) / sizeof(w->list->phases[0]) &&
	       (w->list->phases[w->phase].emit || w->list->phases[w->phase].learned);
}

static void write_piece(struct pieces *pieces, size_t limit)
{
	struct walk *w = (struct walk *)pieces;

	if (walk_has_phase(w))
		write_phase(w, limit);
	pieces->ended = !walk_has_phase(w);
}

static void walk_free(void *stream)
{
	struct walk *w = stream;

	if (!w)
		return;
	free(w->filter.scope);
	json_fini(&w->pieces.json);
	free(w);
}

DEFINE_CLEANUP(walk, struct walk *, walk_free)

/* ---- handlers ---- */

void view_list_handle(void *arg, const struct api_request *request, struct api_reply *reply)
{
	struct walk *w = calloc(1, sizeof(*w));

	if (!w) {
		api_reply_error(reply, 500, "IST-5000", NULL, NULL, "out of memory");
		return;
	}
	w->a = arg;
	w->list = list_by_path(request->path);
	w->pieces.write = write_piece;
	w->pieces.kind = w->list->kind;
	if (!api_query_flag(request, "stream", &w->pieces.lines, reply) || !api_query_flag(request, "all", &w->all, reply)) {
		walk_free(w);
		return;
	}
	pieces_reply(reply, &w->pieces, walk_free);
}

static void no_such(const struct view_list *list, const char *name, struct api_reply *reply)
{
	_cleanup_(free) char *hint = NULL;

	if (text_format(&hint, "isthmus get %s lists what there is", list->plural) < 0)
		hint = NULL;
	api_reply_error(reply, 404, "IST-4041", hint, NULL, "%s: nothing is called \"%s\"", list->plural, name);
}

void view_name_handle(void *arg, const struct api_request *request, struct api_reply *reply)
{
	_cleanup_(walk) struct walk *w = calloc(1, sizeof(*w));
	const struct view_list *list = list_by_path(request->path);
	const struct agent *a = arg;
	struct json j = {0};

	if (!w) {
		api_reply_error(reply, 500, "IST-5000", NULL, NULL, "out of memory");
		return;
	}
	if (list->find) {
		if (a->config && list->find(a, request->name, &j))
			api_reply_json(reply, &j);
		else
			no_such(list, request->name, reply);
		json_fini(&j);
		return;
	}
	*w = (struct walk){.pieces = {.write = write_piece, .kind = list->kind}, .a = a, .list = list, .filtered = true,
			   .all = true};
	if (!list->parse(&w->filter, request->name)) {
		no_such(list, request->name, reply);
		return;
	}
	/* A name stands for few objects; they are collected whole. */
	pieces_collect(&w->pieces);
	if (!w->written)
		no_such(list, request->name, reply);
	else
		api_reply_json(reply, &w->pieces.json);
}
