/* SPDX-License-Identifier: Apache-2.0 */
/* Encryption as the configuration asks for it: key, tunnel, peers, and what the data plane is told. */
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

#include "agent/bgp.h"
#include "agent/inside.h"
#include "agent/key.h"
#include "agent/secure_state.h"
#include "agent/snapshot.h"
#include "agent/wire.h"
#include "lib/cleanup.h"

#define ANOTHER "3p7bfXt9wbTTW2HC7OQ1Nz+DQ8hbeGdNrfx+FG+IK08="
#define OTHER "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo="

/* The configuration of the rig with other words in it; `self` and `other` are keys, or NULL. */
static const char *with(const char *fabric, const char *self, const char *other)
{
	static char text[8192];
	const char *at = strstr(base, "tenants:");
	char keys[2][80] = {"", ""};

	for (int i = 0; i < 2; i++)
		if (i ? other : self)
			snprintf(keys[i], sizeof(keys[i]), ", public_key: \"%s\"", i ? other : self);
	snprintf(text, sizeof(text),
		 "version: 1\nfabric: {%s}\nsites: {dc: {}, aws: {}}\nnodes:\n"
		 "  dc1: {site: dc, underlay: 192.0.2.11%s}\n  aws1: {site: aws, underlay: 192.0.2.21%s}\n%s",
		 fabric, keys[0], keys[1], at);
	return text;
}

static const char *own_key(const struct rig *g)
{
	static char text[KEY_TEXT_SIZE];
	_cleanup_(free) char *why = NULL;
	struct config_key key;

	assert_int_equal(key_make(g->options.state_dir) < 0, 0);
	secret_start(KEY_HEAP_SIZE);
	assert_int_equal(key_public(g->options.state_dir, &key, &why), 0);
	return key_format(&key, text);
}

static bool has_reason(struct rig *g, const char *part)
{
	for (size_t i = 0; g->agent->degraded[i]; i++)
		if (strstr(g->agent->degraded[i], part))
			return true;
	return false;
}

static const char *awaited;
static bool is_told(struct rig *g) { return has_reason(g, awaited); }
static bool is_not_told(struct rig *g) { return !has_reason(g, awaited); }

static bool wait_told(struct rig *g, const char *part)
{
	awaited = part;
	return wait_until(g, is_told);
}

/* The data plane names the device that is there, with its MTU, and our program is on it. */
static bool device_is_whole(struct rig *g)
{
	unsigned ifindex = if_nametoindex(SECURE_DEVICE);

	return ifindex && g->agent->wire->node.secure_ifindex == ifindex &&
	       g->agent->wire->node.secure_mtu == tunnel_mtu(1500, false) &&
	       run("tc filter show dev " SECURE_DEVICE " ingress | grep -q wire_ingress") == 0;
}

static bool device_is_gone(struct rig *g)
{
	return !if_nametoindex(SECURE_DEVICE) && g->agent->wire->node.secure_ifindex == 0;
}

static bool is_up_as_it_was(struct rig *g)
{
	return run("ip link show " SECURE_DEVICE " | grep -q 'UP.*mtu 1440'") == 0;
}

static void without_keys_there_is_no_tunnel(void **state)
{
	struct rig *g = *state;

	assert_int_equal(start(g), 0);
	assert_true(device_is_gone(g));
	assert_int_equal(apply(g, with("encryption: always", NULL, NULL), "", false).r, 0);
	assert_true(device_is_gone(g));
	assert_true(wait_told(g, "nodes without a public_key in the configuration: aws1"));
	assert_true(wait_told(g, own_key(g))); /* what to put there */
}

static void keys_alone_make_one(void **state)
{
	struct rig *g = *state;

	write_config(g, with("encryption: never", own_key(g), OTHER), "");
	assert_int_equal(start(g), 0);
	assert_true(wait_until(g, device_is_whole));
	assert_int_equal(run("ip link show " SECURE_DEVICE " | grep -q 'mtu 1440.*state U'"), 0);
	assert_int_equal(run("test $(cat /proc/sys/net/ipv6/conf/" SECURE_DEVICE "/disable_ipv6) = 1"), 0);
	assert_false(has_reason(g, "encrypt"));
	assert_int_equal(apply(g, with("encryption: never", own_key(g), NULL), "", false).r, 0);
	assert_true(wait_until(g, device_is_gone));
	assert_int_equal(apply(g, with("encryption: never", own_key(g), OTHER), "", false).r, 0);
	assert_true(wait_until(g, device_is_whole));
}

static void dry_run_makes_none(void **state)
{
	struct rig *g = *state;

	assert_int_equal(start(g), 0);
	assert_int_equal(apply(g, with("encryption: always", own_key(g), OTHER), "", true).r, 0);
	assert_true(device_is_gone(g));
}

static void device_that_somebody_removed_is_back(void **state)
{
	struct rig *g = *state;
	unsigned before;

	write_config(g, with("encryption: always", own_key(g), OTHER), "");
	assert_int_equal(start(g), 0);
	assert_true(wait_until(g, device_is_whole));
	before = if_nametoindex(SECURE_DEVICE);
	assert_int_equal(run("ip link delete " SECURE_DEVICE), 0);
	assert_true(wait_until(g, device_is_whole));
	assert_int_not_equal(if_nametoindex(SECURE_DEVICE), before);
}

static void device_that_somebody_changed_is_as_it_was(void **state)
{
	struct rig *g = *state;

	write_config(g, with("encryption: always", own_key(g), OTHER), "");
	assert_int_equal(start(g), 0);
	assert_true(wait_until(g, device_is_whole));
	assert_int_equal(run("ip link set " SECURE_DEVICE " down mtu 1400"), 0);
	assert_true(wait_until(g, is_up_as_it_was));
	assert_int_equal(g->agent->repairs, 1);
}

/* Some user of this machine: opens the device, and sends by it as if it were the node.  1: both; else what failed. */
static int be_somebody(void)
{
	struct ifreq queue = {.ifr_name = SECURE_DEVICE, .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | IFF_MULTI_QUEUE};
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(4789)};
	int tun, udp;

	if (setresgid(65534, 65534, 65534) < 0 || setresuid(65534, 65534, 65534) < 0)
		return 2;
	tun = open("/dev/net/tun", O_RDWR);
	if (tun >= 0 && ioctl(tun, TUNSETIFF, &queue) == 0)
		return 3;
	udp = socket(AF_INET, SOCK_DGRAM, 0);
	inet_pton(AF_INET, "192.0.2.21", &to.sin_addr);
	if (setsockopt(udp, SOL_SOCKET, SO_BINDTODEVICE, SECURE_DEVICE, sizeof(SECURE_DEVICE)) < 0)
		return 4;
	return sendto(udp, "x", 1, 0, (struct sockaddr *)&to, sizeof(to)) < 0 ? 5 : 1;
}

static bool somebodys_was_dropped(struct rig *g)
{
	uint64_t drops[TUNNEL_DROP_MAX] = {0};

	secure_drops(g->agent->secure, drops);
	return drops[TUNNEL_NOT_OURS] == 1;
}

/* Without CAP_NET_ADMIN the device can neither be read nor written, and what a socket sends by it is not sealed. */
static void nobody_else_has_a_word(void **state)
{
	struct rig *g = *state;
	int status;
	pid_t pid;

	write_config(g, with("encryption: always", own_key(g), OTHER), "");
	assert_int_equal(start(g), 0);
	assert_true(wait_until(g, device_is_whole));
	pid = fork();
	if (pid == 0)
		_exit(be_somebody());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(WEXITSTATUS(status), 1);
	assert_true(wait_until(g, somebodys_was_dropped));
}

static void another_port_or_address_makes_another_tunnel(void **state)
{
	struct rig *g = *state;

	write_config(g, with("encryption: never", own_key(g), OTHER), "");
	assert_int_equal(start(g), 0);
	assert_true(wait_until(g, device_is_whole));
	assert_int_equal(run("ss -uln | grep -q ':51820 '"), 0);
	assert_int_equal(apply(g, with("encryption: never, wireguard_port: 51999", own_key(g), OTHER), "", false).r, 0);
	assert_true(wait_until(g, device_is_whole));
	assert_int_equal(run("ss -uln | grep -q ':51999 '"), 0);
	assert_int_not_equal(run("ss -uln | grep -q ':51820 '"), 0);
}

static void taken_port_is_told_and_tried_again(void **state)
{
	struct rig *g = *state;

	write_config(g, with("encryption: always, wireguard_port: 4790", own_key(g), OTHER), "");
	assert_int_equal(run("ip link add taken type vxlan id 1 dstport 4790 && ip link set taken up"), 0);
	assert_int_equal(start(g), 0);
	assert_true(wait_told(g, "nothing can be encrypted: UDP port 4790 is taken"));
	assert_int_equal(run("ip link delete taken"), 0);
	assert_true(wait_until(g, device_is_whole));
	awaited = "nothing can be encrypted";
	assert_true(wait_until(g, is_not_told));
}

static void key_of_another_is_told(void **state)
{
	struct rig *g = *state;

	write_config(g, with("encryption: always", "4Zd0VvxBwUNQmyb0bU1VC0LDN0Q9cHMHWRyqkUsE8B8=", OTHER), "");
	assert_int_equal(start(g), 0);
	assert_true(wait_told(g, "nodes.dc1.public_key is not the key of this node"));
	assert_true(has_reason(g, own_key(g)));
	assert_int_equal(apply(g, with("encryption: always", NULL, OTHER), "", false).r, 0);
	assert_true(wait_told(g, "nodes.dc1 has no public_key in the configuration"));
}

static void broken_key_encrypts_nothing(void **state)
{
	struct rig *g = *state;

	write_config(g, with("encryption: always", OTHER, "4Zd0VvxBwUNQmyb0bU1VC0LDN0Q9cHMHWRyqkUsE8B8="), "");
	assert_int_equal(file_replace(g->options.state_dir, KEY_FILE, "x\n", 2), 0);
	assert_int_equal(start(g), 0);
	assert_true(wait_told(g, KEY_FILE ": a key is 32 bytes in base64"));
	assert_true(device_is_gone(g));
}

static const struct config_node *aws1(struct rig *g)
{
	return config_node(g->agent->config, "aws1");
}

/* Rather nothing than one with less than was asked for. */
static void without_its_preshared_key_there_is_no_peer(void **state)
{
	struct tunnel_peer_status status;
	struct rig *g = *state;
	char fabric[256];

	snprintf(fabric, sizeof(fabric), "encryption: always, preshared_key_file: %s/psk", g->options.state_dir);
	write_config(g, with(fabric, own_key(g), OTHER), "");
	assert_int_equal(start(g), 0);
	assert_true(wait_told(g, "aws1 (its preshared key cannot be used"));
	assert_true(device_is_whole(g));
	assert_false(secure_status(g->agent->secure, aws1(g), &status));
	assert_int_equal(file_replace(g->options.state_dir, "psk", OTHER "\n", strlen(OTHER) + 1), 0);
	assert_int_equal(apply(g, with(fabric, own_key(g), OTHER), "", false).r, 0);
	assert_true(secure_status(g->agent->secure, aws1(g), &status));
	assert_int_equal(status.endpoint.port, 51820);
	assert_int_equal(file_remove(g->options.state_dir, "psk"), 0);
}

/* ---- time ---- */

static uint64_t skipped_ms;

static uint64_t later(void *arg)
{
	return now_ms() + skipped_ms;
}

static void pass_time(struct rig *g, uint64_t ms)
{
	skipped_ms += ms;
	loop_set_clock(g->loop, later, NULL);
	loop_step(g->loop, 0);
}

static void node_that_does_not_answer_is_named(void **state)
{
	struct rig *g = *state;

	write_config(g, with("encryption: between-sites", own_key(g), OTHER), "");
	assert_int_equal(start(g), 0);
	assert_true(wait_until(g, device_is_whole));
	assert_null(secure_problem(g->agent->secure, aws1(g)));
	pass_time(g, 11000);
	assert_true(wait_told(g, "does not reach 1 node: aws1 (does not answer)"));
	assert_string_equal(secure_problem(g->agent->secure, aws1(g)), "it does not answer");
}

static const struct bgp_peer *bgp_peer(struct rig *g)
{
	struct addr a;

	assert_int_equal(addr_parse("192.0.2.21", &a), 0);
	return hmap_get(&g->agent->bgp->peers, &a);
}

static bool has_way(struct rig *g)
{
	return run("ip address show dev " SECURE_DEVICE " | grep -q 127.73.83.84/32") == 0 &&
	       run("test $(cat /proc/sys/net/ipv4/conf/" SECURE_DEVICE "/rp_filter) = 2") == 0 &&
	       run("tc filter show dev " SECURE_DEVICE " egress | grep -q secure_egress") == 0 &&
	       run("ss -Htln | grep -q '192.0.2.11%%" SECURE_DEVICE ":179'") == 0;
}

static bool has_no_way(struct rig *g)
{
	return run("ip address show dev " SECURE_DEVICE " | grep -q 127.73.83.84/32") != 0 &&
	       run("ss -Htln | grep -q '%%" SECURE_DEVICE ":179'") != 0;
}

static bool tries(struct rig *g)
{
	return run("ss -Htn state syn-sent | grep -q '192.0.2.11%%" SECURE_DEVICE ":.* 192.0.2.21:179'") == 0;
}

/* As the configuration asks; what is needed for it is there as long as it is, and whatever becomes of the device. */
static void session_with_a_node_is_inside(void **state)
{
	static const char bgp[] = "bgp: {as: 65000}\n", 
			  named[] = "bgp: {as: 65000, mesh: none, neighbors: {other: {address: 192.0.2.21, remote_as: 65000, "
				    "nodes: [dc1]}}}\n";
	struct rig *g = *state;

	write_config(g, with("encryption: between-sites", own_key(g), OTHER), bgp);
	assert_int_equal(start(g), 0);
	assert_true(wait_until(g, device_is_whole));
	assert_true(wait_until(g, has_way));
	assert_int_equal(ntohs(g->agent->wire->node.bgp_port), 179);
	assert_true(bgp_peer(g)->inside);
	assert_true(wait_until(g, tries));
	assert_string_equal(inside_problem(g->agent, bgp_peer(g)), "its keys are being agreed on");
	pass_time(g, 11000);
	assert_string_equal(inside_problem(g->agent, bgp_peer(g)), "it does not answer");
	assert_int_equal(run("ip link delete " SECURE_DEVICE), 0);
	assert_true(wait_until(g, device_is_whole));
	assert_true(wait_until(g, has_way));
	assert_int_equal(apply(g, with("encryption: between-sites", own_key(g), OTHER), named, false).r, 0);
	assert_true(bgp_peer(g)->inside);
	assert_int_equal(apply(g, with("encryption: never", own_key(g), OTHER), bgp, false).r, 0);
	assert_false(bgp_peer(g)->inside);
	assert_null(inside_problem(g->agent, bgp_peer(g)));
	assert_true(wait_until(g, has_no_way));
	assert_int_equal(apply(g, with("encryption: always", own_key(g), NULL), bgp, false).r, 0);
	assert_false(bgp_peer(g)->inside); /* it has no key, and neither end says otherwise */
	assert_int_equal(apply(g, with("encryption: always", own_key(g), OTHER), bgp, false).r, 0);
	assert_true(wait_until(g, has_way));
}

struct secrecy {
	bool out, in; /* next hops ask for it, members take nothing else */
};

static struct secrecy secrecy(struct rig *g)
{
	struct held h = look(g);
	struct secrecy s = {true, true};
	size_t next_hops = 0, members = 0;

	for (size_t i = 0; i < h.length; i++) {
		const struct fwd *f = &h.items[i];

		if (f->kind == FWD_NEXTHOP && f->nexthop.type == FWD_NEXTHOP_TUNNEL) {
			s.out &= f->nexthop.secure;
			next_hops++;
		}
		if (f->kind == FWD_MEMBER) {
			s.in &= f->member.secure;
			members++;
		}
	}
	assert_true(next_hops > 0 && members > 0); /* of none everything is true */
	return s;
}

/* A machine that was made anew: its address, and what was known of the way to it, are those of the one before. */
static void node_with_another_key_takes_the_place_of_the_one_before(void **state)
{
	struct tunnel_peer_status status = {.endpoint.relay = 1};
	const struct wire_path *path;
	struct rig *g = *state;
	struct peer_entry *e;

	write_config(g, with("encryption: always", own_key(g), OTHER), "");
	assert_int_equal(start(g), 0);
	e = hmap_get(&g->agent->secure->peers, &aws1(g)->public_key);
	path = hmap_get(&g->agent->wire->paths, &aws1(g)->underlay[0]);
	memcpy(status.relay, g->agent->self->public_key.bytes, sizeof(status.relay));
	secure_relay_note(g->agent->secure, e, &status);
	wire_relay(g->agent->wire, &path->remote, 1400);
	assert_int_equal(apply(g, with("encryption: always", own_key(g), ANOTHER), "", false).r, 0);
	assert_true(secure_status(g->agent->secure, aws1(g), &status));
	assert_null(secure_problem(g->agent->secure, aws1(g)));
	assert_int_equal(path->relayed, 0);
}

static bool is_strict(struct rig *g) { return secrecy(g).in; }
static bool is_clear(struct rig *g) { return !secrecy(g).out; }

/* Nodes learn of it one by one. */
/* No more than the kernel says, and either end, and than what got through. */
static void path_takes_what_was_measured(void **state)
{
	struct rig *g = *state;
	const struct config_node *node;
	const struct addr *local, *remote;
	struct agent *a;

	assert_int_equal(start(g), 0);
	a = g->agent;
	node = config_node(a->config, "aws1");
	remote = config_path(a->self, node, &local);
	assert_int_equal(secure_path_mtu(a, node, remote, 1500), 1500);
	assert_int_equal(wire_measure(a->wire, remote, 1388), 1);
	assert_int_equal(wire_measure(a->wire, remote, 1388), 0);
	assert_int_equal(secure_path_mtu(a, node, remote, 1500), 1388);
	assert_int_equal(secure_path_mtu(a, node, remote, 1300), 1300);
	assert_int_equal(secure_path_mtu(a, node, local, 1500), 1500);
	assert_int_equal(wire_measure(a->wire, remote, 1404), 1);
	assert_int_equal(secure_path_mtu(a, node, remote, 1500), 1404);
	assert_int_equal(wire_measure(a->wire, remote, 0), 1);
	assert_int_equal(wire_measure(a->wire, remote, 0), 0);
	assert_int_equal(secure_path_mtu(a, node, remote, 1500), 1500);
	assert_int_equal(wire_measure(a->wire, local, 1300), 1); /* to be freed with all */
}

static void change_is_eased(void **state)
{
	struct rig *g = *state;

	plug("web1");
	write_config(g, with("encryption: never", own_key(g), OTHER), "");
	assert_int_equal(start(g), 0);
	assert_true(wait_until(g, web1_is_up));
	assert_true(is_clear(g) && !is_strict(g));
	assert_int_equal(apply(g, with("encryption: always", own_key(g), OTHER), "", false).r, 0);
	assert_true(secrecy(g).out && !is_strict(g));
	pass_time(g, 20000);
	assert_int_equal(apply(g, with("encryption: always", own_key(g), OTHER), "", false).r, 0); /* which changes nothing */
	pass_time(g, 11000);
	assert_true(wait_until(g, is_strict));
	assert_true(secrecy(g).out);
	assert_int_equal(apply(g, with("encryption: never", own_key(g), OTHER), "", false).r, 0);
	assert_true(secrecy(g).out && !is_strict(g));
	pass_time(g, 31000);
	assert_true(wait_until(g, is_clear));
}

/* A restart is no change. */
static void start_is_strict_at_once(void **state)
{
	struct rig *g = *state;

	plug("web1");
	write_config(g, with("encryption: always", own_key(g), OTHER), "");
	assert_int_equal(start(g), 0);
	assert_true(secrecy(g).out && secrecy(g).in);
	stop(g);
	assert_int_equal(if_nametoindex(SECURE_DEVICE), 0);
	assert_int_equal(start(g), 0);
	assert_true(secrecy(g).out && secrecy(g).in);
	assert_true(wait_until(g, device_is_whole));
}

/* What is read for a port at run time is a part of the configuration, in which a pair of sites may lack one. */
static void port_is_added_beside_pairs_of_sites(void **state)
{
	struct rig *g = *state;
	char text[9000];
	const char *all = with("encryption: always", own_key(g), OTHER), *at = strstr(all, "nodes:");

	snprintf(text, sizeof(text), "%.*ssite_pairs: {p: {sites: [dc, aws], encryption: never}}\n%s", (int)(at - all), all, at);
	write_config(g, text, "");
	assert_int_equal(start(g), 0);
	assert_int_equal(port_add(g, web4, false).r, 0);
	assert_non_null(config_port(g->agent->config, "web4"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		AGENT_TEST(without_keys_there_is_no_tunnel),
		AGENT_TEST(keys_alone_make_one),
		AGENT_TEST(dry_run_makes_none),
		AGENT_TEST(device_that_somebody_removed_is_back),
		AGENT_TEST(device_that_somebody_changed_is_as_it_was),
		AGENT_TEST(nobody_else_has_a_word),
		AGENT_TEST(another_port_or_address_makes_another_tunnel),
		AGENT_TEST(taken_port_is_told_and_tried_again),
		AGENT_TEST(key_of_another_is_told),
		AGENT_TEST(broken_key_encrypts_nothing),
		AGENT_TEST(without_its_preshared_key_there_is_no_peer),
		AGENT_TEST(node_with_another_key_takes_the_place_of_the_one_before),
		AGENT_TEST(node_that_does_not_answer_is_named),
		AGENT_TEST(session_with_a_node_is_inside),
		AGENT_TEST(path_takes_what_was_measured),
		AGENT_TEST(change_is_eased),
		AGENT_TEST(start_is_strict_at_once),
		AGENT_TEST(port_is_added_beside_pairs_of_sites),
	};

	return cmocka_run_group_tests_name("agent_secure", tests, NULL, NULL);
}
