/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-daemon.h>
#include <time.h>
#include <unistd.h>

#include "agent/agent.h"
#include "agent/notify.h"
#include "agent/once.h"
#include "agent/port.h"
#include "conf/conf.h"
#include "lib/cleanup.h"
#include "lib/log.h"

#define STATUS_PERIOD_MS 1000

static const char usage[] =
	"usage: isthmusd [options]\n"
	"\n"
	"Examples:\n"
	"  isthmusd                                     as /etc/isthmus/isthmus.yaml says\n"
	"  isthmusd --node dc1 --config fabric.yaml     as the node dc1 of another file\n"
	"  isthmusd --check fabric.yaml                 only look for errors\n"
	"  isthmusd --teardown                          remove the data plane\n"
	"\n"
	"  --node NAME       this node in the configuration [the host's name]\n"
	"  --config FILE     [/etc/isthmus/isthmus.yaml]\n"
	"  --run-dir DIR     socket and lock [/run/isthmus]\n"
	"  --state-dir DIR   what was applied last [/var/lib/isthmus]\n"
	"  --bpf-dir DIR     pinned maps and programs [/sys/fs/bpf/isthmus]\n"
	"  --max-config MIB  largest configuration that is read [8]\n"
	"  --log-level WORD  error, warning, info or debug [info]\n"
	"  --check FILE      say what is wrong with a configuration, and end\n"
	"  --teardown        remove programs, maps, settings and run-time files, and end\n"
	"  --purge           with --teardown: also the state directory\n"
	"  --offline PATH    answer one GET of the API from pins and snapshot, and end\n"
	"  --no-sandbox      keep all rights, for debugging; the node is degraded\n"
	"  --version, --help\n";

enum {
	OPTION_NODE = 256,
	OPTION_CONFIG,
	OPTION_RUN_DIR,
	OPTION_STATE_DIR,
	OPTION_BPF_DIR,
	OPTION_MAX_CONFIG,
	OPTION_LOG_LEVEL,
	OPTION_CHECK,
	OPTION_TEARDOWN,
	OPTION_PURGE,
	OPTION_OFFLINE,
	OPTION_NO_SANDBOX,
	OPTION_VERSION
};

static const struct option long_options[] = {
	{"node", required_argument, NULL, OPTION_NODE},
	{"config", required_argument, NULL, OPTION_CONFIG},
	{"run-dir", required_argument, NULL, OPTION_RUN_DIR},
	{"state-dir", required_argument, NULL, OPTION_STATE_DIR},
	{"bpf-dir", required_argument, NULL, OPTION_BPF_DIR},
	{"max-config", required_argument, NULL, OPTION_MAX_CONFIG},
	{"log-level", required_argument, NULL, OPTION_LOG_LEVEL},
	{"check", required_argument, NULL, OPTION_CHECK},
	{"teardown", no_argument, NULL, OPTION_TEARDOWN},
	{"purge", no_argument, NULL, OPTION_PURGE},
	{"offline", required_argument, NULL, OPTION_OFFLINE},
	{"no-sandbox", no_argument, NULL, OPTION_NO_SANDBOX},
	{"version", no_argument, NULL, OPTION_VERSION},
	{"help", no_argument, NULL, 'h'},
	{0},
};

struct invocation {
	struct agent_options options;
	char host[256];
	const char *check, *offline;
	bool teardown, purge, done;
};

static int set_log_level(const char *word)
{
	static const char *const words[LOG_LEVEL_MAX] = {"error", "warning", "info", "debug"};

	for (unsigned i = 0; i < LOG_LEVEL_MAX; i++)
		if (strcmp(word, words[i]) == 0) {
			log_set_level(i);
			return 0;
		}
	fprintf(stderr, "isthmusd: --log-level %s: expected error, warning, info or debug\n", word);
	return -EINVAL;
}

static int take_option(struct invocation *v, int option)
{
	switch (option) {
	case OPTION_NODE:
		v->options.node = optarg;
		return 0;
	case OPTION_CONFIG:
		v->options.config_path = optarg;
		return 0;
	case OPTION_RUN_DIR:
		v->options.run_dir = optarg;
		return 0;
	case OPTION_STATE_DIR:
		v->options.state_dir = optarg;
		return 0;
	case OPTION_BPF_DIR:
		v->options.bpf_dir = optarg;
		return 0;
	case OPTION_MAX_CONFIG:
		v->options.config_max = conf_text_max(optarg);
		if (v->options.config_max)
			return 0;
		fprintf(stderr, "isthmusd: --max-config %s: expected MiB from %zu to %d\n", optarg, CONF_TEXT_MAX >> 20,
			CONF_TEXT_MAX_MIB);
		return -EINVAL;
	case OPTION_LOG_LEVEL:
		return set_log_level(optarg);
	case OPTION_CHECK:
		v->check = optarg;
		return 0;
	case OPTION_TEARDOWN:
		v->teardown = true;
		return 0;
	case OPTION_PURGE:
		v->purge = true;
		return 0;
	case OPTION_OFFLINE:
		v->offline = optarg;
		return 0;
	case OPTION_NO_SANDBOX:
		v->options.no_sandbox = true;
		return 0;
	case OPTION_VERSION:
		printf("isthmusd %s\n", ISTHMUS_VERSION);
		v->done = true;
		return 0;
	case 'h':
		fputs(usage, stdout);
		v->done = true;
		return 0;
	}
	fputs("isthmusd: isthmusd --help lists the options\n", stderr);
	return -EINVAL;
}

/* A node is called like its host, without the domain. */
static const char *host_name(struct invocation *v)
{
	if (gethostname(v->host, sizeof(v->host) - 1) < 0)
		return "localhost";
	v->host[strcspn(v->host, ".")] = 0;
	return v->host;
}

static int parse(int argc, char **argv, struct invocation *v)
{
	int option;

	*v = (struct invocation){.options = {.config_path = "/etc/isthmus/isthmus.yaml", .run_dir = "/run/isthmus",
					     .state_dir = "/var/lib/isthmus", .bpf_dir = "/sys/fs/bpf/isthmus"}};
	v->options.node = host_name(v);
	while (!v->done && (option = getopt_long(argc, argv, "h", long_options, NULL)) != -1)
		if (take_option(v, option) < 0)
			return -EINVAL;
	if (v->done)
		return 0;
	if (optind < argc) {
		fprintf(stderr, "isthmusd: \"%s\" is not an option; isthmusd --help lists them\n", argv[optind]);
		return -EINVAL;
	}
	if (v->purge && !v->teardown) {
		fputs("isthmusd: --purge goes with --teardown\n", stderr);
		return -EINVAL;
	}
	return 0;
}

/* ---- the daemon ---- */

struct service {
	struct loop *loop;
	struct agent *agent;
	struct loop_timer *timer;
	uint64_t period_ms;
	bool watched;
	struct notify *notify;
	char told[160]; /* STATUS= that systemd knows */
};

static void tell_status(struct service *s)
{
	const struct agent *a = s->agent;
	char text[sizeof(s->told)];
	size_t count[AGENT_PORT_STATE_MAX] = {0}, up, ports;

	ports_count(a, count);
	up = count[AGENT_PORT_UP];
	ports = config_n_ports(a->config) - count[AGENT_PORT_REMOTE];
	snprintf(text, sizeof(text), "%s: %zu of %zu ports up, generation %" PRIu64 "%s%s", a->self->name, up, ports,
		 a->generation, a->degraded[0] ? "; degraded: " : "", a->degraded[0] ? a->degraded[0] : "");
	if (strcmp(text, s->told) == 0)
		return;
	memcpy(s->told, text, sizeof(text));
	notify_send(s->notify, "STATUS=%s", text);
}

/* sd_watchdog_enabled(3): a word at half of the time. */
static void set_period(struct service *s)
{
	uint64_t watchdog_us = 0;

	s->watched = sd_watchdog_enabled(0, &watchdog_us) > 0;
	s->period_ms = STATUS_PERIOD_MS;
	if (s->watched && watchdog_us / 2000 < s->period_ms)
		s->period_ms = watchdog_us / 2000 ? watchdog_us / 2000 : 1;
}

/* The watchdog is fed from the loop that does the work: when that hangs, so does this. */
static void on_timer(void *arg)
{
	struct service *s = arg;

	if (s->watched)
		notify_send(s->notify, "WATCHDOG=1");
	notify_again(s->notify);
	log_flush();
	tell_status(s);
	loop_timer_set(s->loop, s->timer, loop_now_ms(s->loop) + s->period_ms);
}

static void reload(struct service *s)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	notify_send(s->notify, "RELOADING=1\nMONOTONIC_USEC=%" PRIu64,
		    (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000);
	agent_reload(s->agent);
	tell_status(s);
	notify_send(s->notify, "READY=1");
}

static void on_signal(void *arg, int signo)
{
	struct service *s = arg;

	if (signo == SIGHUP) {
		reload(s);
		return;
	}
	log_info("%s: ending; the data plane goes on without the daemon (isthmusd --teardown removes it)",
		 strsignal(signo));
	notify_send(s->notify, "STOPPING=1");
	loop_stop(s->loop, 0);
}

DEFINE_CLEANUP(agent, struct agent *, agent_close)
DEFINE_CLEANUP(loop, struct loop *, loop_free)

static void cleanup_notify(struct notify *n)
{
	notify_close(n);
}

static int serve(const struct agent_options *options)
{
	static const int signals[] = {SIGHUP, SIGTERM, SIGINT, 0};
	_cleanup_(loop) struct loop *loop = NULL;
	_cleanup_(agent) struct agent *agent = NULL;
	_cleanup_(notify) struct notify notify = {.fd = -1};
	struct service service = {.notify = &notify};
	int r = loop_new(&loop);

	/* Signals first: one that comes while the data plane is being made waits until it is whole. */
	service.loop = loop;
	if (r == 0)
		r = loop_signals_add(loop, signals, on_signal, &service);
	if (r < 0) {
		log_error("starting: %s", strerror(-r));
		return 1;
	}
	r = notify_open(&notify);
	if (r < 0)
		log_warning("NOTIFY_SOCKET: %s; the service manager is not told anything", strerror(-r));
	r = agent_open(options, loop, &agent);
	if (r < 0)
		return r == -EINVAL ? 2 : 1;
	service.agent = agent;
	r = loop_timer_add(loop, on_timer, &service, &service.timer);
	if (r < 0)
		return 1;
	set_period(&service);
	loop_timer_set(loop, service.timer, loop_now_ms(loop) + service.period_ms);
	tell_status(&service);
	notify_send(&notify, "READY=1\nMAINPID=%d", getpid());
	log_info("node %s: ready", options->node);
	return loop_run(loop) == 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
	struct invocation v;

	signal(SIGPIPE, SIG_IGN);
	if (parse(argc, argv, &v) < 0)
		return 2;
	if (v.done)
		return 0;
	if (v.check)
		return once_check(v.check, v.options.config_max);
	if (v.teardown)
		return once_teardown(&v.options, v.purge);
	if (v.offline)
		return once_offline(&v.options, v.offline);
	return serve(&v.options);
}
