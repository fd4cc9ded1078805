/* SPDX-License-Identifier: Apache-2.0 */
/* What the agent does when the world changes under it: interfaces that come and go, drift. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <bpf/bpf.h>

#include "bpf/abi.h"
#include "lib/log.h"

#include "agent_rig.h"

static bool web1_is_attached(struct rig *g)
{
	return run("tc filter show dev web1 egress | grep -q port_egress") == 0;
}

static bool web1_is_waiting(struct rig *g)
{
	return port_state(g, "web1") == AGENT_PORT_WAITING;
}

static bool bad_is_up(struct rig *g)
{
	return port_state(g, "bad") == AGENT_PORT_UP;
}

/* ---- interfaces ---- */

static bool settings_are_late;
static int too_early;

int __real_kern_port_guard(const struct kern *k, const char *name);
int __wrap_kern_port_guard(const struct kern *k, const char *name);
int __wrap_kern_port_guard(const struct kern *k, const char *name)
{
	too_early += settings_are_late;
	return settings_are_late ? -ENODEV : __real_kern_port_guard(k, name);
}

/* As after a rename: it is told of before there is anything under its name in /proc/sys, and nothing is told after. */
static void interface_whose_settings_come_late_is_tried_again(void **state)
{
	struct rig *g = *state;

	assert_int_equal(start(g), 0);
	settings_are_late = true;
	too_early = 0;
	plug("web1");
	for (uint64_t end = now_ms() + PATIENCE_MS; now_ms() < end && !too_early;)
		loop_step(g->loop, 20);
	for (int i = 0; i < 10; i++)
		loop_step(g->loop, 0); /* all that the kernel has told */
	settings_are_late = false;
	assert_true(too_early > 0);
	assert_true(web1_is_waiting(g));
	assert_true(wait_until(g, web1_is_up));
	assert_int_equal(table_length(g->agent->dp, FWD_PORT), 1);
}

static void waiting_port_comes_up_with_its_interface(void **state)
{
	struct rig *g = *state;

	assert_int_equal(start(g), 0);
	assert_true(web1_is_waiting(g));
	assert_true(agent_is_degraded(g->agent));
	plug("web1");
	assert_true(wait_until(g, web1_is_up));
	assert_int_equal(table_length(g->agent->dp, FWD_PORT), 1);
	assert_int_equal(run("tc filter show dev web1 ingress | grep -q port_ingress"), 0);
	assert_int_equal(run("test $(cat /proc/sys/net/ipv6/conf/web1/disable_ipv6) = 1"), 0);
	assert_int_equal(run("ip link delete web1"), 0);
	assert_true(wait_until(g, web1_is_waiting));
	assert_int_equal(table_length(g->agent->dp, FWD_PORT), 0);
	plug("web1"); /* another ifindex */
	assert_true(wait_until(g, web1_is_up));
	assert_int_equal(run("ip link set web1 down && ip link set web1 name other && ip link set other up"), 0);
	assert_true(wait_until(g, web1_is_waiting));
	assert_int_equal(table_length(g->agent->dp, FWD_PORT), 0);
	assert_int_equal(run("tc filter show dev other ingress | grep -q port_ingress"), 256);
	assert_int_equal(run("ip link set other down && ip link set other name web1 && ip link set web1 up"), 0);
	assert_true(wait_until(g, web1_is_up));
	assert_int_equal(apply(g, base, "", false).steps, 0);
}

static void interface_renamed_there_and_back_at_once_stays_attached(void **state)
{
	struct rig *g = *state;

	plug("web1");
	assert_int_equal(start(g), 0);
	assert_int_equal(run("ip link set web1 down && ip link set web1 name away && ip link set away name web1 && ip "
			     "link set web1 up"),
			 0);
	assert_int_equal(loop_step(g->loop, 1000), 0);
	assert_true(wait_until(g, web1_is_up));
	assert_int_equal(run("tc filter show dev web1 ingress | grep -q port_ingress"), 0);
	assert_int_equal(run("tc filter show dev web1 egress | grep -q port_egress"), 0);
	assert_int_equal(table_length(g->agent->dp, FWD_PORT), 1);
	assert_int_equal(run("ip link delete web1"), 0);
	plug("web1");
	assert_true(wait_until(g, web1_is_attached));
}

static void what_fails_at_a_start_is_tried_again(void **state)
{
	struct rig *g = *state;

	plug("web1");
	for (long at = 0; at < 6; at++) {
		fail_at = at;
		assert_int_equal(start(g), 0);
		assert_non_null(g->agent->degraded[0]);
		assert_true(wait_until(g, is_whole));
		assert_int_equal(apply(g, base, "", false).steps, 0);
		assert_int_equal(table_length(g->agent->dp, FWD_PORT), 1);
		stop(g);
	}
}

static void underlay_interface_may_come_late(void **state)
{
	struct rig *g = *state;

	assert_int_equal(run("ip link delete u0"), 0);
	assert_int_equal(start(g), 0);
	assert_non_null(g->agent->degraded[0]);
	assert_int_equal(run("ip link add u0 up type veth peer name u1 && ip link set u1 up && ip address add "
			     "192.0.2.11/24 dev u0"),
			 0);
	for (uint64_t end = now_ms() + PATIENCE_MS; now_ms() < end && g->agent->degraded[0];)
		loop_step(g->loop, 20);
	assert_null(g->agent->degraded[0]);
	assert_int_equal(run("tc filter show dev u0 ingress | grep -q wire_ingress"), 0);
}

static void underlay_interface_can_be_no_port(void **state)
{
	static const char bad[] = "ports: {bad: {node: dc1, interface: u0, network: red/web, mac: "
				  "\"02:00:00:00:00:77\", addresses: [10.0.1.77]}}";
	struct rig *g = *state;
	struct outcome o;

	plug("web1");
	assert_int_equal(start(g), 0);
	o = port_add(g, bad, false);
	assert_int_equal(o.r, -EINVAL);
	assert_non_null(strstr(o.why, "carries this node's underlay address 192.0.2.11"));
	o = apply(g, base,
		  "  bad: {node: dc1, interface: u0, network: red/web, mac: \"02:00:00:00:00:77\", addresses: "
		  "[10.0.1.77]}\n",
		  false);
	assert_int_equal(o.r, -EINVAL);
	assert_non_null(strstr(o.why, "carries"));
	assert_int_equal(apply(g, base, "", false).steps, 0);
	stop(g);
	write_config(g, base,
		     "  bad: {node: dc1, interface: u0, network: red/web, mac: \"02:00:00:00:00:77\", addresses: "
		     "[10.0.1.77]}\n");
	log_set_file("/dev/null");
	assert_int_equal(start(g), 0);
	loop_step(g->loop, 0);
	assert_int_equal(port_state(g, "bad"), AGENT_PORT_FAILED);
	assert_int_equal(port_state(g, "web1"), AGENT_PORT_UP);
	assert_int_equal(run("tc filter show dev u0 ingress | grep -q port_ingress"), 256);
	assert_int_equal(run("ip address delete 192.0.2.11/24 dev u0"), 0);
	assert_true(wait_until(g, bad_is_up));
	log_set_file(NULL);
}

/* ---- drift ---- */

static bool repaired(struct rig *g)
{
	return g->agent->repairs > 0;
}

static void removed_filter_is_put_back(void **state)
{
	struct rig *g = *state;

	plug("web1");
	assert_int_equal(start(g), 0);
	assert_int_equal(run("tc qdisc delete dev web1 clsact"), 0);
	assert_true(wait_until(g, repaired));
	assert_int_equal(run("tc filter show dev web1 ingress | grep -q port_ingress"), 0);
	assert_int_equal(run("tc filter show dev web1 egress | grep -q port_egress"), 0);
}

static void deleted_entry_is_put_back(void **state)
{
	struct rig *g = *state;
	struct abi_host_key key = {.vrf = 5000};
	struct abi_host host;
	struct addr address;
	char path[160];
	int fd;

	assert_int_equal(start(g), 0);
	addr_parse("10.0.1.12", &address);
	memcpy(key.addr.bytes, address.bytes, 16);
	snprintf(path, sizeof(path), "%s/hosts_v%d", g->bpf, ABI_VERSION);
	fd = bpf_obj_get(path);
	assert_true(fd >= 0);
	assert_int_equal(bpf_map_delete_elem(fd, &key), 0);
	assert_true(wait_until(g, repaired));
	assert_int_equal(bpf_map_lookup_elem(fd, &key, &host), 0);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		AGENT_TEST(waiting_port_comes_up_with_its_interface),
		AGENT_TEST(interface_whose_settings_come_late_is_tried_again),
		AGENT_TEST(interface_renamed_there_and_back_at_once_stays_attached),
		AGENT_TEST(what_fails_at_a_start_is_tried_again),
		AGENT_TEST(underlay_interface_may_come_late),
		AGENT_TEST(underlay_interface_can_be_no_port),
		AGENT_TEST(removed_filter_is_put_back),
		AGENT_TEST(deleted_entry_is_put_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
