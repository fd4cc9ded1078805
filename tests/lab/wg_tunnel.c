/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wg_tunnel.c - src/wg/tunnel.h by hand, for test_tunnel.py and tests/bench/tunnel.py.
 *
 * lab-wg-tunnel DEVICE PRIVATE PORT WORKERS MTU PEERS      keys in hexadecimal
 *
 * Its first line says the device's index and the public key.  Standard input, one command a line; each is answered by a
 * line of JSON, and so is each event:
 *
 *     peer PUBLIC PSK 0|1|best[,plain][,relay][,unreachable] KEEPALIVE ADDRESS[,ADDRESS...] [ENDPOINT PORT]
 *     plain PUBLIC PSK DEVICE MAC MTU ADDRESS[,ADDRESS...]      both ends of its device have that MAC
 *     remove PUBLIC | rekey PUBLIC | status PUBLIC | path PUBLIC MTU | drops | mtu N | relaying 0|1
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "wg/secret.h"
#include "wg/tunnel.h"

static void die(const char *what, int r)
{
	fprintf(stderr, "lab-wg-tunnel: %s: %s\n", what, strerror(-r));
	exit(1);
}

static void key_of(const char *text, uint8_t out[static NOISE_KEY_SIZE])
{
	for (size_t i = 0; i < NOISE_KEY_SIZE; i++)
		if (sscanf(text + 2 * i, "%2hhx", &out[i]) != 1)
			die("key", -EINVAL);
}

static int peer(struct tunnel *t, char **word, int words)
{
	struct tunnel_peer p = {.keepalive_s = (uint16_t)atoi(word[4]), .relay = strstr(word[3], ",relay"),
				.unreachable = strstr(word[3], ",unreachable"),
				.kind = strstr(word[3], ",plain") ? TUNNEL_PLAIN : TUNNEL_NODE};
	char *save = NULL;

	key_of(word[1], p.public_key);
	key_of(word[2], p.psk);
	p.suite = strncmp(word[3], "best", 4) == 0 ? tunnel_suite(t) : (enum packet_suite)atoi(word[3]);
	for (char *a = strtok_r(word[5], ",", &save); a; a = strtok_r(NULL, ",", &save))
		if (addr_parse(a, &p.addresses[p.n_addresses++]) != 0)
			die("address", -EINVAL);
	if (words > 7) {
		if (addr_parse(word[6], &p.endpoint.addr) != 0)
			die("endpoint", -EINVAL);
		p.endpoint.port = (uint16_t)atoi(word[7]);
	}
	if (p.kind == TUNNEL_PLAIN) {
		p.port = (struct tunnel_port){.device = "plain0", .mtu = 1420, .addresses = p.addresses, .n_addresses = p.n_addresses};
		p.n_addresses = 0;
	}
	return tunnel_peer_set(t, &p);
}

static int plain(struct tunnel *t, char **word)
{
	struct addr addresses[8];
	struct tunnel_peer p = {.kind = TUNNEL_PLAIN, .port.addresses = addresses, .port.mtu = (uint16_t)atoi(word[5])};
	char *save = NULL;
	struct mac mac;

	key_of(word[1], p.public_key);
	key_of(word[2], p.psk);
	snprintf(p.port.device, sizeof(p.port.device), "%s", word[3]);
	if (mac_parse(word[4], &mac) != 0)
		die("MAC", -EINVAL);
	memcpy(p.port.gateway, mac.bytes, sizeof(p.port.gateway));
	memcpy(p.port.mac, mac.bytes, sizeof(p.port.mac));
	for (char *a = strtok_r(word[6], ",", &save); a && p.port.n_addresses < 8; a = strtok_r(NULL, ",", &save))
		if (addr_parse(a, &addresses[p.port.n_addresses++]) != 0)
			die("address", -EINVAL);
	return tunnel_peer_set(t, &p);
}

static void say_drops(const uint64_t *drops)
{
	printf(", \"drops\": {");
	for (int i = 0; i < TUNNEL_DROP_MAX; i++)
		printf("%s\"%s\": %lu", i ? ", " : "", tunnel_drop_name(i), (unsigned long)drops[i]);
	printf("}");
}

static void say_status(struct tunnel *t, const uint8_t *key)
{
	struct tunnel_peer_status s;
	char address[ADDR_TEXT_SIZE];
	int r = tunnel_peer_status(t, key, &s);

	printf("\"result\": %d", r);
	if (r != 0)
		return;
	printf(", \"relay\": \"");
	for (size_t i = 0; s.endpoint.relay && i < NOISE_KEY_SIZE; i++)
		printf("%02x", s.relay[i]);
	printf("\", \"carried\": %lu", (unsigned long)s.carried_packets);
	printf(", \"endpoint\": \"%s\", \"port\": %d, \"ready\": %d, \"suite\": %d, \"handshakes\": %lu, "
	       "\"sent\": %lu, \"sent_bytes\": %lu, \"received\": %lu, \"received_bytes\": %lu",
	       addr_format(&s.endpoint.addr, address), s.endpoint.port, s.ready, s.stats.suite,
	       (unsigned long)s.stats.handshakes, (unsigned long)s.stats.sent_packets, (unsigned long)s.stats.sent_bytes,
	       (unsigned long)s.stats.received_packets, (unsigned long)s.stats.received_bytes);
	printf(", \"path\": {\"state\": %d, \"mtu\": %u, \"limit\": %u, \"rtt_us\": %u, \"loss_out\": %u, \"loss_in\": %u}",
	       s.path.state, s.path.mtu, s.path.limit, s.path.rtt_us, s.path.loss_out, s.path.loss_in);
	say_drops(s.drops);
}

static void command(struct tunnel *t, char *line)
{
	uint8_t key[NOISE_KEY_SIZE] = {0};
	uint64_t drops[TUNNEL_DROP_MAX];
	char *word[10] = {NULL}, *save = NULL;
	int words = 0, r = -EINVAL;

	for (char *w = strtok_r(line, " \n", &save); w && words < 9; w = strtok_r(NULL, " \n", &save))
		word[words++] = w;
	printf("{");
	if (words >= 6 && strcmp(word[0], "peer") == 0) {
		r = peer(t, word, words);
	} else if (words == 7 && strcmp(word[0], "plain") == 0) {
		r = plain(t, word);
	} else if (words == 1 && strcmp(word[0], "drops") == 0) {
		tunnel_drops(t, drops);
		r = 0;
	} else if (words == 2 && strcmp(word[0], "mtu") == 0) {
		r = tunnel_mtu_set(t, (uint16_t)atoi(word[1]));
	} else if (words == 2 && strcmp(word[0], "relaying") == 0) {
		tunnel_relaying_set(t, atoi(word[1]));
		r = 0;
	} else if (words == 3 && strcmp(word[0], "path") == 0) {
		key_of(word[1], key);
		r = tunnel_peer_path(t, key, (uint16_t)atoi(word[2]));
	} else if (words == 2) {
		key_of(word[1], key);
		if (strcmp(word[0], "remove") == 0)
			r = tunnel_peer_remove(t, key);
		else if (strcmp(word[0], "rekey") == 0)
			r = tunnel_peer_rekey(t, key);
	}
	if (words == 2 && strcmp(word[0], "status") == 0)
		say_status(t, key);
	else
		printf("\"result\": %d", r);
	if (words == 1)
		say_drops(drops);
	printf("}\n");
}

static void say_events(struct tunnel *t)
{
	struct tunnel_event e;

	while (tunnel_event(t, &e))
		printf("{\"event\": %u, \"key\": \"%02x%02x\"}\n", e.kinds, e.public_key[0], e.public_key[1]);
}

static void loop(struct tunnel *t)
{
	static char line[512];
	struct pollfd fds[] = {{STDIN_FILENO, POLLIN, 0}, {tunnel_fd(t), POLLIN, 0}};

	for (;;) {
		poll(fds, 2, -1);
		if (fds[1].revents)
			say_events(t);
		if (fds[0].revents) {
			if (!fgets(line, sizeof(line), stdin))
				return;
			command(t, line);
		}
		fflush(stdout);
	}
}

int main(int argc, char **argv)
{
	struct tunnel_config c = {.vxlan_port = 4789};
	struct tunnel *t;
	int r;

	if (argc != 7) {
		fprintf(stderr, "usage: lab-wg-tunnel DEVICE PRIVATE PORT WORKERS MTU PEERS\n");
		return 2;
	}
	setvbuf(stdin, NULL, _IONBF, 0); /* so that poll sees what was not read */
	snprintf(c.device, sizeof(c.device), "%s", argv[1]);
	key_of(argv[2], c.private_key);
	c.port = (uint16_t)atoi(argv[3]);
	c.workers = (unsigned)atoi(argv[4]);
	c.mtu = (uint16_t)atoi(argv[5]);
	r = secret_start(tunnel_secret_size((size_t)atoi(argv[6])));
	if (r == 0)
		r = tunnel_new(&c, &t);
	if (r != 0)
		die("tunnel", r);
	printf("{\"ifindex\": %u, \"public\": \"", tunnel_ifindex(t));
	for (size_t i = 0; i < NOISE_KEY_SIZE; i++)
		printf("%02x", tunnel_public_key(t)[i]);
	printf("\"}\n");
	fflush(stdout);
	loop(t);
	tunnel_free(t);
	return 0;
}
