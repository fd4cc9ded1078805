/* SPDX-License-Identifier: Apache-2.0 */
/* Plain WireGuard peers: their devices, their ports, and who else is near them. */
#include "agent_rig.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/key.h"
#include "agent/secure.h"
#include "agent/snapshot.h"
#include "dp/datapath.h"
#include "lib/cleanup.h"

#define KEY "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo="
#define DEVICE "wg-laptop"

/* The configuration of the rig with a key of its own, a peer and one more node; NULL: without. */
static const char *with(const struct rig *g, const char *node_key, const char *peer, const char *more_of_it)
{
	static char text[8192];
	const char *at = strstr(base, "tenants:");
	_cleanup_(free) char *why = NULL;
	char key[KEY_TEXT_SIZE];
	struct config_key own;
	int n;

	assert_int_equal(key_make(g->options.state_dir) < 0, 0);
	secret_start(KEY_HEAP_SIZE);
	assert_int_equal(key_public(g->options.state_dir, &own, &why), 0);
	n = snprintf(text, sizeof(text),
		     "version: 1\nfabric: {encryption: never}\nsites: {dc: {}, aws: {}}\nnodes:\n"
		     "  dc1: {site: dc, underlay: 192.0.2.11, public_key: \"%s\"}\n  aws1: {site: aws, underlay: 192.0.2.21%s%s%s}\n%s",
		     key_format(&own, key), node_key ? ", public_key: \"" : "", node_key ? node_key : "", node_key ? "\"" : "", at);
	if (peer)
		snprintf(text + n, sizeof(text) - (size_t)n,
			 "peers:\n  laptop: {node: dc1, network: red/app, public_key: \"%s\", addresses: [10.0.2.100]%s}\n", peer,
			 more_of_it);
	return text;
}

static const struct config_port *laptop(const struct rig *g)
{
	return config_port(g->agent->config, "laptop");
}

static bool is_up(struct rig *g)
{
	return laptop(g) && port_state(g, "laptop") == AGENT_PORT_UP;
}

static bool is_failed(struct rig *g)
{
	return laptop(g) && port_state(g, "laptop") == AGENT_PORT_FAILED;
}

static bool device_is_gone(struct rig *g)
{
	return !if_nametoindex(DEVICE) && !if_nametoindex(SECURE_DEVICE);
}

static bool has_program(const char *way, const char *program)
{
	return run("tc filter show dev " DEVICE " %s | grep -q %s", way, program) == 0;
}

static const char *reason(const struct rig *g)
{
	const char *text;

	agent_port_state(g->agent, laptop(g), &text);
	return text;
}

/* Also where nothing is encrypted between nodes. */
static void peer_is_a_port_that_is_up_when_our_programs_are_on_it(void **state)
{
	struct rig *g = *state;

	write_config(g, with(g, NULL, KEY, ""), "");
	assert_int_equal(start(g), 0);
	assert_int_not_equal(if_nametoindex(DEVICE), 0);
	assert_false(has_program("ingress", "port_ingress"));
	assert_int_equal(run("ip link show " DEVICE " | grep -q 'NOARP.*state DOWN'"), 0);
	assert_true(wait_until(g, is_up));
	assert_true(has_program("ingress", "port_ingress") && has_program("egress", "port_egress"));
	assert_int_equal(run("ip link show " DEVICE " | grep -q 'UP.*mtu 1440'"), 0);
	assert_int_equal(run("test $(cat /proc/sys/net/ipv6/conf/" DEVICE "/disable_ipv6) = 1"), 0);
	assert_int_equal(run("ip -d link show " DEVICE " | grep -q 'numtxqueues 1 '"), 0);
}

static void peer_goes_with_the_configuration(void **state)
{
	struct rig *g = *state;

	write_config(g, with(g, NULL, KEY, ""), "");
	assert_int_equal(start(g), 0);
	assert_true(wait_until(g, is_up));
	assert_int_equal(apply(g, with(g, NULL, NULL, NULL), "", false).r, 0);
	assert_true(wait_until(g, device_is_gone));
	assert_int_equal(apply(g, with(g, NULL, KEY, ""), "", false).r, 0);
	assert_true(wait_until(g, is_up));
}

static bool web1_is_there(struct rig *g)
{
	return port_state(g, "web1") == AGENT_PORT_UP;
}

/* Some user of this machine.  1: he may not open the device. */
static int open_as_somebody(void)
{
	struct ifreq queue = {.ifr_name = DEVICE, .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR};
	int tun;

	if (setresgid(65534, 65534, 65534) < 0 || setresuid(65534, 65534, 65534) < 0)
		return 2;
	tun = open("/dev/net/tun", O_RDWR);
	return tun >= 0 && ioctl(tun, TUNSETIFF, &queue) == 0 ? 3 : 1;
}

static int as_somebody(int (*what)(void))
{
	int status;
	pid_t pid = fork();

	if (pid == 0)
		_exit(what());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WEXITSTATUS(status);
}

/* As every port it outlives the daemon: routes to it stay, and what comes for it is dropped while nobody seals it. */
static void device_is_there_for_the_next_daemon(void **state)
{
	struct rig *g = *state;
	unsigned before;

	write_config(g, with(g, NULL, KEY, ""), "");
	assert_int_equal(start(g), 0);
	assert_true(wait_until(g, is_up));
	before = if_nametoindex(DEVICE);
	stop(g);
	assert_int_equal(if_nametoindex(DEVICE), before);
	assert_int_equal(if_nametoindex(SECURE_DEVICE), 0);
	assert_int_equal(as_somebody(open_as_somebody), 1);
	assert_true(has_program("ingress", "port_ingress") && has_program("egress", "port_egress"));
	assert_int_equal(start(g), 0);
	assert_true(wait_until(g, is_up));
	assert_int_equal(if_nametoindex(DEVICE), before);
	stop(g);
	assert_int_equal(run("ip tuntap add dev wg-others mode tap"), 0);
	plug("web1");
	write_config(g, with(g, NULL, NULL, NULL), "");
	assert_int_equal(start(g), 0); /* and goes when that one has no use for it, as nobody else's does */
	assert_true(wait_until(g, web1_is_there));
	assert_true(device_is_gone(g));
	assert_int_not_equal(if_nametoindex("wg-others"), 0);
}

/* Two daemons may share a network namespace: what one has open is none of the other's business. */
static void device_that_another_daemon_has_open_stays(void **state)
{
	struct ifreq queue = {.ifr_name = "wg-theirs", .ifr_flags = IFF_TAP | IFF_NO_PI};
	_cleanup_(fd) int tun = open("/dev/net/tun", O_RDWR);
	struct rig *g = *state;

	assert_int_equal(ioctl(tun, TUNSETIFF, &queue), 0);
	assert_int_equal(run("ip link set wg-theirs up alias 'isthmus peer'"), 0);
	plug("web1");
	write_config(g, with(g, NULL, NULL, NULL), "");
	assert_int_equal(start(g), 0);
	assert_true(wait_until(g, web1_is_there));
	assert_int_not_equal(if_nametoindex("wg-theirs"), 0);
}

/* One table of the tunnel for both: who comes must not be forgotten with who goes. */
static void key_goes_from_a_node_to_a_peer_and_back(void **state)
{
	struct tunnel_peer_status status;
	struct rig *g = *state;

	write_config(g, with(g, KEY, NULL, NULL), "");
	assert_int_equal(start(g), 0);
	for (int i = 0; i < 2; i++) {
		const struct config_node *aws1 = config_node(g->agent->config, "aws1");

		assert_true(secure_status(g->agent->secure, aws1, &status));
		assert_int_equal(apply(g, with(g, NULL, KEY, ""), "", false).r, 0);
		assert_true(wait_until(g, is_up));
		assert_true(secure_plain_status(g->agent->secure, laptop(g), &status));
		assert_int_equal(apply(g, with(g, KEY, NULL, NULL), "", false).r, 0);
		assert_int_equal(if_nametoindex(DEVICE), 0);
	}
}

static void another_key_under_the_same_name_takes_its_place(void **state)
{
	struct rig *g = *state;

	write_config(g, with(g, NULL, KEY, ""), "");
	assert_int_equal(start(g), 0);
	assert_true(wait_until(g, is_up));
	assert_int_equal(apply(g, with(g, NULL, "3p7bfXt9wbTTW2HC7OQ1Nz+DQ8hbeGdNrfx+FG+IK08=", ""), "", false).r, 0);
	assert_true(wait_until(g, is_up));
	assert_null(secure_plain_problem(g->agent->secure, laptop(g)));
}

static void name_that_somebody_has_is_told_and_waited_for(void **state)
{
	struct rig *g = *state;

	assert_int_equal(run("ip tuntap add dev " DEVICE " mode tap"), 0);
	write_config(g, with(g, NULL, KEY, ""), "");
	assert_int_equal(start(g), 0);
	assert_true(wait_until(g, is_failed));
	assert_non_null(strstr(reason(g), "there is a device " DEVICE " already; ip link del"));
	assert_non_null(secure_plain_problem(g->agent->secure, laptop(g))); /* nor has the tunnel taken it */
	assert_int_equal(run("ip link show " DEVICE " | grep -q 'state DOWN'"), 0);
	assert_int_equal(run("ip link del " DEVICE), 0);
	assert_true(wait_until(g, is_up));
}

/* As for a moment by the peer's tunnel before this one, of another key: nobody is told to remove it. */
static void device_that_is_in_use_is_waited_for(void **state)
{
	struct ifreq queue = {.ifr_name = DEVICE, .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR};
	struct rig *g = *state;
	int tun;

	write_config(g, with(g, NULL, KEY, ""), "");
	assert_int_equal(start(g), 0);
	assert_true(wait_until(g, is_up));
	stop(g);
	tun = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
	assert_true(tun >= 0 && ioctl(tun, TUNSETIFF, &queue) == 0);
	assert_int_equal(start(g), 0);
	assert_true(wait_until(g, is_failed));
	assert_non_null(strstr(reason(g), "is in use"));
	close(tun);
	assert_true(wait_until(g, is_up));
}

static bool is_another(struct rig *g)
{
	return if_nametoindex(DEVICE) && is_up(g);
}

static void device_that_was_renamed_is_made_again(void **state)
{
	struct rig *g = *state;

	write_config(g, with(g, NULL, KEY, ""), "");
	assert_int_equal(start(g), 0);
	assert_true(wait_until(g, is_up));
	assert_int_equal(run("ip link set " DEVICE " down name wg-renamed"), 0);
	assert_true(wait_until(g, is_another));
	assert_int_equal(apply(g, with(g, NULL, NULL, NULL), "", false).r, 0);
	assert_true(wait_until(g, device_is_gone));
	assert_int_equal(if_nametoindex("wg-renamed"), 0);
}

/* What is for the peer would go out by it in clear text, and whoever it belongs to would be cut off. */
static void device_of_somebody_else_is_left_alone(void **state)
{
	struct rig *g = *state;

	plug(DEVICE);
	write_config(g, with(g, NULL, KEY, ""), "");
	assert_int_equal(start(g), 0);
	assert_true(wait_until(g, is_failed));
	assert_false(has_program("ingress", "port_ingress") || has_program("egress", "port_egress"));
	assert_int_equal(apply(g, with(g, NULL, NULL, NULL), "", false).r, 0);
	assert_int_not_equal(if_nametoindex(DEVICE), 0);
	assert_int_not_equal(apply(g, with(g, NULL, KEY, ""), "", false).r, 0);
	assert_int_equal(run("ip link del " DEVICE), 0);
}

/* Rather nothing than one with less than was asked for. */
static void without_its_preshared_key_there_is_no_peer(void **state)
{
	struct rig *g = *state;
	char psk[192];

	snprintf(psk, sizeof(psk), ", preshared_key_file: %s/psk", g->options.state_dir);
	write_config(g, with(g, NULL, KEY, psk), "");
	assert_int_equal(start(g), 0);
	assert_true(wait_until(g, is_failed));
	assert_non_null(strstr(reason(g), "its preshared key cannot be used"));
	assert_int_equal(if_nametoindex(DEVICE), 0);
	assert_int_equal(file_replace(g->options.state_dir, "psk", KEY "\n", strlen(KEY) + 1), 0);
	assert_true(wait_until(g, is_up));
	assert_int_equal(file_remove(g->options.state_dir, "psk"), 0);
}

static void where_a_peer_was_is_known_after_a_restart(void **state)
{
	static const char text[] = "\n \nno line\n" KEY " 198.51.100.7\n" KEY " 198.51.100.7 0\n" KEY " 198.51.100.7 65536\n" KEY
				   " nowhere 5\n" KEY " 2001:db8::7 40002\nshort 192.0.2.1 5\n" KEY " 192.0.2.9 5x\n";
	struct tunnel_peer_status status;
	struct rig *g = *state;

	write_config(g, with(g, NULL, KEY, ""), "");
	assert_int_equal(file_replace(g->options.state_dir, SECURE_LAST_FILE, text, strlen(text)), 0);
	assert_int_equal(start(g), 0);
	assert_true(secure_plain_status(g->agent->secure, laptop(g), &status));
	assert_int_equal(status.endpoint.port, 40002);
	stop(g);
	write_config(g, with(g, NULL, KEY, ", endpoint: \"203.0.113.7:51820\""), "");
	assert_int_equal(start(g), 0);
	assert_true(secure_plain_status(g->agent->secure, laptop(g), &status));
	assert_int_equal(status.endpoint.port, 51820); /* what is written goes first */
	assert_int_equal(file_remove(g->options.state_dir, SECURE_LAST_FILE), 0);
}

/* The same one sends by it as if he were the node.  1: and the kernel lets him. */
static int be_somebody(void)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(7)};
	int r = open_as_somebody(), udp;

	if (r != 1)
		return r;
	udp = socket(AF_INET, SOCK_DGRAM, 0);
	inet_pton(AF_INET, "10.0.2.100", &to.sin_addr);
	if (setsockopt(udp, SOL_SOCKET, SO_BINDTODEVICE, DEVICE, sizeof(DEVICE)) < 0)
		return 4;
	return sendto(udp, "x", 1, 0, (struct sockaddr *)&to, sizeof(to)) < 0 ? 5 : 1;
}

static uint64_t not_ours(const struct rig *g)
{
	uint64_t drops[DROP_MAX] = {0};

	stats_drops(g->agent->dp, drops);
	return drops[DROP_NOT_OURS];
}

static void nobody_else_has_a_word(void **state)
{
	struct rig *g = *state;
	uint64_t before;

	write_config(g, with(g, NULL, KEY, ""), "");
	assert_int_equal(start(g), 0);
	assert_true(wait_until(g, is_up));
	before = not_ours(g);
	assert_int_equal(as_somebody(be_somebody), 1);
	assert_int_equal(not_ours(g), before + 1);
}

static bool sealing_was_refused(struct rig *g)
{
	struct tunnel_peer_status status;

	return secure_plain_status(g->agent->secure, laptop(g), &status) && status.drops[TUNNEL_NOT_OURS] > 0;
}

/* Should our program be torn off, there is a second look at whose it is. */
static void what_no_program_sent_is_not_sealed(void **state)
{
	struct rig *g = *state;

	write_config(g, with(g, NULL, KEY, ""), "");
	assert_int_equal(start(g), 0);
	assert_true(wait_until(g, is_up));
	assert_int_equal(run("tc filter del dev " DEVICE " egress"), 0);
	assert_int_equal(as_somebody(be_somebody), 1);
	assert_true(wait_until(g, sealing_was_refused));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		AGENT_TEST(peer_is_a_port_that_is_up_when_our_programs_are_on_it),
		AGENT_TEST(peer_goes_with_the_configuration),
		AGENT_TEST(device_is_there_for_the_next_daemon),
		AGENT_TEST(device_that_another_daemon_has_open_stays),
		AGENT_TEST(key_goes_from_a_node_to_a_peer_and_back),
		AGENT_TEST(another_key_under_the_same_name_takes_its_place),
		AGENT_TEST(name_that_somebody_has_is_told_and_waited_for),
		AGENT_TEST(device_that_is_in_use_is_waited_for),
		AGENT_TEST(device_that_was_renamed_is_made_again),
		AGENT_TEST(device_of_somebody_else_is_left_alone),
		AGENT_TEST(without_its_preshared_key_there_is_no_peer),
		AGENT_TEST(where_a_peer_was_is_known_after_a_restart),
		AGENT_TEST(nobody_else_has_a_word),
		AGENT_TEST(what_no_program_sent_is_not_sealed),
	};

	return cmocka_run_group_tests_name("agent_peers", tests, NULL, NULL);
}
