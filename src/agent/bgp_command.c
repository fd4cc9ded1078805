/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the command line changes of sessions: nothing of the configuration, and nothing that stays.
 */
#include <errno.h>
#include <string.h>

#include "agent/bgp.h"
#include "agent/bgp_view.h"
#include "agent/view.h"

/* The same kind as of an apply; `format` names the one step. */
static void reply_step(struct api_reply *reply, const struct agent *a, bool dry_run, const char *verb, const char *what)
{
	struct json j = {0};

	view_begin(&j, "Plan");
	json_put_bool(&j, "dryRun", dry_run);
	json_put_bool(&j, "changed", true);
	json_key(&j, "steps");
	json_array_open(&j);
	json_format(&j, "%s %s", verb, what);
	json_array_close(&j);
	json_key(&j, "warnings");
	json_array_open(&j);
	json_array_close(&j);
	json_put_uint(&j, "generation", a->generation);
	json_object_close(&j);
	api_reply_json(reply, &j);
}

void bgp_command_refresh(void *arg, const struct api_request *request, struct api_reply *reply)
{
	const struct agent *a = arg;
	const struct bgp_peer *p = bgp_view_peer(a, request->name, reply);
	struct neighbor_stats s = {0};
	bool dry_run;
	int r = 0;

	if (!p || !api_query_flag(request, "dry_run", &dry_run, reply))
		return;
	if (speaker_neighbor_stats(a->bgp->speaker, &p->remote, &s) < 0 || s.state != NEIGHBOR_ESTABLISHED)
		r = -ENOTCONN;
	for (enum route_family f = 0; r == 0 && !dry_run && f < ROUTE_FAMILY_MAX; f++)
		if (s.families & ROUTE_FAMILY_BIT(f))
			r = speaker_refresh(a->bgp->speaker, &p->remote, f);
	if (r == 0) {
		bgp_wake(a->bgp);
		reply_step(reply, a, dry_run, "ask for all routes of", request->name);
		return;
	}
	api_reply_error(reply, 409, "IST-4010", "isthmus bgp neighbors says why", NULL, "%s: %s", request->name,
			r == -ENOTCONN ? "there is no session" : r == -EOPNOTSUPP ? "it cannot be asked again (RFC 2918)"
								 : strerror(-r));
}

void bgp_command_reset(void *arg, const struct api_request *request, struct api_reply *reply)
{
	const struct agent *a = arg;
	const struct bgp_peer *p = bgp_view_peer(a, request->name, reply);
	bool dry_run;

	if (!p || !api_query_flag(request, "dry_run", &dry_run, reply))
		return;
	if (!dry_run) {
		speaker_reset(a->bgp->speaker, &p->remote, "isthmus bgp reset", loop_now_ms(a->loop));
		bgp_wake(a->bgp);
	}
	reply_step(reply, a, dry_run, "begin the session anew with", request->name);
}

/* "02:00:00:00:00:01", "red/web/02:00:00:00:00:01" */
static bool free_in(struct bgp *b, const struct config_tenant *t, const char *scope, size_t length, const struct mac *mac)
{
	bool was = false;

	for (size_t i = 0; i < t->n_networks; i++) {
		const struct config_network *n = &t->networks[i];

		if (n->mode == CONFIG_MODE_L2 &&
		    (!scope || (strlen(n->full_name) == length && memcmp(scope, n->full_name, length) == 0)))
			was |= bgp_free_duplicate(b, n->vni, mac);
	}
	return was;
}

void bgp_command_free(void *arg, const struct api_request *request, struct api_reply *reply)
{
	const struct agent *a = arg;
	const char *slash = strrchr(request->name, '/');
	const char *scope = slash ? request->name : NULL;
	bool dry_run, was = false;
	struct mac mac;

	if (!api_query_flag(request, "dry_run", &dry_run, reply))
		return;
	if (a->options.offline) {
		api_reply_error(reply, 503, "IST-5030", "systemctl start isthmusd", NULL,
				"the daemon is not running; it alone freezes MACs");
		return;
	}
	if (mac_parse(slash ? slash + 1 : request->name, &mac) < 0) {
		api_reply_error(reply, 404, "IST-4041", "name a MAC, or tenant/network/MAC", NULL, "\"%s\" is no MAC",
				request->name);
		return;
	}
	for (size_t i = 0; !dry_run && a->config && i < a->config->n_tenants; i++)
		was |= free_in(a->bgp, &a->config->tenants[i], scope, slash ? (size_t)(slash - scope) : 0, &mac);
	if (dry_run || was)
		reply_step(reply, a, dry_run, "hear both sides again of", request->name);
	else
		api_reply_error(reply, 404, "IST-4041", "journalctl -u isthmusd names those that are", NULL,
				"%s is not held back as a duplicate", request->name);
}
