/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bgp why: who says where something is, and why one of them counts.  All routes are looked at for those that speak of it, in
 * pieces; what they say is then judged at once, as it is in that moment.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "agent/bgp.h"
#include "agent/bgp_view.h"
#include "agent/pieces.h"
#include "agent/view.h"
#include "lib/cleanup.h"

struct question {
	struct pieces pieces; /* first */
	const struct agent *agent;
	uint64_t life; /* of the tables that are searched */
	char *name;    /* as asked, with its scope */
	size_t scope;  /* length of the tenant, or tenant/network, in front of it; 0 = any */
	struct learn_query query;
	struct learn_search found;
	const char *place; /* where the answers of now are from */
};

static void on_why(void *arg, const struct learn_why *w)
{
	struct question *q = arg;
	bool bgp = w->source == ROUTE_SOURCE_BGP;
	char address[ADDR_TEXT_SIZE], key[ROUTE_KEY_TEXT_SIZE];
	struct json *j = &q->pieces.json;

	view_begin(j, "BgpWhy");
	json_key(j, "name");
	json_format(j, "%s/%s", q->place, q->name + (q->scope ? q->scope + 1 : 0));
	json_put_bool(j, "best", w->step == DECIDE_BEST);
	json_put_string(j, "source", route_source_name(w->source));
	json_put_string(j, "from", bgp ? addr_format(&w->candidate.neighbor->address, address) : w->name);
	json_put_string(j, "route", bgp ? route_key_format(&w->candidate.nlri.key, key) : NULL);
	bgp_view_put_addr(j, "nextHop", bgp ? &w->candidate.attrs->next_hop : &(struct addr){0});
	json_put_string(j, "import", bgp ? import_verdict_name(w->verdict) : NULL);
	json_put_string(j, "lostBy", w->step == DECIDE_BEST ? NULL : decide_step_name(w->step));
	bgp_view_put_optional(j, "sequence", bgp && w->candidate.attrs->has & ROUTE_HAS_MOBILITY,
		     bgp ? w->candidate.attrs->mobility : 0);
	json_object_close(j);
	if (q->pieces.lines)
		json_newline(j);
}

static void ask(struct question *q, const char *place, uint32_t vni)
{
	struct learn_query query = q->query;

	query.vni = vni;
	q->place = place;
	if (learn_why_found(q->agent->bgp->learn, &query, &q->found, on_why, q) == -ENOMEM)
		q->pieces.json.failed = true;
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

static bool in_scope(const struct question *q, const char *name)
{
	return !q->scope || (strlen(name) == q->scope && memcmp(q->name, name, q->scope) == 0);
}

static void ask_all(struct question *q)
{
	const struct config *c = q->agent->config;

	for (size_t i = 0; c && i < c->n_tenants; i++) {
		const struct config_tenant *t = &c->tenants[i];

		if (!q->query.is_mac && in_scope(q, t->name))
			ask(q, t->name, t->vni);
		for (size_t k = 0; q->query.is_mac && k < t->n_networks; k++)
			if (t->networks[k].mode == CONFIG_MODE_L2 && in_scope(q, t->networks[k].full_name))
				ask(q, t->networks[k].full_name, t->networks[k].vni);
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

static void write_why(struct pieces *pieces, size_t limit)
{
	struct question *q = (struct question *)pieces;
	const struct bgp *b = q->agent->bgp;

	if (b && b->learn && b->life == q->life) {
		if (learn_search(b->learn, &q->found, PIECES_RECORDS))
			return;
		pieces->json.failed |= q->found.failed;
		ask_all(q);
	}
	pieces->ended = true;
}

static void question_free(void *stream)
{
	struct question *q = stream;

	learn_search_fini(&q->found);
	json_fini(&q->pieces.json);
	free(q->name);
	free(q);
}

DEFINE_CLEANUP(question, struct question *, question_free)

void bgp_view_why(void *arg, const struct api_request *request, struct api_reply *reply)
{
	const struct agent *a = arg;
	_cleanup_(question) struct question *q = calloc(1, sizeof(*q));

	if (q)
		q->name = strdup(request->name);
	if (!q || !q->name) {
		api_reply_error(reply, 500, "IST-5000", NULL, NULL, "out of memory");
		return;
	}
	if (!api_query_flag(request, "stream", &q->pieces.lines, reply))
		return;
	if (!parse_name(q->name, &q->query, &q->scope)) {
		api_reply_error(reply, 404, "IST-4041", "name an address, a prefix or a MAC, with its tenant/ or "
				"tenant/network/ before it where several have it", NULL, "\"%s\" is none of them",
				request->name);
		return;
	}
	q->pieces.write = write_why;
	q->pieces.kind = "BgpWhyList";
	q->agent = a;
	q->life = a->bgp ? a->bgp->life : 0;
	q->found = (struct learn_search){.is_mac = q->query.is_mac, .mac = q->query.mac, .prefix = q->query.prefix};
	pieces_reply(reply, &q->pieces, question_free);
	TAKE_PTR(q);
}
