/* SPDX-License-Identifier: Apache-2.0 */
/*
 * doctor_secure.c - encryption: the key, the device, and who does not answer.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/doctor_exam.h"
#include "agent/key.h"
#include "agent/secure.h"
#include "lib/cleanup.h"
#include "model/fwd.h"

#define CLOCK_APART_S 60

/* Something of this node is to be encrypted. */
static bool is_asked(const struct exam *x)
{
	for (size_t i = 0; x->self && i < x->config->n_nodes; i++)
		if (&x->config->nodes[i] != x->self && config_encrypts_any(x->config, x->self, &x->config->nodes[i]))
			return true;
	return false;
}

static void check_key(struct exam *x)
{
	const char *dir = x->a->options.state_dir;
	_cleanup_(free) char *why = NULL;
	char text[KEY_TEXT_SIZE], fix[200];
	struct config_key key;
	int r = key_public(dir, &key, &why);

	snprintf(fix, sizeof(fix),
		 "bring %s/" KEY_FILE " back; or remove it, systemctl restart isthmusd, and change nodes.*.public_key", dir);
	if (r < 0 && !is_asked(x))
		return fine(x, "nothing is encrypted, and there is no private key that could be used");
	if (r < 0) {
		found(x, DOCTOR_FAIL, r == -ENOENT ? "systemctl start isthmusd makes one" : fix,
		      "this node has no private key that can be used: %s", why ? why : strerror(-r));
		return;
	}
	if (why)
		found(x, DOCTOR_WARN, "chmod 600, and a new key if somebody may have seen it", "%s", why);
	if (!x->self)
		return;
	key_format(&key, text);
	snprintf(fix, sizeof(fix), "nodes.%s: {public_key: \"%s\"} in the configuration of all nodes", x->self->name, text);
	if (config_key_is_set(&x->self->public_key) && !config_key_equal(&x->self->public_key, &key))
		found(x, DOCTOR_FAIL, fix, "the configuration has another public key for this node: no node talks to it");
	else if (!config_key_is_set(&x->self->public_key) && is_asked(x))
		found(x, DOCTOR_FAIL, fix, "the configuration has no public key for this node: nothing encrypted comes here");
}

static void check_device(struct exam *x)
{
	const struct link *link = x->a->kern ? kern_link_by_name(x->a->kern, SECURE_DEVICE) : NULL;
	struct stat st;

	if (x->a->options.offline || !is_asked(x))
		return skip(x);
	if (stat("/dev/net/tun", &st) < 0)
		found(x, DOCTOR_FAIL, "modprobe tun", "there is no /dev/net/tun: nothing can be encrypted");
	else if (!secure_has_tunnel(x->a->secure))
		found(x, DOCTOR_FAIL, "isthmus status says why; journalctl -u isthmusd",
		      "there is no tunnel: what is to be encrypted is dropped");
	else if (!link || !link->up)
		found(x, DOCTOR_FAIL, "ip link set " SECURE_DEVICE " up",
		      "the device " SECURE_DEVICE " is down: what is to be encrypted is dropped");
	else
		fine(x, "%s is up", SECURE_DEVICE);
}

/* A handshake whose time is not later than that of one before is taken for a replay. */
static bool clock_went_back(const struct tunnel_peer_status *s)
{
	return s->drops[DEVICE_OLD_HANDSHAKE] > 3 && !s->ready;
}

/* On a link of this node something answers for its address. */
static bool is_there(const struct exam *x, const struct config_node *n)
{
	const struct addr *local, *remote = config_path(x->self, n, &local);
	struct kern_path path;

	return remote && x->a->kern && kern_path(x->a->kern, remote, local, &path) == 0 &&
	       addr_is_unspecified(&path.gateway) && kern_neighbour_answers(x->a->kern, path.ifindex, remote);
}

static void look_at_peer(struct exam *x, const struct config_node *n)
{
	const char *problem = secure_problem(x->a->secure, n);
	struct tunnel_peer_status status;
	char fix[400];

	if (!problem)
		return;
	if (!config_key_is_set(&n->public_key))
		snprintf(fix, sizeof(fix), "isthmus key show on %s, and nodes.%s.public_key in the configuration of all nodes",
			 n->name, n->name);
	else if (secure_status(x->a->secure, n, &status) && clock_went_back(&status))
		snprintf(fix, sizeof(fix), "set the clock of %s, then systemctl restart isthmusd here: its handshakes are older "
			 "than those that it sent before", n->name);
	else if (is_there(x, n))
		snprintf(fix, sizeof(fix), "its address answers, so the machine is there: is isthmusd up on %s, and does a firewall "
			 "there, here or of the cloud (security group) let UDP port %u in and out? If so, compare isthmus key show "
			 "there with nodes.%s.public_key, and preshared_key_file, where there is one",
			 n->name, x->config->wireguard_port, n->name);
	else
		snprintf(fix, sizeof(fix), "let UDP port %u through both ways; is nodes.%s.public_key what isthmus key show says "
			 "there, and has %s this node's? preshared_key_file, where there is one, has to be the same",
			 x->config->wireguard_port, n->name, n->name);
	found(x, DOCTOR_FAIL, fix, "nothing encrypted reaches node %s: %s", n->name, problem);
}

static void check_peers(struct exam *x)
{
	if (!secure_has_tunnel(x->a->secure))
		return skip(x);
	for (size_t i = 0; i < x->config->n_nodes; i++) {
		const struct config_node *n = &x->config->nodes[i];

		if (n != x->self && !n->foreign && config_encrypts_any(x->config, x->self, n))
			look_at_peer(x, n);
	}
}

/*
 * Handshakes have the time of day: a clock that is right again has nodes refuse what it sends until it is as late as it
 * was.
 */
static void check_clocks(struct exam *x)
{
	size_t n = 0;

	for (size_t i = 0; x->self && i < x->config->n_nodes; i++) {
		const struct config_node *node = &x->config->nodes[i];
		struct tunnel_peer_status status;
		int64_t ahead_s;
		char fix[320];

		if (node == x->self || !secure_status(x->a->secure, node, &status) || !status.stats.clock_known)
			continue;
		n++;
		ahead_s = status.stats.clock_ahead_ms / 1000;
		if (ahead_s > -CLOCK_APART_S && ahead_s < CLOCK_APART_S)
			continue;
		snprintf(fix, sizeof(fix),
			 "timedatectl on both, and set what is wrong; where one was set back, systemctl restart isthmusd on the other");
		found(x, DOCTOR_WARN, fix, "the clock of node %s was %lld s %s this one's at its last handshake", node->name,
		      (long long)(ahead_s < 0 ? -ahead_s : ahead_s), ahead_s < 0 ? "behind" : "ahead of");
	}
	if (n == 0)
		skip(x);
}

static void check_relays(struct exam *x)
{
	char fix[200];
	bool any = false;

	if (!secure_has_tunnel(x->a->secure))
		return skip(x);
	snprintf(fix, sizeof(fix), "let UDP port %u through both ways between the two, or forward it to one of them",
		 x->config->wireguard_port);
	for (size_t i = 0; i < x->config->n_nodes; i++) {
		const struct config_node *n = &x->config->nodes[i], *relay = secure_relay(x->a->secure, n);

		if (!relay || !config_encrypts_any(x->config, x->self, n))
			continue;
		any = true;
		found(x, DOCTOR_WARN, fix,
		      "node %s is not heard directly, and reached through %s: a longer way, %u bytes less in each packet, and all of "
		      "it twice on the line of %s",
		      n->name, relay->name, FWD_OVERHEAD_RELAY + FWD_OVERHEAD_MESSAGE, relay->name);
	}
	if (!any)
		fine(x, "no relay is needed");
}

/* One that neither of the two is. */
static bool has_relay(const struct exam *x, const struct config_node *n)
{
	for (size_t i = 0; i < x->config->n_nodes; i++)
		if (x->config->nodes[i].relay && &x->config->nodes[i] != x->self && &x->config->nodes[i] != n)
			return true;
	return false;
}

/* Both behind a NAT, and not behind the same one: neither can begin. */
static void check_nat(struct exam *x)
{
	if (!x->self || !x->self->nat)
		return skip(x);
	for (size_t i = 0; i < x->config->n_nodes; i++) {
		const struct config_node *n = &x->config->nodes[i];

		if (n != x->self && n->nat && n->site != x->self->site && config_encrypts_any(x->config, x->self, n) &&
		    !has_relay(x, n))
			found(x, DOCTOR_FAIL, "relay: true at a node that both reach, or a port of one of the two forwarded to it and "
					      "nat taken away there",
			      "node %s and this one are both behind a NAT: neither can call the other", n->name);
	}
}

/* Links and routes promise more than gets through, and nobody on the way says so. */
static void check_black_hole(struct exam *x)
{
	size_t n = 0;

	if (!x->self || !secure_has_tunnel(x->a->secure))
		return skip(x);
	for (size_t i = 0; i < x->config->n_nodes; i++) {
		const struct config_node *node = &x->config->nodes[i];
		struct tunnel_peer_status status;
		char fix[320];

		if (node == x->self || !secure_status(x->a->secure, node, &status))
			continue;
		n += status.path.mtu > 0;
		if (status.path.limit == 0)
			continue;
		snprintf(fix, sizeof(fix),
			 "let ICMP \"fragmentation needed\" and ICMPv6 \"packet too big\" through, or set nodes.%s.mtu: %u", node->name,
			 status.path.limit);
		found(x, DOCTOR_WARN, fix,
		      "on the way to node %s only packets of %u bytes get through, and nothing there says so; senders are told, as it "
		      "was measured", node->name, status.path.limit);
	}
	if (n == 0)
		skip(x);
}

const struct doctor_check doctor_secure_checks[] = {
	{"key", check_key},
	{"tunnel-device", check_device},
	{"tunnel", check_peers},
	{"relay", check_relays},
	{"nat", check_nat},
	{"clock", check_clocks},
	{"path-black-hole", check_black_hole},
	{0},
};
