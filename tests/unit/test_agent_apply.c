/* SPDX-License-Identifier: Apache-2.0 */
/* Transactions of the agent as a whole: a configuration, a port more or less; whole or not at all. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent_rig.h"

/* ---- transactions ---- */

static void applying_the_same_again_does_nothing(void **state)
{
	struct rig *g = *state;
	struct outcome o;

	plug("web1");
	assert_int_equal(start(g), 0);
	assert_true(web1_is_up(g));
	o = apply(g, base, "", false);
	assert_int_equal(o.r, 0);
	assert_int_equal(o.steps, 0);
	assert_int_equal(datapath_audit(g->agent->dp, 65536), 0);
}

static void dry_run_tells_the_steps_and_changes_nothing(void **state)
{
	struct rig *g = *state;
	struct held before, after;
	struct outcome dry, done;

	assert_int_equal(start(g), 0);
	before = look(g);
	dry = apply(g, base, more, true);
	assert_int_equal(dry.r, 0);
	assert_true(dry.steps > 0);
	after = look(g);
	assert_true(held_equal(&before, &after));
	assert_null(config_port(g->agent->config, "web3"));
	assert_int_equal(apply(g, base, "", false).steps, 0);
	done = apply(g, base, more, false);
	assert_int_equal(done.r, 0);
	assert_int_equal(done.steps, dry.steps);
	after = look(g);
	assert_false(held_equal(&before, &after));
}

static void whatever_step_fails_all_before_it_are_undone(void **state)
{
	struct rig *g = *state;
	struct held before, after;
	long failures = 0;

	plug("web1");
	plug("blue2");
	assert_int_equal(start(g), 0);
	before = look(g);
	for (long at = 0;; at++) {
		struct outcome o;

		fail_at = at;
		o = apply(g, base, more, false);
		if (o.r == 0)
			break;
		failures++;
		assert_int_equal(o.r, -ENOSPC);
		assert_non_null(strstr(o.why, "undone"));
		after = look(g);
		assert_true(held_equal(&before, &after));
		assert_null(config_port(g->agent->config, "blue2"));
		assert_int_equal(run("tc filter show dev blue2 ingress | grep -q port_ingress"), 256);
	}
	fail_at = -1;
	assert_true(failures >= 8);
	assert_int_equal(port_state(g, "blue2"), AGENT_PORT_UP);
	assert_int_equal(apply(g, base, more, false).steps, 0);
	assert_int_equal(apply(g, base, "", false).r, 0);
	after = look(g);
	assert_true(held_equal(&before, &after));
}

static void table_without_room_is_named_before_anything_is_written(void **state)
{
	struct rig *g = *state;
	struct held before, after;
	struct outcome o;

	assert_int_equal(start(g), 0);
	before = look(g);
	room = table_length(g->agent->dp, FWD_HOST);
	o = apply(g, base, more, false);
	assert_int_equal(o.r, -ENOSPC);
	assert_non_null(strstr(o.why, "table of hosts"));
	after = look(g);
	assert_true(held_equal(&before, &after));
	room = 0;
	assert_int_equal(apply(g, base, more, false).r, 0);

	/* Exactly as much as is needed is enough, and one less is not. */
	room = table_length(g->agent->dp, FWD_HOST);
	assert_int_equal(apply(g, base, "", false).r, 0);
	assert_true(table_length(g->agent->dp, FWD_HOST) < room);
	room--;
	assert_int_equal(apply(g, base, more, false).r, -ENOSPC);
	room++;
	assert_int_equal(apply(g, base, more, false).r, 0);
	assert_int_equal(table_length(g->agent->dp, FWD_HOST), room);
}

static void wrong_configuration_leaves_the_running_one(void **state)
{
	struct rig *g = *state;

	assert_int_equal(start(g), 0);
	assert_int_equal(apply(g, base, "  web1: {}\n", false).r, -EINVAL);
	assert_int_equal(apply(g, "version: 2\n", "", false).r, -EINVAL);
	assert_int_equal(apply(g, base, "", false).steps, 0);
	assert_false(g->agent->degraded[0]);
}

static void configuration_without_this_node_names_those_it_has(void **state)
{
	struct rig *g = *state;

	g->options.node = "dc9";
	assert_int_equal(start(g), -EINVAL);
	assert_int_not_equal(access(g->bpf, F_OK), 0);
}

/* ---- ports at run time ---- */

static void port_added_the_short_way_is_as_one_of_the_file(void **state)
{
	struct rig *g = *state;
	struct held before, after;

	plug("web1");
	plug("web4");
	assert_int_equal(start(g), 0);
	before = look(g);
	assert_true(port_add(g, web4, true).steps > 0);
	after = look(g);
	assert_true(held_equal(&before, &after));
	assert_int_equal(port_add(g, web4, false).r, 0);
	assert_int_equal(port_state(g, "web4"), AGENT_PORT_UP);
	assert_int_equal(apply(g, base, "", false).steps, 0); /* the whole way finds nothing to add */
	assert_int_equal(port_add(g, web4, false).steps, 0);
	assert_int_equal(port_del(g, "web4", true).r, 0);
	assert_int_equal(apply(g, base, "", false).steps, 0);
	assert_int_equal(port_del(g, "web4", false).r, 0);
	after = look(g);
	assert_true(held_equal(&before, &after));
	assert_int_equal(apply(g, base, "", false).steps, 0);
	assert_int_equal(run("tc filter show dev web4 ingress | grep -q port_ingress"), 256);
	assert_int_equal(port_del(g, "web4", false).r, -ENOENT);
	assert_int_equal(port_del(g, "web1", false).r, -EPERM);
}

static void port_that_cannot_be_added_is_undone(void **state)
{
	struct rig *g = *state;
	struct held before, after;
	long failures = 0;

	plug("web4");
	assert_int_equal(start(g), 0);
	before = look(g);
	for (long at = 0;; at++, failures++) {
		fail_at = at;
		if (port_add(g, web4, false).r == 0)
			break;
		after = look(g);
		assert_true(held_equal(&before, &after));
		assert_int_equal(apply(g, base, "", true).steps, 0);
	}
	fail_at = -1;
	assert_true(failures >= 4);
}

static void gateway_of_another_network_is_no_address_of_a_new_port(void **state)
{
	static const char text[] =
		"version: 1\n"
		"fabric: {encryption: never}\n"
		"sites: {dc: {}}\n"
		"nodes: {dc1: {site: dc, underlay: 192.0.2.11}, aws1: {site: dc, underlay: 192.0.2.21}}\n"
		"tenants:\n"
		"  red:\n"
		"    vni: 5000\n"
		"    networks:\n"
		"      web: {mode: l2, vni: 5001, subnets: [10.0.1.0/24], gateway: [10.0.1.1]}\n"
		"      bare: {mode: l2, vni: 5002}\n"
		"ports:\n"
		"  b1: {node: aws1, interface: b1, network: red/bare, mac: \"02:00:00:00:00:61\"}\n";
	static const char port[] =
		"  b2: {node: aws1, interface: b2, network: red/bare, mac: \"02:00:00:00:00:62\", addresses: [10.0.1.1]}\n";
	struct rig *g = *state;
	char added[256];

	snprintf(added, sizeof(added), "ports:\n%s", port);
	assert_int_equal(start(g), 0);
	assert_int_equal(apply(g, text, "", false).r, 0);
	assert_int_equal(apply(g, text, port, true).r, -EINVAL);
	assert_int_equal(port_add(g, added, true).r, -EINVAL);
	assert_int_equal(port_add(g, added, false).r, -EINVAL);
	assert_null(config_port(g->agent->config, "b2"));
}

/* The base's, with other VNIs and tenants. */
static const char *changed(unsigned red_web, unsigned blue_web, const char *second)
{
	static char text[2048];

	snprintf(text, sizeof(text),
		 "version: 1\nfabric: {encryption: never}\nsites: {dc: {}, aws: {}}\n"
		 "nodes: {dc1: {site: dc, underlay: 192.0.2.11}, aws1: {site: aws, underlay: 192.0.2.21}}\n"
		 "tenants:\n"
		 "  red: {vni: 5000, networks: {web: {mode: l2, vni: %u, subnets: [10.0.1.0/24], gateway: [10.0.1.1]}, "
		 "app: {mode: l3, subnets: [10.0.2.0/24]}}}\n"
		 "  %s: {vni: 6000, networks: {web: {mode: l2, vni: %u, subnets: [10.0.1.0/24]}}}\n"
		 "ports: {web1: {node: dc1, interface: web1, network: red/web, mac: \"02:00:00:00:00:01\"}}\n",
		 red_web, second, blue_web);
	return text;
}

static void a_vni_does_not_change_hands_in_one_step(void **state)
{
	struct rig *g = *state;
	struct held before, after;
	struct outcome o;

	assert_int_equal(start(g), 0);
	before = look(g);
	for (int dry = 0; dry < 2; dry++) {
		o = apply(g, changed(6001, 5001, "blue"), "", dry);
		assert_int_equal(o.r, -EINVAL);
		assert_non_null(strstr(o.why, "VNI 5001 is that of red/web (tenant red)"));
	}
	assert_int_equal(apply(g, changed(6001, 6002, "blue"), "", false).r, -EINVAL); /* taken, though given up */
	after = look(g);
	assert_true(held_equal(&before, &after));
	assert_true(apply(g, changed(5002, 6001, "azure"), "", false).r >= 0); /* another name, another VNI of its own */
	assert_true(apply(g, changed(5001, 6001, "azure"), "", false).r >= 0); /* nobody's in between */
	assert_int_equal(apply(g, changed(5001, 5002, "azure"), "", false).r, 0); /* free since */
	assert_int_equal(apply(g, changed(6001, 5002, "azure"), "", false).r, 0);
}

static void clashes_of_new_ports_are_refused(void **state)
{
	static const char *const wrong[] = {
		"ports: {x: {node: dc1, interface: x, network: red/web, mac: \"02:00:00:00:00:02\", addresses: "
		"[10.0.1.50]}}",
		"ports: {x: {node: dc1, interface: x, network: red/web, mac: \"02:00:00:00:00:50\", addresses: "
		"[10.0.1.12]}}",
		"ports: {x: {node: dc1, interface: x, network: red/web, mac: \"02:00:00:00:00:50\", addresses: "
		"[10.0.1.1]}}",
		"ports: {x: {node: dc1, interface: x, network: red/web, mac: \"02:00:00:00:00:50\", addresses: "
		"[10.9.1.1]}}",
		"ports: {x: {node: dc1, interface: web1, network: red/web, mac: \"02:00:00:00:00:50\", addresses: "
		"[10.0.1.50]}}",
		"ports: {web1: {node: dc1, interface: x, network: red/web, mac: \"02:00:00:00:00:50\", addresses: "
		"[10.0.1.50]}}",
		"ports: {x: {node: dc1, interface: x, network: red/nowhere, mac: \"02:00:00:00:00:50\", addresses: "
		"[10.0.1.50]}}",
		"ports: {x: {node: dc1, interface: x, network: red/web, mac: \"02:00:00:00:00:50\", addresses: "
		"[10.0.1.44]}}",
	};
	struct rig *g = *state;

	assert_int_equal(start(g), 0);
	assert_int_equal(port_add(g, web4, false).r, 0);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct outcome o = port_add(g, wrong[i], false);

		if (o.r != -EINVAL || !o.why[0])
			fail_msg("%s: %d %s", wrong[i], o.r, o.why);
	}
	assert_int_equal(apply(g, base, "", false).steps, 0);
}

static struct outcome add_numbered(struct rig *g, const char *prefix, size_t i)
{
	char text[320];

	snprintf(text, sizeof(text),
		 "ports: {%s%zu: {node: aws1, interface: n%zu, network: red/web, mac: \"02:00:00:00:00:%02zx\", "
		 "addresses: [10.0.1.%zu]}}",
		 prefix, i, i, 0x50 + i, 50 + i);
	return port_add(g, text, false);
}

static void what_was_added_at_run_time_can_be_applied_and_read_again(void **state)
{
	static const char *const prefixes[] = {
		"n", /* the values run out first */
		"a-name-that-makes-the-line-so-long-that-the-bytes-run-out-", /* ... and here the bytes */
	};
	struct rig *g = *state;
	char name[64];

	g->options.config_max = 12288;
	for (size_t row = 0; row < sizeof(prefixes) / sizeof(prefixes[0]); row++) {
		size_t n = 0, entries;
		struct outcome o;

		assert_int_equal(start(g), 0);
		while (n < 150 && (o = add_numbered(g, prefixes[row], n)).r == 0)
			n++;
		assert_true(n > 40 && n < 100);
		assert_int_equal(o.r, -EINVAL);
		if (!strstr(o.why, "more than a restart would read again") || !strstr(o.why, "--max-config"))
			fail_msg("after %zu: %s", n, o.why);
		entries = table_length(g->agent->dp, FWD_HOST);
		o = apply(g, base, "# again\n", false);
		if (o.r != 0 || o.steps != 0)
			fail_msg("%d, %zu steps: %s", o.r, o.steps, o.why);
		stop(g);
		assert_int_equal(start(g), 0);
		assert_null(g->agent->degraded[0]);
		assert_int_equal(table_length(g->agent->dp, FWD_HOST), entries);
		assert_int_equal(g->agent->config->n_runtime, n);
		snprintf(name, sizeof(name), "%s0", prefixes[row]);
		assert_int_equal(port_del(g, name, false).r, 0); /* one fewer makes room for one */
		assert_int_equal(add_numbered(g, prefixes[row], 0).r, 0);
		for (size_t i = 0; i < n; i++) {
			snprintf(name, sizeof(name), "%s%zu", prefixes[row], i);
			assert_int_equal(port_del(g, name, false).r, 0);
		}
		stop(g);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		AGENT_TEST(applying_the_same_again_does_nothing),
		AGENT_TEST(dry_run_tells_the_steps_and_changes_nothing),
		AGENT_TEST(whatever_step_fails_all_before_it_are_undone),
		AGENT_TEST(table_without_room_is_named_before_anything_is_written),
		AGENT_TEST(wrong_configuration_leaves_the_running_one),
		AGENT_TEST(configuration_without_this_node_names_those_it_has),
		AGENT_TEST(port_added_the_short_way_is_as_one_of_the_file),
		AGENT_TEST(port_that_cannot_be_added_is_undone),
		AGENT_TEST(gateway_of_another_network_is_no_address_of_a_new_port),
		AGENT_TEST(a_vni_does_not_change_hands_in_one_step),
		AGENT_TEST(clashes_of_new_ports_are_refused),
		AGENT_TEST(what_was_added_at_run_time_can_be_applied_and_read_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
