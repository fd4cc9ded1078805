/* SPDX-License-Identifier: Apache-2.0 */
/* What a start finds: snapshot, file, run-time ports, another daemon; and what it does when they cannot be used. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/doctor.h"
#include "agent/snapshot.h"
#include "lib/log.h"

#include "agent_rig.h"

static bool ports_are_refused(struct rig *g)
{
	return g->agent->degraded[0] && strstr(g->agent->degraded[0], "ports.yaml.refused");
}

static bool no_port_is_held(struct rig *g)
{
	return table_length(g->agent->dp, FWD_PORT) == 0;
}

/* ---- restarts ---- */

static void restart_finds_what_was_applied_and_added(void **state)
{
	struct rig *g = *state;
	struct held before, after;

	plug("web1");
	assert_int_equal(start(g), 0);
	assert_int_equal(apply(g, base, more, false).r, 0);
	assert_int_equal(port_add(g, web4, false).r, 0);
	before = look(g);
	stop(g);
	assert_int_equal(start(g), 0);
	assert_true(datapath_adopted(g->agent->dp));
	after = look(g);
	assert_true(held_equal(&before, &after));
	assert_true(config_port(g->agent->config, "web4")->runtime);
	assert_false(config_port(g->agent->config, "web3")->runtime);
	assert_null(g->agent->degraded[0]);
}

static void edited_file_takes_the_place_of_the_snapshot(void **state)
{
	struct rig *g = *state;

	assert_int_equal(start(g), 0);
	assert_int_equal(apply(g, base, more, false).r, 0);
	stop(g);
	write_config(g, base, "# edited\n");
	assert_int_equal(start(g), 0);
	assert_null(config_port(g->agent->config, "web3"));
}

static void broken_file_leads_to_the_snapshot_and_a_reason(void **state)
{
	struct rig *g = *state;

	assert_int_equal(start(g), 0);
	assert_int_equal(apply(g, base, more, false).r, 0);
	stop(g);
	write_config(g, "version: [", "");
	assert_int_equal(start(g), 0);
	assert_non_null(config_port(g->agent->config, "web3"));
	assert_non_null(strstr(g->agent->degraded[0], "configuration file"));
	write_config(g, base, "");
	assert_int_equal(agent_reload(g->agent), 0);
	assert_null(g->agent->degraded[0]);
	stop(g);
	unlink(g->config);
	assert_int_equal(start(g), 0);
	assert_non_null(strstr(g->agent->degraded[0], "No such file"));
}

static void nothing_to_start_from_touches_nothing(void **state)
{
	struct rig *g = *state;

	unlink(g->config);
	assert_int_equal(start(g), -EINVAL);
	assert_int_not_equal(access(g->bpf, F_OK), 0);
	write_config(g, "version: 1\nnodse: {}\n", "");
	stop(g);
	assert_int_equal(start(g), -EINVAL);
	assert_int_not_equal(access(g->bpf, F_OK), 0);
}

static void run_time_ports_that_do_not_fit_any_more_are_kept_aside(void **state)
{
	struct rig *g = *state;
	char path[160];

	assert_int_equal(start(g), 0);
	assert_int_equal(port_add(g, web4, false).r, 0);
	stop(g);
	write_config(g, base,
		     "  other: {node: dc1, interface: web4, network: red/web, mac: \"02:00:00:00:00:45\", addresses: "
		     "[10.0.1.45]}\n");
	assert_int_equal(start(g), 0);
	assert_null(config_port(g->agent->config, "web4"));
	assert_non_null(strstr(g->agent->degraded[0], "ports.yaml.refused"));
	snprintf(path, sizeof(path), "%s/ports.yaml.refused", g->state);
	assert_int_equal(access(path, F_OK), 0);
}

/* The disk, memory or descriptors of a moment say nothing of what is in the file. */
static void run_time_ports_that_cannot_be_read_are_kept_until_they_can(void **state)
{
	static const char web5[] = "ports: {web5: {node: dc1, interface: web5, network: red/web, mac: "
				   "\"02:00:00:00:00:55\", addresses: [10.0.1.55]}}";
	static const int errors[] = {-EIO, -EINTR, -ENOMEM, -EMFILE, -EACCES};
	struct rig *g = *state;
	char path[160], aside[160], *text;
	size_t size;

	plug("web1");
	plug("web4");
	snprintf(path, sizeof(path), "%s/ports.yaml", g->state);
	snprintf(aside, sizeof(aside), "%s/ports.yaml.refused", g->state);
	assert_int_equal(start(g), 0);
	assert_int_equal(port_add(g, web4, false).r, 0);
	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		struct held before = look(g), after;

		stop(g);
		no_ports = errors[i]; /* for a moment: nobody need know */
		no_ports_times = 2;
		assert_int_equal(start(g), 0);
		assert_null(g->agent->degraded[0]);
		assert_non_null(config_port(g->agent->config, "web4"));
		stop(g);
		no_ports_times = UINT_MAX;
		assert_int_equal(start(g), 0);
		assert_non_null(strstr(g->agent->degraded[0], "could not be read"));
		assert_int_equal(port_state(g, "web1"), AGENT_PORT_UP);
		assert_null(config_port(g->agent->config, "web4"));
		after = look(g); /* it goes on being served */
		assert_true(held_equal(&before, &after));
		assert_int_equal(run("tc filter show dev web4 ingress | grep -q port_ingress"), 0);
		assert_int_equal(port_add(g, web5, false).r, 0);
		assert_non_null(agent_unsaved(g->agent));
		assert_int_equal(apply(g, base, "", false).r, 0);
		for (uint64_t end = now_ms() + 1500; now_ms() < end;)
			loop_step(g->loop, 20);
		after = look(g);
		assert_true(after.length > before.length);
		assert_int_equal(__real_file_read(path, 65536, &text, &size), 0);
		assert_non_null(strstr(text, "web4"));
		assert_null(strstr(text, "web5"));
		free(text);
		no_ports = 0;
		assert_true(wait_until(g, is_whole));
		assert_int_equal(port_state(g, "web4"), AGENT_PORT_UP);
		assert_non_null(config_port(g->agent->config, "web5"));
		assert_null(agent_unsaved(g->agent));
		assert_int_equal(__real_file_read(path, 65536, &text, &size), 0);
		assert_non_null(strstr(text, "web4"));
		assert_non_null(strstr(text, "web5"));
		free(text);
		assert_int_equal(access(aside, F_OK), -1);
		assert_int_equal(port_del(g, "web5", false).r, 0);
		after = look(g);
		assert_true(held_equal(&before, &after));
	}
}

/* What was of use to nobody goes when it is known that it is of none. */
static void what_is_read_late_and_refused_goes_with_its_entries(void **state)
{
	struct rig *g = *state;
	char path[160];
	FILE *f;

	plug("web4");
	assert_int_equal(start(g), 0);
	assert_int_equal(port_add(g, web4, false).r, 0);
	assert_int_equal(table_length(g->agent->dp, FWD_PORT), 1);
	stop(g);
	no_ports = -EIO;
	no_ports_times = UINT_MAX;
	assert_int_equal(start(g), 0);
	assert_int_equal(table_length(g->agent->dp, FWD_PORT), 1);
	snprintf(path, sizeof(path), "%s/ports.yaml", g->state);
	f = fopen(path, "w");
	fputs("ports: [", f);
	fclose(f);
	no_ports = 0;
	assert_true(wait_until(g, ports_are_refused));
	assert_true(wait_until(g, no_port_is_held));
	assert_int_equal(run("tc filter show dev web4 ingress | grep -q port_ingress"), 256);
}

static void turn_for(struct rig *g, uint64_t ms)
{
	for (uint64_t end = now_ms() + ms; now_ms() < end;)
		loop_step(g->loop, 20);
}

static void assert_saved(const struct rig *g, const char *name, const char *word, bool there)
{
	char path[192], *text;
	size_t size;

	snprintf(path, sizeof(path), "%s/%s", g->state, name);
	assert_int_equal(__real_file_read(path, 65536, &text, &size), 0);
	if ((strstr(text, word) != NULL) != there)
		fail_msg("%s: %s is%s there", name, word, there ? " not" : "");
	free(text);
}

static void assert_not_set_aside(const struct rig *g, const char *name)
{
	char path[192];

	snprintf(path, sizeof(path), "%s/%s.refused", g->state, name);
	assert_int_equal(access(path, F_OK), -1);
}

/* It lies in a network that only what was applied has. */
static const char dev1[] = "ports: {dev1: {node: dc1, interface: dev1, network: red/dev, mac: \"02:00:00:00:00:70\", "
			   "addresses: [10.7.0.1]}}";

static char *with_dev(void)
{
	static const char mark[] = "      app: {mode: l3, subnets: [10.0.2.0/24]}\n";
	const char *at = strstr(base, mark);
	char *text = NULL;

	assert_non_null(at);
	assert_true(asprintf(&text, "%.*s      dev: {mode: l2, vni: 5003, subnets: [10.7.0.0/24]}\n%s%s", (int)(at - base),
			     base, at, more) > 0);
	return text;
}

static void what_was_applied_and_cannot_be_read_is_kept_until_it_can(void **state)
{
	static const int errors[] = {-EIO, -EINTR, -ENOMEM, -EMFILE, -EACCES};
	struct rig *g = *state;
	char *text = with_dev();
	struct held before, after;

	plug("blue2");
	plug("dev1");
	assert_int_equal(start(g), 0);
	assert_int_equal(apply(g, text, "", false).r, 0);
	assert_int_equal(port_add(g, dev1, false).r, 0);
	before = look(g);
	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		stop(g);
		no_fabric = errors[i]; /* for a moment: nobody need know */
		no_fabric_times = 2;
		assert_int_equal(start(g), 0);
		assert_null(g->agent->degraded[0]);
		assert_non_null(config_port(g->agent->config, "blue2"));
		stop(g);
		no_fabric_times = UINT_MAX;
		assert_int_equal(start(g), 0);
		assert_true(agent_is_degraded(g->agent));
		assert_null(config_port(g->agent->config, "blue2")); /* it runs from the file */
		assert_non_null(config_port(g->agent->config, "web1"));
		after = look(g); /* and goes on serving */
		assert_true(held_equal(&before, &after));
		assert_int_equal(run("tc filter show dev blue2 ingress | grep -q port_ingress"), 0);
		turn_for(g, 1500);
		after = look(g);
		assert_true(held_equal(&before, &after));
		assert_non_null(agent_unsaved(g->agent));
		assert_saved(g, "fabric.yaml", "blue2", true);
		assert_saved(g, "ports.yaml", "dev1", true);
		assert_not_set_aside(g, "fabric.yaml");
		assert_not_set_aside(g, "ports.yaml");
		no_fabric = 0;
		assert_true(wait_until(g, is_whole));
		assert_int_equal(port_state(g, "blue2"), AGENT_PORT_UP);
		assert_int_equal(port_state(g, "dev1"), AGENT_PORT_UP);
		assert_null(agent_unsaved(g->agent));
		assert_saved(g, "fabric.yaml", "blue2", true);
		assert_saved(g, "ports.yaml", "dev1", true);
		turn_for(g, 1100);
		after = look(g);
		assert_true(held_equal(&before, &after));
	}
	free(text);
}

/* What is applied meanwhile is newer than what is read late; and so is a file that was edited. */
static void what_is_read_late_is_not_taken_for_newer_than_it_is(void **state)
{
	struct rig *g = *state;

	plug("blue2");
	for (int edited = 0; edited < 2; edited++) {
		write_config(g, base, "");
		assert_int_equal(start(g), 0);
		assert_int_equal(apply(g, base, more, false).r, 0);
		stop(g);
		if (edited)
			write_config(g, base, "# edited\n");
		no_fabric = -EIO;
		no_fabric_times = UINT_MAX;
		assert_int_equal(start(g), 0);
		assert_non_null(strstr(g->agent->degraded[0], "could not be read"));
		assert_int_equal(run("tc filter show dev blue2 ingress | grep -q port_ingress"), 0);
		if (!edited) {
			assert_int_equal(apply(g, base, "# newer\n", false).r, 0);
			assert_non_null(agent_unsaved(g->agent));
			assert_true(wait_until(g, no_port_is_held)); /* nobody wants it any more */
			assert_saved(g, "fabric.yaml", "blue2", true);
		}
		no_fabric = 0;
		assert_true(wait_until(g, is_whole));
		assert_true(wait_until(g, no_port_is_held));
		assert_null(config_port(g->agent->config, "blue2"));
		assert_null(agent_unsaved(g->agent));
		assert_saved(g, "fabric.yaml", edited ? "# edited" : "# newer", true);
		assert_not_set_aside(g, "fabric.yaml");
		stop(g);
	}
}

/* As often as it may happen: the first ones are never written over, and there is an end to it. */
static void what_was_set_aside_before_is_kept_beside(void **state)
{
	struct rig *g = *state;
	char path[192], name[64], text[64];

	for (size_t round = 0; round < 12; round++) {
		size_t slot = round < 9 ? round : 9;
		FILE *f;

		mkdir(g->state, 0700);
		snprintf(path, sizeof(path), "%s/ports.yaml", g->state);
		f = fopen(path, "w");
		assert_non_null(f);
		fprintf(f, "round %zu: [", round);
		fclose(f);
		assert_int_equal(start(g), 0);
		snprintf(name, sizeof(name), slot ? "ports.yaml.refused.%zu" : "ports.yaml.refused", slot);
		assert_non_null(strstr(g->agent->degraded[0], name));
		snprintf(text, sizeof(text), "beside %zu of earlier times", slot);
		assert_int_equal(strstr(g->agent->degraded[0], text) != NULL, slot > 0);
		assert_int_equal(strstr(g->agent->degraded[0], "move them away") != NULL, slot == 9);
		stop(g);
	}
	for (size_t slot = 0; slot <= 10; slot++) {
		FILE *f;

		snprintf(path, sizeof(path), slot ? "%s/ports.yaml.refused.%zu" : "%s/ports.yaml.refused", g->state, slot);
		f = fopen(path, "r");
		assert_int_equal(f != NULL, slot < 10);
		if (!f)
			break;
		snprintf(name, sizeof(name), "round %zu: [", slot < 9 ? slot : 11);
		assert_non_null(fgets(text, sizeof(text), f));
		assert_string_equal(text, name);
		fclose(f);
	}
}

static void state_directory_that_cannot_be_written_degrades(void **state)
{
	struct rig *g = *state;
	char inside[256];

	snprintf(inside, sizeof(inside), "%s/state", g->config); /* below a file */
	g->options.state_dir = inside;
	assert_int_equal(start(g), 0);
	assert_non_null(strstr(g->agent->degraded[0], "cannot be written"));
	assert_int_equal(apply(g, base, more, false).r, 0);
	assert_int_equal(unlink(g->config), 0); /* now it can */
	assert_true(wait_until(g, is_whole));
}

static void second_daemon_is_refused(void **state)
{
	struct rig *g = *state;
	struct agent *other = NULL;

	assert_int_equal(start(g), 0);
	log_set_file("/dev/null");
	assert_int_equal(agent_open(&g->options, g->loop, &other), -EBUSY);
	log_set_file(NULL);
	assert_null(other);
}

static void offline_answers_from_pins_and_snapshot(void **state)
{
	struct rig *g = *state;

	plug("web1");
	assert_int_equal(start(g), 0);
	assert_int_equal(apply(g, base, more, false).r, 0);
	stop(g);
	g->options.offline = true;
	assert_int_equal(start(g), 0);
	assert_non_null(config_port(g->agent->config, "web3"));
	assert_true(web1_is_up(g));
	assert_true(table_length(g->agent->dp, FWD_HOST) > 0);
}

static void note_warning(void *arg, const char *check, enum doctor_state state, const char *seen, const char *fix)
{
	if (strcmp(check, "sandbox") == 0 && state == DOCTOR_WARN)
		snprintf(arg, 256, "%s", seen);
}

static void doctor_warns_of_a_configuration_that_lies_among_much_else(void **state)
{
	struct rig *g = *state;
	char seen[256] = "", where[64];

	log_set_file("/dev/null");
	assert_int_equal(start(g), 0);
	doctor_run(g->agent, note_warning, seen);
	assert_string_equal(seen, "");
	stop(g);
	snprintf(where, sizeof(where), "/tmp/isthmus-unit-%d.yaml", (int)getpid());
	assert_int_equal(rename(g->config, where), 0);
	g->options.config_path = where;
	assert_int_equal(start(g), 0);
	doctor_run(g->agent, note_warning, seen);
	log_set_file(NULL);
	unlink(where);
	assert_non_null(strstr(seen, "lies in /tmp,"));
	assert_null(g->agent->degraded[0]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		AGENT_TEST(restart_finds_what_was_applied_and_added),
		AGENT_TEST(edited_file_takes_the_place_of_the_snapshot),
		AGENT_TEST(broken_file_leads_to_the_snapshot_and_a_reason),
		AGENT_TEST(nothing_to_start_from_touches_nothing),
		AGENT_TEST(run_time_ports_that_do_not_fit_any_more_are_kept_aside),
		AGENT_TEST(run_time_ports_that_cannot_be_read_are_kept_until_they_can),
		AGENT_TEST(what_is_read_late_and_refused_goes_with_its_entries),
		AGENT_TEST(what_was_applied_and_cannot_be_read_is_kept_until_it_can),
		AGENT_TEST(what_is_read_late_is_not_taken_for_newer_than_it_is),
		AGENT_TEST(what_was_set_aside_before_is_kept_beside),
		AGENT_TEST(state_directory_that_cannot_be_written_degrades),
		AGENT_TEST(second_daemon_is_refused),
		AGENT_TEST(offline_answers_from_pins_and_snapshot),
		AGENT_TEST(doctor_warns_of_a_configuration_that_lies_among_much_else),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
