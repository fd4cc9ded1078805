/* SPDX-License-Identifier: Apache-2.0 */
/*
 * exposition.c - /metrics.  Labels are drop reasons, counters, states and tables: sets that the source fixes, and the BGP
 * neighbors and nodes of the configuration; so the number of series does not depend on traffic or ports (row T2).
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "agent/bgp.h"
#include "agent/port.h"
#include "agent/secure_view.h"
#include "agent/view.h"
#include "api/metrics.h"
#include "lib/cleanup.h"
#include "model/fwd.h"

double view_boot_to_wall_s(void)
{
	struct timespec wall, boot;

	clock_gettime(CLOCK_REALTIME, &wall);
	clock_gettime(CLOCK_BOOTTIME, &boot);
	return (double)(wall.tv_sec - boot.tv_sec) + (double)(wall.tv_nsec - boot.tv_nsec) / 1e9;
}

static void single(struct metrics *m, const char *name, enum metrics_type type, const char *unit, const char *help,
		   double value)
{
	metrics_family(m, name, type, unit, help);
	metrics_sample(m, NULL, value);
}

static void labelled(struct metrics *m, const char *label, const char *value, double number)
{
	metrics_sample(m, (struct metrics_label[]){{label, value}, {0}}, number);
}

static void expose_datapath(struct metrics *m, const struct datapath *dp)
{
	struct abi_counter counters[COUNTER_MAX];
	uint64_t drops[DROP_MAX];

	stats_drops(dp, drops);
	stats_counters(dp, counters);
	metrics_family(m, "isthmus_drops", METRICS_COUNTER, NULL, "Packets dropped, by reason (see `isthmus drops`).");
	for (unsigned r = DROP_NONE + 1; r < DROP_MAX; r++)
		labelled(m, "reason", drop_name(r), (double)drops[r]);
	metrics_family(m, "isthmus_packets", METRICS_COUNTER, NULL, "Packets handled, by what was done with them.");
	for (unsigned c = 0; c < COUNTER_MAX; c++)
		labelled(m, "counter", counter_name(c), (double)counters[c].packets);
	metrics_family(m, "isthmus_bytes", METRICS_COUNTER, "bytes", "Bytes handled, by what was done with them.");
	for (unsigned c = 0; c < COUNTER_MAX; c++)
		labelled(m, "counter", counter_name(c), (double)counters[c].bytes);
	metrics_family(m, "isthmus_table_entries", METRICS_GAUGE, NULL, "Entries in a table of the data plane.");
	for (unsigned k = FWD_ROUTE + 1; k < FWD_KIND_MAX; k++)
		labelled(m, "table", fwd_kind_name(k), (double)table_length(dp, k));
	metrics_family(m, "isthmus_table_capacity", METRICS_GAUGE, NULL,
		       "Entries that a table of the data plane can hold.");
	for (unsigned k = FWD_ROUTE + 1; k < FWD_KIND_MAX; k++)
		labelled(m, "table", fwd_kind_name(k), (double)table_capacity(dp, k));
}

static void expose_config(struct metrics *m, const struct agent *a)
{
	size_t ports[AGENT_PORT_STATE_MAX] = {0};
	size_t networks = 0;

	ports_count(a, ports);
	for (size_t i = 0; a->config && i < a->config->n_tenants; i++)
		networks += a->config->tenants[i].n_networks;
	metrics_family(m, "isthmus_ports", METRICS_GAUGE, NULL, "Ports by state; remote are those of other nodes.");
	for (unsigned s = 0; s < AGENT_PORT_STATE_MAX; s++)
		labelled(m, "state", agent_port_state_name(s), (double)ports[s]);
	single(m, "isthmus_nodes", METRICS_GAUGE, NULL, "Nodes of the fabric, this one included.",
	       a->config ? (double)a->config->n_nodes : 0);
	single(m, "isthmus_tenants", METRICS_GAUGE, NULL, "Tenants of the fabric.",
	       a->config ? (double)a->config->n_tenants : 0);
	single(m, "isthmus_networks", METRICS_GAUGE, NULL, "Networks of all tenants.", (double)networks);
}

static void expose_bgp(struct metrics *m, const struct bgp *b)
{
	double states[NEIGHBOR_STATE_MAX] = {0}, received[ROUTE_FAMILY_MAX] = {0}, in = 0, out = 0, resets = 0, errors = 0;
	const struct bgp_peer *p;
	struct neighbor_stats s;

	for (size_t i = 0; (p = hmap_next(&b->peers, &i));) {
		if (speaker_neighbor_stats(b->speaker, &p->remote, &s) < 0)
			continue;
		states[s.state]++;
		resets += (double)s.n_resets;
		errors += (double)s.n_withdrawn_for_error;
		for (unsigned t = 0; t < MESSAGE_TYPE_MAX; t++) {
			in += (double)s.n_in[t];
			out += (double)s.n_out[t];
		}
		for (enum route_family f = 0; f < ROUTE_FAMILY_MAX; f++)
			received[f] += (double)s.n_received[f];
	}
	metrics_family(m, "isthmus_bgp_neighbors", METRICS_GAUGE, NULL, "BGP neighbors by the state of their session.");
	for (enum neighbor_state n = 0; n < NEIGHBOR_STATE_MAX; n++)
		labelled(m, "state", neighbor_state_name(n), states[n]);
	metrics_family(m, "isthmus_bgp_routes", METRICS_GAUGE, NULL, "Routes that BGP neighbors announce, by family.");
	for (enum route_family f = 0; f < ROUTE_FAMILY_MAX; f++)
		labelled(m, "family", route_family_name(f), received[f]);
	metrics_family(m, "isthmus_bgp_messages", METRICS_COUNTER, NULL, "BGP messages, by direction.");
	labelled(m, "direction", "received", in);
	labelled(m, "direction", "sent", out);
	single(m, "isthmus_bgp_session_resets", METRICS_COUNTER, NULL, "BGP sessions that were established and went down.",
	       resets);
	single(m, "isthmus_bgp_routes_in_error", METRICS_COUNTER, NULL,
	       "Routes taken as withdrawn for a bad attribute (RFC 7606).", errors);
}

/* ---- each BGP neighbor: of its series there are 20 at most ---- */

struct session {
	char address[ADDR_TEXT_SIZE];
	const char *name;
	const struct neighbor_config *config;
	struct neighbor_stats stats;
};

/* One more label, or NULL. */
static void of_session(struct metrics *m, const struct session *s, const char *label, const char *value, double number)
{
	metrics_sample(m, (struct metrics_label[]){{"neighbor", s->address}, {"name", s->name}, {label, value}, {0}}, number);
}

static void of_session_directed(struct metrics *m, const struct session *s, const char *type, const char *direction,
				double number)
{
	metrics_sample(m, (struct metrics_label[]){{"neighbor", s->address}, {"name", s->name}, {"type", type},
						   {"direction", direction}, {0}}, number);
}

static void expose_sessions_state(struct metrics *m, const struct session *sessions, size_t n)
{
	metrics_family(m, "isthmus_bgp_neighbor_up", METRICS_GAUGE, NULL,
		       "1 while the session is established; -1 while the configuration keeps it down.");
	for (const struct session *s = sessions; s < sessions + n; s++)
		of_session(m, s, NULL, NULL,
			   s->stats.state == NEIGHBOR_ESTABLISHED ? 1 : s->config->shutdown ? -1 : 0);
	metrics_family(m, "isthmus_bgp_neighbor_since_timestamp_seconds", METRICS_GAUGE, "seconds",
		       "Since when it is established, or is not.");
	for (const struct session *s = sessions; s < sessions + n; s++)
		of_session(m, s, NULL, NULL, view_boot_to_wall_s() + (double)s->stats.since_ms / 1000);
	metrics_family(m, "isthmus_bgp_neighbor_resets", METRICS_COUNTER, NULL, "Times it was established and went down.");
	for (const struct session *s = sessions; s < sessions + n; s++)
		of_session(m, s, NULL, NULL, (double)s->stats.n_resets);
	metrics_family(m, "isthmus_bgp_neighbor_last_error_timestamp_seconds", METRICS_GAUGE, "seconds",
		       "When something last ended it or kept it down (isthmus bgp neighbors says what); 0 = nothing has.");
	for (const struct session *s = sessions; s < sessions + n; s++)
		of_session(m, s, NULL, NULL,
			   s->stats.last_error_ms ? view_boot_to_wall_s() + (double)s->stats.last_error_ms / 1000 : 0);
}

static void expose_sessions_messages(struct metrics *m, const struct session *sessions, size_t n)
{
	metrics_family(m, "isthmus_bgp_neighbor_messages", METRICS_COUNTER, NULL, "Messages, by type and direction.");
	for (const struct session *s = sessions; s < sessions + n; s++)
		for (unsigned t = MESSAGE_OPEN; t < MESSAGE_TYPE_MAX; t++) {
			of_session_directed(m, s, message_type_name(t), "received", (double)s->stats.n_in[t]);
			of_session_directed(m, s, message_type_name(t), "sent", (double)s->stats.n_out[t]);
		}
}

static void expose_sessions_routes(struct metrics *m, const struct session *sessions, size_t n)
{
	metrics_family(m, "isthmus_bgp_neighbor_routes_received", METRICS_GAUGE, NULL,
		       "Routes that it announces, by configured family.");
	for (const struct session *s = sessions; s < sessions + n; s++)
		for (enum route_family f = 0; f < ROUTE_FAMILY_MAX; f++)
			if (s->config->families & ROUTE_FAMILY_BIT(f))
				of_session(m, s, "family", route_family_name(f), (double)s->stats.n_received[f]);
	metrics_family(m, "isthmus_bgp_neighbor_routes_sent", METRICS_GAUGE, NULL,
		       "Routes that it was told of, by configured family.");
	for (const struct session *s = sessions; s < sessions + n; s++)
		for (enum route_family f = 0; f < ROUTE_FAMILY_MAX; f++)
			if (s->config->families & ROUTE_FAMILY_BIT(f))
				of_session(m, s, "family", route_family_name(f), (double)s->stats.n_sent[f]);
}

/* Without memory there is less to see, and metrics_take says so. */
static void expose_sessions(struct metrics *m, const struct bgp *b)
{
	_cleanup_(free) struct session *sessions = calloc(b->peers.length + 1, sizeof(*sessions));
	const struct bgp_peer *p;
	size_t n = 0;

	for (size_t i = 0; sessions && (p = hmap_next(&b->peers, &i));) {
		struct session *s = &sessions[n];

		s->name = p->name;
		s->config = speaker_neighbor(b->speaker, &p->remote);
		addr_format(&p->remote, s->address);
		n += s->config && speaker_neighbor_stats(b->speaker, &p->remote, &s->stats) == 0;
	}
	m->failed |= !sessions;
	if (n == 0)
		return;
	expose_sessions_state(m, sessions, n);
	expose_sessions_messages(m, sessions, n);
	expose_sessions_routes(m, sessions, n);
}

static void expose_process(struct metrics *m, const struct agent *a)
{
	_cleanup_(file) FILE *f = fopen("/proc/self/statm", "re");
	DIR *dir = opendir("/proc/self/fd");
	struct rusage usage;
	unsigned long size, resident;
	unsigned fds = 0;

	single(m, "process_start_time_seconds", METRICS_GAUGE, "seconds",
	       "Start time of the daemon since the Unix epoch.", view_boot_to_wall_s() + (double)a->started_ms / 1000);
	if (f && fscanf(f, "%lu %lu", &size, &resident) == 2)
		single(m, "process_resident_memory_bytes", METRICS_GAUGE, "bytes", "Resident memory of the daemon.",
		       (double)resident * (double)sysconf(_SC_PAGESIZE));
	if (dir) {
		while (readdir(dir))
			fds++;
		closedir(dir);
		single(m, "process_open_fds", METRICS_GAUGE, NULL, "Open file descriptors of the daemon.", fds - 3);
	}
	if (getrusage(RUSAGE_SELF, &usage) == 0)
		single(m, "process_cpu_seconds", METRICS_COUNTER, "seconds", "Processor time of the daemon.",
		       (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
			       (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6);
}

void view_metrics_handle(void *arg, const struct api_request *request, struct api_reply *reply)
{
	const struct agent *a = arg;
	struct metrics m;

	metrics_init(&m, request->accept);
	reply->content_type = metrics_content_type(&m);
	metrics_family(&m, "isthmus_build", METRICS_INFO, NULL, "Version of the daemon.");
	labelled(&m, "version", ISTHMUS_VERSION, 1);
	single(&m, "isthmus_degraded", METRICS_GAUGE, NULL, "1 while `isthmus status` says DEGRADED.",
	       agent_is_degraded(a));
	expose_config(&m, a);
	if (a->dp)
		expose_datapath(&m, a->dp);
	if (a->bgp && a->bgp->speaker) {
		expose_bgp(&m, a->bgp);
		expose_sessions(&m, a->bgp);
	}
	view_expose_secure(&m, a);
	single(&m, "isthmus_config_generation", METRICS_GAUGE, NULL, "Configurations applied since the daemon started.",
	       (double)a->generation);
	single(&m, "isthmus_config_applied_timestamp_seconds", METRICS_GAUGE, "seconds",
	       "When a configuration was last applied.",
	       a->applied_ms ? view_boot_to_wall_s() + (double)a->applied_ms / 1000 : 0);
	metrics_family(&m, "isthmus_changes", METRICS_COUNTER, NULL,
		       "Changes asked for through the API, by what became of them.");
	labelled(&m, "result", "done", (double)a->changes.done);
	labelled(&m, "result", "refused", (double)a->changes.refused);
	single(&m, "isthmus_change_duration_seconds", METRICS_GAUGE, "seconds", "How long the last change took.",
	       (double)a->changes.last_us / 1e6);
	single(&m, "isthmus_repairs", METRICS_COUNTER, NULL,
	       "Drift between intent and kernel that was found and mended.", (double)a->repairs);
	expose_process(&m, a);
	reply->body = metrics_take(&m, &reply->body_size);
	if (!reply->body)
		api_reply_error(reply, 500, "IST-5000", NULL, NULL, "out of memory");
}
